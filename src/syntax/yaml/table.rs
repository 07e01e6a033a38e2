//! The keys there are: one row each. The reader knows keys by them, and the JSON Schema is made of them.

/// A mapping of the format.
#[derive(Debug)]
pub struct Table {
    /// A short name, unique among tables.
    pub name: &'static str,
    /// As complaints call it: `a rule`.
    pub what: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// A key of a mapping.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What stands behind it.
    pub takes: Takes,
    /// Whether it must be there.
    pub required: bool,
    /// What it is for.
    pub about: &'static str,
}

/// What a key takes.
#[derive(Debug)]
pub enum Takes {
    /// A text of one line. Numbers and truth values are texts too.
    Text,
    /// A text of any number of lines.
    Paragraph,
    /// A text or a list of texts.
    Texts,
    /// A whole number in these bounds.
    Number(u64, u64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A date, `YYYY-MM-DD`.
    Date,
    /// A mapping with fixed keys.
    Of(&'static Table),
    /// A list.
    List(&'static Takes),
    /// A mapping with any keys.
    Map(&'static Takes),
    /// One of these.
    Either(&'static [Takes]),
}

impl Table {
    /// The key `name`.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The names of all keys, for a complaint.
    pub(crate) fn listed(&self) -> String {
        self.keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
    }
}

const fn key(name: &'static str, takes: Takes, about: &'static str) -> Key {
    Key { name, takes, required: false, about }
}

const fn must(name: &'static str, takes: Takes, about: &'static str) -> Key {
    Key { name, takes, required: true, about }
}

/// The names of severities, 0 to 7.
pub(crate) const SEVERITY_NAMES: &[&str] =
    &["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"];

/// As above; SecLang writes them in upper case.
const SEVERITY_WORDS: &[&str] = &[
    "emergency",
    "alert",
    "critical",
    "error",
    "warning",
    "notice",
    "info",
    "debug",
    "EMERGENCY",
    "ALERT",
    "CRITICAL",
    "ERROR",
    "WARNING",
    "NOTICE",
    "INFO",
    "DEBUG",
];

/// A condition, wherever one may stand.
static ANY_CONDITION: Takes = Takes::Either(&[
    Takes::Of(&CONDITION),
    Takes::Of(&ALL),
    Takes::Of(&ANY),
    Takes::Of(&NOT),
    Takes::List(&ANY_CONDITION),
]);

/// The file.
pub static FILE: Table = Table {
    name: "file",
    what: "a rule file",
    keys: &[
        key("description", Takes::Paragraph, "What the file is for."),
        key("patch", Takes::Of(&PATCH), "Makes the file a virtual patch."),
        key(
            "settings",
            Takes::Map(&Takes::Texts),
            "Directives with their arguments; they come before the rules.",
        ),
        key("lists", Takes::Map(&LIST), "Named lists for `@pmFromDataset` and `@ipMatchFromDataset`."),
        key("include", Takes::Texts, "Files or globs, relative to this file."),
        key(
            "seclang",
            Takes::Either(&[Takes::Paragraph, Takes::List(&Takes::Paragraph)]),
            "Blocks of SecLang.",
        ),
        key("rules", Takes::List(&STEP), "Rules, and what stands between them."),
        key("only", Takes::List(&Takes::Of(&ONLY)), "What paths take, and nothing else."),
        key("exclusions", Takes::List(&Takes::Of(&EXCLUSION)), "Rules or targets that are switched off."),
    ],
};

/// A member of `rules:`.
static STEP: Takes = Takes::Either(&[
    Takes::Of(&RULE),
    Takes::Of(&MARKER),
    Takes::Of(&SETTINGS),
    Takes::Of(&INCLUDE),
    Takes::Of(&SECLANG),
]);

/// A place for `skipAfter` among rules.
pub static MARKER: Table = Table {
    name: "marker",
    what: "a marker",
    keys: &[must("marker", Takes::Text, "Its name, for skipAfter.")],
};

/// Settings among rules.
pub static SETTINGS: Table = Table {
    name: "settings",
    what: "settings among rules",
    keys: &[must("settings", Takes::Map(&Takes::Texts), "Directives with their arguments.")],
};

/// Files among rules.
pub static INCLUDE: Table = Table {
    name: "include",
    what: "an include",
    keys: &[must("include", Takes::Texts, "Files or globs, relative to this file.")],
};

/// SecLang among rules.
pub static SECLANG: Table = Table {
    name: "seclang",
    what: "a block of SecLang",
    keys: &[must("seclang", Takes::Paragraph, "The block.")],
};

/// A named list: its entries, or the file that has them.
static LIST: Takes = Takes::Either(&[Takes::Texts, Takes::Of(&LIST_FILE)]);

/// A named list in a file.
pub static LIST_FILE: Table = Table {
    name: "list",
    what: "a list in a file",
    keys: &[must(
        "file",
        Takes::Text,
        "A file with an entry on each line, relative to this one; `#` begins a comment.",
    )],
};

/// `patch:`.
pub static PATCH: Table = Table {
    name: "patch",
    what: "a patch",
    keys: &[
        must("title", Takes::Text, "The flaw in one line."),
        key("cve", Takes::Texts, "CVE numbers."),
        must("product", Takes::Text, "The product that is flawed."),
        key("affected", Takes::Paragraph, "The versions that are."),
        must("blocks", Takes::Paragraph, "What the patch blocks."),
        key("misses", Takes::Paragraph, "What it is known not to block."),
        key("references", Takes::Texts, "Addresses, CWE and CAPEC numbers."),
        must("severity", Takes::Word(SEVERITY_NAMES), "The severity of its rules."),
        must("owner", Takes::Text, "Who answers for it."),
        must("created", Takes::Date, "When it was written."),
        must(
            "review_by",
            Takes::Date,
            "From when on it should be looked at again; it goes on blocking, and warns.",
        ),
    ],
};

/// A member of `rules:`.
pub static RULE: Table = Table {
    name: "rule",
    what: "a rule",
    keys: &[
        key(
            "id",
            Takes::Text,
            "A number, or a text that stands for one; no other rule has it. In a patch it may be left out.",
        ),
        key("name", Takes::Text, "A short name; becomes the tag `rule/NAME`."),
        key("description", Takes::Paragraph, "What the rule is about, for whoever meets it in a log."),
        key("tuning", Takes::Paragraph, "When it may be wrong and what to do then, for whoever tunes it."),
        key("phase", Takes::Number(1, 5), "Left out, it follows from the variables."),
        key(
            "severity",
            Takes::Either(&[Takes::Word(SEVERITY_WORDS), Takes::Number(0, 7)]),
            "How bad a match is.",
        ),
        key("paranoia", Takes::Number(1, 4), "The paranoia level from which on the rule runs."),
        key("tags", Takes::Texts, "Tags."),
        key("references", Takes::Texts, "CVE, CWE and CAPEC numbers, and addresses."),
        key(
            "when",
            Takes::Either(&[
                Takes::Word(&["always"]),
                Takes::Of(&CONDITION),
                Takes::Of(&ALL),
                Takes::Of(&ANY),
                Takes::Of(&NOT),
                Takes::List(&ANY_CONDITION),
            ]),
            "The condition.",
        ),
        key("message", Takes::Text, "The text in logs; may hold macros."),
        key(
            "raw_body",
            Takes::Flag,
            "Whether `REQUEST_BODY` is filled for the rule whatever the type of the body, multipart apart.",
        ),
        key("actions", Takes::Texts, "Further actions as SecLang writes them."),
        key("matches", Takes::List(&TEST), "Requests that the rule must match."),
        key("passes", Takes::List(&TEST), "Requests that it must pass."),
        key("all", Takes::List(&ANY_CONDITION), "In the place of `when`: all must be met."),
        key("any", Takes::List(&ANY_CONDITION), "In the place of `when`: one must be met."),
        key("not", Takes::Of(&CONDITION), "In the place of `when`: negated."),
    ],
};

/// A condition that is no compound.
pub static CONDITION: Table = Table {
    name: "condition",
    what: "a condition",
    keys: &[
        must("variables", Takes::Texts, "Targets as in SecLang."),
        must("operator", Takes::Text, "`'@name argument'`, or `'!@name argument'`."),
        key("transformations", Takes::Texts, "Names, in order."),
        key("capture", Takes::Flag, "Whether groups of the pattern go to `TX:0` to `TX:9`."),
        key("multi_match", Takes::Flag, "Whether the operator is tried after each transformation."),
        key(
            "actions",
            Takes::Texts,
            "Actions as SecLang writes them, carried out when this condition is met, whatever comes of the others.",
        ),
    ],
};

static ALL: Table = Table {
    name: "all",
    what: "a condition",
    keys: &[must("all", Takes::List(&ANY_CONDITION), "Met when all are.")],
};

static ANY: Table = Table {
    name: "any",
    what: "a condition",
    keys: &[must("any", Takes::List(&ANY_CONDITION), "Met when one is.")],
};

static NOT: Table = Table {
    name: "not",
    what: "a condition",
    keys: &[must("not", Takes::Of(&CONDITION), "The operator, negated.")],
};

/// A test: a request as text, or a mapping.
static TEST: Takes = Takes::Either(&[Takes::Paragraph, Takes::Of(&REQUEST)]);

/// A test as a mapping.
pub static REQUEST: Table = Table {
    name: "test",
    what: "a test",
    keys: &[
        key("note", Takes::Text, "What is special about it."),
        key("request", Takes::Paragraph, "The request as text: `GET /path`, or with headers and a body."),
        key("method", Takes::Text, "The method, in the place of `request`."),
        key("uri", Takes::Text, "The target, in the place of `request`."),
        key("headers", Takes::Map(&Takes::Texts), "Header fields, beside those of `request`."),
        key("body", Takes::Paragraph, "The body as text."),
        key("body_base64", Takes::Paragraph, "The body in base64."),
        key("response", Takes::Of(&RESPONSE), "What the application answers."),
    ],
};

/// The answer in a test.
pub static RESPONSE: Table = Table {
    name: "response",
    what: "a response",
    keys: &[
        key("status", Takes::Number(100, 599), "The status; 200 if left out."),
        key("headers", Takes::Map(&Takes::Texts), "Header fields."),
        key("body", Takes::Paragraph, "The body as text."),
        key("body_base64", Takes::Paragraph, "The body in base64."),
    ],
};

/// A member of `only:`.
pub static ONLY: Table = Table {
    name: "only",
    what: "a member of only",
    keys: &[
        key("id", Takes::Text, "As of a rule; the rules that it becomes have ids derived from it."),
        key("description", Takes::Paragraph, "What it is about."),
        key("tuning", Takes::Paragraph, "When it may be wrong and what to do then."),
        key(
            "severity",
            Takes::Either(&[Takes::Word(SEVERITY_WORDS), Takes::Number(0, 7)]),
            "How bad a violation is.",
        ),
        key("tags", Takes::Texts, "Tags."),
        key("references", Takes::Texts, "CVE, CWE and CAPEC numbers, and addresses."),
        must("path", Takes::Texts, "Paths; `*` stands for a segment, `**` for any number of them."),
        key(
            "when",
            Takes::Either(&[
                Takes::Of(&CONDITION),
                Takes::Of(&ALL),
                Takes::Of(&ANY),
                Takes::Of(&NOT),
                Takes::List(&ANY_CONDITION),
            ]),
            "Only requests that meet this too.",
        ),
        key("methods", Takes::Texts, "The methods that the path takes."),
        key("content_types", Takes::Texts, "The media types of bodies that it takes, without parameters."),
        key("parameters", Takes::Map(&PARAMETER_OR_TYPE), "The parameters that it takes, and no others."),
        key("others", Takes::Word(&["deny", "allow"]), "What becomes of other parameters; deny if left out."),
        key("actions", Takes::Texts, "Further actions as SecLang writes them."),
        key("matches", Takes::List(&TEST), "Requests that do not fit."),
        key("passes", Takes::List(&TEST), "Requests that do."),
    ],
};

/// A parameter: its type alone, or all that is known of it.
static PARAMETER_OR_TYPE: Takes = Takes::Either(&[Takes::Word(TYPE_NAMES), Takes::Of(&PARAMETER)]);

/// What a parameter takes.
pub static PARAMETER: Table = Table {
    name: "parameter",
    what: "a parameter",
    keys: &[
        key("type", Takes::Word(TYPE_NAMES), "What its values are."),
        key("pattern", Takes::Text, "A regular expression that a whole value must match."),
        key("enum", Takes::Texts, "The values there are."),
        key("min_length", Takes::Number(0, GREATEST_LENGTH), "The fewest bytes of a value."),
        key("max_length", Takes::Number(0, GREATEST_LENGTH), "The most bytes of a value."),
        key("required", Takes::Flag, "Whether it must be there."),
        key("repeated", Takes::Flag, "Whether it may be there more than once."),
    ],
};

/// A member of `exclusions:`.
pub static EXCLUSION: Table = Table {
    name: "exclusion",
    what: "an exclusion",
    keys: &[
        key("rules", Takes::Texts, "Ids and ranges of ids."),
        key("tags", Takes::Texts, "Regular expressions over tags."),
        key("messages", Takes::Texts, "Regular expressions over messages."),
        key("targets", Takes::Texts, "What the rules no longer look at; left out, they are switched off."),
        key("reason", Takes::Text, "For people."),
        key("id", Takes::Text, "With a condition: as of a rule."),
        key("phase", Takes::Number(1, 5), "With a condition: as of a rule."),
        key(
            "when",
            Takes::Either(&[
                Takes::Of(&CONDITION),
                Takes::Of(&ALL),
                Takes::Of(&ANY),
                Takes::Of(&NOT),
                Takes::List(&ANY_CONDITION),
            ]),
            "Only for requests that meet this.",
        ),
        key("all", Takes::List(&ANY_CONDITION), "In the place of `when`."),
        key("any", Takes::List(&ANY_CONDITION), "In the place of `when`."),
        key("not", Takes::Of(&CONDITION), "In the place of `when`."),
    ],
};

/// Bytes that a length may speak of: more than any argument has.
pub(crate) const GREATEST_LENGTH: u64 = 1 << 30;

/// The types of parameters, with the expression that a whole value must match.
pub(crate) const TYPES: &[(&str, &str)] = &[
    ("any", "(?s:.*)"),
    ("base64", "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"),
    ("boolean", "(?:true|false|on|off|yes|no|1|0)"),
    ("date", "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"),
    ("email", "[A-Za-z0-9.!#$%&*+/=?^_{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\\.[A-Za-z0-9-]{1,63}){1,8}"),
    ("hex", "[0-9A-Fa-f]+"),
    ("integer", "[+-]?[0-9]{1,20}"),
    ("line", "[^\\x00-\\x1f\\x7f]*"),
    ("number", "[+-]?[0-9]{1,20}(?:[.,][0-9]{1,20})?(?:[eE][+-]?[0-9]{1,4})?"),
    ("text", "[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]*"),
    ("uuid", "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"),
    ("word", "[A-Za-z0-9_-]+"),
];

/// The names of [`TYPES`].
const TYPE_NAMES: &[&str] = &[
    "any", "base64", "boolean", "date", "email", "hex", "integer", "line", "number", "text", "uuid", "word",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_name() {
        assert!(TYPES.iter().map(|(name, _)| name).eq(TYPE_NAMES));
    }
}
