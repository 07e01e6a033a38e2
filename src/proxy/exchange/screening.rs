//! A request before admission: what access rules, rate limits and bans say of it, and what it adds to its client's score.

use super::super::answer::Trouble;
use super::super::{bare, routing};
use super::serving::{Exchange, Step, mode};
use crate::admission::{Control, Ruling, Score, Subject};
use crate::config::RateLimit;
use crate::engine::{Decision, Report};

impl Exchange {
    /// Bans, access rules, and the rate limits whose key is known before rules run.
    pub(in crate::proxy) async fn screen(&self) -> Step {
        let Some(runtime) = self.runtime() else { return Step::Pass };
        let admission = &self.shared.admission;
        let (config, site) = (&self.generation.config, &runtime.config);
        if !admission.is_concerned(config, site) {
            return Step::Pass;
        }
        let visit = admission.look(config, site, mode(runtime), &self.subject(), self.began_at);
        self.obey(admission.settle(visit).await)
    }

    /// The rate limits whose key rules have set.
    pub(in crate::proxy) async fn screen_by_rules(&self) -> Step {
        let Some(runtime) = self.runtime() else { return Step::Pass };
        let site = &runtime.config;
        if !site.rate_limits.iter().any(RateLimit::is_late) {
            return Step::Pass;
        }
        let variable = |name: &str| self.guarded(0, |transaction| transaction.tx(name)).ok()??;
        let admission = &self.shared.admission;
        let visit = admission.look_again(site, mode(runtime), &self.subject(), &variable);
        self.obey(admission.settle(visit).await)
    }

    /// This request as access rules and rate limits see it.
    fn subject(&self) -> Subject<'_> {
        let head = &self.arrival.head;
        Subject::new(head, routing::host(head), routing::path(head), self.client.address.ip())
    }

    /// Remembers what was said, and stops at what is carried out.
    fn obey(&self, rulings: Vec<Ruling>) -> Step {
        let stop = rulings.iter().find(|ruling| ruling.enforced).map(|ruling| Trouble::TurnedAway {
            control: ruling.control,
            status: ruling.status,
            retry_after: ruling.retry_after,
        });
        for ruling in &rulings {
            self.note(bare::event_of(ruling.control), &ruling.sentence());
        }
        if !rulings.is_empty() {
            self.state().rulings.extend(rulings);
        }
        stop.map_or(Step::Pass, Step::Stop)
    }

    /// Adds this request to its client's score.
    pub(super) fn score(&self, report: &Report, rulings: &[Ruling]) {
        let Some(runtime) = self.runtime() else { return };
        if self.generation.config.bans.is_none() {
            return;
        }
        let refused = |control| rulings.iter().any(|r| r.control == control);
        let score = Score {
            blocked: report.decision != Decision::Pass || report.suppressed.is_some(),
            limited: refused(Control::RateLimit),
            anomaly: report.scores.inbound.saturating_add(report.scores.outbound),
        };
        if score != Score::default() {
            let (config, site) = (&self.generation.config, &runtime.config);
            let now = self.shared.world.now();
            self.shared.admission.score(config, site, mode(runtime), &self.subject(), score, now);
        }
    }
}
