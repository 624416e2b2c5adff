//! Functions that make arrays: of values, of ranges, of other arrays.

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, Int64Array, StructArray};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::DataType;

use super::common::common;
use super::elements::{Lists, Picked, list_array, pick};
use super::{
    Checked, Class, Native, array_of, bytes, each, element_of, fits, internal, longs, strings, text_array, to, value,
    varchar,
};
use crate::emulator::engine::cast::convert;
use crate::emulator::engine::types;
use crate::emulator::model::Failure;
use crate::types::AthenaType::{self, *};
use crate::types::RowField;

/// The longest array that sequence, repeat and combinations make.
const MAX_ENTRIES: i64 = 10_000;

pub const FUNCTIONS: &[Native] = &[
    Native::of("athena_array", array_type, array).seeing_nulls(),
    Native::of("athena_flatten", flatten_type, flatten),
    Native::of("athena_repeat", repeat_type, repeat).seeing_nulls(),
    Native::of("athena_sequence", sequence_type, sequence),
    Native::of("athena_zip", zip_type, zip),
    Native::of(
        "athena_ngrams",
        |given| matches!(given, [Array(Some(_)), count] if Class::Int.has(count)).then(|| array_of(given[0].clone())),
        ngrams,
    ),
    Native::of(
        "athena_combinations",
        |given| matches!(given, [Array(Some(_)), count] if Class::Int.has(count)).then(|| array_of(given[0].clone())),
        combinations,
    ),
    Native::of("athena_concat", concat_type, concatenate).seeing_nulls(),
    // What UNNEST … WITH ORDINALITY needs: the numbers of the elements.
    Native::of("athena_ordinality", |given| (!given.is_empty()).then(|| array_of(Bigint)), ordinality).seeing_nulls(),
];

fn ordinality(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let lists = args.iter().map(Lists::of).collect::<Checked<Vec<_>>>()?;
    let longest = |row: usize| lists.iter().map(|list| list.range(row).len()).max().unwrap_or(0);
    let lengths: Vec<usize> = (0..lists[0].rows()).map(longest).collect();
    let numbers: Int64Array = lengths.iter().flat_map(|length| 1..=*length as i64).map(Some).collect();
    let known = vec![true; lengths.len()];
    list_array(Arc::new(numbers), lengths, known, result)
}

/// `ARRAY[…]`: elements of one type.
fn array_type(given: &[AthenaType]) -> Option<AthenaType> {
    let mut element = Unknown;
    for t in given {
        element = common(&element, t)?;
    }
    Some(array_of(element))
}

fn array(args: &[ArrayRef], given: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let rows = args[0].len();
    let element = element_of(result).cloned().unwrap_or(Unknown);
    if given.is_empty() {
        let nothing = datafusion::arrow::array::new_empty_array(&types::arrow(&element)?);
        return list_array(nothing, vec![0; rows], vec![true; rows], result);
    }
    let columns =
        args.iter().zip(given).map(|(column, t)| convert(column, t, &element)).collect::<Checked<Vec<_>>>()?;
    let columns: Vec<&dyn datafusion::arrow::array::Array> = columns.iter().map(|column| column.as_ref()).collect();
    let all = concat(&columns).map_err(internal)?;
    let mut picked = Picked::default();
    for row in 0..rows {
        picked.push((0..columns.len()).map(|column| column * rows + row));
    }
    picked.lists(&all, result)
}

fn flatten_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [Array(Some(inner))] if matches!(inner.as_ref(), Array(Some(_))) => Some(inner.as_ref().clone()),
        _ => None,
    }
}

fn flatten(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let outer = Lists::of(&args[0])?;
    let inner = Lists::of(&outer.values)?;
    let mut picked = Picked::default();
    for row in 0..outer.rows() {
        if outer.is_null(row) {
            picked.push_null();
        } else {
            picked.push(outer.range(row).flat_map(|place| inner.range(place)).collect::<Vec<_>>());
        }
    }
    picked.lists(&inner.values, result)
}

fn repeat_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [element, count] if Class::Int.has(count) => Some(array_of(element.clone())),
        _ => None,
    }
}

fn repeat(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let count = longs(&args[1])?;
    let mut picked = Picked::default();
    for row in 0..args[0].len() {
        match value!(count, row) {
            Some(count) if count > MAX_ENTRIES => {
                return Err(Failure::invalid_argument(format!(
                    "count argument of repeat function must be less than or equal to {MAX_ENTRIES}"
                )));
            }
            Some(count) => picked.push(std::iter::repeat_n(row, count.max(0) as usize)),
            None => picked.push_null(),
        }
    }
    picked.lists(&args[0], result)
}

