//! A place in the tokens of a statement, for the statements whose grammar is ours to read.

use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::dialect::{end_of, mismatched, offset};
use crate::emulator::failure::Position;
use crate::emulator::model::{Failure, Parameters};

pub struct Cursor<'a> {
    pub sql: &'a str,
    tokens: Vec<TokenWithSpan>,
    at: usize,
}

/// A name of up to three parts: `[[catalog.]database.]name`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub catalog: Option<String>,
    pub database: Option<String>,
    pub name: String,
    pub position: Position,
}

impl<'a> Cursor<'a> {
    pub fn new(sql: &'a str, tokens: Vec<TokenWithSpan>) -> Self {
        Self { sql, tokens, at: 0 }
    }

    pub fn peek(&self) -> TokenWithSpan {
        self.tokens.get(self.at).cloned().unwrap_or(TokenWithSpan { token: Token::EOF, span: Span::empty() })
    }

    pub fn at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    pub fn end(&self) -> Position {
        end_of(self.sql)
    }

    pub fn position(&self) -> Position {
        self.tokens.get(self.at).map_or_else(|| self.end(), |token| super::dialect::position(token.span.start))
    }

    /// What is left, for sqlparser.
    pub fn rest(&self) -> Vec<TokenWithSpan> {
        self.tokens[self.at.min(self.tokens.len())..].to_vec()
    }

    /// The text from the next token to the end of the last one.
    pub fn rest_text(&self) -> &'a str {
        match (self.tokens.get(self.at), self.tokens.last()) {
            (Some(first), Some(last)) => &self.sql[offset(self.sql, first.span.start)..offset(self.sql, last.span.end)],
            _ => "",
        }
    }

    pub fn advance(&mut self) {
        self.at += 1;
    }

    pub fn next_is(&self, word: &str) -> bool {
        self.nth_is(0, word)
    }

    pub fn nth_is(&self, n: usize, expected: &str) -> bool {
        match self.tokens.get(self.at + n).map(|token| &token.token) {
            Some(Token::Word(word)) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected),
            _ => false,
        }
    }

    /// Takes the words if all of them come next.
    pub fn accept(&mut self, words: &str) -> bool {
        let count = words.split(' ').count();
        let found = words.split(' ').enumerate().all(|(n, word)| self.nth_is(n, word));
        if found {
            self.at += count;
        }
        found
    }

    pub fn accept_token(&mut self, token: &Token) -> bool {
        let found = self.peek().token == *token;
        if found {
            self.at += 1;
        }
        found
    }

    pub fn expect(&mut self, words: &str) -> Result<(), Failure> {
        if self.accept(words) { Ok(()) } else { Err(self.mismatched(&format!("'{words}'"))) }
    }

    pub fn expect_token(&mut self, token: &Token) -> Result<(), Failure> {
        if self.accept_token(token) { Ok(()) } else { Err(self.mismatched(&format!("'{token}'"))) }
    }

    pub fn expect_end(&self) -> Result<(), Failure> {
        if self.at_end() { Ok(()) } else { Err(self.mismatched("<EOF>")) }
    }

    pub fn mismatched(&self, expected: &str) -> Failure {
        mismatched(&self.peek(), self.end(), expected)
    }

    /// A name alone, quoted or not, in lower case as Glue keeps it.
    pub fn identifier(&mut self) -> Result<String, Failure> {
        match self.peek().token {
            Token::Word(word) => {
                self.at += 1;
                Ok(word.value.to_lowercase())
            }
            _ => Err(self.mismatched("<identifier>")),
        }
    }

    pub fn name(&mut self) -> Result<Name, Failure> {
        let position = self.position();
        let mut parts = vec![self.identifier()?];
        while self.accept_token(&Token::Period) {
            parts.push(self.identifier()?);
        }
        let name = parts.pop().unwrap_or_default();
        let database = parts.pop();
        let catalog = parts.pop();
        if !parts.is_empty() {
            return Err(Failure::syntax(position, "a name has at most three parts"));
        }
        Ok(Name { catalog, database, name, position })
    }

    pub fn string(&mut self) -> Result<String, Failure> {
        match self.peek().token {
            Token::SingleQuotedString(text) => {
                self.at += 1;
                Ok(text)
            }
            // The lexer takes "…" for a quoted name; Hive's grammar allows it as a string.
            Token::Word(word) if word.quote_style == Some('"') => {
                self.at += 1;
                Ok(word.value)
            }
            _ => Err(self.mismatched("<string>")),
        }
    }

    pub fn nth_token(&self, n: usize) -> Option<Token> {
        self.tokens.get(self.at + n).map(|token| token.token.clone())
    }

    /// What stands in the brackets that come next, which are taken.
    pub fn bracketed(&mut self) -> Result<Vec<TokenWithSpan>, Failure> {
        self.expect_token(&Token::LParen)?;
        let (start, mut depth) = (self.at, 1);
        while let Some(token) = self.tokens.get(self.at) {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(self.tokens[start..self.at - 1].to_vec());
            }
        }
        Err(self.mismatched("')'"))
    }

    /// Takes these words off the end of the statement, if it ends in them.
    pub fn take_ending(&mut self, words: &[&str]) -> bool {
        let Some(start) = self.tokens.len().checked_sub(words.len()).filter(|start| *start >= self.at) else {
            return false;
        };
        let here = self.at;
        self.at = start;
        let found = words.iter().enumerate().all(|(n, word)| self.nth_is(n, word));
        self.at = here;
        if found {
            self.tokens.truncate(start);
        }
        found
    }

    /// The text of an expression: everything up to a comma outside of brackets.
    pub fn expression_text(&mut self) -> Result<&'a str, Failure> {
        let (start, mut depth) = (self.at, 0_i32);
        while let Some(token) = self.tokens.get(self.at) {
            match &token.token {
                Token::Comma if depth == 0 => break,
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
        self.text_since(start, "<expression>")
    }

    fn text_since(&self, start: usize, expected: &str) -> Result<&'a str, Failure> {
        if self.at == start {
            return Err(self.mismatched(expected));
        }
        let (first, last) = (&self.tokens[start], &self.tokens[self.at - 1]);
        Ok(&self.sql[offset(self.sql, first.span.start)..offset(self.sql, last.span.end)])
    }

    /// `('key'='value', …)`
    pub fn properties(&mut self) -> Result<Parameters, Failure> {
        self.expect_token(&Token::LParen)?;
        let mut properties = Parameters::new();
        loop {
            let key = self.string()?;
            self.expect_token(&Token::Eq)?;
            properties.insert(key, self.string()?);
            if !self.accept_token(&Token::Comma) {
                break;
            }
        }
        self.expect_token(&Token::RParen)?;
        Ok(properties)
    }

    /// The text of a type: everything up to a comma, a closing bracket or COMMENT outside of brackets.
    pub fn type_text(&mut self) -> Result<&'a str, Failure> {
        let (start, mut depth) = (self.at, 0_i32);
        while let Some(token) = self.tokens.get(self.at) {
            match &token.token {
                Token::Comma if depth == 0 => break,
                Token::RParen if depth == 0 => break,
                Token::Word(word) if depth == 0 && word.value.eq_ignore_ascii_case("comment") => break,
                Token::LParen | Token::Lt => depth += 1,
                Token::RParen | Token::Gt => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
        self.text_since(start, "<type>")
    }
}
