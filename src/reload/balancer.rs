//! Chooses among a site's upstreams, and knows how each of them is.
//!
//! What is known of an upstream (requests under way, failures, health) belongs to its address and outlives a reload:
//! the next generation's balancer takes it over from the one before. Choosing takes no lock.

use crate::config::{Balance, BalanceMethod, Site, Upstream};
use crate::telemetry::UpstreamFacts;
use sha1::{Digest, Sha1};
use smallvec::SmallVec;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// A site's upstreams at work.
#[derive(Debug)]
pub struct Balancer {
    backends: Vec<Backend>,
    /// Indices into `backends`, each as often as its reduced weight says, interleaved.
    wheel: Vec<u16>,
    turn: AtomicU64,
    config: Balance,
}

/// One upstream at work.
#[derive(Debug)]
pub struct Backend {
    /// Its configuration.
    pub config: Upstream,
    /// What it is called in cookies: the same in every process with the same configuration, and telling nothing.
    pub token: String,
    state: Arc<State>,
}

/// What is known of an upstream. Times are milliseconds since [`START`]; 0 is none.
#[derive(Debug, Default)]
struct State {
    active: AtomicU32,
    requests: AtomicU64,
    failures: AtomicU64,
    /// Failures in a row, and when the last one was.
    strikes: AtomicU32,
    struck_at: AtomicU64,
    resting_until: AtomicU64,
    /// Since when it is back, while it has not reached its full share.
    back_since: AtomicU64,
    is_down: AtomicBool,
    /// Checks in a row: well ones upwards, failed ones downwards.
    streak: AtomicI32,
    checked_at: AtomicU64,
    checks_passed: AtomicU64,
    checks_failed: AtomicU64,
}

/// A request that is under way at an upstream, until this is dropped.
#[derive(Debug)]
pub struct Lease(Arc<State>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// Upstreams (indices into [`Balancer::all`]) that have been tried.
    pub tried: &'a [usize],
    /// What is hashed, with [`BalanceMethod::Hash`].
    pub key: &'a [u8],
    /// The [`Backend::token`] that the client brought.
    pub token: Option<&'a [u8]>,
}

/// An upstream that was chosen.
#[derive(Debug)]
pub struct Pick<'a> {
    /// Its index into [`Balancer::all`].
    pub index: usize,
    /// The upstream.
    pub backend: &'a Backend,
    /// To be kept as long as the request is under way there.
    pub lease: Lease,
    /// Whether the client asked for this one.
    pub is_kept: bool,
}

/// Why none was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPick {
    /// All have been tried.
    Tried,
    /// Those that are well have as many requests as they may.
    Full,
}

/// How much an upstream can be expected of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Fit,
    /// It failed just now.
    Resting,
    /// Health checks say so.
    Down,
}

type Indices = SmallVec<[usize; 16]>;

impl Balancer {
    /// A balancer over the upstreams of `site`, of which there is at least one in a checked configuration.
    pub fn new(site: &Site) -> Self {
        let backend = |upstream: &Upstream| Backend {
            config: upstream.clone(),
            token: token(&site.name, &upstream.url),
            state: Arc::default(),
        };
        Self {
            backends: site.upstreams.iter().map(backend).collect(),
            wheel: wheel(&site.upstreams),
            turn: AtomicU64::new(0),
            config: site.balance.clone(),
        }
    }

    /// Takes over what `old` knows of upstreams that are in both.
    pub fn inherit(&mut self, old: &Balancer) {
        for backend in &mut self.backends {
            if let Some(same) = old.backends.iter().find(|b| b.config.url == backend.config.url) {
                backend.state = Arc::clone(&same.state);
                if self.config.health_check.is_none() {
                    backend.state.is_down.store(false, Ordering::Relaxed);
                    backend.state.streak.store(0, Ordering::Relaxed);
                }
            }
        }
    }

    /// All upstreams in the order of the configuration.
    pub fn all(&self) -> &[Backend] {
        &self.backends
    }

