//! Watches, builds a new generation beside the current one, and swaps them.

use super::build::{Complaints, Loaded, Origin, SitePosture, load, today};
use super::generation::{Current, Generation};
use super::promotion::{self, Promoted, Promotion};
use super::recording::Footprint;
use crate::config::{Checked, posture};
use crate::ruleset::Mode;
use crate::syntax::diagnostic::Severity;
use crate::syntax::seclang::Loader;
use crate::telemetry::{Metrics, ReloadResult};
use arc_swap::ArcSwap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use time::Date;

/// Parts of the server that have a word about a new generation, or must follow it.
pub trait Hooks: Send + Sync {
    /// Tries what only running parts can try, such as certificates. Called before the swap.
    ///
    /// # Errors
    ///
    /// What is wrong; the generation is refused.
    fn verify(&self, config: &Checked) -> Result<(), String> {
        let _ = config;
        Ok(())
    }

    /// A generation has been put to work; called for the first one too.
    fn swapped(&self, generation: &Generation) {
        let _ = generation;
    }
}

/// No word and nothing to follow.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {}

/// What became of an attempt to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// A new generation is at work: its number.
    Swapped(u64),
    /// Everything is as it was; so is the generation.
    Unchanged,
    /// Something is faulty; the old generation stays. The complaints, for people.
    Refused(String),
}

/// What is known of the generation at work and the last attempt.
#[derive(Debug)]
pub struct Status {
    /// What each site's rules amount to.
    pub postures: Vec<SitePosture>,
    /// When the last attempt was made.
    pub attempted_at: SystemTime,
    /// What the last attempt complained about, when it was refused.
    pub refusal: Option<String>,
}

/// Keeps the current generation current.
pub struct Reloader {
    current: Current,
    status: Arc<ArcSwap<Status>>,
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    is_over: Arc<AtomicBool>,
}

enum Job {
    Reload(Option<Sender<Attempt>>),
    Promote(Promotion, Sender<Promoted>),
    Stop,
}

