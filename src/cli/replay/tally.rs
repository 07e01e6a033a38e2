//! What the comparison came to. Each thread has one, and they are added up.

use super::record::{Flaw, Flaws, Recorded, Unusable, Verdict};
use crate::engine::Difference;
use std::collections::{BTreeMap, HashMap};

/// Counts of transactions.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) replayed: u64,
    pub(super) exact: u64,
    pub(super) with_response: u64,
    pub(super) unreadable: u64,
    pub(super) refused: u64,
    pub(super) without_site: u64,
    pub(super) left_out: u64,
    pub(super) flaws: [u64; Flaw::ALL.len()],
    pub(super) blocked_before: u64,
    pub(super) blocked_after: u64,
    pub(super) newly_blocked: Changed,
    pub(super) newly_passed: Changed,
    pub(super) scores_up: u64,
    pub(super) scores_down: u64,
    pub(super) rules: BTreeMap<u64, RuleTally>,
    pub(super) paths: HashMap<String, PathTally>,
    /// Differences on paths beyond [`PATHS`].
    pub(super) other_paths: PathTally,
    pub(super) examples: BTreeMap<(usize, u64), Example>,
}

/// Transactions with a changed verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) all: u64,
    /// Those of them that could not be replayed exactly.
    pub(super) inexact: u64,
}

/// What changes about a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RuleTally {
    /// Transactions in which it matches only now,
    pub(super) added: u64,
    /// or matched only before.
    pub(super) removed: u64,
    /// Of those, the newly blocked ones.
    pub(super) newly_blocked: u64,
    /// Of those, the ones no longer blocked.
    pub(super) newly_passed: u64,
}

/// What changes about a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PathTally {
    pub(super) newly_blocked: u64,
    pub(super) newly_passed: u64,
    pub(super) moved: u64,
}

/// A transaction with a changed verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Example {
    pub(super) difference: Difference,
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) rules: Vec<u64>,
    pub(super) is_exact: bool,
}

/// Paths that are told apart; their names come from clients.
const PATHS: usize = 10_000;
/// Rules that are told apart.
const RULES: usize = 20_000;
/// Bytes of a path that are shown.
const PATH_BYTES: usize = 200;
/// Examples that are kept of each thread.
const EXAMPLES: usize = 1_000;

impl Tally {
    /// A line that is no transaction.
    pub(super) fn skip(&mut self, why: Unusable) {
        match why {
            Unusable::Unreadable => self.unreadable += 1,
            Unusable::Refused => self.refused += 1,
        }
    }

    /// A transaction's flaws.
    pub(super) fn flaws(&mut self, flaws: Flaws) {
        for ((flaw, ..), count) in Flaw::ALL.iter().zip(&mut self.flaws) {
            *count += u64::from(flaws.has(*flaw));
        }
    }

