//! The desk at which a request is asked for before its rules run.

use super::access::{self, is_enforced};
use super::bans::{Ban, BanList};
use super::joint;
use super::key;
use super::meter::{Meters, Place, Rate};
use super::request::{Reading, Subject};
use super::ruling::{Control, Ruling};
use crate::config::{BanCount, Bans, Checked, RateLimit, Site};
use crate::ruleset::Mode;
use crate::store::{self, SharedStore};
use crate::telemetry::SharedUse;
use ip_network::IpNetwork;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Everything that is remembered from one request to the next. Outlives generations.
pub struct Admission {
    meters: Meters,
    bans: Arc<BanList>,
    /// What other instances know too.
    shared: Option<Arc<SharedStore>>,
}

/// What a finished request adds to its client's score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Rules blocked it, or would have but for the mode.
    pub blocked: bool,
    /// A rate limit refused it.
    pub limited: bool,
    /// The anomaly scores of request and response together.
    pub anomaly: i64,
}

/// A request at the desk: what is known already, and which meters are to be asked.
#[derive(Debug, Default)]
pub struct Visit {
    rulings: Vec<Ruling>,
    charges: Vec<Charge>,
}

/// One request on one meter.
#[derive(Debug)]
struct Charge {
    place: Place,
    /// What the shared store calls the meter; empty without one.
    shared: String,
    rate: Rate,
    name: String,
    status: u16,
    enforced: bool,
}

impl Admission {
    /// A desk with room for `meters` keys of rate limits.
    pub fn new(meters: usize) -> Arc<Self> {
        Arc::new(Self { meters: Meters::new(meters), bans: Arc::default(), shared: None })
    }

    /// A desk that counts together with those of other instances, as long as the store is there.
    pub fn joint(meters: usize, shared: Arc<SharedStore>) -> Arc<Self> {
        let bans = Arc::<BanList>::default();
        let (store, list) = (Arc::clone(&shared), Arc::downgrade(&bans));
        shared.forever(async move {
            let mut seen = None;
            while let Some(list) = list.upgrade() {
                joint::exchange(&store, &list, &mut seen, SystemTime::now()).await;
                drop(list);
                tokio::time::sleep(joint::PULSE).await;
            }
        });
        Arc::new(Self { meters: Meters::new(meters), bans, shared: Some(shared) })
    }

    /// Whether there is anything to ask about requests for `site`.
    pub fn is_concerned(&self, config: &Checked, site: &Site) -> bool {
        !site.access.is_empty()
            || !site.rate_limits.is_empty()
            || config.bans.is_some() && !self.bans.is_empty()
    }

    /// Looks at a request before its rules run: bans, then access rules, then the rate limits whose key is known.
    /// `mode` is the site's.
    pub fn look(
        &self,
        config: &Checked,
        site: &Site,
        mode: Mode,
        subject: &Subject<'_>,
        now: SystemTime,
    ) -> Visit {
        let mut visit = Visit::default();
        if let Some(bans) = &config.bans {
            visit.rulings.extend(self.banned(bans, mode, subject, now));
        }
        if !visit.is_refused() {
            access::rule(&site.access, subject, mode, &mut visit.rulings);
        }
        if !visit.is_refused() {
            let early = site.rate_limits.iter().filter(|limit| !limit.is_late());
            visit.charges = self.charges(early, &site.name, mode, subject, &|_| None);
        }
        visit
    }

