//! Athena's strict CSV, decoded straight into Arrow builders (athena-behaviour, section 5).
//!
//! Every field is quoted, a quote inside is doubled, line ends inside stay. An unquoted empty field is NULL and a quoted
//! one is '', so the quotes have to be looked at before they are taken off. Some hundred rows are cut into fields first,
//! by [`plain`] where it can, and then each column is decoded at once: the text is still in the cache, and no value has to
//! ask what type it is.

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use memchr::{memchr, memchr_iter};

use super::super::rows::{BatchBuilder, RowFault, Rows};
use super::cut::Piece;
use super::plain::Separators;
use super::{plain, quotes};
use crate::types::block::{Block, Lanes, MAX_VALUES, Place, Places};
use crate::types::builder::{ColumnBuilder, Misfit};
use crate::types::cell::Cell;
use crate::types::column::Column;

/// Rows cut into fields before they are decoded, at most.
const BLOCK_ROWS: usize = MAX_VALUES;
/// Text cut into fields before it is decoded; one record where that is longer.
const BLOCK_BYTES: usize = 24 << 10;

/// Plain records in a row that are worth a block of their own.
const PLAIN_RUN: usize = 16;

/// Decodes the records of one piece.
pub struct Decoder {
    builder: BatchBuilder,
    /// Where the text that is being read starts in the object, for errors.
    origin: u64,
    /// What is left of the piece, last first, and how far each is read.
    texts: Vec<(Bytes, usize)>,
    header_pending: bool,
    /// Bytes of a block's rows, about.
    block_bytes: usize,
    fields: Fields,
}

impl Decoder {
    /// Decodes a piece; the object's first one begins with the header.
    pub fn new(columns: &Arc<[Column]>, piece: Piece) -> Self {
        let texts = [piece.body, piece.head].into_iter().filter(|bytes| !bytes.is_empty());
        Self {
            builder: BatchBuilder::new(columns),
            origin: piece.at,
            texts: texts.map(|bytes| (bytes, 0)).collect(),
            header_pending: piece.at == 0,
            block_bytes: BLOCK_BYTES,
            fields: Fields::new(columns.len()),
        }
    }

    /// Bytes that a decoder of so many columns takes beside the text and the batch.
    pub fn scratch_bytes(columns: usize) -> usize {
        columns * BLOCK_ROWS * size_of::<Place>() + 2 * BLOCK_BYTES
    }

    /// Where the record behind the last batch starts in the object.
    pub fn place(&self) -> u64 {
        self.origin + self.texts.last().map_or(0, |(_, at)| *at as u64)
    }

    /// The next batch; `None` after the last.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, RowFault> {
        while let Some((text, mut at)) = self.texts.pop() {
            if self.header_pending {
                self.header_pending = false;
                at += self.cut(&text[at..], at, 1).map_err(RowFault::in_header)?;
            }
            while at < text.len() {
                let rest = &text[at..];
                let length = self.cut(rest, at, BLOCK_ROWS)?;
                // The next rows will be about as long: what is looked at and not used is looked at again.
                self.block_bytes = (length * BLOCK_ROWS / self.fields.rows).min(BLOCK_BYTES);
                self.builder.append(self.fields.rows, &Cut { text: rest, fields: &self.fields })?;
                at += length;
                if self.builder.is_full() {
                    self.texts.push((text, at));
                    return self.builder.take();
                }
            }
            self.origin += text.len() as u64;
        }
        self.builder.take()
    }

    /// Finds the fields of the next records and gives how many bytes those are.
    fn cut(&mut self, text: &[u8], at: usize, max_rows: usize) -> Result<usize, RowFault> {
        let window = &text[..self.block_bytes.min(text.len())];
        match self.fields.cut(window, max_rows) {
            // Longer than the window, or none.
            0 => self.fields.cut_one(text).ok_or_else(|| {
                let row = self.builder.next_row();
                misshapen(text, self.origin + at as u64, row, self.fields.width)
            }),
            length => Ok(length),
        }
    }
}

/// The fields of some records.
struct Fields {
    width: usize,
    rows: usize,
    /// Row by row.
    places: Vec<Place>,
    /// Texts of fields whose doubled quotes were made single.
    unescaped: Vec<u8>,
    separators: Separators,
    quotes: Vec<u32>,
}

/// The fields of the rows at the start of a text.
struct Cut<'a> {
    text: &'a [u8],
    fields: &'a Fields,
}

impl Cut<'_> {
    #[inline(always)]
    fn block(&self, column: usize) -> Block<'_> {
        let Fields { places, unescaped, rows, width, .. } = self.fields;
        Block { text: self.text, apart: unescaped, places: Places::of_column(&places[..rows * width], column, *width) }
    }
}

impl Rows for Cut<'_> {
    fn value(&self, column: usize, row: usize) -> Option<Cell<'_>> {
        self.block(column).get(row)
    }

    fn append_column(&self, column: usize, to: &mut ColumnBuilder, lanes: &mut Lanes) -> Result<(), Misfit> {
        to.append_block(self.block(column), lanes)
    }
}

