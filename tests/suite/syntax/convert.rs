//! From SecLang to YAML and back: the same rules, with their comments.

use portcullis::syntax::alike;
use portcullis::syntax::convert::{Converted, Faulty, to_seclang, to_yaml};
use portcullis::syntax::diagnostic::render;

use crate::support::{Memory, Parsed, crs, rule_files};

#[test]
fn this_becomes_of_seclang() {
    let yaml = sound(to_yaml("test.conf", SECLANG, &Memory::default()));
    insta::assert_snapshot!(yaml.text);
    assert_eq!(yaml.kept, 3);
    let back = sound(to_seclang("test.yaml", &yaml.text, &Memory::default()));
    insta::assert_snapshot!(back.text);
    let once_more = sound(to_yaml("test.conf", &back.text, &Memory::default()));
    assert_eq!(once_more.kept, yaml.kept);
}

#[test]
fn crs_comes_back_as_it_was() {
    let Some(crs) = crs() else { return };
    let (mut statements, mut kept) = (0, 0);
    for path in rule_files(&crs.join("rules")) {
        let text = std::fs::read_to_string(&path).expect("rules are readable");
        let name = path.display().to_string();
        let yaml = sound(to_yaml(&name, &text, &Memory::default()));
        (statements, kept) = (statements + yaml.converted, kept + yaml.kept);
        let back = sound(to_seclang("back.yaml", &yaml.text, &Memory::default()));
        let (before, after) = (Parsed::text(&text).document, Parsed::sound(&back.text).document);
        assert!(alike(&before.statements, &after.statements), "{name}");
        let comments = |text: &str| text.lines().filter(|line| line.trim_start().starts_with('#')).count();
        assert!(comments(&yaml.text) + 5 >= comments(&text), "{name} loses comments");
    }
    assert!(statements > 600 && kept * 10 < statements, "{kept} of {statements} stay SecLang");
}

#[test]
fn what_has_faults_is_not_converted() {
    let faulty =
        to_yaml("test.conf", "SecRule ARGS", &Memory::default()).expect_err("an operator is missing");
    assert!(faulty.diagnostics.has_errors());
    assert!(to_seclang("test.yaml", "rules: [{id: 1}]", &Memory::default()).is_err());
}

fn sound(converted: Result<Converted, Faulty>) -> Converted {
    converted.unwrap_or_else(|faulty| panic!("{}", render(&faulty.diagnostics, &faulty.sources, false)))
}

const SECLANG: &str = r#"# What this file is for.

SecRuleEngine On
SecResponseBodyMimeType text/plain text/html
SecDefaultAction "phase:2,log,pass"

# Set-up.
SecAction "id:1,phase:1,pass,nolog,setvar:tx.a=1,setvar:'tx.b=it\'s'"
Include other/*.conf
IncludeOptional none.conf

# The first rule,
# in two lines.
SecRule ARGS|!ARGS:comment|ARGS:/^x[0-9]+$/|&REQUEST_COOKIES "@rx (?i)\bunion\s+'select' # %{tx.a}" \
    "id:2,\
    phase:2,\
    block,\
    capture,\
    t:none,t:urlDecodeUni,t:lowercase,\
    msg:'It\'s SQL: %{MATCHED_VAR}',\
    logdata:'Matched, %{MATCHED_VAR_NAME}',\
    tag:'attack-sqli',\
    tag:'paranoia-level/1',\
    ver:'x/1.0',\
    severity:'CRITICAL',\
    setvar:'tx.score=+%{tx.critical_anomaly_score}'"
SecRule REQUEST_METHOD "!@within GET POST" "id:3,phase:1,deny,status:405,t:none,skipAfter:END,chain"
    SecRule REQUEST_HEADERS:User-Agent "curl" "t:lowercase,setvar:tx.c=1,chain"
    # Between links.
    SecRule &TX:a "@eq 1" "t:none,ctl:ruleRemoveById=2"
SecMarker END

# No disruptive action: what that means is for SecLang to say.
SecRule ARGS "@contains x" "id:4,phase:2,t:none,log"
# The end.
"#;
