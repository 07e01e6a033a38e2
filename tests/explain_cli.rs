//! From a block to the request that passes: the id on the page, the explanation by the log and by the running instance,
//! the exclusion taken over, and that it opens no more than it says.

#![cfg(all(feature = "server", unix))]

mod support;

use serde_json::{Value, json};
use std::path::Path;
use std::process::Output;
use support::binary::{Binary, TOKEN};
use support::client::Response;
use support::command::{fed, json_of, program};
use support::origin::Origin;
use support::wait::eventually;

struct Shop {
    binary: Binary,
    _origin: Origin,
}

/// A shop whose proxy in front is trusted, with a site of its own for each way to tell an id.
fn start() -> Shop {
    let origin = Origin::echo();
    let url = origin.url();
    let site = |name: &str, more: &str| {
        format!(
            "  - {{name: {name}, hosts: [{name}.test], upstreams: '{url}', \
             rules: [tuned.conf, tuned.yaml, '@portcullis-core']{more}}}\n"
        )
    };
    let sites = [
        site("shop", ""),
        site("renamed", ", request_id_header: X-Correlation-Id"),
        site("silent", ", request_id_header: 'off'"),
        site("taken", ", trust_request_id: true"),
    ];
    Shop::start(
        origin,
        &[("tuned.conf", ""), ("tuned.yaml", "rules: []\n")],
        &format!("sites:\n{}", sites.concat()),
    )
}

/// What visitors of a shop about databases write.
const COMMENT: &str = "is+it+1%27+or+%271%27%3D%271+or+not";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

impl Shop {
    /// With the rest of its configuration.
    fn start(origin: Origin, files: &[(&str, &str)], more: &str) -> Self {
        let text = format!(
            "listeners: ['127.0.0.1:0']
admin: {{address: '127.0.0.1:0', token: {TOKEN}}}
audit: {{log: audit.log}}
reload: {{watch: false}}
trusted_proxies: [127.0.0.1]
{more}"
        );
        Self { binary: Binary::start(files, &text), _origin: origin }
    }

    fn post(&self, host: &str, path: &str, body: &str, more: &str) -> Response {
        self.binary.send(format!(
            "POST {path} HTTP/1.1\r\nHost: {host}.test\r\nUser-Agent: {BROWSER}\r\nAccept-Language: en\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n{more}Connection: close\r\n\r\n{body}",
            body.len()
        ))
    }

    fn comment(&self, host: &str, more: &str) -> Response {
        self.post(host, "/guestbook", &format!("comment={COMMENT}&page=1"), more)
    }

    /// The explanation of a transaction by the audit log, once it is written, and by the running instance.
    fn explained(&self, id: &str) -> [Value; 2] {
        [self.by_log(id), self.by_instance(id)]
    }

    fn by_log(&self, id: &str) -> Value {
        let arguments = ["explain", "-c", "portcullis.yaml", "--json", "--", id];
        eventually("it is in the log", || self.binary.run(&arguments, "").status.success());
        json_of(&self.binary.run(&arguments, ""))
    }

    fn by_instance(&self, id: &str) -> Value {
        let address = self.binary.admin.to_string();
        json_of(&self.binary.run(&["explain", "--admin", &address, "--json", "--", id], TOKEN))
    }
}

/// Runs `portcullis explain` there, with that on its standard input.
fn explain(directory: &Path, arguments: &[&str], input: &str) -> Output {
    fed(program(directory, &["explain"]).args(arguments), input.as_bytes())
}

/// A directory with these files.
fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).expect("written");
    }
    directory
}

/// The number on a page, whatever its type.
fn number(page: &Response) -> String {
    let text = page.text();
    let kind = page.header("content-type").expect("a type");
    let found = match kind {
        "application/problem+json" => {
            serde_json::from_str::<Value>(&text).expect("JSON")["id"].as_str().map(str::to_owned)
        }
        kind if kind.starts_with("text/html") => {
            text.split_once("<code>").and_then(|(_, rest)| Some(rest.split_once("</code>")?.0.to_owned()))
        }
        _ => text.split_once("Number: ").map(|(_, rest)| rest.trim_end().to_owned()),
    };
    found.unwrap_or_else(|| panic!("no number on {text}"))
}

