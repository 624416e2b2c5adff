//! Arithmetic with Trino's result types and checks: DataFusion wraps around where Trino fails, and gives decimals other
//! scales.

use std::sync::Arc;

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::{Decimal128Type, Float64Type};
use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::cast::external;
use super::{functions, types};
use crate::emulator::model::Failure;

/// The largest precision there is.
const MAX_PRECISION: u8 = 38;

#[derive(Debug)]
pub struct TrinoArithmetic;

impl ExprPlanner for TrinoArithmetic {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if let Some(comparison) = Comparison::of(&expr.op) {
            let float = |side: &Expr| side.get_type(schema).is_ok_and(|t| t.is_floating());
            let number = |side: &Expr| side.get_type(schema).is_ok_and(|t| t.is_numeric());
            if (float(&expr.left) && number(&expr.right)) || (float(&expr.right) && number(&expr.left)) {
                let args = vec![cast(expr.left, DataType::Float64), cast(expr.right, DataType::Float64)];
                return Ok(PlannerResult::Planned(comparison.function().call(args)));
            }
        }
        if expr.op == BinaryOperator::StringConcat {
            let texts = |side: &Expr| side.get_type(schema).is_ok_and(|t| is_text(&t) || t == DataType::Null);
            if !texts(&expr.left) || !texts(&expr.right) {
                let concat = functions::named("athena_concat").expect("it is in the table");
                return Ok(PlannerResult::Planned(concat.call(vec![expr.left, expr.right])));
            }
        }
        let Some(operation) = Operation::of(&expr.op) else { return Ok(PlannerResult::Original(expr)) };
        let (left, right) = (expr.left.get_type(schema)?, expr.right.get_type(schema)?);
        // NULL takes the other side's type.
        let (left, right) = match (left, right) {
            (DataType::Null, DataType::Null) => return Ok(PlannerResult::Original(expr)),
            (DataType::Null, right) => (right.clone(), right),
            (left, DataType::Null) => (left.clone(), left),
            both => both,
        };
        if left.is_numeric() != right.is_numeric() && (is_text(&left) || is_text(&right)) {
            let name = |t: &DataType| types::athena_of(t).map_or_else(|_| t.to_string(), |t| t.to_string());
            let message = format!("Cannot apply operator: {} {} {}", name(&left), expr.op, name(&right));
            return Err(external(Failure::type_mismatch(message)));
        }
        if left.is_floating() || right.is_floating() {
            return Ok(PlannerResult::Original(expr));
        }
        if left.is_integer() && right.is_integer() {
            let common = if width(&left) >= width(&right) { left } else { right };
            let args = vec![cast(expr.left, common.clone()), cast(expr.right, common)];
            return Ok(PlannerResult::Planned(operation.function().call(args)));
        }
        match (as_decimal(&left), as_decimal(&right)) {
            (Some(left), Some(right)) => {
                let args = vec![cast(expr.left, decimal(left)), cast(expr.right, decimal(right))];
                Ok(PlannerResult::Planned(operation.function().call(args)))
            }
            _ => Ok(PlannerResult::Original(expr)),
        }
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn width(data_type: &DataType) -> usize {
    data_type.primitive_width().unwrap_or(8)
}

fn decimal((precision, scale): (u8, i8)) -> DataType {
    DataType::Decimal128(precision, scale)
}

/// A decimal's precision and scale; integers count as the decimal that holds them all.
fn as_decimal(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Decimal128(precision, scale) => Some((*precision, *scale)),
        DataType::Int8 => Some((3, 0)),
        DataType::Int16 => Some((5, 0)),
        DataType::Int32 => Some((10, 0)),
        DataType::Int64 => Some((19, 0)),
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulus,
}

impl Operation {
    const ALL: [Self; 5] = [Self::Add, Self::Subtract, Self::Multiply, Self::Divide, Self::Modulus];

    fn of(op: &BinaryOperator) -> Option<Self> {
        Some(match op {
            BinaryOperator::Plus => Self::Add,
            BinaryOperator::Minus => Self::Subtract,
            BinaryOperator::Multiply => Self::Multiply,
            BinaryOperator::Divide => Self::Divide,
            BinaryOperator::Modulo => Self::Modulus,
            _ => return None,
        })
    }

