//! Counts over time.

use super::recent::Totals;
use std::collections::VecDeque;

/// Counts of an interval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When it begins, in seconds since 1970.
    pub at: u64,
    /// What happened in it.
    pub counts: Totals,
}

/// A span of time that can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// A quarter of an hour, by 10 seconds.
    Quarter,
    /// An hour, by the minute.
    Hour,
    /// A day, by 15 minutes.
    Day,
}

impl Range {
    /// Every range with its name.
    pub const ALL: [(&'static str, Range); 3] =
        [("15m", Range::Quarter), ("1h", Range::Hour), ("24h", Range::Day)];

    /// Seconds of a bucket, and how many buckets there are.
    pub fn shape(self) -> (u64, u64) {
        match self {
            Range::Quarter => (10, 90),
            Range::Hour => (60, 60),
            Range::Day => (900, 96),
        }
    }
}

/// Counts of the last hour finely, and of the last day coarsely. At most `FINE` and `COARSE` buckets.
#[derive(Debug, Default)]
pub struct History {
    fine: Series<10, FINE>,
    coarse: Series<300, COARSE>,
}

/// How far ahead of the clock, in seconds, what was counted may lie.
const AHEAD: u64 = 3_600;

const FINE: usize = 361;
const COARSE: usize = 289;

impl History {
    /// Adds what happened since the last call, at `second`.
    pub fn add(&mut self, second: u64, counts: &Totals) {
        self.fine.add(second, counts);
        self.coarse.add(second, counts);
    }

    /// The buckets of `range` that end with the one of `second`, the oldest first, none left out.
    pub fn range(&self, range: Range, second: u64) -> Vec<Bucket> {
        let (width, number) = range.shape();
        let first = (second / width + 1).saturating_sub(number) * width;
        let mut buckets: Vec<Bucket> =
            (0..number).map(|n| Bucket { at: first + n * width, counts: Totals::default() }).collect();
        let points = match range {
            Range::Day => &self.coarse.points,
            Range::Quarter | Range::Hour => &self.fine.points,
        };
        for point in points.iter().filter(|p| p.at >= first) {
            let index = usize::try_from((point.at - first) / width).unwrap_or(usize::MAX);
            if let Some(bucket) = buckets.get_mut(index) {
                bucket.counts.add(&point.counts);
            }
        }
        buckets
    }
}

#[derive(Debug, Default)]
struct Series<const WIDTH: u64, const MOST: usize> {
    points: VecDeque<Bucket>,
}

impl<const WIDTH: u64, const MOST: usize> Series<WIDTH, MOST> {
    fn add(&mut self, second: u64, counts: &Totals) {
        if counts.is_zero() {
            return;
        }
        let at = second / WIDTH * WIDTH;
        // What lies far ahead was counted before the clock was set back, and would hide what comes for as long.
        while self.points.back().is_some_and(|last| last.at > at + AHEAD) {
            self.points.pop_back();
        }
        // A clock that was set back by less goes on in the last interval until it has caught up.
        match self.points.back_mut() {
            Some(last) if last.at >= at => last.counts.add(counts),
            _ => self.points.push_back(Bucket { at, counts: counts.clone() }),
        }
        while self.points.len() > MOST {
            self.points.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Outcome;

    fn one() -> Totals {
        let mut totals = Totals::default();
        totals.outcomes[Outcome::Blocked as usize] = 1;
        totals
    }

    fn blocked(buckets: &[Bucket]) -> Vec<(u64, u64)> {
        let of = |b: &Bucket| (b.at, b.counts.outcomes[Outcome::Blocked as usize]);
        buckets.iter().map(of).filter(|(_, n)| *n > 0).collect()
    }

    #[test]
    fn ranges_are_whole_and_end_now() {
        let mut history = History::default();
        for second in [100_000, 100_009, 100_012, 99_000] {
            history.add(second, &one());
        }
        let quarter = history.range(Range::Quarter, 100_015);
        assert_eq!((quarter.len(), quarter[0].at, quarter[89].at), (90, 99_120, 100_010));
        assert_eq!(blocked(&quarter), [(100_000, 2), (100_010, 2)]);
        assert_eq!(blocked(&history.range(Range::Hour, 100_015)), [(99_960, 4)]);
        let day = history.range(Range::Day, 100_015);
        assert_eq!((day.len(), blocked(&day)), (96, vec![(99_900, 4)]));
        assert!(blocked(&history.range(Range::Quarter, 102_000)).is_empty());
        assert_eq!(history.range(Range::Day, 5).len(), 96);
    }

    #[test]
    fn a_clock_that_is_set_hides_nothing_for_long() {
        let (mut history, day) = (History::default(), 86_400);
        for second in [10 * day, 400 * day, 10 * day + 20, 9 * day] {
            history.add(second, &one());
        }
        for range in [Range::Quarter, Range::Hour, Range::Day] {
            assert_eq!(blocked(&history.range(range, 9 * day + 5)).iter().map(|(_, n)| n).sum::<u64>(), 1);
        }
        assert_eq!((history.fine.points.len(), history.coarse.points.len()), (1, 1));
    }

    #[test]
    fn it_is_bounded() {
        let mut history = History::default();
        for n in 0..2_000 {
            history.add(n * 300, &one());
        }
        assert_eq!((history.fine.points.len(), history.coarse.points.len()), (FINE, COARSE));
    }
}
