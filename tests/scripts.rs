//! What scripts answer, with stand-ins for the programs that they call.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

/// A copy of a script in a directory of its own, and programs that stand in for others.
struct Copy {
    directory: tempfile::TempDir,
}

impl Copy {
    fn of(script: &str) -> Self {
        let copy = Self { directory: tempfile::tempdir().expect("a directory") };
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(script)).expect("a script");
        copy.program(script, &text);
        copy
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
    }

    /// Runs the script. Of programs it finds ours and the system's.
    fn run(&self, script: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let programs = self.directory.path().join("bin");
        let Output { status, stdout, stderr } = Command::new(self.directory.path().join(script))
            .args(arguments)
            .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
            .env_remove("PORTCULLIS_CRS_DIR")
            .output()
            .expect("it runs");
        let said = [stdout, stderr].concat();
        (status.code(), String::from_utf8_lossy(&said).into_owned())
    }
}

/// Stands in for cargo: what it is told to fuzz goes well, but for `body`, which a panic ends.
const CARGO: &str = r#"#!/bin/sh
case "$*" in
    *"fuzz run"*" body "*)
        echo "thread '<unnamed>' panicked at src/lib.rs:1:1:"
        for line in 1 2 3 4 5; do echo "frame $line"; done
        echo "SUMMARY: libFuzzer: deadly signal"
        exit 77
        ;;
    *"fuzz run"*) echo "stat::number_of_executed_units: 1000" ;;
esac
exit 0
"#;

#[test]
fn what_fuzzing_finds_is_told_and_fails() {
    let copy = Copy::of("scripts/fuzz");
    copy.program("bin/cargo", CARGO);
    let fuzz = |arguments: &[&str]| copy.run("scripts/fuzz", arguments);

    // Without cargo-fuzz nothing can be said.
    let (code, said) = fuzz(&["1", "head"]);
    assert_eq!(code, Some(77), "{said}");
    assert!(said.contains("SKIPPED"), "{said}");

    copy.program("bin/cargo-fuzz", "#!/bin/sh\n");
    let (code, said) = fuzz(&["1", "head", "inflate"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("FOUND") && said.contains("==> inflate for 1 s"), "{said}");
    assert!(said.contains("number_of_executed_units"), "{said}");

    // What follows a find is fuzzed all the same, and does not make up for it.
    let (code, said) = fuzz(&["1", "head", "body", "inflate"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("FOUND: body") && said.contains("panicked at"), "{said}");
    assert!(said.matches("FOUND").count() == 1 && said.contains("==> inflate for 1 s"), "{said}");

    // Without seeds it goes on, and fails.
    copy.program("bin/cargo", &CARGO.replace("esac", "*\"--example seeds\"*) exit 101 ;;\nesac"));
    let (code, said) = fuzz(&["1", "head"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("FAILED: seeds") && said.contains("number_of_executed_units"), "{said}");
    copy.program("bin/cargo", CARGO);

    // All of them, when none is named.
    let (code, said) = fuzz(&["1"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("==> configuration") && said.contains("FOUND: body"), "{said}");
}

/// Stands in for rustc: its LLVM is one that nobody has, unless a test brings the tool.
const RUSTC: &str = r#"#!/bin/sh
case "$1" in
    -vV) printf 'rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\nLLVM version: 99.1.2\n' ;;
    --print) echo /nowhere/lib ;;
esac
"#;

/// Stands in for cargo: where its target is, and a program that it has built.
const BUILDER: &str = r#"#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
case "$1" in
    metadata) echo "{\"target_directory\":\"$here/target\"}" ;;
    build)
        echo "$CARGO_ENCODED_RUSTFLAGS $*" >>"$here/builds"
        echo "{\"reason\":\"compiler-artifact\",\"executable\":\"$here/portcullis\"}"
        ;;
esac
"#;

#[test]
fn a_release_is_trained_or_says_that_it_is_not() {
    let copy = Copy::of("scripts/dist");
    for module in ["load.py", "samples.py", "train.py"] {
        let name = format!("scripts/training/{module}");
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&name)).expect("a module");
        copy.program(&name, &text);
    }
    copy.program("bin/cargo", BUILDER);
    copy.program("bin/rustc", RUSTC);
    copy.program("bin/openssl", "#!/bin/sh\n");
    copy.program("bin/curl", "#!/bin/sh\necho 'Features: HTTP2 SSL'\n");
    copy.program("bin/portcullis", "#!/bin/sh\necho it cannot run >&2; exit 3\n");
    let dist = |arguments: &[&str]| copy.run("scripts/dist", arguments);

    let (code, said) = dist(&["--help"]);
    assert!(code == Some(0) && said.contains("exit codes:"), "{said}");
    let (code, said) = dist(&["--profile", "x"]);
    assert!(code == Some(2) && said.contains("usage:"), "{said}");

    // Without the tool nothing is built, unless that is allowed, and then it is told.
    let builds = copy.directory.path().join("bin/builds");
    let (code, said) = dist(&[]);
    assert!(code == Some(3) && said.contains("rustup component add llvm-tools"), "{said}");
    assert!(said.contains("llvm-99") && !builds.exists(), "{said}");
    let output = copy.directory.path().join("out/portcullis");
    let (code, said) = dist(&["--or-plain", "--output", &output.to_string_lossy()]);
    assert!(code == Some(0) && said.contains("WITHOUT") && output.exists(), "{said}");
    let built = fs::read_to_string(&builds).expect("it was built");
    assert!(built.contains("--profile dist") && !built.contains("-Cprofile"), "{built}");

    // With it: the steps in order.
    let tool = "#!/bin/sh\necho 'LLVM version 99.1.8'\n";
    copy.program("bin/llvm-profdata-99", tool);
    let (code, said) = dist(&["--dry-run"]);
    let steps = ["-Cprofile-generate=", "train portcullis", "merge -o", "-Cprofile-use="];
    let places: Vec<_> = steps.iter().map(|step| said.find(step)).collect();
    assert!(code == Some(0) && places.iter().all(Option::is_some) && places.is_sorted(), "{said}");
    let (code, said) = dist(&["--dry-run", "--program", "hostile"]);
    let steps = ["--bench compare", "train compare", "merge -o", "--bench hostile"];
    let places: Vec<_> = steps.iter().map(|step| said.find(step)).collect();
    assert!(code == Some(0) && places.iter().all(Option::is_some) && places.is_sorted(), "{said}");
    let (code, said) = dist(&["--dry-run", "--plain"]);
    assert!(code == Some(0) && !said.contains("-Cprofile"), "{said}");

    // A program that does not run trains nothing, and nothing is released.
    let (code, said) = dist(&["--program", "compare"]);
    assert!(code == Some(1) && said.contains("the training failed"), "{said}");
    let built = fs::read_to_string(&builds).expect("it was built");
    assert!(built.contains("-Cprofile-generate=") && !built.contains("-Cprofile-use="), "{built}");
}
