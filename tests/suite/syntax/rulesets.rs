//! Whole rulesets parse without a complaint, and nothing in them is lost.

use std::path::Path;

use portcullis::syntax::ast::Statement;
use portcullis::syntax::diagnostic::Severity;

use crate::support::{Parsed, crs, rule_files};

#[test]
fn crs_parses_without_a_diagnostic() {
    let Some(crs) = crs() else { return };
    let files = rule_files(&crs);
    assert!(files.len() > 25, "{files:?}");
    for file in files {
        assert_whole(&file);
    }
}

#[test]
fn debian_crs_parses_without_a_diagnostic() {
    let root = Path::new("/usr/share/modsecurity-crs/rules");
    if !root.is_dir() {
        return;
    }
    for file in rule_files(root) {
        assert_whole(&file);
    }
}

#[test]
fn the_sum_of_crs_is_known() {
    let Some(crs) = crs() else { return };
    let mut rules = 0;
    let mut chained = 0;
    let mut markers = 0;
    for file in rule_files(&crs.join("rules")) {
        if file.extension().is_some_and(|e| e == "conf") {
            for statement in Parsed::file(&file).document.statements {
                match statement {
                    Statement::Rule(rule) => {
                        rules += 1;
                        chained += usize::from(rule.actions.iter().any(|a| a.name.node == "chain"));
                    }
                    Statement::Marker(..) => markers += 1,
                    _ => {}
                }
            }
        }
    }
    // Counted with grep: lines that begin with SecRule and a blank, that hold the word chain as an action,
    // that begin with SecMarker.
    assert_eq!((rules, chained, markers), (RULES, CHAINED, MARKERS));
}

/// What ModSecurity's own engine tests load, this parser reads; what is left for the compiler to refuse is not
/// refused here.
#[test]
fn the_rules_of_modsecuritys_tests_parse() {
    use std::io::Read;
    let Some(crs) = crs() else { return };
    let path = crs.join("../engine-cases/regression_dev.jsonl.gz");
    let file = std::fs::File::open(path).expect("the cases can be read");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("the cases are gzipped UTF-8");
    let mut faults = Vec::new();
    let mut cases = 0;
    for line in text.lines() {
        let case: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
        let id = case["id"].as_str().expect("each case has an id");
        let rules = case["test"]["rules"].as_array().expect("each case has rules");
        let rules: Vec<_> = rules.iter().filter_map(|r| r.as_str()).collect();
        let parsed = Parsed::text(&rules.join("\n"));
        cases += 1;
        let errors = parsed.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        faults.extend(errors.map(|d| format!("{id}: {}", d.message)));
    }
    assert!(cases > 200);
    faults.sort();
    insta::assert_snapshot!(faults.join("\n"));
}

const RULES: usize = 695;
const CHAINED: usize = 73;
const MARKERS: usize = 30;

/// Parses `file` and compares what came out with a count of its lines that no parser has seen.
fn assert_whole(file: &Path) {
    let parsed = Parsed::file(file);
    let complaints: Vec<_> = parsed.diagnostics.iter().collect();
    assert!(complaints.is_empty(), "{}: {complaints:#?}", file.display());
    let text = std::fs::read_to_string(file).expect("rule files can be read");
    for name in ["SecRule", "SecAction", "SecMarker", "SecDefaultAction", "SecComponentSignature"] {
        let written = text
            .lines()
            .filter(|line| line.trim_start().split([' ', '\t']).next().is_some_and(|word| word == name))
            .count();
        let read = parsed.document.statements.iter().filter(|s| directive(s) == name).count();
        assert_eq!(written, read, "{name} in {}", file.display());
    }
    for statement in &parsed.document.statements {
        if let Statement::Rule(rule) = statement {
            let source = parsed.sources.text(rule.span);
            assert!(source.starts_with("SecRule") && source.ends_with('"'), "{source}");
            for target in &rule.targets {
                assert_eq!(parsed.sources.text(target.name.span), target.name.node);
            }
            for action in &rule.actions {
                assert_eq!(parsed.sources.text(action.name.span), action.name.node);
                if let Some(value) = &action.value {
                    let written = parsed.sources.text(value.span);
                    assert_eq!(written.replace("\\'", "'").replace("\\\"", "\""), value.node);
                }
            }
            let operator = parsed.sources.text(rule.operator.argument.span);
            assert_eq!(operator.replace("\\\"", "\""), rule.operator.argument.node);
        }
    }
}

fn directive(statement: &Statement) -> &str {
    match statement {
        Statement::Rule(_) => "SecRule",
        Statement::Action(_) => "SecAction",
        Statement::DefaultAction(_) => "SecDefaultAction",
        Statement::Marker(..) => "SecMarker",
        Statement::Directive(directive) => directive.name.node,
    }
}
