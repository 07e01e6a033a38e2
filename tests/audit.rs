//! Audit records: their schema, their bounds, and that no secret is ever in one.

#[allow(dead_code, reason = "shared with other tests")]
#[path = "support/report.rs"]
mod report;

use portcullis::audit::{ARGUMENTS, Auditor, COOKIES, Facts, Format, HEADERS, MASK, Redaction, restore};
use portcullis::engine::{
    AuditParts, BodyRecord, Decision, Difference, Disruption, Event, EventKind, Interruption, MatchedValue,
    Report, RuleHit, Sanitised, Shadowed,
};
use portcullis::transform::Decoding;
use proptest::prelude::*;
use report::pair;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

fn hit(id: u64, variable: &str, value: &[u8], data: &str) -> RuleHit {
    let matched = MatchedValue {
        variable: variable.to_owned(),
        value: value.to_vec(),
        range: Some(0..2),
        decoded: Vec::new(),
    };
    RuleHit {
        message: "An attack".to_owned(),
        data: data.as_bytes().to_vec(),
        matches: vec![matched],
        ..report::hit(id, 2, variable, value, &["attack-sqli", "paranoia-level/1"])
    }
}

fn report() -> Report {
    let mut report = report::report();
    report.server = Some("[::ffff:10.0.0.1]:443".parse().expect("an address"));
    report.request.headers = vec![pair("Host", "shop.example"), pair("Accept", "a"), pair("Accept", "b")];
    report.request.body = BodyRecord { bytes: b"x=\xff\\x41".to_vec(), inspected: 7, truncated: true };
    report.scores.inbound = 5;
    report.rules = vec![hit(942_100, "ARGS:q", b"1'", "Matched Data: 1' found within ARGS:q")];
    report.audit.parts = AuditParts::of(b"ABCDEFGHIJKZ");
    report
}

fn facts() -> Facts {
    Facts {
        site: "shop".to_owned(),
        status: 403,
        duration: Duration::from_micros(1_234),
        upstream: Some("10.0.0.9:80".to_owned()),
        generation: "5ad1".to_owned(),
    }
}

fn line(report: &Report, format: Format) -> String {
    let bytes = Auditor::new(&Redaction::default(), format, "machine").line(report, &facts());
    let text = String::from_utf8(bytes).expect("UTF-8");
    assert!(text.ends_with('\n') && text.matches('\n').count() == 1, "one line");
    text
}

fn json_line(report: &Report, format: Format) -> Value {
    serde_json::from_str(&line(report, format)).expect("JSON")
}

#[test]
fn the_native_schema_is_stable() {
    let expected = json!({
        "id": "01HX", "time": "2026-11-22T11:26:34.123456Z", "site": "shop", "generation": "5ad1", "duration_ms": 1.234,
        "client": {"ip": "192.0.2.7", "port": 4711}, "server": {"ip": "10.0.0.1", "port": 443},
        "request": {
            "method": "POST", "uri": "/s?q=1%27", "protocol": "HTTP/1.1",
            "headers": [["Host", "shop.example"], ["Accept", "a"], ["Accept", "b"]],
            "body": {"text": "x=\\xff\\x5cx41", "inspected": 7, "truncated": true},
            "files": [{"field": "f", "name": "a.php", "size": 9, "content_type": "text/plain"}],
        },
        "response": {
            "status": 403, "upstream_status": 200, "protocol": "HTTP/1.1",
            "headers": [["Content-Type", "text/html"]],
            "body": {"text": "<p>", "inspected": 3, "truncated": false},
        },
        "upstream": {"address": "10.0.0.9:80"},
        "mode": "On",
        "decision": {"action": "deny", "status": 403, "rule_id": 949_110, "phase": 2},
        "score": {"inbound": 5, "outbound": 0, "threshold": 5, "outbound_threshold": 4},
        "rules": [{
            "id": 942_100, "phase": 2, "message": "An attack", "data": "Matched Data: 1' found within ARGS:q",
            "severity": "CRITICAL", "tags": ["attack-sqli", "paranoia-level/1"], "variable": "ARGS:q",
            "value": "1'", "match": [0, 2], "operator": "@rx (?i)union", "file": "rules/a.conf", "line": 12,
            "version": "OWASP_CRS/4.28.0", "disruptive": false,
        }],
        "events": [{"kind": "request_body_truncated", "phase": 2, "detail": "cut"}],
    });
    assert_eq!(json_line(&report(), Format::Native), expected);
}

