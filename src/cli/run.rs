//! `portcullis run`: the order of starting and ending.

use super::console::{colour, complain};
use super::handover::{Inherited, Successor};
use super::{RunArgs, demo, posture};
use super::{notify, privileges};
use crate::admin::{AdminServer, Subject};
use crate::admission::Admission;
use crate::config::{Audit, AuditTarget, Checked, ListenAddress, LogFormat};
use crate::engine::Collections;
use crate::proxy::{Bound, Server};
use crate::reload::{Generation, Hooks, Loaded, Origin, Reloader, StartError, file_loader, load};
use crate::store::{JointCollections, MemoryStore, ServerWorld, SharedStore};
use crate::telemetry::{AuditLog, Logging, Metrics, Recorder, Traffic, init_logging};
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Serves until a signal says otherwise. `false` when it could not start.
pub(super) fn run(args: &RunArgs) -> bool {
    do_without_huge_pages();
    open_as_many_files_as_permitted();
    match serve(args) {
        Ok(()) => true,
        Err(message) => {
            complain(&message);
            false
        }
    }
}

fn serve(args: &RunArgs) -> Result<(), String> {
    let mut overrides = args.settings.overrides();
    let shop = args.demo.then(demo::start).transpose().map_err(|e| error("the demonstration", e))?;
    if let Some(shop) = &shop {
        overrides.upstreams = vec![format!("http://{}", shop.address())];
    }
    let origin = Origin { path: args.settings.config.clone(), overrides };
    let loader = Arc::new(file_loader());
    let loaded = load(&origin, 1, &*loader);
    complain(&loaded.render(colour()));
    let config = match &loaded.generation {
        Some(generation) => Arc::clone(&generation.config),
        None => return Err("error: the configuration is not usable\n".to_owned()),
    };
    let logging = init_logging(&config.log).map_err(|e| error("the log", e))?;
    tell_posture(&loaded, &config);

    let metrics = Arc::new(Metrics::new().map_err(|e| error("metrics", e))?);
    let store = Arc::new(MemoryStore::new(config.store.collections, config.store.bytes));
    // Opened for good once privileges are dropped, so that the file belongs to whom it will be written by.
    let closed = Audit { target: AuditTarget::Off, sinks: Vec::new(), ..config.audit.clone() };
    let audit =
        Arc::new(AuditLog::start(&closed, Arc::clone(&metrics)).map_err(|e| error("the audit log", e))?);
    let followers = Followers {
        started: AtomicBool::new(false),
        audit: Arc::clone(&audit),
        store: Arc::clone(&store),
        logging,
    };
    let reloader = Reloader::start(origin, loader, loaded, Arc::clone(&metrics), Arc::new(followers));
    let reloader = Arc::new(reloader.map_err(|error| match error {
        StartError::Refused(loaded) => loaded.render(colour()),
        StartError::Thread(e) => self::error("the watching thread", e),
    })?);

    let traffic = Arc::new(Traffic::default());
    let mut recorder = Recorder::new(Arc::clone(&metrics), Arc::<AuditLog>::clone(&audit));
    if config.admin.is_some() {
        recorder = recorder.remembering(Arc::clone(&traffic));
    }
    let shared =
        config.store.redis.as_ref().map(|redis| SharedStore::start(redis.clone(), Arc::clone(&metrics)));
    let shared = shared.transpose().map_err(|e| error("the shared store", e))?;
    let is_joint = config.store.redis.as_ref().is_some_and(|redis| redis.collections);
    let collections: Arc<dyn Collections> = match &shared {
        Some(shared) if is_joint => Arc::new(JointCollections::new(Arc::clone(&store), Arc::clone(shared))),
        _ => Arc::<MemoryStore>::clone(&store),
    };
    let world = Arc::new(ServerWorld::new(collections));
    let admission = match shared {
        None => Admission::new(config.store.limit_keys),
        Some(shared) => Admission::joint(config.store.limit_keys, shared),
    };
    let mut inherited = Inherited::take();
    let bound = |address: &ListenAddress| inherited.socket(address);
    let observer = Arc::new(recorder);
    let server = Server::bind_with(reloader.current(), world, observer, Arc::clone(&admission), bound)
        .map_err(|e| format!("error: {e}\n"))?;
    let mut handed_on = server.sockets().map_err(|e| error("the listeners", e))?;
    let ready = AtomicBool::new(true);
    let audit_sink = Arc::<AuditLog>::clone(&audit);
    let subject = Subject {
        reloader: Arc::clone(&reloader),
        metrics,
        store,
        admission,
        traffic,
        audit: audit_sink,
        ready,
    };
    let subject = Arc::new(subject);
    let admin = match &config.admin {
        None => None,
        Some(admin) => {
            let place = ListenAddress::Tcp(admin.address);
            let bound = match inherited.socket(&place) {
                Some(Bound::Tcp(socket)) => AdminServer::on(socket, Arc::clone(&subject)),
                Some(Bound::Unix(_)) | None => AdminServer::bind(admin.address, Arc::clone(&subject)),
            };
            let about = |e| error(&format!("the admin listener {}", admin.address), e);
            let bound = bound.map_err(about)?;
            handed_on.push((place, Bound::Tcp(bound.socket().map_err(about)?)));
            Some(bound)
        }
    };
    for address in inherited.left() {
        tracing::warn!(%address, "a socket was given for an address that is not configured; it is closed");
    }
    privileges::change(config.process.user.as_deref(), config.process.group.as_deref())?;
    audit.reconfigure(&config.audit).map_err(|e| error("the audit log", e))?;
    let pid_file = config.process.pid_file.as_deref();
    pid_file.map_or(Ok(()), write_pid).map_err(|e| error("the pid file", e))?;

    let addresses = server.addresses();
    for address in server.listening() {
        complain(&format!("listening on {address}\n"));
    }
    let admin_address = admin.as_ref().and_then(|admin| admin.address().ok());
    if let Some(address) = admin_address {
        complain(&format!("admin on http://{address}\n"));
    }
    if let (Some(_), Some(address)) = (&shop, addresses.first()) {
        complain(&tour(*address, admin_address));
    }
    let (stop, stopped) = watch::channel(false);
    if let Some(admin) = admin {
        admin.spawn(stopped.clone()).map_err(|e| error("the admin listener", e))?;
    }
    let listening = Listening {
        stop,
        subject: Arc::clone(&subject),
        audit: Arc::clone(&audit),
        successor: Successor::new(handed_on),
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || listening.run())
        .map_err(|e| error("the signals' thread", e))?;

    notify::ready();
    inherited.relieve();
    let ended = server.run(config.process.workers, stopped).map_err(|e| format!("error: {e}\n"));

    reloader.stop();
    audit.stop(LAST_RECORDS);
    if let Some(path) = pid_file {
        // A successor has written its own.
        if std::fs::read_to_string(path).is_ok_and(|text| text.trim() == std::process::id().to_string()) {
            // It may lie where the changed user cannot remove it; it names a process that is gone, either way.
            let _ = std::fs::remove_file(path);
        }
    }
    ended
}

