//! `docs/reference/metrics.md`, written from the rows.

use super::category;
use super::rows::{Kind, ROWS, Row};
use crate::engine::EventKind;
use std::fmt::Write;

/// The page.
pub fn reference() -> String {
    let mut out = PROLOGUE.to_owned();
    for row in ROWS {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| [`{0}`](#{0}) | {1} | {2} |", row.name, kind(row), names(row));
    }
    for row in ROWS {
        let _ = writeln!(out, "\n## `{}`\n\n{} A {}", row.name, row.help, described(row));
        if !row.labels.is_empty() {
            let _ = writeln!(out, "\n| label | values |\n| --- | --- |");
        }
        for (label, values) in row.labels {
            let _ = writeln!(out, "| `{label}` | {values} |");
        }
        let _ = writeln!(out, "\n```promql\n{}\n```", row.query());
    }
    let list = |all: &mut dyn Iterator<Item = &'static str>| {
        all.map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ")
    };
    let _ = writeln!(
        out,
        "\n## Values\n\nEvents: {}.\n\nCategories: {}.",
        list(&mut EventKind::ALL.iter().map(|kind| kind.name())),
        list(&mut category::ALL.iter().copied()),
    );
    out
}

impl Row {
    /// A query that shows what the metric is good for.
    pub fn query(&self) -> String {
        if !self.example.is_empty() {
            return self.example.to_owned();
        }
        let by: Vec<&str> = self.labels.iter().map(|(name, _)| *name).collect();
        let by = if by.is_empty() { String::new() } else { format!(" by ({})", by.join(", ")) };
        match self.kind {
            Kind::Counter => format!("sum{by} (rate({}[5m]))", self.name),
            Kind::Gauge => self.name.to_owned(),
            Kind::Histogram(_) => {
                format!("histogram_quantile(0.99, sum by (le) (rate({}_bucket[5m])))", self.name)
            }
        }
    }
}

fn kind(row: &Row) -> &'static str {
    match row.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    }
}

fn described(row: &Row) -> String {
    match row.kind {
        Kind::Histogram(bounds) => {
            let bounds: Vec<String> = bounds.iter().map(f64::to_string).collect();
            format!("histogram; upper bounds: {}.", bounds.join(", "))
        }
        _ => format!("{}.", kind(row)),
    }
}

fn names(row: &Row) -> String {
    row.labels.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

const PROLOGUE: &str = "\
# Metrics

<!-- Generated from src/telemetry/rows.rs. A test fails when this page is stale;
     `PORTCULLIS_BLESS=1 cargo test --lib telemetry` rewrites it. -->

The admin listener (by default `127.0.0.1:9180`) serves them at `/metrics` in Prometheus' text format, together with
the usual `process_…` metrics on Linux. No label takes its value from a client, so nobody outside can make series.
[The guide](../guide/metrics.md) tells what to do with them.

| metric | type | labels |
| --- | --- | --- |
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/metrics.md");
        if std::env::var_os("PORTCULLIS_BLESS").is_some() {
            std::fs::write(path, reference()).expect("written");
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == reference(),
            "docs/reference/metrics.md is stale: PORTCULLIS_BLESS=1 cargo test --lib telemetry"
        );
    }
}
