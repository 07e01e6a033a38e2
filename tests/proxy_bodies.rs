//! Request bodies of every size and framing arrive upstream byte for byte, and only after phase 2.

#![cfg(feature = "server")]

mod support;

use portcullis::config::Listener;
use portcullis::engine::{Collections, NoWorld, World};
use portcullis::proxy::{Shortage, Trouble};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use support::client::{get, post, post_chunked};
use support::http2::{self, Identity};
use support::origin::{Origin, digest};
use support::server::{Portcullis, Setup};

/// Reads bodies of up to 16 MB, refuses larger ones, and denies those with a certain word.
const RULES: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecRequestBodyLimit 16777216
SecRequestBodyNoFilesLimit 16777216
SecRequestBodyLimitAction Reject
SecRule REQUEST_HEADERS:Content-Type "@rx ." "id:1,phase:1,pass,nolog,ctl:forceRequestBodyVariable=On"
SecRule REQUEST_BODY "@contains attack-marker" "id:2,phase:2,deny,status:403,log,msg:'marker'"
"#;

const SIZES: [usize; 7] = [0, 1, 65_535, 65_536, 65_537, 1_000_000, 12_000_000];

/// Bytes that compress to nothing and repeat nowhere near.
fn body(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..size)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Printable, so that no rule about bytes is in the way.
            b'0' + (state >> 58) as u8
        })
        .collect()
}

#[test]
fn bodies_with_a_length_arrive_unchanged() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    for size in SIZES {
        let body = body(size);
        let response = server.exchange(post("/", &body));
        assert_eq!(response.status, 200, "{size}");
        assert_eq!(response.text(), format!("{size} {:016x}", digest(&body)));
        let request = origin.requests().pop().expect("a request");
        assert_eq!(request.header("content-length"), Some(size.to_string().as_str()));
    }
}

#[test]
fn chunked_bodies_arrive_unchanged() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    for size in SIZES {
        let body = body(size);
        for chunk in [7_919, 65_536] {
            let response = server.exchange(post_chunked("/", &body, chunk));
            assert_eq!(response.status, 200, "{size}");
            assert_eq!(response.text(), format!("{size} {:016x}", digest(&body)));
        }
    }
}

#[test]
fn bodies_over_http2_arrive_unchanged() {
    let origin = Origin::echo();
    let identity = Identity::new(&["a.test"]);
    let tls = identity.listener();
    let server = Setup::new(origin.address, RULES).config(|c| c.listeners[0].tls = Some(tls)).start();
    runtime().block_on(async {
        let mut client = http2::connect(server.address(), &identity).await;
        for size in SIZES {
            let body = body(size);
            for length in [true, false] {
                let mut request = http::Request::post("https://a.test/").header("content-type", "text/plain");
                if length {
                    request = request.header("content-length", size);
                }
                let request = request.body(()).expect("a request");
                let response = http2::send(&mut client, request, &body, 16_384).await.expect("a response");
                assert_eq!(response.status(), 200, "{size}");
                let text = String::from_utf8(response.into_body()).expect("text");
                assert_eq!(text, format!("{size} {:016x}", digest(&body)));
            }
        }
    });
    let request = origin.requests().pop().expect("a request");
    assert_eq!(request.header("host"), Some("a.test"));
    assert_eq!(request.header("x-forwarded-proto"), Some("https"));
}

#[test]
fn nothing_goes_upstream_before_the_last_byte_was_inspected() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let body = body(200_000);
    let request = post("/", &body);
    let (head, tail) = request.split_at(request.len() - 1);
    let mut client = server.client();
    client.send(head);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(origin.connections(), 0);
    let last = Instant::now();
    client.send(tail);
    assert_eq!(client.read().expect("a response").status, 200);
    assert!(origin.first_connection().expect("a connection") >= last);
}

