//! Access rules, rate limits and bans, from the configuration file to the answer.

#![cfg(feature = "server")]

mod support;

use portcullis::config::{Checked, Overrides, load};
use portcullis::engine::EventKind;
use portcullis::proxy::Finished;
use portcullis::ruleset::Mode;
use std::fs;
use std::time::Duration;
use support::client::{Client, Response, get};
use support::mmdb;
use support::origin::Origin;
use support::server::{Portcullis, Setup};

const RULES: &str = "SecRuleEngine On\n\
    SecRule ARGS \"@contains attack\" \"id:1,phase:1,deny,status:403,log,setvar:tx.blocking_inbound_anomaly_score=5\"\n\
    SecRule ARGS:user \"@unconditionalMatch\" \"id:2,phase:1,pass,nolog,setvar:tx.login=%{MATCHED_VAR}\"";

/// A directory with what the configurations of these tests name.
fn files() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("blocked.txt"), "# bad\n203.0.113.0/24\n2001:db8:bad::/48 ; worse\n")
        .expect("written");
    let database =
        mmdb::countries(&[("198.51.100.0/24", "DE"), ("192.0.2.0/24", "KP"), ("2001:db8:de::/48", "DE")]);
    fs::write(directory.path().join("countries.mmdb"), database).expect("written");
    directory
}

/// `text` as a site's settings and `top` as those of the file, checked.
fn checked(directory: &tempfile::TempDir, top: &str, site: &str) -> Checked {
    let path = directory.path().join("portcullis.yaml");
    let text = format!("{top}\nsites:\n  - name: main\n    upstreams: [http://127.0.0.1:1]\n{site}\n");
    fs::write(&path, text).expect("written");
    let loaded = load(Some(&path), &Overrides::default());
    let told: Vec<_> = loaded.diagnostics.iter().collect();
    loaded.config.unwrap_or_else(|| panic!("{told:#?}"))
}

/// A server behind a proxy that it trusts, so that a test may be any client.
fn start(origin: &Origin, config: &Checked, mode: Option<Mode>) -> Portcullis {
    let site = &config.sites[0];
    Setup::new(origin.address, RULES)
        .config(|c| {
            c.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
            c.bans = config.bans.clone();
        })
        .site(|s| {
            s.access = site.access.clone();
            s.rate_limits = site.rate_limits.clone();
            s.mode = mode;
        })
        .start()
}

fn ask(server: &Portcullis, from: &str, line: &str, headers: &str) -> Response {
    server.exchange(format!("{line} HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: {from}\r\n{headers}\r\n"))
}

fn statuses(server: &Portcullis, from: &str, line: &str, count: usize) -> Vec<u16> {
    (0..count).map(|_| ask(server, from, line, "").status).collect()
}

fn events(finished: &Finished) -> Vec<&'static str> {
    finished.report.events.iter().map(|e| e.kind.name()).collect()
}

