//! The printed IAM policy is enough for every feature, and every action of it is needed: taken away, something fails and names
//! it. The embedded endpoint enforces the policies.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use arrow::array::{Int32Array, RecordBatch};
use arrow_flight::sql::{
    CommandGetDbSchemas, CommandGetTables, CommandStatementIngest, TableDefinitionOptions, TableExistsOption,
    TableNotExistOption,
};
use athena_flight::check::{self, Verdict};
use athena_flight::policy::{self, Feature, Scope};
use futures::TryStreamExt;
use serde_json::{Value, json};

use crate::server::Server;

/// Actions whose lack the embedded endpoint cannot show: what AWS does with them happens inside of Athena or of services that are
/// not here, or something else is done instead.
const UNSEEN: [(&str, &str); 13] = [
    ("athena:GetDataCatalog", "for tools that ask which kind a catalog is"),
    ("athena:BatchGetQueryExecution", "queries are asked for one by one then"),
    ("glue:GetPartition", "Athena's own, of single partitions"),
    ("glue:BatchGetPartition", "Athena's own, of some partitions"),
    ("glue:CreatePartition", "Athena's own, beside the batch call"),
    ("glue:BatchDeleteTable", "Athena's own, of DROP DATABASE CASCADE"),
    ("s3:AbortMultipartUpload", "Athena's own, and ours only when a stream breaks off"),
    ("s3:ListMultipartUploadParts", "Athena's own"),
    ("s3:ListBucketMultipartUploads", "Athena's own"),
    ("lakeformation:GetDataAccess", "nothing is governed here"),
    ("kms:Decrypt", "there are no keys here"),
    ("kms:GenerateDataKey", "there are no keys here"),
    ("lambda:InvokeFunction", "there are no functions here"),
];

const REGION: &str = "us-east-1";
const OUTPUT: &str = "s3://athena-flight-results/";

fn scope() -> Scope {
    Scope {
        region: REGION.to_owned(),
        account: "000000000000".to_owned(),
        workgroups: vec!["primary".to_owned()],
        data: vec!["s3://athena-flight-demo/".to_owned(), "s3://athena-flight-results/data/".to_owned()],
        output: Some(OUTPUT.to_owned()),
        roles: vec!["arn:aws:iam::000000000000:role/analyst".to_owned()],
        ..Scope::default()
    }
}

/// The policy for some features, without an action.
fn document(features: &[Feature], without: Option<&str>) -> Value {
    let mut document = policy::document(features, &scope());
    for statement in document["Statement"].as_array_mut().expect("statements") {
        let actions = statement["Action"].as_array_mut().expect("actions");
        actions.retain(|action| action.as_str() != without);
        if actions.is_empty() {
            *actions = vec![json!("none:None")];
        }
    }
    document
}

