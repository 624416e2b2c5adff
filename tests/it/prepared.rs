//! Prepared statements, sessions and polls, as the clients that ADBC's tests do not cover send them.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Schema;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{
    Any, CommandPreparedStatementQuery, CommandStatementQuery, DoPutPreparedStatementResult, ProstMessageExt,
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, FlightDescriptor, FlightEndpoint, FlightInfo, PollInfo, RenewFlightEndpointRequest,
};
use futures::{StreamExt, TryStreamExt, stream};
use prost::Message;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::server::Server;

type Client = FlightServiceClient<Channel>;

async fn connect(url: &str) -> Client {
    let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL");
    FlightServiceClient::new(endpoint.connect().await.expect("the server answers"))
}

async fn act(client: &mut Client, name: &str, body: Vec<u8>) -> Result<Vec<u8>, tonic::Status> {
    let results = client.do_action(Action::new(name, body)).await?.into_inner();
    let bodies: Vec<Vec<u8>> = results.map_ok(|result| result.body.to_vec()).try_collect().await?;
    Ok(bodies.into_iter().next().unwrap_or_default())
}

async fn prepare(client: &mut Client, sql: &str) -> bytes::Bytes {
    let request =
        arrow_flight::sql::ActionCreatePreparedStatementRequest { query: sql.to_owned(), transaction_id: None };
    let body = act(client, "CreatePreparedStatement", request.as_any().encode_to_vec()).await.expect("a statement");
    let result: arrow_flight::sql::ActionCreatePreparedStatementResult =
        Any::decode(&*body).expect("an Any").unpack().expect("its type").expect("its type");
    result.prepared_statement_handle
}

