//! The whole server as a process: what it tells, what its signals do, and that reloads under load lose nothing.

#![cfg(all(feature = "server", unix))]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use support::binary::{Binary, TOKEN};
use support::client::get;
use support::command::program;
use support::origin::Origin;
use support::wait::eventually;

const RULES: &str = "SecRuleEngine On
SecAuditEngine RelevantOnly
SecAuditLogParts ABHZ
SecRule ARGS:q \"@contains evil\" \"id:1,phase:1,deny,status:403,log,auditlog,msg:'Evil',tag:'attack-generic'\"
";

/// `portcullis run` in front of `origin`, with more settings.
fn start(origin: &Origin, more: &str) -> Binary {
    use std::os::unix::fs::PermissionsExt;
    let text = format!(
        "listeners: ['127.0.0.1:0']
admin: {{address: '127.0.0.1:0', token: {TOKEN}}}
reload: {{watch: false}}
audit: {{log: audit.log}}
{more}
sites: [{{name: shop, upstreams: '{}', rules: rules.conf}}]
",
        origin.url()
    );
    let mut binary = Binary::start_with(&[("rules.conf", RULES)], &text, |command| {
        // For the test that changes the user.
        let directory = command.get_current_dir().expect("its own");
        fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).expect("permitted");
        command
    });
    let said = binary.log();
    assert!(said.contains("site shop"), "the posture is told: {said}");
    binary
}

/// An application that answers everything.
fn application() -> Origin {
    Origin::fixed("200 OK", &[], b"ok".to_vec())
}

/// The status of a request for `path`.
fn status_of(server: &Binary, path: &str) -> u16 {
    server.send(get(path)).status
}

/// The answer to a call to load the configuration anew.
fn reload(server: &Binary) -> String {
    server.call("POST", "/api/reload").text()
}

fn records(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

#[test]
fn requests_are_counted_recorded_and_redacted() {
    let origin = application();
    let mut server = start(&origin, "process: {pid_file: portcullis.pid}");
    assert_eq!(status_of(&server, "/?q=good"), 200);
    assert_eq!(status_of(&server, "/?q=evil&password=hunter2hunter2"), 403);
    assert_eq!(server.send(get("/?q=good")).text(), "ok");
    let log = server.path("audit.log");
    eventually("a record", || records(&log).len() == 1);
    let record = &records(&log)[0];
    assert_eq!(record["site"], "shop");
    assert_eq!(
        record["decision"],
        serde_json::json!({"action": "deny", "status": 403, "rule_id": 1, "phase": 1})
    );
    assert_eq!(record["rules"][0]["message"], "Evil");
    assert_eq!(record["request"]["uri"], "/?q=evil&password=[redacted]");
    assert!(record["client"]["ip"] == "127.0.0.1" && record["response"]["status"] == 403);
    // A request is counted when it is over, which the client may see before.
    let passed = "portcullis_requests_total{outcome=\"passed\",site=\"shop\",status_class=\"2xx\"}";
    eventually("the last request is counted", || server.series(passed) == Some(2.0));
    for (name, value) in [
        ("portcullis_requests_total{outcome=\"blocked\",site=\"shop\",status_class=\"4xx\"}", 1.0),
        ("portcullis_blocks_total{category=\"generic\",site=\"shop\"}", 1.0),
        ("portcullis_rule_hits_total{outcome=\"blocked\",rule_id=\"1\",site=\"shop\"}", 1.0),
        ("portcullis_audit_written_total{sink=\"log\"}", 1.0),
    ] {
        assert_eq!(server.series(name), Some(value), "{name}");
    }
    assert_eq!(server.call("GET", "/readyz").status, 200);
    let pid = fs::read_to_string(server.path("portcullis.pid")).expect("a pid file");
    assert_eq!(pid.trim(), server.id().to_string());
    assert!(server.end().success());
    assert!(!server.path("portcullis.pid").exists());
}

#[test]
fn signals_reload_and_reopen() {
    let origin = application();
    let mut server = start(&origin, "");
    let log = server.path("audit.log");
    assert_eq!(status_of(&server, "/?q=evil"), 403);
    eventually("a record", || records(&log).len() == 1);
    fs::rename(&log, server.path("moved.log")).expect("moved");
    server.signal("-USR1");
    eventually("the log", || log.exists());
    assert_eq!(status_of(&server, "/?q=evil"), 403);
    eventually("a record", || records(&log).len() == 1);
    assert_eq!(records(&server.path("moved.log")).len(), 1);

    fs::write(server.path("rules.conf"), RULES.replace("evil", "wicked")).expect("written");
    server.signal("-HUP");
    eventually("the new rule", || status_of(&server, "/?q=wicked") == 403);
    assert_eq!(status_of(&server, "/?q=evil"), 200);

    fs::write(server.path("rules.conf"), "SecRul x\n").expect("written");
    server.signal("-HUP");
    server.says("the new configuration is refused");
    assert_eq!(status_of(&server, "/?q=wicked"), 403);
    assert_eq!(server.series("portcullis_config_last_reload_successful"), Some(0.0));
    assert_eq!(server.series("portcullis_reloads_total{result=\"refused\"}"), Some(1.0));
}

#[test]
fn hundreds_of_reloads_under_load_lose_no_request() {
    let origin = application();
    let server = start(&origin, "");
    let over = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (address, over, served) = (server.address(), Arc::clone(&over), Arc::clone(&served));
            std::thread::spawn(move || {
                // Half of them keep their connection all along, the others make a new one for each request.
                let keep = client % 2 == 0;
                let mut connection = None;
                while !over.load(Ordering::Relaxed) {
                    let mut reader = connection.take().unwrap_or_else(|| {
                        let stream = TcpStream::connect(address).expect("connected");
                        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
                        BufReader::new(stream)
                    });
                    let bad = served.load(Ordering::Relaxed) % 3 == 0;
                    let word = if bad { "evil" } else { "good" };
                    write!(reader.get_mut(), "GET /?q={word} HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
                    assert_eq!(status(&mut reader), if bad { 403 } else { 200 });
                    served.fetch_add(1, Ordering::Relaxed);
                    if keep {
                        connection = Some(reader);
                    }
                }
            })
        })
        .collect();
    for i in 0..300 {
        fs::write(server.path("rules.conf"), format!("{RULES}# {i}\n")).expect("written");
        let text = reload(&server);
        assert!(text.contains("\"result\":\"success\""), "{text}");
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("every request was answered rightly");
    }
    assert!(served.load(Ordering::Relaxed) > 300, "{} requests", served.load(Ordering::Relaxed));
    assert_eq!(server.series("portcullis_reloads_total{result=\"success\"}"), Some(300.0));
}

