//! Files of text rows: JSON lines, OpenCSV, and LazySimple's delimited lines; plain, gzip, zstd or Hadoop's snappy.
//!
//! One pass over each file, a batch of rows at a time: memory does not grow with the file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use serde_json::Value;

use super::{Delimited, Format, OpenCsv};
use crate::emulator::engine::cast::{self, external};
use crate::emulator::engine::functions;
use crate::emulator::model::Failure;
use crate::types::AthenaType;

const BATCH_ROWS: usize = 8192;
/// A line longer than this is taken for a file that is no text.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// A file, and the values of the columns that are not in it.
#[derive(Debug, Clone)]
pub struct RowFile {
    pub path: PathBuf,
    pub constants: Vec<ScalarValue>,
}

/// Some of a table's files, read one after the other.
#[derive(Debug)]
pub struct RowFiles {
    pub table: String,
    pub format: Format,
    pub files: Vec<RowFile>,
    /// The columns of the files, all of them: text rows know columns by their place.
    pub columns: Vec<(String, AthenaType)>,
    /// What is wanted: places among the columns, then among the constants.
    pub projection: Vec<usize>,
    pub schema: SchemaRef,
    pub skipped_lines: usize,
    pub scanned: Arc<AtomicU64>,
}

/// A shared handle: the plan may run a part more than once.
#[derive(Debug, Clone)]
pub struct RowStream(pub Arc<RowFiles>);

impl PartitionStream for RowStream {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&self.0.schema), 2);
        let (sender, files) = (builder.tx(), Arc::clone(&self.0));
        builder.spawn_blocking(move || {
            for file in &files.files {
                let mut give = |batch| sender.blocking_send(Ok(batch)).is_ok();
                if let Err(failure) = files.read(file, &mut give) {
                    return Err(external(failure));
                }
            }
            Ok(())
        });
        builder.build()
    }
}

impl RowFiles {
    /// Reads one file; stops early when nobody wants more.
    fn read(&self, file: &RowFile, give: &mut impl FnMut(RecordBatch) -> bool) -> Result<(), Failure> {
        let unreadable =
            |error: io::Error| Failure::bad_data(format!("{} of table {}: {error}", file.path.display(), self.table));
        let input = open(&file.path, &self.scanned).map_err(unreadable)?;
        match &self.format {
            Format::Json => self.read_json(input, file, give).map_err(|fault| fault.failure(unreadable)),
            Format::OpenCsv(csv) => self.read_csv(input, csv, file, give).map_err(|fault| fault.failure(unreadable)),
            Format::Delimited(delimited) => {
                self.read_delimited(input, delimited, file, give).map_err(|fault| fault.failure(unreadable))
            }
            Format::Parquet => Err(Failure::internal("Parquet is not read as rows")),
        }
    }

