//! Data files: Parquet, JSON lines and delimited text, compressed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StructArray};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;

use super::storage;
use crate::emulator::engine::table::Format;
use crate::emulator::engine::{functions, text, types, unwritable};
use crate::emulator::model::{Column, Failure, Parameters, Storage, Table};
use crate::emulator::sql::write::WriteOptions;
use crate::types::{AthenaType, RowField};

/// Rows of a Parquet row group: what a writer holds in memory.
const ROW_GROUP_ROWS: usize = 128 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Snappy,
    Zstd,
    Lz4,
}

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Parquet,
    Json,
    Text { delimiter: String, null: String },
}

/// How files are written.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    shape: Shape,
    compression: Compression,
}

impl Layout {
    /// What WITH (…) asks for. Parquet, and gzip, unless said otherwise (athena-behaviour, section 5).
    pub fn of(options: &WriteOptions) -> Result<Self, Failure> {
        let shape = match options.format.as_deref().unwrap_or("PARQUET") {
            "PARQUET" => Shape::Parquet,
            "JSON" => Shape::Json,
            "TEXTFILE" => Shape::Text {
                delimiter: options.field_delimiter.clone().unwrap_or_else(|| "\u{1}".to_owned()),
                null: "\\N".to_owned(),
            },
            other => return Err(Failure::not_supported(None, format!("writing the format {other}"))),
        };
        let compression = compression(options.compression.as_deref().unwrap_or("GZIP"))?;
        let fits = match shape {
            Shape::Parquet => true,
            _ => matches!(compression, Compression::None | Compression::Gzip | Compression::Zstd),
        };
        if !fits {
            return Err(Failure::not_supported(None, format!("{compression:?} compression of this format")));
        }
        Ok(Self { shape, compression })
    }

    /// As the files of a table are that is written to.
    pub fn of_table(table: &Table, table_storage: &Storage) -> Result<Self, Failure> {
        let property = |names: [&str; 2]| names.iter().find_map(|name| table.parameters.get(*name));
        let shape = match Format::of(table, table_storage)? {
            Format::Parquet => Shape::Parquet,
            Format::Json => Shape::Json,
            Format::Delimited(delimited) => {
                Shape::Text { delimiter: delimited.field.to_string(), null: delimited.null.clone() }
            }
            Format::OpenCsv(_) => {
                return Err(Failure::not_supported(
                    None,
                    "writing into a table with the OpenCSVSerde, as Athena does not",
                ));
            }
        };
        let named = property(["parquet.compression", "write.compression"]);
        let default = if shape == Shape::Parquet { "GZIP" } else { "NONE" };
        Ok(Self { shape, compression: compression(named.map_or(default, String::as_str))? })
    }

    /// How the names of files end.
    pub fn ending(&self) -> &'static str {
        match (&self.shape, self.compression) {
            (Shape::Parquet, _) | (_, Compression::None) => "",
            (_, Compression::Zstd) => ".zst",
            _ => ".gz",
        }
    }

    /// Refuses what Hive's files cannot hold (athena-behaviour, section 5).
    pub fn writable(&self, name: &str, data_type: &AthenaType) -> Result<(), Failure> {
        use AthenaType::*;
        match data_type {
            Boolean
            | Tinyint
            | Smallint
            | Integer
            | Bigint
            | Real
            | Double
            | Decimal { .. }
            | Varchar(_)
            | Char(_)
            | Varbinary
            | Date => Ok(()),
            Timestamp(p) if p.unwrap_or(3) <= 3 => Ok(()),
            Timestamp(_) => Err(Failure::unsupported(format!(
                "Incorrect timestamp precision for {data_type}; the configured precision is MILLISECONDS; column name: {name}"
            ))),
            Array(Some(_)) | Map(Some(_)) | Row(Some(_)) if matches!(self.shape, Shape::Text { .. }) => {
                Err(Failure::not_supported(None, format!("nested types in text files; column name: {name}")))
            }
            Array(Some(element)) => self.writable(name, element),
            Map(Some(entry)) => self.writable(name, &entry.0).and_then(|()| self.writable(name, &entry.1)),
            Row(Some(fields)) => fields.iter().try_for_each(|field| match field.name {
                Some(_) => self.writable(name, &field.data_type),
                None => Err(Failure::unsupported(format!(
                    "Anonymous row type is not supported in Hive. Please give each field a name: {data_type}"
                ))),
            }),
            other => Err(Failure::unsupported(format!("Unsupported Hive type: {other}"))),
        }
    }

    /// The type a column has in the table: Hive's timestamps have milliseconds.
    pub fn stored(&self, data_type: &AthenaType) -> AthenaType {
        match data_type {
            AthenaType::Timestamp(_) => AthenaType::Timestamp(Some(3)),
            AthenaType::Array(Some(element)) => AthenaType::Array(Some(Box::new(self.stored(element)))),
            AthenaType::Map(Some(entry)) => {
                AthenaType::Map(Some(Box::new((self.stored(&entry.0), self.stored(&entry.1)))))
            }
            AthenaType::Row(Some(fields)) => AthenaType::Row(Some(
                fields
                    .iter()
                    .map(|field| RowField { name: field.name.clone(), data_type: self.stored(&field.data_type) })
                    .collect(),
            )),
            other => other.clone(),
        }
    }

    /// How the catalog describes a table of such files.
    pub fn storage(&self, columns: Vec<Column>, location: &str) -> Storage {
        let mut serde = Parameters::new();
        let classes = match &self.shape {
            Shape::Parquet => super::super::ddl::PARQUET,
            Shape::Json => super::super::ddl::JSON,
            Shape::Text { delimiter, .. } => {
                serde.insert("field.delim".to_owned(), delimiter.clone());
                super::super::ddl::TEXT
            }
        };
        storage(columns, location, classes, serde)
    }

    pub fn parameters(&self) -> Parameters {
        let mut parameters = Parameters::from([("EXTERNAL".to_owned(), "TRUE".to_owned())]);
        parameters.insert("has_encrypted_data".to_owned(), "false".to_owned());
        let key = if self.shape == Shape::Parquet { "parquet.compression" } else { "write.compression" };
        parameters.insert(key.to_owned(), format!("{:?}", self.compression).to_uppercase());
        parameters
    }
}

