//! Rows as `athena-flight query` prints them. NULL and the empty text are told apart in every format.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`csv`] | RFC 4180 as Athena writes it |
//! | [`json`] | JSON of any value |

mod csv;
mod json;

use std::io::Write;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::LineDelimited;
use arrow::json::{LineDelimitedWriter, WriterBuilder};
use arrow::util::display::FormatOptions;
use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns in a frame; NULL is written NULL
    Table,
    /// RFC 4180, with a header; NULL is empty and the empty text is "", nested values are JSON
    Csv,
    /// One JSON object a line, with every column; numbers that JSON has not are "NaN", "Infinity" and "-Infinity"
    Json,
    /// An Arrow IPC stream
    Arrow,
}

/// Rows of the table format: a frame needs to know all its rows before the first is printed.
const MAX_TABLE_ROWS: usize = 10_000;

/// Where rows go. Making one may write the beginning of the output, so it is made when the first rows are there.
pub enum Output<W: Write> {
    Table { schema: SchemaRef, batches: Vec<RecordBatch>, rows: usize, out: W },
    Csv(csv::Writer<W>),
    Json { schema: SchemaRef, writer: Box<LineDelimitedWriter<W>> },
    Arrow(Box<StreamWriter<W>>),
}

/// Fails where rows of a schema cannot be written, before any is read.
pub fn check(format: Format, schema: &SchemaRef) -> anyhow::Result<()> {
    let columns = schema.fields().iter().map(|field| new_null_array(field.data_type(), 1)).collect();
    let nullable = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let nullable = Arc::new(Schema::new(nullable.collect::<Vec<Field>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&nullable), columns, &options)?;
    let mut output = Output::new(format, &nullable, std::io::sink())?;
    output.write(&batch)?;
    output.finish().map(drop)
}

impl<W: Write> Output<W> {
    pub fn new(format: Format, schema: &SchemaRef, out: W) -> anyhow::Result<Self> {
        Ok(match format {
            Format::Table => Self::Table { schema: schema.clone(), batches: Vec::new(), rows: 0, out },
            Format::Csv => Self::Csv(csv::Writer::new(schema, out)?),
            Format::Json => {
                let builder = WriterBuilder::new().with_explicit_nulls(true).with_encoder_factory(json::factory());
                let writer = Box::new(builder.build::<_, LineDelimited>(out));
                Self::Json { schema: with_names_apart(schema), writer }
            }
            Format::Arrow => Self::Arrow(Box::new(StreamWriter::try_new(out, schema)?)),
        })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        match self {
            Self::Table { batches, rows, .. } => {
                let left = MAX_TABLE_ROWS.saturating_sub(*rows);
                *rows += batch.num_rows();
                if left > 0 {
                    batches.push(batch.slice(0, left.min(batch.num_rows())));
                }
            }
            Self::Csv(writer) => writer.write(batch)?,
            Self::Json { schema, writer } => {
                let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                let columns = batch.columns().to_vec();
                writer.write(&RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)?;
            }
            Self::Arrow(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    /// Writes what is left, and gives back where it went.
    pub fn finish(self) -> anyhow::Result<W> {
        let mut out = match self {
            Self::Table { schema, batches, rows, mut out } => {
                if schema.fields().is_empty() {
                    return Ok(out);
                }
                let batches = if batches.is_empty() { vec![RecordBatch::new_empty(schema)] } else { batches };
                let options = FormatOptions::default().with_null("NULL");
                let frame = arrow::util::pretty::pretty_format_batches_with_options(&batches, &options)?;
                writeln!(out, "{frame}")?;
                if rows > MAX_TABLE_ROWS {
                    eprintln!("the first {MAX_TABLE_ROWS} of {rows} rows; --format csv, json or arrow prints all");
                }
                out
            }
            Self::Csv(writer) => writer.into_inner(),
            Self::Json { mut writer, .. } => {
                writer.finish()?;
                writer.into_inner()
            }
            Self::Arrow(writer) => {
                let mut writer = *writer;
                writer.finish()?;
                writer.into_inner()?
            }
        };
        out.flush()?;
        Ok(out)
    }
}

/// The same columns with a name of its own for each: of two members of an object with one name, readers keep the last.
fn with_names_apart(schema: &SchemaRef) -> SchemaRef {
    let mut taken = std::collections::HashSet::new();
    let mut apart = |field: &Arc<Field>| {
        let mut name = field.name().clone();
        let mut count = 1;
        while !taken.insert(name.clone()) {
            count += 1;
            name = format!("{}_{count}", field.name());
        }
        field.as_ref().clone().with_name(name)
    };
    Arc::new(Schema::new(schema.fields().iter().map(&mut apart).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use arrow::array::*;
    use arrow::datatypes::Int32Type;
    use serde_json::json;

    use super::*;

    fn printed(format: Format, batch: &RecordBatch) -> String {
        check(format, &batch.schema()).expect("it can be printed");
        let mut output = Output::new(format, &batch.schema(), Vec::new()).expect("an output");
        output.write(batch).expect("rows");
        String::from_utf8(output.finish().expect("all of it")).expect("UTF-8")
    }

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        let fields: Vec<Field> =
            columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
        let columns = columns.into_iter().map(|(_, array)| array).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch")
    }

    fn nested() -> RecordBatch {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
        let mut map = MapBuilder::new(None, Int32Builder::new(), Float64Builder::new());
        map.keys().append_value(7);
        map.values().append_value(f64::NAN);
        map.append(true).expect("an entry");
        map.append(false).expect("a NULL");
        let fields = vec![Field::new("x", arrow::datatypes::DataType::Utf8, true)];
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a\"b"), None]));
        let row = StructArray::new(fields.into(), vec![texts], None);
        batch(vec![("list", Arc::new(list)), ("map", Arc::new(map.finish())), ("row", Arc::new(row))])
    }

