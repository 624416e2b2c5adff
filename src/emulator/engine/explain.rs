//! EXPLAIN: the plan as text, or its output columns as JSON (athena-behaviour, section 2).

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::Query;
use serde_json::json;

use super::session::Sessions;
use super::{Lines, Task, errors};
use crate::emulator::model::{Failure, ResultColumn};
use crate::emulator::sql::statement::ExplainFormat;

pub async fn run(
    sessions: &Arc<Sessions>,
    query: Query,
    format: ExplainFormat,
    analyze: bool,
    task: &Task,
) -> Result<Vec<ResultColumn>, Failure> {
    if analyze {
        return Err(Failure::not_supported(None, "EXPLAIN ANALYZE"));
    }
    let planned = sessions.plan(query, &task.context, Arc::clone(&task.scanned)).await?;
    let lines = match format {
        ExplainFormat::Text => {
            let optimized = planned.state.optimize(&planned.plan);
            let optimized = optimized.map_err(|error| errors::failure(&error, &planned.places))?;
            optimized.display_indent().to_string().lines().map(str::to_owned).collect()
        }
        ExplainFormat::LogicalJson => {
            let names: Vec<&str> = planned.columns.iter().map(|(name, _)| name.as_str()).collect();
            let outputs: Vec<_> = planned
                .columns
                .iter()
                .map(|(name, data_type)| json!({ "symbol": name, "type": data_type.to_string() }))
                .collect();
            let plan = json!({
                "id": "0",
                "name": "Output",
                "descriptor": { "columnNames": format!("[{}]", names.join(", ")) },
                "outputs": outputs,
                "details": [],
                "estimates": [],
                "children": [],
            });
            let text = serde_json::to_string_pretty(&plan).map_err(Failure::internal)?;
            // The answer ends in one empty row (athena-behaviour, section 3).
            text.lines().map(str::to_owned).chain([String::new()]).collect()
        }
    };
    Lines::new(&["Query Plan"], lines).write(sessions, task)
}
