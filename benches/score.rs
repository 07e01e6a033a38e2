//! Scores a ruleset on labelled requests, in process: which attacks it refuses, which legitimate requests too.
//!
//! `cargo bench --no-default-features --bench score -- CASES.jsonl [--out RESULTS.tsv] [RULE FILE]...`
//!
//! A line of `CASES` is `{"id","source","category","label":"attack"|"legit","method","path","headers":[[k,v],…],
//! "body_b64","meta":{"q":"A"|"B"|"C"}}`, text in Latin-1: one character a byte. Without rule files the embedded
//! ruleset is measured. `RESULTS` gets id, status (0: passed) and the rules that matched with what they matched. Each
//! request passes phases 1 and 2. The measure is for people to read: it asserts nothing.

#![allow(clippy::print_stdout, clippy::print_stderr)] // A report for people is what it is for.

use base64::Engine as _;
use portcullis::compile::{EMBEDDED, Input, load};
use portcullis::engine::{BodyStep, Decision, NoWorld, Options, Report, Transaction};
use portcullis::ruleset::Ruleset;
use portcullis::syntax::seclang::{EmbeddedLoader, FileLoader};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

#[derive(serde::Deserialize)]
struct Case {
    id: String,
    source: String,
    category: String,
    label: String,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    #[serde(default)]
    body_b64: Option<String>,
    meta: Meta,
}

#[derive(serde::Deserialize)]
struct Meta {
    q: String,
}

/// Cases and how many of them were refused.
#[derive(Clone, Copy, Default)]
struct Count {
    cases: usize,
    refused: usize,
}

fn main() {
    let mut files = Vec::new();
    let mut out = None;
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let mut cases = None;
    while let Some(argument) = arguments.next() {
        if argument == "--out" {
            out = arguments.next();
        } else if cases.is_none() {
            cases = Some(argument);
        } else {
            files.push(Input::File(argument));
        }
    }
    let Some(cases) = cases else {
        println!("score: no file of cases given, nothing measured");
        return;
    };
    if files.is_empty() {
        files.push(Input::File("@portcullis-core.conf".to_owned()));
    }
    let loaded = load(&files, &EmbeddedLoader::new(EMBEDDED, FileLoader));
    for d in loaded.diagnostics.iter() {
        let place = d.span.map_or_else(String::new, |s| loaded.sources.locate(s).to_string());
        eprintln!("{place}: {}", d.message);
    }
    let ruleset = loaded.ruleset.expect("the rules load");
    let text = std::fs::read_to_string(&cases).expect("the file of cases is readable");
    let cases: Vec<Case> = text.lines().map(|l| serde_json::from_str(l).expect("a line is a case")).collect();

    let began = std::time::Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = cases.len().div_ceil(threads).max(1);
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let workers: Vec<_> = cases
            .chunks(share)
            .map(|chunk| scope.spawn(|| chunk.iter().map(|c| run(&ruleset, c)).collect::<Vec<_>>()))
            .collect();
        workers.into_iter().flat_map(|w| w.join().expect("a worker ends well")).collect()
    });
    let each = began.elapsed().as_secs_f64() * 1e6 * threads as f64 / cases.len().max(1) as f64;

    let mut groups: BTreeMap<String, Count> = BTreeMap::new();
    for (case, report) in cases.iter().zip(&reports) {
        let refused = usize::from(status(report) != 0);
        let (label, tier) = (&case.label, &case.meta.q);
        for group in [
            format!("1 {label} {tier}"),
            format!("2 {label} {tier} {}", case.category.split(':').next().unwrap_or_default()),
            format!("3 {label} {tier} {}", case.source),
        ] {
            let count = groups.entry(group).or_default();
            count.cases += 1;
            count.refused += refused;
        }
    }
    for (group, count) in &groups {
        let rate = count.refused as f64 * 100.0 / count.cases as f64;
        println!("{group:60} {:6} of {:6} {rate:6.2} %", count.refused, count.cases);
    }
    println!("{} cases, {each:.0} µs of a thread each", cases.len());

    if let Some(out) = out {
        let mut file = std::io::BufWriter::new(std::fs::File::create(out).expect("the results are writable"));
        for (case, report) in cases.iter().zip(&reports) {
            let hits: Vec<String> = report.rules.iter().map(hit).collect();
            writeln!(file, "{}\t{}\t{}", case.id, status(report), hits.join("\t")).expect("written");
        }
    }
}

fn run(ruleset: &Arc<Ruleset>, case: &Case) -> Report {
    let options = Options { id: case.id.clone(), mode: None, world: Arc::new(NoWorld) };
    let mut transaction = Transaction::new(ruleset.clone(), options);
    let (client, server) = (([198, 51, 100, 7], 40_000), ([127, 0, 0, 1], 80));
    transaction.process_connection(client.into(), server.into());
    transaction.process_uri(case.method.as_bytes(), &latin1(&case.path), b"HTTP/1.1");
    for (name, value) in &case.headers {
        transaction.add_request_header(&latin1(name), &latin1(value));
    }
    let body = case.body_b64.as_deref().unwrap_or_default();
    let body = base64::engine::general_purpose::STANDARD.decode(body).expect("a body is Base64");
    if !body.is_empty() || ["POST", "PUT", "PATCH"].contains(&case.method.as_str()) {
        transaction.add_request_header(b"Content-Length", body.len().to_string().as_bytes());
    }
    let mut decision = transaction.process_request_headers();
    if decision == Decision::Pass
        && transaction.request_body_wanted()
        && let BodyStep::Interrupt(interruption) = transaction.append_request_body(&body)
    {
        decision = Decision::Interrupt(interruption);
    }
    if decision == Decision::Pass {
        let _ = transaction.process_request_body();
    }
    transaction.process_logging(0)
}

fn status(report: &Report) -> u16 {
    match &report.decision {
        Decision::Pass => 0,
        Decision::Interrupt(interruption) => interruption.status,
    }
}

fn hit(hit: &portcullis::engine::RuleHit) -> String {
    let shown = hit.matches.first().map_or_else(String::new, |m| {
        let part = m.range.clone().and_then(|r| m.value.get(r)).unwrap_or(&m.value);
        format!("{:?}={:?}", m.variable, String::from_utf8_lossy(part.get(..120).unwrap_or(part)))
    });
    format!("{} {shown}", hit.id)
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}
