//! Trino's types in the engine's Arrow, which is finer than what clients get: a timestamp keeps its own precision.
//!
//! What Arrow cannot say (`varchar(10)`, `json`, `timestamp(1)`) travels in the field's metadata.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit};

use crate::emulator::model::{Failure, ResultColumn};
use crate::types::{AthenaType, RowField};

/// Metadata key under which a field carries its Athena type.
const ATHENA_TYPE: &str = "athena:type";
/// Metadata key of a row's field that has no name; Arrow's structs name all of theirs.
const UNNAMED: &str = "athena:unnamed";

/// The Arrow type the engine computes with.
pub fn arrow(data_type: &AthenaType) -> Result<DataType, Failure> {
    Ok(match data_type {
        AthenaType::Boolean => DataType::Boolean,
        AthenaType::Tinyint => DataType::Int8,
        AthenaType::Smallint => DataType::Int16,
        AthenaType::Integer => DataType::Int32,
        AthenaType::Bigint => DataType::Int64,
        AthenaType::Real => DataType::Float32,
        AthenaType::Double => DataType::Float64,
        AthenaType::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale as i8),
        AthenaType::Varchar(_)
        | AthenaType::Char(_)
        | AthenaType::Json
        | AthenaType::Uuid
        | AthenaType::Ipaddress
        | AthenaType::TimeWithTimeZone(_) => DataType::Utf8,
        AthenaType::Varbinary => DataType::Binary,
        AthenaType::Date => DataType::Date32,
        AthenaType::Time(precision) => match unit(precision.unwrap_or(3))? {
            unit @ (TimeUnit::Second | TimeUnit::Millisecond) => DataType::Time32(unit),
            unit => DataType::Time64(unit),
        },
        AthenaType::Timestamp(precision) => DataType::Timestamp(unit(precision.unwrap_or(3))?, None),
        AthenaType::TimestampWithTimeZone(precision) => {
            DataType::Timestamp(unit(precision.unwrap_or(3))?, Some("UTC".into()))
        }
        AthenaType::IntervalYearToMonth => DataType::Interval(IntervalUnit::YearMonth),
        AthenaType::IntervalDayToSecond => DataType::Interval(IntervalUnit::MonthDayNano),
        AthenaType::Array(Some(element)) => DataType::List(Arc::new(field("item", element)?)),
        AthenaType::Map(Some(entry)) => {
            let entries = Fields::from(vec![field("key", &entry.0)?.with_nullable(false), field("value", &entry.1)?]);
            DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
        }
        AthenaType::Row(Some(fields)) => {
            let fields = fields.iter().enumerate().map(|(i, row_field)| {
                let Some(name) = &row_field.name else {
                    let unnamed = field(&format!("field{i}"), &row_field.data_type)?;
                    let mut metadata = unnamed.metadata().clone();
                    metadata.insert(UNNAMED.to_owned(), String::new());
                    return Ok(unnamed.with_metadata(metadata));
                };
                field(name, &row_field.data_type)
            });
            DataType::Struct(fields.collect::<Result<_, _>>()?)
        }
        AthenaType::Unknown => DataType::Null,
        other => return Err(Failure::not_supported(None, format!("the type {other}"))),
    })
}

fn unit(precision: u8) -> Result<TimeUnit, Failure> {
    match precision {
        0 => Ok(TimeUnit::Second),
        1..=3 => Ok(TimeUnit::Millisecond),
        4..=6 => Ok(TimeUnit::Microsecond),
        7..=9 => Ok(TimeUnit::Nanosecond),
        _ => Err(Failure::not_supported(None, format!("times with {precision} fractional digits"))),
    }
}

/// A nullable field that knows its Athena type: by its Arrow type where that says it all, else by its metadata.
pub fn field(name: &str, data_type: &AthenaType) -> Result<Field, Failure> {
    let field = Field::new(name, arrow(data_type)?, true);
    if athena_of(field.data_type()).is_ok_and(|said| said == *data_type) {
        return Ok(field);
    }
    Ok(field.with_metadata([(ATHENA_TYPE.to_owned(), data_type.to_string())].into()))
}

/// The Athena type of a field: what its metadata says, if that still fits its Arrow type, else what Arrow says.
pub fn athena(field: &Field) -> Result<AthenaType, Failure> {
    let said = field.metadata().get(ATHENA_TYPE).and_then(|text| AthenaType::parse(text).ok());
    if let Some(said) = said
        && arrow(&said).is_ok_and(|expected| same_but_zone(&expected, field.data_type()))
    {
        return Ok(said);
    }
    athena_of(field.data_type())
}

