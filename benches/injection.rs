//! `@detectSQLi` alone: our detector and the crate `libinjectionrs`, on values of several kinds.

use libinjectionrs::{SqliFlags, SqliState};
use portcullis::operator::sqli;

fn main() {
    divan::main();
}

const VALUES: &[(&str, &str)] = &[
    ("word", "authorization"),
    ("number", "1732290000"),
    ("identifier", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
    ("media types", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    (
        "prose",
        "The quick brown fox jumps over the lazy dog and then, because it can, it goes on to see what is left.",
    ),
    (
        "quoted prose",
        "It's not what you'd call \"select\" company, but they're all from the union, so we don't drop it today.",
    ),
    ("attack", "-1' union/**/select user,password from users where id='1"),
];

fn values() -> impl Iterator<Item = &'static str> {
    VALUES.iter().map(|(name, _)| *name)
}

fn value(name: &str) -> &'static [u8] {
    VALUES.iter().find(|(known, _)| *known == name).expect("a value").1.as_bytes()
}

#[divan::bench(args = values())]
fn ours(bencher: divan::Bencher<'_, '_>, name: &str) {
    bencher.with_inputs(|| value(name)).bench_values(sqli::detect);
}

#[divan::bench(args = values())]
fn the_crate(bencher: divan::Bencher<'_, '_>, name: &str) {
    bencher.with_inputs(|| value(name)).bench_values(|v| SqliState::new(v, SqliFlags::FLAG_NONE).detect());
}
