//! Who has shown the token, and how often it may be tried.
//!
//! The console trades the token for a session: a random number that the page sends as its bearer token from then on.
//! It is no cookie. A browser sends cookies to every port of a host, so the applications behind Portcullis on the same
//! host would be given it, and it would come along with requests that other pages cause.

use super::guard::Refusal;
use crate::config::Secret;
use lru::LruCache;
use std::fmt::Write;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// Sessions, and the allowances of peers. Bounded in both.
pub(super) struct Gate {
    sessions: Mutex<Sessions>,
    calls: Mutex<LruCache<IpAddr, Allowance>>,
    failures: Mutex<LruCache<IpAddr, Allowance>>,
}

#[derive(Default)]
struct Sessions {
    /// The token that they stand for; with another one they are over.
    token: Option<Secret>,
    open: Vec<Session>,
}

struct Session {
    id: [u8; 32],
    opened: Instant,
    used: Instant,
}

/// Sessions at a time; the one unused for the longest time goes first.
const SESSIONS: usize = 32;
/// How long a session lives at most.
const LIFE: Duration = Duration::from_secs(12 * 3_600);
/// How long it lives unused.
const IDLE: Duration = Duration::from_secs(3_600);
/// Peers whose allowances are remembered.
const PEERS: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();
/// Calls of the API by one peer: at once, and then for each second.
const CALLS: (f64, f64) = (200.0, 40.0);
/// Wrong tokens of one peer: at once, and then for each second.
const FAILURES: (f64, f64) = (8.0, 0.1);

impl Default for Gate {
    fn default() -> Self {
        Self {
            sessions: Mutex::default(),
            calls: Mutex::new(LruCache::new(PEERS)),
            failures: Mutex::new(LruCache::new(PEERS)),
        }
    }
}

impl Gate {
    /// A call of the API by `peer`.
    pub(super) fn call(&self, peer: IpAddr) -> Result<(), Refusal> {
        let mut calls = lock(&self.calls);
        allowance(&mut calls, peer, CALLS).take(CALLS).map_err(Refusal::Rate)
    }

    /// Whether `brought` is the token or an open session that stands for it.
    ///
    /// A peer that has brought too many wrong ones is told to wait, whatever it brings, unless it is a session.
    pub(super) fn admit(&self, token: &Secret, brought: &[u8], peer: IpAddr) -> Result<(), Refusal> {
        if lock(&self.sessions).is_open(token, brought, Instant::now()) {
            return Ok(());
        }
        if brought.is_empty() {
            return Err(Refusal::Token);
        }
        let mut failures = lock(&self.failures);
        let allowance = allowance(&mut failures, peer, FAILURES);
        allowance.check(FAILURES).map_err(Refusal::Rate)?;
        if brought.ct_eq(token.expose().as_bytes()).into() {
            return Ok(());
        }
        let _ = allowance.take(FAILURES);
        Err(Refusal::Token)
    }

    /// Opens a session for whoever has shown `token`: its name, and how long it lives at most. None when the system
    /// has no random numbers.
    pub(super) fn open(&self, token: &Secret) -> Option<(String, Duration)> {
        let mut id = [0; 32];
        getrandom::fill(&mut id).ok()?;
        lock(&self.sessions).open(token, id, Instant::now());
        let mut name = String::from(PREFIX);
        for byte in id {
            let _ = write!(name, "{byte:02x}");
        }
        Some((name, LIFE))
    }

    /// Ends the session `brought`; says whether there was one.
    pub(super) fn close(&self, brought: &[u8]) -> bool {
        let Some(id) = session_id(brought) else { return false };
        let mut sessions = lock(&self.sessions);
        let before = sessions.open.len();
        sessions.open.retain(|session| !bool::from(session.id.ct_eq(&id)));
        sessions.open.len() < before
    }
}

/// Tells sessions from tokens at a glance, for people who find one in a log of theirs.
const PREFIX: &str = "session-";

impl Sessions {
    fn is_open(&mut self, token: &Secret, brought: &[u8], now: Instant) -> bool {
        let Some(id) = session_id(brought) else { return false };
        self.tidy(token, now);
        let mut found = false;
        for session in &mut self.open {
            if session.id.ct_eq(&id).into() {
                session.used = now;
                found = true;
            }
        }
        found
    }

    fn open(&mut self, token: &Secret, id: [u8; 32], now: Instant) {
        self.tidy(token, now);
        if self.open.len() >= SESSIONS {
            let oldest = self.open.iter().enumerate().min_by_key(|(_, s)| s.used).map(|(at, _)| at);
            oldest.map(|at| self.open.swap_remove(at));
        }
        self.open.push(Session { id, opened: now, used: now });
    }

    fn tidy(&mut self, token: &Secret, now: Instant) {
        if self.token.as_ref() != Some(token) {
            self.token = Some(token.clone());
            self.open.clear();
        }
        let age = |since: Instant| now.saturating_duration_since(since);
        self.open.retain(|s| age(s.opened) < LIFE && age(s.used) < IDLE);
    }
}

