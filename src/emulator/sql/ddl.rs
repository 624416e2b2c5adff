//! CREATE, DROP, SHOW, DESCRIBE and MSCK: Hive's grammar, as far as Athena documents it.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::statement::{ColumnDefinition, CreateTable, Statement, query};
use crate::emulator::model::{Failure, Parameters};
use crate::types::AthenaType;

pub fn statement(cursor: &mut Cursor<'_>) -> Result<Statement, Failure> {
    if cursor.accept("CREATE") {
        create(cursor)
    } else if cursor.accept("DROP") {
        drop(cursor)
    } else if cursor.accept("SHOW") {
        show(cursor)
    } else if cursor.accept("DESCRIBE") || cursor.accept("DESC") {
        describe(cursor)
    } else if cursor.accept("ALTER") {
        super::alter::statement(cursor)
    } else if cursor.accept("INSERT INTO") {
        super::write::insert(cursor)
    } else if cursor.accept("UNLOAD") {
        super::write::unload(cursor)
    } else if cursor.accept("PREPARE") {
        super::prepared::prepare(cursor)
    } else if cursor.accept("DEALLOCATE") {
        super::prepared::deallocate(cursor)
    } else if cursor.accept("MSCK REPAIR TABLE") {
        ending(cursor, Cursor::name).map(Statement::MsckRepair)
    } else {
        Err(cursor.mismatched("<statement>"))
    }
}

/// `[EXTENDED | FORMATTED] name [PARTITION (…)] [column]`
fn describe(cursor: &mut Cursor<'_>) -> Result<Statement, Failure> {
    let at = cursor.position();
    if cursor.accept("INPUT") || cursor.accept("OUTPUT") {
        return Err(Failure::not_supported(Some(at), "DESCRIBE INPUT and DESCRIBE OUTPUT, as Athena does not"));
    }
    let _ = cursor.accept("EXTENDED") || cursor.accept("FORMATTED");
    let name = cursor.name()?;
    if cursor.accept("PARTITION") {
        cursor.bracketed()?;
    }
    let column = if cursor.at_end() { None } else { Some(cursor.identifier()?) };
    cursor.expect_end()?;
    Ok(Statement::Describe { name, column })
}

/// Reads the last part of a statement.
fn ending<'a, T>(
    cursor: &mut Cursor<'a>,
    read: impl FnOnce(&mut Cursor<'a>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let part = read(cursor)?;
    cursor.expect_end()?;
    Ok(part)
}

fn create(cursor: &mut Cursor<'_>) -> Result<Statement, Failure> {
    if cursor.accept("DATABASE") || cursor.accept("SCHEMA") {
        return create_database(cursor);
    }
    if cursor.accept("EXTERNAL TABLE") {
        return create_table(cursor);
    }
    let or_replace = cursor.accept("OR REPLACE");
    if cursor.accept("VIEW") {
        let name = cursor.name()?;
        cursor.expect("AS")?;
        let text = cursor.rest_text().to_owned();
        return Ok(Statement::CreateView { name, or_replace, query: query(cursor)?, text });
    }
    if cursor.accept("TABLE") {
        return super::write::create_table_as(cursor);
    }
    Err(cursor.mismatched("'DATABASE', 'SCHEMA', 'EXTERNAL TABLE', 'TABLE', 'VIEW'"))
}

fn create_database(cursor: &mut Cursor<'_>) -> Result<Statement, Failure> {
    let if_not_exists = cursor.accept("IF NOT EXISTS");
    let name = cursor.name()?;
    let comment = cursor.accept("COMMENT").then(|| cursor.string()).transpose()?;
    let location = cursor.accept("LOCATION").then(|| cursor.string()).transpose()?;
    let properties = cursor.accept("WITH DBPROPERTIES").then(|| cursor.properties()).transpose()?.unwrap_or_default();
    cursor.expect_end()?;
    Ok(Statement::CreateDatabase { name, if_not_exists, comment, location, properties })
}

fn create_table(cursor: &mut Cursor<'_>) -> Result<Statement, Failure> {
    let if_not_exists = cursor.accept("IF NOT EXISTS");
    let name = cursor.name()?;
    let columns = columns(cursor)?;
    let comment = cursor.accept("COMMENT").then(|| cursor.string()).transpose()?;
    let partition_keys = if cursor.accept("PARTITIONED BY") { self::columns(cursor)? } else { Vec::new() };
    if cursor.next_is("CLUSTERED") {
        return Err(Failure::not_supported(Some(cursor.position()), "CLUSTERED BY"));
    }
    let (mut serde, mut serde_properties) = (None, Parameters::new());
    if cursor.accept("ROW FORMAT SERDE") {
        serde = Some(cursor.string()?);
        if cursor.accept("WITH SERDEPROPERTIES") {
            serde_properties = cursor.properties()?;
        }
    } else if cursor.accept("ROW FORMAT DELIMITED") {
        serde = Some("org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe".to_owned());
        serde_properties = delimiters(cursor)?;
    }
    let (mut stored_as, mut input_format, mut output_format) = (None, None, None);
    if cursor.accept("STORED AS") {
        if cursor.accept("INPUTFORMAT") {
            input_format = Some(cursor.string()?);
            cursor.expect("OUTPUTFORMAT")?;
            output_format = Some(cursor.string()?);
        } else {
            stored_as = Some(cursor.identifier()?);
        }
    }
    if !cursor.accept("LOCATION") {
        return Err(cursor.mismatched("'LOCATION'"));
    }
    let location = cursor.string()?;
    let properties = cursor.accept("TBLPROPERTIES").then(|| cursor.properties()).transpose()?.unwrap_or_default();
    cursor.expect_end()?;
    Ok(Statement::CreateTable(Box::new(CreateTable {
        name,
        if_not_exists,
        columns,
        partition_keys,
        comment,
        serde,
        serde_properties,
        stored_as,
        input_format,
        output_format,
        location,
        properties,
    })))
}

