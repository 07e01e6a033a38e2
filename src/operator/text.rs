//! Text as it stands, compared byte by byte and with regard to case: `@contains` and its kin.

use super::registry::{Built, Found, Lookup, Operator, Outcome, Resources};
use memchr::memmem;
use std::ops::Range;
use std::sync::Arc;

/// Where `text` stands in `input`, if the operator matches. An empty range is possible.
type Test = fn(input: &[u8], text: &[u8]) -> Option<Range<usize>>;

#[derive(Debug)]
struct Compare {
    text: Option<Box<[u8]>>,
    test: Test,
    /// Whether the text must occur in the input for the operator to match.
    occurs: bool,
}

impl Operator for Compare {
    fn evaluate(&self, input: &[u8], argument: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        let range = (self.test)(input, self.text.as_deref().unwrap_or(argument));
        let outcome = range.is_some().into();
        found.matched = range;
        outcome
    }

    fn literals(&self) -> Option<Vec<Vec<u8>>> {
        let text = self.text.as_deref().filter(|t| self.occurs && !t.is_empty())?;
        Some(vec![text.to_vec()])
    }
}

/// `@contains` and `@strmatch` with a fixed text, for which the search is prepared once.
#[derive(Debug)]
struct Contains {
    finder: memmem::Finder<'static>,
}

impl Operator for Contains {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        let at = self.finder.find(input);
        found.matched = at.map(|at| at..at + self.finder.needle().len());
        at.is_some().into()
    }

    fn literals(&self) -> Option<Vec<Vec<u8>>> {
        let needle = self.finder.needle();
        (!needle.is_empty()).then(|| vec![needle.to_vec()])
    }
}

#[derive(Debug)]
struct Constant(Outcome);

impl Operator for Constant {
    fn evaluate(&self, _: &[u8], _: &[u8], _: &dyn Lookup, _: &mut Found) -> Outcome {
        self.0
    }
}

fn build(argument: Option<&str>, test: Test, occurs: bool) -> Built {
    Ok(Arc::new(Compare { text: argument.map(|a| a.as_bytes().into()), test, occurs }))
}

pub(super) fn begins_with(argument: Option<&str>, _: &dyn Resources) -> Built {
    build(argument, |input, text| input.starts_with(text).then_some(0..text.len()), true)
}

pub(super) fn contains(argument: Option<&str>, _: &dyn Resources) -> Built {
    match argument {
        Some(text) => Ok(Arc::new(Contains { finder: memmem::Finder::new(text).into_owned() })),
        None => build(None, |input, text| memmem::find(input, text).map(|at| at..at + text.len()), true),
    }
}

pub(super) fn contains_word(argument: Option<&str>, _: &dyn Resources) -> Built {
    build(argument, word, true)
}

pub(super) fn ends_with(argument: Option<&str>, _: &dyn Resources) -> Built {
    build(argument, |input, text| input.ends_with(text).then(|| input.len() - text.len()..input.len()), true)
}

pub(super) fn streq(argument: Option<&str>, _: &dyn Resources) -> Built {
    build(argument, |input, text| (input == text).then_some(0..input.len()), true)
}

pub(super) fn within(argument: Option<&str>, _: &dyn Resources) -> Built {
    build(argument, |input, text| memmem::find(text, input).map(|_| 0..input.len()), false)
}

pub(super) fn no_match(_: Option<&str>, _: &dyn Resources) -> Built {
    Ok(Arc::new(Constant(Outcome::NoMatch)))
}

pub(super) fn unconditional_match(_: Option<&str>, _: &dyn Resources) -> Built {
    Ok(Arc::new(Constant(Outcome::Match)))
}

/// A word is delimited by anything but an ASCII letter (digits delimit, as in ModSecurity v3).
fn word(input: &[u8], text: &[u8]) -> Option<Range<usize>> {
    if text.is_empty() {
        return Some(0..0);
    }
    let delimits =
        |at: Option<usize>| at.and_then(|at| input.get(at)).is_none_or(|byte| !byte.is_ascii_alphabetic());
    let finder = memmem::Finder::new(text);
    let mut from = 0;
    // Occurrences may overlap; each search starts one byte behind the last. That is linear but for texts which
    // overlap themselves, and those are bounded by the rule's own text.
    while let Some(at) = input.get(from..).and_then(|rest| finder.find(rest)).map(|at| from + at) {
        let end = at + text.len();
        if delimits(at.checked_sub(1)) && delimits(Some(end)) {
            return Some(at..end);
        }
        from = at + 1;
    }
    None
}
