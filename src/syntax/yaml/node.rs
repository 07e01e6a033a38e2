//! YAML text → a tree with spans. A subset: one document, keys that are strings, no aliases and no tags.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::source::{Characters, FileId, Span, Spanned};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics, shorten};

/// A value and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    /// For a scalar, its text without quotes, or the whole of it if that is not the text itself.
    pub(crate) span: Span,
}

/// What a [`Node`] is.
#[derive(Debug)]
pub(crate) enum Value {
    /// `literal` when it is a block after `|`.
    Scalar { text: String, literal: bool },
    /// `- a`
    List(Vec<Node>),
    /// `a: b`, no key twice.
    Map(Vec<(Spanned<String>, Node)>),
}

impl Node {
    /// What it is, for a message.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Scalar { .. } => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Whether nothing was written.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, .. } if text.is_empty() || text == "~" || text == "null")
            && self.span.start == self.span.end
    }
}

/// The tree of `text`; `None` when there is none, or when a fault makes it useless.
pub(crate) fn parse(text: &str, file: FileId, diagnostics: &mut Diagnostics) -> Option<Node> {
    let mut builder = Builder { places: Places::new(text, file), diagnostics, open: Vec::new(), root: None };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => {
                if let Err(fault) = builder.event(event, span.start, span.end) {
                    builder.diagnostics.push(fault);
                    return None;
                }
            }
            Err(error) => {
                let span = builder.places.span(*error.marker(), *error.marker());
                let help = if builder.places.follows(span, ['@', '`', '%', '&', '*', '!']) {
                    "put single quotes round a text that begins with @, &, *, !, % or `"
                } else {
                    "single quotes take every character as it is ('' stands for one), double quotes know escapes"
                };
                let message = format!("this is not YAML: {}", error.info());
                builder.diagnostics.push(Diagnostic::error("yaml", span, message).help(help));
                return None;
            }
        }
    }
    builder.root
}

struct Builder<'a> {
    places: Places<'a>,
    diagnostics: &'a mut Diagnostics,
    open: Vec<Open>,
    root: Option<Node>,
}

enum Open {
    List(Vec<Node>, Span),
    Map(Vec<(Spanned<String>, Node)>, Option<Spanned<String>>, Span),
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, start: Marker, end: Marker) -> Result<(), Diagnostic> {
        let span = self.places.span(start, end);
        match event {
            Event::Alias(_) => Err(Diagnostic::error("yaml-alias", span, "aliases are not supported here")
                .help("write the value out, or put single quotes round a text that begins with *")),
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() || anchor != 0 {
                    let fault = Diagnostic::error(
                        "yaml-tag",
                        span,
                        "YAML takes what follows ! or & here for a tag or an anchor",
                    );
                    return Err(fault.help("put single quotes round it, as in '!ARGS:comment'"));
                }
                let span = self.places.content(span, style, &text);
                let literal = style == ScalarStyle::Literal;
                self.add(Node { value: Value::Scalar { text: text.into_owned(), literal }, span })
            }
            Event::SequenceStart(anchor, tag) => {
                self.plain(anchor, tag.is_some(), span)?;
                self.open(Open::List(Vec::new(), span), span)
            }
            Event::MappingStart(anchor, tag) => {
                self.plain(anchor, tag.is_some(), span)?;
                self.open(Open::Map(Vec::new(), None, span), span)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(list, from)) => {
                    self.add(Node { value: Value::List(list), span: from.to(span) })
                }
                Some(Open::Map(map, _, from)) => {
                    self.add(Node { value: Value::Map(map), span: from.to(span) })
                }
                None => Ok(()),
            },
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(Diagnostic::error("yaml-documents", span, "a rule file is one YAML document")
                    .help("put the second into a file of its own"))
            }
            _ => Ok(()),
        }
    }

    fn plain(&self, anchor: usize, tagged: bool, span: Span) -> Result<(), Diagnostic> {
        if anchor == 0 && !tagged {
            return Ok(());
        }
        Err(Diagnostic::error("yaml-tag", span, "tags and anchors are not supported here").help("remove it"))
    }

    fn open(&mut self, open: Open, span: Span) -> Result<(), Diagnostic> {
        if self.open.len() >= DEPTH {
            let message = format!("this is nested more than {DEPTH} levels deep");
            return Err(Diagnostic::error("yaml-depth", span, message));
        }
        self.open.push(open);
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<(), Diagnostic> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(list, _)) => list.push(node),
            Some(Open::Map(map, key, _)) => match key.take() {
                Some(key) => map.push((key, node)),
                None => {
                    let Value::Scalar { text, .. } = node.value else {
                        let message = format!("a key must be a text, and this is {}", node.kind());
                        return Err(Diagnostic::error("yaml-key", node.span, message));
                    };
                    // Maps hold a dozen keys; headers of a test a few more.
                    if let Some((first, _)) = map.iter().find(|(known, _)| known.node == text) {
                        let message = format!("the key `{}` stands here twice", shorten(&text));
                        let fault = Diagnostic::error("yaml-key", node.span, message);
                        self.diagnostics.push(fault.related(first.span, "it stands here first"));
                    }
                    if map.len() >= KEYS {
                        let message = format!("this mapping has more than {KEYS} keys");
                        return Err(Diagnostic::error("yaml-key", node.span, message));
                    }
                    *key = Some(Spanned::new(text, node.span));
                }
            },
        }
        Ok(())
    }
}

/// From the parser's positions, which count characters, to offsets.
struct Places<'a> {
    text: &'a str,
    file: FileId,
    characters: Characters,
}

impl<'a> Places<'a> {
    fn new(text: &'a str, file: FileId) -> Self {
        Self { text, file, characters: Characters::new(text) }
    }

    fn span(&self, start: Marker, end: Marker) -> Span {
        let [start, end] = [start, end].map(|marker| self.characters.offset(marker.index()));
        Span::new(self.file, start, end.max(start))
    }

    /// The part of a scalar's `span` which is its text, if there is one.
    fn content(&self, span: Span, style: ScalarStyle, text: &str) -> Span {
        let range = span.range();
        let inner = match style {
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                range.start + 1..range.end.saturating_sub(1).max(range.start + 1)
            }
            _ => range.start..range.start + text.len(),
        };
        if self.text.get(inner.clone()) == Some(text) {
            Span::new(self.file, inner.start, inner.end)
        } else {
            span
        }
    }

    fn follows(&self, span: Span, characters: [char; 6]) -> bool {
        self.text.get(span.range().start..).is_some_and(|rest| rest.starts_with(characters))
    }
}

/// Rules need six levels.
const DEPTH: usize = 32;
/// Keys of one mapping; there are fewer settings, and tests have fewer headers.
const KEYS: usize = 128;
