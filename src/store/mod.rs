//! Persistent collections (`IP`, `SESSION`, `USER`, `GLOBAL`, `RESOURCE`), the rest of the engine's outside, and what
//! several instances know together.
//!
//! It must not know rules or requests: it is given names, keys and changes.

mod collection;
mod joint;
mod link;
mod memory;
mod resolver;
mod script;
mod shared;
mod world;

pub use joint::JointCollections;
pub use memory::{MemoryStore, Usage};
pub use shared::{Charge, Charged, SharedStore, digest};
pub use world::ServerWorld;
