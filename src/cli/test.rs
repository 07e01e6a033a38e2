//! `portcullis test`: runs go-ftw test files.

use super::console::{complain, say};
use super::ftw::{self, Albedo, AuditFile, CaseResult, Feed, InProcess, Live, LogSource, Selection, Summary};
use super::{TestArgs, rules};
use crate::compile::Loaded;
use crate::engine::NoWorld;
use crate::ruleset::{Mode, Ruleset};
use crate::syntax::yaml;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

/// Runs the tests and tells the results. `false` when something failed.
pub(super) fn test(args: &TestArgs) -> bool {
    match results(args) {
        Ok(results) => tell(args, &Summary::new(results)),
        Err(message) => {
            complain(&message);
            false
        }
    }
}

/// Runs everything that was asked for.
fn results(args: &TestArgs) -> Result<Vec<CaseResult>, String> {
    let errors =
        |errors: Vec<ftw::LoadError>| errors.iter().map(|e| format!("error: {e}\n")).collect::<String>();
    let (native, files) = ftw::files(&args.paths)
        .map_err(errors)?
        .into_iter()
        .partition::<Vec<_>, _>(|path| std::fs::read_to_string(path).is_ok_and(|text| yaml::is_rules(&text)));
    let files = ftw::load(&files).map_err(errors)?;
    let selection = Selection { include: args.filter.clone() };
    if let (Some(url), Some(log)) = (&args.url, &args.audit_log) {
        let address = resolve(url).map_err(|e| format!("error: --url {url}: {e}\n"))?;
        let _backend = match args.backend {
            None => None,
            Some(address) => {
                Some(Albedo::start(address).map_err(|e| format!("error: --backend {address}: {e}\n"))?)
            }
        };
        let live = Live::new(address, LogSource::File(AuditFile::new(log)), 1);
        return Ok(ftw::run(&live, &files, &selection));
    }

    let mut results = Vec::new();
    // The tests of a rule file are about its own rules, whatever else there is.
    for path in &native {
        results.extend(own_tests(&[path.display().to_string()], args, &selection)?);
    }
    if !args.rules.is_empty() {
        results.extend(own_tests(&args.rules, args, &selection)?);
    }
    if files.is_empty() {
        return Ok(results);
    }
    let loaded = rules::load(&args.rules);
    let ruleset = loaded.ruleset.clone().ok_or_else(|| unusable(&loaded))?;
    let mut engine = engine(ruleset, args);
    engine.mode = args.mode.map(Mode::from);
    engine.parallel = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    results.extend(ftw::run(&engine, &files, &selection));
    Ok(results)
}

/// Runs the tests that the rules in `files` bring along.
fn own_tests(files: &[String], args: &TestArgs, selection: &Selection) -> Result<Vec<CaseResult>, String> {
    let loaded = rules::load_to_test(files);
    let Some(ruleset) = loaded.ruleset.clone() else { return Err(unusable(&loaded)) };
    if !loaded.diagnostics.is_empty() {
        complain(&rules::rendered(&loaded));
    }
    let mut engine = engine(ruleset, args);
    // Where a rule blocks, later ones are not asked.
    engine.mode = Some(Mode::DetectionOnly);
    Ok(ftw::run_native(&engine, &loaded, selection))
}

fn engine(ruleset: Arc<Ruleset>, args: &TestArgs) -> InProcess {
    let mut engine = InProcess::new(ruleset, Arc::new(NoWorld));
    engine.feed = if args.bytewise { Feed::Bytes } else { Feed::Whole };
    engine
}

fn unusable(loaded: &Loaded) -> String {
    format!("{}error: the rules cannot be used\n", rules::rendered(loaded))
}

/// Tells the results in the ways that were asked for.
fn tell(args: &TestArgs, summary: &Summary) -> bool {
    if let Some(path) = &args.junit
        && let Err(error) = std::fs::write(path, summary.junit())
    {
        complain(&format!("error: {}: {error}\n", path.display()));
        return false;
    }
    if args.json {
        say(&format!("{}\n", summary.json()));
    } else {
        say(&summary.table());
    }
    if summary.total() == 0 {
        complain("error: no test was selected\n");
    }
    summary.total() > 0 && summary.failures().next().is_none()
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
