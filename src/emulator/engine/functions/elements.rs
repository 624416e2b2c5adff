//! Arrays as rows of elements: what the array and map functions are made of.

use std::ops::Deref;
use std::sync::Arc;

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{Array, ArrayRef, ListArray, MapArray, StructArray, UInt32Array};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::arrow::row::{RowConverter, Rows, SortField};

use super::{Checked, internal, to};
use crate::emulator::engine::types;
use crate::emulator::model::Failure;
use crate::types::AthenaType;

/// Where the elements of each row lie among those of all rows.
pub struct Spans {
    offsets: Vec<usize>,
    nulls: Option<NullBuffer>,
}

impl Spans {
    fn of(offsets: &OffsetBuffer<i32>, nulls: Option<&NullBuffer>) -> Self {
        Self { offsets: offsets.iter().map(|offset| *offset as usize).collect(), nulls: nulls.cloned() }
    }

    pub fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    pub fn range(&self, row: usize) -> std::ops::Range<usize> {
        if self.is_null(row) { 0..0 } else { self.offsets[row]..self.offsets[row + 1] }
    }
}

/// The lists of one column.
pub struct Lists {
    pub values: ArrayRef,
    spans: Spans,
}

impl Deref for Lists {
    type Target = Spans;

    fn deref(&self) -> &Spans {
        &self.spans
    }
}

impl Lists {
    pub fn of(array: &ArrayRef) -> Checked<Self> {
        let list = match array.data_type() {
            DataType::List(_) => Arc::clone(array),
            DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                to(array, &DataType::List(Arc::clone(item)))?
            }
            other => return Err(Failure::internal(format!("{other} is not an array"))),
        };
        let list = list.as_list::<i32>();
        Ok(Self { values: Arc::clone(list.values()), spans: Spans::of(list.offsets(), list.nulls()) })
    }
}

/// Values made comparable: equal bytes are equal values, NULL equals NULL, and sorts last.
pub struct Comparable {
    rows: Rows,
}

impl Comparable {
    /// Makes arrays of one type comparable with each other.
    pub fn of<const N: usize>(arrays: [&ArrayRef; N]) -> Checked<[Self; N]> {
        let options = datafusion::arrow::compute::SortOptions { descending: false, nulls_first: false };
        let field = SortField::new_with_options(arrays[0].data_type().clone(), options);
        let converter = RowConverter::new(vec![field])
            .map_err(|error| Failure::not_supported(None, format!("comparing values of this type: {error}")))?;
        let mut made = Vec::with_capacity(N);
        for array in arrays {
            let rows = converter.convert_columns(&[Arc::clone(array)]).map_err(internal)?;
            made.push(Self { rows });
        }
        made.try_into().map_err(|_| Failure::internal("as many as were given"))
    }

    pub fn bytes(&self, at: usize) -> &[u8] {
        self.rows.row(at).data()
    }

    pub fn compare(&self, a: usize, b: usize) -> std::cmp::Ordering {
        self.rows.row(a).cmp(&self.rows.row(b))
    }
}

/// Collects lists of elements that are taken from one array by their places.
#[derive(Default)]
pub struct Picked {
    places: Vec<Option<u32>>,
    lengths: Vec<usize>,
    known: Vec<bool>,
}

impl Picked {
    pub fn push(&mut self, places: impl IntoIterator<Item = usize>) {
        self.push_optional(places.into_iter().map(Some));
    }

    pub fn push_optional(&mut self, places: impl IntoIterator<Item = Option<usize>>) {
        let before = self.places.len();
        self.places.extend(places.into_iter().map(|place| place.map(|place| place as u32)));
        self.lengths.push(self.places.len() - before);
        self.known.push(true);
    }

    pub fn push_null(&mut self) {
        self.lengths.push(0);
        self.known.push(false);
    }

    /// The lists as an array of `result`.
    pub fn lists(self, values: &ArrayRef, result: &AthenaType) -> Checked<ArrayRef> {
        let taken = take(values, &UInt32Array::from(self.places), None).map_err(internal)?;
        list_array(taken, self.lengths, self.known, result)
    }
}

/// One element per row, or NULL.
pub fn pick(values: &ArrayRef, places: Vec<Option<usize>>) -> Checked<ArrayRef> {
    let places: UInt32Array = places.into_iter().map(|place| place.map(|place| place as u32)).collect();
    take(values, &places, None).map_err(internal)
}

/// Lists of these lengths over elements that lie one behind the other.
pub fn list_array(elements: ArrayRef, lengths: Vec<usize>, known: Vec<bool>, result: &AthenaType) -> Checked<ArrayRef> {
    let DataType::List(item) = types::arrow(result)? else {
        return Err(Failure::internal(format!("{result} is not an array")));
    };
    let elements = to(&elements, item.data_type())?;
    let lists = ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), elements, Some(known.into()));
    Ok(Arc::new(lists.map_err(internal)?))
}

/// Maps of these lengths over keys and values that lie one behind the other.
pub fn map_array(
    keys: ArrayRef,
    values: ArrayRef,
    lengths: Vec<usize>,
    known: Vec<bool>,
    result: &AthenaType,
) -> Checked<ArrayRef> {
    let DataType::Map(entries, _) = types::arrow(result)? else {
        return Err(Failure::internal(format!("{result} is not a map")));
    };
    let DataType::Struct(fields) = entries.data_type() else { return Err(Failure::internal("a map without entries")) };
    let columns = vec![to(&keys, fields[0].data_type())?, to(&values, fields[1].data_type())?];
    let structs = StructArray::try_new(fields.clone(), columns, None).map_err(internal)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(MapArray::try_new(entries, offsets, structs, Some(known.into()), false).map_err(internal)?))
}

/// The maps of one column.
pub struct Maps {
    pub keys: ArrayRef,
    pub values: ArrayRef,
    spans: Spans,
}

impl Deref for Maps {
    type Target = Spans;

    fn deref(&self) -> &Spans {
        &self.spans
    }
}

impl Maps {
    pub fn of(array: &ArrayRef) -> Checked<Self> {
        let Some(map) = array.as_map_opt() else {
            return Err(Failure::internal(format!("{} is not a map", array.data_type())));
        };
        Ok(Self {
            keys: Arc::clone(map.keys()),
            values: Arc::clone(map.values()),
            spans: Spans::of(map.offsets(), map.nulls()),
        })
    }
}

/// The fields of the rows in a column.
pub fn row_columns(array: &ArrayRef) -> Checked<(Vec<FieldRef>, Vec<ArrayRef>)> {
    let Some(rows) = array.as_struct_opt() else {
        return Err(Failure::internal(format!("{} is not a row", array.data_type())));
    };
    Ok((rows.fields().iter().cloned().collect(), rows.columns().to_vec()))
}
