//! What a transaction did, rule by rule, for those who explain it.
//!
//! Off unless asked for ([`Transaction::set_trace`]). Then each match is kept with its value as it came, what each
//! transformation made of it, and what was added to which member of `TX`. Nothing is decided differently, but for
//! members of `TX` that the caller has pinned.

use super::lanes::LaneValue;
use super::transaction::Transaction;
use super::values::ValueId;
use super::{Report, tx::TxValue};
use crate::limits;
use crate::ruleset::{RuleIndex, Ruleset, Slot};
use crate::transform::Decoding;
use crate::variable::Variable;
use std::ops::Range;

/// What is traced.
#[derive(Clone, Debug, Default)]
pub struct TraceOptions {
    /// Also rules of which some links matched and others did not. All rules are then evaluated, also those that no
    /// value can match.
    pub unfinished: bool,
    /// Members of `TX`, in lower case, that are set to a number from the beginning and keep it whatever rules set.
    pub pins: Vec<(String, i64)>,
}

/// What happened. Bounded like the report, but for [`limits::TRACED_RULES`] rules.
#[derive(Debug, Default)]
pub struct Trace {
    /// Rules that matched, their whole chains included, in order; rules that log nothing too.
    pub rules: Vec<TracedRule>,
    /// Rules of which some links matched, but not all.
    pub unfinished: Vec<TracedRule>,
    /// Rules that were left out of either list because of its bound.
    pub omitted: usize,
    wants_unfinished: bool,
    pins: Vec<Slot>,
    head: Option<RuleIndex>,
    link: Option<RuleIndex>,
    matches: Vec<TracedMatch>,
    sums: Vec<Sum>,
}

/// A rule that matched, or began to.
#[derive(Clone, Debug)]
pub struct TracedRule {
    /// The head of its chain.
    pub rule: RuleIndex,
    /// The phase.
    pub phase: u8,
    /// Its place in [`Report::rules`], when it is there.
    pub hit: Option<usize>,
    /// How many links matched.
    pub links: usize,
    /// What matched, at most [`limits::MATCHES_PER_HIT`].
    pub matches: Vec<TracedMatch>,
    /// What it added to members of `TX`.
    pub sums: Vec<Sum>,
    /// Whether it carries a disruptive action that took effect, or would have but for the mode.
    pub disruptive: bool,
}

/// A value that an operator matched.
#[derive(Clone, Debug)]
pub struct TracedMatch {
    /// The link that did.
    pub link: RuleIndex,
    /// The variable.
    pub variable: Variable,
    /// The member's name, for variables that have members.
    pub member: Option<Vec<u8>>,
    /// The number of values (`&`) instead of a value.
    pub count: bool,
    /// The value as the variable has it, cut to [`limits::TRACED_VALUE_BYTES`], as the following are.
    pub raw: Vec<u8>,
    /// Transformations in order.
    pub steps: Vec<TracedStep>,
    /// What the operator saw.
    pub value: Vec<u8>,
    /// Which bytes of `value` matched, where the operator knows.
    pub range: Option<Range<usize>>,
    /// The layers of encoding that were undone until the operator matched, the outermost first.
    pub decoded: Vec<Decoding>,
}

/// What one transformation made of a value.
#[derive(Clone, Debug)]
pub struct TracedStep {
    /// The transformation's name.
    pub name: &'static str,
    /// The value after it; none when it changed nothing.
    pub value: Option<Vec<u8>>,
}

/// `setvar:tx.slot=+amount`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// The member that grew.
    pub slot: Slot,
    /// By how much; negative for `=-`.
    pub amount: i64,
    /// The member that the amount was taken from, when it was a single macro.
    pub from: Option<Slot>,
}

impl Transaction {
    /// Traces from here on; to be called before anything is fed.
    pub fn set_trace(&mut self, options: &TraceOptions) {
        let mut trace = Trace { wants_unfinished: options.unfinished, ..Trace::default() };
        for (name, number) in &options.pins {
            if let Some(slot) = self.ruleset.slots.find(name) {
                *self.tx.get_mut(slot) = TxValue::Int(*number);
                trace.pins.push(slot);
            }
        }
        // A sieve leaves out rules by any of their links.
        self.prefilters &= !options.unfinished;
        self.trace = Some(Box::new(trace));
    }

    /// [`Transaction::process_logging`] with what was traced; empty unless tracing was on. The report holds the
    /// request and the body whether or not the rules want it recorded.
    pub fn process_logging_traced(mut self, final_status: u16) -> (Report, Trace) {
        // As there, phase 5 can disrupt nothing any more.
        let _ = self.run_phase(5);
        let trace = self.trace.take().map(|trace| *trace).unwrap_or_default();
        (self.into_report(final_status, true), trace)
    }

