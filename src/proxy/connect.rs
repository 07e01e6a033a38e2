//! `CONNECT` over HTTP/1: a request like any other for the rules and the upstream, and never a tunnel.
//!
//! pingora refuses the method, as its way of copying bytes to and fro would make a tunnel of what follows a 2xx. So
//! nothing of it is used here but connecting. The upstream gets one head and no body; the client gets one head and no
//! body; then both connections end. There is no code here that copies a byte from one to the other.

use super::answer::{Answer, Trouble};
use super::attempts::Attempts;
use super::diagnosis::{connect_trouble, trouble_of};
use super::exchange::{Arrival, Exchange, Shared};
use super::service;
use super::{front, routing};
use crate::config::UpstreamHttp2;
use crate::engine::EventKind;
use crate::http::Fault;
use ::http::header;
use pingora_core::connectors::http::v1::Connector;
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::timeout;

/// Connects to upstreams. Made when it is first needed, as it reads the system's certificate authorities.
#[derive(Default)]
pub(super) struct Dialler(OnceLock<Connector>);

/// Serves the request to the end of its connection.
pub(super) async fn serve(shared: &Arc<Shared>, mut stream: Stream, arrival: Arrival) {
    let exchange = Exchange::begin(shared, arrival);
    let status = match ask(shared, &exchange).await {
        Ok(response) => write(&mut stream, &exchange, &response).await,
        Err(answer) => front::say(&mut stream, &exchange, &answer).await,
    };
    exchange.finish(status, 0, 0);
    front::close(stream).await;
}

/// All phases, and the upstream between the second and the third.
async fn ask(shared: &Shared, exchange: &Arc<Exchange>) -> Result<ResponseHeader, Answer> {
    let head = &exchange.arrival.head;
    exchange.settle(exchange.screen().await)?;
    exchange.settle(exchange.admit_inspection())?;
    exchange.settle(exchange.request_headers().await)?;
    let Some(site) = exchange.site() else { return Err(exchange.answer(&Trouble::NoSite)) };
    exchange.admit()?;
    if !exchange.also_serves(&routing::target_host(head)) {
        // An origin may go by either name, and here the other one has other rules.
        let fault = Fault::HostMismatch;
        exchange.note(EventKind::MalformedRequest, &format!("{}: {}", fault.name(), fault.sentence()));
        return Err(exchange.answer(&Trouble::Malformed(fault)));
    }
    if head.values("content-length").any(|v| v != b"0") || head.values("transfer-encoding").next().is_some() {
        exchange.note(EventKind::RequestBodyUninspected, "the body of CONNECT is not read, and goes nowhere");
    }
    exchange.settle(exchange.request_end().await)?;
    exchange.settle(exchange.screen_by_rules().await)?;

    let mut attempts = Attempts::default();
    let dialled = dial(shared, exchange, &mut attempts).await;
    let mut session = dialled.map_err(|trouble| exchange.answer(&trouble))?;
    let request =
        request(exchange, attempts.present()).map_err(|_| exchange.answer(&Trouble::Unforwardable))?;
    let patience = site.timeouts.first_byte.unwrap_or(site.timeouts.read);
    (session.write_timeout, session.read_timeout) = (Some(site.timeouts.write), Some(patience));
    let whole = site.timeouts.total.unwrap_or(UNBOUNDED);
    let response = match timeout(whole, converse(&mut session, request)).await {
        Ok(response) => response,
        Err(_) => Error::e_explain(ErrorType::ReadTimedout, "the upstream took too long"),
    };
    session.shutdown().await;
    drop(session);
    let response = response.map_err(|error| exchange.answer(&trouble_of(&error.into_up())))?;

    let fields = response.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    exchange.settle(exchange.response_headers(response.status.as_u16(), b"HTTP/1.1", fields))?;
    exchange.settle(exchange.response_end().await)?;
    Ok(response)
}

