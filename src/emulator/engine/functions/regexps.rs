//! Regular expressions, in the syntax Rust's regex crate shares with Java's: no look-around, no back references.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, StringArray};
use regex::Regex;

use super::elements::list_array;
use super::{
    Checked, Class, Native, array_of, boolean_array, each, long_array, longs, strings, text_array, value, varchar,
};
use crate::emulator::model::Failure;
use crate::types::AthenaType::{self, *};

const TWO: &[&[Class]] = &[&[Class::Text, Class::Text]];
const WITH_NUMBER: &[&[Class]] = &[&[Class::Text, Class::Text], &[Class::Text, Class::Text, Class::Int]];

pub const FUNCTIONS: &[Native] = &[
    Native::takes("athena_regexp_like", TWO, || Boolean, regexp_like),
    Native::takes("athena_regexp_extract", WITH_NUMBER, varchar, regexp_extract),
    Native::takes("athena_regexp_extract_all", WITH_NUMBER, || array_of(varchar()), regexp_extract_all),
    Native::takes(
        "athena_regexp_replace",
        &[&[Class::Text, Class::Text], &[Class::Text, Class::Text, Class::Text]],
        varchar,
        regexp_replace,
    ),
    Native::takes("athena_regexp_split", TWO, || array_of(varchar()), regexp_split),
    Native::takes("athena_regexp_count", TWO, || Bigint, regexp_count),
    Native::takes(
        "athena_regexp_position",
        &[
            &[Class::Text, Class::Text],
            &[Class::Text, Class::Text, Class::Int],
            &[Class::Text, Class::Text, Class::Int, Class::Int],
        ],
        || Bigint,
        regexp_position,
    ),
];

/// Patterns compiled for one batch; mostly there is one.
#[derive(Default)]
struct Patterns(HashMap<String, Regex>);

impl Patterns {
    fn get(&mut self, pattern: &str) -> Checked<&Regex> {
        if !self.0.contains_key(pattern) {
            let compiled = Regex::new(pattern).map_err(|error| {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                if reason.contains("look-around") || reason.contains("backreferences") {
                    return Failure::not_supported(None, format!("the pattern {pattern}: {reason}"));
                }
                Failure::invalid_argument(format!("Invalid regular expression {pattern}: {reason}"))
            })?;
            self.0.insert(pattern.to_owned(), compiled);
        }
        self.0.get(pattern).ok_or_else(|| Failure::internal("compiled above"))
    }
}

/// One value per row where text and pattern are there.
fn matched<T>(
    args: &[ArrayRef],
    mut compute: impl FnMut(usize, &str, &Regex) -> Checked<Option<T>>,
) -> Checked<Vec<Option<T>>> {
    let (texts, patterns) = (strings(&args[0])?, strings(&args[1])?);
    let mut compiled = Patterns::default();
    each(texts.len(), |row| match (value!(texts, row), value!(patterns, row)) {
        (Some(text), Some(pattern)) => compute(row, text, compiled.get(pattern)?),
        _ => Ok(None),
    })
}

fn regexp_like(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    boolean_array(matched(args, |_, text, regex| Ok(Some(regex.is_match(text))))?)
}

fn group(groups: Option<&datafusion::arrow::array::Int64Array>, row: usize, regex: &Regex) -> Checked<usize> {
    let asked = groups.map_or(0, |groups| groups.value(row));
    let found = usize::try_from(asked).ok().filter(|group| *group < regex.captures_len());
    found.ok_or_else(|| {
        let count = regex.captures_len() - 1;
        Failure::invalid_argument(format!("Pattern has {count} groups. Cannot access group {asked}"))
    })
}

/// The first match, or one of its groups; NULL without a match.
fn regexp_extract(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let groups = args.get(2).map(longs).transpose()?;
    text_array(matched(args, |row, text, regex| {
        let group = group(groups.as_ref(), row, regex)?;
        Ok(regex.captures(text).and_then(|captures| captures.get(group)).map(|found| found.as_str().to_owned()))
    })?)
}

