//! Shapes of hostile values: what finds them is what the patch will look for.

use super::part::Place;
use crate::cli::ftw::{InProcess, transact_native};
use crate::cli::source::encode;
use crate::compile::{EMBEDDED, Input, load};
use crate::engine::NoWorld;
use crate::ruleset::Mode;
use crate::source::{SourceMap, Span};
use crate::syntax::ast::{RuleTest, TestRequest};
use crate::syntax::seclang::{EmbeddedLoader, FileLoader};
use std::sync::Arc;

/// A way in which a value is hostile.
#[derive(Debug)]
pub(super) struct Shape {
    /// In a few words, for the description.
    pub(super) name: &'static str,
    /// As native YAML writes it.
    pub(super) operator: &'static str,
    /// An operator that finds what the first does not; empty where one is enough.
    pub(super) or: &'static str,
    pub(super) transformations: &'static [&'static str],
    pub(super) tag: &'static str,
    /// The number of its flaw in CWE.
    pub(super) cwe: &'static str,
    /// What it is hostile in.
    pub(super) of: Of,
    /// Whether upper case makes no difference to whoever reads the value.
    pub(super) any_case: bool,
}

/// What a shape is hostile in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// Values of all kinds.
    Values,
    /// Names of files.
    FileNames,
    /// Names of parameters.
    Parameters,
}

