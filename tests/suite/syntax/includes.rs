//! `Include`: order, patterns, cycles and limits.

use portcullis::limits;
use portcullis::syntax::ast::Statement;
use portcullis::syntax::diagnostic::render;
use portcullis::syntax::seclang::{EmbeddedLoader, FileLoader};

use crate::support::{Memory, Parsed};

#[test]
fn included_statements_stand_where_the_include_stood() {
    let loader = Memory::new([
        ("rules/main.conf", &b"SecMarker a\nInclude sub/*.conf\nSecMarker e"[..]),
        ("rules/sub/2.conf", b"SecMarker d"),
        ("rules/sub/1.conf", b"SecMarker b\nIncludeOptional none-*.conf\nInclude ../sub/3.inc"),
        ("rules/sub/../sub/3.inc", b"SecMarker c"),
    ]);
    let parsed = Parsed::load("rules/main.conf", &loader);
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    assert_eq!(markers(&parsed), ["a", "b", "c", "d", "e"]);
}

#[test]
fn the_file_system_and_embedded_files_mix() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let path = |name: &str| directory.path().join(name);
    std::fs::create_dir(path("sub")).expect("a directory can be made");
    std::fs::write(path("sub/b.conf"), "SecMarker b\r\n").expect("a file can be written");
    std::fs::write(path("sub/a.conf"), "\u{feff}SecMarker a").expect("a file can be written");
    std::fs::write(path("sub/.hidden.conf"), "faulty").expect("a file can be written");
    std::fs::write(path("main.conf"), "Include sub/*.conf\nInclude @core/*.conf")
        .expect("a file can be written");
    let embedded = EmbeddedLoader::new(
        &[("@core/y.conf", b"SecMarker y"), ("@core/x.conf", b"SecMarker x"), ("@core/x.data", b"data")],
        FileLoader,
    );
    let parsed = Parsed::load(path("main.conf").to_str().expect("UTF-8"), &embedded);
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    assert_eq!(markers(&parsed), ["a", "b", "x", "y"]);
}

#[test]
fn what_cannot_be_included_is_told_with_all_other_faults() {
    let loader = Memory::new([
        (
            "main.conf",
            &b"Include missing.conf\nInclude missing/*.conf\nInclude [\nInclude loop.conf\nFrob"[..],
        ),
        ("loop.conf", b"SecMarker once\nInclude deeper.conf\nFrob"),
        ("deeper.conf", b"Include loop.conf\n"),
    ]);
    let parsed = Parsed::load("main.conf", &loader);
    insta::assert_snapshot!(render(&parsed.diagnostics, &parsed.sources, false));
    assert_eq!(markers(&parsed), ["once"]);
    let absent = Parsed::load("absent.conf", &loader);
    insta::assert_snapshot!(render(&absent.diagnostics, &absent.sources, false));
}

#[test]
fn depth_and_number_end() {
    let deep: Vec<_> = (0..50)
        .map(|i| (format!("{i}.conf"), format!("SecMarker {i}\nInclude {}.conf", i + 1)))
        .chain([("50.conf".to_owned(), String::new())])
        .collect();
    let loader = Memory::new(deep.iter().map(|(name, text)| (name.as_str(), text.as_bytes())));
    let parsed = Parsed::load("0.conf", &loader);
    assert_eq!(markers(&parsed).len(), limits::INCLUDE_DEPTH);
    assert_eq!(parsed.diagnostics.len(), 1);

    let wide = "Include one.conf\n".repeat(limits::INCLUDE_FILES + 5);
    let loader = Memory::new([("wide.conf", wide.as_bytes()), ("one.conf", b"SecMarker one")]);
    let parsed = Parsed::load("wide.conf", &loader);
    assert_eq!(markers(&parsed).len(), limits::INCLUDE_FILES - 1);
    assert_eq!(parsed.diagnostics.len(), 1);
}

fn markers(parsed: &Parsed) -> Vec<&str> {
    let name = |s: &'_ Statement| match s {
        Statement::Marker(name, _) => Some(name.node.clone()),
        _ => None,
    };
    let all: Vec<_> = parsed.document.statements.iter().collect();
    assert!(all.iter().all(|s| name(s).is_some()));
    all.into_iter()
        .filter_map(|s| match s {
            Statement::Marker(name, _) => Some(name.node.as_str()),
            _ => None,
        })
        .collect()
}
