//! Text that nobody meant: no panic, and time in proportion to length.

use std::time::{Duration, Instant};

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
fn time_is_linear() {
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
    compare(shapes, "test.conf");
}

fn compare(shapes: &[fn(usize) -> String], name: &str) {
    for (i, shape) in shapes.iter().enumerate() {
        let (small, large) = (shape(20_000), shape(160_000));
        let short = fastest(name, &small);
        let long = fastest(name, &large);
        // Eight times the text; quadratic work would take sixty-four times as long.
        assert!(long < short * 24 + Duration::from_millis(100), "shape {i}: {short:?}, then {long:?}");
    }
}

#[test]
fn time_is_linear_in_yaml() {
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
    compare(shapes, "test.yaml");
}

fn fastest(name: &str, text: &str) -> Duration {
    let once = || {
        let start = Instant::now();
        Parsed::load(name, &Memory::new([(name, text.as_bytes())]));
        start.elapsed()
    };
    (0..3).map(|_| once()).min().unwrap_or_default()
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
