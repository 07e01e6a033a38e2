//! Rule files of both syntaxes → one document, with whatever they include spliced in. Goes on after a fault, so
//! that all faults of all files are told at once.

use super::ast::{Directive, Document, Statement};
use super::diagnostic::{Diagnostic, Diagnostics, Severity, shorten};
use super::seclang::{self, Loader, has_wildcard, resolve};
use super::yaml;
use crate::limits;
use crate::source::{FileId, SourceMap, Span, Spanned};

/// Reads the rule file `path` and all that it includes; appends the statements to `document` and the faults to
/// `diagnostics`. A name that ends in `.yaml` or `.yml` is native YAML, any other SecLang.
pub fn parse_file(
    path: &str,
    loader: &dyn Loader,
    sources: &mut SourceMap,
    diagnostics: &mut Diagnostics,
    document: &mut Document,
) {
    Load { loader, sources, diagnostics, document, open: Vec::new(), files: 0, keeps: false }
        .file(path, None);
}

/// As [`parse_file`], of a `text` which is at hand. What it includes is relative to the directory of `name`.
pub fn parse_text(
    name: &str,
    text: &str,
    loader: &dyn Loader,
    sources: &mut SourceMap,
    diagnostics: &mut Diagnostics,
    document: &mut Document,
) {
    let file = sources.add(name, text);
    let mut load = Load { loader, sources, diagnostics, document, open: Vec::new(), files: 1, keeps: false };
    load.text(name, file, text, &[]);
}

/// As [`parse_text`], with `Include`s kept as statements instead of being followed.
pub(crate) fn parse_kept(
    name: &str,
    text: &str,
    loader: &dyn Loader,
    sources: &mut SourceMap,
    diagnostics: &mut Diagnostics,
    document: &mut Document,
) {
    let file = sources.add(name, text);
    let mut load = Load { loader, sources, diagnostics, document, open: Vec::new(), files: 1, keeps: true };
    load.text(name, file, text, &[]);
}

/// A load under way.
pub(crate) struct Load<'a> {
    loader: &'a dyn Loader,
    pub(crate) sources: &'a mut SourceMap,
    pub(crate) diagnostics: &'a mut Diagnostics,
    pub(crate) document: &'a mut Document,
    /// The files that are being read, outermost first: identity, and where it was included.
    open: Vec<(String, Option<Span>)>,
    files: usize,
    /// Whether what is included becomes a statement instead of being read.
    keeps: bool,
}

impl Load<'_> {
    /// Reads what `pattern`, written at `span` in the file `from`, names.
    pub(crate) fn include(&mut self, from: &str, pattern: &str, span: Span, optional: bool) {
        if self.keeps {
            let name = Spanned::new(if optional { "IncludeOptional" } else { "Include" }, span);
            let arguments = vec![Spanned::new(pattern.to_owned(), span)];
            self.document.statements.push(Statement::Directive(Directive { name, arguments, span }));
            return;
        }
        let pattern = resolve(from, pattern);
        let fault = |message: String| Diagnostic::error("include", span, message);
        match self.loader.expand(&pattern) {
            Err(why) => self.diagnostics.push(fault(format!("`{}`: {why}", shorten(&pattern)))),
            Ok(files) if files.is_empty() && !optional => {
                let message = if has_wildcard(&pattern) {
                    format!("no file matches `{}`", shorten(&pattern))
                } else {
                    format!("there is no file `{}`", shorten(&pattern))
                };
                let help = "the name is relative to the file that includes it; \
                            IncludeOptional accepts that there is none";
                self.diagnostics.push(fault(message).help(help));
            }
            Ok(files) => {
                for file in &files {
                    self.file(file, Some(span));
                }
            }
        }
    }

    /// The text of the data file that the file `from` names; a complaint when it cannot be read.
    pub(crate) fn data(&mut self, from: &str, path: &Spanned<String>) -> Option<String> {
        let resolved = resolve(from, path);
        match self.loader.read(&resolved) {
            Ok(bytes) => Some(decode(bytes).0),
            Err(why) => {
                let message = format!("`{}` cannot be read: {why}", shorten(&resolved));
                self.diagnostics.push(Diagnostic::error("unreadable-file", path.span, message));
                None
            }
        }
    }

    fn file(&mut self, path: &str, included: Option<Span>) {
        let at = |message: String| Diagnostic {
            severity: Severity::Error,
            code: "unreadable-file",
            message,
            span: included,
            help: None,
            related: Vec::new(),
        };
        self.files += 1;
        if self.files == limits::INCLUDE_FILES + 1 {
            let message = format!("more than {} files are included", limits::INCLUDE_FILES);
            self.diagnostics.push(at(message).help("the pattern of an Include may be wider than meant"));
        }
        if self.files > limits::INCLUDE_FILES {
            return;
        }
        let identity = self.loader.identity(path).unwrap_or_else(|| path.to_owned());
        if let Some((_, first)) = self.open.iter().find(|(open, _)| *open == identity) {
            let mut fault = at(format!("`{}` includes itself", shorten(path)));
            fault.code = "include-cycle";
            if let Some(first) = *first {
                fault = fault.related(first, "it is included here already");
            }
            self.diagnostics.push(fault.help("remove one of the two Includes"));
            return;
        }
        if self.open.len() >= limits::INCLUDE_DEPTH {
            let message = format!("files are included more than {} levels deep", limits::INCLUDE_DEPTH);
            self.diagnostics.push(at(message));
            return;
        }
        let bytes = match self.loader.read(path) {
            Ok(bytes) => bytes,
            Err(why) => {
                self.diagnostics.push(at(format!("`{}` cannot be read: {why}", shorten(path))));
                return;
            }
        };
        let (text, replaced) = decode(bytes);
        let file = self.sources.add(path, text.as_str());
        self.open.push((identity, included));
        self.text(path, file, &text, &replaced);
        self.open.pop();
    }

    fn text(&mut self, name: &str, file: FileId, text: &str, replaced: &[usize]) {
        if is_yaml(name) {
            yaml::read(self, name, file, text, replaced);
        } else {
            seclang::read(self, name, file, text, replaced);
        }
    }
}

fn is_yaml(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml")
}

/// `bytes` as text, and where a byte that is not UTF-8 was replaced, in ascending order.
fn decode(bytes: Vec<u8>) -> (String, Vec<usize>) {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return (text, Vec::new()),
        Err(error) => error.into_bytes(),
    };
    let mut text = String::with_capacity(bytes.len());
    let mut replaced = Vec::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            replaced.push(text.len());
            text.push('\u{fffd}');
        }
    }
    (text, replaced)
}
