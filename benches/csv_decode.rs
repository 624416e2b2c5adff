//! Decoding a result object into Arrow batches, beside `arrow-csv` on the same bytes.
//!
//! The ratio is what counts; arrow-csv neither tells NULL from '' nor checks the quotes.

use std::hint::black_box;
use std::io::Cursor;
use std::sync::Arc;

use arrow::csv::ReaderBuilder;
use athena_flight::results::{Column, csv::Decoder, schema};
use athena_flight::types::AthenaType;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ROWS: usize = 50_000;
/// Bytes handed to the decoder at a time, as ranged GETs bring them.
const CHUNK_BYTES: usize = 4 << 20;

/// A few columns of lineitem, as Athena writes them.
fn object() -> (Vec<Column>, Vec<u8>) {
    let types = ["bigint", "integer", "decimal(15,2)", "double", "varchar", "date", "timestamp", "boolean"];
    let columns: Vec<Column> = types
        .iter()
        .enumerate()
        .map(|(i, name)| Column { name: format!("c{i}"), data_type: AthenaType::parse(name).expect("a type") })
        .collect();
    let mut text = columns.iter().map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(",") + "\n";
    for row in 0..ROWS {
        text.push_str(&format!(
            "\"{row}\",\"{}\",\"{}.{:02}\",\"{}.5\",\"carefully final deposits {row}\",\"1995-{:02}-{:02}\",\
             \"1995-03-15 {:02}:00:00.000\",\"{}\"\n",
            row % 7,
            row % 100_000,
            row % 100,
            row % 1000,
            row % 12 + 1,
            row % 28 + 1,
            row % 24,
            row % 2 == 0,
        ));
    }
    (columns, text.into_bytes())
}

fn decode(criterion: &mut Criterion) {
    let (columns, bytes) = object();
    let mut group = criterion.benchmark_group("csv_decode");
    group.throughput(Throughput::Bytes(bytes.len() as u64)).sample_size(20);
    group.bench_function("athena-flight", |bencher| {
        bencher.iter(|| {
            let mut decoder = Decoder::new(&columns);
            let mut rows = 0;
            for chunk in bytes.chunks(CHUNK_BYTES) {
                let count = |batch: arrow::array::RecordBatch| {
                    rows += batch.num_rows();
                    true
                };
                decoder.push(chunk, count).expect("Athena's CSV");
            }
            rows += decoder.finish().expect("whole").map_or(0, |batch| batch.num_rows());
            assert_eq!(black_box(rows), ROWS);
        });
    });
    let schema = schema(&columns);
    group.bench_function("arrow-csv", |bencher| {
        bencher.iter(|| {
            let reader = ReaderBuilder::new(Arc::clone(&schema)).with_header(true).with_batch_size(8192);
            let reader = reader.build(Cursor::new(&bytes)).expect("a reader");
            let rows: usize = reader.map(|batch| batch.expect("rows").num_rows()).sum();
            assert_eq!(black_box(rows), ROWS);
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
