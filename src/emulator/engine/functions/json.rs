//! JSON: Trino's path functions, and CAST to and from JSON.

use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{Array as _, ArrayRef, StructArray};
use datafusion::arrow::datatypes::DataType;
use serde_json::Value;

use super::elements::{Lists, Maps, list_array, map_array, row_columns};
use super::{
    Checked, Class, Native, boolean_array, each, internal, long_array, longs, strings, text_array, value, varchar,
};
use crate::emulator::engine::{text, types};
use crate::emulator::model::Failure;
use crate::types::AthenaType::{self, *};

pub const FUNCTIONS: &[Native] = &[
    Native::takes("athena_json_parse", &[&[Class::Text]], || Json, json_parse),
    Native::takes("athena_json_format", &[&[Class::Json]], varchar, |args, _, _| Ok(Arc::clone(&args[0]))),
    Native::takes(
        "athena_json_extract",
        &[&[Class::Json, Class::Text]],
        || Json,
        |args, _, _| extract(args, |found| found.map(written)),
    ),
    Native::takes("athena_json_extract_scalar", &[&[Class::Json, Class::Text]], varchar, |args, _, _| {
        extract(args, |found| found.and_then(scalar_text))
    }),
    Native::takes("athena_json_size", &[&[Class::Json, Class::Text]], || Bigint, json_size),
    Native::takes(
        "athena_json_array_length",
        &[&[Class::Json]],
        || Bigint,
        |args, _, _| {
            let texts = strings(&args[0])?;
            long_array(each(texts.len(), |row| {
                Ok(value!(texts, row).and_then(lenient).and_then(|json| Some(json.as_array()?.len() as i64)))
            })?)
        },
    ),
    Native::takes("athena_json_array_get", &[&[Class::Json, Class::Int]], || Json, json_array_get),
    Native::takes(
        "athena_json_array_contains",
        &[&[Class::Json, Class::Text], &[Class::Json, Class::Number], &[Class::Json, Class::Boolean]],
        || Boolean,
        json_array_contains,
    ),
    Native::takes(
        "athena_is_json_scalar",
        &[&[Class::Json]],
        || Boolean,
        |args, _, _| {
            let texts = strings(&args[0])?;
            boolean_array(each(texts.len(), |row| match value!(texts, row) {
                Some(text) => parse(text).map(|json| Some(!json.is_array() && !json.is_object())),
                None => Ok(None),
            })?)
        },
    ),
];

/// Numbers as Trino writes them: doubles as Java does, whole numbers as they are.
fn number(out: &mut String, value: &serde_json::Number) {
    match value.as_f64() {
        Some(double) if value.is_f64() => text::double(out, double),
        _ => write!(out, "{value}").expect("a String takes all text"),
    }
}

/// The canonical text: no blanks, keys in order.
fn written(value: &Value) -> String {
    let mut out = String::new();
    write_json(&mut out, value);
    out
}

