//! What can be said to `portcullis patch`.

use clap::{Args, Subcommand, ValueHint};
use std::path::PathBuf;

/// `portcullis patch`.
#[derive(Debug, Subcommand)]
pub enum PatchCommand {
    /// Write a virtual patch from an exploit: find what is hostile, propose a condition, try it on variants.
    #[command(after_help = NEW_HELP)]
    New(PatchNewArgs),
    /// List the catalogue of virtual patches inside Portcullis.
    List,
}

/// `portcullis patch new`.
#[derive(Debug, Args)]
pub struct PatchNewArgs {
    /// The exploit: a raw request, a curl command, a HAR file or an entry of one, or a nuclei template; - is standard
    /// input.
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub from: PathBuf,
    /// Ordinary requests to the same place, in any of these forms: what they hold is not hostile, and they must pass.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub normal: Option<PathBuf>,
    /// File to write [default: standard output].
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// The patch's name [default: that of --output without its extension].
    #[arg(long)]
    pub name: Option<String>,
    /// Who answers for it.
    #[arg(long)]
    pub owner: Option<String>,
    /// CVE number; may be repeated.
    #[arg(long)]
    pub cve: Vec<String>,
}

const NEW_HELP: &str = "\
The patch looks for what is hostile in the exploit, where it was found, on the path where it was found. Its tests are
the exploit, variants of it (encodings, case, blanks, the parameter elsewhere) and ordinary requests; they have been
run when the file is written. What could not be decided stands in it as comments, and on standard error.

Examples:
  portcullis patch new --from exploit.txt --output shop-rce.yaml --owner security@example.com
  pbpaste | portcullis patch new --from - --cve CVE-2024-0001
  portcullis patch new --from attack.har --normal browsing.har --output shop-rce.yaml
  portcullis test shop-rce.yaml

Exit codes:
  0  written, and its tests pass
  1  no patch could be written
  2  the command line itself is wrong";
