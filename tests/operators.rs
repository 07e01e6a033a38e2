//! Every operator against its case file, against the published cases of ModSecurity and Coraza, against CRS's
//! patterns, and against bytes of no meaning.

use portcullis::compile;
use portcullis::dialect::Status;
use portcullis::engine::{Collections, Decision, NoWorld, Options, Transaction, World};
use portcullis::operator::{self, Argument, Capture, Found, Lookup, Operator, Outcome, Resources, Wanted};
use portcullis::syntax::diagnostic::render;
use portcullis::syntax::seclang::Loader;
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// One argument and what comes of it. Strings may hold `\xHH`, `\n`, `\r`, `\t` and `\\`.
///
/// Negation and macros are not the operator's business: groups with either are asked by a rule in the engine, and
/// `match` is the rule's answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(default)]
    argument: Option<String>,
    /// Written with `!`.
    #[serde(default)]
    negated: bool,
    /// What `%{ARGS.…}` in the argument expands to.
    #[serde(default)]
    macros: BTreeMap<String, String>,
    /// Part of the message with which it is refused; then there are no cases.
    #[serde(default)]
    refused: Option<String>,
    /// The part of the argument at fault, where the refusal says so.
    #[serde(default)]
    at: Option<String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    datasets: BTreeMap<String, Vec<String>>,
    /// What names resolve to.
    #[serde(default)]
    names: BTreeMap<String, Vec<IpAddr>>,
    #[serde(default)]
    http_bl_key: Option<String>,
    /// Offer the small database of [`database`].
    #[serde(default)]
    geo: bool,
    #[serde(default)]
    cases: Vec<Case>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    input: String,
    /// How often the input is repeated.
    #[serde(default = "once")]
    repeat: usize,
    /// What stands behind the repetitions.
    #[serde(default)]
    then: String,
    #[serde(rename = "match")]
    matches: bool,
    /// The operator gives up.
    #[serde(default)]
    exceeded: bool,
    /// `TX.0`, …; null for a group without part.
    #[serde(default)]
    captures: Option<Vec<Option<String>>>,
    /// The bytes that matched.
    #[serde(default)]
    matched: Option<String>,
    #[serde(default)]
    members: BTreeMap<String, String>,
    #[serde(default)]
    path: BTreeMap<String, String>,
}

fn once() -> usize {
    1
}

impl Case {
    fn bytes(&self) -> Vec<u8> {
        let mut input = bytes(&self.input).repeat(self.repeat);
        input.extend(bytes(&self.then));
        input
    }
}

impl Group {
    fn has_macros(&self, row: &operator::OperatorRow) -> bool {
        row.argument == Argument::Macro && self.argument.as_ref().is_some_and(|a| a.contains("%{"))
    }
}

impl Resources for Group {
    fn file(&self, name: &str) -> Result<Arc<[u8]>, String> {
        let content = self.files.get(name).ok_or_else(|| format!("cannot read {name}: no such file"))?;
        Ok(bytes(content).into())
    }

    fn dataset(&self, name: &str) -> Option<Arc<[String]>> {
        self.datasets.get(name).map(|entries| entries.clone().into())
    }

    fn http_bl_key(&self) -> Option<String> {
        self.http_bl_key.clone()
    }

    fn geo_database(&self) -> Option<Arc<[u8]>> {
        self.geo.then(|| database().into())
    }
}

impl Lookup for Group {
    fn resolve(&self, name: &str) -> Option<Vec<IpAddr>> {
        self.names.get(name).cloned()
    }
}