    /// A transaction with what was and what would be made of it. `place` is where it stands in the records.
    pub(super) fn add(
        &mut self,
        place: (usize, u64),
        recorded: &Recorded,
        before: &Verdict,
        after: &Verdict,
    ) {
        let is_exact = recorded.flaws.is_empty();
        self.replayed += 1;
        self.exact += u64::from(is_exact);
        self.with_response += u64::from(recorded.response.is_some());
        self.blocked_before += u64::from(before.is_stopped);
        self.blocked_after += u64::from(after.is_stopped);
        let difference = Difference::of(before.is_stopped, after.is_stopped, true);
        let moved = match (before.score, after.score) {
            (Some(before), Some(after)) => after.cmp(&before),
            _ => std::cmp::Ordering::Equal,
        };
        self.scores_up += u64::from(moved.is_gt());
        self.scores_down += u64::from(moved.is_lt());
        let (blocked, passed) =
            (difference == Difference::NewlyBlocked, difference == Difference::NewlyPassed);
        for (is_it, changed) in [(blocked, &mut self.newly_blocked), (passed, &mut self.newly_passed)] {
            changed.all += u64::from(is_it);
            changed.inexact += u64::from(is_it && !is_exact);
        }
        let differing = after.rules.symmetric_difference(&before.rules);
        for id in differing.clone() {
            if self.rules.len() >= RULES && !self.rules.contains_key(id) {
                continue;
            }
            let rule = self.rules.entry(*id).or_default();
            let is_added = after.rules.contains(id);
            rule.added += u64::from(is_added);
            rule.removed += u64::from(!is_added);
            rule.newly_blocked += u64::from(blocked && is_added);
            rule.newly_passed += u64::from(passed && !is_added);
        }
        if !difference.is_different() && moved.is_eq() {
            return;
        }
        let path: String = cut(&recorded.path());
        let has_room = self.paths.len() < PATHS || self.paths.contains_key(&path);
        let tally =
            if has_room { self.paths.entry(path.clone()).or_default() } else { &mut self.other_paths };
        tally.newly_blocked += u64::from(blocked);
        tally.newly_passed += u64::from(passed);
        tally.moved += u64::from(!moved.is_eq());
        if difference.is_different() && self.examples.len() < EXAMPLES {
            let method = cut(&String::from_utf8_lossy(&recorded.method));
            let rules = differing.copied().collect();
            let example = Example { difference, id: cut(&recorded.id), method, path, rules, is_exact };
            self.examples.insert(place, example);
        }
    }

    /// Adds what another thread has counted.
    pub(super) fn merge(&mut self, other: Tally) {
        for (mine, theirs) in [
            (&mut self.replayed, other.replayed),
            (&mut self.exact, other.exact),
            (&mut self.with_response, other.with_response),
            (&mut self.unreadable, other.unreadable),
            (&mut self.refused, other.refused),
            (&mut self.without_site, other.without_site),
            (&mut self.left_out, other.left_out),
            (&mut self.blocked_before, other.blocked_before),
            (&mut self.blocked_after, other.blocked_after),
            (&mut self.newly_blocked.all, other.newly_blocked.all),
            (&mut self.newly_blocked.inexact, other.newly_blocked.inexact),
            (&mut self.newly_passed.all, other.newly_passed.all),
            (&mut self.newly_passed.inexact, other.newly_passed.inexact),
            (&mut self.scores_up, other.scores_up),
            (&mut self.scores_down, other.scores_down),
        ] {
            *mine += theirs;
        }
        for (mine, theirs) in self.flaws.iter_mut().zip(other.flaws) {
            *mine += theirs;
        }
        for (id, theirs) in other.rules {
            let mine = self.rules.entry(id).or_default();
            mine.added += theirs.added;
            mine.removed += theirs.removed;
            mine.newly_blocked += theirs.newly_blocked;
            mine.newly_passed += theirs.newly_passed;
        }
        for (path, theirs) in other.paths {
            add_path(self.paths.entry(path).or_default(), theirs);
        }
        add_path(&mut self.other_paths, other.other_paths);
        self.examples.extend(other.examples);
    }

    /// The share of the replayed transactions that is newly blocked.
    pub(super) fn new_blocks(&self) -> f64 {
        match self.replayed {
            0 => 0.0,
            all => self.newly_blocked.all as f64 / all as f64,
        }
    }

    /// Rules by how much they change: verdicts first, then matches.
    pub(super) fn ranked_rules(&self, most: usize) -> Vec<(u64, RuleTally)> {
        let mut all: Vec<_> = self.rules.iter().map(|(id, tally)| (*id, *tally)).collect();
        all.sort_by_key(|(id, t)| {
            (std::cmp::Reverse((t.newly_blocked + t.newly_passed, t.added + t.removed)), *id)
        });
        all.truncate(most);
        all
    }

