//! What the fuzz targets do with the bytes they are given. Nothing may panic, whatever the bytes are, and what is
//! promised of results must hold.

use arbitrary::{Arbitrary, Unstructured};
use portcullis::body::{BodyLimits, BodyParser, Coding, InflateLimits, Inflater, Processor};
use portcullis::compile::{self, Input};
use portcullis::engine::{BodyStep, NoWorld, Options, Transaction};
use portcullis::http::{
    COOKIE_SEPARATOR, CookieFormat, HeadLimits, MediaType, Pairs, RequestHead, Target, find_head_end,
    parse_cookies, parse_query, percent_decode,
};
use portcullis::operator::{self, Found, NoLookup, NoResources, Wanted};
use portcullis::ruleset::{Mode, Ruleset};
use portcullis::source::SourceMap;
use portcullis::syntax::ast::{Document, RuleTest};
use portcullis::syntax::diagnostic::{Diagnostics, render};
use portcullis::syntax::parse_text;
use portcullis::syntax::seclang::{EmbeddedLoader, FileLoader, Loader};
use portcullis::transform::{self, RUNS};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

/// Rule text in SecLang is read, or told to be at fault; it compiles or does not.
pub fn seclang(data: &[u8]) {
    rules("fuzz.conf", data);
}

/// The same of native rules.
pub fn yaml(data: &[u8]) {
    rules("fuzz.yaml", data);
}

fn rules(name: &str, data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut sources = SourceMap::default();
    let mut diagnostics = Diagnostics::default();
    let mut document = Document::default();
    parse_text(name, text, &NoFiles, &mut sources, &mut diagnostics, &mut document);
    let _ = render(&diagnostics, &sources, false);
    let loaded = compile::load(&[Input::Text { name: name.into(), text: text.into() }], &NoFiles);
    if let Some(ruleset) = loaded.ruleset {
        let request =
            b"POST /a?b=c HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n";
        transact(&ruleset, request, b"d=e'f", true);
    }
}

/// A head that is found is read; targets, arguments and cookies are taken apart.
pub fn head(data: &[u8]) {
    if let Some(end) = find_head_end(data) {
        assert!(end <= data.len());
        let head = RequestHead::parse(&data[..end], &HeadLimits::default());
        let _ = (head.is_acceptable(), head.fatal(), head.ends_connection(), head.normalised_target());
    }
    let _ = RequestHead::parse(data, &HeadLimits::default());
    for method in [&b"GET"[..], b"CONNECT", b"OPTIONS"] {
        let target = Target::parse(method, data);
        let _ = (target.request_uri(), target.request_filename(), target.request_basename());
    }
    let mut pairs = Pairs::new();
    parse_query(data, b'&', 100, &mut pairs);
    parse_cookies(data, CookieFormat::Netscape, COOKIE_SEPARATOR, 100, &mut pairs);
    parse_cookies(data, CookieFormat::Version1, COOKIE_SEPARATOR, 100, &mut pairs);
    assert!(percent_decode(data).len() <= data.len());
    let _ = MediaType::parse(data);
}

/// What the first byte of a body's data stands for. The boundary is that of the test suite, unless [`OWN_BOUNDARY`] is set in
/// that byte.
pub const BODIES: [(Processor, &str); 5] = [
    (Processor::Urlencoded, "application/x-www-form-urlencoded"),
    (Processor::Multipart, "multipart/form-data; boundary=0000"),
    (Processor::Json, "application/json"),
    (Processor::Xml, "text/xml"),
    (Processor::Raw, "text/plain"),
];

/// A body's first byte has this when its boundary follows the first two bytes: how long it is, and what stands behind
/// `boundary=`, quotes and parameters included.
pub const OWN_BOUNDARY: u8 = 0x80;

