//! Raw requests, curl commands, HAR files and nuclei templates → requests, for all commands that take one.

use serde_json::Value;
use std::io::Read as _;
use std::path::Path;

/// A request as a client would send it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SourceRequest {
    pub(super) method: String,
    /// The target, from the first slash on.
    pub(super) target: String,
    /// The host, where a URL names it.
    pub(super) host: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl SourceRequest {
    /// The value of the header `name`.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// What a source says about the flaw itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    pub(super) title: Option<String>,
    pub(super) product: Option<String>,
    pub(super) severity: Option<String>,
    pub(super) cve: Vec<String>,
    pub(super) references: Vec<String>,
}

/// Everything that one source holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) requests: Vec<SourceRequest>,
    pub(super) about: About,
    /// What was guessed, for the person who reads what is made of it.
    pub(super) guesses: Vec<String>,
    /// It is a command of curl, which adds headers of its own.
    pub(super) is_command: bool,
}

/// Reads the file at `path`, whatever of the four it is; `-` is standard input.
pub(super) fn open(path: &Path) -> Result<Source, String> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(MOST + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    if bytes.len() as u64 > MOST {
        return Err(format!("{} is longer than {MOST} bytes", path.display()));
    }
    let error = match std::str::from_utf8(&bytes) {
        Ok(text) => return self::read(text),
        Err(error) => error,
    };
    // Only a raw request may hold bytes that are no text, in its body.
    let head = crate::http::find_head_end(&bytes).unwrap_or(0);
    if error.valid_up_to() < head || head == 0 {
        return self::read(&String::from_utf8_lossy(&bytes));
    }
    let (head, body) = bytes.split_at(head);
    let mut source = self::read(&String::from_utf8_lossy(head))?;
    if let [request] = source.requests.as_mut_slice() {
        request.body = body.to_vec();
    }
    Ok(source)
}

/// Bytes of a file. Archives of a browser's session have tens of megabytes.
const MOST: u64 = 64 << 20;

/// Reads `text`, whatever of the four it is.
pub(super) fn read(text: &str) -> Result<Source, String> {
    let start = text.trim_start();
    // Copied together with the prompt of a shell.
    let command = start.strip_prefix("$ ").unwrap_or(start).trim_start();
    if ["curl ", "curl\t", "curl.exe "].iter().any(|name| command.starts_with(name)) {
        let mut guesses = Vec::new();
        let request = curl(command, &mut guesses)?;
        return Ok(Source { requests: vec![request], guesses, is_command: true, ..Source::default() });
    }
    if start.starts_with(['{', '[']) {
        let value: Value =
            serde_json::from_str(start).map_err(|error| format!("this is not JSON: {error}"))?;
        return har(&value);
    }
    let first = start.lines().next().unwrap_or("");
    let mut words = first.split_whitespace();
    let is_method = words.next().is_some_and(|m| !m.is_empty() && m.bytes().all(|b| b.is_ascii_uppercase()));
    if is_method && words.next().is_some_and(|target| target.starts_with('/') || target.contains("://")) {
        return raw(start).map(|request| Source { requests: vec![request], ..Source::default() });
    }
    nuclei(text)
}

