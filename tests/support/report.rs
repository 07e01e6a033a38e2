//! A report such as the engine makes.

use portcullis::engine::{
    AuditEngine, AuditParts, AuditSettings, BodyRecord, Decision, Disruption, Event, EventKind, Interruption,
    MatchedValue, Report, RequestRecord, ResponseRecord, RuleHit, Sanitised, Scores,
};
use portcullis::ruleset::Mode;
use std::time::{Duration, UNIX_EPOCH};

/// A name and a value.
pub fn pair(name: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (name.as_bytes().to_vec(), value.as_bytes().to_vec())
}

/// A rule that matched `value` in `variable`.
pub fn hit(id: u64, severity: u8, variable: &str, value: &[u8], tags: &[&str]) -> RuleHit {
    RuleHit {
        id,
        phase: 2,
        message: format!("Rule {id}"),
        data: [b"Matched Data: ", value].concat(),
        severity: Some(severity),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        expanded_tags: 0,
        version: "OWASP_CRS/4.28.0".to_owned(),
        revision: String::new(),
        maturity: None,
        accuracy: None,
        matches: vec![MatchedValue {
            variable: variable.to_owned(),
            value: value.to_vec(),
            range: None,
            decoded: Vec::new(),
        }],
        operator: "@rx (?i)union".into(),
        file: "rules/a.conf".into(),
        line: 12,
        log: true,
        auditlog: true,
        disruptive: false,
    }
}

/// A request at which nothing was found.
pub fn plain(id: &str) -> Report {
    Report {
        id: id.to_owned(),
        started: UNIX_EPOCH,
        client: None,
        server: None,
        request: RequestRecord { method: b"GET".to_vec(), uri: b"/".to_vec(), ..RequestRecord::default() },
        response: None,
        mode: Mode::On,
        decision: Decision::Pass,
        suppressed: None,
        scores: Scores::default(),
        rules: Vec::new(),
        events: Vec::new(),
        audit: AuditSettings { engine: AuditEngine::On, parts: AuditParts::DEFAULT, relevant_status: false },
        sanitised: Sanitised::default(),
        costs: None,
        shadow: None,
    }
}

/// A blocked request with something in every part of it.
pub fn report() -> Report {
    Report {
        started: UNIX_EPOCH + Duration::from_micros(1_795_346_794_123_456),
        client: Some("192.0.2.7:4711".parse().expect("an address")),
        server: Some("10.0.0.1:443".parse().expect("an address")),
        request: RequestRecord {
            method: b"POST".to_vec(),
            uri: b"/s?q=1%27".to_vec(),
            protocol: b"HTTP/1.1".to_vec(),
            headers: vec![
                pair("Host", "shop.example:8080"),
                pair("User-Agent", "curl/8"),
                pair("Accept", "a"),
                pair("Accept", "b"),
            ],
            body: BodyRecord { bytes: b"x=\xff".to_vec(), inspected: 3, truncated: false },
            arguments: vec![pair("q", "1'")],
            files: vec![(b"f".to_vec(), b"a.php".to_vec(), 9, b"text/plain".to_vec())],
        },
        response: Some(ResponseRecord {
            status: 200,
            protocol: b"HTTP/1.1".to_vec(),
            headers: vec![pair("Content-Type", "text/html")],
            body: BodyRecord { bytes: b"<p>".to_vec(), inspected: 3, truncated: false },
        }),
        decision: Decision::Interrupt(Interruption {
            disruption: Disruption::Deny,
            status: 403,
            rule_id: 949_110,
            phase: 2,
        }),
        scores: Scores { inbound: 8, outbound: 0, inbound_threshold: 5, outbound_threshold: 4 },
        rules: vec![
            hit(920_350, 4, "REQUEST_HEADERS:Host", b"1", &["attack-protocol"]),
            hit(942_100, 2, "ARGS:q", b"1'", &["attack-sqli", "paranoia-level/1"]),
            hit(949_110, 2, "TX:BLOCKING_INBOUND_ANOMALY_SCORE", b"8", &["anomaly-evaluation"]),
        ],
        events: vec![Event { kind: EventKind::RequestBodyTruncated, phase: 2, detail: "cut".to_owned() }],
        audit: AuditSettings {
            engine: AuditEngine::On,
            parts: AuditParts::of(b"ABCDEFGHIJKZ"),
            relevant_status: false,
        },
        ..plain("01HX")
    }
}
