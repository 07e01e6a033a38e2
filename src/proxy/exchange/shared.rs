//! What all requests share, and a request's head as it arrives.

use super::super::aside::Aside;
use super::super::budget::Budget;
use super::super::connect::Dialler;
use super::super::observer::Observer;
use super::super::pulse::Pulse;
use super::super::secured::Secured;
use super::super::shadow::Shadows;
use super::super::unsent::Unsent;
use super::super::upstream::Directory;
use crate::admission::Admission;
use crate::engine::World;
use crate::http::RequestHead;
use crate::reload::Current;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinError;

/// What all requests share.
pub(in crate::proxy) struct Shared {
    pub(in crate::proxy) current: Current,
    pub(in crate::proxy) world: Arc<dyn World>,
    pub(in crate::proxy) observer: Arc<dyn Observer>,
    pub(in crate::proxy) budget: Arc<Budget>,
    pub(in crate::proxy) unsent: Arc<Unsent>,
    pub(in crate::proxy) ids: Ids,
    pub(in crate::proxy) aside: Aside,
    pub(in crate::proxy) pulse: Arc<Pulse>,
    pub(in crate::proxy) shadows: Shadows,
    pub(in crate::proxy) directory: Directory,
    pub(in crate::proxy) dialler: Dialler,
    pub(in crate::proxy) admission: Arc<Admission>,
    /// The server ends: each connection's next answer is its last one.
    pub(in crate::proxy) stopping: AtomicBool,
}

impl Shared {
    /// A task of a connection or a stream has ended. One that panicked was the last of its connection, and of nothing else:
    /// the panic hook has told what it was.
    pub(in crate::proxy) fn ended(&self, task: &Result<(), JoinError>) {
        if task.as_ref().is_err_and(JoinError::is_panic) {
            self.observer.connection_failed("panic");
        }
    }

    /// Whether the server ends.
    pub(in crate::proxy) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// Makes transaction ids: ULIDs, which sort by the time they were made, also within a millisecond.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Ids(Mutex<ulid::Generator>);

impl Ids {
    pub(in crate::proxy) fn next(&self) -> String {
        let mut generator = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // It fails after 2^80 ids of one millisecond, where order matters less than an answer.
        generator.generate().unwrap_or_else(|_| ulid::Ulid::generate()).to_string()
    }
}

/// A request head with where it came from.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct Arrival {
    pub(in crate::proxy) head: RequestHead,
    /// The connection's peer, or what a PROXY header said.
    pub(in crate::proxy) peer: SocketAddr,
    pub(in crate::proxy) server: SocketAddr,
    pub(in crate::proxy) secure: bool,
    /// What is known of that.
    pub(in crate::proxy) tls: Option<Arc<Secured>>,
}
