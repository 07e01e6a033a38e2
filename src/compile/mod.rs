//! The only bridge from rule text to rulesets: names, defaults, chains, updates, removals, lanes, and what there
//! is to say about a ruleset as a whole.
//!
//! Must not know transactions or anything that runs.

mod action;
mod action_set;
mod assign;
mod captures;
mod clause;
mod ctl;
mod draft;
mod embedded;
mod intern;
mod load;
mod operator;
mod posture;
mod prefilter;
mod program;
mod select;
mod settings;
mod sieve;
mod survey;
mod target;
mod template;
mod update;

pub use action::{ACTIONS, ActionKind, ActionRow, Value};
pub use ctl::{CTL_OPTIONS, CtlRow};
pub use embedded::EMBEDDED;
pub use load::{Input, Loaded, compile_document, load};
pub use posture::Posture;
pub use prefilter::Memo;
pub use survey::{Finding, Kind, Survey, Use, concerning};
