//! Portcullis itself, on free ports, with rules given as text and an observer that remembers everything.

use super::client::{Client, Response, exchange};
use arc_swap::ArcSwap;
use portcullis::compile::{Input, load};
use portcullis::config::{
    Audit, AuditFormat, AuditTarget, Balance, Checked, ClientLimits, Edge, FailureOutcome, FailurePolicy,
    Forwarded, ForwardedPolicy, HostHeader, HostPattern, Listener, ListenerTls, Log, LogFormat, Measuring,
    Overload, Process, Reload, Router, Site, SiteTimeouts, Store, Upstream, UpstreamHttp2,
};
use portcullis::engine::{NoWorld, World};
use portcullis::proxy::{Finished, Observer, Server};
use portcullis::reload::{Balancer, Current, Generation, SiteRuntime};
use portcullis::ruleset::Ruleset;
use portcullis::syntax::seclang::FileLoader;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

/// A running server; it is shut down when this is dropped.
pub struct Portcullis {
    pub addresses: Vec<SocketAddr>,
    pub current: Current,
    pub seen: Arc<Witness>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// An observer that remembers.
#[derive(Default)]
pub struct Witness {
    log: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    finished: Vec<Finished>,
    upstream: Vec<&'static str>,
    connections: Vec<&'static str>,
}

impl Observer for Witness {
    fn finished(&self, finished: Finished) {
        self.log.lock().unwrap().finished.push(finished);
        self.changed.notify_all();
    }

    fn upstream_failed(&self, _: &Site, reason: &'static str) {
        self.log.lock().unwrap().upstream.push(reason);
        self.changed.notify_all();
    }

    fn connection_failed(&self, reason: &'static str) {
        self.log.lock().unwrap().connections.push(reason);
        self.changed.notify_all();
    }
}

impl Witness {
    /// Waits until `count` requests are finished, and returns all.
    pub fn finished(&self, count: usize) -> Vec<Finished> {
        self.wait(|seen| seen.finished.len() >= count, |seen| seen.finished.clone())
    }

    /// Waits until an upstream has failed, and returns the reasons.
    pub fn upstream_failures(&self, count: usize) -> Vec<&'static str> {
        self.wait(|seen| seen.upstream.len() >= count, |seen| seen.upstream.clone())
    }

    /// Waits until a connection has failed, and returns the reasons.
    pub fn connection_failures(&self, count: usize) -> Vec<&'static str> {
        self.wait(|seen| seen.connections.len() >= count, |seen| seen.connections.clone())
    }

    fn wait<T>(&self, is_due: impl Fn(&Seen) -> bool, get: impl Fn(&Seen) -> T) -> T {
        let until = Instant::now() + Duration::from_secs(20);
        let mut seen = self.log.lock().unwrap();
        while !is_due(&seen) {
            let left =
                until.checked_duration_since(Instant::now()).expect("what was awaited has not happened");
            seen = self.changed.wait_timeout(seen, left).unwrap().0;
        }
        get(&seen)
    }
}

/// A configuration to be changed before the server starts.
pub struct Setup {
    pub config: Checked,
    pub sites: Vec<(Site, String)>,
}

impl Setup {
    /// One cleartext listener, one site for everything with `rules` in front of `upstream`.
    pub fn new(upstream: SocketAddr, rules: &str) -> Self {
        let site = site("main", "*", "/", upstream);
        Self { config: config(), sites: vec![(site, rules.to_owned())] }
    }

    /// Changes the first site.
    pub fn site(mut self, change: impl FnOnce(&mut Site)) -> Self {
        change(&mut self.sites[0].0);
        self
    }

    /// Changes what is not about sites.
    pub fn config(mut self, change: impl FnOnce(&mut Checked)) -> Self {
        change(&mut self.config);
        self
    }

    /// Adds a site.
    pub fn and(mut self, site: Site, rules: &str) -> Self {
        self.sites.push((site, rules.to_owned()));
        self
    }

    /// The generation that this makes.
    pub fn generation(&self, number: u64) -> Generation {
        let mut config = self.config.clone();
        let mut runtimes = Vec::new();
        for (index, (site, rules)) in self.sites.iter().enumerate() {
            for host in &site.hosts {
                for path in &site.paths {
                    assert_eq!(config.router.add(host, path, index), None);
                }
            }
            let site = Arc::new(site.clone());
            config.sites.push(Arc::clone(&site));
            let upstreams = Balancer::new(&site);
            runtimes.push(SiteRuntime { config: site, ruleset: ruleset(rules), upstreams, candidate: None });
        }
        Generation {
            number,
            hash: format!("{number:x}"),
            config: Arc::new(config),
            sites: runtimes,
            loaded_at: SystemTime::now(),
        }
    }

    /// Starts the server.
    pub fn start(self) -> Portcullis {
        self.start_in(Arc::new(NoWorld))
    }

