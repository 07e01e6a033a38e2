//! Clients that abuse HTTP/2: each finds a limit and an answer, is counted, and disturbs nobody else.

#![cfg(feature = "server")]

mod support;

use portcullis::config::Checked;
use portcullis::http::Fault;
use portcullis::proxy::{Finished, Trouble};
use std::time::{Duration, Instant};
use support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, HEADERS, PING, PRIORITY, RST_STREAM, Raw, SETTINGS,
    WINDOW_UPDATE, frame, request,
};
use support::http2::{self, Identity};
use support::origin::Origin;
use support::server::{Portcullis, Setup, with_tls};

const RULES: &str = "SecRuleEngine On\nSecRequestBodyAccess On";
const ENHANCE_YOUR_CALM: u32 = 11;
const INITIAL_WINDOW: u16 = 4;

fn start(origin: &Origin, identity: &Identity, change: impl FnOnce(&mut Checked)) -> Portcullis {
    let tls = with_tls(identity.listener());
    Setup::new(origin.address, RULES).config(|c| c.listeners = vec![tls]).config(change).start()
}

/// An ordinary client is served.
async fn is_well(server: &Portcullis, identity: &Identity) {
    let mut client = http2::connect(server.address(), identity).await;
    let head = http::Request::get("https://a.test/well").body(()).expect("a request");
    let response = http2::send(&mut client, head, b"", 1).await.expect("a response");
    assert_eq!(response.status(), 200);
}

/// Sends `bytes` until the connection ends, at most `most` times; the codes with which it was told to.
async fn flood(raw: &mut Raw, most: usize, mut bytes: impl FnMut(usize) -> Vec<u8>) -> Vec<u32> {
    for n in 0..most {
        if !raw.send(&bytes(n)).await {
            break;
        }
    }
    raw.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rapid_resets_end_the_connection() {
    let (origin, identity) = (Origin::echo(), Identity::new(&["a.test"]));
    let server = start(&origin, &identity, |_| {});
    let mut raw = Raw::open(server.address(), &identity, &[]).await;
    let head = request("GET", "/", &[]);
    let codes = flood(&mut raw, 200, |n| {
        let streams = (0..50).map(|k| u32::try_from(2 * (50 * n + k) + 1).expect("a stream"));
        let one = |stream| {
            let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head);
            [head, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
        };
        streams.flat_map(one).collect()
    })
    .await;
    // A client that writes on may be cut off before it has read why.
    assert!(codes.iter().all(|code| *code == ENHANCE_YOUR_CALM), "{codes:?}");
    let reason = server.seen.connection_failures(1)[0];
    assert!(["http2_reset_flood", "http2_too_much"].contains(&reason), "{reason}");
    assert!(origin.heads() <= 700, "{} of 10000 requests reached the origin", origin.heads());
    is_well(&server, &identity).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_bring_nothing_are_limited() {
    let (origin, identity) = (Origin::echo(), Identity::new(&["a.test"]));
    let server = start(&origin, &identity, |_| {});
    let open = frame(HEADERS, END_HEADERS, 1, &request("POST", "/", &[("content-type", "text/plain")]));
    let cases: [(&str, Vec<u8>, Vec<u8>); 7] = [
        ("http2_settings_flood", Vec::new(), frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255])),
        ("http2_ping_flood", Vec::new(), frame(PING, 0, 0, b"01234567")),
        ("http2_window_flood", Vec::new(), frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("http2_small_data_flood", open.clone(), frame(DATA, 0, 1, b"x")),
        ("http2_frame_flood", Vec::new(), frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])),
        ("http2_frame_flood", Vec::new(), frame(0xfa, 0, 0, b"")),
        // Empty ones are the library's as well, sooner than we would.
        ("http2_too_much", open, frame(DATA, 0, 1, b"")),
    ];
    for (count, (reason, before, bytes)) in cases.into_iter().enumerate() {
        let mut raw = Raw::open(server.address(), &identity, &[]).await;
        assert!(raw.send(&before).await);
        let codes = flood(&mut raw, 1_000, |_| bytes.repeat(100)).await;
        assert!(codes.iter().all(|code| *code == ENHANCE_YOUR_CALM), "{reason}: {codes:?}");
        let counted = server.seen.connection_failures(count + 1)[count];
        // Small ones that nobody has read yet are the library's to limit.
        let is_unread = reason == "http2_small_data_flood" && counted == "http2_too_much";
        assert!(counted == reason || is_unread, "{reason}: {counted}");
    }
    is_well(&server, &identity).await;
}

