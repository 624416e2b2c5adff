//! Nobody pays for a query that nobody waits for: dropped calls and cancelled results.

use std::time::Duration;

use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightDescriptor};
use futures::StreamExt;
use prost::Message;

use crate::server::Server;

/// Runs for minutes unless stopped.
const LONG: &str =
    "SELECT count(*) FROM lineitem a, lineitem b, lineitem c WHERE a.l_partkey + b.l_partkey = c.l_suppkey + 1";

/// The state of the newest query, once it is one of `wanted`; what describes a query is not one.
async fn newest(server: &Server, wanted: &[&str]) -> String {
    let athena = &server.clients.athena;
    loop {
        let ids = athena.list_query_executions().max_results(1).send().await.expect("a list");
        if let Some(id) = ids.query_execution_ids().first() {
            let got = athena.get_query_execution().query_execution_id(id).send().await.expect("an execution");
            let execution = got.query_execution().expect("an execution");
            let status = execution.status().expect("a status");
            let state = status.state().expect("a state").as_str().to_owned();
            let describes = execution.query().is_some_and(|sql| sql.starts_with("EXPLAIN"));
            if !describes && wanted.contains(&state.as_str()) {
                return state;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_dropped_call_stops_the_query() {
    let server = Server::demo().await;
    let mut client = server.client().await;
    let call = tokio::spawn(async move { client.execute(LONG.to_owned(), None).await });
    newest(&server, &["RUNNING"]).await;
    call.abort();
    let state = tokio::time::timeout(Duration::from_secs(20), newest(&server, &["CANCELLED", "SUCCEEDED", "FAILED"]));
    assert_eq!(state.await.expect("the query ends"), "CANCELLED");
}

#[tokio::test]
async fn a_cancelled_result_ends_with_an_error() {
    let server = Server::demo().await;
    let mut client = server.client().await;
    // Large enough to be still on its way when it is cancelled: the client reads one batch and stops.
    let sql = "SELECT a.* FROM lineitem a CROSS JOIN UNNEST(ARRAY[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) AS b(x)";
    let info = client.execute(sql.to_owned(), None).await.expect("a result");
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    let mut rows = client.do_get(ticket).await.expect("rows");
    rows.next().await.expect("a batch").expect("a batch");
    let body = CancelFlightInfoRequest { info: Some(info.clone()) }.encode_to_vec();
    let action = || Action { r#type: "CancelFlightInfo".to_owned(), body: body.clone().into() };
    let mut raw = client.inner_mut().clone();
    let answer = raw.do_action(action()).await.expect("an answer").into_inner().next().await.expect("a result");
    let result = CancelFlightInfoResult::decode(&*answer.expect("a result").body).expect("a CancelFlightInfoResult");
    assert_eq!(result.status, CancelStatus::Cancelled as i32);
    let mut last = Ok(());
    while let Some(batch) = rows.next().await {
        last = batch.map(drop);
    }
    assert!(last.expect_err("the stream was cancelled").to_string().contains("cancelled"));
    // Now there is nothing left to cancel.
    let answer = raw.do_action(action()).await.expect("an answer").into_inner().next().await.expect("a result");
    let result = CancelFlightInfoResult::decode(&*answer.expect("a result").body).expect("a CancelFlightInfoResult");
    assert_eq!(result.status, CancelStatus::NotCancellable as i32);
}

#[tokio::test]
async fn a_deadline_stops_the_query() {
    let server = Server::demo().await;
    let command = CommandStatementQuery { query: LONG.to_owned(), transaction_id: None };
    let mut request = tonic::Request::new(FlightDescriptor::new_cmd(command.as_any().encode_to_vec()));
    request.set_timeout(Duration::from_millis(500));
    let mut client = server.client().await;
    client.inner_mut().get_flight_info(request).await.expect_err("the deadline passes");
    let state = tokio::time::timeout(Duration::from_secs(20), newest(&server, &["CANCELLED", "SUCCEEDED", "FAILED"]));
    assert_eq!(state.await.expect("the query ends"), "CANCELLED");
}

#[tokio::test]
async fn a_query_that_reads_too_much_is_stopped_while_it_runs() {
    let server = Server::with_behaviour(r#"{"latency": {"run": {"fixed": 60000}}}"#).await;
    let mut client = server.client().await;
    client.set_header("x-athena-scan-limit-bytes", "1000");
    client.set_header("x-athena-result-path", "direct");
    let error = client.execute("SELECT sum(l_quantity) FROM tpch.lineitem".to_owned(), None).await;
    let error = error.expect_err("it reads more than 1,000 bytes").to_string();
    assert!(error.contains("scan_limit_bytes") && error.contains("at most 1000"), "{error}");
    let ids = server.clients.athena.list_query_executions().max_results(1).send().await.expect("a list");
    server.expect_stopped(&ids.query_execution_ids()[0]).await;
}
