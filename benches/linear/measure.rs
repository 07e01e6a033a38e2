//! What is measured, and how: the thread's CPU time, the least of several tries, at three sizes.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// An input of any size: `before`, then `unit` again and again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape {
    pub before: Vec<u8>,
    pub unit: Vec<u8>,
}

impl Shape {
    pub fn of(unit: &[u8]) -> Self {
        Self { before: Vec::new(), unit: unit.to_vec() }
    }

    pub fn input(&self, size: usize) -> Vec<u8> {
        let mut input = self.before.clone();
        while input.len() < size {
            input.extend_from_slice(&self.unit);
        }
        input
    }

    pub fn name(&self) -> String {
        let short =
            |bytes: &[u8]| bytes.iter().take(40).copied().collect::<Vec<u8>>().escape_ascii().to_string();
        match self.before.is_empty() {
            true => format!("\"{}\"…", short(&self.unit)),
            false => format!("\"{}\" \"{}\"…", short(&self.before), short(&self.unit)),
        }
    }
}

/// One thing, one shape: CPU time at [`SIZES`]; the last is zero when it was not worth measuring.
pub struct Row {
    pub what: String,
    pub shape: Shape,
    pub times: [Duration; 3],
    /// Ten times the input may take so many times as long.
    pub allowed: f64,
}

/// Bytes of the three inputs.
pub const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
/// Ten times the input may take so many times as long.
pub const SUSPICIOUS: f64 = 12.0;
/// What takes less is noise.
const NOISE: Duration = Duration::from_millis(10);
const ATTEMPTS: usize = 6;

impl Row {
    /// How much longer ten times the input takes, at the larger pair of sizes that was measured.
    pub fn growth(&self) -> f64 {
        let [small, middle, large] = self.times;
        if large > Duration::ZERO { ratio(large, middle) } else { ratio(middle, small) }
    }

    /// CPU time for each byte of the largest input measured.
    pub fn ns_per_byte(&self) -> f64 {
        let at = if self.times[2] > Duration::ZERO { 2 } else { 1 };
        self.times[at].as_nanos() as f64 / SIZES[at] as f64
    }

    pub fn is_bad(&self) -> bool {
        self.times[2] > NOISE && self.growth() > self.allowed
    }
}

/// Measures `work` with inputs of `shapes`: all at the two smaller sizes, and at the largest those which cost most
/// or grew most. Gives a row for each of the latter.
pub fn measure(what: &str, shapes: &[Shape], mut work: impl FnMut(&[u8])) -> Vec<Row> {
    let began = now();
    let mut rows: Vec<Row> = Vec::new();
    for shape in shapes {
        let mut times = [Duration::ZERO; 3];
        for at in [0, 1] {
            let input = shape.input(SIZES[at]);
            times[at] = least(&mut work, &input);
        }
        rows.push(Row { what: what.to_owned(), shape: shape.clone(), times, allowed: SUSPICIOUS });
    }
    let mut chosen: Vec<usize> = Vec::new();
    for by in
        [|r: &Row| r.times[1].as_nanos() as f64, |r: &Row| r.growth() * f64::from(r.times[1] > NOISE / 50)]
    {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|a, b| by(&rows[*b]).total_cmp(&by(&rows[*a])));
        chosen.extend(order.into_iter().take(2));
    }
    chosen.sort_unstable();
    chosen.dedup();
    for &at in &chosen {
        let row = &mut rows[at];
        let inputs = SIZES.map(|size| row.shape.input(size));
        row.times[2] = least(&mut work, &inputs[2]);
        for _ in 0..ATTEMPTS {
            if !row.is_bad() {
                break;
            }
            row.times[2] = row.times[2].min(least(&mut work, &inputs[2]));
            // The least of the smaller one would let noise of the larger look like growth: both get the same chance.
            row.times[1] = row.times[1].min(least(&mut work, &inputs[1]));
        }
    }
    let took = now().saturating_sub(began);
    // Minutes go by; somebody may watch.
    eprintln!("{took:8.1?} of CPU time: {what}");
    let mut at = 0;
    rows.retain(|_| {
        at += 1;
        chosen.contains(&(at - 1))
    });
    rows
}

/// The least CPU time of a few runs; of one, when that takes long.
fn least(work: &mut impl FnMut(&[u8]), input: &[u8]) -> Duration {
    let mut best = Duration::MAX;
    let mut spent = Duration::ZERO;
    for run in 0..5 {
        let before = now();
        work(input);
        let took = now().saturating_sub(before);
        best = best.min(took);
        spent += took;
        if run > 0 && spent > Duration::from_millis(30) {
            break;
        }
    }
    best
}

fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every thread has this clock").into()
}

fn ratio(larger: Duration, smaller: Duration) -> f64 {
    larger.as_secs_f64() / smaller.as_secs_f64().max(1e-9)
}
