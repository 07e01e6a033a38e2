//! The audit log, its sinks, and what is redacted.

use super::table::{Table, key};

/// `audit`.
pub const AUDIT: Table = Table {
    name: "audit",
    path: "audit",
    about: "What is recorded is the rules' business (`SecAuditEngine`, `SecAuditLogRelevantStatus`, \
            `SecAuditLogParts`); where and how it is written is said here. See `docs/audit-log.md`.",
    keys: &[
        key("log", "file, `-` or `off`", "off", "Where records go; `-` is standard output."),
        key("format", "`native`, `modsecurity`, `coraza`, `ocsf` or `ecs`", "native", "The schema of `log`."),
        key("rotate_size", "size", "100MiB", "Rotate when the file would grow beyond it; 0 never rotates."),
        key("rotate_keep", "number", "5", "Rotated files to keep; `.1` is the youngest."),
        key(
            "queue",
            "number",
            "8192",
            "Records that may wait for the writer; what comes on top is dropped and counted.",
        ),
        key("queue_bytes", "size", "64MiB", "The same in bytes."),
        key("sinks", "list of [sinks](#sinks)", "[]", "Further places for records."),
        key("redact", "[redact](#redact)", "none", "What must not be shown, beside the built-in lists."),
    ],
};

/// `audit.sinks[]`.
pub const SINK: Table = Table {
    name: "sink",
    path: "audit.sinks[]",
    about: "A place where audit records go, besides `audit.log`, with a format, a filter and a queue of its own. \
            A sink that is slow or away holds up neither requests nor other sinks: its records wait in its queue, \
            are tried again, and are dropped and counted (`portcullis_audit_dropped_total`) when the queue is full \
            or `retry` is over.",
    keys: &[
        key(
            "to",
            "file, `-` or URL",
            "",
            "`-` is standard output. URLs: `udp://host:514`, `tcp://host:601` and \
            `tls://host:6514` send syslog messages (RFC 5424), framed by octet counting on TCP and TLS; `http://` \
            and `https://` get POST requests.",
        ),
        key(
            "name",
            "text",
            "none",
            "A label of metrics; by default `file`, `stdout`, `syslog` or `http`. Each sink \
            has another.",
        ),
        key("format", "`native`, `modsecurity`, `coraza`, `ocsf` or `ecs`", "native", "The schema."),
        key(
            "outcomes",
            "list of `blocked`, `detected`, `rest`",
            "[]",
            "Only records of requests of which this \
            became; `detected` would have been blocked but for the mode.",
        ),
        key("sites", "list of names", "[]", "Only records of these sites."),
        key("tags", "list of tags", "[]", "Only records in which a rule with one of these tags matched."),
        key(
            "min_score",
            "number",
            "0",
            "Only records with at least this anomaly score, inbound or outbound.",
        ),
        key("queue", "number", "8192", "Records that may wait; what comes on top is dropped and counted."),
        key("queue_bytes", "size", "64MiB", "The same in bytes."),
        key(
            "retry",
            "duration",
            "5m",
            "For how long the same records are tried again, at growing intervals, before \
            they are dropped.",
        ),
        key("rotate_size", "size", "none", "Files: as `audit.rotate_size`."),
        key("rotate_keep", "number", "none", "Files: as `audit.rotate_keep`."),
        key(
            "facility",
            "name or number",
            "none",
            "Syslog: `kern`, `user`, …, `authpriv`, …, `local0` to `local7`; \
            by default `local0`. Blocked requests have the severity `warning`, detected ones `notice`, others `info`.",
        ),
        key(
            "message_bytes",
            "size",
            "none",
            "Syslog: length of a message at most; by default 65000 over UDP and \
            1MiB otherwise. Longer records go without headers, bodies and all but the gravest rules.",
        ),
        key("ca", "PEM file", "none", "TLS: authorities to trust instead of the system's."),
        key("certificate", "PEM file", "none", "TLS: the client certificate's chain."),
        key("key", "PEM file", "none", "TLS: its key."),
        key(
            "headers",
            "list of `Name: value`",
            "none",
            "HTTP: headers of requests, such as `Authorization`.",
        ),
        key("headers_file", "file", "none", "HTTP: more of them, one a line; for those that are secret."),
        key(
            "body",
            "`lines` or `array`",
            "none",
            "HTTP: one record a line (`application/x-ndjson`, the default), or \
            one JSON array (`application/json`).",
        ),
        key("batch", "number", "none", "HTTP: records of a request at most; by default 500."),
        key("batch_bytes", "size", "none", "HTTP: bytes of a body at most; by default 1MiB."),
        key("batch_wait", "duration", "none", "HTTP: how long a record waits for others; by default 1s."),
        key(
            "timeout",
            "duration",
            "none",
            "Syslog and HTTP: how long connecting and sending may take; by default 10s.",
        ),
    ],
};

/// `audit.redact`.
pub const REDACT: Table = Table {
    name: "redact",
    path: "audit.redact",
    about: "",
    keys: &[
        key(
            "arguments",
            "list of names",
            "[]",
            "Arguments, form fields and JSON members. `*` at either end stands for anything.",
        ),
        key("headers", "list of names", "[]", "Request and response headers."),
        key("show", "list of names", "[]", "Built-in names that may be shown after all."),
    ],
};
