//! What the endpoint remembers, in the shapes and names the Glue and Athena APIs use, so that a stored record is an
//! answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Name → value settings, as Glue's `Parameters` are.
pub type Parameters = BTreeMap<String, String>;

/// The one Glue catalog of the endpoint, and the account it says it belongs to.
pub const ACCOUNT: &str = "000000000000";
/// The name of the default data catalog in Athena.
pub const DEFAULT_CATALOG: &str = "AwsDataCatalog";

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Database {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location_uri: Option<String>,
    #[serde(skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    pub create_time: f64,
    pub catalog_id: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Column {
    pub name: String,
    #[serde(rename = "Type")]
    pub data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SerDe {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serialization_library: Option<String>,
    #[serde(skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
}

/// Where data lies and how it is written; fields the endpoint does not read are kept in `other` and given back.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Storage {
    pub columns: Vec<Column>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<String>,
    pub serde_info: SerDe,
    #[serde(skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Table {
    pub name: String,
    pub database_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    pub create_time: f64,
    pub update_time: f64,
    pub retention: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_descriptor: Option<Storage>,
    pub partition_keys: Vec<Column>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view_original_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view_expanded_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_type: Option<String>,
    pub parameters: Parameters,
    pub catalog_id: String,
    pub version_id: String,
}

impl Table {
    pub const VIEW: &str = "VIRTUAL_VIEW";
    pub const EXTERNAL: &str = "EXTERNAL_TABLE";

    pub fn is_view(&self) -> bool {
        self.table_type.as_deref() == Some(Self::VIEW)
    }

    pub fn is_iceberg(&self) -> bool {
        self.parameters.get("table_type").is_some_and(|value| value.eq_ignore_ascii_case("ICEBERG"))
    }

    /// The columns of the data; partition keys come after them in every listing.
    pub fn columns(&self) -> &[Column] {
        self.storage_descriptor.as_ref().map_or(&[], |storage| &storage.columns)
    }

    pub fn location(&self) -> Option<&str> {
        self.storage_descriptor.as_ref()?.location.as_deref()
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Partition {
    pub values: Vec<String>,
    pub database_name: String,
    pub table_name: String,
    pub creation_time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_descriptor: Option<Storage>,
    #[serde(skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    pub catalog_id: String,
}

/// A statement kept under a name in a workgroup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Prepared {
    pub name: String,
    pub workgroup: String,
    pub query: String,
    pub description: Option<String>,
    pub modified: f64,
}

/// A query's states, in the order it goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl State {
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// Why a query failed, as `AthenaError` says it (athena-behaviour, section 6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub category: i32,
    pub error_type: i32,
    pub message: String,
    #[serde(default)]
    pub retryable: bool,
}

/// One column of a result, as `ColumnInfo` describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultColumn {
    pub name: String,
    /// Base name: never the element types of arrays, maps and rows (athena-behaviour, section 4).
    pub data_type: String,
    pub precision: i32,
    pub scale: i32,
    pub case_sensitive: bool,
}

/// Everything about one statement that was started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Execution {
    pub id: String,
    pub sql: String,
    pub statement_type: String,
    pub substatement: String,
    pub catalog: Option<String>,
    pub database: Option<String>,
    pub workgroup: String,
    /// The folder asked for, where results go below.
    pub output_folder: String,
    /// The result object, known once the query ended; `None` for kinds that leave none.
    pub output_location: Option<String>,
    /// Whether `GetQueryResults` starts with a row of column names.
    pub has_header: bool,
    pub parameters: Vec<String>,
    pub state: State,
    pub failure: Option<Failure>,
    pub submitted: f64,
    pub completed: Option<f64>,
    pub queue_ms: u64,
    pub planning_ms: u64,
    pub execution_ms: u64,
    pub scanned_bytes: u64,
    pub update_count: Option<i64>,
    pub columns: Vec<ResultColumn>,
    pub token: Option<String>,
    /// The list of files that a statement wrote.
    #[serde(default)]
    pub manifest: Option<String>,
    /// How result objects are encrypted, as it was asked for.
    #[serde(default)]
    pub encryption: Option<serde_json::Value>,
    /// Results are Athena's own: no output location, and only GetQueryResults gives them.
    #[serde(default)]
    pub managed: bool,
    /// The rows are those of an earlier query.
    #[serde(default)]
    pub reused: bool,
    /// How old a result may be that is used again, in minutes; `None` if none may be.
    #[serde(default)]
    pub reuse_minutes: Option<i64>,
    #[serde(default)]
    pub output_rows: Option<i64>,
    #[serde(default)]
    pub output_bytes: Option<u64>,
}

/// A workgroup; its configuration is kept as the API has it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Workgroup {
    pub name: String,
    pub description: String,
    pub disabled: bool,
    pub configuration: serde_json::Map<String, serde_json::Value>,
    pub created: f64,
    pub tags: Vec<serde_json::Value>,
}

/// A data catalog that was registered beside Glue's.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Catalog {
    pub name: String,
    /// LAMBDA, HIVE, GLUE or FEDERATED.
    pub kind: String,
    pub description: String,
    pub parameters: Parameters,
}

/// Seconds since the epoch with a fraction, as JSON 1.1 writes timestamps.
pub fn now() -> f64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (elapsed.as_millis() as f64) / 1000.0
}
