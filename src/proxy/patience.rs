//! How long a response waits: for the upstream that makes it, and for the client that takes it.

use super::diagnosis::{LATE, SLOW};
use pingora_core::{Error, Result};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long the upstream is waited for. pingora knows a time between two reads only; but all the while it waits for the
/// upstream, it also waits for the client to say or close something, and there this can end it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience {
    /// For the first byte of the response, once the request has been sent.
    first_byte: Option<Duration>,
    /// When that has to be here.
    first: Option<Instant>,
    /// When the response has to be over.
    whole: Option<Instant>,
}

impl Patience {
    /// `first_byte` is for the response's beginning, `deadline` for its end.
    pub(super) fn new(first_byte: Option<Duration>, deadline: Option<std::time::Instant>) -> Self {
        Self { first_byte, first: None, whole: deadline.map(Into::into) }
    }

    /// Waits for the client as `read` does, but no longer than for the upstream. `is_sent`: it has all of the request.
    pub(super) async fn hold<T>(
        &mut self,
        is_sent: bool,
        read: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        if is_sent && let Some(first_byte) = self.first_byte.take() {
            self.first = Some(Instant::now() + first_byte);
        }
        let Some(until) = self.first.into_iter().chain(self.whole).min() else { return read.await };
        match timeout_at(until, read).await {
            Ok(result) => result,
            Err(_) => Error::e_explain(LATE, "the upstream took too long"),
        }
    }

    /// The response has begun.
    pub(super) fn begun(&mut self) {
        (self.first_byte, self.first) = (None, None);
    }
}

/// How much longer a client may keep what is written for it from going. Each byte earns it the time that it may take at
/// the least rate, and waiting uses that up; so a client may pause, but not fall behind for good. Time in which there is
/// nothing to write is not counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slack {
    left: Duration,
    most: Duration,
    /// Bytes a second, at least 1.
    rate: u64,
}

impl Slack {
    /// `least` is what a client has to take, in bytes a second.
    pub(super) fn new(most: Duration, least: u64) -> Self {
        Self { left: most, most, rate: least.max(1) }
    }

    /// Writes `bytes`, if the client takes them in time.
    pub(super) async fn spend<T>(
        &mut self,
        bytes: usize,
        write: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let millis = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000) / self.rate;
        let patience = self.left.saturating_add(Duration::from_millis(millis));
        let began = Instant::now();
        match tokio::time::timeout(patience, write).await {
            Ok(result) => {
                self.left = patience.saturating_sub(began.elapsed()).min(self.most);
                result
            }
            Err(_) => Error::e_explain(SLOW, "the client took too little of the response"),
        }
    }
}
