//! The transactions that finished lately.

use super::history::{Bucket, Range};
use super::ledger::Ledger;
use super::ring::Ring;
use super::top::Lately;
use crate::engine::{Decision, Report, RequestRecord, RuleHit, Sanitised};
use crate::telemetry::category;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::sink::{AuditEntry, weight};
use crate::telemetry::words::Outcome;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// What happened lately. Filled on the path of requests, read by the admin listener.
pub struct Traffic {
    watchers: AtomicUsize,
    /// Passing requests that may still be kept before the next look.
    room: AtomicUsize,
    next: AtomicU64,
    state: Mutex<State>,
}

/// A transaction that is kept. Nothing in it is redacted: whoever shows it makes an audit record of it.
#[derive(Debug)]
pub struct Kept {
    /// Counted up over all that were kept.
    pub number: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// The category of attack, when rules matched.
    pub category: Option<&'static str>,
    /// The report and what the engine does not know. Of a transaction that is not to be audited, the report has at
    /// most the request line.
    pub entry: Arc<AuditEntry>,
    /// It was too large: its rules are named without what they matched, and nothing else is left of the request.
    pub is_cut: bool,
}

/// Counts by outcome and category.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests by [`Outcome`], in the order of [`Outcome::ALL`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Blocked requests by category, in the order of [`Traffic::CATEGORIES`].
    pub blocked: [u64; category::ALL.len()],
    /// Requests that would have been blocked but for the mode.
    pub detected: [u64; category::ALL.len()],
}

impl Totals {
    /// Adds `other`.
    pub fn add(&mut self, other: &Totals) {
        self.each(other, u64::saturating_add);
    }

    /// What has come since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Totals) -> Totals {
        let mut difference = self.clone();
        difference.each(earlier, u64::saturating_sub);
        difference
    }

    /// Whether nothing happened.
    pub fn is_zero(&self) -> bool {
        *self == Totals::default()
    }

    fn each(&mut self, other: &Totals, both: impl Fn(u64, u64) -> u64) {
        let mine = self.outcomes.iter_mut().chain(&mut self.blocked).chain(&mut self.detected);
        let theirs = other.outcomes.iter().chain(&other.blocked).chain(&other.detected);
        for (a, b) in mine.zip(theirs) {
            *a = both(*a, *b);
        }
    }
}

/// What occurs most, each with its count, the commonest first.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// Ids of rules that matched and log, without those that only compare a score.
    pub rules: Vec<(u64, u64)>,
    /// Sites and paths of requests that were blocked, or would have been.
    pub paths: Vec<((String, String), u64)>,
    /// Clients that sent them.
    pub clients: Vec<(IpAddr, u64)>,
}

/// What to look for among kept transactions.
#[derive(Clone, Debug, Default)]
pub struct Finding {
    /// Of this site only.
    pub site: Option<String>,
    /// With this outcome only.
    pub outcome: Option<Outcome>,
    /// In which this rule matched.
    pub rule: Option<u64>,
    /// From this client only.
    pub client: Option<IpAddr>,
    /// Of this path only.
    pub path: Option<String>,
    /// With a smaller number than this.
    pub before: Option<u64>,
}

struct State {
    /// Blocked, or would have been.
    decided: Ring<Kept>,
    /// Rules matched and it passed, or it was refused.
    noticed: Ring<Kept>,
    /// Passed while somebody looked.
    passed: Ring<Kept>,
    rules: Lately<u64>,
    paths: Lately<(String, String)>,
    clients: Lately<IpAddr>,
    counts: Ledger,
}

/// Transactions kept that were decided about; they are what people look for.
const DECIDED: (usize, usize) = (500, 6 << 20);
/// Other transactions kept in which something was noticed.
const NOTICED: (usize, usize) = (250, 2 << 20);
/// Passing requests kept, while somebody looks.
const PASSED: (usize, usize) = (60, 256 << 10);
/// Passing requests kept between two looks.
const ROOM: usize = 12;
/// Keys that are counted at a time. What makes up more than a 200th of all is never missing.
const PLACES: usize = 200;
/// Half an hour: what occurs most is told of the last 30 to 60 minutes.
const PERIOD: u64 = 1_800;
/// Bytes of a path that are kept apart from others.
const PATH: usize = 160;

impl Default for Traffic {
    fn default() -> Self {
        Self {
            watchers: AtomicUsize::new(0),
            room: AtomicUsize::new(0),
            next: AtomicU64::new(1),
            state: Mutex::new(State {
                decided: Ring::new(DECIDED.0, DECIDED.1),
                noticed: Ring::new(NOTICED.0, NOTICED.1),
                passed: Ring::new(PASSED.0, PASSED.1),
                rules: Lately::new(PLACES, PERIOD),
                paths: Lately::new(PLACES, PERIOD),
                clients: Lately::new(PLACES, PERIOD),
                counts: Ledger::default(),
            }),
        }
    }
}

