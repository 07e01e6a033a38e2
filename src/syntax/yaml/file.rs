//! A whole file. Whatever the order of its keys: first the settings, then the exclusions with a condition,
//! which must stand before the rules that they switch off, then what is included and the rules, in the order of
//! their keys, and last the exclusions without a condition, which change rules that are there already.

use super::node::{self, Node, Value};
use super::reader::{Context, Fields, Items, list, texts};
use super::table::Table;
use super::{exclusion, only, patch, rule, table};
use crate::limits;
use crate::source::{FileId, SourceMap, Span, Spanned};
use crate::syntax::ast::{Directive, Patch, Statement};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics, shorten};
use crate::syntax::load::Load;
use crate::syntax::seclang;
use std::collections::HashMap;

/// Reads `text`, which is the text of `file`, called `name`. A byte that was not UTF-8 has been replaced at each
/// of `replaced`.
pub(crate) fn read(load: &mut Load<'_>, name: &str, file: FileId, text: &str, replaced: &[usize]) {
    if let Some(at) = replaced.first() {
        let span = Span::new(file, *at, *at + char::REPLACEMENT_CHARACTER.len_utf8());
        let fault = Diagnostic::error("not-utf8", span, "this byte is not UTF-8");
        load.diagnostics.push(fault.help("save the file as UTF-8"));
        return;
    }
    let Some(root) = node::parse(text, file, load.diagnostics) else { return };
    if root.is_null() {
        return;
    }
    let Some(fields) = Fields::of(&root, &table::FILE, load.diagnostics) else { return };
    let patch = match fields.get("patch") {
        None => None,
        Some(node) => match patch::lower(node, name, load.diagnostics) {
            None => return,
            patch => patch,
        },
    };
    if let Some(node) = fields.get("settings") {
        settings(node, load);
    }
    if let Some(node) = fields.get("lists") {
        lists(node, name, load);
    }
    let exclusions: Vec<_> = match fields.get("exclusions") {
        None => Vec::new(),
        Some(node) => {
            let members = list(node, "exclusions", load.diagnostics);
            let mut context =
                context(load.sources, load.diagnostics, &mut load.document.names, patch.as_ref());
            let before = context.diagnostics.len();
            let sound_enough =
                |context: &Context<'_>| context.diagnostics.len() - before < limits::DIAGNOSTICS;
            members
                .iter()
                .map_while(|member| sound_enough(&context).then(|| exclusion::lower(member, &mut context)))
                .collect()
        }
    };
    let (before, after): (Vec<_>, Vec<_>) = exclusions.into_iter().map(|e| (e.before, e.after)).unzip();
    load.document.statements.extend(before.into_iter().flatten());
    let Value::Map(map) = &root.value else { return };
    for (key, node) in map {
        match key.as_str() {
            "include" => {
                for pattern in texts(node, load.diagnostics) {
                    load.include(name, &pattern, pattern.span, false);
                }
            }
            "seclang" => match &node.value {
                Value::List(blocks) => blocks.iter().for_each(|node| block(node, load, name, file, text)),
                _ => block(node, load, name, file, text),
            },
            "rules" => steps(node, (name, file, text), patch.as_ref(), load),
            "only" => {
                members("only", list(node, "only", load.diagnostics), only::lower, patch.as_ref(), load);
            }
            _ => {}
        }
    }
    load.document.statements.extend(after.into_iter().flatten());
    load.document.patches.extend(patch);
}

