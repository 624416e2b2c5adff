//! Bounded fuzzing of the gateway: descriptors, tickets, actions, DoPut streams and cookies that are nearly right, or not at
//! all. No panic, no hang, a clear status each time; afterwards it still works.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::*;
use arrow_flight::{Action, FlightData, FlightDescriptor, Ticket};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use prost::Message;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(30);

/// How a message is spoilt: bits turned over, bytes cut out, some put in.
#[derive(Debug, Clone)]
struct Spoil {
    flips: Vec<(prop::sample::Index, u8)>,
    cut: Option<(prop::sample::Index, usize)>,
    put: Option<(prop::sample::Index, Vec<u8>)>,
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let flips = prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 0..4);
    let cut = prop::option::weighted(0.3, (any::<prop::sample::Index>(), 1..20_usize));
    let put = prop::option::weighted(0.3, (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..20)));
    (flips, cut, put).prop_map(|(flips, cut, put)| Spoil { flips, cut, put })
}

impl Spoil {
    fn on(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for (at, bits) in self.flips.iter().take(bytes.len()) {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        if let Some((at, length)) = self.cut.as_ref().filter(|_| !bytes.is_empty()) {
            let at = at.index(bytes.len());
            bytes.drain(at..(at + length).min(bytes.len()));
        }
        if let Some((at, more)) = &self.put {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, more.iter().copied());
        }
        bytes
    }
}

fn samples<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::new(Config::default());
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("a value").current()).collect()
}

async fn connect(server: &Server) -> FlightServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(server.gateway_url.clone()).expect("a URL");
    FlightServiceClient::new(endpoint.connect().await.expect("the server answers"))
}

/// Whether an answer is one that a caller can do something with.
fn check<T>(what: &str, input: &[u8], answer: Result<T, Status>) {
    if let Err(status) = answer {
        let ours = matches!(status.code(), Code::Internal | Code::Unknown | Code::Unavailable);
        assert!(!ours && !status.message().is_empty(), "{what} {input:02x?}: {status}");
    }
}

