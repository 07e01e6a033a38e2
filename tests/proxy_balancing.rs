//! Which upstream a request goes to, what becomes of it when that fails, and what is answered when there is none.

#![cfg(feature = "server")]

mod support;

use portcullis::config::{
    BalanceKey, BalanceMethod, FailOn, HealthCheck, Maintenance, RetryOn, Site, Sticky, Upstream,
};
use portcullis::proxy::Trouble;
use portcullis::reload::Wish;
use std::collections::HashSet;
use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::client::{Client, get, post};
use support::origin::{Origin, respond};
use support::server::{Portcullis, Setup, to};

const RULES: &str = "SecRuleEngine On\nSecRequestBodyAccess On";

/// An origin that says its name.
fn named(name: &'static str) -> Origin {
    Origin::fixed("200 OK", &[], name.as_bytes().to_vec())
}

/// An upstream where nobody listens.
fn nowhere() -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    to(listener.local_addr().expect("an address"))
}

fn start(upstreams: Vec<Upstream>, change: impl FnOnce(&mut Site)) -> Portcullis {
    let any = "127.0.0.1:1".parse().expect("an address");
    let setup = Setup::new(any, RULES).site(|site| {
        site.upstreams = upstreams;
        change(site);
    });
    setup.start()
}

fn with_cookie(cookie: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a.test\r\nCookie: x=1; {cookie}\r\n\r\n")
}

#[test]
fn a_sticky_client_comes_back_to_the_upstream_that_served_it() {
    let (a, b) = (named("a"), named("b"));
    let server = start(vec![to(a.address), to(b.address)], |site| {
        let lifetime = Some(Duration::from_secs(3_600));
        site.balance.sticky = Some(Sticky { cookie: "ROUTE".to_owned(), lifetime });
    });
    let mut served = HashSet::new();
    for _ in 0..2 {
        let first = server.exchange(get("/"));
        let cookie = first.header("set-cookie").expect("a cookie").to_owned();
        let (pair, attributes) = cookie.split_once("; ").expect("attributes");
        assert_eq!(attributes, "Path=/; Max-Age=3600; HttpOnly; SameSite=Lax");
        assert!(!cookie.contains("127.0.0.1"));
        for _ in 0..4 {
            let again = server.exchange(with_cookie(pair));
            assert_eq!((again.text(), again.header("set-cookie")), (first.text(), None));
        }
        served.insert(first.text());
    }
    assert_eq!(served.len(), 2, "both have served a client");
    // One who asks for an upstream that there is not gets another one, and its cookie.
    assert!(server.exchange(with_cookie("ROUTE=ffffffffffff")).header("set-cookie").is_some());
}

#[test]
fn the_same_key_goes_to_the_same_upstream() {
    let (a, b, c) = (named("a"), named("b"), named("c"));
    let upstreams = || vec![to(a.address), to(b.address), to(c.address)];
    let by = |key| start(upstreams(), |site| site.balance.method = BalanceMethod::Hash(key));
    let texts = |server: &Portcullis, request: &dyn Fn(u32) -> String| -> HashSet<String> {
        (0..24).map(|n| server.exchange(request(n)).text()).collect()
    };
    let client = by(BalanceKey::Client);
    assert_eq!(texts(&client, &|n| get(&format!("/{n}"))).len(), 1);
    let cookie = by(BalanceKey::Cookie("SESSION".to_owned()));
    assert_eq!(texts(&cookie, &|_| with_cookie("SESSION=one")).len(), 1);
    assert_eq!(texts(&cookie, &|n| with_cookie(&format!("SESSION={n}"))).len(), 3);
    let header = by(BalanceKey::Header("X-Tenant".to_owned()));
    let tenant = |n: &str| format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Tenant: {n}\r\n\r\n");
    assert_eq!(texts(&header, &|_| tenant("one")).len(), 1);
    assert_eq!(texts(&header, &|n| tenant(&n.to_string())).len(), 3);
}

#[test]
fn what_cannot_be_connected_is_passed_over_whatever_the_method() {
    let a = named("a");
    let server = start(vec![nowhere(), nowhere(), to(a.address)], |_| ());
    for _ in 0..6 {
        assert_eq!(server.exchange(post("/", b"x")).text(), "a");
    }
    // Each was tried once, and rests.
    assert_eq!(server.seen.upstream_failures(2), ["upstream_refused", "upstream_refused"]);
    let generation = server.current.load();
    let up: Vec<bool> = (0..3).map(|n| generation.sites[0].upstreams.condition(n).is_up).collect();
    assert_eq!(up, [false, false, true]);
}

