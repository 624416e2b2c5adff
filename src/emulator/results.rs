//! Result objects in the output bucket, written and read back page by page (athena-behaviour, sections 4 and 5).
//!
//! An object appears whole or not at all: it is written beside its place and renamed when complete.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use prost::Message;

use super::model::{Execution, ResultColumn};

/// Folder beside the buckets for objects that are being written. No bucket's name starts with a dot.
pub const UNFINISHED: &str = ".unfinished";

/// The bucket of managed query results: not reachable through S3.
pub const MANAGED: &str = ".managed";

/// One value of a result row; `None` is NULL.
pub type Field = Option<String>;

/// An object that is being written.
pub struct ObjectWriter {
    file: BufWriter<File>,
    unfinished: PathBuf,
    place: PathBuf,
}

impl ObjectWriter {
    pub fn create(buckets: &Path, location: &str) -> io::Result<Self> {
        let place = object_path(buckets, location).ok_or_else(|| io::Error::other("not an s3:// location"))?;
        let unfinished = buckets.join(UNFINISHED).join(uuid::Uuid::new_v4().to_string());
        let file = BufWriter::with_capacity(1 << 18, File::create(&unfinished)?);
        Ok(Self { file, unfinished, place })
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Puts the object in its place.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        if let Some(folder) = self.place.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::rename(&self.unfinished, &self.place)
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        // Renamed already, or not wanted any more.
        let _ = std::fs::remove_file(&self.unfinished);
    }
}

/// Writes a small object at once.
pub fn write_object(buckets: &Path, location: &str, bytes: &[u8]) -> io::Result<()> {
    let mut writer = ObjectWriter::create(buckets, location)?;
    writer.write(bytes)?;
    writer.finish()
}

/// The file behind `s3://bucket/key`; `None` if it is not such a location or leaves the bucket.
pub fn path_of(buckets: &Path, location: &str) -> Option<PathBuf> {
    let rest = location.strip_prefix("s3://")?;
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    let safe = |part: &str| !matches!(part, "." | "..") && !part.contains('\0');
    if bucket.is_empty() || bucket.starts_with('.') || !key.split('/').all(safe) {
        return None;
    }
    let mut path = buckets.join(bucket);
    path.extend(key.split('/').filter(|part| !part.is_empty()));
    Some(path)
}

/// The same for our own objects, which may be managed results.
fn object_path(buckets: &Path, location: &str) -> Option<PathBuf> {
    match location.strip_prefix("s3://").and_then(|rest| rest.strip_prefix(MANAGED)) {
        Some(key) => path_of(&buckets.join(MANAGED), &format!("s3:/{key}")),
        None => path_of(buckets, location),
    }
}

/// The size of an object; `None` if it is not there.
pub fn size_of(buckets: &Path, location: &str) -> Option<u64> {
    let metadata = std::fs::metadata(object_path(buckets, location)?).ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// Appends a field as Athena's CSV has it: always quoted, except NULL, which is nothing at all.
pub fn push_csv_field(out: &mut String, field: Option<&str>) {
    if let Some(text) = field {
        out.push('"');
        for (i, part) in text.split('"').enumerate() {
            if i > 0 {
                out.push_str("\"\"");
            }
            out.push_str(part);
        }
        out.push('"');
    }
}

/// A page of rows, and where the next one starts.
pub struct Page {
    pub rows: Vec<Vec<Field>>,
    pub next: Option<u64>,
}

/// Reads up to `limit` rows of a finished query's result, starting at the byte `start`.
pub fn read_page(buckets: &Path, execution: &Execution, start: u64, limit: usize) -> io::Result<Page> {
    let Some(location) = execution.output_location.as_deref() else { return Ok(Page { rows: vec![], next: None }) };
    let Some(path) = object_path(buckets, location) else { return Ok(Page { rows: vec![], next: None }) };
    if !location.ends_with(".csv") && !location.ends_with(".txt") {
        return Ok(Page { rows: vec![], next: None });
    }
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    let length = file.get_ref().metadata()?.len();
    file.seek(SeekFrom::Start(start))?;
    let mut reader = Counting { inner: file, read: start, length };
    let mut rows = Vec::new();
    while rows.len() < limit {
        let row = if location.ends_with(".csv") { csv_row(&mut reader)? } else { text_row(&mut reader)? };
        match row {
            Some(row) => rows.push(row),
            None => return Ok(Page { rows, next: None }),
        }
    }
    // A full page always has a successor, be it empty.
    Ok(Page { rows, next: Some(reader.read) })
}

struct Counting<R> {
    inner: R,
    read: u64,
    length: u64,
}

impl<R: BufRead> Counting<R> {
    fn next(&mut self) -> io::Result<Option<u8>> {
        let byte = self.inner.fill_buf()?.first().copied();
        if byte.is_some() {
            self.inner.consume(1);
            self.read += 1;
        }
        Ok(byte)
    }

    /// Appends what comes before the next quote, and takes the quote; false at the end.
    fn until_quote(&mut self, text: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            let buffer = self.inner.fill_buf()?;
            if buffer.is_empty() {
                return Ok(false);
            }
            let (taken, found) = match memchr::memchr(b'"', buffer) {
                Some(at) => (at + 1, true),
                None => (buffer.len(), false),
            };
            text.extend_from_slice(&buffer[..taken - usize::from(found)]);
            self.inner.consume(taken);
            self.read += taken as u64;
            if found {
                return Ok(true);
            }
        }
    }
}

