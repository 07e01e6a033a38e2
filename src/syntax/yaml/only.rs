//! `only:`, what a path takes and nothing else → a rule for each thing that may be wrong with a request.
//!
//! A rule for each, instead of one with many alternatives: its message says what is wrong, and an exclusion can
//! name it.

use super::condition::{self, Link, Lowered};
use super::id::{self, Id};
use super::node::{Node, Value};
use super::reader::{Context, Fields, Items, action, text};
use super::rule::{self, Own};
use super::{case, phase, table};
use crate::source::{Span, Spanned};
use crate::syntax::ast::{Operator, Selector, Target};
use crate::syntax::diagnostic::{Diagnostic, shorten};

/// Lowers one member of `only`. One with a fault gives nothing; the fault has been told.
pub(crate) fn lower(node: &Node, context: &mut Context<'_>, items: &mut Items) {
    let before = context.diagnostics.errors();
    let Some(fields) = Fields::of(node, &table::ONLY, context.diagnostics) else { return };
    let Some(id) = id::read(&fields, context) else { return };
    let own = Own::read(&fields, &id, context);
    let given = rule::given_actions(&fields, context);
    let Some(path) = path(&fields, context) else { return };
    let condition = match fields.get("when") {
        Some(node) => condition::lower(node, id.number, context),
        None => Some(Lowered::default()),
    };
    let faults = violations(&fields, &id, context);
    let also: Vec<u64> = faults.iter().map(|fault| fault.id).collect();
    let tests = case::lower(&fields, id.number, &also, context);
    let Some(condition) = condition else { return };
    if context.diagnostics.errors() > before {
        return;
    }
    let looked_at = faults.iter().flat_map(|fault| fault.links.iter()).flat_map(|link| &link.targets);
    // One phase for all of them, so that what `when` found out holds for each.
    let phase = phase::infer(condition.targets.iter().chain(looked_at));
    let phase = Spanned::new(u64::from(phase), fields.span);
    items.notes.push(own.note(&id, &tests));
    items.tests.extend(tests);
    items.statements.extend(rule::with_phase(condition.before, &phase, &own.tags));
    for fault in faults {
        let links = std::iter::once(&path).chain(&condition.links).cloned().chain(fault.links).collect();
        let rule = own.rule(fault.id, &phase, Some(&fault.reason), given.clone(), links, context.patch);
        items.statements.extend(rule);
    }
}

/// One thing that may be wrong.
struct Violation {
    id: u64,
    reason: String,
    links: Vec<Link>,
}

fn violations(fields: &Fields<'_>, id: &Id, context: &mut Context<'_>) -> Vec<Violation> {
    let before = context.diagnostics.errors();
    let mut out = Vec::new();
    methods(fields, id, context, &mut out);
    let parameters = parameters(fields, context);
    content_types(fields, id, parameters.is_some(), context, &mut out);
    let others = fields.text("others", context.diagnostics);
    if let Some(word) = others.as_ref().filter(|word| !matches!(word.as_str(), "deny" | "allow")) {
        let fault = Diagnostic::error("yaml-type", word.span, "others is deny or allow");
        context.diagnostics.push(fault);
    }
    let Some(parameters) = parameters else {
        if let Some(word) = others {
            let fault = Diagnostic::error("yaml-type", word.span, "others means nothing without parameters");
            context
                .diagnostics
                .push(fault.help("name the parameters that there are; `parameters: {}` are none"));
        }
        if out.is_empty() && context.diagnostics.errors() == before {
            let message = "nothing is said here about what the path takes";
            let fault = Diagnostic::error("missing-key", fields.span, message);
            context.diagnostics.push(fault.help("name methods, content_types or parameters"));
        }
        return out;
    };
    if others.is_none_or(|word| word.as_str() == "deny") {
        let names: Vec<_> = parameters.iter().map(|one| one.name.as_pattern()).collect();
        let pattern = if names.is_empty() { NEVER.to_owned() } else { whole(&names.join("|")) };
        let targets = ["ARGS_NAMES", "FILES_NAMES"].map(|name| target(name, None, fields.span)).into();
        let reason = "a parameter that there is not".to_owned();
        let links = vec![link(targets, true, "rx", &pattern, &[], fields.span)];
        out.push(Violation { id: id.derived("parameters", context), reason, links });
    }
    for parameter in parameters {
        parameter.violations(id, context, &mut out);
    }
    out
}

