//! `portcullis score`.

use super::args::ScoreArgs;
use super::send::{Asked, send};
use super::set::{self, Case};
use super::split::Part;
use super::tally::{Outcome, Tally};
use super::tell::{self, Judged};
use crate::cli::console::{complain, say};
use crate::cli::rules;
use crate::config::{EMBEDDED_RULESET, Overrides, RuleInput};
use crate::reload::{self, Origin, file_loader, load_rules};
use crate::ruleset::Ruleset;
use crate::syntax::ast::Statement;
use std::net::ToSocketAddrs;
use std::sync::Arc;

/// Sends the set and tells. `false` when it could not be done.
pub(in crate::cli) fn score(args: &ScoreArgs) -> bool {
    match run(args) {
        Ok(()) => true,
        Err(message) => {
            complain(&message);
            false
        }
    }
}

fn run(args: &ScoreArgs) -> Result<(), String> {
    let looks = args.misses || args.false_alarms || args.errors.is_some();
    if args.part == Part::Check && looks {
        return Err(
            "error: single requests of the part `check` are not shown: it is there to measure rules by \
             what their authors did not see\n"
                .to_owned(),
        );
    }
    let mut cases = Vec::new();
    for path in &args.sets {
        cases.extend(set::read(path)?);
    }
    let chosen: Vec<&Case> = cases
        .iter()
        .filter(|c| args.source.is_empty() || args.source.contains(&c.source))
        .filter(|c| args.category.is_empty() || args.category.contains(&c.category))
        .filter(|c| args.tier.is_empty() || args.tier.contains(c.tier))
        .filter(|c| args.part.has(c))
        .collect();
    if chosen.is_empty() {
        return Err("error: no case is left to send\n".to_owned());
    }
    let (asked, name) = asked(args)?;
    let sent = send(&asked, &chosen);
    if sent.len() != chosen.len() {
        return Err(format!("error: {} cases were lost on the way\n", chosen.len() - sent.len()));
    }
    if sent.iter().filter(|s| s.status.is_none()).count() > chosen.len() / 2 {
        return Err(format!("error: most requests had no answer: is {name} listening?\n"));
    }
    let outcome = |status: Option<u16>| match status {
        None => Outcome::Reset,
        Some(status) if args.block.contains(&status) => Outcome::Blocked,
        Some(200) => Outcome::Passed,
        Some(status) => Outcome::Other(status),
    };
    let judged: Vec<Judged<'_>> = chosen
        .iter()
        .zip(&sent)
        .map(|(case, sent)| Judged { case, sent, outcome: outcome(sent.status) })
        .collect();
    tell(args, &judged, &name)
}

fn tell(args: &ScoreArgs, judged: &[Judged<'_>], name: &str) -> Result<(), String> {
    let tally = Tally::of(judged.iter().map(|j| (j.case, j.outcome)));
    if args.json {
        let value = tell::to_json(&tally, judged.len(), args.part.name(), name);
        say(&format!("{value:#}\n"));
    } else {
        say(&format!("{} cases ({}), {name}\n", judged.len(), args.part.name()));
        say(&tell::table(&tally));
    }
    for (wanted, title, kinds) in [
        (args.misses, "misses", &["miss"][..]),
        (args.false_alarms, "false alarms", &["false-positive", "legit-not-passed"]),
    ] {
        if wanted && !args.json {
            say(&format!("\n{title}\n"));
            for one in judged.iter().filter(|j| j.error().is_some_and(|e| kinds.contains(&e))) {
                say(&one.line());
            }
        }
    }
    if let Some(path) = &args.errors {
        let errors = judged.iter().filter(|j| j.error().is_some());
        let text: String = errors.map(|j| format!("{}\n", j.to_json())).collect();
        std::fs::write(path, text).map_err(|e| format!("error: {}: {e}\n", path.display()))?;
    }
    Ok(())
}

/// Who is asked, and a name for it.
fn asked(args: &ScoreArgs) -> Result<(Asked, String), String> {
    if let Some(target) = &args.target {
        let mut addresses =
            target.to_socket_addrs().map_err(|e| format!("error: --target {target}: {e}\n"))?;
        let address = addresses.next().ok_or_else(|| format!("error: --target {target}: no address\n"))?;
        return Ok((Asked::proxy(address), target.clone()));
    }
    if let Some(path) = &args.config {
        let origin = Origin { path: Some(path.clone()), overrides: Overrides::default() };
        let loaded = reload::load(&origin, 1, &file_loader());
        let Some(generation) = loaded.generation else {
            let said = loaded.complaints.iter();
            return Err(said.map(|c| rules::render(&c.diagnostics, &c.sources)).collect());
        };
        let mut sites = generation.sites.iter();
        let site = match &args.site {
            Some(name) => sites.find(|s| s.config.name == *name),
            None => sites.next(),
        };
        let site = site.ok_or_else(|| format!("error: {}: there is no such site\n", path.display()))?;
        return Ok((Asked::engine(Arc::clone(&site.ruleset)), format!("site {}", site.config.name)));
    }
    let ruleset = ruleset(args)?;
    let name = if args.rules.is_empty() { "the embedded ruleset".to_owned() } else { args.rules.join(" ") };
    let level = args.level.map(|n| format!(" at level {n}")).unwrap_or_default();
    Ok((Asked::engine(ruleset), format!("{name}{level}")))
}

/// The rules of `--rules`, or those inside. Rules that leave bodies alone, as CRS does, which relies on ModSecurity's
/// recommended settings for that, get the same of ours.
fn ruleset(args: &ScoreArgs) -> Result<Arc<Ruleset>, String> {
    let mut inputs = Vec::new();
    if let Some(level) = args.level {
        let text = format!(
            "SecAction \"id:{LEVEL_RULE},phase:1,pass,nolog,t:none,setvar:tx.blocking_paranoia_level={level},\
             setvar:tx.detection_paranoia_level={level}\"\n"
        );
        inputs.push(RuleInput::Text { name: "--level".to_owned(), text });
    }
    let embedded = [EMBEDDED_RULESET.to_owned()];
    let files = if args.rules.is_empty() { &embedded[..] } else { &args.rules };
    inputs.extend(files.iter().cloned().map(RuleInput::File));
    let mut loaded = load_rules(&inputs, &file_loader());
    if loaded.ruleset.is_some() && !loaded.document.statements.iter().any(chooses_bodies) {
        inputs.insert(0, RuleInput::File(rules::ENGINE_SETTINGS.to_owned()));
        loaded = load_rules(&inputs, &file_loader());
    }
    loaded.ruleset.clone().ok_or_else(|| rules::rendered(&loaded))
}

/// Whether a directive says that bodies are read, or not.
fn chooses_bodies(statement: &Statement) -> bool {
    matches!(statement, Statement::Directive(directive) if directive.name.node.eq_ignore_ascii_case("SecRequestBodyAccess"))
}

/// The id of the rule that sets the level.
const LEVEL_RULE: u64 = 8_999_990;
