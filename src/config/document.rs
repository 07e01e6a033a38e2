//! YAML text → a tree in which every node knows where it stands.
//!
//! Scalars stay text: whether `10` is a number of seconds or a name is for the setting that reads it to say, so
//! YAML's guesses about types never turn a value into something else.

use crate::source::{Characters, FileId, SourceMap, Span};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};
use saphyr_parser::{Event, Parser, ScalarStyle};
use std::collections::HashMap;

/// A value in the file.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) data: Data,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(super) enum Data {
    /// Nothing, `null` or `~`.
    Null,
    /// A scalar's text.
    Scalar(String),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys with their places, and values; each key once.
    Mapping(Vec<(String, Span, Node)>),
}

impl Data {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Data::Null => "nothing",
            Data::Scalar(_) => "a value",
            Data::Sequence(_) => "a list",
            Data::Mapping(_) => "a mapping",
        }
    }
}

/// Reads the text of `file`. Repeated keys, aliases without anchor and the like are complained about; a tree
/// comes back unless the text is no YAML at all.
pub(super) fn parse(sources: &SourceMap, file: FileId, diagnostics: &mut Diagnostics) -> Option<Node> {
    let text = sources.file(file).text();
    let mut tree = Tree {
        offsets: Offsets::new(text, file),
        diagnostics,
        open: Vec::new(),
        anchors: HashMap::new(),
        budget: NODES,
        root: None,
    };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => {
                let span = tree.offsets.span(span.start.index(), span.end.index());
                if !tree.take(event, span) {
                    return None;
                }
            }
            Err(error) => {
                let at = error.marker().index();
                let span = tree.offsets.span(at, at + 1);
                let message = format!("not YAML: {}", error.info());
                tree.diagnostics.push(Diagnostic::error("config-syntax", span, message));
                return None;
            }
        }
    }
    let empty = Node { span: Span::new(file, 0, 0), data: Data::Null };
    Some(tree.root.unwrap_or(empty))
}

/// Nesting of lists and mappings. The deepest setting there is stands at 6.
const DEPTH: usize = 32;
/// Nodes of one file, aliases expanded. A file of a thousand sites has some 30,000.
const NODES: usize = 500_000;

/// A collection that has begun and not ended.
struct Open {
    span: Span,
    anchor: usize,
    mapping: bool,
    items: Vec<Node>,
}

struct Tree<'a> {
    offsets: Offsets<'a>,
    diagnostics: &'a mut Diagnostics,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    budget: usize,
    root: Option<Node>,
}

