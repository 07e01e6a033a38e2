//! Request heads: what is refused and how, what the upstream is told, which site serves, and what becomes of the
//! connection.

#![cfg(feature = "server")]

mod support;

use ip_network::IpNetwork;
use portcullis::config::{ForwardedPolicy, HostHeader};
use portcullis::engine::{EventKind, NoWorld};
use portcullis::proxy::{Deaf, Finished, Server, Trouble};
use portcullis::ruleset::Mode;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::client::{get, post};
use support::http2::{self, Identity};
use support::origin::{Origin, respond};
use support::server::{Portcullis, Setup, listener, site};

const RULES: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecRule ARGS "@contains attack" "id:1,phase:2,deny,status:403,log,msg:'attack'"
SecRule REQUEST_URI "@contains /drop" "id:2,phase:1,drop,log"
SecRule REQUEST_URI "@contains /move" "id:3,phase:1,redirect:https://elsewhere.test/,log"
SecRule REQUEST_URI "@contains /teapot" "id:4,phase:1,deny,status:418,log"
SecRule REQUEST_LINE|REQUEST_URI_RAW|REQUEST_HEADERS "@contains odd" "id:5,phase:1,pass,log,msg:'odd'"
"#;

#[test]
fn a_blocked_request_leaves_the_connection_usable() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let mut client = server.client();
    for (request, status) in [
        (get("/?a=attack").into_bytes(), 403),
        (get("/").into_bytes(), 200),
        (post("/teapot", &[b'x'; 100_000]), 418),
        (post("/", b"hello"), 200),
        (get("/move").into_bytes(), 302),
        (get("/").into_bytes(), 200),
    ] {
        client.send(request);
        let response = client.read().expect("a response on the same connection");
        assert_eq!(response.status, status);
        assert_eq!(response.header("connection"), Some("keep-alive"));
        if status == 302 {
            assert_eq!(response.header("location"), Some("https://elsewhere.test/"));
        }
    }
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn an_engine_that_is_off_does_nothing_and_requests_are_reported_all_the_same() {
    let origin = Origin::echo();
    let off = |rules: &str| {
        Setup::new(origin.address, &format!("{RULES}{rules}")).site(|s| s.mode = Some(Mode::Off)).start()
    };
    let server = off("");
    let response = server.exchange(post("/teapot?a=attack", b"attack"));
    assert_eq!((response.status, response.text().split(' ').next()), (200, Some("6")));
    server.exchange("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
    server.exchange("GET / HTTP/1.1\r\nHost: a\r\nbroken");
    let finished = server.seen.finished(3);
    assert_eq!(finished[0].inspection, [Duration::ZERO; 5]);
    assert_eq!(Some(finished[0].report.id.as_str()), response.header("x-request-id"));
    for request in &finished {
        let report = &request.report;
        assert_eq!(report.mode, Mode::Off);
        assert!(report.client.is_some() && report.rules.is_empty() && !report.is_audited());
    }
    let malformed = |f: &&Finished| f.report.events.iter().any(|e| e.kind == EventKind::MalformedRequest);
    assert_eq!(finished.iter().filter(malformed).count(), 2);

    // Where every request is recorded, so are these.
    let server = off("SecAuditEngine On");
    server.exchange(get("/teapot"));
    let report = &server.seen.finished(1)[0].report;
    assert!(report.is_audited());
    assert_eq!((report.mode, report.request.uri.as_slice()), (Mode::Off, &b"/teapot"[..]));
}

#[test]
fn the_rest_of_a_large_blocked_body_is_not_waited_for() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let mut client = server.client();
    client.send("POST /teapot HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000000\r\n\r\nbeginning");
    let started = Instant::now();
    let response = client.read().expect("a response");
    assert_eq!((response.status, response.header("connection")), (418, Some("close")));
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn drop_says_nothing() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let mut client = server.client();
    client.send(get("/drop"));
    assert!(client.is_closed());
    assert_eq!(server.seen.finished(1)[0].status, 0);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn the_page_is_of_the_type_asked_for_and_names_no_rule() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    for (index, (accept, kind)) in [
        ("text/html,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/json", "application/problem+json"),
        ("text/plain", "text/plain; charset=utf-8"),
    ]
    .into_iter()
    .enumerate()
    {
        let request = format!("GET /?a=attack HTTP/1.1\r\nHost: a.test\r\nAccept: {accept}\r\n\r\n");
        let response = server.exchange(request);
        assert_eq!((response.status, response.header("content-type")), (403, Some(kind)));
        let id = response.header("x-request-id").expect("an id").to_owned();
        let finished = server.seen.finished(index + 1).pop().expect("one");
        assert_eq!(finished.report.id, id);
        let text = response.text();
        assert!(text.contains(&id) && !text.contains("attack") && !text.contains("rule"), "{text}");
    }
    let ids: Vec<String> = server.seen.finished(3).into_iter().map(|f| f.report.id).collect();
    assert!(ids[0] < ids[1] && ids[1] < ids[2], "{ids:?}");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start(|request, stream| {
        std::thread::sleep(Duration::from_millis(20));
        respond(stream, "200 OK", &[], request.line.as_bytes())
    });
    let server = Portcullis::start(origin.address, RULES);
    let mut client = server.client();
    let all = [
        get("/1").into_bytes(),
        post("/2", b"body of two"),
        get("/teapot").into_bytes(),
        post("/teapot", b"body"),
        support::client::post_chunked("/3", b"body of three", 4),
        get("/4").into_bytes(),
    ];
    client.send(all.concat());
    for expected in ["GET /1", "POST /2", "418", "418", "POST /3", "GET /4"] {
        let response = client.read().expect("a response");
        assert!(response.text().contains(expected), "{expected}: {}", response.text());
    }
    let bodies: Vec<_> = origin.requests().into_iter().map(|r| r.body).collect();
    assert_eq!(bodies, [&b""[..], b"body of two", b"body of three", b""]);
}

