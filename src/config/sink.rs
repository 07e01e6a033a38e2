//! Where audit records go besides `audit.log`: one sink each, with a format, a filter and a queue of its own.

use super::document::Node;
use super::place::{Place, read_bounded};
use super::reader::{Section, to_usize};
use super::schema;
use super::{Audit, AuditFormat, AuditTarget, Secret};
use crate::audit::{Outcome, SHORT};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// One place where audit records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// Unique; a label of metrics.
    pub name: String,
    /// The place.
    pub target: SinkTarget,
    /// How a record is written.
    pub format: AuditFormat,
    /// Which records it gets.
    pub filter: SinkFilter,
    /// Records that may wait for it; beyond it they are dropped and counted.
    pub queue: NonZeroUsize,
    /// Bytes that may wait for it; beyond it records are dropped and counted.
    pub queue_bytes: usize,
    /// For how long records that could not be delivered are tried again before they are dropped and counted.
    pub retry: Duration,
}

/// Which records a sink gets: those that satisfy every part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkFilter {
    /// What became of the request; empty means all.
    pub outcomes: Vec<Outcome>,
    /// Names of sites; empty means all.
    pub sites: Vec<String>,
    /// Tags of which a rule that matched must carry one; empty means all.
    pub tags: Vec<String>,
    /// The least anomaly score, inbound or outbound; 0 means all.
    pub min_score: i64,
}

/// The place of a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkTarget {
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File {
        /// Where it is.
        path: PathBuf,
        /// Rotate when it would grow beyond this many bytes; 0 never rotates.
        rotate_bytes: u64,
        /// How many rotated files to keep.
        rotate_keep: usize,
    },
    /// Syslog, RFC 5424.
    Syslog {
        /// Over what.
        transport: SyslogTransport,
        /// Host name or IP address (IPv6 without brackets).
        host: String,
        /// Port.
        port: u16,
        /// The facility, 0 to 23.
        facility: u8,
        /// Bytes of a message at most, its header included; records are shortened to fit.
        message_bytes: usize,
        /// How long connecting or sending may take.
        timeout: Duration,
    },
    /// POST requests with many records each.
    Http {
        /// TLS; none for `http://`.
        tls: Option<SinkTls>,
        /// Host name or IP address (IPv6 without brackets).
        host: String,
        /// Port.
        port: u16,
        /// The URL's authority, as `Host` has it.
        authority: String,
        /// Path and query.
        path: String,
        /// Request headers: names and values.
        headers: Vec<(String, Secret)>,
        /// One JSON array instead of lines.
        array: bool,
        /// Records of a request at most.
        batch: NonZeroUsize,
        /// Bytes of a request's body at most, unless a single record is longer.
        batch_bytes: usize,
        /// How long a record waits for others at most.
        batch_wait: Duration,
        /// How long a request may take, connecting included.
        timeout: Duration,
    },
}

/// What carries syslog messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogTransport {
    /// A datagram each (RFC 5426).
    Udp,
    /// TCP with octet counting (RFC 6587).
    Tcp,
    /// TLS with octet counting (RFC 5425).
    Tls(SinkTls),
}

/// TLS towards a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkTls {
    /// PEM file with the authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// PEM files with a client certificate's chain and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Audit {
    /// Every sink: `audit.log` as one called `log`, then the others.
    pub fn all_sinks(&self) -> Vec<Sink> {
        let target = match &self.target {
            AuditTarget::Off => None,
            AuditTarget::Stdout => Some(SinkTarget::Stdout),
            AuditTarget::File(path) => Some(SinkTarget::File {
                path: path.clone(),
                rotate_bytes: self.rotate_bytes,
                rotate_keep: self.rotate_keep,
            }),
        };
        let own = target.map(|target| Sink {
            name: LOG.to_owned(),
            target,
            format: self.format,
            filter: SinkFilter::default(),
            queue: self.queue,
            queue_bytes: self.queue_bytes,
            retry: RETRY,
        });
        own.into_iter().chain(self.sinks.iter().cloned()).collect()
    }
}

/// The name of the sink that `audit.log` is.
const LOG: &str = "log";
const RETRY: Duration = Duration::from_secs(300);
const QUEUE: NonZeroUsize = NonZeroUsize::new(8_192).expect("8192 is not 0");
const BATCH: NonZeroUsize = NonZeroUsize::new(500).expect("500 is not 0");

/// The kinds of places, and which settings only some of them have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stdout,
    File,
    Syslog,
    Http,
}

