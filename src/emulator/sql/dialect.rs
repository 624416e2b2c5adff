//! Reads Athena's SELECT with sqlparser, and puts its complaints into Trino's words.

use std::any::TypeId;
use std::cell::Cell;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, SetExpr, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use crate::emulator::failure::Position;
use crate::emulator::model::Failure;

/// Brackets nested deeper than this are refused by the parser.
const MAX_BRACKETS: usize = 200;
/// Trees deeper than this are refused: whoever walks one afterwards does so by recursion.
const MAX_TREE: usize = 500;
/// Operators in one statement: a chain of them becomes a tree as deep as it is long.
const MAX_OPERATORS: usize = 20_000;

/// Expressions that may be begun per token of a statement, going back included, and for any statement.
const STEPS_PER_TOKEN: usize = 40;
const STEPS_AT_LEAST: usize = 50_000;

thread_local! {
    /// What is left of them for the statement that this thread reads.
    static STEPS: Cell<usize> = const { Cell::new(0) };
}

fn give_steps(tokens: usize) {
    STEPS.set(STEPS_AT_LEAST + tokens * STEPS_PER_TOKEN);
}

/// Trino's SELECT, as far as sqlparser has switches for it.
#[derive(Debug, Default)]
pub struct AthenaDialect;

impl Dialect for AthenaDialect {
    /// UNNEST in FROM hangs on the dialect's name, not on a switch.
    fn dialect(&self) -> TypeId {
        GenericDialect {}.dialect()
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_' || ch == '$'
    }

    /// Called for every expression the parser begins, and again each time it goes back to try another reading: over nested
    /// expressions with a mistake inside that would be exponentially often.
    fn parse_prefix(&self, _: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let left = STEPS.get();
        STEPS.set(left.saturating_sub(1));
        (left == 0).then_some(Err(ParserError::RecursionLimitExceeded))
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_within_after_array_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    fn supports_lambda_functions(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }
}

/// Reads all of the tokens as one query.
pub fn query(tokens: Vec<TokenWithSpan>, end: Position) -> Result<Box<Query>, Failure> {
    give_steps(tokens.len());
    let mut parser = parser(respelled(tokens));
    let query = parser.parse_query().map_err(|error| complaint(error, end))?;
    finish(&mut parser, end)?;
    match query.visit(&mut Depth(0)) {
        ControlFlow::Continue(()) => Ok(query),
        ControlFlow::Break(()) => Err(too_large(end)),
    }
}

fn too_large(at: Position) -> Failure {
    Failure::syntax(at, "statement is too large (stack overflow while parsing)")
}

/// Refuses what would become a tree too deep to be walked even once.
pub fn check_operators(tokens: &[TokenWithSpan]) -> Result<(), Failure> {
    let is_operator = |token: &Token| match token {
        Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod | Token::StringConcat => true,
        Token::Word(word) => {
            use datafusion::sql::sqlparser::keywords::Keyword::*;
            matches!(word.keyword, AND | OR | NOT | IS | UNION | INTERSECT | EXCEPT)
        }
        _ => false,
    };
    match tokens.iter().filter(|token| is_operator(&token.token)).nth(MAX_OPERATORS) {
        Some(token) => Err(too_large(position(token.span.start))),
        None => Ok(()),
    }
}

/// The functions that CAST and TRY_CAST are put to the parser as, `"cast"(value, 'type')`: it reads fewer types than there
/// are.
pub const CASTS: [&str; 2] = ["cast", "try_cast"];
/// Types whose literals are their name and a text, beside those sqlparser knows.
const LITERAL_TYPES: [&str; 14] = [
    "json",
    "uuid",
    "ipaddress",
    "real",
    "double",
    "bigint",
    "integer",
    "int",
    "smallint",
    "tinyint",
    "varchar",
    "char",
    "boolean",
    "varbinary",
];

/// The same statement in words sqlparser reads: CAST as a function, `UUID '…'`, and VALUES without brackets.
fn respelled(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    // For each open bracket: whether it is CAST's.
    let mut brackets: Vec<bool> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        let next = tokens.get(at + 1).map(|next| &next.token);
        match &token.token {
            Token::LParen => {
                let opens_cast =
                    at > 0 && (is_word(&tokens[at - 1].token, "cast") || is_word(&tokens[at - 1].token, "try_cast"));
                brackets.push(opens_cast);
            }
            Token::RParen => {
                brackets.pop();
            }
            Token::Word(word) if word.quote_style.is_none() => {
                let name = word.value.to_lowercase();
                if name == "as" && brackets.last() == Some(&true) {
                    let end = closing(&tokens, at + 1);
                    let text: Vec<String> = tokens[at + 1..end].iter().map(|token| token.token.to_string()).collect();
                    out.push(like(Token::Comma, token));
                    out.push(like(Token::SingleQuotedString(text.join(" ")), token));
                    at = end;
                    continue;
                }
                if CASTS.contains(&name.as_str()) && next == Some(&Token::LParen) {
                    out.push(like(Token::make_word(&name, Some('"')), token));
                    at += 1;
                    continue;
                }
                let text = match next {
                    Some(Token::SingleQuotedString(_)) => tokens.get(at + 1),
                    _ => None,
                };
                if let Some(text) = text.filter(|_| LITERAL_TYPES.contains(&name.as_str())) {
                    out.extend(typed_text(&name, text, token));
                    at += 2;
                    continue;
                }
                if name == "values" && next.is_some_and(|next| *next != Token::LParen) {
                    out.push(token.clone());
                    at = bracket_rows(&tokens, at + 1, &mut out);
                    continue;
                }
            }
            _ => {}
        }
        out.push(token.clone());
        at += 1;
    }
    out
}

