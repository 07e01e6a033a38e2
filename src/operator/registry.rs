//! The table of operators, and the trait that each of them implements.

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

/// One operator, `@name`.
#[derive(Debug)]
pub struct OperatorRow {
    /// The name in ModSecurity's spelling, without `@`.
    pub name: &'static str,
    /// Other accepted spellings; all names are case-insensitive.
    pub aliases: &'static [&'static str],
    /// For the reference: what it does and what its argument is, a paragraph of Markdown.
    pub doc: &'static str,
    /// How the argument is read.
    pub argument: Argument,
    /// Builds it from the argument as written. An argument of [`Argument::Macro`] that contains macros is given
    /// as `None`: its text comes with each evaluation.
    pub build: fn(argument: Option<&str>, resources: &dyn Resources) -> Result<Arc<dyn Operator>, BuildError>,
}

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

/// What an operator found, beyond yes or no. Reused from one evaluation to the next; the engine clears it.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Whether captures are wanted (the rule has `capture`). Operators must fill [`Found::captures`] only then.
    pub want_captures: bool,
    /// Captures, `TX.0` first.
    pub captures: SmallVec<[Capture; 4]>,
    /// The bytes of the input which made it match, where the operator knows them.
    pub matched: Option<Range<usize>>,
    /// Members to set in the collection `GEO`.
    pub geo: Vec<(&'static str, String)>,
}

impl Found {
    /// Forgets what was found, keeps what is wanted.
    pub fn clear(&mut self) {
        self.captures.clear();
        self.matched = None;
        self.geo.clear();
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

    /// Whether the pattern runs on the backtracking engine, with a step limit. `portcullis check` reports it.
    fn backtracks(&self) -> bool {
        false
    }
}

/// All rows, sorted by name.
pub fn all() -> &'static [OperatorRow] {
    &[]
}

/// The operator called `name`, in any case, under its name or an alias.
pub fn find(name: &str) -> Option<&'static OperatorRow> {
    all()
        .iter()
        .find(|o| o.name.eq_ignore_ascii_case(name) || o.aliases.iter().any(|a| a.eq_ignore_ascii_case(name)))
}
