//! Several instances behind a balancer, which share nothing but a real Redis and the same configuration.

#![cfg(all(feature = "server", unix))]
#![allow(clippy::unwrap_used, reason = "a test's broken assumption is its failure")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::binary::{Binary, TOKEN};
use support::client::get;
use support::http2::Identity;
use support::origin::Origin;
use support::redis::{Redis, balance};
use support::wait::eventually;

const SITE: &str = "    rate_limits:
      - {name: budget, paths: [/budget], requests: 30, period: 1h, key: 'header:X-Who'}
";

/// Of the store, where it wants one.
const PASSWORD: &str = "hunter2-hunter2\n";

/// What is counted for `/visit` is who has been there how often, by a header.
const RULES: &str = r#"
SecRuleEngine On
SecRule ARGS:q "@contains attack" "id:1,phase:1,deny,status:403,log"
SecRule REQUEST_FILENAME "@streq /visit" "id:2,phase:1,pass,nolog,initcol:ip=%{REQUEST_HEADERS.X-Who},setvar:ip.visits=+1,expirevar:ip.visits=3600"
SecRule IP:VISITS "@gt 20" "id:3,phase:1,deny,status:410,log,msg:'too often'"
SecRule REQUEST_FILENAME "@streq /forget" "id:4,phase:1,pass,nolog,initcol:ip=%{REQUEST_HEADERS.X-Who},setvar:!ip.visits"
"#;

/// `portcullis run` with a shared store.
struct Instance {
    binary: Binary,
    proxy: SocketAddr,
}

impl Instance {
    /// `store` is a mapping's inside.
    fn start(origin: &Origin, store: &str) -> Self {
        let text = format!(
            "listeners: ['127.0.0.1:0']
admin: {{address: '127.0.0.1:0', token: {TOKEN}}}
reload: {{watch: false}}
process: {{workers: 2}}
trusted_proxies: [127.0.0.1]
bans: {{threshold: 3, duration: 1h}}
store: {{redis: {{{store}}}}}
sites:
  - name: shop
    upstreams: ['{}']
    rules: rules.conf
{SITE}",
            origin.url()
        );
        let binary = Binary::start(&[("rules.conf", RULES), ("password", PASSWORD)], &text);
        let proxy = binary.address();
        Self { binary, proxy }
    }

    fn metric(&self, name: &str) -> f64 {
        self.binary.metric(name)
    }

    /// How often it decided without the shared store.
    fn fallbacks(&self) -> f64 {
        let of = |what| self.metric(&format!("portcullis_shared_store_fallbacks_total{{use=\"{what}\"}}"));
        of("rate_limits") + of("collections")
    }

    /// Waits until the shared store is there, or gone.
    fn wait_for_store(&self, is_up: bool) {
        eventually("the store", || (self.metric("portcullis_shared_store_up") > 0.5) == is_up);
    }

    fn bans(&self, arguments: &[&str]) -> String {
        let told = self.binary.tell(&[&["bans"], arguments].concat(), TOKEN);
        String::from_utf8(told.stdout).unwrap()
    }
}

/// One request on a connection of its own: status and body; status 0 when there was no sound answer.
fn ask(address: SocketAddr, line: &str, headers: &str) -> (u16, String) {
    let mut text = String::new();
    let answer = TcpStream::connect(address).and_then(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(stream, "{line} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n")?;
        stream.read_to_string(&mut text)
    });
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).filter(|_| answer.is_ok());
    (status.unwrap_or(0), body.to_owned())
}

/// How many of `count` requests of somebody pass; none of them is answered anything but 200 or 429.
fn passed(address: SocketAddr, who: &str, count: usize) -> usize {
    let statuses: Vec<u16> =
        (0..count).map(|_| ask(address, "GET /budget", &format!("X-Who: {who}\r\n")).0).collect();
    assert!(statuses.iter().all(|s| matches!(s, 200 | 429)), "{statuses:?}");
    statuses.iter().filter(|s| **s == 200).count()
}

