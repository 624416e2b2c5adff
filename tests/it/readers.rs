//! The readers agree: a result is the same whether it came with its first page, page by page or from the CSV object.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use athena_flight::results::{csv, pages};
use athena_flight::statement::QueryId;
use futures::{StreamExt, TryStreamExt};

use crate::server::Server;

async fn by_pages(server: &Server, id: &QueryId) -> (Vec<athena_flight::results::Column>, RecordBatch) {
    let first = pages::first(&server.clients, id, true).await.expect("a first page");
    let mut batches: Vec<RecordBatch> = first.batch.into_iter().collect();
    let mut token = first.next_token;
    while let Some(after) = token {
        let (batch, next) = pages::next(&server.clients, id, &first.columns, &after).await.expect("a page");
        batches.extend(batch);
        token = next;
    }
    let schema = athena_flight::results::schema(&first.columns);
    let all = concat_batches(&schema, &batches).expect("one schema");
    (first.columns, all)
}

/// Starts a statement as any AWS client would and waits for it.
async fn run(server: &Server, sql: &str) -> (QueryId, String) {
    let athena = &server.clients.athena;
    let started = athena.start_query_execution().query_string(sql).send().await.expect("a start");
    let id = started.query_execution_id().expect("an id").to_owned();
    loop {
        let got = athena.get_query_execution().query_execution_id(&id).send().await.expect("an execution");
        let execution = got.query_execution().expect("an execution");
        let state = execution.status().and_then(|status| status.state()).expect("a state").as_str().to_owned();
        match state.as_str() {
            "SUCCEEDED" => {
                let location = execution.result_configuration().and_then(|r| r.output_location()).expect("a location");
                return (QueryId::new(id), location.to_owned());
            }
            "QUEUED" | "RUNNING" => tokio::task::yield_now().await,
            other => panic!("{sql}: {other}: {:?}", execution.status()),
        }
    }
}

#[tokio::test]
async fn pages_and_csv_object_give_the_same_batches() {
    let server = Server::demo().await;
    for sql in [
        "SELECT * FROM tpch.lineitem",
        "SELECT * FROM tpch.orders WHERE o_orderkey < 0",
        "SELECT l_orderkey, CASE WHEN l_linenumber = 1 THEN NULL WHEN l_linenumber = 2 THEN '' ELSE 'a\"b,\nc' END AS text, \
         CAST(l_quantity AS double) / 3 AS d, l_shipdate > DATE '1995-01-01' AS b, CAST(l_shipdate AS timestamp) AS t \
         FROM tpch.lineitem",
    ] {
        let (id, location) = run(&server, sql).await;
        let (columns, paged) = by_pages(&server, &id).await;
        let object = csv::Object::find(&server.clients, &location).await.expect("the object");
        let batches: Vec<RecordBatch> = object.batches(&server.clients, &columns).try_collect().await.expect("rows");
        let from_object = concat_batches(&paged.schema(), &batches).expect("one schema");
        assert_eq!(paged, from_object, "{sql}");
        let through_gateway = server.query(sql).await;
        let through_gateway = concat_batches(&paged.schema(), &through_gateway).expect("one schema");
        assert_eq!(paged.num_rows(), through_gateway.num_rows(), "{sql}");
    }
}

#[tokio::test]
async fn a_missing_or_cut_object_is_noticed() {
    let server = Server::demo().await;
    let (id, location) = run(&server, "SELECT l_orderkey FROM tpch.lineitem").await;
    let (columns, paged) = by_pages(&server, &id).await;
    let uri = csv::S3Uri::parse(&location).expect("a location");

    // Cut inside the last row.
    let whole = server.clients.s3.get_object().bucket(&uri.bucket).key(&uri.key).send().await.expect("the object");
    let whole = whole.body.collect().await.expect("its bytes").into_bytes();
    let cut = whole.slice(..whole.len() - 3);
    server.clients.s3.put_object().bucket(&uri.bucket).key(&uri.key).body(cut.into()).send().await.expect("a put");
    let object = csv::Object::find(&server.clients, &location).await.expect("the object");
    let rows: Vec<_> = object.batches(&server.clients, &columns).collect().await;
    let error = rows.last().expect("an item").as_ref().expect_err("the object is cut").to_string();
    assert!(error.contains("breaks off inside row"), "{error}");

    server.clients.s3.delete_object().bucket(&uri.bucket).key(&uri.key).send().await.expect("a delete");
    let missing = csv::Object::find(&server.clients, &location).await.expect_err("it is gone");
    assert_eq!(missing.kind(), athena_flight::error::Kind::NotFound);
    assert!(paged.num_rows() > 1000);
}
