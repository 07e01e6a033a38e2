//! What was changed through the admin listener, by whom, and what became of it.
//!
//! Each change and each failed attempt is a line of the server's log with the target `portcullis::admin`; the last
//! ones are kept for the console.

use super::facts::stamp;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// The last changes.
#[derive(Default)]
pub(super) struct Changes(Mutex<VecDeque<Change>>);

struct Change {
    at: SystemTime,
    action: &'static str,
    client: IpAddr,
    result: &'static str,
}

/// Changes kept.
const KEPT: usize = 50;

impl Changes {
    /// Logs and keeps one. `action` and `result` are fixed names.
    pub(super) fn note(&self, action: &'static str, client: IpAddr, result: &'static str) {
        let client = client.to_canonical();
        match result {
            "refused" | "failed" => {
                tracing::warn!(target: "portcullis::admin", action, %client, result, "admin");
            }
            _ => tracing::info!(target: "portcullis::admin", action, %client, result, "admin"),
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front(Change { at: SystemTime::now(), action, client, result });
        kept.truncate(KEPT);
    }

    /// The last ones, the newest first.
    pub(super) fn list(&self) -> Value {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let each = |c: &Change| json!({"at": stamp(c.at), "action": c.action, "client": c.client.to_string(), "result": c.result});
        kept.iter().map(each).collect()
    }
}
