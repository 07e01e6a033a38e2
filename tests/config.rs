//! The configuration file: what is accepted, what is refused and how, and that its reference is current.

#![cfg(feature = "server")]

use portcullis::config::{
    AuditTarget, BalanceKey, BalanceMethod, Checked, Failure, FailureOutcome, HostHeader, LoadedConfig,
    Overrides, RuleInput, check, load, reference, schema,
};
use portcullis::ruleset::Mode;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(text: &str) -> LoadedConfig {
    check("t.yaml", text, Path::new("/etc/portcullis"), &Overrides::default())
}

fn good(text: &str) -> Checked {
    let loaded = read(text);
    let told = complaints(&loaded);
    loaded.config.unwrap_or_else(|| panic!("{told:#?}"))
}

fn complaints(loaded: &LoadedConfig) -> Vec<String> {
    let place = |d: &portcullis::syntax::diagnostic::Diagnostic| match d.span {
        Some(span) => {
            let at = loaded.sources.position(span);
            format!("{}:{}", at.line, at.column)
        }
        None => "-".to_owned(),
    };
    let help = |h: &Option<String>| h.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
    loaded.diagnostics.iter().map(|d| format!("{} {}{}", place(d), d.message, help(&d.help))).collect()
}

const SITE: &str = "sites: [{name: shop, upstreams: [http://127.0.0.1:3000]}]\n";

