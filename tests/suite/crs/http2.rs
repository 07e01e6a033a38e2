//! The suite over HTTP/2: which of its requests exist there, and what their rules may be expected to see.
//!
//! The tests are written as bytes of HTTP/1. [`translate`] says what a client would send instead, and for which
//! requests there is nothing. Where a rule reads what HTTP/2 does not have ([`reads_the_protocol`]), the test's
//! expectation is about another protocol; the engine's own word on the translated request takes its place. It is
//! compared with for every request.

use crate::support::http2::{Identity, dial, send};
use bytes::Bytes;
use h2::client::SendRequest;
use portcullis::cli::ftw::{Answer, InProcess, Output, Records, Stage, StageResult, Target, Test, TestFile};
use portcullis::cli::ftw::{TestStage, request_bytes};
use portcullis::http::{Fault, Framing, HeadLimits, RequestHead, TargetForm, find_head_end};
use portcullis::ruleset::{Matcher, Ruleset, Selector};
use portcullis::variable::Variable;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Runtime;

/// A request as HTTP/2 has it.
pub struct Translated {
    pub request: http::Request<()>,
    /// The head that rules see.
    pub head: RequestHead,
    pub body: Vec<u8>,
}

/// The request of HTTP/2 that says the same as these bytes of HTTP/1.1. There is none
///
/// - for a malformed head, another version, `CONNECT`, or a target that is neither a path nor `*`;
/// - when the body's length and its framing disagree, or something follows the message;
/// - when `TE` says anything but `trailers` (RFC 9113 §8.2.2), or the host, the target or a field cannot be written.
///
/// What is about the connection (RFC 9113 §8.2.2) stays behind, chunks are undone, `Host` becomes `:authority`.
pub fn translate(bytes: &[u8]) -> Option<Translated> {
    let (head, rest) = bytes.split_at_checked(find_head_end(bytes)?)?;
    let head = RequestHead::parse(head, &HeadLimits::default());
    let is_plain = head.is_acceptable() && head.protocol == b"HTTP/1.1" && head.method != b"CONNECT";
    let form = portcullis::http::Target::parse(&head.method, &head.target).form;
    if !is_plain
        || head.faults.contains(&Fault::ContentLengthDropped)
        || !matches!(form, TargetForm::Origin | TargetForm::Asterisk)
    {
        return None;
    }
    let body = match head.framing {
        Framing::None if rest.is_empty() => Vec::new(),
        Framing::Length(n) if u64::try_from(rest.len()).ok()? == n => rest.to_vec(),
        Framing::Chunked => dechunk(rest)?,
        _ => return None,
    };
    let authority = std::str::from_utf8(head.values("host").next()?).ok()?;
    let uri =
        http::Uri::builder().scheme("https").authority(authority).path_and_query(head.target.as_slice());
    let mut request = http::Request::builder().method(head.method.as_slice()).uri(uri.build().ok()?);
    let mut headers = vec![(b"host".to_vec(), authority.as_bytes().to_vec())];
    for (name, value) in &head.headers {
        let name = name.to_ascii_lowercase();
        match name.as_slice() {
            b"host" | b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding"
            | b"upgrade" => continue,
            b"te" if !value.eq_ignore_ascii_case(b"trailers") => return None,
            _ => {}
        }
        request = request.header(name.as_slice(), value.as_slice());
        headers.push((name, value.clone()));
    }
    let line = [&head.method[..], b" ", &head.target, b" HTTP/2.0"].concat();
    let head = RequestHead { line, protocol: b"HTTP/2.0".to_vec(), headers, faults: Vec::new(), ..head };
    Some(Translated { request: request.body(()).ok()?, head, body })
}

/// A complete chunked body with nothing behind it.
fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(rest.get(..end)?).ok()?, 16).ok()?;
        rest = rest.get(end + 2..)?;
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
        if size == 0 {
            return rest.is_empty().then_some(body);
        }
    }
}

/// Whether a rule, or a link of its chain, reads what is HTTP/1's own: the request line, the version, or a field about
/// the connection.
pub fn reads_the_protocol(ruleset: &Ruleset, id: u64) -> bool {
    let fields =
        [&b"connection"[..], b"transfer-encoding", b"keep-alive", b"upgrade", b"proxy-connection", b"te"];
    let reads = |matcher: &Matcher| {
        let Matcher::Scan(scan) = matcher else { return false };
        ruleset.lane(scan.lane).targets.included.iter().any(|target| {
            match (target.variable, &target.selector) {
                (Variable::RequestProtocol | Variable::RequestLine | Variable::FullRequest, _) => true,
                (Variable::RequestHeaders, Selector::Key(key)) => {
                    fields.iter().any(|f| key.eq_ignore_ascii_case(f))
                }
                _ => false,
            }
        })
    };
    ruleset.rules.iter().filter(|rule| rule.id == id).any(|rule| {
        let mut link = Some(rule);
        while let Some(rule) = link {
            if reads(&rule.matcher) {
                return true;
            }
            link = rule.next.map(|next| ruleset.rule(next));
        }
        false
    })
}

