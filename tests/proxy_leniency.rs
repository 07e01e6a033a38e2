//! Requests that other servers refuse or read in their own ways, and that are served here in one way only: a length
//! beside `chunked`, several `Content-Type` lines, HTTP/0.9, `CONNECT`.

#![cfg(feature = "server")]

mod support;

use portcullis::config::UpstreamHttp2;
use portcullis::engine::EventKind;
use portcullis::http::Fault;
use portcullis::proxy::Trouble;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use support::client::get;
use support::http2::{self, Identity};
use support::origin::{Origin, nobody};
use support::server::{Portcullis, Setup, site};

const RULES: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecRule ARGS|REQUEST_BODY "@contains attack" "id:1,phase:2,deny,status:403,log"
SecRule &REQUEST_HEADERS:Content-Length "@gt 0" "id:2,phase:1,pass,log"
SecRule REQUEST_METHOD "@streq CONNECT" "id:3,phase:1,pass,log"
SecRule REQUEST_HEADERS:X-Block "@streq 1" "id:4,phase:1,deny,status:403,log"
SecRule RESPONSE_HEADERS:X-Leak "@streq 1" "id:5,phase:3,deny,status:502,log"
SecRule REQUEST_HEADERS:Content-Type "@streq application/json, application/xml" "id:6,phase:1,pass,log"
SecRule &REQUEST_HEADERS:Content-Type "@gt 1" "id:7,phase:1,pass,log"
SecRule REQBODY_ERROR "@eq 1" "id:8,phase:2,pass,log"
SecRule REQUEST_LINE "@contains odd" "id:9,phase:1,pass,log"
"#;

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";

fn ids(server: &Portcullis, request: usize) -> Vec<u64> {
    let finished = server.seen.finished(request + 1).swap_remove(request);
    finished.report.rules.iter().map(|rule| rule.id).collect()
}

#[test]
fn chunked_alone_says_where_a_request_ends() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let lengths = [
        "Content-Length: 4\r\n",
        "content-length: 0\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 100000\r\n",
    ];
    for (index, length) in lengths.iter().enumerate() {
        let mut client = server.client();
        client.send(format!(
            "POST /{index} HTTP/1.1\r\nHost: a.test\r\n{length}Transfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n{SMUGGLED}"
        ));
        let response = client.read().expect("a response");
        assert_eq!((response.status, response.header("connection")), (200, Some("close")), "{length:?}");
        assert!(response.text().starts_with("5 "), "{length:?}: {}", response.text());
        assert!(client.send(SMUGGLED).is_closed(), "{length:?}");
        let finished = server.seen.finished(index + 1).swap_remove(index);
        let note = finished.report.events.iter().find(|e| e.kind == EventKind::NormalisedRequest);
        assert!(note.is_some_and(|e| e.detail.contains("content_length_dropped")), "{length:?}");
        assert_eq!(ids(&server, index), [0_u64; 0], "{length:?}: rules see no length either");
    }
    // A next client's request is answered with its own response, so that the upstream connection is in step too.
    assert!(server.exchange(get("/next")).text().starts_with("0 "));
    let lines: Vec<String> = origin.requests().into_iter().map(|r| r.line).collect();
    let expected: Vec<String> = (0..lengths.len()).map(|i| format!("POST /{i} HTTP/1.1")).collect();
    assert_eq!(lines[..lengths.len()], expected);
    assert_eq!(lines[lengths.len()..], ["GET /next HTTP/1.1"]);
}

#[test]
fn chunks_that_stream_past_the_rules_carry_no_length() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, "SecRuleEngine On\nSecRequestBodyAccess Off");
    let mut client = server.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\n\r\n{SMUGGLED}"
    ));
    assert_eq!(client.read().expect("a response").status, 200);
    assert!(client.is_closed());
    let request = origin.request();
    assert_eq!(
        (request.header("transfer-encoding"), request.header("content-length")),
        (Some("chunked"), None)
    );
    assert_eq!(request.body, b"hello");
}

