//! Where audit records go, off the path of requests.
//!
//! Requests hand their report to one thread through a queue with bounds on number and bytes; what comes on top is
//! dropped and counted, and no request ever waits. That thread redacts, writes each record once in every format that
//! is asked for, and puts the lines into the queues of the sinks ([`outlet`]), each of which has a
//! thread of its own. So a sink that stands still stands in nobody's way, and memory is bounded by the queues.

use super::metrics::Metrics;
use super::outlet::{self, Line, Queue};
use super::words::AuditLoss;
use crate::audit::{Auditor, Facts, Format, Outcome, Record};
use crate::config::{Audit, Sink, SinkFilter, SinkTarget};
use crate::engine::Report;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

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
    maker: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    metrics: Arc<Metrics>,
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
    most: AtomicUsize,
    most_bytes: AtomicUsize,
    off: AtomicBool,
    /// The configuration in force.
    config: Mutex<Audit>,
}

enum Job {
    Record(Arc<AuditEntry>, usize),
    Configure(Box<Audit>),
    Reopen,
    /// Answers with the queues of all sinks, when everything before it has been put into them.
    Flush(Sender<Vec<Arc<Queue>>>),
}

impl AuditLog {
    /// Opens the sinks and starts their threads. A sink on the network is not waited for.
    ///
    /// # Errors
    ///
    /// When a file cannot be opened, or no thread be started.
    pub fn start(config: &Audit, metrics: Arc<Metrics>) -> io::Result<Self> {
        let sinks = config.all_sinks();
        let shared = Arc::new(Shared {
            metrics,
            waiting: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            most: AtomicUsize::new(config.queue.get()),
            most_bytes: AtomicUsize::new(config.queue_bytes),
            off: AtomicBool::new(sinks.is_empty()),
            config: Mutex::new(config.clone()),
        });
        let outlets = sinks.into_iter().map(|sink| Outlet::start(sink, &shared.metrics));
        let maker = Maker {
            auditor: Auditor::new(&config.redact, config.format, &server_id()),
            outlets: outlets.collect::<io::Result<_>>()?,
            shared: Arc::clone(&shared),
        };
        let (queue, jobs) = channel();
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || maker.run(&jobs))?;
        Ok(Self { shared, queue: Mutex::new(Some(queue)), maker: Mutex::new(Some(thread)) })
    }

    /// Closes and opens the files, after something else has moved them away.
    pub fn reopen(&self) {
        self.send(Job::Reopen);
    }

    /// Goes on with another configuration; records that wait before it are written by the old one. A sink that is the
    /// same in both goes on undisturbed.
    ///
    /// # Errors
    ///
    /// When a file cannot be opened. Then the old configuration stays.
    pub fn reconfigure(&self, config: &Audit) -> io::Result<()> {
        let shared = &self.shared;
        let mut current = shared.config.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == *config {
            return Ok(());
        }
        let sinks = config.all_sinks();
        for sink in &sinks {
            if let SinkTarget::File { path, rotate_bytes, rotate_keep } = &sink.target {
                super::file::RotatingFile::open(path, *rotate_bytes, *rotate_keep)?;
            }
        }
        *current = config.clone();
        shared.most.store(config.queue.get(), Ordering::Relaxed);
        shared.most_bytes.store(config.queue_bytes, Ordering::Relaxed);
        shared.off.store(sinks.is_empty(), Ordering::Relaxed);
        self.send(Job::Configure(Box::new(config.clone())));
        Ok(())
    }

    /// Waits until everything submitted before has been delivered or dropped, at most for `patience`. Says whether it
    /// has.
    pub fn flush(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let (done, wait) = channel();
        if !self.send(Job::Flush(done)) {
            return false;
        }
        let Ok(queues) = wait.recv_timeout(patience) else { return false };
        // Each is told to hurry before the first is waited for.
        let all = queues.iter().map(|queue| queue.drain(Instant::now())).filter(|done| *done).count();
        all == queues.len() || queues.iter().all(|queue| queue.drain(deadline))
    }

    /// Delivers what waits and ends the threads; later records are dropped and counted.
    pub fn stop(&self, patience: Duration) {
        self.flush(patience);
        // Without a sender the maker comes to an end by itself, and closes the sinks' queues.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.maker.lock().unwrap_or_else(PoisonError::into_inner).take();
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
            shared.metrics.audit_dropped(BEFORE_SINKS, AuditLoss::QueueFull, 1);
        }
    }
}

/// The metrics' word for the queue before all sinks.
const BEFORE_SINKS: &str = "-";

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

/// A sink as the maker sees it.
struct Outlet {
    sink: Sink,
    queue: Arc<Queue>,
}

