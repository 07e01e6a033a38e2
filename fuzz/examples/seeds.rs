//! Writes seeds for the targets that do not read files of the repository as they are: `seeds DIRECTORY`, in which each
//! target gets a directory of its name. What test suites and the examples of rules hold is decoded and written in the
//! target's own format. Ends with 1 when a target has none.

#[path = "../../tests/suite/bypass/encode.rs"]
mod encode;

use portcullis::body::{Coding, Processor};
use portcullis::operator;
use portcullis::syntax::ast::TestRequest;
use portcullis_fuzz::{AS_SENT, BODIES, CODINGS, OWN_BOUNDARY, examples};
use serde_yaml::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// By target: name and content.
type Seeds = BTreeMap<&'static str, Vec<(String, Vec<u8>)>>;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: seeds DIRECTORY");
        return ExitCode::from(2);
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut seeds = Seeds::from(
        ["head", "body", "inflate", "transformation", "operator", "transaction", "prefilter"]
            .map(|t| (t, Vec::new())),
    );
    bodies(&root, &mut seeds);
    heads(&root, &mut seeds);
    transformations(&root, &mut seeds);
    operators(&root, &mut seeds);
    rules(&root, &mut seeds);
    let mut code = ExitCode::SUCCESS;
    for (target, seeds) in &seeds {
        if seeds.is_empty() {
            eprintln!("there are no seeds for {target}");
            code = ExitCode::FAILURE;
        }
        let corpus = directory.join(target);
        std::fs::create_dir_all(&corpus).expect("the corpus can be written");
        for (name, bytes) in seeds.iter().filter(|(_, bytes)| bytes.len() <= LONGEST) {
            std::fs::write(corpus.join(name), bytes).expect("the corpus can be written");
        }
        println!("{} seeds for {target}", seeds.len());
    }
    code
}

/// What targets are given at most.
const LONGEST: usize = 65_536;

/// How often something that is repeated is, at most: more of it finds nothing that less does not.
const REPETITIONS: usize = 100;

fn add(seeds: &mut Seeds, target: &'static str, name: String, bytes: Vec<u8>) {
    seeds.entry(target).or_default().push((name, bytes));
}

/// Cut at the odd length of the suites' own pieces.
const CUT: u8 = 7;

fn bodies(root: &Path, seeds: &mut Seeds) {
    let files = [
        ("urlencoded", Processor::Urlencoded),
        ("multipart", Processor::Multipart),
        ("json", Processor::Json),
        ("xml", Processor::Xml),
    ];
    for (file, processor) in files {
        let kind = place(&BODIES.map(|(processor, _)| processor), processor);
        for (n, case) in cases(&root.join(format!("tests/suite/body/{file}.yaml"))).iter().enumerate() {
            let body = body(case);
            // Made by encoders that write one block.
            let codings = if (1..LONGEST).contains(&body.len()) { &CODINGS[..] } else { &[] };
            for coding in codings.iter().copied() {
                let name = match coding {
                    Coding::Gzip => "gzip",
                    Coding::Deflate if n % 2 == 0 => "deflate",
                    Coding::Deflate => "raw-deflate",
                    Coding::Identity => continue,
                    Coding::Brotli => "br",
                    Coding::Zstd => "zstd",
                };
                let bytes = [&[place(&CODINGS, coding), CUT][..], &encode::encode(name, &body)].concat();
                add(seeds, "inflate", format!("{file}-{n}-{name}"), bytes);
            }
            add(seeds, "body", format!("{file}-{n}"), [&[kind, CUT][..], &body].concat());
            if processor == Processor::Multipart {
                let own = [&[kind | OWN_BOUNDARY, CUT, 4][..], b"0000", &body].concat();
                add(seeds, "body", format!("{file}-{n}-own"), own);
            }
        }
    }
}

fn body(case: &Value) -> Vec<u8> {
    let lines = |key: &str, end: &str| {
        let lines = case.get(key)?.as_sequence()?;
        Some(lines.iter().filter_map(Value::as_str).flat_map(|l| [l, end].concat().into_bytes()).collect())
    };
    let hex = case.get("body_hex").and_then(Value::as_str).map(from_hexadecimal);
    let plain = || Some(case.get("body")?.as_str()?.as_bytes().to_vec());
    hex.or_else(|| lines("lines", "\r\n"))
        .or_else(|| lines("lf_lines", "\n"))
        .or_else(plain)
        .unwrap_or_default()
}

