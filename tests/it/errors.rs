//! Whatever a caller does wrong gives a clear error with the right code, and the next query works.

use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{Any, CommandStatementQuery, CommandStatementUpdate, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{Action, FlightData, FlightDescriptor, Ticket};
use futures::{StreamExt, stream};
use prost::Message;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use crate::server::Server;

async fn raw(server: &Server) -> FlightServiceClient<tonic::transport::Channel> {
    server.client().await.into_inner()
}

async fn run(server: &Server, sql: &str) -> Result<(), Status> {
    let command = CommandStatementQuery { query: sql.to_owned(), transaction_id: None };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    raw(server).await.get_flight_info(descriptor).await.map(drop)
}

#[tokio::test]
async fn wrong_statements_are_told_apart() {
    let server = Server::demo().await;
    let long = format!("SELECT '{}'", "x".repeat(300_000));
    for (sql, code, text) in [
        ("SELEC 1", Code::InvalidArgument, "line 1:1: mismatched input 'SELEC'"),
        ("SELECT * FROM nope", Code::NotFound, "line 1:15: Table 'awsdatacatalog.tpch.nope' does not exist"),
        ("SELECT * FROM no.nope", Code::NotFound, "Schema 'no' does not exist"),
        ("SELECT * FROM nocat.no.nope", Code::NotFound, "Catalog 'nocat' does not exist"),
        ("SELECT nope FROM nation", Code::InvalidArgument, "line 1:8: Column 'nope' cannot be resolved"),
        ("SELECT 1 + 'a'", Code::InvalidArgument, "Cannot apply operator: integer + varchar"),
        ("SELECT * FROM nation WHERE n_name = 1", Code::InvalidArgument, "Cannot apply operator: varchar = integer"),
        ("SELECT 1 / 0", Code::InvalidArgument, "Division by zero"),
        ("SELECT 2147483647 + 1", Code::InvalidArgument, "NUMERIC_VALUE_OUT_OF_RANGE"),
        ("SELECT CAST('a' AS integer)", Code::InvalidArgument, "Cannot cast 'a' to INTEGER"),
        ("SELECT nope(1)", Code::InvalidArgument, "Function 'nope' not registered"),
        ("DELETE FROM nation", Code::Unimplemented, "DELETE"),
        ("SELECT json_extract('{}', '$..a')", Code::Unimplemented, "JSON path"),
        ("SELECT regexp_like('a', '(?=a)')", Code::Unimplemented, "look-around"),
        ("SELECT 1; SELECT 2", Code::InvalidArgument, "Only one sql statement is allowed"),
        ("", Code::InvalidArgument, "empty"),
        (" -- nothing", Code::InvalidArgument, "empty"),
        ("SELECT ?", Code::InvalidArgument, "1 parameters, 0 values were bound"),
        ("SELECT /* unclosed", Code::InvalidArgument, "line 1:8: mismatched input '/'"),
        ("SELECT 'unclosed", Code::InvalidArgument, "line 1:8"),
        (long.as_str(), Code::InvalidArgument, "at most 262144"),
    ] {
        let status = run(&server, sql).await.expect_err("the statement is wrong");
        let shown: String = sql.chars().take(60).collect();
        assert_eq!(status.code(), code, "{shown}: {status:?}");
        assert!(status.message().contains(text), "{shown}: {}", status.message());
        run(&server, "SELECT 1").await.expect("the next query works");
    }
}

#[tokio::test]
async fn a_failed_query_names_its_id() {
    let server = Server::demo().await;
    let status = run(&server, "SELECT * FROM nope").await.expect_err("no such table");
    let id = status.metadata().get("x-athena-query-id").and_then(|id| id.to_str().ok()).expect("an id");
    assert!(status.message().contains(id), "{}", status.message());
    assert_eq!(status.metadata().get("x-athena-error-type").map(|v| v.as_bytes()), Some(b"1301".as_slice()));
}

#[tokio::test]
async fn deep_nesting_does_not_exhaust_the_stack() {
    let server = Server::empty().await;
    for sql in [
        format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000)),
        format!("SELECT {}1", "-".repeat(2) + &"- ".repeat(20_000)),
        format!("SELECT {}true", "NOT ".repeat(20_000)),
        format!("SELECT 1{}", " + 1".repeat(20_000)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(5_000)),
        format!("SELECT CAST(1 AS {}integer{})", "array(".repeat(5_000), ")".repeat(5_000)),
    ] {
        // Whatever the answer is, there is one, and the server goes on.
        let _ = run(&server, &sql).await;
        run(&server, "SELECT 1").await.expect("the next query works");
    }
}

fn any(type_url: &str, value: &[u8]) -> Vec<u8> {
    Any { type_url: type_url.to_owned(), value: value.to_vec().into() }.encode_to_vec()
}

fn garbage() -> Vec<Vec<u8>> {
    let query = "type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery";
    let ticket = TicketStatementQuery { statement_handle: b"made up".as_slice().into() };
    vec![
        vec![],
        b"garbage".to_vec(),
        vec![0xff; 64],
        any("", b""),
        any("type.googleapis.com/nothing.Known", b"x"),
        any(query, &[0xff; 32]),
        ticket.as_any().encode_to_vec(),
        any("type.googleapis.com/arrow.flight.protocol.sql.CommandPreparedStatementQuery", b"\x0a\x03abc"),
        any("type.googleapis.com/arrow.flight.protocol.sql.CommandStatementSubstraitPlan", b""),
    ]
}

