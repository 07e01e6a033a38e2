//! Where a request goes: chooses an upstream, resolves its name, and describes the connection to pingora.

use super::answer::Trouble;
use crate::config::{Site, Upstream, UpstreamHttp2};
use pingora_core::protocols::ALPN;
use pingora_core::protocols::tls::CaType;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::{WrappedX509, parse_x509};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses and authorities that have been looked up.
#[derive(Default)]
pub(super) struct Directory {
    names: Mutex<HashMap<(String, u16), Known>>,
    authorities: Mutex<HashMap<PathBuf, (Instant, Arc<CaType>)>>,
    turn: AtomicUsize,
}

#[derive(Clone)]
struct Known {
    addresses: Arc<[SocketAddr]>,
    since: Instant,
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
        let addresses = self.addresses(upstream).await?;
        let index = turn.checked_rem(addresses.len()).unwrap_or(0);
        let address = addresses.get(index).copied().ok_or(Trouble::UpstreamName)?;
        let sni = upstream.tls.as_ref().map_or_else(String::new, |tls| tls.sni.clone());
        let mut peer = HttpPeer::new(address, upstream.tls.is_some(), sni);
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
        options.max_h2_streams = 100;
        options.connection_timeout = Some(site.timeouts.connect);
        options.total_connection_timeout = Some(site.timeouts.connect);
        // Both sides of a tunnel may be silent for long.
        options.read_timeout = (!is_upgrade).then_some(site.timeouts.read);
        options.write_timeout = Some(site.timeouts.write);
        options.idle_timeout = Some(site.timeouts.idle);
        // pingora's pool does not look at authorities or protocol versions when it gives a connection again.
        let mut group = DefaultHasher::new();
        upstream.tls.as_ref().and_then(|tls| tls.ca.as_ref()).hash(&mut group);
        (upstream.http2 as u8, is_upgrade).hash(&mut group);
        peer.group_key = group.finish();
        Ok(peer)
    }

    async fn addresses(&self, upstream: &Upstream) -> Result<Arc<[SocketAddr]>, Trouble> {
        if let Ok(address) = upstream.host.parse::<IpAddr>() {
            return Ok(Arc::from([SocketAddr::new(address, upstream.port)]));
        }
        let key = (upstream.host.clone(), upstream.port);
        let known = self.names.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = &known
            && known.since.elapsed() < NAME_LIFETIME
        {
            return Ok(Arc::clone(&known.addresses));
        }
        let lookup = tokio::net::lookup_host((upstream.host.as_str(), upstream.port));
        let found: Vec<SocketAddr> = match tokio::time::timeout(LOOKUP_TIME, lookup).await {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        let addresses = match known {
            // Yesterday's address beats none while the resolver is away.
            Some(known) if found.is_empty() => known.addresses,
            _ if found.is_empty() => return Err(Trouble::UpstreamName),
            _ => Arc::from(found),
        };
        let known = Known { addresses: Arc::clone(&addresses), since: Instant::now() };
        self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(key, known);
        Ok(addresses)
    }

    /// The authorities in a PEM file, read again now and then so that a renewed file counts.
    fn authorities(&self, path: &Path) -> Result<Arc<CaType>, Trouble> {
        let mut known = self.authorities.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, authorities)) = known.get(path)
            && since.elapsed() < AUTHORITY_LIFETIME
        {
            return Ok(Arc::clone(authorities));
        }
        let read = read_authorities(path);
        let authorities = match (read, known.get(path)) {
            (Some(authorities), _) => authorities,
            (None, Some((_, old))) => Arc::clone(old),
            (None, None) => return Err(Trouble::UpstreamTls),
        };
        known.insert(path.to_owned(), (Instant::now(), Arc::clone(&authorities)));
        Ok(authorities)
    }
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

/// How long a name's addresses are used before they are asked for again. The system's resolver tells no lifetimes.
const NAME_LIFETIME: Duration = Duration::from_secs(30);

/// How long a resolver may take.
const LOOKUP_TIME: Duration = Duration::from_secs(5);

/// How long a file of authorities is used before it is read again.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(60);

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
        }
    }

    #[tokio::test]
    async fn names_and_addresses_are_resolved() {
        let directory = Directory::default();
        let v6 = directory.addresses(&upstream("::1")).await.expect("address");
        assert_eq!(v6.first().map(ToString::to_string).as_deref(), Some("[::1]:8080"));
        let local = directory.addresses(&upstream("localhost")).await.expect("name");
        assert!(local.iter().all(|a| a.ip().is_loopback() && a.port() == 8080) && !local.is_empty());
    }

    #[test]
    fn a_file_without_an_authority_is_none() {
        assert!(read_authorities(Path::new("/nonexistent")).is_none());
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), "no certificate").expect("write");
        assert!(read_authorities(file.path()).is_none());
    }
}
