//! Metrics, the server's own log, and the sinks of the audit log.
//!
//! It is told what happened and counts or writes it; it decides nothing about requests and never holds them up.

mod category;
mod costs;
mod file;
mod logging;
mod metrics;
mod recorder;
mod sink;
mod traffic;

pub use costs::{CostTable, RuleTime};
pub use logging::{Logging, init as init_logging};
pub use metrics::{Kind, Metrics, NO_SITE, Outcome, ROWS, ReloadResult, Row, UpstreamFacts, reference};
pub use recorder::{Completed, Mishap, Recorder, Tally, TurnedAway};
pub use sink::{AuditEntry, AuditLog, AuditSink, MemorySink};
pub use traffic::{Bucket, Finding, History, Kept, Picture, Range, Totals, Traffic, Watching};
