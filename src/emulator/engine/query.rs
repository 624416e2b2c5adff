//! SELECT: runs the plan and streams its rows into the result object.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::physical_plan::execute_stream;
use datafusion::sql::sqlparser::ast::Query;
use futures::StreamExt;

use super::session::{Planned, Sessions};
use super::{Outcome, Task, errors, text, types, unwritable};
use crate::emulator::model::{Column, Failure, ResultColumn};
use crate::emulator::results::{self, ObjectWriter};
use crate::types::AthenaType;

pub async fn run(sessions: &Arc<Sessions>, query: Query, task: &Task) -> Result<Outcome, Failure> {
    let planned = sessions.plan(query, &task.context, task.reading()).await?;
    let columns: Vec<ResultColumn> =
        planned.columns.iter().map(|(name, data_type)| types::result_column(name.clone(), data_type)).collect();
    let location = task.output.as_deref().ok_or_else(|| Failure::internal("a query without an output location"))?;
    let mut object = ObjectWriter::create(&sessions.buckets, location).map_err(unwritable)?;
    let mut out = String::new();
    for (i, column) in columns.iter().enumerate() {
        separate(&mut out, i);
        results::push_csv_field(&mut out, Some(&column.name));
    }
    out.push('\n');
    object.write(out.as_bytes()).map_err(unwritable)?;
    let mut rows = 0;
    stream(&planned, |batch| {
        rows += batch.num_rows() as i64;
        out.clear();
        write_rows(&mut out, batch, &planned.columns)?;
        object.write(out.as_bytes()).map_err(unwritable)
    })
    .await?;
    object.finish().map_err(unwritable)?;
    let metadata = results::metadata(&task.id, &columns);
    results::write_object(&sessions.buckets, &format!("{location}.metadata"), &metadata).map_err(unwritable)?;
    Ok(Outcome { columns, rows: Some(rows), ..Outcome::default() })
}

/// Runs a plan and hands over its batches one by one.
async fn stream(planned: &Planned, mut each: impl FnMut(&RecordBatch) -> Result<(), Failure>) -> Result<(), Failure> {
    let failed = |error| errors::failure(&error, &planned.places);
    let plan = planned.state.create_physical_plan(&planned.plan).await.map_err(failed)?;
    let mut batches = execute_stream(plan, planned.state.task_ctx()).map_err(failed)?;
    while let Some(batch) = batches.next().await {
        each(&batch.map_err(failed)?)?;
    }
    Ok(())
}

fn separate(out: &mut String, column: usize) {
    if column > 0 {
        out.push(',');
    }
}

fn write_rows(out: &mut String, batch: &RecordBatch, columns: &[(String, AthenaType)]) -> Result<(), Failure> {
    let mut value = String::new();
    for row in 0..batch.num_rows() {
        for (i, (array, (_, data_type))) in batch.columns().iter().zip(columns).enumerate() {
            separate(out, i);
            value.clear();
            let known = text::append(&mut value, array, row, data_type)?;
            results::push_csv_field(out, known.then_some(value.as_str()));
        }
        out.push('\n');
    }
    Ok(())
}

/// The Glue columns of a local file whose Arrow schema was read or inferred.
pub fn local_columns(schema: &datafusion::arrow::datatypes::Schema) -> Result<Vec<Column>, Failure> {
    schema
        .fields()
        .iter()
        .map(|field| {
            let data_type = types::athena(field)?;
            Ok(Column { name: field.name().to_lowercase(), data_type: data_type.hive(), ..Column::default() })
        })
        .collect()
}
