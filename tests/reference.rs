//! The references under `docs/reference/` are written from the rows that the code itself runs on. A test fails when
//! one is stale; `PORTCULLIS_BLESS=1 cargo test --test reference` rewrites them.

use portcullis::compile::{ACTIONS, ActionKind, CTL_OPTIONS, Value};
use portcullis::dialect::{Difference, Status};
use portcullis::operator::{self, Argument};
use portcullis::syntax::seclang::{DIRECTIVES, DirectiveRow};
use portcullis::transform;
use portcullis::variable::{self, Shape};
use std::fmt::Write as _;
use std::path::Path;

#[test]
fn directives_are_current() {
    assert_current("directives", &directives());
}

#[test]
fn variables_are_current() {
    assert_current("variables", &variables());
}

#[test]
fn operators_are_current() {
    assert_current("operators", &operators());
}

#[test]
fn transformations_are_current() {
    assert_current("transformations", &transformations());
}

#[test]
fn actions_are_current() {
    assert_current("actions", &actions());
}

#[test]
fn ctl_options_are_current() {
    assert_current("ctl", &ctl());
}

/// The check can fail: a page differs from another.
#[test]
fn a_stale_page_is_told() {
    assert!(stale(&directives(), &(directives() + "x")).is_some());
    assert!(stale(&directives(), &directives()).is_none());
    let told = stale("a\nb\nc\n", "a\nB\nc\n").expect("they differ");
    assert!(told.contains("line 2") && told.contains('B') && told.contains('b'), "{told}");
}

/// What stands in a cell must not end it, nor the row.
#[test]
fn cells_keep_to_themselves() {
    assert_eq!(cell("a|b\nc"), r"a\|b c");
    for page in [directives(), variables(), operators(), transformations(), actions(), ctl()] {
        let mut columns = 0;
        for line in page.lines() {
            let bars = line.replace(r"\|", "").matches('|').count();
            if !line.starts_with('|') {
                columns = 0;
            } else if columns == 0 {
                columns = bars;
            } else {
                assert_eq!(bars, columns, "{line}");
            }
        }
        assert!(page.lines().filter(|l| l.starts_with('|')).count() > 10);
    }
}

fn directives() -> String {
    let mut page = prologue(
        "Directives",
        "src/syntax/seclang/directives.rs",
        "Every directive that the reference manuals of ModSecurity v2, ModSecurity v3 and Coraza v3 list, in three\n\
         lists: what does its work, what is accepted with a warning because it has no meaning here, and what is an\n\
         error. Names are case-insensitive. A directive in none of the lists is an error, with the nearest known name.",
    );
    let of = |wanted: fn(&Status) -> bool| DIRECTIVES.iter().filter(move |row| wanted(&row.status));

    page += "\n## Implemented\n\n| directive | arguments | what it is for |\n| --- | --- | --- |\n";
    for row in of(|s| matches!(s, Status::Implemented)) {
        let _ = writeln!(page, "| `{}` | {} | {} |", row.name, arity(row), cell(row.doc));
    }
    page += "\n## Accepted with a warning\n\n| directive | what it is for elsewhere | why it does nothing here |\n| --- | --- | --- |\n";
    for row in of(|s| matches!(s, Status::Accepted(_))) {
        let Status::Accepted(reason) = row.status else { continue };
        let _ = writeln!(page, "| `{}` | {} | {} |", row.name, cell(row.doc), sentence(reason));
    }
    page += "\n## Refused\n\n| directive | what it is for elsewhere | why | what to do instead |\n| --- | --- | --- | --- |\n";
    for row in of(|s| matches!(s, Status::Refused(_))) {
        let Status::Refused(refusal) = row.status else { continue };
        let (why, instead) = (sentence(refusal.why), sentence(refusal.instead));
        let _ = writeln!(page, "| `{}` | {} | {why} | {instead} |", row.name, cell(row.doc));
    }
    page +=
        &differences("Different elsewhere", DIRECTIVES.iter().map(|r| (format!("`{}`", r.name), r.differs)));
    page += &differences(
        "Other defaults elsewhere",
        DIRECTIVES.iter().map(|r| (format!("no `{}`", r.name), r.absent)),
    );
    page
}

fn arity(row: &DirectiveRow) -> String {
    match row.arity {
        (least, most) if least == most => least.to_string(),
        (least, u8::MAX) => format!("{least} or more"),
        (least, most) => format!("{least} to {most}"),
    }
}

fn variables() -> String {
    let mut page = prologue(
        "Variables",
        "src/variable/registry.rs",
        "A collection has members: `ARGS:name` and `ARGS:/regex/` select, `!ARGS:name` leaves out, `&ARGS:name` counts.\n\
         A scalar has one value. The phase is the earliest in which the content is known; what changes while rules run\n\
         is marked so.",
    );
    page += "\n| variable | kind | from phase | what it holds |\n| --- | --- | --- | --- |\n";
    for row in variable::all() {
        let kind = match row.shape {
            Shape::Scalar => "scalar",
            Shape::Collection => "collection",
        };
        let changes = if row.volatile { ", changes" } else { "" };
        let _ = writeln!(page, "| `{}` | {kind}{changes} | {} | {} |", row.name, row.phase, cell(row.doc));
    }
    page += &differences(
        "Different elsewhere",
        variable::all().iter().map(|r| (format!("`{}`", r.name), r.differs)),
    );
    page
}