#[test]
fn three_instances_count_together_and_go_on_alone() {
    let Some(mut redis) = Redis::start(&["--requirepass", PASSWORD.trim()]) else { return };
    let origin = Origin::fixed("200 OK", &[], b"fine".to_vec());
    // A machine under load may be late more often than the default allows; what is tested here is who counts.
    let store = format!("url: 'redis://127.0.0.1:{}/2', password_file: password, timeout: 500ms", redis.port);
    let mut instances: Vec<Instance> = (0..3).map(|_| Instance::start(&origin, &store)).collect();
    let front = balance(instances.iter().map(|i| i.proxy).collect());
    instances.iter().for_each(|i| i.wait_for_store(true));

    // One budget for all of them.
    assert_eq!(passed(front, "ann", 60), 30);
    let refused = |i: &Instance| {
        i.metric(
            "portcullis_admission_refusals_total{control=\"rate_limited\",outcome=\"refused\",rule=\"budget\",site=\"shop\"}",
        )
    };
    assert!(instances.iter().all(|i| refused(i) >= 5.0), "each has refused its part");
    assert!(instances.iter().all(|i| i.fallbacks() == 0.0));

    // Bans as well: three blocked requests, one at each; then refused everywhere, and lifted everywhere.
    for _ in 0..3 {
        let headers = "X-Forwarded-For: 192.0.2.7\r\n";
        assert_eq!(ask(front, "GET /?q=attack", headers).0, 403);
    }
    eventually("what was awaited", || instances.iter().all(|i| i.bans(&["list"]).contains("192.0.2.7")));
    for instance in &instances {
        assert_eq!(ask(instance.proxy, "GET /", "X-Forwarded-For: 192.0.2.7\r\n").0, 403);
        assert_eq!(ask(instance.proxy, "GET /", "X-Forwarded-For: 192.0.2.8\r\n").0, 200);
    }
    assert_eq!(instances[1].bans(&["lift", "192.0.2.7"]), "lifted 192.0.2.7\n");
    eventually("what was awaited", || {
        instances.iter().all(|i| ask(i.proxy, "GET /", "X-Forwarded-For: 192.0.2.7\r\n").0 == 200)
    });
    assert_eq!(ask(front, "GET /?q=attack", "X-Forwarded-For: 192.0.2.9\r\n").0, 403);

    // Without it, each goes on by itself: with what it knew, and at once.
    redis.stop();
    instances.iter().for_each(|i| i.wait_for_store(false));
    let begun = Instant::now();
    assert_eq!(passed(front, "ann", 9), 0, "who was held back still is");
    let alone = passed(front, "bob", 120);
    assert_eq!(alone, 90, "thirty at each");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(instances.iter().all(|i| i.fallbacks() >= 40.0));
    for _ in 0..9 {
        assert_eq!(ask(front, "GET /?q=attack", "X-Forwarded-For: 192.0.2.10\r\n").0, 403);
    }
    eventually("what was awaited", || instances.iter().all(|i| i.bans(&["list"]).contains("192.0.2.10")));

    // It comes back, and has forgotten everything; they have not.
    redis.go();
    instances.iter().for_each(|i| i.wait_for_store(true));
    assert_eq!(passed(front, "bob", 9), 0);
    assert_eq!(passed(front, "cid", 60), 30);
    assert!(instances.iter().all(|i| i.bans(&["list"]).contains("192.0.2.10")));
    for instance in &mut instances {
        let log = instance.binary.log();
        assert!(
            log.contains("the shared store is gone") && log.contains("the shared store is there"),
            "{log}"
        );
        assert!(!log.contains("hunter2"), "{log}");
    }
}

/// How many of `count` visits are let in; the others are answered 410.
fn visits(address: SocketAddr, who: &str, count: usize) -> usize {
    static SERIAL: AtomicUsize = AtomicUsize::new(0);
    // From an address of its own each, so that nobody is banned.
    let one = |_| {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let headers =
            format!("X-Who: {who}\r\nX-Forwarded-For: 198.18.{}.{}\r\n", serial / 250, serial % 250);
        ask(address, "GET /visit", &headers).0
    };
    let statuses: Vec<u16> = (0..count).map(one).collect();
    assert!(statuses.iter().all(|s| matches!(s, 200 | 410)), "{statuses:?}");
    statuses.iter().filter(|s| **s == 200).count()
}

