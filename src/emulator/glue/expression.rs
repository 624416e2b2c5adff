//! GetPartitions' Expression: a condition over partition keys, `year = 2024 AND month IN ('01', '02')`.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

use super::super::api::ApiError;
use super::super::model::{Partition, Table};
use super::super::sql::dialect::{end_of, expression};
use super::super::sql::tokens::tokens;
use super::invalid_input;
use crate::types::AthenaType;

/// The longest expression, as Glue has it; it also bounds how deep a condition is.
const MAX_BYTES: usize = 2048;

/// A condition that was read and names only keys of its table.
pub struct Condition {
    expr: Expr,
    keys: Vec<(String, AthenaType)>,
}

/// A value to compare: numbers as numbers, everything else as text.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Operand {
    Number(f64),
    Text(String),
}

const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

impl Condition {
    pub fn parse(text: &str, table: &Table) -> Result<Self, ApiError> {
        if text.len() > MAX_BYTES {
            return Err(invalid_input(format!("Expression must have length less than or equal to {MAX_BYTES}")));
        }
        let unreadable = |why: &str| invalid_input(format!("Unsupported expression '{text}': {why}"));
        let found = tokens(text).map_err(|failure| unreadable(&failure.message))?;
        let expr = expression(found, end_of(text)).map_err(|failure| unreadable(&failure.message))?;
        let keys = table.partition_keys.iter().map(|key| {
            let data_type = AthenaType::parse(&key.data_type).unwrap_or(AthenaType::Varchar(None));
            (key.name.to_lowercase(), data_type)
        });
        let condition = Self { expr, keys: keys.collect() };
        // Shapes and names are checked once, with a partition that has no values.
        condition.holds_for(&vec![String::new(); condition.keys.len()]).map_err(|why| unreadable(&why))?;
        Ok(condition)
    }

    pub fn holds(&self, partition: &Partition) -> bool {
        self.holds_for(&partition.values).unwrap_or(false)
    }

    fn holds_for(&self, values: &[String]) -> Result<bool, String> {
        Ok(self.truth(&self.expr, values)?.unwrap_or(false))
    }

    fn truth(&self, expr: &Expr, values: &[String]) -> Result<Option<bool>, String> {
        Ok(match expr {
            Expr::Nested(inner) => self.truth(inner, values)?,
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => self.truth(expr, values)?.map(|truth| !truth),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                match (self.truth(left, values)?, self.truth(right, values)?) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                }
            }
            Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
                match (self.truth(left, values)?, self.truth(right, values)?) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                }
            }
            Expr::BinaryOp { left, op, right } => {
                let pair = self.operand(left, values)?.zip(self.operand(right, values)?);
                let order = pair.map(|(left, right)| compared(left, right));
                use std::cmp::Ordering::{Equal, Greater, Less};
                let test: fn(std::cmp::Ordering) -> bool = match op {
                    BinaryOperator::Eq => |order| order == Equal,
                    BinaryOperator::NotEq => |order| order != Equal,
                    BinaryOperator::Lt => |order| order == Less,
                    BinaryOperator::LtEq => |order| order != Greater,
                    BinaryOperator::Gt => |order| order == Greater,
                    BinaryOperator::GtEq => |order| order != Less,
                    other => return Err(format!("the operator {other}")),
                };
                order.map(test)
            }
            Expr::InList { expr, list, negated } => {
                let Some(value) = self.operand(expr, values)? else { return Ok(None) };
                let mut found = false;
                for item in list {
                    let item = self.operand(item, values)?;
                    found |= item.is_some_and(|item| compared(value.clone(), item).is_eq());
                }
                Some(found != *negated)
            }
            Expr::Between { expr, low, high, negated } => {
                let operands = (self.operand(expr, values)?, self.operand(low, values)?, self.operand(high, values)?);
                let (Some(value), Some(low), Some(high)) = operands else { return Ok(None) };
                let within = compared(value.clone(), low).is_ge() && compared(value, high).is_le();
                Some(within != *negated)
            }
            Expr::Like { expr, pattern, negated, .. } => {
                let pair = self.operand(expr, values)?.zip(self.operand(pattern, values)?);
                pair.map(|(value, pattern)| like(&text(&value), &text(&pattern)) != *negated)
            }
            Expr::IsNull(inner) => Some(self.operand(inner, values)?.is_none()),
            Expr::IsNotNull(inner) => Some(self.operand(inner, values)?.is_some()),
            other => return Err(format!("{other}")),
        })
    }

    fn operand(&self, expr: &Expr, values: &[String]) -> Result<Option<Operand>, String> {
        match expr {
            Expr::Nested(inner) => self.operand(inner, values),
            Expr::Identifier(name) => {
                let at = self.keys.iter().position(|(key, _)| *key == name.value.to_lowercase());
                let at = at.ok_or_else(|| format!("{} is not a partition key", name.value))?;
                let value = values.get(at).map(String::as_str).unwrap_or_default();
                Ok((value != NULL).then(|| typed(value, &self.keys[at].1)))
            }
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) => Ok(digits.parse().ok().map(Operand::Number)),
                Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => {
                    Ok(Some(Operand::Text(text.clone())))
                }
                Value::Boolean(value) => Ok(Some(Operand::Text(value.to_string()))),
                Value::Null => Ok(None),
                other => Err(format!("the literal {other}")),
            },
            Expr::TypedString(typed) => match &typed.value.value {
                Value::SingleQuotedString(text) => Ok(Some(Operand::Text(text.clone()))),
                other => Err(format!("the literal {other}")),
            },
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match self.operand(expr, values)? {
                Some(Operand::Number(value)) => Ok(Some(Operand::Number(-value))),
                _ => Err(format!("{expr} is not a number")),
            },
            other => Err(format!("{other}")),
        }
    }
}

