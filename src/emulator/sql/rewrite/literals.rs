//! Literals, the types that CAST names, and LIKE patterns: where Trino and DataFusion read the same text differently.

use datafusion::sql::sqlparser::ast::*;

use super::super::functions::{call, cast, string};
use super::refuse;
use crate::emulator::model::Failure;
use crate::types::AthenaType;

/// An integer literal is `integer` if it fits, else `bigint`; `1.5` is a double in Athena.
pub fn literal(value: &mut ValueWithSpan) -> Result<Option<Expr>, Failure> {
    match &mut value.value {
        Value::Number(_, keep) if *keep => {
            *keep = false;
            Ok(None)
        }
        Value::Number(digits, _) if digits.bytes().all(|c| c.is_ascii_digit()) => {
            if digits.parse::<i32>().is_ok() {
                return Ok(Some(typed(DataType::Integer(None), digits)));
            }
            match digits.parse::<i64>() {
                Ok(_) => Ok(None),
                Err(_) => Err(Failure::invalid_query(format!("Invalid numeric literal: {digits}"))),
            }
        }
        Value::Number(digits, _) if digits.parse::<f64>().is_ok() => {
            // DataFusion would take digits without a point or an exponent for an integer.
            if digits.contains(['.', 'e', 'E']) { Ok(None) } else { refuse(format!("the literal {digits}")) }
        }
        Value::SingleQuotedString(_) | Value::HexStringLiteral(_) | Value::Boolean(_) | Value::Null => Ok(None),
        Value::UnicodeStringLiteral(text) => Ok(Some(string(text))),
        other => refuse(format!("the literal {other}")),
    }
}

fn typed(data_type: DataType, text: &str) -> Expr {
    Expr::TypedString(TypedString {
        data_type,
        value: Value::SingleQuotedString(text.to_owned()).with_empty_span(),
        uses_odbc_syntax: false,
    })
}

/// `DATE '…'`, `DECIMAL '…'`, `TIMESTAMP '…'` and their like.
pub fn typed_literal(typed_string: &TypedString) -> Result<Expr, Failure> {
    let Value::SingleQuotedString(text) = &typed_string.value.value else { return refuse("this typed literal") };
    let data_type = match &typed_string.data_type {
        // Made by `literal` above: already what it should be.
        DataType::Integer(None) if text.parse::<i32>().is_ok() => return Ok(Expr::TypedString(typed_string.clone())),
        DataType::Decimal(ExactNumberInfo::None) => {
            let digits = text.trim_start_matches(['-', '+']);
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
            let precision = (whole.trim_start_matches('0').len() + fraction.len()).max(1);
            format!("decimal({precision},{})", fraction.len())
        }
        DataType::Timestamp(None, TimezoneInfo::None) => {
            let time = text.split_once(' ').map_or("", |(_, time)| time);
            let (clock, zone) = match time.find([' ', '+', '-']) {
                Some(at) => (&time[..at], true),
                None => (time, text.ends_with('Z')),
            };
            let digits = clock.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            format!("timestamp({digits}){}", if zone { " with time zone" } else { "" })
        }
        DataType::Time(None, TimezoneInfo::None) => {
            let (clock, zone) = match text.find(['+', '-']) {
                Some(at) => (text[..at].trim_end(), " with time zone"),
                None => (text.as_str(), ""),
            };
            format!("time({}){zone}", clock.split_once('.').map_or(0, |(_, fraction)| fraction.len()))
        }
        other => cast_target(other)?,
    };
    Ok(cast(string(text), &data_type))
}

/// The Athena type that a CAST names, checked and in one spelling.
pub fn cast_target(data_type: &DataType) -> Result<String, Failure> {
    cast_target_named(&data_type.to_string())
}

