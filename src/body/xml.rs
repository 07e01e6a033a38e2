//! XML bodies → a document that rules can look into.
//!
//! Entities are never expanded, whatever a document declares, and nothing outside the document is ever loaded:
//! `SecXMLExternalEntity On` has no meaning here. A declaration of entities, and a reference to any but the five
//! predefined ones, is an error, and so is a document type that is declared elsewhere; the reference stays in the text as
//! it was written. A DOCTYPE alone is none.
//!
//! The document is kept whole until its end, which the proxy does with the body anyway.

use super::buffer::Buffer;
use super::{BodyLimits, LimitHit, ParsedBody, XmlDocument, XmlIntoArgs};
use crate::http::{Charset, MediaType};
use crate::limits;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::collections::HashSet;

/// A parser of one XML body.
#[derive(Debug)]
pub(super) struct XmlParser {
    limits: BodyLimits,
    charset: Option<Vec<u8>>,
    buffer: Buffer,
}

impl XmlParser {
    pub(super) fn new(limits: &BodyLimits, content_type: &[u8]) -> Self {
        let charset = MediaType::parse(content_type).charset().map(<[u8]>::to_vec);
        Self { limits: limits.clone(), charset, buffer: Buffer::new(limits.buffer) }
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.buffer.held()
    }

    pub(super) fn text(&self) -> u64 {
        self.buffer.length()
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) {
        self.buffer.feed(chunk);
    }

    pub(super) fn finish(self) -> ParsedBody {
        let mut out = ParsedBody { no_files_length: self.buffer.length(), ..ParsedBody::default() };
        let bytes = self.buffer.bytes();
        if bytes.is_empty() {
            return out;
        }
        let mut tree = Tree::new(&self.limits, bytes.len());
        let sniffed = Charset::sniff(bytes);
        let labelled = self.charset.as_deref().map(Charset::from_label);
        // RFC 7303 §3.2: a byte order mark wins over the charset parameter.
        let charset = match sniffed.or(labelled) {
            None | Some(Charset::Unknown) => Charset::AsciiCompatible,
            Some(charset) => charset,
        };
        match charset.to_readable(bytes) {
            Some(source) => {
                tree.read(&source);
                if source.len() <= limits::XPATH_DOCUMENT_BYTES {
                    tree.document.source = source.into_owned();
                }
            }
            None => {
                tree.read(bytes);
                tree.fail("the character set cannot be read");
            }
        }
        // Recipients differ in whom they believe: the mark, the header, the declaration, or none of them.
        let plain = sniffed.is_none().then_some(Charset::AsciiCompatible);
        let mut read = vec![charset];
        for other in [plain, labelled] {
            tree.read_also(other, bytes, &mut read);
        }
        tree.read_also(tree.declared, bytes, &mut read);
        if self.buffer.is_cut() {
            out.hit(LimitHit::Buffer);
            tree.error = Some(format!("more than {} bytes", self.limits.buffer));
        }
        for limit in tree.hits {
            out.hit(limit);
        }
        out.error = tree.error.map(|e| format!("XML parsing error: {e}"));
        out.args = tree.args;
        if self.limits.xml_into_args != XmlIntoArgs::OnlyArgs {
            out.xml = Some(tree.document);
        }
        out
    }
}

/// What arguments' names begin with.
const ROOT: &[u8] = b"xml";

/// What is being built while the events come.
struct Tree {
    limits: BodyLimits,
    argument_bytes: usize,
    document: XmlDocument,
    args: crate::http::Pairs,
    /// The open elements: length of `path` before them, where their text begins, whether they have children.
    open: Vec<Open>,
    /// Names of the open elements, for arguments.
    path: Vec<u8>,
    nodes: usize,
    roots: usize,
    hits: Vec<LimitHit>,
    error: Option<String>,
    is_over: bool,
    /// What the declaration says.
    declared: Option<Charset>,
}

struct Open {
    path: usize,
    text: usize,
    has_children: bool,
}

impl Tree {
    fn new(limits: &BodyLimits, length: usize) -> Self {
        Self {
            limits: limits.clone(),
            argument_bytes: limits::ARGUMENT_BYTES_BASE
                .saturating_add(limits::ARGUMENT_BYTES_FACTOR.saturating_mul(length)),
            document: XmlDocument::default(),
            args: crate::http::Pairs::new(),
            open: Vec::new(),
            path: ROOT.to_vec(),
            nodes: 0,
            roots: 0,
            hits: Vec::new(),
            error: None,
            is_over: false,
            declared: None,
        }
    }

    fn fail(&mut self, reason: &str) {
        self.error.get_or_insert_with(|| reason.to_owned());
    }

    fn hit(&mut self, limit: LimitHit, reason: &str) {
        self.hits.push(limit);
        self.fail(reason);
        self.is_over = true;
    }

    /// Reads as far as the document is XML. Text is taken even where XML allows none.
    fn read(&mut self, source: &[u8]) {
        let mut reader = Reader::from_reader(source);
        reader.config_mut().allow_unmatched_ends = false;
        reader.config_mut().check_comments = true;
        while !self.is_over {
            match reader.read_event() {
                Ok(Event::Eof) => break,
                Ok(event) => self.event(&event),
                Err(error) => {
                    self.fail(&format!("{error} at byte {}", reader.error_position()));
                    // What quick-xml refuses to read on with is still text that a laxer reader may see.
                    let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
                    self.document.text.extend_from_slice(source.get(at..).unwrap_or_default());
                    break;
                }
            }
        }
        if !self.open.is_empty() {
            self.fail("an element is not closed");
        } else if self.roots == 0 {
            self.fail("there is no element");
        }
    }

