//! Candidate rulesets on a real server: what they would have done is told, and they do nothing.

#![cfg(feature = "server")]

mod support;

use portcullis::audit::{Auditor, Format, Redaction};
use portcullis::config::Overrides;
use portcullis::proxy::Server;
use portcullis::reload::{NoHooks, Origin as Source, Promoted, Promotion, Reloader, file_loader, load};
use portcullis::store::{MemoryStore, ServerWorld};
use portcullis::telemetry::{MemorySink, Metrics, Recorder};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::client::{Response, exchange};
use support::origin::Origin;
use tokio::sync::watch;

/// A server whose configuration is a file.
struct Bench {
    directory: tempfile::TempDir,
    address: SocketAddr,
    reloader: Arc<Reloader>,
    metrics: Arc<Metrics>,
    sink: Arc<MemorySink>,
    store: Arc<MemoryStore>,
    stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
    _origin: Origin,
}

const RULES: &str = "SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain
SecAuditEngine RelevantOnly
SecAuditLogParts ABCFHZ
SecRule ARGS:q \"@contains evil\" \"id:1,phase:2,deny,status:403,log,auditlog,msg:'Evil'\"
SecRule ARGS:q \"@contains early\" \"id:2,phase:1,deny,status:403,log,auditlog,msg:'Early'\"
";

impl Bench {
    /// A site with `RULES` and `settings`.
    fn start(settings: &str) -> Self {
        Self::start_with(RULES, settings)
    }

