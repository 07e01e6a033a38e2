//! One workload, over and over, for a profiler that counts: `valgrind --tool=callgrind`, `perf stat`, `perf record`.
//!
//! `cargo bench --bench instructions -- W1 2000` runs 2,000 transactions of W1 with CRS at paranoia level 1 (a third
//! argument names another level, `core` for the embedded ruleset, or a rule file by its path) and prints nanoseconds of
//! this thread's CPU for each. Two runs with different counts tell a transaction's instructions without those of
//! start-up.

#![allow(clippy::print_stdout)]

mod support;

use portcullis::compile::Input;
use portcullis::engine::NoWorld;
use std::sync::Arc;
use std::time::Instant;

use support::{core, crs, load, ruleset, transact, workload};

fn main() {
    if !crs().is_dir() {
        println!("SKIPPED: no CRS at {}", crs().display());
        return;
    }
    // cargo adds flags of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let name = arguments.first().map_or("W1", String::as_str);
    let count: usize = arguments.get(1).and_then(|n| n.parse().ok()).unwrap_or(1_000);
    let level = arguments.get(2).map_or("1", String::as_str);
    let ruleset = match level {
        "core" => core(),
        path if path.contains('/') => load(&[Input::File(path.to_owned())]),
        _ => ruleset(level.parse().unwrap_or(1)),
    };
    let (requests, world) = (workload(name), Arc::new(NoWorld));
    let mut hits = 0;
    let mut batches: Vec<u128> = Vec::new();
    for batch in 0..count.div_ceil(BATCH) {
        let size = BATCH.min(count - batch * BATCH);
        let began = Instant::now();
        for n in 0..size {
            hits += transact(&ruleset, &world, &requests[(batch * BATCH + n) % requests.len()]);
        }
        batches.push(began.elapsed().as_nanos() / size as u128);
    }
    batches.sort_unstable();
    let (least, median) = (batches[0], batches[batches.len() / 2]);
    println!(
        "{name} at level {level}: {least} ns at best, {median} ns mostly, {hits} rules matched in {count}"
    );
}

/// Transactions that are timed together: the best batch is the one that other programs disturbed least.
const BATCH: usize = 100;
