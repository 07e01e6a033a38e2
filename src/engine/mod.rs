//! One request and its response passing the rules: phases 1 to 5, decisions and events.
//!
//! Synchronous, and without I/O, clock, logging or metrics: the caller feeds bytes into a [`Transaction`] and
//! gets [`Decision`]s and, at the end, a [`Report`]. What the engine needs of the world comes in through
//! [`World`]. It must know neither rule text nor sockets.

mod actions;
mod buffers;
mod compare;
mod cost;
mod decision;
mod decoded;
mod evaluate;
mod forms;
mod head;
mod lanes;
mod noise;
mod outcome;
mod persistent;
mod refusal;
mod report;
mod request_body;
mod resolve;
mod response_body;
mod sieve;
mod sift;
mod trace;
mod transaction;
mod tx;
mod values;
mod world;

pub use compare::{Difference, Shadowed};
pub use cost::{Costs, RuleCost};
pub use decision::{BodyStep, Decision, Disruption, Interruption};
pub use report::{
    AuditEngine, AuditParts, AuditSettings, BodyRecord, Event, EventKind, FileRecord, MatchedValue, Report,
    RequestRecord, ResponseRecord, RuleHit, Sanitised, Scores, is_score,
};
pub use trace::{Sum, Trace, TraceOptions, TracedMatch, TracedRule, TracedStep};
pub use transaction::{Options, Transaction};
pub use world::{CollectionChange, Collections, NoWorld, World};
