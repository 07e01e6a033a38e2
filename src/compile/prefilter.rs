//! Patterns → conditions that are necessary for a match, read off their syntax.
//!
//! Everything here may be weaker than the pattern and never stronger. What stands at anchors and word boundaries
//! is passed over, which only weakens it.

use super::clause::{Clause, best_lists, class_mask, echo, necessary};
use crate::operator::Operator;
use crate::ruleset::classes::{ALL_CLASSES, ALPHABETS, ClassMask, any_case, class_of, mask_of_set};
use crate::ruleset::prefilter::{CLASS_CLAUSES, Condition, LISTS};
use crate::transform::ByteSet;
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind, Repetition};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

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
            let id = Memo::conditions(pattern).and_then(|conditions| self.add(conditions));
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

/// What was read off patterns, for who compiles nearly the same rules again and again: most of the time goes there.
///
/// It holds at most 8192 patterns, and lives as long as its owner.
#[derive(Clone, Default)]
pub struct Memo(Arc<Mutex<HashMap<String, Option<Conditioned>>>>);

thread_local! {
    static MEMO: RefCell<Option<Memo>> = const { RefCell::new(None) };
}

/// Patterns in a [`Memo`].
const MEMO_PATTERNS: usize = 8_192;

impl Memo {
    /// Lets what is compiled by `compile`, on this thread, use it.
    pub fn during<T>(&self, compile: impl FnOnce() -> T) -> T {
        let before = MEMO.replace(Some(self.clone()));
        let out = compile();
        MEMO.set(before);
        out
    }

    fn conditions(pattern: &str) -> Option<Conditioned> {
        let Some(memo) = MEMO.with_borrow(Clone::clone) else { return of_pattern(pattern) };
        let known = || memo.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(conditions) = known().get(pattern) {
            return conditions.clone();
        }
        let conditions = of_pattern(pattern);
        let mut known = known();
        if known.len() < MEMO_PATTERNS {
            known.insert(pattern.to_owned(), conditions.clone());
        }
        conditions
    }
}

impl std::fmt::Debug for Memo {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Memo")
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
    let lists = best_lists(necessary(hir));
    Condition { min_len, classes, echo: echo(&lists), lists, quick: true }
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
        Condition { min_len, classes: class_clauses(&needs), echo: echo(&lists), lists, quick }
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

/// All classes, but with letters of one case only: formulas are told with letters in lower case.
const FOLDED: ClassMask = ALL_CLASSES & !(1 << class_of(b'A'));

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
                    prefilter.retain_found(value, mask_of(value), &mut out);
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
