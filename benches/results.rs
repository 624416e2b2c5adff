//! What a result costs on its way from Athena's bytes to Flight's, on one core. Ratios count, not times.
//!
//! `csv`: lineitem's CSV object into Arrow batches, beside `arrow-csv` on the same bytes, which neither tells NULL from ''
//! nor checks the quotes. `pages`: the same rows as GetQueryResults brings them. `values`: each type's text. `encode`: a
//! batch into Flight data and into gRPC's bytes.

use std::hint::black_box;
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::ReaderBuilder;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::encode::FlightDataEncoderBuilder;
use athena_flight::results::csv::{Cutter, Decoder};
use athena_flight::results::pages::Page;
use athena_flight::types::AthenaType;
use athena_flight::types::builder::ColumnBuilder;
use athena_flight::types::cell::Cell;
use athena_flight::types::column::{Column, schema};
use aws_sdk_athena::operation::get_query_results::GetQueryResultsOutput;
use aws_sdk_athena::types::{ColumnInfo, Datum, ResultSet, ResultSetMetadata, Row};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::{FutureExt, StreamExt, stream};
use prost::Message;
use tpchgen::generators::LineItemGenerator;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Scale factor: about 60,000 rows.
const SCALE: f64 = 0.01;
/// Bytes handed to the decoder at a time, as ranged GETs bring them.
const CHUNK_BYTES: usize = 4 << 20;
/// Rows of a page of GetQueryResults.
const PAGE_ROWS: usize = 1000;

/// lineitem's columns, as Athena describes them.
const LINEITEM: [(&str, &str); 16] = [
    ("l_orderkey", "bigint"),
    ("l_partkey", "bigint"),
    ("l_suppkey", "bigint"),
    ("l_linenumber", "integer"),
    ("l_quantity", "decimal(15,2)"),
    ("l_extendedprice", "decimal(15,2)"),
    ("l_discount", "decimal(15,2)"),
    ("l_tax", "decimal(15,2)"),
    ("l_returnflag", "varchar"),
    ("l_linestatus", "varchar"),
    ("l_shipdate", "date"),
    ("l_commitdate", "date"),
    ("l_receiptdate", "date"),
    ("l_shipinstruct", "varchar"),
    ("l_shipmode", "varchar"),
    ("l_comment", "varchar"),
];

fn columns() -> Arc<[Column]> {
    LINEITEM.iter().map(|(name, t)| Column::new(*name, AthenaType::parse(t).expect("a type"))).collect()
}

/// lineitem's rows as texts.
fn rows() -> Vec<Vec<String>> {
    let rows = LineItemGenerator::new(SCALE, 1, 1).iter();
    let texts = rows.map(|row| row.to_string().trim_end_matches('|').split('|').map(str::to_owned).collect());
    let mut texts: Vec<Vec<String>> = texts.collect();
    // dbgen leaves the places of whole quantities out, Athena does not.
    texts.iter_mut().for_each(|row| row[4].push_str(".00"));
    texts
}

/// Rows as Athena writes them to its CSV object.
fn object(rows: &[Vec<String>]) -> Bytes {
    let line = |fields: &mut dyn Iterator<Item = &str>| {
        fields.map(|field| format!("\"{field}\"")).collect::<Vec<_>>().join(",") + "\n"
    };
    let mut text = line(&mut LINEITEM.iter().map(|(name, _)| *name));
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text.into()
}

fn decode(columns: &Arc<[Column]>, object: &Bytes) -> Vec<RecordBatch> {
    let mut cutter = Cutter::default();
    let mut batches = Vec::new();
    for start in (0..object.len()).step_by(CHUNK_BYTES) {
        let chunk = object.slice(start..(start + CHUNK_BYTES).min(object.len()));
        let Some(piece) = cutter.cut(chunk).expect("Athena's CSV") else { continue };
        let mut decoder = Decoder::new(columns, piece);
        while let Some(batch) = decoder.next_batch().expect("Athena's CSV") {
            batches.push(batch);
        }
    }
    batches
}

