//! How a site's requests are spread over its upstreams, and what is answered while there are none to be asked: reads
//! `balance` and `maintenance`.

use super::document::{Data, Node};
use super::networks::network;
use super::place::Place;
use super::reader::{Section, complain, lone_word};
use super::schema;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};
use ip_network::IpNetwork;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// How a site's requests are spread over its upstreams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Who is chosen.
    pub method: BalanceMethod,
    /// The cookie by which a client comes back to the upstream that served it first.
    pub sticky: Option<Sticky>,
    /// Failures in a row, each within [`Self::fail_timeout`] of the one before, after which an upstream rests; 0 never.
    pub max_fails: u32,
    /// How long it rests then.
    pub fail_timeout: Duration,
    /// What counts as a failure.
    pub fail_on: FailOn,
    /// How long an upstream that comes back takes to reach its full share.
    pub slow_start: Option<Duration>,
    /// Other upstreams that are tried for one request.
    pub retries: usize,
    /// When another one is tried.
    pub retry_on: RetryOn,
    /// Requests by which upstreams are asked whether they are well.
    pub health_check: Option<HealthCheck>,
}

impl Default for Balance {
    fn default() -> Self {
        Self {
            method: BalanceMethod::RoundRobin,
            sticky: None,
            max_fails: 1,
            fail_timeout: Duration::from_secs(5),
            fail_on: FailOn::Connect,
            slow_start: None,
            retries: 3,
            retry_on: RetryOn::Connect,
            health_check: None,
        }
    }
}

/// Who is chosen among upstreams that are well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BalanceMethod {
    /// Each in turn, as often as its weight says.
    RoundRobin,
    /// The one with the fewest requests under way in proportion to its weight.
    LeastConnections,
    /// The one that belongs to a key: the same key goes to the same upstream as long as that is well.
    Hash(BalanceKey),
}

/// What is hashed. Where a request lacks it, the client's address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BalanceKey {
    /// The client's address, as trusted proxies tell it.
    Client,
    /// A request header.
    Header(String),
    /// A cookie.
    Cookie(String),
}

/// A sticky session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: String,
    /// How long a browser keeps it; none is as long as it is open.
    pub lifetime: Option<Duration>,
}

/// What an upstream's failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailOn {
    /// It cannot be connected.
    Connect,
    /// Or it breaks off, or does not answer in time, before its response's head has come.
    Errors,
}

/// When a request is given to another upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// Nothing of it can have reached the first one.
    Connect,
    /// Or its method is idempotent (RFC 9110 §9.2.2), and the connection broke before any of the response came.
    Idempotent,
}

/// How upstreams are asked whether they are well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked for; none: that a connection can be made is enough.
    pub path: Option<String>,
    /// `Host` of the request; the upstream's authority unless set.
    pub host: Option<String>,
    /// Statuses that are well, both ends included.
    pub status: Vec<(u16, u16)>,
    /// From one check of an upstream to the next.
    pub interval: Duration,
    /// For one check.
    pub timeout: Duration,
    /// Checks in a row that must be well until an upstream is.
    pub rise: u32,
    /// Checks in a row that must fail until an upstream is down.
    pub fall: u32,
}

/// What a site answers instead of asking its upstreams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// A page of HTML; the built-in one, with the transaction's id, unless set.
    pub page: Option<Arc<str>>,
    /// When clients should come back.
    pub retry_after: Duration,
    /// Clients who are let through.
    pub allow: Vec<IpNetwork>,
}

impl Maintenance {
    /// Whether `client` gets the page. IPv4 addresses in IPv6 clothing count as IPv4.
    pub fn applies_to(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        !self.allow.iter().any(|network| network.contains(client))
    }
}

/// `sites[].balance`.
pub(super) fn balance(site: &Section<'_>, out: &mut Diagnostics) -> Balance {
    let default = Balance::default();
    let methods =
        [("round_robin", BalanceMethod::RoundRobin), ("least_connections", BalanceMethod::LeastConnections)];
    let words = methods.each_ref().map(|(word, method)| (*word, method));
    let Some(node) = site.get("balance") else { return default };
    if let Data::Scalar(_) = &node.data {
        let method = lone_word(node, "balance", &words, out).cloned();
        return Balance { method: method.unwrap_or(BalanceMethod::RoundRobin), ..default };
    }
    let section = Section::new(&schema::BALANCE, node, out);
    let method = section.word("method", &[words[0], words[1], ("hash", &HASH)], out).cloned();
    let key = section.value("key", out, key);
    let method = match (method, key) {
        (Some(BalanceMethod::Hash(_)), key) => BalanceMethod::Hash(key.unwrap_or(BalanceKey::Client)),
        (method, None) => method.unwrap_or(BalanceMethod::RoundRobin),
        (_, Some(_)) => {
            let span = section.get("key").map_or(section.span(), |node| node.span);
            let complaint = Diagnostic::error("config-conflict", span, "`key` is for `method: hash`");
            out.push(complaint);
            BalanceMethod::RoundRobin
        }
    };
    let lifetime = section.duration("sticky_lifetime", (1, 366 * 86_400), out);
    let sticky = section.value("sticky", out, token).map(|cookie| Sticky { cookie, lifetime });
    if sticky.is_none() && section.get("sticky_lifetime").is_some() && section.get("sticky").is_none() {
        let span = section.get("sticky_lifetime").map_or(section.span(), |node| node.span);
        let complaint = Diagnostic::error("config-conflict", span, "`sticky_lifetime` without `sticky`");
        out.push(complaint.help("give the cookie's name as `sticky`"));
    }
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Balance {
        method,
        sticky,
        max_fails: section.count("max_fails", (0, 1_000), out).map_or(default.max_fails, number),
        fail_timeout: section.duration("fail_timeout", (0, 3_600), out).unwrap_or(default.fail_timeout),
        fail_on: section
            .word("fail_on", &[("connect", FailOn::Connect), ("errors", FailOn::Errors)], out)
            .unwrap_or(default.fail_on),
        slow_start: section.duration("slow_start", (0, 3_600), out),
        retries: section.count("retries", (0, 8), out).unwrap_or(default.retries),
        retry_on: section
            .word("retry_on", &[("connect", RetryOn::Connect), ("idempotent", RetryOn::Idempotent)], out)
            .unwrap_or(default.retry_on),
        health_check: section.get("health_check").map(|node| health_check(node, out)),
    }
}

