//! Who may send what, how often, and who is banned.

use super::table::{Table, key};

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