    /// Paths likewise.
    pub(super) fn ranked_paths(&self, most: usize) -> Vec<(&str, PathTally)> {
        let mut all: Vec<_> = self.paths.iter().map(|(path, tally)| (path.as_str(), *tally)).collect();
        all.sort_by_key(|(path, t)| (std::cmp::Reverse((t.newly_blocked + t.newly_passed, t.moved)), *path));
        all.truncate(most);
        all
    }
}

fn add_path(mine: &mut PathTally, theirs: PathTally) {
    mine.newly_blocked += theirs.newly_blocked;
    mine.newly_passed += theirs.newly_passed;
    mine.moved += theirs.moved;
}

/// A client's text for a terminal: bounded, and without what a terminal would obey.
fn cut(text: &str) -> String {
    let end = (0..=text.len().min(PATH_BYTES)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let shown = text.get(..end).unwrap_or_default();
    let mut out: String = shown.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if end < text.len() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(is_stopped: bool, score: i64, rules: &[u64]) -> Verdict {
        Verdict { is_stopped, score: Some(score), rules: rules.iter().copied().collect() }
    }

    fn request(path: &str) -> Recorded {
        Recorded {
            target: format!("{path}?a=b").into_bytes(),
            method: b"GET".to_vec(),
            ..Recorded::default()
        }
    }

    #[test]
    fn differences_are_counted_by_rule_and_path_whoever_counts() {
        let mut flawed = request("/b");
        flawed.flaws.add(Flaw::BodyCut);
        let cases = [
            (request("/a"), verdict(false, 0, &[1]), verdict(true, 5, &[1, 2])),
            (flawed, verdict(true, 5, &[2]), verdict(false, 0, &[])),
            (request("/a"), verdict(false, 3, &[1]), verdict(false, 2, &[3])),
            (request("/c"), verdict(true, 5, &[1]), verdict(true, 5, &[1])),
        ];
        let (mut one, mut first, mut second) = (Tally::default(), Tally::default(), Tally::default());
        for (n, (recorded, before, after)) in (0..).zip(&cases) {
            one.add((0, n), recorded, before, after);
            let half = if n % 2 == 0 { &mut first } else { &mut second };
            half.add((0, n), recorded, before, after);
        }
        first.merge(second);
        for tally in [one, first] {
            assert_eq!(
                (tally.replayed, tally.exact, tally.blocked_before, tally.blocked_after),
                (4, 3, 2, 2)
            );
            assert_eq!(tally.newly_blocked, Changed { all: 1, inexact: 0 });
            assert_eq!(tally.newly_passed, Changed { all: 1, inexact: 1 });
            assert_eq!((tally.scores_up, tally.scores_down, tally.new_blocks()), (1, 2, 0.25));
            let rules = tally.ranked_rules(10);
            assert_eq!(rules[0], (2, RuleTally { added: 1, removed: 1, newly_blocked: 1, newly_passed: 1 }));
            assert_eq!(rules.len(), 3);
            let paths = tally.ranked_paths(1);
            assert_eq!(paths, [("/a", PathTally { newly_blocked: 1, newly_passed: 0, moved: 2 })]);
            assert_eq!(tally.examples.keys().copied().collect::<Vec<_>>(), [(0, 0), (0, 1)]);
            assert!(!tally.paths.contains_key("/c"));
        }
    }

    #[test]
    fn clients_neither_fill_memory_nor_reach_the_terminal() {
        let mut tally = Tally::default();
        for n in 0..(PATHS as u64 + 5) {
            tally.add((0, n), &request(&format!("/{n}")), &verdict(false, 0, &[]), &verdict(true, 5, &[]));
        }
        assert_eq!((tally.paths.len(), tally.other_paths.newly_blocked), (PATHS, 5));
        assert_eq!(tally.examples.len(), EXAMPLES);
        assert_eq!(cut("/\u{1b}[2J\n"), "/\u{fffd}[2J\u{fffd}");
        assert!(cut(&"ä".repeat(1_000)).len() <= PATH_BYTES + 3);
    }
}
