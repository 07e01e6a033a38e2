//! Rules: the walk through a phase, chains, operators and their matches.

use super::lanes::{Gathered, LaneValue, Matched};
use super::transaction::Transaction;
use super::tx::parse_number;
use super::values::{Epoch, ValueId};
use super::{Decision, EventKind};
use crate::limits;
use crate::operator::{Capture, Lookup, Outcome, Wanted};
use crate::ruleset::{
    Allow, Comparison, Flow, Guard, Matcher, Mode, Operand, Piece, Rule, RuleIndex, Ruleset, Scan, Slot,
    Template,
};
use crate::variable::Variable;
use std::sync::Arc;

/// What follows from a rule that matched.
pub(super) enum Next {
    /// The next rule.
    Continue,
    /// The phase's rule at this position.
    Jump(usize),
    /// The end of the phase.
    EndPhase,
}

impl Transaction {
    /// Runs the rules of a phase.
    pub(super) fn run_phase(&mut self, number: u8) -> Decision {
        if self.mode == Mode::Off {
            return Decision::Pass;
        }
        let logging = number == 5;
        if !logging && let Some(interruption) = &self.interruption {
            return Decision::Interrupt(interruption.clone());
        }
        self.phase = number;
        match self.allow {
            Some(Allow::All) if !logging => return Decision::Pass,
            Some(Allow::Request) if number <= 2 => return Decision::Pass,
            Some(Allow::Phase) => self.allow = None,
            _ => {}
        }
        self.begin_targets();
        let ruleset = Arc::clone(&self.ruleset);
        // Twice in the program, so that a walk that is not measured does not even ask whether it is.
        if self.costs.is_some() {
            self.walk::<true>(&ruleset, number);
        } else {
            self.walk::<false>(&ruleset, number);
        }
        self.current_rule = None;
        self.remember_verdicts(&ruleset);
        match &self.interruption {
            Some(interruption) if !logging => Decision::Interrupt(interruption.clone()),
            _ => Decision::Pass,
        }
    }

    /// Walks through the rules of a phase that may match.
    fn walk<const MEASURED: bool>(&mut self, ruleset: &Ruleset, number: u8) {
        let phase = ruleset.phase(number);
        self.sieve.begin(phase);
        let mut at = 0;
        while let Some(position) = self.sieve.next(at) {
            let Some(&index) = phase.rules.get(position) else { break };
            if position > at && !self.matched.is_empty() {
                self.forget_matched_between(phase.rules.get(at..position).unwrap_or_default());
            }
            at = position + 1;
            if self.is_removed(index) {
                continue;
            }
            if let Some(gate) = phase.gates.get(position).and_then(Option::as_ref)
                && !self.tx_removed
            {
                if self.holds(gate.asks) {
                    at = gate.to as usize;
                }
                continue;
            }
            let guard = phase.guards.get(position).copied().flatten().filter(|_| self.prefilters);
            let begun = if MEASURED { self.world.ticks() } else { 0 };
            if let Some(guard) = guard {
                let passes = self.passes_sieve(ruleset, phase, position, guard);
                if MEASURED {
                    self.sieve_cost(begun);
                }
                if !passes {
                    self.matched.clear();
                    continue;
                }
            }
            let begun = if MEASURED { self.world.ticks() } else { 0 };
            self.current_rule = Some(index);
            let next = if self.evaluate(ruleset, index, guard) {
                Some(self.after_match(ruleset, index, at))
            } else {
                None
            };
            if MEASURED {
                self.rule_cost(ruleset.rule(index).id, begun);
            }
            let Some(next) = next else { continue };
            match next {
                Next::Continue => {}
                Next::Jump(to) => at = to,
                Next::EndPhase => break,
            }
            // `ctl:ruleEngine=Off` takes effect at once.
            if self.mode == Mode::Off {
                break;
            }
        }
    }

    /// Whether a member of `TX` is there and compares so.
    pub(super) fn holds(&self, asks: Comparison) -> bool {
        let value = self.tx.get(asks.slot);
        value.is_set() && asks.compare.holds(value.number(), asks.number) != asks.negated
    }

