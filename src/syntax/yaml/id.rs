//! Ids: numbers, and texts that stand for numbers.

use super::reader::{Context, Fields};
use crate::source::{Span, Spanned};
use crate::syntax::diagnostic::{Diagnostic, shorten};

/// The number of the rule that is called `text`: 1,000,000,000 and the remainder of its FNV-1a hash (64 bits, of
/// its UTF-8 bytes) by 1,000,000,000.
///
/// It depends on nothing else, so logs, exclusions and dashboards may rely on it. The range fits into 31 bits, which
/// other readers of SecLang ask for, and nothing else may use it.
pub fn stable_id(text: &str) -> u64 {
    let hash = text.bytes().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    NAMED_IDS + hash % NAMED_IDS
}

/// Whether `text` may be an id: a lower-case letter, then letters, digits, `-`, `_`, `.` and `/`, 64 in all.
pub fn is_name(text: &str) -> bool {
    let more = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_./".contains(&b);
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(more)
}

/// A rule's id.
#[derive(Clone, Debug)]
pub(crate) struct Id {
    pub(crate) number: u64,
    /// The text that gave the number.
    pub(crate) name: Option<String>,
    pub(crate) span: Span,
}

impl Id {
    /// The id of a rule that follows from the one with this id, and which `part` tells from others that do.
    pub(crate) fn derived(&self, part: &str, context: &mut Context<'_>) -> u64 {
        let text = format!("{}/{part}", self.name.clone().unwrap_or_else(|| self.number.to_string()));
        let number = stable_id(&text);
        note(Spanned::new(text, self.span), number, context);
        number
    }
}

/// The id of a rule, which must be there; in a patch, one that is left out is the patch's name.
pub(crate) fn read(fields: &Fields<'_>, context: &mut Context<'_>) -> Option<Id> {
    let given = match (fields.get("id"), context.patch) {
        (Some(_), _) => fields.text("id", context.diagnostics)?,
        (None, Some(patch)) => Spanned::new(patch.name.clone(), fields.span),
        (None, None) => {
            let fault = Diagnostic::error("no-id", fields.span, "an id is missing");
            let help = "give it a number or a name that no other rule has, for example id: 100100 or \
                        id: shop-search";
            context.diagnostics.push(fault.help(help));
            return None;
        }
    };
    if is_name(&given) {
        let number = stable_id(&given);
        let id = Id { number, name: Some(given.node.clone()), span: given.span };
        return note(given, number, context).then_some(id);
    }
    let number = given.node.parse().ok().filter(|_| given.bytes().all(|b| b.is_ascii_digit()));
    let message = match number {
        Some(number) if (NAMED_IDS..2 * NAMED_IDS).contains(&number) => {
            format!("ids from {NAMED_IDS} to {} belong to rules whose id is a text", 2 * NAMED_IDS - 1)
        }
        Some(number) if (1..=GREATEST_ID).contains(&number) => {
            return Some(Id { number, name: None, span: given.span });
        }
        Some(_) => format!("an id is a number from 1 to {GREATEST_ID}"),
        None => format!("`{}` is not an id", shorten(&given)),
    };
    let help = "an id is a number, or a text of lower-case letters, digits, -, _, . and / which begins with a letter";
    context.diagnostics.push(Diagnostic::error("no-id", given.span, message).help(help));
    None
}

/// The number that `text`, a number, a range or a name, means in a list of rules.
pub(crate) fn selected(text: &str) -> Option<String> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_range = text.split_once('-').is_some_and(|(a, b)| is_number(a.trim()) && is_number(b.trim()));
    if is_number(text) || is_range {
        return Some(text.to_owned());
    }
    is_name(text).then(|| stable_id(text).to_string())
}

/// Notes that a rule is called `text`. `false`, and a complaint, when another one is or has the same number.
fn note(text: Spanned<String>, number: u64, context: &mut Context<'_>) -> bool {
    let Some(first) = context.names.get(&number) else {
        context.names.insert(number, text);
        return true;
    };
    let fault = if first.node == text.node {
        Diagnostic::error("duplicate-id", text.span, format!("another rule is called {}", shorten(&text)))
            .help("give each rule an id of its own")
    } else {
        let message = format!("{} has the same number as {}: {number}", shorten(&text), shorten(first));
        Diagnostic::error("duplicate-id", text.span, message)
            .help(format!("both hash to it; change one of the two a little, for example to {}-2", text.node))
    };
    let at = first.span;
    context.diagnostics.push(fault.related(at, "the other one is called so here"));
    false
}

/// The greatest id of a rule in this syntax. Keeps derived ids apart from all others.
pub(crate) const GREATEST_ID: u64 = 9_999_999_999;
/// Where the numbers of texts begin, and how many there are.
const NAMED_IDS: u64 = 1_000_000_000;
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever wrote one of these numbers down relies on it.
    #[test]
    fn numbers_of_names_never_change() {
        assert_eq!(stable_id(""), 1_000_000_000 + 0xcbf2_9ce4_8422_2325 % 1_000_000_000);
        // The hash of "a" and of "foobar" as FNV's authors publish them.
        assert_eq!(stable_id("a"), 1_000_000_000 + 0xaf63_dc4c_8601_ec8c % 1_000_000_000);
        assert_eq!(stable_id("foobar"), 1_000_000_000 + 0x8594_4171_f739_67e8 % 1_000_000_000);
    }

    #[test]
    fn names_are_told_from_numbers() {
        assert!(is_name("log4shell") && is_name("cve-2021-41773") && is_name("a/b_c.d"));
        assert!(
            !is_name("") && !is_name("1a") && !is_name("Log") && !is_name("a b") && !is_name(&"a".repeat(65))
        );
        assert_eq!(selected("942100-942199").as_deref(), Some("942100-942199"));
        assert_eq!(selected("a"), Some(stable_id("a").to_string()));
        assert_eq!(selected("94-x"), None);
    }
}
