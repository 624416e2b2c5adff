//! Handshake: JDBC and ODBC drivers make it their first call when they have a user name, and give up without a bearer
//! token in the answer.
//!
//! There is no sign-in yet: the server listens on loopback, every name is welcome, and the token says nothing.

use arrow_flight::HandshakeResponse;
use futures::StreamExt;
use tonic::metadata::MetadataValue;
use tonic::{Response, Status};

use super::service::BoxedStream;

pub fn answer() -> Response<BoxedStream<HandshakeResponse>> {
    const TOKEN: &str = "anonymous";
    let answer = HandshakeResponse { protocol_version: 0, payload: TOKEN.into() };
    let mut response: Response<BoxedStream<_>> =
        Response::new(futures::stream::iter([Ok::<_, Status>(answer)]).boxed());
    response.metadata_mut().insert("authorization", MetadataValue::from_static("Bearer anonymous"));
    response
}
