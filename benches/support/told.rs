//! The clock of a thread's CPU time, and how a benchmark tells what it found.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// CPU time of this thread so far.
pub fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every thread has this clock").into()
}

/// CPU time of `work`.
pub fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let began = now();
    std::hint::black_box(work());
    now().saturating_sub(began)
}

/// The middle one.
pub fn median<T: Copy + Ord>(all: &[T]) -> T {
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

pub fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1_000.0
}

pub fn millis(time: Duration) -> f64 {
    micros(time) / 1_000.0
}

/// A figure with the most that it may be. The line is read by `benches/compare/run`: `result KEY VALUE UNIT BAR met`
/// or `missed`, then words. A unit has no space.
pub fn result(key: &str, value: f64, unit: &str, bar: f64, words: &str) {
    let verdict = if value <= bar { "met" } else { "missed" };
    println!("result {key} {value:.2} {unit} {bar} {verdict} {words}");
}
