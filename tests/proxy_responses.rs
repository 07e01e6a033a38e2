//! Responses: held until phases 3 and 4 have passed, streamed where they must be, replaced where they are blocked.

#![cfg(feature = "server")]

mod support;

use portcullis::engine::EventKind;
use portcullis::proxy::Trouble;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::client::{get, post};
use support::http2::{self, Identity};
use support::origin::{Origin, nobody, respond};
use support::server::{Portcullis, Setup};

const RULES: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html
SecResponseBodyLimit 100000
SecResponseBodyLimitAction ProcessPartial
SecRule RESPONSE_STATUS "@streq 418" "id:3,phase:3,deny,status:502,log,msg:'teapot'"
SecRule RESPONSE_HEADERS:X-Leak "@rx ." "id:5,phase:4,deny,status:403,log,msg:'header leak'"
SecRule RESPONSE_BODY "@contains secret-marker" "id:4,phase:4,deny,status:403,log,msg:'leak'"
"#;

const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain")];

#[test]
fn an_innocent_response_arrives_unchanged() {
    for size in [0, 1, 99_999, 100_000, 100_001, 1_000_000] {
        let body = vec![b'x'; size];
        let origin = Origin::fixed("200 OK", &[("Content-Type", "text/plain"), ("X-A", "b")], body.clone());
        let server = Portcullis::start(origin.address, RULES);
        let response = server.exchange(get("/"));
        assert_eq!((response.status, response.body == body), (200, true), "{size}");
        assert_eq!(response.header("content-length"), Some(size.to_string().as_str()));
        assert_eq!(response.header("x-a"), Some("b"));
        assert!(response.header("x-request-id").is_some());
    }
}

#[test]
fn nothing_of_a_blocked_body_reaches_the_client() {
    let body = [&vec![b'x'; 50_000][..], b"secret-marker"].concat();
    let origin = Origin::fixed("200 OK", &TEXT, body);
    let server = Portcullis::start(origin.address, RULES);
    let response = server.exchange(get("/"));
    assert_eq!(response.status, 403);
    assert!(!response.text().contains("xxx") && !response.text().contains("secret"));
    let finished = server.seen.finished(1).remove(0);
    assert_eq!(finished.status, 403);
    assert_eq!(finished.report.response.as_ref().map(|r| r.status), Some(200));
    assert!(finished.report.rules.iter().any(|r| r.id == 4));
}

#[test]
fn the_head_waits_for_the_body() {
    let origin = Origin::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 26\r\n\r\n");
        let _ = stream.write_all(b"<p>innocent</p>");
        std::thread::sleep(Duration::from_millis(400));
        let _ = stream.write_all(b"secret-marker"[..11].as_ref());
        true
    });
    let server = Portcullis::start(origin.address, RULES);
    let started = Instant::now();
    let response = server.exchange(get("/"));
    assert_eq!((response.status, response.text()), (200, "<p>innocent</p>secret-mark".to_owned()));
    assert!(started.elapsed() >= Duration::from_millis(400));
}

#[test]
fn blocked_by_head_or_status() {
    let origin = Origin::start(|request, stream| match request.line.contains("teapot") {
        true => respond(stream, "418 I'm a teapot", &TEXT, b"short and stout"),
        false => respond(stream, "200 OK", &[("Content-Type", "image/png"), ("X-Leak", "1")], b"bytes"),
    });
    let server = Portcullis::start(origin.address, RULES);
    let mut client = server.client();
    for (index, (path, status, rule)) in [("/teapot", 502, 3), ("/image", 403, 5)].into_iter().enumerate() {
        client.send(get(path));
        let response = client.read().expect("a response on the same connection");
        assert_eq!(response.status, status);
        assert!(!response.text().contains("stout") && !response.text().contains("bytes"));
        let finished = server.seen.finished(index + 1).pop().expect("one");
        assert!(finished.report.rules.iter().any(|r| r.id == rule));
    }
}

#[test]
fn a_refused_response_to_head_has_no_body() {
    let origin = Origin::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Leak: 1\r\n\r\n").is_ok()
    });
    let server = Portcullis::start(origin.address, RULES);
    let mut client = server.client();
    client.send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(client.read_head().expect("a response").status, 403);
    client.send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(client.read_head().expect("a second response").status, 403);
}

