//! Events → audit record → bytes, with redaction.
//!
//! Part of the engine half: it formats what it is given and has no clock and no I/O; sinks live in
//! `telemetry`. Every text that may quote a client passes one place that redacts and bounds it (`mask`).

mod auditor;
mod bounds;
mod coraza;
mod derived;
mod ecs;
mod from_report;
mod mask;
mod modsecurity;
mod ocsf;
mod record;
mod redaction;
mod secrets;
mod shaped;
mod shorten;
mod text;

pub use auditor::{Auditor, Facts, Format, SHORT};
pub use derived::Outcome;
pub use from_report::{is_interrupted, mode_name};
pub use mask::{Masker, Piece};
pub use record::{
    Body, Endpoint, File, Happening, Hit, Matched, Omitted, Record, Request, Response, Score, Shadow,
    Upstream, Verdict,
};
pub use redaction::{ARGUMENTS, COOKIES, HEADERS, Redaction};
pub use secrets::MASK;
pub use text::{lossless, restore};
