//! Telling results: a table for people, JSON and JUnit for machines.

use super::CaseResult;
use quick_xml::escape::escape;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// The results of a run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    results: Vec<CaseResult>,
}

/// The results of the tests of one rule file, which lie in one directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The directory's name.
    pub name: String,
    /// Tests.
    pub total: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Time that they took, one after the other.
    pub duration: Duration,
}

impl Summary {
    /// Sums `results` up.
    pub fn new(results: Vec<CaseResult>) -> Self {
        Self { results }
    }

    /// All results in order.
    pub fn results(&self) -> &[CaseResult] {
        &self.results
    }

    /// How many tests were run.
    pub fn total(&self) -> usize {
        self.results.len()
    }

    /// The tests that failed.
    pub fn failures(&self) -> impl Iterator<Item = &CaseResult> {
        self.results.iter().filter(|r| !r.faults.is_empty())
    }

    /// Passed tests in percent; 100 when there were none.
    pub fn percentage(&self) -> f64 {
        let failed = self.failures().count();
        if self.total() == 0 { 100.0 } else { 100.0 * (self.total() - failed) as f64 / self.total() as f64 }
    }

    /// The results by rule file, in the order of their names.
    pub fn groups(&self) -> Vec<Group> {
        let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
        for result in &self.results {
            let name = group(&result.case.file);
            let row =
                groups.entry(name).or_insert_with(|| Group { name: name.to_owned(), ..Group::default() });
            row.total += 1;
            row.failed += usize::from(!result.faults.is_empty());
            row.duration += result.duration;
        }
        groups.into_values().collect()
    }

    /// A table by rule file (the directory that tests lie in), then every failure with its reasons.
    pub fn table(&self) -> String {
        let groups = self.groups();
        let width = groups.iter().map(|g| g.name.len()).max().unwrap_or(0).max("total".len());
        let mut out =
            format!("{:width$}  {:>6}  {:>6}  {:>6}  {:>8}\n", "", "tests", "passed", "failed", "seconds");
        let mut sum = Duration::ZERO;
        let mut row = |name: &str, total: usize, failed: usize, time: Duration| {
            // Infallible: the target is a string.
            let _ = writeln!(
                out,
                "{name:width$}  {total:>6}  {:>6}  {failed:>6}  {:>8.2}",
                total - failed,
                time.as_secs_f64()
            );
        };
        for group in &groups {
            row(&group.name, group.total, group.failed, group.duration);
            sum += group.duration;
        }
        row("total", self.total(), self.failures().count(), sum);
        for result in self.failures() {
            let _ = writeln!(out, "\nFAILED {}  {}", result.case.id, result.case.file.display());
            if !result.case.description.is_empty() {
                let _ = writeln!(out, "  {}", result.case.description.lines().next().unwrap_or_default());
            }
            for fault in &result.faults {
                let _ = writeln!(out, "  - {fault}");
            }
        }
        let _ = writeln!(
            out,
            "\n{} of {} tests passed ({:.2} %)",
            self.total() - self.failures().count(),
            self.total(),
            self.percentage()
        );
        out
    }

    /// One JSON object: `total`, `passed`, `failed`, and `tests[]{id, file, passed, faults, seconds}`.
    pub fn json(&self) -> Value {
        let failed = self.failures().count();
        let tests: Vec<Value> = self
            .results
            .iter()
            .map(|r| {
                json!({
                    "id": r.case.id,
                    "file": r.case.file.to_string_lossy(),
                    "passed": r.faults.is_empty(),
                    "faults": r.faults,
                    "seconds": r.duration.as_secs_f64(),
                })
            })
            .collect();
        json!({"total": self.total(), "passed": self.total() - failed, "failed": failed, "tests": tests})
    }

