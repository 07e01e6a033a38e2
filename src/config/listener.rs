//! A socket on which clients come in: what it is, and how `listeners` are read.

use super::document::{Data, Node};
use super::listen::{self, ListenAddress, SocketFile};
use super::place::Place;
use super::reader::{Section, complain};
use super::schema;
use super::{DEFAULT_LISTEN, HostPattern, Overrides};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// A socket on which clients come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub address: ListenAddress,
    /// Who may connect, where that is a Unix socket.
    pub file: SocketFile,
    /// TLS; none means cleartext.
    pub tls: Option<ListenerTls>,
    /// Offer HTTP/2 by ALPN. Without effect on a cleartext listener, where only HTTP/1.1 is spoken.
    pub http2: bool,
    /// Every connection begins with a PROXY protocol header (version 1 or 2). Peers outside `trusted_proxies`
    /// are refused.
    pub proxy_protocol: bool,
    /// Connections at once; further ones are turned away as they come.
    pub max_connections: NonZeroUsize,
    /// The same for those of one client: an IPv4 address or a /64 of IPv6. Peers in `trusted_proxies` are not counted.
    pub max_connections_per_client: NonZeroUsize,
}

impl Listener {
    /// In cleartext at `address`, with every default.
    pub fn plain(address: SocketAddr) -> Self {
        Self::at(address.into())
    }

    /// The same, wherever it listens.
    pub fn at(address: ListenAddress) -> Self {
        let file = SocketFile::default();
        Self {
            address,
            file,
            tls: None,
            http2: true,
            proxy_protocol: false,
            max_connections: MAX_CONNECTIONS,
            max_connections_per_client: per_client(MAX_CONNECTIONS),
        }
    }
}

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// The certificates; the first is the one for clients that name no host or an unknown one.
    pub certificates: Vec<Certificate>,
    /// Who vouches for clients; none when they are not asked for certificates.
    pub clients: Option<ClientAuthority>,
    /// Versions below 1.3 are refused.
    pub only_1_3: bool,
}

/// Who vouches for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuthority {
    /// PEM file with the authorities.
    pub ca: PathBuf,
    /// Connections without a certificate are refused; otherwise it is the sites' business.
    pub required: bool,
}

/// A certificate chain with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// PEM file with the chain, leaf first.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// Names (SNI) for which it is chosen; empty means the names in the certificate itself.
    pub hosts: Vec<HostPattern>,
}

/// The listeners, or that of the flags in their place.
pub(super) fn read(
    top: &Section<'_>,
    place: &mut Place<'_>,
    overrides: &Overrides,
    out: &mut Diagnostics,
) -> Vec<Listener> {
    let mut all: Vec<Listener> = Vec::new();
    for node in top.items("listeners") {
        let Some(listener) = read_one(node, place, out) else { continue };
        if all.iter().any(|l| l.address == listener.address) {
            let what = format!("two listeners on {}", listener.address);
            out.push(Diagnostic::error("config-conflict", node.span, what));
        }
        all.push(listener);
    }
    if let Some(address) = overrides.listen {
        return vec![Listener::plain(address)];
    }
    if all.is_empty() {
        all.push(Listener::plain(DEFAULT_LISTEN));
    }
    all
}

fn read_one(node: &Node, place: &mut Place<'_>, out: &mut Diagnostics) -> Option<Listener> {
    if let Data::Scalar(text) = &node.data {
        let address = ListenAddress::parse(text, place.directory);
        return Some(Listener::at(complain(address, node.span, "listeners", out)?));
    }
    let section = Section::new(&schema::LISTENER, node, out);
    let certificates: Vec<Certificate> =
        section.items("tls").into_iter().filter_map(|n| certificate(n, place, out)).collect();
    let http2 = section.boolean("http2", out).unwrap_or(true);
    let proxy_protocol = section.boolean("proxy_protocol", out).unwrap_or(false);
    let given = section.required("address", out);
    let address = if given {
        section.value("address", out, |text| ListenAddress::parse(text, place.directory))
    } else {
        None
    };
    let file = listen::file(&section, out);
    let ca = place.existing(&section, "client_ca", out);
    let required = section.word("client_certificate", &[("optional", false), ("required", true)], out);
    let version = section.word("min_tls", &[("1.2", false), ("1.3", true)], out);
    for key in ["client_ca", "client_certificate", "min_tls"] {
        if certificates.is_empty()
            && section.get("tls").is_none()
            && let Some(node) = section.get(key)
        {
            let what = format!("`{key}` has no meaning without `tls`");
            out.push(Diagnostic::error("config-conflict", node.span, what));
        }
    }
    if let Some(node) = section.get("client_certificate")
        && section.get("client_ca").is_none()
    {
        let what = "`client_certificate` without `client_ca`";
        out.push(Diagnostic::error("config-missing", node.span, what));
    }
    let clients = ca.map(|ca| ClientAuthority { ca, required: required.unwrap_or(false) });
    let only_1_3 = version.unwrap_or(false);
    let tls = (!certificates.is_empty()).then_some(ListenerTls { certificates, clients, only_1_3 });
    let max_connections = section.count("max_connections", (1, 1_000_000), out).and_then(NonZeroUsize::new);
    let max_connections = max_connections.unwrap_or(MAX_CONNECTIONS);
    let each = section.count("max_connections_per_client", (1, 1_000_000), out).and_then(NonZeroUsize::new);
    let max_connections_per_client = each.unwrap_or_else(|| per_client(max_connections));
    let listener = Listener {
        address: address?,
        file,
        tls,
        http2,
        proxy_protocol,
        max_connections,
        max_connections_per_client,
    };
    if listen::is_misplaced(&listener) {
        let what = "`mode`, `user` and `group` have a meaning for a Unix socket only";
        out.push(Diagnostic::error("config-conflict", section.span(), what));
    }
    Some(listener)
}

fn certificate(node: &Node, place: &mut Place<'_>, out: &mut Diagnostics) -> Option<Certificate> {
    let section = Section::new(&schema::CERTIFICATE, node, out);
    let hosts = section.list("hosts", out, str::parse);
    let mut file = |key| {
        if !section.required(key, out) {
            return None;
        }
        place.existing(&section, key, out)
    };
    let certificate = file("certificate");
    let key = file("key");
    Some(Certificate { certificate: certificate?, key: key?, hosts })
}

/// Connections of one client unless the listener says otherwise: a quarter of all, and enough for a browser or two.
fn per_client(all: NonZeroUsize) -> NonZeroUsize {
    NonZeroUsize::new(all.get() / 4).map_or(LEAST_PER_CLIENT, |quarter| quarter.max(LEAST_PER_CLIENT))
}

/// Connections of a listener unless it says otherwise.
const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(16_384).expect("16384 is not 0");

const LEAST_PER_CLIENT: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not 0");
