//! Request and response bodies → arguments, files and flags, in a stream and within limits.
//!
//! Must not know rules or transactions.
