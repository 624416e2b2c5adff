//! The admin API, for tests: settings at run time, and the calls that came.
//!
//! | request | does |
//! | --- | --- |
//! | `PUT /_athena-flight/behaviour` | puts the settings of the JSON body in force, all of them |
//! | `DELETE /_athena-flight/behaviour` | back to the settings of the start |
//! | `GET /_athena-flight/calls` | the last calls: service, operation, access key, region, host, the beginning of the request, status |
//! | `DELETE /_athena-flight/calls` | forgets them |

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::Emulator;
use super::behaviour::Settings;

/// No bucket's name starts with an underscore.
pub const PREFIX: &str = "/_athena-flight/";

const MAX_DOCUMENT_BYTES: usize = 1 << 20;

pub async fn answer(emulator: &Emulator, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path().trim_start_matches(PREFIX).to_owned();
    let method = request.method().clone();
    match (method, path.as_str()) {
        (Method::PUT, "behaviour") => {
            let Ok(body) = axum::body::to_bytes(request.into_body(), MAX_DOCUMENT_BYTES).await else {
                return json_answer(StatusCode::PAYLOAD_TOO_LARGE, &json!({ "error": "the document is too large" }));
            };
            match serde_json::from_slice::<Settings>(&body) {
                Ok(settings) => {
                    emulator.behaviour.set(settings);
                    json_answer(StatusCode::OK, &json!({}))
                }
                Err(error) => json_answer(StatusCode::BAD_REQUEST, &json!({ "error": error.to_string() })),
            }
        }
        (Method::DELETE, "behaviour") => {
            emulator.behaviour.set(emulator.settings.clone());
            json_answer(StatusCode::OK, &json!({}))
        }
        (Method::GET, "calls") => {
            let (calls, count, throttled) = emulator.behaviour.calls();
            json_answer(StatusCode::OK, &json!({ "calls": calls, "count": count, "throttled": throttled }))
        }
        (Method::DELETE, "calls") => {
            emulator.behaviour.forget_calls();
            json_answer(StatusCode::OK, &json!({}))
        }
        _ => json_answer(StatusCode::NOT_FOUND, &json!({ "error": "there is /behaviour and /calls" })),
    }
}

fn json_answer(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
