//! Does time grow with length, and no faster? CPU time of hostile inputs of 10 KB, 100 KB and 1 MB: every
//! transformation, every operator, every rule of CRS and of the embedded ruleset by itself, all of them on one argument,
//! body parsers, and the parser of rule text. Quadratic work shows as a hundredfold.
//!
//! It prints what grows most and what costs most for a byte, and exits with 1 when anything grows faster than its
//! input at every attempt. It is run by hand or on a schedule, and is no test, because a busy machine stretches any
//! measurement. `cargo bench --bench linear -- WORD…` runs the parts that are named: transformations, operators,
//! rules, whole, core, bodies, text.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod measure;
mod rules;
mod shapes;
mod units;

use arguments::{ARGUMENTS, Lists};
use measure::{Row, SUSPICIOUS, Shape, measure};
use portcullis::body::{BodyLimits, BodyParser, Processor};
use portcullis::dialect::Status;
use portcullis::operator::{self, BuildError, Found, NoLookup, Wanted};
use portcullis::source::SourceMap;
use portcullis::syntax::ast::Document;
use portcullis::syntax::diagnostic::Diagnostics;
use portcullis::syntax::{self, seclang::FileLoader};
use portcullis::transform;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |part: &str| words.is_empty() || words.iter().any(|w| w == part);
    let mut rows = Vec::new();
    if wanted("transformations") {
        transformations(&mut rows);
    }
    if wanted("operators") {
        operators(&mut rows);
    }
    if wanted("bodies") {
        bodies(&mut rows);
    }
    if wanted("text") {
        rule_text(&mut rows);
    }
    if wanted("rules") || wanted("whole") {
        match rules::crs() {
            None => println!("SKIPPED: there is no CRS in PORTCULLIS_CRS_DIR or ../shared/crs"),
            Some(ruleset) => {
                if wanted("rules") {
                    rules::each(&ruleset, &mut rows);
                }
                if wanted("whole") {
                    rules::whole(&ruleset, &mut rows);
                }
            }
        }
    }
    if wanted("core") {
        let ruleset = rules::core();
        rules::each(&ruleset, &mut rows);
        rules::whole(&ruleset, &mut rows);
    }
    tell(rows)
}

fn tell(mut rows: Vec<Row>) -> ExitCode {
    rows.sort_by(|a, b| b.growth().total_cmp(&a.growth()));
    let large = |r: &&Row| r.times[2].as_millis() > 2;
    println!("{} measured at 1 MB. Ten times the input takes:", rows.len());
    for row in rows.iter().filter(large).take(15) {
        println!("{:6.1} times as long  {}", row.growth(), line(row));
    }
    let bad: Vec<&Row> = rows.iter().filter(|r| r.is_bad()).collect();
    println!("\n{} of them longer than is allowed, which is mostly {SUSPICIOUS} times", bad.len());
    for row in &bad {
        println!("{:6.1} times as long  {}", row.growth(), line(row));
    }
    let is_bad = !bad.is_empty();
    rows.sort_by(|a, b| b.ns_per_byte().total_cmp(&a.ns_per_byte()));
    println!("\nMost for a byte:");
    for (n, row) in rows.iter().enumerate().take_while(|(n, r)| *n < 15 || r.ns_per_byte() > 100.0).take(120)
    {
        println!("{:4} {:8.1} ns  {}", n + 1, row.ns_per_byte(), line(row));
    }
    if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn line(row: &Row) -> String {
    let [small, middle, large] = row.times;
    format!("({small:.1?}, {middle:.1?}, {large:.1?})  {}  {}", row.what, row.shape.name())
}

fn transformations(rows: &mut Vec<Row>) {
    let mut out = Vec::new();
    for row in transform::all() {
        rows.extend(measure(&format!("t:{}", row.name), &shapes::generic(), |input| {
            out.clear();
            std::hint::black_box((row.apply)(input, &mut out));
        }));
    }
}

fn operators(rows: &mut Vec<Row>) {
    for row in operator::all() {
        if matches!(row.status, Status::Refused(_)) {
            continue;
        }
        let arguments: Vec<&str> =
            ARGUMENTS.iter().filter(|(n, _)| *n == row.name).map(|(_, a)| *a).collect();
        assert!(!arguments.is_empty(), "@{} has no argument in this benchmark's table", row.name);
        for argument in arguments {
            let operator = (row.build)(Some(argument), &Lists)
                .unwrap_or_else(|e: BuildError| panic!("@{} {argument}: {}", row.name, e.message));
            let mut all = shapes::generic();
            if let Some(pattern) = operator.pattern() {
                all.extend(shapes::near_misses(pattern));
            }
            if let Some(literals) = operator.literals() {
                all.extend(shapes::near_literals(&literals));
            }
            // What a number is made of.
            all.extend(
                [&b"1"[..], b"1-", b"123456789", b"41111111", b"4111 1111 1111 1112 ", b"::", b"1.1.1.1,"]
                    .map(Shape::of),
            );
            let mut found = Found { wanted: Wanted::Groups, ..Found::default() };
            rows.extend(measure(&format!("@{} {argument:.60}", row.name), &all, |input| {
                found.clear();
                std::hint::black_box(operator.evaluate(input, argument.as_bytes(), &NoLookup, &mut found));
            }));
            // Where the argument holds macros, it is a client's text as well.
            if row.argument == operator::Argument::Macro
                && !row.name.starts_with("rx")
                && let Ok(operator) = (row.build)(None, &Lists)
            {
                rows.extend(measure(&format!("@{} of itself", row.name), &all, |input| {
                    found.clear();
                    let argument = input.get(input.len() / 2..).unwrap_or_default();
                    std::hint::black_box(operator.evaluate(input, argument, &NoLookup, &mut found));
                }));
            }
        }
    }
}

fn bodies(rows: &mut Vec<Row>) {
    for (processor, content_type, unit) in BODIES {
        let what = format!("{} body", processor.name());
        rows.extend(measure(&what, &[Shape::of(unit.as_bytes())], |body| {
            let limits = BodyLimits { arguments: usize::MAX, ..BodyLimits::default() };
            let mut parser = BodyParser::new(*processor, &limits, content_type.as_bytes());
            parser.feed(body);
            std::hint::black_box(parser.finish());
        }));
    }
}

fn rule_text(rows: &mut Vec<Row>) {
    for (before, unit, after) in RULES {
        let shape = Shape { before: before.as_bytes().to_vec(), unit: unit.as_bytes().to_vec() };
        let measured = measure("rule text", &[shape], |input| {
            let text = format!("{}{after}", String::from_utf8_lossy(input));
            let (mut sources, mut faults) = (SourceMap::new(), Diagnostics::new());
            let mut document = Document::default();
            syntax::parse_text("a.conf", &text, &FileLoader, &mut sources, &mut faults, &mut document);
            std::hint::black_box(document);
        });
        // A statement takes a hundred times its text's memory, fresh from the system, which costs more for a byte the
        // more of it there is. Nobody hostile writes rules, and quadratic work would be a hundredfold.
        rows.extend(measured.into_iter().map(|row| Row { allowed: 40.0, ..row }));
    }
}

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
