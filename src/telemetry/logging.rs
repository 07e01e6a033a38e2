//! The server's own log: what happens to the process, never what clients send.

use crate::config::{Log, LogFormat};
use std::io;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt};

/// Changes the log's filter while the process runs.
#[derive(Clone)]
pub struct Logging(reload::Handle<Targets, Registry>);

/// Sends the process' log to standard error from now on. Call it once.
///
/// # Errors
///
/// When something else has taken the process' log already.
pub fn init(log: &Log) -> io::Result<Logging> {
    let (filter, handle) = reload::Layer::new(targets(log));
    let base = tracing_subscriber::registry().with(filter);
    let result = match log.format {
        LogFormat::Text => base.with(fmt::layer().with_writer(io::stderr).with_target(true)).try_init(),
        LogFormat::Json => {
            base.with(fmt::layer().json().flatten_event(true).with_writer(io::stderr)).try_init()
        }
    };
    result.map_err(io::Error::other)?;
    Ok(Logging(handle))
}

impl Logging {
    /// Goes on with another filter. The format stays as it was at the start.
    pub fn apply(&self, log: &Log) {
        if self.0.reload(targets(log)).is_err() {
            tracing::warn!("the log's filter could not be changed");
        }
    }
}

/// A bare level holds for Portcullis; libraries speak from `warn` on, since some of them quote requests.
fn targets(log: &Log) -> Targets {
    let parsed: Targets =
        log.filter.parse().unwrap_or_else(|_| Targets::new().with_default(tracing::Level::INFO));
    match (parsed.iter().next(), parsed.default_level()) {
        (None, Some(level)) => Targets::new()
            .with_default(level.min(tracing::level_filters::LevelFilter::WARN))
            .with_target("portcullis", level),
        _ => parsed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn a_bare_level_is_for_portcullis() {
        let enables = |filter: &str, target: &str, level: Level| {
            let log = Log { filter: filter.to_owned(), format: LogFormat::Text };
            targets(&log).would_enable(target, &level)
        };
        assert!(enables("debug", "portcullis::proxy", Level::DEBUG));
        assert!(!enables("debug", "pingora_core", Level::INFO));
        assert!(enables("debug", "pingora_core", Level::WARN));
        assert!(!enables("error", "pingora_core", Level::WARN));
        assert!(enables("info,pingora_core=debug", "pingora_core", Level::DEBUG));
    }
}
