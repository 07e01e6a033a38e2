//! The result, for people and for machines.

use super::record::Flaw;
use super::tally::{Changed, Tally};
use serde_json::{Value, json};
use std::fmt::Write;

/// For people.
pub(super) fn text(tally: &Tally, most: usize) -> String {
    let mut out = String::new();
    let all = tally.replayed;
    let share = |n: u64| if all == 0 { 0.0 } else { n as f64 / all as f64 * 100.0 };
    // Infallible here and below: the target is a string.
    let _ = writeln!(out, "replayed            {all:>10}");
    let _ = writeln!(out, "  exactly           {:>10}", tally.exact);
    for ((_, _, about), count) in Flaw::ALL.iter().zip(tally.flaws).filter(|(_, count)| *count > 0) {
        let _ = writeln!(out, "  not exactly       {count:>10}  {about}");
    }
    let _ = writeln!(out, "  with a response   {:>10}", tally.with_response);
    for (count, about) in [
        (tally.left_out, "left out, as they cannot be replayed exactly"),
        (tally.refused, "not replayed: they were refused before any rule, or are not HTTP"),
        (tally.without_site, "not replayed: no site of the configuration serves them"),
        (tally.unreadable, "unreadable"),
    ] {
        if count > 0 {
            let _ = writeln!(out, "{about}: {count}");
        }
    }
    let inexact = |changed: Changed| match changed.inexact {
        0 => String::new(),
        n => format!(", {n} of them not replayed exactly"),
    };
    let _ = writeln!(
        out,
        "\nblocked             {:>10}  before\n                    {:>10}  after",
        tally.blocked_before, tally.blocked_after
    );
    for (name, changed) in [("newly blocked", tally.newly_blocked), ("no longer blocked", tally.newly_passed)]
    {
        let n = changed.all;
        let _ = writeln!(out, "{name:<19} {n:>10}  {:.3} %{}", share(n), inexact(changed));
    }
    let _ = writeln!(
        out,
        "scores moved        {:>10}  up\n                    {:>10}  down",
        tally.scores_up, tally.scores_down
    );
    let rules = tally.ranked_rules(most);
    if !rules.is_empty() {
        let _ = writeln!(
            out,
            "\n{:>10}  {:>10}  {:>10}  {:>10}  rule",
            "blocks", "passes", "matches", "no match"
        );
        for (id, t) in rules {
            let _ = writeln!(
                out,
                "{:>10}  {:>10}  {:>10}  {:>10}  {id}",
                t.newly_blocked, t.newly_passed, t.added, t.removed
            );
        }
    }
    let paths = tally.ranked_paths(most);
    if !paths.is_empty() {
        let _ = writeln!(out, "\n{:>10}  {:>10}  {:>10}  path", "blocks", "passes", "moved");
        for (path, t) in paths {
            let _ = writeln!(out, "{:>10}  {:>10}  {:>10}  {path}", t.newly_blocked, t.newly_passed, t.moved);
        }
    }
    if !tally.examples.is_empty() {
        let _ = writeln!(out, "\nfor example");
        for example in tally.examples.values().take(most) {
            let rules: Vec<String> = example.rules.iter().map(u64::to_string).collect();
            let exact = if example.is_exact { "" } else { " (not exactly)" };
            let _ = writeln!(
                out,
                "  {:<13}  {} {} {}  rules {}{exact}",
                example.difference.name(),
                example.id,
                example.method,
                example.path,
                rules.join(", ")
            );
        }
    }
    out
}

/// For machines.
pub(super) fn to_json(tally: &Tally, most: usize) -> Value {
    let changed = |c: Changed| json!({"requests": c.all, "inexact": c.inexact});
    let flaws: serde_json::Map<String, Value> =
        Flaw::ALL.iter().zip(tally.flaws).map(|((_, name, _), n)| ((*name).to_owned(), json!(n))).collect();
    let rule = |(id, t): (u64, super::tally::RuleTally)| {
        json!({
            "id": id, "newly_blocked": t.newly_blocked, "newly_passed": t.newly_passed,
            "added": t.added, "removed": t.removed,
        })
    };
    let path = |(path, t): (&str, super::tally::PathTally)| json!({"path": path, "newly_blocked": t.newly_blocked, "newly_passed": t.newly_passed, "moved": t.moved});
    let example = |e: &super::tally::Example| {
        json!({
            "verdict": e.difference.name(), "id": e.id, "method": e.method, "path": e.path, "rules": e.rules,
            "exact": e.is_exact,
        })
    };
    json!({
        "replayed": tally.replayed,
        "exact": tally.exact,
        "inexact": flaws,
        "with_response": tally.with_response,
        "left_out": tally.left_out,
        "refused": tally.refused,
        "without_site": tally.without_site,
        "unreadable": tally.unreadable,
        "blocked": {"before": tally.blocked_before, "after": tally.blocked_after},
        "newly_blocked": changed(tally.newly_blocked),
        "newly_passed": changed(tally.newly_passed),
        "new_blocks": tally.new_blocks(),
        "scores": {"up": tally.scores_up, "down": tally.scores_down},
        "rules": tally.ranked_rules(most).into_iter().map(rule).collect::<Vec<_>>(),
        "paths": tally.ranked_paths(most).into_iter().map(path).collect::<Vec<_>>(),
        "examples": tally.examples.values().take(most).map(example).collect::<Vec<_>>(),
    })
}
