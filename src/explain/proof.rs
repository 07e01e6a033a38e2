//! The narrowest exclusion that lets a request pass, and the proof that it does.

use super::candidate::{Breadth, Candidate, candidates, from_record};
use super::evaluate::{Evaluation, evaluate};
use super::exchange::Exchange;
use super::exclusion::{Exclusion, Place, seclang, yaml};
use super::explanation::{Proof, Proposal};
use super::recorded::Recorded;
use super::scoring::Scoring;
use super::subject::Settings;
use crate::audit::Masker;
use crate::engine::TraceOptions;
use crate::http::Target;
use crate::ruleset::Ruleset;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rules that can be compiled once more with something before them.
pub trait Rules {
    /// The rules as they are.
    fn ruleset(&self) -> Arc<Ruleset>;

    /// The rules with this SecLang before them.
    ///
    /// # Errors
    ///
    /// What the compiler said.
    fn with(&self, before: &str) -> Result<Arc<Ruleset>, String>;
}

/// Evaluations before it is given up: each may bring to light rules that an earlier decision had hidden.
const ROUNDS: usize = 8;

/// Proposes an exclusion for an exchange that `evaluation`, or its record, says is stopped, and tries it. None when no
/// rule stopped it.
pub fn propose(
    exchange: &Exchange,
    record: Option<&Recorded>,
    settings: &Settings<'_>,
    evaluation: &Evaluation,
    masker: &Masker<'_>,
    scoring: &Scoring,
) -> Option<Proposal> {
    let parsed = Target::parse(&exchange.method, &exchange.target);
    let (place, is_wide) = Place::exact(&exchange.method, &parsed.request_filename(), masker);
    let is_plain = place.path.as_deref().is_some_and(|path| path.starts_with("@streq"));
    let reason = if is_plain {
        format!("let {} pass", place.told())
    } else {
        "let requests to this path pass".to_owned()
    };
    let mut attempt = Attempt { place, reason, items: Vec::new(), notes: Vec::new() };
    if is_wide {
        let note = "something secret stands in the path; the exclusion holds whatever stands there";
        attempt.notes.push(note.to_owned());
    }
    let ruleset = settings.rules.ruleset();
    if evaluation.stopped_by().is_none() {
        let record = record?;
        attempt.add(from_record(record, masker, &|_| true)?);
        let told = "not tried: evaluated again, the request passes without it, since the record does not hold all of the \
                    request or other rules are loaded";
        return Some(attempt.finish(Proof { proven: false, told: told.to_owned(), score: None }));
    }
    attempt.add(candidates(&ruleset, scoring, evaluation, masker)?);
    let mut proof = Proof { proven: false, told: String::new(), score: None };
    for _ in 0..ROUNDS {
        let again = match attempt.evaluate(&attempt.exclusions(), exchange, settings, evaluation) {
            Ok(again) => again,
            Err(error) => {
                proof.told = format!("the rules do not load with it: {error}");
                break;
            }
        };
        let Evaluated { ruleset, evaluation: again } = again;
        let scores = &again.report.scores;
        proof.score = (scores.inbound_threshold > 0).then_some(scores.inbound);
        let Some(stop) = again.stopped_by() else {
            let score = proof.score.map(|score| format!(", with a score of {score}")).unwrap_or_default();
            (proof.proven, proof.told) =
                (true, format!("evaluated again with it, the request passes{score}"));
            break;
        };
        let masker = settings.auditor.masker(&again.report);
        let scoring = Scoring::of(&ruleset);
        let more = candidates(&ruleset, &scoring, &again, &masker).unwrap_or_default();
        if !attempt.add(more) {
            let by = if stop.rule_id == 0 { "a limit".to_owned() } else { format!("rule {}", stop.rule_id) };
            proof.told = format!("evaluated again with it, the request is still stopped by {by}");
            break;
        }
    }
    if proof.told.is_empty() {
        proof.told = format!("given up: after {ROUNDS} evaluations further rules still stop the request");
    }
    if proof.proven {
        let needless = attempt.needless(|exclusions| {
            let again = attempt.evaluate(exclusions, exchange, settings, evaluation);
            again.is_ok_and(|again| again.evaluation.stopped_by().is_none())
        });
        let mut at = 0;
        attempt.items.retain(|_| {
            at += 1;
            !needless.contains(&(at - 1))
        });
    }
    if let Some(record) = record.filter(|_| proof.proven) {
        let is_unseen = |id: u64| !evaluation.report.rules.iter().any(|hit| hit.id == id);
        let unseen = from_record(record, masker, &is_unseen).unwrap_or_default();
        if !unseen.is_empty() {
            let ids: Vec<String> = unseen.iter().map(|one| one.rule.to_string()).collect();
            attempt.add(unseen);
            (proof.proven, proof.told) = (
                false,
                format!(
                    "what {} matched is not in the record, so that the exclusion of it could not be tried; with the rest, \
                     the request passes",
                    ids.join(", ")
                ),
            );
        }
    }
    Some(attempt.finish(proof))
}

/// An evaluation with the rules that it was made with.
struct Evaluated {
    ruleset: Arc<Ruleset>,
    evaluation: Evaluation,
}

/// An exclusion that grows, and is narrowed at last.
struct Attempt {
    place: Place,
    reason: String,
    items: Vec<Item>,
    /// Further warnings.
    notes: Vec<String>,
}

