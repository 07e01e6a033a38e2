//! How often the engine allocates for a transaction: every workload under CRS, in steady state, with requests that
//! nobody has sent before. Reading the request from its bytes is not counted; the transaction's own id is.
//!
//! The counter is divan's, which tells its figures in a table only: this program runs itself and reads that.

#![allow(clippy::print_stdout)]

mod support;

use portcullis::engine::NoWorld;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use support::fresh::{self, Random};
use support::told::result;
use support::{is_there, ruleset, transact, workload};

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

/// The most allocations of a transaction of W1.
const BAR: f64 = 20.0;
const WORKLOADS: [&str; 6] = ["W1", "W2", "W3", "W4", "W5", "W6"];
/// Set for the program that counts.
const COUNTING: &str = "PORTCULLIS_BENCH_COUNTING";

fn main() -> ExitCode {
    if !is_there() {
        return ExitCode::SUCCESS;
    }
    if std::env::var_os(COUNTING).is_some() {
        divan::main();
        return ExitCode::SUCCESS;
    }
    let program = std::env::current_exe().expect("this program has a path");
    let counted = Command::new(program)
        .args(["--bench", "--color=never"])
        .env(COUNTING, "1")
        .output()
        .expect("it runs again");
    let table = String::from_utf8_lossy(&counted.stdout).into_owned();
    for name in WORKLOADS {
        let Some((allocations, bytes)) = read(&table, name) else {
            println!("{table}\n{}", String::from_utf8_lossy(&counted.stderr));
            return ExitCode::FAILURE;
        };
        let words = format!("allocations of a transaction of {name}, {bytes} in all");
        if name == "W1" {
            result("allocations.W1", allocations, "allocations", BAR, &words);
        } else {
            println!("{allocations:.2} {words}");
        }
    }
    ExitCode::SUCCESS
}

/// The mean number of allocations and growths, and the bytes of the former, from the row `name` of divan's table: the
/// last of four columns, in the two lines below `alloc:` and `grow:`.
fn read(table: &str, name: &str) -> Option<(f64, String)> {
    let mut lines = table.lines().skip_while(|line| !line.contains(&format!("─ {name} "))).skip(1);
    let (mut count, mut grown, mut bytes) = (None::<f64>, 0.0, String::new());
    while let Some(line) = lines.next().filter(|line| !line.contains("─ ")) {
        let mut mean = || {
            let line = lines.next()?;
            let column = line.split('│').filter(|c| !c.trim().is_empty()).nth(3)?;
            Some(column.trim().to_owned())
        };
        if line.contains(" alloc:") && !line.contains("max alloc:") {
            count = mean()?.replace(',', "").parse().ok();
            bytes = mean()?;
        } else if line.contains("grow:") {
            grown = mean()?.replace(',', "").parse().ok()?;
        }
    }
    Some((count? + grown, bytes))
}

#[divan::bench(args = WORKLOADS, sample_count = 100, sample_size = 16)]
fn of(bencher: divan::Bencher<'_, '_>, name: &str) {
    let (ruleset, requests, world) = (ruleset(1), workload(name), Arc::new(NoWorld));
    let mut random = Random(3);
    let mut next = 0;
    let mut fresh = move || {
        next = (next + 1) % requests.len();
        fresh::vary(&requests[next], &mut random)
    };
    for _ in 0..1_000 {
        transact(&ruleset, &world, &fresh());
    }
    bencher.with_inputs(fresh).bench_local_refs(|request| transact(&ruleset, &world, request));
}
