//! The tables that a query names, read from its tokens: what a rule with `schemas` is checked against beside Athena's plan.
//!
//! Athena's plan (`EXPLAIN (TYPE IO)`) is the optimised one. What a filter that folds to false hides (`where 1 = 0`,
//! `limit 0`, `where now() > timestamp '<in a moment>'`, `exists (select … where false)`, a branch of a UNION) is not in it,
//! and may be read all the same a moment later. The text does not fold, so every name that stands where a table can stand is
//! collected here, and it is rather a name too many than one too few:
//!
//! - By Trino's grammar a table stands behind FROM, JOIN and TABLE, behind a comma of a FROM clause, and behind the brackets
//!   that open there; nowhere else. FROM is a clause where its brackets have a SELECT (`trim(both from x)` has none, and
//!   `is distinct from x` stands behind DISTINCT).
//! - A FROM clause ends only at words that Trino reserves (WHERE, GROUP, …). LIMIT or WINDOW could be aliases:
//!   `from a.t limit, b.t` reads two tables.
//! - A name without dots is no table where a common table expression of that name is in sight, by Trino's own rules of sight.
//!   An alias excuses nothing: `from a.t as b where exists (select 1 from b.t)` reads a table of schema b.
//! - Anything else where a table has to stand (table functions other than a few built-in ones among it) is an error.
//!
//! What a view reads is not in the text: whoever checks has to ask about it by itself.

use std::collections::{BTreeSet, HashSet};

use crate::sql::{self, Kind, Token};

/// A table's name as it is written, in lower case: one to three parts.
pub type Name = Vec<String>;

/// Brackets in brackets, at most.
const MAX_DEPTH: usize = 1000;
/// Parts of a name: catalog, schema, table.
const MAX_PARTS: usize = 3;
/// Table functions that read nothing but their arguments.
const TABLE_FUNCTIONS: [&str; 2] = ["sequence", "exclude_columns"];

/// Why it cannot be told which tables a query names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    #[error("{0:?} stands where a table is expected")]
    Unexpected(String),
    #[error("the text ends where a table is expected, or inside of brackets")]
    Unfinished,
    #[error("{0} is a table function, and which tables it reads is not known")]
    Function(String),
    #[error("its brackets are nested more than {MAX_DEPTH} deep")]
    TooDeep,
}

/// A name in a query.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// All tables that the text of a query names.
pub fn tables(query: &str) -> Result<BTreeSet<Name>, NamesError> {
    let tokens: Vec<Token<'_>> = sql::tokens(query).collect();
    let mut reading = Reading { tokens: &tokens, levels: vec![Level::default()], named: BTreeSet::new() };
    let mut at = 0;
    while at < tokens.len() {
        at = if reading.level().expects_table { reading.table(at)? } else { reading.other(at)? };
    }
    let is_whole = reading.levels.len() == 1 && !reading.level().expects_table;
    if is_whole { Ok(reading.named) } else { Err(NamesError::Unfinished) }
}

struct Reading<'a> {
    tokens: &'a [Token<'a>],
    /// The text outside of brackets, then each pair of brackets that is open.
    levels: Vec<Level>,
    named: BTreeSet<Name>,
}

/// What stands in one pair of brackets.
#[derive(Default)]
struct Level {
    expects_table: bool,
    /// Whether a comma is one of the FROM clause.
    in_from: bool,
    has_select: bool,
    /// Whether common table expressions are defined here, and whether they see themselves.
    in_with: bool,
    is_recursive: bool,
    /// Those that are in sight from here on, further in too.
    in_sight: HashSet<String>,
    /// The one that is defined by this level, in sight of the level around it from its end on.
    defines: Option<String>,
}

impl Level {
    /// Brackets behind FROM or JOIN: a table, a join, or a query.
    fn of_tables() -> Self {
        Self { expects_table: true, in_from: true, ..Self::default() }
    }
}

