//! A real browser: Debian's chromium without a window, driven over the WebDriver protocol (W3C), of which the few
//! commands that tests need stand here.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.try_call("DELETE", "", &json!({}));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Browser {
    pub fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let port = lines
            .find_map(|line| {
                line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok()
            })
            .expect("it tells its port");
        std::thread::spawn(move || lines.for_each(drop));
        let mut browser = Self { driver, port, session: String::new() };
        // It runs as root in containers, where its sandbox cannot; pages are the tests' own.
        // Names of hosts stand for this machine, and are no secure contexts, which its addresses are.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--lang=en-GB",
            "--host-resolver-rules=MAP *.test 127.0.0.1",
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let begun = browser.request("POST", "/session", &capabilities).expect("a session");
        browser.session = begun["sessionId"].as_str().expect("an id").to_owned();
        browser
    }

    pub fn go(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url }));
    }

    /// What a function body gives.
    pub fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Waits until an expression is true; what it looks at may not be there yet.
    pub fn until(&self, expression: &str) {
        let begun = Instant::now();
        let script = format!("try {{ return Boolean({expression}) }} catch {{ return false }}");
        while self.run(&script) != json!(true) {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "never: {expression}\n{}",
                self.run("return document.body.innerText")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Presses keys one after the other, in whatever has the focus.
    pub fn press(&self, keys: &str) {
        let each = |key: char| {
            let key = key.to_string();
            [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
        };
        let actions: Vec<Value> = keys.chars().flat_map(each).collect();
        let all = json!({"actions": [{"type": "key", "id": "keys", "actions": actions}]});
        self.call("POST", "/actions", &all);
    }

    /// A viewport of this size, with the system's theme dark or light.
    pub fn look(&self, width: u32, height: u32, theme: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let feature = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
        self.devtools("Emulation.setEmulatedMedia", &feature);
    }

    /// What is in the clipboard; pages of secure contexts may ask, once they are allowed to.
    pub fn clipboard(&self) -> String {
        self.devtools("Browser.grantPermissions", &json!({"permissions": ["clipboardReadWrite"]}));
        self.run("window.clipped = null; navigator.clipboard.readText().then((text) => { window.clipped = text }, (error) => { window.clipped = String(error) })");
        self.until("window.clipped !== null");
        self.run("return window.clipped").as_str().expect("a text").to_owned()
    }

    /// Whether the system asks for less motion.
    pub fn calm(&self, is_calm: bool) {
        let value = if is_calm { "reduce" } else { "" };
        let feature = json!({"features": [{"name": "prefers-reduced-motion", "value": value}]});
        self.devtools("Emulation.setEmulatedMedia", &feature);
    }

    /// Takes a picture of the viewport.
    pub fn picture(&self, path: &Path) {
        use base64::Engine as _;
        let picture = self.call("GET", "/screenshot", &json!({}));
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(picture.as_str().expect("a picture"))
            .expect("base64");
        assert!(bytes.len() > 10_000, "{}: {} bytes", path.display(), bytes.len());
        std::fs::write(path, bytes).expect("written");
    }

    /// What the console of the browser has said since the last call.
    pub fn said(&self) -> Vec<String> {
        let log = self.call("POST", "/se/log", &json!({"type": "browser"}));
        let entry = |e: &Value| format!("{}: {}", e["level"], e["message"]);
        log.as_array().expect("a list").iter().map(entry).collect()
    }

    fn devtools(&self, command: &str, parameters: &Value) {
        self.call("POST", "/goog/cdp/execute", &json!({"cmd": command, "params": parameters}));
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_call(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        self.request(method, &format!("/session/{}{path}", self.session), body)
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let told = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(told)?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).map_err(told)?;
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let head = format!("Host: localhost:{}\r\nContent-Type: application/json", self.port);
        write!(stream, "{method} {path} HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .map_err(told)?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).map_err(told)?;
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(|_| line.clone())?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut text = vec![0; length];
        reader.read_exact(&mut text).map_err(told)?;
        let answer: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        match answer["value"].get("error") {
            Some(error) => Err(format!("{error}: {}", answer["value"]["message"])),
            None => Ok(answer["value"].clone()),
        }
    }
}
