//! By which layers of encoding a match was reached: for records and explanations, after a rule has matched.

use super::lanes::LaneValue;
use super::transaction::Transaction;
use super::values::ValueId;
use crate::limits;
use crate::operator::{Found, NoLookup, Outcome};
use crate::ruleset::{Matcher, RuleIndex, Ruleset, Scan};
use crate::transform::{Decodes, Decoding};

impl Transaction {
    /// The layers of encoding that the transformations of `link` undid, until its operator matched what was left, or as
    /// far as they went where that cannot be asked. Empty when the value matched as it came, or is longer than
    /// [`limits::DECODED_VALUE_BYTES`].
    pub(super) fn decoded(
        &mut self,
        ruleset: &Ruleset,
        link: RuleIndex,
        at: LaneValue,
        value: ValueId,
    ) -> Vec<Decoding> {
        let Matcher::Scan(scan) = &ruleset.rule(link).matcher else { return Vec::new() };
        let chain = ruleset.chain(scan.steps.unwrap_or(ruleset.lane(scan.lane).chain));
        let decodes = |column: &u8| {
            let step = ruleset.steps.get(usize::from(*column));
            step.map_or(Decodes::Nothing, |step| step.transform.row().decodes)
        };
        let is_long = self.values.get(at.raw).len() > limits::DECODED_VALUE_BYTES;
        if at.count || is_long || !self.is_decoded(ruleset, at.raw, chain, decodes) {
            return Vec::new();
        }
        let seen = self.values.get(value).to_vec();
        let mut layers = Vec::new();
        let mut text = self.values.get(at.raw).to_vec();
        if shows(scan, &text) {
            return layers;
        }
        let mut last = at.raw;
        for column in chain {
            // `multiMatch` asks between two steps.
            if scan.steps.is_some() && text == seen {
                break;
            }
            last = self.values.step(ruleset, last, *column);
            if !self.values.changed {
                continue;
            }
            let after = self.values.get(last).to_vec();
            match decodes(column) {
                Decodes::Nothing => {}
                Decodes::Once(encoding) => layers.push(encoding),
                Decodes::Layers(peel) => {
                    while text != after && layers.len() < LAYERS {
                        let mut next = Vec::new();
                        let layer = peel(&text, &mut next);
                        if layer.is_empty() {
                            break;
                        }
                        layers.push(layer);
                        if next != after && shows(scan, &next) {
                            return layers;
                        }
                        text = next;
                    }
                }
            }
            if shows(scan, &after) {
                break;
            }
            text = after;
        }
        layers
    }

    /// Whether a step of `chain` that decodes changes the value on its way. The results are known already.
    fn is_decoded(
        &mut self,
        ruleset: &Ruleset,
        raw: ValueId,
        chain: &[u8],
        decodes: impl Fn(&u8) -> Decodes,
    ) -> bool {
        let mut last = raw;
        chain.iter().any(|column| {
            last = self.values.step(ruleset, last, *column);
            self.values.changed && !matches!(decodes(column), Decodes::Nothing)
        })
    }
}

/// Layers that are told.
const LAYERS: usize = 12;

/// Whether the operator matches `value`. `false` where its answer is not a matter of the value alone.
fn shows(scan: &Scan, value: &[u8]) -> bool {
    if scan.negated || scan.argument.is_some() || !scan.operator.is_pure() {
        return false;
    }
    let mut found = Found { only_answer: true, ..Found::default() };
    scan.operator.evaluate(value, b"", &NoLookup, &mut found) == Outcome::Match
}
