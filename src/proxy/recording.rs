//! The observer of a real server: hands what happened on to metrics and audit log.

use super::answer::Trouble;
use super::observer::{Finished, Observer};
use crate::admission::Ruling;
use crate::config::{FailureOutcome, ListenAddress, Site};
use crate::engine::Report;
use crate::telemetry::{Completed, Mishap, Recorder, Tally, TurnedAway};
use std::time::Duration;

impl Observer for Recorder {
    fn finished(&self, finished: Finished) {
        self.answered(&finished);
        self.record(completed(finished));
    }

    fn answered(&self, finished: &Finished) {
        self.count(&Tally {
            site: finished.site.as_ref().map(|site| site.name.as_str()),
            report: &finished.report,
            turned_away: &turned_away(finished),
            status: finished.status,
            mishaps: &mishaps(finished),
            inspection: &finished.inspection,
            duration: finished.duration,
            request_bytes: finished.request_bytes,
            response_bytes: finished.response_bytes,
        });
    }

    fn settled(&self, finished: Finished) {
        let time = finished.shadow_time;
        let completed = completed(finished);
        self.count_shadow(&completed, time);
        self.record(completed);
    }

    fn shadow_dropped(&self, site: &Site, reason: &'static str) {
        self.metrics().shadow_dropped(&site.name, reason);
    }

    fn wants_line(&self, report: &Report) -> bool {
        Recorder::wants_line(self, report)
    }

    fn upstream_failed(&self, site: &Site, reason: &'static str) {
        self.metrics().of(&site.name).upstream_error(reason);
    }

    fn connections(&self, listener: &ListenAddress, more: i64) {
        self.metrics().connections(&listener.to_string(), more);
    }

    fn inspections_wait(&self, number: usize) {
        self.metrics().inspections_wait(number);
    }

    fn workers_late(&self, lag: Duration) {
        self.metrics().workers_late(lag);
    }

    fn connection_failed(&self, reason: &'static str) {
        self.metrics().connection_failed(reason);
    }
}

fn completed(finished: Finished) -> Completed {
    let is_recorded = finished.report.is_audited() || finished.report.is_told_by_shadow();
    Completed {
        mishaps: mishaps(&finished),
        turned_away: turned_away(&finished),
        site: finished.site.as_ref().map(|site| site.name.clone()),
        report: finished.report,
        status: finished.status,
        inspection: finished.inspection,
        duration: finished.duration,
        request_bytes: finished.request_bytes,
        response_bytes: finished.response_bytes,
        upstream: finished.upstream,
        // Only what is recorded tells it.
        generation: if is_recorded { finished.generation.hash.clone() } else { String::new() },
    }
}

fn mishaps(finished: &Finished) -> Vec<Mishap> {
    let site = finished.site.as_deref();
    finished.troubles.iter().filter_map(|(trouble, reason)| mishap(trouble, reason, site)).collect()
}

fn turned_away(finished: &Finished) -> Vec<TurnedAway> {
    let one = |ruling: &Ruling| TurnedAway {
        control: ruling.control.name(),
        rule: ruling.name.clone(),
        refused: ruling.enforced,
    };
    finished.rulings.iter().map(one).collect()
}

/// A trouble as telemetry names it; none for what the engine's report tells already.
fn mishap(trouble: &Trouble, reason: &'static str, site: Option<&Site>) -> Option<Mishap> {
    Some(match trouble {
        // Told of by itself.
        Trouble::Blocked(_) | Trouble::TurnedAway { .. } => return None,
        Trouble::Malformed(fault) => Mishap::Refused(fault.name()),
        Trouble::Unparsable => Mishap::Refused("unparsable"),
        Trouble::HeadLate
        | Trouble::Tunnel
        | Trouble::NoSite
        | Trouble::Unforwardable
        | Trouble::BodyMalformed
        | Trouble::BodyLate
        | Trouble::ResponseLate => Mishap::Refused(reason),
        Trouble::HeadCut | Trouble::ClientGone => Mishap::Gone,
        Trouble::Inner(failure) => {
            let open = site.is_some_and(|s| s.failure.outcome(*failure) == FailureOutcome::Open);
            Mishap::Inner { failure: failure.name(), open }
        }
        Trouble::Overloaded { shortage, open, .. } => {
            Mishap::Overloaded { shortage: shortage.name(), open: *open }
        }
        Trouble::Proxy => Mishap::Inner { failure: reason, open: false },
        Trouble::UpstreamName
        | Trouble::UpstreamRefused
        | Trouble::UpstreamConnectLate
        | Trouble::UpstreamTls
        | Trouble::UpstreamLate
        | Trouble::UpstreamBroken
        | Trouble::UpstreamFull => Mishap::Upstream(reason),
        Trouble::Maintenance { .. } | Trouble::Insecure { .. } => Mishap::Closed,
        Trouble::NoCertificate => Mishap::Refused(reason),
    })
}