/// A request as text: a request line, headers, an empty line, a body.
fn raw(text: &str) -> Result<SourceRequest, String> {
    let mut rest = text;
    let mut line = || {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        line.strip_suffix('\r').unwrap_or(line)
    };
    let first = line();
    let (method, target) = first.split_once(' ').ok_or("a request begins with method and target")?;
    let target = target.rsplit_once(" HTTP/").map_or(target, |(target, _)| target).trim();
    let mut headers = Vec::new();
    loop {
        let field = line();
        let Some((name, value)) = field.split_once(':') else { break };
        if !name.eq_ignore_ascii_case("content-length") {
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    let body = rest.strip_suffix('\n').unwrap_or(rest).as_bytes().to_vec();
    Ok(SourceRequest { method: method.to_owned(), target: path_of(target), host: None, headers, body })
}

/// The part of a URL from its path on.
fn path_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = match (rest.len() == url.len(), rest.find(['/', '?'])) {
        (true, _) => rest,
        (false, Some(at)) => rest.get(at..).unwrap_or("/"),
        (false, None) => "/",
    };
    let path = path.split('#').next().unwrap_or(path);
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// Host and port of a URL, without credentials.
fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (!host.is_empty()).then(|| host.to_owned())
}

/// A command line of curl, as a shell would read it.
fn curl(text: &str, guesses: &mut Vec<String>) -> Result<SourceRequest, String> {
    let words = words(text)?;
    let mut request = SourceRequest::default();
    let mut url = None;
    let (mut data, mut form): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let (mut as_query, mut is_json, mut upload) = (false, false, false);
    let mut target = None;
    let mut rest = words.into_iter().skip(1);
    while let Some(word) = rest.next() {
        let (flag, attached) = match word.strip_prefix("--") {
            Some(long) => match long.split_once('=') {
                Some((flag, value)) => (format!("--{flag}"), Some(value.to_owned())),
                None => (word.clone(), None),
            },
            None => short(&word),
        };
        let mut value = || attached.clone().or_else(|| rest.next()).ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "-X" | "--request" => request.method = value()?,
            "-H" | "--header" => {
                let header = value()?;
                if let Some((name, value)) = header.split_once(':') {
                    request.headers.push((name.trim().to_owned(), value.trim().to_owned()));
                }
            }
            "--data-raw" => data.push(value()?),
            "-d" | "--data" | "--data-binary" | "--data-ascii" => {
                let text = value()?;
                data.push(if text.starts_with('@') { of_file(&text, guesses) } else { text });
            }
            "--data-urlencode" => {
                let value = value()?;
                let (name, content) = match (value.split_once('='), value.split_once('@')) {
                    (Some(pair), _) => (pair.0, pair.1.to_owned()),
                    (None, Some((name, _))) => (name, of_file(&value, guesses)),
                    (None, None) => ("", value.clone()),
                };
                let encoded = encode(content.as_bytes());
                data.push(if name.is_empty() { encoded } else { format!("{name}={encoded}") });
            }
            "--json" => {
                is_json = true;
                data.push(value()?);
            }
            "-F" | "--form" | "--form-string" => form.push(value()?),
            "-A" | "--user-agent" => request.headers.push(("User-Agent".to_owned(), value()?)),
            "-e" | "--referer" => request.headers.push(("Referer".to_owned(), value()?)),
            "-b" | "--cookie" => request.headers.push(("Cookie".to_owned(), value()?)),
            "--url" => url = Some(value()?),
            "--request-target" => target = Some(value()?),
            "-T" | "--upload-file" => {
                data.push(of_file(&value()?, guesses));
                upload = true;
            }
            "-G" | "--get" => as_query = true,
            "-I" | "--head" => request.method = "HEAD".to_owned(),
            other if WITH_VALUE.contains(&other) => {
                value()?;
            }
            other if other.starts_with('-') => {}
            _ => url = Some(word),
        }
    }
    let url = url.ok_or("the command names no URL")?;
    request.target = target.unwrap_or_else(|| path_of(&url));
    request.host = host_of(&url);
    let body = data.join("&");
    if as_query {
        let separator = if request.target.contains('?') { '&' } else { '?' };
        if !body.is_empty() {
            request.target = format!("{}{separator}{body}", request.target);
        }
    } else if !form.is_empty() {
        let parts: Vec<_> = form.iter().map(|part| form_part(part, guesses)).collect();
        multipart(&mut request, &parts);
    } else if !data.is_empty() {
        request.body = body.into_bytes();
        if request.header("Content-Type").is_none() && !upload {
            let kind = if is_json { "application/json" } else { "application/x-www-form-urlencoded" };
            request.headers.push(("Content-Type".to_owned(), kind.to_owned()));
        }
    }
    if request.method.is_empty() {
        let method = match (upload, request.body.is_empty()) {
            (true, _) => "PUT",
            (false, true) => "GET",
            (false, false) => "POST",
        };
        method.clone_into(&mut request.method);
    }
    Ok(request)
}

