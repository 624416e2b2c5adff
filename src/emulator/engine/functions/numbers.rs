//! Numbers: rounding, signs, bits, bases.

use std::sync::Arc;

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::{Decimal128Type, Float32Type, Float64Type, Int64Type};
use datafusion::arrow::array::{Array, ArrayRef, Decimal128Array, Float64Array, Int64Array};
use datafusion::arrow::datatypes::DataType;

use super::{
    Checked, Class, Native, boolean_array, double_array, doubles, each, long_array, longs, map_double, strings,
    text_array, to, value, varchar,
};
use crate::emulator::model::Failure;
use crate::types::AthenaType::{self, *};

pub const FUNCTIONS: &[Native] = &[
    Native::of("athena_ceil", whole, |args, _, t| rounded(args, t, up, f64::ceil)),
    Native::of("athena_floor", whole, |args, _, t| rounded(args, t, i128::div_euclid, f64::floor)),
    Native::of("athena_round", round_type, round),
    Native::of("athena_truncate", truncate_type, truncate),
    Native::of("athena_sign", sign_type, sign),
    Native::takes(
        "athena_log",
        &[&[Class::Number, Class::Number]],
        || Double,
        |args, _, _| {
            let (base, number) = (doubles(&args[0])?, doubles(&args[1])?);
            double_array(each(base.len(), |row| {
                Ok(value!(base, row).zip(value!(number, row)).map(|(base, number)| number.ln() / base.ln()))
            })?)
        },
    ),
    Native::takes("athena_is_finite", &[&[Class::Number]], || Boolean, |args, _, _| tested(args, f64::is_finite)),
    Native::takes("athena_is_infinite", &[&[Class::Number]], || Boolean, |args, _, _| tested(args, f64::is_infinite)),
    Native::takes("athena_cosh", &[&[Class::Number]], || Double, |args, _, _| map_double(args, f64::cosh)),
    Native::takes("athena_sinh", &[&[Class::Number]], || Double, |args, _, _| map_double(args, f64::sinh)),
    Native::takes("athena_tanh", &[&[Class::Number]], || Double, |args, _, _| map_double(args, f64::tanh)),
    Native::takes("athena_bitwise_and", TWO_INTS, || Bigint, |args, _, _| bits(args, |a, b| a & b)),
    Native::takes("athena_bitwise_or", TWO_INTS, || Bigint, |args, _, _| bits(args, |a, b| a | b)),
    Native::takes("athena_bitwise_xor", TWO_INTS, || Bigint, |args, _, _| bits(args, |a, b| a ^ b)),
    Native::takes(
        "athena_bitwise_not",
        &[&[Class::Int]],
        || Bigint,
        |args, _, _| Ok(Arc::new(longs(&args[0])?.unary::<_, Int64Type>(|value| !value))),
    ),
    Native::of("athena_bitwise_left_shift", shift_type, |args, given, _| {
        shifted(args, &given[0], |value, by, width| if by >= width { 0 } else { value << by })
    }),
    Native::of("athena_bitwise_right_shift", shift_type, |args, given, _| {
        shifted(args, &given[0], |value, by, width| {
            let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
            if by >= width { 0 } else { ((value as u64 & mask) >> by) as i64 }
        })
    }),
    Native::of("athena_bitwise_right_shift_arithmetic", shift_type, |args, given, _| {
        shifted(args, &given[0], |value, by, _| value >> by.min(63))
    }),
    Native::takes("athena_bit_count", TWO_INTS, || Bigint, bit_count),
    Native::takes("athena_from_base", &[&[Class::Text, Class::Int]], || Bigint, from_base),
    Native::takes("athena_to_base", TWO_INTS, varchar, to_base),
    Native::takes(
        "athena_width_bucket",
        &[&[Class::Number, Class::Number, Class::Number, Class::Int]],
        || Bigint,
        width_bucket,
    ),
    Native::of("athena_random", random_type, random).volatile(),
    Native::takes("athena_format_number", &[&[Class::Number]], varchar, format_number),
];

const TWO_INTS: &[&[Class]] = &[&[Class::Int, Class::Int]];

fn tested(args: &[ArrayRef], test: impl Fn(f64) -> bool) -> Checked<ArrayRef> {
    let values = doubles(&args[0])?;
    boolean_array(each(values.len(), |row| Ok(value!(values, row).map(&test)))?)
}

