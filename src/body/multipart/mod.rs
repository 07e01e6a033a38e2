//! `multipart/form-data`: lines and boundaries ([`parser`]), parts ([`part`]), and what they leave ([`found`]).
//!
//! ModSecurity v3's reading is followed, but for three things which it gives away: what follows an error is read
//! on as well as it can be, since a body that no rule refuses reaches the application whole; a part without a name
//! is an argument with an empty name; and a last line without line end is not lost. File contents are counted,
//! never kept beyond what [`BodyLimits::file_content`](super::BodyLimits::file_content) says.

mod boundary;
mod disposition;
mod found;
mod mime;
mod parser;
mod part;

pub(super) use parser::MultipartParser;
