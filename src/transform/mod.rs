//! Transformations: one row each in `registry`, bytes to bytes.
//!
//! This module must not know rules, variables or transactions. ModSecurity v3 decides what a transformation does;
//! where a row departs from it on purpose, its documentation says so and why.

mod base64;
mod byte_set;
mod case;
mod command;
mod comments;
mod decoding;
mod effect;
mod escape;
mod hash;
mod hex;
mod html;
mod layers;
mod marks;
mod nulls;
mod parity;
mod patch;
mod path;
mod php;
mod registry;
mod unicode_map;
mod url;
mod utf8;
mod whitespace;

pub use byte_set::ByteSet;
pub use decoding::{Decodes, Decoding};
pub use effect::{Made, RUNS};
pub use marks::Marks;
pub use registry::{TransformId, Transformation, Trigger, all, find};
pub use unicode_map::{UnicodeMap, UnicodeMapError};
pub use url::url_decode_uni_with;
