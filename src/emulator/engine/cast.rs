//! CAST and TRY_CAST with Trino's rules.
//!
//! DataFusion's own casts cut where Trino rounds (`CAST(1.5 AS integer)` is 2), read other texts and write doubles
//! another way. What is the same in both goes to Arrow's kernels.

use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::*;
use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, StringBuilder, TimestampNanosecondArray,
};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::{text, types};
use crate::emulator::model::Failure;
use crate::emulator::sql::functions;
use crate::types::AthenaType;
use crate::types::value::ColumnBuilder;

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
        if self.safe { functions::TRY_CAST } else { functions::CAST }
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
        Ok(Arc::new(types::field(self.name(), &target).map_err(external)?))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let target = types::athena(&args.return_field).map_err(external)?;
        let source = source_type(&args.arg_fields[0])?;
        let scalar = matches!(args.args[0], ColumnarValue::Scalar(_));
        let values = args.args[0].to_array(if scalar { 1 } else { args.number_rows })?;
        let cast = cast_array(&values, &source, &target, self.safe)?;
        if scalar {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&cast, 0)?))
        } else {
            Ok(ColumnarValue::Array(cast))
        }
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
    match (source, target) {
        (s, t) if is_number(s) && is_number(t) => true,
        (s, t) if is_text(s) && is_text(t) => true,
        (s, Boolean) => is_number(s) || is_text(s),
        (Boolean, t) => is_number(t) || is_text(t),
        (s, Json | Varbinary) => is_text(s),
        (s, Uuid | Ipaddress) => is_text(s),
        (Json | Uuid | Ipaddress, t) => is_text(t),
        (s, t) if is_text(t) => is_number(s) || matches!(s, Date | Time(_) | Timestamp(_) | TimestampWithTimeZone(_)),
        (s, t) if is_text(s) => is_number(t) || matches!(t, Date | Time(_) | Timestamp(_) | TimestampWithTimeZone(_)),
        (Date | Timestamp(_) | TimestampWithTimeZone(_), Date | Timestamp(_) | TimestampWithTimeZone(_)) => true,
        (Time(_), Time(_)) => true,
        (IntervalDayToSecond, IntervalDayToSecond) => true,
        (IntervalDayToSecond, IntervalYearToMonth) => true,
        (Array(Some(s)), Array(Some(t))) => castable(s, t),
        _ => false,
    }
}

/// Casts a whole array. `safe` makes NULL of what cannot be cast.
fn cast_array(values: &ArrayRef, source: &AthenaType, target: &AthenaType, safe: bool) -> Result<ArrayRef> {
    use AthenaType::*;
    let arrow_target = types::arrow(target).map_err(external)?;
    if values.data_type() == &arrow_target && !matches!(target, Varchar(Some(_)) | Char(_) | Json | Uuid | Ipaddress) {
        return Ok(Arc::clone(values));
    }
    match (source, target) {
        (Unknown, _) => Ok(datafusion::arrow::array::new_null_array(&arrow_target, values.len())),
        (s, t) if is_text(t) => {
            let limit = match t {
                Varchar(Some(length)) | Char(Some(length)) => *length as usize,
                _ => usize::MAX,
            };
            to_text(values, s, limit)
        }
        (s, t) if is_text(s) => from_text(values, t, &arrow_target, safe),
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
        (TimestampWithTimeZone(_), Timestamp(_)) => {
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

fn from_text(values: &ArrayRef, target: &AthenaType, arrow_target: &DataType, safe: bool) -> Result<ArrayRef> {
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
        AthenaType::Json => {
            parsed!(|text: &str| serde_json::from_str::<serde_json::Value>(text).ok());
            kernel(values, &DataType::Utf8, safe)?
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
                if builder.append(complete.as_deref().map(str::as_bytes)).is_err() {
                    refuse(text.unwrap_or_default())?;
                    builder.append(None).expect("NULL fits every type");
                }
            }
            let micros = builder.finish();
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
    let mut complete = text.to_owned();
    if complete.as_bytes().get(10) == Some(&b'T') {
        complete.replace_range(10..11, " ");
    }
    if matches!(target, AthenaType::Time(_)) {
        return complete;
    }
    if complete.len() == 10 {
        complete.push_str(" 00:00:00");
    } else if complete.len() == 16 {
        complete.push_str(":00");
    }
    if matches!(target, AthenaType::TimestampWithTimeZone(_)) {
        let time = complete.split_once(' ').map_or("", |(_, time)| time);
        if let Some(utc) = complete.strip_suffix('Z') {
            complete = format!("{utc} UTC");
        } else if let Some(at) = time.find(['+', '-']).filter(|at| *at > 0 && time.as_bytes()[at - 1] != b' ') {
            complete.insert(complete.len() - time.len() + at, ' ');
        } else if !time.contains(' ') {
            complete.push_str(" UTC");
        }
    }
    complete
}