#[test]
fn every_operator_keeps_to_its_case_file() {
    let directory = root().join("tests/suite/operator");
    let mut faults = String::new();
    let mut expected_files = BTreeSet::new();
    for row in operator::all() {
        let path = directory.join(format!("{}.yaml", row.name));
        expected_files.insert(path.clone());
        let groups = groups_of(row);
        assert!(
            groups.iter().any(|g| !g.cases.is_empty() || g.refused.is_some()),
            "{} tests nothing",
            path.display()
        );
        for group in &groups {
            check_group(row, group, &mut faults);
        }
    }
    // What PCRE2 answers to its own syntax stands beside @rx's own cases.
    let path = directory.join("rx-pcre.yaml");
    let text = std::fs::read_to_string(&path).expect("the suite's directory is readable");
    let groups: Vec<Group> =
        serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(groups.len() > 100, "only {} patterns", groups.len());
    for group in &groups {
        check_group(operator::find("rx").expect("it is in the table"), group, &mut faults);
    }
    expected_files.insert(path);
    for entry in std::fs::read_dir(&directory).expect("the suite's directory is readable") {
        let path = entry.expect("the suite's directory is readable").path();
        assert!(expected_files.contains(&path), "{} belongs to no operator", path.display());
    }
    assert!(faults.is_empty(), "\n{faults}");
}

