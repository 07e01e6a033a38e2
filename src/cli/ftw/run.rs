//! Runs tests against a target.

use super::log::Seen;
use super::{Answer, Input, Output, Test, TestFile, request_bytes};
use regex::Regex;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whatever answers requests and keeps a log.
pub trait Target: Sync {
    /// Sends one request and gathers what came of it.
    fn stage(&self, stage: &Stage<'_>) -> StageResult;

    /// How many stages may be under way at once: 1 when requests cannot be told apart in the log.
    fn parallel(&self) -> usize {
        1
    }
}

/// One request of a test.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'a> {
    /// The bytes to send.
    pub request: &'a [u8],
    /// `Host` of marker requests, where a target needs them.
    pub marker_host: &'a str,
    /// Whether the log matters.
    pub needs_log: bool,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct StageResult {
    /// The answer, or why there is none that is HTTP.
    pub answer: Result<Answer, String>,
    /// What the log says of it, or why that is not known.
    pub log: Result<Vec<Seen>, String>,
}

/// Which tests to run.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Matched against `rule-test`, e.g. `920100-4`; none means all.
    pub include: Option<Regex>,
}

/// A test's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// `rule-test`, or the title of a test in version 1 of the format.
    pub id: String,
    /// The test file.
    pub file: PathBuf,
    /// For people.
    pub description: String,
}

/// What became of a test.
#[derive(Clone, Debug)]
pub struct CaseResult {
    /// Which test.
    pub case: Case,
    /// Why it failed; empty when it passed.
    pub faults: Vec<String>,
    /// How long it took.
    pub duration: Duration,
}

