//! Spells a type Trino's way (results, EXPLAIN, views) or Hive's way (Glue, DDL).

use std::fmt;

use super::{AthenaType, RowField};

/// Trino's full spelling, the one Athena shows people: `row(a integer, b array(varchar))`.
impl fmt::Display for AthenaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Varchar(Some(length)) => write!(f, "varchar({length})"),
            Self::Char(Some(length)) => write!(f, "char({length})"),
            Self::Time(Some(p)) => write!(f, "time({p})"),
            Self::TimeWithTimeZone(Some(p)) => write!(f, "time({p}) with time zone"),
            Self::Timestamp(Some(p)) => write!(f, "timestamp({p})"),
            Self::TimestampWithTimeZone(Some(p)) => write!(f, "timestamp({p}) with time zone"),
            Self::Array(Some(element)) => write!(f, "array({element})"),
            Self::Map(Some(entry)) => write!(f, "map({}, {})", entry.0, entry.1),
            Self::Row(Some(fields)) => {
                f.write_str("row(")?;
                for (i, field) in fields.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    fmt_row_field(field, f)?;
                }
                f.write_str(")")
            }
            Self::Real => f.write_str("real"),
            Self::Other(name) => f.write_str(name),
            bare => f.write_str(bare.base_name()),
        }
    }
}

fn fmt_row_field(field: &RowField, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(name) = &field.name else { return write!(f, "{}", field.data_type) };
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain {
        write!(f, "{name} {}", field.data_type)
    } else {
        write!(f, "\"{}\" {}", name.replace('"', "\"\""), field.data_type)
    }
}

impl AthenaType {
    /// The name alone, as `ColumnInfo.Type` has it: `decimal`, `array`, `float` (athena-behaviour, section 4).
    pub fn base_name(&self) -> &str {
        match self {
            Self::Boolean => "boolean",
            Self::Tinyint => "tinyint",
            Self::Smallint => "smallint",
            Self::Integer => "integer",
            Self::Bigint => "bigint",
            Self::Real => "float",
            Self::Double => "double",
            Self::Decimal { .. } => "decimal",
            Self::Varchar(_) => "varchar",
            Self::Char(_) => "char",
            Self::Varbinary => "varbinary",
            Self::Date => "date",
            Self::Time(_) => "time",
            Self::TimeWithTimeZone(_) => "time with time zone",
            Self::Timestamp(_) => "timestamp",
            Self::TimestampWithTimeZone(_) => "timestamp with time zone",
            Self::IntervalYearToMonth => "interval year to month",
            Self::IntervalDayToSecond => "interval day to second",
            Self::Json => "json",
            Self::Uuid => "uuid",
            Self::Ipaddress => "ipaddress",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Row(_) => "row",
            Self::Unknown => "unknown",
            Self::Other(name) => name,
        }
    }

    /// Hive's spelling, as Glue and `SHOW COLUMNS` have it: `struct<a:int,b:array<string>>`.
    pub fn hive(&self) -> String {
        match self {
            Self::Integer => "int".into(),
            Self::Varchar(None) => "string".into(),
            Self::Varbinary => "binary".into(),
            Self::Timestamp(_) => "timestamp".into(),
            Self::Real => "float".into(),
            Self::Array(Some(element)) => format!("array<{}>", element.hive()),
            Self::Map(Some(entry)) => format!("map<{},{}>", entry.0.hive(), entry.1.hive()),
            Self::Row(Some(fields)) => {
                let fields: Vec<String> = fields
                    .iter()
                    .enumerate()
                    .map(|(i, field)| match &field.name {
                        Some(name) => format!("{name}:{}", field.data_type.hive()),
                        None => format!("field{i}:{}", field.data_type.hive()),
                    })
                    .collect();
                format!("struct<{}>", fields.join(","))
            }
            other => other.to_string(),
        }
    }
}