#[test]
fn pipelined_requests_may_be_cut_anywhere() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let all =
        [post("/1", b"first"), support::client::post_chunked("/2", b"second", 3), get("/3").into_bytes()]
            .concat();
    for cut in (1..all.len()).step_by(7) {
        let mut client = server.client();
        client.send(&all[..cut]);
        std::thread::sleep(Duration::from_millis(3));
        client.send(&all[cut..]);
        for n in 0..3 {
            assert_eq!(client.read().expect("a response").status, 200, "cut at {cut}, response {n}");
        }
    }
}

#[test]
fn malformed_heads_are_shown_to_the_rules_and_refused() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let cases = [
        "GET /odd HTTP/1.1\nHost: a.test\n\n",
        "GET /odd HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
        "GET /odd HTTP/1.1\r\n\r\n",
        "GET  /odd  HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "POST /odd\r\nHost: a.test\r\n\r\n",
        "GET /odd HTTP/3.7\r\nHost: a.test\r\n\r\n",
        "GET /odd HTTP/1.1\r\nHost: a.test\r\nX : y\r\n\r\n",
        "GET /odd HTTP/1.1\r\nHost: a.test\r\nX: y\r\n folded\r\n\r\n",
        "GET /odd HTTP/1.1\r\nHost: a.test\r\nX: a\0b\r\n\r\n",
        "GET /odd HTTP/1.1\r\nHost: a.test\r\nno colon\r\n\r\n",
        "POST /odd HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST /odd HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3, 3\r\n\r\nabc",
        "POST /odd HTTP/1.1\r\nHost: a.test\r\nContent-Length: +3\r\n\r\nabc",
        "POST /odd HTTP/1.1\r\nHost: a.test\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
        "POST /odd HTTP/1.1\r\nHost: a.test\r\nContent-Length: +3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /odd HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /odd HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /odd HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /odd HTTP/1.0\r\nHost: a.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "CONNECT /odd HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "CONNECT odd HTTP/1.1\r\nHost: odd\r\n\r\n",
        "POST /odd HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /odd HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET http://b.test/odd HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET /odd\x01 HTTP/1.1\r\nHost: a.test\r\n\r\n",
    ];
    for (index, case) in cases.iter().enumerate() {
        let mut client = server.client();
        client.send(case);
        let response = client.read().unwrap_or_else(|error| panic!("{case:?}: {error}"));
        assert!([400, 505].contains(&response.status), "{case:?}: {}", response.status);
        assert_eq!(response.header("connection"), Some("close"), "{case:?}");
        assert!(client.is_closed(), "{case:?}");
        let finished = server.seen.finished(index + 1).pop().expect("one");
        assert!(matches!(finished.trouble(), Some(Trouble::Malformed(_))), "{case:?}: {finished:?}");
        assert_eq!(finished.status, response.status);
        assert!(finished.report.rules.iter().any(|r| r.id == 5), "{case:?}");
        assert!(finished.report.events.iter().any(|e| e.kind == EventKind::MalformedRequest), "{case:?}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn the_body_of_a_malformed_request_is_shown_as_well() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let request = "POST / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\nContent-Length: 8\r\n\
                   Content-Type: application/x-www-form-urlencoded\r\n\r\na=attack";
    assert_eq!(server.exchange(request).status, 400);
    let report = server.seen.finished(1).remove(0).report;
    assert!(report.rules.iter().any(|r| r.id == 1), "{report:?}");
}

#[test]
fn the_rules_see_what_was_sent_and_the_upstream_gets_one_reading() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let mut client = server.client();
    client.send(&b"GET /\xe9<odd>?q=\"\xff\" HTTP/1.1\r\nHost: a.test\r\nX-Bytes: \xe9\r\n\r\n"[..]);
    assert_eq!(client.read().expect("a response").status, 200);
    let finished = server.seen.finished(1).remove(0);
    assert_eq!(finished.report.request.uri, b"/\xe9<odd>?q=\"\xff\"");
    let request = origin.request();
    assert_eq!(request.line, "GET /%E9%3Codd%3E?q=%22%FF%22 HTTP/1.1");
    assert_eq!(request.header("x-bytes"), Some("\u{e9}"));
}

