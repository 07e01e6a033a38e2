//! Where audit records go: each format as it is written, each transport as its receivers read it, and that no sink
//! holds up another one or a request.

#![cfg(all(feature = "server", unix))]

#[allow(dead_code, reason = "shared with other tests")]
#[path = "support/report.rs"]
mod report;
mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis::audit::{Auditor, Facts, Format, Redaction, SHORT};
use portcullis::config::{Audit, Overrides, Sink, check};
use portcullis::engine::{
    AuditParts, Decision, Difference, Disruption, Event, EventKind, Interruption, Report, Shadowed,
};
use portcullis::telemetry::{AuditEntry, AuditLog, AuditSink, Metrics};
use report::{hit, pair, report};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::binary::{Binary, TOKEN};
use support::client::exchange;
use support::origin::Origin;
use support::wait::within;

const PATIENCE: Duration = Duration::from_secs(10);

fn facts() -> Facts {
    let duration = Duration::from_micros(1_634);
    Facts {
        site: "shop".to_owned(),
        status: 403,
        duration,
        upstream: Some("10.0.0.9:80".to_owned()),
        generation: String::new(),
    }
}

fn entry(id: &str) -> AuditEntry {
    AuditEntry { report: Report { id: id.to_owned(), ..report() }, facts: facts() }
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new().expect("registered"))
}

fn metric(metrics: &Metrics, series: &str) -> u64 {
    let text = metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}")).trim().parse().expect("a number")
}

/// The audit settings that a configuration file with these sinks gives.
fn audit(sinks: &str, directory: &Path) -> Audit {
    let text = format!("sites: [{{name: shop, upstreams: 'http://127.0.0.1:1'}}]\naudit:\n  sinks:\n{sinks}");
    let loaded = check("t.yaml", &text, directory, &Overrides::default());
    loaded.config.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics)).audit
}

#[test]
fn every_format_is_written_as_its_readers_know_it() {
    let auditor = Auditor::new(&Redaction::default(), Format::Native, "machine");
    let mut quiet = report();
    quiet.decision = Decision::Pass;
    quiet.suppressed = Some(Interruption { disruption: Disruption::Drop, status: 403, rule_id: 1, phase: 1 });
    quiet.audit.parts = AuditParts::of(b"AZ");
    quiet.rules = Vec::new();
    quiet.response = None;
    quiet.client = None;
    for (name, format) in Format::WORDS {
        for (kind, report) in [("full", &report()), ("least", &quiet)] {
            let line = auditor.write(&auditor.record(report, &facts()), format);
            let value: Value = serde_json::from_slice(&line).expect("JSON");
            let text = serde_json::to_string_pretty(&value).expect("JSON");
            let text = text.replace(&format!("\"{}\"", env!("CARGO_PKG_VERSION")), "\"VERSION\"");
            let text =
                text.replace(&format!("Portcullis {}", env!("CARGO_PKG_VERSION")), "Portcullis VERSION");
            insta::assert_snapshot!(format!("{name}_{kind}"), text);
        }
    }
}