pub fn columns(cursor: &mut Cursor<'_>) -> Result<Vec<ColumnDefinition>, Failure> {
    cursor.expect_token(&Token::LParen)?;
    let mut columns = Vec::new();
    loop {
        let name = cursor.identifier()?;
        let at = cursor.position();
        let text = cursor.type_text()?;
        let data_type = AthenaType::parse(text).map_err(|fault| Failure::syntax(at, fault))?;
        if let AthenaType::Other(unknown) = &data_type {
            return Err(Failure::syntax(at, format!("mismatched input '{unknown}'. Expecting: <type>")));
        }
        let comment = cursor.accept("COMMENT").then(|| cursor.string()).transpose()?;
        columns.push(ColumnDefinition { name, data_type, comment });
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(columns)
}

/// The clauses of ROW FORMAT DELIMITED as the SerDe properties they set.
fn delimiters(cursor: &mut Cursor<'_>) -> Result<Parameters, Failure> {
    let mut properties = Parameters::new();
    loop {
        let key = if cursor.accept("FIELDS TERMINATED BY") {
            "field.delim"
        } else if cursor.accept("ESCAPED BY") {
            "escape.delim"
        } else if cursor.accept("COLLECTION ITEMS TERMINATED BY") {
            "collection.delim"
        } else if cursor.accept("MAP KEYS TERMINATED BY") {
            "mapkey.delim"
        } else if cursor.accept("LINES TERMINATED BY") {
            "line.delim"
        } else if cursor.accept("NULL DEFINED AS") {
            "serialization.null.format"
        } else {
            return Ok(properties);
        };
        let text = cursor.string()?;
        properties.insert(key.to_owned(), text.replace("\\t", "\t").replace("\\n", "\n").replace("\\001", "\u{1}"));
    }
}

fn drop(cursor: &mut Cursor<'_>) -> Result<Statement, Failure> {
    if cursor.accept("DATABASE") || cursor.accept("SCHEMA") {
        let if_exists = cursor.accept("IF EXISTS");
        let name = cursor.name()?;
        let cascade = cursor.accept("CASCADE");
        let _ = cascade || cursor.accept("RESTRICT");
        cursor.expect_end()?;
        Ok(Statement::DropDatabase { name, if_exists, cascade })
    } else if cursor.accept("TABLE") {
        let if_exists = cursor.accept("IF EXISTS");
        ending(cursor, Cursor::name).map(|name| Statement::DropTable { name, if_exists })
    } else if cursor.accept("VIEW") {
        let if_exists = cursor.accept("IF EXISTS");
        ending(cursor, Cursor::name).map(|name| Statement::DropView { name, if_exists })
    } else {
        Err(cursor.mismatched("'DATABASE', 'SCHEMA', 'TABLE', 'VIEW'"))
    }
}

fn show(cursor: &mut Cursor<'_>) -> Result<Statement, Failure> {
    if cursor.accept("DATABASES") || cursor.accept("SCHEMAS") {
        ending(cursor, like).map(|like| Statement::ShowDatabases { like })
    } else if cursor.accept("TABLES") || cursor.next_is("VIEWS") {
        let views = cursor.accept("VIEWS");
        let database = (cursor.accept("IN") || cursor.accept("FROM")).then(|| cursor.name()).transpose()?;
        let like = ending(cursor, like)?;
        Ok(if views { Statement::ShowViews { database, like } } else { Statement::ShowTables { database, like } })
    } else if cursor.accept("COLUMNS") {
        if !(cursor.accept("FROM") || cursor.accept("IN")) {
            return Err(cursor.mismatched("'FROM', 'IN'"));
        }
        let mut table = cursor.name()?;
        if cursor.accept("FROM") || cursor.accept("IN") {
            table.database = Some(cursor.identifier()?);
        }
        cursor.expect_end()?;
        Ok(Statement::ShowColumns(table))
    } else if cursor.accept("PARTITIONS") {
        ending(cursor, Cursor::name).map(Statement::ShowPartitions)
    } else if cursor.accept("CREATE TABLE") {
        ending(cursor, Cursor::name).map(Statement::ShowCreateTable)
    } else if cursor.accept("CREATE VIEW") {
        ending(cursor, Cursor::name).map(Statement::ShowCreateView)
    } else if cursor.accept("TBLPROPERTIES") {
        let name = cursor.name()?;
        let mut key = None;
        if cursor.accept_token(&Token::LParen) {
            key = Some(cursor.string()?);
            cursor.expect_token(&Token::RParen)?;
        }
        cursor.expect_end()?;
        Ok(Statement::ShowTableProperties { name, key })
    } else if cursor.accept("FUNCTIONS") {
        ending(cursor, like).map(|like| Statement::ShowFunctions { like })
    } else {
        Err(cursor.mismatched(
            "'DATABASES', 'SCHEMAS', 'TABLES', 'VIEWS', 'COLUMNS', 'PARTITIONS', 'CREATE TABLE', 'CREATE VIEW', \
             'TBLPROPERTIES'",
        ))
    }
}

fn like(cursor: &mut Cursor<'_>) -> Result<Option<String>, Failure> {
    let _ = cursor.accept("LIKE");
    if cursor.at_end() { Ok(None) } else { cursor.string().map(Some) }
}
