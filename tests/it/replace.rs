//! Ingest that replaces a table: readers find the old one or the new one at every moment, whatever fails, and nothing of
//! ours stays.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow_flight::sql::{CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption};

use crate::server::Server;

const OLD: i64 = 3;
const NEW: i64 = 5;

/// What fails, and whether the table is replaced all the same.
const FAULTS: [(&str, &str, bool); 8] = [
    ("nothing", "", true),
    (
        "the copy",
        r#"{"contains": "athena_flight_replace", "kind": {"query_failure": {"category": 1, "error_type": 233, "message": "boom"}}}"#,
        false,
    ),
    (
        "looking at the table beside",
        r#"{"service": "glue", "operation": "GetTable", "contains": "athena_flight_replace", "times": 1, "kind": "access_denied"}"#,
        false,
    ),
    ("the swap", r#"{"service": "glue", "operation": "UpdateTable", "kind": "access_denied"}"#, false),
    ("the swap's credentials", r#"{"service": "glue", "operation": "UpdateTable", "kind": "expired_token"}"#, false),
    (
        "the answer to the swap",
        r#"{"service": "glue", "operation": "UpdateTable", "times": 1, "kind": {"truncated_body": 0}}"#,
        true,
    ),
    (
        "removing staged rows",
        r#"{"service": "glue", "operation": "DeleteTable", "contains": "athena_flight_ingest", "times": 1, "kind": "throttling"}"#,
        true,
    ),
    (
        "removing partitions",
        r#"{"service": "glue", "operation": "BatchDeletePartition", "kind": "access_denied"}"#,
        true,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn there_is_a_table_at_every_moment_whatever_fails() {
    let server = Arc::new(Server::demo().await);
    for (at, (what, fault, replaces)) in FAULTS.into_iter().enumerate() {
        for keys in ["", ", partitioned_by = ARRAY['k']"] {
            let table = format!("kept_{at}_{}", if keys.is_empty() { "plain" } else { "parted" });
            server.query(&format!(
                "CREATE TABLE tpch.{table} WITH (format = 'PARQUET'{keys}) AS SELECT n_nationkey AS n, n_nationkey AS k \
                 FROM tpch.nation WHERE n_nationkey < {OLD}"
            )).await;
            let before = files(&server).await;
            server.behave(&format!(r#"{{"faults": [{fault}]}}"#)).await;
            let stop = Arc::new(AtomicBool::new(false));
            let reader = tokio::spawn(read(Arc::clone(&server), table.clone(), Arc::clone(&stop)));
            let replaced = replace(&server, &table).await;
            stop.store(true, Ordering::Relaxed);
            let counts = reader.await.expect("a reader found no table");
            assert_eq!(replaced.is_ok(), replaces, "{what} {table}: {replaced:?}");
            assert!(counts.iter().all(|count| [OLD, NEW].contains(count)), "{what} {table}: {counts:?}");
            assert_eq!(count(&server, &table).await, if replaces { NEW } else { OLD }, "{what} {table}");
            gone(&server, what).await;
            // Of the old table nothing is removed; of a new one that has failed, everything.
            match replaces {
                true => assert!(files(&server).await.is_superset(&before), "{what} {table}"),
                false => same_files(&server, &before, what).await,
            }
            server.behave("{}").await;
            if replaces {
                let columns = server.query(&format!("SELECT * FROM tpch.{table}")).await[0].schema();
                assert_eq!(columns.fields().len(), 1, "{what} {table}: {columns}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_before_are_gone() {
    let server = Server::demo().await;
    server.query("CREATE TABLE tpch.parted WITH (partitioned_by = ARRAY['k']) AS SELECT n_name, n_nationkey AS k FROM tpch.nation").await;
    let partitions = async || {
        let call = server.clients.glue.get_partitions().database_name("tpch").table_name("parted");
        call.send().await.expect("partitions").partitions().len()
    };
    assert_eq!(partitions().await, 25);
    replace(&server, "parted").await.expect("replaced");
    assert_eq!(partitions().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_iceberg_table_is_not_replaced() {
    use aws_sdk_glue::types::{Column, StorageDescriptor, TableInput};
    let server = Server::demo().await;
    let column = Column::builder().name("n").r#type("bigint").build().expect("a column");
    let storage = StorageDescriptor::builder().columns(column).location("s3://athena-flight-demo/ice/").build();
    let input = TableInput::builder().name("ice").table_type("EXTERNAL_TABLE").parameters("table_type", "ICEBERG");
    let input = input.storage_descriptor(storage).build().expect("a table");
    let glue = &server.clients.glue;
    glue.create_table().database_name("tpch").table_input(input).send().await.expect("made");
    let refused = replace(&server, "ice").await.expect_err("refused");
    assert!(refused.contains("tpch.ice is an Iceberg table") && refused.contains("DELETE FROM"), "{refused}");
    let found = glue.get_table().database_name("tpch").name("ice").send().await.expect("it is there");
    let parameters = found.table().and_then(|table| table.parameters()).expect("parameters");
    assert_eq!(parameters.get("table_type").map(String::as_str), Some("ICEBERG"));
}

/// Puts [`NEW`] rows in a table's place.
async fn replace(server: &Server, table: &str) -> Result<i64, String> {
    let batch = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from_iter_values(0..NEW)) as _)]);
    let command = CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Create as i32,
            if_exists: TableExistsOption::Replace as i32,
        }),
        table: table.to_owned(),
        schema: Some("tpch".to_owned()),
        catalog: None,
        temporary: false,
        transaction_id: None,
        options: Default::default(),
    };
    let rows = futures::stream::iter([Ok(batch.expect("a batch"))]);
    server.client().await.execute_ingest(command, rows).await.map_err(|error| error.to_string())
}

async fn count(server: &Server, table: &str) -> i64 {
    let batches = server.query(&format!("SELECT count(*) AS n FROM tpch.{table}")).await;
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

/// Reads a table again and again, at least once.
async fn read(server: Arc<Server>, table: String, stop: Arc<AtomicBool>) -> Vec<i64> {
    let mut counts = Vec::new();
    while counts.is_empty() || !stop.load(Ordering::Relaxed) {
        counts.push(count(&server, &table).await);
    }
    counts
}

/// Waits until no table of ours is left in Glue, and no staged rows in S3.
async fn gone(server: &Server, what: &str) {
    wait(what, async || {
        let tables = server.clients.glue.get_tables().database_name("tpch").send().await.expect("tables");
        let mut left: Vec<String> = tables.table_list().iter().map(|table| table.name().to_owned()).collect();
        left.retain(|name| name.starts_with("athena_flight_"));
        left.extend(keys(server, "athena-flight-unload/").await);
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
}

async fn same_files(server: &Server, before: &BTreeSet<String>, what: &str) {
    wait(what, async || {
        let now = files(server).await;
        if now == *before { Ok(()) } else { Err(now.difference(before).cloned().collect()) }
    })
    .await;
}

/// Removals go on beside the answer.
async fn wait(what: &str, done: impl AsyncFn() -> Result<(), Vec<String>>) {
    let mut left = Vec::new();
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while let Err(found) = done().await {
            left = found;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    if waited.await.is_err() {
        panic!("{what}: {left:?} is left");
    }
}

/// The files of tables that Athena chose the place of.
async fn files(server: &Server) -> BTreeSet<String> {
    keys(server, "tables/").await.into_iter().filter(|key| key.matches('/').count() > 1).collect()
}

async fn keys(server: &Server, prefix: &str) -> BTreeSet<String> {
    let list = server.clients.s3.list_objects_v2().bucket("athena-flight-results").prefix(prefix).send().await;
    list.expect("objects").contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect()
}
