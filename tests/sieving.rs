//! Sieving spares work and changes nothing: rules of any kind, behind any transformations, match what they match without
//! it.
//!
//! Rulesets are made at random, and so are the values: pieces of what the rules look for and of what transformations
//! undo. Each value comes several times, so that it is sieved as one that is new, and as one of which more is known.

use portcullis::compile::{self, Input};
use portcullis::engine::{NoWorld, Options, Transaction};
use portcullis::ruleset::{Mode, Ruleset};
use portcullis::syntax::seclang::FileLoader;
use portcullis::transform;
use proptest::prelude::*;
use proptest::sample::select;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

/// What may become of a value on its way to a rule.
static STEPS: LazyLock<Vec<&str>> = LazyLock::new(|| transform::all().iter().map(|row| row.name).collect());

/// What rules ask.
const OPERATORS: [&str; 34] = [
    "@rx (?i)<script",
    "@rx \\bon[a-z]+\\s*=",
    "@rx \\.\\./",
    "@rx union\\s+select",
    "@rx [;|]\\s*cat\\b",
    "@rx ^[a-z]*$",
    "@rx ^$",
    "@rx /\\*",
    "@rx --|#",
    "@rx '\\s*or\\s*'",
    "@rx %[0-9a-f]{2}",
    "@rx &[a-z]+;",
    "@rx [^a-z/ ]{3}",
    "@rx \\x00",
    "@rx \\\\u00[0-9a-f]{2}",
    "@rx ^[0-9]+$",
    "@rx [\\x80-\\xff]",
    "@rx (?:a|b)\\.(?:c|d)",
    "@rx \\s{2}",
    "@rx ^[0-9a-f]{32}$",
    "@rx ^\\xd4\\x1d",
    "@rx ^0$",
    "!@rx ^[a-z0-9 ]*$",
    "!@rx <",
    "@pm script select cat passwd",
    "@pm ../ <? ${",
    "@contains etc/passwd",
    "@contains +",
    "@streq cat",
    "!@streq a/b",
    "@beginsWith <",
    "@endsWith ;",
    "@detectSQLi",
    "@detectXSS",
];

/// What values are made of.
const PIECES: [&str; 64] = [
    "a",
    "b",
    "cat",
    "or",
    "on",
    "1",
    "4",
    "=",
    "<",
    ">",
    "'",
    "\"",
    ";",
    "|",
    "&",
    "%",
    "#",
    "/",
    "*",
    "-",
    "!",
    "\\",
    ".",
    "+",
    " ",
    "\t",
    "\n",
    "\0",
    "$",
    "{",
    "}",
    "é",
    "<script",
    "<!--",
    "-->",
    "/*",
    "*/",
    "--",
    "../",
    "/./",
    "..\\",
    "etc/passwd",
    "union",
    "select",
    "onload",
    "%3c",
    "%2e%2e%2f",
    "%u003c",
    "%00",
    "&lt;",
    "&#x3c;",
    "&amp;",
    "\\u003c",
    "\\x3c",
    "\\3c ",
    "\\n",
    "0x3c61",
    "PHNjcmlwdA==",
    "3c736372697074",
    "a.c",
    "' or '",
    "^",
    "c^at",
    "u",
];

/// A rule: its steps, what it asks, and whether it does so after each step.
type Rule = (Vec<&'static str>, &'static str, bool);

fn rule() -> impl Strategy<Value = Rule> {
    // Most trees of real rulesets branch late: many rules begin with the same steps.
    let steps = prop_oneof![
        2 => Just(Vec::new()),
        3 => proptest::collection::vec(select(&STEPS[..]), 1..4),
        2 => proptest::collection::vec(select(&STEPS[..]), 0..3).prop_map(|more| [&["urlDecodeUni"], &*more].concat()),
        2 => proptest::collection::vec(select(&STEPS[..]), 0..3)
            .prop_map(|more| [&["htmlEntityDecode", "jsDecode"], &*more].concat()),
    ];
    (steps, select(&OPERATORS[..]), proptest::bool::weighted(0.1))
}

