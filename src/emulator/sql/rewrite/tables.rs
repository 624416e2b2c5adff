//! What stands in FROM beside names and subqueries: samples of tables, and UNNEST over what stands before it.

use datafusion::sql::sqlparser::ast::*;

use super::build::{bare_query, number, select_all};
use super::refuse;
use crate::emulator::model::Failure;
use crate::emulator::sql::functions::call;

/// `t TABLESAMPLE BERNOULLI (p)` → `(SELECT * FROM t WHERE random() * 100 < p) AS t`, so that every row is in it with
/// that probability; SYSTEM, which Trino makes of whole files, is the same here.
pub fn sampled(factor: &mut TableFactor) -> Result<Option<TableFactor>, Failure> {
    let TableFactor::Table { name, alias, sample, .. } = factor else { return Ok(None) };
    let Some(TableSampleKind::BeforeTableAlias(given) | TableSampleKind::AfterTableAlias(given)) = sample.take() else {
        return Ok(None);
    };
    let known = matches!(given.name, Some(TableSampleMethod::Bernoulli | TableSampleMethod::System));
    let quantity = given.quantity.filter(|quantity| quantity.unit.is_none());
    let Some(quantity) = quantity.filter(|_| known && given.seed.is_none() && given.bucket.is_none()) else {
        return refuse("this form of TABLESAMPLE");
    };
    let alias = alias.take().or_else(|| {
        let last = name.0.last().and_then(ObjectNamePart::as_ident)?.clone();
        Some(TableAlias { explicit: true, name: last, columns: vec![], at: None })
    });
    let mut body = select_all(factor.clone());
    if let SetExpr::Select(select) = &mut body {
        let share = Expr::BinaryOp {
            left: Box::new(call("random", vec![])),
            op: BinaryOperator::Multiply,
            right: Box::new(number("1e2")),
        };
        select.selection =
            Some(Expr::BinaryOp { left: Box::new(share), op: BinaryOperator::Lt, right: Box::new(quantity.value) });
    }
    let subquery = Box::new(bare_query(body));
    Ok(Some(TableFactor::Derived { lateral: false, subquery, alias, sample: None }))
}

/// Puts everything that an UNNEST may name into one factor with it, so that it is planned over those columns:
/// `FROM a JOIN b … CROSS JOIN UNNEST(…)` and `FROM a, UNNEST(…)`.
pub fn nest_unnests(from: &mut Vec<TableWithJoins>) {
    let is_unnest = |factor: &TableFactor| matches!(factor, TableFactor::UNNEST { .. });
    let mut nested: Vec<TableWithJoins> = Vec::with_capacity(from.len());
    for table in from.drain(..) {
        if is_unnest(&table.relation)
            && let Some(before) = nested.last_mut()
        {
            let join_operator = JoinOperator::CrossJoin(JoinConstraint::None);
            before.joins.push(Join { relation: table.relation, global: false, join_operator });
            before.joins.extend(table.joins);
        } else {
            nested.push(table);
        }
    }
    for table in &mut nested {
        if !table.joins.iter().any(|join| is_unnest(&join.relation)) {
            continue;
        }
        let joins = std::mem::take(&mut table.joins);
        for join in joins {
            let unnests = is_unnest(&join.relation);
            table.joins.push(join);
            if unnests {
                let inner = std::mem::replace(table, TableWithJoins { relation: placeholder(), joins: vec![] });
                table.relation = TableFactor::NestedJoin { table_with_joins: Box::new(inner), alias: None };
            }
        }
    }
    *from = nested;
}

fn placeholder() -> TableFactor {
    TableFactor::UNNEST {
        alias: None,
        array_exprs: vec![],
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: false,
    }
}
