//! Rule text → AST. Collects all errors, changes nothing else, and knows no operator, transformation or action by
//! name: whether a name exists is [`crate::compile`]'s business. (Native YAML knows from which phase on variables
//! have values, so that nobody needs to write it down.)

pub mod ast;
pub mod convert;
pub mod diagnostic;
mod load;
mod normal;
pub mod print;
pub mod seclang;
pub mod yaml;

pub use load::{parse_file, parse_text};
pub use normal::alike;