#[test]
fn persistent_collections_are_joint_as_well() {
    let Some(mut redis) = Redis::start(&[]) else { return };
    let origin = Origin::fixed("200 OK", &[], b"fine".to_vec());
    let store = format!("url: 'redis://127.0.0.1:{}', timeout: 500ms, collections: true", redis.port);
    let instances: Vec<Instance> = (0..3).map(|_| Instance::start(&origin, &store)).collect();
    let front = balance(instances.iter().map(|i| i.proxy).collect());
    instances.iter().for_each(|i| i.wait_for_store(true));

    // One count for all of them. A change goes there behind its request, so that the next one may just miss it.
    let let_in = visits(front, "ann", 45);
    assert!((20..=22).contains(&let_in), "{let_in}");
    assert_eq!(visits(front, "bob", 6), 6, "another one has a count of his own");
    assert!(instances.iter().all(|i| i.fallbacks() == 0.0));
    // What one takes back is taken back for all.
    assert_eq!(ask(instances[2].proxy, "GET /forget", "X-Who: ann\r\n").0, 200);
    eventually("what was awaited", || visits(instances[0].proxy, "ann", 1) == 1);

    // Without it, each goes on with what it knows, at once, and says so.
    visits(front, "cid", 45);
    redis.stop();
    instances.iter().for_each(|i| i.wait_for_store(false));
    let begun = Instant::now();
    assert_eq!(visits(front, "cid", 9), 0, "who came too often still does");
    assert_eq!(visits(front, "dan", 90), 60, "twenty at each");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(instances.iter().all(|i| i.fallbacks() >= 33.0));

    // It comes back with nothing, and learns what they know.
    redis.go();
    instances.iter().for_each(|i| i.wait_for_store(true));
    assert_eq!(visits(instances[0].proxy, "cid", 3), 0);
    let mut fresh = Instance::start(&origin, &store);
    fresh.wait_for_store(true);
    eventually("what was awaited", || visits(fresh.proxy, "cid", 1) == 0);

    // One that is there and does not answer costs what the time-out says, three times.
    redis.freeze(true);
    let begun = Instant::now();
    assert_eq!(visits(fresh.proxy, "cid", 30), 0);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    fresh.wait_for_store(false);
    redis.freeze(false);
    fresh.wait_for_store(true);
    eventually("what was awaited", || {
        let log = fresh.binary.log();
        log.contains("the shared store is gone") && log.contains("the shared store is there")
    });
}

#[test]
fn a_store_whose_clock_was_set_back_keeps_nobody_out() {
    let Some(redis) = Redis::start(&[]) else { return };
    let origin = Origin::echo();
    let instance = Instance::start(&origin, &format!("url: 'redis://127.0.0.1:{}'", redis.port));
    instance.wait_for_store(true);
    assert_eq!(passed(instance.proxy, "ann", 40), 30);
    // As if all of it had been a year later by the store's clock.
    let keys = redis.tell("KEYS *:limit:*");
    let meter = keys.lines().find(|line| line.contains(":limit:")).expect("a meter").to_owned();
    let value: u64 = redis.tell(&format!("GET {meter}")).lines().nth(1).unwrap().parse().unwrap();
    let year = 365 * 86_400 * 1_000_000_u64;
    assert!(redis.tell(&format!("SET {meter} {} PX {}", value + year, year / 1_000)).contains("OK"));
    // One request each two minutes is what the limit gives; who has just used it up waits for one of them.
    let request = get("/budget").replace("\r\n\r\n", "\r\nX-Who: ann\r\n\r\n");
    let answer = instance.binary.send(request);
    let wait: u64 = answer.header("retry-after").expect("a time").parse().unwrap();
    assert!(answer.status == 429 && wait <= 120, "{answer:?}");
    // And time goes on for the meter as well.
    let mended: u64 = redis.tell(&format!("GET {meter}")).lines().nth(1).unwrap().parse().unwrap();
    assert!(mended < value + year / 2, "{mended}");
}

#[test]
fn a_store_whose_clock_was_set_back_keeps_no_collection_either() {
    let Some(redis) = Redis::start(&[]) else { return };
    let origin = Origin::echo();
    let store = format!("url: 'redis://127.0.0.1:{}', timeout: 500ms, collections: true", redis.port);
    let instance = Instance::start(&origin, &store);
    instance.wait_for_store(true);
    visits(instance.proxy, "ann", 45);
    assert_eq!(visits(instance.proxy, "ann", 1), 0);
    let keys = redis.tell("KEYS *:collection:*");
    let key = keys.lines().find(|line| line.contains(":collection:")).expect("a collection").to_owned();
    // As if all of it had been later by the store's clock.
    let hour = 3_600 * 1_000_u64;
    let shift = |by: u64| {
        let fields = redis.tell(&format!("HKEYS {key}"));
        let is_time = |field: &&str| *field == "t" || field.starts_with(['d', 'e']);
        let times: Vec<&str> = fields.lines().filter(is_time).collect();
        assert_eq!(times.len(), 3, "{fields}");
        for field in times {
            let time = redis.tell(&format!("HGET {key} {field}"));
            let time: u64 = time.lines().nth(1).unwrap().parse().unwrap();
            redis.tell(&format!("HSET {key} {field} {}", time + by));
        }
        redis.tell(&format!("PEXPIRE {key} {}", by + hour));
    };
    // Clocks are corrected now and then; that is no reason to let anybody in.
    shift(hour);
    assert_eq!(visits(instance.proxy, "ann", 1), 0);
    shift(365 * 24 * hour);
    eventually("an empty collection", || visits(instance.proxy, "ann", 1) == 1);
    // What is counted from now on is counted as ever.
    assert!((17..=21).contains(&visits(instance.proxy, "ann", 45)));
    assert_eq!(visits(instance.proxy, "ann", 1), 0);
}