type Lower = fn(&Node, &mut Context<'_>, &mut Items);

/// The members of `rules`: rules, and what may stand between them, each taking effect in its place.
fn steps(node: &Node, (name, file, text): (&str, FileId, &str), patch: Option<&Patch>, load: &mut Load<'_>) {
    let all = list(node, "rules", load.diagnostics);
    for run in all.chunk_by(|a, b| between(a).is_none() && between(b).is_none()) {
        let [member] = run else {
            members("rules", run, rule::lower, patch, load);
            continue;
        };
        let Some(table) = between(member) else {
            members("rules", run, rule::lower, patch, load);
            continue;
        };
        let Some(fields) = Fields::of(member, table, load.diagnostics) else { continue };
        let Some(inner) = table.keys.first().and_then(|key| fields.get(key.name)) else { continue };
        match table.name {
            "marker" => {
                if let Some(marker) = fields.text("marker", load.diagnostics) {
                    load.document.statements.push(Statement::Marker(marker, fields.span));
                }
            }
            "settings" => settings(inner, load),
            "include" => {
                for pattern in texts(inner, load.diagnostics) {
                    load.include(name, &pattern, pattern.span, false);
                }
            }
            _ => block(inner, load, name, file, text),
        }
    }
}

/// The table of a member of `rules` that is no rule.
fn between(member: &Node) -> Option<&'static Table> {
    let Value::Map(map) = &member.value else { return None };
    let tables = [&table::MARKER, &table::SETTINGS, &table::INCLUDE, &table::SECLANG];
    tables.into_iter().find(|table| map.first().is_some_and(|(key, _)| key.node == table.name))
}

/// Rules, or members of `only`.
fn members(key: &'static str, all: &[Node], lower: Lower, patch: Option<&Patch>, load: &mut Load<'_>) {
    let before = load.diagnostics.len();
    let mut items = Items::default();
    for member in all {
        let mut context = context(load.sources, load.diagnostics, &mut load.document.names, patch);
        lower(member, &mut context, &mut items);
        if load.diagnostics.len() - before >= limits::DIAGNOSTICS {
            let message =
                format!("there are more than {} faults; the rest of {key} was not read", limits::DIAGNOSTICS);
            load.diagnostics.push(Diagnostic::error("too-many-faults", member.span, message));
            break;
        }
    }
    load.document.statements.append(&mut items.statements);
    load.document.tests.append(&mut items.tests);
    load.document.notes.append(&mut items.notes);
}

fn context<'a>(
    sources: &'a SourceMap,
    diagnostics: &'a mut Diagnostics,
    names: &'a mut HashMap<u64, Spanned<String>>,
    patch: Option<&'a Patch>,
) -> Context<'a> {
    Context { sources, diagnostics, names, patch }
}

/// Whether `text` is a rule file: told from its keys at the top, for a program that is given files of several kinds.
pub fn is_rules(text: &str) -> bool {
    let has = |keys: &[&str]| {
        text.lines().any(|line| line.split_once(':').is_some_and(|(key, _)| keys.contains(&key)))
    };
    has(&["rules", "patch", "only"]) && !has(&["tests"])
}

/// `settings:`, names of directives with their arguments.
fn settings(node: &Node, load: &mut Load<'_>) {
    let Value::Map(map) = &node.value else {
        let message = format!("settings must be a mapping, and this is {}", node.kind());
        let fault = Diagnostic::error("yaml-type", node.span, message);
        load.diagnostics.push(fault.help("for example settings: {SecRuleEngine: On}"));
        return;
    };
    for (name, value) in map {
        let Some(row) = seclang::find_directive(name) else {
            load.diagnostics.push(seclang::unknown(name, name.span));
            continue;
        };
        if let Some((_, instead)) = ELSEWHERE.iter().find(|(known, _)| *known == row.name) {
            let message = format!("{} is not a setting", row.name);
            let help = format!("use {instead}");
            load.diagnostics.push(Diagnostic::error("not-a-setting", name.span, message).help(help));
            continue;
        }
        let arguments = texts(value, load.diagnostics);
        if seclang::check(row, name.span, arguments.len(), load.diagnostics) {
            let span = arguments.last().map_or(name.span, |last| name.span.to(last.span));
            let name = Spanned::new(row.name, name.span);
            load.document.statements.push(Statement::Directive(Directive { name, arguments, span }));
        }
    }
}

