//! A case over HTTP: through the real proxy, in front of an application that remembers every byte.

use super::case::Case;
use crate::support::client::{Client, Response};
use crate::support::origin::{Origin, Received, respond};
use crate::support::server::{Portcullis, Setup};
use portcullis::body::{Coding, InflateLimits, Inflater};
use portcullis::engine::{Report, RequestRecord};
use portcullis::http::{RequestHead, Target};
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The proxy with one ruleset, and the application behind it.
pub struct Stage {
    server: Portcullis,
    origin: Origin,
    answer: Arc<Mutex<Option<Vec<u8>>>>,
}

/// What became of a case's bytes.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Ids of rules that matched, in all requests.
    pub rules: Vec<u64>,
    /// What the application got.
    pub received: Vec<String>,
    /// What the client got, without the answer to the request that ends each connection.
    pub responses: Vec<Response>,
    /// Requests of which the application got something else than what was inspected, and how.
    pub differences: Vec<String>,
    /// Events, for people: what a failed case prints.
    #[allow(dead_code, reason = "read through Debug only")]
    pub told: Vec<String>,
}

impl Stage {
    /// Starts both with `rules`.
    pub fn new(rules: &str) -> Self {
        let answer: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
        let canned = Arc::clone(&answer);
        let origin = Origin::start(move |request, stream| {
            let canned = canned.lock().expect("nobody panics with it").clone();
            match canned {
                Some(bytes) if !request.line.contains(LAST) => stream.write_all(&bytes).is_ok(),
                _ if request.line.contains(LAST) => respond(stream, "200 OK", &[], LAST.as_bytes()),
                _ => respond(stream, "200 OK", &[("Content-Type", "text/plain")], b"fine"),
            }
        });
        let server = Setup::new(origin.address, rules)
            .site(|site| site.timeouts.body_read = Duration::from_millis(500))
            .config(|config| {
                config.client.head_timeout = Duration::from_secs(1);
                config.client.headers = 200;
                config.client.head_bytes = 128 << 10;
            })
            .start();
        Self { server, origin, answer }
    }

    /// Sends the case's bytes on a connection of their own, and one more request to see whether they left anything
    /// behind.
    pub fn run(&self, case: &Case, answers: usize) -> Outcome {
        let before = (self.origin.requests().len(), self.origin.heads(), self.server.seen.finished(0).len());
        *self.answer.lock().expect("nobody panics with it") =
            case.response.as_ref().map(super::case::ResponseCase::bytes);
        let mut client = Client::connect(self.server.address());
        client.send(case.request());
        let mut responses = Vec::new();
        let mut is_open = true;
        while is_open && responses.len() < answers.max(1) {
            match client.read() {
                Ok(response) => responses.push(response),
                Err(_) => is_open = false,
            }
        }
        if is_open {
            client.send(format!("GET {LAST} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"));
            while let Ok(response) = client.read() {
                responses.push(response);
            }
            responses.retain(|r| r.body != LAST.as_bytes());
        }
        let mut finished = self.server.seen.finished(before.2 + 1).split_off(before.2);
        let received: Vec<Received> = self
            .origin
            .requests()
            .split_off(before.0)
            .into_iter()
            .filter(|r| !r.line.contains(LAST))
            .collect();
        let ids: Vec<&str> = received.iter().filter_map(|r| r.header("x-request-id")).collect();
        while !ids.iter().all(|id| finished.iter().any(|f| f.report.id == *id)) {
            let count = before.2 + finished.len() + 1;
            finished = self.server.seen.finished(count).split_off(before.2);
        }
        let reports: Vec<&Report> =
            finished.iter().map(|f| &f.report).filter(|r| r.request.uri != LAST.as_bytes()).collect();
        let mut out = Outcome {
            rules: reports.iter().flat_map(|r| &r.rules).map(|r| r.id).collect(),
            told: reports
                .iter()
                .flat_map(|r| &r.events)
                .map(|e| format!("{}: {}", e.kind.name(), e.detail))
                .collect(),
            received: received.iter().map(|r| r.line.clone()).collect(),
            responses,
            differences: Vec::new(),
        };
        for request in &received {
            let report = reports.iter().find(|r| Some(r.id.as_str()) == request.header("x-request-id"));
            match report {
                Some(report) => out.differences.extend(differences(&report.request, request)),
                None => out.differences.push(format!("{} was not inspected", request.line)),
            }
        }
        let (heads, requests) = (self.origin.heads() - before.1, self.origin.requests().len() - before.0);
        if heads != requests {
            out.differences.push(format!("the application got {heads} heads and could read {requests}"));
        }
        out
    }
}

