//! The whole server as a process: what it tells, what its signals do, and that reloads under load lose nothing.

#![cfg(all(feature = "server", unix))]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// `portcullis run` with a configuration in a directory of its own; it is killed when this is dropped.
struct Running {
    directory: tempfile::TempDir,
    process: Child,
    proxy: SocketAddr,
    admin: SocketAddr,
    said: std::sync::mpsc::Receiver<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const RULES: &str = "SecRuleEngine On
SecAuditEngine RelevantOnly
SecAuditLogParts ABHZ
SecRule ARGS:q \"@contains evil\" \"id:1,phase:1,deny,status:403,log,auditlog,msg:'Evil',tag:'attack-generic'\"
";

fn configuration(origin: SocketAddr, more: &str) -> String {
    format!(
        "listeners: ['127.0.0.1:0']
admin: {{address: '127.0.0.1:0', token: 0123456789abcdef}}
reload: {{watch: false}}
audit: {{log: audit.log}}
{more}
sites: [{{name: shop, upstreams: 'http://{origin}', rules: rules.conf}}]
"
    )
}

fn start(origin: SocketAddr, more: &str) -> Running {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    // For the test that changes the user.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).expect("permitted");
    fs::write(directory.path().join("rules.conf"), RULES).expect("written");
    let path = directory.path().join("portcullis.yaml");
    fs::write(&path, configuration(origin, more)).expect("written");
    let mut process = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("run")
        .arg("-c")
        .arg(&path)
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let lines = BufReader::new(process.stderr.take().expect("piped")).lines();
    let (tell, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    let mut told = Vec::new();
    let mut address = |prefix: &str| -> SocketAddr {
        loop {
            let line = said.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|_| panic!("{told:#?}"));
            if let Some(address) = line.strip_prefix(prefix) {
                return address.parse().expect("an address");
            }
            told.push(line);
        }
    };
    let proxy = address("listening on ");
    let admin = address("admin on http://");
    assert!(told.iter().any(|line| line.contains("site shop")), "the posture is told: {told:#?}");
    Running { directory, process, proxy, admin, said }
}

impl Running {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().expect("kill").success());
    }

    fn metric(&self, name: &str) -> Option<f64> {
        let text = ask(self.admin, "/metrics").1;
        text.lines().find_map(|line| line.strip_prefix(name)).and_then(|value| value.trim().parse().ok())
    }

    /// Waits for a line of the log.
    fn says(&self, what: &str) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if self.said.recv_timeout(Duration::from_secs(1)).is_ok_and(|line| line.contains(what)) {
                return true;
            }
        }
        false
    }
}

/// One request on a connection of its own: status and body.
fn ask(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answered");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0), body.to_owned())
}

/// `POST /api/reload`; the answer.
fn reload(server: &Running) -> String {
    let mut stream = TcpStream::connect(server.admin).expect("connected");
    let head =
        format!("Host: {}\r\nAuthorization: Bearer 0123456789abcdef\r\nConnection: close", server.admin);
    write!(stream, "POST /api/reload HTTP/1.1\r\n{head}\r\n\r\n").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answered");
    text
}