fn methods(fields: &Fields<'_>, id: &Id, context: &mut Context<'_>, out: &mut Vec<Violation>) {
    let methods = fields.texts("methods", context.diagnostics);
    let Some(span) = methods.first().map(|first| first.span) else { return };
    for method in methods.iter().filter(|m| m.is_empty() || !m.bytes().all(|b| b.is_ascii_uppercase())) {
        let message = format!("`{}` is not a method", shorten(method));
        context
            .diagnostics
            .push(Diagnostic::error("bad-method", method.span, message).help("for example POST"));
    }
    let names: Vec<_> = methods.iter().map(|method| method.node.as_str()).collect();
    let pattern = whole(&names.join("|"));
    let targets = vec![target("REQUEST_METHOD", None, span)];
    let links = vec![link(targets, true, "rx", &pattern, &[], span)];
    out.push(Violation { id: id.derived("methods", context), reason: "another method".to_owned(), links });
}

/// Bodies of other types, and those that do not say their type, since nobody would look into them.
fn content_types(
    fields: &Fields<'_>,
    id: &Id,
    has_parameters: bool,
    context: &mut Context<'_>,
    out: &mut Vec<Violation>,
) {
    let given = fields.texts("content_types", context.diagnostics);
    for one in &given {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        if !one
            .split_once('/')
            .is_some_and(|(a, b)| !a.is_empty() && !b.is_empty() && a.bytes().chain(b.bytes()).all(token))
        {
            let message = format!("`{}` is not a media type", shorten(one));
            let help = "for example application/json, without a character set";
            context.diagnostics.push(Diagnostic::error("bad-media-type", one.span, message).help(help));
        }
    }
    let span = given.first().map_or(fields.span, |first| first.span);
    let mut types: Vec<String> = given.into_iter().map(|one| one.node.to_ascii_lowercase()).collect();
    if types.is_empty() {
        if !has_parameters {
            return;
        }
        types = INSPECTED.map(str::to_owned).into();
    }
    let types: Vec<_> = types.iter().map(|one| escape(one)).collect();
    let pattern = format!(r"\A\s*(?:{})\s*(?:;|\z)", types.join("|"));
    let header = || target("REQUEST_HEADERS", Some(Selector::Key("Content-Type".to_owned())), span);
    let links = vec![link(vec![header()], true, "rx", &pattern, &["lowercase"], span)];
    let reason = "a body of another type".to_owned();
    out.push(Violation { id: id.derived("content-type", context), reason, links });
    let absent = Target { count: true, ..header() };
    let links = vec![
        link(vec![absent], false, "eq", "0", &[], span),
        link(vec![target("REQUEST_BODY_LENGTH", None, span)], false, "gt", "0", &[], span),
    ];
    let reason = "a body without a type".to_owned();
    out.push(Violation { id: id.derived("no-content-type", context), reason, links });
}

/// The path as a condition. What is put into paths to get past such conditions (`//`, `/./`, `;x=y`, escapes, a
/// slash at the end, upper case) does not matter: where it means another resource, refusing it costs nothing.
fn path(fields: &Fields<'_>, context: &mut Context<'_>) -> Option<Link> {
    if fields.get("path").is_none() {
        fields.required("path", "/login", context.diagnostics);
    }
    let mut patterns = Vec::new();
    let paths = fields.texts("path", context.diagnostics);
    for path in &paths {
        if !path.starts_with('/') || path.contains(['?', '#', ';']) {
            let message = format!("`{}` is not a path", shorten(path));
            let help = "a path begins with / and has no ?, # or ;, for example /shop/*/edit";
            context.diagnostics.push(Diagnostic::error("bad-path", path.span, message).help(help));
        }
        let mut pattern = String::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            match segment {
                "**" => pattern.push_str("(?:/.*)?"),
                _ => {
                    let parts: Vec<_> = segment.split('*').map(|p| escape(&p.to_ascii_lowercase())).collect();
                    pattern.push_str(&format!("/{}(?:;[^/]*)?", parts.join("[^/;]*")));
                }
            }
        }
        patterns.push(pattern);
    }
    let span = paths.first()?.span;
    let pattern = format!(r"\A(?:{})(?:/(?:;[^/]*)?)?\z", patterns.join("|"));
    let targets = vec![target("REQUEST_FILENAME", None, span)];
    Some(link(targets, false, "rx", &pattern, &["urlDecodeUni", "normalizePathWin", "lowercase"], span))
}

