//! Holds the order of the house: which module may use which, who may touch the world, what a `mod.rs` is for.
//!
//! The checker reads Rust tokens (comments and literals do not count) and gathers every path, `use` trees
//! unfolded. It is no compiler: a name smuggled in through a re-export or a macro escapes it. Its own tests feed
//! it bad samples, so that it cannot go blind unnoticed. Items under `#[cfg(test)]` are exempt: a unit test may
//! compile rule text to have something to run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[test]
fn the_house_is_in_order() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let order = module_order(&std::fs::read_to_string(src.join("lib.rs")).expect("src/lib.rs is readable"));
    assert!(order.len() > 10, "src/lib.rs declares only {order:?}");

    let mut files = Vec::new();
    rust_files(&src, &mut files);
    assert!(files.len() > 30, "only {} source files found", files.len());
    let mut faults = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("source files are readable");
        let name = path.strip_prefix(&src).expect("files lie under src").to_string_lossy().replace('\\', "/");
        faults.extend(check(&order, &name, &text));
    }
    let mut list = String::new();
    for fault in &faults {
        writeln!(list, "  src/{fault}").expect("writing to a string");
    }
    assert!(faults.is_empty(), "{} faults:\n{list}", faults.len());
}

/// Everything wrong with one file, as `file:line: fault`.
fn check(order: &[String], name: &str, text: &str) -> Vec<String> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let mut faults = Vec::new();
    if FORBIDDEN_FILES.contains(&file) {
        faults.push(format!("{name}: a file of this name gathers what belongs to many stages"));
    }
    if file == "tests.rs" || name.contains("/tests/") {
        return faults;
    }
    let tokens = without_tests(tokens(text));
    if file == "mod.rs" {
        faults.extend(check_mod_rs(name, &tokens));
    }
    let module = name.split('/').next().unwrap_or(name).trim_end_matches(".rs");
    if module == "lib" || module == "main" {
        return faults;
    }
    let Some(place) = order.iter().position(|m| m == module) else {
        faults.push(format!("{name}: module `{module}` is not declared in lib.rs"));
        return faults;
    };
    let engine_half = order.iter().position(|m| m == ENGINE_HALF_ENDS).is_some_and(|end| place <= end);

    for path in paths(&tokens) {
        let segments = path.resolve(name);
        let at = |what: String| format!("{name}:{}: {what}", path.line);
        let [first, rest @ ..] = segments.as_slice() else { continue };
        if first == "crate" {
            let Some(used) = rest.first() else { continue };
            let Some(other) = order.iter().position(|m| m == used) else { continue };
            if other > place {
                faults.push(at(format!("`{module}` uses `{used}`, which stands below it in lib.rs")));
            }
            if STRANGERS.iter().any(|(m, strangers)| *m == module && strangers.contains(&used.as_str())) {
                faults.push(at(format!("`{module}` must not know `{used}`")));
            }
        }
        if first.starts_with("pingora") && !KNOW_PINGORA.contains(&module) {
            faults.push(at(format!("`{module}` names {first}; only {KNOW_PINGORA:?} may")));
        }
        if engine_half {
            let joined = segments.join("::");
            let banned = WORLD.iter().find(|w| joined.starts_with(*w) || joined.ends_with(*w));
            let allowed =
                banned.is_some_and(|w| MAY.iter().any(|(f, what)| name.starts_with(f) && what == w));
            if let (Some(what), false) = (banned, allowed) {
                faults.push(at(format!("`{module}` is the engine's half and must not use `{what}`")));
            }
        }
    }
    if engine_half {
        for pair in tokens.windows(2) {
            if pair[1].text == "!" && PRINTING.contains(&pair[0].text.as_str()) {
                faults.push(format!("{name}:{}: the engine's half does not print", pair[0].line));
            }
        }
    }
    faults
}

/// `mod.rs` declares and re-exports: every item is a `mod name;` or a `use`.
fn check_mod_rs(name: &str, tokens: &[Token]) -> Option<String> {
    let mut rest = tokens;
    loop {
        rest = skip_attributes(rest);
        let first = rest.first()?;
        let mut item = rest;
        if first.text == "pub" {
            item = &item[1..];
            if item.first().is_some_and(|t| t.text == "(") {
                item = skip_group(item);
            }
        }
        let kind = item.first().map_or("", |t| t.text.as_str());
        let end = item.iter().position(|t| t.text == ";").unwrap_or(item.len());
        let inline = kind == "mod" && item[..end].iter().any(|t| t.text == "{");
        if !matches!(kind, "mod" | "use") || inline {
            return Some(format!("{name}:{}: a mod.rs declares and re-exports, nothing else", first.line));
        }
        rest = item.get(end + 1..)?;
    }
}

