//! A statement's parameters: where they are in its text, and how values get there.
//!
//! Values go to Athena beside the text (ExecutionParameters) where it takes them, which is where they are measured to work
//! (athena-behaviour, section 2), and as literals in the text elsewhere. That is decided for each value: one that only a CAST
//! says goes into the text, for the name of its type may be read as an identifier, which would make a text of the whole value.
//! Either way they are the literals of [`crate::types::literal`].

use super::classify::Statement;
pub use super::values::{Row, Value};
use crate::sql::{self, Kind};
use crate::types::literal::has_names;

/// Longest value that Athena takes beside the text, in bytes (the limit of `ExecutionParameter`).
const MAX_VALUE_BYTES: usize = 1024;

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
    pub values: Vec<String>,
}

impl Bound {
    /// A text without parameters.
    pub fn text(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), values: Vec::new() }
    }

    /// A statement with a value for each of its parameters.
    pub fn new(sql: &str, statement: &Statement, values: &[Value]) -> Self {
        let goes_beside = |value: &&Value| {
            statement.takes_values && value.literal.len() <= MAX_VALUE_BYTES && !has_names(&value.literal)
        };
        let in_text =
            |i: usize, _| values.get(i).filter(|value| !goes_beside(value)).map(|value| value.literal.as_str());
        let beside = values.iter().filter(goes_beside).map(|value| value.literal.clone());
        Self { sql: with_values(sql, in_text), values: beside.collect() }
    }

    /// The same with all values in the text.
    pub fn written_out(&self) -> String {
        with_values(&self.sql, |i, _| self.values.get(i).map(String::as_str))
    }
}

/// A query as it can be explained before there are values: its columns do not depend on them, unless a parameter is one.
pub fn without_values(sql: &str) -> String {
    with_values(sql, |_, placeholder| Some(if placeholder.counts_rows { "1" } else { "NULL" }))
}

/// A query as it can be explained for all values of some types, `None` where a type is not known: its columns are the same
/// for all of them.
pub fn with_types<'a>(sql: &str, types: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let null = |data_type: Option<&str>| data_type.map_or("NULL".to_owned(), |name| format!("CAST(NULL AS {name})"));
    let nulls: Vec<String> = types.into_iter().map(null).collect();
    let value = |i: usize, placeholder: Placeholder| {
        if placeholder.counts_rows { Some("1") } else { nulls.get(i).map(String::as_str) }
    };
    with_values(sql, value)
}

/// A text with values in place of its parameters; NULL where one is missing.
pub fn written_out(sql: &str, values: &[Value]) -> String {
    with_values(sql, |i, _| Some(values.get(i).map_or("NULL", |value| value.literal.as_str())))
}

/// A text with literals in the place of those parameters that have some. Brackets and blanks keep each one a thing of its own:
/// behind a minus, `-1` would begin a comment.
fn with_values<'a>(sql: &str, value: impl Fn(usize, Placeholder) -> Option<&'a str>) -> String {
    let (mut out, mut done) = (String::with_capacity(sql.len()), 0);
    for (i, placeholder) in placeholders(sql).into_iter().enumerate() {
        let Some(value) = value(i, placeholder) else { continue };
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
    use crate::types::literal::{Typing, literal};

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
            let value = |literal: &&str| Value { literal: (*literal).to_owned(), data_type: None };
            Bound::new(sql, &Statement::of(sql), &values.iter().map(value).collect::<Row>())
        };
        assert_eq!(bound("select ?", &["1"]), Bound { sql: "select ?".into(), values: vec!["1".into()] });
        assert_eq!(bound("insert into a values (?)", &["1"]).values.len(), 1);
        assert_eq!(bound("delete from a where b = 3-?", &["-1"]), Bound::text("delete from a where b = 3- (-1) "));
        assert_eq!(bound("explain select ?", &["'?'"]), Bound::text("explain select  '?' "));
        let long = format!("'{}'", "x".repeat(2000));
        assert_eq!(
            bound("select ?, ?", &["1", &long]),
            Bound { sql: format!("select ?,  {long} "), values: vec!["1".into()] }
        );
        let named = bound("select ?, ?, ? limit ?", &["1", "CAST(NULL AS date)", "'CAST('", "2"]);
        assert_eq!(named.sql, "select ?,  CAST(NULL AS date) , ? limit ?");
        assert_eq!(named.values, ["1", "'CAST('", "2"]);
        assert_eq!(named.written_out(), "select  1 ,  CAST(NULL AS date) ,  'CAST('  limit  2 ");
        assert_eq!(bound("select '?'", &[]), Bound::text("select '?'"));
    }

    #[test]
    fn a_query_is_explained_by_the_types_of_its_values() {
        let types = [Some("bigint"), None, Some("row(\"a\" date)"), None];
        assert_eq!(
            with_types("select ?, ?, ? limit ?", types),
            "select  CAST(NULL AS bigint) ,  NULL ,  CAST(NULL AS row(\"a\" date))  limit  1 "
        );
    }

    proptest! {
        /// A text put into a statement is one string there: what follows it is what followed the parameter.
        #[test]
        fn a_hostile_text_changes_nothing_around_it(value in "['\"\\\\;/*? \\-]{0,12}|\\PC{0,8}") {
            let array = arrow::array::StringArray::from(vec![value.as_str()]);
            let literal = literal(&array, 0, Typing::Exact).expect("a text");
            let values = [literal.as_str(), "2"];
            let sql = with_values("delete from a where b = ? and c = ?", |i, _| Some(values[i]));
            let outer = sql.strip_prefix("delete from a where b =  ").and_then(|rest| rest.strip_suffix("  and c =  2 "));
            prop_assert_eq!(outer, Some(literal.as_str()));
            let statement = Statement::of(&sql);
            prop_assert_eq!((statement.class, statement.placeholders, statement.end), (Class::Update, 0, sql.trim_end().len()));
        }
    }
}