fn csv(criterion: &mut Criterion) {
    let (columns, rows) = (columns(), rows());
    let object = object(&rows);
    let mut group = criterion.benchmark_group("csv");
    group.throughput(Throughput::Bytes(object.len() as u64)).sample_size(20);
    let count =
        |batches: &[RecordBatch]| assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), rows.len());
    group.bench_function("athena-flight", |bencher| bencher.iter(|| count(&black_box(decode(&columns, &object)))));
    let schema = schema(&columns);
    group.bench_function("arrow-csv", |bencher| {
        bencher.iter(|| {
            let reader = ReaderBuilder::new(Arc::clone(&schema)).with_header(true).with_batch_size(8192);
            let reader = reader.build(Cursor::new(&object)).expect("a reader");
            count(&black_box(reader.collect::<Result<Vec<_>, _>>().expect("rows")));
        });
    });
    group.finish();
}

fn pages(criterion: &mut Criterion) {
    let (columns, rows) = (columns(), rows());
    let row = |row: &Vec<String>| {
        let data = row.iter().map(|text| Datum::builder().var_char_value(text).build()).collect();
        Row::builder().set_data(Some(data)).build()
    };
    let infos = LINEITEM.iter().map(|(name, t)| {
        let info = ColumnInfo::builder().name(*name).r#type(*t).precision(15).scale(2);
        info.build().expect("a name and a type")
    });
    let metadata = ResultSetMetadata::builder().set_column_info(Some(infos.collect())).build();
    let rows = rows[..PAGE_ROWS].iter().map(row).collect();
    let set = ResultSet::builder().set_rows(Some(rows)).result_set_metadata(metadata).build();
    let page = GetQueryResultsOutput::builder().result_set(set).build();
    let mut group = criterion.benchmark_group("pages");
    group.throughput(Throughput::Elements(PAGE_ROWS as u64));
    group.bench_function("lineitem", |bencher| {
        bencher.iter_batched(
            || Page::from(page.clone()),
            |page| black_box(page.next(&columns).expect("rows")),
            criterion::BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn values(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("values");
    const COUNT: usize = 10_000;
    group.throughput(Throughput::Elements(COUNT as u64));
    for (data_type, text) in [
        ("boolean", "true"),
        ("integer", "-123456"),
        ("bigint", "9223372036854775807"),
        ("double", "3.141592653589793"),
        ("decimal(15,2)", "12345.67"),
        ("decimal(38,10)", "1234567890123456789012345678.1234567890"),
        ("varchar", "carefully final deposits"),
        ("varbinary", "01 ff 7f"),
        ("date", "1995-03-15"),
        ("time(6)", "12:34:56.789012"),
        ("timestamp(3)", "1995-03-15 12:34:56.789"),
        ("timestamp(3) with time zone", "1995-03-15 12:34:56.789 UTC"),
        ("timestamp(3) with time zone", "1995-03-15 12:34:56.789 Europe/Berlin"),
        ("array(integer)", "[1, 2, 3]"),
        ("row(a integer, b date)", "{a=1, b=1995-03-15}"),
    ] {
        let parsed = AthenaType::parse(data_type).expect("a type");
        group.bench_function(BenchmarkId::new(data_type, text), |bencher| {
            let mut builder = ColumnBuilder::new(&parsed);
            bencher.iter(|| {
                let texts = std::iter::repeat_n(Some(Cell::alone(text.as_bytes())), COUNT);
                builder.append_all(texts).expect("values");
                black_box(builder.finish().expect("UTF-8"))
            });
        });
    }
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let columns = columns();
    let batch = decode(&columns, &object(&rows())).swap_remove(0);
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Bytes(batch.get_array_memory_size() as u64));
    for (name, compression) in
        [("none", None), ("lz4", Some(CompressionType::LZ4_FRAME)), ("zstd", Some(CompressionType::ZSTD))]
    {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let options = IpcWriteOptions::default().try_with_compression(compression).expect("built in");
                let encoder = FlightDataEncoderBuilder::new().with_options(options);
                let encoder = encoder.with_max_flight_data_size(usize::MAX);
                let messages = encoder.build(stream::iter([Ok(batch.clone())])).collect::<Vec<_>>();
                let messages = messages.now_or_never().expect("nothing to wait for");
                for message in messages {
                    black_box(message.expect("Flight data").encode_to_vec());
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, csv, pages, values, encode);
criterion_main!(benches);