/// All shapes, the most telling first.
pub(super) const SHAPES: &[Shape] = &[
    Shape {
        name: "a JNDI lookup",
        operator: r"@rx \$\{(?:\s*jndi\s*:|[^{}]*\$\{(?:[^{}\s:]*:|[^{}:]*:-))",
        or: "",
        transformations: &["urlDecodeUni", "urlDecodeUni", "lowercase"],
        tag: "attack-injection-java",
        cwe: "CWE-917",
        of: Of::Values,
        any_case: true,
    },
    Shape {
        name: "a shell function",
        operator: r"@rx \(\s*\)\s*\{",
        or: "",
        transformations: &["urlDecodeUni"],
        tag: "attack-rce",
        cwe: "CWE-78",
        of: Of::Values,
        any_case: true,
    },
    Shape {
        name: "a way into objects",
        operator: r"@rx (?:^|[.\[\]])(?:class(?:loader)?[.\[]|(?:__(?:proto__|construct(?:\(\))?|class)|constructor|prototype)(?:[.\[\](]|$))|(?:^|[\[.])#[a-z_]",
        or: "",
        transformations: &["urlDecodeUni", "lowercase"],
        tag: "attack-injection-generic",
        cwe: "CWE-915",
        of: Of::Parameters,
        any_case: false,
    },
    Shape {
        name: "an external entity",
        operator: r"@rx <!(?:doctype|entity)\b",
        or: "",
        transformations: &["removeNulls", "lowercase"],
        tag: "attack-xxe",
        cwe: "CWE-611",
        of: Of::Values,
        any_case: true,
    },
    Shape {
        name: "an expression",
        operator: r"@rx [$%#*]\{(?:[^}]|\x22[^\x22]*\x22|\x27[^\x27]*\x27|\{(?:[^{}]|\{[^{}]*\})*\})*[#@(.=]",
        or: "",
        transformations: &["urlDecodeUni", "urlDecodeUni"],
        tag: "attack-injection-java",
        cwe: "CWE-917",
        of: Of::Values,
        any_case: true,
    },
    Shape {
        name: "a template",
        operator: r"@rx \{\{.*\}\}|\{%.*%\}|<%.*%>",
        or: "",
        transformations: &["urlDecodeUni", "urlDecodeUni"],
        tag: "attack-ssti",
        cwe: "CWE-1336",
        of: Of::Values,
        any_case: true,
    },
    Shape {
        name: "an expression that does something",
        operator: "@detectTemplate",
        or: "",
        transformations: &["urlDecodeUni", "urlDecodeUni"],
        tag: "attack-ssti",
        cwe: "CWE-1336",
        of: Of::Values,
        any_case: false,
    },
    Shape {
        name: "a serialised object",
        operator: r"@rx \xac\xed\x00\x05|\brO0AB|(?:^|[;{])[OC]:[0-9]+:\x22|AAEAAAD/////",
        or: "",
        transformations: &["urlDecodeUni"],
        tag: "attack-injection-generic",
        cwe: "CWE-502",
        of: Of::Values,
        any_case: false,
    },
    Shape {
        name: "a file that a server would run",
        operator: r"@rx \.(?:php[0-9]?|phtml?|pht|phar|phps|inc|jspx?|jspf|jsw|jsv|war|aspx?|ashx|asmx|ascx|cer|asa|cshtml|cfml?|cfc|shtml|cgi|pl|py|sh|htaccess|user\.ini|exe|dll|bat|cmd|ps1)(?:[\s.:;/%]|\z)",
        or: "",
        transformations: &["urlDecodeUni", "removeNulls", "lowercase"],
        tag: "attack-upload",
        cwe: "CWE-434",
        of: Of::FileNames,
        any_case: true,
    },
    Shape {
        name: "a step out of the directory",
        operator: r"@rx (?:^|[/\x5c])\.\.(?:[/\x5c;]|$)",
        or: "",
        transformations: &["urlDecodeUni", "urlDecodeUni", "removeNulls"],
        tag: "attack-lfi",
        cwe: "CWE-22",
        of: Of::Values,
        any_case: true,
    },
    Shape {
        name: "PHP code",
        operator: r"@rx <\?(?:php|=|\s)|\b(?:system|exec|shell_exec|passthru|popen|proc_open|eval|assert|phpinfo|file_put_contents|call_user_func(?:_array)?|base64_decode)\s*\(|\bcall_user_func(?:_array)?\b",
        or: "",
        transformations: &["urlDecodeUni", "lowercase"],
        tag: "attack-injection-php",
        cwe: "CWE-94",
        of: Of::Values,
        any_case: true,
    },
    Shape {
        name: "letters written as escapes",
        operator: r"@rx (?:\x5cu00[2-7][0-9a-fA-F]){4}|(?:\x5cx[2-7][0-9a-fA-F]){4}",
        or: "",
        transformations: &["urlDecodeUni"],
        tag: "attack-injection-generic",
        cwe: "CWE-94",
        of: Of::Values,
        any_case: false,
    },
    Shape {
        name: "a shell command",
        operator: r"@rx (?:[;|&\x60\r\n]|\$\()\s*(?:[^\s;|&]*/)?(?:id|whoami|cat|ls|curl|wget|nc|ncat|bash|sh|ping|nslookup|powershell|cmd|uname|sleep|echo|python3?|perl|touch|ifconfig|ipconfig|chmod|rm|telnet|busybox)(?:\.exe)?(?:[\s;|&\x60)<>$]|$)|^\s*(?:[^\s;|&]*/)?(?:id|whoami|cat|ls|curl|wget|nc|ncat|bash|sh|ping|nslookup|powershell|cmd|uname|sleep|echo|python3?|perl|touch|ifconfig|ipconfig|chmod|rm|telnet|busybox)(?:\.exe)?\s+(?:[-/]|https?:)",
        or: "@detectShell",
        transformations: &["urlDecodeUni", "urlDecodeUni", "lowercase"],
        tag: "attack-rce",
        cwe: "CWE-78",
        of: Of::Values,
        any_case: false,
    },
    Shape {
        name: "SQL",
        operator: "@detectSQLi",
        or: "",
        transformations: &["urlDecodeUni"],
        tag: "attack-sqli",
        cwe: "CWE-89",
        of: Of::Values,
        any_case: true,
    },
    Shape {
        name: "script",
        operator: "@detectXSS",
        or: "",
        transformations: &["urlDecodeUni", "htmlEntityDecode"],
        tag: "attack-xss",
        cwe: "CWE-79",
        of: Of::Values,
        any_case: true,
    },
    Shape {
        name: "markup that runs script",
        operator: "@detectHtml",
        or: "",
        transformations: &["urlDecodeUni"],
        tag: "attack-xss",
        cwe: "CWE-79",
        of: Of::Values,
        any_case: true,
    },
    Shape {
        name: "a stream or a remote file",
        operator: r"@rx ^\s*(?:php|data|expect|zip|phar|file|gopher|dict|ldaps?|rmi|jar|https?|ftp):",
        or: "",
        transformations: &["urlDecodeUni", "lowercase"],
        tag: "attack-rfi",
        cwe: "CWE-918",
        of: Of::Values,
        any_case: true,
    },
    Shape {
        name: "a file of the system",
        operator: r"@rx ^(?:/(?:etc|proc|var|root|home|usr|opt)/|[a-z]:[/\x5c])",
        or: "",
        transformations: &["urlDecodeUni", "removeNulls", "lowercase"],
        tag: "attack-lfi",
        cwe: "CWE-22",
        of: Of::Values,
        any_case: true,
    },
    Shape {
        name: "a line break",
        operator: r"@rx [\r\n]",
        or: "",
        transformations: &["urlDecodeUni"],
        tag: "attack-protocol",
        cwe: "CWE-93",
        of: Of::Values,
        any_case: true,
    },
];

