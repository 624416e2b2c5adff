//! What kind of statement a text is, by its first words: whether it gives rows, changes something, can be explained.
//!
//! Only words are looked at; whether the statement is right is Athena's to say.

use super::bind;

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
    /// The number of `?` outside of strings, quoted names and comments.
    pub placeholders: usize,
    /// Whether there is nothing but blanks and comments.
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
        let mut words = Vec::new();
        let mut placeholders = 0;
        let mut is_empty = true;
        let mut is_ordered = false;
        let (mut end, mut depth, mut outer, mut after_order) = (0, 0_usize, 0, false);
        let mut tokens = Tokens(sql);
        while let Some(token) = tokens.next() {
            let by = std::mem::take(&mut after_order);
            match token {
                Token::Word(word) => {
                    is_ordered |= by && depth <= outer && word.eq_ignore_ascii_case("by");
                    after_order = word.eq_ignore_ascii_case("order");
                    if words.len() < MAX_WORDS {
                        words.push(word.to_ascii_uppercase());
                    }
                }
                Token::Placeholder => placeholders += 1,
                Token::Open => {
                    depth += 1;
                    if is_empty || outer == depth - 1 && words.is_empty() {
                        outer = depth;
                    }
                }
                Token::Close => depth = depth.saturating_sub(1),
                Token::Semicolon => continue,
                Token::Other => {}
            }
            is_empty = false;
            end = sql.len() - tokens.0.len();
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let class = class(&words);
        let may_write = may_write(class, &words);
        let takes_values = bind::takes_values(class, words.first().copied().unwrap_or_default());
        Self { class, placeholders, is_empty, is_ordered, may_write, takes_values, end }
    }

    /// Whether Flight SQL's clients should treat it as an update: no rows are wanted from it.
    pub fn is_update(&self) -> bool {
        matches!(self.class, Class::Update | Class::Definition)
    }
}

/// As many leading words as are needed to find the AS of CREATE TABLE … AS.
const MAX_WORDS: usize = 4096;

fn class(words: &[&str]) -> Class {
    match words {
        ["SELECT" | "WITH" | "VALUES" | "TABLE", ..] => Class::Query,
        ["EXPLAIN" | "SHOW" | "DESCRIBE" | "DESC", ..] => Class::Text,
        ["EXECUTE", ..] => Class::Execute,
        ["INSERT" | "UPDATE" | "DELETE" | "MERGE" | "UNLOAD", ..] => Class::Update,
        ["CREATE", "TABLE", rest @ ..]
            if rest.windows(2).any(|pair| matches!(pair, ["AS", "SELECT" | "WITH" | "VALUES" | "TABLE"])) =>
        {
            Class::Update
        }
        [] => Class::Query,
        _ => Class::Definition,
    }
}

/// EXPLAIN ANALYZE runs what it explains, and what a statement prepared in Athena does is not known here.
fn may_write(class: Class, words: &[&str]) -> bool {
    match class {
        Class::Query => false,
        Class::Text => match words {
            ["EXPLAIN", "ANALYZE", "VERBOSE", explained @ ..] | ["EXPLAIN", "ANALYZE", explained @ ..] => {
                self::class(explained) != Class::Query
            }
            _ => false,
        },
        Class::Execute | Class::Update | Class::Definition => true,
    }
}

pub(super) enum Token<'a> {
    Word(&'a str),
    Placeholder,
    Open,
    Close,
    Semicolon,
    Other,
}

/// The tokens of a text, comments and blanks left out. Never fails: what is not closed runs to the end.
pub(super) struct Tokens<'a>(pub(super) &'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let text = self.0.trim_start();
            let rest = if let Some(comment) = text.strip_prefix("--") {
                comment.split_once('\n').map_or("", |(_, rest)| rest)
            } else if let Some(comment) = text.strip_prefix("/*") {
                comment.split_once("*/").map_or("", |(_, rest)| rest)
            } else {
                self.0 = text;
                break;
            };
            self.0 = rest;
        }
        let first = self.0.chars().next()?;
        let (token, length) = match first {
            '\'' | '"' | '`' => (Token::Other, quoted(self.0, first)),
            '?' => (Token::Placeholder, 1),
            c if c.is_alphabetic() || c == '_' => {
                let end = self.0.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.0.len());
                (Token::Word(&self.0[..end]), end)
            }
            // A number is one token, or `1e5` would end in a word.
            c if c.is_ascii_digit() => {
                (Token::Other, self.0.find(|c: char| !(c.is_alphanumeric() || c == '.')).unwrap_or(self.0.len()))
            }
            // Brackets around a query do not hide what it is.
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ';' => (Token::Semicolon, 1),
            c => (Token::Other, c.len_utf8()),
        };
        self.0 = &self.0[length..];
        Some(token)
    }
}

/// The length of a quoted text; a doubled quote stands for itself.
fn quoted(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_apart() {
        for (sql, class, placeholders) in [
            ("select 1", Class::Query, 0),
            ("-- x\n /* y */ WITH a AS (SELECT ?) SELECT * FROM a", Class::Query, 1),
            ("((select 1))", Class::Query, 0),
            ("select '?', \"?\", `?` -- ?\n, /* ? */ ?", Class::Query, 1),
            ("select 'it''s ?' || ?", Class::Query, 1),
            ("EXPLAIN SELECT 1", Class::Text, 0),
            ("show tables", Class::Text, 0),
            ("desc x", Class::Text, 0),
            ("INSERT INTO a SELECT 1", Class::Update, 0),
            ("create table a with (format = 'PARQUET') as select 1", Class::Update, 0),
            ("create table a as (select 1)", Class::Update, 0),
            ("create table a (x int)", Class::Definition, 0),
            ("create external table a (x int) location 's3://a/'", Class::Definition, 0),
            ("create view a as select 1", Class::Definition, 0),
            ("msck repair table a", Class::Definition, 0),
            ("select 'unclosed ?", Class::Query, 0),
            ("/* unclosed ?", Class::Query, 0),
        ] {
            let statement = Statement::of(sql);
            assert_eq!((statement.class, statement.placeholders), (class, placeholders), "{sql}");
        }
        assert!(Statement::of(" ; -- nothing\n/* at all */").is_empty);
    }

    #[test]
    fn what_may_write_is_seen() {
        for (sql, writes) in [
            ("select 1", false),
            ("with a as (select 1) select * from a", false),
            ("show tables", false),
            ("explain insert into a select 1", false),
            ("explain analyze select 1", false),
            ("explain analyze verbose insert into a select 1", true),
            ("EXPLAIN /* */ ANALYZE DELETE FROM a", true),
            ("execute a using 1", true),
            ("unload (select 1) to 's3://a/'", true),
            ("create view a as select 1", true),
            ("nonsense", true),
        ] {
            assert_eq!(Statement::of(sql).may_write, writes, "{sql}");
        }
    }

    #[test]
    fn an_order_that_was_asked_for_is_seen() {
        for (sql, ordered) in [
            ("select a from t order by a", true),
            ("select a from t ORDER -- x\n BY a limit 3;", true),
            ("(select a from t order by a)", true),
            ("((select a from t order by a) limit 1)", true),
            ("with b as (select 1 order by 1) select * from b", false),
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
        ] {
            assert_eq!(&sql[..Statement::of(sql).end], body);
        }
    }
}
