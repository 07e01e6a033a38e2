//! Metrics, the server's own log, and the sinks of the audit log.
//!
//! It is told what happened and counts or writes it; it decides nothing about requests and never holds them up.

mod category;
mod costs;
mod file;
mod known;
mod logging;
mod metrics;
mod outlet;
mod per_site;
mod recorder;
mod reference;
mod rows;
mod sink;
mod traffic;
mod words;

pub use costs::{CostTable, RuleTime};
pub use logging::{Logging, init as init_logging};
pub use metrics::{Metrics, NO_SITE};
pub use per_site::{Fate, PerSite};
pub use recorder::{Completed, Mishap, Recorder, Tally, TurnedAway};
pub use reference::reference;
pub use rows::{Kind, ROWS, Row};
pub use sink::{AuditEntry, AuditLog, AuditSink, MemorySink};
pub use traffic::{Bucket, Finding, History, Kept, Picture, Range, Totals, Traffic, Watching};
pub use words::{AuditLoss, Outcome, ReloadResult, SharedUse, UpstreamFacts};
