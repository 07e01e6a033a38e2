//! Portcullis: a reverse proxy and web application firewall that speaks SecLang and runs OWASP CRS.
//!
//! The crate has two flows, and each goes one way:
//!
//! ```text
//! rule text ──► syntax (AST, all errors with spans) ──► compile ──► ruleset (immutable, Arc)
//!                                                                       │
//! bytes ──► http, body ──► variable ──► transform ──► operator ──► engine ──► decision ──► proxy
//!                                                                       └──► events ──► audit, telemetry
//! ```
//!
//! The modules stand here in the order of their dependencies: each may use those above it and none below it;
//! `tests/architecture.rs` holds that true. Everything down to [`tune`] is the engine: synchronous, without
//! I/O, clock, logging or metrics of its own. [`config`] has a feature of its name, and what follows it needs the
//! feature `server` (on by default).

pub mod source;

pub mod limits;

pub mod dialect;

pub mod syntax;

pub mod percent;

pub mod http;

pub mod body;

pub mod transform;

pub mod operator;

pub mod variable;

pub mod ruleset;

pub mod compile;

pub mod engine;

pub mod audit;

pub mod explain;

pub mod tune;

#[cfg(feature = "config")]
pub mod config;

#[cfg(feature = "server")]
pub mod telemetry;

#[cfg(feature = "server")]
pub mod store;

#[cfg(feature = "server")]
pub mod admission;

#[cfg(feature = "server")]
pub mod reload;

#[cfg(feature = "server")]
pub mod proxy;

#[cfg(feature = "server")]
pub mod admin;

#[cfg(feature = "server")]
pub mod cli;
