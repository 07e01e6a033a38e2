//! `portcullis replay`: records of every kind through other rules.

#![cfg(feature = "server")]

#[allow(dead_code, reason = "shared with other tests")]
#[path = "support/command.rs"]
mod command;

use command::{fed, json_of, program};
use portcullis::audit::{Auditor, Facts, Format, Redaction};
use portcullis::compile::{Input, load};
use portcullis::engine::{NoWorld, Options, Transaction};
use portcullis::ruleset::Ruleset;
use portcullis::syntax::seclang::FileLoader;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BEFORE: &str = "SecRuleEngine On
SecRequestBodyAccess On
SecAuditEngine On
SecAuditLogParts ABCFHZ
SecAction \"id:1,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=5\"
SecRule ARGS:q \"@contains evil\" \"id:10,phase:2,pass,log,auditlog,setvar:tx.blocking_inbound_anomaly_score=+5\"
SecRule ARGS:q \"@contains odd\" \"id:11,phase:2,pass,log,auditlog,setvar:tx.blocking_inbound_anomaly_score=+2\"
SecRule TX:blocking_inbound_anomaly_score \"@ge 5\" \"id:70,phase:2,deny,status:403,log,auditlog\"
";

/// `evil` is let pass, `odd` counts for more, and what a response says counts.
const AFTER: &str = "SecRuleEngine On
SecRequestBodyAccess On
SecAction \"id:1,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=5\"
SecRule ARGS:q \"@contains odd\" \"id:12,phase:2,pass,log,auditlog,setvar:tx.blocking_inbound_anomaly_score=+5\"
SecRule ARGS:q \"@contains new\" \"id:13,phase:2,pass,log,auditlog,setvar:tx.blocking_inbound_anomaly_score=+3\"
SecRule TX:blocking_inbound_anomaly_score \"@ge 5\" \"id:949110,phase:2,deny,status:403,log,auditlog\"
SecRule RESPONSE_STATUS \"@eq 500\" \"id:14,phase:3,deny,status:502,log,auditlog\"
";

fn ruleset(text: &str) -> Arc<Ruleset> {
    let loaded = load(&[Input::Text { name: "t".into(), text: text.into() }], &FileLoader);
    loaded.ruleset.expect("the rules load")
}

/// A line of the audit log as the server writes it.
fn line(rules: &Arc<Ruleset>, id: &str, target: &str, body: &str, status: u16) -> Vec<u8> {
    line_with(rules, id, target, body, status, &[])
}

/// The same of a request with more headers.
fn line_with(
    rules: &Arc<Ruleset>,
    id: &str,
    target: &str,
    body: &str,
    status: u16,
    more: &[(&str, &str)],
) -> Vec<u8> {
    let options = Options { id: id.to_owned(), mode: None, world: Arc::new(NoWorld) };
    let mut transaction = Transaction::new(Arc::clone(rules), options);
    transaction.process_uri(if body.is_empty() { b"GET" } else { b"POST" }, target.as_bytes(), b"HTTP/1.1");
    transaction.add_request_header(b"Host", b"shop");
    for (name, value) in more {
        transaction.add_request_header(name.as_bytes(), value.as_bytes());
    }
    if !body.is_empty() {
        transaction.add_request_header(b"Content-Type", b"application/x-www-form-urlencoded");
        transaction.add_request_header(b"Content-Length", body.len().to_string().as_bytes());
    }
    let mut passes = transaction.process_request_headers().interruption().is_none();
    if transaction.request_body_wanted() {
        let _ = transaction.append_request_body(body.as_bytes());
    }
    passes &= transaction.process_request_body().interruption().is_none();
    if passes {
        transaction.add_response_header(b"Content-Type", b"text/plain");
        let _ = transaction.process_response_headers(status, b"HTTP/1.1");
        let _ = transaction.process_response_body();
    }
    let report = transaction.process_logging(status);
    let facts = Facts { site: "shop".to_owned(), status, ..Facts::default() };
    Auditor::new(&Redaction::default(), Format::Native, "").line(&report, &facts)
}

/// The audit log of twelve transactions.
fn audit_log() -> Vec<u8> {
    let rules = ruleset(BEFORE);
    let mut log = Vec::new();
    for (id, target, body, status) in [
        ("pass", "/a?q=fine", "", 200),
        ("evil", "/a?q=evil", "", 200),
        ("odd-1", "/b?q=odd", "", 200),
        ("odd-2", "/b", "q=odd", 200),
        ("moved", "/c?q=new", "", 200),
        ("broken", "/d?q=fine", "", 500),
        ("secret", "/e?q=odd&password=hunter2", "", 200),
    ] {
        log.extend(line(&rules, id, target, body, status));
    }
    log
}

