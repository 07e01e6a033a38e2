//! What CRS costs when a client means it to cost: values aimed at the engine, against ordinary prose of the same size
//! in the same run.
//!
//! Near-misses of all that the prefilters look for, everything that transformations undo, mixtures of bytes for which
//! nothing has been planned, values that are never sent twice or exactly twice, and runs of anything; in ten arguments
//! of 100 bytes, in 400 of 25, and in one of 10 KB, 100 KB and 1 MB. Nothing blocks: the threshold is too high to
//! reach, so that all rules run. It prints nanoseconds for each byte, and how many times the benign figure that is:
//! that of prose which nothing hostile came before, in a process of its own and at the same time. Prose between hostile
//! values is told too.
//!
//! `cargo bench --bench hostile -- [--level 4] [--only WORD]… [--size NAME] [--passes N]`; `--only` takes shapes whose
//! name contains a word, for a profiler. With `--rules`, each shape named is told the rules whose operators take longest
//! when asked about 100 KB of it, whether the engine would ask them or not. With `--write DIRECTORY`, the requests are
//! written there, for `instructions` to count. Times are CPU time of the thread, medians of passes in which all shapes take
//! turns. No value is sent twice, unless that is the point.

#![allow(clippy::print_stdout)]

mod benign;
mod literals;
mod shapes;
#[path = "../support/mod.rs"]
mod support;
#[path = "../linear/units.rs"]
mod units;

use benign::Benign;
use portcullis::engine::NoWorld;
use portcullis::operator::{Found, NoLookup};
use portcullis::ruleset::{Matcher, Ruleset};
use shapes::{Kind, Shape};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use support::fresh::{self, Random};
use support::told::{median, micros, millis, result, time};
use support::{Request, inputs_with, is_there, load, transact, workload};

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The most that anything hostile may cost, in what prose of its size costs.
const RATIO: f64 = 10.0;
/// The most that one argument of 1 MB may take, whatever it holds.
const MEGABYTE_MS: f64 = 15.0;
/// The most that ten times the argument may take, in what the argument took.
const GROWTH: f64 = 12.0;
/// The most that 3,000 arguments may take.
const ARGUMENTS_MS: f64 = 5.0;

const UNLIMITED: &str = "SecRequestBodyNoFilesLimit 100000000\nSecArgumentsLimit 5000\n\
    SecAction \"id:900001,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=1000000000\"\n";

/// How many arguments, of how many bytes.
struct Layout {
    name: &'static str,
    arguments: usize,
    bytes: usize,
    passes: usize,
}

const LAYOUTS: &[Layout] = &[
    Layout { name: "10x100B", arguments: 10, bytes: 100, passes: 31 },
    Layout { name: "400x25B", arguments: 400, bytes: 25, passes: 7 },
    Layout { name: "10KB", arguments: 1, bytes: 10_000, passes: 9 },
    Layout { name: "100KB", arguments: 1, bytes: 100_000, passes: 5 },
    Layout { name: "1MB", arguments: 1, bytes: 1_000_000, passes: 3 },
];
/// CPU time after which no further pass at a size begins.
const ENOUGH: Duration = Duration::from_secs(14);

fn main() {
    if !is_there() {
        return;
    }
    let options = Options::new(std::env::args().skip(1));
    let ruleset = load(&inputs_with(options.level, UNLIMITED));
    let literals = literals::of(&ruleset);
    let mut bench = Bench { ruleset, world: Arc::new(NoWorld), random: Random(1), hits: 0 };
    if options.benign {
        benign::answer(&mut bench, &shapes::all(literals)[0]);
        return;
    }
    println!(
        "CRS at level {}, {} literals of {} bytes in all\n",
        options.level,
        literals.len(),
        literals.iter().map(Vec::len).sum::<usize>()
    );
    let mut all = shapes::all(literals);
    all.retain(|s| s.kind == Kind::Benign || options.wants(&s.name));
    if let Some(directory) = &options.write {
        all.iter().for_each(|shape| write(&mut bench, shape, &options, directory));
        return;
    }
    if options.rules {
        all.iter().for_each(|shape| tell_rules(&mut bench, shape, options.level));
        return;
    }
    let rows = shapes_at_all_sizes(&mut bench, &all, &options);
    tell_shapes(&rows, &options);
    if options.only.is_empty() {
        floods(&mut bench, &options);
        if options.level == 1 {
            many_arguments(&mut bench);
        }
    }
}

