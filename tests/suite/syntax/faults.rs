//! Faulty text and what is said about it. Each case of `faults/*.txt` begins with a line `=== what is wrong`.

use portcullis::syntax::diagnostic::{render, to_json};

use crate::support::Parsed;

#[test]
fn lexing() {
    insta::assert_snapshot!(told(include_bytes!("faults/lexing.txt")));
}

#[test]
fn targets() {
    insta::assert_snapshot!(told(include_bytes!("faults/targets.txt")));
}

#[test]
fn actions() {
    insta::assert_snapshot!(told(include_bytes!("faults/actions.txt")));
}

#[test]
fn directives() {
    insta::assert_snapshot!(told(include_bytes!("faults/directives.txt")));
}

#[test]
fn json_has_the_same_places() {
    let parsed = Parsed::text("SecAction \"id:1,\\\n  msg:'a' b\"\n");
    let json = to_json(&parsed.diagnostics, &parsed.sources);
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).expect("a value can be written"));
}

#[test]
fn colour_is_asked_for() {
    let parsed = Parsed::text("Frobnicate");
    assert!(!render(&parsed.diagnostics, &parsed.sources, false).contains('\x1b'));
    assert!(render(&parsed.diagnostics, &parsed.sources, true).contains("\x1b["));
}

#[test]
fn a_file_of_faults_does_not_fill_memory() {
    for text in ["x\n".repeat(100_000), format!("SecRule {} x", "|".repeat(100_000)), ",".repeat(100_000)] {
        let parsed = Parsed::text(&text);
        assert!(parsed.diagnostics.has_errors());
        assert!(parsed.diagnostics.len() < 2_010, "{}", parsed.diagnostics.len());
    }
}

/// The cases of `file` and the complaints about each.
fn told(file: &[u8]) -> String {
    let one = |(title, text): (String, Vec<u8>)| {
        let parsed = Parsed::bytes(&text);
        format!("{title}{}\n", render(&parsed.diagnostics, &parsed.sources, false))
    };
    cases(file).into_iter().map(one).collect()
}

/// Titles and texts of the cases of `file`.
pub fn cases(file: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    for line in file.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b"=== ") {
            found.push((String::from_utf8_lossy(line).into_owned(), Vec::new()));
        } else {
            found.last_mut().expect("a file begins with a title").1.extend(line);
        }
    }
    assert!(!found.is_empty());
    found
}