/// A word of single letters, of which the first with a value ends it: `-XPOST`, `-kX` before `POST`, `-sSk`.
fn short(word: &str) -> (String, Option<String>) {
    let Some(letters) = word.strip_prefix('-') else { return (word.to_owned(), None) };
    for (at, letter) in letters.char_indices() {
        if "XHdFbAeuToxmwEUcDKQrtyYzC".contains(letter) {
            let rest = letters.get(at + letter.len_utf8()..).unwrap_or_default();
            return (format!("-{letter}"), (!rest.is_empty()).then(|| rest.to_owned()));
        }
        if matches!(letter, 'G' | 'I') {
            return (format!("-{letter}"), None);
        }
    }
    (word.to_owned(), None)
}

/// Flags of curl with a value that says nothing about the request.
const WITH_VALUE: &[&str] = &[
    "-u",
    "--user",
    "-o",
    "--output",
    "-x",
    "--proxy",
    "-m",
    "--max-time",
    "--connect-timeout",
    "--retry",
    "-w",
    "--write-out",
    "--cacert",
    "--capath",
    "-E",
    "--cert",
    "--cert-type",
    "--key",
    "--key-type",
    "--pass",
    "--resolve",
    "--connect-to",
    "-U",
    "--proxy-user",
    "--proxy-header",
    "--noproxy",
    "--socks5",
    "--socks5-hostname",
    "--socks4",
    "--preproxy",
    "--interface",
    "--limit-rate",
    "--max-redirs",
    "--max-filesize",
    "--retry-delay",
    "--retry-max-time",
    "--ciphers",
    "--tls13-ciphers",
    "--tls-max",
    "--curves",
    "--dns-servers",
    "--unix-socket",
    "--abstract-unix-socket",
    "-c",
    "--cookie-jar",
    "-D",
    "--dump-header",
    "-K",
    "--config",
    "--trace",
    "--trace-ascii",
    "--stderr",
    "--netrc-file",
    "--output-dir",
    "-C",
    "--continue-at",
    "-r",
    "--range",
    "-y",
    "--speed-time",
    "-Y",
    "--speed-limit",
    "-z",
    "--time-cond",
    "--keepalive-time",
    "--local-port",
    "--oauth2-bearer",
    "--aws-sigv4",
    "--expect100-timeout",
    "--rate",
    "--pinnedpubkey",
    "--proto",
    "--proto-default",
    "--proto-redir",
    "--engine",
    "--hostpubmd5",
    "-Q",
    "--quote",
    "-t",
];

/// What stands for the content of a file that is not at hand.
fn of_file(name: &str, guesses: &mut Vec<String>) -> String {
    guesses.push(format!("the content of {name} is not in the command; it is written as `x1`"));
    "x1".to_owned()
}

/// A part of a multipart form.
struct FormPart {
    name: String,
    file_name: Option<String>,
    kind: Option<String>,
    content: String,
}

/// `name=content`, `name=@file` or `name=<file`, with `;type=` and `;filename=` behind a file.
fn form_part(text: &str, guesses: &mut Vec<String>) -> FormPart {
    let (name, content) = text.split_once('=').unwrap_or((text, ""));
    let mut part =
        FormPart { name: name.to_owned(), file_name: None, kind: None, content: content.to_owned() };
    let (file, is_upload) = match (content.strip_prefix('@'), content.strip_prefix('<')) {
        (Some(file), _) => (file, true),
        (None, Some(file)) if !file.starts_with('?') && !file.contains('>') => (file, false),
        _ => return part,
    };
    let mut settings = file.split(';');
    let path = settings.next().unwrap_or_default().trim_matches('"');
    for setting in settings {
        match setting.split_once('=') {
            Some(("filename", name)) => part.file_name = Some(name.trim_matches('"').to_owned()),
            Some(("type", kind)) => part.kind = Some(kind.to_owned()),
            _ => {}
        }
    }
    if is_upload {
        let base = path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
        part.file_name.get_or_insert(base);
    }
    part.content = of_file(path, guesses);
    part
}

