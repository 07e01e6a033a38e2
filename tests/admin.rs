//! The admin listener over a real socket.

#![cfg(feature = "server")]

use portcullis::admin::{AdminServer, Subject};
use portcullis::admission::{Score, Subject as Visitor};
use portcullis::audit::{Auditor, Format, Redaction};
use portcullis::config::Overrides;
use portcullis::http::RequestHead;
use portcullis::reload::{NoHooks, Origin, Reloader, file_loader, load};
use portcullis::ruleset::Mode;
use portcullis::store::MemoryStore;
use portcullis::telemetry::{MemorySink, Metrics, Traffic};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

struct Bench {
    directory: tempfile::TempDir,
    address: SocketAddr,
    subject: Arc<Subject>,
    audit: Arc<MemorySink>,
    stop: watch::Sender<bool>,
}

fn start(admin: &str) -> Bench {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("portcullis.yaml");
    let text = format!(
        "reload: {{watch: false}}\nadmin: {admin}\nsites: [{{name: shop, upstreams: 'http://127.0.0.1:1', rules: a.conf}}]\n"
    );
    fs::write(&path, text).expect("written");
    fs::write(
        directory.path().join("a.conf"),
        "SecRuleEngine On\nSecRule ARGS \"@rx x\" \"id:1,phase:1,deny\"\n",
    )
    .expect("written");
    let metrics = Arc::new(Metrics::new().expect("registered"));
    let origin = Origin { path: Some(path), overrides: Overrides::default() };
    let loaded = load(&origin, 1, &file_loader());
    let loader = Arc::new(file_loader());
    let reloader = Reloader::start(origin, loader, loaded, Arc::clone(&metrics), Arc::new(NoHooks));
    let Ok(reloader) = reloader else { panic!("not started") };
    let audit = Arc::new(MemorySink::new(Auditor::new(&Redaction::default(), Format::Native, "")));
    let subject = Arc::new(Subject {
        admission: portcullis::admission::Admission::new(64),
        reloader: Arc::new(reloader),
        metrics,
        store: Arc::new(MemoryStore::new(64, 1 << 20)),
        traffic: Arc::new(Traffic::default()),
        audit: Arc::<MemorySink>::clone(&audit),
        ready: AtomicBool::new(false),
    });
    let any = "127.0.0.1:0".parse().expect("an address");
    let server = AdminServer::bind(any, Arc::clone(&subject)).expect("bound");
    let address = server.address().expect("an address");
    let (stop, stopped) = watch::channel(false);
    server.spawn(stopped).expect("spawned");
    Bench { directory, address, subject, audit, stop }
}

const WITH_TOKEN: &str = "{address: '127.0.0.1:0', token: 0123456789abcdef}";
const TOKEN: &str = "Authorization: Bearer 0123456789abcdef\r\n";

