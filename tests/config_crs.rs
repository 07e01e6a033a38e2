//! The example for OWASP CRS is one that works: it loads CRS as released, whole and without a warning.

#![cfg(all(feature = "server", unix))]

use portcullis::config::{Overrides, posture};
use portcullis::reload::{Origin, file_loader, load};
use portcullis::syntax::diagnostic::Severity;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

#[test]
fn the_crs_example_loads_crs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crs =
        std::env::var_os("PORTCULLIS_CRS_DIR").map_or_else(|| root.join("../shared/crs"), PathBuf::from);
    let Ok(crs) = crs.canonicalize() else {
        assert!(std::env::var_os("PORTCULLIS_REQUIRE_CRS").is_none(), "no CRS at {}", crs.display());
        // Past the test runner, which keeps what a passing test prints to itself.
        let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: no CRS at {} ***\n", crs.display());
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("crs")).expect("created");
    for folder in ["rules", "plugins"] {
        symlink(crs.join(folder), at("crs").join(folder)).expect("linked");
    }
    fs::copy(crs.join("crs-setup.conf.example"), at("crs/crs-setup.conf")).expect("copied");
    fs::copy(root.join("config/portcullis-crs.yaml"), at("portcullis.yaml")).expect("copied");

    let origin = Origin { path: Some(at("portcullis.yaml")), overrides: Overrides::default() };
    let loaded = load(&origin, 1, &file_loader());
    let told = loaded.render(false);
    assert!(loaded.generation.is_some(), "{told}");
    assert_eq!((loaded.count(Severity::Error), loaded.count(Severity::Warning)), (0, 0), "{told}");
    let site = &loaded.postures[0];
    assert!(site.posture.rules > 500, "{} rules", site.posture.rules);
    assert_eq!(site.posture.inbound_blocking, Some(949_110));
    assert_eq!(posture::alarms(&site.posture, site.mode), Vec::<String>::new());
}
