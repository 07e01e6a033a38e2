//! From an exchange, and perhaps its record, to an explanation.

use super::almost::near;
use super::evaluate::{Evaluation, evaluate};
use super::exchange::Exchange;
use super::explanation::{Basis, Decision, Explanation, MatchedValue, Request, Rule, Score, Scores, Step};
use super::proof::{Rules, propose};
use super::recorded::{Recorded, RecordedEvent, RecordedHit};
use super::refusal::remedy_of_limit;
use super::scoring::{Contribution, Scoring, links};
use super::words::{first_sentence, purpose};
use crate::audit::{Auditor, Hit, MASK, Masker, Piece, mode_name};
use crate::engine::{Event, Interruption, Report, TraceOptions, TracedMatch, TracedRule, World};
use crate::ruleset::{Mode, RuleIndex, Ruleset};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// What an explanation is made with.
pub struct Settings<'a> {
    /// The rules, and how to put an exclusion before them.
    pub rules: &'a dyn Rules,
    /// Overrides `SecRuleEngine`.
    pub mode: Option<Mode>,
    /// Masks what is secret.
    pub auditor: &'a Auditor,
    /// Time and persistent collections.
    pub world: Arc<dyn World>,
    /// The hash of the generation that `rules` belong to; empty when there is none.
    pub generation: String,
    /// Whether to look for rules that nearly matched.
    pub near: bool,
    /// Whether to propose an exclusion.
    pub propose: bool,
}

/// Explains `exchange`; `record` is what was recorded of it, when it has come by already.
pub fn explain(exchange: &Exchange, record: Option<&Recorded>, settings: &Settings<'_>) -> Explanation {
    let ruleset = settings.rules.ruleset();
    let id = record.map_or("explained", |record| record.id.as_str());
    let evaluation =
        evaluate(exchange, &ruleset, settings.mode, id, &settings.world, &TraceOptions::default());
    let masker = settings.auditor.masker(&evaluation.report);
    let scoring = Scoring::of(&ruleset);
    let teller = Teller { ruleset: &ruleset, masker: &masker, scoring: &scoring };
    let mut told = teller.rules(&evaluation);
    let basis = basis(exchange, record, settings, &evaluation, &mut told);
    let mut scores = scores(&evaluation.report, &told.rules, &scoring);
    let is_otherwise = |record: &&Recorded| match (record.stopped_by(), evaluation.stopped_by()) {
        // Other engines' records do not always say what stopped it.
        (Some(then), Some(now)) => then.rule_id == Some(0) && now.rule_id != 0,
        (Some(_), None) => true,
        (None, Some(_)) => !record.generation.is_empty(),
        (None, None) => false,
    };
    let mut decision = match record.filter(|record| !basis.missing.is_empty() || is_otherwise(record)) {
        // The record is what happened; an evaluation that did not find the same must not contradict it.
        Some(record) => {
            let (stopped, enforced) = (record.stopped_by(), !record.decision.passes());
            let score = Score {
                total: record.score.inbound,
                threshold: record.score.threshold,
                uncounted: scores.inbound.map_or(0, |score| score.uncounted),
            };
            scores.inbound = (score.threshold > 0).then_some(score);
            Decision {
                action: stopped.map_or("pass", |verdict| verdict.action.as_str()).to_owned(),
                status: stopped.and_then(|verdict| verdict.status),
                rule: stopped.and_then(|verdict| verdict.rule_id),
                phase: stopped.and_then(|verdict| verdict.phase),
                enforced: stopped.is_some() && enforced,
                mode: record.mode.clone(),
                told: String::new(),
            }
        }
        None => decision(evaluation.stopped_by(), &evaluation.report),
    };
    let event = |event: &Event| RecordedEvent {
        kind: event.kind.name().to_owned(),
        detail: masker.text(event.detail.as_bytes(), LINE).into_owned(),
    };
    let events: Vec<RecordedEvent> = match record {
        Some(record) => record.events.clone(),
        None => evaluation.report.events.iter().map(event).collect(),
    };
    decision.told = sentence(&decision, &scores, &told, &events, record.is_some());
    let is_of_limit = decision.action != "pass" && decision.rule.is_none_or(|rule| rule == 0);
    let remedy = if is_of_limit { remedy_of_limit(&events) } else { "" };
    let proposal = (settings.propose && decision.action != "pass")
        .then(|| propose(exchange, record, settings, &evaluation, &masker, &scoring))
        .flatten();
    let near = settings.near.then(|| near(exchange, settings, &told, id));
    let request = &evaluation.report.request;
    Explanation {
        id: record.map(|record| record.id.clone()),
        time: record.map(|record| record.time.clone()),
        site: record.map(|record| record.site.clone()),
        client: record.and_then(|record| record.client.as_ref()).map(|client| client.ip.clone()),
        request: Request {
            method: masker.text(&request.method, LINE).into_owned(),
            uri: masker.text(&exchange.target, LINE).into_owned(),
            protocol: masker.text(&exchange.protocol, LINE).into_owned(),
            headers: exchange
                .headers
                .iter()
                .map(|(n, v)| (masker.text(n, LINE).into_owned(), masker.request_header(n, v).into_owned()))
                .collect(),
            body: masker.body(&exchange.body).into_owned(),
        },
        basis,
        decision,
        scores,
        rules: told.rules,
        others: told.others,
        bookkeeping: told.bookkeeping,
        events: events.into_iter().map(|event| event.detail).collect(),
        remedy: Some(remedy.to_owned()).filter(|remedy| !remedy.is_empty()),
        proposal,
        near,
    }
}

