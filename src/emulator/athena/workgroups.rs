//! Workgroups: where results go, whose settings win, and how much may be scanned.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::RESULTS_BUCKET;
use super::super::api::{Answer, ApiError, input, page_token};
use super::super::model::{Workgroup, now};
use super::super::store::Store;
use super::{Paged, page_size};

/// The workgroup that is always there.
pub const PRIMARY: &str = "primary";
const ENGINE: &str = "Athena engine version 3";
/// The least scan limit there may be, in bytes.
const LEAST_CUTOFF: i64 = 10_000_000;

/// What a workgroup says about the statements that run in it.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub output_location: Option<String>,
    pub encryption: Option<Value>,
    /// Whether its settings win over the client's.
    pub enforced: bool,
    /// Results are Athena's own.
    pub managed: bool,
    /// Bytes that a statement may scan.
    pub cutoff: Option<u64>,
}

/// The workgroup of this name, enabled or not.
pub fn find(store: &Store, name: &str) -> Result<Workgroup, ApiError> {
    match store.workgroup(name)? {
        Some(workgroup) => Ok(workgroup),
        None if name == PRIMARY => Ok(primary()),
        None => Err(ApiError::invalid_input("WorkGroup is not found.")),
    }
}

fn primary() -> Workgroup {
    let configuration = json!({
        "ResultConfiguration": { "OutputLocation": format!("s3://{RESULTS_BUCKET}/") },
        "EnforceWorkGroupConfiguration": false,
        "PublishCloudWatchMetricsEnabled": false,
        "RequesterPaysEnabled": false,
    });
    let configuration = configuration.as_object().cloned().unwrap_or_default();
    Workgroup { name: PRIMARY.to_owned(), configuration, ..Workgroup::default() }
}

impl Workgroup {
    pub fn rules(&self) -> Rules {
        let result = self.configuration.get("ResultConfiguration");
        let flag = |name: &str| self.configuration.get(name).and_then(Value::as_bool).unwrap_or(false);
        Rules {
            output_location: result.and_then(|r| r["OutputLocation"].as_str()).map(str::to_owned),
            encryption: result.and_then(|r| r.get("EncryptionConfiguration")).cloned(),
            enforced: flag("EnforceWorkGroupConfiguration"),
            managed: self
                .configuration
                .get("ManagedQueryResultsConfiguration")
                .and_then(|managed| managed["Enabled"].as_bool())
                .unwrap_or(false),
            cutoff: self.configuration.get("BytesScannedCutoffPerQuery").and_then(Value::as_u64),
        }
    }

    fn state(&self) -> &'static str {
        if self.disabled { "DISABLED" } else { "ENABLED" }
    }
}