impl Traffic {
    /// Names of the categories in the order in which they are counted.
    pub const CATEGORIES: [&'static str; category::ALL.len()] = category::ALL;

    /// The category of a rule with these tags.
    pub fn category(tags: &[String]) -> &'static str {
        category::name(category::of(tags.iter().map(String::as_str)))
    }

    /// Whether a transaction with this report is kept even when nobody looks, so that its request line is wanted.
    pub fn wants(&self, report: &Report) -> bool {
        let is_decided = report.suppressed.is_some() || matches!(report.decision, Decision::Interrupt(_));
        is_decided || has_logged(report) || self.is_watched()
    }

    /// Whether somebody looks right now.
    pub fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    /// Somebody begins to look; until the guard is dropped.
    pub fn watch(self: &Arc<Self>) -> Watching {
        if self.watchers.fetch_add(1, Ordering::Relaxed) == 0 {
            self.room.store(ROOM, Ordering::Relaxed);
        }
        Watching(Arc::clone(self))
    }

    /// Whether a finished transaction is worth being kept.
    pub(in crate::telemetry) fn keeps(&self, outcome: Outcome, report: &Report) -> bool {
        is_noticed(outcome, report) || (self.is_watched() && self.take_room())
    }

    /// Keeps a finished transaction. Called on the path of requests.
    pub(in crate::telemetry) fn take(&self, outcome: Outcome, entry: &Arc<AuditEntry>) {
        let report = &entry.report;
        let is_decided = is_decided(outcome);
        let is_noticed = is_noticed(outcome, report);
        let category = logged(report).next().is_some().then(|| category::of(tags(report)));
        let second = second(SystemTime::now());
        let scored: Vec<u64> = logged(report).filter(|hit| !hit.keeps_books()).map(|hit| hit.id).collect();
        let path = is_decided.then(|| path_of(&report.request));
        let client = report.client.map(|client| client.ip().to_canonical());
        let bytes = weight(entry);
        let number = self.next.fetch_add(1, Ordering::Relaxed);

        let mut state = self.state();
        if is_decided {
            let other = category::ALL.len() - 1;
            state.counts.decided(&entry.facts.site, outcome, category.unwrap_or(other));
            if let Some(path) = path {
                state.paths.count((entry.facts.site.clone(), path), second);
            }
            if let Some(client) = client {
                state.clients.count(client, second);
            }
        }
        for id in scored {
            state.rules.count(id, second);
        }
        let ring = match (is_decided, is_noticed) {
            (true, _) => &mut state.decided,
            (false, true) => &mut state.noticed,
            (false, false) => &mut state.passed,
        };
        let is_cut = bytes > ring.share();
        let (entry, bytes) = if is_cut { cut(entry) } else { (Arc::clone(entry), bytes) };
        let gone = ring.push(
            Arc::new(Kept { number, outcome, category: category.map(category::name), entry, is_cut }),
            bytes,
        );
        drop(state);
        // What was pushed out is freed without the lock.
        drop(gone);
    }

    /// The transaction `id`, while it is kept.
    pub fn find(&self, id: &str) -> Option<Arc<Kept>> {
        let state = self.state();
        state.all().find(|kept| kept.entry.report.id == id).cloned()
    }

    /// Up to `most` of the transactions that were decided about or noticed, the newest first.
    pub fn list(&self, finding: &Finding, most: usize) -> Vec<Arc<Kept>> {
        let state = self.state();
        let mut found: Vec<_> = state
            .decided
            .newest_first()
            .chain(state.noticed.newest_first())
            .filter(|kept| finding.fits(kept))
            .cloned()
            .collect();
        drop(state);
        found.sort_by_key(|kept| std::cmp::Reverse(kept.number));
        found.truncate(most);
        found
    }

    /// Up to `most` of everything that was kept after number `after`, the newest first; opens room for passing
    /// requests until the next look.
    pub fn look(&self, after: u64, most: usize) -> Vec<Arc<Kept>> {
        self.room.store(ROOM, Ordering::Relaxed);
        let state = self.state();
        let newer = |ring: &Ring<Kept>| {
            ring.newest_first().take_while(|kept| kept.number > after).take(most).cloned().collect::<Vec<_>>()
        };
        let mut found = newer(&state.decided);
        found.extend(newer(&state.noticed));
        found.extend(newer(&state.passed));
        drop(state);
        found.sort_by_key(|kept| std::cmp::Reverse(kept.number));
        found.truncate(most);
        found
    }

    /// The number of the transaction that was kept last.
    pub fn last(&self) -> u64 {
        self.next.load(Ordering::Relaxed) - 1
    }

