//! The command line. Each command has a module of its name; what several of them need stands beside these.

pub mod demo;
pub mod ftw;
mod handover;

mod app;
mod args;
mod bans;
mod check;
mod compat;
mod console;
mod convert;
mod explain;
mod help;
mod notify;
mod origin;
mod patch;
mod privileges;
mod progress;
mod promote;
mod records;
mod reference;
mod remote;
mod replay;
mod rules;
mod run;
mod score;
mod source;
mod subject;
mod test;
mod top;
mod tune;

use crate::config::posture;

pub use app::main;
pub use args::{CheckArgs, Cli, Command, ModeArg, RunArgs, SchemaOf, Settings, TestArgs};
pub use bans::BansCommand;
pub use convert::{ConvertArgs, Syntax};
pub use explain::ExplainArgs;
pub use origin::{Origin, OriginReply, OriginRequest};
pub use patch::{PatchCommand, PatchNewArgs};
pub use promote::PromoteArgs;
pub use reference::reference;
pub use remote::RemoteArgs;
pub use replay::ReplayArgs;
pub use score::ScoreArgs;
pub use top::TopArgs;
pub use tune::TuneArgs;
