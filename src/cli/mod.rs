//! The command line: `run`, `check`, `test`, `version`, `completions`.

pub mod ftw;

mod origin;

pub use origin::{Origin, OriginReply, OriginRequest};
