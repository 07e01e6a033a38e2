//! Rule text → AST. Collects all errors, changes nothing else, and knows no variable, operator or action by
//! name: whether a name exists is [`crate::compile`]'s business.

pub mod ast;
pub mod diagnostic;
pub mod print;
pub mod seclang;
pub mod yaml;
