//! Puts the values of ExecutionParameters in the place of the `?` of a statement (athena-behaviour, section 2).
//!
//! A value that parses as an expression without identifiers is that expression; anything else is a string.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Visit, Visitor};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::dialect::{check_operators, end_of, expression};
use super::tokens::tokens;

/// The number of `?` among the tokens.
pub fn count(statement: &[TokenWithSpan]) -> usize {
    statement.iter().filter(|token| is_placeholder(token)).count()
}

/// Replaces the `?` one by one. There are as many values as placeholders.
pub fn bind(statement: Vec<TokenWithSpan>, values: &[String]) -> Vec<TokenWithSpan> {
    let mut values = values.iter();
    let mut bound = Vec::with_capacity(statement.len());
    for token in statement {
        match is_placeholder(&token).then(|| values.next()).flatten() {
            // The position of the `?` stands for the whole value in error messages.
            Some(value) => bound.extend(value_tokens(value).into_iter().map(|t| TokenWithSpan { token: t, ..token })),
            None => bound.push(token),
        }
    }
    bound
}

fn is_placeholder(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::Placeholder(text) if text == "?")
}

fn value_tokens(value: &str) -> Vec<Token> {
    let readable =
        |found: &Vec<TokenWithSpan>| !found.is_empty() && count(found) == 0 && check_operators(found).is_ok();
    let as_expression = tokens(value).ok().filter(readable).filter(|found| {
        expression(found.clone(), end_of(value)).is_ok_and(|expr| expr.visit(&mut NoNames).is_continue())
    });
    match as_expression {
        Some(found) if found.len() == 1 => found.into_iter().map(|token| token.token).collect(),
        Some(found) => std::iter::once(Token::LParen)
            .chain(found.into_iter().map(|token| token.token))
            .chain(std::iter::once(Token::RParen))
            .collect(),
        None => vec![Token::SingleQuotedString(value.to_owned())],
    }
}

struct NoNames;

impl Visitor for NoNames {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Subquery(_) | Expr::Exists { .. } => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
