//! Functions over maps.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, Int64Array, StringArray, StructArray};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::DataType;

use super::common::common;
use super::elements::{Comparable, Lists, Maps, Picked, list_array, map_array, pick, row_columns};
use super::{Checked, Class, Native, array_of, internal, strings, to, value, varchar};
use crate::emulator::engine::{text, types};
use crate::emulator::model::Failure;
use crate::types::AthenaType::{self, *};
use crate::types::RowField;

pub const FUNCTIONS: &[Native] = &[
    Native::of("athena_map", map_type, map),
    Native::of(
        "athena_map_keys",
        |given| entry(given).map(|entry| array_of(entry.0.clone())),
        |args, _, result| parts(args, result, true),
    ),
    Native::of(
        "athena_map_values",
        |given| entry(given).map(|entry| array_of(entry.1.clone())),
        |args, _, result| parts(args, result, false),
    ),
    Native::of("athena_map_entries", entries_type, map_entries),
    Native::of("athena_map_from_entries", from_entries_type, |args, _, result| {
        from_entries(args, result, Duplicates::Refused)
    }),
    // What map_agg becomes: of several values of one key, the first.
    Native::of("athena_map_of_entries", from_entries_type, |args, _, result| {
        from_entries(args, result, Duplicates::First)
    }),
    Native::of("athena_multimap_from_entries", multimap_type, multimap_from_entries),
    Native::of("athena_map_concat", map_concat_type, map_concat),
    Native::of("athena_histogram", histogram_type, histogram),
    Native::takes("athena_split_to_map", &[&[Class::Text, Class::Text, Class::Text]], text_map, split_to_map),
];

fn entry(given: &[AthenaType]) -> Option<&(AthenaType, AthenaType)> {
    match given {
        [Map(Some(entry))] => Some(entry),
        _ => None,
    }
}

fn map_of(key: AthenaType, value: AthenaType) -> AthenaType {
    Map(Some(Box::new((key, value))))
}

fn text_map() -> AthenaType {
    map_of(varchar(), varchar())
}

fn map_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [] => Some(map_of(Unknown, Unknown)),
        [Array(Some(keys)), Array(Some(values))] => Some(map_of(keys.as_ref().clone(), values.as_ref().clone())),
        _ => None,
    }
}

fn key_text(keys: &ArrayRef, at: usize) -> Checked<String> {
    let mut shown = String::new();
    text::append(&mut shown, keys, at, &types::athena_of(keys.data_type())?)?;
    Ok(shown)
}

fn duplicate(keys: &ArrayRef, at: usize) -> Failure {
    match key_text(keys, at) {
        Ok(key) => Failure::invalid_argument(format!("Duplicate map keys ({key}) are not allowed")),
        Err(failure) => failure,
    }
}

fn null_key() -> Failure {
    Failure::invalid_argument("map key cannot be null")
}

fn map(args: &[ArrayRef], given: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    if given.is_empty() {
        let rows = args[0].len();
        let nothing = datafusion::arrow::array::new_empty_array(&DataType::Null);
        return map_array(Arc::clone(&nothing), nothing, vec![0; rows], vec![true; rows], result);
    }
    let (keys, values) = (Lists::of(&args[0])?, Lists::of(&args[1])?);
    let [comparable] = Comparable::of([&keys.values])?;
    let (mut key_places, mut value_places) = (Vec::new(), Vec::new());
    let (mut lengths, mut known) = (Vec::new(), Vec::new());
    for row in 0..keys.rows() {
        if keys.is_null(row) || values.is_null(row) {
            lengths.push(0);
            known.push(false);
            continue;
        }
        let (own, others) = (keys.range(row), values.range(row));
        if own.len() != others.len() {
            return Err(Failure::invalid_argument("Key and value arrays must be the same length"));
        }
        let mut seen = HashSet::new();
        for place in own.clone() {
            if keys.values.is_null(place) {
                return Err(null_key());
            }
            if !seen.insert(comparable.bytes(place)) {
                return Err(duplicate(&keys.values, place));
            }
        }
        lengths.push(own.len());
        known.push(true);
        key_places.extend(own.map(Some));
        value_places.extend(others.map(Some));
    }
    map_array(pick(&keys.values, key_places)?, pick(&values.values, value_places)?, lengths, known, result)
}

