//! What happened lately, for people who look: recent transactions, counts over time, what occurs most.
//!
//! It lives in memory, is bounded in everything, and is filled as requests finish. A request that simply passed costs
//! it one atomic read while nobody looks.

mod history;
mod ledger;
mod recent;
mod ring;
mod top;

pub use history::{Bucket, History, Range};
pub use recent::{Finding, Kept, Picture, Totals, Traffic, Watching};