const ONLY: [(&str, &[Kind]); 14] = [
    ("rotate_size", &[Kind::File]),
    ("rotate_keep", &[Kind::File]),
    ("facility", &[Kind::Syslog]),
    ("message_bytes", &[Kind::Syslog]),
    ("ca", &[Kind::Syslog, Kind::Http]),
    ("certificate", &[Kind::Syslog, Kind::Http]),
    ("key", &[Kind::Syslog, Kind::Http]),
    ("headers", &[Kind::Http]),
    ("headers_file", &[Kind::Http]),
    ("body", &[Kind::Http]),
    ("batch", &[Kind::Http]),
    ("batch_bytes", &[Kind::Http]),
    ("batch_wait", &[Kind::Http]),
    ("timeout", &[Kind::Syslog, Kind::Http]),
];

/// The sinks at `nodes`; each with a name of its own.
pub(super) fn read_all(nodes: &[&Node], place: &mut Place<'_>, out: &mut Diagnostics) -> Vec<Sink> {
    let mut all: Vec<Sink> = Vec::new();
    for node in nodes {
        let Some(sink) = read(node, place, out) else { continue };
        if sink.name == LOG || all.iter().any(|other| other.name == sink.name) {
            let what = format!("two sinks are called `{}`", sink.name);
            let fault = Diagnostic::error("config-conflict", node.span, what);
            out.push(fault.help("give each a `name`; `log` is what `audit.log` is called"));
        }
        all.push(sink);
    }
    all
}

fn read(node: &Node, place: &mut Place<'_>, out: &mut Diagnostics) -> Option<Sink> {
    let section = Section::new(&schema::SINK, node, out);
    section.required("to", out);
    let to = section.value("to", out, To::parse)?;
    for (key, kinds) in ONLY {
        if let Some(node) = section.get(key)
            && !kinds.contains(&to.kind())
        {
            let what = format!("`{key}` means nothing to a sink of this kind");
            out.push(Diagnostic::error("config-conflict", node.span, what));
        }
    }
    let usual = to.kind_name().to_owned();
    let name = section.value("name", out, |text| {
        let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let fits = !text.is_empty() && text.len() <= 64 && text.bytes().all(sound);
        fits.then(|| text.to_owned()).ok_or("expected up to 64 letters, digits, `-`, `_` and `.`")
    });
    let filter = SinkFilter {
        outcomes: section.list("outcomes", out, |text| super::reader::word(text, &Outcome::WORDS)),
        sites: section.texts("sites", out),
        tags: section.texts("tags", out),
        min_score: section
            .count("min_score", (0, 1_000_000), out)
            .map_or(0, |n| i64::try_from(n).unwrap_or(i64::MAX)),
    };
    Some(Sink {
        name: name.unwrap_or(usual),
        target: target(to, &section, place, out)?,
        format: section.word("format", &AuditFormat::WORDS, out).unwrap_or_default(),
        filter,
        queue: section.count("queue", (1, 10_000_000), out).and_then(NonZeroUsize::new).unwrap_or(QUEUE),
        queue_bytes: to_usize(section.size("queue_bytes", (1 << 16, 1 << 40), out).unwrap_or(64 << 20)),
        retry: section.duration("retry", (0, 86_400), out).unwrap_or(RETRY),
    })
}

/// What `to` says.
enum To {
    Stdout,
    File(String),
    Syslog { scheme: &'static str, host: String, port: u16 },
    Http { tls: bool, host: String, port: u16, authority: String, path: String },
}

impl To {
    fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, _)) = text.split_once("://") else {
            return Ok(if text == "-" { To::Stdout } else { To::File(text.to_owned()) });
        };
        let url: http::Uri = text.parse().map_err(|error| format!("not a URL: {error}"))?;
        let authority = url.authority().ok_or("the URL names no host")?;
        if authority.as_str().contains('@') {
            return Err("no user and password in the URL; write `headers_file`".to_owned());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16();
        let path = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let syslog = |scheme, usual| {
            if path == "/" {
                Ok(To::Syslog { scheme, host: host.clone(), port: port.unwrap_or(usual) })
            } else {
                Err(format!("write `{scheme}://{authority}`, without a path"))
            }
        };
        let http = |tls, usual| {
            let (host, authority, path) = (host.clone(), authority.to_string(), path.clone());
            Ok(To::Http { tls, host, port: port.unwrap_or(usual), authority, path })
        };
        match scheme.to_ascii_lowercase().as_str() {
            "udp" => syslog("udp", 514),
            "tcp" => syslog("tcp", 601),
            "tls" => syslog("tls", 6514),
            "http" => http(false, 80),
            "https" => http(true, 443),
            _ => Err("the scheme is one of `udp`, `tcp`, `tls`, `http`, `https`".to_owned()),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            To::Stdout => Kind::Stdout,
            To::File(_) => Kind::File,
            To::Syslog { .. } => Kind::Syslog,
            To::Http { .. } => Kind::Http,
        }
    }

    fn kind_name(&self) -> &'static str {
        match self.kind() {
            Kind::Stdout => "stdout",
            Kind::File => "file",
            Kind::Syslog => "syslog",
            Kind::Http => "http",
        }
    }
}

