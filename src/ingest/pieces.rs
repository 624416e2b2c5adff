//! A batch in pieces that stay small when they are written out: a dictionary, a run or a shared list says a long value
//! once for many rows, a file's column says it once for each.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{ArrowDictionaryKeyType, DataType, Int16Type, Int32Type, Int64Type, RunEndIndexType};
use arrow::downcast_dictionary_array;

use super::IngestFault;

/// Bytes that the repeated values of a piece have, about, when they are written out.
const PIECE_BYTES: u64 = 8 << 20;
/// Bytes that those of one row may have.
const ROW_BYTES: u64 = 64 << 20;

/// The rows of a batch in their order, in as few pieces as that takes.
pub fn of(batch: &RecordBatch) -> Result<Vec<RecordBatch>, IngestFault> {
    let mut pieces = Vec::new();
    let mut waiting = vec![(0, batch.num_rows())];
    while let Some((start, end)) = waiting.pop() {
        let rows = start..end;
        let bytes: u64 = batch.columns().iter().map(|column| repeated(column, rows.clone())).sum();
        if bytes <= PIECE_BYTES || rows.len() <= 1 {
            if bytes > ROW_BYTES {
                let why = format!("a row has {bytes} bytes of repeated values, at most {ROW_BYTES} are taken");
                return Err(IngestFault::Batch(why));
            }
            pieces.push(batch.slice(start, rows.len()));
        } else {
            let middle = start + rows.len() / 2;
            waiting.extend([(middle, end), (start, middle)]);
        }
    }
    Ok(pieces)
}

/// Bytes that the repeated values among some rows of a column have when each is written out.
fn repeated(array: &dyn Array, rows: Range<usize>) -> u64 {
    match array.data_type() {
        DataType::Dictionary(..) => {
            downcast_dictionary_array! {
                array => of_dictionary(array, rows),
                _ => 0
            }
        }
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => of_runs::<Int16Type>(array, rows),
            DataType::Int32 => of_runs::<Int32Type>(array, rows),
            _ => of_runs::<Int64Type>(array, rows),
        },
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            repeated(list.values(), offsets[rows.start] as usize..offsets[rows.end] as usize)
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let offsets = list.value_offsets();
            repeated(list.values(), offsets[rows.start] as usize..offsets[rows.end] as usize)
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let offsets = map.value_offsets();
            repeated(map.entries(), offsets[rows.start] as usize..offsets[rows.end] as usize)
        }
        DataType::FixedSizeList(_, size) => {
            let (list, size) = (array.as_fixed_size_list(), *size as usize);
            repeated(list.values(), rows.start * size..rows.end * size)
        }
        // Views may share elements: each counts with all its bytes.
        DataType::ListView(_) => rows.map(|row| whole(&array.as_list_view::<i32>().value(row))).sum(),
        DataType::LargeListView(_) => rows.map(|row| whole(&array.as_list_view::<i64>().value(row))).sum(),
        DataType::Utf8View => rows.map(|row| array.as_string_view().value(row).len() as u64).sum(),
        DataType::BinaryView => rows.map(|row| array.as_binary_view().value(row).len() as u64).sum(),
        DataType::Struct(_) => array.as_struct().columns().iter().map(|column| repeated(column, rows.clone())).sum(),
        _ => 0,
    }
}

fn of_dictionary<K: ArrowDictionaryKeyType>(array: &arrow::array::DictionaryArray<K>, rows: Range<usize>) -> u64 {
    let values = array.values();
    let bytes = |row: usize| array.key(row).map_or(0, |key| value(values, key));
    rows.map(bytes).sum()
}

fn of_runs<R: RunEndIndexType>(array: &dyn Array, rows: Range<usize>) -> u64 {
    let Some(runs) = array.as_run_opt::<R>() else { return 0 };
    let values = runs.values();
    rows.map(|row| value(values, runs.get_physical_index(row))).sum()
}

/// Bytes of one value.
fn value(values: &ArrayRef, index: usize) -> u64 {
    let bytes = match values.data_type() {
        _ if values.is_null(index) => 0,
        DataType::Utf8 => values.as_string::<i32>().value(index).len(),
        DataType::LargeUtf8 => values.as_string::<i64>().value(index).len(),
        DataType::Binary => values.as_binary::<i32>().value(index).len(),
        DataType::LargeBinary => values.as_binary::<i64>().value(index).len(),
        data_type => match data_type.primitive_width() {
            Some(width) => width,
            None => return whole(&values.slice(index, 1)),
        },
    };
    bytes as u64
}

/// Bytes of an array's own values, and of those that are repeated inside of it.
fn whole(array: &ArrayRef) -> u64 {
    let own = array.to_data().get_slice_memory_size().unwrap_or(usize::MAX) as u64;
    own.saturating_add(repeated(array, 0..array.len()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{DictionaryArray, Int32Array, ListViewArray, RunArray, StringArray, StringViewArray};
    use arrow::buffer::ScalarBuffer;
    use arrow::datatypes::Field;

    use super::*;

    fn batch(array: impl Array + 'static) -> RecordBatch {
        RecordBatch::try_from_iter([("c", Arc::new(array) as ArrayRef)]).expect("a batch")
    }

    fn long(bytes: usize) -> StringArray {
        StringArray::from(vec!["x".repeat(bytes)])
    }

    #[test]
    fn long_repeats_come_in_pieces_and_short_ones_at_once() {
        let rows = 1000;
        let keys = Int32Array::from(vec![0; rows]);
        let dictionary = |bytes| DictionaryArray::new(keys.clone(), Arc::new(long(bytes)));
        let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![rows as i32]), &long(1 << 20)).expect("runs");
        let view = StringViewArray::from_iter_values(std::iter::repeat_n("x".repeat(1 << 20), 20));
        let shared = ListViewArray::new(
            Arc::new(Field::new_list_field(DataType::Utf8, true)),
            ScalarBuffer::from(vec![0; rows]),
            ScalarBuffer::from(vec![1; rows]),
            Arc::new(long(1 << 20)),
            None,
        );
        for (batch, least) in [
            (batch(dictionary(10)), 1),
            (batch(dictionary(1 << 20)), 125),
            (batch(runs), 125),
            (batch(shared), 125),
            (batch(view), 3),
            (batch(long(32 << 20)), 1),
        ] {
            let pieces = of(&batch).expect("every row is small enough");
            assert!((least..=2 * least + 2).contains(&pieces.len()), "{}: {}", batch.schema(), pieces.len());
            assert_eq!(pieces.iter().map(RecordBatch::num_rows).sum::<usize>(), batch.num_rows());
        }
        let fault = of(&batch(DictionaryArray::new(keys.clone(), Arc::new(long(65 << 20))))).expect_err("too long");
        assert!(fault.to_string().contains("a row has"), "{fault}");
    }

    #[test]
    fn nothing_is_no_piece_with_rows() {
        let none = DictionaryArray::<Int32Type>::from_iter(Vec::<Option<&str>>::new());
        let pieces = of(&batch(none)).expect("nothing");
        assert_eq!(pieces.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
    }
}
