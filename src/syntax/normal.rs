//! When two rules that are written differently are the same.

use super::ast::{Action, Operator, Statement, Target};

/// Whether `a` and `b` do the same, whatever the order in which a rule says what it is. Transformations and what
/// changes something keep their order.
pub fn alike(a: &[Statement], b: &[Statement]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

fn same(a: &Statement, b: &Statement) -> bool {
    match (a, b) {
        (Statement::Rule(a), Statement::Rule(b)) => {
            a.targets.len() == b.targets.len()
                && a.targets.iter().zip(&b.targets).all(|(a, b)| same_target(a, b))
                && same_operator(&a.operator, &b.operator)
                && said(&a.actions) == said(&b.actions)
        }
        (Statement::Action(a), Statement::Action(b))
        | (Statement::DefaultAction(a), Statement::DefaultAction(b)) => said(&a.actions) == said(&b.actions),
        (Statement::Marker(a, _), Statement::Marker(b, _)) => a.node == b.node,
        (Statement::Directive(a), Statement::Directive(b)) => {
            a.name.node == b.name.node
                && a.arguments.len() == b.arguments.len()
                && a.arguments.iter().zip(&b.arguments).all(|(a, b)| a.node == b.node)
        }
        _ => false,
    }
}

fn same_target(a: &Target, b: &Target) -> bool {
    (a.excluded, a.count) == (b.excluded, b.count)
        && a.name.eq_ignore_ascii_case(&b.name)
        && a.selector.as_ref().map(|s| &s.node) == b.selector.as_ref().map(|s| &s.node)
}

fn same_operator(a: &Operator, b: &Operator) -> bool {
    a.negated == b.negated && a.name.eq_ignore_ascii_case(&b.name) && a.argument.node == b.argument.node
}

/// Names and values of `actions`, in an order that does not depend on how they were written: by name, and those of
/// one name as they stand.
fn said(actions: &[Action]) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = actions.iter().map(one).collect();
    // Transformations before the last `none` mean nothing; with none at all, `t:none` says that, unless
    // SecDefaultAction has some.
    if let Some(none) = out.iter().rposition(|(name, value)| name == "t" && value == "none") {
        let mut at = 0;
        out.retain(|(name, _)| {
            at += 1;
            name != "t" || at - 1 > none
        });
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

fn one(action: &Action) -> (String, String) {
    let name = action.name.to_ascii_lowercase();
    let value = action.value.as_ref().map(|value| value.node.clone()).unwrap_or_default();
    let value = match name.as_str() {
        "phase" => match value.to_ascii_lowercase().as_str() {
            "request" => "2".to_owned(),
            "response" => "4".to_owned(),
            "logging" => "5".to_owned(),
            _ => value,
        },
        "severity" => {
            let names = super::yaml::SEVERITY_NAMES.iter().position(|n| n.eq_ignore_ascii_case(&value));
            names.map_or(value, |number| number.to_string())
        }
        _ => value,
    };
    (name, value)
}
