//! The embedded endpoint by itself, with the AWS SDK as the client.

use aws_sdk_athena::error::ProvideErrorMetadata;
use aws_sdk_athena::types::{QueryExecutionContext, ResultConfiguration};

use crate::server::Server;

pub async fn finish(server: &Server, id: &str) -> aws_sdk_athena::types::QueryExecution {
    loop {
        let got =
            server.clients.athena.get_query_execution().query_execution_id(id).send().await.expect("an execution");
        let execution = got.query_execution().expect("an execution").clone();
        let state = execution.status().and_then(|status| status.state()).expect("a state").as_str().to_owned();
        if !matches!(state.as_str(), "QUEUED" | "RUNNING") {
            return execution;
        }
        tokio::task::yield_now().await;
    }
}

pub async fn start(server: &Server, sql: &str) -> String {
    let started = server.clients.athena.start_query_execution().query_string(sql).send().await;
    started.unwrap_or_else(|error| panic!("{sql}: {error:?}")).query_execution_id().expect("an id").to_owned()
}

#[tokio::test]
async fn refusals_have_athenas_codes() {
    let server = Server::demo().await;
    let athena = &server.clients.athena;
    let syntax = athena.start_query_execution().query_string("selec 1").send().await.expect_err("a syntax error");
    let service = syntax.as_service_error().expect("a service error");
    assert_eq!(service.code(), Some("InvalidRequestException"));
    assert!(service.is_invalid_request_exception());
    let workgroup = athena.start_query_execution().query_string("select 1").work_group("nope").send().await;
    assert_eq!(workgroup.expect_err("no workgroup").into_service_error().message(), Some("WorkGroup is not found."));
    let bucket = ResultConfiguration::builder().output_location("s3://no-such-bucket/").build();
    let refused = athena.start_query_execution().query_string("select 1").result_configuration(bucket).send().await;
    assert!(
        refused.expect_err("no bucket").into_service_error().message().expect("a message").contains("output bucket")
    );
    let unknown = athena.get_query_results().query_execution_id("00000000-0000-0000-0000-000000000000").send().await;
    let unknown = unknown.expect_err("no such query").into_service_error();
    assert!(unknown.message().expect("a message").contains("was not found"));
    let lacking = athena.list_named_queries().send().await.expect_err("not answered").into_service_error();
    assert_eq!(lacking.code(), Some("UnknownOperationException"));
    let described = athena.start_query_execution().query_string("describe nope").send().await;
    described.expect_err("DESCRIBE needs its table before an execution exists");
}

#[tokio::test]
async fn tokens_make_starts_idempotent() {
    let server = Server::empty().await;
    let athena = &server.clients.athena;
    let token = "t".repeat(32);
    let start = |sql: &str, database: &str| {
        let context = QueryExecutionContext::builder().database(database).build();
        athena
            .start_query_execution()
            .query_string(sql)
            .query_execution_context(context)
            .client_request_token(&token)
            .send()
    };
    let first = start("select 1", "a").await.expect("a start").query_execution_id().map(str::to_owned);
    let again = start("select 1", "a").await.expect("the same").query_execution_id().map(str::to_owned);
    assert_eq!(first, again);
    for (sql, database) in [("select 2", "a"), ("select 1", "b")] {
        let refused = start(sql, database).await.expect_err("something else").into_service_error();
        assert!(refused.message().expect("a message").contains("Idempotent"), "{sql} {database}");
    }
}

