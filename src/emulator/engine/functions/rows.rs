//! ROW values and their fields; typeof.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, StringArray, StructArray};
use datafusion::arrow::compute::nullif;
use datafusion::arrow::datatypes::DataType;

use super::elements::row_columns;
use super::{Checked, Constants, Native, Typing, constant_text, internal, strings, to, varchar};
use crate::emulator::engine::types;
use crate::emulator::model::Failure;
use crate::types::AthenaType::{self, *};
use crate::types::RowField;

pub const FUNCTIONS: &[Native] = &[
    Native::of("athena_row", row_type, row).seeing_nulls(),
    Native::new("athena_field", Typing::ByConstant(field_type), field),
    Native::of("athena_typeof", |given| (given.len() == 1).then(varchar), type_of).seeing_nulls(),
];

fn type_of(args: &[ArrayRef], given: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let name = given[0].to_string();
    Ok(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(name, args[0].len()))))
}

fn row_type(given: &[AthenaType]) -> Option<AthenaType> {
    let fields = given.iter().map(|t| RowField { name: None, data_type: t.clone() });
    (!given.is_empty()).then(|| Row(Some(fields.collect())))
}

fn row(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let DataType::Struct(fields) = types::arrow(result)? else { return Err(Failure::internal("a row is a struct")) };
    let columns = args.iter().zip(&fields).map(|(column, field)| to(column, field.data_type()));
    let rows = StructArray::try_new(fields.clone(), columns.collect::<Checked<_>>()?, None);
    Ok(Arc::new(rows.map_err(internal)?))
}

/// Which field a name, or a place counted from 1, stands for.
fn field_index(fields: &[RowField], text: &str) -> Checked<Option<usize>> {
    let Ok(at) = text.parse::<i64>() else {
        let named = |field: &RowField| field.name.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(text));
        return Ok(fields.iter().position(named));
    };
    match usize::try_from(at) {
        Ok(at) if (1..=fields.len()).contains(&at) => Ok(Some(at - 1)),
        _ => Err(Failure::invalid_argument(format!("Invalid subscript index: {at}. ROW indices start at 1"))),
    }
}

/// The last argument is the name, or the place, as a constant text.
pub fn field_type(given: &[AthenaType], constants: &Constants) -> Checked<Option<AthenaType>> {
    let text = constant_text(constants, constants.len().saturating_sub(1));
    match (given.first(), text) {
        (Some(Row(Some(fields))), Some(text)) => match field_index(fields, text)? {
            Some(at) => Ok(Some(fields[at].data_type.clone())),
            None => Err(Failure::column_not_found(None, text)),
        },
        _ => Ok(None),
    }
}

fn field(args: &[ArrayRef], given: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    field_at(&args[0], given, &args[1])
}

/// The field of each row that the first of these texts names.
pub fn field_at(rows: &ArrayRef, given: &[AthenaType], names: &ArrayRef) -> Checked<ArrayRef> {
    let Row(Some(fields)) = &given[0] else { return Err(Failure::internal("a field of what is no row")) };
    let names = strings(names)?;
    if names.is_empty() {
        return Ok(Arc::clone(rows));
    }
    let at = field_index(fields, names.value(0))?.ok_or_else(|| Failure::internal("no such field"))?;
    let (_, columns) = row_columns(rows)?;
    let Some(nulls) = rows.nulls() else { return Ok(Arc::clone(&columns[at])) };
    // The field of a NULL row is NULL, whatever lies beneath.
    let absent = datafusion::arrow::array::BooleanArray::new(!nulls.inner(), None);
    nullif(&columns[at], &absent).map_err(internal)
}
