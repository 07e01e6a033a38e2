//! What all connections of the admin listener share.

use super::changes::Changes;
use super::gate::Gate;
use crate::admission::Admission;
use crate::audit::{Auditor, Format};
use crate::reload::{Generation, Reloader};
use crate::store::MemoryStore;
use crate::telemetry::{AuditSink, Metrics, Traffic};
use hyper::body::Bytes;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::sync::{Semaphore, broadcast};

/// What the admin listener tells about and acts on.
pub struct Subject {
    /// The generations.
    pub reloader: Arc<Reloader>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The persistent collections, whose state is a metric.
    pub store: Arc<MemoryStore>,
    /// Rate limits and bans.
    pub admission: Arc<Admission>,
    /// What happened lately.
    pub traffic: Arc<Traffic>,
    /// Where changes are recorded.
    pub audit: Arc<dyn AuditSink>,
    /// Whether requests are served: `/readyz` says so. Cleared when the server is told to end, so that load
    /// balancers look elsewhere before its connections are closed.
    pub ready: AtomicBool,
}

/// The subject, and what the listener keeps for itself.
pub(super) struct Desk {
    pub(super) subject: Arc<Subject>,
    pub(super) gate: Gate,
    pub(super) changes: Changes,
    /// Ticks for those who watch.
    pub(super) feed: broadcast::Sender<Bytes>,
    /// Places for those who watch.
    pub(super) seats: Arc<Semaphore>,
    pub(super) started: SystemTime,
    auditor: Mutex<Option<(u64, Arc<Auditor>)>>,
}

/// Streams at a time. Each is a browser tab, or a script.
const SEATS: usize = 16;
/// Ticks that a stream may lag behind before it is cut.
const TICKS: usize = 8;

impl Desk {
    pub(super) fn new(subject: Arc<Subject>) -> Self {
        Self {
            changes: Changes::new(Arc::clone(&subject.audit), Arc::clone(&subject.metrics)),
            subject,
            gate: Gate::default(),
            feed: broadcast::Sender::new(TICKS),
            seats: Arc::new(Semaphore::new(SEATS)),
            started: SystemTime::now(),
            auditor: Mutex::default(),
        }
    }

    /// The generation at work.
    pub(super) fn generation(&self) -> Arc<Generation> {
        self.subject.reloader.current().load_full()
    }

    /// Makes records that hide what the configuration at work wants hidden.
    pub(super) fn auditor(&self) -> Arc<Auditor> {
        let generation = self.generation();
        let mut kept = self.auditor.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((number, auditor)) if *number == generation.number => Arc::clone(auditor),
            _ => {
                let made = Arc::new(Auditor::new(&generation.config.audit.redact, Format::Native, ""));
                *kept = Some((generation.number, Arc::clone(&made)));
                made
            }
        }
    }
}
