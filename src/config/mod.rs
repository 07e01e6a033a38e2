//! The YAML configuration file: what was read → what has been checked.
//!
//! [`load`] reads, checks everything and reports all problems at once; [`Checked`] is what the rest of the
//! server sees. It must know neither how rules are compiled nor how requests are served.

mod admission;
mod admission_reader;
mod balance;
mod checked;
mod country;
mod default;
mod document;
mod edge;
mod exclusion;
mod listen;
mod load;
mod networks;
mod overrides;
pub mod posture;
mod promotion;
mod reader;
mod redis;
mod reference;
mod route;
pub mod schema;
pub mod schema_edge;
pub mod schema_upstream;
mod sink;
mod site;

pub use crate::audit::Format as AuditFormat;
pub use admission::{AccessAction, AccessRule, BanCount, Bans, Condition, KeyPart, RateLimit, Scope};
pub use balance::{Balance, BalanceKey, BalanceMethod, FailOn, HealthCheck, Maintenance, RetryOn, Sticky};
pub use checked::{
    Admin, Audit, AuditTarget, Certificate, Checked, ClientAuthority, ClientLimits, Failure, FailureOutcome,
    FailurePolicy, Forwarded, ForwardedPolicy, HostHeader, Identity, Listener, ListenerTls, Log, LogFormat,
    Measuring, Overload, Process, Redis, RedisServer, Reload, RuleInput, Secret, Shadow, Site, SiteTimeouts,
    Store, Upstream, UpstreamHttp2, UpstreamTls,
};
pub use country::{Country, CountryDatabase};
pub use default::{DEFAULT_ADMIN, DEFAULT_LISTEN, EMBEDDED_RULESET};
pub use edge::{ClientCertificate, Edge};
pub use exclusion::{EXCLUSION_PACKS, EXCLUSION_RULE_IDS};
pub use listen::{ListenAddress, SocketFile};
pub use load::{LoadedConfig, check, load};
pub use networks::NetworkSet;
pub use overrides::Overrides;
pub use promotion::{Edit, promote};
pub use reference::reference;
pub use route::{HostPattern, Router};
pub use sink::{Sink, SinkFilter, SinkTarget, SinkTls, SyslogTransport};
