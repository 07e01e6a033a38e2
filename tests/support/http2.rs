//! An HTTP/2 client over TLS, and certificates for it.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, Response};
use portcullis::config::{Certificate, ListenerTls};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A self-signed certificate in files.
pub struct Identity {
    pub files: TempDir,
    pub certificate: rcgen::Certificate,
    pub names: Vec<String>,
}

impl Identity {
    /// One for `names`.
    pub fn new(names: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names.clone()).unwrap();
        std::fs::write(files.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(files.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { files, certificate: made.cert, names }
    }

    /// As a listener's certificate.
    pub fn config(&self) -> Certificate {
        Certificate {
            certificate: self.files.path().join("cert.pem"),
            key: self.files.path().join("key.pem"),
            hosts: Vec::new(),
        }
    }

    /// As a listener's only certificate.
    pub fn listener(&self) -> ListenerTls {
        ListenerTls { certificates: vec![self.config()] }
    }
}

/// A TLS connection that offers `protocols` and trusts `identity` only.
pub async fn connect_tls(
    address: SocketAddr,
    identity: &Identity,
    name: &str,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// An HTTP/2 connection.
pub async fn connect(address: SocketAddr, identity: &Identity) -> SendRequest<Bytes> {
    let name = identity.names[0].clone();
    let stream = connect_tls(address, identity, &name, &["h2"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    client
}

/// Sends a request with `body` in pieces of `size` and reads the response to its end.
pub async fn send(
    client: &mut SendRequest<Bytes>,
    request: Request<()>,
    body: &[u8],
    size: usize,
) -> Result<Response<Vec<u8>>, h2::Error> {
    let mut ready = client.clone().ready().await?;
    let (response, mut stream) = ready.send_request(request, body.is_empty())?;
    let sending = async {
        let mut chunks = body.chunks(size).peekable();
        while let Some(chunk) = chunks.next() {
            let mut rest = Bytes::copy_from_slice(chunk);
            while !rest.is_empty() {
                stream.reserve_capacity(rest.len());
                let room = match std::future::poll_fn(|cx| stream.poll_capacity(cx)).await {
                    Some(room) => room?,
                    None => return Ok(()),
                };
                let piece = rest.split_to(room.min(rest.len()));
                let is_last = rest.is_empty() && chunks.peek().is_none();
                stream.send_data(piece, is_last)?;
            }
        }
        Ok::<(), h2::Error>(())
    };
    let (sent, response) = tokio::join!(sending, response);
    let response = response?;
    // A server may answer before it has read everything, and refuse the rest.
    drop(sent);
    let (parts, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = stream.data().await {
        let chunk = chunk?;
        stream.flow_control().release_capacity(chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    Ok(Response::from_parts(parts, body))
}
