//! The server: listeners, connections, and their orderly end.
//!
//! The accept loops are our own: sockets are bound before anything is served (so that privileges can be dropped,
//! port 0 can be asked for, and an address in use is an error at start), PROXY headers come before TLS, and a
//! shutdown waits for what is under way.

use super::aside::Aside;
use super::bound::{Accepted, Accepting, Bound};
use super::budget::Budget;
use super::connect::Dialler;
use super::crowd::{self, Crowd, Quota, Seat};
use super::exchange::{Ids, Shared};
use super::front::{self, Ends};
use super::observer::Observer;
use super::pulse::Pulse;
use super::secured::Secured;
use super::service::Service;
use super::shadow::Shadows;
use super::socket::Socket as BufferedSocket;
use super::upstream::{self, Directory};
use super::{health, http2, tls};
use crate::admission::Admission;
use crate::config::{ListenAddress, Listener};
use crate::engine::World;
use crate::reload::{Current, Generation};
use pingora_core::listeners::tls::Acceptor;
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use pingora_core::protocols::{ALPN, GetSocketDigest, SocketDigest, Ssl, Stream};
use pingora_core::server::ShutdownWatch;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A server whose sockets are bound.
pub struct Server {
    shared: Arc<Shared>,
    proxy: Arc<HttpProxy<Service>>,
    sockets: Vec<Socket>,
}

/// A bound socket and how it is spoken to.
struct Socket {
    listener: Bound,
    /// As many as there may be connections.
    places: Arc<Semaphore>,
    /// Who has them.
    crowd: Arc<Crowd>,
    /// Places for those that are turned away with an answer.
    porch: Arc<Semaphore>,
    address: ListenAddress,
    config: Listener,
    tls: Option<TlsState>,
}

/// TLS of a listener, for the generation that it was read in.
struct TlsState(Mutex<(u64, Arc<Acceptor>)>);

impl Server {
    /// Binds the listeners of the current generation and reads their certificates.
    ///
    /// # Errors
    ///
    /// When an address cannot be bound, or a certificate cannot be used.
    pub fn bind(current: Current, world: Arc<dyn World>, observer: Arc<dyn Observer>) -> io::Result<Self> {
        let admission = Admission::new(current.load().config.store.limit_keys);
        Self::bind_with(current, world, observer, admission, |_| None)
    }

