//! One row per directive of ModSecurity v2, ModSecurity v3 and Coraza v3: its name, how many arguments it takes,
//! what it is for, and what Portcullis does with it. Whether an argument means something is the compiler's
//! business.

use crate::dialect::{Difference, EVERYONE, Refusal, Status, V2, V2_CORAZA, V2_V3, V3_CORAZA, unlike};

/// A directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectiveRow {
    /// The name as the reference manuals spell it. Rule text may spell it in any case.
    pub name: &'static str,
    /// The fewest and the most arguments.
    pub arity: (u8, u8),
    /// What is done with it.
    pub status: Status,
    /// What it is for, one sentence.
    pub doc: &'static str,
    /// Where it does something else than elsewhere.
    pub differs: &'static [Difference],
    /// Where its absence means something else than elsewhere.
    pub absent: &'static [Difference],
}

/// The row of `name`, in any case.
pub fn find(name: &str) -> Option<&'static DirectiveRow> {
    DIRECTIVES.iter().find(|row| row.name.eq_ignore_ascii_case(name))
}

/// All directives, by name.
pub const DIRECTIVES: &[DirectiveRow] = &[
    but(
        row(
            "Include",
            1,
            1,
            Implemented,
            "Reads other rule files here; the name may be a pattern, which must match a file.",
        ),
        BESIDE,
    ),
    but(row("IncludeOptional", 1, 1, Implemented, "Reads other rule files here, if there are any."), BESIDE),
    row("SecAction", 1, 1, Implemented, "Performs its actions without looking at anything."),
    row("SecArgumentSeparator", 1, 1, Implemented, "The character between the arguments of a form body."),
    row(
        "SecArgumentsLimit",
        1,
        1,
        Implemented,
        "How many arguments of the query, and of the body, are looked at one by one. Those beyond it are one more, together, with an empty name; in JSON and XML they are an error of the body.",
    ),
    unset(
        row(
            "SecAuditEngine",
            1,
            1,
            Implemented,
            "Which transactions the audit log records: On, Off or RelevantOnly.",
        ),
        &[unlike(
            EVERYONE,
            "Transactions that rules find relevant are recorded, where the configuration names an audit log; there none is.",
        )],
    ),
    row("SecAuditLog", 1, 1, Accepted(AUDIT_PLACE), "Where the audit log is written."),
    row(
        "SecAuditLog2",
        1,
        1,
        Accepted(AUDIT_PLACE),
        "Where the index of a concurrent audit log is written a second time.",
    ),
    row("SecAuditLogDir", 1, 1, Accepted(AUDIT_PLACE), "An older name of SecAuditLogStorageDir."),
    row(
        "SecAuditLogDirMode",
        1,
        1,
        Accepted(AUDIT_PLACE),
        "The mode of directories that the audit log makes.",
    ),
    row("SecAuditLogFileMode", 1, 1, Accepted(AUDIT_PLACE), "The mode of files that the audit log makes."),
    row(
        "SecAuditLogFormat",
        1,
        1,
        Accepted(AUDIT_PLACE),
        "How a record of the audit log is written: JSON, Native or OCSF.",
    ),
    row("SecAuditLogParts", 1, 1, Implemented, "Which parts a record of the audit log has."),
    row("SecAuditLogPrefix", 1, 1, Accepted(AUDIT_PLACE), "Text put before each record of the audit log."),
    row(
        "SecAuditLogRelevantStatus",
        1,
        1,
        Implemented,
        "Which response statuses make a transaction relevant, as a regular expression.",
    ),
    row("SecAuditLogStorageDir", 1, 1, Accepted(AUDIT_PLACE), "Where a concurrent audit log puts its files."),
    row(
        "SecAuditLogType",
        1,
        1,
        Accepted(AUDIT_PLACE),
        "Whether the audit log is one file (Serial), many (Concurrent) or sent away (HTTPS).",
    ),
    row(
        "SecCacheTransformations",
        1,
        2,
        Accepted("equal transformations are always computed once for each value"),
        "Caches the results of transformations.",
    ),
    row(
        "SecChrootDir",
        1,
        1,
        Accepted("changing the root directory is the service manager's or the container's part"),
        "Changes the server's root directory.",
    ),
    row(
        "SecCollectionTimeout",
        1,
        1,
        Implemented,
        "After how many seconds a persistent collection that nobody touched is forgotten.",
    ),
    row("SecComponentSignature", 1, 1, Implemented, "Names a part of the ruleset in the audit log."),
    row("SecConnEngine", 1, 1, Accepted(CONNECTIONS), "Switches the limits on connections by address."),
    row(
        "SecConnReadStateLimit",
        1,
        2,
        Accepted(CONNECTIONS),
        "How many connections of one address may be sending a request.",
    ),
    row(
        "SecConnWriteStateLimit",
        1,
        2,
        Accepted(CONNECTIONS),
        "How many connections of one address may be receiving a response.",
    ),
    row(
        "SecContentInjection",
        1,
        1,
        Accepted("responses are passed on as they are"),
        "Allows the actions append and prepend.",
    ),
    row("SecCookieFormat", 1, 1, Implemented, "The version of the syntax of cookies."),
    row(
        "SecCookieV0Separator",
        1,
        1,
        Implemented,
        "The character between the cookies of a version 0 header.",
    ),
    row(
        "SecDataDir",
        1,
        1,
        Accepted("persistent collections are kept by the store that the configuration names"),
        "Where persistent collections are kept.",
    ),
    row(
        "SecDataset",
        2,
        2,
        Implemented,
        "Defines a list of words between backticks for @pmFromDataset and @ipMatchFromDataset.",
    ),
    row("SecDebugLog", 1, 1, Accepted(DEBUG_LOG), "Where the debug log is written."),
    row("SecDebugLogLevel", 1, 1, Accepted(DEBUG_LOG), "How much the debug log says, from 0 to 9."),
    but(
        row("SecDefaultAction", 1, 1, Implemented, "The actions that the rules of a phase begin with."),
        &[unlike(
            V2,
            "A rule without a disruptive action passes, as in ModSecurity 3; there it does what this says. `block` does so everywhere.",
        )],
    ),
    row(
        "SecDisableBackendCompression",
        1,
        1,
        Accepted("compressed responses are inflated for inspection"),
        "Hides from the application that the client accepts compressed responses.",
    ),
    but(
        row("SecGeoLookupDb", 1, 1, Implemented, "The database for @geoLookup."),
        &[unlike(V2_V3, "Only databases in MaxMind's format (`.mmdb`) are read.")],
    ),
    row(
        "SecGsbLookupDb",
        1,
        1,
        Accepted("the database is no longer published"),
        "The database for @gsbLookup.",
    ),
    row(
        "SecGuardianLog",
        1,
        2,
        Accepted("the program that reads it is gone; use the audit log"),
        "Where the log for the guardian program is written.",
    ),
    row("SecHashEngine", 1, 1, Accepted(HASHING), "Switches the signing of links."),
    row("SecHashKey", 1, 2, Accepted(HASHING), "The key that links are signed with."),
    row("SecHashMethodPm", 2, 2, Accepted(HASHING), "Which links are signed, by words."),
    row("SecHashMethodRx", 2, 2, Accepted(HASHING), "Which links are signed, by a regular expression."),
    row("SecHashParam", 1, 1, Accepted(HASHING), "The name of the argument that carries a link's signature."),
    row("SecHttpBlKey", 1, 1, Implemented, "The key for asking Project Honey Pot's list with @rbl."),
    row(
        "SecIgnoreRuleCompilationErrors",
        1,
        1,
        Accepted("a ruleset with a faulty rule is never put to use"),
        "Goes on with what is left when a rule is faulty.",
    ),
    but(
        row(
            "SecInterceptOnError",
            1,
            1,
            Implemented,
            "Whether a fault during the evaluation of a rule ends the transaction.",
        ),
        &[unlike(
            V2,
            "An operator that gives up counts as a match of its rule; there the rest of the phase is left out.",
        )],
    ),
    row("SecMarker", 1, 1, Implemented, "A place for skipAfter to go to."),
    row("SecParseXmlIntoArgs", 1, 1, Implemented, "Whether the texts of an XML body are arguments too."),
    row(
        "SecPcreMatchLimit",
        1,
        1,
        Accepted(BOUNDED),
        "How many steps a backtracking regular expression may take.",
    ),
    row(
        "SecPcreMatchLimitRecursion",
        1,
        1,
        Accepted(BOUNDED),
        "How deep a backtracking regular expression may recurse.",
    ),
    row(
        "SecPersistenceStorage",
        1,
        1,
        Accepted("persistent collections are kept by the store that the configuration names"),
        "Which kind of store keeps persistent collections.",
    ),
    row("SecReadStateLimit", 1, 2, Accepted(CONNECTIONS), "An older name of SecConnReadStateLimit."),
    row(
        "SecRemoteRules",
        2,
        3,
        refused("rules are not fetched over the network", "fetch them beforehand and Include the file"),
        "Reads rules from another host.",
    ),
    row(
        "SecRemoteRulesFailAction",
        1,
        1,
        Accepted("SecRemoteRules is refused"),
        "What to do when SecRemoteRules fails.",
    ),
    unset(
        row("SecRequestBodyAccess", 1, 1, Implemented, "Whether request bodies are inspected."),
        &[unlike(V2_CORAZA, "Request bodies are inspected, as in ModSecurity 3; there they are not.")],
    ),
    row(
        "SecRequestBodyInMemoryLimit",
        1,
        1,
        Accepted("what is inspected is held in memory, and file contents only as far as rules look at them"),
        "How many bytes of a request body are held in memory.",
    ),
    row("SecRequestBodyJsonDepthLimit", 1, 1, Implemented, "How deep a JSON body may nest."),
    row("SecRequestBodyLimit", 1, 1, Implemented, "How many bytes of a request body are inspected."),
    row(
        "SecRequestBodyLimitAction",
        1,
        1,
        Implemented,
        "What to do with a longer request body: Reject or ProcessPartial.",
    ),
    row(
        "SecRequestBodyNoFilesLimit",
        1,
        1,
        Implemented,
        "How many bytes of a request body may be something other than files.",
    ),
    row("SecResponseBodyAccess", 1, 1, Implemented, "Whether response bodies are inspected."),
    row("SecResponseBodyLimit", 1, 1, Implemented, "How many bytes of a response body are inspected."),
    row(
        "SecResponseBodyLimitAction",
        1,
        1,
        Implemented,
        "What to do with a longer response body: Reject or ProcessPartial.",
    ),
    row("SecResponseBodyMimeType", 1, 255, Implemented, "The content types whose bodies are inspected."),
    row("SecResponseBodyMimeTypesClear", 0, 0, Implemented, "Forgets the content types named so far."),
    row(
        "SecRule",
        2,
        3,
        Implemented,
        "Looks at variables with an operator and performs its actions where it matches.",
    ),
    unset(
        row(
            "SecRuleEngine",
            1,
            1,
            Implemented,
            "Whether rules run and may interrupt: On, Off or DetectionOnly.",
        ),
        &[unlike(
            V2_V3,
            "Rules run and may block unless rule text or configuration says otherwise; there they do not run.",
        )],
    ),
    row(
        "SecRuleInheritance",
        1,
        1,
        Accepted("each site names its rule files; none is inherited"),
        "Whether a part of a server takes over the rules of the whole.",
    ),
    row(
        "SecRulePerfTime",
        1,
        1,
        Accepted("inspection time is measured always, by phase"),
        "From how many microseconds on a rule's time is logged.",
    ),
    but(
        row("SecRuleRemoveById", 1, 255, Implemented, "Takes rules away by id or range of ids."),
        &[unlike(
            V2_CORAZA,
            "Rules that follow are taken away too, as in ModSecurity 3; there only those before it.",
        )],
    ),
    but(
        row(
            "SecRuleRemoveByMsg",
            1,
            255,
            Implemented,
            "Takes rules away by message, as a regular expression.",
        ),
        REMOVE_BY_TEXT,
    ),
    but(
        row("SecRuleRemoveByTag", 1, 255, Implemented, "Takes rules away by tag, as a regular expression."),
        REMOVE_BY_TEXT,
    ),
    row(
        "SecRuleScript",
        1,
        2,
        refused("there is no Lua here", "write the condition as a rule"),
        "Runs a Lua script as a rule.",
    ),
    but(
        row("SecRuleUpdateActionById", 2, 2, Implemented, "Changes the actions of a rule."),
        &[unlike(V2_CORAZA, "Rules that follow are changed too; there only those before it.")],
    ),
    but(
        row("SecRuleUpdateTargetById", 2, 3, Implemented, "Adds or takes away targets of rules, by id."),
        &[unlike(
            V2_CORAZA,
            "Rules that follow are changed too, as in ModSecurity 3; there only those before it.",
        )],
    ),
    but(
        row(
            "SecRuleUpdateTargetByMsg",
            2,
            3,
            Implemented,
            "Adds or takes away targets of rules, by message.",
        ),
        UPDATE_BY_TEXT,
    ),
    but(
        row("SecRuleUpdateTargetByTag", 2, 3, Implemented, "Adds or takes away targets of rules, by tag."),
        UPDATE_BY_TEXT,
    ),
    row(
        "SecRxPreFilter",
        1,
        1,
        Accepted("regular expressions are always filtered beforehand"),
        "Whether regular expressions are filtered beforehand.",
    ),
    row(
        "SecSensorId",
        1,
        1,
        Accepted("records of the audit log name their site"),
        "Names this installation in the audit log.",
    ),
    row(
        "SecServerSignature",
        1,
        1,
        Accepted("the application's Server header is passed on as it is"),
        "What the server calls itself in responses.",
    ),
    row(
        "SecStatusEngine",
        1,
        1,
        Accepted("nothing is ever sent to anybody about this installation"),
        "Whether ModSecurity tells its makers its version.",
    ),
    row(
        "SecStreamInBodyInspection",
        1,
        1,
        Accepted(STREAM),
        "Whether the request body is kept for STREAM_INPUT_BODY.",
    ),
    row(
        "SecStreamOutBodyInspection",
        1,
        1,
        Accepted(STREAM),
        "Whether the response body is kept for STREAM_OUTPUT_BODY.",
    ),
    row("SecTmpDir", 1, 1, Accepted(NO_FILES), "Where temporary files are written."),
    row(
        "SecTmpSaveUploadedFiles",
        1,
        1,
        Accepted(NO_FILES),
        "Whether uploaded files are written to temporary files.",
    ),
    row("SecUnicodeCodePage", 1, 1, Implemented, "Which code page of SecUnicodeMapFile is used."),
    row("SecUnicodeMap", 1, 2, Implemented, "An older name of SecUnicodeMapFile."),
    row(
        "SecUnicodeMapFile",
        1,
        2,
        Implemented,
        "The file that maps Unicode to a code page for urlDecodeUni and jsDecode, and the code page.",
    ),
    row("SecUploadDir", 1, 1, Accepted(NO_FILES), "Where uploaded files are kept."),
    row("SecUploadFileLimit", 1, 1, Implemented, "How many files of a multipart body are looked at."),
    row("SecUploadFileMode", 1, 1, Accepted(NO_FILES), "The mode of kept uploads."),
    row("SecUploadKeepFiles", 1, 1, Accepted(NO_FILES), "Whether uploaded files are kept."),
    row(
        "SecUseCanonicalName",
        1,
        1,
        Accepted("the name of the server is the one that the client asked for"),
        "Which name the server goes by.",
    ),
    row(
        "SecWebAppId",
        1,
        1,
        Implemented,
        "Names the application; keeps its persistent collections apart from others'.",
    ),
    row("SecWriteStateLimit", 1, 2, Accepted(CONNECTIONS), "An older name of SecConnWriteStateLimit."),
    row(
        "SecXmlExternalEntity",
        1,
        1,
        Accepted("external entities are never loaded"),
        "Whether external entities of XML bodies are loaded.",
    ),
];

