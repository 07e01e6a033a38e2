//! A case on the engine alone: what the proxy would do with each request of its bytes, without any socket.

use super::case::Case;
use portcullis::engine::{BodyStep, Decision, NoWorld, Options, Report, Transaction};
use portcullis::http::{Framing, HeadLimits, RequestHead, find_head_end};
use portcullis::ruleset::Ruleset;
use std::net::SocketAddr;
use std::sync::Arc;

/// What became of a case's bytes.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Ids of rules that matched, in all requests.
    pub rules: Vec<u64>,
    /// Requests that would have reached the upstream: method and target.
    pub passed: Vec<String>,
    /// Something was refused, by a fault, a limit or a rule.
    pub refused: bool,
    /// Why, for people.
    pub told: Vec<String>,
    /// The response did not reach the client.
    pub hidden: bool,
}

/// Runs all requests in the case's bytes until one is refused. Bodies are fed in pieces of `piece` bytes.
pub fn run(ruleset: &Arc<Ruleset>, case: &Case, piece: usize) -> Outcome {
    let mut out = Outcome::default();
    let bytes = case.request();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let Some(end) = find_head_end(rest) else {
            out.refuse("no head".to_owned());
            break;
        };
        let (head, after) = rest.split_at(end);
        let head = RequestHead::parse(head, &HeadLimits::default());
        let framed = match head.framing {
            Framing::None => Some((Vec::new(), after)),
            Framing::Ambiguous => None,
            Framing::Length(n) => {
                let n = usize::try_from(n).expect("a length");
                (n <= after.len()).then(|| (after[..n].to_vec(), &after[n..]))
            }
            Framing::Chunked => dechunk(after),
        };
        let body = framed.as_ref().map(|(body, _)| body.as_slice()).unwrap_or_default();
        let is_last = !transaction(ruleset, case, &head, body, piece, &mut out);
        let Some((_, after)) = framed else {
            out.refuse("no body".to_owned());
            break;
        };
        if is_last {
            break;
        }
        rest = after;
    }
    out
}

impl Outcome {
    fn refuse(&mut self, why: String) {
        self.refused = true;
        self.told.push(why);
    }

    fn take(&mut self, report: &Report) {
        self.rules.extend(report.rules.iter().map(|r| r.id));
        self.told.extend(report.events.iter().map(|e| format!("{}: {}", e.kind.name(), e.detail)));
    }
}

/// One request and its response; whether it passed.
fn transaction(
    ruleset: &Arc<Ruleset>,
    case: &Case,
    head: &RequestHead,
    body: &[u8],
    piece: usize,
    out: &mut Outcome,
) -> bool {
    let options = Options { id: "bypass".to_owned(), mode: None, world: Arc::new(NoWorld) };
    let mut t = Transaction::new(Arc::clone(ruleset), options);
    let address: SocketAddr = "203.0.113.7:1234".parse().expect("an address");
    t.process_connection(address, address);
    t.set_request_line(&head.line);
    t.process_uri(&head.method, &head.target, &head.protocol);
    for (name, value) in &head.headers {
        t.add_request_header(name, value);
    }
    let stopped = request(&mut t, body, piece);
    let is_passed = stopped.is_none() && head.is_acceptable();
    if let Some(why) = stopped {
        out.refuse(why);
    }
    if let Some(fault) = head.fatal() {
        out.refuse(fault.name().to_owned());
    }
    if is_passed {
        out.passed.push(format!(
            "{} {}",
            String::from_utf8_lossy(&head.method),
            String::from_utf8_lossy(&head.target)
        ));
        out.hidden |= response(&mut t, case);
    }
    out.take(&t.process_logging(200));
    is_passed
}

fn request(t: &mut Transaction, body: &[u8], piece: usize) -> Option<String> {
    if let Decision::Interrupt(i) = t.process_request_headers() {
        return Some(format!("{i:?}"));
    }
    if t.request_body_wanted() {
        for chunk in body.chunks(piece) {
            match t.append_request_body(chunk) {
                BodyStep::Continue => {}
                BodyStep::LimitReached => break,
                BodyStep::Interrupt(i) => return Some(format!("{i:?}")),
            }
        }
    }
    match t.process_request_body() {
        Decision::Interrupt(i) => Some(format!("{i:?}")),
        Decision::Pass => None,
    }
}

/// Whether the response is kept from the client. What the engine says it could not inspect, the proxy refuses.
fn response(t: &mut Transaction, case: &Case) -> bool {
    let Some(response) = &case.response else { return false };
    let bytes = response.bytes();
    let end = find_head_end(&bytes).expect("a response has a head");
    let (head, body) = bytes.split_at(end);
    let head = String::from_utf8_lossy(head).into_owned();
    let mut lines = head.lines();
    let status =
        lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).expect("a status");
    for line in lines.filter(|l| !l.is_empty()) {
        let (name, value) = line.split_once(": ").expect("a header");
        t.add_response_header(name.as_bytes(), value.as_bytes());
    }
    if t.process_response_headers(status, b"HTTP/1.1") != Decision::Pass {
        return true;
    }
    if t.response_body_wanted() {
        for chunk in body.chunks(4096) {
            match t.append_response_body(chunk) {
                BodyStep::Continue => {}
                BodyStep::LimitReached => break,
                BodyStep::Interrupt(_) => return true,
            }
        }
    }
    let is_refused = t.process_response_body() != Decision::Pass;
    let is_uninspected = t.events().iter().any(|e| UNINSPECTED.contains(&e.kind.name()));
    is_refused || is_uninspected
}

/// Events after which the proxy lets no response pass unless the site says so.
const UNINSPECTED: [&str; 2] = ["content_coding", "response_partial"];

/// A chunked body and what follows it; `None` when it is broken or not complete.
fn dechunk(input: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    let mut rest = input;
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        let digits = line.split(';').next()?.trim_end();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let size = usize::from_str_radix(digits, 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            loop {
                let end = rest.windows(2).position(|w| w == b"\r\n")?;
                rest = &rest[end + 2..];
                if end == 0 {
                    return Some((body, rest));
                }
            }
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}
