//! map follows
pub mod emulator;
pub mod error;
pub mod types;
