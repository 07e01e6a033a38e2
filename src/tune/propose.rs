//! From a candidate to exclusions: as few as its samples need, with what they cost.

use super::attack::{ATTACKS, ELSEWHERE, at};
use super::gather::Candidate;
use super::place;
use crate::audit::Auditor;
use crate::engine::{TraceOptions, World};
use crate::explain::{
    Evaluation, Exchange, Exclusion, Place, Rules, Scoring, evaluate, needed, seclang, yaml,
};
use crate::ruleset::{Mode, Ruleset};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What exclusions are made and tried with.
pub struct Tuning<'a> {
    /// The site's rules, and how to put an exclusion before them.
    pub rules: &'a dyn Rules,
    /// Overrides `SecRuleEngine`.
    pub mode: Option<Mode>,
    /// Masks what is secret.
    pub auditor: &'a Auditor,
    /// Time and persistent collections.
    pub world: Arc<dyn World>,
}

/// Exclusions for one place, and what is known of them.
#[derive(Clone, Debug, Serialize)]
pub struct Suggestion {
    /// The site.
    pub site: String,
    /// Method and path.
    pub place: Place,
    /// Why, a sentence.
    pub reason: String,
    /// Transactions that were stopped there.
    pub requests: u64,
    /// When the first and the last of them began.
    pub between: (String, String),
    /// What is excluded.
    pub exclusions: Vec<Evidence>,
    /// Rule text.
    pub seclang: String,
    /// The same as native YAML.
    pub yaml: String,
    /// Sampled requests that the rules stop and that pass with the exclusions.
    pub proven: usize,
    /// Sampled requests that stay stopped.
    pub unproven: usize,
    /// Sampled requests that the rules, as they are loaded, do not stop when they are evaluated again.
    pub not_reproduced: usize,
    /// Attacks that were tried at the same place.
    pub attacks: Vec<Attack>,
    /// Why it is not to be taken over; none when nothing speaks against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The sampled requests that pass now.
    #[serde(skip)]
    pub samples: Vec<Exchange>,
    /// The attacks that are still stopped, with the status that they are answered.
    #[serde(skip)]
    pub stopped: Vec<(String, Exchange, u16)>,
}

/// An exclusion with what it rests on.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    /// What is excluded.
    pub exclusion: Exclusion,
    /// The rule's message.
    pub message: String,
    /// Clients with ordinary browsers that met it there, and did little else.
    pub clients: usize,
    /// Transactions in which it matched there.
    pub requests: u64,
}

/// An attack that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attack {
    /// What it is.
    pub name: &'static str,
    /// Where it was put.
    pub target: String,
    /// Whether the rules stop it as they are.
    pub before: bool,
    /// Whether they do with the exclusions.
    pub after: bool,
}

/// Evaluations of all samples before it is given up.
const ROUNDS: usize = 6;
/// Exclusions of one place of which each is tried whether it can be done without.
const TRIED: usize = 8;
/// Targets at which attacks are tried.
const ATTACKED: usize = 4;

/// A variable and perhaps its member.
type Part = (String, Option<Vec<u8>>);

