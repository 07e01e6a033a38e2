//! The session that pingora sees while it talks to the upstream: the client's own one, with two differences.
//!
//! - The body that has been read for inspection is there once more. pingora sends what [`get_retry_buffer`] has
//!   before it reads on, so a stored body of any length goes upstream as it came, and what follows a truncated
//!   one streams.
//! - The response goes through a [`Gate`], which holds it back until phases 3 and 4 have passed.
//!
//! [`get_retry_buffer`]: Session::get_retry_buffer

use super::diagnosis::CROWDED;
use super::exchange::Exchange;
use super::gate::{Gate, is_interim};
use super::http2::Passport;
use super::patience::{Patience, Slack};
use super::unsent::{AHEAD, Backlog, Debt, FREE, Rest, WRITTEN};
use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use http::HeaderMap;
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::custom::{CustomMessageWrite, server::Session};
use pingora_core::protocols::http::{HttpTask, ServerSession};
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

/// Where a wrapped session is found again.
#[derive(Clone, Default)]
pub(super) struct Cloakroom(Arc<Mutex<Option<ServerSession>>>);

impl Cloakroom {
    /// Leaves `session` here.
    pub(super) fn leave(&self, session: ServerSession) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    }

    /// Takes what was left here.
    pub(super) fn collect(&self) -> Option<ServerSession> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A body that has been read already.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) bytes: Bytes,
    /// Whether the body ends here.
    pub(super) is_complete: bool,
}

/// See the module's documentation.
pub(super) struct Replay {
    inner: ServerSession,
    cloakroom: Cloakroom,
    stored: Option<Stored>,
    read_before: usize,
    /// Between two reads of a body that streams.
    read_timeout: Duration,
    patience: Patience,
    slack: Slack,
    waiting: Option<Waiting>,
    /// None in a placeholder, and everything passes.
    gate: Option<Gate>,
    /// Whether the body's turn has come.
    is_sending: AtomicBool,
}

impl Replay {
    /// Puts a replay in the place of `session`. [`Self::unwrap`] undoes it.
    pub(super) fn wrap(
        session: &mut ServerSession,
        cloakroom: &Cloakroom,
        stored: Option<Stored>,
        exchange: &Arc<Exchange>,
        deadline: Option<std::time::Instant>,
    ) {
        let mut inner = vacate(session);
        let limits = &exchange.generation.config.client;
        // The slack is what bounds it from now on.
        inner.set_write_timeout(None);
        let timeouts = exchange.site().map(|site| site.timeouts);
        let read_timeout = timeouts.map_or(DEFAULT_READ_TIMEOUT, |timeouts| timeouts.body_read);
        let patience = Patience::new(timeouts.and_then(|timeouts| timeouts.first_byte), deadline);
        let backlog = inner.digest().and_then(Passport::of).map(|passport| Arc::clone(&passport.backlog));
        let waiting = Waiting { debt: exchange.debt(), rest: Rest::default(), backlog };
        let replay = Replay {
            read_before: inner.body_bytes_read(),
            inner,
            cloakroom: cloakroom.clone(),
            stored,
            read_timeout,
            patience,
            slack: Slack::new(limits.write_timeout, limits.min_rate),
            waiting: Some(waiting),
            gate: Some(Gate::new(Arc::clone(exchange))),
            is_sending: AtomicBool::new(false),
        };
        *session = ServerSession::new_custom(Box::new(replay));
    }

    /// Puts the client's own session back into its place. Does nothing when it is there.
    pub(super) fn unwrap(session: &mut ServerSession, cloakroom: &Cloakroom) {
        if session.is_custom() {
            drop(vacate(session));
            if let Some(inner) = cloakroom.collect() {
                *session = inner;
            }
        }
    }

    /// Takes `session` away for good and leaves something that pingora can finish in its place.
    pub(super) fn take_away(session: &mut ServerSession) -> ServerSession {
        let taken = vacate(session);
        let placeholder = Replay {
            inner: ServerSession::new_custom(Box::new(())),
            cloakroom: Cloakroom::default(),
            stored: None,
            read_before: 0,
            read_timeout: DEFAULT_READ_TIMEOUT,
            patience: Patience::default(),
            slack: Slack::new(DEFAULT_READ_TIMEOUT, 1),
            waiting: None,
            gate: None,
            is_sending: AtomicBool::new(false),
        };
        *session = ServerSession::new_custom(Box::new(placeholder));
        taken
    }

