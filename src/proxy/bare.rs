//! Reports of requests that no engine has seen.

use super::answer::Trouble;
use super::exchange::Exchange;
use crate::admission::Control;
use crate::engine::{
    AuditEngine, AuditParts, AuditSettings, Decision, Event, EventKind, Report, RequestRecord, Sanitised,
    Scores,
};
use crate::reload::SiteRuntime;
use crate::ruleset::{AuditMode, Mode};

/// Whether a site's engine would look at nothing and its report not be recorded: it is off, and only requests in which
/// rules matched are for the audit log.
pub(super) fn is_enough(runtime: &SiteRuntime) -> bool {
    let settings = &runtime.ruleset.settings;
    let is_unrecorded = match settings.audit_engine {
        AuditMode::Off => true,
        AuditMode::RelevantOnly => settings.relevant_status.is_none(),
        AuditMode::On => false,
    };
    is_unrecorded && runtime.config.mode.unwrap_or(settings.mode) == Mode::Off
}

/// What an engine that is off reports, where [`is_enough`] says so.
pub(super) fn off(exchange: &Exchange, runtime: &SiteRuntime) -> Report {
    let settings = &runtime.ruleset.settings;
    Report {
        request: RequestRecord::default(),
        mode: Mode::Off,
        events: Vec::new(),
        audit: AuditSettings {
            engine: settings.audit_engine.into(),
            parts: AuditParts::of(&settings.audit_parts),
            relevant_status: false,
        },
        ..bare(exchange)
    }
}

/// What is known where the engine failed, or none serves the request.
pub(super) fn failed(exchange: &Exchange, troubles: &[(Trouble, &'static str)]) -> Report {
    let head = &exchange.arrival.head;
    let event = |(trouble, reason): &(Trouble, &'static str)| {
        let kind = match trouble {
            Trouble::Malformed(_) | Trouble::Unparsable | Trouble::BodyMalformed => {
                EventKind::MalformedRequest
            }
            Trouble::TurnedAway { control, .. } => event_of(*control),
            Trouble::Overloaded { .. } => EventKind::Overloaded,
            _ => EventKind::InternalError,
        };
        Event { kind, phase: 0, detail: format!("not inspected: {reason}") }
    };
    Report {
        request: RequestRecord {
            method: head.method.clone(),
            uri: head.target.clone(),
            protocol: head.protocol.clone(),
            headers: head.headers.clone(),
            ..RequestRecord::default()
        },
        events: troubles.iter().map(event).collect(),
        ..bare(exchange)
    }
}

/// The event that tells of a refusal by `control`.
pub(super) fn event_of(control: Control) -> EventKind {
    match control {
        Control::Access => EventKind::AccessDenied,
        Control::RateLimit => EventKind::RateLimited,
        Control::Ban => EventKind::Banned,
    }
}

fn bare(exchange: &Exchange) -> Report {
    Report {
        id: exchange.id.clone(),
        started: exchange.began_at,
        client: Some(exchange.client.address),
        server: Some(exchange.arrival.server),
        request: RequestRecord::default(),
        response: None,
        mode: exchange.site().and_then(|site| site.mode).unwrap_or(Mode::On),
        // No rule decided anything; what stopped the request is among the events.
        decision: Decision::Pass,
        suppressed: None,
        scores: Scores::default(),
        rules: Vec::new(),
        events: Vec::new(),
        audit: AuditSettings {
            engine: AuditEngine::RelevantOnly,
            parts: AuditParts::DEFAULT,
            relevant_status: true,
        },
        sanitised: Sanitised::default(),
        costs: None,
        shadow: None,
    }
}
