//! From which phase on a variable has its value.

use crate::source::Spanned;
use crate::syntax::ast::Target;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};

/// The earliest phase in which all of `targets` have their values; 2 when they say nothing about it, as in
/// ModSecurity.
pub(crate) fn infer<'a>(targets: impl Iterator<Item = &'a Target>) -> u8 {
    targets.filter(|target| !target.excluded).filter_map(|target| first(&target.name)).max().unwrap_or(2)
}

/// Complains about each of `targets` which has no value yet in `phase`.
pub(crate) fn check<'a>(
    phase: &Spanned<u64>,
    targets: impl Iterator<Item = &'a Target>,
    diagnostics: &mut Diagnostics,
) {
    for target in targets.filter(|target| !target.excluded) {
        let Some(first) = first(&target.name).filter(|first| u64::from(*first) > phase.node) else {
            continue;
        };
        let name = &target.name.node;
        // Before the body these hold what the query string has.
        let partly = PARTLY.iter().any(|known| name.eq_ignore_ascii_case(known));
        let fault = if partly {
            let message =
                format!("in phase {}, {name} holds the arguments of the query string only", phase.node);
            Diagnostic::warning("early-phase", phase.span, message)
                .help("name ARGS_GET, or leave the phase out")
        } else {
            let message = format!("in phase {}, {name} has no value yet", phase.node);
            Diagnostic::error("early-phase", phase.span, message)
                .help(format!("write phase: {first}, or leave it out"))
        };
        diagnostics.push(fault.related(target.span, "it is looked at here"));
    }
}

/// Whether all of `targets` have their values in phase 1 already, and come from the request.
pub(crate) fn is_early(targets: &[Target]) -> bool {
    targets.iter().all(|target| first(&target.name) == Some(1))
}

/// `None` for what has a value always or is set by rules.
fn first(name: &str) -> Option<u8> {
    let name = name.to_ascii_uppercase();
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if ["RESPONSE_BODY", "OUTBOUND_DATA_ERROR", "RES_BODY_ERROR", "RES_BODY_PROCESSOR", "RESPONSE_ARGS"]
        .iter()
        .chain(&["RESPONSE_XML", "STREAM_OUTPUT_BODY"])
        .any(|known| name.starts_with(known))
    {
        Some(4)
    } else if begins(&["RESPONSE_", "STATUS"]) {
        Some(3)
    } else if name.starts_with("ARGS_GET") {
        Some(1)
    } else if begins(&[
        "ARGS",
        "FILES",
        "FULL_REQUEST",
        "MULTIPART_",
        "REQBODY_",
        "REQUEST_BODY",
        "STREAM_INPUT_BODY",
        "JSON",
        "INBOUND_DATA_ERROR",
        "MSC_PCRE",
    ]) || name == "XML"
    {
        Some(2)
    } else if begins(&["REQUEST_", "QUERY_STRING", "REMOTE_", "SERVER_", "PATH_INFO", "AUTH_TYPE"]) {
        Some(1)
    } else {
        None
    }
}

const PARTLY: [&str; 3] = ["ARGS", "ARGS_NAMES", "ARGS_COMBINED_SIZE"];
