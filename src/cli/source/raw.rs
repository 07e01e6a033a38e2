//! Requests as text.

use super::{SourceRequest, path_of};

/// A request as text: a request line, headers, an empty line, a body.
pub(super) fn read(text: &str) -> Result<SourceRequest, String> {
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
    // An editor's line end at the end of the file is not of the body; that of a boundary is.
    let whole = rest.ends_with("--\r\n") || !rest.ends_with('\n');
    let body = if whole { rest } else { rest.strip_suffix('\n').unwrap_or(rest) }.as_bytes().to_vec();
    Ok(SourceRequest { method: method.to_owned(), target: path_of(target), host: None, headers, body })
}

#[cfg(test)]
mod tests {
    use crate::cli::source::read;

    #[test]
    fn raw_requests_lose_their_length_and_keep_their_body() {
        let text = "POST http://h/a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx=1\r\ny=2\n";
        let one = &read(text).expect("it is sound").requests[0];
        assert_eq!((one.target.as_str(), one.headers.len()), ("/a?b", 1));
        assert_eq!(one.body, b"x=1\r\ny=2");
    }
}
