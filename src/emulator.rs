//! wip
pub mod api;
mod engine;
mod failure;
mod glue;
pub mod model;
mod sql;
mod store;
mod sts;

pub struct Emulator { pub store: store::Store }
