//! What can be said to `portcullis replay`.

use crate::cli::promote::share;
use clap::{Args, ValueHint};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// `portcullis replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Recorded traffic: audit logs, ModSecurity's or Coraza's in JSON, HAR files, raw requests; as they are or
    /// compressed by gzip or zstd. Directories stand for all files in them, - for standard input.
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// The ruleset to try: rule files or globs in order, or a configuration; may be repeated.
    #[arg(long, value_name = "FILE", required = true, value_delimiter = ',', value_hint = ValueHint::FilePath)]
    pub against: Vec<String>,
    /// The ruleset to compare with, likewise [default: the recorded verdicts].
    #[arg(long, value_name = "FILE", value_delimiter = ',', value_hint = ValueHint::FilePath)]
    pub baseline: Vec<String>,
    /// The site of the configuration whose rules count [default: that of each record, or where it would be routed].
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
    /// Leave out what cannot be replayed exactly.
    #[arg(long)]
    pub exact: bool,
    /// Rules, paths and examples to show of each.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
    /// Exit with 3 when more than this share of the requests is newly blocked.
    #[arg(long, value_name = "RATE", value_parser = share)]
    pub max_new_blocks: Option<f64>,
    /// Threads [default: one for each core].
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// As one JSON object, for machines.
    #[arg(long)]
    pub json: bool,
}

pub(in crate::cli) const HELP: &str = "\
Tells what would be newly blocked and what no longer, whose anomaly score moves, and by which rules and on which paths.
A request counts as blocked when rules stop it, or would but for DetectionOnly. Without --baseline, requests without a
recorded verdict (HAR files, raw requests) count as having passed.

What a record does not hold cannot be replayed: values that were redacted, bodies and headers that were cut or not
recorded, files of a form. Such requests are replayed as far as they go and counted as inexact, with the reasons. Where
the record holds a response (SecAuditLogParts E and F), that is replayed too. Persistent collections begin empty, and
with several threads the order of requests is not quite that of the records: use -j 1 where rules count. No name is
looked up, so @rbl never matches.

Examples:
  portcullis replay --against crs-setup.conf --against 'rules/*.conf' audit.log
  portcullis replay --against new.yaml --baseline portcullis.yaml audit.log.2.gz audit.log.1 audit.log
  portcullis replay --against portcullis.yaml --max-new-blocks 0.1% --json browsing.har
  zcat modsec_audit.json.gz | portcullis replay --against @portcullis-core -

Exit codes:
  0  replayed, whatever differs
  1  rules or files cannot be read, or no record in them
  2  the command line itself is wrong
  3  more is newly blocked than --max-new-blocks allows";
