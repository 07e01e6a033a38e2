//! `portcullis replay`: recorded traffic through another ruleset.
//!
//! Records are read one after the other and shared out to threads, so that memory does not depend on how many there
//! are. Formats become [`record::Recorded`] and know nothing of rules; rulesets see nothing else.

mod args;
mod command;
mod har;
mod modsecurity;
mod native;
mod raw;
mod read;
mod record;
mod side;
mod tally;
mod tell;

pub(super) use args::HELP;
pub use args::ReplayArgs;
pub(super) use command::replay;
