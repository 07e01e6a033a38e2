//! Who the client is, and what the upstream is told about it.
//!
//! Only a trusted proxy's word counts: `X-Forwarded-For` and `Forwarded` (RFC 7239) are read from right to left,
//! as long as each hop that speaks is one of `trusted_proxies`. The first address that is not trusted is the
//! client, whatever stands to its left.
//!
//! A proxy that appends to one of the two headers passes the other one on as the client wrote it. So only a
//! family that the site uses (its policy is not `remove`) is believed: `X-Forwarded-For` unless told otherwise.

use crate::config::{Checked, ForwardedPolicy, Site};
use crate::http::RequestHead;
use ::http::HeaderName;
use pingora_core::Result;
use pingora_http::RequestHeader;
use std::net::{IpAddr, SocketAddr};

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// Its address, as far as trusted hops tell. The port is 0 unless the address is the peer's own or was given.
    pub(super) address: SocketAddr,
    /// Whether the peer of the connection is a trusted proxy, so that its headers may be extended.
    pub(super) peer_is_trusted: bool,
}

impl Client {
    /// The client of a request with `head` that came from `peer`.
    pub(super) fn find(config: &Checked, site: Option<&Site>, peer: SocketAddr, head: &RequestHead) -> Self {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if !config.trusts(peer.ip()) {
            return Self { address: peer, peer_is_trusted: false };
        }
        let hops = forwarded_for(site, head);
        let mut address = peer;
        for hop in hops.into_iter().rev() {
            // An unreadable or obfuscated hop ends what can be known: the last readable one stands.
            let Some(hop) = hop else { break };
            address = hop;
            if !config.trusts(hop.ip()) {
                break;
            }
        }
        Self { address, peer_is_trusted: true }
    }

    /// The transaction's id, where a trusted proxy has given one and `site` takes it: it goes into logs, headers, pages
    /// and the admin listener's paths, so one that holds anything else than the usual characters is none.
    pub(super) fn transaction_id(&self, site: Option<&Site>, head: &RequestHead) -> Option<String> {
        let site = site.filter(|site| site.request_id_trusted && self.peer_is_trusted)?;
        let mut values = head.values(site.request_id_header.as_deref()?);
        let id = values.next().filter(|_| values.next().is_none())?;
        let is_usual = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:+=@".contains(b);
        let is_sound = TRUSTED_ID.contains(&id.len()) && id.iter().all(is_usual);
        is_sound.then(|| String::from_utf8_lossy(id).into_owned())
    }
}

/// Bytes of an id that a trusted proxy gives. Fewer than eight could hardly be unique.
const TRUSTED_ID: std::ops::RangeInclusive<usize> = 8..=128;

/// What a request looked like when it came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    /// The connection's peer, or what the PROXY protocol said of it.
    pub(super) peer: SocketAddr,
    /// The client.
    pub(super) client: Client,
    /// The address on which it came in.
    pub(super) server: SocketAddr,
    /// Whether over TLS.
    pub(super) secure: bool,
    /// The `Host` it asked for; empty when none.
    pub(super) host: &'a str,
}

/// Writes the forwarding headers that `site` wants into the request to the upstream.
pub(super) fn forward(request: &mut RequestHeader, site: &Site, seen: &Seen<'_>) -> Result<()> {
    x_forwarded(request, site.forwarded.x_forwarded, seen)?;
    rfc7239(request, site.forwarded.rfc7239, seen)
}

