//! Reads one site.

use super::admission_reader;
use super::balance;
use super::document::{Data, Node};
use super::edge;
use super::exclusion;
use super::load::{lone_word, read_bounded, required};
use super::reader::{Section, complain, scalar};
use super::schema;
use super::{
    Balance, CountryDatabase, EMBEDDED_RULESET, Edge, Failure, FailureOutcome, FailurePolicy, Forwarded,
    ForwardedPolicy, HostHeader, HostPattern, Identity, NetworkSet, Overload, Overrides, RuleInput, Shadow,
    Site, SiteTimeouts, Upstream, UpstreamHttp2, UpstreamTls,
};
use crate::ruleset::Mode;
use crate::source::Span;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where relative paths start, and which files have been named.
pub(super) struct Place<'a> {
    pub(super) directory: &'a Path,
    pub(super) files: &'a mut Vec<PathBuf>,
    /// Lists of networks that have been read already.
    pub(super) lists: BTreeMap<PathBuf, Arc<NetworkSet>>,
    /// What tells countries.
    pub(super) countries: Option<Arc<CountryDatabase>>,
}

impl<'a> Place<'a> {
    /// Relative paths start at `directory`; what is named is added to `files`.
    pub(super) fn new(directory: &'a Path, files: &'a mut Vec<PathBuf>) -> Self {
        Self { directory, files, lists: BTreeMap::new(), countries: None }
    }

    /// The files of the list `key`, with their places in the text; all must exist.
    pub(super) fn all_existing(
        &mut self,
        section: &Section<'_>,
        key: &str,
        out: &mut Diagnostics,
    ) -> Vec<(PathBuf, Span)> {
        let mut all = Vec::new();
        for node in section.items(key) {
            let Some(text) = scalar(node, key, out) else { continue };
            let path = self.directory.join(text);
            // Noted also when it is not there, so that its coming is noticed.
            self.files.push(path.clone());
            let found = std::fs::File::open(&path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()));
            all.extend(complain(found, node.span, key, out).map(|_| (path, node.span)));
        }
        all
    }

    /// The file that `key` names; it must exist, and is noted as one that the configuration depends on.
    pub(super) fn existing(
        &mut self,
        section: &Section<'_>,
        key: &str,
        out: &mut Diagnostics,
    ) -> Option<PathBuf> {
        let path = section.value(key, out, |text| {
            let path = self.directory.join(text);
            match std::fs::File::open(&path) {
                Ok(_) => Ok(path),
                Err(error) => Err(format!("cannot read {}: {error}", path.display())),
            }
        })?;
        self.files.push(path.clone());
        Some(path)
    }

    /// The text of the file that `key` names.
    pub(super) fn text(&mut self, section: &Section<'_>, key: &str, out: &mut Diagnostics) -> Option<String> {
        let path = self.existing(section, key, out)?;
        let span = section.get(key).map_or(section.span(), |node| node.span);
        let read = read_bounded(&path).map_err(|error| format!("cannot read {}: {error}", path.display()));
        complain(read, span, key, out)
    }

    /// `text` as the name of a rule file: built-in names stay, others are taken from the file's directory.
    pub(super) fn rule_file(&self, text: &str) -> String {
        if text.starts_with('@') { text.to_owned() } else { self.directory.join(text).display().to_string() }
    }
}

