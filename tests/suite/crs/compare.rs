//! The same request, answered in several ways: what the first run saw, every other one must see.

use portcullis::cli::ftw::{Seen, Stage, StageResult, Target};
use portcullis::http::find_head_end;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How closely two runs must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// In the status, and in each rule with all that the log says of it, in order: the same engine, switched otherwise.
    Exact,
    /// In the rules, in order: between engine and proxy, whose answers have other headers.
    Rules,
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `None` when there was no answer that is HTTP.
    pub status: Option<u16>,
    pub log: Vec<Seen>,
}

impl Outcome {
    pub fn of(result: &StageResult) -> Self {
        let log = result.log.clone().unwrap_or_default();
        Self { status: result.answer.as_ref().ok().map(|answer| answer.status), log }
    }

    pub fn ids(&self) -> Vec<u64> {
        self.log.iter().map(|seen| seen.id).collect()
    }

    /// How this differs from `other`, if it does.
    fn difference(&self, other: &Self, agreement: Agreement) -> Option<String> {
        let is_same = match agreement {
            Agreement::Exact => self == other,
            Agreement::Rules => self.ids() == other.ids(),
        };
        (!is_same).then(|| format!("{self:?}\n  instead of {other:?}"))
    }
}

/// The outcomes of the first run.
#[derive(Default)]
pub struct Known(Mutex<HashMap<Vec<u8>, Outcome>>);

/// A target that remembers, or compares with what is remembered.
pub struct Compared<'a, T> {
    pub target: T,
    pub known: &'a Known,
    pub agreement: Agreement,
    differences: Mutex<Vec<String>>,
}

impl<'a, T: Target> Compared<'a, T> {
    pub fn new(target: T, known: &'a Known, agreement: Agreement) -> Self {
        Self { target, known, agreement, differences: Mutex::default() }
    }

    /// Where this run differs from the first.
    pub fn differences(&self) -> Vec<String> {
        self.differences.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<T: Target> Target for Compared<'_, T> {
    fn stage(&self, stage: &Stage<'_>) -> StageResult {
        let result = self.target.stage(&Stage { needs_log: true, ..*stage });
        let outcome = Outcome::of(&result);
        if matches!(self.agreement, Agreement::Rules) && leaves_bytes(stage.request) {
            return result;
        }
        let mut known = self.known.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(stage.request) {
            None => {
                known.insert(stage.request.to_vec(), outcome);
            }
            Some(first) => {
                if let Some(difference) = outcome.difference(first, self.agreement) {
                    let request = String::from_utf8_lossy(stage.request);
                    let start: String = request.chars().take(200).collect();
                    let told = format!("{start:?}:\n  {difference}");
                    self.differences.lock().unwrap_or_else(PoisonError::into_inner).push(told);
                }
            }
        }
        result
    }

    fn parallel(&self) -> usize {
        self.target.parallel()
    }
}

/// Whether bytes follow the end of the request. On a connection they are a request of their own, whose record may be
/// there in time or not.
fn leaves_bytes(request: &[u8]) -> bool {
    let Some(end) = find_head_end(request) else { return false };
    let (head, rest) = request.split_at(end);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length =
        |line: &str| line.strip_prefix("content-length:").and_then(|l| l.trim().parse::<usize>().ok());
    !head.contains("\ntransfer-encoding:") && rest.len() > head.lines().find_map(length).unwrap_or(0)
}
