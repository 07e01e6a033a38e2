//! Prose by itself, measured in a process of its own: nothing hostile has been by there.
//!
//! The process is asked each time before something hostile is measured, since machines that others use as well may be half as
//! fast from one second to the next.

use super::{Bench, LAYOUTS, Shape};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// The flag with which this program answers instead of measuring what is hostile.
pub const FLAG: &str = "--benign";

/// The process that measures prose.
pub struct Benign {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Benign {
    /// Starts this program once more, to measure prose at this level.
    pub fn start(level: u8) -> Self {
        let program = std::env::current_exe().expect("the program has a path");
        let mut child = Command::new(program)
            .args([FLAG, "--level", &level.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be started again");
        let asks = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, asks, answers }
    }

    /// What prose takes at this place of [`LAYOUTS`] now.
    pub fn ask(&mut self, layout: usize) -> Duration {
        writeln!(self.asks, "{layout}").expect("it waits for that");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("it answers");
        Duration::from_nanos(answer.trim().parse().expect("a number"))
    }
}

impl Drop for Benign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers until nothing more is asked.
pub fn answer(bench: &mut Bench, prose: &Shape) {
    let mut last = usize::MAX;
    for line in std::io::stdin().lines() {
        let asked: usize = line.expect("text").parse().expect("a place of a layout");
        // What the other process did is still in the machine's caches, and at first little is known of patterns.
        let before = if asked == last { 1 } else { LAYOUTS[asked].passes };
        last = asked;
        let mut took = Duration::ZERO;
        for _ in 0..=before {
            let request = bench.request(&LAYOUTS[asked], prose);
            took = bench.run(&request);
        }
        println!("{}", took.as_nanos());
    }
}
