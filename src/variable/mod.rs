//! Variables: one row each in `registry`. Names, shapes and when their content is known; how a transaction
//! fills them is [`crate::engine`]'s business.
//!
//! Must not know rules or transactions.

mod names;
mod registry;

pub use names::Variable;
pub use registry::{Row, Shape, all, find};
