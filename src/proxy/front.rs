//! HTTP/1 connections: reads each request's head itself, and hands what is sound to pingora.
//!
//! pingora answers malformed heads by itself and shows nobody what they were, normalises targets before the
//! application sees them, and lets a head trickle in without a deadline. So the head is read here, in limited time
//! and size, as raw bytes. A fatal one is shown to the rules as far as it can be read, reported, answered and
//! never forwarded. A sound one is written anew for pingora's parser, so that what goes upstream is what was
//! inspected and nothing that only one of the two parsers would have seen.

use super::answer::{Action, Answer, Trouble};
use super::connect;
use super::exchange::{Arrival, Exchange, Shared, Step};
use super::replay::Cloakroom;
use super::secured::Secured;
use super::service::Service;
use crate::config::ClientLimits;
use crate::engine::EventKind;
use crate::http::{Fault, Framing, HeadLimits, HeadScan, RequestHead, Target, TargetForm};
use bytes::{Bytes, BytesMut};
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

/// The ends of a connection.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    /// The client's, or what a PROXY header said of it.
    pub(super) peer: SocketAddr,
    /// Ours.
    pub(super) server: SocketAddr,
    /// Whether over TLS.
    pub(super) secure: bool,
    /// What is known of that.
    pub(super) tls: Option<Arc<Secured>>,
}

/// What travels with a request through pingora: its head, and how its session comes back.
pub(super) struct Passage {
    pub(super) arrival: Arc<Arrival>,
    pub(super) back: Arc<WayBack>,
}

/// How a request's session comes back from pingora, which itself gives no pipelined bytes away.
#[derive(Default)]
pub(super) struct WayBack {
    pub(super) cloakroom: Cloakroom,
    /// pingora's parser took the head, and the service saw the request.
    pub(super) seen: AtomicBool,
    /// The connection may carry another request.
    pub(super) keep: AtomicBool,
}

/// Serves an HTTP/1 connection to its end.
pub(super) async fn serve(
    proxy: &Arc<HttpProxy<Service>>,
    shared: &Arc<Shared>,
    mut stream: Stream,
    ends: Ends,
    shutdown: &ShutdownWatch,
) {
    let mut buffer = BytesMut::new();
    loop {
        let limits = shared.current.load().config.client.clone();
        let head_end = match read_head(&mut stream, &mut buffer, &limits, shutdown).await {
            HeadRead::Complete(end) => end,
            HeadRead::Closed => {
                // Nothing was answered just now that could be lost.
                let _ = timeout(LINGER_TIME, stream.shutdown()).await;
                return;
            }
            HeadRead::Broken(trouble) => {
                let body = buffer.split_off(buffer.len());
                let head = parse(&buffer, &limits);
                // A request of HTTP/0.9 is whole with its line, and nothing need follow.
                let is_whole = head.is_simple() && buffer.contains(&b'\n');
                let trouble = match trouble {
                    Trouble::HeadLate | Trouble::HeadCut if is_whole => {
                        Trouble::Malformed(Fault::VersionMissing)
                    }
                    trouble => trouble,
                };
                return refuse(shared, stream, ends, head, body, trouble).await;
            }
        };
        let rest = buffer.split_off(head_end);
        let head = parse(&buffer, &limits);
        let trouble = match head.fatal() {
            Some(fault) => Some(Trouble::Malformed(fault)),
            None if head.framing == Framing::Ambiguous => Some(Trouble::Malformed(Fault::BadContentLength)),
            None => None,
        };
        if let Some(trouble) = trouble {
            return refuse(shared, stream, ends, head, rest, trouble).await;
        }
        if head.method == b"CONNECT" {
            let arrival = Arrival {
                head,
                peer: ends.peer,
                server: ends.server,
                secure: ends.secure,
                tls: ends.tls.clone(),
            };
            return connect::serve(shared, stream, arrival).await;
        }

        let mut wire = write_head(&head);
        wire.unsplit(rest);
        let back = Arc::new(WayBack::default());
        let arrival = Arrival {
            head,
            peer: ends.peer,
            server: ends.server,
            secure: ends.secure,
            tls: ends.tls.clone(),
        };
        let arrival = Arc::new(arrival);
        let passage = Passage { arrival: Arc::clone(&arrival), back: Arc::clone(&back) };
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive(Some(0));
        session.set_pipelining_enabled(true);
        session.set_total_drain_timeout(Some(DRAIN_TIME));
        session.set_pipelined_prefix(wire);
        session.set_connection_user_context(Some(Box::new(passage)));
        // Whatever it returns is empty: the session comes back through the cloakroom.
        let _ = proxy.process_new_http(session, shutdown).await;

        if !back.seen.load(Ordering::Acquire) {
            // pingora's parser is stricter somewhere, and has answered 400 by itself.
            let exchange = Exchange::begin(shared, arrival);
            let _ = exchange.request_headers().await;
            let _ = exchange.request_end().await;
            exchange.note(EventKind::MalformedRequest, "refused by the HTTP library");
            let _ = exchange.answer(&Trouble::Unparsable);
            exchange.finish(400, 0, 0);
            return;
        }
        let Some(ServerSession::H1(session)) = back.cloakroom.collect() else { return };
        let keep = back.keep.load(Ordering::Acquire) && session.will_keepalive();
        if !keep {
            return close(session.into_inner()).await;
        }
        match session.reuse().await {
            Ok(Some(reusable)) => {
                let (next, prefix) = reusable.into_parts();
                stream = next;
                buffer = prefix.unwrap_or_default();
            }
            Ok(None) | Err(_) => return,
        }
    }
}

