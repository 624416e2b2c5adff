//! Athena's strict CSV, decoded straight into Arrow builders (athena-behaviour, section 5).
//!
//! The first line is the header. Every field is quoted, a quote inside is doubled, line ends inside stay. An unquoted
//! empty field is NULL and a quoted one is '', so the quotes have to be looked at before they are taken off.

use arrow::array::RecordBatch;
use memchr::memchr;

use super::super::{Column, RowBuilder, RowFault};

pub struct Decoder {
    rows: RowBuilder,
    width: usize,
    /// Bytes of a record whose end has not come yet.
    pending: Vec<u8>,
    /// Where the fields of the current record lie.
    fields: Vec<Span>,
    scratch: Vec<u8>,
    header_seen: bool,
    /// Bytes of all records decoded so far.
    consumed: u64,
}

/// A field inside a record, without its quotes.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    quoted: bool,
    doubled_quotes: bool,
}

impl Decoder {
    pub fn new(columns: &[Column]) -> Self {
        Self {
            rows: RowBuilder::new(columns),
            width: columns.len(),
            pending: Vec::new(),
            fields: Vec::with_capacity(columns.len()),
            scratch: Vec::new(),
            header_seen: false,
            consumed: 0,
        }
    }

    /// Decodes the next bytes, cut anywhere, and hands over full batches. Gives false as soon as `each` does.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(RecordBatch) -> bool) -> Result<bool, RowFault> {
        let mut pending = std::mem::take(&mut self.pending);
        let text: &[u8] = if pending.is_empty() {
            chunk
        } else {
            pending.extend_from_slice(chunk);
            &pending
        };
        let mut at = 0;
        while let Some(length) = self.record(&text[at..])? {
            self.take_record(&text[at..at + length])?;
            at += length;
            self.consumed += length as u64;
            if self.rows.is_full()
                && let Some(batch) = self.rows.take()
                && !each(batch)
            {
                return Ok(false);
            }
        }
        self.pending = text[at..].to_vec();
        Ok(true)
    }

    /// The last batch. A record without its line end means that the object is cut off.
    pub fn finish(mut self) -> Result<Option<RecordBatch>, RowFault> {
        if !self.pending.is_empty() {
            return Err(RowFault::Truncated { row: self.rows.next_row() });
        }
        Ok(self.rows.take())
    }

    /// Finds the fields of the record at the start of `text` and gives its length with the line end; `None` if its end
    /// is not there yet.
    #[inline]
    fn record(&mut self, text: &[u8]) -> Result<Option<usize>, RowFault> {
        self.fields.clear();
        let mut at = 0;
        loop {
            let Some(first) = text.get(at) else { return Ok(None) };
            if *first == b'"' {
                let start = at + 1;
                let mut doubled_quotes = false;
                at = start;
                loop {
                    let Some(quote) = memchr(b'"', &text[at..]) else { return Ok(None) };
                    at += quote + 1;
                    match text.get(at) {
                        Some(b'"') => {
                            doubled_quotes = true;
                            at += 1;
                        }
                        Some(_) => break,
                        // The quote may be the first of two.
                        None => return Ok(None),
                    }
                }
                self.fields.push(Span { start, end: at - 1, quoted: true, doubled_quotes });
            } else {
                // Nothing but NULL is written without quotes.
                self.fields.push(Span { start: at, end: at, quoted: false, doubled_quotes: false });
            }
            match text[at] {
                b',' => at += 1,
                b'\n' => return Ok(Some(at + 1)),
                _ => {
                    let at = self.consumed + at as u64;
                    return Err(RowFault::Malformed { at, why: "expected a comma or a line end after a field" });
                }
            }
        }
    }

    #[inline]
    fn take_record(&mut self, record: &[u8]) -> Result<(), RowFault> {
        if !self.header_seen {
            self.header_seen = true;
            let found = self.fields.len();
            let expected = self.width;
            return if found == expected { Ok(()) } else { Err(RowFault::Width { row: 0, found, expected }) };
        }
        for (i, field) in self.fields.iter().take(self.width).enumerate() {
            let text = &record[field.start..field.end];
            if !field.quoted {
                self.rows.value(i, None)?;
            } else if field.doubled_quotes {
                self.scratch.clear();
                let mut rest = text;
                while let Some(quote) = memchr(b'"', rest) {
                    self.scratch.extend_from_slice(&rest[..=quote]);
                    rest = &rest[quote + 2..];
                }
                self.scratch.extend_from_slice(rest);
                self.rows.value(i, Some(&self.scratch))?;
            } else {
                self.rows.value(i, Some(text))?;
            }
        }
        self.rows.end_row(self.fields.len())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::compute::concat_batches;
    use proptest::prelude::*;

    use super::*;
    use crate::types::AthenaType;

    type Rows = Vec<Vec<Option<String>>>;

    fn columns(width: usize) -> Vec<Column> {
        (0..width).map(|i| Column { name: format!("c{i}"), data_type: AthenaType::Varchar(None) }).collect()
    }

    fn decode(width: usize, pieces: &[&[u8]]) -> Result<Rows, RowFault> {
        let mut decoder = Decoder::new(&columns(width));
        let mut batches = Vec::new();
        for piece in pieces {
            decoder.push(piece, |batch| {
                batches.push(batch);
                true
            })?;
        }
        batches.extend(decoder.finish()?);
        let Some(first) = batches.first() else { return Ok(Vec::new()) };
        let all = concat_batches(&first.schema(), &batches).expect("one schema");
        let text = |column: usize, row: usize| {
            let array = all.column(column).as_string::<i32>();
            array.is_valid(row).then(|| array.value(row).to_owned())
        };
        Ok((0..all.num_rows()).map(|row| (0..width).map(|column| text(column, row)).collect()).collect())
    }

    fn encode(width: usize, rows: &Rows) -> Vec<u8> {
        let header: Vec<String> = (0..width).map(|i| format!("\"c{i}\"")).collect();
        let field = |value: &Option<String>| match value {
            Some(text) => format!("\"{}\"", text.replace('"', "\"\"")),
            None => String::new(),
        };
        let mut text = header.join(",") + "\n";
        for row in rows {
            text.push_str(&row.iter().map(field).collect::<Vec<_>>().join(","));
            text.push('\n');
        }
        text.into_bytes()
    }

    #[test]
    fn null_and_empty_are_told_apart() {
        let rows = decode(2, &[b"\"c0\",\"c1\"\n\"\",\n,\"\"\n,\n"]);
        let empty = Some(String::new());
        assert_eq!(rows, Ok(vec![vec![empty.clone(), None], vec![None, empty], vec![None, None]]));
    }

    #[test]
    fn what_is_not_athenas_csv_is_an_error() {
        for (text, expected) in [
            ("\"c0\",\"c1\"\n\"a\",\"b", "the result object breaks off inside row 1"),
            ("\"c0\",\"c1\"\n\"a\",\"b\"", "the result object breaks off inside row 1"),
            ("\"c0\",\"c1\"\n\"a\"\n", "row 1 has 1 values, the result has 2 columns"),
            ("\"c0\",\"c1\"\n\"a\",\"b\",\"c\"\n", "row 1 has 3 values, the result has 2 columns"),
            ("\"c0\"\n", "row 0 has 1 values, the result has 2 columns"),
            ("\"c0\",\"c1\"\na,\"b\"\n", "byte 10: expected a comma or a line end after a field"),
            ("\"c0\",\"c1\"\n\"a\"x,\"b\"\n", "byte 13: expected a comma or a line end after a field"),
        ] {
            assert_eq!(
                decode(2, &[text.as_bytes()]).map_err(|fault| fault.to_string()),
                Err(expected.to_owned()),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_rows_cut_anywhere_come_back(
            rows in prop::collection::vec(prop::collection::vec(prop::option::of("[a\",\n\r ü😀]{0,6}"), 3), 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let text = encode(3, &rows);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            prop_assert_eq!(decode(3, &pieces), Ok(rows));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop::sample::select(b"\",\na".to_vec()), 0..64)) {
            let _ = decode(2, &[b"\"a\",\"b\"\n", &bytes]);
        }
    }
}