/// However a body is cut, a parser makes the same of it. The data: which of [`BODIES`], where it is cut, perhaps a boundary,
/// the body.
pub fn body(data: &[u8]) {
    let [kind, cut, body @ ..] = data else { return };
    let (processor, content_type) = BODIES[usize::from(*kind & !OWN_BOUNDARY) % BODIES.len()];
    let (content_type, body) = match body {
        [length, rest @ ..] if *kind & OWN_BOUNDARY != 0 && processor == Processor::Multipart => {
            let (boundary, body) = rest.split_at(usize::from(*length).min(rest.len()));
            ([b"multipart/form-data; boundary=", boundary].concat(), body)
        }
        _ => (content_type.as_bytes().to_vec(), body),
    };
    let content_type = &content_type[..];
    let limits = BodyLimits::default();
    let mut whole = BodyParser::new(processor, &limits, content_type);
    whole.feed(body);
    let mut pieces = BodyParser::new(processor, &limits, content_type);
    for piece in body.chunks(usize::from(*cut).max(1)) {
        pieces.feed(piece);
    }
    let (whole, pieces) = (whole.finish(), pieces.finish());
    assert!(whole.args.iter().eq(pieces.args.iter()), "{processor:?} depends on how a body is cut");
    assert_eq!(whole.error.is_some(), pieces.error.is_some());
}

/// What the first byte of compressed data stands for.
pub const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

/// However compressed data is cut, the same comes out, and never more than the limits allow. The data: which of
/// [`CODINGS`], where it is cut, what is compressed.
pub fn inflate(data: &[u8]) {
    let [kind, cut, body @ ..] = data else { return };
    let coding = CODINGS[usize::from(*kind) % CODINGS.len()];
    let limits = InflateLimits { output: 1 << 20, ..InflateLimits::default() };
    let inflated = |size: usize| {
        let mut out = Vec::new();
        let mut inflater = Inflater::new(coding, &limits);
        for piece in body.chunks(size.max(1)) {
            if inflater.feed(piece, &mut |bytes: &[u8]| out.extend_from_slice(bytes)).is_err() {
                return None;
            }
        }
        inflater.finish(&mut |bytes: &[u8]| out.extend_from_slice(bytes)).ok()?;
        assert!(out.len() as u64 <= limits.output);
        Some(out)
    };
    assert_eq!(inflated(body.len()), inflated(usize::from(*cut)), "{coding:?} depends on how data is cut");
}

/// Transformations keep what sieves know of them.
pub fn transformation(data: &[u8]) {
    let data = &data[..data.len().min(1_024)];
    for (number, row) in transform::all().iter().enumerate() {
        let mut out = Vec::new();
        let changed = (row.apply)(data, &mut out);
        let result = if changed { &out } else { data };
        let Some(id) = transform::find(row.name) else { continue };
        if let Some(longest) = id.longest(data.len()) {
            assert!(
                result.len() <= longest,
                "{} ({number}) makes {} bytes of {}",
                row.name,
                result.len(),
                data.len()
            );
        }
        if let Some((made, consumed)) = id.made() {
            let mut bytes: Vec<u8> = data.iter().copied().filter(|b| !consumed.contains(*b)).collect();
            made(data, &mut |byte| bytes.push(byte));
            assert!(
                result.iter().all(|b| bytes.contains(b)),
                "{} makes bytes that it does not tell",
                row.name
            );
        }
        let keeps_runs = id.breaks_runs().is_some_and(|breaks| !data.iter().any(|b| breaks.contains(*b)));
        if keeps_runs {
            let lower = data.to_ascii_lowercase();
            for run in result.split(|b| !RUNS.contains(*b)).filter(|run| !run.is_empty()) {
                let run = run.to_ascii_lowercase();
                assert!(lower.windows(run.len()).any(|part| part == run), "{} breaks a run", row.name);
            }
        }
    }
}

/// Every operator takes any argument, or says why not, and then any value. The data: the operator's row, the argument's
/// length, the argument, the value.
pub fn operator(data: &[u8]) {
    let [kind, length, rest @ ..] = data else { return };
    let rows = operator::all();
    let row = &rows[usize::from(*kind) % rows.len()];
    let (argument, input) = rest.split_at(usize::from(*length).min(rest.len()));
    let Ok(argument) = std::str::from_utf8(argument) else { return };
    if let Ok(built) = (row.build)(Some(argument), &NoResources) {
        let mut found = Found::default();
        built.evaluate(input, argument.as_bytes(), &NoLookup, &mut found);
        found.wanted = Wanted::Groups;
        built.evaluate(input, argument.as_bytes(), &NoLookup, &mut found);
    }
}

