//! The configuration after checking: every name resolved, every default filled in, nothing left to refuse.

use super::{
    AccessRule, AuditFormat, Balance, Bans, Edge, HostPattern, ListenAddress, Maintenance, RateLimit, Router,
    SocketFile,
};
use crate::ruleset::Mode;
use ip_network::IpNetwork;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
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

/// A socket on which clients come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub address: ListenAddress,
    /// Who may connect, where that is a Unix socket.
    pub file: SocketFile,
    /// TLS; none means cleartext.
    pub tls: Option<ListenerTls>,
    /// Offer HTTP/2 by ALPN. Without effect on a cleartext listener, where only HTTP/1.1 is spoken.
    pub http2: bool,
    /// Every connection begins with a PROXY protocol header (version 1 or 2). Peers outside `trusted_proxies`
    /// are refused.
    pub proxy_protocol: bool,
    /// Connections at once; further ones are turned away as they come.
    pub max_connections: NonZeroUsize,
    /// The same for those of one client: an IPv4 address or a /64 of IPv6. Peers in `trusted_proxies` are not counted.
    pub max_connections_per_client: NonZeroUsize,
}

impl Listener {
    /// In cleartext at `address`, with every default.
    pub fn plain(address: SocketAddr) -> Self {
        Self::at(address.into())
    }

    /// The same, wherever it listens.
    pub fn at(address: ListenAddress) -> Self {
        let file = SocketFile::default();
        Self {
            address,
            file,
            tls: None,
            http2: true,
            proxy_protocol: false,
            max_connections: MAX_CONNECTIONS,
            max_connections_per_client: per_client(MAX_CONNECTIONS),
        }
    }
}

/// Connections of a listener unless it says otherwise.
pub(super) const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(16_384).expect("16384 is not 0");

/// Connections of one client unless the listener says otherwise: a quarter of all, and enough for a browser or two.
pub(super) fn per_client(all: NonZeroUsize) -> NonZeroUsize {
    NonZeroUsize::new(all.get() / 4).map_or(LEAST_PER_CLIENT, |quarter| quarter.max(LEAST_PER_CLIENT))
}

const LEAST_PER_CLIENT: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not 0");

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// The certificates; the first is the one for clients that name no host or an unknown one.
    pub certificates: Vec<Certificate>,
    /// Who vouches for clients; none when they are not asked for certificates.
    pub clients: Option<ClientAuthority>,
    /// Versions below 1.3 are refused.
    pub only_1_3: bool,
}

/// Who vouches for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuthority {
    /// PEM file with the authorities.
    pub ca: PathBuf,
    /// Connections without a certificate are refused; otherwise it is the sites' business.
    pub required: bool,
}

/// A certificate chain with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// PEM file with the chain, leaf first.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// Names (SNI) for which it is chosen; empty means the names in the certificate itself.
    pub hosts: Vec<HostPattern>,
}

/// The admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Address and port; [`DEFAULT_ADMIN`](super::DEFAULT_ADMIN) unless set.
    pub address: SocketAddr,
    /// Bearer token that calls of the API must bring. Without one they are taken from loopback only, and change
    /// nothing.
    pub token: Option<Secret>,
    /// Names besides IP addresses and `localhost` under which the listener may be addressed. Anything else in
    /// `Host` is refused, since it is how a browser is turned against a local port (DNS rebinding).
    pub hosts: Vec<String>,
}

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret. Compare in constant time; never print.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
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
    /// what was made of them. Beyond it a request meets [`Failure::Overload`].
    pub held_bytes: u64,
    /// How far a client that reads a response may be behind [`Self::min_rate`], before it is cut off.
    pub write_timeout: Duration,
    /// Bytes a second that a client takes at least of a response that is there for it.
    pub min_rate: u64,
}