#[test]
fn no_more_upstreams_are_tried_than_the_site_says() {
    let a = named("a");
    let server = start(vec![nowhere(), nowhere(), to(a.address)], |site| site.balance.retries = 1);
    let response = server.exchange(get("/"));
    assert_eq!(response.status, 502);
    assert_eq!(server.seen.finished(1)[0].trouble(), Some(&Trouble::UpstreamRefused));
}

/// An origin that reads each request and hangs up.
fn hangs_up() -> Origin {
    Origin::start(|_, stream| {
        let _ = stream.shutdown(Shutdown::Both);
        false
    })
}

#[test]
fn a_request_is_sent_twice_only_when_it_may_be() {
    for (retry_on, request, status) in [
        (RetryOn::Connect, get("/").into_bytes(), 502),
        (RetryOn::Idempotent, get("/").into_bytes(), 200),
        (RetryOn::Idempotent, post("/", b"once"), 502),
        (RetryOn::Idempotent, [&b"PUT"[..], &post("/", b"twice")[4..]].concat(), 200),
    ] {
        let (broken, fine) = (hangs_up(), named("fine"));
        let server =
            start(vec![to(broken.address), to(fine.address)], |site| site.balance.retry_on = retry_on);
        let response = server.exchange(&request);
        let text = String::from_utf8_lossy(&request).into_owned();
        assert_eq!(response.status, status, "{retry_on:?} {text}");
        assert_eq!((broken.heads(), fine.heads()), (1, usize::from(status == 200)), "{retry_on:?} {text}");
        if status == 200 {
            assert_eq!(server.seen.upstream_failures(1), ["upstream_broken"]);
            let body = fine.request().body;
            assert!(body.is_empty() || body == b"twice");
        }
    }
}

/// An upstream may close a kept connection just when the next request is sent on it. What may be repeated is then sent again,
/// to the same upstream and with the default settings; what may not be is never sent twice.
#[test]
fn on_a_connection_that_was_kept_only_what_may_be_repeated_is_sent_again() {
    for (request, status, times) in [
        (get("/second").into_bytes(), 200, 2),
        ([&b"PUT"[..], &post("/second", b"twice")[4..]].concat(), 200, 2),
        (post("/second", b"once"), 502, 1),
    ] {
        let text = String::from_utf8_lossy(&request).into_owned();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let origin = Origin::start(move |request, stream| {
            if request.line.contains("/second") && count.fetch_add(1, Ordering::AcqRel) == 0 {
                let _ = stream.shutdown(Shutdown::Both);
                return false;
            }
            respond(stream, "200 OK", &[], b"fine")
        });
        let server = start(vec![to(origin.address)], |_| ());
        let mut client = server.client();
        assert_eq!(client.send(get("/first")).read().expect("a response").status, 200);
        assert_eq!(origin.connections(), 1);
        assert_eq!(client.send(&request).read().expect("a response").status, status, "{text}");
        assert_eq!(asked.load(Ordering::Acquire), times, "{text}");
        assert_eq!(origin.heads(), 1 + times, "{text}");
        assert_eq!(
            origin.connections(),
            times,
            "the first request's connection was used for the second: {text}"
        );
        let bodies: Vec<_> = origin.requests().into_iter().skip(1).map(|request| request.body).collect();
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{text}");
    }
}

#[test]
fn breaking_off_counts_as_a_failure_where_the_site_says_so() {
    for (fail_on, is_up) in [(FailOn::Connect, true), (FailOn::Errors, false)] {
        let (broken, fine) = (hangs_up(), named("fine"));
        let server = start(vec![to(broken.address), to(fine.address)], |site| site.balance.fail_on = fail_on);
        assert_eq!(server.exchange(get("/")).status, 502);
        assert_eq!(server.current.load().sites[0].upstreams.condition(0).is_up, is_up, "{fail_on:?}");
    }
}

