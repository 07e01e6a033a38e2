//! Trying a site's candidate ruleset on requests that have been answered.
//!
//! A request that is chosen leaves a [`Tape`] of what its transaction was shown: the head as it came, bodies as far as
//! they were inspected, the upstream's response. When it is finished, the tape waits in a bounded queue for a thread of
//! its own, which plays it to the candidate and only then hands the request on to be recorded. Nobody waits for that
//! thread: what finds no room is recorded without the candidate's word, and counted.

use super::budget::{Budget, Hold};
use super::exchange::{Arrival, show_head};
use super::observer::{Finished, Observer};
use crate::engine::{
    BodyStep, Collections, Decision, Difference, Options, Report, Shadowed, Transaction, World,
};
use crate::limits;
use crate::reload::Candidate;
use crate::store::MemoryStore;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

/// What a transaction was shown.
pub(super) struct Tape {
    candidate: Arc<Candidate>,
    /// Whether a body belongs to the request at all.
    pub(super) has_body: bool,
    request_body: Track,
    response: Option<Response>,
    /// Gives its bytes back when the tape goes.
    hold: Hold,
    is_full: bool,
}

/// A body, as far as it was inspected.
#[derive(Default)]
struct Track {
    bytes: Vec<u8>,
    /// It was asked for and came.
    is_taken: bool,
    /// More followed that was not inspected.
    is_cut: bool,
}

struct Response {
    status: u16,
    protocol: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Track,
}

impl Tape {
    pub(super) fn new(candidate: &Arc<Candidate>, budget: &Arc<Budget>) -> Self {
        Self {
            candidate: Arc::clone(candidate),
            has_body: false,
            request_body: Track::default(),
            response: None,
            hold: budget.hold(),
            is_full: false,
        }
    }

    /// A piece of a body that the rules at work are shown: of the request's in phase 2, of the response's in phase 4.
    pub(super) fn take(&mut self, phase: usize, chunk: &[u8]) {
        if self.is_full || !self.hold.grow(chunk.len(), limits::SHADOW_BYTES) {
            self.is_full = true;
            return;
        }
        let track = match (phase, &mut self.response) {
            (2, _) => &mut self.request_body,
            (_, Some(response)) => &mut response.body,
            (_, None) => return,
        };
        track.bytes.extend_from_slice(chunk);
    }

    /// The body of this phase is asked for; `is_cut` once there is more of it than is inspected.
    pub(super) fn note_body(&mut self, phase: usize, is_cut: bool) {
        let track = match (phase, &mut self.response) {
            (2, _) => &mut self.request_body,
            (_, Some(response)) => &mut response.body,
            (_, None) => return,
        };
        track.is_taken = true;
        track.is_cut |= is_cut;
    }

    /// The upstream's response.
    pub(super) fn take_response(&mut self, status: u16, protocol: &[u8], headers: Vec<(Vec<u8>, Vec<u8>)>) {
        let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.is_full |= !self.hold.grow(bytes, limits::SHADOW_BYTES);
        let protocol = protocol.to_vec();
        self.response = Some(Response { status, protocol, headers, body: Track::default() });
    }
}

impl Tape {
    /// Counts what waits together with the tape: bodies that the audit log will be shown may be longer than the tape's,
    /// as their coding has been undone.
    fn weigh(&mut self, report: &Report) {
        let response = report.response.as_ref().map_or(0, |response| response.body.bytes.len());
        let bytes = report.request.body.bytes.len() + response;
        self.is_full |= !self.hold.grow(bytes, limits::SHADOW_BYTES);
    }
}

/// All that is needed to play a tape.
pub(super) struct Job {
    pub(super) tape: Box<Tape>,
    pub(super) arrival: Arc<Arrival>,
    pub(super) client: SocketAddr,
    pub(super) began_at: SystemTime,
    pub(super) finished: Finished,
}

/// The thread that plays tapes, started with the first of them.
pub(super) struct Shadows {
    world: Arc<dyn World>,
    observer: Arc<dyn Observer>,
    budget: Arc<Budget>,
    waiting: Arc<AtomicUsize>,
    queue: OnceLock<Option<Sender<Job>>>,
}

impl Shadows {
    pub(super) fn new(world: Arc<dyn World>, observer: Arc<dyn Observer>) -> Self {
        Self { world, observer, budget: Arc::default(), waiting: Arc::default(), queue: OnceLock::new() }
    }

    /// The bytes of all tapes.
    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Takes a finished request over. It reaches the observer at once or when the candidate has been asked.
    pub(super) fn submit(&self, mut job: Job) {
        job.tape.weigh(&job.finished.report);
        let reason = if job.tape.is_full {
            "bytes"
        } else if self.waiting.fetch_add(1, Ordering::AcqRel) >= limits::SHADOW_QUEUE {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            "queue_full"
        } else {
            self.observer.answered(&job.finished);
            let Some(job) = self.send(job) else { return };
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            self.drop_one(&job, "failed");
            self.observer.settled(job.finished);
            return;
        };
        self.drop_one(&job, reason);
        self.observer.finished(job.finished);
    }

    fn drop_one(&self, job: &Job, reason: &'static str) {
        job.tape.candidate.evidence.drop_one();
        if let Some(site) = &job.finished.site {
            self.observer.shadow_dropped(site, reason);
        }
    }

