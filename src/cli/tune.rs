//! `portcullis tune`: false-alarm candidates of an audit log → exclusions.

use super::ModeArg;
use super::console::tell;
use super::progress::Progress;
use super::records::{next_line, open};
use super::subject::Subject;
use crate::engine::NoWorld;
use crate::explain::escaped;
use crate::ruleset::Mode;
use crate::tune::{Bounds, Counted, Gathering, Suggestion, Tuning, tests, tune as suggest};
use clap::{Args, ValueHint};
use serde_json::json;
use std::fmt::Write as _;
use std::io::BufReader;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, UtcOffset};

/// `portcullis tune`.
#[derive(Debug, Args)]
pub struct TuneArgs {
    /// Audit logs, in any order: of the native schema, or ModSecurity's or Coraza's in JSON; as they are or compressed by
    /// gzip or zstd; - is standard input.
    #[arg(value_name = "AUDIT-LOG", required = true, value_hint = ValueHint::FilePath)]
    pub logs: Vec<PathBuf>,
    /// Only what began since then: a time (2026-11-01, 2026-11-01T08:00:00Z) or how long ago (90m, 24h, 7d).
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<OffsetDateTime>,
    /// The configuration whose rules count.
    #[arg(short, long, value_name = "FILE", env = "PORTCULLIS_CONFIG", hide_env_values = true, value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Rule file or glob, in order; may be repeated [default: the configuration's, or else the embedded ruleset].
    #[arg(long, value_name = "FILE", value_delimiter = ',', value_hint = ValueHint::FilePath)]
    pub rules: Vec<String>,
    /// Only this site's records [default: all].
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
    /// Overrides SecRuleEngine.
    #[arg(long, value_enum, ignore_case = true)]
    pub mode: Option<ModeArg>,
    /// Clients that must have met a rule at a place.
    #[arg(long, value_name = "N", default_value = "5")]
    pub clients: NonZeroUsize,
    /// Places that are looked into, the busiest first.
    #[arg(long, value_name = "N", default_value = "50")]
    pub most: NonZeroUsize,
    /// Write the exclusions there: SecLang if it ends in .conf, otherwise native YAML; and their tests beside it, to
    /// FILE without its extension and with -tests.yaml.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub write: Option<PathBuf>,
    /// As one JSON object, for machines.
    #[arg(long)]
    pub json: bool,
}

pub(super) const HELP: &str = "\
A false alarm is taken to be a rule that many clients met at the same method, path and parameter, with ordinary browsers
(their name, Accept and Accept-Language), which were stopped at no more than three places and by no rule about scanners.
Numbers and identifiers in paths and in the names of members may differ.

For each such place the sampled requests are evaluated again, and the fewest exclusions are looked for with which they
pass: a target of a rule, for this method and path. Attacks of eight kinds are then tried there, in the same parameter
and in another one. A suggestion after which none of them is stopped in the parameter, or any in the other one passes, is
refused, and so is one that could not be proven. A rule that only adds up or compares scores is never excluded, and no
rule as a whole.

The log should have requests with headers and bodies (SecAuditLogParts with B, and C or I). Any length will do: what is
kept of it is bounded. Logs of ModSecurity and Coraza tell less: of each match one variable, no site (the only one, or
that of --site, counts), and of what was only detected no more than that a rule of CRS judged by the score.

Examples:
  portcullis tune -c portcullis.yaml audit.log --since 7d
  portcullis tune -c portcullis.yaml --site shop audit.log audit.log.1 --write exclusions.yaml
  portcullis test --rules exclusions.yaml --rules @portcullis-core exclusions-tests.yaml
  portcullis tune --rules crs-setup.conf --rules 'rules/*.conf' modsec_audit.json.gz --json

Exit codes:
  0  done, with or without suggestions
  1  a log, the rules or the file to write is faulty
  2  the command line itself is wrong";

/// Suggests and tells. `false` when it could not be done.
pub(super) fn tune(args: &TuneArgs) -> bool {
    tell(run(args))
}

fn run(args: &TuneArgs) -> Result<String, String> {
    let subject = Subject::load(args.config.as_deref(), &args.rules, args.mode.map(Mode::from))?;
    let since = args.since.map(|time| time.to_offset(UtcOffset::UTC).format(&Rfc3339).unwrap_or_default());
    let mut gathering = Gathering::new(Bounds {
        clients: args.clients.get(),
        since: since.unwrap_or_default().trim_end_matches('Z').to_owned(),
        ..Bounds::default()
    });
    let progress = Progress::new(&args.logs);
    let done = args.logs.iter().try_for_each(|log| read(log, &mut gathering, &progress));
    progress.finish();
    done?;
    let counted = gathering.counted();
    if counted.lines > 0 && counted.unreadable == counted.lines {
        return Err("no line is a record of the native schema (audit.format: native), nor of ModSecurity or Coraza in JSON".to_owned());
    }
    let mut suggestions = Vec::new();
    let mut candidates = gathering.candidates();
    // Logs of other engines name no site.
    for candidate in candidates.iter_mut().filter(|candidate| candidate.site.is_empty()) {
        candidate.site = args.site.clone().unwrap_or_default();
    }
    candidates.retain(|candidate| args.site.as_ref().is_none_or(|site| *site == candidate.site));
    for candidate in candidates.iter().take(args.most.get()) {
        let site = subject.site(Some(candidate.site.as_str()).filter(|site| !site.is_empty()))?;
        let tuning = Tuning {
            rules: &site.rules,
            mode: site.mode,
            auditor: &subject.auditor,
            world: Arc::new(NoWorld),
        };
        suggestions.push(suggest(candidate, &tuning));
    }
    let good: Vec<&Suggestion> = suggestions.iter().filter(|one| one.refused.is_none()).collect();
    let mut told = String::new();
    if let Some(path) = &args.write {
        told = write(path, &good)?;
    }
    if args.json {
        let value = json!({ "counted": counted, "suggestions": suggestions });
        return Ok(format!("{}\n", serde_json::to_string_pretty(&value).unwrap_or_default()));
    }
    Ok(format!("{}{told}", describe(&counted, &suggestions)))
}