/// The modules of lib.rs, in order.
fn module_order(lib: &str) -> Vec<String> {
    let tokens = tokens(lib);
    let declares = |w: &[Token]| w[0].text == "pub" && w[1].text == "mod" && w[3].text == ";";
    tokens.windows(4).filter(|w| declares(w)).map(|w| w[2].text.clone()).collect()
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(dir).expect("src is readable").flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// An identifier (lifetimes and literals are left out) or one character of punctuation; `::` is one token.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
}

impl Token {
    fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Splits Rust into tokens without comments, literals and lifetimes.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut i, mut line, mut out) = (0, 1, Vec::new());
    while i < chars.len() {
        let start = i;
        match chars[i] {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && chars[i] != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                while i < chars.len() {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            '"' => i = end_of_string(&chars, i),
            '\'' => {
                let escaped = at(i + 1) == '\\';
                if escaped || at(i + 2) == '\'' {
                    i += if escaped { 3 } else { 2 };
                    while i < chars.len() && chars[i] != '\'' {
                        i += 1;
                    }
                    i += 1;
                } else {
                    i += 1;
                    while at(i).is_alphanumeric() || at(i) == '_' {
                        i += 1;
                    }
                }
            }
            c if c.is_alphanumeric() || c == '_' => {
                while at(i).is_alphanumeric() || at(i) == '_' {
                    i += 1;
                }
                let word: String = chars[start..i].iter().collect();
                let prefix = matches!(word.as_str(), "r" | "b" | "br" | "c" | "cr");
                if prefix && (at(i) == '"' || (at(i) == '#' && matches!(at(i + 1), '"' | '#'))) {
                    let raw = word.contains('r');
                    i = if raw { end_of_raw_string(&chars, i) } else { end_of_string(&chars, i) };
                } else if !c.is_ascii_digit() {
                    out.push(Token { text: word, line });
                }
            }
            ':' if at(i + 1) == ':' => {
                out.push(Token { text: "::".into(), line });
                i += 2;
            }
            c => {
                if !c.is_whitespace() {
                    out.push(Token { text: c.to_string(), line });
                }
                i += 1;
            }
        }
        line += chars[start..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    out
}

/// The index after the string literal whose opening quote is at `i`.
fn end_of_string(chars: &[char], mut i: usize) -> usize {
    i += 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// The index after the raw string literal whose first `#` or quote is at `i`.
fn end_of_raw_string(chars: &[char], mut i: usize) -> usize {
    let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
    i += hashes + 1;
    while i < chars.len() {
        if chars[i] == '"' && chars[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return i + 1 + hashes;
        }
        i += 1;
    }
    i
}

/// Drops every item under `#[cfg(test)]`.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut out = Vec::new();
    let mut rest = tokens.as_slice();
    while let Some(first) = rest.first() {
        let marked = rest.len() >= MARK.len() && rest.iter().zip(MARK).all(|(t, m)| t.text == m);
        if !marked {
            out.push(first.clone());
            rest = &rest[1..];
            continue;
        }
        rest = skip_attributes(rest);
        let end = rest.iter().position(|t| t.text == "{" || t.text == ";").unwrap_or(rest.len());
        rest = &rest[end..];
        rest = if rest.first().is_some_and(|t| t.text == "{") {
            skip_group(rest)
        } else {
            rest.get(1..).unwrap_or(&[])
        };
    }
    out
}

fn skip_attributes(mut tokens: &[Token]) -> &[Token] {
    while tokens.first().is_some_and(|t| t.text == "#") {
        tokens = &tokens[1..];
        if tokens.first().is_some_and(|t| t.text == "!") {
            tokens = &tokens[1..];
        }
        tokens = skip_group(tokens);
    }
    tokens
}

/// What follows the bracketed group that `tokens` begins with.
fn skip_group(tokens: &[Token]) -> &[Token] {
    let mut depth = 0usize;
    for (i, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return &tokens[i + 1..];
        }
    }
    &[]
}

/// A path as written, `use` trees unfolded.
#[derive(Debug)]
struct CodePath {
    segments: Vec<String>,
    line: usize,
}

impl CodePath {
    /// The path with leading `super`s that reach the crate's root written as `crate`.
    fn resolve(&self, file: &str) -> Vec<String> {
        let supers = self.segments.iter().take_while(|s| *s == "super").count();
        let depth = file.split('/').count() - usize::from(file.ends_with("/mod.rs"));
        if supers == 0 || supers < depth {
            return self.segments.clone();
        }
        std::iter::once("crate".to_owned()).chain(self.segments[supers..].iter().cloned()).collect()
    }
}

/// Every path of at least two segments.
fn paths(tokens: &[Token]) -> Vec<CodePath> {
    let mut out = Vec::new();
    let mut rest = tokens;
    while let Some(first) = rest.first() {
        if first.is_word() && rest.get(1).is_some_and(|t| t.text == "::") {
            rest = path_tree(rest, &[], &mut out);
        } else {
            rest = &rest[1..];
        }
    }
    out
}

/// Reads one path or `use` tree under `prefix` and returns what follows.
fn path_tree<'a>(mut rest: &'a [Token], prefix: &[String], out: &mut Vec<CodePath>) -> &'a [Token] {
    let mut segments = prefix.to_vec();
    let line = rest.first().map_or(0, |t| t.line);
    loop {
        match rest.first() {
            Some(t) if t.is_word() || t.text == "*" => {
                segments.push(t.text.clone());
                rest = &rest[1..];
                if rest.first().is_some_and(|t| t.text == "::") {
                    rest = &rest[1..];
                    continue;
                }
            }
            Some(t) if t.text == "{" => {
                rest = &rest[1..];
                while rest.first().is_some_and(|t| t.text != "}") {
                    let before = rest.len();
                    rest = path_tree(rest, &segments, out);
                    // `as name` and commas.
                    while rest.first().is_some_and(|t| t.text == "," || t.text == "as") {
                        rest = if rest[0].text == "as" { rest.get(2..).unwrap_or(&[]) } else { &rest[1..] };
                    }
                    if rest.len() == before {
                        rest = &rest[1..];
                    }
                }
                return rest.get(1..).unwrap_or(&[]);
            }
            _ => {}
        }
        break;
    }
    if segments.last().is_some_and(|s| s == "self") && segments.len() > 1 {
        segments.pop();
    }
    out.push(CodePath { segments, line });
    rest
}