#[test]
fn a_refused_request_with_both_framings_ends_the_connection_too() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let framing = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n8\r\na=attack\r\n0\r\n\r\n";
    for head in ["X-Block: 1\r\n", "Content-Type: text/plain\r\nContent-Encoding: lzma\r\n", ""] {
        let mut client = server.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\n{head}{framing}{SMUGGLED}"));
        let response = client.read().expect("a response");
        if !head.is_empty() {
            assert!([403, 415].contains(&response.status), "{head:?}: {}", response.status);
        }
        assert_eq!(response.header("connection"), Some("close"), "{head:?}");
        assert!(client.is_closed(), "{head:?}");
    }
    let served: Vec<String> = origin.requests().into_iter().map(|r| r.line).collect();
    assert_eq!(served, ["POST / HTTP/1.1"]);
}

#[test]
fn several_content_types_are_one_line_for_rules_and_upstream() {
    let origin = Origin::echo();
    let identity = Identity::new(&["a.test"]);
    let tls = identity.listener();
    let server = Setup::new(origin.address, RULES)
        .config(|c| {
            c.listeners.push(support::server::listener());
            c.listeners[1].tls = Some(tls);
        })
        .start();
    let two = "Content-Type: application/json\r\nX: y\r\ncontent-type: application/xml\r\n";
    let body = "{\"a\": 1}";
    let request =
        format!("POST / HTTP/1.1\r\nHost: a.test\r\n{two}Content-Length: {}\r\n\r\n{body}", body.len());
    assert_eq!(server.exchange(&request).status, 200);
    assert_eq!(ids(&server, 0), [2, 6, 8]);
    let over_http2 = http::Request::post("https://a.test/")
        .header("content-type", "application/json")
        .header("content-type", "application/xml")
        .body(())
        .expect("a request");
    runtime().block_on(async {
        let mut client = http2::connect(server.addresses[1], &identity).await;
        let response = http2::send(&mut client, over_http2, body.as_bytes(), 3).await.expect("a response");
        assert_eq!(response.status(), 200);
    });
    assert_eq!(ids(&server, 1), [6, 8]);
    for request in origin.requests() {
        assert_eq!(request.header("content-type"), Some("application/json, application/xml"));
        assert_eq!(request.body, body.as_bytes());
    }
    for finished in server.seen.finished(2) {
        assert!(finished.report.events.iter().any(|e| e.kind == EventKind::NormalisedRequest));
    }
    // Whichever type an origin goes by, the bytes have been looked at.
    assert_eq!(server.exchange(request.replace("\"a\": 1", "attack")).status, 403);
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn a_request_of_http_0_9_is_seen_and_gets_an_answer_without_a_head() {
    let origin = Origin::echo();
    let server = Setup::new(origin.address, RULES)
        .config(|c| c.client.head_timeout = Duration::from_millis(300))
        .start();
    let cases = [
        ("GET /odd\r\n\r\n", true),
        ("GET /odd \r\nHost: a.test\r\n\r\n", true),
        ("GET http://a.test/odd\r\nHost: a.test\r\n\r\n", true),
        // All of such a request is its line: the rest need not come.
        ("GET /odd\r\n", true),
        ("POST /odd\r\n\r\n", false),
        ("GET odd\r\n\r\n", false),
    ];
    for (index, (request, is_simple)) in cases.into_iter().enumerate() {
        let mut client = server.client();
        client.send(request);
        let mut answer = Vec::new();
        loop {
            let more = client.read_some().expect("no reset");
            if more.is_empty() {
                break;
            }
            answer.extend(more);
        }
        let text = String::from_utf8(answer).expect("text");
        assert_eq!(text.starts_with("HTTP/1.1 400 "), !is_simple, "{request:?}: {text}");
        assert_eq!(text.starts_with("<!DOCTYPE html>"), is_simple, "{request:?}: {text}");
        assert!(text.contains("<h1>400"), "{request:?}: {text}");
        let finished = server.seen.finished(index + 1).swap_remove(index);
        assert_eq!(finished.status, 400, "{request:?}");
        assert!(matches!(finished.trouble(), Some(Trouble::Malformed(_))), "{request:?}");
        assert!(ids(&server, index).contains(&9), "{request:?}");
    }
    // Without its line's end it is no request at all.
    let mut client = server.client();
    client.send("GET /odd").finish();
    assert!(client.is_closed());
    assert_eq!(origin.connections(), 0);
}

/// A server that answers one connection's head with `answer`, and then tells all that came on it until its end.
fn raw_origin(answer: &'static str) -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
            let mut answered = false;
            while let Ok(n @ 1..) = stream.read(&mut buffer) {
                seen.extend_from_slice(&buffer[..n]);
                if !answered && seen.windows(4).any(|w| w == b"\r\n\r\n") {
                    answered = true;
                    let _ = stream.write_all(answer.as_bytes());
                }
            }
            if tell.send(seen).is_err() {
                return;
            }
        }
    });
    (address, told)
}