impl Reading<'_> {
    fn level(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the outermost level is never closed")
    }

    fn open(&mut self, level: Level) -> Result<(), NamesError> {
        if self.levels.len() > MAX_DEPTH {
            return Err(NamesError::TooDeep);
        }
        self.levels.push(level);
        Ok(())
    }

    fn is(&self, at: usize, kind: Kind) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == kind)
    }

    fn is_word(&self, at: Option<usize>, words: &[&str]) -> bool {
        at.and_then(|at| self.tokens.get(at)).is_some_and(|token| token.is_any_word(words))
    }

    /// What stands where a table has to stand. Gives the place of the token that follows.
    fn table(&mut self, at: usize) -> Result<usize, NamesError> {
        self.level().expects_table = false;
        let token = &self.tokens[at];
        let before_open = self.is(at + 1, Kind::Open);
        match token.kind {
            Kind::Open => {
                self.open(Level::of_tables())?;
                Ok(at + 1)
            }
            // Brackets behind FROM with a query in them.
            Kind::Word if token.is_any_word(&["select", "with", "values"]) => self.other(at),
            Kind::Word if token.is_word("table") && before_open => {
                let function = self.tokens.get(at + 2);
                match function.filter(|function| function.is_any_word(&TABLE_FUNCTIONS) && self.is(at + 3, Kind::Open))
                {
                    Some(_) => Ok(at + 1),
                    None => Err(NamesError::Function(function.map_or("TABLE", |token| token.text).to_owned())),
                }
            }
            Kind::Word if token.is_word("table") => {
                self.level().expects_table = true;
                Ok(at + 1)
            }
            Kind::Word if token.is_any_word(&["unnest", "lateral"]) && before_open => Ok(at + 1),
            Kind::Word | Kind::QuotedName => self.name(at),
            _ => Err(NamesError::Unexpected(token.text.to_owned())),
        }
    }

    fn name(&mut self, at: usize) -> Result<usize, NamesError> {
        let mut name = vec![part(&self.tokens[at])];
        let mut next = at + 1;
        while self.tokens.get(next).is_some_and(|token| token.text == ".") {
            match self.tokens.get(next + 1) {
                Some(token) if matches!(token.kind, Kind::Word | Kind::QuotedName) => name.push(part(token)),
                token => return Err(NamesError::Unexpected(token.map_or(".", |token| token.text).to_owned())),
            }
            next += 2;
        }
        if self.is(next, Kind::Open) || name.len() > MAX_PARTS {
            return Err(NamesError::Function(name.join(".")));
        }
        // `window a as (…), b as (…)`: no table has an AS with brackets behind it.
        let is_window = self.is_word(Some(next), &["as"]) && self.is(next + 1, Kind::Open);
        let is_in_sight = || self.levels.iter().any(|level| level.in_sight.contains(&name[0]));
        if name.len() > 1 || !is_window && !is_in_sight() {
            self.named.insert(name);
        }
        Ok(next)
    }

    /// A token where no table has to stand. Gives the place of the one that follows.
    fn other(&mut self, at: usize) -> Result<usize, NamesError> {
        let token = &self.tokens[at];
        let before = at.checked_sub(1);
        match token.kind {
            kind if kind.is_error() => return Err(NamesError::Unexpected(token.text.to_owned())),
            Kind::Open => {
                let defines = self.defined_by(at);
                let level = self.level();
                if let Some(name) = defines.clone().filter(|_| level.is_recursive) {
                    level.in_sight.insert(name);
                }
                self.open(Level { defines, ..Level::default() })?;
            }
            Kind::Close => {
                let defined = self.levels.pop().and_then(|level| level.defines);
                let around = self.levels.last_mut().ok_or(NamesError::Unfinished)?;
                around.in_sight.extend(defined);
            }
            Kind::Symbol if token.text == "," => {
                let level = self.level();
                level.expects_table = level.in_from;
            }
            // A field's name.
            Kind::Word if before.is_some_and(|before| self.tokens[before].text == ".") => {}
            Kind::Word => return self.word(at),
            _ => {}
        }
        Ok(at + 1)
    }

    fn word(&mut self, at: usize) -> Result<usize, NamesError> {
        let token = &self.tokens[at];
        let before = at.checked_sub(1);
        if token.is_any_word(&["select", "values"]) {
            let is_select = token.is_word("select");
            let level = self.level();
            (level.has_select, level.in_from, level.in_with) = (level.has_select || is_select, false, false);
        } else if token.is_word("from") {
            let compares = self.is_word(before, &["distinct"]) && self.is_word(at.checked_sub(2), &["is", "not"]);
            let level = self.level();
            if level.has_select && !compares {
                (level.in_from, level.expects_table) = (true, true);
            }
        } else if token.is_word("join") {
            self.level().expects_table = true;
        } else if token.is_word("table") {
            // A query, or an argument of a table function: `table (orders)`, `table (select …)`.
            if self.is(at + 1, Kind::Open) {
                self.open(Level { expects_table: true, ..Level::default() })?;
                return Ok(at + 2);
            }
            self.level().expects_table = true;
        } else if token.is_any_word(&["where", "group", "having", "order", "union", "except", "intersect"]) {
            self.level().in_from = false;
        } else if token.is_word("with") && before.is_none_or(|before| self.is(before, Kind::Open)) {
            let is_recursive = self.is_word(Some(at + 1), &["recursive"]);
            let level = self.level();
            (level.in_with, level.is_recursive, level.in_from) = (true, is_recursive, false);
        }
        Ok(at + 1)
    }

    /// The common table expression that the brackets at a place define: `name as (select …)`, `name (a, b) as (select …)`.
    fn defined_by(&self, at: usize) -> Option<String> {
        let is_defined = self.levels.last()?.in_with && self.is_word(at.checked_sub(1), &["as"]);
        let mut name = at.checked_sub(2).filter(|_| is_defined)?;
        if self.is(name, Kind::Close) {
            let mut depth = 1;
            while depth > 0 {
                name = name.checked_sub(1)?;
                match self.tokens[name].kind {
                    Kind::Close => depth += 1,
                    Kind::Open => depth -= 1,
                    _ => {}
                }
            }
            name = name.checked_sub(1)?;
        }
        let name = &self.tokens[name];
        matches!(name.kind, Kind::Word | Kind::QuotedName).then(|| part(name))
    }
}

