//! The way in: a report becomes a line.

use super::mask::Masker;
use super::modsecurity;
use super::record::{Record, Shadow};
use super::redaction::{Names, Redaction};
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
}

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// Portcullis' own schema, one JSON object a line.
    #[default]
    Native,
    /// ModSecurity v3's JSON schema, one object a line.
    ModSecurity,
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

    /// The record as one line, newline included. Whether the ruleset wants the transaction recorded at all is
    /// [`Report::is_audited`]'s to say.
    pub fn line(&self, report: &Report, facts: &Facts) -> Vec<u8> {
        let record = self.record(report, facts);
        let mut line = Vec::with_capacity(USUAL);
        let written = match self.format {
            Format::Native => serde_json::to_writer(&mut line, &record),
            Format::ModSecurity => {
                serde_json::to_writer(&mut line, &modsecurity::transaction(&record, &self.server))
            }
        };
        // Serialising fails only for maps with keys that are no strings, of which a record has none.
        if written.is_err() {
            line.clear();
        }
        line.push(b'\n');
        line
    }
}

/// Bytes in which most records of blocked requests have room.
const USUAL: usize = 8 * 1024;
