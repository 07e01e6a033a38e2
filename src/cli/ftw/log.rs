//! What the log says about a request: rules with a line each, in the form in which ModSecurity writes its error
//! log, since that is what test files match with regular expressions.

use crate::engine::{Report, RuleHit};
use serde_json::Value;
use std::fmt::Write as _;

/// A rule that the log names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The rule.
    pub id: u64,
    /// Its line.
    pub line: String,
}

impl Seen {
    /// Everything that a finished transaction would write to the error log.
    pub fn in_report(report: &Report) -> Vec<Seen> {
        report.rules.iter().filter(|hit| hit.log).map(Seen::from_hit).collect()
    }

    fn from_hit(hit: &RuleHit) -> Seen {
        let first = hit.matches.first();
        let line = Line {
            operator: &hit.operator,
            variable: first.map_or("", |m| &m.variable),
            value: &first.map_or(Default::default(), |m| String::from_utf8_lossy(&m.value)),
            file: &hit.file,
            line: u64::from(hit.line),
            id: hit.id,
            message: &hit.message,
            data: &String::from_utf8_lossy(&hit.data),
            severity: hit.severity.map(u64::from),
            tags: &hit.tags.iter().map(String::as_str).collect::<Vec<_>>(),
        };
        Seen { id: hit.id, line: line.escaped() }
    }

    /// The rules of one audit record: Portcullis' own (`rules[]`) or ModSecurity's (`transaction.messages[]`).
    pub fn in_record(record: &Value) -> Vec<Seen> {
        let own = record["rules"].as_array().into_iter().flatten();
        let own = own.map(|rule| Self::from_json(rule, rule));
        let messages = record["transaction"]["messages"].as_array().into_iter().flatten();
        let theirs = messages.map(|m| Self::from_json(m, &m["details"]));
        own.chain(theirs).flatten().collect()
    }

    fn from_json(outer: &Value, details: &Value) -> Option<Seen> {
        let number = |v: &Value| v.as_u64().or_else(|| v.as_str()?.parse().ok());
        let id = number(&details["id"]).or_else(|| number(&details["ruleId"]))?;
        let text = |v: &'_ Value| v.as_str().unwrap_or_default().to_owned();
        let tags = details["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let line = Line {
            operator: &text(&details["operator"]),
            variable: &text(&details["variable"]),
            value: &text(&details["value"]),
            file: &text(&details["file"]),
            line: number(&details["line"]).or_else(|| number(&details["lineNumber"])).unwrap_or(0),
            id,
            message: &text(&outer["message"]),
            data: &text(&details["data"]),
            severity: number(&details["severity"]),
            tags: &tags.collect::<Vec<_>>(),
        };
        Some(Seen { id, line: line.escaped() })
    }
}

/// The client's port in an audit record, by which a request is told from others.
pub(super) fn client_port(record: &Value) -> Option<u16> {
    let port = |v: &Value| v.as_u64().and_then(|n| u16::try_from(n).ok());
    let own = &record["client"];
    let address = own.as_str().or_else(|| own["address"].as_str());
    port(&own["port"])
        .or_else(|| port(&record["transaction"]["client_port"]))
        .or_else(|| Some(address?.parse::<std::net::SocketAddr>().ok()?.port()))
}

struct Line<'a> {
    operator: &'a str,
    variable: &'a str,
    value: &'a str,
    file: &'a str,
    line: u64,
    id: u64,
    message: &'a str,
    data: &'a str,
    severity: Option<u64>,
    tags: &'a [&'a str],
}

impl Line<'_> {
    /// The line, with control characters written as ModSecurity does, so that it stays one line.
    fn escaped(&self) -> String {
        let plain = self.to_string();
        let mut out = String::with_capacity(plain.len());
        for c in plain.chars() {
            if c.is_ascii_control() {
                // Infallible: the target is a string.
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            } else {
                out.push(c);
            }
        }
        out
    }
}

impl std::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ModSecurity: Warning. Matched \"Operator `{}'", self.operator)?;
        write!(f, " against variable `{}' (Value: `{}' )", self.variable, self.value)?;
        write!(f, " [file \"{}\"] [line \"{}\"] [id \"{}\"]", self.file, self.line, self.id)?;
        write!(f, " [msg \"{}\"] [data \"{}\"]", self.message, self.data)?;
        if let Some(severity) = self.severity {
            write!(f, " [severity \"{severity}\"]")?;
        }
        self.tags.iter().try_for_each(|tag| write!(f, " [tag \"{tag}\"]"))
    }
}

/// The lines of a log, for a message about a test that failed.
pub(super) fn brief(seen: &[Seen]) -> String {
    let mut out = String::new();
    for (i, rule) in seen.iter().enumerate() {
        // Infallible: the target is a string.
        let _ = write!(out, "{}{}", if i > 0 { ", " } else { "" }, rule.id);
    }
    if out.is_empty() { "no rule".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_schemas_are_read() {
        let own = json!({"client": {"address": "127.0.0.1", "port": 4711}, "rules": [
            {"id": 920100, "message": "m", "data": "found\r\n within ARGS:x", "variable": "ARGS:x", "tags": ["t"]},
            {"id": "7"}, {"message": "no id"}]});
        let seen = Seen::in_record(&own);
        assert_eq!(seen.iter().map(|s| s.id).collect::<Vec<_>>(), [920100, 7]);
        assert!(
            seen[0]
                .line
                .contains(r#"[id "920100"] [msg "m"] [data "found\x0d\x0a within ARGS:x"] [tag "t"]"#)
        );
        assert_eq!(client_port(&own), Some(4711));
        let theirs = json!({"transaction": {"client_port": 9, "messages": [
            {"message": "m", "details": {"ruleId": "42", "lineNumber": "3", "severity": "2"}}]}});
        let seen = Seen::in_record(&theirs);
        assert!(seen[0].line.contains(r#"[line "3"] [id "42"] [msg "m"]"#), "{seen:?}");
        assert_eq!(client_port(&theirs), Some(9));
        assert_eq!(client_port(&json!({"client": "127.0.0.1:80"})), Some(80));
        assert_eq!(client_port(&json!({"client": "127.0.0.1"})), None);
    }
}
