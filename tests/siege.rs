//! Hostile clients against the program itself: each costly body has an answer and a counter, and all attacks together stay
//! within the memory that `docs/operations.md` states, while an ordinary client is served.

#![cfg(all(feature = "server", target_os = "linux"))]
#![allow(clippy::print_stderr, reason = "says what was measured")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use support::client::{Client, Response, get};
use support::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, Raw, SETTINGS, frame, request,
};
use support::http2::Identity;
use support::origin::{Origin, digest, respond};

/// `portcullis run` with a listener in cleartext and one over TLS.
struct Fortress {
    process: Child,
    plain: SocketAddr,
    tls: SocketAddr,
    admin: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Fortress {
    fn start(origin: &Origin, identity: &Identity, client: &str, site: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("portcullis.yaml");
        let files = identity.files.path().display();
        let text = format!(
            "listeners:\n- {{address: '127.0.0.1:0', max_connections: 1000, max_connections_per_client: 500}}\n\
             - address: '127.0.0.2:0'\n  tls: [{{certificate: {files}/cert.pem, key: {files}/key.pem}}]\n\
             admin: '127.0.0.1:0'\n{client}\nsites:\n- name: main\n  upstreams: ['{}']\n{site}\n",
            origin.url()
        );
        fs::write(&path, text).expect("written");
        let mut process = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["run", "-c"])
            .arg(&path)
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let lines = BufReader::new(process.stderr.take().expect("piped")).lines();
        let (tell, said) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        let mut addresses = Vec::new();
        let admin = loop {
            let line = next(&said);
            if let Some((_, address)) = line.split_once("listening on ") {
                addresses.push(address.trim().parse().expect("an address"));
            }
            if let Some((_, address)) = line.split_once("admin on http://") {
                break address.trim().parse().expect("an address");
            }
        };
        while addresses.len() < 2 {
            if let Some((_, address)) = next(&said).split_once("listening on ") {
                addresses.push(address.trim().parse().expect("an address"));
            }
        }
        let is_plain = |address: &&SocketAddr| address.ip() == Ipv4Addr::LOCALHOST;
        let plain = *addresses.iter().find(is_plain).expect("in cleartext");
        let tls = *addresses.iter().find(|a| !is_plain(a)).expect("over TLS");
        Self { process, plain, tls, admin, _directory: directory }
    }

    /// The sum of the series of `metric` in which all of `labels` stand.
    fn count(&self, metric: &str, labels: &[&str]) -> u64 {
        let mut stream = TcpStream::connect(self.admin).expect("connected");
        let head = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin);
        stream.write_all(head.as_bytes()).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("answered");
        let of =
            text.lines().filter(|line| line.starts_with(metric) && labels.iter().all(|l| line.contains(l)));
        of.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
    }

    /// A field of `/proc/…/status` in bytes.
    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field");
        let kib = line.trim_start_matches(':').trim().trim_end_matches(" kB");
        kib.parse::<u64>().expect("a number") * 1_024
    }
}

