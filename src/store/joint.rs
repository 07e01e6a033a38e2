//! Persistent collections that several instances have together, in Redis or Valkey.
//!
//! A transaction that opens a collection waits for it, within the store's time-out; its changes go there behind it. What
//! was read and what is changed is also kept in the memory of this process, with which it goes on alone while the
//! shared store is late or gone. A server that has lost its memory learns what is known here with the next opening.

use super::MemoryStore;
use super::shared::SharedStore;
use crate::engine::{CollectionChange, Collections};
use crate::telemetry::SharedUse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, SystemTime};
use tokio::runtime::{Handle, RuntimeFlavor};

/// See the module's documentation.
pub struct JointCollections {
    local: Arc<MemoryStore>,
    shared: Arc<SharedStore>,
}

/// A member as the shared store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) name: String,
    pub(super) value: Vec<u8>,
    /// How long it still lives, if it does not live as long as its collection.
    pub(super) left: Option<Duration>,
}

/// A collection as the shared store has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) members: Vec<Held>,
    /// How long it lives without another change.
    pub(super) left: Duration,
}

/// What a thread waits longer than the store itself would, so that the store's own word comes first.
const SLACK: Duration = Duration::from_millis(1);

impl JointCollections {
    /// Collections in `shared`, and in `local` while that is gone.
    pub fn new(local: Arc<MemoryStore>, shared: Arc<SharedStore>) -> Self {
        Self { local, shared }
    }

    /// What the shared store has; none when it does not say so in time.
    fn ask(&self, name: String) -> Option<Whole> {
        let (tell, told) = sync_channel(1);
        let shared = Arc::clone(&self.shared);
        self.shared.forever(async move {
            let whole = shared.collection(&name).await;
            // Who has stopped waiting does not need it.
            let _ = tell.try_send(whole);
        });
        patiently(|| told.recv_timeout(self.shared.patience() + SLACK)).ok().flatten()
    }
}

/// Waits on this thread, while its other tasks go on elsewhere.
fn patiently<T>(wait: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        // A thread of its own: no other task is held up.
        _ => wait(),
    }
}

/// The name of a collection among the shared store's keys. Keys of collections come from clients, and are not kept there.
fn name(collection: &str, app: &str, key: &[u8]) -> String {
    let text = [app.as_bytes(), b"\0", key].concat();
    format!("{collection}:{}", super::digest(&text))
}

impl Collections for JointCollections {
    fn load(&self, collection: &str, app: &str, key: &[u8], now: SystemTime) -> BTreeMap<String, Vec<u8>> {
        let epoch = self.shared.epoch();
        if epoch == 0 {
            self.shared.passed_over(SharedUse::Collections);
            return self.local.load(collection, app, key, now);
        }
        let name = name(collection, app, key);
        let Some(whole) = self.ask(name.clone()) else {
            return self.local.load(collection, app, key, now);
        };
        if whole.members.is_empty() {
            let known = self.local.load(collection, app, key, now);
            let is_news = self.local.agreed(collection, app, key, epoch) != epoch;
            if !known.is_empty() && is_news {
                // It has begun anew since it was asked last, or nobody could tell it.
                let timeout = self.local.left(collection, app, key, now);
                self.shared.seed(&name, &known, timeout);
                return known;
            }
        }
        self.local.replace(collection, app, key, epoch, &whole, now);
        whole.members.into_iter().map(|held| (held.name, held.value)).collect()
    }

    fn update(
        &self,
        collection: &str,
        app: &str,
        key: &[u8],
        change: CollectionChange,
        now: SystemTime,
        timeout: Duration,
    ) {
        if self.shared.is_up() {
            self.shared.change(&name(collection, app, key), change.clone(), timeout);
        }
        self.local.update(collection, app, key, change, now, timeout);
    }
}
