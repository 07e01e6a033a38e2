//! Requests and responses as bytes: heads, targets, arguments, cookies, media types.
//!
//! Must not know sockets, bodies' formats, rules or transactions: bytes go in, pieces of them come out.

mod charset;
mod cookie;
mod fault;
mod head;
mod head_end;
mod head_reader;
mod media_type;
mod pairs;
mod query;
mod target;

pub use charset::Charset;
pub use cookie::{COOKIE_SEPARATOR, CookieFormat, parse_cookies};
pub use fault::Fault;
pub use head::{Framing, HeadLimits, RequestHead};
pub use head_end::{HeadScan, find_head_end};
pub use media_type::MediaType;
pub use pairs::Pairs;
pub(crate) use query::parse_piece;
pub use query::{DEFAULT_SEPARATOR, QueryOutcome, decode_into, parse_query};
pub use target::{Target, TargetForm, percent_decode};
