//! Persistent collections (`IP`, `SESSION`, `USER`, `GLOBAL`, `RESOURCE`) and the rest of the engine's outside.
//!
//! It must not know rules or requests: it is given names, keys and changes.

mod collection;
mod memory;
mod resolver;
mod world;

pub use memory::{MemoryStore, Usage};
pub use world::ServerWorld;