#[test]
fn the_modsecurity_schema_is_libmodsecuritys() {
    let expected = json!({"transaction": {
        "client_ip": "192.0.2.7", "time_stamp": "Sun Nov 22 11:26:34 2026", "server_id": "machine",
        "client_port": 4711, "host_ip": "10.0.0.1", "host_port": 443, "unique_id": "01HX", "is_interrupted": true,
        "request": {
            "method": "POST", "http_version": 1.1, "hostname": "shop.example", "uri": "/s?q=1%27",
            "body": "x=\\xff\\x5cx41", "headers": {"Host": "shop.example", "Accept": "a, b"},
        },
        "response": {"body": "<p>", "http_code": 403, "headers": {"Content-Type": "text/html"}},
        "producer": {
            "modsecurity": format!("Portcullis {}", env!("CARGO_PKG_VERSION")), "connector": "Portcullis",
            "secrules_engine": "Enabled", "components": ["OWASP_CRS/4.28.0"],
        },
        "messages": [{"message": "An attack", "details": {
            "match": "Matched \"Operator `Rx' with parameter `(?i)union' against variable `ARGS:q' (Value: `1'' )",
            "reference": "o0,2", "ruleId": "942100", "file": "rules/a.conf", "lineNumber": "12",
            "data": "Matched Data: 1' found within ARGS:q", "severity": "2", "ver": "OWASP_CRS/4.28.0",
            "rev": "", "tags": ["attack-sqli", "paranoia-level/1"], "maturity": "0", "accuracy": "0",
        }}],
    }});
    assert_eq!(json_line(&report(), Format::ModSecurity), expected);
}

#[test]
fn parts_decide_what_is_shown() {
    let mut quiet = report();
    quiet.audit.parts = AuditParts::of(b"AZ");
    let value = json_line(&quiet, Format::Native);
    for gone in ["/request/headers", "/request/body", "/request/files", "/response/headers", "/response/body"]
    {
        assert!(value.pointer(gone).is_none(), "{gone}");
    }
    assert!(value.pointer("/rules/0/id").is_some());
    let value = json_line(&quiet, Format::ModSecurity);
    assert!(value.pointer("/transaction/messages").is_none());
    assert!(value.pointer("/transaction/request/headers").is_none());

    let mut fileless = report();
    fileless.audit.parts = AuditParts::of(b"AIZ");
    let value = json_line(&fileless, Format::Native);
    assert_eq!(value.pointer("/request/body/text"), Some(&json!("q=1'")));

    let mut silent = report();
    silent.rules.push(RuleHit { log: false, auditlog: false, ..hit(8, "ARGS:q", b"1", "") });
    silent.rules.push(RuleHit { log: true, auditlog: false, ..hit(9, "ARGS:q", b"1", "") });
    let told = |format, list| {
        let list = json_line(&silent, format).pointer(list).and_then(Value::as_array).cloned();
        list.map(|l| l.len())
    };
    assert_eq!(told(Format::Native, "/rules"), Some(2), "what has `log` is told, what has neither is not");
    assert_eq!(told(Format::ModSecurity, "/transaction/messages"), Some(1), "what has `auditlog`");
}

/// Every member of a record has its place in the published schema, and everything that the schema requires is there.
#[test]
fn records_satisfy_the_published_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit-log.schema.json");
    let text = std::fs::read_to_string(path).expect("docs/audit-log.schema.json");
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    let mut full = report();
    full.suppressed = Some(Interruption {
        disruption: Disruption::Redirect("https://x/".to_owned()),
        status: 302,
        rule_id: 1,
        phase: 1,
    });
    full.rules = (0..600).map(|id| hit(id, "ARGS:q", b"1", "")).collect();
    full.rules[0].matches.push(MatchedValue {
        variable: "ARGS:r".to_owned(),
        value: b"2".to_vec(),
        range: None,
        decoded: vec![Decoding::BASE64, Decoding::URL.and(Decoding::JS)],
    });
    full.rules[0].revision = "1".to_owned();
    full.rules[0].maturity = Some(1);
    full.rules[0].accuracy = Some(1);
    let mut candidate = report();
    candidate.rules = vec![hit(7_000, "ARGS:q", b"1", "")];
    full.shadow = Some(Box::new(Shadowed {
        difference: Difference::NewlyPassed,
        request_body_missing: true,
        response_body_missing: true,
        report: candidate,
    }));
    let mut used = BTreeSet::new();
    conforms(&schema, &schema, &json_line(&full, Format::Native), "", &mut used);
    let mut least = report();
    least.audit.parts = AuditParts::of(b"AZ");
    least.client = None;
    least.server = None;
    least.response = None;
    least.decision = Decision::Pass;
    least.rules = vec![RuleHit { matches: Vec::new(), severity: None, ..hit(1, "", b"", "") }];
    least.events = Vec::new();
    conforms(&schema, &schema, &json_line(&least, Format::Native), "", &mut used);
    for member in [
        "/shadow/rules_added/tags",
        "/shadow/rules_removed",
        "/shadow/missing",
        "/suppressed/location",
        "/omitted/rules",
        "/rules/further/variable",
        "/request/files/size",
    ] {
        assert!(used.contains(member), "{member} was not exercised");
    }
}