impl Shape {
    /// The operators, of which one finds the shape.
    pub(super) fn operators(&self) -> impl Iterator<Item = &'static str> {
        [self.operator, self.or].into_iter().filter(|operator| !operator.is_empty())
    }

    /// Whether the shape is hostile in `place`: bodies and files have line breaks, any field may hold the name of a script,
    /// and any text names of classes.
    pub(super) fn is_hostile_in(&self, place: &Place) -> bool {
        match (place, self.of) {
            (Place::Name(_), of) => of == Of::Parameters,
            (_, Of::Parameters) => false,
            (Place::FileName(_), _) => true,
            (_, Of::FileNames) => false,
            (Place::Body | Place::Content(_), Of::Values) => self.cwe != "CWE-93",
            (_, Of::Values) => true,
        }
    }
}

/// Finds shapes by the very rules that a patch would have.
pub(super) struct Finder(InProcess);

impl Finder {
    /// A finder of all shapes.
    ///
    /// # Errors
    ///
    /// When the rules of shapes do not compile, which a test excludes.
    pub(super) fn new() -> Result<Self, String> {
        let mut text = String::from("rules:\n");
        for (at, shape) in SHAPES.iter().enumerate() {
            let conditions = shape.operators().map(|operator| {
                format!(
                    "        - {{variables: 'ARGS:v', transformations: [{}], operator: '{}'}}\n",
                    shape.transformations.join(", "),
                    operator.replace('\'', "''"),
                )
            });
            text.push_str(&format!(
                "  - id: {}\n    when:\n      any:\n{}    actions: pass,auditlog\n",
                at + 1,
                conditions.collect::<String>(),
            ));
        }
        let base = Input::File("@engine.conf".to_owned());
        let shapes = Input::Text { name: "shapes.yaml".to_owned(), text };
        let loaded = load(&[base, shapes], &EmbeddedLoader::new(EMBEDDED, FileLoader));
        let ruleset = loaded.ruleset.ok_or("the shapes do not compile")?;
        let mut engine = InProcess::new(ruleset, Arc::new(NoWorld));
        engine.mode = Some(Mode::DetectionOnly);
        Ok(Self(engine))
    }

    /// The places in [`SHAPES`] of those that `value` has.
    pub(super) fn find(&self, value: &[u8]) -> Vec<usize> {
        let body = format!("v={}", encode(value)).into_bytes();
        let headers = vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
        let request = TestRequest {
            method: "POST".to_owned(),
            uri: "/".to_owned(),
            headers,
            body,
            ..TestRequest::default()
        };
        let span = Span::new(SourceMap::new().add("", ""), 0, 0);
        let test = RuleTest { rule: 0, also: Vec::new(), request, response: None, matches: true, span };
        let hits = transact_native(&self.0, &test).rules;
        let places = hits.iter().filter_map(|hit| usize::try_from(hit.id).ok()?.checked_sub(1));
        let mut places: Vec<_> = places.filter(|at| *at < SHAPES.len()).collect();
        places.sort_unstable();
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exploits_have_their_shape_and_ordinary_values_none() {
        let finder = Finder::new().expect("the shapes compile");
        for (value, name) in [
            ("${jndi:ldap://x/a}", "a JNDI lookup"),
            ("${${foo_bar:-j}ndi:ldap://x/a}", "a JNDI lookup"),
            ("${${a.b:-j}ndi:ldap://x/a}", "a JNDI lookup"),
            ("() { :; }; /bin/id", "a shell function"),
            ("class.module.classLoader.x", "a way into objects"),
            ("user[__proto__][admin]", "a way into objects"),
            ("<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>", "an external entity"),
            ("%{(#a=@b@c)}", "an expression"),
            ("${{1}.size()}", "an expression"),
            ("{{7*7}}", "a template"),
            ("${7*7}", "an expression that does something"),
            ("O:4:\"Evil\":0:{}", "a serialised object"),
            ("shell.PHP;.jpg", "a file that a server would run"),
            ("../../etc/passwd", "a step out of the directory"),
            ("<?php system('id');", "PHP code"),
            (r"\u0074\u0068\u0072\u006f\u0077\u0020x", "letters written as escapes"),
            ("127.0.0.1;cat /etc/passwd", "a shell command"),
            ("127.0.0.1;w''get http://x/a", "a shell command"),
            ("127.0.0.1|/bin/c?t /etc/passwd", "a shell command"),
            ("1' or 1=1--", "SQL"),
            ("<script>alert(1)</script>", "script"),
            ("php://filter/x", "a stream or a remote file"),
            ("/etc/passwd", "a file of the system"),
            ("a\r\nSet-Cookie: b", "a line break"),
        ] {
            let found = finder.find(value.as_bytes());
            assert_eq!(found.first().map(|at| SHAPES[*at].name), Some(name), "{value}");
        }
        for value in [
            "",
            "1",
            "hello world",
            "json.user.name",
            "class_id",
            "class",
            "json.class",
            "O'Brien",
            "a@b.example",
            "2026-11-22",
            "a/b.pdf",
            "v1..v2",
        ] {
            assert!(finder.find(value.as_bytes()).is_empty(), "{value}");
        }
    }
}
