//! What was said about a request.

use std::time::Duration;

/// What can turn a request away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// An access rule.
    Access,
    /// A rate limit.
    RateLimit,
    /// A ban.
    Ban,
}

impl Control {
    /// A stable name in snake_case: a label of metrics, and the name of the event in audit records.
    pub fn name(self) -> &'static str {
        match self {
            Control::Access => "access_denied",
            Control::RateLimit => "rate_limited",
            Control::Ban => "banned",
        }
    }
}

/// A reason to turn a request away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What says so.
    pub control: Control,
    /// The name of the access rule or the rate limit; `bans` for a ban. From the configuration, so that it may be a
    /// metric's label.
    pub name: String,
    /// The status to answer.
    pub status: u16,
    /// When it is worth to try again.
    pub retry_after: Option<Duration>,
    /// Whether it is carried out, or only told because of the mode.
    pub enforced: bool,
}

impl Ruling {
    /// One sentence for people.
    pub fn sentence(&self) -> String {
        let what = match self.control {
            Control::Access => format!("the access rule `{}` refuses it", self.name),
            Control::RateLimit => format!("the rate limit `{}` is exceeded", self.name),
            Control::Ban => "the client is banned".to_owned(),
        };
        if self.enforced { what } else { format!("{what}; told only, because of the mode") }
    }
}
