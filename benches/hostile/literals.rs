//! The literals in CRS's rules: what prefilters look for, or could.

use portcullis::ruleset::{Matcher, Ruleset};
use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Class, Hir, HirKind};
use std::collections::BTreeSet;

/// Phrases of `@pm` and its like, and the literals in patterns, in lower case.
pub fn of(ruleset: &Ruleset) -> Vec<Vec<u8>> {
    let mut all = BTreeSet::new();
    for rule in &ruleset.rules {
        let Matcher::Scan(scan) = &rule.matcher else { continue };
        all.extend(scan.operator.literals().into_iter().flatten());
        if let Some(pattern) = scan.operator.pattern()
            && let Ok(hir) =
                regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern)
        {
            inside(&lower(&hir), &mut all);
        }
    }
    all.into_iter().map(|literal| literal.to_ascii_lowercase()).filter(|l| l.len() > 1).collect()
}

/// The pattern for lower-case text: classes of a letter in both cases become that letter, so that they can stand in a
/// literal.
fn lower(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Class(Class::Bytes(class)) => match class.ranges() {
            [upper, lower]
                if upper.start() == upper.end()
                    && lower.start() == lower.end()
                    && upper.start().to_ascii_lowercase() == lower.start() =>
            {
                Hir::literal([lower.start()])
            }
            _ => hir.clone(),
        },
        HirKind::Repetition(repetition) => {
            let mut repetition = repetition.clone();
            repetition.sub = Box::new(lower(&repetition.sub));
            Hir::repetition(repetition)
        }
        HirKind::Capture(capture) => lower(&capture.sub),
        HirKind::Concat(all) => Hir::concat(all.iter().map(lower).collect()),
        HirKind::Alternation(all) => Hir::alternation(all.iter().map(lower).collect()),
        _ => hir.clone(),
    }
}

/// The literals that begin anywhere in a pattern.
fn inside(hir: &Hir, all: &mut BTreeSet<Vec<u8>>) {
    match hir.kind() {
        HirKind::Literal(literal) => drop(all.insert(literal.0.to_vec())),
        HirKind::Repetition(repetition) => inside(&repetition.sub, all),
        HirKind::Concat(items) => {
            let mut is_begun = false;
            for (at, item) in items.iter().enumerate() {
                let is_text = matches!(item.kind(), HirKind::Literal(_) | HirKind::Alternation(_));
                // What follows a literal is in the one that begins with it.
                if is_text && !is_begun {
                    begin(&Hir::concat(items[at..].to_vec()), all);
                }
                is_begun = is_text;
                if matches!(item.kind(), HirKind::Repetition(_) | HirKind::Alternation(_)) {
                    inside(item, all);
                }
            }
        }
        HirKind::Alternation(items) => {
            begin(hir, all);
            items.iter().for_each(|item| inside(item, all));
        }
        _ => {}
    }
}

/// The literals that a pattern begins with.
fn begin(hir: &Hir, all: &mut BTreeSet<Vec<u8>>) {
    let mut extractor = Extractor::new();
    extractor.limit_class(2).limit_repeat(2).limit_total(500).limit_literal_len(40);
    let found = extractor.extract(hir);
    all.extend(found.literals().into_iter().flatten().map(|literal| literal.as_bytes().to_vec()));
}
