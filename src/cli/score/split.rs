//! Two halves of a set: one to look at while rules are written, one only to count.
//!
//! Lists of attacks repeat each payload in other encodings, other places and with other numbers. Were they divided case
//! by case, a rule written for one variant would be measured by the next. So a case belongs to the *family* of its
//! payload, and a family to one half:
//!
//! 1. Values are taken from where `meta.pos` says that the payload stands, or from the whole request: values of query,
//!    form, cookies and headers, strings of JSON, parts of multipart bodies, the path.
//! 2. Each is decoded until it no longer changes (percent signs, `%u`, `+`, numeric entities, `\u`, Base64, NUL bytes);
//!    the one with the most punctuation is the payload.
//! 3. Its *shape* is its text in lower case, without white space, quotes and comments, digits as `0`, the first
//!    [`SHAPE`] bytes.
//! 4. A hash of label and shape decides. Source and category do not count: variants that another source derived from the
//!    same payload stand on the same side.

use super::set::{Case, latin1};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A half of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Part {
    /// To look at while rules are written.
    Dev,
    /// To be counted only: single requests of it are not shown.
    Check,
    /// Both.
    All,
}

impl Part {
    /// Whether `case` is in this part.
    pub(super) fn has(self, case: &Case) -> bool {
        let part = if hash(family(case).as_bytes()) & 1 == 0 { Part::Dev } else { Part::Check };
        self == Part::All || self == part
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Part::Dev => "dev",
            Part::Check => "check",
            Part::All => "all",
        }
    }
}

/// Bytes of a shape that count. What follows is where variants of one payload differ.
const SHAPE: usize = 32;
/// Layers of encoding that are undone.
const LAYERS: usize = 5;

/// The family that a case's payload belongs to.
pub(super) fn family(case: &Case) -> String {
    let payload = places(case).into_iter().map(|value| plain(&value)).max_by_key(|v| (weight(v), v.len()));
    format!("{} {}", case.label.name(), shape(&payload.unwrap_or_default()))
}

/// The values among which the payload is.
fn places(case: &Case) -> Vec<Vec<u8>> {
    let target = latin1(&case.path);
    let (path, query) = target.split_at(target.iter().position(|b| *b == b'?').unwrap_or(target.len()));
    let header = |wanted: fn(&str) -> bool| {
        let of = case.headers.iter().filter(move |(name, _)| wanted(&name.to_ascii_lowercase()));
        of.flat_map(|(name, value)| {
            let value = latin1(value);
            if name.eq_ignore_ascii_case("cookie") { fields(&value, b';') } else { vec![value] }
        })
    };
    let mut out: Vec<Vec<u8>> = match case.position.as_str() {
        "query" => fields(query, b'&'),
        "path" => vec![path.to_vec()],
        "cookie" => header(|n| n == "cookie").collect(),
        "referer" => header(|n| n == "referer").collect(),
        "ua" => header(|n| n == "user-agent").collect(),
        "header" => header(|n| !USUAL.contains(&n)).collect(),
        "form" => fields(&case.body, b'&'),
        "json" | "xml" | "xmlbody" | "multipart" => body(&case.body),
        _ => fields(query, b'&').into_iter().chain(body(&case.body)).chain([path.to_vec()]).collect(),
    };
    if out.iter().all(Vec::is_empty) {
        out = vec![target, case.body.clone()];
    }
    out
}

const USUAL: &[&str] =
    &["host", "accept", "accept-encoding", "accept-language", "content-type", "connection"];

/// What stands behind the equals signs of `a=b&c=d`, and whatever has none.
fn fields(text: &[u8], separator: u8) -> Vec<Vec<u8>> {
    let value = |field: &[u8]| match field.iter().position(|b| *b == b'=') {
        Some(at) => field.get(at + 1..).unwrap_or_default().to_vec(),
        None => field.strip_prefix(b"?").unwrap_or(field).to_vec(),
    };
    text.split(|b| *b == separator).map(value).collect()
}