    fn lines(
        &self,
        mut input: Box<dyn BufRead>,
        mut each: impl FnMut(String) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let mut number = 0;
        loop {
            let mut line = Vec::new();
            if input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            if line.len() as u64 == MAX_LINE_BYTES {
                return Err(Fault::Data(Failure::bad_data(format!(
                    "a line of more than {MAX_LINE_BYTES} bytes in table {}",
                    self.table
                ))));
            }
            number += 1;
            while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                line.pop();
            }
            if number > self.skipped_lines && !each(String::from_utf8_lossy(&line).into_owned())? {
                return Ok(());
            }
        }
    }

    fn read_json(
        &self,
        input: Box<dyn BufRead>,
        file: &RowFile,
        give: &mut impl FnMut(RecordBatch) -> bool,
    ) -> Result<(), Fault> {
        let mut rows: Vec<Value> = Vec::new();
        self.lines(input, |line| {
            if line.trim().is_empty() {
                return Ok(true);
            }
            let row = serde_json::from_str(&line).map_err(|error| {
                Failure::bad_data(format!("Row is not a valid JSON Object - {error} in table {}", self.table))
            })?;
            rows.push(row);
            if rows.len() < BATCH_ROWS {
                return Ok(true);
            }
            Ok(give(self.json_batch(&std::mem::take(&mut rows), file)?))
        })?;
        if !rows.is_empty() {
            give(self.json_batch(&rows, file)?);
        }
        Ok(())
    }

    fn json_batch(&self, rows: &[Value], file: &RowFile) -> Result<RecordBatch, Failure> {
        self.batch(rows.len(), file, |at| {
            let (name, data_type) = &self.columns[at];
            let find = |row: &'_ Value| -> Option<Value> {
                let Value::Object(fields) = row else { return None };
                let found = fields
                    .get(name)
                    .or_else(|| fields.iter().find(|(key, _)| key.to_lowercase() == *name).map(|(_, value)| value))?;
                // The SerDe gives nested JSON to a text column as it is written.
                Some(match (found, data_type) {
                    (Value::Object(_) | Value::Array(_), AthenaType::Varchar(_)) => Value::String(found.to_string()),
                    _ => found.clone(),
                })
            };
            let values: Vec<Option<Value>> = rows.iter().map(find).collect();
            let values: Vec<Option<&Value>> = values.iter().map(Option::as_ref).collect();
            functions::from_json(&values, data_type).map_err(|failure| self.unfit(name, &failure))
        })
    }

    fn unfit(&self, column: &str, failure: &Failure) -> Failure {
        let why = failure.message.split_once(": ").map_or(failure.message.as_str(), |(_, why)| why);
        Failure::bad_data(format!("Error parsing field value for field {column} of table {}: {why}", self.table))
    }

    fn read_csv(
        &self,
        input: Box<dyn BufRead>,
        format: &OpenCsv,
        file: &RowFile,
        give: &mut impl FnMut(RecordBatch) -> bool,
    ) -> Result<(), Fault> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(format.separator)
            .quote(format.quote)
            .escape(format.escape)
            .from_reader(input);
        let (mut record, mut number) = (csv::ByteRecord::new(), 0);
        let mut rows: Vec<Vec<Option<String>>> = Vec::new();
        while reader.read_byte_record(&mut record).map_err(|error| Fault::Io(io::Error::other(error)))? {
            number += 1;
            if number <= self.skipped_lines {
                continue;
            }
            rows.push(record.iter().map(|field| Some(String::from_utf8_lossy(field).into_owned())).collect());
            if rows.len() == BATCH_ROWS && !give(self.csv_batch(&std::mem::take(&mut rows), file)?) {
                return Ok(());
            }
        }
        if !rows.is_empty() {
            give(self.csv_batch(&rows, file)?);
        }
        Ok(())
    }

    fn csv_batch(&self, rows: &[Vec<Option<String>>], file: &RowFile) -> Result<RecordBatch, Failure> {
        self.batch(rows.len(), file, |at| {
            let (name, data_type) = &self.columns[at];
            let field = |row: &Vec<Option<String>>| {
                let text = row.get(at).cloned().flatten()?;
                match data_type {
                    AthenaType::Varchar(_) | AthenaType::Char(_) => Some(text),
                    _ if text.trim().is_empty() => None,
                    // OpenCSVSerde has dates as days and timestamps as milliseconds since the epoch.
                    AthenaType::Date | AthenaType::Timestamp(_) => Some(from_epoch(&text, data_type).unwrap_or(text)),
                    _ => Some(text),
                }
            };
            let texts: ArrayRef = Arc::new(rows.iter().map(field).collect::<StringArray>());
            cast::convert(&texts, &AthenaType::Varchar(None), data_type).map_err(|failure| self.unfit(name, &failure))
        })
    }

    fn read_delimited(
        &self,
        input: Box<dyn BufRead>,
        format: &Delimited,
        file: &RowFile,
        give: &mut impl FnMut(RecordBatch) -> bool,
    ) -> Result<(), Fault> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        self.lines(input, |line| {
            rows.push(format.split(&line, format.field));
            if rows.len() < BATCH_ROWS {
                return Ok(true);
            }
            Ok(give(self.delimited_batch(&std::mem::take(&mut rows), format, file)?))
        })?;
        if !rows.is_empty() {
            give(self.delimited_batch(&rows, format, file)?);
        }
        Ok(())
    }

    /// What is no value of its column is NULL, as in Hive.
    fn delimited_batch(
        &self,
        rows: &[Vec<String>],
        format: &Delimited,
        file: &RowFile,
    ) -> Result<RecordBatch, Failure> {
        self.batch(rows.len(), file, |at| {
            let (name, data_type) = &self.columns[at];
            let field = |row: &'_ Vec<String>| row.get(at).filter(|text| **text != format.null).cloned();
            if data_type.is_nested() {
                let values: Vec<Option<Value>> =
                    rows.iter().map(|row| field(row).map(|text| format.nested(&text, data_type, 0))).collect();
                let values: Vec<Option<&Value>> = values.iter().map(Option::as_ref).collect();
                return functions::from_json(&values, data_type).map_err(|failure| self.unfit(name, &failure));
            }
            let texts = rows.iter().map(|row| field(row).map(|text| format.unescaped(&text)));
            let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
            cast::convert_safely(&texts, &AthenaType::Varchar(None), data_type)
        })
    }

    /// A batch of the wanted columns; `column` makes those that are in the file.
    fn batch(
        &self,
        rows: usize,
        file: &RowFile,
        column: impl Fn(usize) -> Result<ArrayRef, Failure>,
    ) -> Result<RecordBatch, Failure> {
        let internal = |error: &dyn std::fmt::Display| Failure::internal(error.to_string());
        let mut arrays = Vec::with_capacity(self.projection.len());
        for (at, field) in self.projection.iter().zip(self.schema.fields()) {
            let array = match at.checked_sub(self.columns.len()) {
                Some(constant) => file.constants[constant].to_array_of_size(rows).map_err(|e| internal(&e))?,
                None => column(*at)?,
            };
            arrays.push(datafusion::arrow::compute::cast(&array, field.data_type()).map_err(|e| internal(&e))?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options).map_err(|e| internal(&e))
    }
}

