//! What CRS takes of memory, and how long it takes to compile: a process with the library alone.
//!
//! Resident memory is the process's, from `/proc`, after all that only compiling needs is gone: of one ruleset, again
//! after traffic, and of a hundred sites. Sites with the same rules share one ruleset; sites with rules of their own
//! beside CRS have rulesets of their own, which share the compiled patterns.

#![allow(clippy::print_stdout)]

mod support;

use nix::time::{ClockId, clock_gettime};
use portcullis::compile::Input;
use portcullis::engine::NoWorld;
use std::sync::Arc;
use std::time::Duration;
use support::fresh::{self, Random};
use support::told::{millis, result};
use support::{inputs, is_there, load, transact, workload};

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The most that a process with CRS may take.
const MEGABYTES: f64 = 90.0;
/// The most that compiling CRS may take, on all threads together.
const COMPILE_MS: f64 = 700.0;
/// The most that a site more may take of a ruleset that others have.
const SITE_MB: f64 = 1.0;
const SITES: usize = 100;

fn main() {
    if !is_there() {
        return;
    }
    // As the server does: pages of 2 MiB would keep what compiling has given back.
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_thp_disable(true).expect("Linux knows it");
    let empty = resident();
    let all = inputs(4);
    let mut times = Vec::new();
    let began = cpu();
    let ruleset = load(&all);
    times.push(cpu().saturating_sub(began));
    settle();
    let loaded = resident();
    println!("{empty:.1} MB before, {loaded:.1} MB with {} rules and links loaded", ruleset.rules.len());

    let world = Arc::new(NoWorld);
    let mut random = Random(17);
    for name in ["W1", "W2", "W3", "W4", "W5", "W6"] {
        let requests = workload(name);
        for n in 0..400 {
            transact(&ruleset, &world, &fresh::vary(&requests[n % requests.len()], &mut random));
        }
    }
    let busy = resident();
    println!("{busy:.1} MB after 2,400 requests on one thread");

    let before = resident();
    let sites: Vec<_> = (0..SITES).map(|_| Arc::clone(&ruleset)).collect();
    let browser = workload("W1");
    for site in &sites {
        transact(site, &world, &fresh::vary(&browser[0], &mut random));
    }
    let shared = (resident() - before).max(0.0) / SITES as f64;

    for _ in 0..4 {
        let began = cpu();
        drop(std::hint::black_box(load(&all)));
        times.push(cpu().saturating_sub(began));
    }
    settle();
    let before = resident();
    let own: Vec<_> = (0..OWN)
        .map(|n| {
            let mut all = inputs(4);
            let text = format!("SecRule ARGS \"@rx ^site_{n}$\" \"id:5000001,phase:2,pass,nolog\"\n");
            all.push(Input::Text { name: "site.conf".into(), text });
            load(&all)
        })
        .collect();
    settle();
    let apart = (resident() - before) / own.len() as f64;
    println!("{apart:.1} MB for a site with a rule of its own beside CRS\n");

    result("memory.loaded", loaded, "MB", MEGABYTES, "resident memory of a process with CRS loaded");
    result("memory.busy", busy, "MB", MEGABYTES, "the same after traffic on one thread");
    result("memory.site", shared, "MB", SITE_MB, "for each of 100 sites with the same rules");
    let least = times.iter().min().copied().unwrap_or_default();
    result("memory.compile", millis(least), "ms", COMPILE_MS, "CPU time of compiling CRS, the least of five");
}

/// Sites with rules of their own that are made: each takes as long as CRS does.
const OWN: usize = 8;

/// What was freed goes back to the system at the allocator's next occasion.
fn settle() {
    let some: Vec<Vec<u8>> = (0..10_000).map(|n| vec![1; 16 + n % 512]).collect();
    drop(std::hint::black_box(some));
    std::thread::sleep(Duration::from_millis(300));
}

/// Resident memory of this process, in megabytes (10⁶ bytes).
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|l| l.trim().trim_end_matches(" kB").trim().parse::<f64>().ok());
    kilobytes.expect("the system tells of memory") * 1_024.0 / 1e6
}

/// CPU time of all threads.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a process has a clock").into()
}
