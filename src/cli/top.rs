//! `portcullis top`: the dearest rules of a running instance.

use super::console::{complain, say};
use super::remote::{Remote, RemoteArgs};
use clap::Args;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

/// `portcullis top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// How many rules.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub rules: usize,
    /// Look again every so many seconds, and tell what came since [default: 2].
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub watch: Option<u64>,
    /// The running instance.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// As JSON, for machines; with --watch one object a line.
    #[arg(long)]
    pub json: bool,
}

pub(super) const HELP: &str = "\
What rules cost is measured in one request of `metrics.rule_cost_sample`, a thousand unless the configuration says
otherwise. `sieve` is the time it takes to find out which rules need not be evaluated at all; it is nobody's in
particular. A rule's time is that from gathering its values to the end of its actions. Bodies are parsed before it, and
how long that takes is in portcullis_inspection_seconds.

Environment:
  PORTCULLIS_ADMIN        the admin listener's address
  PORTCULLIS_ADMIN_TOKEN  its token, if it has one
  PORTCULLIS_CONFIG       the configuration, for both

Examples:
  portcullis top
  portcullis top --watch
  portcullis top -n 50 --json --admin 10.0.0.7:9180

Exit codes:
  0  told
  1  the instance cannot be asked
  2  the command line itself is wrong";

/// Tells, once or again and again. `false` when the instance cannot be asked.
pub(super) fn top(args: &TopArgs) -> bool {
    match tell(args) {
        Ok(()) => true,
        Err(error) => {
            complain(&format!("error: {error}\n"));
            false
        }
    }
}

fn tell(args: &TopArgs) -> Result<(), String> {
    let remote = Remote::new(&args.remote)?;
    let Some(interval) = args.watch else {
        let all = look(&remote, args.rules)?;
        show(&all, args);
        return Ok(());
    };
    // What came in between can be about any rule.
    let mut before = look(&remote, usize::MAX)?;
    show(&cut(before.clone(), args.rules), args);
    loop {
        std::thread::sleep(Duration::from_secs(interval));
        let now = look(&remote, usize::MAX)?;
        show(&cut(between(&before, &now), args.rules), args);
        before = now;
    }
}

fn look(remote: &Remote, most: usize) -> Result<Value, String> {
    let (status, said) = remote.ask("GET", &format!("/api/costs?most={most}"))?;
    if status == 200 { Ok(said) } else { Err(format!("the instance answers {status}")) }
}

/// What was measured after `before` and up to `now`. An instance that was started anew is told of as it is.
fn between(before: &Value, now: &Value) -> Value {
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    if number(&now["requests"]) < number(&before["requests"]) {
        return now.clone();
    }
    let old: HashMap<u64, &Value> =
        list(before).filter_map(|rule| Some((rule["id"].as_u64()?, rule))).collect();
    let mut out = now.clone();
    for key in ["requests", "rule_seconds", "sieve_seconds"] {
        out[key] = difference(&before[key], &now[key]);
    }
    let mut rules: Vec<Value> = Vec::new();
    for rule in list(now) {
        let mut rule = rule.clone();
        if let Some(old) = rule["id"].as_u64().and_then(|id| old.get(&id)) {
            for key in ["seconds", "evaluations"] {
                rule[key] = difference(&old[key], &rule[key]);
            }
        }
        if rule["evaluations"].as_u64().unwrap_or(0) > 0 {
            rules.push(rule);
        }
    }
    rules.sort_by(|a, b| number(&b["seconds"]).total_cmp(&number(&a["seconds"])));
    out["rules"] = json!(rules);
    out
}

fn difference(before: &Value, now: &Value) -> Value {
    match (before.as_u64(), now.as_u64()) {
        (Some(before), Some(now)) => json!(now.saturating_sub(before)),
        _ => json!((now.as_f64().unwrap_or(0.0) - before.as_f64().unwrap_or(0.0)).max(0.0)),
    }
}

fn cut(mut all: Value, most: usize) -> Value {
    if let Some(rules) = all["rules"].as_array_mut() {
        rules.truncate(most);
    }
    all
}