/// Looks for the exclusions that `candidate` asks for.
pub fn tune(candidate: &Candidate, tuning: &Tuning<'_>) -> Suggestion {
    let base = tuning.rules.ruleset();
    let samples: Vec<Exchange> = candidate.samples.iter().map(Exchange::of_record).collect();
    let (stopped, free): (Vec<_>, Vec<_>) =
        samples.into_iter().partition(|sample| tuning.evaluate(&base, sample).stopped_by().is_some());
    let mut search =
        Search { candidate, tuning, exclusions: Vec::new(), parts: BTreeMap::new(), doubts: Vec::new() };
    search.run(&stopped);
    search.thin_out(&stopped);
    let Search { exclusions, parts, mut doubts, .. } = search;

    let with = if exclusions.is_empty() {
        Ok(Arc::clone(&base))
    } else {
        tuning.rules.with(&seclang(&exclusions, ""))
    };
    let with = with.unwrap_or_else(|error| {
        doubts.push(format!("the rules do not load with it: {error}"));
        Arc::clone(&base)
    });
    let (passing, rest): (Vec<_>, Vec<_>) =
        stopped.into_iter().partition(|sample| tuning.evaluate(&with, sample).stopped_by().is_none());
    let mut attacks = Vec::new();
    let mut still = Vec::new();
    if let (Some(sample), false) = (passing.first(), exclusions.is_empty()) {
        for (target, (variable, member)) in parts.iter().take(ATTACKED) {
            tuning.attack(
                sample,
                target,
                variable,
                member.as_deref(),
                [&base, &with],
                &mut attacks,
                &mut still,
            );
        }
        let other = ELSEWHERE.split_once(':').map(|(variable, member)| (variable, member.as_bytes()));
        if let Some((variable, member)) = other {
            tuning.attack(
                sample,
                ELSEWHERE,
                variable,
                Some(member),
                [&base, &with],
                &mut attacks,
                &mut still,
            );
        }
    }
    let refused = refusal(&exclusions, passing.len(), &attacks, &doubts);
    let clients = |one: &Exclusion| {
        let key = (one.rule, one.target.clone().unwrap_or_default());
        candidate.found.get(&key)
    };
    let evidence: Vec<Evidence> = exclusions
        .iter()
        .map(|one| Evidence {
            exclusion: one.clone(),
            message: clients(one).map(|found| found.message.clone()).unwrap_or_default(),
            clients: clients(one).map_or(0, |found| found.clients),
            requests: clients(one).map_or(0, |found| found.requests),
        })
        .collect();
    let most = candidate.found.values().map(|found| found.clients).max().unwrap_or(0);
    let reason = format!(
        "{} requests stopped, {most} clients with ordinary browsers met the same rule at the same place",
        candidate.requests
    );
    Suggestion {
        site: candidate.site.clone(),
        place: candidate.place.clone(),
        requests: candidate.requests,
        between: candidate.between.clone(),
        seclang: seclang(&exclusions, &reason),
        yaml: yaml(&exclusions, &reason),
        reason,
        exclusions: evidence,
        proven: passing.len(),
        unproven: rest.len(),
        not_reproduced: free.len(),
        attacks,
        refused,
        samples: passing,
        stopped: still,
    }
}

/// What speaks against taking it over.
fn refusal(exclusions: &[Exclusion], proven: usize, attacks: &[Attack], doubts: &[String]) -> Option<String> {
    if let (true, Some(doubt)) = (exclusions.is_empty() || proven == 0, doubts.first()) {
        return Some(doubt.clone());
    }
    if exclusions.is_empty() {
        return Some(
            "evaluated again, the sampled requests pass: the record does not hold all of them, or the rules have changed"
                .to_owned(),
        );
    }
    if proven == 0 {
        return Some("no sampled request passes with it".to_owned());
    }
    let mut targets: Vec<&str> = attacks.iter().map(|attack| attack.target.as_str()).collect();
    targets.dedup();
    for target in targets {
        let here = || attacks.iter().filter(|attack| attack.target == target && attack.before);
        let lost = here().filter(|attack| !attack.after).count();
        if target == ELSEWHERE && lost > 0 {
            return Some(
                "attacks in other parameters of the same path would no longer be stopped".to_owned(),
            );
        }
        if lost > 0 && lost == here().count() {
            return Some(format!("no attack in {target} that was tried would be stopped any more"));
        }
    }
    None
}