    /// Writes what the gate has let go.
    async fn deliver(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let bytes = weight(&tasks);
        let Some(waiting) = self.waiting.as_mut() else { return self.inner.response_duplex_vec(tasks).await };
        let crowded = || Error::e_explain(CROWDED, "too much waits for clients");
        let Some(due) = waiting.due(&tasks, bytes) else { return crowded() };
        // What is known to be long is asked for while nothing was sent of it.
        let is_long =
            waiting.rest.is_known() && tasks.iter().any(|task| matches!(task, HttpTask::Header(..)));
        let is_small = bytes <= SMALL && !is_long;
        if !is_small && !waiting.debt.set(due) {
            return crowded();
        }
        let mut write = std::pin::pin!(self.slack.spend(bytes, self.inner.response_duplex_vec(tasks)));
        if is_small {
            // Nothing more has come meanwhile, as where messages are passed on one by one. So nothing is owed, unless the
            // client lets us wait.
            if let Poll::Ready(written) = futures::poll!(&mut write) {
                waiting.debt.set(0);
                return written;
            }
            if !waiting.debt.set(due) {
                return crowded();
            }
        }
        write.await
    }

    /// Reads on, in limited time.
    async fn timely<T>(limit: Duration, read: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout(limit, read).await {
            Ok(result) => result,
            Err(_) => Error::e_explain(ErrorType::ReadTimedout, "the request's body stopped"),
        }
    }
}

/// What is here of a response that its client has not taken.
struct Waiting {
    debt: Debt,
    rest: Rest,
    /// Over HTTP/2.
    backlog: Option<Arc<Backlog>>,
}

impl Waiting {
    /// What `tasks`, of so many bytes, and what comes behind them may occupy. It is the same from one piece of a long response
    /// to the next, so that the allowance is asked at its beginning and its end only. None when the connection has too much
    /// to write already.
    fn due(&mut self, tasks: &[HttpTask], bytes: usize) -> Option<u64> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let behind = self.rest.behind(tasks);
        match &self.backlog {
            // What is written is the connection's debt.
            Some(backlog) if !backlog.give(bytes) => None,
            // As the place of a stream has, too.
            Some(_) if behind <= FREE => Some(0),
            Some(_) => Some(behind.min(AHEAD)),
            None => {
                let all = bytes.saturating_add(behind).min(WRITTEN.max(bytes) + AHEAD);
                Some(all.saturating_sub(FREE))
            }
        }
    }

    /// Waits for the client, or the upstream, as `read` does. When nothing comes from the upstream for a moment, all that was
    /// read ahead has been written.
    async fn hold<T>(waiting: Option<&mut Self>, read: impl Future<Output = T>) -> T {
        let Some(waiting) = waiting.filter(|waiting| waiting.debt.is_owed()) else { return read.await };
        let mut read = std::pin::pin!(read);
        match tokio::time::timeout(LULL, &mut read).await {
            Ok(result) => result,
            Err(_) => {
                waiting.debt.set(0);
                read.await
            }
        }
    }
}

/// The bytes of bodies in `tasks`.
fn weight(tasks: &[HttpTask]) -> usize {
    let of = |task: &HttpTask| match task {
        HttpTask::Body(Some(chunk), _) | HttpTask::UpgradedBody(Some(chunk), _) => chunk.len(),
        _ => 0,
    };
    tasks.iter().map(of).sum()
}

/// Takes a session out of its place and leaves one that can do nothing.
fn vacate(session: &mut ServerSession) -> ServerSession {
    std::mem::replace(session, ServerSession::new_custom(Box::new(())))
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.cloakroom.leave(vacate(&mut self.inner));
    }
}

#[async_trait]
impl Session for Replay {
    fn req_header(&self) -> &RequestHeader {
        self.inner.req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.inner.req_header_mut()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        Self::timely(self.read_timeout, self.inner.read_request_body()).await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.inner.drain_request_body().await
    }

