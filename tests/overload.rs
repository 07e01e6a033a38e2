//! More connections, requests and readers than there is room and time for: what is admitted is served in time, the rest is
//! told so, and counted by cause.

#![cfg(feature = "server")]
#![allow(clippy::print_stderr, reason = "says what was measured")]

mod support;

use portcullis::config::{FailureOutcome, FailurePolicy, Overload};
use portcullis::engine::EventKind;
use portcullis::proxy::{Finished, Shortage, Trouble};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use support::client::{Client, Response, get, post};
use support::origin::{Origin, respond};
use support::server::{Portcullis, Setup};

/// Takes long over a body, by looking at it in many ways.
fn slow_rules(mode: &str) -> String {
    looking(mode, 216)
}

/// The same in so many ways, 1,296 at most.
fn looking(mode: &str, ways: usize) -> String {
    let steps =
        ["urlDecodeUni", "lowercase", "compressWhitespace", "removeNulls", "htmlEntityDecode", "jsDecode"];
    let rules = (0..ways).map(|n| {
        let [a, b, c, d] = [n, n / 6, n / 36, n / 216].map(|n| steps[n % 6]);
        let id = n + 100;
        format!(
            "SecRule REQUEST_BODY \"@rx [+]{n}marker[0-9]\" \
             \"id:{id},phase:2,deny,t:{a},t:{b},t:{c},t:{d},t:sha1,t:hexEncode\"\n"
        )
    });
    format!(
        "SecRuleEngine {mode}\nSecRequestBodyAccess On\nSecRequestBodyLimit 2000000\n\
         SecRequestBodyNoFilesLimit 2000000\n\
         SecAction \"id:1,phase:1,pass,nolog,ctl:forceRequestBodyVariable=On\"\n{}",
        rules.collect::<String>()
    )
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|n| b"some words, and+others%20; "[n % 27]).collect()
}

fn bounds(wait: Duration, queue: usize) -> Overload {
    Overload { wait, queue, retry_after: 7 }
}

/// Tests that measure waits take turns, so that none waits for another.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends `request` by `clients` at once, when all of them are connected; what each was answered, and in what time.
fn rush(server: &Portcullis, request: &[u8], clients: usize) -> Vec<(Response, Duration)> {
    let connected = Barrier::new(clients);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..clients)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::connect(server.address());
                    client.patience(Duration::from_secs(120));
                    connected.wait();
                    let began = Instant::now();
                    let response = client.send(request).read().expect("a response");
                    (response, began.elapsed())
                })
            })
            .collect();
        all.into_iter().map(|thread| thread.join().expect("a client")).collect()
    })
}

fn of(answers: &[(Response, Duration)], status: u16) -> Vec<&(Response, Duration)> {
    answers.iter().filter(|(response, _)| response.status == status).collect()
}

fn median(answers: &[&(Response, Duration)]) -> Duration {
    percentile(answers, 50)
}

/// The time that so many in a hundred were answered within.
fn percentile(answers: &[&(Response, Duration)], percent: usize) -> Duration {
    let mut times: Vec<Duration> = answers.iter().map(|(_, time)| *time).collect();
    times.sort();
    times[times.len() * percent / 100]
}

fn shortages(finished: &[Finished]) -> Vec<(Shortage, bool)> {
    let of = |f: &Finished| match f.trouble() {
        Some(Trouble::Overloaded { shortage, open, .. }) => Some((*shortage, *open)),
        _ => None,
    };
    finished.iter().filter_map(of).collect()
}

/// Each of them is a page with an id, and says when to come back.
fn are_told(refused: &[&(Response, Duration)]) {
    for (response, _) in refused {
        assert_eq!(response.header("retry-after"), Some("7"));
        assert!(response.header("x-request-id").is_some_and(|id| response.text().contains(id)));
    }
}

