//! The one place that says what every trouble does to a request.
//!
//! Nothing else in the proxy chooses a status, or decides whether a failure refuses a request or lets it pass.
//! The match has no wildcard arm: a new kind of trouble does not compile until somebody has decided about it.

use crate::admission::Control;
use crate::config::{Failure, FailureOutcome, FailurePolicy};
use crate::engine::{Disruption, Interruption};
use crate::http::Fault;
use std::time::Duration;

/// Everything that can keep a request from simply passing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A rule or an engine limit stopped it, in phases 1 to 4.
    Blocked(Interruption),
    /// The request head is not HTTP as Portcullis accepts it.
    Malformed(Fault),
    /// The server's HTTP library refused a head that had passed the checks here, and has answered it.
    Unparsable,
    /// The head did not arrive in time.
    HeadLate,
    /// The connection ended in the middle of a head.
    HeadCut,
    /// `CONNECT` over HTTP/2 on either side, where the request is the tunnel itself.
    Tunnel,
    /// An access rule, a rate limit or a ban refused it.
    TurnedAway {
        /// Which of them.
        control: Control,
        /// The status to answer.
        status: u16,
        /// When it is worth to try again.
        retry_after: Option<Duration>,
    },
    /// No site serves that host and path.
    NoSite,
    /// Its hop-by-hop fields contradict what it is, so that it cannot be forwarded.
    Unforwardable,
    /// The body's framing is broken.
    BodyMalformed,
    /// The body did not arrive in time.
    BodyLate,
    /// The client went away before its request was complete or its response was sent.
    ClientGone,
    /// Something failed inside, and nobody attacked.
    Inner(Failure),
    /// There is more to inspect than can be: [`Failure::Overload`].
    Overloaded {
        /// What is short.
        shortage: Shortage,
        /// It passes uninspected.
        open: bool,
        /// Seconds after which clients should come back.
        retry_after: u64,
    },
    /// The client took too little of its response.
    ResponseLate,
    /// An upstream's name could not be resolved.
    UpstreamName,
    /// No upstream accepted a connection.
    UpstreamRefused,
    /// Connecting to the upstream took too long.
    UpstreamConnectLate,
    /// The TLS handshake with the upstream failed, or its certificate is not trusted.
    UpstreamTls,
    /// The upstream did not answer in time.
    UpstreamLate,
    /// The upstream closed the connection early or answered something that is not HTTP.
    UpstreamBroken,
    /// Every upstream has as many requests as it may.
    UpstreamFull,
    /// The site is closed for maintenance.
    Maintenance {
        /// Seconds after which clients should come back.
        retry_after: u64,
    },
    /// The site takes requests over HTTPS only.
    Insecure {
        /// Where the client is sent.
        location: String,
    },
    /// The site takes requests of clients with a verified certificate only.
    NoCertificate,
    /// The proxy itself failed outside of the engine.
    Proxy,
}

/// What there is too little of when there is more to inspect than can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// `client.held_bytes` is used up.
    HeldBytes,
    /// `client.unsent_bytes` is used up: the response is cut off, or, while nothing was sent of it, answered by 503.
    UnsentBytes,
    /// Requests wait too long for a worker thread.
    Processors,
    /// As many long inspections wait as may.
    Queue,
    /// A long inspection has waited for as long as it may.
    Wait,
}

impl Shortage {
    /// A stable name for counters.
    pub fn name(self) -> &'static str {
        match self {
            Shortage::HeldBytes => "held_bytes",
            Shortage::UnsentBytes => "unsent_bytes",
            Shortage::Processors => "processors",
            Shortage::Queue => "queue_full",
            Shortage::Wait => "queue_wait",
        }
    }
}

/// What is done to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answer with a page of this status.
    Page(u16),
    /// Redirect there.
    Redirect {
        /// 3xx.
        status: u16,
        /// Where to.
        location: String,
    },
    /// End the connection (over HTTP/2: the stream) without an answer.
    Abandon,
    /// It has been answered already.
    Answered,
    /// Let it pass without inspection.
    Pass,
}

/// An [`Action`] with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What is done.
    pub action: Action,
    /// Whether the client's connection may carry another request, as far as the answer is concerned.
    pub keep: bool,
    /// Seconds after which the client should come back (`Retry-After`), if it should.
    pub retry_after: Option<u64>,
    /// A stable name for counters.
    pub reason: &'static str,
}

