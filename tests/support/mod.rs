//! What the tests of the proxy share: an origin that remembers exactly what it was sent, clients that send exactly
//! what they are told, and the server itself on a free port.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test's broken assumption is its failure")]

pub mod authority;
pub mod binary;
pub mod browser;
pub mod client;
pub mod command;
pub mod frames;
pub mod http2;
pub mod mmdb;
pub mod origin;
pub mod redis;
pub mod server;
pub mod wait;
