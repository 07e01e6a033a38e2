//! The servers behind a site: reads `upstreams`.

use super::balance;
use super::document::{Data, Node};
use super::place::Place;
use super::reader::{Section, complain};
use super::schema;
use super::{HostPattern, Overrides};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};
use std::num::NonZeroU32;
use std::path::PathBuf;

/// A server behind Portcullis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The URL as configured, for people.
    pub url: String,
    /// Host name or IP address (IPv6 without brackets), or the absolute path of a Unix socket.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS; none for `http://`.
    pub tls: Option<UpstreamTls>,
    /// HTTP/2 towards it.
    pub http2: UpstreamHttp2,
    /// Share of the requests relative to the other upstreams.
    pub weight: NonZeroU32,
    /// Requests under way at once; none without a bound. Over HTTP/1.1 each has a connection of its own.
    pub max_connections: Option<NonZeroU32>,
}

impl Upstream {
    /// The path of the Unix socket that it listens on, if it is one.
    pub fn socket(&self) -> Option<&str> {
        Some(self.host.as_str()).filter(|host| host.starts_with('/'))
    }

    /// `host:port` as an authority, IPv6 in brackets, the scheme's own port left out.
    pub fn authority(&self) -> String {
        if self.socket().is_some() {
            return "localhost".to_owned();
        }
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let own = if self.tls.is_some() { 443 } else { 80 };
        if self.port == own { host } else { format!("{host}:{}", self.port) }
    }
}

/// TLS towards an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Verify certificate and name. Off only when the file says so, and then it is warned about.
    pub verify: bool,
    /// The name to ask for and to verify; the URL's host unless set.
    pub sni: String,
    /// PEM file with the authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// What Portcullis shows when the upstream asks for a certificate.
    pub identity: Option<Identity>,
}

/// PEM files of a certificate chain, leaf first, and its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The chain.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// When HTTP/2 is spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamHttp2 {
    /// HTTP/1.1 only.
    Never,
    /// When the upstream's TLS offers it (ALPN).
    Offered,
    /// Always; over cleartext with prior knowledge.
    Always,
}

/// The upstreams of the site at `section`, or those of the flags in their place.
pub(super) fn read(
    section: &Section<'_>,
    place: &mut Place<'_>,
    overrides: &Overrides,
    out: &mut Diagnostics,
) -> Vec<Upstream> {
    let nodes = section.items("upstreams");
    let mut from_file: Vec<Upstream> = Vec::new();
    for node in &nodes {
        let Some(upstream) = read_one(node, place, out) else { continue };
        if from_file.iter().any(|other| other.url == upstream.url) {
            let what = format!("two upstreams are {}", upstream.url);
            out.push(
                Diagnostic::error("config-conflict", node.span, what)
                    .help("give one a larger `weight` instead"),
            );
        }
        from_file.push(upstream);
    }
    if overrides.upstreams.is_empty() {
        if nodes.is_empty() {
            out.push(Diagnostic::error("config-missing", section.span(), "`upstreams` is missing or empty"));
        }
        return from_file;
    }
    let mut all = Vec::new();
    for url in &overrides.upstreams {
        all.extend(complain(parse_url(url), section.span(), "upstream flag", out).map(|u| u.upstream(url)));
    }
    all
}

