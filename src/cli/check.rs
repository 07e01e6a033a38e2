//! `portcullis check`: what would loading this say?

use super::console::{complain, say};
use super::{CheckArgs, posture, rules};
use crate::compile::Loaded;
use crate::config::{self, Overrides};
use crate::ruleset::Mode;
use crate::syntax::diagnostic;
use serde_json::{Value, json};

/// Checks and tells. `false` when there is something wrong.
pub(super) fn check(args: &CheckArgs) -> bool {
    let mut report = Report { json: args.json, ..Report::default() };
    match &args.config {
        None => {
            let loaded = rules::load(&args.files);
            report.ruleset(None, &loaded, None);
        }
        Some(path) => {
            let loaded = config::load(Some(path), &Overrides::default());
            report.diagnostics(&loaded.diagnostics, &loaded.sources);
            let sites = loaded.config.map(|c| c.sites).unwrap_or_default();
            for site in &sites {
                report.ruleset(Some(&site.name), &rules::load_inputs(&site.rules), site.mode);
            }
        }
    }
    let good = report.errors == 0 && !(args.strict && (report.warnings > 0 || report.alarms > 0));
    if args.json {
        say(&format!("{}\n", report.into_json(good)));
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

    fn ruleset(&mut self, site: Option<&str>, loaded: &Loaded, mode: Option<Mode>) {
        self.diagnostics(&loaded.diagnostics, &loaded.sources);
        if loaded.ruleset.is_none() {
            return;
        }
        let alarms = posture::alarms(&loaded.posture, mode);
        self.alarms += alarms.len();
        if self.json {
            let mut value = posture::to_json(&loaded.posture, mode);
            value["site"] = json!(site);
            self.rulesets.push(value);
            return;
        }
        if let Some(site) = site {
            say(&format!("site        {site}\n"));
        }
        say(&posture::describe(&loaded.posture, mode));
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