/// Bytes of a line of the request that are shown.
const LINE: usize = 8_192;

/// Rules by what they did.
#[derive(Default)]
pub(super) struct Told {
    pub(super) rules: Vec<Rule>,
    pub(super) others: Vec<Rule>,
    pub(super) bookkeeping: Vec<u64>,
}

impl Told {
    fn ids(&self) -> BTreeSet<u64> {
        let rules = self.rules.iter().chain(&self.others).map(|rule| rule.id);
        rules.chain(self.bookkeeping.iter().copied()).collect()
    }
}

/// Tells of rules.
pub(super) struct Teller<'a> {
    pub(super) ruleset: &'a Ruleset,
    pub(super) masker: &'a Masker<'a>,
    pub(super) scoring: &'a Scoring,
}

impl Teller<'_> {
    /// All rules of an evaluation that are worth telling of.
    pub(super) fn rules(&self, evaluation: &Evaluation) -> Told {
        let counted = self.scoring.counted(self.ruleset, &evaluation.trace);
        let mut told = Told::default();
        for rule in &evaluation.trace.rules {
            let contribution = self.scoring.contribution(rule, &counted);
            let hit = rule.hit.and_then(|at| evaluation.report.rules.get(at));
            let id = self.ruleset.rule(rule.rule).id;
            if contribution.is_none() && Scoring::keeps_books(self.ruleset, rule.rule) {
                let decides_alone = rule.disruptive && !self.scoring.decides(self.ruleset, rule.rule);
                if !decides_alone {
                    told.bookkeeping.extend(hit.map(|_| id));
                    continue;
                }
            }
            if contribution.is_none() && !rule.disruptive && hit.is_none_or(|hit| !hit.log && !hit.auditlog) {
                continue;
            }
            let matters = contribution.is_some() || rule.disruptive;
            let one = self.rule(rule, hit.map(|hit| self.masker.hit(hit)).as_ref(), contribution);
            if matters { told.rules.push(one) } else { told.others.push(one) }
        }
        told.rules.sort_by_key(|rule| (!rule.disruptive, !rule.counted, -rule.score));
        told
    }

    /// One rule.
    pub(super) fn rule(
        &self,
        traced: &TracedRule,
        hit: Option<&Hit<'_>>,
        contribution: Option<Contribution>,
    ) -> Rule {
        let rule = self.ruleset.rule(traced.rule);
        let meta = &rule.meta;
        let tags: Vec<String> = match hit {
            Some(hit) => hit.tags.iter().map(|tag| tag.clone().into_owned()).collect(),
            None => meta.tags.to_vec(),
        };
        let operator = meta.operator.trim_end().to_owned();
        Rule {
            id: rule.id,
            phase: traced.phase,
            message: match hit {
                Some(hit) => hit.message.clone().into_owned(),
                None => message_of(self.ruleset, traced.rule),
            },
            purpose: purpose(tags.iter().map(String::as_str)),
            operator_means: operator_means(&operator),
            operator,
            severity: hit.and_then(|hit| hit.severity).map(str::to_owned),
            paranoia_level: level(&tags),
            tags,
            score: contribution.map_or(0, |c| c.amount),
            counted: contribution.is_some_and(|c| c.counted),
            outbound: contribution.is_some_and(|c| c.outbound),
            disruptive: traced.disruptive,
            file: meta.file.to_string(),
            line: meta.line,
            matches: traced.matches.iter().map(|m| self.matched(m, traced.rule)).collect(),
            from_record: false,
        }
    }

    /// One value that matched, with everything that became of it; `head` is the first link of the rule.
    pub(super) fn matched(&self, matched: &TracedMatch, head: RuleIndex) -> MatchedValue {
        let name = name_of(matched);
        let received = self.masker.pieces(&name, &matched.raw, None);
        // What is secret in the value as it came may not be recognised any more in what became of it.
        let secrets = |pieces: &[Piece]| pieces.iter().filter(|piece| piece.redacted).count();
        let least = secrets(&received);
        let show = |value: &[u8], range: Option<&Range<usize>>| {
            let pieces = self.masker.pieces(&name, value, range);
            if secrets(&pieces) >= least || value.is_empty() {
                return pieces;
            }
            vec![Piece { text: MASK.to_owned(), matched: range.is_some(), redacted: true }]
        };
        MatchedValue {
            steps: matched
                .steps
                .iter()
                .map(|step| Step {
                    transformation: step.name.to_owned(),
                    value: step.value.as_ref().map(|value| show(value, None)),
                })
                .collect(),
            decoded: matched.decoded.iter().map(ToString::to_string).collect(),
            // An operator that does not tell where it matched has judged the value as a whole.
            value: show(&matched.value, Some(matched.range.as_ref().unwrap_or(&(0..matched.value.len())))),
            operator: links(self.ruleset, head)
                .skip(1)
                .zip(&self.ruleset.rule(head).meta.further_operators)
                .find(|(link, _)| *link == matched.link)
                .map(|(_, operator)| operator.trim_end().to_owned()),
            received: Some(received),
            variable: self.masker.text(name.as_bytes(), LINE).into_owned(),
        }
    }
}

