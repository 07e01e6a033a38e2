//! A site: what it is, and how it is read.

use super::admission_reader;
use super::balance;
use super::document::{Data, Node};
use super::edge;
use super::failure;
use super::place::Place;
use super::reader::{Section, complain};
use super::rules;
use super::schema;
use super::upstream;
use super::{
    AccessRule, Balance, Edge, FailureOutcome, FailurePolicy, HostPattern, Maintenance, Overload, Overrides,
    RateLimit, RuleInput, Shadow, Upstream,
};
use crate::ruleset::Mode;
use crate::source::Span;
use crate::syntax::diagnostic::Diagnostics;
use std::path::Path;
use std::time::Duration;

/// A host/path match with its upstreams, its ruleset, its mode and its exclusions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Unique; a label of metrics and a field of audit records.
    pub name: String,
    /// Hosts it serves; [`HostPattern::Any`] when the file names none.
    pub hosts: Vec<HostPattern>,
    /// Path prefixes it serves, each beginning with `/`; matched at segment borders.
    pub paths: Vec<String>,
    /// Where requests go; at least one.
    pub upstreams: Vec<Upstream>,
    /// Rule text in order: files and built-in rulesets, inline directives, exclusions. Sites with equal lists
    /// share one compiled ruleset.
    pub rules: Vec<RuleInput>,
    /// A candidate ruleset that decides nothing.
    pub shadow: Option<Shadow>,
    /// Overrides `SecRuleEngine`.
    pub mode: Option<Mode>,
    /// What inner failures do to a request.
    pub failure: FailurePolicy,
    /// How long inspections may wait for processors.
    pub overload: Overload,
    /// Who may send what; the first rule that holds decides.
    pub access: Vec<AccessRule>,
    /// How many requests may come.
    pub rate_limits: Vec<RateLimit>,
    /// Time limits.
    pub timeouts: SiteTimeouts,
    /// Header in which the upstream (and a blocked client) is told the transaction's id; none when switched off.
    pub request_id_header: Option<String>,
    /// Whether an id in that header from a trusted proxy becomes the transaction's.
    pub request_id_trusted: bool,
    /// What the upstream is told about the client.
    pub forwarded: Forwarded,
    /// What the upstream gets as `Host`.
    pub host_header: HostHeader,
    /// How requests are spread over the upstreams.
    pub balance: Balance,
    /// What is answered instead of asking them; none when they are asked.
    pub maintenance: Option<Maintenance>,
    /// What it demands of connections and adds to responses.
    pub edge: Edge,
}

/// Time limits of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteTimeouts {
    /// Between two reads of a request body.
    pub body_read: Duration,
    /// For a whole request body that is held for inspection.
    pub body_total: Duration,
    /// For connecting to an upstream, TLS included.
    pub connect: Duration,
    /// Between two reads from an upstream.
    pub read: Duration,
    /// For a write to an upstream.
    pub write: Duration,
    /// How long an idle upstream connection is kept.
    pub idle: Duration,
    /// How long the addresses of an upstream's name are used before they are asked for again.
    pub resolve: Duration,
    /// From the request being sent to the first byte of the response; none leaves it to [`Self::read`].
    pub first_byte: Option<Duration>,
    /// From connecting to the end of the response; none without a bound. Tunnels have none.
    pub total: Option<Duration>,
}

/// What the upstream is told about the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    pub x_forwarded: ForwardedPolicy,
    /// `Forwarded` (RFC 7239).
    pub rfc7239: ForwardedPolicy,
}

/// How a family of forwarding headers is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedPolicy {
    /// From a trusted proxy: extended; from anybody else: replaced by what Portcullis saw itself.
    Append,
    /// Replaced by what Portcullis saw itself, with the client's address as trusted proxies report it.
    Replace,
    /// Removed, and none sent.
    Remove,
}

/// What the upstream gets as `Host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// The client's.
    Preserve,
    /// The upstream's authority.
    Upstream,
    /// This one.
    Fixed(String),
}

/// The site at `node`. Complaints about it do not keep the rest of it from being read.
pub(super) fn read(
    node: &Node,
    place: &mut Place<'_>,
    overrides: &Overrides,
    out: &mut Diagnostics,
) -> Option<Site> {
    let section = Section::new(&schema::SITE, node, out);
    let given = section.required("name", out);
    let name = if given { section.value("name", out, name) } else { None };
    let mut hosts = section.list("hosts", out, str::parse::<HostPattern>);
    if hosts.is_empty() {
        hosts.push(HostPattern::Any);
    }
    let mut paths = section.list("paths", out, path);
    if paths.is_empty() {
        paths.push("/".to_owned());
    }
    let upstreams = upstream::read(&section, place, overrides, out);
    let label = name.as_deref().unwrap_or("?");
    let rules = rules::read(&section, None, label, place, overrides, out);
    let shadow = rules::shadow(&section, label, place, overrides, out);
    let modes = [("On", Mode::On), ("DetectionOnly", Mode::DetectionOnly), ("Off", Mode::Off)];
    let mode = section.word("mode", &modes, out);
    let request_id_header = match section.text("request_id_header", out).as_deref() {
        None => Some(REQUEST_ID.to_owned()),
        Some("off") => None,
        Some(text) => {
            let span = section.get("request_id_header").map_or(section.span(), |n| n.span);
            complain(header_name(text), span, "request_id_header", out)
        }
    };
    let host_header = section.value("host_header", out, |text| match text {
        "preserve" => Ok(HostHeader::Preserve),
        "upstream" => Ok(HostHeader::Upstream),
        text => fixed_host(text),
    });
    let site = Site {
        name: name.unwrap_or_default(),
        hosts,
        paths,
        upstreams,
        rules,
        shadow,
        mode: overrides.mode.or(mode),
        failure: failure::policy(&section, out),
        overload: failure::overload(&section, out),
        access: admission_reader::access(&section, place, out),
        rate_limits: admission_reader::rate_limits(&section, place, out),
        timeouts: timeouts(&section, out),
        request_id_header,
        request_id_trusted: section.boolean("trust_request_id", out).unwrap_or(false),
        forwarded: forwarded(&section, out),
        host_header: host_header.unwrap_or(HostHeader::Preserve),
        balance: balance::balance(&section, out),
        maintenance: balance::maintenance(&section, place, out),
        edge: edge::read(&section, out),
    };
    (!site.name.is_empty()).then_some(site)
}

