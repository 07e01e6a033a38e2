//! Reads and checks a configuration: file, then overrides, then everything that must hold for the whole.

use super::admin;
use super::admission_reader;
use super::document::{self, Data, Node};
use super::edge;
use super::listener;
use super::networks::network;
use super::place::{Place, read_bounded, read_up_to};
use super::reader::{Section, complain, to_usize};
use super::redis;
use super::schema;
use super::sink;
use super::site;
use super::{
    Audit, AuditFormat, AuditTarget, Checked, ClientLimits, CountryDatabase, Log, LogFormat, Measuring,
    Overrides, Process, Reload, Router, Site, Store,
};
use crate::audit::Redaction;
use crate::source::{SourceMap, Span};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics, Severity};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a load found.
#[derive(Debug)]
pub struct LoadedConfig {
    /// The configuration; none when a diagnostic is an error.
    pub config: Option<Checked>,
    /// Everything that was complained about, over all of the file.
    pub diagnostics: Diagnostics,
    /// The text that the diagnostics point into.
    pub sources: SourceMap,
    /// Files whose content the configuration depends on, itself first; rule files are not among them.
    pub files: Vec<PathBuf>,
}

/// Reads the configuration at `path`, if there is one, and lets `overrides` win over it.
///
/// A file that cannot be read is an error among the diagnostics like any other.
pub fn load(path: Option<&Path>, overrides: &Overrides) -> LoadedConfig {
    let Some(path) = path else { return check("", "", Path::new(""), overrides) };
    let name = path.display().to_string();
    let mut loaded = match read_bounded(path) {
        Ok(text) => check(&name, &text, path.parent().unwrap_or(Path::new("")), overrides),
        Err(error) => {
            let mut diagnostics = Diagnostics::new();
            diagnostics.push(unplaced("config-unreadable", format!("cannot read {name}: {error}")));
            LoadedConfig { config: None, diagnostics, sources: SourceMap::new(), files: Vec::new() }
        }
    };
    loaded.files.insert(0, path.to_owned());
    loaded
}

/// Checks the text of a configuration. `name` is for diagnostics; relative paths are taken from `directory`.
pub fn check(name: &str, text: &str, directory: &Path, overrides: &Overrides) -> LoadedConfig {
    let mut sources = SourceMap::new();
    let file = sources.add(name, text);
    let mut out = Diagnostics::new();
    let mut files = Vec::new();
    let config = document::parse(&sources, file, &mut out).and_then(|root| {
        let mut place = Place::new(directory, &mut files);
        read_top(&root, &mut place, overrides, &mut out)
    });
    let config = if out.has_errors() { None } else { config };
    LoadedConfig { config, diagnostics: out, sources, files }
}

fn geo_database(
    top: &Section<'_>,
    place: &mut Place<'_>,
    out: &mut Diagnostics,
) -> Option<Arc<CountryDatabase>> {
    let path = place.existing(top, "geo_database", out)?;
    let span = top.get("geo_database").map_or(top.span(), |n| n.span);
    let database = read_up_to(&path, crate::limits::SOURCE_FILE_BYTES as u64)
        .and_then(CountryDatabase::new)
        .map_err(|error| format!("cannot use {}: {error}", path.display()));
    complain(database, span, "geo_database", out).map(Arc::new)
}

fn unplaced(code: &'static str, message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Error, code, message, span: None, help: None, related: Vec::new() }
}

fn read_top(
    root: &Node,
    place: &mut Place<'_>,
    overrides: &Overrides,
    out: &mut Diagnostics,
) -> Option<Checked> {
    let top = Section::new(&schema::TOP, root, out);
    let listeners = listener::read(&top, place, overrides, out);
    let admin = admin::read(&top, place, overrides, out);
    let trusted_proxies = top.list("trusted_proxies", out, network);
    let client = client(&top, out);
    place.countries = geo_database(&top, place, out);
    let bans = admission_reader::bans(&top, place, out);
    let sites = sites(&top, place, overrides, out);
    let router = router(&sites, out);
    let audit = audit(&top, place, overrides, out);
    let metrics = metrics(&top, out);
    let log = log(&top, out);
    let process = process(&top, place, overrides, out);
    let reload = reload(&top, out);
    let store = store(&top, place, out);
    if listeners.iter().all(|l| l.tls.as_ref().is_none_or(|tls| tls.clients.is_none())) {
        for (site, span) in &sites {
            edge::complain_of_unasked(&site.edge, &site.name, *span, out);
        }
    }
    let uses_proxy_protocol = listeners.iter().any(|l| l.proxy_protocol);
    if uses_proxy_protocol && trusted_proxies.is_empty() {
        let what = "`proxy_protocol` without `trusted_proxies` refuses every connection";
        out.push(
            Diagnostic::error("config-value", top.span(), what)
                .help("name the load balancers' addresses in `trusted_proxies`"),
        );
    }
    let sites = sites.into_iter().map(|(site, _)| Arc::new(site)).collect();
    Some(Checked {
        listeners,
        admin,
        trusted_proxies,
        client,
        bans,
        sites,
        router,
        audit,
        metrics,
        log,
        process,
        reload,
        store,
    })
}

