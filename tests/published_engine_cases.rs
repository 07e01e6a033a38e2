//! ModSecurity's own engine-level tests, as far as they are portable: those that expect a status or a refusal of
//! the rule text. Each that is left out or answered otherwise is named here with its reason.

use flate2::read::GzDecoder;
use portcullis::compile::{self, Input};
use portcullis::engine::{Decision, NoWorld, Options, Transaction};
use portcullis::syntax::seclang::FileLoader;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

/// Cases that are answered otherwise, by id, with the reason. A case that is listed and passes fails the test, so
/// that the list never grows stale.
const DEVIATIONS: &[(&str, &str)] = &[
    (
        "request-body-parser-xml-validade-dtd.json#2",
        "@validateDTD is refused: there is no validating XML parser here",
    ),
    (
        "request-body-parser-xml-validade-dtd.json#3",
        "@validateDTD is refused: there is no validating XML parser here",
    ),
    (
        "variable-WEBSERVER_ERROR_LOG.json#0",
        "WEBSERVER_ERROR_LOG is accepted, and empty, for ModSecurity 2's rules",
    ),
];

/// Libraries that cases need and Portcullis does not have.
const ABSENT: &[(&str, &str)] = &[
    ("lua", "rules run no scripts"),
    ("curl", "rules are not fetched over the network"),
    ("ssdeep", "@fuzzyHash is refused: its only library is not under a permissive licence"),
    ("geoip", "the legacy database format is not read"),
    ("maxmind", "the test's database is not part of the data"),
];

#[derive(Deserialize)]
struct Case {
    id: String,
    test: Test,
}

#[derive(Deserialize)]
struct Test {
    #[serde(default)]
    enabled: i32,
    #[serde(default)]
    resource: String,
    client: Option<Peer>,
    server: Option<Peer>,
    request: Option<Request>,
    response: Option<Response>,
    expected: Expected,
    #[serde(default)]
    rules: Vec<String>,
}

#[derive(Deserialize)]
struct Peer {
    #[serde(default)]
    ip: String,
    #[serde(default)]
    port: serde_json::Value,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    headers: Headers,
    #[serde(default)]
    uri: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    http_version: serde_json::Value,
    #[serde(default)]
    body: Option<Lines>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    headers: Headers,
    #[serde(default)]
    body: Option<Lines>,
}

/// Headers: a map, whose values may be lists, or an empty text.
type Headers = serde_json::Value;

#[derive(Deserialize)]
#[serde(untagged)]
enum Lines {
    One(String),
    Many(Vec<String>),
}

impl Lines {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Lines::One(text) => format!("{text}\n").into_bytes(),
            Lines::Many(lines) => lines.iter().flat_map(|l| format!("{l}\n").into_bytes()).collect(),
        }
    }
}

#[derive(Deserialize)]
struct Expected {
    http_code: Option<u16>,
    parser_error: Option<String>,
}

#[allow(clippy::print_stderr)]
fn cases() -> Option<Vec<Case>> {
    let data = std::env::var_os("PORTCULLIS_CRS_DIR")
        .map(|d| PathBuf::from(d).join("../engine-cases"))
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/engine-cases"));
    let Ok(packed) = std::fs::read(data.join("regression_dev.jsonl.gz")) else {
        assert!(
            std::env::var_os("PORTCULLIS_REQUIRE_CRS").is_none(),
            "no engine cases at {}",
            data.display()
        );
        eprintln!("SKIPPED: no engine cases at {}", data.display());
        return None;
    };
    let mut text = String::new();
    GzDecoder::new(&packed[..]).read_to_string(&mut text).expect("gzip");
    Some(text.lines().map(|l| serde_json::from_str(l).expect("a case")).collect())
}

fn headers(map: &Headers) -> Vec<(String, String)> {
    let text = |v: &serde_json::Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let Some(map) = map.as_object() else { return Vec::new() };
    map.iter()
        .flat_map(|(name, value)| match value {
            serde_json::Value::Array(values) => values.iter().map(|v| (name.clone(), text(v))).collect(),
            value => vec![(name.clone(), text(value))],
        })
        .collect()
}

/// Why the case is not portable.
fn left_out(case: &Case) -> Option<&'static str> {
    let test = &case.test;
    if test.enabled == 0 {
        return Some("disabled by its authors");
    }
    if let Some((_, why)) = ABSENT.iter().find(|(name, _)| test.resource.contains(name)) {
        return Some(why);
    }
    if test.expected.http_code.is_none() && test.expected.parser_error.is_none() {
        return Some("expects a text of ModSecurity's debug, error or audit log");
    }
    None
}

