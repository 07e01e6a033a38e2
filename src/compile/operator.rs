//! Operators: names resolved, arguments checked, files read.

use super::intern::Intern;
use super::template;
use crate::operator::{self, Argument, Operator, Resources};
use crate::ruleset::Template;
use crate::source::{SourceMap, Span};
use crate::syntax::ast;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::syntax::seclang::{Loader, resolve};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// An operator and, if it holds macros, its argument.
pub(super) struct Built {
    pub(super) operator: Arc<dyn Operator>,
    pub(super) argument: Option<Template>,
}

/// What reading a file gave: its bytes, or a sentence for people.
type Content = Result<Arc<[u8]>, String>;

/// Data sets, databases and files that a load has met; files are read once.
pub(super) struct Files<'a> {
    pub(super) loader: &'a dyn Loader,
    pub(super) datasets: HashMap<String, Arc<[String]>>,
    pub(super) geo_database: Option<Arc<[u8]>>,
    pub(super) http_bl_key: Option<String>,
    read: RefCell<HashMap<String, Content>>,
}

impl<'a> Files<'a> {
    pub(super) fn new(loader: &'a dyn Loader) -> Self {
        Self {
            loader,
            datasets: HashMap::new(),
            geo_database: None,
            http_bl_key: None,
            read: RefCell::default(),
        }
    }

    /// The file at `path`.
    pub(super) fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        if let Some(known) = self.read.borrow().get(path) {
            return known.clone();
        }
        let content: Content = self.loader.read(path).map(Into::into);
        self.read.borrow_mut().insert(path.to_owned(), content.clone());
        content
    }
}

/// A regular expression that stands elsewhere than in `@rx`: it means the same.
///
/// # Errors
/// A sentence for people.
pub(super) fn pattern(text: &str) -> Result<Arc<dyn Operator>, String> {
    let row = operator::find("rx").ok_or("there is no operator @rx")?;
    (row.build)(Some(text), &operator::NoResources).map_err(|e| e.message)
}

/// Files as one rule file names them.
struct Beside<'a, 'b> {
    files: &'b Files<'a>,
    rule_file: &'b str,
}

impl Resources for Beside<'_, '_> {
    fn file(&self, name: &str) -> Result<Arc<[u8]>, String> {
        self.files.read(&resolve(self.rule_file, name))
    }
    fn dataset(&self, name: &str) -> Option<Arc<[String]>> {
        self.files.datasets.get(name).cloned()
    }
    fn http_bl_key(&self) -> Option<String> {
        self.files.http_bl_key.clone()
    }
    fn geo_database(&self) -> Option<Arc<[u8]>> {
        self.files.geo_database.clone()
    }
}

/// Builds `written`; faults go to `diagnostics`.
pub(super) fn build(
    written: &ast::Operator,
    files: &Files<'_>,
    sources: &SourceMap,
    intern: &mut Intern,
    diagnostics: &mut Diagnostics,
) -> Option<Built> {
    let Some(row) = operator::find(&written.name) else {
        let mut diagnostic = Diagnostic::error(
            "unknown-operator",
            written.name.span,
            format!("there is no operator @{}", written.name.node),
        );
        if let Some(near) = nearest(&written.name, operator::all().iter().map(|o| o.name)) {
            diagnostic = diagnostic.help(format!("did you mean @{near}?"));
        }
        diagnostics.push(diagnostic);
        return None;
    };
    let text = written.argument.node.as_str();
    let macros = row.argument == Argument::Macro && template::has_macro(text);
    let rule_file = sources.file(written.span.file).name();
    let built = (row.build)((!macros).then_some(text), &Beside { files, rule_file });
    match built {
        Ok(operator) => {
            if let Some(why) = operator.inert() {
                let message = format!("@{} never matches here: {why}", row.name);
                diagnostics.push(Diagnostic::warning("inert-operator", written.span, message));
            }
            let argument = macros.then(|| template::parse(text, intern, &mut Vec::new()));
            Some(Built { operator, argument })
        }
        Err(error) => {
            let whole = written.argument.span;
            // The place is exact when the argument stands in the source as it is.
            let span = match &error.at {
                Some(at) if sources.text(whole) == text => {
                    Span::new(whole.file, whole.start as usize + at.start, whole.start as usize + at.end)
                }
                _ => whole,
            };
            let mut diagnostic =
                Diagnostic::error("invalid-argument", span, format!("@{}: {}", row.name, error.message));
            if let Some(help) = error.help {
                diagnostic = diagnostic.help(help);
            }
            diagnostics.push(diagnostic);
            None
        }
    }
}