/// What the budgets leave room for: a client that resets many streams, pings and opens windows as real ones do.
#[tokio::test(flavor = "multi_thread")]
async fn busy_clients_stay_within_budgets() {
    let (origin, identity) = (Origin::echo(), Identity::new(&["a.test"]));
    let server = start(&origin, &identity, |_| {});
    let mut raw = Raw::open(server.address(), &identity, &[]).await;
    for n in 0..100_u32 {
        let stream = 2 * n + 1;
        let mut bytes = frame(PING, 0, 0, b"01234567");
        bytes.extend(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]));
        bytes.extend(frame(HEADERS, END_HEADERS, stream, &request("POST", "/", &[])));
        bytes.extend(frame(DATA, 0, stream, b"a small message"));
        if n % 2 == 0 {
            bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
            assert!(raw.send(&bytes).await);
        } else {
            bytes.extend(frame(DATA, END_STREAM, stream, b"."));
            assert!(raw.send(&bytes).await);
            let is_end = |f: &Frame| f.stream == stream && f.flags & END_STREAM != 0;
            assert!(raw.find(is_end).await.is_some(), "stream {stream} is not answered");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_without_end_are_cut_off() {
    let (origin, identity) = (Origin::echo(), Identity::new(&["a.test"]));
    let server = start(&origin, &identity, |c| c.client.head_timeout = Duration::from_secs(1));
    let head = request("GET", "/", &[]);

    // In many CONTINUATION frames (CVE-2024-27316 and others).
    let mut raw = Raw::open(server.address(), &identity, &[]).await;
    assert!(raw.send(&frame(HEADERS, END_STREAM, 1, &head)).await);
    let field = support::frames::block(&[("x", "y")]);
    let codes = flood(&mut raw, 1_000, |_| frame(CONTINUATION, 0, 1, &field)).await;
    assert!(codes.iter().all(|code| *code == ENHANCE_YOUR_CALM), "{codes:?}");
    assert_eq!(server.seen.connection_failures(1), ["http2_too_much"]);

    // Slowly, while other streams keep the connection busy.
    let mut raw = Raw::open(server.address(), &identity, &[]).await;
    let began = Instant::now();
    assert!(raw.send(&frame(HEADERS, END_STREAM, 1, &head)).await);
    assert_eq!(raw.end().await, [ENHANCE_YOUR_CALM]);
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    assert_eq!(server.seen.connection_failures(2)[1], "http2_head_timeout");

    // In the middle of a frame.
    let mut raw = Raw::open(server.address(), &identity, &[]).await;
    let whole = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head);
    assert!(raw.send(&whole[..20]).await);
    assert_eq!(raw.end().await, [ENHANCE_YOUR_CALM]);
    assert_eq!(server.seen.connection_failures(3)[2], "http2_head_timeout");
    assert_eq!(origin.heads(), 0);
    is_well(&server, &identity).await;
}

/// A path, fields, the status that is expected, and the fault that is recorded.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, Option<Fault>);