/// The path of the request that ends each connection.
pub const LAST: &str = "/the-last-request";

/// Fields that each connection has of its own, and those that the proxy adds. Nothing that an application reads
/// as input is among them but `Cookie2`'s like, which nobody has.
const OWN: [&str; 14] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "expect",
    "content-length",
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
];

/// In what the application's request differs from the inspected one.
fn differences(inspected: &RequestRecord, received: &Received) -> Vec<String> {
    let mut out = Vec::new();
    let head = RequestHead { target: inspected.uri.clone(), ..RequestHead::default() };
    let target = head.normalised_target().into_owned();
    let parts = Target::parse(&inspected.method, &target);
    let path = if parts.path.is_empty() { b"/" } else { parts.path };
    let query = parts.query.map(|q| [b"?", q].concat()).unwrap_or_default();
    let line = [&inspected.method[..], b" ", path, &query].concat();
    let line: String = line.iter().map(|b| char::from(*b)).collect();
    if received.line.rsplit_once(' ').map(|(line, _)| line) != Some(&line) {
        out.push(format!("inspected {line}, received {}", received.line));
    }
    let nominated: Vec<String> = inspected
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"connection"))
        .flat_map(|(_, value)| {
            String::from_utf8_lossy(value)
                .to_ascii_lowercase()
                .split(',')
                .map(|v| v.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    let is_own = |name: &str| OWN.contains(&name) || nominated.iter().any(|n| n == name);
    let latin = |bytes: &[u8]| bytes.iter().map(|b| char::from(*b)).collect::<String>();
    let mut expected: Vec<(String, String)> = inspected
        .headers
        .iter()
        .map(|(name, value)| (latin(name).to_ascii_lowercase(), latin(value)))
        .filter(|(name, _)| !is_own(name))
        .collect();
    let mut got: Vec<(String, String)> = received
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .filter(|(name, _)| !is_own(name))
        .collect();
    // Fields of different names may change places; those of one name may not.
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    got.sort_by(|a, b| a.0.cmp(&b.0));
    if expected != got {
        out.push(format!("inspected {expected:?}, received {got:?}"));
    }
    let coding = received.all("content-encoding").join(",");
    let body = match Coding::from_headers([coding.as_bytes()]) {
        Ok(Coding::Identity) => received.body.clone(),
        Ok(coding) => {
            let mut inflater = Inflater::new(coding, &InflateLimits::default());
            let mut body = Vec::new();
            let fed = inflater.feed(&received.body, &mut |piece| body.extend_from_slice(piece));
            let ended = inflater.finish(&mut |piece| body.extend_from_slice(piece));
            if let Err(error) = fed.and(ended) {
                out.push(format!("received a body that does not inflate: {error}"));
            }
            body
        }
        Err(error) => {
            out.push(format!("received a body in an unknown coding: {error}"));
            Vec::new()
        }
    };
    let is_same = if inspected.body.truncated {
        body.starts_with(&inspected.body.bytes)
    } else {
        body == inspected.body.bytes
    };
    if !is_same {
        out.push(format!(
            "inspected a body of {} bytes, received one of {}",
            inspected.body.bytes.len(),
            body.len()
        ));
    }
    out
}
