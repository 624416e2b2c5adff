//! PREPARE, EXECUTE, DEALLOCATE PREPARE.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::statement::Statement;
use super::tokens;
use crate::emulator::model::Failure;

/// `EXECUTE name [USING value, …]`: which prepared statement, with which values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execute {
    pub name: String,
    /// The texts of the values; `None` without USING.
    pub values: Option<Vec<String>>,
}

/// `PREPARE`, taken, up to the end.
pub fn prepare(cursor: &mut Cursor<'_>) -> Result<Statement, Failure> {
    let name = statement_name(cursor)?;
    cursor.expect("FROM")?;
    let text = cursor.rest_text().to_owned();
    if text.is_empty() {
        return Err(cursor.mismatched("<statement>"));
    }
    Ok(Statement::Prepare { name, text })
}

/// `DEALLOCATE`, taken, up to the end.
pub fn deallocate(cursor: &mut Cursor<'_>) -> Result<Statement, Failure> {
    cursor.expect("PREPARE")?;
    let name = statement_name(cursor)?;
    cursor.expect_end()?;
    Ok(Statement::Deallocate { name })
}

/// Names of prepared statements keep their case.
fn statement_name(cursor: &mut Cursor<'_>) -> Result<String, Failure> {
    match cursor.peek().token {
        Token::Word(word) => {
            cursor.advance();
            Ok(word.value)
        }
        _ => Err(cursor.mismatched("<identifier>")),
    }
}

/// Reads the text if it is an EXECUTE.
pub fn execute(sql: &str) -> Result<Option<Execute>, Failure> {
    if !crate::sql::tokens(sql).next().is_some_and(|first| first.is_word("execute")) {
        return Ok(None);
    }
    let mut tokens = tokens::tokens(sql)?;
    while tokens.last().is_some_and(|token| token.token == Token::SemiColon) {
        tokens.pop();
    }
    let mut cursor = Cursor::new(sql, tokens);
    if !cursor.accept("EXECUTE") {
        return Ok(None);
    }
    let name = statement_name(&mut cursor)?;
    if cursor.at_end() {
        return Ok(Some(Execute { name, values: None }));
    }
    cursor.expect("USING")?;
    let mut values = Vec::new();
    loop {
        let value = cursor.expression_text()?;
        values.push(value.to_owned());
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_end()?;
    Ok(Some(Execute { name, values: Some(values) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_parted_at_commas_outside_of_brackets() {
        let read = execute("EXECUTE q1 USING 1, 'a, b', concat('x', 'y');").expect("a statement");
        let values = ["1", "'a, b'", "concat('x', 'y')"].map(str::to_owned).to_vec();
        assert_eq!(read, Some(Execute { name: "q1".into(), values: Some(values) }));
        for sql in ["EXECUTE q1", "-- select 1\rexecute q1;", "/* a */EXECUTE/**/q1"] {
            assert_eq!(execute(sql).expect("fine"), Some(Execute { name: "q1".into(), values: None }));
        }
        assert_eq!(execute("SELECT 1").expect("fine"), None);
        assert!(execute("EXECUTE q1 USING").is_err());
    }
}
