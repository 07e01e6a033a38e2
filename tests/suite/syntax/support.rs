//! What the tests of the front ends share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portcullis::source::{SourceMap, Span};
use portcullis::syntax::ast::{Action, Document, Statement};
use portcullis::syntax::diagnostic::Diagnostics;
use portcullis::syntax::seclang::{self, FileLoader, Loader};

/// What one load gave.
#[derive(Default)]
pub struct Parsed {
    pub sources: SourceMap,
    pub diagnostics: Diagnostics,
    pub document: Document,
}

impl Parsed {
    pub fn load(path: &str, loader: &dyn Loader) -> Self {
        let mut it = Self::default();
        seclang::parse_file(path, loader, &mut it.sources, &mut it.diagnostics, &mut it.document);
        it
    }

    pub fn file(path: &Path) -> Self {
        Self::load(path.to_str().expect("the paths of the tests are UTF-8"), &FileLoader)
    }

    pub fn bytes(bytes: &[u8]) -> Self {
        Self::load("test.conf", &Memory::new([("test.conf", bytes)]))
    }

    pub fn text(text: &str) -> Self {
        let mut it = Self::default();
        seclang::parse_text(
            "test.conf",
            text,
            &Memory::default(),
            &mut it.sources,
            &mut it.diagnostics,
            &mut it.document,
        );
        it
    }

    /// As [`Parsed::text`], of text without a fault.
    pub fn sound(text: &str) -> Self {
        let it = Self::text(text);
        let complaints: Vec<_> = it.diagnostics.iter().map(|d| &d.message).collect();
        assert!(complaints.is_empty(), "{text}\n{complaints:?}");
        it
    }
}

/// Files in memory.
#[derive(Default)]
pub struct Memory(BTreeMap<String, Vec<u8>>);

impl Memory {
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        Self(files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect())
    }
}

impl Loader for Memory {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path).cloned().ok_or_else(|| "there is no such file".to_owned())
    }

    fn expand(&self, pattern: &str) -> Result<Vec<String>, String> {
        let matcher = glob::Pattern::new(pattern).map_err(|e| e.msg.to_owned())?;
        Ok(self.0.keys().filter(|name| matcher.matches(name)).cloned().collect())
    }

    fn identity(&self, path: &str) -> Option<String> {
        self.0.contains_key(path).then(|| path.to_owned())
    }
}

/// The document with all spans made equal, so that trees read from different texts can be compared.
pub fn without_spans(document: &Document) -> Document {
    let nowhere = Span::new(SourceMap::new().add("", ""), 0, 0);
    let mut document = document.clone();
    document.left_out.clear();
    for statement in &mut document.statements {
        match statement {
            Statement::Rule(rule) => {
                rule.span = nowhere;
                for target in &mut rule.targets {
                    target.span = nowhere;
                    target.name.span = nowhere;
                    if let Some(selector) = &mut target.selector {
                        selector.span = nowhere;
                    }
                }
                rule.operator.span = nowhere;
                rule.operator.name.span = nowhere;
                rule.operator.argument.span = nowhere;
                rule.actions.iter_mut().for_each(|action| clear(action, nowhere));
            }
            Statement::Action(it) | Statement::DefaultAction(it) => {
                it.span = nowhere;
                it.actions.iter_mut().for_each(|action| clear(action, nowhere));
            }
            Statement::Marker(name, span) => {
                name.span = nowhere;
                *span = nowhere;
            }
            Statement::Directive(it) => {
                it.span = nowhere;
                it.name.span = nowhere;
                it.arguments.iter_mut().for_each(|argument| argument.span = nowhere);
            }
        }
    }
    document
}

fn clear(action: &mut Action, nowhere: Span) {
    action.span = nowhere;
    action.name.span = nowhere;
    if let Some(value) = &mut action.value {
        value.span = nowhere;
    }
}

/// The reference copy of CRS; `None`, and a word about it, where it is not there and need not be.
#[allow(clippy::print_stderr)]
pub fn crs() -> Option<PathBuf> {
    let given = std::env::var_os("PORTCULLIS_CRS_DIR").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|up| up.join("shared/crs"));
    let found = given.into_iter().chain(beside).find(|path| path.is_dir());
    if found.is_none() {
        assert!(std::env::var_os("PORTCULLIS_REQUIRE_CRS").is_none(), "there is no CRS in ../shared/crs");
        eprintln!("SKIPPED: there is no CRS in ../shared/crs");
    }
    found
}

/// The rule files under `root`, examples too.
pub fn rule_files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).expect("the directory can be read") {
            let path = entry.expect("the entry can be read").path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                directories.push(path);
            } else if name.ends_with(".conf") || name.ends_with(".conf.example") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