/// The last module of the engine's half of the crate; what stands above it has no I/O, clock, logs or threads.
const ENGINE_HALF_ENDS: &str = "tune";

/// Modules that must not know others, though these stand above them.
const STRANGERS: &[(&str, &[&str])] = &[
    ("engine", &["syntax"]),
    ("ruleset", &["syntax"]),
    // Bytes only.
    ("transform", &["syntax", "http", "body", "source"]),
    ("operator", &["syntax", "http", "body", "source"]),
    // Is given a compiled generation.
    ("proxy", &["syntax", "compile"]),
];

const KNOW_PINGORA: [&str; 3] = ["proxy", "admin", "cli"];

/// What the engine's half must not touch, as beginnings or ends of paths. Address types of `std::net` are data.
const WORLD: &[&str] = &[
    "std::fs",
    "std::env::var",
    "std::process",
    "std::thread",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::io::stdout",
    "std::io::stderr",
    "std::io::stdin",
    "SystemTime::now",
    "Instant::now",
    "OffsetDateTime::now_utc",
    "OffsetDateTime::now_local",
    "tokio::",
    "tracing::",
    "log::",
    "prometheus::",
    "arc_swap::",
];

/// Exceptions of [`WORLD`]: files under this prefix may use this.
const MAY: &[(&str, &str)] = &[
    // The loader that `Include` uses unless it is given another.
    ("syntax/seclang/", "std::fs"),
    // What is remembered of a ruleset's values from one transaction to the next; nothing that decides.
    ("ruleset/literals.rs", "arc_swap::"),
    ("ruleset/plan.rs", "arc_swap::"),
    ("ruleset/verdict.rs", "arc_swap::"),
];

const PRINTING: [&str; 5] = ["println", "print", "eprintln", "eprint", "dbg"];

const FORBIDDEN_FILES: [&str; 4] = ["utils.rs", "util.rs", "errors.rs", "types.rs"];

mod checker {
    use super::{check, module_order};

    fn faults(name: &str, text: &str) -> Vec<String> {
        let order = module_order(
            "pub mod limits; pub mod syntax; pub mod transform; pub mod ruleset; pub mod engine; pub mod audit; pub mod tune;\n\
             #[cfg(feature = \"server\")]\npub mod store; pub mod proxy; pub mod cli;",
        );
        check(&order, name, text)
    }

    #[track_caller]
    fn bad(name: &str, text: &str, fault: &str) {
        let found = faults(name, text);
        assert!(found.iter().any(|f| f.contains(fault)), "{name}: {text:?}: {found:?}");
    }

    #[track_caller]
    fn good(name: &str, text: &str) {
        assert_eq!(faults(name, text), Vec::<String>::new(), "{name}: {text:?}");
    }