#[test]
fn access_rules_are_asked_in_order_before_any_other_rule() {
    let directory = files();
    let config = checked(
        &directory,
        "geo_database: countries.mmdb",
        r"
    access:
      - {name: feed, address_files: [blocked.txt]}
      - {name: embargo, countries: [KP], status: 451}
      - {name: office, action: allow, paths: [/admin], addresses: [10.0.0.0/8, '2001:db8:1::/64']}
      - {name: admin, paths: [/admin], status: 404}
      - {name: methods, except: {methods: [GET, HEAD, POST]}, status: 405}
      - {name: api, paths: [/api], except: [{countries: [DE]}, {addresses: 127.0.0.0/8}]}",
    );
    let origin = Origin::fixed("200 OK", &[], b"fine".to_vec());
    let server = start(&origin, &config, None);
    let mut asked = 0;
    for (from, line, status, rule) in [
        ("203.0.113.9", "GET /", 403, "feed"),
        ("2001:db8:bad::1", "GET /", 403, "feed"),
        ("192.0.2.1", "GET /", 451, "embargo"),
        ("198.51.100.1", "GET /", 200, ""),
        ("10.1.1.1", "GET /admin/x", 200, ""),
        ("2001:db8:1::5", "GET /admin", 200, ""),
        ("198.51.100.1", "GET /admin/x", 404, "admin"),
        ("198.51.100.1", "GET /%61dmin", 404, "admin"),
        ("198.51.100.1", "GET /open/..%2fadmin", 404, "admin"),
        ("198.51.100.1", "GET /ADMIN/", 404, "admin"),
        ("198.51.100.1", "GET /open/..;/admin", 404, "admin"),
        ("10.1.1.1", "GET /x/..;/admin", 404, "admin"),
        ("198.51.100.1", "GET /administrator", 200, ""),
        ("198.51.100.1", "DELETE /", 405, "methods"),
        ("198.51.100.1", "GET /api", 200, ""),
        ("2001:db8:de::1", "GET /api", 200, ""),
        ("8.8.8.8", "GET /api", 403, "api"),
    ] {
        let answer = ask(&server, from, line, "");
        asked += 1;
        assert_eq!(answer.status, status, "{line} from {from}");
        let finished = server.seen.finished(asked).pop().expect("one");
        let rulings: Vec<_> = finished.rulings.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(rulings.join(" "), rule, "{line} from {from}");
        assert_eq!(events(&finished), if rule.is_empty() { vec![] } else { vec!["access_denied"] });
        assert_eq!(finished.report.rules.len(), 0, "no rule ran");
        assert!(rule.is_empty() || finished.report.is_audited());
    }
    // A refused client's connection goes on, its body is not taken for a request.
    let mut client = Client::connect(server.address());
    let body = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
    client.send(format!(
        "POST /admin HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 8.8.8.8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(client.read().expect("a response").status, 404);
    client.send(get("/fine"));
    assert_eq!(client.read().expect("a response").status, 200);
    assert_eq!(server.seen.finished(asked + 2).len(), asked + 2);
}

/// However the client writes the name: in capitals, with a dot at its end, with a port, as the whole target.
#[test]
fn hosts_are_compared_as_names() {
    let directory = files();
    let config = checked(
        &directory,
        "",
        r"
    access:
      - {name: admin, hosts: admin.test, status: 404}
      - {name: internal, hosts: ['*.internal.test'], status: 410}
      - {name: open, action: allow, hosts: [shop.test]}
      - {name: rest}",
    );
    let origin = Origin::fixed("200 OK", &[], b"fine".to_vec());
    let server = start(&origin, &config, None);
    let cases = [
        ("/", "admin.test", 404, "admin"),
        ("/", "ADMIN.test", 404, "admin"),
        ("/", "admin.test.", 404, "admin"),
        ("/", "Admin.Test.:8080", 404, "admin"),
        ("/", "admin.test:443", 404, "admin"),
        ("http://admin.test/", "admin.test", 404, "admin"),
        ("http://ADMIN.test:80/", "ADMIN.test:80", 404, "admin"),
        ("/", "a.internal.test", 410, "internal"),
        ("/", "a.b.INTERNAL.test.", 410, "internal"),
        ("/", "internal.test", 403, "rest"),
        ("/", "shop.test", 200, ""),
        ("/", "SHOP.test:80", 200, ""),
        ("/", "myadmin.test", 403, "rest"),
        ("/", "admin.test.example", 403, "rest"),
    ];
    for (count, (target, host, status, rule)) in cases.into_iter().enumerate() {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
        assert_eq!(server.exchange(request).status, status, "{target} at {host}");
        let finished = server.seen.finished(count + 1).pop().expect("one");
        let rulings: Vec<_> = finished.rulings.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(rulings.join(" "), rule, "{target} at {host}");
    }
}

#[test]
fn in_detection_only_it_only_tells() {
    let directory = files();
    let config = checked(
        &directory,
        "bans: {threshold: 1}",
        "    access: [{name: closed}]\n    rate_limits: [{name: few, requests: 1, period: 1h}]",
    );
    let origin = Origin::fixed("200 OK", &[], b"fine".to_vec());
    let server = start(&origin, &config, Some(Mode::DetectionOnly));
    assert_eq!(statuses(&server, "192.0.2.1", "GET /?q=attack", 2), [200, 200]);
    let finished = server.seen.finished(2);
    assert_eq!(events(&finished[0]), ["access_denied"]);
    assert_eq!(events(&finished[1]), ["banned", "access_denied", "rate_limited"]);
    assert!(finished.iter().all(|f| f.report.is_audited() && f.rulings.iter().all(|r| !r.enforced)));

    // What is off looks at nothing, unless it has a mode of its own.
    let off = start(&origin, &config, Some(Mode::Off));
    assert_eq!(statuses(&off, "192.0.2.1", "GET /?q=attack", 3), [200, 200, 200]);
    assert!(off.seen.finished(3).iter().all(|f| f.rulings.is_empty()));
    let config = checked(&directory, "", "    access: [{name: closed, mode: On}]");
    let off = start(&origin, &config, Some(Mode::Off));
    assert_eq!(statuses(&off, "192.0.2.1", "GET /", 1), [403]);
    assert_eq!(off.seen.finished(1)[0].report.events[0].kind, EventKind::AccessDenied);
}

#[test]
fn rate_limits_answer_429_and_when_to_come_back() {
    let directory = files();
    let config = checked(
        &directory,
        "",
        r"
    rate_limits:
      - {name: login, paths: [/login], methods: [POST], requests: 2, period: 1h}
      - {name: key, paths: [/api], key: 'header:X-Key', requests: 60, period: 1h, burst: 1, status: 503}
      - {name: user, key: 'tx:login', requests: 1, period: 1h}
      - {name: all, requests: 50, period: 1h, except: {addresses: 10.0.0.0/8}}",
    );
    let origin = Origin::fixed("200 OK", &[], b"fine".to_vec());
    let server = start(&origin, &config, None);
    let post = "POST /login";
    assert_eq!(statuses(&server, "192.0.2.1", post, 3), [200, 200, 429]);
    assert_eq!(statuses(&server, "192.0.2.2", post, 1), [200], "another client");
    assert_eq!(statuses(&server, "192.0.2.1", "GET /login", 1), [200], "another method");
    let refused = ask(&server, "192.0.2.1", post, "");
    let wait: u64 = refused.header("retry-after").and_then(|v| v.parse().ok()).expect("seconds");
    assert!((1_790..=1_800).contains(&wait), "{wait}");
    assert!(!refused.text().contains("login"), "which limit it was is nobody's business");

    // An address of IPv6 is as good as its neighbour.
    assert_eq!(statuses(&server, "2001:db8::1", post, 2), [200, 200]);
    assert_eq!(statuses(&server, "2001:db8::ffff", post, 1), [429]);
    assert_eq!(statuses(&server, "2001:db8:0:1::1", post, 1), [200]);

    let api = |key: &str, from: &str| ask(&server, from, "GET /api", key).status;
    assert_eq!([api("X-Key: a\r\n", "192.0.2.3"), api("X-Key: a\r\n", "192.0.2.4")], [200, 503]);
    assert_eq!(
        [api("X-Key: b\r\n", "192.0.2.3"), api("", "192.0.2.3"), api("", "192.0.2.3")],
        [200, 200, 503]
    );

    // The key of a rule: whoever tries it, from wherever.
    let user = |name: &str, from: &str| ask(&server, from, &format!("GET /?user={name}"), "").status;
    assert_eq!(
        [user("ann", "192.0.2.5"), user("ann", "192.0.2.6"), user("bob", "192.0.2.6")],
        [200, 429, 200]
    );

    let many = statuses(&server, "192.0.2.7", "GET /", 51);
    assert_eq!((many[49], many[50]), (200, 429));
    assert!(statuses(&server, "10.0.0.1", "GET /", 51).iter().all(|s| *s == 200));
    let last = server.seen.finished(1).into_iter().find(|f| f.status == 429).expect("one");
    assert_eq!(events(&last), ["rate_limited"]);
    assert_eq!(last.rulings[0].name, "login");
}

/// What a client may write in more than one way is one key.
#[test]
fn limits_tell_requests_apart_by_their_keys() {
    let directory = files();
    let config = checked(
        &directory,
        "",
        r"
    rate_limits:
      - {name: page, paths: [/page], key: path, requests: 60, period: 1h, burst: 1}
      - {name: host, paths: [/host], key: [host, address], requests: 60, period: 1h, burst: 1}
      - {name: site, paths: [/site], key: site, requests: 60, period: 1h, burst: 1}
      - {name: cookie, paths: [/cookie], key: 'cookie:id', requests: 60, period: 1h, burst: 1}",
    );
    let origin = Origin::fixed("200 OK", &[], b"fine".to_vec());
    let server = start(&origin, &config, None);
    let get = |from: &str, target: &str, headers: &str| {
        ask(&server, from, &format!("GET {target}"), headers).status
    };
    assert_eq!(
        [get("192.0.2.1", "/page/a", ""), get("192.0.2.2", "/page/a", "")],
        [200, 429],
        "whoever asks"
    );
    assert_eq!(get("192.0.2.1", "/page/b", ""), 200);
    for same in
        ["/PAGE/a", "/page/A", "/page/a;x=1", "/page;y/a", "/page/%61", "/page//a", "/page/a/", "/page/./a?q"]
    {
        assert_eq!(get("192.0.2.1", same, ""), 429, "{same}");
    }
    let at = |host: &str, from: &str| {
        let head = format!("GET /host HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: {from}\r\n\r\n");
        server.exchange(head).status
    };
    assert_eq!(
        [at("a.test", "192.0.2.1"), at("b.test", "192.0.2.1"), at("a.test", "192.0.2.2")],
        [200, 200, 200]
    );
    for same in ["a.test", "A.test", "a.test.", "a.test:8080"] {
        assert_eq!(at(same, "192.0.2.1"), 429, "{same}");
    }
    assert_eq!(
        [get("192.0.2.1", "/site", ""), get("192.0.2.2", "/site/other", "")],
        [200, 429],
        "one for all"
    );
    let with = |cookie: &str, from: &str| get(from, "/cookie", &format!("Cookie: {cookie}\r\n"));
    assert_eq!(
        [with("id=7", "192.0.2.1"), with("a=1; id=7", "192.0.2.2"), with("id=8", "192.0.2.1")],
        [200, 429, 200]
    );
    assert_eq!([get("192.0.2.9", "/cookie", ""), with("id=", "192.0.2.1")], [200, 200]);
    assert_eq!(get("192.0.2.9", "/cookie", "Cookie: other=1\r\n"), 429, "without it, by address");
}

#[test]
fn a_limit_gives_back_what_time_gives() {
    let directory = files();
    let config = checked(&directory, "", "    rate_limits: [{name: l, requests: 10, period: 1s, burst: 2}]");
    let origin = Origin::fixed("200 OK", &[], b"fine".to_vec());
    let server = start(&origin, &config, None);
    let mut client = Client::connect(server.address());
    let began = std::time::Instant::now();
    let mut passed = 0_u32;
    while began.elapsed() < Duration::from_millis(1_500) {
        client.send(get("/"));
        passed += u32::from(client.read().expect("a response").status == 200);
        std::thread::sleep(Duration::from_millis(5));
    }
    let most = 2 + u32::try_from(began.elapsed().as_millis() / 100).expect("few") + 1;
    assert!((8..=most).contains(&passed), "{passed} of at most {most}");
}

#[test]
fn who_is_blocked_often_is_banned() {
    let directory = files();
    let config = checked(
        &directory,
        "bans: {threshold: 3, period: 1m, duration: 1h, except: {addresses: 10.0.0.0/8}}",
        "    rate_limits: [{name: l, requests: 1000}]",
    );
    let origin = Origin::fixed("200 OK", &[], b"fine".to_vec());
    let server = start(&origin, &config, None);
    assert_eq!(statuses(&server, "192.0.2.1", "GET /?q=attack", 3), [403, 403, 403]);
    server.seen.finished(3);
    let refused = ask(&server, "192.0.2.1", "GET /", "");
    assert_eq!(refused.status, 403);
    let wait: u64 = refused.header("retry-after").and_then(|v| v.parse().ok()).expect("seconds");
    assert!((3_590..=3_600).contains(&wait), "{wait}");
    assert_eq!(events(&server.seen.finished(4)[3]), ["banned"]);
    assert_eq!(statuses(&server, "192.0.2.2", "GET /", 1), [200]);
    assert_eq!(statuses(&server, "10.0.0.1", "GET /?q=attack", 4), [403; 4]);
    assert_eq!(statuses(&server, "10.0.0.1", "GET /", 1), [200], "excepted");

    // By anomaly score: five points a request, blocked or not.
    let config = checked(&directory, "bans: {count: anomaly, threshold: 10}", "");
    let server = start(&origin, &config, None);
    assert_eq!(statuses(&server, "192.0.2.1", "GET /?q=attack", 2), [403, 403]);
    server.seen.finished(2);
    assert_eq!(statuses(&server, "192.0.2.1", "GET /", 1), [403]);
    assert_eq!(statuses(&server, "192.0.2.9", "GET /", 1), [200]);

    // Refusals by a limit count where they are told to.
    let config = checked(
        &directory,
        "bans: {threshold: 2, limited: true, status: 410}",
        "    rate_limits: [{name: l, requests: 1, period: 1h}]",
    );
    let server = start(&origin, &config, None);
    for (count, status) in [(1, 200), (2, 429), (3, 429), (4, 410)] {
        assert_eq!(statuses(&server, "192.0.2.1", "GET /", 1), [status]);
        server.seen.finished(count);
    }
}

#[test]
fn faults_are_told_with_their_place() {
    let directory = files();
    fs::write(directory.path().join("faulty.txt"), "10.0.0.0/8\nnonsense\n").expect("written");
    let path = directory.path().join("portcullis.yaml");
    let text = "bans: {threshold: 0, duration: 2d}
sites:
  - name: main
    upstreams: [http://127.0.0.1:1]
    access:
      - {action: deny}
      - {name: a, action: refuse, addresses: 10.0.0.1/8}
      - {name: a, countries: [DE], address_files: [faulty.txt, missing.txt]}
      - {name: b, action: allow, status: 403, countries: Germany}
      - {name: c, methods: get, except: [{}]}
    rate_limits:
      - {name: d, key: [address, 'header:', colour]}
      - {name: e, requests: 1000000, period: 500ms}
";
    fs::write(&path, text).expect("written");
    let loaded = load(Some(&path), &Overrides::default());
    let told: Vec<String> = loaded
        .diagnostics
        .iter()
        .map(|d| {
            let at = d.span.map_or(String::new(), |s| loaded.sources.locate(s).to_string());
            let text = format!("{}: {}", at.rsplit('/').next().unwrap_or_default(), d.message);
            text.replace(&directory.path().display().to_string(), "")
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}
