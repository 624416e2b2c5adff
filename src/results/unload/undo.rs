//! Arrays as an UNLOAD's files have them → arrays of the result's types: names, casts and units undone, by position.

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;

use super::super::rows::RowFault;
use crate::types::AthenaType;
use crate::types::arrow::{element_field, entries_field, row_fields};
use crate::types::builder::{ColumnBuilder, Misfit};
use crate::types::cell::Cell;
use crate::types::column::Column;
use crate::types::value::ValueFault;

/// A column of a file as the column of the result that was wrapped. `row` is the number of the row before the first.
pub fn undo(array: &ArrayRef, column: &Column, row: u64) -> Result<ArrayRef, RowFault> {
    convert(array, &column.data_type).map_err(|Misfit { index, fault }| {
        let text = array.as_string_opt::<i32>().filter(|texts| index < texts.len()).map(|texts| texts.value(index));
        RowFault::value(column, row + index as u64 + 1, text.unwrap_or_default(), fault)
    })
}

fn convert(array: &ArrayRef, data_type: &AthenaType) -> Result<ArrayRef, Misfit> {
    match (data_type, array.data_type()) {
        (AthenaType::Char(Some(length)), DataType::Utf8) => Ok(padded(array.as_string(), *length as usize)),
        (AthenaType::Array(Some(element)), DataType::List(_)) => {
            let list = array.as_list::<i32>();
            let values = convert(list.values(), element)?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(ListArray::new(element_field(element), offsets, values, nulls)))
        }
        (AthenaType::Map(Some(entry)), DataType::Map(..)) => {
            let map = array.as_map();
            let field = entries_field(&entry.0, &entry.1);
            let DataType::Struct(fields) = field.data_type() else { unreachable!("entries are a struct") };
            let values = vec![convert(map.keys(), &entry.0)?, convert(map.values(), &entry.1)?];
            let entries = StructArray::new(fields.clone(), values, None);
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::new(field, offsets, entries, nulls, false)))
        }
        (AthenaType::Row(Some(fields)), DataType::Struct(found)) if fields.len() == found.len() => {
            let rows = array.as_struct();
            let values = rows.columns().iter().zip(fields).map(|(values, field)| convert(values, &field.data_type));
            let values = values.collect::<Result<Vec<_>, _>>()?;
            Ok(Arc::new(StructArray::new(row_fields(fields), values, rows.nulls().cloned())))
        }
        (AthenaType::Array(_) | AthenaType::Map(_) | AthenaType::Row(_), _) => {
            Err(Misfit { index: 0, fault: ValueFault::NotA("value of its nested type") })
        }
        (data_type, found) if *found == data_type.arrow() => Ok(Arc::clone(array)),
        (data_type, DataType::Utf8) => {
            let mut builder = ColumnBuilder::new(data_type);
            builder.append_all(
                array.as_string::<i32>().iter().map(|text| text.map(|text| Cell::alone(text.as_bytes()))),
            )?;
            builder.finish()
        }
        // Narrow integers are wider in files, and times come in other units.
        (data_type, found) => {
            let exact = CastOptions { safe: false, ..CastOptions::default() };
            let narrower = found.is_integer() && data_type.arrow().is_integer();
            let same_kind = narrower
                || matches!(
                    (found, data_type),
                    (DataType::Timestamp(_, None), AthenaType::Timestamp(_))
                        | (
                            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..),
                            AthenaType::Decimal { .. }
                        )
                        | (DataType::Null, _)
                );
            let cast = if same_kind { cast_with_options(array, &data_type.arrow(), &exact).ok() } else { None };
            cast.ok_or(Misfit { index: 0, fault: ValueFault::NotA("value of its type in the file") })
        }
    }
}

/// `char(n)` has n characters; writers leave blanks at the end out.
fn padded(texts: &StringArray, length: usize) -> ArrayRef {
    Arc::new(texts.iter().map(|text| text.map(|text| format!("{text:length$}"))).collect::<StringArray>())
}
