//! UNNEST in FROM, over the columns of what stands before it: `t CROSS JOIN UNNEST(t.a) WITH ORDINALITY AS u (x, n)`.
//!
//! Several arrays are walked together, the shorter ones filled up with NULL. Rows become their fields, maps a key and a
//! value. DataFusion's own UNNEST sees no columns but its own.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, NullHandling, Result, TableReference, UnnestOptions, plan_err};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::ast::{self, JoinOperator, TableAlias, TableFactor};

use super::cast::external;
use super::{functions, types};
use crate::emulator::model::Failure;
use crate::emulator::sql::rewrite::ANONYMOUS;
use crate::types::AthenaType;

#[derive(Debug)]
pub struct UnnestPlanner;

impl RelationPlanner for UnnestPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let (left, unnest, outer) = match relation {
            TableFactor::UNNEST { .. } => (None, relation, false),
            TableFactor::NestedJoin { mut table_with_joins, alias: None }
                if table_with_joins.joins.last().is_some_and(|join| is_unnest(&join.relation)) =>
            {
                let Some(last) = table_with_joins.joins.pop() else { return plan_err!("a join without its last part") };
                let outer = match last.join_operator {
                    JoinOperator::CrossJoin(_) | JoinOperator::Join(_) | JoinOperator::Inner(_) => false,
                    JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => true,
                    other => {
                        let what = format!("{other:?} with UNNEST");
                        return Err(external(Failure::not_supported(None, what)));
                    }
                };
                let left = if table_with_joins.joins.is_empty() {
                    table_with_joins.relation
                } else {
                    TableFactor::NestedJoin { table_with_joins, alias: None }
                };
                (Some(left), last.relation, outer)
            }
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        let left = match left {
            Some(left) => context.plan(left)?,
            None => LogicalPlanBuilder::empty(true).build()?,
        };
        let TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } = unnest else {
            return plan_err!("not an UNNEST");
        };
        let plan = expand(left, array_exprs, with_ordinality, outer, alias, context)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

pub fn is_unnest(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::UNNEST { .. })
}

fn function(name: &str, args: Vec<Expr>) -> Result<Expr> {
    match functions::named(name) {
        Some(function) => Ok(function.call(args)),
        None => plan_err!("{name} is not a function"),
    }
}

fn expand(
    left: LogicalPlan,
    arrays: Vec<ast::Expr>,
    ordinality: bool,
    outer: bool,
    alias: Option<TableAlias>,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let schema: Arc<DFSchema> = Arc::clone(left.schema());
    let mut lists = Vec::new();
    for array in arrays {
        let mut array = context.sql_to_expr(array, &schema)?;
        match types::athena(&array.to_field(schema.as_ref())?.1).map_err(external)? {
            AthenaType::Array(_) => {}
            AthenaType::Map(_) => array = function("athena_map_entries", vec![array])?,
            other => {
                let what = format!("Cannot unnest type: {other}");
                return Err(external(Failure::type_mismatch(what)));
            }
        }
        lists.push(array);
    }
    if ordinality {
        lists.push(function("athena_ordinality", lists.clone())?);
    }
    let kept: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    let names: Vec<String> = (0..lists.len()).map(|i| format!("__unnest_{i}")).collect();
    let made = lists.into_iter().zip(&names).map(|(list, name)| list.alias(name));
    let projected = LogicalPlanBuilder::from(left).project(kept.iter().cloned().chain(made))?;
    let columns = names.iter().map(Column::new_unqualified).collect();
    let nulls = if outer { NullHandling::PreserveAndExpandEmpty } else { NullHandling::Drop };
    let options = UnnestOptions::new().with_null_handling(nulls);
    let unnested = projected.unnest_columns_with_options(columns, options)?.build()?;

    let qualifier = alias.as_ref().map(|alias| TableReference::bare(alias.name.value.clone()));
    let mut given = alias.map(|alias| alias.columns).unwrap_or_default().into_iter().map(|column| column.name.value);
    let mut output = kept;
    let mut shown = 0;
    for name in &names {
        let column = Expr::Column(Column::new_unqualified(name));
        let field = unnested.schema().field_with_unqualified_name(name)?;
        let parts: Vec<(Expr, Option<String>)> = match (types::athena(field).map_err(external)?, field.data_type()) {
            (AthenaType::Row(Some(fields)), DataType::Struct(_)) => fields
                .iter()
                .enumerate()
                .map(|(i, field)| {
                    let by = field.name.clone().unwrap_or_else(|| (i + 1).to_string());
                    Ok((function("athena_field", vec![column.clone(), lit(by)])?, field.name.clone()))
                })
                .collect::<Result<_>>()?,
            _ => vec![(column, None)],
        };
        for (part, own) in parts {
            shown += 1;
            let name = given.next().or(own).unwrap_or_else(|| format!("{ANONYMOUS}unnest_{shown}"));
            output.push(part.alias_qualified(qualifier.clone(), name));
        }
    }
    if given.next().is_some() {
        let what = format!("Column alias list has more entries than UNNEST has columns ({shown})");
        return Err(external(Failure::invalid_query(what)));
    }
    LogicalPlanBuilder::from(unnested).project(output)?.build()
}
