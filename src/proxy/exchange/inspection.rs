//! Calls into the engine: each is timed, a panic in it is caught and ends the transaction, and what it says becomes a step.

use super::super::answer::{Shortage, Trouble};
use super::chance::is_one_in;
use super::serving::{Exchange, Step};
use super::shared::Arrival;
use crate::config::Failure;
use crate::engine::{BodyStep, Decision, EventKind, Options, Transaction};
use crate::http::Fault;
use crate::ruleset::Mode;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

impl Exchange {
    pub(super) fn feed_head(&self) {
        let Some(runtime) = self.runtime() else { return };
        let options =
            Options { id: self.id.clone(), mode: runtime.config.mode, world: Arc::clone(&self.shared.world) };
        let head = &self.arrival.head;
        let fed = catch_unwind(AssertUnwindSafe(|| {
            let mut transaction = Box::new(Transaction::new(Arc::clone(&runtime.ruleset), options));
            if is_one_in(self.generation.config.metrics.rule_costs, &self.id) {
                transaction.measure_rules();
            }
            show_head(&mut transaction, &self.arrival, self.client.address);
            for fault in head.faults.iter().filter(|fault| hides_what_came(**fault)) {
                let detail = format!("{}: {}", fault.name(), fault.sentence());
                transaction.note(EventKind::NormalisedRequest, &detail);
            }
            transaction
        }));
        let mut state = self.state();
        state.stillborn = fed.is_err();
        state.transaction = fed.ok();
    }

    /// [`Self::decide`] on so many bytes, those of the body that has been held among them.
    pub(super) async fn decide_on_body(
        self: &Arc<Self>,
        phase: usize,
        bytes: u64,
        call: fn(&mut Transaction) -> Decision,
    ) -> Step {
        let is_news = {
            let mut state = self.state();
            let arrived = state.arrived;
            std::mem::replace(&mut state.looked_at, arrived) < arrived
        };
        let step = self.decide_on(phase, bytes, call).await;
        if is_news && step == Step::Pass && !self.account() {
            return Step::Stop(self.short_of_bytes());
        }
        step
    }

    /// How many bytes phase 2 looks at, those of the head included: arguments of the query, cookies and fields are looked at
    /// in that phase as well, and mostly in it. A short body is parsed for this, as only then it is known what it unfolds to.
    ///
    /// # Errors
    ///
    /// The engine's failure.
    pub(super) fn weigh_request(&self) -> Result<u64, Failure> {
        let head = self.head_bytes();
        if self.state().arrived == 0 {
            return Ok(head);
        }
        let pace = self.shared.aside.pace();
        let text = self.guarded(2, |transaction| {
            if !pace.is_long(head.saturating_add(transaction.request_text())) {
                transaction.end_request_body();
            }
            transaction.request_text()
        })?;
        Ok(head.saturating_add(text.unwrap_or(0)))
    }

    /// [`Self::decide`] on so many bytes; on a thread of its own when that takes long.
    pub(super) async fn decide_on(
        self: &Arc<Self>,
        phase: usize,
        bytes: u64,
        call: fn(&mut Transaction) -> Decision,
    ) -> Step {
        let pace = self.shared.aside.pace();
        pace.serve(self.generation.number);
        if !pace.is_long(bytes) {
            return pace.watch(bytes, || self.decide(phase, call));
        }
        let exchange = Arc::clone(self);
        self.beside(move || exchange.shared.aside.pace().watch(bytes, || exchange.decide(phase, call))).await
    }

    /// Takes from the allowance what is held of the bodies by now: as they came, for the upstream or the client, and what
    /// was made of them. `false` when it is used up.
    pub(super) fn account(&self) -> bool {
        let limit = self.generation.config.client.held_bytes;
        let mut state = self.state();
        let made = state.transaction.as_ref().map_or(0, |transaction| transaction.held_bytes());
        let held = state.arrived.saturating_add(u64::try_from(made).unwrap_or(u64::MAX));
        state.held.resize(held, limit)
    }

    /// The allowance for bodies is used up. What was made of this one is let go at once.
    pub(super) fn short_of_bytes(&self) -> Trouble {
        self.state().transaction = None;
        self.overloaded(Shortage::HeldBytes)
    }

    /// Runs `call`, which decides. A transaction that is gone has had its failure answered already.
    pub(super) fn decide(&self, phase: usize, call: impl FnOnce(&mut Transaction) -> Decision) -> Step {
        match self.guarded(phase, call) {
            Ok(Some(Decision::Interrupt(interruption))) => Step::Stop(Trouble::Blocked(interruption)),
            Ok(Some(Decision::Pass)) => self.uncertain(phase).map_or(Step::Pass, Step::Stop),
            Ok(None) if std::mem::take(&mut self.state().stillborn) => {
                Step::Stop(Trouble::Inner(Failure::Internal))
            }
            Ok(None) => Step::Pass,
            Err(failure) => Step::Stop(Trouble::Inner(failure)),
        }
    }

