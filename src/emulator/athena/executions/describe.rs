//! Statements as the API shows them.

use serde_json::{Value, json};

use crate::emulator::model::{Execution, ResultColumn, State};

/// The shape `QueryExecution`.
pub(super) fn describe(execution: &Execution) -> Value {
    let location = execution
        .output_location
        .clone()
        .unwrap_or_else(|| format!("{}/{}", execution.output_folder.trim_end_matches('/'), execution.id));
    let mut context = json!({});
    if let Some(database) = &execution.database {
        context["Database"] = json!(database);
    }
    if let Some(catalog) = &execution.catalog {
        // GetQueryExecution lower-cases the catalog it was given (athena-behaviour, section 7).
        context["Catalog"] = json!(catalog.to_lowercase());
    }
    let mut status = json!({ "State": execution.state.name(), "SubmissionDateTime": execution.submitted });
    if let Some(completed) = execution.completed {
        status["CompletionDateTime"] = json!(completed);
    }
    if let Some(failure) = &execution.failure {
        status["StateChangeReason"] = json!(failure.message);
        if execution.state == State::Failed {
            status["AthenaError"] = json!({
                "ErrorCategory": failure.category,
                "ErrorType": failure.error_type,
                "Retryable": failure.retryable,
                "ErrorMessage": failure.message,
            });
        }
    }
    let mut described = json!({
        "QueryExecutionId": execution.id,
        "Query": execution.sql,
        "StatementType": execution.statement_type,
        "SubstatementType": execution.substatement,
        "ResultReuseConfiguration": { "ResultReuseByAgeConfiguration": { "Enabled": execution.reuse_minutes.is_some() } },
        "QueryExecutionContext": context,
        "Status": status,
        "Statistics": {
            "EngineExecutionTimeInMillis": execution.execution_ms,
            "DataScannedInBytes": execution.scanned_bytes,
            "TotalExecutionTimeInMillis": execution.queue_ms + execution.execution_ms,
            "QueryQueueTimeInMillis": execution.queue_ms,
            "QueryPlanningTimeInMillis": execution.planning_ms,
            "ServiceProcessingTimeInMillis": 0,
            "ResultReuseInformation": { "ReusedPreviousResult": execution.reused },
        },
        "WorkGroup": execution.workgroup,
        "EngineVersion": { "SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3" },
    });
    if execution.managed {
        described["ManagedQueryResultsConfiguration"] = json!({ "Enabled": true });
    } else {
        described["ResultConfiguration"] = json!({ "OutputLocation": location });
        if let Some(encryption) = &execution.encryption {
            described["ResultConfiguration"]["EncryptionConfiguration"] = encryption.clone();
        }
    }
    if let Some(minutes) = execution.reuse_minutes {
        described["ResultReuseConfiguration"]["ResultReuseByAgeConfiguration"]["MaxAgeInMinutes"] = json!(minutes);
    }
    if let Some(manifest) = execution.manifest.as_ref().filter(|_| !execution.managed) {
        described["Statistics"]["DataManifestLocation"] = json!(manifest);
    }
    if !execution.parameters.is_empty() {
        described["ExecutionParameters"] = json!(execution.parameters);
    }
    described
}

/// The shape `ColumnInfo`.
pub fn column_info(column: &ResultColumn) -> Value {
    json!({
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": column.name,
        "Label": column.name,
        "Type": column.data_type,
        "Precision": column.precision,
        "Scale": column.scale,
        "Nullable": "UNKNOWN",
        "CaseSensitive": column.case_sensitive,
    })
}

/// The shape `QueryRuntimeStatistics`: a timeline, and rows with a single output stage.
pub(super) fn runtime_statistics(execution: &Execution) -> Value {
    let bytes = execution.output_bytes.unwrap_or_default();
    json!({ "QueryRuntimeStatistics": {
        "Timeline": {
            "QueryQueueTimeInMillis": execution.queue_ms,
            "QueryPlanningTimeInMillis": execution.planning_ms,
            "EngineExecutionTimeInMillis": execution.execution_ms,
            "ServiceProcessingTimeInMillis": 0,
            "TotalExecutionTimeInMillis": execution.queue_ms + execution.execution_ms,
        },
        "Rows": {
            "InputBytes": execution.scanned_bytes,
            "OutputBytes": bytes,
            "OutputRows": execution.output_rows.or(execution.update_count).unwrap_or_default(),
        },
        "OutputStage": {
            "StageId": 0,
            "State": if execution.state == State::Succeeded { "FINISHED" } else { execution.state.name() },
            "OutputBytes": bytes,
            "InputBytes": execution.scanned_bytes,
            "ExecutionTime": execution.execution_ms,
        },
    } })
}
