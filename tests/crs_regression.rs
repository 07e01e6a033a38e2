//! The whole regression suite of OWASP CRS: on the engine alone, and through the real proxy over loopback.
//!
//! CRS is looked for in `PORTCULLIS_CRS_DIR`, then in `../shared/crs` beside this crate. Without it the tests say so
//! and pass; with `PORTCULLIS_REQUIRE_CRS=1` they fail. The set-up is that of CRS's own CI: paranoia level 4,
//! `DetectionOnly`, the limits that its tests expect.
//!
//! Every test has to pass; there is no list of exceptions. `PORTCULLIS_CRS_FILTER` (a regular expression over
//! `rule-test`) runs a part of them.

#![cfg(feature = "server")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tells the share that passes, and what was skipped"
)]

use portcullis::cli::ftw::{
    self, Albedo, Feed, InProcess, Live, LogSource, Records, Selection, Summary, TestFile,
};
use portcullis::compile::{self, Input};
use portcullis::config::{self, Overrides, Site};
use portcullis::engine::NoWorld;
use portcullis::proxy::{Finished, Observer, Server};
use portcullis::reload::{Balancer, Current, Generation, SiteRuntime};
use portcullis::ruleset::Ruleset;
use portcullis::syntax::diagnostic;
use portcullis::syntax::seclang::FileLoader;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::SystemTime;
use tokio::sync::watch;

#[test]
fn in_process() {
    let Some(crs) = crs() else { return };
    let mut engine = InProcess::new(ruleset(&crs), Arc::new(NoWorld));
    engine.parallel = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    judge("engine", &ftw::run(&engine, suite(&crs), &selection()));
}

#[test]
fn through_the_proxy() {
    let Some(crs) = crs() else { return };
    let backend = Albedo::start(([127, 0, 0, 1], 0).into()).expect("a loopback port is free");
    let records = Arc::new(Records::default());
    let proxy = Proxy::start(ruleset(&crs), backend.address(), Arc::clone(&records));
    let live = Live::new(proxy.address, LogSource::Records(records), CONNECTIONS);
    judge("proxy", &ftw::run(&live, suite(&crs), &selection()));
}

/// Requests at once through the proxy.
const CONNECTIONS: usize = 8;

/// Splitting bodies anywhere must change nothing. A part of the suite shows it; all of it would take minutes.
#[test]
fn in_process_with_bodies_byte_by_byte() {
    let Some(crs) = crs() else { return };
    let mut engine = InProcess::new(ruleset(&crs), Arc::new(NoWorld));
    let files: Vec<TestFile> =
        suite(&crs).iter().filter(|f| BODY_RULES.contains(&(f.rule_id / 1000))).cloned().collect();
    let whole = ftw::run(&engine, &files, &selection());
    engine.feed = Feed::Bytes;
    let split = ftw::run(&engine, &files, &selection());
    assert_eq!(whole.len(), split.len());
    for (whole, split) in whole.iter().zip(&split) {
        assert_eq!(whole.faults, split.faults, "{}", whole.case.id);
    }
}

/// Prefilters may only say "cannot match": without them, the same rules match.
#[test]
fn in_process_without_prefilters() {
    let Some(crs) = crs() else { return };
    let mut engine = InProcess::new(ruleset(&crs), Arc::new(NoWorld));
    engine.prefilters = false;
    engine.parallel = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    judge("engine", &ftw::run(&engine, suite(&crs), &selection()));
}

/// Rule files (thousands of their ids) whose tests send bodies of every kind.
const BODY_RULES: [u64; 3] = [920, 921, 922];

/// The real proxy on a loopback port, with its reports kept in memory.
struct Proxy {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

struct Recorder(Arc<Records>);

impl Observer for Recorder {
    fn finished(&self, finished: Finished) {
        self.0.push(&finished.report);
    }
    fn upstream_failed(&self, site: &Site, reason: &'static str) {
        eprintln!("upstream of {}: {reason}", site.name);
    }
    fn connection_failed(&self, reason: &'static str) {
        eprintln!("connection: {reason}");
    }
}

impl Proxy {
    fn start(ruleset: Arc<Ruleset>, backend: SocketAddr, records: Arc<Records>) -> Self {
        let overrides = Overrides {
            listen: Some(([127, 0, 0, 1], 0).into()),
            upstreams: vec![format!("http://{backend}")],
            ..Overrides::default()
        };
        let loaded = config::load(None, &overrides);
        let told = diagnostic::render(&loaded.diagnostics, &loaded.sources, false);
        let config =
            Arc::new(loaded.config.unwrap_or_else(|| panic!("the configuration is refused:\n{told}")));
        let runtime = |site: &Arc<Site>| SiteRuntime {
            config: Arc::clone(site),
            ruleset: Arc::clone(&ruleset),
            upstreams: Balancer::new(&site.upstreams),
        };
        let sites = config.sites.iter().map(runtime).collect();
        let generation =
            Generation { number: 1, hash: String::new(), config, sites, loaded_at: SystemTime::UNIX_EPOCH };
        let current = Current::new(Arc::new(generation).into());
        let server = Server::bind(current, Arc::new(NoWorld), Arc::new(Recorder(records)))
            .expect("a loopback port is free");
        let address = server.addresses()[0];
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::spawn(move || server.run(None, stopped).expect("the server runs"));
        Self { address, stop, thread: Some(thread) }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // An error says that the server has ended by itself; joining tells how.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the server panicked");
        }
    }
}

