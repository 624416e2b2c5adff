//! The AWS SDK: one set of clients, made once, and what its errors mean.

pub mod clients;
pub mod errors;

pub use clients::{AwsOptions, Clients};
pub use errors::AwsError;