/// The case file of an operator.
fn groups_of(row: &operator::OperatorRow) -> Vec<Group> {
    let path = root().join(format!("tests/suite/operator/{}.yaml", row.name));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("@{} has no case file {}: {e}", row.name, path.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What is at the edge of what an operator is asked; each must have a case for each.
const EDGES: &[&str] = &[EMPTY, BYTE, NUL, NOT_UTF8, LARGE, MACRO, NEGATED, FOUND];

const EMPTY: &str = "an empty value";
const BYTE: &str = "a value of one byte";
const NUL: &str = "a NUL in the value";
const NOT_UTF8: &str = "a value that is not UTF-8";
const LARGE: &str = "a value of 100,000 bytes";
const MACRO: &str = "a macro in the argument, with both answers";
const NEGATED: &str = "negation, with both answers";
const FOUND: &str = "captures or the matched bytes";

/// Edges that an operator cannot have, and why.
const EXEMPT: &[(&str, &str, &str)] = &[
    ("eq", FOUND, "compares numbers, which are no part of the value"),
    ("ge", FOUND, "compares numbers, which are no part of the value"),
    ("gt", FOUND, "compares numbers, which are no part of the value"),
    ("le", FOUND, "compares numbers, which are no part of the value"),
    ("lt", FOUND, "compares numbers, which are no part of the value"),
    ("noMatch", FOUND, "finds nothing"),
    ("noMatch", NEGATED, "has one answer, negated or not"),
    ("unconditionalMatch", FOUND, "does not look at the value"),
    ("unconditionalMatch", NEGATED, "has one answer, negated or not"),
];

#[test]
fn every_operator_has_its_edges() {
    let mut faults = String::new();
    for row in operator::all() {
        let groups = groups_of(row);
        if matches!(row.status, Status::Refused(_)) {
            if !groups.iter().all(|g| g.refused.is_some()) {
                _ = writeln!(faults, "@{} is refused, and has cases", row.name);
            }
            continue;
        }
        let covered = edges(row, &groups);
        for edge in EDGES {
            let applies = *edge != MACRO || row.argument == Argument::Macro;
            let exempt = EXEMPT.iter().any(|(name, exempt, _)| *name == row.name && exempt == edge);
            match (covered.contains(edge), exempt) {
                (false, false) if applies => _ = writeln!(faults, "@{} lacks {edge}", row.name),
                (true, true) => _ = writeln!(faults, "@{} has {edge}, and is exempt", row.name),
                _ => {}
            }
        }
    }
    for (name, ..) in EXEMPT {
        assert!(operator::all().iter().any(|row| row.name == *name), "there is no @{name}");
    }
    assert!(faults.is_empty(), "\n{faults}");
}

/// The edges that `groups` cover.
fn edges(row: &operator::OperatorRow, groups: &[Group]) -> BTreeSet<&'static str> {
    let mut covered = BTreeSet::new();
    for group in groups {
        let answers: BTreeSet<bool> = group.cases.iter().map(|c| c.matches).collect();
        if group.negated && answers.len() == 2 {
            covered.insert(NEGATED);
        }
        if group.has_macros(row) && !group.macros.is_empty() && answers.len() == 2 {
            covered.insert(MACRO);
        }
        for case in &group.cases {
            let input = case.bytes();
            let found = case.captures.as_ref().is_some_and(|c| !c.is_empty())
                || case.matched.as_ref().is_some_and(|m| !m.is_empty());
            let kinds = [
                (EMPTY, input.is_empty()),
                (BYTE, input.len() == 1),
                (NUL, input.contains(&0)),
                (NOT_UTF8, std::str::from_utf8(&input).is_err()),
                (LARGE, input.len() >= 100_000),
                (FOUND, case.matches && found),
            ];
            covered.extend(kinds.iter().filter(|(_, is)| *is).map(|(kind, _)| *kind));
        }
    }
    covered
}

#[test]
fn a_missing_edge_is_missed() {
    let row = operator::find("streq").expect("it is in the table");
    let covered = |text: &str| edges(row, &serde_yaml::from_str::<Vec<Group>>(text).expect("valid"));
    let only = |edge: &'static str| BTreeSet::from([edge]);
    assert_eq!(covered("[{cases: [{input: '', match: true, captures: [], matched: ''}]}]"), only(EMPTY));
    assert_eq!(covered("[{cases: [{input: a, match: true}]}]"), only(BYTE));
    assert_eq!(covered(r"[{cases: [{input: 'a\x00', match: true}]}]"), only(NUL));
    assert_eq!(covered(r"[{cases: [{input: 'a\xff', match: true}]}]"), only(NOT_UTF8));
    assert_eq!(covered("[{cases: [{input: ab, repeat: 49999, then: c, match: true}]}]"), BTreeSet::new());
    assert_eq!(covered("[{cases: [{input: ab, repeat: 50000, match: true}]}]"), only(LARGE));
    assert_eq!(covered("[{cases: [{input: ab, match: true, matched: ab}]}]"), only(FOUND));
    assert_eq!(covered("[{cases: [{input: ab, match: false, matched: ab}]}]"), BTreeSet::new());
    let unset = "[{argument: '%{ARGS.m}', cases: [{input: ab, match: true}, {input: cd, match: false}]}]";
    assert_eq!(covered(unset), BTreeSet::new());
    let one = "[{argument: '%{ARGS.m}', macros: {m: ab}, cases: [{input: ab, match: true}]}]";
    assert_eq!(covered(one), BTreeSet::new());
    let both = "[{argument: '%{ARGS.m}', macros: {m: ab}, cases: [{input: ab, match: true}, {input: cd, match: false}]}]";
    assert_eq!(covered(both), only(MACRO));
    let one = "[{negated: true, cases: [{input: ab, match: true}]}]";
    assert_eq!(covered(one), BTreeSet::new());
    let both = "[{negated: true, cases: [{input: ab, match: true}, {input: cd, match: false}]}]";
    assert_eq!(covered(both), only(NEGATED));
}

fn check_group(row: &'static operator::OperatorRow, group: &Group, faults: &mut String) {
    let name = row.name;
    let argument = group.argument.as_deref();
    let built = (row.build)(Some(argument.unwrap_or_default()), group);
    if let Some(message) = &group.refused {
        match built {
            Ok(_) => _ = writeln!(faults, "@{name} {argument:?}: accepted"),
            Err(e) => {
                if !e.message.contains(message.as_str()) {
                    _ = writeln!(faults, "@{name} {argument:?}: refused with {:?}", e.message);
                }
                let at = e.at.clone().and_then(|at| argument.and_then(|a| a.get(at)));
                if group.at.as_deref() != at && (group.at.is_some() || e.at.is_some()) {
                    _ = writeln!(faults, "@{name} {argument:?}: refused at {at:?}");
                }
            }
        }
        assert!(group.cases.is_empty(), "@{name} {argument:?}: refused, and has cases");
        return;
    }
    if group.negated || group.has_macros(row) {
        check_in_engine(row, group, faults);
        return;
    }
    assert!(group.macros.is_empty(), "@{name} {argument:?}: nothing expands");
    let built = match built {
        Ok(built) => built,
        Err(e) => {
            _ = writeln!(faults, "@{name} {argument:?}: {e:?}");
            return;
        }
    };
    // Once with the text fixed, and once with the text that a macro would expand to.
    let mut forms: Vec<(&str, Arc<dyn Operator>)> = vec![("fixed", built)];
    if row.argument == Argument::Macro {
        forms.push(("expanded", (row.build)(None, group).expect("macros expand later")));
    }
    for case in &group.cases {
        for (form, operator) in &forms {
            let input = case.bytes();
            for wanted in [Wanted::Nothing, Wanted::Whole, Wanted::Groups] {
                let mut found = Found { wanted, ..Found::default() };
                let text = argument.unwrap_or_default().as_bytes();
                let outcome = operator.evaluate(&input, text, group, &mut found);
                let mut fault = |what: String| {
                    let input = &case.input;
                    _ = writeln!(faults, "@{name} {argument:?} ({form}, {wanted:?}) on {input:?}: {what}");
                };
                let expected = if case.exceeded { Outcome::Exceeded } else { case.matches.into() };
                if outcome != expected {
                    fault(format!("{outcome:?}"));
                    continue;
                }
                compare_found(case, &found, &input, wanted, &mut fault);
                compare_hints(operator.as_ref(), outcome, &input, &mut fault);
            }
        }
    }
}

/// Asks a rule: its operator is negated or its argument holds macros.
fn check_in_engine(row: &operator::OperatorRow, group: &Group, faults: &mut String) {
    let argument = group.argument.as_deref().unwrap_or_default();
    let place = format!("@{} {argument:?}, negated {}, in the engine", row.name, group.negated);
    let mut rules = "SecRuleEngine On\n".to_owned();
    if group.geo {
        rules.push_str("SecGeoLookupDb geo.mmdb\n");
    }
    if let Some(key) = &group.http_bl_key {
        _ = writeln!(rules, "SecHttpBlKey {key}");
    }
    for (name, entries) in &group.datasets {
        _ = writeln!(rules, "SecDataset {name} `\n{}\n`", entries.join("\n"));
    }
    let sign = if group.negated { "!" } else { "" };
    let written = format!("{sign}@{} {argument}", row.name).trim_end().replace('"', "\\\"");
    _ = writeln!(rules, "SecRule ARGS:value \"{written}\" \"id:1,phase:1,pass\"");
    let loaded = compile::load(&[compile::Input::Text { name: "case.conf".into(), text: rules }], group);
    let Some(ruleset) = loaded.ruleset else {
        _ = writeln!(faults, "{place}: {}", render(&loaded.diagnostics, &loaded.sources, false));
        return;
    };
    for case in &group.cases {
        let more = case.exceeded || case.captures.is_some() || case.matched.is_some();
        assert!(!more && case.members.is_empty() && case.path.is_empty(), "{place}: not compared");
        let mut target = b"/?value=".to_vec();
        encode(&case.bytes(), &mut target);
        for (name, value) in &group.macros {
            target.extend(format!("&{name}=").bytes());
            encode(&bytes(value), &mut target);
        }
        for prefilters in [true, false] {
            let world = Arc::new(group.clone());
            let mut transaction =
                Transaction::new(Arc::clone(&ruleset), Options { id: "1".into(), mode: None, world });
            transaction.set_prefilters(prefilters);
            transaction.process_connection(([192, 0, 2, 1], 40000).into(), ([192, 0, 2, 2], 80).into());
            transaction.process_uri(b"GET", &target, b"HTTP/1.1");
            assert_eq!(transaction.process_request_headers(), Decision::Pass, "{place}");
            let matched = transaction.process_logging(200).rules.iter().any(|hit| hit.id == 1);
            if matched != case.matches {
                let input = &case.input;
                _ = writeln!(faults, "{place}, prefilters {prefilters} on {input:?}: {matched}");
            }
        }
    }
}

/// Every byte as `%HH`.
fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.extend(format!("%{byte:02x}").bytes());
    }
}

