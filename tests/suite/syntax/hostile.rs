//! Text that nobody meant: no panic. What it costs is measured in `benches/linear.rs`.

use portcullis::syntax::diagnostic::{render, to_json};
use portcullis::syntax::print::print;
use proptest::prelude::*;

use crate::support::{Memory, Parsed};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        everything(&bytes);
    }

    #[test]
    fn almost_rules(pieces in proptest::collection::vec(piece(), 0..40)) {
        everything(pieces.concat().as_bytes());
    }
}

#[test]
fn hostile_shapes() {
    let shapes: &[fn(usize) -> String] = &[
        |n| "\\\n".repeat(n),
        |n| "#\\\n".repeat(n),
        |n| format!("SecRule {} \"\" \"\"", "A:/".repeat(n)),
        |n| format!("SecRule {} \"\" \"\"", "A:/|".repeat(n)),
        |n| format!("SecRule {} \"\" \"\"", "A:'\\'|".repeat(n)),
        |n| format!("SecRule {} \"\" \"\"", "A|".repeat(n)),
        |n| format!("SecRule {} \"\" \"\"", "!".repeat(n)),
        |n| format!("SecRule {} \"\" \"\"", "\\\nA|".repeat(n)),
        |n| format!("SecAction \"{}\"", "a:='\\',".repeat(n)),
        |n| format!("SecAction \"{}\"", "a:'x',".repeat(n)),
        |n| format!("SecAction \"{}\"", "a:\\\"',".repeat(n)),
        |n| format!("SecAction {}", "\"\" ".repeat(n)),
        |n| format!("SecDataset x `{}", "\n".repeat(n)),
        |n| "SecDataset x `\n".repeat(n),
        |n| "x".repeat(n),
        |n| "\"".repeat(n),
        |n| "SecMarker x\n".repeat(n),
        |n| format!("SecMarker \"{}\"", "\\\"".repeat(n)),
    ];
    read(shapes, "test.conf");
}

/// Reads each shape: faults are told, and nothing breaks.
fn read(shapes: &[fn(usize) -> String], name: &str) {
    for shape in shapes {
        let text = shape(2_000);
        let parsed = Parsed::load(name, &Memory::new([(name, text.as_bytes())]));
        render(&parsed.diagnostics, &parsed.sources, false);
    }
}

#[test]
fn hostile_shapes_in_yaml() {
    let shapes: &[fn(usize) -> String] = &[
        |n| "[".repeat(n),
        |n| "- ".repeat(n),
        |n| "- a\n".repeat(n),
        |n| "'".repeat(n),
        |n| "? ".repeat(n),
        |n| format!("a: '{}'", "\n".repeat(n)),
        |n| format!("rules:\n{}", "- {id: 1}\n".repeat(n / 10)),
        |n| format!("rules: [{}]", "é, ".repeat(n)),
        |n| format!("seclang: |\n{}", "  SecMarker é\n".repeat(n / 10)),
        |n| format!("seclang: [{}]", "SecMarker a, ".repeat(n / 10)),
        |n| format!("settings: {{SecRuleEngine: [{}]}}", "a, ".repeat(n)),
        |n| format!("rules: [{{id: 1, not: {{variables: ARGS, operator: x}}, tags: [{}]}}]", "a, ".repeat(n)),
        |n| format!("exclusions: [{{rules: 1, targets: [{}]}}]", "ARGS, ".repeat(n)),
    ];
    read(shapes, "test.yaml");
}

fn everything(bytes: &[u8]) {
    let parsed = Parsed::bytes(bytes);
    render(&parsed.diagnostics, &parsed.sources, true);
    to_json(&parsed.diagnostics, &parsed.sources);
    print(&parsed.document);
    for statement in &parsed.document.statements {
        assert!(!parsed.sources.text(statement.span()).is_empty());
    }
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "SecRule ",
            "SecAction ",
            "SecMarker ",
            "SecDataset ",
            "Include ",
            "ARGS",
            "|",
            "!",
            "&",
            ":",
            "/",
            "'",
            "\"",
            "\\",
            "\\\n",
            "\n",
            "\r\n",
            ",",
            "@rx ",
            "id:1",
            "msg:'",
            "é",
            "`",
            " ",
            "#",
            "<",
            "XML:",
            "[",
            "]",
            "=",
            ";",
            "\0",
            "\u{feff}",
            "\u{a0}",
        ])
        .prop_map(str::to_owned),
        "[a-z]{0,4}",
    ]
}
