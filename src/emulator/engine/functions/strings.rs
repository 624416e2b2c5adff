//! Strings: parts of them, distances between them, code points.

use std::sync::Arc;

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::Int64Type;
use datafusion::arrow::array::{Array as _, ArrayRef, ListArray, StringArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::DataType;

use super::{
    Checked, Class, Native, boolean_array, bytes, each, long_array, longs, map_text, strings, text_array, to, value,
    varchar,
};
use crate::emulator::engine::{text, types};
use crate::emulator::model::Failure;
use crate::types::AthenaType::{self, *};

pub const FUNCTIONS: &[Native] = &[
    Native::of("athena_substr", substr_type, substr),
    Native::of("athena_split", split_type, split),
    Native::of("athena_split_part", split_part_type, split_part),
    Native::of("athena_length", |given| matches!(given, [Varchar(_) | Char(_) | Varbinary]).then_some(Bigint), length),
    Native::takes("athena_codepoint", &[&[Class::Text]], || Integer, codepoint),
    Native::takes("athena_hamming_distance", &[&[Class::Text, Class::Text]], || Bigint, hamming_distance),
    Native::takes("athena_levenshtein_distance", &[&[Class::Text, Class::Text]], || Bigint, levenshtein_distance),
    Native::takes("athena_luhn_check", &[&[Class::Text]], || Boolean, luhn_check),
    Native::takes(
        "athena_strpos",
        &[&[Class::Text, Class::Text], &[Class::Text, Class::Text, Class::Int]],
        || Bigint,
        |args, _, _| position(args, false),
    ),
    Native::takes(
        "athena_strrpos",
        &[&[Class::Text, Class::Text], &[Class::Text, Class::Text, Class::Int]],
        || Bigint,
        |args, _, _| position(args, true),
    ),
    Native::takes("athena_translate", &[&[Class::Text, Class::Text, Class::Text]], varchar, translate),
    Native::takes("athena_soundex", &[&[Class::Text]], varchar, |args, _, _| {
        map_text(args, |text| Ok(Some(soundex(text))))
    }),
    Native::takes("athena_lpad", &[&[Class::Text, Class::Int, Class::Text]], varchar, |args, _, _| pad(args, true)),
    Native::takes("athena_rpad", &[&[Class::Text, Class::Int, Class::Text]], varchar, |args, _, _| pad(args, false)),
    Native::of("athena_format", format_type, format_values),
];

fn length(args: &[ArrayRef], given: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    if given[0] == Varbinary {
        let values = bytes(&args[0])?;
        return long_array(each(values.len(), |row| Ok(value!(values, row).map(|bytes| bytes.len() as i64)))?);
    }
    let values = strings(&args[0])?;
    long_array(each(values.len(), |row| {
        Ok(value!(values, row).map(|text| match given[0] {
            // Padded with blanks to its length.
            Char(Some(length)) => i64::from(length),
            _ => text.chars().count() as i64,
        }))
    })?)
}

fn codepoint(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let texts = strings(&args[0])?;
    long_array(each(texts.len(), |row| {
        let Some(text) = value!(texts, row) else { return Ok(None) };
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(only), None) => Ok(Some(i64::from(u32::from(only)))),
            _ => Err(Failure::invalid_argument("Input string must be a single character string")),
        }
    })?)
}

fn two_texts(args: &[ArrayRef], compute: impl Fn(&[char], &[char]) -> Checked<i64>) -> Checked<ArrayRef> {
    let (a, b) = (strings(&args[0])?, strings(&args[1])?);
    long_array(each(a.len(), |row| {
        let Some((a, b)) = value!(a, row).zip(value!(b, row)) else { return Ok(None) };
        compute(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>()).map(Some)
    })?)
}

fn hamming_distance(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    two_texts(args, |a, b| {
        if a.len() != b.len() {
            return Err(Failure::invalid_argument(
                "The input strings to hamming_distance function must have the same length",
            ));
        }
        Ok(a.iter().zip(b).filter(|(a, b)| a != b).count() as i64)
    })
}

fn levenshtein_distance(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    two_texts(args, |a, b| {
        if a.len().saturating_mul(b.len()) > 1_000_000 {
            return Err(Failure::invalid_argument("The combined inputs for Levenshtein distance are too large"));
        }
        let mut costs: Vec<i64> = (0..=b.len() as i64).collect();
        for (i, a) in a.iter().enumerate() {
            let mut diagonal = costs[0];
            costs[0] = i as i64 + 1;
            for (j, b) in b.iter().enumerate() {
                let here = (diagonal + i64::from(a != b)).min(costs[j] + 1).min(costs[j + 1] + 1);
                diagonal = std::mem::replace(&mut costs[j + 1], here);
            }
        }
        Ok(costs[b.len()])
    })
}

