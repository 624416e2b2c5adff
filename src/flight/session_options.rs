//! SetSessionOptions, GetSessionOptions, CloseSession: a session is a signed cookie that the client carries, so that any
//! gateway with the key knows it and none has to remember it.

pub mod cookie;

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::messages::flight::{
    CloseSessionRequest, CloseSessionResult, GetSessionOptionsRequest, GetSessionOptionsResult, SessionOptionValue,
    SetSessionOptionsRequest, SetSessionOptionsResult, close_session_result, session_option_value,
    set_session_options_result,
};
use super::ticket::Keys;
use crate::session::Session;
use crate::session::options::{Kind, OPTIONS, SessionOption, Value};

/// An action's answer, and the `set-cookie` that goes with it.
pub struct Answer {
    pub body: Bytes,
    pub cookie: Option<String>,
}

/// Changes the options that it can change, and says for each of the others what is wrong with it. An option without a
/// value is the server's again.
pub fn set(keys: &Keys, headers: &MetadataMap, body: &[u8]) -> Result<Answer, Status> {
    use set_session_options_result::{Error, ErrorValue};
    let request: SetSessionOptionsRequest = decode("SetSessionOptions", body)?;
    let mut changes = cookie::read(keys, headers)?.unwrap_or_default();
    let mut errors = std::collections::HashMap::new();
    for (name, value) in request.session_options {
        let changed = match SessionOption::find(&name) {
            None => Err(ErrorValue::InvalidName),
            Some(option) => change(option, value, &mut changes).map_err(|why| {
                tracing::debug!(option = option.name, why, "session option refused");
                ErrorValue::InvalidValue
            }),
        };
        if let Err(value) = changed {
            errors.insert(name, Error { value: value as i32 });
        }
    }
    let body = SetSessionOptionsResult { errors }.encode_to_vec().into();
    Ok(Answer { body, cookie: Some(cookie::write(keys, changes)) })
}

fn change(
    option: &SessionOption,
    value: SessionOptionValue,
    changes: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    use session_option_value::OptionValue;
    let text = match (value.option_value, option.kind) {
        (None, _) => {
            changes.remove(option.name);
            return Ok(());
        }
        (Some(OptionValue::StringValue(text)), Kind::Text) => text,
        (Some(OptionValue::Int64Value(number)), Kind::Integer) => number.to_string(),
        (Some(_), kind) => return Err(format!("it is not of the kind {kind:?}")),
    };
    option.set(&mut Session::default(), &text)?;
    changes.insert(option.name.to_owned(), text);
    Ok(())
}

/// What the call's session is run with. It makes no session.
pub fn get(session: &Session, body: &[u8]) -> Result<Answer, Status> {
    use session_option_value::OptionValue;
    let GetSessionOptionsRequest {} = decode("GetSessionOptions", body)?;
    let value = |value| match value {
        Value::Text(text) => OptionValue::StringValue(text),
        Value::Integer(number) => OptionValue::Int64Value(number),
    };
    let options = OPTIONS.iter().filter_map(|option| {
        let value = value(option.get(session)?);
        Some((option.name.to_owned(), SessionOptionValue { option_value: Some(value) }))
    });
    let result = GetSessionOptionsResult { session_options: options.collect() };
    Ok(Answer { body: result.encode_to_vec().into(), cookie: None })
}

/// Has the client forget its cookie.
pub fn close(body: &[u8]) -> Result<Answer, Status> {
    let CloseSessionRequest {} = decode("CloseSession", body)?;
    let result = CloseSessionResult { status: close_session_result::Status::Closed as i32 };
    Ok(Answer { body: result.encode_to_vec().into(), cookie: Some(cookie::forget()) })
}

fn decode<M: Message + Default>(action: &str, body: &[u8]) -> Result<M, Status> {
    M::decode(body)
        .map_err(|_| Status::invalid_argument(format!("the body of action {action} is not a {action}Request")))
}
