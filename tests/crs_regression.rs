//! The whole regression suite of OWASP CRS: on the engine alone, and through the real proxy over loopback, in every way
//! that may not change the answer. Every test has to pass; there is no list of exceptions.
//!
//! CRS is looked for in `PORTCULLIS_CRS_DIR`, then in `../shared/crs` beside this crate. Without it the tests say so
//! and pass; with `PORTCULLIS_REQUIRE_CRS=1` they fail. `PORTCULLIS_CRS_FILTER` (a regular expression over
//! `rule-test`) runs a part. `docs/conformance.md` is written from the results and compared with them;
//! `PORTCULLIS_BLESS=1` rewrites it.

#![cfg(feature = "server")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tells the share that passes, and what was skipped"
)]

#[path = "suite/crs/compare.rs"]
mod compare;
#[path = "suite/crs/http2.rs"]
mod http2;
#[path = "suite/crs/page.rs"]
mod page;
#[path = "suite/crs/proxy.rs"]
mod proxy;
#[path = "suite/crs/setup.rs"]
mod setup;
mod support;

use compare::{Agreement, Compared, Known};
use http2::{EngineOnHttp2, OverHttp2, Part};
use portcullis::cli::ftw::{
    self, Albedo, Feed, InProcess, Live, LogSource, Records, Summary, Target, TestFile,
};
use portcullis::engine::NoWorld;
use proxy::{Proxy, Wiring};
use setup::{crs, ruleset, selection, suite};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use support::http2::Identity;

#[test]
fn in_process() {
    if let Some(crs) = crs() {
        judge("engine", &first_run(&crs).0, &[]);
    }
}

#[test]
fn in_process_without_prefilters() {
    switched("engine-without-prefilters", |engine| engine.prefilters = false);
}

#[test]
fn in_process_without_memo() {
    switched("engine-without-memo", |engine| engine.memo = false);
}

#[test]
fn in_process_with_bodies_byte_by_byte() {
    switched("engine-byte-by-byte", |engine| engine.feed = Feed::Bytes);
}

#[test]
fn through_the_proxy() {
    if let Some(crs) = crs() {
        let (summary, differences) = over_http1(&crs);
        judge("proxy", summary, differences);
    }
}

#[test]
fn through_the_proxy_with_one_worker() {
    let Some(crs) = crs() else { return };
    let (summary, differences) = http1(&crs, NonZeroUsize::new(1));
    judge("proxy-one-worker", &summary, &differences);
}

#[test]
fn through_the_proxy_over_http2() {
    if let Some(crs) = crs() {
        let run = over_http2(&crs);
        println!(
            "HTTP/2: {} tests ran, {} of them left to the engine; {} do not exist there",
            run.part.tests, run.part.left_to_the_engine, run.part.absent
        );
        judge("proxy-http2", &run.summary, &run.differences);
    }
}

#[test]
fn the_page_tells_these_results() {
    let Some(crs) = crs() else { return };
    if selection().include.is_some() {
        return;
    }
    let run = over_http2(&crs);
    let page = page::page(&page::Results {
        in_process: &first_run(&crs).0,
        http1: &over_http1(&crs).0,
        http2: &run.summary,
        left_to_the_engine: run.part.left_to_the_engine,
        absent: run.part.absent,
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        std::fs::write(&path, page).expect("docs/conformance.md can be written");
        return;
    }
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        old == page,
        "docs/conformance.md is stale: PORTCULLIS_BLESS=1 cargo test --test crs_regression\n{page}"
    );
}

/// Requests at once through the proxy.
const CONNECTIONS: usize = 8;

/// The engine as it comes. Its outcomes are what other runs are compared with.
fn first_run(crs: &Path) -> &'static (Summary, Known) {
    static RUN: OnceLock<(Summary, Known)> = OnceLock::new();
    RUN.get_or_init(|| {
        let known = Known::default();
        let target = Compared::new(engine(crs), &known, Agreement::Exact);
        let summary = run(&target, suite(crs));
        // Requests that several tests send have been compared with themselves.
        assert_eq!(target.differences(), [""; 0]);
        drop(target);
        (summary, known)
    })
}

/// The engine, switched otherwise.
fn switched(name: &str, switch: impl FnOnce(&mut InProcess)) {
    let Some(crs) = crs() else { return };
    let (_, known) = first_run(&crs);
    let mut engine = engine(&crs);
    switch(&mut engine);
    let target = Compared::new(engine, known, Agreement::Exact);
    let summary = run(&target, suite(&crs));
    judge(name, &summary, &target.differences());
}

fn engine(crs: &Path) -> InProcess {
    let mut engine = InProcess::new(ruleset(crs), Arc::new(NoWorld));
    engine.parallel = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    engine
}

fn over_http1(crs: &Path) -> &'static (Summary, Vec<String>) {
    static RUN: OnceLock<(Summary, Vec<String>)> = OnceLock::new();
    RUN.get_or_init(|| http1(crs, None))
}

fn http1(crs: &Path, workers: Option<NonZeroUsize>) -> (Summary, Vec<String>) {
    let backend = Albedo::start(([127, 0, 0, 1], 0).into()).expect("a loopback port is free");
    let records = Arc::new(Records::default());
    let wiring = Wiring { workers, ..Wiring::default() };
    let proxy = Proxy::start(ruleset(crs), backend.address(), Arc::clone(&records), wiring);
    let live = Live::new(proxy.address, LogSource::Records(records), CONNECTIONS);
    let target = Compared::new(live, &first_run(crs).1, Agreement::Rules);
    let summary = run(&target, suite(crs));
    (summary, target.differences())
}

/// A run over HTTP/2.
struct Http2Run {
    part: Part,
    summary: Summary,
    differences: Vec<String>,
}

fn over_http2(crs: &Path) -> &'static Http2Run {
    static RUN: OnceLock<Http2Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let part = http2::part(suite(crs), &ruleset(crs));
        let known = Known::default();
        let word = Compared::new(EngineOnHttp2(engine(crs)), &known, Agreement::Exact);
        run(&word, &part.files);

        let backend = Albedo::start(([127, 0, 0, 1], 0).into()).expect("a loopback port is free");
        let records = Arc::new(Records::default());
        let identity = Identity::new(&["localhost"]);
        let wiring = Wiring { tls: Some(identity.listener()), ..Wiring::default() };
        let proxy = Proxy::start(ruleset(crs), backend.address(), Arc::clone(&records), wiring);
        let target = OverHttp2::new(proxy.address, identity, records, CONNECTIONS);
        let target = Compared::new(target, &known, Agreement::Rules);
        let summary = run(&target, &part.files);
        let differences = target.differences();
        Http2Run { part, summary, differences }
    })
}

fn run(target: &dyn Target, files: &[TestFile]) -> Summary {
    Summary::new(ftw::run(target, files, &selection()))
}

/// Every test has to pass, and nothing may differ from the run that this one was compared with. Prints the table by
/// rule file.
fn judge(target: &str, summary: &Summary, differences: &[String]) {
    println!("{target}: {} tests, {:.2} % pass\n{}", summary.total(), summary.percentage(), summary.table());
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
    assert!(
        differences.is_empty(),
        "{} requests come to something else ({target}):\n{}",
        differences.len(),
        differences.join("\n")
    );
}