impl Loader for Group {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        if self.geo && path == "geo.mmdb" {
            return Ok(database());
        }
        self.files.get(path).map(|content| bytes(content)).ok_or_else(|| "there is no such file".to_owned())
    }

    fn expand(&self, pattern: &str) -> Result<Vec<String>, String> {
        Ok(self.files.keys().filter(|name| *name == pattern).cloned().collect())
    }

    fn identity(&self, path: &str) -> Option<String> {
        self.files.contains_key(path).then(|| path.to_owned())
    }
}

impl World for Group {
    fn now(&self) -> SystemTime {
        NoWorld.now()
    }

    fn collections(&self) -> &dyn Collections {
        &NoWorld
    }

    fn random(&self) -> u64 {
        NoWorld.random()
    }

    fn resolve(&self, name: &str) -> Option<Vec<IpAddr>> {
        self.names.get(name).cloned()
    }
}

fn compare_found(case: &Case, found: &Found, input: &[u8], wanted: Wanted, fault: &mut dyn FnMut(String)) {
    let shown = |capture: &Capture| match capture {
        Capture::Input(range) => Some(input.get(range.clone()).expect("captures lie in the input").to_vec()),
        Capture::Text(text) => Some(text.clone()),
        Capture::Unset => None,
    };
    let captures: Vec<Option<Vec<u8>>> = found.captures.iter().map(shown).collect();
    if wanted == Wanted::Nothing && !captures.is_empty() {
        fault(format!("captures that nobody wants: {captures:?}"));
    }
    if let Some(expected) = &case.captures {
        let expected: Vec<Option<Vec<u8>>> = expected.iter().map(|c| c.as_deref().map(bytes)).collect();
        let is_told = match wanted {
            Wanted::Nothing => true,
            Wanted::Whole => captures.first() == expected.first(),
            Wanted::Groups => captures == expected,
        };
        if !is_told {
            fault(format!("captures {captures:?}"));
        }
    }
    let matched = found.matched.clone().map(|r| input.get(r).expect("a match lies in the input"));
    if let Some(expected) = &case.matched
        && matched != Some(&bytes(expected)[..])
    {
        fault(format!("matched {matched:?}"));
    }
    let members: BTreeMap<String, String> =
        found.geo.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    if members != case.members {
        fault(format!("members {members:?}"));
    }
    let path = found.path_arguments.iter();
    let path: BTreeMap<String, String> = path
        .map(|(name, range)| (name.to_string(), String::from_utf8_lossy(&input[range.clone()]).into_owned()))
        .collect();
    if path != case.path {
        fault(format!("path {path:?}"));
    }
}

