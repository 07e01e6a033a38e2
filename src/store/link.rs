//! Connecting to Redis: TCP, TLS or a Unix socket, then who we are.

use crate::config::{Redis, RedisServer};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// What moves a connection's bytes; to be spawned.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Any kind of stream.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An answer that has not come by then never will, and gives its place back.
const LONGEST_ANSWER: Duration = Duration::from_secs(2);

/// Connects and introduces us.
pub(super) async fn connect(settings: &Redis) -> Result<(MultiplexedConnection, Driver), String> {
    let stream: Box<dyn Stream> = match &settings.server {
        RedisServer::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(|e| e.to_string())?),
        RedisServer::Tcp { host, port, tls } => {
            let address = (host.as_str(), *port);
            let stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
            stream.set_nodelay(true).map_err(|e| e.to_string())?;
            if *tls {
                let connector = TlsConnector::from(Arc::new(tls_config(settings.ca.as_deref())?));
                let name = ServerName::try_from(host.clone()).map_err(|e| e.to_string())?;
                Box::new(connector.connect(name, stream).await.map_err(|e| e.to_string())?)
            } else {
                Box::new(stream)
            }
        }
    };
    let mut who = RedisConnectionInfo::default().set_db(i64::from(settings.database)).set_skip_set_lib_name();
    if let Some(username) = &settings.username {
        who = who.set_username(username);
    }
    if let Some(password) = &settings.password {
        who = who.set_password(password.expose());
    }
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(LONGEST_ANSWER));
    let (connection, driver) = MultiplexedConnection::new_with_config(&who, stream, config)
        .await
        .map_err(|error| describe(&error))?;
    Ok((connection, Box::pin(driver)))
}

/// What went wrong, without anything that we have sent.
pub(super) fn describe(error: &RedisError) -> String {
    match error.code() {
        Some(code) => format!("{} ({code})", error.category()),
        None => error.category().to_owned(),
    }
}

fn tls_config(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let about = |error: std::io::Error| format!("{}: {error}", path.display());
            let pem = std::fs::read(path).map_err(about)?;
            for certificate in rustls_pemfile::certs(&mut pem.as_slice()) {
                roots.add(certificate.map_err(about)?).map_err(|e| format!("{}: {e}", path.display()))?;
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs().map_err(|e| e.to_string())?;
            roots.add_parsable_certificates(system);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(|e| e.to_string())?.with_root_certificates(roots).with_no_client_auth())
}
