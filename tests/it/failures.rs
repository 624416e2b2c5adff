//! Every error that Athena is known to give (athena-behaviour, sections 1, 2, 4 and 6): its code, type and message.

use aws_sdk_athena::error::ProvideErrorMetadata;
use aws_sdk_athena::types::{QueryExecutionContext, ResultConfiguration, WorkGroupConfiguration};
use serde_json::json;

use crate::endpoint::{finish, start};
use crate::server::Server;

/// Posts a call as it is and gives the answer's status and body.
async fn post(server: &Server, operation: &str, body: &str) -> (u16, serde_json::Value) {
    let request = format!(
        "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AmazonAthena.{operation}\r\ncontent-type: application/x-amz-json-1.1\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = server.raw(request.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(!head.to_lowercase().contains("x-amzn-errortype"), "{head}");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or_default())
}

fn start_body(sql: &str, more: serde_json::Value) -> String {
    let mut body = json!({ "QueryString": sql, "ClientRequestToken": uuid(), "WorkGroup": "primary" });
    for (key, value) in more.as_object().expect("an object") {
        body[key] = value.clone();
    }
    body.to_string()
}

fn uuid() -> String {
    format!("{:064x}", std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("later").as_nanos())
}

#[tokio::test]
async fn refusals_of_a_start_have_code_and_message() {
    let server = Server::demo().await;
    let long = format!("SELECT '{}'", "x".repeat(262_144));
    for (sql, more, code, message) in [
        ("selec 1", json!({}), "MALFORMED_QUERY", "line 1:1: mismatched input 'selec'. Expecting:"),
        ("SELECT 1; SELECT 2", json!({}), "MALFORMED_QUERY", "Only one sql statement is allowed"),
        ("SELECT /* 1", json!({}), "MALFORMED_QUERY", "mismatched input"),
        ("DESCRIBE nope", json!({}), "MALFORMED_QUERY", "TABLE_NOT_FOUND"),
        ("SHOW COLUMNS IN tpch.nope", json!({}), "MALFORMED_QUERY", "TABLE_NOT_FOUND"),
        ("SELECT ?", json!({}), "INVALID_PARAMETER_USAGE", "Incorrect number of parameters: expected 1 but found 0"),
        ("SELECT ?", json!({ "ExecutionParameters": ["1", "2"] }), "INVALID_PARAMETER_USAGE", "expected 1 but found 2"),
        ("SELECT 1", json!({ "WorkGroup": "nope" }), "INVALID_INPUT", "WorkGroup is not found."),
        ("SELECT 1", json!({ "ClientRequestToken": "short" }), "INVALID_INPUT", "Idempotent token"),
        (
            "SELECT 1",
            json!({ "ResultConfiguration": { "OutputLocation": "/tmp" } }),
            "INVALID_INPUT",
            "not a valid S3 path",
        ),
        (" ", json!({}), "INVALID_INPUT", "length greater than or equal to 1"),
        (&long, json!({}), "INVALID_INPUT", "length less than or equal to 262144"),
        (
            "SELECT 1",
            json!({ "ResultReuseConfiguration": { "ResultReuseByAgeConfiguration": { "Enabled": true, "MaxAgeInMinutes": 10081 } } }),
            "INVALID_INPUT",
            "less than or equal to 10080",
        ),
    ] {
        let (status, body) = post(&server, "StartQueryExecution", &start_body(sql, more)).await;
        let shown = sql.get(..40).unwrap_or(sql);
        assert_eq!((status, body["__type"].as_str()), (400, Some("InvalidRequestException")), "{shown}: {body}");
        assert_eq!((&body["AthenaErrorCode"], &body["ErrorCode"]), (&json!(code), &json!(code)), "{shown}: {body}");
        assert!(body["Message"].as_str().is_some_and(|found| found.contains(message)), "{shown}: {body}");
    }
}

#[tokio::test]
async fn tokens_bind_text_context_and_place() {
    let server = Server::empty().await;
    let token = "t".repeat(32);
    let same = json!({ "ClientRequestToken": token });
    let (_, first) = post(&server, "StartQueryExecution", &start_body("SELECT 1", same.clone())).await;
    for (sql, more, fits) in [
        ("SELECT 1", json!({}), true),
        ("SELECT 1", json!({ "ExecutionParameters": ["x"] }), true),
        ("SELECT 2", json!({}), false),
        ("SELECT 1", json!({ "QueryExecutionContext": { "Database": "d" } }), false),
        ("SELECT 1", json!({ "ResultConfiguration": { "OutputLocation": "s3://athena-flight-results/x/" } }), false),
    ] {
        let mut more = more;
        more["ClientRequestToken"] = json!(token);
        let (_, body) = post(&server, "StartQueryExecution", &start_body(sql, more.clone())).await;
        if fits {
            assert_eq!(body, first, "{sql} {more}");
        } else {
            assert_eq!(body["AthenaErrorCode"], "IDEMPOTENT_PARAMETER_MISMATCH", "{sql} {more}: {body}");
        }
    }
}

#[tokio::test]
async fn results_are_refused_in_athenas_order() {
    let server = Server::demo().await;
    let athena = &server.clients.athena;
    let failed = start(&server, "SELECT * FROM tpch.nope").await;
    finish(&server, &failed).await;
    let slow = "SELECT count(*) FROM tpch.lineitem a, tpch.lineitem b, tpch.lineitem c WHERE a.l_partkey + b.l_partkey = c.l_suppkey";
    let running = start(&server, slow).await;
    let code = |body: &serde_json::Value| body["AthenaErrorCode"].as_str().unwrap_or_default().to_owned();
    let results = |id: &str, more: &str| {
        let body = format!("{{\"QueryExecutionId\": \"{id}\"{more}}}");
        let server = &server;
        async move { post(server, "GetQueryResults", &body).await.1 }
    };
    assert_eq!(code(&results("00000000-0000-0000-0000-000000000000", "").await), "QUERY_EXECUTION_NOT_FOUND");
    // The size is looked at before the state, the state before the token.
    assert_eq!(code(&results(&running, ", \"MaxResults\": 1001").await), "INVALID_INPUT");
    assert_eq!(code(&results(&running, ", \"NextToken\": \"forged\"").await), "INVALID_QUERY_EXECUTION_STATE");
    assert_eq!(code(&results(&failed, "").await), "INVALID_QUERY_EXECUTION_STATE");
    athena.stop_query_execution().query_execution_id(&running).send().await.expect("a stop");
    let stopped = finish(&server, &running).await;
    assert_eq!(stopped.status().and_then(|s| s.state_change_reason()), Some("Query cancelled by user"));
    assert_eq!(code(&results(&running, "").await), "RESULT_NOT_FOUND");
    let done = start(&server, "SELECT 1").await;
    finish(&server, &done).await;
    assert_eq!(code(&results(&done, ", \"NextToken\": \"forged\"").await), "INVALID_INPUT");
    let too_many: Vec<String> = (0..51).map(|_| running.clone()).collect();
    let batch = json!({ "QueryExecutionIds": too_many }).to_string();
    assert_eq!(code(&post(&server, "BatchGetQueryExecution", &batch).await.1), "INVALID_INPUT");
}

#[tokio::test]
async fn failures_of_statements_have_category_and_type() {
    let server = Server::with_behaviour(
        r#"{"faults": [
            {"contains": "throttled", "kind": {"query_failure": {"category": 2, "error_type": 1401, "message": "Rate exceeded", "retryable": true}}},
            {"contains": "commit", "kind": {"query_failure": {"category": 1, "error_type": 233, "message": "ICEBERG_COMMIT_ERROR: Failed to commit", "retryable": true}}}]}"#,
    )
    .await;
    for (sql, error_type, category, name) in [
        ("SELECT 1 / 0", 1001, 2, "DIVISION_BY_ZERO"),
        ("SELECT 'a' + 1", 1002, 2, "TYPE_MISMATCH"),
        ("SELECT nope FROM tpch.nation", 1006, 2, "COLUMN_NOT_FOUND"),
        ("SELECT CAST('x' AS bigint)", 1100, 2, "INVALID_CAST_ARGUMENT"),
        ("DELETE FROM tpch.nation", 1200, 2, "NOT_SUPPORTED"),
        ("SELECT * FROM tpch.nope", 1301, 2, "TABLE_NOT_FOUND"),
        ("SELECT * FROM nope.nation", 1301, 2, "SCHEMA_NOT_FOUND"),
        ("SELECT * FROM nope.tpch.nation", 1301, 2, "CATALOG_NOT_FOUND"),
        ("SELECT nope(1)", 1303, 2, "FUNCTION_NOT_FOUND"),
        ("SELECT 'throttled'", 1401, 2, "Rate exceeded"),
        ("SELECT 'commit'", 233, 1, "ICEBERG_COMMIT_ERROR"),
        ("DROP DATABASE tpch", 1001, 2, "FAILED: Execution Error"),
    ] {
        let execution = finish(&server, &start(&server, sql).await).await;
        let status = execution.status().expect("a status");
        let error = status.athena_error().unwrap_or_else(|| panic!("{sql}: {status:?}"));
        assert_eq!(
            (error.error_type(), error.error_category()),
            (Some(error_type), Some(category)),
            "{sql}: {status:?}"
        );
        assert!(status.state_change_reason().is_some_and(|reason| reason.starts_with(name)), "{sql}: {status:?}");
        assert_eq!(error.retryable(), matches!(error_type, 1401 | 233), "{sql}");
    }
}

