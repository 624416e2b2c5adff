//! Statements of the embedded endpoint beside SELECT: what they write, list and refuse.

use aws_sdk_athena::error::ProvideErrorMetadata;

use crate::endpoint::{finish, start};
use crate::server::Server;

/// Runs a statement; gives its rows joined by `|`, without the header, or why it failed.
async fn run(server: &Server, sql: &str) -> Vec<String> {
    let id = start(server, sql).await;
    let execution = finish(server, &id).await;
    let status = execution.status().expect("a status");
    if status.athena_error().is_some() {
        return vec![status.state_change_reason().unwrap_or_default().to_owned()];
    }
    let results = server.clients.athena.get_query_results().query_execution_id(id).send().await.expect("results");
    let header = execution.substatement_type() == Some("SELECT");
    let rows = results.result_set().expect("a set").rows();
    rows.iter()
        .skip(usize::from(header))
        .map(|row| {
            let values = row.data().iter().map(|datum| datum.var_char_value().unwrap_or("NULL"));
            values.collect::<Vec<_>>().join("|")
        })
        .collect()
}

async fn ok(server: &Server, sql: &str) {
    let rows = run(server, sql).await;
    let failed =
        rows.first().is_some_and(|row| row.contains(": ") && row.chars().next().is_some_and(char::is_uppercase));
    assert!(!failed, "{sql}: {rows:?}");
}

