//! pingora's callbacks ↔ the engine.
//!
//! A connection is accepted by [`Server`], its HTTP/1 heads are read by the front, and each request passes phases 1
//! and 2 before an upstream is connected, and phases 3 and 4 before its response is let go. This module is given
//! the current [`Generation`](crate::reload::Generation) and never parses or compiles; it tells an [`Observer`]
//! what happened; in the server that is telemetry's recorder.

mod answer;
mod aside;
mod attempts;
mod bare;
mod bound;
mod budget;
mod client;
mod connect;
mod crowd;
mod demands;
mod diagnosis;
mod exchange;
mod frames;
mod front;
mod gate;
mod heads;
mod health;
mod http2;
mod intake;
mod metered;
mod names;
mod observer;
mod pace;
mod page;
mod patience;
mod proxy_protocol;
mod pulse;
mod recording;
mod refusals;
mod replay;
mod routing;
mod secured;
mod server;
mod service;
mod shadow;
mod socket;
mod tls;
mod unsent;
mod upstream;

pub use answer::{Action, Answer, Shortage, Trouble};
pub use bound::Bound;
pub use observer::{Deaf, Finished, Observer};
pub use server::Server;
