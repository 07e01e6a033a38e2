//! HTTP/2 connections: accepts streams and hands each to pingora as a request of its own.
//!
//! The loop is our own so that what pingora refuses while it accepts a stream is recorded, an idle connection ends, and
//! so does one that abuses the protocol. Frames and header compression are the `h2` crate's; what it does not bound is
//! counted in [`super::frames`].

use super::answer::Trouble;
use super::crowd::Quota;
use super::exchange::{Arrival, Exchange, Shared};
use super::frames::Meter;
use super::front::Ends;
use super::heads;
use super::metered::Metered;
use super::secured::Secured;
use super::service::Service;
use super::unsent::Backlog;
use crate::config::ClientLimits;
use crate::engine::EventKind;
use crate::http::{Fault, RequestHead};
use bytes::Bytes;
use h2::Reason;
use h2::server::Connection;
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{self, H2Accept, H2Options, HttpSession};
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{Digest, Stream};
use pingora_core::server::ShutdownWatch;
use pingora_core::{Error, ErrorType};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::HttpProxy;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

/// Serves an HTTP/2 connection to its end.
///
/// # Errors
///
/// A counter's reason, when the connection does not begin as HTTP/2 does, or abuses the protocol.
pub(super) async fn serve(
    proxy: &Arc<HttpProxy<Service>>,
    shared: &Arc<Shared>,
    stream: Stream,
    ends: Ends,
    quota: Quota,
    shutdown: &ShutdownWatch,
) -> Result<(), &'static str> {
    let limits = shared.current.load().config.client.clone();
    let backlog = Arc::new(Backlog::new(shared.unsent.debt(quota.client, limits.unsent_bytes)));
    let digest = Arc::new(Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        // pingora has no other place in which an HTTP/2 request finds something of its connection. A client's connection
        // has no digest of its own there.
        proxy_digest: passport(&ends, &backlog)?,
        socket_digest: stream.get_socket_digest(),
    });
    let meter = Arc::new(Meter::new());
    let stream: Stream = Box::new(Metered::new(stream, Arc::clone(&meter), backlog));
    let handshake = timeout(limits.head_timeout, server::handshake(stream, Some(options(&limits))));
    let Ok(Ok(mut connection)) = handshake.await else { return Err("http2_handshake") };
    let mut stop = shutdown.clone();
    let mut is_stopping = false;
    let mut malformed = 0;
    let mut streams = JoinSet::new();
    let end = loop {
        if let Some(nuisance) = meter.flood() {
            break Err(nuisance.name());
        }
        for id in meter.take_refused() {
            record_refused(shared, &ends, Trouble::Malformed(Fault::HeadTooLong), 431, Some(id));
            malformed += 1;
        }
        if malformed >= MAX_MALFORMED {
            break Err("http2_too_many_malformed");
        }
        let head_since = meter.head_since();
        let late = head_since.map(|since| tokio::time::Instant::from_std(since + limits.head_timeout));
        let patience = if is_stopping { LAST_WORD } else { limits.keep_alive };
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop), if !is_stopping => {
                connection.graceful_shutdown();
                is_stopping = true;
                continue;
            }
            () = meter.alarmed() => continue,
            accepted = next(&mut connection, &digest, streams.len() < MAX_TASKS) => accepted,
            Some(ended) = streams.join_next(), if !streams.is_empty() => {
                shared.ended(&ended);
                continue;
            }
            () = sleep_until(late.unwrap_or_else(tokio::time::Instant::now)), if late.is_some() => {
                if meter.head_since() == head_since {
                    break Err("http2_head_timeout");
                }
                continue;
            }
            () = sleep(patience), if streams.is_empty() => {
                if is_stopping {
                    // It was told to end, and says nothing.
                    break Ok(());
                }
                connection.graceful_shutdown();
                is_stopping = true;
                continue;
            }
        };
        match accepted {
            Ok(Some(H2Accept::Session(mut session))) => {
                while let Some(ended) = streams.try_join_next() {
                    shared.ended(&ended);
                }
                // The connection has a place, and its first stream needs no other.
                let place = match streams.is_empty() {
                    true => None,
                    false => match quota.take() {
                        Ok(place) => Some(place),
                        Err(reason) => {
                            // Of which the client knows that it may ask again (RFC 9113 §8.7).
                            session.shutdown_with_reason(Reason::REFUSED_STREAM);
                            shared.observer.connection_failed(reason);
                            continue;
                        }
                    },
                };
                if session.req_header().method == ::http::Method::CONNECT {
                    record_tunnel(shared, &ends, session.req_header()).await;
                }
                let (proxy, shutdown) = (Arc::clone(proxy), shutdown.clone());
                streams.spawn(async move {
                    proxy.process_new_http(ServerSession::new_http2(session), &shutdown).await;
                    drop(place);
                });
            }
            Ok(Some(H2Accept::Rejected)) => {
                record_refused(shared, &ends, Trouble::Unparsable, 400, None);
                malformed += 1;
            }
            // In good order.
            Ok(None) => break Ok(()),
            Err(error) => break abuse(&error).map_or(Ok(()), Err),
        }
    };
    if end.is_err() {
        connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        let _ = timeout(GOODBYE, poll_fn(|cx| connection.poll_closed(cx))).await;
    }
    // What streams still write finds nobody, and they end.
    drop(connection);
    while let Some(ended) = streams.join_next().await {
        shared.ended(&ended);
    }
    end
}

