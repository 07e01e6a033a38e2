//! Runs the engine on raw requests and tells its CPU time, for `benches/compare/run`: what `rival.c` is for
//! libmodsecurity.
//!
//! `compare RULES [--audit-log FILE] [--no-verdict-cache] [--answer FILE]` loads RULES, says `ready VERSION`, and then
//! answers lines on stdin: `COUNT FILE...` runs COUNT transactions with the requests of these files in turn, and says
//! `NANOSECONDS BLOCKED`, the CPU time of this thread for one transaction and how many were interrupted. Requests are
//! read before the clock starts.
//!
//! With `--answer`, requests that are let through are answered with the page in FILE, for a training that wants responses.
//!
//! What the rules want recorded becomes a record, redacted and written to the audit log, within the time measured:
//! libmodsecurity does the same in its last phase.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use nix::time::{ClockId, clock_gettime};
use portcullis::audit::{Auditor, Facts, Format, Redaction};
use portcullis::compile::{self, Input};
use portcullis::engine::{BodyStep, Collections, NoWorld, Options, Transaction, World};
use portcullis::http::{HeadLimits, RequestHead, find_head_end};
use portcullis::ruleset::Ruleset;
use portcullis::syntax::diagnostic;
use portcullis::syntax::seclang::FileLoader;
use std::fs::File;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let settings = Settings::new(std::env::args().skip(1));
    let Some(rules) = &settings.rules else {
        println!("SKIPPED: no rules given. benches/compare/run runs this");
        return ExitCode::SUCCESS;
    };
    let loaded = compile::load(&[Input::File(rules.clone())], &FileLoader);
    let Some(ruleset) = loaded.ruleset else {
        eprintln!("{}", diagnostic::render(&loaded.diagnostics, &loaded.sources, false));
        return ExitCode::FAILURE;
    };
    let log =
        settings.audit_log.as_ref().map(|path| File::create(path).expect("the audit log can be written"));
    let mut runner = Runner {
        ruleset,
        world: Arc::new(Clock),
        verdict_cache: settings.verdict_cache,
        auditor: Auditor::new(&Redaction::default(), Format::Native, ""),
        log,
        answer: settings.answer.map(|path| std::fs::read(path).expect("an answer is readable")),
        count: 0,
    };
    println!("ready Portcullis {}", env!("CARGO_PKG_VERSION"));
    for line in std::io::stdin().lines() {
        let line = line.expect("stdin is readable");
        let mut words = line.split_ascii_whitespace();
        let count: usize = words.next().and_then(|n| n.parse().ok()).expect("a line begins with a count");
        let requests: Vec<Request> = words.map(Request::read).collect();
        let began = cpu();
        let blocked = requests.iter().cycle().take(count).filter(|request| runner.run(request)).count();
        println!("{} {blocked}", (cpu() - began).as_nanos() / count.max(1) as u128);
    }
    ExitCode::SUCCESS
}

struct Settings {
    rules: Option<String>,
    audit_log: Option<String>,
    verdict_cache: bool,
    answer: Option<String>,
}

impl Settings {
    fn new(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut settings = Self { rules: None, audit_log: None, verdict_cache: true, answer: None };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--audit-log" => settings.audit_log = arguments.next(),
                "--answer" => settings.answer = arguments.next(),
                "--no-verdict-cache" => settings.verdict_cache = false,
                // cargo adds flags of its own.
                flag if flag.starts_with('-') => {}
                _ => settings.rules = Some(argument),
            }
        }
        settings
    }
}

struct Request {
    head: RequestHead,
    body: Vec<u8>,
}

impl Request {
    fn read(path: &str) -> Self {
        let raw = std::fs::read(path).expect("a request is readable");
        let end = find_head_end(&raw).expect("a request has a whole head");
        Self { head: RequestHead::parse(&raw[..end], &HeadLimits::default()), body: raw[end..].to_vec() }
    }
}

struct Runner {
    ruleset: Arc<Ruleset>,
    world: Arc<Clock>,
    verdict_cache: bool,
    auditor: Auditor,
    log: Option<File>,
    answer: Option<Vec<u8>>,
    count: u64,
}

impl Runner {
    /// One transaction, from its beginning to its record. Says whether it was interrupted.
    fn run(&mut self, request: &Request) -> bool {
        let mut tx = self.transaction();
        tx.process_connection(([192, 0, 2, 1], 40_000).into(), ([192, 0, 2, 2], 80).into());
        tx.process_uri(&request.head.method, &request.head.target, &request.head.protocol);
        for (name, value) in &request.head.headers {
            tx.add_request_header(name, value);
        }
        let mut blocked = tx.process_request_headers().interruption().is_some();
        if !blocked && tx.request_body_wanted() && !request.body.is_empty() {
            blocked = matches!(tx.append_request_body(&request.body), BodyStep::Interrupt(_));
        }
        if !blocked {
            blocked = tx.process_request_body().interruption().is_some();
        }
        if let Some(answer) = self.answer.as_ref().filter(|_| !blocked) {
            tx.add_response_header(b"Content-Type", b"text/html; charset=utf-8");
            blocked = tx.process_response_headers(200, b"HTTP/1.1").interruption().is_some();
            if !blocked && tx.response_body_wanted() {
                let _ = tx.append_response_body(answer);
            }
            blocked |= tx.process_response_body().interruption().is_some();
        }
        let status = if blocked { 403 } else { 200 };
        let report = tx.process_logging(status);
        if let Some(log) = self.log.as_mut().filter(|_| report.is_audited()) {
            let facts = Facts { status, ..Facts::default() };
            log.write_all(&self.auditor.line(&report, &facts)).expect("the audit log can be written");
        }
        blocked
    }

    /// A transaction with its switches set: the one place where `--no-verdict-cache` acts.
    fn transaction(&mut self) -> Transaction {
        self.count += 1;
        let options =
            Options { id: format!("{:016x}", self.count), mode: None, world: Arc::clone(&self.world) as _ };
        let mut tx = Transaction::new(Arc::clone(&self.ruleset), options);
        tx.set_verdicts(self.verdict_cache);
        tx
    }
}

/// The time as it is, since the server asks for it too; no persistent collections, which CRS does not use.
struct Clock;

impl World for Clock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
    fn collections(&self) -> &dyn Collections {
        &NoWorld
    }
    fn random(&self) -> u64 {
        4
    }
}

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a thread has a clock").into()
}