    /// What occurred most in the last 30 to 60 minutes, `n` of each.
    pub fn picture(&self, n: usize) -> Picture {
        let second = second(SystemTime::now());
        let mut state = self.state();
        Picture {
            rules: state.rules.most(n, second),
            paths: state.paths.most(n, second),
            clients: state.clients.most(n, second),
        }
    }

    /// Adds to the history what happened since the last call; to be called each few seconds.
    pub fn sample(&self, metrics: &Metrics, now: SystemTime) {
        let outcomes = metrics.outcomes();
        let outcomes = outcomes.iter().map(|(site, counts)| (site.as_str(), *counts));
        self.state().counts.sample(outcomes, second(now));
    }

    /// Everything counted since the start, as of the last sample.
    pub fn totals(&self) -> Totals {
        self.state().counts.told().clone()
    }

    /// The same by site, of at most 32 sites.
    pub fn totals_by_site(&self) -> BTreeMap<String, Totals> {
        let state = self.state();
        state.counts.by_site().map(|(site, totals)| (site.to_owned(), totals.clone())).collect()
    }

    /// Counts over time up to now, of all sites or of one.
    pub fn history(&self, site: Option<&str>, range: Range, now: SystemTime) -> Vec<Bucket> {
        self.state().counts.range(site, range, second(now))
    }

    fn take_room(&self) -> bool {
        self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(1)).is_ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done where something could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn all(&self) -> impl Iterator<Item = &Arc<Kept>> {
        self.decided.newest_first().chain(self.noticed.newest_first()).chain(self.passed.newest_first())
    }
}

/// Somebody looks for as long as this lives.
pub struct Watching(Arc<Traffic>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Finding {
    fn fits(&self, kept: &Kept) -> bool {
        let entry = &kept.entry;
        self.before.is_none_or(|before| kept.number < before)
            && self.outcome.is_none_or(|outcome| kept.outcome == outcome)
            && self.site.as_ref().is_none_or(|site| *site == entry.facts.site)
            && self.rule.is_none_or(|rule| logged(&entry.report).any(|hit| hit.id == rule))
            && self
                .client
                .is_none_or(|client| entry.report.client.is_some_and(|c| c.ip().to_canonical() == client))
            && self.path.as_ref().is_none_or(|path| path_of(&entry.report.request) == *path)
    }
}

/// Blocked, or it would have been.
fn is_decided(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Blocked | Outcome::Detected)
}

fn is_noticed(outcome: Outcome, report: &Report) -> bool {
    is_decided(outcome) || outcome == Outcome::Refused || has_logged(report)
}

fn logged(report: &Report) -> impl Iterator<Item = &RuleHit> {
    report.rules.iter().filter(|hit| hit.log || hit.auditlog)
}

fn has_logged(report: &Report) -> bool {
    logged(report).next().is_some()
}

fn tags(report: &Report) -> impl Iterator<Item = &str> {
    logged(report).flat_map(|hit| hit.tags.iter().map(String::as_str))
}

/// The request target up to its query, as text, bounded.
fn path_of(request: &RequestRecord) -> String {
    let end = request.uri.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(request.uri.len());
    let path = request.uri.get(..end.min(PATH)).unwrap_or_default();
    String::from_utf8_lossy(path).into_owned()
}

/// What is left of a transaction that is too large to be kept: nothing that quotes the client, since the arguments
/// by which secrets are known go too.
fn cut(entry: &AuditEntry) -> (Arc<AuditEntry>, usize) {
    let report = &entry.report;
    let bare = |hit: &RuleHit| RuleHit {
        message: String::new(),
        data: Vec::new(),
        matches: Vec::new(),
        tags: Arc::new([]),
        version: hit.version.clone(),
        revision: hit.revision.clone(),
        operator: Arc::clone(&hit.operator),
        file: Arc::clone(&hit.file),
        ..*hit
    };
    let left = Report {
        id: report.id.clone(),
        request: RequestRecord {
            method: report.request.method.get(..16).unwrap_or(&report.request.method).to_vec(),
            uri: path_of(&report.request).into_bytes(),
            ..RequestRecord::default()
        },
        response: None,
        decision: report.decision.clone(),
        suppressed: report.suppressed.clone(),
        rules: report.rules.iter().take(CUT_RULES).map(bare).collect(),
        events: Vec::new(),
        sanitised: Sanitised::default(),
        shadow: None,
        costs: None,
        ..*report
    };
    let entry = Arc::new(AuditEntry { report: left, facts: entry.facts.clone() });
    let bytes = weight(&entry);
    (entry, bytes)
}

/// Rules that are left of a transaction that is too large.
const CUT_RULES: usize = 128;

fn second(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