/// A fresh connection to one of the site's upstreams.
async fn dial(shared: &Shared, exchange: &Exchange, attempts: &mut Attempts) -> Result<HttpSession, Trouble> {
    let runtime = exchange.runtime().ok_or(Trouble::NoSite)?;
    let connector = shared.dialler.0.get_or_init(|| Connector::new(None));
    let mut last = None;
    loop {
        let (_, backend) = match attempts.next(exchange, runtime) {
            Ok(next) => next,
            Err(trouble) => return Err(last.unwrap_or(trouble)),
        };
        exchange.set_upstream(&backend.config.url);
        let directory = &shared.directory;
        let peer = match backend.config.http2 {
            // RFC 9113 §8.5: a request without a path, and a stream that is the tunnel.
            UpstreamHttp2::Always => return Err(Trouble::Tunnel),
            _ => directory.peer(&backend.config, &runtime.config, true, directory.turn()).await,
        };
        let address = peer.as_ref().ok().map(|peer| peer._address.clone());
        match connected(connector, peer).await {
            Ok(session) => {
                attempts.connected(runtime);
                return Ok(session);
            }
            Err(trouble) => {
                let has_address = address.is_some_and(|address| directory.avoid(&backend.config, &address));
                if !attempts.not_connected(runtime, has_address) {
                    return Err(trouble);
                }
                exchange.upstream_failed(trouble.answer(&exchange.policy()).reason);
                last = Some(trouble);
            }
        }
    }
}

async fn connected(connector: &Connector, peer: Result<HttpPeer, Trouble>) -> Result<HttpSession, Trouble> {
    // Connections are never given back, so that each is a new one.
    let (session, _) = connector.get_http_session(&peer?).await.map_err(|error| connect_trouble(&error))?;
    Ok(session)
}

/// Sends the head and reads the final response's.
async fn converse(session: &mut HttpSession, request: RequestHeader) -> Result<ResponseHeader> {
    session.write_request_header(Box::new(request)).await?;
    for _ in 0..MAX_INTERIM {
        session.read_response().await?;
        let Some(response) = session.resp_header() else { break };
        match response.status.as_u16() {
            101 => break,
            100..200 => {}
            _ => return Ok(response.clone()),
        }
    }
    Error::e_explain(ErrorType::InvalidHTTPHeader, "no final response")
}

/// The head for the upstream: what was inspected, without what is about this connection or a body.
fn request(exchange: &Exchange, index: Option<usize>) -> Result<RequestHeader> {
    let head = &exchange.arrival.head;
    let mut request = RequestHeader::build("CONNECT", &head.target, Some(head.headers.len()))?;
    let is_nominated = |name: &[u8]| {
        let lists = head.values("connection").flat_map(|v| v.split(|b| *b == b','));
        lists.map(<[u8]>::trim_ascii).any(|n| n.eq_ignore_ascii_case(name))
    };
    for (name, value) in &head.headers {
        if is_hop_by_hop(name) || is_nominated(name) || name.eq_ignore_ascii_case(b"expect") {
            continue;
        }
        // Names are tokens: anything else was refused.
        request.append_header(String::from_utf8_lossy(name).into_owned(), value.as_slice())?;
    }
    if !request.headers.contains_key(header::HOST) {
        request.insert_header(header::HOST, head.target.as_slice())?;
    }
    service::describe(&mut request, exchange, index, None)?;
    request.insert_header(header::CONNECTION, "close")?;
    Ok(request)
}

/// Writes the response's head, and says that nothing follows. Returns the status that was sent; 0 if it was not.
async fn write(stream: &mut Stream, exchange: &Exchange, response: &ResponseHeader) -> u16 {
    let status = response.status;
    let reason = response.get_reason_phrase().unwrap_or_default();
    let mut out = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in &response.headers {
        if !is_hop_by_hop(name.as_str().as_bytes()) {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
    if let Some(name) = exchange.site().and_then(|site| site.request_id_header.as_deref()) {
        out.extend_from_slice(format!("{name}: {}\r\n", exchange.id).as_bytes());
    }
    // RFC 9110 §9.3.6: a 2xx to CONNECT has no length.
    if !status.is_success() {
        out.extend_from_slice(b"Content-Length: 0\r\n");
    }
    out.extend_from_slice(b"Connection: close\r\n\r\n");
    front::send(stream, &out).await.map_or(0, |()| status.as_u16())
}

/// Fields about one connection, or about a body that is not there.
fn is_hop_by_hop(name: &[u8]) -> bool {
    HOP_BY_HOP.iter().any(|h| name.eq_ignore_ascii_case(h.as_bytes()))
}

const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Interim responses before the final one.
const MAX_INTERIM: usize = 8;

/// For the whole of an answer where the site sets no bound; each read has one.
const UNBOUNDED: Duration = Duration::from_secs(86_400);
