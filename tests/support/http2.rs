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
        ListenerTls { certificates: vec![self.config()], clients: None, only_1_3: false }
    }
}

/// A TLS connection that offers `protocols` and trusts `identity` only.
pub async fn connect_tls(
    address: SocketAddr,
    identity: &Identity,
    name: &str,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    secure(TcpStream::connect(address).await?, identity, name, protocols).await
}

/// The same on a connection that is there.
pub async fn secure(
    stream: TcpStream,
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
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// An HTTP/2 connection.
pub async fn connect(address: SocketAddr, identity: &Identity) -> SendRequest<Bytes> {
    dial(address, identity).await.0
}

/// An HTTP/2 connection and our port.
pub async fn dial(address: SocketAddr, identity: &Identity) -> (SendRequest<Bytes>, u16) {
    let name = identity.names[0].clone();
    let stream = connect_tls(address, identity, &name, &["h2"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let port = stream.get_ref().0.local_addr().unwrap().port();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    (client, port)
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

/// An origin over TLS that speaks HTTP/2, or HTTP/1.1 when the client does not offer more. Answers with the
/// protocol, the method, the body's length and its digest.
pub struct TlsOrigin {
    pub address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl TlsOrigin {
    /// Starts with `identity`, offering `protocols`.
    pub fn start(identity: &Identity, protocols: &[&str]) -> Self {
        let config = server_config(identity, protocols);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let acceptor = tokio_rustls::TlsAcceptor::from(config);
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                        serve_http2(stream).await;
                    } else {
                        serve_http1(stream).await;
                    }
                });
            }
        });
        Self { address, runtime: Some(runtime) }
    }
}

impl Drop for TlsOrigin {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The side of a server that shows `identity` and offers `protocols`.
pub fn server_config(identity: &Identity, protocols: &[&str]) -> Arc<rustls::ServerConfig> {
    let key = std::fs::read(identity.files.path().join("key.pem")).unwrap();
    let key = rustls_pemfile::private_key(&mut key.as_slice()).unwrap().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    Arc::new(config)
}

async fn serve_http2(stream: tokio_rustls::server::TlsStream<TcpStream>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let method = request.method().clone();
            let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
            let is_stream = request.uri().path() == "/stream";
            if request.uri().path() == "/endless" {
                let Ok(mut stream) = respond.send_response(Response::new(()), false) else { return };
                let piece = Bytes::from(vec![b'x'; 16_384]);
                loop {
                    stream.reserve_capacity(piece.len());
                    match std::future::poll_fn(|cx| stream.poll_capacity(cx)).await {
                        Some(Ok(room))
                            if stream.send_data(piece.slice(..room.min(16_384)), false).is_ok() => {}
                        _ => return,
                    }
                }
            }
            let mut incoming = request.into_body();
            if is_stream {
                let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
                let Ok(mut stream) = respond.send_response(head, false) else { return };
                while let Some(Ok(chunk)) = incoming.data().await {
                    let _ = incoming.flow_control().release_capacity(chunk.len());
                    let _ = stream.send_data(chunk, false);
                }
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
                let _ = stream.send_trailers(trailers);
                return;
            }
            let mut body = Vec::new();
            while let Some(Ok(chunk)) = incoming.data().await {
                let _ = incoming.flow_control().release_capacity(chunk.len());
                body.extend_from_slice(&chunk);
            }
            let text =
                format!("h2 {method} {authority} {} {:016x}", body.len(), super::origin::digest(&body));
            let head = Response::builder().header("content-type", "text/plain").body(()).unwrap();
            if let Ok(mut stream) = respond.send_response(head, false) {
                let _ = stream.send_data(Bytes::from(text), true);
            }
        });
    }
}

async fn serve_http1(mut stream: tokio_rustls::server::TlsStream<TcpStream>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhttp").await;
    let _ = stream.shutdown().await;
}