    fn start_with(rules: &str, settings: &str) -> Self {
        let origin = Origin::start(|request, stream| {
            let body = if request.line.contains("leak") { "a secret leaks" } else { "harmless" };
            support::origin::respond(stream, "200 OK", &[("Content-Type", "text/plain")], body.as_bytes())
        });
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("rules.conf"), rules).expect("written");
        let text = format!(
            "listeners: ['127.0.0.1:0']\nadmin: off\nreload: {{watch: false}}\nmetrics: {{rule_cost_sample: 1}}\nsites:\n- name: shop\n  upstreams: http://{}\n  rules: rules.conf\n{settings}",
            origin.address
        );
        fs::write(directory.path().join("portcullis.yaml"), text).expect("written");
        let metrics = Arc::new(Metrics::new().expect("registered"));
        let source =
            Source { path: Some(directory.path().join("portcullis.yaml")), overrides: Overrides::default() };
        let loaded = load(&source, 1, &file_loader());
        let told = loaded.render(false);
        let loader = Arc::new(file_loader());
        let reloader = Reloader::start(source, loader, loaded, Arc::clone(&metrics), Arc::new(NoHooks));
        let reloader = Arc::new(reloader.unwrap_or_else(|_| panic!("{told}")));
        let auditor = Auditor::new(&Redaction::default(), Format::Native, "");
        let sink = Arc::new(MemorySink::new(auditor));
        let store = Arc::new(MemoryStore::new(1_000, 1 << 20));
        let world = Arc::new(ServerWorld::new(Arc::<MemoryStore>::clone(&store)));
        let recorder = Recorder::new(Arc::clone(&metrics), Arc::<MemorySink>::clone(&sink));
        let server = Server::bind(reloader.current(), world, Arc::new(recorder)).expect("bound");
        let address = server.addresses()[0];
        let (stop, stopped) = watch::channel(false);
        let thread =
            std::thread::spawn(move || server.run(NonZeroUsize::new(2), stopped).expect("it serves"));
        Self {
            directory,
            address,
            reloader,
            metrics,
            sink,
            store,
            stop,
            thread: Some(thread),
            _origin: origin,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn get(&self, target: &str) -> Response {
        exchange(self.address, format!("GET {target} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"))
    }

    fn post(&self, target: &str, body: &str) -> Response {
        let head = "Host: shop\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close";
        exchange(
            self.address,
            format!("POST {target} HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        )
    }

    /// Waits until a line of the metrics is there.
    fn counts(&self, line: &str) {
        let begun = Instant::now();
        loop {
            let text = self.metrics.render();
            if text.lines().any(|known| known == line) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{line} is not in\n{text}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn verdict(&self, verdict: &str, count: usize) {
        self.counts(&format!(
            "portcullis_shadow_requests_total{{site=\"shop\",verdict=\"{verdict}\"}} {count}"
        ));
    }

    fn records(&self) -> Vec<Value> {
        self.sink.lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn promote(&self, promotion: Promotion) -> Promoted {
        self.reloader.promote(promotion).expect("it answers")
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ends in good order");
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

const CANDIDATE: &str = "  shadow:
    sample: 100%
    directives: |
      SecRule ARGS:q \"@contains odd\" \"id:3,phase:2,deny,status:406,log,auditlog,msg:'Odd'\"
      SecRule RESPONSE_BODY \"@contains secret\" \"id:4,phase:4,deny,status:502,log,auditlog,msg:'Leak'\"
      SecRuleRemoveById 1
";

#[test]
fn what_the_candidate_would_have_done_is_told_and_not_done() {
    let bench = Bench::start(CANDIDATE);
    assert_eq!(bench.get("/?q=fine").status, 200);
    assert_eq!(bench.get("/?q=odd&password=hunter2").status, 200);
    assert_eq!(bench.post("/", "q=odd+%22hunter3%22&token=hunter3").status, 200);
    assert_eq!(bench.post("/", "q=evil").status, 403);
    assert_eq!(bench.get("/?q=early").status, 403);
    assert_eq!(bench.get("/leak").status, 200);
    bench.verdict("same", 2);
    bench.verdict("newly_blocked", 3);
    bench.verdict("newly_passed", 1);
    bench.verdict("undecided", 0);
    for line in [
        "portcullis_shadow_rule_differences_total{change=\"added\",rule_id=\"3\"} 2",
        "portcullis_shadow_rule_differences_total{change=\"added\",rule_id=\"4\"} 1",
        "portcullis_shadow_rule_differences_total{change=\"removed\",rule_id=\"1\"} 1",
        "portcullis_site_shadow_rules{site=\"shop\"} 3",
        "portcullis_shadow_evaluation_seconds_count{site=\"shop\"} 6",
        // Each request is counted once.
        "portcullis_requests_total{outcome=\"passed\",site=\"shop\",status_class=\"2xx\"} 4",
        "portcullis_requests_total{outcome=\"blocked\",site=\"shop\",status_class=\"4xx\"} 2",
        "portcullis_rule_cost_requests_total 6",
    ] {
        bench.counts(line);
    }
    let records = bench.records();
    // Those that pass now are recorded because of the candidate alone.
    assert_eq!(records.len(), 5, "{records:#?}");
    // A request may be finished after the one that came after it.
    let of = |uri: &str, id: u64| {
        let decider =
            |r: &Value| r["decision"]["rule_id"].as_u64().or(r["shadow"]["decision"]["rule_id"].as_u64());
        records
            .iter()
            .find(|r| {
                r["request"]["uri"].as_str().is_some_and(|u| u.starts_with(uri)) && decider(r) == Some(id)
            })
            .unwrap_or_else(|| panic!("{uri} {id}: {records:#?}"))
    };
    let odd = of("/?q=odd", 3);
    assert_eq!((&odd["decision"]["action"], &odd["rules"]), (&json!("pass"), &json!([])));
    assert_eq!(odd["request"]["uri"], "/?q=odd&password=[redacted]");
    assert_eq!(odd["response"]["status"], 200);
    let shadow = &odd["shadow"];
    assert_eq!(shadow["verdict"], "newly_blocked");
    assert_eq!(shadow["decision"], json!({"action": "deny", "status": 406, "rule_id": 3, "phase": 2}));
    assert_eq!(shadow["rules_added"][0]["message"], "Odd");
    assert_eq!((&shadow["rules_removed"], &shadow["missing"]), (&json!([]), &Value::Null));
    let posted = records
        .iter()
        .find(|r| r["request"]["method"] == "POST" && r["rules"] == json!([]))
        .expect("it is recorded")
        .to_string();
    assert!(posted.contains("newly_blocked") && !posted.contains("hunter3"), "{posted}");
    let evil = &of("/", 1)["shadow"];
    assert_eq!((&evil["verdict"], &evil["rules_removed"]), (&json!("newly_passed"), &json!([1])));
    assert_eq!(evil["decision"]["action"], "pass");
    assert_eq!(of("/?q=early", 2)["shadow"]["verdict"], "same");
    assert_eq!(of("/leak", 4)["shadow"]["verdict"], "newly_blocked", "the response was shown to it");
}

#[test]
fn what_was_not_taken_in_leaves_a_verdict_open() {
    let settings = CANDIDATE.replace(
        "directives: |\n",
        "directives: |\n      SecRequestBodyAccess On\n      SecResponseBodyAccess On\n",
    );
    let bench = Bench::start_with(
        "SecRuleEngine On\nSecRequestBodyAccess Off\nSecResponseBodyMimeType text/plain\n",
        &settings,
    );
    assert_eq!(bench.post("/", "q=odd").status, 200);
    bench.verdict("undecided", 1);
    // What it was shown is enough to stop it.
    assert_eq!(bench.post("/?q=odd", "x=1").status, 200);
    bench.verdict("newly_blocked", 1);
    assert_eq!(bench.get("/leak").status, 200);
    bench.verdict("same", 1);
    bench.counts("portcullis_shadow_incomplete_total{part=\"request_body\",site=\"shop\"} 2");
    bench.counts("portcullis_shadow_incomplete_total{part=\"response_body\",site=\"shop\"} 2");
}

#[test]
fn collections_of_the_candidate_are_its_own() {
    let counting = "SecAction \"id:8,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.n=+1\"
SecRule IP:n \"@gt 2\" \"id:9,phase:1,deny,status:429,log,auditlog\"\n";
    let settings = "  shadow:\n    sample: 100%\n    rules:\n    - rules.conf\n    - text: |\n".to_owned()
        + &counting.lines().map(|line| format!("        {line}\n")).collect::<String>();
    let bench = Bench::start(&settings);
    for _ in 0..5 {
        assert_eq!(bench.get("/").status, 200);
    }
    bench.verdict("same", 2);
    bench.verdict("newly_blocked", 3);
    assert_eq!(bench.store.usage().collections, 0);
}

#[test]
fn a_share_is_a_share_and_the_end_loses_nothing() {
    let mut bench = Bench::start(&CANDIDATE.replace("sample: 100%", "sample: 30%"));
    for n in 0..200 {
        assert_eq!(bench.get(&format!("/?q=odd&n={n}")).status, 200);
    }
    bench.end();
    let records = bench.records().len();
    // A hundred to one against more than 14 either way; the bounds are far beyond it.
    assert!((25..=100).contains(&records), "{records} of 200");
    bench.verdict("newly_blocked", records);
}

#[test]
fn a_candidate_is_promoted_on_evidence_through_the_file() {
    let bench = Bench::start(CANDIDATE);
    let ask = |max_new_blocks: f64, min_requests: u64, force: bool| {
        bench.promote(Promotion { site: "shop".to_owned(), max_new_blocks, min_requests, force })
    };
    let refusal = |promoted: Promoted| match promoted {
        Promoted::Refused { reason, forcible, .. } => (reason, forcible),
        other => panic!("{other:?}"),
    };
    let (reason, forcible) = refusal(ask(0.5, 4, false));
    assert!(forcible && reason.contains("too little evidence: 0 requests"), "{reason}");
    for target in ["/?q=fine", "/?q=fine", "/?q=fine", "/?q=odd"] {
        bench.get(target);
    }
    bench.verdict("newly_blocked", 1);
    bench.verdict("same", 3);
    let (reason, forcible) = refusal(ask(0.2, 4, false));
    assert!(forcible && reason.contains("1 of 4 requests") && reason.contains("25.000 %"), "{reason}");
    let nobody = Promotion { site: "nobody".to_owned(), max_new_blocks: 1.0, min_requests: 0, force: true };
    let (reason, forcible) = refusal(bench.promote(nobody));
    assert!(!forcible && reason.contains("there is: shop"), "{reason}");

    // A reload that leaves both rulesets as they are keeps what was seen.
    let file = bench.path("portcullis.yaml");
    let old = fs::read_to_string(&file).expect("read");
    let commented = format!("# ours\n{old}").replace("rule_cost_sample: 1", "rule_cost_sample: 2");
    fs::write(&file, &commented).expect("written");
    let (reason, forcible) = refusal(ask(1.0, 4, true));
    assert!(!forcible && reason.contains("reload first"), "{reason}");
    bench.reloader.reload();
    let Promoted::Done { generation, backup, seen, .. } = ask(0.25, 4, false) else { panic!("not promoted") };
    assert_eq!((generation, seen.newly_blocked, seen.decided()), (3, 1, 4));
    assert_eq!(fs::read_to_string(backup).expect("kept"), commented);
    let new = fs::read_to_string(&file).expect("read");
    assert!(new.starts_with("# ours\n") && !new.contains("shadow"), "{new}");
    assert!(new.contains("\n  directives: |\n    SecRule ARGS:q"), "{new}");
    assert_eq!(bench.get("/?q=odd").status, 406, "it decides now");
    assert_eq!(bench.get("/?q=evil").status, 200);
    let text = bench.metrics.render();
    assert!(!text.contains("portcullis_site_shadow_rules{"), "there is no candidate any more");
    let (reason, _) = refusal(ask(1.0, 0, true));
    assert!(reason.contains("no `shadow`"), "{reason}");
}

#[test]
fn a_promotion_that_would_not_protect_is_refused_and_a_file_that_is_not_ours_left_alone() {
    let bench =
        Bench::start("  shadow:\n    sample: 100%\n    rules:\n    - text: SecRuleEngine DetectionOnly\n");
    let ask = |force| {
        let site = "shop".to_owned();
        bench.promote(Promotion { site, max_new_blocks: 1.0, min_requests: 0, force })
    };
    let Promoted::Refused { reason, forcible: true, .. } = ask(false) else { panic!("promoted") };
    assert!(reason.contains("would not protect"), "{reason}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let allow = |mode| {
            fs::set_permissions(bench.directory.path(), fs::Permissions::from_mode(mode)).expect("set");
        };
        allow(0o555);
        let told = ask(true);
        allow(0o755);
        // Root may write all the same.
        if let Promoted::Unwritten { change, .. } = told {
            assert!(change.contains("-  shadow:") && change.contains("+  rules:"), "{change}");
        }
    }
}
