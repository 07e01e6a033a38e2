//! Patterns → conditions that are necessary for a match, read off their syntax.
//!
//! Everything here may be weaker than the pattern and never stronger. What stands at anchors and word boundaries
//! is passed over, which only weakens it.

use crate::operator::Operator;
use crate::ruleset::classes::{
    ALL_CLASSES, ALPHABETS, ClassMask, any_case, class_of, frequency, likelihood, mask_of_set,
};
use crate::ruleset::literals::MIN_LITERAL;
use crate::ruleset::prefilter::{AnyOf, CLASS_CLAUSES, Condition, LISTS};
use crate::transform::ByteSet;
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind, Repetition};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

/// A condition among [`Conditions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConditionId(pub(super) u32);

impl ConditionId {
    /// No condition.
    pub(super) const NONE: ConditionId = ConditionId(u32::MAX);
}

/// What is necessary in values of each of the alphabets.
pub(super) type Conditioned = [Condition; ALPHABETS.len()];

/// Conditions in the making.
#[derive(Default)]
pub(super) struct Conditions {
    pub(super) all: Vec<Conditioned>,
    known: HashMap<String, Option<ConditionId>>,
}

impl Conditions {
    /// The pattern of `operator`, when anything is necessary for it to match.
    pub(super) fn of(&mut self, operator: &dyn Operator) -> Option<ConditionId> {
        if let Some(pattern) = operator.pattern() {
            if let Some(known) = self.known.get(pattern) {
                return *known;
            }
            let id = of_pattern(pattern).and_then(|conditions| self.add(conditions));
            self.known.insert(pattern.to_owned(), id);
            return id;
        }
        let condition = match operator.literals() {
            Some(literals) => of_literals(&literals)?,
            None => of_bytes(&operator.needs()?),
        };
        self.add(condition)
    }

    fn add(&mut self, condition: Conditioned) -> Option<ConditionId> {
        let id = u32::try_from(self.all.len()).ok().map(ConditionId)?;
        self.all.push(condition);
        Some(id)
    }
}

fn of_pattern(pattern: &str) -> Option<Conditioned> {
    let hir = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).ok()?;
    let whole = of_hir(&hir);
    if !is_useful(&whole) {
        return None;
    }
    Some(ALPHABETS.map(|alphabet| {
        if alphabet == ALL_CLASSES {
            return whole.clone();
        }
        match restricted(&hir, alphabet) {
            None => Condition::NEVER,
            Some(part) if part == hir => whole.clone(),
            Some(part) => of_hir(&part),
        }
    }))
}

fn of_hir(hir: &Hir) -> Condition {
    // No match at all, as `[^\x00-\xff]` has none, is no match of any length.
    let Some(min_len) = hir.properties().minimum_len() else { return Condition::NEVER };
    let classes = class_clauses(&Needs::of(hir));
    Condition { min_len, classes, lists: best_lists(necessary(hir)), quick: true }
}

/// The pattern that matches what `hir` matches in values of `alphabet`; `None` when that is nothing.
fn restricted(hir: &Hir, alphabet: ClassMask) -> Option<Hir> {
    let permits = |byte: u8| alphabet >> class_of(byte) & 1 == 1;
    Some(match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => hir.clone(),
        HirKind::Literal(literal) => literal.0.iter().all(|b| permits(*b)).then(|| hir.clone())?,
        HirKind::Class(Class::Bytes(class)) => {
            let mut rest = class.clone();
            rest.intersect(alphabet_class(alphabet));
            if rest.ranges().is_empty() {
                return None;
            }
            Hir::class(Class::Bytes(rest))
        }
        HirKind::Class(Class::Unicode(_)) => hir.clone(),
        HirKind::Capture(capture) => restricted(&capture.sub, alphabet)?,
        HirKind::Repetition(repetition) => match restricted(&repetition.sub, alphabet) {
            Some(sub) => Hir::repetition(Repetition { sub: Box::new(sub), ..repetition.clone() }),
            None if repetition.min == 0 => Hir::empty(),
            None => return None,
        },
        HirKind::Concat(parts) => {
            Hir::concat(parts.iter().map(|p| restricted(p, alphabet)).collect::<Option<Vec<_>>>()?)
        }
        HirKind::Alternation(parts) => {
            let parts: Vec<Hir> = parts.iter().filter_map(|p| restricted(p, alphabet)).collect();
            if parts.is_empty() {
                return None;
            }
            Hir::alternation(parts)
        }
    })
}

