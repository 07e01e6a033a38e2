//! Everything that an application can do wrong, and everything around it that can be missing: the client gets a clean
//! answer with the transaction's id, in time, or sees that the answer is cut; and each is counted by its cause.

#![cfg(feature = "server")]

mod support;

use portcullis::config::{Upstream, UpstreamHttp2, UpstreamTls};
use portcullis::proxy::Trouble;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::binary::{Binary, TOKEN};
use support::client::{Client, get, post};
use support::command::program;
use support::http2::{self, Identity};
use support::origin::nobody;
use support::server::{Portcullis, Setup, to};

const RULES: &str = "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n\
                     SecResponseBodyMimeType text/html";

/// How long the site waits for its upstream. What is told because of it must not take much longer.
const PATIENCE: Duration = Duration::from_secs(1);
/// What is in time, on a machine that has other things to do as well.
const IN_TIME: Duration = Duration::from_secs(8);

/// What becomes of a response that has begun, or has not.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// A page of this status.
    Told(u16),
    /// The client has the head and sees that the rest is missing.
    Cut,
    /// A whole response with this body.
    Whole(&'static str),
}

use Outcome::{Cut, Told, Whole};

/// A thing that an origin does with a connection once it has read a request.
struct Fault {
    name: &'static str,
    act: fn(&mut TcpStream),
    /// When the response is held until it has been inspected, and when it flows.
    held: Outcome,
    flowing: Outcome,
}

const fn always(name: &'static str, act: fn(&mut TcpStream), outcome: Outcome) -> Fault {
    Fault { name, act, held: outcome, flowing: outcome }
}

/// Once the head is there it depends: what is held can still be replaced.
const fn within(name: &'static str, act: fn(&mut TcpStream), status: u16) -> Fault {
    Fault { name, act, held: Told(status), flowing: Cut }
}

fn say(stream: &mut TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.flush();
}

/// Closes the connection so that the other side gets a reset: with bytes unread, and nothing lingering.
fn reset(stream: &TcpStream) {
    let stream = stream.try_clone().expect("a clone");
    stream.set_nonblocking(true).expect("set");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let stream = tokio::net::TcpStream::from_std(stream).expect("a stream");
    stream.set_zero_linger().expect("set");
}

const LINE: &str = "HTTP/1.1 200 OK\r\n";

/// What the origin's type is said to be: the test sends each fault with one that is held and one that flows.
const TYPE: &str = "Content-Type: TYPE\r\n";