fn parts(args: &[ArrayRef], result: &AthenaType, keys: bool) -> Checked<ArrayRef> {
    let maps = Maps::of(&args[0])?;
    let mut picked = Picked::default();
    for row in 0..maps.rows() {
        if maps.is_null(row) { picked.push_null() } else { picked.push(maps.range(row)) }
    }
    picked.lists(if keys { &maps.keys } else { &maps.values }, result)
}

fn entries_type(given: &[AthenaType]) -> Option<AthenaType> {
    let (key, value) = entry(given)?.clone();
    let fields = [key, value].map(|data_type| RowField { name: None, data_type });
    Some(array_of(Row(Some(fields.to_vec()))))
}

/// Rows of unnamed fields, one behind the other, as the elements of arrays.
fn row_lists(columns: Vec<ArrayRef>, lengths: Vec<usize>, known: Vec<bool>, result: &AthenaType) -> Checked<ArrayRef> {
    let DataType::List(item) = types::arrow(result)? else { return Err(Failure::internal("not an array of rows")) };
    let DataType::Struct(fields) = item.data_type() else { return Err(Failure::internal("not an array of rows")) };
    let columns = columns.iter().zip(fields).map(|(column, field)| to(column, field.data_type()));
    let rows = StructArray::try_new(fields.clone(), columns.collect::<Checked<_>>()?, None).map_err(internal)?;
    list_array(Arc::new(rows), lengths, known, result)
}

fn map_entries(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let maps = Maps::of(&args[0])?;
    let places: Vec<Option<usize>> = (0..maps.rows()).flat_map(|row| maps.range(row)).map(Some).collect();
    let columns = vec![pick(&maps.keys, places.clone())?, pick(&maps.values, places)?];
    let lengths = (0..maps.rows()).map(|row| maps.range(row).len()).collect();
    let known = (0..maps.rows()).map(|row| !maps.is_null(row)).collect();
    row_lists(columns, lengths, known, result)
}

/// The two fields of an array's rows.
fn pair(given: &[AthenaType]) -> Option<(AthenaType, AthenaType)> {
    match given {
        [Array(Some(element))] => match element.as_ref() {
            Row(Some(fields)) if fields.len() == 2 => Some((fields[0].data_type.clone(), fields[1].data_type.clone())),
            _ => None,
        },
        _ => None,
    }
}

fn from_entries_type(given: &[AthenaType]) -> Option<AthenaType> {
    pair(given).map(|(key, value)| map_of(key, value))
}

