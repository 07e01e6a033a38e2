//! Running tests on the engine alone: no sockets, no proxy. Fast, and the place to see whether a failure is the
//! engine's or the proxy's.

use super::log::Seen;
use super::wire::dechunk;
use super::{Answer, Reply, Stage, StageResult, Target, respond};
use crate::config::{FailureOutcome, FailurePolicy};
use crate::engine::{BodyStep, Decision, Interruption, Options, Report, Transaction, World};
use crate::http::{Framing, HeadLimits, RequestHead, find_head_end};
use crate::proxy::{Action, Trouble};
use crate::ruleset::{Mode, Ruleset};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How bodies are given to the engine. The decision must not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Feed {
    /// In one piece.
    #[default]
    Whole,
    /// Byte by byte.
    Bytes,
}

/// The engine with a ruleset, and behind it the answers of [`respond`].
pub struct InProcess {
    /// The rules.
    pub ruleset: Arc<Ruleset>,
    /// Overrides `SecRuleEngine`.
    pub mode: Option<Mode>,
    /// Time and persistent collections.
    pub world: Arc<dyn World>,
    /// How bodies are given to the engine.
    pub feed: Feed,
    /// Whether prefilters are on. The answers must not depend on it.
    pub prefilters: bool,
    /// Whether transformed values are kept. The answers must not depend on it.
    pub memo: bool,
    /// Whether what came of a value is remembered for other requests. The answers must not depend on it.
    pub verdicts: bool,
    /// Threads to run on.
    pub parallel: usize,
    counter: AtomicU64,
}

impl InProcess {
    /// The engine with `ruleset`, one thread, bodies whole.
    pub fn new(ruleset: Arc<Ruleset>, world: Arc<dyn World>) -> Self {
        Self {
            ruleset,
            mode: None,
            world,
            feed: Feed::Whole,
            prefilters: true,
            memo: true,
            verdicts: true,
            parallel: 1,
            counter: AtomicU64::new(1),
        }
    }

    /// Passes a request with its body, chunks undone, and the answer that `reply` makes to it through the rules.
    /// Returns the status that a client would see, none for a dropped connection, and the backend's answer where it
    /// got so far.
    pub fn pass(
        &self,
        head: &RequestHead,
        body: &[u8],
        reply: impl FnOnce() -> Reply,
    ) -> (Option<u16>, Option<Reply>, Report) {
        let id = format!("test-{}", self.counter.fetch_add(1, Ordering::Relaxed));
        let options = Options { id, mode: self.mode, world: Arc::clone(&self.world) };
        let mut transaction = Transaction::new(Arc::clone(&self.ruleset), options);
        transaction.set_prefilters(self.prefilters);
        transaction.set_memo(self.memo);
        transaction.set_verdicts(self.verdicts);
        let interruption = self.request(&mut transaction, head, body).err();
        if let Some(fault) = head.fatal() {
            // The proxy shows such a head to the rules and refuses it whatever they say.
            let answer = Trouble::Malformed(fault).answer(&FailurePolicy::all(FailureOutcome::Closed));
            let status = if let Action::Page(status) = answer.action { Some(status) } else { None };
            return (status, None, transaction.process_logging(status.unwrap_or(0)));
        }
        if let Some(interruption) = interruption {
            let status = visible(&interruption);
            return (status, None, transaction.process_logging(status.unwrap_or(0)));
        }
        let reply = reply();
        let status = match self.response(&mut transaction, &reply) {
            Ok(()) => Some(reply.status),
            Err(interruption) => visible(&interruption),
        };
        (status, Some(reply), transaction.process_logging(status.unwrap_or(0)))
    }

    fn request(
        &self,
        transaction: &mut Transaction,
        head: &RequestHead,
        body: &[u8],
    ) -> Result<(), Interruption> {
        transaction.process_connection(CLIENT, SERVER);
        transaction.process_uri(&head.method, &head.target, &head.protocol);
        transaction.set_request_line(&head.line);
        for (name, value) in &head.headers {
            transaction.add_request_header(name, value);
        }
        go_on(transaction.process_request_headers())?;
        if transaction.request_body_wanted() {
            self.feed(body, |chunk| transaction.append_request_body(chunk))?;
        }
        go_on(transaction.process_request_body())
    }

    fn response(&self, transaction: &mut Transaction, reply: &Reply) -> Result<(), Interruption> {
        for (name, value) in &reply.headers {
            transaction.add_response_header(name.as_bytes(), value.as_bytes());
        }
        transaction.add_response_header(b"Content-Length", reply.body.len().to_string().as_bytes());
        go_on(transaction.process_response_headers(reply.status, b"HTTP/1.1"))?;
        if transaction.response_body_wanted() {
            self.feed(&reply.body, |chunk| transaction.append_response_body(chunk))?;
        }
        go_on(transaction.process_response_body())
    }

    fn feed(&self, body: &[u8], mut append: impl FnMut(&[u8]) -> BodyStep) -> Result<(), Interruption> {
        let size = match self.feed {
            Feed::Whole => body.len().max(1),
            Feed::Bytes => 1,
        };
        for chunk in body.chunks(size) {
            match append(chunk) {
                BodyStep::Continue => {}
                BodyStep::LimitReached => break,
                BodyStep::Interrupt(interruption) => return Err(interruption),
            }
        }
        Ok(())
    }
}

impl Target for InProcess {
    fn stage(&self, stage: &Stage<'_>) -> StageResult {
        let Some((head, body)) = read(stage.request) else {
            return StageResult { answer: Ok(answer(400, None)), log: Ok(Vec::new()) };
        };
        self.serve(&head, &body)
    }

