//! Waiting for what happens by itself.

use std::time::{Duration, Instant};

/// Waits until it holds, for as long as a busy machine may take.
pub fn eventually(what: &str, holds: impl FnMut() -> bool) {
    within(Duration::from_secs(20), what, holds);
}

/// Waits until it holds, `time` at the most.
pub fn within(time: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < time, "{what} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}
