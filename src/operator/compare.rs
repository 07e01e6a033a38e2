//! Numbers: `@eq`, `@ge`, `@gt`, `@le`, `@lt`.
//!
//! Both sides are read as ModSecurity v3 does it, which is C's way: white space, a sign, digits; what follows is
//! ignored, and where there is no number it is 0. A number beyond 64 bits counts as the largest one; ModSecurity
//! takes what does not fit 32 bits for 0, by which a long `Content-Length` would pass `@gt`.

use super::contract::{Built, Found, Lookup, Operator, Outcome, Resources};
use std::cmp::Ordering;
use std::sync::Arc;

#[derive(Debug)]
struct Compare {
    with: Option<i64>,
    holds: fn(Ordering) -> bool,
}

impl Operator for Compare {
    fn evaluate(&self, input: &[u8], argument: &[u8], _: &dyn Lookup, _: &mut Found) -> Outcome {
        let with = self.with.unwrap_or_else(|| number(argument));
        (self.holds)(number(input).cmp(&with)).into()
    }
}

fn build(argument: Option<&str>, holds: fn(Ordering) -> bool) -> Built {
    Ok(Arc::new(Compare { with: argument.map(|a| number(a.as_bytes())), holds }))
}

pub(super) fn eq(argument: Option<&str>, _: &dyn Resources) -> Built {
    build(argument, Ordering::is_eq)
}

pub(super) fn ge(argument: Option<&str>, _: &dyn Resources) -> Built {
    build(argument, Ordering::is_ge)
}

pub(super) fn gt(argument: Option<&str>, _: &dyn Resources) -> Built {
    build(argument, Ordering::is_gt)
}

pub(super) fn le(argument: Option<&str>, _: &dyn Resources) -> Built {
    build(argument, Ordering::is_le)
}

pub(super) fn lt(argument: Option<&str>, _: &dyn Resources) -> Built {
    build(argument, Ordering::is_lt)
}

fn number(text: &[u8]) -> i64 {
    let start = text.iter().position(|b| !matches!(b, b' ' | b'\t'..=b'\r')).unwrap_or(text.len());
    let text = text.get(start..).unwrap_or_default();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    digits.iter().take_while(|b| b.is_ascii_digit()).fold(0i64, |n, digit| {
        let digit = i64::from(digit - b'0');
        let n = n.saturating_mul(10);
        if negative { n.saturating_sub(digit) } else { n.saturating_add(digit) }
    })
}
