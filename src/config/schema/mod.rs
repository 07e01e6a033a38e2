//! The settings there are: one row each, from which the reader knows the keys and `docs/configuration.md` is written.

mod admission;
mod all;
mod audit;
mod edge;
mod listener;
mod site;
mod table;
mod top;
mod upstream;

pub use admission::{ACCESS_RULE, BANS, CONDITION, RATE_LIMIT};
pub use all::TABLES;
pub use audit::{AUDIT, REDACT, SINK};
pub use edge::{CLIENT_CERTIFICATE, HSTS};
pub use listener::{CERTIFICATE, CLIENT, LISTENER};
pub use site::{EXCLUSION, FAIL, FORWARDED, OVERLOAD, PATCH, RULE_TEXT, SHADOW, SITE, TIMEOUTS};
pub use table::{Key, Table};
pub use top::{ADMIN, LOG, METRICS, PROCESS, REDIS, RELOAD, STORE, TOP};
pub use upstream::{BALANCE, HEALTH_CHECK, MAINTENANCE, UPSTREAM};