#[test]
fn beyond_their_bounds_upstreams_are_not_asked() {
    let is_over = Arc::new(AtomicBool::new(false));
    let waits = Arc::clone(&is_over);
    let slow = Origin::start(move |_, stream| {
        while !waits.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(5));
        }
        respond(stream, "200 OK", &[], b"late")
    });
    let upstream = Upstream { max_connections: NonZeroU32::new(2), ..to(slow.address) };
    let server = start(vec![upstream], |_| ());
    let mut clients = [server.client(), server.client()];
    clients.iter_mut().for_each(|client| {
        client.send(get("/"));
    });
    let until = Instant::now() + Duration::from_secs(10);
    while slow.heads() < 2 {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(5));
    }
    let refused = server.exchange(get("/"));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")));
    let finished = server.seen.finished(1).remove(0);
    assert_eq!(finished.trouble(), Some(&Trouble::UpstreamFull));
    assert!(refused.text().contains(&finished.report.id));
    is_over.store(true, Ordering::Release);
    assert!(clients.iter_mut().all(|client| client.read().expect("a response").status == 200));
    assert_eq!(server.exchange(get("/")).status, 200);
}

/// Answers a head, and a byte of the body each `pause`.
fn trickles(begin: Duration, pause: Duration) -> Origin {
    Origin::start(move |_, stream| {
        std::thread::sleep(begin);
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").is_err() {
            return false;
        }
        (0..100).all(|_| {
            std::thread::sleep(pause);
            stream.write_all(b"x").is_ok()
        })
    })
}

#[test]
fn the_first_byte_has_a_time_of_its_own() {
    let limit = Some(Duration::from_millis(300));
    let slow = trickles(Duration::from_secs(5), Duration::ZERO);
    let server = start(vec![to(slow.address)], |site| site.timeouts.first_byte = limit);
    let began = Instant::now();
    let response = server.exchange(post("/", b"x"));
    assert_eq!(response.status, 504);
    assert!((Duration::from_millis(290)..Duration::from_secs(4)).contains(&began.elapsed()));
    let finished = server.seen.finished(1).remove(0);
    assert_eq!(finished.trouble(), Some(&Trouble::UpstreamLate));
    assert!(response.text().contains(&finished.report.id));
    // A body may take longer than the first byte.
    let steady = trickles(Duration::ZERO, Duration::from_millis(8));
    let server = start(vec![to(steady.address)], |site| site.timeouts.first_byte = limit);
    assert_eq!(server.exchange(get("/")).body.len(), 100);
}

#[test]
fn the_whole_has_a_time_of_its_own() {
    let steady = trickles(Duration::ZERO, Duration::from_millis(100));
    let server =
        start(vec![to(steady.address)], |site| site.timeouts.total = Some(Duration::from_millis(500)));
    let began = Instant::now();
    // It has begun, so that nothing can be told but by closing.
    let response = server.exchange(get("/"));
    assert!(response.status == 200 && !response.complete);
    assert!((Duration::from_millis(490)..Duration::from_secs(5)).contains(&began.elapsed()));
    assert_eq!(server.seen.finished(1)[0].trouble(), Some(&Trouble::UpstreamLate));
}