fn x_forwarded(request: &mut RequestHeader, policy: ForwardedPolicy, seen: &Seen<'_>) -> Result<()> {
    let keeps = policy == ForwardedPolicy::Append && seen.client.peer_is_trusted;
    let before = if keeps { joined(request, &X_FORWARDED_FOR) } else { Vec::new() };
    request.remove_header(&X_FORWARDED_FOR);
    if !keeps {
        // What an untrusted client says of itself must not look like a proxy's word to the upstream.
        for name in [&X_FORWARDED_PROTO, &X_FORWARDED_HOST, &X_FORWARDED_PORT, &X_REAL_IP] {
            request.remove_header(name);
        }
    }
    let address = match policy {
        ForwardedPolicy::Remove => return Ok(()),
        ForwardedPolicy::Replace => seen.client.address.ip(),
        ForwardedPolicy::Append => seen.peer.ip().to_canonical(),
    };
    let mut value = before;
    if !value.is_empty() {
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(address.to_string().as_bytes());
    insert(request, &X_FORWARDED_FOR, &value)?;
    if !request.headers.contains_key(&X_FORWARDED_PROTO) {
        insert(request, &X_FORWARDED_PROTO, seen.scheme().as_bytes())?;
    }
    if !request.headers.contains_key(&X_FORWARDED_HOST) && !seen.host.is_empty() {
        insert(request, &X_FORWARDED_HOST, seen.host.as_bytes())?;
    }
    Ok(())
}

fn rfc7239(request: &mut RequestHeader, policy: ForwardedPolicy, seen: &Seen<'_>) -> Result<()> {
    let keeps = policy == ForwardedPolicy::Append && seen.client.peer_is_trusted;
    let mut value = if keeps { joined(request, &::http::header::FORWARDED) } else { Vec::new() };
    request.remove_header(&::http::header::FORWARDED);
    let address = match policy {
        ForwardedPolicy::Remove => return Ok(()),
        ForwardedPolicy::Replace => seen.client.address.ip(),
        ForwardedPolicy::Append => seen.peer.ip().to_canonical(),
    };
    if !value.is_empty() {
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(format!("for={}", node(address)).as_bytes());
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:[]".contains(&b);
    if !seen.host.is_empty() && seen.host.bytes().all(is_plain) {
        value.extend_from_slice(format!(";host=\"{}\"", seen.host).as_bytes());
    }
    value.extend_from_slice(format!(";proto={};by={}", seen.scheme(), node(seen.server.ip())).as_bytes());
    insert(request, &::http::header::FORWARDED, &value)
}

impl Seen<'_> {
    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

/// The hops that the request's headers name, from the left; `None` for one that names no address. Where a site
/// uses both families, its proxies have to set or strip both.
fn forwarded_for(site: Option<&Site>, head: &RequestHead) -> Vec<Option<SocketAddr>> {
    let uses_x = site.is_none_or(|s| s.forwarded.x_forwarded != ForwardedPolicy::Remove);
    let uses_standard = site.is_some_and(|s| s.forwarded.rfc7239 != ForwardedPolicy::Remove);
    if uses_x && head.values("x-forwarded-for").next().is_some() {
        let list = head.values("x-forwarded-for").flat_map(|v| v.split(|b| *b == b','));
        return list.map(|hop| parse_node(hop.trim_ascii())).collect();
    }
    if !uses_standard {
        return Vec::new();
    }
    let elements = head.values("forwarded").flat_map(|v| split_quoted(v, b','));
    elements.map(|e| split_quoted(e, b';').into_iter().find_map(for_parameter)?).collect()
}

/// `for=…` → its address; `None` for another parameter, `Some(None)` for an unreadable `for`.
fn for_parameter(pair: &[u8]) -> Option<Option<SocketAddr>> {
    let pair = pair.trim_ascii();
    let (name, value) = pair.split_at_checked(4)?;
    if !name.eq_ignore_ascii_case(b"for=") {
        return None;
    }
    let value = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
    Some(parse_node(value))
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn parse_node(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(address.to_canonical(), 0));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(SocketAddr::new(address.ip().to_canonical(), address.port()));
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse::<IpAddr>().ok().map(|a| SocketAddr::new(a.to_canonical(), 0))
}

/// Splits at `separator` outside of double quotes. An unclosed quote reaches to the end.
fn split_quoted(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (at, byte) in text.iter().enumerate() {
        if *byte == b'"' {
            quoted = !quoted;
        } else if *byte == separator && !quoted {
            pieces.push(text.get(start..at).unwrap_or_default());
            start = at + 1;
        }
    }
    pieces.push(text.get(start..).unwrap_or_default());
    pieces
}

/// An address as RFC 7239 §6 writes it.
fn node(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("\"[{v6}]\""),
    }
}

fn joined(request: &RequestHeader, name: &HeaderName) -> Vec<u8> {
    let values: Vec<&[u8]> = request.headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect();
    values.join(&b", "[..])
}

fn insert(request: &mut RequestHeader, name: &HeaderName, value: &[u8]) -> Result<()> {
    match ::http::HeaderValue::from_bytes(value) {
        Ok(value) => request.insert_header(name, value),
        Err(_) => Ok(()),
    }
}

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
