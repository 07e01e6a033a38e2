//! Where commands could begin, and whether what stands there is one.

use super::super::contract::{Built, Found, Lookup, Operator, Outcome, Resources};
use super::name::{Name, glob, lookup};
use super::word::{Word, blank, word};
use crate::transform::ByteSet;
use std::ops::Range;
use std::sync::Arc;

/// `@detectShell`.
pub(in crate::operator) fn shell(_: Option<&str>, _: &dyn Resources) -> Built {
    Ok(Arc::new(Shell))
}

/// The bytes of which one is in everything that is found: separators, and what hides names.
const NEEDED: ByteSet = ByteSet::of(b";|&`$\n'\"\\^?*{");

/// `TX.0` is the command's name as it is written.
#[derive(Debug)]
struct Shell;

impl Operator for Shell {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        detect(input).map(|range| found.whole(range)).is_some().into()
    }

    fn needs(&self) -> Option<ByteSet> {
        Some(NEEDED)
    }
}

/// What opens a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opener {
    /// The value's beginning: an application may put it where a command's name stands.
    Start,
    /// `;`, `|`, `||`, `&&`.
    Separator,
    /// `&` or the end of a line, which texts have as well.
    Weak,
    /// `$(`, `<(`, `>(`.
    Substitution,
    /// A backtick.
    Tick,
}

/// The first command in `value` that is one beyond doubt. Each byte is looked at a bounded number of times.
fn detect(value: &[u8]) -> Option<Range<usize>> {
    let lines = value.iter().filter(|b| **b == b'\n').count();
    // In documents there are commands that are meant to be read; only hidden ones are not.
    let document = lines > 2 || value.len() > DOCUMENT;
    let mut variables = 0;
    let mut at = 0;
    let mut opener = Opener::Start;
    loop {
        let start = skip_blanks(value, at);
        if let Some(range) = command(value, start, opener, document, &mut variables) {
            return Some(range);
        }
        (opener, at) = next_opener(value, at)?;
    }
}

/// Bytes from which on a value is a document.
const DOCUMENT: usize = 400;
/// Assignments before a command, and variables in a command's place, that are looked at.
const VARIABLES: usize = 4;

fn skip_blanks(value: &[u8], from: usize) -> usize {
    let rest = value.get(from..).unwrap_or_default();
    from + rest.iter().take(16).take_while(|b| matches!(b, b' ' | b'\t' | b'\r')).count()
}

/// The next place behind `from` where a command can begin.
fn next_opener(value: &[u8], from: usize) -> Option<(Opener, usize)> {
    let rest = value.get(from..)?;
    let offset = rest.iter().enumerate().position(|(n, b)| match b {
        b';' => !ends_entity(value, from + n),
        b'|' | b'&' | b'`' | b'\n' => true,
        b'(' => from + n > 0 && matches!(value.get(from + n - 1), Some(b'$' | b'<' | b'>')),
        _ => false,
    })?;
    let at = from + offset;
    let twice = value.get(at + 1) == value.get(at);
    Some(match value.get(at)? {
        b'|' | b'&' if twice => (Opener::Separator, at + 2),
        b';' | b'|' => (Opener::Separator, at + 1),
        b'`' => (Opener::Tick, at + 1),
        b'(' => (Opener::Substitution, at + 1),
        _ => (Opener::Weak, at + 1),
    })
}

/// Whether the semicolon at `at` ends an entity such as `&amp;` or `&#39;`.
fn ends_entity(value: &[u8], at: usize) -> bool {
    let before = value.get(at.saturating_sub(8)..at).unwrap_or_default();
    let name = before.iter().rev().take_while(|b| b.is_ascii_alphanumeric() || **b == b'#').count();
    name > 0 && before.len() > name && before.get(before.len() - name - 1) == Some(&b'&')
}

/// The command whose first word begins at `start`, if it is one.
fn command(
    value: &[u8],
    mut start: usize,
    opener: Opener,
    document: bool,
    variables: &mut usize,
) -> Option<Range<usize>> {
    // `X=1 command`.
    for _ in 0..VARIABLES {
        let Some(length) = assignment(value, start) else { break };
        let text = word(value, start + length);
        start = skip_blanks(value, text.map_or(start + length, |w| w.end));
    }
    if opener != Opener::Start && value.get(start) == Some(&b'$') && *variables < VARIABLES {
        *variables += 1;
        if let Some(end) = runs_variable(value, start) {
            return Some(start..end);
        }
    }
    let first = word(value, start)?;
    let known = lookup(&first.text);
    let wild = glob(&first.text);
    if known.is_none() && !wild {
        return None;
    }
    let found = start..first.end;
    let after = value.get(first.end..).unwrap_or_default();
    let argument = if first.hidden_blank { Argument::Shell } else { argument(after) };
    let hidden = first.tricks > 0 || wild;
    let good = match opener {
        // `o'clock` is no command, and `'id'` no trick.
        Opener::Start => hidden && argument != Argument::Other && !document,
        _ if hidden => argument != Argument::Other,
        Opener::Separator | Opener::Weak if document => false,
        Opener::Separator => match known {
            Some(Name::Sure) => argument == Argument::Shell || argument == Argument::None && short(value),
            _ => argument == Argument::Shell,
        },
        Opener::Weak => argument == Argument::Shell && known == Some(Name::Sure),
        Opener::Substitution => closes(after, b')') && (argument == Argument::Shell || sure(&first, known)),
        // Markdown has commands in backticks: only a value that is nothing else, but for quotes, is an attack.
        Opener::Tick => closes(after, b'`') && whole(value),
    };
    good.then_some(found)
}

