//! Native YAML rules, lowered to [`super::ast`]. The format is described in `docs/rules-yaml.md`.

mod case;
mod condition;
mod exclusion;
mod file;
mod node;
mod phase;
mod reader;
mod rule;

pub(crate) use file::read;
