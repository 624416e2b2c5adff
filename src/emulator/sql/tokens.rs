//! The tokens of a statement by Trino's lexer ([`crate::sql`]), as sqlparser's parser takes them.
//!
//! sqlparser's own tokenizer is not used: it nests comments, ends `--` at line feeds alone, takes every Unicode blank for one
//! and every letter for a name's. Athena leaves most of DDL to Hive's grammar, whose names may begin with a digit or stand in
//! backquotes; Trino's refuses both.

use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::literals;
use crate::emulator::failure::Position;
use crate::emulator::model::Failure;
use crate::sql::{self, Kind, Tokens};

/// Whose grammar a statement is read by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grammar {
    Trino,
    Hive,
}

impl Grammar {
    /// DDL is Hive's, but for views and CREATE TABLE AS.
    fn of(sql: &str) -> Self {
        let mut words = sql::tokens(sql);
        let Some(first) = words.next() else { return Self::Trino };
        let is_hive = if first.is_word("create") {
            words.next().is_some_and(|second| {
                second.is_any_word(&["external", "database", "schema"])
                    || second.is_word("table") && !has_as_outside_of_brackets(words)
            })
        } else {
            first.is_any_word(&["alter", "drop", "show", "describe", "desc", "msck"])
        };
        if is_hive { Self::Hive } else { Self::Trino }
    }
}

fn has_as_outside_of_brackets(tokens: Tokens<'_>) -> bool {
    let mut depth = 0_usize;
    for token in tokens {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            _ if depth == 0 && token.is_word("as") => return true,
            _ => {}
        }
    }
    false
}

/// The tokens of a text that mean something; blanks and comments are dropped.
pub fn tokens(sql: &str) -> Result<Vec<TokenWithSpan>, Failure> {
    let grammar = Grammar::of(sql);
    let (mut out, mut reading, mut place) = (Vec::new(), sql::tokens(sql), Place::new(sql));
    while let Some(token) = reading.next() {
        let start = place.move_to(token.start);
        if grammar == Grammar::Hive && token.kind == Kind::Unrecognized && token.text.trim().is_empty() {
            continue;
        }
        let escape = if token.kind == Kind::UnicodeString { escape(&mut reading) } else { None };
        let at = Position { line: start.line, column: start.column };
        let read = read(&token, grammar, escape).map_err(|why| Failure::syntax(at, why))?;
        let span = Span::new(start, place.move_to(token.end()));
        out.extend(read.into_iter().map(|token| TokenWithSpan { token, span }));
    }
    Ok(out)
}

/// The text of the string in `UESCAPE '!'`, if that comes next; it is taken then.
fn escape<'a>(reading: &mut Tokens<'a>) -> Option<&'a str> {
    let mut ahead = reading.clone();
    ahead.next().filter(|token| token.is_word("uescape"))?;
    let escape = ahead.next().filter(|token| token.kind == Kind::String)?;
    *reading = ahead;
    Some(escape.text)
}

/// A token as sqlparser has it, or as two.
fn read(token: &sql::Token<'_>, grammar: Grammar, escape: Option<&str>) -> Result<Vec<Token>, String> {
    let text = token.text;
    let one = match token.kind {
        Kind::Word => Token::make_word(text, None),
        Kind::DigitWord if grammar == Grammar::Hive => Token::make_word(text, None),
        Kind::DigitWord => {
            let why = "identifiers must not start with a digit; surround the identifier with double quotes";
            return Err(why.to_owned());
        }
        Kind::BackquotedName if grammar == Grammar::Hive => Token::make_word(&unquoted(text), Some('`')),
        Kind::BackquotedName => {
            let why = "backquoted identifiers are not supported; use double quotes to quote identifiers";
            return Err(why.to_owned());
        }
        Kind::QuotedName if grammar == Grammar::Trino && text.len() == 2 => {
            return Err("Zero-length delimited identifier not allowed".to_owned());
        }
        // In Hive's grammar it is a string; who wants one takes it.
        Kind::QuotedName => Token::make_word(&unquoted(text), Some('"')),
        Kind::String => Token::SingleQuotedString(unquoted(text)),
        Kind::UnicodeString => {
            let escape = escape.map_or_else(|| "\\".to_owned(), unquoted);
            Token::UnicodeStringLiteral(literals::unicode(&unquoted(&text[2..]), &escape)?)
        }
        Kind::Binary => {
            let digits = text[2..text.len() - 1].chars().filter(|c| !matches!(c, ' ' | '\t' | '\r' | '\n'));
            Token::HexStringLiteral(digits.collect())
        }
        Kind::Number => Token::Number(literals::number(text), false),
        Kind::Placeholder => Token::Placeholder("?".to_owned()),
        Kind::Open => Token::LParen,
        Kind::Close => Token::RParen,
        Kind::Semicolon => Token::SemiColon,
        Kind::Symbol => match text {
            "{-" => return Ok(vec![Token::LBrace, Token::Minus]),
            "-}" => return Ok(vec![Token::Minus, Token::RBrace]),
            symbol => self::symbol(symbol),
        },
        // Trino's parser stops at what its lexer did not know, and that is one character.
        Kind::Unterminated | Kind::Unrecognized => {
            return Err(format!("mismatched input '{}'", text.chars().next().unwrap_or_default()));
        }
    };
    Ok(vec![one])
}

