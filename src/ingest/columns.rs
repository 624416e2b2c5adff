//! Arrow columns as columns of a Hive-style Parquet table. What such a table cannot hold without loss is refused by name.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

use super::IngestFault;
use crate::types::{AthenaType, RowField};

/// Digits of Athena's widest decimal.
const MAX_DIGITS: u8 = 38;
/// Digits of the largest unsigned number.
const UNSIGNED_DIGITS: u8 = 20;

/// A stream's columns as they are stored.
#[derive(Debug, Clone)]
pub struct Stored {
    pub columns: Vec<(String, AthenaType)>,
    /// Of the file.
    pub schema: SchemaRef,
}

impl Stored {
    pub fn of(schema: &Schema) -> Result<Self, IngestFault> {
        if schema.fields().is_empty() {
            return Err(IngestFault::NoColumns);
        }
        let (mut columns, mut fields, mut names) = (Vec::new(), Vec::new(), HashSet::new());
        for field in schema.fields() {
            let name = name(field.name())?;
            if !names.insert(name.clone()) {
                return Err(IngestFault::column(
                    &name,
                    "the name comes twice: Athena does not tell upper and lower case apart",
                ));
            }
            let (athena, stored) = stored(field.data_type()).map_err(|why| IngestFault::column(&name, why))?;
            fields.push(Field::new(&name, stored, true));
            columns.push((name, athena));
        }
        Ok(Self { columns, schema: Arc::new(Schema::new(fields)) })
    }

    /// A batch as it is stored. A value that would be another one then is an error.
    pub fn convert(&self, batch: &RecordBatch) -> Result<RecordBatch, IngestFault> {
        let columns = batch.columns().iter().zip(self.schema.fields());
        let columns: Result<Vec<_>, _> = columns.map(|(array, field)| convert(array, field)).collect();
        RecordBatch::try_new(Arc::clone(&self.schema), columns?).map_err(|error| IngestFault::Batch(error.to_string()))
    }
}

fn convert(array: &ArrayRef, field: &Field) -> Result<ArrayRef, IngestFault> {
    let to = field.data_type();
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    let fault = |error: arrow::error::ArrowError| IngestFault::column(field.name(), error.to_string());
    let stored = cast_with_options(array, to, &exact).map_err(fault)?;
    let again = |stored: &ArrayRef| cast_with_options(stored, array.data_type(), &exact).map_err(fault);
    if is_rounded(array.data_type()) && again(&stored)?.as_ref() != array.as_ref() {
        let why = "it has times with more digits than milliseconds, which is what tables keep; round them first";
        return Err(IngestFault::column(field.name(), why));
    }
    Ok(stored)
}

/// Whether casting may round values of a type without saying so.
fn is_rounded(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _) | DataType::Date64 => true,
        DataType::Dictionary(_, values) => is_rounded(values),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => is_rounded(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| is_rounded(field.data_type())),
        _ => false,
    }
}

/// Names in Glue are lower case.
fn name(name: &str) -> Result<String, IngestFault> {
    let odd = name.is_empty() || name.chars().any(|c| c.is_control() || matches!(c, '`' | '"'));
    if odd {
        Err(IngestFault::column(name, "it has no name that a table's column could have"))
    } else {
        Ok(name.to_lowercase())
    }
}

