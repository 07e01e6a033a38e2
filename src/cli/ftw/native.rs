//! The tests that native YAML rules bring along (`matches:`, `passes:`).

use super::{Case, CaseResult, InProcess, Reply, Selection};
use crate::compile::Loaded;
use crate::engine::Report;
use crate::http::RequestHead;
use crate::syntax::ast::RuleTest;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

/// Runs the tests in the rule text of `loaded` on `engine`, which should be in `DetectionOnly`: in `On`, an earlier
/// rule that blocks hides what later ones would have matched.
pub fn run_native(engine: &InProcess, loaded: &Loaded, selection: &Selection) -> Vec<CaseResult> {
    let names: HashMap<u64, &str> =
        loaded.document.names.iter().map(|(number, name)| (*number, name.node.as_str())).collect();
    let mut numbers: HashMap<u64, usize> = HashMap::new();
    let mut results = Vec::new();
    for test in &loaded.document.tests {
        let number = numbers.entry(test.rule).or_default();
        *number += 1;
        let rule = names.get(&test.rule).map_or_else(|| test.rule.to_string(), |name| (*name).to_owned());
        let case = Case {
            id: format!("{rule}-{number}"),
            file: PathBuf::from(loaded.sources.file(test.span.file).name()),
            description: format!("{} {}", test.request.method, test.request.uri),
        };
        if selection.include.as_ref().is_some_and(|r| !r.is_match(&case.id)) {
            continue;
        }
        let started = Instant::now();
        let place = || loaded.sources.locate(test.span);
        let faults = match (rule_matches(engine, test), test.matches) {
            (true, false) => vec![format!("{}: the rule matches what it should pass", place())],
            (false, true) => vec![format!("{}: the rule does not match", place())],
            _ => Vec::new(),
        };
        results.push(CaseResult { case, faults, duration: started.elapsed() });
    }
    results
}

fn rule_matches(engine: &InProcess, test: &RuleTest) -> bool {
    let report = transact_native(engine, test);
    report.rules.iter().any(|hit| hit.id == test.rule || test.also.contains(&hit.id))
}

/// Passes the request of `test`, and the answer to it, through the rules of `engine`.
pub fn transact_native(engine: &InProcess, test: &RuleTest) -> Report {
    let bytes = |(name, value): &(String, String)| (name.clone().into_bytes(), value.clone().into_bytes());
    let protocol = test.request.protocol.as_deref().unwrap_or("HTTP/1.1");
    let head = RequestHead {
        line: format!("{} {} {protocol}", test.request.method, test.request.uri).into_bytes(),
        method: test.request.method.clone().into_bytes(),
        target: test.request.uri.clone().into_bytes(),
        protocol: protocol.as_bytes().to_vec(),
        headers: test.request.headers.iter().map(bytes).collect(),
        ..RequestHead::default()
    };
    let reply = || match &test.response {
        Some(r) => Reply { status: r.status, headers: r.headers.clone(), body: r.body.clone() },
        None => Reply { status: 200, ..Reply::default() },
    };
    engine.pass(&head, &test.request.body, reply).2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Input, load};
    use crate::engine::NoWorld;
    use crate::ruleset::Mode;
    use crate::syntax::seclang::FileLoader;
    use std::sync::Arc;

    #[test]
    fn what_rules_promise_is_held_against_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.yaml");
        std::fs::write(&path, RULES).unwrap();
        let loaded = load(&[Input::File(path.display().to_string())], &FileLoader);
        let ruleset = loaded.ruleset.clone().unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let mut engine = InProcess::new(ruleset, Arc::new(NoWorld));
        engine.mode = Some(Mode::DetectionOnly);
        let results = run_native(&engine, &loaded, &Selection::default());
        let told: Vec<_> = results.iter().map(|r| (r.case.id.as_str(), r.faults.is_empty())).collect();
        assert_eq!(
            told,
            [("1000001-1", true), ("1000001-2", false), ("1000001-3", true), ("1000001-4", false)]
        );
        assert!(results[1].faults[0].contains("r.yaml:"), "{:?}", results[1].faults);
        let one = Selection { include: Some(regex::Regex::new("-3$").unwrap()) };
        assert_eq!(run_native(&engine, &loaded, &one).len(), 1);
    }

    const RULES: &str = "
rules:
  - id: 1000001
    message: No attacks
    phase: 2
    when: {variables: [ARGS], operator: '@contains attack'}
    actions: [deny]
    matches:
      - GET /?a=attack
      - GET /?a=peace
    passes:
      - GET /?a=peace
      - GET /?a=attack
";
}
