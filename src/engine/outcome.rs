//! The report at a transaction's end.

use super::report::{AuditSettings, BodyRecord, Report, RequestRecord, ResponseRecord, Scores};
use super::transaction::Transaction;
use super::tx::TxValue;
use super::{AuditEngine, Decision};
use crate::ruleset::Slot;
use crate::variable::Variable as V;

impl Transaction {
    /// Everything that is left to tell.
    pub(super) fn into_report(mut self, final_status: u16) -> Report {
        let engine = AuditEngine::from(self.audit_engine);
        let relevant = &self.ruleset.settings.relevant_status;
        let relevant_status = relevant.as_ref().is_some_and(|r| r.matches(final_status));
        let audit = AuditSettings { engine, parts: self.audit_parts, relevant_status };
        let request = RequestRecord {
            method: self.scalar_bytes(V::RequestMethod),
            uri: self.scalar_bytes(V::RequestUriRaw),
            protocol: self.scalar_bytes(V::RequestProtocol),
            headers: self.pairs(V::RequestHeaders),
            body: BodyRecord {
                bytes: if audit.parts.has(b'C') || audit.parts.has(b'I') {
                    self.request_body.take_bytes()
                } else {
                    Vec::new()
                },
                inspected: self.request_body.received,
                truncated: self.request_body.truncated,
            },
            arguments: [V::ArgsPath, V::ArgsGet, V::ArgsPost]
                .into_iter()
                .flat_map(|v| self.pairs(v))
                .collect(),
            files: std::mem::take(&mut self.request_body.files),
        };
        let response = self.has_response.then(|| ResponseRecord {
            status: self.response_status,
            protocol: self.scalar_bytes(V::ResponseProtocol),
            headers: self.pairs(V::ResponseHeaders),
            body: BodyRecord {
                bytes: if audit.parts.has(b'E') { self.response_body.take_bytes() } else { Vec::new() },
                inspected: self.response_body.received,
                truncated: self.response_body.truncated,
            },
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
        Report {
            id: self.id,
            started: self.started,
            client: self.client,
            server: self.server,
            request,
            response,
            mode: self.mode,
            decision: self.interruption.map_or(Decision::Pass, Decision::Interrupt),
            suppressed: self.suppressed,
            scores,
            rules: self.hits,
            events: self.events,
            audit,
            sanitised: self.sanitised,
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
