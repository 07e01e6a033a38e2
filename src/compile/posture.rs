//! What a ruleset amounts to: facts for those who must know whether it protects them.

use crate::ruleset::Mode;
use std::collections::BTreeMap;

/// Facts about a ruleset. Numbers count rules, a chain as one.
#[derive(Clone, Debug, Default)]
pub struct Posture {
    /// All active rules.
    pub rules: usize,
    /// Active rules by phase, 1 to 5 at 0 to 4.
    pub by_phase: [usize; 5],
    /// Active rules by the paranoia level that their tag `paranoia-level/N` names.
    pub by_paranoia: BTreeMap<u8, usize>,
    /// Rules that disrupt by themselves (`deny`, `drop`, `redirect`).
    pub disruptive: usize,
    /// Ids of rules that `SecRuleRemove…` took away.
    pub removed: Vec<u64>,
    /// Ids of rules that `SecRuleUpdate…` changed.
    pub updated: Vec<u64>,
    /// Ids of rules whose patterns run on the backtracking engine.
    pub backtracking: Vec<u64>,
    /// `SecRuleEngine`.
    pub mode: Option<Mode>,
    /// Whether request bodies are inspected.
    pub request_body: bool,
    /// Whether response bodies are inspected.
    pub response_body: bool,
    /// Whether rules add up an anomaly score.
    pub scores: bool,
    /// The rule that blocks by the inbound score (949110 or its like), if it is active.
    pub inbound_blocking: Option<u64>,
    /// The rule that blocks by the outbound score (959100 or its like), if it is active.
    pub outbound_blocking: Option<u64>,
    /// The inbound threshold, where the rule text fixes it.
    pub inbound_threshold: Option<i64>,
    /// The outbound threshold, where the rule text fixes it.
    pub outbound_threshold: Option<i64>,
    /// The paranoia level that blocks, where the rule text fixes it.
    pub blocking_paranoia: Option<i64>,
    /// The paranoia level that detects, where the rule text fixes it.
    pub detection_paranoia: Option<i64>,
    /// `SecComponentSignature`s.
    pub components: Vec<String>,
}
