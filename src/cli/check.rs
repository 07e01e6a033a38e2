//! `portcullis check`: what would loading this say?

use super::compat::{Compat, Verdict};
use super::console::{complain, say};
use super::{CheckArgs, rules};
use crate::compile::Posture;
use crate::config::{Overrides, posture};
use crate::proxy::Server;
use crate::reload::{Origin, file_loader, load};
use crate::ruleset::Mode;
use crate::syntax::diagnostic;
use serde_json::{Value, json};

/// Checks and tells. `false` when there is something wrong.
pub(super) fn check(args: &CheckArgs) -> bool {
    let mut report = Report { json: args.json, ..Report::default() };
    match &args.config {
        None if args.compat => return compat(args),
        None => {
            let loaded = rules::load_alone(&args.files);
            report.diagnostics(&loaded.diagnostics, &loaded.sources);
            if args.strict {
                report.each(loaded.untested(), &loaded.sources);
            }
            if loaded.ruleset.is_some() {
                report.posture(None, &loaded.posture, None);
            }
        }
        Some(path) => {
            let origin = Origin { path: Some(path.clone()), overrides: Overrides::default() };
            let loaded = load(&origin, 1, &file_loader());
            for complaints in &loaded.complaints {
                report.diagnostics(&complaints.diagnostics, &complaints.sources);
                if args.strict {
                    report.each(complaints.untested.clone(), &complaints.sources);
                }
            }
            if let Some(generation) = &loaded.generation {
                for site in &loaded.postures {
                    report.posture(Some(&site.site), &site.posture, site.mode);
                }
                if let Err(error) = Server::verify(&generation.config) {
                    report.error(&error.to_string());
                }
            }
        }
    }
    let good = report.errors == 0 && !(args.strict && (report.warnings > 0 || report.alarms > 0));
    if args.json {
        say(&format!("{}\n", report.into_json(good)));
    }
    good
}

/// `--compat`: what rules from elsewhere use.
fn compat(args: &CheckArgs) -> bool {
    let loaded = rules::load(&args.files);
    let compat = Compat::of(&loaded, args.from.map(Into::into));
    let good = match compat.verdict() {
        Verdict::AsIs => true,
        Verdict::Differences(_) => !args.strict,
        Verdict::Refused(_) => false,
    };
    if args.json {
        let diagnostics = diagnostic::to_json(&loaded.diagnostics, &loaded.sources);
        say(&format!("{}\n", json!({"ok": good, "compat": compat.to_json(), "diagnostics": diagnostics})));
    } else {
        say(&compat.describe());
    }
    good
}

/// What has been said so far.
#[derive(Default)]
struct Report {
    json: bool,
    errors: usize,
    warnings: usize,
    alarms: usize,
    diagnostics: Vec<Value>,
    rulesets: Vec<Value>,
}

impl Report {
    fn diagnostics(&mut self, all: &diagnostic::Diagnostics, sources: &crate::source::SourceMap) {
        self.errors += all.errors();
        self.warnings += all.iter().filter(|d| d.severity == diagnostic::Severity::Warning).count();
        if self.json {
            let Value::Array(list) = diagnostic::to_json(all, sources) else { return };
            self.diagnostics.extend(list);
        } else if !all.is_empty() {
            complain(&diagnostic::render(all, sources, super::console::colour()));
        }
    }

    fn each(&mut self, more: Vec<diagnostic::Diagnostic>, sources: &crate::source::SourceMap) {
        let mut all = diagnostic::Diagnostics::new();
        more.into_iter().for_each(|one| all.push(one));
        self.diagnostics(&all, sources);
    }

    /// A fault that stands in no text, such as a certificate that cannot be used.
    fn error(&mut self, message: &str) {
        self.errors += 1;
        if self.json {
            self.diagnostics.push(json!({"severity": "error", "code": "listener", "message": message}));
        } else {
            complain(&format!("error: {message}\n"));
        }
    }

    fn posture(&mut self, site: Option<&str>, posture: &Posture, mode: Option<Mode>) {
        let alarms = posture::alarms(posture, mode);
        self.alarms += alarms.len();
        if self.json {
            let mut value = posture::to_json(posture, mode);
            value["site"] = json!(site);
            self.rulesets.push(value);
            return;
        }
        if let Some(site) = site {
            say(&format!("site        {site}\n"));
        }
        say(&posture::describe(posture, mode));
        for alarm in alarms {
            say(&format!("ALARM       {alarm}\n"));
        }
    }

    fn into_json(self, good: bool) -> Value {
        json!({
            "ok": good,
            "errors": self.errors,
            "warnings": self.warnings,
            "alarms": self.alarms,
            "diagnostics": self.diagnostics,
            "rulesets": self.rulesets,
        })
    }
}
