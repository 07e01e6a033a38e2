//! Upstreams over TLS and HTTP/2, and reloads under load.

#![cfg(feature = "server")]

mod support;

use portcullis::config::{Upstream, UpstreamHttp2, UpstreamTls};
use portcullis::engine::EventKind;
use portcullis::proxy::Trouble;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::client::{get, post};
use support::http2::{self, Identity, TlsOrigin};
use support::origin::{Origin, digest};
use support::server::{Setup, to};

const RULES: &str = "SecRuleEngine On\nSecRequestBodyAccess On\nSecRequestBodyLimit 20000000\n\
                     SecRequestBodyNoFilesLimit 20000000";

fn over_tls(address: SocketAddr, sni: &str, identity: &Identity, http2: UpstreamHttp2) -> Upstream {
    Upstream {
        tls: Some(UpstreamTls {
            verify: true,
            sni: sni.to_owned(),
            ca: Some(identity.files.path().join("cert.pem")),
            identity: None,
        }),
        http2,
        ..to(address)
    }
}

#[test]
fn upstreams_over_tls_are_verified() {
    let (identity, stranger) = (Identity::new(&["inner.test"]), Identity::new(&["inner.test"]));
    let origin = TlsOrigin::start(&identity, &["http/1.1"]);
    for (sni, authority, verify, status) in [
        ("inner.test", &identity, true, 200),
        ("other.test", &identity, true, 502),
        ("inner.test", &stranger, true, 502),
        ("other.test", &stranger, false, 200),
    ] {
        let mut upstream = over_tls(origin.address, sni, authority, UpstreamHttp2::Never);
        upstream.tls.as_mut().expect("TLS").verify = verify;
        let server = Setup::new(origin.address, RULES).site(|s| s.upstreams = vec![upstream]).start();
        assert_eq!(server.exchange(get("/")).status, status, "{sni} {verify}");
        if status == 502 {
            assert_eq!(server.seen.finished(1)[0].trouble(), Some(&Trouble::UpstreamTls));
        }
    }
}

#[test]
fn a_missing_authority_file_is_no_trust() {
    let identity = Identity::new(&["inner.test"]);
    let origin = TlsOrigin::start(&identity, &["http/1.1"]);
    let mut upstream = over_tls(origin.address, "inner.test", &identity, UpstreamHttp2::Never);
    upstream.tls.as_mut().expect("TLS").ca = Some("/nonexistent/ca.pem".into());
    let server = Setup::new(origin.address, RULES).site(|s| s.upstreams = vec![upstream]).start();
    assert_eq!(server.exchange(get("/")).status, 502);
}

#[test]
fn bodies_reach_http2_upstreams_unchanged() {
    let identity = Identity::new(&["inner.test"]);
    let origin = TlsOrigin::start(&identity, &["h2", "http/1.1"]);
    let upstream = over_tls(origin.address, "inner.test", &identity, UpstreamHttp2::Offered);
    let front = Identity::new(&["a.test"]);
    let tls = front.listener();
    let server = Setup::new(origin.address, RULES)
        .config(|c| {
            c.listeners.push(support::server::listener());
            c.listeners[1].tls = Some(tls);
        })
        .site(|s| s.upstreams = vec![upstream])
        .start();
    for size in [0, 1, 65_537, 1_000_000, 12_000_000] {
        let body: Vec<u8> = (0..size).map(|n: usize| (n % 251) as u8).collect();
        let expected = format!("h2 POST a.test {size} {:016x}", digest(&body));
        assert_eq!(server.exchange(post("/", &body)).text(), expected);
        let chunked = support::client::post_chunked("/", &body, 30_000);
        assert_eq!(server.exchange(chunked).text(), expected);
        let address = server.addresses[1];
        let response = runtime().block_on(async {
            let mut client = http2::connect(address, &front).await;
            let request = http::Request::post("https://a.test/").body(()).expect("a request");
            http2::send(&mut client, request, &body, 16_384).await.expect("a response")
        });
        assert_eq!(String::from_utf8_lossy(response.body()), expected);
    }
    // One that insists finds nothing else acceptable.
    let plain = TlsOrigin::start(&identity, &["http/1.1"]);
    let upstream = over_tls(plain.address, "inner.test", &identity, UpstreamHttp2::Always);
    let server = Setup::new(plain.address, RULES).site(|s| s.upstreams = vec![upstream]).start();
    assert_eq!(server.exchange(get("/")).status, 502);
}

