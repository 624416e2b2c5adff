//! ceil, floor, round, typeof.

use std::sync::Arc;

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::{Decimal128Type, Float32Type, Float64Type, Int64Type};
use datafusion::arrow::array::{Array, ArrayRef, Decimal128Array, Float64Array, Int64Array, StringArray};
use datafusion::arrow::datatypes::DataType;

use super::{Native, to};
use crate::emulator::model::Failure;
use crate::types::AthenaType::{self, *};

pub const FUNCTIONS: &[Native] = &[
    Native { name: "athena_typeof", result: |given| (given.len() == 1).then_some(Varchar(None)), values: type_of },
    Native { name: "athena_ceil", result: whole, values: |args, _, t| rounded(args, t, up, f64::ceil) },
    Native { name: "athena_floor", result: whole, values: |args, _, t| rounded(args, t, i128::div_euclid, f64::floor) },
    Native { name: "athena_round", result: round_type, values: round },
];

fn type_of(args: &[ArrayRef], given: &[AthenaType], _: &AthenaType) -> Result<ArrayRef, Failure> {
    let name = given[0].to_string();
    Ok(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(name, args[0].len()))))
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
