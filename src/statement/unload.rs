//! A query as an UNLOAD to Parquet files (athena-behaviour, section 5).
//!
//! UNLOAD wants a name for every column and each name once, and it refuses some types. So every query is wrapped the same
//! way: its columns are named by position, and what UNLOAD refuses is cast to a text or a type that holds the same values.
//! The names, the types and the casts are undone when the files are read ([`crate::results::unload`]).

use crate::types::column::Column;
use crate::types::{AthenaType, RowField};

/// Why a column cannot go through UNLOAD.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("UNLOAD cannot carry {data_type} exactly (column {column:?})")]
pub struct NotCarried {
    pub column: String,
    pub data_type: String,
}

/// Lines that [`wrap`] puts before the query.
pub const LINES_BEFORE: u64 = 3;

/// The UNLOAD of a query's rows into an empty prefix. `query` has no semicolon at its end.
pub fn wrap(query: &str, columns: &[Column], to: &str) -> Result<String, NotCarried> {
    let outputs = outputs(columns)?.join(", ");
    let names: Vec<String> = (0..columns.len()).map(|i| format!("c{i}")).collect();
    let (names, to) = (names.join(", "), to.replace('\'', "''"));
    // Line ends around the query: it may end in a comment.
    Ok(format!(
        "UNLOAD (\nSELECT {outputs}\nFROM (\n{query}\n) AS t ({names})\n) TO '{to}'\n\
         WITH (format = 'PARQUET', compression = 'SNAPPY')"
    ))
}

/// Whether every column can go through UNLOAD.
pub fn check(columns: &[Column]) -> Result<(), NotCarried> {
    outputs(columns).map(drop)
}

/// What is selected for each column.
fn outputs(columns: &[Column]) -> Result<Vec<String>, NotCarried> {
    let output = |(i, column): (usize, &Column)| {
        let name = format!("c{i}");
        let not_carried = || NotCarried { column: column.name.clone(), data_type: column.data_type.to_string() };
        Ok(match carry(&name, &column.data_type).ok_or_else(not_carried)? {
            Some(expression) => format!("{expression} AS {name}"),
            None => name,
        })
    };
    columns.iter().enumerate().map(output).collect()
}

/// The expression that UNLOAD can write and that holds the same values; `None` for the column itself, and no answer where
/// there is no such expression.
fn carry(name: &str, data_type: &AthenaType) -> Option<Option<String>> {
    Some(match data_type {
        AthenaType::Json => Some(format!("json_format({name})")),
        // As text in UTC: a local time in an hour that comes twice would not say which instant it is.
        AthenaType::TimestampWithTimeZone(_) => Some(format!("CAST({name} AT TIME ZONE 'UTC' AS varchar)")),
        other => {
            let carried = carried(other)?;
            (carried != *other).then(|| format!("CAST({name} AS {carried})"))
        }
    })
}

/// The type in the files.
fn carried(data_type: &AthenaType) -> Option<AthenaType> {
    use AthenaType::*;
    Some(match data_type {
        Boolean
        | Tinyint
        | Smallint
        | Integer
        | Bigint
        | Real
        | Double
        | Decimal { .. }
        | Varchar(_)
        | Char(_)
        | Varbinary
        | Date
        | Timestamp(None | Some(0..=3)) => data_type.clone(),
        Timestamp(_) | Time(_) | TimeWithTimeZone(_) | IntervalYearToMonth | IntervalDayToSecond | Uuid | Ipaddress
        | Unknown => Varchar(None),
        Array(Some(element)) => Array(Some(Box::new(carried(element)?))),
        Map(Some(entry)) => Map(Some(Box::new((carried(&entry.0)?, carried(&entry.1)?)))),
        // Hive's structs have a name for each field, and case does not tell names apart.
        Row(Some(fields)) => Row(Some(
            fields
                .iter()
                .enumerate()
                .map(|(i, field)| Some(RowField { name: Some(format!("f{i}")), data_type: carried(&field.data_type)? }))
                .collect::<Option<_>>()?,
        )),
        Json | TimestampWithTimeZone(_) | Array(None) | Map(None) | Row(None) | Other(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(types: &[&str]) -> Result<String, NotCarried> {
        let columns = types.iter().map(|name| Column::new("same", AthenaType::parse(name).expect("a type")));
        wrap("SELECT 1 -- one", &columns.collect::<Vec<_>>(), "s3://b/it's/")
    }

    #[test]
    fn columns_are_named_by_position_and_cast_where_they_must_be() {
        insta::assert_snapshot!(
            wrapped(&["bigint", "timestamp(3)", "json", "time(3)", "timestamp(3) with time zone"]).expect("carried"),
            @r"
        UNLOAD (
        SELECT c0, c1, json_format(c2) AS c2, CAST(c3 AS varchar) AS c3, CAST(c4 AT TIME ZONE 'UTC' AS varchar) AS c4
        FROM (
        SELECT 1 -- one
        ) AS t (c0, c1, c2, c3, c4)
        ) TO 's3://b/it''s/'
        WITH (format = 'PARQUET', compression = 'SNAPPY')
        "
        );
        let text = wrapped(&["array(row(integer, \"A\" uuid, a timestamp(6)))", "map(varchar(3), bigint)"]);
        assert!(
            text.expect("carried").contains("CAST(c0 AS array(row(f0 integer, f1 varchar, f2 varchar))) AS c0, c1\n")
        );
    }

    #[test]
    fn what_no_cast_holds_exactly_is_refused() {
        for name in ["array(json)", "row(a timestamp(3) with time zone)", "array", "hyperloglog"] {
            assert!(wrapped(&[name]).is_err(), "{name}");
        }
    }

    #[test]
    fn the_query_starts_where_it_is_said_to() {
        let text = wrapped(&["bigint"]).expect("carried");
        assert_eq!(text.lines().nth(LINES_BEFORE as usize), Some("SELECT 1 -- one"));
    }
}
