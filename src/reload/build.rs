//! From a configuration to a generation.

use super::balancer::Balancer;
use super::candidate::{Candidate, Evidence};
use super::generation::{Generation, SiteRuntime};
use super::recording::{Footprint, Recording};
use crate::compile::{self, EMBEDDED, Input, Posture};
use crate::config::{self, Checked, LoadedConfig, Overrides, RuleInput};
use crate::ruleset::{Mode, Ruleset};
use crate::source::SourceMap;
use crate::syntax::diagnostic::{self, Diagnostic, Diagnostics, Severity};
use crate::syntax::seclang::{EmbeddedLoader, FileLoader, Loader, has_wildcard};
use std::collections::HashMap;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The file; none when flags say everything.
    pub path: Option<PathBuf>,
    /// What wins over the file.
    pub overrides: Overrides,
}

/// What a load made.
#[derive(Debug)]
pub struct Loaded {
    /// The generation, unless something was faulty.
    pub generation: Option<Generation>,
    /// What the rules of each site amount to, in the order of the sites.
    pub postures: Vec<SitePosture>,
    /// Everything that was complained about, in the configuration and in each ruleset.
    pub complaints: Vec<Complaints>,
    pub(super) footprint: Footprint,
}

/// What one site's rules amount to.
#[derive(Clone, Debug)]
pub struct SitePosture {
    /// The site's name.
    pub site: String,
    /// The site's own mode, which overrides that of its rules.
    pub mode: Option<Mode>,
    /// The facts.
    pub posture: Arc<Posture>,
}

/// Complaints with the text that they point into.
#[derive(Debug)]
pub struct Complaints {
    /// What was said.
    pub diagnostics: Diagnostics,
    /// Where.
    pub sources: SourceMap,
    /// Rules without tests, for those who want to be strict.
    pub untested: Vec<Diagnostic>,
}

impl Loaded {
    /// How many complaints are of `severity`.
    pub fn count(&self, severity: Severity) -> usize {
        let of = |c: &Complaints| c.diagnostics.iter().filter(|d| d.severity == severity).count();
        self.complaints.iter().map(of).sum()
    }

    /// All complaints for people, as [`diagnostic::render`] writes them.
    pub fn render(&self, colour: bool) -> String {
        let said = self.complaints.iter().filter(|c| !c.diagnostics.is_empty());
        said.map(|c| diagnostic::render(&c.diagnostics, &c.sources, colour)).collect()
    }

    /// Adds an error about the whole, and takes the generation away.
    pub(super) fn refuse(&mut self, code: &'static str, message: String) {
        self.generation = None;
        self.complaints.push(unplaced(Severity::Error, code, message));
    }
}

fn unplaced(severity: Severity, code: &'static str, message: String) -> Complaints {
    let mut diagnostics = Diagnostics::new();
    diagnostics.push(Diagnostic { severity, code, message, span: None, help: None, related: Vec::new() });
    Complaints { diagnostics, sources: SourceMap::new(), untested: Vec::new() }
}

/// Files from the file system, and the rulesets inside the binary.
pub fn file_loader() -> EmbeddedLoader<FileLoader> {
    EmbeddedLoader::new(EMBEDDED, FileLoader)
}

/// Reads, checks and compiles everything that `origin` names. Never stops at the first fault.
///
/// All of it happens on a thread that ends with it. An allocator keeps memory for each thread: what compiling has left
/// over between the pieces of a ruleset would stay with the one that waits for the next reload, and is now there for
/// those that serve.
pub fn load(origin: &Origin, number: u64, loader: &(dyn Loader + Sync)) -> Loaded {
    std::thread::scope(|scope| {
        let named = std::thread::Builder::new().name("loading".into());
        match named.spawn_scoped(scope, || load_here(origin, number, loader)) {
            Ok(loading) => loading.join().unwrap_or_else(|panic| resume_unwind(panic)),
            // As many threads as there may be: it costs memory, no more.
            Err(_) => load_here(origin, number, loader),
        }
    })
}

fn load_here(origin: &Origin, number: u64, loader: &dyn Loader) -> Loaded {
    let LoadedConfig { config, diagnostics, sources, files } =
        config::load(origin.path.as_deref(), &origin.overrides);
    let recording = Recording::new(loader, &files);
    let mut complaints = vec![Complaints { diagnostics, sources, untested: Vec::new() }];
    let mut postures = Vec::new();
    let mut sites = Vec::new();
    if let Some(config) = &config {
        let mut known: HashMap<&[RuleInput], Compiled> = HashMap::new();
        let mut compile = |rules| {
            let compiled: &mut Compiled = known.entry(rules).or_insert_with(|| {
                let own = Recording::new(&recording, &[]);
                let loaded = load_rules(rules, &own);
                let untested = loaded.untested();
                let (diagnostics, sources) = (loaded.diagnostics, loaded.sources);
                complaints.push(Complaints { diagnostics, sources, untested });
                let print = own.footprint().hash(&format!("{rules:?}"));
                Compiled { ruleset: loaded.ruleset, posture: Arc::new(loaded.posture), print }
            });
            compiled.clone()
        };
        for site in &config.sites {
            let own = compile(&site.rules);
            postures.push(SitePosture {
                site: site.name.clone(),
                mode: site.mode,
                posture: Arc::clone(&own.posture),
            });
            let Some(ruleset) = own.ruleset.clone() else { continue };
            let candidate = match &site.shadow {
                Some(shadow) => {
                    let compiled = compile(&shadow.rules);
                    let Some(candidate) = compiled.candidate(shadow.sample, site.mode, &own) else {
                        continue;
                    };
                    Some(Arc::new(candidate))
                }
                None => None,
            };
            let upstreams = Balancer::new(site);
            sites.push(SiteRuntime { config: Arc::clone(site), ruleset, upstreams, candidate });
        }
    }
    let footprint = recording.footprint();
    // Flags and environment decide too, and so does the version: rules inside the binary change with it.
    let hash = footprint.hash(&format!("{} {:?}", env!("CARGO_PKG_VERSION"), origin.overrides));
    let generation = config.filter(|config| sites.len() == config.sites.len()).map(|config: Checked| {
        Generation { number, hash, config: Arc::new(config), sites, loaded_at: SystemTime::now() }
    });
    Loaded { generation, postures, complaints, footprint }
}

