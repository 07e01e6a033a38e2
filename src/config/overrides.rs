//! What the command line and the environment say instead of the configuration file.

use crate::ruleset::Mode;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

/// Settings that win over the file. The command line merges its flags over the environment (`PORTCULLIS_…`)
/// and hands the result here; what is absent leaves the file's word standing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Replaces all listeners by one in cleartext.
    pub listen: Option<SocketAddr>,
    /// Replaces the admin listener's address.
    pub admin: Option<SocketAddr>,
    /// Replaces every site's upstreams; without a file, makes the one site there is. URLs.
    pub upstreams: Vec<String>,
    /// Replaces every site's rule files, in order. Inline directives and exclusions of the file stay.
    pub rules: Vec<String>,
    /// Replaces every site's mode.
    pub mode: Option<Mode>,
    /// Replaces the audit log's target: a file, or `-` for standard output.
    pub audit_log: Option<String>,
    /// Replaces the number of worker threads.
    pub workers: Option<NonZeroUsize>,
}