/// Status, headers in lower case, and body.
fn ask(bench: &Bench, method: &str, path: &str, headers: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(bench.address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    let host = if headers.to_ascii_lowercase().contains("host:") {
        String::new()
    } else {
        format!("Host: {}\r\n", bench.address)
    };
    write!(stream, "{method} {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answered");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    (status, head.to_ascii_lowercase(), body.to_owned())
}

#[test]
fn bans_are_listed_and_lifted() {
    let bench = start(WITH_TOKEN);
    let text = "bans: {threshold: 1, duration: 1h}
admin: {token: 0123456789abcdef}
sites: [{name: shop, upstreams: 'http://127.0.0.1:1', rules: a.conf}]\n";
    fs::write(bench.directory.path().join("portcullis.yaml"), text).expect("written");
    assert_eq!(ask(&bench, "POST", "/api/reload", TOKEN).0, 200);
    let generation = bench.subject.reloader.current().load_full();
    let (config, site) = (&generation.config, &generation.sites[0].config);
    let head = RequestHead::default();
    let score = Score { blocked: true, ..Score::default() };
    for address in ["192.0.2.7", "192.0.2.8", "2001:db8::7"] {
        let address = address.parse().expect("an address");
        let subject = Visitor::new(&head, String::new(), "/".to_owned(), address);
        bench.subject.admission.score(config, site, Mode::On, &subject, score, SystemTime::now());
    }
    let clients = || {
        let list = json_of(&ask(&bench, "GET", "/api/bans", TOKEN));
        let clients = list["bans"].as_array().expect("a list").iter().map(|b| b["client"].clone());
        let mut clients: Vec<String> = clients.map(|c| c.as_str().expect("text").to_owned()).collect();
        clients.sort();
        clients.join(" ")
    };
    assert_eq!(clients(), "192.0.2.7 192.0.2.8 2001:db8::/64");
    assert!(ask(&bench, "GET", "/metrics", "").2.contains("portcullis_banned_clients 3\n"));
    let lift = |query: &str| ask(&bench, "POST", &format!("/api/bans/lift?{query}"), TOKEN);
    assert_eq!(json_of(&lift("client=192.0.2.7")), json!({"lifted": ["192.0.2.7"]}));
    assert_eq!(json_of(&lift("client=192.0.2.7")), json!({"lifted": []}));
    assert_eq!((lift("client=nobody").0, lift("").0), (400, 400));
    assert_eq!(ask(&bench, "GET", "/api/bans/lift?all", TOKEN).0, 405);

    // The command line says the same.
    let address = bench.address.to_string();
    let portcullis = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(args).args(["--admin", &address]).env_remove("PORTCULLIS_CONFIG");
        command.env("PORTCULLIS_ADMIN_TOKEN", "0123456789abcdef");
        let output = command.output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, list) = portcullis(&["bans", "list"]);
    assert_eq!(code, Some(0));
    assert!(list.contains("192.0.2.8") && list.contains("2001:db8::/64") && !list.contains("192.0.2.7"));
    assert_eq!(portcullis(&["bans", "lift", "2001:db8::1"]), (Some(0), "lifted 2001:db8::/64\n".to_owned()));
    assert_eq!(portcullis(&["bans", "lift", "2001:db8::1"]).0, Some(1));
    assert_eq!(portcullis(&["bans", "lift", "--all"]), (Some(0), "1 lifted\n".to_owned()));
    assert_eq!(portcullis(&["bans", "list"]), (Some(0), "nobody is banned\n".to_owned()));
}

fn json_of(answer: &(u16, String, String)) -> Value {
    serde_json::from_str(&answer.2).expect("JSON")
}

#[test]
fn metrics_and_health_are_open() {
    let bench = start("127.0.0.1:0");
    let (status, head, body) = ask(&bench, "GET", "/metrics", "");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"));
    assert!(body.contains("portcullis_generation_info{") && body.contains("portcullis_store_collections 0"));
    assert_eq!(ask(&bench, "HEAD", "/metrics", "").0, 200);
    assert_eq!(ask(&bench, "GET", "/healthz", "").0, 200);
    assert_eq!(ask(&bench, "GET", "/readyz", "").0, 503);
    bench.subject.ready.store(true, Ordering::Release);
    assert_eq!(ask(&bench, "GET", "/readyz", "").0, 200);
    assert_eq!(ask(&bench, "GET", "/nothing", "").0, 404);
    let (status, head, _) = ask(&bench, "POST", "/metrics", "");
    assert_eq!((status, head.contains("allow: get")), (405, true));
    assert_eq!(ask(&bench, "GET", "/api/reload", "").0, 405);
    bench.stop.send(true).expect("somebody listens");
    let begun = std::time::Instant::now();
    while TcpStream::connect(bench.address).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it ends when told to");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn posture_and_generation_are_told() {
    let bench = start("127.0.0.1:0");
    let posture = json_of(&ask(&bench, "GET", "/api/posture", ""));
    assert_eq!(posture["sites"][0]["site"], "shop");
    assert_eq!(posture["sites"][0]["posture"]["rules"], 1);
    assert!(posture["sites"][0]["posture"]["alarms"].is_array());
    let generation = json_of(&ask(&bench, "GET", "/api/generation", ""));
    assert_eq!((&generation["number"], &generation["sites"]), (&json!(1), &json!(["shop"])));
    assert_eq!(generation["hash"].as_str().map(str::len), Some(40));
    assert_eq!(generation["last_attempt"]["refusal"], Value::Null);
}