impl Outlet {
    fn start(sink: Sink, metrics: &Arc<Metrics>) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(sink.queue, sink.queue_bytes));
        outlet::start(&sink, Arc::clone(&queue), Arc::clone(metrics))?;
        Ok(Self { sink, queue })
    }

    /// Bytes of a line at most.
    fn most(&self) -> usize {
        match &self.sink.target {
            SinkTarget::Syslog { message_bytes, .. } => message_bytes.saturating_sub(outlet::SYSLOG_HEADER),
            _ => usize::MAX,
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// The thread that makes records.
struct Maker {
    shared: Arc<Shared>,
    auditor: Auditor,
    outlets: Vec<Outlet>,
}

impl Maker {
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Record(entry, bytes) => {
                    self.record(&entry);
                    self.shared.taken(bytes);
                }
                Job::Configure(config) => self.configure(&config),
                Job::Reopen => self.outlets.iter().for_each(|outlet| outlet.queue.reopen()),
                Job::Flush(done) => {
                    let _ = done.send(self.outlets.iter().map(|outlet| Arc::clone(&outlet.queue)).collect());
                }
            }
            self.shared.metrics.audit_queue(BEFORE_SINKS, self.shared.waiting.load(Ordering::Relaxed));
        }
    }

    /// Makes the record, and hands it to those sinks that want it.
    fn record(&self, entry: &AuditEntry) {
        let wanting = self.outlets.iter().filter(|outlet| wants(&outlet.sink.filter, entry));
        let wanting: Vec<&Outlet> = wanting.collect();
        if wanting.is_empty() {
            return;
        }
        // A record that cannot be made is lost, not the log.
        let handed = catch_unwind(AssertUnwindSafe(|| {
            let record = self.auditor.record(&entry.report, &entry.facts);
            self.hand(&record, entry, &wanting);
        }));
        if handed.is_err() {
            tracing::error!("an audit record could not be made");
            self.shared.metrics.audit_dropped(BEFORE_SINKS, AuditLoss::Unmade, 1);
        }
    }

    fn hand(&self, record: &Record<'_>, entry: &AuditEntry, wanting: &[&Outlet]) {
        let severity = match Outcome::of(&entry.report) {
            Outcome::Blocked => 4,
            Outcome::Detected => 5,
            Outcome::Rest => 6,
        };
        let time = OffsetDateTime::from(entry.report.started);
        let mut made: Vec<(Format, usize, Arc<[u8]>)> = Vec::new();
        for outlet in wanting {
            let (format, most) = (outlet.sink.format, outlet.most());
            let known = made.iter().find(|(f, m, _)| *f == format && *m == most).map(|(_, _, line)| line);
            let bytes = match known {
                Some(bytes) => Arc::clone(bytes),
                None => match self.auditor.write_within(record, format, most) {
                    Some(line) => {
                        let line: Arc<[u8]> = line.into();
                        made.push((format, most, Arc::clone(&line)));
                        line
                    }
                    None => {
                        self.shared.metrics.audit_dropped(&outlet.sink.name, AuditLoss::TooLong, 1);
                        continue;
                    }
                },
            };
            if !outlet.queue.push(Line { bytes, severity, time }) {
                self.shared.metrics.audit_dropped(&outlet.sink.name, AuditLoss::QueueFull, 1);
            }
        }
    }

    /// Keeps the sinks that stay the same, starts new ones; the others deliver what they have and end.
    fn configure(&mut self, config: &Audit) {
        self.auditor = Auditor::new(&config.redact, config.format, &server_id());
        let mut old = std::mem::take(&mut self.outlets);
        for sink in config.all_sinks() {
            if let Some(at) = old.iter().position(|outlet| outlet.sink == sink) {
                self.outlets.push(old.swap_remove(at));
                continue;
            }
            let name = sink.name.clone();
            match Outlet::start(sink, &self.shared.metrics) {
                Ok(outlet) => self.outlets.push(outlet),
                Err(error) => tracing::error!(sink = %name, %error, "an audit sink cannot be opened"),
            }
        }
    }
}

/// Whether a sink with this filter gets the record.
fn wants(filter: &SinkFilter, entry: &AuditEntry) -> bool {
    let SinkFilter { outcomes, sites, tags, min_score } = filter;
    let report = &entry.report;
    let logged = || report.rules.iter().filter(|rule| rule.log || rule.auditlog);
    (outcomes.is_empty() || outcomes.contains(&Outcome::of(report)))
        && (sites.is_empty() || sites.contains(&entry.facts.site))
        && (tags.is_empty() || logged().any(|rule| rule.tags.iter().any(|tag| tags.contains(tag))))
        && report.scores.inbound.max(report.scores.outbound) >= *min_score
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
