//! Behaviour, through real clients against a real server on a free port with the embedded endpoint behind it.

mod cancel;
mod catalog;
mod endpoint;
mod errors;
mod expressions;
mod failures;
mod fuzz;
mod fuzz_flight;
mod lexer;
mod memory;
mod policy;
mod prepared;
mod protocol;
mod readers;
mod replace;
mod results;
mod scheduling;
mod server;
mod statements;
mod stop;
mod types;
