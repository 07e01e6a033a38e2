//! The catalogue of virtual patches: each blocks what its tests say, and lets pass what its own and all others' say.

#![cfg(feature = "server")]

use portcullis::cli::ftw::{InProcess, Selection, run_native, transact_native};
use portcullis::compile::{EMBEDDED, Input, Loaded, load};
use portcullis::engine::{Decision, NoWorld};
use portcullis::ruleset::Mode;
use portcullis::syntax::ast::{Patch, RuleTest};
use portcullis::syntax::diagnostic::render;
use portcullis::syntax::seclang::{EmbeddedLoader, FileLoader};
use std::collections::HashSet;
use std::sync::Arc;

/// Requests which each patch must at least bring along: variants of the exploit, and what the application's own
/// clients send.
const MATCHES: usize = 5;
const PASSES: usize = 3;
/// Patches that the catalogue has at the least.
const CATALOGUE: usize = 60;
/// What it must have a patch for: exploited widely, and patched slowly.
const PRODUCTS: &[&str] = &[
    "ActiveMQ",
    "Apache HTTP Server",
    "Citrix",
    "Confluence",
    "Drupal",
    "Exchange",
    "F5",
    "FortiOS",
    "GeoServer",
    "GitLab",
    "Ignition",
    "Ivanti",
    "Jenkins",
    "Joomla",
    "Log4j",
    "MOVEit",
    "Magento",
    "Next.js",
    "PHP",
    "PHPUnit",
    "React Server Components",
    "Bash",
    "SolarWinds",
    "Spring Framework",
    "Struts",
    "Telerik",
    "ThinkPHP",
    "WordPress",
    "Zimbra",
    "vBulletin",
];