#[test]
fn a_blocked_visitor_s_number_leads_to_the_exclusion_that_helps() {
    let shop = start();
    let blocked = shop.comment("shop", "");
    assert_eq!(blocked.status, 403);
    let id = number(&blocked);
    assert_eq!(blocked.header("x-request-id"), Some(id.as_str()), "the same on the page and in the header");

    let explained = shop.explained(&id);
    for explanation in &explained {
        assert_eq!(explanation["id"], id.as_str(), "{explanation}");
        assert_eq!(explanation["proposal"]["proof"]["proven"], true, "{explanation}");
    }
    let [by_log, by_admin] = &explained;
    for key in ["/decision", "/proposal/seclang", "/proposal/yaml", "/request/uri"] {
        assert_eq!(by_log.pointer(key), by_admin.pointer(key), "{key}: {by_log}\n{by_admin}");
        assert!(by_log.pointer(key).is_some(), "{key}: {by_log}");
    }
    // What is told to people has the id, the place and the exclusion.
    let told = shop.binary.run(&["explain", "-c", "portcullis.yaml", &id], "");
    let told = String::from_utf8(told.stdout).expect("UTF-8");
    for piece in [id.as_str(), "/guestbook", "ARGS:comment", "exclusions:", "SecRule"] {
        assert!(told.contains(piece), "{piece}: {told}");
    }

    for (file, key) in [("tuned.conf", "/proposal/seclang"), ("tuned.yaml", "/proposal/yaml")] {
        let text = by_log.pointer(key).and_then(Value::as_str).expect("a text");
        let before = std::fs::read_to_string(shop.binary.path(file)).expect("there");
        std::fs::write(shop.binary.path(file), text).expect("written");
        shop.binary.reload();
        assert_eq!(shop.comment("shop", "").status, 200, "{file} lets it pass:\n{text}");
        let attack = format!("comment=fine&author={COMMENT}");
        assert_eq!(shop.post("shop", "/guestbook", &attack, "").status, 403, "another field, with {file}");
        let elsewhere = format!("comment={COMMENT}&page=1");
        assert_eq!(shop.post("shop", "/login", &elsewhere, "").status, 403, "another path, with {file}");
        let script = "comment=%3Cscript%3Ealert%281%29%3C/script%3E";
        assert_eq!(shop.post("shop", "/guestbook", script, "").status, 403, "another attack, with {file}");
        std::fs::write(shop.binary.path(file), before).expect("written");
        shop.binary.reload();
        assert_eq!(shop.comment("shop", "").status, 403, "without it");
    }
}

#[test]
fn every_page_has_the_number_and_the_site_says_how_it_travels() {
    let shop = start();
    for accept in ["text/html", "application/json", "text/plain"] {
        let page = shop.comment("shop", &format!("Accept: {accept}\r\n"));
        assert_eq!(page.header("x-request-id"), Some(number(&page).as_str()), "{accept}");
    }
    // What a client says is not believed, and what passes has a number too.
    let forged = "X-Request-Id: chosen-by-the-client\r\n";
    let passed = shop.post("shop", "/", "a=b", forged);
    assert_eq!(passed.status, 200);
    assert!(passed.header("x-request-id").is_some_and(|id| id.len() == 26 && !id.contains("chosen")));

    let page = shop.comment("renamed", "");
    assert_eq!(page.header("x-correlation-id"), Some(number(&page).as_str()));
    assert_eq!(page.header("x-request-id"), None);
    let page = shop.comment("silent", "");
    assert_eq!((page.header("x-request-id"), number(&page).len()), (None, 26));

    // From a trusted proxy, where the site takes it.
    let page = shop.comment("taken", "X-Request-Id: edge-7f3a.0042\r\n");
    assert_eq!(
        (number(&page).as_str(), page.header("x-request-id")),
        ("edge-7f3a.0042", Some("edge-7f3a.0042"))
    );
    for explanation in shop.explained("edge-7f3a.0042") {
        assert_eq!(explanation["id"], "edge-7f3a.0042");
    }
    for unsound in ["short", "with a space", "<script>alert(1)</script>", "a/../../metrics", &"x".repeat(129)]
    {
        let page = shop.comment("taken", &format!("X-Request-Id: {unsound}\r\n"));
        assert_eq!(number(&page).len(), 26, "{unsound}");
    }
    let page = shop.comment("taken", "X-Request-Id: edge-7f3a.0043\r\nX-Request-Id: edge-7f3a.0044\r\n");
    assert_eq!(number(&page).len(), 26, "two are none");

    let unknown = shop.binary.run(&["explain", "-c", "portcullis.yaml", "no-such-one"], "");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&unknown.stderr).contains("has no transaction no-such-one"),
        "{unknown:?}"
    );
}