/// `ARGS:id`, `&ARGS`, `REQUEST_URI`.
pub(super) fn name_of(matched: &TracedMatch) -> String {
    let count = if matched.count { "&" } else { "" };
    let member = matched.member.as_ref().map(|member| format!(":{}", String::from_utf8_lossy(member)));
    format!("{count}{}{}", matched.variable.name(), member.unwrap_or_default())
}

pub(super) fn message_of(ruleset: &Ruleset, rule: RuleIndex) -> String {
    let text = ruleset.rule(rule).meta.message.as_text();
    text.map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
}

pub(super) fn operator_means(written: &str) -> String {
    let name = written.trim_start_matches('!').trim_start_matches('@');
    let name = name.split(' ').next().unwrap_or_default();
    crate::operator::find(name).map(|row| first_sentence(row.doc)).unwrap_or_default()
}

fn level(tags: &[String]) -> Option<u8> {
    tags.iter().find_map(|tag| tag.strip_prefix("paranoia-level/")?.parse().ok())
}

/// Compares the evaluation with the record, and adds to `told` what only the record tells of.
fn basis(
    exchange: &Exchange,
    record: Option<&Recorded>,
    settings: &Settings<'_>,
    evaluation: &Evaluation,
    told: &mut Told,
) -> Basis {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut basis =
        Basis { gaps: exchange.gaps.clone(), evaluated_with: some(&settings.generation), ..Basis::default() };
    if evaluation.report.mode == Mode::Off {
        basis.gaps.push("the rules are switched off here (SecRuleEngine Off)".to_owned());
    }
    let Some(record) = record else { return basis };
    basis.served_by = some(&record.generation);
    let now = told.ids();
    let then: BTreeSet<u64> = record.rules.iter().map(|hit| hit.id).collect();
    basis.missing = then.difference(&now).copied().collect();
    if record.omitted.rules == 0 {
        // Rules without `log` and `auditlog` are in no record.
        let logs = |id: &u64| evaluation.report.rules.iter().any(|hit| hit.id == *id);
        basis.surplus = now.difference(&then).copied().filter(logs).collect();
    }
    for hit in record.rules.iter().filter(|hit| basis.missing.contains(&hit.id)) {
        let keeps_books = hit.variable.as_deref().is_none_or(|v| v.to_ascii_uppercase().starts_with("TX:"));
        if keeps_books {
            told.bookkeeping.push(hit.id);
            continue;
        }
        let mut rule = recorded_rule(hit, evaluation.report.scores.inbound_threshold > 0);
        // A message without macros holds no secret, whatever has been masked in the record.
        if rule.message.contains(MASK)
            && let Some(plain) = settings.rules.ruleset().rules.iter().find(|known| known.id == hit.id)
            && let Some(text) = plain.meta.message.as_text()
        {
            rule.message = String::from_utf8_lossy(text).into_owned();
        }
        if rule.score > 0 || rule.disruptive { told.rules.push(rule) } else { told.others.push(rule) }
    }
    basis
}

