//! A runner of go-ftw test files, the format in which CRS keeps its regression suite.
//!
//! [`load`] reads the files, [`request_bytes`] builds what goes over the wire byte for byte as go-ftw does, a
//! [`Target`] answers ([`InProcess`] or [`Live`]), [`run()`] judges and [`Summary`] tells. It must know nothing of
//! particular rules.

mod albedo;
mod expect;
mod in_process;
mod live;
mod log;
mod native;
mod request;
mod run;
mod schema;
mod summary;
mod wire;

pub use albedo::{Albedo, Reply, respond};
pub use in_process::{Feed, InProcess};
pub use live::{AuditFile, Live, LogSource, Records};
pub use log::Seen;
pub use native::{run_native, transact_native};
pub use request::request_bytes;
pub use run::{Case, CaseResult, Selection, Stage, StageResult, Target, run};
pub use schema::{Input, LoadError, Log, Output, Test, TestFile, TestStage, files, load};
pub use summary::{Group, Summary};
pub use wire::Answer;