const FAULTS: &[Fault] = &[
    always("closes without a word", |_| (), Told(502)),
    always("resets without a word", |stream| reset(stream), Told(502)),
    always("closes within the head", |stream| say(stream, &format!("{LINE}{TYPE}Content-Le")), Told(502)),
    always(
        "resets within the head",
        |stream| {
            say(stream, LINE);
            sleep(Duration::from_millis(50));
            reset(stream);
        },
        Told(502),
    ),
    always("stalls before the head", |_| sleep(2 * PATIENCE), Told(504)),
    always(
        "stalls within the head",
        |stream| {
            say(stream, LINE);
            sleep(2 * PATIENCE);
        },
        Told(504),
    ),
    always("says no HTTP", |stream| say(stream, "SSH-2.0-OpenSSH_9.2\r\n\r\n"), Told(502)),
    always("speaks TLS", |stream| drop(stream.write_all(b"\x15\x03\x01\x00\x02\x02\x46")), Told(502)),
    always("has a status that is none", |stream| say(stream, "HTTP/1.1 abc OK\r\n\r\n"), Told(502)),
    always("has a status beyond all", |stream| say(stream, "HTTP/1.1 1000 OK\r\n\r\n"), Told(502)),
    always("has a version beyond all", |stream| say(stream, "HTTP/7.3 200 OK\r\n\r\n"), Told(502)),
    always(
        "has a field without a name",
        |stream| say(stream, &format!("{LINE}: x\r\nContent-Length: 0\r\n\r\n")),
        Told(502),
    ),
    always(
        "has a NUL in a field",
        |stream| say(stream, &format!("{LINE}X-A: a\0b\r\nContent-Length: 0\r\n\r\n")),
        Told(502),
    ),
    always(
        "has a head without an end",
        |stream| {
            say(stream, LINE);
            let field = format!("X-Filler: {}\r\n", "x".repeat(1_000));
            for _ in 0..20_000 {
                if stream.write_all(field.as_bytes()).is_err() {
                    return;
                }
            }
        },
        Told(502),
    ),
    always(
        "has a length that is no number",
        |stream| say(stream, &format!("{LINE}{TYPE}Content-Length: many\r\n\r\nbody")),
        Told(502),
    ),
    always(
        "has two lengths",
        |stream| say(stream, &format!("{LINE}{TYPE}Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody!")),
        Told(502),
    ),
    within(
        "truncates",
        |stream| {
            say(stream, &format!("{LINE}{TYPE}Content-Length: 1000\r\n\r\nhalf"));
            sleep(Duration::from_millis(50));
        },
        502,
    ),
    within(
        "resets within the body",
        |stream| {
            say(stream, &format!("{LINE}{TYPE}Content-Length: 1000\r\n\r\nhalf"));
            sleep(Duration::from_millis(50));
            reset(stream);
        },
        502,
    ),
    within(
        "stalls within the body",
        |stream| {
            say(stream, &format!("{LINE}{TYPE}Content-Length: 1000\r\n\r\nhalf"));
            sleep(2 * PATIENCE);
        },
        504,
    ),
    within(
        "has a chunk without a size",
        |stream| say(stream, &format!("{LINE}{TYPE}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n")),
        502,
    ),
    within(
        "has a chunk beyond all",
        |stream| {
            let size = "fffffffffffffffff1";
            say(stream, &format!("{LINE}{TYPE}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n{size}\r\n"));
        },
        502,
    ),
    within(
        "has a chunk without its end",
        |stream| {
            say(
                stream,
                &format!("{LINE}{TYPE}Transfer-Encoding: chunked\r\n\r\n4\r\nhalfXX4\r\nhalf\r\n0\r\n\r\n"),
            );
        },
        502,
    ),
    within(
        "ends without the last chunk",
        |stream| {
            say(stream, &format!("{LINE}{TYPE}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"));
            sleep(Duration::from_millis(50));
        },
        502,
    ),
    always(
        "says more than it has announced",
        |stream| {
            let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
            say(stream, &format!("{LINE}{TYPE}Content-Length: 5\r\n\r\nwhole{poison}"));
            sleep(Duration::from_millis(50));
        },
        Whole("whole"),
    ),
    always(
        "answers before it was asked",
        |stream| {
            say(
                stream,
                &format!("{LINE}{TYPE}Content-Length: 5\r\n\r\nwhole{LINE}Content-Length: 6\r\n\r\npoison"),
            );
            // The connection stays, and another request could come over it.
            sleep(Duration::from_millis(300));
        },
        Whole("whole"),
    ),
];

/// An origin that reads a request's head and does something with the connection. `TYPE` in what it says is `kind`.
struct Raw {
    address: SocketAddr,
}

impl Raw {
    fn start(act: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let act = std::sync::Arc::new(act);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let act = std::sync::Arc::clone(&act);
                std::thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                        head.push(byte[0]);
                    }
                    act(&mut stream);
                });
            }
        });
        Self { address }
    }
}

/// Between an origin and Portcullis: replaces `TYPE` by a type, byte for byte else, and passes resets on.
fn with_type(fault: &'static Fault, kind: &'static str) -> Raw {
    Raw::start(move |stream| {
        // The fault writes to a pair of sockets, so that what it says can be changed.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut near = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
        let (mut far, _) = listener.accept().expect("accepted");
        let acting = std::thread::spawn(move || (fault.act)(&mut far));
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match near.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    let text = buffer[..read].to_vec();
                    let at = text.windows(4).position(|w| w == b"TYPE");
                    let changed = match at {
                        Some(at) => [&text[..at], kind.as_bytes(), &text[at + 4..]].concat(),
                        None => text,
                    };
                    if stream.write_all(&changed).is_err() {
                        break;
                    }
                }
                Err(_) => {
                    reset(stream);
                    break;
                }
            }
        }
        drop(near);
        let _ = acting.join();
    })
}

