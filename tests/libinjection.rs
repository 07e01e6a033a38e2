//! What `@detectSQLi` and `@detectXSS` stand on, our own detector and the crate `libinjectionrs`, against the
//! published cases of libinjection's C code.
//!
//! A case that differs is listed in [`KNOWN`] with its reason. The test fails when a case differs that is not
//! listed, and when one is listed that no longer differs.

use libinjectionrs::xss::{Html5Flags, Html5State};
use portcullis::operator::sqli::{self, Kind, Token};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

#[derive(Deserialize)]
struct Case {
    id: String,
    kind: String,
    input: String,
    expected: String,
}

/// Cases which differ from the C code: id, reason.
const KNOWN: &[(&str, &str)] = &[];

#[test]
fn the_published_cases_agree() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/engine-cases/libinjection_dev.jsonl.gz");
    let Ok(compressed) = std::fs::read(&path) else {
        eprintln!("SKIPPED: libinjection's cases are not at {}", path.display());
        return;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(&compressed[..]).read_to_string(&mut text).expect("it is gzip and UTF-8");
    let known: BTreeMap<&str, &str> = KNOWN.iter().copied().collect();
    let (mut kinds, mut differ, mut faults) = (BTreeSet::new(), BTreeSet::new(), String::new());
    for line in text.lines() {
        let case: Case = serde_json::from_str(line).expect("a case");
        let input = latin_1(&case.input);
        let kind = case.kind.split('-').next().unwrap_or_default();
        let actual = match kind {
            "tokens" => tokens(&input),
            "folding" => folded(&input),
            "html5" => html5(&input),
            "sqli" => fingerprint(&input),
            other => panic!("{}: what is a case of {other}?", case.id),
        };
        kinds.insert(kind.to_owned());
        let (actual_text, wanted) =
            (trimmed(&actual), trimmed(&String::from_utf8_lossy(&latin_1(&case.expected))));
        // Merged words are told in capitals, where C tells them as they stand in the value.
        let same = kind == "folding" && actual_text.eq_ignore_ascii_case(&wanted) || actual_text == wanted;
        if same {
            continue;
        }
        if !known.contains_key(case.id.as_str()) {
            _ = writeln!(
                faults,
                "{}: {:?}\n  wanted {:?}\n  given  {actual:?}",
                case.id, case.input, case.expected
            );
        }
        differ.insert(case.id);
    }
    assert_eq!(kinds.len(), 4, "only {kinds:?}");
    assert!(faults.is_empty(), "\n{faults}");
    for id in known.keys() {
        assert!(differ.contains(*id), "{id} is listed and does not differ");
    }
}

/// Trailing white space of lines and text says nothing.
fn trimmed(text: &str) -> String {
    text.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn latin_1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("cases are Latin-1")).collect()
}

fn tokens(input: &[u8]) -> String {
    sqli::tokens(input).iter().map(|token| shown(token, input)).collect::<Vec<_>>().join("\n")
}

fn folded(input: &[u8]) -> String {
    sqli::folded(input).iter().map(|token| shown(token, input)).collect::<Vec<_>>().join("\n")
}

fn fingerprint(input: &[u8]) -> String {
    sqli::detect(input).map(|fingerprint| fingerprint.to_string()).unwrap_or_default()
}

fn html5(input: &[u8]) -> String {
    let mut state = Html5State::new(input, Html5Flags::DataState);
    let mut lines = Vec::new();
    while state.next() {
        let text = state.token_start.get(..state.token_len).unwrap_or_default();
        lines.push(format!("{},{},{}", state.token_type, state.token_len, String::from_utf8_lossy(text)));
    }
    lines.join("\n")
}

/// A token as the C project's test driver prints it.
fn shown(token: &Token, input: &[u8]) -> String {
    let value = String::from_utf8_lossy(token.text(input));
    let quote = |byte: u8| if byte == 0 { String::new() } else { char::from(byte).to_string() };
    let kind = char::from(token.kind.letter());
    match token.kind {
        Kind::String => format!("{kind} {}{value}{}", quote(token.open), quote(token.close)),
        Kind::Variable => {
            let name = token.at - usize::from(token.open != 0);
            let signs = input[..name].iter().rev().take(2).take_while(|byte| **byte == b'@').count();
            format!("{kind} {}{}{value}{}", "@".repeat(signs), quote(token.open), quote(token.close))
        }
        _ => format!("{kind} {value}"),
    }
}