/// A request made of what requests are made of.
#[derive(Arbitrary, Debug)]
pub struct Exchange {
    method: Method,
    path: Vec<u8>,
    query: Vec<(Vec<u8>, Vec<u8>)>,
    cookies: Vec<u8>,
    headers: Vec<(Header, Vec<u8>)>,
    kind: Kind,
    body: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
enum Method {
    Get,
    Post,
    Put,
    Other(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Header {
    UserAgent,
    Referer,
    ContentType,
    Accept,
    Range,
    XForwardedFor,
    Other(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Kind {
    Form,
    Json,
    Xml,
    Multipart,
    None,
}

/// The first byte of a transaction's data when a request follows as it is sent. After another one follows what an
/// [`Exchange`] is made of.
pub const AS_SENT: u8 = b'H';

fn request(data: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    match data {
        [AS_SENT, request @ ..] => {
            let (head, body) = request.split_at(find_head_end(request).unwrap_or(request.len()));
            Some((head.to_vec(), body.to_vec()))
        }
        [_, rest @ ..] => Some(Exchange::arbitrary_take_rest(Unstructured::new(rest)).ok()?.bytes()),
        [] => None,
    }
}

/// Transactions of the embedded ruleset end.
pub fn transaction(data: &[u8]) {
    let Some((head, body)) = request(data) else { return };
    transact(&EMBEDDED, &head, &body, true);
}

/// Prefilters, kept values and kept verdicts change nothing: the same rules match the same values. With CRS at its
/// highest paranoia level where there is one (`PORTCULLIS_CRS_DIR`), and with the embedded ruleset.
pub fn prefilter(data: &[u8]) {
    let Some((head, body)) = request(data) else { return };
    for ruleset in [Some(&*EMBEDDED), CRS.as_ref()].into_iter().flatten() {
        let bare = transact(ruleset, &head, &body, false);
        for _ in 0..2 {
            assert_eq!(transact(ruleset, &head, &body, true), bare, "of {}", head.escape_ascii());
        }
    }
}

/// The examples of native rules, which are seeds.
pub fn examples(text: &str) -> Vec<RuleTest> {
    let mut sources = SourceMap::default();
    let mut diagnostics = Diagnostics::default();
    let mut document = Document::default();
    parse_text("rules.yaml", text, &NoFiles, &mut sources, &mut diagnostics, &mut document);
    document.tests
}

/// The configuration is read, or told to be at fault.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = portcullis::config::check(
        "fuzz.yaml",
        text,
        std::path::Path::new("/nonexistent"),
        &Default::default(),
    );
}

impl Exchange {
    fn bytes(&self) -> (Vec<u8>, Vec<u8>) {
        let mut head = match &self.method {
            Method::Get => b"GET".to_vec(),
            Method::Post => b"POST".to_vec(),
            Method::Put => b"PUT".to_vec(),
            Method::Other(name) => name.iter().copied().filter(u8::is_ascii_alphabetic).take(20).collect(),
        };
        head.extend_from_slice(b" /");
        head.extend(visible(&self.path));
        for (n, (name, value)) in self.query.iter().enumerate() {
            head.push(if n == 0 { b'?' } else { b'&' });
            head.extend(visible(name));
            head.push(b'=');
            head.extend(visible(value));
        }
        head.extend_from_slice(b" HTTP/1.1\r\nHost: www.example.com\r\nCookie: ");
        head.extend(field(&self.cookies));
        for (header, value) in &self.headers {
            head.extend_from_slice(b"\r\n");
            match header {
                Header::UserAgent => head.extend_from_slice(b"User-Agent"),
                Header::Referer => head.extend_from_slice(b"Referer"),
                Header::ContentType => head.extend_from_slice(b"Content-Type"),
                Header::Accept => head.extend_from_slice(b"Accept"),
                Header::Range => head.extend_from_slice(b"Range"),
                Header::XForwardedFor => head.extend_from_slice(b"X-Forwarded-For"),
                Header::Other(name) => {
                    head.extend_from_slice(b"X-");
                    head.extend(name.iter().copied().filter(u8::is_ascii_alphanumeric));
                }
            }
            head.extend_from_slice(b": ");
            head.extend(field(value));
        }
        let content_type: &[u8] = match self.kind {
            Kind::Form => b"application/x-www-form-urlencoded",
            Kind::Json => b"application/json",
            Kind::Xml => b"text/xml",
            Kind::Multipart => b"multipart/form-data; boundary=0000",
            Kind::None => b"",
        };
        if !content_type.is_empty() {
            head.extend_from_slice(b"\r\nContent-Type: ");
            head.extend_from_slice(content_type);
            head.extend_from_slice(format!("\r\nContent-Length: {}", self.body.len()).as_bytes());
        }
        head.extend_from_slice(b"\r\n\r\n");
        (head, self.body.clone())
    }
}

fn visible(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    bytes.iter().copied().filter(|b| *b > b' ' && *b != 0x7f)
}

fn field(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    bytes.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n' | 0))
}

/// One transaction: each rule that matched, with what it matched.
fn transact(ruleset: &Arc<Ruleset>, head: &[u8], body: &[u8], quick: bool) -> Vec<(u64, String)> {
    let head = RequestHead::parse(head, &HeadLimits::default());
    let options = Options { id: "0".into(), mode: Some(Mode::DetectionOnly), world: Arc::new(NoWorld) };
    let mut tx = Transaction::new(Arc::clone(ruleset), options);
    tx.set_prefilters(quick);
    tx.set_verdicts(quick);
    tx.set_memo(quick);
    tx.process_connection(([192, 0, 2, 1], 40_000).into(), ([192, 0, 2, 2], 80).into());
    tx.process_uri(&head.method, &head.target, &head.protocol);
    for (name, value) in &head.headers {
        tx.add_request_header(name, value);
    }
    let _ = tx.process_request_headers();
    if tx.request_body_wanted() && !matches!(tx.append_request_body(body), BodyStep::Interrupt(_)) {
        let _ = tx.process_request_body();
    }
    let _ = tx.process_response_headers(200, b"HTTP/1.1");
    if tx.response_body_wanted() {
        let _ = tx.append_response_body(body);
        let _ = tx.process_response_body();
    }
    let report = tx.process_logging(200);
    report.rules.iter().map(|hit| (hit.id, format!("{:?}", hit.matches))).collect()
}

/// Rule text that may include nothing.
struct NoFiles;

impl Loader for NoFiles {
    fn read(&self, _: &str) -> Result<Vec<u8>, String> {
        Err("there are no files".into())
    }

    fn expand(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    fn identity(&self, _: &str) -> Option<String> {
        None
    }
}

static EMBEDDED: LazyLock<Arc<Ruleset>> = LazyLock::new(|| {
    let inputs = [Input::File("@portcullis-core".into())];
    let loader = EmbeddedLoader::new(compile::EMBEDDED, FileLoader);
    compile::load(&inputs, &loader).ruleset.expect("the embedded ruleset compiles")
});

static CRS: LazyLock<Option<Arc<Ruleset>>> = LazyLock::new(|| {
    let directory = PathBuf::from(std::env::var_os("PORTCULLIS_CRS_DIR")?);
    let mut rules: Vec<String> = std::fs::read_dir(directory.join("rules"))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().display().to_string()))
        .filter(|path| path.ends_with(".conf"))
        .collect();
    rules.sort();
    let text = "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n\
                SecAction \"id:900000,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level=4\"\n";
    let setup = directory.join("crs-setup.conf.example").display().to_string();
    let inputs: Vec<Input> =
        [Input::Text { name: "base.conf".into(), text: text.into() }, Input::File(setup)]
            .into_iter()
            .chain(rules.into_iter().map(Input::File))
            .collect();
    compile::load(&inputs, &FileLoader).ruleset
});
