//! Telling what a ruleset amounts to, and shouting when it does not protect.

use crate::compile::Posture;
use crate::ruleset::Mode;
use crate::syntax::ast::Patch;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The posture for people, a few lines. `mode` overrides the ruleset's own.
pub fn describe(posture: &Posture, mode: Option<Mode>) -> String {
    let mut out = String::new();
    let levels: Vec<String> =
        posture.by_paranoia.iter().map(|(level, n)| format!("{n} at paranoia level {level}")).collect();
    let levels = if levels.is_empty() { String::new() } else { format!(" ({})", levels.join(", ")) };
    let [one, two, three, four, five] = posture.by_phase;
    let number = |n: Option<i64>| n.map_or_else(|| "not set".to_owned(), |n| n.to_string());
    let rule = |id: Option<u64>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
    let switch = |on: bool| if on { "inspected" } else { "not inspected" };
    // Infallible here and below: the target is a string.
    let _ = writeln!(out, "mode        {}", mode.or(posture.mode).map_or("not set (On)", name));
    let _ = writeln!(out, "rules       {} active{levels}", posture.rules);
    let _ = writeln!(out, "phases      {one} / {two} / {three} / {four} / {five}");
    let _ = writeln!(
        out,
        "bodies      requests {}, responses {}",
        switch(posture.request_body),
        switch(posture.response_body)
    );
    if posture.scores {
        let _ = writeln!(
            out,
            "scoring     inbound threshold {} (rule {}), outbound threshold {} (rule {})",
            number(posture.inbound_threshold),
            rule(posture.inbound_blocking),
            number(posture.outbound_threshold),
            rule(posture.outbound_blocking)
        );
    }
    if posture.blocking_paranoia.is_some() || posture.detection_paranoia.is_some() {
        let _ = writeln!(
            out,
            "paranoia    blocking {}, detection {}",
            number(posture.blocking_paranoia),
            number(posture.detection_paranoia)
        );
    }
    for (what, ids) in
        [("removed", &posture.removed), ("changed", &posture.updated), ("backtrack", &posture.backtracking)]
    {
        if !ids.is_empty() {
            let _ = writeln!(out, "{what:<11} {}", few(ids));
        }
    }
    if !posture.patches.is_empty() {
        let quiet = posture.patches.iter().filter(|patch| patch.detection_only).count();
        let quiet = if quiet == 0 { String::new() } else { format!(", {quiet} of them in DetectionOnly") };
        let _ = writeln!(out, "patches     {} virtual{quiet}", posture.patches.len());
    }
    if !posture.components.is_empty() {
        let _ = writeln!(out, "components  {}", posture.components.join(", "));
    }
    out
}

/// The reasons why this ruleset cannot, or will hardly, block; empty when all is well.
pub fn alarms(posture: &Posture, mode: Option<Mode>) -> Vec<String> {
    let mut out = Vec::new();
    let mut alarm = |text: String| out.push(text);
    match mode.or(posture.mode) {
        Some(Mode::Off) => alarm("the mode is Off: no rule is evaluated".into()),
        Some(Mode::DetectionOnly) => {
            alarm("the mode is DetectionOnly: matches are logged and nothing is blocked".into());
        }
        Some(Mode::On) | None => {}
    }
    if posture.rules == 0 {
        alarm("there are no rules".into());
    } else if posture.scores && posture.inbound_blocking.is_none() {
        alarm("rules add up an anomaly score, but the rule that blocks by it (949110) is missing".into());
    } else if posture.disruptive == 0 && posture.inbound_blocking.is_none() {
        alarm("no rule denies, drops or redirects".into());
    }
    if posture.scores && posture.response_body && posture.outbound_blocking.is_none() {
        alarm("responses are inspected, but the rule that blocks by their score (959100) is missing".into());
    }
    for (what, threshold, usual) in
        [("inbound", posture.inbound_threshold, 5), ("outbound", posture.outbound_threshold, 4)]
    {
        match threshold {
            Some(n) if n <= 0 => alarm(format!("the {what} threshold is {n}: every request reaches it")),
            Some(n) if n > ABSURD_THRESHOLD => {
                alarm(format!(
                    "the {what} threshold is {n}: hardly any attack reaches it (usual is {usual})"
                ));
            }
            _ => {}
        }
    }
    if !posture.request_body {
        alarm("request bodies are not inspected (SecRequestBodyAccess Off)".into());
    }
    out
}

