//! What fails inside ends as the site's setting says, is reported, and never takes the process along.

#![cfg(feature = "server")]

mod support;

use arc_swap::ArcSwap;
use portcullis::config::{Failure, FailureOutcome, FailurePolicy, Listener, Site};
use portcullis::engine::{CollectionChange, Collections, EventKind, NoWorld, World};
use portcullis::proxy::{Action, Finished, Observer, Server, Shortage, Trouble};
use portcullis::reload::Current;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use support::client::{Client, get, post};
use support::http2::{self, Identity};
use support::origin::{Origin, respond};
use support::server::{Portcullis, Setup, Witness, with_tls};
use tokio::sync::watch;

/// A world whose collections panic while it is told to.
struct Broken {
    phase: Arc<AtomicBool>,
}

impl World for Broken {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn collections(&self) -> &dyn Collections {
        self
    }

    fn random(&self) -> u64 {
        1
    }
}

impl Collections for Broken {
    fn load(&self, _: &str, _: &str, _: &[u8], _: SystemTime) -> BTreeMap<String, Vec<u8>> {
        assert!(!self.phase.load(Ordering::Acquire), "a store that breaks");
        BTreeMap::new()
    }

    fn update(&self, _: &str, _: &str, _: &[u8], _: CollectionChange, _: SystemTime, _: Duration) {}
}

#[test]
fn a_panic_ends_one_transaction_as_the_site_says() {
    for (phase, is_request) in [(1, true), (2, true), (3, false), (4, false)] {
        for (outcome, status) in [(FailureOutcome::Closed, 500), (FailureOutcome::Open, 200)] {
            let origin = Origin::fixed("200 OK", &[("Content-Type", "text/plain")], b"fine".to_vec());
            let rules = format!(
                "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n\
                 SecResponseBodyMimeType text/plain\n\
                 SecRule REQUEST_URI \"@contains boom\" \"id:1,phase:{phase},pass,nolog,initcol:ip=%{{REMOTE_ADDR}}\""
            );
            let setup = Setup::new(origin.address, &rules).site(|s| s.failure = FailurePolicy::all(outcome));
            let current: Current = Arc::new(ArcSwap::from_pointee(setup.generation(1)));
            let witness = Arc::new(Witness::default());
            let is_broken = Arc::new(AtomicBool::new(true));
            let world = Arc::new(Broken { phase: Arc::clone(&is_broken) });
            let observer: Arc<dyn Observer> = Arc::clone(&witness) as Arc<dyn Observer>;
            let server = Server::bind(current, world, observer).expect("a server");
            let address = server.addresses()[0];
            let (stop, stopped) = watch::channel(false);
            let thread = std::thread::spawn(move || server.run(NonZeroUsize::new(1), stopped));

            let mut client = Client::connect(address);
            client.send(post("/boom", b"hello"));
            let response = client.read().expect("a response");
            assert_eq!(response.status, status, "phase {phase}, {outcome:?}");
            assert!(!response.text().contains("store that breaks"));
            let finished = witness.finished(1).remove(0);
            let trouble = Trouble::Inner(Failure::Internal);
            assert_eq!(finished.troubles.iter().map(|t| &t.0).collect::<Vec<_>>(), [&trouble]);
            assert!(finished.report.events.iter().any(|e| e.kind == EventKind::InternalError));
            assert_eq!(finished.report.request.uri, b"/boom");
            let has_asked = origin.connections() > 0;
            assert_eq!(has_asked, !is_request || outcome == FailureOutcome::Open);

            // The connection, and everybody else, goes on.
            client.send(get("/"));
            assert_eq!(client.read().expect("a response").status, 200);
            stop.send_replace(true);
            thread.join().expect("no panic").expect("a good end");
        }
    }
}

/// Panics when it hears of a request for `/boom`.
struct Fragile(Arc<Witness>);

impl Observer for Fragile {
    fn finished(&self, finished: Finished) {
        assert!(finished.report.request.uri != b"/boom", "an observer that breaks");
        Observer::finished(&*self.0, finished);
    }

    fn upstream_failed(&self, site: &Site, reason: &'static str) {
        self.0.upstream_failed(site, reason);
    }

    fn connection_failed(&self, reason: &'static str) {
        self.0.connection_failed(reason);
    }
}