fn multimap_type(given: &[AthenaType]) -> Option<AthenaType> {
    pair(given).map(|(key, value)| map_of(key, array_of(value)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Duplicates {
    Refused,
    First,
}

fn from_entries(args: &[ArrayRef], result: &AthenaType, duplicates: Duplicates) -> Checked<ArrayRef> {
    let lists = Lists::of(&args[0])?;
    let (_, columns) = row_columns(&lists.values)?;
    let [keys] = Comparable::of([&columns[0]])?;
    let (mut places, mut lengths, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..lists.rows() {
        let before = places.len();
        let mut seen = HashSet::new();
        for place in lists.range(row) {
            if lists.values.is_null(place) {
                return Err(Failure::invalid_argument("map entry cannot be null"));
            }
            if columns[0].is_null(place) {
                return Err(null_key());
            }
            if seen.insert(keys.bytes(place)) {
                places.push(Some(place));
            } else if duplicates == Duplicates::Refused {
                return Err(duplicate(&columns[0], place));
            }
        }
        lengths.push(places.len() - before);
        known.push(!lists.is_null(row));
    }
    map_array(pick(&columns[0], places.clone())?, pick(&columns[1], places)?, lengths, known, result)
}

fn multimap_from_entries(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let lists = Lists::of(&args[0])?;
    let (_, columns) = row_columns(&lists.values)?;
    let [keys] = Comparable::of([&columns[0]])?;
    let (mut key_places, mut values) = (Vec::new(), Picked::default());
    let (mut lengths, mut known) = (Vec::new(), Vec::new());
    for row in 0..lists.rows() {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut by_key = HashMap::new();
        for place in lists.range(row) {
            if columns[0].is_null(place) {
                return Err(null_key());
            }
            let group = *by_key.entry(keys.bytes(place)).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[group].push(place);
        }
        lengths.push(groups.len());
        known.push(!lists.is_null(row));
        for group in groups {
            key_places.push(Some(group[0]));
            values.push(group);
        }
    }
    let Map(Some(entry)) = result else { return Err(Failure::internal("a multimap is a map")) };
    map_array(pick(&columns[0], key_places)?, values.lists(&columns[1], &entry.1)?, lengths, known, result)
}

fn map_concat_type(given: &[AthenaType]) -> Option<AthenaType> {
    let (first, rest) = given.split_first()?;
    if rest.is_empty() || !matches!(first, Map(Some(_))) {
        return None;
    }
    rest.iter().try_fold(first.clone(), |whole, t| common(&whole, t))
}

/// The union of all entries; of several values of one key, the last map's.
fn map_concat(args: &[ArrayRef], given: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let maps = args.iter().zip(given);
    let maps = maps.map(|(arg, t)| Maps::of(&super::super::cast::convert(arg, t, result)?));
    let maps = maps.collect::<Checked<Vec<_>>>()?;
    let columns = |part: fn(&Maps) -> &ArrayRef| {
        let columns: Vec<_> = maps.iter().map(|map| part(map).as_ref()).collect();
        concat(&columns).map_err(internal)
    };
    let (all_keys, all_values) = (columns(|map| &map.keys)?, columns(|map| &map.values)?);
    let [keys] = Comparable::of([&all_keys])?;
    let (mut places, mut lengths, mut known): (Vec<Option<usize>>, _, _) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..maps[0].rows() {
        let mut by_key: HashMap<&[u8], usize> = HashMap::new();
        let mut own: Vec<usize> = Vec::new();
        let any_null = maps.iter().any(|map| map.is_null(row));
        let mut start = 0;
        for map in &maps {
            for place in map.range(row).filter(|_| !any_null).map(|place| place + start) {
                match by_key.get(keys.bytes(place)) {
                    Some(at) => own[*at] = place,
                    None => {
                        by_key.insert(keys.bytes(place), own.len());
                        own.push(place);
                    }
                }
            }
            start += map.keys.len();
        }
        lengths.push(own.len());
        known.push(!any_null);
        places.extend(own.into_iter().map(Some));
    }
    map_array(pick(&all_keys, places.clone())?, pick(&all_values, places)?, lengths, known, result)
}

fn histogram_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [Array(Some(element))] => Some(map_of(element.as_ref().clone(), Bigint)),
        _ => None,
    }
}

/// How often each element is there.
fn histogram(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let lists = Lists::of(&args[0])?;
    let [values] = Comparable::of([&lists.values])?;
    let (mut places, mut counts) = (Vec::new(), Vec::new());
    let (mut lengths, mut known) = (Vec::new(), Vec::new());
    for row in 0..lists.rows() {
        let start = places.len();
        let mut by_value = HashMap::new();
        for place in lists.range(row) {
            let at = *by_value.entry(values.bytes(place)).or_insert_with(|| {
                places.push(Some(place));
                counts.push(0_i64);
                places.len() - 1
            });
            counts[at] += 1;
        }
        lengths.push(places.len() - start);
        known.push(!lists.is_null(row));
    }
    map_array(pick(&lists.values, places)?, Arc::new(Int64Array::from(counts)), lengths, known, result)
}

fn split_to_map(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let (texts, entry, pair) = (strings(&args[0])?, strings(&args[1])?, strings(&args[2])?);
    let (mut keys, mut values): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    let (mut lengths, mut known) = (Vec::new(), Vec::new());
    for row in 0..texts.len() {
        let before = keys.len();
        let given = (value!(texts, row), value!(entry, row), value!(pair, row));
        if let (Some(text), Some(entry), Some(pair)) = given {
            if entry.is_empty() || pair.is_empty() {
                return Err(Failure::invalid_argument("the delimiters must not be empty"));
            }
            if entry == pair {
                return Err(Failure::invalid_argument("entryDelimiter and keyValueDelimiter must not be the same"));
            }
            for part in text.split(entry).filter(|part| !part.is_empty()) {
                let Some((key, value)) = part.split_once(pair) else {
                    return Err(Failure::invalid_argument(format!(
                        "Key-value delimiter must appear exactly once in each entry. Bad input: '{part}'"
                    )));
                };
                if keys[before..].contains(&key) {
                    return Err(Failure::invalid_argument(format!("Duplicate keys ({key}) are not allowed")));
                }
                keys.push(key);
                values.push(value);
            }
        }
        lengths.push(keys.len() - before);
        known.push(matches!(given, (Some(_), Some(_), Some(_))));
    }
    map_array(Arc::new(StringArray::from(keys)), Arc::new(StringArray::from(values)), lengths, known, result)
}
