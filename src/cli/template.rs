//! What stands between `{{` and `}}` in a template of nuclei, replaced by what it would become.
//!
//! Payloads and variables of the template, hosts, and calls of the functions that encode a text. Everything else, random
//! texts above all, becomes a word, and is told as a guess.

use super::source::encode;
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
            let Some((inner, after)) = after.split_once("}}") else {
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
                    let guess = format!("{{{{{expression}}}}} of the template is written as `x1`");
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
        for quote in ['"', '\''] {
            let inner = expression.strip_prefix(quote).and_then(|e| e.strip_suffix(quote));
            if let Some(inner) = inner.filter(|inner| !inner.contains(quote)) {
                return Some(inner.to_owned());
            }
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

/// The arguments of a call, split at commas outside of quotes and parentheses.
fn arguments_of(text: &str) -> Vec<&str> {
    let (mut out, mut start, mut depth, mut quote) = (Vec::new(), 0, 0_usize, None);
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                out.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    out.extend(text.get(start..).filter(|rest| !rest.trim().is_empty()));
    out
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
