//! Functions over arrays, and those over arrays or something else: cardinality, element_at, subscripts, concat, reverse.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, Int64Array, StructArray};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::DataType;

use super::elements::{Comparable, Lists, Maps, Picked, list_array, pick};
use super::{
    Checked, Class, Constants, Native, Typing, array_of, boolean_array, bytes, each, fits, internal, long_array, longs,
    strings, text_array, to, value, varchar,
};
use crate::emulator::engine::{text, types};
use crate::emulator::model::Failure;
use crate::types::AthenaType::{self, *};
use crate::types::RowField;

/// The longest array that sequence, repeat and combinations make.
const MAX_ENTRIES: i64 = 10_000;

pub const FUNCTIONS: &[Native] = &[
    Native::of("athena_array", array_type, array).seeing_nulls(),
    Native::of("athena_cardinality", |given| matches!(given, [Array(_) | Map(_)]).then_some(Bigint), cardinality),
    Native::new("athena_subscript", Typing::ByConstant(subscript_type), subscript),
    Native::of("athena_element_at", element_type, |args, given, result| element(args, given, result, false)),
    Native::of("athena_contains", |given| searched(given).then_some(Boolean), contains),
    Native::of("athena_array_position", |given| searched(given).then_some(Bigint), array_position),
    Native::of("athena_array_remove", |given| searched(given).then(|| given[0].clone()), array_remove),
    Native::of("athena_array_distinct", same_array, array_distinct),
    Native::of("athena_array_sort", same_array, array_sort),
    Native::of("athena_array_max", one_element, |args, _, _| extreme(args, true)),
    Native::of("athena_array_min", one_element, |args, _, _| extreme(args, false)),
    Native::of("athena_array_union", two_arrays, |args, given, result| set_operation(args, given, result, Set::Union)),
    Native::of("athena_array_intersect", two_arrays, |args, given, result| {
        set_operation(args, given, result, Set::Intersect)
    }),
    Native::of("athena_array_except", two_arrays, |args, given, result| {
        set_operation(args, given, result, Set::Except)
    }),
    Native::of("athena_arrays_overlap", |given| two_arrays(given).map(|_| Boolean), arrays_overlap),
    Native::of("athena_array_join", join_type, array_join).seeing_nulls(),
    Native::of("athena_slice", slice_type, slice),
    Native::of("athena_trim_array", trim_type, trim_array),
    Native::of("athena_flatten", flatten_type, flatten),
    Native::of("athena_repeat", repeat_type, repeat).seeing_nulls(),
    Native::of("athena_sequence", sequence_type, sequence),
    Native::of("athena_zip", zip_type, zip),
    Native::of("athena_ngrams", |given| slices(given).then(|| array_of(given[0].clone())), ngrams),
    Native::of("athena_combinations", |given| slices(given).then(|| array_of(given[0].clone())), combinations),
    Native::of("athena_shuffle", same_array, shuffle).volatile(),
    Native::of("athena_reverse", reverse_type, reverse),
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

fn element_of(t: &AthenaType) -> Option<&AthenaType> {
    match t {
        Array(Some(element)) => Some(element),
        _ => None,
    }
}

fn is_integer(t: &AthenaType) -> bool {
    Class::Int.has(t)
}

/// The type that values of both can be turned into without loss of meaning.
pub fn common(a: &AthenaType, b: &AthenaType) -> Option<AthenaType> {
    if a == b || *b == Unknown {
        return Some(a.clone());
    }
    if *a == Unknown {
        return Some(b.clone());
    }
    let rank = |t: &AthenaType| match t {
        Tinyint => Some(0),
        Smallint => Some(1),
        Integer => Some(2),
        Bigint => Some(3),
        Decimal { .. } => Some(4),
        Real => Some(5),
        Double => Some(6),
        _ => None,
    };
    let digits = |t: &AthenaType| match t {
        Tinyint => Some((3, 0)),
        Smallint => Some((5, 0)),
        Integer => Some((10, 0)),
        Bigint => Some((19, 0)),
        Decimal { precision, scale } => Some((*precision, *scale)),
        _ => None,
    };
    match (a, b) {
        (Varchar(_) | Char(_), Varchar(_) | Char(_)) => Some(varchar()),
        (Date, Timestamp(p)) | (Timestamp(p), Date) => Some(Timestamp(*p)),
        (Date | Timestamp(_), TimestampWithTimeZone(p)) | (TimestampWithTimeZone(p), Date | Timestamp(_)) => {
            Some(TimestampWithTimeZone(*p))
        }
        (Timestamp(p), Timestamp(q)) => Some(Timestamp((*p).max(*q))),
        (TimestampWithTimeZone(p), TimestampWithTimeZone(q)) => Some(TimestampWithTimeZone((*p).max(*q))),
        (Array(Some(a)), Array(Some(b))) => common(a, b).map(array_of),
        (Map(Some(a)), Map(Some(b))) => Some(Map(Some(Box::new((common(&a.0, &b.0)?, common(&a.1, &b.1)?))))),
        (Row(Some(a)), Row(Some(b))) if a.len() == b.len() => {
            let fields = a.iter().zip(b).map(|(a, b)| {
                let name = a.name.clone().filter(|name| Some(name) == b.name.as_ref());
                Some(RowField { name, data_type: common(&a.data_type, &b.data_type)? })
            });
            Some(Row(Some(fields.collect::<Option<_>>()?)))
        }
        _ => match (rank(a)?, rank(b)?) {
            (4, other) | (other, 4) if other <= 4 => {
                let ((p1, s1), (p2, s2)) = (digits(a)?, digits(b)?);
                let scale = s1.max(s2);
                let precision = ((p1 - s1).max(p2 - s2) + scale).min(38);
                Some(Decimal { precision, scale })
            }
            (x, y) => Some(if x >= y { a.clone() } else { b.clone() }),
        },
    }
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
    let columns = args
        .iter()
        .zip(given)
        .map(|(column, t)| super::super::cast::convert(column, t, &element))
        .collect::<Checked<Vec<_>>>()?;
    let columns: Vec<&dyn datafusion::arrow::array::Array> = columns.iter().map(|column| column.as_ref()).collect();
    let all = concat(&columns).map_err(internal)?;
    let mut picked = Picked::default();
    for row in 0..rows {
        picked.push((0..columns.len()).map(|column| column * rows + row));
    }
    picked.lists(&all, result)
}

fn cardinality(args: &[ArrayRef], given: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    if matches!(given[0], Map(_)) {
        let maps = Maps::of(&args[0])?;
        return long_array(each(maps.rows(), |row| Ok((!maps.is_null(row)).then(|| maps.range(row).len() as i64)))?);
    }
    let lists = Lists::of(&args[0])?;
    long_array(each(lists.rows(), |row| Ok((!lists.is_null(row)).then(|| lists.range(row).len() as i64)))?)
}

fn element_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [Array(Some(element)), index] if is_integer(index) => Some(element.as_ref().clone()),
        [Map(Some(entry)), key] if common(&entry.0, key).is_some() => Some(entry.1.clone()),
        _ => None,
    }
}

