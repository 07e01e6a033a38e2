//! A few literals, looked for by the marks in them.
//!
//! Most of what patterns look for has punctuation in it, which text has little of. A search for one to three such bytes
//! costs a fraction of a pass that compares all bytes with all literals, and is worth it when few patterns are left to
//! be told about.

use super::classes::{class_of, likelihood};
use crate::transform::ByteSet;
use memchr::{memchr_iter, memchr2_iter, memchr3_iter};

/// Literals, and the bytes by which they are found.
#[derive(Debug)]
pub struct Seeker {
    marks: [u8; MARKS],
    literals: Box<[Marked]>,
    /// What stands before and behind a mark in any of the literals; everything, where a literal begins or ends there.
    before: ByteSet,
    behind: ByteSet,
}

/// A literal with the place of its mark.
#[derive(Debug)]
struct Marked {
    text: Box<[u8]>,
    offset: usize,
}

impl Seeker {
    /// A seeker of `literals`, which are in lower case; `None` if they are many, or not told by few marks.
    pub fn new(literals: &[Vec<u8>]) -> Option<Self> {
        if literals.is_empty() || literals.len() > LITERALS {
            return None;
        }
        let mut marks = Vec::new();
        let mut rest: Vec<&Vec<u8>> = literals.iter().collect();
        while !rest.is_empty() {
            // What most of the rest have, and of those the rarest.
            let best =
                rest.iter().flat_map(|l| l.iter()).filter(|b| is_mark(**b)).copied().max_by(|a, b| {
                    let has = |byte: u8| rest.iter().filter(|l| l.contains(&byte)).count();
                    let rarity = |byte: u8| likelihood(1 << class_of(byte));
                    has(*a).cmp(&has(*b)).then(rarity(*b).total_cmp(&rarity(*a))).then(a.cmp(b))
                })?;
            marks.push(best);
            rest.retain(|l| !l.contains(&best));
            if marks.len() > MARKS {
                return None;
            }
        }
        let marked = literals.iter().filter_map(|text| {
            let offset = text.iter().position(|b| marks.contains(b))?;
            Some(Marked { text: text.as_slice().into(), offset })
        });
        let literals: Box<[Marked]> = marked.collect();
        let neighbours = |of: fn(&Marked) -> Option<u8>| {
            literals
                .iter()
                .fold(ByteSet::EMPTY, |all, literal| all.union(of(literal).map_or(ANY, in_any_case)))
        };
        let before = neighbours(|literal| literal.text.get(literal.offset.checked_sub(1)?).copied());
        let behind = neighbours(|literal| literal.text.get(literal.offset + 1).copied());
        let marks = std::array::from_fn(|n| *marks.get(n).unwrap_or(&marks[0]));
        Some(Self { marks, literals, before, behind })
    }

    /// Whether any of the literals occurs in `value`, in any case; `None` when marks are too many in it.
    pub fn find(&self, value: &[u8]) -> Option<bool> {
        let [a, b, c] = self.marks;
        if b == a {
            self.find_at(memchr_iter(a, value), value)
        } else if c == a {
            self.find_at(memchr2_iter(a, b, value), value)
        } else {
            self.find_at(memchr3_iter(a, b, c, value), value)
        }
    }

    /// Whether any of the literals occurs, in any case, in what is left of `value` without the bytes in `gaps`; `None` when
    /// that would take longer than to leave them out.
    pub fn find_through(&self, value: &[u8], gaps: &ByteSet) -> Option<bool> {
        let mut text = Gapped { value, gaps, left: 2 * value.len() };
        if self.marks.iter().any(|mark| gaps.contains(*mark)) {
            return None;
        }
        let [a, b, c] = self.marks;
        for at in memchr3_iter(a, b, c, value) {
            text.left = text.left.checked_sub(BYTES_FOR_A_MARK)?;
            for Marked { text: literal, offset } in &self.literals {
                if value[at] != literal[*offset] {
                    continue;
                }
                let (before, behind) = literal.split_at(*offset);
                if text.has(at + 1..value.len(), behind[1..].iter())?
                    && text.has((0..at).rev(), before.iter().rev())?
                {
                    return Some(true);
                }
            }
        }
        Some(false)
    }

    fn find_at(&self, marks: impl Iterator<Item = usize>, value: &[u8]) -> Option<bool> {
        let mut left = MOST_MARKS + value.len() / BYTES_FOR_A_MARK;
        for at in marks {
            left = left.checked_sub(1)?;
            let is_among = |set: &ByteSet, at: usize| value.get(at).is_none_or(|byte| set.contains(*byte));
            if !is_among(&self.before, at.wrapping_sub(1)) || !is_among(&self.behind, at + 1) {
                continue;
            }
            for Marked { text, offset } in &self.literals {
                let occurs = text[*offset] == value[at]
                    && at
                        .checked_sub(*offset)
                        .and_then(|start| value.get(start..start + text.len()))
                        .is_some_and(|part| part.eq_ignore_ascii_case(text));
                if occurs {
                    return Some(true);
                }
            }
        }
        Some(false)
    }
}

