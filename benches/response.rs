//! What the body of a response costs: phases 3 and 4 under CRS over ordinary HTML of 10 KB, 100 KB and 1 MB, against
//! the same without `SecResponseBodyAccess`. CPU time of the thread, medians of passes that take turns; no page comes
//! twice.

#![allow(clippy::print_stdout)]

mod support;

use portcullis::engine::{NoWorld, Options, Transaction};
use portcullis::ruleset::Ruleset;
use std::sync::Arc;
use std::time::Duration;
use support::fresh::Random;
use support::told::{median, micros, result, time};
use support::{inputs_with, is_there, load};

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The most that a page of 10 KB may add.
const PAGE_US: f64 = 40.0;
/// The most that ten times the page may take, in what the page took.
const GROWTH: f64 = 12.0;
const SIZES: [(usize, usize); 3] = [(10_000, 301), (100_000, 61), (1_000_000, 15)];

fn main() {
    if !is_there() {
        return;
    }
    let with = load(&inputs_with(
        1,
        "SecResponseBodyAccess On\nSecResponseBodyMimeType text/html\nSecResponseBodyLimit 100000000\n",
    ));
    let without = load(&inputs_with(1, ""));
    let mut random = Random(5);
    let mut added = Vec::new();
    for (size, passes) in SIZES {
        let (mut more, mut less) = (Vec::new(), Vec::new());
        let mut hits = 0;
        for _ in 0..passes {
            let page = page(size, &mut random);
            less.push(respond(&without, &page).0);
            let (taken, matched) = respond(&with, &page);
            more.push(taken);
            hits += matched;
        }
        let (more, less) = (median(&more), median(&less));
        println!(
            "{:>5} KB: {:.1} µs with, {:.1} µs without, {:.1} ns more for each byte, {hits} rules matched",
            size / 1_000,
            micros(more),
            micros(less),
            more.saturating_sub(less).as_nanos() as f64 / size as f64
        );
        added.push(micros(more.saturating_sub(less)));
    }
    println!();
    result("response.page", added[0], "µs", PAGE_US, "phases 3 and 4 over 10 KB of HTML, more than without");
    result("response.growth.100KB", added[1] / added[0], "times", GROWTH, "100 KB of HTML against 10 KB");
    result("response.growth.1MB", added[2] / added[1], "times", GROWTH, "1 MB of HTML against 100 KB");
}

/// The time that the response takes, and how many rules matched.
fn respond(ruleset: &Arc<Ruleset>, page: &[u8]) -> (Duration, usize) {
    let options = Options { id: "0000000000000000".into(), mode: None, world: Arc::new(NoWorld) };
    let mut tx = Transaction::new(Arc::clone(ruleset), options);
    tx.process_connection(([192, 0, 2, 1], 40_000).into(), ([192, 0, 2, 2], 80).into());
    tx.process_uri(b"GET", b"/catalog/shoes", b"HTTP/1.1");
    for (name, value) in [
        ("Host", "www.example.com"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"),
        ("Accept", "text/html"),
    ] {
        tx.add_request_header(name.as_bytes(), value.as_bytes());
    }
    let _ = tx.process_request_headers();
    let _ = tx.process_request_body();
    let length = page.len().to_string();
    for (name, value) in [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", &length),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ] {
        tx.add_response_header(name.as_bytes(), value.as_bytes());
    }
    let taken = time(|| {
        let _ = tx.process_response_headers(200, b"HTTP/1.1");
        if tx.response_body_wanted() {
            // As a network gives it.
            for chunk in page.chunks(16 << 10) {
                let _ = tx.append_response_body(chunk);
            }
        }
        let _ = tx.process_response_body();
    });
    (taken, tx.process_logging(200).rules.len())
}

/// A page such as applications make: head, headings, paragraphs, links, lists and images.
fn page(size: usize, random: &mut Random) -> Vec<u8> {
    let mut out = b"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>".to_vec();
    out.extend(random.prose(30));
    out.extend_from_slice(
        b"</title>\n<link rel=\"stylesheet\" href=\"/static/site.css\">\n<script src=\"/static/site.js\" defer></script>\n\
          </head>\n<body class=\"catalog\">\n",
    );
    while out.len() < size {
        let number = random.below(100_000);
        let (open, length, close) = match random.below(6) {
            0 => (format!("<h2 id=\"section-{number}\">"), 30, "</h2>\n"),
            1 => (
                format!(
                    "<ul class=\"list\">\n  <li><a href=\"/catalog/item/{number}?page=2&amp;sort=price\">"
                ),
                20,
                "</a></li>\n</ul>\n",
            ),
            2 => (
                format!(
                    "<div class=\"card\" data-id=\"{number}\">\n  <img src=\"/img/{number}.webp\" alt=\""
                ),
                25,
                "\" width=\"320\" height=\"200\">\n</div>\n",
            ),
            3 => {
                (format!("<tr><td>{number}</td><td>&euro; {}.99</td><td>", number % 100), 40, "</td></tr>\n")
            }
            _ => ("<p>".to_owned(), 350, "</p>\n"),
        };
        out.extend_from_slice(open.as_bytes());
        out.extend(random.prose(length));
        out.extend_from_slice(close.as_bytes());
    }
    out.truncate(size.saturating_sub(b"</body>\n</html>\n".len()));
    out.extend_from_slice(b"</body>\n</html>\n");
    out
}
