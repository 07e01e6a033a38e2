//! What a rule does once it matches: assignments at each match, the rest when its whole chain has matched.

use super::lanes::RemovedTarget;
use super::trace::Sum;
use super::transaction::Transaction;
use super::tx::{TxValue, parse_number};
use super::values::ValueId;
use super::{AuditParts, CollectionChange, Disruption, EventKind, Interruption, MatchedValue, RuleHit};
use crate::limits;
use crate::ruleset::{
    AuditMode, CollectionRef, Ctl, Disruptive, Mode, PartsChange, Rule, RuleAction, RuleIndex, Ruleset,
    Sanitise, SetOperation, SetTarget, SetVar, Template, TxName,
};
use crate::variable::Variable;
use std::sync::Arc;
use std::time::Duration;

impl Transaction {
    /// Carries out what a link does for each value that matches.
    pub(super) fn on_match(&mut self, ruleset: &Ruleset, rule: &Rule) {
        if !rule.set.is_empty() {
            // What an assignment of the same rule changes has to be open by then. A second opening says nothing.
            let opens =
                |a: &&RuleAction| matches!(a, RuleAction::InitCollection(..) | RuleAction::SetResource(..));
            for action in rule.actions.iter().filter(opens) {
                self.act(ruleset, action);
            }
        }
        for set in &rule.set {
            self.assign(ruleset, set);
        }
        for sanitise in &rule.sanitise {
            self.sanitise(sanitise);
        }
    }

    /// Carries out what a rule does once, its chain included; records the hit; decides.
    pub(super) fn finish_rule(&mut self, ruleset: &Ruleset, head: RuleIndex) {
        let mut link = Some(head);
        while let Some(index) = link {
            let rule = ruleset.rule(index);
            for (number, action) in rule.actions.iter().enumerate() {
                if let RuleAction::Ctl(Ctl::RemoveTarget(_, target)) = action {
                    self.tx_removed |= target.variable == Variable::Tx;
                    self.removed_targets.push(RemovedTarget { by: index, number });
                } else {
                    self.act(ruleset, action);
                }
            }
            link = rule.next;
        }
        let rule = ruleset.rule(head);
        if let Some(severity) = rule.meta.severity {
            self.highest_severity = self.highest_severity.min(severity);
        }
        let disruptive = self.disrupt(ruleset, head, rule);
        let hits = self.hits.len();
        if rule.meta.log || rule.meta.auditlog {
            self.record(ruleset, rule, disruptive);
        }
        if self.trace.is_some() {
            let hit = (self.hits.len() > hits).then_some(hits);
            let links = std::iter::successors(Some(head), |link| ruleset.rule(*link).next).count();
            self.trace_rule(links, true, hit, disruptive);
        }
    }

    fn assign(&mut self, ruleset: &Ruleset, set: &SetVar) {
        match &set.target {
            SetTarget::Tx(TxName::Slot(slot)) if self.is_pinned(*slot) => {}
            SetTarget::Tx(TxName::Slot(slot)) => match &set.operation {
                SetOperation::Unset => *self.tx.get_mut(*slot) = TxValue::Unset,
                SetOperation::Assign(template) => match template.number {
                    Some(number) => *self.tx.get_mut(*slot) = TxValue::Int(number),
                    None => {
                        let text = self.expand(ruleset, template);
                        self.tx.set_bytes(*slot, &text);
                        self.scratch = text;
                    }
                },
                SetOperation::Add(template) | SetOperation::Subtract(template) => {
                    let amount = self.amount(ruleset, template);
                    let old = self.tx.get(*slot).number();
                    let new = applied(&set.operation, old, amount);
                    *self.tx.get_mut(*slot) = TxValue::Int(new);
                    if self.trace.is_some() {
                        let from = match &*template.pieces {
                            [crate::ruleset::Piece::Slot(from)] => Some(*from),
                            _ => None,
                        };
                        self.trace_sum(Sum { slot: *slot, amount: new.saturating_sub(old), from });
                    }
                }
            },
            SetTarget::Tx(TxName::Dynamic(name)) => {
                let name = self.expanded(ruleset, name);
                let assigned = match &set.operation {
                    SetOperation::Unset => self.set_made_up(ruleset, name, TxValue::Unset),
                    SetOperation::Assign(template) => {
                        let text = self.expanded(ruleset, template);
                        let (name, text) = (self.values.get(name), self.values.get(text));
                        self.tx.set_text(&ruleset.slots, name, text, limits::TX_DYNAMIC_NAMES)
                    }
                    SetOperation::Add(template) | SetOperation::Subtract(template) => {
                        let amount = self.amount(ruleset, template);
                        let old =
                            self.tx.find(&ruleset.slots, self.values.get(name)).map_or(0, TxValue::number);
                        self.set_made_up(ruleset, name, TxValue::Int(applied(&set.operation, old, amount)))
                    }
                };
                if !assigned {
                    self.note(EventKind::RuleError, "more made-up names in TX than a transaction may have");
                }
            }
            SetTarget::Collection(collection, name) => {
                let name = String::from_utf8_lossy(&self.owned(ruleset, name)).to_ascii_lowercase();
                let change = match &set.operation {
                    SetOperation::Unset => CollectionChange::Unset(name),
                    SetOperation::Assign(template) => {
                        CollectionChange::Set(name, self.owned(ruleset, template))
                    }
                    SetOperation::Add(t) => CollectionChange::Add(name, self.amount(ruleset, t)),
                    SetOperation::Subtract(t) => {
                        CollectionChange::Add(name, self.amount(ruleset, t).saturating_neg())
                    }
                };
                self.change_collection(ruleset, *collection, change);
            }
        }
    }

