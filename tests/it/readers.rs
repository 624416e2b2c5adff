//! The readers agree: a result is the same whether it came with its first page, page by page, from the CSV object or from
//! the files of an UNLOAD.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use athena_flight::memory::{Memory, Share};
use athena_flight::owner::Owner;
use athena_flight::results::object::{Object, S3Uri};
use athena_flight::results::pages::{FirstPage, Page};
use athena_flight::results::unload::manifest;
use athena_flight::results::{csv, unload};
use athena_flight::statement::{QueryId, Statement, unload as wrapping};
use athena_flight::types::AthenaType;
use athena_flight::types::column::{Column, schema};
use futures::{FutureExt, StreamExt, TryStreamExt};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::server::Server;

async fn share() -> Share {
    Memory::new(64 << 20).open(&Owner::anonymous(), unload::FLOOR).await.expect("memory of its own")
}

/// The types that a page leaves open, from EXPLAIN through the gateway.
async fn columns(server: &Server, sql: &str) -> Arc<[Column]> {
    let mut client = server.client().await;
    let text = format!("EXPLAIN (TYPE LOGICAL, FORMAT JSON)\n{sql}");
    let info = client.execute(text, None).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    let batches: Vec<RecordBatch> = client.do_get(ticket).await.expect("rows").try_collect().await.expect("rows");
    let lines: Vec<&str> =
        batches.iter().flat_map(|b| arrow::array::AsArray::as_string::<i32>(b.column(0)).iter().flatten()).collect();
    athena_flight::statement::describe::columns(&lines.join("\n")).expect("a plan").into()
}

fn one(schema: &SchemaRef, batches: &[RecordBatch]) -> RecordBatch {
    for batch in batches {
        assert_eq!(batch.schema(), *schema);
    }
    concat_batches(schema, batches).expect("one schema")
}

async fn by_pages(server: &Server, id: &QueryId, columns: &Arc<[Column]>) -> RecordBatch {
    let page = Page::get(&server.clients, id, None).await.expect("a page");
    let said = page.columns().expect("types");
    assert_eq!(said.iter().map(|c| &c.name).collect::<Vec<_>>(), columns.iter().map(|c| &c.name).collect::<Vec<_>>());
    let FirstPage { batch, mut next_token, .. } = page.first(columns, true).expect("rows");
    let mut batches: Vec<RecordBatch> = batch.into_iter().collect();
    while let Some(token) = next_token {
        let page = Page::get(&server.clients, id, Some(&token)).await.expect("a page");
        let (batch, next) = page.next(columns).expect("rows");
        batches.extend(batch);
        next_token = next;
    }
    one(&schema(columns), &batches)
}

async fn by_csv(server: &Server, location: &str, columns: &[Column]) -> RecordBatch {
    let object = Object::find(&server.clients, location).await.expect("the object");
    let batches: Vec<RecordBatch> = csv::batches(object, &server.clients, columns, share().await)
        .map_ok(|rows| rows.batch)
        .try_collect()
        .await
        .expect("rows");
    one(&schema(columns), &batches)
}

/// The rows of an UNLOAD; files have no order among them, so the query has one column that tells.
async fn by_unload(server: &Server, sql: &str, columns: &[Column]) -> RecordBatch {
    let prefix = format!("s3://athena-flight-results/test/{}/", uuid::Uuid::new_v4());
    let text = wrapping::wrap(&sql[..Statement::of(sql).end], columns, &prefix).expect("types that UNLOAD carries");
    let ran = run(server, &text).await;
    let manifest = ran.manifest.expect("a manifest");
    let files = manifest::files(&server.clients, &manifest, &prefix).await.expect("files");
    let batches: Vec<RecordBatch> = unload::batches(files, &server.clients, columns, share().await)
        .map_ok(|rows| rows.batch)
        .try_collect()
        .await
        .expect("rows");
    one(&schema(columns), &batches)
}

struct Ran {
    id: QueryId,
    location: String,
    manifest: Option<String>,
}

