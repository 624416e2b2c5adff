//! substr, split, split_part, to_hex, regexp_extract.

use std::sync::Arc;

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::Int64Type;
use datafusion::arrow::array::{Array as _, ArrayRef, ListArray, StringArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::DataType;

use super::{Native, to};
use crate::emulator::engine::types;
use crate::emulator::model::Failure;
use crate::types::AthenaType::{self, *};

pub const FUNCTIONS: &[Native] = &[
    Native { name: "athena_substr", result: substr_type, values: substr },
    Native { name: "athena_split", result: split_type, values: split },
    Native { name: "athena_split_part", result: split_part_type, values: split_part },
    Native {
        name: "athena_to_hex",
        result: |given| matches!(given, [Varbinary]).then_some(Varchar(None)),
        values: to_hex,
    },
    Native { name: "athena_regexp_extract", result: regexp_extract_type, values: regexp_extract },
];

fn is_integer(t: &AthenaType) -> bool {
    matches!(t, Tinyint | Smallint | Integer | Bigint)
}

fn is_text(t: &AthenaType) -> bool {
    matches!(t, Varchar(_) | Char(_))
}

fn substr_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [text, rest @ ..] if is_text(text) && matches!(rest.len(), 1 | 2) && rest.iter().all(is_integer) => {
            Some(Varchar(None))
        }
        _ => None,
    }
}

/// Counts from 1; a negative start counts from the end; a start of 0, or beyond the text, gives ''.
fn substr(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Result<ArrayRef, Failure> {
    let text = to(&args[0], &DataType::Utf8)?;
    let start = to(&args[1], &DataType::Int64)?;
    let length = args.get(2).map(|length| to(length, &DataType::Int64)).transpose()?;
    let length = length.as_ref().map(|length| length.as_primitive::<Int64Type>());
    let rows = text.as_string::<i32>().iter().zip(start.as_primitive::<Int64Type>().iter()).enumerate();
    let rows = rows.map(|(row, (text, start))| {
        let (text, start) = (text?, start?);
        let take = match length {
            Some(length) => length.is_valid(row).then(|| length.value(row))?,
            None => i64::MAX,
        };
        let count = text.chars().count() as i64;
        let from = if start > 0 { start - 1 } else { count.saturating_add(start) };
        if start == 0 || from < 0 || from >= count || take <= 0 {
            return Some(String::new());
        }
        Some(text.chars().skip(from as usize).take(take.min(count) as usize).collect())
    });
    Ok(Arc::new(rows.collect::<StringArray>()))
}

fn split_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [text, delimiter] if is_text(text) && is_text(delimiter) => Some(Array(Some(Box::new(Varchar(None))))),
        _ => None,
    }
}

/// All parts; the empty text has one, the empty text.
fn split(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Result<ArrayRef, Failure> {
    let (text, delimiter) = (to(&args[0], &DataType::Utf8)?, to(&args[1], &DataType::Utf8)?);
    let (mut parts, mut lengths, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for (text, delimiter) in text.as_string::<i32>().iter().zip(delimiter.as_string::<i32>().iter()) {
        let before = parts.len();
        if let (Some(text), Some(delimiter)) = (text, delimiter) {
            if delimiter.is_empty() {
                return Err(Failure::invalid_argument("The delimiter may not be the empty string"));
            }
            parts.extend(text.split(delimiter));
        }
        known.push(text.is_some() && delimiter.is_some());
        lengths.push(parts.len() - before);
    }
    let DataType::List(item) = types::arrow(result)? else { return Err(Failure::internal("split gives an array")) };
    let offsets = OffsetBuffer::from_lengths(lengths);
    let list = ListArray::try_new(item, offsets, Arc::new(StringArray::from(parts)), Some(known.into()));
    Ok(Arc::new(list.map_err(|error| Failure::internal(error.to_string()))?))
}

fn split_part_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [text, delimiter, index] if is_text(text) && is_text(delimiter) && is_integer(index) => Some(Varchar(None)),
        _ => None,
    }
}

/// Counts from 1; NULL where there are fewer parts.
fn split_part(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Result<ArrayRef, Failure> {
    let (text, delimiter) = (to(&args[0], &DataType::Utf8)?, to(&args[1], &DataType::Utf8)?);
    let index = to(&args[2], &DataType::Int64)?;
    let mut parts = Vec::with_capacity(text.len());
    let rows = text.as_string::<i32>().iter().zip(delimiter.as_string::<i32>().iter());
    for ((text, delimiter), index) in rows.zip(index.as_primitive::<Int64Type>().iter()) {
        let (Some(text), Some(delimiter), Some(index)) = (text, delimiter, index) else {
            parts.push(None);
            continue;
        };
        let index = usize::try_from(index).ok().filter(|index| *index > 0);
        let index = index.ok_or_else(|| Failure::invalid_argument("Index must be greater than zero"))?;
        if delimiter.is_empty() {
            return Err(Failure::invalid_argument("The delimiter may not be the empty string"));
        }
        parts.push(text.split(delimiter).nth(index - 1));
    }
    Ok(Arc::new(StringArray::from(parts)))
}

fn to_hex(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Result<ArrayRef, Failure> {
    let bytes = to(&args[0], &DataType::Binary)?;
    let hex = bytes.as_binary::<i32>().iter();
    let hex = hex.map(|bytes| bytes.map(|bytes| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>()));
    Ok(Arc::new(hex.collect::<StringArray>()))
}

fn regexp_extract_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [text, pattern] if is_text(text) && is_text(pattern) => Some(Varchar(None)),
        [text, pattern, group] if is_text(text) && is_text(pattern) && is_integer(group) => Some(Varchar(None)),
        _ => None,
    }
}

/// The first match, or one of its groups; NULL without a match.
fn regexp_extract(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Result<ArrayRef, Failure> {
    let (text, pattern) = (to(&args[0], &DataType::Utf8)?, to(&args[1], &DataType::Utf8)?);
    let group = args.get(2).map(|group| to(group, &DataType::Int64)).transpose()?;
    let mut compiled: Option<(String, regex::Regex)> = None;
    let mut found = Vec::with_capacity(text.len());
    for (row, (text, pattern)) in text.as_string::<i32>().iter().zip(pattern.as_string::<i32>().iter()).enumerate() {
        let (Some(text), Some(pattern)) = (text, pattern) else {
            found.push(None);
            continue;
        };
        let regex = match &compiled {
            Some((known, regex)) if known == pattern => regex,
            _ => {
                let regex = regex::Regex::new(pattern).map_err(|error| Failure::invalid_argument(error.to_string()))?;
                &compiled.insert((pattern.to_owned(), regex)).1
            }
        };
        let group = group.as_ref().map_or(0, |group| group.as_primitive::<Int64Type>().value(row));
        let group = usize::try_from(group).ok().filter(|group| *group < regex.captures_len());
        let group = group.ok_or_else(|| Failure::invalid_argument("Pattern has no such group"))?;
        found.push(regex.captures(text).and_then(|captures| captures.get(group)).map(|m| m.as_str().to_owned()));
    }
    Ok(Arc::new(StringArray::from(found)))
}
