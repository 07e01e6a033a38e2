//! Raw requests, curl commands, HAR files and nuclei templates → requests, for all commands that take one.

mod curl;
mod har;
mod kinds;
mod nuclei;
mod raw;
mod template;
mod words;

pub(in crate::cli) use kinds::{About, Source, SourceRequest, encode, open, read};
pub(in crate::cli) use template::UNKNOWN;

use kinds::{FormPart, host_of, multipart, of_file, path_of};