/// What came of waiting for a head.
enum HeadRead {
    /// It ends at this offset of the buffer.
    Complete(usize),
    /// The client went away between requests, or idled too long.
    Closed,
    /// It began and did not become one.
    Broken(Trouble),
}

/// Reads until `buffer` holds a whole head.
async fn read_head(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    limits: &ClientLimits,
    shutdown: &ShutdownWatch,
) -> HeadRead {
    let mut scan = HeadScan::default();
    let mut shutdown = shutdown.clone();
    let mut deadline = None;
    let mut idle_until = None;
    let mut last_call = None;
    loop {
        if let Some(end) = scan.find(buffer) {
            if end > limits.head_bytes {
                return HeadRead::Broken(Trouble::Malformed(Fault::HeadTooLong));
            }
            return HeadRead::Complete(end);
        }
        if buffer.len() > limits.head_bytes {
            return HeadRead::Broken(Trouble::Malformed(Fault::HeadTooLong));
        }
        // Line ends before a request line are no request yet; only a client that sends something is late.
        let is_idle = buffer.iter().all(|b| matches!(b, b'\r' | b'\n'));
        let until = if is_idle {
            // Nor do they keep a connection.
            last_call.unwrap_or_else(|| *idle_until.get_or_insert_with(|| Instant::now() + limits.keep_alive))
        } else {
            *deadline.get_or_insert_with(|| Instant::now() + limits.head_timeout)
        };
        let room = limits.head_bytes.saturating_sub(buffer.len()).saturating_add(1).min(READ_SIZE);
        buffer.reserve(room);
        let read = tokio::select! {
            biased;
            read = timeout_at(until, stream.read_buf(buffer)) => read,
            // A request may be on its way that was sent before the client could know. It gets its answer, which says
            // that it is the last one.
            _ = shutdown.wait_for(|stop| *stop), if is_idle && last_call.is_none() => {
                last_call = Some(Instant::now() + LAST_CALL);
                continue;
            }
        };
        match read {
            Ok(Ok(0)) | Ok(Err(_)) if is_idle => return HeadRead::Closed,
            Ok(Ok(0)) | Ok(Err(_)) => return HeadRead::Broken(Trouble::HeadCut),
            Ok(Ok(_)) => {}
            Err(_) if is_idle => return HeadRead::Closed,
            Err(_) => return HeadRead::Broken(Trouble::HeadLate),
        }
    }
}

fn parse(bytes: &[u8], limits: &ClientLimits) -> RequestHead {
    let limits = HeadLimits { bytes: limits.head_bytes, line: limits.uri_bytes, fields: limits.headers };
    RequestHead::parse(bytes, &limits)
}

