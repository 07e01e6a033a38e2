//! What can be excluded of the rules that stopped a request, and the least of it that would do.

use super::evaluate::Evaluation;
use super::exclusion::target;
use super::recorded::{Recorded, RecordedHit};
use super::scoring::{Scoring, links};
use super::subject::severity_score;
use crate::audit::Masker;
use crate::engine::{TracedMatch, TracedRule};
use crate::ruleset::{RuleIndex, Ruleset};
use crate::variable::{Shape, Variable};

/// How much an exclusion takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Breadth {
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
pub(super) struct Candidate {
    pub(super) rule: u64,
    pub(super) score: i64,
    /// Each with how much it takes away; none for the whole rule.
    pub(super) targets: Vec<(Option<String>, Breadth)>,
    /// The same in parts; none for the whole rule.
    pub(super) parts: Vec<(String, Option<Vec<u8>>)>,
    /// Of the broadest target.
    pub(super) breadth: Breadth,
    /// What matched, for people.
    pub(super) seen: String,
    /// Whether a later link of the rule judges what its targets matched, so that fewer of them may do.
    pub(super) is_judged_later: bool,
}

/// The least that must not match for a stopped request to pass, as far as it has been evaluated. Rules that only keep
/// books of scores are never among it.
pub(super) fn candidates(
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

/// The same from a record alone, of the rules that `is_meant` names.
pub(super) fn from_record(
    record: &Recorded,
    masker: &Masker<'_>,
    is_meant: &dyn Fn(u64) -> bool,
) -> Option<Vec<Candidate>> {
    let stop = record.stopped_by()?;
    let id = stop.rule_id.filter(|id| *id != 0)?;
    let is_tx = |variable: &str| variable.to_ascii_uppercase().starts_with("TX:");
    let mut hits = record.rules.iter().filter(|hit| is_meant(hit.id));
    let by_itself = |hit: &&RecordedHit| hit.id == id && hit.matches().any(|(name, _)| !is_tx(name));
    if let Some(hit) = hits.clone().find(by_itself) {
        return Some(vec![recorded_candidate(hit, masker)]);
    }
    let outbound = stop.phase.is_some_and(|phase| phase > 2);
    let (total, threshold) = match outbound {
        true => (record.score.outbound, record.score.outbound_threshold),
        false => (record.score.inbound, record.score.threshold),
    };
    let score = |hit: &RecordedHit| hit.severity.as_deref().map_or(0, severity_score);
    let scores = |hit: &RecordedHit| {
        hit.matches().any(|(name, _)| !is_tx(name)) && (hit.phase > 2) == outbound && score(hit) > 0
    };
    // What the others have scored is taken away elsewhere.
    let others = record.rules.iter().filter(|hit| !is_meant(hit.id) && scores(hit)).map(score).sum::<i64>();
    let all = hits.by_ref().filter(|hit| scores(hit)).map(|hit| recorded_candidate(hit, masker)).collect();
    let chosen = least(all, total.saturating_sub(others), threshold);
    (!chosen.is_empty()).then_some(chosen)
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
    let seen = |matches: &[&TracedMatch]| {
        let mut all: Vec<String> = matches.iter().map(|m| shown(m, masker)).collect();
        all.dedup();
        all.join(", ")
    };
    let mut best: Option<(Breadth, Vec<&TracedMatch>, RuleIndex)> = None;
    for link in links(ruleset, rule.rule) {
        let matches: Vec<&TracedMatch> = rule.matches.iter().filter(|m| m.link == link).collect();
        let Some(breadth) = matches.iter().map(|m| breadth(m)).collect::<Option<Vec<_>>>() else { continue };
        let Some(breadth) = breadth.into_iter().max() else { continue };
        if best.as_ref().is_none_or(|(least, ..)| breadth < *least) {
            best = Some((breadth, matches, link));
        }
    }
    let Some((broadest, matches, link)) = best else {
        return Candidate {
            rule: id,
            score,
            targets: vec![(None, Breadth::Rule)],
            parts: Vec::new(),
            breadth: Breadth::Rule,
            seen: seen(&rule.matches.iter().collect::<Vec<_>>()),
            is_judged_later: false,
        };
    };
    let mut targets: Vec<(Option<String>, Breadth)> = Vec::new();
    for m in &matches {
        let target = (Some(shown(m, masker)), breadth(m).unwrap_or(broadest));
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    let part = |m: &&TracedMatch| (m.variable.name().to_owned(), m.member.clone());
    let mut parts: Vec<_> = matches.iter().map(part).collect();
    parts.dedup();
    Candidate {
        rule: id,
        score,
        targets,
        parts,
        breadth: broadest,
        seen: seen(&matches),
        is_judged_later: ruleset.rule(link).next.is_some(),
    }
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

fn recorded_candidate(hit: &RecordedHit, masker: &Masker<'_>) -> Candidate {
    let mut targets: Vec<(Option<String>, Breadth)> = Vec::new();
    for (variable, _) in hit.matches() {
        let derived = |name: &str| name.starts_with("MATCHED_VAR") || name.starts_with("TX:");
        if derived(&variable.to_ascii_uppercase()) {
            continue;
        }
        let counts = variable.starts_with('&');
        let name = variable.trim_start_matches('&');
        let (name, member) = name.split_once(':').map_or((name, None), |(name, member)| (name, Some(member)));
        let breadth = match (member, counts) {
            (Some(_), false) => Breadth::Member,
            (Some(_), true) => Breadth::Count,
            (None, _) => Breadth::Whole,
        };
        targets.push((Some(target(name, member.map(crate::audit::restore).as_deref(), masker)), breadth));
    }
    targets.dedup();
    let seen = targets.iter().filter_map(|(target, _)| target.clone()).collect::<Vec<_>>().join(", ");
    if targets.is_empty() {
        targets = vec![(None, Breadth::Rule)];
    }
    Candidate {
        rule: hit.id,
        score: hit.severity.as_deref().map_or(0, severity_score),
        breadth: targets.iter().map(|(_, breadth)| *breadth).max().unwrap_or(Breadth::Rule),
        targets,
        parts: Vec::new(),
        seen,
        is_judged_later: false,
    }
}
