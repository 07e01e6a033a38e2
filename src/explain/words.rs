//! Plain words for what rules are for.

/// What a category (`attack-…`, without the prefix) is, to stand behind "looks for". None when it is not known.
pub fn category(name: &str) -> Option<&'static str> {
    CATEGORIES.iter().find(|(known, _)| *known == name).map(|(_, words)| *words)
}

/// What a rule with these tags is for: a sentence.
pub fn purpose<'a>(tags: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut words: Vec<&str> = Vec::new();
    for tag in tags {
        if let Some(known) = tag.strip_prefix("attack-").and_then(category)
            && !words.contains(&known)
        {
            words.push(known);
        }
    }
    (!words.is_empty()).then(|| format!("It looks for {}.", words.join(" and ")))
}

const CATEGORIES: [(&str, &str); 23] = [
    ("sqli", "SQL injection: input that becomes part of a database query"),
    ("xss", "cross-site scripting: input that becomes script in somebody's browser"),
    ("rce", "remote command execution: input that becomes a command of the system"),
    ("lfi", "access to local files, by their name or by a way out of the directory"),
    ("rfi", "inclusion of files from elsewhere"),
    ("ssrf", "addresses that the server would be made to fetch"),
    ("ssti", "template injection: input that a template engine carries out"),
    ("injection-php", "PHP code and its dangerous functions"),
    ("injection-java", "Java expressions, classes and serialised objects"),
    ("injection-nodejs", "JavaScript that the server would carry out"),
    ("injection-generic", "code in several languages"),
    ("ldap", "LDAP injection"),
    ("nosql", "injection into queries of databases without SQL"),
    ("xxe", "XML that names external entities"),
    ("fixation", "sessions that somebody else has chosen"),
    ("protocol", "requests that break HTTP's rules or evade inspection by them"),
    ("multipart-header", "malformed headers in uploaded forms"),
    ("deprecated-header", "headers that nobody sends any more"),
    ("disclosure", "answers that give away errors, code or keys"),
    ("reputation-scanner", "programs that look for weaknesses"),
    ("reputation-ip", "addresses of bad repute"),
    ("dos", "requests that exhaust the server"),
    ("generic", "attacks of several kinds"),
];

/// The first sentence of a paragraph of Markdown, without its marks.
pub(super) fn first_sentence(doc: &str) -> String {
    let end = doc.find(". ").map_or(doc.len(), |at| at + 1);
    doc.get(..end).unwrap_or(doc).replace('`', "").trim().to_owned()
}
