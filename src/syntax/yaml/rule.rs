//! `rules:` → `SecRule`.

use super::case;
use super::condition::{self, GREATEST_ID, Link, Lowered, chain, compare};
use super::node::{Node, Value};
use super::phase;
use super::reader::{Context, Fields, action, text};
use crate::source::{Span, Spanned};
use crate::syntax::ast::{Action, RuleTest, Statement};
use crate::syntax::diagnostic::{Diagnostic, shorten};
use crate::syntax::seclang::parse_actions;

/// Lowers one member of `rules`. A rule with a fault gives nothing; the fault has been told.
pub(crate) fn lower(
    node: &Node,
    context: &mut Context<'_>,
    statements: &mut Vec<Statement>,
    tests: &mut Vec<RuleTest>,
) {
    let before = context.diagnostics.errors();
    let Some(fields) = Fields::of(node, "a rule", RULE, context.diagnostics) else { return };
    let Some(id) = id(&fields, context) else { return };
    let condition = conditions(&fields, id.node, context);
    let own = Own::read(&fields, context);
    let given = given_actions(&fields, context);
    let own_tests = case::lower(&fields, id.node, context);
    let Some(condition) = condition else { return };
    let phase = phase_of(&fields, &condition, context);
    if context.diagnostics.errors() > before {
        return;
    }
    statements.extend(assemble(id, phase, own, given, condition, fields.span));
    tests.extend(own_tests);
}

/// The number of `id`, which must be there.
pub(crate) fn id(fields: &Fields<'_>, context: &mut Context<'_>) -> Option<Spanned<u64>> {
    if fields.get("id").is_none() {
        let fault = Diagnostic::error("no-id", fields.span, "an id is missing");
        context
            .diagnostics
            .push(fault.help("give it a number that no other rule has, for example id: 100100"));
        return None;
    }
    let id = fields.number("id", context.diagnostics)?;
    if (1..=GREATEST_ID).contains(&id.node) {
        return Some(id);
    }
    let message = format!("an id is a number from 1 to {GREATEST_ID}");
    context.diagnostics.push(Diagnostic::error("no-id", id.span, message));
    None
}

/// The phase that was written, once it is found to be one, or the earliest that `condition` allows.
pub(crate) fn phase_of(fields: &Fields<'_>, condition: &Lowered, context: &mut Context<'_>) -> Spanned<u64> {
    let targets = || condition.targets.iter();
    let Some(given) = fields.number("phase", context.diagnostics) else {
        return Spanned::new(u64::from(phase::infer(targets())), fields.span);
    };
    if (1..=5).contains(&given.node) {
        phase::check(&given, targets(), context.diagnostics);
    } else {
        let fault = Diagnostic::error("bad-phase", given.span, format!("there is no phase {}", given.node));
        context.diagnostics.push(fault.help(
            "1 and 2 are the request's headers and body, 3 and 4 the response's, 5 is logging; \
             left out, it follows from the variables",
        ));
    }
    given
}

/// Gives the rules of alternatives their phase, and the tags by which exclusions find them.
pub(crate) fn with_phase(
    mut before: Vec<Statement>,
    phase: &Spanned<u64>,
    tags: &[Spanned<String>],
) -> Vec<Statement> {
    let mut starts = true;
    for statement in &mut before {
        let Statement::Rule(rule) = statement else { continue };
        let chained = rule.actions.iter().any(|a| a.name.node == "chain");
        if starts {
            let tags = tags.iter().map(|tag| action("tag", Some(tag.node.clone()), tag.span));
            let phase = action("phase", Some(phase.node.to_string()), phase.span);
            rule.actions.splice(1..1, std::iter::once(phase).chain(tags));
        }
        starts = !chained;
    }
    before
}

/// What a rule says about itself.
struct Own {
    message: Option<Spanned<String>>,
    severity: Option<Spanned<&'static str>>,
    paranoia: Option<Spanned<u64>>,
    tags: Vec<Spanned<String>>,
}

impl Own {
    fn read(fields: &Fields<'_>, context: &mut Context<'_>) -> Self {
        let diagnostics = &mut *context.diagnostics;
        let name = fields.text("name", diagnostics);
        let description = fields.text("description", diagnostics);
        let message = fields.text("message", diagnostics).or(description).or_else(|| name.clone());
        let severity = fields.text("severity", diagnostics).and_then(|given| {
            let known = SEVERITIES.iter().enumerate().find(|(number, (known, _))| {
                known.eq_ignore_ascii_case(&given) || number.to_string() == given.node
            });
            if known.is_none() {
                let names: Vec<_> = SEVERITIES.iter().map(|(known, _)| known.to_lowercase()).collect();
                let message = format!("there is no severity `{}`", shorten(&given));
                let help = format!("the severities are {}", names.join(", "));
                diagnostics.push(Diagnostic::error("bad-severity", given.span, message).help(help));
            }
            known.map(|(_, (known, _))| Spanned::new(*known, given.span))
        });
        let paranoia = fields.number("paranoia", diagnostics);
        if let Some(level) = paranoia.as_ref().filter(|level| !(1..=4).contains(&level.node)) {
            let message = "a paranoia level is 1, 2, 3 or 4";
            diagnostics.push(Diagnostic::error("bad-paranoia", level.span, message));
        }
        let mut tags = fields.texts("tags", diagnostics);
        tags.extend(fields.texts("references", diagnostics));
        tags.extend(name.map(|name| Spanned::new(format!("rule/{}", name.node), name.span)));
        Self { message, severity, paranoia, tags }
    }
}

