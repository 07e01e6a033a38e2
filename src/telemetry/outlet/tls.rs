//! TLS towards sinks. Files are read at every connection, so that renewed certificates need no restart.

use crate::config::SinkTls;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::fs::File;
use std::io::{self, BufReader};
use std::sync::Arc;

/// How to connect with these authorities and this identity.
pub(super) fn client(tls: &SinkTls) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match &tls.ca {
        Some(path) => {
            for certificate in rustls_pemfile::certs(&mut BufReader::new(File::open(path)?)) {
                roots.add(certificate?).map_err(io::Error::other)?;
            }
        }
        // Of the system's some may be out of date; those are left out.
        None => {
            for certificate in rustls_native_certs::load_native_certs()? {
                let _ = roots.add(certificate);
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots);
    let config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain: Result<Vec<_>, _> =
                rustls_pemfile::certs(&mut BufReader::new(File::open(chain)?)).collect();
            let key = rustls_pemfile::private_key(&mut BufReader::new(File::open(key)?))?;
            let key = key.ok_or_else(|| io::Error::other("the key's file holds no key"))?;
            builder.with_client_auth_cert(chain?, key).map_err(io::Error::other)?
        }
    };
    Ok(Arc::new(config))
}

/// The name that the other side has to prove.
pub(super) fn name(host: &str) -> io::Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).map_err(io::Error::other)
}
