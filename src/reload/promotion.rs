//! Making a candidate ruleset the one that decides.
//!
//! The configuration file says which rules decide, before a promotion and after it: the site's section is rewritten,
//! the old file is kept beside the new one, and what follows is a reload like any other. So a restart, a later reload
//! and whoever reads the file all find the same.

use super::candidate::{Candidate, Seen};
use super::generation::Generation;
use super::reloader::Attempt;
use crate::config::{self, Overrides, posture};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use time::OffsetDateTime;
use time::macros::format_description;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Promotion {
    /// The site whose candidate it is about.
    pub site: String,
    /// Refuse it when the candidate newly blocks a larger share than this of the requests that were tried.
    pub max_new_blocks: f64,
    /// Refuse it when fewer requests than this were tried.
    pub min_requests: u64,
    /// Do it in spite of the evidence.
    pub force: bool,
}

impl Promotion {
    /// One in a thousand, unless somebody says otherwise.
    pub const MAX_NEW_BLOCKS: f64 = 0.001;
    /// So many that one of them is what is allowed.
    pub const MIN_REQUESTS: u64 = 1_000;
}

/// What became of it.
#[derive(Clone, Debug)]
pub enum Promoted {
    /// It decides now.
    Done {
        /// The number of the generation in which it does.
        generation: u64,
        /// The file that was rewritten.
        file: PathBuf,
        /// What it was before.
        backup: PathBuf,
        /// The evidence for it.
        seen: Seen,
    },
    /// Nothing was changed.
    Refused {
        /// Why.
        reason: String,
        /// Whether it would be done if it were forced.
        forcible: bool,
        /// The evidence, when there is a candidate.
        seen: Option<Seen>,
    },
    /// Nothing was changed, as the file is not for the server to write.
    Unwritten {
        /// Why.
        reason: String,
        /// The file.
        file: PathBuf,
        /// Its lines that change, with `-` and `+` before them.
        change: String,
    },
}

impl Promoted {
    fn no(reason: impl Into<String>) -> Self {
        Promoted::Refused { reason: reason.into(), forcible: false, seen: None }
    }
}

/// Whether the evidence speaks for a promotion.
pub(super) fn weigh(generation: &Generation, promotion: &Promotion) -> Result<Seen, Promoted> {
    let site = generation.sites.iter().find(|site| site.config.name == promotion.site);
    let Some(site) = site else {
        let names: Vec<&str> = generation.sites.iter().map(|site| site.config.name.as_str()).collect();
        return Err(Promoted::no(format!(
            "there is no site `{}`; there is: {}",
            promotion.site,
            names.join(", ")
        )));
    };
    let Some(candidate) = &site.candidate else {
        return Err(Promoted::no(format!("the site `{}` has no `shadow` to promote", promotion.site)));
    };
    let seen = candidate.evidence.seen();
    match doubt(candidate, &seen, promotion) {
        Some(reason) if !promotion.force => {
            Err(Promoted::Refused { reason, forcible: true, seen: Some(seen) })
        }
        _ => Ok(seen),
    }
}

fn doubt(candidate: &Candidate, seen: &Seen, promotion: &Promotion) -> Option<String> {
    if let Some(alarm) = posture::alarms(&candidate.posture, Some(candidate.mode)).first() {
        return Some(format!("the candidate would not protect: {alarm}"));
    }
    let decided = seen.decided();
    if decided < promotion.min_requests {
        return Some(format!(
            "too little evidence: {decided} requests were tried, {} are asked for",
            promotion.min_requests
        ));
    }
    let share = seen.new_blocks();
    (share > promotion.max_new_blocks).then(|| {
        format!(
            "it would block {} of {decided} requests that pass now, {:.3} %; at most {:.3} % are allowed",
            seen.newly_blocked,
            share * 100.0,
            promotion.max_new_blocks * 100.0
        )
    })
}

/// Rewrites the file and has it loaded by `load`; puts the old text back when that is refused.
pub(super) fn carry_out(
    path: Option<&Path>,
    overrides: &Overrides,
    site: &str,
    seen: Seen,
    load: impl FnOnce() -> Attempt,
) -> Promoted {
    let Some(path) = path else { return Promoted::no("there is no configuration file") };
    // A link stays a link.
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = match fs::read_to_string(&file) {
        Ok(old) => old,
        Err(error) => return Promoted::no(format!("cannot read {}: {error}", file.display())),
    };
    let directory = path.parent().unwrap_or(Path::new(""));
    let edit = match config::promote(&old, directory, overrides, site) {
        Ok(edit) => edit,
        Err(reason) => return Promoted::no(format!("{}: {reason}", file.display())),
    };
    let backup = match keep(&file, &old).and_then(|backup| replace(&file, &edit.text).map(|()| backup)) {
        Ok(backup) => backup,
        Err(error) => {
            let reason = format!("the server may not write {}: {error}", file.display());
            return Promoted::Unwritten { reason, file, change: edit.change };
        }
    };
    match load() {
        Attempt::Swapped(generation) => {
            tracing::warn!(site, file = %file.display(), "a candidate ruleset was promoted");
            Promoted::Done { generation, file, backup, seen }
        }
        Attempt::Unchanged => Promoted::no("the file was rewritten, and what it says is not different"),
        Attempt::Refused(why) => {
            let undone = replace(&file, &old);
            // The old text is the configuration at work; reading it again is cheap and makes the log say so.
            let undone = undone.map_or_else(
                |e| format!("; the old text cannot be put back ({e}), it is {}", backup.display()),
                |()| "; the file is as it was".to_owned(),
            );
            Promoted::no(format!("the rewritten configuration is refused{undone}:\n{why}"))
        }
    }
}

/// Writes the old text beside the file. The time in the name keeps it from replacing an earlier one.
fn keep(file: &Path, old: &str) -> io::Result<PathBuf> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let stamp = OffsetDateTime::from(SystemTime::now()).format(format).map_err(io::Error::other)?;
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{stamp}.bak"));
    let backup = PathBuf::from(name);
    // Copied, so that it keeps its permissions: there may be a token in it.
    fs::copy(file, &backup)?;
    // What was read is what is kept.
    if fs::read_to_string(&backup)? != old {
        return Err(io::Error::other("it was changed meanwhile"));
    }
    Ok(backup)
}

/// Puts `text` in the file's place, at once where the file system can.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let at_once = fs::copy(file, &new)
        .and_then(|_| fs::write(&new, text))
        .and_then(|()| fs::File::open(&new)?.sync_all())
        .and_then(|()| fs::rename(&new, file));
    if at_once.is_ok() {
        return Ok(());
    }
    let _ = fs::remove_file(&new);
    // A file that is mounted by itself, as containers have it, cannot be replaced, only written.
    fs::write(file, text)
}
