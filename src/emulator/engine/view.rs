//! Views in Glue's Presto form (athena-behaviour, section 7).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::emulator::model::{Failure, Table};

/// The JSON inside `/* Presto View: <base64> */`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    pub original_sql: String,
    pub catalog: String,
    pub schema: String,
    pub columns: Vec<ViewColumn>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ViewColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
}

const OPEN: &str = "/* Presto View: ";
const CLOSE: &str = " */";

impl View {
    /// The view that a table of type VIRTUAL_VIEW stands for.
    pub fn of(table: &Table) -> Result<Self, Failure> {
        let text = table.view_original_text.as_deref().unwrap_or_default();
        let encoded = text.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE));
        let json = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
        json.and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or_else(|| Failure::not_supported(None, format!("view {}, which is not a Presto view", table.name)))
    }

    pub fn original_text(&self) -> String {
        let json = serde_json::to_vec(self).expect("strings are JSON");
        format!("{OPEN}{}{CLOSE}", STANDARD.encode(json))
    }
}