/// A value of which some bytes count as if they were not there.
struct Gapped<'v> {
    value: &'v [u8],
    gaps: &'v ByteSet,
    /// Bytes that may still be looked at.
    left: usize,
}

impl Gapped<'_> {
    /// Whether `text`, in any case, is what `places` lead past; `None` where too much has been looked at.
    fn has<'t>(
        &mut self,
        mut places: impl Iterator<Item = usize>,
        mut text: impl Iterator<Item = &'t u8>,
    ) -> Option<bool> {
        let (value, gaps) = (self.value, self.gaps);
        loop {
            let Some(wanted) = text.next() else { return Some(true) };
            let byte = loop {
                let Some(byte) = places.next().and_then(|at| value.get(at)) else { return Some(false) };
                self.left = self.left.checked_sub(1)?;
                if !gaps.contains(*byte) {
                    break byte;
                }
            };
            if !byte.eq_ignore_ascii_case(wanted) {
                return Some(false);
            }
        }
    }
}

fn in_any_case(byte: u8) -> ByteSet {
    ByteSet::of(&[byte.to_ascii_lowercase(), byte.to_ascii_uppercase()])
}

fn is_mark(byte: u8) -> bool {
    byte.is_ascii_punctuation() || byte.is_ascii_control()
}

/// All bytes.
const ANY: ByteSet = ByteSet::EMPTY.complement();
/// Marks that are looked for at the same time.
const MARKS: usize = 3;
/// Literals that are compared at each mark.
const LITERALS: usize = 16;
/// Marks that a short value may have.
const MOST_MARKS: usize = 8;
/// In longer values, a mark in so many bytes.
const BYTES_FOR_A_MARK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn seeker(literals: &[&str]) -> Option<Seeker> {
        let literals: Vec<Vec<u8>> = literals.iter().map(|l| l.as_bytes().to_vec()).collect();
        Seeker::new(&literals)
    }

    #[test]
    fn literals_are_found_by_their_marks() {
        let seeker = seeker(&["process.env", "a::b", ".constructor", "${"]).expect("three marks");
        for (value, occurs) in [
            ("the PROCESS.ENV of it", true),
            ("process. env", false),
            ("A::B", true),
            ("::b", false),
            ("x.constructor", true),
            ("a. constructor", false),
            ("100 ${", true),
            ("", false),
        ] {
            assert_eq!(seeker.find(value.as_bytes()), Some(occurs), "{value}");
        }
    }

    #[test]
    fn literals_are_found_through_gaps() {
        let seeker = seeker(&["<title>shell", "a.b"]).expect("two marks");
        let spaces = ByteSet::of(b" \n");
        let long = format!("{}a{}.{}b", "x".repeat(90), " ".repeat(30), "\n".repeat(40));
        for (value, occurs) in [
            ("<title>shell", true),
            ("x < T i T l E > s h E\n\nl l x", true),
            ("< title> hell", false),
            ("title>shell <", false),
            ("  . b a. c", false),
            ("a .b", true),
            (&long, true),
            ("", false),
        ] {
            let padded = format!("{value}{}", "-".repeat(100));
            assert_eq!(seeker.find_through(padded.as_bytes(), &spaces), Some(occurs), "{value}");
        }
        assert_eq!(seeker.find_through(b"a . b", &ByteSet::of(b".")), None, "what is looked for is left out");
    }

    #[test]
    fn gaps_are_not_passed_again_and_again() {
        let seeker = seeker(&["....a"]).expect("a mark");
        let spaces = ByteSet::of(b" ");
        let gap = " ".repeat(1_000);
        assert_eq!(seeker.find_through(format!("....{gap}").as_bytes(), &spaces), None);
        assert_eq!(seeker.find_through(format!("....{gap}a").as_bytes(), &spaces), Some(true));
    }

    #[test]
    fn what_has_no_mark_is_not_sought() {
        assert!(seeker(&["select", "a.b"]).is_none());
        assert!(seeker(&["a.b", "a,b", "a;b", "a!b"]).is_none());
        assert!(seeker(&[]).is_none());
    }

    #[test]
    fn many_marks_are_too_many() {
        let seeker = seeker(&["process.env"]).expect("a mark");
        assert_eq!(seeker.find(&b"..".repeat(100)), None);
        assert_eq!(seeker.find(&b"a sentence. ".repeat(2)), Some(false));
    }
}
