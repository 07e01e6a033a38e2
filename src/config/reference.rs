//! Writes `docs/configuration.md` from the rows of [`super::schema`].

use super::schema::{TABLES, Table};
use std::fmt::Write;

/// The reference of the configuration file, in Markdown.
pub fn reference() -> String {
    let mut out = PROLOGUE.to_owned();
    for table in TABLES {
        section(&mut out, table);
    }
    out
}

const PROLOGUE: &str = "\
# Configuration

<!-- Generated from src/config/schema. A test fails when this page is stale;
     `PORTCULLIS_BLESS=1 cargo test --test config` rewrites it. -->

Portcullis reads one YAML file (`portcullis run -c portcullis.yaml`). Flags win over environment variables
(`PORTCULLIS_…`), which win over the file. `config/portcullis.yaml` is an example to start from, and
`portcullis check -c portcullis.yaml` says what is wrong with a file: all of it at once, with line and column.

Durations are written `500ms`, `10s`, `5m`, `2h` or `1d`; a bare number is seconds. Sizes are written `4096`,
`64KiB`, `10MiB` or `1GiB`. Where a list is expected, a single item will do. Host patterns are `www.example.com`,
`*.example.com` (any name below it) or `*` (any host).

A file is read as a whole or not at all: an unknown setting is an error, at start-up and on reload.
";

fn section(out: &mut String, table: &Table) {
    let path = if table.path.is_empty() { "the top level".to_owned() } else { format!("`{}`", table.path) };
    // Writing to a String cannot fail.
    let _ = writeln!(out, "\n## {}\n\nAt {path}.", heading(table));
    if !table.about.is_empty() {
        let _ = writeln!(out, "{}", table.about);
    }
    let _ = writeln!(out, "\n| setting | takes | default | what it does |\n| --- | --- | --- | --- |");
    for key in table.keys {
        let default = match key.default {
            "" => "required".to_owned(),
            "none" => "—".to_owned(),
            text => format!("`{text}`"),
        };
        let _ = writeln!(out, "| `{}` | {} | {default} | {} |", key.name, key.takes, key.about);
    }
}

/// The heading under which other rows link to the section: the plural of what stands in a list.
fn heading(table: &Table) -> String {
    match (table.path.ends_with("[]"), table.name) {
        (true, name) if name.ends_with("ch") => format!("{name}es"),
        (true, name) => format!("{name}s"),
        (false, name) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_headings() {
        let text = reference();
        let headings: Vec<String> =
            text.lines().filter_map(|l| l.strip_prefix("## ")).map(|h| h.replace(' ', "-")).collect();
        let links: Vec<&str> = text.split("](#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        assert!(links.len() > 10);
        for link in links {
            assert!(headings.iter().any(|h| h == link), "no heading for #{link}");
        }
    }
}