    fn parallel(&self) -> usize {
        self.parallel
    }
}

impl InProcess {
    /// Passes a request with its body, chunks undone, and the backend's answer through the rules.
    pub fn serve(&self, head: &RequestHead, body: &[u8]) -> StageResult {
        let path = head.target.split(|b| matches!(b, b'?' | b'#')).next().unwrap_or_default();
        let (status, reply, report) = self.pass(head, body, || respond(&head.method, path, body));
        let answer = match status {
            None => Err("a rule dropped the connection".to_owned()),
            Some(_) if head.is_simple() => Err("an answer without a head, as HTTP/0.9 has it".to_owned()),
            Some(status) => Ok(answer(status, reply.as_ref().filter(|r| r.status == status))),
        };
        StageResult { answer, log: Ok(Seen::in_report(&report)) }
    }
}

const CLIENT: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 40_000));
const SERVER: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 80));

/// A raw request as its head and its body, chunks undone; `None` for bytes that hold no head.
fn read(request: &[u8]) -> Option<(RequestHead, Vec<u8>)> {
    let (head, body) = request.split_at_checked(find_head_end(request)?)?;
    let head = RequestHead::parse(head, &HeadLimits::default());
    let body = match head.framing {
        Framing::None | Framing::Ambiguous => Vec::new(),
        Framing::Length(n) => {
            let n = usize::try_from(n).unwrap_or(usize::MAX).min(body.len());
            body.get(..n).unwrap_or_default().to_vec()
        }
        Framing::Chunked => dechunk(body).body,
    };
    Some((head, body))
}

fn go_on(decision: Decision) -> Result<(), Interruption> {
    match decision {
        Decision::Pass => Ok(()),
        Decision::Interrupt(interruption) => Err(interruption),
    }
}

/// The status that a client sees; none when the connection is dropped.
fn visible(interruption: &Interruption) -> Option<u16> {
    (interruption.disruption != crate::engine::Disruption::Drop).then_some(interruption.status)
}

fn answer(status: u16, reply: Option<&Reply>) -> Answer {
    let mut raw = format!("HTTP/1.1 {status}\r\n").into_bytes();
    let headers = reply.map(|r| r.headers.as_slice()).unwrap_or_default();
    for (name, value) in headers {
        raw.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    raw.extend_from_slice(b"\r\n");
    raw.extend_from_slice(reply.map(|r| r.body.as_slice()).unwrap_or_default());
    let headers = headers.iter().map(|(n, v)| (n.clone(), v.as_bytes().to_vec())).collect();
    Answer { status, headers, raw }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Input, load};
    use crate::engine::NoWorld;
    use crate::syntax::seclang::FileLoader;

    fn engine(rules: &str) -> InProcess {
        let loaded = load(&[Input::Text { name: "t.conf".into(), text: rules.into() }], &FileLoader);
        InProcess::new(loaded.ruleset.expect("the rules load"), Arc::new(NoWorld))
    }

    fn ask(engine: &InProcess, request: &[u8]) -> (Option<u16>, Vec<u64>) {
        let result = engine.stage(&Stage { request, marker_host: "h", needs_log: true });
        let ids = result.log.expect("a log").iter().map(|s| s.id).collect();
        (result.answer.ok().map(|a| a.status), ids)
    }

    const RULES: &str = "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n\
        SecResponseBodyMimeType text/plain\n\
        SecRule ARGS:x \"@streq deny\" \"id:1,phase:2,deny,status:406,log\"\n\
        SecRule ARGS:x \"@streq drop\" \"id:2,phase:2,drop,log\"\n\
        SecRule RESPONSE_BODY \"@contains secret\" \"id:3,phase:4,deny,status:502,log\"\n\
        SecRule REQUEST_METHOD \"@streq BREW\" \"id:4,phase:1,pass,log\"\n";

    #[test]
    fn requests_and_answers_pass_the_rules() {
        let mut engine = engine(RULES);
        for feed in [Feed::Whole, Feed::Bytes] {
            engine.feed = feed;
            let post = |path: &str, body: &str| {
                let kind = "Content-Type: application/x-www-form-urlencoded";
                format!(
                    "POST {path} HTTP/1.1\r\nHost: h\r\n{kind}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            };
            assert_eq!(ask(&engine, post("/", "x=fine").as_bytes()), (Some(200), vec![]));
            assert_eq!(ask(&engine, post("/", "x=deny").as_bytes()), (Some(406), vec![1]));
            assert_eq!(ask(&engine, post("/", "x=drop").as_bytes()), (None, vec![2]));
            let leak = post("/reflect", r#"{"body": "a secret"}"#);
            assert_eq!(ask(&engine, leak.as_bytes()), (Some(502), vec![3]));
            let teapot = post("/reflect", r#"{"body": "a", "status": 418}"#);
            assert_eq!(ask(&engine, teapot.as_bytes()), (Some(418), vec![]));
            let chunked =
                b"POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Transfer-Encoding: chunked\r\n\r\n3\r\nx=d\r\n3\r\neny\r\n0\r\n\r\n";
            assert_eq!(ask(&engine, chunked), (Some(406), vec![1]));
        }
    }

    #[test]
    fn malformed_heads_are_seen_and_refused() {
        let engine = engine(RULES);
        assert_eq!(ask(&engine, b"BREW / HTTP/1.1\r\nNo Colon\r\n\r\n"), (Some(400), vec![4]));
        assert_eq!(ask(&engine, b"GET / HTTP/3.0\r\nHost: h\r\n\r\n"), (Some(505), vec![]));
        assert_eq!(ask(&engine, b"no head at all"), (Some(400), vec![]));
    }
}
