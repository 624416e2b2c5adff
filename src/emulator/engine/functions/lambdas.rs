//! Functions that take lambdas, and TRY, whose argument is one.
//!
//! A lambda is evaluated over all elements of a batch at once; what it uses from around it is repeated for each element.

use std::sync::Arc;

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Int32Array, UInt32Array, new_empty_array, new_null_array,
};
use datafusion::arrow::compute::{concat, take_arrays};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature, HigherOrderUDF,
    HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda, Volatility,
};

use super::common::common;
use super::elements::{Comparable, Lists, Maps, Picked, list_array, map_array, pick};
use super::{Checked, array_of, boolean_array, internal, to, unexpected_parameters};
use crate::emulator::engine::cast::{convert, external};
use crate::emulator::engine::{errors, types};
use crate::emulator::model::Failure;
use crate::emulator::sql::rewrite::Places;
use crate::types::AthenaType::{self, *};

/// Arrays longer than this are not sorted by a lambda: every pair of elements is compared.
const MAX_SORTED: usize = 1000;

/// All functions of this module, to be registered.
pub fn functions() -> Vec<Arc<HigherOrderUDF>> {
    use Kind::*;
    [
        Transform,
        Filter,
        AnyMatch,
        AllMatch,
        NoneMatch,
        Reduce,
        ZipWith,
        SortWith,
        MapFilter,
        TransformKeys,
        TransformValues,
        MapZipWith,
        Try,
    ]
    .map(|kind| {
        let signature = HigherOrderSignature::variadic_any(Volatility::Immutable);
        Arc::new(HigherOrderUDF::new_from_impl(LambdaFunction { kind, signature }))
    })
    .to_vec()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Transform,
    Filter,
    AnyMatch,
    AllMatch,
    NoneMatch,
    Reduce,
    ZipWith,
    SortWith,
    MapFilter,
    TransformKeys,
    TransformValues,
    MapZipWith,
    Try,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LambdaFunction {
    kind: Kind,
    signature: HigherOrderSignature,
}

impl HigherOrderUDFImpl for LambdaFunction {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Transform => "athena_transform",
            Kind::Filter => "athena_filter",
            Kind::AnyMatch => "athena_any_match",
            Kind::AllMatch => "athena_all_match",
            Kind::NoneMatch => "athena_none_match",
            Kind::Reduce => "athena_reduce",
            Kind::ZipWith => "athena_zip_with",
            Kind::SortWith => "athena_array_sort_with",
            Kind::MapFilter => "athena_map_filter",
            Kind::TransformKeys => "athena_transform_keys",
            Kind::TransformValues => "athena_transform_values",
            Kind::MapZipWith => "athena_map_zip_with",
            Kind::Try => "athena_try",
        }
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn lambda_parameters(
        &self,
        _: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        use ValueOrLambda::{Lambda, Value};
        let refused = || {
            self.refused(fields.iter().map(|field| match field {
                Value(field) => Some(field),
                Lambda(_) => None,
            }))
        };
        let parameters = match (self.kind, fields) {
            (Kind::Reduce, [Value(list), Value(init), Lambda(step), Lambda(_)]) => {
                let element = item(list).ok_or_else(refused)?;
                let init_type = types::athena(init).map_err(external)?;
                let state = match step {
                    Some(out) => common(&init_type, &types::athena(out).map_err(external)?).ok_or_else(refused)?,
                    None => init_type,
                };
                let state = Arc::new(types::field("state", &state).map_err(external)?);
                let lambdas = vec![vec![Arc::clone(&state), element], vec![state]];
                if step.is_none() {
                    return Ok(LambdaParametersProgress::Partial(lambdas.into_iter().map(Some).collect()));
                }
                lambdas
            }
            (Kind::ZipWith, [Value(left), Value(right), Lambda(_)]) => {
                vec![vec![item(left).ok_or_else(refused)?, item(right).ok_or_else(refused)?]]
            }
            (Kind::SortWith, [Value(list), Lambda(_)]) => {
                let element = item(list).ok_or_else(refused)?;
                vec![vec![Arc::clone(&element), element]]
            }
            (Kind::MapFilter | Kind::TransformKeys | Kind::TransformValues, [Value(map), Lambda(_)]) => {
                let (key, value) = entry(map).ok_or_else(refused)?;
                vec![vec![key, value]]
            }
            (Kind::MapZipWith, [Value(left), Value(right), Lambda(_)]) => {
                let ((key, left), (_, right)) = (entry(left).ok_or_else(refused)?, entry(right).ok_or_else(refused)?);
                vec![vec![key, left, right]]
            }
            (Kind::Try, [Value(row), Lambda(_)]) => vec![vec![Arc::clone(row)]],
            (
                Kind::Transform | Kind::Filter | Kind::AnyMatch | Kind::AllMatch | Kind::NoneMatch,
                [Value(list), Lambda(_)],
            ) => vec![vec![item(list).ok_or_else(refused)?]],
            _ => return Err(refused()),
        };
        Ok(LambdaParametersProgress::Complete(parameters))
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs) -> Result<FieldRef> {
        use ValueOrLambda::{Lambda, Value};
        let athena = |field: &FieldRef| types::athena(field).map_err(external);
        let given: Vec<AthenaType> = args
            .arg_fields
            .iter()
            .map(|field| match field {
                Value(field) | Lambda(field) => athena(field),
            })
            .collect::<Result<_>>()?;
        let refused = || external(unexpected_parameters(self.name(), &given));
        let must_be_boolean = |t: &AthenaType| matches!(t, Boolean | Unknown).then_some(()).ok_or_else(refused);
        let result = match (self.kind, given.as_slice()) {
            (Kind::Transform, [_, out]) => array_of(out.clone()),
            (Kind::Filter, [list, out]) => must_be_boolean(out).map(|()| list.clone())?,
            (Kind::AnyMatch | Kind::AllMatch | Kind::NoneMatch, [_, out]) => must_be_boolean(out).map(|()| Boolean)?,
            (Kind::Reduce, [.., out]) => out.clone(),
            (Kind::ZipWith, [.., out]) => array_of(out.clone()),
            (Kind::SortWith, [list, Tinyint | Smallint | Integer | Bigint]) => list.clone(),
            (Kind::MapFilter, [map, out]) => must_be_boolean(out).map(|()| map.clone())?,
            (Kind::TransformKeys, [Map(Some(entry)), out]) => Map(Some(Box::new((out.clone(), entry.1.clone())))),
            (Kind::TransformValues | Kind::MapZipWith, [Map(Some(entry)), .., out]) => {
                Map(Some(Box::new((entry.0.clone(), out.clone()))))
            }
            (Kind::Try, [_, out]) => out.clone(),
            _ => return Err(refused()),
        };
        Ok(Arc::new(types::field(self.name(), &result).map_err(external)?))
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let (mut values, mut lambdas) = (Vec::new(), Vec::new());
        for (arg, field) in args.args.iter().zip(&args.arg_fields) {
            match (arg, field) {
                (ValueOrLambda::Value(value), ValueOrLambda::Value(field)) => {
                    values.push((value.to_array(rows)?, types::athena(field).map_err(external)?));
                }
                (ValueOrLambda::Lambda(lambda), ValueOrLambda::Lambda(field)) => {
                    lambdas.push(Body { lambda, field });
                }
                _ => return Err(external(Failure::internal("an argument that is neither value nor lambda"))),
            }
        }
        let result_type = types::athena(&args.return_field).map_err(external)?;
        let values: (Vec<ArrayRef>, Vec<AthenaType>) = values.into_iter().unzip();
        let call = Call { kind: self.kind, args: values.0, given: values.1, lambdas, result: result_type, rows };
        let result = call.run()?;
        Ok(ColumnarValue::Array(to(&result, args.return_field.data_type()).map_err(external)?))
    }
}

