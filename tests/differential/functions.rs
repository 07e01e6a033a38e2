//! Transformations and operators, each on many values.

use crate::deviations::{Deviation, Deviations};
use crate::engines::{Exchange, Ours, Outcome, Theirs};
use crate::inputs::{self, Seeds};
use crate::text::show;
use portcullis::{operator, transform};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// Compares all transformations; tells what is wrong.
pub fn transformations(theirs: &mut Theirs, deviations: &Deviations) -> Vec<String> {
    let seeds: BTreeMap<String, Seeds> = read("transformations.yaml");
    let mut faults = Vec::new();
    for name in seeds.keys() {
        if transform::all().iter().all(|row| row.name != name) {
            faults.push(format!("there is no transformation {name}"));
        }
    }
    let mut ledger = Ledger::new(&deviations.transformations);
    for row in transform::all() {
        let rules = rules_for_transformation(row.name);
        let absent = deviations.absent_transformations.iter().any(|a| a == row.name);
        match theirs.load(&rules) {
            Err(_) if absent => continue,
            Err(e) => faults.push(format!("t:{} is refused by them: {e}", row.name)),
            Ok(()) if absent => faults.push(format!("t:{} is listed as absent and is there", row.name)),
            Ok(()) => {}
        }
        let Some(seeds) = seeds.get(row.name) else {
            faults.push(format!("t:{} has no entry in transformations.yaml", row.name));
            continue;
        };
        let ours = Ours::load(&rules).expect("the rules compile");
        let mut values = inputs::values(seeds);
        values.extend(ledger.examples(row.name, None));
        let exchanges: Vec<Exchange> = values.chunks(TOGETHER).map(with_headers).collect();
        let answers = ours.run(&exchanges).into_iter().zip(theirs.run(&exchanges));
        for (values, (ours, theirs)) in values.chunks(TOGETHER).zip(answers) {
            for (at, value) in values.iter().enumerate() {
                let [ours, theirs] = [&ours, &theirs].map(|outcome| {
                    let logged = outcome.hits.get(at).filter(|(id, _)| *id == at as u64 + 1);
                    logged.map_or(b"(nothing)".to_vec(), |(_, data)| data.clone())
                });
                ledger.compare(row.name, None, value, &ours, &theirs);
            }
        }
    }
    faults.extend(ledger.faults());
    faults
}

/// Operators and arguments that share their values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    names: Vec<String>,
    arguments: Vec<String>,
    alphabet: String,
    pieces: Vec<String>,
}

/// Compares all operators; tells what is wrong.
pub fn operators(theirs: &mut Theirs, deviations: &Deviations) -> Vec<String> {
    let groups: Vec<Group> = read("operators.yaml");
    let mut faults = Vec::new();
    let absent = deviations.absent_operators.iter().flat_map(|a| &a.names);
    let known: BTreeSet<&str> =
        groups.iter().flat_map(|g| &g.names).chain(absent).map(String::as_str).collect();
    let rows: BTreeSet<&str> = operator::all().iter().map(|row| row.name).collect();
    if known != rows {
        faults.push(format!(
            "operators.yaml and the operators differ in {:?}",
            known.symmetric_difference(&rows)
        ));
    }
    let files = files();
    let mut ledger = Ledger::new(&deviations.operators);
    for group in &groups {
        let seeds = Seeds { alphabet: group.alphabet.clone(), pieces: group.pieces.clone() };
        let made = inputs::values(&seeds);
        for (name, argument) in group.names.iter().flat_map(|n| group.arguments.iter().map(move |a| (n, a))) {
            let directory = files.path().to_str().expect("a temporary directory has a plain name");
            let rules = rules_for_operator(name, &argument.replace("FILES", directory));
            if let Err(e) = theirs.load(&rules) {
                faults.push(format!("@{name} {argument:?} is refused by them: {e}"));
                continue;
            }
            let ours = Ours::load(&rules).unwrap_or_else(|e| panic!("@{name} {argument:?}: {e}"));
            let mut values = made.clone();
            values.extend(ledger.examples(name, Some(argument)));
            let exchanges: Vec<Exchange> = values.chunks(TOGETHER).map(with_headers).collect();
            let answers = ours.run(&exchanges).into_iter().zip(theirs.run(&exchanges));
            for (values, (ours, theirs)) in values.chunks(TOGETHER).zip(answers) {
                for (at, value) in values.iter().enumerate() {
                    let [ours, theirs] = [&ours, &theirs].map(|outcome| answer(outcome, at));
                    ledger.compare(name, Some(argument), value, &ours, &theirs);
                }
            }
        }
    }
    faults.extend(ledger.faults());
    faults
}

/// The operator and its negation for each value; what was captured is forgotten before the next.
fn rules_for_operator(name: &str, argument: &str) -> String {
    let mut rules = String::from(
        "SecRuleEngine On\n\
         SecAction \"id:1,phase:1,pass,nolog,setvar:'tx.word=abc',setvar:'tx.number=5'\"\n",
    );
    let captured: String = (0..=9).map(|n| format!("[%{{TX.{n}}}]")).collect();
    let forget: String = (0..=9).map(|n| format!(",setvar:!tx.{n}")).collect();
    for n in 0..TOGETHER {
        let id = 10 + 3 * n;
        let target = format!("SecRule REQUEST_HEADERS:x{n}");
        let _ = writeln!(
            rules,
            "{target} \"@{name} {argument}\" \"id:{id},phase:1,pass,log,t:none,capture,logdata:'{captured}'\"\n\
             {target} \"!@{name} {argument}\" \"id:{},phase:1,pass,log,t:none\"\n\
             SecAction \"id:{},phase:1,pass,nolog{forget}\"",
            id + 1,
            id + 2
        );
    }
    rules
}

