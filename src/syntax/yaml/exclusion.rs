//! `exclusions:` → `SecRuleRemoveBy…`, `SecRuleUpdateTargetBy…`, or with a condition a rule of `ctl` actions.

use super::condition::chain;
use super::node::Node;
use super::reader::{Context, Fields, action, texts};
use super::rule::{conditions, phase_of, with_phase};
use super::{id, table};
use crate::source::{Span, Spanned};
use crate::syntax::ast::{ActionStatement, Directive, Statement};
use crate::syntax::diagnostic::{Diagnostic, shorten};
use crate::syntax::print::print_target;
use crate::syntax::seclang::parse_targets;

/// What one exclusion becomes.
#[derive(Debug, Default)]
pub(crate) struct Exclusion {
    /// Stands before all rules: it is a rule itself and acts on those that follow.
    pub(crate) before: Vec<Statement>,
    /// Stands after all rules: it changes those that it finds.
    pub(crate) after: Vec<Statement>,
}

/// Lowers one member of `exclusions`. One with a fault gives nothing; the fault has been told.
pub(crate) fn lower(node: &Node, context: &mut Context<'_>) -> Exclusion {
    let before = context.diagnostics.errors();
    let mut out = Exclusion::default();
    let Some(fields) = Fields::of(node, &table::EXCLUSION, context.diagnostics) else { return out };
    fields.text("reason", context.diagnostics);
    let chosen = Chosen::read(&fields, context);
    let is_conditional = ["when", "all", "any", "not"].into_iter().any(|key| fields.get(key).is_some());
    if is_conditional {
        let id = id::read(&fields, context);
        let condition = conditions(&fields, id.as_ref().map_or(0, |id| id.number), context);
        let (Some(id), Some(condition)) = (id, condition) else { return out };
        let phase = phase_of(&fields, &condition, context);
        if context.diagnostics.errors() > before {
            return out;
        }
        let first = vec![
            action("id", Some(id.number.to_string()), id.span),
            action("phase", Some(phase.node.to_string()), phase.span),
            action("pass", None, fields.span),
            action("nolog", None, fields.span),
        ];
        let controls: Vec<_> =
            chosen.controls().map(|(value, span)| action("ctl", Some(value), span)).collect();
        out.before = with_phase(condition.before, &phase, &[]);
        if condition.links.is_empty() {
            let actions = first.into_iter().chain(controls).collect();
            out.before.push(Statement::Action(ActionStatement { actions, span: fields.span }));
        } else {
            out.before.extend(chain(condition.links, first, controls));
        }
    } else {
        for key in ["id", "phase"] {
            if let Some((span, _)) = fields.entry(key) {
                let message = format!("an exclusion without a condition has no {key}");
                let help = "remove it, or say under when: which requests it is for";
                context.diagnostics.push(Diagnostic::error("exclusion", span, message).help(help));
            }
        }
        if context.diagnostics.errors() == before {
            out.after = chosen.directives(fields.span);
        }
    }
    out
}

/// Which rules an exclusion is about, and which of their targets.
struct Chosen {
    rules: Vec<Spanned<String>>,
    tags: Vec<Spanned<String>>,
    messages: Vec<Spanned<String>>,
    /// As in a target list, without `!`. None means the whole rule.
    targets: Vec<String>,
}

impl Chosen {
    fn read(fields: &Fields<'_>, context: &mut Context<'_>) -> Self {
        let mut rules = fields.texts("rules", context.diagnostics);
        for rule in &mut rules {
            match id::selected(rule) {
                Some(number) => rule.node = number,
                None => {
                    let message = format!("`{}` is neither an id nor a range of ids", shorten(rule));
                    let help = "for example 942100, 942100-942199 or the id of a rule that is a text";
                    context.diagnostics.push(Diagnostic::error("exclusion", rule.span, message).help(help));
                }
            }
        }
        let tags = fields.texts("tags", context.diagnostics);
        let messages = fields.texts("messages", context.diagnostics);
        if rules.is_empty() && tags.is_empty() && messages.is_empty() {
            let fault = Diagnostic::error("exclusion", fields.span, "this exclusion names no rule");
            let help = "name some by rules: [942100], tags: [attack-sqli] or messages: ['^SQL']";
            context.diagnostics.push(fault.help(help));
        }
        let mut targets = Vec::new();
        if let Some(node) = fields.get("targets") {
            for text in texts(node, context.diagnostics) {
                for target in parse_targets(&text, context.sources, context.diagnostics) {
                    if target.excluded || target.count {
                        let message = "a target to leave out is written without ! and &";
                        context.diagnostics.push(Diagnostic::error("exclusion", target.span, message));
                    }
                    targets.push(print_target(&target));
                }
            }
        }
        Self { rules, tags, messages, targets }
    }

    /// The values of the `ctl` actions.
    fn controls(&self) -> impl Iterator<Item = (String, Span)> {
        let kinds = [("Id", &self.rules), ("Tag", &self.tags), ("Msg", &self.messages)];
        kinds.into_iter().flat_map(move |(kind, names)| {
            names.iter().flat_map(move |name| {
                let whole = self.targets.is_empty().then(|| format!("ruleRemoveBy{kind}={}", name.node));
                let parts = self
                    .targets
                    .iter()
                    .map(move |target| format!("ruleRemoveTargetBy{kind}={};{target}", name.node));
                whole.into_iter().chain(parts).map(|value| (value, name.span))
            })
        })
    }

    fn directives(&self, span: Span) -> Vec<Statement> {
        let directive = |name: &'static str, arguments: Vec<Spanned<String>>| {
            Statement::Directive(Directive { name: Spanned::new(name, span), arguments, span })
        };
        let kinds = [
            ("SecRuleRemoveById", "SecRuleUpdateTargetById", &self.rules),
            ("SecRuleRemoveByTag", "SecRuleUpdateTargetByTag", &self.tags),
            ("SecRuleRemoveByMsg", "SecRuleUpdateTargetByMsg", &self.messages),
        ];
        let without: Vec<_> = self.targets.iter().map(|target| format!("!{target}")).collect();
        let mut out = Vec::new();
        for (remove, update, names) in kinds {
            for name in names {
                out.push(if without.is_empty() {
                    directive(remove, vec![name.clone()])
                } else {
                    directive(update, vec![name.clone(), Spanned::new(without.join("|"), span)])
                });
            }
        }
        out
    }
}
