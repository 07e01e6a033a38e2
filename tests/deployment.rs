//! The server as a service: handing its sockets to a successor under load, what it tells the service manager, renewed
//! certificates, and the files in `config/systemd`.

#![cfg(all(feature = "server", target_os = "linux"))]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::authority::{Authority, has};
use support::binary::{Binary, TOKEN};
use support::http2::{self, Identity};
use support::origin::{Origin, digest, respond};
use support::wait::eventually;

/// `portcullis run` as a service manager starts it. All processes that it has become are killed when this is dropped.
struct Service {
    binary: Binary,
    manager: UnixDatagram,
    _socket: tempfile::TempDir,
}

impl Service {
    fn start(configuration: &str) -> Self {
        let scratch = tempfile::tempdir().expect("a directory");
        let socket = scratch.path().join("notify");
        let manager = UnixDatagram::bind(&socket).expect("a socket");
        manager.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
        let binary = Binary::start_with(&[], configuration, |command| command.env("NOTIFY_SOCKET", &socket));
        Self { binary, manager, _socket: scratch }
    }

    /// The next message to the service manager.
    fn told(&self) -> String {
        let mut buffer = [0; 1_000];
        let length = self.manager.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// Waits until a process says that it serves; its id.
    fn ready(&self) -> u32 {
        let message = self.told();
        let pid = message.strip_prefix("READY=1\nMAINPID=").and_then(|rest| rest.trim().parse().ok());
        pid.unwrap_or_else(|| panic!("{message}"))
    }

    fn pids(&self) -> Vec<u32> {
        fs::read_to_string(self.binary.path("pid"))
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .into_iter()
            .collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for pid in self.pids() {
            signal(pid, "-KILL");
        }
    }
}

fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill")
        .args([name, &pid.to_string()])
        .stderr(Stdio::null())
        .status()
        .expect("kill runs");
}

fn configuration(origin: &Origin, listener: &str) -> String {
    format!(
        "listeners: [{listener}]\nadmin: {{address: '127.0.0.1:0'}}\nprocess: {{pid_file: pid, grace: 20s}}\n\
         reload: {{interval: 200ms}}\n\
         sites: [{{name: main, upstreams: '{}', rules: [{{text: 'SecRuleEngine On'}}]}}]\n",
        origin.url()
    )
}