/// The same for the type's text.
pub fn cast_target_named(text: &str) -> Result<String, Failure> {
    let parsed = AthenaType::parse(text).map_err(|fault| Failure::invalid_query(fault.to_string()))?;
    match parsed {
        AthenaType::Other(name) => Err(Failure::invalid_query(format!("Unknown type: {name}"))),
        // Trino's bare decimal is decimal(38,0), its bare times have milliseconds.
        AthenaType::Decimal { .. } if !text.contains('(') => Ok("decimal(38,0)".to_owned()),
        AthenaType::Timestamp(None) => Ok("timestamp(3)".to_owned()),
        AthenaType::TimestampWithTimeZone(None) => Ok("timestamp(3) with time zone".to_owned()),
        AthenaType::Time(None) => Ok("time(3)".to_owned()),
        parsed => Ok(parsed.to_string()),
    }
}

/// `INTERVAL '2-3' YEAR TO MONTH` and `INTERVAL '1 02:03:04' DAY TO SECOND` as a sum of plain intervals.
pub fn compound_interval(interval: &Interval) -> Result<Expr, Failure> {
    let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) = interval.value.as_ref() else {
        return refuse("INTERVAL … TO … of what is not a literal");
    };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let parts: Vec<&str> = digits.split(['-', ' ', ':']).collect();
    use DateTimeField::{Day, Hour, Minute, Month, Second, Year};
    let fields = [Year, Month, Day, Hour, Minute, Second];
    let at = |field: &Option<DateTimeField>| fields.iter().position(|known| Some(known) == field.as_ref());
    let valid = || Failure::invalid_query(format!("'{text}' is not a valid INTERVAL literal"));
    let (first, last) = (at(&interval.leading_field).ok_or_else(valid)?, at(&interval.last_field).ok_or_else(valid)?);
    if last < first || (first < 2) != (last < 2) || parts.len() != last - first + 1 {
        return Err(valid());
    }
    let mut sum: Option<Expr> = None;
    for (part, field) in parts.iter().zip(&fields[first..=last]) {
        if part.parse::<f64>().is_err() {
            return Err(valid());
        }
        let plain = Expr::Interval(Interval {
            value: Box::new(string(&format!("{sign}{part}"))),
            leading_field: Some(field.clone()),
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        });
        sum = Some(match sum {
            Some(sum) => Expr::BinaryOp { left: Box::new(sum), op: BinaryOperator::Plus, right: Box::new(plain) },
            None => plain,
        });
    }
    let sum = sum.ok_or_else(valid)?;
    Ok(if first < 2 { cast(sum, "interval year to month") } else { sum })
}

/// In Trino a pattern has no escape character unless ESCAPE names one; in DataFusion it is always `\`.
pub fn like(pattern: &mut Box<Expr>, escape: &mut Option<ValueWithSpan>) -> Result<(), Failure> {
    let escape = match escape.take().map(|escape| escape.value) {
        Some(Value::SingleQuotedString(text)) => match text.chars().collect::<Vec<_>>()[..] {
            [c] => Some(c),
            _ => return Err(Failure::invalid_argument("Escape string must be a single character")),
        },
        Some(other) => return refuse(format!("ESCAPE {other}")),
        None => None,
    };
    match (pattern.as_mut(), escape) {
        (Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }), escape) => {
            let mut escaped = String::with_capacity(text.len());
            let mut chars = text.chars();
            while let Some(c) = chars.next() {
                if Some(c) == escape {
                    match chars.next() {
                        Some(next) if next == '%' || next == '_' || Some(next) == escape => {
                            escaped.extend(['\\', next])
                        }
                        _ => {
                            return Err(Failure::invalid_argument(
                                "Escape character must be followed by '%', '_' or the escape character itself",
                            ));
                        }
                    }
                } else if c == '\\' {
                    escaped.push_str("\\\\");
                } else {
                    escaped.push(c);
                }
            }
            *text = escaped;
            Ok(())
        }
        (_, Some(_)) => refuse("LIKE … ESCAPE with a pattern that is not a literal"),
        (other, None) => {
            let computed = std::mem::replace(other, Expr::Value(Value::Null.with_empty_span()));
            *other = call("replace", vec![computed, string("\\"), string("\\\\")]);
            Ok(())
        }
    }
}
