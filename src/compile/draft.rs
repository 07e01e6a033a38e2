//! Rules between the syntax tree and the ruleset: chains joined, defaults, updates and removals applied, names
//! and places not yet resolved.

use super::action_set::{self, ActionSet, DisruptiveDraft};
use super::intern::Intern;
use super::select::RuleSelection;
use crate::ruleset::Disruptive;
use crate::source::{SourceMap, Span};
use crate::syntax::ast;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics, Severity};
use std::collections::HashMap;

/// A rule with its chain.
pub(super) struct DraftRule {
    pub(super) id: u64,
    pub(super) phase: u8,
    pub(super) links: Vec<DraftLink>,
    /// What `SecDefaultAction` said for its phase when it was written.
    pub(super) defaults: ActionSet,
    pub(super) updated: bool,
}

/// One `SecRule` or `SecAction`.
pub(super) struct DraftLink {
    pub(super) targets: Vec<ast::Target>,
    /// None for `SecAction`.
    pub(super) operator: Option<ast::Operator>,
    pub(super) set: ActionSet,
    pub(super) span: Span,
}

/// A place in the order of rules.
pub(super) enum Entry {
    Rule(Box<DraftRule>),
    Marker(String),
}

/// Joins statements to rules.
pub(super) struct Drafts {
    pub(super) entries: Vec<Entry>,
    defaults: [Option<ActionSet>; 5],
    /// A chain whose last link has not come yet.
    open: Option<DraftRule>,
    ids: HashMap<u64, Span>,
}

impl Drafts {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), defaults: Default::default(), open: None, ids: HashMap::new() }
    }

    /// Takes a `SecRule`.
    pub(super) fn rule(
        &mut self,
        rule: &ast::Rule,
        intern: &mut Intern,
        sources: &SourceMap,
        out: &mut Diagnostics,
    ) {
        let set = action_set::merge(ActionSet::default(), &rule.actions, intern, sources, out);
        let link = DraftLink {
            targets: rule.targets.clone(),
            operator: Some(rule.operator.clone()),
            set,
            span: rule.span,
        };
        self.link(link, out);
    }

    /// Takes a `SecAction`.
    pub(super) fn action(
        &mut self,
        statement: &ast::ActionStatement,
        intern: &mut Intern,
        sources: &SourceMap,
        out: &mut Diagnostics,
    ) {
        let set = action_set::merge(ActionSet::default(), &statement.actions, intern, sources, out);
        self.link(DraftLink { targets: Vec::new(), operator: None, set, span: statement.span }, out);
    }

    /// Takes a `SecMarker`.
    pub(super) fn marker(&mut self, name: &str, out: &mut Diagnostics) {
        self.close(out);
        self.entries.push(Entry::Marker(name.to_owned()));
    }

    /// Takes a `SecDefaultAction`.
    pub(super) fn default_action(
        &mut self,
        statement: &ast::ActionStatement,
        intern: &mut Intern,
        sources: &SourceMap,
        out: &mut Diagnostics,
    ) {
        let set = action_set::merge(ActionSet::default(), &statement.actions, intern, sources, out);
        let Some(phase) = set.phase else {
            out.push(
                Diagnostic::error(
                    "default-without-phase",
                    statement.span,
                    "SecDefaultAction must specify a phase",
                )
                .help(
                    "write \"phase:2,log,auditlog,pass\", and another SecDefaultAction for each other phase",
                ),
            );
            return;
        };
        if !matches!(set.disruptive, Some(DisruptiveDraft::Known(_))) {
            out.push(
                Diagnostic::error(
                    "default-without-disruptive",
                    statement.span,
                    "SecDefaultAction must specify a disruptive action",
                )
                .help("add pass, deny or another one; block would mean itself"),
            );
        }
        if set.id.is_some() || set.chain || set.skip.is_some() || set.skip_after.is_some() {
            out.push(Diagnostic::error(
                "invalid-default",
                statement.span,
                "SecDefaultAction must not contain id, chain, skip or skipAfter",
            ));
        }
        self.defaults[usize::from(phase) - 1] = Some(set);
    }

    /// Ends the input: a chain that is still open is an error.
    pub(super) fn finish(&mut self, out: &mut Diagnostics) {
        self.close(out);
    }

    fn close(&mut self, out: &mut Diagnostics) {
        if let Some(rule) = self.open.take() {
            if let Some(link) = rule.links.last() {
                out.push(
                    Diagnostic::warning("open-chain", link.span, "this rule has chain, but no rule follows it")
                        .help("add the rule that it is chained with, or take chain away; it is carried out as it is"),
                );
            }
            self.entries.push(Entry::Rule(Box::new(rule)));
        }
    }

    fn link(&mut self, link: DraftLink, out: &mut Diagnostics) {
        let more = link.set.chain;
        let rule = match self.open.take() {
            Some(mut head) => {
                check_link(&link, out);
                head.links.push(link);
                head
            }
            None => self.head(link, out),
        };
        if more {
            self.open = Some(rule);
        } else {
            self.entries.push(Entry::Rule(Box::new(rule)));
        }
    }

    fn head(&mut self, link: DraftLink, out: &mut Diagnostics) -> DraftRule {
        let phase = link.set.phase.unwrap_or(2);
        let id = match link.set.id {
            Some((id, span)) => {
                if let Some(first) = self.ids.insert(id, span) {
                    out.push(
                        Diagnostic::error("duplicate-id", span, format!("another rule has the id {id}"))
                            .related(first, "first used here"),
                    );
                }
                id
            }
            None => {
                out.push(
                    Diagnostic::error("missing-id", link.span, "a rule needs an id")
                        .help("add id:NUMBER to its actions; 1 to 99,999 are free for local use"),
                );
                0
            }
        };
        let defaults = self.defaults[usize::from(phase) - 1].clone().unwrap_or_else(|| ActionSet {
            log: Some(true),
            auditlog: Some(true),
            disruptive: Some(DisruptiveDraft::Known(Disruptive::Pass)),
            ..ActionSet::default()
        });
        DraftRule { id, phase, links: vec![link], defaults, updated: false }
    }

    /// The rules that `selection` means.
    pub(super) fn selected<'a>(
        &'a mut self,
        selection: &'a RuleSelection,
    ) -> impl Iterator<Item = &'a mut DraftRule> {
        self.entries.iter_mut().filter_map(move |e| match e {
            Entry::Rule(rule) if rule.is_selected(selection) => Some(&mut **rule),
            _ => None,
        })
    }

    /// Takes rules away; their ids.
    pub(super) fn remove(&mut self, selection: &RuleSelection) -> Vec<u64> {
        let mut removed = Vec::new();
        self.entries.retain(|e| match e {
            Entry::Rule(rule) if rule.is_selected(selection) => {
                removed.push(rule.id);
                false
            }
            _ => true,
        });
        removed
    }
}