struct Options {
    level: u8,
    only: Vec<String>,
    size: Option<String>,
    passes: Option<usize>,
    rules: bool,
    benign: bool,
    write: Option<PathBuf>,
}

impl Options {
    fn new(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut options = Self {
            level: 1,
            only: Vec::new(),
            size: None,
            passes: None,
            rules: false,
            benign: false,
            write: None,
        };
        while let Some(argument) = arguments.next() {
            let mut number = || arguments.next().and_then(|n| n.parse().ok());
            match argument.as_str() {
                "--level" => options.level = number().unwrap_or(4) as u8,
                "--passes" => options.passes = number(),
                "--only" => options.only.extend(arguments.next()),
                "--rules" => options.rules = true,
                benign::FLAG => options.benign = true,
                "--size" => options.size = arguments.next(),
                "--write" => options.write = arguments.next().map(PathBuf::from),
                // cargo adds flags of its own.
                _ => {}
            }
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| name.contains(word.as_str()))
    }

    fn key(&self, key: &str) -> String {
        if self.level == 1 { format!("hostile.{key}") } else { format!("hostile.{key}.level{}", self.level) }
    }
}

struct Bench {
    ruleset: Arc<Ruleset>,
    world: Arc<NoWorld>,
    random: Random,
    /// Rules that matched in the last transaction.
    hits: usize,
}

impl Bench {
    fn run(&mut self, request: &Request) -> Duration {
        let (ruleset, world) = (&self.ruleset, &self.world);
        time(|| self.hits = transact(ruleset, world, request))
    }

    fn request(&mut self, layout: &Layout, shape: &Shape) -> Request {
        let arguments: Vec<_> = (0..layout.arguments)
            .map(|n| (format!("field_{n}"), (shape.make)(layout.bytes, &mut self.random)))
            .collect();
        Request::form(&arguments)
    }
}

/// What was measured of a shape: for each of [`LAYOUTS`] its time, if it was, and how many times that is what prose took then.
struct Row<'a> {
    shape: &'a Shape,
    times: Vec<Option<Duration>>,
    ratios: Vec<Option<f64>>,
    /// Rules that matched at the largest size.
    hits: usize,
}

fn shapes_at_all_sizes<'a>(bench: &mut Bench, all: &'a [Shape], options: &Options) -> Vec<Row<'a>> {
    let nothing =
        |shape| Row { shape, times: vec![None; LAYOUTS.len()], ratios: vec![None; LAYOUTS.len()], hits: 0 };
    let mut rows: Vec<Row<'_>> = all.iter().map(nothing).collect();
    let mut benign = Benign::start(options.level);
    for (at, layout) in LAYOUTS.iter().enumerate() {
        if options.size.as_ref().is_some_and(|size| size != layout.name) {
            continue;
        }
        let passes = options.passes.unwrap_or(layout.passes);
        // For each row its times, and those of prose just before.
        let mut taken = vec![(Vec::new(), Vec::new()); rows.len()];
        let mut spent = Duration::ZERO;
        for _ in 0..passes {
            for (row, (taken, prose)) in rows.iter_mut().zip(&mut taken).skip(1) {
                let request = bench.request(layout, row.shape);
                prose.push(benign.ask(at));
                let took = bench.run(&request);
                row.hits = bench.hits;
                spent += took;
                taken.push(took);
            }
            if spent > ENOUGH {
                break;
            }
        }
        for (row, (taken, prose)) in rows.iter_mut().zip(&taken).skip(1) {
            row.times[at] = Some(median(taken));
            let ratio = |(taken, prose): (&Duration, &Duration)| taken.as_secs_f64() / prose.as_secs_f64();
            let mut ratios: Vec<f64> = taken.iter().zip(prose).map(ratio).collect();
            ratios.sort_by(f64::total_cmp);
            row.ratios[at] = Some(ratios[ratios.len() / 2]);
        }
        let prose: Vec<Duration> = taken.into_iter().flat_map(|(_, prose)| prose).collect();
        (rows[0].times[at], rows[0].ratios[at]) = (Some(median(&prose)), Some(1.0));
    }
    confirm_growth(bench, &mut rows);
    rows
}

