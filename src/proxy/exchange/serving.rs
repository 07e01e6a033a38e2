//! One request on its way: what it knows of itself, the steps that it takes, and what became of it.

use super::super::answer::{Action, Answer, Shortage, Trouble};
use super::super::aside::Hitch;
use super::super::bare;
use super::super::budget::Hold;
use super::super::client::Client;
use super::super::observer::Finished;
use super::super::page::Page;
use super::super::routing;
use super::super::shadow::{Job, Tape};
use super::super::unsent::Debt;
use super::chance::{SHADOW_SALT, chance};
use super::shared::{Arrival, Shared};
use crate::admission::Ruling;
use crate::config::{Failure, FailureOutcome, FailurePolicy, Site};
use crate::engine::{EventKind, Transaction};
use crate::reload::{Generation, SiteRuntime};
use crate::ruleset::Mode;
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// One request.
pub(in crate::proxy) struct Exchange {
    pub(in crate::proxy) id: String,
    pub(in crate::proxy) arrival: Arc<Arrival>,
    pub(in crate::proxy) client: Client,
    pub(in crate::proxy) generation: Arc<Generation>,
    site: Option<usize>,
    pub(super) shared: Arc<Shared>,
    began: Instant,
    pub(in crate::proxy) began_at: SystemTime,
    delivered: AtomicBool,
    /// Something is kept for a candidate ruleset, so that the others need not look.
    pub(super) is_taped: bool,
    state: Mutex<State>,
}

/// What changes while a request is served. The lock is held for the time of one engine call only.
pub(super) struct State {
    /// In a box, since it is large and handed from one to the other.
    pub(super) transaction: Option<Box<Transaction>>,
    /// There is no transaction because there is nothing for it to do.
    pub(super) is_idle: bool,
    /// The transaction could not be set up, and nobody has answered for that yet.
    pub(super) stillborn: bool,
    /// There is no transaction because the processors are behind, and nobody has answered for that yet.
    pub(super) late: bool,
    pub(super) request_done: bool,
    pub(super) headers_done: bool,
    pub(super) inspection: [Duration; 5],
    pub(super) troubles: Vec<(Trouble, &'static str)>,
    pub(super) rulings: Vec<Ruling>,
    /// How many of the transaction's events have been looked at.
    pub(super) events_seen: usize,
    pub(super) upstream: Option<String>,
    pub(super) held: Hold,
    /// Bytes of both bodies that have come.
    pub(super) arrived: u64,
    /// How many of them have been through a phase.
    pub(super) looked_at: u64,
    /// The response's body is compressed.
    pub(super) is_coded: bool,
    /// What is kept for a candidate ruleset.
    pub(super) tape: Option<Box<Tape>>,
}

/// How a step of the inspection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Step {
    /// Go on.
    Pass,
    /// A body's limit is reached: run the phase now, and let the rest pass.
    LimitReached,
    /// This is in the way.
    Stop(Trouble),
}

impl Exchange {
    /// Finds the site of `arrival`, and feeds its transaction everything that phase 1 needs. Runs no phase.
    pub(in crate::proxy) fn begin(shared: &Arc<Shared>, arrival: impl Into<Arc<Arrival>>) -> Arc<Self> {
        Self::begin_as(shared, arrival, None)
    }

    /// [`Self::begin`] with an id that the client has been told already.
    pub(in crate::proxy) fn begin_as(
        shared: &Arc<Shared>,
        arrival: impl Into<Arc<Arrival>>,
        id: Option<String>,
    ) -> Arc<Self> {
        let arrival = arrival.into();
        let generation = shared.current.load_full();
        let site = generation.config.site_for(&routing::host(&arrival.head), &routing::path(&arrival.head));
        let config = site.and_then(|index| generation.config.sites.get(index)).map(|site| &**site);
        let client = Client::find(&generation.config, config, arrival.peer, &arrival.head);
        let mut exchange = Self {
            id: id
                .or_else(|| client.transaction_id(config, &arrival.head))
                .unwrap_or_else(|| shared.ids.next()),
            client,
            site,
            generation,
            shared: Arc::clone(shared),
            began: Instant::now(),
            began_at: shared.world.now(),
            delivered: AtomicBool::new(false),
            is_taped: false,
            state: Mutex::new(State {
                transaction: None,
                is_idle: false,
                stillborn: false,
                late: false,
                request_done: false,
                headers_done: false,
                inspection: [Duration::ZERO; 5],
                troubles: Vec::new(),
                rulings: Vec::new(),
                events_seen: 0,
                upstream: None,
                held: shared.budget.hold(),
                arrived: 0,
                looked_at: 0,
                is_coded: false,
                tape: None,
            }),
            arrival,
        };
        exchange.begin_tape();
        if exchange.runtime().is_some_and(bare::is_enough) && exchange.arrival.head.faults.is_empty() {
            exchange.state().is_idle = true;
        } else if exchange.is_late() {
            exchange.state().late = true;
        } else {
            exchange.feed_head();
        }
        Arc::new(exchange)
    }