fn operators() -> String {
    let mut page = prologue(
        "Operators",
        "src/operator/registry.rs",
        "`@name argument`; `!@name argument` matches where the operator does not. Without `@name`, an argument is `@rx`'s.\n\
         Names are case-insensitive. Arguments marked *macros* may hold `%{VARIABLE}` and `%{VARIABLE.member}`.",
    );
    page += "\n| operator | argument | what it does |\n| --- | --- | --- |\n";
    for row in operator::all() {
        let argument = match row.argument {
            Argument::None => "none",
            Argument::Static => "text",
            Argument::Macro => "text, macros",
            Argument::File => "file",
        };
        let _ = writeln!(page, "| {} | {argument} | {} |", names("@", row.name, row.aliases), cell(row.doc));
    }
    page += &differences(
        "Different elsewhere",
        operator::all().iter().map(|r| (format!("`@{}`", r.name), r.differs)),
    );
    page
}

fn transformations() -> String {
    let mut page = prologue(
        "Transformations",
        "src/transform/registry.rs",
        "`t:name`, carried out in the order in which a rule names them; `t:none` forgets those named before, also those of\n\
         `SecDefaultAction`. Names are case-insensitive. Values are bytes.",
    );
    page += "\n| transformation | what it does |\n| --- | --- |\n";
    for row in transform::all() {
        let _ = writeln!(page, "| {} | {} |", names("t:", row.name, row.aliases), cell(row.doc));
    }
    page += &differences(
        "Different elsewhere",
        transform::all().iter().map(|r| (format!("`t:{}`", r.name), r.differs)),
    );
    page
}

fn actions() -> String {
    let mut page = prologue(
        "Actions",
        "src/compile/action.rs",
        "Names are case-insensitive. In a chain, disruptive actions and metadata stand in its first rule; what changes\n\
         something is done when the rule that names it matches.",
    );
    for (kind, heading, about) in [
        (ActionKind::Disruptive, "Disruptive", "Decide what becomes of the transaction; a rule has one."),
        (ActionKind::NonDisruptive, "Non-disruptive", "Do something besides."),
        (ActionKind::Flow, "Flow", "Change which rules follow."),
        (ActionKind::Metadata, "Metadata", "Say something about the rule."),
        (ActionKind::Data, "Data", "Belong to another action."),
    ] {
        let _ = writeln!(
            page,
            "\n## {heading}\n\n{about}\n\n| action | value | what it does |\n| --- | --- | --- |"
        );
        for row in ACTIONS.iter().filter(|row| row.kind == kind) {
            let value = match row.value {
                Value::None => "none",
                Value::Optional => "optional",
                Value::Required => "required",
            };
            let _ = writeln!(page, "| {} | {value} | {} |", names("", row.name, row.aliases), cell(row.doc));
        }
    }
    page += &differences("Different elsewhere", ACTIONS.iter().map(|r| (format!("`{}`", r.name), r.differs)));
    page += "\nThe options of `ctl` have [a page of their own](ctl.md), and so have [transformations](transformations.md)\n(`t:`).\n";
    page
}

fn ctl() -> String {
    let mut page = prologue(
        "Options of ctl",
        "src/compile/ctl.rs",
        "`ctl:option=value` changes a setting for the present transaction, from the rule on that names it. Names are\n\
         case-insensitive.",
    );
    page += "\n| option | what it takes |\n| --- | --- |\n";
    for row in CTL_OPTIONS {
        let _ = writeln!(page, "| `ctl:{}` | {} |", row.name, cell(row.doc));
    }
    page += &differences(
        "Different elsewhere",
        CTL_OPTIONS.iter().map(|r| (format!("`ctl:{}`", r.name), r.differs)),
    );
    page
}

/// What means something else in other engines; nothing when there is none of it.
fn differences(heading: &str, rows: impl Iterator<Item = (String, &'static [Difference])>) -> String {
    let mut lines = String::new();
    for (name, differs) in rows {
        for difference in differs {
            let _ = writeln!(lines, "| {name} | {} | {} |", difference.engines(), cell(difference.how));
        }
    }
    assert!(!lines.is_empty(), "{heading}: there is no difference");
    let about = "What `portcullis check --compat` tells of rules that come from another engine.";
    format!("\n## {heading}\n\n{about}\n\n| name | in | what is different |\n| --- | --- | --- |\n{lines}")
}

fn prologue(title: &str, source: &str, about: &str) -> String {
    format!(
        "# {title}\n\n<!-- Generated from {source}. A test fails when this page is stale;\n     \
         `PORTCULLIS_BLESS=1 cargo test --test reference` rewrites it. -->\n\n{about}\n"
    )
}

fn names(prefix: &str, name: &str, aliases: &[&str]) -> String {
    let mut text = format!("`{prefix}{name}`");
    for alias in aliases {
        let _ = write!(text, ", `{prefix}{alias}`");
    }
    text
}

/// Text as it may stand in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', r"\|").replace('\n', " ")
}

/// The same for a text that began in the middle of a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    cell(&format!("{first}{}.", letters.as_str()))
}

fn assert_current(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference").join(format!("{name}.md"));
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("it stands in a directory")).expect("can be made");
        std::fs::write(&path, page).expect("the page can be written");
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some(told) = stale(&written, page) {
        panic!("docs/reference/{name}.md is stale at {told}\nPORTCULLIS_BLESS=1 cargo test --test reference");
    }
}

/// The first line that differs, or `None` when both pages are the same.
fn stale(written: &str, page: &str) -> Option<String> {
    if written == page {
        return None;
    }
    let differs = written.lines().zip(page.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or_else(|| written.lines().count().min(page.lines().count()));
    let show = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
    Some(format!("line {}:\n  is:     {}\n  should: {}", line + 1, show(written), show(page)))
}