/// A rule as its record tells it. The record does not say what it added: where the rules have scores, it follows from the
/// severity.
pub(super) fn recorded_rule(hit: &RecordedHit, has_scores: bool) -> Rule {
    let range = |range: Option<(usize, usize)>| range.map(|(start, end)| start..end);
    let matched =
        |variable: &str, value: &str, range: Option<Range<usize>>, decoded: &[String]| MatchedValue {
            variable: variable.to_owned(),
            received: None,
            steps: Vec::new(),
            decoded: decoded.to_vec(),
            value: pieces_of(value, range),
            operator: None,
        };
    let first = hit.variable.iter().map(|variable| {
        matched(variable, hit.value.as_deref().unwrap_or_default(), range(hit.range), &hit.decoded)
    });
    let further = hit.further.iter().map(|m| matched(&m.variable, &m.value, range(m.range), &m.decoded));
    let matches = first.chain(further).collect();
    let scores = has_scores && !hit.disruptive;
    Rule {
        id: hit.id,
        phase: hit.phase,
        message: hit.message.clone(),
        purpose: purpose(hit.tags.iter().map(String::as_str)),
        operator: hit.operator.clone(),
        operator_means: operator_means(&hit.operator),
        severity: hit.severity.clone(),
        paranoia_level: level(&hit.tags),
        tags: hit.tags.clone(),
        score: hit.severity.as_deref().filter(|_| scores).map_or(0, severity_score),
        counted: scores,
        outbound: hit.phase > 2,
        disruptive: hit.disruptive,
        file: hit.file.clone(),
        line: hit.line,
        matches,
        from_record: true,
    }
}

/// CRS's scores by severity.
pub(super) fn severity_score(severity: &str) -> i64 {
    match severity {
        "EMERGENCY" | "ALERT" | "CRITICAL" => 5,
        "ERROR" => 4,
        "WARNING" => 3,
        "NOTICE" => 2,
        _ => 0,
    }
}

