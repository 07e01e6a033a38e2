//! The ways out for audit records: one thread for each sink, with a queue between it and the thread that makes
//! records. It must not know what a record is: it moves lines.

mod http;
mod place;
mod queue;
mod syslog;
mod tls;
mod worker;

pub(super) use queue::{Line, Queue};
pub(super) use syslog::HEADER as SYSLOG_HEADER;
pub(super) use worker::start;
