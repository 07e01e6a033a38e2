//! A certificate authority in files, and programs that tests need and may not find.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// An authority; what it signs lies beside its own certificate.
pub struct Authority {
    pub files: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one, whose certificate is `ca.pem`.
    pub fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test authority");
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(files.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { files, issuer: Issuer::new(params, key) }
    }

    /// Signs a certificate for the host `name` and that common name: `name.pem` and `name.key`. One of that name that
    /// is there is replaced, as tools for renewal do it: by renaming.
    pub fn sign(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let write = |suffix: &str, text: String| {
            let path = self.path(&format!("{name}.{suffix}"));
            let beside = self.path(&format!("{name}.{suffix}.new"));
            std::fs::write(&beside, text).unwrap();
            std::fs::rename(&beside, &path).unwrap();
            path
        };
        (write("pem", certificate.pem()), write("key", key.serialize_pem()))
    }

    /// A file of it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }
}

/// Whether `program` is there. Says loudly when it is not; an error where everything has to be tested.
#[allow(clippy::print_stderr, reason = "says what was skipped")]
pub fn has(program: &str) -> bool {
    let found =
        Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success();
    if !found {
        assert!(std::env::var_os("PORTCULLIS_REQUIRE_CRS").is_none(), "{program} is not installed");
        eprintln!("SKIPPED: {program} is not installed, so that nothing is tested with it");
    }
    found
}
