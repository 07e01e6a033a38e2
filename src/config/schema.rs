//! The settings there are: one row each, from which the reader knows the keys and `docs/configuration.md` is
//! written.

/// A section of the file.
#[derive(Debug)]
pub struct Table {
    /// Its name in messages and headings.
    pub name: &'static str,
    /// Where it stands, e.g. `sites[].timeouts`; empty for the top level.
    pub path: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its settings.
    pub keys: &'static [Key],
}

/// A setting.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// What holds without it; empty for what must be given, `none` for nothing at all. A test writes every
    /// other default out and expects the same configuration.
    pub default: &'static str,
    /// What it does.
    pub about: &'static str,
}

pub(super) const fn key(
    name: &'static str,
    takes: &'static str,
    default: &'static str,
    about: &'static str,
) -> Key {
    Key { name, takes, default, about }
}

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

/// `listeners[]`.
pub const LISTENER: Table = Table {
    name: "listener",
    path: "listeners[]",
    about: "A plain address such as `0.0.0.0:80` or `unix:/run/portcullis/http.sock` is short for a listener with only \
            `address`.",
    keys: &[
        key(
            "address",
            "address and port, or `unix:/path`",
            "",
            "Where to listen; IPv6 as `[::]:443`. Who connects to a Unix socket counts as 127.0.0.1.",
        ),
        key("mode", "permissions", "0660", "Who may connect to a Unix socket, in octal digits."),
        key("user", "user name", "none", "Owner of a Unix socket; whoever starts the process unless given."),
        key("group", "group name", "none", "Its group; that of the process unless given."),
        key(
            "tls",
            "list of [certificates](#certificates)",
            "[]",
            "Makes it a TLS listener. The client's server name (SNI) chooses the certificate; the first one \
             serves clients that name none or an unknown one.",
        ),
        key(
            "http2",
            "true or false",
            "true",
            "Offer HTTP/2 on TLS connections. Cleartext speaks HTTP/1.1 only.",
        ),
        key(
            "max_connections",
            "number",
            "16384",
            "Client connections at once. Further ones are turned away as they come (in cleartext with 503), and counted \
             as `listener_full`. Streams of an HTTP/2 connection beyond its first count too, and are refused.",
        ),
        key(
            "max_connections_per_client",
            "number",
            "none",
            "The same for those of one client, an IPv4 address or a /64 of IPv6: by default a quarter of \
             `max_connections`, and at least 16. Counted as `client_full`. Peers in `trusted_proxies` are not counted; \
             of those that send PROXY headers, the clients that these name are.",
        ),
        key("min_tls", "`1.2` or `1.3`", "none", "The lowest version of TLS; 1.2 by default."),
        key(
            "client_ca",
            "PEM file",
            "none",
            "Asks clients for a certificate of one of these authorities. One that does not verify ends the handshake.",
        ),
        key(
            "client_certificate",
            "`optional` or `required`",
            "none",
            "Whether connections without one are refused. By default that is the sites' business.",
        ),
        key(
            "proxy_protocol",
            "true or false",
            "false",
            "Every connection begins with a PROXY protocol header, version 1 or 2. Peers that are not in \
             `trusted_proxies` are refused.",
        ),
    ],
};