/// The site at `node`. Complaints about it do not keep the rest of it from being read.
pub(super) fn read(
    node: &Node,
    place: &mut Place<'_>,
    overrides: &Overrides,
    out: &mut Diagnostics,
) -> Option<Site> {
    let section = Section::new(&schema::SITE, node, out);
    let given = required(&section, "name", out);
    let name = if given { section.value("name", out, name) } else { None };
    let mut hosts = section.list("hosts", out, str::parse::<HostPattern>);
    if hosts.is_empty() {
        hosts.push(HostPattern::Any);
    }
    let mut paths = section.list("paths", out, path);
    if paths.is_empty() {
        paths.push("/".to_owned());
    }
    let upstreams = upstreams(&section, place, overrides, out);
    let label = name.as_deref().unwrap_or("?");
    let rules = rules(&section, None, label, place, overrides, out);
    let shadow = shadow(&section, label, place, overrides, out);
    let modes = [("On", Mode::On), ("DetectionOnly", Mode::DetectionOnly), ("Off", Mode::Off)];
    let mode = section.word("mode", &modes, out);
    let request_id_header = match section.text("request_id_header", out).as_deref() {
        None => Some(REQUEST_ID.to_owned()),
        Some("off") => None,
        Some(text) => {
            let span = section.get("request_id_header").map_or(section.span(), |n| n.span);
            complain(header_name(text), span, "request_id_header", out)
        }
    };
    let host_header = section.value("host_header", out, |text| match text {
        "preserve" => Ok(HostHeader::Preserve),
        "upstream" => Ok(HostHeader::Upstream),
        text => fixed_host(text),
    });
    let site = Site {
        name: name.unwrap_or_default(),
        hosts,
        paths,
        upstreams,
        rules,
        shadow,
        mode: overrides.mode.or(mode),
        failure: failure(&section, out),
        overload: overload(&section, out),
        access: admission_reader::access(&section, place, out),
        rate_limits: admission_reader::rate_limits(&section, place, out),
        timeouts: timeouts(&section, out),
        request_id_header,
        request_id_trusted: section.boolean("trust_request_id", out).unwrap_or(false),
        forwarded: forwarded(&section, out),
        host_header: host_header.unwrap_or(HostHeader::Preserve),
        balance: balance::balance(&section, out),
        maintenance: balance::maintenance(&section, place, out),
        edge: edge::read(&section, out),
    };
    (!site.name.is_empty()).then_some(site)
}

/// The one site there is when everything is said by flags.
pub(super) fn alone(overrides: &Overrides, span: Span, out: &mut Diagnostics) -> Option<Site> {
    let empty = Node { span, data: Data::Null };
    let section = Section::new(&schema::SITE, &empty, out);
    let mut files = Vec::new();
    let mut place = Place::new(Path::new(""), &mut files);
    Some(Site {
        name: "default".to_owned(),
        hosts: vec![HostPattern::Any],
        paths: vec!["/".to_owned()],
        upstreams: upstreams(&section, &mut place, overrides, out),
        rules: rules(&section, None, "default", &mut place, overrides, out),
        shadow: None,
        mode: overrides.mode,
        failure: FailurePolicy::all(FailureOutcome::Closed),
        overload: Overload::default(),
        access: Vec::new(),
        rate_limits: Vec::new(),
        timeouts: timeouts(&section, out),
        request_id_header: Some(REQUEST_ID.to_owned()),
        request_id_trusted: false,
        forwarded: forwarded(&section, out),
        host_header: HostHeader::Preserve,
        balance: Balance::default(),
        maintenance: None,
        edge: Edge::default(),
    })
}

const REQUEST_ID: &str = "X-Request-Id";

fn upstreams(
    section: &Section<'_>,
    place: &mut Place<'_>,
    overrides: &Overrides,
    out: &mut Diagnostics,
) -> Vec<Upstream> {
    let nodes = section.items("upstreams");
    let mut from_file: Vec<Upstream> = Vec::new();
    for node in &nodes {
        let Some(upstream) = upstream(node, place, out) else { continue };
        if from_file.iter().any(|other| other.url == upstream.url) {
            let what = format!("two upstreams are {}", upstream.url);
            out.push(
                Diagnostic::error("config-conflict", node.span, what)
                    .help("give one a larger `weight` instead"),
            );
        }
        from_file.push(upstream);
    }
    if overrides.upstreams.is_empty() {
        if nodes.is_empty() {
            out.push(Diagnostic::error("config-missing", section.span(), "`upstreams` is missing or empty"));
        }
        return from_file;
    }
    let mut all = Vec::new();
    for url in &overrides.upstreams {
        all.extend(complain(parse_url(url), section.span(), "upstream flag", out).map(|u| u.upstream(url)));
    }
    all
}

