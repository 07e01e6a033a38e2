//! A small HTTP/1.1 origin server on a thread of its own, for what the command line brings along: the
//! demonstration application, and the backend that rule tests talk to.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// A request with its whole body.
#[derive(Clone, Debug, Default)]
pub struct OriginRequest {
    /// The method.
    pub method: String,
    /// The path, not decoded.
    pub path: String,
    /// What follows the `?`, not decoded; empty when there is none.
    pub query: String,
    /// Header fields; names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl OriginRequest {
    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_slice())
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginReply {
    /// The status.
    pub status: u16,
    /// Header fields; those that are no valid HTTP are left out. `Content-Length` and `Date` are added.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A running origin server; it ends when this is dropped.
pub struct Origin {
    address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Origin {
    /// Listens on `address` (port 0 picks a free one) and answers by `handler`, which is called on the server's
    /// own thread and should not block for long.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound or the thread not be made.
    pub fn start(
        address: SocketAddr,
        handler: impl Fn(OriginRequest) -> OriginReply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("origin")
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind(address))?;
        let address = listener.local_addr()?;
        runtime.spawn(accept(listener, Arc::new(handler)));
        Ok(Self { address, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

type Handler = dyn Fn(OriginRequest) -> OriginReply + Send + Sync;

async fn accept(listener: TcpListener, handler: Arc<Handler>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors or the like; give others time to end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let handler = Arc::clone(&handler);
        tokio::spawn(async move {
            let service = service_fn(|request| serve(request, Arc::clone(&handler)));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            // A connection that breaks concerns nobody but its client.
            let _ = connection.await;
            drop(slot);
        });
    }
}

async fn serve(
    request: Request<Incoming>,
    handler: Arc<Handler>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let reply = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => handler(OriginRequest {
            method: parts.method.as_str().to_owned(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts
                .headers
                .iter()
                .map(|(n, v)| (n.as_str().to_owned(), v.as_bytes().to_vec()))
                .collect(),
            body: body.to_bytes().to_vec(),
        }),
        Err(_) => OriginReply { status: 413, ..OriginReply::default() },
    };
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}

/// Connections at once; further clients wait.
const MAX_CONNECTIONS: usize = 512;
/// Bytes of a request's body, which is held in memory.
const MAX_BODY: usize = 128 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn answers_and_ends() {
        let echo = |r: OriginRequest| OriginReply {
            status: 201,
            headers: vec![
                ("X-Echo".into(), format!("{} {}?{}", r.method, r.path, r.query)),
                ("bad name".into(), String::new()),
            ],
            body: r.body,
        };
        let origin = Origin::start(([127, 0, 0, 1], 0).into(), echo).unwrap();
        let mut stream = std::net::TcpStream::connect(origin.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let request =
            b"POST /a%20b?c=d HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        assert!(answer.contains("x-echo: POST /a%20b?c=d\r\n") && answer.ends_with("\r\n\r\nhi"), "{answer}");
        assert!(!answer.contains("bad name"));
        let address = origin.address();
        drop(origin);
        let gone = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            std::net::TcpStream::connect(address).is_err()
        });
        assert!(gone, "the server outlives its owner");
    }
}
