//! Asking about cases: the engine in this process, or a running proxy.

use super::set::Case;
use crate::cli::ftw::{InProcess, Live, LogSource, Reply, Stage, Target};
use crate::engine::{NoWorld, RuleHit};
use crate::http::{HeadLimits, RequestHead, find_head_end};
use crate::ruleset::{Mode, Ruleset};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What came of a case.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    /// The status that a client saw; none when the connection ended without an answer.
    pub status: Option<u16>,
    /// The rules that matched, as far as that is known.
    pub rules: Vec<Hit>,
}

/// A rule that matched.
#[derive(Clone, Debug)]
pub(super) struct Hit {
    pub id: u64,
    pub message: String,
    /// The first variable that it matched, and what of it.
    pub variable: String,
    pub value: String,
}

impl Hit {
    fn of(hit: &RuleHit) -> Hit {
        let first = hit.matches.first();
        let value = first.map(|m| m.range.clone().and_then(|r| m.value.get(r)).unwrap_or(&m.value));
        let value = value.unwrap_or_default();
        Hit {
            id: hit.id,
            message: hit.message.clone(),
            variable: first.map(|m| m.variable.clone()).unwrap_or_default(),
            value: String::from_utf8_lossy(value.get(..SHOWN).unwrap_or(value)).into_owned(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({"id": self.id, "msg": self.message, "variable": self.variable, "value": self.value})
    }
}

/// Bytes of a matched value that are kept.
const SHOWN: usize = 160;

/// Who is asked.
pub(super) enum Asked {
    /// The engine, with blocking on whatever the rules say.
    Engine(Box<InProcess>),
    /// A running proxy, before an application that answers everything with 200.
    Proxy(Live),
}

impl Asked {
    pub(super) fn engine(ruleset: Arc<Ruleset>) -> Asked {
        let mut engine = InProcess::new(ruleset, Arc::new(NoWorld));
        engine.mode = Some(Mode::On);
        Asked::Engine(Box::new(engine))
    }

    pub(super) fn proxy(address: SocketAddr) -> Asked {
        Asked::Proxy(Live::new(address, LogSource::Records(Arc::default()), CONNECTIONS))
    }

    fn ask(&self, case: &Case) -> Sent {
        let wire = case.wire();
        match self {
            Asked::Engine(engine) => {
                let Some(at) = find_head_end(&wire) else { return Sent::default() };
                let (head, body) = wire.split_at_checked(at).unwrap_or((&wire, &[]));
                let head = RequestHead::parse(head, &HeadLimits::default());
                let fine = || Reply { status: 200, body: b"ok".to_vec(), ..Reply::default() };
                let (status, _, report) = engine.pass(&head, body, fine);
                Sent { status, rules: report.rules.iter().map(Hit::of).collect() }
            }
            Asked::Proxy(proxy) => {
                let stage = Stage { request: &wire, marker_host: "localhost", needs_log: false };
                // A connection may end for other reasons than a rule; a second one tells.
                let answer = proxy.stage(&stage).answer.or_else(|_| proxy.stage(&stage).answer);
                Sent { status: answer.ok().map(|a| a.status), rules: Vec::new() }
            }
        }
    }

    fn threads(&self) -> usize {
        match self {
            Asked::Engine(_) => thread::available_parallelism().map_or(1, usize::from),
            Asked::Proxy(_) => CONNECTIONS,
        }
    }
}

/// Connections to a running proxy at once.
const CONNECTIONS: usize = 16;
/// Cases that a thread takes at once.
const HANDFUL: usize = 64;

/// Asks about all cases on several threads; the results are in the order of the cases. Tells how far it is on a
/// terminal.
pub(super) fn send(asked: &Asked, cases: &[&Case]) -> Vec<Sent> {
    let next = AtomicUsize::new(0);
    let shown = std::io::stderr().is_terminal();
    let mut all: Vec<(usize, Vec<Sent>)> = thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let from = next.fetch_add(HANDFUL, Ordering::Relaxed);
                let Some(left) = cases.get(from..).filter(|left| !left.is_empty()) else { return done };
                if shown && from.is_multiple_of(HANDFUL * 16) {
                    let _ = write!(std::io::stderr().lock(), "\r{from} of {} ", cases.len());
                }
                done.push((from, left.iter().take(HANDFUL).map(|case| asked.ask(case)).collect()));
            }
        };
        let threads: Vec<_> = (0..asked.threads()).map(|_| scope.spawn(work)).collect();
        // A thread that panicked leaves its cases out, which the caller sees by the number of results.
        threads.into_iter().filter_map(|t| t.join().ok()).flatten().collect()
    });
    if shown {
        let _ = write!(std::io::stderr().lock(), "\r{:30}\r", "");
    }
    all.sort_by_key(|(from, _)| *from);
    all.into_iter().flat_map(|(_, sent)| sent).collect()
}