fn client(top: &Section<'_>, out: &mut Diagnostics) -> ClientLimits {
    let empty = Node { span: top.span(), data: Data::Null };
    let section = Section::new(&schema::CLIENT, top.get("client").unwrap_or(&empty), out);
    ClientLimits {
        head_timeout: section.duration("head_timeout", (1, 3_600), out).unwrap_or(Duration::from_secs(10)),
        keep_alive: section.duration("keep_alive", (1, 3_600), out).unwrap_or(Duration::from_secs(60)),
        head_bytes: to_usize(section.size("head_bytes", (1 << 10, 1 << 20), out).unwrap_or(64 << 10)),
        headers: section.count("headers", (8, 255), out).unwrap_or(128),
        uri_bytes: to_usize(section.size("uri_bytes", (256, 1 << 20), out).unwrap_or(16 << 10)),
        held_bytes: section.size("held_bytes", (1 << 20, 1 << 44), out).unwrap_or(512 << 20),
        unsent_bytes: section.size("unsent_bytes", (1 << 20, 1 << 44), out).unwrap_or(1 << 30),
        write_timeout: section.duration("write_timeout", (1, 3_600), out).unwrap_or(Duration::from_secs(60)),
        min_rate: section.size("min_rate", (1, 1 << 30), out).unwrap_or(512),
    }
}

fn sites(
    top: &Section<'_>,
    place: &mut Place<'_>,
    overrides: &Overrides,
    out: &mut Diagnostics,
) -> Vec<(Site, Span)> {
    let nodes = top.items("sites");
    let mut all: Vec<(Site, Span)> = Vec::new();
    for node in &nodes {
        let Some(site) = site::read(node, place, overrides, out) else { continue };
        if let Some((_, first)) = all.iter().find(|(s, _)| s.name == site.name) {
            let what = format!("two sites are named `{}`", site.name);
            out.push(Diagnostic::error("config-conflict", node.span, what).related(*first, "the first one"));
        }
        all.push((site, node.span));
    }
    if nodes.is_empty() {
        if overrides.upstreams.is_empty() {
            let complaint =
                Diagnostic::error("config-missing", top.span(), "there is nothing to protect: no `sites`");
            out.push(complaint.help("add a site with a `name` and `upstreams`, or name an upstream by flag"));
        } else if let Some(site) = site::alone(overrides, top.span(), out) {
            all.push((site, top.span()));
        }
    }
    if all.len() > SITES {
        let what = format!("{} sites; at most {SITES} are possible", all.len());
        out.push(Diagnostic::error("config-value", top.span(), what));
    }
    all
}

/// Sites of one configuration: their names are label values of metrics.
const SITES: usize = 1_000;

fn router(sites: &[(Site, Span)], out: &mut Diagnostics) -> Router {
    let mut router = Router::default();
    for (index, (site, span)) in sites.iter().enumerate() {
        for host in &site.hosts {
            for path in &site.paths {
                let Some(taken) = router.add(host, path, index) else { continue };
                let Some((other, first)) = sites.get(taken) else { continue };
                let what = if taken == index {
                    format!("site `{}` names {host}{path} twice", site.name)
                } else {
                    format!("{host}{path} belongs to site `{}` already", other.name)
                };
                out.push(Diagnostic::error("config-conflict", *span, what).related(*first, "this one"));
            }
        }
    }
    router
}

