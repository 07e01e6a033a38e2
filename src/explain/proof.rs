//! The narrowest exclusion that lets a request pass, and the proof that it does.

use super::evaluate::{Evaluation, evaluate};
use super::exchange::Exchange;
use super::exclusion::{Exclusion, Place, seclang, target, yaml};
use super::explanation::{Proof, Proposal};
use super::recorded::Recorded;
use super::scoring::{Scoring, links};
use super::subject::{Settings, severity_score};
use crate::audit::Masker;
use crate::engine::{TraceOptions, TracedMatch, TracedRule};
use crate::http::Target;
use crate::ruleset::Ruleset;
use crate::variable::{Shape, Variable};
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

/// How much an exclusion takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Breadth {
    /// A member of a collection.
    Member,
    /// How many of a member there are.
    Count,
    /// A variable as a whole.
    Whole,
    /// The rule.
    Rule,
}

/// What can be excluded of one rule that matched.
struct Candidate {
    rule: u64,
    score: i64,
    targets: Vec<Option<String>>,
    /// The same in parts; none for the whole rule.
    parts: Vec<(String, Option<Vec<u8>>)>,
    breadth: Breadth,
    /// What matched, for people.
    seen: Vec<String>,
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
    let mut attempt = Attempt { place, reason, exclusions: Vec::new(), warnings: Vec::new() };
    if is_wide {
        attempt.warnings.push(
            "something secret stands in the path; the exclusion holds whatever stands there".to_owned(),
        );
    }
    let ruleset = settings.rules.ruleset();
    if evaluation.stopped_by().is_none() {
        let record = record?;
        attempt.add(from_record(record, masker)?);
        let told = "not tried: evaluated again, the request passes without it, since the record does not hold all of the \
                    request or other rules are loaded";
        return Some(attempt.finish(Proof { proven: false, told: told.to_owned(), score: None }));
    }
    attempt.add(candidates(&ruleset, scoring, evaluation, masker)?);
    let mut proof = Proof { proven: false, told: String::new(), score: None };
    for _ in 0..ROUNDS {
        let changed = match settings.rules.with(&seclang(&attempt.exclusions, &attempt.reason)) {
            Ok(changed) => changed,
            Err(error) => {
                proof.told = format!("the rules do not load with it: {error}");
                break;
            }
        };
        let id = evaluation.report.id.as_str();
        let options = TraceOptions::default();
        let again = evaluate(exchange, &changed, settings.mode, id, &settings.world, &options);
        proof.score = (again.report.scores.inbound_threshold > 0).then_some(again.report.scores.inbound);
        let Some(stop) = again.stopped_by() else {
            let score = proof.score.map(|score| format!(", with a score of {score}")).unwrap_or_default();
            (proof.proven, proof.told) =
                (true, format!("evaluated again with it, the request passes{score}"));
            break;
        };
        let masker = settings.auditor.masker(&again.report);
        let scoring = Scoring::of(&changed);
        let more = candidates(&changed, &scoring, &again, &masker).unwrap_or_default();
        if !attempt.add(more) {
            let by = if stop.rule_id == 0 { "a limit".to_owned() } else { format!("rule {}", stop.rule_id) };
            proof.told = format!("evaluated again with it, the request is still stopped by {by}");
            break;
        }
    }
    if proof.told.is_empty() {
        proof.told = format!("given up: after {ROUNDS} evaluations further rules still stop the request");
    }
    Some(attempt.finish(proof))
}

/// An exclusion that grows.
struct Attempt {
    place: Place,
    reason: String,
    exclusions: Vec<Exclusion>,
    warnings: Vec<String>,
}