    /// Chooses an upstream. When all that are left rest or are down, one of them is given all the same: a try costs
    /// less than a sure refusal.
    ///
    /// # Errors
    ///
    /// When none is left.
    pub fn pick(&self, wish: Wish<'_>) -> Result<Pick<'_>, NoPick> {
        let now = now();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        if let Some(token) = wish.token
            && let Some(index) = self.backends.iter().position(|b| b.token.as_bytes() == token)
            && !wish.tried.contains(&index)
            && self.standing(index, now) == Some(Standing::Fit)
            && let Some(pick) = self.take(index, true)
        {
            return Ok(pick);
        }
        for standing in [Standing::Fit, Standing::Resting, Standing::Down] {
            let is_candidate =
                |index: &usize| !wish.tried.contains(index) && self.standing(*index, now) == Some(standing);
            let mut candidates: Indices = (0..self.backends.len()).filter(is_candidate).collect();
            let is_full = !candidates.is_empty();
            while let Some(index) = self.choose(&candidates, turn, wish.key, now) {
                if let Some(pick) = self.take(index, false) {
                    return Ok(pick);
                }
                candidates.retain(|candidate| *candidate != index);
            }
            if is_full {
                return Err(NoPick::Full);
            }
        }
        Err(NoPick::Tried)
    }

    /// Counts a failure of upstream `index`. It rests when they are as many as the site says; then this is `true`.
    pub fn failed(&self, index: usize) -> bool {
        let Some(state) = self.backends.get(index).map(|b| &b.state) else { return false };
        let now = now();
        state.failures.fetch_add(1, Ordering::Relaxed);
        let window = millis(self.config.fail_timeout);
        let last = state.struck_at.swap(now, Ordering::Relaxed);
        if now.saturating_sub(last) > window {
            state.strikes.store(0, Ordering::Relaxed);
        }
        let strikes = state.strikes.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if self.config.max_fails == 0 || strikes < self.config.max_fails {
            return false;
        }
        let until = now.saturating_add(window);
        let was_resting = state.resting_until.swap(until, Ordering::Relaxed) > now;
        // It comes back by itself then, and nobody is there to note it.
        state.back_since.store(until, Ordering::Relaxed);
        !was_resting
    }

    /// Reports that upstream `index` did what counts.
    pub fn succeeded(&self, index: usize) {
        let Some(state) = self.backends.get(index).map(|b| &b.state) else { return };
        if state.strikes.load(Ordering::Relaxed) != 0 {
            state.strikes.store(0, Ordering::Relaxed);
        }
        if state.resting_until.load(Ordering::Relaxed) != 0 {
            let now = now();
            if state.resting_until.swap(0, Ordering::Relaxed) > now {
                state.back_since.store(now, Ordering::Relaxed);
            }
        }
    }

    /// Reports a health check of upstream `index`. `Some` when it is down from now on (`false`), or up again (`true`).
    pub fn checked(&self, index: usize, is_well: bool) -> Option<bool> {
        let check = self.config.health_check.as_ref()?;
        let state = &self.backends.get(index)?.state;
        let counter = if is_well { &state.checks_passed } else { &state.checks_failed };
        counter.fetch_add(1, Ordering::Relaxed);
        let before = state.streak.load(Ordering::Relaxed);
        let streak = if is_well { before.max(0).saturating_add(1) } else { before.min(0).saturating_sub(1) };
        state.streak.store(streak, Ordering::Relaxed);
        let is_down = state.is_down.load(Ordering::Relaxed);
        if is_down && is_well && streak.unsigned_abs() >= check.rise {
            state.is_down.store(false, Ordering::Relaxed);
            state.resting_until.store(0, Ordering::Relaxed);
            state.back_since.store(now(), Ordering::Relaxed);
            return Some(true);
        }
        if !is_down && !is_well && streak.unsigned_abs() >= check.fall {
            state.is_down.store(true, Ordering::Relaxed);
            return Some(false);
        }
        None
    }

    /// Whether a health check of upstream `index` is due; if so, the next one is due an interval later.
    pub fn is_check_due(&self, index: usize) -> bool {
        let (Some(check), Some(backend)) = (&self.config.health_check, self.backends.get(index)) else {
            return false;
        };
        let now = now();
        let last = backend.state.checked_at.load(Ordering::Relaxed);
        if last != 0 && now.saturating_sub(last) < millis(check.interval) {
            return false;
        }
        backend.state.checked_at.store(now, Ordering::Relaxed);
        true
    }

    /// What upstream `index` is like.
    pub fn condition(&self, index: usize) -> UpstreamFacts {
        let Some(state) = self.backends.get(index).map(|b| &b.state) else { return UpstreamFacts::default() };
        UpstreamFacts {
            is_up: self.standing(index, now()) == Some(Standing::Fit),
            active: state.active.load(Ordering::Relaxed),
            requests: state.requests.load(Ordering::Relaxed),
            failures: state.failures.load(Ordering::Relaxed),
            checks_passed: state.checks_passed.load(Ordering::Relaxed),
            checks_failed: state.checks_failed.load(Ordering::Relaxed),
        }
    }

    fn standing(&self, index: usize, now: u64) -> Option<Standing> {
        let state = &self.backends.get(index)?.state;
        Some(if state.is_down.load(Ordering::Relaxed) {
            Standing::Down
        } else if state.resting_until.load(Ordering::Relaxed) > now {
            Standing::Resting
        } else {
            Standing::Fit
        })
    }

    /// A place at upstream `index`, if there is one.
    fn take(&self, index: usize, is_kept: bool) -> Option<Pick<'_>> {
        let backend = self.backends.get(index)?;
        let limit = backend.config.max_connections.map_or(u32::MAX, std::num::NonZeroU32::get);
        let more = |n: u32| (n < limit).then(|| n + 1);
        backend.state.active.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        backend.state.requests.fetch_add(1, Ordering::Relaxed);
        Some(Pick { index, backend, lease: Lease(Arc::clone(&backend.state)), is_kept })
    }