impl Trouble {
    /// What this trouble does to a request under `policy`.
    pub fn answer(&self, policy: &FailurePolicy) -> Answer {
        let answer = |action, keep, reason| Answer { action, keep, retry_after: None, reason };
        let page = |status, keep, reason| answer(Action::Page(status), keep, reason);
        let later = |seconds, reason| Answer { retry_after: Some(seconds), ..page(503, true, reason) };
        let abandon = |reason| answer(Action::Abandon, false, reason);
        match self {
            Trouble::Blocked(interruption) => blocked(interruption),
            Trouble::Malformed(fault) => page(malformed_status(*fault), false, "malformed"),
            Trouble::Unparsable => answer(Action::Answered, false, "malformed"),
            Trouble::TurnedAway { control, status, retry_after } => {
                // Rounded up: who comes back when he was told to must not be early.
                let retry_after = retry_after.map(|time| time.as_millis().div_ceil(1_000).max(1));
                let retry_after = retry_after.map(|seconds| u64::try_from(seconds).unwrap_or(u64::MAX));
                Answer { retry_after, ..page(*status, true, control.name()) }
            }
            Trouble::HeadLate => page(408, false, "head_timeout"),
            Trouble::HeadCut => abandon("client_gone"),
            Trouble::Tunnel => page(405, false, "tunnel"),
            Trouble::NoSite => page(404, true, "no_site"),
            Trouble::Unforwardable => page(400, false, "unforwardable"),
            Trouble::BodyMalformed => page(400, false, "body_malformed"),
            Trouble::BodyLate => page(408, false, "body_timeout"),
            Trouble::ClientGone => abandon("client_gone"),
            Trouble::Inner(failure) => inner(*failure, policy),
            Trouble::Overloaded { open: true, .. } => answer(Action::Pass, true, "overload"),
            Trouble::Overloaded { retry_after, .. } => later(*retry_after, "overload"),
            Trouble::ResponseLate => abandon("response_timeout"),
            Trouble::UpstreamName => page(502, true, "upstream_name"),
            Trouble::UpstreamRefused => page(502, true, "upstream_refused"),
            Trouble::UpstreamConnectLate => page(504, true, "upstream_connect_timeout"),
            Trouble::UpstreamTls => page(502, true, "upstream_tls"),
            Trouble::UpstreamLate => page(504, true, "upstream_timeout"),
            Trouble::UpstreamBroken => page(502, true, "upstream_broken"),
            Trouble::UpstreamFull => later(FULL_RETRY, "upstream_full"),
            Trouble::Maintenance { retry_after } => later(*retry_after, "maintenance"),
            Trouble::Insecure { location } => {
                answer(Action::Redirect { status: 308, location: location.clone() }, true, "insecure")
            }
            Trouble::NoCertificate => page(403, true, "client_certificate"),
            Trouble::Proxy => page(500, false, "proxy"),
        }
    }

    /// Whether the upstream is to blame.
    pub fn is_upstream(&self) -> bool {
        match self {
            Trouble::UpstreamName
            | Trouble::UpstreamRefused
            | Trouble::UpstreamConnectLate
            | Trouble::UpstreamTls
            | Trouble::UpstreamLate
            | Trouble::UpstreamBroken
            | Trouble::UpstreamFull => true,
            Trouble::Blocked(_)
            | Trouble::Malformed(_)
            | Trouble::Unparsable
            | Trouble::HeadLate
            | Trouble::HeadCut
            | Trouble::Tunnel
            | Trouble::TurnedAway { .. }
            | Trouble::NoSite
            | Trouble::Unforwardable
            | Trouble::BodyMalformed
            | Trouble::BodyLate
            | Trouble::ClientGone
            | Trouble::Inner(_)
            | Trouble::Overloaded { .. }
            | Trouble::ResponseLate
            | Trouble::Maintenance { .. }
            | Trouble::Insecure { .. }
            | Trouble::NoCertificate
            | Trouble::Proxy => false,
        }
    }
}

/// Seconds after which a client may find an upstream with room.
const FULL_RETRY: u64 = 2;

/// What an interruption does. A status outside of 200 to 599, which no response may have, becomes 403.
fn blocked(interruption: &Interruption) -> Answer {
    let status = if (200..600).contains(&interruption.status) { interruption.status } else { 403 };
    let (action, keep) = match &interruption.disruption {
        Disruption::Deny => (Action::Page(status), true),
        Disruption::Drop => (Action::Abandon, false),
        Disruption::Redirect(location) => {
            let status = if (300..400).contains(&status) { status } else { 302 };
            (Action::Redirect { status, location: location.clone() }, true)
        }
    };
    Answer { action, keep, retry_after: None, reason: "blocked" }
}

