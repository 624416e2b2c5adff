//! Clients that do not read: others read on, memory is bounded and comes back, and who goes on gets the rest.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow_flight::FlightInfo;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption};
use athena_flight::gateway::Settings;
use futures::{TryStreamExt, stream};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::results::{LARGE, nothing_is_held};
use crate::server::Server;

const LARGE_ROWS: usize = 60_050;
/// More rows than a page has: they come from the CSV object.
const SMALL: &str = "SELECT l_orderkey, l_comment FROM tpch.lineitem LIMIT 3000";
/// One half of it is for floors: of large results, eight.
const LIMIT: usize = 64 << 20;

type Client = FlightSqlServiceClient<Channel>;

async fn server() -> Server {
    Server::with_settings(Settings { memory_limit: LIMIT, ..Settings::default() }).await
}

async fn client(url: &str) -> Client {
    let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL");
    FlightSqlServiceClient::new(endpoint.connect().await.expect("the server answers"))
}

async fn run(url: &str, sql: &str, path: &str) -> FlightInfo {
    let mut client = client(url).await;
    client.set_header("x-athena-result-path", path);
    client.execute(sql.to_owned(), None).await.expect("a result")
}

async fn start(url: &str, info: &FlightInfo) -> FlightRecordBatchStream {
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    client(url).await.do_get(ticket).await.expect("rows")
}

/// The rows of some results that begin and are left alone.
async fn paused(url: &str, info: &FlightInfo, count: usize) -> Vec<FlightRecordBatchStream> {
    let mut all = Vec::new();
    for _ in 0..count {
        let mut rows = start(url, info).await;
        rows.try_next().await.expect("a batch").expect("a batch");
        all.push(rows);
    }
    all
}

async fn count(rows: FlightRecordBatchStream) -> Result<usize, FlightError> {
    rows.try_fold(0, |sum, batch| std::future::ready(Ok(sum + batch.num_rows()))).await
}

/// Puts two rows into a table.
async fn ingest(url: &str, table: &str) -> i64 {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let batch = RecordBatch::try_from_iter([("n", numbers)]).expect("a batch");
    let command = CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Create.into(),
            if_exists: TableExistsOption::Fail.into(),
        }),
        table: table.to_owned(),
        schema: Some("tpch".to_owned()),
        ..CommandStatementIngest::default()
    };
    client(url).await.execute_ingest(command, stream::iter([Ok(batch)])).await.expect("an ingest")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_does_not_read_keeps_nobody_from_reading() {
    let server = server().await;
    let (idle, busy) = (server.for_owner("idle").await, server.for_owner("busy").await);
    let (csv, files) = (run(&idle, LARGE, "direct").await, run(&idle, LARGE, "unload").await);
    let mut unread = paused(&idle, &csv, 32).await;
    unread.extend(paused(&idle, &files, 10).await);

    let small = run(&busy, SMALL, "direct").await;
    assert_eq!(count(start(&busy, &small).await).await.expect("rows"), 3000);
    assert_eq!(ingest(&busy, "two").await, 2);
    // Those of the same owner, too.
    for info in [&csv, &files] {
        assert_eq!(count(start(&idle, info).await).await.expect("rows"), LARGE_ROWS);
    }
    assert_eq!(ingest(&idle, "two_more").await, 2);
    let (_, most) = server.gateway.memory.held();
    assert!(most <= LIMIT, "{most}");
    drop(unread);
    nothing_is_held(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_signs_in_new_results_are_read_beside_those_that_are_left_alone() {
    let server = server().await;
    let url = &server.gateway_url;
    let (csv, files) = (run(url, LARGE, "direct").await, run(url, LARGE, "unload").await);
    let mut unread = paused(url, &files, 10).await;
    unread.extend(paused(url, &csv, 32).await);
    let small = run(url, SMALL, "direct").await;
    assert_eq!(count(start(url, &small).await).await.expect("rows"), 3000);
    assert_eq!(ingest(url, "two").await, 2);
    assert_eq!(count(start(url, &files).await).await.expect("rows"), LARGE_ROWS);
    drop(unread);
    nothing_is_held(&server).await;
}

/// What was dropped in the meantime is read again, from the row on at which the client was.
#[tokio::test(flavor = "multi_thread")]
async fn who_goes_on_gets_every_row_once() {
    let server = server().await;
    let url = &server.gateway_url;
    for path in ["direct", "unload"] {
        let info = run(url, LARGE, path).await;
        let whole: Vec<RecordBatch> = start(url, &info).await.try_collect().await.expect("rows");
        let mut readers = Vec::new();
        for _ in 0..20 {
            readers.push((start(url, &info).await, Vec::new()));
        }
        // One batch each, in turn: none of the others reads in the meantime.
        let mut is_over = false;
        while !is_over {
            is_over = true;
            for (rows, batches) in &mut readers {
                if let Some(batch) = rows.try_next().await.expect("rows") {
                    batches.push(batch);
                    is_over = false;
                }
            }
        }
        let schema = whole[0].schema();
        let whole = concat_batches(&schema, &whole).expect("one schema");
        for (_, batches) in readers {
            assert!(concat_batches(&schema, &batches).expect("one schema") == whole, "{path}");
        }
    }
    nothing_is_held(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_for_too_long_is_told_so() {
    let stall_timeout = Duration::from_secs(1);
    let server = Server::with_settings(Settings { stall_timeout, ..Settings::default() }).await;
    let url = &server.gateway_url;
    for path in ["direct", "unload"] {
        let info = run(url, LARGE, path).await;
        let rows = paused(url, &info, 1).await.remove(0);
        // What was read ahead is given back; the few pieces that are with the connection stay there.
        while server.gateway.memory.held().0 > 1 << 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let error = count(rows).await.expect_err("it was ended");
        let FlightError::Tonic(status) = &error else { panic!("{error}") };
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        let message = status.message();
        assert!(message.contains("--stall-timeout") && message.contains("query id"), "{message}");
        nothing_is_held(&server).await;
    }
}
