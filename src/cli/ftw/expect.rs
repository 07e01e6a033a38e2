//! Judging an answer and the log by what a test expects.

use super::log::{Seen, brief};
use super::{Output, StageResult};
use regex::bytes::Regex;

impl Output {
    /// Whether judging needs the log at all.
    pub fn needs_log(&self) -> bool {
        let log = &self.log;
        self.isolated
            || [&self.log_contains, &self.no_log_contains, &log.match_regex, &log.no_match_regex]
                .iter()
                .any(|r| r.as_deref().is_some_and(|r| !r.is_empty()))
            || !(log.expect_ids.is_empty() && log.no_expect_ids.is_empty())
    }

    /// Everything in which `result` is not what is expected; empty when the stage passes.
    pub(super) fn faults(&self, result: &StageResult) -> Vec<String> {
        match (&result.answer, self.expect_error) {
            (Ok(answer), Some(true)) => {
                return vec![format!("expected no HTTP answer, but status {} came", answer.status)];
            }
            (Err(_), Some(true)) => return Vec::new(),
            (Err(error), _) => return vec![format!("no answer: {error}")],
            (Ok(_), _) => {}
        }
        let mut faults = Vec::new();
        if let Ok(answer) = &result.answer {
            if !self.status.is_empty() && !self.status.contains(&answer.status) {
                faults.push(format!("expected status {}, got {}", list(&self.status), answer.status));
            }
            if let Some(pattern) = given(&self.response_contains) {
                match Regex::new(pattern) {
                    Ok(regex) if regex.is_match(&answer.raw) => {}
                    Ok(_) => faults.push(format!("the answer does not match `{pattern}`")),
                    Err(e) => faults.push(format!("`response_contains`: {e}")),
                }
            }
        }
        if self.needs_log() {
            match &result.log {
                Ok(seen) => self.log_faults(seen, &mut faults),
                Err(error) => faults.push(format!("no log: {error}")),
            }
        }
        faults
    }

    fn log_faults(&self, seen: &[Seen], faults: &mut Vec<String>) {
        let is_seen = |id: &u64| seen.iter().any(|s| s.id == *id);
        let missing: Vec<u64> = self.log.expect_ids.iter().copied().filter(|id| !is_seen(id)).collect();
        if !missing.is_empty() {
            faults.push(format!("expected rule {} in the log, which has {}", list(&missing), brief(seen)));
        }
        let unwanted: Vec<u64> = self.log.no_expect_ids.iter().copied().filter(is_seen).collect();
        if !unwanted.is_empty() {
            faults.push(format!("rule {} must not be in the log", list(&unwanted)));
        }
        if self.isolated && seen.iter().any(|s| !self.log.expect_ids.contains(&s.id)) {
            faults.push(format!(
                "expected rule {} alone, the log has {}",
                list(&self.log.expect_ids),
                brief(seen)
            ));
        }
        let wanted = [given(&self.log.match_regex), given(&self.log_contains)];
        let refused = [given(&self.log.no_match_regex), given(&self.no_log_contains)];
        let patterns = wanted.into_iter().flatten().map(|p| (p, true));
        for (pattern, expected) in patterns.chain(refused.into_iter().flatten().map(|p| (p, false))) {
            let regex = match Regex::new(pattern) {
                Ok(regex) => regex,
                Err(e) => {
                    faults.push(format!("expectation of the log: {e}"));
                    continue;
                }
            };
            match (seen.iter().find(|s| regex.is_match(s.line.as_bytes())), expected) {
                (None, true) => {
                    faults.push(format!("no line of the log matches `{pattern}`; it has {}", brief(seen)));
                }
                (Some(s), false) => faults.push(format!("a line of rule {} matches `{pattern}`", s.id)),
                _ => {}
            }
        }
    }
}

fn given(pattern: &Option<String>) -> Option<&str> {
    pattern.as_deref().filter(|p| !p.is_empty())
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ftw::Answer;

    fn result(status: u16, ids: &[u64]) -> StageResult {
        let answer = Answer { status, raw: b"HTTP/1.1 200 OK\r\n\r\nhello".to_vec(), ..Answer::default() };
        let seen = ids.iter().map(|id| Seen { id: *id, line: format!("[id \"{id}\"] [data \"d\"]") });
        StageResult { answer: Ok(answer), log: Ok(seen.collect()) }
    }

    fn faults(yaml: &str, result: &StageResult) -> usize {
        serde_yaml::from_str::<Output>(yaml).unwrap().faults(result).len()
    }

    #[test]
    fn each_expectation_can_pass_and_fail() {
        let ok = result(200, &[1, 2]);
        for (yaml, expected) in [
            ("{}", 0),
            ("{status: 200}", 0),
            ("{status: [403, 200]}", 0),
            ("{status: 403}", 1),
            ("{response_contains: 'h.llo'}", 0),
            ("{response_contains: 'bye'}", 1),
            ("{log: {expect_ids: [2, 1]}}", 0),
            ("{log: {expect_ids: [1, 3]}}", 1),
            ("{log: {no_expect_ids: [3]}}", 0),
            ("{log: {no_expect_ids: [1]}}", 1),
            (r#"{log: {match_regex: 'id "2".*"d"'}}"#, 0),
            ("{log: {match_regex: 'x'}}", 1),
            ("{log: {no_match_regex: 'x'}}", 0),
            ("{log: {no_match_regex: 'id'}}", 1),
            ("{log: {match_regex: '('}}", 1),
            ("{log_contains: 'id \"2\"'}", 0),
            ("{log_contains: 'id \"3\"'}", 1),
            ("{no_log_contains: 'id \"3\"'}", 0),
            ("{no_log_contains: 'id \"2\"'}", 1),
            ("{isolated: true, log: {expect_ids: [1]}}", 1),
            ("{isolated: true, log: {expect_ids: [1, 2]}}", 0),
            ("{expect_error: true}", 1),
            ("{expect_error: false}", 0),
            ("{status: 403, log: {expect_ids: [9], no_expect_ids: [1]}}", 3),
        ] {
            assert_eq!(faults(yaml, &ok), expected, "{yaml}");
        }
    }

    #[test]
    fn without_an_answer_or_a_log_nothing_passes_by_itself() {
        let refused = StageResult { answer: Err("closed".into()), log: Err("none".into()) };
        assert_eq!(faults("{expect_error: true}", &refused), 0);
        assert_eq!(faults("{log: {no_expect_ids: [1]}}", &refused), 1);
        let silent = StageResult { log: Err("none".into()), ..result(200, &[]) };
        assert_eq!(faults("{status: 200}", &silent), 0);
        assert_eq!(faults("{status: 200, log: {no_expect_ids: [1]}}", &silent), 1);
    }
}