fn start(address: SocketAddr) -> Portcullis {
    let setup = Setup::new(address, RULES).site(|site| {
        site.timeouts.read = PATIENCE;
        site.timeouts.connect = PATIENCE;
    });
    setup.start()
}

/// What a client of HTTP/1.1 gets for its second request on a connection, the first being the fault's.
fn over_http1(server: &Portcullis, request: &[u8], about: &str) -> (Outcome, String) {
    let mut client = server.client();
    let began = Instant::now();
    client.send(request);
    let response = client.read().unwrap_or_else(|error| panic!("{about}: {error}"));
    assert!(began.elapsed() < IN_TIME, "{about}: {:?}", began.elapsed());
    let text = response.text();
    assert!(!text.contains("poison"), "{about}");
    let outcome = match response.complete {
        false => Cut,
        true if response.status == 200 => Whole(if text == "whole" { "whole" } else { "something else" }),
        true => Told(response.status),
    };
    if matches!(outcome, Told(_)) {
        assert!(!text.contains("half"), "{about}: {text}");
        let id = response.header("x-request-id").unwrap_or_default().to_owned();
        assert!(!id.is_empty() && text.contains(&id), "{about}: {text}");
        // Whoever is told can go on.
        client.send(request);
        assert!(client.read().is_ok(), "{about}: the connection does not go on");
        return (outcome, id);
    }
    (outcome, String::new())
}

#[test]
fn whatever_an_application_does_the_client_is_told() {
    let kinds =
        |fault: &'static Fault| [(fault, "text/html", fault.held), (fault, "image/png", fault.flowing)];
    let cases: Vec<_> = FAULTS.iter().flat_map(kinds).collect();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    // Several at a time, since much of this is waiting.
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some((fault, kind, expected)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = try_fault(fault, kind, *expected);
                    wrong.lock().expect("no panic").extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn try_fault(fault: &'static Fault, kind: &'static str, expected: Outcome) -> Vec<String> {
    let origin = with_type(fault, kind);
    let server = start(origin.address);
    let mut wrong = Vec::new();
    for request in [get("/").into_bytes(), post("/", b"a body")] {
        let about = format!("{} ({kind})", fault.name);
        let before = server.seen.finished(0).len();
        let (outcome, id) = over_http1(&server, &request, &about);
        if outcome != expected {
            wrong.push(format!("{about}: {outcome:?} instead of {expected:?}"));
        }
        let is_told = matches!(outcome, Told(_));
        // Who is told asks once more.
        let all = server.seen.finished(before + 1 + usize::from(is_told));
        let Some(finished) = all[before..].iter().find(|f| !is_told || f.report.id == id) else {
            wrong.push(format!("{about}: another id"));
            continue;
        };
        let trouble = match outcome {
            Told(504) => Some(Trouble::UpstreamLate),
            Cut if fault.held == Told(504) => Some(Trouble::UpstreamLate),
            Told(_) | Cut => Some(Trouble::UpstreamBroken),
            Whole(_) => None,
        };
        if finished.trouble() != trouble.as_ref() {
            wrong.push(format!("{about}: {:?} instead of {trouble:?}", finished.trouble()));
        }
    }
    server.shut_down();
    wrong
}

#[test]
fn clients_of_http2_are_told_as_well() {
    let identity = Identity::new(&["a.test"]);
    let runtime = runtime();
    for fault in FAULTS {
        for (kind, expected) in [("text/html", fault.held), ("image/png", fault.flowing)] {
            let origin = with_type(fault, kind);
            let tls = identity.listener();
            let setup = Setup::new(origin.address, RULES).config(|c| c.listeners[0].tls = Some(tls));
            let server = setup.site(|site| site.timeouts.read = PATIENCE).start();
            let outcome = runtime.block_on(async {
                let mut client = http2::connect(server.address(), &identity).await;
                let request = http::Request::get("https://a.test/").body(()).expect("a request");
                match http2::send(&mut client, request, b"", 100).await {
                    Ok(response) if response.status() == 200 => {
                        Whole(if response.body() == b"whole" { "whole" } else { "something else" })
                    }
                    Ok(response) => Told(response.status().as_u16()),
                    Err(_) => Cut,
                }
            });
            assert_eq!(outcome, expected, "{} ({kind})", fault.name);
        }
    }
}

#[test]
fn applications_over_http2_fail_as_others_do() {
    let runtime = runtime();
    type Act = fn(
        &mut h2::server::SendResponse<bytes::Bytes>,
        &mut h2::server::Connection<tokio::net::TcpStream, bytes::Bytes>,
    ) -> bool;
    let acts: [(&str, Act, u16); 3] = [
        (
            "resets the stream",
            |respond, _| {
                respond.send_reset(h2::Reason::INTERNAL_ERROR);
                true
            },
            502,
        ),
        ("closes the connection", |_, _| false, 502),
        ("stalls", |_, _| true, 504),
    ];
    for (name, act, status) in acts {
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                    let mut kept = Vec::new();
                    while let Some(Ok((_, mut respond))) = connection.accept().await {
                        if !act(&mut respond, &mut connection) {
                            return;
                        }
                        kept.push(respond);
                    }
                });
            }
        });
        let upstream = Upstream { http2: UpstreamHttp2::Always, ..to(address) };
        let setup = Setup::new(address, RULES).site(|site| {
            site.upstreams = vec![upstream];
            site.timeouts.read = PATIENCE;
        });
        let server = setup.start();
        let began = Instant::now();
        let response = server.exchange(get("/"));
        assert_eq!(response.status, status, "{name}");
        assert!(began.elapsed() < IN_TIME, "{name}");
        let finished = server.seen.finished(1).remove(0);
        assert!(response.text().contains(&finished.report.id), "{name}");
    }
    // One that speaks HTTP/1.1 where HTTP/2 was agreed on.
    let origin = Raw::start(|stream| say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let upstream = Upstream { http2: UpstreamHttp2::Always, ..to(origin.address) };
    let server = Setup::new(origin.address, RULES).site(|site| site.upstreams = vec![upstream]).start();
    assert_eq!(server.exchange(get("/")).status, 502);
}

