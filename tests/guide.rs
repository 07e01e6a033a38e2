//! What the documentation shows, works: links lead somewhere, commands are ones that the command line knows, rule
//! text compiles and configurations are accepted.

#![cfg(feature = "server")]

#[path = "support/mmdb.rs"]
mod mmdb;

use clap::Parser;
use portcullis::cli::Cli;
use portcullis::compile::{self, EMBEDDED, Input};
use portcullis::config::{self, Overrides};
use portcullis::syntax::diagnostic;
use portcullis::syntax::seclang::{EmbeddedLoader, FileLoader};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn links_lead_somewhere() {
    let mut faults = Vec::new();
    let mut seen = 0;
    for (path, text) in pages() {
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            seen += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { path.clone() } else { path.with_file_name("").join(file) };
            let exists = target.exists()
                && (anchor.is_empty() || fs::read_to_string(&target).is_ok_and(|t| has_heading(&t, anchor)));
            if !exists {
                faults.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(seen > 50, "only {seen} links found");
    assert!(faults.is_empty(), "links to nowhere:\n{}", faults.join("\n"));
}

#[test]
fn commands_are_understood() {
    let mut seen = 0;
    for block in blocks(&["sh", "console"]) {
        for command in commands(&block.text) {
            seen += 1;
            if let Err(error) = Cli::try_parse_from(&command) {
                assert!(!error.use_stderr(), "{}: {command:?}\n{error}", block.place);
            }
        }
    }
    assert!(seen > 8, "only {seen} commands found");
}

#[test]
fn rule_text_compiles() {
    let mut seen = 0;
    for block in blocks(&["seclang"]) {
        seen += 1;
        let inputs = [
            Input::File("@portcullis-core".into()),
            Input::Text { name: block.place.clone(), text: block.text },
        ];
        let loaded = compile::load(&inputs, &EmbeddedLoader::new(EMBEDDED, FileLoader));
        let said = diagnostic::render(&loaded.diagnostics, &loaded.sources, false);
        assert!(loaded.diagnostics.is_empty(), "{}:\n{said}", block.place);
    }
    assert!(seen > 3, "only {seen} blocks found");
}

#[test]
fn configurations_are_accepted() {
    // Files that the pages name are looked for, so they stand in a directory made for it.
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut seen = 0;
    for block in blocks(&["yaml"]) {
        let tops = ["listeners:", "sites:", "trusted_proxies:", "store:", "bans:", "geo_database:"];
        if !tops.iter().any(|top| block.text.starts_with(top)) {
            continue;
        }
        seen += 1;
        let mut text = block.text.replace("/etc/portcullis", &directory.path().to_string_lossy());
        for file in text.split_whitespace().map(Path::new) {
            if file.starts_with(&directory) && file.extension().is_some_and(|e| e == "pem" || e == "key") {
                fs::create_dir_all(file.parent().expect("it stands in a directory")).expect("can be made");
                fs::write(file, "").expect("can be written");
            }
            let name = file.to_string_lossy();
            let name = name.trim_end_matches([']', '}', ',']);
            if name.contains("/blocklist.txt") || name.ends_with(".mmdb") {
                let path = Path::new(name.trim_start_matches(['[', '{']));
                let list = b"192.0.2.0/24\n".to_vec();
                let is_list = name.ends_with(".txt");
                let content = if is_list { list } else { mmdb::countries(&[("192.0.2.0/24", "DE")]) };
                fs::write(path, content).expect("can be written");
            }
        }
        if !text.contains("sites:") {
            text += "sites: [{name: shop, upstreams: ['http://127.0.0.1:3000']}]\n";
        }
        let loaded = config::check(&block.place, &text, directory.path(), &Overrides::default());
        let said = diagnostic::render(&loaded.diagnostics, &loaded.sources, false);
        assert!(loaded.diagnostics.is_empty() && loaded.config.is_some(), "{}:\n{said}", block.place);
    }
    assert!(seen > 6, "only {seen} blocks found");
}

/// One text in three places: the file, the page which explains it, and the example that has it inside.
#[test]
fn the_engines_settings_for_crs_are_the_same_everywhere() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("the file can be read");
    let file = read("config/engine.conf");
    let (_, settings) = file.split_once("\n\n").expect("a comment stands at its head");
    assert!(settings.contains("SecRequestBodyAccess On"), "{settings}");
    assert!(read("docs/guide/crs.md").contains(&format!("```seclang\n{settings}```")));
    let indented: String = settings.lines().map(|l| format!("          {l}\n")).collect();
    assert!(read("config/portcullis-crs.yaml").contains(&indented));
}

#[test]
fn the_readers_here_find_what_they_should() {
    assert_eq!(links("[a](b.md) `[x](y)` [c](d#e)\n```\n[f](g)\n```\n"), ["b.md", "d#e"]);
    assert!(has_heading("# A b-c, d!\n", "a-b-c-d") && !has_heading("a\n", "a"));
    assert_eq!(
        commands(
            "x=1\nportcullis run \\\n  --rules 'a b' && portcullis check \"c\" > d\n$ portcullis version\n"
        ),
        [
            vec!["portcullis", "run", "--rules", "a b"],
            vec!["portcullis", "check", "c"],
            vec!["portcullis", "version"]
        ]
    );
}

struct Block {
    /// Page and line.
    place: String,
    text: String,
}

/// The fenced blocks of all pages that are marked as one of `languages`, without their indentation.
fn blocks(languages: &[&str]) -> Vec<Block> {
    let mut found = Vec::new();
    for (path, text) in pages() {
        let mut open: Option<(usize, Block)> = None;
        for (number, line) in text.lines().enumerate() {
            match &mut open {
                Some((indentation, block)) => {
                    if line.trim() == "```" {
                        found.extend(open.take().map(|(_, block)| block));
                    } else {
                        block.text += line.get(*indentation..).unwrap_or_default();
                        block.text.push('\n');
                    }
                }
                None => {
                    let Some(language) = line.trim_start().strip_prefix("```") else { continue };
                    if languages.contains(&language) {
                        let place = format!("{}:{}", path.display(), number + 1);
                        let indentation = line.len() - line.trim_start().len();
                        open = Some((indentation, Block { place, text: String::new() }));
                    }
                }
            }
        }
        assert!(open.is_none(), "{}: a block does not end", path.display());
    }
    found
}

/// The calls of `portcullis` in a shell's text, as lists of words.
fn commands(text: &str) -> Vec<Vec<String>> {
    let joined = text.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines() {
        for part in line.trim_start_matches("$ ").split(" && ") {
            let part = part.split(" | ").next().unwrap_or_default().split(" > ").next().unwrap_or_default();
            let words = words(part);
            if words.first().is_some_and(|w| w.rsplit('/').next() == Some("portcullis")) {
                found.push(words);
            }
        }
    }
    found
}

/// Words as a shell splits them, without expansions.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The targets of Markdown's links, those in code left out.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        if in_block {
            continue;
        }
        for prose in line.split('`').step_by(2) {
            for rest in prose.split("](").skip(1) {
                found.extend(rest.split_once(')').map(|(target, _)| target.to_owned()));
            }
        }
        // A link whose text is code was cut in two above.
        for rest in line.split("`](").skip(1) {
            found.extend(rest.split_once(')').map(|(target, _)| target.to_owned()));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Whether a page has the heading that `anchor` means: lower case, blanks as dashes, punctuation dropped.
fn has_heading(text: &str, anchor: &str) -> bool {
    text.lines().filter_map(|l| l.strip_prefix('#')).any(|heading| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        let slug: String =
            heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect();
        slug == anchor
    })
}

/// Every page of documentation, with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut paths = vec![root().join("docs")];
    paths.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(|p| root().join(p)));
    let mut pages = Vec::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("the directory can be read");
            paths.extend(entries.map(|e| e.expect("an entry").path()));
        } else if path.extension().is_some_and(|e| e == "md") {
            let text = fs::read_to_string(&path).expect("the page can be read");
            pages.push((path, text));
        }
    }
    pages.sort();
    assert!(pages.len() > 20, "only {} pages found", pages.len());
    pages
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
