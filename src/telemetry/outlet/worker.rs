//! A sink's thread: takes lines, delivers them, tries again, and gives up in the end.

use super::http::Http;
use super::place::{Appended, Printed};
use super::queue::{Batch, Line, Queue, Work};
use super::syslog::Syslog;
use crate::config::{Sink, SinkTarget};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::words::AuditLoss;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A place that takes lines.
pub(super) trait Output: Send {
    /// How many lines it takes together.
    fn batch(&self) -> Batch;

    /// Delivers lines in order. May take as long as its own time limits.
    fn send(&mut self, lines: &[Line]) -> Result<(), Failure>;

    /// Opens what it writes to anew at the next send.
    fn reopen(&mut self) {}
}

/// Why lines could not be delivered.
pub(super) struct Failure {
    /// How many of the lines were delivered before.
    pub(super) sent: usize,
    /// For the log; must not quote lines.
    pub(super) why: String,
    pub(super) then: Then,
}

/// What is to be done with the others.
pub(super) enum Then {
    /// Try again, not before that time.
    Retry(Duration),
    /// They will never be taken.
    Drop,
}

impl Failure {
    pub(super) fn retry(error: impl std::fmt::Display) -> Self {
        Self { sent: 0, why: error.to_string(), then: Then::Retry(Duration::ZERO) }
    }
}

/// Opens the sink's place, as far as that can be done without a network, and starts its thread.
///
/// # Errors
///
/// When its file cannot be opened, or no thread be started.
pub(in crate::telemetry) fn start(
    sink: &Sink,
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
) -> io::Result<JoinHandle<()>> {
    let output: Box<dyn Output> = match &sink.target {
        SinkTarget::Stdout => Box::new(Printed),
        SinkTarget::File { path, rotate_bytes, rotate_keep } => {
            Box::new(Appended::open(path, *rotate_bytes, *rotate_keep)?)
        }
        SinkTarget::Syslog { .. } => Box::new(Syslog::new(sink.target.clone())),
        SinkTarget::Http { .. } => Box::new(Http::new(sink.target.clone())?),
    };
    metrics.audit_sink(&sink.name);
    let worker = Worker { name: sink.name.clone(), retry: sink.retry, output, queue, metrics, broken: false };
    std::thread::Builder::new().name("audit-sink".to_owned()).spawn(move || worker.run())
}

struct Worker {
    name: String,
    retry: Duration,
    output: Box<dyn Output>,
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    broken: bool,
}

/// The first pause before another attempt; it doubles up to the last.
const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(30);

impl Worker {
    fn run(mut self) {
        loop {
            match self.queue.take(self.output.batch()) {
                Work::Send(lines) => self.deliver(&lines),
                Work::Reopen => self.output.reopen(),
                Work::End => return,
            }
            self.metrics.audit_queue(&self.name, self.queue.held());
        }
    }

    fn deliver(&mut self, lines: &[Line]) {
        let begun = Instant::now();
        let mut pause = FIRST;
        let mut rest = lines;
        loop {
            if self.queue.take_reopen() {
                self.output.reopen();
            }
            // A fault of ours in a sink must not end its thread.
            let sent = catch_unwind(AssertUnwindSafe(|| self.output.send(rest)));
            let failure = match sent {
                Ok(Ok(())) => {
                    self.finish(rest, None);
                    self.is_sound();
                    return;
                }
                Ok(Err(failure)) => failure,
                Err(_) => Failure { sent: 0, why: "it failed inside".to_owned(), then: Then::Drop },
            };
            let (done, left) = rest.split_at(failure.sent.min(rest.len()));
            self.finish(done, None);
            rest = left;
            let after = match failure.then {
                Then::Drop => {
                    tracing::error!(sink = %self.name, records = rest.len(), why = %failure.why, "audit records were refused and are lost");
                    return self.finish(rest, Some(AuditLoss::Refused));
                }
                Then::Retry(after) => after,
            };
            self.is_broken(&failure.why);
            if self.queue.is_closed() || begun.elapsed() >= self.retry {
                return self.finish(rest, Some(AuditLoss::Unreachable));
            }
            self.metrics.audit_retried(&self.name);
            self.metrics.audit_queue(&self.name, self.queue.held());
            self.queue.pause(after.max(jittered(pause)).min(self.retry.saturating_sub(begun.elapsed())));
            pause = (pause * 2).min(LAST);
        }
    }

    /// Lines are delivered or lost.
    fn finish(&self, lines: &[Line], lost: Option<AuditLoss>) {
        if lines.is_empty() {
            return;
        }
        match lost {
            None => self.metrics.audit_written(&self.name, lines.len() as u64),
            Some(loss) => self.metrics.audit_dropped(&self.name, loss, lines.len() as u64),
        }
        self.queue.finished(lines);
    }

    fn is_sound(&mut self) {
        if std::mem::take(&mut self.broken) {
            tracing::info!(sink = %self.name, "audit records can be delivered again");
        }
    }

    fn is_broken(&mut self, why: &str) {
        if !std::mem::replace(&mut self.broken, true) {
            tracing::error!(sink = %self.name, %why, "audit records cannot be delivered; they wait as long as there is room");
        }
    }
}

/// Between half and all of `pause`, so that many servers do not come back at one moment.
fn jittered(pause: Duration) -> Duration {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    pause / 2 + pause.mul_f64(f64::from(nanos % 1_000) / 2_000.0)
}
