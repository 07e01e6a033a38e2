//! What more rules cost: W1 under CRS, and under CRS with 500, 2,000 and 5,000 rules more, of the kind that sites
//! write and virtual patches are made of: patterns with literals, asked of arguments and headers behind a few
//! transformations. All get the same requests in turns, none of them twice. CPU time of the thread.

#![allow(clippy::print_stdout)]

mod support;

use portcullis::compile::Input;
use portcullis::engine::NoWorld;
use std::fmt::Write as _;
use std::sync::Arc;
use support::fresh::{self, Random};
use support::told::{median, micros, millis, result, time};
use support::{Request, inputs, is_there, load, transact, workload};

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The most that 5,000 rules more may make of W1's time.
const BAR: f64 = 1.5;
const MORE: [usize; 4] = [0, 500, 2_000, 5_000];
const PASSES: usize = 61;
const BATCH: usize = 64;

fn main() {
    if !is_there() {
        return;
    }
    let mut rulesets = Vec::new();
    for count in MORE {
        let mut all = inputs(1);
        all.push(Input::Text { name: "more.conf".into(), text: rules(count) });
        let mut ruleset = None;
        let took = time(|| ruleset = Some(load(&all)));
        let ruleset = ruleset.expect("it was loaded");
        println!(
            "{count:>5} rules more: {} rules and links, compiled in {:.0} ms",
            ruleset.rules.len(),
            millis(took)
        );
        rulesets.push(ruleset);
    }
    let (requests, world) = (workload("W1"), Arc::new(NoWorld));
    let mut random = Random(11);
    let mut taken = vec![Vec::new(); MORE.len()];
    let mut hits = vec![0; MORE.len()];
    for pass in 0..PASSES {
        let batch: Vec<Request> =
            (0..BATCH).map(|n| fresh::vary(&requests[n % requests.len()], &mut random)).collect();
        // Who is first changes: the first has what the CPU remembers of making the requests.
        for turn in 0..MORE.len() {
            let at = (turn + pass) % MORE.len();
            let took = time(|| {
                for request in &batch {
                    hits[at] += transact(&rulesets[at], &world, request);
                }
            });
            taken[at].push(took / BATCH as u32);
        }
    }
    println!();
    let alone = median(&taken[0]);
    for ((count, taken), hits) in MORE.iter().zip(&taken).zip(&hits) {
        let time = median(taken);
        let times = time.as_secs_f64() / alone.as_secs_f64();
        println!("{count:>5} rules more: {:.1} µs, {times:.2} times, {hits} rules matched", micros(time));
        match count {
            0 => {}
            _ => result(
                &format!("scale.{count}"),
                times,
                "times",
                BAR,
                &format!("W1 with {count} rules more against CRS alone"),
            ),
        }
    }
}

/// Rules whose patterns differ, each with a word or two that ordinary requests do not have.
fn rules(count: usize) -> String {
    let mut random = Random(13);
    let mut text = String::new();
    for n in 0..count {
        let (one, two) = (word(&mut random), word(&mut random));
        let pattern = match n % 8 {
            0 => format!(r"(?i)\b{one}_{n}\s*=\s*['\x22]"),
            1 => format!(r"(?i)/{one}/{two}\.(?:php|jsp|aspx?)"),
            2 => format!(r"{one}(?:\.|%2e){two}\("),
            3 => format!(r"(?i)<{one}[^>]*\s{two}\s*="),
            4 => format!(r"(?i)\b(?:{one}|{two})-{n}\b"),
            5 => format!(r"\$\{{{one}:[^}}]{{1,64}}{two}"),
            6 => format!(r"(?i)^{one}\s+{two}\b.{{0,40}}\bfrom\b"),
            _ => format!(r"(?i)(?:^|[;&|])\s*{one}{}\s+-[a-z]", n % 97),
        };
        let steps =
            ["t:none", "t:none,t:urlDecodeUni", "t:none,t:urlDecodeUni,t:lowercase", "t:none,t:lowercase"]
                [n / 8 % 4];
        let _ = writeln!(
            text,
            "SecRule ARGS|REQUEST_HEADERS \"@rx {pattern}\" \"id:{},phase:2,block,{steps},msg:'Patch {n}',severity:CRITICAL\"",
            5_000_000 + n
        );
    }
    text
}

/// A word that is none, of four to nine letters.
fn word(random: &mut Random) -> String {
    const BEGIN: [&str; 16] =
        ["ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "xu", "zy"];
    const END: [&str; 7] = ["n", "r", "l", "s", "x", "", "t"];
    (0..2 + random.below(2)).map(|_| [*random.pick(&BEGIN), *random.pick(&END)].concat()).collect()
}
