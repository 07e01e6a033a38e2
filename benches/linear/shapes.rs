//! Hostile inputs: runs of what parsers and patterns stumble over, and for a pattern what almost matches it.

use super::measure::Shape;
use super::units::UNITS;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Shapes for everything.
pub fn generic() -> Vec<Shape> {
    UNITS.iter().map(|unit| Shape::of(unit.as_bytes())).collect()
}

/// Shapes for a pattern in the syntax of the `regex` crate: matches without their end, and at every repetition a
/// long run of what may be repeated there, behind what leads there.
pub fn near_misses(pattern: &str) -> Vec<Shape> {
    let parser = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern);
    let Ok(hir) = parser else { return Vec::new() };
    let mut shapes = Vec::new();
    for seed in 0..SEEDS {
        let mut sample = Sample { seed, text: Vec::new(), runs: Vec::new() };
        sample.walk(&hir);
        let Sample { text, runs, .. } = sample;
        for (before, unit) in runs {
            shapes.push(Shape::of(&unit));
            shapes.push(Shape { before, unit });
        }
        if let [most @ .., _] = text.as_slice()
            && !most.is_empty()
        {
            shapes.push(Shape::of(most));
            shapes.push(Shape::of(&[most, b"Z"].concat()));
            shapes.push(Shape { before: most.to_vec(), unit: b" ".to_vec() });
            shapes.push(Shape { before: Vec::new(), unit: [most, b" x "].concat() });
        }
    }
    shapes.retain(|s| !s.unit.is_empty());
    shapes.sort();
    shapes.dedup();
    thin(shapes, MOST)
}

/// Shapes for a search for literals: some of them without their last byte.
pub fn near_literals(literals: &[Vec<u8>]) -> Vec<Shape> {
    let shapes = literals
        .iter()
        .filter_map(|l| l.split_last())
        .map(|(_, most)| Shape::of(most))
        .filter(|s| !s.unit.is_empty())
        .collect();
    thin(shapes, 8)
}

/// So many of them, spread evenly.
fn thin(shapes: Vec<Shape>, most: usize) -> Vec<Shape> {
    let step = shapes.len().div_ceil(most).max(1);
    shapes.into_iter().step_by(step).collect()
}

/// Different choices among alternatives and classes.
const SEEDS: usize = 5;
/// Shapes of one pattern.
const MOST: usize = 40;

struct Sample {
    seed: usize,
    text: Vec<u8>,
    /// What stands before a repetition, and what is repeated.
    runs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Sample {
    fn walk(&mut self, hir: &Hir) {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.text.extend_from_slice(&literal.0),
            HirKind::Class(class) => self.text.extend(self.byte_of(class)),
            HirKind::Repetition(repetition) => {
                let before = self.text.clone();
                self.walk(&repetition.sub);
                let unit = self.text.split_off(before.len());
                if repetition.max.is_none_or(|max| max > 4) {
                    self.runs.push((before, unit.clone()));
                }
                let least = repetition.min.max(u32::from(self.seed % 2 == 1 && repetition.max != Some(0)));
                for _ in 0..least.min(100) {
                    self.text.extend_from_slice(&unit);
                }
            }
            HirKind::Capture(capture) => self.walk(&capture.sub),
            HirKind::Concat(all) => all.iter().for_each(|sub| self.walk(sub)),
            HirKind::Alternation(all) => {
                if let Some(sub) = all.get((self.seed * 7 + self.text.len()) % all.len().max(1)) {
                    self.walk(sub);
                }
            }
        }
    }

    fn byte_of(&self, class: &Class) -> Option<u8> {
        let Class::Bytes(class) = class else { return None };
        let ranges = class.ranges();
        let all = ranges.iter().flat_map(|r| r.start()..=r.end());
        let readable: Vec<u8> = all.filter(u8::is_ascii_graphic).collect();
        match readable.as_slice() {
            [] => ranges.first().map(regex_syntax::hir::ClassBytesRange::start),
            some => some.get(self.seed * 11 % some.len()).copied(),
        }
    }
}
