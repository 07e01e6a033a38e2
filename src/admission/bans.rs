//! Clients that are refused for a while.

use crate::config::Bans;
use crate::limits::CLOCK_SKEW;
use ip_network::IpNetwork;
use lru::LruCache;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Who is banned.
    pub client: IpNetwork,
    /// Since when.
    pub since: SystemTime,
    /// Until when.
    pub until: SystemTime,
    /// When it is forgotten; until then a further ban is longer.
    pub forgotten: SystemTime,
    /// Which ban of this client it is, from 1.
    pub number: u32,
    /// The site whose request was the last straw.
    pub site: String,
    /// Whether it is carried out, or only told because of the mode in which it was earned.
    pub enforced: bool,
}

impl Ban {
    /// Whether it holds at `now`. One that began far ahead of the clock does not: the clock has been set back, and it would
    /// hold for as long.
    pub fn holds(&self, now: SystemTime) -> bool {
        self.until > now && !self.is_ahead(now)
    }

    /// Whether it began so far ahead of the clock that this must have been set back since.
    fn is_ahead(&self, now: SystemTime) -> bool {
        self.since > now + CLOCK_SKEW
    }
}

/// The bans of this process, and what clients have collected towards one.
pub struct BanList {
    bans: RwLock<HashMap<IpNetwork, Ban>>,
    /// How many there are, past ones included: nobody looks further while there is none.
    length: AtomicUsize,
    scores: Mutex<LruCache<IpNetwork, Window>>,
}

/// What a client has collected in this window of time and the one before it.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    index: u64,
    before: u64,
    now: u64,
}

/// Bans that are kept, past ones included; beyond it those go that end first.
const BANS: usize = 65_536;
/// Clients whose scores are kept; beyond it those go that scored longest ago.
const SCORES: usize = 65_536;

impl Default for BanList {
    fn default() -> Self {
        Self {
            bans: RwLock::default(),
            length: AtomicUsize::new(0),
            // A bounded one would take its memory at once, whether clients are banned or not.
            scores: Mutex::new(LruCache::unbounded()),
        }
    }
}

impl BanList {
    /// The ban of `client` that holds at `now`.
    pub fn find(&self, client: &IpNetwork, now: SystemTime) -> Option<Ban> {
        if self.length.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.read().get(client).filter(|ban| ban.holds(now)).cloned()
    }

    /// Whether anybody is banned at all, or was.
    pub(super) fn is_empty(&self) -> bool {
        self.length.load(Ordering::Relaxed) == 0
    }

    /// The bans that hold at `now`; those that end first come first.
    pub fn list(&self, now: SystemTime) -> Vec<Ban> {
        let mut all: Vec<Ban> = self.read().values().filter(|ban| ban.holds(now)).cloned().collect();
        all.sort_by_key(|ban| (ban.until, ban.client));
        all
    }

