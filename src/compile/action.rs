//! Actions: one row each, with how it changes the draft of a rule.

use super::action_set::{ActionDraft, DisruptiveDraft, Draft};
use super::assign::{collection, set_target, set_var};
use super::ctl;
use crate::dialect::{CORAZA, Difference, Refusal, Status, V2, V3, V3_CORAZA, unlike};
use crate::limits;
use crate::ruleset::{Allow, CollectionRef, Disruptive, RuleAction, Sanitise};
use crate::syntax::ast;
use crate::syntax::diagnostic::{Diagnostic, nearest};
use crate::transform;
use crate::variable::Variable;

/// What kind of action it is (ModSecurity's reference manual, "Actions").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// Decides what becomes of the transaction.
    Disruptive,
    /// Does something besides.
    NonDisruptive,
    /// Changes which rules follow.
    Flow,
    /// Says something about the rule.
    Metadata,
    /// Belongs to another action.
    Data,
}

/// Whether an action takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Never.
    None,
    /// It may.
    Optional,
    /// Always.
    Required,
}

/// One action.
#[derive(Debug)]
pub struct ActionRow {
    /// Its name in SecLang.
    pub name: &'static str,
    /// Other accepted names.
    pub aliases: &'static [&'static str],
    /// Its kind.
    pub kind: ActionKind,
    /// Whether it takes a value.
    pub value: Value,
    /// For the reference.
    pub doc: &'static str,
    /// Whether it does anything.
    pub status: Status,
    /// Where it does something else than elsewhere.
    pub differs: &'static [Difference],
    /// Changes the draft of a rule, given the action and its value.
    pub(super) apply: fn(&mut Draft<'_>, &ast::Action, &str),
}

/// The row of `name`, in any case.
pub(super) fn find(name: &str) -> Option<&'static ActionRow> {
    ACTIONS
        .iter()
        .find(|r| r.name.eq_ignore_ascii_case(name) || r.aliases.iter().any(|a| a.eq_ignore_ascii_case(name)))
}

use ActionKind::{Data, Disruptive as Decides, Flow, Metadata, NonDisruptive};

const fn row(
    name: &'static str,
    kind: ActionKind,
    value: Value,
    doc: &'static str,
    apply: fn(&mut Draft<'_>, &ast::Action, &str),
) -> ActionRow {
    ActionRow { name, aliases: &[], kind, value, doc, status: Status::Implemented, differs: &[], apply }
}

const fn alias(mut row: ActionRow, aliases: &'static [&'static str]) -> ActionRow {
    row.aliases = aliases;
    row
}

const fn but(mut row: ActionRow, differs: &'static [Difference]) -> ActionRow {
    row.differs = differs;
    row
}

const fn without(mut row: ActionRow, status: Status) -> ActionRow {
    row.status = status;
    row
}

const BODIES: Status =
    Status::Accepted("what is forwarded is what was inspected, so nothing is put into bodies");
const PAUSE: Status = Status::Accepted("a waiting transaction costs the defender more than the attacker");
const EXEC: Refusal = Refusal {
    why: "rules run no scripts or programs here",
    instead: "act on the audit log, which names every rule that matched",
};
const PERSISTENT: &[Difference] = &[
    unlike(
        V2,
        "Collections are kept in the memory of the process, or where its configuration says, and not in the files of `SecDataDir`.",
    ),
    unlike(CORAZA, "There nothing is kept from one transaction to the next."),
];

