//! `rules:` → `SecRule`.

use super::condition::{self, Link, Lowered, chain, compare};
use super::id::{self, Id};
use super::node::{Node, Value};
use super::reader::{Context, Fields, Items, action, paragraph, text};
use super::{case, patch, phase, table};
use crate::source::{Span, Spanned};
use crate::syntax::ast::{Action, ActionStatement, Patch, RuleNote, RuleTest, Statement};
use crate::syntax::diagnostic::{Diagnostic, shorten};
use crate::syntax::seclang::parse_actions;

/// Lowers one member of `rules`. A rule with a fault gives nothing; the fault has been told.
pub(crate) fn lower(node: &Node, context: &mut Context<'_>, items: &mut Items) {
    let before = context.diagnostics.errors();
    let Some(fields) = Fields::of(node, &table::RULE, context.diagnostics) else { return };
    let Some(id) = id::read(&fields, context) else { return };
    let condition = conditions(&fields, id.number, context);
    let mut own = Own::read(&fields, &id, context);
    own.read_rule(&fields, context);
    let given = given_actions(&fields, context);
    let tests = case::lower(&fields, id.number, &[], context);
    let Some(condition) = condition else { return };
    let phase = phase_of(&fields, &condition, context);
    let raw_body =
        fields.flag("raw_body", context.diagnostics).filter(|flag| flag.node).map(|flag| flag.span);
    let looks = condition.targets.iter().any(|target| target.name.eq_ignore_ascii_case("REQUEST_BODY"));
    if let Some(span) = raw_body.filter(|_| !looks) {
        let fault = Diagnostic::error("raw-body", span, "no condition of this rule looks at REQUEST_BODY");
        context.diagnostics.push(fault.help("remove raw_body, or name REQUEST_BODY under variables"));
    }
    if context.diagnostics.errors() > before {
        return;
    }
    items.notes.push(own.note(&id, &tests));
    items.tests.extend(tests);
    let Lowered { links, before, .. } = condition;
    if let Some(span) = raw_body {
        items.statements.extend(with_raw_body(id.number, &links, span));
    }
    items.statements.extend(with_phase(before, &phase, &own.tags));
    items.statements.extend(own.rule(id.number, &phase, None, given, links, context.patch));
}

/// A rule that has `REQUEST_BODY` filled for the rule `id`: for those requests only which meet what it asks of the head.
fn with_raw_body(id: u64, links: &[Link], span: Span) -> Vec<Statement> {
    let early = |link: &&Link| phase::is_early(&link.targets);
    let links: Vec<_> = links.iter().filter(early).cloned().collect();
    let first = vec![
        action("id", Some((RAW_BODY_IDS + id).to_string()), span),
        action("phase", Some("1".to_owned()), span),
        action("pass", None, span),
        action("nolog", None, span),
    ];
    let last = vec![action("ctl", Some("forceRequestBodyVariable=On".to_owned()), span)];
    if links.is_empty() {
        let actions = first.into_iter().chain(last).collect();
        return vec![Statement::Action(ActionStatement { actions, span })];
    }
    chain(links, first, last)
}

/// Where the ids of rules begin that fill `REQUEST_BODY`, far above those of alternatives.
const RAW_BODY_IDS: u64 = 20_000_000_000_000;

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
#[derive(Debug)]
pub(crate) struct Own {
    name: Option<Spanned<String>>,
    description: Option<Spanned<String>>,
    tuning: Option<String>,
    message: Option<Spanned<String>>,
    severity: Option<Spanned<&'static str>>,
    paranoia: Option<Spanned<u64>>,
    pub(crate) tags: Vec<Spanned<String>>,
    references: Vec<String>,
    span: Span,
}