fn all_of(client: &mut support::client::Client) -> String {
    let mut all = Vec::new();
    while let Ok(more) = client.read_some()
        && !more.is_empty()
    {
        all.extend(more);
    }
    String::from_utf8(all).expect("text")
}

const CONNECT: &str = "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nX-End: 1\r\nX-Hop: 1\r\n\
                       Connection: keep-alive, X-Hop\r\nUpgrade: h2c\r\n\r\n";

#[test]
fn connect_is_a_request_and_no_tunnel() {
    let (upstream, told) =
        raw_origin("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Fine\r\nX-A: b\r\n\r\nFROM THE UPSTREAM");
    let server = Portcullis::start(upstream, RULES);
    let mut client = server.client();
    client.send(format!("{CONNECT}FROM THE CLIENT"));
    client.send(SMUGGLED);
    let answer = all_of(&mut client);
    let (head, rest) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 Fine\r\n") && rest.is_empty(), "{answer}");
    let head = head.to_ascii_lowercase();
    assert!(
        head.contains("x-a: b") && head.contains("x-request-id: ") && head.contains("connection: close"),
        "{head}"
    );
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");

    let seen = told.recv_timeout(Duration::from_secs(10)).expect("the upstream's connection ends");
    let seen = String::from_utf8(seen).expect("text");
    let (head, rest) = seen.split_once("\r\n\r\n").expect("a head");
    assert_eq!(rest, "", "nothing of the client's follows its head");
    assert!(head.starts_with("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nX-End: 1\r\n"), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("x-forwarded-for: 127.0.0.1") && head.contains("connection: close"), "{head}");
    assert!(
        !head.contains("x-hop") && !head.contains("upgrade") && !head.contains("content-length"),
        "{head}"
    );
    assert_eq!(ids(&server, 0), [3]);
    let finished = server.seen.finished(1).remove(0);
    assert_eq!((finished.status, finished.trouble()), (200, None));
}

#[test]
fn a_body_of_connect_goes_nowhere() {
    let (upstream, told) = raw_origin("HTTP/1.1 204 No\r\n\r\n");
    let server = Portcullis::start(upstream, RULES);
    for framing in
        ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
    {
        let mut client = server.client();
        client.send(format!("CONNECT a.test:1 HTTP/1.1\r\nHost: a.test\r\n{framing}"));
        assert!(all_of(&mut client).starts_with("HTTP/1.1 204 "));
        let seen =
            String::from_utf8(told.recv_timeout(Duration::from_secs(10)).expect("an end")).expect("text");
        assert!(seen.ends_with("\r\n\r\n") && !seen.contains("hello"), "{seen}");
        let lower = seen.to_ascii_lowercase();
        assert!(!lower.contains("content-length") && !lower.contains("transfer-encoding"), "{seen}");
    }
    for finished in server.seen.finished(2) {
        assert!(finished.report.events.iter().any(|e| e.kind == EventKind::RequestBodyUninspected));
    }
}

