//! From files and texts to a ruleset, with everything that there is to say about them.

use super::posture::Posture;
use super::program::Compiler;
use crate::ruleset::Ruleset;
use crate::source::{SourceMap, Spanned};
use crate::syntax;
use crate::syntax::ast::{Action, ActionStatement, Document, Rule, RuleNote, Statement};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::syntax::seclang::Loader;
use std::sync::Arc;

/// A piece of rule text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A file, SecLang or YAML by its extension; `@…` names an embedded one.
    File(String),
    /// A virtual patch.
    Patch {
        /// The file, as of [`Input::File`].
        file: String,
        /// Whether its rules only tell what they would have blocked.
        detection_only: bool,
    },
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

impl Loaded {
    /// An error for each rule of native YAML that lacks requests which it must match, or such as it must pass.
    /// Whether that is one is for the caller to say.
    pub fn untested(&self) -> Vec<Diagnostic> {
        let lacking = |note: &&RuleNote| note.matches == 0 || note.passes == 0;
        let told = |note: &RuleNote| {
            let name = note.name.clone().unwrap_or_else(|| note.rule.to_string());
            let what = match (note.matches, note.passes) {
                (0, 0) => "no tests",
                (0, _) => "no request that it must match",
                _ => "no request that it must pass",
            };
            Diagnostic::error("untested-rule", note.span, format!("the rule {name} has {what}"))
                .help("add matches: [GET /?q=…] and passes: [GET /?q=…]")
        };
        self.document.notes.iter().filter(lacking).map(told).collect()
    }
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
            Input::Patch { file, detection_only } => {
                let (rules, patches) = (document.statements.len(), document.patches.len());
                syntax::parse_file(file, loader, &mut sources, &mut diagnostics, &mut document);
                let read = document.patches.get_mut(patches..).unwrap_or_default();
                if read.is_empty() && !diagnostics.has_errors() {
                    let message = format!("{file} is no virtual patch: it has no `patch:`");
                    let help = "name it under `rules`, or say under `patch:` what it patches";
                    diagnostics.push(Diagnostic {
                        severity: Severity::Error,
                        code: "no-patch",
                        message,
                        span: None,
                        help: Some(help.to_owned()),
                        related: Vec::new(),
                    });
                }
                if *detection_only {
                    read.iter_mut().for_each(|patch| patch.detection_only = true);
                    document.statements.iter_mut().skip(rules).for_each(only_tell);
                }
            }
            Input::Text { name, text } => {
                syntax::parse_text(name, text, loader, &mut sources, &mut diagnostics, &mut document);
            }
        }
    }
    compile_document(document, sources, diagnostics, loader)
}

/// Takes away what a rule decides and leaves what it tells.
fn only_tell(statement: &mut Statement) {
    let (Statement::Rule(Rule { actions, .. }) | Statement::Action(ActionStatement { actions, .. })) =
        statement
    else {
        return;
    };
    for action in actions.iter_mut() {
        // `allow` too: a patch that is tried out changes nothing.
        if DECIDES.iter().any(|name| action.name.eq_ignore_ascii_case(name)) {
            action.name.node = "pass".to_owned();
            action.value = None;
        }
    }
    if let Some(at) = actions.iter().position(|action| action.name.node == "tag") {
        let span = actions[at].span;
        let value = Some(Spanned::new(DETECTION_ONLY.to_owned(), span));
        actions.insert(at, Action { name: Spanned::new("tag".to_owned(), span), value, span });
    }
}

const DECIDES: [&str; 6] = ["allow", "block", "deny", "drop", "proxy", "redirect"];
/// The tag of rules that would have decided something.
const DETECTION_ONLY: &str = "patch-mode/DetectionOnly";

/// Compiles a syntax tree. `diagnostics` are what its parsing had to say.
pub fn compile_document(
    document: Document,
    sources: SourceMap,
    diagnostics: Diagnostics,
    loader: &dyn Loader,
) -> Loaded {
    let (ruleset, mut posture, mut diagnostics) =
        Compiler::new(&sources, loader, diagnostics).compile(&document);
    diagnostics.sort();
    posture.patches.clone_from(&document.patches);
    let ruleset = (!diagnostics.has_errors()).then(|| Arc::new(ruleset));
    Loaded { ruleset, document, diagnostics, sources, posture }
}
