//! The configuration after checking: every name resolved, every default filled in, nothing left to refuse.

use super::{Admin, AuditFormat, Bans, Listener, Redis, Router, Site};
use ip_network::IpNetwork;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A whole configuration. Immutable: a reload makes a new one.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// Where clients come in; at least one.
    pub listeners: Vec<Listener>,
    /// The admin listener; none when it is switched off.
    pub admin: Option<Admin>,
    /// Peers whose `X-Forwarded-For`, `Forwarded` and PROXY headers are believed.
    pub trusted_proxies: Vec<IpNetwork>,
    /// What one client connection may do before its site is known.
    pub client: ClientLimits,
    /// Temporary bans; none when nobody is banned.
    pub bans: Option<Bans>,
    /// The sites in the order of the file; at least one.
    pub sites: Vec<Arc<Site>>,
    /// Which site a request belongs to.
    pub router: Router,
    /// The audit log.
    pub audit: Audit,
    /// What is measured.
    pub metrics: Measuring,
    /// The server's own log.
    pub log: Log,
    /// The process.
    pub process: Process,
    /// Watching for changes.
    pub reload: Reload,
    /// Persistent collections.
    pub store: Store,
}

impl Checked {
    /// The site that serves `host` (no port, any case) and `path` (normalised, without query).
    pub fn site_for(&self, host: &str, path: &str) -> Option<usize> {
        self.router.route(host, path)
    }

    /// Whether `peer` is a proxy whose word about its client is believed. IPv4 addresses in IPv6 clothing
    /// (`::ffff:10.0.0.1`) count as IPv4.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(peer))
    }
}

/// What one client connection may do before its site is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// From the first byte of a request to the end of its head.
    pub head_timeout: Duration,
    /// Idle time between requests of a connection.
    pub keep_alive: Duration,
    /// Bytes of a request head, request line included.
    pub head_bytes: usize,
    /// Number of request header fields. pingora's own ceiling is 255.
    pub headers: usize,
    /// Bytes of a request target.
    pub uri_bytes: usize,
    /// Bytes of request and response bodies held for inspection, over all transactions, with what they inflate to and
    /// what was made of them. Beyond it a request meets [`Failure::Overload`](super::Failure::Overload).
    pub held_bytes: u64,
    /// Bytes of responses that clients do not take, over all connections; a quarter of it for one client.
    pub unsent_bytes: u64,
    /// How far a client that reads a response may be behind [`Self::min_rate`], before it is cut off.
    pub write_timeout: Duration,
    /// Bytes a second that a client takes at least of a response that is there for it.
    pub min_rate: u64,
}

/// The audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Where records go.
    pub target: AuditTarget,
    /// How a record is written.
    pub format: AuditFormat,
    /// Rotate when the file would grow beyond this many bytes; 0 never rotates.
    pub rotate_bytes: u64,
    /// How many rotated files to keep (`audit.log.1` is the youngest).
    pub rotate_keep: usize,
    /// Records that may wait for the writer; beyond it they are dropped and counted.
    pub queue: NonZeroUsize,
    /// Bytes that may wait for the writer; beyond it records are dropped and counted.
    pub queue_bytes: usize,
    /// Further places for records; [`Audit::all_sinks`] has all of them.
    pub sinks: Vec<super::Sink>,
    /// What must not be shown, beside the built-in lists.
    pub redact: crate::audit::Redaction,
}

/// Where audit records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// Nowhere.
    Off,
    /// Standard output (`-`).
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

/// What is measured beside what is always counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measuring {
    /// One request in so many has the cost of its rules measured; 0 measures none.
    pub rule_costs: u32,
}

/// The server's own log, on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A `tracing` filter: `info`, `portcullis=debug,pingora_core=warn`.
    pub filter: String,
    /// Text or JSON.
    pub format: LogFormat,
}

/// How the server's own log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Worker threads; none means as many as there are cores.
    pub workers: Option<NonZeroUsize>,
    /// User to change to after the sockets are bound.
    pub user: Option<String>,
    /// Group to change to after the sockets are bound.
    pub group: Option<String>,
    /// File that gets the process id.
    pub pid_file: Option<PathBuf>,
    /// How long transactions under way may take after SIGTERM.
    pub grace: Duration,
}

/// Watching for changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// How often the files' contents are looked at; none when watching is off (SIGHUP and the admin API stay).
    pub interval: Option<Duration>,
}

/// What is remembered from one request to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// How many collections (one an address, a session, …) are kept at most.
    pub collections: usize,
    /// Bytes of names and values that are kept at most.
    pub bytes: usize,
    /// Keys of rate limits that are kept at least.
    pub limit_keys: usize,
    /// What several instances share; none when this one is alone.
    pub redis: Option<Redis>,
}