    fn change_collection(&mut self, ruleset: &Ruleset, collection: CollectionRef, change: CollectionChange) {
        let world = Arc::clone(&self.world);
        let timeout = ruleset.settings.collection_timeout;
        if !self.persistent.change(collection.0, change, timeout, world.now(), &*world) {
            let name = collection.0.name();
            self.note(EventKind::RuleError, &format!("{name} was changed before initcol opened it"));
        }
    }

    /// Sets a member of `TX` whose name macros made up; whether there was room for it.
    fn set_made_up(&mut self, ruleset: &Ruleset, name: ValueId, new: TxValue) -> bool {
        let member = self.tx.find_mut(&ruleset.slots, self.values.get(name), limits::TX_DYNAMIC_NAMES);
        member.map(|member| *member = new).is_some()
    }

    /// Expands macros, into a value of the transaction's.
    fn expanded(&mut self, ruleset: &Ruleset, template: &Template) -> ValueId {
        let text = self.expand(ruleset, template);
        let value = self.values.push(&text);
        self.scratch = text;
        value
    }

    fn owned(&mut self, ruleset: &Ruleset, template: &Template) -> Vec<u8> {
        let text = self.expand(ruleset, template);
        let owned = text.clone();
        self.scratch = text;
        owned
    }

    fn amount(&mut self, ruleset: &Ruleset, template: &Template) -> i64 {
        if let [crate::ruleset::Piece::Slot(slot)] = &*template.pieces {
            return self.tx.get(*slot).number();
        }
        if let Some(number) = template.number {
            return number;
        }
        let text = self.expand(ruleset, template);
        let number = parse_number(&text);
        self.scratch = text;
        number
    }

    fn act(&mut self, ruleset: &Ruleset, action: &RuleAction) {
        match action {
            RuleAction::Ctl(ctl) => self.control(ctl),
            RuleAction::InitCollection(collection, key) => {
                let key = self.owned(ruleset, key);
                let world = Arc::clone(&self.world);
                self.persistent.open(collection.0, &ruleset.settings.web_app_id, &key, &*world);
            }
            RuleAction::SetResource(key) => {
                let key = self.owned(ruleset, key);
                let world = Arc::clone(&self.world);
                self.persistent.open(Variable::Resource, &ruleset.settings.web_app_id, &key, &*world);
            }
            RuleAction::Expire(target, seconds) => {
                let seconds = Duration::from_secs(self.amount(ruleset, seconds).max(0).unsigned_abs());
                match target {
                    SetTarget::Collection(collection, name) => {
                        let name = String::from_utf8_lossy(&self.owned(ruleset, name)).to_ascii_lowercase();
                        self.change_collection(ruleset, *collection, CollectionChange::Expire(name, seconds));
                    }
                    // A transaction ends before any of its variables could expire.
                    SetTarget::Tx(_) => {}
                }
            }
            RuleAction::Deprecate(target, amount, seconds) => {
                if let SetTarget::Collection(collection, name) = target {
                    let name = String::from_utf8_lossy(&self.owned(ruleset, name)).to_ascii_lowercase();
                    let change = CollectionChange::Deprecate(name, *amount, Duration::from_secs(*seconds));
                    self.change_collection(ruleset, *collection, change);
                }
            }
            RuleAction::SetEnv(name, value) => {
                let (name, value) = (self.owned(ruleset, name), self.owned(ruleset, value));
                self.env.retain(|(n, _)| *n != name);
                if self.env.len() < limits::TX_DYNAMIC_NAMES {
                    self.env.push((name, value));
                }
            }
        }
    }