#[test]
fn a_reload_answers_what_became_of_it() {
    let bench = start(WITH_TOKEN);
    let rules = bench.directory.path().join("a.conf");
    assert_eq!(
        json_of(&ask(&bench, "POST", "/api/reload", TOKEN)),
        json!({"result": "unchanged", "generation": 1})
    );
    fs::write(&rules, "SecRuleEngine DetectionOnly\n").expect("written");
    assert_eq!(
        json_of(&ask(&bench, "POST", "/api/reload", TOKEN)),
        json!({"result": "success", "generation": 2})
    );
    fs::write(&rules, "SecRuleEngin Off\n").expect("written");
    let refused = ask(&bench, "POST", "/api/reload", TOKEN);
    assert_eq!(refused.0, 422);
    let told = json_of(&refused);
    assert_eq!((&told["result"], &told["generation"]), (&json!("refused"), &json!(2)));
    assert!(
        told["errors"].as_str().is_some_and(|e| e.contains("SecRuleEngin") && e.contains("a.conf:1:1")),
        "{told}"
    );
    let generation = json_of(&ask(&bench, "GET", "/api/generation", TOKEN));
    assert!(generation["last_attempt"]["refusal"].is_string());
    let metrics = ask(&bench, "GET", "/metrics", "").2;
    for line in ["{result=\"success\"} 1", "{result=\"unchanged\"} 1", "{result=\"refused\"} 1"] {
        assert!(metrics.contains(&format!("portcullis_reloads_total{line}")), "{line}");
    }
}

#[test]
fn a_configured_token_is_needed_even_nearby() {
    let bench = start("{address: '127.0.0.1:0', token: 0123456789abcdef}");
    let (status, head, _) = ask(&bench, "POST", "/api/reload", "");
    assert_eq!((status, head.contains("www-authenticate: bearer")), (401, true));
    assert_eq!(ask(&bench, "POST", "/api/reload", "Authorization: Bearer 0123456789abcdeX\r\n").0, 401);
    assert_eq!(ask(&bench, "GET", "/api/posture", "").0, 401);
    assert_eq!(ask(&bench, "POST", "/api/reload", "Authorization: Bearer 0123456789abcdef\r\n").0, 200);
    assert_eq!(ask(&bench, "GET", "/metrics", "").0, 200);
}

#[test]
fn rebound_names_and_foreign_pages_are_refused() {
    let bench = start("{address: '127.0.0.1:0', hosts: waf.internal}");
    for path in ["/metrics", "/healthz", "/api/posture"] {
        assert_eq!(ask(&bench, "GET", path, "Host: evil.example\r\n").0, 421, "{path}");
    }
    assert_eq!(ask(&bench, "GET", "/metrics", "Host: waf.internal:9180\r\n").0, 200);
    assert_eq!(ask(&bench, "GET", "/metrics", "Host: localhost\r\n").0, 200);
    assert_eq!(ask(&bench, "POST", "/api/reload", "Origin: http://evil.example\r\n").0, 403);
    assert_eq!(ask(&bench, "POST", "http://evil.example/api/reload", "").0, 421);
}

#[test]
fn without_a_token_nothing_can_be_changed() {
    let bench = start("127.0.0.1:0");
    let session = json_of(&ask(&bench, "GET", "/api/session", ""));
    assert_eq!(session, json!({"token": false, "access": "read", "refused": null}));
    for (method, path) in [
        ("POST", "/api/reload"),
        ("POST", "/api/bans/lift?all"),
        ("POST", "/api/session"),
        ("DELETE", "/api/session"),
    ] {
        let (status, _, body) = ask(&bench, method, path, TOKEN);
        assert!(status == 403 && body.contains("admin.token"), "{method} {path}: {status} {body}");
    }
    let changes = json_of(&ask(&bench, "GET", "/api/changes", ""));
    assert_eq!(changes["changes"][2]["action"], "reload");
    assert_eq!(changes["changes"][2]["result"], "refused");
    assert_eq!(json_of(&ask(&bench, "GET", "/api/generation", ""))["number"], 1);
}

