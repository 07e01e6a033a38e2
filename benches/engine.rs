//! CPU per transaction of the engine alone, under CRS: raw requests of the workloads, head, body, phases 1 to 5.
//!
//! CRS and the workloads are looked for in `PORTCULLIS_CRS_DIR` (with the workloads in `../workloads` beside it),
//! then in `../shared/crs`. Absolute times on shared machines mean little; compare within one run.

#![allow(clippy::print_stdout)]

use portcullis::compile::{self, Input};
use portcullis::engine::{BodyStep, NoWorld, Options, Transaction};
use portcullis::http::{HeadLimits, RequestHead, find_head_end};
use portcullis::ruleset::Ruleset;
use portcullis::syntax::seclang::FileLoader;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

fn main() {
    if !crs().is_dir() {
        println!("SKIPPED: no CRS at {}", crs().display());
        return;
    }
    divan::main();
}

fn crs() -> PathBuf {
    std::env::var_os("PORTCULLIS_CRS_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/crs"), PathBuf::from)
}

/// CRS at a paranoia level.
fn inputs(level: u8) -> Vec<Input> {
    let base = format!(
        "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess Off\nSecAuditEngine RelevantOnly\n\
         SecRule REQUEST_HEADERS:Content-Type \"^(?:application(?:/soap\\+|/)|text/)xml\" \
         \"id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML\"\n\
         SecRule REQUEST_HEADERS:Content-Type \"^application/json\" \
         \"id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n\
         SecAction \"id:900000,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level={level}\"\n"
    );
    let mut rules: Vec<String> = std::fs::read_dir(crs().join("rules"))
        .expect("CRS has rules")
        .filter_map(|e| Some(e.ok()?.path().display().to_string()))
        .filter(|p| p.ends_with(".conf"))
        .collect();
    rules.sort();
    let setup = crs().join("crs-setup.conf.example").display().to_string();
    [Input::Text { name: "base.conf".into(), text: base }, Input::File(setup)]
        .into_iter()
        .chain(rules.into_iter().map(Input::File))
        .collect()
}

fn ruleset(level: u8) -> Arc<Ruleset> {
    static LEVELS: [OnceLock<Arc<Ruleset>>; 2] = [OnceLock::new(), OnceLock::new()];
    let load = || compile::load(&inputs(level), &FileLoader).ruleset.expect("CRS compiles");
    Arc::clone(LEVELS[usize::from(level > 1)].get_or_init(load))
}

struct Request {
    head: RequestHead,
    body: Vec<u8>,
}

fn workload(name: &str) -> Vec<Request> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(crs().join("../workloads"))
        .expect("workloads stand beside CRS")
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&format!("{name}-"))))
        .collect();
    files.sort();
    let read = |path: &PathBuf| {
        let raw = std::fs::read(path).expect("readable");
        let end = find_head_end(&raw).expect("a whole head");
        Request { head: RequestHead::parse(&raw[..end], &HeadLimits::default()), body: raw[end..].to_vec() }
    };
    files.iter().map(read).collect()
}

fn transact(ruleset: &Arc<Ruleset>, world: &Arc<NoWorld>, request: &Request) -> usize {
    let options = Options { id: "0000000000000000".into(), mode: None, world: Arc::clone(world) as _ };
    let mut tx = Transaction::new(Arc::clone(ruleset), options);
    tx.process_connection(([192, 0, 2, 1], 40_000).into(), ([192, 0, 2, 2], 80).into());
    tx.process_uri(&request.head.method, &request.head.target, &request.head.protocol);
    for (name, value) in &request.head.headers {
        tx.add_request_header(name, value);
    }
    let mut stopped = tx.process_request_headers().interruption().is_some();
    if !stopped && tx.request_body_wanted() && !request.body.is_empty() {
        stopped = matches!(tx.append_request_body(&request.body), BodyStep::Interrupt(_));
    }
    if !stopped {
        stopped = tx.process_request_body().interruption().is_some();
    }
    tx.process_logging(if stopped { 403 } else { 200 }).rules.len()
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
