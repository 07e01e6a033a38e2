//! What rules do when they match.

use super::program::RuleIndex;
use super::settings::Mode;
use super::target::Target;
use super::template::{Slot, Template};
use crate::body::{Processor, XmlIntoArgs};
use crate::variable::Variable;

/// `setvar`, and what belongs to it.
#[derive(Clone, Debug)]
pub struct SetVar {
    /// What is set.
    pub target: SetTarget,
    /// How.
    pub operation: SetOperation,
}

impl SetVar {
    /// Its texts with macros.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let value = match &self.operation {
            SetOperation::Assign(value) | SetOperation::Add(value) | SetOperation::Subtract(value) => {
                Some(value)
            }
            SetOperation::Unset => None,
        };
        self.target.template().into_iter().chain(value)
    }
}

impl SetTarget {
    fn template(&self) -> Option<&Template> {
        match self {
            SetTarget::Tx(TxName::Dynamic(name)) | SetTarget::Collection(_, name) => Some(name),
            SetTarget::Tx(TxName::Slot(_)) => None,
        }
    }
}

impl RuleAction {
    /// Its texts with macros.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let texts = match self {
            RuleAction::Ctl(_) => [None, None],
            RuleAction::InitCollection(_, key) | RuleAction::SetResource(key) => [Some(key), None],
            RuleAction::Expire(target, seconds) => [target.template(), Some(seconds)],
            RuleAction::Deprecate(target, ..) => [target.template(), None],
            RuleAction::SetEnv(name, value) => [Some(name), Some(value)],
        };
        texts.into_iter().flatten()
    }
}

/// The member that `setvar` sets.
#[derive(Clone, Debug)]
pub enum SetTarget {
    /// A member of `TX`.
    Tx(TxName),
    /// A member of a persistent collection.
    Collection(CollectionRef, Template),
}

/// The name of a member of `TX`.
#[derive(Clone, Debug)]
pub enum TxName {
    /// Known when rules are compiled.
    Slot(Slot),
    /// Made from macros.
    Dynamic(Template),
}

/// A persistent collection: `GLOBAL`, `IP`, `RESOURCE`, `SESSION` or `USER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CollectionRef(pub Variable);

/// What `setvar` does to the member.
#[derive(Clone, Debug)]
pub enum SetOperation {
    /// `name=value`, or `name` alone (1).
    Assign(Template),
    /// `name=+value`
    Add(Template),
    /// `name=-value`
    Subtract(Template),
    /// `!name`
    Unset,
}

/// An action that takes effect once, when the whole rule has matched.
#[derive(Clone, Debug)]
pub enum RuleAction {
    /// `ctl:…`
    Ctl(Ctl),
    /// `initcol:collection=key`; `setsid` and `setuid` are this with `SESSION` and `USER`.
    InitCollection(CollectionRef, Template),
    /// `expirevar:collection.name=seconds`
    Expire(SetTarget, Template),
    /// `deprecatevar:collection.name=amount/seconds`
    Deprecate(SetTarget, i64, u64),
    /// `setenv:name=value`
    SetEnv(Template, Template),
    /// `setrsc:key`
    SetResource(Template),
}

/// A set of a ruleset's rules and links.
#[derive(Clone, Debug)]
pub struct RuleBits(Box<[u64]>);

impl RuleBits {
    /// The set of `rules`.
    pub fn new(rules: impl IntoIterator<Item = RuleIndex>) -> Self {
        let mut words = Vec::new();
        for RuleIndex(index) in rules {
            let word = index as usize / 64;
            if words.len() <= word {
                words.resize(word + 1, 0);
            }
            words[word] |= 1 << (index % 64);
        }
        Self(words.into())
    }

    /// Whether `rule` is in it.
    pub fn has(&self, RuleIndex(index): RuleIndex) -> bool {
        self.0.get(index as usize / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// 64 rules each.
    pub fn words(&self) -> &[u64] {
        &self.0
    }
}

/// `ctl`, at run time.
#[derive(Clone, Debug)]
pub enum Ctl {
    /// `ruleEngine`
    RuleEngine(Mode),
    /// `auditEngine`
    AuditEngine(AuditMode),
    /// `auditLogParts=+E`, `-E` or `=ABC`
    AuditLogParts(PartsChange, Box<[u8]>),
    /// `requestBodyAccess`
    RequestBodyAccess(bool),
    /// `requestBodyLimit`
    RequestBodyLimit(u64),
    /// `responseBodyAccess`
    ResponseBodyAccess(bool),
    /// `responseBodyLimit`
    ResponseBodyLimit(u64),
    /// `requestBodyProcessor`
    RequestBodyProcessor(Processor),
    /// `responseBodyProcessor`
    ResponseBodyProcessor(Processor),
    /// `forceRequestBodyVariable`
    ForceRequestBodyVariable(bool),
    /// `forceResponseBodyVariable`
    ForceResponseBodyVariable(bool),
    /// `parseXmlIntoArgs`
    ParseXmlIntoArgs(XmlIntoArgs),
    /// `ruleRemoveById`, `ruleRemoveByTag`, `ruleRemoveByMsg`: the rules they name.
    RemoveRules(RuleBits),
    /// `ruleRemoveTargetById`, `…ByTag`, `…ByMsg`: the rules they name and the target.
    RemoveTarget(RuleBits, Target),
}

/// The argument of `ctl:auditEngine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditMode {
    /// `On`
    On,
    /// `Off`
    Off,
    /// `RelevantOnly`
    RelevantOnly,
}

/// How `ctl:auditLogParts` changes the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartsChange {
    /// `=`
    Set,
    /// `+`
    Add,
    /// `-`
    Remove,
}

/// A disruptive action.
#[derive(Clone, Debug)]
pub enum Disruptive {
    /// `pass`
    Pass,
    /// `deny`
    Deny,
    /// `drop`
    Drop,
    /// `redirect:URL`; `proxy:URL` is this, since a site's upstreams are not a rule's to choose.
    Redirect(Template),
    /// `allow`
    Allow(Allow),
}

/// How far `allow` reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allow {
    /// The rest of this phase.
    Phase,
    /// The rest of the request phases.
    Request,
    /// All phases but logging.
    All,
}

/// Where evaluation goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// `skip:n`: pass over so many rules; a chain counts as one.
    Skip(u32),
    /// `skipAfter:MARKER`: the position in the phase's list that follows the marker; its end when the marker
    /// is nowhere after the rule.
    SkipTo(u32),
}

/// `sanitise…`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sanitise {
    /// `sanitiseArg:name`
    Argument(Box<[u8]>),
    /// `sanitiseRequestHeader:name`
    RequestHeader(Box<[u8]>),
    /// `sanitiseResponseHeader:name`
    ResponseHeader(Box<[u8]>),
    /// `sanitiseMatched`
    Matched,
    /// `sanitiseMatchedBytes[:before/after]`: the matched bytes but for so many at either end.
    MatchedBytes {
        /// Bytes left legible at the start.
        before: usize,
        /// Bytes left legible at the end.
        after: usize,
    },
}
