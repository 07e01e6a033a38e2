//! `portcullis test`: runs go-ftw test files.

use super::console::{complain, say};
use super::ftw::{self, AuditFile, Feed, InProcess, Live, LogSource, Selection, Summary, Target};
use super::{TestArgs, rules};
use crate::engine::NoWorld;
use crate::ruleset::Mode;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

/// Runs the tests and tells the results. `false` when something failed.
pub(super) fn test(args: &TestArgs) -> bool {
    let files = match ftw::load(&args.paths) {
        Ok(files) => files,
        Err(errors) => {
            errors.iter().for_each(|e| complain(&format!("error: {e}\n")));
            return false;
        }
    };
    let Some(target) = target(args) else { return false };
    let selection = Selection { include: args.filter.clone() };
    let summary = Summary::new(ftw::run(target.as_ref(), &files, &selection));
    if let Some(path) = &args.junit
        && let Err(error) = std::fs::write(path, summary.junit())
    {
        complain(&format!("error: {}: {error}\n", path.display()));
        return false;
    }
    if args.json {
        say(&format!("{}\n", summary.json()))
    } else {
        say(&summary.table())
    }
    if summary.total() == 0 {
        complain("error: no test was selected\n");
    }
    summary.total() > 0 && summary.failures().next().is_none()
}

/// What answers; none when it cannot be made, which has then been said.
fn target(args: &TestArgs) -> Option<Box<dyn Target>> {
    if let (Some(url), Some(log)) = (&args.url, &args.audit_log) {
        return match resolve(url) {
            Ok(address) => Some(Box::new(Live::new(address, LogSource::File(AuditFile::new(log)), 1))),
            Err(error) => {
                complain(&format!("error: --url {url}: {error}\n"));
                None
            }
        };
    }
    let loaded = rules::load(&args.rules);
    if !loaded.diagnostics.is_empty() {
        complain(&rules::rendered(&loaded));
    }
    let mut engine = InProcess::new(loaded.ruleset?, Arc::new(NoWorld));
    engine.mode = args.mode.map(Mode::from);
    engine.feed = if args.bytewise { Feed::Bytes } else { Feed::Whole };
    engine.parallel = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    Some(Box::new(engine))
}

/// The address behind `http://HOST:PORT/`.
fn resolve(url: &str) -> Result<SocketAddr, String> {
    let rest = url.strip_prefix("http://").ok_or("only http:// is spoken here")?;
    let authority = rest.split('/').next().unwrap_or_default();
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    let mut addresses = authority.to_socket_addrs().map_err(|e| e.to_string())?;
    addresses.next().ok_or_else(|| "the name has no address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_an_address() {
        assert_eq!(resolve("http://127.0.0.1:81/x").unwrap().to_string(), "127.0.0.1:81");
        assert_eq!(resolve("http://127.0.0.1").unwrap().port(), 80);
        assert_eq!(resolve("http://[::1]:82").unwrap().port(), 82);
        assert!(resolve("https://127.0.0.1").is_err());
    }
}