    /// Whether `slot` keeps its number whatever rules set.
    pub(super) fn is_pinned(&self, slot: Slot) -> bool {
        self.trace.as_ref().is_some_and(|trace| trace.pins.contains(&slot))
    }

    /// Keeps a match of the link being evaluated, whose value went through `chain`; with `each_step`, as far as it
    /// had to.
    pub(super) fn trace_match(
        &mut self,
        ruleset: &Ruleset,
        at: LaneValue,
        value: ValueId,
        range: Option<Range<usize>>,
        chain: &[u8],
        each_step: bool,
    ) {
        let Some(mut trace) = self.trace.take() else { return };
        trace.turn_to(self.current_rule);
        if let Some(link) = trace.link.or(trace.head)
            && trace.matches.len() < limits::MATCHES_PER_HIT
        {
            let decoded = self.decoded(ruleset, link, at, value);
            let seen = self.values.get(value).to_vec();
            let window = window(seen.len(), range.as_ref());
            let mut steps = Vec::new();
            let mut last = at.raw;
            for &column in chain {
                // `multiMatch` asks between two steps.
                if each_step && self.values.get(last) == seen {
                    break;
                }
                last = self.values.step(ruleset, last, column);
                let changed = self.values.changed;
                // What is kept outlives the next step.
                let value = changed.then(|| cut(self.values.get(last), &window));
                let name =
                    ruleset.steps.get(usize::from(column)).map_or("", |step| step.transform.row().name);
                steps.push(TracedStep { name, value });
            }
            let range = range.map(|r| {
                r.start.saturating_sub(window.start).min(window.len())
                    ..r.end.saturating_sub(window.start).min(window.len())
            });
            trace.matches.push(TracedMatch {
                link,
                variable: at.variable,
                member: at.name.is_some().then(|| self.values.get(at.name).to_vec()),
                count: at.count,
                raw: cut(self.values.get(at.raw), &window),
                steps,
                value: cut(&seen, &window),
                range,
                decoded,
            });
        }
        self.trace = Some(trace);
    }

    /// Keeps an addition to `TX` by the rule being evaluated.
    pub(super) fn trace_sum(&mut self, sum: Sum) {
        let current = self.current_rule;
        if let Some(trace) = &mut self.trace {
            trace.turn_to(current);
            if trace.sums.len() < limits::MATCHES_PER_HIT {
                trace.sums.push(sum);
            }
        }
    }

    /// Notes which link is evaluated now.
    pub(super) fn trace_link(&mut self, link: RuleIndex) {
        let current = self.current_rule;
        if let Some(trace) = &mut self.trace {
            trace.turn_to(current);
            trace.link = Some(link);
        }
    }

    /// The rule has matched with its whole chain, or, of `links` links only, has not.
    pub(super) fn trace_rule(&mut self, links: usize, finished: bool, hit: Option<usize>, disruptive: bool) {
        let (current, phase) = (self.current_rule, self.phase);
        let Some(trace) = &mut self.trace else { return };
        trace.turn_to(current);
        let Some(rule) = current else { return };
        let matches = std::mem::take(&mut trace.matches);
        let sums = std::mem::take(&mut trace.sums);
        if !finished && !trace.wants_unfinished && sums.is_empty() {
            return;
        }
        let list = if finished { &mut trace.rules } else { &mut trace.unfinished };
        if list.len() >= limits::TRACED_RULES {
            trace.omitted += 1;
            return;
        }
        list.push(TracedRule { rule, phase, hit, links, matches, sums, disruptive });
    }
}

impl Trace {
    /// Begins with another rule, unless it is the same one.
    fn turn_to(&mut self, rule: Option<RuleIndex>) {
        if self.head != rule {
            (self.head, self.link) = (rule, None);
            self.matches.clear();
            self.sums.clear();
        }
    }
}

/// Which part of a long value is kept: around what matched.
fn window(length: usize, range: Option<&Range<usize>>) -> Range<usize> {
    let most = limits::TRACED_VALUE_BYTES;
    if length <= most {
        return 0..most;
    }
    let start = match range {
        Some(r) if r.end > most => r.start.saturating_sub(most / 4).min(length - most),
        _ => 0,
    };
    start..start + most
}

fn cut(value: &[u8], window: &Range<usize>) -> Vec<u8> {
    let end = window.end.min(value.len());
    value.get(window.start.min(end)..end).unwrap_or_default().to_vec()
}