/// What is wrong, if anything.
fn run(case: &Case) -> Result<(), String> {
    let test = &case.test;
    // As ModSecurity's runner does, unless the rules say otherwise.
    let text = format!("SecRuleEngine DetectionOnly\n{}\n", test.rules.join("\n"));
    let input = Input::Text { name: case.id.clone(), text };
    let loaded = compile::load(&[input], &FileLoader);
    let errors: Vec<String> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity == portcullis::syntax::diagnostic::Severity::Error)
        .map(|d| d.message.clone())
        .collect();
    if test.expected.parser_error.as_deref().is_some_and(|e| !e.is_empty()) {
        return if errors.is_empty() { Err("accepted, should be refused".into()) } else { Ok(()) };
    }
    let Some(ruleset) = loaded.ruleset else { return Err(format!("refused: {errors:?}")) };
    let Some(expected) = test.expected.http_code else { return Ok(()) };
    let options = Options { id: "1".into(), mode: None, world: Arc::new(NoWorld) };
    let mut tx = Transaction::new(ruleset, options);
    let got = outcome(&mut tx, test);
    let got = got.unwrap_or(200);
    if got == expected { Ok(()) } else { Err(format!("answered {got}, expected {expected}")) }
}

fn outcome(tx: &mut Transaction, test: &Test) -> Option<u16> {
    let address = |peer: &Option<Peer>| {
        let peer = peer.as_ref();
        let ip = peer.and_then(|p| p.ip.parse().ok()).unwrap_or([127, 0, 0, 1].into());
        let port = peer.map(|p| p.port.to_string().trim_matches('"').parse().unwrap_or(80)).unwrap_or(80);
        std::net::SocketAddr::new(ip, port)
    };
    let status = |d: Decision| d.interruption().map(|i| i.status);
    tx.process_connection(address(&test.client), address(&test.server));
    if let Some(request) = &test.request {
        let version = request.http_version.to_string();
        let version = if version == "null" { "1.1" } else { version.trim_matches('"') };
        tx.process_uri(
            request.method.as_bytes(),
            request.uri.as_bytes(),
            format!("HTTP/{version}").as_bytes(),
        );
        for (name, value) in headers(&request.headers) {
            tx.add_request_header(name.as_bytes(), value.as_bytes());
        }
    }
    if let Some(s) = status(tx.process_request_headers()) {
        return Some(s);
    }
    if let Some(body) = test.request.as_ref().and_then(|r| r.body.as_ref())
        && let portcullis::engine::BodyStep::Interrupt(i) = tx.append_request_body(&body.bytes())
    {
        return Some(i.status);
    }
    if let Some(s) = status(tx.process_request_body()) {
        return Some(s);
    }
    if let Some(response) = &test.response {
        for (name, value) in headers(&response.headers) {
            tx.add_response_header(name.as_bytes(), value.as_bytes());
        }
    }
    if let Some(s) = status(tx.process_response_headers(200, b"HTTP/1.1")) {
        return Some(s);
    }
    if let Some(body) = test.response.as_ref().and_then(|r| r.body.as_ref())
        && tx.response_body_wanted()
        && let portcullis::engine::BodyStep::Interrupt(i) = tx.append_response_body(&body.bytes())
    {
        return Some(i.status);
    }
    status(tx.process_response_body())
}

#[test]
fn modsecurity_regression_cases() {
    let Some(cases) = cases() else { return };
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let mut passed = 0;
    let mut wrong = Vec::new();
    for case in &cases {
        if let Some(why) = left_out(case) {
            *reasons.entry(why).or_default() += 1;
            continue;
        }
        let listed = DEVIATIONS.iter().find(|(id, _)| *id == case.id);
        match (run(case), listed) {
            (Ok(()), None) => passed += 1,
            (Ok(()), Some(_)) => wrong.push(format!("{}: passes, but is listed as a deviation", case.id)),
            (Err(why), None) => wrong.push(format!("{}: {why}", case.id)),
            (Err(_), Some((_, why))) => *reasons.entry(why).or_default() += 1,
        }
    }
    println!("{passed} of {} cases pass", cases.len());
    for (why, n) in reasons {
        println!("{n:4} left out: {why}");
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}
