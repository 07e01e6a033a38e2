//! Loading rule text for commands that do not serve.

use crate::compile::Loaded;
use crate::config::{EMBEDDED_RULESET, RuleInput};
use crate::reload::{file_loader, load_rules};
use crate::source::SourceMap;
use crate::syntax::ast::Statement;
use crate::syntax::diagnostic;

/// Loads rule files and globs in order; the embedded ruleset when there are none.
pub(super) fn load(files: &[String]) -> Loaded {
    let embedded = [EMBEDDED_RULESET.to_owned()];
    let files = if files.is_empty() { &embedded } else { files };
    let inputs: Vec<RuleInput> = files.iter().cloned().map(RuleInput::File).collect();
    load_rules(&inputs, &file_loader())
}

/// As [`load`], with the engine's own settings in front of rules that bring none along, such as virtual patches:
/// alone they would see no bodies.
pub(super) fn load_alone(files: &[String]) -> Loaded {
    let loaded = load(files);
    if loaded.document.notes.is_empty() || !sets_nothing(&loaded) {
        return loaded;
    }
    let base = [ENGINE_SETTINGS.to_owned()];
    load(&base.iter().chain(files).cloned().collect::<Vec<_>>())
}

/// As [`load_alone`], with every level of paranoia that detects switched on: for tests that rules bring along, each of
/// which is about its own rule.
pub(super) fn load_to_test(files: &[String]) -> Loaded {
    let level = RuleInput::Text { name: "levels".to_owned(), text: ALL_LEVELS.to_owned() };
    let embedded = [EMBEDDED_RULESET.to_owned()];
    let files = if files.is_empty() { &embedded } else { files };
    let load = |base: &[String]| {
        let files = base.iter().chain(files).cloned().map(RuleInput::File);
        load_rules(&std::iter::once(level.clone()).chain(files).collect::<Vec<_>>(), &file_loader())
    };
    let loaded = load(&[]);
    if sets_nothing(&loaded) { load(&[ENGINE_SETTINGS.to_owned()]) } else { loaded }
}

/// CRS and the embedded ruleset keep what has been set before them.
const ALL_LEVELS: &str =
    "SecAction \"id:99999999,phase:1,pass,nolog,t:none,setvar:tx.detection_paranoia_level=4\"";

/// Whether no directive sets anything.
fn sets_nothing(loaded: &Loaded) -> bool {
    loaded.document.statements.iter().all(|statement| match statement {
        Statement::Directive(directive) => directive.name.node == "SecDataset",
        _ => true,
    })
}

/// The engine's own settings inside the binary.
pub(super) const ENGINE_SETTINGS: &str = "@engine.conf";

/// The diagnostics of a load for a person.
pub(super) fn rendered(loaded: &Loaded) -> String {
    render(&loaded.diagnostics, &loaded.sources)
}

/// Diagnostics for a person.
pub(super) fn render(diagnostics: &diagnostic::Diagnostics, sources: &SourceMap) -> String {
    diagnostic::render(diagnostics, sources, super::console::colour())
}
