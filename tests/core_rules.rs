//! The embedded ruleset: what it must stop, and what it must let pass.

use portcullis::compile::{EMBEDDED, Input, Loaded, load};
use portcullis::syntax::seclang::{EmbeddedLoader, FileLoader};

fn core() -> Loaded {
    load(&[Input::File("@portcullis-core.conf".into())], &EmbeddedLoader::new(EMBEDDED, FileLoader))
}

#[test]
fn it_loads_without_a_word() {
    let loaded = core();
    let said: Vec<String> = loaded
        .diagnostics
        .iter()
        .map(|d| {
            format!(
                "{}: {}",
                d.span.map_or_else(String::new, |s| loaded.sources.locate(s).to_string()),
                d.message
            )
        })
        .collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
    assert!(loaded.ruleset.is_some());
}