#[tokio::test]
async fn workgroups_have_their_say() {
    let server = Server::demo().await;
    let athena = &server.clients.athena;
    let configuration = |json: serde_json::Value| json;
    for (name, given) in [
        (
            "enforced",
            configuration(
                json!({ "ResultConfiguration": { "OutputLocation": "s3://athena-flight-results/enforced/", "EncryptionConfiguration": { "EncryptionOption": "SSE_S3" } }, "EnforceWorkGroupConfiguration": true }),
            ),
        ),
        ("managed", configuration(json!({ "ManagedQueryResultsConfiguration": { "Enabled": true } }))),
        (
            "small",
            configuration(
                json!({ "ResultConfiguration": { "OutputLocation": "s3://athena-flight-results/" }, "BytesScannedCutoffPerQuery": 10_000_000 }),
            ),
        ),
        ("nowhere", configuration(json!({ "EnforceWorkGroupConfiguration": false }))),
    ] {
        let body = json!({ "Name": name, "Configuration": given }).to_string();
        assert_eq!(post(&server, "CreateWorkGroup", &body).await.0, 200, "{name}");
    }
    let elsewhere = ResultConfiguration::builder().output_location("s3://athena-flight-results/own/").build();
    let run = async |workgroup: &str, sql: &str, place: Option<ResultConfiguration>| {
        let started =
            athena.start_query_execution().query_string(sql).work_group(workgroup).set_result_configuration(place);
        let id = started
            .send()
            .await
            .map_err(|error| error.into_service_error().message().unwrap_or_default().to_owned())?;
        Ok::<_, String>(finish(&server, id.query_execution_id().expect("an id")).await)
    };
    let enforced = run("enforced", "SELECT 1", Some(elsewhere.clone())).await.expect("it runs");
    let result = enforced.result_configuration().expect("a result configuration");
    assert!(result.output_location().is_some_and(|place| place.starts_with("s3://athena-flight-results/enforced/")));
    assert!(result.encryption_configuration().is_some());
    let refused = run("managed", "SELECT 1", Some(elsewhere)).await.expect_err("no location");
    assert!(refused.contains("managed query results"), "{refused}");
    let managed = run("managed", "SELECT n_name FROM tpch.nation", None).await.expect("it runs");
    assert!(managed.result_configuration().is_none(), "{managed:?}");
    let id = managed.query_execution_id().expect("an id");
    let rows = athena.get_query_results().query_execution_id(id).send().await.expect("results");
    assert_eq!(rows.result_set().expect("a set").rows().len(), 26);
    let nowhere = run("nowhere", "SELECT 1", None).await.expect_err("no location at all");
    assert!(nowhere.starts_with("No output location provided"), "{nowhere}");
    let missing = run("nope", "SELECT 1", None).await.expect_err("no such workgroup");
    assert_eq!(missing, "WorkGroup is not found.");
    let low = WorkGroupConfiguration::builder().bytes_scanned_cutoff_per_query(1).build();
    let low = athena.create_work_group().name("low").configuration(low).send().await.expect_err("too low a limit");
    assert!(low.into_service_error().message().is_some_and(|text| text.contains("10000000")));
    let disable = json!({ "WorkGroup": "nowhere", "State": "DISABLED" }).to_string();
    assert_eq!(post(&server, "UpdateWorkGroup", &disable).await.0, 200);
    let disabled = run("nowhere", "SELECT 1", None).await.expect_err("it is disabled");
    assert!(disabled.contains("disabled"), "{disabled}");
    athena.delete_work_group().work_group("enforced").send().await.expect_err("it is not empty");
    athena.delete_work_group().work_group("enforced").recursive_delete_option(true).send().await.expect("it goes");
}

#[tokio::test]
async fn an_unknown_context_catalog_is_passed_over_by_metadata_statements() {
    let server = Server::demo().await;
    let context = QueryExecutionContext::builder().catalog("Nope").database("tpch").build();
    let started = server.clients.athena.start_query_execution().query_string("SHOW TABLES");
    let id = started.query_execution_context(context).send().await.expect("a start");
    let execution = finish(&server, id.query_execution_id().expect("an id")).await;
    assert_eq!(execution.status().and_then(|s| s.state()).map(|s| s.as_str()), Some("SUCCEEDED"));
    // The catalog comes back in lower case.
    assert_eq!(execution.query_execution_context().and_then(|context| context.catalog()), Some("nope"));
}