    /// JUnit's XML as CI servers read it: a suite for each rule file.
    pub fn junit(&self) -> String {
        let mut groups: BTreeMap<&str, Vec<&CaseResult>> = BTreeMap::new();
        for result in &self.results {
            groups.entry(group(&result.case.file)).or_default().push(result);
        }
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(
            out,
            "<testsuites name=\"portcullis\" tests=\"{}\" failures=\"{}\">",
            self.total(),
            self.failures().count()
        );
        for (name, results) in groups {
            let failed = results.iter().filter(|r| !r.faults.is_empty()).count();
            let time: Duration = results.iter().map(|r| r.duration).sum();
            let _ = writeln!(
                out,
                "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" time=\"{:.3}\">",
                xml(name),
                results.len(),
                time.as_secs_f64()
            );
            for result in results {
                let _ = write!(
                    out,
                    "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
                    xml(name),
                    xml(&result.case.id),
                    result.duration.as_secs_f64()
                );
                if let Some(first) = result.faults.first() {
                    let all = result.faults.join("\n");
                    let _ = writeln!(
                        out,
                        ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                        xml(first),
                        xml(&all)
                    );
                } else {
                    out.push_str("/>\n");
                }
            }
            out.push_str("  </testsuite>\n");
        }
        out.push_str("</testsuites>\n");
        out
    }
}

/// The directory that a test file lies in, or its own name when it lies in none.
fn group(file: &Path) -> &str {
    let parent = file.parent().and_then(Path::file_name).filter(|p| !p.is_empty());
    parent.or(file.file_name()).and_then(|n| n.to_str()).unwrap_or("tests")
}

/// Text fit for XML: control characters, which XML 1.0 cannot hold even escaped, become `�`.
fn xml(text: &str) -> String {
    let clean = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{FFFD}' } else { c };
    escape(text.chars().map(clean).collect::<String>()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ftw::Case;

    fn summary() -> Summary {
        let case = |id: &str, file: &str, faults: &[&str]| CaseResult {
            case: Case { id: id.into(), file: file.into(), description: "says <what>".into() },
            faults: faults.iter().map(|f| (*f).to_owned()).collect(),
            duration: Duration::from_millis(250),
        };
        Summary::new(vec![
            case("1-1", "t/A/1.yaml", &[]),
            case("1-2", "t/A/1.yaml", &["expected \"x\" & <y>\u{1}", "second"]),
            case("2-1", "t/B/2.yaml", &[]),
        ])
    }

    #[test]
    fn the_table_counts_by_directory_and_names_failures() {
        let table = summary().table();
        let rows: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["A", "2", "1", "1", "0.50"]);
        assert_eq!(rows[2], ["B", "1", "1", "0", "0.25"]);
        assert_eq!(rows[3], ["total", "3", "2", "1", "0.75"]);
        assert!(table.contains("FAILED 1-2  t/A/1.yaml\n  says <what>\n  - expected \"x\""), "{table}");
        assert!(table.ends_with("2 of 3 tests passed (66.67 %)\n"), "{table}");
        assert!(Summary::default().table().ends_with("0 of 0 tests passed (100.00 %)\n"));
    }

    #[test]
    fn machines_get_well_formed_text() {
        let json = summary().json();
        assert_eq!((&json["failed"], &json["tests"][1]["passed"]), (&json!(1), &json!(false)));
        let junit = summary().junit();
        let mut reader = quick_xml::Reader::from_str(&junit);
        let (mut cases, mut failures) = (0, 0);
        loop {
            match reader.read_event().expect("well-formed") {
                quick_xml::events::Event::Start(e) | quick_xml::events::Event::Empty(e) => {
                    cases += usize::from(e.name().as_ref() == b"testcase");
                    failures += usize::from(e.name().as_ref() == b"failure");
                }
                quick_xml::events::Event::Eof => break,
                _ => {}
            }
        }
        assert_eq!((cases, failures), (3, 1));
        assert!(junit.contains("&quot;x&quot; &amp; &lt;y&gt;\u{FFFD}"), "{junit}");
    }
}
