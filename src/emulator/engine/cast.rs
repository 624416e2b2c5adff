//! CAST and TRY_CAST with Trino's rules.
//!
//! DataFusion's own casts cut where Trino rounds (`CAST(1.5 AS integer)` is 2), read other texts and write doubles
//! another way. What is the same in both goes to Arrow's kernels.

use std::sync::Arc;

use chrono::{NaiveDate, NaiveTime};
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::*;
use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, ListArray, MapArray, StringBuilder, StructArray,
    TimestampNanosecondArray,
};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::{errors, functions, text, types, zones};
use crate::emulator::model::Failure;
use crate::emulator::sql::functions::{CAST, TRY_CAST};
use crate::emulator::sql::rewrite::Places;
use crate::types::AthenaType;
use crate::types::builder::ColumnBuilder;

/// `athena_cast(value, 'type')`; the second argument is always a literal.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Cast {
    signature: Signature,
    safe: bool,
}

pub fn functions() -> [ScalarUDF; 2] {
    [false, true]
        .map(|safe| ScalarUDF::new_from_impl(Cast { signature: Signature::any(2, Volatility::Immutable), safe }))
}

impl ScalarUDFImpl for Cast {
    fn name(&self) -> &str {
        if self.safe { TRY_CAST } else { CAST }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        plan_err!("the type of a cast depends on its second argument")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let target = match args.scalar_arguments.get(1) {
            Some(Some(ScalarValue::Utf8(Some(name)))) => target(name)?,
            _ => return plan_err!("a cast needs the name of a type"),
        };
        let source = source_type(&args.arg_fields[0])?;
        if !castable(&source, &target) {
            return Err(external(Failure::type_mismatch(format!("Cannot cast {source} to {target}"))));
        }
        let field = types::field(self.name(), &target).map_err(external)?;
        let zone = match (args.arg_fields[0].data_type(), args.scalar_arguments[0]) {
            (DataType::Timestamp(_, Some(zone)), _) => zone.to_string(),
            (_, Some(ScalarValue::Utf8(Some(text)))) if matches!(target, AthenaType::TimestampWithTimeZone(_)) => {
                zone_in(text).map_err(external)?
            }
            _ => zones::UTC.to_owned(),
        };
        let data_type = types::in_zone(field.data_type().clone(), &zone);
        Ok(Arc::new(field.with_data_type(data_type)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let target = types::athena(&args.return_field).map_err(external)?;
        let source = source_type(&args.arg_fields[0])?;
        let scalar = matches!(args.args[0], ColumnarValue::Scalar(_));
        let values = args.args[0].to_array(if scalar { 1 } else { args.number_rows })?;
        let zone = match args.return_field.data_type() {
            DataType::Timestamp(_, Some(zone)) => zone.to_string(),
            _ => zones::UTC.to_owned(),
        };
        let cast = cast_array(&values, &source, &target, self.safe, &zone)?;
        let cast = kernel(&cast, args.return_field.data_type(), false)?;
        if scalar { Ok(ColumnarValue::Scalar(self::scalar(&cast)?)) } else { Ok(ColumnarValue::Array(cast)) }
    }
}

/// DataFusion's own counts and ranks are unsigned; Trino has no such type.
fn source_type(field: &FieldRef) -> Result<AthenaType> {
    if field.data_type().is_unsigned_integer() {
        return Ok(AthenaType::Bigint);
    }
    types::athena(field).map_err(external)
}

fn target(name: &str) -> Result<AthenaType> {
    AthenaType::parse(name).map_err(|fault| external(Failure::invalid_query(fault.to_string())))
}

/// The zone that a text names behind its time; UTC where it names none.
fn zone_in(text: &str) -> std::result::Result<String, Failure> {
    let complete = complete_time(text.trim(), &AthenaType::TimestampWithTimeZone(None));
    match complete.splitn(3, ' ').nth(2) {
        Some(zone) => zones::named(zone),
        None => Ok(zones::UTC.to_owned()),
    }
}

/// The array as another type by the rules of CAST; for implicit conversions, which never fail to be possible.
pub fn convert(values: &ArrayRef, source: &AthenaType, target: &AthenaType) -> std::result::Result<ArrayRef, Failure> {
    let zone = match values.data_type() {
        DataType::Timestamp(_, Some(zone)) => zone.to_string(),
        _ => zones::UTC.to_owned(),
    };
    cast_array(values, source, target, false, &zone).map_err(|error| errors::failure(&error, &Places::default()))
}

/// The same with NULL for what is no value of the target.
pub fn convert_safely(
    values: &ArrayRef,
    source: &AthenaType,
    target: &AthenaType,
) -> std::result::Result<ArrayRef, Failure> {
    cast_array(values, source, target, true, zones::UTC).map_err(|error| errors::failure(&error, &Places::default()))
}

/// One value as a scalar of exactly the array's type: DataFusion's own way loses the metadata of nested fields.
pub fn scalar(array: &ArrayRef) -> Result<ScalarValue> {
    let first = array.slice(0, 1);
    Ok(match array.data_type() {
        DataType::List(_) => ScalarValue::List(Arc::new(first.as_list::<i32>().clone())),
        DataType::Struct(_) => ScalarValue::Struct(Arc::new(first.as_struct().clone())),
        DataType::Map(..) => ScalarValue::Map(Arc::new(first.as_map().clone())),
        _ => ScalarValue::try_from_array(array, 0)?,
    })
}

pub fn external(failure: Failure) -> DataFusionError {
    DataFusionError::External(Box::new(failure))
}

fn is_number(t: &AthenaType) -> bool {
    use AthenaType::*;
    matches!(t, Tinyint | Smallint | Integer | Bigint | Real | Double | Decimal { .. })
}

fn is_text(t: &AthenaType) -> bool {
    matches!(t, AthenaType::Varchar(_) | AthenaType::Char(_))
}

/// Which casts Trino has, as far as they are built here.
fn castable(source: &AthenaType, target: &AthenaType) -> bool {
    use AthenaType::*;
    if source == target || *source == Unknown {
        return true;
    }
    let is_moment = |t: &AthenaType| matches!(t, Date | Timestamp(_) | TimestampWithTimeZone(_));
    match (source, target) {
        (s, t) if is_number(s) && is_number(t) => true,
        (s, t) if is_text(s) && is_text(t) => true,
        (s, Boolean) => is_number(s) || is_text(s) || *s == Json,
        (Boolean, t) => is_number(t) || is_text(t) || *t == Json,
        (s, Json) => is_number(s) || is_text(s) || is_moment(s) || holds(s, |inner| castable(inner, &Json)),
        (Json, t) => is_number(t) || is_text(t) || is_moment(t) || holds(t, |inner| castable(&Json, inner)),
        (s, Varbinary) => is_text(s) || *s == Uuid,
        (s, Uuid | Ipaddress | TimeWithTimeZone(_)) => is_text(s),
        (Uuid | Ipaddress | TimeWithTimeZone(_) | IntervalDayToSecond | IntervalYearToMonth, t) if is_text(t) => true,
        (s, t) if is_text(t) => is_number(s) || is_moment(s) || matches!(s, Time(_)),
        (s, t) if is_text(s) => is_number(t) || is_moment(t) || matches!(t, Time(_)),
        (s, t) if is_moment(s) && is_moment(t) => true,
        (Timestamp(_) | TimestampWithTimeZone(_) | Time(_), Time(_)) => true,
        (IntervalDayToSecond, IntervalDayToSecond | IntervalYearToMonth) => true,
        (Array(Some(s)), Array(Some(t))) => castable(s, t),
        (Map(Some(s)), Map(Some(t))) => castable(&s.0, &t.0) && castable(&s.1, &t.1),
        (Row(Some(s)), Row(Some(t))) if s.len() == t.len() => {
            s.iter().zip(t).all(|(s, t)| castable(&s.data_type, &t.data_type))
        }
        _ => false,
    }
}

/// Whether all types inside a nested type pass; keys of maps become names of fields and may be anything with a text.
fn holds(t: &AthenaType, passes: impl Fn(&AthenaType) -> bool) -> bool {
    match t {
        AthenaType::Json => true,
        AthenaType::Array(Some(element)) => passes(element),
        AthenaType::Map(Some(entry)) => passes(&entry.1),
        AthenaType::Row(Some(fields)) => fields.iter().all(|field| passes(&field.data_type)),
        _ => false,
    }
}

/// Casts a whole array. `safe` makes NULL of what cannot be cast; `zone` is the one a zoned result has.
fn cast_array(values: &ArrayRef, source: &AthenaType, target: &AthenaType, safe: bool, zone: &str) -> Result<ArrayRef> {
    use AthenaType::*;
    let arrow_target = types::arrow(target).map_err(external)?;
    if source == target {
        return Ok(Arc::clone(values));
    }
    match (source, target) {
        (Array(_) | Map(_) | Row(_) | Json, _) | (_, Json) if safe => nested_safely(values, source, target, zone),
        (_, Json) => functions::to_json(values, source).map_err(external),
        (Json, _) => json_to(values, target),
        (Array(Some(s)), Array(Some(t))) => {
            let lists = kernel(values, &types::arrow(source).map_err(external)?, false)?;
            let lists = lists.as_list::<i32>();
            let DataType::List(item) = arrow_target else { return exec_err!("an array is a list") };
            let items = cast_array(lists.values(), s, t, false, zone)?;
            let items = kernel(&items, item.data_type(), false)?;
            Ok(Arc::new(ListArray::try_new(item, lists.offsets().clone(), items, lists.nulls().cloned())?))
        }
        (Map(Some(s)), Map(Some(t))) => {
            let maps = values.as_map();
            let DataType::Map(entries, _) = arrow_target else { return exec_err!("a map is a map") };
            let DataType::Struct(fields) = entries.data_type() else { return exec_err!("a map has entries") };
            let keys = kernel(&cast_array(maps.keys(), &s.0, &t.0, false, zone)?, fields[0].data_type(), false)?;
            let items = kernel(&cast_array(maps.values(), &s.1, &t.1, false, zone)?, fields[1].data_type(), false)?;
            let rows = StructArray::try_new(fields.clone(), vec![keys, items], None)?;
            let offsets = maps.offsets().clone();
            Ok(Arc::new(MapArray::try_new(entries, offsets, rows, maps.nulls().cloned(), false)?))
        }
        (Row(Some(s)), Row(Some(t))) => {
            let rows = values.as_struct();
            let DataType::Struct(fields) = arrow_target else { return exec_err!("a row is a struct") };
            let mut columns = Vec::with_capacity(fields.len());
            for (((column, s), t), field) in rows.columns().iter().zip(s).zip(t).zip(&fields) {
                let column = cast_array(column, &s.data_type, &t.data_type, false, zone)?;
                columns.push(kernel(&column, field.data_type(), false)?);
            }
            Ok(Arc::new(StructArray::try_new(fields, columns, rows.nulls().cloned())?))
        }
        (TimestampWithTimeZone(_), Timestamp(_) | Date | Time(_)) if !in_utc(values) => {
            let local = functions::clock_times(values).map_err(external)?;
            cast_array(&local, &Timestamp(Some(6)), target, safe, zones::UTC)
        }
        (Unknown, _) => Ok(datafusion::arrow::array::new_null_array(&arrow_target, values.len())),
        (s, t) if is_text(t) => {
            let limit = match t {
                Varchar(Some(length)) | Char(Some(length)) => *length as usize,
                _ => usize::MAX,
            };
            to_text(values, s, limit)
        }
        (s, t) if is_text(s) => from_text(values, t, &arrow_target, safe, zone),
        (Real | Double, Tinyint | Smallint | Integer | Bigint) => {
            let doubles = kernel(values, &DataType::Float64, true)?;
            let rounded: Float64Array = doubles.as_primitive::<Float64Type>().unary(f64::round);
            let outside = rounded.iter().flatten().find(|v| !(-9.3e18..=9.3e18).contains(v));
            if let (Some(value), false) = (outside, safe) {
                return Err(external(Failure::invalid_cast(format!("Cannot cast {value} to {target}"))));
            }
            let rounded: ArrayRef = Arc::new(rounded);
            kernel(&rounded, &arrow_target, safe)
        }
        (Decimal { precision, .. }, Tinyint | Smallint | Integer | Bigint) => {
            // Arrow's cast to an integer cuts the fraction off, its cast to a shorter scale rounds half up.
            let whole = kernel(values, &DataType::Decimal128(*precision, 0), safe)?;
            kernel(&whole, &arrow_target, safe)
        }
        (IntervalDayToSecond, IntervalYearToMonth) => {
            let intervals = values.as_primitive::<IntervalMonthDayNanoType>();
            let months = intervals.iter().map(|value| value.map(|value| value.months));
            let array: datafusion::arrow::array::IntervalYearMonthArray = months.collect();
            Ok(Arc::new(array))
        }
        (TimestampWithTimeZone(_), Timestamp(_) | Date | Time(_)) => {
            let DataType::Timestamp(unit, _) = values.data_type() else { return exec_err!("not a timestamp") };
            let plain = DataType::Timestamp(*unit, None);
            kernel(&kernel(values, &plain, safe)?, &arrow_target, safe)
        }
        _ => kernel(values, &arrow_target, safe),
    }
}

fn kernel(values: &ArrayRef, target: &DataType, safe: bool) -> Result<ArrayRef> {
    Ok(cast_with_options(values, target, &CastOptions { safe, ..CastOptions::default() })?)
}

fn to_text(values: &ArrayRef, source: &AthenaType, limit: usize) -> Result<ArrayRef> {
    let mut builder = StringBuilder::new();
    let mut out = String::new();
    for row in 0..values.len() {
        out.clear();
        let known = match source {
            // As a result, 1.5 is written 1.5; as a varchar Trino writes it with an exponent.
            AthenaType::Real | AthenaType::Double if !values.is_null(row) => {
                let value = match values.data_type() {
                    DataType::Float32 => {
                        let value = values.as_primitive::<Float32Type>().value(row);
                        (f64::from(value), format!("{value:e}"))
                    }
                    _ => {
                        let value = values.as_primitive::<Float64Type>().value(row);
                        (value, format!("{value:e}"))
                    }
                };
                scientific(&mut out, value.0, &value.1);
                true
            }
            _ => text::append(&mut out, values, row, source).map_err(external)?,
        };
        if !known {
            builder.append_null();
        } else if let Some((cut, _)) = out.char_indices().nth(limit) {
            builder.append_value(&out[..cut]);
        } else {
            builder.append_value(&out);
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn scientific(out: &mut String, value: f64, shortest: &str) {
    if !value.is_finite() {
        return text::double(out, value);
    }
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    out.push_str(mantissa);
    if !mantissa.contains('.') {
        out.push_str(".0");
    }
    out.push('E');
    out.push_str(exponent);
}

fn in_utc(values: &ArrayRef) -> bool {
    matches!(values.data_type(), DataType::Timestamp(_, Some(zone)) if zone.as_ref() == zones::UTC)
}

/// JSON texts as another type.
fn json_to(values: &ArrayRef, target: &AthenaType) -> Result<ArrayRef> {
    let texts = kernel(values, &DataType::Utf8, false)?;
    let parse = |text: Option<&str>| {
        text.map(|text| {
            serde_json::from_str::<serde_json::Value>(text)
                .map_err(|error| external(Failure::invalid_cast(format!("Cannot cast to {target}: {error}"))))
        })
        .transpose()
    };
    let parsed: Vec<Option<serde_json::Value>> = texts.as_string::<i32>().iter().map(parse).collect::<Result<_>>()?;
    let parsed: Vec<Option<&serde_json::Value>> = parsed.iter().map(Option::as_ref).collect();
    functions::from_json(&parsed, target).map_err(external)
}

/// TRY_CAST of nested values: a row that cannot be cast as a whole is NULL.
fn nested_safely(values: &ArrayRef, source: &AthenaType, target: &AthenaType, zone: &str) -> Result<ArrayRef> {
    if let Ok(cast) = cast_array(values, source, target, false, zone) {
        return Ok(cast);
    }
    let arrow_target = types::arrow(target).map_err(external)?;
    let null = datafusion::arrow::array::new_null_array(&arrow_target, 1);
    let one = |row| {
        let cast = cast_array(&values.slice(row, 1), source, target, false, zone);
        cast.and_then(|cast| kernel(&cast, &arrow_target, false)).unwrap_or_else(|_| Arc::clone(&null))
    };
    let rows: Vec<ArrayRef> = (0..values.len()).map(one).collect();
    let rows: Vec<&dyn Array> = rows.iter().map(AsRef::as_ref).collect();
    Ok(datafusion::arrow::compute::concat(&rows)?)
}

fn from_text(
    values: &ArrayRef,
    target: &AthenaType,
    arrow_target: &DataType,
    safe: bool,
    zone: &str,
) -> Result<ArrayRef> {
    let strings = kernel(values, &DataType::Utf8, false)?;
    let strings = strings.as_string::<i32>();
    let refuse = |text: &str| -> Result<()> {
        if safe {
            return Ok(());
        }
        let message = match target {
            AthenaType::Date => format!("Value cannot be cast to date: {text}"),
            AthenaType::Timestamp(_) | AthenaType::TimestampWithTimeZone(_) => {
                format!("Value cannot be cast to timestamp: {text}")
            }
            target => format!("Cannot cast '{text}' to {}", target.to_string().to_uppercase()),
        };
        Err(external(Failure::invalid_cast(message)))
    };
    macro_rules! parsed {
        ($parse:expr) => {{
            let mut values = Vec::with_capacity(strings.len());
            for text in strings.iter() {
                let parse = $parse;
                values.push(match text {
                    Some(text) => match parse(text) {
                        Some(value) => Some(value),
                        None => {
                            refuse(text)?;
                            None
                        }
                    },
                    None => None,
                });
            }
            values
        }};
    }
    Ok(match target {
        AthenaType::Boolean => Arc::new(BooleanArray::from(parsed!(|text: &str| {
            match text.to_ascii_lowercase().as_str() {
                "true" | "t" | "1" => Some(true),
                "false" | "f" | "0" => Some(false),
                _ => None,
            }
        }))),
        AthenaType::Date => Arc::new(Date32Array::from(parsed!(|text: &str| {
            let date = NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").ok()?;
            i32::try_from((date - NaiveDate::default()).num_days()).ok()
        }))),
        AthenaType::Varbinary => kernel(values, &DataType::Binary, safe)?,
        AthenaType::TimeWithTimeZone(_) => {
            let values = parsed!(|text: &str| {
                let text = text.replace(' ', "");
                is_zoned_time(&text).then_some(text)
            });
            Arc::new(datafusion::arrow::array::StringArray::from(values))
        }
        AthenaType::Uuid => {
            let values = parsed!(|text: &str| uuid::Uuid::try_parse(text).ok().map(|uuid| uuid.to_string()));
            Arc::new(datafusion::arrow::array::StringArray::from(values))
        }
        AthenaType::Ipaddress => {
            let values = parsed!(|text: &str| text.parse::<std::net::IpAddr>().ok().map(|ip| ip.to_string()));
            Arc::new(datafusion::arrow::array::StringArray::from(values))
        }
        AthenaType::Tinyint | AthenaType::Smallint | AthenaType::Integer | AthenaType::Bigint => {
            let wide = parsed!(|text: &str| text.trim().parse::<i64>().ok().filter(|value| fits(*value, target)));
            let wide: ArrayRef = Arc::new(datafusion::arrow::array::Int64Array::from(wide));
            kernel(&wide, arrow_target, safe)?
        }
        AthenaType::Real | AthenaType::Double => {
            let wide = Float64Array::from(parsed!(|text: &str| text.trim().parse::<f64>().ok()));
            let wide: ArrayRef = Arc::new(wide);
            kernel(&wide, arrow_target, safe)?
        }
        AthenaType::Decimal { .. } => {
            let values = parsed!(|text: &str| {
                let text = text.trim();
                let plain = text.trim_start_matches(['-', '+']);
                let digits = plain.bytes().all(|c| c.is_ascii_digit() || c == b'.') && !plain.is_empty();
                digits.then(|| text.to_owned())
            });
            let strings: ArrayRef = Arc::new(datafusion::arrow::array::StringArray::from(values));
            kernel(&strings, arrow_target, safe)?
        }
        // The forms that results have; a date alone is its midnight.
        AthenaType::Time(_) | AthenaType::Timestamp(_) | AthenaType::TimestampWithTimeZone(_) => {
            let zoned = matches!(target, AthenaType::TimestampWithTimeZone(_));
            if let (AthenaType::Timestamp(Some(7..)), DataType::Timestamp(TimeUnit::Nanosecond, None)) =
                (target, arrow_target)
            {
                let nanos = parsed!(|text: &str| nanoseconds(&complete_time(text.trim(), target)));
                return Ok(Arc::new(TimestampNanosecondArray::from(nanos)));
            }
            let mut builder = ColumnBuilder::new(target);
            for text in strings.iter() {
                let complete = text.map(|text| complete_time(text.trim(), target));
                if let (true, Some(complete)) = (zoned, &complete)
                    && let Some(Ok(named)) = complete.splitn(3, ' ').nth(2).map(zones::named)
                    && named != zone
                {
                    let what = format!("texts of several time zones in one column ({zone} and {named})");
                    return Err(external(Failure::not_supported(None, what)));
                }
                if builder.append(complete.as_deref().map(str::as_bytes)).is_err() {
                    refuse(text.unwrap_or_default())?;
                    builder.append(None).expect("NULL fits every type");
                }
            }
            let micros = builder.finish().expect("times are not texts");
            let zone = zoned.then(|| "UTC".into());
            match arrow_target {
                DataType::Timestamp(unit, _) if *unit != TimeUnit::Microsecond => {
                    kernel(&micros, &DataType::Timestamp(*unit, zone), safe)?
                }
                _ => kernel(&micros, arrow_target, safe)?,
            }
        }
        other => return Err(external(Failure::type_mismatch(format!("Cannot cast varchar to {other}")))),
    })
}

/// `12:34:56.789+00:00`
fn is_zoned_time(text: &str) -> bool {
    let Some(at) = text.rfind(['+', '-']) else { return false };
    let time =
        NaiveTime::parse_from_str(&text[..at], "%H:%M:%S%.f").or(NaiveTime::parse_from_str(&text[..at], "%H:%M"));
    time.is_ok() && zones::named(&text[at..]).is_ok()
}

fn fits(value: i64, target: &AthenaType) -> bool {
    match target {
        AthenaType::Tinyint => i8::try_from(value).is_ok(),
        AthenaType::Smallint => i16::try_from(value).is_ok(),
        AthenaType::Integer => i32::try_from(value).is_ok(),
        _ => true,
    }
}

/// Nanoseconds since the epoch of a local time with up to nine fractional digits.
fn nanoseconds(text: &str) -> Option<i64> {
    let moment = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok()?;
    moment.and_utc().timestamp_nanos_opt()
}

/// `2020-01-01` → `2020-01-01 00:00:00`, `… 12:30` → `… 12:30:00`; a zoned target without a zone is UTC.
fn complete_time(text: &str, target: &AthenaType) -> String {
    if matches!(target, AthenaType::Time(_)) {
        return if text.len() == 5 { format!("{text}:00") } else { text.to_owned() };
    }
    let (date, rest) = match text.get(..10).filter(|date| date.ends_with(|c: char| c.is_ascii_digit())) {
        Some(date) => (date, text[10..].trim_start_matches([' ', 'T'])),
        None => text.split_once([' ', 'T']).unwrap_or((text, "")),
    };
    let zone_at = rest.find([' ', '+', '-', 'Z']).unwrap_or(rest.len());
    let (clock, zone) = (&rest[..zone_at], rest[zone_at..].trim());
    let clock = match clock.len() {
        0 => "00:00:00".to_owned(),
        4 | 5 => format!("{clock}:00"),
        _ => clock.to_owned(),
    };
    if !matches!(target, AthenaType::TimestampWithTimeZone(_)) {
        return if zone.is_empty() { format!("{date} {clock}") } else { format!("{date} {clock} {zone}") };
    }
    let zone = match zone {
        "" | "Z" => zones::UTC,
        zone => zone,
    };
    format!("{date} {clock} {zone}")
}
