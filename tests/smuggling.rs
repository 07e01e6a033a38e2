//! Requests that one server ends where another goes on, in front of servers that people run: nginx, Apache and Node, each
//! as lenient as it can be told to be. Every case in `tests/suite/smuggling`, and those of `tests/suite/bypass` that are
//! about framing, go through the proxy at once and in pieces.
//!
//! What is shown: each server logs as many requests as the proxy says it has handed on; method, target, header and body of
//! each are those that were inspected (of the header, nginx and Apache tell `Host`, `Content-Type` and `Cookie`, Node all);
//! of each case, just those which it lists arrive; and nothing hangs.
//! `PORTCULLIS_CASES=word` runs the cases whose file or name has that word.

#![cfg(feature = "server")]
#![allow(clippy::print_stderr, reason = "says what was skipped")]

mod support;

#[path = "suite/bypass/case.rs"]
#[allow(dead_code, reason = "what CRS and the probe say of a case is another test's")]
mod case;
#[path = "suite/bypass/encode.rs"]
mod encode;
#[path = "suite/smuggling/frames.rs"]
mod frames;
#[path = "suite/smuggling/servers.rs"]
mod servers;

use case::Case;
use portcullis::http::{RequestHead, Target};
use portcullis::proxy::{Finished, Trouble};
use servers::{Entry, FIELDS, Kind, Recorder};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::http2::Identity;
use support::server::{Portcullis, Setup, with_tls};

/// A WAF that keeps what it inspected, refuses what cannot be parsed, and blocks on a word.
const RULES: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecRequestBodyLimit 1048576
SecRequestBodyNoFilesLimit 1048576
SecRequestBodyLimitAction Reject
SecAuditEngine On
SecAuditLogParts ABCFHZ
SecAction "id:1,phase:1,pass,nolog,ctl:forceRequestBodyVariable=On"
SecRule REQUEST_METHOD "@within CONNECT TRACE" "id:2,phase:1,deny,status:403,log"
SecRule REQUEST_URI "@contains block" "id:3,phase:1,deny,status:403,log"
SecRule REQUEST_BODY "@streq block" "id:4,phase:2,deny,status:403,log"
SecRule REQBODY_ERROR "!@eq 0" "id:5,phase:2,deny,status:400,log"
"#;

#[test]
fn nginx_receives_what_was_inspected() {
    run(Kind::Nginx);
}

#[test]
fn apache_receives_what_was_inspected() {
    run(Kind::Apache);
}

#[test]
fn node_receives_what_was_inspected() {
    run(Kind::Node);
}