/// Zoned timestamps carry their zone in the Arrow type, so it is one per column, not one per value.
fn same_but_zone(a: &DataType, b: &DataType) -> bool {
    match (a, b) {
        (DataType::Timestamp(a, Some(_)), DataType::Timestamp(b, Some(_))) => a == b,
        (a, b) => a == b,
    }
}

/// A zoned timestamp type in another zone; any other type as it is.
pub fn in_zone(data_type: DataType, zone: &str) -> DataType {
    match data_type {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(unit, Some(zone.into())),
        other => other,
    }
}

/// The Athena type of bare Arrow data.
pub fn athena_of(data_type: &DataType) -> Result<AthenaType, Failure> {
    let digits = |unit: &TimeUnit| {
        Some(match unit {
            TimeUnit::Second => 0,
            TimeUnit::Millisecond => 3,
            TimeUnit::Microsecond => 6,
            TimeUnit::Nanosecond => 9,
        })
    };
    Ok(match data_type {
        DataType::Null => AthenaType::Unknown,
        DataType::Boolean => AthenaType::Boolean,
        DataType::Int8 => AthenaType::Tinyint,
        DataType::Int16 => AthenaType::Smallint,
        DataType::Int32 => AthenaType::Integer,
        DataType::Int64 => AthenaType::Bigint,
        DataType::Float32 => AthenaType::Real,
        DataType::Float64 => AthenaType::Double,
        DataType::Decimal128(precision, scale @ 0..) => {
            AthenaType::Decimal { precision: *precision, scale: *scale as u8 }
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => AthenaType::Varchar(None),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            AthenaType::Varbinary
        }
        DataType::Date32 => AthenaType::Date,
        DataType::Time32(unit) | DataType::Time64(unit) => AthenaType::Time(digits(unit)),
        DataType::Timestamp(unit, None) => AthenaType::Timestamp(digits(unit)),
        DataType::Timestamp(unit, Some(_)) => AthenaType::TimestampWithTimeZone(digits(unit)),
        DataType::Interval(IntervalUnit::YearMonth) => AthenaType::IntervalYearToMonth,
        DataType::Interval(_) | DataType::Duration(_) => AthenaType::IntervalDayToSecond,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            AthenaType::Array(Some(Box::new(athena(item)?)))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                AthenaType::Map(Some(Box::new((athena(&fields[0])?, athena(&fields[1])?))))
            }
            _ => return Err(Failure::internal("a map without entries")),
        },
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| {
                let name = (!field.metadata().contains_key(UNNAMED)).then(|| field.name().clone());
                Ok(RowField { name, data_type: athena(field)? })
            });
            AthenaType::Row(Some(fields.collect::<Result<_, Failure>>()?))
        }
        DataType::Dictionary(_, values) => athena_of(values)?,
        other => return Err(Failure::not_supported(None, format!("values of the Arrow type {other}"))),
    })
}

/// How `ColumnInfo` describes a column (athena-behaviour, section 4).
pub fn result_column(name: String, data_type: &AthenaType) -> ResultColumn {
    let (precision, scale) = match data_type {
        AthenaType::Tinyint => (3, 0),
        AthenaType::Smallint => (5, 0),
        AthenaType::Integer => (10, 0),
        AthenaType::Bigint => (19, 0),
        AthenaType::Real | AthenaType::Double => (17, 0),
        AthenaType::Decimal { precision, scale } => (i32::from(*precision), i32::from(*scale)),
        AthenaType::Varchar(length) => (length.map_or(i32::MAX, |length| length as i32), 0),
        AthenaType::Char(length) => (length.unwrap_or(1) as i32, 0),
        AthenaType::Varbinary => (1_073_741_824, 0),
        AthenaType::Time(_)
        | AthenaType::TimeWithTimeZone(_)
        | AthenaType::Timestamp(_)
        | AthenaType::TimestampWithTimeZone(_) => (3, 0),
        _ => (0, 0),
    };
    let case_sensitive = matches!(data_type, AthenaType::Varchar(_) | AthenaType::Char(_));
    ResultColumn { name, data_type: data_type.base_name().to_owned(), precision, scale, case_sensitive }
}