fn is_word(token: &Token, expected: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
}

/// The place of the bracket that closes what is open at `from`.
fn closing(tokens: &[TokenWithSpan], from: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => return at,
            Token::RParen => depth -= 1,
            _ => {}
        }
    }
    tokens.len()
}

fn like(token: Token, place: &TokenWithSpan) -> TokenWithSpan {
    TokenWithSpan { token, span: place.span }
}

/// `UUID '…'` → `CAST('…' AS uuid)`; a JSON text is parsed, not wrapped.
fn typed_text(name: &str, text: &TokenWithSpan, place: &TokenWithSpan) -> Vec<TokenWithSpan> {
    let word = |text: &str| like(Token::make_word(text, None), place);
    let (open, close) = (like(Token::LParen, place), like(Token::RParen, place));
    if name == "json" {
        return vec![word("json_parse"), open, text.clone(), close];
    }
    let cast = like(Token::make_word(CASTS[0], Some('"')), place);
    let target = like(Token::SingleQuotedString(name.to_owned()), place);
    vec![cast, open, text.clone(), like(Token::Comma, place), target, close]
}

/// `VALUES 1, 2` → `VALUES (1), (2)`. Gives the place behind the rows.
fn bracket_rows(tokens: &[TokenWithSpan], from: usize, out: &mut Vec<TokenWithSpan>) -> usize {
    const ENDS: [&str; 8] = ["order", "limit", "offset", "fetch", "union", "except", "intersect", "with"];
    let mut depth = 0_i32;
    let mut end = from;
    let mut rows: Vec<Vec<TokenWithSpan>> = vec![Vec::new()];
    while let Some(token) = tokens.get(end) {
        match &token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth -= 1,
            _ => {}
        }
        if depth < 0 || (depth == 0 && ENDS.iter().any(|word| is_word(&token.token, word))) {
            break;
        }
        if depth == 0 && token.token == Token::Comma {
            rows.push(Vec::new());
        } else if let Some(row) = rows.last_mut() {
            row.push(token.clone());
        }
        end += 1;
    }
    for (i, row) in rows.into_iter().enumerate() {
        let place = row.first().cloned().unwrap_or_else(|| tokens[from.min(tokens.len()) - 1].clone());
        if i > 0 {
            out.push(like(Token::Comma, &place));
        }
        out.push(like(Token::LParen, &place));
        out.extend(respelled(row));
        out.push(like(Token::RParen, &place));
    }
    end
}