#[test]
fn what_only_the_http_library_refuses_is_reported_as_well() {
    let origin = Origin::echo();
    let server = Setup::new(origin.address, RULES)
        .config(|c| {
            c.client.head_bytes = 200_000;
            c.client.uri_bytes = 150_000;
        })
        .start();
    // Longer than its URI type can hold.
    let response = server.exchange(get(&format!("/odd{}", "x".repeat(70_000))));
    assert_eq!(response.status, 400);
    let finished = server.seen.finished(1).remove(0);
    assert_eq!((finished.status, finished.trouble()), (400, Some(&Trouble::Unparsable)));
    assert!(finished.report.rules.iter().any(|r| r.id == 5));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn mutilated_requests_break_nothing() {
    let origin = Origin::echo();
    let server = Setup::new(origin.address, RULES)
        .config(|c| c.client.head_timeout = Duration::from_millis(200))
        .site(|s| s.timeouts.body_read = Duration::from_millis(200))
        .start();
    let seeds = [
        get("/a?b=c#d").into_bytes(),
        post("/x", b"some body"),
        support::client::post_chunked("/y", b"some more body", 5),
        b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            .to_vec(),
        b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nConnection: close\r\n\r\nnothing".to_vec(),
        b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
          3\r\nabc\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"
            .to_vec(),
        b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 1\r\n\r\na"
            .to_vec(),
    ];
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    const SPICE: &[u8] = b"\r\n\0 :\t\x7f\xff0;,/%#?@[]HTTP";
    for round in 0..400 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] = SPICE[random(SPICE.len())],
                1 => bytes.insert(at, SPICE[random(SPICE.len())]),
                _ => drop(bytes.remove(at)),
            }
        }
        let mut client = server.client();
        client.send(&bytes).finish();
        // Something comes, or the end: never silence.
        while !client.read_some().expect("no silence and no reset").is_empty() {}
    }
    assert_eq!(server.exchange(post("/", b"hello")).status, 200);
}