/// What prefilters are compiled from must never say no where the operator says yes.
fn compare_hints(operator: &dyn Operator, outcome: Outcome, input: &[u8], fault: &mut dyn FnMut(String)) {
    if outcome != Outcome::Match {
        return;
    }
    if let Some(pattern) = operator.pattern() {
        let regex =
            regex::bytes::RegexBuilder::new(pattern).unicode(false).build().expect("patterns compile");
        if !regex.is_match(input) {
            fault("matches where its pattern does not".to_owned());
        }
    }
    if let Some(literals) = operator.literals() {
        let lower = input.to_ascii_lowercase();
        let occurs = |l: &Vec<u8>| memchr::memmem::find(&lower, &l.to_ascii_lowercase()).is_some();
        if !literals.iter().any(occurs) {
            fault("matches where none of its literals occurs".to_owned());
        }
    }
}

/// A case of the published suites.
#[derive(Debug, Deserialize)]
struct Published {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    param: Option<String>,
    input: Option<String>,
    results: Vec<PublishedResult>,
}

#[derive(Debug, Deserialize)]
struct PublishedResult {
    ret: u8,
    from: Vec<String>,
}

/// Cases in which Portcullis differs, on purpose.
const DEVIATIONS: &[(&str, &str, &str)] = &[
    (
        "validateByteRange",
        "xxx",
        "an argument that is no list of bytes is refused; ModSecurity ignores it, and then every value matches",
    ),
    ("validateSchema", "testdata/schema.json", "schemas are not supported"),
];