    /// Whether this request has waited for longer than its site's inspections may, as far as can be known.
    fn is_late(&self) -> bool {
        let wait = self.site().map(|site| site.overload.wait);
        wait.is_some_and(|wait| self.shared.pulse.lag(self.began) > wait)
    }

    /// Refuses the request, or lets it pass uninspected, when it has come too late to be inspected in time.
    pub(in crate::proxy) fn admit_inspection(&self) -> Step {
        if std::mem::take(&mut self.state().late) {
            return Step::Stop(self.overloaded(Shortage::Processors));
        }
        Step::Pass
    }

    /// What it does to this request that there is more to inspect than can be. Where nothing may be refused, nothing is.
    pub(super) fn overloaded(&self, shortage: Shortage) -> Trouble {
        let is_open = self.policy().outcome(Failure::Overload) == FailureOutcome::Open;
        let only_detects = self.runtime().is_some_and(|runtime| mode(runtime) != Mode::On);
        let retry_after = self.site().map_or(0, |site| site.overload.retry_after);
        Trouble::Overloaded { shortage, open: is_open || only_detects, retry_after }
    }

    /// Too much waits for clients that do not take it: there is no other way out than to cut this one off.
    pub(in crate::proxy) fn crowded(&self) -> Trouble {
        self.note(EventKind::Overloaded, "more waits for clients than may be kept (`client.unsent_bytes`)");
        let retry_after = self.site().map_or(0, |site| site.overload.retry_after);
        Trouble::Overloaded { shortage: Shortage::UnsentBytes, open: false, retry_after }
    }

    /// What of this exchange's response waits for its client.
    pub(in crate::proxy) fn debt(&self) -> Debt {
        let config = &self.generation.config;
        let client = Some(self.client.address.ip()).filter(|client| !config.trusts(*client));
        self.shared.unsent.debt(client, config.client.unsent_bytes)
    }

    /// The site's runtime, when there is a site.
    pub(in crate::proxy) fn runtime(&self) -> Option<&SiteRuntime> {
        self.generation.sites.get(self.site?)
    }

    /// The site's configuration, when there is a site.
    pub(in crate::proxy) fn site(&self) -> Option<&Arc<Site>> {
        self.runtime().map(|runtime| &runtime.config)
    }

    /// Whether the site that serves this request would serve it under `host` too.
    pub(in crate::proxy) fn also_serves(&self, host: &str) -> bool {
        self.site == self.generation.config.site_for(host, &routing::path(&self.arrival.head))
    }

    /// Whether a body belongs to the request.
    pub(in crate::proxy) fn has_body(&self, has_body: bool) {
        if self.is_taped
            && let Some(tape) = &mut self.state().tape
        {
            tape.has_body = has_body;
        }
    }

    /// Decides by chance whether the request is shown to the site's candidate ruleset, if there is one.
    fn begin_tape(&mut self) {
        let Some(candidate) = self.runtime().and_then(|runtime| runtime.candidate.as_ref()) else { return };
        if candidate.wants(chance(&self.id, SHADOW_SALT)) && self.arrival.head.fatal().is_none() {
            let tape = Tape::new(candidate, self.shared.shadows.budget());
            self.state().tape = Some(Box::new(tape));
            self.is_taped = true;
        }
    }

    /// What inner failures do: the site's word, or, where there is none, they refuse.
    pub(in crate::proxy) fn policy(&self) -> FailurePolicy {
        self.site().map_or(FailurePolicy::all(FailureOutcome::Closed), |site| site.failure)
    }

    /// Whether the response has no body whatever its head says.
    pub(in crate::proxy) fn is_head(&self) -> bool {
        self.arrival.head.method == b"HEAD"
    }

    /// Phase 1.
    pub(in crate::proxy) async fn request_headers(self: &Arc<Self>) -> Step {
        self.decide_on(1, self.head_bytes(), Transaction::process_request_headers).await
    }

    /// What of the head rules look at, in bytes.
    pub(super) fn head_bytes(&self) -> u64 {
        let head = &self.arrival.head;
        let fields: usize = head.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        u64::try_from(fields + head.target.len()).unwrap_or(u64::MAX)
    }