    #[test]
    fn null_is_not_the_empty_text() {
        let texts = batch(vec![
            ("a", Arc::new(StringArray::from(vec![None, Some(""), Some("x,\"y\"\n")]))),
            ("b", Arc::new(Int32Array::from(vec![None, Some(0), Some(1)]))),
        ]);
        assert_eq!(printed(Format::Csv, &texts), "a,b\n,\n\"\",0\n\"x,\"\"y\"\"\n\",1\n");
        let lines = "{\"a\":null,\"b\":null}\n{\"a\":\"\",\"b\":0}\n{\"a\":\"x,\\\"y\\\"\\n\",\"b\":1}\n";
        assert_eq!(printed(Format::Json, &texts), lines);
        let frame = printed(Format::Table, &texts.slice(0, 2));
        assert!(frame.contains("| NULL | NULL |") && frame.contains("|      | 0    |"), "{frame}");
    }

    #[test]
    fn numbers_that_json_has_not_are_texts() {
        let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5];
        let singles = values.map(|value| value as f32);
        let floats = batch(vec![
            ("d", Arc::new(Float64Array::from(values.to_vec()))),
            ("f", Arc::new(Float32Array::from(singles.to_vec()))),
        ]);
        let rows: Vec<serde_json::Value> =
            printed(Format::Json, &floats).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let both = |value: serde_json::Value| json!({"d": value, "f": value});
        assert_eq!(rows, [both(json!("NaN")), both(json!("Infinity")), both(json!("-Infinity")), both(json!(1.5))]);
        assert_eq!(printed(Format::Csv, &floats), "d,f\nNaN,NaN\nInfinity,Infinity\n-Infinity,-Infinity\n1.5,1.5\n");
    }

    #[test]
    fn nested_values_are_json_text_in_csv() {
        let text = "list,map,row\n\"[1,null]\",\"{\"\"7\"\":\"\"NaN\"\"}\",\"{\"\"x\"\":\"\"a\\\"\"b\"\"}\"\n,,\"{\"\"x\"\":null}\"\n";
        assert_eq!(printed(Format::Csv, &nested()), text);
        let lines = printed(Format::Json, &nested());
        let rows: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(rows[0], json!({"list": [1, null], "map": {"7": "NaN"}, "row": {"x": "a\"b"}}));
        assert_eq!(rows[1], json!({"list": null, "map": null, "row": {"x": null}}));
    }

    #[test]
    fn values_of_other_types_are_readable() {
        let decimals = Decimal128Array::from(vec![150]).with_precision_and_scale(38, 2).expect("a decimal type");
        let values = batch(vec![
            ("n", Arc::new(decimals)),
            ("b", Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]))),
            ("t", Arc::new(TimestampMicrosecondArray::from(vec![1]))),
            ("n", Arc::new(DurationMillisecondArray::from(vec![1500]))),
        ]);
        assert_eq!(
            printed(Format::Json, &values),
            "{\"n\":1.50,\"b\":\"00ff\",\"t\":\"1970-01-01T00:00:00.000001\",\"n_2\":\"PT1.5S\"}\n"
        );
        assert_eq!(printed(Format::Csv, &values), "n,b,t,n\n1.50,00ff,1970-01-01T00:00:00.000001,PT1.5S\n");
    }

    #[test]
    fn an_empty_result_has_its_columns() {
        let empty = nested().slice(0, 0);
        assert_eq!(printed(Format::Csv, &empty), "list,map,row\n");
        assert_eq!(printed(Format::Json, &empty), "");
        assert!(printed(Format::Table, &empty).contains("| list | map | row |"));
        let nothing = RecordBatch::new_empty(Arc::new(Schema::empty()));
        assert_eq!(printed(Format::Table, &nothing), "");
    }
}