/// Reads one answer with a `Content-Length`; its status.
fn status(reader: &mut BufReader<TcpStream>) -> u16 {
    let (mut line, mut status, mut length) = (String::new(), 0, 0);
    loop {
        line.clear();
        assert_ne!(reader.read_line(&mut line).expect("answered"), 0, "the connection was dropped");
        if status == 0 {
            status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        } else if line == "\r\n" {
            break;
        } else if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    status
}

#[test]
fn a_faulty_start_says_everything_and_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("portcullis.yaml");
    fs::write(directory.path().join("rules.conf"), "SecRul x\n").expect("written");
    fs::write(&path, "sites:\n  - {name: a, upstreams: 'http://127.0.0.1:1', rules: rules.conf}\n")
        .expect("written");
    let run = || {
        let output = program(directory.path(), &["run", "-c", "portcullis.yaml"]).output().expect("ran");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (success, said) = run();
    assert!(!success && said.contains("rules.conf:1:1") && said.contains("SecRule"), "{said}");
    fs::write(&path, "sites: [{nmae: a}]\nadmni: off\n").expect("written");
    let (success, said) = run();
    assert!(!success && said.contains("`name`") && said.contains("`admin`"), "{said}");
}

#[test]
fn a_certificate_that_cannot_be_used_is_refused() {
    let certified = rcgen::generate_simple_self_signed(vec!["shop.test".to_owned()]).expect("a certificate");
    let other = rcgen::generate_simple_self_signed(vec!["shop.test".to_owned()]).expect("a certificate");
    let keys = tempfile::tempdir().expect("a directory");
    let (chain, key) = (keys.path().join("chain.pem"), keys.path().join("key.pem"));
    fs::write(&chain, certified.cert.pem()).expect("written");
    fs::write(&key, certified.signing_key.serialize_pem()).expect("written");
    let origin = application();
    let server = start(&origin, "");
    let configuration = fs::read_to_string(server.path("portcullis.yaml")).expect("read");
    let tls = format!(
        "listeners: [{{address: '127.0.0.1:0', tls: {{certificate: {}, key: {}}}}}]",
        chain.display(),
        key.display()
    );
    let configuration = configuration.replace("listeners: ['127.0.0.1:0']", &tls);
    fs::write(server.path("portcullis.yaml"), configuration).expect("written");
    assert!(reload(&server).contains("\"result\":\"success\""));
    fs::write(&key, other.signing_key.serialize_pem()).expect("written");
    let refused = server.call("POST", "/api/reload");
    assert!(refused.status == 422 && refused.text().contains("key.pem"), "{refused:?}");
    fs::write(&chain, other.cert.pem()).expect("written");
    assert!(reload(&server).contains("\"result\":\"success\""), "the certificate's file is watched too");
}

/// Only root may change the user; elsewhere there is nothing to see but that it is refused.
#[cfg(target_os = "linux")]
#[test]
fn the_user_is_changed_before_anything_is_written() {
    use std::os::unix::fs::MetadataExt;
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let ids = |status: &str, name: &str| -> Vec<String> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect()
    };
    if ids(&status, "Uid:").get(1).is_none_or(|effective| effective != "0") {
        return;
    }
    let passwd = fs::read_to_string("/etc/passwd").expect("users");
    let nobody = passwd.lines().find(|line| line.starts_with("nobody:")).expect("a user nobody");
    let [uid, gid] = [2, 3].map(|column| nobody.split(':').nth(column).expect("an id").to_owned());
    let origin = application();
    let server = start(&origin, "process: {user: nobody}");
    assert_eq!(status_of(&server, "/?q=evil"), 403);
    eventually("a record", || records(&server.path("audit.log")).len() == 1);
    assert_eq!(fs::metadata(server.path("audit.log")).expect("written").uid().to_string(), uid);
    // Every thread, for the system changes them one by one.
    let tasks = fs::read_dir(format!("/proc/{}/task", server.id())).expect("threads");
    let mut threads = 0;
    for task in tasks {
        let status = fs::read_to_string(task.expect("an entry").path().join("status")).unwrap_or_default();
        if status.is_empty() {
            continue;
        }
        threads += 1;
        assert!(ids(&status, "Uid:").iter().all(|id| *id == uid), "{status}");
        assert!(ids(&status, "Gid:").iter().all(|id| *id == gid), "{status}");
        assert!(ids(&status, "Groups:").iter().all(|id| *id == gid), "{status}");
    }
    assert!(threads > 2);
}
