//! The admin listener: metrics, health, an API, and the console, which shows in a browser what the API tells.
//!
//! Apart from the proxy's listeners and on loopback by default. It tells about the server and may ask for a
//! reload; it must not know how requests are served.

mod assets;
mod bans;
mod candidates;
mod changes;
mod desk;
mod explain;
mod facts;
mod gate;
mod guard;
mod reply;
mod routes;
mod server;
mod stream;

pub use desk::Subject;
pub use server::AdminServer;
