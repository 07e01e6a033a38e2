//! The audit log as it is written: promptly, in order, across rotation, reopening and failure, and never in the way.

#![cfg(feature = "server")]

#[allow(dead_code, reason = "shared with other tests")]
#[path = "support/report.rs"]
mod report;

use portcullis::audit::{Facts, Format, Redaction};
use portcullis::config::{Audit, AuditTarget};
use portcullis::engine::{AuditEngine, AuditSettings, Decision, Disruption, Interruption, Report};
use portcullis::telemetry::{
    AuditEntry, AuditLog, AuditSink, Completed, MemorySink, Metrics, Mishap, Recorder,
};
use report::plain;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn config(path: &Path) -> Audit {
    Audit {
        target: AuditTarget::File(path.to_owned()),
        format: Format::Native,
        rotate_bytes: 0,
        rotate_keep: 2,
        queue: NonZeroUsize::new(1_000).expect("not 0"),
        queue_bytes: 10 << 20,
        sinks: Vec::new(),
        redact: Redaction::default(),
    }
}

fn entry(id: &str) -> Arc<AuditEntry> {
    Arc::new(AuditEntry { report: plain(id), facts: Facts::default() })
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new().expect("registered"))
}

fn ids(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let id = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).expect("a whole line");
        value["id"].as_str().expect("an id").to_owned()
    };
    text.lines().map(id).collect()
}

/// Waits until `done` holds; the log promises no more than "at once".
fn soon(done: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

fn metric(metrics: &Metrics, series: &str) -> u64 {
    let text = metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}")).trim().parse().expect("a number")
}

#[test]
fn lines_are_there_at_once_and_in_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("audit.log");
    let metrics = metrics();
    let log = AuditLog::start(&config(&path), Arc::clone(&metrics)).expect("started");
    log.submit(entry("first"));
    assert!(soon(|| ids(&path) == ["first"]), "a lone line is not held back");
    for i in 0..500 {
        log.submit(entry(&i.to_string()));
    }
    assert!(log.flush(Duration::from_secs(5)));
    let expected: Vec<String> =
        std::iter::once("first".to_owned()).chain((0..500).map(|i| i.to_string())).collect();
    assert_eq!(ids(&path), expected);
    assert!(metrics.render().contains("portcullis_audit_written_total{sink=\"log\"} 501"));
    log.stop(Duration::from_secs(5));
    log.submit(entry("late"));
    assert!(metrics.render().contains("portcullis_audit_dropped_total{reason=\"queue_full\",sink=\"-\"} 1"));
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, moved) = (directory.path().join("audit.log"), directory.path().join("moved"));
    let log = AuditLog::start(&config(&path), metrics()).expect("started");
    log.submit(entry("a"));
    assert!(log.flush(Duration::from_secs(5)));
    fs::rename(&path, &moved).expect("moved");
    log.reopen();
    assert!(soon(|| path.exists()), "without traffic too");
    log.submit(entry("b"));
    assert!(log.flush(Duration::from_secs(5)));
    assert_eq!((ids(&moved), ids(&path)), (vec!["a".to_owned()], vec!["b".to_owned()]));
}

#[test]
fn what_does_not_fit_the_queue_is_dropped_and_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("audit.log");
    let metrics = metrics();
    let small = Audit { queue_bytes: 100_000, ..config(&path) };
    let log = AuditLog::start(&small, Arc::clone(&metrics)).expect("started");
    let mut big = AuditEntry { report: plain("big"), facts: Facts::default() };
    big.report.request.body.bytes = vec![b'x'; 200_000];
    log.submit(Arc::new(big));
    log.submit(entry("small"));
    assert!(log.flush(Duration::from_secs(5)));
    assert_eq!(ids(&path), ["small"]);
    assert!(metrics.render().contains("portcullis_audit_dropped_total{reason=\"queue_full\",sink=\"-\"} 1"));
    // What was dropped takes no room from what follows.
    for _ in 0..100 {
        log.submit(entry("x"));
        assert!(log.flush(Duration::from_secs(5)));
    }
    assert_eq!(ids(&path).len(), 101);
}

#[test]
fn the_log_goes_on_after_its_file_was_out_of_reach() {
    let directory = tempfile::tempdir().expect("a directory");
    let folder = directory.path().join("logs");
    fs::create_dir(&folder).expect("created");
    let path = folder.join("audit.log");
    let metrics = metrics();
    let log = AuditLog::start(&config(&path), Arc::clone(&metrics)).expect("started");
    fs::remove_dir_all(&folder).expect("removed");
    log.reopen();
    log.submit(entry("kept"));
    let retried = || metric(&metrics, "portcullis_audit_retries_total{sink=\"log\"}") > 0;
    assert!(soon(retried), "{}", metrics.render());
    assert_eq!(metric(&metrics, "portcullis_audit_queue_length{sink=\"log\"}"), 1);
    fs::create_dir(&folder).expect("created");
    assert!(log.flush(Duration::from_secs(5)));
    assert_eq!(ids(&path), ["kept"], "what came while the file was out of reach is there afterwards");
    assert!(AuditLog::start(&config(Path::new("/nowhere/at/all.log")), metrics).is_err());
}