    fn function(self) -> ScalarUDF {
        ScalarUDF::new_from_impl(Arithmetic {
            operation: self,
            signature: Signature::user_defined(Volatility::Immutable),
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Add => "athena_add",
            Self::Subtract => "athena_subtract",
            Self::Multiply => "athena_multiply",
            Self::Divide => "athena_divide",
            Self::Modulus => "athena_modulus",
        }
    }

    /// Trino's result precision and scale (Trino documentation, "Decimal functions and operators").
    fn result(self, (p1, s1): (u8, i8), (p2, s2): (u8, i8)) -> (u8, i8) {
        let (whole1, whole2) = (i16::from(p1) - i16::from(s1), i16::from(p2) - i16::from(s2));
        let scale = s1.max(s2);
        let (precision, scale) = match self {
            Self::Add | Self::Subtract => (1 + i16::from(scale) + whole1.max(whole2), scale),
            Self::Multiply => (i16::from(p1) + i16::from(p2), s1 + s2),
            Self::Divide => (i16::from(p1) + i16::from(s2) + i16::from((s2 - s1).max(0)), scale),
            Self::Modulus => (whole1.min(whole2) + i16::from(scale), scale),
        };
        (precision.clamp(1, i16::from(MAX_PRECISION)) as u8, scale)
    }
}

/// Checked arithmetic over two integers of one type, or two decimals.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    operation: Operation,
    signature: Signature,
}

/// All of this module's functions, to be registered.
pub fn functions() -> Vec<ScalarUDF> {
    let comparisons = Comparison::ALL.iter().map(|comparison| comparison.function());
    Operation::ALL.iter().map(|operation| operation.function()).chain(comparisons).collect()
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        self.operation.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [DataType::Decimal128(p1, s1), DataType::Decimal128(p2, s2)] => {
                let (precision, scale) = self.operation.result((*p1, *s1), (*p2, *s2));
                if scale > MAX_PRECISION as i8 {
                    return Err(external(Failure::type_mismatch(format!("DECIMAL scale {scale} must be at most 38"))));
                }
                Ok(DataType::Decimal128(precision, scale))
            }
            [left, right] if left == right => Ok(left.clone()),
            other => plan_err!("arithmetic over {other:?}"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let result_type = args.return_field.data_type().clone();
        let scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let (left, right) = (args.args[0].to_array(rows)?, args.args[1].to_array(rows)?);
        let result = match (&result_type, self.operation) {
            (DataType::Decimal128(precision, scale), operation) => {
                decimals(operation, &left, &right, *precision, *scale)?
            }
            (_, Operation::Add) => numeric::add(&left, &right)?,
            (_, Operation::Subtract) => numeric::sub(&left, &right)?,
            (_, Operation::Multiply) => numeric::mul(&left, &right)?,
            (_, Operation::Divide) => numeric::div(&left, &right)?,
            (_, Operation::Modulus) => numeric::rem(&left, &right)?,
        };
        if scalar {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?))
        } else {
            Ok(ColumnarValue::Array(result))
        }
    }
}

fn decimals(operation: Operation, left: &ArrayRef, right: &ArrayRef, precision: u8, scale: i8) -> Result<ArrayRef> {
    let (left, right) = (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
    let (s1, s2) = (left.scale(), right.scale());
    let limit = 10_i128.pow(u32::from(precision));
    let overflow = || external(Failure::out_of_range("Decimal overflow"));
    let rescale = |value: i128, by: i8| {
        10_i128
            .checked_pow(u32::from(by.max(0).unsigned_abs()))
            .and_then(|factor| value.checked_mul(factor))
            .ok_or_else(overflow)
    };
    let compute = |a: i128, b: i128| -> Result<i128> {
        let value = match operation {
            Operation::Add => rescale(a, scale - s1)?.checked_add(rescale(b, scale - s2)?),
            Operation::Subtract => rescale(a, scale - s1)?.checked_sub(rescale(b, scale - s2)?),
            Operation::Multiply => a.checked_mul(b),
            Operation::Modulus => {
                let (a, b) = (rescale(a, scale - s1)?, rescale(b, scale - s2)?);
                if b == 0 {
                    return Err(external(Failure::division_by_zero()));
                }
                a.checked_rem(b)
            }
            Operation::Divide => {
                if b == 0 {
                    return Err(external(Failure::division_by_zero()));
                }
                // The quotient has the result's scale, rounded half away from zero.
                let a = rescale(a, scale - s1 + s2)?;
                let (quotient, rest) = (a / b, a % b);
                let away = rest.unsigned_abs() * 2 >= b.unsigned_abs();
                let sign = if (a < 0) == (b < 0) { 1 } else { -1 };
                quotient.checked_add(if away { sign } else { 0 })
            }
        };
        value.filter(|value| value.abs() < limit).ok_or_else(overflow)
    };
    let mut values = Vec::with_capacity(left.len());
    for (a, b) in left.iter().zip(right.iter()) {
        values.push(match (a, b) {
            (Some(a), Some(b)) => Some(compute(a, b)?),
            _ => None,
        });
    }
    let array = datafusion::arrow::array::Decimal128Array::from(values).with_precision_and_scale(precision, scale)?;
    Ok(Arc::new(array))
}

/// Comparisons of doubles as IEEE 754 has them: NaN equals nothing, -0.0 is 0.0. Arrow's kernels order all bit patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    const ALL: [Self; 6] =
        [Self::Equal, Self::NotEqual, Self::Less, Self::LessOrEqual, Self::Greater, Self::GreaterOrEqual];

    fn of(op: &BinaryOperator) -> Option<Self> {
        Some(match op {
            BinaryOperator::Eq => Self::Equal,
            BinaryOperator::NotEq => Self::NotEqual,
            BinaryOperator::Lt => Self::Less,
            BinaryOperator::LtEq => Self::LessOrEqual,
            BinaryOperator::Gt => Self::Greater,
            BinaryOperator::GtEq => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    fn function(self) -> ScalarUDF {
        let both = vec![DataType::Float64, DataType::Float64];
        ScalarUDF::new_from_impl(FloatComparison {
            comparison: self,
            signature: Signature::exact(both, Volatility::Immutable),
        })
    }

    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FloatComparison {
    comparison: Comparison,
    signature: Signature,
}

impl ScalarUDFImpl for FloatComparison {
    fn name(&self) -> &str {
        match self.comparison {
            Comparison::Equal => "athena_equal",
            Comparison::NotEqual => "athena_not_equal",
            Comparison::Less => "athena_less",
            Comparison::LessOrEqual => "athena_less_or_equal",
            Comparison::Greater => "athena_greater",
            Comparison::GreaterOrEqual => "athena_greater_or_equal",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let (left, right) = (args.args[0].to_array(rows)?, args.args[1].to_array(rows)?);
        let pairs = left.as_primitive::<Float64Type>().iter().zip(right.as_primitive::<Float64Type>().iter());
        let result: BooleanArray = pairs.map(|(left, right)| Some(self.comparison.holds(left?, right?))).collect();
        if scalar {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?))
        } else {
            Ok(ColumnarValue::Array(Arc::new(result)))
        }
    }
}
