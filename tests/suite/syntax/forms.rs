//! The forms that text may take, and the tree that each gives.

use portcullis::syntax::ast::{Rule, Selector, Statement, Target};

use crate::support::Parsed;

#[test]
fn targets() {
    let cases: &[(&str, &[&str])] = &[
        ("ARGS", &["ARGS"]),
        ("ARGS|!ARGS:foo|&REQUEST_HEADERS", &["ARGS", "!ARGS key foo", "&REQUEST_HEADERS"]),
        ("args , REQUEST_URI", &["args", "REQUEST_URI"]),
        ("ARGS REQUEST_URI", &["ARGS", "REQUEST_URI"]),
        ("REQUEST_HEADERS:/^x-/", &["REQUEST_HEADERS regex ^x-"]),
        ("REQUEST_COOKIES:/__utm/|ARGS", &["REQUEST_COOKIES regex __utm", "ARGS"]),
        ("ARGS:/a|b/|ARGS:'/c|d/'", &["ARGS regex a|b", "ARGS regex c|d"]),
        ("ARGS:/a,b{1,2}/,ARGS", &["ARGS regex a,b{1,2}", "ARGS"]),
        (r"ARGS:/a\/b\\/|FILES", &[r"ARGS regex a/b\\", "FILES"]),
        (r"ARGS:'/it\'s/'", &["ARGS regex it's"]),
        ("ARGS:'a|b'", &["ARGS key a|b"]),
        ("ARGS:''", &["ARGS key "]),
        ("ARGS:/path/to|ARGS:/etc", &["ARGS key /path/to", "ARGS key /etc"]),
        ("XML:/*|XML://@*", &["XML key /*", "XML key //@*"]),
        ("XML:/a/b/|ARGS:/x/", &["XML key /a/b/", "ARGS regex x"]),
        ("XML://a[@b='c|d' or e]/text()|ARGS", &["XML key //a[@b='c|d' or e]/text()", "ARGS"]),
        ("XML:'//a|//b'", &["XML key //a|//b"]),
        ("TX:crs.x|!TX:0", &["TX key crs.x", "!TX key 0"]),
        ("!&ARGS:x", &["!&ARGS key x"]),
        ("REQUEST_HEADERS:User-Agent", &["REQUEST_HEADERS key User-Agent"]),
        ("ARGS:json.a[0].b", &["ARGS key json.a[0].b"]),
        ("ARGS:ключ", &["ARGS key ключ"]),
    ];
    for (text, expected) in cases {
        let rule = rule(&format!("SecRule \"{text}\" \"@rx x\" \"id:1\""));
        let found: Vec<_> = rule.targets.iter().map(shape).collect();
        assert_eq!(&found, expected, "{text}");
    }
}

