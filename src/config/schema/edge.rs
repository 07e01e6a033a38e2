//! What stands between clients and rules.

use super::table::{Table, key};

/// `sites[].hsts`.
pub const HSTS: Table = Table {
    name: "hsts",
    path: "sites[].hsts",
    about: "`Strict-Transport-Security` on all answers over HTTPS, in the place of the application's own. A plain \
            duration is short for a section with only `max_age`.",
    keys: &[
        key("max_age", "duration", "365d", "How long browsers come by HTTPS only."),
        key("include_subdomains", "true or false", "false", "For all names below the host's as well."),
        key("preload", "true or false", "false", "Says that the domain may be in browsers' built-in lists."),
    ],
};

/// `sites[].client_certificate`.
pub const CLIENT_CERTIFICATE: Table = Table {
    name: "client certificate",
    path: "sites[].client_certificate",
    about: "About clients whose certificate a listener's `client_ca` has verified. Headers named here are removed from \
            requests, also where `_` stands for `-`, before Portcullis sets its own. Rules see them as the client sent \
            them, and what was verified in `ENV` (`ENV:SSL_CLIENT_S_DN`).",
    keys: &[
        key(
            "mode",
            "`optional` or `required`",
            "optional",
            "Whether requests without a verified certificate are refused (403).",
        ),
        key(
            "subject_header",
            "header name",
            "none",
            "Tells the upstream the subject: `CN=Ann,O=Example,C=DE`.",
        ),
        key("verify_header", "header name", "none", "`SUCCESS` or `NONE`."),
        key("fingerprint_header", "header name", "none", "The certificate's SHA-256 in lower-case hex."),
        key("certificate_header", "header name", "none", "The certificate: PEM, percent-encoded."),
    ],
};
