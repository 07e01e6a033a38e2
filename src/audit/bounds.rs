//! How much of each thing a record shows. A record is for people and search engines; what is cut says so.

/// Bytes of names: methods, header names, tags, ids.
pub(super) const NAME: usize = 256;
/// Bytes of messages, variables with their member, operators.
pub(super) const MESSAGE: usize = 1_024;
/// Bytes of `logdata` and of a matched value.
pub(super) const DATA: usize = 4_096;
/// Bytes of the request target and of a header's value.
pub(super) const VALUE: usize = 8_192;
/// Bytes of a body.
pub(super) const BODY: usize = 65_536;
/// Headers of a message.
pub(super) const HEADERS: usize = 256;
/// Rules of a transaction. CRS at its highest level and worst request stays below 200.
pub(super) const RULES: usize = 512;
/// Matches of a rule.
pub(super) const MATCHES: usize = 16;
/// Tags of a rule.
pub(super) const TAGS: usize = 64;
/// Events of a transaction.
pub(super) const EVENTS: usize = 128;
/// Uploaded files.
pub(super) const FILES: usize = 64;
/// Rules that a candidate ruleset adds or leaves out.
pub(super) const SHADOW_RULES: usize = 64;