/// The head for pingora's parser and, through it, for the upstream: the fields that were inspected, the target
/// percent-encoded where it must be and in origin form. Left out are `Expect`, which is answered here, and upgrades to
/// anything but WebSocket.
fn write_head(head: &RequestHead) -> BytesMut {
    let target = head.normalised_target();
    let parts = Target::parse(&head.method, &target);
    let mut out = BytesMut::with_capacity(head.line.len() + 64 + 64 * head.headers.len());
    out.extend_from_slice(&head.method);
    out.extend_from_slice(b" ");
    let mut authority = None;
    if parts.form == TargetForm::Absolute {
        authority = parts.authority;
        out.extend_from_slice(if parts.path.is_empty() { b"/" } else { parts.path });
        if let Some(query) = parts.query {
            out.extend_from_slice(b"?");
            out.extend_from_slice(query);
        }
    } else {
        out.extend_from_slice(&target);
    }
    out.extend_from_slice(b" ");
    out.extend_from_slice(&head.protocol);
    out.extend_from_slice(b"\r\n");
    if let Some(authority) = authority
        && head.values("host").next().is_none()
    {
        out.extend_from_slice(b"Host: ");
        out.extend_from_slice(authority);
        out.extend_from_slice(b"\r\n");
    }
    let is_websocket = asks_for_websocket(head);
    for (name, value) in &head.headers {
        if name.eq_ignore_ascii_case(b"expect") && value.eq_ignore_ascii_case(b"100-continue") {
            continue;
        }
        let is_upgrade =
            name.eq_ignore_ascii_case(b"upgrade") || name.eq_ignore_ascii_case(b"http2-settings");
        if is_upgrade && !is_websocket {
            continue;
        }
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Whether this is the handshake of RFC 6455 §4.1, and of no other protocol. An upstream that switches to anything that
/// carries requests (`h2c`) would be handed requests that nobody looks at; a server need not switch (RFC 9110 §7.8).
fn asks_for_websocket(head: &RequestHead) -> bool {
    let mut protocols = head.values("upgrade");
    let is_websocket = protocols.next().is_some_and(|p| p.eq_ignore_ascii_case(b"websocket"));
    head.method == b"GET" && is_websocket && protocols.next().is_none()
}

/// Shows the rules what there is of a request that will not be served, reports it, and answers.
async fn refuse(
    shared: &Arc<Shared>,
    mut stream: Stream,
    ends: Ends,
    head: RequestHead,
    mut body: BytesMut,
    trouble: Trouble,
) {
    match delimited(&head) {
        Some(length) => {
            complete(&mut stream, &mut body, length).await;
            body.truncate(length);
        }
        None => body.clear(),
    }
    let arrival =
        Arrival { head, peer: ends.peer, server: ends.server, secure: ends.secure, tls: ends.tls.clone() };
    let exchange = Exchange::begin(shared, arrival);
    let blocked = look(&exchange, &body).await;
    match &trouble {
        Trouble::Malformed(fault) => {
            exchange.note(EventKind::MalformedRequest, &format!("{}: {}", fault.name(), fault.sentence()));
        }
        Trouble::HeadLate => exchange.note(EventKind::MalformedRequest, "the head did not arrive in time"),
        Trouble::HeadCut => {
            exchange.note(EventKind::MalformedRequest, "the connection ended within the head");
        }
        _ => {}
    }
    // A rule may only change how a refused request is refused: by closing without an answer.
    let mut answer = exchange.answer(&trouble);
    if let Some(trouble) = blocked
        && trouble.answer(&exchange.policy()).action == Action::Abandon
    {
        answer = exchange.answer(&trouble);
    }
    let status = say(&mut stream, &exchange, &answer).await;
    exchange.finish(status, u64::try_from(body.len()).unwrap_or(u64::MAX), 0);
    close(stream).await;
}

/// Answers without pingora, on a connection that ends with it. Returns the status that was sent; 0 if none was.
pub(super) async fn say(stream: &mut Stream, exchange: &Exchange, answer: &Answer) -> u16 {
    let Some(page) = exchange.page(answer) else { return 0 };
    // To a request of HTTP/0.9 the content is all of the answer (RFC 1945 §6).
    let bytes = match exchange.arrival.head.is_simple() {
        true => page.body.to_vec(),
        false => page.to_http1(!exchange.is_head()),
    };
    send(stream, &bytes).await.map_or(0, |()| page.status)
}

/// Writes all of `bytes`, if the client takes them in time.
pub(super) async fn send(stream: &mut Stream, bytes: &[u8]) -> Option<()> {
    let sent = timeout(LINGER_TIME, async {
        stream.write_all(bytes).await?;
        stream.flush().await
    });
    sent.await.ok()?.ok()
}

/// The length of a refused request's body, if one header tells it and nothing contradicts. Good enough to show
/// the rules what came, and for nothing else: no byte of it is forwarded.
fn delimited(head: &RequestHead) -> Option<usize> {
    let mut lengths = head.values("content-length");
    let length = std::str::from_utf8(lengths.next()?).ok()?.parse().ok()?;
    let is_alone = lengths.next().is_none() && head.values("transfer-encoding").next().is_none();
    is_alone.then_some(length)
}

/// Phases 1 and 2 over what there is.
async fn look(exchange: &Arc<Exchange>, body: &[u8]) -> Option<Trouble> {
    if let Step::Stop(trouble) = exchange.request_headers().await {
        return Some(trouble);
    }
    if exchange.wants_request_body()
        && !body.is_empty()
        && let Step::Stop(trouble) = exchange.request_body(&Bytes::copy_from_slice(body)).await
    {
        return Some(trouble);
    }
    match exchange.request_end().await {
        Step::Stop(trouble) => Some(trouble),
        Step::Pass | Step::LimitReached => None,
    }
}

/// Reads what is missing of a body of `length` bytes, if it is short and on its way.
async fn complete(stream: &mut Stream, body: &mut BytesMut, length: usize) {
    let deadline = Instant::now() + GLANCE_TIME;
    while body.len() < length.min(GLANCE_BYTES) {
        match timeout_at(deadline, stream.read_buf(body)).await {
            Ok(Ok(n)) if n > 0 => {}
            _ => return,
        }
    }
}

/// Closes a connection so that the client can still read the last answer: our half first, and then what the
/// client has sent is read and forgotten for a while. Closing a socket with unread bytes in it would reset the
/// connection and take the answer away (RFC 9112 §9.6).
pub(super) async fn close(mut stream: Stream) {
    let deadline = Instant::now() + LINGER_TIME;
    // A client that reads nothing keeps even this from ending.
    let _ = timeout_at(deadline, stream.shutdown()).await;
    let mut sink = vec![0; READ_SIZE];
    let mut left = LINGER_BYTES;
    while left > 0 {
        match timeout_at(deadline, stream.read(&mut sink)).await {
            Ok(Ok(n)) if n > 0 => left = left.saturating_sub(n),
            _ => return,
        }
    }
}

/// Bytes asked of a socket at a time.
const READ_SIZE: usize = 8 * 1024;

/// How long, and for how much, the body of a refused request is waited for.
const GLANCE_TIME: Duration = Duration::from_millis(200);
const GLANCE_BYTES: usize = 64 * 1024;

/// How long a connection lingers after its last answer, and how much it swallows meanwhile.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 4 * 1024 * 1024;

/// How long an idle connection is kept in a shutdown, for a request that is on its way.
const LAST_CALL: Duration = Duration::from_millis(500);

/// How long the rest of a body may take that is only read so that the connection can be used again.
const DRAIN_TIME: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> String {
        let head = RequestHead::parse(text.as_bytes(), &HeadLimits::default());
        assert!(head.is_acceptable(), "{text}: {:?}", head.faults);
        String::from_utf8(write_head(&head).to_vec()).expect("text")
    }

    #[test]
    fn heads_are_written_so_that_one_reading_remains() {
        assert_eq!(
            rewritten("\r\nGET /a\u{e9}<b>?x=\"1\" HTTP/1.1\r\nHost:  a.test \r\nX: 1\r\n\r\n"),
            "GET /a%C3%A9%3Cb%3E?x=%221%22 HTTP/1.1\r\nHost: a.test\r\nX: 1\r\n\r\n",
        );
        assert_eq!(
            rewritten("GET http://a.test?x HTTP/1.1\r\nHost: a.test\r\nExpect: 100-Continue\r\n\r\n"),
            "GET /?x HTTP/1.1\r\nHost: a.test\r\n\r\n",
        );
        assert_eq!(
            rewritten("GET http://a.test/p HTTP/1.0\r\n\r\n"),
            "GET /p HTTP/1.0\r\nHost: a.test\r\n\r\n",
        );
        for (upgrade, left) in [
            ("Upgrade: WebSocket\r\n", "Upgrade: WebSocket\r\n"),
            ("Upgrade: h2c\r\nHTTP2-Settings: AA\r\n", ""),
            ("Upgrade: websocket, h2c\r\n", ""),
            ("Upgrade: websocket\r\nUpgrade: h2c\r\n", ""),
        ] {
            assert_eq!(
                rewritten(&format!("GET / HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n")),
                format!("GET / HTTP/1.1\r\nHost: a\r\n{left}\r\n"),
            );
        }
    }
}