fn luhn_check(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let texts = strings(&args[0])?;
    boolean_array(each(texts.len(), |row| {
        let Some(text) = value!(texts, row) else { return Ok(None) };
        let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(10)).collect();
        let digits = digits.ok_or_else(|| Failure::invalid_argument("Input must only contain digits"))?;
        let sum: u32 = digits
            .iter()
            .rev()
            .enumerate()
            .map(|(i, digit)| if i % 2 == 0 { *digit } else { digit * 2 / 10 + digit * 2 % 10 })
            .sum();
        Ok(Some(!digits.is_empty() && sum.is_multiple_of(10)))
    })?)
}

/// The place of the nth occurrence, counted from 1, from the front or the back; 0 where there is none.
fn position(args: &[ArrayRef], from_end: bool) -> Checked<ArrayRef> {
    let (texts, sought) = (strings(&args[0])?, strings(&args[1])?);
    let nth = args.get(2).map(longs).transpose()?;
    long_array(each(texts.len(), |row| {
        let Some((text, sought)) = value!(texts, row).zip(value!(sought, row)) else { return Ok(None) };
        let instance = match &nth {
            Some(nth) => value!(nth, row),
            None => Some(1),
        };
        let Some(instance) = instance else { return Ok(None) };
        if instance == 0 {
            return Err(Failure::invalid_argument("'instance' must be a positive or negative number."));
        }
        if sought.is_empty() {
            return Ok(Some(1));
        }
        let backwards = from_end != (instance < 0);
        let mut places: Vec<usize> = Vec::new();
        let mut at = 0;
        while let Some(found) = text[at..].find(sought) {
            places.push(at + found);
            at += found + text[at + found..].chars().next().map_or(1, char::len_utf8);
        }
        if backwards {
            places.reverse();
        }
        let place = places.get(instance.unsigned_abs() as usize - 1);
        Ok(Some(place.map_or(0, |place| text[..*place].chars().count() as i64 + 1)))
    })?)
}

fn translate(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let (texts, from, to) = (strings(&args[0])?, strings(&args[1])?, strings(&args[2])?);
    text_array(each(texts.len(), |row| {
        let (Some(text), Some(from), Some(to)) = (value!(texts, row), value!(from, row), value!(to, row)) else {
            return Ok(None);
        };
        let to: Vec<char> = to.chars().collect();
        Ok(Some(
            text.chars()
                .filter_map(|c| match from.chars().position(|known| known == c) {
                    Some(at) => to.get(at).copied(),
                    None => Some(c),
                })
                .collect(),
        ))
    })?)
}

fn soundex(text: &str) -> String {
    let code = |c: char| match c.to_ascii_uppercase() {
        'B' | 'F' | 'P' | 'V' => Some('1'),
        'C' | 'G' | 'J' | 'K' | 'Q' | 'S' | 'X' | 'Z' => Some('2'),
        'D' | 'T' => Some('3'),
        'L' => Some('4'),
        'M' | 'N' => Some('5'),
        'R' => Some('6'),
        _ => None,
    };
    let mut letters = text.chars().filter(char::is_ascii_alphabetic);
    let Some(first) = letters.next() else { return String::new() };
    let (mut out, mut last) = (String::from(first.to_ascii_uppercase()), code(first));
    for letter in letters {
        let digit = code(letter);
        if let Some(digit) = digit.filter(|_| digit != last) {
            out.push(digit);
        }
        // H and W do not part equal codes, vowels do.
        if !matches!(letter.to_ascii_uppercase(), 'H' | 'W') {
            last = digit;
        }
    }
    out.chars().chain("000".chars()).take(4).collect()
}

/// The longest text that is padded to; Trino goes to 2147483647, which would take that much memory per row.
const MAX_PADDED: usize = 1_000_000;