const AUDIT_PLACE: &str = "where and how the audit log is written is said in the configuration";
const BOUNDED: &str = "patterns that may backtrack have bounds of their own";
const STREAM: &str = "the body that is inspected is the one that is sent on";
const CONNECTIONS: &str = "limits on connections are settings of the listener";
const DEBUG_LOG: &str = "the server's own log is set up in the configuration, by log.level";
const HASHING: &str = "links in responses are not signed";
const NO_FILES: &str = "uploads are inspected in passing and never written to a file";

use Status::{Accepted, Implemented};

const BESIDE: &[Difference] = &[unlike(
    V2,
    "A relative name is looked for beside the file that includes; there under the root of the server.",
)];
const REMOVE_BY_TEXT: &[Difference] = &[
    unlike(
        V2_CORAZA,
        "Rules that follow are taken away too, as in ModSecurity 3; there only those before it.",
    ),
    unlike(
        V2,
        "A text without a character of a regular expression is compared whole; there it is searched for.",
    ),
    unlike(V3_CORAZA, "A text that looks like a regular expression is one as well."),
];
const UPDATE_BY_TEXT: &[Difference] = &[
    unlike(V2_CORAZA, "Rules that follow are changed too, as in ModSecurity 3; there only those before it."),
    unlike(
        V2,
        "A text without a character of a regular expression is compared whole; there it is searched for.",
    ),
    unlike(V3_CORAZA, "A text that looks like a regular expression is one as well."),
];