#[test]
fn heads_are_limited_in_size_and_time() {
    let origin = Origin::echo();
    let server = Setup::new(origin.address, RULES)
        .config(|c| {
            c.client.head_bytes = 4_000;
            c.client.uri_bytes = 1_000;
            c.client.headers = 20;
            c.client.head_timeout = Duration::from_millis(400);
        })
        .start();
    let long = "x".repeat(2_000);
    for (request, status) in [
        (get(&format!("/{long}")), 414),
        (format!("GET / HTTP/1.1\r\nHost: a.test\r\nX: {long}{long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a.test\r\n{}\r\n", "X: y\r\n".repeat(25)), 431),
        (format!("GET / HTTP/1.1\r\nHost: a.test\r\nX: {}", "x".repeat(100_000)), 431),
        ("GET / HTTP/1.1\r\nHost: a.te".to_owned(), 408),
    ] {
        let response = server.exchange(request);
        assert_eq!((response.status, response.header("connection")), (status, Some("close")));
    }
    let mut client = server.client();
    let started = Instant::now();
    client.send("GET / HTTP/1.1\r\n");
    for _ in 0..10 {
        client.send("X: y\r\n");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(client.read().expect("a response").status, 408);
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn idle_connections_end() {
    let origin = Origin::echo();
    let server = Setup::new(origin.address, RULES)
        .config(|c| c.client.keep_alive = Duration::from_millis(300))
        .start();
    let mut client = server.client();
    client.send(get("/"));
    assert_eq!(client.read().expect("a response").status, 200);
    assert!(client.is_closed());
    // Line ends are no request either, however many come.
    let mut dripping = TcpStream::connect(server.address()).expect("connected");
    let began = Instant::now();
    while dripping.write_all(b"\r\n").is_ok() {
        assert!(began.elapsed() < Duration::from_secs(20), "it goes on");
        std::thread::sleep(Duration::from_millis(50));
    }
    // That was no request, and nobody hears of it.
    assert_eq!(server.seen.finished(1).len(), 1);
}

#[test]
fn clients_cannot_say_who_they_are() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\
                   X-Real-IP: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n\r\n";
    assert_eq!(server.exchange(request).status, 200);
    let seen = origin.request();
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("a.test"));
    assert_eq!((seen.header("x-real-ip"), seen.header("forwarded")), (None, None));
    let client = server.seen.finished(1)[0].report.client.expect("an address");
    assert!(client.ip().is_loopback());
}