/// What is said about one parameter.
struct Parameter {
    name: Name,
    span: Span,
    /// A name for the pattern that a value must match, and the pattern.
    values: Vec<(String, String)>,
    shortest: Option<u64>,
    longest: Option<u64>,
    required: bool,
    repeated: bool,
}

/// A parameter's name, or a pattern for names.
enum Name {
    Key(String),
    Regex(String),
}

impl Name {
    fn as_pattern(&self) -> String {
        match self {
            Name::Key(key) => escape(key),
            Name::Regex(regex) => format!("(?:{regex})"),
        }
    }

    fn written(&self) -> String {
        match self {
            Name::Key(key) => key.clone(),
            Name::Regex(regex) => format!("/{regex}/"),
        }
    }

    fn target(&self, name: &str, span: Span) -> Target {
        let selector = match self {
            Name::Key(key) => Selector::Key(key.clone()),
            Name::Regex(regex) => Selector::Regex(whole(regex)),
        };
        target(name, Some(selector), span)
    }
}

impl Parameter {
    fn violations(self, id: &Id, context: &mut Context<'_>, out: &mut Vec<Violation>) {
        let span = self.span;
        let name = self.name.written();
        let mut add = |part: &str, reason: &str, link: Link| {
            let id = id.derived(&format!("{name}/{part}"), context);
            out.push(Violation { id, reason: format!("{name} {reason}"), links: vec![link] });
        };
        let args = || vec![self.name.target("ARGS", span)];
        for (what, pattern) in &self.values {
            add(what, &format!("does not fit its {what}"), link(args(), true, "rx", pattern, &[], span));
        }
        if let Some(least) = self.shortest.filter(|least| *least > 0) {
            let link = link(args(), false, "lt", &least.to_string(), &["length"], span);
            add("min_length", &format!("is shorter than {least} bytes"), link);
        }
        if let Some(most) = self.longest {
            let link = link(args(), false, "gt", &most.to_string(), &["length"], span);
            add("max_length", &format!("is longer than {most} bytes"), link);
        }
        let count = || vec![Target { count: true, ..self.name.target("ARGS", span) }];
        if self.required {
            add("required", "is missing", link(count(), false, "eq", "0", &[], span));
        }
        // How often each of many names stands there, a count over a pattern cannot tell.
        if !self.repeated && matches!(self.name, Name::Key(_)) {
            add("repeated", "is there more than once", link(count(), false, "gt", "1", &[], span));
        }
    }
}

fn parameters(fields: &Fields<'_>, context: &mut Context<'_>) -> Option<Vec<Parameter>> {
    let node = fields.get("parameters")?;
    let Value::Map(map) = &node.value else {
        let message = format!("parameters must be a mapping, and this is {}", node.kind());
        let fault = Diagnostic::error("yaml-type", node.span, message);
        context.diagnostics.push(fault.help("for example parameters: {page: integer}"));
        return None;
    };
    Some(map.iter().filter_map(|(name, node)| parameter(name, node, context)).collect())
}

