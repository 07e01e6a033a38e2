//! CPU per transaction of the engine alone, under CRS: raw requests of the workloads, head, body, phases 1 to 5.
//!
//! CRS and the workloads are looked for in `PORTCULLIS_CRS_DIR` (with the workloads in `../workloads` beside it),
//! then in `../shared/crs`. Absolute times on shared machines mean little; compare within one run.

#![allow(clippy::print_stdout)]

mod support;

use portcullis::compile;
use portcullis::engine::NoWorld;
use portcullis::syntax::seclang::FileLoader;
use std::sync::Arc;
use support::{crs, inputs, ruleset, transact, workload};

fn main() {
    if !crs().is_dir() {
        println!("SKIPPED: no CRS at {}", crs().display());
        return;
    }
    divan::main();
}

fn run(bencher: divan::Bencher<'_, '_>, name: &str, level: u8) {
    let (ruleset, requests, world) = (ruleset(level), workload(name), Arc::new(NoWorld));
    let mut next = 0;
    bencher.bench_local(move || {
        next = (next + 1) % requests.len();
        transact(&ruleset, &world, &requests[next])
    });
}

#[divan::bench(args = ["W1", "W2", "W3", "W4", "W5", "W6"])]
fn paranoia_level_1(bencher: divan::Bencher<'_, '_>, workload: &str) {
    run(bencher, workload, 1);
}

#[divan::bench(args = ["W1"])]
fn paranoia_level_4(bencher: divan::Bencher<'_, '_>, workload: &str) {
    run(bencher, workload, 4);
}

#[divan::bench(sample_count = 10)]
fn compile_crs() -> usize {
    compile::load(&inputs(4), &FileLoader).ruleset.expect("CRS compiles").rules.len()
}
