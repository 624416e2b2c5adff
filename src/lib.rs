//! athena-flight: Arrow Flight SQL in front of Amazon Athena.
//!
//! The crate in the order a request goes through it; `ARCHITECTURE.md` has the reasons and the invariants.
//!
//! | module | says |
//! | --- | --- |
//! | [`cli`] | `serve`, `emulator`, `query`, `check`, `policy`, …: one file a subcommand |
//! | [`config`] | options from file, environment and flags, checked together |
//! | [`telemetry`] | logs |
//! | [`flight`] | Flight SQL, the only place that knows gRPC |
//! | [`signin`] | who calls: passwords, tokens, JWTs, certificates, AWS keys |
//! | [`access`] | rules: what a principal works as and may do |
//! | [`session`] | what a statement is run with: where names are looked up, how rows are wanted |
//! | [`gateway`] | run, describe, fetch, ingest, cancel: without a word of gRPC |
//! | [`owner`] | whose something is, for fair shares |
//! | [`catalog`] | catalogs, databases, tables from Glue and Athena, cached |
//! | [`statement`] | a statement told apart, given values, started, waited for, stopped, described |
//! | [`sql`] | SQL as Athena reads it: text → tokens |
//! | [`ingest`] | a stream of Arrow batches → rows of a table |
//! | [`results`] | a finished query's rows as Arrow batches |
//! | [`check`] | the connection to AWS, step by step, with what to do about each fault |
//! | [`policy`] | what AWS has to allow for that |
//! | [`memory`] | what all results and ingests share, and who gives way when it is short |
//! | [`types`] | Athena's types: spellings, Arrow types, text values |
//! | [`aws`] | SDK clients, and what their errors mean |
//! | [`error`] | the kinds of failure the whole crate agrees on |
//! | [`emulator`] | the embedded endpoint: Athena, Glue, Lake Formation, STS and S3 over local files |

// The maps at the head of modules name what is inside, private or not: they are for those who read the source.
#![allow(rustdoc::private_intra_doc_links)]

pub mod access;
pub mod aws;
pub mod catalog;
pub mod check;
pub mod cli;
pub mod config;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod error;
pub mod flight;
pub mod gateway;
pub mod ingest;
pub mod memory;
pub mod owner;
pub mod policy;
pub mod results;
pub mod session;
pub mod signin;
pub mod sql;
pub mod statement;
pub mod telemetry;
pub mod types;
