//! Request and response bodies → arguments, files and flags, in a stream and within limits.
//!
//! Must not know rules or transactions. Nothing in here panics or fails on hostile bytes: a body that cannot be read
//! gives an error text and what could be read.

mod buffer;
mod inflate;
mod json;
mod limit;
mod multipart;
mod parser;
mod part;
mod reread;
mod urlencoded;
mod xml;
mod xpath;
mod zstd;

pub use crate::http::Pairs;
pub use inflate::{Coding, InflateError, InflateLimits, Inflater, Sink};
pub use limit::{BodyLimits, LimitHit, XmlIntoArgs};
pub use parser::{BodyParser, ParsedBody, Processor};
pub use part::{FilePart, MultipartFlags};
pub use reread::{body_texts, is_readable};
pub use xpath::{Selected, XPathError, XmlDocument, check_xpath};
