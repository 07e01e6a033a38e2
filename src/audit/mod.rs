//! Events → audit record → bytes, with redaction.
//!
//! Part of the engine half: it formats what it is given and has no clock and no I/O; sinks live in
//! `telemetry`.

mod redaction;

pub use redaction::Redaction;