    fn choose(&self, candidates: &[usize], turn: u64, key: &[u8], now: u64) -> Option<usize> {
        match candidates {
            [] => None,
            [only] => Some(*only),
            _ => match &self.config.method {
                BalanceMethod::RoundRobin => self.in_turn(candidates, turn, now),
                BalanceMethod::LeastConnections => self.least(candidates, turn, now),
                BalanceMethod::Hash(_) => self.by_key(candidates, key, now),
            },
        }
    }

    fn in_turn(&self, candidates: &[usize], turn: u64, now: u64) -> Option<usize> {
        let length = u64::try_from(self.wheel.len()).unwrap_or(u64::MAX).max(1);
        let start = usize::try_from(turn % length).unwrap_or(0);
        // 61 and 100 have no common factor, so that each hundred turns meets each percentage once.
        let luck = turn.wrapping_mul(61) % 100;
        let mut starting = None;
        for slot in self.wheel.iter().cycle().skip(start).take(self.wheel.len()) {
            let index = usize::from(*slot);
            if !candidates.contains(&index) {
                continue;
            }
            if luck < self.share(index, now) {
                return Some(index);
            }
            starting.get_or_insert(index);
        }
        starting.or_else(|| candidates.first().copied())
    }

    fn least(&self, candidates: &[usize], turn: u64, now: u64) -> Option<usize> {
        let start = usize::try_from(turn % candidates.len().max(1) as u64).unwrap_or(0);
        let mut best: Option<(u128, u128, usize)> = None;
        // Ties go round.
        for index in candidates.iter().cycle().skip(start).take(candidates.len()) {
            let Some(backend) = self.backends.get(*index) else { continue };
            let load = u128::from(backend.state.active.load(Ordering::Relaxed)) + 1;
            let strength = u128::from(backend.config.weight.get()) * u128::from(self.share(*index, now));
            let is_better =
                best.is_none_or(|(other, other_strength, _)| load * other_strength < other * strength);
            if is_better {
                best = Some((load, strength, *index));
            }
        }
        best.map(|(_, _, index)| index)
    }

