//! Takes in a request's body: reads it for inspection and keeps it for the upstream, or reads it away.

use super::answer::{Action, Answer, Trouble};
use super::exchange::{Exchange, Step};
use super::replay::Stored;
use crate::config::Site;
use crate::http::{Framing, RequestHead};
use bytes::{Bytes, BytesMut};
use pingora_core::protocols::http::ServerSession;
use pingora_core::{Error, ErrorType};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Reads the body up to its end or the limit at which inspection stops, and shows it to the rules.
///
/// # Errors
///
/// The answer, when the client is too slow, breaks off or frames its body wrongly, when a limit refuses the body,
/// or a failure inside refuses the request.
pub(super) async fn read(
    session: &mut ServerSession,
    exchange: &Arc<Exchange>,
    site: &Site,
) -> Result<Stored, Answer> {
    let end = Instant::now() + site.timeouts.body_total;
    // Most bodies come in one piece; only the others are copied together.
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut is_complete = false;
    loop {
        let until = end.min(Instant::now() + site.timeouts.body_read);
        let chunk = match timeout_at(until, session.read_request_body()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => {
                is_complete = true;
                break;
            }
            Ok(Err(error)) => return Err(exchange.answer(&trouble(&error))),
            Err(_) => return Err(exchange.answer(&Trouble::BodyLate)),
        };
        let step = exchange.request_body(&chunk).await;
        match &mut first {
            None => first = Some(chunk),
            Some(_) => rest.extend_from_slice(&chunk),
        }
        match step {
            Step::Pass => {}
            Step::LimitReached => break,
            Step::Stop(trouble) => {
                let answer = exchange.answer(&trouble);
                if answer.action != Action::Pass {
                    return Err(answer);
                }
                break;
            }
        }
    }
    let first = first.unwrap_or_default();
    let bytes = if rest.is_empty() {
        first
    } else {
        let mut all = BytesMut::with_capacity(first.len() + rest.len());
        all.extend_from_slice(&first);
        all.extend_from_slice(&rest);
        all.freeze()
    };
    Ok(Stored { bytes, is_complete: is_complete || session.is_body_done() })
}

/// Reads away what is left of a body that nobody wants, so that the connection can be used again. `false` when
/// that would take too much, so that closing the connection is better.
pub(super) async fn drain(session: &mut ServerSession, head: &RequestHead) -> bool {
    if session.is_body_done() {
        return true;
    }
    let is_large = matches!(head.framing, Framing::Length(n) if n > DRAIN_BYTES);
    // A client that waits for 100 (Continue) has not sent its body, and need not.
    if is_large || head.values("expect").next().is_some() {
        return false;
    }
    let until = Instant::now() + DRAIN_TIME;
    let mut read = 0_u64;
    loop {
        match timeout_at(until, session.read_request_body()).await {
            Ok(Ok(Some(chunk))) => read += u64::try_from(chunk.len()).unwrap_or(u64::MAX),
            Ok(Ok(None)) => return true,
            Ok(Err(_)) | Err(_) => return false,
        }
        if read > DRAIN_BYTES {
            return false;
        }
    }
}

fn trouble(error: &Error) -> Trouble {
    match error.etype() {
        ErrorType::ReadTimedout => Trouble::BodyLate,
        ErrorType::ReadError | ErrorType::ConnectionClosed | ErrorType::H2Error => Trouble::ClientGone,
        _ => Trouble::BodyMalformed,
    }
}

/// What is read away at most, and for how long.
const DRAIN_BYTES: u64 = 256 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);