/// The part of the suite that exists in HTTP/2.
#[derive(Default)]
pub struct Part {
    pub files: Vec<TestFile>,
    /// Tests in it.
    pub tests: usize,
    /// Tests whose expectation is about HTTP/1, and is left to the engine.
    pub left_to_the_engine: usize,
    /// Tests that do not exist.
    pub absent: usize,
}

/// Chooses the tests, and takes away expectations that are about HTTP/1.
pub fn part(suite: &[TestFile], ruleset: &Ruleset) -> Part {
    let mut part = Part::default();
    for file in suite {
        let mut kept = TestFile { tests: Vec::new(), ..file.clone() };
        for test in &file.tests {
            let exists = |stage: &TestStage| {
                request_bytes(&stage.input).ok().and_then(|bytes| translate(&bytes)).is_some()
            };
            if !test.stages.iter().all(exists) {
                part.absent += 1;
                continue;
            }
            let mut test: Test = test.clone();
            let mut is_left = false;
            for stage in &mut test.stages {
                let log = &stage.output.log;
                let mut named = log.expect_ids.iter().chain(&log.no_expect_ids);
                if named.any(|id| reads_the_protocol(ruleset, *id)) {
                    stage.output = Output::default();
                    is_left = true;
                }
            }
            part.left_to_the_engine += usize::from(is_left);
            part.tests += 1;
            kept.tests.push(test);
        }
        part.files.push(kept);
    }
    part
}

/// The engine's word on a translated request.
pub struct EngineOnHttp2(pub InProcess);

impl Target for EngineOnHttp2 {
    fn stage(&self, stage: &Stage<'_>) -> StageResult {
        let Some(Translated { head, body, .. }) = translate(stage.request) else { return absent() };
        self.0.serve(&head, &body)
    }

    fn parallel(&self) -> usize {
        self.0.parallel
    }
}

/// The proxy over TLS and HTTP/2: one connection for each request at a time, kept for the next one.
pub struct OverHttp2 {
    pub address: SocketAddr,
    pub identity: Identity,
    pub records: Arc<Records>,
    pub runtime: Runtime,
    pub parallel: usize,
    idle: Mutex<Vec<Connection>>,
}

struct Connection {
    sender: SendRequest<Bytes>,
    port: u16,
}

impl OverHttp2 {
    pub fn new(address: SocketAddr, identity: Identity, records: Arc<Records>, parallel: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        Self { address, identity, records, runtime, parallel, idle: Mutex::default() }
    }

    /// The answer, the client's port, and the connection if it may be used again. It must not be before the report
    /// has been taken, which is found by the port.
    async fn exchange(&self, translated: Translated) -> (Result<Answer, String>, u16, Option<Connection>) {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => {
                let (sender, port) = dial(self.address, &self.identity).await;
                Connection { sender, port }
            }
        };
        let port = connection.port;
        self.records.forget(port);
        match send(&mut connection.sender, translated.request, &translated.body, CHUNK).await {
            Ok(response) => (Ok(answer(&response)), port, Some(connection)),
            Err(error) => (Err(error.to_string()), port, None),
        }
    }
}

impl Target for OverHttp2 {
    fn stage(&self, stage: &Stage<'_>) -> StageResult {
        let Some(translated) = translate(stage.request) else { return absent() };
        let (answer, port, connection) = self.runtime.block_on(self.exchange(translated));
        let log = self.records.wait(port);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(connection);
        StageResult { answer, log }
    }

    fn parallel(&self) -> usize {
        self.parallel
    }
}

/// Bytes of a body in one frame.
const CHUNK: usize = 16 * 1024;

fn absent() -> StageResult {
    StageResult { answer: Err("there is no such request in HTTP/2".into()), log: Ok(Vec::new()) }
}

fn answer(response: &http::Response<Vec<u8>>) -> Answer {
    let status = response.status().as_u16();
    let mut raw = format!("HTTP/2 {status}\r\n").into_bytes();
    let mut headers = Vec::new();
    for (name, value) in response.headers() {
        raw.extend_from_slice(format!("{name}: ").as_bytes());
        raw.extend_from_slice(value.as_bytes());
        raw.extend_from_slice(b"\r\n");
        headers.push((name.as_str().to_owned(), value.as_bytes().to_vec()));
    }
    raw.extend_from_slice(b"\r\n");
    raw.extend_from_slice(response.body());
    Answer { status, headers, raw }
}
