//! The table of variables.

use super::Variable;
use crate::dialect::{CORAZA, Difference, EVERYONE, Status, V2, V2_CORAZA, V2_V3, V3, unlike};

/// Whether a variable has members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One value.
    Scalar,
    /// Any number of values under names; the same name may occur more than once.
    Collection,
}

/// What is known of a variable before any transaction.
#[derive(Debug)]
pub struct Row {
    /// The variable.
    pub variable: Variable,
    /// Its name.
    pub name: &'static str,
    /// Whether it has members.
    pub shape: Shape,
    /// Whether its content may change between two rules of one phase. What may not is gathered once a phase.
    pub volatile: bool,
    /// The first phase in which it has content.
    pub phase: u8,
    /// For the reference, a sentence or two of Markdown.
    pub doc: &'static str,
    /// Whether it is ever filled.
    pub status: Status,
    /// Where it holds something else than elsewhere.
    pub differs: &'static [Difference],
}

impl Variable {
    /// How many variables there are.
    pub const COUNT: usize = V::Xml as usize + 1;

    /// The variable's row.
    pub fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// The name in SecLang.
    pub fn name(self) -> &'static str {
        self.row().name
    }
}

/// All variables, sorted by name; a variable's row stands at its own number.
pub fn all() -> &'static [Row] {
    ROWS
}

/// The variable called `name`, in any case.
pub fn find(name: &str) -> Option<Variable> {
    if name.len() > 40 || !name.is_ascii() {
        return None;
    }
    let upper = name.to_ascii_uppercase();
    ROWS.binary_search_by(|r| r.name.cmp(&upper)).ok().map(|i| ROWS[i].variable)
}

const fn row(
    variable: Variable,
    name: &'static str,
    shape: Shape,
    volatile: bool,
    phase: u8,
    doc: &'static str,
) -> Row {
    Row { variable, name, shape, volatile, phase, doc, status: Status::Implemented, differs: &[] }
}

const fn but(mut row: Row, differs: &'static [Difference]) -> Row {
    row.differs = differs;
    row
}

const fn empty(mut row: Row, why: &'static str) -> Row {
    row.status = Status::Accepted(why);
    row
}

const NO_CLOCK: &str = "the engine has no clock of its own, so it is 0 or empty";
const NO_SCRIPTS: &str = "a proxy has no scripts, so it is empty";
const JSON_NAMES: &[Difference] = &[
    unlike(
        V2,
        "There the names of JSON members have no `json.` before them, and elements of a list are not numbered.",
    ),
    unlike(CORAZA, "There the first element of a JSON list is `json.list.0`, here `json.list.array_0`."),
];
const PERSISTENT: &[Difference] = &[
    unlike(
        V2,
        "Collections are kept in the memory of the process, or where its configuration says, and not in the files of `SecDataDir`.",
    ),
    unlike(CORAZA, "There nothing is kept from one transaction to the next."),
];
const LOCAL_TIME: &[Difference] = &[unlike(EVERYONE, "In UTC; there in the time zone of the server.")];
const MERGED: &[Difference] = &[unlike(
    V2,
    "Headers of the same name are members of their own; there Apache has joined them by commas.",
)];

use Shape::{Collection, Scalar};
use Variable as V;