/// The comparison finds what it is for: a request behind the proxy's back, one that never arrived, and one that
/// arrived as another.
#[test]
fn what_nobody_inspected_is_found() {
    for kind in [Kind::Nginx, Kind::Apache, Kind::Node] {
        let Some(recorder) = Recorder::start(kind) else { continue };
        let server = start(&recorder, None);
        let body = b"a\r\n\tb\xFF\"\\=c";
        let head = format!(
            "POST /1?a=%22\\b HTTP/1.1\r\nHost: a.test\r\nCookie: a=\"\t\\\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        assert_eq!(server.exchange([head.as_bytes(), body].concat()).status, 200, "{kind:?}");
        let (finished, entries) = settle(&server, &recorder);
        assert_eq!((finished.len(), entries.len()), (1, 1), "{kind:?}");
        assert_eq!(entries[0].body.as_deref(), Some(&body[..]), "{kind:?}");
        assert_eq!(differences(kind, &finished, &entries), [""; 0], "{kind:?}");
        let mut other = entries.clone();
        other[0].body = Some(b"a".to_vec());
        assert!(differences(kind, &finished, &other)[0].contains("a body of"), "{kind:?}");
        for name in FIELDS {
            let mut other = entries.clone();
            let fields = other[0].fields.as_mut().expect("told");
            fields.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
            assert!(differences(kind, &finished, &other)[0].contains("fields"), "{kind:?}: no {name}");
            other[0].fields.as_mut().expect("told").push((name.to_owned(), "x".to_owned()));
            assert!(differences(kind, &finished, &other)[0].contains("fields"), "{kind:?}: another {name}");
        }
        if kind == Kind::Node {
            let mut other = entries.clone();
            let fields = other[0].fields.as_mut().expect("told");
            fields.push(("Transfer-Encoding".to_owned(), "chunked".to_owned()));
            assert!(differences(kind, &finished, &other)[0].contains("is framed by"));
        }
        other[0].line = "GET / HTTP/1.1".to_owned();
        assert!(differences(kind, &finished, &other)[0].contains("received GET /"), "{kind:?}");
        assert!(differences(kind, &finished, &[])[0].contains("0 times"), "{kind:?}");
        // Two requests for a server that goes by the length; the second brings an id that it has made up.
        let smuggled = "POST /2 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n\
                        GET /smuggled HTTP/1.1\r\nHost: a.test\r\nX-Request-Id: x\r\nConnection: close\r\n\r\n";
        drop(exchange(recorder.address, smuggled.as_bytes(), usize::MAX, |_| true));
        let until = Instant::now() + Duration::from_secs(10);
        while recorder.entries().len() < 3 {
            assert!(Instant::now() < until, "{kind:?}: {:?}", recorder.entries());
            std::thread::sleep(Duration::from_millis(20));
        }
        let told = differences(kind, &finished, &recorder.entries());
        assert_eq!(told.len(), 2, "{kind:?}: {told:?}");
        assert!(
            told.iter().any(|t| t.contains("GET /smuggled") && t.contains("nobody")),
            "{kind:?}: {told:?}"
        );
    }
}

/// One connection's worth of bytes or frames.
enum Job {
    Bytes { name: String, case: Box<Case>, piece: usize },
    Frames { name: String, case: frames::Case },
}

/// What is expected of a connection, and which one it was.
struct Sent {
    name: String,
    upstream: Option<Vec<String>>,
    status: Option<u16>,
    answered: Option<u16>,
    address: SocketAddr,
}

fn run(kind: Kind) {
    let Some(recorder) = Recorder::start(kind) else { return };
    let identity = Identity::new(&["a.test"]);
    let server = start(&recorder, Some(&identity));
    let jobs = jobs();
    let is_part = std::env::var_os("PORTCULLIS_CASES").is_some();
    assert!(jobs.len() > 500 || is_part, "only {} cases", jobs.len());
    let next = AtomicUsize::new(0);
    let faults: Mutex<Vec<String>> = Mutex::default();
    let sent: Mutex<Vec<Sent>> = Mutex::default();
    let addresses: Mutex<BTreeSet<SocketAddr>> = Mutex::default();
    let is_new = |address| addresses.lock().expect("nobody panics with it").insert(address);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match send(&server, &identity, job, is_new) {
                        Ok(one) => sent.lock().expect("nobody panics with it").push(one),
                        Err(fault) => faults.lock().expect("nobody panics with it").push(fault),
                    }
                }
            });
        }
    });
    let (finished, entries) = settle(&server, &recorder);
    assert!(entries.len() > 100 || is_part, "{kind:?}: only {} requests arrived", entries.len());
    let mut faults = faults.into_inner().expect("nobody panicked");
    faults.extend(differences(kind, &finished, &entries));
    // Where a case has one, it is in a place in which it is no request.
    let smuggled = entries.iter().filter(|e| e.line.contains("/smuggled"));
    faults.extend(smuggled.map(|e| format!("the upstream received {:?}", e.line)));
    let mut by_client: BTreeMap<SocketAddr, Vec<String>> = BTreeMap::new();
    for one in finished.iter().filter(|f| is_handed_on(f)) {
        // The upstream's is the same, or among the faults already.
        let line = expected_line(&one.report.request.method, &one.report.request.uri);
        if let Some(client) = one.report.client {
            by_client.entry(client).or_default().push(line);
        }
    }
    for one in sent.into_inner().expect("nobody panicked") {
        let arrived = by_client.remove(&one.address).unwrap_or_default();
        if let Some(expected) = one.upstream.filter(|expected| *expected != arrived) {
            faults
                .push(format!("{}: expected {expected:?} at the upstream, which got {arrived:?}", one.name));
        }
        if one.status.is_some() && one.status != one.answered {
            faults.push(format!("{}: answered {:?} instead of {:?}", one.name, one.answered, one.status));
        }
    }
    assert!(faults.is_empty(), "{kind:?}: {} faults\n{}", faults.len(), faults.join("\n"));
}