fn heads(root: &Path, seeds: &mut Seeds) {
    for (file, key) in [("head", "head"), ("cookie", "value"), ("target", "target")] {
        for (n, case) in cases(&root.join(format!("tests/suite/body/{file}.yaml"))).iter().enumerate() {
            if let Some(text) = case.get(key).and_then(Value::as_str) {
                add(seeds, "head", format!("{file}-{n}"), text.as_bytes().to_vec());
            }
        }
    }
}

fn transformations(root: &Path, seeds: &mut Seeds) {
    for path in files(&root.join("tests/suite/transform")) {
        for (n, case) in cases(&path).iter().enumerate() {
            add(seeds, "transformation", format!("{}-{n}", stem(&path)), input(case));
        }
    }
}

fn operators(root: &Path, seeds: &mut Seeds) {
    for path in files(&root.join("tests/suite/operator")) {
        let file = stem(&path);
        let operator = file.split('-').next().unwrap_or_default();
        let row = operator::all().iter().position(|row| row.name == operator);
        let row =
            row.and_then(|row| u8::try_from(row).ok()).unwrap_or_else(|| panic!("@{operator} has no row"));
        for (g, group) in cases(&path).iter().enumerate() {
            let argument = group.get("argument").and_then(Value::as_str).unwrap_or_default();
            let Ok(length) = u8::try_from(argument.len()) else { continue };
            let start = [&[row, length][..], argument.as_bytes()].concat();
            let inputs =
                group.get("cases").and_then(Value::as_sequence).map(Vec::as_slice).unwrap_or_default();
            for (n, case) in inputs.iter().enumerate() {
                add(seeds, "operator", format!("{file}-{g}-{n}"), [&start[..], &input(case)].concat());
            }
            // An argument that is refused has no cases.
            if inputs.is_empty() {
                add(seeds, "operator", format!("{file}-{g}"), start);
            }
        }
    }
}

/// The examples of native rules as requests; the body of an application's answer is that of the request too.
fn rules(root: &Path, seeds: &mut Seeds) {
    for path in ["rulesets/core", "rulesets/virtual-patches"].iter().flat_map(|d| files(&root.join(d))) {
        let text = std::fs::read_to_string(&path).expect("rules are readable");
        for (n, test) in examples(&text).iter().enumerate() {
            let head = head(&test.request);
            let body = test.response.as_ref().map_or(&test.request.body, |response| &response.body);
            let name = format!("{}-{n}", stem(&path));
            let request = [&[AS_SENT][..], &head, body].concat();
            // Each costs several transactions with all of CRS, before any time is counted.
            if n % 10 == 0 {
                add(seeds, "prefilter", name.clone(), request.clone());
            }
            add(seeds, "transaction", name.clone(), request);
            add(seeds, "head", name, head);
        }
    }
}

fn head(request: &TestRequest) -> Vec<u8> {
    let protocol = request.protocol.as_deref().unwrap_or("HTTP/1.1");
    let mut head = format!("{} {} {protocol}\r\n", request.method, request.uri);
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

fn cases(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Its YAML files.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn place<T: PartialEq>(all: &[T], one: T) -> u8 {
    let place = all.iter().position(|other| *other == one);
    place.and_then(|place| u8::try_from(place).ok()).expect("it is one of them")
}

/// The value of a case about a transformation or an operator.
fn input(case: &Value) -> Vec<u8> {
    let text = |key: &str| unescape(case.get(key).and_then(Value::as_str).unwrap_or_default());
    let repeat =
        case.get("repeat").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
    [text("input").repeat(repeat.min(REPETITIONS)), text("then")].concat()
}

/// Undoes `\\` and `\xHH`.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let (plain, left) = match (byte, after) {
            (b'\\', [b'\\', left @ ..]) => (b'\\', left),
            (b'\\', [b'x', a, b, left @ ..]) => {
                (from_hexadecimal(&String::from_utf8_lossy(&[*a, *b]))[0], left)
            }
            (other, left) => (*other, left),
        };
        out.push(plain);
        rest = left;
    }
    out
}

fn from_hexadecimal(digits: &str) -> Vec<u8> {
    (0..digits.len() / 2)
        .map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).expect("hexadecimal digits"))
        .collect()
}