fn upstream(node: &Node, place: &mut Place<'_>, out: &mut Diagnostics) -> Option<Upstream> {
    if let Data::Scalar(url) = &node.data {
        return complain(parse_url(url), node.span, "upstreams", out).map(|u| u.upstream(url));
    }
    let section = Section::new(&schema::UPSTREAM, node, out);
    let weight = section.value("weight", out, |text| {
        let weight = text.parse::<NonZeroU32>().ok().filter(|w| w.get() <= 1_000);
        weight.ok_or("expected a whole number from 1 to 1000")
    });
    let http2 = [
        ("never", UpstreamHttp2::Never),
        ("offered", UpstreamHttp2::Offered),
        ("always", UpstreamHttp2::Always),
    ];
    let http2 = section.word("http2", &http2, out);
    let verify = section.boolean("verify", out);
    let sni = section.value("sni", out, |text| match text.parse::<HostPattern>() {
        Ok(HostPattern::Exact(name)) => Ok(name),
        _ => Err("expected a host name"),
    });
    let ca = place.existing(&section, "ca", out);
    let certificate = place.existing(&section, "client_certificate", out);
    let key = place.existing(&section, "client_key", out);
    for (given, other) in [("client_certificate", "client_key"), ("client_key", "client_certificate")] {
        if let Some(node) = section.get(given)
            && section.get(other).is_none()
        {
            let what = format!("`{given}` without `{other}`");
            out.push(Diagnostic::error("config-missing", node.span, what));
        }
    }
    let max_connections = balance::max_connections(&section, out);
    if !required(&section, "url", out) {
        return None;
    }
    let url = section.text("url", out)?;
    let span = section.get("url").map_or(section.span(), |n| n.span);
    let mut upstream = complain(parse_url(&url), span, "url", out)?.upstream(&url);
    match &mut upstream.tls {
        Some(tls) => {
            tls.verify = verify.unwrap_or(true);
            tls.ca = ca;
            tls.identity = certificate.zip(key).map(|(certificate, key)| Identity { certificate, key });
            if let Some(sni) = sni {
                tls.sni = sni;
            }
            if !tls.verify {
                let what =
                    format!("the certificate of {url} is not verified: anybody in between can read along");
                let complaint = Diagnostic::warning("config-unverified-upstream", section.span(), what);
                out.push(complaint.help("give its authority as `ca` instead"));
            }
        }
        None => {
            for key in ["verify", "sni", "ca", "client_certificate", "client_key"] {
                if let Some(node) = section.get(key) {
                    let what = format!("`{key}` has no meaning for an `http` upstream");
                    out.push(Diagnostic::error("config-conflict", node.span, what));
                }
            }
        }
    }
    if let Some(http2) = http2 {
        if http2 == UpstreamHttp2::Offered && upstream.tls.is_none() {
            let span = section.get("http2").map_or(section.span(), |n| n.span);
            let complaint = Diagnostic::error("config-conflict", span, "only TLS can offer HTTP/2");
            out.push(complaint.help("write `always` if the upstream speaks HTTP/2 with prior knowledge"));
        }
        upstream.http2 = http2;
    }
    upstream.weight = weight.unwrap_or(NonZeroU32::MIN);
    upstream.max_connections = max_connections;
    Some(upstream)
}

/// Bytes of the path of a Unix socket (`sun_path`).
const SOCKET_PATH: usize = 108;

/// The parts of an upstream's URL.
struct UpstreamUrl {
    tls: bool,
    host: String,
    port: u16,
}

impl UpstreamUrl {
    fn upstream(self, url: &str) -> Upstream {
        Upstream {
            url: url.to_owned(),
            tls: self.tls.then(|| UpstreamTls {
                verify: true,
                sni: self.host.clone(),
                ca: None,
                identity: None,
            }),
            host: self.host,
            port: self.port,
            http2: UpstreamHttp2::Never,
            weight: NonZeroU32::MIN,
            max_connections: None,
        }
    }
}

