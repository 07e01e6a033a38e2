//! `@detectShell`: commands that a shell would find in a value, whatever quotes and expansions hide their names.
//!
//! [`word`] reads words as a POSIX shell does, [`name`] knows commands, [`detect`] looks for places where a command
//! could begin and weighs what stands there.

mod detect;
mod name;
mod word;

pub(super) use detect::shell;