    fn is_removed(&self, index: RuleIndex) -> bool {
        let i = index.0 as usize;
        self.removed.get(i / 64).is_some_and(|word| word >> (i % 64) & 1 == 1)
    }

    /// Rules that were walked past matched nothing, which is what `MATCHED_VAR` shows after them.
    fn forget_matched_between(&mut self, passed: &[RuleIndex]) {
        if passed.iter().any(|index| !self.is_removed(*index)) {
            self.matched.clear();
        }
    }

    /// Evaluates a rule with its chain: whether all links match. Assignments of links that match are carried
    /// out as they match, whatever comes of the rest of the chain; so do ModSecurity 2 and 3.
    fn evaluate(&mut self, ruleset: &Ruleset, head: RuleIndex, guard: Option<Guard>) -> bool {
        let mut link = Some(head);
        let mut number = 0;
        self.rule_matches.clear();
        while let Some(index) = link {
            let rule = ruleset.rule(index);
            let is_head = index == head;
            if self.trace.is_some() {
                self.trace_link(index);
            }
            let matched = match &rule.matcher {
                Matcher::Always => {
                    self.on_match(ruleset, rule);
                    true
                }
                Matcher::Slot { slot, .. } if self.is_slot_removed(ruleset, index, *slot) => false,
                Matcher::Slot { slot, count, compare, operand, negated } => {
                    self.compare_slot(ruleset, rule, is_head, *slot, *count, |engine, left| {
                        let right = match operand {
                            Operand::Number(n) => *n,
                            Operand::Slot(slot) => engine.tx.get(*slot).number(),
                            Operand::Template(template) => {
                                let text = engine.expand(ruleset, template);
                                let number = parse_number(&text);
                                engine.scratch = text;
                                number
                            }
                        };
                        compare.holds(left, right) != *negated
                    })
                }
                Matcher::Scan(scan) => {
                    self.scan(ruleset, index, rule, is_head, scan, guard.filter(|guard| guard.link == number))
                }
            };
            if !matched {
                self.matched.clear();
                if number > 0 && self.trace.is_some() {
                    self.trace_rule(usize::from(number), false, None, false);
                }
                return false;
            }
            link = rule.next;
            number = number.saturating_add(1);
        }
        true
    }

    /// A rule begins with no matches; those of a chain's links add up in `MATCHED_VARS`, as in ModSecurity 2 and 3.
    /// What the rule looks at has been gathered before, so that a rule may look at the matches of the one before it.
    fn forget_matched(&mut self, is_head: bool) {
        if is_head {
            self.matched.clear();
        }
    }

    fn compare_slot(
        &mut self,
        ruleset: &Ruleset,
        rule: &Rule,
        is_head: bool,
        slot: Slot,
        count: bool,
        holds: impl Fn(&mut Self, i64) -> bool,
    ) -> bool {
        let value = self.tx.get(slot);
        let number = match (count, value.is_set()) {
            (true, set) => i64::from(set),
            (false, true) => value.number(),
            // No value, nothing to compare.
            (false, false) => return false,
        };
        if !holds(self, number) {
            return false;
        }
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        if count {
            super::tx::append_number(number, &mut text);
        } else {
            self.tx.get(slot).append_to(&mut text);
        }
        let value = self.values.push(&text);
        self.scratch = text;
        let name = self.values.push(ruleset.slots.name(slot).as_bytes());
        self.forget_matched(is_head);
        let at = LaneValue { variable: Variable::Tx, name, raw: value, count };
        self.remember(Matched { at, value, range: None, link: None });
        if self.trace.is_some() {
            self.trace_match(ruleset, at, value, None, &[], false);
        }
        self.on_match(ruleset, rule);
        true
    }

