//! `portcullis promote`: making a candidate ruleset the one that decides.

mod command;

pub use command::PromoteArgs;
pub(super) use command::{HELP, promote, share};
