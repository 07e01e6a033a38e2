//! An upstream's name at a real resolver: a name server of this test's own, which the program alone is told of, in a mount
//! namespace. Its answer changes, it falls silent, it forgets the name: the application stays reachable, and no request waits
//! for it.

#![cfg(feature = "server")]

mod support;

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::binary::{Binary, TOKEN};
use support::client::{Client, get};
use support::origin::{Origin, respond};
use support::wait::within;

/// What the name server says to `shop.test`.
#[derive(Clone, Copy, Debug)]
enum Says {
    Address(Ipv4Addr),
    NoSuchName,
    Failure,
    Nothing,
}

/// A name server at an address of its own, as the port cannot be chosen.
struct NameServer {
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
}

const ADDRESS: &str = "127.91.17.53";

impl NameServer {
    fn start(says: Says) -> std::io::Result<Self> {
        let socket = UdpSocket::bind((ADDRESS, 53))?;
        let server = Self { says: Arc::new(Mutex::new(says)), asked: Arc::default() };
        let (says, asked) = (Arc::clone(&server.says), Arc::clone(&server.asked));
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                asked.fetch_add(1, Ordering::Relaxed);
                let says = *says.lock().expect("no panic");
                if let Some(answer) = answer(&buffer[..length], says) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Ok(server)
    }

    fn say(&self, says: Says) {
        *self.says.lock().expect("no panic") = says;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// RFC 1035 §4.1.
fn answer(question: &[u8], says: Says) -> Option<Vec<u8>> {
    let name_end = 12 + question.get(12..)?.iter().position(|byte| *byte == 0)? + 1;
    let kind = question.get(name_end..name_end + 2)?;
    let question_end = name_end + 4;
    let mut answer = question.get(..question_end)?.to_vec();
    let (code, address) = match says {
        Says::Address(address) => (0, (kind == [0, 1]).then_some(address)),
        Says::NoSuchName => (3, None),
        Says::Failure => (2, None),
        Says::Nothing => return None,
    };
    answer[2..4].copy_from_slice(&[0x81, 0x80 | code]);
    answer[4..12].copy_from_slice(&[0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    if let Some(address) = address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

/// Answers each request with a word, and closes.
fn origin(listener: TcpListener, word: &'static str) -> Origin {
    Origin::on(listener, move |_, stream| {
        respond(stream, "200 OK", &[("Connection", "close")], word.as_bytes());
        false
    })
}

/// What the program is run behind: it sees other files about names than everybody else. The directory is its own.
const BEHIND: [&str; 6] = [
    "unshare",
    "-m",
    "sh",
    "-c",
    "for file in resolv.conf nsswitch.conf hosts; do [ ! -e /etc/$file ] || mount --bind $file /etc/$file || exit 9; done; \
     exec \"$@\"",
    "sh",
];

/// A name server, where the system lets us have one.
fn name_server() -> Option<NameServer> {
    let skip = |why: &str| {
        assert!(std::env::var_os("PORTCULLIS_REQUIRE_CRS").is_none(), "no resolver can be had: {why}");
        let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: a resolver that goes away: {why} ***\n");
        None
    };
    let bound = NameServer::start(Says::Address(Ipv4Addr::LOCALHOST));
    let Ok(server) = bound else { return skip("port 53 cannot be listened on") };
    let mut probe = Command::new("unshare");
    let script = "mount --bind /etc/passwd /etc/resolv.conf";
    probe.args(["-m", "sh", "-c", script]).stdout(Stdio::null()).stderr(Stdio::null());
    match probe.status() {
        Ok(status) if status.success() => Some(server),
        _ => skip("the system grants no mount namespace"),
    }
}

#[test]
fn a_resolver_that_goes_away_takes_no_application_with_it() {
    let Some(names) = name_server() else { return };
    let one = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = one.local_addr().expect("an address").port();
    let two = TcpListener::bind(("127.0.0.2", port)).expect("the same port at another address");
    let _origins = [origin(one, "one"), origin(two, "two")];
    let site = |name: &str, host: &str| {
        format!(
            "  - {{name: {name}, hosts: {name}.test, upstreams: ['http://{host}:{port}'], \
             rules: [{{text: 'SecRuleEngine On'}}], balance: {{max_fails: 0}}, timeouts: {{resolve: 1s}}}}\n"
        )
    };
    let text = format!(
        "listeners: ['127.0.0.1:0']\nadmin: {{address: '127.0.0.1:0', token: {TOKEN}}}\nreload: {{watch: false}}\nsites:\n{}{}",
        site("known", "shop.test"),
        site("other", "unheard-of.test"),
    );
    let files = [
        // A silent server is waited for longer than a request may be held up.
        ("resolv.conf", &*format!("nameserver {ADDRESS}\noptions timeout:5 attempts:2\n")),
        ("nsswitch.conf", "hosts: files dns\n"),
        ("hosts", "127.0.0.1 localhost\n"),
    ];
    let mut binary = Binary::start_behind(&BEHIND, &files, &text, |command| command);
    let server = binary.address();
    let ask = |site: &str| {
        let began = Instant::now();
        let request = get("/").replace("a.test", &format!("{site}.test"));
        let response = Client::connect(server).send(request).read().expect("an answer");
        (response.status, response.text(), began.elapsed())
    };
    let expect_for = |time: Duration, word: &str, about: &str| {
        let began = Instant::now();
        while began.elapsed() < time {
            let (status, text, took) = ask("known");
            assert_eq!((status, &*text), (200, word), "{about}");
            assert!(took < Duration::from_secs(2), "{about}: {took:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let turns_to = |word: &str| {
        within(Duration::from_secs(30), "the new address", || {
            let (status, text, took) = ask("known");
            assert!(status == 200 && took < Duration::from_secs(2), "{status} after {took:?}");
            text == word
        });
    };
    assert_eq!(ask("known").1, "one");
    names.say(Says::Address(Ipv4Addr::new(127, 0, 0, 2)));
    turns_to("two");
    let asked = names.asked();
    for says in [Says::Nothing, Says::NoSuchName, Says::Failure] {
        names.say(says);
        expect_for(Duration::from_secs(3), "two", &format!("{says:?}"));
    }
    assert!(names.asked() > asked, "it is not asked any more");

    // A name that was never known cannot be reached, in time; and many who want it do not wait for each other.
    names.say(Says::Nothing);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..20).map(|_| scope.spawn(|| ask("other").0)).collect();
        for one in all {
            assert_eq!(one.join().expect("no panic"), 502);
        }
    });
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    expect_for(Duration::from_millis(500), "two", "while another name is waited for");
    let series = "portcullis_upstream_errors_total{cause=\"upstream_name\",site=\"other\"}";
    binary.wait("the counter", |binary| binary.metric(series) >= 20.0);

    names.say(Says::Address(Ipv4Addr::LOCALHOST));
    turns_to("one");
    assert_eq!(ask("other").1, "one");
    for line in ["the resolver has no answer", "the resolver answers again"] {
        assert!(binary.log().contains(line), "{line}: {}", binary.log());
    }
    assert!(binary.end().success());
}
