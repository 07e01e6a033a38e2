//! Hours of everything at once: the real binary between in-process origins and in-process clients, with a real Redis,
//! while its configuration is loaded anew each second, certificates are rotated, audit sinks are blocked, the disk is
//! full, and Redis is stopped. What is said about it is in docs/operations.md.
//!
//! `cargo bench --bench soak -- [--minutes N | --seconds N] [--pace MILLISECONDS] [--crs]`. Ends with 1 on a wrong answer,
//! on memory that grows by more than 5 % after the warm-up, and on a descriptor that is not given back.

#![allow(clippy::print_stdout)]

#[allow(dead_code, reason = "the short one, which is a test, uses more of it")]
mod run;
#[path = "../../tests/support/mod.rs"]
mod support;

use run::{Plan, Rules};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let mut plan = Plan { tells: true, ..Plan::of(Duration::from_secs(1_200)) };
    // Cargo adds an argument of its own.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let number = |value: Option<String>| value.and_then(|value| value.parse::<u64>().ok());
        match (argument.as_str(), argument == "--crs") {
            (_, true) => plan.rules = Rules::Crs,
            (name @ ("--minutes" | "--seconds" | "--pace"), _) => {
                let Some(value) = number(arguments.next()) else {
                    println!("{name} takes a number");
                    return ExitCode::from(2);
                };
                match name {
                    "--minutes" => plan = plan.lasting(Duration::from_secs(60 * value)),
                    "--seconds" => plan = plan.lasting(Duration::from_secs(value)),
                    _ => plan.pace = Duration::from_millis(value),
                }
            }
            (other, _) => {
                println!("{other} is not known: --minutes N, --seconds N, --pace MILLISECONDS, --crs");
                return ExitCode::from(2);
            }
        }
    }
    let Some(outcome) = run::run(&plan) else {
        println!("SKIPPED: there is no redis-server");
        return ExitCode::FAILURE;
    };
    println!("{outcome}");
    match outcome.faults().is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