#[test]
fn answers_to_connect_are_inspected_and_cut_to_their_head() {
    for (answer, status) in [
        ("HTTP/1.1 405 No\r\nContent-Length: 4\r\nX-A: b\r\n\r\nbody", 405),
        ("HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 500),
        ("HTTP/1.1 200 Fine\r\nX-Leak: 1\r\n\r\nbody", 502),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nbody", 502),
        ("SSH-2.0-OpenSSH_9.9\r\n", 502),
    ] {
        let (upstream, _told) = raw_origin(answer);
        let server = Portcullis::start(upstream, RULES);
        let mut client = server.client();
        client.send(CONNECT);
        let text = all_of(&mut client);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{answer:?}: {text}");
        assert!(!text.contains("body\r\n") && !text.ends_with("body"), "{answer:?}: {text}");
        if [405, 500].contains(&status) {
            assert!(
                text.contains("Content-Length: 0\r\n") && text.ends_with("\r\n\r\n"),
                "{answer:?}: {text}"
            );
        }
        assert_eq!(server.seen.finished(1)[0].status, status, "{answer:?}");
    }
}

#[test]
fn connect_goes_no_further_than_rules_and_sites_allow() {
    let (upstream, told) = raw_origin("HTTP/1.1 200 Fine\r\n\r\n");
    let strict = "SecRuleEngine On\nSecAction \"id:90,phase:1,deny,status:403\"";
    let mut setup = Setup::new(upstream, RULES)
        .and(site("inner", "inner.test", "/", upstream), strict)
        .site(|s| s.timeouts.read = Duration::from_millis(300));
    setup.sites[0].0.hosts = vec!["a.test".parse().expect("a host")];
    let server = setup.start();
    for (index, (request, status, trouble)) in [
        ("CONNECT a.test:1 HTTP/1.1\r\nHost: a.test\r\nX-Block: 1\r\n\r\n", 403, None),
        ("CONNECT inner.test:1 HTTP/1.1\r\nHost: inner.test\r\n\r\n", 403, None),
        // Whoever goes by the target would serve it by another site's rules.
        (
            "CONNECT inner.test:1 HTTP/1.1\r\nHost: a.test\r\n\r\n",
            400,
            Some(Trouble::Malformed(Fault::HostMismatch)),
        ),
        ("CONNECT c.test:1 HTTP/1.1\r\nHost: c.test\r\n\r\n", 404, Some(Trouble::NoSite)),
        ("CONNECT /a HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, Some(Trouble::Malformed(Fault::BadTarget))),
    ]
    .into_iter()
    .enumerate()
    {
        let response = server.exchange(request);
        assert_eq!((response.status, response.header("connection")), (status, Some("close")), "{request:?}");
        let finished = server.seen.finished(index + 1).swap_remove(index);
        if trouble.is_some() {
            assert_eq!(finished.trouble(), trouble.as_ref(), "{request:?}");
        }
    }
    assert!(told.try_recv().is_err(), "nothing of it reaches the upstream");
}

#[test]
fn an_upstream_that_does_not_answer_connect_is_not_waited_for_long() {
    let (silent, _told) = raw_origin("");
    let server = Setup::new(silent, RULES).site(|s| s.timeouts.read = Duration::from_millis(300)).start();
    assert_eq!(server.exchange(CONNECT).status, 504);
    let nobody = nobody();
    let server = Portcullis::start(nobody, RULES);
    assert_eq!(server.exchange(CONNECT).status, 502);
    assert_eq!(server.seen.finished(1)[0].trouble(), Some(&Trouble::UpstreamRefused));
}

#[test]
fn connect_over_http2_is_refused_on_either_side() {
    let (upstream, told) = raw_origin("HTTP/1.1 200 Fine\r\n\r\n");
    let identity = Identity::new(&["a.test"]);
    let tls = identity.listener();
    let server = Setup::new(upstream, RULES).config(|c| c.listeners[0].tls = Some(tls)).start();
    runtime().block_on(async {
        let mut client = http2::connect(server.address(), &identity).await;
        let request = http::Request::connect("a.test:443").body(()).expect("a request");
        assert_eq!(http2::send(&mut client, request, b"", 1).await.expect("a response").status(), 405);
    });
    assert_eq!(ids(&server, 0), [3]);
    assert_eq!(server.seen.finished(1)[0].trouble(), Some(&Trouble::Tunnel));

    let server = Setup::new(upstream, RULES).site(|s| s.upstreams[0].http2 = UpstreamHttp2::Always).start();
    assert_eq!(server.exchange(CONNECT).status, 405);
    assert!(told.try_recv().is_err(), "nothing of it reaches the upstream");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}
