//! The console's files. They are part of the binary, hold no data, and load nothing from elsewhere.

use super::reply::{self, Answer};
use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha1::{Digest, Sha1};
use std::sync::LazyLock;

/// A file.
pub(super) struct Asset {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($path:literal $kind:ident $file:literal;)*) => {
        const ASSETS: &[Asset] = &[
            $(Asset { path: $path, kind: $kind, bytes: include_bytes!(concat!("console/", $file)) },)*
        ];
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const WOFF2: &str = "font/woff2";

assets! {
    "/" HTML "index.html";
    "/console/console.css" CSS "console.css";
    "/console/icon.svg" SVG "icon.svg";
    "/console/inter.woff2" WOFF2 "fonts/inter.woff2";
    "/console/mono.woff2" WOFF2 "fonts/mono.woff2";
    "/console/main.js" JS "main.js";
    "/console/api.js" JS "api.js";
    "/console/bans.js" JS "bans.js";
    "/console/candidate.js" JS "candidate.js";
    "/console/chart.js" JS "chart.js";
    "/console/dom.js" JS "dom.js";
    "/console/overview.js" JS "overview.js";
    "/console/patches.js" JS "patches.js";
    "/console/posture.js" JS "posture.js";
    "/console/transaction.js" JS "transaction.js";
    "/console/transactions.js" JS "transactions.js";
    "/console/words.js" JS "words.js";
}

/// What the page may do: run and show what this listener serves, and ask its API. Nothing written into it by
/// whatever way would run: no script and no style but whole files, and no text that is read as HTML.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |asset: &Asset| {
        let hex: String = Sha1::digest(asset.bytes).iter().map(|b| format!("{b:02x}")).collect();
        format!("\"{hex}\"")
    };
    ASSETS.iter().map(tag).collect()
});

/// The file at `path`, and where it stands in the list.
pub(super) fn find(path: &str) -> Option<usize> {
    ASSETS.iter().position(|asset| asset.path == path)
}

/// Serves the file at `place`; nothing when the client has it already.
pub(super) fn serve(place: usize, headers: &HeaderMap) -> Answer {
    let (Some(asset), Some(tag)) = (ASSETS.get(place), TAGS.get(place)) else {
        return reply::problem(StatusCode::NOT_FOUND, "there is nothing here");
    };
    let known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let (status, body) =
        if known { (StatusCode::NOT_MODIFIED, &[][..]) } else { (StatusCode::OK, asset.bytes) };
    let mut answer = reply::bytes(status, asset.kind, body);
    let headers = answer.headers_mut();
    // Asked for again each time, so that a new binary shows at once.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(ETAG, tag);
    }
    headers.insert("content-security-policy", HeaderValue::from_static(POLICY));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page and its modules name only files that are there, and nothing of another host.
    #[test]
    fn files_name_files_that_are_there() {
        for asset in ASSETS.iter().filter(|asset| matches!(asset.kind, HTML | CSS | JS | SVG)) {
            let text = std::str::from_utf8(asset.bytes).expect("text");
            for piece in text.split(['"', '\'', '(', ')', ' ', '\n']) {
                if let Some(name) = piece.strip_prefix("./") {
                    assert!(find(&format!("/console/{name}")).is_some(), "{}: {piece}", asset.path);
                }
                if piece.starts_with("/console/") {
                    assert!(find(piece).is_some(), "{}: {piece}", asset.path);
                }
                let is_namespace = piece.starts_with("http://www.w3.org/");
                assert!(is_namespace || !piece.contains("://"), "{}: {piece}", asset.path);
            }
            for sink in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=\""]
            {
                assert!(!text.contains(sink), "{}: {sink}", asset.path);
            }
        }
    }
}