/// Whatever a feature is for. The error is the first one that comes.
async fn work(server: &Server, feature: Feature) -> Result<(), String> {
    server.tenant.forget_catalog();
    match feature {
        Feature::Metadata => metadata(server).await,
        Feature::Query => queries(server).await,
        Feature::Unload => {
            run(server, "SELECT * FROM tpch.nation", &[("x-athena-result-path", "unload")]).await?;
            cleaned_up(server).await
        }
        Feature::Ddl => {
            for sql in [
                "CREATE DATABASE d",
                "ALTER DATABASE d SET DBPROPERTIES ('a' = 'b')",
                "CREATE TABLE d.t WITH (external_location = 's3://athena-flight-results/data/t-NUMBER/') AS SELECT 1 AS a",
                "INSERT INTO d.t VALUES 2",
                "CREATE EXTERNAL TABLE d.p (a int) PARTITIONED BY (k string) STORED AS PARQUET \
                 LOCATION 's3://athena-flight-results/data/p/'",
                "ALTER TABLE d.p ADD PARTITION (k = '1')",
                "ALTER TABLE d.p PARTITION (k = '1') RENAME TO PARTITION (k = '2')",
                "ALTER TABLE d.p DROP PARTITION (k = '2')",
                "ALTER TABLE d.p SET TBLPROPERTIES ('a' = 'b')",
                "DROP TABLE d.p",
                "DROP TABLE d.t",
                "DROP DATABASE d",
            ] {
                // What a dropped table leaves is in the way of the next one.
                static TIMES: AtomicUsize = AtomicUsize::new(0);
                let number = TIMES.fetch_add(1, Ordering::Relaxed);
                run(server, &sql.replace("NUMBER", &number.to_string()), &[]).await?;
            }
            Ok(())
        }
        Feature::Ingest => {
            use TableExistsOption::{Append, Replace};
            ingest(server, "ingested", Append).await?;
            run(server, "DROP TABLE tpch.ingested", &[]).await?;
            ingest(server, "parted", Append).await?;
            ingest(server, "replaced", Replace).await?;
            // The rows are in their place whatever becomes of the partitions of before.
            let partitions =
                server.clients.glue.get_partitions().database_name("tpch").table_name("replaced").send().await;
            if !partitions.map_err(|error| said(&error))?.partitions().is_empty() {
                return Err("there are partitions still: glue:BatchDeletePartition".to_owned());
            }
            cleaned_up(server).await
        }
        Feature::Usage => {
            let athena = &server.clients.athena;
            let listed = athena.list_query_executions().send().await.map_err(|error| said(&error))?;
            let batch = athena.batch_get_query_execution().set_query_execution_ids(listed.query_execution_ids);
            batch.send().await.map_err(|error| said(&error))?;
            athena.list_work_groups().send().await.map_err(|error| said(&error))?;
            Ok(())
        }
        Feature::Roles => {
            let call = server.clients.sts.assume_role().role_arn(&scope().roles[0]).role_session_name("me");
            let assumed = call.source_identity("ann").send().await;
            assumed.map(drop).map_err(|error| said(&error))
        }
        Feature::Tags => {
            let body = r#"{"Resource": {"Database": {"Name": "tpch"}}}"#;
            let length = body.len();
            let request = format!(
                "POST /GetResourceLFTags HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            let answer = server.raw(request.as_bytes()).await;
            if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer) }
        }
        // Nothing here has keys or functions.
        Feature::Kms | Feature::Federated => Ok(()),
    }
}

async fn metadata(server: &Server) -> Result<(), String> {
    let mut client = server.client().await;
    let schemas = CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: None };
    let tables = CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: Some("tpch".to_owned()),
        table_name_filter_pattern: None,
        table_types: Vec::new(),
        include_schema: true,
    };
    let infos = [client.get_catalogs().await, client.get_db_schemas(schemas).await, client.get_tables(tables).await];
    for info in infos {
        let ticket = info.map_err(|error| error.to_string())?.endpoint[0].ticket.clone().expect("a ticket");
        let rows = client.do_get(ticket).await.map_err(|error| error.to_string())?;
        rows.try_collect::<Vec<_>>().await.map_err(|error| error.to_string())?;
    }
    // The calls for catalogs other than Glue's, which the endpoint answers for its own too.
    let athena = &server.clients.athena;
    let databases = athena.list_databases().catalog_name("AwsDataCatalog").send().await;
    databases.map_err(|error| said(&error))?;
    let tables = athena.list_table_metadata().catalog_name("AwsDataCatalog").database_name("tpch").send().await;
    tables.map(drop).map_err(|error| said(&error))
}

async fn queries(server: &Server) -> Result<(), String> {
    let direct = [("x-athena-result-path", "direct")];
    for sql in
        ["SELECT count(*) FROM tpch.lineitem", "SELECT * FROM tpch.lineitem", "SHOW DATABASES", "SHOW TABLES IN tpch"]
    {
        run(server, sql, &direct).await?;
    }
    run(server, "SELECT * FROM parted.p", &direct).await?;
    // A statement that goes on for too long is stopped; whether it was is seen at the endpoint.
    let athena = &server.clients.athena;
    let started = athena.start_query_execution().query_string("SELECT 1").send().await;
    let id = started.map_err(|error| said(&error))?.query_execution_id.expect("an id");
    let stopped = athena.stop_query_execution().query_execution_id(id).send().await;
    stopped.map_err(|error| said(&error))?;
    let report = check::run(&server.tenant, std::time::Duration::from_secs(30)).await;
    let failed = report.steps.iter().find(|step| step.verdict == Verdict::Failed);
    failed.map_or(Ok(()), |step| Err(step.found.clone()))
}

/// What the check says about the removal of files.
async fn cleaned_up(server: &Server) -> Result<(), String> {
    let report = check::run(&server.tenant, std::time::Duration::from_secs(30)).await;
    let step = report.steps.iter().find(|step| step.name == "StagingDirectory").expect("the step");
    if step.verdict == Verdict::Ok { Ok(()) } else { Err(step.found.clone()) }
}

