//! Unix sockets, towards clients and applications, and sockets that systemd has bound.

#![cfg(all(feature = "server", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a test's broken assumption is its failure")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::binary::{Binary, TOKEN};
use support::command::program;
use support::origin::{Origin, nobody};
use support::wait::eventually;

/// Sends a request for `target` and reads to the end: status and body.
fn ask(mut stream: impl Read + Write, target: &str, fields: &str) -> (u16, String) {
    let head = format!("GET {target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0), body.to_owned())
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// An application on a Unix socket that says which host it was asked for, and for whom.
fn application(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                loop {
                    let (mut host, mut from) = (String::new(), String::new());
                    loop {
                        let mut line = String::new();
                        if reader.read_line(&mut line).unwrap_or(0) == 0 {
                            return;
                        }
                        let line = line.trim_end();
                        if let Some((name, value)) = line.split_once(": ") {
                            match name.to_ascii_lowercase().as_str() {
                                "host" => value.clone_into(&mut host),
                                "x-forwarded-for" => value.clone_into(&mut from),
                                _ => {}
                            }
                        }
                        if line.is_empty() {
                            break;
                        }
                    }
                    let body = format!("{host} {from}");
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                    if stream.write_all((head + &body).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

fn configuration(listeners: &str, upstream: &str) -> String {
    format!(
        "listeners: [{listeners}]\nadmin: {{address: '127.0.0.1:0', token: {TOKEN}}}\nreload: {{watch: false}}\n\
         trusted_proxies: [127.0.0.1]\nprocess: {{pid_file: pid}}\n\
         sites: [{{name: main, upstreams: ['{upstream}'], rules: [rules.conf]}}]\n"
    )
}

const RULES: &str =
    "SecRuleEngine On\nSecRule ARGS:q \"@contains attack\" \"id:1,phase:1,deny,status:403\"\n";

#[test]
fn both_sides_may_be_unix_sockets() {
    let scratch = tempfile::tempdir().unwrap();
    let application_path = scratch.path().join("app.sock");
    application(&application_path);
    let text = configuration(
        "{address: 'unix:http.sock', mode: '0600'}, '127.0.0.1:0'",
        &format!("unix:{}", application_path.display()),
    );
    let mut binary = Binary::start(&[("rules.conf", RULES)], &text);
    let path = binary.path("http.sock");
    assert_eq!(binary.listening[0], format!("unix:{}", path.display()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // Who comes by the socket counts as 127.0.0.1, which is trusted here.
    assert_eq!(ask(connect(&path), "/", ""), (200, "a.test 127.0.0.1".to_owned()));
    let fields = "X-Forwarded-For: 192.0.2.7\r\n";
    assert_eq!(ask(connect(&path), "/", fields), (200, "a.test 192.0.2.7, 127.0.0.1".to_owned()));
    assert_eq!(ask(connect(&path), "/?q=attack", "").0, 403);
    let other: SocketAddr = binary.listening[1].parse().unwrap();
    assert_eq!(ask(TcpStream::connect(other).unwrap(), "/", "").0, 200);
    let series = format!("portcullis_client_connections{{listener=\"unix:{}\"}}", path.display());
    let held = connect(&path);
    binary.wait("a connection", |binary| binary.metric(&series) > 0.5);
    drop(held);

    // Its place is taken: by nobody else at a time, by a successor, and by the next one after it was killed.
    let run = ["run", "-c", "portcullis.yaml"];
    let second = program(binary.directory.path(), &run).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("http.sock") && said.contains("in use"), "{said}");
    assert_eq!(ask(connect(&path), "/", "").0, 200);
    binary.signal("-USR2");
    binary.says("listening on unix:");
    binary.says("ending: no new connections");
    for _ in 0..5 {
        assert_eq!(ask(connect(&path), "/", "").0, 200);
    }
    let successor = fs::read_to_string(binary.path("pid")).unwrap();
    assert_ne!(successor.trim(), binary.id().to_string());
    assert!(Command::new("kill").args(["-KILL", successor.trim()]).status().unwrap().success());
    eventually("its end", || UnixStream::connect(&path).is_err());
    assert!(path.exists(), "what is left behind");
    let mut next = program(binary.directory.path(), &run).stderr(Stdio::null()).spawn().unwrap();
    eventually("its start", || UnixStream::connect(&path).is_ok());
    let answer = ask(connect(&path), "/", "");
    let _ = (next.kill(), next.wait());
    assert_eq!(answer.0, 200);
}

#[test]
fn an_application_whose_socket_is_missing_is_502() {
    let text = configuration("'127.0.0.1:0'", "unix:/nonexistent/app.sock");
    let binary = Binary::start(&[("rules.conf", RULES)], &text);
    assert_eq!(ask(TcpStream::connect(binary.address()).unwrap(), "/", "").0, 502);
    let series = "portcullis_upstream_errors_total{cause=\"upstream_refused\",site=\"main\"}";
    binary.wait("a count", |binary| binary.metric(series) > 0.5);
}

#[test]
fn a_socket_that_cannot_be_made_is_an_error_at_start() {
    for (listener, wanted) in [
        ("{address: 'unix:/nonexistent/http.sock'}", "/nonexistent/http.sock"),
        ("{address: 'unix:rules.conf'}", "a file that is no socket"),
        ("{address: 'unix:a.sock', group: no-such-group-here}", "no group `no-such-group-here`"),
        ("{address: 'unix:a.sock', mode: 'rw'}", "octal digits"),
        ("{address: '127.0.0.1:0', mode: '0600'}", "for a Unix socket only"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("rules.conf"), RULES).unwrap();
        let path = directory.path().join("portcullis.yaml");
        fs::write(&path, configuration(listener, "http://127.0.0.1:9")).unwrap();
        let ended = program(directory.path(), &["run", "-c", "portcullis.yaml"]).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && said.contains(wanted), "{listener}: {said}");
        let left = fs::read_dir(directory.path()).unwrap().flatten().map(|entry| entry.file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains(".sock")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn sockets_of_systemd_are_taken_over() {
    if Command::new("systemd-socket-activate").arg("--version").stdout(Stdio::null()).status().is_err() {
        let is_required = std::env::var_os("PORTCULLIS_REQUIRE_CRS").is_some();
        assert!(!is_required, "there is no systemd-socket-activate");
        let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: there is no systemd-socket-activate ***\n");
        return;
    }
    let origin = Origin::fixed("200 OK", &[], b"fine".to_vec());
    let directory = tempfile::tempdir().unwrap();
    let address = nobody();
    let path = directory.path().join("http.sock");
    fs::write(directory.path().join("rules.conf"), RULES).unwrap();
    let text = configuration(&format!("'{address}', 'unix:{}'", path.display()), &origin.url());
    let config = directory.path().join("portcullis.yaml");
    fs::write(&config, text).unwrap();
    let log = directory.path().join("log");
    let mut activator = Command::new("systemd-socket-activate")
        .args(["-l", &address.to_string(), "-l"])
        .arg(&path)
        .arg(env!("CARGO_BIN_EXE_portcullis"))
        .args(["run", "-c"])
        .arg(&config)
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut first = None;
    eventually("systemd-socket-activate", || {
        first = TcpStream::connect(address).ok();
        first.is_some()
    });
    // The first connection starts it, and waits.
    let answers = [
        ask(first.unwrap(), "/", ""),
        ask(TcpStream::connect(address).unwrap(), "/?q=attack", ""),
        ask(connect(&path), "/", ""),
    ];
    // It has become Portcullis, by its own id.
    let status = Command::new("kill").args(["-TERM", &activator.id().to_string()]).status().unwrap();
    let ended = activator.wait().unwrap();
    let said = fs::read_to_string(&log).unwrap();
    assert_eq!(answers.map(|(status, _)| status), [200, 403, 200], "{said}");
    assert!(status.success() && ended.success(), "{said}");
    assert!(!said.contains("it is closed"), "{said}");
}
