//! The table of operators.

use super::contract::{Argument, Built, Resources};
use super::{
    address, compare, geo, injection, markup, phrase, refused, rx, shell, template, text, validate, verify,
};
use crate::dialect::{CORAZA, Difference, EVERYONE, Status, V2, V2_V3, V3, unlike};

/// One operator, `@name`.
#[derive(Debug)]
pub struct OperatorRow {
    /// The name in ModSecurity's spelling, without `@`.
    pub name: &'static str,
    /// Other accepted spellings; all names are case-insensitive.
    pub aliases: &'static [&'static str],
    /// For the reference: what it does and what its argument is, a paragraph of Markdown.
    pub doc: &'static str,
    /// Whether it is there at all.
    pub status: Status,
    /// Where it does something else than elsewhere.
    pub differs: &'static [Difference],
    /// How the argument is read.
    pub argument: Argument,
    /// Builds it from the argument as written. An argument of [`Argument::Macro`] that contains macros is given
    /// as `None`: its text comes with each evaluation.
    pub build: fn(argument: Option<&str>, resources: &dyn Resources) -> Built,
}

/// All rows, sorted by name without regard to case.
pub fn all() -> &'static [OperatorRow] {
    ROWS
}

/// The operator called `name`, in any case, under its name or an alias.
pub fn find(name: &str) -> Option<&'static OperatorRow> {
    all()
        .iter()
        .find(|o| o.name.eq_ignore_ascii_case(name) || o.aliases.iter().any(|a| a.eq_ignore_ascii_case(name)))
}

use Status::Implemented;