#[test]
fn trusted_proxies_are_believed_from_right_to_left() {
    let origin = Origin::echo();
    let trusted: Vec<IpNetwork> = ["127.0.0.0/8", "10.0.0.0/8", "2001:db8::/32"]
        .iter()
        .map(|n| n.parse().expect("a network"))
        .collect();
    let server = Setup::new(origin.address, RULES).config(|c| c.trusted_proxies = trusted).start();
    for (headers, client) in [
        ("X-Forwarded-For: 203.0.113.9", "203.0.113.9"),
        ("X-Forwarded-For: 6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.1.1", "203.0.113.9"),
        ("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.9:1234,10.1.1.1", "203.0.113.9"),
        ("X-Forwarded-For: 10.2.2.2, 10.1.1.1", "10.2.2.2"),
        ("X-Forwarded-For: 6.6.6.6, garbage, 10.1.1.1", "10.1.1.1"),
        // A header that nobody of ours writes is the client's own.
        ("Forwarded: for=6.6.6.6", "127.0.0.1"),
        ("Forwarded: for=6.6.6.6\r\nX-Forwarded-For: 203.0.113.9", "203.0.113.9"),
        ("X: y", "127.0.0.1"),
    ] {
        let before = server.seen.finished(0).len();
        assert_eq!(
            server.exchange(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n\r\n")).status,
            200
        );
        let finished = server.seen.finished(before + 1).pop().expect("one");
        assert_eq!(finished.report.client.map(|c| c.ip().to_string()).as_deref(), Some(client), "{headers}");
    }
    let seen = origin.requests();
    assert_eq!(seen[1].header("x-forwarded-for"), Some("6.6.6.6, 203.0.113.9, 127.0.0.1"));
}

#[test]
fn the_standard_header_is_believed_where_a_site_uses_it() {
    let origin = Origin::echo();
    let server = Setup::new(origin.address, RULES)
        .config(|c| {
            let networks = ["127.0.0.0/8", "10.0.0.0/8"];
            c.trusted_proxies = networks.iter().map(|n| n.parse().expect("a network")).collect();
        })
        .site(|site| {
            site.forwarded.x_forwarded = ForwardedPolicy::Remove;
            site.forwarded.rfc7239 = ForwardedPolicy::Append;
        })
        .start();
    for (index, (headers, client)) in [
        ("Forwarded: for=6.6.6.6, for=\"[2001:470::9]:99\";proto=https, for=10.1.1.1", "2001:470::9"),
        ("Forwarded: for=\"a,b\", for=unknown", "127.0.0.1"),
        ("Forwarded: for=6.6.6.6;by=\"a;for=7.7.7.7\", FOR=203.0.113.9", "203.0.113.9"),
        ("X-Forwarded-For: 6.6.6.6", "127.0.0.1"),
    ]
    .into_iter()
    .enumerate()
    {
        let request = format!("GET / HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n\r\n");
        assert_eq!(server.exchange(request).status, 200);
        let finished = server.seen.finished(index + 1).pop().expect("one");
        assert_eq!(finished.report.client.map(|c| c.ip().to_string()).as_deref(), Some(client), "{headers}");
    }
    let sent = origin.requests()[2].header("forwarded").map(str::to_owned);
    assert_eq!(
        sent.as_deref(),
        Some(
            "for=6.6.6.6;by=\"a;for=7.7.7.7\", FOR=203.0.113.9, for=127.0.0.1;host=\"a.test\";proto=http;by=127.0.0.1"
        )
    );
}

#[test]
fn forwarding_headers_follow_the_site() {
    let origin = Origin::echo();
    let server = Setup::new(origin.address, RULES)
        .site(|site| {
            site.forwarded.x_forwarded = ForwardedPolicy::Remove;
            site.forwarded.rfc7239 = ForwardedPolicy::Replace;
            site.host_header = HostHeader::Fixed("inner.test".to_owned());
            site.request_id_header = None;
        })
        .start();
    let response = server.exchange("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n");
    assert_eq!(response.header("x-request-id"), None);
    let seen = origin.request();
    assert_eq!(seen.header("x-forwarded-for"), None);
    assert_eq!(seen.header("forwarded"), Some("for=127.0.0.1;host=\"a.test\";proto=http;by=127.0.0.1"));
    assert_eq!((seen.header("host"), seen.header("x-request-id")), (Some("inner.test"), None));
}

#[test]
fn hop_by_hop_fields_stay_behind() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\
                   TE: trailers\r\nProxy-Authorization: Basic eA==\r\nX-End: 2\r\n\r\n";
    let mut client = server.client();
    client.send(request);
    assert_eq!(client.read().expect("a response").header("connection"), Some("close"));
    assert!(client.is_closed());
    let seen = origin.request();
    for name in ["x-hop", "keep-alive", "te", "proxy-authorization", "upgrade"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.header("x-end"), Some("2"));
}

#[test]
fn the_transactions_id_goes_to_the_upstream_and_back() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let response = server.exchange("GET / HTTP/1.1\r\nHost: a.test\r\nX-Request-Id: mine\r\n\r\n");
    let id = server.seen.finished(1)[0].report.id.clone();
    assert_eq!(response.header("x-request-id"), Some(id.as_str()));
    assert_eq!(origin.request().header("x-request-id"), Some(id.as_str()));
}

