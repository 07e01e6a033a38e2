//! The transaction: what the caller feeds, and what it gets back.

use super::buffers::Buffers;
use super::lanes::{KeptTarget, Matched, RemovedTarget};
use super::persistent::Persistent;
use super::request_body::RequestBody;
use super::response_body::ResponseBody;
use super::sieve::Sieve;
use super::tx::Tx;
use super::values::{ValueId, Values};
use super::{BodyStep, Costs, Decision, Event, EventKind, Interruption, Report, RuleHit, Sanitised, World};
use crate::limits;
use crate::operator::Found;
use crate::ruleset::{Allow, AuditMode, Mode, RuleIndex, Ruleset};
use crate::variable::Variable;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

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

/// One request and its response. Feed it in the order of the methods; each phase runs at most once, and a phase
/// that is called after an interruption decides nothing new.
pub struct Transaction {
    pub(super) ruleset: Arc<Ruleset>,
    pub(super) world: Arc<dyn World>,
    pub(super) id: String,
    pub(super) started: SystemTime,
    pub(super) mode: Mode,
    pub(super) phase: u8,

    pub(super) client: Option<SocketAddr>,
    pub(super) server: Option<SocketAddr>,

    pub(super) values: Values,
    pub(super) scalars: Vec<ValueId>,
    pub(super) collections: Vec<Vec<Member>>,
    pub(super) tx: Tx,
    pub(super) persistent: Persistent,
    pub(super) geo: Vec<(&'static str, String)>,
    pub(super) env: Vec<(Vec<u8>, Vec<u8>)>,
    /// What the caller tells of the connection, for `ENV`.
    pub(super) environment: Option<Arc<[(&'static str, String)]>>,

    pub(super) kept_targets: Vec<KeptTarget>,
    /// What tells targets gathered now from those gathered before.
    pub(super) target_time: u32,
    /// Values of all targets gathered in this phase; [`KeptTarget`]s are ranges of it.
    pub(super) lane_values: Vec<super::lanes::LaneValue>,
    /// Values that belong to the rule being evaluated.
    pub(super) loose_values: Vec<super::lanes::LaneValue>,
    pub(super) sieve: Sieve,
    /// Values that were sieved last.
    pub(super) sieved_values: Vec<ValueId>,

    /// What matched in the link being evaluated, or in the last one that was.
    pub(super) matched: Vec<Matched>,
    /// What matched in all links of the rule being evaluated, bounded.
    pub(super) rule_matches: Vec<Matched>,
    pub(super) found: Found,
    pub(super) prefilters: bool,
    pub(super) verdicts: bool,
    pub(super) scratch: Vec<u8>,
    pub(super) current_rule: Option<RuleIndex>,

    /// Rules that `ctl` removed, a bit each; empty until one is.
    pub(super) removed: Vec<u64>,
    pub(super) removed_targets: Vec<RemovedTarget>,
    /// Whether any of them is of `TX`.
    pub(super) tx_removed: bool,

    pub(super) request_body: RequestBody,
    pub(super) response_body: ResponseBody,

    pub(super) allow: Option<Allow>,
    pub(super) allowed_by: Option<RuleIndex>,
    pub(super) interruption: Option<Interruption>,
    pub(super) suppressed: Option<Interruption>,
    pub(super) highest_severity: u8,
    pub(super) pcre_limit_exceeded: bool,
    /// An operator asked last reached a limit and does not know.
    pub(super) gave_up: bool,
    pub(super) audit_engine: AuditMode,
    pub(super) audit_parts: super::AuditParts,
    pub(super) response_status: u16,
    pub(super) has_response: bool,

    pub(super) hits: Vec<RuleHit>,
    pub(super) events: Vec<Event>,
    pub(super) sanitised: Sanitised,
    /// The request is to be in the report, whether the ruleset wants it recorded or not.
    pub(super) keeps_request: bool,
    /// There when the cost of rules is measured.
    pub(super) costs: Option<Box<Costs>>,
    /// What is traced; none when nothing is.
    pub(super) trace: Option<Box<super::trace::Trace>>,
}

/// A member of a collection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// Its name as received.
    pub(super) name: ValueId,
    /// Its value.
    pub(super) value: ValueId,
}

impl Transaction {
    /// A transaction under `ruleset`.
    pub fn new(ruleset: Arc<Ruleset>, options: Options) -> Self {
        let settings = &ruleset.settings;
        let buffers = Buffers::take(&ruleset);
        let mut transaction = Self {
            started: options.world.now(),
            mode: options.mode.unwrap_or(settings.mode),
            phase: 0,
            client: None,
            server: None,
            values: buffers.values,
            scalars: buffers.scalars,
            collections: buffers.collections,
            tx: buffers.tx,
            persistent: Persistent::default(),
            geo: Vec::new(),
            env: Vec::new(),
            environment: None,
            kept_targets: buffers.kept_targets,
            target_time: 0,
            lane_values: buffers.lane_values,
            loose_values: buffers.loose_values,
            sieve: buffers.sieve,
            sieved_values: buffers.sieved_values,
            matched: buffers.matched,
            rule_matches: buffers.rule_matches,
            found: buffers.found,
            prefilters: true,
            verdicts: true,
            scratch: buffers.scratch,
            current_rule: None,
            removed: Vec::new(),
            removed_targets: Vec::new(),
            tx_removed: false,
            request_body: RequestBody::new(settings),
            response_body: ResponseBody::new(settings),
            allow: None,
            allowed_by: None,
            interruption: None,
            suppressed: None,
            highest_severity: 255,
            pcre_limit_exceeded: false,
            gave_up: false,
            audit_engine: settings.audit_engine,
            audit_parts: super::AuditParts::of(&settings.audit_parts),
            response_status: 0,
            has_response: false,
            hits: Vec::new(),
            events: Vec::new(),
            sanitised: Sanitised::default(),
            keeps_request: false,
            costs: None,
            trace: None,
            world: options.world,
            id: options.id,
            ruleset,
        };
        transaction.prepare();
        transaction
    }

    /// The transaction's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Names and values that `ENV` has for all requests of a connection, such as `SSL_CLIENT_S_DN`; `setenv` may cover
    /// them. Costs nothing until a rule asks.
    pub fn set_environment(&mut self, environment: Arc<[(&'static str, String)]>) {
        self.environment = Some(environment);
    }

    /// Switches prefilters off (they are on). They change what a transaction costs and nothing else; tests compare.
    pub fn set_prefilters(&mut self, on: bool) {
        self.prefilters = on;
    }

    /// Switches off that what came of a value is remembered for other transactions (it is), and that what is known is
    /// made use of. It changes what a transaction costs and nothing else.
    pub fn set_verdicts(&mut self, on: bool) {
        self.verdicts = on;
    }

    /// Switches off that gathered targets and transformed values are kept (they are): every rule then gathers and
    /// transforms its values by itself, as if the arena were full. It changes what a transaction costs and nothing
    /// else; it is there so that tests can compare.
    pub fn set_memo(&mut self, on: bool) {
        self.values.keeps = on;
    }

    /// Has the request in the report even when the ruleset does not want the transaction recorded, so that what the report
    /// quotes of it can be redacted.
    pub fn keep_request(&mut self) {
        self.keeps_request = true;
    }

    /// Has what each rule costs in the report, by the [`World::ticks`] that pass. A transaction of which nobody asks that
    /// does nothing for it.
    pub fn measure_rules(&mut self) {
        self.costs = Some(Box::default());
    }

    /// The mode now in force; `ctl:ruleEngine` may change it.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Runs phase 1. All of the request's head must have been fed.
    pub fn process_request_headers(&mut self) -> Decision {
        self.finish_request_head();
        self.run_phase(1)
    }

    /// Whether the request body is to be fed. When it is not, go on with [`Self::process_request_body`], which
    /// runs phase 2 in any case.
    pub fn request_body_wanted(&self) -> bool {
        self.mode != Mode::Off && self.request_body.wanted() && self.interruption.is_none()
    }

    /// Bytes that are held of both bodies, roughly: what they inflated to, what parsers made of them, and what stands in
    /// variables and in their transformations, those of the heads included.
    pub fn held_bytes(&self) -> usize {
        self.request_body.held() + self.response_body.held() + self.values.used()
    }

    /// The next bytes of the request body, as received: a content coding is undone here.
    pub fn append_request_body(&mut self, chunk: &[u8]) -> BodyStep {
        self.feed_request_body(chunk)
    }

    /// Ends the request body: what has been fed is parsed. Phase 2 begins with this; whoever does it before learns from
    /// [`Self::request_text`] how much that phase will look at.
    pub fn end_request_body(&mut self) {
        if self.mode != Mode::Off
            && let Some(interruption) = self.finish_request_body()
        {
            self.request_body.refused = Some(interruption);
        }
    }

    /// Bytes of the request body that phase 2 looks at, as far as it has come: without its content coding and without files
    /// that no rule looks into, or what was made of it at its end, if that is more.
    pub fn request_text(&self) -> u64 {
        self.request_body.text()
    }

    /// Runs phase 2, on what has been fed of the body.
    pub fn process_request_body(&mut self) -> Decision {
        self.end_request_body();
        match self.request_body.refused.take() {
            Some(interruption) => self.decide(interruption),
            None => self.run_phase(2),
        }
    }

    /// Runs phase 3. All response headers must have been fed.
    pub fn process_response_headers(&mut self, status: u16, protocol: &[u8]) -> Decision {
        self.finish_response_head(status, protocol);
        if !self.has_byte_ranges() {
            self.judge_partial_response();
        }
        self.run_phase(3)
    }

    /// Whether the response body is to be held back and fed.
    pub fn response_body_wanted(&self) -> bool {
        self.mode != Mode::Off
            && self.interruption.is_none()
            && self.allow != Some(Allow::All)
            && self.is_response_inspected()
    }

    /// The next bytes of the response body, as received: a content coding is undone here.
    pub fn append_response_body(&mut self, chunk: &[u8]) -> BodyStep {
        self.feed_response_body(chunk)
    }

    /// Bytes of the response body that phase 4 looks at, as far as it has come, without its content coding.
    pub fn response_text(&self) -> u64 {
        self.response_body.text()
    }

    /// Runs phase 4, on what has been fed of the body.
    pub fn process_response_body(&mut self) -> Decision {
        if self.mode == Mode::Off {
            return self.run_phase(4);
        }
        if let Some(interruption) = self.finish_response_body() {
            return Decision::Interrupt(interruption);
        }
        // Phase 4 is about the inflated body, and rules that leave compressed ones alone (CRS has them, for engines that
        // do not inflate) must not leave this one alone.
        let headers = self.response_body.is_inflated().then(|| self.without_content_encoding());
        let decision = self.run_phase(4);
        if let Some(headers) = headers {
            self.collections[Variable::ResponseHeaders as usize] = headers;
        }
        decision
    }

    /// Takes `Content-Encoding` out of `RESPONSE_HEADERS`, and gives what it was with it.
    fn without_content_encoding(&mut self) -> Vec<Member> {
        let all = std::mem::take(&mut self.collections[Variable::ResponseHeaders as usize]);
        let is_other = |m: &&Member| !self.values.get(m.name).eq_ignore_ascii_case(b"content-encoding");
        self.collections[Variable::ResponseHeaders as usize] = all.iter().filter(is_other).copied().collect();
        all
    }

    /// Records something that the caller noticed.
    pub fn note(&mut self, kind: EventKind, detail: &str) {
        if self.events.len() < limits::EVENTS_PER_TRANSACTION {
            self.events.push(Event { kind, phase: self.phase, detail: detail.to_owned() });
        }
    }

    /// A member of `TX`, by its name in any case; none when it is not set. Of `1` to `9`, what groups captured, it is there
    /// only where a rule may read it.
    pub fn tx(&self, name: &str) -> Option<Vec<u8>> {
        let value = self.tx.find(&self.ruleset.slots, name.as_bytes()).filter(|value| value.is_set())?;
        let mut text = Vec::new();
        value.append_to(&mut text);
        Some(text)
    }

    /// What has been noticed so far, for a caller to whom some of it is a failure that it must act on at once.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Runs phase 5 and gives all that there is to report. `final_status` is what the client was answered, 0
    /// when nothing was.
    pub fn process_logging(mut self, final_status: u16) -> Report {
        // Logging runs whatever was decided before it, and can disrupt nothing any more.
        let _ = self.run_phase(5);
        self.into_report(final_status, false)
    }

    /// What an interruption of the engine's own (a limit, not a rule) means under the present mode.
    pub(super) fn decide(&mut self, interruption: Interruption) -> Decision {
        if self.mode == Mode::On {
            self.interruption.get_or_insert_with(|| interruption.clone());
            Decision::Interrupt(interruption)
        } else {
            self.suppressed.get_or_insert(interruption);
            Decision::Pass
        }
    }
}
