//! Clients that ask for much and take nothing of it: what waits for them stays within its allowance, over HTTP/1 and HTTP/2,
//! and everybody else is served.

#![cfg(all(feature = "server", target_os = "linux"))]
#![allow(clippy::print_stderr, reason = "says what was measured")]

mod support;

use portcullis::config::UpstreamHttp2;
use portcullis::proxy::{Shortage, Trouble};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use support::binary::Binary;
use support::client::get;
use support::frames::{END_HEADERS, END_STREAM, HEADERS, Raw, WINDOW_UPDATE, frame, request};
use support::http2::{self, Identity, TlsOrigin};
use support::server::{Setup, to};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// The allowance, in MiB.
const UNSENT: u64 = 64;

/// Places of one client, and what each may take.
const PLACES: u64 = 1_024;
const PLACE: u64 = 128 << 10;

/// Connections of each kind, with 128 requests over HTTP/2, and eight times as many over HTTP/1.
const CONNECTIONS: usize = 16;

const LARGE: usize = 8_000_000;
const MEDIUM: usize = 50_000;

const INITIAL_WINDOW: u16 = 4;
const WIDE: u32 = (1 << 31) - 1;

/// Answers with `MEDIUM` bytes, or with `LARGE` for `/large`; a connection a request.
async fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                let length = if head.starts_with(b"GET /large") { LARGE } else { MEDIUM };
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(head.as_bytes()).await;
                let piece = vec![b'x'; 50_000];
                for _ in 0..length / piece.len() {
                    if stream.write_all(&piece).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn memory(server: &Binary, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field");
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1_024
}

/// The sum of the series of `metric` with `label`.
fn count(server: &Binary, metric: &str, label: &str) -> u64 {
    let text = server.ask("/metrics");
    let of = text.lines().filter(|line| line.starts_with(metric) && line.contains(label));
    of.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
}

/// From another address than all the others.
async fn from_elsewhere(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::new(127, 0, 0, 9), 0).into()).expect("bound");
    socket.connect(address).await.expect("connected")
}

/// Downloads of somebody who takes what he asks for.
async fn ordinary(address: SocketAddr, identity: &Identity) {
    let stream = from_elsewhere(address).await;
    let stream = http2::secure(stream, identity, "a.test", &["h2"]).await.expect("connected");
    let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    for (path, length) in [("/large", LARGE), ("/", MEDIUM), ("/large", LARGE)] {
        let head = http::Request::get(format!("https://a.test{path}")).body(()).expect("a request");
        let response = http2::send(&mut client, head, b"", 1).await.expect("a response");
        assert_eq!((response.status().as_u16(), response.body().len()), (200, length));
    }
}

/// A connection with as many requests as it may have; what comes is not read.
async fn greedy(address: SocketAddr, identity: &Identity, path: &str, window: u32) -> Option<Raw> {
    let mut raw = Raw::try_open(address, identity, &[(INITIAL_WINDOW, window)]).await?;
    if window > 0 {
        raw.send(&frame(WINDOW_UPDATE, 0, 0, &(WIDE - 65_535).to_be_bytes())).await;
    }
    for n in 0..128 {
        let head = request("GET", path, &[("user-agent", "Mozilla/5.0"), ("accept", "*/*")]);
        if !raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &head)).await {
            break;
        }
    }
    Some(raw)
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_that_nobody_takes_stay_within_their_allowance() {
    let identity = Identity::new(&["a.test"]);
    let files = identity.files.path().display().to_string();
    let origin = origin().await;
    let configuration = format!(
        "listeners:\n- address: '127.0.0.1:0'\n  max_connections: 8000\n  max_connections_per_client: {PLACES}\n  \
         tls: [{{certificate: {files}/cert.pem, key: {files}/key.pem}}]\n\
         - {{address: '127.0.0.2:0', max_connections: 8000, max_connections_per_client: {PLACES}}}\n\
         admin: '127.0.0.1:0'\nclient: {{unsent_bytes: {UNSENT}MiB, min_rate: 1}}\n\
         sites:\n- name: main\n  upstreams: ['http://{origin}']\n"
    );
    let server = Binary::start(&[], &configuration);
    let (tls, plain) = (server.address(), server.listening[1].parse::<SocketAddr>().expect("an address"));
    for _ in 0..4 {
        ordinary(tls, &identity).await;
    }
    let at_rest = memory(&server, "VmRSS");
    let cut = |server: &Binary| count(server, "portcullis_overload_total", "cause=\"unsent_bytes\"");

    // Windows that stay shut; windows that are wide open, and nobody reads, for large responses and for such as fit what
    // is kept for a stream; and the same over HTTP/1.
    let cases =
        [("shut", "/large", 0), ("wide", "/large", WIDE), ("short", "/", WIDE), ("HTTP/1", "/large", 0)];
    for (name, path, window) in cases {
        let before = cut(&server);
        let mut connections = Vec::new();
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            match name {
                "HTTP/1" => {
                    for _ in 0..8 {
                        let mut stream = TcpStream::connect(plain).await.expect("connected");
                        stream.write_all(get(path).as_bytes()).await.expect("sent");
                        streams.push(stream);
                    }
                }
                _ => connections.extend(greedy(tls, &identity, path, window).await),
            }
        }
        let began = Instant::now();
        while cut(&server) == before {
            assert!(began.elapsed() < Duration::from_secs(30), "{name}: nothing is counted");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        ordinary(tls, &identity).await;
        let (now, most) = (memory(&server, "VmRSS"), at_rest + (UNSENT << 20) / 4 + (PLACES + 1) * PLACE);
        let cut = cut(&server) - before;
        eprintln!("{name}: {} MB, {} MB allowed, {cut} cut off", now >> 20, most >> 20);
        assert!(now < most, "{name}: {now} bytes, {most} allowed");
        drop((connections, streams));
        server.wait("all places", |server| count(server, "portcullis_client_connections", "") == 0);
    }
    let peak = memory(&server, "VmHWM");
    let most = at_rest + (UNSENT << 20) / 4 + (PLACES + 1) * PLACE;
    eprintln!("{} MB at rest, {} MB at most, {} MB allowed", at_rest >> 20, peak >> 20, most >> 20);
    assert!(peak < most, "{peak} bytes at most, {most} allowed");
    ordinary(tls, &identity).await;
}