fn write_json(out: &mut String, value: &Value) {
    match value {
        Value::Number(value) => number(out, value),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_json(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            out.push('{');
            for (i, key) in keys.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_json(out, &fields[key]);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn parse(text: &str) -> Checked<Value> {
    serde_json::from_str(text).map_err(|_| Failure::invalid_argument(format!("Cannot convert value to JSON: '{text}'")))
}

/// The path functions give NULL for what is not JSON.
fn lenient(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn json_parse(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    super::map_text(args, |text| parse(text).map(|json| Some(written(&json))))
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => {
            let mut out = String::new();
            number(&mut out, value);
            Some(out)
        }
        _ => None,
    }
}

enum Step {
    Key(String),
    At(usize),
}

/// `$.store.book[0]["title"]`: names and places.
fn path(text: &str) -> Checked<Vec<Step>> {
    let invalid = || Failure::invalid_argument(format!("Invalid JSON path: '{text}'"));
    let mut rest = text.strip_prefix('$').ok_or_else(invalid)?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("..").or(rest.strip_prefix(".*")).or(rest.strip_prefix("[*")) {
            let shown = &rest[..rest.len() - after.len()];
            return Err(Failure::not_supported(None, format!("{shown} in the JSON path '{text}'")));
        } else if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            if end == 0 {
                return Err(invalid());
            }
            steps.push(Step::Key(after[..end].to_owned()));
            rest = &after[end..];
        } else if let Some(after) = rest.strip_prefix("[\"") {
            let end = after.find("\"]").ok_or_else(invalid)?;
            steps.push(Step::Key(after[..end].replace("\\\"", "\"")));
            rest = &after[end + 2..];
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = after.find(']').ok_or_else(invalid)?;
            steps.push(match after[..end].parse() {
                Ok(at) => Step::At(at),
                Err(_) => Step::Key(after[..end].to_owned()),
            });
            rest = &after[end + 1..];
        } else {
            return Err(invalid());
        }
    }
    Ok(steps)
}

fn walk<'a>(json: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    steps.iter().try_fold(json, |json, step| match step {
        Step::Key(key) => json.get(key),
        // A number may also name a field.
        Step::At(at) => json.get(at).or_else(|| json.get(at.to_string())),
    })
}

fn extract(args: &[ArrayRef], take: impl Fn(Option<&Value>) -> Option<String>) -> Checked<ArrayRef> {
    let (texts, paths) = (strings(&args[0])?, strings(&args[1])?);
    text_array(each(texts.len(), |row| {
        let (Some(text), Some(steps)) = (value!(texts, row), value!(paths, row)) else { return Ok(None) };
        let steps = path(steps)?;
        Ok(lenient(text).and_then(|json| take(walk(&json, &steps))))
    })?)
}

fn json_size(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let (texts, paths) = (strings(&args[0])?, strings(&args[1])?);
    long_array(each(texts.len(), |row| {
        let (Some(text), Some(steps)) = (value!(texts, row), value!(paths, row)) else { return Ok(None) };
        let (steps, json) = (path(steps)?, lenient(text));
        Ok(json.as_ref().and_then(|json| walk(json, &steps)).map(|found| match found {
            Value::Array(items) => items.len() as i64,
            Value::Object(fields) => fields.len() as i64,
            _ => 0,
        }))
    })?)
}

fn json_array_get(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let (texts, places) = (strings(&args[0])?, longs(&args[1])?);
    text_array(each(texts.len(), |row| {
        let (Some(text), Some(at)) = (value!(texts, row), value!(places, row)) else { return Ok(None) };
        let Some(Value::Array(items)) = lenient(text) else { return Ok(None) };
        let at = if at < 0 { items.len() as i64 + at } else { at };
        Ok(usize::try_from(at).ok().and_then(|at| items.get(at)).filter(|item| !item.is_null()).map(written))
    })?)
}

fn json_array_contains(args: &[ArrayRef], given: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let texts = strings(&args[0])?;
    let sought = to_json_text(&args[1], &given[1])?;
    boolean_array(each(texts.len(), |row| {
        let (Some(text), Some(sought)) = (value!(texts, row), &sought[row]) else { return Ok(None) };
        let Some(Value::Array(items)) = lenient(text) else { return Ok(None) };
        let number = sought.parse::<f64>().ok();
        Ok(Some(items.iter().any(|item| match (item, number) {
            (Value::Number(item), Some(number)) => item.as_f64() == Some(number),
            (item, _) => written(item) == *sought,
        })))
    })?)
}

fn to_json_text(values: &ArrayRef, data_type: &AthenaType) -> Checked<Vec<Option<String>>> {
    let texts = strings(&to_json(values, data_type)?)?;
    Ok((0..texts.len()).map(|row| value!(texts, row).map(str::to_owned)).collect())
}

