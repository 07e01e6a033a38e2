//! Upstreams, how requests are spread over them, and what is answered in their place.

use super::table::{Table, key};

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

/// `sites[].balance`.
pub const BALANCE: Table = Table {
    name: "balance",
    path: "sites[].balance",
    about: "A plain method is short for a section with only `method`. See the \
            [guide](guide/upstreams.md).",
    keys: &[
        key(
            "method",
            "`round_robin`, `least_connections` or `hash`",
            "round_robin",
            "Who is chosen among upstreams that are well; all of them heed `weight`.",
        ),
        key(
            "key",
            "`client`, `header:NAME` or `cookie:NAME`",
            "none",
            "With `hash`: what decides. `client` is the default, and takes the place of what a request lacks.",
        ),
        key(
            "sticky",
            "cookie name",
            "none",
            "Clients get a cookie of this name, by which they come back to the upstream that served them first.",
        ),
        key(
            "sticky_lifetime",
            "duration",
            "none",
            "How long browsers keep it; by default until they are closed.",
        ),
        key(
            "max_fails",
            "number",
            "1",
            "Failures in a row, each within `fail_timeout` of the one before, after which an upstream rests; 0 never.",
        ),
        key(
            "fail_timeout",
            "duration",
            "5s",
            "How long it rests. It is asked all the same when no other is left.",
        ),
        key(
            "fail_on",
            "`connect` or `errors`",
            "connect",
            "What a failure is: that it cannot be connected, or also that it breaks off or is late before its \
             response's head. With `errors`, whoever finds a request that breaks it can make it rest.",
        ),
        key(
            "slow_start",
            "duration",
            "none",
            "How long an upstream that comes back, from a rest or by health checks, takes to reach its full share. With `hash`, \
             its keys come back to it one after the other.",
        ),
        key("retries", "number", "3", "Other upstreams that are tried for one request, at most 8."),
        key(
            "retry_on",
            "`connect` or `idempotent`",
            "connect",
            "When: nothing of the request can have been served by the first one, or, for methods that may be repeated, a kept \
             connection to it turns out to have been closed; or also, for `GET`, `HEAD`, `OPTIONS`, \
             `TRACE`, `PUT` and `DELETE`, its connection broke before any of the response came.",
        ),
        key(
            "health_check",
            "path, `connect` or [health check](#health-check)",
            "none",
            "Asks upstreams now and then whether they are well.",
        ),
    ],
};

/// `sites[].balance.health_check`.
pub const HEALTH_CHECK: Table = Table {
    name: "health check",
    path: "sites[].balance.health_check",
    about: "A plain path is short for a check with only `path`, `connect` for one without. Checks use the same TLS, \
            server name and HTTP version as requests.",
    keys: &[
        key("path", "path", "none", "What to `GET`. Without it, that a connection can be made is enough."),
        key("host", "host", "none", "`Host` of the request instead of the upstream's authority."),
        key("status", "list of statuses or ranges", "[200-399]", "Answers that are well."),
        key("interval", "duration", "5s", "From one check to the next."),
        key("timeout", "duration", "2s", "For one check."),
        key("rise", "number", "2", "Checks in a row that must be well until the upstream is."),
        key("fall", "number", "3", "Checks in a row that must fail until the upstream is down."),
    ],
};

/// `sites[].maintenance`.
pub const MAINTENANCE: Table = Table {
    name: "maintenance",
    path: "sites[].maintenance",
    about: "Requests are still seen by phase 1, so that what is refused by its head stays refused. A change counts as \
            soon as it is reloaded.",
    keys: &[
        key("active", "`on` or `off`", "on", "Whether it is at work."),
        key("page", "HTML file", "none", "The page instead of the built-in one."),
        key("retry_after", "duration", "10m", "When clients should come back (`Retry-After`)."),
        key("allow", "list of addresses or CIDR blocks", "[]", "Clients that are let through."),
    ],
};