const fn row(name: &'static str, least: u8, most: u8, status: Status, doc: &'static str) -> DirectiveRow {
    DirectiveRow { name, arity: (least, most), status, doc, differs: &[], absent: &[] }
}

const fn but(mut row: DirectiveRow, differs: &'static [Difference]) -> DirectiveRow {
    row.differs = differs;
    row
}

const fn unset(mut row: DirectiveRow, absent: &'static [Difference]) -> DirectiveRow {
    row.absent = absent;
    row
}

const fn refused(why: &'static str, instead: &'static str) -> Status {
    Status::Refused(Refusal { why, instead })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_unique_and_documented() {
        for pair in DIRECTIVES.windows(2) {
            let [a, b] = pair else { unreachable!("windows of two") };
            assert!(a.name.to_lowercase() < b.name.to_lowercase(), "{} stands before {}", a.name, b.name);
        }
        for row in DIRECTIVES {
            assert!(row.arity.0 <= row.arity.1, "{}", row.name);
            assert!(row.doc.ends_with('.'), "{}", row.name);
            if let Accepted(why) | Status::Refused(Refusal { why, .. }) = row.status {
                assert!(!why.is_empty() && !why.ends_with('.'), "{}", row.name);
            }
            assert_eq!(find(&row.name.to_uppercase()), Some(row));
        }
    }
}
