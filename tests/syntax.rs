//! The front ends as their users see them: real rulesets, faulty text, arbitrary bytes.

#[path = "suite/syntax/rulesets.rs"]
mod rulesets;
#[path = "suite/syntax/support.rs"]
mod support;