    /// [`Self::bind`], with rate limits and bans that others know too, and but for listeners for whose address `bound` has
    /// a socket already.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn bind_with(
        current: Current,
        world: Arc<dyn World>,
        observer: Arc<dyn Observer>,
        admission: Arc<Admission>,
        mut bound: impl FnMut(&ListenAddress) -> Option<Bound>,
    ) -> io::Result<Self> {
        let generation = current.load_full();
        let mut sockets = Vec::new();
        for listener in &generation.config.listeners {
            sockets.push(Socket::bind(listener, &generation, bound(&listener.address))?);
        }
        let shadows = Shadows::new(Arc::clone(&world), Arc::clone(&observer));
        let shared = Arc::new(Shared {
            aside: Aside::new(Arc::clone(&observer)),
            pulse: Arc::new(Pulse::default()),
            current,
            world,
            observer,
            budget: Arc::new(Budget::default()),
            unsent: Arc::default(),
            ids: Ids::default(),
            shadows,
            directory: Directory::default(),
            dialler: Dialler::default(),
            admission,
            stopping: AtomicBool::new(false),
        });
        let workers = generation.config.process.workers.or_else(|| std::thread::available_parallelism().ok());
        let conf = ServerConf {
            threads: workers.map_or(1, NonZeroUsize::get),
            upstream_keepalive_pool_size: UPSTREAM_POOL,
            max_retries: MAX_TRIES,
            ..ServerConf::default()
        };
        // Reads the system's certificate authorities, which takes a while: better now than before the first request.
        let proxy = Arc::new(http_proxy(&Arc::new(conf), Service::new(Arc::clone(&shared))));
        Ok(Self { shared, proxy, sockets })
    }

    /// Tries whether the certificates of `config` can be used, without binding anything.
    ///
    /// # Errors
    ///
    /// The first file that cannot be read or does not fit its counterpart.
    pub fn verify(config: &crate::config::Checked) -> io::Result<()> {
        config.sites.iter().flat_map(|site| &site.upstreams).try_for_each(upstream::verify)?;
        config.listeners.iter().try_for_each(|listener| match &listener.tls {
            Some(tls) => tls::acceptor(tls, listener.http2).map(drop),
            None => Ok(()),
        })
    }

    /// Other handles of the bound sockets, each with its address in the configuration.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn sockets(&self) -> io::Result<Vec<(ListenAddress, Bound)>> {
        self.sockets.iter().map(|s| Ok((s.config.address.clone(), s.listener.try_clone()?))).collect()
    }

    /// What is listened on, in the order of the configuration: port 0 has become another one.
    pub fn listening(&self) -> Vec<ListenAddress> {
        self.sockets.iter().map(|socket| socket.address.clone()).collect()
    }

    /// Those of [`Self::listening`] that are of the network.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let network = |address: &ListenAddress| match address {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        };
        self.sockets.iter().filter_map(|socket| network(&socket.address)).collect()
    }

    /// Serves on threads of its own until `shutdown` says `true` or its sender is gone. Then no connection is
    /// accepted any more, idle ones are closed, and requests under way may take the configuration's grace.
    ///
    /// # Errors
    ///
    /// When the threads cannot be started.
    pub fn run(self, workers: Option<NonZeroUsize>, shutdown: watch::Receiver<bool>) -> io::Result<()> {
        let workers =
            workers.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .thread_name("portcullis")
            .enable_all()
            .build()?;
        let result = runtime.block_on(self.serve(shutdown));
        runtime.shutdown_timeout(Duration::from_secs(1));
        result
    }

    /// [`Self::run`] on the current runtime, which must have several threads.
    ///
    /// # Errors
    ///
    /// When a socket cannot be handed to the runtime.
    pub async fn serve(self, mut shutdown: watch::Receiver<bool>) -> io::Result<()> {
        let checks = tokio::spawn(health::watch(Arc::clone(&self.shared), shutdown.clone()));
        let pulse = Arc::clone(&self.shared.pulse).beat(Arc::clone(&self.shared.observer));
        let pulse = tokio::spawn(pulse);
        let mut loops = JoinSet::new();
        for socket in self.sockets {
            let listener = socket.listener.accepting()?;
            let door = Door {
                proxy: Arc::clone(&self.proxy),
                shared: Arc::clone(&self.shared),
                socket: Arc::new(socket),
                shutdown: shutdown.clone(),
            };
            loops.spawn(door.accept_all(listener));
        }
        // An error says that the sender is gone, which ends the server as well.
        let _ = shutdown.wait_for(|stop| *stop).await;
        self.shared.stopping.store(true, Ordering::Relaxed);
        let grace = self.shared.current.load().config.process.grace;
        let _ = timeout(grace, async { while loops.join_next().await.is_some() {} }).await;
        loops.shutdown().await;
        checks.abort();
        pulse.abort();
        // Records of requests that are being shown to a candidate ruleset.
        self.shared.shadows.drain(LAST_TAPES).await;
        Ok(())
    }
}

/// How long requests that wait for a candidate ruleset may hold up the end.
const LAST_TAPES: Duration = Duration::from_secs(5);

impl Socket {
    fn bind(config: &Listener, generation: &Generation, bound: Option<Bound>) -> io::Result<Self> {
        let listener = bound.map_or_else(|| Bound::bind(config), Ok)?;
        let tls = match &config.tls {
            Some(tls) => {
                let acceptor = Acceptor::from_server_config(tls::acceptor(tls, config.http2)?);
                Some(TlsState(Mutex::new((generation.number, Arc::new(acceptor)))))
            }
            None => None,
        };
        let places = Arc::new(Semaphore::new(config.max_connections.get()));
        let porch = Arc::new(Semaphore::new(crowd::TURNED_AWAY));
        let crowd = Arc::default();
        let address = match (&config.address, listener.address()) {
            (ListenAddress::Tcp(_), Some(address)) => address,
            // It is bound under another name and moved.
            (configured, _) => configured.clone(),
        };
        Ok(Self { address, places, crowd, porch, listener, config: config.clone(), tls })
    }
}