fn engine_version() -> Value {
    json!({ "SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": ENGINE })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateWorkGroup {
    name: String,
    configuration: Option<Map<String, Value>>,
    description: Option<String>,
    #[serde(default)]
    tags: Vec<Value>,
}

pub fn create(store: &Store, body: &[u8]) -> Answer {
    let asked: CreateWorkGroup = input(body)?;
    let valid = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if asked.name.is_empty() || asked.name.len() > 128 || !asked.name.chars().all(valid) {
        return Err(ApiError::invalid_input(format!(
            "1 validation error detected: Value '{}' at 'name' failed to satisfy constraint: Member must satisfy regular \
             expression pattern: [a-zA-Z0-9._-]{{1,128}}",
            asked.name
        )));
    }
    if asked.name == PRIMARY || store.workgroup(&asked.name)?.is_some() {
        return Err(ApiError::invalid_input("WorkGroup is already created"));
    }
    let mut configuration = asked.configuration.unwrap_or_default();
    // Settings win over the client's unless it is said that they do not.
    configuration.entry("EnforceWorkGroupConfiguration").or_insert(json!(true));
    check(&configuration)?;
    store.put_workgroup(&Workgroup {
        name: asked.name,
        description: asked.description.unwrap_or_default(),
        disabled: false,
        configuration,
        created: now(),
        tags: asked.tags,
    })?;
    Ok(json!({}))
}

fn check(configuration: &Map<String, Value>) -> Result<(), ApiError> {
    if let Some(cutoff) = configuration.get("BytesScannedCutoffPerQuery").and_then(Value::as_i64)
        && cutoff < LEAST_CUTOFF
    {
        return Err(ApiError::invalid_input(format!(
            "1 validation error detected: Value '{cutoff}' at 'bytesScannedCutoffPerQuery' failed to satisfy constraint: \
             Member must have value greater than or equal to {LEAST_CUTOFF}"
        )));
    }
    let rules = Workgroup { configuration: configuration.clone(), ..Workgroup::default() }.rules();
    if rules.managed && rules.output_location.is_some() {
        return Err(ApiError::invalid_input(
            "OutputLocation cannot be specified when managed query results are enabled",
        ));
    }
    match rules.output_location {
        Some(location) if !location.starts_with("s3://") => {
            Err(ApiError::invalid_input(format!("outputLocation is not a valid S3 path: {location}")))
        }
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    work_group: String,
}

pub fn get(store: &Store, body: &[u8]) -> Answer {
    let workgroup = find(store, &input::<Named>(body)?.work_group)?;
    let mut configuration = workgroup.configuration.clone();
    configuration.insert("EngineVersion".to_owned(), engine_version());
    Ok(json!({ "WorkGroup": {
        "Name": workgroup.name,
        "State": workgroup.state(),
        "Description": workgroup.description,
        "CreationTime": workgroup.created,
        "Configuration": configuration,
    } }))
}

pub fn list(store: &Store, body: &[u8]) -> Answer {
    let asked: Paged = input(body)?;
    let size = page_size(asked.max_results, 50)?;
    let after = asked.after()?;
    let mut all = store.workgroups()?;
    if !all.iter().any(|workgroup| workgroup.name == PRIMARY) {
        all.push(primary());
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all.retain(|workgroup| after.as_ref().is_none_or(|after| workgroup.name > *after));
    let more = all.len() > size;
    all.truncate(size);
    let summary = |workgroup: &Workgroup| {
        json!({
            "Name": workgroup.name,
            "State": workgroup.state(),
            "Description": workgroup.description,
            "CreationTime": workgroup.created,
            "EngineVersion": engine_version(),
        })
    };
    let mut answer = json!({ "WorkGroups": all.iter().map(summary).collect::<Vec<_>>() });
    if let (true, Some(last)) = (more, all.last()) {
        answer["NextToken"] = json!(page_token(&last.name));
    }
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateWorkGroup {
    work_group: String,
    description: Option<String>,
    state: Option<String>,
    configuration_updates: Option<Map<String, Value>>,
}

pub fn update(store: &Store, body: &[u8]) -> Answer {
    let asked: UpdateWorkGroup = input(body)?;
    let mut workgroup = find(store, &asked.work_group)?;
    if let Some(description) = asked.description {
        workgroup.description = description;
    }
    match asked.state.as_deref() {
        Some("ENABLED") => workgroup.disabled = false,
        Some("DISABLED") => workgroup.disabled = true,
        Some(other) => return Err(ApiError::invalid_input(format!("{other} is not a state of a WorkGroup"))),
        None => {}
    }
    for (key, value) in asked.configuration_updates.unwrap_or_default() {
        apply(&mut workgroup.configuration, &key, value);
    }
    check(&workgroup.configuration)?;
    store.put_workgroup(&workgroup)?;
    Ok(json!({}))
}

/// `XUpdates` changes X, `RemoveX` takes it away, everything else is set.
fn apply(configuration: &mut Map<String, Value>, key: &str, value: Value) {
    if let Some(removed) = key.strip_prefix("Remove") {
        if value == json!(true) {
            configuration.remove(removed);
        }
    } else if let (Some(changed), Value::Object(updates)) = (key.strip_suffix("Updates"), &value) {
        let inner = configuration.entry(changed).or_insert(json!({}));
        if let Value::Object(inner) = inner {
            for (key, value) in updates {
                apply(inner, key, value.clone());
            }
        }
    } else {
        configuration.insert(key.to_owned(), value);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteWorkGroup {
    work_group: String,
    recursive_delete_option: Option<bool>,
}

pub fn delete(store: &Store, body: &[u8]) -> Answer {
    let asked: DeleteWorkGroup = input(body)?;
    if asked.work_group == PRIMARY {
        return Err(ApiError::invalid_input("Primary WorkGroup cannot be deleted"));
    }
    find(store, &asked.work_group)?;
    let occupied = !store.history(&asked.work_group, None, 1)?.0.is_empty()
        || !store.prepared_statements(&asked.work_group, None, 1)?.is_empty();
    if occupied && asked.recursive_delete_option != Some(true) {
        return Err(ApiError::invalid_input("WorkGroup is not empty"));
    }
    store.drop_workgroup(&asked.work_group)?;
    Ok(json!({}))
}

pub fn list_engine_versions(_: &[u8]) -> Answer {
    Ok(json!({ "EngineVersions": [
        engine_version(),
        { "SelectedEngineVersion": ENGINE, "EffectiveEngineVersion": ENGINE },
    ] }))
}