fn replay(arguments: &[&str], directory: &Path, input: Option<&[u8]>) -> Output {
    fed(program(directory, &["replay"]).args(arguments), input.unwrap_or_default())
}

fn bench() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &[u8]| fs::write(directory.path().join(name), text).expect("written");
    write("before.conf", BEFORE.as_bytes());
    write("after.conf", AFTER.as_bytes());
    write("audit.log", &audit_log());
    directory
}

#[test]
fn differences_from_the_recorded_verdicts_are_told() {
    let bench = bench();
    let output = replay(&["--against", "after.conf", "--json", "audit.log"], bench.path(), None);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = json_of(&output);
    assert_eq!((&told["replayed"], &told["exact"]), (&json!(7), &json!(6)));
    assert_eq!(told["inexact"]["target_redacted"], 1);
    assert_eq!(told["blocked"], json!({"before": 1, "after": 4}));
    assert_eq!(told["newly_blocked"], json!({"requests": 4, "inexact": 1}));
    assert_eq!(told["newly_passed"], json!({"requests": 1, "inexact": 0}));
    // odd three times and new once upwards, evil downwards.
    assert_eq!(told["scores"], json!({"up": 4, "down": 1}));
    assert_eq!(told["with_response"], 6);
    let rule = |id: u64| told["rules"].as_array().and_then(|all| all.iter().find(|r| r["id"] == id)).cloned();
    assert_eq!(
        rule(12),
        Some(json!({"id": 12, "newly_blocked": 3, "newly_passed": 0, "added": 3, "removed": 0}))
    );
    assert_eq!(
        rule(10),
        Some(json!({"id": 10, "newly_blocked": 0, "newly_passed": 1, "added": 0, "removed": 1}))
    );
    assert_eq!(rule(14).map(|r| r["newly_blocked"].clone()), Some(json!(1)), "the response is replayed");
    assert_eq!((rule(949_110), rule(70)), (None, None), "they only compare");
    assert_eq!(told["paths"][0], json!({"path": "/b", "newly_blocked": 2, "newly_passed": 0, "moved": 2}));
    let ids: Vec<&str> =
        told["examples"].as_array().expect("examples").iter().filter_map(|e| e["id"].as_str()).collect();
    assert_eq!(ids, ["evil", "odd-1", "odd-2", "broken", "secret"], "in the order of the records");

    let text = replay(&["--against", "after.conf", "audit.log"], bench.path(), None);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains("newly blocked                4  57.143 %, 1 of them not replayed exactly"),
        "{text}"
    );
    assert!(text.contains("a secret in the target was redacted") && !text.contains("hunter2"), "{text}");
    let exact =
        json_of(&replay(&["--exact", "--against", "after.conf", "--json", "audit.log"], bench.path(), None));
    assert_eq!((&exact["replayed"], &exact["left_out"]), (&json!(6), &json!(1)));
}

#[test]
fn a_baseline_takes_the_place_of_the_recorded_verdicts() {
    let bench = bench();
    let same = ["--against", "before.conf", "--baseline", "before.conf", "--json", "audit.log"];
    let told = json_of(&replay(&same, bench.path(), None));
    assert_eq!(
        (&told["newly_blocked"]["requests"], &told["newly_passed"]["requests"]),
        (&json!(0), &json!(0))
    );
    assert_eq!((&told["rules"], &told["blocked"]), (&json!([]), &json!({"before": 1, "after": 1})));
    // The recorded verdicts are those of the rules which recorded them.
    let recorded = json_of(&replay(&["--against", "before.conf", "--json", "audit.log"], bench.path(), None));
    assert_eq!((&recorded["rules"], &recorded["scores"]), (&json!([]), &json!({"up": 0, "down": 0})));
    // One thread or several, the result is the same.
    let one = ["--against", "after.conf", "--json", "-j", "1", "audit.log"];
    let many = ["--against", "after.conf", "--json", "-j", "5", "audit.log"];
    assert_eq!(json_of(&replay(&one, bench.path(), None)), json_of(&replay(&many, bench.path(), None)));

    let configuration = "admin: off
sites:
- {name: other, paths: /other, upstreams: 'http://127.0.0.1:1', rules: before.conf}
- {name: shop, upstreams: 'http://127.0.0.1:1', rules: after.conf}
";
    fs::write(bench.path().join("portcullis.yaml"), configuration).expect("written");
    let by_site = ["--against", "portcullis.yaml", "--json", "audit.log"];
    assert_eq!(json_of(&replay(&by_site, bench.path(), None))["newly_blocked"]["requests"], 4);
    let other = ["--against", "portcullis.yaml", "--site", "other", "--json", "audit.log"];
    assert_eq!(json_of(&replay(&other, bench.path(), None))["newly_blocked"]["requests"], 0);
    let raw: &[u8] = b"GET /other/x?q=evil HTTP/1.1\r\nHost: h\r\n\r\n";
    let routed = ["--against", "portcullis.yaml", "--json", "-"];
    assert_eq!(json_of(&replay(&routed, bench.path(), Some(raw)))["newly_blocked"]["requests"], 1);
}

