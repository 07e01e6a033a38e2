//! Native YAML: what it becomes, and what is said about faulty files. Cases as in `faults.rs`.

use portcullis::limits;
use portcullis::syntax::ast::{Document, Statement};
use portcullis::syntax::diagnostic::render;
use portcullis::syntax::print::{print, print_statement};
use proptest::prelude::*;

use crate::faults::cases;
use crate::support::{Memory, Parsed, without_spans};

#[test]
fn lowered() {
    let mut out = String::new();
    for (title, text) in cases(include_bytes!("yaml/lowered.txt")) {
        let parsed = yaml(&text);
        out.push_str(&title);
        if !parsed.diagnostics.is_empty() {
            out.push_str(&render(&parsed.diagnostics, &parsed.sources, false));
        }
        out.push_str(&print(&parsed.document));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn faults() {
    let mut out = String::new();
    for (title, text) in cases(include_bytes!("yaml/faults.txt")) {
        let parsed = yaml(&text);
        out.push_str(&format!("{title}{}\n", render(&parsed.diagnostics, &parsed.sources, false)));
    }
    insta::assert_snapshot!(out);
}

/// Whatever is written as YAML is a SecLang file too.
#[test]
fn what_is_lowered_can_be_written_as_seclang() {
    for (title, text) in cases(include_bytes!("yaml/lowered.txt")) {
        let read = yaml(&text).document;
        let lowered = Document { statements: read.statements, ..Document::default() };
        let printed = print(&lowered);
        let again = Parsed::sound(&printed).document;
        assert_eq!(without_spans(&lowered), without_spans(&again), "{title}{printed}");
    }
}

#[test]
fn tests_of_rules_are_kept() {
    let parsed = yaml(
        r#"
rules:
  - id: 7
    when: {variables: ARGS, operator: '@rx x'}
    matches:
      - GET /?id=1' OR "ü" HTTP/1.1
      - |
        POST /form
        Host: a.example
        X: y:z

        a=b
        c=d
      - {uri: /x, body: '{}', headers: {content-type: application/json}, response: {status: 500, body: oops}}
    passes:
      - {method: DELETE}
"#
        .as_bytes(),
    );
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    let tests: Vec<_> = parsed
        .document
        .tests
        .iter()
        .map(|test| (test.rule, test.matches, &test.request, &test.response))
        .collect();
    insta::assert_debug_snapshot!(tests);
}

#[test]
fn every_kind_of_file_includes_every_other() {
    let loader = Memory::new([
        ("a/main.yaml", &b"include: [sub.conf, '*.yml']\nseclang: SecMarker c"[..]),
        ("a/sub.conf", b"SecMarker a\nInclude deep.YAML"),
        ("a/deep.YAML", b"seclang: |\n  SecMarker b\n  IncludeOptional none.conf"),
        ("a/loop.yml", b"include: main.yaml"),
    ]);
    let parsed = Parsed::load("a/main.yaml", &loader);
    let printed: String = parsed.document.statements.iter().map(print_statement).collect();
    assert_eq!(printed, "SecMarker a\nSecMarker b\nSecMarker c\n");
    insta::assert_snapshot!(render(&parsed.diagnostics, &parsed.sources, false));
}

#[test]
fn a_block_is_read_as_yaml_reads_it() {
    for indent in ["", "2"] {
        let text =
            format!("rules: []\r\nseclang: |{indent}\n\n  SecRule ARGS \"@rx a\\\n    b\" \"id:1\"\n# end\n");
        let parsed = yaml(text.as_bytes());
        assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
        let Some(Statement::Rule(rule)) = parsed.document.statements.first() else { panic!("{text}") };
        // Two of the four spaces are the block's, two the pattern's.
        assert_eq!(rule.operator.argument.node, "a  b");
        assert!(parsed.sources.text(rule.span).starts_with("SecRule"));
    }
}

#[test]
fn spans_hold_in_files_with_wide_characters_and_carriage_returns() {
    let text = "# é漢\r\nrules:\r\n  - id: 1\r\n    message: 'ü'\r\n    when: {variables: [ARGS:é], operator: '@rx é'}\r\n";
    let parsed = yaml(text.as_bytes());
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    let Some(Statement::Rule(rule)) = parsed.document.statements.first() else { panic!("a rule") };
    let at = |span| parsed.sources.text(span);
    assert_eq!(at(rule.operator.argument.span), "é");
    assert_eq!(at(rule.targets[0].name.span), "ARGS");
    let message = rule.actions.iter().find(|a| a.name.node == "msg").expect("a message");
    assert_eq!(at(message.span), "ü");
}

#[test]
fn many_faults_end() {
    let text = format!("rules:\n{}", "  - {}\n".repeat(5_000));
    let parsed = yaml(text.as_bytes());
    assert!(parsed.diagnostics.len() <= limits::DIAGNOSTICS + 1, "{}", parsed.diagnostics.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        everything(&bytes);
    }

    #[test]
    fn almost_rules(pieces in proptest::collection::vec(piece(), 0..60)) {
        everything(pieces.concat().as_bytes());
    }
}

fn yaml(bytes: &[u8]) -> Parsed {
    Parsed::load("test.yaml", &Memory::new([("test.yaml", bytes)]))
}

fn everything(bytes: &[u8]) {
    let parsed = yaml(bytes);
    render(&parsed.diagnostics, &parsed.sources, false);
    print(&parsed.document);
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "rules:",
            "\n",
            "\n  ",
            "\n    ",
            "\r\n",
            "- ",
            "id: 1",
            "when: ",
            "{",
            "}",
            "[",
            "]",
            ", ",
            ": ",
            "variables: ARGS",
            "operator: '@rx x'",
            "any: ",
            "all: ",
            "not: ",
            "seclang: |",
            "SecRule ARGS x",
            "\\",
            "\"",
            "'",
            "settings: ",
            "exclusions: ",
            "matches: ",
            "GET /",
            "#",
            "é",
            "|",
            ">",
            "&a",
            "*a",
            "!t",
            "---",
            "...",
            "\t",
            "? ",
            "phase: ",
            "2",
            "\u{feff}",
            "targets: ",
            "actions: ",
            "deny",
        ])
        .prop_map(str::to_owned),
        "[a-z]{0,3}",
    ]
}