#[tokio::test]
async fn parameters_are_bound_by_athenas_rule() {
    let server = Server::empty().await;
    let athena = &server.clients.athena;
    let run = async |sql: &str, values: &[&str]| {
        let mut call = athena.start_query_execution().query_string(sql);
        for value in values {
            call = call.execution_parameters(*value);
        }
        let id = call.send().await.expect("a start").query_execution_id().expect("an id").to_owned();
        finish(&server, &id).await;
        let results = athena.get_query_results().query_execution_id(id).send().await.expect("results");
        let rows = results.result_set().expect("a set").rows();
        rows[1].data().iter().map(|d| d.var_char_value().map(str::to_owned)).collect::<Vec<_>>()
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(run("select ?, '?', ?", &["1 + 1", "it's"]).await, [text("2"), text("?"), text("it's")]);
    assert_eq!(run("select ?, ?", &["NULL", "'it''s'"]).await, [None, text("it's")]);
    assert_eq!(run("select 1 where ? = 'x' or true limit ?", &["x; drop table y", "1"]).await, [text("1")]);
    assert_eq!(run("select 1", &["ignored"]).await, [text("1")]);
    let wrong = athena.start_query_execution().query_string("select ?").send().await.expect_err("no value");
    assert!(wrong.into_service_error().message().expect("a message").contains("Incorrect number of parameters"));
}

#[tokio::test]
async fn pages_have_the_header_and_end_as_athenas_do() {
    let server = Server::demo().await;
    let athena = &server.clients.athena;
    let id = start(&server, "SELECT x FROM UNNEST(ARRAY[1, 2, 3]) AS t(x) ORDER BY x").await;
    finish(&server, &id).await;
    let page = |size: i32, token: Option<String>| {
        athena.get_query_results().query_execution_id(&id).max_results(size).set_next_token(token).send()
    };
    let values = |rows: &[aws_sdk_athena::types::Row]| -> Vec<String> {
        rows.iter().map(|row| row.data()[0].var_char_value().unwrap_or_default().to_owned()).collect()
    };
    let first = page(2, None).await.expect("a page");
    assert_eq!(values(first.result_set().expect("a set").rows()), ["x", "1"]);
    let second = page(2, first.next_token().map(str::to_owned)).await.expect("a page");
    assert_eq!(values(second.result_set().expect("a set").rows()), ["2", "3"]);
    // A full page always has a successor, be it empty.
    let third = page(2, second.next_token().map(str::to_owned)).await.expect("a page");
    assert_eq!((values(third.result_set().expect("a set").rows()).len(), third.next_token()), (0, None));
    let too_many = page(1001, None).await.expect_err("too many").into_service_error();
    assert!(too_many.message().expect("a message").contains("1000"));
    page(10, Some("forged".to_owned())).await.expect_err("a forged token");
}

#[tokio::test]
async fn statements_report_their_kind_and_leave_their_object() {
    let server = Server::demo().await;
    for (sql, kind, substatement, object) in [
        ("SELECT 1", "DML", "SELECT", Some(".csv")),
        ("EXPLAIN SELECT 1", "DML", "EXPLAIN", Some(".txt")),
        ("CREATE DATABASE d", "DDL", "CREATE_DATABASE", Some(".txt")),
        ("CREATE VIEW d.v AS SELECT 1 AS x", "DDL", "CREATE_VIEW", Some(".txt")),
        ("SHOW TABLES IN d", "UTILITY", "SHOW_TABLES", Some(".txt")),
        ("DESCRIBE d.v", "UTILITY", "DESC_VIEW", Some(".txt")),
        ("DESCRIBE tpch.nation", "UTILITY", "DESCRIBE_TABLE", Some(".txt")),
        ("DROP VIEW d.v", "DDL", "DROP_VIEW", Some(".txt")),
    ] {
        let execution = finish(&server, &start(&server, sql).await).await;
        assert_eq!(execution.statement_type().map(|t| t.as_str()), Some(kind), "{sql}");
        assert_eq!(execution.substatement_type(), Some(substatement), "{sql}");
        let location = execution.result_configuration().and_then(|r| r.output_location()).expect("a location");
        assert!(object.is_some_and(|ending| location.ends_with(ending)), "{sql} {location}");
        let uri = athena_flight::results::object::S3Uri::parse(location).expect("a location");
        server.clients.s3.get_object().bucket(uri.bucket).key(uri.key).send().await.expect("the object is there");
    }
    let failed = finish(&server, &start(&server, "SELECT * FROM d.nope").await).await;
    let status = failed.status().expect("a status");
    let error = status.athena_error().expect("an error");
    assert_eq!((error.error_category(), error.error_type(), error.retryable()), (Some(2), Some(1301), false));
    assert!(status.state_change_reason().is_some_and(|reason| reason.starts_with("TABLE_NOT_FOUND: line 1:15:")));
}

#[tokio::test]
async fn a_plan_as_json_is_one_object_and_ends_in_an_empty_row() {
    let server = Server::demo().await;
    let sql = "EXPLAIN (TYPE LOGICAL, FORMAT JSON) SELECT n_name, count(*) FROM tpch.nation GROUP BY n_name";
    let id = start(&server, sql).await;
    finish(&server, &id).await;
    let results = server.clients.athena.get_query_results().query_execution_id(id).send().await.expect("results");
    let rows = results.result_set().expect("a set").rows();
    let lines: Vec<&str> = rows.iter().map(|row| row.data()[0].var_char_value().expect("a text")).collect();
    assert_eq!((lines[0], lines[lines.len() - 1]), ("Query Plan", ""));
    let plan: serde_json::Value = serde_json::from_str(&lines[1..].concat()).expect("one object");
    assert_eq!(plan["descriptor"]["columnNames"], "[n_name, _col1]");
    assert_eq!(plan["outputs"][1]["type"], "bigint");
}

#[tokio::test]
async fn a_stopped_query_is_cancelled_and_has_no_results() {
    let server = Server::demo().await;
    let athena = &server.clients.athena;
    let id = start(&server, "SELECT count(*) FROM tpch.lineitem a, tpch.lineitem b, tpch.lineitem c WHERE a.l_partkey + b.l_partkey = c.l_suppkey").await;
    athena.stop_query_execution().query_execution_id(&id).send().await.expect("a stop");
    let execution = finish(&server, &id).await;
    assert_eq!(execution.status().and_then(|s| s.state_change_reason()), Some("Query cancelled by user"));
    athena.get_query_results().query_execution_id(&id).send().await.expect_err("no results");
    athena.stop_query_execution().query_execution_id(&id).send().await.expect("stopping again succeeds");
}