/// Nobody keeps himself out of a log by a request that is too long for its transport.
#[test]
fn long_records_are_shortened_and_still_tell_what_matters() {
    let auditor = Auditor::new(&Redaction::default(), Format::Native, "machine");
    // Bytes that cost most in JSON: a control character takes six, a byte that is no text five.
    for byte in [b'\x01', b'\xff', b'"', b'a'] {
        let long = vec![byte; 20_000];
        let mut huge = report();
        huge.request.uri = long.clone();
        huge.request.method = long.clone();
        huge.request.protocol = long.clone();
        huge.request.headers = (0..60).map(|_| (long[..300].to_vec(), long[..9_000].to_vec())).collect();
        huge.request
            .headers
            .extend([(b"host".to_vec(), long.clone()), (b"user-agent".to_vec(), long.clone())]);
        huge.request.body.bytes = long.clone();
        let text = String::from_utf8_lossy(&long).into_owned();
        let tags = vec![text.as_str(); 80];
        huge.rules = (0..120).map(|id| hit(id, 5, &text, &long, &tags)).collect();
        huge.rules.push(hit(942_100, 2, "ARGS:q", b"1'", &["attack-sqli"]));
        for rule in &mut huge.rules {
            rule.message = text.clone();
            rule.version = text.clone();
            rule.revision = text.clone();
            rule.operator = text.as_str().into();
            rule.file = text.as_str().into();
        }
        huge.events =
            (0..200).map(|_| Event { kind: EventKind::RuleError, phase: 1, detail: text.clone() }).collect();
        let mut candidate = huge.clone();
        candidate.rules.iter_mut().for_each(|rule| rule.id += 1_000_000);
        huge.shadow = Some(Box::new(Shadowed {
            difference: Difference::NewlyBlocked,
            report: candidate,
            request_body_missing: false,
            response_body_missing: false,
        }));
        let facts = facts();
        let record = auditor.record(&huge, &facts);
        for (name, format) in Format::WORDS {
            let line = auditor.write_within(&record, format, SHORT);
            let line = line.unwrap_or_else(|| panic!("{name} with {byte:02x} is too long"));
            let text = String::from_utf8(line).expect("UTF-8");
            for known in ["01HX", "192.0.2.7", "942100"] {
                assert!(text.contains(known), "no {known} in {name}");
            }
        }
        assert!(auditor.write_within(&record, Format::Native, 100).is_none());
    }
    let whole = auditor.write(&auditor.record(&report(), &facts()), Format::Native);
    let within = auditor.write_within(&auditor.record(&report(), &facts()), Format::Native, whole.len());
    assert_eq!(within.as_deref(), Some(&whole[..]), "what fits stays whole");
}

/// Reads one message of RFC 6587's octet counting.
fn framed(reader: &mut impl BufRead) -> Option<String> {
    let mut length = Vec::new();
    reader.read_until(b' ', &mut length).ok().filter(|n| *n > 0)?;
    let length: usize = std::str::from_utf8(&length).ok()?.trim().parse().expect("a length");
    let mut message = vec![0; length];
    reader.read_exact(&mut message).expect("as long as it says");
    Some(String::from_utf8(message).expect("UTF-8"))
}

/// The header's fields and the record of a message of RFC 5424.
fn parsed(message: &str) -> (Vec<&str>, Value) {
    let fields: Vec<&str> = message.splitn(8, ' ').collect();
    let record = serde_json::from_str(fields[7]).unwrap_or_else(|e| panic!("{e}: {message}"));
    (fields[..7].to_vec(), record)
}

#[test]
fn syslog_over_udp_sends_a_datagram_for_each_record() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let to = socket.local_addr().expect("an address");
    let audit = audit(&format!("  - {{to: 'udp://{to}', format: ecs, facility: authpriv}}\n"), Path::new(""));
    let log = AuditLog::start(&audit, metrics()).expect("started");
    log.submit(Arc::new(entry("one")));
    let mut long = entry("two");
    long.report.request.headers =
        (0..200).map(|i| (format!("x-{i}").into_bytes(), vec![b'v'; 2_000])).collect();
    log.submit(Arc::new(long));
    let mut buffer = vec![0; 100_000];
    for id in ["one", "two"] {
        let length = socket.recv(&mut buffer).expect("a datagram");
        let message = std::str::from_utf8(&buffer[..length]).expect("UTF-8");
        let (header, record) = parsed(message);
        // authpriv is 10, a blocked request a warning (4).
        assert_eq!(header[0], "<84>1");
        assert_eq!(header[1], "2026-11-22T11:26:34.123456Z");
        assert_eq!((header[3], header[5], header[6]), ("portcullis", "audit", "-"));
        assert_eq!(record["event"]["id"], id);
    }
}

