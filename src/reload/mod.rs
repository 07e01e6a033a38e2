//! Builds a generation from a configuration, watches for changes, and swaps generations.
//!
//! A new generation is read, compiled and checked beside the current one, on a thread of its own; only a sound one
//! takes its place. It must not know how requests are served: the proxy takes the current generation and never
//! comes here.

mod balancer;
mod build;
mod candidate;
mod generation;
mod promotion;
mod recording;
mod reloader;
mod workbench;

pub use balancer::{Backend, Balancer, Lease, NoPick, Pick, Wish};
pub use build::{Complaints, Loaded, Origin, SitePosture, file_loader, load, load_rules, today};
pub use candidate::{Candidate, Evidence, Seen};
pub use generation::{Current, Generation, SiteRuntime};
pub use promotion::{Promoted, Promotion};
pub use reloader::{Attempt, Hooks, NoHooks, Reloader, StartError, Status};
pub use workbench::Workbench;
