//! Athena types in Arrow, with the column metadata that Flight SQL defines.
//!
//! Invariant: the Arrow type depends on the Athena type alone, never on the values nor on which reader ran.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, TimeUnit};

use super::{AthenaType, RowField};

/// Keys of Flight SQL's column metadata (`FlightSql.proto`, comment on `CommandGetTables`).
pub const CATALOG_NAME: &str = "ARROW:FLIGHT:SQL:CATALOG_NAME";
pub const SCHEMA_NAME: &str = "ARROW:FLIGHT:SQL:SCHEMA_NAME";
pub const TABLE_NAME: &str = "ARROW:FLIGHT:SQL:TABLE_NAME";
pub const TYPE_NAME: &str = "ARROW:FLIGHT:SQL:TYPE_NAME";
pub const PRECISION: &str = "ARROW:FLIGHT:SQL:PRECISION";
pub const SCALE: &str = "ARROW:FLIGHT:SQL:SCALE";
pub const IS_AUTO_INCREMENT: &str = "ARROW:FLIGHT:SQL:IS_AUTO_INCREMENT";
pub const IS_CASE_SENSITIVE: &str = "ARROW:FLIGHT:SQL:IS_CASE_SENSITIVE";
pub const IS_READ_ONLY: &str = "ARROW:FLIGHT:SQL:IS_READ_ONLY";
pub const IS_SEARCHABLE: &str = "ARROW:FLIGHT:SQL:IS_SEARCHABLE";
pub const REMARKS: &str = "ARROW:FLIGHT:SQL:REMARKS";

/// The time zone of every instant we send: values keep the instant, not the zone they were written in.
pub const UTC: &str = "UTC";

impl AthenaType {
    /// The Arrow type of this type's values.
    ///
    /// Timestamps are in microseconds, because nanoseconds cannot hold 9999-12-31. Arrays, maps and rows of which only
    /// the base name is known are their text.
    pub fn arrow(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Tinyint => DataType::Int8,
            Self::Smallint => DataType::Int16,
            Self::Integer => DataType::Int32,
            Self::Bigint => DataType::Int64,
            Self::Real => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale as i8),
            Self::Varbinary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time(_) => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp(_) => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampWithTimeZone(_) => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
            Self::IntervalYearToMonth => DataType::Interval(IntervalUnit::YearMonth),
            Self::IntervalDayToSecond => DataType::Duration(TimeUnit::Millisecond),
            Self::Array(Some(element)) => DataType::List(element_field(element)),
            Self::Map(Some(entry)) => DataType::Map(entries_field(&entry.0, &entry.1), false),
            Self::Row(Some(fields)) => DataType::Struct(row_fields(fields)),
            Self::Varchar(_)
            | Self::Char(_)
            | Self::TimeWithTimeZone(_)
            | Self::Json
            | Self::Uuid
            | Self::Ipaddress
            | Self::Array(None)
            | Self::Map(None)
            | Self::Row(None)
            | Self::Unknown
            | Self::Other(_) => DataType::Utf8,
        }
    }

    /// A nullable field of this type, with what Flight SQL lets a server say about a column.
    pub fn field(&self, name: &str) -> Field {
        self.field_as(name, self.arrow())
    }

    /// A field whose values are the texts that Athena writes for this type.
    pub fn text_field(&self, name: &str) -> Field {
        self.field_as(name, DataType::Utf8)
    }

    fn field_as(&self, name: &str, arrow: DataType) -> Field {
        let mut metadata = HashMap::from([
            (TYPE_NAME.to_owned(), self.type_name()),
            (IS_CASE_SENSITIVE.to_owned(), flag(matches!(self, Self::Varchar(_) | Self::Char(_) | Self::Json))),
            (IS_AUTO_INCREMENT.to_owned(), flag(false)),
            (IS_READ_ONLY.to_owned(), flag(true)),
            (IS_SEARCHABLE.to_owned(), flag(true)),
        ]);
        if let Some((precision, scale)) = self.size() {
            metadata.insert(PRECISION.to_owned(), precision.to_string());
            if let Some(scale) = scale {
                metadata.insert(SCALE.to_owned(), scale.to_string());
            }
        }
        if *self == Self::Json {
            metadata.insert("ARROW:extension:name".to_owned(), "arrow.json".to_owned());
        }
        Field::new(name, arrow, true).with_metadata(metadata)
    }

    /// The name in the TYPE_NAME metadata: Trino's spelling without the precision of times outside of nested types, which
    /// EXPLAIN knows and a result page does not, and the two must describe one schema.
    pub fn type_name(&self) -> String {
        match self {
            Self::Time(_) | Self::TimeWithTimeZone(_) | Self::Timestamp(_) | Self::TimestampWithTimeZone(_) => {
                self.base_name().to_owned()
            }
            other => other.to_string(),
        }
    }

    /// Precision (decimal digits of a number, characters of a string) and scale, as PRECISION and SCALE mean them.
    pub fn size(&self) -> Option<(u32, Option<u8>)> {
        match self {
            Self::Tinyint => Some((3, Some(0))),
            Self::Smallint => Some((5, Some(0))),
            Self::Integer => Some((10, Some(0))),
            Self::Bigint => Some((19, Some(0))),
            Self::Real => Some((7, None)),
            Self::Double => Some((15, None)),
            Self::Decimal { precision, scale } => Some((u32::from(*precision), Some(*scale))),
            Self::Varchar(length) | Self::Char(length) => length.map(|length| (length, None)),
            _ => None,
        }
    }
}

/// The elements of an array.
pub fn element_field(element: &AthenaType) -> FieldRef {
    Arc::new(Field::new_list_field(element.arrow(), true))
}

/// The entries of a map.
pub fn entries_field(key: &AthenaType, value: &AthenaType) -> FieldRef {
    let entries = [Field::new("key", key.arrow(), false), Field::new("value", value.arrow(), true)];
    Arc::new(Field::new("entries", DataType::Struct(Fields::from_iter(entries)), false))
}

/// The fields of a row; those without a name are `field0`, `field1`, … by position.
pub fn row_fields(fields: &[RowField]) -> Fields {
    let field = |(i, field): (usize, &RowField)| {
        let name = field.name.clone().unwrap_or_else(|| format!("field{i}"));
        Field::new(name, field.data_type.arrow(), true)
    };
    fields.iter().enumerate().map(field).collect()
}

/// Flight SQL writes booleans in metadata as 0 and 1.
fn flag(value: bool) -> String {
    u8::from(value).to_string()
}