impl DraftRule {
    /// The first rule of the chain.
    pub(super) fn head(&self) -> &DraftLink {
        &self.links[0]
    }

    /// Whether `selection` means this rule.
    pub(super) fn is_selected(&self, selection: &RuleSelection) -> bool {
        let set = &self.head().set;
        let text = |t: &crate::ruleset::Template| {
            t.as_text().map(|t| String::from_utf8_lossy(t).into_owned()).unwrap_or_default()
        };
        match selection {
            RuleSelection::Ids(_) => selection.selects(self.id, &[], ""),
            RuleSelection::Tag(_) => {
                let tags: Vec<String> = set.tags.iter().chain(&self.defaults.tags).map(text).collect();
                let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
                selection.selects(self.id, &tags, "")
            }
            RuleSelection::Message(_) => {
                selection.selects(self.id, &[], &set.message.as_ref().map(text).unwrap_or_default())
            }
        }
    }
}

/// What may stand only at the head of a chain.
fn check_link(link: &DraftLink, out: &mut Diagnostics) {
    let set = &link.set;
    let faults = [
        (set.disruptive.is_some(), "a disruptive action", Severity::Error),
        (set.id.is_some(), "an id", Severity::Warning),
        (set.phase.is_some(), "a phase", Severity::Warning),
        (set.skip.is_some() || set.skip_after.is_some(), "skip or skipAfter", Severity::Warning),
    ];
    for (_, what, severity) in faults.into_iter().filter(|(present, ..)| *present) {
        let message = match severity {
            Severity::Error => format!("only the first rule of a chain may have {what}"),
            _ => format!("only the first rule of a chain may have {what}; it is ignored here"),
        };
        out.push(
            Diagnostic::new(severity, "not-at-head", link.span, message)
                .help("move it to the rule that begins the chain"),
        );
    }
}