/// What no rule refused is explained too, by the log and by the running instance: what refused it, and what helps.
#[test]
fn refusals_without_a_rule_say_what_refused_and_what_helps() {
    let origin = Origin::echo();
    let text = format!(
        "bans: {{threshold: 1, except: {{addresses: [127.0.0.1]}}}}
client: {{held_bytes: 1MiB}}
sites:
  - name: shop
    hosts: [shop.test]
    upstreams: '{}'
    access: [{{name: no-admin, paths: [/admin]}}]
    rate_limits: [{{name: login, paths: [/login], requests: 1, period: 1h}}]
    directives: |
      SecRequestBodyLimit 2000000
      SecRequestBodyNoFilesLimit 2000000
      SecAuditLogRelevantStatus \"^5\"
  - {{name: gone, hosts: [gone.test], upstreams: 'http://127.0.0.1:1', directives: SecRequestBodyLimit 1000}}
",
        origin.url()
    );
    let shop = Shop::start(origin, &[], &text);
    let get = |host: &str, path: &str, more: &str| {
        shop.binary.send(format!(
            "GET {path} HTTP/1.1\r\nHost: {host}.test\r\nUser-Agent: {BROWSER}\r\nAccept: */*\r\n{more}Connection: close\r\n\r\n"
        ))
    };
    let attack = "/?q=%3Cscript%3Ealert(1)%3C/script%3E";
    let client = "X-Forwarded-For: 192.0.2.7\r\n";
    assert_eq!(get("shop", "/login", "").status, 200);
    assert_eq!(get("shop", attack, client).status, 403);
    eventually("the client is banned", || get("shop", "/", client).status == 403);
    for (answer, status, action, why, remedy) in [
        (get("shop", "/admin/x", ""), 403, "refuse", "the access rule `no-admin`", "`access`"),
        (get("shop", "/login", ""), 429, "refuse", "the rate limit `login` is exceeded", "`rate_limits`"),
        // The attack would be blocked as well; it is the ban that refused it.
        (get("shop", attack, client), 403, "refuse", "the client is banned", "bans lift"),
        (get("shop", "/", "Host: x\r\n"), 400, "refuse", "host_duplicate", "No exclusion"),
        (shop.post("shop", "/", &"a".repeat(1_500_000), ""), 503, "fail", "more to inspect", "held_bytes"),
        (
            shop.post("gone", "/", &"a".repeat(2_000), ""),
            413,
            "deny",
            "SecRequestBodyLimit",
            "SecRequestBodyLimit",
        ),
        (get("gone", "/", ""), 502, "fail", "no upstream gave a proper answer", "upstream"),
    ] {
        assert_eq!(answer.status, status, "{why}");
        let id = number(&answer);
        let mut explained = vec![(shop.by_log(&id), "the log")];
        // What failed is not kept in memory: there may be much of it when there is too much already.
        if action != "fail" {
            explained.push((shop.by_instance(&id), "the instance"));
        }
        for (explanation, by) in &explained {
            let text =
                |pointer: &str| explanation.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            assert_eq!(text("/decision/action"), action, "{why}, by {by}: {explanation}");
            assert_eq!(explanation["decision"]["status"], status, "{why}, by {by}: {explanation}");
            assert!(text("/decision/told").contains(why), "{why}, by {by}: {explanation}");
            assert!(text("/remedy").contains(remedy), "{why}, by {by}: {explanation}");
            assert_eq!(explanation["proposal"], Value::Null, "{why}, by {by}: no exclusion would help");
            assert_eq!(explanation["rules"], serde_json::json!([]), "{why}, by {by}");
        }
    }
}