    #[test]
    fn a_module_may_use_those_above_it_only() {
        good("engine/flow.rs", "use crate::ruleset::Ruleset; use crate::limits;");
        bad("ruleset/mod.rs", "use crate::engine::Report;", "`ruleset` uses `engine`");
        bad("ruleset/a.rs", "use crate::{limits, engine::{Report, world as w}};", "`ruleset` uses `engine`");
        bad("ruleset/a.rs", "fn f() -> crate::engine::Report { todo() }", "`ruleset` uses `engine`");
        bad("ruleset/a.rs", "use super::super::engine::Report;", "`ruleset` uses `engine`");
        bad("ruleset.rs", "use super::engine::Report;", "`ruleset` uses `engine`");
        bad("ruleset/deep/a.rs", "use super::super::super::{engine};", "`ruleset` uses `engine`");
        good("ruleset/deep/a.rs", "use super::super::engine_like;");
        bad("ruleset/a.rs", "\n\nuse crate::engine;", "ruleset/a.rs:3:");
        bad("unknown/a.rs", "", "not declared");
    }

    #[test]
    fn some_modules_are_strangers() {
        bad("engine/a.rs", "use crate::syntax::ast::Rule;", "must not know `syntax`");
        bad("transform/a.rs", "use crate::{syntax};", "must not know `syntax`");
        bad("proxy/a.rs", "use crate::syntax;", "must not know `syntax`");
    }

    #[test]
    fn the_engine_half_does_not_touch_the_world() {
        bad("engine/a.rs", "use std::{fs, io};", "must not use `std::fs`");
        bad("engine/a.rs", "let t = std::time::SystemTime::now();", "`SystemTime::now`");
        bad("engine/a.rs", "use std::time::SystemTime; fn f() { SystemTime::now(); }", "`SystemTime::now`");
        bad("engine/a.rs", "use std::net::{IpAddr, TcpStream};", "`std::net::TcpStream`");
        bad("engine/a.rs", "tracing::info!(\"x\");", "`tracing::`");
        bad("engine/a.rs", "use tokio::sync::Mutex;", "`tokio::`");
        bad("engine/a.rs", "fn f() { println!(\"x\") }", "does not print");
        good("engine/a.rs", "use std::net::{IpAddr, SocketAddr}; use std::time::SystemTime;");
        good("syntax/seclang/load.rs", "use std::fs;");
        bad("syntax/print.rs", "use std::fs;", "must not use `std::fs`");
        good("store/a.rs", "use std::fs; use tokio::sync::Mutex; fn f() { std::time::SystemTime::now(); }");
    }

    #[test]
    fn only_some_name_pingora() {
        bad("store/a.rs", "use pingora_core::Error;", "names pingora_core");
        bad("engine/a.rs", "fn f(e: pingora_http::ResponseHeader) {}", "names pingora_http");
        good("proxy/a.rs", "use pingora_proxy::Session;");
        good("cli/a/b.rs", "use pingora_proxy::Session;");
    }

    #[test]
    fn a_mod_rs_declares_and_re_exports() {
        good(
            "engine/mod.rs",
            "//! Doc.\n#![allow(x)]\nmod a;\npub(crate) mod b;\n#[cfg(x)] pub use a::{B, C};\nuse b::D;",
        );
        bad("engine/mod.rs", "mod a; fn f() {}", "nothing else");
        bad("engine/mod.rs", "pub struct A { b: u8 }", "nothing else");
        bad("engine/mod.rs", "pub mod a { pub fn f() {} }", "nothing else");
        bad("engine/mod.rs", "pub use a::B; impl B {}", "nothing else");
        bad("engine/mod.rs", "const A: u8 = 1;", "nothing else");
    }

    #[test]
    fn gathering_files_are_refused() {
        bad("engine/utils.rs", "", "gathers");
        bad("errors.rs", "", "gathers");
        good("engine/decision.rs", "");
    }

    #[test]
    fn comments_literals_and_tests_do_not_count() {
        good(
            "ruleset/a.rs",
            "//! [`crate::engine`]\n/* crate::engine::X /* nested */ crate::engine */ fn f() {}",
        );
        good(
            "ruleset/a.rs",
            "const A: &str = \"crate::engine \\\" crate::engine\"; const B: &str = r#\"\" crate::engine \"#;",
        );
        good(
            "ruleset/a.rs",
            "fn f<'a>(x: &'a str) -> char { '\"' } // crate::engine\nfn g() { 'x'; '\\''; }",
        );
        good("ruleset/a.rs", "#[cfg(test)]\nmod tests { use crate::engine::X; fn f() { std::fs::read(); } }");
        bad("ruleset/a.rs", "#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::engine;", "ruleset/a.rs:3:");
        bad("ruleset/a.rs", "#[cfg(test)]\nuse x::y;\nuse crate::engine;", "ruleset/a.rs:3:");
        bad("ruleset/a.rs", "fn f<'a>(x: &'a str) {} use crate::engine;", "`ruleset` uses `engine`");
    }
}