#[test]
fn a_session_stands_for_the_token() {
    let bench = start(WITH_TOKEN);
    let closed = json_of(&ask(&bench, "GET", "/api/session", ""));
    assert_eq!(closed, json!({"token": true, "access": null, "refused": null}));
    let opened = json_of(&ask(&bench, "POST", "/api/session", TOKEN));
    let session = opened["session"].as_str().expect("a session");
    let session = format!("Authorization: Bearer {session}\r\n");
    assert_eq!(ask(&bench, "GET", "/api/overview", &session).0, 200);
    assert_eq!(ask(&bench, "POST", "/api/reload", &session).0, 200);
    let foreign = format!("{session}Sec-Fetch-Site: cross-site\r\n");
    assert_eq!(ask(&bench, "POST", "/api/reload", &foreign).0, 403);
    let changes = json_of(&ask(&bench, "GET", "/api/changes", &session));
    let told =
        |n: usize| (changes["changes"][n]["action"].as_str(), changes["changes"][n]["result"].as_str());
    assert_eq!(told(0), (Some("reload"), Some("refused")));
    assert_eq!(told(1), (Some("reload"), Some("unchanged")));
    assert_eq!(told(2), (Some("sign in"), Some("success")));
    assert_eq!(ask(&bench, "DELETE", "/api/session", &session).0, 200);
    assert_eq!(ask(&bench, "GET", "/api/overview", &session).0, 401);
}

#[test]
fn changes_are_found_in_the_audit_log() {
    let bench = start(WITH_TOKEN);
    let opened = json_of(&ask(&bench, "POST", "/api/session", TOKEN));
    let session = opened["session"].as_str().expect("a session");
    let name = &session[..16];
    let header = format!("Authorization: Bearer {session}\r\n");
    assert_eq!(ask(&bench, "POST", "/api/reload", &header).0, 200);
    assert_eq!(ask(&bench, "POST", "/api/bans/lift?client=192.0.2.7", &header).0, 200);
    assert_eq!(ask(&bench, "GET", "/api/overview", "Authorization: Bearer wrong\r\n").0, 401);
    assert_eq!(ask(&bench, "POST", "/api/reload", "Authorization: Bearer wrong\r\n").0, 401);
    assert_eq!(ask(&bench, "DELETE", "/api/session", &header).0, 200);
    let lines = bench.audit.lines();
    let records: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str(line).expect("a record")).collect();
    let told: Vec<(&str, &str, u64)> = records
        .iter()
        .map(|record| {
            assert_eq!(record["events"][0]["kind"], "admin_change");
            assert_eq!(record["client"]["ip"], "127.0.0.1");
            (
                record["events"][0]["detail"].as_str().expect("a text"),
                record["request"]["uri"].as_str().expect("a target"),
                record["response"]["status"].as_u64().expect("a status"),
            )
        })
        .collect();
    let by = |text: &str| text.replace('@', name);
    assert_eq!(
        told,
        [
            (by("sign in (@) by token, success").as_str(), "/api/session", 200),
            (by("reload (generation 1) by @, unchanged").as_str(), "/api/reload", 200),
            (by("lift bans (nobody) by @, success").as_str(), "/api/bans/lift?client=192.0.2.7", 200),
            ("access by wrong token, refused", "/api/overview", 401),
            ("reload by wrong token, refused", "/api/reload", 401),
            (by("sign out by @, success").as_str(), "/api/session", 200),
        ]
    );
    // Neither the token nor what else would open the door.
    assert!(lines.iter().all(|line| !line.contains("0123456789abcdef") && !line.contains(session)));
    let metrics = bench.subject.metrics.render();
    assert!(
        metrics.contains("portcullis_admin_changes_total{action=\"access\",result=\"refused\"} 1"),
        "{metrics}"
    );
}

