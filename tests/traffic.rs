//! What is remembered of finished requests: which are kept, in which bounds, and what occurs most.

#![cfg(feature = "server")]

#[allow(dead_code, reason = "shared with other tests")]
#[path = "support/report.rs"]
mod report;

use portcullis::audit::{Auditor, Format, Redaction};
use portcullis::engine::{AuditEngine, Decision, Disruption, Interruption, Report, RuleHit};
use portcullis::telemetry::{Completed, Finding, MemorySink, Metrics, Outcome, Range, Recorder, Traffic};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

struct Bench {
    metrics: Arc<Metrics>,
    traffic: Arc<Traffic>,
    recorder: Recorder,
}

fn bench() -> Bench {
    let metrics = Arc::new(Metrics::new().expect("registered"));
    let traffic = Arc::new(Traffic::default());
    let auditor = Auditor::new(&Redaction::default(), Format::Native, "");
    let recorder = Recorder::new(Arc::clone(&metrics), Arc::new(MemorySink::new(auditor)))
        .remembering(Arc::clone(&traffic));
    Bench { metrics, traffic, recorder }
}

fn hit(id: u64, variable: &str, value: &[u8]) -> RuleHit {
    RuleHit {
        message: "SQL injection".to_owned(),
        data: Vec::new(),
        ..report::hit(id, 2, variable, value, &["attack-sqli"])
    }
}

fn of_client(id: &str, client: u32, uri: &str, rules: Vec<RuleHit>) -> Report {
    let mut report = report::plain(id);
    report.started = SystemTime::now();
    report.client = Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(client)), 4_000));
    report.request.uri = uri.into();
    report.rules = rules;
    report.audit.engine = AuditEngine::RelevantOnly;
    report
}

fn blocked(id: &str, client: u32, uri: &str, rules: Vec<RuleHit>) -> Report {
    let denial = Interruption { disruption: Disruption::Deny, status: 403, rule_id: 949_110, phase: 2 };
    Report { decision: Decision::Interrupt(denial), ..of_client(id, client, uri, rules) }
}

impl Bench {
    fn finish(&self, report: Report) {
        self.recorder.finished(Completed {
            site: Some("shop".to_owned()),
            report,
            status: 403,
            mishaps: Vec::new(),
            turned_away: Vec::new(),
            inspection: [Duration::ZERO; 5],
            duration: Duration::from_millis(2),
            request_bytes: 0,
            response_bytes: 0,
            generation: String::new(),
            upstream: None,
        });
    }

    fn ids(&self, finding: &Finding) -> Vec<String> {
        self.traffic.list(finding, 1_000).iter().map(|kept| kept.entry.report.id.clone()).collect()
    }
}

#[test]
fn what_is_worth_a_look_is_kept_and_found() {
    let bench = bench();
    bench.finish(of_client("plain", 1, "/a", Vec::new()));
    bench.finish(of_client("scored", 1, "/a?q=1", vec![hit(942_100, "ARGS:q", b"1")]));
    bench.finish(blocked(
        "blocked",
        2,
        "/b?q=x",
        vec![hit(942_100, "ARGS:q", b"x"), hit(949_110, "TX:blocking_inbound_anomaly_score", b"5")],
    ));
    let denial = Interruption { disruption: Disruption::Deny, status: 403, rule_id: 1, phase: 2 };
    bench.finish(Report { suppressed: Some(denial), ..of_client("detected", 2, "/c", Vec::new()) });
    assert_eq!(bench.ids(&Finding::default()), ["detected", "blocked", "scored"]);
    let of = |finding| bench.ids(&finding);
    assert_eq!(of(Finding { outcome: Some(Outcome::Blocked), ..Finding::default() }), ["blocked"]);
    assert_eq!(of(Finding { rule: Some(942_100), ..Finding::default() }), ["blocked", "scored"]);
    assert_eq!(of(Finding { path: Some("/b".to_owned()), ..Finding::default() }), ["blocked"]);
    assert_eq!(of(Finding { client: Some(Ipv4Addr::from(1).into()), ..Finding::default() }), ["scored"]);
    assert!(of(Finding { site: Some("other".to_owned()), ..Finding::default() }).is_empty());
    let number = bench.traffic.find("blocked").expect("kept").number;
    assert_eq!(of(Finding { before: Some(number), ..Finding::default() }), ["scored"]);
    assert_eq!(bench.traffic.find("blocked").and_then(|kept| kept.category), Some("sqli"));
    assert!(bench.traffic.find("plain").is_none());

    let picture = bench.traffic.picture(10);
    assert_eq!(picture.rules, [(942_100, 2)], "what only compares the score is left out");
    assert_eq!(picture.paths.len(), 2);
    assert_eq!(picture.clients, [(Ipv4Addr::from(2).into(), 2)]);
}

