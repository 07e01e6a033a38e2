//! Every cap on bytes, depth, counts and time, in one place, each with its reason.
//!
//! Limits that SecLang can set (`SecRequestBodyLimit`, …) are defaults here and settings of a ruleset; the
//! others are constants. A limit that is hit is always an event, never silence.

/// Files one load may read, `Include`s of all depths together. A glob over the wrong directory ends here.
pub const INCLUDE_FILES: usize = 4_096;
/// Depth of nested `Include`s. Real trees use two or three; a cycle ends here when names hide it.
pub const INCLUDE_DEPTH: usize = 32;
/// Bytes of one rule or data file. CRS's largest is 130 KB.
pub const SOURCE_FILE_BYTES: usize = 64 << 20;