async fn keys(server: &Server, bucket: &str, prefix: &str) -> Vec<String> {
    let listed = server.clients.s3.list_objects_v2().bucket(bucket).prefix(prefix).send().await.expect("a listing");
    listed.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_filled_and_read_in_every_format() {
    let server = Server::demo().await;
    ok(&server, "CREATE DATABASE d").await;
    for (format, compression) in [
        ("PARQUET", "GZIP"),
        ("PARQUET", "SNAPPY"),
        ("PARQUET", "ZSTD"),
        ("PARQUET", "NONE"),
        ("JSON", "GZIP"),
        ("JSON", "ZSTD"),
        ("TEXTFILE", "GZIP"),
        ("TEXTFILE", "NONE"),
    ] {
        let table = format!("d.t_{format}_{compression}").to_lowercase();
        let create = format!(
            "CREATE TABLE {table} WITH (format = '{format}', write_compression = '{compression}') AS \
             SELECT n_nationkey, n_name, CAST(n_nationkey AS decimal(10,2)) AS d, \
             CAST(n_nationkey AS double) / 3 AS f, n_nationkey % 2 = 0 AS even, DATE '2024-02-29' AS day, \
             TIMESTAMP '2024-02-29 12:34:56.789' AS at, if(n_nationkey > 20, n_name) AS some FROM tpch.nation"
        );
        let id = start(&server, &create).await;
        let execution = finish(&server, &id).await;
        assert_eq!(execution.substatement_type(), Some("CREATE_TABLE_AS_SELECT"), "{:?}", execution.status());
        let manifest = execution.statistics().and_then(|s| s.data_manifest_location()).expect("a manifest");
        assert!(manifest.ends_with(&format!("tables/{id}-manifest.csv")));
        let sums = format!(
            "SELECT count(*), sum(n_nationkey), sum(d), round(sum(f), 3), count_if(even), max(day), min(at), count(some) \
             FROM {table}"
        );
        let expected = "25|300|300.00|100.0|13|2024-02-29|2024-02-29 12:34:56.789|4";
        assert_eq!(run(&server, &sums).await, [expected], "{table}");
        ok(&server, &format!("INSERT INTO {table} (n_name, n_nationkey) VALUES ('x', 1000)")).await;
        let inserted = format!("SELECT n_name, n_nationkey, d FROM {table} WHERE n_nationkey > 500");
        assert_eq!(run(&server, &inserted).await, ["x|1000|NULL"], "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_values_survive_parquet_and_json() {
    let server = Server::empty().await;
    ok(&server, "CREATE DATABASE d").await;
    let row = "CAST(ROW(1, ARRAY['x, y', NULL], MAP(ARRAY['k'], ARRAY[ROW(true, DATE '2024-01-01')])) AS \
               row(id bigint, tags array(varchar), m map(varchar, row(ok boolean, day date))))";
    for format in ["PARQUET", "JSON"] {
        ok(&server, &format!("CREATE TABLE d.n_{format} WITH (format = '{format}') AS SELECT {row} AS r, 1 AS i"))
            .await;
        let read = run(&server, &format!("SELECT r, r.tags[1], r.m['k'].day, typeof(r) FROM d.n_{format}")).await;
        assert_eq!(
            read,
            ["{id=1, tags=[x, y, null], m={k={ok=true, day=2024-01-01}}}|x, y|2024-01-01|\
              row(id bigint, tags array(varchar), m map(varchar, row(ok boolean, day date)))"]
        );
        let unnested =
            format!("SELECT i, tag, n FROM d.n_{format} CROSS JOIN UNNEST(r.tags) WITH ORDINALITY AS u (tag, n)");
        assert_eq!(run(&server, &unnested).await, ["1|x, y|1", "1|NULL|2"]);
    }
    let refused = run(&server, "CREATE TABLE d.x WITH (format = 'TEXTFILE') AS SELECT ARRAY[1] AS a").await;
    assert!(refused[0].starts_with("NOT_SUPPORTED:"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_written_listed_and_changed() {
    let server = Server::demo().await;
    for sql in [
        "CREATE DATABASE d",
        "CREATE TABLE d.p WITH (partitioned_by = ARRAY['region', 'odd']) AS \
         SELECT n_name, n_regionkey AS region, n_nationkey % 2 AS odd FROM tpch.nation",
    ] {
        ok(&server, sql).await;
    }
    assert_eq!(run(&server, "SHOW PARTITIONS d.p").await.len(), 10);
    assert_eq!(run(&server, "SELECT count(*) FROM d.p WHERE region = 1 AND odd = 0").await, ["2"]);
    assert_eq!(run(&server, "SELECT count(*), max(region) FROM d.\"p$partitions\"").await, ["10|4"]);
    assert_eq!(
        run(&server, "SELECT count(DISTINCT \"$path\"), bool_and(\"$path\" LIKE 's3://%/region=%/odd=%') FROM d.p")
            .await,
        ["10|true"]
    );
    assert_eq!(run(&server, "SELECT *, \"$path\" IS NULL FROM d.p WHERE n_name = 'KENYA'").await, ["KENYA|0|0|false"]);
    ok(&server, "INSERT INTO d.p SELECT 'ATLANTIS', 9, 9").await;
    ok(&server, "INSERT INTO d.p SELECT 'a/b', NULL, 1").await;
    assert_eq!(run(&server, "SELECT n_name, odd FROM d.p WHERE region = 9").await, ["ATLANTIS|9"]);
    assert_eq!(run(&server, "SELECT n_name FROM d.p WHERE region IS NULL").await, ["a/b"]);
    ok(&server, "ALTER TABLE d.p DROP PARTITION (region = 9, odd = 9)").await;
    assert_eq!(run(&server, "SELECT count(*) FROM d.p WHERE region = 9").await, ["0"]);
    let again = run(&server, "ALTER TABLE d.p DROP PARTITION (region = 9, odd = 9)").await;
    assert!(again[0].starts_with("FAILED:"), "{again:?}");
    ok(&server, "ALTER TABLE d.p DROP IF EXISTS PARTITION (region = 9, odd = 9)").await;
    assert_eq!(run(&server, "MSCK REPAIR TABLE d.p").await[1], "Repair: Added partition to metastore p:region=9/odd=9");
    assert_eq!(run(&server, "SELECT count(*) FROM d.p WHERE region = 9").await, ["1"]);
    ok(
        &server,
        "ALTER TABLE d.p ADD IF NOT EXISTS PARTITION (region = 7, odd = 1) LOCATION 's3://athena-flight-results/none/'",
    )
    .await;
    ok(&server, "ALTER TABLE d.p PARTITION (region = 7, odd = 1) RENAME TO PARTITION (region = 8, odd = 1)").await;
    let listed = run(&server, "SHOW PARTITIONS d.p").await;
    assert!(listed.contains(&"region=8/odd=1".to_owned()) && !listed.contains(&"region=7/odd=1".to_owned()));
    let too_many = run(&server, "CREATE TABLE d.q WITH (partitioned_by = ARRAY['k']) AS SELECT l_quantity AS x, l_partkey AS k FROM tpch.lineitem").await;
    assert!(too_many[0].starts_with("HIVE_TOO_MANY_OPEN_PARTITIONS:"), "{too_many:?}");
    assert_eq!(run(&server, "SHOW TABLES IN d").await, ["p"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_altered_and_described() {
    let server = Server::empty().await;
    for sql in [
        "CREATE DATABASE d COMMENT 'c'",
        "CREATE EXTERNAL TABLE d.t (a int COMMENT 'first', b string) PARTITIONED BY (day date) STORED AS PARQUET \
         LOCATION 's3://athena-flight-results/t/' TBLPROPERTIES ('k' = 'v')",
        "ALTER TABLE d.t ADD COLUMNS (c array<struct<x:int>>)",
        "ALTER TABLE d.t SET TBLPROPERTIES ('k' = 'w', 'n' = '1')",
        "ALTER TABLE d.t SET LOCATION 's3://athena-flight-results/u/'",
        "ALTER DATABASE d SET DBPROPERTIES ('owner' = 'me')",
        "CREATE VIEW d.v AS SELECT 1 AS x",
    ] {
        ok(&server, sql).await;
    }
    assert_eq!(run(&server, "SHOW COLUMNS IN d.t").await, ["a", "b", "c", "day"]);
    assert_eq!(run(&server, "SHOW TBLPROPERTIES d.t ('k')").await, ["k\tw"]);
    assert_eq!(run(&server, "SHOW VIEWS IN d").await, ["v"]);
    assert_eq!(run(&server, "SHOW TABLES IN d 't*|x'").await, ["t"]);
    assert_eq!(run(&server, "DESCRIBE d.v").await, ["x\tinteger"]);
    let described = run(&server, "DESCRIBE d.t").await;
    assert_eq!(described[0], format!("{:<20}\t{:<20}\t{:<20}", "a", "int", "first"));
    assert!(described.contains(&"# Partition Information\t \t ".to_owned()));
    let create = run(&server, "SHOW CREATE TABLE d.t").await.join("\n");
    assert!(
        create.contains("`c` array<struct<x:int>>") && create.contains("'s3://athena-flight-results/u/'"),
        "{create}"
    );
    let functions = run(&server, "SHOW FUNCTIONS LIKE 'array_a*'").await;
    assert_eq!(functions, ["Function", "array_agg"]);
    ok(&server, "ALTER TABLE d.t REPLACE COLUMNS (z string)").await;
    assert_eq!(run(&server, "SHOW COLUMNS IN d.t").await, ["z", "day"]);
    for (values, reason) in [
        ("('a', DATE '2024-01-01', 1)", "Table: [varchar, date], Query: [varchar, date, integer]"),
        ("(1, DATE '2024-01-01')", "Query: [integer, date]"),
        ("('a', '2024-01-01')", "Query: [varchar, varchar]"),
    ] {
        let refused = run(&server, &format!("INSERT INTO d.t VALUES {values}")).await;
        assert!(refused[0].starts_with("TYPE_MISMATCH:") && refused[0].contains(reason), "{values}: {refused:?}");
    }
    let twice = run(&server, "ALTER TABLE d.t ADD COLUMNS (z int)").await;
    assert!(twice[0].contains("Duplicate column name: z"), "{twice:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unload_writes_files_and_a_manifest_into_an_empty_place() {
    let server = Server::demo().await;
    let bucket = "athena-flight-results";
    let sql = format!(
        "UNLOAD (SELECT l_orderkey, l_comment FROM tpch.lineitem) TO 's3://{bucket}/u/' WITH (format = 'PARQUET')"
    );
    let id = start(&server, &sql).await;
    let execution = finish(&server, &id).await;
    assert_eq!(execution.substatement_type(), Some("UNLOAD"), "{:?}", execution.status());
    let manifest = execution.statistics().and_then(|s| s.data_manifest_location()).expect("a manifest").to_owned();
    let uri = athena_flight::results::object::S3Uri::parse(&manifest).expect("a location");
    let object = server.clients.s3.get_object().bucket(uri.bucket).key(uri.key).send().await.expect("an object");
    let text = object.body.collect().await.expect("a body").into_bytes();
    let listed: Vec<String> =
        keys(&server, bucket, "u/").await.iter().map(|key| format!("s3://{bucket}/{key}")).collect();
    let mut written: Vec<String> = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
    written.sort();
    assert_eq!(written, listed);
    let results = server.clients.athena.get_query_results().query_execution_id(&id).send().await.expect("results");
    let columns = results.result_set().and_then(|set| set.result_set_metadata()).expect("metadata").column_info();
    assert_eq!((columns.len(), columns[0].name(), results.update_count()), (1, "rows", Some(6005)));
    let occupied = run(&server, &sql).await;
    assert!(occupied[0].starts_with("HIVE_PATH_ALREADY_EXISTS:"), "{occupied:?}");
    // JSON, by partition, compressed.
    let json = format!(
        "UNLOAD (SELECT n_name AS name, n_regionkey AS region FROM tpch.nation) TO 's3://{bucket}/j/' \
         WITH (format = 'JSON', compression = 'ZSTD', partitioned_by = ARRAY['region'])"
    );
    ok(&server, &json).await;
    let found = keys(&server, bucket, "j/").await;
    assert!(
        found.len() >= 5 && found.iter().all(|key| key.starts_with("j/region=") && key.ends_with(".zst")),
        "{found:?}"
    );
    for (select, reason) in [
        ("SELECT 1", "Column name not specified"),
        ("SELECT 1 AS a, 2 AS a", "specified more than once"),
        ("SELECT TIME '01:02:03' AS t", "Unsupported Hive type: time(0)"),
        ("SELECT JSON '1' AS j", "Unsupported Hive type: json"),
        ("SELECT current_timestamp AS t", "Unsupported Hive type: timestamp(3) with time zone"),
        ("SELECT INTERVAL '1' DAY AS i", "Unsupported Hive type: interval day to second"),
        ("SELECT uuid() AS u", "Unsupported Hive type: uuid"),
        ("SELECT ROW(1) AS r", "Anonymous row type"),
        ("SELECT TIMESTAMP '2020-01-01 00:00:00.123456' AS t", "Incorrect timestamp precision"),
    ] {
        let refused =
            run(&server, &format!("UNLOAD ({select}) TO 's3://{bucket}/no/' WITH (format = 'PARQUET')")).await;
        assert!(refused[0].contains(reason), "{select}: {refused:?}");
    }
    assert!(keys(&server, bucket, "no/").await.is_empty());
    let orc = run(&server, &format!("UNLOAD (SELECT 1 AS x) TO 's3://{bucket}/no/' WITH (format = 'ORC')")).await;
    assert!(orc[0].contains("writing the format ORC"), "{orc:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements_are_kept_and_executed() {
    let server = Server::demo().await;
    ok(&server, "PREPARE q FROM SELECT n_name FROM tpch.nation WHERE n_nationkey = ? OR n_name = ?").await;
    assert_eq!(run(&server, "EXECUTE q USING 3, 'KENYA'").await, ["CANADA", "KENYA"]);
    let athena = &server.clients.athena;
    let listed = athena.list_prepared_statements().work_group("primary").send().await.expect("a list");
    assert_eq!(listed.prepared_statements().len(), 1);
    let by_parameters = athena
        .start_query_execution()
        .query_string("EXECUTE q")
        .execution_parameters("1 + 2")
        .execution_parameters("nobody")
        .send()
        .await
        .expect("a start");
    let id = by_parameters.query_execution_id().expect("an id").to_owned();
    finish(&server, &id).await;
    let results = athena.get_query_results().query_execution_id(id).send().await.expect("results");
    assert_eq!(results.result_set().expect("a set").rows().len(), 2);
    ok(&server, "DEALLOCATE PREPARE q").await;
    let missing =
        athena.start_query_execution().query_string("EXECUTE q USING 1").send().await.expect_err("it is gone");
    assert!(missing.into_service_error().message().expect("a message").contains("was not found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_explained_in_every_form() {
    let server = Server::demo().await;
    let query = "SELECT n_name, count(*) FROM tpch.nation GROUP BY 1";
    for (options, expected) in [
        ("", "Fragment 0"),
        ("(TYPE LOGICAL)", "TableScan: tpch.nation"),
        ("(TYPE DISTRIBUTED, FORMAT TEXT)", "Fragment 0"),
        ("(FORMAT JSON)", "\"0\": {"),
        ("(TYPE LOGICAL, FORMAT JSON)", "\"columnNames\": \"[n_name, _col1]\""),
        ("(FORMAT GRAPHVIZ)", "digraph"),
        ("(TYPE IO, FORMAT JSON)", "\"table\": \"nation\""),
        ("(TYPE VALIDATE)", "true"),
        ("ANALYZE", "output_rows=25"),
        ("ANALYZE VERBOSE", "output_rows=25"),
    ] {
        let plan = run(&server, &format!("EXPLAIN {options} {query}")).await.join("\n");
        assert!(plan.contains(expected), "{options}: {plan}");
    }
    ok(&server, "EXPLAIN UNLOAD (SELECT 1 AS x) TO 's3://athena-flight-results/x/' WITH (format = 'JSON')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_files_are_read_as_their_serde_says() {
    let server = Server::empty().await;
    let s3 = &server.clients.s3;
    s3.create_bucket().bucket("files").send().await.expect("a bucket");
    let put = async |key: &str, body: Vec<u8>| {
        s3.put_object().bucket("files").key(key).body(body.into()).send().await.expect("an object");
    };
    let mut gzip = Vec::new();
    std::io::Write::write_all(
        &mut flate2::write::GzEncoder::new(&mut gzip, flate2::Compression::fast()),
        b"{\"ID\": 3, \"Tags\": [\"c\"], \"Nested\": {\"X\": 1}}\n",
    )
    .expect("memory");
    put("json/a.json", b"{\"id\": 1, \"tags\": [\"a\", \"b\"], \"nested\": {\"x\": null}}\n\n{\"id\": 2}\n".to_vec())
        .await;
    put("json/b.json.gz", gzip).await;
    put("csv/a.csv", b"id,text,day\n1,\"a,\"\"b\",2024-01-02\n2,,19000\n".to_vec()).await;
    put("lazy/a.txt", b"1|a:b|k=1;l=\\N|x\\|y\n2||\\N|\\N\nbad|c||z\n".to_vec()).await;
    for sql in [
        "CREATE DATABASE d",
        "CREATE EXTERNAL TABLE d.j (id int, tags array<string>, nested struct<x:int>) \
         ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' LOCATION 's3://files/json/'",
        "CREATE EXTERNAL TABLE d.c (id int, text string, day date) ROW FORMAT SERDE \
         'org.apache.hadoop.hive.serde2.OpenCSVSerde' WITH SERDEPROPERTIES ('escapeChar' = '\"') \
         LOCATION 's3://files/csv/' TBLPROPERTIES ('skip.header.line.count' = '1')",
        "CREATE EXTERNAL TABLE d.l (id int, tags array<string>, m map<string,int>, t string) ROW FORMAT DELIMITED \
         FIELDS TERMINATED BY '|' ESCAPED BY '\\\\' COLLECTION ITEMS TERMINATED BY ':' MAP KEYS TERMINATED BY '=' \
         LOCATION 's3://files/lazy/'",
    ] {
        ok(&server, sql).await;
    }
    assert_eq!(
        run(&server, "SELECT * FROM d.j ORDER BY id").await,
        ["1|[a, b]|{x=null}", "2|NULL|NULL", "3|[c]|{x=1}"]
    );
    assert_eq!(run(&server, "SELECT * FROM d.c").await, ["1|a,\"b|2024-01-02", "2||2022-01-08"]);
    assert_eq!(run(&server, "SELECT id, tags, t FROM d.l").await, ["1|[a, b]|x|y", "2|[]|NULL", "NULL|[c]|z"]);
    put("json/c.json", b"{\"id\": \"x\"}\n".to_vec()).await;
    let broken = run(&server, "SELECT sum(id) FROM d.j").await;
    assert!(broken[0].starts_with("HIVE_BAD_DATA: Error parsing field value for field id"), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unnest_samples_and_lambdas_over_columns() {
    let server = Server::demo().await;
    let data = "(VALUES (1, ARRAY[10, 20]), (2, ARRAY[]), (3, NULL)) AS t (id, a)";
    assert_eq!(
        run(&server, &format!("SELECT id, x FROM {data} CROSS JOIN UNNEST(a) AS u (x)")).await,
        ["1|10", "1|20"]
    );
    assert_eq!(
        run(&server, &format!("SELECT id, x FROM {data} LEFT JOIN UNNEST(a) AS u (x) ON true ORDER BY id, x")).await,
        ["1|10", "1|20", "2|NULL", "3|NULL"]
    );
    assert_eq!(
        run(
            &server,
            &format!("SELECT t.id, u.x, y FROM {data}, UNNEST(a, transform(a, e -> e * t.id + 1)) AS u (x, y)")
        )
        .await,
        ["1|10|11", "1|20|21"]
    );
    assert_eq!(
        run(&server, "SELECT k, v, n FROM UNNEST(MAP(ARRAY['a', 'b'], ARRAY[1, 2])) WITH ORDINALITY AS t (k, v, n)")
            .await,
        ["a|1|1", "b|2|2"]
    );
    assert_eq!(
        run(&server, "SELECT a, b FROM UNNEST(ARRAY[ROW(1, 'x'), ROW(2, 'y')]) AS t (a, b)").await,
        ["1|x", "2|y"]
    );
    let count = run(&server, "SELECT count(*) FROM tpch.lineitem TABLESAMPLE BERNOULLI (50)").await[0].clone();
    assert!((2000..4000).contains(&count.parse::<i32>().expect("a count")), "{count}");
    assert_eq!(
        run(&server, "SELECT map_agg(n_nationkey, n_name)[3], cardinality(histogram(n_regionkey)), \
                      cardinality(set_agg(n_regionkey)), array_join(slice(array_agg(n_name ORDER BY n_name), 1, 2), ','), \
                      max(n_nationkey, 2), max_by(n_name, n_nationkey), \
                      listagg(CAST(n_regionkey AS varchar), '') WITHIN GROUP (ORDER BY n_regionkey) \
                      FROM tpch.nation WHERE n_nationkey < 5").await,
        ["CANADA|3|3|ALGERIA,ARGENTINA|[4, 3]|EGYPT|01114"]
    );
    assert_eq!(
        run(&server, "SELECT n_regionkey, try(sum(n_nationkey) / (n_regionkey - 1)) FROM tpch.nation GROUP BY 1 ORDER BY 1 LIMIT 3").await,
        ["0|-50", "1|NULL", "2|68"]
    );
}