/// Starts a statement as any AWS client would and waits for it.
async fn run(server: &Server, sql: &str) -> Ran {
    let athena = &server.clients.athena;
    let started = athena.start_query_execution().query_string(sql).send().await;
    let started = started.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let id = started.query_execution_id().expect("an id").to_owned();
    loop {
        let got = athena.get_query_execution().query_execution_id(&id).send().await.expect("an execution");
        let execution = got.query_execution().expect("an execution");
        let state = execution.status().and_then(|status| status.state()).expect("a state").as_str().to_owned();
        match state.as_str() {
            "SUCCEEDED" => {
                let location = execution.result_configuration().and_then(|r| r.output_location()).unwrap_or_default();
                let manifest = execution.statistics().and_then(|s| s.data_manifest_location()).map(str::to_owned);
                return Ran { id: QueryId::new(id), location: location.to_owned(), manifest };
            }
            "QUEUED" | "RUNNING" => tokio::task::yield_now().await,
            other => panic!("{sql}: {other}: {:?}", execution.status()),
        }
    }
}

/// All readers on one query: identical batches.
async fn agree(server: &Server, sql: &str) -> RecordBatch {
    let columns = columns(server, sql).await;
    let typed: Vec<Column> = columns.iter().cloned().map(Column::read_from_text).collect();
    let from_text: Arc<[Column]> = typed.into();
    let ran = run(server, sql).await;
    let paged = by_pages(server, &ran.id, &from_text).await;
    assert_eq!(paged, by_csv(server, &ran.location, &from_text).await, "{sql}");
    let unloaded = by_unload(server, sql, &columns).await;
    let (left, right) = (sorted(&paged), sorted(&unloaded));
    for (i, column) in from_text.iter().enumerate() {
        if column.as_text {
            assert_eq!(left.column(i).null_count(), right.column(i).null_count(), "{sql}: {}", column.name);
        } else {
            assert_eq!(left.column(i), right.column(i), "{sql}: {}", column.name);
            assert_eq!(left.schema().field(i), right.schema().field(i));
        }
    }
    for (path, expected) in [("direct", &paged), ("unload", &unloaded)] {
        let batches = server.query_with(sql, &[("x-athena-result-path", path)]).await;
        let received = concat_batches(&expected.schema(), &batches).expect("one schema");
        assert_eq!(sorted(&received), sorted(expected), "{sql}: {path} through the gateway");
    }
    unloaded
}

/// Rows in the order of their first column, which tells them apart.
fn sorted(batch: &RecordBatch) -> RecordBatch {
    if batch.num_rows() == 0 {
        return batch.clone();
    }
    let order = arrow::compute::sort_to_indices(batch.column(0), None, None).expect("a sortable column");
    arrow::compute::take_record_batch(batch, &order).expect("its own rows")
}

#[tokio::test]
async fn all_readers_give_the_same_batches() {
    let server = Server::demo().await;
    for sql in [
        "SELECT o_orderkey, o_custkey, o_totalprice, o_orderdate, o_comment FROM tpch.orders",
        "SELECT * FROM tpch.orders WHERE o_orderkey < 0",
        "SELECT l_orderkey * 10 + l_linenumber AS k, CASE WHEN l_linenumber = 1 THEN NULL WHEN l_linenumber = 2 THEN '' \
         ELSE 'a\"b,\nc' END AS text, CAST(l_quantity AS double) / 3 AS d, l_shipdate > DATE '1995-01-01' AS b, \
         CAST(l_shipdate AS timestamp) AS t FROM tpch.lineitem",
    ] {
        agree(&server, sql).await;
    }
}