enum Fault {
    Io(io::Error),
    Data(Failure),
}

impl Fault {
    fn failure(self, unreadable: impl Fn(io::Error) -> Failure) -> Failure {
        match self {
            Self::Io(error) => unreadable(error),
            Self::Data(failure) => failure,
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Data(failure)
    }
}

fn from_epoch(text: &str, data_type: &AthenaType) -> Option<String> {
    let number: i64 = text.trim().parse().ok()?;
    let millis = if *data_type == AthenaType::Date { number.checked_mul(86_400_000)? } else { number };
    let moment = chrono::DateTime::from_timestamp_millis(millis)?;
    Some(moment.format(if *data_type == AthenaType::Date { "%Y-%m-%d" } else { "%Y-%m-%d %H:%M:%S%.3f" }).to_string())
}

impl Delimited {
    fn split(&self, text: &str, delimiter: char) -> Vec<String> {
        let Some(escape) = self.escape else { return text.split(delimiter).map(str::to_owned).collect() };
        let (mut parts, mut part, mut chars) = (Vec::new(), String::new(), text.chars());
        while let Some(c) = chars.next() {
            if c == escape {
                // Kept until the last part is found: the character behind it may be a delimiter of another level.
                part.push(c);
                part.extend(chars.next());
            } else if c == delimiter {
                parts.push(std::mem::take(&mut part));
            } else {
                part.push(c);
            }
        }
        parts.push(part);
        parts
    }

    fn unescaped(&self, text: &str) -> String {
        let Some(escape) = self.escape else { return text.to_owned() };
        let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
        while let Some(c) = chars.next() {
            if c == escape { out.extend(chars.next()) } else { out.push(c) }
        }
        out
    }

    fn level(&self, level: usize) -> char {
        match level {
            0 => self.collection,
            1 => self.map_key,
            deeper => char::from_u32(deeper as u32 + 2).unwrap_or('\u{8}'),
        }
    }

