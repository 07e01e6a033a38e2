//! Statements → members of `rules:`, as far as the format can say what they say.

use super::rule::{DISRUPTIVE, EFFECTS};
use super::table::SEVERITY_NAMES;
use super::{file, phase};
use crate::syntax::ast::{Action, Operator, Rule, Statement, Target};
use crate::syntax::print::{print_action, print_operator, print_target};
use std::fmt::Write as _;

/// `group`, a statement or a chain, as a member of `rules:` that begins with `- `; none where the format cannot say
/// it. Whoever asks should read it again: what an action or a target means is not known here.
pub(crate) fn write(group: &[Statement]) -> Option<String> {
    match group {
        [Statement::Marker(name, _)] => Some(format!("- marker: {}\n", quote(name))),
        [Statement::Directive(it)] if it.name.node == "Include" => {
            let names: Vec<_> = it.arguments.iter().map(|name| quote(name)).collect();
            Some(format!("- include: [{}]\n", names.join(", ")))
        }
        [Statement::Directive(it)] if !file::has_a_key(it.name.node) => {
            let arguments: Vec<_> = it.arguments.iter().map(|argument| quote(argument)).collect();
            let arguments = match arguments.as_slice() {
                [one] => one.clone(),
                more => format!("[{}]", more.join(", ")),
            };
            Some(format!("- settings: {{{}: {arguments}}}\n", it.name.node))
        }
        [Statement::Action(it)] => rule(&[Link { targets: &[], operator: None, actions: &it.actions }]),
        [Statement::Rule(_), ..] => {
            let links: Option<Vec<_>> = group.iter().map(link).collect();
            rule(&links?)
        }
        _ => None,
    }
}

struct Link<'a> {
    targets: &'a [Target],
    operator: Option<&'a Operator>,
    actions: &'a [Action],
}

fn link(statement: &Statement) -> Option<Link<'_>> {
    let Statement::Rule(Rule { targets, operator, actions, .. }) = statement else { return None };
    Some(Link { targets, operator: Some(operator), actions })
}

