//! ALTER TABLE and ALTER DATABASE.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::cursor::{Cursor, Name};
use super::ddl::columns;
use super::statement::{ColumnDefinition, Statement};
use crate::emulator::model::{Failure, Parameters};

/// `key → value`, as a PARTITION (…) names it.
pub type PartitionSpec = Vec<(String, String)>;

#[derive(Debug, Clone)]
pub enum Change {
    AddPartitions { if_not_exists: bool, partitions: Vec<(PartitionSpec, Option<String>)> },
    DropPartitions { if_exists: bool, partitions: Vec<PartitionSpec> },
    RenamePartition { from: PartitionSpec, to: PartitionSpec },
    AddColumns(Vec<ColumnDefinition>),
    ReplaceColumns(Vec<ColumnDefinition>),
    SetLocation { partition: Option<PartitionSpec>, location: String },
    SetProperties(Parameters),
}

impl Change {
    pub fn substatement(&self) -> &'static str {
        match self {
            Self::AddPartitions { .. } => "ALTER_TABLE_ADD_PARTITION",
            Self::DropPartitions { .. } => "ALTER_TABLE_DROP_PARTITION",
            Self::RenamePartition { .. } => "ALTER_TABLE_RENAME_PARTITION",
            Self::AddColumns(_) => "ALTER_TABLE_ADD_COLUMNS",
            Self::ReplaceColumns(_) => "ALTER_TABLE_REPLACE_COLUMNS",
            Self::SetLocation { .. } => "ALTER_TABLE_SET_LOCATION",
            Self::SetProperties(_) => "ALTER_TABLE_SET_TBLPROPERTIES",
        }
    }
}

/// `ALTER`, taken, up to the end.
pub fn statement(cursor: &mut Cursor<'_>) -> Result<Statement, Failure> {
    if cursor.accept("DATABASE") || cursor.accept("SCHEMA") {
        let name = cursor.name()?;
        cursor.expect("SET DBPROPERTIES")?;
        let properties = cursor.properties()?;
        cursor.expect_end()?;
        return Ok(Statement::AlterDatabase { name, properties });
    }
    cursor.expect("TABLE")?;
    let name = cursor.name()?;
    let change = change(cursor, &name)?;
    cursor.expect_end()?;
    Ok(Statement::AlterTable { name, change })
}

fn change(cursor: &mut Cursor<'_>, name: &Name) -> Result<Change, Failure> {
    if cursor.accept("ADD COLUMNS") {
        return columns(cursor).map(Change::AddColumns);
    }
    if cursor.accept("REPLACE COLUMNS") {
        return columns(cursor).map(Change::ReplaceColumns);
    }
    if cursor.accept("ADD") {
        let if_not_exists = cursor.accept("IF NOT EXISTS");
        let mut partitions = Vec::new();
        while cursor.accept("PARTITION") {
            let spec = partition_spec(cursor)?;
            partitions.push((spec, cursor.accept("LOCATION").then(|| cursor.string()).transpose()?));
        }
        if partitions.is_empty() {
            return Err(cursor.mismatched("'COLUMNS', 'PARTITION'"));
        }
        return Ok(Change::AddPartitions { if_not_exists, partitions });
    }
    if cursor.accept("DROP") {
        let if_exists = cursor.accept("IF EXISTS");
        cursor.expect("PARTITION")?;
        let mut partitions = vec![partition_spec(cursor)?];
        while cursor.accept_token(&Token::Comma) {
            cursor.expect("PARTITION")?;
            partitions.push(partition_spec(cursor)?);
        }
        return Ok(Change::DropPartitions { if_exists, partitions });
    }
    if cursor.accept("SET TBLPROPERTIES") {
        return cursor.properties().map(Change::SetProperties);
    }
    if cursor.accept("SET LOCATION") {
        return Ok(Change::SetLocation { partition: None, location: cursor.string()? });
    }
    if cursor.accept("PARTITION") {
        let spec = partition_spec(cursor)?;
        if cursor.accept("RENAME TO PARTITION") {
            return Ok(Change::RenamePartition { from: spec, to: partition_spec(cursor)? });
        }
        cursor.expect("SET LOCATION")?;
        return Ok(Change::SetLocation { partition: Some(spec), location: cursor.string()? });
    }
    if cursor.next_is("RENAME") || cursor.next_is("CHANGE") || cursor.next_is("UNSET") {
        let what = format!("ALTER TABLE {} {}", name.name, cursor.peek().token);
        return Err(Failure::not_supported(Some(cursor.position()), what));
    }
    Err(cursor.mismatched("'ADD', 'DROP', 'PARTITION', 'REPLACE', 'SET'"))
}

/// `(dt = '2014-05-14', country = 'IN')`
fn partition_spec(cursor: &mut Cursor<'_>) -> Result<PartitionSpec, Failure> {
    cursor.expect_token(&Token::LParen)?;
    let mut spec = Vec::new();
    loop {
        let key = cursor.identifier()?;
        cursor.expect_token(&Token::Eq)?;
        let _ = cursor.accept("DATE") || cursor.accept("TIMESTAMP");
        let negative = cursor.accept_token(&Token::Minus);
        let value = match cursor.peek().token {
            Token::Number(digits, _) => {
                cursor.advance();
                if negative { format!("-{digits}") } else { digits }
            }
            _ => cursor.string()?,
        };
        spec.push((key, value));
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(spec)
}
