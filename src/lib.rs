//! map follows
pub mod error;
pub mod types;