fn parse_url(url: &str) -> Result<UpstreamUrl, String> {
    if let Some(path) = url.strip_prefix("unix:") {
        let is_sound =
            path.starts_with('/') && path.len() < SOCKET_PATH && !path.chars().any(char::is_control);
        let host = path.to_owned();
        return match is_sound {
            true => Ok(UpstreamUrl { tls: false, host, port: 0 }),
            false => Err(format!("a Unix socket is an absolute path of less than {SOCKET_PATH} bytes")),
        };
    }
    let (tls, rest) = match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
        Some(_) => return Err("the scheme is `http` or `https`".to_owned()),
        None => return Err(format!("expected a URL; write `http://{url}`")),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err("an upstream has no path: requests keep their own".to_owned());
    }
    if authority.contains('@') {
        return Err("an upstream's URL has no user name or password".to_owned());
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let port = port.parse::<u16>().ok().filter(|p| *p != 0);
            (host, port.ok_or("the port is a number from 1 to 65535")?)
        }
        _ => (authority, if tls { 443 } else { 80 }),
    };
    if host.contains(':') && !host.starts_with('[') {
        return Err("an IPv6 address stands in brackets".to_owned());
    }
    match host.parse::<HostPattern>()? {
        HostPattern::Exact(host) => Ok(UpstreamUrl { tls, host, port }),
        HostPattern::Any | HostPattern::Wildcard(_) => Err("an upstream is one host".to_owned()),
    }
}

/// The candidate ruleset of a site.
fn shadow(
    site: &Section<'_>,
    label: &str,
    place: &mut Place<'_>,
    overrides: &Overrides,
    out: &mut Diagnostics,
) -> Option<Shadow> {
    let section = Section::new(&schema::SHADOW, site.get("shadow")?, out);
    if SHADOWED.iter().all(|key| section.get(key).is_none()) {
        let what = "`shadow` names nothing that differs from the site";
        let complaint = Diagnostic::error("config-missing", section.span(), what);
        out.push(complaint.help("give at least one of `rules`, `patches`, `directives` and `exclusions`"));
    }
    let sample = section.value("sample", out, share).unwrap_or(SHADOW_SAMPLE);
    Some(Shadow { rules: rules(site, Some(&section), label, place, overrides, out), sample })
}

/// Settings of a site that its candidate may have otherwise.
pub(super) const SHADOWED: [&str; 4] = ["rules", "patches", "directives", "exclusions"];

/// A tenth.
const SHADOW_SAMPLE: u32 = Shadow::ALL / 10;

