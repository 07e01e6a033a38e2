//! `ctl`: its options.

use super::action_set::Draft;
use super::select::RuleSelection;
use super::target;
use crate::body::{Processor, XmlIntoArgs};
use crate::dialect::{CORAZA, Difference, Status, V2, V3_CORAZA, unlike};
use crate::ruleset::{AuditMode, Ctl, Mode, PartsChange, Target};
use crate::source::Spanned;
use crate::syntax::ast;
use crate::syntax::diagnostic::{Diagnostic, nearest};
use crate::syntax::seclang;

/// An option of `ctl`.
#[derive(Debug)]
pub struct CtlRow {
    /// Its name.
    pub name: &'static str,
    /// For the reference.
    pub doc: &'static str,
    /// Whether it does anything.
    pub status: Status,
    /// Where it does something else than elsewhere.
    pub differs: &'static [Difference],
}

/// All options of `ctl`, sorted by name.
#[rustfmt::skip]
pub static CTL_OPTIONS: &[CtlRow] = &[
    row("auditEngine", "`On`, `Off` or `RelevantOnly`."),
    row("auditLogParts", "Letters to add (`+E`), take away (`-E`) or set (`ABC`)."),
    without(row("debugLogLevel", "Accepted and ignored: the log level is the process's, not a transaction's."), LOG_LEVEL),
    row("forceRequestBodyVariable", "`On`: fills `REQUEST_BODY` for JSON, XML and bodies that no processor reads. Never for multipart bodies."),
    row("forceResponseBodyVariable", "`On`: inspects the response body whatever its type."),
    without(row("hashEnforcement", "Accepted and ignored: links are not signed here."), NOT_SIGNED),
    without(row("hashEngine", "Accepted and ignored: links are not signed here."), NOT_SIGNED),
    row("parseXmlIntoArgs", "`On`, `Off` or `OnlyArgs`."),
    row("requestBodyAccess", "`On` or `Off`."),
    row("requestBodyLimit", "Bytes."),
    row("requestBodyProcessor", "`URLENCODED`, `MULTIPART`, `JSON`, `XML` or `RAW`."),
    row("responseBodyAccess", "`On` or `Off`."),
    row("responseBodyLimit", "Bytes."),
    but(row("responseBodyProcessor", "The name that `RES_BODY_PROCESSOR` shows."), &[unlike(CORAZA, "Only names what `RES_BODY_PROCESSOR` shows; there the body is parsed.")]),
    row("ruleEngine", "`On`, `Off` or `DetectionOnly`."),
    row("ruleRemoveById", "An id or a range of ids."),
    but(row("ruleRemoveByMsg", "A message."), BY_TEXT),
    but(row("ruleRemoveByTag", "A tag."), BY_TEXT),
    row("ruleRemoveTargetById", "An id or a range, a semicolon and a target."),
    but(row("ruleRemoveTargetByMsg", "A message, a semicolon and a target."), BY_TEXT),
    but(row("ruleRemoveTargetByTag", "A tag, a semicolon and a target."), BY_TEXT),
];

const fn row(name: &'static str, doc: &'static str) -> CtlRow {
    CtlRow { name, doc, status: Status::Implemented, differs: &[] }
}

const fn but(mut row: CtlRow, differs: &'static [Difference]) -> CtlRow {
    row.differs = differs;
    row
}

const fn without(mut row: CtlRow, why: &'static str) -> CtlRow {
    row.status = Status::Accepted(why);
    row
}

const LOG_LEVEL: &str = "the log level is the process's, not a transaction's";
const NOT_SIGNED: &str = "links are not signed here";
const BY_TEXT: &[Difference] = &[
    unlike(
        V2,
        "A text without a character of a regular expression is compared whole; there it is searched for.",
    ),
    unlike(V3_CORAZA, "A text that looks like a regular expression is one as well."),
];

/// A `ctl` of which some need all rules to be known.
#[derive(Clone, Debug)]
pub(super) enum CtlDraft {
    Ready(Ctl),
    RemoveRules(RuleSelection),
    RemoveTarget(RuleSelection, Target),
    /// Accepted without effect.
    Nothing,
}

