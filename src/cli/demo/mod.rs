//! The demonstration: a small shop as somebody wrote it in 1998, which believes everything it is told.
//!
//! Its faults are for show: what looks like a database, a shell and a file system are a few lines over tables in
//! memory, so that an attack visibly works when nothing stands before it, and harms nobody. It listens on
//! loopback only and keeps nothing.

mod app;
mod pages;
mod pretend;

pub use app::{Shop, start};