    /// Nested values as JSON: each level has a delimiter of its own.
    fn nested(&self, text: &str, data_type: &AthenaType, level: usize) -> Value {
        if text == self.null {
            return Value::Null;
        }
        let parts = || if text.is_empty() { Vec::new() } else { self.split(text, self.level(level)) };
        match data_type {
            AthenaType::Array(Some(element)) => {
                parts().iter().map(|part| self.nested(part, element, level + 1)).collect()
            }
            AthenaType::Map(Some(entry)) => {
                let pair = |part: &String| {
                    let mut sides = self.split(part, self.level(level + 1)).into_iter();
                    let key = self.unescaped(&sides.next().unwrap_or_default());
                    let value = sides.next().map_or(Value::Null, |value| self.nested(&value, &entry.1, level + 2));
                    (key, value)
                };
                Value::Object(parts().iter().map(pair).collect())
            }
            AthenaType::Row(Some(fields)) => {
                let parts = parts();
                let values = fields.iter().enumerate().map(|(i, field)| {
                    parts.get(i).map_or(Value::Null, |part| self.nested(part, &field.data_type, level + 1))
                });
                values.collect()
            }
            _ => Value::String(self.unescaped(text)),
        }
    }
}

/// Opens a file and takes its compression off, which the end of its name tells.
fn open(path: &Path, scanned: &Arc<AtomicU64>) -> io::Result<Box<dyn BufRead>> {
    let file = BufReader::with_capacity(1 << 18, Counted { file: File::open(path)?, scanned: Arc::clone(scanned) });
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    Ok(match ending.to_ascii_lowercase().as_str() {
        "gz" | "gzip" => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file))),
        "zst" | "zstd" => Box::new(BufReader::new(zstd::Decoder::with_buffer(file)?)),
        "snappy" => Box::new(BufReader::new(HadoopSnappy { file, block: io::Cursor::default() })),
        unread @ ("bz2" | "lz4" | "xz" | "deflate" | "lzo") => {
            return Err(io::Error::other(format!("the embedded endpoint does not read .{unread} files")));
        }
        _ => Box::new(file),
    })
}

struct Counted {
    file: File,
    scanned: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.scanned.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Hadoop's block format: `<uncompressed size> (<compressed size> <bytes>)…`, sizes big-endian in four bytes.
struct HadoopSnappy<R> {
    file: R,
    block: io::Cursor<Vec<u8>>,
}

impl<R: BufRead> Read for HadoopSnappy<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.block.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            if self.file.fill_buf()?.is_empty() {
                return Ok(0);
            }
            let size = self.size()?;
            let mut block = Vec::new();
            while block.len() < size {
                let compressed = self.size()?;
                let mut bytes = vec![0; compressed];
                self.file.read_exact(&mut bytes)?;
                let promised = snap::raw::decompress_len(&bytes).map_err(io::Error::other)?;
                if promised as u64 > MAX_LINE_BYTES {
                    return Err(io::Error::other(format!("a snappy block of {promised} bytes")));
                }
                block.extend(snap::raw::Decoder::new().decompress_vec(&bytes).map_err(io::Error::other)?);
            }
            self.block = io::Cursor::new(block);
        }
    }
}

impl<R: BufRead> HadoopSnappy<R> {
    fn size(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 4];
        self.file.read_exact(&mut bytes)?;
        let size = u32::from_be_bytes(bytes);
        if u64::from(size) > MAX_LINE_BYTES {
            return Err(io::Error::other(format!("a snappy block of {size} bytes")));
        }
        Ok(size as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimited_values_nest_by_level() {
        let format = Delimited { field: ',', collection: '|', map_key: ':', escape: Some('\\'), null: "\\N".into() };
        assert_eq!(format.split("a,b\\,c,", ','), ["a", "b\\,c", ""]);
        assert_eq!(format.unescaped("b\\,c"), "b,c");
        let parse = |text: &str, t: &str| format.nested(text, &AthenaType::parse(t).expect("a type"), 0).to_string();
        assert_eq!(parse("1|2", "array<int>"), r#"["1","2"]"#);
        assert_eq!(parse("a:1|b:\\N", "map<string,int>"), r#"{"a":"1","b":null}"#);
        assert_eq!(parse("x|1:2", "struct<a:string,b:array<int>>"), r#"["x",["1","2"]]"#);
    }

    #[test]
    fn hadoops_snappy_blocks_are_joined() {
        let mut file = Vec::new();
        for text in ["hello\n", "world\n"] {
            let compressed = snap::raw::Encoder::new().compress_vec(text.as_bytes()).expect("memory");
            file.extend((text.len() as u32).to_be_bytes());
            file.extend((compressed.len() as u32).to_be_bytes());
            file.extend(compressed);
        }
        let mut read = String::new();
        let mut reader = HadoopSnappy { file: file.as_slice(), block: io::Cursor::default() };
        reader.read_to_string(&mut read).expect("text");
        assert_eq!(read, "hello\nworld\n");
    }
}
