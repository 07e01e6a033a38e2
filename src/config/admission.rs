//! Who may send requests and how many, as the configuration says it: access rules, rate limits, bans.

use super::{Country, CountryDatabase, HostPattern, NetworkSet};
use crate::ruleset::Mode;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// What is asked of a request. Each list that is not empty must have something that fits; a condition without any
/// holds for every request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Path prefixes, matched at segment borders.
    pub paths: Vec<String>,
    /// Hosts.
    pub hosts: Vec<HostPattern>,
    /// Methods.
    pub methods: Vec<String>,
    /// The client's networks: one set for those in the configuration and one for each file.
    pub addresses: Vec<Arc<NetworkSet>>,
    /// The client's countries; none among them stands for an unknown one.
    pub countries: Vec<Option<Country>>,
    /// What tells countries; there whenever `countries` has something.
    pub database: Option<Arc<CountryDatabase>>,
}

/// What holds when, and where it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Which requests it is for.
    pub when: Condition,
    /// Which of them are left out: those for which one of these holds.
    pub except: Vec<Condition>,
    /// `On` or `DetectionOnly`; the site's mode when absent.
    pub mode: Option<Mode>,
}

/// An access rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// Unique in its site: a label of metrics and a part of audit records.
    pub name: String,
    /// What becomes of a request for which it holds.
    pub action: AccessAction,
    /// Which requests it holds for.
    pub scope: Scope,
}

/// What an access rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessAction {
    /// No later access rule is asked.
    Allow,
    /// Refused with this status.
    Deny(u16),
}

/// A rate limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Unique in its site.
    pub name: String,
    /// What requests are told apart by; at least one.
    pub key: Vec<KeyPart>,
    /// How many requests a `period` has, spread evenly.
    pub requests: NonZeroU32,
    /// See `requests`.
    pub period: Duration,
    /// How many may come at once from somebody who was quiet.
    pub burst: NonZeroU32,
    /// Bits of an IPv4 address that are told apart.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address that are told apart.
    pub ipv6_prefix: u8,
    /// Which requests it counts.
    pub scope: Scope,
    /// The answer's status.
    pub status: u16,
}

impl RateLimit {
    /// Whether its key is known only when rules have run.
    pub fn is_late(&self) -> bool {
        self.key.iter().any(|part| matches!(part, KeyPart::Variable(_)))
    }
}

/// What requests are told apart by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// Nothing: all requests of the site together.
    Site,
    /// The client's address, cut to the limit's prefix.
    Address,
    /// The host asked for.
    Host,
    /// The path, normalised, without the query.
    Path,
    /// A header, by its name in lower case.
    Header(String),
    /// A cookie, by its name.
    Cookie(String),
    /// A member of `TX` that rules set in phase 1 or 2.
    Variable(String),
}

/// Temporary bans of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bans {
    /// What counts.
    pub count: BanCount,
    /// How much of it within `period` is a ban.
    pub threshold: NonZeroU32,
    /// See `threshold`.
    pub period: Duration,
    /// How long the first ban lasts.
    pub duration: Duration,
    /// By how much a ban is longer than the one before it; 1 for bans of the same length.
    pub escalation: u32,
    /// How long a ban lasts at most; after that time without a ban, a client's earlier ones are forgotten.
    pub longest: Duration,
    /// Whether requests that a rate limit refused count like blocked ones.
    pub limited: bool,
    /// The answer's status.
    pub status: u16,
    /// Bits of an IPv6 address that are told apart.
    pub ipv6_prefix: u8,
    /// Requests that neither count nor are refused.
    pub except: Vec<Condition>,
    /// `On` or `DetectionOnly`; each site's own mode when absent.
    pub mode: Option<Mode>,
}

/// What counts towards a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BanCount {
    /// Blocked requests, one each.
    Blocks,
    /// Anomaly scores of all requests, of the request and the response.
    Anomaly,
}