#[test]
fn a_blocked_body_never_reaches_the_upstream() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    for size in [0, 70_000, 1_000_000] {
        let mut body = body(size);
        body.extend_from_slice(b"attack-marker");
        for request in [post("/", &body), post_chunked("/", &body, 10_000)] {
            assert_eq!(server.exchange(request).status, 403, "{size}");
        }
    }
    let finished = server.seen.finished(6);
    assert!(finished.iter().all(|f| f.status == 403 && f.report.rules.iter().any(|r| r.id == 2)));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn the_client_is_told_to_continue_and_the_upstream_is_not_asked() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let mut client = server.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.read().expect("an interim response").status, 100);
    assert_eq!(origin.connections(), 0);
    client.send("hello");
    let response = client.read().expect("a response");
    assert_eq!((response.status, response.text()), (200, format!("5 {:016x}", digest(b"hello"))));
    assert_eq!(origin.request().header("expect"), None);
    // The connection goes on.
    client.send(get("/"));
    assert_eq!(client.read().expect("a response").status, 200);
}

#[test]
fn who_is_blocked_by_the_head_is_not_told_to_continue() {
    let origin = Origin::echo();
    let rules = "SecRuleEngine On\nSecRule REQUEST_URI \"@contains evil\" \"id:1,phase:1,deny,status:403\"";
    let server = Portcullis::start(origin.address, rules);
    let mut client = server.client();
    client.send("POST /evil HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let response = client.read().expect("a response");
    assert_eq!((response.status, response.header("connection")), (403, Some("close")));
    assert!(client.is_closed());
}

#[test]
fn a_client_that_stops_is_answered_408() {
    let origin = Origin::echo();
    let server = Setup::new(origin.address, RULES)
        .site(|site| site.timeouts.body_read = Duration::from_millis(300))
        .start();
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\nhello");
    let response = client.read().expect("a response");
    assert_eq!((response.status, response.header("connection")), (408, Some("close")));
    assert!(client.is_closed());
    assert_eq!(server.seen.finished(1)[0].trouble(), Some(&Trouble::BodyLate));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_client_that_trickles_meets_the_total_time() {
    let origin = Origin::echo();
    let server = Setup::new(origin.address, RULES)
        .site(|site| {
            site.timeouts.body_read = Duration::from_millis(500);
            site.timeouts.body_total = Duration::from_millis(900);
        })
        .start();
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\n");
    let started = Instant::now();
    for _ in 0..20 {
        client.send("x");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(client.read().expect("a response").status, 408);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn http2_clients_are_timed_as_well() {
    let origin = Origin::echo();
    let identity = Identity::new(&["a.test"]);
    let tls = identity.listener();
    let server = Setup::new(origin.address, RULES)
        .config(|c| c.listeners[0].tls = Some(tls))
        .site(|site| site.timeouts.body_read = Duration::from_millis(300))
        .start();
    runtime().block_on(async {
        let client = http2::connect(server.address(), &identity).await;
        let request = http::Request::post("https://a.test/").body(()).expect("a request");
        let mut client = client.ready().await.expect("a connection");
        let (response, _stream) = client.send_request(request, false).expect("a stream");
        assert_eq!(response.await.expect("a response").status(), 408);
    });
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_slow_client_is_served() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let mut client = server.client();
    let request = post("/", b"slowly sent");
    for piece in request.chunks(9) {
        client.send(piece);
        std::thread::sleep(Duration::from_millis(15));
    }
    assert_eq!(client.read().expect("a response").status, 200);
    assert_eq!(origin.request().body, b"slowly sent");
}

#[test]
fn a_client_that_leaves_is_no_request_for_the_upstream() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\nhello");
    drop(client);
    let finished = server.seen.finished(1);
    assert_eq!((finished[0].status, finished[0].trouble()), (0, Some(&Trouble::ClientGone)));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn broken_chunks_are_refused() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    for chunks in [
        "xyz\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello",
        "-5\r\nhello\r\n",
    ] {
        let head = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut client = server.client();
        client.send(format!("{head}{chunks}"));
        let response = client.read().expect("a response");
        assert_eq!((response.status, response.header("connection")), (400, Some("close")), "{chunks:?}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn too_large_a_body_is_refused_where_the_rules_say_so() {
    let origin = Origin::echo();
    let rules = RULES.replace("16777216", "100000");
    let server = Portcullis::start(origin.address, &rules);
    for request in [post("/", &body(100_001)), post_chunked("/", &body(300_000), 9_000)] {
        assert_eq!(server.exchange(request).status, 413);
    }
    assert_eq!(server.exchange(post("/", &body(100_000))).status, 200);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn the_rest_of_a_large_body_streams_where_the_rules_say_so() {
    let origin = Origin::echo();
    let rules = RULES.replace("16777216", "100000").replace("Reject", "ProcessPartial");
    let server = Portcullis::start(origin.address, &rules);
    let body = body(6_000_000);
    for request in [post("/", &body), post_chunked("/", &body, 50_000)] {
        let response = server.exchange(request);
        assert_eq!((response.status, response.text()), (200, format!("6000000 {:016x}", digest(&body))));
    }
    let inspected = server.seen.finished(2).iter().map(|f| f.report.request.body.inspected).max();
    assert!(inspected.expect("two") <= 100_000);

    // What begins with an attack is refused even so, and before anything went upstream.
    let before = origin.heads();
    let attack = [&b"attack-marker"[..], &body].concat();
    assert_eq!(server.exchange(post("/", &attack)).status, 403);
    assert_eq!(origin.heads(), before);
}

#[test]
fn an_allowance_for_all_bodies_together_holds() {
    let origin = Origin::echo();
    // A body is held for the upstream and for rules, as it came and as what was made of it.
    let server = Setup::new(origin.address, RULES).config(|c| c.client.held_bytes = 300_000).start();
    let response = server.exchange(post("/", &body(400_000)));
    assert_eq!((response.status, response.header("retry-after")), (503, Some("2")));
    let finished = server.seen.finished(1);
    let shortage = Shortage::HeldBytes;
    let expected = Trouble::Overloaded { shortage, open: false, retry_after: 2 };
    assert_eq!(finished[0].trouble(), Some(&expected));
    // It is given back.
    for _ in 0..5 {
        assert_eq!(server.exchange(post("/", &body(40_000))).status, 200);
    }
    assert_eq!(origin.requests().len(), 5);
}

#[test]
fn cleartext_listeners_ignore_the_offer_of_http2() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, RULES);
    let Listener { http2, .. } = support::server::listener();
    assert!(http2);
    let response = server.exchange("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(response.status >= 400);
    assert_eq!(origin.connections(), 0);
}

/// Takes long over a body, by looking at it in many ways.
/// Tells rules the name of the thread on which they run, as a variable of the environment.
struct Where;

impl World for Where {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn collections(&self) -> &dyn Collections {
        &NoWorld
    }

    fn random(&self) -> u64 {
        0
    }

    fn env(&self, name: &str) -> Option<String> {
        (name == "THREAD").then(|| std::thread::current().name().unwrap_or_default().to_owned())
    }
}

/// What takes long is not done by the threads that serve connections: many bytes of a body or of a head, and fewer where
/// these have turned out to be dear.
#[test]
fn long_inspections_leave_the_threads_that_serve() {
    let told = "SecRule ENV:THREAD \"@streq inspection\" \"id:9000,phase:2,deny,status:409\"\n";
    let origin = Origin::echo();
    let start = |rules: &str| Setup::new(origin.address, &format!("{rules}{told}")).start_in(Arc::new(Where));
    let (here, beside) = (200, 409);
    let with_head = |length: usize| {
        let value = String::from_utf8(body(length)).expect("text");
        get("/").replace("\r\n\r\n", &format!("\r\nX-Long: {value}\r\n\r\n"))
    };

    let server = start(RULES);
    for length in [0, 5, 7_000] {
        assert_eq!(server.exchange(post("/", &body(length))).status, here, "{length}");
    }
    // As long as nothing is known of what they cost, and with other rules again.
    let some = post("/", &body(31_000));
    for generation in 1..3 {
        assert_eq!(server.exchange(&some).status, beside, "nothing is known yet");
        assert!((0..1_000).any(|_| server.exchange(&some).status == here), "nothing is learnt");
        assert_eq!(server.exchange(post("/", &body(20_000))).status, here);
        let next = Setup::new(origin.address, &format!("{RULES}{told}")).generation(generation + 1);
        assert_eq!(server.exchange(post("/", &body(40_000))).status, beside);
        if generation == 1 {
            server.current.store(Arc::new(next));
        }
    }
    // Rules look at the head together with the body.
    assert_eq!(server.exchange(with_head(20_000)).status, here);
    assert_eq!(server.exchange(with_head(40_000)).status, beside);

    let dear = start(&slow_rules());
    let ask = |request: &[u8]| dear.exchange(request).status;
    let some = post("/", &body(24_000));
    assert_eq!(ask(&some), beside);
    assert_eq!(ask(with_head(24_000).as_bytes()), beside);
    // Ordinary requests never are.
    assert_eq!(ask(&post("/", &body(7_000))), here);
    assert_eq!(ask(with_head(7_000).as_bytes()), here);
}

/// A body is what it unfolds to.
#[test]
fn short_bodies_that_unfold_leave_the_threads_that_serve() {
    let told = "SecRule ENV:THREAD \"@streq inspection\" \"id:9000,phase:2,deny,status:409\"\n\
        SecRule REQUEST_HEADERS:Content-Type \"@contains json\" \
        \"id:9001,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\n";
    let origin = Origin::echo();
    let server = Setup::new(origin.address, &format!("{RULES}{told}")).start_in(Arc::new(Where));
    let send = |kind: &str, more: &str, body: &[u8]| {
        let length = body.len();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Type: {kind}\r\n{more}Content-Length: {length}\r\n\r\n"
        );
        server.exchange([head.as_bytes(), body].concat()).status
    };
    let (here, beside) = (200, 409);

    // Fields of a form are text, and files are none.
    let part = |attributes: &str| {
        let head = format!("--0\r\nContent-Disposition: form-data; name=a{attributes}\r\n\r\n");
        [head.as_bytes(), &body(6_000), b"\r\n"].concat()
    };
    let multipart = |attributes: &str| [part(attributes).repeat(10), b"--0--\r\n".to_vec()].concat();
    let kind = "multipart/form-data; boundary=0";
    assert_eq!(send(kind, "", &multipart("; filename=b")), here);
    assert_eq!(send(kind, "", &multipart("")), beside);

    // What is compressed is as long as what comes of it.
    let gzip = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(bytes).expect("compressed");
        gzip.finish().expect("compressed")
    };
    let (small, large) = (gzip(&[b'a'; 2_000]), gzip(&[b'a'; 500_000]));
    assert!(large.len() < 1_000, "{} bytes", large.len());
    assert_eq!(send("text/plain", "Content-Encoding: gzip\r\n", &small), here);
    assert_eq!(send("text/plain", "Content-Encoding: gzip\r\n", &large), beside);

    // Each value of a document has all the names above it.
    let document = |depth: usize| {
        let name = "n".repeat(200);
        let values = vec!["1"; 400].join(",");
        format!("{}[{values}]{}", format!("{{\"{name}\":").repeat(depth), "}".repeat(depth)).into_bytes()
    };
    assert!(document(10).len() < 4_000);
    assert_eq!(send("application/json", "", &document(0)), here);
    assert_eq!(send("application/json", "", &document(10)), beside);
}

fn slow_rules() -> String {
    let steps =
        ["urlDecodeUni", "lowercase", "compressWhitespace", "removeNulls", "htmlEntityDecode", "jsDecode"];
    let rules = (0..60).map(|n| {
        let (first, second) = (steps[n % 6], steps[n / 6 % 6]);
        format!("SecRule REQUEST_BODY \"@rx [+]{n}marker[0-9]\" \"id:{n},phase:2,deny,t:{first},t:{second},t:sha1,t:hexEncode\"\n", n = n + 100)
    });
    format!("{RULES}{}", rules.collect::<String>())
}

#[test]
fn long_inspections_do_not_keep_other_requests_waiting() {
    let origin = Origin::echo();
    let server = Portcullis::start(origin.address, &slow_rules());
    // More of them than there are workers or processors, so that some wait for their turn.
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let long = post("/", &body(1_000_000));
    let count = processors.max(2) + 2;
    let running = AtomicUsize::new(count);
    let mut slowest = Duration::ZERO;
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                assert_eq!(server.exchange(&long).status, 200);
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }
        while running.load(Ordering::SeqCst) > 0 {
            let began = Instant::now();
            assert_eq!(server.exchange(post("/", b"short")).status, 200);
            slowest = slowest.max(began.elapsed());
        }
    });
    let finished = server.seen.finished(count);
    let long = finished.iter().filter(|f| f.request_bytes > 5).map(|f| f.inspection[1]);
    let shortest = long.min().expect("a long inspection");
    assert!(slowest < shortest / 2, "a short request took {slowest:?}, a long inspection {shortest:?}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}
