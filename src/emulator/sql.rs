//! Athena's SQL: text → what to do.
//!
//! | module | says |
//! | --- | --- |
//! | [`tokens`], [`literals`] | a statement as sqlparser's tokens, lexed as Trino does |
//! | [`dialect`] | how sqlparser should read Athena's SELECT; its syntax errors in Trino's words |
//! | [`cursor`] | a place in the tokens of a statement that sqlparser does not read |
//! | [`parameters`] | `?` → the values of ExecutionParameters |
//! | [`statement`] | which statement it is, with its parts |
//! | [`ddl`], [`alter`] | CREATE, DROP, SHOW, DESCRIBE, MSCK; ALTER |
//! | [`mod@write`] | CREATE TABLE AS, INSERT, UNLOAD |
//! | [`prepared`] | PREPARE, EXECUTE, DEALLOCATE |
//! | [`rewrite`] | a SELECT as Trino means it → the same as DataFusion understands it |
//! | [`functions`] | the functions there are, and what each becomes |

pub mod alter;
pub mod cursor;
mod ddl;
pub mod dialect;
pub mod functions;
mod literals;
mod parameters;
pub mod prepared;
pub mod rewrite;
pub mod statement;
pub mod tokens;
pub mod write;

pub use statement::{Statement, parse};
