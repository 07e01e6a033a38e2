//! The data suite of the engine: rules, a request and its response, and what must come of them. Each case runs
//! under every configuration that may not change the answer (`run.rs`). Each file of `suite/engine` is about one
//! subject; in `suite/directive`, `suite/variable`, `suite/action` and `suite/ctl`, each row of the tables has a file
//! with its name.

#[path = "suite/engine/case.rs"]
mod case;
#[path = "suite/engine/run.rs"]
mod run;
#[path = "suite/engine/world.rs"]
mod world;

use case::Case;
use portcullis::compile::{self, Input};
use portcullis::engine::{NoWorld, Options, Transaction};
use portcullis::limits::LOGDATA_BYTES;
use portcullis::syntax::seclang::{DIRECTIVES, FileLoader};
use run::Coverage;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[test]
fn every_case_in_every_configuration() {
    let mut coverage = Coverage::default();
    let mut faults = Vec::new();
    let only = std::env::var("PORTCULLIS_CASES").unwrap_or_default();
    for path in files() {
        let subject = subject(&path);
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

/// `logdata` is cut, however long what it quotes is.
#[test]
fn long_data_is_cut() {
    let text = "SecRuleEngine DetectionOnly\n\
        SecRule REQUEST_HEADERS:X \"@rx .\" \"id:1,phase:1,pass,logdata:'a value: %{MATCHED_VAR}, and %{MATCHED_VAR}'\"";
    let input = Input::Text { name: "data.conf".into(), text: text.into() };
    let loaded = compile::load(&[input], &FileLoader);
    let ruleset = loaded.ruleset.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    for length in [3, 2_000, LOGDATA_BYTES - 9, LOGDATA_BYTES, 100_000] {
        let value = "v".repeat(length);
        let options = Options { id: "0".into(), mode: None, world: Arc::new(NoWorld) };
        let mut tx = Transaction::new(Arc::clone(&ruleset), options);
        tx.process_uri(b"GET", b"/", b"HTTP/1.1");
        tx.add_request_header(b"X", value.as_bytes());
        let _ = tx.process_request_headers();
        let report = tx.process_logging(200);
        let mut wanted = format!("a value: {value}, and {value}");
        wanted.truncate(LOGDATA_BYTES);
        assert_eq!(report.rules[0].data, wanted.into_bytes(), "{length}");
    }
}

/// Every row has a file, and every file a row.
#[test]
fn every_row_has_a_case_file() {
    let mut rows: BTreeSet<String> = BTreeSet::new();
    let mut expect = |directory: &str, names: &mut dyn Iterator<Item = &'static str>| {
        rows.extend(names.map(|name| format!("{directory}/{name}")));
    };
    expect("directive", &mut DIRECTIVES.iter().map(|row| row.name));
    expect("variable", &mut portcullis::variable::all().iter().map(|row| row.name));
    expect("action", &mut portcullis::compile::ACTIONS.iter().map(|row| row.name));
    expect("ctl", &mut portcullis::compile::CTL_OPTIONS.iter().map(|row| row.name));
    let files: BTreeSet<String> =
        files().iter().map(|path| subject(path)).filter(|subject| !subject.starts_with("engine/")).collect();
    let missing: Vec<_> = rows.difference(&files).collect();
    let homeless: Vec<_> = files.difference(&rows).collect();
    assert!(missing.is_empty() && homeless.is_empty(), "no file for {missing:?}; no row for {homeless:?}");
}

fn files() -> Vec<PathBuf> {
    let suite = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/suite");
    let mut files = Vec::new();
    for directory in ["engine", "directive", "variable", "action", "ctl"] {
        let entries = std::fs::read_dir(suite.join(directory)).expect("the suite is there");
        let paths = entries.map(|entry| entry.expect("the directory is readable").path());
        files.extend(paths.filter(|path| path.extension().is_some_and(|e| e == "yaml")));
    }
    files.sort();
    files
}

/// `directory/name` of a case file.
fn subject(path: &Path) -> String {
    let name = path.file_stem().expect("a file has a name").to_string_lossy();
    let directory = path.parent().and_then(Path::file_name).expect("it stands in a directory");
    format!("{}/{name}", directory.to_string_lossy())
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
