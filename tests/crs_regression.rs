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
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use support::http2::Identity;
use support::origin::Origin;

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
fn in_process_without_verdicts() {
    switched("engine-without-verdicts", |engine| engine.verdicts = false);
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

/// What is answered 400 has been looked at all the same: CRS sees the attack in each of these, a record is written,
/// and nothing reaches the upstream.
#[test]
fn malformed_requests_are_inspected_and_go_nowhere() {
    let Some(crs) = crs() else { return };
    let origin = Origin::echo();
    let records = Arc::new(Records::default());
    let proxy = Proxy::start(ruleset(&crs), origin.address, Arc::clone(&records), Wiring::default());
    for (index, (name, line, fields)) in MALFORMED.iter().enumerate() {
        let line = line.replace("ATTACK", "x=%3Cscript%3Ealert(1)%3C/script%3E");
        let mut stream = std::net::TcpStream::connect(proxy.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let port = stream.local_addr().expect("an address").port();
        records.forget(port);
        stream.write_all(format!("{line}{fields}").as_bytes()).expect("it is sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the answer, and then the end");
        let answer = String::from_utf8(answer).expect("text");
        let status = answer.get(..12).unwrap_or_default();
        assert!(["HTTP/1.1 400", "HTTP/1.1 505"].contains(&status), "{name}: {answer}");
        let seen = records.wait(port).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(seen.iter().any(|s| s.id == 941_110), "{name}: {seen:?}");
        assert_eq!(proxy.audited.load(Ordering::Acquire), index + 1, "{name}: no audit record");
    }
    assert_eq!(origin.connections(), 0);
}

/// Name, request line, and what follows it.
const MALFORMED: &[(&str, &str, &str)] = &[
    ("a fragment", "GET /?ATTACK#a HTTP/1.1\r\n", "Host: a.test\r\n\r\n"),
    ("another host in the target", "GET http://b.test/?ATTACK HTTP/1.1\r\n", "Host: a.test\r\n\r\n"),
    ("a user in the target", "GET http://u@a.test/?ATTACK HTTP/1.1\r\n", "Host: a.test\r\n\r\n"),
    ("another scheme", "GET ftp://a.test/?ATTACK HTTP/1.1\r\n", "Host: a.test\r\n\r\n"),
    ("a target without a slash", "GET a?ATTACK HTTP/1.1\r\n", "Host: a.test\r\n\r\n"),
    ("a control character in the target", "GET /\x01?ATTACK HTTP/1.1\r\n", "Host: a.test\r\n\r\n"),
    ("NUL in the target", "GET /\0?ATTACK HTTP/1.1\r\n", "Host: a.test\r\n\r\n"),
    ("a space in the target", "GET /a b?ATTACK HTTP/1.1\r\n", "Host: a.test\r\n\r\n"),
    ("two spaces", "GET  /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\n\r\n"),
    ("a tab for a space", "GET\t/?ATTACK HTTP/1.1\r\n", "Host: a.test\r\n\r\n"),
    ("a space before the method", " GET /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\n\r\n"),
    ("a method that is none", "G<T /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\n\r\n"),
    ("no version", "POST /?ATTACK\r\n", "Host: a.test\r\n\r\n"),
    ("version 0.8", "GET /?ATTACK HTTP/0.8\r\n", "Host: a.test\r\n\r\n"),
    ("version 2.0", "GET /?ATTACK HTTP/2.0\r\n", "Host: a.test\r\n\r\n"),
    ("version 1.2", "GET /?ATTACK HTTP/1.2\r\n", "Host: a.test\r\n\r\n"),
    ("a version of two digits", "GET /?ATTACK HTTP/1.10\r\n", "Host: a.test\r\n\r\n"),
    ("a version in lower case", "GET /?ATTACK http/1.1\r\n", "Host: a.test\r\n\r\n"),
    ("a version that is none", "GET /?ATTACK TEST\r\n", "Host: a.test\r\n\r\n"),
    ("no host", "GET /?ATTACK HTTP/1.1\r\n", "\r\n"),
    ("an empty host", "GET /?ATTACK HTTP/1.1\r\n", "Host:\r\n\r\n"),
    ("two hosts", "GET /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\nHost: a.test\r\n\r\n"),
    ("a host with a path", "GET /?ATTACK HTTP/1.1\r\n", "Host: a.test/x\r\n\r\n"),
    ("a host with a user", "GET /?ATTACK HTTP/1.1\r\n", "Host: u@a.test\r\n\r\n"),
    ("NUL in the host", "GET /?ATTACK HTTP/1.1\r\n", "Host: a.\0test\r\n\r\n"),
    ("NUL in a field", "GET /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\nX: a\0b\r\n\r\n"),
    ("a control character in a field", "GET /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\nX: a\x08b\r\n\r\n"),
    ("a folded field", "GET /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\nX: a\r\n b\r\n\r\n"),
    ("a fold before all fields", "GET /?ATTACK HTTP/1.1\r\n", " X: a\r\nHost: a.test\r\n\r\n"),
    ("a space before the colon", "GET /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\nX : a\r\n\r\n"),
    ("a field without a colon", "GET /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\nX\r\n\r\n"),
    ("a field without a name", "GET /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\n: a\r\n\r\n"),
    ("a name that is none", "GET /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\nX(y): a\r\n\r\n"),
    ("bare LF", "GET /?ATTACK HTTP/1.1\n", "Host: a.test\n\n"),
    ("bare CR", "GET /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\nX: a\rY: b\r\n\r\n"),
    ("a signed length", "POST /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\nContent-Length: +1\r\n\r\na"),
    ("a negative length", "POST /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\nContent-Length: -1\r\n\r\na"),
    ("a hexadecimal length", "POST /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\nContent-Length: 0x1\r\n\r\na"),
    ("a length of nothing", "POST /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\nContent-Length:\r\n\r\na"),
    (
        "a length beyond all measure",
        "POST /?ATTACK HTTP/1.1\r\n",
        "Host: a.test\r\nContent-Length: 99999999999999999999\r\n\r\na",
    ),
    ("a list of lengths", "POST /?ATTACK HTTP/1.1\r\n", "Host: a.test\r\nContent-Length: 1, 1\r\n\r\na"),
    (
        "two lengths",
        "POST /?ATTACK HTTP/1.1\r\n",
        "Host: a.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
    ),
    (
        "an equal length twice",
        "POST /?ATTACK HTTP/1.1\r\n",
        "Host: a.test\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    ),
    (
        "a length beside an odd coding",
        "POST /?ATTACK HTTP/1.1\r\n",
        "Host: a.test\r\nContent-Length: 1\r\nTransfer-Encoding: xchunked\r\n\r\na",
    ),
    (
        "a coding before chunked",
        "POST /?ATTACK HTTP/1.1\r\n",
        "Host: a.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        "POST /?ATTACK HTTP/1.1\r\n",
        "Host: a.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked in HTTP/1.0",
        "POST /?ATTACK HTTP/1.0\r\n",
        "Host: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
];

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
