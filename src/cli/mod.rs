//! The command line: `run`, `check`, `test`, `version`, `completions`.

pub mod demo;
pub mod ftw;

mod app;
mod args;
mod check;
mod compat;
mod console;
mod origin;
mod privileges;
mod reference;
mod rules;
mod run;
mod test;

use crate::config::posture;

pub use app::main;
pub use args::{CheckArgs, Cli, Command, ModeArg, RunArgs, Settings, TestArgs};
pub use origin::{Origin, OriginReply, OriginRequest};
pub use reference::reference;
