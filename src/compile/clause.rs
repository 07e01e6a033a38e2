//! Patterns → clauses: strings and classes of bytes of which one must occur in every match.
//!
//! Strings are multiplied out along the pattern while they are few, and what remains is weighed: a clause that ordinary
//! values meet, or that is long to look for, is not worth having.

use crate::ruleset::classes::{ClassMask, any_case, class_of, frequency, likelihood};
use crate::ruleset::literals::MIN_LITERAL;
use crate::ruleset::prefilter::{AnyOf, Echo, LISTS};
use crate::transform::RUNS;
use regex_syntax::hir::{Class, Hir, HirKind};
use std::collections::{BTreeSet, HashSet};

type Set = BTreeSet<Vec<u8>>;

/// Strings of a set that are multiplied out. More would make conditions of the size of the pattern's language.
const MAX_EXACT: usize = 256;
/// Strings of a condition.
const MAX_CLAUSE: usize = 4_000;

/// What is known of a part of a pattern.
struct Known {
    /// All strings that it matches, in lower case, when they are few.
    exact: Option<Set>,
    /// Conditions, each of which must hold.
    clauses: Vec<Clause>,
}

/// One of these strings occurs, or a byte of one of these classes.
#[derive(Clone, Default)]
pub(super) struct Clause {
    classes: ClassMask,
    strings: Set,
}

impl Clause {
    /// What the occurrence of one of `strings` says; `None` when that is nothing or too much to say.
    pub(super) fn of(strings: impl IntoIterator<Item = Vec<u8>>) -> Option<Self> {
        let mut clause = Self::default();
        for string in strings {
            match string.as_slice() {
                [] => return None,
                // A single byte is its class.
                [byte] => clause.classes |= any_case(1 << class_of(*byte)),
                _ => {
                    clause.strings.insert(string);
                }
            }
        }
        (clause.strings.len() <= MAX_CLAUSE).then_some(clause).filter(|c| !c.is_empty())
    }

    fn is_empty(&self) -> bool {
        self.classes == 0 && self.strings.is_empty()
    }

    /// Without the strings that contain another, or a byte of the classes: where they occur, that does too.
    pub(super) fn shortest(mut self) -> Self {
        let listed = self.classes;
        self.strings.retain(|s| s.iter().all(|b| listed >> class_of(*b) & 1 == 0));
        Self { classes: listed, strings: shortest(self.strings) }
    }

    /// What it costs with ordinary values: how likely they meet it, and how much there is to look for; `None` when it is
    /// met too often to be worth a look.
    fn cost(&self) -> Option<f64> {
        let classes = likelihood(self.classes);
        let strings = self.strings.iter().map(|s| frequency(s)).sum::<f64>();
        let worthwhile = classes < RARE_CLASSES && strings < RARE_STRINGS;
        let pairs = self.strings.iter().filter(|s| s.len() == MIN_LITERAL).count();
        let looks = STRING_COST * self.strings.len() as f64 + PAIR_COST * pairs as f64;
        worthwhile.then_some(classes + strings + looks)
    }
}

impl From<Clause> for AnyOf {
    fn from(clause: Clause) -> Self {
        AnyOf { classes: clause.classes, literals: clause.strings.into_iter().collect() }
    }
}

impl Known {
    fn exact(strings: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Known { exact: Some(strings.into_iter().collect()), clauses: Vec::new() }
    }

    fn nothing() -> Self {
        Known { exact: None, clauses: Vec::new() }
    }

    /// Its conditions alone.
    fn into_clauses(mut self) -> Vec<Clause> {
        self.clauses.extend(self.exact.and_then(Clause::of));
        self.clauses
    }
}

pub(super) fn necessary(hir: &Hir) -> Vec<Clause> {
    known(hir).into_clauses()
}