/// Makes `request` the multipart form of `parts`.
fn multipart(request: &mut SourceRequest, parts: &[FormPart]) {
    let mut text = String::new();
    for FormPart { name, file_name, kind, content } in parts {
        let file = file_name.as_ref().map(|f| format!("; filename=\"{f}\"")).unwrap_or_default();
        let kind = kind.as_ref().map(|kind| format!("Content-Type: {kind}\r\n")).unwrap_or_default();
        text.push_str(&format!(
            "--b\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n{kind}\r\n{content}\r\n"
        ));
    }
    text.push_str("--b--\r\n");
    request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
    request.headers.push(("Content-Type".to_owned(), "multipart/form-data; boundary=b".to_owned()));
    request.body = text.into_bytes();
}

/// The words of a command line: quotes, `$'…'`, backslashes, continued lines.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("a quote in the command has no end".to_owned()),
                    }
                }
            }
            '$' if rest.peek() == Some(&'\'') => {
                rest.next();
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some('\\') => match rest.next() {
                            Some('n') => word.push('\n'),
                            Some('r') => word.push('\r'),
                            Some('t') => word.push('\t'),
                            Some(c @ ('x' | 'u')) => {
                                let most = if c == 'x' { 2 } else { 4 };
                                let mut digits = String::new();
                                while digits.len() < most {
                                    match rest.next_if(char::is_ascii_hexdigit) {
                                        Some(digit) => digits.push(digit),
                                        None => break,
                                    }
                                }
                                word.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
                            }
                            Some(c) => word.push(c),
                            None => return Err("a quote in the command has no end".to_owned()),
                        },
                        Some(c) => word.push(c),
                        None => return Err("a quote in the command has no end".to_owned()),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('"') => break,
                        Some('\\') => match rest.next() {
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                            Some('\n') => {}
                            Some(c) => word.extend(['\\', c]),
                            None => return Err("a quote in the command has no end".to_owned()),
                        },
                        Some(c) => word.push(c),
                        None => return Err("a quote in the command has no end".to_owned()),
                    }
                }
            }
            '\\' => match rest.next() {
                Some('\n') | None => {}
                Some('\r') => {
                    rest.next_if_eq(&'\n');
                }
                Some(c) => word.get_or_insert_default().push(c),
            },
            c if c.is_whitespace() => out.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    Ok(out)
}

/// The requests of a HAR file (HTTP Archive 1.2), of one of its entries, or one request of it.
fn har(value: &Value) -> Result<Source, String> {
    let entries: Vec<&Value> = match (&value["log"]["entries"], value) {
        (Value::Array(entries), _) | (_, Value::Array(entries)) => entries.iter().collect(),
        _ => vec![value],
    };
    let mut source = Source::default();
    for entry in entries {
        let request = if entry["request"].is_object() { &entry["request"] } else { entry };
        let (Some(method), Some(url)) = (request["method"].as_str(), request["url"].as_str()) else {
            continue;
        };
        let pairs = |list: &Value| -> Vec<(String, String)> {
            let pair =
                |one: &Value| Some((one["name"].as_str()?.to_owned(), one["value"].as_str()?.to_owned()));
            list.as_array().into_iter().flatten().filter_map(pair).collect()
        };
        let mut headers = pairs(&request["headers"]);
        headers.retain(|(name, _)| !name.starts_with(':') && !name.eq_ignore_ascii_case("content-length"));
        let posted = &request["postData"];
        let is_multipart = posted["mimeType"].as_str().is_some_and(|kind| kind.starts_with("multipart/"));
        let body = match posted["text"].as_str().filter(|text| !(is_multipart && text.is_empty())) {
            Some(text) => text.to_owned(),
            None if is_multipart => {
                // Browsers keep the fields of an upload and leave out its bytes.
                let text = |one: &Value, key: &str| one[key].as_str().map(str::to_owned);
                let parts = posted["params"].as_array().into_iter().flatten().filter_map(|one| {
                    let file_name = text(one, "fileName");
                    let content = text(one, "value").unwrap_or_else(|| match &file_name {
                        Some(name) => of_file(name, &mut source.guesses),
                        None => String::new(),
                    });
                    Some(FormPart {
                        name: text(one, "name")?,
                        file_name,
                        kind: text(one, "contentType"),
                        content,
                    })
                });
                let mut form = SourceRequest {
                    method: method.to_owned(),
                    target: path_of(url),
                    headers,
                    body: Vec::new(),
                    host: None,
                };
                multipart(&mut form, &parts.collect::<Vec<_>>());
                source.requests.push(form);
                continue;
            }
            None => {
                let encoded = pairs(&posted["params"]).into_iter();
                encoded.map(|(n, v)| format!("{n}={}", encode(v.as_bytes()))).collect::<Vec<_>>().join("&")
            }
        };
        let has_type = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if let (Some(kind), false) = (posted["mimeType"].as_str(), has_type) {
            headers.push(("Content-Type".to_owned(), kind.to_owned()));
        }
        let target = path_of(url);
        source.requests.push(SourceRequest {
            method: method.to_owned(),
            target,
            host: host_of(url),
            headers,
            body: body.into_bytes(),
        });
    }
    if source.requests.is_empty() {
        return Err("there is no request in this JSON; a HAR file has log.entries[].request".to_owned());
    }
    Ok(source)
}