    /// Adds what another reading of the same bytes holds, unless it is among those that were `read`. At most one
    /// reading is the right one, so that its errors say nothing; its limits do.
    fn read_also(&mut self, charset: Option<Charset>, bytes: &[u8], read: &mut Vec<Charset>) {
        let Some(charset) = charset.filter(|c| !read.contains(c)) else { return };
        let Some(source) = charset.to_readable(bytes) else { return };
        read.push(charset);
        let (error, declared, has_doctype) = (self.error.take(), self.declared, self.document.has_doctype);
        self.open.clear();
        self.path.truncate(ROOT.len());
        self.roots = 0;
        let limits = self.hits.len();
        self.read(&source);
        if error.is_some() || self.hits.len() == limits {
            self.error = error;
        }
        self.declared = declared.or(self.declared);
        self.document.has_doctype |= has_doctype;
    }

    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(start) => self.element(start),
            Event::Empty(start) => {
                self.element(start);
                self.close();
            }
            Event::End(_) => self.close(),
            Event::Text(text) => self.text(text),
            Event::CData(text) => self.text(text),
            Event::GeneralRef(reference) => self.reference(reference),
            Event::Decl(decl) => {
                if let Some(Ok(encoding)) = decl.encoding() {
                    let charset = Charset::from_label(&encoding);
                    if matches!(charset, Charset::Unreadable | Charset::Unknown) {
                        self.fail("the declared encoding cannot be read");
                    }
                    self.declared = Some(charset);
                }
            }
            Event::DocType(doctype) => {
                self.document.has_doctype = true;
                if memchr::memmem::find(doctype, b"<!ENTITY").is_some()
                    || memchr::memchr(b'%', doctype).is_some()
                {
                    self.fail("entities are declared; they are not expanded");
                }
                // What is declared elsewhere may be entities, and default attributes.
                let mut words = doctype.split(|b| b.is_ascii_whitespace() || *b == b'[');
                if words
                    .by_ref()
                    .filter(|w| !w.is_empty())
                    .nth(1)
                    .is_some_and(|w| w == b"SYSTEM" || w == b"PUBLIC")
                {
                    self.fail("an external document type is named; it is not loaded");
                }
            }
            Event::Comment(_) | Event::PI(_) | Event::Eof => {}
        }
    }

    fn node(&mut self) -> bool {
        self.nodes += 1;
        if self.nodes > self.limits.xml_nodes {
            self.hit(LimitHit::Nodes, "too many nodes");
        }
        !self.is_over
    }

    fn element(&mut self, start: &BytesStart<'_>) {
        if self.open.is_empty() {
            self.roots += 1;
            if self.roots > 1 {
                self.fail("there are several root elements");
            }
        }
        if self.open.len() >= self.limits.xml_depth {
            self.hit(LimitHit::Depth, "elements are nested too deeply");
            return;
        }
        if !self.node() {
            return;
        }
        if let Some(parent) = self.open.last_mut() {
            parent.has_children = true;
        }
        self.open.push(Open { path: self.path.len(), text: self.document.text.len(), has_children: false });
        self.path.push(b'.');
        self.path.extend_from_slice(start.name().into_inner());
        let mut names = HashSet::new();
        // The library's own check for duplicates compares each name with all others.
        for attribute in start.attributes().with_checks(false) {
            let Ok(attribute) = attribute else {
                self.fail("an attribute is malformed");
                self.document.attributes.push(b"", start.attributes_raw());
                break;
            };
            if !self.node() {
                return;
            }
            let name = attribute.key.into_inner();
            if !names.insert(name.to_vec()) {
                self.fail("an attribute is given twice");
            }
            let value = self.unescape(&attribute.value);
            // A namespace's declaration is no attribute for XPath; its value is client input all the same, but
            // `//@*` must not differ from what ModSecurity sees.
            if name != b"xmlns" && !name.starts_with(b"xmlns:") {
                self.document.attributes.push(name, &value);
            }
        }
    }

    fn close(&mut self) {
        let Some(element) = self.open.pop() else { return };
        if self.limits.xml_into_args != XmlIntoArgs::Off && !element.has_children {
            let text = self.document.text.get(element.text..).unwrap_or_default();
            let size = self.args.combined_size() + self.path.len() + text.len();
            if self.args.len() >= self.limits.arguments || size > self.argument_bytes {
                self.hits.push(LimitHit::Arguments);
            } else {
                self.args.push(&self.path, text);
            }
        }
        self.path.truncate(element.path);
    }

    fn text(&mut self, text: &[u8]) {
        if self.open.is_empty() && !text.trim_ascii().is_empty() && text != b"\xEF\xBB\xBF" {
            self.fail("text stands outside the root element");
        }
        if self.open.is_empty() && text.trim_ascii().is_empty() {
            return;
        }
        if self.node() {
            self.document.text.extend_from_slice(text);
        }
    }

    fn reference(&mut self, name: &[u8]) {
        let mut whole = Vec::with_capacity(name.len() + 2);
        whole.push(b'&');
        whole.extend_from_slice(name);
        whole.push(b';');
        let text = self.unescape(&whole);
        self.text(&text);
    }

    /// Resolves character references and the five predefined entities; anything else stays as it was written.
    fn unescape(&mut self, raw: &[u8]) -> Vec<u8> {
        if memchr::memchr(b'&', raw).is_none() {
            return raw.to_vec();
        }
        let text = std::str::from_utf8(raw).ok();
        match text.map(quick_xml::escape::unescape) {
            Some(Ok(text)) => text.into_owned().into_bytes(),
            Some(Err(_)) => {
                self.fail("a reference cannot be resolved");
                raw.to_vec()
            }
            None => {
                self.fail("text with references is not UTF-8");
                raw.to_vec()
            }
        }
    }
}