impl Fields {
    fn new(width: usize) -> Self {
        let places = vec![Place::NULL; width * BLOCK_ROWS];
        Self { width, rows: 0, places, unescaped: Vec::new(), separators: Separators::default(), quotes: Vec::new() }
    }

    /// Finds the fields of whole records at the start of a text, and gives where they end. What comes behind is cut off, or
    /// is no record.
    fn cut(&mut self, text: &[u8], max_rows: usize) -> usize {
        self.unescaped.clear();
        let most = max_rows * self.width;
        match plain::cut(text, self.width, &mut self.separators, &mut self.places[..most]) {
            Some((rows, end)) if rows >= PLAIN_RUN.min(max_rows) => {
                self.rows = rows;
                end
            }
            _ => self.cut_by_quotes(text, max_rows),
        }
    }

    fn cut_by_quotes(&mut self, text: &[u8], max_rows: usize) -> usize {
        let mut room = std::mem::take(&mut self.quotes);
        let count = quotes::find(text, &mut room);
        let mut quotes = room[..count].iter().map(|quote| *quote as usize);
        let mut at = 0;
        self.rows = 0;
        while self.rows < max_rows
            && at < text.len()
            && let Some(end) = self.record(text, at, &mut quotes)
        {
            at = end;
            self.rows += 1;
        }
        self.quotes = room;
        at
    }

    /// Finds the fields of the first record, however long it is, and gives where it ends.
    fn cut_one(&mut self, text: &[u8]) -> Option<usize> {
        self.unescaped.clear();
        self.rows = 0;
        let end = self.record(text, 0, &mut memchr_iter(b'"', text))?;
        self.rows = 1;
        Some(end)
    }

    /// Finds the fields of one record and gives where it ends. `quotes` are the places of those from its start on.
    #[inline(always)]
    fn record(&mut self, text: &[u8], start: usize, quotes: &mut impl Iterator<Item = usize>) -> Option<usize> {
        let mut at = start;
        for column in 0..self.width {
            let mut place = Place::NULL;
            if text.get(at) == Some(&b'"') {
                let open = quotes.next()?;
                let mut close = quotes.next()?;
                let doubled = text.get(close + 1) == Some(&b'"');
                while text.get(close + 1) == Some(&b'"') {
                    quotes.next()?;
                    close = quotes.next()?;
                }
                place = if doubled {
                    self.unescape(&text[open + 1..close])
                } else {
                    Place::new(open as u32 + 1, (close - open - 1) as u32)
                };
                at = close + 1;
            }
            let separator = if column + 1 == self.width { b'\n' } else { b',' };
            if text.get(at) != Some(&separator) {
                return None;
            }
            self.places[self.rows * self.width + column] = place;
            at += 1;
        }
        (self.width > 0).then_some(at)
    }

    fn unescape(&mut self, mut text: &[u8]) -> Place {
        let start = self.unescaped.len();
        while let Some(quote) = memchr(b'"', text) {
            self.unescaped.extend_from_slice(&text[..=quote]);
            text = &text[quote + 2..];
        }
        self.unescaped.extend_from_slice(text);
        Place::apart(start as u32, (self.unescaped.len() - start) as u32)
    }
}