/// The beginning of a session's name, when `brought` looks like one.
pub(super) fn nickname(brought: &[u8]) -> Option<String> {
    let [first, second, third, fourth, ..] = session_id(brought)?;
    Some(format!("{PREFIX}{first:02x}{second:02x}{third:02x}{fourth:02x}"))
}

fn session_id(brought: &[u8]) -> Option<[u8; 32]> {
    let hex = brought.strip_prefix(PREFIX.as_bytes())?;
    let mut id = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (place, pair) in id.iter_mut().zip(hex.chunks_exact(2)) {
        *place = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(id)
}

/// A token bucket.
struct Allowance {
    left: f64,
    at: Instant,
}

impl Allowance {
    /// `Err` with the seconds to wait when nothing is left.
    fn check(&mut self, (most, each_second): (f64, f64)) -> Result<(), u32> {
        let now = Instant::now();
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + since * each_second).min(most);
        self.at = now;
        // At most ten seconds for the slowest rate, so the number fits.
        if self.left >= 1.0 { Ok(()) } else { Err(((1.0 - self.left) / each_second).ceil() as u32) }
    }

    fn take(&mut self, rate: (f64, f64)) -> Result<(), u32> {
        self.check(rate)?;
        self.left -= 1.0;
        Ok(())
    }
}

fn allowance(all: &mut LruCache<IpAddr, Allowance>, peer: IpAddr, (most, _): (f64, f64)) -> &mut Allowance {
    all.get_or_insert_mut(network(peer), || Allowance { left: most, at: Instant::now() })
}

/// One allowance for a whole /64: who has one IPv6 address has all of them.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done where something could panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn a_session_stands_for_its_token_until_it_ends() {
        let gate = Gate::default();
        let token = Secret::new("0123456789abcdef");
        let (name, _) = gate.open(&token).expect("random numbers");
        assert_eq!(name.len(), PREFIX.len() + 64);
        assert_eq!(gate.admit(&token, name.as_bytes(), PEER), Ok(()));
        let other = name.replace(name.chars().next_back().expect("a digit"), "g");
        assert_eq!(gate.admit(&token, other.as_bytes(), PEER), Err(Refusal::Token));
        assert!(gate.close(name.as_bytes()) && !gate.close(name.as_bytes()));
        assert_eq!(gate.admit(&token, name.as_bytes(), PEER), Err(Refusal::Token));

        let (name, _) = gate.open(&token).expect("random numbers");
        let new = Secret::new("fedcba9876543210");
        assert_eq!(gate.admit(&new, name.as_bytes(), PEER), Err(Refusal::Token), "the token has changed");
        assert_eq!(gate.admit(&token, name.as_bytes(), PEER), Err(Refusal::Token), "and it is over for good");
    }

    #[test]
    fn sessions_age_and_are_bounded() {
        let mut sessions = Sessions::default();
        let token = Secret::new("0123456789abcdef");
        let begun = Instant::now();
        let brought = |n: u8| format!("{PREFIX}{}", format!("{n:02x}").repeat(32));
        for n in 0..40 {
            sessions.open(&token, [n; 32], begun + Duration::from_secs(u64::from(n)));
        }
        assert_eq!(sessions.open.len(), SESSIONS);
        let minute = |n: u64| begun + Duration::from_secs(60 * n);
        assert!(!sessions.is_open(&token, brought(0).as_bytes(), minute(1)), "the oldest went");
        assert!(sessions.is_open(&token, brought(39).as_bytes(), minute(59)));
        assert!(!sessions.is_open(&token, brought(38).as_bytes(), minute(62)), "unused for an hour");
        for n in 1..13 {
            sessions.is_open(&token, brought(39).as_bytes(), minute(59 * n));
        }
        assert!(!sessions.is_open(&token, brought(39).as_bytes(), minute(12 * 60 + 1)), "twelve hours old");
    }

    #[test]
    fn wrong_tokens_and_calls_are_limited_by_peer() {
        let gate = Gate::default();
        let token = Secret::new("0123456789abcdef");
        let (name, _) = gate.open(&token).expect("random numbers");
        for _ in 0..8 {
            assert_eq!(gate.admit(&token, b"wrong", PEER), Err(Refusal::Token));
        }
        assert!(matches!(gate.admit(&token, b"wrong", PEER), Err(Refusal::Rate(1..=10))));
        assert!(matches!(gate.admit(&token, b"0123456789abcdef", PEER), Err(Refusal::Rate(_))));
        assert_eq!(gate.admit(&token, name.as_bytes(), PEER), Ok(()), "who is in stays in");
        let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
        assert_eq!(gate.admit(&token, b"0123456789abcdef", elsewhere), Ok(()));
        let refused = (0..1_000).filter(|_| gate.call(PEER).is_err()).count();
        assert!(refused > 500, "{refused}");
        assert_eq!(gate.call(elsewhere), Ok(()));
        let near = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(near("2001:db8::1"), near("2001:db8::ffff:2"));
        assert_ne!(near("2001:db8:0:1::1"), near("2001:db8::1"));
    }
}
