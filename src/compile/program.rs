//! The compiler itself: statements → drafts → rules, phases and jumps.

use super::action_set::{ActionDraft, ActionSet, DisruptiveDraft};
use super::captures::leave_out_groups;
use super::ctl::CtlDraft;
use super::draft::{DraftLink, DraftRule, Drafts, Entry};
use super::intern::{Intern, Interned};
use super::operator::{self, Files};
use super::posture::Posture;
use super::prefilter::{ConditionId, Conditions};
use super::select::RuleSelection;
use super::settings::SettingsBuilder;
use super::sieve::Sieves;
use super::target;
use super::update::Update;
use crate::limits;
use crate::operator::Wanted;
use crate::ruleset::verdict::Verdicts;
use crate::ruleset::{
    Compare, Ctl, Disruptive, Flow, Lane, Matcher, Operand, Piece, Rule, RuleAction, RuleBits, RuleIndex,
    RuleMeta, Ruleset, Scan, ScoreSlots, Selector, Slot, Target, Template,
};
use crate::source::{SourceMap, Span};
use crate::syntax::ast::{self, Directive, Document, Statement};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::seclang::Loader;
use crate::variable::Variable;
use std::collections::HashMap;
use std::sync::Arc;

/// Compiles one document.
pub(super) struct Compiler<'a> {
    pub(super) sources: &'a SourceMap,
    pub(super) files: Files<'a>,
    pub(super) diagnostics: Diagnostics,
    pub(super) intern: Intern,
    pub(super) settings: SettingsBuilder,
    pub(super) drafts: Drafts,
    pub(super) removals: Vec<(RuleSelection, Span)>,
    pub(super) updates: Vec<Update>,
    pub(super) posture: Posture,
    pub(super) conditions: Conditions,
    pub(super) file_names: HashMap<String, Arc<str>>,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(sources: &'a SourceMap, loader: &'a dyn Loader, diagnostics: Diagnostics) -> Self {
        Self {
            sources,
            files: Files::new(loader),
            diagnostics,
            intern: Intern::default(),
            settings: SettingsBuilder::new(),
            drafts: Drafts::new(),
            removals: Vec::new(),
            updates: Vec::new(),
            posture: Posture::default(),
            conditions: Conditions::default(),
            file_names: HashMap::new(),
        }
    }

    /// Compiles `document`. The ruleset is of use only when there are no errors.
    pub(super) fn compile(mut self, document: &Document) -> (Ruleset, Posture, Diagnostics) {
        for statement in &document.statements {
            self.statement(statement);
        }
        self.drafts.finish(&mut self.diagnostics);
        self.apply_updates();
        self.apply_removals();
        let mut settings = std::mem::replace(&mut self.settings, SettingsBuilder::new())
            .finish(&self.files, &mut self.diagnostics);
        let entries = std::mem::take(&mut self.drafts.entries);
        let mut built = self.build(&entries);
        let score_slots = self.score_slots();
        let Interned { slots, steps, chains, lanes, targets } = self.intern.finish();
        leave_out_groups(&mut built.rules, &lanes);
        let sieves = Sieves {
            rules: &built.rules,
            lanes: &lanes,
            chains: &chains,
            steps: &steps,
            looks_back: looks_back(&built.rules, &built.lists, &lanes),
            conditions: &self.conditions.all,
            condition_of: &built.conditions,
        };
        let mut number = 0;
        let phases = built.lists.map(|rules| {
            number += 1;
            sieves.phase(number, rules)
        });
        settings.inspects_file_content =
            lanes.iter().flat_map(|l| &l.targets.included).any(|t| t.variable == Variable::FilesTmpContent);
        let ruleset = Ruleset {
            settings,
            rules: built.rules.into(),
            phases,
            lanes,
            chains,
            steps,
            kept_targets: targets,
            slots,
            score_slots,
            verdicts: Verdicts::default(),
            removed: self.posture.removed.len(),
        };
        self.posture.mode = Some(ruleset.settings.mode);
        self.posture.request_body = ruleset.settings.request_body_access;
        self.posture.response_body = ruleset.settings.response_body_access;
        self.posture.components.clone_from(&ruleset.settings.components);
        (ruleset, self.posture, self.diagnostics)
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Rule(rule) => {
                self.drafts.rule(rule, &mut self.intern, self.sources, &mut self.diagnostics);
            }
            Statement::Action(action) => {
                self.drafts.action(action, &mut self.intern, self.sources, &mut self.diagnostics);
            }
            Statement::DefaultAction(action) => {
                self.drafts.default_action(action, &mut self.intern, self.sources, &mut self.diagnostics);
            }
            Statement::Marker(name, _) => self.drafts.marker(name, &mut self.diagnostics),
            Statement::Directive(directive) => self.directive(directive),
        }
    }

    fn directive(&mut self, directive: &Directive) {
        let set = self.settings.apply(directive, &mut self.files, self.sources, &mut self.diagnostics);
        if set {
            return;
        }
        let Some(first) = directive.arguments.first() else { return };
        match directive.name.node {
            "SecRuleRemoveById" => {
                let ids = directive.arguments.iter().map(|a| a.node.as_str()).collect::<Vec<_>>().join(" ");
                match RuleSelection::ids(&ids) {
                    Ok(selection) => self.removals.push((selection, directive.span)),
                    Err(message) => self.error("invalid-ids", first.span, message),
                }
            }
            "SecRuleRemoveByTag" => {
                self.each_argument(directive, |text, span| (RuleSelection::Tag(text), span));
            }
            "SecRuleRemoveByMsg" => {
                self.each_argument(directive, |text, span| (RuleSelection::Message(text), span));
            }
            "SecRuleUpdateTargetById" | "SecRuleUpdateTargetByTag" | "SecRuleUpdateTargetByMsg" => {
                self.update_targets(directive, first);
            }
            "SecRuleUpdateActionById" => self.update_actions(directive, first),
            // Everything else in the table of directives was dealt with when it was parsed.
            _ => {}
        }
    }

    pub(super) fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(code, span, message));
    }

    fn each_argument(&mut self, directive: &Directive, make: impl Fn(String, Span) -> (RuleSelection, Span)) {
        for argument in &directive.arguments {
            self.removals.push(make(argument.node.clone(), argument.span));
        }
    }

    fn build(&mut self, entries: &[Entry]) -> Built {
        let mut built = Built::default();
        let mut places: Vec<Place> = Vec::new();
        // Indices first, so that `ctl` and jumps can name rules that follow.
        let mut index = 0;
        let mut known = Vec::new();
        for entry in entries {
            if let Entry::Rule(rule) = entry {
                known.push((RuleIndex(index), &**rule));
                index += rule.links.len() as u32;
            }
        }
        let mut next = known.iter();
        for entry in entries {
            match entry {
                Entry::Marker(name) => {
                    let at = built.phases_len();
                    places.push(Place { name: name.clone(), at });
                }
                Entry::Rule(rule) => {
                    let Some((index, _)) = next.next() else { continue };
                    self.rule(rule, *index, &known, &mut built);
                    built.lists[usize::from(rule.phase) - 1].push(*index);
                    // `skipAfter` may name a rule as well.
                    places.push(Place { name: rule.id.to_string(), at: built.phases_len() });
                }
            }
        }
        self.jumps(&mut built, &known, &places);
        built
    }

    fn rule(
        &mut self,
        draft: &DraftRule,
        index: RuleIndex,
        known: &[(RuleIndex, &DraftRule)],
        built: &mut Built,
    ) {
        let head = draft.head();
        let defaults = &draft.defaults;
        let disruptive = match (&head.set.disruptive, &defaults.disruptive) {
            (Some(DisruptiveDraft::Known(known)), _) => Some(known.clone()),
            (Some(DisruptiveDraft::Block), Some(DisruptiveDraft::Known(default))) => Some(default.clone()),
            // ModSecurity 3 carries the default out only for `block`; ModSecurity 2 did for such rules as well.
            (None, Some(DisruptiveDraft::Known(default))) if !matches!(default, Disruptive::Pass) => {
                self.diagnostics.push(
                    Diagnostic::warning(
                        "no-disruptive-action",
                        head.span,
                        "this rule has no disruptive action and so only passes, whatever SecDefaultAction says",
                    )
                    .help("add block to do what SecDefaultAction says, or pass"),
                );
                None
            }
            _ => None,
        };
        let meta = Arc::new(self.meta(draft));
        self.posture.count(draft, disruptive.as_ref(), &self.intern.slots);
        let last = draft.links.len() - 1;
        for (n, link) in draft.links.iter().enumerate() {
            let (matcher, condition) = self.matcher(draft, link);
            built.conditions.push(condition);
            let mut set = Vec::new();
            let mut actions = Vec::new();
            let mut sanitise = Vec::new();
            if n == 0 {
                set.extend(defaults.set.iter().cloned());
                self.actions(&defaults.actions, known, &mut actions);
                sanitise.extend(defaults.sanitise.iter().cloned());
            }
            set.extend(link.set.set.iter().cloned());
            self.actions(&link.set.actions, known, &mut actions);
            sanitise.extend(link.set.sanitise.iter().cloned());
            built.rules.push(Rule {
                id: draft.id,
                phase: draft.phase,
                matcher,
                next: (n < last).then(|| RuleIndex(index.0 + n as u32 + 1)),
                set: set.into(),
                actions: actions.into(),
                sanitise: sanitise.into(),
                disruptive: if n == 0 { disruptive.clone() } else { None },
                flow: None,
                meta: Arc::clone(&meta),
            });
        }
    }

    fn actions(&self, drafts: &[ActionDraft], known: &[(RuleIndex, &DraftRule)], out: &mut Vec<RuleAction>) {
        let chosen = |selection| known.iter().filter(move |(_, rule)| rule.is_selected(selection));
        let selected = |selection| RuleBits::new(chosen(selection).map(|(index, _)| *index));
        // A target is removed from every link of a rule.
        let links = |selection| {
            let links_of = |(index, rule): &(RuleIndex, &DraftRule)| {
                let first = index.0;
                (0..rule.links.len() as u32).map(move |n| RuleIndex(first + n))
            };
            RuleBits::new(chosen(selection).flat_map(links_of))
        };
        for draft in drafts {
            out.push(match draft {
                ActionDraft::Ready(action) => action.clone(),
                ActionDraft::Ctl(CtlDraft::Ready(ctl)) => RuleAction::Ctl(ctl.clone()),
                ActionDraft::Ctl(CtlDraft::RemoveRules(s)) => RuleAction::Ctl(Ctl::RemoveRules(selected(s))),
                ActionDraft::Ctl(CtlDraft::RemoveTarget(s, target)) => {
                    RuleAction::Ctl(Ctl::RemoveTarget(links(s), target.clone()))
                }
                ActionDraft::Ctl(CtlDraft::Nothing) => continue,
            });
        }
    }

    /// When a link matches, and what values must have for that if anything is known.
    fn matcher(&mut self, draft: &DraftRule, link: &DraftLink) -> (Matcher, Option<ConditionId>) {
        let Some(written) = &link.operator else { return (Matcher::Always, None) };
        let (targets, key) =
            target::set(&link.targets, &link.set.namespaces, &mut self.intern, &mut self.diagnostics);
        if targets.included.is_empty() && !link.targets.iter().any(|t| !t.excluded) {
            self.error("no-target", link.span, "this rule looks at nothing: all its targets are exclusions");
        }
        let mut transforms = Vec::new();
        if !link.set.transforms_reset {
            transforms.extend(&draft.defaults.transforms);
        }
        transforms.extend(&link.set.transforms);
        if transforms.is_empty()
            && !link.set.multi_match
            && !link.set.capture
            && let Some(matcher) = self.slot_matcher(written, &targets)
        {
            return (matcher, None);
        }
        let built =
            operator::build(written, &self.files, self.sources, &mut self.intern, &mut self.diagnostics);
        let Some(built) = built else { return (Matcher::Always, None) };
        if built.operator.backtracks() {
            self.posture.backtracking.push(draft.id);
        }
        let condition = self.conditions.of(&*built.operator);
        let full = self.intern.chain(&transforms);
        let plain = self.intern.chain(&[]);
        let (lane_chain, steps) = if link.set.multi_match { (plain, full) } else { (full, None) };
        let lane = lane_chain.and_then(|chain| self.intern.lane(key, targets, chain));
        let Some(lane) = lane else {
            self.error(
                "too-many-lanes",
                link.span,
                "a ruleset may have 65,535 sets of targets and transformations",
            );
            return (Matcher::Always, None);
        };
        let scan = Matcher::Scan(Scan {
            lane,
            steps,
            operator: built.operator,
            negated: written.negated,
            argument: built.argument,
            capture: if link.set.capture { Wanted::Groups } else { Wanted::Nothing },
        });
        (scan, condition)
    }

    /// A comparison of one member of `TX` with a number needs no operator at all.
    fn slot_matcher(
        &mut self,
        written: &ast::Operator,
        targets: &crate::ruleset::TargetSet,
    ) -> Option<Matcher> {
        let compare = match written.name.to_ascii_lowercase().as_str() {
            "eq" => Compare::Eq,
            "ge" => Compare::Ge,
            "gt" => Compare::Gt,
            "le" => Compare::Le,
            "lt" => Compare::Lt,
            _ => return None,
        };
        let ([target], []) = (&*targets.included, &*targets.excluded) else { return None };
        let (Variable::Tx, Selector::Slot(slot)) = (target.variable, &target.selector) else { return None };
        let text = written.argument.node.trim();
        let template = super::template::parse(text, &mut self.intern, &mut Vec::new());
        let operand = match &*template.pieces {
            [Piece::Slot(slot)] => Operand::Slot(*slot),
            _ => match text.parse() {
                Ok(number) => Operand::Number(number),
                Err(_) if template.as_text().is_none() => Operand::Template(template),
                Err(_) => return None,
            },
        };
        Some(Matcher::Slot { slot: *slot, count: target.count, compare, operand, negated: written.negated })
    }

    fn meta(&mut self, draft: &DraftRule) -> RuleMeta {
        let head = draft.head();
        let (set, defaults) = (&head.set, &draft.defaults);
        // As in ModSecurity 3, what a later link of the chain says of itself counts.
        let last = |pick: fn(&ActionSet) -> &Option<Template>| {
            draft.links.iter().rev().find_map(|link| pick(&link.set).clone())
        };
        let text = |t: &Template| t.as_text().map(|t| String::from_utf8_lossy(t).into_owned());
        let all_tags = || defaults.tags.iter().chain(&set.tags);
        let tags: Vec<String> = all_tags().filter_map(text).collect();
        let dynamic_tags: Vec<Template> = all_tags().filter(|t| t.as_text().is_none()).cloned().collect();
        let operator = |link: &DraftLink| -> Arc<str> {
            let Some(operator) = &link.operator else { return "".into() };
            let not = if operator.negated { "!" } else { "" };
            let mut text = format!("{not}@{} {}", operator.name.node, operator.argument.node);
            if text.len() > limits::OPERATOR_TEXT_BYTES {
                let end = (0..=limits::OPERATOR_TEXT_BYTES).rev().find(|i| text.is_char_boundary(*i));
                text.truncate(end.unwrap_or(0));
                text.push('…');
            }
            text.into()
        };
        let name = self.sources.file(head.span.file).name();
        let file = self.file_names.entry(name.to_owned()).or_insert_with(|| name.into()).clone();
        RuleMeta {
            message: last(|s| &s.message).or_else(|| defaults.message.clone()).unwrap_or_default(),
            data: last(|s| &s.data).or_else(|| defaults.data.clone()).unwrap_or_default(),
            severity: set.severity.or(defaults.severity),
            tags: tags.into(),
            dynamic_tags: dynamic_tags.into(),
            version: set.version.clone().or_else(|| defaults.version.clone()).unwrap_or_default(),
            revision: set.revision.clone().or_else(|| defaults.revision.clone()).unwrap_or_default(),
            maturity: set.maturity.or(defaults.maturity),
            accuracy: set.accuracy.or(defaults.accuracy),
            status: set.status.or(defaults.status),
            log: set.log.or(defaults.log).unwrap_or(true),
            auditlog: set.auditlog.or(defaults.auditlog).unwrap_or(true),
            operator: operator(head),
            further_operators: draft.links.iter().skip(1).map(operator).collect(),
            file,
            line: u32::try_from(self.sources.position(head.span).line).unwrap_or(u32::MAX),
        }
    }

    fn jumps(&mut self, built: &mut Built, known: &[(RuleIndex, &DraftRule)], places: &[Place]) {
        let mut positions = [0_u32; 5];
        for (index, draft) in known {
            let phase = usize::from(draft.phase) - 1;
            positions[phase] += 1;
            let position = positions[phase];
            let set = &draft.head().set;
            let flow = match (&set.skip_after, set.skip) {
                (Some((name, span)), _) => {
                    let found =
                        places.iter().find(|p| p.at[phase] >= position && p.name.eq_ignore_ascii_case(name));
                    if found.is_none() {
                        let message =
                            format!("no marker {name} follows: the rest of phase {} is skipped", draft.phase);
                        self.diagnostics.push(Diagnostic::warning("no-such-marker", *span, message));
                    }
                    let end = built.lists[phase].len() as u32;
                    Some(Flow::SkipTo(found.map_or(end, |p| p.at[phase])))
                }
                (None, Some(n)) => Some(Flow::Skip(n)),
                (None, None) => None,
            };
            built.rules[index.0 as usize].flow = flow;
        }
    }

    fn score_slots(&self) -> ScoreSlots {
        let find = |name: &str| -> Option<Slot> { self.intern.slots.find(name) };
        ScoreSlots {
            inbound: [find("blocking_inbound_anomaly_score"), find("anomaly_score")],
            outbound: [find("blocking_outbound_anomaly_score"), find("outbound_anomaly_score")],
            inbound_threshold: find("inbound_anomaly_score_threshold"),
            outbound_threshold: find("outbound_anomaly_score_threshold"),
        }
    }
}

