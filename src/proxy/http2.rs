//! HTTP/2 connections: accepts streams and hands each to pingora as a request of its own.
//!
//! The loop is our own so that what pingora refuses while it accepts a stream is recorded, and an idle
//! connection ends. Frames and header compression are the `h2` crate's.

use super::answer::Trouble;
use super::exchange::{Arrival, Exchange, Shared};
use super::front::Ends;
use super::secured::Secured;
use super::service::Service;
use crate::engine::EventKind;
use crate::http::RequestHead;
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{self, H2Accept, HttpSession};
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{Digest, Stream};
use pingora_core::server::ShutdownWatch;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::HttpProxy;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Serves an HTTP/2 connection to its end.
///
/// # Errors
///
/// A counter's reason, when the connection does not begin as HTTP/2 does, or brings too many streams that are
/// malformed.
pub(super) async fn serve(
    proxy: &Arc<HttpProxy<Service>>,
    shared: &Arc<Shared>,
    stream: Stream,
    ends: Ends,
    shutdown: &ShutdownWatch,
) -> Result<(), &'static str> {
    let limits = shared.current.load().config.client.clone();
    let digest = Arc::new(Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        // pingora has no other place in which an HTTP/2 request finds something of its connection. A client's connection
        // has no digest of its own there.
        proxy_digest: passport(&ends)?,
        socket_digest: stream.get_socket_digest(),
    });
    let mut options = server::default_h2_options();
    options.max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX));
    options.max_concurrent_streams(MAX_STREAMS);
    let handshake = timeout(limits.head_timeout, server::handshake(stream, Some(options)));
    let Ok(Ok(mut connection)) = handshake.await else { return Err("http2_handshake") };
    let mut stop = shutdown.clone();
    let mut is_stopping = false;
    let mut malformed = 0;
    let mut streams = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop), if !is_stopping => {
                connection.graceful_shutdown();
                is_stopping = true;
                continue;
            }
            accepted = HttpSession::from_h2_conn(&mut connection, Arc::clone(&digest)) => accepted,
            Some(_) = streams.join_next(), if !streams.is_empty() => continue,
            () = tokio::time::sleep(limits.keep_alive), if streams.is_empty() && !is_stopping => {
                connection.graceful_shutdown();
                is_stopping = true;
                continue;
            }
        };
        match accepted {
            Ok(Some(H2Accept::Session(session))) => {
                if session.req_header().method == ::http::Method::CONNECT {
                    record_tunnel(shared, &ends, session.req_header()).await;
                }
                let (proxy, shutdown) = (Arc::clone(proxy), shutdown.clone());
                streams.spawn(async move {
                    proxy.process_new_http(ServerSession::new_http2(session), &shutdown).await;
                });
            }
            Ok(Some(H2Accept::Rejected)) => {
                record_refused(shared, &ends);
                malformed += 1;
                if malformed >= MAX_MALFORMED {
                    return Err("http2_too_many_malformed");
                }
            }
            // Ended, in good order or because the client simply left: both are everyday.
            Ok(None) | Err(_) => break,
        }
    }
    while streams.join_next().await.is_some() {}
    Ok(())
}

/// What [`service`](super::service) takes from a request's digest by [`tls_of`].
fn passport(ends: &Ends) -> Result<Option<Arc<ProxyDigest>>, &'static str> {
    let Some(tls) = ends.tls.clone() else { return Ok(None) };
    let head = ResponseHeader::build(200, None).map_err(|_| "http2_handshake")?;
    Ok(Some(Arc::new(ProxyDigest::new(Box::new(head), Some(Box::new(tls))))))
}

/// What is known of the TLS connection that a request of HTTP/2 with this digest came on.
pub(super) fn tls_of(digest: &Digest) -> Option<Arc<Secured>> {
    digest.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref::<Arc<Secured>>().cloned()
}

/// pingora has answered a stream with 400 for its target, and shows nothing of it: what is known is recorded.
fn record_refused(shared: &Arc<Shared>, ends: &Ends) {
    let head = RequestHead { protocol: b"HTTP/2.0".to_vec(), ..RequestHead::default() };
    let arrival =
        Arrival { head, peer: ends.peer, server: ends.server, secure: ends.secure, tls: ends.tls.clone() };
    let exchange = Exchange::begin(shared, arrival);
    exchange.note(EventKind::MalformedRequest, "refused by the HTTP library");
    let _ = exchange.answer(&Trouble::Unparsable);
    exchange.finish(400, 0, 0);
}

/// A tunnel is asked for, with `:protocol` or without. pingora answers 405 by itself; the rules and the record see
/// what it was.
async fn record_tunnel(shared: &Arc<Shared>, ends: &Ends, request: &RequestHeader) {
    let bytes = |name: &::http::HeaderName, value: &::http::HeaderValue| {
        (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())
    };
    let authority = request.uri.authority().map(|a| a.as_str().as_bytes().to_vec()).unwrap_or_default();
    let mut headers: Vec<_> = request.headers.iter().map(|(name, value)| bytes(name, value)).collect();
    if !request.headers.contains_key(::http::header::HOST) {
        headers.insert(0, (b"host".to_vec(), authority.clone()));
    }
    let line = [&b"CONNECT "[..], &authority, b" HTTP/2.0"].concat();
    let (method, protocol) = (b"CONNECT".to_vec(), b"HTTP/2.0".to_vec());
    let head = RequestHead { line, method, target: authority, protocol, headers, ..RequestHead::default() };
    let arrival =
        Arrival { head, peer: ends.peer, server: ends.server, secure: ends.secure, tls: ends.tls.clone() };
    let exchange = Exchange::begin(shared, arrival);
    let _ = exchange.request_headers();
    let _ = exchange.request_end().await;
    let _ = exchange.answer(&Trouble::Tunnel);
    exchange.finish(405, 0, 0);
}

/// Streams that may be open at once on a connection.
const MAX_STREAMS: u32 = 128;

/// Malformed streams after which a connection is ended.
const MAX_MALFORMED: usize = 32;