/// The requests of a template of nuclei, with what stands for something replaced.
fn nuclei(text: &str) -> Result<Source, String> {
    let value: Value = serde_yaml::from_str(text)
        .map_err(|error| format!("this is no request, curl command, HAR file or nuclei template: {error}"))?;
    let blocks = [&value["http"], &value["requests"]].into_iter().filter_map(Value::as_array).flatten();
    let mut source = Source { about: about(&value["info"]), ..Source::default() };
    for block in blocks {
        let fill = |text: &str, guesses: &mut Vec<String>| {
            fill(text, &block["payloads"], &value["variables"], guesses)
        };
        for raw_text in block["raw"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            // Lines such as `@timeout: 20s` before the request are for nuclei itself.
            let mut text = raw_text.trim_start();
            while let Some((line, rest)) = text.split_once('\n').filter(|_| text.starts_with('@')) {
                let _ = line;
                text = rest.trim_start();
            }
            source.requests.extend(raw(&fill(text, &mut source.guesses)));
        }
        let body = block["body"].as_str().map(|body| fill(body, &mut source.guesses)).unwrap_or_default();
        let headers: Vec<_> = block["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        for path in block["path"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let target = path_of(&fill(path, &mut source.guesses));
            let headers = headers.iter().map(|(n, v)| (n.clone(), fill(v, &mut source.guesses))).collect();
            let method = block["method"].as_str().unwrap_or("GET").to_owned();
            source.requests.push(SourceRequest {
                method,
                target,
                host: None,
                headers,
                body: body.clone().into_bytes(),
            });
        }
    }
    source.guesses.dedup();
    if source.requests.is_empty() {
        return Err(
            "this is no request, curl command, HAR file or nuclei template with an HTTP request".to_owned()
        );
    }
    Ok(source)
}

fn about(info: &Value) -> About {
    let text = |value: &Value| value.as_str().map(|text| text.trim().to_owned());
    let list = |value: &Value| -> Vec<String> {
        match value {
            Value::Array(list) => list.iter().filter_map(&text).collect(),
            Value::String(text) => {
                text.lines().flat_map(|line| line.split(',')).map(|t| t.trim().to_owned()).collect()
            }
            _ => Vec::new(),
        }
    };
    About {
        title: text(&info["name"]),
        product: text(&info["metadata"]["product"]),
        severity: text(&info["severity"]),
        cve: list(&info["classification"]["cve-id"])
            .into_iter()
            .map(|one| one.to_ascii_uppercase())
            .collect(),
        references: list(&info["reference"]),
    }
}

/// `text` with `{{…}}` replaced.
fn fill(text: &str, payloads: &Value, variables: &Value, guesses: &mut Vec<String>) -> String {
    super::template::Filling { payloads, variables, guesses }.fill(text)
}

