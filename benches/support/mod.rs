//! CRS, the workloads and how a transaction is fed, for all benchmarks of the engine.

// Each benchmark is a program of its own and uses a part of this.
#![allow(dead_code, clippy::print_stdout)]

pub mod fresh;
pub mod told;

use portcullis::compile::{self, Input};
use portcullis::engine::{BodyStep, NoWorld, Options, Transaction};
use portcullis::http::{HeadLimits, RequestHead, find_head_end};
use portcullis::ruleset::Ruleset;
use portcullis::syntax::seclang::{EmbeddedLoader, FileLoader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub fn crs() -> PathBuf {
    std::env::var_os("PORTCULLIS_CRS_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/crs"), PathBuf::from)
}

/// CRS at a paranoia level.
pub fn inputs(level: u8) -> Vec<Input> {
    inputs_with(level, "")
}

/// CRS at a paranoia level, with more directives before its own.
pub fn inputs_with(level: u8, more: &str) -> Vec<Input> {
    let base = format!(
        "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess Off\nSecAuditEngine RelevantOnly\n\
         SecRule REQUEST_HEADERS:Content-Type \"^(?:application(?:/soap\\+|/)|text/)xml\" \
         \"id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML\"\n\
         SecRule REQUEST_HEADERS:Content-Type \"^application/json\" \
         \"id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n\
         SecAction \"id:900000,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level={level}\"\n\
         {more}"
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
    Arc::clone(LEVELS[usize::from(level > 1)].get_or_init(|| load(&inputs(level))))
}

/// The embedded ruleset, as it is.
pub fn core() -> Arc<Ruleset> {
    let inputs = [Input::File("@portcullis-core".to_owned())];
    let loader = EmbeddedLoader::new(compile::EMBEDDED, FileLoader);
    compile::load(&inputs, &loader).ruleset.expect("the embedded ruleset compiles")
}

pub fn load(inputs: &[Input]) -> Arc<Ruleset> {
    compile::load(inputs, &FileLoader).ruleset.expect("CRS compiles")
}

/// Whether CRS is there. Says so when it is not.
pub fn is_there() -> bool {
    let is_there = crs().join("rules").is_dir();
    if !is_there {
        println!("SKIPPED: no CRS at {}", crs().display());
    }
    is_there
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
    files.iter().map(|path| Request::parse(&std::fs::read(path).expect("readable"))).collect()
}

impl Request {
    /// A request from its bytes.
    pub fn parse(raw: &[u8]) -> Self {
        let end = find_head_end(raw).expect("a whole head");
        Self { head: RequestHead::parse(&raw[..end], &HeadLimits::default()), body: raw[end..].to_vec() }
    }

    /// A browser's form of these arguments: names as they are, values encoded.
    pub fn form<N: AsRef<[u8]>, V: AsRef<[u8]>>(arguments: &[(N, V)]) -> Self {
        let mut body = Vec::new();
        for (name, value) in arguments {
            if !body.is_empty() {
                body.push(b'&');
            }
            body.extend_from_slice(name.as_ref());
            body.push(b'=');
            encode(value.as_ref(), &mut body);
        }
        Self::parse(&form(&body))
    }

    /// The bytes of what [`Self::form`] made.
    pub fn raw(&self) -> Vec<u8> {
        form(&self.body)
    }
}

fn form(body: &[u8]) -> Vec<u8> {
    let mut raw = format!("{FORM_HEAD}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    raw.extend_from_slice(body);
    raw
}

/// As browsers encode forms.
fn encode(value: &[u8], out: &mut Vec<u8>) {
    for &byte in value {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => {
                let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble)];
                out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

const FORM_HEAD: &str = "POST /account/note HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/141.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.9\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Content-Type: application/x-www-form-urlencoded\r\n";

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