impl LambdaFunction {
    fn refused<'a>(&self, fields: impl Iterator<Item = Option<&'a FieldRef>>) -> DataFusionError {
        let given: Vec<AthenaType> = fields
            .map(|field| match field {
                Some(field) => types::athena(field).unwrap_or(Unknown),
                None => Other("function".to_owned()),
            })
            .collect();
        external(unexpected_parameters(self.name(), &given))
    }
}

/// The field of a list's elements.
fn item(list: &FieldRef) -> Option<FieldRef> {
    match list.data_type() {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Some(Arc::clone(item)),
        DataType::Null => Some(Arc::new(Field::new("item", DataType::Null, true))),
        _ => None,
    }
}

/// The fields of a map's keys and values.
fn entry(map: &FieldRef) -> Option<(FieldRef, FieldRef)> {
    match map.data_type() {
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                let key = fields[0].as_ref().clone().with_nullable(true);
                Some((Arc::new(key), Arc::clone(&fields[1])))
            }
            _ => None,
        },
        _ => None,
    }
}

struct Body<'a> {
    lambda: &'a LambdaArgument,
    field: &'a FieldRef,
}

impl Body<'_> {
    /// The lambda's value for each element; `rows` says which row of the batch an element belongs to.
    fn evaluate(&self, arguments: &[ArrayRef], rows: &[usize]) -> Result<ArrayRef> {
        if rows.is_empty() {
            return Ok(new_empty_array(self.field.data_type()));
        }
        let arguments: Vec<Box<dyn Fn() -> Result<ArrayRef>>> = arguments
            .iter()
            .map(|argument| {
                let argument = Arc::clone(argument);
                Box::new(move || Ok(Arc::clone(&argument))) as Box<dyn Fn() -> Result<ArrayRef>>
            })
            .collect();
        let arguments: Vec<&dyn Fn() -> Result<ArrayRef>> = arguments.iter().map(AsRef::as_ref).collect();
        let places = UInt32Array::from_iter_values(rows.iter().map(|row| *row as u32));
        self.lambda.evaluate(&arguments, |captures| Ok(take_arrays(captures, &places, None)?))?.into_array(rows.len())
    }

    fn truth(&self, arguments: &[ArrayRef], rows: &[usize]) -> Result<BooleanArray> {
        let values = self.evaluate(arguments, rows)?;
        Ok(to(&values, &DataType::Boolean).map_err(external)?.as_boolean().clone())
    }
}