#[test]
fn what_is_admitted_is_served_in_time_while_the_rest_is_shed() {
    let _alone = alone();
    // Short enough to be inspected by the workers themselves, however long it takes.
    let request = post("/", &body(7_000));
    let rules = looking("On", 648);
    let clients = 400;
    let origin = Origin::echo();
    let patient = Portcullis::start(origin.address, &rules);
    let all = rush(&patient, &request, clients);
    assert_eq!(of(&all, 200).len(), clients);
    let (without, late) = (median(&of(&all, 200)), percentile(&of(&all, 200), 95));
    patient.shut_down();

    let wait = without / 8;
    let server = Setup::new(origin.address, &rules).site(|s| s.overload = bounds(wait, 0)).start();
    let mut all = Vec::new();
    // How many are shed depends on how soon clients come to connect: on a busy machine it takes more of them.
    let mut rushes = 0;
    while rushes < 3 || rushes < 12 && of(&all, 503).len() <= clients {
        all.extend(rush(&server, &request, clients));
        rushes += 1;
    }
    let (served, shed) = (of(&all, 200), of(&all, 503));
    assert_eq!(served.len() + shed.len(), rushes * clients);
    assert!(!served.is_empty() && shed.len() > clients, "{} served, {} shed", served.len(), shed.len());
    are_told(&shed);
    let with = median(&served);
    assert!(with < without / 2, "admitted: {with:?}, all together without a policy: {without:?}");
    let last = percentile(&served, 95);
    eprintln!("admitted: {with:?}, {last:?} at the 95th percentile; without a policy: {without:?}, {late:?}");
    assert!(last < late * 3 / 4, "of the admitted, 95 % within {last:?}; without a policy within {late:?}");
    let finished = server.seen.finished(rushes * clients);
    assert_eq!(shortages(&finished), vec![(Shortage::Processors, false); shed.len()]);
    // It is over with the rush.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(server.exchange(&request).status, 200);
}

#[test]
fn long_inspections_wait_in_a_bounded_queue() {
    let _alone = alone();
    let origin = Origin::echo();
    let long = post("/", &body(600_000));
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let clients = threads + 8;
    let patience = Duration::from_secs(60);

    // No more than two may wait.
    let server =
        Setup::new(origin.address, &slow_rules("On")).site(|s| s.overload = bounds(patience, 2)).start();
    let all = rush(&server, &long, clients);
    let (served, shed) = (of(&all, 200), of(&all, 503));
    assert!(served.len() >= threads + 2 && !shed.is_empty(), "{} served, {} shed", served.len(), shed.len());
    assert_eq!(served.len() + shed.len(), clients);
    are_told(&shed);
    assert_eq!(shortages(&server.seen.finished(clients)), vec![(Shortage::Queue, false); shed.len()]);
    assert!(median(&shed) < median(&served), "who finds no place is told at once");
    let shed_before = shed.len();
    assert_eq!(server.exchange(get("/")).status, 200);
    assert_eq!(server.exchange(&long).status, 200, "places are given back");
    assert_eq!(shortages(&server.seen.finished(clients + 2)).len(), shed_before);

    // Many may wait, and none for longer than two others take.
    let began = Instant::now();
    assert_eq!(server.exchange(&long).status, 200);
    let wait = began.elapsed() * 2;
    let server =
        Setup::new(origin.address, &slow_rules("On")).site(|s| s.overload = bounds(wait, 1_000)).start();
    let all = rush(&server, &long, 2 * clients);
    let (served, shed) = (of(&all, 200), of(&all, 503));
    assert_eq!(served.len() + shed.len(), 2 * clients);
    assert!(!served.is_empty() && !shed.is_empty(), "{} served, {} shed", served.len(), shed.len());
    are_told(&shed);
    let causes = shortages(&server.seen.finished(2 * clients));
    assert!(causes.contains(&(Shortage::Wait, false)), "{causes:?}");
}

