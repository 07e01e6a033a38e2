//! What an explanation consists of. Serialises to what `portcullis explain --json` and the admin API give.

use crate::audit::Piece;
use serde::Serialize;

/// Why a request was, or would be, blocked or let through.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The transaction's id; none for a request not yet sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// When it began, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The client's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// What came in, redacted.
    pub request: Request,
    /// What the explanation rests on.
    pub basis: Basis,
    /// What was decided.
    pub decision: Decision,
    /// The scores.
    pub scores: Scores,
    /// Rules that scored or decided, the greatest score first; none that only keep books.
    pub rules: Vec<Rule>,
    /// Rules that matched and log, and neither scored nor decided.
    pub others: Vec<Rule>,
    /// Ids of rules that only keep books of scores and matched, as far as they log.
    pub bookkeeping: Vec<u64>,
    /// What else happened, a sentence each.
    pub events: Vec<String>,
    /// What helps where no exclusion does, since no rule is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The narrowest exclusion that lets the request pass; none when it passes anyway, or when none was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Proposal>,
    /// Rules that nearly matched; none when they were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near: Option<Near>,
}

/// What came in.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The target.
    pub uri: String,
    /// `HTTP/1.1`, …
    pub protocol: String,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
}

/// What an explanation rests on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Basis {
    /// What is not known of the request or had to be made up, a sentence each.
    pub gaps: Vec<String>,
    /// The hash of the generation that served it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_by: Option<String>,
    /// The hash of the generation that it was evaluated with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluated_with: Option<String>,
    /// Rules that matched then and do not now.
    pub missing: Vec<u64>,
    /// Rules that match now and did not then.
    pub surplus: Vec<u64>,
}

impl Basis {
    /// Whether the evaluation found what the record says.
    pub fn is_faithful(&self) -> bool {
        self.missing.is_empty() && self.surplus.is_empty()
    }
}

/// What was decided.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    /// `pass`, `deny`, `drop` or `redirect`; `refuse` where no rule refused it, `fail` where none answered it.
    pub action: String,
    /// The status that it asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The rule that decided; 0 for a limit or the protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<u64>,
    /// The phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<u8>,
    /// Whether it was carried out; not in `DetectionOnly`.
    pub enforced: bool,
    /// The mode.
    pub mode: String,
    /// All of that in a sentence.
    pub told: String,
}

/// Scores of request and response.
#[derive(Clone, Debug, Serialize)]
pub struct Scores {
    /// Of the request; none when the rules keep no score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbound: Option<Score>,
    /// Of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound: Option<Score>,
}

/// A score and its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Score {
    /// The sum that was compared.
    pub total: i64,
    /// From which on it blocks; 0 when there is none.
    pub threshold: i64,
    /// What rules added that does not count, since its paranoia level is only watched.
    pub uncounted: i64,
}

/// A rule that matched.
#[derive(Clone, Debug, Serialize)]
pub struct Rule {
    /// Its id.
    pub id: u64,
    /// The phase.
    pub phase: u8,
    /// `msg`.
    pub message: String,
    /// What it is for, a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The operator as written.
    pub operator: String,
    /// What the operator does, a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operator_means: String,
    /// `severity` by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// Of the tag `paranoia-level/N`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paranoia_level: Option<u8>,
    /// `tag`s.
    pub tags: Vec<String>,
    /// What it added to the score.
    pub score: i64,
    /// Whether that became part of the sum that blocks.
    pub counted: bool,
    /// Whether it is the response's score.
    pub outbound: bool,
    /// Whether the rule itself decided, or would have but for the mode.
    pub disruptive: bool,
    /// The rule's file.
    pub file: String,
    /// Its line.
    pub line: u32,
    /// What matched.
    pub matches: Vec<MatchedValue>,
    /// Whether it is told from the record alone, since it did not match when it was evaluated again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub from_record: bool,
}

/// A value that matched.
#[derive(Clone, Debug, Serialize)]
pub struct MatchedValue {
    /// The variable with its member.
    pub variable: String,
    /// The value as the variable has it; none when only the record tells of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<Vec<Piece>>,
    /// What each transformation made of it.
    pub steps: Vec<Step>,
    /// The layers of encoding that were undone until the operator matched, the outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decoded: Vec<String>,
    /// What the operator saw, with what it matched marked.
    pub value: Vec<Piece>,
    /// The operator as written, where it is that of a later link of the rule's chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
}

/// One transformation.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Its name.
    pub transformation: String,
    /// What it made of the value; none when it left it as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Vec<Piece>>,
}

/// An exclusion that was proposed.
#[derive(Clone, Debug, Serialize)]
pub struct Proposal {
    /// What is excluded, rule by rule.
    pub exclusions: Vec<super::Exclusion>,
    /// Rule text that excludes it; stands before the rules.
    pub seclang: String,
    /// The same as native YAML.
    pub yaml: String,
    /// Where it is broader than what was seen.
    pub warnings: Vec<String>,
    /// Whether the request passes with it.
    pub proof: Proof,
}

/// What came of trying an exclusion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// The request was evaluated with the exclusion, and passed.
    pub proven: bool,
    /// What was done and found.
    pub told: String,
    /// The score with the exclusion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<i64>,
}

/// Rules that nearly matched.
#[derive(Clone, Debug, Serialize)]
pub struct Near {
    /// Rules that would match at a higher paranoia level.
    pub levels: Vec<Rule>,
    /// Rules of which all links but the last matched.
    pub almost: Vec<Almost>,
}

/// A rule of which all links but the last matched.
#[derive(Clone, Debug, Serialize)]
pub struct Almost {
    /// Its id.
    pub id: u64,
    /// `msg` as written.
    pub message: String,
    /// How many links it has.
    pub links: usize,
    /// What its last link looks at.
    pub lacking: Vec<String>,
    /// What matched in the others.
    pub matches: Vec<MatchedValue>,
}