#[test]
fn sites_are_chosen_by_host_and_by_the_path_that_the_origin_will_see() {
    let (outer, admin, other) = (Origin::echo(), Origin::echo(), Origin::echo());
    let rules = "SecRuleEngine On";
    let strict = "SecRuleEngine On\nSecAction \"id:9,phase:1,deny,status:403\"";
    let mut setup = Setup::new(outer.address, rules)
        .and(site("admin", "a.test", "/admin", admin.address), strict)
        .and(site("other", "*.b.test", "/", other.address), rules);
    setup.sites[0].0.hosts = vec!["a.test".parse().expect("a host")];
    let server = setup.start();
    let requests = [
        ("a.test", "/", 200),
        ("A.TEST:8080", "/x", 200),
        ("a.test", "/administrator", 200),
        ("a.test", "/admin", 403),
        ("a.test", "/admin/x?y", 403),
        ("a.test", "/x/../admin", 403),
        ("a.test", "/x/%2e%2e/%61dmin", 403),
        ("a.test", "//admin", 403),
        ("x.b.test", "/admin", 200),
        ("c.test", "/", 404),
    ];
    for (n, (host, path, status)) in requests.into_iter().enumerate() {
        let response = server.exchange(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(response.status, status, "{host}{path}");
        // A client has its answer before the request is over here, and the next may be over sooner.
        server.seen.finished(n + 1);
    }
    let finished = server.seen.finished(10);
    assert_eq!(finished[9].trouble(), Some(&Trouble::NoSite));
    assert!(finished[9].site.is_none() && finished[8].site.as_ref().is_some_and(|s| s.name == "other"));
    assert_eq!((outer.requests().len(), admin.connections(), other.requests().len()), (3, 0, 1));
}

#[test]
fn a_transaction_ends_on_the_generation_it_began_with() {
    let origin = Origin::echo();
    let setup = Setup::new(origin.address, RULES);
    let next = Setup::new(origin.address, "SecRuleEngine On\nSecAction \"id:9,phase:2,deny,status:451\"");
    let server = setup.start();
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.read().expect("an interim response").status, 100);
    server.current.store(Arc::new(next.generation(2)));
    client.send("hello");
    assert_eq!(client.read().expect("a response").status, 200);
    client.send(get("/"));
    assert_eq!(client.read().expect("a response").status, 451);
}