/// The type of a table's column, and that of the file's.
fn stored(data_type: &DataType) -> Result<(AthenaType, DataType), String> {
    use AthenaType::*;
    Ok(match data_type {
        // A column without a single value: of any type.
        DataType::Null => (Varchar(None), DataType::Utf8),
        DataType::Boolean => (Boolean, DataType::Boolean),
        DataType::Int8 => (Tinyint, DataType::Int8),
        DataType::Int16 | DataType::UInt8 => (Smallint, DataType::Int16),
        DataType::Int32 | DataType::UInt16 => (Integer, DataType::Int32),
        DataType::Int64 | DataType::UInt32 => (Bigint, DataType::Int64),
        DataType::UInt64 => decimal(UNSIGNED_DIGITS, 0),
        DataType::Float16 | DataType::Float32 => (Real, DataType::Float32),
        DataType::Float64 => (Double, DataType::Float64),
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => {
            // Zeros before the point count as digits.
            let (scale, digits) = ((*s).max(0) as u8, p.saturating_add(s.min(&0).unsigned_abs()));
            if digits.max(scale) > MAX_DIGITS {
                return Err(format!("{data_type} has more than the {MAX_DIGITS} digits of a decimal"));
            }
            decimal(digits.max(scale), scale)
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => (Varchar(None), DataType::Utf8),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            (Varbinary, DataType::Binary)
        }
        DataType::Date32 | DataType::Date64 => (Date, DataType::Date32),
        DataType::Timestamp(_, None) => (Timestamp(None), DataType::Timestamp(TimeUnit::Millisecond, None)),
        DataType::Timestamp(_, Some(_)) => {
            return Err("tables keep no time zones: convert it to UTC and take the zone off".to_owned());
        }
        DataType::Dictionary(_, values) => stored(values)?,
        DataType::RunEndEncoded(_, values) => stored(values.data_type())?,
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::FixedSizeList(element, _)
        | DataType::ListView(element)
        | DataType::LargeListView(element) => {
            let (athena, inner) = stored(element.data_type())?;
            let field = Arc::new(Field::new(element.name(), inner, true));
            (Array(Some(Box::new(athena))), DataType::List(field))
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else { return Err(format!("{data_type} is no map")) };
            let [key, value] = [&pair[0], &pair[1]];
            let (key_type, stored_key) = stored(key.data_type())?;
            let (value_type, stored_value) = stored(value.data_type())?;
            let fields: Fields =
                vec![Field::new(key.name(), stored_key, false), Field::new(value.name(), stored_value, true)].into();
            let entries: FieldRef = Arc::new(Field::new(entries.name(), DataType::Struct(fields), false));
            (Map(Some(Box::new((key_type, value_type)))), DataType::Map(entries, false))
        }
        DataType::Struct(fields) if !fields.is_empty() => {
            let (mut row, mut inner) = (Vec::new(), Vec::new());
            for field in fields {
                let name = name(field.name()).map_err(|fault| fault.to_string())?;
                let (athena, stored) = stored(field.data_type())?;
                inner.push(Field::new(&name, stored, true));
                row.push(RowField { name: Some(name), data_type: athena });
            }
            (Row(Some(row)), DataType::Struct(inner.into()))
        }
        other => return Err(format!("a table cannot hold {other}")),
    })
}

fn decimal(precision: u8, scale: u8) -> (AthenaType, DataType) {
    (AthenaType::Decimal { precision, scale }, DataType::Decimal128(precision, scale as i8))
}

#[cfg(test)]
mod tests {
    use arrow::array::*;
    use arrow::datatypes::Int32Type;

    use super::*;

    fn batch(array: impl Array + 'static) -> RecordBatch {
        RecordBatch::try_from_iter([("C", Arc::new(array) as ArrayRef)]).expect("a batch")
    }

    #[test]
    fn columns_are_stored_without_loss_or_refused() {
        let dictionary: DictionaryArray<Int32Type> = vec!["a", "b"].into_iter().collect();
        for (batch, expected) in [
            (batch(UInt8Array::from(vec![255])), "smallint"),
            (batch(UInt64Array::from(vec![u64::MAX])), "decimal(20,0)"),
            (batch(Decimal128Array::from(vec![1]).with_precision_and_scale(5, -2).expect("fits")), "decimal(7,0)"),
            (batch(LargeStringArray::from(vec!["x"])), "string"),
            (batch(dictionary), "string"),
            (batch(TimestampNanosecondArray::from(vec![1_000_000])), "timestamp"),
            (batch(ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])])), "array<int>"),
            (batch(NullArray::new(2)), "string"),
        ] {
            let stored = Stored::of(&batch.schema()).expect("storable");
            assert_eq!((stored.columns[0].0.as_str(), stored.columns[0].1.hive().as_str()), ("c", expected));
            let converted = stored.convert(&batch).expect("no loss");
            assert_eq!(converted.num_rows(), batch.num_rows());
        }
        let rounded = batch(TimestampMicrosecondArray::from(vec![1_001]));
        let fault =
            Stored::of(&rounded.schema()).expect("storable").convert(&rounded).expect_err("it would be rounded");
        assert!(fault.to_string().contains("more digits than milliseconds"), "{fault}");
        for refused in [
            batch(TimestampSecondArray::from(vec![1]).with_timezone("UTC")),
            batch(Time32SecondArray::from(vec![1])),
            batch(DurationSecondArray::from(vec![1])),
        ] {
            assert!(Stored::of(&refused.schema()).is_err(), "{:?}", refused.schema());
        }
        let twice = Schema::new(vec![Field::new("a", DataType::Int8, true), Field::new("A", DataType::Int8, true)]);
        assert!(Stored::of(&twice).is_err() && Stored::of(&Schema::empty()).is_err());
    }
}