#[test]
fn grpc_streams_flow_in_both_directions_with_their_trailers() {
    let (identity, front) = (Identity::new(&["inner.test"]), Identity::new(&["a.test"]));
    let origin = TlsOrigin::start(&identity, &["h2"]);
    let upstream = over_tls(origin.address, "inner.test", &identity, UpstreamHttp2::Always);
    let tls = front.listener();
    let server = Setup::new(origin.address, RULES)
        .config(|c| c.listeners[0].tls = Some(tls))
        .site(|s| s.upstreams = vec![upstream])
        .start();
    runtime().block_on(async {
        let client = http2::connect(server.address(), &front).await;
        let request = http::Request::post("https://a.test/stream")
            .header("content-type", "application/grpc+proto")
            .header("te", "trailers")
            .body(())
            .expect("a request");
        let mut client = client.ready().await.expect("a connection");
        let (response, mut sender) = client.send_request(request, false).expect("a stream");
        let mut receiver = None;
        let mut response = Some(response);
        for word in ["one", "two", "three"] {
            sender.send_data(bytes::Bytes::from(word), false).expect("room");
            // Each message comes back before the next one is sent.
            if let Some(response) = response.take() {
                receiver = Some(response.await.expect("a response").into_body());
            }
            let chunk = receiver.as_mut().expect("a body").data().await.expect("a message").expect("data");
            assert_eq!(chunk, word);
        }
        sender.send_data(bytes::Bytes::new(), true).expect("room");
        let mut receiver = receiver.expect("a body");
        while receiver.data().await.is_some() {}
        let trailers = receiver.trailers().await.expect("no error").expect("trailers");
        assert_eq!(trailers["grpc-status"], "0");
    });
    let events = server.seen.finished(1).remove(0).report.events;
    assert!(events.iter().any(|e| e.kind == EventKind::RequestBodyUninspected));
}

#[test]
fn what_only_looks_like_grpc_is_inspected() {
    let identity = Identity::new(&["a.test"]);
    let origin = Origin::echo();
    let tls = identity.listener();
    let rules = "SecRuleEngine On\nSecRequestBodyAccess On\n\
                 SecAction \"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=URLENCODED\"\n\
                 SecRule ARGS:a \"@streq attack\" \"id:2,phase:2,deny\"";
    // The upstream speaks HTTP/1.1 only, so that no gRPC can be meant.
    let server = Setup::new(origin.address, rules).config(|c| c.listeners[0].tls = Some(tls)).start();
    runtime().block_on(async {
        let mut client = http2::connect(server.address(), &identity).await;
        let request = http::Request::post("https://a.test/")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("a request");
        let response = http2::send(&mut client, request, b"a=attack", 100).await.expect("a response");
        assert_eq!(response.status(), 403);
    });
    assert!(server.seen.finished(1)[0].report.events.is_empty());
}

#[test]
fn an_upstream_by_name_is_resolved() {
    let origin = Origin::echo();
    let upstream = Upstream { host: "localhost".to_owned(), ..to(origin.address) };
    let missing = Upstream { host: "nowhere.invalid".to_owned(), ..to(origin.address) };
    let server = Setup::new(origin.address, RULES).site(|s| s.upstreams = vec![upstream]).start();
    // `localhost` may be ::1 first, where nobody listens.
    let status = server.exchange(get("/")).status;
    assert!([200, 502].contains(&status));
    let server = Setup::new(origin.address, RULES).site(|s| s.upstreams = vec![missing]).start();
    assert_eq!(server.exchange(get("/")).status, 502);
    assert_eq!(server.seen.finished(1)[0].trouble(), Some(&Trouble::UpstreamName));
}

#[test]
fn reloads_under_load_drop_no_request() {
    let origin = Origin::echo();
    let setup = Setup::new(origin.address, RULES);
    let generations: Vec<_> = (2..302).map(|number| Arc::new(setup.generation(number))).collect();
    let server = Arc::new(setup.start());
    let is_over = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|n| {
            let (server, is_over, served) = (Arc::clone(&server), Arc::clone(&is_over), Arc::clone(&served));
            std::thread::spawn(move || {
                let mut client = server.client();
                let body = vec![b'a' + n; 20_000];
                let expected = format!("20000 {:016x}", digest(&body));
                while !is_over.load(Ordering::Acquire) {
                    client.send(post("/", &body));
                    let response = client.read().expect("a response");
                    assert_eq!((response.status, response.text()), (200, expected.clone()));
                    served.fetch_add(1, Ordering::AcqRel);
                }
            })
        })
        .collect();
    let until = Instant::now() + Duration::from_secs(20);
    for generation in generations {
        let before = served.load(Ordering::Acquire);
        server.current.store(generation);
        // Every generation serves somebody before the next one comes.
        while served.load(Ordering::Acquire) == before {
            assert!(Instant::now() < until, "the load has stopped");
            std::thread::yield_now();
        }
    }
    is_over.store(true, Ordering::Release);
    for client in clients {
        client.join().expect("no request failed");
    }
    assert!(served.load(Ordering::Acquire) >= 300);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}