fn sequence_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [a, b] if Class::Int.has(a) && Class::Int.has(b) => Some(array_of(Bigint)),
        [a, b, step] if Class::Int.has(a) && Class::Int.has(b) && Class::Int.has(step) => Some(array_of(Bigint)),
        [Date, Date] | [Date, Date, IntervalDayToSecond | IntervalYearToMonth] => Some(array_of(Date)),
        [t @ Timestamp(_), Timestamp(_), IntervalDayToSecond | IntervalYearToMonth] => Some(array_of(t.clone())),
        _ => None,
    }
}

fn too_long() -> Failure {
    Failure::invalid_argument(format!("result of sequence function must not have more than {MAX_ENTRIES} entries"))
}

fn sequence(args: &[ArrayRef], given: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    if !Class::Int.has(&given[0]) {
        return super::times::sequence(args, given, result, MAX_ENTRIES as usize);
    }
    let (start, stop) = (longs(&args[0])?, longs(&args[1])?);
    let step = args.get(2).map(longs).transpose()?;
    let (mut values, mut lengths, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..start.len() {
        let step_here = match &step {
            Some(step) => value!(step, row),
            None => Some(if start.is_valid(row) && stop.is_valid(row) && start.value(row) > stop.value(row) {
                -1
            } else {
                1
            }),
        };
        let (Some(from), Some(until), Some(step)) = (value!(start, row), value!(stop, row), step_here) else {
            lengths.push(0);
            known.push(false);
            continue;
        };
        if step == 0 || (step > 0 && from > until) || (step < 0 && from < until) {
            return Err(Failure::invalid_argument(
                "sequence stop value should be greater than or equal to start value if step is greater than zero \
                 otherwise stop should be less than or equal to start",
            ));
        }
        let count = (i128::from(until) - i128::from(from)) / i128::from(step) + 1;
        if count > i128::from(MAX_ENTRIES) {
            return Err(too_long());
        }
        // A step may be wider than half of all numbers; what it leads to is between the ends.
        values.extend((0..count as i64).map(|i| from.wrapping_add(i.wrapping_mul(step))));
        lengths.push(count as usize);
        known.push(true);
    }
    list_array(Arc::new(Int64Array::from(values)), lengths, known, result)
}

fn zip_type(given: &[AthenaType]) -> Option<AthenaType> {
    if !(2..=5).contains(&given.len()) {
        return None;
    }
    let fields = given.iter().map(|t| Some(RowField { name: None, data_type: element_of(t)?.clone() }));
    Some(array_of(Row(Some(fields.collect::<Option<_>>()?))))
}

fn zip(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let lists = args.iter().map(Lists::of).collect::<Checked<Vec<_>>>()?;
    let rows = lists[0].rows();
    let mut places: Vec<Vec<Option<usize>>> = vec![Vec::new(); lists.len()];
    let (mut lengths, mut known) = (Vec::new(), Vec::new());
    for row in 0..rows {
        let any_null = lists.iter().any(|list| list.is_null(row));
        let length = if any_null { 0 } else { lists.iter().map(|list| list.range(row).len()).max().unwrap_or(0) };
        for (list, places) in lists.iter().zip(&mut places) {
            let range = list.range(row);
            places.extend((0..length).map(|i| (i < range.len()).then_some(range.start + i)));
        }
        lengths.push(length);
        known.push(!any_null);
    }
    let DataType::List(item) = types::arrow(result)? else { return Err(Failure::internal("zip gives an array")) };
    let DataType::Struct(fields) = item.data_type() else { return Err(Failure::internal("zip gives rows")) };
    let columns = lists
        .iter()
        .zip(places)
        .zip(fields)
        .map(|((list, places), field)| to(&pick(&list.values, places)?, field.data_type()));
    let columns = columns.collect::<Checked<Vec<_>>>()?;
    let structs = StructArray::try_new(fields.clone(), columns, None).map_err(internal)?;
    list_array(Arc::new(structs), lengths, known, result)
}

/// Lists of lists of elements.
fn nested(
    args: &[ArrayRef],
    result: &AthenaType,
    mut groups: impl FnMut(std::ops::Range<usize>, i64) -> Checked<Vec<Vec<usize>>>,
) -> Checked<ArrayRef> {
    let (lists, count) = (Lists::of(&args[0])?, longs(&args[1])?);
    let mut inner = Picked::default();
    let (mut lengths, mut known) = (Vec::new(), Vec::new());
    for row in 0..lists.rows() {
        let Some(count) = value!(count, row).filter(|_| !lists.is_null(row)) else {
            lengths.push(0);
            known.push(false);
            continue;
        };
        let groups = groups(lists.range(row), count)?;
        lengths.push(groups.len());
        known.push(true);
        groups.into_iter().for_each(|group| inner.push(group));
    }
    let element = element_of(result).cloned().unwrap_or(Unknown);
    list_array(inner.lists(&lists.values, &element)?, lengths, known, result)
}

fn ngrams(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    nested(args, result, |range, count| {
        let size = usize::try_from(count).ok().filter(|size| *size > 0);
        let size = size.ok_or_else(|| Failure::invalid_argument("N must be positive"))?.min(range.len().max(1));
        let places: Vec<usize> = range.collect();
        Ok(if places.is_empty() { vec![vec![]] } else { places.windows(size).map(<[usize]>::to_vec).collect() })
    })
}

fn combinations(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    nested(args, result, |range, size| {
        if !(0..=5).contains(&size) {
            return Err(Failure::invalid_argument(if size < 0 {
                format!("combination size must not be negative: {size}")
            } else {
                "combination size must not exceed 5".to_owned()
            }));
        }
        let mut all: Vec<Vec<usize>> = vec![Vec::new()];
        for _ in 0..size {
            let longer = all.iter().flat_map(|group| {
                let next = group.last().map_or(range.start, |last| last + 1);
                (next..range.end).map(|place| group.iter().copied().chain([place]).collect())
            });
            all = longer.take(100_001).collect();
            if all.len() > 100_000 {
                return Err(Failure::invalid_argument("combinations exceed max size"));
            }
        }
        // Trino counts up the first element fastest: sorted by the last, then the one before it.
        all.sort_by(|a, b| a.iter().rev().cmp(b.iter().rev()));
        Ok(all)
    })
}

/// `concat` and `||`: texts, binaries, arrays, and an array with an element in front or behind.
fn concat_type(given: &[AthenaType]) -> Option<AthenaType> {
    if given.len() < 2 {
        return None;
    }
    if given.iter().all(|t| Class::Text.has(t)) {
        return Some(varchar());
    }
    if fits(given, &vec![Class::Binary; given.len()]) {
        return Some(Varbinary);
    }
    match given {
        [a @ Array(Some(_)), b @ Array(Some(_))] => common(a, b).or_else(|| with_element(a, b)),
        [a @ Array(Some(_)), b] | [b, a @ Array(Some(_))] => with_element(a, b),
        _ => {
            let mut whole = given[0].clone();
            for t in &given[1..] {
                whole = match (&whole, t) {
                    (Array(_), Array(_)) => common(&whole, t)?,
                    _ => return None,
                };
            }
            Some(whole)
        }
    }
}

fn with_element(array: &AthenaType, element: &AthenaType) -> Option<AthenaType> {
    common(element_of(array)?, element).map(array_of)
}

fn concatenate(args: &[ArrayRef], given: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let rows = args[0].len();
    match result {
        Varbinary => {
            let parts = args.iter().map(bytes).collect::<Checked<Vec<_>>>()?;
            super::binary_array(each(rows, |row| {
                let parts: Option<Vec<&[u8]>> = parts.iter().map(|part| value!(part, row)).collect();
                Ok(parts.map(|parts| parts.concat()))
            })?)
        }
        Array(_) => {
            let mut lists = Vec::new();
            for (arg, t) in args.iter().zip(given) {
                // What does not fit as an array of the result's kind is one element.
                let whole = common(t, result).filter(|both| both == result && *t != Unknown).is_some();
                let list = if whole {
                    convert(arg, t, result)?
                } else {
                    let element = element_of(result).cloned().unwrap_or(Unknown);
                    let elements = convert(arg, t, &element)?;
                    list_array(elements, vec![1; rows], (0..rows).map(|row| !arg.is_null(row)).collect(), result)?
                };
                lists.push(Lists::of(&list)?);
            }
            let values: Vec<&dyn datafusion::arrow::array::Array> =
                lists.iter().map(|list| list.values.as_ref()).collect();
            let all = concat(&values).map_err(internal)?;
            let mut starts = vec![0];
            for list in &lists {
                starts.push(starts[starts.len() - 1] + list.values.len());
            }
            let mut picked = Picked::default();
            for row in 0..rows {
                if lists.iter().any(|list| list.is_null(row)) {
                    picked.push_null();
                } else {
                    let places = lists.iter().zip(&starts);
                    picked.push(places.flat_map(|(list, start)| list.range(row).map(move |place| place + start)));
                }
            }
            picked.lists(&all, result)
        }
        _ => {
            let parts = args.iter().map(strings).collect::<Checked<Vec<_>>>()?;
            text_array(each(rows, |row| {
                let parts: Option<Vec<&str>> = parts.iter().map(|part| value!(part, row)).collect();
                Ok(parts.map(|parts| parts.concat()))
            })?)
        }
    }
}