fn bits(args: &[ArrayRef], compute: impl Fn(i64, i64) -> i64) -> Checked<ArrayRef> {
    let (a, b) = (longs(&args[0])?, longs(&args[1])?);
    long_array(each(a.len(), |row| Ok(value!(a, row).zip(value!(b, row)).map(|(a, b)| compute(a, b))))?)
}

fn shift_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [value, by] if Class::Int.has(value) && Class::Int.has(by) => Some(value.clone()),
        _ => None,
    }
}

/// Shifts within the width of the value's own type.
fn shifted(args: &[ArrayRef], t: &AthenaType, shift: impl Fn(i64, u32, u32) -> i64) -> Checked<ArrayRef> {
    let width = match t {
        Tinyint => 8,
        Smallint => 16,
        Integer => 32,
        _ => 64,
    };
    let narrow = |value: i64| match width {
        8 => i64::from(value as i8),
        16 => i64::from(value as i16),
        32 => i64::from(value as i32),
        _ => value,
    };
    let (values, by) = (longs(&args[0])?, longs(&args[1])?);
    long_array(each(values.len(), |row| {
        let Some((value, by)) = value!(values, row).zip(value!(by, row)) else { return Ok(None) };
        let by = u32::try_from(by).map_err(|_| Failure::invalid_argument("shift must not be negative"))?;
        Ok(Some(narrow(shift(value, by, width))))
    })?)
}

fn bit_count(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let (values, width) = (longs(&args[0])?, longs(&args[1])?);
    long_array(each(values.len(), |row| {
        let Some((value, width)) = value!(values, row).zip(value!(width, row)) else { return Ok(None) };
        if !(2..=64).contains(&width) {
            return Err(Failure::invalid_argument(format!(
                "Bits specified in bit_count must be between 2 and 64, got {width}"
            )));
        }
        let fits = width == 64 || (-(1_i64 << (width - 1))..1 << (width - 1)).contains(&value);
        if !fits {
            return Err(Failure::invalid_argument(format!(
                "Number must be representable with the bits specified. {value} cannot be represented with {width} bits"
            )));
        }
        let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
        Ok(Some(i64::from((value as u64 & mask).count_ones())))
    })?)
}

fn radix(radix: i64) -> Checked<u32> {
    let valid = u32::try_from(radix).ok().filter(|radix| (2..=36).contains(radix));
    valid.ok_or_else(|| Failure::invalid_argument("Radix must be between 2 and 36"))
}

fn from_base(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let (texts, bases) = (strings(&args[0])?, longs(&args[1])?);
    long_array(each(texts.len(), |row| {
        let Some((text, base)) = value!(texts, row).zip(value!(bases, row)) else { return Ok(None) };
        let number = i64::from_str_radix(text, radix(base)?);
        number.map(Some).map_err(|_| Failure::invalid_argument(format!("Not a valid base-{base} number: {text}")))
    })?)
}

fn to_base(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let (values, bases) = (longs(&args[0])?, longs(&args[1])?);
    text_array(each(values.len(), |row| {
        let Some((value, base)) = value!(values, row).zip(value!(bases, row)) else { return Ok(None) };
        let base = u64::from(radix(base)?);
        let (mut rest, mut digits) = (value.unsigned_abs(), Vec::new());
        loop {
            digits.extend(char::from_digit((rest % base) as u32, base as u32));
            rest /= base;
            if rest == 0 {
                break;
            }
        }
        digits.extend((value < 0).then_some('-'));
        Ok(Some(digits.iter().rev().collect()))
    })?)
}

fn width_bucket(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let (value, low, high) = (doubles(&args[0])?, doubles(&args[1])?, doubles(&args[2])?);
    let count = longs(&args[3])?;
    long_array(each(value.len(), |row| {
        let given = (value!(value, row), value!(low, row), value!(high, row), value!(count, row));
        let (Some(value), Some(low), Some(high), Some(count)) = given else { return Ok(None) };
        if count <= 0 {
            return Err(Failure::invalid_argument("bucketCount must be greater than 0"));
        }
        if value.is_nan() || low == high || !low.is_finite() || !high.is_finite() {
            return Err(Failure::invalid_argument("bounds must be finite and differ, and the operand a number"));
        }
        let share = if low < high { (value - low) / (high - low) } else { (low - value) / (low - high) };
        Ok(Some(if share < 0.0 {
            0
        } else if share >= 1.0 {
            count.saturating_add(1)
        } else {
            ((share * count as f64) as i64).saturating_add(1)
        }))
    })?)
}