/// Runs the selected tests; results come in the order of the files.
pub fn run(target: &dyn Target, files: &[TestFile], selection: &Selection) -> Vec<CaseResult> {
    let named = |file: &'_ TestFile, test: &Test| Case {
        id: match test.test_title.as_str() {
            title if file.rule_id == 0 && !title.is_empty() => title.to_owned(),
            _ => format!("{}-{}", file.rule_id, test.test_id),
        },
        file: file.path.clone(),
        description: test.desc.trim().to_owned(),
    };
    let cases: Vec<(Case, &Test)> = files
        .iter()
        .flat_map(|file| file.tests.iter().map(move |test| (named(file, test), test)))
        .filter(|(case, _)| selection.include.as_ref().is_none_or(|r| r.is_match(&case.id)))
        .collect();

    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(cases.len()));
    let work = || loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some((case, test)) = cases.get(index) else { break };
        let started = Instant::now();
        let faults = run_test(target, test);
        let result = CaseResult { case: case.clone(), faults, duration: started.elapsed() };
        results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
    };
    std::thread::scope(|scope| {
        for _ in 0..target.parallel().clamp(1, MAX_PARALLEL) {
            scope.spawn(work);
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Threads at most; beyond it a loopback test measures the scheduler.
const MAX_PARALLEL: usize = 64;

/// Runs a test's stages and returns everything that was wrong.
fn run_test(target: &dyn Target, test: &Test) -> Vec<String> {
    let mut faults = Vec::new();
    let mut state = State::default();
    let many = test.stages.len() > 1;
    for (number, stage) in test.stages.iter().enumerate() {
        let mut found = run_stage(target, &stage.input, &stage.output, &mut state);
        if !found.is_empty() && stage.output.retry_once {
            found = run_stage(target, &stage.input, &stage.output, &mut state);
        }
        if many {
            found.iter_mut().for_each(|f| f.insert_str(0, &format!("stage {}: ", number + 1)));
        }
        faults.extend(found);
    }
    faults
}

/// What later stages inherit from earlier ones.
#[derive(Default)]
struct State {
    location: Option<String>,
    cookies: Vec<(String, String)>,
}

fn run_stage(target: &dyn Target, input: &Input, output: &Output, state: &mut State) -> Vec<String> {
    let mut input = input.clone();
    if input.follow_redirect == Some(true) {
        let Some(location) = &state.location else {
            return vec!["`follow_redirect`: the former stage was not redirected".into()];
        };
        input.uri = Some(path_of(location).to_owned());
    }
    if !state.cookies.is_empty() && input.header("Cookie").is_none() {
        let cookies = state.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>();
        input.headers.push(("Cookie".into(), cookies.join("; ")));
    }
    let request = match request_bytes(&input) {
        Ok(request) => request,
        Err(error) => return vec![error],
    };
    let marker_host = input.header("Host").filter(|_| input.virtual_host_mode).unwrap_or("localhost");
    let result = target.stage(&Stage { request: &request, marker_host, needs_log: output.needs_log() });
    if let Ok(answer) = &result.answer {
        let text = |v: &[u8]| String::from_utf8_lossy(v).into_owned();
        state.location = answer.values("Location").next().map(text);
        if input.save_cookie == Some(true) {
            for cookie in answer.values("Set-Cookie").map(text) {
                let pair = cookie.split(';').next().unwrap_or_default();
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                state.cookies.retain(|(n, _)| n != name);
                state.cookies.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
    }
    output.faults(&result)
}

/// Path and query of a `Location`.
fn path_of(location: &str) -> &str {
    let Some((_, rest)) = location.split_once("://") else { return location };
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ftw::schema::TestStage;

    /// Answers with the number of calls so far as status, plus 200, and logs the request line's length.
    struct Counter(AtomicUsize, Mutex<Vec<String>>);

    impl Target for Counter {
        fn stage(&self, stage: &Stage<'_>) -> StageResult {
            let n = self.0.fetch_add(1, Ordering::Relaxed);
            self.1.lock().unwrap().push(String::from_utf8_lossy(stage.request).into_owned());
            let header = |n: &str, v: &str| (n.to_owned(), v.as_bytes().to_vec());
            let headers = vec![header("location", "http://h/next?x"), header("Set-Cookie", "a=b; Path=/")];
            let status = 200 + u16::try_from(n).unwrap();
            StageResult { answer: Ok(Answer { status, headers, raw: Vec::new() }), log: Ok(Vec::new()) }
        }
        fn parallel(&self) -> usize {
            1
        }
    }

    fn test(yaml: &[&str]) -> Test {
        let stages = yaml.iter().map(|y| serde_yaml::from_str::<TestStage>(y).unwrap()).collect();
        Test { test_id: 3, test_title: String::new(), desc: String::new(), stages }
    }

    fn go(tests: Vec<Test>, include: Option<&str>) -> (Vec<CaseResult>, Vec<String>) {
        let counter = Counter(AtomicUsize::new(0), Mutex::new(Vec::new()));
        let file = TestFile { path: "f.yaml".into(), rule_id: 9, tests };
        let selection = Selection { include: include.map(|r| Regex::new(r).unwrap()) };
        let results = run(&counter, &[file], &selection);
        (results, counter.1.into_inner().unwrap())
    }

    #[test]
    fn stages_run_in_order_and_say_which_failed() {
        let (results, _) = go(vec![test(&["{output: {status: 200}}", "{output: {status: 999}}"])], None);
        assert_eq!(results[0].case.id, "9-3");
        assert_eq!(results[0].faults, ["stage 2: expected status 999, got 201"]);
    }

    #[test]
    fn a_retry_may_save_a_stage() {
        let (results, sent) = go(vec![test(&["{output: {status: 201, retry_once: true}}"])], None);
        assert!(results[0].faults.is_empty());
        assert_eq!(sent.len(), 2);
    }

    #[test]
    fn redirects_and_cookies_carry_over() {
        let (_, sent) =
            go(vec![test(&["{input: {save_cookie: true}}", "{input: {follow_redirect: true}}"])], None);
        assert_eq!(sent[1], "GET /next?x HTTP/1.1\r\nCookie: a=b\r\nConnection: close\r\n\r\n");
    }

    #[test]
    fn the_selection_is_by_rule_and_test() {
        assert_eq!(go(vec![test(&["{}"])], Some("^9-3$")).0.len(), 1);
        assert_eq!(go(vec![test(&["{}"])], Some("^9-4$")).0.len(), 0);
    }

    #[test]
    fn a_test_that_cannot_be_built_fails() {
        let (results, sent) = go(vec![test(&["{input: {data: '{{x}}'}}"])], None);
        assert_eq!((results[0].faults.len(), sent.len()), (1, 0));
    }
}