#[test]
fn operators() {
    type Shape<'a> = (bool, &'a str, bool, &'a str);
    let cases: &[(&str, Shape<'_>)] = &[
        (r#""@rx ^a b""#, (false, "rx", false, "^a b")),
        (r#""!@rx  x ""#, (true, "rx", false, "x ")),
        (r#""! @within a b""#, (true, "within", false, "a b")),
        (r#""@detectSQLi""#, (false, "detectSQLi", false, "")),
        (r#"@detectSQLi"#, (false, "detectSQLi", false, "")),
        (r#""^foo bar$""#, (false, "rx", true, "^foo bar$")),
        (r#""!^foo""#, (true, "rx", true, "^foo")),
        (r#""""#, (false, "rx", true, "")),
        (r#""!""#, (true, "rx", true, "")),
        (r#"^$"#, (false, "rx", true, "^$")),
        (r#""@rx say \"x\" \d\\""#, (false, "rx", false, r#"say "x" \d\\"#)),
        (r#"'@rx say "x" it\'s'"#, (false, "rx", false, r#"say "x" it's"#)),
        (r#""@streq %{tx.a}""#, (false, "streq", false, "%{tx.a}")),
        ("\"@pm a \\\n  b\"", (false, "pm", false, "a   b")),
        ("\"@pm a\\\r\nb\"", (false, "pm", false, "ab")),
    ];
    for (text, (negated, name, implicit, argument)) in cases {
        let operator = rule(&format!("SecRule ARGS {text} \"id:1\"")).operator;
        let found = (
            operator.negated,
            operator.name.node.as_str(),
            operator.implicit,
            operator.argument.node.as_str(),
        );
        assert_eq!(&found, &(*negated, *name, *implicit, *argument), "{text}");
    }
}

#[test]
fn actions() {
    let cases: &[(&str, &[&str])] = &[
        ("id:1,deny", &["id=1", "deny"]),
        (" id : '123' , t:none,t:lowercase ", &["id=123", "t=none", "t=lowercase"]),
        ("setvar:'tx.a=b,c',pass", &["setvar=tx.a=b,c", "pass"]),
        ("setvar:tx.a='b,c',pass", &["setvar=tx.a='b,c'", "pass"]),
        (r"msg:'it\'s \d \\',deny", &[r"msg=it's \d \\", "deny"]),
        (r#"msg:'say \"x\"'"#, &[r#"msg=say "x""#]),
        ("msg:hello world,deny", &["msg=hello world", "deny"]),
        ("msg:''", &["msg="]),
        ("msg:,deny", &["msg=", "deny"]),
        ("ctl:ruleRemoveTargetById=1;ARGS:/x/", &["ctl=ruleRemoveTargetById=1;ARGS:/x/"]),
        (
            "ctl:ruleRemoveTargetById=1;ARGS:'/a,b/',pass",
            &["ctl=ruleRemoveTargetById=1;ARGS:'/a,b/'", "pass"],
        ),
        ("logdata:'%{MATCHED_VAR_NAME}: %{MATCHED_VAR}'", &["logdata=%{MATCHED_VAR_NAME}: %{MATCHED_VAR}"]),
        ("id:1,\\\n    phase:2,\\\n\tdeny", &["id=1", "phase=2", "deny"]),
        ("redirect:https://a/?b=c", &["redirect=https://a/?b=c"]),
        ("msg:it's,deny", &["msg=it's", "deny"]),
    ];
    for (text, expected) in cases {
        let rule = rule(&format!("SecRule ARGS \"@rx x\" \"{text}\""));
        let found: Vec<_> = rule
            .actions
            .iter()
            .map(|a| match &a.value {
                Some(value) => format!("{}={}", a.name.node, value.node),
                None => a.name.node.clone(),
            })
            .collect();
        assert_eq!(&found, expected, "{text}");
    }
}

#[test]
fn directives() {
    let parsed = Parsed::sound(concat!(
        "sECrULEeNGINE on\n",
        "  SecResponseBodyMimeType text/html  text/plain\t\"text/x y\"\r\n",
        "SecComponentSignature \"OWASP_CRS/4\"\n",
        "SecDataset words `\none\ntwo\\\n`\n",
        "SecDataset inline `one two`\n",
        "SecUnicodeMapFile unicode.mapping 20127",
    ));
    let found: Vec<String> = parsed
        .document
        .statements
        .iter()
        .map(|statement| match statement {
            Statement::Directive(d) => {
                let arguments: Vec<_> = d.arguments.iter().map(|a| a.node.as_str()).collect();
                format!("{} {arguments:?}", d.name.node)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        found,
        [
            r#"SecRuleEngine ["on"]"#,
            r#"SecResponseBodyMimeType ["text/html", "text/plain", "text/x y"]"#,
            r#"SecComponentSignature ["OWASP_CRS/4"]"#,
            r#"SecDataset ["words", "\none\ntwo\\\n"]"#,
            r#"SecDataset ["inline", "one two"]"#,
            r#"SecUnicodeMapFile ["unicode.mapping", "20127"]"#,
        ]
    );
}

#[test]
fn a_statement_spans_its_lines() {
    let text = "# x\nSecRule ARGS \\\n  \"@rx x\" \\\n  \"id:1\"\n\nSecMarker END\n";
    let parsed = Parsed::sound(text);
    let spans: Vec<_> = parsed.document.statements.iter().map(|s| parsed.sources.text(s.span())).collect();
    assert_eq!(spans, ["SecRule ARGS \\\n  \"@rx x\" \\\n  \"id:1\"", "SecMarker END"]);
}

fn rule(text: &str) -> Rule {
    let mut parsed = Parsed::sound(text);
    match parsed.document.statements.pop() {
        Some(Statement::Rule(rule)) => rule,
        other => panic!("{text} gave {other:?}"),
    }
}

fn shape(target: &Target) -> String {
    let flags = format!(
        "{}{}{}",
        if target.excluded { "!" } else { "" },
        if target.count { "&" } else { "" },
        target.name.node
    );
    match target.selector.as_ref().map(|s| &s.node) {
        None => flags,
        Some(Selector::Key(key)) => format!("{flags} key {key}"),
        Some(Selector::Regex(regex)) => format!("{flags} regex {regex}"),
    }
}
