//! Why a request was blocked, or would be: a structured explanation, its text, and the narrowest exclusion.
//!
//! An [`Exchange`] (a request not yet sent, one of an audit record, one of a report) passes a ruleset once more with
//! tracing on ([`evaluate()`]), so that nothing of it costs the path of requests. [`explain`] makes an [`Explanation`] of
//! that; every text in it that may quote a client has passed [`crate::audit`]'s masking. An exclusion is proposed and
//! proven by compiling the rules together with it and passing the request again.
//!
//! Part of the engine's half: no I/O, no clock. It must not know where records and rules are kept.

mod almost;
mod candidate;
mod evaluate;
mod exchange;
mod exclusion;
mod explanation;
mod foreign;
mod form;
mod proof;
mod quote;
mod recorded;
mod refusal;
mod render;
mod scoring;
mod subject;
mod words;

pub use evaluate::{Evaluation, evaluate};
pub use exchange::{Exchange, Reply};
pub use exclusion::{Exclusion, Place, plain_target, seclang, yaml};
pub use explanation::{
    Almost, Basis, Decision, Explanation, MatchedValue, Near, Proof, Proposal, Request, Rule, Score, Scores,
    Step,
};
pub use foreign::Foreign;
pub use proof::{Need, Rules, needed, propose};
pub use quote::{escaped, literal_pattern};
pub use recorded::{Recorded, RecordedHit, RecordedVerdict};
pub use refusal::refused;
pub use render::render;
pub use scoring::Scoring;
pub use subject::{Settings, explain};
pub use words::{category, purpose};
