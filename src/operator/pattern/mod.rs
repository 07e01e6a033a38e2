//! From PCRE's syntax, in which rules are written, to that of the engines which run them.

mod byte_set;
mod class;
mod escape;
mod group;
mod reader;

pub(super) use reader::{Dialect, Refusal, translate};
