//! How long requests wait while CRS is loaded anew each second: the real binary, a request a millisecond on one kept
//! connection, timed from when it was due, so that what a stall holds up counts as well. With and without reloads in
//! turn.
//!
//! `cargo bench --bench reload [seconds]`, on a machine that does nothing else. Two cores serve and load, and this program
//! runs on them as well.

#![allow(clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod proxy;
mod support;

use proxy::origin::{Origin, nobody, respond};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::told::result;

/// What 99.9 of 100 requests may wait longer during reloads, in microseconds.
const STALL_US: f64 = 5_000.0;
/// Between two requests.
const PACE: Duration = Duration::from_millis(1);

fn main() {
    if !support::is_there() {
        return;
    }
    let seconds = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(20_u32);
    let directory = tempfile::tempdir().expect("a directory");
    let origin = Origin::start(|_, stream| respond(stream, "200 OK", &[], b"fine"));
    let (address, admin) = (nobody(), nobody());
    let config = directory.path().join("portcullis.yaml");
    write(&config, address, admin, &origin.url(), 0);
    let mut server = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["run", "-c"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut stream = connect(address);
    let _ = times(&mut stream, Duration::from_secs(2), || ());
    let quiet = times(&mut stream, Duration::from_secs(seconds.into()), || ());
    let (mut loads, mut next) = (0, Instant::now());
    let busy = times(&mut stream, Duration::from_secs(seconds.into()), || {
        if Instant::now() >= next {
            next += Duration::from_secs(1);
            loads += 1;
            write(&config, address, admin, &origin.url(), loads);
            hang_up(&server);
        }
    });
    let generation = generation(admin);
    let _ = (server.kill(), server.wait());
    assert!(generation > u64::from(seconds) / 2, "only generation {generation} was reached");
    for (name, times) in [("without reloads", &quiet), ("a reload each second", &busy)] {
        println!(
            "{name:<21} {} requests: median {:.0} µs, p99 {:.0} µs, p99.9 {:.0} µs, longest {:.0} µs",
            times.len(),
            at(times, 0.5),
            at(times, 0.99),
            at(times, 0.999),
            at(times, 1.0)
        );
    }
    println!("{loads} reloads asked for, generation {generation} at the end");
    result("reload.stall", at(&busy, 0.999) - at(&quiet, 0.999), "us", STALL_US, "longer at p99.9");
}

/// A configuration that differs with `number`, so that CRS is compiled each time.
fn write(path: &Path, address: SocketAddr, admin: SocketAddr, upstream: &str, number: u32) {
    let crs = support::crs();
    let text = format!(
        "listeners: [{address}]\nadmin: {{address: {admin}}}\nsites:\n  - name: crs\n    upstreams: [{upstream}]\n    \
         rules:\n      - '{0}/crs-setup.conf.example'\n      - '{0}/rules/*.conf'\n    directives: |\n      \
         SecRuleEngine On\n      SecRequestBodyAccess On\n      SecAction \"id:1,phase:1,pass,nolog,msg:'{number}'\"\n",
        crs.display()
    );
    std::fs::write(path, text).expect("written");
}

fn hang_up(server: &Child) {
    let done = Command::new("kill").args(["-HUP", &server.id().to_string()]).status();
    assert!(done.is_ok_and(|status| status.success()), "the server is gone");
}

/// The generation that serves, as the admin listener tells it.
fn generation(admin: SocketAddr) -> u64 {
    let mut stream = TcpStream::connect(admin).expect("connected");
    let request = format!("GET /api/generation HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    let told: serde_json::Value = serde_json::from_str(body).expect("JSON");
    told["generation"].as_u64().or_else(|| told["number"].as_u64()).unwrap_or_default()
}

fn connect(address: SocketAddr) -> TcpStream {
    let began = Instant::now();
    loop {
        if let Ok(stream) = TcpStream::connect(address) {
            stream.set_nodelay(true).expect("set");
            return stream;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "the binary does not serve");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Microseconds of each request, sorted.
fn times(stream: &mut TcpStream, long: Duration, mut between: impl FnMut()) -> Vec<f64> {
    let request = "GET /files/report?id=17&q=words+of+a+search HTTP/1.1\r\nHost: shop.example\r\n\
                   User-Agent: Mozilla/5.0\r\nAccept: */*\r\nCookie: session=0123456789abcdef\r\n\r\n";
    let (began, mut all, mut buffer) = (Instant::now(), Vec::new(), vec![0; 4096]);
    let mut due = began;
    while began.elapsed() < long {
        due += PACE;
        between();
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(request.as_bytes()).expect("sent");
        let mut length = 0;
        while !buffer[..length].ends_with(b"\r\n\r\nfine") {
            let read = stream.read(&mut buffer[length..]).expect("an answer");
            assert!(read > 0, "the answer is cut: {}", buffer[..length].escape_ascii());
            length += read;
        }
        all.push(due.elapsed().as_secs_f64() * 1e6);
    }
    all.sort_by(f64::total_cmp);
    all
}

fn at(times: &[f64], share: f64) -> f64 {
    let index = (times.len() as f64 * share) as usize;
    times[index.min(times.len() - 1)]
}