/// The bytes of an alphabet, as a class.
fn alphabet_class(alphabet: ClassMask) -> &'static ClassBytes {
    static CLASSES: LazyLock<[ClassBytes; ALPHABETS.len()]> = LazyLock::new(|| {
        ALPHABETS.map(|alphabet| {
            let bytes = (0..=u8::MAX).filter(|b| alphabet >> class_of(*b) & 1 == 1);
            ClassBytes::new(bytes.map(|b| ClassBytesRange::new(b, b)))
        })
    });
    let at = ALPHABETS.iter().position(|a| *a == alphabet).unwrap_or(ALPHABETS.len() - 1);
    &CLASSES[at]
}

/// Literals that an operator finds as fast as anything could.
const QUICK_LITERALS: usize = 4;

fn of_literals(literals: &[Vec<u8>]) -> Option<Conditioned> {
    if literals.iter().any(Vec::is_empty) || literals.is_empty() {
        return None;
    }
    Some(ALPHABETS.map(|alphabet| {
        let permitted: Vec<&Vec<u8>> =
            literals.iter().filter(|l| l.iter().all(|b| alphabet >> class_of(*b) & 1 == 1)).collect();
        let Some(min_len) = permitted.iter().map(|l| l.len()).min() else { return Condition::NEVER };
        let needs = Needs::Either(permitted.iter().map(|l| Needs::literal(l)).collect());
        let clause = Clause::of(permitted.iter().map(|l| l.to_ascii_lowercase()));
        let mut lists = [const { None }; LISTS];
        lists[0] = clause.map(|clause| clause.shortest().into());
        let quick = permitted.len() <= QUICK_LITERALS;
        Condition { min_len, classes: class_clauses(&needs), lists, quick }
    }))
}

/// The condition of an operator that needs one byte of `bytes`.
fn of_bytes(bytes: &ByteSet) -> Conditioned {
    ALPHABETS.map(|alphabet| {
        let classes = mask_of_set(bytes) & alphabet;
        let mut condition = Condition::NEVER;
        if classes != 0 {
            condition.classes = [ALL_CLASSES; CLASS_CLAUSES];
            condition.classes[0] = any_case(classes);
            condition.min_len = 1;
        }
        condition
    })
}

fn is_useful(condition: &Condition) -> bool {
    condition.min_len > 0
        || condition.lists.iter().any(Option::is_some)
        || condition.classes.iter().any(|c| *c != ALL_CLASSES)
}

/// Which classes of bytes a match is made of, as a monotone formula.
enum Needs {
    /// All of these classes occur.
    Every(ClassMask),
    /// One of these classes occurs.
    OneOf(ClassMask),
    /// All of these hold.
    Both(Vec<Needs>),
    /// One of these holds.
    Either(Vec<Needs>),
}

impl Needs {
    const NOTHING: Needs = Needs::Every(0);

    fn literal(bytes: &[u8]) -> Self {
        Needs::Every(bytes.iter().fold(0, |mask, b| mask | 1 << class_of(b.to_ascii_lowercase())))
    }

    fn of(hir: &Hir) -> Self {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Needs::NOTHING,
            HirKind::Literal(literal) => Needs::literal(&literal.0),
            HirKind::Class(class) => Needs::OneOf(class_mask(class)),
            HirKind::Capture(capture) => Needs::of(&capture.sub),
            HirKind::Repetition(repetition) if repetition.min == 0 => Needs::NOTHING,
            HirKind::Repetition(repetition) => Needs::of(&repetition.sub),
            HirKind::Concat(parts) => Needs::Both(parts.iter().map(Needs::of).collect()),
            HirKind::Alternation(parts) => Needs::Either(parts.iter().map(Needs::of).collect()),
        }
    }

    /// Whether a match can be made of these classes alone.
    fn is_met(&self, present: ClassMask) -> bool {
        match self {
            Needs::Every(mask) => mask & !present == 0,
            Needs::OneOf(mask) => mask & present != 0,
            Needs::Both(parts) => parts.iter().all(|p| p.is_met(present)),
            Needs::Either(parts) => parts.iter().any(|p| p.is_met(present)),
        }
    }
}

/// Bytes beyond ASCII.
const HIGH: ClassMask = 1 << class_of(u8::MAX) | 1 << class_of(0xa0);
/// All classes, but with letters of one case only: formulas are told with letters in lower case.
const FOLDED: ClassMask = ALL_CLASSES & !(1 << class_of(b'A'));

