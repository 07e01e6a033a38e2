//! Compiled patterns: what runs them, within which bounds, and how equal ones are shared.
//!
//! A pattern runs on the linear engine when that can express it. Otherwise its outline (a pattern that matches
//! wherever the original does) runs there, and the backtracking engine sees only inputs which the outline lets
//! through, bounded in length and in steps.

use super::BuildError;
use super::contract::Capture;
use super::gap::Walked;
use super::pattern::{Dialect, Refusal, translate};
use super::simple::Simple;
use super::strider::{self, Strider};
use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::prefilter::Prefilter;
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Hir, Look};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak};

/// A compiled pattern.
pub(super) struct Program {
    text: String,
    engine: Engine,
}

enum Engine {
    Linear {
        find: Regex,
        /// Needs twice the memory and is slower, so it is compiled when captures are first asked for.
        captures: OnceLock<Option<Regex>>,
        /// Groups but the whole match.
        groups: usize,
        /// What it is when it is so simple that no automaton is needed.
        simple: Option<Simple>,
        /// For a pattern of many states. Not made when it is first asked: that would keep a request waiting for long.
        walker: Option<Walked>,
        /// Made when it is first asked about a long input.
        strider: OnceLock<Option<Box<Strider>>>,
        /// A match can begin only at a line's start. PCRE's `^` does not match behind a final newline and this
        /// engine's does, so that a match there is none.
        line_start: bool,
    },
    Backtracking(Box<Backtracker>),
}

struct Backtracker {
    regex: fancy_regex::Regex,
    outline: Regex,
    /// It asks for the place at which the search begins (`\G`), which must not be moved then.
    anchored_at_start: bool,
}

/// The backtracking engine reached a bound and does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exceeded;

/// Where groups matched; the whole match is first, groups that took no part are [`Capture::Unset`].
pub(super) type Captures = SmallVec<[Capture; 4]>;

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Program").field(&self.text).finish()
    }
}

impl Program {
    /// The compiled form of `pattern`, shared with every other user of the same pattern.
    pub(super) fn shared(pattern: &[u8]) -> Result<Arc<Program>, BuildError> {
        if let Some(known) = lock().get(pattern).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let program = Arc::new(Self::compile(pattern)?);
        let mut interned = lock();
        if interned.len() >= INTERNED_BEFORE_SWEEP {
            interned.retain(|_, program| program.strong_count() > 0);
        }
        if interned.len() < INTERNED_BEFORE_SWEEP {
            interned.insert(pattern.into(), Arc::downgrade(&program));
        }
        Ok(program)
    }

