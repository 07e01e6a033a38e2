//! The transaction: what the caller feeds, and what it gets back.

use super::{BodyStep, Decision, EventKind, Report, World};
use crate::ruleset::{Mode, Ruleset};
use std::net::SocketAddr;
use std::sync::Arc;

/// What the caller decides about one transaction.
#[derive(Clone)]
pub struct Options {
    /// The transaction's id (`UNIQUE_ID`).
    pub id: String,
    /// Overrides `SecRuleEngine`.
    pub mode: Option<Mode>,
    /// The outside.
    pub world: Arc<dyn World>,
}

/// One request and its response. Feed it in the order of the methods; each phase may be run once.
pub struct Transaction {
    _todo: (),
}

#[allow(unused_variables, missing_docs)]
impl Transaction {
    pub fn new(ruleset: Arc<Ruleset>, options: Options) -> Self {
        Self { _todo: () }
    }
    /// Client and server address.
    pub fn process_connection(&mut self, client: SocketAddr, server: SocketAddr) {}
    /// Method, request target and protocol (`HTTP/1.1`) as received.
    pub fn process_uri(&mut self, method: &[u8], target: &[u8], protocol: &[u8]) {}
    /// One request header, in order.
    pub fn add_request_header(&mut self, name: &[u8], value: &[u8]) {}
    /// The exact request line, when it was not `METHOD SP target SP protocol` (`REQUEST_LINE`).
    pub fn set_request_line(&mut self, line: &[u8]) {}
    /// Phase 1.
    pub fn process_request_headers(&mut self) -> Decision {
        Decision::Pass
    }
    /// Whether the request body is to be read for inspection (after phase 1). When false, skip to
    /// [`Self::process_request_body`], which must be called all the same.
    pub fn request_body_wanted(&self) -> bool {
        false
    }
    /// The next bytes of the request body, as received (content coding not undone).
    pub fn append_request_body(&mut self, chunk: &[u8]) -> BodyStep {
        BodyStep::Continue
    }
    /// Phase 2.
    pub fn process_request_body(&mut self) -> Decision {
        Decision::Pass
    }
    /// One response header, in order.
    pub fn add_response_header(&mut self, name: &[u8], value: &[u8]) {}
    /// Phase 3.
    pub fn process_response_headers(&mut self, status: u16, protocol: &[u8]) -> Decision {
        Decision::Pass
    }
    /// Whether the response body is to be held back for inspection (after phase 3).
    pub fn response_body_wanted(&self) -> bool {
        false
    }
    /// The next bytes of the response body.
    pub fn append_response_body(&mut self, chunk: &[u8]) -> BodyStep {
        BodyStep::Continue
    }
    /// Phase 4.
    pub fn process_response_body(&mut self) -> Decision {
        Decision::Pass
    }
    /// Something that the caller noticed.
    pub fn note(&mut self, kind: EventKind, detail: &str) {}
    /// Phase 5, and everything that there is to report. `final_status` is what the client was answered, 0 when
    /// nothing was.
    pub fn process_logging(self, final_status: u16) -> Report {
        unreachable!()
    }
}