fn compression(name: &str) -> Result<Compression, Failure> {
    match name.to_uppercase().as_str() {
        "NONE" | "UNCOMPRESSED" => Ok(Compression::None),
        "GZIP" => Ok(Compression::Gzip),
        "SNAPPY" => Ok(Compression::Snappy),
        "ZSTD" => Ok(Compression::Zstd),
        "LZ4" => Ok(Compression::Lz4),
        other => Err(Failure::not_supported(None, format!("{other} compression"))),
    }
}

enum Sink {
    Parquet(Box<ArrowWriter<File>>),
    Plain(BufWriter<File>),
    Gzip(flate2::write::GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

/// A data file that is being written.
pub struct FileWriter {
    sink: Sink,
    layout: Layout,
    columns: Vec<(String, AthenaType)>,
    schema: SchemaRef,
}

impl FileWriter {
    pub fn create(path: &Path, layout: Layout, columns: &[(String, AthenaType)]) -> Result<Self, Failure> {
        let fields = columns.iter().map(|(name, t)| Ok(Field::new(name, types::arrow(t)?, true)));
        let schema = Arc::new(Schema::new(fields.collect::<Result<Vec<_>, Failure>>()?));
        let file = File::create(path).map_err(unwritable)?;
        let sink = match (&layout.shape, layout.compression) {
            (Shape::Parquet, compression) => {
                let codec = match compression {
                    Compression::None => Codec::UNCOMPRESSED,
                    Compression::Gzip => Codec::GZIP(GzipLevel::default()),
                    Compression::Snappy => Codec::SNAPPY,
                    Compression::Zstd => Codec::ZSTD(ZstdLevel::default()),
                    Compression::Lz4 => Codec::LZ4,
                };
                let properties = WriterProperties::builder()
                    .set_compression(codec)
                    .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
                    .build();
                let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).map_err(parquet)?;
                Sink::Parquet(Box::new(writer))
            }
            (_, Compression::Gzip) => {
                Sink::Gzip(flate2::write::GzEncoder::new(BufWriter::new(file), flate2::Compression::fast()))
            }
            (_, Compression::Zstd) => Sink::Zstd(zstd::Encoder::new(BufWriter::new(file), 0).map_err(unwritable)?),
            _ => Sink::Plain(BufWriter::new(file)),
        };
        Ok(Self { sink, layout, columns: columns.to_vec(), schema })
    }

    pub fn write(&mut self, columns: Vec<ArrayRef>) -> Result<(), Failure> {
        let text = match &self.layout.shape {
            Shape::Parquet => {
                let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
                let batch = batch.map_err(|error| Failure::internal(error.to_string()))?;
                if let Sink::Parquet(writer) = &mut self.sink {
                    writer.write(&batch).map_err(parquet)?;
                }
                return Ok(());
            }
            Shape::Json => self.json_lines(columns)?,
            Shape::Text { delimiter, null } => self.delimited(&columns, delimiter, null)?,
        };
        match &mut self.sink {
            Sink::Plain(file) => file.write_all(text.as_bytes()),
            Sink::Gzip(file) => file.write_all(text.as_bytes()),
            Sink::Zstd(file) => file.write_all(text.as_bytes()),
            Sink::Parquet(_) => Ok(()),
        }
        .map_err(unwritable)
    }

    fn json_lines(&self, columns: Vec<ArrayRef>) -> Result<String, Failure> {
        let fields = self.columns.iter().map(|(name, t)| RowField { name: Some(name.clone()), data_type: t.clone() });
        let row = AthenaType::Row(Some(fields.collect()));
        let rows = StructArray::try_new(self.schema.fields().clone(), columns, None);
        let rows: ArrayRef = Arc::new(rows.map_err(|error| Failure::internal(error.to_string()))?);
        let lines = functions::to_json(&rows, &row)?;
        let lines = datafusion::common::cast::as_string_array(&lines).map_err(|e| Failure::internal(e.to_string()))?;
        Ok(lines.iter().flatten().flat_map(|line| [line, "\n"]).collect())
    }

    fn delimited(&self, columns: &[ArrayRef], delimiter: &str, null: &str) -> Result<String, Failure> {
        let mut out = String::new();
        for row in 0..columns.first().map_or(0, |column| column.len()) {
            for (i, (column, (_, data_type))) in columns.iter().zip(&self.columns).enumerate() {
                if i > 0 {
                    out.push_str(delimiter);
                }
                if !text::append(&mut out, column, row, data_type)? {
                    out.push_str(null);
                }
            }
            out.push('\n');
        }
        Ok(out)
    }

    pub fn finish(self) -> Result<(), Failure> {
        match self.sink {
            Sink::Parquet(writer) => writer.close().map(|_| ()).map_err(parquet),
            Sink::Plain(mut file) => file.flush().map_err(unwritable),
            Sink::Gzip(file) => file.finish().and_then(|mut file| file.flush()).map_err(unwritable),
            Sink::Zstd(file) => file.finish().and_then(|mut file| file.flush()).map_err(unwritable),
        }
    }
}

fn parquet(error: datafusion::parquet::errors::ParquetError) -> Failure {
    Failure::internal(format!("a Parquet file cannot be written: {error}"))
}
