//! The admin listener: metrics, health, posture, bans, reload.
//!
//! Apart from the proxy's listeners and on loopback by default. It tells about the server and may ask for a
//! reload; it must not know how requests are served.

mod bans;
mod candidates;
mod guard;
mod server;

pub use server::{AdminServer, Subject};