#[test]
fn health_checks_find_out_before_requests_do() {
    let is_well = Arc::new(AtomicBool::new(true));
    let checks = Arc::new(AtomicUsize::new(0));
    let (well, counted) = (Arc::clone(&is_well), Arc::clone(&checks));
    let sick = Origin::start(move |request, stream| {
        if request.line != "GET /health?deep=1 HTTP/1.1" {
            return respond(stream, "200 OK", &[], b"sick");
        }
        counted.fetch_add(1, Ordering::AcqRel);
        assert_eq!(request.header("host"), Some("checks.test"));
        let status = if well.load(Ordering::Acquire) { "204 No Content" } else { "503 Service Unavailable" };
        respond(stream, status, &[], b"")
    });
    let fine = named("fine");
    let server = start(vec![to(sick.address), to(fine.address)], |site| {
        site.balance.health_check = Some(HealthCheck {
            path: Some("/health?deep=1".to_owned()),
            host: Some("checks.test".to_owned()),
            status: vec![(200, 299), (404, 404)],
            interval: Duration::from_millis(100),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 2,
        });
    });
    let until = |is_up: bool| {
        let limit = Instant::now() + Duration::from_secs(15);
        let generation = server.current.load_full();
        while generation.sites[0].upstreams.condition(0).is_up != is_up {
            assert!(Instant::now() < limit, "never {is_up}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let texts = || -> HashSet<String> { (0..8).map(|_| server.exchange(get("/")).text()).collect() };
    assert_eq!(texts().len(), 2);
    is_well.store(false, Ordering::Release);
    until(false);
    assert_eq!(texts(), HashSet::from(["fine".to_owned()]));
    is_well.store(true, Ordering::Release);
    until(true);
    assert_eq!(texts().len(), 2);
    assert!(checks.load(Ordering::Acquire) >= 4);
    // The other one answers 200 to whatever it is asked.
    assert!(server.current.load().sites[0].upstreams.condition(1).checks_passed >= 1);
}

#[test]
fn a_connection_is_check_enough_where_no_path_is_given() {
    let fine = named("fine");
    let server = start(vec![nowhere(), to(fine.address)], |site| {
        site.balance.max_fails = 0;
        site.balance.health_check = Some(HealthCheck {
            path: None,
            host: None,
            status: vec![(200, 399)],
            interval: Duration::from_millis(100),
            timeout: Duration::from_secs(2),
            rise: 1,
            fall: 1,
        });
    });
    let generation = server.current.load_full();
    let upstreams = &generation.sites[0].upstreams;
    let limit = Instant::now() + Duration::from_secs(15);
    while upstreams.condition(0).is_up || upstreams.condition(1).checks_passed == 0 {
        assert!(Instant::now() < limit);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(upstreams.condition(1).is_up);
    assert_eq!(fine.heads(), 0);
    // Where all are down, asking costs less than refusing.
    assert!(upstreams.pick(Wish { tried: &[1], ..Wish::default() }).is_ok());
}

#[test]
fn a_site_under_maintenance_says_so_and_asks_nobody() {
    let origin = named("open");
    let maintenance = |page: Option<&str>, allow: &[&str]| Maintenance {
        page: page.map(Arc::from),
        retry_after: Duration::from_secs(1_800),
        allow: allow.iter().map(|network| network.parse().expect("a network")).collect(),
    };
    let closed = |m: Maintenance| start(vec![to(origin.address)], |site| site.maintenance = Some(m));
    let server = closed(maintenance(None, &["10.0.0.0/8"]));
    let response = server.exchange(get("/"));
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1800")));
    assert!(response.text().contains("being worked on"));
    let finished = server.seen.finished(1).remove(0);
    assert!(response.text().contains(&finished.report.id));
    assert_eq!(finished.trouble(), Some(&Trouble::Maintenance { retry_after: 1_800 }));
    // The connection can be used on, also behind a body that nobody reads.
    let mut client = server.client();
    for _ in 0..2 {
        client.send(post("/", &[b'x'; 1_000]));
        assert_eq!(client.read().expect("a response").status, 503);
    }
    let json = "GET / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n";
    assert_eq!(server.exchange(json).header("content-type"), Some("application/problem+json"));

    let server = closed(maintenance(Some("<h1>Back at noon</h1><img src=/x>"), &[]));
    let response = server.exchange(get("/"));
    assert_eq!(response.text(), "<h1>Back at noon</h1><img src=/x>");
    assert_eq!(response.header("content-security-policy"), None);
    assert_eq!(origin.heads(), 0);
    let server = closed(maintenance(None, &["127.0.0.0/8"]));
    assert_eq!(server.exchange(get("/")).text(), "open");
}

#[test]
fn requests_that_are_under_way_stay_counted_over_a_reload() {
    let origin = Origin::start(|_, stream| {
        std::thread::sleep(Duration::from_millis(400));
        respond(stream, "200 OK", &[], b"slow")
    });
    let setup = Setup::new(origin.address, RULES);
    let mut next = setup.generation(2);
    let server = setup.start();
    let mut client: Client = server.client();
    client.send(get("/"));
    let limit = Instant::now() + Duration::from_secs(10);
    while origin.heads() == 0 {
        assert!(Instant::now() < limit);
    }
    next.inherit(&server.current.load());
    server.current.store(Arc::new(next));
    let active = || server.current.load().sites[0].upstreams.condition(0).active;
    assert_eq!(active(), 1);
    assert_eq!(client.read().expect("a response").text(), "slow");
    server.seen.finished(1);
    while active() != 0 {
        assert!(Instant::now() < limit);
    }
}