#[test]
fn stopping_and_starting_it_under_load_gives_no_wrong_answer() {
    let Some(mut redis) = Redis::start(&[]) else { return };
    let origin = Origin::fixed("200 OK", &[], b"fine".to_vec());
    let store = format!("url: 'redis://127.0.0.1:{}', timeout: 20ms", redis.port);
    let instances: Vec<Instance> = (0..3).map(|_| Instance::start(&origin, &store)).collect();
    let front = balance(instances.iter().map(|i| i.proxy).collect());
    instances.iter().for_each(|i| i.wait_for_store(true));

    let (stop, asked, wrong) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let (passed, slowest) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let (stop, asked, wrong, passed, slowest) = (&stop, &asked, &wrong, &passed, &slowest);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let (line, headers) = match worker {
                        0 => ("GET /budget", "X-Who: dan\r\n"),
                        _ => ("GET /", ""),
                    };
                    let (status, body) = ask(front, line, headers);
                    let is_right = match status {
                        200 => body == "fine",
                        429 => worker == 0,
                        _ => false,
                    };
                    asked.fetch_add(1, Ordering::Relaxed);
                    wrong.fetch_add(usize::from(!is_right), Ordering::Relaxed);
                    passed.fetch_add(usize::from(worker == 0 && status == 200), Ordering::Relaxed);
                    let millis = usize::try_from(begun.elapsed().as_millis()).unwrap();
                    slowest.fetch_max(millis, Ordering::Relaxed);
                }
            });
        }
        let pause = || std::thread::sleep(Duration::from_millis(700));
        for _ in 0..2 {
            pause();
            redis.stop();
            pause();
            redis.go();
            pause();
            redis.freeze(true);
            pause();
            redis.freeze(false);
        }
        pause();
        stop.store(true, Ordering::Relaxed);
    });
    let (asked, wrong) = (asked.into_inner(), wrong.into_inner());
    assert!(wrong == 0 && asked > 100, "{wrong} wrong answers of {asked}");
    let passed = passed.into_inner();
    assert!((30..=90).contains(&passed), "{passed} passed: at least a budget, at most one at each instance");
    assert!(slowest.into_inner() < 5_000, "no request waits for a store that is frozen");
    instances.iter().for_each(|i| i.wait_for_store(true));
    // All is as before. On a machine that is busy otherwise the store may be late, and is passed over: that is counted.
    let fallbacks = || instances.iter().map(|i| i.fallbacks() as usize).sum::<usize>();
    let before = fallbacks();
    assert!(before > 0, "the store was away, and nobody has counted it");
    let passed = self::passed(front, "eve", 60);
    let alone = fallbacks() - before;
    assert!((30..=30 + alone).contains(&passed), "{passed} passed, {alone} decided alone");
}

#[test]
fn the_connection_may_be_tls() {
    let identity = Identity::new(&["localhost"]);
    let file = |name: &str| identity.files.path().join(name).display().to_string();
    let (certificate, key) = (file("cert.pem"), file("key.pem"));
    let arguments = [
        "--port",
        "0",
        "--tls-port",
        "PORT",
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &certificate,
        "--tls-auth-clients",
        "no",
    ];
    let Some(redis) = Redis::start(&arguments) else { return };
    let origin = Origin::fixed("200 OK", &[], b"fine".to_vec());
    let store = |ca: &str| format!("url: 'rediss://localhost:{}', timeout: 500ms{ca}", redis.port);
    let trusting = Instance::start(&origin, &store(&format!(", ca: '{certificate}'")));
    trusting.wait_for_store(true);
    assert_eq!(passed(trusting.proxy, "ann", 40), 30);
    assert_eq!(trusting.fallbacks(), 0.0);
    // An authority that is not trusted is no store, and keeps nothing from being served.
    let wary = Instance::start(&origin, &store(""));
    assert_eq!(passed(wary.proxy, "ann", 40), 30);
    assert_eq!(wary.metric("portcullis_shared_store_up"), 0.0);
}
