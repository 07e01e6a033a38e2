//! CRS 3.3 as Debian packages it (`modsecurity-crs`): it loads whole, and finds what it must. Its rules use what only
//! PCRE has: look-ahead and look-behind, back-references, possessive quantifiers.

use portcullis::compile::{self, Input, Loaded};
use portcullis::engine::{BodyStep, EventKind, NoWorld, Options, Report, Transaction};
use portcullis::ruleset::Ruleset;
use portcullis::syntax::ast::Statement;
use portcullis::syntax::diagnostic::{self, Severity};
use portcullis::syntax::seclang::FileLoader;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "get")]
    method: String,
    uri: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    response: Option<Answer>,
    #[serde(default)]
    find: BTreeSet<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

fn get() -> String {
    "GET".to_owned()
}

#[test]
fn every_rule_is_loaded() {
    let Some(loaded) = load(1) else { return };
    let told = diagnostic::render(&loaded.diagnostics, &loaded.sources, false);
    assert!(loaded.ruleset.is_some(), "{told}");
    let warnings: Vec<&str> =
        loaded.diagnostics.iter().filter(|d| d.severity == Severity::Warning).map(|d| d.code).collect();
    // What needs a database or a key of its own.
    assert!(warnings.iter().all(|code| *code == "inert-operator") && warnings.len() <= 2, "{told}");
    let written = loaded.document.statements.iter().filter(|statement| {
        let actions = match statement {
            Statement::Rule(rule) => &rule.actions,
            Statement::Action(action) => &action.actions,
            _ => return false,
        };
        actions.iter().any(|action| action.name.node == "id")
    });
    let (written, running) = (written.count(), loaded.posture.rules);
    assert!(written > 500, "only {written} rules are written");
    assert_eq!(running, written);
    let bounded: BTreeSet<u64> = loaded.posture.backtracking.iter().copied().collect();
    assert!(bounded.is_superset(&BTreeSet::from([942_130, 953_120])), "{bounded:?}");
    assert!(bounded.len() < 10, "{bounded:?} run on the slower engine");
}

#[test]
fn it_finds_what_it_must_and_nothing_else() {
    let (Some(low), Some(high)) = (ruleset(1), ruleset(4)) else { return };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/crs3/requests.yaml");
    let text = std::fs::read_to_string(&path).expect("part of the source");
    let cases: Vec<Case> = serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(cases.len() > 50, "only {} requests", cases.len());
    let mut faults = String::new();
    for case in &cases {
        let rules = if case.find.is_empty() { &low } else { &high };
        let report = transact(rules, case);
        let found: BTreeSet<u64> = report.rules.iter().map(|hit| hit.id).filter(|id| detects(*id)).collect();
        let missing: Vec<&u64> = case.find.difference(&found).collect();
        if !missing.is_empty() {
            let _ = writeln!(faults, "{}: {missing:?} did not match, but {found:?}", case.name);
        }
        if case.find.is_empty() && !found.is_empty() {
            let _ = writeln!(faults, "{}: {found:?} matched", case.name);
        }
        if report.events.iter().any(|e| e.kind == EventKind::OperatorLimit) {
            let _ = writeln!(faults, "{}: a pattern gave up", case.name);
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

/// Rules that look at requests and answers, not those which set up, sum up and decide.
fn detects(id: u64) -> bool {
    (911_000..949_000).contains(&id) || (950_000..959_000).contains(&id)
}

fn transact(rules: &Arc<Ruleset>, case: &Case) -> Report {
    let options = Options { id: "0000000000000000".into(), mode: None, world: Arc::new(NoWorld) };
    let mut tx = Transaction::new(Arc::clone(rules), options);
    tx.process_connection(([192, 0, 2, 1], 40_000).into(), ([192, 0, 2, 2], 80).into());
    tx.process_uri(case.method.as_bytes(), case.uri.as_bytes(), b"HTTP/1.1");
    let length = case.body.len().to_string();
    let mut headers = BTreeMap::from([
        ("Host", "shop.example"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ]);
    if !case.body.is_empty() {
        headers.insert("Content-Length", &length);
    }
    headers.extend(case.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    for (name, value) in headers {
        tx.add_request_header(name.as_bytes(), value.as_bytes());
    }
    // Nothing is decided here: the rules detect only.
    let _ = tx.process_request_headers();
    if tx.request_body_wanted() && !case.body.is_empty() {
        let step = tx.append_request_body(case.body.as_bytes());
        assert!(!matches!(step, BodyStep::Interrupt(_)), "{}", case.name);
    }
    let _ = tx.process_request_body();
    let Some(answer) = &case.response else { return tx.process_logging(200) };
    for (name, value) in &answer.headers {
        tx.add_response_header(name.as_bytes(), value.as_bytes());
    }
    let _ = tx.process_response_headers(answer.status, b"HTTP/1.1");
    if tx.response_body_wanted() {
        let step = tx.append_response_body(answer.body.as_bytes());
        assert!(!matches!(step, BodyStep::Interrupt(_)), "{}", case.name);
    }
    let _ = tx.process_response_body();
    tx.process_logging(answer.status)
}

fn ruleset(level: u8) -> Option<Arc<Ruleset>> {
    Some(load(level)?.ruleset.expect("it loads"))
}

/// CRS 3.3 at a paranoia level; `None`, loudly, when it is not installed.
fn load(level: u8) -> Option<Loaded> {
    let rules = Path::new(RULES);
    let Ok(directory) = std::fs::read_dir(rules) else {
        let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: CRS 3.3 is not in {RULES} ***\n");
        return None;
    };
    let mut files: Vec<String> = directory
        .filter_map(|entry| Some(entry.ok()?.path().display().to_string()))
        .filter(|path| path.ends_with(".conf"))
        .collect();
    files.sort();
    let settings = format!(
        "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n\
         SecRule REQUEST_HEADERS:Content-Type \"@rx ^application/json\" \
         \"id:1,phase:1,pass,nolog,t:lowercase,ctl:requestBodyProcessor=JSON\"\n\
         SecAction \"id:900990,phase:1,pass,nolog,setvar:tx.crs_setup_version=334\"\n\
         SecAction \"id:900000,phase:1,pass,nolog,setvar:tx.paranoia_level={level}\"\n"
    );
    let mut inputs = vec![Input::Text { name: "settings".into(), text: settings }];
    inputs.extend(files.into_iter().map(Input::File));
    Some(compile::load(&inputs, &FileLoader))
}

const RULES: &str = "/usr/share/modsecurity-crs/rules";
