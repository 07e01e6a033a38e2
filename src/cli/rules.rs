//! Loading rule text for commands that do not serve.

use crate::compile::{self, EMBEDDED, Input, Loaded};
use crate::config::{EMBEDDED_RULESET, RuleInput};
use crate::syntax::diagnostic;
use crate::syntax::seclang::{EmbeddedLoader, FileLoader, Loader, has_wildcard};

/// Loads rule files and globs in order; the embedded ruleset when there are none.
pub(super) fn load(files: &[String]) -> Loaded {
    let files = if files.is_empty() { vec![EMBEDDED_RULESET.to_owned()] } else { files.to_vec() };
    load_inputs(&files.into_iter().map(RuleInput::File).collect::<Vec<_>>())
}

/// Loads what a site's configuration names.
pub(super) fn load_inputs(inputs: &[RuleInput]) -> Loaded {
    let loader = EmbeddedLoader::new(EMBEDDED, FileLoader);
    let expand = |input: &RuleInput| match input {
        RuleInput::File(pattern) if has_wildcard(pattern) => match loader.expand(pattern) {
            Ok(files) if !files.is_empty() => files.into_iter().map(Input::File).collect(),
            // The compiler says what is wrong with it.
            _ => vec![Input::File(pattern.clone())],
        },
        RuleInput::File(name) => vec![Input::File(name.clone())],
        RuleInput::Text { name, text } => vec![Input::Text { name: name.clone(), text: text.clone() }],
    };
    let inputs: Vec<Input> = inputs.iter().flat_map(expand).collect();
    compile::load(&inputs, &loader)
}

/// The diagnostics of a load for a person.
pub(super) fn rendered(loaded: &Loaded) -> String {
    diagnostic::render(&loaded.diagnostics, &loaded.sources, super::console::colour())
}