/// To exactly so many characters: longer texts are cut.
fn pad(args: &[ArrayRef], left: bool) -> Checked<ArrayRef> {
    let (texts, sizes, fills) = (strings(&args[0])?, longs(&args[1])?, strings(&args[2])?);
    text_array(each(texts.len(), |row| {
        let (Some(text), Some(size), Some(fill)) = (value!(texts, row), value!(sizes, row), value!(fills, row)) else {
            return Ok(None);
        };
        let size = usize::try_from(size).ok().filter(|size| *size <= MAX_PADDED);
        let size = size.ok_or_else(|| Failure::invalid_argument("Target length must be in the range [0..1000000]"))?;
        if fill.is_empty() {
            return Err(Failure::invalid_argument("Padding string must not be empty"));
        }
        let missing = size.saturating_sub(text.chars().count());
        let filling = fill.chars().cycle().take(missing);
        Ok(Some(if left {
            filling.chain(text.chars().take(size)).collect()
        } else {
            text.chars().take(size).chain(filling).collect()
        }))
    })?)
}

fn format_type(given: &[AthenaType]) -> Option<AthenaType> {
    matches!(given, [Varchar(_), _, ..]).then(varchar)
}

/// Java's `String.format`, as far as `%[flags][width][.precision]` with s, d, f, x and % goes.
fn format_values(args: &[ArrayRef], given: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let formats = strings(&args[0])?;
    text_array(each(formats.len(), |row| {
        let Some(format) = value!(formats, row) else { return Ok(None) };
        let mut out = String::new();
        let mut next = 1;
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let end = rest.find(|c: char| c.is_ascii_alphabetic() || c == '%');
            let end = end.ok_or_else(|| Failure::invalid_argument(format!("Invalid format string: {format}")))?;
            let (options, kind) = (&rest[..end], &rest[end..=end]);
            rest = &rest[end + 1..];
            if kind == "%" {
                out.push('%');
                continue;
            }
            let missing = || {
                Failure::invalid_argument(format!(
                    "Invalid format string: {format} (Format specifier '%{options}{kind}')"
                ))
            };
            let (arg, t) = (args.get(next).ok_or_else(missing)?, given.get(next).ok_or_else(missing)?);
            next += 1;
            out.push_str(&formatted(options, kind, arg, row, t).ok_or_else(missing)??);
        }
        out.push_str(rest);
        Ok(Some(out))
    })?)
}

fn formatted(options: &str, kind: &str, arg: &ArrayRef, row: usize, t: &AthenaType) -> Option<Checked<String>> {
    let flags: String = options.chars().take_while(|c| "-+ 0,#(".contains(*c)).collect();
    let (width, precision) = options[flags.len()..].split_once('.').unwrap_or((&options[flags.len()..], ""));
    let width: usize = if width.is_empty() { 0 } else { width.parse().ok().filter(|width| *width <= 1000)? };
    let precision: Option<usize> =
        if precision.is_empty() { None } else { Some(precision.parse().ok().filter(|precision| *precision <= 1000)?) };
    let mut shown = String::new();
    match text::append(&mut shown, arg, row, t) {
        Ok(true) => {}
        Ok(false) => shown.push_str("null"),
        Err(failure) => return Some(Err(failure)),
    }
    let number = Class::Number.has(t) && !matches!(t, Unknown) && !arg.is_null(row);
    match kind {
        "s" => {
            if let Some(precision) = precision {
                shown = shown.chars().take(precision).collect();
            }
        }
        "d" if Class::Int.has(t) => {}
        "x" | "X" if Class::Int.has(t) && number => {
            let value: i64 = shown.parse().ok()?;
            shown = if *t == Bigint { format!("{value:x}") } else { format!("{:x}", value as i32) };
            if kind == "X" {
                shown.make_ascii_uppercase();
            }
        }
        "f" if number && !Class::Int.has(t) => {
            let digits = precision.unwrap_or(6);
            shown = format!("{:.digits$}", shown.parse::<f64>().ok()?);
        }
        _ => return None,
    }
    if number && flags.contains(',') {
        let (whole, fraction) = shown.split_once('.').unwrap_or((&shown, ""));
        let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
        let mut grouped = String::new();
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i) % 3 == 0 {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        shown = format!("{sign}{grouped}{}{fraction}", if fraction.is_empty() { "" } else { "." });
    }
    if number && flags.contains('+') && !shown.starts_with('-') {
        shown.insert(0, '+');
    }
    let missing = width.saturating_sub(shown.chars().count());
    Some(Ok(if flags.contains('-') {
        format!("{shown}{}", " ".repeat(missing))
    } else if flags.contains('0') && number {
        let at = usize::from(shown.starts_with(['-', '+']));
        format!("{}{}{}", &shown[..at], "0".repeat(missing), &shown[at..])
    } else {
        format!("{}{shown}", " ".repeat(missing))
    }))
}

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