/// The directory of CRS, if there is one; says loudly when not.
fn crs() -> Option<PathBuf> {
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

fn selection() -> Selection {
    let filter = std::env::var("PORTCULLIS_CRS_FILTER").ok();
    Selection {
        include: filter
            .map(|f| regex::Regex::new(&f).expect("PORTCULLIS_CRS_FILTER is a regular expression")),
    }
}

/// The tests of the suite, read once.
fn suite(crs: &Path) -> &'static [TestFile] {
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
fn ruleset(crs: &Path) -> Arc<Ruleset> {
    static RULESET: OnceLock<Arc<Ruleset>> = OnceLock::new();
    let compiled = RULESET.get_or_init(|| {
        let file = |name: &str| Input::File(crs.join(name).display().to_string());
        let mut inputs = vec![
            Input::Text { name: "engine.conf".into(), text: ENGINE.into() },
            file("crs-setup.conf.example"),
            Input::Text { name: "test-setup.conf".into(), text: SETUP.into() },
        ];
        inputs.extend(conf_files(&crs.join("plugins"), "-config.conf"));
        inputs.extend(conf_files(&crs.join("plugins"), "-before.conf"));
        inputs.extend(conf_files(&crs.join("rules"), ".conf"));
        inputs.extend(conf_files(&crs.join("plugins"), "-after.conf"));
        let loaded = compile::load(&inputs, &FileLoader);
        let told = diagnostic::render(&loaded.diagnostics, &loaded.sources, false);
        loaded.ruleset.unwrap_or_else(|| panic!("CRS does not load:\n{told}"))
    });
    Arc::clone(compiled)
}

fn conf_files(directory: &Path, suffix: &str) -> Vec<Input> {
    let entries = std::fs::read_dir(directory).expect("CRS's directories are readable").flatten();
    let mut names: Vec<String> =
        entries.map(|e| e.path().display().to_string()).filter(|p| p.ends_with(suffix)).collect();
    names.sort();
    names.into_iter().map(Input::File).collect()
}

/// What a web server's configuration says before CRS: as ModSecurity recommends, with the response types of CRS's
/// CI, and every transaction audited.
const ENGINE: &str = r#"
SecRuleEngine DetectionOnly
SecAuditEngine On
SecAuditLogParts ABIJDEFHZ

SecRequestBodyAccess On
SecRequestBodyLimit 13107200
SecRequestBodyNoFilesLimit 131072
SecRequestBodyLimitAction Reject
SecRequestBodyJsonDepthLimit 512
SecArgumentsLimit 1000

SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html text/xml application/json
SecResponseBodyLimit 524288
SecResponseBodyLimitAction ProcessPartial

SecRule REQUEST_HEADERS:Content-Type "@rx ^(?:text|application)/(?:soap\+)?xml" \
    "id:200000, phase:1, pass, nolog, t:none, t:lowercase, ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/(?:[a-z0-9.-]+\+)?json" \
    "id:200001, phase:1, pass, nolog, t:none, t:lowercase, ctl:requestBodyProcessor=JSON"
SecRule REQBODY_ERROR "!@eq 0" \
    "id:200002, phase:2, deny, status:400, log, t:none, msg:'The request body cannot be parsed', \
    logdata:'%{REQBODY_ERROR_MSG}', severity:CRITICAL"
SecRule MULTIPART_STRICT_ERROR "!@eq 0" \
    "id:200003, phase:2, deny, status:400, log, t:none, msg:'The multipart body is not strictly well-formed', \
    severity:CRITICAL"
SecRule MULTIPART_UNMATCHED_BOUNDARY "@eq 1" \
    "id:200004, phase:2, deny, status:400, log, t:none, msg:'The multipart body may hold an unmatched boundary'"
"#;

/// The settings of CRS's CI, and the limits that its README and its tests expect.
const SETUP: &str = r#"
SecAction "id:900005, phase:1, nolog, pass, t:none, \
    ctl:ruleEngine=DetectionOnly, \
    ctl:ruleRemoveById=910000, \
    setvar:tx.blocking_paranoia_level=4, \
    setvar:tx.crs_validate_utf8_encoding=1, \
    setvar:tx.arg_name_length=100, \
    setvar:tx.arg_length=400, \
    setvar:tx.total_arg_length=6400, \
    setvar:tx.max_num_args=255, \
    setvar:tx.max_file_size=64100, \
    setvar:tx.combined_file_sizes=65535"

SecRule REQUEST_HEADERS:X-CRS-Test "@rx ." \
    "id:999999, phase:1, pass, log, t:none, msg:'X-CRS-Test %{MATCHED_VAR}', ctl:ruleRemoveById=1-999999"
"#;

/// Every test has to pass. Tells the share that does, and writes the table where it is asked for.
fn judge(target: &str, results: &[ftw::CaseResult]) {
    let summary = Summary::new(results.to_vec());
    println!("{target}: {} tests, {:.2} % pass", summary.total(), summary.percentage());
    if let Some(directory) = std::env::var_os("PORTCULLIS_CRS_REPORT") {
        let directory = PathBuf::from(directory);
        std::fs::write(directory.join(format!("{target}.txt")), summary.table())
            .expect("the report is writable");
        std::fs::write(directory.join(format!("{target}.json")), summary.json().to_string())
            .expect("the report is writable");
    }
    let faults: Vec<String> =
        summary.failures().map(|r| format!("{}: {}", r.case.id, r.faults.join("; "))).collect();
    assert!(faults.is_empty(), "{} tests fail ({target}):\n{}", faults.len(), faults.join("\n"));
}
