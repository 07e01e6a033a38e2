//! What an operator is: what it is built of, how it is asked, and what it answers.

use crate::transform::ByteSet;
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::Arc;

/// How an operator reads its argument. The compiler expands macros only where this says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Takes none; one that is written is ignored with a warning.
    None,
    /// Fixed when rules are loaded; `%{…}` in it is plain text.
    Static,
    /// May hold macros, which are expanded for each evaluation ([`Operator::evaluate`]'s `argument`).
    Macro,
    /// The name of a file, relative to the rule file.
    File,
}

/// An operator, or why there is none.
pub type Built = Result<Arc<dyn Operator>, BuildError>;

/// Why an operator cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError {
    /// What is wrong with the argument: one sentence, no full stop.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// The part of the argument that is at fault, in bytes, when it is known.
    pub at: Option<Range<usize>>,
}

impl BuildError {
    /// An error about the whole argument.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, at: None }
    }

    /// Adds advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What a load offers to operators: files beside the rule file, data sets, settings.
pub trait Resources {
    /// The content of the file `name`, as the rule file names it.
    ///
    /// # Errors
    /// A sentence for people: which file was looked for and why it cannot be read.
    fn file(&self, name: &str) -> Result<Arc<[u8]>, String>;

    /// The entries of `SecDataset name`.
    fn dataset(&self, _name: &str) -> Option<Arc<[String]>> {
        None
    }

    /// The key of `SecHttpBlKey`, for the one block list that wants one.
    fn http_bl_key(&self) -> Option<String> {
        None
    }

    /// The database of `SecGeoLookupDB`, whole.
    fn geo_database(&self) -> Option<Arc<[u8]>> {
        None
    }
}

/// No files and no data sets.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoResources;

impl Resources for NoResources {
    fn file(&self, name: &str) -> Result<Arc<[u8]>, String> {
        Err(format!("cannot read {name}: no files are available here"))
    }
}

/// What an operator may ask of the world while it evaluates (`@rbl`, `@geoLookup`).
pub trait Lookup {
    /// The IPv4 addresses which `name` resolves to; `None` when that is not known (no resolver, or too late).
    fn resolve(&self, _name: &str) -> Option<Vec<std::net::IpAddr>> {
        None
    }
}

/// Knows nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoLookup;

impl Lookup for NoLookup {}

/// A captured piece of text, for `TX.0` to `TX.9`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capture {
    /// A range of the input.
    Input(Range<usize>),
    /// Text that does not stand in the input as it is (a fingerprint, a list's entry).
    Text(Vec<u8>),
    /// A group that took no part in the match.
    Unset,
}

/// Which captures a rule wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// None: it has no `capture`.
    #[default]
    Nothing,
    /// What matched as a whole. Groups may be told too, but nobody reads them.
    Whole,
    /// That, and what each group took.
    Groups,
}

/// What an operator found, beyond yes or no. Reused from one evaluation to the next; the engine clears it.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Whether nothing but the answer is wanted, as of an operator that is negated.
    pub only_answer: bool,
    /// Which captures are wanted. Operators must fill [`Found::captures`] only then.
    pub wanted: Wanted,
    /// Captures, `TX.0` first.
    pub captures: SmallVec<[Capture; 4]>,
    /// The bytes of the input which made it match, where the operator knows them.
    pub matched: Option<Range<usize>>,
    /// Members to set in the collection `GEO`.
    pub geo: Vec<(&'static str, String)>,
    /// Members to set in the collection `ARGS_PATH`: name, and range of the input.
    pub path_arguments: Vec<(Arc<str>, Range<usize>)>,
}

impl Found {
    /// Notes that `range` of the input matched, as a whole.
    pub(super) fn whole(&mut self, range: Range<usize>) {
        if self.wanted != Wanted::Nothing {
            self.captures.push(Capture::Input(range.clone()));
        }
        self.matched = Some(range);
    }

    /// Forgets what was found, keeps what is wanted.
    pub fn clear(&mut self) {
        self.captures.clear();
        self.matched = None;
        self.geo.clear();
        self.path_arguments.clear();
    }
}

/// The answer of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It matches.
    Match,
    /// It does not.
    NoMatch,
    /// It gave up at a bound (backtracking steps) and does not know. Counted; treated as no match by the
    /// operator's negation as well.
    Exceeded,
}

impl From<bool> for Outcome {
    fn from(matched: bool) -> Self {
        if matched { Outcome::Match } else { Outcome::NoMatch }
    }
}

/// An operator that has been built. Linear in `input`, or bounded (then [`Outcome::Exceeded`]).
pub trait Operator: Send + Sync + std::fmt::Debug {
    /// Asks about `input`. `argument` is the operator's argument with its macros expanded; only operators of
    /// [`Argument::Macro`] that were built without text look at it.
    fn evaluate(&self, input: &[u8], argument: &[u8], lookup: &dyn Lookup, found: &mut Found) -> Outcome;

    /// The pattern in the syntax of the `regex` crate (bytes, no Unicode, `(?s)`), when this operator is one
    /// regular expression. Prefilters are compiled from it.
    fn pattern(&self) -> Option<&str> {
        None
    }

    /// The literals of which one must occur, compared without regard to ASCII case, when this operator is a
    /// search for literals. Prefilters are compiled from it.
    fn literals(&self) -> Option<Vec<Vec<u8>>> {
        None
    }

    /// The bytes of which one must occur, when that is all that is known of this operator's matches. Prefilters are
    /// compiled from it.
    fn needs(&self) -> Option<ByteSet> {
        None
    }

    /// Whether the pattern runs on the backtracking engine, with a step limit. `portcullis check` reports it.
    fn backtracks(&self) -> bool {
        false
    }

    /// Whether its answer is a matter of the value and the argument alone, so that it may be remembered.
    fn is_pure(&self) -> bool {
        true
    }

    /// Why it can never match as it was built, when something that it needs was not given. `portcullis check` warns.
    fn inert(&self) -> Option<&'static str> {
        None
    }
}