/// An origin that answers every request on keep-alive connections.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
                let mut stream = stream;
                loop {
                    let mut line = String::new();
                    loop {
                        line.clear();
                        match reader.read_line(&mut line) {
                            Ok(0) | Err(_) => return,
                            Ok(_) if line == "\r\n" => break,
                            Ok(_) => {}
                        }
                    }
                    if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn soon(done: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn records(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

#[test]
fn requests_are_counted_recorded_and_redacted() {
    let mut server = start(origin(), "process: {pid_file: portcullis.pid}");
    assert_eq!(ask(server.proxy, "/?q=good").0, 200);
    assert_eq!(ask(server.proxy, "/?q=evil&password=hunter2hunter2").0, 403);
    assert_eq!(ask(server.proxy, "/?q=good").1, "ok");
    let log = server.path("audit.log");
    assert!(soon(|| records(&log).len() == 1));
    let record = &records(&log)[0];
    assert_eq!(record["site"], "shop");
    assert_eq!(
        record["decision"],
        serde_json::json!({"action": "deny", "status": 403, "rule_id": 1, "phase": 1})
    );
    assert_eq!(record["rules"][0]["message"], "Evil");
    assert_eq!(record["request"]["uri"], "/?q=evil&password=[redacted]");
    assert!(record["client"]["ip"] == "127.0.0.1" && record["response"]["status"] == 403);
    for (name, value) in [
        ("portcullis_requests_total{outcome=\"passed\",site=\"shop\",status_class=\"2xx\"}", 2.0),
        ("portcullis_requests_total{outcome=\"blocked\",site=\"shop\",status_class=\"4xx\"}", 1.0),
        ("portcullis_blocks_total{category=\"generic\",site=\"shop\"}", 1.0),
        ("portcullis_rule_hits_total{outcome=\"blocked\",rule_id=\"1\",site=\"shop\"}", 1.0),
        ("portcullis_audit_written_total{sink=\"log\"}", 1.0),
    ] {
        assert_eq!(server.metric(name), Some(value), "{name}");
    }
    assert_eq!(ask(server.admin, "/readyz").0, 200);
    let pid = fs::read_to_string(server.path("portcullis.pid")).expect("a pid file");
    assert_eq!(pid.trim(), server.process.id().to_string());
    server.signal("-TERM");
    assert!(server.process.wait().expect("ended").success());
    assert!(!server.path("portcullis.pid").exists());
}

#[test]
fn signals_reload_and_reopen() {
    let server = start(origin(), "");
    let log = server.path("audit.log");
    assert_eq!(ask(server.proxy, "/?q=evil").0, 403);
    assert!(soon(|| records(&log).len() == 1));
    fs::rename(&log, server.path("moved.log")).expect("moved");
    server.signal("-USR1");
    assert!(soon(|| log.exists()));
    assert_eq!(ask(server.proxy, "/?q=evil").0, 403);
    assert!(soon(|| records(&log).len() == 1) && records(&server.path("moved.log")).len() == 1);

    fs::write(server.path("rules.conf"), RULES.replace("evil", "wicked")).expect("written");
    server.signal("-HUP");
    assert!(soon(|| ask(server.proxy, "/?q=wicked").0 == 403));
    assert_eq!(ask(server.proxy, "/?q=evil").0, 200);

    fs::write(server.path("rules.conf"), "SecRul x\n").expect("written");
    server.signal("-HUP");
    assert!(server.says("the new configuration is refused"));
    assert_eq!(ask(server.proxy, "/?q=wicked").0, 403);
    assert_eq!(server.metric("portcullis_config_last_reload_successful"), Some(0.0));
    assert_eq!(server.metric("portcullis_reloads_total{result=\"refused\"}"), Some(1.0));
}

#[test]
fn hundreds_of_reloads_under_load_lose_no_request() {
    let server = start(origin(), "");
    let over = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (address, over, served) = (server.proxy, Arc::clone(&over), Arc::clone(&served));
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
    assert_eq!(server.metric("portcullis_reloads_total{result=\"success\"}"), Some(300.0));
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
    let run = |path: &Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis")).arg("run").arg("-c").arg(path).output();
        let output = output.expect("ran");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (success, said) = run(&path);
    assert!(!success && said.contains("rules.conf:1:1") && said.contains("SecRule"), "{said}");
    fs::write(&path, "sites: [{nmae: a}]\nadmni: off\n").expect("written");
    let (success, said) = run(&path);
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
    let server = start(origin(), "");
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
    let refused = reload(&server);
    assert!(refused.contains("422") && refused.contains("key.pem"), "{refused}");
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
    let server = start(origin(), "process: {user: nobody}");
    assert_eq!(ask(server.proxy, "/?q=evil").0, 403);
    assert!(soon(|| records(&server.path("audit.log")).len() == 1));
    assert_eq!(fs::metadata(server.path("audit.log")).expect("written").uid().to_string(), uid);
    // Every thread, for the system changes them one by one.
    let tasks = fs::read_dir(format!("/proc/{}/task", server.process.id())).expect("threads");
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
