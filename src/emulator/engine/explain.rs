//! EXPLAIN: the plan as text, JSON or Graphviz, what a query reads, and what running it did (athena-behaviour, section 2).

use std::any::Any;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::sql::sqlparser::ast::Query;
use futures::StreamExt;
use serde_json::{Value, json};

use super::session::{Context, Planned, Sessions};
use super::table::GlueTable;
use super::{Lines, Outcome, Task, errors};
use crate::emulator::model::{DEFAULT_CATALOG, Failure};
use crate::emulator::sql::cursor::Name;
use crate::emulator::sql::statement::{ExplainFormat, ExplainType};

pub async fn run(
    sessions: &Arc<Sessions>,
    query: Query,
    (kind, format): (ExplainType, ExplainFormat),
    into: Option<&Name>,
    task: &Task,
) -> Result<Outcome, Failure> {
    let planned = sessions.plan(query, &task.context, task.reading()).await?;
    let failed = |error| errors::failure(&error, &planned.places);
    let lines = match (kind, format) {
        (ExplainType::Validate, _) => return Lines::new(&["Valid"], vec!["true".to_owned()]).write(sessions, task),
        (ExplainType::Io, _) => {
            let optimized = planned.state.optimize(&planned.plan).map_err(failed)?;
            json_lines(&io(&optimized, into, &task.context)?)?
        }
        (ExplainType::Logical, ExplainFormat::Json) => json_lines(&output(&planned))?,
        // Without TYPE LOGICAL the plans are keyed by fragment.
        (ExplainType::Distributed | ExplainType::Analyze, ExplainFormat::Json) => {
            if kind == ExplainType::Analyze {
                analyzed(&planned).await?;
            }
            json_lines(&json!({ "0": output(&planned) }))?
        }
        (ExplainType::Logical, ExplainFormat::Text) => {
            let optimized = planned.state.optimize(&planned.plan).map_err(failed)?;
            text_lines(&optimized.display_indent().to_string())
        }
        (_, ExplainFormat::Graphviz) => {
            let optimized = planned.state.optimize(&planned.plan).map_err(failed)?;
            text_lines(&optimized.display_graphviz().to_string())
        }
        (ExplainType::Distributed, ExplainFormat::Text) => {
            let plan = planned.state.create_physical_plan(&planned.plan).await.map_err(failed)?;
            fragment(&DisplayableExecutionPlan::new(plan.as_ref()).indent(false).to_string())
        }
        (ExplainType::Analyze, ExplainFormat::Text) => fragment(&analyzed(&planned).await?),
    };
    Lines::new(&["Query Plan"], lines).write(sessions, task)
}

fn text_lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn fragment(plan: &str) -> Vec<String> {
    std::iter::once("Fragment 0 [SINGLE]".to_owned()).chain(plan.lines().map(|line| format!("    {line}"))).collect()
}

/// The answer ends in one empty row (athena-behaviour, section 3).
fn json_lines(value: &Value) -> Result<Vec<String>, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::internal)?;
    Ok(text.lines().map(str::to_owned).chain([String::new()]).collect())
}

/// The plan's output node: the columns with their full types.
fn output(planned: &Planned) -> Value {
    let names: Vec<&str> = planned.columns.iter().map(|(name, _)| name.as_str()).collect();
    let outputs: Vec<_> = planned
        .columns
        .iter()
        .map(|(name, data_type)| json!({ "symbol": name, "type": data_type.to_string() }))
        .collect();
    json!({
        "id": "0",
        "name": "Output",
        "descriptor": { "columnNames": format!("[{}]", names.join(", ")) },
        "outputs": outputs,
        "details": [],
        "estimates": [],
        "children": [],
    })
}

/// The tables a query reads, and the one it writes. As in Trino it is the optimised plan: a table whose rows cannot matter
/// is not in it.
fn io(plan: &LogicalPlan, into: Option<&Name>, context: &Context) -> Result<Value, Failure> {
    let named = |schema: &str, table: &str| json!({ "catalog": DEFAULT_CATALOG.to_lowercase(), "schemaTable": { "schema": schema, "table": table } });
    let mut tables = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            // A view's names are looked up where the view was made: the table itself knows where it is.
            let provider = source_as_provider(&scan.source)?;
            let provider: &dyn Any = provider.as_ref();
            let table = match provider.downcast_ref::<GlueTable>() {
                Some(table) => named(table.database(), table.name()),
                None => named(scan.table_name.schema().unwrap_or(&context.database), scan.table_name.table()),
            };
            tables.push(json!({ "table": table, "constraint": { "none": false, "columnConstraints": [] } }));
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(Failure::internal)?;
    let unknown = "NaN";
    let mut io = json!({
        "inputTableColumnInfos": tables,
        "estimate": {
            "outputRowCount": unknown, "outputSizeInBytes": unknown,
            "cpuCost": unknown, "maxMemory": unknown, "networkCost": unknown,
        },
    });
    if let Some(into) = into {
        io["outputTable"] = named(into.database.as_deref().unwrap_or(&context.database), &into.name);
    }
    Ok(io)
}

/// Runs the query for its plan with what each step did.
async fn analyzed(planned: &Planned) -> Result<String, Failure> {
    let failed = |error| errors::failure(&error, &planned.places);
    let plan = planned.state.create_physical_plan(&planned.plan).await.map_err(failed)?;
    let mut batches = execute_stream(Arc::clone(&plan), planned.state.task_ctx()).map_err(failed)?;
    while let Some(batch) = batches.next().await {
        batch.map_err(failed)?;
    }
    Ok(DisplayableExecutionPlan::with_metrics(plan.as_ref()).indent(false).to_string())
}
