//! Who may send requests, and how many: access rules, rate limits, bans.
//!
//! It is asked before a request's first rule runs, in this order: bans, access rules, rate limits; rate limits whose
//! key rules set follow behind phase 2. It answers with [`Ruling`]s and does nothing to a request itself. It must not
//! know sockets, transactions, or how requests are answered.

mod access;
mod bans;
mod desk;
mod joint;
mod key;
mod meter;
mod request;
mod ruling;

pub use bans::{Ban, BanList};
pub use desk::{Admission, Score, Visit};
pub use meter::Meters;
pub use request::Subject;
pub use ruling::{Control, Ruling};