    fn control(&mut self, ctl: &Ctl) {
        match ctl {
            Ctl::RuleEngine(mode) => self.mode = *mode,
            Ctl::AuditEngine(mode) => self.audit_engine = *mode,
            Ctl::AuditLogParts(change, letters) => {
                let parts = AuditParts::of(letters);
                self.audit_parts = match change {
                    PartsChange::Set => parts.with(AuditParts::of(b"AZ")),
                    PartsChange::Add => self.audit_parts.with(parts),
                    PartsChange::Remove => self.audit_parts.without(parts),
                };
            }
            Ctl::RequestBodyAccess(on) => self.request_body.access = *on,
            Ctl::RequestBodyLimit(limit) => self.request_body.limit = *limit,
            Ctl::ResponseBodyAccess(on) => self.response_body.access = *on,
            Ctl::ResponseBodyLimit(limit) => self.response_body.limit = *limit,
            Ctl::RequestBodyProcessor(processor) => {
                self.request_body.processor = Some(*processor);
                self.set(Variable::ReqbodyProcessor, processor.name().as_bytes());
            }
            Ctl::ResponseBodyProcessor(processor) => {
                self.set(Variable::ResBodyProcessor, processor.name().as_bytes());
            }
            Ctl::ForceRequestBodyVariable(on) => self.request_body.force_variable = *on,
            Ctl::ForceResponseBodyVariable(on) => self.response_body.force = *on,
            Ctl::ParseXmlIntoArgs(mode) => self.request_body.xml_into_args = *mode,
            Ctl::RemoveRules(rules) => {
                self.removed.resize(self.ruleset.rules.len().div_ceil(64), 0);
                for (removed, rules) in self.removed.iter_mut().zip(rules.words()) {
                    *removed |= rules;
                }
            }
            // Kept by reference, when the rule is finished.
            Ctl::RemoveTarget(..) => {}
        }
    }

    fn sanitise(&mut self, sanitise: &Sanitise) {
        match sanitise {
            Sanitise::Argument(name) => self.sanitised.arguments.push(name.to_vec()),
            Sanitise::RequestHeader(name) => self.sanitised.request_headers.push(name.to_ascii_lowercase()),
            Sanitise::ResponseHeader(name) => self.sanitised.response_headers.push(name.to_ascii_lowercase()),
            Sanitise::Matched => {
                let Some(at) = self.matched.last().map(|m| m.at) else { return };
                let name = self.values.get(at.name).to_ascii_lowercase();
                match at.variable {
                    Variable::Args | Variable::ArgsGet | Variable::ArgsPost => {
                        self.sanitised.arguments.push(name);
                    }
                    Variable::RequestHeaders => self.sanitised.request_headers.push(name),
                    Variable::ResponseHeaders => self.sanitised.response_headers.push(name),
                    _ => self.sanitised.values.push(self.values.get(at.raw).to_vec()),
                }
            }
            Sanitise::MatchedBytes { before, after } => {
                let Some(matched) = self.matched.last() else { return };
                let value = self.values.get(matched.value);
                let bytes = matched.range.clone().and_then(|r| value.get(r)).unwrap_or(value);
                let end = bytes.len().saturating_sub(*after);
                if let Some(hidden) = bytes.get(*before..end).filter(|h| !h.is_empty()) {
                    self.sanitised.values.push(hidden.to_vec());
                }
            }
        }
    }