    async fn write_response_header(&mut self, head: Box<ResponseHeader>, _end: bool) -> Result<()> {
        self.slack.spend(0, self.inner.write_response_header(head)).await
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, _end: bool) -> Result<()> {
        self.slack.spend(0, self.inner.write_response_header_ref(head)).await
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.slack.spend(data.len(), self.inner.write_response_body(data, end)).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.slack.spend(0, self.inner.write_response_trailers(trailers)).await
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let Some(gate) = self.gate.as_mut() else { return Ok(true) };
        if !tasks.iter().all(is_interim) {
            self.patience.begun();
        }
        let admitted = gate.admit(tasks).await?;
        if admitted.is_empty() {
            // Once the gate is shut, the client has its whole answer.
            return Ok(gate.is_shut());
        }
        if admitted.iter().any(|t| matches!(t, HttpTask::Header(head, _) if head.status == 101)) {
            // A tunnel may be silent for long.
            self.inner.set_read_timeout(None);
            self.read_timeout = TUNNEL_TIMEOUT;
            self.patience = Patience::default();
        }
        self.deliver(admitted).await
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.inner.set_read_timeout(timeout);
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.inner.get_read_timeout()
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.inner.set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.inner.get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.inner.set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.inner.get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.inner.request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.inner.response_written()
    }

    async fn shutdown(&mut self, _code: u32, _context: &str) {
        self.inner.shutdown().await;
    }

    fn is_body_done(&mut self) -> bool {
        self.inner.is_body_done()
    }

    async fn finish(&mut self) -> Result<()> {
        let Some(gate) = self.gate.as_mut() else { return Ok(()) };
        let due = gate.flush().await?;
        if !due.is_empty() {
            self.deliver(due).await?;
        }
        self.slack.spend(0, self.inner.finish_body()).await?;
        if let Some(gate) = &self.gate {
            gate.exchange.set_delivered();
        }
        Ok(())
    }

    fn is_body_empty(&mut self) -> bool {
        // Of an empty body pingora tells the upstream's half at once that it is over. An upstream that is near enough has
        // agreed to the upgrade by then, and the word is taken for the end of the tunnel. Nobody misses it: when there is no
        // upgrade, the end of the response ends that half as well.
        if self.is_sending.load(Ordering::Relaxed) && self.inner.is_upgrade_req() {
            return false;
        }
        match &self.stored {
            Some(stored) if stored.is_complete => stored.bytes.is_empty(),
            _ => self.inner.is_body_empty(),
        }
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if no_body_expected || self.inner.is_body_done() {
            let idle = self.inner.read_body_or_idle(no_body_expected);
            return Waiting::hold(self.waiting.as_mut(), self.patience.hold(true, idle)).await;
        }
        let read = Self::timely(self.read_timeout, self.inner.read_body_or_idle(false));
        Waiting::hold(self.waiting.as_mut(), self.patience.hold(false, read)).await
    }

    fn body_bytes_sent(&self) -> usize {
        self.inner.body_bytes_sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.inner.body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.inner.digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.inner.digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.inner.client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.inner.server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.inner.to_h1_raw()
    }

    fn enable_retry_buffering(&mut self) {
        if self.stored.is_none() {
            self.inner.enable_retry_buffering();
        }
    }

    fn retry_buffer_truncated(&self) -> bool {
        match &self.stored {
            // What was stored can be sent again; what has been read since cannot.
            Some(_) => self.inner.body_bytes_read() > self.read_before,
            None => self.inner.retry_buffer_truncated(),
        }
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        // Asked once, when the request's head has gone.
        self.is_sending.store(true, Ordering::Relaxed);
        match &self.stored {
            // For an empty one pingora ends an HTTP/2 stream with its head, and must not be given more to send.
            Some(stored) => Some(stored.bytes.clone()).filter(|bytes| !bytes.is_empty()),
            None => self.inner.get_retry_buffer(),
        }
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _reader: Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _writer: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }

    fn is_upgrade_req(&self) -> bool {
        self.inner.is_upgrade_req()
    }

    fn was_upgraded(&self) -> bool {
        self.inner.was_upgraded()
    }
}

/// What has been written at once when nothing more was there.
const SMALL: usize = 16 * 1024;

/// A pause of the upstream's, after which nothing of its response is left on the way.
const LULL: Duration = Duration::from_millis(100);

/// Between two reads where no site says otherwise.
const DEFAULT_READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Silence that ends an upgraded connection.
const TUNNEL_TIMEOUT: Duration = Duration::from_secs(3_600);