/// `CAST(x AS JSON)`. NULL stays NULL; inside it becomes `null`.
pub fn to_json(values: &ArrayRef, data_type: &AthenaType) -> Checked<ArrayRef> {
    text_array(each(values.len(), |row| {
        if values.is_null(row) || *data_type == Unknown {
            return Ok(None);
        }
        let mut out = String::new();
        append(&mut out, values, row, data_type)?;
        Ok(Some(out))
    })?)
}

fn append(out: &mut String, values: &ArrayRef, row: usize, data_type: &AthenaType) -> Checked<()> {
    if values.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    match data_type {
        Boolean | Tinyint | Smallint | Integer | Bigint | Decimal { .. } => {
            text::append(out, values, row, data_type)?;
        }
        Real | Double => {
            let start = out.len();
            text::append(out, values, row, data_type)?;
            if !out[start..].ends_with(|c: char| c.is_ascii_digit()) {
                let quoted = format!("\"{}\"", &out[start..]);
                out.replace_range(start.., &quoted);
            }
        }
        Json => out.push_str(values.as_string::<i32>().value(row)),
        Varchar(_) | Char(_) | Date | Time(_) | Timestamp(_) | TimestampWithTimeZone(_) | Uuid | Ipaddress => {
            let mut shown = String::new();
            text::append(&mut shown, values, row, data_type)?;
            out.push_str(&Value::from(shown).to_string());
        }
        Array(Some(element)) => {
            let lists = Lists::of(values)?;
            out.push('[');
            for (i, place) in lists.range(row).enumerate() {
                if i > 0 {
                    out.push(',');
                }
                append(out, &lists.values, place, element)?;
            }
            out.push(']');
        }
        Map(Some(entry)) => {
            let maps = Maps::of(values)?;
            let mut fields = Vec::new();
            for place in maps.range(row) {
                let (mut key, mut value) = (String::new(), String::new());
                text::append(&mut key, &maps.keys, place, &entry.0)?;
                append(&mut value, &maps.values, place, &entry.1)?;
                fields.push((key, value));
            }
            fields.sort();
            object(out, fields.into_iter());
        }
        Row(Some(row_fields)) => {
            let (_, columns) = row_columns(values)?;
            let mut fields = Vec::new();
            for (field, column) in row_fields.iter().zip(&columns) {
                let mut value = String::new();
                append(&mut value, column, row, &field.data_type)?;
                fields.push((field.name.clone().unwrap_or_default(), value));
            }
            object(out, fields.into_iter());
        }
        other => return Err(Failure::type_mismatch(format!("Cannot cast {other} to json"))),
    }
    Ok(())
}

fn object(out: &mut String, fields: impl Iterator<Item = (String, String)>) {
    out.push('{');
    for (i, (key, value)) in fields.enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(&Value::from(key).to_string());
        out.push(':');
        out.push_str(&value);
    }
    out.push('}');
}