fn known(hir: &Hir) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Known::exact([Vec::new()]),
        HirKind::Literal(literal) => Known::exact([literal.0.to_ascii_lowercase()]),
        HirKind::Class(class) => match few_bytes(class) {
            Some(bytes) => Known::exact(bytes.into_iter().map(|b| vec![b])),
            None => {
                let classes = any_case(class_mask(class));
                let clause = Clause { classes, strings: Set::new() };
                Known { exact: None, clauses: vec![clause] }
            }
        },
        HirKind::Capture(capture) => known(&capture.sub),
        HirKind::Repetition(repetition) => {
            let sub = known(&repetition.sub);
            match (repetition.min, repetition.max, sub) {
                (0, Some(1), Known { exact: Some(mut exact), .. }) => {
                    exact.insert(Vec::new());
                    Known { exact: Some(exact), clauses: Vec::new() }
                }
                (0, ..) => Known::nothing(),
                (min, max, Known { exact: Some(exact), .. }) => {
                    let mut product = Some(exact.clone());
                    for _ in 1..min.min(MAX_REPEATED) {
                        product = product.and_then(|p| multiplied(&p, &exact));
                    }
                    match product {
                        Some(product) if max == Some(min) && min <= MAX_REPEATED => {
                            Known { exact: Some(product), clauses: Vec::new() }
                        }
                        Some(product) => Known { exact: None, clauses: Known::exact(product).into_clauses() },
                        None => {
                            let mut clauses = Known::exact(exact.clone()).into_clauses();
                            clauses.extend(seam(&exact, &exact));
                            Known { exact: None, clauses }
                        }
                    }
                }
                (_, _, sub) => Known { exact: None, clauses: sub.into_clauses() },
            }
        }
        HirKind::Alternation(parts) => alternation(parts),
        HirKind::Concat(parts) => concat(parts),
    }
}

fn alternation(parts: &[Hir]) -> Known {
    let known: Vec<Known> = parts.iter().map(known).collect();
    if known.iter().all(|k| k.exact.is_some()) {
        let all: Set = known.into_iter().filter_map(|k| k.exact).flatten().collect();
        if all.len() <= MAX_EXACT {
            return Known { exact: Some(all), clauses: Vec::new() };
        }
        return Known { exact: None, clauses: Clause::of(all).into_iter().collect() };
    }
    // One of the parts matches, and so the best condition of one of them holds.
    let mut union = Clause::default();
    for part in known {
        match best(part.into_clauses()) {
            Some(Clause { classes, strings }) => {
                union.classes |= classes;
                union.strings.extend(strings);
            }
            None => return Known::nothing(),
        }
    }
    let usable = union.strings.len() <= MAX_CLAUSE;
    Known { exact: None, clauses: usable.then_some(union).into_iter().collect() }
}

fn concat(parts: &[Hir]) -> Known {
    let mut clauses = Vec::new();
    let mut run: Option<Set> = Some([Vec::new()].into());
    let mut whole = true;
    for part in parts {
        let part = known(part);
        clauses.extend(part.clauses);
        run = match (run, part.exact) {
            (Some(run), Some(exact)) => match multiplied(&run, &exact) {
                Some(product) => Some(product),
                None => {
                    whole = false;
                    clauses.extend(seam(&run, &exact));
                    clauses.extend(Clause::of(run));
                    Some(exact)
                }
            },
            (None, Some(exact)) => Some(exact),
            (run, None) => {
                whole = false;
                if let Some(run) = run {
                    clauses.extend(Clause::of(run));
                }
                None
            }
        };
    }
    if whole {
        return Known { exact: run, clauses };
    }
    if let Some(run) = run {
        clauses.extend(Clause::of(run));
    }
    Known { exact: None, clauses }
}

fn multiplied(left: &Set, right: &Set) -> Option<Set> {
    if left.len() * right.len() > MAX_EXACT {
        return None;
    }
    Some(left.iter().flat_map(|l| right.iter().map(move |r| [l.as_slice(), r].concat())).collect())
}

/// Where a string of `left` stands before one of `right`, and they are too many to be multiplied: what there is at
/// the seam.
fn seam(left: &Set, right: &Set) -> Option<Clause> {
    (1..=SEAM).rev().find_map(|most| {
        let ends: Set = left.iter().map(|l| l[l.len().saturating_sub(most)..].to_vec()).collect();
        let beginnings: Set = right.iter().map(|r| r[..r.len().min(most)].to_vec()).collect();
        if ends.len() * beginnings.len() > MAX_SEAM {
            return None;
        }
        Clause::of(ends.iter().flat_map(|l| beginnings.iter().map(move |r| [l.as_slice(), r].concat())))
    })
}

/// Bytes of either side of a seam.
const SEAM: usize = 3;
/// Strings at a seam.
const MAX_SEAM: usize = 1_024;
/// Repetitions that are multiplied out.
const MAX_REPEATED: u32 = 4;

/// The bytes of a class, in lower case, when they are few.
fn few_bytes(class: &Class) -> Option<BTreeSet<u8>> {
    let Class::Bytes(class) = class else { return None };
    let bytes: BTreeSet<u8> =
        class.ranges().iter().flat_map(|r| r.start()..=r.end()).map(|b| b.to_ascii_lowercase()).collect();
    (bytes.len() <= 16).then_some(bytes)
}

