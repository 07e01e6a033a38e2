//! A whole file. Whatever the order of its keys: first the settings, then the exclusions with a condition,
//! which must stand before the rules that they switch off, then what is included and the rules, in the order of
//! their keys, and last the exclusions without a condition, which change rules that are there already.

use super::node::{self, Node, Value};
use super::reader::{Context, Fields, list, texts};
use super::{exclusion, rule};
use crate::limits;
use crate::source::{FileId, Span, Spanned};
use crate::syntax::ast::{Directive, Statement};
use crate::syntax::diagnostic::Diagnostic;
use crate::syntax::load::Load;
use crate::syntax::seclang;

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
    let Some(fields) = Fields::of(&root, "a rule file", FILE, load.diagnostics) else { return };
    if let Some(node) = fields.get("settings") {
        settings(node, load);
    }
    let exclusions: Vec<_> = match fields.get("exclusions") {
        None => Vec::new(),
        Some(node) => {
            let members = list(node, "exclusions", load.diagnostics);
            let mut context = Context { sources: load.sources, diagnostics: load.diagnostics };
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
            "rules" => {
                let before = load.diagnostics.len();
                for member in list(node, "rules", load.diagnostics) {
                    let mut context = Context { sources: load.sources, diagnostics: load.diagnostics };
                    let document = &mut *load.document;
                    rule::lower(member, &mut context, &mut document.statements, &mut document.tests);
                    if load.diagnostics.len() - before >= limits::DIAGNOSTICS {
                        let message = format!(
                            "there are more than {} faults; the rest was not read",
                            limits::DIAGNOSTICS
                        );
                        load.diagnostics.push(Diagnostic::error("too-many-faults", member.span, message));
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    load.document.statements.extend(after.into_iter().flatten());
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

const FILE: &[&str] = &["description", "settings", "include", "seclang", "rules", "exclusions"];

/// Directives that have a key of their own.
const ELSEWHERE: &[(&str, &str)] = &[
    ("Include", "include: [file]"),
    ("IncludeOptional", "seclang: |"),
    ("SecAction", "seclang: |"),
    ("SecDataset", "seclang: |"),
    ("SecDefaultAction", "seclang: |"),
    ("SecMarker", "seclang: |"),
    ("SecRule", "rules:"),
    ("SecRuleRemoveById", "exclusions: [{rules: [id]}]"),
    ("SecRuleRemoveByMsg", "exclusions: [{messages: [regex]}]"),
    ("SecRuleRemoveByTag", "exclusions: [{tags: [regex]}]"),
    ("SecRuleUpdateActionById", "seclang: |"),
    ("SecRuleUpdateTargetById", "exclusions: [{rules: [id], targets: [target]}]"),
    ("SecRuleUpdateTargetByMsg", "exclusions: [{messages: [regex], targets: [target]}]"),
    ("SecRuleUpdateTargetByTag", "exclusions: [{tags: [regex], targets: [target]}]"),
];