/// What an error of the SDK's says, with what lies behind it.
fn said<E: std::error::Error + 'static>(error: &E) -> String {
    aws_smithy_types::error::display::DisplayErrorContext(error).to_string()
}

async fn run(server: &Server, sql: &str, headers: &[(&'static str, &'static str)]) -> Result<(), String> {
    let mut client = server.client().await;
    headers.iter().for_each(|(name, value)| client.set_header(*name, *value));
    let info = client.execute(sql.to_owned(), None).await.map_err(|error| error.to_string())?;
    for endpoint in info.endpoint {
        let rows = client.do_get(endpoint.ticket.expect("a ticket")).await.map_err(|error| error.to_string())?;
        rows.try_collect::<Vec<_>>().await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// New rows for a table, which has a new partition then if it has any.
async fn ingest(server: &Server, table: &str, if_exists: TableExistsOption) -> Result<(), String> {
    static PARTITION: AtomicI32 = AtomicI32::new(100);
    let number = PARTITION.fetch_add(1, Ordering::Relaxed);
    let column = |value| std::sync::Arc::new(Int32Array::from(vec![value; 2])) as _;
    let batch = RecordBatch::try_from_iter([("n", column(1)), ("k", column(number))]);
    let command = CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Create as i32,
            if_exists: if_exists as i32,
        }),
        table: table.to_owned(),
        schema: Some("tpch".to_owned()),
        catalog: None,
        temporary: false,
        transaction_id: None,
        options: Default::default(),
    };
    let rows = futures::stream::iter([Ok(batch.expect("a batch"))]);
    server.client().await.execute_ingest(command, rows).await.map(drop).map_err(|error| error.to_string())
}

/// Features that one cannot do without for another.
fn with_those_below(feature: Feature) -> Vec<Feature> {
    match feature {
        Feature::Metadata | Feature::Roles => vec![feature],
        _ => vec![Feature::Metadata, Feature::Query, feature],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_is_enough_and_every_action_of_it_is_needed() {
    let server = Server::demo().await;
    for sql in [
        "CREATE DATABASE parted",
        "CREATE TABLE parted.p WITH (external_location = 's3://athena-flight-demo/parted/', partitioned_by = ARRAY['k']) AS \
         SELECT n_name, n_regionkey AS k FROM tpch.nation",
        "CREATE TABLE tpch.parted WITH (external_location = 's3://athena-flight-demo/for-ingest/', partitioned_by = ARRAY['k']) \
         AS SELECT 1 AS n, 2 AS k",
    ] {
        server.query(sql).await;
    }
    let obey = async |document: &Value| {
        // What was done before may have broken off anywhere.
        server.behave("{}").await;
        static TIMES: AtomicUsize = AtomicUsize::new(0);
        let number = TIMES.fetch_add(1, Ordering::Relaxed);
        let replaced = format!(
            "CREATE TABLE tpch.replaced WITH (external_location = 's3://athena-flight-demo/replaced-{number}/', \
             partitioned_by = ARRAY['k']) AS SELECT 1 AS n, 2 AS k"
        );
        for sql in [
            "DROP DATABASE IF EXISTS d CASCADE",
            "DROP TABLE IF EXISTS tpch.ingested",
            "DROP TABLE IF EXISTS tpch.replaced",
            &replaced,
        ] {
            server.query(sql).await;
        }
        let behaviour = json!({ "policies": { "*": document }, "roles": [{ "arn": scope().roles[0] }] });
        server.behave(&behaviour.to_string()).await;
    };
    let mut seen = BTreeSet::new();
    for feature in Feature::ALL {
        let features = with_those_below(feature);
        obey(&document(&features, None)).await;
        work(&server, feature).await.unwrap_or_else(|error| panic!("{feature} under its policy: {error}"));
        for (_, action, _) in policy::explain(&[feature]) {
            // Athena's own, beside the single call; ingest is seen to need it.
            let is_ddls_own = feature == Feature::Ddl && action == "glue:BatchDeletePartition";
            if is_ddls_own || UNSEEN.iter().any(|(unseen, _)| *unseen == action) {
                continue;
            }
            obey(&document(&features, Some(action))).await;
            match work(&server, feature).await {
                Err(error) => {
                    assert!(error.contains(action), "{feature} without {action}: {error}");
                    seen.insert(action);
                }
                Ok(()) => panic!("{feature} works without {action}"),
            }
        }
    }
    assert!(seen.len() >= 25, "{seen:?}");
}
