//! Request and response bodies → arguments, files and flags, in a stream and within limits.
//!
//! Must not know rules or transactions.

mod inflate;
mod limit;
mod multipart;
mod parser;
mod xml;

pub use crate::http::Pairs;
pub use inflate::{Coding, InflateError, InflateLimits};
pub use limit::{BodyLimits, LimitHit, XmlIntoArgs};
pub use multipart::{FilePart, MultipartFlags};
pub use parser::{BodyParser, ParsedBody, Processor};
pub use xml::{XPathError, XmlDocument};