/// What is wrong with the record at the start of a text.
#[cold]
fn misshapen(text: &[u8], origin: u64, row: u64, expected: usize) -> RowFault {
    let (mut at, mut found) = (0, 0);
    loop {
        if text.get(at) == Some(&b'"') {
            loop {
                let Some(quote) = memchr(b'"', &text[at + 1..]) else { return RowFault::Truncated { row } };
                at += quote + 2;
                if text.get(at) != Some(&b'"') {
                    break;
                }
            }
        }
        found += 1;
        match text.get(at) {
            Some(b',') => at += 1,
            Some(b'\n') => return RowFault::Width { row, found, expected },
            None => return RowFault::Truncated { row },
            Some(_) => {
                let why = "expected a comma or a line end after a field";
                return RowFault::Malformed { at: origin + at as u64, why };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::compute::concat_batches;
    use proptest::prelude::*;

    use super::super::cut::Cutter;
    use super::*;
    use crate::types::AthenaType;

    type Rows = Vec<Vec<Option<String>>>;

    fn columns(width: usize) -> Arc<[Column]> {
        (0..width).map(|i| Column::new(format!("c{i}"), AthenaType::Varchar(None))).collect()
    }

    /// Through the cutter and the decoder, the object coming in pieces.
    fn decode(width: usize, pieces: &[&[u8]]) -> Result<Rows, RowFault> {
        let columns = columns(width);
        let (mut cutter, mut batches, mut rows) = (Cutter::default(), Vec::new(), 0);
        for piece in pieces {
            let Some(piece) = cutter.cut(Bytes::copy_from_slice(piece))? else { continue };
            let mut decoder = Decoder::new(&columns, piece);
            let before = rows;
            while let Some(batch) = decoder.next_batch().map_err(|fault| fault.after(before))? {
                rows += batch.num_rows() as u64;
                batches.push(batch);
            }
        }
        if cutter.is_inside_record() {
            return Err(RowFault::Truncated { row: rows + 1 });
        }
        let Some(first) = batches.first() else { return Ok(Vec::new()) };
        let all = concat_batches(&first.schema(), &batches).expect("one schema");
        let text = |column: usize, row: usize| {
            let array = all.column(column).as_string::<i32>();
            array.is_valid(row).then(|| array.value(row).to_owned())
        };
        Ok((0..all.num_rows()).map(|row| (0..width).map(|column| text(column, row)).collect()).collect())
    }

    /// The slow and obvious way: a byte at a time. `None` for what is not Athena's CSV of so many columns.
    fn obviously(width: usize, text: &[u8]) -> Option<Rows> {
        let (mut rows, mut row, mut at) = (Vec::new(), Vec::new(), 0);
        while at < text.len() {
            let mut value = None;
            if text[at] == b'"' {
                let mut bytes = Vec::new();
                at += 1;
                loop {
                    match (text.get(at)?, text.get(at + 1)) {
                        (b'"', Some(b'"')) => {
                            bytes.push(b'"');
                            at += 2;
                        }
                        (b'"', _) => {
                            at += 1;
                            break;
                        }
                        (byte, _) => {
                            bytes.push(*byte);
                            at += 1;
                        }
                    }
                }
                value = Some(String::from_utf8(bytes).ok()?);
            }
            row.push(value);
            match text.get(at)? {
                b',' => {}
                b'\n' if row.len() == width => rows.push(std::mem::take(&mut row)),
                _ => return None,
            }
            at += 1;
        }
        (row.is_empty() && !rows.is_empty()).then(|| rows.split_off(1))
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

    /// A text in pieces, cut anywhere.
    fn cut_at<'a>(text: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        places.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect()
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
            ("\"c0\",\"c1\"\n\"a\",\"b\"\n\"a\",\"b\",\"c\"\n", "row 2 has 3 values, the result has 2 columns"),
            ("\"c0\"\n", "row 0 has 1 values, the result has 2 columns"),
            ("\"c0\",\"c1\"\na,\"b\"\n", "byte 10: expected a comma or a line end after a field"),
            ("\"c0\",\"c1\"\n\"a\"x,\"b\"\n", "byte 13: expected a comma or a line end after a field"),
            ("\"c0\",\"c1\"\n\"\u{e4}\",\"b\"\n", ""),
        ] {
            let found = decode(2, &[text.as_bytes()]).map_err(|fault| fault.to_string());
            assert_eq!(found.err().unwrap_or_default(), expected, "{text}");
        }
        let broken = [b"\"c0\"\n\"a\"\n\"".as_slice(), b"\xff\"\n"].concat();
        let error = decode(1, &[&broken]).expect_err("not UTF-8").to_string();
        assert_eq!(error, "column \"c0\", row 2: \"\" is not UTF-8");
    }

    #[test]
    fn records_longer_than_a_block_are_read() {
        let long = "x\"\n,".repeat(BLOCK_BYTES);
        let rows = vec![vec![Some(long.clone()), None], vec![Some("a".to_owned()), Some(long)]];
        let text = encode(2, &rows);
        assert_eq!(decode(2, &[&text]), Ok(rows.clone()));
        let pieces: Vec<&[u8]> = text.chunks(10_000).collect();
        assert_eq!(decode(2, &pieces), Ok(rows));
    }

    proptest! {
        #[test]
        fn any_rows_cut_anywhere_come_back(
            rows in prop::collection::vec(prop::collection::vec(prop::option::of("([a\",\n\r ü😀]{0,6}|[a-z]{60,70})"), 3), 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let text = encode(3, &rows);
            prop_assert_eq!(obviously(3, &text), Some(rows.clone()));
            prop_assert_eq!(decode(3, &cut_at(&text, &cuts)), Ok(rows));
        }

        #[test]
        fn what_lies_among_plain_records_is_what_the_slow_decoder_says(
            before in 0..40_usize,
            between in prop::collection::vec(
                prop::sample::select(vec!["\",\"", "\"\n\"", "\"\"", "\"", ",", "\n", "a"]), 0..12),
            behind in 0..40_usize,
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        ) {
            let plain = "\",x,\",\"y\"\n";
            let text = ["\"a\",\"b\"\n", &plain.repeat(before), &between.concat(), &plain.repeat(behind)].concat();
            let found = decode(2, &cut_at(text.as_bytes(), &cuts));
            prop_assert_eq!(found.ok(), obviously(2, text.as_bytes()));
        }

        #[test]
        fn any_bytes_are_what_the_slow_decoder_says(
            bytes in prop::collection::vec(prop::sample::select(b"\"\"\"\",,\n\na\xff".to_vec()), 0..64),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let text = [b"\"a\",\"b\"\n", bytes.as_slice()].concat();
            let found = decode(2, &cut_at(&text, &cuts));
            prop_assert_eq!(found.ok(), obviously(2, &text));
        }
    }
}
