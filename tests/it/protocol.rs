//! docs/protocol.md says what the server does, and the server does what it says.

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{Any, SqlInfo};
use arrow_flight::{Action, Criteria, Empty, FlightData, FlightDescriptor, HandshakeRequest, Ticket};
use athena_flight::session::options::{Kind, OPTIONS};
use futures::{TryStreamExt, stream};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::server::Server;

const PAGE: &str = include_str!("../../docs/protocol.md");

/// The cells of a table's rows.
fn rows(title: &str) -> Vec<Vec<String>> {
    let section = PAGE.split("\n## ").find(|section| section.starts_with(title)).expect("a section");
    let lines = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")).skip(1);
    lines.map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// Whether the server knows a thing, by what it says to a request without sense.
fn answered<T>(result: Result<T, Status>) -> &'static str {
    if result.is_err_and(|status| status.code() == Code::Unimplemented) { "refused" } else { "answered" }
}

fn command(name: &str) -> Vec<u8> {
    let any =
        Any { type_url: format!("type.googleapis.com/arrow.flight.protocol.sql.{name}"), value: Default::default() };
    prost::Message::encode_to_vec(&any)
}

async fn by_info(client: &mut FlightServiceClient<Channel>, name: &str) -> &'static str {
    answered(client.get_flight_info(FlightDescriptor::new_cmd(command(name))).await)
}

async fn by_put(client: &mut FlightServiceClient<Channel>, name: &str) -> &'static str {
    let message = FlightData::new().with_descriptor(FlightDescriptor::new_cmd(command(name)));
    answered(client.do_put(stream::iter([message])).await)
}

async fn by_get(client: &mut FlightServiceClient<Channel>, name: &str) -> &'static str {
    answered(client.do_get(Ticket::new(command(name))).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_command_and_action_is_as_the_page_says() {
    let server = Server::demo().await;
    let endpoint = Endpoint::from_shared(server.gateway_url.clone()).expect("a URL");
    let mut client = FlightServiceClient::new(endpoint.connect().await.expect("the server answers"));
    let nothing = || FlightDescriptor::new_cmd(command("CommandGetCatalogs"));

    let rpcs = rows("RPCs");
    assert_eq!(rpcs.len(), 10);
    for row in rpcs {
        let found = match row[0].as_str() {
            "Handshake" => answered(client.handshake(stream::iter([HandshakeRequest::default()])).await),
            "ListFlights" => answered(client.list_flights(Criteria::default()).await),
            "GetFlightInfo" => answered(client.get_flight_info(nothing()).await),
            "PollFlightInfo" => answered(client.poll_flight_info(nothing()).await),
            "GetSchema" => answered(client.get_schema(nothing()).await),
            "DoGet" => answered(client.do_get(Ticket::new(command("CommandGetCatalogs"))).await),
            "DoPut" => answered(client.do_put(stream::empty()).await),
            "DoExchange" => answered(client.do_exchange(stream::iter([FlightData::default()])).await),
            "DoAction" => answered(client.do_action(Action::new("nope", "")).await),
            "ListActions" => answered(client.list_actions(Empty {}).await),
            other => panic!("{other} is no RPC"),
        };
        assert_eq!(found, row[1], "{}", row[0]);
    }

    let commands = rows("Commands");
    assert_eq!(commands.len(), 17);
    for row in commands {
        let found = match row[2].as_str() {
            "GetFlightInfo" => by_info(&mut client, &row[0]).await,
            "DoPut" => by_put(&mut client, &row[0]).await,
            "DoGet" => by_get(&mut client, &row[0]).await,
            other => panic!("{other} takes no commands"),
        };
        assert_eq!(found, row[1], "{}", row[0]);
    }

    let actions = rows("Actions");
    assert_eq!(actions.len(), 14);
    let listed = client.list_actions(Empty {}).await.expect("a list").into_inner();
    let listed: Vec<String> = listed.map_ok(|action| action.r#type).try_collect().await.expect("actions");
    for row in &actions {
        let found = answered(client.do_action(Action::new(row[0].as_str(), "")).await);
        assert_eq!((found, listed.contains(&row[0])), (row[1].as_str(), row[1] == "answered"), "{}", row[0]);
    }
    assert_eq!(listed.len(), actions.iter().filter(|row| row[1] == "answered").count());
}

#[test]
fn every_session_option_is_on_the_page() {
    let page: Vec<Vec<String>> = rows("Session options");
    let table = OPTIONS.iter().map(|option| {
        let kind = if option.kind == Kind::Text { "text" } else { "integer" };
        let quoted = |name: &str| format!("`{name}`");
        vec![quoted(option.name), quoted(option.header), kind.to_owned(), option.what.to_owned()]
    });
    assert_eq!(page, table.collect::<Vec<_>>());
}

/// What SqlInfo says of the server is what the page says of it.
#[tokio::test(flavor = "multi_thread")]
async fn sql_info_agrees_with_the_page() {
    let server = Server::empty().await;
    let mut client = server.client().await;
    let is = async |client: &mut arrow_flight::sql::client::FlightSqlServiceClient<Channel>, id: SqlInfo| {
        let info = client.get_sql_info(vec![id]).await.expect("an answer");
        let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
        let batches: Vec<_> = client.do_get(ticket).await.expect("rows").try_collect().await.expect("rows");
        arrow::util::pretty::pretty_format_batches(&batches).expect("printable").to_string()
    };
    let of = |title: &str, name: &str| rows(title).iter().any(|row| row[0] == name && row[1] == "answered");
    for (id, answered) in [
        (SqlInfo::FlightSqlServerCancel, of("Actions", "CancelFlightInfo")),
        (SqlInfo::FlightSqlServerSubstrait, of("Commands", "CommandStatementSubstraitPlan")),
        (SqlInfo::FlightSqlServerBulkIngestion, of("Commands", "CommandStatementIngest")),
    ] {
        let said = is(&mut client, id).await;
        assert!(said.contains(if answered { "true" } else { "false" }), "{id:?}: {said}");
    }
}
