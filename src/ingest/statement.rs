//! The statements that copy staged rows into a table.

use super::IngestFault;
use super::columns::Stored;
use crate::catalog::Table;
use crate::statement::names::quoted;
use crate::types::AthenaType;

/// Makes a table of all staged rows.
pub fn create(table: &str, staged: &str, stored: &Stored) -> String {
    let columns: Vec<String> = stored.columns.iter().map(|(name, _)| quoted(name)).collect();
    let (table, staged, columns) = (quoted(table), quoted(staged), columns.join(", "));
    format!("CREATE TABLE {table} WITH (format = 'PARQUET') AS SELECT {columns} FROM {staged}")
}

/// Appends all staged rows to a table that there is, by the columns' names. Columns that only the table has are NULL.
pub fn append(table: &Table, staged: &str, stored: &Stored) -> Result<String, IngestFault> {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (name, data_type) in &stored.columns {
        let column = table.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
        let mismatch = |why: String| IngestFault::Mismatch { table: table.name.clone(), column: name.clone(), why };
        let column = column.ok_or_else(|| mismatch("it has no such column".to_owned()))?;
        let value = quoted(name);
        values.push(match fit(data_type, &column.data_type) {
            Fit::Same => value,
            Fit::Cast => format!("CAST({value} AS {})", column.data_type),
            Fit::Not => {
                let why = format!("{data_type} cannot be put into {} without loss", column.data_type);
                return Err(mismatch(why));
            }
        });
        names.push(quoted(&column.name));
    }
    let (table, staged) = (quoted(&table.name), quoted(staged));
    Ok(format!("INSERT INTO {table} ({}) SELECT {} FROM {staged}", names.join(", "), values.join(", ")))
}

/// How values of one type get into a column of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// Athena does it, and refuses values that do not fit.
    Same,
    /// A cast that is exact or fails.
    Cast,
    Not,
}

fn fit(from: &AthenaType, to: &AthenaType) -> Fit {
    use AthenaType::*;
    let is_integer = |data_type: &AthenaType| matches!(data_type, Tinyint | Smallint | Integer | Bigint);
    match (from, to) {
        (from, to) if from == to => Fit::Same,
        // A text that is too long is refused; a cast would cut it.
        (Varchar(_), Varchar(_) | Char(_)) | (Timestamp(_), Timestamp(_)) => Fit::Same,
        (from, to) if is_integer(from) && (is_integer(to) || matches!(to, Decimal { .. })) => Fit::Cast,
        (Tinyint | Smallint | Integer, Double) | (Tinyint | Smallint, Real) | (Real, Double) => Fit::Cast,
        (Decimal { scale, .. }, Decimal { scale: places, .. }) if places >= scale => Fit::Cast,
        (Decimal { scale: 0, .. }, to) if is_integer(to) => Fit::Cast,
        (Date, Timestamp(_)) => Fit::Cast,
        _ => Fit::Not,
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::catalog::{Column, TableKind};

    fn table(columns: &[(&str, &str)]) -> Table {
        let column = |(name, data_type): &(&str, &str)| Column {
            name: (*name).to_owned(),
            data_type: AthenaType::parse(data_type).expect("a type"),
            comment: None,
        };
        let columns = columns.iter().map(column).collect();
        Table { name: "t".to_owned(), kind: TableKind::External, comment: None, columns }
    }

    #[test]
    fn rows_go_by_name_and_only_without_loss() {
        let schema = Schema::new(vec![Field::new("B", DataType::Int32, true), Field::new("a", DataType::Utf8, true)]);
        let stored = Stored::of(&schema).expect("storable");
        let text = append(&table(&[("a", "varchar(3)"), ("b", "bigint"), ("c", "date")]), "s", &stored);
        assert_eq!(
            text.as_deref(),
            Ok("INSERT INTO \"t\" (\"b\", \"a\") SELECT CAST(\"b\" AS bigint), \"a\" FROM \"s\"")
        );
        for (columns, why) in [
            (&[("a", "string")][..], "column \"b\" does not match table t: it has no such column"),
            (
                &[("a", "string"), ("b", "string")],
                "column \"b\" does not match table t: integer cannot be put into varchar",
            ),
        ] {
            let fault = append(&table(columns), "s", &stored).expect_err("it does not fit");
            assert_eq!(fault.kind(), crate::error::Kind::AlreadyExists);
            assert!(fault.to_string().starts_with(why), "{fault}");
        }
        for (from, to, expected) in [
            ("decimal(10,2)", "decimal(12,4)", Fit::Cast),
            ("decimal(10,2)", "decimal(12,1)", Fit::Not),
            ("double", "real", Fit::Not),
            ("bigint", "double", Fit::Not),
            ("timestamp", "date", Fit::Not),
            ("array<int>", "array<int>", Fit::Same),
        ] {
            let parse = |name| AthenaType::parse(name).expect("a type");
            assert_eq!(fit(&parse(from), &parse(to)), expected, "{from} {to}");
        }
    }
}
