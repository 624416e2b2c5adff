//! Handshake: JDBC and ODBC drivers make it their first call when they have a user name, and give up without a bearer
//! token in the answer. Where nobody has to sign in, every name is welcome and the token says nothing.

use arrow_flight::HandshakeResponse;
use futures::StreamExt;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::{Response, Status};

use super::service::BoxedStream;
use super::status;

/// What those get who need no token.
const ANONYMOUS: &str = "anonymous";

/// The answer with a bearer token, in its header and as its payload: clients read either.
pub fn answer(token: Option<SecretString>) -> Result<Response<BoxedStream<HandshakeResponse>>, Status> {
    let token = token.unwrap_or_else(|| SecretString::from(ANONYMOUS));
    let token = token.expose_secret();
    let answer = HandshakeResponse { protocol_version: 0, payload: token.to_owned().into() };
    let mut response: Response<BoxedStream<_>> =
        Response::new(futures::stream::iter([Ok::<_, Status>(answer)]).boxed());
    let mut header: tonic::metadata::AsciiMetadataValue =
        format!("Bearer {token}").parse().map_err(status::internal)?;
    header.set_sensitive(true);
    response.metadata_mut().insert("authorization", header);
    Ok(response)
}