/// Counts how deep expressions and set operations are nested.
struct Depth(usize);

impl Visitor for Depth {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let (mut operations, mut body) = (0, query.body.as_ref());
        while let SetExpr::SetOperation { left, .. } = body {
            operations += 1;
            body = left;
        }
        if self.0 + operations > MAX_TREE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.0 += 1;
        if self.0 > MAX_TREE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.0 -= 1;
        ControlFlow::Continue(())
    }
}

/// Reads all of the tokens as one expression.
pub fn expression(tokens: Vec<TokenWithSpan>, end: Position) -> Result<Expr, Failure> {
    give_steps(tokens.len());
    let mut parser = parser(respelled(tokens));
    let expression = parser.parse_expr().map_err(|error| complaint(error, end))?;
    finish(&mut parser, end)?;
    Ok(expression)
}

fn parser(tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    Parser::new(&AthenaDialect).with_recursion_limit(MAX_BRACKETS).with_tokens_with_locations(tokens)
}

fn finish(parser: &mut Parser<'_>, end: Position) -> Result<(), Failure> {
    let next = parser.peek_token();
    if next.token == Token::EOF {
        return Ok(());
    }
    Err(mismatched(&next, end, "<EOF>"))
}

/// `line 1:8: mismatched input 'x'. Expecting: …`
pub fn mismatched(found: &TokenWithSpan, end: Position, expected: &str) -> Failure {
    match &found.token {
        Token::EOF => Failure::syntax(end, format!("mismatched input '<EOF>'. Expecting: {expected}")),
        token => {
            Failure::syntax(position(found.span.start), format!("mismatched input '{token}'. Expecting: {expected}"))
        }
    }
}

/// sqlparser says `Expected: a, found: b at Line: 1, Column: 8`.
fn complaint(error: ParserError, end: Position) -> Failure {
    let text = match error {
        ParserError::RecursionLimitExceeded => {
            return too_large(end);
        }
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
    };
    let (text, at) = match text.rsplit_once(" at Line: ") {
        Some((text, place)) => {
            let numbers = place.split_once(", Column: ").map(|(line, column)| (line.parse(), column.parse()));
            match numbers {
                Some((Ok(line), Ok(column))) => (text, Position { line, column }),
                _ => (text, end),
            }
        }
        None => (text.as_str(), end),
    };
    match text.strip_prefix("Expected: ").and_then(|rest| rest.split_once(", found: ")) {
        Some((expected, "EOF")) => Failure::syntax(end, format!("mismatched input '<EOF>'. Expecting: {expected}")),
        Some((expected, found)) => Failure::syntax(at, format!("mismatched input '{found}'. Expecting: {expected}")),
        None => Failure::syntax(at, text),
    }
}

pub fn position(location: Location) -> Position {
    Position { line: location.line.max(1), column: location.column.max(1) }
}

/// The position behind the last character.
pub fn end_of(sql: &str) -> Position {
    let line = sql.matches('\n').count() as u64 + 1;
    let column = sql.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
    Position { line, column }
}

/// The byte offset of a token's place, to cut text out of a statement.
pub fn offset(sql: &str, location: Location) -> usize {
    let line_start = match location.line {
        0 | 1 => 0,
        line => sql.match_indices('\n').nth(line as usize - 2).map_or(sql.len(), |(at, _)| at + 1),
    };
    let line = &sql[line_start..];
    let columns = (location.column as usize).saturating_sub(1);
    line_start + line.char_indices().nth(columns).map_or(line.len(), |(at, _)| at)
}
