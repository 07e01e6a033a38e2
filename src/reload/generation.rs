//! One loaded configuration: sites and rulesets, numbered and hashed, swapped as a whole.

use crate::config::{Checked, Site, Upstream};
use crate::ruleset::Ruleset;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Where the current generation is found. A request takes it once (`load_full`) and keeps it to its end, so
/// that a reload changes nothing under a transaction's feet.
pub type Current = Arc<ArcSwap<Generation>>;

/// One loaded configuration.
#[derive(Debug)]
pub struct Generation {
    /// Counted from 1 since the process started; only accepted generations get a number.
    pub number: u64,
    /// Hash over everything that was read, in lower-case hex: equal hashes mean equal behaviour.
    pub hash: String,
    /// The configuration.
    pub config: Arc<Checked>,
    /// What runs each site, in the order of `config.sites`.
    pub sites: Vec<SiteRuntime>,
    /// When it was loaded.
    pub loaded_at: SystemTime,
}

impl Generation {
    /// The site that serves `host` (no port, any case) and `path` (normalised, without query).
    pub fn site_for(&self, host: &str, path: &str) -> Option<&SiteRuntime> {
        self.sites.get(self.config.site_for(host, path)?)
    }
}

/// A site at work.
#[derive(Debug)]
pub struct SiteRuntime {
    /// Its configuration.
    pub config: Arc<Site>,
    /// Its rules; sites with the same rule text share one.
    pub ruleset: Arc<Ruleset>,
    /// Its upstreams.
    pub upstreams: Balancer,
}

/// Chooses among a site's upstreams: smooth by weight, passing over those that failed to connect just now.
#[derive(Debug)]
pub struct Balancer {
    upstreams: Vec<Backend>,
    /// Indices into `upstreams`, each as often as its reduced weight says, interleaved.
    wheel: Vec<u16>,
    turn: AtomicU64,
    started: Instant,
}

/// One upstream at work.
#[derive(Debug)]
pub struct Backend {
    /// Its configuration.
    pub config: Upstream,
    /// Milliseconds after `Balancer::started` until which it is passed over.
    resting_until: AtomicU64,
}

impl Balancer {
    /// A balancer over `upstreams`, of which there is at least one in a checked configuration.
    pub fn new(upstreams: &[Upstream]) -> Self {
        let backend = |u: &Upstream| Backend { config: u.clone(), resting_until: AtomicU64::new(0) };
        Self {
            upstreams: upstreams.iter().map(backend).collect(),
            wheel: wheel(upstreams),
            turn: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    /// All upstreams in the order of the configuration.
    pub fn all(&self) -> &[Backend] {
        &self.upstreams
    }

    /// The next upstream that is not in `tried` (indices into [`Self::all`]) with its index. When all others
    /// rest after a failure, one of them is given all the same: a try costs less than a sure refusal. `None`
    /// when everything has been tried.
    pub fn pick(&self, tried: &[usize]) -> Option<(usize, &Backend)> {
        let now = self.now();
        let length = u64::try_from(self.wheel.len()).unwrap_or(u64::MAX).max(1);
        let start = usize::try_from(self.turn.fetch_add(1, Ordering::Relaxed) % length).unwrap_or(0);
        let mut resting = None;
        for slot in self.wheel.iter().cycle().skip(start).take(self.wheel.len()) {
            let index = usize::from(*slot);
            let Some(backend) = self.upstreams.get(index) else { continue };
            if tried.contains(&index) {
                continue;
            }
            if backend.resting_until.load(Ordering::Relaxed) <= now {
                return Some((index, backend));
            }
            resting.get_or_insert((index, backend));
        }
        resting
    }

    /// Reports that connecting to upstream `index` failed: it is passed over for [`REST`].
    pub fn failed(&self, index: usize) {
        if let Some(backend) = self.upstreams.get(index) {
            let until = self.now().saturating_add(millis(REST));
            backend.resting_until.store(until, Ordering::Relaxed);
        }
    }

    /// Reports that upstream `index` answered.
    pub fn succeeded(&self, index: usize) {
        if let Some(backend) = self.upstreams.get(index)
            && backend.resting_until.load(Ordering::Relaxed) != 0
        {
            backend.resting_until.store(0, Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        millis(self.started.elapsed()).max(1)
    }
}

/// How long an upstream is passed over after a failed connection.
pub const REST: Duration = Duration::from_secs(5);

/// Slots of a wheel at most; weights are scaled down to fit.
const WHEEL_SLOTS: u64 = 1_024;

/// The order of turns: smooth weighted round robin played through once, so that a heavy upstream's turns are
/// spread over the wheel instead of coming in a row.
fn wheel(upstreams: &[Upstream]) -> Vec<u16> {
    let weights: Vec<u64> = upstreams.iter().map(|u| u64::from(u.weight.get())).collect();
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let mut weights: Vec<u64> = weights.iter().map(|w| w / divisor).collect();
    let total: u64 = weights.iter().sum();
    if total > WHEEL_SLOTS {
        for weight in &mut weights {
            *weight = (*weight * WHEEL_SLOTS / total).max(1);
        }
    }
    let total: u64 = weights.iter().sum();
    let mut credit = vec![0_i64; weights.len()];
    let mut slots = Vec::new();
    for _ in 0..total {
        for (c, w) in credit.iter_mut().zip(&weights) {
            *c = c.saturating_add_unsigned(*w);
        }
        // The first of the richest, so that equal weights keep the file's order.
        let richest = (0..credit.len()).min_by_key(|&i| std::cmp::Reverse(credit[i]));
        let Some(richest) = richest else { break };
        credit[richest] = credit[richest].saturating_sub_unsigned(total);
        slots.push(u16::try_from(richest).unwrap_or(u16::MAX));
    }
    slots
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::UpstreamHttp2;
    use std::num::NonZeroU32;

    fn upstream(host: &str, weight: u32) -> Upstream {
        Upstream {
            url: format!("http://{host}"),
            host: host.to_owned(),
            port: 80,
            tls: None,
            http2: UpstreamHttp2::Never,
            weight: NonZeroU32::new(weight).expect("not zero"),
        }
    }

    fn picks(balancer: &Balancer, n: usize) -> String {
        (0..n).filter_map(|_| balancer.pick(&[])).map(|(_, b)| b.config.host.clone()).collect()
    }

    #[test]
    fn weights_are_shares_and_turns_are_spread() {
        let balancer = Balancer::new(&[upstream("a", 20), upstream("b", 10), upstream("c", 10)]);
        assert_eq!(picks(&balancer, 8), "abcaabca");
    }

    #[test]
    fn extreme_weights_leave_nobody_out() {
        let balancer = Balancer::new(&[upstream("a", 1_000_000_007), upstream("b", 1)]);
        assert!(balancer.wheel.len() <= 1_100);
        assert!(balancer.wheel.contains(&1));
    }

    #[test]
    fn a_failed_upstream_rests_unless_nothing_else_is_left() {
        let balancer = Balancer::new(&[upstream("a", 1), upstream("b", 1)]);
        balancer.failed(0);
        assert_eq!(picks(&balancer, 4), "bbbb");
        assert_eq!(balancer.pick(&[1]).map(|p| p.0), Some(0));
        assert!(balancer.pick(&[0, 1]).is_none());
        balancer.succeeded(0);
        assert!(picks(&balancer, 2).contains('a'));
    }
}