/// A part of a name without its quotes. Trino does not tell upper and lower case apart, in quotes neither.
fn part(token: &Token<'_>) -> String {
    let text = match token.kind {
        Kind::QuotedName => token.text[1..token.text.len() - 1].replace("\"\"", "\""),
        _ => token.text.to_owned(),
    };
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(query: &str) -> Vec<String> {
        let named = tables(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        named.iter().map(|name| name.join(".")).collect()
    }

    #[test]
    fn every_table_that_is_named_is_found() {
        for (query, expected) in [
            ("select 1", vec![]),
            ("select * from a.t", vec!["a.t"]),
            (
                "select x.a, y.b, f(z.c, d.e) from a.t x, B . \"T\" as y where x.a in (z.q, 1) group by x.a, y.b",
                vec!["a.t", "b.t"],
            ),
            ("select * from a.t limit, b.t", vec!["a.t", "b.t"]),
            ("select * from a.t window, b.t", vec!["a.t", "b.t"]),
            ("select * from a.t where 1 = 0", vec!["a.t"]),
            ("select * from a.t where exists (select 1 from b.t where false)", vec!["a.t", "b.t"]),
            ("select * from a.t as b join b.t on b.x = t.y and f(b.x, t.y), c.t", vec!["a.t", "b.t", "c.t"]),
            ("select * from (a.t cross join (b.t left join c.t using (x, y)))", vec!["a.t", "b.t", "c.t"]),
            ("select * from ((select a.b from d.t) union all (table e.t)) as x (y, z), f.t", vec!["d.t", "e.t", "f.t"]),
            ("select * from a.t union select * from b.t except (select * from c.t)", vec!["a.t", "b.t", "c.t"]),
            ("table a.t", vec!["a.t"]),
            ("(((table \"x\".\"A\"\"b\".t)))", vec!["x.a\"b.t"]),
            ("select (select max(t.x) from a.t), b.y from b.t b", vec!["a.t", "b.t"]),
            ("select trim(both a.x from a.y), extract(year from a.z) from a.t", vec!["a.t"]),
            ("select a.x is distinct from b.y, a.x is not distinct from c.z from d.t", vec!["d.t"]),
            ("select * from a.t cross join unnest(a.x, b.y) with ordinality as u (x, y), c.t", vec!["a.t", "c.t"]),
            ("select * from a.t, lateral (select * from b.t)", vec!["a.t", "b.t"]),
            ("select * from (values (1, a.b), (2, 3)) as v (x, y), a.t", vec!["a.t"]),
            ("values (1, (select max(x) from a.t)), (2, 3)", vec!["a.t"]),
            (
                "select * from table(sequence(1, 10)), table(exclude_columns(input => table(a.t), columns => descriptor(x)))",
                vec!["a.t"],
            ),
            ("select 'from b.t' /* from c.t */ from a.t -- from d.t\r, e.t", vec!["a.t", "e.t"]),
            ("select * from a.\"t$partitions\"", vec!["a.t$partitions"]),
            (
                "select sum(x) over w, rank() over v from a.t window w as (partition by a.x, b.y), v as (order by c.x)",
                vec!["a.t"],
            ),
            ("select * from a.t for timestamp as of (select max(x) from b.t), c.t", vec!["a.t", "b.t", "c.t"]),
            ("select * from a.t tablesample bernoulli (10), b.t", vec!["a.t", "b.t"]),
            ("select t.from_date, t.\"from\", t.where_to from a.t t", vec!["a.t"]),
            (
                "select * from a.t match_recognize (partition by x.a, x.b measures m.a as b pattern (s+) define s as s.x > 1) m, b.t",
                vec!["a.t", "b.t"],
            ),
        ] {
            assert_eq!(named(query), expected, "{query}");
        }
    }

    #[test]
    fn common_table_expressions_are_no_tables_where_they_are_in_sight() {
        for (query, expected) in [
            ("with x as (select 1), \"Y\" (a, b) as (select * from x, a.t) select * from X, y", vec!["a.t"]),
            ("with x as (select 1) select * from a.x, (select * from x) q", vec!["a.x"]),
            // Not in itself, unless it is recursive; not in those before it; not outside of its brackets.
            ("with x as (select * from x) select 1", vec!["x"]),
            ("with recursive x as (select 1 union all select * from x) select * from x", vec![]),
            ("with x as (select * from y), y as (select 1) select 1", vec!["y"]),
            ("select * from (with x as (select 1) select * from x), x", vec!["x"]),
            ("select * from (with x as (select 1), y as (table x) select * from x, y), a.t", vec!["a.t"]),
            ("with x as ((select 1)) (select * from x) union (table x)", vec![]),
            (
                "select * from a.t match_recognize (measures 1 as b pattern (s) define x as (select true), s as exists (select 1 from x)) m",
                vec!["a.t", "x"],
            ),
        ] {
            assert_eq!(named(query), expected, "{query}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_an_error() {
        for query in [
            "select * from table(system.query(query => 'select * from b.t'))",
            "select * from table(query('select * from b.t'))",
            "select * from f(1)",
            "select * from a.b.c.t",
            "select * from 'a'",
            "select * from `b`.`t`",
            "select * from a.",
            "select * from",
            "select * from a.t,",
            "select * from (a.t",
            "select * from a.t)",
            "select * from b\u{a0}.t",
            "select * from a.t /* unclosed",
        ] {
            assert!(tables(query).is_err(), "{query}: {:?}", tables(query));
        }
        let deep = format!("select * from {}a.t{}", "(".repeat(2000), ")".repeat(2000));
        assert_eq!(tables(&deep), Err(NamesError::TooDeep));
    }
}
