//! What can be said to `portcullis score`.

use super::split::Part;
use clap::{Args, ValueHint};
use std::path::PathBuf;

/// `portcullis score`.
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// Sets: JSON lines, or the same compressed with zstd (.zst).
    #[arg(value_name = "SET", required = true, value_hint = ValueHint::FilePath)]
    pub sets: Vec<PathBuf>,
    /// Rule file or glob, in order; may be repeated [default: the embedded ruleset].
    #[arg(long, value_name = "FILE", value_delimiter = ',', value_hint = ValueHint::FilePath)]
    pub rules: Vec<String>,
    /// The rules of a site of this configuration.
    #[arg(short, long, value_name = "FILE", conflicts_with = "rules", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Which site [default: the first].
    #[arg(long, value_name = "NAME", requires = "config")]
    pub site: Option<String>,
    /// Send to a running proxy instead, in front of an application that answers everything with 200.
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["rules", "config", "level"])]
    pub target: Option<String>,
    /// Paranoia level, for rules that read CRS's variables.
    #[arg(long, value_name = "1-4", conflicts_with = "config", value_parser = clap::value_parser!(u8).range(1..=4))]
    pub level: Option<u8>,
    /// Only a half of the set, divided by families of payloads.
    #[arg(long, value_enum, default_value = "all")]
    pub part: Part,
    /// Only these tiers, e.g. AB.
    #[arg(long, value_name = "TIERS", default_value = "", hide_default_value = true)]
    pub tier: String,
    /// Only these sources.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub source: Vec<String>,
    /// Only these categories.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub category: Vec<String>,
    /// Statuses that count as blocked.
    #[arg(long, value_name = "STATUS", value_delimiter = ',', default_value = "403")]
    pub block: Vec<u16>,
    /// List attacks that were not blocked.
    #[arg(long)]
    pub misses: bool,
    /// List legitimate requests that did not pass, with the rules that matched.
    #[arg(long)]
    pub false_alarms: bool,
    /// Write both to this file, as JSON lines.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub errors: Option<PathBuf>,
    /// Counts and rates as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Below its `--help`.
pub(in crate::cli) const HELP: &str = "\
A case a line: {\"id\", \"source\", \"category\", \"label\": \"attack\"|\"legit\", \"method\", \"path\", \"headers\": [[name,
value], …], \"body_b64\", \"meta\": {\"q\": tier A to C, \"policy\": …, \"pos\": …}}; text is Latin-1, a character a byte.
Blocking is on whatever the rules say. TPR is the share of attacks that are blocked, FPR that of legitimate requests,
BA the mean of TPR and 1 - FPR; the columns named len count every answer but 200 as blocked.

--part dev is the half to look at while rules are written, check the half to measure by; all variants of a payload are
in the same half, and single requests of check are not shown.

Examples:
  portcullis score set.jsonl.zst
  portcullis score --part dev --tier AB --misses --false-alarms set.jsonl
  portcullis score --level 2 --rules crs-setup.conf --rules 'rules/*.conf' set.jsonl
  portcullis score --target 127.0.0.1:8080 --json set.jsonl

Exit codes:
  0  measured
  1  the set or the rules cannot be read, or the target does not answer
  2  the command line itself is wrong";
