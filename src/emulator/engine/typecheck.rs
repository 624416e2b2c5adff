//! Refuses what Trino refuses and DataFusion would quietly convert: comparing texts with numbers, LIKE over dates.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{BinaryExpr, InList};
use datafusion::logical_expr::{Between, Expr, ExprSchemable, Like, LogicalPlan, Operator};

use super::cast::external;
use super::types::athena_of;
use crate::emulator::model::Failure;

/// Checks every expression of a plan as it was before DataFusion put conversions in.
pub fn check(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let mut schema = DFSchema::empty();
        for input in node.inputs() {
            schema.merge(input.schema());
        }
        if node.inputs().is_empty() {
            schema.merge(node.schema());
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                check_expr(expr, &schema)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn check_expr(expr: &Expr, schema: &DFSchema) -> Result<()> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            if matches!(
                op,
                Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::IsDistinctFrom
                    | Operator::IsNotDistinctFrom
            ) {
                comparable(left, &op.to_string(), right, schema)?;
            } else if matches!(op, Operator::And | Operator::Or) {
                for side in [left, right] {
                    logical(side, schema)?;
                }
            } else if matches!(
                op,
                Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo
            ) {
                computable(left, &op.to_string(), right, schema)?;
            }
            Ok(())
        }
        Expr::Between(Between { expr, low, high, .. }) => {
            comparable(expr, "BETWEEN", low, schema)?;
            comparable(expr, "BETWEEN", high, schema)
        }
        Expr::InList(InList { expr, list, .. }) => {
            list.iter().try_for_each(|item| comparable(expr, "IN", item, schema))
        }
        Expr::Like(Like { expr, pattern, .. }) => {
            for side in [expr, pattern] {
                if family(side, schema).is_some_and(|family| family != Family::Text) {
                    return mismatch(&format!(
                        "Left side of LIKE expression must evaluate to a varchar (actual: {})",
                        name(side, schema)
                    ));
                }
            }
            Ok(())
        }
        Expr::Not(inner) => logical(inner, schema),
        _ => Ok(()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Boolean,
    Number,
    Text,
    Binary,
    Time,
    Interval,
    Other,
}

/// `None` where the type is not known: an outer column of a subquery, NULL, a parameter.
fn family(expr: &Expr, schema: &DFSchema) -> Option<Family> {
    Some(match expr.get_type(schema).ok()? {
        DataType::Null => return None,
        DataType::Boolean => Family::Boolean,
        t if t.is_numeric() => Family::Number,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Family::Text,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Family::Binary,
        DataType::Date32 | DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_) => Family::Time,
        DataType::Interval(_) | DataType::Duration(_) => Family::Interval,
        _ => Family::Other,
    })
}

fn name(expr: &Expr, schema: &DFSchema) -> String {
    let data_type = expr.get_type(schema).ok();
    data_type.and_then(|t| athena_of(&t).ok()).map_or_else(|| "unknown".to_owned(), |t| t.to_string())
}

fn mismatch(message: &str) -> Result<()> {
    Err(external(Failure::type_mismatch(message)))
}

fn comparable(left: &Expr, op: &str, right: &Expr, schema: &DFSchema) -> Result<()> {
    match (family(left, schema), family(right, schema)) {
        (Some(a), Some(b)) if a != b => {
            mismatch(&format!("Cannot apply operator: {} {op} {}", name(left, schema), name(right, schema)))
        }
        _ => Ok(()),
    }
}

fn computable(left: &Expr, op: &str, right: &Expr, schema: &DFSchema) -> Result<()> {
    use Family::{Interval, Number, Time};
    match (family(left, schema), family(right, schema)) {
        (None, _) | (_, None) => Ok(()),
        (Some(Number), Some(Number)) | (Some(Time), Some(Interval)) | (Some(Interval), Some(Interval | Time)) => Ok(()),
        (Some(Time), Some(Time)) if op == "-" => Ok(()),
        (Some(Interval), Some(Number)) | (Some(Number), Some(Interval)) => Ok(()),
        _ => mismatch(&format!("Cannot apply operator: {} {op} {}", name(left, schema), name(right, schema))),
    }
}

fn logical(expr: &Expr, schema: &DFSchema) -> Result<()> {
    match family(expr, schema) {
        None | Some(Family::Boolean) => Ok(()),
        Some(_) => {
            mismatch(&format!("Logical expression term must evaluate to a boolean (actual: {})", name(expr, schema)))
        }
    }
}