fn class_mask(class: &Class) -> ClassMask {
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

/// Sets of classes of which one must occur each: taking away classes, the commonest last, until the pattern can no
/// longer match, shows what it cannot do without.
fn class_clauses(needs: &Needs) -> [ClassMask; CLASS_CLAUSES] {
    let mut clauses = [ALL_CLASSES; CLASS_CLAUSES];
    let mut taken = 0;
    for clause in &mut clauses {
        // Without all classes but those of earlier clauses, can it still match? Then there is no further clause.
        let mut absent = FOLDED & !taken;
        if needs.is_met(FOLDED & !absent) {
            break;
        }
        // Give back what is not needed for that, the commonest classes first.
        for byte in COMMONEST {
            let bit = 1 << class_of(*byte);
            if absent & bit != 0 && !needs.is_met(FOLDED & !(absent & !bit)) {
                absent &= !bit;
            }
        }
        *clause = any_case(absent);
        taken |= absent;
    }
    clauses
}

/// A byte of each class, commonest in ordinary values first.
const COMMONEST: &[u8] = b"a0 .-_/:=&,?%@;+()'\"!#*<>[]{}|$\\^~`\n\r\t\x0b\x80\xa0\0\x01";

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
struct Clause {
    classes: ClassMask,
    strings: Set,
}

impl Clause {
    /// What the occurrence of one of `strings` says; `None` when that is nothing or too much to say.
    fn of(strings: impl IntoIterator<Item = Vec<u8>>) -> Option<Self> {
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
    fn shortest(mut self) -> Self {
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

fn necessary(hir: &Hir) -> Vec<Clause> {
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
fn best_lists(clauses: Vec<Clause>) -> [Option<AnyOf>; LISTS] {
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

/// Strings of a second condition: it narrows what the first leaves, which is not worth many.
const MAX_SECOND: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::classes::mask_of;
    use crate::ruleset::prefilter::Prefilter;
    use proptest::prelude::*;

    fn may_match(pattern: &str, value: &[u8]) -> bool {
        let Some(conditions) = of_pattern(pattern) else { return true };
        // By every alphabet that the value fits in: each must say the same of what matches.
        let fitting = ALPHABETS.iter().zip(&conditions).filter(|(a, _)| mask_of(value) & !**a == 0);
        fitting.into_iter().all(|(_, condition)| {
            let prefilter = Prefilter::new(&[condition]);
            let mut out = vec![1; prefilter.words()];
            prefilter.retain_long(value.len(), &mut out)
                && prefilter.retain_permitted(mask_of(value), &mut out)
                && {
                    prefilter.retain_found(value, &mut prefilter.met_by(mask_of(value)), &mut out);
                    out != [0]
                }
        })
    }

    #[test]
    fn conditions_are_read_off_patterns() {
        assert!(!may_match(r"(?s-u)(?i)union\s+select", b"a plain sentence"));
        assert!(may_match(r"(?s-u)(?i)union\s+select", b"UNION\tSELECT"));
        assert!(!may_match(r"(?s-u)<[a-z]+>", b"plain words"));
        assert!(!may_match(r"(?s-u)(?:abc|x'y).*z", b"ab x_y z"));
        assert!(may_match(r"(?s-u)(?:abc|x'y).*z", b"..x'y..z"));
        assert!(!may_match(r"(?s-u)[0-9]{3}", b"12"));
        assert!(may_match(r"(?s-u)a?", b""));
    }

    /// Patterns of all shapes.
    fn patterns() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("a".to_owned()),
            Just("B".to_owned()),
            Just("ab".to_owned()),
            Just("[ab]".to_owned()),
            Just("[^a]".to_owned()),
            Just("'".to_owned()),
            Just(r"\s".to_owned()),
            Just(r"\b".to_owned()),
            Just("^".to_owned()),
            Just("$".to_owned()),
            Just(r"\x00".to_owned()),
            Just(r"\xff".to_owned()),
            Just("[0-9]".to_owned()),
            Just(".".to_owned()),
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|p| p.concat()),
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|p| format!("(?:{})", p.join("|"))),
                (
                    inner.clone(),
                    prop_oneof![Just("*"), Just("+"), Just("?"), Just("{2}"), Just("{2,3}"), Just("{0,2}")]
                )
                    .prop_map(|(p, q)| format!("(?:{p}){q}")),
                inner.prop_map(|p| format!("(?i:{p})")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        /// A prefilter never says "cannot match" of what matches.
        #[test]
        fn nothing_that_matches_is_lost(
            pattern in patterns(),
            values in proptest::collection::vec(proptest::collection::vec(prop_oneof![
                Just(b'a'), Just(b'A'), Just(b'b'), Just(b'B'), Just(b'\''), Just(b' '), Just(b'7'), Just(0), Just(0xff),
            ], 0..12), 1..12),
        ) {
            let pattern = format!("(?s-u){pattern}");
            let regex = regex::bytes::Regex::new(&pattern).expect("valid");
            for value in values {
                if regex.is_match(&value) {
                    prop_assert!(may_match(&pattern, &value), "{pattern} matches {value:?}");
                }
            }
        }
    }
}