impl TlsState {
    /// The acceptor, renewed when there is a new generation. Certificates that cannot be used leave the old ones.
    fn acceptor(&self, generation: &Generation, listener: &Listener) -> Arc<Acceptor> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 != generation.number {
            state.0 = generation.number;
            let same = generation.config.listeners.iter().find(|l| l.address == listener.address);
            match same.and_then(|l| Some(tls::acceptor(l.tls.as_ref()?, l.http2))) {
                Some(Ok(config)) => state.1 = Arc::new(Acceptor::from_server_config(config)),
                Some(Err(error)) => tracing::error!(%error, "kept the old certificates"),
                None => {}
            }
        }
        Arc::clone(&state.1)
    }
}

/// What a listener's connections are given.
struct Door {
    proxy: Arc<HttpProxy<Service>>,
    shared: Arc<Shared>,
    socket: Arc<Socket>,
    shutdown: ShutdownWatch,
}

impl Door {
    /// Accepts until the shutdown, and then waits for what it accepted.
    async fn accept_all(self, listener: Accepting) {
        let door = Arc::new(self);
        let mut shutdown = door.shutdown.clone();
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => break,
                accepted = listener.accept() => accepted,
                // Collects what has ended, so that the set does not grow.
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    door.shared.ended(&ended);
                    continue;
                }
            };
            match accepted {
                Ok((stream, peer)) => match door.enter(peer.ip()) {
                    Ok(room) => {
                        connections.spawn(Arc::clone(&door).serve(stream, peer, room));
                    }
                    Err(reason) => {
                        door.shared.observer.connection_failed(reason);
                        // Behind a PROXY header it would come too early.
                        if !door.socket.config.proxy_protocol
                            && let Some(answer) = door.turn_away(stream)
                        {
                            connections.spawn(answer);
                        }
                    }
                },
                Err(error) => {
                    // Out of descriptors, mostly: some must be given back first.
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        while let Some(ended) = connections.join_next().await {
            door.shared.ended(&ended);
        }
    }

    /// Room for a connection of `peer`; a counter's reason where there is none. Who has too many already takes no place that
    /// others could have.
    fn enter(&self, peer: IpAddr) -> Result<Room, &'static str> {
        // Behind a PROXY header it is not known yet who comes.
        let seat = if self.socket.config.proxy_protocol { None } else { self.seat(peer)? };
        let place = Arc::clone(&self.socket.places).try_acquire_owned().map_err(|_| "listener_full")?;
        Ok(Room { _place: place, seat })
    }

    /// The place of a connection among those of its client. Trusted proxies need none: they bring everybody's requests.
    fn seat(&self, client: IpAddr) -> Result<Option<Seat>, &'static str> {
        if self.shared.current.load().config.trusts(client) {
            return Ok(None);
        }
        let seat = self.socket.crowd.enter(client, self.socket.config.max_connections_per_client);
        seat.map(Some).ok_or("client_full")
    }

    async fn serve(self: Arc<Self>, stream: Accepted, peer: SocketAddr, room: Room) {
        let _counted = Counted::new(&self.shared, &self.socket.config.address);
        if let Err(reason) = self.connection(stream, peer, room).await {
            self.shared.observer.connection_failed(reason);
        }
    }

    /// What tells a client that there is no room; none where nobody can be told. TLS would cost more than it is worth.
    fn turn_away(&self, stream: Accepted) -> Option<impl Future<Output = ()> + Send + 'static> {
        let place = Arc::clone(&self.socket.porch).try_acquire_owned().ok()?;
        let is_readable = self.socket.tls.is_none();
        is_readable.then_some(async move {
            match stream {
                Accepted::Tcp(stream) => crowd::turn_away(stream).await,
                Accepted::Unix(stream) => crowd::turn_away(stream).await,
            }
            drop(place);
        })
    }

    async fn connection(
        &self,
        mut stream: Accepted,
        peer: SocketAddr,
        mut room: Room,
    ) -> Result<(), &'static str> {
        stream.hurry();
        if let Accepted::Tcp(stream) = &stream {
            unacknowledged(stream, self.shared.current.load().config.client.write_timeout);
        }
        let secure = self.socket.config.tls.is_some();
        let mut ends = Ends { peer, server: stream.server(secure), secure, tls: None };
        let generation = self.shared.current.load_full();
        let patience = generation.config.client.head_timeout;
        if self.socket.config.proxy_protocol {
            if !generation.config.trusts(peer.ip()) {
                return Err("proxy_protocol_untrusted");
            }
            match timeout(patience, stream.proxied()).await {
                Ok(Ok(Some((client, server)))) => (ends.peer, ends.server) = (client, server),
                Ok(Ok(None)) => {}
                Ok(Err(_)) => return Err("proxy_protocol"),
                Err(_) => return Err("proxy_protocol_timeout"),
            }
            match self.seat(ends.peer.ip()) {
                Ok(seat) => room.seat = seat,
                Err(reason) => {
                    drop(room);
                    if let Some(answer) = self.turn_away(stream) {
                        answer.await;
                    }
                    return Err(reason);
                }
            }
        }
        let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
        // Both cells are fresh, so that setting them cannot fail.
        let _ = digest.peer_addr.set(Some(PingoraAddr::from(ends.peer)));
        let _ = digest.local_addr.set(Some(PingoraAddr::from(ends.server)));
        let mut stream = L4Stream::from(stream);
        stream.set_socket_digest(digest);
        let stream = BufferedSocket::new(stream);
        let stream: Stream = match &self.socket.tls {
            None => Box::new(stream),
            Some(tls) => {
                let acceptor = tls.acceptor(&generation, &self.socket.config);
                match timeout(patience, acceptor.tls_handshake(stream)).await {
                    Ok(Ok(stream)) => {
                        ends.tls = stream.get_ssl().map(|tls| Arc::new(Secured::of(tls)));
                        Box::new(stream)
                    }
                    Ok(Err(_)) => return Err("tls_handshake"),
                    Err(_) => return Err("tls_handshake_timeout"),
                }
            }
        };
        let client = Some(ends.peer.ip()).filter(|client| !generation.config.trusts(*client));
        drop(generation);
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            let (places, crowd) = (Arc::clone(&self.socket.places), Arc::clone(&self.socket.crowd));
            let quota = Quota { places, crowd, client, most: self.socket.config.max_connections_per_client };
            http2::serve(&self.proxy, &self.shared, stream, ends, quota, &self.shutdown).await
        } else {
            front::serve(&self.proxy, &self.shared, stream, ends, &self.shutdown).await;
            Ok(())
        }
    }
}