/// The third argument is the index as text where it is a literal: a row's field has to be known beforehand.
fn subscript_type(given: &[AthenaType], constants: &Constants) -> Checked<Option<AthenaType>> {
    match given {
        [Row(Some(_)), _, _] => super::rows::field_type(given, constants),
        [Row(Some(_)), _] => Err(Failure::invalid_query("Subscript expression on ROW requires a constant index")),
        [value, index, ..] => Ok(element_type(&[value.clone(), index.clone()])),
        _ => Ok(None),
    }
}

fn subscript(args: &[ArrayRef], given: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    if matches!(given[0], Row(_)) {
        return super::rows::field_at(&args[0], given, &args[2]);
    }
    element(&args[..2], &given[..2], result, true)
}

/// `a[i]` is strict, `element_at` gives NULL for what is not there and counts from the end for negative places.
fn element(args: &[ArrayRef], given: &[AthenaType], _: &AthenaType, strict: bool) -> Checked<ArrayRef> {
    if matches!(given[0], Map(_)) {
        return map_element(args, strict);
    }
    let (lists, index) = (Lists::of(&args[0])?, longs(&args[1])?);
    let places = each(lists.rows(), |row| {
        let Some(index) = value!(index, row).filter(|_| !lists.is_null(row)) else { return Ok(None) };
        let range = lists.range(row);
        let length = range.len() as i64;
        if index == 0 {
            return Err(Failure::invalid_argument("SQL array indices start at 1"));
        }
        if strict && index < 0 {
            return Err(Failure::invalid_argument(format!("Array subscript is negative: {index}")));
        }
        if index.abs() > length {
            return if strict {
                Err(Failure::invalid_argument(format!(
                    "Array subscript must be less than or equal to array length: {index} > {length}"
                )))
            } else {
                Ok(None)
            };
        }
        Ok(Some(if index > 0 { range.start + index as usize - 1 } else { range.end - index.unsigned_abs() as usize }))
    })?;
    pick(&lists.values, places)
}