fn conforms(root: &Value, schema: &Value, value: &Value, at: &str, used: &mut BTreeSet<String>) {
    let schema = match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => {
            root.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}"))
        }
        None => schema,
    };
    used.insert(at.to_owned());
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        other => panic!("{at}: no type but {other}"),
    };
    let fits = allowed.contains(&kind) || kind == "integer" && allowed.contains(&"number");
    assert!(fits, "{at}: {kind} is none of {allowed:?}");
    if let (Some(allowed), false) = (schema.get("enum").and_then(Value::as_array), value.is_null()) {
        assert!(allowed.contains(value), "{at}: {value} is not listed");
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let inner = schema["properties"]
                    .get(name)
                    .unwrap_or_else(|| panic!("{at}/{name} is not in the schema"));
                conforms(root, inner, member, &format!("{at}/{name}"), used);
            }
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                assert!(members.contains_key(name), "{at}/{name} is missing");
            }
        }
        Value::Array(items) => {
            for item in items {
                conforms(root, &schema["items"], item, at, used);
            }
        }
        _ => {}
    }
}

#[test]
fn records_are_bounded() {
    let long = vec![b'a'; 3_000_000];
    let mut huge = report();
    huge.request.uri = long.clone();
    huge.request.method = long.clone();
    huge.request.headers = (0..5_000).map(|_| (long[..9_000].to_vec(), long[..20_000].to_vec())).collect();
    huge.request.body.bytes = long.clone();
    huge.rules =
        (0..2_000).map(|id| hit(id, &"v".repeat(50_000), &long[..100_000], &"d".repeat(100_000))).collect();
    huge.events = (0..5_000)
        .map(|_| Event { kind: EventKind::RuleError, phase: 1, detail: "e".repeat(10_000) })
        .collect();
    let text = line(&huge, Format::Native);
    assert!(text.len() < 12 << 20, "{} bytes", text.len());
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["omitted"], json!({"headers": 4_744, "rules": 1_488, "events": 4_936}));
    assert!(value["request"]["uri"].as_str().is_some_and(|u| u.ends_with("more bytes]")));
}

#[test]
fn what_rules_sanitise_is_masked() {
    let mut r = report();
    r.request.headers.push(pair("X-Plain", "header-value-1"));
    r.request.arguments.push(pair("plain", "argument-value-2"));
    r.request.body.bytes = b"plain=argument-value-2&z=zq".to_vec();
    r.rules.push(hit(1, "ARGS:plain", b"argument-value-2", "found argument-value-2"));
    r.rules.push(hit(2, "REQUEST_BODY", b"plain=argument-value-2&z=zq", "zq"));
    let before = line(&r, Format::Native);
    assert!(
        before.contains("header-value-1") && before.contains("argument-value-2") && before.contains("zq")
    );
    r.sanitised = Sanitised {
        arguments: vec![b"plain".to_vec()],
        request_headers: vec![b"x-plain".to_vec()],
        response_headers: vec![b"content-type".to_vec()],
        values: vec![b"zq".to_vec()],
    };
    for (_, format) in Format::WORDS {
        let after = line(&r, format);
        for secret in ["header-value-1", "argument-value-2", "zq", "text/html"] {
            assert!(!after.contains(secret), "{secret} in {after}");
        }
    }
}

#[test]
fn cookies_keep_their_names() {
    let mut r = report();
    r.request.headers = vec![pair("cookie", "sid=s3cr3t-value; theme=dark-theme")];
    if let Some(response) = &mut r.response {
        response.headers = vec![pair("Set-Cookie", "sid=s3cr3t-value; Path=/; HttpOnly")];
    }
    let value = json_line(&r, Format::Native);
    assert_eq!(value["request"]["headers"][0][1], json!(format!("sid={MASK}; theme={MASK}")));
    assert_eq!(value["response"]["headers"][0][1], json!(format!("sid={MASK}; Path=/; HttpOnly")));
}

#[test]
fn the_documentation_lists_what_is_redacted() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit-log.md");
    let text = std::fs::read_to_string(path).expect("docs/audit-log.md");
    for name in ARGUMENTS.iter().chain(&HEADERS).chain(&COOKIES) {
        assert!(text.contains(&format!("`{name}`")), "{name} is not in docs/audit-log.md");
    }
}