/// All actions, sorted by name.
#[rustfmt::skip]
pub static ACTIONS: &[ActionRow] = &[
    row("accuracy", Metadata, Value::Required, "How precise the rule is, 1 to 9.", |d, a, v| {
        d.set.accuracy = level(d, a, v, "accuracy");
    }),
    row("allow", Decides, Value::Optional, "Lets the transaction pass: no rule but those of phase 5 looks at it any more. `allow:request` reaches to the end of phase 2, `allow:phase` to the end of the present phase.", |d, a, v| {
        let scope = match v.to_ascii_lowercase().as_str() {
            "" => Allow::All,
            "phase" => Allow::Phase,
            "request" => Allow::Request,
            _ => { d.error("invalid-value", a.span, format!("allow takes phase or request, not {v}")); return }
        };
        d.set.disruptive = Some(DisruptiveDraft::Known(Disruptive::Allow(scope)));
    }),
    without(row("append", NonDisruptive, Value::Optional, "Accepted and ignored: what is forwarded is what was inspected, so nothing is put into bodies.", ignored), BODIES),
    row("auditlog", NonDisruptive, Value::None, "A match makes the transaction relevant to the audit log.", |d, _, _| {
        d.set.auditlog = Some(true);
    }),
    row("block", Decides, Value::None, "Does what `SecDefaultAction` says for the phase.", |d, _, _| {
        // Beside another disruptive action of the same list, `block` says nothing.
        d.set.disruptive.get_or_insert(DisruptiveDraft::Block);
    }),
    row("capture", NonDisruptive, Value::None, "Puts what the operator captured into `TX.0` to `TX.9`.", |d, _, _| {
        d.set.capture = true;
    }),
    row("chain", Flow, Value::None, "The rule matches only if the next one does too.", |d, _, _| d.set.chain = true),
    row("ctl", NonDisruptive, Value::Required, "Changes the engine's settings for this transaction.", |d, a, v| {
        if let Some(ctl) = ctl::parse(d, a, v) {
            d.set.actions.push(ActionDraft::Ctl(ctl));
        }
    }),
    row("deny", Decides, Value::None, "Answers with an error page and does not go on.", |d, _, _| known(d, Disruptive::Deny)),
    but(row("deprecatevar", NonDisruptive, Value::Required, "Lowers a number in a persistent collection as time passes: `collection.name=amount/seconds`.", |d, a, v| {
        let parts = v.split_once('=').and_then(|(name, rate)| Some((name, rate.split_once('/')?)));
        let Some((name, (amount, seconds))) = parts else {
            d.error("invalid-value", a.span, "deprecatevar is written collection.name=amount/seconds");
            return;
        };
        let (Ok(amount), Ok(seconds)) = (amount.trim().parse(), seconds.trim().parse()) else {
            d.error("invalid-value", a.span, "amount and seconds of deprecatevar are whole numbers");
            return;
        };
        if let Some(target) = set_target(d, a, name) {
            d.set.actions.push(ActionDraft::Ready(RuleAction::Deprecate(target, amount, seconds)));
        }
    }), &[unlike(V2, "Counts from a fixed time; there from the collection's last change, which forgets the rest of a period with each.")]),
    but(row("drop", Decides, Value::None, "Closes the connection without an answer.", |d, _, _| known(d, Disruptive::Drop)), &[unlike(V3, "Closes the connection; there most servers answer as with `deny`.")]),
    without(row("exec", NonDisruptive, Value::Required, "Refused: a rule runs no programs here.", |d, a, _| {
        d.diagnostics.push(Diagnostic::error("refused-action", a.span, format!("exec is refused: {}", EXEC.why)).help(EXEC.instead));
    }), Status::Refused(EXEC)),
    row("expirevar", NonDisruptive, Value::Required, "Ends a member of a persistent collection: `collection.name=seconds`.", |d, a, v| {
        let (name, seconds) = v.split_once('=').unwrap_or((v, "0"));
        let seconds = d.template(a, seconds);
        if let Some(target) = set_target(d, a, name) {
            d.set.actions.push(ActionDraft::Ready(RuleAction::Expire(target, seconds)));
        }
    }),
    row("id", Metadata, Value::Required, "The rule's number; unique in a ruleset.", |d, a, v| {
        match v.trim().parse::<u64>() {
            Ok(id) if id > 0 => d.set.id = Some((id, a.span)),
            _ => { d.error("invalid-id", a.span, format!("an id is a whole number from 1, not {v}")); }
        }
    }),
    but(row("initcol", NonDisruptive, Value::Required, "Opens a persistent collection: `collection=key`.", |d, a, v| {
        let Some((name, key)) = v.split_once('=') else {
            d.error("invalid-value", a.span, "initcol is written collection=key, e.g. ip=%{REMOTE_ADDR}");
            return;
        };
        let Some(collection) = collection(name) else {
            d.error("invalid-value", a.span, format!("{name} is none of GLOBAL, IP, RESOURCE, SESSION, USER"));
            return;
        };
        let key = d.template(a, key);
        d.set.actions.push(ActionDraft::Ready(RuleAction::InitCollection(collection, key)));
    }), PERSISTENT),
    row("log", NonDisruptive, Value::None, "A match is told in the logs.", |d, _, _| {
        d.set.log = Some(true);
        d.set.auditlog = Some(true);
    }),
    row("logdata", NonDisruptive, Value::Required, "Text to log with a match, with macros.", |d, a, v| {
        d.set.data = Some(d.template(a, v));
    }),
    row("maturity", Metadata, Value::Required, "How well tried the rule is, 1 to 9.", |d, a, v| {
        d.set.maturity = level(d, a, v, "maturity");
    }),
    row("msg", Metadata, Value::Required, "What a match means, with macros.", |d, a, v| {
        d.set.message = Some(d.template(a, v));
    }),
    row("multiMatch", NonDisruptive, Value::None, "Asks the operator before the first transformation and after each that changes the value.", |d, _, _| {
        d.set.multi_match = true;
    }),
    row("noauditlog", NonDisruptive, Value::None, "A match does not make the transaction relevant to the audit log.", |d, _, _| {
        d.set.auditlog = Some(false);
    }),
    row("nolog", NonDisruptive, Value::None, "A match is not told in the logs.", |d, _, _| {
        d.set.log = Some(false);
        d.set.auditlog = Some(false);
    }),
    row("pass", Decides, Value::None, "Goes on with the next rule.", |d, _, _| known(d, Disruptive::Pass)),
    without(row("pause", Decides, Value::Required, "Accepted and ignored: a waiting transaction costs the defender more than the attacker.", ignored), PAUSE),
    row("phase", Metadata, Value::Required, "When the rule runs: 1 (request headers), 2 (request body), 3 (response headers), 4 (response body), 5 (logging); or `request`, `response`, `logging`.", |d, a, v| {
        d.set.phase = match v.trim().to_ascii_lowercase().as_str() {
            "1" => Some(1),
            "2" | "request" => Some(2),
            "3" => Some(3),
            "4" | "response" => Some(4),
            "5" | "logging" => Some(5),
            _ => { d.error("invalid-phase", a.span, format!("a phase is 1 to 5, request, response or logging, not {v}")); None }
        };
    }),
    without(row("prepend", NonDisruptive, Value::Optional, "Accepted and ignored: what is forwarded is what was inspected, so nothing is put into bodies.", ignored), BODIES),
    but(row("proxy", Decides, Value::Required, "Treated as `deny`: where a site's requests go is its configuration's business, not a rule's.", |d, a, _| {
        d.diagnostics.push(Diagnostic::warning("proxy-is-deny", a.span, "proxy is carried out as deny: rules choose no upstreams here")
            .help("write deny, or give the path to another upstream in the site's configuration"));
        known(d, Disruptive::Deny);
    }), &[unlike(V2, "Carried out as `deny`; there the request is sent to another server.")]),
    row("redirect", Decides, Value::Required, "Redirects to a URL, with macros; the status is 302 unless `status` says 301, 303, 307 or 308.", |d, a, v| {
        let url = d.template(a, v);
        known(d, Disruptive::Redirect(url));
    }),
    row("rev", Metadata, Value::Required, "The rule's revision.", |d, _, v| d.set.revision = Some(v.to_owned())),
    alias(row("sanitiseArg", NonDisruptive, Value::Required, "Masks an argument in the audit log.", |d, _, v| {
        d.set.sanitise.push(Sanitise::Argument(v.as_bytes().into()));
    }), &["sanitizeArg"]),
    alias(row("sanitiseMatched", NonDisruptive, Value::None, "Masks the variable that matched in the audit log.", |d, _, _| {
        d.set.sanitise.push(Sanitise::Matched);
    }), &["sanitizeMatched"]),
    alias(row("sanitiseMatchedBytes", NonDisruptive, Value::Optional, "Masks the bytes that matched in the audit log, but for so many at either end: `sanitiseMatchedBytes:1/4`.", |d, a, v| {
        let parts = if v.is_empty() { Some((0, 0)) } else {
            v.split_once('/').and_then(|(b, e)| Some((b.trim().parse().ok()?, e.trim().parse().ok()?)))
        };
        match parts {
            Some((before, after)) => d.set.sanitise.push(Sanitise::MatchedBytes { before, after }),
            None => { d.error("invalid-value", a.span, "sanitiseMatchedBytes is written before/after, e.g. 1/4"); }
        }
    }), &["sanitizeMatchedBytes"]),
    alias(row("sanitiseRequestHeader", NonDisruptive, Value::Required, "Masks a request header in the audit log.", |d, _, v| {
        d.set.sanitise.push(Sanitise::RequestHeader(v.as_bytes().into()));
    }), &["sanitizeRequestHeader"]),
    alias(row("sanitiseResponseHeader", NonDisruptive, Value::Required, "Masks a response header in the audit log.", |d, _, v| {
        d.set.sanitise.push(Sanitise::ResponseHeader(v.as_bytes().into()));
    }), &["sanitizeResponseHeader"]),
    but(row("setenv", NonDisruptive, Value::Required, "Sets a member of `ENV` for this transaction: `name=value`.", |d, a, v| {
        let (name, value) = v.split_once('=').unwrap_or((v, "1"));
        let (name, value) = (d.template(a, name), d.template(a, value));
        d.set.actions.push(ActionDraft::Ready(RuleAction::SetEnv(name, value)));
    }), &[unlike(V2, "Sets a member of `ENV`; there other modules of Apache see it too."), unlike(V3_CORAZA, "Sets a member of `ENV` for this transaction; there the environment of the whole process.")]),
    but(row("setrsc", NonDisruptive, Value::Required, "Opens the collection `RESOURCE` under a key.", |d, a, v| {
        let key = d.template(a, v);
        d.set.actions.push(ActionDraft::Ready(RuleAction::SetResource(key)));
    }), PERSISTENT),
    but(row("setsid", NonDisruptive, Value::Required, "Opens the collection `SESSION` under a key.", |d, a, v| {
        let key = d.template(a, v);
        d.set.actions.push(ActionDraft::Ready(RuleAction::InitCollection(CollectionRef(Variable::Session), key)));
    }), PERSISTENT),
    but(row("setuid", NonDisruptive, Value::Required, "Opens the collection `USER` under a key.", |d, a, v| {
        let key = d.template(a, v);
        d.set.actions.push(ActionDraft::Ready(RuleAction::InitCollection(CollectionRef(Variable::User), key)));
    }), PERSISTENT),
    row("setvar", NonDisruptive, Value::Required, "Sets a member of `TX` or of a persistent collection: `tx.name=value`, `tx.name=+1`, `tx.name=-1`, `!tx.name`.", set_var),
    row("severity", Metadata, Value::Required, "How grave a match is: EMERGENCY (0), ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFO, DEBUG (7).", |d, a, v| {
        let names = ["EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"];
        let v = v.trim();
        let found = match v.parse::<u8>() {
            Ok(n) => (n < 8).then_some(n),
            Err(_) => names.iter().position(|n| n.eq_ignore_ascii_case(v)).and_then(|n| u8::try_from(n).ok()),
        };
        match found {
            Some(n) => d.set.severity = Some(n),
            None => { d.error("invalid-severity", a.span, format!("a severity is 0 to 7 or one of {}, not {v}", names.join(", "))); }
        }
    }),
    row("skip", Flow, Value::Required, "Passes over so many rules; a chain counts as one.", |d, a, v| {
        match v.trim().parse() {
            Ok(n) => d.set.skip = Some(n),
            Err(_) => { d.error("invalid-value", a.span, format!("skip takes a number of rules, not {v}")); }
        }
    }),
    row("skipAfter", Flow, Value::Required, "Goes on after the marker (or rule) of that name.", |d, a, v| {
        d.set.skip_after = Some((v.to_owned(), a.span));
    }),
    row("status", Data, Value::Required, "The status that `deny` and `redirect` answer with.", |d, a, v| {
        match v.trim().parse::<u16>() {
            Ok(n @ 100..=599) => d.set.status = Some(n),
            _ => { d.error("invalid-status", a.span, format!("a status is 100 to 599, not {v}")); }
        }
    }),
    row("t", NonDisruptive, Value::Required, "Transforms each value before the operator looks at it; `t:none` forgets what came before.", |d, a, v| {
        let v = v.trim();
        if v.eq_ignore_ascii_case("none") {
            d.set.transforms.clear();
            d.set.transforms_reset = true;
            return;
        }
        match transform::find(v) {
            Some(id) if d.set.transforms.len() < limits::TRANSFORMATIONS_PER_RULE => d.set.transforms.push(id),
            Some(_) => { d.error("too-many-transformations", a.span, format!("a rule may have {} transformations", limits::TRANSFORMATIONS_PER_RULE)); }
            None => {
                let span = a.value.as_ref().map_or(a.span, |v| v.span);
                let mut diagnostic = Diagnostic::error("unknown-transformation", span, format!("there is no transformation {v}"));
                if let Some(near) = nearest(v, transform::all().iter().map(|t| t.name)) {
                    diagnostic = diagnostic.help(format!("did you mean t:{near}?"));
                }
                d.diagnostics.push(diagnostic);
            }
        }
    }),
    row("tag", Metadata, Value::Required, "A word to group rules by, with macros.", |d, a, v| {
        let tag = d.template(a, v);
        d.set.tags.push(tag);
    }),
    row("ver", Metadata, Value::Required, "The version of the ruleset that the rule belongs to.", |d, _, v| d.set.version = Some(v.to_owned())),
    row("xmlns", Data, Value::Required, "A namespace for XPath expressions of the rule: `prefix=URI`.", |d, a, v| {
        match v.split_once('=') {
            Some((prefix, uri)) if !prefix.is_empty() && !uri.is_empty() => d.set.namespaces.push((prefix.into(), uri.trim_matches(['\'', '"']).into())),
            _ => d.error("invalid-value", a.span, "xmlns is written prefix=URI"),
        }
    }),
];

fn known(draft: &mut Draft<'_>, disruptive: Disruptive) {
    draft.set.disruptive = Some(DisruptiveDraft::Known(disruptive));
}

fn ignored(draft: &mut Draft<'_>, action: &ast::Action, _: &str) {
    let Some(Status::Accepted(why)) = find(&action.name).map(|r| r.status) else { return };
    draft.diagnostics.push(
        Diagnostic::warning(
            "ignored-action",
            action.span,
            format!("{} has no effect here", action.name.node),
        )
        .help(why),
    );
}

fn level(draft: &mut Draft<'_>, action: &ast::Action, value: &str, name: &str) -> Option<u8> {
    match value.trim().parse::<u8>() {
        Ok(n @ 0..=9) => Some(n),
        _ => {
            draft.error("invalid-value", action.span, format!("{name} is 1 to 9, not {value}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_documented() {
        for pair in ACTIONS.windows(2) {
            assert!(pair[0].name.to_lowercase() < pair[1].name.to_lowercase(), "{}", pair[1].name);
        }
        for row in ACTIONS {
            assert!(row.doc.ends_with('.'), "{}", row.name);
            assert!(find(&row.name.to_uppercase()).is_some());
        }
    }
}
