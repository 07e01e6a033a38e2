//! The real binary on rule files in YAML: from an exploit to a tested patch that blocks, conversion, the schema, and
//! what `check` says about tests and dates.

#![cfg(feature = "server")]

mod support;

use std::path::Path;
use std::process::Output;
use support::binary::Binary;
use support::command::program;
use support::wait::eventually;

fn portcullis(directory: &Path, args: &[&str]) -> Output {
    program(directory, args).output().expect("the binary runs")
}

fn good(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_exploit_becomes_a_patch_that_passes_its_tests() {
    let directory = tempfile::tempdir().expect("a directory");
    let here = directory.path();
    std::fs::write(
        here.join("exploit.txt"),
        "curl 'http://shop.example/view?file=../../etc/passwd' -b 'sid=s3cret'",
    )
    .expect("it is writable");
    good(&portcullis(
        here,
        &["patch", "new", "--from", "exploit.txt", "--output", "shop-view.yaml", "--owner", "me"],
    ));
    let written = std::fs::read_to_string(here.join("shop-view.yaml")).expect("it was written");
    assert!(!written.contains("s3cret") && written.contains("ARGS:file"), "{written}");
    assert!(good(&portcullis(here, &["test", "shop-view.yaml"])).contains("(100.00 %)"));
    good(&portcullis(here, &["check", "--strict", "shop-view.yaml"]));
    let config = "sites: [{name: a, upstreams: ['http://127.0.0.1:9'], patches: [./shop-view.yaml, {patch: '*-log4shell', mode: DetectionOnly}]}]";
    std::fs::write(here.join("c.yaml"), config).expect("it is writable");
    let told = good(&portcullis(here, &["check", "-c", "c.yaml"]));
    assert!(told.contains("2 virtual, 1 of them in DetectionOnly"), "{told}");
    assert!(good(&portcullis(here, &["patch", "list"])).contains("log4shell"));
    let nothing = portcullis(here, &["patch", "new", "--from", "c.yaml"]);
    assert_eq!(nothing.status.code(), Some(1));
}

/// With the engine's own settings, which a patch does not bring along: else it would see no bodies.
#[test]
fn the_catalogue_passes_its_tests_file_by_file() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let told = good(&portcullis(here, &["test", "rulesets/virtual-patches"]));
    assert!(told.contains("(100.00 %)"), "{told}");
}