#[rustfmt::skip]
static ROWS: &[Row] = &[
    but(row(V::Args, "ARGS", Collection, false, 1, "All arguments, of the query string (from phase 1) and of the body (from phase 2). With a selector, those of that name."), JSON_NAMES),
    row(V::ArgsCombinedSize, "ARGS_COMBINED_SIZE", Scalar, false, 1, "The length of all argument names and values together, in bytes."),
    row(V::ArgsGet, "ARGS_GET", Collection, false, 1, "Arguments of the query string."),
    row(V::ArgsGetNames, "ARGS_GET_NAMES", Collection, false, 1, "Names of the arguments of the query string."),
    but(row(V::ArgsNames, "ARGS_NAMES", Collection, false, 1, "Names of all arguments."), &[unlike(V2, "There the names of JSON members have no `json.` before them, and elements of a list are not numbered."), unlike(CORAZA, "There the first element of a JSON list is `json.list.0`, here `json.list.array_0`."), unlike(V2, "`!ARGS:name` leaves the name out of `ARGS_NAMES` too.")]),
    row(V::ArgsPath, "ARGS_PATH", Collection, false, 1, "Arguments taken from the path by `@restpath`."),
    but(row(V::ArgsPost, "ARGS_POST", Collection, false, 2, "Arguments of the request body: form fields, and the leaves of JSON."), JSON_NAMES),
    but(row(V::ArgsPostNames, "ARGS_POST_NAMES", Collection, false, 2, "Names of the arguments of the request body."), JSON_NAMES),
    but(row(V::AuthType, "AUTH_TYPE", Scalar, false, 1, "The scheme of the `Authorization` header, e.g. `Basic`."), &[unlike(V2, "What the client says; there what Apache has authenticated.")]),
    row(V::Duration, "DURATION", Scalar, true, 1, "Microseconds since the transaction began."),
    but(row(V::Env, "ENV", Collection, true, 1, "What `setenv` has set, what is known of the TLS connection (`SSL_CLIENT_S_DN`, `SSL_PROTOCOL`, …, as Apache's mod_ssl names it), and the process's environment by name."), &[unlike(V2, "Of the request only what mod_ssl sets; there Apache's whole environment for it.")]),
    row(V::Files, "FILES", Collection, false, 2, "Original names of uploaded files; the selector is the form field's name."),
    row(V::FilesCombinedSize, "FILES_COMBINED_SIZE", Scalar, false, 2, "The size of all uploaded files together, in bytes."),
    row(V::FilesNames, "FILES_NAMES", Collection, false, 2, "Names of the form fields that carried files."),
    row(V::FilesSizes, "FILES_SIZES", Collection, false, 2, "Sizes of the uploaded files in bytes."),
    but(row(V::FilesTmpnames, "FILES_TMPNAMES", Collection, false, 2, "Names of temporary files. Nothing is written to disk here, so the names are those that files would have."), &[unlike(EVERYONE, "No file is written: the names are those that files would have.")]),
    but(row(V::FilesTmpContent, "FILES_TMP_CONTENT", Collection, false, 2, "The content of uploaded files, up to the limit on inspected file content."), &[unlike(V2_V3, "Filled whenever a rule looks at it; there only under `SecTmpSaveUploadedFiles`.")]),
    row(V::FullRequest, "FULL_REQUEST", Scalar, false, 2, "The whole request: line, headers and body."),
    row(V::FullRequestLength, "FULL_REQUEST_LENGTH", Scalar, false, 2, "The length of the whole request in bytes."),
    but(row(V::Geo, "GEO", Collection, true, 1, "What `@geoLookup` found: `COUNTRY_CODE`, `COUNTRY_CODE3`, `COUNTRY_NAME`, `COUNTRY_CONTINENT`, `REGION`, `CITY`, `POSTAL_CODE`, `LATITUDE`, `LONGITUDE`."), &[unlike(V2_V3, "`DMA_CODE` and `AREA_CODE` are not filled: newer databases do not have them.")]),
    but(row(V::Global, "GLOBAL", Collection, true, 1, "The persistent collection that `initcol:global` opened."), PERSISTENT),
    row(V::HighestSeverity, "HIGHEST_SEVERITY", Scalar, true, 1, "The severity of the most severe rule that matched so far, 0 to 7; 255 when none has."),
    row(V::InboundDataError, "INBOUND_DATA_ERROR", Scalar, false, 2, "1 when the request body exceeded `SecRequestBodyLimit`."),
    but(row(V::Ip, "IP", Collection, true, 1, "The persistent collection that `initcol:ip` opened."), PERSISTENT),
    row(V::Json, "JSON", Collection, false, 2, "The leaves of a JSON request body; an alias of `ARGS_POST` for such bodies."),
    row(V::MatchedVar, "MATCHED_VAR", Scalar, true, 1, "The value that matched last, after transformation."),
    row(V::MatchedVars, "MATCHED_VARS", Collection, true, 1, "All values that matched in the rule before in the chain, or in the rule itself."),
    row(V::MatchedVarsNames, "MATCHED_VARS_NAMES", Collection, true, 1, "Names of the variables of `MATCHED_VARS`."),
    row(V::MatchedVarName, "MATCHED_VAR_NAME", Scalar, true, 1, "The name of the variable that matched last, e.g. `ARGS:id`."),
    row(V::ModsecBuild, "MODSEC_BUILD", Scalar, false, 1, "A number that tells versions apart, as ModSecurity computes it from its version."),
    row(V::MscPcreError, "MSC_PCRE_ERROR", Scalar, true, 1, "1 when a regular expression failed in this transaction for another reason than its limit."),
    row(V::MscPcreLimitsExceeded, "MSC_PCRE_LIMITS_EXCEEDED", Scalar, true, 1, "1 when a regular expression gave up at its limit in this transaction. `TX:MSC_PCRE_LIMITS_EXCEEDED` is 1 as well, as in ModSecurity 2."),
    row(V::MultipartBoundaryQuoted, "MULTIPART_BOUNDARY_QUOTED", Scalar, false, 2, "1 when the boundary was written in quotes."),
    row(V::MultipartBoundaryWhitespace, "MULTIPART_BOUNDARY_WHITESPACE", Scalar, false, 2, "1 when the boundary holds white space."),
    row(V::MultipartCrlfLfLines, "MULTIPART_CRLF_LF_LINES", Scalar, false, 2, "1 when a multipart body mixes CRLF and LF line ends."),
    row(V::MultipartDataAfter, "MULTIPART_DATA_AFTER", Scalar, false, 2, "1 when data follow the last boundary."),
    row(V::MultipartDataBefore, "MULTIPART_DATA_BEFORE", Scalar, false, 2, "1 when data precede the first boundary."),
    row(V::MultipartFilename, "MULTIPART_FILENAME", Collection, false, 2, "File names of multipart parts."),
    row(V::MultipartFileLimitExceeded, "MULTIPART_FILE_LIMIT_EXCEEDED", Scalar, false, 2, "1 when there were more files than `SecUploadFileLimit`."),
    row(V::MultipartHeaderFolding, "MULTIPART_HEADER_FOLDING", Scalar, false, 2, "1 when a part's header is folded."),
    row(V::MultipartInvalidHeaderFolding, "MULTIPART_INVALID_HEADER_FOLDING", Scalar, false, 2, "1 when a part's header is folded in an invalid way."),
    row(V::MultipartInvalidPart, "MULTIPART_INVALID_PART", Scalar, false, 2, "1 when a part is not well-formed."),
    row(V::MultipartInvalidQuoting, "MULTIPART_INVALID_QUOTING", Scalar, false, 2, "1 when a part's header quotes in an invalid way."),
    row(V::MultipartLfLine, "MULTIPART_LF_LINE", Scalar, false, 2, "1 when a line ends in LF alone."),
    row(V::MultipartMissingSemicolon, "MULTIPART_MISSING_SEMICOLON", Scalar, false, 2, "1 when a semicolon is missing in the `Content-Type` of the body."),
    row(V::MultipartName, "MULTIPART_NAME", Collection, false, 2, "Field names of multipart parts."),
    but(row(V::MultipartPartHeaders, "MULTIPART_PART_HEADERS", Collection, false, 2, "Header lines of multipart parts, under the names of their fields."), &[unlike(V3, "Header lines have no line end; some versions there leave it.")]),
    row(V::MultipartStrictError, "MULTIPART_STRICT_ERROR", Scalar, false, 2, "1 when any of the checks on multipart bodies failed."),
    row(V::MultipartUnmatchedBoundary, "MULTIPART_UNMATCHED_BOUNDARY", Scalar, false, 2, "1 when a line looks like a boundary and is none (2 when it may be a part of the content)."),
    row(V::OutboundDataError, "OUTBOUND_DATA_ERROR", Scalar, false, 4, "1 when the response body exceeded `SecResponseBodyLimit`."),
    but(row(V::PathInfo, "PATH_INFO", Scalar, false, 1, "The path of the request target."), &[unlike(V2, "The whole path, as in ModSecurity 3; there what follows the script that Apache has found.")]),
    empty(row(V::PerfAll, "PERF_ALL", Scalar, true, 5, "Accepted for compatibility; empty, since the engine has no clock of its own."), NO_CLOCK),
    empty(row(V::PerfCombined, "PERF_COMBINED", Scalar, true, 5, "Accepted for compatibility; 0."), NO_CLOCK),
    empty(row(V::PerfGc, "PERF_GC", Scalar, true, 5, "Accepted for compatibility; 0."), NO_CLOCK),
    empty(row(V::PerfLogging, "PERF_LOGGING", Scalar, true, 5, "Accepted for compatibility; 0."), NO_CLOCK),
    empty(row(V::PerfPhase1, "PERF_PHASE1", Scalar, true, 5, "Accepted for compatibility; 0."), NO_CLOCK),
    empty(row(V::PerfPhase2, "PERF_PHASE2", Scalar, true, 5, "Accepted for compatibility; 0."), NO_CLOCK),
    empty(row(V::PerfPhase3, "PERF_PHASE3", Scalar, true, 5, "Accepted for compatibility; 0."), NO_CLOCK),
    empty(row(V::PerfPhase4, "PERF_PHASE4", Scalar, true, 5, "Accepted for compatibility; 0."), NO_CLOCK),
    empty(row(V::PerfPhase5, "PERF_PHASE5", Scalar, true, 5, "Accepted for compatibility; 0."), NO_CLOCK),
    empty(row(V::PerfRules, "PERF_RULES", Collection, true, 5, "Accepted for compatibility; empty."), NO_CLOCK),
    empty(row(V::PerfSread, "PERF_SREAD", Scalar, true, 5, "Accepted for compatibility; 0."), NO_CLOCK),
    empty(row(V::PerfSwrite, "PERF_SWRITE", Scalar, true, 5, "Accepted for compatibility; 0."), NO_CLOCK),
    row(V::QueryString, "QUERY_STRING", Scalar, false, 1, "The query of the request target, as received, without the question mark."),
    row(V::RemoteAddr, "REMOTE_ADDR", Scalar, false, 1, "The client's address."),
    but(row(V::RemoteHost, "REMOTE_HOST", Scalar, false, 1, "The client's name where it is known, otherwise its address. The server looks no names up, so that it is the address there."), &[unlike(V2, "Always the address; there a name where Apache looks names up.")]),
    row(V::RemotePort, "REMOTE_PORT", Scalar, false, 1, "The client's port."),
    but(row(V::RemoteUser, "REMOTE_USER", Scalar, false, 1, "The user of HTTP Basic authentication."), &[unlike(V2, "The user that the client claims to be by HTTP Basic authentication; there the one that Apache has authenticated.")]),
    row(V::ReqbodyError, "REQBODY_ERROR", Scalar, false, 2, "1 when the request body could not be parsed. An alias of `REQBODY_PROCESSOR_ERROR`."),
    row(V::ReqbodyErrorMsg, "REQBODY_ERROR_MSG", Scalar, false, 2, "Why the request body could not be parsed."),
    row(V::ReqbodyProcessor, "REQBODY_PROCESSOR", Scalar, true, 1, "The request body processor in use: `URLENCODED`, `MULTIPART`, `JSON`, `XML`, `RAW`, or empty."),
    row(V::ReqbodyProcessorError, "REQBODY_PROCESSOR_ERROR", Scalar, false, 2, "1 when the request body processor failed."),
    row(V::ReqbodyProcessorErrorMsg, "REQBODY_PROCESSOR_ERROR_MSG", Scalar, false, 2, "Why the request body processor failed."),
    but(row(V::RequestBasename, "REQUEST_BASENAME", Scalar, false, 1, "What follows the last slash of the path."), &[unlike(V2, "Percent-decoded; there as received.")]),
    but(row(V::RequestBody, "REQUEST_BODY", Scalar, false, 2, "The request body: for forms, and for others but multipart when `ctl:forceRequestBodyVariable` is on. Behind the bytes of a body whose character set hides ASCII, the texts that they may be, each on a line of its own."), &[unlike(V3, "Filled for forms and under `ctl:forceRequestBodyVariable=On`; there for every type of body.")]),
    row(V::RequestBodyLength, "REQUEST_BODY_LENGTH", Scalar, false, 2, "The length of the request body in bytes."),
    row(V::RequestCookies, "REQUEST_COOKIES", Collection, false, 1, "Values of cookies; those that readers of older syntaxes make of quoted ones follow the plain ones."),
    row(V::RequestCookiesNames, "REQUEST_COOKIES_NAMES", Collection, false, 1, "Names of cookies."),
    but(row(V::RequestFilename, "REQUEST_FILENAME", Scalar, false, 1, "The path of the request target, URL-decoded, as in ModSecurity 3."), &[unlike(V2, "Percent-decoded; there as received."), unlike(V3, "The target is cut first and then decoded; there a `%3F` in the path ends it and hides what follows.")]),
    but(row(V::RequestHeaders, "REQUEST_HEADERS", Collection, false, 1, "Values of request headers."), MERGED),
    row(V::RequestHeadersNames, "REQUEST_HEADERS_NAMES", Collection, false, 1, "Names of request headers."),
    row(V::RequestLine, "REQUEST_LINE", Scalar, false, 1, "The request line as received."),
    row(V::RequestMethod, "REQUEST_METHOD", Scalar, false, 1, "The method."),
    row(V::RequestProtocol, "REQUEST_PROTOCOL", Scalar, false, 1, "The protocol, e.g. `HTTP/1.1`."),
    but(row(V::RequestUri, "REQUEST_URI", Scalar, false, 1, "Path and query of the request target, URL-decoded, as in ModSecurity 3."), &[unlike(V2_CORAZA, "Percent-decoded; there as received. `REQUEST_URI_RAW` is as received everywhere."), unlike(V3, "The target is cut first and then decoded; there a `%23` in the path ends it.")]),
    row(V::RequestUriRaw, "REQUEST_URI_RAW", Scalar, false, 1, "The request target as received, with scheme and host where it had them."),
    but(row(V::RequestXml, "REQUEST_XML", Collection, false, 2, "Coraza's name for `XML` of the request."), &[unlike(CORAZA, "Any XPath expression selects; there `/*` and `//@*` are all there is.")]),
    but(row(V::Resource, "RESOURCE", Collection, true, 1, "The persistent collection that `initcol:resource` opened."), PERSISTENT),
    row(V::ResponseArgs, "RESPONSE_ARGS", Collection, false, 4, "Leaves of a parsed response body."),
    row(V::ResponseBody, "RESPONSE_BODY", Scalar, false, 4, "The response body, as far as it was held for inspection."),
    row(V::ResponseContentLength, "RESPONSE_CONTENT_LENGTH", Scalar, false, 3, "The length of the response body in bytes."),
    row(V::ResponseContentType, "RESPONSE_CONTENT_TYPE", Scalar, false, 3, "The type of the response body, without parameters."),
    but(row(V::ResponseHeaders, "RESPONSE_HEADERS", Collection, false, 3, "Values of response headers."), MERGED),
    row(V::ResponseHeadersNames, "RESPONSE_HEADERS_NAMES", Collection, false, 3, "Names of response headers."),
    row(V::ResponseProtocol, "RESPONSE_PROTOCOL", Scalar, false, 3, "The protocol of the response."),
    row(V::ResponseStatus, "RESPONSE_STATUS", Scalar, false, 3, "The status of the response."),
    row(V::ResponseXml, "RESPONSE_XML", Collection, false, 4, "Coraza's name for XML of the response."),
    row(V::ResBodyError, "RES_BODY_ERROR", Scalar, false, 4, "1 when the response body could not be decoded, or is a part (206) of one that would be inspected as a whole."),
    row(V::ResBodyErrorMsg, "RES_BODY_ERROR_MSG", Scalar, false, 4, "Why the response body could not be parsed."),
    row(V::ResBodyProcessor, "RES_BODY_PROCESSOR", Scalar, true, 3, "The response body processor in use."),
    row(V::ResBodyProcessorError, "RES_BODY_PROCESSOR_ERROR", Scalar, false, 4, "1 when the response body processor failed."),
    row(V::ResBodyProcessorErrorMsg, "RES_BODY_PROCESSOR_ERROR_MSG", Scalar, false, 4, "Why the response body processor failed."),
    row(V::Rule, "RULE", Collection, true, 1, "Fields of the rule being evaluated: `id`, `rev`, `severity`, `logdata`, `msg`."),
    but(row(V::ScriptBasename, "SCRIPT_BASENAME", Scalar, false, 1, "The last part of the path; a proxy has no scripts, so this is `REQUEST_BASENAME`."), &[unlike(V2, "The last part of the path; there the name of a file of the server.")]),
    but(row(V::ScriptFilename, "SCRIPT_FILENAME", Scalar, false, 1, "The path; a proxy has no scripts, so this is `REQUEST_FILENAME`."), &[unlike(V2, "The path; there the name of a file of the server.")]),
    empty(row(V::ScriptGid, "SCRIPT_GID", Scalar, false, 1, "Accepted for compatibility; empty, since a proxy has no scripts."), NO_SCRIPTS),
    empty(row(V::ScriptGroupname, "SCRIPT_GROUPNAME", Scalar, false, 1, "Accepted for compatibility; empty, since a proxy has no scripts."), NO_SCRIPTS),
    empty(row(V::ScriptMode, "SCRIPT_MODE", Scalar, false, 1, "Accepted for compatibility; empty, since a proxy has no scripts."), NO_SCRIPTS),
    empty(row(V::ScriptUid, "SCRIPT_UID", Scalar, false, 1, "Accepted for compatibility; empty, since a proxy has no scripts."), NO_SCRIPTS),
    empty(row(V::ScriptUsername, "SCRIPT_USERNAME", Scalar, false, 1, "Accepted for compatibility; empty, since a proxy has no scripts."), NO_SCRIPTS),
    empty(row(V::SdbmDeleteError, "SDBM_DELETE_ERROR", Scalar, false, 1, "Accepted for compatibility; 0, since collections are not kept in SDBM files."), "collections are not kept in SDBM files, so it is 0"),
    row(V::ServerAddr, "SERVER_ADDR", Scalar, false, 1, "The address on which the request came in."),
    but(row(V::ServerName, "SERVER_NAME", Scalar, false, 1, "The host that the request names, without its port."), &[unlike(V2, "Always the host that the request names; there Apache may put its own name.")]),
    row(V::ServerPort, "SERVER_PORT", Scalar, false, 1, "The port on which the request came in."),
    but(row(V::Session, "SESSION", Collection, true, 1, "The persistent collection that `setsid` or `initcol:session` opened."), PERSISTENT),
    row(V::Sessionid, "SESSIONID", Scalar, true, 1, "The value given to `setsid`."),
    row(V::Status, "STATUS", Scalar, false, 3, "The status of the response. An alias of `RESPONSE_STATUS`."),
    row(V::StatusLine, "STATUS_LINE", Scalar, false, 3, "Protocol and status of the response."),
    but(row(V::StreamInputBody, "STREAM_INPUT_BODY", Scalar, false, 2, "The request body as sent on; here the same as the body inspected."), &[unlike(V2, "The same as what is inspected: nothing rewrites it.")]),
    but(row(V::StreamOutputBody, "STREAM_OUTPUT_BODY", Scalar, false, 4, "The response body as sent on; here the same as the body inspected."), &[unlike(V2, "The same as what is inspected: nothing rewrites it.")]),
    but(row(V::Time, "TIME", Scalar, true, 1, "The time, `hh:mm:ss`; like all of `TIME_…`, in UTC."), LOCAL_TIME),
    but(row(V::TimeDay, "TIME_DAY", Scalar, true, 1, "Day of the month, 1 to 31."), LOCAL_TIME),
    row(V::TimeEpoch, "TIME_EPOCH", Scalar, true, 1, "Seconds since 1970."),
    but(row(V::TimeHour, "TIME_HOUR", Scalar, true, 1, "Hour, 0 to 23."), LOCAL_TIME),
    but(row(V::TimeMin, "TIME_MIN", Scalar, true, 1, "Minute, 0 to 59."), LOCAL_TIME),
    but(row(V::TimeMon, "TIME_MON", Scalar, true, 1, "Month, 0 to 11."), LOCAL_TIME),
    row(V::TimeSec, "TIME_SEC", Scalar, true, 1, "Second, 0 to 59."),
    but(row(V::TimeWday, "TIME_WDAY", Scalar, true, 1, "Day of the week, 0 (Sunday) to 6."), LOCAL_TIME),
    but(row(V::TimeYear, "TIME_YEAR", Scalar, true, 1, "Year, four digits."), LOCAL_TIME),
    row(V::Tx, "TX", Collection, true, 1, "The transaction's own variables, set by `setvar`, and captures `0` to `9`."),
    row(V::UniqueId, "UNIQUE_ID", Scalar, false, 1, "The transaction's id."),
    row(V::UrlencodedError, "URLENCODED_ERROR", Scalar, false, 1, "1 when a URL-encoded string held an invalid escape."),
    but(row(V::User, "USER", Collection, true, 1, "The persistent collection that `setuid` or `initcol:user` opened."), PERSISTENT),
    row(V::UseragentIp, "USERAGENT_IP", Scalar, false, 1, "The client's address, as `REMOTE_ADDR`."),
    row(V::Userid, "USERID", Scalar, true, 1, "The value given to `setuid`."),
    row(V::Webappid, "WEBAPPID", Scalar, true, 1, "`SecWebAppId`."),
    empty(row(V::WebserverErrorLog, "WEBSERVER_ERROR_LOG", Collection, true, 5, "Accepted for compatibility; empty, since there is no web server's log."), "there is no web server's log, so it is empty"),
    but(row(V::Xml, "XML", Collection, false, 2, "The request body as XML; the selector is an XPath expression."), &[unlike(V2_V3, "Entities of a document type are never expanded."), unlike(CORAZA, "Any XPath expression selects; there `/*` and `//@*` are all there is.")]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_at_its_own_number_and_is_found_in_any_case() {
        for (i, row) in all().iter().enumerate() {
            assert_eq!(row.variable as usize, i, "{}", row.name);
            assert_eq!(find(&row.name.to_lowercase()), Some(row.variable));
            assert!((1..=5).contains(&row.phase) && row.doc.ends_with('.'));
        }
        assert_eq!(find("ARGS_"), None);
    }
}