/// What was captured, or that nothing matched; and whether the negation says something else.
fn answer(outcome: &Outcome, at: usize) -> Vec<u8> {
    let id = 10 + 3 * at as u64;
    let hit = outcome.hits.iter().find(|(i, _)| *i == id);
    let negated = outcome.hits.iter().any(|(i, _)| *i == id + 1);
    let mut answer = match hit {
        Some((_, captures)) => {
            // Groups at the end that took no part are not told from groups that are not there.
            let mut captures = captures.as_slice();
            while let Some(rest) = captures.strip_suffix(b"[]") {
                captures = rest;
            }
            [b"match", captures].concat()
        }
        None => b"no match".to_vec(),
    };
    if negated == hit.is_some() {
        answer.extend_from_slice(if negated { b", negated too" } else { b", negated neither" });
    }
    answer
}

/// The files that arguments name.
fn files() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).expect("the file can be written");
    };
    write("words", "abc\nDEF\n# no\n\né\ntwo words\n");
    write("networks", "# networks\n10.0.0.0/8\n192.168.1.1\n::1\n2001:db8::/32\n");
    directory
}

/// How many values one transaction carries, each in a header of its own.
const TOGETHER: usize = 64;

fn rules_for_transformation(name: &str) -> String {
    let mut rules = String::from("SecRuleEngine On\n");
    for n in 0..TOGETHER {
        let _ = writeln!(
            rules,
            "SecRule REQUEST_HEADERS:x{n} \"@unconditionalMatch\" \"id:{},phase:1,pass,log,t:none,t:{name},logdata:'%{{MATCHED_VAR}}'\"",
            n + 1
        );
    }
    rules
}

fn with_headers(values: &[Vec<u8>]) -> Exchange {
    let header = |(n, value): (usize, &Vec<u8>)| (format!("x{n}").into_bytes(), value.clone());
    Exchange { headers: values.iter().enumerate().map(header).collect(), ..Exchange::default() }
}

/// What was seen, against what is listed.
struct Ledger<'a> {
    listed: Vec<(&'a Deviation, regex::bytes::Regex, usize)>,
    /// Examples in which a difference was seen: function, what is wrong with them.
    unlisted: BTreeMap<String, Vec<String>>,
    wrong: Vec<String>,
}

impl<'a> Ledger<'a> {
    fn new(listed: &'a [Deviation]) -> Self {
        let listed = listed.iter().map(|d| (d, d.when(), 0)).collect();
        Self { listed, unlisted: BTreeMap::new(), wrong: Vec::new() }
    }

    /// The values of all examples listed for a function.
    fn examples(&self, name: &str, argument: Option<&str>) -> Vec<Vec<u8>> {
        let of = self.listed.iter().filter(|(d, ..)| concerns(d, name, argument));
        of.flat_map(|(d, ..)| &d.examples).map(|e| e.bytes()[0].clone()).collect()
    }

    fn compare(&mut self, name: &str, argument: Option<&str>, value: &[u8], ours: &[u8], theirs: &[u8]) {
        for (deviation, ..) in
            self.listed.iter().filter(|(d, ..)| d.names[0] == name && concerns(d, name, argument))
        {
            for [input, should, they] in deviation.examples.iter().map(super::deviations::Example::bytes) {
                if input == value && (should != ours || they != theirs) {
                    self.wrong.push(format!(
                        "{name}: the example {} gives {} here and {} there",
                        show(value),
                        show(ours),
                        show(theirs)
                    ));
                }
            }
        }
        if ours == theirs {
            return;
        }
        let listed = self.listed.iter_mut().find(|(d, when, _)| {
            concerns(d, name, argument) && when.is_match(value) && d.relation.holds(ours, theirs)
        });
        match listed {
            Some((.., seen)) => *seen += 1,
            None => {
                let argument = argument.map(|a| format!(" {a:?}")).unwrap_or_default();
                let line = format!("{:<30} ours {:<30} theirs {}", show(value), show(ours), show(theirs));
                self.unlisted.entry(format!("{name}{argument}")).or_default().push(line);
            }
        }
    }

    fn faults(self) -> Vec<String> {
        let mut faults = self.wrong;
        for (name, mut lines) in self.unlisted {
            lines.sort_by_key(String::len);
            let shown = lines.iter().take(SHOWN).map(|l| format!("\n    {l}")).collect::<String>();
            faults.push(format!("{name}: {} differences{shown}", lines.len()));
        }
        let unused = self.listed.iter().filter(|(.., seen)| *seen == 0);
        faults.extend(
            unused.map(|(d, ..)| format!("{:?} {:?}: the difference no longer occurs", d.names, d.when)),
        );
        faults
    }
}

/// How many differences of a function a failure shows.
const SHOWN: usize = 25;

fn concerns(deviation: &Deviation, name: &str, argument: Option<&str>) -> bool {
    deviation.names.iter().any(|n| n == name)
        && deviation.argument.as_deref().is_none_or(|wanted| Some(wanted) == argument)
}

/// A data file of this test.
pub fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
