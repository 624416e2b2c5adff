//! What kind of statement a text is, by its first words: whether it gives rows, changes something, can be explained.
//!
//! Only tokens are looked at, those that Trino's lexer sees ([`crate::sql`]); whether the statement is right is Athena's to say.
//! What is not certainly a read may write: a text that Trino cannot read at all, several statements, brackets that do not
//! match. Such a text is a [`Class::Definition`]: it is sent as it is, alone, and never explained or put into an UNLOAD.

use crate::sql::{self, Kind, Token};

/// What a statement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// SELECT, WITH, VALUES, TABLE: rows whose schema EXPLAIN knows.
    Query,
    /// EXPLAIN, SHOW, DESCRIBE: rows of text.
    Text,
    /// EXECUTE of a statement prepared in Athena: rows or a count, known when it ran.
    Execute,
    /// INSERT, UPDATE, DELETE, MERGE, CREATE TABLE AS, UNLOAD: a count.
    Update,
    /// Everything else: no rows, no count.
    Definition,
}

/// A statement told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    pub class: Class,
    /// The number of `?` outside of strings, quoted names, comments and row patterns.
    pub placeholders: usize,
    /// Whether there is nothing but blanks, comments and semicolons.
    pub is_empty: bool,
    /// Whether the rows of a query may be in an order that was asked for: an ORDER BY that is not inside of a subquery or
    /// a window. Brackets around parts of the query count as none, so it is rather said too often.
    pub is_ordered: bool,
    /// Whether it may do more than read. Only words are looked at, so it is rather said too often.
    pub may_write: bool,
    /// Whether Athena takes values for its parameters beside the text.
    pub takes_values: bool,
    /// Where the statement ends: before the semicolons, blanks and comments behind it.
    pub end: usize,
}

impl Statement {
    pub fn of(sql: &str) -> Self {
        let mut reading = Reading::default();
        sql::tokens(sql).for_each(|token| reading.take(&token));
        reading.statement()
    }

    /// Whether Flight SQL's clients should treat it as an update: no rows are wanted from it.
    pub fn is_update(&self) -> bool {
        matches!(self.class, Class::Update | Class::Definition)
    }
}

const QUERY_WORDS: [&str; 4] = ["select", "with", "values", "table"];
const UPDATE_WORDS: [&str; 5] = ["insert", "update", "delete", "merge", "unload"];

/// What is known of a statement so far.
#[derive(Debug, Default)]
struct Reading {
    place: Place,
    class: Option<Class>,
    /// Whether EXPLAIN stands before it, and whether ANALYZE does.
    is_explained: bool,
    is_analyzed: bool,
    takes_values: bool,
    placeholders: usize,
    is_ordered: bool,
    /// Brackets that are open, and those of them that are around all of the query.
    depth: usize,
    outer: usize,
    /// Whether the token before was ORDER.
    after_order: bool,
    /// Whether there was a semicolon.
    has_ended: bool,
    /// Whether it cannot be read, or is not one statement.
    is_broken: bool,
    end: usize,
}

/// Where in a statement we are, as far as that says what kind of statement it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Before the first word, or the first one of what is explained. Brackets may have come.
    #[default]
    Start,
    /// In the brackets of EXPLAIN's options.
    Options,
    /// Behind WITH; whether a bracket was closed just now, be it around the names of columns or a named query.
    With { closed: bool },
    /// In brackets around the query that follows the named ones.
    Brackets,
    /// Behind CREATE.
    Create,
    /// Behind CREATE TABLE; whether AS came before, with nothing but brackets since.
    CreateTable { after_as: bool },
    /// All is known.
    Body,
}

impl Reading {
    fn take(&mut self, token: &Token<'_>) {
        if token.kind == Kind::Semicolon {
            self.has_ended = true;
            return;
        }
        self.is_broken |= token.kind.is_error() || self.has_ended;
        self.end = token.end();
        let after_order = std::mem::replace(&mut self.after_order, token.is_word("order"));
        match token.kind {
            Kind::Open => {
                self.depth += 1;
                if matches!(self.place, Place::Start | Place::With { closed: true } | Place::Brackets) {
                    self.outer = self.depth;
                }
            }
            Kind::Close => match self.depth.checked_sub(1) {
                Some(depth) => self.depth = depth,
                None => self.is_broken = true,
            },
            Kind::Placeholder => self.placeholders += 1,
            Kind::Word => self.is_ordered |= after_order && self.depth <= self.outer && token.is_word("by"),
            _ => {}
        }
        self.place = self.next_place(token);
    }

