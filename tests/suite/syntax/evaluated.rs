//! Native YAML through the engine: the tests of `yaml/evaluated.yaml` are true of its rules.

use std::sync::Arc;

use portcullis::compile::{self, Input};
use portcullis::engine::{NoWorld, Options, Transaction};
use portcullis::ruleset::Ruleset;
use portcullis::syntax::ast::RuleTest;
use portcullis::syntax::diagnostic::render;
use portcullis::syntax::print::print;
use portcullis::syntax::seclang::FileLoader;

#[test]
fn the_tests_of_rules_are_true() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/syntax/yaml/evaluated.yaml");
    let loaded = compile::load(&[Input::File(path.to_owned())], &FileLoader);
    let told = render(&loaded.diagnostics, &loaded.sources, false);
    let ruleset = loaded.ruleset.unwrap_or_else(|| panic!("{told}"));
    assert!(loaded.document.tests.len() > 40);
    check(&ruleset, &loaded.document.tests);

    // Written as SecLang, the rules mean the same.
    let text = Input::Text { name: "printed.conf".to_owned(), text: print(&loaded.document) };
    let again = compile::load(&[text], &FileLoader);
    let told = render(&again.diagnostics, &again.sources, false);
    check(&again.ruleset.unwrap_or_else(|| panic!("{told}")), &loaded.document.tests);
}

fn check(ruleset: &Arc<Ruleset>, tests: &[RuleTest]) {
    let wrong: Vec<_> = tests
        .iter()
        .filter(|test| {
            hits(ruleset, test).iter().any(|id| *id == test.rule || test.also.contains(id)) != test.matches
        })
        .map(|test| (test.rule, test.matches, &test.request))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The ids of the rules that match.
fn hits(ruleset: &Arc<Ruleset>, test: &RuleTest) -> Vec<u64> {
    let options = Options { id: "1".into(), mode: None, world: Arc::new(NoWorld) };
    let mut transaction = Transaction::new(Arc::clone(ruleset), options);
    let address = ([127, 0, 0, 1], 80).into();
    transaction.process_connection(address, address);
    let request = &test.request;
    transaction.process_uri(request.method.as_bytes(), request.uri.as_bytes(), b"HTTP/1.1");
    for (name, value) in &request.headers {
        transaction.add_request_header(name.as_bytes(), value.as_bytes());
    }
    let _ = transaction.process_request_headers();
    let _ = transaction.append_request_body(&request.body);
    let _ = transaction.process_request_body();
    let response = test.response.clone().unwrap_or_default();
    for (name, value) in &response.headers {
        transaction.add_response_header(name.as_bytes(), value.as_bytes());
    }
    let _ = transaction.process_response_headers(response.status.max(200), b"HTTP/1.1");
    if transaction.response_body_wanted() {
        let _ = transaction.append_response_body(&response.body);
    }
    let _ = transaction.process_response_body();
    transaction.process_logging(response.status).rules.iter().map(|hit| hit.id).collect()
}