#[test]
fn guesses_of_the_token_are_slowed_down() {
    let bench = start(WITH_TOKEN);
    let guess = |n: u8| ask(&bench, "POST", "/api/session", &format!("Authorization: Bearer guess-{n}\r\n"));
    let answers: Vec<u16> = (0..10).map(|n| guess(n).0).collect();
    assert_eq!(answers[..8], [401; 8]);
    let (status, head, _) = guess(10);
    assert!(status == 429 && head.contains("retry-after: "), "{status} {head}");
}

/// Calls of the API, whoever makes them, and nothing else: what is scraped and watched stays open.
#[test]
fn calls_of_the_api_are_limited_and_nothing_else_is() {
    let bench = start(WITH_TOKEN);
    let began = std::time::Instant::now();
    let call = || ask(&bench, "GET", "/api/generation", TOKEN);
    let refused = (1..=10_000)
        .find_map(|n| Some(call()).filter(|(status, ..)| *status != 200).map(|answer| (n, answer)));
    let (number, (status, head, _)) = refused.expect("too many");
    assert!(status == 429 && head.contains("retry-after: "), "{status} {head}");
    // Forty a second come back meanwhile.
    let back = (began.elapsed().as_secs_f64() * 40.0).ceil() as usize;
    assert!((201..=201 + back).contains(&number), "call {number} is refused, {back} came back");
    for path in ["/metrics", "/healthz", "/"] {
        assert_eq!(ask(&bench, "GET", path, "").0, 200, "{path}");
    }
}

#[test]
fn the_console_is_served_under_a_strict_policy() {
    let bench = start(WITH_TOKEN);
    let (status, head, body) = ask(&bench, "GET", "/", "");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/html") && body.contains("<!doctype html>"));
    let policy = head.lines().find(|l| l.starts_with("content-security-policy: ")).expect("a policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{policy}");
    assert!(head.contains("x-content-type-options: nosniff") && head.contains("x-frame-options: deny"));
    let tag = head.lines().find_map(|l| l.strip_prefix("etag: ")).expect("a tag");
    let again = ask(&bench, "GET", "/", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!((again.0, again.2.as_str()), (304, ""));
    assert_eq!(ask(&bench, "POST", "/", "").0, 405);
    assert_eq!(ask(&bench, "GET", "/console/main.js", "Host: evil.example\r\n").0, 421);
    assert_eq!(ask(&bench, "GET", "/console/../api/posture", "").0, 404);
}

/// A stream of events: what comes first, and that there is a bound on them.
#[test]
fn streams_begin_at_once_and_are_few() {
    let bench = start("127.0.0.1:0");
    let open = || {
        let mut stream = TcpStream::connect(bench.address).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        write!(stream, "GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
        let mut text = String::new();
        let mut buffer = [0; 4_096];
        while !text.contains("event: hello") && !text.contains("too many") {
            let n = stream.read(&mut buffer).expect("read");
            assert!(n > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        (stream, text)
    };
    let streams: Vec<_> = (0..16).map(|_| open()).collect();
    assert!(streams.iter().all(|(_, text)| text.contains("text/event-stream")));
    assert!(open().1.starts_with("HTTP/1.1 503"));
    // Ticks come to those who stay, and places become free again.
    let mut first = streams.into_iter().next().expect("one").0;
    let mut text = String::new();
    while !text.contains("event: tick") {
        let mut buffer = [0; 4_096];
        let n = first.read(&mut buffer).expect("read");
        assert!(n > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    let begun = std::time::Instant::now();
    while open().1.starts_with("HTTP/1.1 503") {
        assert!(begun.elapsed() < Duration::from_secs(10), "places become free");
        std::thread::sleep(Duration::from_millis(50));
    }
}