fn random_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [] => Some(Double),
        [n] if Class::Int.has(n) => Some(n.clone()),
        [m, n] if Class::Int.has(m) && Class::Int.has(n) => super::common::common(m, n),
        _ => None,
    }
}

/// Uniform in [0, 1), below `n`, or from `m` until below `n`.
fn random(args: &[ArrayRef], given: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let bits = || uuid::Uuid::new_v4().as_u64_pair().1;
    if given.is_empty() {
        const UNIT: f64 = (1_u64 << 53) as f64;
        return double_array((0..args[0].len()).map(|_| Some((bits() % (1 << 53)) as f64 / UNIT)).collect());
    }
    let until = longs(args.last().unwrap_or(&args[0]))?;
    let from = (args.len() == 2).then(|| longs(&args[0])).transpose()?;
    long_array(each(until.len(), |row| {
        let from = from.as_ref().map_or(0, |from| from.value(row));
        let width = until.value(row).checked_sub(from).filter(|width| *width > 0);
        let width = width.ok_or_else(|| Failure::invalid_argument("bound must be positive"))?;
        Ok(Some(from + (bits() % width as u64) as i64))
    })?)
}

/// `1234567` → `1.23M`: three digits and a unit.
fn format_number(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let values = doubles(&args[0])?;
    text_array(each(values.len(), |row| {
        let Some(value) = value!(values, row) else { return Ok(None) };
        let (mut scaled, mut unit) = (value, "");
        for next in ["K", "M", "B", "T", "Q"] {
            if scaled.abs() < 1000.0 {
                break;
            }
            (scaled, unit) = (scaled / 1000.0, next);
        }
        let digits = if scaled.abs() < 10.0 { 2 } else { usize::from(scaled.abs() < 100.0) };
        let text = format!("{scaled:.digits$}");
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        Ok(Some(format!("{text}{unit}")))
    })?)
}

fn sign_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [Decimal { .. }] => Some(Decimal { precision: 1, scale: 0 }),
        [number] if Class::Number.has(number) => Some(number.clone()),
        _ => None,
    }
}

fn sign(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    if let DataType::Decimal128(..) = args[0].data_type() {
        let signs: Decimal128Array = args[0].as_primitive::<Decimal128Type>().unary(i128::signum);
        return with_type(signs, 1, 0);
    }
    map_double(args, |value| if value == 0.0 || value.is_nan() { value } else { value.signum() })
}

fn truncate_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [Decimal { precision, scale }] => Some(Decimal { precision: (precision - scale).max(1), scale: 0 }),
        [same @ (Real | Double)] => Some(same.clone()),
        [same @ (Decimal { .. } | Real | Double), digits] if Class::Int.has(digits) => Some(same.clone()),
        _ => None,
    }
}

fn truncate(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let [_, digits] = args else { return rounded(args, result, |value, factor| value / factor, f64::trunc) };
    let digits = longs(digits)?;
    if let (DataType::Decimal128(_, from), Decimal { precision, scale }) = (args[0].data_type(), result) {
        let values = args[0].as_primitive::<Decimal128Type>();
        let cut: Decimal128Array = (0..values.len())
            .map(|row| {
                let cut = u32::try_from((i64::from(*from) - value!(digits, row)?).clamp(0, 38)).ok()?;
                let factor = 10_i128.pow(cut);
                Some(value!(values, row)? / factor * factor)
            })
            .collect();
        return with_type(cut, *precision, *scale as i8);
    }
    let values = doubles(&args[0])?;
    double_array(each(values.len(), |row| {
        let Some((value, digits)) = value!(values, row).zip(value!(digits, row)) else { return Ok(None) };
        let factor = 10_f64.powi(digits.clamp(-400, 400) as i32);
        let scaled = value * factor;
        Ok(Some(if scaled.is_finite() { scaled.trunc() / factor } else { value }))
    })?)
}

/// A decimal loses its fraction and gains a digit for the carry.
fn whole(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [Decimal { precision, scale }] => {
            Some(Decimal { precision: (precision - scale + (*scale).min(1)).max(1), scale: 0 })
        }
        [same @ (Tinyint | Smallint | Integer | Bigint | Real | Double)] => Some(same.clone()),
        _ => None,
    }
}