/// Two sites, of which one has a rule of its own.
const SITES: &str = "sites:
  - {name: shop, hosts: [shop.test], upstreams: 'http://127.0.0.1:1', rules: ['@portcullis-core']}
  - name: strict
    hosts: [strict.test]
    upstreams: 'http://127.0.0.1:1'
    rules:
      - text: |
          SecRule ARGS:a \"@streq x\" \"id:2,phase:2,chain,deny,log,msg:'Both'\"
            SecRule ARGS:b \"@streq y\"
";

#[test]
fn a_request_not_yet_sent_is_explained_alike_in_every_form() {
    let form = format!("comment={COMMENT}&page=1");
    let kind = "application/x-www-form-urlencoded";
    let raw = format!(
        "POST /guestbook HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: {BROWSER}\r\nAccept: */*\r\n\
         Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let header = |name: &str, value: &str| json!({"name": name, "value": value});
    let har = json!({"log": {"version": "1.2", "creator": {"name": "a browser", "version": "1"}, "entries": [{
        "request": {
            "method": "POST", "url": "http://shop.test/guestbook", "httpVersion": "HTTP/1.1",
            "headers": [header("Host", "shop.test"), header("User-Agent", BROWSER), header("Accept", "*/*"),
                        header("Content-Type", kind)],
            "bodySize": form.len(), "postData": {"mimeType": kind, "text": form},
        },
        "response": {"status": 200, "headers": []},
    }]}});
    let curl = format!("curl -A '{BROWSER}' -d '{form}' http://shop.test/guestbook");
    let files = files(&[("portcullis.yaml", SITES), ("attack.http", &raw), ("attack.har", &har.to_string())]);
    let told = |site: &str, request: &str, input: &str| {
        let arguments = ["-c", "portcullis.yaml", "--site", site, "--json", "--request", request];
        let output = explain(files.path(), &arguments, input);
        assert!(output.status.success(), "{request}: {output:?}");
        json_of(&output)
    };
    let first = told("shop", "attack.http", "");
    assert_eq!(first["decision"]["action"], "deny", "{first}");
    assert_eq!(first["proposal"]["proof"]["proven"], true, "{first}");
    for key in ["seclang", "yaml"] {
        let text = first["proposal"][key].as_str().expect("a text");
        assert!(text.contains("ARGS:comment") && text.contains("/guestbook"), "{text}");
    }
    for (request, input) in [("attack.har", ""), (curl.as_str(), ""), ("-", raw.as_str())] {
        let other = told("shop", request, input);
        for key in ["decision", "scores", "proposal"] {
            assert_eq!(other[key], first[key], "{key}, by {request}");
        }
    }
    // The site is the one that was named, whatever the request's host.
    let elsewhere = told("strict", "attack.http", "");
    assert_eq!((&elsewhere["decision"]["action"], &elsewhere["proposal"]), (&json!("pass"), &Value::Null));

    let arguments = ["-c", "portcullis.yaml", "--request", "attack.http"];
    let unnamed = explain(files.path(), &arguments, "");
    assert_eq!(unnamed.status.code(), Some(1), "which of two sites is not said: {unnamed:?}");
    let gone = explain(files.path(), &["--request", "gone.http"], "");
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
}

#[test]
fn what_nearly_matched_is_told_when_it_is_asked_for() {
    let files = files(&[("portcullis.yaml", SITES)]);
    let raw = "GET /?a=x&b=z HTTP/1.1\r\nHost: strict.test\r\n\r\n";
    let arguments = ["-c", "portcullis.yaml", "--site", "strict", "--request", "-"];
    let told = |more: &[&str]| explain(files.path(), &[&arguments[..], more].concat(), raw);
    let near = json_of(&told(&["--json", "--near"]));
    assert_eq!(near["decision"]["action"], "pass", "{near}");
    let almost = near["near"]["almost"].as_array().expect("a list");
    let almost: Vec<_> = almost.iter().map(|rule| (&rule["id"], &rule["links"], &rule["lacking"])).collect();
    assert_eq!(almost, [(&json!(2), &json!(2), &json!(["ARGS:b"]))]);
    assert_eq!(json_of(&told(&["--json"]))["near"], Value::Null, "not asked for");
    let text = |more: &[&str]| String::from_utf8(told(more).stdout).expect("UTF-8");
    assert!(text(&["--near"]).contains("ARGS:b"), "{}", text(&["--near"]));
    assert!(!text(&[]).contains("ARGS:b"), "{}", text(&[]));
}