    /// Rendezvous hashing with weights: when an upstream goes, only its own keys move; while it comes back slowly, they
    /// come back one after the other.
    fn by_key(&self, candidates: &[usize], key: &[u8], now: u64) -> Option<usize> {
        let key = fnv(key);
        let score = |index: &&usize| {
            let backend = self.backends.get(**index)?;
            let hash = mix(key ^ fnv(backend.token.as_bytes()));
            // In (0, 1), from the upper 53 bits.
            let unit = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
            let share = f64::from(u32::try_from(self.share(**index, now)).unwrap_or(100));
            Some(-f64::from(backend.config.weight.get()) * share / unit.ln())
        };
        let best = candidates
            .iter()
            .max_by(|a, b| score(a).partial_cmp(&score(b)).unwrap_or(std::cmp::Ordering::Equal));
        best.copied()
    }

    /// Percent of its full share that an upstream gets.
    fn share(&self, index: usize, now: u64) -> u64 {
        let (Some(slow_start), Some(backend)) = (self.config.slow_start, self.backends.get(index)) else {
            return 100;
        };
        let since = backend.state.back_since.load(Ordering::Relaxed);
        if since == 0 {
            return 100;
        }
        let share = now.saturating_sub(since).saturating_mul(100) / millis(slow_start).max(1);
        if share >= 100 {
            backend.state.back_since.store(0, Ordering::Relaxed);
        }
        share.clamp(LEAST_SHARE, 100)
    }
}

/// Percent that an upstream begins with which has just come back.
const LEAST_SHARE: u64 = 5;