/// Outside of the engine, where there is no fail mode: the connection, or stream, ends, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_elsewhere_ends_one_connection_and_is_counted() {
    let (origin, identity) = (Origin::echo(), Identity::new(&["a.test"]));
    let setup = Setup::new(origin.address, "SecRuleEngine On\nSecAuditEngine On").config(|c| {
        c.listeners.push(Listener {
            address: std::net::SocketAddr::from(([127, 0, 0, 2], 0)).into(),
            ..with_tls(identity.listener())
        });
    });
    let current: Current = Arc::new(ArcSwap::from_pointee(setup.generation(1)));
    let witness = Arc::new(Witness::default());
    let observer: Arc<dyn Observer> = Arc::new(Fragile(Arc::clone(&witness)));
    let server = Server::bind(current, Arc::new(NoWorld), observer).expect("a server");
    let [plain, tls] = server.addresses()[..] else { panic!("two listeners") };
    let (stop, stopped) = watch::channel(false);
    let thread = std::thread::spawn(move || server.run(NonZeroUsize::new(1), stopped));

    tokio::task::block_in_place(|| {
        let mut client = Client::connect(plain);
        client.send([get("/boom"), get("/boom")].concat());
        // The answer may have gone before that; the second request has none.
        let _ = client.read();
        assert!(client.is_closed());
        assert_eq!(witness.connection_failures(1), ["panic"]);
        assert_eq!(support::client::exchange(plain, get("/")).status, 200);
    });

    let mut client = http2::connect(tls, &identity).await;
    let head = |path: &str| http::Request::get(format!("https://a.test{path}")).body(()).expect("a request");
    let _ = http2::send(&mut client, head("/boom"), b"", 1).await;
    tokio::task::block_in_place(|| assert_eq!(witness.connection_failures(2), ["panic"; 2]));
    // Its other streams go on.
    let response = http2::send(&mut client, head("/"), b"", 1).await.expect("a response");
    assert_eq!(response.status(), 200);
    stop.send_replace(true);
    drop(client);
    thread.join().expect("no panic").expect("a good end");
}

#[test]
fn a_response_that_cannot_be_decoded_follows_the_site() {
    let rules = "SecRuleEngine On\nSecResponseBodyAccess On\nSecResponseBodyMimeType text/plain";
    for (outcome, status) in [(FailureOutcome::Closed, 502), (FailureOutcome::Open, 200)] {
        let headers = [("Content-Type", "text/plain"), ("Content-Encoding", "x-unheard-of")];
        let origin = Origin::start(move |_, stream| respond(stream, "200 OK", &headers, b"opaque bytes"));
        let server =
            Setup::new(origin.address, rules).site(|s| s.failure = FailurePolicy::all(outcome)).start();
        let response = server.exchange(get("/"));
        assert_eq!(response.status, status);
        assert_eq!(response.text().contains("opaque"), status == 200);
        let finished = server.seen.finished(1).remove(0);
        assert_eq!(finished.trouble(), Some(&Trouble::Inner(Failure::ResponseUninspectable)));
        let answer = finished.trouble().map(|t| t.answer(&FailurePolicy::all(outcome)).action);
        assert_eq!(answer == Some(Action::Pass), outcome == FailureOutcome::Open);
    }
}

#[test]
fn detection_only_refuses_nothing_for_uncertainty() {
    let rules = "SecRuleEngine DetectionOnly\nSecResponseBodyAccess On\nSecResponseBodyMimeType text/plain";
    let headers = [("Content-Type", "text/plain"), ("Content-Encoding", "x-unheard-of")];
    let origin = Origin::start(move |_, stream| respond(stream, "200 OK", &headers, b"opaque bytes"));
    let server = Portcullis::start(origin.address, rules);
    assert_eq!(server.exchange(get("/")).text(), "opaque bytes");
    let events = server.seen.finished(1).remove(0).report.events;
    assert!(events.iter().any(|e| e.kind == EventKind::ContentCoding));
}

#[test]
fn an_overload_may_let_pass() {
    let rules = "SecRuleEngine On\nSecRequestBodyAccess On\nSecRequestBodyLimit 10000000\n\
                 SecRequestBodyNoFilesLimit 10000000";
    let origin = Origin::echo();
    let server = Setup::new(origin.address, rules)
        .config(|c| c.client.held_bytes = 10_000)
        .site(|s| s.failure = FailurePolicy::all(FailureOutcome::Open))
        .start();
    let body = vec![b'x'; 3_000_000];
    let response = server.exchange(post("/", &body));
    let expected = format!("3000000 {:016x}", support::origin::digest(&body));
    assert_eq!((response.status, response.text()), (200, expected));
    let expected = Trouble::Overloaded { shortage: Shortage::HeldBytes, open: true, retry_after: 2 };
    assert_eq!(server.seen.finished(1)[0].trouble(), Some(&expected));
}