fn target(to: To, section: &Section<'_>, place: &mut Place<'_>, out: &mut Diagnostics) -> Option<SinkTarget> {
    let timeout = section.duration("timeout", (1, 600), out).unwrap_or(Duration::from_secs(10));
    Some(match to {
        To::Stdout => SinkTarget::Stdout,
        To::File(path) => SinkTarget::File {
            path: place.directory.join(path),
            rotate_bytes: section.size("rotate_size", (0, 1 << 44), out).unwrap_or(100 << 20),
            rotate_keep: section.count("rotate_keep", (0, 1_000), out).unwrap_or(5),
        },
        To::Syslog { scheme, host, port } => {
            let datagrams = scheme == "udp";
            let transport = match scheme {
                "udp" => SyslogTransport::Udp,
                "tcp" => SyslogTransport::Tcp,
                _ => SyslogTransport::Tls(tls(section, place, out)),
            };
            // With less there would be records that no shortening makes fit. A datagram ends at 65,507 bytes.
            let (usual, most) = if datagrams { (65_000, 65_507) } else { (1 << 20, 1 << 26) };
            let least = u64::try_from(SHORT + 1_024).unwrap_or(u64::MAX);
            SinkTarget::Syslog {
                transport,
                host,
                port,
                facility: section.value("facility", out, facility).unwrap_or(16),
                message_bytes: to_usize(section.size("message_bytes", (least, most), out).unwrap_or(usual)),
                timeout,
            }
        }
        To::Http { tls: secured, host, port, authority, path } => SinkTarget::Http {
            tls: secured.then(|| tls(section, place, out)),
            host,
            port,
            authority,
            path,
            headers: headers(section, place, out),
            array: section.word("body", &[("lines", false), ("array", true)], out).unwrap_or(false),
            batch: section.count("batch", (1, 100_000), out).and_then(NonZeroUsize::new).unwrap_or(BATCH),
            batch_bytes: to_usize(section.size("batch_bytes", (1_024, 1 << 30), out).unwrap_or(1 << 20)),
            batch_wait: section.duration("batch_wait", (0, 3_600), out).unwrap_or(Duration::from_secs(1)),
            timeout,
        },
    })
}

fn tls(section: &Section<'_>, place: &mut Place<'_>, out: &mut Diagnostics) -> SinkTls {
    let ca = place.existing(section, "ca", out);
    let certificate = place.existing(section, "certificate", out);
    let key = place.existing(section, "key", out);
    if certificate.is_some() != key.is_some() {
        let what = "`certificate` and `key` belong together";
        out.push(Diagnostic::error("config-missing", section.span(), what));
    }
    SinkTls { ca, identity: certificate.zip(key) }
}

fn headers(section: &Section<'_>, place: &mut Place<'_>, out: &mut Diagnostics) -> Vec<(String, Secret)> {
    let mut all = section.list("headers", out, header);
    let Some(path) = place.existing(section, "headers_file", out) else { return all };
    let text = match read_bounded(&path) {
        Ok(text) => text,
        Err(error) => {
            let what = format!("cannot read {}: {error}", path.display());
            out.push(Diagnostic::error("config-unreadable", section.span(), what));
            return all;
        }
    };
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match header(line) {
            Ok(pair) => all.push(pair),
            // The line may hold the secret.
            Err(error) => {
                let what = format!("`headers_file`: {error}");
                out.push(Diagnostic::error("config-value", section.span(), what));
            }
        }
    }
    all
}

fn header(text: &str) -> Result<(String, Secret), &'static str> {
    let expected = "expected `Name: value`";
    let (name, value) = text.split_once(':').ok_or(expected)?;
    let (name, value) = (name.trim(), value.trim());
    http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| expected)?;
    http::HeaderValue::from_str(value).map_err(|_| expected)?;
    Ok((name.to_owned(), Secret::new(value)))
}

/// RFC 5424's facilities by the names that syslog.conf uses.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

fn facility(text: &str) -> Result<u8, String> {
    let index = FACILITIES.iter().position(|name| name.eq_ignore_ascii_case(text));
    let number = text.parse::<usize>().ok().filter(|n| *n < FACILITIES.len());
    let found = index.or(number).and_then(|n| u8::try_from(n).ok());
    found.ok_or_else(|| format!("expected one of {} or a number up to 23", FACILITIES.join(", ")))
}
