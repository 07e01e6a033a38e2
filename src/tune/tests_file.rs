//! Tests that keep suggestions true, as a go-ftw file that `portcullis test` runs.

use super::propose::Suggestion;
use crate::explain::Exchange;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::fmt::Write;

/// A test file for these suggestions: sampled requests must pass, attacks that were stopped must be.
pub fn tests(suggestions: &[&Suggestion]) -> String {
    let mut out = "---\nmeta:\n  author: portcullis tune\n  description: What exclusions let pass, and what they must not\n"
        .to_owned();
    let first = suggestions.iter().flat_map(|s| &s.exclusions).map(|one| one.exclusion.rule).next();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "rule_id: {}\ntests:", first.unwrap_or(1));
    let mut number = 0;
    for suggestion in suggestions {
        let mut rules: Vec<u64> = suggestion.exclusions.iter().map(|one| one.exclusion.rule).collect();
        rules.sort_unstable();
        rules.dedup();
        for sample in &suggestion.samples {
            number += 1;
            let what = format!("passes: {}", suggestion.place.told());
            test(
                &mut out,
                number,
                &what,
                sample,
                &format!("status: 200\n          log:\n            no_expect_ids: {rules:?}"),
            );
        }
        for (name, exchange, status) in &suggestion.stopped {
            number += 1;
            let what = format!("stopped: {name} of {}", suggestion.place.told());
            test(&mut out, number, &what, exchange, &format!("status: {status}"));
        }
    }
    out
}

fn test(out: &mut String, number: usize, what: &str, exchange: &Exchange, output: &str) {
    let what = Value::from(what).to_string();
    let request = STANDARD.encode(raw(exchange));
    let _ = writeln!(
        out,
        "  - test_id: {number}\n    desc: {what}\n    stages:\n      - input:\n          encoded_request: {request}\n        output:\n          {output}"
    );
}

/// The bytes of a request.
fn raw(exchange: &Exchange) -> Vec<u8> {
    let mut out = [&exchange.method, &b" "[..], &exchange.target, b" HTTP/1.1\r\n"].concat();
    for (name, value) in &exchange.headers {
        let framing =
            name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding");
        if !framing {
            out.extend([name, &b": "[..], value, b"\r\n"].concat());
        }
    }
    if !exchange.body.is_empty() {
        out.extend(format!("Content-Length: {}\r\n", exchange.body.len()).into_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&exchange.body);
    out
}
