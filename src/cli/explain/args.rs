//! What can be said to `portcullis explain`.

use crate::cli::ModeArg;
use clap::{Args, ValueHint};
use std::path::PathBuf;

/// `portcullis explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The transaction's id, as the block page and X-Request-Id show it.
    #[arg(required_unless_present = "request")]
    pub id: Option<String>,
    /// Explain a request not yet sent: a file with a raw request or a HAR archive, a curl command, or - for standard
    /// input.
    #[arg(short, long, value_name = "FILE|CURL|-", conflicts_with_all = ["id", "audit_log", "admin"], value_hint = ValueHint::FilePath)]
    pub request: Option<String>,
    /// The configuration whose rules, redaction and audit log count.
    #[arg(short, long, value_name = "FILE", env = "PORTCULLIS_CONFIG", hide_env_values = true, value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Rule file or glob, in order; may be repeated [default: the configuration's, or else the embedded ruleset].
    #[arg(long, value_name = "FILE", value_delimiter = ',', value_hint = ValueHint::FilePath)]
    pub rules: Vec<String>,
    /// The site whose rules count [default: that of the record, or the only one].
    #[arg(long, value_name = "NAME", requires = "config")]
    pub site: Option<String>,
    /// Overrides SecRuleEngine.
    #[arg(long, value_enum, ignore_case = true)]
    pub mode: Option<ModeArg>,
    /// Look for the transaction in this audit log and the files that it was rotated to [default: the
    /// configuration's].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub audit_log: Option<PathBuf>,
    /// Ask the running instance whose admin listener this is [default: the configuration's, where it has no audit
    /// log in a file].
    #[arg(long, value_name = "ADDR", conflicts_with = "audit_log")]
    pub admin: Option<String>,
    /// Also tell which rules nearly matched: those of higher paranoia levels, and those of which all conditions but the
    /// last are met.
    #[arg(long)]
    pub near: bool,
    /// Propose no exclusion.
    #[arg(long)]
    pub no_exclusion: bool,
    /// As JSON, for machines.
    #[arg(long)]
    pub json: bool,
}

pub(in crate::cli) const HELP: &str = "\
Tells what came in, which rules scored and how much, what each looked at, what every transformation made of that and
what matched in it; the score against the threshold; the decision; and the narrowest exclusion with which the request
passes, as SecLang and as native YAML. The exclusion has been tried: the rules were compiled with it, and the request
evaluated again. Secrets are redacted as in the audit log.

A recorded transaction is evaluated again with the rules as they are loaded now. Where the record does not hold all of
the request, or the rules have changed since, that is told.

Without -c and --rules the embedded ruleset counts. A running instance keeps its last 256 transactions that scored or
were blocked in memory, at most 8 MiB of them.

Environment:
  PORTCULLIS_CONFIG       the configuration
  PORTCULLIS_ADMIN_TOKEN  the admin listener's token, if it has one
  NO_COLOR                no colours

Examples:
  portcullis explain -c portcullis.yaml 01JDNR2N8W7Q6A5ZK3M4X9P0CD
  portcullis explain --audit-log audit.log --rules crs-setup.conf --rules 'rules/*.conf' 01JDNR2N8W7Q6A5ZK3M4X9P0CD
  portcullis explain --admin 127.0.0.1:9180 01JDNR2N8W7Q6A5ZK3M4X9P0CD
  portcullis explain --request \"curl 'http://shop/search?q=1%20union%20select'\" --near
  portcullis explain -c portcullis.yaml --site shop --request recorded.har --json

Exit codes:
  0  explained, whatever was decided
  1  there is no such transaction, or a file, the rules or the running instance cannot be read
  2  the command line itself is wrong";