/// A port whose queue of connections is full, so that nobody who comes is even refused; and what fills it.
fn full() -> (SocketAddr, Vec<std::net::TcpStream>, tokio::net::TcpListener, tokio::runtime::Runtime) {
    let runtime = runtime();
    let listener = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
        socket.listen(1).expect("listening")
    });
    let address = listener.local_addr().expect("an address");
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the queue has no end");
    }
    (address, waiting, listener, runtime)
}

#[test]
fn what_cannot_be_reached_is_counted_by_its_cause() {
    let (stuck, _waiting, _listener, _runtime) = full();
    let refused = nobody();
    let silent = Raw::start(|_| sleep(Duration::from_secs(3)));
    let broken = Raw::start(|_| ());
    let late = Raw::start(|_| sleep(Duration::from_secs(3)));
    // Speaks first, and no TLS.
    let cleartext = TcpListener::bind("127.0.0.1:0").expect("a port");
    let clear = cleartext.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in cleartext.incoming().flatten() {
            say(&mut stream, "HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = stream.read(&mut [0; 1_000]);
        }
    });
    let site = |name: &str, url: &str| {
        format!(
            "  - {{name: {name}, hosts: {name}.test, upstreams: ['{url}'], rules: [{{text: 'SecRuleEngine On'}}], \
             balance: {{max_fails: 0}}, timeouts: {{connect: 500ms, first_byte: 500ms, read: 500ms}}}}\n"
        )
    };
    // The same label, the same status, and one place each: site, URL, cause, status.
    let sites = [
        ("stuck", format!("http://{stuck}"), "upstream_connect_timeout", 504),
        ("handshake", format!("https://{}", silent.address), "upstream_connect_timeout", 504),
        ("refused", format!("http://{refused}"), "upstream_refused", 502),
        ("name", "http://nowhere.invalid:80".to_owned(), "upstream_name", 502),
        ("cleartext", format!("https://{clear}"), "upstream_tls", 502),
        ("broken", format!("http://{}", broken.address), "upstream_broken", 502),
        ("late", format!("http://{}", late.address), "upstream_timeout", 504),
    ];
    let mut text = format!(
        "listeners: ['127.0.0.1:0']\nadmin: {{address: '127.0.0.1:0', token: {TOKEN}}}\nreload: {{watch: false}}\nsites:\n"
    );
    for (name, url, ..) in &sites {
        text.push_str(&site(name, url));
    }
    let binary = Binary::start(&[], &text);
    for (name, _, cause, status) in &sites {
        for round in 1..=2 {
            let began = Instant::now();
            let request = get("/").replace("a.test", &format!("{name}.test"));
            let response = Client::connect(binary.address()).send(request).read().expect("an answer");
            assert_eq!(response.status, *status, "{name}: {}", response.text());
            // A resolver has a patience of its own.
            let most = if *name == "name" { 2 * IN_TIME } else { IN_TIME };
            assert!(began.elapsed() < most, "{name}: {:?}", began.elapsed());
            let id = response.header("x-request-id").expect("an id").to_owned();
            assert!(response.text().contains(&id), "{name}");
            let series = format!("portcullis_upstream_errors_total{{cause=\"{cause}\",site=\"{name}\"}}");
            binary.wait(&series, |binary| binary.metric(&series) >= f64::from(round));
            assert_eq!(binary.metric(&series), f64::from(round), "{name}");
        }
    }
}