impl Own {
    /// What rules and members of `only` have in common.
    pub(crate) fn read(fields: &Fields<'_>, id: &Id, context: &mut Context<'_>) -> Self {
        let diagnostics = &mut *context.diagnostics;
        let mut long = |key| fields.get(key).and_then(|node| paragraph(node, diagnostics)).map(folded);
        let description = long("description");
        let tuning = long("tuning").map(|text| text.node);
        let mut severity = fields.text("severity", diagnostics).and_then(|given| {
            let known = SEVERITIES.iter().enumerate().find(|(number, (known, _))| {
                known.eq_ignore_ascii_case(&given) || number.to_string() == given.node
            });
            if known.is_none() {
                let message = format!("there is no severity `{}`", shorten(&given));
                let help = format!("the severities are {}", table::SEVERITY_NAMES.join(", "));
                diagnostics.push(Diagnostic::error("bad-severity", given.span, message).help(help));
            }
            known.map(|(_, (known, _))| Spanned::new(*known, given.span))
        });
        let mut tags = fields.texts("tags", diagnostics);
        let references = patch::references(fields, diagnostics);
        tags.extend(references.iter().filter(|text| patch::is_tag(text)).cloned());
        if let Some(patch) = context.patch {
            let known = SEVERITIES.iter().find(|(known, _)| known.eq_ignore_ascii_case(&patch.severity));
            severity = severity.or_else(|| known.map(|(known, _)| Spanned::new(*known, fields.span)));
            let own = ["virtual-patch".to_owned(), format!("patch/{}", patch.name)];
            tags.extend(
                own.into_iter().chain(patch.cve.iter().cloned()).map(|tag| Spanned::new(tag, fields.span)),
            );
        }
        Self {
            name: id.name.clone().map(|name| Spanned::new(name, id.span)),
            message: None,
            description,
            tuning,
            severity,
            paranoia: None,
            tags,
            references: references.into_iter().map(|text| text.node).collect(),
            span: fields.span,
        }
    }

    /// What only rules have.
    fn read_rule(&mut self, fields: &Fields<'_>, context: &mut Context<'_>) {
        let diagnostics = &mut *context.diagnostics;
        self.name = fields.text("name", diagnostics).or_else(|| self.name.take());
        self.message = fields.text("message", diagnostics);
        self.tags.extend(self.name.iter().map(|name| Spanned::new(format!("rule/{}", name.node), name.span)));
        self.paranoia = fields.number("paranoia", diagnostics);
        let Some(level) = &self.paranoia else { return };
        if !(1..=4).contains(&level.node) {
            let message = "a paranoia level is 1, 2, 3 or 4";
            diagnostics.push(Diagnostic::error("bad-paranoia", level.span, message));
        }
        if context.patch.is_some() {
            let fault = Diagnostic::error("bad-paranoia", level.span, "a patch has no paranoia level");
            diagnostics.push(fault.help("remove it: a patch runs where it is enabled"));
        }
    }

    /// What is said about the rule `id` for people.
    pub(crate) fn note(&self, id: &Id, tests: &[RuleTest]) -> RuleNote {
        RuleNote {
            rule: id.number,
            name: self.name.as_ref().map(|name| name.node.clone()),
            description: self.description.as_ref().map(|text| text.node.clone()),
            tuning: self.tuning.clone(),
            references: self.references.clone(),
            matches: tests.iter().filter(|test| test.matches).count(),
            passes: tests.iter().filter(|test| !test.matches).count(),
            span: self.span,
        }
    }