/// Forms, and what is like them, of a few hundred short arguments that are aimed at what rules look for: each byte is as dear
/// as any, and 30 KiB of them no more than many a form has. Clients that send them without pause do not keep others waiting.
#[test]
fn short_requests_are_answered_in_time_beside_dear_forms() {
    let _alone = alone();
    let Some(rules) = crs_rules() else { return };
    let origin = Origin::echo();
    let server = Setup::new(origin.address, &rules).start();
    let (attackers, ordinary) = (6, 2);
    let is_over = AtomicBool::new(false);
    let dear_ones = AtomicUsize::new(0);
    let answers: Vec<(Response, Duration)> = std::thread::scope(|scope| {
        for attacker in 0..attackers {
            let (server, is_over, dear_ones) = (&server, &is_over, &dear_ones);
            scope.spawn(move || {
                let mut client = None;
                for n in (attacker..).step_by(attackers) {
                    if is_over.load(Ordering::Acquire) {
                        return;
                    }
                    let connection = client.get_or_insert_with(|| server.client());
                    connection.patience(Duration::from_secs(120));
                    let answer = connection.send(dear_body(n)).read().expect("an answer");
                    assert!(matches!(answer.status, 200 | 403), "a dear form is answered {}", answer.status);
                    dear_ones.fetch_add(1, Ordering::AcqRel);
                    if answer.header("connection") == Some("close") {
                        client = None;
                    }
                }
            });
        }
        let clients: Vec<_> = (0..ordinary)
            .map(|_| {
                let (server, is_over) = (&server, &is_over);
                scope.spawn(move || {
                    let mut answers = Vec::new();
                    let mut client = server.client();
                    client.patience(Duration::from_secs(120));
                    while !is_over.load(Ordering::Acquire) {
                        let began = Instant::now();
                        let answer = client.send(BROWSER).read().expect("an answer");
                        answers.push((answer, began.elapsed()));
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    answers
                })
            })
            .collect();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(6)
            || dear_ones.load(Ordering::Acquire) < 40 && began.elapsed() < Duration::from_secs(60)
        {
            std::thread::sleep(Duration::from_millis(50));
        }
        is_over.store(true, Ordering::Release);
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    let dear_ones = dear_ones.load(Ordering::Acquire);
    let finished = server.seen.finished(dear_ones + answers.len());
    let mut dear: Vec<Duration> =
        finished.iter().filter(|f| f.request_bytes > 0).map(|f| f.inspection[1]).collect();
    assert_eq!(dear.len(), dear_ones);
    dear.sort();
    let dear = dear[dear.len() / 2];
    let served = of(&answers, 200);
    let blocked = finished.iter().find(|f| f.request_bytes == 0 && f.status != 200);
    assert!(
        blocked.is_none(),
        "an ordinary client is refused: {:?}",
        blocked.map(|f| (f.status, &f.report.rules))
    );
    assert_eq!(served.len(), answers.len());
    assert!(served.iter().all(|(answer, _)| answer.text() == served[0].0.text()));
    let (median, most) = (median(&served), percentile(&served, 95));
    eprintln!(
        "{dear_ones} dear forms, {dear:?} each; {} short requests, {median:?}, {most:?} at the 95th percentile",
        served.len()
    );
    // Where they were inspected by the threads that serve, three of them or so would be before each short request.
    assert!(most < dear / 2, "short requests: 95 % within {most:?}; a dear form: {dear:?}");
    assert!(dear_ones >= 24 && served.len() >= 100, "too few to tell");
}

const BROWSER: &str = "GET /page?article=17&order=title HTTP/1.1\r\nHost: a.test\r\nUser-Agent: Mozilla/5.0\r\n\
    Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\n\r\n";

/// What rules look for, and what transformations undo.
const AIMED: [&str; 28] = [
    "time ",
    "env a=",
    "%2527",
    "%26%23x3c;",
    "\\x41",
    "/**/",
    "../",
    "<scr",
    "select ",
    "union/*",
    "$(",
    "`id`",
    "||",
    "0x27",
    "base64_",
    "onload",
    "alert(",
    "{{7*",
    "%25u0027",
    "exec ",
    "/etc/",
    "php:",
    "cm'd",
    "ba$@sh",
    "\\u0061",
    "%c0%ae",
    "${jn",
    "wg\\et ",
];

/// The `n`th of these requests; no two of them have a value in common.
fn dear_body(n: usize) -> Vec<u8> {
    let mut state = n as u64 + 1;
    let mut next = |most: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % most
    };
    let arguments: Vec<String> = (0..400)
        .map(|_| {
            let mut value = format!("{:x}", next(1 << 30));
            while value.len() < 60 {
                value.push_str(AIMED[next(AIMED.len())]);
                value.push(char::from(b'a' + next(26) as u8));
            }
            value
        })
        .collect();
    let named = |show: &dyn Fn(usize, &str) -> String| -> String {
        arguments.iter().enumerate().map(|(at, value)| show(at, value)).collect()
    };
    let form = named(&|at, value| format!("f{at}={value}&")).into_bytes();
    let (kind, more, body) = match n % 4 {
        0 => ("application/x-www-form-urlencoded", "", form),
        1 => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            gzip.write_all(&form).expect("compressed");
            (
                "application/x-www-form-urlencoded",
                "Content-Encoding: gzip\r\n",
                gzip.finish().expect("compressed"),
            )
        }
        2 => {
            let part = |at, value: &str| {
                format!("--0\r\nContent-Disposition: form-data; name=\"f{at}\"\r\n\r\n{value}\r\n")
            };
            (
                "multipart/form-data; boundary=0",
                "",
                [named(&part), "--0--\r\n".to_owned()].concat().into_bytes(),
            )
        }
        _ => {
            let member = |at, value: &str| format!("\"f{at}\":\"{}\",", value.replace('\\', "\\\\"));
            ("application/json", "", format!("{{{}\"end\":1}}", named(&member)).into_bytes())
        }
    };
    let length = body.len();
    let head = format!(
        "POST /form HTTP/1.1\r\nHost: a.test\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nContent-Type: {kind}\r\n\
         {more}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), &body].concat()
}

/// CRS at level 4, as a deployment has it.
fn crs_rules() -> Option<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crs =
        std::env::var_os("PORTCULLIS_CRS_DIR").map_or_else(|| here.join("../shared/crs"), PathBuf::from);
    if !crs.join("rules").is_dir() {
        let required = std::env::var("PORTCULLIS_REQUIRE_CRS").is_ok_and(|v| v == "1");
        assert!(!required, "PORTCULLIS_REQUIRE_CRS=1, but there is no CRS in {}", crs.display());
        eprintln!("\n*** SKIPPED: no CRS in {}. Set PORTCULLIS_CRS_DIR. ***\n", crs.display());
        return None;
    }
    Some(format!(
        "Include {}\nInclude {}\n\
         SecAction \"id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level=4\"\nInclude {}\n",
        here.join("config/engine.conf").display(),
        crs.join("crs-setup.conf.example").display(),
        crs.join("rules/*.conf").display(),
    ))
}

#[test]
fn a_site_may_let_pass_what_it_cannot_inspect() {
    let _alone = alone();
    let origin = Origin::echo();
    let long = post("/", &body(600_000));
    let expected = format!("600000 {:016x}", support::origin::digest(&body(600_000)));
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let clients = threads + 8;
    // By its own word, or because it is to refuse nothing.
    for (mode, failure) in [("On", FailureOutcome::Open), ("DetectionOnly", FailureOutcome::Closed)] {
        let server = Setup::new(origin.address, &slow_rules(mode))
            .site(|s| {
                (s.overload, s.failure) = (bounds(Duration::from_secs(60), 0), FailurePolicy::all(failure));
            })
            .start();
        let all = rush(&server, &long, clients);
        assert!(all.iter().all(|(response, _)| response.status == 200 && response.text() == expected));
        let finished = server.seen.finished(clients);
        let open = shortages(&finished);
        assert!(!open.is_empty() && open.iter().all(|o| *o == (Shortage::Queue, true)), "{mode}: {open:?}");
        let is_told = |f: &Finished| f.report.events.iter().any(|e| e.kind == EventKind::Overloaded);
        assert_eq!(finished.iter().filter(|f| is_told(f)).count(), open.len());
    }
}

#[test]
fn floods_of_connections_are_turned_away() {
    let _alone = alone();
    let origin = Origin::echo();
    let number = |n| NonZeroUsize::new(n).expect("a number");
    let is_full = |client: &mut Client| {
        let response = client.read().expect("an answer");
        assert_eq!((response.status, response.header("retry-after")), (503, Some("5")));
        assert!(client.is_closed());
    };

    // One client with more than its share.
    let server = Setup::new(origin.address, "SecRuleEngine On")
        .config(|c| c.listeners[0].max_connections_per_client = number(4))
        .start();
    let mut held: Vec<Client> = (0..4).map(|_| server.client()).collect();
    for client in &mut held {
        assert_eq!(client.send(get("/")).read().expect("a response").status, 200);
    }
    for _ in 0..30 {
        is_full(server.client().send(get("/")));
    }
    assert_eq!(server.seen.connection_failures(30), ["client_full"; 30]);
    // Whoever has a place keeps it, and another one comes free.
    assert_eq!(held[0].send(get("/")).read().expect("a response").status, 200);
    drop(held);
    let until = Instant::now() + Duration::from_secs(20);
    while server.client().send(get("/")).read().is_ok_and(|r| r.status == 503) {
        assert!(Instant::now() < until, "no place is given back");
    }

    // All clients together; those of a trusted proxy have no share of their own.
    let server = Setup::new(origin.address, "SecRuleEngine On")
        .config(|c| {
            c.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
            c.listeners[0].max_connections_per_client = number(1);
            c.listeners[0].max_connections = number(8);
        })
        .start();
    let mut held: Vec<Client> = (0..8).map(|_| server.client()).collect();
    for client in &mut held {
        assert_eq!(client.send(get("/")).read().expect("a response").status, 200);
    }
    for _ in 0..10 {
        is_full(server.client().send(get("/")));
    }
    // More at once than are told so.
    let flood: Vec<TcpStream> =
        (0..300).map(|_| TcpStream::connect(server.address()).expect("connected")).collect();
    assert_eq!(server.seen.connection_failures(310), ["listener_full"; 310]);
    assert_eq!(held[7].send(get("/")).read().expect("a response").status, 200);
    drop(flood);
}

#[test]
fn a_client_that_is_turned_away_takes_no_place_of_others() {
    let _alone = alone();
    let origin = Origin::echo();
    let number = |n| NonZeroUsize::new(n).expect("a number");
    let server = Setup::new(origin.address, "SecRuleEngine On")
        .config(|c| {
            c.listeners[0].max_connections = number(40);
            c.listeners[0].max_connections_per_client = number(20);
        })
        .start();
    // Who is answered that there is no room, and says nothing to it.
    let held: Vec<TcpStream> =
        (0..20).map(|_| TcpStream::connect(server.address()).expect("connected")).collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Acquire) {
                    let crowd: Vec<_> = (0..100).map(|_| TcpStream::connect(server.address())).collect();
                    std::thread::sleep(Duration::from_millis(20));
                    drop(crowd);
                }
            });
        }
        let statuses: Vec<String> = (0..60).map(|_| from_elsewhere(&server)).collect();
        is_over.store(true, Ordering::Release);
        assert!(statuses.iter().all(|line| line == "HTTP/1.1 200"), "{statuses:?}");
    });
    assert!(server.seen.connection_failures(200).iter().all(|reason| *reason == "client_full"));
    drop(held);
}