    /// Carries out the disruptive action, as far as the mode permits; whether there was one.
    fn disrupt(&mut self, ruleset: &Ruleset, index: RuleIndex, rule: &Rule) -> bool {
        let Some(disruptive) = &rule.disruptive else { return false };
        let (disruption, default_status) = match disruptive {
            Disruptive::Pass => return false,
            Disruptive::Allow(scope) => {
                if self.mode == Mode::On {
                    self.allow = Some(*scope);
                    self.allowed_by = Some(index);
                }
                return false;
            }
            Disruptive::Deny => (Disruption::Deny, 403),
            Disruptive::Drop => (Disruption::Drop, 403),
            Disruptive::Redirect(url) => {
                let url = self.owned(ruleset, url);
                (Disruption::Redirect(safe_location(&url)), 302)
            }
        };
        let status = match (&disruption, rule.meta.status) {
            (Disruption::Redirect(_), Some(status)) if !matches!(status, 301 | 302 | 303 | 307 | 308) => 302,
            (_, status) => status.unwrap_or(default_status),
        };
        let interruption = Interruption { disruption, status, rule_id: rule.id, phase: self.phase };
        if self.mode == Mode::On && self.phase < 5 {
            self.interruption.get_or_insert(interruption);
        } else {
            self.suppressed.get_or_insert(interruption);
        }
        true
    }

    fn record(&mut self, ruleset: &Ruleset, rule: &Rule, disruptive: bool) {
        if self.hits.len() >= limits::HITS_PER_TRANSACTION {
            return;
        }
        let meta = &rule.meta;
        let message = String::from_utf8_lossy(&self.owned(ruleset, &meta.message)).into_owned();
        let text = self.expand_up_to(ruleset, &meta.data, limits::LOGDATA_BYTES);
        let data = text[..text.len().min(limits::LOGDATA_BYTES)].to_vec();
        self.scratch = text;
        let tags = if meta.dynamic_tags.is_empty() {
            Arc::clone(&meta.tags)
        } else {
            let mut tags = meta.tags.to_vec();
            for tag in &meta.dynamic_tags {
                tags.push(String::from_utf8_lossy(&self.owned(ruleset, tag)).into_owned());
            }
            tags.into()
        };
        let found = std::mem::take(&mut self.rule_matches);
        let matches = found
            .iter()
            .map(|m| {
                let decoded =
                    m.link.map(|link| self.decoded(ruleset, link, m.at, m.value)).unwrap_or_default();
                let value = self.values.get(m.value);
                let (value, range) = excerpt(value, m.range.clone());
                MatchedValue {
                    variable: String::from_utf8_lossy(&self.matched_name(&m.at)).into_owned(),
                    value,
                    range,
                    decoded,
                }
            })
            .collect();
        self.rule_matches = found;
        self.hits.push(RuleHit {
            id: rule.id,
            phase: self.phase,
            message,
            data,
            severity: meta.severity,
            tags,
            expanded_tags: meta.dynamic_tags.len(),
            version: meta.version.clone(),
            revision: meta.revision.clone(),
            maturity: meta.maturity,
            accuracy: meta.accuracy,
            matches,
            operator: Arc::clone(&meta.operator),
            file: Arc::clone(&meta.file),
            line: meta.line,
            log: meta.log,
            auditlog: meta.auditlog,
            disruptive,
        });
    }
}

/// At most [`limits::MATCH_VALUE_BYTES`] of `value`, around what matched.
fn excerpt(value: &[u8], range: Option<std::ops::Range<usize>>) -> (Vec<u8>, Option<std::ops::Range<usize>>) {
    let limit = limits::MATCH_VALUE_BYTES;
    if value.len() <= limit {
        return (value.to_vec(), range);
    }
    let start = match &range {
        Some(r) if r.end > limit => r.start.saturating_sub(limit / 4).min(value.len() - limit),
        _ => 0,
    };
    let cut = value[start..start + limit].to_vec();
    let range =
        range.map(|r| r.start.saturating_sub(start).min(limit)..r.end.saturating_sub(start).min(limit));
    (cut, range)
}

fn applied(operation: &SetOperation, old: i64, amount: i64) -> i64 {
    match operation {
        SetOperation::Subtract(_) => old.saturating_sub(amount),
        _ => old.saturating_add(amount),
    }
}

/// A redirect's URL with everything percent-encoded that could end the header or is not ASCII: macros may have
/// put the client's bytes into it.
fn safe_location(url: &[u8]) -> String {
    let mut out = String::with_capacity(url.len());
    for &b in url.iter().take(limits::LOCATION_BYTES) {
        if b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
        {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

impl From<AuditMode> for super::AuditEngine {
    fn from(mode: AuditMode) -> Self {
        match mode {
            AuditMode::On => Self::On,
            AuditMode::Off => Self::Off,
            AuditMode::RelevantOnly => Self::RelevantOnly,
        }
    }
}
