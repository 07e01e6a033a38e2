//! `SecRuleUpdate…` and `SecRuleRemove…`: changes to rules from outside of them. They are applied when all rules are
//! known, so that it does not matter where they stand, as in ModSecurity 3.

use super::action_set;
use super::program::Compiler;
use super::select::RuleSelection;
use crate::source::{Span, Spanned};
use crate::syntax::ast::{self, Directive};
use crate::syntax::diagnostic::Diagnostic;
use crate::syntax::seclang;

/// `SecRuleUpdate…`, applied when all rules are known.
pub(super) struct Update {
    selection: RuleSelection,
    /// Which link of the chain (`id:2`).
    link: usize,
    change: Change,
    span: Span,
}

enum Change {
    Targets { added: Vec<ast::Target>, replaced: Vec<ast::Target> },
    Actions(Vec<ast::Action>),
}

impl Compiler<'_> {
    pub(super) fn update_targets(&mut self, directive: &Directive, first: &Spanned<String>) {
        let Some((selection, link)) = self.selection(directive, first) else { return };
        let mut targets = |n: usize| match directive.arguments.get(n) {
            Some(text) => seclang::parse_targets(text, self.sources, &mut self.diagnostics),
            None => Vec::new(),
        };
        let change = Change::Targets { added: targets(1), replaced: targets(2) };
        self.updates.push(Update { selection, link, change, span: directive.span });
    }

    pub(super) fn update_actions(&mut self, directive: &Directive, first: &Spanned<String>) {
        let Some((selection, link)) = self.selection(directive, first) else { return };
        let Some(text) = directive.arguments.get(1) else { return };
        let actions = seclang::parse_actions(text, self.sources, &mut self.diagnostics);
        let change = Change::Actions(actions);
        self.updates.push(Update { selection, link, change, span: directive.span });
    }

    fn selection(
        &mut self,
        directive: &Directive,
        first: &Spanned<String>,
    ) -> Option<(RuleSelection, usize)> {
        match directive.name.node {
            "SecRuleUpdateTargetByTag" => Some((RuleSelection::Tag(first.node.clone()), 0)),
            "SecRuleUpdateTargetByMsg" => Some((RuleSelection::Message(first.node.clone()), 0)),
            _ => {
                // `id:offset` means a link of the chain.
                let (ids, offset) = first.node.split_once(':').unwrap_or((&first.node, "0"));
                match (RuleSelection::ids(ids), offset.trim().parse()) {
                    (Ok(selection), Ok(offset)) => Some((selection, offset)),
                    (Err(message), _) => {
                        self.error("invalid-ids", first.span, message);
                        None
                    }
                    (_, Err(_)) => {
                        self.error("invalid-ids", first.span, format!("{offset} is no position in a chain"));
                        None
                    }
                }
            }
        }
    }

    pub(super) fn apply_updates(&mut self) {
        for update in std::mem::take(&mut self.updates) {
            let mut found = false;
            let diagnostics = &mut self.diagnostics;
            for rule in self.drafts.selected(&update.selection) {
                found = true;
                rule.updated = true;
                let Some(link) = rule.links.get_mut(update.link) else {
                    let message = format!(
                        "rule {} has {} links, none of number {}",
                        rule.id,
                        rule.links.len(),
                        update.link
                    );
                    diagnostics.push(Diagnostic::error("no-such-link", update.span, message));
                    continue;
                };
                match &update.change {
                    Change::Targets { added, replaced } => {
                        if !replaced.is_empty() {
                            link.targets.retain(|t| !replaced.iter().any(|r| same_target(r, t)));
                        }
                        link.targets.extend(added.iter().cloned());
                    }
                    Change::Actions(actions) => {
                        let mut base = std::mem::take(&mut link.set);
                        let (id, phase, chain) = (base.id, base.phase, base.chain);
                        let disruptive = base.disruptive.take();
                        link.set =
                            action_set::merge(base, actions, &mut self.intern, self.sources, diagnostics);
                        // What a rule is and where it stands cannot be changed from outside.
                        (link.set.id, link.set.phase, link.set.chain) = (id, phase, chain);
                        link.set.disruptive = link.set.disruptive.take().or(disruptive);
                    }
                }
                self.posture.updated.push(rule.id);
            }
            if !found {
                self.nothing_selected(update.span);
            }
        }
        self.posture.updated.sort_unstable();
        self.posture.updated.dedup();
    }

    pub(super) fn apply_removals(&mut self) {
        for (selection, span) in std::mem::take(&mut self.removals) {
            let removed = self.drafts.remove(&selection);
            if removed.is_empty() {
                self.nothing_selected(span);
            }
            self.posture.removed.extend(removed);
        }
    }

    fn nothing_selected(&mut self, span: Span) {
        self.diagnostics.push(
            Diagnostic::warning("nothing-selected", span, "no rule is meant by this")
                .help("look at the id, tag or message, and whether the rules it means are loaded at all"),
        );
    }
}

fn same_target(a: &ast::Target, b: &ast::Target) -> bool {
    a.excluded == b.excluded
        && a.count == b.count
        && a.name.eq_ignore_ascii_case(&b.name)
        && a.selector.as_ref().map(|s| &s.node) == b.selector.as_ref().map(|s| &s.node)
}