/// How many connections are open at a time.
const CLIENTS: usize = 48;

fn start(recorder: &Recorder, identity: Option<&Identity>) -> Portcullis {
    Setup::new(recorder.address, RULES)
        .site(|site| {
            site.timeouts.body_read = Duration::from_secs(2);
            site.timeouts.idle = Duration::from_secs(2);
        })
        .config(|config| {
            config.client.head_timeout = Duration::from_secs(2);
            config.client.keep_alive = Duration::from_millis(600);
            config.listeners.extend(identity.map(|i| with_tls(i.listener())));
        })
        .start()
}

/// Sends one. A connection is known by its address on our side, which may come back: one that is not new is not used.
fn send(
    server: &Portcullis,
    identity: &Identity,
    job: &Job,
    is_new: impl Fn(SocketAddr) -> bool,
) -> Result<Sent, String> {
    match job {
        Job::Bytes { name, case, piece } => {
            let (address, answer) = exchange(server.address(), &case.request(), *piece, is_new)
                .map_err(|fault| format!("{name}: {fault}"))?;
            let text = String::from_utf8_lossy(&answer[..answer.len().min(64)]).into_owned();
            let answered = text.strip_prefix("HTTP/1.1 ").and_then(|t| t.get(..3)?.parse().ok());
            // One of HTTP/0.9 is answered without a head.
            let status = case.status.filter(|_| !text.starts_with("<!DOCTYPE"));
            Ok(Sent { name: name.clone(), upstream: case.upstream.clone(), status, answered, address })
        }
        Job::Frames { name, case } => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|e| format!("{name}: {e}"))?;
            let address = runtime
                .block_on(frames::send(server.addresses[1], identity, case, is_new))
                .map_err(|fault| format!("{name}: {fault}"))?;
            let upstream = case.upstream.clone();
            Ok(Sent { name: name.clone(), upstream, status: None, answered: None, address })
        }
    }
}

/// Sends `bytes` in pieces of `piece` and reads until the server closes. Returns our address and what was read.
fn exchange(
    server: SocketAddr,
    bytes: &[u8],
    piece: usize,
    is_new: impl Fn(SocketAddr) -> bool,
) -> Result<(SocketAddr, Vec<u8>), String> {
    let (mut stream, address) = loop {
        let stream = TcpStream::connect(server).map_err(|e| e.to_string())?;
        let address = stream.local_addr().map_err(|e| e.to_string())?;
        if is_new(address) {
            break (stream, address);
        }
    };
    let patience = Some(Duration::from_secs(20));
    let timeouts = stream.set_read_timeout(patience).and_then(|()| stream.set_write_timeout(patience));
    timeouts.and_then(|()| stream.set_nodelay(true)).map_err(|e| e.to_string())?;
    // A server may answer and close before all is sent.
    let _ = bytes.chunks(piece).try_for_each(|piece| stream.write_all(piece));
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err(format!("hangs: open after 20 s, behind {:?}", String::from_utf8_lossy(&answer)))
        }
        _ => Ok((address, answer)),
    }
}

