//! What the parts of a YAML rule file share: reading keys and texts with a complaint where they are wrong.

use super::node::{Node, Value};
use super::table::Table;
use crate::source::{SourceMap, Span, Spanned};
use crate::syntax::ast::{Action, Patch, RuleNote, RuleTest, Statement};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics, nearest, shorten};
use std::collections::HashMap;

/// A mapping whose keys are taken out one by one.
pub(crate) struct Fields<'a> {
    fields: Vec<(&'a Spanned<String>, &'a Node)>,
    table: &'static Table,
    /// Where the mapping begins.
    pub(crate) span: Span,
}

impl<'a> Fields<'a> {
    /// The fields of `node`, which should be what `table` describes; other keys are complained about.
    pub(crate) fn of(node: &'a Node, table: &'static Table, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Value::Map(map) = &node.value else {
            let message = format!("{} must be a mapping, and this is {}", table.what, node.kind());
            let fault = Diagnostic::error("yaml-type", node.span, message);
            diagnostics.push(fault.help(format!("its keys are {}", table.listed())));
            return None;
        };
        for (key, _) in map.iter().filter(|(key, _)| table.key(key).is_none()) {
            let message = format!("{} has no key `{}`", table.what, shorten(key));
            let help = match nearest(key, table.keys.iter().map(|known| known.name)) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("its keys are {}", table.listed()),
            };
            diagnostics.push(Diagnostic::error("unknown-key", key.span, message).help(help));
        }
        let fields = map.iter().map(|(key, node)| (key, node)).collect();
        let span = map.first().map_or(node.span, |(key, _)| key.span);
        Some(Self { fields, table, span })
    }

    /// As [`Self::text`], of a key that must be there.
    pub(crate) fn required(
        &self,
        key: &'static str,
        example: &str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Spanned<String>> {
        if self.get(key).is_none() {
            let message = format!("{} needs `{key}`", self.table.what);
            let fault = Diagnostic::error("missing-key", self.span, message);
            diagnostics.push(fault.help(format!("for example {key}: {example}")));
        }
        self.text(key, diagnostics)
    }

    /// The truth of `key`; false when it was not written.
    pub(crate) fn flag(&self, key: &'static str, diagnostics: &mut Diagnostics) -> Option<Spanned<bool>> {
        let text = self.text(key, diagnostics)?;
        match text.as_str() {
            "true" => Some(Spanned::new(true, text.span)),
            "false" => Some(Spanned::new(false, text.span)),
            _ => {
                let message = format!("{key} is true or false");
                diagnostics.push(Diagnostic::error("yaml-type", text.span, message));
                None
            }
        }
    }

    /// The value of `key`, if it was written.
    pub(crate) fn get(&self, key: &'static str) -> Option<&'a Node> {
        self.entry(key).map(|(_, node)| node)
    }

    /// Where `key` stands, and its value.
    pub(crate) fn entry(&self, key: &'static str) -> Option<(Span, &'a Node)> {
        debug_assert!(self.table.key(key).is_some(), "{key} must be in the table of {}", self.table.what);
        let (key, node) = self.fields.iter().find(|(name, _)| name.as_str() == key)?;
        Some((key.span, node))
    }

    /// The text of `key`, if it was written.
    pub(crate) fn text(&self, key: &'static str, diagnostics: &mut Diagnostics) -> Option<Spanned<String>> {
        text(self.get(key)?, diagnostics)
    }

    /// The texts of `key`: one, or a list of them.
    pub(crate) fn texts(&self, key: &'static str, diagnostics: &mut Diagnostics) -> Vec<Spanned<String>> {
        self.get(key).map(|node| texts(node, diagnostics)).unwrap_or_default()
    }

    /// The number of `key`, if it was written.
    pub(crate) fn number(&self, key: &'static str, diagnostics: &mut Diagnostics) -> Option<Spanned<u64>> {
        let text = self.text(key, diagnostics)?;
        match text.node.parse() {
            Ok(number) if text.bytes().all(|b| b.is_ascii_digit()) => Some(Spanned::new(number, text.span)),
            _ => {
                let message = format!("`{}` is not a number", shorten(&text));
                diagnostics.push(Diagnostic::error("yaml-type", text.span, message));
                None
            }
        }
    }
}

/// The text of a scalar on one line. The newline at the end of a block scalar is taken away; one further in is
/// a fault, because rule text has no way to write it.
pub(crate) fn text(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<String>> {
    let mut text = paragraph(node, diagnostics)?;
    let length = text.trim_end_matches(['\n', '\r']).len();
    text.node.truncate(length);
    if text.contains(['\n', '\r', '\0']) {
        let message = "this must be one line";
        let help = "a block after >- is joined to one line";
        diagnostics.push(Diagnostic::error("yaml-line", text.span, message).help(help));
        return None;
    }
    Some(text)
}

/// The text of a scalar of any number of lines.
pub(crate) fn paragraph(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<String>> {
    if let Value::Scalar { text, .. } = &node.value {
        return Some(Spanned::new(text.clone(), node.span));
    }
    let message = format!("this must be a text, and is {}", node.kind());
    diagnostics.push(Diagnostic::error("yaml-type", node.span, message));
    None
}

/// One text, or a list of them.
pub(crate) fn texts(node: &Node, diagnostics: &mut Diagnostics) -> Vec<Spanned<String>> {
    match &node.value {
        Value::List(list) => list.iter().filter_map(|node| text(node, diagnostics)).collect(),
        _ if node.is_null() => Vec::new(),
        _ => text(node, diagnostics).into_iter().collect(),
    }
}

/// The members of a list; a complaint when `node` is something else.
pub(crate) fn list<'a>(node: &'a Node, what: &str, diagnostics: &mut Diagnostics) -> &'a [Node] {
    match &node.value {
        Value::List(list) => list,
        _ if node.is_null() => &[],
        _ => {
            let message = format!("{what} must be a list, and this is {}", node.kind());
            let help = "begin each member with a dash";
            diagnostics.push(Diagnostic::error("yaml-type", node.span, message).help(help));
            &[]
        }
    }
}

/// The action `name`, or `name:value`, as if it had been written at `span`.
pub(crate) fn action(name: &str, value: Option<String>, span: Span) -> Action {
    Action {
        name: Spanned::new(name.to_owned(), span),
        value: value.map(|value| Spanned::new(value, span)),
        span,
    }
}

/// What the parts of a file read from and write to.
pub(crate) struct Context<'a> {
    pub(crate) sources: &'a SourceMap,
    pub(crate) diagnostics: &'a mut Diagnostics,
    /// Rules of this load that are called by a text.
    pub(crate) names: &'a mut HashMap<u64, Spanned<String>>,
    /// The patch whose file this is.
    pub(crate) patch: Option<&'a Patch>,
}

/// What members of a file become.
#[derive(Debug, Default)]
pub(crate) struct Items {
    pub(crate) statements: Vec<Statement>,
    pub(crate) tests: Vec<RuleTest>,
    pub(crate) notes: Vec<RuleNote>,
}
