//! What was asked and what was wrong.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts of one run.
#[derive(Default)]
pub struct Tally {
    kinds: Mutex<BTreeMap<&'static str, u64>>,
    wrong: Mutex<BTreeMap<&'static str, Wrong>>,
    /// Requests by how long they took, in steps of a tenth: bucket n is up to 1.1^n microseconds.
    times: Mutex<Vec<u64>>,
    next: AtomicU64,
}

/// Wrong answers of a kind.
#[derive(Clone, Debug, Default)]
pub struct Wrong {
    pub count: u64,
    /// The first few.
    pub samples: Vec<String>,
}

impl Tally {
    /// A word that no other request of this run has.
    pub fn marker(&self, kind: &str) -> String {
        format!("{kind}{:08}x", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// A request of this kind is done.
    pub fn asked(&self, kind: &'static str) {
        *self.kinds.lock().expect("no panic").entry(kind).or_default() += 1;
    }

    /// Something was wrong.
    pub fn wrong(&self, kind: &'static str, what: impl Into<String>) {
        let mut wrong = self.wrong.lock().expect("no panic");
        let entry = wrong.entry(kind).or_default();
        entry.count += 1;
        if entry.samples.len() < SAMPLES {
            entry.samples.push(what.into());
        }
    }

    /// An ordinary request took that long.
    pub fn took(&self, time: Duration) {
        let micros = (time.as_micros() as f64).max(1.0);
        let bucket = (micros.ln() / STEP.ln()).ceil() as usize;
        let mut times = self.times.lock().expect("no panic");
        if times.len() <= bucket {
            times.resize(bucket + 1, 0);
        }
        times[bucket] += 1;
    }

    /// Within how many microseconds that share of ordinary requests were answered.
    pub fn quantile(&self, share: f64) -> f64 {
        let times = self.times.lock().expect("no panic");
        let wanted = times.iter().sum::<u64>() as f64 * share;
        let mut seen = 0.0;
        for (bucket, count) in times.iter().enumerate() {
            seen += *count as f64;
            if seen >= wanted {
                return STEP.powi(i32::try_from(bucket).unwrap_or(i32::MAX));
            }
        }
        0.0
    }

    /// Requests by kind.
    pub fn kinds(&self) -> BTreeMap<&'static str, u64> {
        self.kinds.lock().expect("no panic").clone()
    }

    /// What was wrong, by kind.
    pub fn faults(&self) -> BTreeMap<&'static str, Wrong> {
        self.wrong.lock().expect("no panic").clone()
    }
}

const SAMPLES: usize = 5;
const STEP: f64 = 1.1;
