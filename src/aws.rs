//! The AWS SDK: one set of clients for each name the gateway works in, and what its errors mean.
//!
//! | module | says |
//! | --- | --- |
//! | [`options`] | where AWS is, and who the gateway is there |
//! | [`clients`] | the clients made of them |
//! | [`roles`] | credentials of assumed roles, renewed ahead of their end |
//! | [`owner`] | the expected owner of the bucket, on every call to S3 |
//! | [`errors`] | what AWS says went wrong |

pub mod clients;
pub mod errors;
pub mod options;
mod owner;
mod roles;

pub use clients::{Clients, account_of};
pub use errors::AwsError;
pub use options::AwsOptions;
