//! The top level, and what of it is about the process as a whole.

use super::table::{Table, key};

/// The top level.
pub const TOP: Table = Table {
    name: "configuration",
    path: "",
    about: "The file is one YAML document. Relative paths in it are relative to its directory.",
    keys: &[
        key(
            "listeners",
            "list of addresses or [listeners](#listeners)",
            "[127.0.0.1:8080]",
            "Where clients come in.",
        ),
        key("admin", "`off` or [admin](#admin)", "none", "The admin listener: metrics, health, reload."),
        key(
            "trusted_proxies",
            "list of addresses or CIDR blocks",
            "[]",
            "Peers whose `X-Forwarded-For`, `Forwarded` and PROXY headers are believed. Everybody else's are not.",
        ),
        key("client", "[client](#client)", "none", "Limits of client connections."),
        key(
            "geo_database",
            "file",
            "none",
            "A country or city database in MaxMind's format (`.mmdb`), for `countries`. Reloaded when it changes.",
        ),
        key("bans", "[bans](#bans)", "none", "Temporary bans of clients. Nobody is banned without it."),
        key(
            "sites",
            "list of [sites](#sites)",
            "",
            "What is protected. Exact hosts win over wildcards, wildcards over `*`, then the longest path wins.",
        ),
        key("audit", "[audit](#audit)", "none", "The audit log."),
        key("metrics", "[metrics](#metrics)", "none", "What is measured."),
        key("log", "[log](#log)", "none", "The server's own log."),
        key("process", "[process](#process)", "none", "Threads, user, shutdown."),
        key("reload", "[reload](#reload)", "none", "Watching for changes."),
        key("store", "[store](#store)", "none", "Persistent collections (`IP`, `SESSION`, …)."),
    ],
};

/// `admin`.
pub const ADMIN: Table = Table {
    name: "admin",
    path: "admin",
    about: "Serves the console at `/`, `/metrics`, `/healthz`, `/readyz` and [the API](admin.md) below `/api/`.",
    keys: &[
        key("address", "address and port", "127.0.0.1:9180", "Where to listen."),
        key(
            "token",
            "text",
            "none",
            "Bearer token which calls of `/api/` must bring, and with which the console is opened. Without one both may \
             be used from loopback only, and nothing can be changed through them.",
        ),
        key("token_file", "file", "none", "The same, from a file, surrounding white space removed."),
        key(
            "hosts",
            "list of host names",
            "[]",
            "Names besides IP addresses and `localhost` under which it may be addressed. Requests with another \
             `Host` are refused, which keeps web pages from reaching it through a visitor's browser.",
        ),
    ],
};

/// `metrics`.
pub const METRICS: Table = Table {
    name: "metrics",
    path: "metrics",
    about: "",
    keys: &[key(
        "rule_cost_sample",
        "number",
        "1000",
        "One request in so many has the time measured that each rule takes, for `portcullis top`; 0 measures none.",
    )],
};

/// `log`.
pub const LOG: Table = Table {
    name: "log",
    path: "log",
    about: "Goes to standard error.",
    keys: &[
        key(
            "level",
            "`error`, `warn`, `info`, `debug`, `trace` or a filter",
            "info",
            "A filter names modules: `info,portcullis::proxy=debug`.",
        ),
        key("format", "`text` or `json`", "text", "For people, or one JSON object a line."),
    ],
};

/// `process`.
pub const PROCESS: Table = Table {
    name: "process",
    path: "process",
    about: "",
    keys: &[
        key("workers", "number", "none", "Worker threads; by default one for each core."),
        key("user", "name", "none", "User to change to once the sockets are bound."),
        key("group", "name", "none", "Group to change to once the sockets are bound."),
        key("pid_file", "file", "none", "Gets the process id."),
        key("grace", "duration", "30s", "How long transactions under way may take after SIGTERM."),
    ],
};

/// `reload`.
pub const RELOAD: Table = Table {
    name: "reload",
    path: "reload",
    about: "SIGHUP and the admin API reload whatever this says.",
    keys: &[
        key("watch", "true or false", "true", "Reload when a file's content changes."),
        key("interval", "duration", "2s", "How often contents are looked at."),
    ],
};

/// `store`.
pub const STORE: Table = Table {
    name: "store",
    path: "store",
    about: "When a bound is reached, the collections that were used longest ago go.",
    keys: &[
        key("collections", "number", "262144", "Collections kept (one an address, a session, …)."),
        key("bytes", "size", "128MiB", "Names and values kept."),
        key(
            "limit_keys",
            "number",
            "262144",
            "Keys of rate limits kept, 16 bytes each; where there is no room, those go that have used least. Takes \
             effect with the next start.",
        ),
        key(
            "redis",
            "[redis](#redis)",
            "none",
            "What several instances share. Takes effect with the next start.",
        ),
    ],
};

/// `store.redis`.
pub const REDIS: Table = Table {
    name: "redis",
    path: "store.redis",
    about: "A Redis or Valkey server (6 or later) in which [several instances](guide/several-instances.md) count rate \
            limits and bans together. While it is gone, each goes on by itself.",
    keys: &[
        key(
            "url",
            "`redis://host[:port][/database]`, `rediss://…` or `unix:///path`",
            "",
            "Where it is; `rediss` is TLS, with verification. The port is 6379 unless given.",
        ),
        key("username", "text", "none", "User of its access control list."),
        key("password", "text", "none", "Password."),
        key("password_file", "file", "none", "The same, from a file, surrounding white space removed."),
        key("ca", "PEM file", "none", "Authorities to trust instead of the system's."),
        key("prefix", "text", "portcullis", "What all keys begin with: letters, digits, `-`, `_`, `.`."),
        key(
            "timeout",
            "duration",
            "10ms",
            "How long a request waits for an answer, at most a second. After three late ones in a row it is not asked \
             until it answers again.",
        ),
        key(
            "collections",
            "true or false",
            "false",
            "Whether persistent collections (`initcol`) live there as well. Each that a transaction opens is asked for, \
             and waited for as `timeout` says.",
        ),
    ],
};
