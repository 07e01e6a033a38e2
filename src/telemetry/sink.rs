//! Where audit records go, off the path of requests.
//!
//! Records are made and written by one thread. Requests hand it their report through a queue with bounds on
//! number and bytes; what comes on top is dropped and counted, and no request ever waits.

use super::file::RotatingFile;
use super::metrics::Metrics;
use crate::audit::{Auditor, Facts};
use crate::config::{Audit, AuditTarget};
use crate::engine::Report;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A finished transaction for the audit log.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// The engine's report.
    pub report: Report,
    /// What the engine does not know.
    pub facts: Facts,
}

/// Takes finished transactions. Called on the path of requests: an implementation must not block.
pub trait AuditSink: Send + Sync {
    /// Takes one, or drops and counts it. Whether the ruleset wants it recorded has been asked already.
    fn submit(&self, entry: Arc<AuditEntry>);
}

/// The audit log as configured.
pub struct AuditLog {
    shared: Arc<Shared>,
    queue: Mutex<Option<Sender<Job>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    metrics: Arc<Metrics>,
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
    most: AtomicUsize,
    most_bytes: AtomicUsize,
    off: AtomicBool,
    reopen: AtomicBool,
    /// The configuration in force, and whether the writer has yet to take it over.
    config: Mutex<(Audit, bool)>,
}

enum Job {
    Record(Arc<AuditEntry>, usize),
    Flush(Sender<()>),
}

impl AuditLog {
    /// Opens the target and starts the writer.
    ///
    /// # Errors
    ///
    /// When the target cannot be opened, or no thread be started.
    pub fn start(config: &Audit, metrics: Arc<Metrics>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            metrics,
            waiting: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            most: AtomicUsize::new(config.queue.get()),
            most_bytes: AtomicUsize::new(config.queue_bytes),
            off: AtomicBool::new(config.target == AuditTarget::Off),
            reopen: AtomicBool::new(false),
            config: Mutex::new((config.clone(), false)),
        });
        let writer = Writer::new(config, Arc::clone(&shared))?;
        let (queue, jobs) = channel();
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(&jobs))?;
        Ok(Self { shared, queue: Mutex::new(Some(queue)), writer: Mutex::new(Some(thread)) })
    }

    /// Closes and opens the file, after something else has moved it away.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
    }

    /// Goes on with another configuration; records that wait are written by the new one. The same one again
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// When its target cannot be opened. Then the old configuration stays.
    pub fn reconfigure(&self, config: &Audit) -> io::Result<()> {
        let shared = &self.shared;
        if shared.config.lock().unwrap_or_else(PoisonError::into_inner).0 == *config {
            return Ok(());
        }
        if let AuditTarget::File(path) = &config.target {
            RotatingFile::open(path, config.rotate_bytes, config.rotate_keep)?;
        }
        *shared.config.lock().unwrap_or_else(PoisonError::into_inner) = (config.clone(), true);
        shared.most.store(config.queue.get(), Ordering::Relaxed);
        shared.most_bytes.store(config.queue_bytes, Ordering::Relaxed);
        shared.off.store(config.target == AuditTarget::Off, Ordering::Relaxed);
        self.reopen();
        Ok(())
    }

    /// Waits until everything submitted before has been written, at most for `patience`. Says whether it has.
    pub fn flush(&self, patience: Duration) -> bool {
        let (done, wait) = channel();
        self.send(Job::Flush(done)) && wait.recv_timeout(patience).is_ok()
    }

    /// Writes what waits and ends the writer; later records are dropped and counted.
    pub fn stop(&self, patience: Duration) {
        self.flush(patience);
        // Without a sender the writer comes to an end by itself.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread.filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }

    fn send(&self, job: Job) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().is_some_and(|queue| queue.send(job).is_ok())
    }
}

impl AuditSink for AuditLog {
    fn submit(&self, entry: Arc<AuditEntry>) {
        let shared = &self.shared;
        if shared.off.load(Ordering::Relaxed) {
            return;
        }
        let bytes = weight(&entry);
        let waiting = shared.waiting.fetch_add(1, Ordering::AcqRel);
        let waiting_bytes = shared.waiting_bytes.fetch_add(bytes, Ordering::AcqRel);
        let room = waiting < shared.most.load(Ordering::Relaxed)
            && waiting_bytes.saturating_add(bytes) <= shared.most_bytes.load(Ordering::Relaxed);
        if !room || !self.send(Job::Record(entry, bytes)) {
            shared.taken(bytes);
            shared.metrics.audit_dropped();
        }
    }
}