/// A value of a record, which has been masked already.
fn pieces_of(value: &str, range: Option<Range<usize>>) -> Vec<Piece> {
    let plain = |text: &str, matched| Piece { text: text.to_owned(), matched, redacted: text == MASK };
    let cut = range.and_then(|r| Some((value.get(..r.start)?, value.get(r.clone())?, value.get(r.end..)?)));
    match cut {
        Some((before, inside, after)) => [plain(before, false), plain(inside, true), plain(after, false)]
            .into_iter()
            .filter(|piece| !piece.text.is_empty())
            .collect(),
        None => vec![plain(value, false)],
    }
}

fn scores(report: &Report, rules: &[Rule], scoring: &Scoring) -> Scores {
    let score = |total, threshold, outbound: bool| {
        let own = rules.iter().filter(|rule| rule.outbound == outbound);
        let uncounted = own.filter(|rule| !rule.counted).map(|rule| rule.score).sum();
        (!scoring.is_empty()).then_some(Score { total, threshold, uncounted })
    };
    let all = &report.scores;
    Scores {
        inbound: score(all.inbound, all.inbound_threshold, false),
        outbound: score(all.outbound, all.outbound_threshold, true).filter(|score| score.total > 0),
    }
}

fn decision(stopped: Option<&Interruption>, report: &Report) -> Decision {
    Decision {
        action: stopped.map_or("pass", |i| i.disruption.name()).to_owned(),
        status: stopped.map(|i| i.status),
        rule: stopped.map(|i| i.rule_id),
        phase: stopped.map(|i| i.phase),
        enforced: report.decision.interruption().is_some(),
        mode: mode_name(report.mode).to_owned(),
        told: String::new(),
    }
}

/// The decision in plain words.
fn sentence(
    decision: &Decision,
    scores: &Scores,
    told: &Told,
    events: &[RecordedEvent],
    sent: bool,
) -> String {
    let was = match (sent, decision.enforced) {
        (false, _) => "would be",
        (true, true) => "was",
        (true, false) => "would have been",
    };
    let what = match decision.action.as_str() {
        "pass" => {
            return match scores.inbound {
                Some(score) if score.total > 0 => {
                    format!(
                        "It passes: its score of {} is below the threshold of {}.",
                        score.total, score.threshold
                    )
                }
                _ if told.rules.is_empty() && told.others.is_empty() => {
                    "It passes: no rule objects.".to_owned()
                }
                _ => "It passes.".to_owned(),
            };
        }
        "drop" => format!("The connection {was} closed without an answer"),
        "redirect" => format!("The client {was} sent elsewhere (status {})", decision.status.unwrap_or(302)),
        _ => format!("It {was} refused with status {}", decision.status.unwrap_or(403)),
    };
    let phase = decision.phase.unwrap_or(0);
    let score = if phase > 2 { scores.outbound } else { scores.inbound };
    let why = match (decision.rule, score) {
        (Some(0) | None, _) => {
            let event = events.last().map(|event| format!(": {}", event.detail)).unwrap_or_default();
            format!("by a limit or by the protocol, not by a rule{event}")
        }
        (Some(rule), _) if told.rules.iter().any(|known| known.id == rule && known.disruptive) => {
            format!("by rule {rule} itself, whatever the score")
        }
        (Some(rule), Some(score)) if score.threshold > 0 => format!(
            "since its score of {} reaches the threshold of {} (rule {rule}, which only compares the two)",
            score.total, score.threshold
        ),
        (Some(rule), _) => format!("by rule {rule}"),
    };
    let mode = match (sent, decision.enforced) {
        (_, true) => "",
        (true, false) => " The mode is DetectionOnly, so it went through.",
        (false, false) => " The mode is DetectionOnly, so it would go through.",
    };
    format!("{what}, {why}.{mode}")
}
