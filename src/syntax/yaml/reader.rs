//! What the parts of a YAML rule file share: reading keys and texts with a complaint where they are wrong.

use super::node::{Node, Value};
use crate::source::{SourceMap, Span, Spanned};
use crate::syntax::ast::Action;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics, nearest, shorten};

/// A mapping whose keys are taken out one by one.
pub(crate) struct Fields<'a> {
    fields: Vec<(&'a Spanned<String>, &'a Node)>,
    known: &'static [&'static str],
    /// Where the mapping begins.
    pub(crate) span: Span,
}

impl<'a> Fields<'a> {
    /// The fields of `node`, which `what` names in a complaint; keys not among `known` are complained about.
    pub(crate) fn of(
        node: &'a Node,
        what: &str,
        known: &'static [&'static str],
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let Value::Map(map) = &node.value else {
            let message = format!("{what} must be a mapping, and this is {}", node.kind());
            let fault = Diagnostic::error("yaml-type", node.span, message);
            diagnostics.push(fault.help(format!("its keys are {}", known.join(", "))));
            return None;
        };
        for (key, _) in map.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            let message = format!("{what} has no key `{}`", shorten(key));
            let help = match nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("its keys are {}", known.join(", ")),
            };
            diagnostics.push(Diagnostic::error("unknown-key", key.span, message).help(help));
        }
        let fields = map.iter().map(|(key, node)| (key, node)).collect();
        let span = map.first().map_or(node.span, |(key, _)| key.span);
        Some(Self { fields, known, span })
    }

    /// The value of `key`, if it was written.
    pub(crate) fn get(&self, key: &'static str) -> Option<&'a Node> {
        self.entry(key).map(|(_, node)| node)
    }

    /// Where `key` stands, and its value.
    pub(crate) fn entry(&self, key: &'static str) -> Option<(Span, &'a Node)> {
        debug_assert!(self.known.contains(&key), "{key} must be known");
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

/// What the parts of a file write to.
pub(crate) struct Context<'a> {
    pub(crate) sources: &'a SourceMap,
    pub(crate) diagnostics: &'a mut Diagnostics,
}
