//! Rules of a site that can be compiled once more with something before them, to see what it would change.

use super::build::{file_loader, load_rules};
use crate::compile::Memo;
use crate::config::RuleInput;
use crate::explain;
use crate::ruleset::Ruleset;
use crate::syntax::diagnostic::Severity;
use std::sync::Arc;

/// The rule text of a site with what it compiled to.
#[derive(Clone, Debug)]
pub struct Workbench {
    /// The rule text in order.
    pub inputs: Vec<RuleInput>,
    /// What it compiled to.
    pub ruleset: Arc<Ruleset>,
    memo: Memo,
}

impl Workbench {
    /// Rules that are compiled already.
    pub fn new(inputs: Vec<RuleInput>, ruleset: Arc<Ruleset>) -> Self {
        Self { inputs, ruleset, memo: Memo::default() }
    }
}

impl explain::Rules for Workbench {
    fn ruleset(&self) -> Arc<Ruleset> {
        Arc::clone(&self.ruleset)
    }

    fn with(&self, before: &str) -> Result<Arc<Ruleset>, String> {
        let added = RuleInput::Text { name: "the exclusion".to_owned(), text: before.to_owned() };
        let inputs: Vec<RuleInput> = std::iter::once(added).chain(self.inputs.iter().cloned()).collect();
        let loaded = self.memo.during(|| load_rules(&inputs, &file_loader()));
        let fault = loaded.diagnostics.iter().find(|d| d.severity == Severity::Error);
        let fault = fault.map(|d| d.message.clone());
        loaded.ruleset.ok_or_else(|| fault.unwrap_or_else(|| "they do not compile".to_owned()))
    }
}
