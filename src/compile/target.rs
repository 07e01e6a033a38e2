//! Targets: names and selectors resolved.

use super::intern::Intern;
use crate::ruleset::{Selector, Target, TargetSet};
use crate::source::Spanned;
use crate::syntax::ast;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::variable::{self, Shape, Variable};

/// `xmlns` actions: prefix and URI.
pub(super) type Namespaces = [(Box<str>, Box<str>)];

/// Resolves the targets of a rule; the key tells equal sets apart from others.
pub(super) fn set(
    targets: &[ast::Target],
    namespaces: &Namespaces,
    intern: &mut Intern,
    diagnostics: &mut Diagnostics,
) -> (TargetSet, String) {
    let mut included = Vec::new();
    let mut excluded = Vec::new();
    let mut key = String::new();
    for written in targets {
        let Some(mut target) = one(written, namespaces, intern, diagnostics) else { continue };
        if written.excluded {
            key.push('!');
        }
        if written.count {
            key.push('&');
        }
        let from = key.len();
        key.push_str(&target.written);
        if matches!(target.selector, Selector::XPath(..)) {
            for (prefix, uri) in namespaces {
                key.push_str(&format!(" {prefix}={uri}"));
            }
        }
        if !written.excluded && !target.variable.row().volatile {
            target.id = intern.target(&key[from..]);
        }
        key.push('|');
        if written.excluded { excluded.push(target) } else { included.push(target) }
    }
    (TargetSet { included: included.into(), excluded: excluded.into() }, key)
}

/// Resolves one target.
pub(super) fn one(
    written: &ast::Target,
    namespaces: &Namespaces,
    intern: &mut Intern,
    diagnostics: &mut Diagnostics,
) -> Option<Target> {
    // ModSecurity also takes `TX.name` for `TX:name`.
    let dotted = written.selector.is_none().then(|| written.name.split_once('.')).flatten();
    if let Some((name, member)) = dotted
        && variable::find(name).is_some_and(|v| v.row().shape == Shape::Collection)
    {
        let span = written.name.span;
        let written = ast::Target {
            name: Spanned::new(name.to_owned(), span),
            selector: Some(Spanned::new(ast::Selector::Key(member.to_owned()), span)),
            ..written.clone()
        };
        return one(&written, namespaces, intern, diagnostics);
    }
    let Some(variable) = variable::find(&written.name) else {
        let mut diagnostic = Diagnostic::error(
            "unknown-variable",
            written.name.span,
            format!("there is no variable {}", written.name.node),
        );
        if let Some(near) = nearest(&written.name, variable::all().iter().map(|r| r.name)) {
            diagnostic = diagnostic.help(format!("did you mean {near}?"));
        }
        diagnostics.push(diagnostic);
        return None;
    };
    let row = variable.row();
    let selector = match &written.selector {
        None => Selector::All,
        Some(selector) if row.shape == Shape::Scalar => {
            diagnostics.push(
                Diagnostic::error(
                    "selector-on-scalar",
                    selector.span,
                    format!("{} has one value and no members to select", row.name),
                )
                .help(format!("write {} alone", row.name)),
            );
            return None;
        }
        Some(selector) => match &selector.node {
            ast::Selector::Key(key)
                if matches!(variable, Variable::Xml | Variable::RequestXml | Variable::ResponseXml) =>
            {
                Selector::XPath(key.as_str().into(), namespaces.into())
            }
            ast::Selector::Key(key) if variable == Variable::Tx => Selector::Slot(intern.slots.intern(key)?),
            ast::Selector::Key(key) => Selector::Key(key.as_bytes().into()),
            ast::Selector::Regex(pattern) => match super::operator::pattern(&format!("(?i){pattern}")) {
                Ok(regex) => Selector::Regex(regex),
                Err(error) => {
                    diagnostics.push(Diagnostic::error(
                        "invalid-selector",
                        selector.span,
                        format!("the selector is no regular expression: {error}"),
                    ));
                    return None;
                }
            },
        },
    };
    let selected = match &written.selector {
        None => String::new(),
        Some(s) => match &s.node {
            ast::Selector::Key(key) => format!(":{key}"),
            ast::Selector::Regex(pattern) => format!(":/{pattern}/"),
        },
    };
    let written_as = format!("{}{selected}", row.name).into();
    Some(Target { variable, count: written.count, selector, id: None, written: written_as })
}