/// The values of a body, by what it looks like.
fn body(body: &[u8]) -> Vec<Vec<u8>> {
    match body.trim_ascii_start() {
        [b'{' | b'[' | b'"', ..] => {
            // Strings, whole documents being too various: what stands between quotes without a backslash.
            let mut out = Vec::new();
            let mut rest = body;
            while let Some(start) = rest.iter().position(|b| *b == b'"') {
                rest = rest.get(start + 1..).unwrap_or_default();
                let mut escaped = false;
                let end = rest.iter().position(|b| {
                    let ends = *b == b'"' && !escaped;
                    escaped = *b == b'\\' && !escaped;
                    ends
                });
                let (text, after) = rest.split_at(end.unwrap_or(rest.len()));
                out.push(text.to_vec());
                rest = after.get(1..).unwrap_or_default();
            }
            out
        }
        text @ [b'-', b'-', ..] => {
            let boundary = text.split(|b| *b == b'\r' || *b == b'\n').next().unwrap_or_default();
            let parts = memchr::memmem::find_iter(text, boundary).collect::<Vec<_>>();
            let ends = parts.iter().skip(1).copied().chain([text.len()]);
            parts.iter().zip(ends).filter_map(|(from, to)| text.get(*from..to)).map(part).collect()
        }
        text @ [b'<', ..] => {
            let inner =
                text.split(|b| *b == b'>').map(|t| t.split(|b| *b == b'<').next().unwrap_or_default());
            inner.map(<[u8]>::to_vec).chain([text.to_vec()]).collect()
        }
        text => fields(text, b'&'),
    }
}

/// A part of a multipart body without its head.
fn part(text: &[u8]) -> Vec<u8> {
    let start = memchr::memmem::find(text, b"\r\n\r\n").map_or(0, |at| at + 4);
    text.get(start..).unwrap_or_default().to_vec()
}

/// Undoes encodings until nothing changes.
fn plain(value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    for _ in 0..LAYERS {
        let next = layer(&value);
        if next == value {
            break;
        }
        value = next;
    }
    value
}

fn layer(value: &[u8]) -> Vec<u8> {
    let trimmed = value.trim_ascii();
    let alphabet = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    if trimmed.len() >= 12 && trimmed.len().is_multiple_of(4) && trimmed.iter().all(alphabet) {
        let text = STANDARD.decode(trimmed).unwrap_or_default();
        if !text.is_empty() && text.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) {
            return text;
        }
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, after @ ..] = rest {
        let hex = |from: usize, n: usize| {
            let digits = std::str::from_utf8(rest.get(from..from + n)?).ok()?;
            u32::from_str_radix(digits, 16).ok().map(|code| (code, from + n))
        };
        let found = match rest {
            [b'%' | b'\\', b'u' | b'U', ..] => hex(2, 4),
            [b'\\', b'x', ..] => hex(2, 2),
            [b'%', ..] => hex(1, 2),
            [b'&', b'#', b'x' | b'X', ..] => entity(rest, 3, 16),
            [b'&', b'#', ..] => entity(rest, 2, 10),
            _ => None,
        };
        match found {
            Some((code, used)) => {
                out.push(u8::try_from(code).unwrap_or(b'?'));
                rest = rest.get(used..).unwrap_or_default();
            }
            None => {
                if *first != 0 {
                    out.push(if *first == b'+' { b' ' } else { *first });
                }
                rest = after;
            }
        }
    }
    out
}

/// The number of an entity whose digits begin at `from`, and where it ends.
fn entity(text: &[u8], from: usize, radix: u32) -> Option<(u32, usize)> {
    let digits = text.get(from..)?;
    let length = digits.iter().take(7).take_while(|b| char::from(**b).is_digit(radix)).count();
    let code = u32::from_str_radix(std::str::from_utf8(digits.get(..length)?).ok()?, radix).ok()?;
    let end = from + length;
    Some((code, end + usize::from(text.get(end) == Some(&b';'))))
}

