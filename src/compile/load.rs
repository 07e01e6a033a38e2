//! From files and texts to a ruleset, with everything that there is to say about them.

use super::posture::Posture;
use super::program::Compiler;
use crate::ruleset::Ruleset;
use crate::source::SourceMap;
use crate::syntax;
use crate::syntax::ast::Document;
use crate::syntax::diagnostic::Diagnostics;
use crate::syntax::seclang::Loader;
use std::sync::Arc;

/// A piece of rule text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A file, SecLang or YAML by its extension; `@…` names an embedded one.
    File(String),
    /// Text that stands in a configuration; `name` tells where, and `Include`s in it are relative to its directory.
    Text {
        /// What diagnostics call it.
        name: String,
        /// SecLang.
        text: String,
    },
}

/// What became of a load.
#[derive(Debug)]
pub struct Loaded {
    /// The ruleset, unless there were errors.
    pub ruleset: Option<Arc<Ruleset>>,
    /// The syntax tree of everything that was read.
    pub document: Document,
    /// All errors and warnings.
    pub diagnostics: Diagnostics,
    /// The texts that the diagnostics point into.
    pub sources: SourceMap,
    /// What the ruleset amounts to.
    pub posture: Posture,
}

/// Reads and compiles `inputs` in their order. Never stops at the first fault.
pub fn load(inputs: &[Input], loader: &dyn Loader) -> Loaded {
    let mut sources = SourceMap::new();
    let mut diagnostics = Diagnostics::new();
    let mut document = Document::default();
    for input in inputs {
        match input {
            Input::File(path) => {
                syntax::parse_file(path, loader, &mut sources, &mut diagnostics, &mut document);
            }
            Input::Text { name, text } => {
                syntax::parse_text(name, text, loader, &mut sources, &mut diagnostics, &mut document);
            }
        }
    }
    compile_document(document, sources, diagnostics, loader)
}

/// Compiles a syntax tree. `diagnostics` are what its parsing had to say.
pub fn compile_document(
    document: Document,
    sources: SourceMap,
    diagnostics: Diagnostics,
    loader: &dyn Loader,
) -> Loaded {
    let (ruleset, posture, mut diagnostics) = Compiler::new(&sources, loader, diagnostics).compile(&document);
    diagnostics.sort();
    let ruleset = (!diagnostics.has_errors()).then(|| Arc::new(ruleset));
    Loaded { ruleset, document, diagnostics, sources, posture }
}