fn typed(value: &str, data_type: &AthenaType) -> Operand {
    use AthenaType::*;
    let number = match data_type {
        Tinyint | Smallint | Integer | Bigint | Real | Double | Decimal { .. } => value.parse().ok(),
        _ => None,
    };
    number.map_or_else(|| Operand::Text(value.to_owned()), Operand::Number)
}

fn text(operand: &Operand) -> String {
    match operand {
        Operand::Number(value) => value.to_string(),
        Operand::Text(text) => text.clone(),
    }
}

/// A number and a text are compared as numbers if both are some.
fn compared(left: Operand, right: Operand) -> std::cmp::Ordering {
    let number = |operand: &Operand| match operand {
        Operand::Number(value) => Some(*value),
        Operand::Text(text) => text.parse().ok(),
    };
    let mixed = std::mem::discriminant(&left) != std::mem::discriminant(&right);
    match (number(&left), number(&right)) {
        (Some(left), Some(right)) if mixed => left.total_cmp(&right),
        _ => match (&left, &right) {
            (Operand::Number(left), Operand::Number(right)) => left.total_cmp(right),
            _ => text(&left).cmp(&text(&right)),
        },
    }
}

/// `%` stands for any text, `_` for one character.
fn like(text: &str, pattern: &str) -> bool {
    let mut expression = String::from("(?s)^");
    for c in pattern.chars() {
        match c {
            '%' => expression.push_str(".*"),
            '_' => expression.push('.'),
            c => expression.push_str(&regex::escape(&c.to_string())),
        }
    }
    expression.push('$');
    regex::Regex::new(&expression).is_ok_and(|regex| regex.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::super::super::model::Column;
    use super::*;

    #[test]
    fn conditions_hold_for_the_right_partitions() {
        let key = |name: &str, t: &str| Column { name: name.into(), data_type: t.into(), ..Column::default() };
        let table = Table { partition_keys: vec![key("year", "int"), key("region", "string")], ..Table::default() };
        let partition =
            |values: [&str; 2]| Partition { values: values.map(str::to_owned).to_vec(), ..Partition::default() };
        let (old, new) = (partition(["9", "eu"]), partition(["2024", "us-east"]));
        for (text, expected) in [
            ("year > 100", [false, true]),
            ("year = '9'", [true, false]),
            ("year = 2024 AND region LIKE 'us%'", [false, true]),
            ("region IN ('eu', 'x') OR year >= 3000", [true, false]),
            ("NOT (year BETWEEN 1 AND 10)", [false, true]),
            ("region <> 'eu'", [false, true]),
            ("region IS NOT NULL", [true, true]),
        ] {
            let condition = Condition::parse(text, &table).unwrap_or_else(|error| panic!("{text}: {}", error.message));
            assert_eq!([condition.holds(&old), condition.holds(&new)], expected, "{text}");
        }
        for bad in ["month = 1", "year = ", "year + 1", "upper(region) = 'X'"] {
            assert!(Condition::parse(bad, &table).is_err(), "{bad}");
        }
    }
}