/// Keeps the system from backing memory by pages of 2 MB, for which the allocator asks: most of what compiling rules
/// takes is free again behind it, and little of it in pieces that large. Requests cost the same with small ones.
fn do_without_huge_pages() {
    // Where it is not permitted, more memory is used.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_thp_disable(true);
}

/// Each request under way needs two files. The hard limit is the administrator's word; the soft one is for programs that
/// cannot count beyond it.
fn open_as_many_files_as_permitted() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Where it is not permitted, the limit stays as it was.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// What shells say of a process that SIGINT has ended.
const INTERRUPTED: i32 = 128 + 2;

/// How long the last audit records may take.
const LAST_RECORDS: Duration = Duration::from_secs(10);

fn error(what: &str, why: impl Display) -> String {
    format!("error: {what}: {why}\n")
}

/// What every site's rules amount to, loudly where they do not protect.
fn tell_posture(loaded: &Loaded, config: &Checked) {
    for site in &loaded.postures {
        if config.log.format == LogFormat::Json {
            let posture = posture::to_json(&site.posture, site.mode);
            tracing::info!(site = %site.site, posture = %posture, "posture");
            continue;
        }
        complain(&format!("site {}\n{}", site.site, posture::describe(&site.posture, site.mode)));
        for alarm in posture::alarms(&site.posture, site.mode) {
            complain(&format!("ALARM       {alarm}\n"));
        }
    }
}

fn write_pid(path: &Path) -> std::io::Result<()> {
    std::fs::write(path, format!("{}\n", std::process::id()))
}

/// Parts of the process that follow a new generation.
struct Followers {
    /// The first generation is put to work before the audit log may be opened.
    started: AtomicBool,
    audit: Arc<AuditLog>,
    store: Arc<MemoryStore>,
    logging: Logging,
}

impl Hooks for Followers {
    fn verify(&self, config: &Checked) -> Result<(), String> {
        Server::verify(config).map_err(|e| e.to_string())
    }