static ROWS: &[OperatorRow] = &[
    OperatorRow {
        name: "beginsWith",
        aliases: &[],
        doc: "Matches when the value begins with the argument, byte by byte and with regard to case.",
        status: Implemented,
        differs: &[],
        argument: Argument::Macro,
        build: text::begins_with,
    },
    OperatorRow {
        name: "contains",
        aliases: &[],
        doc: "Matches when the argument occurs in the value, with regard to case.",
        status: Implemented,
        differs: &[],
        argument: Argument::Macro,
        build: text::contains,
    },
    OperatorRow {
        name: "containsWord",
        aliases: &[],
        doc: "Matches when the argument occurs in the value as a word: before and behind it there is no ASCII letter. Digits and underscores delimit words, as in ModSecurity v3.",
        status: Implemented,
        differs: &[unlike(V2, "There a digit and an underscore belong to a word as letters do.")],
        argument: Argument::Macro,
        build: text::contains_word,
    },
    OperatorRow {
        name: "detectHtml",
        aliases: &[],
        doc: "Matches when the value holds markup that runs script. Tags are read as browsers read them, entities and escapes in attributes included: event handlers, script elements with a source or with code, addresses that are script or a document of their own in the attributes that take addresses, `srcdoc`, styles with expressions, animations of such attributes, elements that load another page; and handlers that leave an attribute of the page's own (`\" onfocus=alert(1) x=\"`). Markup of editors does not match, nor do texts with `<3`, `a < b`, `List<String>`, addresses in `<>`, links that do nothing (`javascript:void(0)`), or handlers of JSX in values of many lines. Of Portcullis.",
        status: Implemented,
        differs: &[],
        argument: Argument::None,
        build: markup::html,
    },
    OperatorRow {
        name: "detectShell",
        aliases: &[],
        doc: "Matches when the value holds a command that a shell would run, behind something that opens one (`;`, `|`, `&&`, `&`, an end of line, `$(`, a backtick). Words are read as a shell reads them, so that quotes, backslashes, `$@`, `$IFS`, wildcards, braces and variables do not hide a command's name; a name that texts have as well counts only with what a command line has beside it, such as an option or a path. In values of many lines, which may be manuals, only hidden names count. `TX.0` is the command's name as it is written. Of Portcullis.",
        status: Implemented,
        differs: &[],
        argument: Argument::None,
        build: shell::shell,
    },
    OperatorRow {
        name: "detectSQLi",
        aliases: &["detect_sqli"],
        doc: "Matches when libinjection takes the value for SQL injection. `TX.0` is the fingerprint.",
        status: Implemented,
        differs: &[],
        argument: Argument::None,
        build: injection::sqli,
    },
    OperatorRow {
        name: "detectTemplate",
        aliases: &[],
        doc: "Matches when the value holds an expression that a template engine or an expression language on the server would evaluate and that does something there: a way from an object to its class, to a process or a file (`__class__`, `getClass()`, `constructor.constructor`, `T(java.lang.Runtime)`, `?new()`, `system('id')`), a lookup of Log4j that asks a directory, whatever its letters are made of, or arithmetic with constants, as probes have it. Known are the delimiters of Jinja2, Twig, Handlebars, FreeMarker, Velocity, Thymeleaf, SpEL, EL, OGNL, ERB, EJS, JSP, Mako, Smarty, Razor, Pug, Template Toolkit and Log4j. Placeholders (`{{name}}`, `${HOME}`) do not match, nor do filters, conditions and loops; probes do not in long values and those of many lines, which may explain templates; and what only tells something of the server (`{{config}}`, `${env:HOME}`) matches as a whole value only. `TX.0` is the expression. Of Portcullis.",
        status: Implemented,
        differs: &[],
        argument: Argument::None,
        build: template::template,
    },
    OperatorRow {
        name: "detectXSS",
        aliases: &["detect_xss"],
        doc: "Matches when libinjection takes the value for cross-site scripting. `TX.0` is the value.",
        status: Implemented,
        differs: &[],
        argument: Argument::None,
        build: injection::xss,
    },
    OperatorRow {
        name: "endsWith",
        aliases: &[],
        doc: "Matches when the value ends with the argument, with regard to case.",
        status: Implemented,
        differs: &[],
        argument: Argument::Macro,
        build: text::ends_with,
    },
    OperatorRow {
        name: "eq",
        aliases: &[],
        doc: "Matches when value and argument are equal as numbers. Text which is no number is 0.",
        status: Implemented,
        differs: &[],
        argument: Argument::Macro,
        build: compare::eq,
    },
    OperatorRow {
        name: "fuzzyHash",
        aliases: &[],
        doc: "Not supported: compares with ssdeep hashes, whose maintained implementations are under the GPL.",
        status: refused::FUZZY_HASH,
        differs: &[],
        argument: Argument::Static,
        build: refused::fuzzy_hash,
    },
    OperatorRow {
        name: "ge",
        aliases: &[],
        doc: "Matches when the value is greater than or equal to the argument, as numbers.",
        status: Implemented,
        differs: &[],
        argument: Argument::Macro,
        build: compare::ge,
    },
    OperatorRow {
        name: "geoLookup",
        aliases: &[],
        doc: "Looks the address up in the database of `SecGeoLookupDB` and fills the collection `GEO`. Matches when it is found; never without a database.",
        status: Implemented,
        differs: &[unlike(
            V2_V3,
            "Only databases in MaxMind's format (`.mmdb`) are read; there GeoIP's older `.dat` is too.",
        )],
        argument: Argument::None,
        build: geo::geo_lookup,
    },
    OperatorRow {
        name: "gsbLookup",
        aliases: &[],
        doc: "Not supported: Google has retired the interface that this operator used.",
        status: refused::GSB_LOOKUP,
        differs: &[],
        argument: Argument::Static,
        build: refused::gsb_lookup,
    },
    OperatorRow {
        name: "gt",
        aliases: &[],
        doc: "Matches when the value is greater than the argument, as numbers.",
        status: Implemented,
        differs: &[],
        argument: Argument::Macro,
        build: compare::gt,
    },
    OperatorRow {
        name: "inspectFile",
        aliases: &[],
        doc: "Not supported: runs a program or a Lua script.",
        status: refused::INSPECT_FILE,
        differs: &[],
        argument: Argument::Static,
        build: refused::inspect_file,
    },
    OperatorRow {
        name: "ipMatch",
        aliases: &[],
        doc: "Matches when the value is an address in one of the argument's networks, which are separated by commas: `10.0.0.0/8,2001:db8::/32,::1`.",
        status: Implemented,
        differs: &[],
        argument: Argument::Static,
        build: address::ip_match,
    },
    OperatorRow {
        name: "ipMatchFromDataset",
        aliases: &[],
        doc: "Like `@ipMatch`, with the entries of a `SecDataset`.",
        status: Implemented,
        differs: &[],
        argument: Argument::Static,
        build: address::ip_match_from_dataset,
    },
    OperatorRow {
        name: "ipMatchFromFile",
        aliases: &["ipMatchF"],
        doc: "Like `@ipMatch`, with the lines of a file. What follows a `#` is a comment.",
        status: Implemented,
        differs: &[unlike(V2_V3, "Lists are files; there an `https:` address is fetched too.")],
        argument: Argument::File,
        build: address::ip_match_from_file,
    },
    OperatorRow {
        name: "le",
        aliases: &[],
        doc: "Matches when the value is less than or equal to the argument, as numbers.",
        status: Implemented,
        differs: &[],
        argument: Argument::Macro,
        build: compare::le,
    },
    OperatorRow {
        name: "lt",
        aliases: &[],
        doc: "Matches when the value is less than the argument, as numbers.",
        status: Implemented,
        differs: &[],
        argument: Argument::Macro,
        build: compare::lt,
    },
    OperatorRow {
        name: "noMatch",
        aliases: &[],
        doc: "Never matches.",
        status: Implemented,
        differs: &[],
        argument: Argument::None,
        build: text::no_match,
    },
    OperatorRow {
        name: "pm",
        aliases: &[],
        doc: "Matches when one of the argument's words, which are separated by white space, occurs in the value, without regard to ASCII case. `|41 42|` is the bytes 0x41 and 0x42. `TX.0` is what was found.",
        status: Implemented,
        differs: &[
            unlike(V3, "There a phrase with a byte beyond ASCII is never found."),
            unlike(CORAZA, "There `|41 42|` is plain text."),
        ],
        argument: Argument::Static,
        build: phrase::pm,
    },
    OperatorRow {
        name: "pmFromDataset",
        aliases: &[],
        doc: "Like `@pm`, with the entries of a `SecDataset`.",
        status: Implemented,
        differs: &[],
        argument: Argument::Static,
        build: phrase::pm_from_dataset,
    },
    OperatorRow {
        name: "pmFromFile",
        aliases: &["pmf"],
        doc: "Like `@pm`, with the lines of one file or several. Lines that are empty or begin with `#` are skipped.",
        status: Implemented,
        differs: &[
            unlike(V2_V3, "Lists are files; there an `https:` address is fetched too."),
            unlike(V3, "There a phrase with a byte beyond ASCII is never found."),
        ],
        argument: Argument::File,
        build: phrase::pm_from_file,
    },
    OperatorRow {
        name: "rbl",
        aliases: &[],
        doc: "Matches when the DNS block list that the argument names lists the address. `TX.0` is the address. No request waits for a name server: an address that has not been asked about before does not match yet, and its answer is known to the requests that follow.",
        status: Implemented,
        differs: &[unlike(
            EVERYONE,
            "There a request waits for the name server. Here the first request of an address is not matched, and those that follow are.",
        )],
        argument: Argument::Static,
        build: address::rbl,
    },
    OperatorRow {
        name: "restpath",
        aliases: &[],
        doc: "Matches when the value is a path like the template: `/users/{id}`. What stands for a name in braces becomes a member of `ARGS_PATH`. Of Coraza.",
        status: Implemented,
        differs: &[],
        argument: Argument::Static,
        build: rx::rest_path,
    },
    OperatorRow {
        name: "rsub",
        aliases: &[],
        doc: "Not supported: rewrites bodies.",
        status: refused::RSUB,
        differs: &[],
        argument: Argument::Static,
        build: refused::rsub,
    },
    OperatorRow {
        name: "rx",
        aliases: &[],
        doc: "Matches when the regular expression matches somewhere in the value. The syntax is PCRE's; patterns and values are bytes, `.` matches newlines, `^` and `$` match at lines. `TX.0` is the match, `TX.1` to `TX.9` are its groups. Patterns with look-around, back-references, atomic groups or possessive quantifiers run on a slower engine with bounds.",
        status: Implemented,
        differs: &[
            unlike(V2, "`^` and `$` match at every line; there only under `(?m)`."),
            unlike(
                V2_V3,
                "There every pattern may backtrack, up to `SecPcreMatchLimit`. Here patterns run in linear time, and those with look-around, back-references, atomic groups or possessive quantifiers with bounds of their own: at these, the pattern does not match, and `MSC_PCRE_LIMITS_EXCEEDED` is set. A letter escape without a meaning is an error.",
            ),
            unlike(
                CORAZA,
                "Patterns and values are bytes and the syntax is PCRE's, so that `\\xHH` is a byte, and look-around works, which is an error there.",
            ),
        ],
        argument: Argument::Macro,
        build: rx::rx,
    },
    OperatorRow {
        name: "rxGlobal",
        aliases: &[],
        doc: "Like `@rx`, but goes on after a match: the groups of the next one follow in `TX`.",
        status: Implemented,
        differs: &[unlike(V3, "As with `@rx`: linear time, or bounds.")],
        argument: Argument::Macro,
        build: rx::rx_global,
    },
    OperatorRow {
        name: "streq",
        aliases: &[],
        doc: "Matches when value and argument are equal, with regard to case.",
        status: Implemented,
        differs: &[],
        argument: Argument::Macro,
        build: text::streq,
    },
    OperatorRow {
        name: "strmatch",
        aliases: &[],
        doc: "Matches when the argument occurs in the value, with regard to case: the same as `@contains`.",
        status: Implemented,
        differs: &[],
        argument: Argument::Macro,
        build: text::contains,
    },
    OperatorRow {
        name: "unconditionalMatch",
        aliases: &[],
        doc: "Always matches.",
        status: Implemented,
        differs: &[],
        argument: Argument::None,
        build: text::unconditional_match,
    },
    OperatorRow {
        name: "validateByteRange",
        aliases: &[],
        doc: "Matches when the value holds a byte which the argument does not list: `9,10,13,32-126`.",
        status: Implemented,
        differs: &[unlike(V3, "A faulty list is an error; there it is ignored and every value matches.")],
        argument: Argument::Static,
        build: validate::byte_range,
    },
    OperatorRow {
        name: "validateDTD",
        aliases: &[],
        doc: "Not supported: validates XML against a document type definition.",
        status: refused::VALIDATE_DTD,
        differs: &[],
        argument: Argument::Static,
        build: refused::validate_dtd,
    },
    OperatorRow {
        name: "validateHash",
        aliases: &[],
        doc: "Not supported: validates hashes in links.",
        status: refused::VALIDATE_HASH,
        differs: &[],
        argument: Argument::Static,
        build: refused::validate_hash,
    },
    OperatorRow {
        name: "validateNid",
        aliases: &[],
        doc: "Matches when the regular expression finds a national identifier that is valid: `cl PATTERN` for Chile's RUT, `us PATTERN` for social security numbers. `TX.0` is the number. Of Coraza.",
        status: Implemented,
        differs: &[],
        argument: Argument::Static,
        build: verify::nid,
    },
    OperatorRow {
        name: "validateSchema",
        aliases: &[],
        doc: "Not supported: validates XML or JSON against a schema.",
        status: refused::VALIDATE_SCHEMA,
        differs: &[],
        argument: Argument::Static,
        build: refused::validate_schema,
    },
    OperatorRow {
        name: "validateUrlEncoding",
        aliases: &[],
        doc: "Matches when the value holds a percent sign that two hexadecimal digits do not follow.",
        status: Implemented,
        differs: &[],
        argument: Argument::None,
        build: validate::url_encoding,
    },
    OperatorRow {
        name: "validateUtf8Encoding",
        aliases: &[],
        doc: "Matches when the value is not UTF-8: invalid or missing bytes, overlong forms, surrogates, code points above U+10FFFF.",
        status: Implemented,
        differs: &[],
        argument: Argument::None,
        build: validate::utf8_encoding,
    },
    OperatorRow {
        name: "verifyCC",
        aliases: &[],
        doc: "Matches when the regular expression finds a credit card number whose check digit is right. `TX.0` is the number.",
        status: Implemented,
        differs: &[],
        argument: Argument::Static,
        build: verify::credit_card,
    },
    OperatorRow {
        name: "verifyCPF",
        aliases: &[],
        doc: "Matches when the regular expression finds a Brazilian CPF number whose check digits are right. `TX.0` is the number.",
        status: Implemented,
        differs: &[unlike(
            V2_V3,
            "There the search behind a candidate that failed forgets what stood before it, so that `^` and `\\b` match in the middle.",
        )],
        argument: Argument::Static,
        build: verify::cpf,
    },
    OperatorRow {
        name: "verifySSN",
        aliases: &[],
        doc: "Matches when the regular expression finds a plausible United States social security number. `TX.0` is the number.",
        status: Implemented,
        differs: &[unlike(V2_V3, "As with `@verifyCPF`.")],
        argument: Argument::Static,
        build: verify::ssn,
    },
    OperatorRow {
        name: "verifySVNR",
        aliases: &[],
        doc: "Matches when the regular expression finds an Austrian social security number whose check digit is right. `TX.0` is the number.",
        status: Implemented,
        differs: &[unlike(V2_V3, "As with `@verifyCPF`.")],
        argument: Argument::Static,
        build: verify::svnr,
    },
    OperatorRow {
        name: "within",
        aliases: &[],
        doc: "Matches when the value occurs in the argument, with regard to case. An empty value always does.",
        status: Implemented,
        differs: &[],
        argument: Argument::Macro,
        build: text::within,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::NoResources;

    #[test]
    fn what_is_refused_is_not_built() {
        for row in all() {
            let built = (row.build)(Some("x"), &NoResources);
            if let Status::Refused(refusal) = row.status {
                let error = built.expect_err(row.name);
                assert_eq!((&*error.message, error.help.as_deref()), (refusal.why, Some(refusal.instead)));
            }
            assert!(!matches!(row.status, Status::Accepted(_)), "{} is accepted without effect", row.name);
        }
    }

    #[test]
    fn names_are_sorted_and_unique() {
        let names: Vec<String> = all().iter().map(|r| r.name.to_ascii_lowercase()).collect();
        assert!(names.is_sorted());
        for row in all() {
            for name in std::iter::once(&row.name).chain(row.aliases) {
                let found = find(&name.to_ascii_uppercase()).expect(name);
                assert!(std::ptr::eq(found, row), "{name} stands for two operators");
            }
        }
    }
}