struct Call<'a> {
    kind: Kind,
    args: Vec<ArrayRef>,
    given: Vec<AthenaType>,
    lambdas: Vec<Body<'a>>,
    result: AthenaType,
    rows: usize,
}

/// Elements of several rows one behind the other, and the row each belongs to.
struct Flat {
    places: Vec<usize>,
    rows: Vec<usize>,
}

impl Flat {
    fn of(rows: usize, range: impl Fn(usize) -> std::ops::Range<usize>) -> Self {
        let (mut places, mut owners) = (Vec::new(), Vec::new());
        for row in 0..rows {
            places.extend(range(row));
            owners.resize(places.len(), row);
        }
        Self { places, rows: owners }
    }

    fn elements(&self, values: &ArrayRef) -> Result<ArrayRef> {
        pick(values, self.places.iter().copied().map(Some).collect()).map_err(external)
    }
}

impl Call<'_> {
    fn run(&self) -> Result<ArrayRef> {
        match self.kind {
            Kind::Transform => self.transform(),
            Kind::Filter => self.filter(),
            Kind::AnyMatch => {
                self.matched(|any_true, _, unknown| if any_true { Some(true) } else { (!unknown).then_some(false) })
            }
            Kind::NoneMatch => {
                self.matched(|any_true, _, unknown| if any_true { Some(false) } else { (!unknown).then_some(true) })
            }
            Kind::AllMatch => {
                self.matched(|_, any_false, unknown| if any_false { Some(false) } else { (!unknown).then_some(true) })
            }
            Kind::Reduce => self.reduce(),
            Kind::ZipWith => self.zip_with(),
            Kind::SortWith => self.sort_with(),
            Kind::MapFilter => self.map_filter(),
            Kind::TransformKeys => self.transform_map(true),
            Kind::TransformValues => self.transform_map(false),
            Kind::MapZipWith => self.map_zip_with(),
            Kind::Try => self.attempt(),
        }
    }

    fn lists(&self, at: usize) -> Result<Lists> {
        if *self.args[at].data_type() == DataType::Null {
            let list = new_null_array(&DataType::List(Arc::new(Field::new("item", DataType::Null, true))), self.rows);
            return Lists::of(&list).map_err(external);
        }
        Lists::of(&self.args[at]).map_err(external)
    }

    fn transform(&self) -> Result<ArrayRef> {
        let lists = self.lists(0)?;
        let flat = Flat::of(lists.rows(), |row| lists.range(row));
        let out = self.lambdas[0].evaluate(&[flat.elements(&lists.values)?], &flat.rows)?;
        let lengths = (0..lists.rows()).map(|row| lists.range(row).len()).collect();
        let known = (0..lists.rows()).map(|row| !lists.is_null(row)).collect();
        list_array(out, lengths, known, &self.result).map_err(external)
    }

    fn filter(&self) -> Result<ArrayRef> {
        let lists = self.lists(0)?;
        let flat = Flat::of(lists.rows(), |row| lists.range(row));
        let kept = self.lambdas[0].truth(&[flat.elements(&lists.values)?], &flat.rows)?;
        let mut picked = Picked::default();
        let mut at = 0;
        for row in 0..lists.rows() {
            let range = lists.range(row);
            let keep = |i: usize| kept.is_valid(i) && kept.value(i);
            if lists.is_null(row) {
                picked.push_null();
            } else {
                picked.push(range.clone().enumerate().filter(|(i, _)| keep(at + i)).map(|(_, place)| place));
            }
            at += range.len();
        }
        picked.lists(&lists.values, &self.result).map_err(external)
    }

    fn matched(&self, verdict: impl Fn(bool, bool, bool) -> Option<bool>) -> Result<ArrayRef> {
        let lists = self.lists(0)?;
        let flat = Flat::of(lists.rows(), |row| lists.range(row));
        let truth = self.lambdas[0].truth(&[flat.elements(&lists.values)?], &flat.rows)?;
        let mut seen = vec![(false, false, false); lists.rows()];
        for (i, row) in flat.rows.iter().enumerate() {
            let (any_true, any_false, unknown) = &mut seen[*row];
            *unknown |= truth.is_null(i);
            *any_true |= truth.is_valid(i) && truth.value(i);
            *any_false |= truth.is_valid(i) && !truth.value(i);
        }
        let verdicts = seen.into_iter().enumerate();
        let verdicts = verdicts.map(|(row, (t, f, u))| if lists.is_null(row) { None } else { verdict(t, f, u) });
        boolean_array(verdicts.collect()).map_err(external)
    }

    /// One step for all rows together: the first elements, then the second ones, as long as there are any.
    fn reduce(&self) -> Result<ArrayRef> {
        let lists = self.lists(0)?;
        let [step, finish] = self.lambdas.as_slice() else {
            return Err(external(Failure::internal("reduce takes two lambdas")));
        };
        let out = types::athena(step.field).map_err(external)?;
        let state_type = common(&self.given[1], &out).unwrap_or(out.clone());
        let mut state = convert(&self.args[1], &self.given[1], &state_type).map_err(external)?;
        let longest = (0..lists.rows()).map(|row| lists.range(row).len()).max().unwrap_or(0);
        for i in 0..longest {
            let active: Vec<usize> = (0..lists.rows()).filter(|row| lists.range(*row).len() > i).collect();
            let elements = pick(&lists.values, active.iter().map(|row| Some(lists.range(*row).start + i)).collect());
            let own = pick(&state, active.iter().copied().map(Some).collect()).map_err(external)?;
            let next = step.evaluate(&[own, elements.map_err(external)?], &active)?;
            let next = convert(&next, &out, &state_type).map_err(external)?;
            // The rows that took part get their new state, the others keep theirs.
            let both = concat(&[state.as_ref(), next.as_ref()])?;
            let mut places: Vec<Option<usize>> = (0..lists.rows()).map(Some).collect();
            for (at, row) in active.iter().enumerate() {
                places[*row] = Some(lists.rows() + at);
            }
            state = pick(&both, places).map_err(external)?;
        }
        let all: Vec<usize> = (0..lists.rows()).collect();
        let result = finish.evaluate(&[state], &all)?;
        let known = all.iter().map(|row| (!lists.is_null(*row)).then_some(*row)).collect();
        pick(&result, known).map_err(external)
    }

    fn zip_with(&self) -> Result<ArrayRef> {
        let (left, right) = (self.lists(0)?, self.lists(1)?);
        let (mut left_places, mut right_places, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        let (mut lengths, mut known) = (Vec::new(), Vec::new());
        for row in 0..left.rows() {
            let present = !left.is_null(row) && !right.is_null(row);
            let (a, b) = (left.range(row), right.range(row));
            let length = if present { a.len().max(b.len()) } else { 0 };
            left_places.extend((0..length).map(|i| (i < a.len()).then_some(a.start + i)));
            right_places.extend((0..length).map(|i| (i < b.len()).then_some(b.start + i)));
            rows.extend(std::iter::repeat_n(row, length));
            lengths.push(length);
            known.push(present);
        }
        let arguments = [pick(&left.values, left_places), pick(&right.values, right_places)];
        let arguments = arguments.into_iter().collect::<Checked<Vec<_>>>().map_err(external)?;
        let out = self.lambdas[0].evaluate(&arguments, &rows)?;
        list_array(out, lengths, known, &self.result).map_err(external)
    }

    /// The lambda says of two elements which comes first: -1, 0 or 1.
    fn sort_with(&self) -> Result<ArrayRef> {
        let lists = self.lists(0)?;
        let mut picked = Picked::default();
        for row in 0..lists.rows() {
            let range = lists.range(row);
            let size = range.len();
            if lists.is_null(row) {
                picked.push_null();
                continue;
            }
            if size > MAX_SORTED {
                let what = format!("array_sort with a lambda over more than {MAX_SORTED} elements");
                return Err(external(Failure::not_supported(None, what)));
            }
            let first = range.clone().flat_map(|place| std::iter::repeat_n(Some(place), size)).collect();
            let second = (0..size).flat_map(|_| range.clone().map(Some)).collect();
            let arguments = [pick(&lists.values, first), pick(&lists.values, second)];
            let arguments = arguments.into_iter().collect::<Checked<Vec<_>>>().map_err(external)?;
            let verdicts = self.lambdas[0].evaluate(&arguments, &vec![row; size * size])?;
            let verdicts = super::longs(&verdicts).map_err(external)?;
            if verdicts.iter().any(|verdict| !matches!(verdict, Some(-1..=1))) {
                let what = "Lambda comparator must return either -1, 0, or 1";
                return Err(external(Failure::invalid_argument(what)));
            }
            let mut order: Vec<usize> = (0..size).collect();
            insertion_sort(&mut order, |a, b| verdicts.value(a * size + b));
            picked.push(order.into_iter().map(|i| range.start + i));
        }
        picked.lists(&lists.values, &self.result).map_err(external)
    }

    fn map_filter(&self) -> Result<ArrayRef> {
        let maps = Maps::of(&self.args[0]).map_err(external)?;
        let flat = Flat::of(maps.rows(), |row| maps.range(row));
        let kept = self.lambdas[0].truth(&[flat.elements(&maps.keys)?, flat.elements(&maps.values)?], &flat.rows)?;
        let mut places = Vec::new();
        let mut lengths = vec![0; maps.rows()];
        for (i, (place, row)) in flat.places.iter().zip(&flat.rows).enumerate() {
            if kept.is_valid(i) && kept.value(i) {
                places.push(Some(*place));
                lengths[*row] += 1;
            }
        }
        let known = (0..maps.rows()).map(|row| !maps.is_null(row)).collect();
        let (keys, values) = (pick(&maps.keys, places.clone()), pick(&maps.values, places));
        map_array(keys.map_err(external)?, values.map_err(external)?, lengths, known, &self.result).map_err(external)
    }

    fn transform_map(&self, keys: bool) -> Result<ArrayRef> {
        let maps = Maps::of(&self.args[0]).map_err(external)?;
        let flat = Flat::of(maps.rows(), |row| maps.range(row));
        let (own_keys, own_values) = (flat.elements(&maps.keys)?, flat.elements(&maps.values)?);
        let out = self.lambdas[0].evaluate(&[Arc::clone(&own_keys), Arc::clone(&own_values)], &flat.rows)?;
        if keys {
            let [comparable] = Comparable::of([&out]).map_err(external)?;
            let mut seen = std::collections::HashSet::new();
            for (i, row) in flat.rows.iter().enumerate() {
                if out.is_null(i) {
                    return Err(external(Failure::invalid_argument("map key cannot be null")));
                }
                if !seen.insert((*row, comparable.bytes(i))) {
                    return Err(external(Failure::invalid_argument("Duplicate map keys are not allowed")));
                }
            }
        }
        let lengths = (0..maps.rows()).map(|row| maps.range(row).len()).collect();
        let known = (0..maps.rows()).map(|row| !maps.is_null(row)).collect();
        let (keys, values) = if keys { (out, own_values) } else { (own_keys, out) };
        map_array(keys, values, lengths, known, &self.result).map_err(external)
    }

    fn map_zip_with(&self) -> Result<ArrayRef> {
        let maps = [Maps::of(&self.args[0]).map_err(external)?, Maps::of(&self.args[1]).map_err(external)?];
        let [left, right] = &maps;
        let right_keys = to(&right.keys, left.keys.data_type()).map_err(external)?;
        let all_keys = concat(&[left.keys.as_ref(), right_keys.as_ref()])?;
        let [comparable] = Comparable::of([&all_keys]).map_err(external)?;
        let second = left.keys.len();
        let (mut keys, mut lefts, mut rights, mut rows) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut lengths, mut known) = (Vec::new(), Vec::new());
        for row in 0..left.rows() {
            let before = keys.len();
            let present = !left.is_null(row) && !right.is_null(row);
            if present {
                let find = |range: std::ops::Range<usize>, offset: usize, key: usize| {
                    range.clone().find(|place| comparable.bytes(place + offset) == comparable.bytes(key))
                };
                for place in left.range(row) {
                    keys.push(Some(place));
                    lefts.push(Some(place));
                    rights.push(find(right.range(row), second, place));
                }
                for place in right.range(row) {
                    if find(left.range(row), 0, place + second).is_none() {
                        keys.push(Some(place + second));
                        lefts.push(None);
                        rights.push(Some(place));
                    }
                }
            }
            rows.resize(keys.len(), row);
            lengths.push(keys.len() - before);
            known.push(present);
        }
        let keys = pick(&all_keys, keys).map_err(external)?;
        let arguments = [pick(&left.values, lefts), pick(&right.values, rights)];
        let [lefts, rights] = arguments.map(|argument| argument.map_err(external));
        let out = self.lambdas[0].evaluate(&[Arc::clone(&keys), lefts?, rights?], &rows)?;
        map_array(keys, out, lengths, known, &self.result).map_err(external)
    }

    /// TRY: NULL for the rows whose value cannot be computed. All rows at once first, one by one if that fails.
    fn attempt(&self) -> Result<ArrayRef> {
        let all: Vec<usize> = (0..self.rows).collect();
        let row_argument = |rows: usize| -> Result<ArrayRef> {
            let zeros: ArrayRef = Arc::new(Int32Array::from(vec![0; rows]));
            to(&zeros, self.args[0].data_type()).map_err(external)
        };
        match self.lambdas[0].evaluate(&[row_argument(self.rows)?], &all) {
            Ok(values) => return Ok(values),
            Err(error) if is_caught(&error) => {}
            Err(error) => return Err(error),
        }
        let data_type = self.lambdas[0].field.data_type();
        let mut values = Vec::with_capacity(self.rows);
        for row in all {
            values.push(match self.lambdas[0].evaluate(&[row_argument(1)?], &[row]) {
                Ok(value) => value,
                Err(error) if is_caught(&error) => new_null_array(data_type, 1),
                Err(error) => return Err(error),
            });
        }
        let values: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
        if values.is_empty() {
            Ok(new_empty_array(data_type))
        } else {
            concat(&values).map_err(|e| external(internal(e)))
        }
    }
}

/// The errors that TRY makes NULL of: division by zero, invalid casts and arguments, numbers out of range.
fn is_caught(error: &DataFusionError) -> bool {
    let message = errors::failure(error, &Places::default()).message;
    ["DIVISION_BY_ZERO", "INVALID_CAST_ARGUMENT", "INVALID_FUNCTION_ARGUMENT", "NUMERIC_VALUE_OUT_OF_RANGE"]
        .iter()
        .any(|name| message.starts_with(name))
}

/// A stable sort that asks a comparator which need not be an order: a lambda may contradict itself.
fn insertion_sort(order: &mut [usize], compare: impl Fn(usize, usize) -> i64) {
    for i in 1..order.len() {
        let mut at = i;
        while at > 0 && compare(order[at - 1], order[at]) > 0 {
            order.swap(at - 1, at);
            at -= 1;
        }
    }
}