/// The beginning of what a client of another address is answered.
fn from_elsewhere(server: &Portcullis) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 9], 0).into()).expect("bound");
        let mut stream = socket.connect(server.address()).await.expect("connected");
        stream.write_all(get("/").as_bytes()).await.expect("sent");
        let mut line = [0; 12];
        match tokio::time::timeout(Duration::from_secs(20), stream.read_exact(&mut line)).await {
            Ok(Ok(_)) => String::from_utf8_lossy(&line).into_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "nothing".to_owned(),
        }
    })
}

#[test]
fn who_reads_too_slowly_is_cut_off_and_who_pauses_is_not() {
    let _alone = alone();
    const LENGTH: usize = 40_000_000;
    let origin = Origin::start(|_, stream| respond(stream, "200 OK", &[], &vec![b'x'; LENGTH]));
    let server = Setup::new(origin.address, "SecRuleEngine On")
        .config(|c| (c.client.write_timeout, c.client.min_rate) = (Duration::from_secs(1), 10_000_000))
        .start();
    let open = || {
        let mut stream = TcpStream::connect(server.address()).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        stream.write_all(get("/").as_bytes()).expect("sent");
        stream
    };

    // A byte now and then, or none at all.
    for (count, reads) in [(1, true), (2, false)] {
        let began = Instant::now();
        let mut stream = open();
        let mut byte = [0];
        while server.seen.finished(count - 1).len() < count {
            assert!(began.elapsed() < Duration::from_secs(20), "it goes on");
            if reads {
                stream.read_exact(&mut byte).expect("a byte");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(server.seen.finished(count)[count - 1].trouble(), Some(&Trouble::ResponseLate));
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() < LENGTH, "the response is cut");
    }

    // Half a second of rest every now and then, and quick in between.
    let mut stream = open();
    let (mut all, mut buffer) = (0, vec![0; 1 << 20]);
    let mut next = LENGTH / 4;
    loop {
        let read = stream.read(&mut buffer).expect("more");
        all += read;
        if all > next {
            std::thread::sleep(Duration::from_millis(500));
            next += LENGTH / 4;
        }
        if all > LENGTH {
            break;
        }
        assert!(read > 0, "{all} bytes only");
    }
    assert_eq!(server.seen.finished(3)[2].trouble(), None);
}