/// A value of each type, and its extremes: what the table of types promises.
const TYPES: &[(&str, &[&str])] = &[
    ("boolean", &["true", "false"]),
    ("tinyint", &["TINYINT '-128'", "TINYINT '127'"]),
    ("smallint", &["SMALLINT '-32768'", "SMALLINT '32767'"]),
    ("integer", &["-2147483648", "2147483647", "0"]),
    ("bigint", &["-9223372036854775807 - 1", "9223372036854775807"]),
    ("real", &["REAL '1.5'", "REAL '-3.4028235E38'", "CAST(nan() AS real)", "CAST(infinity() AS real)"]),
    ("double", &["1.5E0", "1.7976931348623157E308", "4.9E-324", "nan()", "infinity()", "-infinity()", "-0E0"]),
    ("decimal(5,2)", &["DECIMAL '-999.99'", "DECIMAL '000.05'"]),
    (
        "decimal(38,10)",
        &["DECIMAL '9999999999999999999999999999.9999999999'", "DECIMAL '-0000000000000000000000000000.0000000001'"],
    ),
    ("decimal(38,0)", &["DECIMAL '99999999999999999999999999999999999999'"]),
    ("varchar", &["''", "'null'", "'😀 \"x\", ''y''\n\r\t\\'", "' a '", "'[1, 2]'"]),
    ("char(4)", &["CAST('ab' AS char(4))", "CAST('' AS char(4))"]),
    ("varbinary", &["X''", "X'00ff7f'"]),
    ("date", &["DATE '9999-12-31'", "DATE '0001-01-01'", "DATE '1969-12-31'"]),
    ("time(3)", &["TIME '23:59:59.999'", "TIME '00:00:00.000'"]),
    ("time(6)", &["TIME '23:59:59.999999'"]),
    (
        "timestamp(3)",
        &[
            "TIMESTAMP '9999-12-31 23:59:59.999'",
            "TIMESTAMP '0001-01-01 00:00:00.000'",
            "TIMESTAMP '1969-12-31 23:59:59.001'",
        ],
    ),
    ("timestamp(6)", &["TIMESTAMP '9999-12-31 23:59:59.999999'", "TIMESTAMP '1677-01-01 00:00:00.000001'"]),
    (
        "timestamp(3) with time zone",
        &["TIMESTAMP '2026-03-29 01:59:59.999 Europe/Berlin'", "TIMESTAMP '2026-03-29 03:00:00.000 Europe/Berlin'"],
    ),
    ("interval year to month", &["INTERVAL '-14' MONTH", "INTERVAL '0' MONTH"]),
    ("interval day to second", &["INTERVAL '-1' DAY", "INTERVAL '90061' SECOND"]),
    ("json", &["JSON '{\"a\": [1, null, \"x\"]}'", "JSON '\"text\"'"]),
    ("uuid", &["UUID '12151fd2-7586-11e9-8f9e-2a86e4085a59'"]),
    ("ipaddress", &["IPADDRESS '10.0.0.1'", "IPADDRESS '::1'"]),
    ("array(integer)", &["ARRAY[1, NULL, -3]", "CAST(ARRAY[] AS array(integer))"]),
    ("array(varchar)", &["ARRAY['a, b', NULL, '', ']']"]),
    ("map(integer, double)", &["MAP(ARRAY[1, 2], ARRAY[1.5E0, NULL])"]),
    ("map(varchar, array(date))", &["MAP(ARRAY['k=v'], ARRAY[ARRAY[DATE '9999-12-31', NULL]])"]),
    ("row(a integer, b decimal(5,2))", &["CAST(ROW(1, DECIMAL '1.50') AS row(a integer, b decimal(5,2)))"]),
    ("row(integer, boolean)", &["ROW(1, true)"]),
    (
        "array(row(t timestamp(3), m map(bigint, array(tinyint))))",
        &[
            "ARRAY[CAST(ROW(TIMESTAMP '2026-01-02 03:04:05.678', MAP(ARRAY[BIGINT '7'], ARRAY[ARRAY[TINYINT '1', NULL]])) \
           AS row(t timestamp(3), m map(bigint, array(tinyint)))), NULL]",
        ],
    ),
    ("row(x row(y row(z varchar)))", &["CAST(ROW(ROW(ROW('deep'))) AS row(x row(y row(z varchar))))"]),
];