/// The first request of a connection needs no place beside the connection's, and what is refused may be asked again.
#[tokio::test(flavor = "multi_thread")]
async fn streams_take_places_like_connections() {
    let identity = Identity::new(&["a.test"]);
    let origin = origin().await;
    let server = Setup::new(origin, "SecRuleEngine Off")
        .config(|c| {
            let mut listener = support::server::with_tls(identity.listener());
            listener.max_connections = 10.try_into().expect("ten");
            listener.max_connections_per_client = 4.try_into().expect("four");
            c.listeners = vec![listener];
        })
        .start();
    let mut raw = Raw::open(server.address(), &identity, &[(INITIAL_WINDOW, 0)]).await;
    for n in 0..6 {
        let head = request("GET", "/large", &[]);
        assert!(raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &head)).await);
    }
    let mut refused = Vec::new();
    while refused.len() < 2 {
        let frame = raw.find(|f| f.kind == support::frames::RST_STREAM).await.expect("refused");
        assert_eq!(frame.payload, 7_u32.to_be_bytes(), "it may be asked again");
        refused.push(frame.stream);
    }
    assert_eq!(refused, [9, 11]);
    assert_eq!(server.seen.connection_failures(2), ["http2_client_full"; 2]);
    drop(raw);
    server.seen.finished(4);
    let mut client = http2::connect(server.address(), &identity).await;
    for _ in 0..10 {
        let head = http::Request::get("https://a.test/").body(()).expect("a request");
        let response = http2::send(&mut client, head, b"", 1).await.expect("a response");
        assert_eq!((response.status().as_u16(), response.body().len()), (200, MEDIUM));
    }
}

/// While nothing was sent, the client is told; and so is whoever reads the record.
#[tokio::test(flavor = "multi_thread")]
async fn what_finds_no_room_is_answered_and_recorded() {
    let identity = Identity::new(&["a.test"]);
    let origin = origin().await;
    let server = Setup::new(origin, "SecRuleEngine On")
        .config(|c| {
            c.listeners = vec![support::server::with_tls(identity.listener()), support::server::listener()];
            c.client.unsent_bytes = 1 << 20;
        })
        .start();
    let (tls, plain) = (server.addresses[0], server.addresses[1]);
    let http1 =
        |path: &'static str| tokio::task::spawn_blocking(move || support::client::exchange(plain, get(path)));
    let response = http1("/large").await.expect("no panic");
    assert_eq!((response.status, response.header("retry-after")), (503, Some("2")));
    let finished = server.seen.finished(1).remove(0);
    assert!(response.text().contains(&finished.report.id));
    let mut client = http2::connect(tls, &identity).await;
    let mut over_http2 = async |path: &str| {
        let head = http::Request::get(format!("https://a.test{path}")).body(()).expect("a request");
        let response = http2::send(&mut client, head, b"", 1).await.expect("a response");
        (response.status().as_u16(), response.body().len())
    };
    assert_eq!(over_http2("/large").await.0, 503);
    for finished in server.seen.finished(2) {
        let trouble = finished.trouble().expect("one");
        assert!(matches!(trouble, Trouble::Overloaded { shortage: Shortage::UnsentBytes, open: false, .. }));
        let events: Vec<_> = finished.report.events.iter().map(|event| event.kind.name()).collect();
        assert_eq!((finished.status, events), (503, vec!["overloaded"]));
    }
    // What is small needs no room.
    assert_eq!(over_http2("/").await, (200, MEDIUM));
    assert_eq!(http1("/").await.expect("no panic").body.len(), MEDIUM);
}

/// On one connection to an HTTP/2 upstream.
#[test]
fn a_response_that_nobody_takes_does_not_stop_others_from_its_upstream() {
    let identity = Identity::new(&["127.0.0.1"]);
    let origin = TlsOrigin::start(&identity, &["h2"]);
    let server = Setup::new(origin.address, "SecRuleEngine Off")
        .site(|site| {
            let tls = portcullis::config::UpstreamTls {
                verify: true,
                sni: "127.0.0.1".to_owned(),
                ca: Some(identity.files.path().join("cert.pem")),
                identity: None,
            };
            let upstream = to(origin.address);
            site.upstreams = vec![portcullis::config::Upstream {
                url: format!("https://{}", origin.address),
                tls: Some(tls),
                http2: UpstreamHttp2::Always,
                ..upstream
            }];
        })
        .start();
    let mut stuck: Vec<_> =
        (0..3).map(|_| std::net::TcpStream::connect(server.address()).expect("connected")).collect();
    for stream in &mut stuck {
        stream.write_all(get("/endless").as_bytes()).expect("sent");
        stream.read_exact(&mut [0; 12]).expect("an answer");
    }
    // By now everything is full.
    std::thread::sleep(Duration::from_secs(1));
    let began = Instant::now();
    let response = server.exchange(get("/"));
    assert_eq!(response.status, 200);
    assert!(response.text().starts_with("h2 GET"), "{}", response.text());
    // Before those are cut off.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