/// What is told, and what is cut: a response that was held when it broke off, and one that had begun to flow.
#[test]
fn broken_responses_are_counted_by_their_cause() {
    let breaks = [
        ("truncated", "truncates", "text/html", Told(502), "upstream_broken"),
        ("cut", "truncates", "image/png", Cut, "upstream_broken"),
        ("reset", "resets within the body", "image/png", Cut, "upstream_broken"),
        ("chunk", "has a chunk without a size", "image/png", Cut, "upstream_broken"),
        ("late", "stalls within the body", "image/png", Cut, "upstream_timeout"),
    ];
    let mut text = format!(
        "listeners: ['127.0.0.1:0']\nadmin: {{address: '127.0.0.1:0', token: {TOKEN}}}\nreload: {{watch: false}}\nsites:\n"
    );
    let mut origins = Vec::new();
    for (site, name, kind, ..) in breaks {
        let fault = FAULTS.iter().find(|fault| fault.name == name).expect("a fault");
        let origin = with_type(fault, kind);
        let rules = RULES.lines().map(|line| format!("        {}\n", line.trim())).collect::<String>();
        text.push_str(&format!(
            "  - name: {site}\n    hosts: {site}.test\n    upstreams: ['http://{}']\n    balance: {{max_fails: 0}}\n    \
             timeouts: {{read: 500ms}}\n    rules:\n    - text: |\n{rules}",
            origin.address
        ));
        origins.push(origin);
    }
    let binary = Binary::start(&[], &text);
    for (site, _, _, expected, cause) in breaks {
        for round in 1..=2 {
            let request = get("/").replace("a.test", &format!("{site}.test"));
            let response = Client::connect(binary.address()).send(request).read().expect("an answer");
            let outcome = if response.complete { Told(response.status) } else { Cut };
            assert_eq!(outcome, expected, "{site}: {}", response.text());
            let series = format!("portcullis_upstream_errors_total{{cause=\"{cause}\",site=\"{site}\"}}");
            binary.wait(&series, |binary| binary.metric(&series) >= f64::from(round));
            assert_eq!(binary.metric(&series), f64::from(round), "{site}");
        }
    }
}

#[test]
fn an_authority_that_is_gone_is_no_trust() {
    let silent = Raw::start(|_| ());
    let upstream = Upstream {
        tls: Some(UpstreamTls {
            verify: true,
            sni: "a.test".into(),
            ca: Some("/nonexistent".into()),
            identity: None,
        }),
        ..to(silent.address)
    };
    let server = Setup::new(silent.address, RULES).site(|site| site.upstreams = vec![upstream]).start();
    assert_eq!(server.exchange(get("/")).status, 502);
    assert_eq!(server.seen.finished(1)[0].trouble(), Some(&Trouble::UpstreamTls));
}

