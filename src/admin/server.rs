//! The admin listener: its socket and its connections.

use super::desk::{Desk, Subject};
use super::{routes, stream};
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, watch};

/// The bound admin listener.
pub struct AdminServer {
    listener: std::net::TcpListener,
    subject: Arc<Subject>,
}

/// Connections at a time. Scrapers and probes use a handful.
const CONNECTIONS: usize = 64;
/// From a connection's acceptance, or the last answer, to the end of a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

impl AdminServer {
    /// Binds `address`.
    ///
    /// # Errors
    ///
    /// When it cannot be bound.
    pub fn bind(address: SocketAddr, subject: Arc<Subject>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, subject })
    }

    /// On a socket that is bound.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn on(listener: std::net::TcpListener, subject: Arc<Subject>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener, subject })
    }

    /// Another handle of its socket.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn socket(&self) -> io::Result<std::net::TcpListener> {
        self.listener.try_clone()
    }

    /// The bound address.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` says `true` or its sender is gone.
    ///
    /// # Errors
    ///
    /// When the socket cannot be handed to the runtime.
    pub async fn serve(self, mut shutdown: watch::Receiver<bool>) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let desk = Arc::new(Desk::new(self.subject));
        tokio::spawn(stream::tick(Arc::clone(&desk)));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = shutdown.wait_for(|stop| *stop) => return Ok(()),
            };
            let Ok((stream, peer)) = accepted else {
                // Out of file descriptors, most likely; trying again at once would only burn time.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
            let desk = Arc::clone(&desk);
            tokio::spawn(async move {
                let _place = place;
                let cut = Arc::new(Notify::new());
                let cutter = Arc::clone(&cut);
                let service = service_fn(move |request: Request<Incoming>| {
                    let (desk, cut) = (Arc::clone(&desk), Arc::clone(&cutter));
                    async move { Ok::<_, Infallible>(routes::answer(&request, peer.ip(), &desk, &cut).await) }
                });
                let mut http = hyper::server::conn::http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(16 << 10);
                tokio::select! {
                    // What goes wrong on a scraper's connection is the scraper's business.
                    _ = http.serve_connection(TokioIo::new(stream), service) => {}
                    () = cut.notified() => {}
                }
            });
        }
    }

    /// [`Self::serve`] on a thread of its own, so that a busy proxy does not delay a probe.
    ///
    /// # Errors
    ///
    /// When the thread or its runtime cannot be started.
    pub fn spawn(self, shutdown: watch::Receiver<bool>) -> io::Result<std::thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(self.serve(shutdown)) {
                tracing::error!(%error, "the admin listener has ended");
            }
            // A reload under way on a blocking thread may outlast the listener.
            runtime.shutdown_timeout(Duration::from_millis(100));
        })
    }
}
