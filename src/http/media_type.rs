//! `Content-Type` (RFC 9110 §8.3), read leniently: what a recipient could make of it, not what it should be.

/// A media type with its parameters, in the order in which they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// `type/subtype` in lower case, without white space around it. May lack the slash.
    pub essence: Vec<u8>,
    /// Parameters: name in lower case, value unquoted. Names may repeat.
    pub params: Vec<(Vec<u8>, Vec<u8>)>,
}

impl MediaType {
    /// Reads the header's value. An empty value gives an empty essence. More than 64 parameters are not read.
    pub fn parse(value: &[u8]) -> Self {
        let end = value.iter().position(|b| *b == b';').unwrap_or(value.len());
        let essence = value.get(..end).unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let mut params = Vec::new();
        let mut rest = value.get(end..).unwrap_or_default();
        while let ([b';', after @ ..], true) = (rest, params.len() < MAX_PARAMS) {
            let (param, next) = read_param(after);
            params.extend(param);
            rest = next;
        }
        Self { essence, params }
    }

    /// The types that `value` lists, outside of quotes separated by commas, as they were given; each may be empty.
    /// There should be one. A quote that is never closed quotes nothing.
    pub fn list(value: &[u8]) -> Vec<&[u8]> {
        let mut types = Vec::new();
        let (mut start, mut at, mut unclosed) = (0, 0, false);
        while let Some(found) = value.get(at..).and_then(|rest| memchr::memchr2(b',', b'"', rest)) {
            at += found + 1;
            if value.get(at - 1) == Some(&b',') {
                types.push(value.get(start..at - 1).unwrap_or_default());
                start = at;
            } else if !unclosed {
                match closing_quote(value.get(at..).unwrap_or_default()) {
                    Some(length) => at += length + 1,
                    None => unclosed = true,
                }
            }
        }
        types.push(value.get(start..).unwrap_or_default());
        types
    }

    /// The type: what stands before the slash.
    pub fn type_(&self) -> &[u8] {
        self.essence.split(|b| *b == b'/').next().unwrap_or_default()
    }

    /// The subtype: what stands behind the slash.
    pub fn subtype(&self) -> &[u8] {
        self.essence.splitn(2, |b| *b == b'/').nth(1).unwrap_or_default()
    }

    /// The structured syntax suffix (RFC 6839) without its `+`: `json` of `application/problem+json`.
    pub fn suffix(&self) -> Option<&[u8]> {
        let subtype = self.subtype();
        let at = memchr::memrchr(b'+', subtype)?;
        subtype.get(at + 1..)
    }

    /// The first parameter of that name (given in lower case).
    pub fn param(&self, name: &str) -> Option<&[u8]> {
        self.params.iter().find(|(n, _)| n == name.as_bytes()).map(|(_, v)| v.as_slice())
    }

    /// The first `charset`.
    pub fn charset(&self) -> Option<&[u8]> {
        self.param("charset")
    }

    /// The first `boundary`.
    pub fn boundary(&self) -> Option<&[u8]> {
        self.param("boundary")
    }
}

const MAX_PARAMS: usize = 64;

type Param = (Vec<u8>, Vec<u8>);

/// Where the quoted string ends that `input` begins inside of.
fn closing_quote(input: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', input.get(at..)?)?;
        if input.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// Reads `name=value` up to the next semicolon outside quotes; gives what begins with that semicolon.
fn read_param(input: &[u8]) -> (Option<Param>, &[u8]) {
    let end = input.iter().position(|b| matches!(b, b'=' | b';')).unwrap_or(input.len());
    let name = input.get(..end).unwrap_or_default().trim_ascii().to_ascii_lowercase();
    let Some(after) = input.get(end..).unwrap_or_default().strip_prefix(b"=") else {
        let param = (!name.is_empty()).then(|| (name, Vec::new()));
        return (param, input.get(end..).unwrap_or_default());
    };
    let mut rest = after.trim_ascii_start();
    let mut value = Vec::new();
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        rest = quoted;
        loop {
            match rest {
                [b'\\', escaped, tail @ ..] => {
                    value.push(*escaped);
                    rest = tail;
                }
                [b'"', tail @ ..] => {
                    rest = tail;
                    break;
                }
                [byte, tail @ ..] => {
                    value.push(*byte);
                    rest = tail;
                }
                [] => break,
            }
        }
    }
    let end = rest.iter().position(|b| *b == b';').unwrap_or(rest.len());
    value.extend_from_slice(rest.get(..end).unwrap_or_default().trim_ascii_end());
    (Some((name, value)), rest.get(end..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_quotes_case_and_oddities() {
        let m = MediaType::parse(br#" Text/HTML ; Charset="ut\"f;-8" ;; x ; boundary= a b;q"#);
        assert_eq!(m.essence, b"text/html");
        assert_eq!((m.type_(), m.subtype()), (&b"text"[..], &b"html"[..]));
        assert_eq!(m.charset(), Some(&b"ut\"f;-8"[..]));
        assert_eq!(m.boundary(), Some(&b"a b"[..]));
        assert_eq!(m.params.len(), 4);
        assert_eq!(MediaType::parse(b"application/soap+xml").suffix(), Some(&b"xml"[..]));
        assert_eq!(MediaType::parse(b"").essence, b"");
        assert_eq!(MediaType::parse(b"multipart").subtype(), b"");
    }

    #[test]
    fn commas_outside_of_quotes_separate_types() {
        let list = |value: &'static str| {
            let types = MediaType::list(value.as_bytes()).into_iter();
            types.map(|t| std::str::from_utf8(t).expect("text")).collect::<Vec<_>>()
        };
        assert_eq!(list(""), [""]);
        assert_eq!(list("a/b"), ["a/b"]);
        assert_eq!(list("a/b, c/d;e=f,"), ["a/b", " c/d;e=f", ""]);
        assert_eq!(list(r#"a/b;c="d,e", f/g"#), [r#"a/b;c="d,e""#, " f/g"]);
        assert_eq!(list(r#"a/b;c="d\",e", f/g"#), [r#"a/b;c="d\",e""#, " f/g"]);
        assert_eq!(list(r#"a/b;c="d,e\""#), [r#"a/b;c="d"#, r#"e\""#]);
    }
}
