//! Catalogs, schemas, tables and their schemas through Flight SQL.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Schema;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables};
use arrow_flight::{FlightInfo, IpcMessage};
use futures::TryStreamExt;

use crate::server::Server;

async fn fetch(server: &Server, info: FlightInfo) -> Vec<RecordBatch> {
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    let rows = server.client().await.do_get(ticket).await.expect("rows");
    rows.try_collect().await.expect("rows")
}

fn names(batches: &[RecordBatch], column: usize) -> Vec<String> {
    batches
        .iter()
        .flat_map(|batch| batch.column(column).as_string::<i32>().iter().flatten().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn catalogs_and_schemas_are_listed() {
    let server = Server::demo().await;
    let info = server.client().await.get_catalogs().await.expect("catalogs");
    assert_eq!(names(&fetch(&server, info).await, 0), ["AwsDataCatalog"]);
    for (catalog, pattern, expected) in [
        (None, None, vec!["tpch"]),
        (Some("AwsDataCatalog"), Some("TP%"), vec!["tpch"]),
        (Some("awsdatacatalog"), Some("tpc_"), vec!["tpch"]),
        (Some(""), None, vec![]),
        (None, Some("x%"), vec![]),
    ] {
        let request = CommandGetDbSchemas {
            catalog: catalog.map(str::to_owned),
            db_schema_filter_pattern: pattern.map(str::to_owned),
        };
        let info = server.client().await.get_db_schemas(request).await.expect("schemas");
        assert_eq!(names(&fetch(&server, info).await, 1), expected, "{catalog:?} {pattern:?}");
    }
}

#[tokio::test]
async fn tables_come_with_types_comments_and_schemas() {
    let server = Server::demo().await;
    for sql in [
        "CREATE DATABASE d COMMENT 'demo'",
        "CREATE EXTERNAL TABLE d.logs (id int COMMENT 'the id', s struct<a:int,b:array<string>>, price decimal(10,2)) \
         COMMENT 'a table' PARTITIONED BY (dt string) STORED AS PARQUET LOCATION 's3://athena-flight-results/logs/'",
        "CREATE VIEW d.v AS SELECT n_name, count(*) AS c FROM tpch.nation GROUP BY n_name",
    ] {
        server.query(sql).await;
    }
    let request = |table_types: &[&str]| CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: Some("d".to_owned()),
        table_name_filter_pattern: None,
        table_types: table_types.iter().map(|name| (*name).to_owned()).collect(),
        include_schema: true,
    };
    let info = server.client().await.get_tables(request(&[])).await.expect("tables");
    let tables = fetch(&server, info).await;
    assert_eq!(names(&tables, 2), ["logs", "v"]);
    assert_eq!(names(&tables, 3), ["EXTERNAL_TABLE", "VIEW"]);
    for (types, found) in
        [(&["TABLE"][..], &["TABLE"][..]), (&["view", "table"], &["TABLE", "VIEW"]), (&["GOVERNED"], &[])]
    {
        let info = server.client().await.get_tables(request(types)).await.expect("tables");
        assert_eq!(names(&fetch(&server, info).await, 3), found, "{types:?}");
    }
    let bytes = tables[0].column(4).as_binary::<i32>().value(0).to_vec();
    let schema = Schema::try_from(IpcMessage(bytes.into())).expect("a schema");
    let described: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| {
            let said =
                |key: &str| field.metadata().get(&format!("ARROW:FLIGHT:SQL:{key}")).cloned().unwrap_or_default();
            format!(
                "{}: {} [{} {} {}]",
                field.name(),
                field.data_type(),
                said("TYPE_NAME"),
                said("PRECISION"),
                said("REMARKS")
            )
        })
        .collect();
    assert_eq!(
        described,
        [
            "id: Int32 [integer 10 the id]",
            "s: Struct(\"a\": Int32, \"b\": List(Utf8)) [row(a integer, b array(varchar))  ]",
            "price: Decimal128(10, 2) [decimal(10,2) 10 ]",
            "dt: Utf8 [varchar  ]"
        ]
    );
    let info = server.client().await.get_tables(request(&["VIEW"])).await.expect("views");
    assert_eq!(names(&fetch(&server, info).await, 2), ["v"]);
    server.query("DROP VIEW d.v").await;
    let info = server.client().await.get_tables(request(&[])).await.expect("tables");
    assert_eq!(names(&fetch(&server, info).await, 2), ["logs"], "a change through the gateway is seen at once");
}