#[test]
fn published_cases_hold() {
    let path = root().join("../shared/engine-cases/unit_dev.jsonl.gz");
    let Ok(compressed) = std::fs::read(&path) else {
        eprintln!("SKIPPED: the published cases are not at {}", path.display());
        return;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(&compressed[..]).read_to_string(&mut text).expect("it is gzip and UTF-8");
    let resources: Group = serde_yaml::from_str(
        r#"{files: {"test-cases/secrules-language-tests/operators/op/pmFromFile-01.dat": "abc\ndef\nghi", "pmFromFile-01.dat": "abc\ndef\nghi"}}"#,
    )
    .expect("valid");
    let (mut run, mut faults, mut deviated) = (0, String::new(), BTreeSet::new());
    for line in text.lines() {
        let case: Published = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        if case.kind != "op" {
            continue;
        }
        let row = operator::find(&case.name).unwrap_or_else(|| panic!("there is no @{}", case.name));
        let param = case.param.as_deref().unwrap_or_default();
        let input = bytes(case.input.as_deref().unwrap_or_default());
        let mut found = Found { wanted: Wanted::Groups, ..Found::default() };
        let matched = (row.build)(Some(param), &resources)
            .map(|o| o.evaluate(&input, param.as_bytes(), &resources, &mut found) == Outcome::Match);
        run += 1;
        let expected = case.results[0].ret == 1;
        if matched.as_ref().is_ok_and(|m| *m == expected) {
            continue;
        }
        match DEVIATIONS.iter().position(|(name, argument, _)| *name == row.name && *argument == param) {
            Some(known) => _ = deviated.insert(known),
            None => {
                _ = writeln!(
                    faults,
                    "@{} {param:?} on {:?}: {matched:?}, {:?}",
                    row.name, case.input, case.results[0].from
                );
            }
        }
    }
    assert!(run > 700, "only {run} cases");
    assert!(faults.is_empty(), "\n{faults}");
    assert_eq!(deviated.len(), DEVIATIONS.len(), "a deviation is out of date: {deviated:?} remain");
}

#[test]
fn patterns_of_crs_land_on_the_engine_that_suits_them() {
    let crs4 = patterns(&root().join("../shared/crs/rules"));
    if crs4.is_empty() {
        eprintln!("SKIPPED: there is no CRS 4 beside the checkout");
    } else {
        assert!(crs4.len() > 280, "only {} patterns", crs4.len());
        let started = Instant::now();
        let compiled: Vec<Arc<dyn Operator>> = crs4.iter().map(|p| compile(p)).collect();
        eprintln!("{} patterns of CRS 4 in {:?}", crs4.len(), started.elapsed());
        for (pattern, operator) in crs4.iter().zip(&compiled) {
            assert!(!operator.backtracks() && operator.pattern().is_some(), "backtracks: {pattern}");
        }
    }
    let crs3 = patterns(Path::new("/usr/share/modsecurity-crs/rules"));
    if crs3.is_empty() {
        eprintln!("SKIPPED: CRS 3 is not installed");
        return;
    }
    // What the linear engine lacks, as far as CRS 3 uses it.
    let beyond = regex::Regex::new(r"\(\?(?:[=!>]|<[=!])|[)\]]\+\+|\\[dsw][*+]\+|\\[1-9]").expect("valid");
    for pattern in &crs3 {
        let backtracks = compile(pattern).backtracks();
        assert_eq!(backtracks, beyond.is_match(pattern), "{pattern}");
    }
}

fn compile(pattern: &str) -> Arc<dyn Operator> {
    let row = operator::find("rx").expect("@rx exists");
    (row.build)(Some(pattern), &operator::NoResources).unwrap_or_else(|e| panic!("{pattern}: {e:?}"))
}

/// The distinct arguments of `@rx` in a directory of rule files, without those that hold macros.
fn patterns(directory: &Path) -> BTreeSet<String> {
    let argument = regex::Regex::new(r#""!?@rx ((?:[^"\\]|\\.)*)""#).expect("valid");
    let mut patterns = BTreeSet::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().extension().is_none_or(|e| e != "conf") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).expect("rule files are UTF-8");
        for line in text.replace("\\\n", "").lines().filter(|l| !l.trim_start().starts_with('#')) {
            let found = argument.captures_iter(line).map(|c| c[1].replace("\\\"", "\""));
            patterns.extend(found.filter(|p| !p.contains("%{")));
        }
    }
    patterns
}

