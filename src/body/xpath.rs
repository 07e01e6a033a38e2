//! What XPath expressions see of an XML body.
//!
//! The two that CRS uses, `/*` and `//@*`, are answered from what the parser gathered, for documents of any size.
//! Others go to a library, which keeps a tree of its own and whose cost can grow with the square of the document:
//! it gets small documents only. Expressions come from rules and are trusted.

use crate::http::Pairs;
use crate::limits;
use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{QName, ResolveResult};
use sxd_document::dom::{Document, Element};
use sxd_xpath::nodeset::Node;
use sxd_xpath::{Context, Factory, Value};

/// A document as rules see it. Entities are never expanded and nothing external is ever loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XmlDocument {
    pub(super) text: Vec<u8>,
    pub(super) attributes: Pairs,
    /// The document for the library, decoded; empty when it is too large for that.
    pub(super) source: Vec<u8>,
    pub(super) has_doctype: bool,
}

impl XmlDocument {
    /// Bytes that it occupies.
    pub(crate) fn held(&self) -> usize {
        self.text.capacity() + self.attributes.held() + self.source.capacity()
    }
}

/// What an expression selects: name and value of each node.
pub type Selected = Vec<(Vec<u8>, Vec<u8>)>;

/// Why an expression could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XPathError {
    /// The expression is no XPath 1.0, or names a prefix that no `xmlns` action declares.
    Invalid(String),
    /// The document is too large or too oddly shaped for expressions other than `/*` and `//@*`.
    Unsuitable(&'static str),
}

impl std::fmt::Display for XPathError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            XPathError::Invalid(reason) => write!(f, "invalid XPath: {reason}"),
            XPathError::Unsuitable(reason) => write!(f, "the XML document is not searched: {reason}"),
        }
    }
}

impl std::error::Error for XPathError {}

impl XmlDocument {
    /// What `xpath` selects: for each node the expression, which is the variable's member name in ModSecurity, and
    /// the node's text content. `namespaces` are `xmlns` actions' (prefix, URI).
    ///
    /// `/*` has one value, all text of the document; `//@*` has one for each attribute.
    ///
    /// # Errors
    /// When the expression is no XPath, or the document is unsuitable for the library. Both mean that nothing was
    /// searched, which the caller must report.
    pub fn select(&self, xpath: &str, namespaces: &[(&str, &str)]) -> Result<Selected, XPathError> {
        let name = xpath.as_bytes().to_vec();
        match xpath {
            "/*" => Ok(vec![(name, self.text.clone())]),
            "//@*" => Ok(self.attributes.iter().map(|(_, value)| (name.clone(), value.to_vec())).collect()),
            _ => self.search(xpath, namespaces),
        }
    }

    /// All text of the document, as `/*` gives it, without a copy.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Name and value of all attributes in order, without a copy.
    pub fn attributes(&self) -> &Pairs {
        &self.attributes
    }

    /// Whether there is a document type declaration.
    pub fn has_doctype(&self) -> bool {
        self.has_doctype
    }

    fn search(&self, xpath: &str, namespaces: &[(&str, &str)]) -> Result<Selected, XPathError> {
        let compiled = compile(xpath, namespaces)?;
        if self.source.is_empty() {
            return Err(XPathError::Unsuitable("it is too large"));
        }
        let package = sxd_document::Package::new();
        let document = package.as_document();
        build(&document, &self.source)?;
        let mut context = Context::new();
        for (prefix, uri) in namespaces {
            context.set_namespace(prefix, uri);
        }
        let value =
            compiled.evaluate(&context, document.root()).map_err(|e| XPathError::Invalid(e.to_string()))?;
        let name = xpath.as_bytes();
        let mut found = Vec::new();
        match value {
            Value::Nodeset(nodes) => {
                let mut bytes = 0_usize;
                for node in nodes.document_order() {
                    let text = match node {
                        Node::Root(_) => String::from_utf8_lossy(&self.text).into_owned(),
                        node => node.string_value(),
                    };
                    bytes = bytes.saturating_add(text.len());
                    if bytes > limits::XPATH_RESULT_BYTES {
                        return Err(XPathError::Unsuitable("the result is too large"));
                    }
                    found.push((name.to_vec(), text.into_bytes()));
                }
            }
            other => found.push((name.to_vec(), other.string().into_bytes())),
        }
        Ok(found)
    }
}

/// Whether `xpath` can be evaluated at all, for a compiler of rules to ask beforehand.
///
/// # Errors
/// When it is no XPath 1.0, or names a prefix that `namespaces` (prefix, URI) does not have.
pub fn check_xpath(xpath: &str, namespaces: &[(&str, &str)]) -> Result<(), XPathError> {
    compile(xpath, namespaces).map(|_| ())
}

fn compile(xpath: &str, namespaces: &[(&str, &str)]) -> Result<sxd_xpath::XPath, XPathError> {
    // The library panics when it meets an undeclared prefix.
    if let Some(prefix) = prefixes(xpath).find(|prefix| !namespaces.iter().any(|(known, _)| known == prefix))
    {
        return Err(XPathError::Invalid(format!("no xmlns action declares the prefix `{prefix}`")));
    }
    let compiled = Factory::new().build(xpath).map_err(|e| XPathError::Invalid(e.to_string()))?;
    compiled.ok_or_else(|| XPathError::Invalid("it is empty".to_owned()))
}