#[tokio::test]
async fn show_and_describe_have_real_columns() {
    let server = Server::demo().await;
    insta::assert_snapshot!(server.table("SHOW TABLES IN tpch 'n*|r*'").await, @r"
    +----------+
    | tab_name |
    +----------+
    | nation   |
    | region   |
    +----------+
    ");
    insta::assert_snapshot!(server.table("DESCRIBE tpch.region").await, @r"
    +-------------+-----------+---------+
    | col_name    | data_type | comment |
    +-------------+-----------+---------+
    | r_regionkey | bigint    |         |
    | r_name      | string    |         |
    | r_comment   | string    |         |
    +-------------+-----------+---------+
    ");
    insta::assert_snapshot!(server.table("SHOW CREATE TABLE tpch.region").await, @r"
    +--------------------------------------------------------------------+
    | createtab_stmt                                                     |
    +--------------------------------------------------------------------+
    | CREATE EXTERNAL TABLE `tpch.region`(                               |
    |   `r_regionkey` bigint,                                            |
    |   `r_name` string,                                                 |
    |   `r_comment` string)                                              |
    | ROW FORMAT SERDE                                                   |
    |   'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'    |
    | STORED AS INPUTFORMAT                                              |
    |   'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'  |
    | OUTPUTFORMAT                                                       |
    |   'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat' |
    | LOCATION                                                           |
    |   's3://athena-flight-demo/tpch-sf0.001/region/'                   |
    | TBLPROPERTIES (                                                    |
    |   'classification'='parquet')                                      |
    +--------------------------------------------------------------------+
    ");
}

#[tokio::test]
async fn partitions_are_found_pruned_and_shown() {
    let server = Server::empty().await;
    let s3 = &server.clients.s3;
    for (key, body) in [
        ("logs/dt=2026-01-01/h=1/a.csv", "1,one\n2,two\n"),
        ("logs/dt=2026-01-01/h=2/a.csv", "3,\"thr,ee\"\n"),
        ("logs/dt=2026-01-02/h=1/a.csv", "4,four\n"),
    ] {
        let bytes = body.as_bytes().to_vec().into();
        s3.put_object().bucket("athena-flight-results").key(key).body(bytes).send().await.expect("a put");
    }
    for sql in [
        "CREATE DATABASE d",
        "CREATE EXTERNAL TABLE d.logs (id int, name string) PARTITIONED BY (dt date, h int) \
         ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde' LOCATION 's3://athena-flight-results/logs/'",
        "MSCK REPAIR TABLE d.logs",
    ] {
        server.query(sql).await;
    }
    insta::assert_snapshot!(server.table("SHOW PARTITIONS d.logs").await, @r"
    +-------------------+
    | partition         |
    +-------------------+
    | dt=2026-01-01/h=1 |
    | dt=2026-01-01/h=2 |
    | dt=2026-01-02/h=1 |
    +-------------------+
    ");
    insta::assert_snapshot!(server.table("SELECT * FROM d.logs WHERE dt = DATE '2026-01-01' AND h > 1 OR id = 4 ORDER BY id").await, @r"
    +----+--------+------------+---+
    | id | name   | dt         | h |
    +----+--------+------------+---+
    | 3  | thr,ee | 2026-01-01 | 2 |
    | 4  | four   | 2026-01-02 | 1 |
    +----+--------+------------+---+
    ");
    insta::assert_snapshot!(server.table("SELECT h, count(*) AS n FROM d.logs WHERE dt > DATE '2026-01-01' GROUP BY h").await, @r"
    +---+---+
    | h | n |
    +---+---+
    | 1 | 1 |
    +---+---+
    ");
}

#[tokio::test]
async fn what_cannot_be_listed_hides_nothing_else() {
    let server = Server::demo().await;
    let create = server.clients.athena.create_data_catalog().name("broken").r#type("LAMBDA".into());
    create.send().await.expect("a catalog that nothing here can list");
    let request = |catalog: Option<&str>, pattern: Option<&str>| CommandGetTables {
        catalog: catalog.map(str::to_owned),
        db_schema_filter_pattern: pattern.map(str::to_owned),
        table_name_filter_pattern: Some("nation".to_owned()),
        table_types: Vec::new(),
        include_schema: false,
    };
    let get = async |catalog: Option<&str>, pattern: Option<&str>| {
        let mut client = server.client().await;
        let info = client.get_tables(request(catalog, pattern)).await.expect("a ticket");
        let rows = client.do_get(info.endpoint[0].ticket.clone().expect("a ticket")).await;
        match rows {
            Ok(rows) => rows.try_collect::<Vec<_>>().await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    };
    assert_eq!(names(&get(None, None).await.expect("the others"), 2), ["nation"]);
    let refused = get(Some("broken"), None).await.expect_err("it was asked for by name");
    assert!(refused.contains("broken"), "{refused}");

    server.query("CREATE DATABASE closed").await;
    let policy = r#"{"policies": {"*": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "glue:GetTables", "Resource": "arn:aws:glue:*:*:database/closed"}]}}}"#;
    server.behave(policy).await;
    assert_eq!(names(&get(None, None).await.expect("the others"), 2), ["nation"]);
    let refused = get(None, Some("closed")).await.expect_err("it was asked for by name");
    assert!(refused.contains("glue:GetTables"), "{refused}");
}