/// What times of upstreams are counted from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn now() -> u64 {
    millis(START.elapsed()).saturating_add(1)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn token(site: &str, url: &str) -> String {
    let digest = Sha1::digest(format!("{site} {url}"));
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// FNV-1a. Who chooses keys chooses where they go, which any client may.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The finaliser of splitmix64: each bit depends on all.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, BalanceKey, HealthCheck, Overrides};
    use std::num::NonZeroU32;
    use std::path::Path;

    fn site(weights: &[u32], change: impl FnOnce(&mut Balance)) -> Site {
        let urls: Vec<String> =
            (0..weights.len()).map(|n| format!("http://{}", (b'a' + n as u8) as char)).collect();
        let text = format!("sites: [{{name: s, upstreams: [{}]}}]", urls.join(", "));
        let loaded = config::check("t.yaml", &text, Path::new("/"), &Overrides::default());
        let mut site = Site::clone(&loaded.config.expect("sound").sites[0]);
        for (upstream, weight) in site.upstreams.iter_mut().zip(weights) {
            upstream.weight = NonZeroU32::new(*weight).expect("not zero");
        }
        change(&mut site.balance);
        site
    }

    fn balancer(weights: &[u32], change: impl FnOnce(&mut Balance)) -> Balancer {
        Balancer::new(&site(weights, change))
    }

    fn picks(balancer: &Balancer, n: usize) -> String {
        (0..n)
            .filter_map(|_| balancer.pick(Wish::default()).ok())
            .map(|p| p.backend.config.host.clone())
            .collect()
    }

    fn count(text: &str, letter: char) -> usize {
        text.chars().filter(|c| *c == letter).count()
    }

    #[test]
    fn weights_are_shares_and_turns_are_spread() {
        assert_eq!(picks(&balancer(&[20, 10, 10], |_| ()), 8), "abcaabca");
    }

    #[test]
    fn extreme_weights_leave_nobody_out() {
        let balancer = balancer(&[1_000_000_007, 1], |_| ());
        assert!(balancer.wheel.len() <= 1_100);
        assert!(balancer.wheel.contains(&1));
    }

    #[test]
    fn a_failed_upstream_rests_unless_nothing_else_is_left() {
        let balancer = balancer(&[1, 1], |_| ());
        assert!(balancer.failed(0));
        assert!(!balancer.condition(0).is_up);
        assert_eq!(picks(&balancer, 4), "bbbb");
        let wish = |tried| Wish { tried, ..Wish::default() };
        assert_eq!(balancer.pick(wish(&[1])).map(|p| p.index).ok(), Some(0));
        assert_eq!(balancer.pick(wish(&[0, 1])).err(), Some(NoPick::Tried));
        balancer.succeeded(0);
        assert!(picks(&balancer, 2).contains('a'));
    }

    #[test]
    fn as_many_failures_as_the_site_says_make_an_upstream_rest() {
        let three = balancer(&[1, 1], |b| b.max_fails = 3);
        assert_eq!([three.failed(0), three.failed(0)], [false, false]);
        assert_eq!(picks(&three, 2), "ab");
        assert!(three.failed(0));
        assert_eq!(picks(&three, 2), "bb");
        let never = balancer(&[1, 1], |b| b.max_fails = 0);
        assert!((0..100).all(|_| !never.failed(0)));
        assert_eq!(picks(&never, 2), "ab");
    }

    #[test]
    fn the_least_busy_in_proportion_to_its_weight_is_chosen() {
        let balancer = balancer(&[3, 1], |b| b.method = BalanceMethod::LeastConnections);
        let mut kept = Vec::new();
        for _ in 0..40 {
            kept.push(balancer.pick(Wish::default()).expect("one"));
        }
        assert_eq!([balancer.condition(0).active, balancer.condition(1).active], [30, 10]);
        kept.retain(|pick| pick.index == 1);
        assert_eq!(picks(&balancer, 1), "a");
        drop(kept);
        assert_eq!([balancer.condition(0).active, balancer.condition(1).active], [0, 0]);
    }

    #[test]
    fn equally_busy_ones_take_turns() {
        let balancer = balancer(&[1, 1], |b| b.method = BalanceMethod::LeastConnections);
        assert_eq!(count(&picks(&balancer, 10), 'a'), 5);
    }

    #[test]
    fn keys_stay_where_they_are_when_another_upstream_goes() {
        let balancer = balancer(&[1, 1, 2], |b| b.method = BalanceMethod::Hash(BalanceKey::Client));
        let of = |n: u32, tried: &[usize]| {
            let key = n.to_string();
            balancer.pick(Wish { key: key.as_bytes(), tried, token: None }).expect("one").index
        };
        let before: Vec<usize> = (0..4_000).map(|n| of(n, &[])).collect();
        let shares = [0, 1, 2].map(|index| before.iter().filter(|i| **i == index).count());
        assert!((900..1_100).contains(&shares[0]) && (1_850..2_150).contains(&shares[2]), "{shares:?}");
        for (n, index) in (0..).zip(before) {
            let after = of(n, &[1]);
            assert!(after == index || index == 1 && after != 1);
        }
    }

    #[test]
    fn a_bound_is_kept_and_given_back() {
        let mut site = site(&[1, 1], |_| ());
        site.upstreams[0].max_connections = NonZeroU32::new(1);
        site.upstreams[1].max_connections = NonZeroU32::new(2);
        let balancer = Balancer::new(&site);
        let mut kept: Vec<_> = (0..3).map(|_| balancer.pick(Wish::default()).expect("room")).collect();
        assert_eq!(balancer.pick(Wish::default()).err(), Some(NoPick::Full));
        kept.retain(|pick| pick.index == 1);
        assert_eq!(balancer.pick(Wish::default()).expect("room").index, 0);
    }

    #[test]
    fn a_client_comes_back_to_its_upstream_while_that_is_well() {
        let balancer = balancer(&[1, 1, 1], |_| ());
        let token = balancer.all()[1].token.clone();
        let wish = Wish { token: Some(token.as_bytes()), ..Wish::default() };
        assert!((0..9).all(|_| balancer.pick(wish).is_ok_and(|p| p.index == 1 && p.is_kept)));
        balancer.failed(1);
        assert!(balancer.pick(wish).is_ok_and(|p| p.index != 1 && !p.is_kept));
        let stranger = Wish { token: Some(b"000000000000"), ..Wish::default() };
        assert!(!balancer.pick(stranger).expect("one").is_kept);
        assert_ne!(token, super::token("other", "http://b"));
    }

    #[test]
    fn health_checks_take_an_upstream_out_and_bring_it_back_slowly() {
        let check = HealthCheck {
            path: None,
            host: None,
            status: vec![(200, 399)],
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
        };
        let balancer = balancer(&[1, 1], |b| {
            b.health_check = Some(check);
            b.slow_start = Some(Duration::from_secs(3_600));
        });
        assert!(balancer.is_check_due(0) && !balancer.is_check_due(0));
        let told: Vec<_> = [false, false, true, false, false, false, false, true, true]
            .map(|well| balancer.checked(0, well))
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(told, [false, true]);
        // It is back, with a twentieth of its share.
        let after = picks(&balancer, 1_000);
        assert!((20..60).contains(&count(&after, 'a')), "{}", count(&after, 'a'));
        let condition = balancer.condition(0);
        assert_eq!((condition.checks_passed, condition.checks_failed, condition.is_up), (3, 6, true));
    }

    const HOUR: Option<Duration> = Some(Duration::from_secs(3_600));

    /// Makes upstream 0 rest for a moment, and waits until that is over.
    fn rests_and_is_back(balancer: &Balancer) {
        assert!(balancer.failed(0) && !balancer.condition(0).is_up);
        while !balancer.condition(0).is_up {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn who_comes_back_from_a_rest_begins_slowly_with_the_first_request() {
        let balancer =
            balancer(&[1, 1], |b| (b.slow_start, b.fail_timeout) = (HOUR, Duration::from_millis(50)));
        rests_and_is_back(&balancer);
        let first = picks(&balancer, 500);
        balancer.succeeded(0);
        let then = picks(&balancer, 500);
        for picked in [first, then] {
            assert!((5..40).contains(&count(&picked, 'a')), "{}", count(&picked, 'a'));
        }
    }

    #[test]
    fn a_success_ends_a_rest_and_the_return_is_slow() {
        let balancer =
            balancer(&[1, 1], |b| (b.slow_start, b.fail_timeout) = (HOUR, Duration::from_secs(3_600)));
        assert!(balancer.failed(0) && picks(&balancer, 9) == "bbbbbbbbb");
        balancer.succeeded(0);
        let picked = picks(&balancer, 1_000);
        assert!((20..60).contains(&count(&picked, 'a')), "{}", count(&picked, 'a'));
    }

    #[test]
    fn the_return_is_slow_by_least_connections() {
        let balancer = balancer(&[1, 1], |b| {
            (b.method, b.slow_start) = (BalanceMethod::LeastConnections, HOUR);
            b.fail_timeout = Duration::from_millis(50);
        });
        rests_and_is_back(&balancer);
        let kept: Vec<_> = (0..105).map(|_| balancer.pick(Wish::default()).expect("one")).collect();
        let active = balancer.condition(0).active;
        assert!(
            (3..=7).contains(&active),
            "{active} of {}: a twentieth of what the other one has",
            kept.len()
        );
    }

    #[test]
    fn the_return_is_slow_by_hash_and_moves_no_key_between_others() {
        let balancer = balancer(&[1, 1, 1], |b| {
            (b.method, b.slow_start) = (BalanceMethod::Hash(BalanceKey::Client), HOUR);
            b.fail_timeout = Duration::from_millis(50);
        });
        let of = |n: u32| {
            let key = n.to_string();
            balancer.pick(Wish { key: key.as_bytes(), ..Wish::default() }).expect("one").index
        };
        let before: Vec<usize> = (0..3_000).map(of).collect();
        rests_and_is_back(&balancer);
        let after: Vec<usize> = (0..3_000).map(of).collect();
        let back = after.iter().filter(|index| **index == 0).count();
        assert!((30..150).contains(&back), "{back} of 1,000 keys are back");
        for (before, after) in before.into_iter().zip(after) {
            assert!(before == after || before == 0 && after != 0);
        }
    }

    #[test]
    fn what_is_known_outlives_a_reload() {
        let old = balancer(&[1, 1], |_| ());
        let pick = old.pick(Wish::default()).expect("one");
        old.failed(1);
        let mut new = balancer(&[1, 1, 1], |_| ());
        new.inherit(&old);
        assert_eq!(
            (new.condition(0).active, new.condition(1).is_up, new.condition(2).is_up),
            (1, false, true)
        );
        drop(pick);
        assert_eq!(new.condition(0).active, 0);
    }
}