fn read(path: &Path, gathering: &mut Gathering, progress: &Progress) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let input = open(path, progress).map_err(|error| told(&error))?;
    let mut input = BufReader::with_capacity(1 << 20, input);
    let mut line = Vec::new();
    while next_line(&mut input, &mut line).map_err(|error| told(&error))? {
        gathering.add(&line);
    }
    Ok(())
}

/// Writes exclusions and tests, and tells where.
fn write(path: &Path, suggestions: &[&Suggestion]) -> Result<String, String> {
    if suggestions.is_empty() {
        return Ok(format!("\nNothing was written to {}.\n", path.display()));
    }
    if let Some(first) = suggestions.first()
        && suggestions.iter().any(|one| one.site != first.site)
    {
        return Err("the suggestions are for several sites; say by --site for which one to write".to_owned());
    }
    let is_seclang = path.extension().is_some_and(|extension| extension == "conf");
    let mut text = String::new();
    for one in suggestions {
        match is_seclang {
            true => text.push_str(&one.seclang),
            false if text.is_empty() => text.push_str(&one.yaml),
            // One list holds them all.
            false => text.push_str(one.yaml.strip_prefix("exclusions:\n").unwrap_or(&one.yaml)),
        }
    }
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!("{stem}-tests.yaml"));
    for (path, text) in [(path, &text), (&beside, &tests(suggestions))] {
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(format!(
        "\nWritten to {}, which is to be named before the rules; its tests to {}.\n",
        path.display(),
        beside.display()
    ))
}

fn describe(counted: &Counted, suggestions: &[Suggestion]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{} records, {} stopped by rules{}{}{}.",
        counted.lines,
        counted.stopped,
        some(counted.old, "too old"),
        some(counted.unreadable, "unreadable"),
        some(counted.omitted, "passed over for want of room"),
    );
    if suggestions.is_empty() {
        out.push_str("No rule was met by enough clients with ordinary browsers at one place.\n");
    }
    for one in suggestions {
        let site = if one.site.is_empty() { String::new() } else { format!("{}: ", escaped(&one.site)) };
        let _ = writeln!(out, "\n{site}{}", escaped(&one.place.told()));
        let _ = writeln!(
            out,
            "    {} requests stopped between {} and {}",
            one.requests,
            escaped(&one.between.0),
            escaped(&one.between.1)
        );
        for evidence in &one.exclusions {
            let target = evidence.exclusion.target.as_deref().unwrap_or("the whole rule");
            let _ = writeln!(
                out,
                "    rule {} on {target}: {} requests, {} clients with ordinary browsers: {}",
                evidence.exclusion.rule,
                evidence.requests,
                evidence.clients,
                escaped(&evidence.message)
            );
        }
        let _ = writeln!(
            out,
            "    of {} sampled requests {} pass with it{}{}",
            one.proven + one.unproven + one.not_reproduced,
            one.proven,
            some(one.unproven as u64, "stay stopped"),
            some(one.not_reproduced as u64, "are not stopped when evaluated again"),
        );
        let mut targets: Vec<&str> = one.attacks.iter().map(|attack| attack.target.as_str()).collect();
        targets.dedup();
        for target in targets {
            let here = || one.attacks.iter().filter(|attack| attack.target == target && attack.before);
            let lost: Vec<&str> = here().filter(|attack| !attack.after).map(|attack| attack.name).collect();
            let kept = here().count() - lost.len();
            let lost =
                if lost.is_empty() { String::new() } else { format!("; no longer: {}", lost.join("; ")) };
            let _ =
                writeln!(out, "    attacks in {target}: {kept} of {} still stopped{lost}", here().count());
        }
        match &one.refused {
            Some(why) => {
                let _ = writeln!(out, "    REFUSED: {}", escaped(why));
            }
            None => {
                out.push('\n');
                one.yaml.lines().for_each(|line| out.push_str(&format!("        {line}\n")));
            }
        }
    }
    out
}

fn some(number: u64, what: &str) -> String {
    if number == 0 { String::new() } else { format!(", {number} {what}") }
}

/// A time, or how long ago.
fn since(text: &str) -> Result<OffsetDateTime, String> {
    let wrong = || "expected a time such as 2026-11-01 or 2026-11-01T08:00:00Z, or 90m, 24h, 7d".to_owned();
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(time);
    }
    if let Ok(time) = OffsetDateTime::parse(&format!("{text}T00:00:00Z"), &Rfc3339) {
        return Ok(time);
    }
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let number: i64 = number.parse().ok().filter(|n| (0..=100_000).contains(n)).ok_or_else(wrong)?;
    let ago = match unit {
        "m" => Duration::minutes(number),
        "h" => Duration::hours(number),
        "d" => Duration::days(number),
        _ => return Err(wrong()),
    };
    OffsetDateTime::now_utc().checked_sub(ago).ok_or_else(wrong)
}