impl Drop for Fortress {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn next(said: &Receiver<String>) -> String {
    said.recv_timeout(Duration::from_secs(60)).expect("it says where it listens")
}

/// A POST request with a body of this type, and more header lines.
fn post(kind: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /form HTTP/1.1\r\nHost: a.test\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nContent-Type: {kind}\r\n\
         {more}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(bytes).expect("compressed");
    gzip.finish().expect("compressed")
}

fn parts(count: usize) -> Vec<u8> {
    let mut body = b"--0\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n".repeat(count);
    body.extend_from_slice(b"--0--\r\n");
    body
}

/// Names of arguments that are one to hash functions of old: each pair of letters may be the other.
fn colliding(count: usize) -> Vec<u8> {
    let mut body = String::new();
    for n in 0..count {
        for bit in 0..17 {
            body.push_str(if n >> bit & 1 == 0 { "Ez" } else { "FY" });
        }
        body.push_str("=1&");
    }
    body.into_bytes()
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn costly_bodies_have_an_answer_and_a_counter() {
    let (origin, identity) = (Origin::echo(), Identity::new(&["a.test"]));
    let directives =
        "  directives: |\n    SecRequestBodyLimit 100000000\n    SecRequestBodyNoFilesLimit 100000000\n";
    let many_arguments = "    SecArgumentsLimit 100000\n";
    let fortress = Fortress::start(&origin, &identity, "", directives);
    let event = |name: &str| fortress.count("portcullis_events_total", &[&format!("event=\"{name}\"")]);
    let send = |request: &[u8]| -> (Response, Duration) {
        let mut client = Client::connect(fortress.plain);
        client.patience(Duration::from_secs(100));
        let began = Instant::now();
        let response = client.send(request).read().expect("a response");
        (response, began.elapsed())
    };
    let multipart = "multipart/form-data; boundary=0";
    let deep = 100_000;
    let bomb = post(FORM, "Content-Encoding: gzip\r\n", &gzip(&vec![b'a'; 50_000_000]));
    let json = post("application/json", "", &["[".repeat(deep), "]".repeat(deep)].concat().into_bytes());
    let xml = post("text/xml", "", &["<a>".repeat(deep), "</a>".repeat(deep)].concat().into_bytes());
    let wide = (0..1_100_000).fold("<a>".to_owned(), |mut text, _| {
        text.push_str("<b/>");
        text
    });
    let many = (0..200_000).fold(String::new(), |mut text, n| {
        let _ = write!(text, "a{n}=1&");
        text
    });
    let cases = [
        ("a compression bomb", bomb, 413, "content_coding"),
        ("10^6 parts", post(multipart, "", &parts(1_000_010)), 400, "request_body_error"),
        ("deep JSON", json, 400, "request_body_error"),
        ("deep XML", xml, 400, "request_body_error"),
        ("10^6 nodes", post("text/xml", "", &[wide.as_bytes(), b"</a>"].concat()), 400, "request_body_error"),
        ("arguments", post(FORM, "", many.as_bytes()), 200, "arguments_limit"),
    ];
    for (name, request, status, counter) in cases {
        let before = event(counter);
        let (response, time) = send(&request);
        eprintln!("{name}: {} in {time:?}, {} MB at most", response.status, fortress.memory("VmHWM") >> 20);
        assert_eq!(response.status, status, "{name}");
        assert!(time < Duration::from_secs(60), "{name} took {time:?}");
        // It is counted when the transaction ends, which is after the answer.
        let is_counted = || event(counter) > before;
        let counted = (0..200).any(|_| {
            is_counted() || {
                std::thread::sleep(Duration::from_millis(50));
                false
            }
        });
        assert!(counted, "{name} is not counted");
    }
    // Names that collide cost what other names cost, where all of them are looked at.
    drop(fortress);
    let fortress = Fortress::start(&origin, &identity, "", &format!("{directives}{many_arguments}"));
    let send = |request: &[u8]| {
        let mut client = Client::connect(fortress.plain);
        client.patience(Duration::from_secs(100));
        let began = Instant::now();
        (client.send(request).read().expect("a response"), began.elapsed())
    };
    let names = post(FORM, "", &colliding(50_000));
    let usual: String = (0..50_000).fold(String::new(), |mut text, n| {
        let _ = write!(text, "{n:034}=1&");
        text
    });
    let usual = post(FORM, "", usual.as_bytes());
    let least = |request: &[u8]| {
        let timed = |_| {
            let (response, time) = send(request);
            assert_eq!(response.status, 200, "it is an ordinary request");
            time
        };
        (0..3).map(timed).min().expect("three")
    };
    let (usual, colliding) = (least(&usual), least(&names));
    eprintln!("50,000 arguments: {usual:?}; with names that collide {colliding:?}");
    assert!(colliding < usual * 4 + Duration::from_secs(1), "{colliding:?} against {usual:?}");
    let cut = fortress.count("portcullis_events_total", &["event=\"arguments_limit\""]);
    assert_eq!(cut, 0, "all of them were looked at");
    assert_eq!(send(get("/").as_bytes()).0.status, 200);
}

/// The bodies held for inspection, in MiB; requests are at most of 4 MiB.
const HELD: u64 = 64;
const BODY: u64 = 4;

/// What `docs/operations.md` says: the process at rest, the allowance for bodies, what each thread may be making of one
/// body, and what each connection has of buffers.
fn bound(at_rest: u64, connections: u64) -> u64 {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get) as u64;
    let steps = 2 * processors * 16 * (BODY << 20);
    at_rest + (HELD << 20) + steps + connections * (128 << 10)
}

#[test]
fn memory_stays_bounded_under_all_attacks_together_and_ordinary_clients_are_served() {
    let big = vec![b'x'; 8_000_000];
    let origin = Origin::start(move |request, stream| {
        if request.line.contains("/big") {
            return respond(stream, "200 OK", &[], &big);
        }
        let text = format!("{} {:016x}", request.body.len(), digest(&request.body));
        respond(stream, "200 OK", &[("Content-Type", "text/plain")], text.as_bytes())
    });
    let identity = Identity::new(&["a.test"]);
    let client = format!(
        "client: {{head_timeout: 2s, keep_alive: 2s, held_bytes: {HELD}MiB, write_timeout: 2s, min_rate: 100000}}"
    );
    let site = format!(
        "  timeouts: {{body_read: 2s, body_total: 5s}}\n  overload: {{wait: 2s, queue: 64}}\n  \
         directives: |\n    SecRequestBodyLimit {}\n    SecRequestBodyNoFilesLimit {}\n",
        BODY << 20,
        BODY << 20
    );
    let fortress = Fortress::start(&origin, &identity, &client, &site);
    for _ in 0..200 {
        assert_eq!(support::client::exchange(fortress.plain, browser()).status, 200);
    }
    let at_rest = fortress.memory("VmRSS");

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let is_over = Arc::new(AtomicBool::new(false));
    let attempts = Arc::new(AtomicUsize::new(0));
    let identity = Arc::new(identity);
    let end = Instant::now() + SIEGE;
    // Each goes on until the end, on a connection after the other.
    let attack = |attempt: fn(SocketAddr, usize), first: usize| {
        let (is_over, attempts, address) = (Arc::clone(&is_over), Arc::clone(&attempts), fortress.plain);
        std::thread::spawn(move || {
            let mut n = first;
            while !is_over.load(Ordering::Acquire) {
                attempt(address, n);
                attempts.fetch_add(1, Ordering::AcqRel);
                n += 1;
            }
        })
    };
    let mut threads = Vec::new();
    for (count, attempt) in [
        (60, slow_head as fn(SocketAddr, usize)),
        (30, slow_body),
        (30, slow_reader),
        (2, crowd),
        (6, costly_body),
        (10, large_body),
    ] {
        threads.extend((0..count).map(|first| attack(attempt, first)));
    }
    let frames: Vec<_> = (0..8)
        .map(|n| {
            let (is_over, identity, address) = (Arc::clone(&is_over), Arc::clone(&identity), fortress.tls);
            let attempts = Arc::clone(&attempts);
            runtime.spawn(async move {
                while !is_over.load(Ordering::Acquire) {
                    abuse(address, &identity, n).await;
                    attempts.fetch_add(1, Ordering::AcqRel);
                }
            })
        })
        .collect();

    // Somebody else, from another address.
    let (mut served, mut shed, mut times) = (0, 0, Vec::new());
    while Instant::now() < end {
        let began = Instant::now();
        match runtime.block_on(ordinary(fortress.plain)) {
            200 => served += 1,
            503 => shed += 1,
            other => panic!("an ordinary client is answered {other}"),
        }
        times.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    is_over.store(true, Ordering::Release);
    times.sort();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    let (peak, limit) = (fortress.memory("VmHWM"), bound(at_rest, 500 + 8));
    eprintln!(
        "{} attempts; served {served}, shed {shed}, median {median:?}, slowest {slowest:?}; {} MB at rest, {} MB at \
         most, {} MB allowed",
        attempts.load(Ordering::Acquire),
        at_rest >> 20,
        peak >> 20,
        limit >> 20,
    );
    assert!(peak < limit, "{peak} bytes at most, {limit} allowed");
    assert!(served > 0 && served >= 4 * shed, "{served} served, {shed} shed");
    assert!(median < Duration::from_secs(2) && slowest < Duration::from_secs(10), "{median:?}, {slowest:?}");
    runtime.block_on(async {
        for task in frames {
            task.await.expect("an attacker");
        }
    });
    threads.into_iter().for_each(|thread| thread.join().expect("an attacker"));

    // Each attack has met its limit, and is counted.
    let failed = |reason: &str| fortress.count("portcullis_failed_connections_total", &[reason]);
    let refused = |reason: &str| fortress.count("portcullis_malformed_requests_total", &[reason]);
    for reason in ["client_full", "http2_ping_flood", "http2_settings_flood", "http2_too_much"] {
        assert!(failed(reason) > 0, "{reason}");
    }
    for reason in ["head_timeout", "body_timeout", "response_timeout"] {
        assert!(refused(reason) > 0, "{reason}");
    }
    assert!(fortress.count("portcullis_events_total", &["content_coding"]) > 0);
    assert!(fortress.count("portcullis_events_total", &["request_body_error"]) > 0);
    let ended = Instant::now();
    while fortress.count("portcullis_client_connections", &[]) > 0 {
        assert!(ended.elapsed() < Duration::from_secs(30), "connections are left");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(support::client::exchange(fortress.plain, browser()).status, 200);
}

const SIEGE: Duration = Duration::from_secs(8);

fn browser() -> String {
    "GET /page?id=17&sort=name HTTP/1.1\r\nHost: a.test\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
     Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\nCookie: session=0123456789abcdef\r\n\
     Connection: close\r\n\r\n"
        .to_owned()
}

/// A request from an address that no attacker has; its status.
async fn ordinary(address: SocketAddr) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::new(127, 0, 0, 9), 0).into()).expect("bound");
    let mut stream = socket.connect(address).await.expect("connected");
    stream.write_all(browser().as_bytes()).await.expect("sent");
    let mut line = [0; 12];
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_exact(&mut line)).await;
    read.expect("an answer in time").expect("an answer");
    std::str::from_utf8(&line[9..]).ok().and_then(|text| text.parse().ok()).expect("a status")
}

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.set_write_timeout(Some(Duration::from_secs(5))).ok()?;
    Some(stream)
}