fn symbol(text: &str) -> Token {
    match text {
        "," => Token::Comma,
        "." => Token::Period,
        ":" => Token::Colon,
        "[" => Token::LBracket,
        "]" => Token::RBracket,
        "{" => Token::LBrace,
        "}" => Token::RBrace,
        "=" => Token::Eq,
        "<>" | "!=" => Token::Neq,
        "<" => Token::Lt,
        "<=" => Token::LtEq,
        ">" => Token::Gt,
        ">=" => Token::GtEq,
        "+" => Token::Plus,
        "-" => Token::Minus,
        "*" => Token::Mul,
        "/" => Token::Div,
        "%" => Token::Mod,
        "||" => Token::StringConcat,
        "|" => Token::Pipe,
        "^" => Token::Caret,
        "->" => Token::Arrow,
        "=>" => Token::RArrow,
        "?" => Token::Question,
        // `$`, an anchor of row patterns.
        other => Token::Char(other.chars().next().unwrap_or_default()),
    }
}

/// What stands between quotes; a doubled one is one.
fn unquoted(text: &str) -> String {
    let quote = &text[..1];
    text[1..text.len() - 1].replace(&quote.repeat(2), quote)
}

/// A place in the text, as line and column.
struct Place<'a> {
    sql: &'a str,
    at: usize,
    location: Location,
}

impl<'a> Place<'a> {
    fn new(sql: &'a str) -> Self {
        Self { sql, at: 0, location: Location { line: 1, column: 1 } }
    }

    /// Goes on to a byte. As in Trino, lines end at line feeds alone, and columns are characters.
    fn move_to(&mut self, at: usize) -> Location {
        for c in self.sql[self.at..at].chars() {
            if c == '\n' {
                self.location = Location { line: self.location.line + 1, column: 1 };
            } else {
                self.location.column += 1;
            }
        }
        self.at = at;
        self.location
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens as sqlparser shows them, which does not double quotes.
    fn shown(sql: &str) -> String {
        match tokens(sql) {
            Ok(tokens) => tokens.iter().map(|token| token.token.to_string()).collect::<Vec<_>>().join(" "),
            Err(failure) => failure.message,
        }
    }

    #[test]
    fn tokens_are_trinos() {
        for (sql, expected) in [
            ("select 1 as a -- one\r, 2 as b", "select 1 as a , 2 as b"),
            ("select /* /* */ 1 */ 2", "select 1 * / 2"),
            ("select 'it''s' || \"a\"\"b\" != x'0a F0'", "select 'it's' || \"a\"b\" <> X'0aF0'"),
            ("select u&'\\00e9t\\+0000e9', U&'!00e9' uescape '!', 1", "select U&'été' , U&'é' , 1"),
            ("select 1_000, 0xff, 0b1_1, 1e5, .5", "select 1000 , 255 , 3 , 1e5 , .5"),
            ("x -> f(n => ?)", "x -> f ( n => ? )"),
            ("select 'a", "line 1:8: mismatched input '''"),
            ("select\n 1 /* a", "line 2:4: mismatched input '/'"),
            ("select\u{a0}1", "line 1:7: mismatched input '\u{a0}'"),
            ("\u{feff}select 1", "line 1:1: mismatched input '\u{feff}'"),
            (
                "select 1a",
                "line 1:8: identifiers must not start with a digit; surround the identifier with double quotes",
            ),
            (
                "create table a as select `b`",
                "line 1:26: backquoted identifiers are not supported; use double quotes to quote identifiers",
            ),
            ("select \"\"", "line 1:8: Zero-length delimited identifier not allowed"),
            ("select u&'\\00g0'", "line 1:8: Invalid hexadecimal digit: g"),
        ] {
            assert_eq!(shown(sql), expected, "{sql:?}");
        }
    }

    #[test]
    fn hives_names_may_begin_with_a_digit_or_be_in_backquotes() {
        for (sql, expected) in [
            (
                "create external table `a``b` (2c int) -- d\r location ''",
                "create external table `a`b` ( 2c int ) location ''",
            ),
            ("drop table\u{a0}`a`", "drop table `a`"),
            ("create table a (`as` int)", "create table a ( `as` int )"),
            ("show tables \"a*\"", "show tables \"a*\""),
        ] {
            assert_eq!(shown(sql), expected, "{sql:?}");
        }
    }

    #[test]
    fn places_are_lines_and_characters() {
        let tokens = tokens("é\"é\" -- é\r\n/*\n*/ 'é\n' x").err().map(|failure| failure.message);
        assert_eq!(tokens.as_deref(), Some("line 1:1: mismatched input 'é'"));
        let tokens = super::tokens("\"é\" -- é\r\n/*\n*/ 'é\n' x").expect("tokens");
        let places = tokens.iter().map(|token| {
            let Span { start, end } = token.span;
            [start.line, start.column, end.line, end.column]
        });
        assert_eq!(places.collect::<Vec<_>>(), [[1, 1, 1, 4], [3, 4, 4, 2], [4, 3, 4, 4]]);
    }
}