static HASH: BalanceMethod = BalanceMethod::Hash(BalanceKey::Client);

fn key(text: &str) -> Result<BalanceKey, String> {
    match text.split_once(':') {
        None if text == "client" => Ok(BalanceKey::Client),
        Some(("header", name)) => token(name.trim()).map(BalanceKey::Header),
        Some(("cookie", name)) => token(name.trim()).map(BalanceKey::Cookie),
        _ => Err("expected `client`, `header:NAME` or `cookie:NAME`".to_owned()),
    }
}

/// A name of a header or a cookie (RFC 9110 §5.6.2).
fn token(text: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || text.len() > 128 || !text.bytes().all(good) {
        return Err("expected a name of letters, digits, `-` and `_`".to_owned());
    }
    Ok(text.to_owned())
}

fn health_check(node: &Node, out: &mut Diagnostics) -> HealthCheck {
    let empty = Node { span: node.span, data: Data::Null };
    let (section, path) = match &node.data {
        Data::Scalar(text) => {
            let read =
                if text == "connect" { None } else { complain(target(text), node.span, "health_check", out) };
            (Section::new(&schema::HEALTH_CHECK, &empty, out), read)
        }
        _ => {
            let section = Section::new(&schema::HEALTH_CHECK, node, out);
            let path = section.value("path", out, target);
            (section, path)
        }
    };
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let status = section.list("status", out, status);
    HealthCheck {
        path,
        host: section.value("host", out, |text| {
            let authority: Result<http::uri::Authority, _> = text.parse();
            authority.map(|_| text.to_owned()).map_err(|_| "expected a host with an optional port")
        }),
        status: if status.is_empty() { vec![(200, 399)] } else { status },
        interval: section.duration("interval", (0, 3_600), out).unwrap_or(Duration::from_secs(5)),
        timeout: section.duration("timeout", (0, 300), out).unwrap_or(Duration::from_secs(2)),
        rise: section.count("rise", (1, 100), out).map_or(2, count),
        fall: section.count("fall", (1, 100), out).map_or(3, count),
    }
}

/// A request target in origin form.
fn target(text: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_graphic() && b != b'#';
    if !text.starts_with('/') || text.len() > 2_048 || !text.bytes().all(good) {
        return Err("expected a path that begins with `/`, or `connect`".to_owned());
    }
    Ok(text.to_owned())
}

/// `200` or `200-399`.
fn status(text: &str) -> Result<(u16, u16), String> {
    let bad = || format!("expected a status or a range such as `200-399`, not `{text}`");
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let one = |text: &str| text.trim().parse::<u16>().ok().filter(|s| (100..600).contains(s)).ok_or_else(bad);
    let (low, high) = (one(low)?, one(high)?);
    if low > high { Err(bad()) } else { Ok((low, high)) }
}

/// `sites[].maintenance`; none when it is off.
pub(super) fn maintenance(
    site: &Section<'_>,
    place: &mut Place<'_>,
    out: &mut Diagnostics,
) -> Option<Maintenance> {
    let node = site.get("maintenance")?;
    let words = [("on", true), ("off", false), ("true", true), ("false", false)];
    let empty = Node { span: node.span, data: Data::Null };
    let (section, is_on) = match &node.data {
        Data::Mapping(_) => {
            let section = Section::new(&schema::MAINTENANCE, node, out);
            let is_on = section.word("active", &words, out).unwrap_or(true);
            (section, is_on)
        }
        _ => {
            let is_on = lone_word(node, "maintenance", &words, out).unwrap_or(false);
            (Section::new(&schema::MAINTENANCE, &empty, out), is_on)
        }
    };
    // The page is read also when it is not shown, so that a faulty one is found before it is needed.
    let page = place.text(&section, "page", out);
    let maintenance = Maintenance {
        page: page.map(Arc::from),
        retry_after: section
            .duration("retry_after", (1, 7 * 86_400), out)
            .unwrap_or(Duration::from_secs(600)),
        allow: section.list("allow", out, network),
    };
    is_on.then_some(maintenance)
}

/// Limits of one upstream.
pub(super) fn max_connections(section: &Section<'_>, out: &mut Diagnostics) -> Option<NonZeroU32> {
    let number = section.count("max_connections", (1, 1_000_000), out)?;
    u32::try_from(number).ok().and_then(NonZeroU32::new)
}