fn map_element(args: &[ArrayRef], strict: bool) -> Checked<ArrayRef> {
    let maps = Maps::of(&args[0])?;
    let wanted = to(&args[1], maps.keys.data_type())?;
    let [keys, sought] = Comparable::of([&maps.keys, &wanted])?;
    let places = each(maps.rows(), |row| {
        if maps.is_null(row) || wanted.is_null(row) {
            return Ok(None);
        }
        let found = maps.range(row).find(|place| keys.bytes(*place) == sought.bytes(row));
        if strict && found.is_none() {
            let mut key = String::new();
            text::append(&mut key, &wanted, row, &types::athena_of(wanted.data_type())?)?;
            return Err(Failure::invalid_argument(format!("Key not present in map: {key}")));
        }
        Ok(found)
    })?;
    pick(&maps.values, places)
}

fn searched(given: &[AthenaType]) -> bool {
    match given {
        [Array(Some(element)), sought] => common(element, sought).is_some(),
        _ => false,
    }
}

/// The elements and the value looked for, comparable in their common type.
fn sought(args: &[ArrayRef], given: &[AthenaType]) -> Checked<(Lists, ArrayRef, [Comparable; 2])> {
    let lists = Lists::of(&args[0])?;
    let element = element_of(&given[0]).cloned().unwrap_or(Unknown);
    let both = common(&element, &given[1]).unwrap_or(Unknown);
    let values = super::super::cast::convert(&lists.values, &element, &both)?;
    let wanted = super::super::cast::convert(&args[1], &given[1], &both)?;
    let comparable = Comparable::of([&values, &wanted])?;
    Ok((lists, wanted, comparable))
}

fn contains(args: &[ArrayRef], given: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let (lists, wanted, [values, sought]) = sought(args, given)?;
    boolean_array(each(lists.rows(), |row| {
        if lists.is_null(row) || wanted.is_null(row) {
            return Ok(None);
        }
        let found = lists.range(row).any(|place| values.bytes(place) == sought.bytes(row));
        let unknown = || lists.range(row).any(|place| lists.values.is_null(place));
        Ok(if found { Some(true) } else { (!unknown()).then_some(false) })
    })?)
}

fn array_position(args: &[ArrayRef], given: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let (lists, wanted, [values, sought]) = sought(args, given)?;
    long_array(each(lists.rows(), |row| {
        if lists.is_null(row) || wanted.is_null(row) {
            return Ok(None);
        }
        let found = lists.range(row).position(|place| values.bytes(place) == sought.bytes(row));
        Ok(Some(found.map_or(0, |place| place as i64 + 1)))
    })?)
}

fn array_remove(args: &[ArrayRef], given: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let (lists, wanted, [values, sought]) = sought(args, given)?;
    let mut picked = Picked::default();
    for row in 0..lists.rows() {
        if lists.is_null(row) || wanted.is_null(row) {
            picked.push_null();
        } else {
            picked.push(lists.range(row).filter(|place| values.bytes(*place) != sought.bytes(row)));
        }
    }
    picked.lists(&lists.values, result)
}

fn same_array(given: &[AthenaType]) -> Option<AthenaType> {
    matches!(given, [Array(Some(_))]).then(|| given[0].clone())
}

/// Lists row by row: which places of the elements each new list takes.
fn rearranged(
    args: &[ArrayRef],
    result: &AthenaType,
    mut places: impl FnMut(&Lists, usize) -> Checked<Vec<usize>>,
) -> Checked<ArrayRef> {
    let lists = Lists::of(&args[0])?;
    let mut picked = Picked::default();
    for row in 0..lists.rows() {
        if lists.is_null(row) {
            picked.push_null();
        } else {
            picked.push(places(&lists, row)?);
        }
    }
    picked.lists(&lists.values, result)
}