/// What stands before a single colon outside of string literals.
fn prefixes(xpath: &str) -> impl Iterator<Item = &str> {
    let mut outside = Vec::new();
    let mut rest = xpath;
    while let Some(at) = rest.find(['\'', '"']) {
        let (code, literal) = rest.split_at(at);
        outside.push(code);
        let quote = if literal.starts_with('"') { '"' } else { '\'' };
        rest = literal.get(1..).and_then(|l| l.split_once(quote)).map_or("", |(_, after)| after);
    }
    outside.push(rest);
    outside.into_iter().flat_map(|code| {
        code.match_indices(':').filter_map(|(at, _)| {
            let (before, after) = code.split_at_checked(at)?;
            let is_axis = before.ends_with(':') || after.starts_with("::");
            let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
            let start = before.trim_end().rfind(|c| !is_name(c)).map_or(0, |i| i + 1);
            // `rfind` gives the start of a character, which may be longer than a byte.
            let prefix = before.trim_end().get(start..).unwrap_or("?");
            (!is_axis).then_some(prefix)
        })
    })
}

/// Builds the library's tree. Entities stay unexpanded, as in the parser.
fn build(document: &Document<'_>, source: &[u8]) -> Result<(), XPathError> {
    let mut reader = NsReader::from_reader(source);
    let mut open: Vec<Element<'_>> = Vec::new();
    let mut has_root = false;
    let mut nodes = 0;
    loop {
        nodes += 1;
        if nodes > limits::XPATH_NODES || open.len() > limits::XML_DEPTH {
            return Err(XPathError::Unsuitable("it has too many nodes"));
        }
        // A tree as far as it goes: the error itself has been reported by the parser.
        let Ok(event) = reader.read_event() else { break };
        match &event {
            Event::Start(start) | Event::Empty(start) => {
                let Some(element) = element(document, &reader, start, &mut nodes)? else { break };
                match open.last() {
                    Some(parent) => parent.append_child(element),
                    None if !has_root => document.root().append_child(element),
                    None => break,
                }
                has_root = true;
                if matches!(event, Event::Start(_)) {
                    open.push(element);
                }
            }
            Event::End(_) => {
                open.pop();
            }
            Event::Text(text) => append_text(document, &open, &String::from_utf8_lossy(text)),
            Event::CData(text) => append_text(document, &open, &String::from_utf8_lossy(text)),
            Event::GeneralRef(name) => {
                let whole = format!("&{};", String::from_utf8_lossy(name));
                append_text(document, &open, &unescape(&whole));
            }
            Event::Eof => break,
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) | Event::DocType(_) => {}
        }
    }
    Ok(())
}

fn element<'d>(
    document: &Document<'d>,
    reader: &NsReader<&[u8]>,
    start: &BytesStart<'_>,
    nodes: &mut usize,
) -> Result<Option<Element<'d>>, XPathError> {
    let (namespace, local) = reader.resolve_element(start.name());
    let local = String::from_utf8_lossy(local.into_inner()).into_owned();
    let element = match namespace_uri(&namespace) {
        Some(uri) => document.create_element((uri.as_str(), local.as_str())),
        None => document.create_element(local.as_str()),
    };
    let mut attributes = 0;
    for attribute in start.attributes().with_checks(false) {
        let Ok(attribute) = attribute else { return Ok(None) };
        attributes += 1;
        *nodes += 1;
        // The library looks through all attributes of the element each time one is set.
        if attributes > limits::XPATH_ATTRIBUTES {
            return Err(XPathError::Unsuitable("an element has too many attributes"));
        }
        let QName(key) = attribute.key;
        if key == b"xmlns" || key.starts_with(b"xmlns:") {
            continue;
        }
        let (namespace, local) = reader.resolve_attribute(attribute.key);
        let local = String::from_utf8_lossy(local.into_inner()).into_owned();
        let value = unescape(&String::from_utf8_lossy(&attribute.value)).into_owned();
        match namespace_uri(&namespace) {
            Some(uri) => element.set_attribute_value((uri.as_str(), local.as_str()), &value),
            None => element.set_attribute_value(local.as_str(), &value),
        };
    }
    Ok(Some(element))
}

fn append_text(document: &Document<'_>, open: &[Element<'_>], text: &str) {
    if let (Some(parent), false) = (open.last(), text.is_empty()) {
        parent.append_child(document.create_text(text));
    }
}

fn unescape(raw: &str) -> std::borrow::Cow<'_, str> {
    quick_xml::escape::unescape(raw).unwrap_or(std::borrow::Cow::Borrowed(raw))
}

fn namespace_uri(namespace: &ResolveResult<'_>) -> Option<String> {
    match namespace {
        ResolveResult::Bound(uri) => Some(String::from_utf8_lossy(uri.into_inner()).into_owned()),
        ResolveResult::Unbound | ResolveResult::Unknown(_) => None,
    }
}
