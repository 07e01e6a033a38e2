//! `patch:`, what a virtual patch says about itself.

use super::id::is_name;
use super::node::Node;
use super::reader::{Fields, paragraph};
use super::table;
use crate::source::{Span, Spanned};
use crate::syntax::ast::Patch;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics, shorten};
use time::Date;
use time::macros::format_description;

/// The patch at `node` in the file called `file`. One with a fault gives nothing; the fault has been told.
pub(crate) fn lower(node: &Node, file: &str, diagnostics: &mut Diagnostics) -> Option<Patch> {
    let before = diagnostics.errors();
    let fields = Fields::of(node, &table::PATCH, diagnostics)?;
    let name = stem(file).to_owned();
    if !is_name(&name) {
        let message = format!("`{}` is not a name for a patch", shorten(&name));
        let help = "a patch is called as its file: lower-case letters, digits, -, _ and ., for example \
                    cve-2021-44228-log4shell.yaml";
        diagnostics.push(Diagnostic::error("patch-name", fields.span, message).help(help));
    }
    let title = fields.required("title", "Lookups in logged text run code", diagnostics);
    let product = fields.required("product", "Apache Log4j 2", diagnostics);
    let owner = fields.required("owner", "security@example.com", diagnostics);
    let blocks = needed(&fields, "blocks", "lookups of JNDI names anywhere in a request", diagnostics);
    let severity = fields.required("severity", "critical", diagnostics);
    if let Some(given) = &severity
        && !table::SEVERITY_NAMES.contains(&given.as_str())
    {
        let message = format!("there is no severity `{}`", shorten(given));
        let help = format!("the severities are {}", table::SEVERITY_NAMES.join(", "));
        diagnostics.push(Diagnostic::error("bad-severity", given.span, message).help(help));
    }
    let created = date(&fields, "created", diagnostics);
    let review_by = date(&fields, "review_by", diagnostics);
    if let (Some(created), Some(review_by)) = (&created, &review_by)
        && review_by.node <= created.node
    {
        let fault = Diagnostic::error("bad-date", review_by.span, "a patch is reviewed after it was created");
        diagnostics.push(fault.related(created.span, "it was created then"));
    }
    let cve = fields.texts("cve", diagnostics);
    for one in cve.iter().filter(|one| !is_numbered(one, "CVE-")) {
        let message = format!("`{}` is not a CVE number", shorten(one));
        diagnostics
            .push(Diagnostic::error("bad-reference", one.span, message).help("for example CVE-2021-44228"));
    }
    let references = references(&fields, diagnostics);
    let mut long = |key| fields.get(key).and_then(|node| paragraph(node, diagnostics)).map(|text| text.node);
    let (affected, misses) = (long("affected"), long("misses"));
    let patch = Patch {
        name,
        title: title?.node,
        cve: cve.into_iter().map(|one| one.node).collect(),
        product: product?.node,
        affected,
        blocks: blocks?,
        misses,
        references: references.into_iter().map(|one| one.node).collect(),
        severity: severity?.node,
        owner: owner?.node,
        created: created?.node,
        review_by: review_by?,
        detection_only: false,
        span: fields.span,
    };
    (diagnostics.errors() == before).then_some(patch)
}

/// `references` of a rule or a patch: what is neither a number of a list of flaws nor an address is a fault.
pub(crate) fn references(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Vec<Spanned<String>> {
    let all = fields.texts("references", diagnostics);
    for one in all.iter().filter(|one| !is_tag(one) && !is_address(one)) {
        let message = format!("`{}` is not a reference", shorten(one));
        let help =
            "references are CVE-2021-44228, CWE-502, CAPEC-242 or an address that begins with https://";
        diagnostics.push(Diagnostic::error("bad-reference", one.span, message).help(help));
    }
    all
}

/// Whether the reference `text` is a number of CVE, CWE or CAPEC, which make good tags.
pub(crate) fn is_tag(text: &str) -> bool {
    ["CVE-", "CWE-", "CAPEC-"].iter().any(|list| is_numbered(text, list))
}

fn is_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic()))
}

fn is_numbered(text: &str, list: &str) -> bool {
    text.strip_prefix(list).is_some_and(|rest| {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        match (list, rest.split_once('-')) {
            ("CVE-", Some((year, number))) => year.len() == 4 && digits(year) && digits(number),
            ("CVE-", None) => false,
            _ => digits(rest),
        }
    })
}

/// The name of `file` without its directory and extension.
fn stem(file: &str) -> &str {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn needed(
    fields: &Fields<'_>,
    key: &'static str,
    example: &str,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    match fields.get(key) {
        Some(node) => paragraph(node, diagnostics).map(|text| text.node),
        None => fields.required(key, example, diagnostics).map(|text| text.node),
    }
}

fn date(fields: &Fields<'_>, key: &'static str, diagnostics: &mut Diagnostics) -> Option<Spanned<Date>> {
    let text = fields.required(key, "2026-11-22", diagnostics)?;
    match Date::parse(&text, format_description!("[year]-[month]-[day]")) {
        Ok(date) => Some(Spanned::new(date, text.span)),
        Err(_) => {
            let message = format!("`{}` is not a date", shorten(&text));
            diagnostics.push(bad_date(text.span, message));
            None
        }
    }
}

fn bad_date(span: Span, message: String) -> Diagnostic {
    Diagnostic::error("bad-date", span, message).help("write it as 2026-11-22")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_apart() {
        assert!(is_tag("CVE-2021-44228") && is_tag("CWE-89") && is_tag("CAPEC-66"));
        assert!(!is_tag("CVE-44228") && !is_tag("CVE-21-1") && !is_tag("cve-2021-1") && !is_tag("CWE-x"));
        assert!(is_address("https://example.com/a?b") && !is_address("https://") && !is_address("ftp://a"));
    }

    #[test]
    fn a_patch_is_called_as_its_file() {
        assert_eq!(stem("@virtual-patches/cve-2021-44228.yaml"), "cve-2021-44228");
        assert_eq!(stem("a/b.c/d.e.yml"), "d.e");
        assert_eq!(stem("plain"), "plain");
    }
}
