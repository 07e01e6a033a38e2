//! Rules that nearly matched.

use super::evaluate::evaluate;
use super::exchange::Exchange;
use super::explanation::{Almost, Near};
use super::scoring::{Scoring, links};
use super::subject::{Settings, Teller, Told, message_of};
use crate::engine::{TraceOptions, TracedRule};
use crate::ruleset::{Matcher, Mode, RuleIndex, Ruleset};
use crate::variable::Variable;

/// Evaluates `exchange` once more, with all paranoia levels on, nothing blocked, and every rule asked.
pub(super) fn near(exchange: &Exchange, settings: &Settings<'_>, told: &Told, id: &str) -> Near {
    let ruleset = settings.rules.ruleset();
    let pins = LEVELS.iter().map(|name| ((*name).to_owned(), HIGHEST)).collect();
    let options = TraceOptions { unfinished: true, pins };
    let evaluation = evaluate(exchange, &ruleset, Some(Mode::DetectionOnly), id, &settings.world, &options);
    let masker = settings.auditor.masker(&evaluation.report);
    let scoring = Scoring::of(&ruleset);
    let teller = Teller { ruleset: &ruleset, masker: &masker, scoring: &scoring };
    let known = |id: u64| told.rules.iter().chain(&told.others).any(|rule| rule.id == id);
    let mut levels = teller.rules(&evaluation).rules;
    levels.retain(|rule| !known(rule.id));
    levels.sort_by_key(|rule| (rule.paranoia_level, rule.id));
    let almost = evaluation
        .trace
        .unfinished
        .iter()
        .filter(|rule| is_telling(&ruleset, rule))
        .take(MOST)
        .map(|rule| almost(&ruleset, &teller, rule))
        .collect();
    Near { levels, almost }
}

/// The members of `TX` that say which paranoia levels are evaluated: CRS 4's, then CRS 3's.
const LEVELS: [&str; 2] = ["detection_paranoia_level", "executing_paranoia_level"];
/// CRS's highest paranoia level.
const HIGHEST: i64 = 4;
/// Rules that are told of.
const MOST: usize = 64;

/// Whether all links but the last matched, and one of these looked at the request itself.
fn is_telling(ruleset: &Ruleset, rule: &TracedRule) -> bool {
    rule.links + 1 == links(ruleset, rule.rule).count()
        && rule.matches.iter().any(|m| !matches!(m.variable, Variable::Tx | Variable::RequestMethod))
        && !ruleset.rule(rule.rule).meta.message.is_empty()
}

fn almost(ruleset: &Ruleset, teller: &Teller<'_>, rule: &TracedRule) -> Almost {
    let last = links(ruleset, rule.rule).last().unwrap_or(rule.rule);
    Almost {
        id: ruleset.rule(rule.rule).id,
        message: message_of(ruleset, rule.rule),
        links: rule.links + 1,
        lacking: targets(ruleset, last),
        matches: rule.matches.iter().map(|m| teller.matched(m, rule.rule)).collect(),
    }
}

/// What a link looks at, as it is written.
fn targets(ruleset: &Ruleset, link: RuleIndex) -> Vec<String> {
    match &ruleset.rule(link).matcher {
        Matcher::Always => Vec::new(),
        Matcher::Slot { slot, .. } => vec![format!("TX:{}", ruleset.slots.name(*slot))],
        Matcher::Scan(scan) => {
            let targets = &ruleset.lane(scan.lane).targets.included;
            targets.iter().map(|target| target.written.to_string()).collect()
        }
    }
}
