//! CRS and the embedded ruleset at paranoia level 4: each rule's operator by itself, and all of it on one long argument.

use super::measure::{Row, Shape, measure};
use super::shapes;
use portcullis::compile::{self, Input};
use portcullis::engine::{BodyStep, NoWorld, Options, Transaction};
use portcullis::operator::{Found, NoLookup};
use portcullis::ruleset::{Matcher, Ruleset};
use portcullis::syntax::seclang::{EmbeddedLoader, FileLoader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// CRS, if it is there.
pub fn crs() -> Option<Arc<Ruleset>> {
    let at = std::env::var_os("PORTCULLIS_CRS_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/crs"), PathBuf::from);
    let mut files: Vec<String> = std::fs::read_dir(at.join("rules"))
        .ok()?
        .filter_map(|e| Some(e.ok()?.path().display().to_string()))
        .filter(|p| p.ends_with(".conf"))
        .collect();
    files.sort();
    let settings = "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\nSecRequestBodyNoFilesLimit 100000000\n\
                    SecAction \"id:1,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level=4,\
                    setvar:tx.arg_length=100000000,setvar:tx.total_arg_length=100000000\"\n";
    let mut inputs = vec![Input::Text { name: "settings".into(), text: settings.into() }];
    inputs.push(Input::File(at.join("crs-setup.conf.example").display().to_string()));
    inputs.extend(files.into_iter().map(Input::File));
    Some(compile::load(&inputs, &FileLoader).ruleset.expect("CRS compiles"))
}

/// The embedded ruleset.
pub fn core() -> Arc<Ruleset> {
    let settings = "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level=4\"\n";
    let after = "SecRuleEngine DetectionOnly\nSecRequestBodyNoFilesLimit 100000000\n";
    let inputs = [
        Input::Text { name: "before".into(), text: settings.into() },
        Input::File("@portcullis-core".into()),
        Input::Text { name: "after".into(), text: after.into() },
    ];
    let loader = EmbeddedLoader::new(compile::EMBEDDED, FileLoader);
    compile::load(&inputs, &loader).ruleset.expect("the embedded ruleset compiles")
}

/// Each rule's operator on shapes for all and on what almost matches it.
pub fn each(ruleset: &Ruleset, rows: &mut Vec<Row>) {
    for rule in ruleset.rules.iter() {
        let Matcher::Scan(scan) = &rule.matcher else { continue };
        let mut all = shapes::generic();
        if let Some(pattern) = scan.operator.pattern() {
            all.extend(shapes::near_misses(pattern));
        }
        if let Some(literals) = scan.operator.literals() {
            all.extend(shapes::near_literals(&literals));
        }
        let what = format!("rule {} {:.60}", rule.id, rule.meta.operator.replace(['\n', '\t'], " "));
        let mut found = Found { wanted: scan.capture, ..Found::default() };
        rows.extend(measure(&what, &all, |input| {
            found.clear();
            std::hint::black_box(scan.operator.evaluate(input, b"GET POST", &NoLookup, &mut found));
        }));
    }
}

/// A form of one argument, through all phases that look at a request. The shape stands in the body as it is, but for
/// what would end the argument or not be decoded.
pub fn whole(ruleset: &Arc<Ruleset>, rows: &mut Vec<Row>) {
    for shape in shapes::generic() {
        let escaped = Shape { before: b"a=".to_vec(), unit: escape(&shape.unit) };
        rows.extend(measure("form argument under all rules", &[escaped], |body| transact(ruleset, body)));
    }
}

fn transact(ruleset: &Arc<Ruleset>, body: &[u8]) {
    let options = Options { id: "0000000000000000".into(), mode: None, world: Arc::new(NoWorld) };
    let mut tx = Transaction::new(Arc::clone(ruleset), options);
    tx.process_connection(([192, 0, 2, 1], 40_000).into(), ([192, 0, 2, 2], 80).into());
    tx.process_uri(b"POST", b"/", b"HTTP/1.1");
    let length = body.len().to_string();
    for (name, value) in [
        ("Host", "example.org"),
        ("User-Agent", "Mozilla/5.0"),
        ("Accept", "*/*"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Content-Length", &length),
    ] {
        tx.add_request_header(name.as_bytes(), value.as_bytes());
    }
    let _ = std::hint::black_box(tx.process_request_headers());
    if !matches!(tx.append_request_body(body), BodyStep::Interrupt(_)) {
        let _ = std::hint::black_box(tx.process_request_body());
    }
    std::hint::black_box(tx.process_logging(200));
}

fn escape(unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in unit {
        match byte {
            b'&' | b'%' | b'+' | b'#' | b' ' | 0..=31 | 127.. => out.extend(format!("%{byte:02x}").bytes()),
            _ => out.push(byte),
        }
    }
    out
}