impl Tree<'_> {
    /// Takes one event; false ends the reading.
    fn take(&mut self, event: Event<'_>, span: Span) -> bool {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => true,
            Event::DocumentStart(_) => {
                let second = self.root.is_some();
                if second {
                    self.error("config-syntax", span, "a configuration file is one YAML document");
                }
                !second
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                // Counted before it is copied: a few nested aliases can stand for more than memory holds.
                Some(node) => {
                    let size = count(node);
                    let data = if size <= self.budget { node.data.clone() } else { Data::Null };
                    self.insert(Node { span, data }, 0, size)
                }
                None => {
                    self.error("config-syntax", span, "this alias stands within its own anchor");
                    false
                }
            },
            Event::Scalar(text, style, anchor, _) => {
                let null = matches!(style, ScalarStyle::Plain)
                    && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let data = if null { Data::Null } else { Data::Scalar(text.into_owned()) };
                self.insert(Node { span, data }, anchor, 1)
            }
            Event::SequenceStart(anchor, _) => self.begin(span, anchor, false),
            Event::MappingStart(anchor, _) => self.begin(span, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
        }
    }

    fn begin(&mut self, span: Span, anchor: usize, mapping: bool) -> bool {
        if self.open.len() >= DEPTH {
            self.error("config-syntax", span, "nested too deeply");
            return false;
        }
        self.open.push(Open { span, anchor, mapping, items: Vec::new() });
        true
    }

    fn end(&mut self, end: Span) -> bool {
        let Some(open) = self.open.pop() else { return false };
        let data = if open.mapping { self.mapping(open.items) } else { Data::Sequence(open.items) };
        let span = if open.span.start == open.span.end { open.span.to(end) } else { open.span };
        self.insert(Node { span, data }, open.anchor, 1)
    }

    fn mapping(&mut self, items: Vec<Node>) -> Data {
        let mut pairs: Vec<(String, Span, Node)> = Vec::with_capacity(items.len() / 2);
        let mut seen: HashMap<String, Span> = HashMap::new();
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            let Data::Scalar(name) = key.data else {
                self.error("config-syntax", key.span, "a key is a plain word");
                continue;
            };
            if let Some(first) = seen.get(&name) {
                let complaint =
                    Diagnostic::error("config-repeated-key", key.span, format!("`{name}` is set twice"))
                        .related(*first, "first set here");
                self.diagnostics.push(complaint);
                continue;
            }
            seen.insert(name.clone(), key.span);
            pairs.push((name, key.span, value));
        }
        Data::Mapping(pairs)
    }

    fn insert(&mut self, node: Node, anchor: usize, size: usize) -> bool {
        let Some(left) = self.budget.checked_sub(size) else {
            self.error("config-syntax", node.span, "too many values (aliases count as what they stand for)");
            return false;
        };
        self.budget = left;
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            Some(open) => open.items.push(node),
            None => self.root = Some(node),
        }
        true
    }

    fn error(&mut self, code: &'static str, span: Span, message: &str) {
        self.diagnostics.push(Diagnostic::error(code, span, message));
    }
}

fn count(node: &Node) -> usize {
    match &node.data {
        Data::Null | Data::Scalar(_) => 1,
        Data::Sequence(items) => 1 + items.iter().map(count).sum::<usize>(),
        Data::Mapping(pairs) => 1 + pairs.iter().map(|(_, _, v)| count(v)).sum::<usize>(),
    }
}

/// The parser counts characters, spans count bytes.
struct Offsets<'a> {
    text: &'a str,
    file: FileId,
    characters: Characters,
}

impl<'a> Offsets<'a> {
    fn new(text: &'a str, file: FileId) -> Self {
        Self { text, file, characters: Characters::new(text) }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        let [start, end] = [start, end].map(|number| self.characters.offset(number));
        let trimmed = self.text.get(start..end).map_or(0, |t| t.trim_end().len());
        Span::new(self.file, start, start + trimmed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<String>) {
        let mut sources = SourceMap::new();
        let file = sources.add("t.yaml", text);
        let mut diagnostics = Diagnostics::new();
        let node = parse(&sources, file, &mut diagnostics);
        let told = diagnostics
            .iter()
            .map(|d| {
                format!("{} {}", d.span.map_or(String::new(), |s| sources.locate(s).to_string()), d.message)
            })
            .collect();
        (node, told)
    }

    #[test]
    fn places_count_characters_beyond_ascii() {
        let (_, told) = read("ä: ö\nbß: 1\nbß: 2\n");
        assert_eq!(told, ["t.yaml:3:1 `bß` is set twice"]);
    }

    #[test]
    fn scalars_stay_text() {
        let (node, told) = read("a: 010\nb: On\nc: ~\nd: '~'\n");
        assert!(told.is_empty());
        let Some(Node { data: Data::Mapping(pairs), .. }) = node else { panic!("no mapping") };
        let texts: Vec<_> = pairs.iter().map(|(_, _, v)| format!("{:?}", v.data)).collect();
        assert_eq!(texts, ["Scalar(\"010\")", "Scalar(\"On\")", "Null", "Scalar(\"~\")"]);
    }

    #[test]
    fn hostile_shapes_end_in_a_complaint() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..10 {
            let refs = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        for bad in [bomb.as_str(), &"[".repeat(5_000), "a: &x [*x]", "a: [", "---\na: 1\n---\nb: 2\n"] {
            let (node, told) = read(bad);
            assert!(node.is_none(), "{bad:.30}");
            assert_eq!(told.len(), 1, "{bad:.30}");
        }
    }
}