fn patch_to_json(patch: &Patch) -> Value {
    json!({
        "name": patch.name,
        "cve": patch.cve,
        "product": patch.product,
        "owner": patch.owner,
        "review_by": patch.review_by.node.to_string(),
        "mode": if patch.detection_only { "DetectionOnly" } else { "On" },
    })
}

/// The posture for programs.
pub fn to_json(posture: &Posture, mode: Option<Mode>) -> Value {
    json!({
        "mode": mode.or(posture.mode).map(name),
        "rules": posture.rules,
        "rules_by_phase": posture.by_phase,
        "rules_by_paranoia": posture.by_paranoia.iter().map(|(k, v)| (k.to_string(), json!(v))).collect::<serde_json::Map<_, _>>(),
        "disruptive": posture.disruptive,
        "removed": posture.removed,
        "updated": posture.updated,
        "backtracking": posture.backtracking,
        "request_body": posture.request_body,
        "response_body": posture.response_body,
        "scores": posture.scores,
        "inbound": {"threshold": posture.inbound_threshold, "blocked_by": posture.inbound_blocking},
        "outbound": {"threshold": posture.outbound_threshold, "blocked_by": posture.outbound_blocking},
        "paranoia": {"blocking": posture.blocking_paranoia, "detection": posture.detection_paranoia},
        "components": posture.components,
        "patches": posture.patches.iter().map(patch_to_json).collect::<Vec<_>>(),
        "alarms": alarms(posture, mode),
    })
}

/// CRS's documentation calls 100 a threshold for the first days of a roll-out; beyond it nothing is blocked.
const ABSURD_THRESHOLD: i64 = 100;

fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::On => "On",
        Mode::DetectionOnly => "DetectionOnly",
        Mode::Off => "Off",
    }
}

/// Some ids, and how many more there are.
fn few(ids: &[u64]) -> String {
    const SHOWN: usize = 12;
    let shown = ids.iter().take(SHOWN).map(u64::to_string).collect::<Vec<_>>().join(", ");
    match ids.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Posture {
        Posture {
            rules: 10,
            disruptive: 2,
            mode: Some(Mode::On),
            request_body: true,
            response_body: true,
            scores: true,
            inbound_blocking: Some(949_110),
            outbound_blocking: Some(959_100),
            inbound_threshold: Some(5),
            outbound_threshold: Some(4),
            ..Posture::default()
        }
    }

    #[test]
    fn a_sound_ruleset_raises_no_alarm_and_each_fault_one() {
        assert_eq!(alarms(&sound(), None), Vec::<String>::new());
        for (posture, word) in [
            (Posture { mode: Some(Mode::Off), ..sound() }, "Off"),
            (Posture { mode: Some(Mode::DetectionOnly), ..sound() }, "DetectionOnly"),
            (Posture { rules: 0, ..sound() }, "no rules"),
            (Posture { inbound_blocking: None, ..sound() }, "949110"),
            (Posture { outbound_blocking: None, ..sound() }, "959100"),
            (Posture { scores: false, inbound_blocking: None, disruptive: 0, ..sound() }, "denies"),
            (Posture { inbound_threshold: Some(0), ..sound() }, "every request"),
            (Posture { outbound_threshold: Some(9_999), ..sound() }, "hardly any"),
            (Posture { request_body: false, ..sound() }, "not inspected"),
        ] {
            let found = alarms(&posture, None);
            assert!(found.len() == 1 && found[0].contains(word), "{word}: {found:?}");
        }
        assert_eq!(alarms(&sound(), Some(Mode::Off)).len(), 1);
        assert!(alarms(&Posture { mode: Some(Mode::Off), ..sound() }, Some(Mode::On)).is_empty());
    }

    #[test]
    fn long_lists_are_cut() {
        let mut posture = Posture { removed: (1..=20).collect(), ..sound() };
        posture.by_paranoia = [(1, 7), (2, 3)].into();
        let text = describe(&posture, None);
        assert!(text.contains("11, 12 and 8 more\n"), "{text}");
        assert!(text.contains("10 active (7 at paranoia level 1, 3 at paranoia level 2)"), "{text}");
        assert_eq!(to_json(&posture, None)["rules_by_paranoia"]["2"], 3);
    }
}
