//! Heads of HTTP/2 requests, as the library has read them, in the form in which rules see those of HTTP/1.

use super::exchange::Arrival;
use super::http2::Passport;
use crate::config::ClientLimits;
use crate::http::{Fault, RequestHead};
use http::{Version, header};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use std::net::{Ipv4Addr, SocketAddr};

/// The head of a request as rules see it, and the session's own made so that HTTP/1 origins read the same.
pub(super) fn arrival(session: &mut Session, limits: &ClientLimits) -> Arrival {
    let request = session.req_header_mut();
    // RFC 9113 §8.2.3: cookie crumbs are one field for everybody who does not speak HTTP/2.
    let crumbs: Vec<&[u8]> =
        request.headers.get_all(header::COOKIE).iter().map(http::HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(joined) = http::HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        // Inserting a valid name and value cannot fail.
        let _ = request.insert_header(header::COOKIE, joined);
    }
    let types: Vec<&[u8]> =
        request.headers.get_all(header::CONTENT_TYPE).iter().map(http::HeaderValue::as_bytes).collect();
    let mut faults = Vec::new();
    if types.len() > 1
        && let Ok(joined) = http::HeaderValue::from_bytes(&types.join(&b", "[..]))
    {
        let _ = request.insert_header(header::CONTENT_TYPE, joined);
        faults.push(Fault::ContentTypeJoined);
    }
    let protocol: &[u8] = match request.version {
        Version::HTTP_2 => b"HTTP/2.0",
        Version::HTTP_10 => b"HTTP/1.0",
        _ => b"HTTP/1.1",
    };
    let method = request.method.as_str().as_bytes().to_vec();
    let target = request.raw_path().to_vec();
    // The library takes `*` for any method, and upstreams take it for `OPTIONS` only (RFC 9110 §7.1).
    if target == b"*" && method != b"OPTIONS" {
        faults.push(Fault::BadTarget);
    }
    let mut headers = fields(request);
    // As of HTTP/1, where the front finds them.
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    if target.len() > limits.uri_bytes {
        faults.push(Fault::RequestLineTooLong);
    }
    if headers.len() > limits.headers {
        faults.push(Fault::TooManyHeaders);
    }
    if bytes + target.len() > limits.head_bytes {
        faults.push(Fault::HeadTooLong);
    }
    name_host(request, &mut headers);
    let is_continue = |v: &http::HeaderValue| v.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if request.headers.get(header::EXPECT).is_some_and(is_continue) {
        request.remove_header(&header::EXPECT);
    }
    let line = [&method[..], b" ", &target, b" ", protocol].concat();
    let head = RequestHead {
        line,
        method,
        target,
        protocol: protocol.to_vec(),
        headers,
        faults,
        ..RequestHead::default()
    };
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    Arrival {
        head,
        peer: session.client_addr().and_then(|a| a.as_inet()).copied().unwrap_or(nowhere),
        server: session.server_addr().and_then(|a| a.as_inet()).copied().unwrap_or(nowhere),
        secure: session.digest().is_some_and(|digest| digest.ssl_digest.is_some()),
        tls: session.digest().and_then(Passport::of).and_then(|passport| passport.tls.clone()),
    }
}

/// The head of a request for a tunnel.
pub(super) fn tunnel(request: &RequestHeader) -> RequestHead {
    let authority = request.uri.authority().map(|a| a.as_str().as_bytes().to_vec()).unwrap_or_default();
    let mut headers = fields(request);
    name_host(request, &mut headers);
    let line = [&b"CONNECT "[..], &authority, b" HTTP/2.0"].concat();
    let (method, protocol) = (b"CONNECT".to_vec(), b"HTTP/2.0".to_vec());
    RequestHead { line, method, target: authority, protocol, headers, ..RequestHead::default() }
}

fn fields(request: &RequestHeader) -> Vec<(Vec<u8>, Vec<u8>)> {
    let all = request.headers.iter();
    all.map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

/// Adds the host that HTTP/2 names in `:authority`, unless there is a field for it.
fn name_host(request: &RequestHeader, headers: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    if !request.headers.contains_key(header::HOST)
        && let Some(authority) = request.uri.authority()
    {
        headers.insert(0, (b"host".to_vec(), authority.as_str().as_bytes().to_vec()));
    }
}