#[tokio::test(flavor = "multi_thread")]
async fn heads_have_the_limits_of_http1() {
    let (origin, identity) = (Origin::echo(), Identity::new(&["a.test"]));
    let server = start(&origin, &identity, |c| {
        (c.client.headers, c.client.uri_bytes, c.client.head_bytes) = (20, 1_000, 4_000);
    });
    let names: Vec<String> = (0..21).map(|n| format!("x-{n}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let (path, value) = (format!("/{}", "p".repeat(1_000)), "v".repeat(4_100));
    let large = [("x-large", value.as_str())];
    let huge = [("x-large", value.as_str()), ("y-large", value.as_str())];
    let cases: [Case<'_>; 5] = [
        ("/", &many[..18], "200", None),
        ("/", &many, "431", Some(Fault::TooManyHeaders)),
        (&path, &[], "414", Some(Fault::RequestLineTooLong)),
        ("/", &large, "431", Some(Fault::HeadTooLong)),
        // The library refuses this one by itself.
        ("/", &huge, "431", Some(Fault::HeadTooLong)),
    ];
    for (count, (path, fields, status, fault)) in cases.into_iter().enumerate() {
        let mut client = http2::connect(server.address(), &identity).await;
        let mut head = http::Request::get(format!("https://a.test{path}"));
        for (name, value) in fields {
            head = head.header(*name, *value);
        }
        let response = http2::send(&mut client, head.body(()).expect("a request"), b"", 1).await;
        let response = response.expect("a response");
        assert_eq!(response.status().as_str(), status, "{fault:?}");
        let finished = server.seen.finished(count + 1).remove(count);
        assert_eq!(finished.trouble(), fault.map(Trouble::Malformed).as_ref());
        assert_eq!(finished.status.to_string(), status);
        // Whoever asks for help can say by which number.
        let id = response.headers().get("x-request-id").expect("an id");
        assert_eq!(id, finished.report.id.as_str());
    }
    assert_eq!(origin.heads(), 1);
}

/// Few bytes that unfold to many: a long value in the table, and then nothing but references to it (RFC 7541 §2.3.2).
#[tokio::test(flavor = "multi_thread")]
async fn heads_that_unfold_are_counted_and_end_the_connection() {
    let (origin, identity) = (Origin::echo(), Identity::new(&["a.test"]));
    let server = start(&origin, &identity, |c| c.client.head_bytes = 8_000);
    // Put into the table with its name and value, each of them shorter than what needs another byte for its length.
    let remembered = |value: &str| [&[0x40, 1, b'x', 100][..], value.as_bytes()].concat();
    let head = request("POST", "/", &[]);

    // Each of them takes 133 bytes by the protocol's count: 20,000 in 150 bytes.
    let mut raw = Raw::open(server.address(), &identity, &[]).await;
    let bomb = [&head[..], &remembered(&"v".repeat(100)), &[0xbe; 150]].concat();
    let mut answered = 0;
    for n in 0..40_u32 {
        let flags = if n % 2 == 0 { END_HEADERS } else { END_HEADERS | END_STREAM };
        if !raw.send(&frame(HEADERS, flags, 2 * n + 1, &bomb)).await {
            break;
        }
        let is_answer = |f: &Frame| f.kind == HEADERS || f.kind == support::frames::GOAWAY;
        match raw.find(is_answer).await {
            Some(frame) if frame.kind == HEADERS => answered += 1,
            _ => break,
        }
    }
    assert!((31..=33).contains(&answered), "{answered} answered");
    assert_eq!(server.seen.connection_failures(1), ["http2_too_many_malformed"]);
    let finished = server.seen.finished(32);
    assert_eq!(finished.len(), 32);
    for finished in &finished {
        assert_eq!(
            (finished.status, finished.trouble()),
            (431, Some(&Trouble::Malformed(Fault::HeadTooLong)))
        );
    }

    // And far beyond what is answered.
    let mut raw = Raw::open(server.address(), &identity, &[]).await;
    let bomb = [&head[..], &remembered(&"v".repeat(100)), &[0xbe; 10_000]].concat();
    assert!(raw.send(&frame(HEADERS, END_HEADERS, 1, &bomb)).await);
    assert_eq!(raw.end().await, [ENHANCE_YOUR_CALM]);
    assert_eq!(server.seen.connection_failures(2)[1], "http2_too_much");
    assert_eq!(origin.heads(), 0);
    is_well(&server, &identity).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_that_stay_shut_do_not_hold_a_response_for_ever() {
    let origin = Origin::fixed("200 OK", &[], vec![b'x'; 4_000_000]);
    let identity = Identity::new(&["a.test"]);
    let rules = format!("{RULES}\nSecRule REQUEST_URI \"@streq /x\" \"id:1,phase:1,deny,status:403\"");
    let server = Setup::new(origin.address, &rules)
        .config(|c| {
            c.listeners = vec![with_tls(identity.listener())];
            (c.client.write_timeout, c.client.min_rate) = (Duration::from_secs(1), 100_000);
        })
        .start();
    let get = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &request("GET", "/", &[]));

    // It never opens; a page of our own does not go either.
    let mut raw = Raw::open(server.address(), &identity, &[(INITIAL_WINDOW, 0)]).await;
    let refused = frame(HEADERS, END_HEADERS | END_STREAM, 3, &request("GET", "/x", &[]));
    assert!(raw.send(&[get(1), refused].concat()).await);
    let is_reset = |f: &Frame| f.kind == RST_STREAM && f.stream == 1;
    assert!(raw.find(is_reset).await.is_some(), "the stream goes on");
    let finished = server.seen.finished(2);
    let of = |what: fn(&Finished) -> bool| finished.iter().find(|f| what(f)).expect("both are finished");
    let late = of(|f| f.trouble() == Some(&Trouble::ResponseLate));
    assert_eq!(late.status, 200);
    // The page, whose head could go, ends as well, and its stream with it.
    let page = of(|f| matches!(f.trouble(), Some(Trouble::Blocked(_))));
    assert_eq!(page.status, 403);
    assert!(raw.is_over(3).await, "the page's stream goes on");
    drop(raw);

    // It opens byte by byte.
    let mut raw = Raw::open(server.address(), &identity, &[(INITIAL_WINDOW, 0)]).await;
    assert!(raw.send(&get(1)).await);
    let began = Instant::now();
    loop {
        let byte = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
        if server.seen.finished(2).len() > 2 || !raw.send(&byte).await {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "it goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.seen.finished(3)[2].trouble(), Some(&Trouble::ResponseLate));
    is_well(&server, &identity).await;
}

/// Before there is a head: in the TLS handshake, before and within a PROXY header, and where HTTP/2 was agreed on and does
/// not begin.
#[tokio::test(flavor = "multi_thread")]
async fn who_never_begins_is_not_waited_for() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    let (origin, identity) = (Origin::echo(), Identity::new(&["a.test"]));
    let server = start(&origin, &identity, |c| {
        c.client.head_timeout = Duration::from_millis(300);
        c.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        let mut proxied = support::server::listener();
        proxied.proxy_protocol = true;
        c.listeners.push(proxied);
    });
    let (tls, proxied) = (server.addresses[0], server.addresses[1]);
    let mut count = 0;
    for (address, said, reason) in [
        (tls, &b""[..], "tls_handshake_timeout"),
        // A record that does not end.
        (tls, b"\x16\x03\x01\x02\x00\x01", "tls_handshake_timeout"),
        (proxied, b"", "proxy_protocol_timeout"),
        (proxied, b"PROXY TCP4 192.0.2.1 ", "proxy_protocol_timeout"),
        (proxied, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x01", "proxy_protocol_timeout"),
    ] {
        let began = Instant::now();
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(said).await.expect("sent");
        let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut Vec::new()))
            .await
            .expect("closed");
        count += 1;
        assert!(began.elapsed() >= Duration::from_millis(290), "{reason} after {:?}", began.elapsed());
        assert_eq!(server.seen.connection_failures(count)[count - 1], reason);
    }
    for said in [&b""[..], b"PRI * HTTP/2.0\r\n\r\nSM"] {
        let began = Instant::now();
        let stream = http2::connect_tls(tls, &identity, "a.test", &["h2"]).await;
        let mut stream = stream.expect("connected");
        stream.write_all(said).await.expect("sent");
        stream.flush().await.expect("sent");
        let mut rest = Vec::new();
        let read = stream.read_to_end(&mut rest);
        let _ = tokio::time::timeout(Duration::from_secs(10), read).await.expect("closed");
        count += 1;
        assert!(began.elapsed() >= Duration::from_millis(290), "after {:?}", began.elapsed());
        assert_eq!(server.seen.connection_failures(count)[count - 1], "http2_handshake");
    }
    assert_eq!(origin.heads(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_lose_their_place() {
    let (origin, identity) = (Origin::echo(), Identity::new(&["a.test"]));
    let server = start(&origin, &identity, |c| {
        c.client.keep_alive = Duration::from_secs(1);
        c.process.grace = Duration::from_secs(60);
    });
    // One who is told to end, and says nothing.
    let mut idle = Raw::open(server.address(), &identity, &[]).await;
    let began = Instant::now();
    idle.end().await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());

    // One who is there when the server ends.
    let mut last = Raw::open(server.address(), &identity, &[]).await;
    assert!(last.next().await.is_some());
    let began = Instant::now();
    tokio::task::spawn_blocking(move || server.shut_down()).await.expect("it ends");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    last.end().await;
}
