//! Functions that look into arrays, put them in order and compare them; cardinality, element_at and subscripts, which are
//! over maps too, and reverse.

use std::collections::HashSet;

use datafusion::arrow::array::{Array as _, ArrayRef};
use datafusion::arrow::compute::concat;

use super::common::common;
use super::elements::{Comparable, Lists, Maps, Picked, pick};
use super::{
    Checked, Class, Constants, Native, Typing, boolean_array, bytes, each, element_of, internal, long_array, longs,
    strings, text_array, to, value, varchar,
};
use crate::emulator::engine::cast::convert;
use crate::emulator::engine::{text, types};
use crate::emulator::model::Failure;
use crate::types::AthenaType::{self, *};

pub const FUNCTIONS: &[Native] = &[
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
    Native::of("athena_shuffle", same_array, shuffle).volatile(),
    Native::of("athena_reverse", reverse_type, reverse),
];

fn is_integer(t: &AthenaType) -> bool {
    Class::Int.has(t)
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
        let length = range.len() as u64;
        if index == 0 {
            return Err(Failure::invalid_argument("SQL array indices start at 1"));
        }
        if strict && index < 0 {
            return Err(Failure::invalid_argument(format!("Array subscript is negative: {index}")));
        }
        if index.unsigned_abs() > length {
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
    let values = convert(&lists.values, &element, &both)?;
    let wanted = convert(&args[1], &given[1], &both)?;
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
    let left = Lists::of(&convert(&args[0], &given[0], &both)?)?;
    let right = Lists::of(&convert(&args[1], &given[1], &both)?)?;
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
    let texts = strings(&convert(&lists.values, &element, &varchar())?)?;
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