#[test]
fn every_kind_of_file_is_read() {
    let bench = bench();
    let records = bench.path().join("records/2026");
    fs::create_dir_all(&records).expect("created");
    let write = |name: &str, text: &[u8]| fs::write(records.join(name), text).expect("written");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&audit_log()).expect("compressed");
    write("audit.log.1.gz", &gzip.finish().expect("compressed"));
    let modsecurity = json!({"transaction": {"client_ip": "192.0.2.1", "client_port": 1, "unique_id": "m",
        "request": {"method": "GET", "http_version": 1.1, "uri": "/m?q=odd", "headers": {"Host": "h"}},
        "response": {"http_code": 200, "headers": {}}, "messages": []}});
    write("modsec.json", format!("{modsecurity}\nno JSON\n").as_bytes());
    let har = json!({"log": {"version": "1.2", "entries": [
        {"request": {"method": "POST", "url": "https://h/h", "headers": [], "bodySize": 5,
                     "postData": {"mimeType": "application/x-www-form-urlencoded", "text": "q=odd"}},
         "response": {"status": 200, "headers": []}},
        {"request": {"method": "GET", "url": "https://h/fine", "headers": []}}]}});
    write("browsing.har", serde_json::to_string_pretty(&har).expect("JSON").as_bytes());
    write("request.http", b"GET /r?q=odd HTTP/1.1\nHost: h\n\n");
    write("malformed.http", b"GET /r?q=odd HTTP/1.1\r\nNo colon\r\n\r\n");
    let told = json_of(&replay(&["--against", "after.conf", "--json", "records"], bench.path(), None));
    assert_eq!(told["replayed"], 7 + 1 + 2 + 1);
    assert_eq!((&told["unreadable"], &told["refused"]), (&json!(1), &json!(1)));
    assert_eq!(told["newly_blocked"]["requests"], 4 + 1 + 1 + 1);
    let paths: Vec<&str> =
        told["paths"].as_array().expect("paths").iter().filter_map(|p| p["path"].as_str()).collect();
    for path in ["/m", "/h", "/r"] {
        assert!(paths.contains(&path), "{path} is not in {paths:?}");
    }
}

#[test]
fn exit_codes_tell_what_is_wrong() {
    let bench = bench();
    let code = |arguments: &[&str]| replay(arguments, bench.path(), None).status.code();
    fs::write(bench.path().join("faulty.conf"), "SecRul x").expect("written");
    fs::write(bench.path().join("empty.log"), "").expect("written");
    assert_eq!(code(&["--against", "after.conf", "--max-new-blocks", "60%", "audit.log"]), Some(0));
    assert_eq!(code(&["--against", "after.conf", "--max-new-blocks", "10%", "audit.log"]), Some(3));
    assert_eq!(code(&["--against", "faulty.conf", "audit.log"]), Some(1));
    assert_eq!(code(&["--against", "after.conf", "gone.log"]), Some(1));
    assert_eq!(code(&["--against", "after.conf", "empty.log"]), Some(1));
    assert_eq!(code(&["audit.log"]), Some(2));
    assert_eq!(code(&["--against", "after.conf", "--max-new-blocks", "2", "audit.log"]), Some(2));
}

