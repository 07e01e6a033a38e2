//! `docs/reference/differences.md`.

use crate::deviations::{Deviation, Deviations};
use crate::engines::VERSION;
use std::fmt::Write as _;

/// The page, written from the list.
pub fn page(deviations: &Deviations) -> String {
    let mut page = format!(
        "# Differences from ModSecurity {VERSION}\n\n\
         <!-- Generated from tests/differential/deviations.yaml. A test fails when this page is stale;\n     \
         `PORTCULLIS_BLESS=1 cargo test --test differential` rewrites it. -->\n\n\
         The tests feed the same rules and the same bytes to Portcullis and to libmodsecurity {VERSION}: each\n\
         transformation and operator thousands of values (every byte, pairs and triples of bytes that matter, truncated\n\
         and overlong sequences, long runs, mixes), and sets of rules some forty requests. Everything else came out equal;\n\
         these are all differences that were found, each kept for the reason given. `\\xHH` is a byte, `\\\\` a backslash.\n"
    );
    functions(&mut page, "Transformations", "t:", &deviations.transformations);
    functions(&mut page, "Operators", "@", &deviations.operators);
    page += "\n## Variables, actions and flow\n\n| compared | in | why |\n| --- | --- | --- |\n";
    let mut reason = "";
    for deviation in &deviations.transactions {
        if deviation.reason != "The same." {
            reason = &deviation.reason;
        }
        let requests = match deviation.requests.as_slice() {
            [] => String::new(),
            some => format!(" ({})", some.join(", ")),
        };
        let _ = writeln!(
            page,
            "| {}{requests} | `{}` | {} |",
            deviation.cases.join(", "),
            cell(&deviation.what),
            cell(reason)
        );
    }
    page += "\n## Not compared\n\n| what | why |\n| --- | --- |\n";
    for absent in &deviations.absent_operators {
        let _ = writeln!(page, "| {} | {} |", names("@", &absent.names), cell(&absent.reason));
    }
    let _ = writeln!(
        page,
        "| {} | ModSecurity {VERSION} does not have it. |",
        names("t:", &deviations.absent_transformations)
    );
    page
}

fn functions(page: &mut String, title: &str, prefix: &str, deviations: &[Deviation]) {
    let _ = writeln!(
        page,
        "\n## {title}\n\n| name | value | Portcullis | ModSecurity | why |\n| --- | --- | --- | --- | --- |"
    );
    let mut reason = "";
    for deviation in deviations {
        if !deviation.reason.starts_with("The same") {
            reason = &deviation.reason;
        }
        let mut name = names(prefix, &deviation.names);
        if let Some(argument) = &deviation.argument {
            let _ = write!(name, " `{}`", cell(argument));
        }
        for example in &deviation.examples {
            let [input, ours, theirs] = [&example.input, &example.ours, &example.theirs].map(|t| code(t));
            let _ = writeln!(page, "| {name} | {input} | {ours} | {theirs} | {} |", cell(reason));
        }
        if deviation.examples.is_empty() {
            let _ = writeln!(
                page,
                "| {name} | that matches `{}` | | | {} |",
                cell(&deviation.when),
                cell(reason)
            );
        }
    }
}

fn names(prefix: &str, names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|n| format!("`{prefix}{n}`")).collect();
    names.join(", ")
}

fn code(text: &str) -> String {
    if text.is_empty() { "(empty)".to_owned() } else { format!("`{}`", cell(text)) }
}

fn cell(text: &str) -> String {
    text.trim_end().replace('|', "\\|")
}
