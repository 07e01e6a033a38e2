//! `portcullis patch`: from an exploit to a tested virtual patch.
//!
//! `cli::source` reads what an incident leaves behind, [`part`] takes a request apart, [`shape`] finds what is hostile in
//! it, [`mutate`] makes variants, [`draft`] writes the file, and [`command`] runs it and tells what it could not decide.

mod args;
mod command;
mod draft;
mod multipart;
mod mutate;
mod part;
mod shape;

pub use args::{PatchCommand, PatchNewArgs};
pub(super) use command::patch;
