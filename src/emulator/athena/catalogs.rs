//! Athena's view of catalogs, databases and tables.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::api::{Answer, ApiError, input, page_place, page_token};
use super::super::model::{Catalog, Column, DEFAULT_CATALOG, Database, Parameters, Table};
use super::super::store::Store;
use super::{Paged, invalid_token, page_size};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NamedCatalog {
    name: String,
    #[serde(rename = "Type")]
    kind: Option<String>,
    description: Option<String>,
    #[serde(default)]
    parameters: Parameters,
}

/// Names of S3 Tables catalogs hold a slash.
const S3_TABLES: &str = "s3tablescatalog/";

fn missing(name: &str) -> ApiError {
    ApiError::invalid_input(format!("Data catalog {name} is not found."))
}

pub fn create(store: &Store, body: &[u8]) -> Answer {
    let asked: NamedCatalog = input(body)?;
    let kind = asked.kind.unwrap_or_default();
    if !["LAMBDA", "GLUE", "HIVE", "FEDERATED"].contains(&kind.as_str()) {
        return Err(ApiError::invalid_input(format!(
            "1 validation error detected: Value '{kind}' at 'type' failed to satisfy constraint: Member must satisfy enum \
             value set: [LAMBDA, GLUE, HIVE, FEDERATED]"
        )));
    }
    if asked.name.eq_ignore_ascii_case(DEFAULT_CATALOG) || store.catalog(&asked.name)?.is_some() {
        return Err(ApiError::invalid_input(format!("Data catalog {} already exists.", asked.name)));
    }
    store.put_catalog(&Catalog {
        name: asked.name,
        kind,
        description: asked.description.unwrap_or_default(),
        parameters: asked.parameters,
    })?;
    Ok(json!({}))
}

pub fn get(store: &Store, body: &[u8]) -> Answer {
    let asked: NamedCatalog = input(body)?;
    if asked.name.eq_ignore_ascii_case(DEFAULT_CATALOG) {
        return Ok(json!({ "DataCatalog": { "Name": DEFAULT_CATALOG, "Type": "GLUE", "Parameters": {} } }));
    }
    let found = store.catalog(&asked.name)?.ok_or_else(|| missing(&asked.name))?;
    Ok(json!({ "DataCatalog": {
        "Name": found.name,
        "Type": found.kind,
        "Description": found.description,
        "Parameters": found.parameters,
        "Status": "CREATE_COMPLETE",
    } }))
}

pub fn list(store: &Store, body: &[u8]) -> Answer {
    let asked: Paged = input(body)?;
    let size = match asked.max_results {
        Some(size) => page_size(Some(size), 50)?.max(2),
        None => 50,
    };
    let after = asked.after()?;
    let mut all = vec![(DEFAULT_CATALOG.to_owned(), "GLUE".to_owned())];
    all.extend(store.catalogs()?.into_iter().map(|catalog| (catalog.name, catalog.kind)));
    let start = after.map_or(0, |after| all.iter().position(|(name, _)| *name == after).map_or(all.len(), |at| at + 1));
    let page = &all[start..all.len().min(start + size)];
    let summary = |(name, kind): &(String, String)| json!({ "CatalogName": name, "Type": kind });
    let mut answer = json!({ "DataCatalogsSummary": page.iter().map(summary).collect::<Vec<_>>() });
    if let (true, Some((last, _))) = (start + size < all.len(), page.last()) {
        answer["NextToken"] = json!(page_token(last));
    }
    Ok(answer)
}

pub fn update(store: &Store, body: &[u8]) -> Answer {
    let asked: NamedCatalog = input(body)?;
    let mut found = store.catalog(&asked.name)?.ok_or_else(|| missing(&asked.name))?;
    found.kind = asked.kind.unwrap_or(found.kind);
    found.description = asked.description.unwrap_or(found.description);
    if !asked.parameters.is_empty() {
        found.parameters = asked.parameters;
    }
    store.put_catalog(&found)?;
    Ok(json!({}))
}

