//! Text as it stands, compared byte by byte and with regard to case: `@contains` and its kin.

use super::contract::{Built, Found, Lookup, Operator, Outcome, Resources};
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
    let stands = |at: usize| delimits(at.checked_sub(1)) && delimits(Some(at + text.len()));
    let first = memmem::find(input, text)?;
    let at = if stands(first) { Some(first) } else { overlapping(input, text, first + 1, stands) };
    at.map(|at| at..at + text.len())
}

/// The first place from `from` on at which `text` stands in `input` and `accept` agrees. Occurrences may overlap, and
/// a macro's text may be as long as a client likes: Knuth, Morris and Pratt's way looks at each byte once, where a
/// new search behind every occurrence would take quadratic time.
fn overlapping(input: &[u8], text: &[u8], from: usize, accept: impl Fn(usize) -> bool) -> Option<usize> {
    // How much of the text stands before each of its ends.
    let mut border = vec![0; text.len()];
    let mut length = 0;
    for (at, byte) in text.iter().enumerate().skip(1) {
        while length > 0 && text[length] != *byte {
            length = border[length - 1];
        }
        length += usize::from(text[length] == *byte);
        border[at] = length;
    }
    let mut matched = 0;
    for (at, byte) in input.iter().enumerate().skip(from) {
        while matched > 0 && text[matched] != *byte {
            matched = border[matched - 1];
        }
        matched += usize::from(text[matched] == *byte);
        if matched == text.len() {
            let start = at + 1 - matched;
            if accept(start) {
                return Some(start);
            }
            matched = border[matched - 1];
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_as_by_looking_everywhere() {
        let alphabet = b"ab-";
        let texts = |length: u32| {
            (0..3_usize.pow(length))
                .map(move |n| -> Vec<u8> { (0..length).map(|i| alphabet[n / 3_usize.pow(i) % 3]).collect() })
        };
        let letter = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphabetic);
        for input in texts(7) {
            for text in (1..4).flat_map(texts) {
                let naive = (0..=input.len() - text.len()).find(|&at| {
                    input[at..].starts_with(&text)
                        && !letter(at.checked_sub(1).and_then(|at| input.get(at)))
                        && !letter(input.get(at + text.len()))
                });
                assert_eq!(word(&input, &text).map(|r| r.start), naive, "{input:?} {text:?}");
            }
        }
    }
}
