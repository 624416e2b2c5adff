//! Statements that write data: CREATE TABLE AS, INSERT, UNLOAD.

use datafusion::sql::sqlparser::ast::Query;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::dialect;
use super::statement::{Statement, query};
use crate::emulator::failure::Position;
use crate::emulator::model::Failure;

/// How and where data is written: what stands in WITH (…).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WriteOptions {
    pub format: Option<String>,
    pub compression: Option<String>,
    pub partitioned_by: Vec<String>,
    pub external_location: Option<String>,
    pub field_delimiter: Option<String>,
}

/// `CREATE TABLE`, both words taken, up to the end.
pub fn create_table_as(cursor: &mut Cursor<'_>) -> Result<Statement, Failure> {
    let if_not_exists = cursor.accept("IF NOT EXISTS");
    let name = cursor.name()?;
    if cursor.peek().token == Token::LParen {
        return Err(Failure::not_supported(
            Some(name.position),
            "CREATE TABLE with columns (Iceberg tables); use CREATE EXTERNAL TABLE",
        ));
    }
    let options = if cursor.accept("WITH") { options(cursor)? } else { WriteOptions::default() };
    cursor.expect("AS")?;
    let with_data = match cursor.take_ending(&["WITH", "NO", "DATA"]) {
        true => false,
        false => {
            cursor.take_ending(&["WITH", "DATA"]);
            true
        }
    };
    let query = query(cursor)?;
    Ok(Statement::CreateTableAs { name, if_not_exists, options, query, with_data })
}

/// `INSERT INTO`, both words taken, up to the end.
pub fn insert(cursor: &mut Cursor<'_>) -> Result<Statement, Failure> {
    let name = cursor.name()?;
    let lists_columns = cursor.peek().token == Token::LParen
        && !["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| cursor.nth_is(1, word))
        && cursor.nth_token(1) != Some(Token::LParen);
    let mut columns = None;
    if lists_columns {
        cursor.advance();
        let mut names = vec![cursor.identifier()?];
        while cursor.accept_token(&Token::Comma) {
            names.push(cursor.identifier()?);
        }
        cursor.expect_token(&Token::RParen)?;
        columns = Some(names);
    }
    Ok(Statement::Insert { name, columns, query: query(cursor)? })
}

/// `UNLOAD`, taken, up to the end.
pub fn unload(cursor: &mut Cursor<'_>) -> Result<Statement, Failure> {
    let inside = cursor.bracketed()?;
    let end = cursor.position();
    let query: Box<Query> = dialect::query(inside, end)?;
    cursor.expect("TO")?;
    let location = cursor.string()?;
    let at = cursor.position();
    let options = if cursor.accept("WITH") { options(cursor)? } else { WriteOptions::default() };
    cursor.expect_end()?;
    if options.format.is_none() {
        return Err(Failure::syntax(at, "UNLOAD needs WITH (format = '…')"));
    }
    if options.external_location.is_some() {
        return Err(Failure::syntax(at, "UNLOAD has no property external_location"));
    }
    Ok(Statement::Unload { query, location, options })
}

/// `(format = 'PARQUET', partitioned_by = ARRAY['a'], …)`
fn options(cursor: &mut Cursor<'_>) -> Result<WriteOptions, Failure> {
    let mut options = WriteOptions::default();
    cursor.expect_token(&Token::LParen)?;
    loop {
        let at = cursor.position();
        let key = cursor.identifier()?;
        cursor.expect_token(&Token::Eq)?;
        set(&mut options, &key, at, cursor)?;
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(options)
}

fn set(options: &mut WriteOptions, key: &str, at: Position, cursor: &mut Cursor<'_>) -> Result<(), Failure> {
    match key {
        "format" => options.format = Some(cursor.string()?.to_uppercase()),
        "compression" | "write_compression" | "parquet_compression" | "orc_compression" => {
            options.compression = Some(cursor.string()?.to_uppercase());
        }
        "partitioned_by" => options.partitioned_by = names(cursor)?,
        "external_location" | "location" => options.external_location = Some(cursor.string()?),
        "field_delimiter" => options.field_delimiter = Some(cursor.string()?),
        "table_type" => {
            let kind = cursor.string()?;
            if !kind.eq_ignore_ascii_case("hive") {
                return Err(Failure::not_supported(Some(at), format!("table_type = '{kind}'")));
            }
        }
        "is_external" => {
            if !cursor.accept("TRUE") {
                return Err(Failure::not_supported(Some(at), "is_external = false (Iceberg tables)"));
            }
        }
        "bucketed_by" | "bucket_count" | "partitioning" => {
            return Err(Failure::not_supported(Some(at), format!("the table property {key}")));
        }
        unknown => {
            return Err(Failure::invalid_query(format!(
                "line {}:{}: Catalog 'awsdatacatalog' table property '{unknown}' does not exist",
                at.line, at.column
            )));
        }
    }
    Ok(())
}

/// `ARRAY['a', 'b']`
fn names(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Failure> {
    cursor.expect("ARRAY")?;
    cursor.expect_token(&Token::LBracket)?;
    let mut names = vec![cursor.string()?.to_lowercase()];
    while cursor.accept_token(&Token::Comma) {
        names.push(cursor.string()?.to_lowercase());
    }
    cursor.expect_token(&Token::RBracket)?;
    Ok(names)
}
