//! `sum` and `avg` with Trino's types and checks: integers add up to a bigint or fail, decimals keep their scale and
//! averages of them are rounded half up, `real` stays `real`.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::*;
use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

use super::cast::external;
use crate::emulator::model::Failure;

pub fn functions() -> [AggregateUDF; 2] {
    [false, true]
        .map(|average| AggregateUDF::from(Total { average, signature: Signature::user_defined(Volatility::Immutable) }))
}

/// `sum`, or `avg`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Total {
    average: bool,
    signature: Signature,
}

impl AggregateUDFImpl for Total {
    fn name(&self) -> &str {
        if self.average { "avg" } else { "sum" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [DataType::Null] => Ok(vec![DataType::Int64]),
            [one] if one.is_integer() || one.is_floating() || matches!(one, DataType::Decimal128(..)) => {
                Ok(arg_types.to_vec())
            }
            _ => {
                let given: Vec<String> = arg_types
                    .iter()
                    .map(|t| super::types::athena_of(t).map_or_else(|_| t.to_string(), |t| t.to_string()))
                    .collect();
                let (given, name) = (given.join(", "), self.name());
                Err(external(Failure::type_mismatch(format!("Unexpected parameters ({given}) for function {name}"))))
            }
        }
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(match (&arg_types[0], self.average) {
            (DataType::Decimal128(precision, scale), true) => DataType::Decimal128(*precision, *scale),
            (DataType::Decimal128(_, scale), false) => DataType::Decimal128(38, *scale),
            (DataType::Float32, _) => DataType::Float32,
            (DataType::Float64, _) => DataType::Float64,
            (_, true) => DataType::Float64,
            (_, false) => DataType::Int64,
        })
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return Err(external(Failure::not_supported(
                None,
                format!("{}(DISTINCT …) beside other aggregates", self.name()),
            )));
        }
        Ok(Box::new(One(self.totals(&args)?)))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let sum = sum_type(args.input_fields[0].data_type());
        Ok(vec![
            Arc::new(Field::new(format!("{}[sum]", args.name), sum, true)),
            Arc::new(Field::new(format!("{}[count]", args.name), DataType::Int64, true)),
        ])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.totals(&args)?))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let totals = self.totals(&args)?;
        match totals.sums {
            Sums::Float(_) => Ok(Box::new(FloatFrame { totals, values: VecDeque::new() })),
            Sums::Exact(..) => Ok(Box::new(One(totals))),
        }
    }
}

impl Total {
    fn totals(&self, args: &AccumulatorArgs) -> Result<Totals> {
        let input = args.expr_fields[0].data_type().clone();
        let sums = match sum_type(&input) {
            DataType::Float64 => Sums::Float(Vec::new()),
            DataType::Decimal128(_, scale) => Sums::Exact(Vec::new(), scale),
            other => return Err(external(Failure::internal(format!("a sum of {other}")))),
        };
        Ok(Totals { average: self.average, output: args.return_field.data_type().clone(), sums, counts: Vec::new() })
    }
}

/// What a sum is kept in.
fn sum_type(input: &DataType) -> DataType {
    match input {
        DataType::Decimal128(_, scale) => DataType::Decimal128(38, *scale),
        DataType::Float32 | DataType::Float64 => DataType::Float64,
        _ => DataType::Decimal128(38, 0),
    }
}

#[derive(Debug)]
enum Sums {
    Float(Vec<f64>),
    Exact(Vec<i128>, i8),
}

/// Sum and count per group.
#[derive(Debug)]
struct Totals {
    average: bool,
    output: DataType,
    sums: Sums,
    counts: Vec<i64>,
}

impl Totals {
    fn grow(&mut self, groups: usize) {
        self.counts.resize(groups.max(self.counts.len()), 0);
        match &mut self.sums {
            Sums::Float(sums) => sums.resize(self.counts.len(), 0.0),
            Sums::Exact(sums, _) => sums.resize(self.counts.len(), 0),
        }
    }