    /// Runs a long call on a thread of its own, when it is its turn. What has no turn in time is not inspected.
    pub(super) async fn beside(&self, call: impl FnOnce() -> Step + Send + 'static) -> Step {
        let bounds = self.site().map(|site| site.overload).unwrap_or_default();
        let shortage = match self.shared.aside.run(bounds.queue, bounds.wait, call).await {
            Ok(step) => return step,
            Err(Hitch::Panicked) => return Step::Stop(Trouble::Inner(Failure::Internal)),
            Err(Hitch::Full) => Shortage::Queue,
            Err(Hitch::Late) => Shortage::Wait,
        };
        // Half an inspection is none.
        self.state().transaction = None;
        Step::Stop(self.overloaded(shortage))
    }

    /// Whether the request's body is to be read before phase 2.
    pub(in crate::proxy) fn wants_request_body(&self) -> bool {
        let wants = self.ask(Transaction::request_body_wanted);
        self.note_body(2, wants);
        wants
    }

    fn note_body(&self, phase: usize, wants: bool) {
        if self.is_taped
            && wants
            && let Some(tape) = &mut self.state().tape
        {
            tape.note_body(phase, false);
        }
    }

    /// A piece of the request's body, which will be kept for the upstream.
    pub(in crate::proxy) async fn request_body(self: &Arc<Self>, chunk: &Bytes) -> Step {
        // However few they are, what is compressed may be a megabyte, and whoever sends it may have chosen that.
        if self.arrival.head.values("content-encoding").next().is_none() {
            return self.body(2, chunk, Transaction::append_request_body);
        }
        let (exchange, chunk) = (Arc::clone(self), chunk.clone());
        self.beside(move || exchange.body(2, &chunk, Transaction::append_request_body)).await
    }

    /// Phase 2. Runs once; later calls pass.
    pub(in crate::proxy) async fn request_end(self: &Arc<Self>) -> Step {
        if std::mem::replace(&mut self.state().request_done, true) {
            return Step::Pass;
        }
        match self.weigh_request() {
            Ok(bytes) => self.decide_on_body(2, bytes, Transaction::process_request_body).await,
            Err(failure) => Step::Stop(Trouble::Inner(failure)),
        }
    }

    /// Phase 3.
    pub(in crate::proxy) fn response_headers<'a>(
        &self,
        status: u16,
        protocol: &[u8],
        headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Step {
        if std::mem::replace(&mut self.state().headers_done, true) {
            return Step::Pass;
        }
        let mut is_coded = false;
        let mut kept = self.is_taped.then(Vec::new);
        let step = self.decide(3, |transaction| {
            for (name, value) in headers {
                is_coded |= name.eq_ignore_ascii_case(b"content-encoding");
                transaction.add_response_header(name, value);
                if let Some(kept) = &mut kept {
                    kept.push((name.to_vec(), value.to_vec()));
                }
            }
            transaction.process_response_headers(status, protocol)
        });
        let mut state = self.state();
        state.is_coded = is_coded;
        if let (Some(headers), Some(tape)) = (kept, &mut state.tape) {
            tape.take_response(status, protocol, headers);
        }
        step
    }

    /// Whether the response's body is to be held back until phase 4.
    pub(in crate::proxy) fn wants_response_body(&self) -> bool {
        let wants = self.ask(Transaction::response_body_wanted);
        self.note_body(4, wants);
        wants
    }

    /// A piece of the response's body, which is held back.
    pub(in crate::proxy) async fn response_body(self: &Arc<Self>, chunk: &Bytes) -> Step {
        if !self.state().is_coded || chunk.len() <= LONG_PIECE {
            return self.body(4, chunk, Transaction::append_response_body);
        }
        let (exchange, chunk) = (Arc::clone(self), chunk.clone());
        self.beside(move || exchange.body(4, &chunk, Transaction::append_response_body)).await
    }

    /// Phase 4.
    pub(in crate::proxy) async fn response_end(self: &Arc<Self>) -> Step {
        match self.guarded(0, |transaction| transaction.response_text()) {
            Ok(bytes) => self.decide_on_body(4, bytes.unwrap_or(0), Transaction::process_response_body).await,
            Err(failure) => Step::Stop(Trouble::Inner(failure)),
        }
    }

    /// Something that rules cannot see but an operator should.
    pub(in crate::proxy) fn note(&self, kind: EventKind, detail: &str) {
        if std::mem::take(&mut self.state().is_idle) {
            self.feed_head();
        }
        let _ = self.guarded(0, |transaction| transaction.note(kind, detail));
    }

