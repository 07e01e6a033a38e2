//! Clients' connections: HTTP/1.1 by hand, so that nothing is smoothed over, and HTTP/2.

use crate::support::http2::Identity;
use bytes::Bytes;
use h2::client::SendRequest;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What bytes go through.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// An HTTP/1.1 connection.
pub struct Wire {
    io: BufReader<Box<dyn Stream>>,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// Whether the body came to its announced end.
    pub complete: bool,
}

impl Reply {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    /// Whether the connection ends with it.
    pub fn is_last(&self) -> bool {
        !self.complete || self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The body as text, for complaints.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body[..self.body.len().min(200)]).into_owned()
    }
}

impl Wire {
    /// A connection in cleartext.
    pub async fn plain(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { io: BufReader::new(Box::new(stream)) })
    }

    /// A connection over TLS, and the certificate that was shown.
    pub async fn secured(address: SocketAddr, trust: &Trust) -> io::Result<(Self, Vec<u8>)> {
        let stream = trust.connect(address, &["http/1.1"]).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(|all| all.first().map(|c| c.to_vec()));
        Ok((Self { io: BufReader::new(Box::new(stream)) }, shown.unwrap_or_default()))
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.get_mut().write_all(bytes).await?;
        self.io.get_mut().flush().await
    }

    /// Sends pieces of `size`, one each `pause`.
    pub async fn dribble(&mut self, bytes: &[u8], size: usize, pause: Duration) -> io::Result<()> {
        for piece in bytes.chunks(size) {
            self.send(piece).await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// The head of an answer.
    pub async fn head(&mut self) -> io::Result<Reply> {
        let head =
            read_head(&mut self.io).await?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let status = head.split(' ').nth(1).and_then(|s| s.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| strange(&head))?;
        Ok(Reply { status, head, body: Vec::new(), complete: false })
    }

    /// An answer, whole or as far as it comes. `pause` is between two reads.
    pub async fn read(&mut self, pause: Option<Duration>) -> io::Result<Reply> {
        let mut reply = self.head().await?;
        reply.complete = self.body(&mut reply, pause).await.is_ok();
        Ok(reply)
    }

    async fn body(&mut self, reply: &mut Reply, pause: Option<Duration>) -> io::Result<()> {
        if reply.header("transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk().await? {
                reply.body.extend_from_slice(&chunk);
            }
            return Ok(());
        }
        let length: usize = match reply.header("content-length").map(str::parse) {
            Some(Ok(length)) => length,
            Some(Err(_)) => return Err(strange(&reply.head)),
            None => return self.io.read_to_end(&mut reply.body).await.map(drop),
        };
        let mut left = length;
        let mut buffer = vec![0; 16 * 1024];
        while left > 0 {
            let most = left.min(buffer.len());
            let read = self.io.read(&mut buffer[..most]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            reply.body.extend_from_slice(&buffer[..read]);
            left -= read;
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
        Ok(())
    }

    /// The next chunk; none at the end.
    pub async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        read_chunk(&mut self.io).await
    }

    /// As many bytes as that.
    pub async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.io.read_exact(&mut bytes).await?;
        Ok(bytes)
    }
}

/// Who is trusted: every certificate that the server may show.
#[derive(Clone)]
pub struct Trust(RootCertStore);

impl Trust {
    pub fn new(identities: &[Identity]) -> Self {
        let mut roots = RootCertStore::empty();
        for identity in identities {
            roots.add(identity.certificate.der().clone()).expect("a certificate");
        }
        Self(roots)
    }

    async fn connect(&self, address: SocketAddr, protocols: &[&str]) -> io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(self.0.clone())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("shop.test").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// An HTTP/2 connection.
    pub async fn http2(&self, address: SocketAddr) -> io::Result<SendRequest<Bytes>> {
        let stream = self.connect(address, &["h2"]).await?;
        let (client, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(client)
    }
}

/// A head without the empty line behind it; none at the end.
pub async fn read_head(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<String>> {
    let mut head = String::new();
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).await? == 0 {
            return if head.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        let Some(text) = line.strip_suffix("\r\n") else { return Err(strange(&line)) };
        if text.is_empty() {
            return Ok(Some(head));
        }
        head.push_str(&line);
    }
}

/// The next chunk; none at the end.
pub async fn read_chunk(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    reader.read_line(&mut line).await?;
    let size = line.strip_suffix("\r\n").and_then(|size| usize::from_str_radix(size, 16).ok());
    let size = size.ok_or_else(|| strange(&line))?;
    let mut bytes = vec![0; size + 2];
    reader.read_exact(&mut bytes).await?;
    if !bytes.ends_with(b"\r\n") {
        return Err(strange("a chunk without its end"));
    }
    bytes.truncate(size);
    Ok((size > 0).then_some(bytes))
}

/// The value of a field of a head.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn strange(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("strange: {what:?}"))
}