/// `lists:`, which become `SecDataset`s.
fn lists(node: &Node, file: &str, load: &mut Load<'_>) {
    let Value::Map(map) = &node.value else {
        let message = format!("lists must be a mapping, and this is {}", node.kind());
        let fault = Diagnostic::error("yaml-type", node.span, message);
        load.diagnostics.push(fault.help("for example lists: {words: [one, two]}"));
        return;
    };
    for (name, value) in map {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            let message = format!("`{}` is not a name for a list", shorten(name));
            let help = "a name is made of letters, digits, -, _ and .";
            load.diagnostics.push(Diagnostic::error("bad-list", name.span, message).help(help));
            continue;
        }
        let entries = match &value.value {
            Value::Map(_) => {
                let Some(fields) = Fields::of(value, &table::LIST_FILE, load.diagnostics) else { continue };
                let Some(path) = fields.required("file", "scanners.txt", load.diagnostics) else { continue };
                let Some(text) = load.data(file, &path) else { continue };
                text.lines()
                    .map(str::trim)
                    .filter(|l| !l.is_empty() && !l.starts_with('#'))
                    .map(str::to_owned)
                    .collect()
            }
            _ => texts(value, load.diagnostics).into_iter().map(|entry| entry.node).collect::<Vec<_>>(),
        };
        if entries.is_empty() || entries.iter().any(|entry| entry.contains('`')) {
            let message = format!("the list {} is empty or has a backtick in it", name.node);
            load.diagnostics.push(Diagnostic::error("bad-list", name.span, message));
            continue;
        }
        let arguments = vec![name.clone(), Spanned::new(entries.join("\n"), value.span)];
        let directive = Spanned::new("SecDataset", name.span);
        load.document.statements.push(Statement::Directive(Directive {
            name: directive,
            arguments,
            span: name.span,
        }));
    }
}

/// `seclang:`, read where it stands so that its faults are told with their own lines.
fn block(node: &Node, load: &mut Load<'_>, name: &str, file: FileId, text: &str) {
    let Value::Scalar { text: block, literal } = &node.value else {
        let message = format!("seclang must be a text, and this is {}", node.kind());
        load.diagnostics.push(Diagnostic::error("yaml-type", node.span, message));
        return;
    };
    let range = node.span.range();
    if load.sources.text(node.span) == block {
        seclang::read_block(load, name, file, text.get(..range.end).unwrap_or(text), range.start, 0);
        return;
    }
    if !literal {
        let fault = Diagnostic::error("yaml-type", node.span, "YAML would change this text");
        load.diagnostics.push(fault.help("write it as a block after seclang: |"));
        return;
    }
    let upto = text.get(..range.end).unwrap_or(text);
    // The header of the block is the rest of its line.
    let start = match text.as_bytes().get(range.start) {
        Some(b'|') => upto.get(range.start..).and_then(|rest| rest.find('\n')).map(|n| range.start + n + 1),
        _ => upto.get(..range.start).map(|before| before.rfind('\n').map_or(0, |n| n + 1)),
    };
    let start = start.unwrap_or(range.end);
    let depth = |text: &str| {
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
        line.len() - line.trim_start_matches(' ').len()
    };
    let indent = depth(upto.get(start..).unwrap_or("")).saturating_sub(depth(block));
    seclang::read_block(load, name, file, upto, start, indent);
}

/// Whether the directive `name` is no setting, because a key of its own says what it says.
pub(crate) fn has_a_key(name: &str) -> bool {
    ELSEWHERE.iter().any(|(known, _)| *known == name)
}

/// Directives that have a key of their own.
const ELSEWHERE: &[(&str, &str)] = &[
    ("Include", "include: [file]"),
    ("IncludeOptional", "seclang: |"),
    ("SecAction", "a rule with when: always"),
    ("SecDataset", "lists: {name: [entries]}"),
    ("SecDefaultAction", "seclang: |"),
    ("SecMarker", "rules: [{marker: NAME}]"),
    ("SecRule", "rules:"),
    ("SecRuleRemoveById", "exclusions: [{rules: [id]}]"),
    ("SecRuleRemoveByMsg", "exclusions: [{messages: [regex]}]"),
    ("SecRuleRemoveByTag", "exclusions: [{tags: [regex]}]"),
    ("SecRuleUpdateActionById", "seclang: |"),
    ("SecRuleUpdateTargetById", "exclusions: [{rules: [id], targets: [target]}]"),
    ("SecRuleUpdateTargetByMsg", "exclusions: [{messages: [regex], targets: [target]}]"),
    ("SecRuleUpdateTargetByTag", "exclusions: [{tags: [regex], targets: [target]}]"),
];
