//! A ruleset that records are shown to.

use super::record::{Answered, Recorded, Verdict, is_bookkeeping};
use crate::cli::rules::{load_alone, rendered};
use crate::config::{Checked, Overrides};
use crate::engine::{BodyStep, Collections, Decision, Options, Transaction, World};
use crate::http::{Target, percent_decode};
use crate::reload::{Origin, file_loader, load};
use crate::ruleset::{Mode, Ruleset};
use crate::store::MemoryStore;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// The rules of a configuration's sites, or rule files alone.
pub(super) struct Side {
    config: Option<Arc<Checked>>,
    sites: Vec<Rules>,
    /// The one that serves all, whatever records say.
    only: Option<usize>,
    collections: Arc<MemoryStore>,
    drawn: Arc<AtomicU64>,
}

struct Rules {
    site: String,
    ruleset: Arc<Ruleset>,
    mode: Option<Mode>,
}

impl Side {
    /// Loads rule files, or a configuration when it is one; `site` chooses among its sites.
    ///
    /// # Errors
    ///
    /// Everything that keeps it from loading, for standard error.
    pub(super) fn load(files: &[String], site: Option<&str>) -> Result<Self, String> {
        let (config, sites) = match files {
            [file] if is_configuration(file) => configured(file)?,
            _ => {
                let loaded = load_alone(files);
                let told = rendered(&loaded);
                let ruleset = loaded.ruleset.ok_or(told)?;
                (None, vec![Rules { site: String::new(), ruleset, mode: None }])
            }
        };
        let only =
            match (site, sites.len()) {
                (None, 1) => Some(0),
                (Some(site), _) if config.is_some() => {
                    let names = || sites.iter().map(|s| s.site.as_str()).collect::<Vec<_>>().join(", ");
                    let found = sites.iter().position(|s| s.site == site);
                    Some(found.ok_or_else(|| {
                        format!("error: there is no site `{site}`; there is: {}\n", names())
                    })?)
                }
                (Some(_), _) => Some(0),
                (None, _) => None,
            };
        let collections = Arc::new(MemoryStore::new(COLLECTIONS, COLLECTION_BYTES));
        Ok(Self { config, sites, only, collections, drawn: Arc::default() })
    }

    /// What the rules make of a transaction; none when no site serves it.
    pub(super) fn judge(&self, recorded: &Recorded) -> Option<Verdict> {
        let rules = self.sites.get(self.only.or_else(|| self.route(recorded))?)?;
        let world = Replayed {
            now: recorded.time.unwrap_or_else(SystemTime::now),
            collections: Arc::clone(&self.collections),
            drawn: Arc::clone(&self.drawn),
        };
        // Off would say nothing of the rules.
        let mode = Some(rules.mode.unwrap_or(rules.ruleset.settings.mode));
        let mode = mode.filter(|mode| *mode != Mode::Off).unwrap_or(Mode::On);
        let options = Options { id: recorded.id.clone(), mode: Some(mode), world: Arc::new(world) };
        let mut transaction = Transaction::new(Arc::clone(&rules.ruleset), options);
        let status = pass(&mut transaction, recorded);
        let report = transaction.process_logging(status.unwrap_or(0));
        Some(Verdict {
            is_stopped: report.stop().is_some(),
            score: Some(report.scores.inbound.saturating_add(report.scores.outbound)),
            rules: report
                .logged()
                .filter(|hit| !is_bookkeeping(hit.id, None) && !hit.keeps_books())
                .map(|hit| hit.id)
                .collect(),
        })
    }

    /// The site of a record: the one it names, or the one that would serve it.
    fn route(&self, recorded: &Recorded) -> Option<usize> {
        if let Some(name) = &recorded.site
            && let Some(at) = self.sites.iter().position(|rules| rules.site == *name)
        {
            return Some(at);
        }
        let target = Target::parse(&recorded.method, &recorded.target);
        let host = recorded.header("host").or(target.authority).unwrap_or_default();
        let host = String::from_utf8_lossy(host);
        let host = match host.strip_prefix('[') {
            Some(literal) => literal.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let path = String::from_utf8_lossy(&percent_decode(target.path)).into_owned();
        self.config.as_ref()?.site_for(host, &path)
    }
}

/// Shows everything that was recorded; the response's status, when it came so far.
fn pass(transaction: &mut Transaction, recorded: &Recorded) -> Option<u16> {
    transaction.process_connection(recorded.client.unwrap_or(CLIENT), SERVER);
    transaction.process_uri(&recorded.method, &recorded.target, &recorded.protocol);
    for (name, value) in &recorded.headers {
        transaction.add_request_header(name, value);
    }
    go_on(transaction.process_request_headers())?;
    if transaction.request_body_wanted() && !recorded.body.is_empty() {
        feed(transaction.append_request_body(&recorded.body))?;
    }
    go_on(transaction.process_request_body())?;
    let Answered { status, protocol, headers, body } = recorded.response.as_ref()?;
    for (name, value) in headers {
        transaction.add_response_header(name, value);
    }
    go_on(transaction.process_response_headers(*status, protocol))?;
    if let Some(body) = body
        && transaction.response_body_wanted()
    {
        feed(transaction.append_response_body(body))?;
    }
    go_on(transaction.process_response_body())?;
    Some(*status)
}

fn go_on(decision: Decision) -> Option<()> {
    matches!(decision, Decision::Pass).then_some(())
}

fn feed(step: BodyStep) -> Option<()> {
    (!matches!(step, BodyStep::Interrupt(_))).then_some(())
}

const CLIENT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 40_000));
const SERVER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 80));
/// Persistent collections of one ruleset.
const COLLECTIONS: usize = 262_144;
/// Their bytes.
const COLLECTION_BYTES: usize = 128 << 20;

/// A configuration names sites or listeners at its top level; rule files in YAML have neither.
fn is_configuration(file: &str) -> bool {
    let is_yaml = file.ends_with(".yaml") || file.ends_with(".yml");
    let text = if is_yaml { std::fs::read_to_string(file).unwrap_or_default() } else { String::new() };
    text.lines().any(|line| line.starts_with("sites:") || line.starts_with("listeners:"))
}

fn configured(file: &str) -> Result<(Option<Arc<Checked>>, Vec<Rules>), String> {
    let origin = Origin { path: Some(PathBuf::from(file)), overrides: Overrides::default() };
    let loaded = load(&origin, 1, &file_loader());
    let told = loaded.render(crate::cli::console::colour());
    let generation =
        loaded.generation.ok_or_else(|| format!("{told}error: the configuration is not usable\n"))?;
    let sites = generation.sites.iter().map(|site| Rules {
        site: site.config.name.clone(),
        ruleset: Arc::clone(&site.ruleset),
        mode: site.config.mode,
    });
    Ok((Some(Arc::clone(&generation.config)), sites.collect()))
}

/// The outside as it was: the time of the record, collections of this ruleset alone, and nobody to ask for names.
struct Replayed {
    now: SystemTime,
    collections: Arc<MemoryStore>,
    drawn: Arc<AtomicU64>,
}

impl World for Replayed {
    fn now(&self) -> SystemTime {
        self.now
    }

    fn collections(&self) -> &dyn Collections {
        &*self.collections
    }

    /// The same ones in each run, so that one can be compared with the next.
    fn random(&self) -> u64 {
        self.drawn.fetch_add(1, Ordering::Relaxed).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}