fn round_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [number] => whole(std::slice::from_ref(number)),
        [Decimal { precision, scale }, Tinyint | Smallint | Integer | Bigint] => {
            Some(Decimal { precision: (precision + 1).min(38), scale: *scale })
        }
        [same @ (Tinyint | Smallint | Integer | Bigint | Real | Double), Tinyint | Smallint | Integer | Bigint] => {
            Some(same.clone())
        }
        _ => None,
    }
}

fn up(value: i128, factor: i128) -> i128 {
    value.div_euclid(factor) + i128::from(value.rem_euclid(factor) != 0)
}

/// Half away from zero.
fn half_up(value: i128, factor: i128) -> i128 {
    let (quotient, rest) = (value / factor, value % factor);
    if rest.abs() * 2 >= factor { quotient + value.signum() } else { quotient }
}

/// `exact` gets the unscaled value and the factor of its scale and gives the whole number.
fn rounded(
    args: &[ArrayRef],
    result: &AthenaType,
    exact: fn(i128, i128) -> i128,
    float: fn(f64) -> f64,
) -> Result<ArrayRef, Failure> {
    match (args[0].data_type(), result) {
        (DataType::Decimal128(_, scale), Decimal { precision, .. }) => {
            let factor = 10_i128.pow(scale.unsigned_abs().into());
            let values: Decimal128Array = args[0].as_primitive::<Decimal128Type>().unary(|value| exact(value, factor));
            with_type(values, *precision, 0)
        }
        (DataType::Float64, _) => Ok(Arc::new(args[0].as_primitive::<Float64Type>().unary::<_, Float64Type>(float))),
        (DataType::Float32, _) => {
            let widened = |value: f32| float(f64::from(value)) as f32;
            Ok(Arc::new(args[0].as_primitive::<Float32Type>().unary::<_, Float32Type>(widened)))
        }
        _ => Ok(Arc::clone(&args[0])),
    }
}

fn with_type(values: Decimal128Array, precision: u8, scale: i8) -> Result<ArrayRef, Failure> {
    let values = values.with_precision_and_scale(precision, scale);
    Ok(Arc::new(values.map_err(|error| Failure::internal(error.to_string()))?))
}

fn round(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Result<ArrayRef, Failure> {
    let [_, digits] = args else { return rounded(args, result, half_up, f64::round) };
    let digits = to(digits, &DataType::Int64)?;
    let digits = digits.as_primitive::<Int64Type>();
    match (args[0].data_type(), result) {
        (DataType::Decimal128(_, from), Decimal { precision, scale }) => {
            let values = args[0].as_primitive::<Decimal128Type>().iter().zip(digits.iter());
            let values: Decimal128Array = values
                .map(|(value, digits)| {
                    let cut = u32::try_from((i64::from(*from) - digits?).clamp(0, 38)).ok()?;
                    let factor = 10_i128.pow(cut);
                    Some(half_up(value?, factor) * factor)
                })
                .collect();
            with_type(values, *precision, *scale as i8)
        }
        (DataType::Float32 | DataType::Float64, _) => {
            let values = to(&args[0], &DataType::Float64)?;
            let round = |(value, digits): (Option<f64>, Option<i64>)| {
                let value = value?;
                let factor = 10_f64.powi(i32::try_from(digits?.clamp(-400, 400)).ok()?);
                let scaled = value * factor;
                Some(if scaled.is_finite() { scaled.round() / factor } else { value })
            };
            let values: Float64Array =
                values.as_primitive::<Float64Type>().iter().zip(digits.iter()).map(round).collect();
            let values: ArrayRef = Arc::new(values);
            to(&values, args[0].data_type())
        }
        _ => {
            let values = to(&args[0], &DataType::Int64)?;
            let round = |(value, digits): (Option<i64>, Option<i64>)| {
                let factor = 10_i128.pow(u32::try_from((-digits?).clamp(0, 30)).ok()?);
                i64::try_from(half_up(i128::from(value?), factor) * factor).ok()
            };
            let values: Int64Array = values.as_primitive::<Int64Type>().iter().zip(digits.iter()).map(round).collect();
            let values: ArrayRef = Arc::new(values);
            to(&values, args[0].data_type())
        }
    }
}
