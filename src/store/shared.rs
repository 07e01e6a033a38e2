//! What several instances know together, in Redis or Valkey.
//!
//! A request never waits for it longer than a few milliseconds, and not at all while it is gone: whoever asks gets no
//! answer then and goes on with what this process knows by itself. A thread of its own keeps the connection: it connects
//! anew until that succeeds, and looks after one that nobody uses. Three answers in a row that come too late, or an
//! error of the connection, count as gone.

use super::joint::Whole;
use super::link;
use super::script::{self, Scripts};
use crate::config::Redis;
use crate::engine::CollectionChange;
use crate::telemetry::{Metrics, SharedUse};
use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, RedisError, RedisResult};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

/// A connection that is kept.
pub struct SharedStore {
    settings: Redis,
    scripts: Scripts,
    metrics: Arc<Metrics>,
    link: ArcSwapOption<Link>,
    /// Answers in a row that came too late.
    late: AtomicU32,
    /// Connections so far.
    epochs: AtomicU64,
    lost: Notify,
    runtime: Handle,
    room: Arc<Semaphore>,
}

struct Link {
    connection: MultiplexedConnection,
    epoch: u64,
}

/// One request on one meter.
#[derive(Clone, Debug)]
pub struct Charge {
    /// The meter.
    pub key: String,
    /// What the request is worth, in microseconds.
    pub interval: u64,
    /// How far ahead the meter may be.
    pub tolerance: u64,
    /// How far ahead it is as far as this process knows: the store is not to know less.
    pub ahead: u64,
    /// Whether what follows is not asked when this refuses.
    pub stops: bool,
}

/// The answer to a [`Charge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    /// Microseconds to wait; 0 when the request was taken.
    pub wait: u64,
    /// How far ahead the meter is now.
    pub ahead: u64,
}

/// How many answers in a row may come too late.
const LATE: u32 = 3;
/// For one attempt to connect, and for an answer that nobody waits for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a connection is looked after.
const PULSE: Duration = Duration::from_secs(1);
/// How long the start waits for the first connection.
const FIRST: Duration = Duration::from_secs(1);
/// Things at a time that are done beside requests; more are dropped and counted.
const ASIDE: usize = 1_024;

