//! Handshake: JDBC and ODBC drivers make it their first call when they have a user name, and give up without a bearer
//! token in the answer. Where nobody has to sign in, every name is welcome and the token says nothing.

use arrow_flight::HandshakeResponse;
use futures::StreamExt;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::metadata::AsciiMetadataValue;
use tonic::{Response, Status};

use super::service::BoxedStream;
use super::status;

/// What those get who need no token.
const ANONYMOUS: &str = "anonymous";

/// Where a bearer token is, in requests and answers.
pub const HEADER: &str = "authorization";

/// The answer with a bearer token, in its header and as its payload: clients read either.
pub fn answer(token: Option<SecretString>) -> Result<Response<BoxedStream<HandshakeResponse>>, Status> {
    let token = token.unwrap_or_else(|| SecretString::from(ANONYMOUS));
    let answer = HandshakeResponse { protocol_version: 0, payload: token.expose_secret().to_owned().into() };
    let mut response: Response<BoxedStream<_>> =
        Response::new(futures::stream::iter([Ok::<_, Status>(answer)]).boxed());
    response.metadata_mut().insert(HEADER, bearer(&token)?);
    Ok(response)
}

/// The header with a token.
pub fn bearer(token: &SecretString) -> Result<AsciiMetadataValue, Status> {
    let mut header: AsciiMetadataValue =
        format!("Bearer {}", token.expose_secret()).parse().map_err(status::internal)?;
    header.set_sensitive(true);
    Ok(header)
}