fn rule(links: &[Link<'_>]) -> Option<String> {
    let head = links.first()?;
    let value =
        |name: &str| head.actions.iter().find(|action| is(action, name)).and_then(|a| a.value.as_ref());
    let mut out = format!("- id: {}\n", quote(value("id")?));
    let given = match value("phase").map_or("2", |phase| phase.as_str()).to_ascii_lowercase().as_str() {
        "request" => "2".to_owned(),
        "response" => "4".to_owned(),
        "logging" => "5".to_owned(),
        number => number.to_owned(),
    };
    let targets = links.iter().flat_map(|link| link.targets);
    // Infallible here and below: the target is a string.
    if phase::infer(targets).to_string() != given {
        let _ = writeln!(out, "  phase: {given}");
    }
    if let Some(message) = value("msg") {
        let _ = writeln!(out, "  message: {}", quote(message));
    }
    if let Some(severity) = value("severity") {
        let number: Option<usize> = severity.parse().ok();
        let name = match number {
            Some(number) => SEVERITY_NAMES.get(number).copied(),
            None => SEVERITY_NAMES.iter().find(|name| name.eq_ignore_ascii_case(severity)).copied(),
        };
        let _ = writeln!(out, "  severity: {}", name?);
    }
    let tags: Vec<_> =
        head.actions.iter().filter(|a| is(a, "tag")).filter_map(|a| Some(quote(a.value.as_ref()?))).collect();
    if !tags.is_empty() {
        let _ = writeln!(out, "  tags: [{}]", tags.join(", "));
    }
    match links {
        [one] if one.operator.is_none() => out.push_str("  when: always\n"),
        [one] => {
            out.push_str("  when:\n");
            out.push_str(&condition(one, "    ", &[])?);
        }
        more => {
            out.push_str("  when:\n");
            for (at, link) in more.iter().enumerate() {
                // What changes something happens when its own condition is met. Of the head, the rest is the rule's.
                let own: Vec<_> = link.actions.iter().filter(|a| at > 0 || changes(a)).collect();
                let written = condition(link, "      ", &own)?;
                out.push_str("    - ");
                out.push_str(written.get(6..)?);
            }
        }
    }
    let is_chain = links.len() > 1;
    let rest: Vec<_> = head.actions.iter().filter(|a| !(has_a_key(a) || (is_chain && changes(a)))).collect();
    // What native rules do by themselves need not be said.
    let blocks = rest.iter().filter(|a| DISRUPTIVE.iter().any(|name| is(a, name))).count();
    let rest: Vec<_> = rest.into_iter().filter(|a| !(blocks == 1 && is(a, "block"))).collect();
    actions(&rest, "  ", &mut out);
    Some(out)
}

fn condition(link: &Link<'_>, indent: &str, own: &[&Action]) -> Option<String> {
    let targets: Vec<_> = link.targets.iter().map(|target| quote(&print_target(target))).collect();
    let operator = Operator { implicit: false, ..link.operator?.clone() };
    let mut out = match targets.as_slice() {
        [one] => format!("{indent}variables: {one}\n"),
        more => format!("{indent}variables: [{}]\n", more.join(", ")),
    };
    let all: Vec<_> = link
        .actions
        .iter()
        .filter(|a| is(a, "t"))
        .filter_map(|a| a.value.as_ref())
        .map(|v| &v.node)
        .collect();
    let reset = all.iter().rposition(|name| name.eq_ignore_ascii_case("none")).map_or(0, |at| at + 1);
    let names: Vec<_> = all.get(reset..)?.iter().map(|name| quote(name)).collect();
    if !names.is_empty() {
        let _ = writeln!(out, "{indent}transformations: [{}]", names.join(", "));
    }
    let _ = writeln!(out, "{indent}operator: {}", quoted(&print_operator(&operator)));
    for (action, key) in [("capture", "capture"), ("multiMatch", "multi_match")] {
        if link.actions.iter().any(|a| is(a, action)) {
            let _ = writeln!(out, "{indent}{key}: true");
        }
    }
    let own: Vec<_> = own.iter().copied().filter(|a| !has_a_key(a)).collect();
    actions(&own, indent, &mut out);
    Some(out)
}

fn actions(actions: &[&Action], indent: &str, out: &mut String) {
    match actions {
        [] => {}
        [one] => {
            let _ = writeln!(out, "{indent}actions: {}", quote(&print_action(one)));
        }
        more => {
            let _ = writeln!(out, "{indent}actions:");
            for action in more {
                let _ = writeln!(out, "{indent}  - {}", quote(&print_action(action)));
            }
        }
    }
}

fn is(action: &Action, name: &str) -> bool {
    action.name.eq_ignore_ascii_case(name)
}

/// What the format says by a key, or by the form of the rule.
fn has_a_key(action: &Action) -> bool {
    let keys = ["id", "phase", "msg", "severity", "tag", "t", "capture", "multiMatch", "chain"];
    keys.iter().any(|key| is(action, key))
}

fn changes(action: &Action) -> bool {
    EFFECTS.iter().any(|name| is(action, name))
}

/// `text` as YAML, bare where that is safe.
fn quote(text: &str) -> String {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"_./-:=+% ".contains(&b);
    let bare = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && !text.ends_with([' ', ':'])
        && text.bytes().all(inner)
        && !text.contains(": ")
        && !["true", "false", "null", "yes", "no"].iter().any(|word| text.eq_ignore_ascii_case(word));
    if bare { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    // Single quotes take every character as it is. Where there are some inside, double quotes read better, if
    // nothing in them is an escape.
    if text.contains('\'') && !text.contains(['"', '\\']) {
        return format!("\"{text}\"");
    }
    format!("'{}'", text.replace('\'', "''"))
}
