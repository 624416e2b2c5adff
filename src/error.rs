//! The few kinds of failure the whole crate agrees on.
//!
//! Each module has its own error enum with the facts as fields and maps it onto a [`Kind`]; what a kind means on the
//! wire is decided once, in `flight/status.rs` for gRPC and in the emulator's answers for AWS clients.

/// What went wrong, seen from the caller: what kind of thing has to change before the same call can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request itself is wrong: syntax, types, a malformed message.
    InvalidArgument,
    /// Something named in the request does not exist.
    NotFound,
    /// Something that the request would make exists.
    AlreadyExists,
    /// The caller is not who it says, or did not say.
    Unauthenticated,
    /// The caller, or the gateway in its name, may not do this.
    PermissionDenied,
    /// A quota, a queue or a memory limit is used up; later may work.
    ResourceExhausted,
    /// The request is sound but the data or the account is not in the state it needs.
    FailedPrecondition,
    /// The work was stopped on request.
    Cancelled,
    /// The work did not finish in the time it was given.
    DeadlineExceeded,
    /// The far side cannot be reached or is failing; the same call may work later.
    Unavailable,
    /// A part of the protocol or of SQL that is not supported.
    Unimplemented,
    /// The data that came back contradicts its own description.
    DataLoss,
    /// A fault of this program.
    Internal,
}