fn audit(top: &Section<'_>, place: &mut Place<'_>, overrides: &Overrides, out: &mut Diagnostics) -> Audit {
    let empty = Node { span: top.span(), data: Data::Null };
    let section = Section::new(&schema::AUDIT, top.get("audit").unwrap_or(&empty), out);
    let target = |text: &str, directory: &Path| match text {
        "-" => AuditTarget::Stdout,
        "off" => AuditTarget::Off,
        path => AuditTarget::File(directory.join(path)),
    };
    let from_file = section.text("log", out).map(|text| target(&text, place.directory));
    let from_flag = overrides.audit_log.as_deref().map(|text| target(text, Path::new("")));
    let redact = section.get("redact").map(|node| {
        let section = Section::new(&schema::REDACT, node, out);
        Redaction {
            arguments: section.texts("arguments", out),
            headers: section.texts("headers", out),
            show: section.texts("show", out),
        }
    });
    Audit {
        target: from_flag.or(from_file).unwrap_or(AuditTarget::Off),
        format: section.word("format", &AuditFormat::WORDS, out).unwrap_or_default(),
        rotate_bytes: section.size("rotate_size", (0, 1 << 44), out).unwrap_or(100 << 20),
        rotate_keep: section.count("rotate_keep", (0, 1_000), out).unwrap_or(5),
        queue: section
            .count("queue", (1, 10_000_000), out)
            .and_then(NonZeroUsize::new)
            .unwrap_or(AUDIT_QUEUE),
        queue_bytes: to_usize(section.size("queue_bytes", (1 << 16, 1 << 40), out).unwrap_or(64 << 20)),
        sinks: sink::read_all(&section.items("sinks"), place, out),
        redact: redact.unwrap_or_default(),
    }
}

fn metrics(top: &Section<'_>, out: &mut Diagnostics) -> Measuring {
    let empty = Node { span: top.span(), data: Data::Null };
    let section = Section::new(&schema::METRICS, top.get("metrics").unwrap_or(&empty), out);
    let sample = section.count("rule_cost_sample", (0, 1_000_000), out).unwrap_or(1_000);
    Measuring { rule_costs: u32::try_from(sample).unwrap_or(u32::MAX) }
}

const AUDIT_QUEUE: NonZeroUsize = NonZeroUsize::new(8_192).expect("8192 is not 0");

fn log(top: &Section<'_>, out: &mut Diagnostics) -> Log {
    let empty = Node { span: top.span(), data: Data::Null };
    let section = Section::new(&schema::LOG, top.get("log").unwrap_or(&empty), out);
    let filter = section.value("level", out, |text| {
        let read: Result<tracing_subscriber::filter::Targets, _> = text.parse();
        read.map(|_| text.to_owned()).map_err(|e| format!("not a level or filter: {e}"))
    });
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    Log {
        filter: filter.unwrap_or_else(|| "info".to_owned()),
        format: section.word("format", &formats, out).unwrap_or_default(),
    }
}

fn process(
    top: &Section<'_>,
    place: &mut Place<'_>,
    overrides: &Overrides,
    out: &mut Diagnostics,
) -> Process {
    let empty = Node { span: top.span(), data: Data::Null };
    let section = Section::new(&schema::PROCESS, top.get("process").unwrap_or(&empty), out);
    let workers = section.count("workers", (1, 1_024), out).and_then(NonZeroUsize::new);
    Process {
        workers: overrides.workers.or(workers),
        user: section.text("user", out),
        group: section.text("group", out),
        pid_file: section.text("pid_file", out).map(|text| place.directory.join(text)),
        grace: section.duration("grace", (0, 86_400), out).unwrap_or(Duration::from_secs(30)),
    }
}

fn reload(top: &Section<'_>, out: &mut Diagnostics) -> Reload {
    let empty = Node { span: top.span(), data: Data::Null };
    let section = Section::new(&schema::RELOAD, top.get("reload").unwrap_or(&empty), out);
    let watch = section.boolean("watch", out).unwrap_or(true);
    let interval = section.duration("interval", (0, 86_400), out).unwrap_or(Duration::from_secs(2));
    Reload { interval: watch.then_some(interval) }
}

fn store(top: &Section<'_>, place: &mut Place<'_>, out: &mut Diagnostics) -> Store {
    let empty = Node { span: top.span(), data: Data::Null };
    let section = Section::new(&schema::STORE, top.get("store").unwrap_or(&empty), out);
    Store {
        collections: section.count("collections", (64, 100_000_000), out).unwrap_or(262_144),
        bytes: to_usize(section.size("bytes", (1 << 16, 1 << 40), out).unwrap_or(128 << 20)),
        redis: redis::read(&section, place, out),
        limit_keys: section.count("limit_keys", (1_024, 100_000_000), out).unwrap_or(262_144),
    }
}