/// A host/path match with its upstreams, its ruleset, its mode and its exclusions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Unique; a label of metrics and a field of audit records.
    pub name: String,
    /// Hosts it serves; [`HostPattern::Any`] when the file names none.
    pub hosts: Vec<HostPattern>,
    /// Path prefixes it serves, each beginning with `/`; matched at segment borders.
    pub paths: Vec<String>,
    /// Where requests go; at least one.
    pub upstreams: Vec<Upstream>,
    /// Rule text in order: files and built-in rulesets, inline directives, exclusions. Sites with equal lists
    /// share one compiled ruleset.
    pub rules: Vec<RuleInput>,
    /// A candidate ruleset that decides nothing.
    pub shadow: Option<Shadow>,
    /// Overrides `SecRuleEngine`.
    pub mode: Option<Mode>,
    /// What inner failures do to a request.
    pub failure: FailurePolicy,
    /// How long inspections may wait for processors.
    pub overload: Overload,
    /// Who may send what; the first rule that holds decides.
    pub access: Vec<AccessRule>,
    /// How many requests may come.
    pub rate_limits: Vec<RateLimit>,
    /// Time limits.
    pub timeouts: SiteTimeouts,
    /// Header in which the upstream (and a blocked client) is told the transaction's id; none when switched off.
    pub request_id_header: Option<String>,
    /// Whether an id in that header from a trusted proxy becomes the transaction's.
    pub request_id_trusted: bool,
    /// What the upstream is told about the client.
    pub forwarded: Forwarded,
    /// What the upstream gets as `Host`.
    pub host_header: HostHeader,
    /// How requests are spread over the upstreams.
    pub balance: Balance,
    /// What is answered instead of asking them; none when they are asked.
    pub maintenance: Option<Maintenance>,
    /// What it demands of connections and adds to responses.
    pub edge: Edge,
}

/// A candidate ruleset, tried on a share of a site's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// Rule text in order, as [`Site::rules`].
    pub rules: Vec<RuleInput>,
    /// Of a million requests, how many are tried; at least 1, at most [`Shadow::ALL`].
    pub sample: u32,
}

impl Shadow {
    /// [`Shadow::sample`] when every request is tried.
    pub const ALL: u32 = 1_000_000;
}

/// One piece of rule text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RuleInput {
    /// A file, a glob, or a built-in ruleset such as `@portcullis-core`.
    File(String),
    /// Virtual patches: a file or a glob, embedded (`@virtual-patches/…`) or not.
    Patch {
        /// The file or glob.
        file: String,
        /// Whether its rules only tell what they would have blocked.
        detection_only: bool,
    },
    /// Text from the configuration itself.
    Text {
        /// A name for diagnostics.
        name: String,
        /// SecLang.
        text: String,
    },
}

/// A server behind Portcullis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The URL as configured, for people.
    pub url: String,
    /// Host name or IP address (IPv6 without brackets), or the absolute path of a Unix socket.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS; none for `http://`.
    pub tls: Option<UpstreamTls>,
    /// HTTP/2 towards it.
    pub http2: UpstreamHttp2,
    /// Share of the requests relative to the other upstreams.
    pub weight: NonZeroU32,
    /// Requests under way at once; none without a bound. Over HTTP/1.1 each has a connection of its own.
    pub max_connections: Option<NonZeroU32>,
}

impl Upstream {
    /// The path of the Unix socket that it listens on, if it is one.
    pub fn socket(&self) -> Option<&str> {
        Some(self.host.as_str()).filter(|host| host.starts_with('/'))
    }

    /// `host:port` as an authority, IPv6 in brackets, the scheme's own port left out.
    pub fn authority(&self) -> String {
        if self.socket().is_some() {
            return "localhost".to_owned();
        }
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let own = if self.tls.is_some() { 443 } else { 80 };
        if self.port == own { host } else { format!("{host}:{}", self.port) }
    }
}

/// TLS towards an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Verify certificate and name. Off only when the file says so, and then it is warned about.
    pub verify: bool,
    /// The name to ask for and to verify; the URL's host unless set.
    pub sni: String,
    /// PEM file with the authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// What Portcullis shows when the upstream asks for a certificate.
    pub identity: Option<Identity>,
}

/// PEM files of a certificate chain, leaf first, and its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The chain.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// When HTTP/2 is spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamHttp2 {
    /// HTTP/1.1 only.
    Never,
    /// When the upstream's TLS offers it (ALPN).
    Offered,
    /// Always; over cleartext with prior knowledge.
    Always,
}

/// Failures inside Portcullis that are nobody's attack. What a client does wrong is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Failure {
    /// The engine panicked or broke an invariant.
    Internal,
    /// Too much is held for inspection already ([`ClientLimits::held_bytes`]), or too much waits for processors
    /// ([`Overload`]).
    Overload,
    /// An operator gave up at its step limit, so that a rule's answer is unknown.
    OperatorLimit,
    /// A response cannot be inspected though its type asks for it (unknown or broken content coding).
    ResponseUninspectable,
}

