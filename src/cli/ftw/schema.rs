//! The YAML that test files are written in, as coreruleset/ftw-tests-schema describes it (versions 1 and 2).

use serde::{Deserialize, Deserializer};
use std::path::{Path, PathBuf};

/// One test file.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// Where it was read from.
    pub path: PathBuf,
    /// The rule that its tests aim at; 0 when the file names none.
    pub rule_id: u64,
    /// Its tests in order.
    pub tests: Vec<Test>,
}

/// One test: stages that run in order.
#[derive(Clone, Debug, Deserialize)]
pub struct Test {
    /// Unique within its rule; counted from 1 when absent.
    #[serde(default)]
    pub test_id: u64,
    /// The name of a test in version 1.
    #[serde(default)]
    pub test_title: String,
    /// For people.
    #[serde(default)]
    pub desc: String,
    /// Request and expectation, in order.
    #[serde(deserialize_with = "stages")]
    pub stages: Vec<TestStage>,
}

/// A request and what is expected of it.
#[derive(Clone, Debug, Deserialize)]
pub struct TestStage {
    /// The request.
    #[serde(default)]
    pub input: Input,
    /// The expectation.
    #[serde(default)]
    pub output: Output,
}

/// A request, written so that every rule of HTTP can be broken.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Input {
    /// The host to connect to. The runner goes where it is told to, so this only matters for redirects.
    pub dest_addr: Option<String>,
    /// The port to connect to; as [`Self::dest_addr`].
    pub port: Option<u16>,
    /// `http` or `https`; as [`Self::dest_addr`].
    pub protocol: Option<String>,
    /// The request target, sent as it is; `/` when absent.
    pub uri: Option<String>,
    /// The protocol of the request line; `HTTP/1.1` when absent.
    pub version: Option<String>,
    /// The method; `GET` when absent.
    pub method: Option<String>,
    /// Header fields: sorted by name when written as a map, in order when written as a list.
    #[serde(deserialize_with = "headers")]
    pub headers: Vec<(String, String)>,
    /// The body; may hold `{{ "text" | repeat N }}`.
    #[serde(deserialize_with = "optional_text")]
    pub data: Option<String>,
    /// The body in base64.
    pub encoded_data: Option<String>,
    /// Whether cookies that the answer sets are sent with the test's later stages.
    pub save_cookie: Option<bool>,
    /// The opposite of [`Self::autocomplete_headers`], its former name.
    pub stop_magic: Option<bool>,
    /// Whether `Connection`, `Content-Type` and `Content-Length` are added where they are missing; on unless
    /// switched off.
    pub autocomplete_headers: Option<bool>,
    /// The whole request in base64; everything else is then ignored.
    pub encoded_request: Option<String>,
    /// As [`Self::encoded_request`], not encoded. Its former name.
    pub raw_request: Option<String>,
    /// Request the target that the former stage's answer redirected to.
    pub follow_redirect: Option<bool>,
    /// Send the log's markers with this test's own `Host`.
    pub virtual_host_mode: bool,
}

impl Input {
    /// Whether missing headers are to be added.
    pub fn autocompletes(&self) -> bool {
        self.autocomplete_headers.unwrap_or(!self.stop_magic.unwrap_or(false))
    }

    /// The first value of header `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// What is expected. Everything given must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Output {
    /// The answer's status is one of these; empty means any.
    #[serde(deserialize_with = "statuses")]
    pub status: Vec<u16>,
    /// A regular expression that head and body of the answer must match.
    pub response_contains: Option<String>,
    /// A regular expression that some line of the log must match. Former syntax.
    pub log_contains: Option<String>,
    /// A regular expression that no line of the log may match. Former syntax.
    pub no_log_contains: Option<String>,
    /// What the log must and must not say.
    pub log: Log,
    /// `true`: no answer that is HTTP may come. `false`: one must.
    pub expect_error: Option<bool>,
    /// Try a second time before calling it a failure.
    pub retry_once: bool,
    /// No rule other than the expected one may be in the log.
    pub isolated: bool,
}