/// Measures again what seems to grow too fast, the least of some runs: a busy machine stretches single figures.
fn confirm_growth(bench: &mut Bench, rows: &mut [Row<'_>]) {
    for row in rows.iter_mut().skip(1) {
        if row.growth().is_none_or(|growth| growth <= GROWTH) {
            continue;
        }
        for _ in 0..ATTEMPTS {
            for at in [TENTH, WHOLE] {
                let request = bench.request(&LAYOUTS[at], row.shape);
                let took = bench.run(&request);
                row.times[at] = row.times[at].map(|known| known.min(took));
            }
        }
    }
}

const ATTEMPTS: usize = 5;
/// The places of 100 KB and 1 MB in [`LAYOUTS`].
const TENTH: usize = LAYOUTS.len() - 2;
const WHOLE: usize = LAYOUTS.len() - 1;

impl Row<'_> {
    /// How much longer ten times the argument takes.
    fn growth(&self) -> Option<f64> {
        Some(self.times[WHOLE]?.as_secs_f64() / self.times[TENTH]?.as_secs_f64())
    }
}

fn tell_shapes(rows: &[Row<'_>], options: &Options) {
    let benign = &rows[0];
    println!("nanoseconds a byte (times the benign figure), for each size; rules matched\n");
    print!("{:38}", "");
    LAYOUTS.iter().for_each(|layout| print!("{:>17}", layout.name));
    println!("{:>7}", "rules");
    let mut ordered: Vec<&Row<'_>> = rows.iter().collect();
    // The kinds apart, the dearest first.
    ordered.sort_by(|a, b| {
        (a.shape.kind as u8, worst(b))
            .partial_cmp(&(b.shape.kind as u8, worst(a)))
            .expect("times are numbers")
    });
    for row in ordered {
        print!("{:38}", row.shape.name);
        for (at, layout) in LAYOUTS.iter().enumerate() {
            match (row.times[at], row.ratios[at]) {
                (Some(time), Some(ratio)) => {
                    let each = time.as_nanos() as f64 / (layout.arguments * layout.bytes) as f64;
                    print!("{:>17}", format!("{each:.1} ({ratio:.1})"));
                }
                _ => print!("{:>17}", "-"),
            }
        }
        let missed = if worst(row) > RATIO { "  missed" } else { "" };
        println!("{:>7}{missed}", row.hits);
    }
    println!();
    for (at, layout) in LAYOUTS.iter().enumerate() {
        let hostile = rows.iter().filter(|row| row.shape.kind != Kind::Benign);
        let ratios: Vec<f64> = hostile.filter_map(|row| row.ratios[at]).collect();
        if !ratios.is_empty() {
            let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
            let words = format!("all {} shapes together against prose, {}", ratios.len(), layout.name);
            result(&options.key(&format!("corpus.{}", layout.name)), mean, "times", RATIO, &words);
        }
        let all = rows[1..].iter().filter_map(|row| Some((row.ratios[at]?, &row.shape.name)));
        if let Some((most, name)) = all.max_by(|a, b| a.0.total_cmp(&b.0)) {
            let words =
                format!("the dearest of {} shapes against prose, {}: {name}", rows.len() - 2, layout.name);
            result(&options.key(&format!("ratio.{}", layout.name)), most, "times", RATIO, &words);
        }
    }
    let grown = rows.iter().filter_map(|row| Some((row.growth()?, &row.shape.name)));
    if let Some((most, name)) = grown.max_by(|a, b| a.0.total_cmp(&b.0)) {
        let words = format!("1 MB against 100 KB, the fastest growing: {name}");
        result(&options.key("growth"), most, "times", GROWTH, &words);
    }
    // These bars are meant for the usual level.
    if options.level > 1 {
        return;
    }
    let anything = rows.iter().filter(|row| row.shape.kind != Kind::Aimed);
    let timed = anything.filter_map(|row| Some((row, row.times[WHOLE]?)));
    if let Some((row, time)) = timed.max_by_key(|(_, time)| *time) {
        let words = format!(
            "one argument of 1 MB of anything that is not aimed at CRS; the dearest: {}",
            row.shape.name
        );
        result("hostile.megabyte", millis(time), "ms", MEGABYTE_MS, &words);
    }
    if let Some(time) = benign.times[WHOLE] {
        result("hostile.megabyte.prose", millis(time), "ms", MEGABYTE_MS, "one argument of 1 MB of prose");
    }
}

/// Writes requests of a shape, as many as there are passes, for `instructions`: `PORTCULLIS_WORKLOADS` names the
/// directory, and a workload there is called by its shape and size.
fn write(bench: &mut Bench, shape: &Shape, options: &Options, directory: &Path) {
    for layout in LAYOUTS {
        if options.size.as_ref().is_some_and(|size| size != layout.name) {
            continue;
        }
        let name: String =
            shape.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        for n in 0..options.passes.unwrap_or(layout.passes) {
            let request = bench.request(layout, shape);
            let path = directory.join(format!("{name}-{}-{n}.http", layout.name));
            std::fs::write(&path, request.raw()).expect("the directory is there, and may be written to");
        }
    }
}

/// The rules whose operators take longest for a shape, behind their transformations.
fn tell_rules(bench: &mut Bench, shape: &Shape, level: u8) {
    let mut told: Vec<(Duration, String)> = Vec::new();
    let values: Vec<_> = (0..3).map(|_| (shape.make)(100_000, &mut bench.random)).collect();
    let ruleset = &bench.ruleset;
    for rule in &ruleset.rules {
        let Matcher::Scan(scan) = &rule.matcher else { continue };
        let of_level = |tag: &String| tag.strip_prefix("paranoia-level/").and_then(|n| n.parse::<u8>().ok());
        if rule.phase > 2 || rule.meta.tags.iter().filter_map(of_level).any(|at| at > level) {
            continue;
        }
        let times = values.iter().map(|value| {
            let chain = ruleset.chain(ruleset.lane(scan.lane).chain).iter();
            let value = chain.fold(value.clone(), |value, &step| {
                let mut out = Vec::new();
                let step = ruleset.steps[usize::from(step)].transform.row();
                if (step.apply)(&value, &mut out) { out } else { value }
            });
            let mut found = Found::default();
            time(|| scan.operator.evaluate(&value, b"", &NoLookup, &mut found))
        });
        told.push((
            median(&times.collect::<Vec<_>>()),
            format!("{} {:.90}", rule.id, rule.meta.operator.replace(['\n', '\t'], " ")),
        ));
    }
    told.sort();
    println!("\n{}: nanoseconds a byte of each rule's operator", shape.name);
    for (time, rule) in told.iter().rev().take(15) {
        println!("{:8.1}  {rule}", time.as_nanos() as f64 / 100_000.0);
    }
}

fn worst(row: &Row<'_>) -> f64 {
    row.ratios.iter().flatten().copied().fold(0.0, f64::max)
}

/// What is remembered from one transaction to the next, flooded: what the flood costs itself, and what it costs
/// another client, whose headers and plans it pushes out.
fn floods(bench: &mut Bench, options: &Options) {
    let browser = workload("W1");
    let mut prose = Vec::new();
    for _ in 0..FLOODS {
        let request = prose_request(bench);
        prose.push(bench.run(&request));
    }
    let prose = median(&prose);
    let kinds: [Flood; 4] = [
        ("nothing", "nothing else", |_| Vec::new()),
        ("once", "new values, never sent twice", |bench| vec![few_letters(bench)]),
        ("twice", "values that are sent exactly twice", |bench| {
            let request = few_letters(bench);
            vec![Request { head: request.head.clone(), body: request.body.clone() }, request]
        }),
        ("mixtures", "values, each of another mixture of punctuation", |bench| vec![mixtures(bench)]),
    ];
    println!();
    let mut alone = Duration::ZERO;
    for (key, words, make) in kinds {
        let (mut theirs, mut others) = (Vec::new(), Vec::new());
        for n in 0..FLOODS {
            for request in make(bench) {
                theirs.push(bench.run(&request));
            }
            let request = fresh::vary(&browser[n % browser.len()], &mut bench.random);
            others.push(bench.run(&request));
        }
        // Once the flood is under way.
        let others = median(&others[FLOODS / 2..]);
        if theirs.is_empty() {
            alone = others;
            println!(
                "a browser's request: {:.1} µs with nothing else, prose in ten arguments {:.1} µs",
                micros(others),
                micros(prose)
            );
            continue;
        }
        let theirs = median(&theirs[FLOODS / 2..]);
        let (own, other) =
            (theirs.as_secs_f64() / prose.as_secs_f64(), others.as_secs_f64() / alone.as_secs_f64());
        result(
            &options.key(&format!("flood.{key}")),
            own,
            "times",
            RATIO,
            &format!("a flood of {words}, against prose"),
        );
        result(
            &options.key(&format!("flood.{key}.others")),
            other,
            "times",
            RATIO,
            &format!("another client's request in a flood of {words}, against one without"),
        );
    }
}

const FLOODS: usize = 2_000;

/// Its key, its words, and what is sent each time.
type Flood = (&'static str, &'static str, fn(&mut Bench) -> Vec<Request>);

fn prose_request(bench: &mut Bench) -> Request {
    ten(|_| bench.random.prose(100))
}

fn few_letters(bench: &mut Bench) -> Request {
    ten(|_| bench.random.letters(100))
}

fn mixtures(bench: &mut Bench) -> Request {
    ten(|_| {
        let marks = bench.random.next();
        let some = (33..127_u8).filter(u8::is_ascii_punctuation).enumerate();
        let mut value: Vec<u8> = some.filter(|(n, _)| marks >> n & 1 == 1).map(|(_, byte)| byte).collect();
        value.extend(bench.random.letters(100_usize.saturating_sub(value.len())));
        value
    })
}

fn ten(mut value: impl FnMut(usize) -> Vec<u8>) -> Request {
    let arguments: Vec<_> = (0..10).map(|n| (format!("field_{n}"), value(n))).collect();
    Request::form(&arguments)
}

/// A form with more arguments than the usual limit lets through.
fn many_arguments(bench: &mut Bench) {
    let kinds: [Filling; 4] = [
        ("words", "3,000 arguments of a word", |random| random.letters(8)),
        ("numbers", "3,000 arguments of a number", |random| random.of(b"0123456789", 6)),
        ("prose", "3,000 arguments of 25 bytes of prose", |random| random.prose(25)),
        ("punctuation", "3,000 arguments of 8 bytes of punctuation", |random| {
            random.of(b"!#$%&'()*+,-./:;<=>?@[]^_`{|}~", 8)
        }),
    ];
    println!();
    let mut taken = vec![Vec::new(); kinds.len()];
    for _ in 0..9 {
        for ((_, _, make), taken) in kinds.iter().zip(&mut taken) {
            let arguments: Vec<_> =
                (0..3_000).map(|n| (format!("cell_{n}"), make(&mut bench.random))).collect();
            let request = Request::form(&arguments);
            taken.push(bench.run(&request));
        }
    }
    for ((key, words, _), taken) in kinds.iter().zip(&taken) {
        result(&format!("hostile.arguments.{key}"), millis(median(taken)), "ms", ARGUMENTS_MS, words);
    }
}

/// Its key, its words, and how a value is made.
type Filling = (&'static str, &'static str, fn(&mut Random) -> Vec<u8>);
