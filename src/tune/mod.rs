//! False-alarm candidates of an audit log, and the exclusions that they ask for.
//!
//! [`Gathering`] reads records one after the other and keeps counts and a few samples of each place, within bounds
//! whatever the log's length. [`tune`] turns what many clients with ordinary browsers met at one place into exclusions,
//! evaluates the samples with them, and tries attacks at the same place.
//!
//! Part of the engine's half: no I/O, no clock. It must not know where records and rules are kept.

mod attack;
mod gather;
mod ordinary;
mod place;
mod propose;
mod tests_file;

pub use gather::{Bounds, Candidate, Counted, Found, Gathering};
pub use propose::{Attack, Suggestion, Tuning, tune};
pub use tests_file::tests;
