//! Data catalogs, and what is in those that are not Glue's: by Athena's own metadata calls.

use super::{Column, Database, GLUE_CATALOG, Table, TableKind, column, is_glue};
use crate::aws::{AwsError, Clients};

pub async fn catalogs(clients: &Clients) -> Result<Vec<String>, AwsError> {
    let mut pages = clients.athena.list_data_catalogs().into_paginator().send();
    let mut catalogs = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("athena:ListDataCatalogs", error))?;
        let names = page.data_catalogs_summary().iter().filter_map(|summary| summary.catalog_name());
        catalogs.extend(names.map(str::to_owned));
    }
    // Every account has Glue's catalog, whether or not the far side thinks it worth listing.
    if !catalogs.iter().any(|name| is_glue(name)) {
        catalogs.push(GLUE_CATALOG.to_owned());
    }
    catalogs.sort();
    Ok(catalogs)
}

pub async fn databases(clients: &Clients, catalog: &str) -> Result<Vec<Database>, AwsError> {
    let mut pages = clients.athena.list_databases().catalog_name(catalog).into_paginator().send();
    let mut databases = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("athena:ListDatabases", error))?;
        databases.extend(page.database_list().iter().map(|database| Database {
            name: database.name().to_owned(),
            comment: database.description().filter(|text| !text.is_empty()).map(str::to_owned),
        }));
    }
    Ok(databases)
}

pub async fn tables(clients: &Clients, catalog: &str, database: &str) -> Result<Vec<Table>, AwsError> {
    let call = clients.athena.list_table_metadata().catalog_name(catalog).database_name(database);
    let mut pages = call.into_paginator().send();
    let mut tables = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("athena:ListTableMetadata", error))?;
        tables.extend(page.table_metadata_list().iter().map(|table| {
            let parameter = |name: &str| table.parameters().and_then(|all| all.get(name)).map(String::as_str);
            let columns = table.columns().iter().chain(table.partition_keys());
            let columns: Vec<Column> = columns
                .map(|given| column(given.name(), given.r#type().unwrap_or_default(), given.comment()))
                .collect();
            Table {
                name: table.name().to_owned(),
                kind: TableKind::of(table.table_type(), parameter("table_type")),
                comment: parameter("comment").map(str::to_owned),
                columns,
            }
        }));
    }
    Ok(tables)
}
