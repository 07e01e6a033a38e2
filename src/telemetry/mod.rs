//! Metrics, the server's own log, and the sinks of the audit log.
//!
//! It is told what happened and counts or writes it; it decides nothing about requests and never holds them up.

mod category;
mod costs;
mod file;
mod logging;
mod metrics;
mod outlet;
mod per_site;
mod recorder;
mod reference;
mod sink;
mod traffic;

pub use costs::{CostTable, RuleTime};
pub use logging::{Logging, init as init_logging};
pub use metrics::{AuditLoss, Kind, Metrics, NO_SITE, Outcome, ROWS, ReloadResult, Row, UpstreamFacts};
pub use per_site::Fate;
pub use recorder::{Completed, Mishap, Recorder, Tally, TurnedAway};
pub use reference::reference;
pub use sink::{AuditEntry, AuditLog, AuditSink, MemorySink};
pub use traffic::{Bucket, Finding, History, Kept, Picture, Range, Totals, Traffic, Watching};