fn lists(rows: Vec<Option<Vec<Option<String>>>>, result: &AthenaType) -> Checked<ArrayRef> {
    let lengths = rows.iter().map(|row| row.as_ref().map_or(0, Vec::len)).collect();
    let known = rows.iter().map(Option::is_some).collect();
    let values: StringArray = rows.into_iter().flatten().flatten().collect();
    list_array(Arc::new(values), lengths, known, result)
}

fn regexp_extract_all(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let groups = args.get(2).map(longs).transpose()?;
    let rows = matched(args, |row, text, regex| {
        let group = group(groups.as_ref(), row, regex)?;
        let found = regex.captures_iter(text).map(|found| found.get(group).map(|part| part.as_str().to_owned()));
        Ok(Some(found.collect()))
    })?;
    lists(rows, result)
}

fn regexp_split(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let rows = matched(args, |_, text, regex| Ok(Some(regex.split(text).map(|part| Some(part.to_owned())).collect())))?;
    lists(rows, result)
}

fn regexp_count(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    long_array(matched(args, |_, text, regex| Ok(Some(regex.find_iter(text).count() as i64)))?)
}

/// `$1` and `${name}` stand for groups, a backslash for the character behind it.
fn regexp_replace(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let replacements = args.get(2).map(strings).transpose()?;
    text_array(matched(args, |row, text, regex| {
        let replacement = match &replacements {
            Some(texts) => value!(texts, row),
            None => Some(""),
        };
        let Some(replacement) = replacement else { return Ok(None) };
        let template = template(replacement, regex)?;
        let replaced = regex.replace_all(text, |found: &regex::Captures<'_>| {
            let part = |part: &Part| match part {
                Part::Text(text) => text.clone(),
                Part::Group(group) => found.get(*group).map_or(String::new(), |found| found.as_str().to_owned()),
            };
            template.iter().map(part).collect::<String>()
        });
        Ok(Some(replaced.into_owned()))
    })?)
}

enum Part {
    Text(String),
    Group(usize),
}

fn template(text: &str, regex: &Regex) -> Checked<Vec<Part>> {
    let illegal = || Failure::invalid_argument(format!("Illegal replacement sequence: {text}"));
    let mut parts = Vec::new();
    let mut chars = text.chars().peekable();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.push(chars.next().ok_or_else(illegal)?),
            '$' => {
                let group = if chars.next_if_eq(&'{').is_some() {
                    let name: String = chars.by_ref().take_while(|c| *c != '}').collect();
                    regex.capture_names().position(|known| known == Some(name.as_str()))
                } else {
                    let mut digits = String::new();
                    // As many digits as still name a group.
                    while let Some(digit) = chars.peek().filter(|c| c.is_ascii_digit()) {
                        let longer = format!("{digits}{digit}");
                        if !digits.is_empty() && longer.parse::<usize>().is_ok_and(|n| n >= regex.captures_len()) {
                            break;
                        }
                        digits = longer;
                        chars.next();
                    }
                    digits.parse().ok().filter(|group| *group < regex.captures_len())
                };
                let group = group.ok_or_else(illegal)?;
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(Part::Group(group));
            }
            c => plain.push(c),
        }
    }
    parts.push(Part::Text(plain));
    Ok(parts)
}

/// The place of a match, counted from 1; -1 where there is none.
fn regexp_position(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let starts = args.get(2).map(longs).transpose()?;
    let occurrences = args.get(3).map(longs).transpose()?;
    long_array(matched(args, |row, text, regex| {
        let positive = |values: &Option<datafusion::arrow::array::Int64Array>| {
            let value = values.as_ref().map_or(1, |values| values.value(row));
            usize::try_from(value).ok().filter(|value| *value > 0)
        };
        let start = positive(&starts).ok_or_else(|| Failure::invalid_argument("start position must be positive"))?;
        let nth = positive(&occurrences).ok_or_else(|| Failure::invalid_argument("occurrence must be positive"))?;
        let Some((from, _)) = text.char_indices().nth(start - 1) else { return Ok(Some(-1)) };
        let found = regex.find_iter(&text[from..]).nth(nth - 1);
        Ok(Some(found.map_or(-1, |found| text[..from + found.start()].chars().count() as i64 + 1)))
    })?)
}