/// What the `h2` crate is told. Each bounds what a connection may occupy.
fn options(limits: &ClientLimits) -> H2Options {
    let mut options = server::default_h2_options();
    let head = u32::try_from(limits.head_bytes).unwrap_or(u32::MAX);
    options
        // Beyond `head_bytes` a request is refused by us; beyond twice as much by the crate, which keeps no more of it, and
        // tells nobody: see [`super::refusals`]. Beyond eight times as much it ends the connection. CONTINUATION frames are
        // bounded by this: as many as it takes, a quarter more, at least five.
        .max_header_list_size(head.saturating_mul(2))
        .max_concurrent_streams(MAX_STREAMS)
        // Rapid resets: streams that were reset before we accepted them.
        .max_pending_accept_reset_streams(PENDING_RESETS)
        // Streams that we reset because of errors in them.
        .max_local_error_reset_streams(Some(LOCAL_RESETS))
        // Streams that we have reset, which are remembered for a while in case frames for them are on their way.
        .max_concurrent_reset_streams(REMEMBERED_RESETS)
        .reset_stream_duration(REMEMBERED_FOR)
        // What streams may have sent that nobody has read.
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // The memory that small DATA frames take beside their content while nobody reads them.
        .data_frame_budget(DATA_FRAME_BYTES)
        // What is written to a stream and waits for its client.
        .max_send_buffer_size(SEND_BUFFER)
        .max_frame_size(FRAME);
    options
}

/// The next stream; while there are too many tasks, none is taken, and the connection goes on. The crate keeps a few
/// streams for later then, and ends the connection when they are reset as well.
async fn next(
    connection: &mut Connection<Stream, Bytes>,
    digest: &Arc<Digest>,
    has_room: bool,
) -> Result<Option<H2Accept>, Box<Error>> {
    if has_room {
        return HttpSession::from_h2_conn(connection, Arc::clone(digest)).await;
    }
    match poll_fn(|cx| connection.poll_closed(cx)).await {
        Ok(()) => Ok(None),
        Err(error) => Error::e_because(ErrorType::H2Error, "with all places taken", error),
    }
}

/// The counter's reason, when it is the client's doing that its connection has ended with `error`. That it has simply left
/// is everyday.
fn abuse(error: &Error) -> Option<&'static str> {
    let cause = error.root_cause().downcast_ref::<h2::Error>()?;
    if !cause.is_library() {
        return None;
    }
    Some(match cause.reason()? {
        Reason::ENHANCE_YOUR_CALM => "http2_too_much",
        Reason::COMPRESSION_ERROR => "http2_compression",
        Reason::FLOW_CONTROL_ERROR => "http2_flow_control",
        _ => "http2_protocol",
    })
}

/// What [`service`](super::service) and others find of a request's connection in its digest.
pub(super) struct Passport {
    /// What is known of its TLS.
    pub(super) tls: Option<Arc<Secured>>,
    pub(super) backlog: Arc<Backlog>,
}

fn passport(ends: &Ends, backlog: &Arc<Backlog>) -> Result<Option<Arc<ProxyDigest>>, &'static str> {
    let passport = Passport { tls: ends.tls.clone(), backlog: Arc::clone(backlog) };
    let head = ResponseHeader::build(200, None).map_err(|_| "http2_handshake")?;
    Ok(Some(Arc::new(ProxyDigest::new(Box::new(head), Some(Box::new(passport))))))
}

impl Passport {
    /// That of the connection on which a request of HTTP/2 with this digest came.
    pub(super) fn of(digest: &Digest) -> Option<&Self> {
        digest.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
    }
}

/// A library has answered a stream by itself and shows nothing of it: pingora for a target, `h2` for the size of the head.
/// What is known is recorded, under the id that the client was told, if it was.
fn record_refused(shared: &Arc<Shared>, ends: &Ends, trouble: Trouble, status: u16, id: Option<String>) {
    let head = RequestHead { protocol: b"HTTP/2.0".to_vec(), ..RequestHead::default() };
    let arrival =
        Arrival { head, peer: ends.peer, server: ends.server, secure: ends.secure, tls: ends.tls.clone() };
    let exchange = Exchange::begin_as(shared, arrival, id);
    exchange.note(EventKind::MalformedRequest, "refused by the HTTP library");
    let _ = exchange.answer(&trouble);
    exchange.finish(status, 0, 0);
}

/// A tunnel is asked for, with `:protocol` or without. pingora answers 405 by itself; the rules and the record see
/// what it was.
async fn record_tunnel(shared: &Arc<Shared>, ends: &Ends, request: &RequestHeader) {
    let head = heads::tunnel(request);
    let arrival =
        Arrival { head, peer: ends.peer, server: ends.server, secure: ends.secure, tls: ends.tls.clone() };
    let exchange = Exchange::begin(shared, arrival);
    let _ = exchange.request_headers().await;
    let _ = exchange.request_end().await;
    let _ = exchange.answer(&Trouble::Tunnel);
    exchange.finish(405, 0, 0);
}

/// Streams that may be open at once on a connection.
const MAX_STREAMS: u32 = 128;

/// Requests of a connection that may be under way, those included whose streams the client has reset meanwhile.
const MAX_TASKS: usize = 256;

/// Malformed streams after which a connection is ended.
const MAX_MALFORMED: usize = 32;

/// See [`options`].
const PENDING_RESETS: usize = 20;
const LOCAL_RESETS: usize = 256;
const REMEMBERED_RESETS: usize = 32;
const REMEMBERED_FOR: Duration = Duration::from_secs(1);
const STREAM_WINDOW: u32 = 64 * 1024 - 1;
const CONNECTION_WINDOW: u32 = 256 * 1024;
const DATA_FRAME_BYTES: usize = 1024 * 1024;
const SEND_BUFFER: usize = 64 * 1024;
const FRAME: u32 = 16 * 1024;

/// How long a client without streams has to close a connection that it was told is ending.
const LAST_WORD: Duration = Duration::from_secs(5);

/// How long it may take a client to hear why its connection ends.
const GOODBYE: Duration = Duration::from_secs(1);
