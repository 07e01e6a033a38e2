//! The command line: `run`, `check`, `test`, `version`, `completions`.

pub mod demo;
pub mod ftw;

mod args;
mod origin;

pub use args::{CheckArgs, Cli, Command, ModeArg, RunArgs, Settings, TestArgs};
pub use origin::{Origin, OriginReply, OriginRequest};