#[test]
fn syslog_over_tcp_is_framed_and_survives_its_receiver_s_restart() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let to = listener.local_addr().expect("an address");
    let audit = audit(&format!("  - {{to: 'tcp://{to}', name: central}}\n"), Path::new(""));
    let metrics = metrics();
    let log = AuditLog::start(&audit, Arc::clone(&metrics)).expect("started");
    for id in ["a", "b\nwith a line end"] {
        log.submit(Arc::new(entry(id)));
    }
    let mut reader = BufReader::new(listener.accept().expect("connected").0);
    assert_eq!(parsed(&framed(&mut reader).expect("a message")).1["id"], "a");
    assert_eq!(parsed(&framed(&mut reader).expect("a message")).1["id"], "b\nwith a line end");
    assert!(log.flush(PATIENCE));
    assert_eq!(metric(&metrics, "portcullis_audit_written_total{sink=\"central\"}"), 2);
    // The receiver goes away and comes back; what is recorded meanwhile waits.
    drop(reader);
    drop(listener);
    std::thread::sleep(Duration::from_millis(50));
    log.submit(Arc::new(entry("c")));
    within(PATIENCE, "a retry", || metric(&metrics, "portcullis_audit_retries_total{sink=\"central\"}") > 0);
    let listener = TcpListener::bind(to).expect("bound again");
    let mut reader = BufReader::new(listener.accept().expect("connected").0);
    assert_eq!(parsed(&framed(&mut reader).expect("a message")).1["id"], "c");
    assert!(log.flush(PATIENCE));
    assert_eq!(metric(&metrics, "portcullis_audit_written_total{sink=\"central\"}"), 3);
}

/// A receiver of syslog over TLS whose certificate is left as `ca.pem`: its port, and what it is sent.
fn secured(directory: &Path) -> (u16, Receiver<String>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    std::fs::write(directory.join("ca.pem"), made.cert.pem()).expect("written");
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a pair");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("an address").port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).expect("a session");
            let mut reader = BufReader::new(rustls::StreamOwned::new(session, stream));
            let tell = tell.clone();
            std::thread::spawn(move || {
                while framed(&mut reader).is_some_and(|message| tell.send(message).is_ok()) {}
            });
        }
    });
    (port, told)
}

#[test]
fn syslog_over_tls_proves_who_receives() {
    let directory = tempfile::tempdir().expect("a directory");
    let (port, told) = secured(directory.path());
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    std::fs::write(directory.path().join("other.pem"), other.cert.pem()).expect("written");
    let sinks =
        |ca: &str| format!("  - {{to: 'tls://localhost:{port}', ca: {ca}, retry: 1s, format: ocsf}}\n");
    let trusting = AuditLog::start(&audit(&sinks("ca.pem"), directory.path()), metrics()).expect("started");
    trusting.submit(Arc::new(entry("secure")));
    let message = told.recv_timeout(PATIENCE).expect("a message");
    let (header, record) = parsed(&message);
    assert_eq!((header[0], &record["metadata"]["uid"]), ("<132>1", &Value::from("secure")));

    let metrics = metrics();
    let audit = audit(&sinks("other.pem"), directory.path());
    let wary = AuditLog::start(&audit, Arc::clone(&metrics)).expect("started");
    wary.submit(Arc::new(entry("never")));
    let dropped = "portcullis_audit_dropped_total{reason=\"unreachable\",sink=\"syslog\"}";
    // A receiver with another certificate gets nothing.
    within(PATIENCE, "the loss", || metric(&metrics, dropped) == 1);
    assert!(told.try_recv().is_err());
}

/// An HTTP server that answers as it is told, in order, and then 200; what it was sent comes out of the channel.
struct Collector {
    address: SocketAddr,
    requests: Receiver<(String, Vec<u8>)>,
    answers: Arc<Mutex<Vec<&'static str>>>,
}

fn collector(answers: &[&'static str]) -> Collector {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    let answers = Arc::new(Mutex::new(answers.to_vec()));
    let (tell, requests) = channel();
    let given = Arc::clone(&answers);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (tell, given) = (tell.clone(), Arc::clone(&given));
            std::thread::spawn(move || serve(stream, &tell, &given));
        }
    });
    Collector { address, requests, answers }
}