/// Whether any rule looks at what the rule before it matched: its own first match comes before everything else that it
/// does, so that only what it looks at and compares with counts, and all of it where it has no operator.
fn looks_back(rules: &[Rule], lists: &[Vec<RuleIndex>; 5], lanes: &[Lane]) -> bool {
    use Variable::{MatchedVar, MatchedVarName, MatchedVars, MatchedVarsNames};
    let is_matched = |target: &Target| {
        matches!(target.variable, MatchedVar | MatchedVarName | MatchedVars | MatchedVarsNames)
    };
    let names = |template: &Template| {
        template.pieces.iter().any(|piece| matches!(piece, Piece::Target(target) if is_matched(target)))
    };
    lists.iter().flatten().any(|head| match &rules[head.0 as usize].matcher {
        Matcher::Scan(scan) => {
            lanes[usize::from(scan.lane.0)].targets.included.iter().any(is_matched)
                || scan.argument.as_ref().is_some_and(names)
        }
        Matcher::Slot { operand, .. } => matches!(operand, Operand::Template(template) if names(template)),
        Matcher::Always => rules[head.0 as usize].templates().any(names),
    })
}

/// Rules and phases in the making.
#[derive(Default)]
struct Built {
    rules: Vec<Rule>,
    lists: [Vec<RuleIndex>; 5],
    /// What is necessary for each rule's operator to match.
    conditions: Vec<Option<ConditionId>>,
}

impl Built {
    fn phases_len(&self) -> [u32; 5] {
        std::array::from_fn(|i| self.lists[i].len() as u32)
    }
}

/// A marker, or a rule as one: where evaluation goes on in each phase.
struct Place {
    name: String,
    at: [u32; 5],
}
