//! Values for a statement's parameters: the rows of a batch → SQL literals.
//!
//! In a query a value keeps its Arrow type ([`Typing::Exact`]), so that `? * 2` is of one type whatever the value, and all
//! rows of values give one result. In INSERT, UPDATE and MERGE a value goes into a column, whose type it has to take: Trino
//! widens what it is given, and narrows nothing nested. Clients in Python send every number as Int64, every time with
//! microseconds and every NULL of some type, so there literals are the narrowest ([`Typing::Inferred`]): `5` goes into an
//! integer, a bigint and a decimal column, `NULL` into any. A number of rows (LIMIT, OFFSET, FETCH FIRST) has to be digits.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Schema;

use super::bind::placeholders;
use crate::sql::{self, Kind};
use crate::types::literal::sql_type::{spelled, sql_type};
use crate::types::literal::{LiteralFault, Typing, literal};

/// The value of one parameter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value {
    /// As SQL.
    pub literal: String,
    /// Its type as CAST takes it, where all values of the parameter have one and the literal says it.
    pub data_type: Option<Arc<str>>,
}

/// Values for all parameters of a statement.
pub type Row = Vec<Value>;

/// Why values cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindFault {
    #[error("the statement has {expected} parameters, {given} values were bound")]
    Count { expected: usize, given: usize },
    /// Column and row from 1.
    #[error("parameter {column}, row {row}: {fault}")]
    Value { column: usize, row: usize, fault: LiteralFault },
}

/// A statement's parameters, as far as it says what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters(Vec<Typing>);

/// The types of all parameters, where they are known.
pub type Types = Vec<Option<Arc<str>>>;

impl Parameters {
    pub fn of(sql: &str) -> Self {
        let otherwise = if goes_into_columns(sql) { Typing::Inferred } else { Typing::Exact };
        let typing = |counts_rows| if counts_rows { Typing::Inferred } else { otherwise };
        Self(placeholders(sql).iter().map(|placeholder| typing(placeholder.counts_rows)).collect())
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The types that values of a schema have.
    pub fn types(&self, schema: &Schema) -> Result<Types, BindFault> {
        let (expected, given) = (self.0.len(), schema.fields().len());
        if given != expected {
            return Err(BindFault::Count { expected, given });
        }
        let data_type = |(typing, field): (&Typing, &arrow::datatypes::FieldRef)| {
            let known = sql_type(field.data_type()).filter(|_| *typing == Typing::Exact)?;
            Some(spelled(&known).into())
        };
        Ok(self.0.iter().zip(schema.fields()).map(data_type).collect())
    }

    /// The rows of a batch, each with a value for every parameter, one at a time: their literals may be far larger than they.
    /// `before` is the number of rows in the batches before it.
    pub fn rows<'a>(
        &'a self,
        batch: &'a RecordBatch,
        before: usize,
    ) -> Result<impl Iterator<Item = Result<Row, BindFault>> + 'a, BindFault> {
        let types = self.types(batch.schema_ref())?;
        Ok((0..batch.num_rows()).map(move |row| {
            let value = |(column, array): (usize, &ArrayRef)| {
                let fault = |fault| BindFault::Value { column: column + 1, row: before + row + 1, fault };
                let literal = literal(array, row, self.0[column]).map_err(fault)?;
                Ok(Value { literal, data_type: types[column].clone() })
            };
            batch.columns().iter().enumerate().map(value).collect()
        }))
    }
}

/// Whether values go into columns of a table: in INSERT, UPDATE and MERGE, also where they are only explained. What
/// CREATE TABLE AS and UNLOAD make has the types that its query gives.
fn goes_into_columns(sql: &str) -> bool {
    const INTO_COLUMNS: [&str; 3] = ["insert", "update", "merge"];
    let words = sql::tokens(sql).filter(|token| token.kind == Kind::Word);
    let mut words = words.map(|word| word.text.to_ascii_lowercase()).peekable();
    if words.next_if(|word| word == "explain").is_some() {
        // EXPLAIN ANALYZE VERBOSE, or options in brackets: TYPE IO, FORMAT JSON.
        const OPTIONS: [&str; 11] = [
            "analyze",
            "verbose",
            "type",
            "logical",
            "distributed",
            "validate",
            "io",
            "format",
            "text",
            "graphviz",
            "json",
        ];
        while words.next_if(|word| OPTIONS.contains(&word.as_str())).is_some() {}
    }
    words.next().is_some_and(|word| INTO_COLUMNS.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, NullArray, StringArray};

    use super::*;

    #[test]
    fn values_keep_their_type_where_they_do_not_go_into_columns() {
        let numbers = Arc::new(Int64Array::from(vec![5])) as ArrayRef;
        for (sql, literals) in [
            ("select ?", &["BIGINT '5'"][..]),
            ("select ? from t limit ?", &["BIGINT '5'", "5"]),
            ("insert into t values (?)", &["5"]),
            ("-- x\n INSERT INTO t select ? from u offset ?", &["5", "5"]),
            ("update t set a = ?", &["5"]),
            ("merge into t using u on a = ? when matched then delete", &["5"]),
            ("delete from t where a = ?", &["BIGINT '5'"]),
            ("create table t as select ? as a", &["BIGINT '5'"]),
            ("unload (select ? as a) to 's3://b/'", &["BIGINT '5'"]),
            ("explain (type logical, format json) insert into t values (?)", &["5"]),
            ("explain analyze select ?", &["BIGINT '5'"]),
        ] {
            let columns: Vec<(String, ArrayRef)> =
                (0..literals.len()).map(|i| (i.to_string(), Arc::clone(&numbers))).collect();
            let (batch, parameters) = (RecordBatch::try_from_iter(columns).expect("a batch"), Parameters::of(sql));
            let rows: Vec<Row> =
                parameters.rows(&batch, 0).expect("as many").collect::<Result<_, _>>().expect("literals");
            let found: Vec<&str> = rows[0].iter().map(|value| value.literal.as_str()).collect();
            assert_eq!(found, literals, "{sql}");
            let typed = rows[0].iter().filter(|value| value.data_type.as_deref() == Some("bigint")).count();
            assert_eq!(typed, literals.iter().filter(|literal| literal.starts_with('B')).count(), "{sql}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_value_says_where_it_is() {
        let parameters = Parameters::of("select ?, ?");
        let dates = arrow::array::Date32Array::from(vec![0, i32::MAX]);
        let batch = RecordBatch::try_from_iter([
            ("a", Arc::new(StringArray::from(vec!["x", "y"])) as ArrayRef),
            ("b", Arc::new(dates) as ArrayRef),
        ]);
        let batch = batch.expect("a batch");
        let types = parameters.types(batch.schema_ref()).expect("as many");
        assert_eq!(types, [Some("varchar".into()), Some("date".into())]);
        let rows: Vec<_> = parameters.rows(&batch, 10).expect("as many").collect();
        let refused = rows[1].as_ref().expect_err("no such year").to_string();
        assert!(refused.starts_with("parameter 2, row 12: "), "{refused}");
        let one = RecordBatch::try_from_iter([("a", Arc::new(NullArray::new(0)) as ArrayRef)]).expect("a batch");
        let refused = parameters.types(one.schema_ref()).expect_err("too few").to_string();
        assert_eq!(refused, "the statement has 2 parameters, 1 values were bound");
    }
}
