//! What the shop takes for a database, a file system and a shell. Nothing here reaches beyond these tables.

/// A book.
pub(super) struct Book {
    pub(super) isbn: &'static str,
    pub(super) title: &'static str,
    pub(super) author: &'static str,
    pub(super) pence: u32,
}

/// The stock.
pub(super) const BOOKS: [Book; 6] = [
    Book { isbn: "0-00-000001-1", title: "To the Lighthouse and Back", author: "E. Marlow", pence: 799 },
    Book { isbn: "0-00-000002-X", title: "Knots for Every Weather", author: "T. Hawser", pence: 1250 },
    Book { isbn: "0-00-000003-8", title: "The Sea at Night", author: "I. Penrose", pence: 650 },
    Book {
        isbn: "0-00-000004-6",
        title: "Charts of the Northern Sound",
        author: "The Admiralty Press",
        pence: 2400,
    },
    Book { isbn: "0-00-000005-4", title: "Tea with the Harbour Master", author: "D. O'Reilly", pence: 550 },
    Book { isbn: "0-00-000006-2", title: "A Field Guide to Gulls", author: "S. Larus", pence: 999 },
];

/// The query that logging in would run, with the visitor's words pasted into it.
pub(super) fn login_query(user: &str, password: &str) -> String {
    format!("SELECT name FROM members WHERE name = '{user}' AND password = '{password}'")
}

/// Logs in as a database would that is asked [`login_query`]: a quote in a name ends the string, and what follows
/// is SQL. Only the one tautology that everybody tries is understood.
pub(super) fn log_in(user: &str, password: &str) -> Option<&'static str> {
    const MEMBERS: [(&str, &str); 2] = [("alice", "wonderland"), ("admin", "correct horse battery staple")];
    let query = login_query(user, password).to_ascii_lowercase();
    let broken_out = query.matches('\'').count() != 4 || query.contains("--");
    if broken_out && (query.contains(" or ") || query.contains("union") || query.contains("--")) {
        return Some("admin");
    }
    MEMBERS.iter().find(|(name, secret)| *name == user && *secret == password).map(|(name, _)| *name)
}

/// Reads a leaflet; a path that climbs out of the directory gets as far as it would on a real disk.
pub(super) fn read_file(name: &str) -> Option<&'static str> {
    match name {
        "opening-hours.txt" => Some("Monday to Saturday, nine to five. Closed at high tide."),
        "how-to-find-us.txt" => Some("Down Harbour Lane, past the chandler, third door on the left."),
        climbing if climbing.ends_with("etc/passwd") => Some(
            "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n(made up; but you see the point)",
        ),
        _ => None,
    }
}

/// What `ping` would print if the host's name were handed to a shell.
pub(super) fn ping(host: &str) -> String {
    let is_shell = |c: char| matches!(c, ';' | '|' | '&' | '`' | '$');
    let (name, rest) = host.split_at(host.find(is_shell).unwrap_or(host.len()));
    let mut out = format!("PING {name}: 56 data bytes\n64 bytes: icmp_seq=0 ttl=64 time=0.04 ms\n");
    if !rest.is_empty() {
        out.push_str(
            "uid=33(www-data) gid=33(www-data) groups=33(www-data)\n(made up; but you see the point)\n",
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn honest_words_work_and_dishonest_ones_do_too() {
        assert_eq!(log_in("alice", "wonderland"), Some("alice"));
        for (user, password) in [("alice", ""), ("", ""), ("o'neill", "x"), ("gregor", "or")] {
            assert_eq!(log_in(user, password), None, "{user} {password}");
        }
        for (user, password) in
            [("admin'--", ""), ("' or '1'='1", "x"), ("x", "' OR 1=1 -- "), ("' UNION SELECT 1", "")]
        {
            assert_eq!(log_in(user, password), Some("admin"), "{user} {password}");
        }
        assert!(read_file("../../secret").is_none());
        assert!(!ping("example.org").contains("uid="));
    }
}
