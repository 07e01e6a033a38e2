//! Patterns so simple that comparing bytes answers them. CRS asks some of them about every header.

use regex_syntax::hir::{Class, ClassBytesRange, Hir, HirKind, Look};
use std::ops::Range;

/// Patterns that rules use as idioms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Simple {
    /// `^.*$` and `.*`: all of any input.
    Everything,
    /// `^$`: in inputs of one line, the empty one.
    Nothing,
    /// `^text`, letters of either case: in inputs of one line, how they begin.
    Beginning(Box<[u8]>),
}

impl Simple {
    /// What `hir` is, if it is one of them.
    pub(super) fn of(hir: &Hir) -> Option<Self> {
        let parts = match hir.kind() {
            HirKind::Concat(parts) => parts.as_slice(),
            _ => std::slice::from_ref(hir),
        };
        let is_all = |part: &Hir| match part.kind() {
            HirKind::Repetition(r) => {
                let any = matches!(r.sub.kind(), HirKind::Class(Class::Bytes(c)) if c.ranges() == [ClassBytesRange::new(0, u8::MAX)]);
                r.min == 0 && r.max.is_none() && r.greedy && any
            }
            _ => false,
        };
        let starts = |part: &Hir| matches!(part.kind(), HirKind::Look(Look::StartLF));
        match parts {
            [all] if is_all(all) => Some(Simple::Everything),
            [start, all, end]
                if starts(start) && is_all(all) && matches!(end.kind(), HirKind::Look(Look::EndLF)) =>
            {
                Some(Simple::Everything)
            }
            [start, end] if starts(start) && matches!(end.kind(), HirKind::Look(Look::EndLF)) => {
                Some(Simple::Nothing)
            }
            [start, text @ ..] if starts(start) && !text.is_empty() => {
                let mut letters = Vec::new();
                for part in text {
                    letters.extend(either_case(part)?);
                }
                Some(Simple::Beginning(letters.into()))
            }
            _ => None,
        }
    }

    /// Whether this way of looking at `input` is the pattern's. Lines begin in the midst of others.
    pub(super) fn tells_of(&self, input: &[u8]) -> bool {
        match self {
            Simple::Everything => !input.ends_with(b"\n"),
            Simple::Nothing | Simple::Beginning(_) => !input.contains(&b'\n'),
        }
    }

    /// The match, where [`Self::tells_of`] says that this is the pattern's.
    pub(super) fn find(&self, input: &[u8]) -> Option<Range<usize>> {
        match self {
            Simple::Everything => Some(0..input.len()),
            Simple::Nothing => input.is_empty().then_some(0..0),
            Simple::Beginning(text) => {
                let begins = input.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
                begins.then_some(0..text.len())
            }
        }
    }
}

/// The text that a part of a pattern is, in lower case, when letters count in either case.
fn either_case(part: &Hir) -> Option<Vec<u8>> {
    match part.kind() {
        HirKind::Literal(text) => text.0.iter().all(|b| !b.is_ascii_alphabetic()).then(|| text.0.to_vec()),
        HirKind::Class(Class::Bytes(class)) => match class.ranges() {
            [upper, lower]
                if upper.start() == upper.end()
                    && lower.start() == lower.end()
                    && upper.start().is_ascii_uppercase()
                    && upper.start().to_ascii_lowercase() == lower.start() =>
            {
                Some(vec![lower.start()])
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::program::Program;
    use super::*;

    #[test]
    fn what_is_simple_finds_what_the_pattern_finds() {
        let inputs: [&[u8]; 9] = [
            b"",
            b"a",
            b"header_name_x",
            b"HEADER_name_",
            b"xheader_name_",
            b"\n",
            b"a\nheader_name_b",
            b"a\n",
            b"\xff\0",
        ];
        let mut answered = 0;
        for pattern in
            ["^.*$", ".*", "(?i)^header_name_", "^(?i:header_name_)", "^_-", "^header_name_", "^a", "^$"]
        {
            let program = Program::compile(pattern.as_bytes()).expect(pattern);
            let text = program.linear_text().expect("linear");
            let hir = regex_syntax::ParserBuilder::new()
                .unicode(false)
                .utf8(false)
                .build()
                .parse(text)
                .expect("valid");
            let regex = regex::bytes::Regex::new(&format!("(?-u){text}")).expect("valid");
            let Some(simple) = Simple::of(&hir) else { continue };
            for input in inputs.iter().filter(|input| simple.tells_of(input)) {
                assert_eq!(
                    simple.find(input),
                    regex.find(input).map(|m| m.range()),
                    "{pattern} on {input:?}"
                );
                answered += 1;
            }
        }
        assert!(answered > 20, "{answered}");
    }
}