#[test]
fn all_faults_are_told_at_once_with_their_places() {
    let loaded = read(
        "listeners: [':80', {adress: 127.0.0.1:1}]
trusted_proxies: [10.0.0.1/8]
client: {headers: many, head_timeout: 10 parsecs}
sites:
  - name: a b
    hosts: [www.*.example.com]
    upstreams: [127.0.0.1:3000, {url: http://x, verify: false}]
    mode: enforce
    fail: {internl: open}
  - name: twice
    upstreams: http://x
  - name: twice
    upstreams: http://x
audit: [a, b]
",
    );
    assert!(loaded.config.is_none());
    let expected = [
        "1:13 `listeners`: expected address and port; write `0.0.0.0:80` for all IPv4 addresses",
        "1:21 `listener` has no setting `adress` (did you mean `address`?)",
        "1:20 `address` is missing",
        "2:19 `trusted_proxies`: bits beyond the prefix are set; write `10.0.0.0/8`",
        "3:39 `head_timeout`: expected a duration such as `500ms`, `10s`, `5m` or `2h`, not `10 parsecs`",
        "3:19 `headers`: expected a whole number from 8 to 255",
        "5:11 `name`: expected 1 to 64 letters, digits, `-`, `_` or `.`",
        "6:13 `hosts`: `*` may only stand alone or in front, as in `*.example.com`",
        "7:17 `upstreams`: expected a URL; write `http://127.0.0.1:3000`",
        "7:57 `verify` has no meaning for an `http` upstream",
        "8:11 `mode`: expected one of `On`, `DetectionOnly`, `Off`, not `enforce`",
        "9:12 `fail` has no setting `internl` (did you mean `internal`?)",
        "12:5 two sites are named `twice`",
        "12:5 */ belongs to site `twice` already",
        "14:8 `audit` is a mapping of settings, not a list",
    ];
    let told = complaints(&loaded);
    assert_eq!(told, expected, "{told:#?}");
}

#[test]
fn the_shortest_file_is_a_site_with_an_upstream() {
    let config = good(SITE);
    assert_eq!(config.listeners[0].address.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.as_ref().expect("on by default").address.to_string(), "127.0.0.1:9180");
    let site = &config.sites[0];
    assert_eq!(site.rules, [RuleInput::File("@portcullis-core".to_owned())]);
    assert_eq!(site.mode, None);
    assert!(Failure::ALL.iter().all(|f| site.failure.outcome(*f) == FailureOutcome::Closed));
    assert_eq!(config.site_for("any.host", "/x"), Some(0));
}

#[test]
fn defaults_are_those_of_the_reference() {
    let written = |table: &schema::Table| {
        let pairs = table.keys.iter().filter(|k| !matches!(k.default, "" | "none"));
        pairs.map(|k| format!("{}: {}", k.name, k.default)).collect::<Vec<_>>().join(", ")
    };
    let site = format!(
        "{{name: shop, upstreams: [{{url: 'http://127.0.0.1:3000', weight: 1, http2: never}}], {}, \
         timeouts: {{{}}}, forwarded: {{{}}}}}",
        written(&schema::SITE).replace("fail: closed", &format!("fail: {{{}}}", written(&schema::FAIL))),
        written(&schema::TIMEOUTS),
        written(&schema::FORWARDED),
    );
    let mut text = format!("sites: [{site}]\n");
    for (name, table) in [
        ("admin", &schema::ADMIN),
        ("client", &schema::CLIENT),
        ("audit", &schema::AUDIT),
        ("metrics", &schema::METRICS),
        ("log", &schema::LOG),
        ("process", &schema::PROCESS),
        ("reload", &schema::RELOAD),
        ("store", &schema::STORE),
    ] {
        text.push_str(&format!("{name}: {{{}}}\n", written(table)));
    }
    text.push_str(&format!("listeners: [{{address: '127.0.0.1:8080', {}}}]\n", written(&schema::LISTENER)));
    assert_eq!(good(&text), good(SITE));
    let tls = "sites: [{name: s, upstreams: [https://x]}]";
    let spelt = "sites: [{name: s, upstreams: [{url: https://x, verify: true}]}]";
    assert_eq!(good(tls), good(spelt));
    let top: Vec<&str> = schema::TOP.keys.iter().map(|k| k.default).collect();
    assert_eq!(top[0], "[127.0.0.1:8080]");
}

#[test]
fn overrides_win_over_the_file() {
    let overrides = Overrides {
        listen: Some("0.0.0.0:80".parse().expect("an address")),
        admin: Some("127.0.0.1:1".parse().expect("an address")),
        upstreams: vec!["http://[::1]:9".to_owned(), "https://b".to_owned()],
        rules: vec!["x.conf".to_owned()],
        mode: Some(Mode::Off),
        audit_log: Some("-".to_owned()),
        workers: std::num::NonZeroUsize::new(3),
    };
    let text = "admin: off\naudit: {log: a.log}\nprocess: {workers: 9}
sites: [{name: s, upstreams: [http://y], rules: [a.conf], directives: SecRuleEngine On, mode: On}]\n";
    let config = check("t.yaml", text, Path::new("/etc"), &overrides).config.expect("a sound configuration");
    assert!(config.listeners[0].address.to_string().ends_with(":80"));
    assert_eq!(config.admin.as_ref().expect("on by flag").address.port(), 1);
    assert_eq!(config.audit.target, AuditTarget::Stdout);
    assert_eq!(config.process.workers.map(std::num::NonZero::get), Some(3));
    let site = &config.sites[0];
    assert_eq!(site.mode, Some(Mode::Off));
    let authorities: Vec<String> =
        site.upstreams.iter().map(portcullis::config::Upstream::authority).collect();
    assert_eq!(authorities, ["[::1]:9", "b"]);
    assert_eq!(site.rules[0], RuleInput::File("x.conf".to_owned()));
    assert!(matches!(&site.rules[1], RuleInput::Text { text, .. } if text == "SecRuleEngine On"));

    let alone = load(None, &overrides).config.expect("flags alone will do");
    assert_eq!(alone.sites[0].name, "default");
    let nothing = load(None, &Overrides::default());
    assert!(nothing.config.is_none());
    assert!(complaints(&nothing)[0].contains("nothing to protect"));
}

#[test]
fn paths_are_relative_to_the_file() {
    let config = good(
        "audit: {log: a.log}\nsites: [{name: s, upstreams: [http://y], rules: [a.conf, /b.conf, '@portcullis-core']}]",
    );
    assert_eq!(config.audit.target, AuditTarget::File("/etc/portcullis/a.log".into()));
    let files = ["/etc/portcullis/a.conf", "/b.conf", "@portcullis-core"];
    assert_eq!(config.sites[0].rules, files.map(|f| RuleInput::File(f.to_owned())));
}

#[test]
fn exclusions_become_directives() {
    let loaded = read(
        "sites:
  - name: s
    upstreams: http://y
    rules: [crs.conf, text: 'SecAction id:1']
    exclusions:
      - {rules: [942100, 941000-941999], reason: known}
      - {tags: attack-sqli, targets: ['ARGS:q', 'ARGS:/^x/'], reason: search}
      - {rules: 920420, tags: attack-xss, targets: 'ARGS:c', paths: [/cms, /a.b/], reason: editor}
      - {rules: 1}
",
    );
    assert_eq!(complaints(&loaded).len(), 1, "{:?}", complaints(&loaded));
    let config = loaded.config.expect("a warning is no error");
    let texts: Vec<&str> = config.sites[0]
        .rules
        .iter()
        .map(|r| match r {
            RuleInput::File(f) => f.as_str(),
            RuleInput::Text { text, .. } => text.as_str(),
            RuleInput::Patch { file, .. } => file.as_str(),
        })
        .collect();
    let control = "phase:1,pass,t:none,t:urlDecodeUni,t:normalizePath,nolog,noauditlog,\
                   ctl:ruleRemoveTargetById=920420;ARGS:c,ctl:ruleRemoveTargetByTag=attack-xss;ARGS:c";
    let before = format!(
        "SecRule REQUEST_FILENAME \"@rx ^/cms(?:/|$)\" \"id:99000000,{control}\"\n\
         SecRule REQUEST_FILENAME \"@rx ^/a\\.b/\" \"id:99000001,{control}\"\n"
    );
    let after = "SecRuleRemoveById 942100\nSecRuleRemoveById 941000-941999\n\
                 SecRuleUpdateTargetByTag \"attack-sqli\" \"!ARGS:q,!ARGS:/^x/\"\nSecRuleRemoveById 1\n";
    assert_eq!(texts, [before.as_str(), "/etc/portcullis/crs.conf", "SecAction id:1", after]);
}

#[test]
fn injected_directives_in_exclusions_are_refused() {
    for bad in [
        "{rules: ['1 SecRuleEngine Off'], reason: x}",
        "{tags: ['a\" SecRuleEngine Off'], reason: x}",
        "{tags: [a], targets: ['ARGS:x,ctl:ruleEngine=Off'], paths: [/], reason: x}",
        "{tags: [a], paths: ['/\" \"id:1'], reason: x}",
        "{rules: 5-3, reason: x}",
        "{reason: names nothing}",
    ] {
        let text = format!("sites: [{{name: s, upstreams: [http://y], exclusions: [{bad}]}}]");
        assert!(read(&text).config.is_none(), "{bad}");
    }
}

#[test]
fn upstreams_that_cannot_be_meant_are_refused() {
    for bad in [
        "ftp://x",
        "http://",
        "http://x/path",
        "http://u:p@x",
        "http://x:0",
        "http://x:99999",
        "http://::1",
        "http://*",
        "http://x y",
    ] {
        let text = format!("sites: [{{name: s, upstreams: ['{bad}']}}]");
        let loaded = read(&text);
        assert!(loaded.config.is_none(), "{bad}");
        assert_eq!(complaints(&loaded).len(), 1, "{bad}: {:?}", complaints(&loaded));
    }
    let unverified = read("sites: [{name: s, upstreams: {url: https://x, verify: false}}]");
    assert!(unverified.config.is_some());
    assert!(complaints(&unverified)[0].contains("not verified"));
}

#[test]
fn files_that_are_named_must_be_there_and_are_noted() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("portcullis.yaml");
    fs::write(directory.path().join("token"), "0123456789abcdef\n").expect("written");
    let text = format!("admin: {{token_file: token}}\n{SITE}");
    fs::write(&file, text).expect("written");
    let loaded = load(Some(&file), &Overrides::default());
    assert_eq!(loaded.files, [file.clone(), directory.path().join("token")]);
    let config = loaded.config.expect("sound");
    let token = config.admin.as_ref().and_then(|a| a.token.clone()).expect("a token");
    assert_eq!(token.expose(), "0123456789abcdef");
    assert!(!format!("{config:?}").contains("0123456789abcdef"));

    fs::write(&file, format!("admin: {{token_file: nowhere}}\n{SITE}")).expect("written");
    assert!(load(Some(&file), &Overrides::default()).config.is_none());
    assert!(load(Some(&directory.path().join("gone.yaml")), &Overrides::default()).config.is_none());
}

#[test]
fn hosts_for_upstreams_are_checked() {
    let host = |text: &str| {
        read(&format!("sites: [{{name: s, upstreams: [http://y], host_header: '{text}'}}]"))
            .config
            .map(|c| c.sites[0].host_header.clone())
    };
    assert_eq!(host("upstream"), Some(HostHeader::Upstream));
    assert_eq!(host("inner.example:81"), Some(HostHeader::Fixed("inner.example:81".to_owned())));
    assert_eq!(host("a b"), None);
    assert_eq!(host("u@h"), None);
}

#[test]
fn the_reference_is_current() {
    let path = root().join("docs/configuration.md");
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        fs::create_dir_all(root().join("docs")).expect("docs/");
        fs::write(&path, reference()).expect("written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == reference(),
        "docs/configuration.md is stale: PORTCULLIS_BLESS=1 cargo test --test config"
    );
}

#[test]
fn the_examples_load() {
    let mut seen = 0;
    for entry in fs::read_dir(root().join("config")).expect("config/") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("").to_owned();
        if !name.starts_with("portcullis") || !name.ends_with(".yaml") {
            continue;
        }
        seen += 1;
        let loaded = load(Some(&path), &Overrides::default());
        assert!(loaded.config.is_some(), "{name}: {:#?}", complaints(&loaded));
        assert!(complaints(&loaded).is_empty(), "{name}: {:#?}", complaints(&loaded));
    }
    assert!(seen >= 2, "no examples found");
}

proptest::proptest! {
    /// An operator's slip of the hand ends in complaints with places, never in a panic.
    #[test]
    fn mutilated_configurations_are_survived(
        cuts in proptest::collection::vec((0..4_000_usize, 0..30_usize, "[-\\[\\]{}:,'\"&*!|>%@` \\n\\PC]{0,4}"), 1..6),
        crs in proptest::bool::ANY,
    ) {
        let name = if crs { "config/portcullis-crs.yaml" } else { "config/portcullis.yaml" };
        let mut text: Vec<char> = fs::read_to_string(root().join(name)).expect("an example").chars().collect();
        for (at, length, new) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, new.chars());
        }
        let text: String = text.into_iter().collect();
        let loaded = read(&text);
        proptest::prop_assert_eq!(loaded.config.is_none(), loaded.diagnostics.has_errors());
        let _ = portcullis::syntax::diagnostic::render(&loaded.diagnostics, &loaded.sources, false);
    }
}

#[test]
fn patches_are_names_of_the_catalogue_or_files_and_stand_before_rules() {
    let config = good(
        "sites: [{name: a, upstreams: ['http://a'], patches: [cve-2021-44228, 'CVE-2021-*', ./p/*.yaml, \
         {patch: ['*', log4j], mode: DetectionOnly}, b.yml], rules: [r.conf]}]",
    );
    let told: Vec<_> = config.sites[0]
        .rules
        .iter()
        .map(|rule| match rule {
            RuleInput::Patch { file, detection_only } => format!("{file} {detection_only}"),
            RuleInput::File(file) => file.clone(),
            RuleInput::Text { name, .. } => name.clone(),
        })
        .collect();
    assert_eq!(
        told,
        [
            "@virtual-patches/cve-2021-44228[-.]* false",
            "@virtual-patches/cve-2021-*.yaml false",
            "/etc/portcullis/./p/*.yaml false",
            "@virtual-patches/*.yaml true",
            "@virtual-patches/log4j.yaml true",
            "/etc/portcullis/b.yml false",
            "/etc/portcullis/r.conf",
        ]
    );
}

#[test]
fn upstreams_are_balanced_as_the_file_says() {
    let site = |text: &str| {
        let text = format!(
            "sites: [{{name: s, upstreams: [http://a, {{url: http://b, max_connections: 9}}], {text}}}]"
        );
        portcullis::config::Site::clone(&good(&text).sites[0])
    };
    assert_eq!(site("balance: least_connections").balance.method, BalanceMethod::LeastConnections);
    let balance = site(
        "balance: {method: hash, key: 'cookie:SID', sticky: ROUTE, sticky_lifetime: 1h, max_fails: 3, \
         fail_timeout: 10s, fail_on: errors, slow_start: 30s, retries: 1, retry_on: idempotent, \
         health_check: {path: /up, host: 'a.test:80', status: [200, 300-301], interval: 1s, timeout: 500ms, rise: 1, \
         fall: 5}}",
    );
    assert_eq!(balance.upstreams[1].max_connections.map(std::num::NonZero::get), Some(9));
    insta::assert_debug_snapshot!(balance.balance);
    let check = |text: &str| site(text).balance.health_check.expect("a check");
    assert_eq!(check("balance: {health_check: /up}").path.as_deref(), Some("/up"));
    assert_eq!(check("balance: {health_check: connect}").path, None);
    assert_eq!(site("balance: {method: hash}").balance.method, BalanceMethod::Hash(BalanceKey::Client));
    for off in ["maintenance: off", "maintenance: {active: off, retry_after: 5m}", "mode: On"] {
        assert_eq!(site(off).maintenance, None, "{off}");
    }
    let open = site("maintenance: {allow: [10.0.0.0/8, '2001:db8::/32']}").maintenance.expect("on");
    assert!(
        !open.applies_to("::ffff:10.1.1.1".parse().unwrap()) && open.applies_to("11.0.0.1".parse().unwrap())
    );

    let twice = complaints(&read("sites: [{name: s, upstreams: [http://a, http://a]}]"));
    assert!(twice[0].contains("two upstreams are http://a"), "{twice:?}");
    let told = |text: &str| {
        complaints(&read(&format!("sites: [{{name: s, upstreams: [http://a], {text}}}]"))).join("\n")
    };
    for (text, complaint) in [
        ("balance: {method: fastest}", "expected one of `round_robin`, `least_connections`, `hash`"),
        ("balance: {key: client}", "`key` is for `method: hash`"),
        ("balance: {method: hash, key: query}", "expected `client`, `header:NAME` or `cookie:NAME`"),
        ("balance: {sticky: 'a b'}", "expected a name"),
        ("balance: {sticky_lifetime: 1h}", "`sticky_lifetime` without `sticky`"),
        ("balance: {retries: 9}", "expected a whole number from 0 to 8"),
        ("balance: {health_check: up}", "expected a path that begins with `/`, or `connect`"),
        ("balance: {health_check: {status: 300-200}}", "expected a status or a range"),
        ("maintenance: {page: gone.html}", "cannot read"),
        ("maintenance: perhaps", "expected one of `on`, `off`"),
    ] {
        let told = told(text);
        assert!(told.contains(complaint), "{text}: {told}");
    }
    let upstream =
        |text: &str| complaints(&read(&format!("sites: [{{name: s, upstreams: [{{{text}}}]}}]"))).join("\n");
    assert!(
        upstream("url: https://a, client_key: /dev/null")
            .contains("`client_key` without `client_certificate`")
    );
    assert!(upstream("url: http://a, client_key: /dev/null").contains("`client_key` has no meaning"));
}

#[test]
fn what_a_site_demands_of_connections_is_read() {
    let site = |text: &str| {
        let text = format!("sites: [{{name: s, upstreams: [http://a], {text}}}]");
        portcullis::config::Site::clone(&good(&text).sites[0]).edge
    };
    let edge = site(
        "redirect_to_https: 8443, hsts: {max_age: 730d, include_subdomains: true, preload: true}, security_headers: on, \
         response_headers: ['Permissions-Policy: camera=()', 'x-frame-options: DENY'], \
         remove_response_headers: [Server], client_certificate: {subject_header: X-DN, verify_header: X-Verify}",
    );
    insta::assert_debug_snapshot!(edge);
    assert_eq!(site("redirect_to_https: on").redirect, Some(443));
    assert_eq!(site("hsts: 1h").hsts.as_deref(), Some("max-age=3600"));
    assert_eq!(site("hsts: off").hsts, None);

    let told = |text: &str| complaints(&read(text)).join("\n");
    let of_site = |text: &str| told(&format!("sites: [{{name: s, upstreams: [http://a], {text}}}]"));
    for (text, complaint) in [
        ("redirect_to_https: 0", "expected `on`, `off` or the port"),
        ("hsts: {preload: true}", "`preload` needs `include_subdomains`"),
        ("hsts: forever", "expected a duration"),
        ("response_headers: [Server]", "expected `Name: value`"),
        ("response_headers: ['Content-Length: 5']", "belongs to the protocol"),
        ("remove_response_headers: [Transfer-Encoding]", "belongs to the protocol"),
        ("client_certificate: {subject_header: Host}", "belongs to the protocol"),
        ("client_certificate: required", "no listener has a `client_ca`"),
    ] {
        let told = of_site(text);
        assert!(told.contains(complaint), "{text}: {told}");
    }
    for (listener, complaint) in [
        ("client_ca: /dev/null", "`client_ca` has no meaning without `tls`"),
        ("min_tls: 1.3", "`min_tls` has no meaning without `tls`"),
        ("tls: [], client_certificate: required", "`client_certificate` without `client_ca`"),
        ("min_tls: 1.1", "expected one of `1.2`, `1.3`"),
    ] {
        let told = told(&format!("listeners: [{{address: '127.0.0.1:1', {listener}}}]\n{SITE}"));
        assert!(told.contains(complaint), "{listener}: {told}");
    }
}