/// A share as parts of a million.
fn share(text: &str) -> Result<u32, String> {
    let bad = || "expected a share above 0 and up to all, such as `10%`, `0.5%` or `0.1`".to_owned();
    let (number, whole) = match text.strip_suffix('%') {
        Some(number) => (number.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let number: f64 = number.parse().map_err(|_| bad())?;
    let parts = (number / whole * f64::from(Shadow::ALL)).round();
    if !(1.0..=f64::from(Shadow::ALL)).contains(&parts) {
        return Err(bad());
    }
    // It lies between 1 and a million.
    Ok(parts as u32)
}

/// Rule text of a site, or of its candidate ruleset: what `shadow` does not name is the site's.
fn rules(
    site: &Section<'_>,
    shadow: Option<&Section<'_>>,
    label: &str,
    place: &mut Place<'_>,
    overrides: &Overrides,
    out: &mut Diagnostics,
) -> Vec<RuleInput> {
    // What the candidate takes from the site has been complained about there.
    let mut told = Diagnostics::new();
    let own = |key: &str| shadow.filter(|shadow| shadow.get(key).is_some());
    let text = |what: &str, key: &str, text: String| {
        let whose = if own(key).is_some() { "shadow: " } else { "" };
        RuleInput::Text { name: format!("site {label}: {whose}{what}"), text }
    };
    // With a candidate, only what it says itself is news.
    macro_rules! from {
        ($key:expr) => {
            match (own($key), shadow) {
                (Some(section), _) => (section, &mut *out),
                (None, None) => (site, &mut *out),
                (None, Some(_)) => (site, &mut told),
            }
        };
    }
    let (section, complaints) = from!("exclusions");
    let exclusions = exclusion::read(section, place, complaints);
    let mut all = exclusions.packs;
    all.extend(exclusions.before.map(|t| text("exclusions by path", "exclusions", t)));
    let (section, complaints) = from!("patches");
    all.extend(patches(section, place, complaints));
    let (section, complaints) = from!("rules");
    let nodes = section.items("rules");
    let mut from_file = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        match &node.data {
            Data::Mapping(_) => {
                let inner = Section::new(&schema::RULE_TEXT, node, complaints);
                if required(&inner, "text", complaints) {
                    let read = inner.text("text", complaints);
                    from_file.extend(read.map(|t| text(&format!("rules[{index}]"), "rules", t)));
                }
            }
            _ => from_file
                .extend(scalar(node, "rules", complaints).map(|t| RuleInput::File(place.rule_file(t)))),
        }
    }
    if nodes.is_empty() {
        from_file.push(RuleInput::File(EMBEDDED_RULESET.to_owned()));
    }
    if overrides.rules.is_empty() || own("rules").is_some() {
        all.extend(from_file);
    } else {
        all.extend(overrides.rules.iter().map(|file| RuleInput::File(file.clone())));
    }
    let (section, complaints) = from!("directives");
    all.extend(section.text("directives", complaints).map(|t| text("directives", "directives", t)));
    all.extend(exclusions.after.map(|t| text("exclusions", "exclusions", t)));
    all
}

/// The virtual patches of a site, in the order of the file. They stand before its rules, so that what those let
/// pass by `allow` or `skipAfter` is looked at all the same.
fn patches(section: &Section<'_>, place: &Place<'_>, out: &mut Diagnostics) -> Vec<RuleInput> {
    let mut all = Vec::new();
    for node in section.items("patches") {
        let (names, detection_only) = match &node.data {
            Data::Mapping(_) => {
                let inner = Section::new(&schema::PATCH, node, out);
                let words = [("On", false), ("DetectionOnly", true)];
                let detection_only = inner.word("mode", &words, out).unwrap_or(false);
                required(&inner, "patch", out);
                (inner.list("patch", out, |text| Ok::<_, String>(text.to_owned())), detection_only)
            }
            _ => (scalar(node, "patches", out).into_iter().map(str::to_owned).collect(), false),
        };
        for name in names {
            let is_file = name.contains(['/', '@']) || name.ends_with(".yaml") || name.ends_with(".yml");
            let file = if is_file { place.rule_file(&name) } else { in_catalogue(&name) };
            all.push(RuleInput::Patch { file, detection_only });
        }
    }
    all
}

/// The files of the catalogue that `name` means: a name, the start of one that is a whole CVE number, or a glob.
fn in_catalogue(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let number = name.strip_prefix("cve-").and_then(|rest| rest.split_once('-'));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match number {
        Some((year, number)) if digits(year) && digits(number) => format!("{PATCHES}{name}[-.]*"),
        _ => format!("{PATCHES}{name}.yaml"),
    }
}

/// Where the catalogue of virtual patches is embedded.
const PATCHES: &str = "@virtual-patches/";

fn failure(section: &Section<'_>, out: &mut Diagnostics) -> FailurePolicy {
    let words = [("closed", FailureOutcome::Closed), ("open", FailureOutcome::Open)];
    match section.get("fail") {
        None => FailurePolicy::all(FailureOutcome::Closed),
        Some(node @ Node { data: Data::Mapping(_), .. }) => {
            let inner = Section::new(&schema::FAIL, node, out);
            let mut read =
                |failure: Failure| inner.word(failure.name(), &words, out).unwrap_or(FailureOutcome::Closed);
            FailurePolicy {
                internal: read(Failure::Internal),
                overload: read(Failure::Overload),
                operator_limit: read(Failure::OperatorLimit),
                response_uninspectable: read(Failure::ResponseUninspectable),
            }
        }
        Some(node) => {
            FailurePolicy::all(lone_word(node, "fail", &words, out).unwrap_or(FailureOutcome::Closed))
        }
    }
}

fn overload(section: &Section<'_>, out: &mut Diagnostics) -> Overload {
    let Some(node) = section.get("overload") else { return Overload::default() };
    let inner = Section::new(&schema::OVERLOAD, node, out);
    let default = Overload::default();
    let retry_after = inner.duration("retry_after", (1, 86_400), out).map(|time| time.as_secs());
    Overload {
        wait: inner.duration("wait", (0, 60), out).unwrap_or(default.wait),
        queue: inner.count("queue", (0, 1_000_000), out).unwrap_or(default.queue),
        retry_after: retry_after.unwrap_or(default.retry_after),
    }
}

fn timeouts(section: &Section<'_>, out: &mut Diagnostics) -> SiteTimeouts {
    let empty = Node { span: section.span(), data: Data::Null };
    let inner = Section::new(&schema::TIMEOUTS, section.get("timeouts").unwrap_or(&empty), out);
    let mut read =
        |key, default| inner.duration(key, (0, 86_400), out).unwrap_or(Duration::from_secs(default));
    SiteTimeouts {
        body_read: read("body_read", 30),
        body_total: read("body_total", 300),
        connect: read("connect", 5),
        read: read("read", 60),
        write: read("write", 60),
        idle: read("idle", 60),
        resolve: inner.duration("resolve", (1, 86_400), out).unwrap_or(Duration::from_secs(30)),
        first_byte: inner.duration("first_byte", (0, 86_400), out),
        total: inner.duration("total", (0, 7 * 86_400), out),
    }
}

fn forwarded(section: &Section<'_>, out: &mut Diagnostics) -> Forwarded {
    let empty = Node { span: section.span(), data: Data::Null };
    let inner = Section::new(&schema::FORWARDED, section.get("forwarded").unwrap_or(&empty), out);
    let words = [
        ("append", ForwardedPolicy::Append),
        ("replace", ForwardedPolicy::Replace),
        ("remove", ForwardedPolicy::Remove),
    ];
    Forwarded {
        x_forwarded: inner.word("x_forwarded", &words, out).unwrap_or(ForwardedPolicy::Append),
        rfc7239: inner.word("rfc7239", &words, out).unwrap_or(ForwardedPolicy::Remove),
    }
}

pub(super) fn name(text: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > 64 || !text.bytes().all(good) {
        return Err("expected 1 to 64 letters, digits, `-`, `_` or `.`".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("a path begins with `/`; write `/{text}`"));
    }
    let dots = text.split('/').any(|segment| matches!(segment, "." | ".."));
    let good = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'"' | b'\\');
    if dots || text.contains("//") || !text.bytes().all(good) {
        return Err(
            "a path prefix is written as it is after normalisation: no `//`, `.`, `..`, `?`, `#`, quotes, \
                    backslashes, spaces or bytes beyond ASCII"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

fn header_name(text: &str) -> Result<String, String> {
    http::HeaderName::from_bytes(text.as_bytes())
        .map(|_| text.to_owned())
        .map_err(|_| "expected a header's name or `off`".to_owned())
}

fn fixed_host(text: &str) -> Result<HostHeader, String> {
    let bad = |_| "expected `preserve`, `upstream`, or a host with an optional port".to_owned();
    let authority: http::uri::Authority = text.parse().map_err(bad)?;
    if authority.as_str().contains('@') {
        return Err("a host has no user name".to_owned());
    }
    Ok(HostHeader::Fixed(text.to_owned()))
}