#[test]
fn passing_requests_are_kept_only_while_somebody_looks() {
    let bench = bench();
    assert!(!bench.traffic.wants(&of_client("", 1, "/", Vec::new())));
    let watching = bench.traffic.watch();
    assert!(bench.traffic.wants(&of_client("", 1, "/", Vec::new())));
    assert!(bench.traffic.look(0, 10).is_empty());
    for n in 0..100 {
        bench.finish(of_client(&n.to_string(), 1, "/", Vec::new()));
    }
    let seen = bench.traffic.look(0, 100);
    assert_eq!(seen.len(), 12, "a few between two looks");
    assert_eq!(seen.last().map(|kept| kept.entry.report.id.as_str()), Some("0"));
    let last = seen[0].number;
    bench.finish(of_client("next", 1, "/", Vec::new()));
    let next = bench.traffic.look(last, 100);
    assert_eq!(next.iter().map(|kept| kept.entry.report.id.as_str()).collect::<Vec<_>>(), ["next"]);
    drop(watching);
    bench.finish(of_client("unseen", 1, "/", Vec::new()));
    assert!(bench.traffic.find("unseen").is_none());
    assert!(bench.ids(&Finding::default()).is_empty(), "the list is of what was noticed");
}

#[test]
fn a_flood_stays_within_bounds_and_hides_nothing_common() {
    let bench = bench();
    for n in 0..5_000_u32 {
        let rule = hit(u64::from(n), "ARGS:q", &[b'x'; 2_000]);
        bench.finish(blocked(&n.to_string(), 0x0a00_0000 + n, &format!("/{n}"), vec![rule]));
        if n % 8 == 0 {
            bench.finish(blocked("steady", 7, "/login", vec![hit(942_100, "ARGS:q", b"x")]));
        }
    }
    let kept = bench.ids(&Finding::default());
    assert_eq!(kept.len(), 500);
    assert_eq!(kept[0], "4999");
    let picture = bench.traffic.picture(1);
    assert_eq!(picture.rules[0].0, 942_100);
    assert_eq!(picture.paths[0].0, ("shop".to_owned(), "/login".to_owned()));
    assert_eq!(picture.clients[0].0, IpAddr::from(Ipv4Addr::from(7)));
}

#[test]
fn one_large_request_neither_hides_nor_pushes_out_the_others() {
    let bench = bench();
    bench.finish(blocked("small", 1, "/", vec![hit(1, "ARGS:q", b"x")]));
    let mut large = blocked("large", 1, "/?password=sesame", vec![hit(2, "ARGS:password", b"sesame")]);
    large.request.arguments = vec![(b"password".to_vec(), b"sesame".repeat(1 << 20))];
    bench.finish(large);
    assert_eq!(bench.ids(&Finding::default()), ["large", "small"]);
    let kept = bench.traffic.find("large").expect("kept");
    assert!(kept.is_cut && kept.entry.report.rules[0].id == 2);
    assert!(!format!("{:?}", kept.entry).contains("sesame"), "nothing of it that a secret could stand in");
    assert_eq!(kept.category, Some("sqli"));
}

#[test]
fn the_history_adds_up() {
    let bench = bench();
    let now = SystemTime::now();
    bench.traffic.sample(&bench.metrics, now);
    for n in 0..3 {
        bench.finish(blocked(&n.to_string(), 1, "/", vec![hit(942_100, "ARGS:q", b"x")]));
    }
    bench.finish(of_client("plain", 1, "/", Vec::new()));
    bench.traffic.sample(&bench.metrics, now);
    bench.traffic.sample(&bench.metrics, now);
    let sqli = Traffic::CATEGORIES.iter().position(|c| *c == "sqli").expect("a category");
    for (_, range) in Range::ALL {
        let last = bench.traffic.history(None, range, now).pop().expect("a bucket").counts;
        assert_eq!(last.blocked[sqli], 3);
        assert_eq!(last.outcomes[Outcome::Blocked as usize], 3);
        assert_eq!(last.outcomes[Outcome::Passed as usize], 1);
    }
    assert_eq!(bench.traffic.totals().blocked[sqli], 3);
}