/// Without the strings that contain another: where they occur, the other does too.
fn shortest(strings: Set) -> Set {
    let mut by_length: Vec<Vec<u8>> = strings.into_iter().collect();
    by_length.sort_by_key(Vec::len);
    let mut kept: HashSet<Vec<u8>> = HashSet::new();
    for string in by_length {
        let parts = (MIN_LITERAL..string.len().min(LONGEST_PART)).flat_map(|size| string.windows(size));
        if !parts.into_iter().any(|part| kept.contains(part)) {
            kept.insert(string);
        }
    }
    kept.into_iter().collect()
}

/// Strings longer than this are not looked for in others.
const LONGEST_PART: usize = 24;

/// The condition that ordinary values meet least often, if it is rare enough to be worth looking for.
fn best(clauses: Vec<Clause>) -> Option<Clause> {
    ranked(clauses).into_iter().next()
}

/// The conditions worth looking for, best first.
fn ranked(clauses: Vec<Clause>) -> Vec<Clause> {
    let mut ranked: Vec<(f64, Clause)> = clauses
        .into_iter()
        .map(Clause::shortest)
        .filter_map(|clause| Some((clause.cost()?, clause)))
        .collect();
    ranked.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    ranked.into_iter().map(|(_, clause)| clause).collect()
}

/// Strings that are likelier to occur are not worth looking for.
const RARE_STRINGS: f64 = 0.02;
/// A string more to look for is as bad as to be met so much more often.
const STRING_COST: f64 = 0.000_01;
/// A string of two bytes: they are looked for by themselves.
const PAIR_COST: f64 = 0.002;
/// Classes cost nothing to look for.
const RARE_CLASSES: f64 = 0.05;

/// The best conditions, none of which shares a string with another.
pub(super) fn best_lists(clauses: Vec<Clause>) -> [Option<AnyOf>; LISTS] {
    let mut lists = [const { None }; LISTS];
    let mut ranked = ranked(clauses).into_iter();
    let Some(first) = ranked.next() else { return lists };
    let second = ranked.find(|clause| {
        clause.strings.len() <= MAX_SECOND
            && clause.strings.is_disjoint(&first.strings)
            && clause.classes & first.classes == 0
    });
    lists[0] = Some(first.into());
    lists[1] = second.map(AnyOf::from);
    lists
}

/// What is left of `lists` in values before transformations that keep runs of bytes.
pub(super) fn echo(lists: &[Option<AnyOf>; LISTS]) -> Option<Echo> {
    let echoes = lists.iter().enumerate().filter_map(|(list, any_of)| {
        let runs: Option<Set> = any_of.as_ref()?.literals.iter().map(|text| rarest_run(text)).collect();
        let literals: Vec<Vec<u8>> = shortest(runs?).into_iter().collect();
        let likely = literals.iter().map(|run| frequency(run)).sum::<f64>();
        (!literals.is_empty() && likely < RARE_STRINGS).then_some((likely, Echo { list, literals }))
    });
    echoes.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, echo)| echo)
}

/// The longest run of bytes that such transformations keep, or a rarer one.
fn rarest_run(text: &[u8]) -> Option<Vec<u8>> {
    let runs = text.split(|b| !RUNS.contains(*b)).filter(|run| run.len() >= MIN_LITERAL);
    runs.min_by(|a, b| frequency(a).total_cmp(&frequency(b))).map(<[u8]>::to_vec)
}

/// Strings of a second condition: it narrows what the first leaves, which is not worth many.
const MAX_SECOND: usize = 32;

/// The classes of the bytes of a class of characters, letters as lower case.
pub(super) fn class_mask(class: &Class) -> ClassMask {
    let mut mask = 0;
    match class {
        Class::Bytes(bytes) => {
            for range in bytes.ranges() {
                for byte in range.start()..=range.end() {
                    mask |= 1 << class_of(byte.to_ascii_lowercase());
                }
            }
        }
        Class::Unicode(chars) => {
            for range in chars.ranges() {
                for c in range.start()..=range.end().min('\u{80}') {
                    mask |= 1 << class_of(u8::try_from(c).unwrap_or(u8::MAX).to_ascii_lowercase());
                }
                if range.end() >= '\u{80}' {
                    mask |= HIGH;
                }
            }
        }
    }
    mask
}

/// Bytes beyond ASCII.
const HIGH: ClassMask = 1 << class_of(u8::MAX) | 1 << class_of(0xa0);
