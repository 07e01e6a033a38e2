//! `portcullis score`: how much of a labelled set of requests a ruleset refuses.
//!
//! [`set`] reads cases, [`split`] divides them by payload family, [`send`] asks the engine or a running proxy,
//! [`tally`] counts, [`tell`] writes. It must know nothing of particular rules.

mod args;
mod command;
mod send;
mod set;
mod split;
mod tally;
mod tell;

pub(super) use args::HELP;
pub use args::ScoreArgs;
pub(super) use command::score;
