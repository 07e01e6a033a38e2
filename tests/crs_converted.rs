//! CRS written in YAML is CRS: the same rules, and the same results of its regression suite.

#![cfg(feature = "server")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tells what was converted, and what was skipped"
)]

#[path = "suite/crs/setup.rs"]
mod setup;

use portcullis::cli::ftw::{self, InProcess, Summary};
use portcullis::engine::NoWorld;
use portcullis::ruleset::Rule;
use portcullis::syntax::convert::to_yaml;
use portcullis::syntax::diagnostic;
use portcullis::syntax::seclang::FileLoader;
use std::path::Path;
use std::sync::Arc;

#[test]
fn crs_in_yaml_is_crs() {
    let Some(crs) = setup::crs() else { return };
    let directory = tempfile::tempdir().expect("a directory can be made");
    let rules = directory.path().join("rules");
    std::fs::create_dir(&rules).expect("it can be written to");
    let (mut statements, mut kept) = (0, 0);
    let mut convert = |from: &Path, to: &Path| {
        let text = std::fs::read_to_string(from).expect("rules are UTF-8");
        let written = to_yaml(&from.display().to_string(), &text, &FileLoader).unwrap_or_else(|faulty| {
            panic!("{}", diagnostic::render(&faulty.diagnostics, &faulty.sources, false))
        });
        (statements, kept) = (statements + written.converted, kept + written.kept);
        std::fs::write(to, written.text).expect("it can be written");
    };
    let set_up = directory.path().join("crs-setup.yaml");
    convert(&crs.join("crs-setup.conf.example"), &set_up);
    for entry in std::fs::read_dir(crs.join("rules")).expect("rules are there") {
        let path = entry.expect("it is readable").path();
        let to = rules.join(path.file_name().expect("it has a name"));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("conf") => convert(&path, &to.with_extension("yaml")),
            // Words that rules name, beside them.
            _ => assert!(std::fs::copy(&path, to).is_ok(), "{} can be copied", path.display()),
        }
    }
    println!("{statements} statements of CRS as YAML, {kept} of them as blocks of SecLang");
    assert!(statements > 700 && kept * 10 < statements, "{kept} of {statements} stay SecLang");

    let original = setup::ruleset(&crs);
    let ruleset = setup::compiled(&crs, &set_up, &rules, ".yaml");
    assert_eq!(original.rules.len(), ruleset.rules.len());
    for (a, b) in original.rules.iter().zip(ruleset.rules.iter()) {
        assert_eq!(a.id, b.id);
        let told = |rule: &Rule| format!("{:?}", (rule.phase, rule.next, &rule.disruptive, &rule.flow));
        assert_eq!(told(a), told(b), "{}", a.id);
        let (a, b) = (&a.meta, &b.meta);
        assert_eq!((&a.tags, a.severity, &a.operator, a.log), (&b.tags, b.severity, &b.operator, b.log));
    }
    let mut engine = InProcess::new(ruleset, Arc::new(NoWorld));
    engine.parallel = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let summary = Summary::new(ftw::run(&engine, setup::suite(&crs), &setup::selection()));
    let faults: Vec<_> =
        summary.failures().map(|r| format!("{}: {}", r.case.id, r.faults.join("; "))).collect();
    assert!(summary.total() > 0 && faults.is_empty(), "{} tests fail:\n{}", faults.len(), faults.join("\n"));
}