/// One exclusion, as [`Candidate`] tells of it.
struct Item {
    exclusion: Exclusion,
    breadth: Breadth,
    seen: String,
    is_judged_later: bool,
}

/// Evaluations in which it is tried whether less would do.
const TRIALS: usize = 24;

impl Attempt {
    /// Adds what the candidates can do without; whether there was anything new.
    fn add(&mut self, candidates: Vec<Candidate>) -> bool {
        let before = self.items.len();
        for Candidate { rule, targets, seen, is_judged_later, .. } in candidates {
            for (target, breadth) in targets {
                let exclusion = Exclusion { rule, target, place: self.place.clone() };
                if self.items.iter().all(|item| item.exclusion != exclusion) {
                    self.items.push(Item { exclusion, breadth, seen: seen.clone(), is_judged_later });
                }
            }
        }
        self.items.len() > before
    }

    fn exclusions(&self) -> Vec<Exclusion> {
        self.items.iter().map(|item| item.exclusion.clone()).collect()
    }

    /// Passes the request through the rules with `exclusions` before them.
    fn evaluate(
        &self,
        exclusions: &[Exclusion],
        exchange: &Exchange,
        settings: &Settings<'_>,
        first: &Evaluation,
    ) -> Result<Evaluated, String> {
        let ruleset = settings.rules.with(&seclang(exclusions, &self.reason))?;
        let options = TraceOptions::default();
        let evaluation =
            evaluate(exchange, &ruleset, settings.mode, &first.report.id, &settings.world, &options);
        Ok(Evaluated { ruleset, evaluation })
    }

    /// Indices of what the request passes without: of the targets of a rule whose later links judge them, not all need be
    /// excluded. Halves are tried first, then their halves.
    fn needless(&self, passes: impl Fn(&[Exclusion]) -> bool) -> BTreeSet<usize> {
        let mut needless = BTreeSet::new();
        let mut trials = 0;
        let rules: BTreeSet<u64> =
            self.items.iter().filter(|i| i.is_judged_later).map(|i| i.exclusion.rule).collect();
        for rule in rules {
            let of_rule = |at: &usize| self.items.get(*at).is_some_and(|item| item.exclusion.rule == rule);
            let mut left: Vec<usize> = (0..self.items.len()).filter(of_rule).collect();
            let mut size = left.len() / 2;
            while size > 0 {
                let mut at = 0;
                while at < left.len() && left.len() > 1 {
                    let part: BTreeSet<usize> = left.iter().skip(at).take(size).copied().collect();
                    trials += 1;
                    if trials > TRIALS {
                        return needless;
                    }
                    let is_kept = |at: &usize| !needless.contains(at) && !part.contains(at);
                    let kept = self.items.iter().enumerate().filter(|(at, _)| is_kept(at));
                    let kept: Vec<Exclusion> = kept.map(|(_, item)| item.exclusion.clone()).collect();
                    if part.len() < left.len() && passes(&kept) {
                        left.retain(|at| !part.contains(at));
                        needless.extend(part);
                    } else {
                        at += size;
                    }
                }
                size /= 2;
            }
        }
        needless
    }

    /// Where it takes away more than what was seen, a sentence each.
    fn warnings(&self) -> Vec<String> {
        let place = self.place.told();
        let mut all = self.notes.clone();
        let mut rules: Vec<u64> = self.items.iter().map(|item| item.exclusion.rule).collect();
        rules.dedup();
        for rule in rules {
            let of = |breadth: Breadth| {
                let items = self.items.iter().filter(|i| i.exclusion.rule == rule && i.breadth == breadth);
                items.collect::<Vec<_>>()
            };
            let targets = |items: &[&Item]| {
                items.iter().filter_map(|i| i.exclusion.target.clone()).collect::<Vec<_>>().join(", ")
            };
            let (counts, wholes) = (of(Breadth::Count), of(Breadth::Whole));
            if !counts.is_empty() {
                all.push(format!("rule {rule} counts {}; for {place} it no longer does", targets(&counts)));
            }
            if !wholes.is_empty() {
                let have = if wholes.len() > 1 { "have" } else { "has" };
                all.push(format!(
                    "{} {have} no members: for {place} rule {rule} no longer looks at any of it",
                    targets(&wholes)
                ));
            }
            if let [item, ..] = of(Breadth::Rule).as_slice() {
                all.push(format!(
                    "what rule {rule} matched ({}) cannot be taken away from it: for {place} it is switched off",
                    item.seen
                ));
            }
        }
        all
    }

    fn finish(self, proof: Proof) -> Proposal {
        let exclusions = self.exclusions();
        Proposal {
            seclang: seclang(&exclusions, &self.reason),
            yaml: yaml(&exclusions, &self.reason),
            warnings: self.warnings(),
            exclusions,
            proof,
        }
    }
}

/// What must not match of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The rule.
    pub rule: u64,
    /// Variables, with their members where they have any; none when nothing less than the rule would do.
    pub parts: Vec<(String, Option<Vec<u8>>)>,
}

/// The least that must not match for a stopped request to pass, as far as it has been evaluated. Rules that only keep
/// books of scores are never among it.
pub fn needed(
    ruleset: &Ruleset,
    scoring: &Scoring,
    evaluation: &Evaluation,
    masker: &Masker<'_>,
) -> Vec<Need> {
    let all = candidates(ruleset, scoring, evaluation, masker).unwrap_or_default();
    all.into_iter().map(|one| Need { rule: one.rule, parts: one.parts }).collect()
}