fn list(all: &Value) -> impl Iterator<Item = &Value> {
    all["rules"].as_array().into_iter().flatten()
}

fn show(all: &Value, args: &TopArgs) {
    if args.json {
        say(&format!("{all}\n"));
        return;
    }
    // From the top left corner, and nothing left of what stood there.
    let clear =
        if args.watch.is_some() && std::io::stdout().is_terminal() { "\u{1b}[H\u{1b}[2J" } else { "" };
    say(&format!("{clear}{}", table(all)));
}

/// The table for people.
fn table(all: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let (requests, sample) = (number(&all["requests"]), all["sample"].as_u64().unwrap_or(0));
    if requests == 0.0 {
        return match sample {
            0 => "the cost of rules is not measured: metrics.rule_cost_sample is 0\n".to_owned(),
            n => format!("no request has been measured; one of {n} is\n"),
        };
    }
    let (rules, sieve) = (number(&all["rule_seconds"]), number(&all["sieve_seconds"]));
    let total = rules + sieve;
    let micros = |seconds: f64| seconds * 1e6;
    let mut out = format!(
        "{requests} requests measured, one of {sample}; {:.1} µs in rules each, {:.1} µs of it in the sieve\n\n\
         {:>9}  {:>6}  {:>10}  {:>8}  {:>8}  {:>9}  message\n",
        micros(total / requests),
        micros(sieve / requests),
        "rule",
        "share",
        "µs/request",
        "µs each",
        "longest",
        "evaluated"
    );
    for rule in list(all) {
        let (seconds, evaluations) = (number(&rule["seconds"]), number(&rule["evaluations"]));
        let message: String = rule["message"].as_str().unwrap_or_default().chars().take(60).collect();
        let message = message.replace(char::is_control, " ");
        // Infallible: the target is a string.
        let _ = writeln!(
            out,
            "{:>9}  {:>5.1}%  {:>10.2}  {:>8.2}  {:>8.1}  {:>8.1}%  {message}",
            rule["id"].to_string(),
            if total > 0.0 { seconds / total * 100.0 } else { 0.0 },
            micros(seconds / requests),
            micros(if evaluations > 0.0 { seconds / evaluations } else { 0.0 }),
            micros(number(&rule["longest_seconds"])),
            evaluations / requests * 100.0,
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: u64, seconds: f64, evaluations: u64) -> Value {
        json!({"id": id, "seconds": seconds, "evaluations": evaluations, "longest_seconds": 0.5, "message": "m\u{1b}[2J"})
    }

    fn look(requests: u64, rules: Vec<Value>) -> Value {
        json!({"sample": 10, "requests": requests, "rule_seconds": 3.0, "sieve_seconds": 1.0, "rules": rules})
    }

    #[test]
    fn what_came_between_two_looks_is_their_difference() {
        let before = look(10, vec![rule(1, 2.0, 10), rule(2, 1.0, 10)]);
        let now = look(14, vec![rule(1, 2.5, 12), rule(2, 1.0, 10), rule(3, 1.0, 4)]);
        let found = between(&before, &now);
        assert_eq!(found["requests"], 4);
        let ids: Vec<u64> = list(&found).filter_map(|r| r["id"].as_u64()).collect();
        assert_eq!(ids, [3, 1]);
        assert_eq!(
            (&found["rules"][1]["seconds"], &found["rules"][1]["evaluations"]),
            (&json!(0.5), &json!(2))
        );
        assert_eq!(between(&now, &before), before);
        assert_eq!(list(&cut(found, 1)).count(), 1);
    }

    #[test]
    fn the_table_is_plain_text() {
        let text = table(&look(2, vec![rule(942_100, 2.0, 1)]));
        assert!(
            text.starts_with("2 requests measured, one of 10; 2000000.0 µs in rules each, 500000.0 µs of it")
        );
        assert!(
            text.contains("   942100   50.0%  1000000.00  2000000.00  500000.0      50.0%  m [2J"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'));
        assert!(table(&json!({"sample": 0})).contains("not measured"));
    }
}
