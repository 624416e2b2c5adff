//! STS: who the caller is. The query protocol: a form in, XML out.

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use serde::Deserialize;

use super::model::ACCOUNT;

#[derive(Deserialize)]
struct Form {
    #[serde(rename = "Action")]
    action: String,
}

/// Answers one form-encoded request.
pub fn answer(body: &[u8], access_key: Option<&str>) -> Response<Body> {
    let action = serde_urlencoded::from_bytes::<Form>(body).map(|form| form.action).unwrap_or_default();
    match action.as_str() {
        "GetCallerIdentity" => {
            let user = escape(access_key.unwrap_or("anonymous"));
            xml(
                StatusCode::OK,
                format!(
                    "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                     <GetCallerIdentityResult><Arn>arn:aws:iam::{ACCOUNT}:user/{user}</Arn><UserId>{user}</UserId>\
                     <Account>{ACCOUNT}</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>{}</RequestId>\
                     </ResponseMetadata></GetCallerIdentityResponse>",
                    uuid::Uuid::new_v4()
                ),
            )
        }
        other => xml(
            StatusCode::BAD_REQUEST,
            format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                 <Code>InvalidAction</Code><Message>the embedded endpoint does not answer STS {}</Message></Error>\
                 <RequestId>{}</RequestId></ErrorResponse>",
                escape(other),
                uuid::Uuid::new_v4()
            ),
        ),
    }
}

fn xml(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/xml"));
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
