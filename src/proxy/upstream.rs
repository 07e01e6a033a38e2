//! Where a request goes: chooses an address of an upstream, and describes the connection to pingora.

use super::answer::Trouble;
use super::names::Names;
use super::tls;
use super::unsent::UPSTREAM_WINDOW;
use crate::config::{Identity, Site, Upstream, UpstreamHttp2};
use pingora_core::protocols::ALPN;
use pingora_core::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora_core::protocols::tls::CaType;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses and authorities that have been looked up.
#[derive(Default)]
pub(super) struct Directory {
    names: Names,
    authorities: Files<PathBuf, CaType>,
    identities: Files<Identity, CertKey>,
    /// Addresses of names with several that could not be connected, and when.
    avoided: Mutex<HashMap<SocketAddr, Instant>>,
    turn: AtomicUsize,
}

impl Directory {
    /// A number that grows with each call, to spread requests with.
    pub(super) fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// The connection to `upstream` for one request; `turn` spreads requests over a name's addresses.
    pub(super) async fn peer(
        &self,
        upstream: &Upstream,
        site: &Site,
        is_upgrade: bool,
        turn: usize,
    ) -> Result<HttpPeer, Trouble> {
        let sni = upstream.tls.as_ref().map_or_else(String::new, |tls| tls.sni.clone());
        let mut peer = match upstream.socket() {
            Some(path) => {
                HttpPeer::new_uds(path, upstream.tls.is_some(), sni).map_err(|_| Trouble::UpstreamName)?
            }
            None => {
                let addresses = self.addresses(upstream, site.timeouts.resolve).await?;
                let address = self.one_of(&addresses, turn).ok_or(Trouble::UpstreamName)?;
                HttpPeer::new(address, upstream.tls.is_some(), sni)
            }
        };
        if let Some(identity) = upstream.tls.as_ref().and_then(|tls| tls.identity.as_ref()) {
            peer.client_cert_key = Some(self.identity(identity)?);
        }
        let options = &mut peer.options;
        if let Some(tls) = &upstream.tls {
            options.verify_cert = tls.verify;
            options.verify_hostname = tls.verify;
            if let Some(path) = &tls.ca {
                options.ca = Some(self.authorities(path)?);
            }
        }
        options.alpn = match upstream.http2 {
            // A WebSocket's handshake is HTTP/1.1; pingora does not speak RFC 8441.
            _ if is_upgrade => ALPN::H1,
            UpstreamHttp2::Never => ALPN::H1,
            UpstreamHttp2::Offered => ALPN::H2H1,
            UpstreamHttp2::Always => ALPN::H2,
        };
        // A stream whose client does not take what comes must not stop the others of its connection.
        options.max_h2_streams = MAX_STREAMS;
        options.h2_stream_window_size = Some(UPSTREAM_WINDOW);
        options.h2_connection_window_size = Some(UPSTREAM_WINDOW * WINDOWS);
        options.connection_timeout = Some(site.timeouts.connect);
        options.total_connection_timeout = Some(site.timeouts.connect);
        // Both sides of a tunnel may be silent for long.
        options.read_timeout = (!is_upgrade).then_some(site.timeouts.read);
        options.write_timeout = Some(site.timeouts.write);
        options.idle_timeout = Some(site.timeouts.idle);
        // pingora's pool does not look at authorities or protocol versions when it gives a connection again.
        let mut group = DefaultHasher::new();
        upstream.tls.as_ref().map(|tls| (&tls.ca, &tls.identity)).hash(&mut group);
        (upstream.http2 as u8, is_upgrade).hash(&mut group);
        peer.group_key = group.finish();
        Ok(peer)
    }

    /// The address whose turn it is, of those that are not avoided; of all, when all are.
    fn one_of(&self, addresses: &[SocketAddr], turn: usize) -> Option<SocketAddr> {
        let start = turn.checked_rem(addresses.len()).unwrap_or(0);
        let mut in_turn = addresses.iter().copied().cycle().skip(start).take(addresses.len());
        if addresses.len() < 2 {
            return in_turn.next();
        }
        let avoided = self.avoided.lock().unwrap_or_else(PoisonError::into_inner);
        let is_avoided = |a: &SocketAddr| avoided.get(a).is_some_and(|since| since.elapsed() < AVOIDANCE);
        in_turn.clone().find(|address| !is_avoided(address)).or_else(|| in_turn.next())
    }

    /// Notes that `address` of `upstream` could not be connected. Says whether its name has another one that is worth
    /// a try.
    pub(super) fn avoid(&self, upstream: &Upstream, address: &PeerAddr) -> bool {
        let Some(address) = address.as_inet().copied() else { return false };
        let known = self.names.known(&upstream.host, upstream.port);
        let Some(known) = known.filter(|known| known.len() > 1) else { return false };
        let mut avoided = self.avoided.lock().unwrap_or_else(PoisonError::into_inner);
        avoided.retain(|_, since| since.elapsed() < AVOIDANCE);
        avoided.insert(address, Instant::now());
        known.iter().any(|address| !avoided.contains_key(address))
    }

    async fn addresses(&self, upstream: &Upstream, lifetime: Duration) -> Result<Arc<[SocketAddr]>, Trouble> {
        if let Ok(address) = upstream.host.parse::<IpAddr>() {
            return Ok(Arc::from([SocketAddr::new(address, upstream.port)]));
        }
        let found = self.names.addresses(&upstream.host, upstream.port, lifetime).await;
        if found.is_empty() { Err(Trouble::UpstreamName) } else { Ok(found) }
    }