    /// Adds `points` to what `client` has collected, and says whether that reaches the threshold.
    ///
    /// Time is cut into windows of a period; of the one before, that part counts which the sliding window still
    /// covers, as if its points had come evenly.
    pub(super) fn score(&self, client: IpNetwork, points: u64, settings: &Bans, now: SystemTime) -> bool {
        let period = millis(settings.period).max(1);
        let time = millis(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        let (index, passed) = (time / period, time % period);
        let mut scores = self.scores();
        if scores.len() >= SCORES && !scores.contains(&client) {
            scores.pop_lru();
        }
        let window = scores.get_or_insert_mut(client, Window::default);
        if index != window.index {
            let before = if index == window.index.wrapping_add(1) { window.now } else { 0 };
            *window = Window { index, before, now: 0 };
        }
        window.now = window.now.saturating_add(points);
        let before = u128::from(window.before) * u128::from(period - passed) / u128::from(period);
        let reached = before + u128::from(window.now) >= u128::from(settings.threshold.get());
        if reached {
            scores.pop(&client);
        }
        reached
    }

    /// Bans `client`, and gives the ban; none when it is banned already.
    pub(super) fn ban(
        &self,
        client: IpNetwork,
        site: &str,
        enforced: bool,
        settings: &Bans,
        now: SystemTime,
    ) -> Option<Ban> {
        let mut bans = self.write();
        let earlier = bans.get(&client).filter(|ban| ban.forgotten > now);
        if earlier.is_some_and(|ban| ban.holds(now) && ban.enforced >= enforced) {
            return None;
        }
        // What was only told does not make the first real one longer.
        let earlier = earlier.filter(|ban| ban.enforced >= enforced).map_or(0, |ban| ban.number);
        let factor = u64::from(settings.escalation).saturating_pow(earlier);
        let length = settings.longest.as_secs().min(settings.duration.as_secs().saturating_mul(factor));
        let until = now + Duration::from_secs(length);
        let ban = Ban {
            client,
            since: now,
            until,
            forgotten: until + settings.longest,
            number: earlier.saturating_add(1),
            site: site.to_owned(),
            enforced,
        };
        self.put(&mut bans, ban.clone(), now);
        Some(ban)
    }

    /// Takes over what others know: of two records of a client the younger one, but for those of a clock that was set back
    /// since, which would count for as long. Gives the records that others lack.
    pub(super) fn merge(&self, theirs: Vec<Ban>, now: SystemTime) -> Vec<Ban> {
        let mut bans = self.write();
        bans.retain(|_, ban| ban.forgotten > now && !ban.is_ahead(now));
        let mut lacking: HashMap<IpNetwork, Ban> = bans.clone();
        for ban in theirs {
            match bans.get(&ban.client) {
                Some(own) if own.since > ban.since || ban.is_ahead(now) => {}
                own => {
                    let is_new = own != Some(&ban);
                    lacking.remove(&ban.client);
                    if is_new {
                        self.put(&mut bans, ban, now);
                    }
                }
            }
        }
        self.length.store(bans.len(), Ordering::Relaxed);
        lacking.into_values().collect()
    }

    /// Ends the ban of `client` and forgets earlier ones. Gives what is left of it, for others to know; none when there
    /// was no ban at `now`.
    pub(super) fn lift(&self, client: &IpNetwork, now: SystemTime) -> Option<Ban> {
        self.scores().pop(client);
        let mut bans = self.write();
        let ban = bans.get_mut(client).filter(|ban| ban.until > now)?;
        (ban.since, ban.until, ban.number) = (now, now, 0);
        Some(ban.clone())
    }

    fn put(&self, bans: &mut HashMap<IpNetwork, Ban>, ban: Ban, now: SystemTime) {
        if bans.len() >= BANS {
            bans.retain(|_, ban| ban.forgotten > now);
        }
        if bans.len() >= BANS {
            // Several at once, so that a flood does not walk the list for each.
            let mut ends: Vec<SystemTime> = bans.values().map(|ban| ban.until).collect();
            let (_, median, _) = ends.select_nth_unstable(BANS / 8);
            let bound = *median;
            bans.retain(|_, ban| ban.until > bound);
        }
        bans.insert(ban.client, ban);
        self.length.store(bans.len(), Ordering::Relaxed);
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<IpNetwork, Ban>> {
        self.bans.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<IpNetwork, Ban>> {
        self.bans.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn scores(&self) -> MutexGuard<'_, LruCache<IpNetwork, Window>> {
        self.scores.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BanCount;
    use std::num::NonZeroU32;

    fn settings() -> Bans {
        Bans {
            count: BanCount::Blocks,
            threshold: NonZeroU32::new(3).expect("not 0"),
            period: Duration::from_secs(60),
            duration: Duration::from_secs(100),
            escalation: 2,
            longest: Duration::from_secs(350),
            limited: false,
            status: 403,
            ipv6_prefix: 64,
            except: Vec::new(),
            mode: None,
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(6_000_000 + seconds)
    }

    fn client(n: u32) -> IpNetwork {
        IpNetwork::from(std::net::IpAddr::from(std::net::Ipv4Addr::from(n)))
    }

    #[test]
    fn the_threshold_is_reached_within_a_sliding_window() {
        let bans = BanList::default();
        let score = |n, seconds| bans.score(client(n), 1, &settings(), at(seconds));
        assert_eq!([score(1, 0), score(1, 1), score(1, 2)], [false, false, true]);
        assert!(!score(1, 3), "what led to a ban does not count again");
        // One each half minute never makes three in a minute.
        assert!((0..50).all(|i| !score(2, i * 31)));
        // Two late in a window and one early in the next one.
        assert_eq!([score(3, 58), score(3, 59), score(3, 60)], [false, false, true]);
    }

    #[test]
    fn further_bans_are_longer_until_they_are_forgotten() {
        let bans = BanList::default();
        let ban = |enforced, seconds| bans.ban(client(1), "shop", enforced, &settings(), at(seconds));
        let length = |ban: Option<Ban>| {
            ban.map(|b| (b.number, b.until.duration_since(b.since).unwrap_or_default().as_secs()))
        };
        assert_eq!(length(ban(false, 0)), Some((1, 100)));
        assert_eq!(length(ban(false, 1)), None);
        assert_eq!(length(ban(true, 2)), Some((1, 100)), "a real one, though one was told");
        assert_eq!(length(ban(false, 3)), None);
        assert_eq!(bans.find(&client(1), at(101)).map(|b| b.enforced), Some(true));
        assert_eq!(bans.find(&client(1), at(102)), None);
        assert_eq!(length(ban(true, 110)), Some((2, 200)));
        assert_eq!(length(ban(true, 400)), Some((3, 350)));
        assert_eq!(length(ban(true, 750 + 351)), Some((1, 100)));
        assert!(bans.lift(&client(1), at(1_102)).is_some() && bans.lift(&client(1), at(1_102)).is_none());
        assert_eq!(length(ban(true, 1_103)), Some((1, 100)));
    }

    #[test]
    fn a_clock_that_is_set_makes_no_ban_longer() {
        let bans = BanList::default();
        let ban = |seconds| bans.ban(client(1), "shop", true, &settings(), at(seconds)).map(|b| b.number);
        let year = 365 * 86_400;
        assert_eq!(ban(year), Some(1));
        assert!(bans.find(&client(1), at(year - 200)).is_some(), "another instance may be a little behind");
        // Set back by a year: the ban is over, nothing else is lost, and who goes on is banned anew.
        assert!(bans.find(&client(1), at(0)).is_none() && bans.list(at(0)).is_empty());
        assert!(
            !bans.score(client(1), 1, &settings(), at(year)) && !bans.score(client(1), 1, &settings(), at(0))
        );
        assert_eq!(ban(1), Some(2));
        assert_eq!(bans.find(&client(1), at(2)).map(|b| b.since), Some(at(1)));
        // Set ahead: it ends early.
        assert!(bans.find(&client(1), at(year)).is_none());
    }

    #[test]
    fn instances_agree_on_the_younger_record() {
        let (one, two) = (BanList::default(), BanList::default());
        one.ban(client(1), "shop", true, &settings(), at(0));
        two.ban(client(2), "shop", true, &settings(), at(1));
        let told = one.merge(two.merge(Vec::new(), at(2)), at(2));
        assert_eq!(told.iter().map(|ban| ban.client).collect::<Vec<_>>(), [client(1)]);
        assert!(two.merge(told, at(2)).iter().all(|ban| ban.client == client(2)));
        assert_eq!((one.list(at(3)).len(), two.list(at(3)).len()), (2, 2));
        // What one lifts does not come back from the other, which does not know yet.
        let lifted = one.lift(&client(2), at(3)).expect("it was banned");
        let told = one.merge(two.list(at(3)), at(3));
        assert_eq!(told, [lifted]);
        assert_eq!(one.list(at(3)).len(), 1);
        two.merge(told, at(3));
        assert_eq!(two.list(at(3)).len(), 1);
        assert_eq!(two.ban(client(2), "shop", true, &settings(), at(4)).map(|ban| ban.number), Some(1));
        assert!(one.merge(Vec::new(), at(100_000)).is_empty(), "what is forgotten is told to nobody");
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_instances_from_agreeing() {
        let (one, two) = (BanList::default(), BanList::default());
        let (year, ban) = (365 * 86_400, |list: &BanList, seconds| {
            list.ban(client(1), "shop", true, &settings(), at(seconds)).expect("banned")
        });
        let old = ban(&one, year);
        two.merge(vec![old.clone()], at(year));
        // Both clocks are set back by a year, and the client is banned anew at one of them.
        let new = ban(&one, 10);
        assert!(two.merge(vec![new.clone()], at(11)).is_empty(), "the old one is told to nobody");
        assert_eq!(two.find(&client(1), at(11)), Some(new.clone()));
        // The store still has the old one.
        assert_eq!(two.merge(vec![old], at(12)), std::slice::from_ref(&new));
        assert_eq!(two.find(&client(1), at(12)), Some(new));
    }

    #[test]
    fn bans_are_bounded_and_the_longest_stay() {
        let bans = BanList::default();
        let long = Bans { duration: Duration::from_secs(300), ..settings() };
        bans.ban(client(0), "shop", true, &long, at(0));
        for n in 1..=u32::try_from(BANS).expect("few") + 10 {
            bans.ban(client(n), "shop", true, &settings(), at(u64::from(n) / 1_000));
        }
        assert!(bans.list(at(70)).len() <= BANS);
        assert!(bans.find(&client(0), at(70)).is_some());
        for n in 0..100_000_u32 {
            bans.score(client(n), 1, &settings(), at(0));
        }
        assert_eq!(bans.scores().len(), SCORES);
    }
}
