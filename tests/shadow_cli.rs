//! `portcullis promote` and `portcullis top` against a running `portcullis run`.

#![cfg(all(feature = "server", unix))]

mod support;

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use support::binary::{Binary, TOKEN};
use support::origin::Origin;
use support::wait::eventually;

struct Shop {
    binary: Binary,
    _origin: Origin,
}

fn start() -> Shop {
    let origin = Origin::echo();
    let text = format!(
        "listeners: ['127.0.0.1:0']
admin: {{address: '127.0.0.1:0', token: {TOKEN}}}
reload: {{watch: false}}
metrics: {{rule_cost_sample: 1}}
sites:
  - name: shop
    upstreams: http://{}
    shadow:
      sample: 100%
      directives: |
        SecRule ARGS:q \"@streq odd\" \"id:77,phase:2,deny,status:406,log,auditlog,msg:'Odd'\"
",
        origin.address
    );
    Shop { binary: Binary::start(&[], &text), _origin: origin }
}

impl Shop {
    fn get(&self, target: &str) -> u16 {
        let head = "Host: shop\r\nUser-Agent: test\r\nAccept: */*\r\nConnection: close";
        self.binary.send(format!("GET {target} HTTP/1.1\r\n{head}\r\n\r\n")).status
    }

    /// Waits until the candidate has judged so many requests.
    fn judged(&self, count: u64) {
        let seen = || self.binary.json(&["promote", "--site", "shop", "--status", "--json"]);
        eventually("it judges", || seen()["seen"]["decided"] == count);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_candidate_is_promoted_from_the_command_line() {
    let shop = start();
    let binary = &shop.binary;
    for target in ["/?q=a", "/?q=b", "/?q=odd", "/?q=<script>alert(1)</script>"] {
        shop.get(target);
    }
    shop.judged(4);
    let told = binary.tell(&["promote", "--site", "shop", "--status"], TOKEN);
    let status = text(&told.stdout);
    assert!(told.status.success() && status.contains("newly blocked   1 (25.000 %)"), "{status}");

    let told = binary.tell(&["promote", "--site", "shop"], TOKEN);
    let error = text(&told.stderr);
    assert_eq!(told.status.code(), Some(1));
    assert!(error.contains("too little evidence: 4 requests were tried, 1000 are asked for"), "{error}");
    assert!(error.contains("--force does it nevertheless"), "{error}");
    let told = binary.tell(&["promote", "--site", "shop", "--min-requests", "4"], TOKEN);
    assert!(text(&told.stderr).contains("it would block 1 of 4 requests that pass now"), "{told:?}");
    let told = binary.tell(&["promote", "--site", "shop", "--force"], "a-wrong-token-of-letters");
    assert!(told.status.code() == Some(1) && text(&told.stderr).contains("token"), "{told:?}");
    let told = binary.tell(&["promote", "--site", "shop&force=true"], TOKEN);
    assert!(told.status.code() == Some(1) && text(&told.stderr).contains("no site can have"), "{told:?}");
    assert_eq!(shop.get("/?q=odd"), 200, "nothing has changed");
    shop.judged(5);

    let arguments = ["promote", "--site", "shop", "--min-requests", "5", "--max-new-blocks", "40%"];
    let told = binary.tell(&arguments, TOKEN);
    let said = text(&told.stdout);
    assert!(told.status.success() && said.contains("decides now, in generation 2"), "{told:?}");
    assert_eq!(shop.get("/?q=odd"), 406);
    let config = fs::read_to_string(binary.path("portcullis.yaml")).expect("read");
    assert!(
        !config.contains("shadow") && config.contains("\n    directives: |\n      SecRule ARGS:q"),
        "{config}"
    );
    let told = binary.tell(&["promote", "--site", "shop", "--status"], TOKEN);
    assert!(text(&told.stderr).contains("has no candidate ruleset"), "{told:?}");
}

#[test]
fn the_dearest_rules_are_told() {
    let shop = start();
    let binary = &shop.binary;
    let told = binary.tell(&["top"], TOKEN);
    assert!(told.status.success() && text(&told.stdout).contains("no request has been measured"), "{told:?}");
    for n in 0..20 {
        shop.get(&format!("/?q={n}&r=select+name+from+users"));
    }
    eventually("they are measured", || binary.json(&["top", "--json"])["requests"] == 20);
    let all = binary.json(&["top", "-n", "3", "--json"]);
    let rules = all["rules"].as_array().expect("rules");
    let seconds: Vec<f64> = rules.iter().filter_map(|rule| rule["seconds"].as_f64()).collect();
    assert!(rules.len() == 3 && seconds.is_sorted_by(|a, b| a >= b) && seconds[2] > 0.0, "{all}");
    let sum = all["rule_seconds"].as_f64().expect("a sum");
    assert!(sum >= seconds.iter().sum() && all["sieve_seconds"].as_f64() > Some(0.0), "{all}");
    assert!(rules[0]["file"].is_string() && rules[0]["line"].as_u64() > Some(0), "{all}");
    let told = text(&binary.tell(&["top", "-n", "3"], TOKEN).stdout);
    assert!(told.starts_with("20 requests measured, one of 1; ") && told.lines().count() == 6, "{told}");
    let told = binary.tell(&["top"], "");
    assert!(told.status.code() == Some(1) && text(&told.stderr).contains("bearer token"), "{told:?}");

    // With --watch: once as it is, then what came since.
    let mut watching = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["top", "--watch", "1", "--json", "--admin", &binary.admin.to_string()])
        .env("PORTCULLIS_ADMIN_TOKEN", TOKEN)
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(watching.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let mut next = || -> Value { serde_json::from_str(&lines.next().expect("a line")).expect("JSON") };
    assert_eq!(next()["requests"], 20);
    shop.get("/?q=1");
    eventually("the request is told of", || next()["requests"] == 1);
    let _ = watching.kill();
    let _ = watching.wait();
}
