//! Functions that DataFusion does not have, or means differently: with Trino's types and errors.
//!
//! A NULL argument makes NULL, unless a function says otherwise. Fast enough for a stand-in; what large queries use most
//! goes to DataFusion.

mod arrays;
mod binary;
mod common;
mod elements;
mod json;
mod lambdas;
mod making;
mod maps;
mod numbers;
mod regexps;
mod rows;
mod strings;
mod time_formats;
mod times;
mod urls;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::{Float64Type, Int64Type};
use datafusion::arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, new_null_array,
};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::cast::external;
use super::{types, zones};
use crate::emulator::model::Failure;
use crate::types::AthenaType;

pub use common::common as common_type;
pub use json::{from_json, to_json};
pub use lambdas::functions as lambda_functions;

/// All functions of this module, to be registered.
pub fn functions() -> Vec<ScalarUDF> {
    let all = [
        arrays::FUNCTIONS,
        binary::FUNCTIONS,
        json::FUNCTIONS,
        making::FUNCTIONS,
        maps::FUNCTIONS,
        numbers::FUNCTIONS,
        regexps::FUNCTIONS,
        rows::FUNCTIONS,
        strings::FUNCTIONS,
        time_formats::FUNCTIONS,
        times::FUNCTIONS,
        urls::FUNCTIONS,
    ]
    .concat();
    let function = |native: Native| {
        // DataFusion takes "any arguments" for "at least one".
        let any = TypeSignature::OneOf(vec![TypeSignature::VariadicAny, TypeSignature::Nullary]);
        let signature = Signature::new(any, native.volatility);
        ScalarUDF::new_from_impl(Function { native, signature })
    };
    all.into_iter().map(function).collect()
}

/// Zoned timestamps as the clocks of their zone show them.
pub fn clock_times(values: &ArrayRef) -> Checked<ArrayRef> {
    times::instant_array(times::moments(values)?, &AthenaType::Timestamp(Some(6)))
}

/// One of the functions by its name, for the planner.
pub fn named(name: &str) -> Option<ScalarUDF> {
    functions().into_iter().find(|function| function.name() == name)
}

type Checked<T> = std::result::Result<T, Failure>;

/// Computes a function's values: all arguments have the same number of rows, the result is of the promised type.
type Values = fn(&[ArrayRef], &[AthenaType], &AthenaType) -> Checked<ArrayRef>;

/// Arguments that are constants, where they are.
type Constants<'a> = [Option<&'a ScalarValue>];

/// How a function's result type follows from its arguments; `None` where they do not fit.
#[derive(Clone, Copy)]
enum Typing {
    /// One of these lists of arguments; always the same type.
    Takes(&'static [&'static [Class]], AthenaType0),
    Of(fn(&[AthenaType]) -> Option<AthenaType>),
    /// The type depends on the value of a constant.
    ByConstant(fn(&[AthenaType], &Constants) -> Checked<Option<AthenaType>>),
    /// A zoned timestamp whose zone is a constant argument, or in one.
    InZone(fn(&[AthenaType]) -> Option<AthenaType>, fn(&Constants) -> Checked<Option<String>>),
}

/// A result type that needs no memory; made when asked for.
type AthenaType0 = fn() -> AthenaType;

/// What an argument may be. NULL may stand anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Text,
    Int,
    Number,
    Boolean,
    Binary,
    Json,
    /// Date or timestamp, zoned or not.
    Moment,
    Timestamp,
    Time,
    Interval,
}

impl Class {
    fn has(self, t: &AthenaType) -> bool {
        use AthenaType::*;
        matches!(
            (self, t),
            (_, Unknown)
                | (Self::Text, Varchar(_) | Char(_))
                | (Self::Int, Tinyint | Smallint | Integer | Bigint)
                | (Self::Number, Tinyint | Smallint | Integer | Bigint | Real | Double | Decimal { .. })
                | (Self::Boolean, Boolean)
                | (Self::Binary, Varbinary)
                | (Self::Json, Json | Varchar(_))
                | (Self::Moment, Date | Timestamp(_) | TimestampWithTimeZone(_))
                | (Self::Timestamp, Timestamp(_) | TimestampWithTimeZone(_))
                | (Self::Time, Time(_))
                | (Self::Interval, IntervalDayToSecond)
        )
    }
}