fn weight(value: &[u8]) -> usize {
    value.iter().filter(|b| b.is_ascii_punctuation() && !matches!(b, b'.' | b'-' | b'_')).count()
}

fn shape(payload: &[u8]) -> String {
    let mut text = payload.to_ascii_lowercase();
    // Comments between words stand for blanks.
    while let Some(start) = memchr::memmem::find(&text, b"/*") {
        let end = memchr::memmem::find(text.get(start..).unwrap_or_default(), b"*/").map(|n| start + n + 2);
        let Some(end) = end else { break };
        text.drain(start..end);
    }
    let mut out = String::new();
    for byte in text {
        match byte {
            b'0'..=b'9' if out.ends_with('0') => {}
            b'0'..=b'9' => out.push('0'),
            b'\'' | b'"' | b'`' | b'\\' | 0 => {}
            b if b.is_ascii_whitespace() => {}
            b => out.push(char::from(b)),
        }
        if out.len() >= SHAPE {
            break;
        }
    }
    out
}

/// FNV-1a, with its bits mixed at the end so that the last one hangs on all.
fn hash(text: &[u8]) -> u64 {
    let sum = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let sum = (sum ^ (sum >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    sum ^ (sum >> 33)
}

#[cfg(test)]
mod tests {
    use super::super::set::Label;
    use super::*;

    fn attack(position: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Case {
        Case {
            id: String::new(),
            source: String::new(),
            category: "sqli".into(),
            evasion: None,
            label: Label::Attack,
            method: "POST".into(),
            path: path.into(),
            headers: headers.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
            body: body.into(),
            tier: 'A',
            policy: false,
            position: position.into(),
        }
    }

    #[test]
    fn variants_of_a_payload_are_one_family() {
        let first = family(&attack("query", "/?id=1'%20UNION%20SELECT%2012,NULL--", &[], ""));
        for other in [
            attack("query", "/a?x=y&q=7%2527%2520union/**/select+3,null--", &[], ""),
            attack("form", "/", &[], "a=1&b=5'+UnIoN%0aSELECT+4,NULL--"),
            attack("json", "/", &[], r#"{"a": "x", "b": "1' union select 9,null--"}"#),
            attack("", "/", &[], r#"{"a": "x", "b": "1\u0027 union select 9,null--"}"#),
            attack("cookie", "/", &[("Cookie", "sid=4; id=1' UNION SELECT 1,NULL--")], ""),
            attack("ua", "/", &[("User-Agent", "1' UNION SELECT 1,NULL--")], ""),
            attack("query", "/?id=MScgVU5JT04gU0VMRUNUIDEsTlVMTC0t", &[], ""),
            attack("json", "/", &[], r#"["1&#39; UNION SELECT 1,NULL--"]"#),
            attack(
                "multipart",
                "/",
                &[],
                "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1' UNION SELECT 2,NULL--\r\n--x--\r\n",
            ),
        ] {
            assert!(family(&other).starts_with(&first), "{first} {}", family(&other));
        }
        assert_ne!(first, family(&attack("query", "/?id=1 AND SLEEP(5)", &[], "")));
    }

    #[test]
    fn halves_are_halves() {
        let case =
            |n: u32| attack("query", &format!("/?q={}", "ab".repeat(n as usize % 9) + &word(n)), &[], "");
        let cases: Vec<Case> = (0..2000).map(case).collect();
        let dev = cases.iter().filter(|c| Part::Dev.has(c)).count();
        assert!((800..1200).contains(&dev), "{dev}");
        assert!(cases.iter().all(|c| Part::Dev.has(c) != Part::Check.has(c) && Part::All.has(c)));
    }

    fn word(n: u32) -> String {
        n.to_string().bytes().map(|b| char::from(b - b'0' + b'f')).collect()
    }
}
