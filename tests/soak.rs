//! A short soak: all traffic and all troubles of `benches/soak`, for seconds. Its own bounds of memory are for hours: here
//! caches are still being filled.

#![cfg(all(feature = "server", target_os = "linux"))]

#[path = "../benches/soak/run/mod.rs"]
#[allow(dead_code, reason = "the long one uses more of it")]
mod run;
mod support;

use run::{Plan, Rules};
use std::time::Duration;

#[test]
fn seconds_of_everything_at_once_give_no_wrong_answer() {
    let plan = Plan { growth: 50.0, rules: Rules::Few, ..Plan::of(Duration::from_secs(15)) };
    let Some(outcome) = run::run(&plan) else { return };
    assert!(outcome.faults().is_empty(), "{outcome}");
    for kind in
        ["on kept connections", "over HTTP/2", "attacks", "WebSockets", "event streams", "broken upstreams"]
    {
        assert!(outcome.asked(kind) > 5, "{kind}: {outcome}");
    }
    let done = outcome.done();
    let troubles = [done.redis, done.disk, done.sink, done.upstream, done.certificates];
    assert!(troubles.iter().all(|times| *times > 0), "{outcome}");
    assert!(outcome.reloads() > 5 && done.collected > 0, "{outcome}");
}
