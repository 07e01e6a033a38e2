//! Loading rule text for commands that do not serve.

use crate::compile::{self, Input, Loaded};
use crate::config::{EMBEDDED_RULESET, RuleInput};
use crate::syntax::diagnostic;

/// Loads rule files and globs in order; the embedded ruleset when there are none.
pub(super) fn load(files: &[String]) -> Loaded {
    let files = if files.is_empty() { vec![EMBEDDED_RULESET.to_owned()] } else { files.to_vec() };
    load_inputs(&files.into_iter().map(RuleInput::File).collect::<Vec<_>>())
}

/// Loads what a site's configuration names.
pub(super) fn load_inputs(inputs: &[RuleInput]) -> Loaded {
    todo_inputs(inputs)
}

/// The diagnostics of a load for a person.
pub(super) fn rendered(loaded: &Loaded) -> String {
    diagnostic::render(&loaded.diagnostics, &loaded.sources, super::console::colour())
}
