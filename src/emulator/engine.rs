//! wip
mod aggregates;
mod arithmetic;
mod cast;
mod catalog;
mod errors;
mod functions;
mod scanned;
pub mod session;
mod table;
mod text;
mod typecheck;
mod types;
mod view;
