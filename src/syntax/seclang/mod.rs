//! SecLang: text → [`super::ast`].

mod directives;
mod lexer;
mod loader;
mod mapped;
mod parser;
mod rules;

pub use directives::{DIRECTIVES, DirectiveRow, Status, find as find_directive};
pub use loader::{EmbeddedLoader, FileLoader, Loader, has_wildcard, resolve};
pub use parser::{parse_file, parse_text};
pub use rules::{parse_actions, parse_operator, parse_targets};