/// On a terminal a bar tells how far it is, and is gone when the result is told; elsewhere there is none.
#[cfg(target_os = "linux")]
#[test]
fn a_bar_is_drawn_on_a_terminal() {
    let bench = bench();
    fs::write(bench.path().join("many.log"), audit_log().repeat(200)).expect("written");
    let arguments = ["replay", "--against", "after.conf", "many.log"];
    let quiet = program(bench.path(), &arguments).output().expect("it runs");
    assert!(quiet.status.success() && quiet.stderr.is_empty(), "{quiet:?}");
    // `script` gives the command a terminal of its own.
    let command = format!("stty cols 100; {} {}", env!("CARGO_BIN_EXE_portcullis"), arguments.join(" "));
    let output = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .current_dir(bench.path())
        .stdin(Stdio::null())
        .env("TERM", "xterm")
        .output()
        .expect("script runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let (bars, told) = shown.rsplit_once(" left").unwrap_or_else(|| panic!("no bar: {shown:?}"));
    assert!(bars.contains("[####") && bars.contains(" % "), "{bars:?}");
    assert!(told.contains("\u{1b}[2K"), "the bar stays: {told:?}");
    // What moves the cursor and erases, on as many lines as the bar took.
    let control = regex::Regex::new("\u{1b}\\[[0-9]*[A-Z]|\r").expect("a pattern");
    let same = control.replace_all(told, "").trim_start().to_owned();
    assert_eq!(same, String::from_utf8_lossy(&quiet.stdout), "{shown:?}");
}

/// A log of a million transactions is replayed in minutes, and memory does not depend on its length. It takes a minute or
/// two and two gigabytes of disk, and tells nothing unless it is optimised:
///
/// `cargo test --release --locked --test replay -- --ignored --nocapture a_million`
///
/// `PORTCULLIS_RECORDS` makes it another number of transactions.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "minutes, and two gigabytes of disk"]
fn a_million_transactions_are_replayed_in_minutes() {
    const MOST: Duration = Duration::from_secs(5 * 60);
    const MEMORY: u64 = 256 << 10;
    let records: u64 =
        std::env::var("PORTCULLIS_RECORDS").map_or(1_000_000, |n| n.parse().expect("a number"));
    let bench = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let settings = "SecRuleEngine On\nSecAuditEngine On\nSecAuditLogParts ABCFHZ\n";
    let inputs = [
        Input::File("@portcullis-core.conf".into()),
        Input::Text { name: "settings.conf".into(), text: settings.into() },
    ];
    let rules = load(&inputs, &FileLoader).ruleset.expect("the rules load");
    let headers = [
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Referer", "https://shop/products/all?sort=price&order=ascending&page=2"),
        ("X-Forwarded-For", "192.0.2.17"),
    ];
    // Seven of a hundred are stopped. Each transaction has its number in place of `0000000`, so that none is like another.
    let templates: Vec<String> = (0..100)
        .map(|n| {
            let (target, body) = match n {
                0..3 => ("/search?q=0000000%27%20OR%201%3D1%20--%20", String::new()),
                3..6 => ("/search?q=%3Cscript%3Ealert(0000000)%3C/script%3E", String::new()),
                6 => ("/download?file=../../../../etc/passwd&n=0000000", String::new()),
                7..60 => ("/products/0000000?colour=blue&size=large&sort=price", String::new()),
                60..80 => ("/search?q=lighthouse+0000000+with+lamp", String::new()),
                _ => ("/cart", format!("product=0000000&count={n}&comment=Please+wrap+it+as+a+present")),
            };
            let line = line_with(&rules, "id-0000000", target, &body, 200, &headers);
            String::from_utf8(line).expect("JSON")
        })
        .collect();
    let path = bench.path().join("audit.log");
    let mut file = std::io::BufWriter::new(fs::File::create(&path).expect("created"));
    for (number, template) in (0..records).zip(templates.iter().cycle()) {
        let line = template.replace("0000000", &format!("{number:07}"));
        file.write_all(line.as_bytes()).expect("written");
    }
    file.into_inner().expect("written");
    let bytes = fs::metadata(&path).expect("there").len();

    let begun = Instant::now();
    let mut child =
        program(bench.path(), &["replay", "--json", "--against", "@portcullis-core.conf", "audit.log"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
    // The most memory it has had so far, in KiB, as long as it runs.
    let status = format!("/proc/{}/status", child.id());
    let memory = || {
        let status = fs::read_to_string(&status).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    let mut most = 0;
    while child.try_wait().expect("asked").is_none() {
        most = memory().unwrap_or_default().max(most);
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = begun.elapsed();
    let told = json_of(&child.wait_with_output().expect("it ended"));
    println!(
        "{records} transactions, {:.1} GB: {:.1} s, {} MiB",
        bytes as f64 / 1e9,
        took.as_secs_f64(),
        most >> 10
    );
    assert_eq!(told["replayed"], records);
    let stopped = (records / 100) * 7 + (records % 100).min(7);
    assert_eq!(told["blocked"], json!({"before": stopped, "after": stopped}));
    assert_eq!(told["rules"], json!([]), "the same rules as those that recorded");
    assert!(took < MOST, "{took:?}");
    assert!(most > 0 && most < MEMORY, "{most} KiB");
}