async fn in_time<T>(what: &str, input: &[u8], work: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(PATIENCE, std::panic::AssertUnwindSafe(work).catch_unwind()).await;
    let ended = ended.unwrap_or_else(|_| panic!("no end of {what} {input:02x?}"));
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Every command, with something in it.
fn commands() -> Vec<Vec<u8>> {
    let text = || Some("a%".to_owned());
    vec![
        CommandGetCatalogs {}.as_any(),
        CommandGetDbSchemas { catalog: text(), db_schema_filter_pattern: text() }.as_any(),
        CommandGetTables {
            catalog: None,
            db_schema_filter_pattern: text(),
            table_name_filter_pattern: text(),
            table_types: vec!["VIEW".to_owned()],
            include_schema: true,
        }
        .as_any(),
        CommandGetTableTypes {}.as_any(),
        CommandGetPrimaryKeys { catalog: None, db_schema: text(), table: "t".to_owned() }.as_any(),
        CommandGetSqlInfo { info: vec![0, 500, 4_000_000_000] }.as_any(),
        CommandGetXdbcTypeInfo { data_type: Some(4) }.as_any(),
        CommandStatementQuery { query: "select 1".to_owned(), transaction_id: None }.as_any(),
        CommandStatementUpdate { query: "drop table if exists nope".to_owned(), transaction_id: None }.as_any(),
    ]
    .into_iter()
    .map(|any| any.encode_to_vec())
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_descriptors_tickets_actions_and_cookies_are_answered() {
    let server = Server::demo().await;
    let mut client = connect(&server).await;
    let mut seeds = commands();
    let info = client.get_flight_info(FlightDescriptor::new_cmd(seeds[7].clone())).await.expect("it runs").into_inner();
    seeds.push(info.endpoint[0].ticket.clone().expect("a ticket").ticket.to_vec());
    let request = ActionCreatePreparedStatementRequest { query: "select ?".to_owned(), transaction_id: None };
    seeds.push(request.as_any().encode_to_vec());
    let names = client.list_actions(arrow_flight::Empty {}).await.expect("a list").into_inner();
    let names: Vec<String> = names.map_ok(|action| action.r#type).try_collect().await.expect("actions");

    for (seed, spoil, name) in samples((prop::sample::select(seeds), spoil(), prop::sample::select(names)), 400) {
        let input = spoil.on(&seed);
        let descriptor = || FlightDescriptor::new_cmd(input.clone());
        in_time("descriptor", &input, async {
            check("GetFlightInfo", &input, client.get_flight_info(descriptor()).await);
            check("GetSchema", &input, client.get_schema(descriptor()).await);
            check("PollFlightInfo", &input, client.poll_flight_info(descriptor()).await);
            match client.do_get(Ticket::new(input.clone())).await {
                Ok(messages) => check("DoGet", &input, messages.into_inner().try_collect::<Vec<_>>().await),
                refused => check("DoGet", &input, refused),
            }
            check("DoAction", &input, client.do_action(Action::new(name.as_str(), input.clone())).await);
            let cookie: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            let mut request = Request::new(descriptor());
            let cookie = format!("athena-flight-session={cookie}").parse().expect("ASCII");
            request.metadata_mut().insert("cookie", cookie);
            let refused = client.get_flight_info(request).await;
            assert!(refused.is_err(), "a cookie that nobody signed");
            check("cookie", &input, refused);
        })
        .await;
    }
    assert!(server.table("SELECT 1 AS still_here").await.contains("still_here"));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_streams_are_answered() {
    let server = Server::demo().await;
    let mut client = connect(&server).await;
    let request = ActionCreatePreparedStatementRequest { query: "select ?, ?".to_owned(), transaction_id: None };
    let action = Action::new("CreatePreparedStatement", request.as_any().encode_to_vec());
    let body = client.do_action(action).await.expect("prepared").into_inner().next().await.expect("a result");
    let result = Any::decode(&*body.expect("a result").body).expect("an Any");
    let prepared: ActionCreatePreparedStatementResult = result.unpack().expect("its type").expect("its type");
    let bind = CommandPreparedStatementQuery { prepared_statement_handle: prepared.prepared_statement_handle };
    let ingest = CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions { if_not_exist: 1, if_exists: 3 }),
        table: "fuzzed".to_owned(),
        schema: Some("tpch".to_owned()),
        catalog: None,
        temporary: false,
        transaction_id: None,
        options: Default::default(),
    };
    let batch = RecordBatch::try_from_iter([
        ("n", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as Arc<dyn arrow::array::Array>),
        ("t", Arc::new(StringArray::from(vec![Some("a"), Some("it's"), None]))),
    ])
    .expect("a batch");
    let mut seeds = Vec::new();
    for command in [bind.as_any(), ingest.as_any()] {
        let descriptor = FlightDescriptor::new_cmd(command.encode_to_vec());
        let messages = FlightDataEncoderBuilder::new()
            .with_flight_descriptor(Some(descriptor))
            .build(stream::iter([Ok(batch.clone()), Ok(batch.clone())]));
        seeds.push(messages.try_collect::<Vec<FlightData>>().await.expect("messages"));
    }

    let parts = (prop::sample::select(seeds), any::<prop::sample::Index>(), 0..4_u8, spoil());
    for (mut messages, at, part, spoil) in samples(parts, 300) {
        let at = at.index(messages.len());
        let message = &mut messages[at];
        match part {
            0 => message.data_header = spoil.on(&message.data_header).into(),
            1 => message.data_body = spoil.on(&message.data_body).into(),
            2 => messages.truncate(at),
            _ => {
                if let Some(descriptor) = &mut message.flight_descriptor {
                    descriptor.cmd = spoil.on(&descriptor.cmd).into();
                }
            }
        }
        let shown = format!("{part} {at} {spoil:?}").into_bytes();
        in_time("stream", &shown, async {
            match client.do_put(stream::iter(messages)).await {
                Ok(results) => check("DoPut", &shown, results.into_inner().try_collect::<Vec<_>>().await),
                refused => check("DoPut", &shown, refused),
            }
        })
        .await;
    }
    assert_eq!((server.gateway.memory.held().0, server.gateway.memory.streams()), (0, 0));
    assert!(server.table("SELECT 1 AS still_here").await.contains("still_here"));
}
