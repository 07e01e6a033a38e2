//! Does time grow with length, and no faster? Hostile inputs at one size and at eight times that size: parsing of
//! rule text, every transformation, every body parser. Quadratic work shows as a factor of sixty-four.
//!
//! It prints the worst factors, and exits with 1 when one is beyond [`SUSPICIOUS`] at every attempt. It is a
//! benchmark and no test, because a busy machine stretches any single measurement.

#![allow(clippy::print_stdout)]

use portcullis::body::{BodyLimits, BodyParser, Processor};
use portcullis::source::SourceMap;
use portcullis::syntax::ast::Document;
use portcullis::syntax::diagnostic::Diagnostics;
use portcullis::syntax::{self, seclang::FileLoader};
use portcullis::transform;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Eight times the input may take so many times as long.
const SUSPICIOUS: f64 = 20.0;
/// What is done within this time is not judged: it is noise.
const NOISE: Duration = Duration::from_millis(5);
const SMALL: usize = 32 << 10;

fn main() -> ExitCode {
    let mut rows = Vec::new();
    for part in PARTS {
        for row in transform::all() {
            let work = |size: usize| {
                let value = part.as_bytes().repeat(size / part.len());
                let mut out = Vec::new();
                fastest(|| {
                    out.clear();
                    std::hint::black_box((row.apply)(&value, &mut out));
                })
            };
            rows.push(measure(format!("t:{} of {:?}", row.name, part), work));
        }
    }
    for (processor, content_type, part) in BODIES {
        let work = |size: usize| {
            let body = part.repeat(size / part.len());
            fastest(|| {
                let limits = BodyLimits { arguments: usize::MAX, ..BodyLimits::default() };
                let mut parser = BodyParser::new(*processor, &limits, content_type.as_bytes());
                parser.feed(body.as_bytes());
                std::hint::black_box(parser.finish());
            })
        };
        rows.push(measure(format!("{} body of {:?}", processor.name(), part), work));
    }
    for (before, part, after) in RULES {
        let work = |size: usize| {
            let text = format!("{before}{}{after}", part.repeat(size / part.len()));
            fastest(|| {
                let (mut sources, mut faults) = (SourceMap::new(), Diagnostics::new());
                let mut document = Document::default();
                syntax::parse_text("a.conf", &text, &FileLoader, &mut sources, &mut faults, &mut document);
                std::hint::black_box(document);
            })
        };
        rows.push(measure(format!("rule text of {part:?}"), work));
    }
    rows.sort_by(|a, b| b.factor.total_cmp(&a.factor));
    println!("{} shapes; eight times the input takes:", rows.len());
    for row in rows.iter().take(15) {
        println!("{:6.1} times as long ({:?}, then {:?}): {}", row.factor, row.small, row.large, row.name);
    }
    let bad = rows.iter().filter(|r| r.factor > SUSPICIOUS).count();
    println!("{bad} grow faster than their input");
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Row {
    name: String,
    small: Duration,
    large: Duration,
    factor: f64,
}

fn measure(name: String, work: impl Fn(usize) -> Duration) -> Row {
    let attempt = || {
        let (small, large) = (work(SMALL), work(8 * SMALL));
        let factor = if large < NOISE { 0.0 } else { large.as_secs_f64() / small.as_secs_f64() };
        (small, large, factor)
    };
    let mut best = attempt();
    for _ in 0..4 {
        if best.2 <= SUSPICIOUS {
            break;
        }
        let next = attempt();
        if next.2 < best.2 {
            best = next;
        }
    }
    Row { name, small: best.0, large: best.1, factor: best.2 }
}

fn fastest(mut work: impl FnMut()) -> Duration {
    let once = || {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    std::iter::repeat_with(once).take(3).min().unwrap_or_default()
}

const PARTS: &[&str] = &[
    "/*", "*/", "/**/", "<!--", "-->", "-", "--", "#", "&", "&#", "&#x", "&#0", "&a", "\\", "\\u", "\\x4",
    "\\00", "%", "%u", "%u00", "+", "../", "a/../", "a/", "/..", "./", "..\\", "[", "[a]", "a[", "[ ]", " ",
    " \t", "a ", " /", "\"", "0x", "0x4", "0x41", "=", "A=", "ä", "\0", "a", "Aa",
];

const MULTIPART: &str = "multipart/form-data; boundary=0";

const BODIES: &[(Processor, &str, &str)] = &[
    (Processor::Urlencoded, "", "a=b&"),
    (Processor::Urlencoded, "", "%41"),
    (Processor::Urlencoded, "", "&"),
    (Processor::Multipart, MULTIPART, "--0\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n"),
    (Processor::Multipart, MULTIPART, "--0"),
    (Processor::Multipart, MULTIPART, "\r\n--"),
    (Processor::Multipart, MULTIPART, "--0\r\nA: b\r\n"),
    (Processor::Json, "", "["),
    (Processor::Json, "", "{\"a\":"),
    (Processor::Json, "", "\"a\","),
    (Processor::Json, "", "1"),
    (Processor::Xml, "", "<a>"),
    (Processor::Xml, "", "<a b='c'/>"),
    (Processor::Xml, "", "&amp;"),
    (Processor::Xml, "", "<!--"),
    (Processor::Xml, "", "<![CDATA["),
];

const RULES: &[(&str, &str, &str)] = &[
    ("", "\\\n", ""),
    ("", "#\\\n", ""),
    ("SecRule ", "A:/", " \"\" \"\""),
    ("SecRule ", "A:/|", " \"\" \"\""),
    ("SecRule ", "A:'\\'|", " \"\" \"\""),
    ("SecRule ", "A|", " \"\" \"\""),
    ("SecRule ", "!", " \"\" \"\""),
    ("SecRule ", "\\\nA|", " \"\" \"\""),
    ("SecAction \"", "a:='\\',", "\""),
    ("SecAction \"", "a:'x',", "\""),
    ("SecAction ", "\"\" ", ""),
    ("", "SecDataset x `\n", ""),
    ("", "\"", ""),
    ("", "SecMarker x\n", ""),
];
