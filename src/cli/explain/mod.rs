//! `portcullis explain`: why a request was, or would be, blocked.

mod args;
mod command;
mod log;

pub use args::ExplainArgs;
pub(super) use args::HELP;
pub(super) use command::explain;
