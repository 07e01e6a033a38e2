//! The data suite of heads, targets, cookies and bodies, and what no list of cases shows: that chunks do not
//! matter, that nothing panics, and that hostile bodies stay cheap.

use portcullis::body::{
    BodyLimits, BodyParser, Coding, InflateError, InflateLimits, Inflater, ParsedBody, Processor, XmlIntoArgs,
};
use portcullis::http::{
    COOKIE_SEPARATOR, CookieFormat, HeadLimits, HeadScan, Pairs, RequestHead, Target, find_head_end,
    parse_cookies,
};
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyCase {
    name: String,
    content_type: Option<String>,
    body: Option<String>,
    body_hex: Option<String>,
    lines: Option<Vec<String>>,
    lf_lines: Option<Vec<String>>,
    #[serde(default)]
    limits: LimitsCase,
    #[serde(default)]
    namespaces: BTreeMap<String, String>,
    expect: Expect,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsCase {
    arguments: Option<usize>,
    argument_separator: Option<String>,
    json_depth: Option<usize>,
    buffer: Option<usize>,
    parts: Option<usize>,
    files: Option<usize>,
    part_header_bytes: Option<usize>,
    file_content: Option<usize>,
    xml_depth: Option<usize>,
    xml_nodes: Option<usize>,
    xml_into_args: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Expect {
    args: Vec<(String, String)>,
    files: Vec<FileCase>,
    part_headers: Option<Vec<(String, String)>>,
    flags: Option<Vec<String>>,
    multipart_name: Option<String>,
    multipart_filename: Option<String>,
    /// A part of the error; none means that there must be none.
    error: Option<String>,
    urlencoded_error: bool,
    hits: Vec<String>,
    select: BTreeMap<String, Vec<String>>,
    select_error: Vec<String>,
    no_xml: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileCase {
    field: String,
    filename: String,
    size: u64,
    content_type: String,
    content: String,
}

impl BodyCase {
    fn bytes(&self) -> Vec<u8> {
        if let Some(hex) = &self.body_hex {
            return unhex(hex);
        }
        if let Some(lines) = &self.lines {
            return lines.iter().flat_map(|l| [l.as_bytes(), b"\r\n"].concat()).collect();
        }
        if let Some(lines) = &self.lf_lines {
            return lines.iter().flat_map(|l| [l.as_bytes(), b"\n"].concat()).collect();
        }
        self.body.clone().unwrap_or_default().into_bytes()
    }

    fn limits(&self) -> BodyLimits {
        let mut limits = BodyLimits::default();
        let case = &self.limits;
        let set = |target: &mut usize, value: Option<usize>| *target = value.unwrap_or(*target);
        set(&mut limits.arguments, case.arguments);
        set(&mut limits.json_depth, case.json_depth);
        set(&mut limits.buffer, case.buffer);
        set(&mut limits.parts, case.parts);
        set(&mut limits.files, case.files);
        set(&mut limits.part_header_bytes, case.part_header_bytes);
        set(&mut limits.file_content, case.file_content);
        set(&mut limits.xml_depth, case.xml_depth);
        set(&mut limits.xml_nodes, case.xml_nodes);
        if let Some(separator) = &case.argument_separator {
            limits.argument_separator = separator.as_bytes()[0];
        }
        limits.xml_into_args = match case.xml_into_args.as_deref() {
            None => XmlIntoArgs::Off,
            Some("On") => XmlIntoArgs::On,
            Some("OnlyArgs") => XmlIntoArgs::OnlyArgs,
            Some(other) => panic!("no such setting: {other}"),
        };
        limits
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hexadecimal digits"))
        .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn listed(pairs: &Pairs) -> Vec<(String, String)> {
    pairs.iter().map(|(n, v)| (text(n), text(v))).collect()
}

fn parse<'a>(
    processor: Processor,
    limits: &BodyLimits,
    content_type: &str,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> ParsedBody {
    let mut parser = BodyParser::new(processor, limits, content_type.as_bytes());
    for chunk in chunks {
        parser.feed(chunk);
    }
    parser.finish()
}

fn flags(body: &ParsedBody) -> Vec<String> {
    let f = &body.flags;
    let named = [
        ("boundary_quoted", f.boundary_quoted),
        ("boundary_whitespace", f.boundary_whitespace),
        ("crlf_lf_lines", f.crlf_lf_lines()),
        ("crlf_line", f.crlf_line),
        ("data_after", f.data_after),
        ("data_before", f.data_before),
        ("error", f.error),
        ("file_limit_exceeded", f.file_limit_exceeded),
        ("header_folding", f.header_folding),
        ("invalid_header_folding", f.invalid_header_folding),
        ("invalid_part", f.invalid_part),
        ("invalid_quoting", f.invalid_quoting),
        ("lf_line", f.lf_line),
        ("missing_semicolon", f.missing_semicolon),
        ("strict_error", f.strict_error()),
    ];
    let mut names: Vec<String> = named.iter().filter(|(_, on)| *on).map(|(n, _)| (*n).to_owned()).collect();
    if f.unmatched_boundary > 0 {
        names.push(format!("unmatched_boundary={}", f.unmatched_boundary));
    }
    names
}

fn run_bodies(processor: Processor, suite: &str, default_type: &str) {
    let cases: Vec<BodyCase> = serde_yaml::from_str(suite).expect("a suite is valid YAML");
    let mut failures = String::new();
    for case in &cases {
        let bytes = case.bytes();
        let limits = case.limits();
        let content_type = case.content_type.as_deref().unwrap_or(default_type);
        let body = parse(processor, &limits, content_type, [bytes.as_slice()]);
        for size in [1, 2, 3, 7] {
            let split = parse(processor, &limits, content_type, bytes.chunks(size));
            assert_eq!(split, body, "{}: chunks of {size}", case.name);
        }
        let e = &case.expect;
        let mut check = |what: &str, actual: String, expected: String| {
            if actual != expected {
                let _ =
                    writeln!(failures, "{}: {what}\n  is       {actual}\n  expected {expected}", case.name);
            }
        };
        check("args", format!("{:?}", listed(&body.args)), format!("{:?}", e.args));
        let files: Vec<_> = body
            .files
            .iter()
            .map(|f| (text(&f.field), text(&f.filename), f.size, text(&f.content_type), text(&f.content)))
            .collect();
        let expected: Vec<_> = e
            .files
            .iter()
            .map(|f| (f.field.clone(), f.filename.clone(), f.size, f.content_type.clone(), f.content.clone()))
            .collect();
        check("files", format!("{files:?}"), format!("{expected:?}"));
        if let Some(headers) = &e.part_headers {
            check("part headers", format!("{:?}", listed(&body.part_headers)), format!("{headers:?}"));
        }
        if processor == Processor::Multipart {
            let mut expected = e.flags.clone().expect("multipart cases list flags");
            let mut actual = flags(&body);
            expected.sort();
            actual.sort();
            check("flags", format!("{actual:?}"), format!("{expected:?}"));
        }
        if let Some(name) = &e.multipart_name {
            check(
                "name",
                format!("{:?}", body.multipart_names.last().map(|n| text(n))),
                format!("{:?}", Some(name)),
            );
        }
        if let Some(name) = &e.multipart_filename {
            let actual = body.multipart_filenames.last().map(|n| text(n));
            check("filename", format!("{actual:?}"), format!("{:?}", Some(name)));
        }
        match (&body.error, &e.error) {
            (None, None) => {}
            (Some(actual), Some(part)) if actual.contains(part.as_str()) => {}
            (actual, expected) => check("error", format!("{actual:?}"), format!("{expected:?}")),
        }
        check("urlencoded error", body.urlencoded_error.to_string(), e.urlencoded_error.to_string());
        let hits: Vec<_> = body.limits.iter().map(|l| l.name().to_owned()).collect();
        check("hits", format!("{hits:?}"), format!("{:?}", e.hits));
        if e.no_xml {
            check("document", body.xml.is_some().to_string(), "false".to_owned());
        }
        let namespaces: Vec<_> = case.namespaces.iter().map(|(p, u)| (p.as_str(), u.as_str())).collect();
        for (xpath, expected) in &e.select {
            let found =
                body.xml.as_ref().expect("a document").select(xpath, &namespaces).map_err(|e| e.to_string());
            let found = found.map(|list| list.iter().map(|(_, v)| text(v)).collect::<Vec<_>>());
            check(xpath, format!("{found:?}"), format!("{:?}", Ok::<_, String>(expected)));
        }
        for xpath in &e.select_error {
            let found = body.xml.as_ref().expect("a document").select(xpath, &namespaces);
            check(xpath, found.is_err().to_string(), "true".to_owned());
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

#[test]
fn urlencoded_suite() {
    run_bodies(Processor::Urlencoded, include_str!("suite/body/urlencoded.yaml"), "");
}

#[test]
fn multipart_suite() {
    let suite = include_str!("suite/body/multipart.yaml");
    run_bodies(Processor::Multipart, suite, "multipart/form-data; boundary=0000");
}

#[test]
fn json_suite() {
    run_bodies(Processor::Json, include_str!("suite/body/json.yaml"), "application/json");
}

#[test]
fn xml_suite() {
    run_bodies(Processor::Xml, include_str!("suite/body/xml.yaml"), "text/xml");
}

#[test]
fn cookie_suite() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        name: String,
        value: String,
        #[serde(default)]
        format: u8,
        separator: Option<String>,
        limit: Option<usize>,
        cookies: Vec<(String, String)>,
        #[serde(default)]
        limit_hit: bool,
    }
    let cases: Vec<Case> = serde_yaml::from_str(include_str!("suite/body/cookie.yaml")).unwrap();
    for case in cases {
        let format = if case.format == 0 { CookieFormat::Netscape } else { CookieFormat::Version1 };
        let separator = case.separator.as_ref().map_or(COOKIE_SEPARATOR, |s| s.as_bytes()[0]);
        let mut out = Pairs::new();
        let hit = parse_cookies(
            case.value.as_bytes(),
            format,
            separator,
            case.limit.unwrap_or(usize::MAX),
            &mut out,
        );
        assert_eq!((listed(&out), hit), (case.cookies, case.limit_hit), "{}", case.name);
    }
}

#[test]
fn target_suite() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        method: Option<String>,
        target: String,
        uri: String,
        filename: String,
        basename: String,
        query: String,
        form: String,
    }
    let cases: Vec<Case> = serde_yaml::from_str(include_str!("suite/body/target.yaml")).unwrap();
    for case in cases {
        let method = case.method.as_deref().unwrap_or("GET");
        let target = Target::parse(method.as_bytes(), case.target.as_bytes());
        let actual = (
            text(&target.request_uri()),
            text(&target.request_filename()),
            text(&target.request_basename()),
            text(target.query_string()),
            format!("{:?}", target.form),
        );
        assert_eq!(
            actual,
            (case.uri, case.filename, case.basename, case.query, case.form),
            "{}",
            case.target
        );
        assert_eq!(target.raw, case.target.as_bytes());
    }
}

#[test]
fn head_suite() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        bytes: Option<usize>,
        line: Option<usize>,
        fields: Option<usize>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        name: String,
        head: String,
        method: Option<String>,
        target: Option<String>,
        protocol: Option<String>,
        headers: Option<Vec<(String, String)>>,
        normalised: Option<String>,
        framing: Option<String>,
        limits: Option<Limits>,
        #[serde(default)]
        faults: Vec<String>,
    }
    let cases: Vec<Case> = serde_yaml::from_str(include_str!("suite/body/head.yaml")).unwrap();
    let mut met = std::collections::BTreeSet::new();
    for case in cases {
        let mut limits = HeadLimits::default();
        if let Some(l) = &case.limits {
            limits.bytes = l.bytes.unwrap_or(limits.bytes);
            limits.line = l.line.unwrap_or(limits.line);
            limits.fields = l.fields.unwrap_or(limits.fields);
        }
        let head = RequestHead::parse(case.head.as_bytes(), &limits);
        let mut faults: Vec<_> = head.faults.iter().map(|f| f.name().to_owned()).collect();
        faults.sort();
        met.extend(faults.iter().cloned());
        assert_eq!(faults, case.faults, "{}", case.name);
        assert_eq!(head.is_acceptable(), head.faults.iter().all(|f| !f.is_fatal()), "{}", case.name);
        let framing = case.framing.unwrap_or_else(|| {
            let default = if head.is_acceptable() { "None" } else { "Ambiguous" };
            default.to_owned()
        });
        assert_eq!(format!("{:?}", head.framing), framing, "{}", case.name);
        if let Some(method) = case.method {
            assert_eq!(text(&head.method), method, "{}", case.name);
        }
        if let Some(target) = case.target {
            assert_eq!(text(&head.target), target, "{}", case.name);
        }
        if let Some(protocol) = case.protocol {
            assert_eq!(text(&head.protocol), protocol, "{}", case.name);
        }
        if let Some(normalised) = case.normalised {
            assert_eq!(text(&head.normalised_target()), normalised, "{}", case.name);
        }
        if let Some(headers) = case.headers {
            let actual: Vec<_> = head.headers.iter().map(|(n, v)| (text(n), text(v))).collect();
            assert_eq!(actual, headers, "{}", case.name);
        }
    }
    let unmet: Vec<_> = portcullis::http::Fault::ALL.iter().filter(|f| !met.contains(f.name())).collect();
    assert!(unmet.is_empty(), "no case for {unmet:?}");
}

#[test]
fn the_end_of_a_head_is_found_however_it_comes() {
    let cases: [(&[u8], Option<usize>); 9] = [
        (b"GET / HTTP/1.1\r\nA: b\r\n\r\nbody", Some(24)),
        (b"GET / HTTP/1.1\nA: b\n\nbody", Some(21)),
        (b"GET / HTTP/1.1\r\nA: b\n\r\nbody", Some(23)),
        (b"GET / HTTP/1.1\r\n\nbody", Some(17)),
        (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", Some(22)),
        (b"\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nA: b\r\n\r", None),
        (b"GET / HTTP/1.1\r\n\rx\r\n", None),
        (b"", None),
    ];
    for (bytes, end) in cases {
        assert_eq!(find_head_end(bytes), end, "{}", text(bytes));
        let mut scan = HeadScan::default();
        let found = (0..=bytes.len()).find_map(|n| scan.find(&bytes[..n]));
        assert_eq!(found, end, "byte by byte: {}", text(bytes));
    }
}

fn inflate(
    coding: Coding,
    limits: &InflateLimits,
    data: &[u8],
    chunk: usize,
) -> Result<Vec<u8>, InflateError> {
    let mut out = Vec::new();
    let mut sink = |bytes: &[u8]| out.extend_from_slice(bytes);
    let mut inflater = Inflater::new(coding, limits);
    let fed = data.chunks(chunk).try_for_each(|c| inflater.feed(c, &mut sink));
    fed.and_then(|()| inflater.finish(&mut sink))?;
    Ok(out)
}

/// One text in every coding, made by other implementations (zlib, Google's brotli, Facebook's zstd).
const COMPRESSED: [(Coding, &str); 6] = [
    (
        Coding::Gzip,
        "1f8b0800000000000003cb4bcc4db52d4bcc294d552b49ad28b1cdc92f4acd55c82c282ecd5518096c008600990300010000",
    ),
    (Coding::Deflate, "789ccb4bcc4db52d4bcc294d552b49ad28b1cdc92f4acd55c82c282ecd5518096c00eb7a6128"),
    (Coding::Deflate, "cb4bcc4db52d4bcc294d552b49ad28b1cdc92f4acd55c82c282ecd5518096c00"),
    (Coding::Brotli, "1bff0020c46d6c5d97e7f96623488aa21c449101d3b2f8d815447e8faa378c9c7b23"),
    (
        Coding::Zstd,
        "28b52ffd04581d0100e06e616d653d76616c756526746578743d6c6f72656d20697073756d200100844f1527767d62af",
    ),
    (
        Coding::Zstd,
        "28b52ffd00581d0100e06e616d653d76616c756526746578743d6c6f72656d20697073756d200100844f1527",
    ),
];

#[test]
fn every_coding_inflates_in_chunks_of_any_size() {
    let plain = format!("name=value&text={}", "lorem ipsum ".repeat(20)).into_bytes();
    for (coding, hex) in COMPRESSED {
        let data = unhex(hex);
        for size in [1, 2, 5, data.len()] {
            let result = inflate(coding, &InflateLimits::default(), &data, size);
            assert_eq!(result.as_ref(), Ok(&plain), "{coding:?} in chunks of {size}");
        }
        for size in [1, 3, data.len() + 1] {
            let longer = [data.as_slice(), b"x"].concat();
            let result = inflate(coding, &InflateLimits::default(), &longer, size);
            assert_eq!(result, Err(InflateError::TrailingData), "{coding:?} with a byte too many");
        }
        for cut in 1..data.len() {
            let result = inflate(coding, &InflateLimits::default(), &data[..cut], 4);
            assert_eq!(result, Err(InflateError::Truncated), "{coding:?} cut at {cut}");
        }
        assert_eq!(
            inflate(coding, &InflateLimits::default(), b"", 1),
            Ok(Vec::new()),
            "{coding:?} of nothing"
        );
        let limits = InflateLimits { output: 100, ..InflateLimits::default() };
        assert_eq!(inflate(coding, &limits, &data, 7), Err(InflateError::OutputLimit), "{coding:?}");
    }
    let identity = inflate(Coding::Identity, &InflateLimits::default(), &plain, 9);
    assert_eq!(identity, Ok(plain));
}

#[test]
fn broken_data_is_an_error() {
    for (coding, hex) in COMPRESSED {
        let mut data = unhex(hex);
        // The last byte is a checksum's, or data's.
        let last = data.len() - 1;
        data[last] ^= 0x55;
        let plain = format!("name=value&text={}", "lorem ipsum ".repeat(20)).into_bytes();
        assert_ne!(inflate(coding, &InflateLimits::default(), &data, 5), Ok(plain), "{coding:?}");
    }
    let two_members = [unhex("1f8b0800000000000003cb4bcc4db52d4bcc294d552b49ad28b1cdc92f4acd55c82c282ecd5518096c008600990300010000"), unhex("1f8b0800000000000003cb4bcc4db52d4bcc294d552b49ad28b1cdc92f4acd55c82c282ecd5518096c008600990300010000")].concat();
    let result = inflate(Coding::Gzip, &InflateLimits::default(), &two_members, 50);
    assert_eq!(result, Err(InflateError::TrailingData));
    let wide_window = unhex(
        "28b52ffd04884d0100e86e616d653d76616c756526746578743d6c6f72656d20697073756d20780200fd18583e207caa3801b2ecaf8a",
    );
    let result = inflate(Coding::Zstd, &InflateLimits::default(), &wide_window, 50);
    assert!(matches!(result, Err(InflateError::Corrupt(_))), "{result:?}");
}

/// Two faults that a decoder may be lenient about, and other recipients are not. RFC 7932 §9.3: commands that make more
/// than the meta-block's length are invalid; and §9.1: windows of more than 24 bits do not exist (an extension's first
/// byte, which would have a decoder allocate a GiB).
#[test]
fn brotli_is_read_strictly_however_it_is_cut() {
    let overshoots = unhex("01000000004d071fadab8103110000071f8b080000ff0042592dad00001f");
    let large_window = unhex("111e0200026f6b03");
    for (name, data) in [("overshoots", overshoots), ("large window", large_window)] {
        for size in 1..=data.len() {
            let result = inflate(Coding::Brotli, &InflateLimits::default(), &data, size);
            assert!(matches!(result, Err(InflateError::Corrupt(_))), "{name} by {size}: {result:?}");
        }
    }
}

#[test]
fn bombs_stop_at_the_ratio() {
    let zeros = vec![0_u8; 16 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&zeros).unwrap();
    let zstd =
        ruzstd::encoding::compress_to_vec(zeros.as_slice(), ruzstd::encoding::CompressionLevel::Fastest);
    let bombs = [
        (Coding::Gzip, gzip.finish().unwrap()),
        (Coding::Zstd, zstd),
        (Coding::Brotli, unhex("cbffff3ff82700e2b14020f7fe2ffffffff04f00c4611180eefd1f")),
    ];
    for (coding, bomb) in bombs {
        let mut made = 0;
        let mut inflater = Inflater::new(coding, &InflateLimits::default());
        let mut sink = |bytes: &[u8]| made += bytes.len();
        let result = inflater.feed(&bomb, &mut sink);
        assert_eq!(result, Err(InflateError::RatioLimit), "{coding:?} of {} bytes", bomb.len());
        assert_eq!(inflater.feed(b"", &mut sink), Err(InflateError::RatioLimit), "errors last");
        assert!(made <= 8 << 20, "{coding:?} made {made} bytes");
    }
}

#[test]
fn codings_are_told_from_headers() {
    let of = |values: &[&str]| Coding::from_headers(values.iter().map(|v| v.as_bytes()));
    assert_eq!(of(&[]), Ok(Coding::Identity));
    assert_eq!(of(&["", "identity"]), Ok(Coding::Identity));
    assert_eq!(of(&[" X-GZip "]), Ok(Coding::Gzip));
    assert_eq!(of(&["identity, br"]), Ok(Coding::Brotli));
    assert_eq!(of(&["gzip, gzip"]), Err(InflateError::StackedCodings));
    assert_eq!(of(&["gzip", "zstd"]), Err(InflateError::StackedCodings));
    assert_eq!(of(&["compress"]), Err(InflateError::UnknownCoding));
}

#[test]
fn a_hundred_thousand_arguments() {
    let form: String = (0..100_000).fold(String::new(), |mut s, i| {
        let _ = write!(s, "name{i}=value%20{i}&");
        s
    });
    let limits = BodyLimits { arguments: usize::MAX, ..BodyLimits::default() };
    let body = parse(Processor::Urlencoded, &limits, "", form.as_bytes().chunks(1_000));
    assert_eq!(body.args.len(), 100_000);
    assert_eq!(body.args.get(99_999), Some((&b"name99999"[..], &b"value 99999"[..])));
    let few = parse(Processor::Urlencoded, &BodyLimits::default(), "", [form.as_bytes()]);
    assert_eq!(few.args.len(), BodyLimits::default().arguments + 1);
    let (name, rest) = few.args.get(BodyLimits::default().arguments).expect("the rest");
    assert!(name.is_empty() && rest.ends_with(b"&name99999=value 99999"));
    let json = format!("[{}0]", "0,".repeat(99_999));
    let body = parse(Processor::Json, &limits, "", [json.as_bytes()]);
    assert_eq!((body.args.len(), body.error), (100_001, None));
}

#[test]
fn a_million_tiny_parts() {
    let part = b"--0\nContent-Disposition:form-data;name=a\n\n\n";
    let limits = BodyLimits { arguments: 1_000, ..BodyLimits::default() };
    let mut parser = BodyParser::new(Processor::Multipart, &limits, b"multipart/form-data; boundary=0");
    let chunk = part.repeat(1_000);
    for _ in 0..1_000 {
        parser.feed(&chunk);
    }
    parser.feed(b"--0--\n");
    let body = parser.finish();
    assert_eq!((body.args.len(), body.part_headers.len(), body.error), (1_001, 1_000_000, None));
}

#[test]
fn long_lines_and_names_stay_cheap() {
    let limits = BodyLimits { arguments: usize::MAX, json_depth: usize::MAX, ..BodyLimits::default() };
    // One value of 8 MB in small chunks, in each format.
    let long = "x%41".repeat(2 << 20);
    let body = parse(Processor::Urlencoded, &limits, "", long.as_bytes().chunks(11));
    assert_eq!(body.args.combined_size(), 4 << 20);
    let upload =
        format!("--0\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n{long}\r\n--0--\r\n");
    let body =
        parse(Processor::Multipart, &limits, "multipart/form-data; boundary=0", upload.as_bytes().chunks(11));
    assert_eq!((body.files[0].size, body.files[0].content.len()), (8 << 20, 0));
    // A long name above many values would repeat it each time.
    let wide = format!("{{\"{}\":[{}0]}}", "k".repeat(100_000), "0,".repeat(100_000));
    let body = parse(Processor::Json, &limits, "", [wide.as_bytes()]);
    assert!(body.args.combined_size() < 8 << 20);
    assert!(body.error.is_some_and(|e| e.contains("too many arguments")));
    // Nesting ends at a fixed depth whatever the setting.
    let deep = "[".repeat(1 << 20);
    let body = parse(Processor::Json, &limits, "", [deep.as_bytes()]);
    assert!(body.error.is_some_and(|e| e.contains("depth")));
    // Attributes of one element, and as many elements beside each other.
    let attributes: String = (0..100_000).map(|i| format!(" a{i}='1'")).collect();
    let body = parse(
        Processor::Xml,
        &limits,
        "",
        [format!("<a{attributes}>{}</a>", "<b/>".repeat(100_000)).as_bytes()],
    );
    let xml = body.xml.expect("a document");
    assert_eq!(xml.select("//@*", &[]).map(|v| v.len()), Ok(100_000));
    assert!(xml.select("//b", &[]).is_err(), "too large for the library");
}

#[test]
fn xpath_on_the_largest_document_it_takes() {
    let limits = BodyLimits::default();
    let nested = format!("{}{}x{}{}", "<a>", "<b>".repeat(200), "</b>".repeat(200), "</a>");
    let flat = format!("<a>{}</a>", "<b>x</b>".repeat(3_000));
    for document in [nested, flat] {
        let xml = parse(Processor::Xml, &limits, "", [document.as_bytes()]).xml.expect("a document");
        for xpath in ["//b", "//b//b", "//b[last()]", "//b/following-sibling::b[1]", "//*[contains(., 'x')]"]
        {
            xml.select(xpath, &[]).unwrap_or_else(|e| panic!("{xpath}: {e}"));
        }
    }
}

/// Bytes made of pieces that mean something to one parser or another, and of noise.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "a",
            "=",
            "&",
            "%41",
            "%",
            "+",
            "--0",
            "--0--",
            "--",
            "\r\n",
            "\n",
            "\r",
            ":",
            ";",
            " ",
            "\t",
            "\"",
            "'",
            "\\",
            "Content-Disposition: form-data; name=\"a\"",
            "Content-Disposition: form-data; name=a; filename=b",
            "Content-Type: x",
            "\r\n\r\n",
            "{",
            "}",
            "[",
            "]",
            ",",
            "\"a\":",
            "1",
            "-",
            "e",
            "null",
            "true",
            "\\u0041",
            "\\ud800",
            "<a>",
            "</a>",
            "<a b='c'>",
            "<b/>",
            "<!--",
            "-->",
            "<![CDATA[",
            "]]>",
            "&amp;",
            "&x;",
            "<!DOCTYPE a [",
            "]>",
            "<?xml version='1.0'?>",
            "HTTP/1.1",
            "GET / HTTP/1.1",
            "Host: x",
            "Content-Length: 1",
            "\0",
        ])
        .prop_map(|s| s.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
        (any::<u8>(), 4_000..4_200_usize).prop_map(|(b, n)| vec![b; n]),
    ];
    let weighted = prop::collection::vec(piece, 0..40);
    weighted.prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn chunks_do_not_matter(
        body in bodies(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        quoted in any::<bool>(),
    ) {
        let mut at: Vec<usize> = cuts.iter().map(|c| c.index(body.len() + 1)).chain([0, body.len()]).collect();
        at.sort_unstable();
        let limits = BodyLimits { file_content: 5, xml_into_args: XmlIntoArgs::On, ..BodyLimits::default() };
        let content_type = if quoted { "multipart/form-data; boundary=\"0\"" } else { "multipart/form-data; boundary=0" };
        for p in [Processor::Urlencoded, Processor::Multipart, Processor::Json, Processor::Xml, Processor::Raw] {
            let whole = parse(p, &limits, content_type, [body.as_slice()]);
            let pieces = parse(p, &limits, content_type, at.windows(2).map(|w| &body[w[0]..w[1]]));
            prop_assert_eq!(&whole, &pieces, "{:?}", p);
            let bytes = parse(p, &limits, content_type, body.chunks(1));
            prop_assert_eq!(&whole, &bytes, "{:?} byte by byte", p);
            if let Some(xml) = whole.xml {
                let _ = xml.select("//a[@b]/text()", &[]);
            }
        }
    }

    #[test]
    fn heads_and_their_pieces_never_panic(bytes in bodies()) {
        let head = RequestHead::parse(&bytes, &HeadLimits::default());
        prop_assert!(!head.is_acceptable() || head.fatal().is_none());
        let _ = head.normalised_target();
        let target = Target::parse(b"GET", &bytes);
        let _ = (target.request_uri(), target.request_filename(), target.request_basename());
        let _ = portcullis::http::MediaType::parse(&bytes);
        let mut out = Pairs::new();
        parse_cookies(&bytes, CookieFormat::Netscape, b';', 100, &mut out);
        parse_cookies(&bytes, CookieFormat::Version1, b';', 100, &mut out);
        let mut scan = HeadScan::default();
        let step = (0..=bytes.len()).find_map(|n| scan.find(&bytes[..n]));
        prop_assert_eq!(step, find_head_end(&bytes));
    }

    #[test]
    fn noise_never_breaks_the_inflater(
        which in 0..COMPRESSED.len(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        chunk in 1..50_usize,
    ) {
        let (coding, hex) = COMPRESSED[which];
        let mut data = unhex(hex);
        for (at, byte) in flips {
            let at = at.index(data.len());
            data[at] ^= byte;
        }
        let limits = InflateLimits { output: 1 << 20, ..InflateLimits::default() };
        let pieces = inflate(coding, &limits, &data, chunk);
        let whole = inflate(coding, &limits, &data, data.len());
        prop_assert_eq!(pieces.is_ok(), whole.is_ok());
        if let (Ok(a), Ok(b)) = (pieces, whole) {
            prop_assert_eq!(a, b);
        }
    }
}
