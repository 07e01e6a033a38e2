//! Reading records: what was stopped where, for how many clients, and what else these clients did.

use super::ordinary::{is_ordinary, is_scanner};
use super::place;
use crate::audit::restore;
use crate::explain::{Place, Recorded};
use memchr::memmem::Finder;
use serde::Serialize;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

/// What counts, and how much is kept.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Clients that must have met a rule at a place before it is taken for a false alarm.
    pub clients: usize,
    /// Records that began before this are passed over: RFC 3339 in UTC without the `Z`; empty for none.
    pub since: String,
    /// Places that are kept at a time.
    pub places: usize,
    /// Clients that are kept at a time.
    pub all_clients: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { clients: 5, since: String::new(), places: 20_000, all_clients: 200_000 }
    }
}

/// Clients of one rule and target that are told from each other.
const CLIENTS_OF_PAIR: usize = 1_024;
/// Rules and targets of one place.
const PAIRS: usize = 256;
/// Samples of one place.
const SAMPLES: usize = 6;
/// Bytes of a sample's line.
const SAMPLE_BYTES: usize = 64 << 10;
/// Samples in all: a place whose clients are few keeps none beyond it.
const ALL_SAMPLES: usize = 4_000;
/// Places at which a client may have been stopped before it counts as one that tries things out.
const PLACES_OF_CLIENT: usize = 3;

/// What stands in the record of a transaction that met no rule.
static NOTHING: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [Finder::new(b"\"rules\":[]"), Finder::new(b"\"messages\":[]")]);

/// How many records were read, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Lines.
    pub lines: u64,
    /// Lines that are no records.
    pub unreadable: u64,
    /// Records of before `since`.
    pub old: u64,
    /// Transactions that a rule stopped, or would have but for the mode.
    pub stopped: u64,
    /// Of these, those that were passed over because too much was kept already.
    pub omitted: u64,
}

/// What has been read so far.
#[derive(Debug)]
pub struct Gathering {
    bounds: Bounds,
    counted: Counted,
    places: HashMap<(String, Place), Gathered>,
    clients: HashMap<u64, Client>,
    samples: usize,
}

/// A client, as far as it was stopped.
#[derive(Debug, Default)]
struct Client {
    /// Hashes of places.
    places: Vec<u64>,
    is_suspicious: bool,
}

/// What was stopped at one place.
#[derive(Debug, Default)]
struct Gathered {
    requests: u64,
    pairs: HashMap<(u64, String), Pair>,
    samples: Vec<(u64, Vec<u8>)>,
    first: String,
    last: String,
    /// The number of the line that was read last.
    seen: u64,
}

#[derive(Debug, Default)]
struct Pair {
    requests: u64,
    /// Clients with ordinary browsers.
    clients: HashSet<u64>,
    message: String,
}

/// A place whose alarms may be false.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The site.
    pub site: String,
    /// Method and path.
    pub place: Place,
    /// Transactions that were stopped there.
    pub requests: u64,
    /// When the first and the last began.
    pub between: (String, String),
    /// Rules and targets that enough clients met there.
    pub found: BTreeMap<(u64, String), Found>,
    /// Records of some, of different clients.
    pub samples: Vec<Recorded>,
}

/// A rule and target that clients met at a place.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// Transactions.
    pub requests: u64,
    /// Clients with ordinary browsers that were stopped at few other places.
    pub clients: usize,
    /// The rule's message.
    pub message: String,
}

