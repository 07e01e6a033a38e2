//! CRS, the workloads and how a transaction is fed, for all benchmarks of the engine.

use portcullis::compile::{self, Input};
use portcullis::engine::{BodyStep, NoWorld, Options, Transaction};
use portcullis::http::{HeadLimits, RequestHead, find_head_end};
use portcullis::ruleset::Ruleset;
use portcullis::syntax::seclang::FileLoader;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub fn crs() -> PathBuf {
    std::env::var_os("PORTCULLIS_CRS_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/crs"), PathBuf::from)
}

/// CRS at a paranoia level.
pub fn inputs(level: u8) -> Vec<Input> {
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

pub fn ruleset(level: u8) -> Arc<Ruleset> {
    static LEVELS: [OnceLock<Arc<Ruleset>>; 2] = [OnceLock::new(), OnceLock::new()];
    let load = || compile::load(&inputs(level), &FileLoader).ruleset.expect("CRS compiles");
    Arc::clone(LEVELS[usize::from(level > 1)].get_or_init(load))
}

pub struct Request {
    pub head: RequestHead,
    pub body: Vec<u8>,
}

/// The requests of a workload, from `PORTCULLIS_WORKLOADS` or from beside CRS.
pub fn workload(name: &str) -> Vec<Request> {
    let directory =
        std::env::var_os("PORTCULLIS_WORKLOADS").map_or_else(|| crs().join("../workloads"), PathBuf::from);
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
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

/// One whole transaction. Never inlined: profilers are told to count inside of it.
#[inline(never)]
pub fn transact(ruleset: &Arc<Ruleset>, world: &Arc<NoWorld>, request: &Request) -> usize {
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
