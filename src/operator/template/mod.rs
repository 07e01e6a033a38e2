//! `@detectTemplate`: expressions that a template engine or an expression language on the server would evaluate, and
//! that do something there.
//!
//! [`delimiter`] knows how engines mark expressions, [`token`] takes an expression apart, [`frame`] weighs what stands in
//! one, by the names of [`name`], [`lookup`] undoes what Log4j's lookups make of letters, and [`detect`] goes through a
//! value once with a stack of the expressions that are open.

mod delimiter;
mod detect;
mod frame;
mod lookup;
mod name;
mod token;

pub(super) use detect::template;