impl Gathering {
    /// An empty one.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            counted: Counted::default(),
            places: HashMap::new(),
            clients: HashMap::new(),
            samples: 0,
        }
    }

    /// What has been counted.
    pub fn counted(&self) -> Counted {
        self.counted
    }

    /// Reads one line of a log.
    pub fn add(&mut self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        self.counted.lines += 1;
        // Most transactions meet no rule. Within a string of JSON these bytes cannot stand.
        if NOTHING.iter().any(|nothing| nothing.find(line).is_some()) {
            return;
        }
        let Ok(record) = Recorded::read_any(line) else {
            self.counted.unreadable += 1;
            return;
        };
        if record.time.as_str() < self.bounds.since.as_str() {
            self.counted.old += 1;
            return;
        }
        if record.stopped_by().is_some_and(|stop| stop.rule_id.is_some_and(|id| id != 0)) {
            self.counted.stopped += 1;
            self.stopped(&record, line);
        }
    }

    fn stopped(&mut self, record: &Recorded, line: &[u8]) {
        let place = place::of_request(&record.request.method, &record.request.uri);
        let is_browser = is_ordinary(record) && !is_scanner(record);
        let client = hash(&record.client.as_ref().map_or("", |client| client.ip.as_str()));
        let key = (record.site.clone(), place);
        if !self.note_client(client, hash(&key), is_browser) {
            self.counted.omitted += 1;
            return;
        }
        if self.places.len() >= self.bounds.places && !self.places.contains_key(&key) && !self.make_room() {
            self.counted.omitted += 1;
            return;
        }
        let gathered = self.places.entry(key).or_default();
        gathered.requests += 1;
        gathered.seen = self.counted.lines;
        if gathered.first.is_empty() || record.time < gathered.first {
            gathered.first.clone_from(&record.time);
        }
        if record.time > gathered.last {
            gathered.last.clone_from(&record.time);
        }
        let mut is_new = false;
        for rule in &record.rules {
            for (variable, _) in rule.matches() {
                let Some(target) = target_of(variable) else { continue };
                if gathered.pairs.len() >= PAIRS && !gathered.pairs.contains_key(&(rule.id, target.clone())) {
                    continue;
                }
                let pair = gathered.pairs.entry((rule.id, target)).or_default();
                pair.requests += 1;
                if pair.message.is_empty() {
                    pair.message.clone_from(&rule.message);
                }
                if is_browser && pair.clients.len() < CLIENTS_OF_PAIR {
                    is_new |= pair.clients.insert(client);
                }
            }
        }
        let is_other = !gathered.samples.iter().any(|(known, _)| *known == client);
        if is_new
            && is_other
            && gathered.samples.len() < SAMPLES
            && self.samples < ALL_SAMPLES
            && line.len() <= SAMPLE_BYTES
        {
            gathered.samples.push((client, line.to_vec()));
            self.samples += 1;
        }
    }

    /// Remembers where a client was stopped; whether there is room for it.
    fn note_client(&mut self, client: u64, place: u64, is_browser: bool) -> bool {
        let room = self.clients.len() < self.bounds.all_clients;
        let known = match self.clients.entry(client) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) if room => free.insert(Client::default()),
            Entry::Vacant(_) => return false,
        };
        known.is_suspicious |= !is_browser;
        if !known.places.contains(&place) {
            known.is_suspicious |= known.places.len() >= PLACES_OF_CLIENT;
            if known.places.len() < PLACES_OF_CLIENT {
                known.places.push(place);
            }
        }
        true
    }

    /// Forgets half of the places that no more than one client was stopped at: those that were quiet longest.
    fn make_room(&mut self) -> bool {
        let before = self.places.len();
        let is_lonely = |gathered: &Gathered| gathered.pairs.values().all(|pair| pair.clients.len() < 2);
        let mut times: Vec<u64> = self
            .places
            .values()
            .filter(|gathered| is_lonely(gathered))
            .map(|gathered| gathered.seen)
            .collect();
        times.sort_unstable();
        let Some(middle) = times.get(times.len() / 2).copied() else { return false };
        self.places.retain(|_, gathered| !is_lonely(gathered) || gathered.seen > middle);
        self.samples = self.places.values().map(|gathered| gathered.samples.len()).sum();
        self.places.len() < before
    }

    /// The places at which enough clients met a rule that did nothing suspicious elsewhere, the busiest first.
    pub fn candidates(self) -> Vec<Candidate> {
        let Self { bounds, places, clients, .. } = self;
        let is_good = |client: &u64| clients.get(client).is_some_and(|client| !client.is_suspicious);
        let mut out: Vec<Candidate> = Vec::new();
        for ((site, place), gathered) in places {
            let mut found = BTreeMap::new();
            for (key, pair) in gathered.pairs {
                let good = pair.clients.iter().filter(|client| is_good(client)).count();
                if good >= bounds.clients {
                    found
                        .insert(key, Found { requests: pair.requests, clients: good, message: pair.message });
                }
            }
            let samples: Vec<Recorded> = gathered
                .samples
                .iter()
                .filter(|(client, _)| is_good(client))
                .filter_map(|(_, line)| Recorded::read_any(line).ok())
                .collect();
            if !found.is_empty() && !samples.is_empty() {
                let between = (gathered.first, gathered.last);
                out.push(Candidate { site, place, requests: gathered.requests, between, found, samples });
            }
        }
        out.sort_by(|a, b| {
            b.requests.cmp(&a.requests).then_with(|| (&a.site, &a.place).cmp(&(&b.site, &b.place)))
        });
        out
    }
}

/// The target that a matched variable is of; none for what rules make of others.
fn target_of(variable: &str) -> Option<String> {
    let name = variable.trim_start_matches('&');
    if name.starts_with("TX:") || name.starts_with("MATCHED_VAR") {
        return None;
    }
    let (name, member) =
        name.split_once(':').map_or((name, None), |(name, member)| (name, Some(restore(member))));
    Some(place::target(name, member.as_deref()))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