    /// The upstream's response, or what was sent instead, has been written to its end.
    pub(in crate::proxy) fn set_delivered(&self) {
        self.delivered.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::set_delivered`] was called.
    pub(in crate::proxy) fn is_delivered(&self) -> bool {
        self.delivered.load(Ordering::Relaxed)
    }

    /// `Err` with the answer when `step` is one that stops the request; a failure that the site lets pass is
    /// remembered and passes.
    pub(in crate::proxy) fn settle(&self, step: Step) -> Result<(), Answer> {
        match step {
            Step::Pass | Step::LimitReached => Ok(()),
            Step::Stop(trouble) => {
                let answer = self.answer(&trouble);
                if answer.action == Action::Pass { Ok(()) } else { Err(answer) }
            }
        }
    }

    /// What `trouble` does to this request. Remembers it.
    pub(in crate::proxy) fn answer(&self, trouble: &Trouble) -> Answer {
        let answer = trouble.answer(&self.policy());
        self.state().troubles.push((trouble.clone(), answer.reason));
        answer
    }

    /// Whether phase 3 has seen the upstream's response.
    pub(in crate::proxy) fn has_response(&self) -> bool {
        self.state().headers_done
    }

    /// The page of an answer; `None` when it is answered without one.
    pub(in crate::proxy) fn page(&self, answer: &Answer) -> Option<Page> {
        let (status, location) = match &answer.action {
            Action::Page(status) => (*status, None),
            Action::Redirect { status, location } => (*status, Some(location.clone())),
            Action::Abandon | Action::Answered | Action::Pass => return None,
        };
        let accept: Vec<&[u8]> = self.arrival.head.values("accept").collect();
        let header = self.site().and_then(|site| site.request_id_header.as_deref());
        let mut page = Page::new(status, &accept, &self.id, location, header);
        page.retry_after = answer.retry_after;
        page.hsts = self.site().filter(|_| self.is_secure()).and_then(|site| site.edge.hsts.clone());
        if answer.reason == "maintenance"
            && let Some(maintenance) = self.site().and_then(|site| site.maintenance.as_ref())
        {
            page.in_maintenance(maintenance.page.as_deref());
        }
        Some(page)
    }

    /// Remembers the upstream that is used.
    pub(in crate::proxy) fn set_upstream(&self, url: &str) {
        self.state().upstream = Some(url.to_owned());
    }

    /// An upstream failed, and another one will be tried.
    pub(in crate::proxy) fn upstream_failed(&self, reason: &'static str) {
        if let Some(site) = self.site() {
            self.shared.observer.upstream_failed(site, reason);
        }
    }

    /// Phase 5, and the report to the observer. Later calls do nothing.
    pub(in crate::proxy) fn finish(&self, status: u16, request_bytes: u64, response_bytes: u64) {
        let started = Instant::now();
        let (transaction, is_idle, mut inspection, troubles, rulings, upstream, tape, is_request_done) = {
            let mut state = self.state();
            (
                state.transaction.take(),
                state.is_idle,
                state.inspection,
                std::mem::take(&mut state.troubles),
                std::mem::take(&mut state.rulings),
                state.upstream.take(),
                state.tape.take(),
                state.request_done,
            )
        };
        let report =
            transaction.and_then(|t| catch_unwind(AssertUnwindSafe(|| t.process_logging(status))).ok());
        if report.is_some() {
            inspection[4] = started.elapsed();
        }
        // An engine that failed has no word with which another could be compared.
        let tape = tape.filter(|_| match &report {
            Some(report) => is_request_done || report.stop().is_some(),
            None => is_idle && is_request_done,
        });
        let mut report = report.unwrap_or_else(|| match self.runtime().filter(|_| is_idle) {
            Some(runtime) => bare::off(self, runtime),
            None => bare::failed(self, &troubles),
        });
        if report.request.method.is_empty() && self.shared.observer.wants_line(&report) {
            report.request.method = self.arrival.head.method.clone();
            report.request.uri = self.arrival.head.target.clone();
            report.request.protocol = self.arrival.head.protocol.clone();
        }
        self.score(&report, &rulings);
        let finished = Finished {
            site: self.site().cloned(),
            report,
            status,
            rulings,
            troubles,
            inspection,
            duration: self.began.elapsed(),
            request_bytes,
            response_bytes,
            upstream,
            shadow_time: Duration::ZERO,
            generation: Arc::clone(&self.generation),
        };
        match tape {
            None => self.shared.observer.finished(finished),
            Some(tape) => self.shared.shadows.submit(Job {
                tape,
                arrival: Arc::clone(&self.arrival),
                client: self.client.address,
                began_at: self.began_at,
                finished,
            }),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Engine panics are caught inside; a poisoned lock has nothing inconsistent behind it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compressed bytes of a response from which on undoing that may take long.
const LONG_PIECE: usize = 4 * 1024;

/// The mode in which a site's requests are looked at, unless rules change it for one.
pub(super) fn mode(runtime: &SiteRuntime) -> Mode {
    runtime.config.mode.unwrap_or(runtime.ruleset.settings.mode)
}
