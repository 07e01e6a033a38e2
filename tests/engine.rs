//! The data suite of the engine: rules, a request and its response, and what must come of them. Each case runs
//! under every configuration that may not change the answer (`run.rs`); each file is about one subject.

#[path = "suite/engine/case.rs"]
mod case;
#[path = "suite/engine/run.rs"]
mod run;
#[path = "suite/engine/world.rs"]
mod world;

use case::Case;
use run::Coverage;
use std::path::PathBuf;

#[test]
fn every_case_in_every_configuration() {
    let mut coverage = Coverage::default();
    let mut faults = Vec::new();
    let only = std::env::var("PORTCULLIS_CASES").unwrap_or_default();
    for path in files() {
        let subject = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        if !only.is_empty() && !subject.contains(&only) {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("case files are readable");
        let cases: Vec<Case> = match serde_yaml::from_str(&text) {
            Ok(cases) => cases,
            Err(error) => {
                faults.push(format!("{subject}: {error}"));
                continue;
            }
        };
        assert!(!cases.is_empty(), "{} is empty", path.display());
        for case in &cases {
            faults.extend(run::run(case, &mut coverage).into_iter().map(|f| format!("{subject}: {f}")));
        }
    }
    assert!(faults.is_empty(), "{} faults in {} cases\n{}", faults.len(), coverage.cases, faults.join("\n"));
    if only.is_empty() {
        check_coverage(&coverage);
    }
}

fn files() -> Vec<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/suite/engine");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .expect("the suite is there")
        .map(|entry| entry.expect("the directory is readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    files
}

/// Whatever the tables know occurs in the suite.
fn check_coverage(coverage: &Coverage) {
    let text = coverage.text.to_ascii_lowercase();
    let mut missing = Vec::new();
    for row in portcullis::variable::all() {
        // A variable that is always empty shows as a count or as the empty text.
        if !coverage.variables.contains(row.name) {
            missing.push(row.name.to_owned());
        }
    }
    for row in portcullis::compile::CTL_OPTIONS {
        if !text.contains(&format!("ctl:{}=", row.name.to_ascii_lowercase())) {
            missing.push(format!("ctl:{}", row.name));
        }
    }
    for row in portcullis::compile::ACTIONS {
        let name = row.name.to_ascii_lowercase();
        let occurs = ["\"", ",", ", "].iter().any(|before| text.contains(&format!("{before}{name}")));
        if !occurs && !matches!(row.name, "exec") {
            missing.push(format!("action {}", row.name));
        }
    }
    assert!(missing.is_empty(), "no case shows {missing:?}");
}
