//! Regular expressions: `@rx`, `@rxGlobal`, and `@restpath`, which is a regular expression in other clothes.

use super::contract::{BuildError, Built, Capture, Found, Lookup, Operator, Outcome, Resources, Wanted};
use super::program::{Captures, Exceeded, MAX_CAPTURES, Program};
use std::sync::{Arc, Mutex, PoisonError};

/// `@rx pattern`.
pub(super) fn rx(argument: Option<&str>, _: &dyn Resources) -> Built {
    build(argument, false)
}

/// `@rxGlobal pattern`.
pub(super) fn rx_global(argument: Option<&str>, _: &dyn Resources) -> Built {
    build(argument, true)
}

/// `@restpath /users/{id}`.
pub(super) fn rest_path(argument: Option<&str>, _: &dyn Resources) -> Built {
    let template = argument.unwrap_or_default();
    if !template.starts_with('/') {
        return Err(
            BuildError::new("a path template begins with a slash").help("write `@restpath /users/{id}`")
        );
    }
    let mut pattern = String::from("^");
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('{') {
        let at = template.len() - after.len() - 1;
        pattern.push_str(&regex_syntax::escape(text));
        let named = after.split_once('}').filter(|(name, _)| {
            name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        });
        let Some((name, after)) = named else {
            return Err(BuildError {
                message: "this brace does not open a parameter such as {id}".to_owned(),
                help: Some("a parameter's name is letters, digits and underscores".to_owned()),
                at: Some(at..template.len()),
            });
        };
        pattern.push_str("(?P<");
        pattern.push_str(name);
        pattern.push_str(">[^?/]+)");
        rest = after;
    }
    pattern.push_str(&regex_syntax::escape(rest));
    pattern.push('$');
    let program = Program::compile(pattern.as_bytes())?;
    let names = program.group_names().into_iter().map(|name| name.map(Arc::from)).collect();
    Ok(Arc::new(RestPath { program, names }))
}

fn build(argument: Option<&str>, global: bool) -> Built {
    Ok(match argument {
        Some(pattern) => Arc::new(Rx { program: Program::shared(pattern.as_bytes())?, global }),
        None => Arc::new(Expanded { global, recent: Mutex::default() }),
    })
}

/// A fixed pattern.
#[derive(Debug)]
struct Rx {
    program: Arc<Program>,
    global: bool,
}

impl Operator for Rx {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        run(&self.program, self.global, input, found)
    }

    fn pattern(&self) -> Option<&str> {
        self.program.linear_text()
    }

    fn backtracks(&self) -> bool {
        self.program.backtracks()
    }
}

/// A pattern that holds macros, compiled as its texts come by. What a macro expands to may come from a client,
/// so the pattern's length and the number of kept ones are bounded.
#[derive(Debug)]
struct Expanded {
    global: bool,
    /// Most recently used last. A text which is no pattern is kept as well, as `None`.
    recent: Mutex<Vec<Recent>>,
}

/// An expanded text and its program.
type Recent = (Box<[u8]>, Option<Arc<Program>>);

impl Operator for Expanded {
    fn evaluate(&self, input: &[u8], argument: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        if argument.len() > MAX_EXPANDED {
            return Outcome::Exceeded;
        }
        match self.program(argument) {
            Some(program) => run(&program, self.global, input, found),
            None => Outcome::NoMatch,
        }
    }
}

impl Expanded {
    fn program(&self, pattern: &[u8]) -> Option<Arc<Program>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = recent.iter().position(|(text, _)| **text == *pattern) {
            recent[at..].rotate_left(1);
            return recent.last().and_then(|(_, program)| program.clone());
        }
        drop(recent);
        let program = Program::compile(pattern).ok().map(Arc::new);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= MAX_RECENT {
            recent.remove(0);
        }
        recent.push((pattern.into(), program.clone()));
        program
    }
}

/// A path template. Its parameters become `TX.1`, … and members of `ARGS_PATH`.
#[derive(Debug)]
struct RestPath {
    program: Program,
    names: Vec<Option<Arc<str>>>,
}

impl Operator for RestPath {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        let mut captures = Captures::new();
        match self.program.find_captures(input, 0, &mut captures) {
            Ok(None) => return Outcome::NoMatch,
            Ok(range) => found.matched = range,
            Err(Exceeded) => return Outcome::Exceeded,
        }
        for (name, capture) in self.names.iter().zip(&captures) {
            if let (Some(name), Capture::Input(range)) = (name, capture) {
                found.path_arguments.push((Arc::clone(name), range.clone()));
            }
        }
        if found.wanted != Wanted::Nothing {
            found.captures = captures;
        }
        Outcome::Match
    }

    fn pattern(&self) -> Option<&str> {
        self.program.linear_text()
    }
}

fn run(program: &Program, global: bool, input: &[u8], found: &mut Found) -> Outcome {
    if found.only_answer {
        return program.is_match(input).map_or(Outcome::Exceeded, Outcome::from);
    }
    let groups = found.wanted == Wanted::Groups;
    let result = match (groups, global) {
        (false, _) => program.find(input, 0),
        (true, false) => program.find_captures(input, 0, &mut found.captures),
        (true, true) => all_captures(program, input, &mut found.captures),
    };
    match result {
        Ok(range) => {
            if !groups && let Some(range) = &range {
                found.whole(range.clone());
            }
            let outcome = range.is_some().into();
            found.matched = range;
            outcome
        }
        Err(Exceeded) => Outcome::Exceeded,
    }
}

/// The groups of one match after those of the other. As in ModSecurity v3, a match's numbering starts at the
/// number of groups set so far, so that a group without part in an early match leaves a gap that a later match
/// may fill. Ends once no more captures can be told.
fn all_captures(
    program: &Program,
    input: &[u8],
    all: &mut Captures,
) -> Result<Option<std::ops::Range<usize>>, Exceeded> {
    let (mut first, mut from, mut set) = (None, 0, 0);
    let mut groups = Captures::new();
    while set < MAX_CAPTURES && from <= input.len() {
        groups.clear();
        let Some(range) = program.find_captures(input, from, &mut groups)? else { break };
        let base = set;
        for (index, group) in groups.drain(..).enumerate() {
            let number = base + index;
            if group == Capture::Unset || number >= MAX_CAPTURES {
                continue;
            }
            if all.len() <= number {
                all.resize(number + 1, Capture::Unset);
            }
            all[number] = group;
            set += 1;
        }
        from = if range.is_empty() { range.end + 1 } else { range.end };
        first.get_or_insert(range);
    }
    Ok(first)
}

/// Bytes of an expanded pattern.
const MAX_EXPANDED: usize = 4096;
/// Expanded patterns kept for each rule.
const MAX_RECENT: usize = 16;