/// The room that a connection takes until it ends.
struct Room {
    _place: OwnedSemaphorePermit,
    seat: Option<Seat>,
}

/// A connection among those that are open, until it is dropped.
struct Counted<'a> {
    shared: &'a Shared,
    listener: &'a ListenAddress,
}

impl<'a> Counted<'a> {
    fn new(shared: &'a Shared, listener: &'a ListenAddress) -> Self {
        shared.observer.connections(listener, 1);
        Self { shared, listener }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.shared.observer.connections(self.listener, -1);
    }
}

/// Ends a connection whose peer acknowledges nothing of what was sent for `patience`, or takes nothing of it: also after we
/// have closed it, when what is left of an answer is the kernel's to keep.
#[cfg(target_os = "linux")]
fn unacknowledged(stream: &TcpStream, patience: Duration) {
    use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
    let millis = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
    // What it bounds is bounded in other ways too, as long as the connection is ours.
    let _ = setsockopt(stream, TcpUserTimeout, &millis);
}

#[cfg(not(target_os = "linux"))]
fn unacknowledged(_: &TcpStream, _: Duration) {}

/// Idle upstream connections kept, per worker.
const UPSTREAM_POOL: usize = 128;

/// Connections tried for one request: stale ones from the pool, eight other upstreams, and further addresses of names. What
/// bounds them is [`super::attempts`].
const MAX_TRIES: usize = 32;

/// After an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