/// A value. Some have next to nothing, and some are long, which is sieved in ways of its own.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let size = prop_oneof![1 => 0_usize..2, 2 => 0_usize..9];
    let pieces = size.prop_flat_map(|size| proptest::collection::vec(select(&PIECES[..]), size));
    let times = prop_oneof![3 => Just(1_usize), 1 => 2_usize..30];
    (pieces, times).prop_map(|(pieces, times)| pieces.concat().repeat(times).into_bytes())
}

fn ruleset(rules: &[Rule]) -> Arc<Ruleset> {
    let mut text = String::from("SecRuleEngine DetectionOnly\n");
    for (n, (steps, operator, each)) in rules.iter().enumerate() {
        let steps: String = steps.iter().map(|step| format!(",t:{step}")).collect();
        let each = if *each { ",multiMatch" } else { "" };
        let _ = writeln!(
            text,
            "SecRule REQUEST_HEADERS:X \"{operator}\" \"id:{},phase:1,pass{each},t:none{steps}\"",
            n + 1
        );
    }
    let loaded = compile::load(&[Input::Text { name: "random.conf".into(), text }], &FileLoader);
    loaded.ruleset.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

/// What matched, and where; with so many bytes of other values beside.
fn matched(ruleset: &Arc<Ruleset>, values: &[Vec<u8>], beside: usize, sieves: bool) -> Vec<(u64, String)> {
    let options = Options { id: "0".into(), mode: Some(Mode::DetectionOnly), world: Arc::new(NoWorld) };
    let mut tx = Transaction::new(Arc::clone(ruleset), options);
    tx.set_prefilters(sieves);
    tx.set_verdicts(false);
    tx.process_uri(b"GET", b"/", b"HTTP/1.1");
    tx.add_request_header(b"Beside", &vec![b'b'; beside]);
    for value in values {
        tx.add_request_header(b"X", value);
    }
    let _ = tx.process_request_headers();
    let report = tx.process_logging(200);
    report.rules.iter().map(|hit| (hit.id, format!("{:?}", hit.matches))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn sieving_changes_nothing(
        // Sets of rules of one word, of two and three, and of more.
        rules in prop_oneof![1_usize..20, 60_usize..140, 200_usize..260]
            .prop_flat_map(|size| proptest::collection::vec(rule(), size)),
        values in proptest::collection::vec(value(), 1..60),
    ) {
        let ruleset = ruleset(&rules);
        for values in values.chunks(3) {
            let all = matched(&ruleset, values, 0, false);
            for time in 0..6 {
                // Among much else, less is remembered of what became of a value.
                let beside = if time % 2 == 0 { 0 } else { 200_000 };
                let sieved = matched(&ruleset, values, beside, true);
                let told = || values.iter().map(|v| v.escape_ascii().to_string()).collect::<Vec<_>>();
                let differ = |id: &u64| sieved.iter().find(|m| m.0 == *id) != all.iter().find(|m| m.0 == *id);
                let ids = || (1..=rules.len() as u64).filter(differ).map(|id| (id, &rules[id as usize - 1])).collect::<Vec<_>>();
                prop_assert!(sieved == all, "the {time}th time {:?}: {:?}", told(), ids());
            }
        }
    }
}

/// Rules are asked about a long value in the sieve itself, where nothing is left to do to it but what prefilters do not see.
#[test]
fn what_prefilters_do_not_see_is_not_left_out() {
    let all = [
        (vec!["urlDecodeUni", "cmdLine"], "@rx \\bon[a-z]+=", "<ONerror=!"),
        (vec!["lowercase"], "@rx \\bon[a-z]+=", "<ONerror=!"),
    ];
    for (steps, operator, piece) in all {
        let rules = [(steps, operator, false)];
        let ruleset = ruleset(&rules);
        let values = [piece.repeat(60).into_bytes()];
        for time in 0..6 {
            let matches = [false, true].map(|sieves| matched(&ruleset, &values, 0, sieves));
            assert_eq!(matches[0].len(), 1, "{rules:?}");
            assert_eq!(matches[0], matches[1], "{rules:?} the {time}th time");
        }
    }
}