/// `listeners[].tls[]`.
pub const CERTIFICATE: Table = Table {
    name: "certificate",
    path: "listeners[].tls[]",
    about: "",
    keys: &[
        key("certificate", "PEM file", "", "The chain, leaf first."),
        key("key", "PEM file", "", "The private key."),
        key(
            "hosts",
            "list of host patterns",
            "[]",
            "Server names it is for; by default those it contains itself.",
        ),
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

/// `client`.
pub const CLIENT: Table = Table {
    name: "client",
    path: "client",
    about: "What a client connection may do before its site is known.",
    keys: &[
        key("head_timeout", "duration", "10s", "From the first byte of a request to the end of its head."),
        key("keep_alive", "duration", "60s", "Idle time between two requests of a connection."),
        key("head_bytes", "size", "64KiB", "A request's line and headers together; at most 1 MiB."),
        key("headers", "number", "128", "Request header fields; at most 255."),
        key("uri_bytes", "size", "16KiB", "A request target."),
        key(
            "held_bytes",
            "size",
            "512MiB",
            "Bodies held for inspection over all transactions, with what they inflate to and what was made of them. \
             Beyond it requests meet the failure `overload`.",
        ),
        key(
            "unsent_bytes",
            "size",
            "1GiB",
            "Of responses that are here and that clients do not take, over all connections; one client may have a quarter. \
             Beyond it responses are cut off, or answered by 503 while nothing was sent of them. What waits within \
             a connection's first 64 KiB does not count.",
        ),
        key(
            "write_timeout",
            "duration",
            "60s",
            "How far a client that reads a response may be behind `min_rate` before it is cut off. One that reads nothing \
             is cut off after this time.",
        ),
        key(
            "min_rate",
            "size",
            "512",
            "Bytes a second that a client takes at least of a response that is there for it. Time in which there is \
             nothing to send does not count.",
        ),
    ],
};

/// `sites[]`.
pub const SITE: Table = Table {
    name: "site",
    path: "sites[]",
    about: "A host and path match with its upstreams, its rules, its mode and its exclusions. Sites with the \
            same rules share one compiled ruleset.",
    keys: &[
        key(
            "name",
            "text",
            "",
            "A unique name, for metrics and the audit log: letters, digits, `-`, `_`, `.`.",
        ),
        key("hosts", "list of host patterns", "['*']", "`www.example.com`, `*.example.com` or `*`."),
        key("paths", "list of path prefixes", "[/]", "`/app` covers `/app` and `/app/x`, not `/apple`."),
        key("upstreams", "list of URLs or [upstreams](#upstreams)", "", "The servers behind it."),
        key(
            "rules",
            "list of files, globs or [texts](#rule-texts)",
            "['@portcullis-core']",
            "Rule text in order: SecLang (`.conf`), native YAML (`.yaml`), or a built-in ruleset (`@…`).",
        ),
        key(
            "patches",
            "list of names, globs, files or [virtual patches](#virtual-patches)",
            "[]",
            "[Virtual patches](virtual-patches.md), evaluated before all `rules`: names of the catalogue inside \
             Portcullis (`cve-2021-44228`, `'cve-2021-*'`, `'*'`), or files (with a `/` or ending in `.yaml`). \
             What is said later of the same patch wins.",
        ),
        key("directives", "SecLang text", "none", "Directives after all `rules`."),
        key(
            "exclusions",
            "list of packs or [exclusions](#exclusions)",
            "[]",
            "What must not be inspected, and why.",
        ),
        key(
            "shadow",
            "[shadow](#shadow)",
            "none",
            "A candidate ruleset that is tried on a share of the requests and decides nothing.",
        ),
        key("mode", "`On`, `DetectionOnly` or `Off`", "none", "Overrides `SecRuleEngine` of the rules."),
        key(
            "fail",
            "`open`, `closed` or [fail](#fail)",
            "closed",
            "What a failure inside Portcullis does to a request.",
        ),
        key("overload", "[overload](#overload)", "none", "How long inspections may wait for processors."),
        key(
            "access",
            "list of [access rules](#access-rules)",
            "[]",
            "[Who may send what](guide/access-control.md). The first rule that holds decides; without one, everybody.",
        ),
        key(
            "rate_limits",
            "list of [rate limits](#rate-limits)",
            "[]",
            "[How many requests](guide/rate-limits.md) a client, or whatever the key says, may send.",
        ),
        key("timeouts", "[timeouts](#timeouts)", "none", "Time limits."),
        key(
            "request_id_header",
            "header name or `off`",
            "X-Request-Id",
            "Header in which the upstream, and the client in its answer, learn the transaction's id, which is on the \
             block page too. One from the client is replaced.",
        ),
        key(
            "trust_request_id",
            "boolean",
            "false",
            "Take over the id that one of `trusted_proxies` sends in that header: 8 to 128 letters, digits, `-`, `_`, \
             `.`, `:`, `+`, `=` or `@`. It is up to that proxy that ids are unique; of two transactions with \
             the same id the later one is explained.",
        ),
        key("forwarded", "[forwarded](#forwarded)", "none", "What the upstream is told about the client."),
        key(
            "host_header",
            "`preserve`, `upstream` or a host",
            "preserve",
            "What the upstream gets as `Host`.",
        ),
        key(
            "balance",
            "`round_robin`, `least_connections` or [balance](#balance)",
            "round_robin",
            "How requests are spread over the upstreams, and which of them are asked.",
        ),
        key(
            "maintenance",
            "`on`, `off` or [maintenance](#maintenance)",
            "off",
            "Answer 503 with a page and `Retry-After` instead of asking the upstreams.",
        ),
        key(
            "redirect_to_https",
            "`on`, `off` or a port",
            "off",
            "Redirect requests that came in cleartext (308), but for `/.well-known/acme-challenge/`. Behind a trusted \
             proxy, its `X-Forwarded-Proto` says how they came.",
        ),
        key(
            "hsts",
            "`off`, a duration or [hsts](#hsts)",
            "off",
            "`Strict-Transport-Security` on answers over HTTPS.",
        ),
        key(
            "security_headers",
            "`on` or `off`",
            "off",
            "Adds `X-Content-Type-Options: nosniff`, `X-Frame-Options: SAMEORIGIN` and `Referrer-Policy: \
             strict-origin-when-cross-origin` where the application sends none of its own.",
        ),
        key(
            "response_headers",
            "list of `Name: value`",
            "[]",
            "Headers for responses, unless the application sends its own.",
        ),
        key("remove_response_headers", "list of header names", "[]", "Headers that clients need not see."),
        key(
            "client_certificate",
            "`optional`, `required` or [client certificate](#client-certificate)",
            "optional",
            "What is asked of clients' certificates, and what the upstream learns of them.",
        ),
    ],
};

/// `sites[].patches[]`.
pub const PATCH: Table = Table {
    name: "virtual patch",
    path: "sites[].patches[]",
    about: "A plain name, glob or file is short for patches that block.",
    keys: &[
        key("patch", "name, glob or file, or a list of them", "", "Which patches."),
        key(
            "mode",
            "`On` or `DetectionOnly`",
            "On",
            "Whether they block, as far as the site's mode lets rules block, or only tell what they would have.",
        ),
    ],
};

/// `sites[].shadow`.
pub const SHADOW: Table = Table {
    name: "shadow",
    path: "sites[].shadow",
    about: "What is not named here is as in the site itself. The candidate is evaluated when the request has been \
            decided, on a thread of its own, under the site's `mode`. See \
            [Trying other rules](guide/shadow.md).",
    keys: &[
        key("rules", "list of files, globs or [texts](#rule-texts)", "none", "As the site's `rules`."),
        key(
            "patches",
            "list of names, globs, files or [virtual patches](#virtual-patches)",
            "none",
            "As the site's `patches`.",
        ),
        key("directives", "SecLang text", "none", "As the site's `directives`."),
        key("exclusions", "list of [exclusions](#exclusions)", "none", "As the site's `exclusions`."),
        key(
            "sample",
            "share such as `10%` or `0.1`",
            "10%",
            "Of how many requests. Each is chosen by chance, whoever sends it.",
        ),
    ],
};

/// `sites[].upstreams[]`.
pub const UPSTREAM: Table = Table {
    name: "upstream",
    path: "sites[].upstreams[]",
    about: "A plain URL is short for an upstream with only `url`.",
    keys: &[
        key(
            "url",
            "`http://host[:port]`, `https://host[:port]` or `unix:/path`",
            "",
            "Where it is. No path: the request's is used.",
        ),
        key("weight", "number", "1", "Its share relative to the others, 1 to 1000."),
        key(
            "http2",
            "`never`, `offered` or `always`",
            "never",
            "HTTP/2 towards it: when its TLS offers it, or always (with prior knowledge on cleartext).",
        ),
        key("verify", "true or false", "true", "Verify certificate and name of an `https` upstream."),
        key("sni", "host name", "none", "Name to ask for and to verify instead of the URL's host."),
        key("ca", "PEM file", "none", "Authorities to trust instead of the system's."),
        key(
            "client_certificate",
            "PEM file",
            "none",
            "The chain, leaf first, for upstreams that ask for one.",
        ),
        key("client_key", "PEM file", "none", "Its private key."),
        key(
            "max_connections",
            "number",
            "none",
            "Requests under way at once. When all upstreams have that many, further ones are answered 503.",
        ),
    ],
};

/// A member of `sites[].rules` that is no file name.
pub const RULE_TEXT: Table = Table {
    name: "rule text",
    path: "sites[].rules[]",
    about: "Rule text that stands in the configuration, at its place among the files.",
    keys: &[key("text", "SecLang text", "", "The directives.")],
};

/// `sites[].exclusions[]`.
pub const EXCLUSION: Table = Table {
    name: "exclusion",
    path: "sites[].exclusions[]",
    about: "Without `targets` the named rules are switched off; with `targets` they stop looking at those. \
            With `paths` that holds only for requests below these path prefixes. A plain name is short for a \
            [pack](guide/exclusion-packs.md).",
    keys: &[
        key(
            "pack",
            "name or file, or a list of them",
            "none",
            "What is known of an application, in the place of `rules`, `tags` and `targets`: \
             [`wordpress`, `nextcloud`, …](guide/exclusion-packs.md), or a rule file of your own.",
        ),
        key(
            "rules",
            "list of ids or ranges (`942100-942199`)",
            "[]",
            "Rules by id. Ids of rules in YAML may be texts.",
        ),
        key("tags", "list of tags", "[]", "Rules by tag."),
        key("targets", "list of targets (`ARGS:comment`)", "[]", "What they must not look at."),
        key("paths", "list of path prefixes", "[]", "Where it holds; everywhere without it."),
        key("reason", "text", "none", "Why. An exclusion without a reason is warned about."),
    ],
};

/// `sites[].fail`.
pub const FAIL: Table = Table {
    name: "fail",
    path: "sites[].fail",
    about: "`open` lets a request through uninspected, and counts it; `closed` refuses it. A single word holds \
            for every kind. What a client does wrong is no failure and is always refused.",
    keys: &[
        key("internal", "`open` or `closed`", "closed", "The engine failed."),
        key(
            "overload",
            "`open` or `closed`",
            "closed",
            "`client.held_bytes` is used up, or the processors are behind: see [overload](#overload). Sites in \
             `DetectionOnly` let pass whatever is said here.",
        ),
        key("operator_limit", "`open` or `closed`", "closed", "A pattern gave up at its step limit."),
        key(
            "response_uninspectable",
            "`open` or `closed`",
            "closed",
            "A response to be inspected has an unknown or broken content coding.",
        ),
    ],
};

/// `sites[].overload`.
pub const OVERLOAD: Table = Table {
    name: "overload",
    path: "sites[].overload",
    about: "How long inspections may wait when there are more than the processors can do. What would wait longer meets \
            the failure `overload`: 503 with `Retry-After`, or it passes uninspected where `fail` says `open`. So what is \
            admitted is served in time. A small `wait` and `queue: 0` shed at once. See \
            [Operations](operations.md#overload).",
    keys: &[
        key(
            "wait",
            "duration",
            "2s",
            "The longest wait: of a request for a worker thread, and of a long inspection for one of its threads; at most \
             a minute.",
        ),
        key("queue", "number", "256", "Long inspections that may wait, those of other sites included."),
        key("retry_after", "duration", "2s", "When refused clients are told to come back."),
    ],
};

/// The keys of a condition, and what else the tables that have them hold.
macro_rules! conditions {
    ($($key:expr),* $(,)?) => {
        &[
            $($key,)*
            key("paths", "list of path prefixes", "[]", "Requests below these, as the site's `paths` are meant."),
            key("hosts", "list of host patterns", "[]", "Requests for these hosts."),
            key("methods", "list of methods", "[]", "Requests with these methods."),
            key("addresses", "list of addresses or CIDR blocks", "[]", "Clients from these networks."),
            key(
                "address_files",
                "list of files",
                "[]",
                "The same from files: an address or a network on each line, `#` and `;` begin comments. Reloaded \
                 when they change.",
            ),
            key(
                "countries",
                "list of countries",
                "[]",
                "Clients from these countries: two letters (ISO 3166-1), or `unknown`. Needs `geo_database`.",
            ),
        ]
    };
}

/// `sites[].access[]`.
pub const ACCESS_RULE: Table = Table {
    name: "access rule",
    path: "sites[].access[]",
    about: "Holds for a request that fits each of its lists that are not empty, unless an exception holds. \
            Evaluated before all rules of the ruleset.",
    keys: conditions![
        key("name", "text", "", "Unique in the site; a label of metrics and a part of audit records."),
        key(
            "action",
            "`allow` or `deny`",
            "deny",
            "`allow` ends the list; the ruleset, rate limits and bans hold all the same.",
        ),
        key("except", "list of [conditions](#conditions)", "[]", "Requests for which it does not hold."),
        key("status", "number", "403", "What a refused request is answered, 400 to 599."),
        key(
            "mode",
            "`On` or `DetectionOnly`",
            "none",
            "`DetectionOnly` only tells. Without it, the site's mode holds, and nothing is done where that is `Off`.",
        ),
    ],
};

/// A member of `except`.
pub const CONDITION: Table = Table {
    name: "condition",
    path: "sites[].access[].except[]",
    about: "Likewise at `sites[].rate_limits[].except[]` and `bans.except[]`. Holds for a request that fits each \
            of its lists.",
    keys: conditions![],
};

/// `sites[].rate_limits[]`.
pub const RATE_LIMIT: Table = Table {
    name: "rate limit",
    path: "sites[].rate_limits[]",
    about: "Counts the requests that fit each of its lists, unless an exception holds. `requests: 60`, `period: 1m` \
            and `burst: 10` let one request pass each second, and ten at once from a client who was quiet.",
    keys: conditions![
        key("name", "text", "", "Unique in the site; a label of metrics and a part of audit records."),
        key("requests", "number", "", "Requests in a period, 1 to 1000000. They are spread evenly over it."),
        key("period", "duration", "1m", "Up to a day."),
        key("burst", "number", "none", "Requests that may come at once; as many as `requests` without it."),
        key(
            "key",
            "list of `address`, `path`, `host`, `site`, `header:NAME`, `cookie:NAME`, `tx:NAME`",
            "address",
            "What requests are told apart by, all together. A request without the header or the cookie is told \
             apart by its address; one for which no rule has set the `TX` member is not counted.",
        ),
        key("ipv4_prefix", "number", "32", "Bits of an IPv4 address that are told apart, 8 to 32."),
        key("ipv6_prefix", "number", "64", "Bits of an IPv6 address that are told apart, 16 to 128."),
        key("except", "list of [conditions](#conditions)", "[]", "Requests that are not counted."),
        key("status", "number", "429", "What a refused request is answered, 400 to 599."),
        key(
            "mode",
            "`On` or `DetectionOnly`",
            "none",
            "`DetectionOnly` counts and only tells. Without it, the site's mode holds, and nothing is counted where \
             that is `Off`.",
        ),
    ],
};

/// `bans`.
pub const BANS: Table = Table {
    name: "bans",
    path: "bans",
    about: "A client whose requests reach `threshold` within `period` is refused for a while at every site. See \
            [Rate limits and bans](guide/rate-limits.md).",
    keys: &[
        key(
            "count",
            "`blocks` or `anomaly`",
            "blocks",
            "What counts: requests that rules blocked, one each, or the anomaly scores of all requests and responses.",
        ),
        key("threshold", "number", "none", "Without it 10 blocked requests, or a score of 100."),
        key("period", "duration", "10m", "Within which it is reached: a sliding window."),
        key("duration", "duration", "15m", "How long the first ban lasts."),
        key(
            "escalation",
            "number",
            "2",
            "By how much each further ban is longer than the one before, 1 to 100.",
        ),
        key(
            "longest",
            "duration",
            "1d",
            "How long a ban lasts at most. Earlier bans are forgotten this long after the last has ended.",
        ),
        key("limited", "true or false", "false", "Requests refused by a rate limit count like blocked ones."),
        key("status", "number", "403", "What a banned client is answered, 400 to 599."),
        key("ipv6_prefix", "number", "64", "Bits of an IPv6 address that are banned together, 16 to 128."),
        key(
            "except",
            "list of [conditions](#conditions)",
            "[]",
            "Requests that neither count nor are refused.",
        ),
        key(
            "mode",
            "`On` or `DetectionOnly`",
            "none",
            "`DetectionOnly` only tells. Without it, each site's mode holds.",
        ),
    ],
};

/// `sites[].timeouts`.
pub const TIMEOUTS: Table = Table {
    name: "timeouts",
    path: "sites[].timeouts",
    about: "",
    keys: &[
        key("body_read", "duration", "30s", "Between two reads of a request body."),
        key("body_total", "duration", "5m", "For a request body that is held for inspection."),
        key("connect", "duration", "5s", "For connecting to an upstream, TLS included."),
        key("read", "duration", "60s", "Between two reads from an upstream."),
        key("write", "duration", "60s", "For a write to an upstream."),
        key("idle", "duration", "60s", "How long an idle upstream connection is kept."),
        key(
            "resolve",
            "duration",
            "30s",
            "How long the addresses of an upstream's name are used before the system's resolver is asked again. They \
             stay in use while it has no answer.",
        ),
        key(
            "first_byte",
            "duration",
            "none",
            "From the request being sent to the first byte of the response, where that should be shorter than `read`.",
        ),
        key(
            "total",
            "duration",
            "none",
            "From connecting to the end of the response. WebSockets, once they are open, have no such bound.",
        ),
    ],
};

/// `sites[].forwarded`.
pub const FORWARDED: Table = Table {
    name: "forwarded",
    path: "sites[].forwarded",
    about: "`append` extends what a trusted proxy sent and replaces what anybody else sent; `replace` always \
            replaces; `remove` removes and sends none.",
    keys: &[
        key(
            "x_forwarded",
            "`append`, `replace` or `remove`",
            "append",
            "`X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.",
        ),
        key("rfc7239", "`append`, `replace` or `remove`", "remove", "`Forwarded`."),
    ],
};

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

pub use super::sink::TABLE as SINK;

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

/// All sections in the order of the documentation.
pub const TABLES: &[&Table] = &[
    &TOP,
    &LISTENER,
    &CERTIFICATE,
    &ADMIN,
    &CLIENT,
    &SITE,
    &UPSTREAM,
    &super::schema_upstream::BALANCE,
    &super::schema_upstream::HEALTH_CHECK,
    &super::schema_upstream::MAINTENANCE,
    &super::schema_edge::HSTS,
    &super::schema_edge::CLIENT_CERTIFICATE,
    &RULE_TEXT,
    &PATCH,
    &EXCLUSION,
    &SHADOW,
    &FAIL,
    &OVERLOAD,
    &ACCESS_RULE,
    &CONDITION,
    &RATE_LIMIT,
    &BANS,
    &TIMEOUTS,
    &FORWARDED,
    &AUDIT,
    &SINK,
    &REDACT,
    &METRICS,
    &LOG,
    &PROCESS,
    &RELOAD,
    &STORE,
    &REDIS,
];
