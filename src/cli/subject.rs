//! The rules that a command works with: a configuration's sites, rule files, or the embedded ruleset.

use super::rules::{ENGINE_SETTINGS, load_alone, rendered};
use crate::audit::{Auditor, Format, Redaction};
use crate::config::{Checked, EMBEDDED_RULESET, Overrides, RuleInput};
use crate::reload::{Origin, Workbench, file_loader, load};
use crate::ruleset::Mode;
use std::path::Path;
use std::sync::Arc;

/// What was loaded.
pub(super) struct Subject {
    /// The configuration, when one was given.
    pub(super) config: Option<Arc<Checked>>,
    /// The hash of its generation; empty without one.
    pub(super) generation: String,
    /// The sites in order, at least one; rules without a configuration are one without a name.
    pub(super) sites: Vec<SiteRules>,
    /// Masks what the configuration says.
    pub(super) auditor: Auditor,
}

/// A site's rules.
pub(super) struct SiteRules {
    pub(super) name: String,
    pub(super) rules: Workbench,
    pub(super) mode: Option<Mode>,
}

impl Subject {
    /// Loads a configuration, or rule files, or the embedded ruleset.
    ///
    /// # Errors
    ///
    /// Everything that keeps it from loading, for standard error.
    pub(super) fn load(config: Option<&Path>, rules: &[String], mode: Option<Mode>) -> Result<Self, String> {
        match config {
            Some(path) => Self::configured(path, rules, mode),
            None => Self::plain(rules, mode),
        }
    }

    fn configured(path: &Path, rules: &[String], mode: Option<Mode>) -> Result<Self, String> {
        let overrides = Overrides { rules: rules.to_vec(), mode, ..Overrides::default() };
        let loaded = load(&Origin { path: Some(path.to_owned()), overrides }, 1, &file_loader());
        let Some(generation) = loaded.generation else {
            return Err(format!(
                "{}error: the configuration is not usable\n",
                loaded.render(super::console::colour())
            ));
        };
        let config = generation.config;
        let site = |site: crate::reload::SiteRuntime| SiteRules {
            name: site.config.name.clone(),
            mode: site.config.mode,
            rules: Workbench::new(site.config.rules.clone(), site.ruleset),
        };
        Ok(Self {
            auditor: Auditor::new(&config.audit.redact, Format::Native, ""),
            sites: generation.sites.into_iter().map(site).collect(),
            generation: generation.hash,
            config: Some(config),
        })
    }

    fn plain(files: &[String], mode: Option<Mode>) -> Result<Self, String> {
        let loaded = load_alone(files);
        let Some(ruleset) = loaded.ruleset.clone() else { return Err(rendered(&loaded)) };
        let file = |name: &str| RuleInput::File(name.to_owned());
        let mut inputs: Vec<RuleInput> = files.iter().map(|name| file(name)).collect();
        if inputs.is_empty() {
            inputs.push(file(EMBEDDED_RULESET));
        }
        let has_settings = loaded.sources.files().iter().any(|source| source.name() == ENGINE_SETTINGS);
        if has_settings && !files.iter().any(|name| name == ENGINE_SETTINGS) {
            inputs.insert(0, file(ENGINE_SETTINGS));
        }
        Ok(Self {
            config: None,
            generation: String::new(),
            sites: vec![SiteRules { name: String::new(), rules: Workbench::new(inputs, ruleset), mode }],
            auditor: Auditor::new(&Redaction::default(), Format::Native, ""),
        })
    }

    /// The site called `name`; without a configuration the only one, whatever it is called.
    pub(super) fn site(&self, name: Option<&str>) -> Result<&SiteRules, String> {
        let known = || self.sites.iter().map(|site| site.name.as_str()).collect::<Vec<_>>().join(", ");
        match (name, self.sites.as_slice()) {
            (_, [only]) if self.config.is_none() || name.is_none() => Ok(only),
            (Some(name), sites) => sites
                .iter()
                .find(|site| site.name == name)
                .ok_or_else(|| format!("there is no site {name}; the configuration has {}", known())),
            (None, _) => Err(format!("say which site is meant by --site: {}", known())),
        }
    }
}
