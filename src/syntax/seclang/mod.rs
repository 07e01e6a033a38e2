//! SecLang: text → [`super::ast`].

mod directives;
mod lexer;
mod loader;
mod mapped;
mod parser;
mod rules;

pub use super::load::{parse_file, parse_text};
pub use directives::{DIRECTIVES, DirectiveRow, find as find_directive};
pub use loader::{EmbeddedLoader, FileLoader, Loader, has_wildcard, resolve};
pub(crate) use parser::{check, read, read_block, unknown};
pub use rules::{parse_actions, parse_operator, parse_targets};