    fn next_place(&mut self, token: &Token<'_>) -> Place {
        match self.place {
            Place::Start => match token.kind {
                Kind::Open => Place::Start,
                Kind::Word => self.first_word(token),
                _ => Place::Body,
            },
            Place::Options if token.kind == Kind::Close => {
                self.outer = self.depth;
                Place::Start
            }
            Place::Options => Place::Options,
            Place::With { closed: true } if token.is_word("as") => Place::With { closed: false },
            Place::With { closed: true } if token.kind == Kind::Open => Place::Brackets,
            Place::With { closed: true } if token.kind == Kind::Word => {
                // In Trino's grammar a query follows. In Hive's it may be an INSERT.
                self.is_broken |= !token.is_any_word(&QUERY_WORDS);
                Place::Body
            }
            Place::With { .. } => Place::With { closed: token.kind == Kind::Close && self.depth == self.outer },
            Place::Brackets if token.kind == Kind::Open => Place::Brackets,
            Place::Brackets => {
                self.is_broken |= !token.is_any_word(&QUERY_WORDS);
                Place::Body
            }
            Place::Create if token.is_word("table") => Place::CreateTable { after_as: false },
            Place::Create => Place::Body,
            Place::CreateTable { after_as: true } if token.kind == Kind::Open => self.place,
            Place::CreateTable { after_as: true } if token.is_any_word(&QUERY_WORDS) => {
                (self.class, self.takes_values) = (Some(Class::Update), true);
                Place::Body
            }
            Place::CreateTable { .. } => Place::CreateTable { after_as: self.depth == 0 && token.is_word("as") },
            Place::Body => Place::Body,
        }
    }

    /// The first word says what a statement is; behind EXPLAIN there is another first word.
    fn first_word(&mut self, word: &Token<'_>) -> Place {
        if word.is_any_word(&QUERY_WORDS) {
            (self.class, self.takes_values) = (Some(Class::Query), true);
            return if word.is_word("with") { Place::With { closed: false } } else { Place::Body };
        }
        if self.is_explained && self.depth == 1 && word.is_any_word(&["format", "type"]) {
            return Place::Options;
        }
        // Brackets are around queries alone.
        if self.depth > 0 {
            return Place::Body;
        }
        if self.is_explained && word.is_any_word(&["analyze", "verbose"]) {
            self.is_analyzed = true;
            return Place::Start;
        }
        if word.is_word("explain") {
            self.is_explained = true;
            return Place::Start;
        }
        if word.is_word("create") {
            return Place::Create;
        }
        if word.is_any_word(&["show", "describe", "desc"]) {
            self.class = Some(Class::Text);
        } else if word.is_word("execute") {
            self.class = Some(Class::Execute);
        } else if word.is_any_word(&UPDATE_WORDS) {
            (self.class, self.takes_values) = (Some(Class::Update), word.is_any_word(&["insert", "unload"]));
        }
        Place::Body
    }

