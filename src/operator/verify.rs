//! Numbers with check digits: `@verifyCC`, `@verifyCPF`, `@verifySSN`, `@verifySVNR`, `@validateNid`.
//!
//! A regular expression finds candidates, a rule of arithmetic decides. Candidates may overlap: after one that
//! fails, the search goes on one byte behind its beginning, as in ModSecurity. Unlike ModSecurity's last three,
//! each search sees what stands before it, so that `^` and `\b` mean what they say.

use super::contract::{BuildError, Built, Found, Lookup, Operator, Outcome, Resources};
use super::program::{Exceeded, Program};
use std::ops::Range;
use std::sync::Arc;

/// `@verifyCC pattern`.
pub(super) fn credit_card(argument: Option<&str>, _: &dyn Resources) -> Built {
    build(argument.unwrap_or_default(), luhn)
}

/// `@verifyCPF pattern`.
pub(super) fn cpf(argument: Option<&str>, _: &dyn Resources) -> Built {
    build(argument.unwrap_or_default(), is_cpf)
}

/// `@verifySSN pattern`.
pub(super) fn ssn(argument: Option<&str>, _: &dyn Resources) -> Built {
    build(argument.unwrap_or_default(), is_ssn)
}

/// `@verifySVNR pattern`.
pub(super) fn svnr(argument: Option<&str>, _: &dyn Resources) -> Built {
    build(argument.unwrap_or_default(), is_svnr)
}

/// `@validateNid cl pattern`.
pub(super) fn nid(argument: Option<&str>, _: &dyn Resources) -> Built {
    let argument = argument.unwrap_or_default();
    let help = "write the country, `cl` or `us`, then a pattern";
    let Some((country, pattern)) = argument.split_once(' ') else {
        return Err(BuildError::new("a country and a pattern are wanted").help(help));
    };
    let valid = match country {
        "cl" => is_rut,
        "us" => is_ssn,
        _ => {
            return Err(BuildError {
                message: format!("national identifiers of `{country}` are not known"),
                help: Some(help.to_owned()),
                at: Some(0..country.len()),
            });
        }
    };
    build(pattern, valid).map_err(|e| {
        let shift = country.len() + 1;
        BuildError { at: e.at.map(|at| at.start + shift..at.end + shift), ..e }
    })
}

fn build(pattern: &str, valid: fn(&[u8]) -> bool) -> Built {
    if pattern.is_empty() {
        return Err(BuildError::new("a pattern that finds candidates is missing"));
    }
    Ok(Arc::new(Verify { program: Program::shared(pattern.as_bytes())?, valid }))
}

#[derive(Debug)]
struct Verify {
    program: Arc<Program>,
    valid: fn(&[u8]) -> bool,
}

impl Operator for Verify {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        match self.first(input) {
            Err(Exceeded) => Outcome::Exceeded,
            Ok(None) => Outcome::NoMatch,
            Ok(Some(range)) => {
                found.whole(range);
                Outcome::Match
            }
        }
    }

    fn backtracks(&self) -> bool {
        self.program.backtracks()
    }
}

impl Verify {
    fn first(&self, input: &[u8]) -> Result<Option<Range<usize>>, Exceeded> {
        // Overlapping candidates would be quadratic in a value made of digits, so what is looked at again and
        // again has a bound: a multiple of the input that no list of real numbers comes near.
        let mut budget = input.len().saturating_mul(REREAD).saturating_add(MIN_BUDGET);
        let mut from = 0;
        while from < input.len() {
            let Some(range) = self.program.find(input, from)? else { break };
            if (self.valid)(input.get(range.clone()).unwrap_or_default()) {
                return Ok(Some(range));
            }
            budget = budget.checked_sub(range.end.saturating_sub(from)).ok_or(Exceeded)?;
            from = range.start + 1;
        }
        Ok(None)
    }
}