    pub(super) fn body(
        &self,
        phase: usize,
        chunk: &[u8],
        call: impl FnOnce(&mut Transaction, &[u8]) -> BodyStep,
    ) -> Step {
        {
            let mut state = self.state();
            if !state.held.grow(chunk.len(), self.generation.config.client.held_bytes) {
                drop(state);
                return Step::Stop(self.short_of_bytes());
            }
            state.arrived += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        }
        let step = self.guarded(phase, |transaction| call(transaction, chunk));
        if self.is_taped
            && let Some(tape) = &mut self.state().tape
        {
            tape.take(phase, chunk);
            if !matches!(step, Ok(Some(BodyStep::Continue))) {
                tape.note_body(phase, true);
            }
        }
        match step {
            Ok(Some(BodyStep::Interrupt(interruption))) => Step::Stop(Trouble::Blocked(interruption)),
            Ok(Some(BodyStep::LimitReached)) => Step::LimitReached,
            Ok(Some(BodyStep::Continue)) if !self.account() => Step::Stop(self.short_of_bytes()),
            Ok(Some(BodyStep::Continue)) => Step::Pass,
            // Nobody inspects any more, so nothing need be held.
            Ok(None) => Step::LimitReached,
            Err(failure) => Step::Stop(Trouble::Inner(failure)),
        }
    }

    /// What the engine noticed since the last phase that makes its word worth less than it seems. Only in mode
    /// `On`: where nothing may be refused, the events tell enough.
    fn uncertain(&self, phase: usize) -> Option<Trouble> {
        let mut state = self.state();
        let seen = state.events_seen;
        let transaction = state.transaction.as_ref()?;
        let events = transaction.events().get(seen..).unwrap_or_default();
        let is_on = transaction.mode() == Mode::On;
        let failure = events.iter().find_map(|event| match event.kind {
            EventKind::OperatorLimit => Some(Failure::OperatorLimit),
            EventKind::ContentCoding if phase == 4 => Some(Failure::ResponseUninspectable),
            EventKind::ResponsePartial => Some(Failure::ResponseUninspectable),
            _ => None,
        });
        state.events_seen = seen + events.len();
        failure.filter(|_| is_on).map(Trouble::Inner)
    }

    pub(super) fn ask(&self, question: impl FnOnce(&Transaction) -> bool) -> bool {
        matches!(self.guarded(0, |transaction| question(transaction)), Ok(Some(true)))
    }

    /// Calls the engine. `Ok(None)` when there is no transaction (any more).
    pub(super) fn guarded<T>(
        &self,
        phase: usize,
        call: impl FnOnce(&mut Transaction) -> T,
    ) -> Result<Option<T>, Failure> {
        let mut state = self.state();
        let Some(transaction) = state.transaction.as_mut() else { return Ok(None) };
        let started = (phase > 0).then(Instant::now);
        let result = catch_unwind(AssertUnwindSafe(|| call(transaction)));
        if let Some(started) = started
            && let Some(time) = state.inspection.get_mut(phase - 1)
        {
            *time += started.elapsed();
        }
        match result {
            Ok(value) => Ok(Some(value)),
            Err(_) => {
                // It may be in any state; nothing of it is used again. Forgetting a panic's payload is safe:
                // the panic hook has logged its message.
                state.transaction = None;
                Err(Failure::Internal)
            }
        }
    }
}

/// Feeds a transaction everything that phase 1 needs.
pub(in crate::proxy) fn show_head(transaction: &mut Transaction, arrival: &Arrival, client: SocketAddr) {
    let head = &arrival.head;
    transaction.process_connection(client, arrival.server);
    if let Some(tls) = &arrival.tls {
        transaction.set_environment(Arc::clone(&tls.environment));
    }
    transaction.process_uri(&head.method, &head.target, &head.protocol);
    // Behind it, as it makes a line of its own from its parts.
    if !head.line.is_empty() {
        transaction.set_request_line(&head.line);
    }
    for (name, value) in &head.headers {
        transaction.add_request_header(name, value);
    }
}

/// Whether rules are shown something else than what came, so that the record has to tell.
fn hides_what_came(fault: Fault) -> bool {
    matches!(fault, Fault::ContentTypeJoined | Fault::ContentLengthDropped)
}
