//! Which reader a query's rows get, and what its columns are for it.
//!
//! `direct` reads what every query leaves (pages, the CSV object); `unload` has the query write Parquet files. `auto` is
//! direct unless the text of a nested column could not be read back, or the same query was seen to give a large result.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::statement::{Statement, unload};
use crate::types::AthenaType;
use crate::types::column::Column;

/// What was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ResultPath {
    #[default]
    Auto,
    Direct,
    Unload,
}

impl fmt::Display for ResultPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Direct => "direct",
            Self::Unload => "unload",
        })
    }
}

impl FromStr for ResultPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "direct" => Ok(Self::Direct),
            "unload" => Ok(Self::Unload),
            other => Err(format!("the result path {other:?} is none of auto, direct, unload")),
        }
    }
}

/// What a query is known to be before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub columns: Vec<Column>,
    /// Where Athena leaves results: `s3://bucket/prefix/`. Unknown where it keeps them itself.
    pub output: Option<String>,
    since: Instant,
}

/// How long what is known of a query names the columns of its UNLOAD: from preparing it to running it.
const FRESH: Duration = Duration::from_secs(5);

impl Described {
    /// What is known from now on.
    pub fn new(columns: Vec<Column>, output: Option<String>) -> Self {
        Self { columns, output, since: Instant::now() }
    }

    /// Whether a column's type is that of a value which was not there.
    pub fn depends_on_values(&self) -> bool {
        self.columns.iter().any(|column| column.data_type == AthenaType::Unknown)
    }

    /// The same for what is inside of nested columns too.
    pub fn depends_on_values_inside(&self) -> bool {
        self.columns.iter().any(|column| column.data_type.has_unknown())
    }

    /// Whether tables may have changed since.
    pub fn is_old(&self) -> bool {
        self.since.elapsed() > FRESH
    }
}

/// How a query's rows are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    Direct,
    Unload,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Unload => "unload",
        })
    }
}

/// A choice, and why it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    pub choice: Choice,
    pub why: String,
}

impl Chosen {
    pub fn direct(why: impl Into<String>) -> Self {
        Self { choice: Choice::Direct, why: why.into() }
    }

    fn unload(why: impl Into<String>) -> Self {
        Self { choice: Choice::Unload, why: why.into() }
    }

    /// The columns as this reader gives them.
    pub fn columns(&self, columns: &[Column]) -> Vec<Column> {
        match self.choice {
            Choice::Direct => columns.iter().cloned().map(Column::read_from_text).collect(),
            Choice::Unload => columns.to_vec(),
        }
    }
}

/// Chooses for a query. The schema follows from it, so it depends on nothing that may change between preparing a
/// statement and running it, except where both readers give the same.
pub fn choose(path: ResultPath, statement: &Statement, described: Option<&Described>, was_large: bool) -> Chosen {
    if path == ResultPath::Direct {
        return Chosen::direct("asked for");
    }
    let Some(Described { columns, output, .. }) = described else {
        return Chosen::direct("the columns are not known before it runs");
    };
    let text = columns.iter().find(|column| column.data_type.is_nested() && !column.data_type.reads_back());
    let wish = match (path, text) {
        (ResultPath::Unload, _) => "asked for".to_owned(),
        (_, Some(column)) => format!("texts inside of column {:?} cannot be read back", column.name),
        (_, None) if was_large => "it gave a large result before".to_owned(),
        _ => return Chosen::direct("nothing speaks for UNLOAD"),
    };
    if statement.is_ordered {
        return Chosen::direct("ORDER BY: files of an UNLOAD have no order among them");
    }
    if output.is_none() {
        return Chosen::direct("no output location is known that UNLOAD could write to");
    }
    if let Err(refused) = unload::check(columns) {
        return Chosen::direct(refused.to_string());
    }
    Chosen::unload(wish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_follows_from_path_types_and_order() {
        use Choice::*;
        let described = |types: &[&str], output: Option<&str>| {
            let column = |name: &&str| Column::new("c", AthenaType::parse(name).expect("a type"));
            Described::new(types.iter().map(column).collect(), output.map(str::to_owned))
        };
        let (flat, texts) = (["bigint", "array(integer)"], ["map(varchar, bigint)"]);
        let bucket = Some("s3://b/");
        for (path, sql, types, output, was_large, expected) in [
            (ResultPath::Auto, "select 1", &flat[..], bucket, false, Direct),
            (ResultPath::Auto, "select 1", &flat[..], bucket, true, Unload),
            (ResultPath::Auto, "select 1", &texts[..], bucket, false, Unload),
            (ResultPath::Auto, "select 1 order by 1", &texts[..], bucket, true, Direct),
            (ResultPath::Auto, "select 1", &texts[..], None, true, Direct),
            (ResultPath::Direct, "select 1", &texts[..], bucket, true, Direct),
            (ResultPath::Unload, "select 1", &flat[..], bucket, false, Unload),
            (ResultPath::Unload, "select 1 order by 1", &flat[..], bucket, false, Direct),
        ] {
            let chosen = choose(path, &Statement::of(sql), Some(&described(types, output)), was_large);
            assert_eq!(chosen.choice, expected, "{path:?} {sql} {types:?}: {}", chosen.why);
        }
        assert_eq!(choose(ResultPath::Unload, &Statement::of("select 1"), None, false).choice, Direct);
    }

    #[test]
    fn texts_inside_stay_text_on_the_direct_path_alone() {
        let columns = [Column::new("c", AthenaType::parse("array(varchar)").expect("a type"))];
        assert!(Chosen::direct("").columns(&columns)[0].as_text);
        assert!(!Chosen::unload("").columns(&columns)[0].as_text);
    }
}
