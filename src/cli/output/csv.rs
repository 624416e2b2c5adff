//! CSV as Athena writes its results, so far as a reader can tell: NULL is an unquoted empty field, the empty text is `""`.
//!
//! Written here because neither arrow-csv nor the csv crate has a way to quote one empty field and not another.

use std::io::Write;

use arrow::array::{Array, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::NullableEncoder;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::json;

pub struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    pub fn new(schema: &SchemaRef, mut out: W) -> anyhow::Result<Self> {
        let mut line = String::new();
        for (i, field) in schema.fields().iter().enumerate() {
            separate(i, &mut line);
            push(field.name(), &mut line);
        }
        line.push('\n');
        out.write_all(line.as_bytes())?;
        Ok(Self { out })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns()).map(|(field, array)| Column::new(field, array));
        let mut columns = columns.collect::<Result<Vec<_>, _>>()?;
        let mut line = String::new();
        for row in 0..batch.num_rows() {
            line.clear();
            for (i, column) in columns.iter_mut().enumerate() {
                separate(i, &mut line);
                if let Some(text) = column.text(row)? {
                    push(&text, &mut line);
                }
            }
            line.push('\n');
            self.out.write_all(line.as_bytes())?;
        }
        Ok(())
    }

    pub fn into_inner(self) -> W {
        self.out
    }
}

/// A column of a batch.
struct Column<'a> {
    array: &'a dyn Array,
    nulls: Option<NullBuffer>,
    values: Values<'a>,
}

enum Values<'a> {
    Plain(ArrayFormatter<'a>),
    Nested(NullableEncoder<'a>),
}

impl<'a> Column<'a> {
    fn new(field: &'a FieldRef, array: &'a dyn Array) -> Result<Self, ArrowError> {
        let values = if array.data_type().is_nested() {
            Values::Nested(json::encoder(field, array)?)
        } else {
            Values::Plain(ArrayFormatter::try_new(array, &FormatOptions::default())?)
        };
        Ok(Self { array, nulls: array.logical_nulls(), values })
    }

    /// The text of a row's value, `None` for NULL.
    fn text(&mut self, row: usize) -> anyhow::Result<Option<String>> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(None);
        }
        if let Some(name) = json::float(self.array, row).and_then(json::not_finite) {
            return Ok(Some(name.to_owned()));
        }
        Ok(Some(match &mut self.values {
            Values::Plain(formatter) => formatter.value(row).try_to_string()?,
            Values::Nested(encoder) => {
                let mut text = Vec::new();
                encoder.encode(row, &mut text);
                String::from_utf8(text)?
            }
        }))
    }
}

fn separate(column: usize, line: &mut String) {
    if column > 0 {
        line.push(',');
    }
}

/// A field, in quotes where it would be read as something else without.
fn push(text: &str, line: &mut String) {
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        line.push('"');
        line.push_str(&text.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(text);
    }
}
