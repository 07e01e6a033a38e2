//! Native YAML rules, lowered to [`super::ast`]. The format is described in `docs/rules-yaml.md`.

mod case;
mod condition;
mod exclusion;
mod file;
mod id;
mod node;
mod only;
mod patch;
mod phase;
mod reader;
mod rule;
mod schema;
mod table;
mod write;

pub use file::is_rules;
pub(crate) use file::read;
pub use id::{is_name, stable_id};
pub use schema::schema;
pub(crate) use table::SEVERITY_NAMES;
pub use table::{Key, Table, Takes};
pub(crate) use write::write;
