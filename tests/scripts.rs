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