/// The one site there is when everything is said by flags.
pub(super) fn alone(overrides: &Overrides, span: Span, out: &mut Diagnostics) -> Option<Site> {
    let empty = Node { span, data: Data::Null };
    let section = Section::new(&schema::SITE, &empty, out);
    let mut files = Vec::new();
    let mut place = Place::new(Path::new(""), &mut files);
    Some(Site {
        name: "default".to_owned(),
        hosts: vec![HostPattern::Any],
        paths: vec!["/".to_owned()],
        upstreams: upstream::read(&section, &mut place, overrides, out),
        rules: rules::read(&section, None, "default", &mut place, overrides, out),
        shadow: None,
        mode: overrides.mode,
        failure: FailurePolicy::all(FailureOutcome::Closed),
        overload: Overload::default(),
        access: Vec::new(),
        rate_limits: Vec::new(),
        timeouts: timeouts(&section, out),
        request_id_header: Some(REQUEST_ID.to_owned()),
        request_id_trusted: false,
        forwarded: forwarded(&section, out),
        host_header: HostHeader::Preserve,
        balance: Balance::default(),
        maintenance: None,
        edge: Edge::default(),
    })
}

const REQUEST_ID: &str = "X-Request-Id";

fn timeouts(section: &Section<'_>, out: &mut Diagnostics) -> SiteTimeouts {
    let empty = Node { span: section.span(), data: Data::Null };
    let inner = Section::new(&schema::TIMEOUTS, section.get("timeouts").unwrap_or(&empty), out);
    let mut read =
        |key, default| inner.duration(key, (0, 86_400), out).unwrap_or(Duration::from_secs(default));
    SiteTimeouts {
        body_read: read("body_read", 30),
        body_total: read("body_total", 300),
        connect: read("connect", 5),
        read: read("read", 60),
        write: read("write", 60),
        idle: read("idle", 60),
        resolve: inner.duration("resolve", (1, 86_400), out).unwrap_or(Duration::from_secs(30)),
        first_byte: inner.duration("first_byte", (0, 86_400), out),
        total: inner.duration("total", (0, 7 * 86_400), out),
    }
}

fn forwarded(section: &Section<'_>, out: &mut Diagnostics) -> Forwarded {
    let empty = Node { span: section.span(), data: Data::Null };
    let inner = Section::new(&schema::FORWARDED, section.get("forwarded").unwrap_or(&empty), out);
    let words = [
        ("append", ForwardedPolicy::Append),
        ("replace", ForwardedPolicy::Replace),
        ("remove", ForwardedPolicy::Remove),
    ];
    Forwarded {
        x_forwarded: inner.word("x_forwarded", &words, out).unwrap_or(ForwardedPolicy::Append),
        rfc7239: inner.word("rfc7239", &words, out).unwrap_or(ForwardedPolicy::Remove),
    }
}

pub(super) fn name(text: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > 64 || !text.bytes().all(good) {
        return Err("expected 1 to 64 letters, digits, `-`, `_` or `.`".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("a path begins with `/`; write `/{text}`"));
    }
    let dots = text.split('/').any(|segment| matches!(segment, "." | ".."));
    let good = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'"' | b'\\');
    if dots || text.contains("//") || !text.bytes().all(good) {
        return Err(
            "a path prefix is written as it is after normalisation: no `//`, `.`, `..`, `?`, `#`, quotes, \
                    backslashes, spaces or bytes beyond ASCII"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

fn header_name(text: &str) -> Result<String, String> {
    http::HeaderName::from_bytes(text.as_bytes())
        .map(|_| text.to_owned())
        .map_err(|_| "expected a header's name or `off`".to_owned())
}

fn fixed_host(text: &str) -> Result<HostHeader, String> {
    let bad = |_| "expected `preserve`, `upstream`, or a host with an optional port".to_owned();
    let authority: http::uri::Authority = text.parse().map_err(bad)?;
    if authority.as_str().contains('@') {
        return Err("a host has no user name".to_owned());
    }
    Ok(HostHeader::Fixed(text.to_owned()))
}
