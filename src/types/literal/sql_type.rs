//! The Athena type that the values of an Arrow type have as parameters: the narrowest that holds all of them.

use arrow::datatypes::{DataType, FieldRef, IntervalUnit, TimeUnit};

use crate::types::{AthenaType, RowField};

/// Digits of Athena's widest decimal.
pub const MAX_DIGITS: u8 = 38;
/// Precision and scale of the decimal that holds every UInt64.
pub const UINT64: (u8, u8) = (20, 0);

/// The type, or `None` where it is another one for each value, or no literal says it.
pub fn sql_type(data_type: &DataType) -> Option<AthenaType> {
    Some(match data_type {
        DataType::Boolean => AthenaType::Boolean,
        DataType::Int8 => AthenaType::Tinyint,
        DataType::Int16 | DataType::UInt8 => AthenaType::Smallint,
        DataType::Int32 | DataType::UInt16 => AthenaType::Integer,
        DataType::Int64 | DataType::UInt32 => AthenaType::Bigint,
        DataType::UInt64 => decimal_type(UINT64),
        DataType::Float16 | DataType::Float32 => AthenaType::Real,
        DataType::Float64 => AthenaType::Double,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => decimal_type(decimal(*precision, *scale)),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => AthenaType::Varchar(None),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            AthenaType::Varbinary
        }
        DataType::Date32 | DataType::Date64 => AthenaType::Date,
        DataType::Time32(unit) | DataType::Time64(unit) => AthenaType::Time(Some(digits(*unit))),
        DataType::Timestamp(unit, None) => AthenaType::Timestamp(Some(digits(*unit))),
        DataType::Timestamp(unit, Some(_)) => AthenaType::TimestampWithTimeZone(Some(digits(*unit))),
        DataType::Interval(IntervalUnit::YearMonth) => AthenaType::IntervalYearToMonth,
        DataType::Interval(IntervalUnit::DayTime) | DataType::Duration(_) => AthenaType::IntervalDayToSecond,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::ListView(field)
        | DataType::LargeListView(field) => AthenaType::Array(Some(Box::new(sql_type(field.data_type())?))),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                let (key, value) = (sql_type(fields[0].data_type())?, sql_type(fields[1].data_type())?);
                AthenaType::Map(Some(Box::new((key, value))))
            }
            _ => return None,
        },
        DataType::Struct(fields) if !fields.is_empty() => {
            AthenaType::Row(Some(fields.iter().map(row_field).collect::<Option<_>>()?))
        }
        DataType::Dictionary(_, values) => sql_type(values)?,
        DataType::RunEndEncoded(_, values) => sql_type(values.data_type())?,
        // A union's values are each of their own type, and so are intervals of months, days and nanoseconds.
        DataType::Null | DataType::Interval(IntervalUnit::MonthDayNano) | DataType::Struct(_) | DataType::Union(..) => {
            return None;
        }
    })
}

fn row_field(field: &FieldRef) -> Option<RowField> {
    let name = Some(field.name().clone()).filter(|name| !name.is_empty());
    Some(RowField { name, data_type: sql_type(field.data_type())? })
}

/// A type as CAST takes it: every field's name in quotes, for it may be a word of SQL's.
pub fn spelled(data_type: &AthenaType) -> String {
    match data_type {
        AthenaType::Array(Some(element)) => format!("array({})", spelled(element)),
        AthenaType::Map(Some(entry)) => format!("map({}, {})", spelled(&entry.0), spelled(&entry.1)),
        AthenaType::Row(Some(fields)) => {
            let field = |field: &RowField| match &field.name {
                Some(name) => format!("\"{}\" {}", name.replace('"', "\"\""), spelled(&field.data_type)),
                None => spelled(&field.data_type),
            };
            format!("row({})", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Precision and scale of Athena's decimal for one of Arrow's, which may be wider, and have a scale below zero.
pub fn decimal(precision: u8, scale: i8) -> (u8, u8) {
    let places = scale.unsigned_abs();
    if scale < 0 {
        return (precision.saturating_add(places).min(MAX_DIGITS), 0);
    }
    let precision = precision.max(places).clamp(1, MAX_DIGITS);
    (precision, places.min(precision))
}

fn decimal_type((precision, scale): (u8, u8)) -> AthenaType {
    AthenaType::Decimal { precision, scale }
}

/// Digits behind the seconds.
fn digits(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}
