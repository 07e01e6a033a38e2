//! Command lines of curl.

use super::words::{commands, of_windows};
use super::{FormPart, SourceRequest, encode, host_of, multipart, of_file, path_of};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Command lines of curl, as a shell would read them; a request for each. Other commands beside them are left out.
pub(super) fn read(text: &str, guesses: &mut Vec<String>) -> Result<Vec<SourceRequest>, String> {
    let is_windows = text.contains("^\"") || text.contains("^\n") || text.contains("^\r\n");
    let of_shell = if is_windows { of_windows(text) } else { text.to_owned() };
    let mut requests = Vec::new();
    for mut words in commands(&of_shell)? {
        let is_curl = |word: &String| {
            let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
            name == "curl" || name == "curl.exe"
        };
        // `sudo curl`, `HTTPS_PROXY=… curl`.
        let Some(at) = words.iter().take(4).position(is_curl) else {
            let first = words.first().map_or("", String::as_str);
            if !(first.starts_with('#') || requests.is_empty() && first == "$") {
                guesses.push(format!("`{first}` beside the command of curl is left out"));
            }
            continue;
        };
        words.drain(..=at);
        for words in words.split(|word| word == "--next" || word == "-:") {
            requests.push(one(words.to_vec(), guesses)?);
        }
    }
    if requests.is_empty() {
        return Err("there is no command of curl".to_owned());
    }
    Ok(requests)
}

/// One command, without its name.
fn one(words: Vec<String>, guesses: &mut Vec<String>) -> Result<SourceRequest, String> {
    let mut request = SourceRequest::default();
    let mut url = None;
    let (mut data, mut form): (Vec<String>, Vec<FormPart>) = (Vec::new(), Vec::new());
    let (mut as_query, mut is_json, mut upload) = (false, false, false);
    let mut target = None;
    let mut rest = words.into_iter();
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
            "-F" | "--form" => {
                let text = value()?;
                form.push(form_part(&text, guesses));
            }
            "--form-string" => {
                let text = value()?;
                let (name, content) = text.split_once('=').unwrap_or((&text, ""));
                form.push(FormPart::field(name, content));
            }
            "-u" | "--user" => {
                let credentials = STANDARD.encode(value()?);
                request.headers.push(("Authorization".to_owned(), format!("Basic {credentials}")));
            }
            "-A" | "--user-agent" => request.headers.push(("User-Agent".to_owned(), value()?)),
            "-e" | "--referer" => request.headers.push(("Referer".to_owned(), value()?)),
            "-b" | "--cookie" => {
                let text = value()?;
                if text.contains('=') {
                    request.headers.push(("Cookie".to_owned(), text));
                } else {
                    guesses.push(format!("the cookies in {text} are not in the command"));
                }
            }
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
        multipart(&mut request, &form);
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

/// `name=content`, `name=@file` or `name=<file`, with `;type=` and `;filename=` behind a file.
fn form_part(text: &str, guesses: &mut Vec<String>) -> FormPart {
    let (name, content) = text.split_once('=').unwrap_or((text, ""));
    let mut part = FormPart::field(name, content);
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

#[cfg(test)]
mod tests {
    use crate::cli::source::read;

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
        // A pipe, a second command, and what Windows makes of quotes.
        let source = read(
            "curl -s http://h/a -u me:pw | jq .\nsudo curl http://h/b --form-string 'a=@b' --next http://h/c",
        )
        .unwrap();
        let targets: Vec<_> = source.requests.iter().map(|r| r.target.as_str()).collect();
        assert_eq!(targets, ["/a", "/b", "/c"]);
        assert_eq!(source.requests[0].header("authorization"), Some("Basic bWU6cHc="));
        assert!(source.requests[1].body.ends_with(b"\r\n\r\n@b\r\n--b--\r\n"));
        assert_eq!(source.guesses, ["`jq` beside the command of curl is left out"]);
        let source = read("curl ^\"http://h/x?a=^%^27^\" ^\r\n  -H ^\"A: b^\"").unwrap();
        assert_eq!(
            (source.requests[0].target.as_str(), source.requests[0].header("a")),
            ("/x?a=%27", Some("b"))
        );
        assert_eq!(read("curl -T shell.jsp http://h/up/shell.jsp").unwrap().requests[0].method, "PUT");
    }
}