#[test]
fn each_patch_does_what_it_promises() {
    let mut faults = Vec::new();
    for file in catalogue() {
        let loaded = patches(std::slice::from_ref(&file), false);
        // What one rule blocks, those after it never see; here each is asked.
        let mut engine = engine(&loaded);
        engine.mode = Some(Mode::DetectionOnly);
        let results = run_native(&engine, &loaded, &Selection::default());
        faults.extend(results.iter().flat_map(|result| {
            result
                .faults
                .iter()
                .map(|fault| format!("{}: {} ({fault})", result.case.id, result.case.description))
        }));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whoever enables all of them must not lose a legitimate request of any of the applications.
#[test]
fn no_patch_blocks_what_another_lets_pass() {
    let loaded = patches(&catalogue(), false);
    let engine = engine(&loaded);
    let tests = loaded.document.tests.iter().filter(|test| !test.matches);
    let told: Vec<_> = tests
        .flat_map(|test| patch_hits(&engine, test).into_iter().map(|id| (id, test.request.clone())))
        .collect();
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn every_exploit_is_blocked_and_in_detection_only_it_is_told() {
    let all = catalogue();
    let (on, quiet) = (patches(&all, false), patches(&all, true));
    let (engine_on, engine_quiet) = (engine(&on), engine(&quiet));
    for test in on.document.tests.iter().filter(|test| test.matches) {
        let report = transact_native(&engine_on, test);
        assert!(report.decision != Decision::Pass, "{:?} passes", test.request);
        let report = transact_native(&engine_quiet, test);
        let told: Vec<_> = report.rules.iter().filter(|hit| hit.id == test.rule).collect();
        for hit in &told {
            assert!(!hit.disruptive, "{} decides in DetectionOnly", hit.id);
            assert!(hit.tags.iter().any(|tag| tag == "patch-mode/DetectionOnly"), "{}", hit.id);
        }
    }
}

#[test]
fn every_patch_says_what_it_must() {
    let mut names = HashSet::new();
    let mut subjects = String::new();
    for file in catalogue() {
        let loaded = patches(std::slice::from_ref(&file), false);
        let [patch] = loaded.document.patches.as_slice() else { panic!("{file} is one patch") };
        let Patch { name, cve, references, affected, .. } = patch;
        assert_eq!(file, format!("@virtual-patches/{name}.yaml"));
        assert!(names.insert(name.clone()), "{name} is there twice");
        subjects.push_str(&format!("{} {}\n", patch.product, patch.title));
        assert!(!references.is_empty(), "{name} has no references");
        assert!(affected.is_some(), "{name} does not say which versions are affected");
        // A flaw without a number is called otherwise.
        let number = cve.first().map(|cve| cve.to_ascii_lowercase());
        assert!(
            number.is_none_or(|number| name.starts_with(&number)),
            "{name} does not begin with its CVE number"
        );
        let tests = &loaded.document.tests;
        let count = |matches| tests.iter().filter(|test| test.matches == matches).count();
        assert!(count(true) >= MATCHES, "{name} has {} requests that it blocks", count(true));
        assert!(count(false) >= PASSES, "{name} has {} requests that it lets pass", count(false));
        for note in &loaded.document.notes {
            let rule = note.name.clone().unwrap_or_else(|| note.rule.to_string());
            assert!(note.matches > 0 && note.passes > 0, "{name}: {rule} lacks one kind of test");
            assert!(note.description.is_some(), "{name}: {rule} has no description");
        }
    }
    assert!(names.len() >= CATALOGUE, "{} patches", names.len());
    let missing: Vec<_> = PRODUCTS.iter().filter(|product| !subjects.contains(**product)).collect();
    assert!(missing.is_empty(), "no patch for {missing:?}");
}

/// The rules of patches that match.
fn patch_hits(engine: &InProcess, test: &RuleTest) -> Vec<u64> {
    let report = transact_native(engine, test);
    let of_patch = |tags: &[String]| tags.iter().any(|tag| tag == "virtual-patch");
    report.rules.iter().filter(|hit| of_patch(&hit.tags)).map(|hit| hit.id).collect()
}

fn catalogue() -> Vec<String> {
    let files = EMBEDDED.iter().map(|(name, _)| *name);
    files.filter(|name| name.starts_with("@virtual-patches/")).map(str::to_owned).collect()
}

/// Patches with the engine's own settings and nothing else. Without a word from the compiler.
fn patches(files: &[String], detection_only: bool) -> Loaded {
    let base = Input::File("@engine.conf".to_owned());
    let patch = |file: &String| Input::Patch { file: file.clone(), detection_only };
    let inputs: Vec<_> = std::iter::once(base).chain(files.iter().map(patch)).collect();
    let loaded = load(&inputs, &EmbeddedLoader::new(EMBEDDED, FileLoader));
    assert!(loaded.diagnostics.is_empty(), "{}", render(&loaded.diagnostics, &loaded.sources, false));
    loaded
}

fn engine(loaded: &Loaded) -> InProcess {
    let ruleset = loaded.ruleset.clone().expect("it compiles");
    let mut engine = InProcess::new(ruleset, Arc::new(NoWorld));
    engine.mode = Some(Mode::On);
    engine
}

/// What the documentation shows works.
#[test]
fn the_examples_of_the_documentation_pass_their_tests() {
    let text = include_str!("../docs/virtual-patches.md");
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let patches: Vec<_> = blocks.filter(|block| block.starts_with("patch:")).collect();
    assert_eq!(patches.len(), 2);
    for (name, text) in ["reports.yaml", "billing.yaml"].into_iter().zip(patches) {
        let base = Input::File("@engine.conf".to_owned());
        let patch = Input::Text { name: name.to_owned(), text: text.to_owned() };
        let loaded = load(&[base, patch], &EmbeddedLoader::new(EMBEDDED, FileLoader));
        assert!(loaded.diagnostics.is_empty(), "{}", render(&loaded.diagnostics, &loaded.sources, false));
        let mut engine = engine(&loaded);
        engine.mode = Some(Mode::DetectionOnly);
        let results = run_native(&engine, &loaded, &Selection::default());
        let faults: Vec<_> = results.iter().filter(|r| !r.faults.is_empty()).collect();
        assert!(results.len() >= 9 && faults.is_empty(), "{faults:#?}");
    }
}