/// Files that a configuration depends on, each made unreadable in turn.
const FILES: [&str; 6] =
    ["portcullis.yaml", "rules.conf", "listed.txt", "cert.pem", "countries.mmdb", "maintenance.html"];

#[test]
fn a_file_that_cannot_be_read_leaves_everything_as_it_was() {
    let identity = Identity::new(&["a.test"]);
    let read = |name: &str| std::fs::read_to_string(identity.files.path().join(name)).expect("readable");
    let origin = support::origin::Origin::echo();
    let text = format!(
        "listeners: ['127.0.0.1:0', {{address: '127.0.0.2:0', tls: {{certificate: cert.pem, key: key.pem}}}}]\n\
         admin: {{address: '127.0.0.1:0', token: {TOKEN}}}\nreload: {{watch: false}}\n\
         geo_database: countries.mmdb\n\
         sites:\n  - name: main\n    upstreams: ['{}']\n    rules: [rules.conf]\n    \
         maintenance: {{active: off, page: maintenance.html}}\n    \
         access: [{{name: listed, address_files: [listed.txt], status: 410}}, {{name: abroad, countries: [KP]}}]\n",
        origin.url()
    );
    let rules = "SecRuleEngine On\nSecRule ARGS:q \"@contains attack\" \"id:1,phase:1,deny,status:403\"\n";
    let files = [
        ("rules.conf", rules),
        ("listed.txt", "192.0.2.0/24\n"),
        ("cert.pem", &read("cert.pem")),
        ("key.pem", &read("key.pem")),
        ("maintenance.html", "<p>closed</p>"),
    ];
    let database = support::mmdb::countries(&[("192.0.2.0/24", "KP")]);
    // It has to be there before the start, and is no text.
    let scratch = tempfile::tempdir().expect("a directory");
    let kept = scratch.path().join("countries.mmdb");
    std::fs::write(&kept, database).expect("written");
    let text = text.replace("countries.mmdb", &kept.display().to_string());
    let mut binary = Binary::start(&files, &text);
    let serves = |binary: &Binary| {
        let ask =
            |path: &str| Client::connect(binary.address()).send(get(path)).read().expect("an answer").status;
        (ask("/"), ask("/?q=attack"))
    };
    assert_eq!(serves(&binary), (200, 403));
    for name in FILES {
        let path = if name == "countries.mmdb" { kept.clone() } else { binary.path(name) };
        let aside = path.with_extension("aside");
        // Whoever runs this may read everything: a directory is what nobody can read as a file.
        std::fs::rename(&path, &aside).and_then(|()| std::fs::create_dir(&path)).expect("moved");
        let refused = binary.metric("portcullis_reloads_total{result=\"refused\"}");
        binary.signal("-HUP");
        binary.wait(name, |binary| binary.metric("portcullis_reloads_total{result=\"refused\"}") > refused);
        assert_eq!(binary.metric("portcullis_config_last_reload_successful"), 0.0, "{name}");
        assert_eq!(serves(&binary), (200, 403), "{name}");
        std::fs::remove_dir(&path).and_then(|()| std::fs::rename(&aside, &path)).expect("moved back");
        assert!(binary.log().contains(path.file_name().and_then(|n| n.to_str()).expect("a name")), "{name}");
    }
    binary.signal("-HUP");
    binary.wait("a sound reload", |binary| binary.metric("portcullis_config_last_reload_successful") > 0.5);
    assert!(binary.end().success());

    // None of them can be missing at the start.
    for name in FILES.into_iter().skip(1) {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).expect("written");
        }
        let missing = directory.path().join(name);
        let text = match name {
            "countries.mmdb" => text.replace(&kept.display().to_string(), &missing.display().to_string()),
            _ => text.clone(),
        };
        let _ = std::fs::remove_file(&missing);
        std::fs::write(directory.path().join("portcullis.yaml"), text).expect("written");
        let ended = program(directory.path(), &["run", "-c", "portcullis.yaml"]).output().expect("it runs");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && said.contains(name), "{name}: {said}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}
