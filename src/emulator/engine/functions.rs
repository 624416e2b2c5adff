//! Functions that DataFusion does not have, or means differently: row by row, with Trino's types and errors.
//!
//! A NULL argument makes NULL. Fast enough for a stand-in; what large queries use most goes to DataFusion.

mod numbers;
mod strings;
mod times;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, new_null_array};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::cast::external;
use super::types;
use crate::emulator::model::Failure;
use crate::types::AthenaType;

/// All functions of this module, to be registered.
pub fn functions() -> Vec<ScalarUDF> {
    let all = [numbers::FUNCTIONS, strings::FUNCTIONS, times::FUNCTIONS].concat();
    all.into_iter()
        .map(|native| {
            ScalarUDF::new_from_impl(Function { native, signature: Signature::variadic_any(Volatility::Immutable) })
        })
        .collect()
}

/// Computes a function's values: all arguments have the same number of rows, the result is of the promised type.
type Values = fn(&[ArrayRef], &[AthenaType], &AthenaType) -> std::result::Result<ArrayRef, Failure>;

/// One function: its result type from its argument types, and its values.
#[derive(Clone, Copy)]
struct Native {
    name: &'static str,
    /// `None` where the arguments do not fit.
    result: fn(&[AthenaType]) -> Option<AthenaType>,
    values: Values,
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
        let Some(result) = (self.native.result)(&given) else {
            let name = self.native.name.trim_start_matches("athena_");
            let given: Vec<String> = given.iter().map(AthenaType::to_string).collect();
            let given = given.join(", ");
            return Err(external(Failure::type_mismatch(format!(
                "Unexpected parameters ({given}) for function {name}"
            ))));
        };
        Ok(Arc::new(types::field(self.native.name, &result).map_err(external)?))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let arrays: Vec<ArrayRef> = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<_>>()?;
        let given = athena_types(&args.arg_fields)?;
        let result_type = types::athena(&args.return_field).map_err(external)?;
        let all_null =
            arrays.iter().any(|array| array.null_count() == array.len() || *array.data_type() == DataType::Null);
        let result = if all_null && self.native.name != "athena_typeof" {
            new_null_array(args.return_field.data_type(), rows)
        } else {
            (self.native.values)(&arrays, &given, &result_type).map_err(external)?
        };
        if scalar {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?))
        } else {
            Ok(ColumnarValue::Array(result))
        }
    }
}

fn athena_types(fields: &[FieldRef]) -> Result<Vec<AthenaType>> {
    fields.iter().map(|field| types::athena(field).map_err(external)).collect()
}

/// The array as another type, by Arrow's kernels.
fn to(array: &ArrayRef, data_type: &DataType) -> std::result::Result<ArrayRef, Failure> {
    datafusion::arrow::compute::cast(array, data_type).map_err(|error| Failure::internal(error.to_string()))
}