/// Sends a head, and then `piece` again and again until that fails.
fn trickle(address: SocketAddr, head: &[u8], piece: &[u8]) {
    let Some(mut stream) = connect(address) else { return };
    let _ = stream.write_all(head);
    for _ in 0..40 {
        if stream.write_all(piece).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn slow_head(address: SocketAddr, _: usize) {
    trickle(address, b"GET / HTTP/1.1\r\nHost: a.test\r\n", b"X-A: b\r\n");
}

fn slow_body(address: SocketAddr, n: usize) {
    let head = post(FORM, "", &vec![b'a'; 100_000]);
    // All but its end, or its beginning only.
    let sent = if n.is_multiple_of(2) { head.len() - 50_000 } else { head.len() - 99_999 };
    if n.is_multiple_of(3) {
        let Some(mut stream) = connect(address) else { return };
        let _ = stream.write_all(&head[..sent]);
        let _ = stream.read(&mut [0; 100]);
    } else {
        trickle(address, &head[..sent], b"a");
    }
}

fn slow_reader(address: SocketAddr, _: usize) {
    let Some(mut stream) = connect(address) else { return };
    let _ = stream.write_all(get("/big").as_bytes());
    for _ in 0..40 {
        if !matches!(stream.read(&mut [0; 10]), Ok(1..)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn crowd(address: SocketAddr, _: usize) {
    let all: Vec<_> = (0..400).filter_map(|_| connect(address)).collect();
    // A server on a busy machine turns to them late.
    let is_turned_away = |stream: &TcpStream| {
        let mut line = [0; 12];
        stream.set_nonblocking(true).is_ok() && stream.peek(&mut line).is_ok() && line.ends_with(b" 503")
    };
    for _ in 0..7 {
        std::thread::sleep(Duration::from_millis(300));
        if all.iter().any(is_turned_away) {
            return;
        }
    }
}

/// The status with which it is answered, if it is.
fn send(address: SocketAddr, request: &[u8]) -> Option<u16> {
    let mut stream = connect(address)?;
    let _ = stream.write_all(request);
    let mut line = [0; 12];
    stream.read_exact(&mut line).ok()?;
    std::str::from_utf8(&line[9..]).ok()?.parse().ok()
}

fn costly_body(address: SocketAddr, n: usize) {
    let body = match n % 6 {
        0 => post(FORM, "Content-Encoding: gzip\r\n", &gzip(&vec![b'a'; 20_000_000])),
        1 => post("multipart/form-data; boundary=0", "", &parts(80_000)),
        2 => post("application/json", "", &["[".repeat(50_000), "]".repeat(50_000)].concat().into_bytes()),
        3 => post("text/xml", "", &["<a>".repeat(50_000), "</a>".repeat(50_000)].concat().into_bytes()),
        4 => post(FORM, "", &colliding(50_000)),
        // Within all limits, and half a gigabyte for each hundred that are held.
        _ => post(FORM, "Content-Encoding: gzip\r\n", &gzip(&b"a=1&some=words+to+read%20&".repeat(100_000))),
    };
    // Where the machine is busy, it may be shed or come in too slowly before it meets the limit that is meant for it.
    let began = Instant::now();
    while matches!(send(address, &body), None | Some(408 | 503)) && began.elapsed() < Duration::from_secs(60)
    {
    }
}

fn large_body(address: SocketAddr, _: usize) {
    let body = b"comment=some words that mean nothing, but take their time. ".repeat(60_000);
    let _ = send(address, &post(FORM, "", &body));
}

async fn abuse(address: SocketAddr, identity: &Identity, kind: usize) {
    let head = request("GET", "/", &[]);
    let settings: &[(u16, u32)] = if kind == 4 { &[(4, 0)] } else { &[] };
    let mut raw = Raw::open(address, identity, settings).await;
    let resets = |n: u32| {
        let stream = 2 * n + 1;
        let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        [frame(HEADERS, END_HEADERS | END_STREAM, stream, &head), reset].concat()
    };
    for n in 0..2_000 {
        let bytes = match kind % 8 {
            0 | 1 => resets(n),
            2 => frame(PING, 0, 0, b"01234567").repeat(20),
            3 => frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]).repeat(20),
            // All streams at once, and no window for any.
            4 if n < 100 => frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &request("GET", "/big", &[])),
            5 if n == 0 => frame(HEADERS, END_STREAM, 1, &head),
            5 => frame(CONTINUATION, 0, 1, &support::frames::block(&[("x", "y")])),
            6 if n == 0 => frame(HEADERS, 0, 1, &head),
            7 if n < 100 => frame(HEADERS, END_HEADERS, 2 * n + 1, &request("POST", "/", &[])),
            _ => break,
        };
        if !raw.send(&bytes).await {
            return;
        }
    }
    let _ = tokio::time::timeout(Duration::from_secs(4), raw.end()).await;
}