    /// Starts the server with such a world around the engine.
    pub fn start_in(self, world: Arc<dyn World>) -> Portcullis {
        let current: Current = Arc::new(ArcSwap::from_pointee(self.generation(1)));
        let seen = Arc::new(Witness::default());
        let observer: Arc<dyn Observer> = Arc::clone(&seen) as Arc<dyn Observer>;
        let server = Server::bind(Arc::clone(&current), world, observer).expect("a server");
        let addresses = server.addresses();
        let (stop, stopped) = watch::channel(false);
        let workers = NonZeroUsize::new(2);
        let thread = std::thread::spawn(move || server.run(workers, stopped).expect("a runtime"));
        Portcullis { addresses, current, seen, stop, thread: Some(thread) }
    }
}

impl Portcullis {
    /// One site for everything with `rules` in front of `upstream`.
    pub fn start(upstream: SocketAddr, rules: &str) -> Self {
        Setup::new(upstream, rules).start()
    }

    /// The first listener's address.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// A connection to the first listener.
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// Sends a request on a connection of its own.
    pub fn exchange(&self, request: impl AsRef<[u8]>) -> Response {
        exchange(self.address(), request)
    }

    /// Begins the shutdown and waits for its end.
    pub fn shut_down(mut self) {
        self.stop.send_replace(true);
        self.thread.take().expect("it runs").join().expect("it ends in good order");
    }

    /// Begins the shutdown.
    pub fn begin_shutdown(&self) {
        self.stop.send_replace(true);
    }
}

impl Drop for Portcullis {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// A compiled ruleset; panics on errors.
pub fn ruleset(text: &str) -> Arc<Ruleset> {
    let input = Input::Text { name: "test".to_owned(), text: text.to_owned() };
    let loaded = load(&[input], &FileLoader);
    loaded.ruleset.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics.iter().collect::<Vec<_>>()))
}

/// A site for `host` and `path`.
pub fn site(name: &str, host: &str, path: &str, upstream: SocketAddr) -> Site {
    Site {
        name: name.to_owned(),
        hosts: vec![host.parse::<HostPattern>().expect("a host")],
        paths: vec![path.to_owned()],
        upstreams: vec![to(upstream)],
        rules: Vec::new(),
        shadow: None,
        mode: None,
        failure: FailurePolicy::all(FailureOutcome::Closed),
        overload: Overload { wait: Duration::from_secs(30), queue: 10_000, retry_after: 2 },
        access: Vec::new(),
        rate_limits: Vec::new(),
        timeouts: SiteTimeouts {
            body_read: Duration::from_secs(5),
            body_total: Duration::from_secs(20),
            connect: Duration::from_secs(5),
            read: Duration::from_secs(10),
            write: Duration::from_secs(10),
            idle: Duration::from_secs(10),
            resolve: Duration::from_secs(30),
            first_byte: None,
            total: None,
        },
        request_id_header: Some("X-Request-Id".to_owned()),
        request_id_trusted: false,
        forwarded: Forwarded { x_forwarded: ForwardedPolicy::Append, rfc7239: ForwardedPolicy::Remove },
        host_header: HostHeader::Preserve,
        balance: Balance::default(),
        maintenance: None,
        edge: Edge::default(),
    }
}

/// An upstream in cleartext.
pub fn to(address: SocketAddr) -> Upstream {
    Upstream {
        url: format!("http://{address}"),
        host: address.ip().to_string(),
        port: address.port(),
        tls: None,
        http2: UpstreamHttp2::Never,
        weight: NonZeroU32::MIN,
        max_connections: None,
    }
}

/// A cleartext listener on a free port.
pub fn listener() -> Listener {
    let address = "127.0.0.1:0".parse().expect("an address");
    Listener::plain(address)
}

/// A TLS listener on a free port.
pub fn with_tls(tls: ListenerTls) -> Listener {
    Listener { tls: Some(tls), ..listener() }
}

fn config() -> Checked {
    Checked {
        listeners: vec![listener()],
        admin: None,
        trusted_proxies: Vec::new(),
        client: ClientLimits {
            head_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(10),
            head_bytes: 64 * 1024,
            headers: 100,
            uri_bytes: 16 * 1024,
            held_bytes: 256 * 1024 * 1024,
            unsent_bytes: 256 * 1024 * 1024,
            write_timeout: Duration::from_secs(10),
            min_rate: 512,
        },
        bans: None,
        sites: Vec::new(),
        router: Router::default(),
        audit: Audit {
            sinks: Vec::new(),
            target: AuditTarget::Off,
            format: AuditFormat::Native,
            rotate_bytes: 0,
            rotate_keep: 0,
            queue: NonZeroUsize::MIN,
            queue_bytes: 0,
            redact: Default::default(),
        },
        metrics: Measuring { rule_costs: 0 },
        log: Log { filter: String::new(), format: LogFormat::Text },
        process: Process {
            workers: None,
            user: None,
            group: None,
            pid_file: None,
            grace: Duration::from_secs(10),
        },
        reload: Reload { interval: None },
        store: Store { collections: 1_000, bytes: 1_000_000, limit_keys: 10_000, redis: None },
    }
}
