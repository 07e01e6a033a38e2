//! Conditions: `{variables, transformations, operator}`, and `all`, `any`, `not` over them.
//!
//! SecLang has no boolean expressions. `all` becomes a chain. `any` becomes a rule for each alternative, which
//! notes what matched in a `TX` variable, and a condition on that variable in the place of the `any`. Repeating
//! the whole rule for each alternative instead would add its score twice when two match, and would give
//! exclusions several ids to name.

use super::node::{Node, Value};
use super::reader::{Context, Fields, action, list};
use super::rule::given_actions;
use super::table;
use crate::source::{Span, Spanned};
use crate::syntax::ast::{Action, Operator, Rule, Selector, Statement, Target};
use crate::syntax::diagnostic::{Diagnostic, shorten};
use crate::syntax::seclang::{parse_operator, parse_targets};

/// Conditions which must all be met, in order, and the rules that must come before them.
#[derive(Debug, Default)]
pub(crate) struct Lowered {
    /// One link of a chain each.
    pub(crate) links: Vec<Link>,
    /// Rules for the alternatives of `any`, without a phase.
    pub(crate) before: Vec<Statement>,
    /// What the conditions look at, alternatives included.
    pub(crate) targets: Vec<Target>,
}

/// One rule of a chain, without the actions that belong to the whole.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) targets: Vec<Target>,
    pub(crate) operator: Operator,
    /// `t:…`, `capture`, `multiMatch`.
    pub(crate) actions: Vec<Action>,
    pub(crate) span: Span,
}

/// Lowers the condition `node` of the rule `id`; `None` when it has a fault, which has been told.
pub(crate) fn lower(node: &Node, id: u64, context: &mut Context<'_>) -> Option<Lowered> {
    let before = context.diagnostics.errors();
    let mut out = Lowered::default();
    let mut alternatives = 0;
    conditions(node, id, &mut alternatives, &mut out, context);
    (context.diagnostics.errors() == before && !out.links.is_empty()).then_some(out)
}

/// As [`lower`], of `node` written under `key`: `all`, `any` or `not`.
pub(crate) fn lower_compound(key: &str, node: &Node, id: u64, context: &mut Context<'_>) -> Option<Lowered> {
    let before = context.diagnostics.errors();
    let mut out = Lowered::default();
    compound(key, node, id, &mut 0, &mut out, context);
    (context.diagnostics.errors() == before && !out.links.is_empty()).then_some(out)
}

/// A link which is met if the `TX` variable `key` exists.
pub(crate) fn exists(key: &str, span: Span) -> Link {
    compare("TX", key, "unconditionalMatch", "", span)
}

/// A link which compares one member of a collection.
pub(crate) fn compare(name: &str, key: &str, operator: &str, argument: &str, span: Span) -> Link {
    let at = |text: &str| Spanned::new(text.to_owned(), span);
    let target = Target {
        excluded: false,
        count: false,
        name: at(name),
        selector: Some(Spanned::new(Selector::Key(key.to_owned()), span)),
        span,
    };
    let operator =
        Operator { negated: false, name: at(operator), implicit: false, argument: at(argument), span };
    Link { targets: vec![target], operator, actions: vec![action("t", Some("none".to_owned()), span)], span }
}

/// Turns `links` into a chain of rules. `first` go to the first, `last` to the last.
pub(crate) fn chain(links: Vec<Link>, first: Vec<Action>, last: Vec<Action>) -> Vec<Statement> {
    let count = links.len();
    let (mut first, mut last) = (Some(first), Some(last));
    let rule = |(at, link): (usize, Link)| {
        let mut actions = first.take().unwrap_or_default();
        actions.extend(link.actions);
        if at + 1 == count {
            actions.extend(last.take().unwrap_or_default());
        } else {
            actions.push(action("chain", None, link.span));
        }
        Statement::Rule(Rule { targets: link.targets, operator: link.operator, actions, span: link.span })
    };
    links.into_iter().enumerate().map(rule).collect()
}

fn conditions(node: &Node, id: u64, alternatives: &mut u64, out: &mut Lowered, context: &mut Context<'_>) {
    let found = match &node.value {
        Value::Map(map) => map.iter().find(|(key, _)| matches!(key.as_str(), "all" | "any" | "not")),
        // A list reads as all of its members.
        Value::List(_) => return all(node, id, alternatives, out, context),
        Value::Scalar { .. } => None,
    };
    let Some((key, inner)) = found else {
        if let Some(link) = condition(node, context) {
            out.targets.extend(link.targets.iter().cloned());
            out.links.push(link);
        }
        return;
    };
    if let Value::Map(map) = &node.value
        && let Some((other, _)) = map.iter().find(|(other, _)| other.node != key.node)
    {
        let message = format!("`{}` cannot stand beside `{}`", shorten(other), key.node);
        let help = "put the conditions into one list, as in all: [{…}, {any: [{…}, {…}]}]";
        context.diagnostics.push(Diagnostic::error("condition", other.span, message).help(help));
        return;
    }
    compound(key, inner, id, alternatives, out, context);
}

