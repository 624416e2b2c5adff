//! A statement's parameters: where they are in its text, and how values get there.
//!
//! Values go to Athena beside the text (ExecutionParameters) where it takes them, which is where they are measured to work
//! (athena-behaviour, section 2), and as literals in the text elsewhere. Either way they are the literals of
//! [`crate::types::literal`].

use arrow::array::{ArrayRef, RecordBatch};

use super::classify::Statement;
use crate::sql::{self, Kind};
use crate::types::literal::{LiteralFault, literal};

/// Values for all parameters of a statement, as SQL literals.
pub type Row = Vec<String>;

/// Longest value that Athena takes beside the text, in bytes (the limit of `ExecutionParameter`).
const MAX_VALUE_BYTES: usize = 1024;

/// Why values cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("parameter {column}, row {row}: {fault}")]
pub struct BindFault {
    /// Both from 1.
    pub column: usize,
    pub row: usize,
    fault: LiteralFault,
}

/// The rows of a batch as values.
pub fn rows(batch: &RecordBatch) -> impl Iterator<Item = Result<Row, BindFault>> {
    (0..batch.num_rows()).map(|row| {
        let columns = batch.columns().iter().enumerate();
        let value = |(column, array): (usize, &ArrayRef)| {
            literal(array, row).map_err(|fault| BindFault { column: column + 1, row: row + 1, fault })
        };
        columns.map(value).collect()
    })
}

/// A parameter of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placeholder {
    /// Where its `?` is.
    pub at: usize,
    /// Whether it is a number of rows: of LIMIT, OFFSET or FETCH FIRST.
    pub counts_rows: bool,
}

/// The parameters of a text, in order. Those in strings, quoted names, comments and row patterns are none.
pub fn placeholders(sql: &str) -> Vec<Placeholder> {
    let (mut found, mut counts_rows) = (Vec::new(), false);
    for token in sql::tokens(sql) {
        if token.kind == Kind::Placeholder {
            found.push(Placeholder { at: token.start, counts_rows });
        }
        counts_rows = token.is_any_word(&["limit", "offset", "first", "next"]);
    }
    found
}

/// A statement as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    pub sql: String,
    /// ExecutionParameters.
    pub values: Row,
}

impl Bound {
    /// A text without parameters.
    pub fn text(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), values: Row::new() }
    }

    /// A statement with a value for each of its parameters.
    pub fn new(sql: &str, statement: &Statement, values: &[String]) -> Self {
        let beside = statement.takes_values && values.iter().all(|value| value.len() <= MAX_VALUE_BYTES);
        if values.is_empty() || beside {
            Self { sql: sql.to_owned(), values: values.to_vec() }
        } else {
            Self::text(written_out(sql, values))
        }
    }

    /// The same with all values in the text.
    pub fn written_out(&self) -> String {
        written_out(&self.sql, &self.values)
    }
}

/// A query as it can be explained before there are values: its columns do not depend on them, unless a parameter is one.
pub fn without_values(sql: &str) -> String {
    with_values(sql, |_, placeholder| if placeholder.counts_rows { "1" } else { "NULL" })
}

fn written_out(sql: &str, values: &[String]) -> String {
    with_values(sql, |i, _| values.get(i).map_or("NULL", String::as_str))
}

/// A text with literals where its parameters were. Brackets and blanks keep each one a thing of its own: behind a minus,
/// `-1` would begin a comment.
fn with_values<'a>(sql: &str, value: impl Fn(usize, Placeholder) -> &'a str) -> String {
    let (mut out, mut done) = (String::with_capacity(sql.len()), 0);
    for (i, placeholder) in placeholders(sql).into_iter().enumerate() {
        let value = value(i, placeholder);
        out.push_str(&sql[done..placeholder.at]);
        if value.starts_with('-') {
            out.extend([" (", value, ") "]);
        } else {
            out.extend([" ", value, " "]);
        }
        done = placeholder.at + 1;
    }
    out.push_str(&sql[done..]);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::statement::Class;

    #[test]
    fn placeholders_are_found_where_they_are_some() {
        let sql = "select '?', \"?\", ? -- ?\n from t where a = ? /* ? */ offset ? limit ?";
        let found = placeholders(sql);
        assert!(found.iter().all(|placeholder| &sql[placeholder.at..=placeholder.at] == "?"));
        assert_eq!(found.iter().map(|p| p.counts_rows).collect::<Vec<_>>(), [false, false, true, true]);
        assert_eq!(without_values("select a from t where a=?limit ?"), "select a from t where a= NULL limit  1 ");
        assert_eq!(
            without_values("select ? -- ?\r, ? /* /* ? */ + ?"),
            "select  NULL  -- ?\r,  NULL  /* /* ? */ +  NULL "
        );
    }

    #[test]
    fn values_go_beside_the_text_or_into_it() {
        let bound = |sql: &str, values: &[&str]| {
            let values: Row = values.iter().map(|value| (*value).to_owned()).collect();
            Bound::new(sql, &Statement::of(sql), &values)
        };
        assert_eq!(bound("select ?", &["1"]), Bound { sql: "select ?".into(), values: vec!["1".into()] });
        assert_eq!(bound("insert into a values (?)", &["1"]).values.len(), 1);
        assert_eq!(bound("delete from a where b = 3-?", &["-1"]), Bound::text("delete from a where b = 3- (-1) "));
        assert_eq!(bound("explain select ?", &["'?'"]), Bound::text("explain select  '?' "));
        let long = format!("'{}'", "x".repeat(2000));
        assert_eq!(bound("select ?, ?", &["1", &long]), Bound::text(format!("select  1 ,  {long} ")));
        assert_eq!(bound("select '?'", &[]), Bound::text("select '?'"));
    }

    proptest! {
        /// A text put into a statement is one string there: what follows it is what followed the parameter.
        #[test]
        fn a_hostile_text_changes_nothing_around_it(value in "['\"\\\\;/*? \\-]{0,12}|\\PC{0,8}") {
            let array = arrow::array::StringArray::from(vec![value.as_str()]);
            let literal = literal(&array, 0).expect("a text");
            let sql = with_values("delete from a where b = ? and c = ?", |i, _| if i == 0 { &literal } else { "2" });
            let outer = sql.strip_prefix("delete from a where b =  ").and_then(|rest| rest.strip_suffix("  and c =  2 "));
            prop_assert_eq!(outer, Some(literal.as_str()));
            let statement = Statement::of(&sql);
            prop_assert_eq!((statement.class, statement.placeholders, statement.end), (Class::Update, 0, sql.trim_end().len()));
        }
    }
}