    /// Adds values, or takes them away; `counts` are how many values each of them stands for.
    fn add(
        &mut self,
        values: &ArrayRef,
        counts: Option<&Int64Array>,
        group: impl Fn(usize) -> usize,
        keep: impl Fn(usize) -> bool,
        sign: i64,
    ) -> Result<()> {
        let count = |row: usize| counts.map_or(1, |counts| counts.value(row));
        match &mut self.sums {
            Sums::Float(sums) => {
                let values = cast(values, &DataType::Float64)?;
                let values = values.as_primitive::<Float64Type>();
                for row in (0..values.len()).filter(|row| !values.is_null(*row) && keep(*row)) {
                    sums[group(row)] += values.value(row) * sign as f64;
                    self.counts[group(row)] += count(row) * sign;
                }
            }
            Sums::Exact(sums, scale) => {
                let values = cast(values, &DataType::Decimal128(38, *scale))?;
                let values = values.as_primitive::<Decimal128Type>();
                for row in (0..values.len()).filter(|row| !values.is_null(*row) && keep(*row)) {
                    let sum = &mut sums[group(row)];
                    *sum = sum
                        .checked_add(values.value(row) * i128::from(sign))
                        .ok_or_else(|| external(Failure::out_of_range("Decimal overflow")))?;
                    self.counts[group(row)] += count(row) * sign;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, emit_to: EmitTo) -> (Sums, Vec<i64>) {
        let counts = emit_to.take_needed(&mut self.counts);
        let sums = match &mut self.sums {
            Sums::Float(sums) => Sums::Float(emit_to.take_needed(sums)),
            Sums::Exact(sums, scale) => Sums::Exact(emit_to.take_needed(sums), *scale),
        };
        (sums, counts)
    }

    fn results(&self, sums: &Sums, counts: &[i64]) -> Result<ArrayRef> {
        let known = |i: usize| counts[i] != 0;
        match sums {
            Sums::Float(sums) => {
                let results: Float64Array = sums
                    .iter()
                    .enumerate()
                    .map(|(i, sum)| known(i).then(|| if self.average { sum / counts[i] as f64 } else { *sum }))
                    .collect();
                Ok(cast(&results, &self.output)?)
            }
            // The average of integers is a double.
            Sums::Exact(sums, _) if self.average && self.output == DataType::Float64 => {
                let results: Float64Array =
                    sums.iter().enumerate().map(|(i, sum)| known(i).then(|| *sum as f64 / counts[i] as f64)).collect();
                Ok(Arc::new(results))
            }
            Sums::Exact(sums, scale) => {
                let mut results = Vec::with_capacity(sums.len());
                for (i, sum) in sums.iter().enumerate() {
                    let value = if self.average && known(i) { half_up(*sum, i128::from(counts[i])) } else { *sum };
                    results.push(known(i).then_some(value));
                }
                match &self.output {
                    DataType::Int64 => {
                        let mut small = Vec::with_capacity(results.len());
                        for value in results {
                            small.push(
                                value
                                    .map(i64::try_from)
                                    .transpose()
                                    .map_err(|_| external(Failure::out_of_range("bigint addition overflow")))?,
                            );
                        }
                        Ok(Arc::new(Int64Array::from(small)))
                    }
                    DataType::Decimal128(precision, _) => {
                        let limit = 10_i128.pow(u32::from(*precision));
                        if results.iter().flatten().any(|value| value.abs() >= limit) {
                            return Err(external(Failure::out_of_range("Decimal overflow")));
                        }
                        Ok(Arc::new(Decimal128Array::from(results).with_precision_and_scale(*precision, *scale)?))
                    }
                    other => Err(external(Failure::internal(format!("an exact sum as {other}")))),
                }
            }
        }
    }

    fn states(sums: Sums, counts: Vec<i64>) -> Result<Vec<ArrayRef>> {
        let sums: ArrayRef = match sums {
            Sums::Float(sums) => Arc::new(Float64Array::from(sums)),
            Sums::Exact(sums, scale) => Arc::new(Decimal128Array::from(sums).with_precision_and_scale(38, scale)?),
        };
        Ok(vec![sums, Arc::new(Int64Array::from(counts))])
    }
}

/// Half away from zero, as Trino rounds.
fn half_up(sum: i128, count: i128) -> i128 {
    let (quotient, rest) = (sum / count, sum % count);
    if rest.abs() * 2 >= count { quotient + sum.signum() } else { quotient }
}

impl GroupsAccumulator for Totals {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let keep = |row: usize| opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        self.add(&values[0], None, |row| group_indices[row], keep, 1)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.grow(total_num_groups);
        let counts = values[1].as_primitive::<Int64Type>();
        self.add(&values[0], Some(counts), |row| group_indices[row], |_| true, 1)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (sums, counts) = self.take(emit_to);
        self.results(&sums, &counts)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (sums, counts) = self.take(emit_to);
        Self::states(sums, counts)
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let sums = match &self.sums {
            Sums::Float(_) => Sums::Float(Vec::new()),
            Sums::Exact(_, scale) => Sums::Exact(Vec::new(), *scale),
        };
        let mut each = Self { average: self.average, output: self.output.clone(), sums, counts: Vec::new() };
        each.grow(values[0].len());
        let keep = |row: usize| opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        each.add(&values[0], None, |row| row, keep, 1)?;
        Self::states(each.sums, each.counts)
    }

    fn size(&self) -> usize {
        let width = match &self.sums {
            Sums::Float(_) => 8,
            Sums::Exact(..) => 16,
        };
        self.counts.capacity() * (8 + width)
    }
}

/// The same for a single group.
#[derive(Debug)]
struct One(Totals);

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.grow(1);
        self.0.add(&values[0], None, |_| 0, |_| true, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.grow(1);
        let counts = states[1].as_primitive::<Int64Type>();
        self.0.add(&states[0], Some(counts), |_| 0, |_| true, 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.add(&values[0], None, |_| 0, |_| true, -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.grow(1);
        ScalarValue::try_from_array(&self.0.results(&self.0.sums, &self.0.counts)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.grow(1);
        let sums = match &self.0.sums {
            Sums::Float(sums) => Sums::Float(sums.clone()),
            Sums::Exact(sums, scale) => Sums::Exact(sums.clone(), *scale),
        };
        Totals::states(sums, self.0.counts.clone())?.iter().map(|array| ScalarValue::try_from_array(array, 0)).collect()
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// Doubles of a moving window frame. They are added up anew each time: taking one away again is not exact, and wrong
/// once there was an infinity.
#[derive(Debug)]
struct FloatFrame {
    totals: Totals,
    values: VecDeque<Option<f64>>,
}

impl Accumulator for FloatFrame {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.extend(cast(&values[0], &DataType::Float64)?.as_primitive::<Float64Type>().iter());
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.drain(..values[0].len().min(self.values.len()));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let known: Vec<f64> = self.values.iter().flatten().copied().collect();
        let sums = Sums::Float(vec![known.iter().sum()]);
        ScalarValue::try_from_array(&self.totals.results(&sums, &[known.len() as i64])?, 0)
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        Err(external(Failure::internal("window frames are not merged")))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Err(external(Failure::internal("window frames have no state to pass on")))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<Option<f64>>()
    }
}
