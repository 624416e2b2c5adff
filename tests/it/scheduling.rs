//! Statements under an account's quotas, throttling and outages: waited for or told, never lost and never another result.

use std::time::Duration;

use arrow::datatypes::DataType;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightDescriptor, PollInfo};
use athena_flight::emulator::Settings as Behaviour;
use athena_flight::gateway::Settings;
use athena_flight::session::Session;
use athena_flight::statement::SchedulerOptions;
use prost::Message;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::server::Server;

fn command(sql: &str) -> FlightDescriptor {
    let command = CommandStatementQuery { query: sql.to_owned(), transaction_id: None };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

async fn client(server: &Server) -> FlightServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(server.gateway_url.clone()).expect("a URL");
    FlightServiceClient::new(endpoint.connect().await.expect("the server answers"))
}

/// What running a statement ends with, if it fails.
async fn failure(server: &Server, sql: &str) -> Status {
    let answer = client(server).await.get_flight_info(command(sql)).await;
    answer.map(drop).expect_err("it fails")
}

async fn with_options(behaviour: &str, scheduler: SchedulerOptions) -> Server {
    let behaviour = Behaviour::parse(behaviour).expect("a document");
    Server::start(true, Session::default(), behaviour, Settings { scheduler, ..Settings::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_columns_type_does_not_depend_on_what_may_pass() {
    let server = Server::demo().await;
    let fault = |kind: &str, times: &str| {
        format!(
            r#"{{"faults": [{{"operation": "StartQueryExecution", "contains": "EXPLAIN", {times} "kind": {kind}}}]}}"#
        )
    };
    for (number, kind) in [r#""throttling""#, r#"{"server_error": 503}"#].into_iter().enumerate() {
        server.behave(&fault(kind, r#""times": 2,"#)).await;
        let batches = server.query(&format!("select array['a','b'] as x, {number} as n")).await;
        let data_type = batches[0].schema().field(0).data_type().clone();
        assert!(matches!(data_type, DataType::List(_)), "waited for: {kind} {data_type}");
    }
    server.behave(&fault(r#""access_denied""#, "")).await;
    assert_eq!(failure(&server, "select array['a','b'] as x, 3").await.code(), Code::PermissionDenied);
    let retryable = r#"{"category": 1, "error_type": 233, "message": "a bad moment", "retryable": true}"#;
    server
        .behave(&format!(r#"{{"faults": [{{"contains": "EXPLAIN", "kind": {{"query_failure": {retryable}}}}}]}}"#))
        .await;
    let told = failure(&server, "select array['a','b'] as x, 4").await;
    assert!(told.code() == Code::Unavailable && told.message().contains("a bad moment"), "{told}");
    // A fault of the query itself is told by the query.
    server.behave("{}").await;
    assert_eq!(failure(&server, "select nope from tpch.nation").await.code(), Code::InvalidArgument);
}

/// Looks that fail so often, each kind for itself.
fn unreachable(times: Option<u32>) -> String {
    let times = times.map_or(String::new(), |times| format!(r#""times": {times},"#));
    let fault = |operation: &str| format!(r#"{{"operation": "{operation}", {times} "kind": {{"server_error": 503}}}}"#);
    let faults = ["GetQueryExecution", "BatchGetQueryExecution"].map(fault).join(", ");
    format!(r#"{{"latency": {{"run": {{"fixed": 100}}}}, "faults": [{faults}]}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_kills_no_query_that_runs() {
    let server = Server::with_behaviour(&unreachable(Some(12))).await;
    assert_eq!(server.query_with("values 1", &[("x-athena-result-path", "direct")]).await[0].num_rows(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_given_up_when_the_outage_budget_is_spent_and_stopped() {
    let scheduler = SchedulerOptions { outage_budget: Duration::from_millis(600), ..SchedulerOptions::default() };
    let server = with_options(&unreachable(None), scheduler).await;
    server.behave(&unreachable(None).replace("100", "60000")).await;
    let told = failure(&server, "values 1").await;
    assert_eq!(told.code(), Code::Unavailable, "{told}");
    let id = told.message().split("[query id ").nth(1).and_then(|rest| rest.split(']').next()).expect("an id");
    server.behave("{}").await;
    server.expect_stopped(id).await;
}

async fn poll(client: &mut FlightServiceClient<Channel>, descriptor: FlightDescriptor) -> PollInfo {
    let mut request = tonic::Request::new(descriptor);
    // A poll answers before its caller's deadline.
    request.set_timeout(Duration::from_millis(200));
    client.poll_flight_info(request).await.expect("an answer").into_inner()
}

fn figures(poll: &PollInfo) -> serde_json::Value {
    let info = poll.info.as_ref().expect("an info");
    serde_json::from_slice(&info.app_metadata).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_tells_the_place_of_a_statement_that_waits() {
    // Not one statement may be started.
    let server = Server::with_behaviour(r#"{"calls_per_second": {"StartQueryExecution": [0.000001, 0]}}"#).await;
    let mut client = client(&server).await;
    let mut polls = Vec::new();
    for number in 0..3 {
        polls.push(poll(&mut client, command(&format!("values {number}"))).await);
    }
    let mut seen = Vec::new();
    while seen != [1, 2, 3] {
        seen.clear();
        for at in &mut polls {
            *at = poll(&mut client, at.flight_descriptor.clone().expect("it goes on")).await;
            let figures = figures(at);
            if figures["state"] == "WAITING" {
                seen.push(figures["queue_position"].as_u64().expect("a place"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_and_a_long_wait_are_told() {
    let closed = r#"{"calls_per_second": {"StartQueryExecution": [0.000001, 0]}}"#;
    let scheduler =
        SchedulerOptions { max_queued: 1, max_queue_wait: Duration::from_millis(300), ..SchedulerOptions::default() };
    let server = with_options(closed, scheduler).await;
    let long = failure(&server, "values 1").await;
    assert!(long.code() == Code::ResourceExhausted && long.message().contains("--max-queue-wait"), "{long}");
    let (first, second) = tokio::join!(failure(&server, "values 2"), failure(&server, "values 3"));
    let full = [&first, &second].into_iter().filter(|status| status.message().contains("--max-queued")).count();
    assert_eq!(full, 1, "{first} {second}");
}