impl SharedStore {
    /// Connects as `settings` say, on a thread of its own, and goes on doing so whenever the connection is gone. Waits a
    /// moment for the first connection, so that the first requests are counted together with those of others.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn start(settings: Redis, metrics: Arc<Metrics>) -> io::Result<Arc<Self>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let store = Arc::new(Self {
            scripts: Scripts::default(),
            metrics,
            link: ArcSwapOption::empty(),
            late: AtomicU32::new(0),
            epochs: AtomicU64::new(0),
            lost: Notify::new(),
            runtime: runtime.handle().clone(),
            room: Arc::new(Semaphore::new(ASIDE)),
            settings,
        });
        let (tried, first) = sync_channel(1);
        store.metrics.shared_store_up(false);
        let keeper = Arc::clone(&store);
        std::thread::Builder::new().name("redis".to_owned()).spawn(move || keeper.keep(&runtime, &tried))?;
        // Whether it is there or not, the server starts.
        let _ = first.recv_timeout(FIRST);
        Ok(store)
    }

    /// Whether there is a connection.
    pub fn is_up(&self) -> bool {
        self.link.load().is_some()
    }

    /// Which connection there is, counted from 1; 0 when there is none.
    pub fn epoch(&self) -> u64 {
        self.link.load().as_ref().map_or(0, |link| link.epoch)
    }

    /// The name of something that is kept, under the configured prefix.
    pub fn key(&self, kind: &str, name: &str) -> String {
        format!("{}:{kind}:{name}", self.settings.prefix)
    }

    /// Asks meters, in order; fewer answers than charges when one that stops refused. None when there is no answer in
    /// time; the charges may have been counted then.
    pub async fn charge(&self, charges: &[Charge]) -> Option<Vec<Charged>> {
        let script = self.scripts.charge(charges);
        let question = |mut link| async move { script.invoke_async(&mut link).await };
        let pairs: Vec<u64> = self.ask(SharedUse::RateLimits, question).await?;
        let (pairs, _) = pairs.as_chunks::<2>();
        Some(pairs.iter().map(|&[wait, ahead]| Charged { wait, ahead }).collect())
    }

    /// Adds `points` to what `key` has in a sliding window of `period`, and says whether that reaches `threshold`; then
    /// it begins anew. Not for the request path.
    pub async fn score(&self, key: &str, points: u64, period: Duration, threshold: u64) -> Option<bool> {
        let script = self.scripts.score(key, points, period, threshold);
        self.ask_patiently(|mut link| async move { script.invoke_async(&mut link).await }).await
    }

    /// How long a request waits for an answer.
    pub(super) fn patience(&self) -> Duration {
        self.settings.timeout
    }

    /// A persistent collection, by a name that tells nothing of its key. None when there is no answer in time.
    pub(super) async fn collection(&self, name: &str) -> Option<Whole> {
        let key = self.key("collection", name);
        let script = self.scripts.open(&key);
        let question = |mut link| async move { script.invoke_async(&mut link).await };
        let answer = self.ask(SharedUse::Collections, question).await?;
        Some(script::whole(answer))
    }

    /// Changes a persistent collection, behind the request.
    pub(super) fn change(self: &Arc<Self>, name: &str, change: CollectionChange, timeout: Duration) {
        let (store, key) = (Arc::clone(self), self.key("collection", name));
        self.aside(async move {
            let script = store.scripts.change(&key, change, timeout);
            let _: Option<u64> =
                store.ask_patiently(|mut link| async move { script.invoke_async(&mut link).await }).await;
        });
    }

    /// Tells the store a persistent collection, unless it has one of this name.
    pub(super) fn seed(self: &Arc<Self>, name: &str, members: &BTreeMap<String, Vec<u8>>, timeout: Duration) {
        let (store, key, members) = (Arc::clone(self), self.key("collection", name), members.clone());
        self.aside(async move {
            let script = store.scripts.seed(&key, &members, timeout);
            let _: Option<u64> =
                store.ask_patiently(|mut link| async move { script.invoke_async(&mut link).await }).await;
        });
    }

    /// A request was decided without this store, since it is gone.
    pub fn passed_over(&self, r#use: SharedUse) {
        self.metrics.shared_store_fallback(r#use);
    }

    /// Does `task` beside requests. What is too much is dropped and counted.
    pub fn aside(&self, task: impl Future<Output = ()> + Send + 'static) {
        match Arc::clone(&self.room).try_acquire_owned() {
            Ok(place) => {
                self.runtime.spawn(async move {
                    task.await;
                    drop(place);
                });
            }
            Err(_) => self.metrics.shared_store_error("overflow"),
        }
    }

    /// Does `task` beside requests for as long as the store is there.
    pub fn forever(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// One command, for whose answer no request waits.
    pub async fn command<T: FromRedisValue>(&self, command: Cmd) -> Option<T> {
        self.ask_patiently(|mut link| async move { command.query_async(&mut link).await }).await
    }

    /// Asks within the configured time; for requests.
    async fn ask<T, F>(
        &self,
        r#use: SharedUse,
        question: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let began = Instant::now();
        let answer = self.ask_within(self.settings.timeout, question).await;
        self.metrics.shared_store_wait(r#use, began.elapsed());
        if answer.is_none() {
            self.metrics.shared_store_fallback(r#use);
        }
        answer
    }

    async fn ask_patiently<T, F>(&self, question: impl FnOnce(MultiplexedConnection) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        self.ask_within(PATIENCE, question).await
    }

    async fn ask_within<T, F>(
        &self,
        time: Duration,
        question: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let link = self.link.load_full()?;
        match timeout(time, question(link.connection.clone())).await {
            Ok(Ok(answer)) => {
                self.late.store(0, Ordering::Relaxed);
                Some(answer)
            }
            Ok(Err(error)) => {
                self.failed(&link, &error);
                None
            }
            Err(_) => {
                self.metrics.shared_store_error("timeout");
                if self.late.fetch_add(1, Ordering::Relaxed) + 1 >= LATE {
                    self.lose(&link, "it answers too late");
                }
                None
            }
        }
    }

    fn failed(&self, link: &Arc<Link>, error: &RedisError) {
        let is_of_connection = error.is_io_error()
            || error.is_connection_dropped()
            || error.is_timeout()
            || error.is_unrecoverable_error();
        if is_of_connection {
            self.metrics.shared_store_error("connection");
            self.lose(link, error.category());
        } else {
            self.metrics.shared_store_error("command");
            // The server's own words, which quote no value of ours.
            tracing::warn!(code = error.code().unwrap_or("?"), "the shared store refuses a command");
        }
    }

    /// Goes on without `link`, unless another one is there already.
    fn lose(&self, link: &Arc<Link>, why: &str) {
        let current = self.link.load();
        if !current.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            return;
        }
        let previous = self.link.compare_and_swap(&current, None);
        if previous.as_ref().is_some_and(|previous| Arc::ptr_eq(previous, link)) {
            self.metrics.shared_store_up(false);
            self.late.store(0, Ordering::Relaxed);
            tracing::warn!(
                server = %self.settings.server,
                why,
                "the shared store is gone: this instance goes on with limits and bans of its own"
            );
            self.lost.notify_one();
        }
    }

    /// Connects, again and again, until the process ends.
    fn keep(&self, runtime: &Runtime, tried: &SyncSender<()>) {
        runtime.block_on(async {
            let mut told = false;
            loop {
                match self.connect().await {
                    Ok(()) => {
                        told = false;
                        let _ = tried.try_send(());
                        self.look_after().await;
                    }
                    Err(why) if !told => {
                        told = true;
                        let server = &self.settings.server;
                        tracing::warn!(%server, why, "the shared store cannot be reached; trying again");
                    }
                    Err(why) => tracing::debug!(why, "the shared store cannot be reached"),
                }
                let _ = tried.try_send(());
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    async fn connect(&self) -> Result<(), String> {
        let attempt = async {
            let (mut connection, driver) = link::connect(&self.settings).await?;
            self.runtime.spawn(driver);
            // Only who answers is there: a stopped server still takes connections.
            let pong: RedisResult<String> = redis::cmd("PING").query_async(&mut connection).await;
            pong.map_err(|error| link::describe(&error))?;
            self.scripts.load(&mut connection).await.map_err(|error| link::describe(&error))?;
            Ok::<_, String>(connection)
        };
        let connection = timeout(PATIENCE, attempt).await.map_err(|_| "no answer in time".to_owned())??;
        let epoch = self.epochs.fetch_add(1, Ordering::Relaxed) + 1;
        self.late.store(0, Ordering::Relaxed);
        self.link.store(Some(Arc::new(Link { connection, epoch })));
        self.metrics.shared_store_up(true);
        tracing::info!(server = %self.settings.server, "the shared store is there");
        Ok(())
    }

    /// Returns when the connection is gone.
    async fn look_after(&self) {
        loop {
            let _ = timeout(PULSE, self.lost.notified()).await;
            if !self.is_up() {
                return;
            }
            let alive: Option<String> = self.command(redis::cmd("PING")).await;
            if let (None, Some(link)) = (alive, self.link.load_full()) {
                self.lose(&link, "it does not answer");
            }
        }
    }
}

/// A name for bytes that a client may have chosen: bounded, and nothing that could be read back.
pub fn digest(bytes: &[u8]) -> String {
    script::digest(bytes)
}