proptest! {
    #[test]
    fn no_operator_panics(
        argument in "\\PC{0,40}",
        input in proptest::collection::vec(any::<u8>(), 0..200),
        expanded in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        for row in operator::all() {
            for text in [Some(argument.as_str()), None] {
                let Ok(operator) = (row.build)(text, &operator::NoResources) else { continue };
                for wanted in [Wanted::Nothing, Wanted::Whole, Wanted::Groups] {
                    let mut found = Found { wanted, ..Found::default() };
                    let _ = operator.evaluate(&input, &expanded, &operator::NoLookup, &mut found);
                    prop_assert!(found.matched.is_none_or(|m| m.start <= m.end && m.end <= input.len()));
                    for capture in &found.captures {
                        if let Capture::Input(range) = capture {
                            prop_assert!(input.get(range.clone()).is_some());
                        }
                    }
                }
            }
        }
    }

    /// Texts made of what patterns are made of: more of them compile than of arbitrary texts.
    #[test]
    fn no_pattern_panics(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..14),
        input in proptest::collection::vec(proptest::sample::select(&b"aAbB01 \n\xe9\xff-]"[..]), 0..40),
    ) {
        let pattern = pieces.concat();
        let row = operator::find("rxGlobal").expect("@rxGlobal exists");
        match (row.build)(Some(&pattern), &operator::NoResources) {
            Ok(operator) => {
                let mut found = Found { wanted: Wanted::Groups, ..Found::default() };
                let outcome = operator.evaluate(&input, b"", &operator::NoLookup, &mut found);
                let mut faults = Vec::new();
                compare_hints(operator.as_ref(), outcome, &input, &mut |fault| faults.push(fault));
                prop_assert!(faults.is_empty(), "{:?}: {:?}", pattern, faults);
            }
            Err(e) => {
                let at = e.at.clone();
                prop_assert!(at.is_none_or(|at| at.end <= pattern.len()), "{:?}: {:?}", pattern, e);
            }
        }
    }
}

const PIECES: &[&str] = &[
    "a",
    "b",
    "A",
    "é",
    "0",
    "-",
    " ",
    "\n",
    ".",
    "^",
    "$",
    "|",
    "(",
    ")",
    "(?:",
    "(?i)",
    "(?i:",
    "(?-s)",
    "(?x)",
    "(?=",
    "(?!",
    "(?<=",
    "(?<!",
    "(?>",
    "(?<n>",
    "(?#c)",
    "(?(1)",
    "[",
    "[^",
    "]",
    "[:alpha:]",
    "[:^digit:]",
    "a-z",
    "*",
    "+",
    "?",
    "{2}",
    "{1,3}",
    "{,3}",
    "{2,}",
    "*+",
    "++",
    r"\1",
    r"\g{-1}",
    r"\k<n>",
    r"\d",
    r"\W",
    r"\s",
    r"\h",
    r"\v",
    r"\R",
    r"\b",
    r"\B",
    r"\A",
    r"\z",
    r"\Z",
    r"\G",
    r"\K",
    r"\Q",
    r"\E",
    r"\x41",
    r"\x{e9}",
    r"\xff",
    r"\0",
    r"\012",
    r"\e",
    r"\cA",
    r"\N",
    r"\-",
    r"\]",
    "#",
    "&&",
    "~~",
    "--",
];