fn malformed_status(fault: Fault) -> u16 {
    match fault {
        Fault::RequestLineTooLong => 414,
        Fault::HeadTooLong | Fault::TooManyHeaders => 431,
        Fault::UnsupportedVersion => 505,
        Fault::Unterminated
        | Fault::LeadingEmptyLine
        | Fault::BareLf
        | Fault::BareCr
        | Fault::NulByte
        | Fault::WordsMissing
        | Fault::WordsExtra
        | Fault::WordsSpacing
        | Fault::BadMethod
        | Fault::VersionMissing
        | Fault::BadVersion
        | Fault::BadTarget
        | Fault::TargetControl
        | Fault::TargetUnencoded
        | Fault::TargetFragment
        | Fault::TargetUserinfo
        | Fault::SpaceBeforeHeaders
        | Fault::ObsoleteFolding
        | Fault::NoColon
        | Fault::EmptyName
        | Fault::SpaceBeforeColon
        | Fault::BadName
        | Fault::BadValue
        | Fault::ContentTypeJoined
        | Fault::HostMissing
        | Fault::HostEmpty
        | Fault::HostInvalid
        | Fault::HostDuplicate
        | Fault::HostMismatch
        | Fault::BadContentLength
        | Fault::ContentLengthOverflow
        | Fault::ContentLengthList
        | Fault::ContentLengthDuplicate
        | Fault::ContentLengthConflict
        | Fault::ContentLengthDropped
        | Fault::LengthAndTransferEncoding
        | Fault::BadTransferEncoding
        | Fault::TransferEncodingOnHttp10 => 400,
    }
}

fn inner(failure: Failure, policy: &FailurePolicy) -> Answer {
    let (status, reason) = match failure {
        Failure::Internal => (500, "internal"),
        Failure::Overload => (503, "overload"),
        Failure::OperatorLimit => (403, "operator_limit"),
        Failure::ResponseUninspectable => (502, "response_uninspectable"),
    };
    let action = match policy.outcome(failure) {
        FailureOutcome::Closed => Action::Page(status),
        FailureOutcome::Open => Action::Pass,
    };
    Answer { action, keep: true, retry_after: None, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interruption(disruption: Disruption, status: u16) -> Trouble {
        Trouble::Blocked(Interruption { disruption, status, rule_id: 1, phase: 1 })
    }

    #[test]
    fn interruptions_become_what_their_rule_asked_for() {
        let policy = FailurePolicy::all(FailureOutcome::Closed);
        let action = |t: Trouble| t.answer(&policy).action;
        assert_eq!(action(interruption(Disruption::Deny, 406)), Action::Page(406));
        assert_eq!(action(interruption(Disruption::Deny, 100)), Action::Page(403));
        assert_eq!(action(interruption(Disruption::Drop, 403)), Action::Abandon);
        let to = Disruption::Redirect("https://a.test/".into());
        let location = "https://a.test/".to_owned();
        assert_eq!(action(interruption(to, 403)), Action::Redirect { status: 302, location });
    }

    #[test]
    fn an_inner_failure_follows_the_sites_policy() {
        for failure in Failure::ALL {
            let trouble = Trouble::Inner(failure);
            let closed = trouble.answer(&FailurePolicy::all(FailureOutcome::Closed));
            assert!(matches!(closed.action, Action::Page(400..)), "{failure:?}");
            let open = trouble.answer(&FailurePolicy::all(FailureOutcome::Open));
            assert_eq!(open.action, Action::Pass, "{failure:?}");
        }
    }

    #[test]
    fn nothing_that_a_client_does_wrong_is_let_through() {
        let open = FailurePolicy::all(FailureOutcome::Open);
        for trouble in [
            Trouble::Malformed(Fault::BareLf),
            Trouble::HeadLate,
            Trouble::Tunnel,
            Trouble::NoSite,
            Trouble::BodyMalformed,
            Trouble::BodyLate,
            Trouble::ResponseLate,
            Trouble::TurnedAway { control: Control::Access, status: 403, retry_after: None },
            interruption(Disruption::Deny, 403),
        ] {
            assert_ne!(trouble.answer(&open).action, Action::Pass, "{trouble:?}");
        }
    }
}