/// The conditions of `when`, or of `all`, `any` or `not` in its place.
pub(crate) fn conditions(fields: &Fields<'_>, id: u64, context: &mut Context<'_>) -> Option<Lowered> {
    let given: Vec<_> =
        ["when", "all", "any", "not"].into_iter().filter_map(|key| Some((key, fields.entry(key)?))).collect();
    match given.as_slice() {
        [] => {
            let fault = Diagnostic::error("condition", fields.span, "there is no condition here");
            context
                .diagnostics
                .push(fault.help("for example when: {variables: [ARGS], operator: '@detectSQLi'}"));
            None
        }
        [("when", (_, node))] => condition::lower(node, id, context),
        [(key, (_, node))] => condition::lower_compound(key, node, id, context),
        [(first, (at, _)), (second, (span, _)), ..] => {
            let message = format!("`{second}` cannot stand beside `{first}`");
            let fault = Diagnostic::error("condition", *span, message).related(*at, "the first stands here");
            context
                .diagnostics
                .push(fault.help("put the conditions into one list, as in all: [{…}, {any: [{…}, {…}]}]"));
            None
        }
    }
}

fn given_actions(fields: &Fields<'_>, context: &mut Context<'_>) -> Vec<Action> {
    let mut found = Vec::new();
    let Some(node) = fields.get("actions") else { return found };
    let members: &[Node] = match &node.value {
        Value::List(list) => list,
        _ => std::slice::from_ref(node),
    };
    for member in members {
        if let Some(text) = text(member, context.diagnostics) {
            found.extend(parse_actions(&text, context.sources, context.diagnostics));
        }
    }
    for one in &found {
        let key = match one.name.to_ascii_lowercase().as_str() {
            "id" => "id",
            "phase" => "phase",
            "msg" => "message",
            "severity" => "severity",
            "tag" => "tags",
            "t" => "the condition's transformations",
            "chain" => "all",
            _ => continue,
        };
        let message = format!("the action {} has a key of its own", one.name.node);
        context
            .diagnostics
            .push(Diagnostic::error("own-key", one.span, message).help(format!("write it under {key}")));
    }
    found
}

fn assemble(
    id: Spanned<u64>,
    phase: Spanned<u64>,
    own: Own,
    given: Vec<Action>,
    condition: Lowered,
    span: Span,
) -> Vec<Statement> {
    let has = |names: &[&str]| given.iter().any(|a| names.iter().any(|n| a.name.eq_ignore_ascii_case(n)));
    let decides = has(DISRUPTIVE);
    let text = |name: &str, value: &Spanned<String>| action(name, Some(value.node.clone()), value.span);
    let mut first = vec![
        action("id", Some(id.node.to_string()), id.span),
        action("phase", Some(phase.node.to_string()), phase.span),
    ];
    if !decides {
        first.push(action("block", None, span));
    }
    first.extend(own.message.as_ref().map(|message| text("msg", message)));
    first.extend(own.severity.as_ref().map(|s| action("severity", Some(s.node.to_owned()), s.span)));
    first.extend(own.tags.iter().map(|tag| text("tag", tag)));
    let level = own.paranoia.as_ref();
    first.extend(level.map(|p| action("tag", Some(format!("paranoia-level/{}", p.node)), p.span)));
    // What changes something waits until the whole chain has matched; the rest describes the rule.
    let (mut last, describing): (Vec<_>, Vec<_>) =
        given.into_iter().partition(|a| EFFECTS.iter().any(|name| a.name.eq_ignore_ascii_case(name)));
    first.extend(describing);
    if let (Some(level), Some(severity), false) = (level, &own.severity, decides)
        && let Some((_, Some(score))) = SEVERITIES.iter().find(|(name, _)| *name == severity.node)
    {
        let direction = if phase.node <= 2 { "inbound" } else { "outbound" };
        let value = format!("tx.{direction}_anomaly_score_pl{}=+%{{tx.{score}_anomaly_score}}", level.node);
        last.push(action("setvar", Some(value), severity.span));
    }
    let mut links = condition.links;
    if let Some(level) = level.filter(|level| level.node > 1) {
        links.insert(0, at_level(level));
    }
    let mut statements = with_phase(condition.before, &phase, &own.tags);
    statements.extend(chain(links, first, last));
    statements
}

/// Met where CRS's set-up asks for `level` or more. The first level is always asked for.
fn at_level(level: &Spanned<u64>) -> Link {
    compare("TX", "detection_paranoia_level", "ge", &level.node.to_string(), level.span)
}

const RULE: &[&str] = &[
    "id",
    "name",
    "description",
    "phase",
    "severity",
    "paranoia",
    "tags",
    "references",
    "when",
    "message",
    "actions",
    "matches",
    "passes",
    "all",
    "any",
    "not",
];

const DISRUPTIVE: &[&str] = &["allow", "block", "deny", "drop", "pass", "proxy", "redirect"];

const EFFECTS: &[&str] = &[
    "append",
    "capture",
    "ctl",
    "deprecatevar",
    "exec",
    "expirevar",
    "initcol",
    "multiMatch",
    "prepend",
    "sanitiseArg",
    "sanitiseMatched",
    "sanitiseMatchedBytes",
    "sanitiseRequestHeader",
    "sanitiseResponseHeader",
    "setenv",
    "setrsc",
    "setsid",
    "setuid",
    "setvar",
];

/// By number, with the name of the score in CRS's set-up that each adds.
const SEVERITIES: [(&str, Option<&str>); 8] = [
    ("EMERGENCY", Some("critical")),
    ("ALERT", Some("critical")),
    ("CRITICAL", Some("critical")),
    ("ERROR", Some("error")),
    ("WARNING", Some("warning")),
    ("NOTICE", Some("notice")),
    ("INFO", None),
    ("DEBUG", None),
];
