//! What a run has found, and whether that is good.

use super::Plan;
use super::tally::{Tally, Wrong};
use super::troubles::Done;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The process at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Bytes of memory in use.
    pub resident: u64,
    /// Files that are open.
    pub files: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Outcome {
    kinds: BTreeMap<&'static str, u64>,
    wrong: BTreeMap<&'static str, Wrong>,
    p50: f64,
    p99: f64,
    reloads: u64,
    done: Done,
    /// Medians over the time behind the warm-up and at the end.
    resident: (u64, u64),
    growth: f64,
    bound: f64,
    /// The most that were open in each.
    most_files: (u64, u64),
    /// Before there was any traffic, when it was over, and how many of these lead to origins.
    files: (u64, u64, u64),
}

impl Outcome {
    pub(super) fn new(
        plan: &Plan,
        tally: &Tally,
        samples: Vec<(Duration, Sample)>,
        (started, left, to_origins): (Sample, Sample, u64),
        reloads: u64,
        done: Done,
    ) -> Self {
        // Reloads make memory swing, so that a window has to hold several of them.
        let window = (plan.duration / 6).min(Duration::from_secs(120));
        let within = |from: Duration| -> Vec<Sample> {
            let inside = samples.iter().filter(|(at, _)| *at >= from && *at < from + window);
            inside.map(|(_, sample)| *sample).collect()
        };
        let (early, late) = (within(plan.warm_up), within(plan.duration.saturating_sub(window)));
        let median = |samples: &[Sample]| {
            let mut all: Vec<u64> = samples.iter().map(|sample| sample.resident).collect();
            all.sort_unstable();
            all.get(all.len() / 2).copied().unwrap_or_default()
        };
        let most = |samples: &[Sample]| samples.iter().map(|s| s.files).max().unwrap_or_default();
        let resident = (median(&early), median(&late));
        Self {
            kinds: tally.kinds(),
            wrong: tally.faults(),
            p50: tally.quantile(0.5),
            p99: tally.quantile(0.99),
            reloads,
            done,
            resident,
            growth: 100.0 * (resident.1 as f64 / resident.0.max(1) as f64 - 1.0),
            bound: plan.growth,
            most_files: (most(&early), most(&late)),
            files: (started.files, left.files, to_origins),
        }
    }

    /// Requests of this kind.
    pub fn asked(&self, kind: &str) -> u64 {
        self.kinds.get(kind).copied().unwrap_or_default()
    }

    /// Reloads that succeeded.
    pub fn reloads(&self) -> u64 {
        self.reloads
    }

    /// What was done to it.
    pub fn done(&self) -> &Done {
        &self.done
    }

    /// Descriptors that lead nowhere, beyond those at the beginning.
    fn leaked(&self) -> u64 {
        self.files.1.saturating_sub(self.files.0 + self.files.2)
    }

    /// Why this run is not good; empty when it is.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (kind, wrong) in &self.wrong {
            faults.push(format!("{kind}: {}; {:#?}", wrong.count, wrong.samples));
        }
        if self.growth > self.bound {
            faults.push(format!("memory has grown by {:.1} %, more than {} %", self.growth, self.bound));
        }
        if self.leaked() > SPARE {
            faults.push(format!("{} descriptors have not been given back", self.leaked()));
        }
        faults
    }
}

/// Descriptors that may come by and by: an audit sink's connection, a name service's.
pub(super) const SPARE: u64 = 4;

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "requests        {}", self.kinds.values().sum::<u64>())?;
        for (kind, count) in &self.kinds {
            writeln!(f, "  {kind:<26} {count}")?;
        }
        let wrong: u64 = self.wrong.values().map(|wrong| wrong.count).sum();
        writeln!(f, "wrong answers   {wrong}")?;
        for (kind, wrong) in &self.wrong {
            writeln!(f, "  {kind:<26} {}", wrong.count)?;
            for sample in &wrong.samples {
                writeln!(f, "    {sample}")?;
            }
        }
        writeln!(f, "ordinary ones   median {:.0} µs, p99 {:.0} µs", self.p50, self.p99)?;
        writeln!(f, "reloads         {}", self.reloads)?;
        writeln!(f, "troubles        {}", self.done)?;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(
            f,
            "memory          {:.1} MiB after the warm-up, {:.1} MiB at the end ({:+.1} %)",
            mib(self.resident.0),
            mib(self.resident.1),
            self.growth
        )?;
        let (before, after, to_origins) = self.files;
        writeln!(
            f,
            "descriptors     {before} at the start, at most {} after the warm-up and {} at the end; {after} when all \
             clients were gone, {to_origins} of them kept to origins",
            self.most_files.0, self.most_files.1
        )?;
        match self.faults().is_empty() {
            true => write!(f, "good"),
            false => write!(f, "NOT GOOD\n  {}", self.faults().join("\n  ")),
        }
    }
}

/// A line now and then.
#[allow(clippy::print_stdout)]
pub(super) fn progress(now: Duration, tally: &Tally, sample: Sample) {
    let asked: u64 = tally.kinds().values().sum();
    let wrong: u64 = tally.faults().values().map(|wrong| wrong.count).sum();
    let mib = sample.resident >> 20;
    println!("{:>5} s  {asked} requests, {wrong} wrong, {mib} MiB, {} files", now.as_secs(), sample.files);
    for (kind, wrong) in tally.faults() {
        println!("         {kind}: {}, the first {:?}", wrong.count, wrong.samples.first());
    }
}
