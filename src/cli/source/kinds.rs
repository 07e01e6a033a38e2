//! Which of the four a text is, and what their readers share.

use super::{curl, har, nuclei, raw};
use serde_json::Value;
use std::io::Read as _;
use std::path::Path;

/// A request as a client would send it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct SourceRequest {
    pub(in crate::cli) method: String,
    /// The target, from the first slash on.
    pub(in crate::cli) target: String,
    /// The host, where a URL names it.
    pub(in crate::cli) host: Option<String>,
    pub(in crate::cli) headers: Vec<(String, String)>,
    pub(in crate::cli) body: Vec<u8>,
}

impl SourceRequest {
    /// The value of the header `name`.
    pub(in crate::cli) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// What a source says about the flaw itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct About {
    pub(in crate::cli) title: Option<String>,
    pub(in crate::cli) product: Option<String>,
    pub(in crate::cli) severity: Option<String>,
    pub(in crate::cli) cve: Vec<String>,
    pub(in crate::cli) references: Vec<String>,
}

/// Everything that one source holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Source {
    pub(in crate::cli) requests: Vec<SourceRequest>,
    pub(in crate::cli) about: About,
    /// What was guessed, for the person who reads what is made of it.
    pub(in crate::cli) guesses: Vec<String>,
    /// It is a command of curl, which adds headers of its own.
    pub(in crate::cli) is_command: bool,
}

/// Reads the file at `path`, whatever of the four it is; `-` is standard input.
pub(in crate::cli) fn open(path: &Path) -> Result<Source, String> {
    let mut bytes = Vec::new();
    let done = if path == Path::new("-") {
        std::io::stdin().take(MOST + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes))
    };
    done.map_err(|error| format!("{}: {error}", path.display()))?;
    if bytes.len() as u64 > MOST {
        return Err(format!("{} is longer than {MOST} bytes", path.display()));
    }
    let error = match std::str::from_utf8(&bytes) {
        Ok(text) => return read(text),
        Err(error) => error,
    };
    // Only a raw request may hold bytes that are no text, in its body.
    let head = crate::http::find_head_end(&bytes).unwrap_or(0);
    if error.valid_up_to() < head || head == 0 {
        return read(&String::from_utf8_lossy(&bytes));
    }
    let (head, body) = bytes.split_at(head);
    let mut source = read(&String::from_utf8_lossy(head))?;
    if let [request] = source.requests.as_mut_slice() {
        request.body = body.to_vec();
    }
    Ok(source)
}

/// Bytes of a file. Archives of a browser's session have tens of megabytes.
const MOST: u64 = 64 << 20;

/// Reads `text`, whatever of the four it is.
pub(in crate::cli) fn read(text: &str) -> Result<Source, String> {
    let start = text.trim_start();
    // Copied together with the prompt of a shell.
    let command = start.strip_prefix("$ ").unwrap_or(start).trim_start();
    if is_curl(command) {
        let mut guesses = Vec::new();
        let requests = curl::read(command, &mut guesses)?;
        guesses.dedup();
        return Ok(Source { requests, guesses, is_command: true, ..Source::default() });
    }
    if start.starts_with(['{', '[']) {
        let value: Value =
            serde_json::from_str(start).map_err(|error| format!("this is not JSON: {error}"))?;
        return har::read(&value);
    }
    let first = start.lines().next().unwrap_or("");
    let mut words = first.split_whitespace();
    let is_method = words.next().is_some_and(|m| !m.is_empty() && m.bytes().all(|b| b.is_ascii_uppercase()));
    if is_method && words.next().is_some_and(|target| target.starts_with('/') || target.contains("://")) {
        return raw::read(start).map(|request| Source { requests: vec![request], ..Source::default() });
    }
    nuclei::read(text)
}

/// Whether `text` begins with a command of curl, be it behind `sudo` or variables of the environment.
fn is_curl(text: &str) -> bool {
    let mut words = text.split_whitespace().skip_while(|word| {
        let variable = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        });
        *word == "sudo" || variable
    });
    words.next().is_some_and(|word| matches!(word.rsplit(['/', '\\']).next(), Some("curl" | "curl.exe")))
}

/// The part of a URL from its path on.
pub(super) fn path_of(url: &str) -> String {
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
pub(super) fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (!host.is_empty()).then(|| host.to_owned())
}

/// What stands for the content of a file that is not at hand.
pub(super) fn of_file(name: &str, guesses: &mut Vec<String>) -> String {
    guesses.push(format!("the content of {name} is not in the command; it is written as `x1`"));
    "x1".to_owned()
}

/// A part of a multipart form.
pub(super) struct FormPart {
    pub(super) name: String,
    pub(super) file_name: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) content: String,
}

impl FormPart {
    /// A field that is no file.
    pub(super) fn field(name: &str, content: &str) -> Self {
        Self { name: name.to_owned(), file_name: None, kind: None, content: content.to_owned() }
    }
}

/// Makes `request` the multipart form of `parts`.
pub(super) fn multipart(request: &mut SourceRequest, parts: &[FormPart]) {
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

/// Percent-encodes what a form would.
pub(in crate::cli) fn encode(bytes: &[u8]) -> String {
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
    fn what_is_none_of_them_is_refused() {
        for text in ["", "hello", "{}", "[]", "a: b", "{{{", "- x"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
