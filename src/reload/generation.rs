//! One loaded configuration: sites and rulesets, numbered and hashed, swapped as a whole.

use super::balancer::Balancer;
use super::candidate::Candidate;
use crate::config::{Checked, Site};
use crate::ruleset::Ruleset;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::SystemTime;

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

    /// Takes over what `old` knows of the upstreams of sites that are in both, and what was seen of their candidates.
    pub fn inherit(&mut self, old: &Generation) {
        for site in &mut self.sites {
            if let Some(same) = old.sites.iter().find(|s| s.config.name == site.config.name) {
                site.upstreams.inherit(&same.upstreams);
                let candidate = site.candidate.as_mut().and_then(Arc::get_mut);
                if let (Some(candidate), Some(before)) = (candidate, &same.candidate) {
                    candidate.inherit(before);
                }
            }
        }
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
    /// Its candidate ruleset.
    pub candidate: Option<Arc<Candidate>>,
}
