//! The variables there are.

/// A variable of SecLang.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Variable {
    /// `ARGS`
    Args,
    /// `ARGS_COMBINED_SIZE`
    ArgsCombinedSize,
    /// `ARGS_GET`
    ArgsGet,
    /// `ARGS_GET_NAMES`
    ArgsGetNames,
    /// `ARGS_NAMES`
    ArgsNames,
    /// `ARGS_PATH`
    ArgsPath,
    /// `ARGS_POST`
    ArgsPost,
    /// `ARGS_POST_NAMES`
    ArgsPostNames,
    /// `AUTH_TYPE`
    AuthType,
    /// `DURATION`
    Duration,
    /// `ENV`
    Env,
    /// `FILES`
    Files,
    /// `FILES_COMBINED_SIZE`
    FilesCombinedSize,
    /// `FILES_NAMES`
    FilesNames,
    /// `FILES_SIZES`
    FilesSizes,
    /// `FILES_TMPNAMES`
    FilesTmpnames,
    /// `FILES_TMP_CONTENT`
    FilesTmpContent,
    /// `FULL_REQUEST`
    FullRequest,
    /// `FULL_REQUEST_LENGTH`
    FullRequestLength,
    /// `GEO`
    Geo,
    /// `GLOBAL`
    Global,
    /// `HIGHEST_SEVERITY`
    HighestSeverity,
    /// `INBOUND_DATA_ERROR`
    InboundDataError,
    /// `IP`
    Ip,
    /// `JSON`
    Json,
    /// `MATCHED_VAR`
    MatchedVar,
    /// `MATCHED_VARS`
    MatchedVars,
    /// `MATCHED_VARS_NAMES`
    MatchedVarsNames,
    /// `MATCHED_VAR_NAME`
    MatchedVarName,
    /// `MODSEC_BUILD`
    ModsecBuild,
    /// `MSC_PCRE_ERROR`
    MscPcreError,
    /// `MSC_PCRE_LIMITS_EXCEEDED`
    MscPcreLimitsExceeded,
    /// `MULTIPART_BOUNDARY_QUOTED`
    MultipartBoundaryQuoted,
    /// `MULTIPART_BOUNDARY_WHITESPACE`
    MultipartBoundaryWhitespace,
    /// `MULTIPART_CRLF_LF_LINES`
    MultipartCrlfLfLines,
    /// `MULTIPART_DATA_AFTER`
    MultipartDataAfter,
    /// `MULTIPART_DATA_BEFORE`
    MultipartDataBefore,
    /// `MULTIPART_FILENAME`
    MultipartFilename,
    /// `MULTIPART_FILE_LIMIT_EXCEEDED`
    MultipartFileLimitExceeded,
    /// `MULTIPART_HEADER_FOLDING`
    MultipartHeaderFolding,
    /// `MULTIPART_INVALID_HEADER_FOLDING`
    MultipartInvalidHeaderFolding,
    /// `MULTIPART_INVALID_PART`
    MultipartInvalidPart,
    /// `MULTIPART_INVALID_QUOTING`
    MultipartInvalidQuoting,
    /// `MULTIPART_LF_LINE`
    MultipartLfLine,
    /// `MULTIPART_MISSING_SEMICOLON`
    MultipartMissingSemicolon,
    /// `MULTIPART_NAME`
    MultipartName,
    /// `MULTIPART_PART_HEADERS`
    MultipartPartHeaders,
    /// `MULTIPART_STRICT_ERROR`
    MultipartStrictError,
    /// `MULTIPART_UNMATCHED_BOUNDARY`
    MultipartUnmatchedBoundary,
    /// `OUTBOUND_DATA_ERROR`
    OutboundDataError,
    /// `PATH_INFO`
    PathInfo,
    /// `PERF_ALL`
    PerfAll,
    /// `PERF_COMBINED`
    PerfCombined,
    /// `PERF_GC`
    PerfGc,
    /// `PERF_LOGGING`
    PerfLogging,
    /// `PERF_PHASE1`
    PerfPhase1,
    /// `PERF_PHASE2`
    PerfPhase2,
    /// `PERF_PHASE3`
    PerfPhase3,
    /// `PERF_PHASE4`
    PerfPhase4,
    /// `PERF_PHASE5`
    PerfPhase5,
    /// `PERF_RULES`
    PerfRules,
    /// `PERF_SREAD`
    PerfSread,
    /// `PERF_SWRITE`
    PerfSwrite,
    /// `QUERY_STRING`
    QueryString,
    /// `REMOTE_ADDR`
    RemoteAddr,
    /// `REMOTE_HOST`
    RemoteHost,
    /// `REMOTE_PORT`
    RemotePort,
    /// `REMOTE_USER`
    RemoteUser,
    /// `REQBODY_ERROR`
    ReqbodyError,
    /// `REQBODY_ERROR_MSG`
    ReqbodyErrorMsg,
    /// `REQBODY_PROCESSOR`
    ReqbodyProcessor,
    /// `REQBODY_PROCESSOR_ERROR`
    ReqbodyProcessorError,
    /// `REQBODY_PROCESSOR_ERROR_MSG`
    ReqbodyProcessorErrorMsg,
    /// `REQUEST_BASENAME`
    RequestBasename,
    /// `REQUEST_BODY`
    RequestBody,
    /// `REQUEST_BODY_LENGTH`
    RequestBodyLength,
    /// `REQUEST_COOKIES`
    RequestCookies,
    /// `REQUEST_COOKIES_NAMES`
    RequestCookiesNames,
    /// `REQUEST_FILENAME`
    RequestFilename,
    /// `REQUEST_HEADERS`
    RequestHeaders,
    /// `REQUEST_HEADERS_NAMES`
    RequestHeadersNames,
    /// `REQUEST_LINE`
    RequestLine,
    /// `REQUEST_METHOD`
    RequestMethod,
    /// `REQUEST_PROTOCOL`
    RequestProtocol,
    /// `REQUEST_URI`
    RequestUri,
    /// `REQUEST_URI_RAW`
    RequestUriRaw,
    /// `REQUEST_XML`
    RequestXml,
    /// `RESOURCE`
    Resource,
    /// `RESPONSE_ARGS`
    ResponseArgs,
    /// `RESPONSE_BODY`
    ResponseBody,
    /// `RESPONSE_CONTENT_LENGTH`
    ResponseContentLength,
    /// `RESPONSE_CONTENT_TYPE`
    ResponseContentType,
    /// `RESPONSE_HEADERS`
    ResponseHeaders,
    /// `RESPONSE_HEADERS_NAMES`
    ResponseHeadersNames,
    /// `RESPONSE_PROTOCOL`
    ResponseProtocol,
    /// `RESPONSE_STATUS`
    ResponseStatus,
    /// `RESPONSE_XML`
    ResponseXml,
    /// `RES_BODY_ERROR`
    ResBodyError,
    /// `RES_BODY_ERROR_MSG`
    ResBodyErrorMsg,
    /// `RES_BODY_PROCESSOR`
    ResBodyProcessor,
    /// `RES_BODY_PROCESSOR_ERROR`
    ResBodyProcessorError,
    /// `RES_BODY_PROCESSOR_ERROR_MSG`
    ResBodyProcessorErrorMsg,
    /// `RULE`
    Rule,
    /// `SCRIPT_BASENAME`
    ScriptBasename,
    /// `SCRIPT_FILENAME`
    ScriptFilename,
    /// `SCRIPT_GID`
    ScriptGid,
    /// `SCRIPT_GROUPNAME`
    ScriptGroupname,
    /// `SCRIPT_MODE`
    ScriptMode,
    /// `SCRIPT_UID`
    ScriptUid,
    /// `SCRIPT_USERNAME`
    ScriptUsername,
    /// `SDBM_DELETE_ERROR`
    SdbmDeleteError,
    /// `SERVER_ADDR`
    ServerAddr,
    /// `SERVER_NAME`
    ServerName,
    /// `SERVER_PORT`
    ServerPort,
    /// `SESSION`
    Session,
    /// `SESSIONID`
    Sessionid,
    /// `STATUS`
    Status,
    /// `STATUS_LINE`
    StatusLine,
    /// `STREAM_INPUT_BODY`
    StreamInputBody,
    /// `STREAM_OUTPUT_BODY`
    StreamOutputBody,
    /// `TIME`
    Time,
    /// `TIME_DAY`
    TimeDay,
    /// `TIME_EPOCH`
    TimeEpoch,
    /// `TIME_HOUR`
    TimeHour,
    /// `TIME_MIN`
    TimeMin,
    /// `TIME_MON`
    TimeMon,
    /// `TIME_SEC`
    TimeSec,
    /// `TIME_WDAY`
    TimeWday,
    /// `TIME_YEAR`
    TimeYear,
    /// `TX`
    Tx,
    /// `UNIQUE_ID`
    UniqueId,
    /// `URLENCODED_ERROR`
    UrlencodedError,
    /// `USER`
    User,
    /// `USERAGENT_IP`
    UseragentIp,
    /// `USERID`
    Userid,
    /// `WEBAPPID`
    Webappid,
    /// `WEBSERVER_ERROR_LOG`
    WebserverErrorLog,
    /// `XML`
    Xml,
}
