//! AST → SecLang text.
//!
//! What a front end read from text prints to text that reads as the same tree. A tree from elsewhere may hold
//! what SecLang has no way to write, such as a newline in an operator's argument; that comes out as it is.

use super::ast::{Action, Directive, Document, Operator, Rule, Selector, Statement, Target};

/// All statements, one after the other.
pub fn print(document: &Document) -> String {
    document.statements.iter().map(print_statement).collect()
}

/// One statement with a newline at its end.
pub fn print_statement(statement: &Statement) -> String {
    match statement {
        Statement::Rule(rule) => print_rule(rule),
        Statement::Action(action) => format!("SecAction {}\n", action_list(&action.actions)),
        Statement::DefaultAction(action) => format!("SecDefaultAction {}\n", action_list(&action.actions)),
        Statement::Marker(name, _) => format!("SecMarker {}\n", argument(name)),
        Statement::Directive(directive) => print_directive(directive),
    }
}

/// A target as it stands in a target list.
pub fn print_target(target: &Target) -> String {
    let mut out = String::new();
    if target.excluded {
        out.push('!');
    }
    if target.count {
        out.push('&');
    }
    out.push_str(&target.name);
    let Some(selector) = &target.selector else { return out };
    out.push(':');
    match &selector.node {
        Selector::Regex(regex) => {
            let regex = format!("/{}/", escape_slashes(regex));
            out.push_str(&quoted(&regex, '\'').filter(|_| needs_quotes(&regex)).unwrap_or(regex));
        }
        Selector::Key(key) => {
            // Without quotes, a slash at the start could pair with one in a later target.
            let is_path = target.name.eq_ignore_ascii_case("XML");
            let plain = !key.is_empty() && !needs_quotes(key) && (is_path || !key.starts_with('/'));
            out.push_str(&quoted(key, '\'').filter(|_| !plain).unwrap_or_else(|| key.clone()));
        }
    }
    out
}

/// `[!]@name argument`.
pub fn print_operator(operator: &Operator) -> String {
    let negation = if operator.negated { "!" } else { "" };
    let argument = &operator.argument.node;
    match (operator.implicit, argument.is_empty()) {
        (true, _) => format!("{negation}{argument}"),
        (false, true) => format!("{negation}@{}", operator.name.node),
        (false, false) => format!("{negation}@{} {argument}", operator.name.node),
    }
}

/// `name[:value]`.
pub fn print_action(action: &Action) -> String {
    let Some(value) = &action.value else { return action.name.node.clone() };
    let simple = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    // libmodsecurity reads the value of ctl without quotes only.
    let is_ctl = action.name.eq_ignore_ascii_case("ctl");
    let plain = !value.is_empty() && (value.bytes().all(simple) || (is_ctl && !needs_quotes(value)));
    let value = quoted(value, '\'').filter(|_| !plain).unwrap_or_else(|| value.node.clone());
    format!("{}:{value}", action.name.node)
}

fn print_rule(rule: &Rule) -> String {
    let targets: Vec<_> = rule.targets.iter().map(print_target).collect();
    let operator = print_operator(&rule.operator);
    let operator = quoted(&operator, '"').unwrap_or_else(|| argument(&operator));
    let mut out = format!("SecRule {} {operator}", argument(&targets.join("|")));
    if !rule.actions.is_empty() {
        out.push_str(" \\\n    ");
        out.push_str(&action_list(&rule.actions));
    }
    out.push('\n');
    out
}

fn print_directive(directive: &Directive) -> String {
    let mut out = directive.name.node.to_owned();
    for (i, text) in directive.arguments.iter().enumerate() {
        out.push(' ');
        if directive.name.node == "SecDataset" && i == 1 {
            out.push_str(&format!("`{}`", text.node));
        } else {
            out.push_str(&argument(text));
        }
    }
    out.push('\n');
    out
}

fn action_list(actions: &[Action]) -> String {
    let actions: Vec<_> = actions.iter().map(print_action).collect();
    // Broken into lines after commas only: white space there means nothing.
    let list = actions.join(",\\\n    ");
    quoted(&list, '"').unwrap_or_else(|| argument(&actions.join(",")))
}

/// `text` as an argument of a directive.
fn argument(text: &str) -> String {
    let bare = |b: u8| !b.is_ascii_whitespace() && b != 0x0b;
    let is_bare = !text.is_empty()
        && text.bytes().all(bare)
        && !text.starts_with(['"', '\'', '`'])
        && !text.ends_with('\\');
    if is_bare {
        return text.to_owned();
    }
    quoted(text, '"').or_else(|| quoted(text, '\'')).unwrap_or_else(|| format!("`{text}`"))
}

/// `text` between `quote`s; `None` where that cannot be written, because a backslash stands before a quote or
/// the end and would take it.
fn quoted(text: &str, quote: char) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    let mut escaped = false;
    for character in text.chars() {
        if character == quote {
            if escaped {
                return None;
            }
            out.push('\\');
        }
        // The backslash that continues a line takes nothing with it: the newline goes too.
        escaped = character == '\\' && !escaped;
        out.push(character);
    }
    out.push(quote);
    (!escaped).then_some(out)
}

fn escape_slashes(regex: &str) -> String {
    let mut out = String::with_capacity(regex.len());
    let mut escaped = false;
    for character in regex.chars() {
        if character == '/' && !escaped {
            out.push('\\');
        }
        escaped = character == '\\' && !escaped;
        out.push(character);
    }
    out
}

/// Whether `text` has what would end it or change it between separators.
fn needs_quotes(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_whitespace() || matches!(b, b',' | b'|' | b'\'' | 0x0b))
}
