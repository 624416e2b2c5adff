//! What DataFusion and Arrow complain about, in Trino's words.

use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::emulator::model::Failure;
use crate::emulator::sql::rewrite::Places;

/// The failure behind an error of planning or running; `places` are where names stand in the text.
pub fn failure(error: &DataFusionError, places: &Places) -> Failure {
    match error {
        DataFusionError::External(cause) => match cause.downcast_ref::<Failure>() {
            Some(failure) => failure.clone(),
            None => match cause.downcast_ref::<DataFusionError>() {
                Some(inner) => failure(inner, places),
                None => Failure::internal(cause),
            },
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => failure(inner, places),
        DataFusionError::Shared(inner) => failure(inner, places),
        DataFusionError::Collection(errors) => {
            errors.first().map_or_else(|| Failure::internal(error), |first| failure(first, places))
        }
        DataFusionError::SchemaError(schema_error, _) => match schema_error.as_ref() {
            SchemaError::FieldNotFound { field, .. } => {
                let name = field.name();
                Failure::column_not_found(places.column(name), name)
            }
            SchemaError::AmbiguousReference { field } => {
                Failure::invalid_query(format!("Column '{}' is ambiguous", field.name()))
            }
            other => Failure::invalid_query(other.to_string()),
        },
        DataFusionError::ArrowError(arrow_error, _) => arrow(arrow_error, places),
        DataFusionError::NotImplemented(what) => Failure::not_supported(None, first_line(what)),
        DataFusionError::ResourcesExhausted(what) => Failure::exceeded_memory(first_line(what)),
        DataFusionError::Plan(what) => plan(first_line(what), places),
        DataFusionError::Execution(what) => execution(first_line(what)),
        DataFusionError::ParquetError(what) => Failure::bad_data(what.to_string()),
        DataFusionError::ObjectStore(what) => Failure::bad_data(what.to_string()),
        other => Failure::internal(first_line(&other.to_string())),
    }
}

fn arrow(error: &ArrowError, places: &Places) -> Failure {
    match error {
        ArrowError::DivideByZero => Failure::division_by_zero(),
        ArrowError::ArithmeticOverflow(what) => Failure::out_of_range(what.clone()),
        ArrowError::CastError(what) => Failure::invalid_cast(what.clone()),
        ArrowError::ParseError(what) | ArrowError::CsvError(what) | ArrowError::JsonError(what) => {
            Failure::bad_data(what.clone())
        }
        ArrowError::NotYetImplemented(what) => Failure::not_supported(None, what),
        ArrowError::ExternalError(cause) => match cause.downcast_ref::<DataFusionError>() {
            Some(inner) => failure(inner, places),
            None => match cause.downcast_ref::<Failure>() {
                Some(failure) => failure.clone(),
                None => Failure::internal(cause),
            },
        },
        other => execution(first_line(&other.to_string())),
    }
}

fn plan(what: &str, places: &Places) -> Failure {
    if let Some(name) = what.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found")) {
        return Failure::table_not_found(places.relation(name), name);
    }
    for sign in [
        "Cannot coerce",
        "cannot be coerced",
        "Cannot infer common",
        "could not be coerced",
        "not compatible",
        "coerce",
    ] {
        if what.contains(sign) {
            return Failure::type_mismatch(what);
        }
    }
    Failure::invalid_query(what)
}

fn execution(what: &str) -> Failure {
    if what.contains("Divide by zero") {
        return Failure::division_by_zero();
    }
    if what.contains("verflow") {
        return Failure::out_of_range(what);
    }
    if what.contains("returned more than one row") || what.contains("more than one row") {
        return Failure::invalid_argument("Scalar sub-query has returned multiple rows");
    }
    Failure::invalid_argument(what)
}

/// DataFusion adds advice for its own users below the first line.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