/// A query of some columns and rows: for each row and column a value of the column's type, or NULL.
fn generated(columns: &[prop::sample::Index], rows: &[Vec<Option<prop::sample::Index>>]) -> String {
    let chosen: Vec<_> = columns.iter().map(|column| column.get(TYPES)).collect();
    let row = |(number, values): (usize, &Vec<Option<prop::sample::Index>>)| {
        let values = chosen.iter().zip(values).enumerate().map(|(i, ((data_type, examples), value))| match value {
            Some(value) => format!("CAST({} AS {data_type}) AS c{i}", value.get(examples)),
            None => format!("CAST(NULL AS {data_type}) AS c{i}"),
        });
        format!("SELECT {number} AS id, {}", values.collect::<Vec<_>>().join(", "))
    };
    rows.iter().enumerate().map(row).collect::<Vec<_>>().join("\nUNION ALL\n")
}

#[test]
fn generated_tables_are_the_same_by_every_reader() {
    const COLUMNS: usize = 5;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    let server = runtime.block_on(Server::empty());
    let columns = prop::collection::vec(any::<prop::sample::Index>(), COLUMNS);
    let rows = prop::collection::vec(
        prop::collection::vec(prop::option::weighted(0.8, any::<prop::sample::Index>()), COLUMNS),
        1..5,
    );
    let config = ProptestConfig { cases: 24, max_shrink_iters: 20, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&(columns, rows), |(columns, rows)| {
            let sql = generated(&columns, &rows);
            runtime.block_on(agree(&server, &sql));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn every_type_and_every_extreme_is_the_same_by_every_reader() {
    let server = Server::empty().await;
    let mut wrong = Vec::new();
    for (data_type, examples) in TYPES {
        let rows = examples
            .iter()
            .enumerate()
            .map(|(i, value)| format!("SELECT {i} AS id, CAST({value} AS {data_type}) AS v"));
        let sql = format!("{}\nUNION ALL SELECT 99, NULL", rows.collect::<Vec<_>>().join("\nUNION ALL "));
        let checked = std::panic::AssertUnwindSafe(agree(&server, &sql)).catch_unwind().await;
        match checked {
            Ok(batch) => {
                let expected = AthenaType::parse(data_type).expect("a type").arrow();
                if *batch.column(1).data_type() != expected {
                    wrong.push(format!("{data_type}: {} instead of {expected}", batch.column(1).data_type()));
                }
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                wrong.push(format!("{data_type}: {}", text.chars().take(600).collect::<String>()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn a_missing_or_cut_object_is_noticed() {
    let server = Server::demo().await;
    let sql = "SELECT l_orderkey FROM tpch.lineitem";
    let columns = columns(&server, sql).await;
    let Ran { location, .. } = run(&server, sql).await;
    let uri = S3Uri::parse(&location).expect("a location");

    // Cut inside the last row.
    let whole = server.clients.s3.get_object().bucket(&uri.bucket).key(&uri.key).send().await.expect("the object");
    let whole = whole.body.collect().await.expect("its bytes").into_bytes();
    let cut = whole.slice(..whole.len() - 3);
    server.clients.s3.put_object().bucket(&uri.bucket).key(&uri.key).body(cut.into()).send().await.expect("a put");
    let object = Object::find(&server.clients, &location).await.expect("the object");
    let rows: Vec<_> = csv::batches(object.clone(), &server.clients, &columns, share().await).collect().await;
    let error = rows.last().expect("an item").as_ref().expect_err("the object is cut").to_string();
    assert!(error.contains("breaks off inside row 6"), "{error}");

    // Changed while it is read: what was looked at is not what is there.
    server.clients.s3.put_object().bucket(&uri.bucket).key(&uri.key).body(whole.into()).send().await.expect("a put");
    let rows: Vec<_> = csv::batches(object, &server.clients, &columns, share().await).collect().await;
    let error = rows.last().expect("an item").as_ref().expect_err("the object is another one").to_string();
    assert!(error.contains("changed"), "{error}");

    server.clients.s3.delete_object().bucket(&uri.bucket).key(&uri.key).send().await.expect("a delete");
    let missing = Object::find(&server.clients, &location).await.expect_err("it is gone");
    assert_eq!(missing.kind(), athena_flight::error::Kind::NotFound);
}