/// Percent-encodes what a form would.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curl_is_read_as_a_shell_reads_it() {
        let source = read(
            "curl -k 'https://a.example/x?y=1' \\\n  -XPUT -H \"A: b\\\"c\" --data-urlencode 'q=a b' -d $'z=\\x41' --user-agent=u",
        )
        .expect("it is sound");
        let one = &source.requests[0];
        assert_eq!((one.method.as_str(), one.target.as_str()), ("PUT", "/x?y=1"));
        assert_eq!(one.header("a"), Some("b\"c"));
        assert_eq!(one.header("user-agent"), Some("u"));
        assert_eq!(one.body, b"q=a%20b&z=A");
        assert!(read("curl 'x").is_err() && read("curl -k").is_err());
    }

    #[test]
    fn flags_of_curl_may_be_run_together_and_have_values() {
        let source =
            read("$ curl -skX POST --max-redirs 3 -b a=b https://h/x --request-target '/y?z' -d @f").unwrap();
        let one = &source.requests[0];
        assert_eq!(
            (one.method.as_str(), one.target.as_str(), one.body.as_slice()),
            ("POST", "/y?z", &b"x1"[..])
        );
        assert_eq!(source.guesses.len(), 1);
        let source =
            read("curl -F 'f=@/tmp/a.jpg;filename=s.php;type=image/png' -F 'c=<?php x' http://h/u").unwrap();
        let body = String::from_utf8_lossy(&source.requests[0].body).into_owned();
        assert!(
            body.contains("name=\"f\"; filename=\"s.php\"\r\nContent-Type: image/png\r\n\r\nx1"),
            "{body}"
        );
        assert!(body.contains("name=\"c\"\r\n\r\n<?php x\r\n"), "{body}");
        assert_eq!(read("curl -T shell.jsp http://h/up/shell.jsp").unwrap().requests[0].method, "PUT");
    }

    #[test]
    fn uploads_in_archives_are_uploads() {
        let har = r#"{"request": {"method": "POST", "url": "http://h/u", "headers": [], "postData": {"mimeType":
            "multipart/form-data; boundary=x", "params": [{"name": "f", "fileName": "s.php", "contentType": "image/png"},
            {"name": "t", "value": "v"}]}}}"#;
        let source = read(har).unwrap();
        let body = String::from_utf8_lossy(&source.requests[0].body).into_owned();
        assert!(body.contains("filename=\"s.php\"") && body.contains("\r\n\r\nv\r\n"), "{body}");
        assert_eq!(source.requests[0].header("content-type"), Some("multipart/form-data; boundary=b"));
    }

    #[test]
    fn raw_requests_lose_their_length_and_keep_their_body() {
        let text = "POST http://h/a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx=1\r\ny=2\n";
        let one = &read(text).expect("it is sound").requests[0];
        assert_eq!((one.target.as_str(), one.headers.len()), ("/a?b", 1));
        assert_eq!(one.body, b"x=1\r\ny=2");
    }

    #[test]
    fn archives_and_templates_hold_several() {
        let har = r#"{"log": {"entries": [
            {"request": {"method": "GET", "url": "http://h/a", "headers": [{"name": ":path", "value": "/a"}]}},
            {"request": {"method": "POST", "url": "http://h/b", "headers": [],
             "postData": {"mimeType": "application/x-www-form-urlencoded", "params": [{"name": "c", "value": "d e"}]}}}]}}"#;
        let source = read(har).expect("it is sound");
        assert_eq!(source.requests[0].headers, []);
        assert_eq!(source.requests[1].body, b"c=d%20e");
        let template = "id: CVE-2024-1\ninfo:\n  name: A flaw\n  severity: high\n  classification: {cve-id: cve-2024-1}\n\
                        http:\n  - method: GET\n    path: ['{{BaseURL}}/a?b={{randstr}}']\n  - raw:\n      - |\n        \
                        POST /c HTTP/1.1\n        Host: {{Hostname}}\n\n        d=1\n";
        let source = read(template).expect("it is sound");
        assert_eq!(source.requests.iter().map(|r| r.target.as_str()).collect::<Vec<_>>(), ["/a?b=x1", "/c"]);
        assert_eq!(source.about.cve, ["CVE-2024-1"]);
        assert_eq!(source.guesses.len(), 1);
    }

    #[test]
    fn what_is_none_of_them_is_refused() {
        for text in ["", "hello", "{}", "[]", "a: b", "{{{", "- x"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