    fn scan(
        &mut self,
        ruleset: &Ruleset,
        index: RuleIndex,
        rule: &Rule,
        is_head: bool,
        scan: &Scan,
        guard: Option<Guard>,
    ) -> bool {
        let lane = ruleset.lane(scan.lane);
        let gathered = self.gather(ruleset, &lane.targets, index);
        self.forget_matched(is_head);
        let has_exclusions = self.has_exclusions(ruleset, &lane.targets, index);
        let guard = guard.map(|guard| (guard, self.sieve.epoch(guard)));
        let mut matched = false;
        for values in &gathered {
            let mut from = 0;
            while let Some((position, at)) = self.next_suspect(values, from, guard) {
                from = position + 1;
                // A count has been made without what is excluded.
                if has_exclusions && !at.count && self.is_excluded(ruleset, &lane.targets, index, &at) {
                    continue;
                }
                self.gave_up = false;
                // Where a negated operator cannot match, the rule does without it.
                let known = guard
                    .filter(|(guard, epoch)| {
                        guard.negated && self.values.cannot_match(at.raw, *epoch, *guard)
                    })
                    .map(|_| Outcome::NoMatch);
                let matches = if let Some(chain) = scan.steps {
                    self.scan_each_step(ruleset, rule, scan, at, ruleset.chain(chain), known)
                } else {
                    let chain = if at.count { &[][..] } else { ruleset.chain(lane.chain) };
                    let value = self.values.chain(ruleset, at.raw, chain);
                    self.ask(ruleset, rule, scan, at, value, known)
                };
                matched |= matches;
                if matches {
                    let new = self.rule_matches.iter_mut().rev().take_while(|m| m.link.is_none());
                    new.for_each(|m| m.link = Some(index));
                }
                if let Some((guard, epoch)) = guard
                    && matches == guard.negated
                    && !self.gave_up
                {
                    self.values.acquit(at.raw, epoch, guard);
                }
            }
        }
        matched
    }

    /// The first of `values` from position `from` on that the rule of this guard may match.
    fn next_suspect(
        &self,
        values: &Gathered,
        from: usize,
        guard: Option<(Guard, Epoch)>,
    ) -> Option<(usize, LaneValue)> {
        let all = self.all_gathered(values).get(from..)?;
        let position = match guard {
            Some((guard, epoch)) if !guard.negated => {
                all.iter().position(|at| !self.values.cannot_match(at.raw, epoch, guard))?
            }
            _ => 0,
        };
        Some((from + position, *all.get(position)?))
    }

    /// `multiMatch`: the value as it came and after each step that changes it.
    fn scan_each_step(
        &mut self,
        ruleset: &Ruleset,
        rule: &Rule,
        scan: &Scan,
        at: LaneValue,
        chain: &[u8],
        known: Option<Outcome>,
    ) -> bool {
        let mut value = at.raw;
        let mut matched = self.ask(ruleset, rule, scan, at, value, known);
        for &column in chain {
            value = self.values.step(ruleset, value, column);
            if self.values.changed {
                matched |= self.ask(ruleset, rule, scan, at, value, known);
            }
        }
        matched
    }

    /// Asks the operator about one value, unless its answer is known; carries out what follows from a match.
    fn ask(
        &mut self,
        ruleset: &Ruleset,
        rule: &Rule,
        scan: &Scan,
        at: LaneValue,
        value: ValueId,
        known: Option<Outcome>,
    ) -> bool {
        self.found.clear();
        self.found.wanted = scan.capture;
        self.found.only_answer = scan.negated;
        let argument = match &scan.argument {
            Some(template) => self.expand(ruleset, template),
            None => Vec::new(),
        };
        let lookup = WorldLookup(&*self.world);
        let outcome = known.unwrap_or_else(|| {
            scan.operator.evaluate(self.values.get(value), &argument, &lookup, &mut self.found)
        });
        if scan.argument.is_some() {
            self.scratch = argument;
        }
        let matched = match outcome {
            Outcome::Match => !scan.negated,
            Outcome::NoMatch => scan.negated,
            Outcome::Exceeded => {
                self.pcre_limit_exceeded = true;
                self.gave_up = true;
                // ModSecurity 2 says it in TX, where its recommended rules look (`TX:/^MSC_/`).
                let flag =
                    self.tx.find_mut(&ruleset.slots, b"MSC_PCRE_LIMITS_EXCEEDED", limits::TX_DYNAMIC_NAMES);
                if let Some(flag) = flag {
                    *flag = super::tx::TxValue::Int(1);
                }
                self.note(
                    EventKind::OperatorLimit,
                    &format!("rule {} gave up on {}", rule.id, at.variable.name()),
                );
                ruleset.settings.intercept_on_error
            }
        };
        if !matched {
            return false;
        }
        if scan.capture != Wanted::Nothing && !scan.negated {
            self.store_captures(value);
        }
        if !self.found.geo.is_empty() {
            self.geo = std::mem::take(&mut self.found.geo);
        }
        if !self.found.path_arguments.is_empty() {
            for (name, range) in std::mem::take(&mut self.found.path_arguments) {
                let argument = self.values.get(value).get(range).unwrap_or_default().to_vec();
                self.add_member(Variable::ArgsPath, name.as_bytes(), &argument);
            }
            self.forget_targets();
        }
        let range = self.found.matched.clone();
        // What is remembered outlives the next transformation.
        let value = self.values.kept(value);
        self.remember(Matched { at, value, range: range.clone(), link: None });
        if self.trace.is_some() {
            let lane = ruleset.lane(scan.lane);
            let chain = if at.count { &[][..] } else { ruleset.chain(scan.steps.unwrap_or(lane.chain)) };
            self.trace_match(ruleset, at, value, range, chain, scan.steps.is_some());
        }
        self.on_match(ruleset, rule);
        true
    }