/// `CAST(json AS t)`, for values that are JSON already. Names of row fields are found whatever their case.
pub fn from_json(values: &[Option<&Value>], target: &AthenaType) -> Checked<ArrayRef> {
    let values: Vec<Option<&Value>> = values.iter().map(|value| value.filter(|value| !value.is_null())).collect();
    let refuse = |value: &Value| Failure::invalid_cast(format!("Cannot cast to {target}. Unexpected JSON: {value}"));
    match target {
        Array(Some(element)) => {
            let (mut items, mut lengths) = (Vec::new(), Vec::new());
            for value in &values {
                let found = match value {
                    Some(Value::Array(found)) => found.as_slice(),
                    Some(other) => return Err(refuse(other)),
                    None => &[],
                };
                items.extend(found.iter().map(Some));
                lengths.push(found.len());
            }
            list_array(from_json(&items, element)?, lengths, values.iter().map(Option::is_some).collect(), target)
        }
        Map(Some(entry)) => {
            let (mut keys, mut items, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
            for value in &values {
                match value {
                    Some(Value::Object(fields)) => {
                        lengths.push(fields.len());
                        for (key, item) in fields {
                            keys.push(Some(key.clone()));
                            items.push(Some(item));
                        }
                    }
                    Some(other) => return Err(refuse(other)),
                    None => lengths.push(0),
                }
            }
            let keys = super::super::cast::convert(&text_array(keys)?, &varchar(), &entry.0)?;
            let known = values.iter().map(Option::is_some).collect();
            map_array(keys, from_json(&items, &entry.1)?, lengths, known, target)
        }
        Row(Some(row_fields)) => {
            let DataType::Struct(fields) = types::arrow(target)? else {
                return Err(Failure::internal("a row is a struct"));
            };
            let mut columns = Vec::new();
            for (i, field) in row_fields.iter().enumerate() {
                let mut column = Vec::with_capacity(values.len());
                for value in &values {
                    column.push(match value {
                        Some(Value::Object(found)) => field.name.as_deref().and_then(|name| {
                            found.get(name).or_else(|| {
                                found.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
                            })
                        }),
                        Some(Value::Array(found)) if found.len() == row_fields.len() => found.get(i),
                        Some(other) => return Err(refuse(other)),
                        None => None,
                    });
                }
                columns.push(from_json(&column, &field.data_type)?);
            }
            let known: Vec<bool> = values.iter().map(Option::is_some).collect();
            Ok(Arc::new(StructArray::try_new(fields, columns, Some(known.into())).map_err(internal)?))
        }
        Json => text_array(values.iter().map(|value| value.map(written)).collect()),
        Varchar(_) | Char(_) => {
            let mut texts = Vec::with_capacity(values.len());
            for value in &values {
                texts.push(match value {
                    Some(value) => Some(scalar_text(value).ok_or_else(|| refuse(value))?),
                    None => None,
                });
            }
            super::super::cast::convert(&text_array(texts)?, &varchar(), target)
        }
        Boolean | Tinyint | Smallint | Integer | Bigint | Real | Double | Decimal { .. } => {
            let mut texts = Vec::with_capacity(values.len());
            for value in &values {
                texts.push(match value {
                    Some(Value::Bool(value)) if *target != Boolean => Some(i32::from(*value).to_string()),
                    Some(Value::Number(value)) if *target == Boolean => Some((value.as_f64() != Some(0.0)).to_string()),
                    // A fraction is rounded when a whole number is wanted.
                    Some(Value::Number(value)) if Class::Int.has(target) && value.is_f64() => {
                        Some(format!("{:.0}", value.as_f64().unwrap_or_default().round()))
                    }
                    Some(value) => Some(scalar_text(value).ok_or_else(|| refuse(value))?),
                    None => None,
                });
            }
            super::super::cast::convert(&text_array(texts)?, &varchar(), target)
        }
        Date | Timestamp(_) | TimestampWithTimeZone(_) => {
            let texts = values.iter().map(|value| value.and_then(scalar_text)).collect();
            super::super::cast::convert(&text_array(texts)?, &varchar(), target)
        }
        Unknown => Ok(datafusion::arrow::array::new_null_array(&DataType::Null, values.len())),
        other => Err(Failure::type_mismatch(format!("Cannot cast json to {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_fields_and_places() {
        let json: Value = serde_json::from_str(r#"{"a": {"b c": [1, {"d": 2}]}, "1": "one"}"#).expect("JSON");
        for (text, expected) in [
            ("$", None),
            ("$.a[\"b c\"][0]", Some("1")),
            ("$.a[\"b c\"][1].d", Some("2")),
            ("$[1]", Some("one")),
            ("$.x", None),
        ] {
            let found = walk(&json, &path(text).expect("a path")).and_then(scalar_text);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        for bad in ["a", "$.", "$[\"x", "$a", "$..a", "$[*]"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }
}
