//! Databases and tables of the account's own catalog: Glue gives 100 tables a call, columns included.

use super::{Column, Database, Table, TableKind, column};
use crate::aws::{AwsError, Clients};
use crate::error::Kind;

pub async fn databases(clients: &Clients) -> Result<Vec<Database>, AwsError> {
    let mut pages = clients.glue.get_databases().set_catalog_id(clients.catalog_id.clone()).into_paginator().send();
    let mut databases = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("glue:GetDatabases", error))?;
        databases.extend(page.database_list().iter().map(|database| Database {
            name: database.name().to_owned(),
            comment: database.description().filter(|text| !text.is_empty()).map(str::to_owned),
        }));
    }
    Ok(databases)
}

pub async fn tables(clients: &Clients, database: &str) -> Result<Vec<Table>, AwsError> {
    let mut pages = clients
        .glue
        .get_tables()
        .set_catalog_id(clients.catalog_id.clone())
        .database_name(database)
        .into_paginator()
        .send();
    let mut tables = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("glue:GetTables", error))?;
        tables.extend(page.table_list().iter().map(table));
    }
    Ok(tables)
}

pub async fn find_table(clients: &Clients, database: &str, name: &str) -> Result<Option<Table>, AwsError> {
    match clients
        .glue
        .get_table()
        .set_catalog_id(clients.catalog_id.clone())
        .database_name(database)
        .name(name)
        .send()
        .await
    {
        Ok(found) => Ok(found.table().map(table)),
        Err(error) => match AwsError::new("glue:GetTable", error) {
            // A database that does not exist is another matter.
            error if error.kind == Kind::NotFound && error.message.contains(name) => Ok(None),
            error => Err(error),
        },
    }
}

fn table(table: &aws_sdk_glue::types::Table) -> Table {
    let parameter = |name: &str| table.parameters().and_then(|parameters| parameters.get(name)).map(String::as_str);
    let kind = TableKind::of(table.table_type(), parameter("table_type"));
    let columns = table.storage_descriptor().map(|storage| storage.columns()).unwrap_or_default();
    let mut columns: Vec<Column> = columns.iter().filter(|column| is_current(column)).map(from_glue).collect();
    for key in table.partition_keys().iter().map(from_glue) {
        // Some crawlers list partition keys among the columns too.
        if !columns.iter().any(|column| column.name == key.name) {
            columns.push(key);
        }
    }
    let comment = table.description().or_else(|| parameter("comment").filter(|_| kind != TableKind::View));
    let comment = comment.filter(|text| !text.is_empty()).map(str::to_owned);
    Table { name: table.name().to_owned(), kind, comment, columns }
}

/// A column dropped from an Iceberg table stays in Glue and is marked (athena-behaviour, section 7).
fn is_current(column: &aws_sdk_glue::types::Column) -> bool {
    let mark = column.parameters().and_then(|parameters| parameters.get("iceberg.field.current"));
    mark.is_none_or(|mark| mark != "false")
}

fn from_glue(given: &aws_sdk_glue::types::Column) -> Column {
    column(given.name(), given.r#type().unwrap_or_default(), given.comment())
}