    fn remember(&mut self, matched: Matched) {
        if self.rule_matches.len() < limits::MATCHES_PER_HIT {
            self.rule_matches.push(matched.clone());
        }
        self.matched.push(matched);
    }

    /// TX.0 to TX.9; those that took no part are unset, so that a rule never sees another's captures.
    fn store_captures(&mut self, value: ValueId) {
        for n in 0..10_u8 {
            let slot = Slot::capture(n);
            match self.found.captures.get(usize::from(n)) {
                Some(Capture::Input(range)) => {
                    let text = self.values.get(value).get(range.clone()).unwrap_or_default();
                    self.tx.set_bytes(slot, text);
                }
                Some(Capture::Text(text)) => self.tx.set_bytes(slot, text),
                Some(Capture::Unset) | None => *self.tx.get_mut(slot) = super::tx::TxValue::Unset,
            }
        }
    }

    /// Expands macros, into the scratch buffer, which the caller gives back.
    pub(super) fn expand(&mut self, ruleset: &Ruleset, template: &Template) -> Vec<u8> {
        self.expand_up_to(ruleset, template, usize::MAX)
    }

    /// The same, but no more macros once there are `enough` bytes.
    pub(super) fn expand_up_to(&mut self, ruleset: &Ruleset, template: &Template, enough: usize) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        for piece in &template.pieces {
            if out.len() >= enough {
                break;
            }
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Slot(slot) => self.tx.get(*slot).append_to(&mut out),
                Piece::Target(target) => {
                    // Resolving needs the scratch buffer for itself.
                    if let Some(value) = self.first_value(ruleset, target) {
                        out.extend_from_slice(self.values.get(value));
                    }
                }
            }
        }
        out
    }

    /// Where to go on after the rule at `index` has matched; `at` is the position of the next one.
    fn after_match(&mut self, ruleset: &Ruleset, index: RuleIndex, at: usize) -> Next {
        let rule = ruleset.rule(index);
        self.finish_rule(ruleset, index);
        if self.interruption.is_some() && self.phase != 5 {
            return Next::EndPhase;
        }
        match self.allow {
            Some(_) if self.allowed_by == Some(index) => {
                self.allowed_by = None;
                return Next::EndPhase;
            }
            _ => {}
        }
        match rule.flow {
            Some(Flow::Skip(n)) => Next::Jump(at + n as usize),
            Some(Flow::SkipTo(to)) => Next::Jump(to as usize),
            None => Next::Continue,
        }
    }
}

/// Lends the world's resolver to operators.
struct WorldLookup<'a>(&'a dyn super::World);

impl Lookup for WorldLookup<'_> {
    fn resolve(&self, name: &str) -> Option<Vec<std::net::IpAddr>> {
        self.0.resolve(name)
    }
}