impl Tuning<'_> {
    fn evaluate(&self, ruleset: &Arc<Ruleset>, exchange: &Exchange) -> Evaluation {
        evaluate(exchange, ruleset, self.mode, "tune", &self.world, &TraceOptions::default())
    }

    /// Tries all attacks at one target, before and after.
    fn attack(
        &self,
        sample: &Exchange,
        target: &str,
        variable: &str,
        member: Option<&[u8]>,
        [before, after]: [&Arc<Ruleset>; 2],
        attacks: &mut Vec<Attack>,
        still: &mut Vec<(String, Exchange, u16)>,
    ) {
        for (name, value) in ATTACKS {
            let Some(exchange) = at(sample, variable, member, value) else { continue };
            let was = self.evaluate(before, &exchange).stopped_by().is_some();
            let stop = self.evaluate(after, &exchange).stopped_by().map(|stop| stop.status);
            attacks.push(Attack { name, target: target.to_owned(), before: was, after: stop.is_some() });
            if let Some(status) = stop {
                still.push((format!("{name} in {target}"), exchange, status));
            }
        }
    }
}

/// Exclusions that grow until all samples pass.
struct Search<'a> {
    candidate: &'a Candidate,
    tuning: &'a Tuning<'a>,
    exclusions: Vec<Exclusion>,
    /// What stood at each target.
    parts: BTreeMap<String, Part>,
    doubts: Vec<String>,
}

impl Search<'_> {
    fn run(&mut self, samples: &[Exchange]) {
        for _ in 0..ROUNDS {
            let Some(ruleset) = self.compiled(&self.exclusions) else { return };
            let before = self.exclusions.len();
            let mut is_done = true;
            for sample in samples {
                let evaluation = self.tuning.evaluate(&ruleset, sample);
                if evaluation.stopped_by().is_some() {
                    is_done = false;
                    self.add(&ruleset, &evaluation);
                }
            }
            if is_done || self.exclusions.len() == before {
                return;
            }
        }
    }

    fn compiled(&self, exclusions: &[Exclusion]) -> Option<Arc<Ruleset>> {
        if exclusions.is_empty() {
            return Some(self.tuning.rules.ruleset());
        }
        self.tuning.rules.with(&seclang(exclusions, "")).ok()
    }

    /// Adds what one sample needs, as far as enough clients met it.
    fn add(&mut self, ruleset: &Ruleset, evaluation: &Evaluation) {
        let masker = self.tuning.auditor.masker(&evaluation.report);
        let scoring = Scoring::of(ruleset);
        for need in needed(ruleset, &scoring, evaluation, &masker) {
            if need.parts.is_empty() {
                self.doubts.push(format!(
                    "rule {} would have to be switched off: what it matched cannot be taken away from it",
                    need.rule
                ));
            }
            for (variable, member) in need.parts {
                let target = place::target(&variable, member.as_deref());
                if !self.candidate.found.contains_key(&(need.rule, target.clone())) {
                    self.doubts.push(format!("too few clients met rule {} on {target} there", need.rule));
                    continue;
                }
                let one = Exclusion {
                    rule: need.rule,
                    target: Some(target.clone()),
                    place: self.candidate.place.clone(),
                };
                if !self.exclusions.contains(&one) {
                    self.exclusions.push(one);
                }
                self.parts.entry(target).or_insert((variable, member));
            }
        }
    }

    /// Takes away exclusions that all samples can do without.
    fn thin_out(&mut self, samples: &[Exchange]) {
        if self.exclusions.len() < 2 || self.exclusions.len() > TRIED {
            return;
        }
        let passing = |search: &Self, exclusions: &[Exclusion]| {
            let ruleset = search.compiled(exclusions)?;
            let passes = |sample: &&Exchange| search.tuning.evaluate(&ruleset, sample).stopped_by().is_none();
            Some(samples.iter().filter(passes).count())
        };
        let Some(all) = passing(self, &self.exclusions) else { return };
        let mut at = self.exclusions.len();
        while at > 0 && self.exclusions.len() > 1 {
            at -= 1;
            let mut fewer = self.exclusions.clone();
            fewer.remove(at);
            if passing(self, &fewer) == Some(all) {
                self.exclusions = fewer;
            }
        }
        let used = |target: &String| self.exclusions.iter().any(|one| one.target.as_ref() == Some(target));
        let unused: Vec<String> = self.parts.keys().filter(|target| !used(target)).cloned().collect();
        for target in unused {
            self.parts.remove(&target);
        }
    }
}