    /// The authorities in a PEM file.
    fn authorities(&self, path: &Path) -> Result<Arc<CaType>, Trouble> {
        self.authorities.get(path, || read_authorities(path)).ok_or(Trouble::UpstreamTls)
    }

    /// A certificate with its key.
    fn identity(&self, identity: &Identity) -> Result<Arc<CertKey>, Trouble> {
        self.identities.get(identity, || read_identity(identity).ok()).ok_or(Trouble::UpstreamTls)
    }
}

/// What files hold, read again now and then so that renewed ones count. Those that have become unreadable are what they
/// were.
struct Files<K, T: ?Sized>(Mutex<HashMap<K, (Instant, Arc<T>)>>);

impl<K, T: ?Sized> Default for Files<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, T: ?Sized> Files<K, T> {
    fn get<Q>(&self, key: &Q, read: impl FnOnce() -> Option<Arc<T>>) -> Option<Arc<T>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, contents)) = known.get(key)
            && since.elapsed() < FILE_LIFETIME
        {
            return Some(Arc::clone(contents));
        }
        let contents = read().or_else(|| known.get(key).map(|(_, old)| Arc::clone(old)))?;
        known.insert(key.to_owned(), (Instant::now(), Arc::clone(&contents)));
        Some(contents)
    }
}

/// Tries whether the files that an upstream's TLS needs can be used.
///
/// # Errors
///
/// The first that cannot; the message names it.
pub(super) fn verify(upstream: &Upstream) -> io::Result<()> {
    match upstream.tls.as_ref().and_then(|tls| tls.identity.as_ref()) {
        Some(identity) => read_identity(identity).map(drop),
        None => Ok(()),
    }
}

fn read_identity(identity: &Identity) -> io::Result<Arc<CertKey>> {
    let (chain, key) = tls::read_pair(&identity.certificate, &identity.key)?;
    let chain: Vec<Vec<u8>> = chain.iter().map(|certificate| certificate.to_vec()).collect();
    Ok(Arc::new(CertKey::new(chain, key.secret_der().to_vec())))
}

/// `None` when the file cannot be read, or holds no certificate that could be an authority's.
fn read_authorities(path: &Path) -> Option<Arc<CaType>> {
    let pem = std::fs::read(path).ok()?;
    let certificates: Vec<_> = rustls_pemfile::certs(&mut pem.as_slice()).collect::<Result<_, _>>().ok()?;
    let mut store = rustls::RootCertStore::empty();
    // What rustls takes, pingora's own parser takes as well; it would panic otherwise.
    let sound = certificates.into_iter().filter(|c| store.add(c.clone()).is_ok());
    let wrapped: Vec<WrappedX509> = sound.map(|c| WrappedX509::new(c.to_vec(), parse_x509)).collect();
    if wrapped.is_empty() { None } else { Some(Arc::from(wrapped)) }
}

/// Streams of a connection to an HTTP/2 upstream, and as many windows.
const MAX_STREAMS: usize = 100;
const WINDOWS: u32 = 100;

/// How long one of several addresses of a name is passed over after it could not be connected.
const AVOIDANCE: Duration = Duration::from_secs(10);

/// How long a file's contents are used before it is read again.
const FILE_LIFETIME: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn upstream(host: &str) -> Upstream {
        Upstream {
            url: String::new(),
            host: host.to_owned(),
            port: 8080,
            tls: None,
            http2: UpstreamHttp2::Never,
            weight: NonZeroU32::MIN,
            max_connections: None,
        }
    }

    #[tokio::test]
    async fn names_and_addresses_are_resolved() {
        let directory = Directory::default();
        let v6 = directory.addresses(&upstream("::1"), AVOIDANCE).await.expect("address");
        assert_eq!(v6.first().map(ToString::to_string).as_deref(), Some("[::1]:8080"));
        let local = directory.addresses(&upstream("localhost"), AVOIDANCE).await.expect("name");
        assert!(local.iter().all(|a| a.ip().is_loopback() && a.port() == 8080) && !local.is_empty());
    }

    #[test]
    fn an_address_that_cannot_be_connected_is_avoided_while_there_is_another() {
        let directory = Directory::default();
        let address = |n: u8| SocketAddr::from(([10, 0, 0, n], 8080));
        for (name, numbers) in [("pair", vec![1, 2]), ("lone", vec![9])] {
            directory.names.teach(name, 8080, numbers.into_iter().map(address).collect());
        }
        let pair = [address(1), address(2)];
        assert_eq!([0, 1].map(|turn| directory.one_of(&pair, turn)), pair.map(Some));
        assert!(directory.avoid(&upstream("pair"), &PeerAddr::from(address(1))));
        assert_eq!([0, 1].map(|turn| directory.one_of(&pair, turn)), [Some(address(2)); 2]);
        assert!(!directory.avoid(&upstream("pair"), &PeerAddr::from(address(2))));
        assert!(directory.one_of(&pair, 0).is_some());
        assert!(!directory.avoid(&upstream("lone"), &PeerAddr::from(address(9))));
        assert!(!directory.avoid(&upstream("unheard-of"), &PeerAddr::from(address(9))));
    }

    #[test]
    fn a_file_without_an_authority_is_none() {
        assert!(read_authorities(Path::new("/nonexistent")).is_none());
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), "no certificate").expect("write");
        assert!(read_authorities(file.path()).is_none());
    }
}
