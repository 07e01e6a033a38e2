//! A list of actions, merged in order into what it says of its rule.

use super::action::{ACTIONS, Value, find};
use super::ctl::CtlDraft;
use super::intern::Intern;
use super::template;
use crate::ruleset::{Disruptive, RuleAction, Sanitise, SetVar, Template};
use crate::source::{SourceMap, Span};
use crate::syntax::ast;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::transform::TransformId;

/// What a list of actions says, merged in order.
#[derive(Clone, Debug, Default)]
pub(super) struct ActionSet {
    pub(super) id: Option<(u64, Span)>,
    pub(super) phase: Option<u8>,
    pub(super) message: Option<Template>,
    pub(super) data: Option<Template>,
    pub(super) severity: Option<u8>,
    pub(super) tags: Vec<Template>,
    pub(super) version: Option<String>,
    pub(super) revision: Option<String>,
    pub(super) maturity: Option<u8>,
    pub(super) accuracy: Option<u8>,
    pub(super) status: Option<u16>,
    pub(super) log: Option<bool>,
    pub(super) auditlog: Option<bool>,
    pub(super) capture: bool,
    pub(super) multi_match: bool,
    pub(super) transforms: Vec<TransformId>,
    pub(super) transforms_reset: bool,
    pub(super) chain: bool,
    pub(super) disruptive: Option<DisruptiveDraft>,
    pub(super) skip: Option<u32>,
    pub(super) skip_after: Option<(String, Span)>,
    pub(super) set: Vec<SetVar>,
    pub(super) actions: Vec<ActionDraft>,
    pub(super) sanitise: Vec<Sanitise>,
    pub(super) namespaces: Vec<(Box<str>, Box<str>)>,
}

/// A disruptive action, `block` not yet resolved.
#[derive(Clone, Debug)]
pub(super) enum DisruptiveDraft {
    Block,
    Known(Disruptive),
}

/// An action of which some need all rules to be known.
#[derive(Clone, Debug)]
pub(super) enum ActionDraft {
    Ready(RuleAction),
    Ctl(CtlDraft),
}

/// An action set in the making.
pub(super) struct Draft<'a> {
    pub(super) set: ActionSet,
    pub(super) intern: &'a mut Intern,
    pub(super) diagnostics: &'a mut Diagnostics,
    pub(super) sources: &'a SourceMap,
}

impl Draft<'_> {
    pub(super) fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(code, span, message));
    }

    /// `text` with its macros; those that name nothing are complained about.
    pub(super) fn template(&mut self, action: &ast::Action, text: &str) -> Template {
        let mut unknown = Vec::new();
        let template = template::parse(text, self.intern, &mut unknown);
        for range in unknown {
            let name = &text[range];
            self.diagnostics.push(
                Diagnostic::warning(
                    "unknown-macro",
                    action.span,
                    format!("{name} names no variable and stays as text"),
                )
                .help("macros are written %{VARIABLE} or %{VARIABLE.member}"),
            );
        }
        template
    }
}

/// Merges `actions` over `base`.
pub(super) fn merge(
    base: ActionSet,
    actions: &[ast::Action],
    intern: &mut Intern,
    sources: &SourceMap,
    diagnostics: &mut Diagnostics,
) -> ActionSet {
    let mut draft = Draft { set: base, intern, diagnostics, sources };
    for action in actions {
        let Some(row) = find(&action.name) else {
            let mut diagnostic = Diagnostic::error(
                "unknown-action",
                action.name.span,
                format!("there is no action {}", action.name.node),
            );
            if let Some(near) = nearest(&action.name, ACTIONS.iter().map(|r| r.name)) {
                diagnostic = diagnostic.help(format!("did you mean {near}?"));
            }
            draft.diagnostics.push(diagnostic);
            continue;
        };
        let value = action.value.as_ref().map(|v| v.node.as_str());
        match (row.value, value) {
            (Value::Required, None | Some("")) => {
                draft.error(
                    "missing-value",
                    action.span,
                    format!("{} needs a value: {}:…", row.name, row.name),
                );
            }
            (Value::None, Some(value)) if !value.is_empty() => {
                draft.diagnostics.push(Diagnostic::warning(
                    "unused-value",
                    action.span,
                    format!("{} takes no value; {value} is ignored", row.name),
                ));
                (row.apply)(&mut draft, action, "");
            }
            (_, value) => (row.apply)(&mut draft, action, value.unwrap_or_default()),
        }
    }
    draft.set
}
