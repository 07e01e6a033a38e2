//! Builds a generation from a configuration, watches for changes, and swaps generations.
//!
//! A new generation is read, compiled and checked beside the current one; only a sound one takes its place.
//! It must not know how requests are served: the proxy takes the current generation and never comes here.

mod generation;

pub use generation::{Backend, Balancer, Current, Generation, REST, SiteRuntime};