    fn swapped(&self, generation: &Generation) {
        if !self.started.swap(true, Ordering::AcqRel) {
            return;
        }
        let config = &generation.config;
        if let Err(error) = self.audit.reconfigure(&config.audit) {
            tracing::error!(%error, "the new audit log cannot be opened; the old one stays");
        }
        self.store.resize(config.store.collections, config.store.bytes);
        self.logging.apply(&config.log);
    }
}

/// What to try in the demonstration.
fn tour(address: SocketAddr, admin: Option<SocketAddr>) -> String {
    let admin = admin.map_or_else(String::new, |a| {
        format!("The console is at\n  http://{a}/\nand metrics at\n  http://{a}/metrics\n")
    });
    format!(
        "\nThe demonstration is open at http://{address}/\n\n\
         This passes:\n  curl -i 'http://{address}/search?q=lighthouse'\n\
         These are blocked:\n  \
         curl -i -G http://{address}/search --data-urlencode 'q=<script>alert(1)</script>'\n  \
         curl -i http://{address}/login --data-urlencode \"user=admin' OR 1=1 -- \" -d password=x\n\
         {admin}\n"
    )
}

/// Hears signals: TERM and INT end the server, INT at once the second time, HUP reloads and reopens the audit log, USR1 reopens it. USR2 starts a
/// successor, which ends the server by QUIT.
struct Listening {
    stop: watch::Sender<bool>,
    subject: Arc<Subject>,
    audit: Arc<AuditLog>,
    successor: Successor,
}

impl Listening {
    fn run(self) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let mut kinds = [
                SignalKind::terminate(),
                SignalKind::interrupt(),
                SignalKind::hangup(),
                SignalKind::user_defined1(),
                SignalKind::user_defined2(),
                SignalKind::quit(),
            ]
            .map(|kind| signal(kind).ok());
            let [term, int, hup, usr1, usr2, quit] = &mut kinds;
            // Unless it is heard, a file that reaches the process's limit of sizes would end the process. Heard, it is a
            // failed write like that of a full disk.
            let _file_too_large = signal(SignalKind::from_raw(nix::sys::signal::Signal::SIGXFSZ as i32));
            let is_starting = Arc::new(AtomicBool::new(false));
            loop {
                tokio::select! {
                    () = next(term) => break notify::stopping(),
                    () = next(int) => break notify::stopping(),
                    // The service goes on, so its manager hears nothing.
                    () = next(quit) => break,
                    () = next(usr2) => self.succeed(&is_starting),
                    () = next(hup) => {
                        tracing::info!("SIGHUP: reloading, and opening the audit log anew");
                        self.audit.reopen();
                        self.subject.reloader.request();
                    }
                    () = next(usr1) => {
                        tracing::info!("SIGUSR1: opening the audit log anew");
                        self.audit.reopen();
                    }
                    // The server has ended by itself.
                    () = self.stop.closed() => return,
                }
            }
            tracing::info!("ending: no new connections, requests under way may finish");
            self.subject.ready.store(false, Ordering::Release);
            // Nobody listens any more when the server has ended by itself.
            let _ = self.stop.send(true);
            // Who presses Ctrl-C once more does not want to wait. A service manager has other means.
            tokio::select! {
                () = next(int) => {
                    tracing::warn!("interrupted again: ending at once, whatever is under way");
                    std::process::exit(INTERRUPTED);
                }
                () = self.stop.closed() => {}
            }
        });
    }
}

impl Listening {
    /// Starts a successor, unless one is being started. What becomes of it is told.
    fn succeed(&self, is_starting: &Arc<AtomicBool>) {
        if is_starting.swap(true, Ordering::AcqRel) {
            tracing::warn!("SIGUSR2: a successor is being started already");
            return;
        }
        let is_starting = Arc::clone(is_starting);
        match self.successor.start() {
            Ok(mut child) => {
                tracing::info!(pid = child.id(), "SIGUSR2: a successor is being started");
                let watched = std::thread::Builder::new().name("successor".into()).spawn(move || {
                    // Returns only when it ends before this process, which it would relieve otherwise.
                    let status = child.wait();
                    tracing::error!(?status, "the successor has ended; this process goes on");
                    is_starting.store(false, Ordering::Release);
                });
                if let Err(error) = watched {
                    tracing::warn!(%error, "the successor is not watched");
                }
            }
            Err(error) => {
                tracing::error!(%error, "SIGUSR2: a successor cannot be started; this process goes on");
                is_starting.store(false, Ordering::Release);
            }
        }
    }
}

/// The next arrival of a signal; never, when the system would not tell.
async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
