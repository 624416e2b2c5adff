//! Bounded fuzzing of the embedded endpoint: hostile SQL and request bodies. No panic, no hang; afterwards it still works.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use crate::endpoint::finish;
use crate::server::Server;

/// Longest a single answer, or a single statement, may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn words() -> Vec<String> {
    let table = include_str!("expressions.tsv");
    let expressions = table.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split('\t').next());
    let plain = "SELECT FROM WHERE GROUP BY ORDER HAVING LIMIT UNION ALL VALUES WITH AS UNNEST CROSS JOIN ON USING CASE WHEN \
                 THEN END CAST TRY_CAST INTERVAL DAY ARRAY MAP ROW LATERAL TABLESAMPLE BERNOULLI EXPLAIN ANALYZE CREATE TABLE \
                 VIEW INSERT INTO UNLOAD TO ALTER PARTITION PREPARE EXECUTE SHOW DESCRIBE DROP OVER PARTITION ROWS BETWEEN \
                 PRECEDING NULL TRUE 1 0 -1 1.5 1e400 99999999999999999999 '' 'a' \"q\" ` ( ) [ ] { } , . ; -> || = <> < + - * / % ? \
                 $ \\ \u{0} é 🦀 /* */ -- \n t x nation tpch.nation information_schema.tables \"$path\" \"t$partitions\"";
    expressions.map(str::to_owned).chain(plain.split(' ').map(str::to_owned)).collect()
}

/// Statements of words in any order, and expressions with pieces cut out or put in.
fn hostile_sql() -> impl Strategy<Value = String> {
    let word = prop::sample::select(words());
    let soup = prop::collection::vec(word.clone(), 1..12).prop_map(|words| words.join(" "));
    let select = prop::collection::vec(word.clone(), 1..5).prop_map(|words| format!("SELECT {}", words.join(", ")));
    let mutated = (word.clone(), any::<prop::sample::Index>(), word).prop_map(|(text, at, piece)| {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let at = places[at.index(places.len())];
        format!("SELECT {}{piece}{}", &text[..at], &text[at..])
    });
    let nested =
        (1..400_usize, prop::sample::select(vec!["(", "ARRAY[", "ROW(", "coalesce(1, ", "-", "NOT ", "CAST(ROW("]))
            .prop_map(|(depth, open)| format!("SELECT {}1", open.repeat(depth)));
    prop_oneof![3 => soup, 3 => select, 3 => mutated, 1 => nested]
}

fn hostile_body() -> impl Strategy<Value = Vec<u8>> {
    let operations = prop::sample::select(vec![
        "AmazonAthena.StartQueryExecution",
        "AmazonAthena.GetQueryResults",
        "AmazonAthena.BatchGetQueryExecution",
        "AmazonAthena.CreateWorkGroup",
        "AmazonAthena.UpdateWorkGroup",
        "AmazonAthena.CreatePreparedStatement",
        "AmazonAthena.ListTableMetadata",
        "AWSGlue.CreateTable",
        "AWSGlue.GetPartitions",
        "AWSGlue.BatchCreatePartition",
        "AWSGlue.UpdatePartition",
        "Nope.Nope",
        "",
    ]);
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "\\PC{0,20}".prop_map(|text| serde_json::Value::from(text).to_string()),
        Just("[\"a\", 1, {\"Values\": []}]".to_owned()),
    ];
    let key = prop::sample::select(vec![
        "QueryString",
        "ClientRequestToken",
        "QueryExecutionId",
        "QueryExecutionIds",
        "MaxResults",
        "NextToken",
        "WorkGroup",
        "Name",
        "Configuration",
        "DatabaseName",
        "TableName",
        "TableInput",
        "Expression",
        "PartitionInputList",
        "Segment",
        "CatalogName",
    ]);
    let fields = prop::collection::vec((key, value), 0..6).prop_map(|fields| {
        let fields: Vec<String> = fields.into_iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        format!("{{{}}}", fields.join(", ")).into_bytes()
    });
    let body = prop_oneof![4 => fields, 1 => prop::collection::vec(any::<u8>(), 0..200)];
    (operations, body, 0..8_usize).prop_map(|(operation, body, missing)| {
        let promised = body.len().saturating_sub(missing.saturating_sub(6));
        let mut request = format!(
            "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: {operation}\r\ncontent-length: {promised}\r\nconnection: close\r\n\r\n"
        )
        .into_bytes();
        request.extend(body);
        request
    })
}

fn samples<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::new(Config::default());
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("a value").current()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_sql_is_answered() {
    let server = Server::demo().await;
    let athena = &server.clients.athena;
    for sql in samples(hostile_sql(), 400) {
        let work = async {
            let started = athena.start_query_execution().query_string(&sql).send().await;
            let Ok(started) = started else { return };
            let execution = finish(&server, started.query_execution_id().expect("an id")).await;
            let reason = execution.status().and_then(|status| status.state_change_reason()).unwrap_or_default();
            assert!(!reason.contains("panicked"), "{sql:?}: {reason}");
        };
        tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("no end: {sql:?}"));
    }
    let rows = server.table("SELECT 1 AS still_here").await;
    assert!(rows.contains("still_here"));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_are_answered() {
    let server = Server::demo().await;
    for request in samples(hostile_body(), 600) {
        let answer = tokio::time::timeout(PATIENCE, server.raw(&request)).await;
        let answer = answer.unwrap_or_else(|_| panic!("no answer: {:?}", String::from_utf8_lossy(&request)));
        assert!(!answer.starts_with("HTTP/1.1 5"), "{answer}\n{:?}", String::from_utf8_lossy(&request));
    }
    let rows = server.table("SELECT 1 AS still_here").await;
    assert!(rows.contains("still_here"));
}
