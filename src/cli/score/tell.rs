//! Results for people and for machines.

use super::send::Sent;
use super::set::{Case, Label};
use super::tally::{Count, Groups, Outcome, Tally};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A case with what came of it.
pub(super) struct Judged<'a> {
    pub case: &'a Case,
    pub sent: &'a Sent,
    pub outcome: Outcome,
}

impl Judged<'_> {
    /// `miss`, `false-positive`, `legit-not-passed`, or nothing where all is well.
    pub(super) fn error(&self) -> Option<&'static str> {
        match (self.case.label, self.outcome) {
            (Label::Attack, Outcome::Blocked) | (Label::Legit, Outcome::Passed) => None,
            (Label::Attack, _) => Some("miss"),
            (Label::Legit, Outcome::Blocked) => Some("false-positive"),
            (Label::Legit, _) => Some("legit-not-passed"),
        }
    }

    /// One line: where, what, and the rules that had a part in it.
    pub(super) fn line(&self) -> String {
        let case = self.case;
        let outcome = self.outcome.word(self.sent.status.unwrap_or(0));
        let mut out = format!(
            "{outcome:5} {} {} {}/{} {} {}",
            case.tier,
            case.id,
            case.source,
            case.category,
            case.method,
            cut(&case.path, SHOWN)
        );
        if !case.body.is_empty() {
            let _ = write!(out, "  {}", cut(&String::from_utf8_lossy(&case.body), SHOWN).escape_debug());
        }
        for rule in &self.sent.rules {
            let _ = write!(out, "\n        {} {}: {:?}", rule.id, rule.variable, rule.value);
        }
        out.push('\n');
        out
    }

    pub(super) fn to_json(&self) -> Value {
        let case = self.case;
        json!({
            "kind": self.error(),
            "outcome": self.outcome.word(self.sent.status.unwrap_or(0)),
            "id": case.id,
            "source": case.source,
            "category": case.category,
            "evasion": case.evasion,
            "q": case.tier.to_string(),
            "policy": case.policy,
            "method": case.method,
            "path": case.path,
            "headers": case.headers,
            "body": cut(&String::from_utf8_lossy(&case.body), BODY),
            "rules": self.sent.rules.iter().map(super::send::Hit::to_json).collect::<Vec<_>>(),
        })
    }
}

/// Characters of a target or body that a line shows.
const SHOWN: usize = 200;
/// Characters of a body in a file of errors.
const BODY: usize = 2000;

fn cut(text: &str, length: usize) -> String {
    text.chars().take(length).collect()
}

/// A table for people.
pub(super) fn table(tally: &Tally) -> String {
    let mut out = format!(
        "{:36} {:>7} {:>6} {:>6} {:>7} {:>6} {:>6} {:>6}\n",
        "", "attacks", "TPR%", "len%", "legit", "FPR%", "len%", "BA%"
    );
    for (name, count) in &tally.headlines {
        row(&mut out, name, count);
    }
    for (title, groups) in sections(tally) {
        if !groups.is_empty() {
            let _ = writeln!(out, "\n{title}");
        }
        for (name, count) in groups {
            row(&mut out, &format!("  {name}"), count);
        }
    }
    out
}

fn sections(tally: &Tally) -> [(&'static str, &Groups); 4] {
    [
        ("by_source", &tally.sources),
        ("by_category", &tally.categories),
        ("by_position", &tally.positions),
        ("by_evasion", &tally.evasions),
    ]
}

fn row(out: &mut String, name: &str, count: &Count) {
    let percent = |rate: Option<f64>| rate.map_or("-".to_owned(), |r| format!("{:.2}", r * 100.0));
    // Infallible: the target is a string.
    let _ = writeln!(
        out,
        "{name:36} {:7} {:>6} {:>6} {:7} {:>6} {:>6} {:>6}",
        count.attacks,
        percent(count.tpr()),
        percent(count.tpr_lenient()),
        count.legit,
        percent(count.fpr()),
        percent(count.fpr_lenient()),
        percent(count.balanced_accuracy()),
    );
}

/// The same as one JSON object, with the names of the set's own tool.
pub(super) fn to_json(tally: &Tally, cases: usize, part: &str, asked: &str) -> Value {
    let mut out = serde_json::Map::new();
    out.insert("version".into(), json!(env!("CARGO_PKG_VERSION")));
    out.insert("rules".into(), json!(asked));
    out.insert("part".into(), json!(part));
    out.insert("cases".into(), json!(cases));
    for (name, count) in &tally.headlines {
        out.insert((*name).to_owned(), count.to_json());
    }
    for (title, groups) in sections(tally) {
        let rows = groups.iter().map(|(name, count)| (name.clone(), count.to_json()));
        out.insert(title.to_owned(), Value::Object(rows.collect()));
    }
    Value::Object(out)
}