#[test]
fn another_configuration_takes_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let (one, two) = (directory.path().join("1.log"), directory.path().join("2.log"));
    let log = AuditLog::start(&config(&one), metrics()).expect("started");
    log.submit(entry("a"));
    assert!(log.flush(Duration::from_secs(5)));
    assert!(log.reconfigure(&config(Path::new("/nowhere/at/all.log"))).is_err());
    log.submit(entry("b"));
    assert!(log.flush(Duration::from_secs(5)));
    log.reconfigure(&Audit { format: Format::ModSecurity, ..config(&two) }).expect("sound");
    log.submit(entry("c"));
    assert!(log.flush(Duration::from_secs(5)));
    assert_eq!(ids(&one), ["a", "b"]);
    assert!(fs::read_to_string(&two).expect("there").starts_with("{\"transaction\":"));
    log.reconfigure(&Audit { target: AuditTarget::Off, ..config(&two) }).expect("sound");
    log.submit(entry("d"));
    assert!(log.flush(Duration::from_secs(5)));
    assert_eq!(fs::read_to_string(&two).expect("there").lines().count(), 1);
}

#[test]
fn finished_requests_are_counted_and_recorded() {
    let metrics = metrics();
    let auditor = portcullis::audit::Auditor::new(&Redaction::default(), Format::Native, "");
    let sink = Arc::new(MemorySink::new(auditor));
    let recorder = Recorder::new(Arc::clone(&metrics), Arc::<MemorySink>::clone(&sink));
    let done = |report: Report, mishaps: Vec<Mishap>| Completed {
        site: Some("shop".to_owned()),
        report,
        status: 403,
        mishaps,
        turned_away: Vec::new(),
        inspection: [Duration::from_micros(40); 5],
        duration: Duration::from_millis(2),
        request_bytes: 10,
        response_bytes: 20,
        upstream: None,
        generation: String::new(),
    };
    let denial = Interruption { disruption: Disruption::Deny, status: 403, rule_id: 1, phase: 2 };
    let hit = report::hit(942_100, 2, "ARGS:q", b"1'", &["attack-sqli"]);
    // It compares the score, in every request that is blocked.
    let judge = report::hit(949_110, 2, "TX:BLOCKING_INBOUND_ANOMALY_SCORE", b"5", &[]);
    let blocked =
        Report { decision: Decision::Interrupt(denial.clone()), rules: vec![hit, judge], ..plain("blocked") };
    recorder.finished(done(blocked, Vec::new()));
    recorder.finished(done(Report { suppressed: Some(denial), ..plain("detected") }, Vec::new()));
    recorder.finished(done(plain("failed"), vec![Mishap::Upstream("refused")]));
    recorder.finished(done(plain("refused"), vec![Mishap::Refused("bad_request_line")]));
    let open = Mishap::Inner { failure: "internal", open: true };
    recorder.finished(done(plain("gone"), vec![Mishap::Gone, open]));
    let quiet = AuditSettings { engine: AuditEngine::RelevantOnly, ..plain("").audit };
    recorder.finished(done(Report { audit: quiet, ..plain("quiet") }, Vec::new()));
    let text = metrics.render();
    for outcome in ["blocked", "detected", "failed", "refused", "abandoned", "passed"] {
        let line = format!(
            "portcullis_requests_total{{outcome=\"{outcome}\",site=\"shop\",status_class=\"4xx\"}} 1"
        );
        assert!(text.contains(&line), "{line}\n{text}");
    }
    for line in [
        "portcullis_blocks_total{category=\"sqli\",site=\"shop\"} 1",
        "portcullis_rule_hits_total{outcome=\"blocked\",rule_id=\"942100\",site=\"shop\"} 1",
        "portcullis_false_alarm_candidates_total{site=\"shop\"} 1",
        "portcullis_detections_total{category=\"other\",site=\"shop\"} 1",
        "portcullis_malformed_requests_total{reason=\"bad_request_line\"} 1",
        "portcullis_upstream_errors_total{cause=\"refused\",site=\"shop\"} 1",
        "portcullis_uninspected_total{reason=\"failure_internal\",site=\"shop\"} 1",
        "portcullis_request_body_bytes_total{site=\"shop\"} 60",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("rule_id=\"949110\""), "what only compares the score is no hit: {text}");
    assert_eq!(sink.lines().len(), 5);
}