pub fn delete(store: &Store, body: &[u8]) -> Answer {
    let asked: NamedCatalog = input(body)?;
    if !store.drop_catalog(&asked.name)? {
        return Err(missing(&asked.name));
    }
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    catalog_name: String,
    database_name: Option<String>,
    table_name: Option<String>,
    expression: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

impl Asked {
    fn read(store: &Store, body: &[u8]) -> Result<Self, ApiError> {
        let asked: Self = input(body)?;
        if asked.catalog_name.eq_ignore_ascii_case(DEFAULT_CATALOG) {
            return Ok(asked);
        }
        match store.catalog(&asked.catalog_name)? {
            // Registered, but nothing here can call its Lambda or reach its metastore.
            Some(catalog) => {
                let kind = if catalog.name.starts_with(S3_TABLES) { "S3 Tables" } else { &catalog.kind };
                Err(ApiError::metadata(format!(
                    "the embedded endpoint does not list {kind} catalogs: {}",
                    catalog.name
                )))
            }
            None => Err(ApiError::metadata(format!("Data catalog {} is not found.", asked.catalog_name))),
        }
    }

    fn database(&self, store: &Store) -> Result<Database, ApiError> {
        let name = self.database_name.clone().unwrap_or_default().to_lowercase();
        store
            .database(&name)?
            .ok_or_else(|| ApiError::metadata(format!("Entity Not Found: Database {name} not found.")))
    }

    fn after(&self) -> Result<Option<String>, ApiError> {
        self.next_token.as_deref().map(|token| page_place(token).ok_or_else(invalid_token)).transpose()
    }
}

pub fn get_database(store: &Store, body: &[u8]) -> Answer {
    let database = Asked::read(store, body)?.database(store)?;
    Ok(json!({ "Database": describe_database(&database) }))
}

pub fn list_databases(store: &Store, body: &[u8]) -> Answer {
    let asked = Asked::read(store, body)?;
    let (size, after) = (page_size(asked.max_results, 50)?, asked.after()?);
    let mut page = store.databases()?;
    page.retain(|database| after.as_ref().is_none_or(|after| database.name > *after));
    let more = page.len() > size;
    page.truncate(size);
    let mut answer = json!({ "DatabaseList": page.iter().map(describe_database).collect::<Vec<_>>() });
    if let (true, Some(last)) = (more, page.last()) {
        answer["NextToken"] = Value::from(page_token(&last.name));
    }
    Ok(answer)
}

pub fn get_table(store: &Store, body: &[u8]) -> Answer {
    let asked = Asked::read(store, body)?;
    let database = asked.database(store)?;
    let name = asked.table_name.unwrap_or_default().to_lowercase();
    let table = store.table(&database.name, &name)?;
    let table = table.ok_or_else(|| ApiError::metadata(format!("Entity Not Found: Table {name} not found.")))?;
    Ok(json!({ "TableMetadata": describe_table(&table) }))
}

pub fn list_tables(store: &Store, body: &[u8]) -> Answer {
    let asked = Asked::read(store, body)?;
    let database = asked.database(store)?;
    let size = page_size(asked.max_results, 50)?;
    let pattern = match asked.expression.as_deref() {
        Some(expression) => Some(
            regex::Regex::new(&format!("(?i)^(?:{expression})$"))
                .map_err(|_| ApiError::invalid_input(format!("Invalid expression: {expression}")))?,
        ),
        None => None,
    };
    let keep = |table: &Table| pattern.as_ref().is_none_or(|pattern| pattern.is_match(&table.name));
    let mut tables = store.tables_matching(&database.name, asked.after()?.as_deref(), size + 1, keep)?;
    let more = tables.len() > size;
    tables.truncate(size);
    let mut answer = json!({ "TableMetadataList": tables.iter().map(describe_table).collect::<Vec<_>>() });
    if let (true, Some(last)) = (more, tables.last()) {
        answer["NextToken"] = Value::from(page_token(&last.name));
    }
    Ok(answer)
}

fn describe_database(database: &Database) -> Value {
    let mut described = json!({ "Name": database.name, "Parameters": database.parameters });
    if let Some(description) = &database.description {
        described["Description"] = json!(description);
    }
    described
}

/// The shape `TableMetadata`; location and formats travel as parameters.
fn describe_table(table: &Table) -> Value {
    let mut parameters: Parameters = table.parameters.clone();
    if let Some(storage) = &table.storage_descriptor {
        for (key, value) in [
            ("location", &storage.location),
            ("inputformat", &storage.input_format),
            ("outputformat", &storage.output_format),
            ("serde.serialization.lib", &storage.serde_info.serialization_library),
        ] {
            if let Some(value) = value {
                parameters.insert(key.to_owned(), value.clone());
            }
        }
        for (key, value) in &storage.serde_info.parameters {
            parameters.insert(format!("serde.param.{key}"), value.clone());
        }
    }
    let columns = |columns: &[Column]| -> Vec<Value> {
        columns
            .iter()
            .map(|column| {
                let mut described = json!({ "Name": column.name, "Type": column.data_type });
                if let Some(comment) = &column.comment {
                    described["Comment"] = json!(comment);
                }
                described
            })
            .collect()
    };
    json!({
        "Name": table.name,
        "CreateTime": table.create_time,
        "LastAccessTime": 0,
        "TableType": table.table_type,
        "Columns": columns(table.columns()),
        "PartitionKeys": columns(&table.partition_keys),
        "Parameters": parameters,
    })
}