    /// Looks at the rate limits whose key rules have set; `variable` tells members of `TX`.
    pub fn look_again(
        &self,
        site: &Site,
        mode: Mode,
        subject: &Subject<'_>,
        variable: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Visit {
        let late = site.rate_limits.iter().filter(|limit| limit.is_late());
        Visit { rulings: Vec::new(), charges: self.charges(late, &site.name, mode, subject, variable) }
    }

    /// Asks the meters, in the order of the configuration, until one refuses; those before it have counted the request.
    /// Gives everything that was said.
    pub async fn settle(&self, visit: Visit) -> Vec<Ruling> {
        let Visit { mut rulings, charges } = visit;
        if charges.is_empty() {
            return rulings;
        }
        let now = self.meters.now();
        if let Some(shared) = &self.shared
            && shared.is_up()
        {
            let asked: Vec<store::Charge> = charges.iter().map(|c| c.asked(&self.meters, now)).collect();
            if let Some(answers) = shared.charge(&asked).await {
                for (charge, answer) in charges.into_iter().zip(answers) {
                    // Seen from when it was asked, so that this process never knows more than there is.
                    self.meters.raise(charge.place, now, answer.ahead);
                    if answer.wait > 0 {
                        rulings.push(charge.refusal(answer.wait));
                    }
                }
                return rulings;
            }
        } else if let Some(shared) = &self.shared {
            shared.passed_over(SharedUse::RateLimits);
        }
        for charge in charges {
            if let Err(wait) = self.meters.take(charge.place, charge.rate, now) {
                let enforced = charge.enforced;
                rulings.push(charge.refusal(wait));
                if enforced {
                    break;
                }
            }
        }
        rulings
    }

    /// Adds a finished request to its client's score; the client is banned when that reaches the threshold.
    pub fn score(
        &self,
        config: &Arc<Checked>,
        site: &Site,
        mode: Mode,
        subject: &Subject<'_>,
        score: Score,
        now: SystemTime,
    ) {
        let Some(bans) = &config.bans else { return };
        let limited = u64::from(bans.limited && score.limited);
        let points = limited
            + match bans.count {
                BanCount::Blocks => u64::from(score.blocked),
                BanCount::Anomaly => u64::try_from(score.anomaly).unwrap_or(0),
            };
        let Some(enforced) = is_enforced(bans.mode, mode) else { return };
        if points == 0 || subject.is_excepted(&bans.except, Reading::Any) {
            return;
        }
        let client = client(bans, subject.address);
        let straw = Straw { client, points, site: site.name.clone(), enforced };
        match &self.shared {
            Some(shared) if shared.is_up() => {
                let (store, list, config) = (Arc::clone(shared), Arc::clone(&self.bans), Arc::clone(config));
                shared.aside(async move {
                    let Some(bans) = &config.bans else { return };
                    let key = store.key("score", &client.to_string());
                    let threshold = u64::from(bans.threshold.get());
                    let reached = match store.score(&key, points, bans.period, threshold).await {
                        Some(reached) => reached,
                        None => list.score(client, points, bans, now),
                    };
                    if reached && let Some(ban) = straw.ban(&list, bans, now) {
                        joint::publish(&store, &ban).await;
                    }
                });
            }
            _ => {
                if self.bans.score(client, points, bans, now) {
                    straw.ban(&self.bans, bans, now);
                }
            }
        }
    }

    /// The bans.
    pub fn bans(&self) -> &BanList {
        &self.bans
    }

    /// Ends the ban of a client, and forgets earlier ones. A single address may lie anywhere in what is banned. Gives
    /// what was banned; none when nothing was.
    pub fn lift(&self, config: &Checked, client: IpNetwork, now: SystemTime) -> Option<IpNetwork> {
        let own = config.bans.as_ref().map(|bans| self::client(bans, client.network_address()));
        let clients = [Some(client), own].into_iter().flatten();
        let lifted = clients.filter_map(|client| self.bans.lift(&client, now)).next()?;
        let client = lifted.client;
        if let Some(shared) = &self.shared {
            let store = Arc::clone(shared);
            shared.aside(async move { joint::publish(&store, &lifted).await });
        }
        Some(client)
    }

    /// Meters that made room for others before they were at rest.
    pub fn evictions(&self) -> u64 {
        self.meters.evictions()
    }

    fn banned(&self, bans: &Bans, mode: Mode, subject: &Subject<'_>, now: SystemTime) -> Option<Ruling> {
        let is_on = is_enforced(bans.mode, mode)?;
        let ban = self.bans.find(&client(bans, subject.address), now)?;
        if subject.is_excepted(&bans.except, Reading::Any) {
            return None;
        }
        Some(Ruling {
            control: Control::Ban,
            name: "bans".to_owned(),
            status: bans.status,
            retry_after: ban.until.duration_since(now).ok(),
            enforced: is_on && ban.enforced,
        })
    }

    fn charges<'a>(
        &self,
        limits: impl Iterator<Item = &'a RateLimit>,
        site: &str,
        mode: Mode,
        subject: &Subject<'_>,
        variable: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Vec<Charge> {
        let mut all = Vec::new();
        for limit in limits {
            let Some(enforced) = is_enforced(limit.scope.mode, mode) else { continue };
            if !subject.is_within(&limit.scope, Reading::Any) {
                continue;
            }
            let Some(key) = key::of(limit, site, subject, variable) else { continue };
            let shared = self
                .shared
                .as_ref()
                .map(|store| store.key("limit", &format!("{site}:{}:{}", limit.name, store::digest(&key))));
            all.push(Charge {
                place: self.meters.place(&key),
                shared: shared.unwrap_or_default(),
                rate: rate(limit),
                name: limit.name.clone(),
                status: limit.status,
                enforced,
            });
        }
        all
    }
}

impl Visit {
    fn is_refused(&self) -> bool {
        self.rulings.iter().any(|ruling| ruling.enforced)
    }
}

/// What may be the last straw.
struct Straw {
    client: IpNetwork,
    points: u64,
    site: String,
    enforced: bool,
}

impl Straw {
    /// Bans the client, and tells the log; none when it is banned already.
    fn ban(&self, list: &BanList, settings: &Bans, now: SystemTime) -> Option<Ban> {
        let ban = list.ban(self.client, &self.site, self.enforced, settings, now)?;
        let (client, site, enforced) = (self.client, &self.site, self.enforced);
        let seconds = ban.until.duration_since(now).unwrap_or_default().as_secs();
        tracing::info!(%client, %site, number = ban.number, enforced, seconds, points = self.points, "banned");
        Some(ban)
    }
}

impl Charge {
    /// As the shared store is asked.
    fn asked(&self, meters: &Meters, now: u64) -> store::Charge {
        store::Charge {
            key: self.shared.clone(),
            interval: self.rate.interval,
            tolerance: self.rate.tolerance,
            ahead: meters.ahead(self.place, now),
            stops: self.enforced,
        }
    }

    fn refusal(self, wait: u64) -> Ruling {
        Ruling {
            control: Control::RateLimit,
            name: self.name,
            status: self.status,
            retry_after: Some(Duration::from_micros(wait)),
            enforced: self.enforced,
        }
    }
}

/// What is banned together with `address`.
fn client(bans: &Bans, address: IpAddr) -> IpNetwork {
    key::network(address, 32, bans.ipv6_prefix)
}

/// A limit as its meters take it.
fn rate(limit: &RateLimit) -> Rate {
    let period = u64::try_from(limit.period.as_micros()).unwrap_or(u64::MAX);
    let interval = (period / u64::from(limit.requests.get())).max(1);
    Rate { interval, tolerance: interval.saturating_mul(u64::from(limit.burst.get())) }
}
