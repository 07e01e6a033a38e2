//! HTTPS with clients and upstreams that are not ours: curl, OpenSSL and nginx. Certificates of clients, redirects,
//! headers.

#![cfg(feature = "server")]

mod support;

use portcullis::config::{
    Certificate, ClientAuthority, ClientCertificate, Edge, Identity, ListenerTls, Upstream, UpstreamHttp2,
    UpstreamTls,
};
use portcullis::proxy::Trouble;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::authority::{Authority, has};
use support::client::{Client, get};
use support::origin::{Origin, nobody};
use support::server::{Portcullis, Setup, listener, to};
use support::wait::within;

const RULES: &str = "SecRuleEngine On\nSecRequestBodyAccess On\n\
    SecRule ENV:SSL_CLIENT_S_DN \"@streq CN=mallory,O=Example\\, Inc.\" \"id:1,phase:1,deny,status:406\"\n\
    SecRule REQUEST_URI \"@streq /tls\" \"id:2,phase:1,deny,status:418,chain\"\n\
    SecRule ENV:SSL_PROTOCOL \"@rx ^TLSv1\\.[23]$\" \"chain\"\n\
    SecRule ENV:SSL_TLS_SNI|ENV:HTTPS \"@rx ^(?:a\\.test|on)$\"";

fn tls(authority: &Authority, required: bool) -> ListenerTls {
    let (certificate, key) = authority.sign("a.test");
    ListenerTls {
        certificates: vec![Certificate { certificate, key, hosts: Vec::new() }],
        clients: Some(ClientAuthority { ca: authority.path("ca.pem"), required }),
        only_1_3: false,
    }
}

/// curl to `https://a.test/` at `address`; gives what it printed: the body, and the status and version on a line.
fn curl(authority: &Authority, address: SocketAddr, path: &str, more: &[&str]) -> (String, String) {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--write-out",
            "\n%{http_code} %{http_version}",
        ])
        .arg("--cacert")
        .arg(authority.path("ca.pem"))
        .args(["--resolve", &format!("a.test:{}:127.0.0.1", address.port())])
        .args(more)
        .arg(format!("https://a.test:{}{path}", address.port()))
        .output()
        .expect("curl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("a line of its own");
    (body.to_owned(), status.to_owned())
}

/// The arguments with which curl shows a certificate.
fn shown(authority: &Authority, name: &str) -> Vec<String> {
    let (certificate, key) = authority.sign(name);
    ["--cert".to_owned(), certificate.display().to_string(), "--key".to_owned(), key.display().to_string()]
        .into()
}

