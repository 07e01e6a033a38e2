//! What `deviations.yaml` lists: in what the two engines differ on purpose, and why.

use crate::text::unescape;
use serde::Deserialize;
use std::path::Path;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviations {
    /// Transformations that the other engine does not have.
    pub absent_transformations: Vec<String>,
    /// Operators that one of both does not have, or that need what is not there.
    pub absent_operators: Vec<Absent>,
    pub transformations: Vec<Deviation>,
    pub operators: Vec<Deviation>,
    pub transactions: Vec<Differing>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absent {
    pub names: Vec<String>,
    pub reason: String,
}

/// A difference in one function.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    /// The functions.
    pub names: Vec<String>,
    /// The only argument of the operator for which it occurs.
    #[serde(default)]
    pub argument: Option<String>,
    /// A regular expression on bytes: only values that it matches may differ.
    pub when: String,
    /// How the results may differ.
    #[serde(default)]
    pub relation: Relation,
    /// Of the first function.
    pub examples: Vec<Example>,
    /// Why Portcullis is right.
    pub reason: String,
}

/// How two results differ.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// In any way.
    #[default]
    Any,
    /// Theirs ends at the first NUL of ours.
    CutAtNul,
    /// Theirs is the beginning of ours, or empty.
    Prefix,
    /// Theirs is ours without its last byte, cut at the first NUL.
    LastByteLost,
    /// Theirs is ours without its NUL bytes.
    WithoutNul,
    /// Equal but for case.
    Case,
    /// Both match, with other captures.
    Captures,
}

impl Relation {
    /// Whether the results differ in this way.
    pub fn holds(self, ours: &[u8], theirs: &[u8]) -> bool {
        let until_nul = |text: &[u8]| text.split(|b| *b == 0).next().unwrap_or_default().to_vec();
        match self {
            Relation::Any => true,
            Relation::CutAtNul => until_nul(ours) == theirs,
            Relation::Prefix => ours.starts_with(theirs),
            Relation::LastByteLost => {
                let lost = ours.get(..ours.len().saturating_sub(1)).unwrap_or_default();
                [lost.to_vec(), until_nul(lost), until_nul(ours)].iter().any(|text| text == theirs)
            }
            Relation::WithoutNul => ours.iter().filter(|b| **b != 0).eq(theirs),
            Relation::Case => ours.eq_ignore_ascii_case(theirs),
            Relation::Captures => ours.starts_with(b"match[") && theirs.starts_with(b"match["),
        }
    }
}

/// A value and what each makes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    pub input: String,
    pub ours: String,
    pub theirs: String,
}

/// A difference in a case of `transactions.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Differing {
    /// The cases' names.
    pub cases: Vec<String>,
    /// The requests, or any.
    #[serde(default)]
    pub requests: Vec<String>,
    /// A regular expression: what differs (`status`, `rules`, `logdata of ID`, a target that is shown).
    pub what: String,
    pub reason: String,
}

impl Deviations {
    pub fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/deviations.yaml");
        let text = std::fs::read_to_string(&path).expect("the list is there");
        serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }
}

impl Deviation {
    /// Its expression.
    pub fn when(&self) -> regex::bytes::Regex {
        let built =
            regex::bytes::RegexBuilder::new(&self.when).unicode(false).dot_matches_new_line(true).build();
        built.unwrap_or_else(|e| panic!("{:?}: {e}", self.names))
    }
}

impl Example {
    /// Input, our result, theirs.
    pub fn bytes(&self) -> [Vec<u8>; 3] {
        [&self.input, &self.ours, &self.theirs].map(|t| unescape(t))
    }
}
