//! Workgroups: there is one, `primary`, with a result folder of its own.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::RESULTS_BUCKET;
use super::super::api::{Answer, ApiError, input};

pub const PRIMARY: &str = "primary";

const ENGINE: &str = "Athena engine version 3";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetWorkGroup {
    work_group: String,
}

/// Where results go if the client does not say.
pub fn output_location() -> String {
    format!("s3://{RESULTS_BUCKET}/")
}

/// Refuses a workgroup that does not exist (athena-behaviour, section 2).
pub fn check(name: &str) -> Result<(), ApiError> {
    if name == PRIMARY { Ok(()) } else { Err(ApiError::invalid_input("WorkGroup is not found.")) }
}

fn engine_version() -> Value {
    json!({ "SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": ENGINE })
}

pub fn get(body: &[u8]) -> Answer {
    check(&input::<GetWorkGroup>(body)?.work_group)?;
    Ok(json!({ "WorkGroup": {
        "Name": PRIMARY,
        "State": "ENABLED",
        "Description": "",
        "Configuration": {
            "ResultConfiguration": { "OutputLocation": output_location() },
            "EnforceWorkGroupConfiguration": false,
            "PublishCloudWatchMetricsEnabled": false,
            "RequesterPaysEnabled": false,
            "EngineVersion": engine_version(),
        },
    } }))
}

pub fn list(_: &[u8]) -> Answer {
    Ok(json!({ "WorkGroups": [
        { "Name": PRIMARY, "State": "ENABLED", "Description": "", "EngineVersion": engine_version() },
    ] }))
}

pub fn list_engine_versions(_: &[u8]) -> Answer {
    Ok(json!({ "EngineVersions": [
        engine_version(),
        { "SelectedEngineVersion": ENGINE, "EffectiveEngineVersion": ENGINE },
    ] }))
}
