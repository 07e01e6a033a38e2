//! Counting outcomes.

use super::set::{Case, Label};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Refused with one of the statuses that mean it.
    Blocked,
    /// Answered with one of the statuses of an application that was asked.
    Passed,
    /// Any other status: refused in another way, such as 400 or 413.
    Other(u16),
    /// The connection ended without an answer.
    Reset,
}

impl Outcome {
    /// The status, or `reset`.
    pub(super) fn word(self, blocked: u16) -> String {
        match self {
            Outcome::Blocked => blocked.to_string(),
            Outcome::Passed => "200".to_owned(),
            Outcome::Other(status) => status.to_string(),
            Outcome::Reset => "reset".to_owned(),
        }
    }
}

/// Outcomes of some cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub attacks: usize,
    /// Attacks that were blocked.
    pub blocked: usize,
    /// Attacks that were neither blocked nor passed.
    pub attacks_other: usize,
    pub legit: usize,
    /// Legitimate requests that were blocked.
    pub false_positives: usize,
    /// Legitimate requests that were neither blocked nor passed.
    pub legit_other: usize,
}

impl Count {
    pub(super) fn add(&mut self, label: Label, outcome: Outcome) {
        let (cases, blocked, other) = match label {
            Label::Attack => (&mut self.attacks, &mut self.blocked, &mut self.attacks_other),
            Label::Legit => (&mut self.legit, &mut self.false_positives, &mut self.legit_other),
        };
        *cases += 1;
        match outcome {
            Outcome::Blocked => *blocked += 1,
            Outcome::Other(_) | Outcome::Reset => *other += 1,
            Outcome::Passed => {}
        }
    }

    /// Share of attacks that were blocked, 0 to 1.
    pub(super) fn tpr(&self) -> Option<f64> {
        share(self.blocked, self.attacks)
    }

    /// Share of legitimate requests that were blocked.
    pub(super) fn fpr(&self) -> Option<f64> {
        share(self.false_positives, self.legit)
    }

    /// [`Count::tpr`], everything that did not pass counted as blocked.
    pub(super) fn tpr_lenient(&self) -> Option<f64> {
        share(self.blocked + self.attacks_other, self.attacks)
    }

    /// [`Count::fpr`], everything that did not pass counted as blocked.
    pub(super) fn fpr_lenient(&self) -> Option<f64> {
        share(self.false_positives + self.legit_other, self.legit)
    }

    /// The mean of true-positive and true-negative rate.
    pub(super) fn balanced_accuracy(&self) -> Option<f64> {
        Some(f64::midpoint(self.tpr()?, 1.0 - self.fpr()?))
    }

    fn balanced_accuracy_lenient(&self) -> Option<f64> {
        Some(f64::midpoint(self.tpr_lenient()?, 1.0 - self.fpr_lenient()?))
    }

    pub(super) fn to_json(self) -> Value {
        let mut out = json!({"attacks": self.attacks, "legit": self.legit});
        let mut put = |name: &str, value: Value| {
            if let Some(object) = out.as_object_mut() {
                object.insert(name.to_owned(), value);
            }
        };
        if self.attacks > 0 {
            put("blocked", json!(self.blocked));
            put("tpr", json!(self.tpr()));
            put("tpr_lenient", json!(self.tpr_lenient()));
        }
        if self.legit > 0 {
            put("false_positives", json!(self.false_positives));
            put("fpr", json!(self.fpr()));
            put("tnr", json!(self.fpr().map(|r| 1.0 - r)));
            put("fpr_lenient", json!(self.fpr_lenient()));
        }
        if let (Some(strict), Some(lenient)) = (self.balanced_accuracy(), self.balanced_accuracy_lenient()) {
            put("balanced_accuracy", json!(strict));
            put("balanced_accuracy_lenient", json!(lenient));
        }
        out
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Counts by what cases have in common.
pub(super) type Groups = BTreeMap<String, Count>;

/// Everything that is counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// The headlines, in the order in which they are told: name in JSON, count.
    pub headlines: Vec<(&'static str, Count)>,
    pub sources: Groups,
    pub categories: Groups,
    pub positions: Groups,
    pub evasions: Groups,
}

impl Tally {
    pub(super) fn of<'a>(results: impl Iterator<Item = (&'a Case, Outcome)>) -> Tally {
        let mut tally = Tally {
            headlines: HEADLINES.iter().map(|(n, _)| (*n, Count::default())).collect(),
            ..Tally::default()
        };
        for (case, outcome) in results {
            for ((_, count), (_, has)) in tally.headlines.iter_mut().zip(HEADLINES) {
                if has(case) {
                    count.add(case.label, outcome);
                }
            }
            let label = case.label.name();
            let position = if case.position.is_empty() { "-" } else { &case.position };
            for (groups, key) in [
                (&mut tally.sources, &*case.source),
                (&mut tally.categories, &*case.category),
                (&mut tally.positions, position),
            ] {
                groups.entry(format!("{label}/{key}")).or_default().add(case.label, outcome);
            }
            if let Some(evasion) = &case.evasion {
                let key = format!("{}:{evasion}", case.category);
                tally.evasions.entry(key).or_default().add(case.label, outcome);
            }
        }
        tally
    }
}

type Has = fn(&Case) -> bool;

/// What is told first. Names are those of the set's own tool, so that results can be laid side by side.
const HEADLINES: &[(&str, Has)] = &[
    ("headline_AB", |c| c.tier != 'C'),
    ("headline_AB_without_policy", |c| c.tier != 'C' && !c.policy),
    ("tier_A", |c| c.tier == 'A'),
    ("tier_A_without_policy", |c| c.tier == 'A' && !c.policy),
    ("tier_B", |c| c.tier == 'B'),
    ("tier_C", |c| c.tier == 'C'),
    ("all", |_| true),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_shares_of_their_own_label() {
        let mut count = Count::default();
        for outcome in [Outcome::Blocked, Outcome::Blocked, Outcome::Other(400), Outcome::Passed] {
            count.add(Label::Attack, outcome);
        }
        assert_eq!((count.tpr(), count.tpr_lenient(), count.fpr()), (Some(0.5), Some(0.75), None));
        assert_eq!(count.balanced_accuracy(), None);
        count.add(Label::Legit, Outcome::Passed);
        count.add(Label::Legit, Outcome::Reset);
        assert_eq!((count.fpr(), count.fpr_lenient()), (Some(0.0), Some(0.5)));
        assert_eq!(count.balanced_accuracy(), Some(0.75));
        assert_eq!(count.to_json()["tpr_lenient"], 0.75);
    }
}