fn serve(stream: TcpStream, tell: &Sender<(String, Vec<u8>)>, answers: &Mutex<Vec<&'static str>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
    let mut stream = stream;
    loop {
        let (mut head, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let length = head
            .lines()
            .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned));
        let mut body = vec![0; length.expect("a length").trim().parse().expect("a number")];
        reader.read_exact(&mut body).expect("whole");
        let mut answers = answers.lock().expect("sound");
        let answer = if answers.is_empty() { "200 OK" } else { answers.remove(0) };
        drop(answers);
        if tell.send((head, body)).is_err() || answer == "hang up" {
            return;
        }
        let (status, more) = answer.split_once('|').unwrap_or((answer, ""));
        if write!(stream, "HTTP/1.1 {status}\r\n{more}Content-Length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}

fn ids(body: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(body).expect("UTF-8");
    let values: Vec<Value> = if text.starts_with('[') {
        serde_json::from_str(text).expect("an array")
    } else {
        text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
    };
    values.iter().map(|value| value["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn http_gets_batches_and_is_tried_again() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("headers"), "Authorization: Splunk s3cr3t-token\n")
        .expect("written");
    let collector = collector(&["503 Busy", "hang up", "429 Slow|Retry-After: 1\r\n", "200 OK", "400 Bad"]);
    let sinks = format!(
        "  - {{to: 'http://{}/in?x=1', headers: ['X-Source: waf'], headers_file: headers, batch: 3, batch_wait: 1s}}\n",
        collector.address
    );
    let metrics = metrics();
    let log = AuditLog::start(&audit(&sinks, directory.path()), Arc::clone(&metrics)).expect("started");
    for id in ["a", "b", "c"] {
        log.submit(Arc::new(entry(id)));
    }
    let mut last = Instant::now();
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let (head, body) = collector.requests.recv_timeout(PATIENCE).expect("a request");
        pauses.push(last.elapsed());
        last = Instant::now();
        assert!(head.starts_with("POST /in?x=1 HTTP/1.1\r\n"), "{head}");
        let head = head.to_ascii_lowercase();
        for line in
            ["content-type: application/x-ndjson", "x-source: waf", "authorization: splunk s3cr3t-token"]
        {
            assert!(head.contains(line), "{line} in {head}");
        }
        assert_eq!(ids(&body), ["a", "b", "c"], "the same records in every attempt");
    }
    assert!(pauses[3] >= Duration::from_secs(1), "Retry-After is heeded: {pauses:?}");
    assert!(log.flush(PATIENCE));
    let count = |series: &str| metric(&metrics, series);
    assert_eq!(count("portcullis_audit_written_total{sink=\"http\"}"), 3);
    assert!(count("portcullis_audit_retries_total{sink=\"http\"}") >= 2);
    // What the collector will not have is lost, counted, and in nobody's way. A flush does not wait for a batch.
    log.submit(Arc::new(entry("bad")));
    assert!(log.flush(PATIENCE));
    assert_eq!(count("portcullis_audit_dropped_total{reason=\"refused\",sink=\"http\"}"), 1);
    log.submit(Arc::new(entry("good")));
    assert!(log.flush(PATIENCE));
    assert_eq!(count("portcullis_audit_written_total{sink=\"http\"}"), 4);
    assert!(
        !format!("{:?}", audit(&sinks, directory.path())).contains("s3cr3t-token"),
        "secrets are not printed"
    );
}

#[test]
fn http_sends_less_at_once_when_that_is_too_much() {
    let collector = collector(&["413 Too Large", "413 Too Large"]);
    let sinks = format!("  - {{to: 'http://{}', body: array, batch: 4}}\n", collector.address);
    let log = AuditLog::start(&audit(&sinks, Path::new("")), metrics()).expect("started");
    for id in ["a", "b", "c", "d"] {
        log.submit(Arc::new(entry(id)));
    }
    assert!(log.flush(PATIENCE));
    let sent: Vec<Vec<String>> = collector.requests.try_iter().map(|(_, body)| ids(&body)).collect();
    assert_eq!(sent, [vec!["a", "b", "c", "d"], vec!["a", "b"], vec!["a"], vec!["b"], vec!["c", "d"]]);
    assert!(collector.answers.lock().expect("sound").is_empty());
}

#[test]
fn a_sink_that_stands_still_is_in_nobody_s_way() {
    let directory = tempfile::tempdir().expect("a directory");
    // Accepts connections and reads nothing; and nobody at all.
    let deaf = TcpListener::bind("127.0.0.1:0").expect("bound");
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        listener.local_addr().expect("an address")
    };
    let sinks = format!(
        "  - {{to: ok.log}}
  - {{name: deaf, to: 'http://{}', queue: 50, batch: 10}}
  - {{name: mute, to: 'tcp://{}', queue: 50}}
  - {{name: away, to: 'tcp://{nobody}', queue: 1000, queue_bytes: 64KiB}}\n",
        deaf.local_addr().expect("an address"),
        deaf.local_addr().expect("an address"),
    );
    let metrics = metrics();
    let log = AuditLog::start(&audit(&sinks, directory.path()), Arc::clone(&metrics)).expect("started");
    let begun = Instant::now();
    for id in 0..2_000 {
        log.submit(Arc::new(entry(&id.to_string())));
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "submitting waits for nobody: {took:?}");
    let file = directory.path().join("ok.log");
    let lines = || std::fs::read_to_string(&file).unwrap_or_default().lines().count();
    within(PATIENCE, "the last line", || lines() == 2_000);
    for (sink, room) in [("deaf", 50), ("away", 64)] {
        let dropped = format!("portcullis_audit_dropped_total{{reason=\"queue_full\",sink=\"{sink}\"}}");
        let held = metric(&metrics, &format!("portcullis_audit_queue_length{{sink=\"{sink}\"}}"));
        assert!(held <= room, "{sink} holds {held}");
        within(PATIENCE, "the losses", || metric(&metrics, &dropped) >= 2_000 - room - 10);
    }
    let begun = Instant::now();
    log.stop(Duration::from_millis(300));
    assert!(begun.elapsed() < Duration::from_secs(2), "stopping waits no longer than it is told");
}

#[test]
fn filters_choose_what_a_sink_gets() {
    let directory = tempfile::tempdir().expect("a directory");
    let sinks = "  - {name: all, to: all.log}
  - {name: blocked, to: blocked.log, outcomes: [blocked, detected], format: coraza}
  - {name: other, to: other.log, sites: [other]}
  - {name: sqli, to: sqli.log, tags: [attack-sqli, attack-xss], min_score: 8}
  - {name: grave, to: grave.log, min_score: 9}\n";
    let audit = audit(sinks, directory.path());
    let log = AuditLog::start(&audit, metrics()).expect("started");
    log.submit(Arc::new(entry("blocked")));
    let mut detected = entry("detected");
    detected.report.suppressed = detected.report.decision.interruption().cloned();
    detected.report.decision = Decision::Pass;
    detected.report.rules.clear();
    log.submit(Arc::new(detected));
    let mut passed = entry("passed");
    passed.report.decision = Decision::Pass;
    passed.facts.site = "other".to_owned();
    log.submit(Arc::new(passed));
    assert!(log.flush(PATIENCE));
    let read = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(directory.path().join(name)).expect("there");
        let id = |line: &str| -> String {
            let value: Value = serde_json::from_str(line).expect("a record");
            let id = value.pointer("/id").or(value.pointer("/transaction/id"));
            id.and_then(Value::as_str).expect("an id").to_owned()
        };
        text.lines().map(id).collect()
    };
    assert_eq!(read("all.log"), ["blocked", "detected", "passed"]);
    assert_eq!(read("blocked.log"), ["blocked", "detected"]);
    assert_eq!(read("other.log"), ["passed"]);
    assert_eq!(read("sqli.log"), ["blocked", "passed"]);
    assert!(read("grave.log").is_empty());
    // Another configuration: a sink that stays the same goes on, a new one begins, the others end.
    let next: Vec<Sink> = audit.sinks.iter().filter(|sink| sink.name != "other").cloned().collect();
    log.reconfigure(&Audit { sinks: next, ..audit.clone() }).expect("sound");
    let mut late = entry("late");
    late.facts.site = "other".to_owned();
    log.submit(Arc::new(late));
    assert!(log.flush(PATIENCE));
    assert_eq!((read("all.log").len(), read("other.log").len()), (4, 1));
}

#[test]
fn faults_of_sinks_are_told() {
    let complaints = |sink: &str| {
        let text = format!("sites: [{{name: s, upstreams: 'http://x'}}]\naudit: {{sinks: [{sink}]}}\n");
        let loaded = check("t.yaml", &text, Path::new("/nowhere"), &Overrides::default());
        assert!(loaded.config.is_none(), "{sink}");
        loaded.diagnostics.iter().map(|d| d.message.clone()).collect::<Vec<_>>().join("; ")
    };
    for (sink, expected) in [
        ("{name: x}", "`to` is missing"),
        ("{to: 'ftp://x'}", "the scheme is one of"),
        ("{to: 'tcp://x/path'}", "without a path"),
        ("{to: 'https://user:pass@x'}", "no user and password in the URL"),
        ("{to: a.log, facility: local0}", "`facility` means nothing to a sink of this kind"),
        ("{to: 'udp://x', facility: local8}", "expected one of kern"),
        ("{to: 'udp://x', message_bytes: 2048}", "expected between"),
        ("{to: 'https://x', certificate: c.pem}", "cannot read"),
        ("{to: a.log}, {to: b.log}", "two sinks are called `file`"),
        ("{to: a.log, name: log}", "two sinks are called `log`"),
        ("{to: a.log, outcomes: [bad]}", "expected one of `blocked`, `detected`, `rest`"),
        ("{to: 'http://x', headers: ['no colon']}", "expected `Name: value`"),
    ] {
        let said = complaints(sink);
        assert!(said.contains(expected), "{sink}: {said}");
    }
}

/// What no sink may tell.
const SECRETS: [&str; 8] = [
    "hunter2-Passw0rd!",
    "tok_4eC39HqLyjWDarjtT1zdp7dc",
    "sess-9f86d081884c7d65",
    "4111111111111111",
    "5500 0000 0000 0004",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5Nabc",
    "c3VwZXItc2VjcmV0LWtleQ",
    "DE89370400440532013000",
];

/// That nothing of the secrets is in what a sink has given, and what is no secret is.
fn has_no_secret(place: &str, text: &str) {
    assert!(text.contains("visible-user"), "{place}: what is no secret stays");
    for secret in SECRETS {
        for form in [
            secret.to_owned(),
            secret.replace(' ', "+"),
            secret.replace(' ', "%20"),
            secret.to_lowercase(),
            STANDARD.encode(format!("joe:{secret}")),
        ] {
            assert!(!text.contains(&form), "{form} left by {place}");
        }
    }
}

/// Secrets of every kind in every place of a request, through every format and every transport but standard output, which
/// has a test of its own.
#[test]
fn no_secret_leaves_by_any_sink() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("set");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let collector = collector(&[]);
    let (secured_port, secured) = secured(directory.path());
    let mut sinks = format!(
        "  - {{name: udp, to: 'udp://{}'}}\n  - {{name: tcp, to: 'tcp://{}', format: ecs}}\n  - {{name: http, to: 'http://{}', format: ocsf}}\n  - {{name: tls, to: 'tls://localhost:{secured_port}', ca: ca.pem}}\n",
        socket.local_addr().expect("an address"),
        listener.local_addr().expect("an address"),
        collector.address,
    );
    for (format, _) in Format::WORDS {
        sinks.push_str(&format!("  - {{name: {format}, to: {format}.log, format: {format}}}\n"));
    }
    let log = AuditLog::start(&audit(&sinks, directory.path()), metrics()).expect("started");
    for secret in SECRETS {
        log.submit(Arc::new(AuditEntry { report: leaky(secret), facts: facts() }));
    }
    let mut reader = BufReader::new(listener.accept().expect("connected").0);
    assert!(log.flush(PATIENCE));
    let mut seen = vec![("tcp", SECRETS.map(|_| framed(&mut reader).expect("a message")).join("\n"))];
    let mut buffer = vec![0; 100_000];
    let mut datagrams = String::new();
    for _ in SECRETS {
        let length = socket.recv(&mut buffer).expect("a datagram");
        datagrams.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    seen.push(("udp", datagrams));
    let secured = SECRETS.map(|_| secured.recv_timeout(PATIENCE).expect("a message"));
    seen.push(("tls", secured.join("\n")));
    let posted: Vec<u8> = collector.requests.try_iter().flat_map(|(_, body)| body).collect();
    seen.push(("http", String::from_utf8_lossy(&posted).into_owned()));
    for (format, _) in Format::WORDS {
        let text = std::fs::read_to_string(directory.path().join(format!("{format}.log"))).expect("there");
        assert_eq!(text.lines().count(), SECRETS.len());
        seen.push((format, text));
    }
    for (place, text) in seen {
        has_no_secret(place, &text);
    }
}

/// The same of what a server prints, whose requests come over the wire: blocked ones and such that pass.
#[test]
fn no_secret_is_printed() {
    let (origin, directory) = (Origin::echo(), tempfile::tempdir().expect("a directory"));
    let configuration = format!(
        "listeners: ['127.0.0.1:0']
admin: {{address: '127.0.0.1:0', token: {TOKEN}}}
audit: {{log: 'off', sinks: [{{to: '-'}}]}}
reload: {{watch: false}}
sites:
  - name: shop
    upstreams: '{}'
    directives: |
      SecAuditEngine On
      SecAuditLogParts ABCFHZ
",
        origin.url()
    );
    let printed = directory.path().join("printed");
    let file = std::fs::File::create(&printed).expect("created");
    let mut binary = Binary::start_with(&[], &configuration, |command| command.stdout(file));
    for secret in SECRETS {
        for (note, status) in [("fine", 200), ("%3Cscript%3Ealert(1)%3C/script%3E", 403)] {
            let plus = secret.replace(' ', "+");
            let body =
                format!("card={plus}&password={plus}&user%5Bpassword%5D={plus}&note={}", shaped(&plus));
            let request = format!(
                "POST /pay?user=visible-user&token={plus}&q={note} HTTP/1.1\r\nHost: shop\r\nUser-Agent: Mozilla/5.0\r\n\
                 Accept: */*\r\nAuthorization: Bearer {secret}\r\nCookie: sid={secret}\r\nX-Api-Key: {secret}\r\n\
                 Proxy-Authorization: Basic {}\r\nX-CSRF-Token: {secret}\r\nX-Note: {}\r\n\
                 Referer: https://shop/?token={plus}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                STANDARD.encode(format!("joe:{secret}")),
                shaped(secret),
                body.len()
            );
            assert_eq!(exchange(binary.address(), request).status, status, "{secret}");
        }
    }
    assert!(binary.end().success());
    let text = std::fs::read_to_string(&printed).expect("text");
    let records: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    assert_eq!(records.len(), 2 * SECRETS.len(), "{text}");
    let of = |action: &str| records.iter().filter(|record| record["decision"]["action"] == action).count();
    assert_eq!((of("deny"), of("pass")), (SECRETS.len(), SECRETS.len()), "{text}");
    for record in &records {
        assert!(
            record["request"]["body"]["text"].as_str().is_some_and(|body| body.contains("note=")),
            "{record}"
        );
    }
    has_no_secret("standard output", &text);
}

fn leaky(secret: &str) -> Report {
    let mut r = report();
    let plus = secret.replace(' ', "+");
    r.request.uri = format!("/pay?user=visible-user&password={plus}&note={}", shaped(&plus)).into_bytes();
    r.request.headers = vec![
        pair("Host", "shop.example"),
        pair("Authorization", &format!("Bearer {secret}")),
        pair("Cookie", &format!("sid={secret}; theme=dark")),
        pair("X-Api-Key", secret),
        pair("Proxy-Authorization", &format!("Basic {}", STANDARD.encode(format!("joe:{secret}")))),
        pair("X-Auth-Token", secret),
        pair("X-CSRF-Token", secret),
        pair("Referer", &format!("https://shop.example/?token={plus}")),
        pair("X-Note", &shaped(secret)),
    ];
    r.request.arguments = vec![
        pair("user", "visible-user"),
        pair("password", secret),
        pair("json.card.cvv", secret),
        pair("json.users.0.password", secret),
        pair("user[password]", secret),
        pair("client_secret", secret),
        pair("note", &shaped(secret)),
    ];
    r.request.body.bytes = format!(
        "{{\"user\": {{\"credentials\": [{{\"password\": \"{secret}\"}}]}}}}\nuser%5Bpassword%5D={plus}&pass%77ord={plus}&PASSWORD={plus}\n\
         {{\"password\": \"{secret}\", \"iban\": \"{secret}\", \"note\": \"{}\"}}\napi_key={plus}&x=1\n\
         --b\r\nContent-Disposition: form-data; name=\"passwd\"\r\n\r\n{secret}\r\n--b\r\n<token>{secret}</token>",
        shaped(secret)
    )
    .into_bytes();
    r.request.files =
        vec![(b"f".to_vec(), format!("token={secret}").into_bytes(), 1, b"text/plain".to_vec())];
    if let Some(response) = &mut r.response {
        response.headers = vec![
            pair("Set-Cookie", &format!("sid={secret}; Path=/")),
            pair("Location", &format!("/?token={plus}")),
        ];
        response.body.bytes =
            format!("{{\"access_token\":\"{secret}\",\"seen\":\"{}\"}}", shaped(secret)).into_bytes();
    }
    r.rules = vec![
        hit(1, 2, "ARGS:password", secret.as_bytes(), &["attack-sqli"]),
        hit(2, 2, "REQUEST_HEADERS:Authorization", format!("Bearer {secret}").as_bytes(), &[]),
        hit(3, 2, "REQUEST_COOKIES:sid", secret.to_lowercase().as_bytes(), &[]),
        hit(4, 2, "REQUEST_URI", &r.request.uri.clone(), &[]),
        hit(5, 2, "REQUEST_BODY", &r.request.body.bytes.clone(), &[]),
        hit(6, 2, "TX:0", secret.as_bytes(), &[]),
        hit(7, 2, "ARGS_COMBINED_SIZE", format!("in the midst of {secret} it stands").as_bytes(), &[]),
    ];
    // What macros make of `msg` and `logdata` quotes what matched.
    r.rules[0].message = format!("Found {secret} in ARGS:password");
    r.rules[0].data = format!("Matched Data: {secret} found within ARGS:password: {secret}").into_bytes();
    r.rules[2].data = format!("Matched Data: sid found within REQUEST_COOKIES:sid: {plus}").into_bytes();
    let mut candidate = r.clone();
    candidate.rules.iter_mut().for_each(|rule| rule.id += 1_000);
    r.shadow = Some(Box::new(Shadowed {
        difference: Difference::NewlyBlocked,
        report: candidate,
        request_body_missing: false,
        response_body_missing: false,
    }));
    r.events =
        vec![Event { kind: EventKind::RequestBodyError, phase: 2, detail: format!("near \"{secret}\"") }];
    r
}

/// The secret, if its shape alone tells that it is one.
fn shaped(secret: &str) -> String {
    let known = secret.starts_with("eyJ") || secret.starts_with(['4', '5']);
    if known { secret.to_owned() } else { "nothing".to_owned() }
}