    /// The job when there is no thread that could take it.
    fn send(&self, job: Job) -> Option<Job> {
        let Some(queue) = self.queue.get_or_init(|| self.start()) else { return Some(job) };
        queue.send(job).err().map(|unsent| unsent.0)
    }

    fn start(&self) -> Option<Sender<Job>> {
        let (queue, jobs) = channel();
        let player = Player {
            world: Arc::clone(&self.world),
            observer: Arc::clone(&self.observer),
            waiting: Arc::clone(&self.waiting),
            collections: Arc::new(MemoryStore::new(COLLECTIONS, COLLECTION_BYTES)),
        };
        let thread = std::thread::Builder::new().name("shadow".to_owned()).spawn(move || player.run(&jobs));
        if let Err(error) = &thread {
            tracing::error!(%error, "the thread that tries candidate rulesets cannot be started");
        }
        thread.ok().map(|_| queue)
    }

    /// Waits until no tape waits any more, at most for `patience`.
    pub(super) async fn drain(&self, patience: Duration) {
        let until = Instant::now() + patience;
        while self.waiting.load(Ordering::Acquire) > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Persistent collections of all candidates together, beside those of the rules at work.
const COLLECTIONS: usize = 65_536;
/// Their bytes.
const COLLECTION_BYTES: usize = 32 << 20;

struct Player {
    world: Arc<dyn World>,
    observer: Arc<dyn Observer>,
    waiting: Arc<AtomicUsize>,
    collections: Arc<MemoryStore>,
}

impl Player {
    fn run(self, jobs: &Receiver<Job>) {
        while let Ok(mut job) = jobs.recv() {
            let begun = Instant::now();
            let world = Arc::new(Aside {
                world: Arc::clone(&self.world),
                collections: Arc::clone(&self.collections),
                now: job.began_at,
            });
            let played = catch_unwind(AssertUnwindSafe(|| play(&job, world)));
            let evidence = &job.tape.candidate.evidence;
            match played {
                Ok(shadowed) => {
                    evidence.add(shadowed.difference);
                    job.finished.report.shadow = Some(Box::new(shadowed));
                    job.finished.shadow_time = begun.elapsed();
                }
                Err(_) => {
                    evidence.drop_one();
                    if let Some(site) = &job.finished.site {
                        self.observer.shadow_dropped(site, "failed");
                    }
                }
            }
            let Job { finished, tape, .. } = job;
            drop(tape);
            self.observer.settled(finished);
            self.waiting.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Plays a tape to the candidate.
fn play(job: &Job, world: Arc<dyn World>) -> Shadowed {
    let (tape, live) = (&job.tape, &job.finished.report);
    let candidate = &tape.candidate;
    let options = Options { id: live.id.clone(), mode: Some(candidate.mode), world };
    let mut transaction = Transaction::new(Arc::clone(&candidate.ruleset), options);
    transaction.keep_request();
    show_head(&mut transaction, &job.arrival, job.client);
    let mut request_body_missing = false;
    let mut response_body_missing = false;
    // An interruption ends what the candidate would have been shown.
    let _ = (|| -> Option<()> {
        go_on(transaction.process_request_headers())?;
        if transaction.request_body_wanted() && tape.has_body {
            request_body_missing = feed(&tape.request_body, |bytes| transaction.append_request_body(bytes))?;
        }
        go_on(transaction.process_request_body())?;
        let response = tape.response.as_ref()?;
        for (name, value) in &response.headers {
            transaction.add_response_header(name, value);
        }
        go_on(transaction.process_response_headers(response.status, &response.protocol))?;
        if transaction.response_body_wanted() {
            response_body_missing = feed(&response.body, |bytes| transaction.append_response_body(bytes))?;
        }
        go_on(transaction.process_response_body())
    })();
    let report = transaction.process_logging(job.finished.status);
    let is_complete = !request_body_missing || report.stop().is_some();
    let difference = Difference::of(live.stop().is_some(), report.stop().is_some(), is_complete);
    Shadowed { difference, request_body_missing, response_body_missing, report }
}

fn go_on(decision: Decision) -> Option<()> {
    matches!(decision, Decision::Pass).then_some(())
}

/// Shows a body. Says whether the candidate would have read on where there is nothing any more; none when it stops.
fn feed(track: &Track, append: impl FnOnce(&[u8]) -> BodyStep) -> Option<bool> {
    let step = if track.bytes.is_empty() { BodyStep::Continue } else { append(&track.bytes) };
    match step {
        BodyStep::Continue => Some(!track.is_taken || track.is_cut),
        BodyStep::LimitReached => Some(false),
        BodyStep::Interrupt(_) => None,
    }
}

/// The outside as a candidate sees it: the time at which the request came, and collections of its own.
struct Aside {
    world: Arc<dyn World>,
    collections: Arc<MemoryStore>,
    now: SystemTime,
}

impl World for Aside {
    fn now(&self) -> SystemTime {
        self.now
    }

    fn collections(&self) -> &dyn Collections {
        &*self.collections
    }

    fn env(&self, name: &str) -> Option<String> {
        self.world.env(name)
    }

    fn resolve(&self, name: &str) -> Option<Vec<IpAddr>> {
        self.world.resolve(name)
    }

    fn reverse(&self, address: IpAddr) -> Option<String> {
        self.world.reverse(address)
    }

    fn random(&self) -> u64 {
        self.world.random()
    }
}