/// Reads `option=value`.
pub(super) fn parse(draft: &mut Draft<'_>, action: &ast::Action, text: &str) -> Option<CtlDraft> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let (name, value) = (name.trim(), value.trim());
    let lower = name.to_ascii_lowercase();
    let invalid = |draft: &mut Draft<'_>, expected: &str| {
        draft.error("invalid-ctl", action.span, format!("ctl:{name} takes {expected}, not {value:?}"));
        None
    };
    let ctl = match lower.as_str() {
        "auditengine" => match value.to_ascii_lowercase().as_str() {
            "on" => Ctl::AuditEngine(AuditMode::On),
            "off" => Ctl::AuditEngine(AuditMode::Off),
            "relevantonly" => Ctl::AuditEngine(AuditMode::RelevantOnly),
            _ => return invalid(draft, "On, Off or RelevantOnly"),
        },
        "auditlogparts" => {
            let (change, letters) = match value.as_bytes() {
                [b'+', rest @ ..] => (PartsChange::Add, rest),
                [b'-', rest @ ..] => (PartsChange::Remove, rest),
                rest => (PartsChange::Set, rest),
            };
            if letters.is_empty() || !letters.iter().all(u8::is_ascii_alphabetic) {
                return invalid(draft, "letters, e.g. +E");
            }
            Ctl::AuditLogParts(change, letters.to_ascii_uppercase().into())
        }
        "forcerequestbodyvariable" => Ctl::ForceRequestBodyVariable(switch(draft, action, name, value)?),
        "forceresponsebodyvariable" => Ctl::ForceResponseBodyVariable(switch(draft, action, name, value)?),
        "requestbodyaccess" => Ctl::RequestBodyAccess(switch(draft, action, name, value)?),
        "responsebodyaccess" => Ctl::ResponseBodyAccess(switch(draft, action, name, value)?),
        "requestbodylimit" => match value.parse() {
            Ok(limit) => Ctl::RequestBodyLimit(limit),
            Err(_) => return invalid(draft, "a number of bytes"),
        },
        "responsebodylimit" => match value.parse() {
            Ok(limit) => Ctl::ResponseBodyLimit(limit),
            Err(_) => return invalid(draft, "a number of bytes"),
        },
        "requestbodyprocessor" => match Processor::from_name(value.as_bytes()) {
            Some(processor) => Ctl::RequestBodyProcessor(processor),
            None => return invalid(draft, "URLENCODED, MULTIPART, JSON, XML or RAW"),
        },
        "responsebodyprocessor" => match Processor::from_name(value.as_bytes()) {
            Some(processor) => Ctl::ResponseBodyProcessor(processor),
            None => return invalid(draft, "URLENCODED, MULTIPART, JSON, XML or RAW"),
        },
        "parsexmlintoargs" => match value.to_ascii_lowercase().as_str() {
            "on" => Ctl::ParseXmlIntoArgs(XmlIntoArgs::On),
            "off" => Ctl::ParseXmlIntoArgs(XmlIntoArgs::Off),
            "onlyargs" => Ctl::ParseXmlIntoArgs(XmlIntoArgs::OnlyArgs),
            _ => return invalid(draft, "On, Off or OnlyArgs"),
        },
        "ruleengine" => match Mode::find(value) {
            Some(mode) => Ctl::RuleEngine(mode),
            None => return invalid(draft, "On, Off or DetectionOnly"),
        },
        "ruleremovebyid" => {
            return selection(draft, action, RuleSelection::ids(value)).map(CtlDraft::RemoveRules);
        }
        "ruleremovebymsg" => return Some(CtlDraft::RemoveRules(RuleSelection::Message(value.to_owned()))),
        "ruleremovebytag" => return Some(CtlDraft::RemoveRules(RuleSelection::Tag(value.to_owned()))),
        "ruleremovetargetbyid" | "ruleremovetargetbymsg" | "ruleremovetargetbytag" => {
            let Some((which, target)) = value.split_once(';') else {
                return invalid(draft, "a selection of rules, a semicolon and a target");
            };
            let which = which.trim();
            let selected = match lower.as_str() {
                "ruleremovetargetbyid" => selection(draft, action, RuleSelection::ids(which))?,
                "ruleremovetargetbymsg" => RuleSelection::Message(which.to_owned()),
                _ => RuleSelection::Tag(which.to_owned()),
            };
            return removed_target(draft, action, target).map(|t| CtlDraft::RemoveTarget(selected, t));
        }
        "debugloglevel" | "hashengine" | "hashenforcement" => {
            let status = CTL_OPTIONS.iter().find(|r| r.name.eq_ignore_ascii_case(name)).map(|r| r.status);
            let Some(Status::Accepted(why)) = status else { return None };
            draft.diagnostics.push(
                Diagnostic::warning("ignored-ctl", action.span, format!("ctl:{name} has no effect here"))
                    .help(why),
            );
            return Some(CtlDraft::Nothing);
        }
        _ => {
            let mut diagnostic =
                Diagnostic::error("unknown-ctl", action.span, format!("there is no option {name} of ctl"));
            if let Some(near) = nearest(name, CTL_OPTIONS.iter().map(|r| r.name)) {
                diagnostic = diagnostic.help(format!("did you mean ctl:{near}?"));
            }
            draft.diagnostics.push(diagnostic);
            return None;
        }
    };
    Some(CtlDraft::Ready(ctl))
}

fn switch(draft: &mut Draft<'_>, action: &ast::Action, name: &str, value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "on" | "true" | "1" => Some(true),
        "off" | "false" | "0" => Some(false),
        _ => {
            draft.error("invalid-ctl", action.span, format!("ctl:{name} takes On or Off, not {value:?}"));
            None
        }
    }
}

fn selection(
    draft: &mut Draft<'_>,
    action: &ast::Action,
    selection: Result<RuleSelection, String>,
) -> Option<RuleSelection> {
    match selection {
        Ok(selection) => Some(selection),
        Err(message) => {
            draft.error("invalid-ids", action.span, message);
            None
        }
    }
}

fn removed_target(draft: &mut Draft<'_>, action: &ast::Action, text: &str) -> Option<Target> {
    let span = action.value.as_ref().map_or(action.span, |v| v.span);
    let text = Spanned::new(text.trim().trim_start_matches('!').to_owned(), span);
    let targets = seclang::parse_targets(&text, draft.sources, draft.diagnostics);
    let [target] = targets.as_slice() else {
        draft.error("invalid-ctl", action.span, format!("{:?} is not one target", text.node));
        return None;
    };
    target::one(target, &[], draft.intern, draft.diagnostics)
}
