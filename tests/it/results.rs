//! Results as clients get them: which path they take, what goes wrong on the way, what they cost in memory.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use arrow_flight::{FlightData, FlightInfo};
use athena_flight::gateway::Settings;
use athena_flight::memory::{Memory, Share};
use athena_flight::owner::Owner;
use athena_flight::results::GrantedBatch;
use athena_flight::results::object::S3Uri;
use athena_flight::results::unload::{self, prefix, sweep};
use athena_flight::types::AthenaType;
use athena_flight::types::column::Column;
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use parquet::data_type::{Int96, Int96Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use crate::server::Server;

pub const LARGE: &str =
    "SELECT a.* FROM tpch.lineitem a CROSS JOIN UNNEST(ARRAY[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) AS b(x)";

async fn info(server: &Server, sql: &str, headers: &[(&str, &str)]) -> Result<FlightInfo, String> {
    let mut client = server.client().await;
    headers.iter().for_each(|(name, value)| client.set_header(*name, *value));
    client.execute(sql.to_owned(), None).await.map_err(|error| error.to_string())
}

/// The rows behind one endpoint of a FlightInfo, and how the stream ended.
async fn rows(server: &Server, info: &FlightInfo, endpoint: usize) -> Result<Vec<RecordBatch>, String> {
    let ticket = info.endpoint[endpoint].ticket.clone().expect("a ticket");
    let rows = server.client().await.do_get(ticket).await.map_err(|error| error.to_string())?;
    let rows = tokio::time::timeout(Duration::from_secs(60), rows.try_collect()).await;
    rows.expect("the stream ends").map_err(|error: arrow_flight::error::FlightError| error.to_string())
}

fn path_of(info: &FlightInfo) -> (String, String) {
    let figures: serde_json::Value = serde_json::from_slice(&info.app_metadata).expect("JSON");
    let text = |key: &str| figures[key].as_str().expect("a text").to_owned();
    (text("result_path"), text("result_path_reason"))
}

/// Memory comes back a moment after the last batch went out.
pub async fn nothing_is_held(server: &Server) {
    for _ in 0..1000 {
        if server.gateway.memory.held().0 == 0 && server.gateway.memory.streams() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("memory is still held: {:?}", server.gateway.memory);
}

#[tokio::test]
async fn the_path_follows_from_the_query_and_is_told() {
    let server = Server::demo().await;
    for (sql, asked, path, reason) in [
        ("SELECT 1", "auto", "direct", "nothing speaks for UNLOAD"),
        ("SELECT ARRAY['a, b'] AS texts", "auto", "unload", "texts inside of column \"texts\""),
        ("SELECT ARRAY['a, b'] AS texts", "direct", "direct", "asked for"),
        ("SELECT ARRAY['a'] AS texts ORDER BY 1", "auto", "direct", "ORDER BY"),
        ("SELECT ARRAY[JSON '1'] AS json", "auto", "direct", "UNLOAD cannot carry array(json) exactly"),
        ("-- first\nSELECT 1 -- last\n ; ", "unload", "unload", "asked for"),
        ("VALUES 1, 2", "unload", "unload", "asked for"),
        ("TABLE tpch.nation", "unload", "unload", "asked for"),
        ("WITH a AS (SELECT 1 AS x) SELECT x, x FROM a", "unload", "unload", "asked for"),
        ("SHOW DATABASES", "unload", "direct", "it is no query"),
    ] {
        let info = info(&server, sql, &[("x-athena-result-path", asked)]).await;
        let info = info.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let (found, why) = path_of(&info);
        assert_eq!(found, path, "{sql}: {why}");
        assert!(why.starts_with(reason), "{sql}: {why}");
        rows(&server, &info, 0).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    let error = info(&server, "SELECT 1", &[("x-athena-result-path", "fast")]).await.expect_err("no such path");
    assert!(error.contains("auto, direct, unload"), "{error}");
    let error =
        info(&server, "SELECT nothing", &[("x-athena-result-path", "unload")]).await.expect_err("no such column");
    assert!(error.contains("line 1:8"), "{error}");
}

#[tokio::test]
async fn names_types_and_emptiness_survive_unload() {
    let server = Server::demo().await;
    let sql = "SELECT n_name AS \"same\", n_nationkey AS \"same\", 1 + 1, TIME '01:02:03.004', ARRAY[n_name] AS \"A b\" \
               FROM tpch.nation WHERE n_nationkey < 0";
    let headers = [("x-athena-result-path", "unload")];
    let empty = info(&server, sql, &headers).await.expect("a result");
    assert_eq!(path_of(&empty).0, "unload");
    let schema = empty.clone().try_decode_schema().expect("a schema");
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["same", "same", "_col2", "_col3", "A b"]);
    assert_eq!(schema.field(3).data_type(), &DataType::Time64(arrow::datatypes::TimeUnit::Microsecond));
    assert_eq!(rows(&server, &empty, 0).await.expect("no rows").len(), 0);
    let full = server.query_with(&sql.replace("< 0", "= 3"), &headers).await;
    assert_eq!(full[0].schema().fields(), schema.fields());
    assert_eq!(full[0].column(0).as_string::<i32>().value(0), "CANADA");
    assert_eq!(full[0].column(4).as_list::<i32>().value(0).as_string::<i32>().value(0), "CANADA");
}

#[tokio::test]
async fn a_query_that_gave_a_large_result_is_unloaded_the_next_time() {
    let server = Server::empty().await;
    let sql = "SELECT x, rpad('', 60000, 'text') AS t FROM UNNEST(sequence(1, 1200)) AS s(x)";
    let first = info(&server, sql, &[]).await.expect("a result");
    assert_eq!(path_of(&first).0, "direct");
    let second = info(&server, sql, &[]).await.expect("a result");
    assert_eq!(path_of(&second), ("unload".to_owned(), "it gave a large result before".to_owned()));
    assert_eq!(first.schema, second.schema);
    for result in [&first, &second] {
        let messages = messages(&server, result, "none").await;
        let largest = messages.iter().map(|message| message.data_body.len()).max().expect("a message");
        assert!(largest < 4_000_000, "a message has {largest} bytes");
        assert_eq!(decoded(messages).await.num_rows(), 1200);
    }
    nothing_is_held(&server).await;
}

#[tokio::test]
async fn several_endpoints_only_for_those_who_ask() {
    let server = Server::demo().await;
    let sql =
        "SELECT l_orderkey * 10 + l_linenumber AS k FROM tpch.lineitem UNION ALL SELECT -o_orderkey FROM tpch.orders";
    let one = info(&server, sql, &[("x-athena-result-path", "unload")]).await.expect("a result");
    assert_eq!(one.endpoint.len(), 1);
    let headers = [("x-athena-result-path", "unload"), ("x-athena-endpoints", "8")];
    let several = info(&server, sql, &headers).await.expect("a result");
    assert!(several.endpoint.len() > 1, "{} endpoints", several.endpoint.len());
    let keys = |batches: Vec<RecordBatch>| -> Vec<i64> {
        batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    };
    let mut all = Vec::new();
    for endpoint in 0..several.endpoint.len() {
        all.extend(keys(rows(&server, &several, endpoint).await.expect("rows")));
    }
    let mut expected = keys(rows(&server, &one, 0).await.expect("rows"));
    all.sort_unstable();
    expected.sort_unstable();
    assert_eq!(all, expected);
    let error = info(&server, sql, &[("x-athena-endpoints", "65")]).await.expect_err("too many");
    assert!(error.contains("1 to 64"), "{error}");
}

/// The messages of a DoGet as they come.
async fn messages(server: &Server, info: &FlightInfo, compression: &'static str) -> Vec<FlightData> {
    let mut request = tonic::Request::new(info.endpoint[0].ticket.clone().expect("a ticket"));
    request.metadata_mut().insert("x-athena-compression", compression.parse().expect("ASCII"));
    let messages = server.client().await.inner_mut().do_get(request).await.expect("rows").into_inner();
    messages.try_collect().await.expect("rows")
}

async fn decoded(messages: Vec<FlightData>) -> RecordBatch {
    let messages = futures::stream::iter(messages.into_iter().map(Ok));
    let batches = arrow_flight::decode::FlightRecordBatchStream::new_from_flight_data(messages);
    let batches: Vec<RecordBatch> = batches.try_collect().await.expect("batches");
    concat_batches(&batches[0].schema(), &batches).expect("one schema")
}

#[tokio::test]
async fn batches_are_compressed_when_asked() {
    let server = Server::demo().await;
    let result = info(&server, "SELECT * FROM tpch.lineitem", &[]).await.expect("a result");
    let mut sizes = Vec::new();
    let mut tables = Vec::new();
    for compression in ["none", "lz4", "zstd"] {
        let messages = messages(&server, &result, compression).await;
        sizes.push(messages.iter().map(|message| message.data_body.len()).sum::<usize>());
        tables.push(decoded(messages).await);
    }
    assert!(sizes[1] < sizes[0] && sizes[2] < sizes[1], "{sizes:?}");
    assert!(tables[0] == tables[1] && tables[0] == tables[2]);
    let mut request = tonic::Request::new(result.endpoint[0].ticket.clone().expect("a ticket"));
    request.metadata_mut().insert("x-athena-compression", "gzip".parse().expect("ASCII"));
    let error = server.client().await.inner_mut().do_get(request).await.expect_err("no such compression");
    assert_eq!(error.code(), tonic::Code::InvalidArgument);
}

/// What is done to the objects of a result before they are read, and what the client has to be told.
#[tokio::test]
async fn broken_transfers_end_in_clear_errors_and_give_their_memory_back() {
    let server = Server::demo().await;
    for (path, suffix) in [("direct", ".csv"), ("unload", "athena-flight-unload")] {
        for (kind, times, expected) in [
            (r#"{"truncated_body": 1000}"#, 1, ""),
            (r#"{"truncated_body": 1000}"#, 1000, "Unavailable"),
            (r#""connection_reset""#, 1000, "Unavailable"),
            (r#""missing_object""#, 1000, "NotFound"),
            (r#""expired_token""#, 1000, "PermissionDenied"),
            (r#""access_denied""#, 1000, "PermissionDenied"),
            (r#"{"server_error": 503}"#, 1000, "Unavailable"),
        ] {
            let result = info(&server, LARGE, &[("x-athena-result-path", path)]).await.expect("a result");
            server
                .behave(&format!(
                    r#"{{"faults": [{{"service": "s3", "operation": "GetObject", "contains": "{suffix}", "times": {times}, "kind": {kind}}}]}}"#
                ))
                .await;
            let read = rows(&server, &result, 0).await;
            match (expected, &read) {
                ("", Ok(batches)) => {
                    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
                    assert_eq!(rows, 60_050, "{path} {kind}");
                }
                (expected, Err(error)) if !expected.is_empty() => {
                    assert!(error.contains(expected) || error.contains(words(expected)), "{path} {kind}: {error}");
                    assert!(error.contains("query id"), "{path} {kind}: {error}");
                }
                _ => panic!("{path} {kind}: {:?}", read.map(|batches| batches.len())),
            }
            nothing_is_held(&server).await;
            server.behave("{}").await;
        }
    }
}

/// A code as a status spells it out.
fn words(code: &str) -> &str {
    match code {
        "Unavailable" => "currently unavailable",
        "NotFound" => "not found",
        "PermissionDenied" => "permission",
        other => other,
    }
}

#[tokio::test]
async fn objects_that_changed_are_never_read_as_the_old_ones() {
    let server = Server::demo().await;
    for path in ["direct", "unload"] {
        let result = info(&server, LARGE, &[("x-athena-result-path", path)]).await.expect("a result");
        let buckets = &server.clients.s3;
        let listed = buckets.list_objects_v2().bucket("athena-flight-results").send().await.expect("a list");
        let suffix = if path == "direct" { ".csv" } else { "" };
        let newest = listed.contents().iter().filter_map(|object| object.key()).filter(|key| {
            if path == "direct" {
                key.ends_with(suffix) && !key.contains("manifest")
            } else {
                key.contains("athena-flight-unload/")
            }
        });
        for key in newest {
            let garbage = b"garbage".repeat(1000);
            buckets
                .put_object()
                .bucket("athena-flight-results")
                .key(key)
                .body(garbage.into())
                .send()
                .await
                .expect("a put");
        }
        let error = rows(&server, &result, 0).await.expect_err("it is another object");
        let expected = if path == "direct" { "changed while it was read" } else { "not Parquet that can be read" };
        assert!(error.contains(expected), "{path}: {error}");
        nothing_is_held(&server).await;
    }
}

#[tokio::test]
async fn a_slow_client_costs_bounded_memory_and_others_go_on() {
    let server = Server::with_settings(Settings { memory_limit: 32 << 20, ..Settings::default() }).await;
    let result = info(&server, LARGE, &[("x-athena-result-path", "direct")]).await.expect("a result");
    let ticket = || result.endpoint[0].ticket.clone().expect("a ticket");
    // More than there is room for read one batch and no more; another one reads all of it.
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut rows = server.client().await.do_get(ticket()).await.expect("rows");
        let first = rows.try_next().await.expect("a batch").expect("a batch");
        slow.push((first.num_rows(), rows));
    }
    let all = rows(&server, &result, 0).await.expect("rows");
    assert_eq!(all.iter().map(RecordBatch::num_rows).sum::<usize>(), 60_050);
    let (_, most) = server.gateway.memory.held();
    assert!(most <= 32 << 20, "{most}");
    // Those that were paused go on where they were.
    let (first, rest) = slow.swap_remove(0);
    let rest: Vec<RecordBatch> = rest.try_collect().await.expect("rows");
    // How many rows a batch has depends on the memory there was for it.
    assert_eq!(first + rest.iter().map(RecordBatch::num_rows).sum::<usize>(), 60_050);
    drop(slow);
    nothing_is_held(&server).await;
}

async fn share(memory: &Memory) -> Share {
    memory.open(&Owner::anonymous(), unload::FLOOR).await.expect("room")
}

async fn put(server: &Server, key: &str, bytes: Vec<u8>) -> S3Uri {
    let bucket = "athena-flight-results";
    server.clients.s3.put_object().bucket(bucket).key(key).body(bytes.into()).send().await.expect("a put");
    S3Uri { bucket: bucket.to_owned(), key: key.to_owned() }
}

#[tokio::test]
async fn old_timestamps_in_int96_are_exact() {
    let server = Server::empty().await;
    let schema = parquet::schema::parser::parse_message_type("message m { optional int96 t; }").expect("a schema");
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::default()).expect("a writer");
    let mut row_group = writer.next_row_group().expect("a row group");
    let mut column = row_group.next_column().expect("a column").expect("a column");
    // Nanoseconds of the day, then the Julian day: 1970-01-01 is 2,440,588.
    let int96 = |day: u32, nanos: u64| {
        let mut value = Int96::new();
        value.set_data(nanos as u32, (nanos >> 32) as u32, day);
        value
    };
    let values = [int96(2_440_588, 1_000_000), int96(5_373_484, 86_399_999_000_000), int96(1_721_426, 0)];
    column.typed::<Int96Type>().write_batch(&values, Some(&[1, 0, 1, 1]), None).expect("values");
    column.close().expect("a column");
    row_group.close().expect("a row group");
    let uri = put(&server, "int96/a", writer.into_inner().expect("a file")).await;
    let columns = [Column::new("t", AthenaType::Timestamp(Some(3)))];
    let batches = unload::batches(vec![uri], &server.clients, &columns, share(&Memory::new(1 << 30)).await);
    let batches: Vec<RecordBatch> = batches.map_ok(|rows| rows.batch).try_collect().await.expect("rows");
    let times = batches[0].column(0).as_primitive::<TimestampMicrosecondType>();
    let times: Vec<_> = times.iter().collect();
    let text = |micros: i64| chrono::DateTime::from_timestamp_micros(micros).expect("a time").to_string();
    assert_eq!(times[0], Some(1000));
    assert_eq!(times[1], None);
    assert_eq!(times[2].map(text).as_deref(), Some("9999-12-31 23:59:59.999 UTC"));
    assert_eq!(times[3].map(text).as_deref(), Some("0001-01-01 00:00:00 UTC"));
}

/// A file of one row group that is far larger than the memory there is for it.
#[tokio::test]
async fn a_large_row_group_is_read_through_small_windows() {
    let server = Server::empty().await;
    const ROWS: i64 = 400_000;
    const LIMIT: usize = 8 << 20;
    let texts = (0..ROWS).map(|i| Some(format!("{:x}", i.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64))));
    let numbers = arrow::array::Int64Array::from_iter_values((0..ROWS).map(|i| i.wrapping_mul(i)));
    let texts: arrow::array::StringArray = texts.collect();
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("c0", Arc::new(numbers) as Arc<dyn Array>, true),
        ("c1", Arc::new(texts) as Arc<dyn Array>, true),
    ]);
    let batch = batch.expect("a batch");
    let properties = WriterProperties::builder().set_max_row_group_row_count(None).set_data_page_size_limit(64 << 10);
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build())).expect("a writer");
    writer.write(&batch).expect("rows");
    let bytes = writer.into_inner().expect("a file");
    assert!(bytes.len() > LIMIT, "{} bytes", bytes.len());
    let uri = put(&server, "large/a", bytes).await;
    let columns = [Column::new("n", AthenaType::Bigint), Column::new("t", AthenaType::Varchar(None))];
    let memory = Memory::new(LIMIT);
    let rows = unload::batches(vec![uri.clone()], &server.clients, &columns, share(&memory).await);
    let batches: Vec<RecordBatch> = rows.map_ok(|rows| rows.batch).try_collect().await.expect("rows");
    assert!(memory.held().1 <= LIMIT, "{memory:?}");
    assert_eq!(memory.held().0, 0);
    let read = concat_batches(&batches[0].schema(), &batches).expect("one schema");
    assert_eq!(read.column(0), batch.column(0));
    assert_eq!(read.column(1), batch.column(1));

    // The same by a client that stops behind each batch, while somebody else takes the memory.
    let own = share(&memory).await;
    let mut rows = std::pin::pin!(unload::batches(vec![uri], &server.clients, &columns, own.clone()));
    let mut batches = Vec::new();
    while let Some(GrantedBatch { batch, grant }) = rows.try_next().await.expect("rows") {
        batches.push(batch);
        own.client_has();
        drop((grant, share(&memory).await));
        own.client_waits();
    }
    assert!(batches.len() > 3, "{} batches", batches.len());
    assert!(concat_batches(&read.schema(), &batches).expect("one schema") == read);
}

#[tokio::test]
async fn files_that_are_not_the_results_are_refused() {
    let server = Server::empty().await;
    let one = |values: Vec<Option<&str>>| {
        let texts: arrow::array::StringArray = values.into_iter().collect();
        let batch = RecordBatch::try_from_iter_with_nullable([("c0", Arc::new(texts) as Arc<dyn Array>, true)]);
        let batch = batch.expect("a batch");
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("rows");
        writer.into_inner().expect("a file")
    };
    let good = one(vec![Some("2026-01-02"), None, Some("no day")]);
    let mut broken = good.clone();
    broken[8..40].fill(0xee);
    let time = |name: &str| Column::new(name, AthenaType::Time(Some(3)));
    for (file, columns, expected) in [
        (good.clone(), vec![Column::new("d", AthenaType::Date)], "column \"d\", row 3: \"no day\" is not a date"),
        (good.clone(), vec![time("a"), time("b")], "it has 1 columns, the result has 2"),
        (
            good.clone(),
            vec![Column::new("l", AthenaType::parse("array(date)").expect("a type"))],
            "column \"l\", row 1",
        ),
        (good[..good.len() - 5].to_vec(), vec![time("a")], "not Parquet"),
        (broken, vec![Column::new("v", AthenaType::Varchar(None))], "not Parquet"),
        (b"PAR1".to_vec(), vec![time("a")], "not Parquet"),
        (Vec::new(), vec![time("a")], "it is empty"),
    ] {
        let uri = put(&server, "files/a", file).await;
        let rows = unload::batches(vec![uri], &server.clients, &columns, share(&Memory::new(1 << 30)).await);
        let rows = rows.map_ok(|rows| rows.batch).try_collect::<Vec<_>>().await;
        let error = rows.expect_err("it is not the result").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn files_whose_time_is_over_are_removed_and_nothing_else() {
    let server = Server::demo().await;
    let info =
        info(&server, "SELECT * FROM tpch.nation", &[("x-athena-result-path", "unload")]).await.expect("a result");
    let output = "s3://athena-flight-results/";
    let foreign = "athena-flight-unload/1-abc-00000000/theirs";
    put(&server, foreign, b"theirs".to_vec()).await;
    let old = prefix::new(output, sweep::now() - 1);
    put(&server, &format!("{}a/b", old.strip_prefix("s3://athena-flight-results/").expect("ours")), b"ours".to_vec())
        .await;

    assert_eq!(sweep::sweep(&server.clients, output, sweep::now()).await, Ok(1));
    assert!(!rows(&server, &info, 0).await.expect("its time is not over").is_empty());
    let day_after = sweep::now() + 25 * 3600;
    assert!(sweep::sweep(&server.clients, output, day_after).await.expect("a sweep") > 0);
    let error = rows(&server, &info, 0).await.expect_err("its files are gone");
    assert!(error.to_lowercase().contains("not found") || error.contains("NoSuchKey"), "{error}");
    let kept = server.clients.s3.head_object().bucket("athena-flight-results").key(foreign).send().await;
    assert!(kept.is_ok(), "{kept:?}");
}

#[tokio::test]
async fn a_gateway_removes_old_files_by_itself() {
    let server = Server::with_settings(Settings { unload_ttl: Duration::from_secs(2), ..Settings::default() }).await;
    let headers = [("x-athena-result-path", "unload")];
    let info = info(&server, "SELECT * FROM tpch.nation", &headers).await.expect("a result");
    assert_eq!(path_of(&info).0, "unload");
    let listed = || async {
        let list = server.clients.s3.list_objects_v2().bucket("athena-flight-results").prefix("athena-flight-unload/");
        list.send().await.expect("a list").contents().len()
    };
    assert!(listed().await > 0);
    tokio::time::timeout(Duration::from_secs(30), async {
        while listed().await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("they are removed");
}
