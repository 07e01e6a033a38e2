//! What the proxy tells the world about its work. Whoever starts the proxy decides what becomes of it: audit
//! records and metrics in the server, a channel in tests.

use super::answer::Trouble;
use crate::admission::Ruling;
use crate::config::{ListenAddress, Site};
use crate::engine::Report;
use crate::reload::Generation;
use std::sync::Arc;
use std::time::Duration;

/// Hears of everything that happened. Called on the request path: an implementation must not block.
pub trait Observer: Send + Sync {
    /// A request is finished, whatever became of it.
    fn finished(&self, finished: Finished);

    /// A request is finished and waits for what a candidate ruleset says of it: [`Self::settled`] follows, and
    /// [`Self::finished`] does not.
    fn answered(&self, finished: &Finished) {
        let _ = finished;
    }

    /// What was told to [`Self::answered`], with the candidate's word in its report, unless that failed. Not called on
    /// the request path.
    fn settled(&self, finished: Finished) {
        self.finished(finished);
    }

    /// A request that was chosen to be shown to a candidate ruleset was not: too many waited, or it failed.
    fn shadow_dropped(&self, site: &Site, reason: &'static str) {
        let _ = (site, reason);
    }

    /// Whether the request line of a transaction is wanted although it is not for the audit log.
    fn wants_line(&self, report: &Report) -> bool {
        let _ = report;
        false
    }

    /// An upstream failed and another one is tried; what ends a request is in [`Finished::trouble`].
    fn upstream_failed(&self, site: &Site, reason: &'static str);

    /// There is one client connection more (1) or less (-1) on the listener that is configured as `listener`.
    fn connections(&self, listener: &ListenAddress, more: i64) {
        let _ = (listener, more);
    }

    /// So many long inspections wait for their turn.
    fn inspections_wait(&self, number: usize) {
        let _ = number;
    }

    /// How late worker threads come to what is due: the longest wait lately.
    fn workers_late(&self, lag: Duration) {
        let _ = lag;
    }

    /// A connection did not begin or end in good order: TLS handshake, PROXY protocol, no room, HTTP/2 that is broken or
    /// abused, a panic.
    fn connection_failed(&self, reason: &'static str);
}

/// A finished request.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its site; none when no site serves it or its head told none.
    pub site: Option<Arc<Site>>,
    /// The engine's report, or as much of one as is known when there was no engine.
    pub report: Report,
    /// What the client was answered; 0 when it got no answer.
    pub status: u16,
    /// What access rules, rate limits and bans said of it, what was only told included.
    pub rulings: Vec<Ruling>,
    /// Everything that went wrong, in order, with the counter's reason of each.
    pub troubles: Vec<(Trouble, &'static str)>,
    /// Time spent in the engine by phase, 1 to 5; zero for a phase that did not run.
    pub inspection: [Duration; 5],
    /// Time from the head's last byte to the end.
    pub duration: Duration,
    /// Bytes of the request's body that were read from the client.
    pub request_bytes: u64,
    /// Bytes of the response's body that were sent to the client.
    pub response_bytes: u64,
    /// The upstream that was used last.
    pub upstream: Option<String>,
    /// How long the candidate ruleset took, when one was asked.
    pub shadow_time: Duration,
    /// The generation by which it was served.
    pub generation: Arc<Generation>,
}

impl Finished {
    /// The trouble that ended the request, if one did.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.troubles.last().map(|(trouble, _)| trouble)
    }
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deaf;

impl Observer for Deaf {
    fn finished(&self, _: Finished) {}
    fn upstream_failed(&self, _: &Site, _: &'static str) {}
    fn connection_failed(&self, _: &'static str) {}
}
