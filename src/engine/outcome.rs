//! The report at a transaction's end.

use super::buffers::Buffers;
use super::report::{AuditSettings, BodyRecord, Report, RequestRecord, ResponseRecord, Scores};
use super::transaction::Transaction;
use super::tx::TxValue;
use super::{AuditEngine, Decision};
use crate::ruleset::Slot;
use crate::variable::Variable as V;

impl Transaction {
    /// Everything that is left to tell. With `whole`, request and response are told whether or not they are to be
    /// audited.
    pub(super) fn into_report(mut self, final_status: u16, whole: bool) -> Report {
        let engine = AuditEngine::from(self.audit_engine);
        let relevant = &self.ruleset.settings.relevant_status;
        let relevant_status = relevant.as_ref().is_some_and(|r| r.matches(final_status))
            || self.events.iter().any(|event| event.kind.is_refusal());
        let audit = AuditSettings { engine, parts: self.audit_parts, relevant_status };
        let is_audited = whole || self.keeps_request || audit.wants(&self.hits);
        let request = if is_audited { self.request_record() } else { RequestRecord::default() };
        let request = RequestRecord { body: self.request_body_record(audit, is_audited, whole), ..request };
        let response = self.has_response.then(|| {
            let response = if is_audited { self.response_record() } else { ResponseRecord::default() };
            let body = self.response_body_record(audit, is_audited);
            ResponseRecord { status: self.response_status, body, ..response }
        });
        let slots = self.ruleset.score_slots;
        let first = |names: [Option<Slot>; 2]| {
            names
                .into_iter()
                .flatten()
                .map(|s| self.tx.get(s))
                .find(|v| v.is_set())
                .map_or(0, TxValue::number)
        };
        let scores = Scores {
            inbound: first(slots.inbound),
            outbound: first(slots.outbound),
            inbound_threshold: first([slots.inbound_threshold, None]),
            outbound_threshold: first([slots.outbound_threshold, None]),
        };
        let decision = self.interruption.take().map_or(Decision::Pass, Decision::Interrupt);
        let report = Report {
            id: std::mem::take(&mut self.id),
            started: self.started,
            client: self.client,
            server: self.server,
            request,
            response,
            mode: self.mode,
            decision,
            suppressed: self.suppressed.take(),
            scores,
            rules: std::mem::take(&mut self.hits),
            events: std::mem::take(&mut self.events),
            audit,
            sanitised: std::mem::take(&mut self.sanitised),
            costs: self.costs.take(),
            shadow: None,
        };
        self.into_buffers().give_back();
        report
    }

    fn into_buffers(self) -> Buffers {
        Buffers {
            values: self.values,
            scalars: self.scalars,
            collections: self.collections,
            tx: self.tx,
            kept_targets: self.kept_targets,
            lane_values: self.lane_values,
            loose_values: self.loose_values,
            sieve: self.sieve,
            sieved_values: self.sieved_values,
            matched: self.matched,
            rule_matches: self.rule_matches,
            found: self.found,
            scratch: self.scratch,
        }
    }

    fn request_record(&mut self) -> RequestRecord {
        RequestRecord {
            method: self.scalar_bytes(V::RequestMethod),
            uri: self.scalar_bytes(V::RequestUriRaw),
            protocol: self.scalar_bytes(V::RequestProtocol),
            headers: self.pairs(V::RequestHeaders),
            body: BodyRecord::default(),
            arguments: [V::ArgsPath, V::ArgsGet, V::ArgsPost]
                .into_iter()
                .flat_map(|v| self.pairs(v))
                .collect(),
            files: std::mem::take(&mut self.request_body.files),
        }
    }

    fn request_body_record(&mut self, audit: AuditSettings, is_audited: bool, whole: bool) -> BodyRecord {
        let is_shown = whole || is_audited && (audit.parts.has(b'C') || audit.parts.has(b'I'));
        BodyRecord {
            bytes: if is_shown { self.request_body.take_bytes() } else { Vec::new() },
            inspected: self.request_body.received,
            truncated: self.request_body.truncated,
        }
    }

    fn response_record(&mut self) -> ResponseRecord {
        ResponseRecord {
            protocol: self.scalar_bytes(V::ResponseProtocol),
            headers: self.pairs(V::ResponseHeaders),
            ..ResponseRecord::default()
        }
    }

    fn response_body_record(&mut self, audit: AuditSettings, is_audited: bool) -> BodyRecord {
        let is_shown = is_audited && audit.parts.has(b'E');
        BodyRecord {
            bytes: if is_shown { self.response_body.take_bytes() } else { Vec::new() },
            inspected: self.response_body.received,
            truncated: self.response_body.truncated,
        }
    }

    fn scalar_bytes(&self, variable: V) -> Vec<u8> {
        self.values.get(self.scalars[variable as usize]).to_vec()
    }

    fn pairs(&self, variable: V) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.collections[variable as usize]
            .iter()
            .map(|m| (self.values.get(m.name).to_vec(), self.values.get(m.value).to_vec()))
            .collect()
    }
}