impl Failure {
    /// Every kind.
    pub const ALL: [Failure; 4] =
        [Failure::Internal, Failure::Overload, Failure::OperatorLimit, Failure::ResponseUninspectable];

    /// A stable name in snake_case, as in the configuration file and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Failure::Internal => "internal",
            Failure::Overload => "overload",
            Failure::OperatorLimit => "operator_limit",
            Failure::ResponseUninspectable => "response_uninspectable",
        }
    }
}

/// What an inner failure does to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureOutcome {
    /// Refuse it.
    Closed,
    /// Let it through, counted as uninspected.
    Open,
}

/// [`Failure`] → [`FailureOutcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePolicy {
    pub(super) internal: FailureOutcome,
    pub(super) overload: FailureOutcome,
    pub(super) operator_limit: FailureOutcome,
    pub(super) response_uninspectable: FailureOutcome,
}

impl FailurePolicy {
    /// The same for every kind.
    pub const fn all(outcome: FailureOutcome) -> Self {
        Self {
            internal: outcome,
            overload: outcome,
            operator_limit: outcome,
            response_uninspectable: outcome,
        }
    }

    /// What `failure` does.
    pub fn outcome(&self, failure: Failure) -> FailureOutcome {
        match failure {
            Failure::Internal => self.internal,
            Failure::Overload => self.overload,
            Failure::OperatorLimit => self.operator_limit,
            Failure::ResponseUninspectable => self.response_uninspectable,
        }
    }
}

/// How long inspections may wait for processors. What would wait longer meets [`Failure::Overload`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overload {
    /// The longest wait: of a request for a worker, and of a long inspection for its thread.
    pub wait: Duration,
    /// Long inspections that may wait, those of other sites included.
    pub queue: usize,
    /// What refused clients are told, in seconds.
    pub retry_after: u64,
}

impl Default for Overload {
    fn default() -> Self {
        Self { wait: Duration::from_secs(2), queue: 256, retry_after: 2 }
    }
}

/// Time limits of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteTimeouts {
    /// Between two reads of a request body.
    pub body_read: Duration,
    /// For a whole request body that is held for inspection.
    pub body_total: Duration,
    /// For connecting to an upstream, TLS included.
    pub connect: Duration,
    /// Between two reads from an upstream.
    pub read: Duration,
    /// For a write to an upstream.
    pub write: Duration,
    /// How long an idle upstream connection is kept.
    pub idle: Duration,
    /// How long the addresses of an upstream's name are used before they are asked for again.
    pub resolve: Duration,
    /// From the request being sent to the first byte of the response; none leaves it to [`Self::read`].
    pub first_byte: Option<Duration>,
    /// From connecting to the end of the response; none without a bound. Tunnels have none.
    pub total: Option<Duration>,
}

/// What the upstream is told about the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    pub x_forwarded: ForwardedPolicy,
    /// `Forwarded` (RFC 7239).
    pub rfc7239: ForwardedPolicy,
}

/// How a family of forwarding headers is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedPolicy {
    /// From a trusted proxy: extended; from anybody else: replaced by what Portcullis saw itself.
    Append,
    /// Replaced by what Portcullis saw itself, with the client's address as trusted proxies report it.
    Replace,
    /// Removed, and none sent.
    Remove,
}

/// What the upstream gets as `Host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// The client's.
    Preserve,
    /// The upstream's authority.
    Upstream,
    /// This one.
    Fixed(String),
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

/// A Redis or Valkey server in which several instances know together what they count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// Where it is.
    pub server: RedisServer,
    /// PEM file with the authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// The database's number.
    pub database: u32,
    /// Who we are; none for the default user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// What all keys begin with.
    pub prefix: String,
    /// How long a request waits for an answer.
    pub timeout: Duration,
    /// Whether persistent collections live there as well.
    pub collections: bool,
}

/// Where a Redis server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisServer {
    /// Over the network.
    Tcp {
        /// Host name or IP address (IPv6 without brackets).
        host: String,
        /// Port.
        port: u16,
        /// Whether over TLS, verified.
        tls: bool,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for RedisServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RedisServer::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            RedisServer::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            RedisServer::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}