/// The length of `NAME=` at `start`.
fn assignment(value: &[u8], start: usize) -> Option<usize> {
    let rest = value.get(start..)?;
    let length = name(rest)?.len();
    (rest.get(length) == Some(&b'=')).then_some(length + 1)
}

/// The name of a variable that `text` begins with.
fn name(text: &[u8]) -> Option<&[u8]> {
    text.first().filter(|b| b.is_ascii_alphabetic() || **b == b'_')?;
    let length = text.iter().take(24).take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    text.get(..length)
}

/// Whether `$X` or `${X}` stands at `start` as a whole first word, and `X=` somewhere before it: where it ends.
fn runs_variable(value: &[u8], start: usize) -> Option<usize> {
    let rest = value.get(start + 1..)?;
    let braces = usize::from(rest.first() == Some(&b'{'));
    let name = name(rest.get(braces..)?)?;
    let end = start + 1 + braces + name.len();
    let ends = match value.get(end) {
        Some(b'}') => braces == 1,
        Some(b) => {
            braces == 0 && (b.is_ascii_whitespace() || matches!(b, b';' | b'|' | b'&' | b'"' | b'\'' | b')'))
        }
        None => braces == 0,
    };
    let before = value.get(..start)?;
    let assigned = memchr::memmem::find_iter(before, name).any(|at| {
        let alone = at == 0
            || before.get(at - 1).is_some_and(|b| !b.is_ascii_alphabetic() && !matches!(b, b'$' | b'_'));
        alone && before.get(at + name.len()) == Some(&b'=')
    });
    (ends && assigned).then_some(end)
}

/// What follows a command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Argument {
    /// Nothing: the command ends here.
    None,
    /// What only a shell's command line has: an option, a path, a variable, a redirection, a quoted text.
    Shell,
    /// A word, as texts have.
    Plain,
    /// No argument: the word goes on.
    Other,
}

fn argument(after: &[u8]) -> Argument {
    let text = after.trim_ascii_start();
    let blank_between = text.len() < after.len();
    match text {
        [] => Argument::None,
        [b';' | b'|' | b'&' | b')' | b'`' | b'#', ..] => Argument::None,
        [b'\'' | b'"', rest @ ..] if !blank_between => {
            // A quote that the application's own opened.
            if rest.is_empty() || rest.iter().all(|b| !b.is_ascii_alphanumeric()) {
                Argument::None
            } else {
                Argument::Other
            }
        }
        [b'>' | b'<', ..] => Argument::Shell,
        _ if blank(text).is_some() => Argument::Shell,
        _ if !blank_between => Argument::Other,
        [b'-', b, ..] if b.is_ascii_alphanumeric() || *b == b'-' => Argument::Shell,
        [b'/' | b'~' | b'$' | b'*' | b'{' | b'%', ..] => Argument::Shell,
        [b'.', b'/' | b'.', ..] => Argument::Shell,
        text => {
            // An address, a file, a number of seconds; then nothing.
            let length = text
                .iter()
                .position(|b| b.is_ascii_whitespace() || matches!(b, b';' | b'|' | b'&' | b')' | b'`'));
            let (word, rest) = text.split_at(length.unwrap_or(text.len()));
            let technical = word.iter().any(|b| matches!(b, b'/' | b'$' | b'\\' | b'*'))
                || word
                    .windows(2)
                    .any(|w| w.first() == Some(&b'.') && w.last().is_some_and(u8::is_ascii_alphanumeric))
                || word.iter().all(u8::is_ascii_digit);
            let ends = rest
                .trim_ascii_start()
                .first()
                .is_none_or(|b| matches!(b, b';' | b'|' | b'&' | b')' | b'`' | b'#' | b'>' | b'<'));
            if technical && ends { Argument::Shell } else { Argument::Plain }
        }
    }
}

/// Whether `with` comes soon, without the end of a line before.
fn closes(after: &[u8], with: u8) -> bool {
    after.iter().take(160).take_while(|b| **b != b'\n').any(|b| *b == with)
}

fn sure(first: &Word, known: Option<Name>) -> bool {
    known == Some(Name::Sure) && !first.quoted
}

/// Whether the value is too short for a text that happens to have such words.
fn short(value: &[u8]) -> bool {
    value.len() <= 100
}

/// Whether the value is one pair of backticks, with nothing about it but quotes and separators.
fn whole(value: &[u8]) -> bool {
    let edge = |b: &u8| {
        matches!(b, b'"' | b'\'' | b' ' | b';' | b'|' | b'&' | b'\n' | b'\r' | b'$' | b'=' | b'(' | b')')
    };
    let from = value.iter().position(|b| !edge(b));
    let to = value.iter().rposition(|b| !edge(b));
    from.and_then(|at| value.get(at)) == Some(&b'`') && to.and_then(|at| value.get(at)) == Some(&b'`')
}
