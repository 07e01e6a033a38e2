//! The real proxy on a loopback port, with its reports kept in memory.

use portcullis::cli::ftw::Records;
use portcullis::config::{self, ListenerTls, Overrides, Site};
use portcullis::engine::NoWorld;
use portcullis::proxy::{Finished, Observer, Server};
use portcullis::reload::{Balancer, Current, Generation, SiteRuntime};
use portcullis::ruleset::Ruleset;
use portcullis::syntax::diagnostic;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::SystemTime;
use tokio::sync::watch;

/// A running proxy; it ends when this is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    /// How many requests have an audit record.
    pub audited: Arc<AtomicUsize>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// What may differ between runs.
#[derive(Default)]
pub struct Wiring {
    /// Worker threads; one for each core without it.
    pub workers: Option<NonZeroUsize>,
    /// TLS, and HTTP/2 with it.
    pub tls: Option<ListenerTls>,
}

struct Recorder {
    records: Arc<Records>,
    audited: Arc<AtomicUsize>,
}

impl Observer for Recorder {
    fn finished(&self, finished: Finished) {
        self.audited.fetch_add(usize::from(finished.report.is_audited()), Ordering::AcqRel);
        self.records.push(&finished.report);
    }
    fn upstream_failed(&self, site: &Site, reason: &'static str) {
        eprintln!("upstream of {}: {reason}", site.name);
    }
    fn connection_failed(&self, reason: &'static str) {
        eprintln!("connection: {reason}");
    }
}

impl Proxy {
    /// Serves everything with `ruleset` in front of `backend`.
    pub fn start(ruleset: Arc<Ruleset>, backend: SocketAddr, records: Arc<Records>, wiring: Wiring) -> Self {
        let overrides = Overrides {
            listen: Some(([127, 0, 0, 1], 0).into()),
            upstreams: vec![format!("http://{backend}")],
            ..Overrides::default()
        };
        let loaded = config::load(None, &overrides);
        let told = diagnostic::render(&loaded.diagnostics, &loaded.sources, false);
        let mut config = loaded.config.unwrap_or_else(|| panic!("the configuration is refused:\n{told}"));
        config.listeners[0].tls = wiring.tls;
        let config = Arc::new(config);
        let runtime = |site: &Arc<Site>| SiteRuntime {
            config: Arc::clone(site),
            ruleset: Arc::clone(&ruleset),
            upstreams: Balancer::new(site),
            candidate: None,
        };
        let sites = config.sites.iter().map(runtime).collect();
        let generation =
            Generation { number: 1, hash: String::new(), config, sites, loaded_at: SystemTime::UNIX_EPOCH };
        let audited = Arc::new(AtomicUsize::new(0));
        let recorder = Arc::new(Recorder { records, audited: Arc::clone(&audited) });
        let current = Current::new(Arc::new(generation).into());
        let server = Server::bind(current, Arc::new(NoWorld), recorder).expect("a loopback port is free");
        let address = server.addresses()[0];
        let (stop, stopped) = watch::channel(false);
        let thread =
            std::thread::spawn(move || server.run(wiring.workers, stopped).expect("the server runs"));
        Self { address, audited, stop, thread: Some(thread) }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // An error says that the server has ended by itself; joining tells how.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the server panicked");
        }
    }
}