fn words(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

#[test]
fn clients_certificates_are_verified_told_and_cannot_be_forged() {
    let authority = Authority::new();
    let origin = Origin::echo();
    let named = |name: &str| Some(name.to_owned());
    let server = Setup::new(origin.address, RULES)
        .config(|c| c.listeners = vec![support::server::with_tls(tls(&authority, false)), listener()])
        .site(|site| {
            site.edge.client_certificate = ClientCertificate {
                required: false,
                subject_header: named("X-Client-DN"),
                verify_header: named("X-Client-Verify"),
                fingerprint_header: named("X-Client-Fingerprint"),
                certificate_header: named("X-Client-Cert"),
            };
        })
        .start();
    let forged = ["-H", "X-Client-DN: CN=root", "-H", "X_Client_DN: CN=root", "-H", "x-client-cert: y"];
    let ann = shown(&authority, "ann");
    for (version, expected) in [("--http1.1", "200 1.1"), ("--http2", "200 2")] {
        let (_, status) =
            curl(&authority, server.address(), "/", &[&[version], &forged[..], &words(&ann)].concat());
        assert_eq!(status, expected);
        let request = origin.requests().pop().expect("one");
        assert_eq!(request.header("x-client-dn"), Some("CN=ann,O=Example\\, Inc."));
        assert_eq!(request.header("x-client-verify"), Some("SUCCESS"));
        let fingerprint = request.header("x-client-fingerprint").expect("one").to_owned();
        let pem = request.header("x-client-cert").expect("one").replace("%0A", "\n").replace("%20", " ");
        let pem = pem.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
        assert_eq!(request.all("x_client_dn"), Vec::<&str>::new());
        if has("openssl") {
            let mut openssl = Command::new("openssl")
                .args(["x509", "-noout", "-fingerprint", "-sha256", "-subject", "-nameopt", "RFC2253"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("openssl runs");
            openssl.stdin.take().expect("piped").write_all(pem.as_bytes()).expect("written");
            let said = String::from_utf8(openssl.wait_with_output().expect("ends").stdout).expect("text");
            let hex = said
                .lines()
                .find_map(|l| l.to_lowercase().split_once("fingerprint=").map(|(_, f)| f.replace(':', "")));
            assert_eq!(hex.as_deref(), Some(fingerprint.as_str()), "{said}");
            assert!(said.contains("subject=CN=ann,O=Example\\, Inc."), "{said}");
        }
    }
    // Without a certificate, nothing is told, and nothing can be made up; over cleartext neither.
    let (_, status) = curl(&authority, server.address(), "/", &forged);
    assert_eq!(status, "200 2");
    let plain = "GET / HTTP/1.1\r\nHost: a.test\r\nX-Client-DN: CN=root\r\nX_Client-Cert: y\r\n\r\n";
    assert_eq!(Client::connect(server.addresses[1]).send(plain).read().expect("a response").status, 200);
    for request in &origin.requests()[2..] {
        assert_eq!(request.header("x-client-verify"), Some("NONE"));
        assert!(request.headers.iter().all(|(name, _)| !name.to_lowercase().contains("dn")), "{request:?}");
        assert!(
            request.headers.iter().all(|(name, _)| !name.to_lowercase().ends_with("cert")),
            "{request:?}"
        );
    }
    // Rules see the subject, and what the connection is.
    let mallory = shown(&authority, "mallory");
    for version in ["--http1.1", "--http2"] {
        let (_, status) =
            curl(&authority, server.address(), "/", &[&[version], &words(&mallory)[..]].concat());
        assert!(status.starts_with("406"), "{status}");
        let (_, status) = curl(&authority, server.address(), "/tls", &[version]);
        assert!(status.starts_with("418"), "{status}");
    }
    // One by another authority ends the handshake.
    let stranger = shown(&Authority::new(), "ann");
    let (_, status) = curl(&authority, server.address(), "/", &words(&stranger));
    assert_eq!(status, "000 0");
    assert!(server.seen.connection_failures(1).iter().all(|reason| *reason == "tls_handshake"));
}

#[test]
fn certificates_are_required_by_a_site_or_a_listener() {
    let authority = Authority::new();
    let origin = Origin::echo();
    let ann = shown(&authority, "ann");
    let by_site = Setup::new(origin.address, RULES)
        .config(|c| c.listeners = vec![support::server::with_tls(tls(&authority, false)), listener()])
        .site(|site| site.edge.client_certificate.required = true)
        .start();
    assert_eq!(curl(&authority, by_site.address(), "/", &[]).1, "403 2");
    assert_eq!(by_site.seen.finished(1)[0].trouble(), Some(&Trouble::NoCertificate));
    assert_eq!(curl(&authority, by_site.address(), "/", &words(&ann)).1, "200 2");
    assert_eq!(Client::connect(by_site.addresses[1]).send(get("/")).read().expect("a response").status, 403);

    let by_listener = Setup::new(origin.address, RULES)
        .config(|c| c.listeners = vec![support::server::with_tls(tls(&authority, true))])
        .start();
    assert_eq!(curl(&authority, by_listener.address(), "/", &["--http1.1"]).1, "000 0");
    assert_eq!(curl(&authority, by_listener.address(), "/", &words(&ann)).1, "200 2");
    assert_eq!(origin.heads(), 2);
}

#[test]
fn old_versions_of_tls_are_refused() {
    if !has("openssl") {
        return;
    }
    let authority = Authority::new();
    let origin = Origin::echo();
    let mut only_new = tls(&authority, false);
    only_new.only_1_3 = true;
    let server = Setup::new(origin.address, RULES)
        .config(|c| c.listeners = [tls(&authority, false), only_new].map(support::server::with_tls).into())
        .start();
    let handshake = |address: SocketAddr, version: &str| {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &address.to_string(), "-servername", "a.test", version])
            // Even where the system's settings would not let it try.
            .args(["-cipher", "ALL:@SECLEVEL=0", "-alpn", "h2,http/1.1", "-CAfile"])
            .arg(authority.path("ca.pem"))
            .args(["-verify_return_error"])
            .stdin(Stdio::null())
            .output()
            .expect("openssl runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success()
            && said.contains("ALPN protocol: h2")
            && said.contains("Verify return code: 0")
    };
    let [any, new] = server.addresses[..] else { panic!("two listeners") };
    for (version, by_any, by_new) in [
        ("-tls1", false, false),
        ("-tls1_1", false, false),
        ("-tls1_2", true, false),
        ("-tls1_3", true, true),
    ] {
        assert_eq!((handshake(any, version), handshake(new, version)), (by_any, by_new), "{version}");
    }
}

#[test]
fn cleartext_is_sent_to_https_and_told_to_stay_there() {
    let authority = Authority::new();
    let origin = Origin::fixed(
        "200 OK",
        &[
            ("Server", "old/1.0"),
            ("X-Powered-By", "age"),
            ("X-Frame-Options", "DENY"),
            ("Content-Type", "text/css"),
        ],
        b"fine".to_vec(),
    );
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let server = Setup::new(origin.address, RULES)
        .config(|c| {
            c.listeners = vec![support::server::with_tls(tls(&authority, false)), listener()];
            c.trusted_proxies = vec!["127.0.0.2/32".parse().expect("a network")];
        })
        .site(|site| {
            site.edge = Edge {
                redirect: Some(443),
                hsts: Some("max-age=31536000; includeSubDomains".to_owned()),
                response_headers: vec![
                    pair("X-Frame-Options", "SAMEORIGIN"),
                    pair("X-Content-Type-Options", "nosniff"),
                ],
                remove_response_headers: vec!["server".to_owned(), "X-Powered-By".to_owned()],
                client_certificate: ClientCertificate::default(),
            };
        })
        .start();
    let plain = server.addresses[1];
    for (target, host, location) in [
        ("/a/b?c=d", "a.test", "https://a.test/a/b?c=d"),
        ("/", "a.test:8080", "https://a.test/"),
        ("/%0d%0aSet-Cookie:%20x", "[::1]:80", "https://[::1]/%0d%0aSet-Cookie:%20x"),
        ("http://a.test?x", "a.test", "https://a.test/?x"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: https\r\n\r\n");
        let response = Client::connect(plain).send(request).read().expect("a response");
        assert_eq!((response.status, response.header("location")), (308, Some(location)), "{target}");
        assert_eq!(response.header("strict-transport-security"), None);
    }
    assert_eq!(origin.heads(), 0);
    let acme = Client::connect(plain).send(get("/.well-known/acme-challenge/x")).read().expect("a response");
    assert_eq!((acme.status, acme.header("strict-transport-security")), (200, None));

    for version in ["--http1.1", "--http2"] {
        let (text, _) = curl(&authority, server.address(), "/", &["--include", version]);
        let text = text.to_lowercase();
        assert!(
            text.contains("strict-transport-security: max-age=31536000; includesubdomains\r\n"),
            "{text}"
        );
        assert!(text.contains("x-frame-options: deny\r\n") && !text.contains("sameorigin"), "{text}");
        assert!(text.contains("x-content-type-options: nosniff\r\n"), "{text}");
        assert!(!text.contains("old/1.0") && !text.contains("x-powered-by"), "{text}");
    }
    // Also on pages of our own.
    let (text, _) = curl(&authority, server.address(), "/tls", &["--include", "--http1.1"]);
    assert!(text.contains("418") && text.to_lowercase().contains("strict-transport-security"), "{text}");
}

/// nginx in the foreground with one server; it is killed when this is dropped.
struct Nginx {
    process: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Nginx {
    fn start(server: &str) -> Self {
        let address = nobody();
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().display();
        let configuration = format!(
            "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;
             events {{}}
             http {{
                 access_log off; client_body_temp_path {path}/b; proxy_temp_path {path}/p; fastcgi_temp_path {path}/f;
                 uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;
                 server {{ listen {address} ssl http2; {server} }}
             }}"
        );
        std::fs::write(directory.path().join("nginx.conf"), configuration).expect("written");
        let process = Command::new("nginx")
            .arg("-c")
            .arg(directory.path().join("nginx.conf"))
            .args(["-e", "/dev/null"])
            .spawn()
            .expect("nginx runs");
        within(Duration::from_secs(10), "nginx", || TcpStream::connect(address).is_ok());
        Self { process, address, _directory: directory }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn nginx_as_an_upstream_verifies_us_and_is_verified() {
    if !has("nginx") {
        return;
    }
    let authority = Authority::new();
    let (certificate, key) = authority.sign("inner.test");
    let ca = authority.path("ca.pem");
    let nginx = Nginx::start(&format!(
        "server_name inner.test; ssl_certificate {}; ssl_certificate_key {}; ssl_client_certificate {};
         ssl_verify_client on;
         location / {{ return 200 \"$ssl_client_s_dn $ssl_server_name $server_protocol $host\"; }}",
        certificate.display(),
        key.display(),
        ca.display(),
    ));
    let (certificate, key) = authority.sign("gateway");
    let own = Identity { certificate, key };
    let stranger = Authority::new();
    let (certificate, key) = stranger.sign("gateway");
    let foreign = Identity { certificate, key };
    let upstream = |identity: Option<&Identity>, ca, sni: &str, http2| Upstream {
        tls: Some(UpstreamTls {
            verify: true,
            sni: sni.to_owned(),
            ca: Some(ca),
            identity: identity.cloned(),
        }),
        http2,
        ..to(nginx.address)
    };
    let ask = |upstream| -> (u16, String) {
        let server: Portcullis =
            Setup::new(nginx.address, RULES).site(|s| s.upstreams = vec![upstream]).start();
        let response = server.exchange(get("/"));
        (response.status, response.text())
    };
    for (http2, protocol) in [(UpstreamHttp2::Never, "HTTP/1.1"), (UpstreamHttp2::Offered, "HTTP/2.0")] {
        let (status, text) = ask(upstream(Some(&own), ca.clone(), "inner.test", http2));
        assert_eq!(
            (status, text),
            (200, format!("CN=gateway,O=Example\\, Inc. inner.test {protocol} a.test"))
        );
    }
    // nginx says so in HTTP.
    assert_eq!(ask(upstream(None, ca.clone(), "inner.test", UpstreamHttp2::Never)).0, 400);
    assert_eq!(ask(upstream(Some(&foreign), ca.clone(), "inner.test", UpstreamHttp2::Never)).0, 400);
    // And we do not talk to one whom we cannot verify.
    assert_eq!(ask(upstream(Some(&own), ca, "other.test", UpstreamHttp2::Never)).0, 502);
    assert_eq!(ask(upstream(Some(&own), stranger.path("ca.pem"), "inner.test", UpstreamHttp2::Never)).0, 502);
}

#[test]
fn events_flow_one_by_one_over_http2() {
    let authority = Authority::new();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::start(move |_, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        for _ in 0..3 {
            let _ = stream.write_all(b"9\r\ndata: 1\n\n\r\n");
            // The next one comes when this one has arrived, and not before.
            if wait.lock().expect("not poisoned").recv_timeout(Duration::from_secs(20)).is_err() {
                return false;
            }
        }
        stream.write_all(b"0\r\n\r\n").is_ok()
    });
    let server = Setup::new(origin.address, RULES)
        .config(|c| c.listeners = vec![support::server::with_tls(tls(&authority, false))])
        .start();
    let port = server.address().port();
    let mut curl = Command::new("curl")
        .args(["--silent", "--no-buffer", "--http2", "--max-time", "30", "--cacert"])
        .arg(authority.path("ca.pem"))
        .args(["--resolve", &format!("a.test:{port}:127.0.0.1"), &format!("https://a.test:{port}/events")])
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl runs");
    let mut output = curl.stdout.take().expect("piped");
    for _ in 0..3 {
        let mut event = [0; 9];
        output.read_exact(&mut event).expect("an event");
        assert_eq!(&event, b"data: 1\n\n");
        go_on.send(()).expect("the origin waits");
    }
    assert!(curl.wait().expect("ends").success());
}
