//! What stands between `{{` and `}}` in a template of nuclei, replaced by what it would become.
//!
//! Payloads and variables of the template, hosts, and calls of the functions that encode a text. Everything else, random
//! texts above all, becomes a word, and is told as a guess.

use super::encode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// What is known while a text is filled in.
pub(super) struct Filling<'a> {
    pub(super) payloads: &'a Value,
    pub(super) variables: &'a Value,
    pub(super) guesses: &'a mut Vec<String>,
}

impl Filling<'_> {
    /// `text` with everything replaced.
    pub(super) fn fill(&mut self, text: &str) -> String {
        self.filled(text, 0)
    }

    fn filled(&mut self, text: &str, depth: usize) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            out.push_str(before);
            let Some((inner, after)) = expression_of(after) else {
                out.push_str("{{");
                rest = after;
                continue;
            };
            rest = after;
            let expression = inner.trim();
            match self.value(expression, depth) {
                Some(value) => out.push_str(&value),
                // An expression for the application, not for nuclei: `{{7*7}}`.
                None if !is_word(expression) && !expression.contains('(') => {
                    out.push_str("{{");
                    out.push_str(inner);
                    out.push_str("}}");
                }
                None => {
                    let guess = if is_lost(expression) {
                        format!("{{{{{expression}}}}} {UNKNOWN}")
                    } else {
                        format!("{{{{{expression}}}}} of the template is written as `x1`")
                    };
                    if !self.guesses.contains(&guess) {
                        self.guesses.push(guess);
                    }
                    out.push_str("x1");
                }
            }
        }
        out.push_str(rest);
        out
    }

    /// What `expression` is: a name, a text in quotes, or a call.
    fn value(&mut self, expression: &str, depth: usize) -> Option<String> {
        if depth > DEPTH {
            return None;
        }
        if let Some(text) = unquoted(expression) {
            return Some(self.filled(&text, depth + 1));
        }
        match expression {
            "BaseURL" | "RootURL" | "Path" => return Some(String::new()),
            "Hostname" | "Host" => return Some("app.example".to_owned()),
            name if name.contains("interactsh") => return Some("evil.example".to_owned()),
            name if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) => {
                return Some(name.to_owned());
            }
            _ => {}
        }
        let payload = &self.payloads[expression];
        let known = [&payload[0], payload, &self.variables[expression]].into_iter().find_map(text_of);
        if let Some(known) = known {
            return Some(self.filled(&known, depth + 1));
        }
        let (name, inner) = expression.strip_suffix(')')?.split_once('(')?;
        let mut arguments = Vec::new();
        for argument in arguments_of(inner) {
            arguments.push(self.value(argument.trim(), depth + 1)?);
        }
        call(name.trim(), &arguments)
    }
}

/// The result of a function that makes one text of others.
fn call(name: &str, arguments: &[String]) -> Option<String> {
    let first = arguments.first()?;
    Some(match name {
        "url_encode" => encode(first.as_bytes()),
        "base64" => STANDARD.encode(first),
        "base64_decode" => String::from_utf8(STANDARD.decode(first).ok()?).ok()?,
        "hex_encode" => first.bytes().map(|b| format!("{b:02x}")).collect(),
        "to_lower" => first.to_lowercase(),
        "to_upper" => first.to_uppercase(),
        "trim_space" => first.trim().to_owned(),
        "reverse" => first.chars().rev().collect(),
        "concat" => arguments.concat(),
        "replace" => first.replace(arguments.get(1)?.as_str(), arguments.get(2)?),
        "repeat" => {
            first.repeat(arguments.get(1)?.parse::<usize>().ok().filter(|n| n * first.len() <= MOST)?)
        }
        "html_escape" => {
            first.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;")
        }
        _ => return None,
    })
}

