//! Behaviour, through real clients against a real server on a free port with the embedded endpoint behind it.

mod catalog;
mod endpoint;
mod errors;
mod readers;
mod server;
mod stop;
mod types;
