//! Two hundred times in each phase: a query that its caller gives up is stopped within a second, and nothing is left.

use std::time::{Duration, Instant};

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use futures::StreamExt;
use prost::Message;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::server::Server;

const TIMES: usize = 200;
/// From giving up to the stop.
const SOON: Duration = Duration::from_secs(1);

async fn connect(server: &Server) -> FlightServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(server.gateway_url.clone()).expect("a URL");
    FlightServiceClient::new(endpoint.connect().await.expect("the server answers"))
}

/// A statement with a number of its own, without EXPLAIN ahead of it.
fn ask(number: usize, what: &str) -> tonic::Request<FlightDescriptor> {
    let command = CommandStatementQuery { query: format!("{what} -- {number}"), transaction_id: None };
    let mut request = tonic::Request::new(FlightDescriptor::new_cmd(command.as_any().encode_to_vec()));
    request.metadata_mut().insert("x-athena-result-path", "direct".parse().expect("ASCII"));
    request
}

/// The id of the statement with this number, once it is in this state.
async fn id_of(server: &Server, number: usize, state: &str) -> String {
    let athena = &server.clients.athena;
    loop {
        let ids = athena.list_query_executions().max_results(1).send().await.expect("a list");
        if let Some(id) = ids.query_execution_ids().first() {
            let got = athena.get_query_execution().query_execution_id(id).send().await.expect("an execution");
            let execution = got.query_execution().expect("an execution");
            let is_it = execution.query().is_some_and(|sql| sql.ends_with(&format!("-- {number}")));
            let found = execution.status().and_then(|status| status.state()).map(|state| state.as_str().to_owned());
            if is_it && found.as_deref() == Some(state) {
                return id.clone();
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Whether the statement with this number has been started.
async fn is_known(server: &Server, number: usize) -> bool {
    let athena = &server.clients.athena;
    let ids = athena.list_query_executions().max_results(5).send().await.expect("a list").query_execution_ids;
    let found = athena.batch_get_query_execution().set_query_execution_ids(ids).send().await.expect("executions");
    let is_it = |sql: &str| sql.ends_with(&format!("-- {number}"));
    found.query_executions().iter().any(|execution| execution.query().is_some_and(is_it))
}

async fn stopped_soon(server: &Server, id: &str, since: Instant) -> Duration {
    server.expect_stopped(id).await;
    since.elapsed()
}

/// The slowest of some is said, and has to be soon.
fn check(phase: &str, slowest: Duration) {
    println!("{phase}: the slowest of {TIMES} took {slowest:?}");
    assert!(slowest < SOON, "{phase}: {slowest:?}");
}

/// Drops each call when its statement is in a state, which the endpoint leaves it in.
async fn dropped_while(state: &str, latency: &str) {
    let server = Server::with_behaviour(&format!(r#"{{"latency": {{"{latency}": {{"fixed": 60000}}}}}}"#)).await;
    let client = connect(&server).await;
    let mut slowest = Duration::ZERO;
    for number in 0..TIMES {
        let mut own = client.clone();
        let call = tokio::spawn(async move { own.get_flight_info(ask(number, "select 1")).await });
        let id = id_of(&server, number, state).await;
        let since = Instant::now();
        call.abort();
        slowest = slowest.max(stopped_soon(&server, &id, since).await);
    }
    check(&format!("dropped while {state}"), slowest);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_while_queued() {
    dropped_while("QUEUED", "queue").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_while_running() {
    dropped_while("RUNNING", "run").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn past_its_deadline() {
    let server = Server::with_behaviour(r#"{"latency": {"queue": {"fixed": 60000}}}"#).await;
    let mut client = connect(&server).await;
    let mut slowest = Duration::ZERO;
    for number in 0..TIMES {
        let mut request = ask(number, "select 1");
        request.set_timeout(Duration::from_millis(60));
        let since = Instant::now();
        let status = client.get_flight_info(request).await.expect_err("it is queued for longer");
        assert!(matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded), "{status}");
        // One that was not started before the deadline is not started any more.
        let stopped = tokio::time::timeout(Duration::from_millis(500), id_of(&server, number, "CANCELLED")).await;
        assert!(stopped.is_ok() || !is_known(&server, number).await, "statement {number} goes on");
        slowest = slowest.max(since.elapsed());
    }
    check("past its deadline", slowest);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_while_rows_are_sent() {
    let server = Server::demo().await;
    let mut client = connect(&server).await;
    // Large enough to be still on its way after the first message.
    let sql = "select a.* from lineitem a cross join unnest(array[1, 2, 3, 4, 5, 6, 7, 8]) as b(x)";
    let info = client.get_flight_info(ask(0, sql)).await.expect("it runs").into_inner();
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    let mut slowest = Duration::ZERO;
    for _ in 0..TIMES {
        let mut messages = client.do_get(ticket.clone()).await.expect("rows").into_inner();
        messages.next().await.expect("a message").expect("a message");
        let since = Instant::now();
        drop(messages);
        while server.gateway.memory.streams() > 0 {
            assert!(since.elapsed() < SOON, "the stream goes on");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        slowest = slowest.max(since.elapsed());
    }
    check("dropped while rows are sent", slowest);
    assert_eq!((server.gateway.memory.held().0, server.gateway.memory.streams()), (0, 0));
}
