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
