//! Portcullis against libmodsecurity 3.0.9: the same rules and the same bytes to both, and each difference listed with
//! its reason in `differential/deviations.yaml`. The page `docs/reference/differences.md` is written from that list.
//!
//! Needs Debian's `libmodsecurity-dev` and a C++ compiler; skipped, loudly, where they are missing.

#[path = "differential/deviations.rs"]
mod deviations;
#[path = "differential/engines.rs"]
mod engines;
#[path = "differential/functions.rs"]
mod functions;
#[path = "differential/inputs.rs"]
mod inputs;
#[path = "differential/page.rs"]
mod page;
#[path = "differential/text.rs"]
mod text;
#[path = "differential/transactions.rs"]
mod transactions;

use deviations::Deviations;
use engines::Theirs;
use std::io::Write as _;

#[test]
fn transformations() {
    let Some(mut theirs) = theirs() else { return };
    let faults = functions::transformations(&mut theirs, &Deviations::read());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn operators() {
    let Some(mut theirs) = theirs() else { return };
    let faults = functions::operators(&mut theirs, &Deviations::read());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn transactions() {
    let Some(mut theirs) = theirs() else { return };
    let faults = transactions::transactions(&mut theirs, &Deviations::read());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// The other engine, or `None` where it is not installed.
fn theirs() -> Option<Theirs> {
    match Theirs::start() {
        Ok(theirs) => Some(theirs),
        Err(why) => {
            assert!(std::env::var_os("PORTCULLIS_REQUIRE_CRS").is_none(), "{why}");
            // Past the test runner, which keeps what a passing test prints to itself.
            let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: comparison with libmodsecurity: {why} ***\n");
            None
        }
    }
}

/// The page is written from the list, with or without the other engine.
#[test]
fn the_page_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/differences.md");
    let page = page::page(&Deviations::read());
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        std::fs::write(&path, page).expect("the page can be written");
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference/differences.md is stale: PORTCULLIS_BLESS=1 cargo test --test differential"
    );
}
