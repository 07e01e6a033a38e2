//! Operators: one row each in `registry`. An operator is built once from its argument and then asked about
//! values.
//!
//! This module sees bytes only; it must not know rules, variables or transactions. What an operator needs of
//! the world comes in through [`Resources`] when it is built and through [`Lookup`] when it is asked.

mod address;
mod beginnings;
mod compare;
mod contract;
mod gap;
mod geo;
mod injection;
mod markup;
mod pattern;
mod phrase;
mod program;
mod refused;
mod registry;
mod rx;
mod shell;
mod simple;
pub mod sqli;
mod stretches;
mod strider;
mod template;
mod text;
mod thirds;
mod validate;
mod verify;
mod walk;
mod walker;

pub use contract::{
    Argument, BuildError, Built, Capture, Found, Lookup, NoLookup, NoResources, Operator, Outcome, Resources,
    Wanted,
};
pub use registry::{OperatorRow, all, find};