    fn statement(self) -> Statement {
        let is_empty = self.end == 0;
        let is_broken = self.is_broken || self.depth > 0;
        let inner = self.class.unwrap_or(Class::Definition);
        let (class, may_write) = match inner {
            _ if is_broken => (Class::Definition, true),
            _ if is_empty => (Class::Query, false),
            // What ANALYZE explains is run.
            _ if self.is_explained => (Class::Text, self.is_analyzed && inner != Class::Query),
            Class::Query | Class::Text => (inner, false),
            Class::Execute | Class::Update | Class::Definition => (inner, true),
        };
        Statement {
            class,
            placeholders: self.placeholders,
            is_empty,
            is_ordered: self.is_ordered,
            may_write,
            takes_values: self.takes_values && matches!(class, Class::Query | Class::Update),
            end: self.end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_apart() {
        for (sql, class, placeholders) in [
            ("select 1", Class::Query, 0),
            ("-- x\n /* y */ WITH a AS (SELECT ?) SELECT * FROM a", Class::Query, 1),
            ("with recursive a (b, c) as (select 1), \"d\" as (select 2) (table a)", Class::Query, 0),
            ("(with a as (select 1) select * from a)", Class::Query, 0),
            ("((select 1))", Class::Query, 0),
            ("table a;", Class::Query, 0),
            ("select '?', \"?\" -- ?\n, /* ? */ ?", Class::Query, 1),
            ("select 'it''s ?' || ?", Class::Query, 1),
            ("select * from a match_recognize (pattern (b? c) define b as d > ?)", Class::Query, 1),
            ("EXPLAIN SELECT 1", Class::Text, 0),
            ("show tables", Class::Text, 0),
            ("desc x", Class::Text, 0),
            ("DESCRIBE `x`", Class::Text, 0),
            ("execute a", Class::Execute, 0),
            ("INSERT INTO a SELECT 1", Class::Update, 0),
            ("insert into a with b as (select 1) select * from b", Class::Update, 0),
            ("create table a with (format = 'PARQUET') as select 1", Class::Update, 0),
            ("create table a as -- b\r((select ?))", Class::Update, 1),
            ("create table a (x int)", Class::Definition, 0),
            ("create table a (as select)", Class::Definition, 0),
            ("create external table a (x int) location 's3://a/'", Class::Definition, 0),
            ("create view a as select 1", Class::Definition, 0),
            ("msck repair table a", Class::Definition, 0),
        ] {
            let statement = Statement::of(sql);
            assert_eq!((statement.class, statement.placeholders), (class, placeholders), "{sql}");
        }
        for sql in ["", " ; -- nothing\n/* at all */", ";;", "-- a\r--b"] {
            let statement = Statement::of(sql);
            assert!(statement.is_empty && !statement.may_write, "{sql:?}");
        }
    }

    #[test]
    fn what_may_write_is_seen() {
        for (sql, writes) in [
            ("select 1", false),
            ("with a as (select 1) select * from a", false),
            ("show tables", false),
            ("explain insert into a select 1", false),
            ("explain (type io, format json) insert into a select 1", false),
            ("explain explain insert into a select 1", false),
            ("explain analyze select 1", false),
            ("explain analyze (format json) (select 1)", false),
            ("explain analyze verbose insert into a select 1", true),
            ("explain analyze (format json) insert into a select 1", true),
            ("explain (format json) analyze insert into a select 1", true),
            ("explain explain analyze insert into a select 1", true),
            ("EXPLAIN /* */ ANALYZE DELETE FROM a", true),
            ("EXPLAIN -- select\rANALYZE -- select\rDELETE FROM a", true),
            ("execute a using 1", true),
            ("execute immediate 'select 1'", true),
            ("unload (select 1) to 's3://a/'", true),
            ("create view a as select 1", true),
            ("nonsense", true),
            ("-- x\rinsert into a values (1)\n", true),
            ("-- x\r\nselect 1", false),
        ] {
            assert_eq!(Statement::of(sql).may_write, writes, "{sql:?}");
        }
    }

    #[test]
    fn what_is_not_certainly_one_statement_is_sent_alone() {
        for sql in [
            // What Trino cannot read.
            "select 'unclosed ?",
            "/* unclosed ?",
            "select 1 /* unclosed",
            "\u{feff}select 1",
            "select\u{a0}1",
            "\u{17f}elect 1",
            "select 1 & 2",
            "explain select 'unclosed",
            // More than one statement.
            "select 1; select 2",
            ";select 1",
            "select 1;; -- \rdrop table a",
            "show tables; drop table a",
            // What is no query, whatever words are in it.
            "1 select 1",
            "'a' select 1",
            "\"select\" 1",
            "`select` 1",
            ", select 1",
            "? select 1",
            "1select 1",
            "(insert into a select 1)",
            "(show tables)",
            "(explain select 1)",
            "with a as (select 1) insert into b select * from a",
            "with a as (select 1) (insert into b select * from a)",
            // What would end the brackets that an UNLOAD puts around it.
            "select 1) as t (c0)) to 's3://a/' with (format = 'JSON', b = (select 1",
            "select 1) -- ",
            "((select 1)",
        ] {
            let statement = Statement::of(sql);
            assert!(statement.may_write && !statement.takes_values && !statement.is_empty, "{sql:?}");
            assert_eq!(statement.class, Class::Definition, "{sql:?}");
        }
    }

    #[test]
    fn an_order_that_was_asked_for_is_seen() {
        for (sql, ordered) in [
            ("select a from t order by a", true),
            ("select a from t ORDER -- x\n BY a limit 3;", true),
            ("select a from t -- \rorder /* */ by a", true),
            ("(select a from t order by a)", true),
            ("((select a from t order by a) limit 1)", true),
            ("with b as (select 1) ((select * from b order by 1))", true),
            ("with b (c) as (select 1) select * from b order by 1", true),
            ("with b as (select 1 order by 1) select * from b", false),
            ("with b (c) as (select 1 order by 1) (select * from b)", false),
            ("select row_number() over (order by a) from t", false),
            ("(select row_number() over (partition by b order by a) from t)", false),
            ("select array_agg(a order by b) from t", false),
            ("select 'order by', \"order\" from t group by 1", false),
            ("select * from (select a from t order by a)", false),
        ] {
            assert_eq!(Statement::of(sql).is_ordered, ordered, "{sql}");
        }
    }

    #[test]
    fn a_statement_ends_before_semicolons_and_comments() {
        for (sql, body) in [
            ("select 1 ; -- done\n;", "select 1"),
            ("select ';' /* a */", "select ';'"),
            ("-- x\nselect 1", "-- x\nselect 1"),
            ("select (1);;", "select (1)"),
            ("select 1 -- c\runion all select 2 -- d\r", "select 1 -- c\runion all select 2"),
            ("select 1 /* /* */ + 2", "select 1 /* /* */ + 2"),
        ] {
            assert_eq!(&sql[..Statement::of(sql).end], body);
        }
    }
}