#[test]
fn a_patch_past_its_date_goes_on_and_warns() {
    let directory = tempfile::tempdir().expect("a directory");
    let here = directory.path();
    let patch = "patch: {title: t, product: p, blocks: b, severity: critical, owner: me, created: 2020-01-01, review_by: 2020-02-01}\n\
                 rules: [{when: {variables: ARGS, operator: '@contains evil'}, matches: [GET /?a=evil], passes: [GET /?a=b]}]\n";
    std::fs::write(here.join("old.yaml"), patch).expect("it is writable");
    let output = portcullis(here, &["check", "old.yaml"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && told.contains("patch-review") && told.contains("it goes on"),
        "{told}"
    );
    assert_eq!(portcullis(here, &["check", "--strict", "old.yaml"]).status.code(), Some(1));
    good(&portcullis(here, &["test", "old.yaml"]));
    let config = "sites: [{name: a, upstreams: ['http://127.0.0.1:9'], patches: [cve-1999-1]}]";
    std::fs::write(here.join("c.yaml"), config).expect("it is writable");
    let missing = portcullis(here, &["check", "-c", "c.yaml"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("there is no virtual patch"));
}

/// Past its date a patch blocks as before; the log and a metric tell. Another one of the site only tells.
#[test]
fn a_running_site_blocks_with_old_patches_and_tells_of_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let here = &directory.path().to_owned();
    for (name, word, review_by) in [("old", "evil", "2020-02-01"), ("new", "odd", "2099-02-01")] {
        let patch = format!(
            "patch: {{title: t, product: p, blocks: b, severity: critical, owner: me, created: 2020-01-01, review_by: {review_by}}}\n\
             rules: [{{when: {{variables: ARGS, operator: '@contains {word}'}}}}]\n"
        );
        std::fs::write(here.join(format!("{name}.yaml")), patch).expect("it is writable");
    }
    let config = "listeners: ['127.0.0.1:0']\nadmin: {address: '127.0.0.1:0'}\n\
                  audit: {log: audit.log}\n\
                  sites:\n\
                  - {name: shop, upstreams: ['http://127.0.0.1:9'], rules: '@engine.conf', \
                  patches: [./old.yaml, {patch: ./new.yaml, mode: DetectionOnly}]}\n\
                  - {name: blog, hosts: [blog.example], upstreams: ['http://127.0.0.1:9'], rules: '@engine.conf'}\n";
    std::fs::write(here.join("c.yaml"), config).expect("it is writable");
    // Before it runs, and in words about the modes.
    let checked = portcullis(here, &["check", "-c", "c.yaml"]);
    let text =
        String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && text.contains("old") && text.contains("reviewed"), "{text}");
    assert!(text.contains("1 of them in DetectionOnly"), "{text}");
    let mut running = Binary::of(directory, &mut program(here, &["run", "-c", "c.yaml"]));
    let status = |host: &str, target: &str| {
        let head = format!("Host: {host}\r\nUser-Agent: a\r\nAccept: */*\r\nConnection: close");
        running.send(format!("GET {target} HTTP/1.1\r\n{head}\r\n\r\n")).status
    };
    let old = status("shop.example", "/?a=evil");
    let new = status("shop.example", "/?a=odd");
    let elsewhere = status("blog.example", "/?a=evil");
    // Requests are counted and recorded when they have ended, which is after the answer.
    let records = || std::fs::read_to_string(here.join("audit.log")).unwrap_or_default();
    eventually("the record", || ["a=evil", "a=odd"].iter().all(|word| records().contains(word)));
    let metrics = running.ask("/metrics");
    let told = running.log();
    assert_eq!(old, 403);
    // Nobody listens behind it: what is let through fails otherwise.
    assert_eq!(new, 502);
    assert!(metrics.contains("portcullis_site_patches{site=\"shop\"} 2"), "{metrics}");
    assert!(metrics.contains("portcullis_site_patches_past_review{site=\"shop\"} 1"), "{metrics}");
    assert!(told.contains("should have been reviewed by now") && told.contains("old"), "{told}");
    // A patch is of the sites that name it.
    assert_eq!(elsewhere, 502);
    assert!(metrics.contains("portcullis_site_patches{site=\"blog\"} 0"), "{metrics}");
    for (patch, outcome) in [("old", "blocked"), ("new", "detected")] {
        let series = format!("outcome=\"{outcome}\",patch=\"{patch}\",site=\"shop\"}} 1");
        assert!(metrics.contains(&series), "{series}: {metrics}");
    }
    let records = records();
    let record =
        |word: &str| records.lines().find(|line| line.contains(word)).expect("it was recorded").to_owned();
    assert!(record("a=evil").contains("\"action\":\"deny\""), "{records}");
    let quiet = record("a=odd");
    assert!(quiet.contains("patch-mode/DetectionOnly") && quiet.contains("\"action\":\"pass\""), "{quiet}");
}

#[test]
fn raw_bodies_are_shown_to_the_rule_that_asks_and_where_it_asks() {
    let directory = tempfile::tempdir().expect("a directory");
    let here = directory.path();
    let patch = |raw: &str, variable: &str| {
        format!(
            "patch: {{title: t, product: p, blocks: b, severity: critical, owner: me, created: 2026-01-01, review_by: 2099-01-01}}\n\
             rules:\n  - {raw}\n    when: [{{variables: REQUEST_FILENAME, operator: '@streq /a'}}, {{variables: {variable}, operator: '@contains evil'}}]\n    \
             matches: [{{uri: /a, headers: {{Content-Type: text/plain}}, body: evil}}, {{uri: /a, headers: {{Content-Type: application/json}}, body: '{{\"x\": \"evil\"}}'}}]\n    \
             passes: [{{uri: /b, headers: {{Content-Type: text/plain}}, body: evil}}]\n  \
             - id: elsewhere\n    when: {{variables: REQUEST_BODY, operator: '@contains evil'}}\n    \
             passes: [{{uri: /b, headers: {{Content-Type: text/plain}}, body: evil}}]\n"
        )
    };
    std::fs::write(here.join("p.yaml"), patch("raw_body: true", "REQUEST_BODY")).expect("it is writable");
    assert!(good(&portcullis(here, &["test", "p.yaml"])).contains("(100.00 %)"));
    std::fs::write(here.join("p.yaml"), patch("raw_body: false", "REQUEST_BODY")).expect("it is writable");
    assert_eq!(portcullis(here, &["test", "p.yaml"]).status.code(), Some(1));
    std::fs::write(here.join("p.yaml"), patch("raw_body: true", "ARGS")).expect("it is writable");
    let told = portcullis(here, &["check", "p.yaml"]);
    assert!(
        String::from_utf8_lossy(&told.stderr).contains("no condition of this rule looks at REQUEST_BODY")
    );
}

