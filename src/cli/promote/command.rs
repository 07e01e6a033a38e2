//! Asking a running instance to promote, and telling what became of it.

use crate::cli::console::{complain, say};
use crate::cli::remote::{Remote, RemoteArgs};
use crate::reload::Promotion;
use clap::Args;
use serde_json::Value;
use std::fmt::Write;

/// `portcullis promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// The site whose candidate ruleset is promoted.
    #[arg(long, value_name = "NAME")]
    pub site: String,
    /// Refuse when the candidate newly blocks more than this share of the requests that it was shown.
    #[arg(long, value_name = "RATE", default_value = "0.1%", value_parser = share)]
    pub max_new_blocks: f64,
    /// Refuse when it has judged fewer requests than this.
    #[arg(long, value_name = "N", default_value_t = Promotion::MIN_REQUESTS)]
    pub min_requests: u64,
    /// Do it in spite of the evidence, and though the candidate could not block.
    #[arg(long)]
    pub force: bool,
    /// Only tell what has been seen of the candidate.
    #[arg(long, conflicts_with_all = ["force", "max_new_blocks", "min_requests"])]
    pub status: bool,
    /// The running instance.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// As JSON, for machines.
    #[arg(long)]
    pub json: bool,
}

pub(in crate::cli) const HELP: &str = "\
A candidate ruleset stands in the site's `shadow`. It is promoted in the configuration file: what `shadow` says takes
the place of the site's rules, patches, directives and exclusions, and `shadow` goes. Other lines stay as they are. The
old file is kept beside the new one (FILE.<time>.bak), and the new one is loaded as any other change of it; when that is
refused, the old text is put back. So a restart and later reloads find the same as the running instance.

When the instance may not write the file (it is mounted read-only, belongs to somebody else, or comes out of a
repository), nothing is changed: the lines to change are printed, and take effect once they are written.

It is refused when the candidate has judged too few requests, would newly block too many of them, or could not block at
all; --force does it nevertheless. Changing something may need the admin listener's token.

Environment:
  PORTCULLIS_ADMIN        the admin listener's address
  PORTCULLIS_ADMIN_TOKEN  its token
  PORTCULLIS_CONFIG       the configuration, for both

Examples:
  portcullis promote --site shop --status
  portcullis promote --site shop
  portcullis promote --site shop --max-new-blocks 0.5% --min-requests 20000 -c portcullis.yaml

Exit codes:
  0  promoted, or (--status) told
  1  refused, or the instance cannot be asked; what is wrong is on standard error
  2  the command line itself is wrong";

/// Promotes and tells. `false` when nothing was changed.
pub(in crate::cli) fn promote(args: &PromoteArgs) -> bool {
    match ask(args) {
        Ok((good, said, text)) => {
            if args.json {
                say(&format!("{said}\n"));
            } else if good {
                say(&text);
            } else {
                complain(&text);
            }
            good
        }
        Err(error) => {
            complain(&format!("error: {error}\n"));
            false
        }
    }
}

fn ask(args: &PromoteArgs) -> Result<(bool, Value, String), String> {
    let remote = Remote::new(&args.remote)?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if !args.site.bytes().all(is_plain) {
        return Err(format!("no site can have the name {:?}", args.site));
    }
    if args.status {
        let (_, said) = remote.ask("GET", "/api/shadow")?;
        let sites = said["sites"].as_array().into_iter().flatten();
        let site = sites.into_iter().find(|site| site["site"] == args.site.as_str());
        let site = site.ok_or_else(|| format!("the site `{}` has no candidate ruleset", args.site))?;
        let mut text =
            format!("candidate of {}: {} rules\n{}", args.site, site["rules"], evidence(&site["seen"]));
        for alarm in site["alarms"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let _ = writeln!(text, "ALARM           {alarm}");
        }
        return Ok((true, site.clone(), text));
    }
    let path = format!(
        "/api/promote?site={}&max_new_blocks={}&min_requests={}&force={}",
        args.site, args.max_new_blocks, args.min_requests, args.force
    );
    let (_, said) = remote.ask("POST", &path)?;
    let text = |key: &str| said[key].as_str().unwrap_or_default();
    let told = match text("result") {
        "promoted" => format!(
            "the candidate of {} decides now, in generation {}\n{}file            {}\nbefore          {}\n",
            args.site,
            said["generation"],
            evidence(&said["seen"]),
            text("file"),
            text("backup")
        ),
        "unwritten" => format!(
            "error: {}\nNothing was changed. Write this there, and it takes effect:\n\n{}\n",
            text("error"),
            text("change")
        ),
        _ => {
            let forcible = said["forcible"] == true;
            let advice = if forcible { "--force does it nevertheless.\n" } else { "" };
            let seen = if said["seen"].is_object() { evidence(&said["seen"]) } else { String::new() };
            format!("error: not promoted: {}\n{seen}{advice}", text("error"))
        }
    };
    Ok((text("result") == "promoted", said.clone(), told))
}

/// What has been seen, for people.
fn evidence(seen: &Value) -> String {
    let share = seen["new_blocks"].as_f64().unwrap_or(0.0) * 100.0;
    format!(
        "since           {}\njudged          {}\nsame            {}\nnewly blocked   {} ({share:.3} %)\nnewly passed    {}\nundecided       {}\nnot shown       {}\n",
        seen["since"].as_str().unwrap_or_default(),
        seen["decided"],
        seen["same"],
        seen["newly_blocked"],
        seen["newly_passed"],
        seen["undecided"],
        seen["dropped"],
    )
}

/// A share: `0.1%` or `0.001`.
pub(in crate::cli) fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(number) => (number.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let share = number.parse::<f64>().map(|number| number / whole).ok();
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "not a share such as 0.1% or 0.001".to_owned())
}