fn compound(
    key: &str,
    inner: &Node,
    id: u64,
    alternatives: &mut u64,
    out: &mut Lowered,
    context: &mut Context<'_>,
) {
    match key {
        "all" => all(inner, id, alternatives, out, context),
        "any" => any(inner, id, alternatives, out, context),
        _ => {
            let links = out.links.len();
            conditions(inner, id, alternatives, out, context);
            if out.links.len() != links + 1 || matches!(&inner.value, Value::Map(map) if is_compound(map)) {
                let message = "not takes a single condition";
                let help = "negate each member, and turn all into any or any into all";
                context.diagnostics.push(Diagnostic::error("condition", inner.span, message).help(help));
            } else if let Some(link) = out.links.last_mut() {
                link.operator.negated = !link.operator.negated;
            }
        }
    }
}

fn is_compound(map: &[(Spanned<String>, Node)]) -> bool {
    map.iter().any(|(key, _)| matches!(key.as_str(), "all" | "any"))
}

fn all(node: &Node, id: u64, alternatives: &mut u64, out: &mut Lowered, context: &mut Context<'_>) {
    let members = list(node, "all", context.diagnostics);
    if members.is_empty() {
        context.diagnostics.push(Diagnostic::error("condition", node.span, "there is no condition here"));
    }
    for member in members {
        conditions(member, id, alternatives, out, context);
    }
}

fn any(node: &Node, id: u64, alternatives: &mut u64, out: &mut Lowered, context: &mut Context<'_>) {
    let members = list(node, "any", context.diagnostics);
    if members.is_empty() {
        context.diagnostics.push(Diagnostic::error("condition", node.span, "there is no condition here"));
    }
    *alternatives += 1;
    let flag = format!("any_{id}_{alternatives}");
    for member in members {
        let mut inner = Lowered::default();
        conditions(member, id, alternatives, &mut inner, context);
        *alternatives += 1;
        if *alternatives > ALTERNATIVES {
            let message = format!("a rule may have up to {ALTERNATIVES} alternatives");
            context.diagnostics.push(Diagnostic::error("condition", member.span, message));
            return;
        }
        if inner.links.is_empty() {
            continue;
        }
        let derived = DERIVED_IDS + id * (ALTERNATIVES + 1) + *alternatives;
        let first = ["id", "pass", "nolog"]
            .map(|name| action(name, (name == "id").then(|| derived.to_string()), member.span));
        let note = format!("tx.{flag}=%{{MATCHED_VAR_NAME}}: %{{MATCHED_VAR}}");
        let last = vec![action("setvar", Some(note), member.span)];
        out.targets.append(&mut inner.targets);
        out.before.append(&mut inner.before);
        out.before.extend(chain(inner.links, first.into(), last));
    }
    out.links.push(exists(&flag, node.span));
}

/// A condition that is no compound.
fn condition(node: &Node, context: &mut Context<'_>) -> Option<Link> {
    let fields = Fields::of(node, &table::CONDITION, context.diagnostics)?;
    let before = context.diagnostics.errors();
    let mut targets = Vec::new();
    for text in fields.texts("variables", context.diagnostics) {
        targets.extend(parse_targets(&text, context.sources, context.diagnostics));
    }
    let mut missing = |key: &str, example: &str| {
        let fault = Diagnostic::error("condition", fields.span, format!("this condition has no {key}"));
        context.diagnostics.push(fault.help(format!("for example {key}: {example}")));
    };
    if fields.get("variables").is_none() {
        missing("variables", "[ARGS, '!ARGS:comment']");
    }
    if fields.get("operator").is_none() {
        missing("operator", "'@rx ^[0-9]+$'");
    }
    let operator = fields.text("operator", context.diagnostics)?;
    let parsed = parse_operator(&operator, context.sources);
    if parsed.name.is_empty() {
        let fault =
            Diagnostic::error("no-operator", operator.span, "an operator's name is missing after the @");
        context.diagnostics.push(fault);
    }
    // Rules of this syntax start from the bytes as they came, whatever SecDefaultAction says.
    let mut actions = vec![action("t", Some("none".to_owned()), operator.span)];
    for name in fields.texts("transformations", context.diagnostics) {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            let message = format!("`{}` is not a transformation", shorten(&name));
            let help = "write the name without t:, for example [urlDecodeUni, lowercase]";
            context.diagnostics.push(Diagnostic::error("condition", name.span, message).help(help));
        }
        let span = name.span;
        actions.push(Action { name: Spanned::new("t".to_owned(), span), value: Some(name), span });
    }
    for (key, name) in [("capture", "capture"), ("multi_match", "multiMatch")] {
        if let Some(flag) = fields.flag(key, context.diagnostics).filter(|flag| flag.node) {
            actions.push(action(name, None, flag.span));
        }
    }
    actions.extend(given_actions(&fields, context));
    let link = Link { targets, operator: parsed, actions, span: fields.span };
    (context.diagnostics.errors() == before).then_some(link)
}

/// Alternatives of all `any`s of one rule.
const ALTERNATIVES: u64 = 99;
/// Where the ids of alternatives begin: this, and a hundred for each id.
const DERIVED_IDS: u64 = 10_000_000_000_000;