/// Expectations of the log.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Log {
    /// Rules that must be in the log.
    pub expect_ids: Vec<u64>,
    /// Rules that must not.
    pub no_expect_ids: Vec<u64>,
    /// A regular expression that some line must match.
    pub match_regex: Option<String>,
    /// A regular expression that no line may match.
    pub no_match_regex: Option<String>,
}

/// A file that could not be read as tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, with line and column where known.
    pub message: String,
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}

/// Reads test files; directories are searched for `.yaml` and `.yml`, in the order of their names.
///
/// # Errors
///
/// Every file that cannot be read, all at once. A file without a document counts as one without tests.
pub fn load(paths: &[PathBuf]) -> Result<Vec<TestFile>, Vec<LoadError>> {
    let (mut files, mut tests, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        find(path, 0, &mut files, &mut errors);
    }
    for path in files {
        let text = std::fs::read_to_string(&path).map_err(|e| e.to_string());
        match text.and_then(|text| parse(&path, &text)) {
            Ok(file) => tests.push(file),
            Err(message) => errors.push(LoadError { path, message }),
        }
    }
    if errors.is_empty() { Ok(tests) } else { Err(errors) }
}

/// The files that [`load`] reads: `paths`, and what is in those that are directories.
///
/// # Errors
///
/// As [`load`].
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Vec<LoadError>> {
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        find(path, 0, &mut files, &mut errors);
    }
    if errors.is_empty() { Ok(files) } else { Err(errors) }
}

/// Reads one test file's text.
fn parse(path: &Path, text: &str) -> Result<TestFile, String> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Document {
        meta: Option<Meta>,
        rule_id: u64,
        tests: Vec<Test>,
    }
    #[derive(Deserialize)]
    struct Meta {
        enabled: Option<bool>,
    }
    let document: Option<Document> = serde_yaml::from_str(text).map_err(|e| e.to_string())?;
    let Document { meta, rule_id, mut tests } = document.unwrap_or_default();
    // Version 2, whose files name their rule, ignores the switch.
    if rule_id == 0 && meta.and_then(|m| m.enabled) == Some(false) {
        tests.clear();
    }
    for (test, number) in tests.iter_mut().zip(1..) {
        if test.test_id == 0 {
            test.test_id = number;
        }
    }
    Ok(TestFile { path: path.to_owned(), rule_id, tests })
}

fn find(path: &Path, depth: usize, files: &mut Vec<PathBuf>, errors: &mut Vec<LoadError>) {
    if !path.is_dir() {
        files.push(path.to_owned());
        return;
    }
    let mut fail = |message: String| errors.push(LoadError { path: path.to_owned(), message });
    if depth > MAX_DEPTH {
        return fail(format!("directories are nested more than {MAX_DEPTH} deep"));
    }
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) => return fail(e.to_string()),
    };
    let mut entries: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    entries.sort();
    for entry in entries {
        let is_test = entry.extension().is_some_and(|e| e == "yaml" || e == "yml");
        if entry.is_dir() || is_test {
            find(&entry, depth + 1, files, errors);
        }
    }
}

/// Enough for any tree that people keep tests in; ends a cycle of links.
const MAX_DEPTH: usize = 16;

/// Stages as version 2 writes them, or with version 1's extra level `stage:`.
fn stages<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TestStage>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Nested { stage: TestStage },
        Plain(TestStage),
    }
    let list = Vec::<Either>::deserialize(deserializer)?;
    let flatten = |e| match e {
        Either::Nested { stage } | Either::Plain(stage) => stage,
    };
    Ok(list.into_iter().map(flatten).collect())
}

/// A YAML scalar as the text that was most likely meant.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Whole(i64),
    Real(f64),
    Truth(bool),
    /// Lines of data, in version 1.
    Lines(Vec<String>),
    Nothing(()),
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Scalar::Text(t) => t,
            Scalar::Whole(n) => n.to_string(),
            Scalar::Real(n) => n.to_string(),
            Scalar::Truth(b) => b.to_string(),
            Scalar::Lines(lines) => lines.join("\r\n"),
            Scalar::Nothing(()) => String::new(),
        }
    }
}

fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Scalar>::deserialize(deserializer)?.map(Scalar::into_text))
}

fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    #[derive(Deserialize)]
    struct Field {
        name: String,
        #[serde(deserialize_with = "optional_text", default)]
        value: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Map(std::collections::BTreeMap<String, Scalar>),
        List(Vec<Field>),
    }
    Ok(match Option::<Either>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Either::Map(map)) => map.into_iter().map(|(n, v)| (n, v.into_text())).collect(),
        Some(Either::List(list)) => list.into_iter().map(|f| (f.name, f.value.unwrap_or_default())).collect(),
    })
}

fn statuses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u16>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(u16),
        Many(Vec<u16>),
    }
    Ok(match Option::<Either>::deserialize(deserializer)? {
        // go-ftw takes 0 for "not given".
        None | Some(Either::One(0)) => Vec::new(),
        Some(Either::One(status)) => vec![status],
        Some(Either::Many(list)) => list,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_versions_of_the_schema() {
        let text = r#"
rule_id: 42
tests:
  - test_id: 7
    stages:
      - input: {headers: {Zeta: z, Host: localhost, Content-Length: 3}, data: "a=b", port: 80}
        output: {status: 403, log: {expect_ids: [42], no_match_regex: "x"}}
  - stages:
      - stage:
          input: {headers: [{name: B, value: 1}, {name: A}], stop_magic: true}
          output: {status: [200, 404], log_contains: 'id "42"'}
"#;
        let file = parse(Path::new("42.yaml"), text).unwrap();
        assert_eq!((file.rule_id, file.tests.len()), (42, 2));
        let first = &file.tests[0].stages[0];
        let names: Vec<_> = first.input.headers.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(names, ["Content-Length=3", "Host=localhost", "Zeta=z"]);
        assert!(first.input.autocompletes());
        assert_eq!((&first.output.status, &first.output.log.expect_ids), (&vec![403], &vec![42]));
        let second = &file.tests[1];
        assert_eq!(second.test_id, 2);
        assert!(!second.stages[0].input.autocompletes());
        assert_eq!(second.stages[0].input.headers, [("B".into(), "1".into()), ("A".into(), String::new())]);
        assert_eq!(second.stages[0].output.status, [200, 404]);
        assert_eq!(second.stages[0].output.log_contains.as_deref(), Some("id \"42\""));
    }

    #[test]
    fn version_1_names_tests_by_title_and_may_switch_them_off() {
        let text = "meta: {enabled: true}\ntests:\n  - test_title: 920100-1\n    stages:\n      - stage:\n          \
            input: {data: [a, b]}\n          output: {log_contains: x}\n";
        let file = parse(Path::new("x"), text).unwrap();
        assert_eq!(file.tests[0].test_title, "920100-1");
        assert_eq!(file.tests[0].stages[0].input.data.as_deref(), Some("a\r\nb"));
        let off = text.replace("enabled: true", "enabled: false");
        assert_eq!(parse(Path::new("x"), &off).unwrap().tests.len(), 0);
        assert_eq!(parse(Path::new("x"), &format!("rule_id: 1\n{off}")).unwrap().tests.len(), 1);
    }

    #[test]
    fn an_empty_file_has_no_tests_and_a_broken_one_says_where() {
        assert_eq!(parse(Path::new("x"), "---\n# nothing\n").unwrap().tests.len(), 0);
        let error = parse(Path::new("x"), "rule_id: 1\ntests: [{stages: 3}]\n").unwrap_err();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn directories_are_searched_in_order_and_all_errors_come_at_once() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("b.yaml", "rule_id: 2"), ("a.yml", "rule_id: 1"), ("c.txt", "not: [yaml")] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let found = load(&[dir.path().to_owned()]).unwrap();
        assert_eq!(found.iter().map(|f| f.rule_id).collect::<Vec<_>>(), [1, 2]);
        std::fs::write(dir.path().join("d.yaml"), "tests: 1").unwrap();
        let errors = load(&[dir.path().to_owned(), dir.path().join("none.yaml")]).unwrap_err();
        assert_eq!(errors.len(), 2);
    }
}
