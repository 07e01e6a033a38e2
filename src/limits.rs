//! Every cap on bytes, depth, counts and time, in one place, each with its reason.
//!
//! Limits that SecLang can set (`SecRequestBodyLimit`, …) are defaults here and settings of a ruleset; the
//! others are constants. A limit that is hit is always an event, never silence.

/// Files one load may read, `Include`s of all depths together. A glob over the wrong directory ends here.
pub const INCLUDE_FILES: usize = 4_096;
/// Depth of nested `Include`s. Real trees use two or three; a cycle ends here when names hide it.
pub const INCLUDE_DEPTH: usize = 32;
/// Bytes of one rule or data file. CRS's largest is 130 KB.
pub const SOURCE_FILE_BYTES: usize = 64 << 20;
/// Faults told of one rule file. Whoever wrote more of them has given the wrong file.
pub const DIAGNOSTICS: usize = 1_000;
/// Faults kept of one load, all files together. More are counted, but no longer described.
pub const DIAGNOSTICS_IN_ALL: usize = 20_000;

/// Arguments of one request (`SecArgumentsLimit`): ModSecurity's recommended value. Forms of applications have
/// tens, imports of tables a few hundred.
pub const ARGUMENTS: usize = 1_000;
/// Cookies of one request. Browsers keep 180 for a site.
pub const COOKIES: usize = 1_000;
/// Nesting of JSON (`SecRequestBodyJsonDepthLimit`): ModSecurity's recommended value; real documents stay under 20.
pub const JSON_DEPTH: usize = 512;
/// Bytes that a parser which needs the whole document keeps. The proxy's own limit of a body is lower.
pub const BODY_BUFFER_BYTES: usize = 128 << 20;
/// Parts of one multipart body. Each costs a few hundred bytes here; browsers send one for each field and file.
pub const MULTIPART_PARTS: usize = 1_000_000;
/// Files of one multipart body (`SecUploadFileLimit`): ModSecurity's default.
pub const UPLOAD_FILES: usize = 100;
/// Bytes of one multipart part's headers: ModSecurity's line buffer.
pub const PART_HEADER_BYTES: usize = 8_192;
/// Nesting of XML elements: libxml2's own default limit.
pub const XML_DEPTH: usize = 256;
/// Elements, attributes and texts of one XML document together; a node costs about 64 bytes.
pub const XML_NODES: usize = 1_000_000;
/// Bytes that one compressed body may become.
pub const INFLATE_OUTPUT_BYTES: u64 = 128 << 20;
/// Output bytes for each input byte. Text compresses 3 to 20 times, zeros 1,000 times.
pub const INFLATE_RATIO: u64 = 200;
/// Output below which the ratio is not judged: small bodies of repeated lines are harmless whatever their ratio.
pub const INFLATE_RATIO_GRACE_BYTES: u64 = 1 << 20;
/// Bytes of a request head. Browsers' cookies of one site may reach 40 KB; common servers stop at 8 to 64 KB.
pub const HEAD_BYTES: usize = 128 << 10;
/// Bytes of a request line. RFC 9112 §3 asks for 8,000 at least.
pub const REQUEST_LINE_BYTES: usize = 64 << 10;
/// Header fields of one request head. The HTTP library behind the proxy ends at 255.
pub const HEADER_FIELDS: usize = 200;
/// Bytes of one line of a multipart body that are looked at together: a part header's longest line, and how far
/// into a line of content something that resembles a boundary is searched. ModSecurity's buffer.
pub const MULTIPART_LINE_BYTES: usize = 4_096;
/// Header lines of one multipart part. Browsers send two.
pub const PART_HEADERS: usize = 16;
/// Bytes of a body that an error message quotes.
pub const ERROR_QUOTE_BYTES: usize = 128;
/// Nesting of JSON that no setting exceeds: the reader recurses, and this fits a worker's stack.
pub const JSON_DEPTH_MAX: usize = 1_000;
/// Bytes of the arguments of one JSON or XML body: this and [`ARGUMENT_BYTES_FACTOR`] times the body. Each argument
/// repeats the names above it, so a long name above many values grows with the square of the body.
pub const ARGUMENT_BYTES_BASE: usize = 1 << 20;
/// See [`ARGUMENT_BYTES_BASE`].
pub const ARGUMENT_BYTES_FACTOR: usize = 16;
/// Bytes of an XML document that expressions other than `/*` and `//@*` may search; their library's cost can grow
/// with the square of it.
pub const XPATH_DOCUMENT_BYTES: usize = 256 << 10;
/// Nodes of such a document.
pub const XPATH_NODES: usize = 10_000;
/// Attributes of one element of such a document.
pub const XPATH_ATTRIBUTES: usize = 100;
/// Bytes that one expression may select: nested elements repeat their text.
pub const XPATH_RESULT_BYTES: usize = 4 << 20;
/// Bytes that one transaction's values and their transformations may occupy. Beyond it, transformed values are
/// computed again for each rule instead of being kept: slower, never wrong.
pub const TRANSACTION_ARENA_BYTES: usize = 64 << 20;
/// Finished transactions whose memory a thread keeps for others.
pub const SPARE_BUFFERS: usize = 16;
/// Bytes of values in all the memory that a thread keeps so. A transaction's memory which would be too much beside the rest is
/// given back.
pub const SPARE_BUFFER_BYTES: usize = 4 << 20;
/// Bytes of its scratch buffer that are kept.
pub const SPARE_SCRATCH_BYTES: usize = 16 << 10;
/// Events that one transaction records. The first few tell; a hostile request could raise thousands.
pub const EVENTS_PER_TRANSACTION: usize = 64;
/// Rules that one transaction records as matched. CRS at level 4 matches some 60 on the worst of its own tests.
pub const HITS_PER_TRANSACTION: usize = 512;
/// Values that one recorded rule shows. A rule may match each of a thousand arguments.
pub const MATCHES_PER_HIT: usize = 16;
/// Bytes shown of a matched value.
pub const MATCH_VALUE_BYTES: usize = 1_024;
/// Rules that a trace keeps, of those that matched and of those that began to. Rulesets have two thousand.
pub const TRACED_RULES: usize = 4_096;
/// Bytes that a trace keeps of a value, and of what each transformation made of it.
pub const TRACED_VALUE_BYTES: usize = 4_096;
/// Bytes of a matched value whose layers of encoding are told. Each is read once more for every layer and every rule that
/// matched, which a flood of attacks must not make dear.
pub const DECODED_VALUE_BYTES: usize = 4_096;
/// Bytes of an expanded `logdata`; ModSecurity cuts at 512.
pub const LOGDATA_BYTES: usize = 4_096;
/// Bytes of a redirect's location.
pub const LOCATION_BYTES: usize = 8_192;
/// Names that rules may make up in `TX` (and `ENV`) by macros within one transaction.
pub const TX_DYNAMIC_NAMES: usize = 4_096;
/// Bytes kept of each uploaded file when a rule looks at `FILES_TMP_CONTENT`: what a file is stands in its first bytes, and
/// what is hidden in a picture in the comments before its points. The embedded ruleset reads them in each upload.
pub const FILE_CONTENT_BYTES: usize = 16 << 10;
/// Transformations of one rule. CRS's longest chain has nine.
pub const TRANSFORMATIONS_PER_RULE: usize = 32;
/// Bytes of an operator's argument that reports show.
pub const OPERATOR_TEXT_BYTES: usize = 200;
/// Finished requests that wait to be shown to a candidate ruleset. A thread takes some hundred microseconds for each.
pub const SHADOW_QUEUE: usize = 1_024;
/// Bytes of requests and responses that are kept to be shown to candidate rulesets, over all requests.
pub const SHADOW_BYTES: u64 = 64 << 20;
/// Names whose answers of the resolver are remembered (`@rbl`); each takes some 200 bytes.
pub const RESOLVED_NAMES: usize = 10_000;
/// Names that wait to be asked of the resolver. More come only from a flood of new addresses.
pub const RESOLVER_QUEUE: usize = 256;
/// How far ahead of the clock the beginning of something may be: clocks of instances differ, and are set. What began later
/// than that was noted before the clock was set back by more than a day, and would hold for that much too long.
pub const CLOCK_SKEW: std::time::Duration = std::time::Duration::from_secs(86_400);