fn fits(given: &[AthenaType], takes: &[Class]) -> bool {
    given.len() == takes.len() && given.iter().zip(takes).all(|(t, class)| class.has(t))
}

fn varchar() -> AthenaType {
    AthenaType::Varchar(None)
}

fn array_of(element: AthenaType) -> AthenaType {
    AthenaType::Array(Some(Box::new(element)))
}

fn element_of(t: &AthenaType) -> Option<&AthenaType> {
    match t {
        AthenaType::Array(Some(element)) => Some(element),
        _ => None,
    }
}

/// One function: its result type from its argument types, and its values.
#[derive(Clone, Copy)]
struct Native {
    name: &'static str,
    typing: Typing,
    values: Values,
    /// Whether it sees NULL arguments; others are NULL as soon as one argument is NULL throughout.
    sees_nulls: bool,
    volatility: Volatility,
}

impl Native {
    const fn new(name: &'static str, typing: Typing, values: Values) -> Self {
        Self { name, typing, values, sees_nulls: false, volatility: Volatility::Immutable }
    }

    /// A function over fixed kinds of arguments.
    const fn takes(
        name: &'static str,
        takes: &'static [&'static [Class]],
        result: fn() -> AthenaType,
        values: Values,
    ) -> Self {
        Self::new(name, Typing::Takes(takes, result), values)
    }

    const fn of(name: &'static str, result: fn(&[AthenaType]) -> Option<AthenaType>, values: Values) -> Self {
        Self::new(name, Typing::Of(result), values)
    }

    const fn seeing_nulls(mut self) -> Self {
        self.sees_nulls = true;
        self
    }

    const fn volatile(mut self) -> Self {
        self.volatility = Volatility::Volatile;
        self
    }
}

struct Function {
    native: Native,
    signature: Signature,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.native.name)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.native.name == other.native.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.native.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.native.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        plan_err!("the type of {} depends on its argument fields", self.native.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let given = athena_types(args.arg_fields)?;
        let found = match self.native.typing {
            Typing::Takes(lists, result) => lists.iter().any(|takes| fits(&given, takes)).then(result),
            Typing::Of(result) | Typing::InZone(result, _) => result(&given),
            Typing::ByConstant(result) => result(&given, args.scalar_arguments).map_err(external)?,
        };
        let Some(result) = found else { return Err(external(unexpected_parameters(self.native.name, &given))) };
        let field = types::field(self.native.name, &result).map_err(external)?;
        let zone = match self.native.typing {
            Typing::InZone(_, zone) => zone(args.scalar_arguments).map_err(external)?,
            _ => args.arg_fields.iter().find_map(|field| zone_of(field.data_type())),
        };
        let data_type = types::in_zone(field.data_type().clone(), zone.as_deref().unwrap_or(zones::UTC));
        Ok(Arc::new(field.with_data_type(data_type)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let volatile = self.native.volatility == Volatility::Volatile;
        let scalar = !volatile && args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let arrays: Vec<ArrayRef> = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<_>>()?;
        let given = athena_types(&args.arg_fields)?;
        let result_type = types::athena(&args.return_field).map_err(external)?;
        let target = args.return_field.data_type();
        let is_null = |array: &ArrayRef| *array.data_type() == DataType::Null || array.null_count() == array.len();
        let result = if !self.native.sees_nulls && rows > 0 && arrays.iter().any(is_null) {
            new_null_array(target, rows)
        } else if arrays.is_empty() {
            let count: ArrayRef = Arc::new(Int64Array::from(vec![0; rows]));
            (self.native.values)(&[count], &given, &result_type).map_err(external)?
        } else {
            (self.native.values)(&arrays, &given, &result_type).map_err(external)?
        };
        let result = if result.data_type() == target { result } else { to(&result, target).map_err(external)? };
        if scalar { Ok(ColumnarValue::Scalar(super::cast::scalar(&result)?)) } else { Ok(ColumnarValue::Array(result)) }
    }
}

fn unexpected_parameters(name: &str, given: &[AthenaType]) -> Failure {
    let name = name.trim_start_matches("athena_");
    let given: Vec<String> = given.iter().map(AthenaType::to_string).collect();
    Failure::type_mismatch(format!("Unexpected parameters ({}) for function {name}", given.join(", ")))
}

fn zone_of(data_type: &DataType) -> Option<String> {
    match data_type {
        DataType::Timestamp(_, zone) => zone.as_deref().map(str::to_owned),
        _ => None,
    }
}

fn athena_types(fields: &[FieldRef]) -> Result<Vec<AthenaType>> {
    fields.iter().map(|field| types::athena(field).map_err(external)).collect()
}

/// The text of a constant argument.
fn constant_text<'a>(constants: &'a Constants, at: usize) -> Option<&'a str> {
    match constants.get(at) {
        Some(Some(ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)))) => Some(text),
        _ => None,
    }
}

