//! The YAML configuration file: what was read → what has been checked.
//!
//! [`load`] reads, checks everything and reports all problems at once; [`Checked`] is what the rest of the
//! server sees. It must know neither how rules are compiled nor how requests are served.

mod checked;
mod document;
mod exclusion;
mod load;
mod overrides;
pub mod posture;
mod reader;
mod reference;
mod route;
pub mod schema;
mod site;

pub use crate::audit::Format as AuditFormat;
pub use checked::{
    Admin, Audit, AuditTarget, Certificate, Checked, ClientLimits, Failure, FailureOutcome, FailurePolicy,
    Forwarded, ForwardedPolicy, HostHeader, Listener, ListenerTls, Log, LogFormat, Process, Reload,
    RuleInput, Secret, Site, SiteTimeouts, Store, Upstream, UpstreamHttp2, UpstreamTls,
};
pub use exclusion::EXCLUSION_RULE_IDS;
pub use load::{LoadedConfig, check, load};
pub use overrides::Overrides;
pub use reference::reference;
pub use route::{HostPattern, Router};

/// Where the admin listener is unless the configuration says otherwise. Not 9090, which is Prometheus' own.
pub const DEFAULT_ADMIN: std::net::SocketAddr =
    std::net::SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 9180));

/// Where clients come in unless the configuration says otherwise: on this machine only.
pub const DEFAULT_LISTEN: std::net::SocketAddr =
    std::net::SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 8080));

/// The ruleset inside the binary, which a site uses unless it names rules of its own.
pub const EMBEDDED_RULESET: &str = "@portcullis-core";
