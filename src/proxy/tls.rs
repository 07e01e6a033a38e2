//! TLS of a listener: certificates chosen by name, ALPN, and their renewal.

use crate::config::{Certificate, ClientAuthority, ListenerTls};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What rustls needs to accept connections of a listener.
///
/// # Errors
///
/// When a certificate or key cannot be read or does not fit its counterpart; the message names the file.
pub(super) fn acceptor(tls: &ListenerTls, http2: bool) -> io::Result<Arc<ServerConfig>> {
    let provider = Arc::new(ring::default_provider());
    let keys = tls.certificates.iter().map(|c| Choice::load(c, &provider)).collect::<io::Result<Vec<_>>>()?;
    if keys.is_empty() {
        return Err(io::Error::other("the listener has no certificate"));
    }
    let versions: &[&SupportedProtocolVersion] = if tls.only_1_3 { &[&TLS13] } else { &[&TLS13, &TLS12] };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(io::Error::other)?;
    let builder = match &tls.clients {
        Some(clients) => builder.with_client_cert_verifier(verifier(clients, provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Choices(keys)));
    let protocols: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    Ok(Arc::new(config))
}

/// What verifies clients' certificates.
fn verifier(
    clients: &ClientAuthority,
    provider: Arc<CryptoProvider>,
) -> io::Result<Arc<dyn ClientCertVerifier>> {
    let found = read(&clients.ca, |pem| {
        rustls_pemfile::certs(&mut &*pem).collect::<io::Result<Vec<CertificateDer<'static>>>>()
    })?;
    let mut roots = RootCertStore::empty();
    for certificate in found {
        roots.add(certificate).map_err(|error| about(&clients.ca, &error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(about(&clients.ca, "holds no certificate"));
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| about(&clients.ca, &error.to_string()))
}

/// SHA-256 of `bytes` in lower-case hex.
pub(super) fn fingerprint(bytes: &[u8]) -> String {
    let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13();
    let hash = suite.map(|suite| suite.common.hash_provider.hash(bytes));
    hash.as_ref().map_or(&[][..], AsRef::as_ref).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A certificate as PEM (RFC 7468).
pub(super) fn to_pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let mut out = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out + "-----END CERTIFICATE-----\n"
}

/// A listener's certificates, in the order of the configuration.
#[derive(Debug)]
struct Choices(Vec<Choice>);

struct Choice {
    config: Certificate,
    key: Arc<CertifiedKey>,
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Choice").field(&self.config).finish()
    }
}

impl Choice {
    fn load(config: &Certificate, provider: &CryptoProvider) -> io::Result<Self> {
        let (chain, key) = read_pair(&config.certificate, &config.key)?;
        let key = CertifiedKey::from_der(chain, key, provider)
            .map_err(|error| about(&config.key, &error.to_string()))?;
        Ok(Self { config: config.clone(), key: Arc::new(key) })
    }

    fn serves(&self, name: &str) -> bool {
        if !self.config.hosts.is_empty() {
            return self.config.hosts.iter().any(|host| host.matches(name));
        }
        let Ok(name) = ServerName::try_from(name) else { return false };
        let leaf = self.key.cert.first().map(ParsedCertificate::try_from);
        matches!(leaf, Some(Ok(leaf)) if verify_server_name(&leaf, &name).is_ok())
    }
}

impl ResolvesServerCert for Choices {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.0.iter().find(|choice| choice.serves(name)));
        named.or(self.0.first()).map(|choice| Arc::clone(&choice.key))
    }
}

/// A certificate chain, leaf first, and the private key that belongs to it.
///
/// # Errors
///
/// When one of the files cannot be read, or they do not belong together; the message names the file.
pub(super) fn read_pair(
    certificate: &Path,
    key_file: &Path,
) -> io::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = read(certificate, |pem| {
        rustls_pemfile::certs(&mut &*pem).collect::<io::Result<Vec<CertificateDer<'static>>>>()
    })?;
    if chain.is_empty() {
        return Err(about(certificate, "holds no certificate"));
    }
    let key: Option<PrivateKeyDer<'static>> = read(key_file, |pem| rustls_pemfile::private_key(&mut &*pem))?;
    let key = key.ok_or_else(|| about(key_file, "holds no private key"))?;
    CertifiedKey::from_der(chain.clone(), key.clone_key(), &ring::default_provider())
        .map_err(|error| about(key_file, &error.to_string()))?;
    Ok((chain, key))
}

fn read<T>(path: &Path, parse: impl FnOnce(&[u8]) -> io::Result<T>) -> io::Result<T> {
    let pem = std::fs::read(path).map_err(|error| about(path, &error.to_string()))?;
    parse(&pem).map_err(|error| about(path, &error.to_string()))
}

fn about(path: &Path, what: &str) -> io::Error {
    io::Error::other(format!("{}: {what}", path.display()))
}
