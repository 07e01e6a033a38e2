//! What dependencies may be: their licences and where they come from, as `deny.toml` says. cargo-deny reads the same
//! file and looks up known vulnerabilities as well; this needs nothing but cargo.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

#[test]
fn licences_are_allowed() {
    let allowed = allowed();
    let mut faults = Vec::new();
    let mut needed = BTreeSet::new();
    for package in packages() {
        let name = format!("{} {}", text(&package, "name"), text(&package, "version"));
        match package["license"].as_str() {
            Some(expression) if permits(expression, &allowed, &mut needed) => {}
            Some(expression) => faults.push(format!("{name}: {expression}")),
            None => faults.push(format!("{name}: names no licence")),
        }
    }
    assert!(faults.is_empty(), "deny.toml does not allow:\n{}", faults.join("\n"));
    let unused: Vec<_> = allowed.difference(&needed).collect();
    assert!(unused.is_empty(), "deny.toml allows what nothing needs: {unused:?}");
}

#[test]
fn crates_come_from_the_public_registry() {
    let strange: Vec<String> = packages()
        .iter()
        .filter(|p| {
            !matches!(p["source"].as_str(), Some("registry+https://github.com/rust-lang/crates.io-index"))
        })
        .map(|p| text(p, "name"))
        .collect();
    assert_eq!(strange, ["portcullis"], "only the project itself has no registry");
}

#[test]
fn tls_is_rustls() {
    for package in packages() {
        let name = text(&package, "name");
        assert!(!matches!(name.as_str(), "openssl-sys" | "native-tls"), "{name} is banned by deny.toml");
    }
}

#[test]
fn expressions_are_understood() {
    let allowed: BTreeSet<String> = ["MIT", "ISC"].map(str::to_owned).into();
    let ok = |expression| permits(expression, &allowed, &mut BTreeSet::new());
    for good in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "MIT AND ISC", "MIT AND (GPL-2.0 OR ISC)", "(MIT)"] {
        assert!(ok(good), "{good}");
    }
    for bad in
        ["", "GPL-3.0", "MIT AND GPL-3.0", "GPL-3.0 OR MIT AND GPL-2.0", "MIT WITH X", "MIT OR", "(MIT"]
    {
        assert!(!ok(bad), "{bad}");
    }
}

/// The packages that are built for this machine, as cargo resolves them.
fn packages() -> Vec<Value> {
    let version = Command::new("rustc").arg("-vV").output().expect("rustc runs").stdout;
    let version = String::from_utf8(version).expect("UTF-8");
    let host = version.lines().find_map(|l| l.strip_prefix("host: ")).expect("rustc names its host");
    let output = Command::new(std::env::var_os("CARGO").expect("cargo runs its tests"))
        .args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages").clone();
    assert!(packages.len() > 100, "only {} packages", packages.len());
    packages
}

fn text(package: &Value, member: &str) -> String {
    package[member].as_str().unwrap_or_default().to_owned()
}

/// The list `allow` of `deny.toml`: one text a line, which is all of TOML that it uses.
fn allowed() -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    let file = std::fs::read_to_string(file).expect("deny.toml can be read");
    let list = file.split_once("\nallow = [").expect("deny.toml has a list").1;
    let list = list.split_once(']').expect("which ends").0;
    let allowed: BTreeSet<String> =
        list.split(',').map(|l| l.trim().trim_matches('"').to_owned()).filter(|l| !l.is_empty()).collect();
    assert!(allowed.contains("Apache-2.0"), "{allowed:?}");
    allowed
}

/// Whether an SPDX expression can be met with allowed licences alone. The old `/` is `OR`; `AND` binds tighter.
/// Notes in `needed` which were made use of: of alternatives, the first that will do.
fn permits(expression: &str, allowed: &BTreeSet<String>, needed: &mut BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { tokens: &tokens, allowed };
    match reader.either() {
        Some(Some(used)) if reader.tokens.is_empty() => {
            needed.extend(used);
            true
        }
        _ => false,
    }
}

struct Reader<'a> {
    tokens: &'a [&'a str],
    allowed: &'a BTreeSet<String>,
}

/// The licences which meet an expression, or `None` where nothing allowed does.
type Met = Option<Vec<String>>;

impl Reader<'_> {
    /// `None` is an expression that makes no sense.
    fn either(&mut self) -> Option<Met> {
        let mut met = self.both()?;
        while self.take("OR") {
            let other = self.both()?;
            met = met.or(other);
        }
        Some(met)
    }

    fn both(&mut self) -> Option<Met> {
        let mut met = self.one()?;
        while self.take("AND") {
            let other = self.one()?;
            met = met.zip(other).map(|(mut a, b)| {
                a.extend(b);
                a
            });
        }
        Some(met)
    }

    fn one(&mut self) -> Option<Met> {
        if self.take("(") {
            let met = self.either()?;
            return self.take(")").then_some(met);
        }
        let (&id, rest) = self.tokens.split_first()?;
        if matches!(id, "OR" | "AND" | "WITH" | ")") {
            return None;
        }
        self.tokens = rest;
        let mut id = id.to_owned();
        if self.take("WITH") {
            let (&exception, rest) = self.tokens.split_first()?;
            self.tokens = rest;
            id = format!("{id} WITH {exception}");
        }
        Some(self.allowed.contains(&id).then(|| vec![id]))
    }

    fn take(&mut self, token: &str) -> bool {
        match self.tokens.split_first() {
            Some((first, rest)) if *first == token => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }
}