#[test]
fn a_shutdown_waits_for_what_is_under_way_and_closes_what_idles() {
    let origin = Origin::start(|_, stream| {
        std::thread::sleep(Duration::from_millis(600));
        respond(stream, "200 OK", &[], b"done")
    });
    let server = Portcullis::start(origin.address, RULES);
    let (mut idle, mut busy) = (server.client(), server.client());
    idle.send(get("/?a=attack"));
    assert_eq!(idle.read().expect("a response").status, 403);
    busy.send(get("/"));
    std::thread::sleep(Duration::from_millis(200));
    let address = server.address();
    let started = Instant::now();
    server.shut_down();
    assert!(started.elapsed() < Duration::from_secs(5));
    let response = busy.read().expect("a response");
    assert_eq!((response.status, response.text()), (200, "done".to_owned()));
    assert!(idle.is_closed() && busy.is_closed());
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn an_address_in_use_is_an_error_at_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let setup = Setup::new(address, RULES).config(|c| c.listeners[0].address = address.into());
    let current = Arc::new(arc_swap::ArcSwap::from_pointee(setup.generation(1)));
    let Err(error) = Server::bind(current, Arc::new(NoWorld), Arc::new(Deaf)) else { panic!("it is taken") };
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn a_balancers_word_comes_before_the_request() {
    let origin = Origin::echo();
    let identity = Identity::new(&["a.test"]);
    let tls = identity.listener();
    let server = Setup::new(origin.address, RULES)
        .config(|c| {
            c.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
            c.listeners[0].proxy_protocol = true;
            c.listeners.push(listener());
            c.listeners[1].proxy_protocol = true;
            c.listeners[1].tls = Some(tls);
        })
        .start();
    let header = "PROXY TCP4 203.0.113.7 192.0.2.1 5555 80\r\n";
    assert_eq!(server.exchange(format!("{header}{}", get("/"))).status, 200);
    assert_eq!(origin.request().header("x-forwarded-for"), Some("203.0.113.7"));
    assert_eq!(
        server.seen.finished(1)[0].report.client,
        Some("203.0.113.7:5555".parse().expect("an address"))
    );

    // Before TLS as well; curl speaks version 1.
    let name = format!("a.test:{}:127.0.0.1", server.addresses[1].port());
    let url = format!("https://a.test:{}/", server.addresses[1].port());
    let output = std::process::Command::new("curl")
        .args(["-sS", "--haproxy-protocol", "--max-time", "10", "--resolve", &name, "--cacert"])
        .arg(identity.files.path().join("cert.pem"))
        .args(["-o", "/dev/null", "-w", "%{http_code} %{http_version}", &url])
        .output();
    if let Ok(output) = output {
        assert_eq!(String::from_utf8_lossy(&output.stdout), "200 2", "{output:?}");
        assert!(server.seen.finished(2)[1].report.client.expect("an address").ip().is_loopback());
    }

    // Without its word, nobody is served.
    assert!(server.client().send(get("/")).is_closed());
    assert_eq!(server.seen.connection_failures(1), ["proxy_protocol"]);
}

#[test]
fn an_untrusted_peer_cannot_be_a_balancer() {
    let origin = Origin::echo();
    let server = Setup::new(origin.address, RULES).config(|c| c.listeners[0].proxy_protocol = true).start();
    let request = format!("PROXY TCP4 203.0.113.7 192.0.2.1 5555 80\r\n{}", get("/"));
    assert!(server.client().send(request).is_closed());
    assert_eq!(server.seen.connection_failures(1), ["proxy_protocol_untrusted"]);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn certificates_are_chosen_by_name() {
    let origin = Origin::echo();
    let (first, second) = (Identity::new(&["a.test"]), Identity::new(&["b.test", "*.c.test"]));
    let mut tls = first.listener();
    tls.certificates.push(second.config());
    let server = Setup::new(origin.address, RULES).config(|c| c.listeners[0].tls = Some(tls)).start();
    runtime().block_on(async {
        for (name, identity) in [("a.test", &first), ("b.test", &second), ("x.c.test", &second)] {
            let stream =
                http2::connect_tls(server.address(), identity, name, &["http/1.1"]).await.expect(name);
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        }
        assert!(http2::connect_tls(server.address(), &second, "a.test", &["h2"]).await.is_err());
    });
    assert_eq!(server.seen.connection_failures(1), ["tls_handshake"]);
}

#[test]
fn cookie_crumbs_are_one_cookie_for_rules_and_upstream() {
    let origin = Origin::echo();
    let identity = Identity::new(&["a.test"]);
    let tls = identity.listener();
    let rules =
        format!("{RULES}\nSecRule REQUEST_HEADERS:Cookie \"@streq a=1; b=2\" \"id:7,phase:1,pass,log\"");
    let server = Setup::new(origin.address, &rules).config(|c| c.listeners[0].tls = Some(tls)).start();
    runtime().block_on(async {
        let mut client = http2::connect(server.address(), &identity).await;
        let request = http::Request::get("https://a.test/").header("cookie", "a=1").header("cookie", "b=2");
        let request = request.body(()).expect("a request");
        assert_eq!(http2::send(&mut client, request, b"", 1).await.expect("a response").status(), 200);
    });
    assert_eq!(origin.request().header("cookie"), Some("a=1; b=2"));
    assert!(server.seen.finished(1)[0].report.rules.iter().any(|r| r.id == 7));
}

#[test]
fn http2_requests_that_the_library_refuses_are_recorded() {
    let origin = Origin::echo();
    let identity = Identity::new(&["a.test"]);
    let tls = identity.listener();
    let server = Setup::new(origin.address, RULES).config(|c| c.listeners[0].tls = Some(tls)).start();
    runtime().block_on(async {
        let mut client = http2::connect(server.address(), &identity).await;
        let request = http::Request::get("https://user@a.test/").body(()).expect("a request");
        let response = http2::send(&mut client, request, b"", 1).await.expect("a response");
        assert_eq!(response.status(), 400);
    });
    let finished = server.seen.finished(1).remove(0);
    assert!(finished.report.events.iter().any(|e| e.kind == EventKind::MalformedRequest));
    assert_eq!(finished.trouble(), Some(&Trouble::Unparsable));
}

#[test]
fn http2_drops_reset_their_stream_only() {
    let origin = Origin::echo();
    let identity = Identity::new(&["a.test"]);
    let tls = identity.listener();
    let server = Setup::new(origin.address, RULES).config(|c| c.listeners[0].tls = Some(tls)).start();
    runtime().block_on(async {
        let mut client = http2::connect(server.address(), &identity).await;
        for (path, is_answered) in [("drop", false), ("fine", true), ("drop", false), ("fine", true)] {
            let request = http::Request::get(format!("https://a.test/{path}")).body(()).expect("a request");
            assert_eq!(http2::send(&mut client, request, b"", 1).await.is_ok(), is_answered, "{path}");
        }
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}
