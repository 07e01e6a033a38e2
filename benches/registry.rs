//! Every transformation and every operator of the registries, on values of a few kinds: so that a regression of one of
//! them shows. `cargo bench --bench registry -- lowercase` measures those whose name has the word.

#[path = "linear/arguments.rs"]
mod arguments;
#[path = "support/fresh/random.rs"]
#[allow(dead_code)] // It is the other benchmarks' too.
mod random;

use arguments::{ARGUMENTS, Lists};
use portcullis::dialect::Status;
use portcullis::operator::{self, Found, NoLookup};
use portcullis::transform;
use random::Random;
use std::sync::LazyLock;

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

static VALUES: LazyLock<[(&str, Vec<u8>); 4]> = LazyLock::new(|| {
    let mut random = Random(7);
    let mut encoded = Vec::new();
    for byte in random.prose(700) {
        match byte {
            b' ' => encoded.push(b'+'),
            b'.' | b',' | b'?' | b'!' => encoded.extend(format!("%{byte:02X}").bytes()),
            _ => encoded.push(byte),
        }
    }
    encoded.resize(1_024, b'+');
    [
        ("word", b"authorization".to_vec()),
        ("prose of 150 B", random.prose(150)),
        ("URL-encoded, 1 KB", encoded),
        ("prose of 64 KB", random.prose(65_536)),
    ]
});

/// A row of a registry and a value. Rows of operators have an argument.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    argument: &'static str,
    value: &'static str,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.name, self.argument.escape_default(), self.value)
    }
}

impl Case {
    fn value(self) -> &'static [u8] {
        VALUES
            .iter()
            .find(|(name, _)| *name == self.value)
            .map(|(_, value)| value.as_slice())
            .unwrap_or_default()
    }

    /// This row on every value.
    fn each(name: &'static str, argument: &'static str) -> impl Iterator<Item = Case> {
        VALUES.iter().map(move |(value, _)| Case { name, argument, value })
    }
}

fn transformations() -> impl Iterator<Item = Case> {
    transform::all().iter().flat_map(|row| Case::each(row.name, ""))
}

fn operators() -> impl Iterator<Item = Case> {
    let rows = operator::all().iter().filter(|row| !matches!(row.status, Status::Refused(_)));
    rows.flat_map(|row| {
        let arguments: Vec<_> = ARGUMENTS.iter().filter(|(name, _)| *name == row.name).collect();
        assert!(!arguments.is_empty(), "@{} has no argument in benches/linear/arguments.rs", row.name);
        arguments.into_iter().flat_map(|(name, argument)| Case::each(name, argument))
    })
}

#[divan::bench(args = transformations(), sample_count = 200, max_time = 0.1)]
fn t(bencher: divan::Bencher<'_, '_>, case: Case) {
    let row = transform::find(case.name).expect("a row").row();
    let value = case.value();
    let mut out = Vec::new();
    bencher.counter(divan::counter::BytesCount::new(value.len())).bench_local(|| {
        out.clear();
        (row.apply)(value, &mut out)
    });
}

#[divan::bench(args = operators(), sample_count = 200, max_time = 0.1)]
fn op(bencher: divan::Bencher<'_, '_>, case: Case) {
    let row = operator::find(case.name).expect("a row");
    let operator = (row.build)(Some(case.argument), &Lists).expect("the argument suits the operator");
    let value = case.value();
    let mut found = Found::default();
    bencher.counter(divan::counter::BytesCount::new(value.len())).bench_local(|| {
        found.clear();
        operator.evaluate(value, case.argument.as_bytes(), &NoLookup, &mut found)
    });
}