fn parameter(name: &Spanned<String>, node: &Node, context: &mut Context<'_>) -> Option<Parameter> {
    let regex =
        name.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).filter(|rest| !rest.is_empty());
    let mut parameter = Parameter {
        name: regex.map_or_else(|| Name::Key(name.node.clone()), |regex| Name::Regex(regex.to_owned())),
        span: name.span,
        values: Vec::new(),
        shortest: None,
        longest: None,
        required: false,
        repeated: false,
    };
    let mut of_type = |given: Spanned<String>, context: &mut Context<'_>| {
        match table::TYPES.iter().find(|(known, _)| *known == given.as_str()) {
            Some(("any", _)) => {}
            // An empty field of a form is no fault; min_length makes it one.
            Some((_, pattern)) => parameter.values.push(("type".to_owned(), format!(r"\A(?:{pattern})?\z"))),
            None => {
                let names: Vec<_> = table::TYPES.iter().map(|(known, _)| *known).collect();
                let message = format!("there is no type `{}`", shorten(&given));
                let help = format!("the types are {}", names.join(", "));
                context.diagnostics.push(Diagnostic::error("bad-type", given.span, message).help(help));
            }
        }
    };
    if let Value::Scalar { .. } = node.value {
        of_type(text(node, context.diagnostics)?, context);
        return Some(parameter);
    }
    let fields = Fields::of(node, &table::PARAMETER, context.diagnostics)?;
    if let Some(given) = fields.text("type", context.diagnostics) {
        of_type(given, context);
    }
    if let Some(pattern) = fields.text("pattern", context.diagnostics) {
        parameter.values.push(("pattern".to_owned(), whole(&pattern)));
    }
    let values = fields.texts("enum", context.diagnostics);
    if !values.is_empty() {
        let values: Vec<_> = values.iter().map(|value| escape(value)).collect();
        parameter.values.push(("enum".to_owned(), whole(&values.join("|"))));
    }
    for (key, place) in [("min_length", &mut parameter.shortest), ("max_length", &mut parameter.longest)] {
        let number = fields.number(key, context.diagnostics);
        if let Some(number) = number.as_ref().filter(|number| number.node > table::GREATEST_LENGTH) {
            let message = format!("{key} is a number of bytes up to {}", table::GREATEST_LENGTH);
            context.diagnostics.push(Diagnostic::error("bad-length", number.span, message));
        }
        *place = number.map(|number| number.node);
    }
    if let (Some(least), Some(most)) = (parameter.shortest, parameter.longest)
        && least > most
    {
        let fault = Diagnostic::error("bad-length", fields.span, "min_length is greater than max_length");
        context.diagnostics.push(fault);
    }
    parameter.required = fields.flag("required", context.diagnostics).is_some_and(|flag| flag.node);
    parameter.repeated = fields.flag("repeated", context.diagnostics).is_some_and(|flag| flag.node);
    if parameter.required && matches!(parameter.name, Name::Regex(_)) {
        let fault = Diagnostic::error("bad-type", fields.span, "a pattern for names cannot be required");
        context.diagnostics.push(fault.help("name the parameters that are"));
    }
    Some(parameter)
}

fn target(name: &str, selector: Option<Selector>, span: Span) -> Target {
    Target {
        excluded: false,
        count: false,
        name: Spanned::new(name.to_owned(), span),
        selector: selector.map(|selector| Spanned::new(selector, span)),
        span,
    }
}

fn link(
    targets: Vec<Target>,
    negated: bool,
    operator: &str,
    argument: &str,
    transformations: &[&str],
    span: Span,
) -> Link {
    let at = |text: &str| Spanned::new(text.to_owned(), span);
    let operator = Operator { negated, name: at(operator), implicit: false, argument: at(argument), span };
    let transformations = std::iter::once(&"none").chain(transformations);
    let actions = transformations.map(|name| action("t", Some((*name).to_owned()), span)).collect();
    Link { targets, operator, actions, span }
}

/// A pattern for a whole value. `^` and `$` would do for a line of it.
fn whole(pattern: &str) -> String {
    format!(r"\A(?:{pattern})\z")
}

/// `text` as a pattern that matches it and nothing else. Percent signs are written so that no macro begins there.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '%' => out.push_str(r"\x25"),
            // Beyond ASCII a pattern speaks of bytes, and means these.
            c if c.is_ascii_alphanumeric() || !c.is_ascii() || c == '_' || c == '/' || c == '-' => {
                out.push(c);
            }
            c if c.is_ascii_graphic() => out.extend(['\\', c]),
            c => out.push_str(&format!(r"\x{:02x}", u32::from(c))),
        }
    }
    out
}

/// What no name matches.
const NEVER: &str = r"[^\x00-\xff]";

/// Types of bodies whose parameters are seen.
const INSPECTED: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "application/json"];
