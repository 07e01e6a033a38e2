//! The walk through a value.

use super::super::contract::{Built, Found, Lookup, Operator, Outcome, Resources};
use super::delimiter::{self, Kind, OPENERS};
use super::frame::{Frame, Verdict};
use super::token::{Token, token};
use crate::transform::ByteSet;
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::Arc;

/// `@detectTemplate`.
pub(in crate::operator) fn template(_: Option<&str>, _: &dyn Resources) -> Built {
    Ok(Arc::new(Template))
}

/// `TX.0` is the expression with its delimiters.
#[derive(Debug)]
struct Template;

impl Operator for Template {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        detect(input).map(|range| found.whole(range)).is_some().into()
    }

    fn literals(&self) -> Option<Vec<Vec<u8>>> {
        Some(OPENERS.iter().map(|opener| opener.as_bytes().to_vec()).collect())
    }
}

/// The first bytes of openers.
const STARTERS: ByteSet = ByteSet::of(b"{$#%*~@<[");
/// Expressions in expressions that are followed.
const DEEPEST: usize = 16;
/// Bytes of an expression; a longer one is given up, but what is open inside of it is looked at by itself.
const LONGEST: usize = 4096;
/// Bytes and line ends from which on a value is a document, which may explain templates.
const DOCUMENT: usize = 400;
const LINES: usize = 3;
/// Bytes that may stand about an expression which is the whole value otherwise.
const MARGIN: usize = 24;

/// The first expression in `value` that is an attack. Each byte is looked at a bounded number of times.
fn detect(value: &[u8]) -> Option<Range<usize>> {
    let mut stack: SmallVec<[Frame; 2]> = SmallVec::new();
    let mut edges = None;
    let mut at = 0;
    while at < value.len() {
        if stack.is_empty() {
            at = STARTERS.find(value, at)?;
        }
        if let Some((kind, body)) = delimiter::open(value, at) {
            if stack.len() >= DEEPEST {
                stack.clear();
            }
            stack.push(Frame::new(kind, at));
            at = body;
            continue;
        }
        let Some(frame) = stack.last_mut() else {
            at += 1;
            continue;
        };
        if at - frame.start > LONGEST {
            stack.clear();
            continue;
        }
        if frame.nested == 0
            && let Some(length) = frame.kind.close(value, at)
        {
            let range = frame.start..at + length;
            if counts(frame.verdict(), value, &range, &mut edges) {
                return Some(range);
            }
            close(&mut stack, range.clone());
            at = range.end;
            continue;
        }
        at = step(frame, value, at);
    }
    // What asks a directory is one even where the end has been cut off.
    stack.into_iter().find(|f| f.kind == Kind::Dollar && f.flat.is_jndi()).map(|f| f.start..value.len())
}

/// Takes what stands at `at` into the expression: where it ends.
fn step(frame: &mut Frame, value: &[u8], at: usize) -> usize {
    let end = match token(value, at) {
        _ if value.get(at).is_none_or(u8::is_ascii_whitespace) => at + 1,
        None => at + 1,
        Some((token, end)) => {
            match token {
                Token::Open(byte) if frame.kind.nests(byte) => frame.nested = frame.nested.saturating_add(1),
                Token::Close(byte) if frame.kind.nests(byte) => frame.nested = frame.nested.saturating_sub(1),
                _ => {}
            }
            frame.take(value, &token, at..end);
            end
        }
    };
    if frame.kind == Kind::Dollar {
        frame.flat.push(value.get(at..end).unwrap_or_default());
    }
    end
}

/// Ends the innermost expression, which was nothing by itself, and tells the one around it.
fn close(stack: &mut SmallVec<[Frame; 2]>, range: Range<usize>) {
    let Some(inner) = stack.pop() else { return };
    let Some(outer) = stack.last_mut() else { return };
    if let (Kind::Dollar, Kind::Dollar, Some(text)) = (inner.kind, outer.kind, inner.flat.resolved()) {
        outer.flat.push(&text);
    }
    outer.take_inner(range);
}

/// Whether an expression that comes to `verdict` is an attack where it stands.
fn counts(verdict: Verdict, value: &[u8], range: &Range<usize>, edges: &mut Option<Range<usize>>) -> bool {
    match verdict {
        Verdict::Ordinary => false,
        Verdict::Active => true,
        Verdict::Probe => !is_document(value),
        Verdict::Alone => is_alone(value, range, edges.get_or_insert_with(|| edges_of(value))),
    }
}

/// Whether a value may explain templates.
fn is_document(value: &[u8]) -> bool {
    value.len() > DOCUMENT || value.iter().filter(|b| **b == b'\n').count() >= LINES
}

/// The value without white space about it.
fn edges_of(value: &[u8]) -> Range<usize> {
    let start = value.len() - value.trim_ascii_start().len();
    start..start + value.trim_ascii().len()
}

/// Whether hardly anything stands about the expression.
fn is_alone(value: &[u8], range: &Range<usize>, edges: &Range<usize>) -> bool {
    let margin = edges.len().saturating_sub(range.len());
    let about = |part: Range<usize>| value.get(part).unwrap_or_default();
    margin <= MARGIN
        && !about(edges.start..range.start)
            .trim_ascii_end()
            .iter()
            .chain(about(range.end..edges.end).trim_ascii_start())
            .any(u8::is_ascii_whitespace)
}