    /// Compiles `pattern` for one user.
    pub(super) fn compile(pattern: &[u8]) -> Result<Program, BuildError> {
        match translate(pattern, Dialect::Linear) {
            Ok(text) => {
                let hir = parse(&text)?;
                let find = build(&hir, WhichCaptures::Implicit, LINEAR_SIZE)?;
                let line_start = hir.properties().look_set_prefix().contains(Look::StartLF);
                let simple = Simple::of(&hir);
                let groups = hir.properties().explicit_captures_len();
                let walker = (text.len() >= LONG_PATTERN).then(|| Walked::new(&hir, LINEAR_SIZE)).flatten();
                let (captures, strider) = (OnceLock::new(), OnceLock::new());
                Ok(Program {
                    text,
                    engine: Engine::Linear { find, captures, groups, simple, walker, strider, line_start },
                })
            }
            Err(Refusal::NeedsBacktracking) => {
                let text = translate(pattern, Dialect::Backtracking).map_err(BuildError::from)?;
                let outline = translate(pattern, Dialect::Outline).map_err(BuildError::from)?;
                let outline = build(&parse(&outline)?, WhichCaptures::Implicit, LINEAR_SIZE)?;
                let regex = fancy_regex::RegexBuilder::new(&text)
                    .backtrack_limit(BACKTRACK_STEPS)
                    .delegate_size_limit(LINEAR_SIZE)
                    .build()
                    .map_err(|e| {
                        BuildError::new(format!("this pattern cannot be compiled: {e}"))
                            .help("write it without look-around, back-references and atomic groups")
                    })?;
                // A backslash of the pattern's own is written as a number, so that this is the assertion.
                let anchored_at_start = text.contains(r"\G");
                let engine = Backtracker { regex, outline, anchored_at_start };
                Ok(Program { text, engine: Engine::Backtracking(Box::new(engine)) })
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// The pattern in the linear engine's syntax; `None` when it runs on the other.
    pub(super) fn linear_text(&self) -> Option<&str> {
        match self.engine {
            Engine::Linear { .. } => Some(&self.text),
            Engine::Backtracking(_) => None,
        }
    }

    /// Whether it runs on the backtracking engine.
    pub(super) fn backtracks(&self) -> bool {
        matches!(self.engine, Engine::Backtracking(_))
    }

    /// The names of the groups, the whole match first.
    pub(super) fn group_names(&self) -> Vec<Option<String>> {
        match &self.engine {
            Engine::Linear { captures, .. } => match with_captures(captures, &self.text) {
                Some(regex) => {
                    regex.group_info().all_names().map(|(_, _, name)| name.map(str::to_owned)).collect()
                }
                None => Vec::new(),
            },
            Engine::Backtracking(_) => Vec::new(),
        }
    }

    /// Whether there is a match.
    pub(super) fn is_match(&self, input: &[u8]) -> Result<bool, Exceeded> {
        match &self.engine {
            // Where a match begins is asked only where it matters.
            Engine::Linear { find, line_start, simple: None, walker, strider, .. }
                if !line_start || !input.ends_with(b"\n") =>
            {
                let walked = walker.as_ref().map(|walker| walker.is_match(input));
                let stridden = || stridden(strider, find, &self.text, input);
                let told = walked.and_then(Result::ok).or_else(stridden);
                Ok(told.unwrap_or_else(|| find.is_match(input)))
            }
            _ => self.find(input, 0).map(|found| found.is_some()),
        }
    }

    /// The first match that begins at `from` or later.
    pub(super) fn find(&self, input: &[u8], from: usize) -> Result<Option<Range<usize>>, Exceeded> {
        if from > input.len() {
            return Ok(None);
        }
        match &self.engine {
            Engine::Linear { simple: Some(simple), .. } if from == 0 && simple.tells_of(input) => {
                Ok(simple.find(input))
            }
            Engine::Linear { find, line_start, walker, strider, .. } => {
                let told = walker.as_ref().map(|walker| walker.find(input, from));
                let found = told.and_then(Result::ok).unwrap_or_else(|| {
                    // In most inputs there is nothing.
                    if from == 0 && stridden(strider, find, &self.text, input) == Some(false) {
                        return None;
                    }
                    find.search(&Input::new(input).span(from..input.len())).map(|m| m.range())
                });
                Ok(found.filter(|m| {
                    !(*line_start && m.start > 0 && m.start == input.len() && input.ends_with(b"\n"))
                }))
            }
            Engine::Backtracking(engine) => {
                let Some((text, start)) = admit(engine, input, from)? else { return Ok(None) };
                match engine.regex.find_from_pos(text.as_str(), start) {
                    Ok(found) => Ok(found.map(|m| text.to_input(m.start())..text.to_input(m.end()))),
                    Err(_) => Err(Exceeded),
                }
            }
        }
    }

    /// Like [`Self::find`], and appends to `captures` what the groups matched, not more than
    /// [`MAX_CAPTURES`] of them.
    pub(super) fn find_captures(
        &self,
        input: &[u8],
        from: usize,
        captures: &mut Captures,
    ) -> Result<Option<Range<usize>>, Exceeded> {
        match &self.engine {
            Engine::Linear { captures: lazy, groups, .. } => {
                let Some(found) = self.find(input, from)? else { return Ok(None) };
                if *groups == 0 {
                    captures.push(Capture::Input(found.clone()));
                    return Ok(Some(found));
                }
                let Some(regex) = with_captures(lazy, &self.text) else {
                    captures.push(Capture::Input(found.clone()));
                    return Ok(Some(found));
                };
                let mut groups = regex.create_captures();
                let within = Input::new(input).span(found.start..input.len()).anchored(Anchored::Yes);
                regex.search_captures(&within, &mut groups);
                captures.extend(groups.iter().take(MAX_CAPTURES).map(|group| match group {
                    Some(span) => Capture::Input(span.range()),
                    None => Capture::Unset,
                }));
                Ok(Some(found))
            }
            Engine::Backtracking(engine) => {
                let Some((text, start)) = admit(engine, input, from)? else { return Ok(None) };
                let groups = match engine.regex.captures_from_pos(text.as_str(), start) {
                    Ok(Some(groups)) => groups,
                    Ok(None) => return Ok(None),
                    Err(_) => return Err(Exceeded),
                };
                captures.extend(groups.iter().take(MAX_CAPTURES).map(|group| match group {
                    Some(m) => Capture::Input(text.to_input(m.start())..text.to_input(m.end())),
                    None => Capture::Unset,
                }));
                let whole = groups.get(0).map(|m| text.to_input(m.start())..text.to_input(m.end()));
                Ok(whole)
            }
        }
    }
}

impl From<Refusal> for BuildError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid { message, at } => BuildError { message, help: None, at: Some(at) },
            Refusal::NeedsBacktracking => BuildError::new("this pattern needs the backtracking engine"),
        }
    }
}