impl Attempt {
    /// Adds what the candidates can do without; whether there was anything new.
    fn add(&mut self, candidates: Vec<Candidate>) -> bool {
        let before = self.exclusions.len();
        for candidate in candidates {
            let Candidate { rule, targets, breadth, seen, .. } = candidate;
            let seen = seen.join(", ");
            let place = self.place.told();
            let mut added = false;
            for target in targets {
                let one = Exclusion { rule, target, place: self.place.clone() };
                if !self.exclusions.contains(&one) {
                    self.exclusions.push(one);
                    added = true;
                }
            }
            let warning = match breadth {
                _ if !added => continue,
                Breadth::Member => continue,
                Breadth::Count => format!("rule {rule} counts {seen}; for {place} it no longer does"),
                Breadth::Whole => {
                    format!("{seen} has no members: for {place} rule {rule} no longer looks at any of it")
                }
                Breadth::Rule => format!(
                    "what rule {rule} matched ({seen}) cannot be taken away from it: for {place} it is switched off"
                ),
            };
            self.warnings.push(warning);
        }
        self.exclusions.len() > before
    }

    fn finish(self, proof: Proof) -> Proposal {
        let Self { reason, exclusions, warnings, .. } = self;
        Proposal {
            seclang: seclang(&exclusions, &reason),
            yaml: yaml(&exclusions, &reason),
            exclusions,
            warnings,
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

/// The same with what it costs.
fn candidates(
    ruleset: &Ruleset,
    scoring: &Scoring,
    evaluation: &Evaluation,
    masker: &Masker<'_>,
) -> Option<Vec<Candidate>> {
    let stop = evaluation.stopped_by().filter(|stop| stop.rule_id != 0)?;
    let trace = &evaluation.trace;
    let by_itself = trace
        .rules
        .iter()
        .rfind(|rule| ruleset.rule(rule.rule).id == stop.rule_id && !scoring.decides(ruleset, rule.rule));
    if let Some(rule) = by_itself {
        return Some(vec![candidate(ruleset, rule, 0, masker)]);
    }
    let counted = scoring.counted(ruleset, trace);
    let outbound = stop.phase > 2;
    let scores = &evaluation.report.scores;
    let (total, threshold) = match outbound {
        true => (scores.outbound, scores.outbound_threshold),
        false => (scores.inbound, scores.inbound_threshold),
    };
    let mut candidates = Vec::new();
    for rule in &trace.rules {
        match scoring.contribution(rule, &counted) {
            Some(c) if c.counted && c.outbound == outbound && c.amount > 0 => {
                candidates.push(candidate(ruleset, rule, c.amount, masker));
            }
            _ => {}
        }
    }
    Some(least(candidates, total, threshold))
}

/// As few and as narrow candidates as bring `total` below `threshold`; all of them when nothing does.
fn least(mut candidates: Vec<Candidate>, total: i64, threshold: i64) -> Vec<Candidate> {
    candidates.sort_by_key(|c| (c.breadth, -c.score));
    let mut rest = total;
    let mut chosen: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if rest < threshold {
            break;
        }
        rest -= candidate.score;
        chosen.push(candidate);
    }
    // A later one with a greater score may have made an earlier one needless.
    let mut at = chosen.len();
    while at > 0 {
        at -= 1;
        let score = chosen.get(at).map_or(0, |c| c.score);
        if rest + score < threshold {
            rest += score;
            chosen.remove(at);
        }
    }
    chosen
}

/// What can be excluded of a rule: the targets of that link of its chain where this takes away least.
fn candidate(ruleset: &Ruleset, rule: &TracedRule, score: i64, masker: &Masker<'_>) -> Candidate {
    let id = ruleset.rule(rule.rule).id;
    let seen: Vec<String> = rule.matches.iter().map(|m| shown(m, masker)).collect();
    let mut best: Option<(Breadth, Vec<&TracedMatch>)> = None;
    for link in links(ruleset, rule.rule) {
        let matches: Vec<&TracedMatch> = rule.matches.iter().filter(|m| m.link == link).collect();
        let Some(breadth) = matches.iter().map(|m| breadth(m)).collect::<Option<Vec<_>>>() else { continue };
        let Some(breadth) = breadth.into_iter().max() else { continue };
        if best.as_ref().is_none_or(|(least, _)| breadth < *least) {
            best = Some((breadth, matches));
        }
    }
    let Some((breadth, matches)) = best else {
        let targets = vec![None];
        return Candidate { rule: id, score, targets, parts: Vec::new(), breadth: Breadth::Rule, seen };
    };
    let mut targets: Vec<Option<String>> = Vec::new();
    for m in &matches {
        let target = Some(target(m.variable.name(), m.member.as_deref(), masker));
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    let part = |m: &&TracedMatch| (m.variable.name().to_owned(), m.member.clone());
    let mut parts: Vec<_> = matches.iter().map(part).collect();
    parts.dedup();
    let seen = matches.iter().map(|m| shown(m, masker)).collect();
    Candidate { rule: id, score, targets, parts, breadth, seen }
}

fn shown(matched: &TracedMatch, masker: &Masker<'_>) -> String {
    target(matched.variable.name(), matched.member.as_deref(), masker)
}

/// How broad it is to exclude what matched; none when that cannot be.
fn breadth(matched: &TracedMatch) -> Option<Breadth> {
    use Variable as V;
    match matched.variable {
        V::Tx | V::MatchedVar | V::MatchedVars | V::MatchedVarName | V::MatchedVarsNames | V::UniqueId => {
            None
        }
        _ if matched.count => Some(if matched.member.is_some() { Breadth::Count } else { Breadth::Whole }),
        variable => Some(match (variable.row().shape, &matched.member) {
            (Shape::Collection, Some(_)) => Breadth::Member,
            _ => Breadth::Whole,
        }),
    }
}

/// The same from a record alone.
fn from_record(record: &Recorded, masker: &Masker<'_>) -> Option<Vec<Candidate>> {
    let stop = record.stopped_by()?;
    let id = stop.rule_id.filter(|id| *id != 0)?;
    let by_itself = |hit: &&super::RecordedHit| {
        hit.id == id && hit.matches().any(|(variable, _)| !variable.to_ascii_uppercase().starts_with("TX:"))
    };
    let of = |hit: &super::RecordedHit| {
        let mut targets = Vec::new();
        let mut breadth = Breadth::Member;
        for (variable, _) in hit.matches() {
            let derived = |name: &str| name.starts_with("MATCHED_VAR") || name.starts_with("TX:");
            if derived(&variable.to_ascii_uppercase()) {
                continue;
            }
            let counts = variable.starts_with('&');
            let name = variable.trim_start_matches('&');
            let (name, member) =
                name.split_once(':').map_or((name, None), |(name, member)| (name, Some(member)));
            breadth = breadth.max(match (member, counts) {
                (Some(_), false) => Breadth::Member,
                (Some(_), true) => Breadth::Count,
                (None, _) => Breadth::Whole,
            });
            targets.push(Some(target(name, member.map(crate::audit::restore).as_deref(), masker)));
        }
        targets.dedup();
        let seen = targets.iter().flatten().cloned().collect();
        if targets.is_empty() {
            (targets, breadth) = (vec![None], Breadth::Rule);
        }
        let score = hit.severity.as_deref().map_or(0, severity_score);
        Candidate { rule: hit.id, score, targets, parts: Vec::new(), breadth, seen }
    };
    if let Some(hit) = record.rules.iter().find(by_itself) {
        return Some(vec![of(hit)]);
    }
    let scoring = record.rules.iter().filter(|hit| {
        let own = hit.matches().any(|(variable, _)| !variable.to_ascii_uppercase().starts_with("TX:"));
        own && hit.phase <= 2 && hit.severity.as_deref().is_some_and(|s| severity_score(s) > 0)
    });
    let chosen = least(scoring.map(of).collect(), record.score.inbound, record.score.threshold);
    (!chosen.is_empty()).then_some(chosen)
}
