//! `@detectHtml`: markup that runs script in a page.
//!
//! [`tag`] reads a tag as browsers do, [`attribute`] judges what stands in it, [`escape`] looks for what leaves an
//! attribute of the page's own, and [`detect`] goes through a value.

mod attribute;
mod detect;
mod escape;
mod tag;

pub(super) use detect::html;