/// What stands before `}}` in `text`, and what after. Braces in the quotes of a call, `url_encode("{{7*7}}")`, end nothing.
fn expression_of(text: &str) -> Option<(&str, &str)> {
    let name = text.trim_start().trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if name.starts_with('(') && name.len() < text.trim_start().len() {
        for (at, _) in outside_quotes(text).filter(|(_, character)| *character == '}') {
            if let Some(after) = text.get(at..).and_then(|rest| rest.strip_prefix("}}")) {
                return Some((text.get(..at)?, after));
            }
        }
    }
    text.split_once("}}")
}

/// The text that `expression` is, in quotes.
fn unquoted(expression: &str) -> Option<String> {
    let quote = expression.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = expression.strip_prefix(quote)?.strip_suffix(quote)?;
    let (mut out, mut characters) = (String::new(), inner.chars().peekable());
    while let Some(character) = characters.next() {
        match character {
            c if c == quote => return None,
            '\\' => match characters.next()? {
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                c if c == quote || c == '\\' => out.push(c),
                c => out.extend(['\\', c]),
            },
            c => out.push(c),
        }
    }
    Some(out)
}

/// Whether what makes a request hostile may be in `expression`, which is not known: a text given to a function.
fn is_lost(expression: &str) -> bool {
    expression
        .split_once('(')
        .is_some_and(|(name, arguments)| !name.trim().starts_with("rand") && arguments.contains(['"', '\'']))
}

/// The arguments of a call, split at commas outside of quotes and parentheses.
fn arguments_of(text: &str) -> Vec<&str> {
    let (mut out, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, character) in outside_quotes(text) {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                out.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    out.extend(text.get(start..).filter(|rest| !rest.trim().is_empty()));
    out
}

/// The characters of `text` outside of quotes, each with its place. In quotes, a backslash takes from the next character its
/// meaning.
fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut quote, mut escaped) = (None, false);
    text.char_indices().filter(move |(_, character)| {
        match (quote, *character) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(*character),
            (None, _) => return true,
        }
        false
    })
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

/// How guesses end that stand for a text which is not known.
pub(in crate::cli) const UNKNOWN: &str = "of the template cannot be worked out here, and is written as `x1`";
/// Variables that are made of variables.
const DEPTH: usize = 8;
/// Bytes that a text may be repeated to.
const MOST: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn known_values_take_their_place_and_others_are_told() {
        let payloads = json!({"path": ["../../etc/passwd", "x"]});
        let variables = json!({"a": "{{path}};id", "b": "{{b}}", "n": 7});
        for (text, expected, guesses) in [
            ("{{BaseURL}}/x?f={{path}}", "/x?f=../../etc/passwd", 0),
            ("{{url_encode(a)}}", "..%2F..%2Fetc%2Fpasswd%3Bid", 0),
            ("{{base64(concat('a', \"b,c\", n))}}", "YWIsYzc=", 0),
            ("{{to_upper(hex_encode('k'))}}", "6B", 0),
            ("{{randstr}} {{randstr}} {{md5(1)}}", "x1 x1 x1", 2),
            ("{{7*7}} {{", "{{7*7}} {{", 0),
            ("u={{url_encode(\"{{7*7}}\")}}&a=1", "u=%7B%7B7%2A7%7D%7D&a=1", 0),
            ("{{to_upper('a}}b')}}{{path}}", "A}}B../../etc/passwd", 0),
            (r#"{{to_upper("a\"}}b")}}"#, r#"A"}}B"#, 0),
            ("{{concat('a, {{path}}')}}", "a, ../../etc/passwd", 0),
            ("{{trim_space('a}}", "x1", 1),
            ("{{zlib('a}}')}}&b={{x'}}", "x1&b={{x'}}", 1),
            ("{{interactsh-url}}", "evil.example", 0),
            ("{{b}}", "x1", 1),
            ("{{repeat('ab', 3)}} {{repeat('ab', 999999)}}", "ababab x1", 1),
        ] {
            let mut told = Vec::new();
            let filled =
                Filling { payloads: &payloads, variables: &variables, guesses: &mut told }.fill(text);
            assert_eq!((filled.as_str(), told.len()), (expected, guesses), "{text}: {told:?}");
        }
    }
}
