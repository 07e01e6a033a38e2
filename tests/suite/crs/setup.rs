//! CRS, its tests, and the set-up of its own CI: paranoia level 4, `DetectionOnly`, the limits that its tests expect.

use portcullis::cli::ftw::{self, Selection, TestFile};
use portcullis::compile::{self, Input};
use portcullis::ruleset::Ruleset;
use portcullis::syntax::diagnostic;
use portcullis::syntax::seclang::FileLoader;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// CRS is looked for in `PORTCULLIS_CRS_DIR`, then beside this crate. `None` when it is not there, which is told
/// loudly, unless `PORTCULLIS_REQUIRE_CRS=1` makes it an error.
pub fn crs() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/crs");
    let directory = std::env::var_os("PORTCULLIS_CRS_DIR").map_or_else(beside, PathBuf::from);
    if directory.join("rules").is_dir() && directory.join("tests/regression/tests").is_dir() {
        return Some(directory);
    }
    let required = std::env::var("PORTCULLIS_REQUIRE_CRS").is_ok_and(|v| v == "1");
    assert!(!required, "PORTCULLIS_REQUIRE_CRS=1, but there is no CRS in {}", directory.display());
    eprintln!(
        "\n*** SKIPPED: no CRS in {}. Set PORTCULLIS_CRS_DIR to a checkout of coreruleset v4.28.0. ***\n",
        directory.display()
    );
    None
}

/// `PORTCULLIS_CRS_FILTER`, a regular expression over `rule-test`; all tests without it.
pub fn selection() -> Selection {
    let filter = std::env::var("PORTCULLIS_CRS_FILTER").ok();
    Selection {
        include: filter
            .map(|f| regex::Regex::new(&f).expect("PORTCULLIS_CRS_FILTER is a regular expression")),
    }
}

/// The tests of the suite, read once.
pub fn suite(crs: &Path) -> &'static [TestFile] {
    static SUITE: OnceLock<Vec<TestFile>> = OnceLock::new();
    SUITE.get_or_init(|| {
        let files =
            ftw::load(&[crs.join("tests/regression/tests")]).unwrap_or_else(|errors| panic!("{errors:?}"));
        let tests: usize = files.iter().map(|f| f.tests.len()).sum();
        assert!(tests > 4_900, "only {tests} tests found");
        files
    })
}

/// CRS with the settings of its CI, compiled once.
pub fn ruleset(crs: &Path) -> Arc<Ruleset> {
    static RULESET: OnceLock<Arc<Ruleset>> = OnceLock::new();
    Arc::clone(
        RULESET
            .get_or_init(|| compiled(crs, &crs.join("crs-setup.conf.example"), &crs.join("rules"), ".conf")),
    )
}

/// CRS with the settings of its CI, its set-up and its rules as they are written in `setup` and in those files in
/// `rules` that end in `suffix`.
pub fn compiled(crs: &Path, setup: &Path, rules: &Path, suffix: &str) -> Arc<Ruleset> {
    let mut inputs = vec![
        Input::Text { name: "engine.conf".into(), text: include_str!("engine.conf").into() },
        Input::File(setup.display().to_string()),
        Input::Text { name: "setup.conf".into(), text: include_str!("setup.conf").into() },
    ];
    inputs.extend(conf_files(&crs.join("plugins"), "-config.conf"));
    inputs.extend(conf_files(&crs.join("plugins"), "-before.conf"));
    inputs.extend(conf_files(rules, suffix));
    inputs.extend(conf_files(&crs.join("plugins"), "-after.conf"));
    let loaded = compile::load(&inputs, &FileLoader);
    let told = diagnostic::render(&loaded.diagnostics, &loaded.sources, false);
    loaded.ruleset.unwrap_or_else(|| panic!("CRS does not load:\n{told}"))
}

fn conf_files(directory: &Path, suffix: &str) -> Vec<Input> {
    let entries = std::fs::read_dir(directory).expect("CRS's directories are readable").flatten();
    let mut names: Vec<String> =
        entries.map(|e| e.path().display().to_string()).filter(|p| p.ends_with(suffix)).collect();
    names.sort();
    names.into_iter().map(Input::File).collect()
}
