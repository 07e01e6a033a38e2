//! The YAML configuration file: what was read → what has been checked.
//!
//! [`load()`] reads, checks everything and reports all problems at once; [`Checked`] is what the rest of the
//! server sees. It must know neither how rules are compiled nor how requests are served.

mod admin;
mod admission;
mod admission_reader;
mod balance;
mod checked;
mod country;
mod default;
mod document;
mod edge;
mod exclusion;
mod failure;
mod listen;
mod listener;
mod load;
mod networks;
mod overrides;
mod place;
pub mod posture;
mod promotion;
mod reader;
mod redis;
mod reference;
mod route;
mod rules;
pub mod schema;
mod secret;
mod sink;
mod site;
mod upstream;

pub use crate::audit::Format as AuditFormat;
pub use admin::Admin;
pub use admission::{AccessAction, AccessRule, BanCount, Bans, Condition, KeyPart, RateLimit, Scope};
pub use balance::{Balance, BalanceKey, BalanceMethod, FailOn, HealthCheck, Maintenance, RetryOn, Sticky};
pub use checked::{
    Audit, AuditTarget, Checked, ClientLimits, Log, LogFormat, Measuring, Process, Reload, Store,
};
pub use country::{Country, CountryDatabase};
pub use default::{DEFAULT_ADMIN, DEFAULT_LISTEN, EMBEDDED_RULESET};
pub use edge::{ClientCertificate, Edge};
pub use exclusion::{EXCLUSION_PACKS, EXCLUSION_RULE_IDS};
pub use failure::{Failure, FailureOutcome, FailurePolicy, Overload};
pub use listen::{ListenAddress, SocketFile};
pub use listener::{Certificate, ClientAuthority, Listener, ListenerTls};
pub use load::{LoadedConfig, check, load};
pub use networks::NetworkSet;
pub use overrides::Overrides;
pub use promotion::{Edit, promote};
pub use redis::{Redis, RedisServer};
pub use reference::reference;
pub use route::{HostPattern, Router};
pub use rules::{RuleInput, Shadow};
pub use secret::Secret;
pub use sink::{Sink, SinkFilter, SinkTarget, SinkTls, SyslogTransport};
pub use site::{Forwarded, ForwardedPolicy, HostHeader, Site, SiteTimeouts};
pub use upstream::{Identity, Upstream, UpstreamHttp2, UpstreamTls};