fn query(handle: &bytes::Bytes) -> FlightDescriptor {
    let command = CommandPreparedStatementQuery { prepared_statement_handle: handle.clone() };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

fn statement(sql: &str) -> FlightDescriptor {
    let command = CommandStatementQuery { query: sql.to_owned(), transaction_id: None };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

/// Binds a batch and gives the handle of the answer.
async fn bind(client: &mut Client, handle: &bytes::Bytes, values: RecordBatch) -> Result<bytes::Bytes, tonic::Status> {
    let messages = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(query(handle)))
        .build(stream::iter([Ok(values)]))
        .map(|message| message.expect("a message"));
    let mut answer = client.do_put(messages).await?.into_inner();
    let result = answer.message().await?.expect("a result");
    let result = DoPutPreparedStatementResult::decode(result.app_metadata).expect("its type");
    Ok(result.prepared_statement_handle.expect("a handle"))
}

async fn fetch(client: &mut Client, info: FlightInfo) -> Result<String, tonic::Status> {
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    let messages = client.do_get(ticket).await?.into_inner();
    let messages = messages.map_err(|status| arrow_flight::error::FlightError::Tonic(Box::new(status)));
    let batches = arrow_flight::decode::FlightRecordBatchStream::new_from_flight_data(messages);
    let batches: Vec<RecordBatch> = batches.try_collect().await.expect("batches");
    Ok(arrow::util::pretty::pretty_format_batches(&batches).expect("printable").to_string())
}

fn numbers(values: Vec<i64>) -> RecordBatch {
    RecordBatch::try_from_iter([("1", Arc::new(Int64Array::from(values)) as _)]).expect("a batch")
}

const BY_KEY: &str = "select n_name from tpch.nation where n_nationkey = ?";

#[tokio::test(flavor = "multi_thread")]
async fn gateways_with_one_key_go_on_where_the_other_was() {
    let server = Server::demo().await;
    let (mut one, mut two) = (connect(&server.gateway_url).await, connect(&server.twin().await).await);
    let mut stranger = connect(&server.stranger().await).await;
    let handle = prepare(&mut one, BY_KEY).await;
    let bound = bind(&mut two, &handle, numbers(vec![3, 4])).await.expect("bound");
    let info = one.get_flight_info(query(&bound)).await.expect("it runs").into_inner();
    let rows = fetch(&mut two, info.clone()).await.expect("rows");
    assert!(rows.contains("CANADA") && rows.contains("EGYPT"), "{rows}");
    for refused in [
        stranger.get_flight_info(query(&bound)).await.map(drop),
        stranger.do_get(info.endpoint[0].ticket.clone().expect("a ticket")).await.map(drop),
        bind(&mut stranger, &handle, numbers(vec![1])).await.map(drop),
    ] {
        let status = refused.expect_err("another key");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains("not made by this server"), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_keep_their_first_handle_are_served() {
    let server = Server::demo().await;
    let mut client = connect(&server.gateway_url).await;
    let (first, second) = (prepare(&mut client, BY_KEY).await, prepare(&mut client, BY_KEY).await);
    bind(&mut client, &first, numbers(vec![0])).await.expect("bound");
    bind(&mut client, &second, numbers(vec![1])).await.expect("bound");
    for (handle, name) in [(&first, "ALGERIA"), (&second, "ARGENTINA")] {
        let info = client.get_flight_info(query(handle)).await.expect("it runs").into_inner();
        let rows = fetch(&mut client, info).await.expect("rows");
        assert!(rows.contains(name), "{rows}");
    }
    let request = arrow_flight::sql::ActionClosePreparedStatementRequest { prepared_statement_handle: first.clone() };
    act(&mut client, "ClosePreparedStatement", request.as_any().encode_to_vec()).await.expect("closed");
    let status = client.get_flight_info(query(&first)).await.expect_err("what was bound is forgotten");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_bound_is_told() {
    let server = Server::demo().await;
    let mut client = connect(&server.gateway_url).await;
    let handle = prepare(&mut client, BY_KEY).await;
    let two = RecordBatch::try_from_iter([
        ("a", Arc::new(Int64Array::from(vec![1])) as _),
        ("b", Arc::new(StringArray::from(vec!["x"])) as _),
    ]);
    let dates = arrow::array::Date32Array::from(vec![i32::MAX]);
    let late = RecordBatch::try_from_iter([("1", Arc::new(dates) as _)]);
    let many = numbers(vec![0; 1001]);
    // Of no bytes at all.
    let nothing = RecordBatch::try_from_iter([("1", Arc::new(arrow::array::NullArray::new(1 << 40)) as _)]);
    let long = arrow::array::ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>([Some(vec![
        Some(1);
        100_000
    ])]);
    let long = RecordBatch::try_from_iter([("1", Arc::new(long) as _)]);
    for (batch, code, text) in [
        (two.expect("a batch"), Code::InvalidArgument, "1 parameters, 2 values"),
        (late.expect("a batch"), Code::InvalidArgument, "parameter 1, row 1: "),
        (many, Code::ResourceExhausted, "at most 1000 rows"),
        (nothing.expect("a batch"), Code::InvalidArgument, "send smaller ones"),
        (long.expect("a batch"), Code::InvalidArgument, "put the values into a table"),
    ] {
        let status = bind(&mut client, &handle, batch).await.expect_err("it cannot be bound");
        assert!(status.code() == code && status.message().contains(text), "{status}");
    }
    let empty = RecordBatch::new_empty(Arc::new(Schema::empty()));
    bind(&mut client, &handle, empty).await.expect("nothing to bind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_bound_to_no_rows_has_none() {
    let server = Server::demo().await;
    let (mut one, mut two) = (connect(&server.gateway_url).await, connect(&server.twin().await).await);
    let handle = prepare(&mut one, "select ? as n, n_name from tpch.nation limit ?").await;
    let values = RecordBatch::try_from_iter([
        ("1", Arc::new(Int64Array::from(Vec::<i64>::new())) as _),
        ("2", Arc::new(Int64Array::from(Vec::<i64>::new())) as _),
    ]);
    let bound = bind(&mut one, &handle, values.expect("a batch")).await.expect("bound to no rows");
    // Clients that keep their first handle, and another gateway that is given the new one.
    for (client, handle) in [(&mut one, &handle), (&mut two, &bound)] {
        let info = client.get_flight_info(query(handle)).await.expect("it is described").into_inner();
        let columns: Vec<String> = info
            .clone()
            .try_decode_schema()
            .expect("a schema")
            .fields()
            .iter()
            .map(|field| format!("{} {}", field.name(), field.data_type()))
            .collect();
        assert_eq!(columns, ["n Int64", "n_name Utf8"]);
        let rows = fetch(client, info.clone()).await.expect("no rows");
        assert!(!rows.contains("ALGERIA"), "{rows}");
        let cancel = CancelFlightInfoRequest { info: Some(info) };
        act(client, "CancelFlightInfo", cancel.encode_to_vec()).await.expect("there is nothing to cancel");
    }
    let schema = two.get_schema(query(&bound)).await.expect("the same").into_inner();
    assert!(!schema.schema.is_empty());
    let unbound = prepare(&mut one, "select ?").await;
    let status = one.get_flight_info(query(&unbound)).await.expect_err("nothing was bound");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
}

async fn poll(
    client: &mut Client,
    descriptor: FlightDescriptor,
    patience: Option<Duration>,
) -> Result<PollInfo, tonic::Status> {
    let mut request = tonic::Request::new(descriptor);
    // EXPLAIN would wait in the queue too.
    request.metadata_mut().insert("x-athena-result-path", "direct".parse().expect("ASCII"));
    if let Some(patience) = patience {
        request.set_timeout(patience);
    }
    client.poll_flight_info(request).await.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_answers_before_its_deadline_until_the_statement_has_run() {
    let server = Server::with_behaviour(r#"{"latency": {"queue": {"fixed": 1500}}}"#).await;
    let mut client = connect(&server.gateway_url).await;
    let (mut next, mut polls) = (statement("select 42 as answer"), 0);
    let info = loop {
        let answer = poll(&mut client, next, Some(Duration::from_millis(500))).await.expect("in time");
        polls += 1;
        match answer.flight_descriptor {
            Some(descriptor) => {
                let info = answer.info.expect("what is known");
                assert!(info.endpoint.is_empty() && answer.progress.is_none(), "it has not run");
                let figures: serde_json::Value = serde_json::from_slice(&info.app_metadata).expect("JSON");
                assert!(figures["state"] == "QUEUED" || figures["state"] == "RUNNING", "{figures}");
                next = descriptor;
            }
            None => break answer.info.expect("a result"),
        }
    };
    assert!(polls > 1, "it cannot have run at once");
    assert!(fetch(&mut client, info).await.expect("rows").contains("42"));
    // A metadata command is answered at once, a wrong descriptor is refused.
    let catalogs = FlightDescriptor::new_cmd(arrow_flight::sql::CommandGetCatalogs {}.as_any().encode_to_vec());
    let answer = poll(&mut client, catalogs, None).await.expect("an answer");
    assert_eq!((answer.info.map(|info| info.endpoint.len()), answer.progress), (Some(1), Some(1.0)));
    let failed = poll(&mut client, statement("selec 1"), None).await.expect_err("no statement");
    assert_eq!(failed.code(), Code::InvalidArgument, "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_polled_for_can_be_cancelled() {
    let server = Server::with_behaviour(r#"{"latency": {"queue": {"fixed": 60000}}}"#).await;
    let mut client = connect(&server.gateway_url).await;
    let patience = Some(Duration::from_millis(500));
    let answer = poll(&mut client, statement("select 1"), patience).await.expect("in time");
    let (info, next) = (answer.info.expect("what is known"), answer.flight_descriptor.expect("it has not run"));
    let request = CancelFlightInfoRequest { info: Some(info.clone()) };
    let result = act(&mut client, "CancelFlightInfo", request.encode_to_vec()).await.expect("cancelled");
    assert_eq!(result, [0x08, 1], "CancelStatus::Cancelled");
    let status = poll(&mut client, next, None).await.expect_err("it is gone");
    assert_eq!(status.code(), Code::NotFound, "{status}");
    let figures: serde_json::Value = serde_json::from_slice(&info.app_metadata).expect("JSON");
    server.expect_stopped(figures["query_id"].as_str().expect("an id")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_renewed() {
    let server = Server::demo().await;
    let mut client = connect(&server.gateway_url).await;
    let info = client.get_flight_info(statement("select 7 as n")).await.expect("it runs").into_inner();
    assert!(info.endpoint[0].expiration_time.is_some());
    let request = RenewFlightEndpointRequest { endpoint: Some(info.endpoint[0].clone()) };
    let body = act(&mut client, "RenewFlightEndpoint", request.encode_to_vec()).await.expect("renewed");
    let renewed = FlightEndpoint::decode(&*body).expect("an endpoint");
    let seconds = |endpoint: &FlightEndpoint| endpoint.expiration_time.as_ref().map(|time| time.seconds);
    assert!(seconds(&renewed) >= seconds(&info.endpoint[0]));
    let rows = fetch(&mut client, FlightInfo { endpoint: vec![renewed], ..FlightInfo::default() }).await;
    assert!(rows.expect("rows").contains('7'));
    for body in [b"garbage".to_vec(), RenewFlightEndpointRequest { endpoint: None }.encode_to_vec()] {
        let status = act(&mut client, "RenewFlightEndpoint", body).await.expect_err("not an endpoint");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_the_session_stop_a_statement() {
    let server = Server::with_behaviour(r#"{"latency": {"queue": {"fixed": 30000}}}"#).await;
    let mut client = server.client().await;
    client.set_header("x-athena-query-timeout-seconds", "1");
    let error = client.execute("select 1".to_owned(), None).await.expect_err("it waits for longer").to_string();
    assert!(error.contains("had not ended after 1 s"), "{error}");
}