/// Groups that captures tell of: `TX.0` to `TX.9`.
pub(super) const MAX_CAPTURES: usize = 10;

// What few patterns ever need is made of the text, since all their syntax trees together would take a fifth of a
// ruleset's memory.

/// A rule's captures are compiled with room to spare: the find-only form of the same pattern fitted.
fn with_captures<'a>(lazy: &'a OnceLock<Option<Regex>>, text: &str) -> Option<&'a Regex> {
    lazy.get_or_init(|| build(&parse(text).ok()?, WhichCaptures::All, 4 * LINEAR_SIZE).ok()).as_ref()
}

/// Whether there is a match, where a long input is soon stridden through.
fn stridden(lazy: &OnceLock<Option<Box<Strider>>>, find: &Regex, text: &str, input: &[u8]) -> Option<bool> {
    // A search for the literals of a pattern is quicker yet.
    if input.len() < strider::LONG || find.is_accelerated() {
        return None;
    }
    let made = || Strider::new(&parse(text).ok()?, LINEAR_SIZE).map(Box::new);
    lazy.get_or_init(made).as_ref()?.is_match(input).ok()
}

fn parse(text: &str) -> Result<Hir, BuildError> {
    regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .nest_limit(NESTING)
        .build()
        .parse(text)
        .map_err(|e| match e {
            regex_syntax::Error::Parse(e) => {
                BuildError::new(format!("this pattern cannot be compiled: {}", e.kind()))
            }
            regex_syntax::Error::Translate(e) => {
                BuildError::new(format!("this pattern cannot be compiled: {}", e.kind()))
            }
            _ => BuildError::new("this pattern cannot be compiled"),
        })
}

fn build(hir: &Hir, captures: WhichCaptures, size: usize) -> Result<Regex, BuildError> {
    // A search for many literals costs more for a byte than the automaton itself.
    let prefilter = Prefilter::from_hir_prefix(MatchKind::LeftmostFirst, hir);
    let config = Regex::config()
        .auto_prefilter(prefilter.is_none_or(|prefilter| prefilter.is_fast()))
        .utf8_empty(false)
        .which_captures(captures)
        .nfa_size_limit(Some(size))
        .hybrid_cache_capacity(LAZY_DFA_CACHE);
    Regex::builder().configure(config).build_from_hir(hir).map_err(|e| match e.size_limit() {
        Some(limit) => BuildError::new(format!("this pattern needs more than {limit} bytes when compiled"))
            .help("use smaller counts in {…}, or split it into several rules"),
        None => BuildError::new(format!("this pattern cannot be compiled: {e}")),
    })
}

/// The input as the backtracking engine is to see it, and where in it to begin; `None` when the outline says that
/// nothing can match. The outline matches at every place at which the pattern does, so no match begins before
/// the outline's first.
fn admit<'i>(
    engine: &Backtracker,
    input: &'i [u8],
    from: usize,
) -> Result<Option<(Latin<'i>, usize)>, Exceeded> {
    if from > input.len() {
        return Ok(None);
    }
    let Some(first) = engine.outline.search(&Input::new(input).span(from..input.len())) else {
        return Ok(None);
    };
    if input.len() > BACKTRACK_INPUT {
        return Err(Exceeded);
    }
    let text = Latin::new(input);
    let start = text.to_text(if engine.anchored_at_start { from } else { first.start() });
    Ok(Some((text, start)))
}

/// Bytes as text: each becomes the character of its value, so that bytes from 0x80 take two bytes of UTF-8.
struct Latin<'i> {
    text: Cow<'i, str>,
    same: bool,
}

impl<'i> Latin<'i> {
    fn new(input: &'i [u8]) -> Self {
        match std::str::from_utf8(input) {
            Ok(text) if text.is_ascii() => Self { text: Cow::Borrowed(text), same: true },
            _ => Self { text: Cow::Owned(input.iter().copied().map(char::from).collect()), same: false },
        }
    }