fn array_distinct(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let [values] = Comparable::of([&Lists::of(&args[0])?.values])?;
    rearranged(args, result, |lists, row| {
        let mut seen = HashSet::new();
        Ok(lists.range(row).filter(|place| seen.insert(values.bytes(*place))).collect())
    })
}

/// Ascending, NULLs last.
fn array_sort(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let [values] = Comparable::of([&Lists::of(&args[0])?.values])?;
    rearranged(args, result, |lists, row| {
        let mut places: Vec<usize> = lists.range(row).collect();
        places.sort_by(|a, b| values.compare(*a, *b));
        Ok(places)
    })
}

fn shuffle(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    rearranged(args, result, |lists, row| {
        let mut places: Vec<(uuid::Uuid, usize)> =
            lists.range(row).map(|place| (uuid::Uuid::new_v4(), place)).collect();
        places.sort();
        Ok(places.into_iter().map(|(_, place)| place).collect())
    })
}

fn one_element(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [Array(Some(element))] => Some(element.as_ref().clone()),
        _ => None,
    }
}

/// NULL if an element is NULL, as for an empty array.
fn extreme(args: &[ArrayRef], greatest: bool) -> Checked<ArrayRef> {
    let lists = Lists::of(&args[0])?;
    let [values] = Comparable::of([&lists.values])?;
    let places = each(lists.rows(), |row| {
        if lists.range(row).any(|place| lists.values.is_null(place)) {
            return Ok(None);
        }
        let range = lists.range(row);
        Ok(if greatest {
            range.max_by(|a, b| values.compare(*a, *b))
        } else {
            range.min_by(|a, b| values.compare(*a, *b))
        })
    })?;
    pick(&lists.values, places)
}

fn two_arrays(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [a @ Array(Some(_)), b @ Array(Some(_))] => common(a, b),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    Union,
    Intersect,
    Except,
}

/// Both arrays' elements in one array of the common type; the second's begin at the number given.
fn both_elements(args: &[ArrayRef], given: &[AthenaType]) -> Checked<(Lists, Lists, ArrayRef, usize)> {
    let both = common(&given[0], &given[1]).unwrap_or(Unknown);
    let left = Lists::of(&super::super::cast::convert(&args[0], &given[0], &both)?)?;
    let right = Lists::of(&super::super::cast::convert(&args[1], &given[1], &both)?)?;
    let all = concat(&[left.values.as_ref(), right.values.as_ref()]).map_err(internal)?;
    let second = left.values.len();
    Ok((left, right, all, second))
}

fn set_operation(args: &[ArrayRef], given: &[AthenaType], result: &AthenaType, set: Set) -> Checked<ArrayRef> {
    let (left, right, all, second) = both_elements(args, given)?;
    let [values] = Comparable::of([&all])?;
    let mut picked = Picked::default();
    for row in 0..left.rows() {
        if left.is_null(row) || right.is_null(row) {
            picked.push_null();
            continue;
        }
        let others = right.range(row).map(|place| place + second);
        let other: HashSet<&[u8]> = others.clone().map(|place| values.bytes(place)).collect();
        let mut seen = HashSet::new();
        let own = left.range(row).filter(|place| match set {
            Set::Union => true,
            Set::Intersect => other.contains(values.bytes(*place)),
            Set::Except => !other.contains(values.bytes(*place)),
        });
        let more = others.filter(|_| set == Set::Union);
        picked.push(own.chain(more).filter(|place| seen.insert(values.bytes(*place))).collect::<Vec<_>>());
    }
    picked.lists(&all, result)
}

fn arrays_overlap(args: &[ArrayRef], given: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let (left, right, all, second) = both_elements(args, given)?;
    let [values] = Comparable::of([&all])?;
    boolean_array(each(left.rows(), |row| {
        if left.is_null(row) || right.is_null(row) {
            return Ok(None);
        }
        let right = right.range(row).map(|place| place + second);
        let known = |place: &usize| !all.is_null(*place);
        let other: HashSet<&[u8]> = right.clone().filter(known).map(|place| values.bytes(place)).collect();
        let found = left.range(row).filter(known).any(|place| other.contains(values.bytes(place)));
        let unknown = left.range(row).chain(right).any(|place| all.is_null(place));
        Ok(if found { Some(true) } else { (!unknown).then_some(false) })
    })?)
}

fn join_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [Array(Some(_)), rest @ ..] if (1..=2).contains(&rest.len()) && rest.iter().all(|t| Class::Text.has(t)) => {
            Some(varchar())
        }
        _ => None,
    }
}

