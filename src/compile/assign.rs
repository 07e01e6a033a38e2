//! What `setvar` and its like change: a member of `TX` or of a persistent collection.

use super::action_set::Draft;
use super::template;
use crate::ruleset::{CollectionRef, SetOperation, SetTarget, SetVar, Template, TxName};
use crate::syntax::ast;
use crate::syntax::diagnostic::Diagnostic;
use crate::variable::{self, Variable};

/// `setvar`.
pub(super) fn set_var(draft: &mut Draft<'_>, action: &ast::Action, text: &str) {
    let text = text.trim();
    if let Some(name) = text.strip_prefix('!') {
        if let Some(target) = set_target(draft, action, name) {
            draft.set.set.push(SetVar { target, operation: SetOperation::Unset });
        }
        return;
    }
    let (name, value) = match split_assignment(text) {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let Some(target) = set_target(draft, action, name) else { return };
    let operation = match value {
        None => SetOperation::Assign(Template::text("1")),
        Some(value) => match value.as_bytes().first() {
            Some(b'+') => SetOperation::Add(draft.template(action, &value[1..])),
            Some(b'-') => SetOperation::Subtract(draft.template(action, &value[1..])),
            _ => SetOperation::Assign(draft.template(action, value)),
        },
    };
    draft.set.set.push(SetVar { target, operation });
}

/// `tx.name` or `collection.name`.
pub(super) fn set_target(draft: &mut Draft<'_>, action: &ast::Action, text: &str) -> Option<SetTarget> {
    let text = text.trim();
    // `tx.%{…}`, `tx:name` and `TX.a.b` all occur; only the first separator counts.
    let Some(at) = text.find(['.', ':']) else {
        draft.diagnostics.push(
            Diagnostic::error("invalid-value", action.span, format!("{text} names no collection"))
                .help(format!("write tx.{text}")),
        );
        return None;
    };
    let (name, member) = (&text[..at], &text[at + 1..]);
    if member.is_empty() {
        draft.error("invalid-value", action.span, format!("{text} names no member"));
        return None;
    }
    if name.eq_ignore_ascii_case("tx") {
        let target = if template::has_macro(member) {
            TxName::Dynamic(draft.template(action, member))
        } else {
            TxName::Slot(draft.intern.slots.intern(member)?)
        };
        return Some(SetTarget::Tx(target));
    }
    match collection(name) {
        Some(collection) => Some(SetTarget::Collection(collection, draft.template(action, member))),
        None => {
            let mut diagnostic = Diagnostic::error(
                "unknown-collection",
                action.span,
                format!("{name} is no collection that rules can set"),
            );
            diagnostic = diagnostic.help("these can be set: TX, GLOBAL, IP, RESOURCE, SESSION, USER");
            draft.diagnostics.push(diagnostic);
            None
        }
    }
}

/// The persistent collection of that name.
pub(super) fn collection(name: &str) -> Option<CollectionRef> {
    let variable = variable::find(name.trim())?;
    matches!(
        variable,
        Variable::Global | Variable::Ip | Variable::Resource | Variable::Session | Variable::User
    )
    .then_some(CollectionRef(variable))
}

/// Splits at the first `=` outside of macros: a macro's member may hold one.
fn split_assignment(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_u32;
    let bytes = text.as_bytes();
    for (i, &b) in bytes.iter().enumerate() {
        match b {
            b'{' if i > 0 && bytes[i - 1] == b'%' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'=' if depth == 0 => return Some((&text[..i], &text[i + 1..])),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_split_outside_of_macros() {
        assert_eq!(split_assignment("tx.a=b=c"), Some(("tx.a", "b=c")));
        assert_eq!(split_assignment("tx.%{ARGS.x=y}=1"), Some(("tx.%{ARGS.x=y}", "1")));
        assert_eq!(split_assignment("tx.a"), None);
    }
}
