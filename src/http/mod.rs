//! Requests and responses as bytes: heads, targets, arguments, cookies, media types.
//!
//! Must not know sockets, bodies' formats, rules or transactions: bytes go in, pieces of them come out.

mod cookie;
mod pairs;
mod query;
mod target;

pub use cookie::{CookieFormat, parse_cookies};
pub use pairs::Pairs;
pub use query::{DEFAULT_SEPARATOR, QueryOutcome, decode_into, parse_query};
pub use target::{Target, TargetForm};