/// A transaction that holds `secret` in every place where one may stand.
fn leaky(secret: &str, user: &str) -> Report {
    use base64::Engine as _;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}"));
    let encoded: String = secret.bytes().map(|b| format!("%{b:02X}")).collect();
    let mut r = report();
    r.request.uri = format!("/login?user={user}&new_password={secret}&x=1").into_bytes();
    r.request.headers = vec![
        pair("Authorization", &format!("Basic {basic}")),
        pair("Proxy-Authorization", &format!("Bearer {secret}")),
        pair("X-Api-Key", secret),
        pair("Cookie", &format!("theme=x; session={secret}")),
        pair("Referer", &format!("https://x/?access_token={secret}")),
    ];
    r.request.arguments =
        vec![pair("user", user), pair("new_password", secret), pair("json.card.number.cvv", secret)];
    r.request.body.bytes = format!(
        "{{\"password\": \"{secret}\", \"a\": 1, \"tokens\": [\"{secret}\"]}}\n\
         pwd={secret}&apikey={encoded}\n\
         --b\r\nContent-Disposition: form-data; name=\"passwd\"\r\n\r\n{secret}\r\n--b\r\n\
         <wsse:Password Type=\"t\">{secret}</wsse:Password>"
    )
    .into_bytes();
    if let Some(response) = &mut r.response {
        response.headers = vec![
            pair("Set-Cookie", &format!("session={secret}; Path=/")),
            pair("Location", &format!("/?token={secret}")),
        ];
        response.body.bytes = format!("{{\"access_token\":\"{secret}\"}}").into_bytes();
    }
    r.decision = Decision::Interrupt(Interruption {
        disruption: Disruption::Redirect(format!("/?token={secret}")),
        status: 302,
        rule_id: 1,
        phase: 2,
    });
    let half = &secret[..secret.len() / 2];
    let lower = secret.to_lowercase();
    r.rules = vec![
        hit(
            1,
            "ARGS:new_password",
            secret.as_bytes(),
            &format!("Matched Data: {half} found within {secret}"),
        ),
        hit(2, "REQUEST_HEADERS:Authorization", format!("Basic {basic}").as_bytes(), secret),
        hit(3, "REQUEST_COOKIES:session", lower.as_bytes(), &lower),
        hit(4, "REQUEST_URI", format!("/login?user={user}&new_password={lower}&x=1").as_bytes(), &lower),
        hit(5, "REQUEST_BODY", &r.request.body.bytes, &format!("found {secret} and {encoded}")),
        hit(6, "TX:0", secret.as_bytes(), secret),
        hit(
            7,
            "QUERY_STRING",
            format!("new_password={secret}").as_bytes(),
            &format!("cut off: {}", &secret[..secret.len() - 1]),
        ),
        hit(8, "XML:/*", secret.as_bytes(), ""),
    ];
    r.rules[0].message = format!("Bad password {secret}");
    r.events =
        vec![Event { kind: EventKind::RequestBodyError, phase: 2, detail: format!("near \"{secret}\"") }];
    r
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_secret_is_ever_shown(secret in "[A-Za-z][A-Za-z0-9!*_~.-]{6,38}[A-Za-z0-9]", user in "[a-z]{3,5}") {
        // A secret that occurs in what every record says of itself cannot be told from it.
        let frame = Format::WORDS.map(|(_, format)| line(&report(), format)).concat().to_lowercase();
        prop_assume!(!frame.contains(&secret.to_lowercase()) && !user.contains(&secret));
        let r = leaky(&secret, &user);
        for (_, format) in Format::WORDS {
            let text = line(&r, format);
            let shown = String::from_utf8_lossy(&restore(&text)).to_lowercase();
            prop_assert!(!shown.contains(&secret.to_lowercase()), "{} in {}", secret, shown);
            let most = &secret[..secret.len() - 1];
            prop_assert!(!shown.contains(&most.to_lowercase()), "most of {} in {}", secret, shown);
            prop_assert!(shown.contains(&user), "what is no secret stays");
        }
    }

    #[test]
    fn any_bytes_make_a_line(bytes in prop::collection::vec(any::<u8>(), 0..200), name in "\\PC{0,20}") {
        let mut r = report();
        r.request.uri = bytes.clone();
        r.request.headers = vec![(bytes.clone(), bytes.clone()), (b"cookie".to_vec(), bytes.clone())];
        r.request.body.bytes = bytes.clone();
        r.request.arguments = vec![(name.clone().into_bytes(), bytes.clone())];
        r.rules = vec![hit(1, &name, &bytes, &name), hit(2, "ARGS:password", &bytes, "")];
        for (_, format) in Format::WORDS {
            let _ = json_line(&r, format);
        }
    }
}