/// The decimal digits of `text`, as numbers.
fn digits(text: &[u8]) -> impl DoubleEndedIterator<Item = u32> {
    text.iter().filter(|b| b.is_ascii_digit()).map(|b| u32::from(b - b'0'))
}

/// The first `N` digits, if there are so many.
fn first_digits<const N: usize>(text: &[u8]) -> Option<[u32; N]> {
    let mut first = [0; N];
    let mut count = 0;
    for (slot, digit) in first.iter_mut().zip(digits(text)) {
        *slot = digit;
        count += 1;
    }
    (count == N).then_some(first)
}

fn all_equal(digits: &[u32]) -> bool {
    digits.windows(2).all(|pair| pair[0] == pair[1])
}

/// ISO/IEC 7812-1, annex B: from the right, every second digit counts double.
fn luhn(text: &[u8]) -> bool {
    let (mut sum, mut count) = (0u32, 0usize);
    for (index, digit) in digits(text).rev().enumerate() {
        let weighted = if index % 2 == 1 { digit * 2 } else { digit };
        sum = (sum + weighted / 10 + weighted % 10) % 10;
        count += 1;
    }
    count > 0 && sum == 0
}

/// Brazil's natural persons register: eleven digits, the last two of which check the others.
fn is_cpf(text: &[u8]) -> bool {
    let Some(number) = first_digits::<11>(text) else { return false };
    if all_equal(&number) || number == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0] {
        return false;
    }
    let check = |length: usize| {
        let weights = (2..).take(length).collect::<Vec<u32>>().into_iter().rev();
        let rest = number.iter().zip(weights).map(|(digit, weight)| digit * weight).sum::<u32>() % 11;
        if rest < 2 { 0 } else { 11 - rest }
    };
    number[9] == check(9) && number[10] == check(10)
}

/// United States social security numbers: nine digits, no field zero, no area that was never given out.
fn is_ssn(text: &[u8]) -> bool {
    let Some(number) = first_digits::<9>(text) else { return false };
    if digits(text).count() != 9 || all_equal(&number) || number.windows(2).all(|p| p[0] + 1 == p[1]) {
        return false;
    }
    let field = |range: Range<usize>| number[range].iter().fold(0, |n, digit| n * 10 + digit);
    let (area, group, serial) = (field(0..3), field(3..5), field(5..9));
    area != 0 && area != 666 && area < 740 && group != 0 && serial != 0
}

/// Austrian social security numbers: ten digits, the fourth of which checks the others.
fn is_svnr(text: &[u8]) -> bool {
    let Some(number) = first_digits::<10>(text) else { return false };
    let sequences = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]];
    if all_equal(&number) || sequences.contains(&number) {
        return false;
    }
    const WEIGHTS: [u32; 10] = [3, 7, 9, 0, 5, 8, 4, 2, 1, 6];
    let sum = number.iter().zip(WEIGHTS).map(|(digit, weight)| digit * weight).sum::<u32>() % 11;
    sum % 10 == number[3]
}

/// Chile's RUT: digits, then a check digit modulo 11 in which `K` is ten.
fn is_rut(text: &[u8]) -> bool {
    let mut number: Vec<u8> = text.to_ascii_lowercase();
    number.retain(|b| b.is_ascii_digit() || *b == b'k');
    if number.len() < 8 {
        return false;
    }
    let Some((check, body)) = number.split_last() else { return false };
    if body.contains(&b'k') {
        return false;
    }
    let weights = (2..=7u32).cycle();
    let sum = body.iter().rev().zip(weights).fold(0u32, |sum, (b, w)| (sum + u32::from(b - b'0') * w) % 11);
    *check
        == match (11 - sum) % 11 {
            10 => b'k',
            rest => b'0' + u8::try_from(rest).unwrap_or_default(),
        }
}

/// How often each byte may be looked at in overlapping candidates, on average.
const REREAD: usize = 64;
const MIN_BUDGET: usize = 1 << 16;