fn csv_row<R: BufRead>(reader: &mut Counting<R>) -> io::Result<Option<Vec<Field>>> {
    let mut row = Vec::new();
    let Some(mut byte) = reader.next()? else { return Ok(None) };
    loop {
        if byte == b'"' {
            let mut text = Vec::new();
            let after = loop {
                if !reader.until_quote(&mut text)? {
                    break None;
                }
                match reader.next()? {
                    Some(b'"') => text.push(b'"'),
                    after => break after,
                }
            };
            row.push(Some(String::from_utf8_lossy(&text).into_owned()));
            match after {
                Some(b',') => {}
                _ => return Ok(Some(row)),
            }
        } else {
            row.push(None);
            if byte != b',' {
                return Ok(Some(row));
            }
        }
        match reader.next()? {
            Some(next) => byte = next,
            None => {
                row.push(None);
                return Ok(Some(row));
            }
        }
    }
}

/// The lines of a `.txt` are rows of one field, joined by line ends: what follows the last one is a row too, be it empty.
/// Having read that, the place is one behind the end.
fn text_row<R: BufRead>(reader: &mut Counting<R>) -> io::Result<Option<Vec<Field>>> {
    if reader.length == 0 || reader.read > reader.length {
        return Ok(None);
    }
    let mut line = Vec::new();
    reader.read += reader.inner.read_until(b'\n', &mut line)? as u64;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else {
        reader.read = reader.length + 1;
    }
    Ok(Some(vec![Some(String::from_utf8_lossy(&line).into_owned())]))
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, optional, tag = "2")]
    update_type: Option<String>,
    #[prost(int64, optional, tag = "3")]
    count: Option<i64>,
    #[prost(message, repeated, tag = "4")]
    columns: Vec<MetadataColumn>,
}

#[derive(Clone, PartialEq, Message)]
struct MetadataColumn {
    #[prost(string, tag = "1")]
    catalog: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "5")]
    label: String,
    #[prost(string, tag = "6")]
    data_type: String,
    #[prost(int32, tag = "7")]
    precision: i32,
    #[prost(int32, tag = "8")]
    scale: i32,
    #[prost(int32, tag = "9")]
    nullable: i32,
    #[prost(bool, tag = "10")]
    case_sensitive: bool,
}

/// The content of `<object>.metadata`.
pub fn metadata(id: &str, columns: &[ResultColumn]) -> Vec<u8> {
    const NULLABLE_UNKNOWN: i32 = 3;
    let columns = columns.iter().map(|column| MetadataColumn {
        catalog: "hive".to_owned(),
        name: column.name.clone(),
        label: column.name.clone(),
        data_type: column.data_type.clone(),
        precision: column.precision,
        scale: column.scale,
        nullable: NULLABLE_UNKNOWN,
        case_sensitive: column.case_sensitive,
    });
    Metadata { id: id.to_owned(), update_type: None, count: None, columns: columns.collect() }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_round_trips() {
        let rows: Vec<Vec<Field>> = vec![
            vec![Some("a".into()), None, Some(String::new())],
            vec![Some("x\"y,\nz".into()), Some("ü".into()), None],
            vec![None, None, None],
        ];
        let mut text = String::new();
        for row in &rows {
            for (i, field) in row.iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                push_csv_field(&mut text, field.as_deref());
            }
            text.push('\n');
        }
        assert_eq!(text, "\"a\",,\"\"\n\"x\"\"y,\nz\",\"ü\",\n,,\n");
        let mut reader = Counting { inner: text.as_bytes(), read: 0, length: text.len() as u64 };
        let mut read = Vec::new();
        while let Some(row) = csv_row(&mut reader).expect("memory does not fail") {
            read.push(row);
        }
        assert_eq!(read, rows);
        assert_eq!(reader.read, text.len() as u64);
    }

    #[test]
    fn lines_are_joined_not_ended() {
        for (text, expected) in [("", vec![]), ("a", vec!["a"]), ("a\nb", vec!["a", "b"]), ("a\n", vec!["a", ""])] {
            let mut reader = Counting { inner: text.as_bytes(), read: 0, length: text.len() as u64 };
            let mut read = Vec::new();
            while let Some(row) = text_row(&mut reader).expect("memory does not fail") {
                read.extend(row.into_iter().flatten());
            }
            assert_eq!(read, expected, "{text:?}");
        }
    }

    #[test]
    fn locations_stay_in_their_bucket() {
        let root = Path::new("/data");
        assert_eq!(path_of(root, "s3://b/x/y.csv"), Some("/data/b/x/y.csv".into()));
        for outside in ["s3://b/../c", "s3://../x", "s3:///x", "file:///x", "s3://.unfinished/x"] {
            assert_eq!(path_of(root, outside), None, "{outside}");
        }
    }
}
