//! Transformations: one row each in [`registry`], bytes to bytes.
//!
//! This module must not know rules, variables or transactions.

mod registry;

pub use registry::{TransformId, Transformation, Trigger, all, find};
