//! One request on its way: who sent it, which site serves it, its transaction, and what became of it.
//!
//! All calls into the engine go through here. A panic in one is caught, ends that transaction, and becomes
//! [`Failure::Internal`](crate::config::Failure::Internal), which the site's setting turns into a refusal or a pass.

mod chance;
mod inspection;
mod screening;
mod serving;
mod shared;

pub(super) use inspection::show_head;
pub(super) use serving::{Exchange, Step};
pub(super) use shared::{Arrival, Ids, Shared};
