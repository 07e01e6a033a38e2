//! The observer of a real server: hands what happened on to metrics and audit log.

use super::answer::Trouble;
use super::observer::{Finished, Observer};
use crate::config::{FailureOutcome, Site};
use crate::telemetry::{Completed, Mishap, Recorder};

impl Observer for Recorder {
    fn finished(&self, finished: Finished) {
        let mishaps = finished
            .troubles
            .iter()
            .filter_map(|(trouble, reason)| mishap(trouble, reason, finished.site.as_deref()));
        let completed = Completed {
            mishaps: mishaps.collect(),
            site: finished.site.as_ref().map(|site| site.name.clone()),
            report: finished.report,
            status: finished.status,
            inspection: finished.inspection,
            duration: finished.duration,
            request_bytes: finished.request_bytes,
            response_bytes: finished.response_bytes,
            upstream: finished.upstream,
        };
        Recorder::finished(self, completed);
    }

    fn upstream_failed(&self, site: &Site, reason: &'static str) {
        self.metrics().upstream_error(&site.name, reason);
    }

    fn connection_failed(&self, reason: &'static str) {
        self.metrics().connection_failed(reason);
    }
}

/// A trouble as telemetry names it; none for what the engine's report tells already.
fn mishap(trouble: &Trouble, reason: &'static str, site: Option<&Site>) -> Option<Mishap> {
    Some(match trouble {
        Trouble::Blocked(_) => return None,
        Trouble::Malformed(fault) => Mishap::Refused(fault.name()),
        Trouble::Unparsable => Mishap::Refused("unparsable"),
        Trouble::HeadLate
        | Trouble::Tunnel
        | Trouble::NoSite
        | Trouble::Unforwardable
        | Trouble::BodyMalformed
        | Trouble::BodyLate => Mishap::Refused(reason),
        Trouble::HeadCut | Trouble::ClientGone => Mishap::Gone,
        Trouble::Inner(failure) => {
            let open = site.is_some_and(|s| s.failure.outcome(*failure) == FailureOutcome::Open);
            Mishap::Inner { failure: failure.name(), open }
        }
        Trouble::Proxy => Mishap::Inner { failure: reason, open: false },
        Trouble::UpstreamName
        | Trouble::UpstreamRefused
        | Trouble::UpstreamConnectLate
        | Trouble::UpstreamTls
        | Trouble::UpstreamLate
        | Trouble::UpstreamBroken
        | Trouble::UpstreamFull => Mishap::Upstream(reason),
        Trouble::Maintenance { .. } => Mishap::Closed,
    })
}
