//! A site, its rules, and what becomes of its requests.

use super::table::{Table, key};

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
