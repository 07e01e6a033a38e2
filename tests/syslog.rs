//! Syslog sinks with a real receiver: rsyslog reads every transport and format, and what it missed comes later.
//!
//! Needs Debian's packages `rsyslog` and `rsyslog-gnutls`.

#![cfg(all(feature = "server", unix))]

mod support;

use serde_json::Value;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use support::authority::{Authority, has};
use support::binary::{Binary, TOKEN};
use support::origin::Origin;
use support::wait::eventually;

/// rsyslog with its files in a directory.
struct Receiver {
    process: Child,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ports that were free a moment ago: TCP, TLS, UDP.
fn ports() -> [u16; 3] {
    let tcp = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("bound"));
    let udp = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let of = |address: std::io::Result<std::net::SocketAddr>| address.expect("an address").port();
    [of(tcp[0].local_addr()), of(tcp[1].local_addr()), of(udp.local_addr())]
}

impl Receiver {
    fn start(directory: &Path, authority: &Authority, [tcp, tls, udp]: [u16; 3]) -> Self {
        let at = |name: &str| authority.path(name).display().to_string();
        let configuration = format!(
            r#"global(workDirectory="{dir}" maxMessageSize="1m" defaultNetstreamDriverCAFile="{ca}"
       defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp")
module(load="imudp")
template(name="fields" type="string" string="%inputname% %pri% %protocol-version% %timestamp:::date-rfc3339% %hostname% %app-name% %procid% %msgid% %structured-data% %msg%\n")
ruleset(name="keep") {{ action(type="omfile" file="{dir}/received.log" template="fields") }}
input(type="imtcp" name="tcp" address="127.0.0.1" port="{tcp}" ruleset="keep")
input(type="imtcp" name="tls" address="127.0.0.1" port="{tls}" ruleset="keep"
      streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imudp" name="udp" address="127.0.0.1" port="{udp}" ruleset="keep")
"#,
            dir = directory.display(),
            ca = at("ca.pem"),
            certificate = at("localhost.pem"),
            key = at("localhost.key"),
        );
        let file = directory.join("rsyslog.conf");
        std::fs::write(&file, configuration).expect("written");
        let checked = Command::new("rsyslogd").arg("-N1").arg("-f").arg(&file).output().expect("it runs");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        let process = Command::new("rsyslogd")
            .args(["-n", "-i"])
            .arg(directory.join("pid"))
            .arg("-f")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.join("said")).expect("created"))
            .spawn()
            .expect("it starts");
        let receiver = Self { process };
        eventually("rsyslog listens", || {
            let said = std::fs::read_to_string(directory.join("said")).unwrap_or_default();
            assert!(!said.contains("error"), "{said}");
            std::net::TcpStream::connect(("127.0.0.1", tls)).is_ok()
        });
        receiver
    }
}

/// What was received: the input, the header's fields, the record.
fn received(directory: &Path) -> Vec<(String, Vec<String>, Value)> {
    let text = std::fs::read_to_string(directory.join("received.log")).unwrap_or_default();
    // A line without its end is still being written.
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines
        .map(|line| {
            let mut fields: Vec<String> = line.splitn(10, ' ').map(str::to_owned).collect();
            let record = fields.pop().expect("a message");
            let record = serde_json::from_str(record.trim()).unwrap_or_else(|e| panic!("{e}: {record}"));
            (fields.remove(0), fields, record)
        })
        .collect()
}

#[test]
fn rsyslog_reads_every_transport_and_format() {
    if !has("rsyslogd") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new();
    authority.sign("localhost");
    let ports = ports();
    let [tcp, tls, udp] = ports;
    let mut sinks = String::new();
    for (n, format) in ["native", "modsecurity", "coraza", "ocsf", "ecs"].iter().enumerate() {
        let facility = ["local0", "authpriv", "user", "local7", "daemon"][n];
        for to in [
            format!("tcp://127.0.0.1:{tcp}"),
            format!("tls://localhost:{tls}"),
            format!("udp://127.0.0.1:{udp}"),
        ] {
            let ca = if to.starts_with("tls") {
                format!(", ca: '{}'", authority.path("ca.pem").display())
            } else {
                String::new()
            };
            let name = to.split(':').next().expect("a scheme");
            sinks.push_str(&format!(
                "    - {{name: {format}-{name}, to: '{to}', format: {format}, facility: {facility}{ca}}}\n"
            ));
        }
    }
    let origin = Origin::echo();
    let text = format!(
        "listeners: ['127.0.0.1:0']
admin: {{address: '127.0.0.1:0', token: {TOKEN}}}
audit:
  log: 'off'
  sinks:
{sinks}reload: {{watch: false}}
sites: [{{name: shop, upstreams: '{}'}}]
",
        origin.url()
    );
    let receiver = Receiver::start(directory.path(), &authority, ports);
    let shop = Binary::start(&[], &text);
    let attack = || {
        let answer = shop.send(
            "GET /?q=%3Cscript%3Ealert%281%29%3C/script%3E&line=a%0Ab&nul=%00&password=hunter2-hunter2 HTTP/1.1\r\n\
             Host: shop\r\nUser-Agent: gr\u{fc}\u{df}e \u{1f512}\r\nConnection: close\r\n\r\n",
        );
        assert_eq!(answer.status, 403);
        answer.header("x-request-id").expect("an id").to_owned()
    };
    let id = attack();
    eventually("all have it", || received(directory.path()).len() == 15);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    for (input, header, record) in received(directory.path()) {
        let id_at = ["/id", "/transaction/unique_id", "/transaction/id", "/metadata/uid", "/event/id"];
        let (format, found) = id_at
            .iter()
            .enumerate()
            .find_map(|(n, at)| Some((n, record.pointer(at)?.as_str()?)))
            .unwrap_or_else(|| panic!("{record}"));
        assert_eq!(found, id, "{input}");
        // A blocked request is a warning (4) of the facility.
        let facility = [16, 10, 1, 23, 3][format];
        assert_eq!(header[0], (facility * 8 + 4).to_string(), "{input}: {header:?}");
        assert_eq!(header[1], "1", "RFC 5424");
        assert!(header[2].starts_with("20") && header[2].contains('T'), "{header:?}");
        assert_eq!(header[3], host.trim());
        assert_eq!([&header[4], &header[6], &header[7]], ["portcullis", "audit", "-"]);
        assert!(header[5].parse::<u32>().is_ok(), "{header:?}");
        assert!(!record.to_string().contains("hunter2"), "{record}");
    }
    let mut inputs: Vec<String> = received(directory.path()).into_iter().map(|(input, ..)| input).collect();
    inputs.sort();
    inputs.dedup_by_key(|input| input.clone());
    assert_eq!(inputs, ["tcp", "tls", "udp"]);

    // While it is away, records wait; afterwards they come by the transports that can tell.
    drop(receiver);
    std::fs::remove_file(directory.path().join("pid")).expect("removed");
    eventually("it is gone", || std::net::TcpStream::connect(("127.0.0.1", tcp)).is_err());
    let id = attack();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let again = Receiver::start(directory.path(), &authority, ports);
    eventually("what waited has come", || {
        let late = received(directory.path());
        late.iter().filter(|(input, _, record)| input != "udp" && record.to_string().contains(&id)).count()
            == 10
    });
    drop(again);
}
