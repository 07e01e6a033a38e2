//! Loading rule text for commands that do not serve.

use crate::compile::Loaded;
use crate::config::{EMBEDDED_RULESET, RuleInput};
use crate::reload::{file_loader, load_rules};
use crate::syntax::diagnostic;

/// Loads rule files and globs in order; the embedded ruleset when there are none.
pub(super) fn load(files: &[String]) -> Loaded {
    let embedded = [EMBEDDED_RULESET.to_owned()];
    let files = if files.is_empty() { &embedded } else { files };
    let inputs: Vec<RuleInput> = files.iter().cloned().map(RuleInput::File).collect();
    load_rules(&inputs, &file_loader())
}

/// The diagnostics of a load for a person.
pub(super) fn rendered(loaded: &Loaded) -> String {
    diagnostic::render(&loaded.diagnostics, &loaded.sources, super::console::colour())
}