    /// The rule with the condition `links`. `reason` says in a few words why it matches, where that is known.
    pub(crate) fn rule(
        &self,
        id: u64,
        phase: &Spanned<u64>,
        reason: Option<&str>,
        given: Vec<Action>,
        mut links: Vec<Link>,
        patch: Option<&Patch>,
    ) -> Vec<Statement> {
        let has = |names: &[&str]| given.iter().any(|a| names.iter().any(|n| a.name.eq_ignore_ascii_case(n)));
        let decides = has(DISRUPTIVE);
        let has_status = has(&["status"]);
        let has_data = has(&["logdata"]);
        let text = |name: &str, value: &Spanned<String>| action(name, Some(value.node.clone()), value.span);
        let mut first = vec![
            action("id", Some(id.to_string()), self.span),
            action("phase", Some(phase.node.to_string()), phase.span),
        ];
        match patch {
            // What SecDefaultAction says is right for rules that add up a score. A patch knows its flaw.
            Some(_) if !decides => {
                first.push(action("deny", None, self.span));
                first.extend((!has_status).then(|| action("status", Some("403".to_owned()), self.span)));
                first.push(action("log", None, self.span));
                first.push(action("auditlog", None, self.span));
            }
            _ => first.extend((!decides).then(|| action("block", None, self.span))),
        }
        let about = self.message.as_ref().or(self.description.as_ref());
        let about = match (about, patch) {
            (Some(text), _) => Some(text.clone()),
            (None, Some(patch)) => Some(Spanned::new(format!("{}: {}", patch.name, patch.title), self.span)),
            (None, None) => self.name.clone(),
        };
        let about = match (about, reason) {
            (Some(text), Some(reason)) => Some(Spanned::new(format!("{}: {reason}", text.node), text.span)),
            (about, reason) => about.or_else(|| reason.map(|text| Spanned::new(text.to_owned(), self.span))),
        };
        first.extend(about.as_ref().map(|message| text("msg", message)));
        if (patch.is_some() || reason.is_some()) && !has_data {
            first.push(action("logdata", Some("%{MATCHED_VAR_NAME}: %{MATCHED_VAR}".to_owned()), self.span));
        }
        first.extend(self.severity.as_ref().map(|s| action("severity", Some(s.node.to_owned()), s.span)));
        first.extend(self.tags.iter().map(|tag| text("tag", tag)));
        let level = self.paranoia.as_ref();
        first.extend(level.map(|p| action("tag", Some(format!("paranoia-level/{}", p.node)), p.span)));
        // What changes something waits until the whole chain has matched; the rest describes the rule.
        let (mut last, describing): (Vec<_>, Vec<_>) =
            given.into_iter().partition(|a| EFFECTS.iter().any(|name| a.name.eq_ignore_ascii_case(name)));
        first.extend(describing);
        if let (Some(level), Some(severity), false) = (level, &self.severity, decides)
            && let Some((_, Some(score))) = SEVERITIES.iter().find(|(name, _)| *name == severity.node)
        {
            let direction = if phase.node <= 2 { "inbound" } else { "outbound" };
            let value =
                format!("tx.{direction}_anomaly_score_pl{}=+%{{tx.{score}_anomaly_score}}", level.node);
            last.push(action("setvar", Some(value), severity.span));
        }
        if let Some(level) = level.filter(|level| level.node > 1) {
            links.insert(0, at_level(level));
        }
        if links.is_empty() {
            first.extend(last);
            return vec![Statement::Action(ActionStatement { actions: first, span: self.span })];
        }
        chain(links, first, last)
    }
}

/// A text of several lines in one, for a place that has room for one.
fn folded(text: Spanned<String>) -> Spanned<String> {
    Spanned::new(text.split_whitespace().collect::<Vec<_>>().join(" "), text.span)
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
        [("when", (_, Node { value: Value::Scalar { text, .. }, .. }))] if text == "always" => {
            Some(Lowered::default())
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

/// The members of `actions`.
pub(crate) fn given_actions(fields: &Fields<'_>, context: &mut Context<'_>) -> Vec<Action> {
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

/// Met where CRS's set-up asks for `level` or more. The first level is always asked for.
fn at_level(level: &Spanned<u64>) -> Link {
    compare("TX", "detection_paranoia_level", "ge", &level.node.to_string(), level.span)
}

/// Actions that decide.
pub(crate) const DISRUPTIVE: &[&str] = &["allow", "block", "deny", "drop", "pass", "proxy", "redirect"];

/// Actions that change something.
pub(crate) const EFFECTS: &[&str] = &[
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