#[test]
fn beyond_the_limit_the_response_streams() {
    let origin = Origin::start(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3000013\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&vec![b'x'; 3_000_000]);
        stream.write_all(b"secret-marker").is_ok()
    });
    let server = Portcullis::start(origin.address, RULES);
    let response = server.exchange(get("/"));
    assert_eq!((response.status, response.body.len(), response.complete), (200, 3_000_013, true));
    let finished = server.seen.finished(1).remove(0);
    assert!(finished.report.events.iter().any(|e| e.kind == EventKind::ResponseBodyTruncated));
}

#[test]
fn beyond_the_limit_the_response_is_refused_where_rules_say_so() {
    let origin = Origin::fixed("200 OK", &TEXT, vec![b'x'; 200_000]);
    let rules = RULES.replace("ProcessPartial", "Reject");
    let server = Portcullis::start(origin.address, &rules);
    let response = server.exchange(get("/"));
    assert!(response.status >= 400, "{}", response.status);
    assert!(!response.text().contains("xxx"));
}

#[test]
fn event_streams_flow_at_once() {
    let origin = Origin::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        for n in 0..5 {
            let _ = stream.write_all(format!("data: {n}\n\n").as_bytes());
            std::thread::sleep(Duration::from_millis(300));
        }
        false
    });
    // Even where somebody lists the type for inspection.
    for rules in [RULES.to_owned(), RULES.replace("text/html", "text/event-stream")] {
        let server = Portcullis::start(origin.address, &rules);
        let mut client = server.client();
        let started = Instant::now();
        client.send(get("/"));
        client.read_until(b"data: 0").expect("the first event");
        assert!(started.elapsed() < Duration::from_millis(280), "{:?}", started.elapsed());
        client.read_until(b"data: 1").expect("the second event");
        assert!(started.elapsed() < Duration::from_millis(580), "{:?}", started.elapsed());
    }
}

#[test]
fn uninspected_types_flow_at_once() {
    let origin = Origin::start(|_, stream| {
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 10\r\n\r\nfirst");
        std::thread::sleep(Duration::from_millis(500));
        stream.write_all(b"later").is_ok()
    });
    let server = Portcullis::start(origin.address, RULES);
    let mut client = server.client();
    let started = Instant::now();
    client.send(get("/"));
    client.read_until(b"first").expect("the beginning");
    assert!(started.elapsed() < Duration::from_millis(450));
    client.read_until(b"later").expect("the end");
}

#[test]
fn websockets_pass_in_both_directions() {
    let origin = Origin::start(|request, stream| {
        assert_eq!(request.header("upgrade"), Some("websocket"));
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        let mut buffer = [0; 64];
        while let Ok(n) = std::io::Read::read(stream, &mut buffer) {
            if n == 0 || stream.write_all(&buffer[..n].to_ascii_uppercase()).is_err() {
                break;
            }
        }
        false
    });
    let server = Portcullis::start(origin.address, RULES);
    let mut client = server.client();
    client.send(
        "GET /chat HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    assert_eq!(client.read().expect("a response").status, 101);
    for word in ["hello", "secret-marker", "bye"] {
        client.send(word);
        client.read_until(word.to_ascii_uppercase().as_bytes()).expect("an echo");
    }
    drop(client);
    assert_eq!(server.seen.finished(1)[0].status, 101);
}

/// A WebSocket's handshake.
const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[test]
fn an_upstream_that_agrees_at_once_keeps_its_tunnel() {
    let origin = Origin::start(|_, stream| {
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        let mut buffer = [0; 64];
        while let Ok(n) = std::io::Read::read(stream, &mut buffer) {
            if n == 0 || stream.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        false
    });
    let server = Portcullis::start(origin.address, RULES);
    // Several at a time, so that answers are there before anybody has looked.
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for round in 0..120 {
                    let mut client = server.client();
                    client.send(UPGRADE);
                    assert_eq!(client.read().expect("a response").status, 101);
                    client.send("hello");
                    client.read_until(b"hello").unwrap_or_else(|error| panic!("round {round}: {error}"));
                }
            });
        }
    });
}