fn read_one(node: &Node, place: &mut Place<'_>, out: &mut Diagnostics) -> Option<Upstream> {
    if let Data::Scalar(url) = &node.data {
        return complain(parse_url(url), node.span, "upstreams", out).map(|u| u.upstream(url));
    }
    let section = Section::new(&schema::UPSTREAM, node, out);
    let weight = section.value("weight", out, |text| {
        let weight = text.parse::<NonZeroU32>().ok().filter(|w| w.get() <= 1_000);
        weight.ok_or("expected a whole number from 1 to 1000")
    });
    let http2 = [
        ("never", UpstreamHttp2::Never),
        ("offered", UpstreamHttp2::Offered),
        ("always", UpstreamHttp2::Always),
    ];
    let http2 = section.word("http2", &http2, out);
    let verify = section.boolean("verify", out);
    let sni = section.value("sni", out, |text| match text.parse::<HostPattern>() {
        Ok(HostPattern::Exact(name)) => Ok(name),
        _ => Err("expected a host name"),
    });
    let ca = place.existing(&section, "ca", out);
    let certificate = place.existing(&section, "client_certificate", out);
    let key = place.existing(&section, "client_key", out);
    for (given, other) in [("client_certificate", "client_key"), ("client_key", "client_certificate")] {
        if let Some(node) = section.get(given)
            && section.get(other).is_none()
        {
            let what = format!("`{given}` without `{other}`");
            out.push(Diagnostic::error("config-missing", node.span, what));
        }
    }
    let max_connections = balance::max_connections(&section, out);
    if !section.required("url", out) {
        return None;
    }
    let url = section.text("url", out)?;
    let span = section.get("url").map_or(section.span(), |n| n.span);
    let mut upstream = complain(parse_url(&url), span, "url", out)?.upstream(&url);
    match &mut upstream.tls {
        Some(tls) => {
            tls.verify = verify.unwrap_or(true);
            tls.ca = ca;
            tls.identity = certificate.zip(key).map(|(certificate, key)| Identity { certificate, key });
            if let Some(sni) = sni {
                tls.sni = sni;
            }
            if !tls.verify {
                let what =
                    format!("the certificate of {url} is not verified: anybody in between can read along");
                let complaint = Diagnostic::warning("config-unverified-upstream", section.span(), what);
                out.push(complaint.help("give its authority as `ca` instead"));
            }
        }
        None => {
            for key in ["verify", "sni", "ca", "client_certificate", "client_key"] {
                if let Some(node) = section.get(key) {
                    let what = format!("`{key}` has no meaning for an `http` upstream");
                    out.push(Diagnostic::error("config-conflict", node.span, what));
                }
            }
        }
    }
    if let Some(http2) = http2 {
        if http2 == UpstreamHttp2::Offered && upstream.tls.is_none() {
            let span = section.get("http2").map_or(section.span(), |n| n.span);
            let complaint = Diagnostic::error("config-conflict", span, "only TLS can offer HTTP/2");
            out.push(complaint.help("write `always` if the upstream speaks HTTP/2 with prior knowledge"));
        }
        upstream.http2 = http2;
    }
    upstream.weight = weight.unwrap_or(NonZeroU32::MIN);
    upstream.max_connections = max_connections;
    Some(upstream)
}

/// The parts of an upstream's URL.
struct UpstreamUrl {
    tls: bool,
    host: String,
    port: u16,
}

impl UpstreamUrl {
    fn upstream(self, url: &str) -> Upstream {
        Upstream {
            url: url.to_owned(),
            tls: self.tls.then(|| UpstreamTls {
                verify: true,
                sni: self.host.clone(),
                ca: None,
                identity: None,
            }),
            host: self.host,
            port: self.port,
            http2: UpstreamHttp2::Never,
            weight: NonZeroU32::MIN,
            max_connections: None,
        }
    }
}

fn parse_url(url: &str) -> Result<UpstreamUrl, String> {
    if let Some(path) = url.strip_prefix("unix:") {
        let is_sound =
            path.starts_with('/') && path.len() < SOCKET_PATH && !path.chars().any(char::is_control);
        let host = path.to_owned();
        return match is_sound {
            true => Ok(UpstreamUrl { tls: false, host, port: 0 }),
            false => Err(format!("a Unix socket is an absolute path of less than {SOCKET_PATH} bytes")),
        };
    }
    let (tls, rest) = match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
        Some(_) => return Err("the scheme is `http` or `https`".to_owned()),
        None => return Err(format!("expected a URL; write `http://{url}`")),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err("an upstream has no path: requests keep their own".to_owned());
    }
    if authority.contains('@') {
        return Err("an upstream's URL has no user name or password".to_owned());
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let port = port.parse::<u16>().ok().filter(|p| *p != 0);
            (host, port.ok_or("the port is a number from 1 to 65535")?)
        }
        _ => (authority, if tls { 443 } else { 80 }),
    };
    if host.contains(':') && !host.starts_with('[') {
        return Err("an IPv6 address stands in brackets".to_owned());
    }
    match host.parse::<HostPattern>()? {
        HostPattern::Exact(host) => Ok(UpstreamUrl { tls, host, port }),
        HostPattern::Any | HostPattern::Wildcard(_) => Err("an upstream is one host".to_owned()),
    }
}

/// Bytes of the path of a Unix socket (`sun_path`).
const SOCKET_PATH: usize = 108;
