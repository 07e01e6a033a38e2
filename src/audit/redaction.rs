//! Which names mean secrets.

/// Names to redact beside the built-in lists. A `*` at either end stands for anything. Case does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    /// Arguments, JSON members and form fields.
    pub arguments: Vec<String>,
    /// Request and response headers.
    pub headers: Vec<String>,
    /// Built-in names that may be shown after all (arguments or headers), e.g. `token` for an application which
    /// uses it for something public.
    pub show: Vec<String>,
}

/// Arguments redacted by default. Word separators (`_`, `-`, `.`, space) are left out of names before they are
/// compared, so that `api_key`, `api-key` and `apiKey` are one.
pub const ARGUMENTS: [&str; 36] = [
    "*accesskey*",
    "*apikey*",
    "auth",
    "*authorization*",
    "*authkey*",
    "bearer",
    "*cardno*",
    "*cardnum*",
    "*clientsecret*",
    "*creditcard*",
    "*credential*",
    "csc",
    "cvc*",
    "cvv*",
    "*iban*",
    "jwt",
    "*jsessionid*",
    "*mfa",
    "otp*",
    "pass",
    "*passcode*",
    "*passphrase*",
    "*passwd*",
    "*passwort*",
    "*password*",
    "*phpsessid*",
    "pin",
    "*privatekey*",
    "psw",
    "*pwd*",
    "*secret*",
    "*sessionid*",
    "sessid",
    "sid",
    "ssn",
    "*token*",
];

/// Headers redacted by default, by their whole value; [`COOKIES`] keep their cookies' names.
pub const HEADERS: [&str; 16] = [
    "authorization",
    "proxy-authorization",
    "authentication-info",
    "proxy-authentication-info",
    "x-api-key",
    "x-auth*",
    "x-access-token",
    "x-csrf-token",
    "x-xsrf-token",
    "x-amz-security-token",
    "x-vault-token",
    "x-goog-api-key",
    "apikey",
    "api-key",
    "*-token",
    "*-secret",
];

/// Headers that carry cookies.
pub const COOKIES: [&str; 4] = ["cookie", "cookie2", "set-cookie", "set-cookie2"];

/// [`Redaction`] and the built-in lists, ready to ask.
#[derive(Clone, Debug)]
pub(super) struct Names {
    arguments: Vec<Pattern>,
    headers: Vec<Pattern>,
    show: Vec<Pattern>,
}

impl Names {
    pub(super) fn new(redaction: &Redaction) -> Self {
        let own = |names: &[String]| names.iter().map(|n| Pattern::new(n)).collect::<Vec<_>>();
        let mut arguments: Vec<Pattern> = ARGUMENTS.iter().map(|n| Pattern::new(n)).collect();
        arguments.extend(own(&redaction.arguments));
        let mut headers: Vec<Pattern> = HEADERS.iter().chain(&COOKIES).map(|n| Pattern::new(n)).collect();
        headers.extend(own(&redaction.headers));
        Self { arguments, headers, show: own(&redaction.show) }
    }

    /// Whether an argument of this name holds a secret. Of a path such as `json.user.password` or
    /// `user[password]` every member counts, since `password.0` is as secret as `password`.
    pub(super) fn argument(&self, name: &[u8]) -> bool {
        let whole = squeeze(name);
        let hit = |list: &[Pattern]| {
            let part = |p: &[u8]| !p.is_empty() && list.iter().any(|pattern| pattern.matches(&squeeze(p)));
            list.iter().any(|pattern| pattern.matches(&whole))
                || name.split(|b| SEPARATORS.contains(b)).any(part)
        };
        hit(&self.arguments) && !hit(&self.show)
    }

    /// Whether a header of this name holds a secret.
    pub(super) fn header(&self, name: &[u8]) -> bool {
        let name = squeeze(name);
        let hit = |list: &[Pattern]| list.iter().any(|pattern| pattern.matches(&name));
        hit(&self.headers) && !hit(&self.show)
    }
}

/// What separates the members of a path in an argument's name.
const SEPARATORS: &[u8] = b".[]:/";

/// Names longer than this are compared by their beginning: no application calls a secret by such a name.
const NAME_BYTES: usize = 256;

fn squeeze(name: &[u8]) -> Vec<u8> {
    let letters = name.iter().take(NAME_BYTES).filter(|b| !matches!(b, b'_' | b'-' | b'.' | b' '));
    letters.map(u8::to_ascii_lowercase).collect()
}

#[derive(Clone, Debug)]
struct Pattern {
    text: Vec<u8>,
    open_start: bool,
    open_end: bool,
}

impl Pattern {
    fn new(pattern: &str) -> Self {
        let inner = pattern.trim_matches('*');
        Self {
            text: squeeze(inner.as_bytes()),
            open_start: pattern.starts_with('*'),
            open_end: pattern.ends_with('*'),
        }
    }

    fn matches(&self, name: &[u8]) -> bool {
        match (self.open_start, self.open_end) {
            (false, false) => name == self.text,
            (true, false) => name.ends_with(&self.text),
            (false, true) => name.starts_with(&self.text),
            (true, true) => memchr::memmem::find(name, &self.text).is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_secrets_are_known() {
        let names = Names::new(&Redaction::default());
        for name in [
            "password",
            "Password",
            "user[password]",
            "json.user.new_password",
            "pwd",
            "pass",
            "api-key",
            "apiKey",
            "X-API-KEY",
            "access_token",
            "csrfmiddlewaretoken",
            "cardNumber",
            "cvv2",
            "password.0",
            "PHPSESSID",
        ] {
            assert!(names.argument(name.as_bytes()), "{name}");
        }
        for name in ["id", "q", "passage", "bypass", "author", "pinned", "sidebar", "compass", "comment", ""]
        {
            assert!(!names.argument(name.as_bytes()), "{name}");
        }
        for name in ["Authorization", "COOKIE", "Set-Cookie", "X-Api-Key", "X-Auth-User", "X-Gitlab-Token"] {
            assert!(names.header(name.as_bytes()), "{name}");
        }
        for name in ["Host", "User-Agent", "Accept", "X-Forwarded-For"] {
            assert!(!names.header(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn an_operator_may_add_and_show() {
        let names = Names::new(&Redaction {
            arguments: vec!["Mother*".to_owned()],
            headers: vec!["X-Internal".to_owned()],
            show: vec!["csrf_token".to_owned(), "x-api-key".to_owned()],
        });
        assert!(names.argument(b"mothers_name") && names.header(b"x-internal") && names.argument(b"token"));
        assert!(!names.argument(b"csrf-token") && !names.header(b"X-Api-Key"));
    }
}