#[tokio::test]
async fn garbage_is_refused_on_every_rpc() {
    let server = Server::empty().await;
    let mut client = raw(&server).await;
    let check = |what: &str, bytes: &[u8], status: Status| {
        let clear = matches!(status.code(), Code::InvalidArgument | Code::Unimplemented | Code::NotFound);
        assert!(clear && !status.message().is_empty(), "{what} {bytes:?}: {status:?}");
    };
    for bytes in garbage() {
        let descriptor = FlightDescriptor::new_cmd(bytes.clone());
        check("GetFlightInfo", &bytes, client.get_flight_info(descriptor.clone()).await.expect_err("garbage"));
        check("GetSchema", &bytes, client.get_schema(descriptor.clone()).await.expect_err("garbage"));
        check("PollFlightInfo", &bytes, client.poll_flight_info(descriptor.clone()).await.expect_err("garbage"));
        let ticket = Ticket { ticket: bytes.clone().into() };
        check("DoGet", &bytes, client.do_get(ticket).await.expect_err("garbage"));
        for action in
            ["CreatePreparedStatement", "ClosePreparedStatement", "CancelFlightInfo", "CancelQuery", "Nothing"]
        {
            let action = Action { r#type: action.to_owned(), body: bytes.clone().into() };
            check("DoAction", &bytes, client.do_action(action).await.expect_err("garbage"));
        }
        let data = FlightData {
            flight_descriptor: Some(descriptor),
            data_header: bytes.clone().into(),
            ..FlightData::default()
        };
        check("DoPut", &bytes, client.do_put(stream::iter([data])).await.expect_err("garbage"));
    }
    let path =
        FlightDescriptor { r#type: DescriptorType::Path as i32, path: vec!["a".into()], ..FlightDescriptor::default() };
    check("path", b"", client.get_flight_info(path).await.expect_err("a path"));
    let unnamed = FlightData { data_header: vec![1; 9].into(), ..FlightData::default() };
    check("DoPut", b"no descriptor", client.do_put(stream::iter([unnamed])).await.expect_err("garbage"));
    check("DoPut", b"nothing", client.do_put(stream::empty()).await.expect_err("garbage"));
    run(&server, "SELECT 1").await.expect("the next query works");
}

#[tokio::test]
async fn bytes_that_are_not_the_message_are_the_callers_mistake() {
    let server = Server::empty().await;
    let channel = Endpoint::from_shared(server.gateway_url.clone()).expect("a URL").connect().await.expect("a server");
    for rpc in ["GetFlightInfo", "GetSchema", "DoAction", "DoPut"] {
        let mut client = tonic::client::Grpc::new(channel.clone());
        client.ready().await.expect("a connection");
        // A length-delimited field 1 where the message has a number or a message there, holding garbage.
        let message = Ticket { ticket: vec![0xff; 16].into() };
        let path = format!("/arrow.flight.protocol.FlightService/{rpc}").parse().expect("a path");
        let codec = tonic_prost::ProstCodec::<Ticket, FlightData>::default();
        let answer = client.server_streaming(tonic::Request::new(message), path, codec).await;
        let status = match answer {
            Err(status) => status,
            Ok(answer) => answer.into_inner().next().await.expect("an item").expect_err("garbage"),
        };
        assert_eq!(status.code(), Code::InvalidArgument, "{rpc}: {status:?}");
    }
    run(&server, "SELECT 1").await.expect("the next query works");
}

#[tokio::test]
async fn updates_answer_with_counts_and_their_errors() {
    let server = Server::empty().await;
    let mut client = server.client().await;
    assert_eq!(client.execute_update("CREATE DATABASE d".to_owned(), None).await.expect("a database"), 0);
    let error = client.execute_update("CREATE DATABASE d".to_owned(), None).await.expect_err("it exists").to_string();
    assert!(error.contains("already exists"), "{error}");
    let command = CommandStatementUpdate { query: "SELEC".to_owned(), transaction_id: None };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let data = FlightData { flight_descriptor: Some(descriptor), ..FlightData::default() };
    let status = raw(&server).await.do_put(stream::iter([data])).await.expect_err("a syntax error");
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn listed_actions_are_answered_and_unlisted_ones_are_not() {
    let server = Server::empty().await;
    let mut client = raw(&server).await;
    let mut actions = client.list_actions(arrow_flight::Empty {}).await.expect("actions").into_inner();
    while let Some(action) = actions.next().await {
        let name = action.expect("an action").r#type;
        let garbage = vec![0xff; 7].into();
        let status = client.do_action(Action { r#type: name.clone(), body: garbage }).await.expect_err("no body");
        assert_eq!(status.code(), Code::InvalidArgument, "{name}");
    }
    for refused in ["BeginTransaction", "EndSavepoint", "CreatePreparedSubstraitPlan"] {
        let status =
            client.do_action(Action { r#type: refused.to_owned(), body: vec![].into() }).await.expect_err("refused");
        assert_eq!(status.code(), Code::Unimplemented, "{refused}");
        assert!(status.message().len() > refused.len() + 10, "{refused} comes with a reason");
    }
}