/// Agrees to a handshake, and hears what comes until "over", byte for byte.
fn tunnel(stream: &mut TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let (mut all, mut buffer, mut is_answered) = (Vec::new(), [0; 1024], false);
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        all.extend_from_slice(&buffer[..n]);
        if !is_answered && all.windows(4).any(|w| w == b"\r\n\r\n") {
            // By now, what came along with the handshake is at the proxy.
            std::thread::sleep(Duration::from_millis(50));
            let head =
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
            is_answered = stream.write_all(head.as_bytes()).is_ok();
        }
        if all.ends_with(b"over") {
            let _ = stream.write_all(b"and out");
            break;
        }
    }
    all
}

/// What a client sends behind a handshake, before it is answered, is no second request when the upstream agrees: it goes
/// into the tunnel, or nowhere.
#[test]
fn what_is_sent_behind_a_handshake_stays_in_the_tunnel() {
    let behind = get("/smuggled?q=secret-marker");
    let tunnelled = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&tunnelled);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let upstream = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let heard = Arc::clone(&heard);
            std::thread::spawn(move || {
                let all = tunnel(&mut stream);
                heard.lock().expect("nobody panics with it").push(all);
            });
        }
    });
    let server = Portcullis::start(upstream, RULES);
    let rounds = 5;
    for round in 0..rounds {
        let mut client = server.client();
        client.send([UPGRADE, &behind].concat());
        assert_eq!(client.read().expect("a response").status, 101, "round {round}");
        client.send("over");
        let rest = client.read_until(b"and out").expect("the tunnel is open");
        assert_eq!(rest, b"and out", "round {round}: nothing else is answered");
    }
    server.seen.finished(rounds);
    // A request too many would come late.
    std::thread::sleep(Duration::from_millis(300));
    let finished = server.seen.finished(0);
    assert_eq!(finished.len(), rounds, "one transaction for each connection");
    assert!(finished.iter().all(|f| f.status == 101));
    let received = tunnelled.lock().expect("nobody panics with it");
    assert_eq!(received.len(), rounds, "one connection to the upstream for each tunnel");
    for all in received.iter() {
        let end = all.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
        assert!(all.starts_with(b"GET /chat "), "{}", all.escape_ascii());
        // Byte for byte as it was sent, without any header that the proxy adds to requests.
        let tunnel = &all[end..];
        let whole = [behind.as_bytes(), b"over"].concat();
        assert!(tunnel == whole || tunnel == b"over", "{}", all.escape_ascii());
    }
}

#[test]
fn an_upgrade_that_is_not_agreed_to_is_a_request_like_any_other() {
    let origin = Origin::start(|request, stream| {
        assert!(request.all("transfer-encoding").is_empty() && request.body.is_empty());
        respond(stream, "200 OK", &TEXT, b"no")
    });
    let server = Portcullis::start(origin.address, RULES);
    let mut client = server.client();
    for _ in 0..3 {
        client.send(UPGRADE);
        assert_eq!(client.read().expect("a response").text(), "no");
        client.send(get("/"));
        assert_eq!(client.read().expect("a response on the same connection").text(), "no");
    }
    assert_eq!(origin.heads(), 6);
}

#[test]
fn interim_responses_pass() {
    let origin = Origin::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
        respond(stream, "200 OK", &TEXT, b"done")
    });
    let server = Portcullis::start(origin.address, RULES);
    let mut client = server.client();
    client.send(get("/"));
    assert_eq!(client.read().expect("hints").status, 103);
    assert_eq!(client.read().expect("a response").text(), "done");
}

#[test]
fn an_upstream_that_breaks_off_is_502_while_nothing_was_sent() {
    let origin = Origin::start(|_, stream| {
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nhalf");
        false
    });
    let server = Portcullis::start(origin.address, RULES);
    let mut client = server.client();
    client.send(get("/"));
    let response = client.read().expect("a response");
    assert_eq!(response.status, 502);
    assert!(!response.text().contains("half"));
    assert_eq!(server.seen.finished(1)[0].trouble(), Some(&Trouble::UpstreamBroken));
    client.send(get("/"));
    assert_eq!(client.read().expect("a response on the same connection").status, 502);
}