/// NULL elements are left out unless there is a text for them.
fn array_join(args: &[ArrayRef], given: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let (lists, delimiter) = (Lists::of(&args[0])?, strings(&args[1])?);
    let replacement = args.get(2).map(strings).transpose()?;
    let element = element_of(&given[0]).cloned().unwrap_or(Unknown);
    let texts = strings(&super::super::cast::convert(&lists.values, &element, &varchar())?)?;
    text_array(each(lists.rows(), |row| {
        let Some(delimiter) = value!(delimiter, row).filter(|_| !lists.is_null(row)) else { return Ok(None) };
        let replacement = match &replacement {
            Some(texts) => value!(texts, row),
            None => None,
        };
        let parts = lists.range(row).filter_map(|place| value!(texts, place).or(replacement));
        Ok(Some(parts.collect::<Vec<_>>().join(delimiter)))
    })?)
}

fn slice_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [array @ Array(Some(_)), start, length] if is_integer(start) && is_integer(length) => Some(array.clone()),
        _ => None,
    }
}

fn slice(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let (start, length) = (longs(&args[1])?, longs(&args[2])?);
    rearranged(args, result, |lists, row| {
        let (start, length) = (start.value(row), length.value(row));
        let range = lists.range(row);
        let count = range.len() as i64;
        if start == 0 {
            return Err(Failure::invalid_argument("SQL array indices start at 1"));
        }
        if length < 0 {
            return Err(Failure::invalid_argument("length must be greater than or equal to 0"));
        }
        let from = if start > 0 { start - 1 } else { count + start };
        if from < 0 || from >= count {
            return Ok(Vec::new());
        }
        let until = from.saturating_add(length).min(count);
        Ok((range.start + from as usize..range.start + until as usize).collect())
    })
}

fn trim_type(given: &[AthenaType]) -> Option<AthenaType> {
    slices(given).then(|| given[0].clone())
}

fn slices(given: &[AthenaType]) -> bool {
    matches!(given, [Array(Some(_)), count] if is_integer(count))
}

fn trim_array(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let count = longs(&args[1])?;
    rearranged(args, result, |lists, row| {
        let range = lists.range(row);
        match usize::try_from(count.value(row)) {
            Ok(count) if count <= range.len() => Ok((range.start..range.end - count).collect()),
            Ok(_) => Err(Failure::invalid_argument("size must not exceed array cardinality")),
            Err(_) => Err(Failure::invalid_argument("size must not be negative")),
        }
    })
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
        [element, count] if is_integer(count) => Some(array_of(element.clone())),
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
        [a, b] if is_integer(a) && is_integer(b) => Some(array_of(Bigint)),
        [a, b, step] if is_integer(a) && is_integer(b) && is_integer(step) => Some(array_of(Bigint)),
        [Date, Date] | [Date, Date, IntervalDayToSecond | IntervalYearToMonth] => Some(array_of(Date)),
        [t @ Timestamp(_), Timestamp(_), IntervalDayToSecond | IntervalYearToMonth] => Some(array_of(t.clone())),
        _ => None,
    }
}

fn too_long() -> Failure {
    Failure::invalid_argument(format!("result of sequence function must not have more than {MAX_ENTRIES} entries"))
}

fn sequence(args: &[ArrayRef], given: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    if !is_integer(&given[0]) {
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
        values.extend((0..count as i64).map(|i| from + i * step));
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

fn reverse_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [t @ (Array(Some(_)) | Varbinary)] => Some(t.clone()),
        [t] if Class::Text.has(t) => Some(varchar()),
        _ => None,
    }
}

fn reverse(args: &[ArrayRef], given: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    match given[0] {
        Array(_) => rearranged(args, result, |lists, row| Ok(lists.range(row).rev().collect())),
        Varbinary => {
            let values = bytes(&args[0])?;
            super::binary_array(each(values.len(), |row| {
                Ok(value!(values, row).map(|bytes| bytes.iter().rev().copied().collect()))
            })?)
        }
        _ => super::map_text(args, |text| Ok(Some(text.chars().rev().collect()))),
    }
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
                    super::super::cast::convert(arg, t, result)?
                } else {
                    let element = element_of(result).cloned().unwrap_or(Unknown);
                    let elements = super::super::cast::convert(arg, t, &element)?;
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
