//! Where clients come in, and what their connections may do.

use super::table::{Table, key};

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