    fn as_str(&self) -> &str {
        &self.text
    }

    /// From an offset in the input to one in the text.
    fn to_text(&self, offset: usize) -> usize {
        if self.same {
            return offset;
        }
        self.text.char_indices().nth(offset).map_or(self.text.len(), |(at, _)| at)
    }

    /// From an offset in the text to one in the input: continuation bytes do not count.
    fn to_input(&self, offset: usize) -> usize {
        if self.same {
            return offset;
        }
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        before.iter().filter(|b| (**b & 0xc0) != 0x80).count()
    }
}

fn lock() -> std::sync::MutexGuard<'static, Interned> {
    INTERNED.lock().unwrap_or_else(PoisonError::into_inner)
}

type Interned = HashMap<Box<[u8]>, Weak<Program>>;

/// Patterns in use anywhere in the process. Weak, so that a ruleset which is dropped takes its patterns along.
static INTERNED: LazyLock<Mutex<Interned>> = LazyLock::new(Mutex::default);

/// CRS has some 300 patterns.
const INTERNED_BEFORE_SWEEP: usize = 8192;
/// Bytes of one compiled automaton. The largest pattern of CRS needs a tenth.
const LINEAR_SIZE: usize = 10 << 20;
/// Bytes of one lazy DFA's cache, per pattern and concurrent search.
const LAZY_DFA_CACHE: usize = 1 << 20;
/// Bytes of a pattern that may have enough states for a [`Walked`].
const LONG_PATTERN: usize = 500;
/// Deeper nesting than anybody writes; bounds the recursion of parsers.
const NESTING: u32 = 200;
/// Steps back of one backtracking search. One step may scan the rest of the input, so that steps times input
/// bounds the time: a second, with a pattern and an input made to be slow together.
const BACKTRACK_STEPS: usize = 16 << 10;
/// Bytes of input that the backtracking engine looks at.
const BACKTRACK_INPUT: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pattern: &str, input: &[u8]) -> Option<Range<usize>> {
        Program::compile(pattern.as_bytes()).expect(pattern).find(input, 0).expect("within bounds")
    }

    #[test]
    fn equal_patterns_are_compiled_once() {
        let first = Program::shared(b"sh[ao]red").expect("valid");
        let second = Program::shared(b"sh[ao]red").expect("valid");
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn both_engines_read_bytes_and_lines_alike() {
        for tail in ["", "(?!z{9})"] {
            let at = |pattern: &str, input: &[u8]| find(&format!("{pattern}{tail}"), input);
            assert_eq!(at(r"\xff+", b"\xfe\xff\xff"), Some(1..3));
            assert_eq!(at(r"(?i)\xe9", b"\xc9"), None, "no case beyond ASCII");
            assert_eq!(at(r"\w+", b"\xe9abc"), Some(1..4));
            assert_eq!(at(r"\bb", b"a b"), Some(2..3));
            assert_eq!(at(r"\bb", b"\xe9b"), Some(1..2));
            assert_eq!(at("a.b", b"a\nb"), Some(0..3));
            assert_eq!(at("^b$", b"a\nb\nc"), Some(2..3));
            assert_eq!(at("^$", b"a\n"), None, "no line begins behind a final newline");
            assert_eq!(at("^$", b""), Some(0..0));
            assert_eq!(at("a$", b"ba\n"), Some(1..2));
        }
    }

    #[test]
    fn the_backtracking_engine_is_bounded() {
        let program = Program::compile(br"(?=a)(a|aa)*+(\1)?(?:a*)*b\1").expect("valid");
        assert!(program.backtracks());
        let mut hostile = vec![b'a'; BACKTRACK_INPUT];
        assert_eq!(program.find(&hostile, 0), Ok(None), "the outline wants a b");
        hostile[BACKTRACK_INPUT - 1] = b'b';
        assert_eq!(program.find(&hostile, 0), Err(Exceeded));
        hostile.push(b'a');
        assert_eq!(program.find(&hostile, 0), Err(Exceeded), "too long");
    }

    #[test]
    fn captures_tell_of_groups_without_part() {
        for pattern in ["(a)|(b)", "(?!z)(?:(a)|(b))"] {
            let mut captures = Captures::new();
            let program = Program::compile(pattern.as_bytes()).expect("valid");
            program.find_captures(b"\xffb", 0, &mut captures).expect("within bounds");
            assert_eq!(captures.as_slice(), [Capture::Input(1..2), Capture::Unset, Capture::Input(1..2)]);
        }
    }
}