/// The array as another type, by Arrow's kernels.
fn to(array: &ArrayRef, data_type: &DataType) -> Checked<ArrayRef> {
    if array.data_type() == data_type {
        return Ok(Arc::clone(array));
    }
    datafusion::arrow::compute::cast(array, data_type).map_err(internal)
}

fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::internal(error)
}

fn strings(array: &ArrayRef) -> Checked<StringArray> {
    Ok(to(array, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn bytes(array: &ArrayRef) -> Checked<BinaryArray> {
    Ok(to(array, &DataType::Binary)?.as_binary::<i32>().clone())
}

fn longs(array: &ArrayRef) -> Checked<Int64Array> {
    Ok(to(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

fn doubles(array: &ArrayRef) -> Checked<Float64Array> {
    Ok(to(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

/// The value of a row, or NULL.
macro_rules! value {
    ($array:expr, $row:expr) => {
        if $array.is_null($row) { None } else { Some($array.value($row)) }
    };
}
use value;

/// One value per row, computed by a closure over the row's number. `None` is NULL.
fn each<T>(rows: usize, compute: impl FnMut(usize) -> Checked<Option<T>>) -> Checked<Vec<Option<T>>> {
    (0..rows).map(compute).collect()
}

fn text_array(values: Vec<Option<String>>) -> Checked<ArrayRef> {
    Ok(Arc::new(StringArray::from(values)))
}

fn long_array(values: Vec<Option<i64>>) -> Checked<ArrayRef> {
    Ok(Arc::new(Int64Array::from(values)))
}

fn double_array(values: Vec<Option<f64>>) -> Checked<ArrayRef> {
    Ok(Arc::new(Float64Array::from(values)))
}

fn boolean_array(values: Vec<Option<bool>>) -> Checked<ArrayRef> {
    Ok(Arc::new(BooleanArray::from(values)))
}

fn binary_array(values: Vec<Option<Vec<u8>>>) -> Checked<ArrayRef> {
    Ok(Arc::new(BinaryArray::from_iter(values)))
}

/// Text → text, row by row.
fn map_text(args: &[ArrayRef], mut compute: impl FnMut(&str) -> Checked<Option<String>>) -> Checked<ArrayRef> {
    let texts = strings(&args[0])?;
    text_array(each(texts.len(), |row| match value!(texts, row) {
        Some(text) => compute(text),
        None => Ok(None),
    })?)
}

/// Number → number as doubles, row by row.
fn map_double(args: &[ArrayRef], compute: impl Fn(f64) -> f64) -> Checked<ArrayRef> {
    Ok(Arc::new(doubles(&args[0])?.unary::<_, Float64Type>(compute)))
}