/// What the proxy and the upstream have to tell, once both tell the same number of requests, or have had time to.
fn settle(server: &Portcullis, recorder: &Recorder) -> (Vec<Finished>, Vec<Entry>) {
    let until = Instant::now() + Duration::from_secs(8);
    loop {
        let (finished, entries) = (server.seen.finished(0), recorder.entries());
        let forwarded = finished.iter().filter(|f| is_handed_on(f)).count();
        if forwarded == entries.len() || Instant::now() > until {
            // What comes late would be a request too many.
            std::thread::sleep(Duration::from_millis(300));
            return (server.seen.finished(0), recorder.entries());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Where what the upstream received is not what was inspected and handed on, request for request.
fn differences(kind: Kind, finished: &[Finished], entries: &[Entry]) -> Vec<String> {
    let mut out = Vec::new();
    let mut inspected = BTreeSet::new();
    let mut paired = BTreeSet::new();
    for one in finished.iter().filter(|f| is_handed_on(f)) {
        let (id, request) = (one.report.id.as_str(), &one.report.request);
        let line = expected_line(&request.method, &request.uri);
        if !inspected.insert(id) {
            out.push(format!("{line}: two requests of one id"));
        }
        let arrived: Vec<usize> =
            (0..entries.len()).filter(|i| entries[*i].id.as_deref() == Some(id)).collect();
        // A server that refuses a request for its first line may log no id.
        let by_line = || {
            (0..entries.len()).find(|i| {
                let entry = &entries[*i];
                let is_refused = entry.id.is_none() && entry.status >= 400;
                is_refused && without_version(&entry.line) == line && !paired.contains(i)
            })
        };
        let index = match arrived[..] {
            [index] => index,
            [] if let Some(index) = by_line() => index,
            _ => {
                let (times, status, trouble) = (arrived.len(), one.status, one.trouble());
                out.push(format!(
                    "{line}: handed on once, logged {times} times by the upstream; answered {status}, {trouble:?}"
                ));
                continue;
            }
        };
        paired.insert(index);
        let entry = &entries[index];
        if without_version(&entry.line) != line {
            out.push(format!("inspected {line}, received {}", entry.line));
        }
        if let Some(told) = &entry.fields {
            let (inspected, received) =
                (inspected_fields(kind, one), comparable(kind, gathered(told.clone())));
            if inspected != received {
                out.push(format!("{line}: inspected the fields {inspected:?}, received {received:?}"));
            }
            out.extend(framing_fault(told, request.body.bytes.len()).map(|fault| format!("{line}: {fault}")));
        }
        let Some(body) = &entry.body else { continue };
        if *body != request.body.bytes || request.body.truncated {
            let (length, text) = (request.body.bytes.len(), String::from_utf8_lossy(body));
            out.push(format!(
                "{line}: inspected a body of {length} bytes, received a body of {}: {text:?}",
                body.len()
            ));
        }
    }
    for (_, entry) in entries.iter().enumerate().filter(|(index, _)| !paired.contains(index)) {
        out.push(format!(
            "the upstream received {:?} (id {:?}), which nobody inspected",
            entry.line, entry.id
        ));
    }
    out
}

/// Values by name.
type Fields = BTreeMap<String, Vec<String>>;

fn gathered(fields: impl IntoIterator<Item = (String, String)>) -> Fields {
    let mut out = Fields::new();
    for (name, value) in fields {
        out.entry(name.to_ascii_lowercase()).or_default().push(value);
    }
    out
}

/// The fields that must arrive of a request that was inspected.
fn inspected_fields(kind: Kind, finished: &Finished) -> Fields {
    let latin = |bytes: &[u8]| bytes.iter().map(|b| char::from(*b)).collect::<String>();
    let request = &finished.report.request;
    let mut fields = gathered(request.headers.iter().map(|(name, value)| (latin(name), latin(value))));
    // What the client has named as its own business with the proxy goes no further (RFC 9110 §7.6.1).
    let named: Vec<String> = fields
        .get("connection")
        .into_iter()
        .flatten()
        .flat_map(|v| v.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    fields.retain(|name, _| !named.contains(name));
    if let Some(authority) = Target::parse(&request.method, &request.uri).authority {
        fields.entry("host".to_owned()).or_insert_with(|| vec![latin(authority)]);
    }
    comparable(kind, fields)
}

/// The fields that the server tells and the proxy hands on as they are.
fn comparable(kind: Kind, mut fields: Fields) -> Fields {
    if kind == Kind::Node {
        fields.retain(|name, _| !OF_THE_PROXY.contains(&name.as_str()));
        return fields;
    }
    fields.retain(|name, _| FIELDS.contains(&name.as_str()));
    fields.iter_mut().for_each(|(name, values)| *values = vec![values.join(kind.joint(name))]);
    fields
}

/// What concerns one connection only, how long a body is, and what the proxy tells of client and request.
const OF_THE_PROXY: [&str; 18] = [
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

/// Where a request tells its body's length in no way, or in two. Only of a header that is told whole.
fn framing_fault(fields: &[(String, String)], body: usize) -> Option<String> {
    let of = |name: &'static str| -> Vec<String> {
        fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone()).collect()
    };
    of("x-request-id").first()?;
    let (length, coding) = (of("content-length"), of("transfer-encoding"));
    let is_sound = match (&length[..], &coding[..]) {
        ([], []) => body == 0,
        ([length], []) => length.parse() == Ok(body),
        ([], [coding]) => coding == "chunked",
        _ => false,
    };
    (!is_sound).then(|| format!("a body of {body} bytes is framed by {length:?} and {coding:?}"))
}

/// Whether the proxy says that it has handed a request on: it had an upstream, and nothing in the request kept it from
/// being written there.
fn is_handed_on(finished: &Finished) -> bool {
    finished.upstream.is_some() && finished.trouble() != Some(&Trouble::Unforwardable)
}

/// Method and target as the upstream must get them of what was inspected.
fn expected_line(method: &[u8], target: &[u8]) -> String {
    let head = RequestHead { target: target.to_vec(), ..RequestHead::default() };
    let target = head.normalised_target().into_owned();
    let parts = Target::parse(method, &target);
    let path = if parts.path.is_empty() { b"/" } else { parts.path };
    let query = parts.query.map(|q| [b"?", q].concat()).unwrap_or_default();
    [method, b" ", path, &query].concat().iter().map(|b| char::from(*b)).collect()
}

fn without_version(line: &str) -> &str {
    line.rsplit_once(' ').map_or(line, |(line, _)| line)
}

/// Every case, at once and in pieces of seven bytes.
fn jobs() -> Vec<Job> {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite");
    let only = std::env::var("PORTCULLIS_CASES").unwrap_or_default();
    let is_wanted = |name: &str| name.contains(&only);
    let bypass =
        ["smuggling", "transfer", "reuse", "upgrade"].map(|n| suite.join(format!("bypass/{n}.yaml")));
    let own = ["framing", "lines", "connections"].map(|n| suite.join(format!("smuggling/{n}.yaml")));
    let mut jobs = Vec::new();
    for path in bypass.iter().chain(&own) {
        let cases: Vec<Case> = read(path);
        let is_own = own.contains(path);
        for case in cases.iter().flat_map(Case::expand) {
            assert!(!is_own || case.upstream.is_some(), "{}: what arrives?", case.name);
            assert!(!case.source.is_empty(), "{}: no source", case.name);
            let name = name_of(path, &case.name);
            // Of the other suite, what arrives depends on its own rules and its own application.
            let case = if is_own { case } else { Case { upstream: None, status: None, ..case } };
            let pieces = if case.request().len() < 8192 { &[usize::MAX, 7][..] } else { &[usize::MAX] };
            for piece in pieces.iter().copied().filter(|_| is_wanted(&name)) {
                let name = if piece == 7 { format!("{name}, in pieces") } else { name.clone() };
                jobs.push(Job::Bytes { name, case: Box::new(case.clone()), piece });
            }
        }
    }
    let path = suite.join("smuggling/http2.yaml");
    for case in read::<frames::Case>(&path).iter().flat_map(frames::Case::expand) {
        assert!(!case.source.is_empty(), "{}: no source", case.name);
        let name = name_of(&path, &case.name);
        if is_wanted(&name) {
            jobs.push(Job::Frames { name, case });
        }
    }
    jobs
}

fn name_of(path: &Path, name: &str) -> String {
    let short: String = name.chars().take(160).collect();
    format!("{}: {short}", path.file_stem().unwrap_or_default().to_string_lossy())
}

fn read<T: serde::de::DeserializeOwned>(path: &PathBuf) -> Vec<T> {
    let text = std::fs::read_to_string(path).expect("case files are readable");
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