impl Shared {
    fn taken(&self, bytes: usize) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        self.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// Bytes that an entry holds, roughly.
pub(super) fn weight(entry: &AuditEntry) -> usize {
    let shadow = entry.report.shadow.as_ref().map_or(0, |shadow| report_weight(&shadow.report));
    report_weight(&entry.report) + shadow
}

fn report_weight(report: &Report) -> usize {
    let pairs = |list: &[(Vec<u8>, Vec<u8>)]| list.iter().map(|(n, v)| n.len() + v.len() + 48).sum::<usize>();
    let request = &report.request;
    let hits: usize = report
        .rules
        .iter()
        .map(|hit| {
            let matches: usize = hit.matches.iter().map(|m| m.variable.len() + m.value.len() + 64).sum();
            hit.message.len() + hit.data.len() + matches + 256
        })
        .sum();
    let response = report.response.as_ref().map_or(0, |r| pairs(&r.headers) + r.body.bytes.len());
    let events: usize = report.events.iter().map(|e| e.detail.len() + 32).sum();
    let files: usize = request.files.iter().map(|(a, b, _, c)| a.len() + b.len() + c.len() + 80).sum();
    1_024
        + request.uri.len()
        + pairs(&request.headers)
        + pairs(&request.arguments)
        + request.body.bytes.len()
        + response
        + hits
        + events
        + files
}

/// The thread that makes and writes records.
struct Writer {
    shared: Arc<Shared>,
    config: Audit,
    auditor: Auditor,
    target: Target,
    broken_since: Option<Instant>,
}

enum Target {
    Off,
    Stdout(io::BufWriter<io::Stdout>),
    File(RotatingFile),
}

impl Target {
    fn open(config: &Audit) -> io::Result<Self> {
        Ok(match &config.target {
            AuditTarget::Off => Target::Off,
            AuditTarget::Stdout => Target::Stdout(io::BufWriter::new(io::stdout())),
            AuditTarget::File(path) => {
                Target::File(RotatingFile::open(path, config.rotate_bytes, config.rotate_keep)?)
            }
        })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Target::Off => Ok(()),
            Target::Stdout(out) => out.write_all(line),
            Target::File(file) => file.write_line(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Target::Off => Ok(()),
            Target::Stdout(out) => out.flush(),
            Target::File(file) => file.flush(),
        }
    }
}

/// How soon a signal to reopen is seen without traffic.
const TICK: Duration = Duration::from_millis(200);
/// How long to wait before a target that failed is opened again.
const RETRY: Duration = Duration::from_secs(1);

impl Writer {
    fn new(config: &Audit, shared: Arc<Shared>) -> io::Result<Self> {
        let target = Target::open(config)?;
        let auditor = Auditor::new(&config.redact, config.format, &server_id());
        Ok(Self { shared, config: config.clone(), auditor, target, broken_since: None })
    }

    fn run(mut self, jobs: &Receiver<Job>) {
        let mut unflushed = 0;
        loop {
            let job = match jobs.try_recv() {
                Ok(job) => Ok(job),
                Err(_) => {
                    // Nothing waits: everything is out before the thread sleeps, so that readers see lines at once.
                    self.flush(&mut unflushed);
                    jobs.recv_timeout(TICK)
                }
            };
            if self.shared.reopen.swap(false, Ordering::AcqRel) {
                self.flush(&mut unflushed);
                self.reopen();
            }
            match job {
                Ok(Job::Record(entry, bytes)) => {
                    unflushed += u64::from(self.write(&entry));
                    self.shared.taken(bytes);
                }
                Ok(Job::Flush(done)) => {
                    self.flush(&mut unflushed);
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.flush(&mut unflushed);
                    return;
                }
            }
        }
    }

    /// Writes one record; says whether it is on its way.
    fn write(&mut self, entry: &AuditEntry) -> bool {
        if self.broken_since.is_some_and(|since| since.elapsed() < RETRY) {
            self.shared.metrics.audit_error();
            return false;
        }
        if self.broken_since.is_some() {
            self.reopen();
        }
        // A record that cannot be made is lost, not the log.
        let made = catch_unwind(AssertUnwindSafe(|| self.auditor.line(&entry.report, &entry.facts)));
        let Ok(line) = made else {
            tracing::error!("an audit record could not be made");
            self.shared.metrics.audit_error();
            return false;
        };
        let written = self.target.write(&line);
        let sound = written.is_ok();
        self.judge(written);
        if !sound {
            self.shared.metrics.audit_error();
        }
        sound
    }

    fn flush(&mut self, unflushed: &mut u64) {
        self.shared.metrics.audit_queue(self.shared.waiting.load(Ordering::Relaxed));
        if *unflushed == 0 {
            return;
        }
        let flushed = self.target.flush();
        let sound = flushed.is_ok();
        self.judge(flushed);
        for _ in 0..*unflushed {
            match sound {
                true => self.shared.metrics.audit_written(1),
                false => self.shared.metrics.audit_error(),
            }
        }
        *unflushed = 0;
    }

    fn reopen(&mut self) {
        let config = {
            let mut configured = self.shared.config.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut configured.1).then(|| configured.0.clone())
        };
        if let Some(config) = config {
            self.auditor = Auditor::new(&config.redact, config.format, &server_id());
            self.config = config;
        }
        let opened = Target::open(&self.config);
        match opened {
            Ok(target) => {
                self.target = target;
                self.broken_since = None;
            }
            Err(error) => self.judge(Err(error)),
        }
    }

    fn judge(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) => {
                if self.broken_since.take().is_some() {
                    tracing::info!("the audit log can be written again");
                }
            }
            Err(error) => {
                if self.broken_since.is_none() {
                    tracing::error!(%error, "the audit log cannot be written; records are lost until it can");
                }
                self.broken_since = Some(Instant::now());
            }
        }
    }
}

/// Identifies the machine as ModSecurity does: by a hash of its name.
fn server_id() -> String {
    use sha1::{Digest, Sha1};
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Sha1::digest(name.trim().as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// Keeps records in memory, for tests and demonstrations.
pub struct MemorySink {
    auditor: Auditor,
    lines: Mutex<Vec<String>>,
}

impl MemorySink {
    /// A sink that makes records with `auditor`.
    pub fn new(auditor: Auditor) -> Self {
        Self { auditor, lines: Mutex::default() }
    }

    /// All lines so far, each with its newline.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl AuditSink for MemorySink {
    fn submit(&self, entry: Arc<AuditEntry>) {
        let line = self.auditor.line(&entry.report, &entry.facts);
        let line = String::from_utf8_lossy(&line).into_owned();
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}
