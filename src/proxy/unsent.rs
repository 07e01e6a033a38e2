//! Bytes of responses that are here and that clients have not taken: one allowance for all connections.
//!
//! A client that reads slowly, or not at all, makes us keep what its responses have brought so far: what is being written,
//! what pingora reads ahead of that, and, over HTTP/2, what waits in the `h2` crate for the connection, also after the
//! request that it answers has ended. Each [`Debt`] is one such heap. What is small costs nothing here: it is part of what a
//! connection takes anyway.

use super::crowd::network;
use pingora_core::protocols::http::HttpTask;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The allowance.
#[derive(Debug, Default)]
pub(super) struct Unsent(Mutex<Account>);

#[derive(Debug, Default)]
struct Account {
    all: u64,
    /// Those that owe something. There are no more of them than there are connections.
    clients: HashMap<IpAddr, u64>,
}

impl Unsent {
    /// A debt of nothing, of a client; `None` is somebody who brings everybody's requests.
    pub(super) fn debt(self: &Arc<Self>, client: Option<IpAddr>, limit: u64) -> Debt {
        Debt { unsent: Arc::clone(self), client: client.map(network), limit, bytes: 0 }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        // Nothing is left half done where something could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one response, or one connection, keeps waiting. Given back when it goes.
#[derive(Debug)]
pub(super) struct Debt {
    unsent: Arc<Unsent>,
    client: Option<IpAddr>,
    limit: u64,
    bytes: u64,
}

impl Debt {
    /// Whether it is more than nothing.
    pub(super) fn is_owed(&self) -> bool {
        self.bytes > 0
    }

    /// Makes it `bytes`. `false`, and nothing changed, when all together would owe more than the limit, or this client more
    /// than a quarter of it.
    pub(super) fn set(&mut self, bytes: u64) -> bool {
        if bytes == self.bytes {
            return true;
        }
        let mut account = self.unsent.account();
        let all = account.all - self.bytes + bytes;
        let of_client = self.client.map(|client| {
            let owed = account.clients.get(&client).copied().unwrap_or(0);
            (client, owed - self.bytes + bytes)
        });
        let is_less = bytes < self.bytes;
        let is_within = all <= self.limit && of_client.is_none_or(|(_, owed)| owed <= self.limit / QUARTER);
        if !is_less && !is_within {
            return false;
        }
        account.all = all;
        match of_client {
            Some((client, 0)) => drop(account.clients.remove(&client)),
            Some((client, owed)) => drop(account.clients.insert(client, owed)),
            None => {}
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// What a client alone may owe is this part of the allowance.
const QUARTER: u64 = 4;

/// What waits on a connection, or of a response over HTTP/1, without being counted: it is within what is said of a
/// connection's memory.
pub(super) const FREE: u64 = 64 * 1024;

/// What pingora reads of a response from the upstream while a write waits: four pieces in its queue and one beside it, of
/// 64 KiB each, and the buffer for the next; or, over HTTP/2, pieces of 16 KiB and a stream's window.
pub(super) const AHEAD: u64 = 6 * 64 * 1024;

/// What pingora writes at a time: as many pieces as it may have in its queue, and one.
pub(super) const WRITTEN: u64 = 5 * 64 * 1024;

/// A stream's window at an HTTP/2 upstream: with pieces that are on their way it is less than [`AHEAD`].
pub(super) const UPSTREAM_WINDOW: u32 = 256 * 1024;

/// How much of a response is still to come, when its length is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest(Option<u64>);

impl Rest {
    /// Whether its length is known.
    pub(super) fn is_known(self) -> bool {
        self.0.is_some()
    }

    /// What comes behind `tasks`, which come next; more than can be read ahead, when that is not known.
    pub(super) fn behind(&mut self, tasks: &[HttpTask]) -> u64 {
        for task in tasks {
            match task {
                HttpTask::Header(head, false) if !head.status.is_informational() => {
                    let length = head.headers.get(http::header::CONTENT_LENGTH);
                    self.0 = length.and_then(|length| length.to_str().ok()?.parse().ok());
                }
                HttpTask::Header(..) => {}
                HttpTask::Body(Some(chunk), _) | HttpTask::UpgradedBody(Some(chunk), _) => {
                    self.0 = self.0.map(|rest| rest.saturating_sub(bytes(chunk.len())));
                }
                HttpTask::Body(None, _)
                | HttpTask::UpgradedBody(None, _)
                | HttpTask::Trailer(_)
                | HttpTask::Done
                | HttpTask::Failed(_) => {}
            }
            if task.is_end() {
                self.0 = Some(0);
            }
        }
        self.0.unwrap_or(u64::MAX)
    }
}

/// What an HTTP/2 connection was given to write, and has not written.
///
/// The `h2` crate keeps up to 64 KiB for each stream, and does not tell how much. So what is given is counted, and the frames
/// that leave. What a stream that is reset leaves behind, the crate throws away unseen; but a stream that is not open keeps
/// nothing, and one that is open no more than [`OF_A_STREAM`], which corrects the count.
#[derive(Debug)]
pub(super) struct Backlog(Mutex<Ledger>);

#[derive(Debug)]
struct Ledger {
    /// Given and not seen leaving.
    waiting: u64,
    /// Streams whose response has not ended.
    open: HashSet<u32>,
    last: u32,
    debt: Debt,
}

impl Backlog {
    pub(super) fn new(debt: Debt) -> Self {
        Self(Mutex::new(Ledger { waiting: 0, open: HashSet::new(), last: 0, debt }))
    }

    /// A head has come on `stream`.
    pub(super) fn opened(&self, stream: u32) {
        let mut ledger = self.ledger();
        // Others are trailers.
        if stream > ledger.last {
            ledger.last = stream;
            // What comes after we said that the connection ends is never answered, and never ends.
            if ledger.open.len() < MOST_OPEN {
                ledger.open.insert(stream);
            }
        }
    }

    /// `bytes` of a body are about to be given; `false` when the allowance does not permit it.
    pub(super) fn give(&self, bytes: u64) -> bool {
        let mut ledger = self.ledger();
        ledger.waiting = ledger.waiting.saturating_add(bytes);
        ledger.settle()
    }

    /// So many bytes of bodies have left, and these streams have ended or were reset.
    pub(super) fn left(&self, bytes: u64, ended: &[u32]) {
        let mut ledger = self.ledger();
        ledger.waiting = ledger.waiting.saturating_sub(bytes);
        for stream in ended {
            ledger.open.remove(stream);
        }
        ledger.settle();
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn settle(&mut self) -> bool {
        let most = bytes(self.open.len()).saturating_mul(OF_A_STREAM);
        self.waiting = self.waiting.min(most);
        self.debt.set(self.waiting.saturating_sub(FREE))
    }
}

/// Streams that are remembered: more than may be open.
const MOST_OPEN: usize = 1_024;

/// What a stream may have waiting: what is written at a time, and what the crate keeps.
const OF_A_STREAM: u64 = WRITTEN + 64 * 1024;

fn bytes(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::bytes::Bytes;
    use pingora_http::ResponseHeader;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn a_client_may_owe_a_quarter_and_all_together_the_limit() {
        let unsent = Arc::new(Unsent::default());
        let debt = |client| unsent.debt(client, 100);
        let (mut a, mut near, mut b) =
            (debt(address("2001:db8::1")), debt(address("2001:db8::2")), debt(address("192.0.2.1")));
        assert!(a.set(20) && !near.set(6) && near.set(5) && b.set(25), "one /64 is one client");
        assert!(!a.set(21) && a.set(20));
        let mut all = debt(None);
        assert!(!all.set(51) && all.set(50));
        assert!(!debt(address("192.0.2.2")).set(1), "nothing is left");
        drop((a, near));
        assert!(debt(address("192.0.2.2")).set(25));
        drop((b, all));
        let account = unsent.account();
        assert_eq!((account.all, account.clients.len()), (0, 0));
    }

    #[test]
    fn less_is_always_possible() {
        let unsent = Arc::new(Unsent::default());
        let (mut a, mut b) = (unsent.debt(None, 100), unsent.debt(None, 10));
        assert!(a.set(100) && !b.set(1));
        assert!(a.set(99) && !b.set(1) && a.set(5) && b.set(5));
    }

    #[test]
    fn what_is_to_come_is_known_by_the_length() {
        let head = |length: Option<&str>| {
            let mut head = ResponseHeader::build(200, None).expect("a head");
            if let Some(length) = length {
                head.insert_header("content-length", length).expect("a length");
            }
            HttpTask::Header(Box::new(head), false)
        };
        let body = |length: usize, end| HttpTask::Body(Some(Bytes::from(vec![b'x'; length])), end);
        let mut rest = Rest::default();
        assert_eq!(rest.behind(&[head(Some("1000")), body(100, false)]), 900);
        assert_eq!(rest.behind(&[body(300, false)]), 600);
        assert_eq!(rest.behind(&[body(600, true)]), 0);
        let mut rest = Rest::default();
        assert_eq!(rest.behind(&[head(Some("1000000000"))]), 1_000_000_000);
        let mut rest = Rest::default();
        assert_eq!(rest.behind(&[head(None), body(100, false)]), u64::MAX);
        assert_eq!(rest.behind(&[HttpTask::Done]), 0);
    }

    #[test]
    fn a_backlog_is_what_was_given_and_has_not_left() {
        let unsent = Arc::new(Unsent::default());
        let owed = || unsent.account().all;
        let backlog = Backlog::new(unsent.debt(None, 10_000_000));
        backlog.opened(1);
        assert!(backlog.give(FREE) && owed() == 0, "what is small is free");
        assert!(backlog.give(1_000) && owed() == 1_000);
        backlog.left(500, &[]);
        assert_eq!(owed(), 500);
        // Reset in the middle: nothing of it is kept, whatever was seen.
        backlog.left(0, &[1]);
        assert_eq!(owed(), 0);
        for stream in [3, 5] {
            backlog.opened(stream);
            assert!(backlog.give(10 * OF_A_STREAM));
        }
        assert_eq!(owed(), 2 * OF_A_STREAM - FREE, "a stream keeps no more than it can");
        backlog.opened(3);
        backlog.left(0, &[3]);
        backlog.opened(3);
        assert_eq!(owed(), OF_A_STREAM - FREE, "trailers open nothing");
        drop(backlog);
        assert_eq!(owed(), 0);
    }
}
