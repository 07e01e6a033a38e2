//! The way in: a report becomes a line.

use super::mask::Masker;
use super::record::{Record, Shadow};
use super::redaction::{Names, Redaction};
use super::{coraza, ecs, modsecurity, ocsf};
use crate::engine::Report;
use std::time::Duration;

/// What the engine does not know of a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The site's name.
    pub site: String,
    /// What the client was answered; 0 when nothing was.
    pub status: u16,
    /// From the beginning to the end of the answer.
    pub duration: Duration,
    /// The upstream that was asked.
    pub upstream: Option<String>,
    /// The hash of the generation, configuration and rules, by which it was served; empty when that is not known.
    pub generation: String,
}

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// Portcullis' own schema, one JSON object a line.
    #[default]
    Native,
    /// ModSecurity v3's JSON schema, one object a line.
    ModSecurity,
    /// Coraza v3's JSON schema.
    Coraza,
    /// The Open Cybersecurity Schema Framework, class HTTP Activity.
    Ocsf,
    /// The Elastic Common Schema.
    Ecs,
}

impl Format {
    /// Every format with its word in the configuration.
    pub const WORDS: [(&'static str, Format); 5] = [
        ("native", Format::Native),
        ("modsecurity", Format::ModSecurity),
        ("coraza", Format::Coraza),
        ("ocsf", Format::Ocsf),
        ("ecs", Format::Ecs),
    ];
}

/// Makes records and lines from reports. Cheap to share, holds no state of any transaction.
#[derive(Clone, Debug)]
pub struct Auditor {
    names: Names,
    format: Format,
    server: String,
}

impl Auditor {
    /// `server` identifies the machine in ModSecurity's schema (`server_id`).
    pub fn new(redaction: &Redaction, format: Format, server: &str) -> Self {
        Self { names: Names::new(redaction), format, server: server.to_owned() }
    }

    /// The record of a transaction: redacted and bounded.
    pub fn record<'a>(&self, report: &'a Report, facts: &'a Facts) -> Record<'a> {
        let shadow = report.shadow.as_deref();
        // Its parser may have seen secrets where the other one saw none.
        let shadow =
            shadow.map(|shadow| Shadow::new(report, shadow, &Masker::new(&self.names, &shadow.report)));
        Record { shadow, ..Record::new(report, facts, &Masker::new(&self.names, report)) }
    }

    /// What must be masked of a transaction, for those who show more of it than a record has.
    pub fn masker<'a>(&'a self, report: &'a Report) -> Masker<'a> {
        Masker::new(&self.names, report)
    }

    /// The record as one line in the auditor's format, newline included. Whether the ruleset wants the transaction
    /// recorded at all is [`Report::is_audited`]'s to say.
    pub fn line(&self, report: &Report, facts: &Facts) -> Vec<u8> {
        self.write(&self.record(report, facts), self.format)
    }

    /// A record as one line in any format, newline included.
    pub fn write(&self, record: &Record<'_>, format: Format) -> Vec<u8> {
        let mut line = Vec::with_capacity(USUAL);
        let written = match format {
            Format::Native => serde_json::to_writer(&mut line, record),
            Format::ModSecurity => {
                serde_json::to_writer(&mut line, &modsecurity::transaction(record, &self.server))
            }
            Format::Coraza => serde_json::to_writer(&mut line, &coraza::log(record, &self.server)),
            Format::Ocsf => serde_json::to_writer(&mut line, &ocsf::event(record)),
            Format::Ecs => serde_json::to_writer(&mut line, &ecs::document(record)),
        };
        // Serialising fails only for maps with keys that are no strings, of which a record has none.
        if written.is_err() {
            line.clear();
        }
        line.push(b'\n');
        line
    }

    /// The same in at most `most` bytes, for transports with a limit: a record that is longer is shortened first
    /// ([`Record::shorten`]), so that nobody keeps himself out of the log by a long request. `None` when even that
    /// is too long, which takes a `most` below [`SHORT`].
    pub fn write_within(&self, record: &Record<'_>, format: Format, most: usize) -> Option<Vec<u8>> {
        let line = self.write(record, format);
        if line.len() <= most {
            return Some(line);
        }
        let mut short = record.clone();
        short.shorten();
        Some(self.write(&short, format)).filter(|line| line.len() <= most)
    }
}

/// Bytes in which every shortened record has room, in every format.
pub const SHORT: usize = 60_000;

/// Bytes in which most records of blocked requests have room.
const USUAL: usize = 8 * 1024;