/// Sends requests until `is_over`, on connections that are kept (`keep`) or made anew, and counts the answers. Panics
/// when one is lost: a connection that is refused, that breaks in the middle, or that ends without an answer although
/// nothing had said that the one before was the last.
fn load(address: SocketAddr, keep: bool, is_over: &AtomicBool, served: &AtomicUsize) {
    let mut kept: Option<BufReader<TcpStream>> = None;
    while !is_over.load(Ordering::Acquire) {
        let mut reader = kept.take().unwrap_or_else(|| {
            let stream = TcpStream::connect(address).expect("connected");
            stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
            BufReader::new(stream)
        });
        reader.get_mut().write_all(b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n").expect("sent");
        let (mut length, mut is_last, mut status) = (0, false, String::new());
        loop {
            let mut line = String::new();
            assert_ne!(
                reader.read_line(&mut line).expect("an answer"),
                0,
                "an answer is missing after {status:?}"
            );
            let line = line.trim_end().to_lowercase();
            if status.is_empty() {
                status.clone_from(&line);
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().expect("a length");
            }
            is_last |= line == "connection: close";
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a whole body");
        assert!(status.contains(" 200 ") && body.starts_with(b"0 "), "{status}");
        served.fetch_add(1, Ordering::AcqRel);
        kept = Some(reader).filter(|_| keep && !is_last);
    }
}

#[test]
fn a_successor_takes_over_under_load_and_no_request_is_lost() {
    let origin = Origin::echo();
    let mut service = Service::start(&configuration(&origin, "'127.0.0.1:0'"));
    let address = service.binary.address();
    assert_eq!(service.ready(), service.binary.id());
    let (is_over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|n| {
            let (is_over, served) = (Arc::clone(&is_over), Arc::clone(&served));
            std::thread::spawn(move || load(address, n % 2 == 0, &is_over, &served))
        })
        .collect();
    let more = |count: usize| {
        let before = served.load(Ordering::Acquire);
        eventually("an answer", || served.load(Ordering::Acquire) >= before + count);
    };
    more(50);
    let mut current = service.binary.id();
    for round in 0..3 {
        signal(current, "-USR2");
        let next = service.ready();
        assert_ne!(next, current, "another process");
        if round == 0 {
            assert!(service.binary.wait_for_end().success());
        } else {
            eventually("its end", || !is_alive(current));
        }
        more(50);
        assert_eq!(service.pids(), [next]);
        current = next;
    }
    // One that cannot start changes nothing.
    fs::write(service.binary.path("portcullis.yaml"), "nonsense: true\n").expect("written");
    signal(current, "-USR2");
    service.binary.says("the successor has ended; this process goes on");
    more(50);
    is_over.store(true, Ordering::Release);
    for client in clients {
        client.join().expect("no request was lost");
    }
    signal(current, "-TERM");
    assert_eq!(service.told(), "STOPPING=1\n");
    eventually("its end", || !is_alive(current));
    assert!(!service.binary.path("pid").exists() && TcpStream::connect(address).is_err());
}

/// Sends streams over HTTP/2, several at once, until `is_over`. What the server says it has not begun is sent again over
/// another connection (RFC 9113, section 6.8); anything else that goes wrong is a lost request.
async fn load_http2(address: SocketAddr, identity: &Identity, is_over: &AtomicBool, served: &AtomicUsize) {
    let mut client = http2::connect(address, identity).await;
    let mut number = 0;
    while !is_over.load(Ordering::Acquire) {
        number += 1;
        let mut left: Vec<Vec<u8>> =
            (0..4).map(|n| vec![b'a'; 1 + (number * 331 + n * 97) % 3_000]).collect();
        while !left.is_empty() {
            let streams = left.iter().map(|body| {
                let mut client = client.clone();
                async move {
                    // Nothing has been sent when a connection is not ready any more.
                    if client.clone().ready().await.is_err() {
                        return Ok(false);
                    }
                    let request = http::Request::post("https://a.test/a").body(()).expect("a request");
                    let response = http2::send(&mut client, request, body, 1_000).await?;
                    let expected = format!("{} {:016x}", body.len(), digest(body));
                    assert_eq!(
                        (response.status().as_u16(), &response.body()[..]),
                        (200, expected.as_bytes())
                    );
                    Ok::<bool, h2::Error>(true)
                }
            });
            let streams: Vec<_> = streams.collect();
            let done = futures::future::join_all(streams).await;
            let mut done = done.into_iter();
            left.retain(|_| match done.next().expect("one for each") {
                Ok(is_done) => {
                    served.fetch_add(usize::from(is_done), Ordering::AcqRel);
                    !is_done
                }
                Err(error) => {
                    let reason = error.reason();
                    let is_untouched = error.is_go_away() && reason == Some(h2::Reason::NO_ERROR)
                        || reason == Some(h2::Reason::REFUSED_STREAM);
                    assert!(is_untouched, "a request is lost: {error:?}");
                    true
                }
            });
            if !left.is_empty() {
                client = http2::connect(address, identity).await;
            }
        }
    }
}

#[test]
fn a_successor_takes_over_streams_of_http2_under_load() {
    let origin = Origin::echo();
    let identity = Arc::new(Identity::new(&["a.test"]));
    let file = |name: &str| identity.files.path().join(name).display().to_string();
    let listener = format!(
        "{{address: '127.0.0.1:0', tls: {{certificate: {}, key: {}}}}}",
        file("cert.pem"),
        file("key.pem")
    );
    let service = Service::start(&configuration(&origin, &listener));
    let address = service.binary.address();
    let mut current = service.ready();
    let (is_over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (identity, is_over, served) =
                (Arc::clone(&identity), Arc::clone(&is_over), Arc::clone(&served));
            runtime.spawn(async move { load_http2(address, &identity, &is_over, &served).await })
        })
        .collect();
    let more = |count: usize| {
        let (before, until) = (served.load(Ordering::Acquire), Instant::now() + Duration::from_secs(30));
        while served.load(Ordering::Acquire) < before + count {
            assert!(Instant::now() < until && clients.iter().all(|c| !c.is_finished()), "nobody is served");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    more(100);
    for _ in 0..3 {
        signal(current, "-USR2");
        let next = service.ready();
        assert_ne!(next, current, "another process");
        more(100);
        current = next;
    }
    is_over.store(true, Ordering::Release);
    for client in clients {
        runtime.block_on(client).expect("no request was lost");
    }
    signal(current, "-TERM");
}

/// Whether a process runs; one that has ended and that nobody waits for does not.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn who_interrupts_twice_does_not_wait() {
    let origin = Origin::start(|_, stream| {
        std::thread::sleep(Duration::from_secs(60));
        respond(stream, "200 OK", &[], b"late")
    });
    let text = format!(
        "listeners: ['127.0.0.1:0']\nadmin: {{address: '127.0.0.1:0', token: {TOKEN}}}\n\
         process: {{grace: 60s}}\nsites: [{{name: main, upstreams: ['{}']}}]\n",
        origin.url()
    );
    let mut binary = Binary::start(&[], &text);
    let mut client = TcpStream::connect(binary.address()).expect("connected");
    client.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").expect("sent");
    binary.wait("the request", |_| origin.heads() > 0);
    let began = Instant::now();
    binary.signal("-INT");
    binary.says("requests under way may finish");
    std::thread::sleep(Duration::from_millis(500));
    assert!(is_alive(binary.id()), "the first one lets what is under way finish");
    binary.signal("-INT");
    assert_eq!(binary.wait_for_end().code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn renewed_certificates_are_served_without_a_restart() {
    if !has("openssl") {
        return;
    }
    let origin = Origin::echo();
    let authority = Authority::new();
    let (certificate, key) = authority.sign("a.test");
    let (other, other_key) = authority.sign("b.test");
    let tls = format!(
        "{{address: '127.0.0.1:0', tls: [{{certificate: {}, key: {}}}, {{certificate: {}, key: {}}}]}}",
        certificate.display(),
        key.display(),
        other.display(),
        other_key.display(),
    );
    let service = Service::start(&configuration(&origin, &tls));
    let address = service.binary.address();
    let serial = |name: &str| {
        let connected = Command::new("openssl")
            .args([
                "s_client",
                "-connect",
                &address.to_string(),
                "-servername",
                name,
                "-verify_return_error",
                "-CAfile",
            ])
            .arg(authority.path("ca.pem"))
            .stdin(Stdio::null())
            .output()
            .expect("openssl runs");
        let mut shown = Command::new("openssl")
            .args(["x509", "-noout", "-serial", "-subject"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("openssl runs");
        shown.stdin.take().expect("piped").write_all(&connected.stdout).expect("written");
        let text = String::from_utf8(shown.wait_with_output().expect("ends").stdout).expect("text");
        assert!(text.contains(name), "{text}");
        text
    };
    let (first, second) = (serial("a.test"), serial("b.test"));
    assert_eq!(serial("a.test"), first);
    authority.sign("b.test");
    eventually("the new certificate", || serial("b.test") != second);
    assert_eq!(serial("a.test"), first);
}

#[test]
fn connections_beyond_the_bound_are_turned_away_and_counted() {
    let origin = Origin::echo();
    let service = Service::start(&configuration(&origin, "{address: '127.0.0.1:0', max_connections: 2}"));
    let address = service.binary.address();
    let connect = || {
        let stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        stream
    };
    let ask = |stream: &mut TcpStream| {
        let mut line = [0; 12];
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        stream.read_exact(&mut line).is_ok() && &line == b"HTTP/1.1 200"
    };
    let (mut a, mut b, mut c) = (connect(), connect(), connect());
    assert!(ask(&mut a) && ask(&mut b) && !ask(&mut c));
    let text = service.binary.ask("/metrics");
    assert!(text.contains("portcullis_failed_connections_total{reason=\"listener_full\"} 1"), "{text}");
    assert!(text.contains("portcullis_client_connections{listener=\"127.0.0.1:0\"} 2"), "{text}");
    let upstream = format!("site=\"main\",upstream=\"{}\"", origin.url());
    assert!(text.contains(&format!("portcullis_upstream_up{{{upstream}}} 1")), "{text}");
    assert!(text.contains(&format!("portcullis_upstream_requests_total{{{upstream}}} 2")), "{text}");
    drop(a);
    eventually("a free place", || ask(&mut connect()));
}

#[test]
fn a_limit_of_file_sizes_is_like_a_full_disk() {
    let origin = Origin::echo();
    let text = format!(
        "listeners: ['127.0.0.1:0']\nadmin: {{address: '127.0.0.1:0', token: {TOKEN}}}\nreload: {{watch: false}}\n\
         audit: {{log: audit.log, rotate_size: 0}}\n\
         sites: [{{name: main, upstreams: '{}', rules: [{{text: \"SecRuleEngine On\\nSecAuditEngine On\\n\"}}]}}]\n",
        origin.url()
    );
    let mut binary = Binary::start_with(&[], &text, |command| {
        let mut limited = Command::new("bash");
        limited.args(["-c", "ulimit -f 8; exec \"$0\" \"$@\""]).arg(command.get_program());
        limited.args(command.get_args());
        *command = limited;
        command
    });
    for _ in 0..60 {
        let response = support::client::exchange(binary.address(), support::client::get("/a"));
        assert_eq!(response.status, 200);
    }
    let retries = "portcullis_audit_retries_total{sink=\"log\"}";
    binary.wait("a failed write", |binary| binary.metric(retries) > 0.5);
    binary.says("audit records cannot be delivered");
    assert!(fs::metadata(binary.path("audit.log")).expect("a log").len() <= 8_192);
    let response = support::client::exchange(binary.address(), support::client::get("/a"));
    assert_eq!(response.status, 200, "and all goes on");
}

/// What `docs/operations.md` says of memory, computed from the defaults, is what it says, and the unit grants it.
#[test]
fn the_unit_grants_the_memory_that_the_defaults_may_take() {
    use portcullis::config::{Overrides, check};
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = "listeners: ['127.0.0.1:0']\nsites: [{name: s, upstreams: ['http://127.0.0.1:1']}]";
    let loaded = check("t.yaml", text, Path::new("/"), &Overrides::default());
    let config = loaded.config.expect("sound");
    let mib = |bytes: u64| bytes >> 20;
    let connections = mib(config.listeners[0].max_connections.get() as u64 * (128 << 10));
    let store = mib(config.store.bytes as u64) + mib(config.store.limit_keys as u64 * 16);
    let (rules, admin) = (2 * 70, 8);
    let sum = connections
        + mib(config.client.held_bytes)
        + mib(config.client.unsent_bytes)
        + store
        + mib(config.audit.queue_bytes as u64)
        + rules
        + admin;
    let engine = fs::read_to_string(root.join("rulesets/core/10-engine.conf")).expect("readable");
    let limit = engine.lines().find_map(|line| line.strip_prefix("SecRequestBodyLimit ")).expect("a limit");
    let for_each_processor = mib(2 * 16 * limit.trim().parse::<u64>().expect("bytes"));

    let unit = fs::read_to_string(root.join("config/systemd/portcullis.service")).expect("the unit");
    let granted = unit.lines().find_map(|line| line.strip_prefix("MemoryMax=")).expect("a limit");
    let granted: u64 = granted.strip_suffix('G').expect("in GiB").parse::<u64>().expect("a number") << 10;
    let processors = (granted - sum) / for_each_processor;
    let operations = fs::read_to_string(root.join("docs/operations.md")).expect("readable");
    let operations = operations.split_whitespace().collect::<Vec<_>>().join(" ");
    let thousands =
        |n: u64| if n < 1_000 { n.to_string() } else { format!("{},{:03}", n / 1_000, n % 1_000) };
    let said = format!(
        "With the defaults that is {} MiB, and {for_each_processor} MiB more for each processor; `MemoryMax={}G` of the \
         unit is enough for {processors} processors.",
        thousands(sum),
        granted >> 10,
    );
    assert!(operations.contains(&said), "docs/operations.md does not say: {said}");
    assert!(processors >= 8, "{processors}");
}

#[test]
fn the_unit_is_one_that_systemd_accepts() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/systemd");
    let unit = fs::read_to_string(directory.join("portcullis.service")).expect("the unit");
    for setting in [
        "Type=notify",
        "NotifyAccess=all",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "User=portcullis",
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        "PrivateDevices=yes",
        "ProtectHome=yes",
    ] {
        assert!(unit.lines().any(|line| line == setting), "{setting}");
    }
    if !has("systemd-analyze") {
        return;
    }
    // What the unit starts is not installed here.
    let scratch = tempfile::tempdir().expect("a directory");
    let path = scratch.path().join("portcullis.service");
    fs::write(&path, unit.replace("/usr/bin/portcullis", env!("CARGO_BIN_EXE_portcullis"))).expect("written");
    let verify =
        Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().expect("runs");
    let said = String::from_utf8_lossy(&verify.stderr).into_owned();
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("portcullis")).collect();
    assert!(verify.status.success() && ours.is_empty(), "{said}");
    let security = Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--no-pager", "--threshold=20"])
        .arg(&path)
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&security.stdout).into_owned();
    assert!(security.status.success(), "exposed to more than 2.0:\n{said}");
}
