//! pingora's callbacks: what is done to a request at each stage of its way.

use super::answer::{Action, Answer, Trouble};
use super::attempts::Attempts;
use super::client::{self, Seen};
use super::demands;
use super::diagnosis::{ABANDONED, CROWDED, connect_trouble, trouble_of};
use super::exchange::{Arrival, Exchange, Shared};
use super::front::{Passage, WayBack};
use super::heads;
use super::http2::Passport;
use super::intake;
use super::replay::{Cloakroom, Replay, Stored};
use crate::config::{HostHeader, UpstreamHttp2};
use crate::engine::EventKind;
use crate::http::RequestHead;
use ::http::header;
use async_trait::async_trait;
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::ServerSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::timeout;

/// The application that pingora calls.
pub(super) struct Service {
    shared: Arc<Shared>,
}

impl Service {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

/// One request's state between callbacks.
#[derive(Default)]
pub(super) struct Ctx {
    /// Over HTTP/1: the head as the front read it.
    arrival: Option<Arc<Arrival>>,
    /// Over HTTP/1: how the session gets back to the front.
    back: Option<Arc<WayBack>>,
    exchange: Option<Arc<Exchange>>,
    cloakroom: Cloakroom,
    stored: Option<Stored>,
    is_upgrade: bool,
    attempts: Attempts,
    /// Why the last upstream could not be connected.
    trouble: Option<Trouble>,
    /// Portcullis has answered by itself, and the connection may go on.
    keep: bool,
}

#[async_trait]
impl ProxyHttp for Service {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx::default()
    }

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    fn on_connection_reuse(
        &self,
        _session: &mut Session,
        ctx: &mut Ctx,
        passage: Box<dyn Any + Send + Sync>,
    ) {
        if let Ok(passage) = passage.downcast::<Passage>() {
            passage.back.seen.store(true, Ordering::Release);
            ctx.arrival = Some(passage.arrival);
            ctx.back = Some(passage.back);
        }
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        let arrival = match ctx.arrival.take() {
            Some(arrival) => arrival,
            None => heads::arrival(session, &self.shared.current.load().config.client).into(),
        };
        let exchange = Exchange::begin(&self.shared, arrival);
        ctx.exchange = Some(Arc::clone(&exchange));
        ctx.is_upgrade = session.is_upgrade_req();
        if exchange.arrival.head.ends_connection() || self.shared.is_stopping() {
            session.set_keepalive(None);
        }
        match inspect(session, ctx, &exchange).await {
            Ok(()) => Ok(false),
            Err(answer) => {
                reply(session, ctx, &exchange, &answer).await;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        let Some((exchange, runtime)) = ctx.exchange.as_ref().and_then(|e| Some((e, e.runtime()?))) else {
            return Error::e_explain(ErrorType::InternalError, "a request without a site");
        };
        let (_, backend) = match ctx.attempts.next(exchange, runtime) {
            Ok(next) => next,
            Err(trouble) => {
                ctx.trouble.get_or_insert(trouble);
                return Error::e_explain(ErrorType::ConnectError, "no upstream is left");
            }
        };
        exchange.set_upstream(&backend.config.url);
        let directory = &self.shared.directory;
        let turn = directory.turn();
        match directory.peer(&backend.config, &runtime.config, ctx.is_upgrade, turn).await {
            Ok(peer) => Ok(Box::new(peer)),
            Err(trouble) => {
                let mut error = Error::explain(ErrorType::ConnectError, "the upstream cannot be described");
                let is_again = ctx.attempts.not_connected(runtime, false);
                error.set_retry(is_again);
                if is_again {
                    exchange.upstream_failed(trouble.answer(&exchange.policy()).reason);
                }
                ctx.trouble = Some(trouble);
                Err(error.into_up())
            }
        }
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        peer: &HttpPeer,
        ctx: &mut Ctx,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let trouble = connect_trouble(&error);
        if let Some((exchange, runtime)) = ctx.exchange.as_ref().and_then(|e| Some((e, e.runtime()?)))
            && let Some(backend) = ctx.attempts.present().and_then(|index| runtime.upstreams.all().get(index))
        {
            let has_address = self.shared.directory.avoid(&backend.config, &peer._address);
            let is_again = ctx.attempts.not_connected(runtime, has_address);
            error.set_retry(is_again);
            if is_again {
                exchange.upstream_failed(trouble.answer(&exchange.policy()).reason);
            }
        }
        ctx.trouble = Some(trouble);
        error
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        _reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::unix::io::RawFd,
        _digest: Option<&Digest>,
        ctx: &mut Ctx,
    ) -> Result<()> {
        ctx.trouble = None;
        if let Some(runtime) = ctx.exchange.as_ref().and_then(|e| e.runtime()) {
            ctx.attempts.connected(runtime);
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        let Some(exchange) = ctx.exchange.clone() else { return Ok(()) };
        describe(request, &exchange, ctx.attempts.present(), ctx.stored.as_ref())?;
        // Only now: pingora has judged the session by its own kind before it called this.
        let deadline = ctx.attempts.deadline();
        let session = &mut session.downstream_session;
        Replay::wrap(session, &ctx.cloakroom, ctx.stored.clone(), &exchange, deadline);
        Ok(())
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        if let Some(exchange) = &ctx.exchange
            && let Some(name) = exchange.site().and_then(|site| site.request_id_header.clone())
        {
            response.insert_header(name, exchange.id.as_str())?;
        }
        if !response.status.is_informational() || response.status == 101 {
            if let Some(runtime) = ctx.exchange.as_ref().and_then(|e| e.runtime()) {
                ctx.attempts.answered(runtime);
            }
            if let Some(exchange) = &ctx.exchange {
                exchange.dress(response)?;
            }
            if let Some(cookie) = ctx.attempts.cookie() {
                response.append_header(header::SET_COOKIE, cookie)?;
            }
        }
        Ok(())
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Ctx,
        is_reused: bool,
    ) -> Box<Error> {
        // A request may be sent again when it is safe to do so twice, and all of it is still here.
        let is_repeatable = session.req_header().method.is_idempotent() && !session.retry_buffer_truncated();
        if is_repeatable {
            error.retry.decide_reuse(is_reused);
        } else {
            error.set_retry(false);
        }
        if !error.retry()
            && let Some((exchange, runtime)) = ctx.exchange.as_ref().and_then(|e| Some((e, e.runtime()?)))
            && !exchange.has_response()
        {
            let is_untouched = session.response_written().is_none();
            let is_again = ctx.attempts.broke_off(runtime, &error, is_repeatable && is_untouched);
            error.set_retry(is_again);
            if is_again {
                exchange.upstream_failed(trouble_of(&error).answer(&exchange.policy()).reason);
            }
        }
        Replay::unwrap(&mut session.downstream_session, &ctx.cloakroom);
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Ctx) -> FailToProxy {
        Replay::unwrap(&mut session.downstream_session, &ctx.cloakroom);
        if let Some(exchange) = ctx.exchange.clone()
            && error.etype() != &ABANDONED
        {
            let trouble = match error.etype() {
                kind if kind == &CROWDED => exchange.crowded(),
                _ => ctx.trouble.take().unwrap_or_else(|| trouble_of(error)),
            };
            tracing::debug!(id = exchange.id, %error, "not served");
            let answer = exchange.answer(&trouble);
            let has_begun = session
                .response_written()
                .is_some_and(|head| !head.status.is_informational() || head.status == 101);
            if has_begun {
                ctx.keep = false;
            } else {
                reply(session, ctx, &exchange, &answer).await;
            }
        }
        FailToProxy { error_code: 0, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Ctx) {
        Replay::unwrap(&mut session.downstream_session, &ctx.cloakroom);
        let status = session
            .response_written()
            .map(|head| head.status)
            .filter(|status| !status.is_informational() || *status == 101)
            .map_or(0, |status| status.as_u16());
        let bytes = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let (read, sent) = (bytes(session.body_bytes_read()), bytes(session.body_bytes_sent()));
        let mut keep = ctx.keep;
        if let Some(exchange) = &ctx.exchange {
            keep |= error.is_none() && exchange.is_delivered();
            keep &= !exchange.arrival.head.ends_connection();
            exchange.finish(status, read, sent);
        }
        if let Some(back) = &ctx.back {
            back.keep.store(keep, Ordering::Release);
            back.cloakroom.leave(Replay::take_away(&mut session.downstream_session));
        }
    }

    // The observer hears of every failure; pingora's own lines would quote request targets, and secrets in them.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Ctx, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Ctx,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

/// Phases 1 and 2.
async fn inspect(session: &mut Session, ctx: &mut Ctx, exchange: &Arc<Exchange>) -> Result<(), Answer> {
    exchange.settle(exchange.screen().await)?;
    exchange.settle(exchange.admit_inspection())?;
    exchange.settle(exchange.request_headers().await)?;
    let Some(site) = exchange.site() else {
        return Err(exchange.answer(&Trouble::NoSite));
    };
    exchange.admit()?;
    session.set_read_timeout(Some(site.timeouts.body_read));
    let head = &exchange.arrival.head;
    // Those of HTTP/1 were refused where they were read.
    if let Some(fault) = head.fatal() {
        exchange.note(EventKind::MalformedRequest, &format!("{}: {}", fault.name(), fault.sentence()));
        return Err(exchange.answer(&Trouble::Malformed(fault)));
    }
    let has_body = !session.is_body_empty();
    exchange.has_body(has_body);
    if has_body && expects_continue(head) {
        // The client waits for it (RFC 9110 §10.1.1). Its failure shows at the first read. pingora takes any head
        // that it writes before the body has come as a reason to close.
        let keepalive = session.get_keepalive();
        let _ = session.write_continue_response().await;
        session.set_keepalive(keepalive);
    }
    if has_body && exchange.wants_request_body() {
        // Only where upstreams speak HTTP/2, as gRPC must: elsewhere the type would be a way past the rules.
        if is_grpc(head) && site.upstreams.iter().all(|u| u.http2 != UpstreamHttp2::Never) {
            exchange.note(EventKind::RequestBodyUninspected, "a gRPC stream is not held");
        } else {
            ctx.stored = Some(intake::read(&mut session.downstream_session, exchange, site).await?);
        }
    }
    exchange.settle(exchange.request_end().await)?;
    exchange.settle(exchange.screen_by_rules().await)
}

/// Answers the client by ourselves.
async fn reply(session: &mut Session, ctx: &mut Ctx, exchange: &Exchange, answer: &Answer) {
    let session = &mut session.downstream_session;
    let mut keep = answer.keep && !exchange.arrival.head.ends_connection();
    if keep && !session.is_http2() {
        keep = intake::drain(session, &exchange.arrival.head).await;
    }
    if !keep {
        session.set_keepalive(None);
    }
    let patience = exchange.generation.config.client.write_timeout;
    ctx.keep = match exchange.page(answer) {
        Some(page) if !has_room(session, page.body.len()) => {
            session.shutdown().await;
            false
        }
        Some(page) => matches!(timeout(patience, page.send(session)).await, Ok(Ok(()))) && keep,
        None => {
            if answer.action == Action::Abandon && session.is_http2() {
                session.shutdown().await;
            }
            false
        }
    };
}

/// Whether a page of so many bytes may be given to the client's connection.
fn has_room(session: &ServerSession, bytes: usize) -> bool {
    let backlog = session.digest().and_then(Passport::of).map(|passport| &passport.backlog);
    backlog.is_none_or(|backlog| backlog.give(u64::try_from(bytes).unwrap_or(u64::MAX)))
}

/// The request for the upstream: who the client is, which transaction this is, whom it is for, how long it is.
pub(super) fn describe(
    request: &mut RequestHeader,
    exchange: &Exchange,
    upstream: Option<usize>,
    stored: Option<&Stored>,
) -> Result<()> {
    let Some(site) = exchange.site() else { return Ok(()) };
    let arrival = &exchange.arrival;
    let host = arrival.head.values("host").next().map(String::from_utf8_lossy).unwrap_or_default();
    let seen = Seen {
        peer: arrival.peer,
        client: exchange.client,
        server: arrival.server,
        secure: arrival.secure,
        host: &host,
    };
    client::forward(request, site, &seen)?;
    demands::introduce(request, exchange, site)?;
    if let Some(name) = site.request_id_header.clone() {
        request.insert_header(name, exchange.id.as_str())?;
    }
    let upstream = upstream.and_then(|index| exchange.runtime()?.upstreams.all().get(index));
    match (&site.host_header, upstream) {
        (HostHeader::Preserve, _) | (HostHeader::Upstream, None) => {}
        (HostHeader::Upstream, Some(backend)) => {
            request.insert_header(header::HOST, backend.config.authority())?;
        }
        (HostHeader::Fixed(host), _) => request.insert_header(header::HOST, host.as_str())?,
    }
    if let Some(stored) = stored.filter(|stored| stored.is_complete) {
        // The length is known now, and it is the framing that every origin reads alike.
        request.remove_header(&header::TRANSFER_ENCODING);
        request.insert_header(header::CONTENT_LENGTH, stored.bytes.len().to_string())?;
    }
    Ok(())
}

fn expects_continue(head: &RequestHead) -> bool {
    head.protocol == b"HTTP/1.1" && head.values("expect").any(|v| v.eq_ignore_ascii_case(b"100-continue"))
}

/// gRPC proper only, which is HTTP/2 and says so: over HTTP/1 the type is somebody's disguise for another body.
fn is_grpc(head: &RequestHead) -> bool {
    let is_type = |value: &[u8]| {
        let kind = value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        kind == b"application/grpc" || kind.starts_with(b"application/grpc+")
    };
    head.protocol == b"HTTP/2.0"
        && head.method == b"POST"
        && head.values("te").any(|v| v == b"trailers")
        && head.values("content-type").all(is_type)
        && head.values("content-type").next().is_some()
}