impl Reloader {
    /// Puts the first generation to work and watches what it depends on.
    ///
    /// # Errors
    ///
    /// Gives `loaded` back with its complaints when it has no generation or `hooks` refuse it; an error of the
    /// operating system when no thread can be started.
    pub fn start(
        origin: Origin,
        loader: Arc<dyn Loader + Send + Sync>,
        mut loaded: Loaded,
        metrics: Arc<Metrics>,
        hooks: Arc<dyn Hooks>,
    ) -> Result<Self, StartError> {
        if let Some(generation) = &loaded.generation
            && let Err(error) = hooks.verify(&generation.config)
        {
            loaded.refuse("config-unusable", error);
        }
        let Some(generation) = loaded.generation.take() else {
            return Err(StartError::Refused(Box::new(loaded)));
        };
        let generation = Arc::new(generation);
        let status = Status { postures: loaded.postures, attempted_at: SystemTime::now(), refusal: None };
        tell(&generation, &status.postures, &metrics);
        hooks.swapped(&generation);
        let current: Current = Arc::new(ArcSwap::new(Arc::clone(&generation)));
        let status = Arc::new(ArcSwap::from_pointee(status));
        let (jobs, inbox) = channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            is_over: Arc::clone(&is_over),
            origin,
            loader,
            metrics,
            hooks,
            current: Arc::clone(&current),
            status: Arc::clone(&status),
            footprint: loaded.footprint,
            day: today(),
        };
        let thread = std::thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || worker.run(&inbox))
            .map_err(StartError::Thread)?;
        Ok(Self { current, status, jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)), is_over })
    }

    /// Where the generation at work is found.
    pub fn current(&self) -> Current {
        Arc::clone(&self.current)
    }

    /// What is known of it and of the last attempt.
    pub fn status(&self) -> Arc<Status> {
        self.status.load_full()
    }

    /// Asks for an attempt and does not wait for it. What is asked for while another one is made is one attempt together.
    pub fn request(&self) {
        self.send(Job::Reload(None));
    }

    /// Makes an attempt and waits for it: up to seconds, so not on a thread that serves. None after
    /// [`Self::stop`].
    pub fn reload(&self) -> Option<Attempt> {
        let (reply, wait) = channel();
        self.send(Job::Reload(Some(reply)));
        wait.recv().ok()
    }

    /// Has a candidate ruleset promoted, and waits for it: up to seconds, so not on a thread that serves. None after
    /// [`Self::stop`].
    pub fn promote(&self, promotion: Promotion) -> Option<Promoted> {
        let (reply, wait) = channel();
        self.send(Job::Promote(promotion, reply));
        wait.recv().ok()
    }

    /// Stops watching. The generation at work stays. Waits for an attempt that is being made, and for none that was only
    /// asked for.
    pub fn stop(&self) {
        self.is_over.store(true, Ordering::Release);
        self.send(Job::Stop);
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The worker catches panics, and one that got through has been told by the panic hook.
            let _ = thread.join();
        }
    }

    fn send(&self, job: Job) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = jobs.as_ref() {
            // The worker ends only by Stop.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Why a reloader could not start.
#[derive(Debug)]
pub enum StartError {
    /// The first load is faulty.
    Refused(Box<Loaded>),
    /// No thread could be started.
    Thread(io::Error),
}

struct Worker {
    is_over: Arc<AtomicBool>,
    origin: Origin,
    loader: Arc<dyn Loader + Send + Sync>,
    metrics: Arc<Metrics>,
    hooks: Arc<dyn Hooks>,
    current: Current,
    status: Arc<ArcSwap<Status>>,
    /// What the last attempt read, whatever became of it: a faulty file is tried again when it changes, and not
    /// before.
    footprint: Footprint,
    /// When patches were last compared with the calendar.
    day: Date,
}

/// For how long files must not have changed before they are loaded.
const SETTLE: Duration = Duration::from_millis(250);
/// How often that is tried before the next interval.
const RESTLESS: usize = 20;
/// How often the thread looks up when watching is off.
const IDLE: Duration = Duration::from_secs(3_600);

impl Worker {
    fn run(mut self, inbox: &Receiver<Job>) {
        // What was taken from the inbox too early.
        let mut next = None;
        loop {
            let interval = self.current.load().config.reload.interval;
            let job = match next.take() {
                Some(job) => Ok(job),
                None => inbox.recv_timeout(interval.unwrap_or(IDLE)),
            };
            if self.is_over.load(Ordering::Acquire) {
                return;
            }
            match job {
                Ok(Job::Reload(reply)) => {
                    // Whoever has asked by now sees what is read from now on.
                    let mut replies = vec![reply];
                    next = inbox.try_iter().find_map(|job| match job {
                        Job::Reload(reply) => {
                            replies.push(reply);
                            None
                        }
                        other => Some(other),
                    });
                    let attempt = self.guarded();
                    for reply in replies.into_iter().flatten() {
                        // Whoever asked may have stopped waiting.
                        let _ = reply.send(attempt.clone());
                    }
                }
                Ok(Job::Promote(promotion, reply)) => {
                    let _ = reply.send(self.promote(&promotion));
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.review();
                    if let Some(interval) = interval
                        && self.has_changed(interval)
                    {
                        self.guarded();
                    }
                }
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn promote(&mut self, promotion: &Promotion) -> Promoted {
        let generation = self.current.load_full();
        let seen = match promotion::weigh(&generation, promotion) {
            Ok(seen) => seen,
            Err(refused) => return refused,
        };
        let changed = self.footprint.look_again(&*self.loader) != self.footprint;
        if changed || self.status.load().refusal.is_some() {
            let reason = "the files are not those of the rules at work; reload first".to_owned();
            return Promoted::Refused { reason, forcible: false, seen: Some(seen) };
        }
        let origin = self.origin.clone();
        let path = origin.path.as_deref();
        promotion::carry_out(path, &origin.overrides, &promotion.site, seen, || self.guarded())
    }

    /// Once a day: a patch may pass its date while nothing is loaded.
    fn review(&mut self) {
        let today = today();
        if today != self.day {
            self.day = today;
            tell_patches(&self.status.load().postures, &self.metrics);
        }
    }

    /// Whether something that was read is different by now, and has come to rest: an editor or a copy writes in
    /// several steps, and half a rule file may well be a sound one.
    fn has_changed(&self, interval: Duration) -> bool {
        let mut seen = self.footprint.look_again(&*self.loader);
        if seen == self.footprint {
            return false;
        }
        for _ in 0..RESTLESS {
            if self.is_over.load(Ordering::Acquire) {
                return false;
            }
            std::thread::sleep(interval.min(SETTLE));
            let now = self.footprint.look_again(&*self.loader);
            if now == seen {
                return now != self.footprint;
            }
            seen = now;
        }
        // Something is written all the time; it is looked at again after the interval.
        false
    }

    /// One attempt; a panic in it is a refusal like any other.
    fn guarded(&mut self) -> Attempt {
        let attempt = catch_unwind(AssertUnwindSafe(|| self.attempt()));
        attempt.unwrap_or_else(|_| {
            let refusal = "loading failed inside; the old generation stays".to_owned();
            self.refused(Vec::new(), refusal)
        })
    }

    fn attempt(&mut self) -> Attempt {
        let old = self.current.load_full();
        let mut loaded = load(&self.origin, old.number.saturating_add(1), &*self.loader);
        self.footprint = loaded.footprint.clone();
        if let Some(generation) = &loaded.generation
            && let Err(error) = self.hooks.verify(&generation.config)
        {
            loaded.refuse("config-unusable", error);
        }
        let Some(mut generation) = loaded.generation.take() else {
            let text = loaded.render(false);
            return self.refused(loaded.complaints, text);
        };
        if generation.hash == old.hash {
            self.metrics.reload(ReloadResult::Unchanged);
            tracing::info!(generation = old.number, "nothing has changed");
            self.note(None, None);
            return Attempt::Unchanged;
        }
        let warnings = loaded.count(Severity::Warning);
        if old.config.listeners != generation.config.listeners {
            tracing::warn!("listeners have changed; addresses take effect with the next start");
        }
        if old.config.process != generation.config.process || address(&old) != address(&generation) {
            tracing::warn!(
                "settings of the process or the admin listener have changed and wait for the next start"
            );
        }
        let lasting = |g: &Generation| (g.config.store.redis.clone(), g.config.store.limit_keys);
        if lasting(&old) != lasting(&generation) {
            tracing::warn!("`store.redis` or `store.limit_keys` has changed and waits for the next start");
        }
        generation.inherit(&old);
        let generation = Arc::new(generation);
        let number = generation.number;
        tell(&generation, &loaded.postures, &self.metrics);
        self.note(Some(loaded.postures), None);
        self.current.store(Arc::clone(&generation));
        self.metrics.reload(ReloadResult::Success);
        self.hooks.swapped(&generation);
        tracing::info!(generation = number, hash = %generation.hash, warnings, "a new generation is at work");
        Attempt::Swapped(number)
    }

    fn refused(&mut self, complaints: Vec<Complaints>, text: String) -> Attempt {
        let errors: usize = complaints.iter().map(|c| c.diagnostics.errors()).sum();
        self.metrics.reload(ReloadResult::Refused);
        self.note(None, Some(text.clone()));
        tracing::error!(errors, "the new configuration is refused; the old one stays\n{text}");
        Attempt::Refused(text)
    }

    fn note(&self, postures: Option<Vec<SitePosture>>, refusal: Option<String>) {
        let postures = postures.unwrap_or_else(|| self.status.load().postures.clone());
        self.status.store(Arc::new(Status { postures, attempted_at: SystemTime::now(), refusal }));
    }
}

fn address(generation: &Generation) -> Option<std::net::SocketAddr> {
    generation.config.admin.as_ref().map(|a| a.address)
}

/// Metrics and alarms of a generation that is put to work.
fn tell(generation: &Generation, postures: &[SitePosture], metrics: &Metrics) {
    let since = generation.loaded_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    metrics.generation(generation.number, &generation.hash, i64::try_from(since).unwrap_or(i64::MAX));
    for site in postures {
        let alarms = posture::alarms(&site.posture, site.mode);
        let mode = site.mode.or(site.posture.mode).unwrap_or(Mode::On);
        metrics.site(&site.site, site.posture.rules, alarms.len(), mode);
        // Whoever starts the process has told the first generation's alarms.
        for alarm in alarms.iter().filter(|_| generation.number > 1) {
            tracing::warn!(site = %site.site, "{alarm}");
        }
    }
    for site in &generation.sites {
        if let Some(candidate) = &site.candidate {
            metrics.site_shadow(&site.config.name, candidate.posture.rules);
        }
    }
    tell_patches(postures, metrics);
}

/// How many virtual patches there are, and which of them should have been looked at again.
fn tell_patches(postures: &[SitePosture], metrics: &Metrics) {
    let today = today();
    for site in postures {
        let past: Vec<_> = site.posture.past_review(today).collect();
        let names = site.posture.patches.iter().map(|patch| patch.name.as_str());
        metrics.site_patches(&site.site, names, past.len());
        for patch in past {
            tracing::warn!(
                site = %site.site,
                patch = %patch.name,
                owner = %patch.owner,
                review_by = %patch.review_by.node,
                "a virtual patch should have been reviewed by now; it goes on"
            );
        }
    }
}