/// A database in MaxMind's format with one record, for all addresses below 128.0.0.0. The format: a search tree,
/// sixteen zero bytes, data, a marker, metadata.
fn database() -> Vec<u8> {
    fn string(text: &str) -> Vec<u8> {
        assert!(text.len() < 29);
        let mut out = vec![0x40 | u8::try_from(text.len()).expect("short")];
        out.extend(text.bytes());
        out
    }
    fn map(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut out = vec![0xe0 | u8::try_from(members.len()).expect("few")];
        for (key, value) in members {
            out.extend(string(key));
            out.extend(value);
        }
        out
    }
    fn double(value: f64) -> Vec<u8> {
        let mut out = vec![0x68];
        out.extend(value.to_be_bytes());
        out
    }
    fn array(items: &[Vec<u8>]) -> Vec<u8> {
        let mut out = vec![u8::try_from(items.len()).expect("few"), 4];
        out.extend(items.concat());
        out
    }
    let uint16 = |value: u16| [&[0xa2][..], &value.to_be_bytes()].concat();
    let uint32 = |value: u32| [&[0xc4][..], &value.to_be_bytes()].concat();
    let name = |text: &str| map(&[("en", string(text))]);
    let record = map(&[
        ("city", map(&[("names", name("Bern"))])),
        ("continent", map(&[("code", string("EU")), ("names", name("Europe"))])),
        ("country", map(&[("iso_code", string("CH")), ("names", name("Switzerland"))])),
        ("location", map(&[("latitude", double(46.948)), ("longitude", double(7.4474))])),
        ("postal", map(&[("code", string("3000"))])),
        ("subdivisions", array(&[map(&[("iso_code", string("BE"))])])),
    ]);
    let metadata = map(&[
        ("binary_format_major_version", uint16(2)),
        ("binary_format_minor_version", uint16(0)),
        ("build_epoch", uint32(0)),
        ("database_type", string("Test-City")),
        ("description", map(&[])),
        ("ip_version", uint16(4)),
        ("languages", array(&[])),
        ("node_count", uint32(1)),
        ("record_size", uint16(24)),
    ]);
    // One node. Left: the data at offset 0, which is node count plus 16. Right: the node count, for nothing.
    let mut out = vec![0, 0, 17, 0, 0, 1];
    out.extend([0; 16]);
    out.extend(record);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    out.extend(metadata);
    out
}

/// Undoes `\xHH`, `\uHHHH` below U+0100, `\n`, `\r`, `\t` and `\\`; everything else stands for itself.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let number = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::try_from(u32::from_str_radix(digits, 16).ok()?).ok()
        };
        let (byte, used) = match (first, tail) {
            (b'\\', [b'x', digits @ ..]) if digits.len() >= 2 => (number(&digits[..2]), 4),
            (b'\\', [b'u', digits @ ..]) if digits.len() >= 4 => (number(&digits[..4]), 6),
            (b'\\', [b'n', ..]) => (Some(b'\n'), 2),
            (b'\\', [b'r', ..]) => (Some(b'\r'), 2),
            (b'\\', [b't', ..]) => (Some(b'\t'), 2),
            (b'\\', [b'\\', ..]) => (Some(b'\\'), 2),
            _ => (None, 1),
        };
        out.push(byte.unwrap_or(*first));
        rest = &rest[if byte.is_some() { used } else { 1 }..];
    }
    out
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