/// What one list of rule text compiled to.
#[derive(Clone)]
struct Compiled {
    ruleset: Option<Arc<Ruleset>>,
    posture: Arc<Posture>,
    /// A hash of all that it was compiled from.
    print: String,
}

impl Compiled {
    /// As a candidate beside `site`, whose mode may be set; none when it has faults.
    fn candidate(self, sample: u32, mode: Option<Mode>, site: &Compiled) -> Option<Candidate> {
        let decides = mode.or_else(|| site.ruleset.as_ref().map(|ruleset| ruleset.settings.mode));
        let mode = decides.filter(|mode| *mode != Mode::Off).unwrap_or(Mode::On);
        let print = format!("{} {} {mode:?}", site.print, self.print);
        let evidence = Arc::new(Evidence::new());
        Some(Candidate { ruleset: self.ruleset?, posture: self.posture, mode, sample, evidence, print })
    }
}

/// Reads and compiles rule text as a site names it: a pattern stands for the files that it matches, in the order
/// of their names. Warns of patches that should have been looked at again by now.
pub fn load_rules(rules: &[RuleInput], loader: &dyn Loader) -> compile::Loaded {
    let mut inputs: Vec<Input> = Vec::new();
    let mut unmatched = Vec::new();
    for rule in rules {
        match rule {
            RuleInput::Text { name, text } => {
                inputs.push(Input::Text { name: name.clone(), text: text.clone() });
            }
            RuleInput::File(path) if has_wildcard(path) => match loader.expand(path) {
                Ok(files) if files.is_empty() => {
                    unmatched.push((Severity::Warning, format!("no rule file matches {path}")));
                }
                Ok(files) => inputs.extend(files.into_iter().map(Input::File)),
                Err(error) => unmatched.push((Severity::Error, format!("{path}: {error}"))),
            },
            RuleInput::File(path) => {
                let pack = path.strip_prefix(config::EXCLUSION_PACKS);
                match pack.filter(|_| loader.expand(path).is_ok_and(|files| files.is_empty())) {
                    Some(name) => unmatched.push((Severity::Error, no_pack(name))),
                    None => inputs.push(Input::File(path.clone())),
                }
            }
            RuleInput::Patch { file, detection_only } => match loader.expand(file) {
                Ok(files) if files.is_empty() => {
                    let name = file.strip_prefix("@virtual-patches/").unwrap_or(file);
                    unmatched.push((Severity::Error, format!("there is no virtual patch {name}")));
                }
                Ok(files) => files.into_iter().for_each(|file| patch(&mut inputs, file, *detection_only)),
                Err(error) => unmatched.push((Severity::Error, format!("{file}: {error}"))),
            },
        }
    }
    let mut loaded = compile::load(&inputs, loader);
    for (severity, message) in unmatched {
        let code = "rule-files";
        let complaint = Diagnostic { severity, code, message, span: None, help: None, related: Vec::new() };
        loaded.diagnostics.push(complaint);
    }
    for patch in loaded.posture.past_review(today()) {
        let message =
            format!("the virtual patch {} should have been reviewed by now; it goes on", patch.name);
        let help = format!(
            "{} answers for it: if it is still needed, set review_by to a later day; if not, remove it",
            patch.owner
        );
        loaded
            .diagnostics
            .push(Diagnostic::warning("patch-review", patch.review_by.span, message).help(help));
    }
    if loaded.diagnostics.has_errors() {
        loaded.ruleset = None;
    }
    loaded
}

/// What to say of a pack of exclusions that there is not.
fn no_pack(name: &str) -> String {
    let names = EMBEDDED.iter().filter_map(|(name, _)| name.strip_prefix(config::EXCLUSION_PACKS));
    let names: Vec<_> = names.filter_map(|name| name.strip_suffix(".yaml")).collect();
    let name = name.strip_suffix(".yaml").unwrap_or(name);
    format!("there is no pack of exclusions {name}; there are {}", names.join(", "))
}

/// The day, in UTC.
pub fn today() -> time::Date {
    time::OffsetDateTime::from(SystemTime::now()).date()
}

/// Adds a patch to `inputs`. What is said later of one that is there already wins.
fn patch(inputs: &mut Vec<Input>, file: String, detection_only: bool) {
    let known = inputs.iter_mut().find_map(|input| match input {
        Input::Patch { file: known, detection_only } if *known == file => Some(detection_only),
        _ => None,
    });
    match known {
        Some(known) => *known = detection_only,
        None => inputs.push(Input::Patch { file, detection_only }),
    }
}
