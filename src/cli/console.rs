//! Standard output and standard error. A reader that went away (`portcullis check | head`) is no error.

use std::io::{self, IsTerminal, Write};

/// Writes `text` to standard output.
pub(super) fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes `text` to standard error.
pub(super) fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Says what came of a command, or complains that nothing did: diagnostics as they are, a sentence as an error. Returns whether
/// something did.
pub(super) fn tell(outcome: Result<String, String>) -> bool {
    match outcome {
        Ok(text) => {
            say(&text);
            true
        }
        Err(message) => {
            complain(&if message.ends_with('\n') { message } else { format!("error: {message}\n") });
            false
        }
    }
}

/// Whether standard error may be coloured (<https://no-color.org>).
pub(super) fn colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}