#[test]
fn an_upstream_that_breaks_off_later_cuts_the_client_off() {
    let origin = Origin::start(|_, stream| {
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 100\r\n\r\nhalf");
        std::thread::sleep(Duration::from_millis(100));
        false
    });
    let server = Portcullis::start(origin.address, RULES);
    let response = server.exchange(get("/"));
    assert_eq!((response.status, response.complete), (200, false));
}

#[test]
fn what_is_no_http_is_502() {
    let origin = Origin::start(|_, stream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n");
        false
    });
    let server = Portcullis::start(origin.address, RULES);
    assert_eq!(server.exchange(get("/")).status, 502);
}

#[test]
fn an_upstream_that_is_silent_is_504() {
    let origin = Origin::start(|_, _| {
        std::thread::sleep(Duration::from_secs(2));
        false
    });
    let server = Setup::new(origin.address, RULES)
        .site(|site| site.timeouts.read = Duration::from_millis(300))
        .start();
    assert_eq!(server.exchange(get("/")).status, 504);
    assert_eq!(server.seen.finished(1)[0].trouble(), Some(&Trouble::UpstreamLate));
}

#[test]
fn an_upstream_that_is_not_there_is_502_and_the_connection_goes_on() {
    let nowhere = nobody();
    let server = Portcullis::start(nowhere, RULES);
    let mut client = server.client();
    for _ in 0..2 {
        client.send(post("/", b"hello"));
        assert_eq!(client.read().expect("a response").status, 502);
    }
    assert_eq!(server.seen.finished(2)[1].trouble(), Some(&Trouble::UpstreamRefused));
}

#[test]
fn another_upstream_takes_over() {
    let nowhere = nobody();
    let origin = Origin::echo();
    let server = Setup::new(nowhere, RULES)
        .site(|site| site.upstreams.push(support::server::to(origin.address)))
        .start();
    for _ in 0..4 {
        assert_eq!(server.exchange(post("/", b"hello")).status, 200);
    }
    assert_eq!(origin.requests().len(), 4);
    assert_eq!(server.seen.upstream_failures(1), ["upstream_refused"]);
}

#[test]
fn requests_take_turns_among_upstreams() {
    let (a, b) = (Origin::echo(), Origin::echo());
    let server =
        Setup::new(a.address, RULES).site(|site| site.upstreams.push(support::server::to(b.address))).start();
    let mut client = server.client();
    for _ in 0..10 {
        client.send(get("/"));
        assert_eq!(client.read().expect("a response").status, 200);
    }
    assert_eq!((a.requests().len(), b.requests().len()), (5, 5));
    // And their connections are used again.
    assert_eq!((a.connections(), b.connections()), (1, 1));
}

#[test]
fn http2_clients_get_held_and_refused_responses() {
    let origin = Origin::start(|request, stream| match request.line.contains("leak") {
        true => respond(stream, "200 OK", &TEXT, b"a secret-marker"),
        false => respond(stream, "200 OK", &TEXT, &vec![b'x'; 300_000]),
    });
    let identity = Identity::new(&["a.test"]);
    let tls = identity.listener();
    let server = Setup::new(origin.address, RULES).config(|c| c.listeners[0].tls = Some(tls)).start();
    runtime().block_on(async {
        let mut client = http2::connect(server.address(), &identity).await;
        for (path, status, length) in [("leak", 403, None), ("fine", 200, Some(300_000)), ("leak", 403, None)]
        {
            let request = http::Request::get(format!("https://a.test/{path}")).body(()).expect("a request");
            let response = http2::send(&mut client, request, b"", 1).await.expect("a response");
            assert_eq!(response.status(), status);
            assert!(length.is_none_or(|n: usize| n == response.body().len()));
            assert!(!String::from_utf8_lossy(response.body()).contains("secret"));
        }
    });
}

#[test]
fn a_client_that_leaves_during_the_response_is_reported() {
    let origin = Origin::start(|_, stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n");
        for _ in 0..100 {
            if stream.write_all(&[b'x'; 10_000]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    });
    let server = Portcullis::start(origin.address, RULES);
    let mut client = server.client();
    client.send(get("/"));
    client.read_some().expect("a beginning");
    drop(client);
    assert_eq!(server.seen.finished(1)[0].trouble(), Some(&Trouble::ClientGone));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}