#[test]
fn an_upload_becomes_a_patch_for_its_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let here = directory.path();
    let template = "id: shop-upload\ninfo: {name: Upload of code, severity: critical, classification: {cve-id: CVE-2024-1}}\n\
        variables: {code: \"<?php echo md5('{{randstr}}'); ?>\"}\nhttp:\n  - raw:\n      - |\n        @timeout: 20s\n        \
        POST /api/upload HTTP/1.1\n        Host: {{Hostname}}\n        Content-Type: multipart/form-data; boundary=xx\n\n        \
        --xx\n        Content-Disposition: form-data; name=\"f\"; filename=\"{{to_lower('A')}}.php\"\n\n        {{code}}\n        --xx--\n";
    std::fs::write(here.join("t.yaml"), template).expect("it is writable");
    good(&portcullis(
        here,
        &["patch", "new", "--from", "t.yaml", "--output", "shop-upload.yaml", "--owner", "me"],
    ));
    let written = std::fs::read_to_string(here.join("shop-upload.yaml")).expect("it was written");
    assert!(written.contains("FILES:f") && written.contains("CVE-2024-1"), "{written}");
    assert!(
        written.contains("FILES_TMP_CONTENT") || written.contains("the content of the upload f"),
        "{written}"
    );
    assert!(good(&portcullis(here, &["test", "shop-upload.yaml"])).contains("(100.00 %)"));
    good(&portcullis(here, &["check", "--strict", "shop-upload.yaml"]));
}

#[test]
fn strict_wants_both_kinds_of_tests() {
    let directory = tempfile::tempdir().expect("a directory");
    let here = directory.path();
    let rule = |tests: &str| {
        format!(
            "settings: {{SecRuleEngine: On, SecRequestBodyAccess: On}}\nrules: [{{id: a, {tests}actions: deny, when: {{variables: ARGS, operator: '@contains x'}}}}]\n"
        )
    };
    for (tests, code) in
        [("", 1), ("matches: [GET /?a=x], ", 1), ("matches: [GET /?a=x], passes: [GET /], ", 0)]
    {
        std::fs::write(here.join("r.yaml"), rule(tests)).expect("it is writable");
        let output = portcullis(here, &["check", "--strict", "r.yaml"]);
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        good(&portcullis(here, &["check", "r.yaml"]));
    }
}

#[test]
fn files_are_converted_and_the_schema_is_json() {
    let directory = tempfile::tempdir().expect("a directory");
    let here = directory.path();
    let rules = "# Why.\nSecRule ARGS \"@contains x\" \"id:1,phase:2,deny,status:403,t:none,log\"\n";
    std::fs::write(here.join("a.conf"), rules).expect("it is writable");
    good(&portcullis(here, &["convert", "--output", ".", "a.conf"]));
    let yaml = std::fs::read_to_string(here.join("a.yaml")).expect("it was written");
    assert!(yaml.contains("# Why.") && yaml.contains("operator: '@contains x'"), "{yaml}");
    let back = good(&portcullis(here, &["convert", "a.yaml"]));
    assert!(back.contains("# Why.") && back.contains("@contains x"), "{back}");
    assert_eq!(portcullis(here, &["convert", "--to", "yaml", "a.yaml"]).status.code(), Some(1));
    let schema = good(&portcullis(here, &["schema", "rules"]));
    assert!(serde_json::from_str::<serde_json::Value>(&schema).expect("JSON")["$defs"]["rule"].is_object());
}
