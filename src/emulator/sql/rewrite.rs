//! A query as Trino means it → the same query as DataFusion understands it.
//!
//! What differs and is put right here: names (Trino folds case, leaves expressions without a name, allows duplicates),
//! literals (an integer is `integer`, `DECIMAL '1.50'` has its own precision), CAST, LIKE (no escape character unless
//! asked for), functions ([`super::functions`]). Every construct that DataFusion would read as something else, or
//! pass over, is refused by name.

mod build;
mod literals;
mod names;
mod tables;

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::*;

use super::dialect::{CASTS, position};
use super::functions::{self, CAST, Form, TRY_CAST, call, cast, string};
use crate::emulator::model::Failure;
use build::{bare_query, number, select_all};
use literals::{cast_target, cast_target_named, compound_interval, like, literal, typed_literal};
use names::DUPLICATE;
pub use names::{ANONYMOUS, OutputNames, Places};
use tables::sampled;

/// Columns that every Hive table has and `*` does not show.
pub const PATH: &str = "$path";
pub const FILE_SIZE: &str = "$file_size";

/// A query for DataFusion, and what to call its columns.
pub struct Rewritten {
    pub query: Query,
    /// Whether it names a hidden column.
    pub hidden: bool,
    pub names: OutputNames,
    pub places: Places,
}

/// Rewrites a whole query.
pub fn rewrite(mut query: Query) -> Result<Rewritten, Failure> {
    let hidden = matches!(query.visit(&mut NamesHidden), ControlFlow::Break(()));
    let mut rewriter = Rewriter { hidden, ..Rewriter::default() };
    rewriter.name_output(&mut query.body);
    match VisitMut::visit(&mut query, &mut rewriter) {
        ControlFlow::Break(failure) => Err(failure),
        ControlFlow::Continue(()) => Ok(Rewritten { query, hidden, names: rewriter.names, places: rewriter.places }),
    }
}

/// Looks for the name of a hidden column.
struct NamesHidden;

impl Visitor for NamesHidden {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let name = match expr {
            Expr::Identifier(ident) => Some(ident),
            Expr::CompoundIdentifier(parts) => parts.last(),
            _ => None,
        };
        let hidden = name.is_some_and(|name| [PATH, FILE_SIZE].contains(&name.value.to_lowercase().as_str()));
        if hidden { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[derive(Default)]
struct Rewriter {
    hidden: bool,
    names: OutputNames,
    places: Places,
    made: usize,
    /// The VALUES that is visited next has its wrapping already.
    values_named: bool,
}

type Flow = ControlFlow<Failure>;

impl VisitorMut for Rewriter {
    type Break = Failure;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        flow(self.query(query))
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        flow(self.select(select))
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> Flow {
        for part in &mut relation.0 {
            if let ObjectNamePart::Identifier(ident) = part {
                fold(ident);
            }
        }
        if let Some(first) = relation.0.first().and_then(ObjectNamePart::as_ident) {
            let name = relation.0.iter().filter_map(ObjectNamePart::as_ident).map(|i| i.value.as_str());
            let key = name.collect::<Vec<_>>().join(".");
            self.places.relations.entry(key).or_insert(position(first.span.start));
        }
        Flow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        flow(self.table_factor(factor))
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        protect_positions(expr);
        if let Expr::Lambda(lambda) = expr {
            match &mut lambda.params {
                OneOrManyWithParens::One(parameter) => fold(&mut parameter.name),
                OneOrManyWithParens::Many(parameters) => parameters.iter_mut().for_each(|p| fold(&mut p.name)),
            }
        }
        Flow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        flow(self.expr(expr))
    }
}

fn flow(result: Result<(), Failure>) -> Flow {
    match result {
        Ok(()) => Flow::Continue(()),
        Err(failure) => Flow::Break(failure),
    }
}

fn refuse<T>(what: impl std::fmt::Display) -> Result<T, Failure> {
    Err(Failure::not_supported(None, what))
}

/// Trino does not tell case apart in names, quoted or not; DataFusion is told to take names as they are.
fn fold(ident: &mut Ident) {
    ident.value = ident.value.to_lowercase();
    ident.quote_style = Some('"');
}

/// Marks a number that is a position or a count, not a value; [`Rewriter::expr`] then leaves it alone.
fn protect(expr: &mut Expr) {
    if let Expr::Value(ValueWithSpan { value: Value::Number(_, keep), .. }) = expr {
        *keep = true;
    }
}

/// Numbers that the grammar wants bare: frame bounds and interval values.
fn protect_positions(expr: &mut Expr) {
    match expr {
        Expr::Interval(interval) => protect(&mut interval.value),
        Expr::Function(Function { over: Some(WindowType::WindowSpec(spec)), .. }) => {
            if let Some(frame) = &mut spec.window_frame {
                for bound in std::iter::once(&mut frame.start_bound).chain(&mut frame.end_bound) {
                    if let WindowFrameBound::Preceding(Some(n)) | WindowFrameBound::Following(Some(n)) = bound {
                        protect(n);
                    }
                }
            }
        }
        _ => {}
    }
}

impl Rewriter {
    fn fresh(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}{}", self.made)
    }

    /// Keeps the spelling of the output's names and makes equal ones different for DataFusion.
    fn name_output(&mut self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => {
                let mut seen = HashSet::new();
                for item in &mut select.projection {
                    let shown = match item {
                        SelectItem::ExprWithAlias { alias, .. } => alias.value.clone(),
                        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => ident.value.to_lowercase(),
                        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
                            parts.last().map(|ident| ident.value.to_lowercase()).unwrap_or_default()
                        }
                        _ => continue,
                    };
                    let internal = shown.to_lowercase();
                    if seen.insert(internal.clone()) {
                        if internal != shown {
                            self.names.0.insert(internal, shown);
                        }
                        continue;
                    }
                    let unique = self.fresh(DUPLICATE);
                    self.names.0.insert(unique.clone(), shown);
                    match item {
                        SelectItem::ExprWithAlias { alias, .. } => *alias = Ident::new(unique),
                        SelectItem::UnnamedExpr(expr) => {
                            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::new(unique) };
                        }
                        _ => {}
                    }
                }
            }
            SetExpr::SetOperation { left, .. } => self.name_output(left),
            SetExpr::Query(query) => self.name_output(&mut query.body),
            _ => {}
        }
    }

    fn query(&mut self, query: &mut Query) -> Result<(), Failure> {
        if !query.locks.is_empty() || query.for_clause.is_some() {
            return refuse("FOR at the end of a query");
        }
        if query.settings.is_some() || query.format_clause.is_some() || !query.pipe_operators.is_empty() {
            return refuse("SETTINGS, FORMAT and pipe operators");
        }
        if let Some(with) = &mut query.with {
            for cte in &mut with.cte_tables {
                self.table_alias(&mut cte.alias);
            }
        }
        self.set_expr(&mut query.body)?;
        match query.order_by.as_mut().map(|order_by| &mut order_by.kind) {
            Some(OrderByKind::Expressions(keys)) => keys.iter_mut().for_each(|key| protect(&mut key.expr)),
            Some(OrderByKind::All(_)) => return refuse("ORDER BY ALL"),
            None => {}
        }
        match &mut query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) => {
                if !limit_by.is_empty() {
                    return refuse("LIMIT BY");
                }
                // LIMIT ALL is no limit at all.
                if matches!(limit, Some(Expr::Identifier(all)) if all.value.eq_ignore_ascii_case("all")) {
                    *limit = None;
                }
                limit.iter_mut().for_each(protect);
                offset.iter_mut().for_each(|offset| protect(&mut offset.value));
            }
            Some(LimitClause::OffsetCommaLimit { .. }) => return refuse("LIMIT with a comma"),
            None => {}
        }
        if let Some(fetch) = query.fetch.take() {
            if fetch.with_ties || fetch.percent {
                return refuse("FETCH … WITH TIES");
            }
            let mut count = fetch.quantity.unwrap_or_else(|| number("1"));
            protect(&mut count);
            let offset = match query.limit_clause.take() {
                Some(LimitClause::LimitOffset { limit: None, offset, .. }) => offset,
                None => None,
                Some(_) => return refuse("LIMIT beside FETCH"),
            };
            query.limit_clause = Some(LimitClause::LimitOffset { limit: Some(count), offset, limit_by: vec![] });
        }
        Ok(())
    }

    fn set_expr(&mut self, body: &mut SetExpr) -> Result<(), Failure> {
        match body {
            SetExpr::SetOperation { left, right, op, set_quantifier } => {
                if matches!(op, SetOperator::Minus)
                    || !matches!(set_quantifier, SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None)
                {
                    return refuse("this form of a set operation");
                }
                self.set_expr(left)?;
                self.set_expr(right)
            }
            SetExpr::Table(table) => {
                let name = table.table_name.take().unwrap_or_default();
                let parts = table.schema_name.take().into_iter().chain([name]).map(Ident::new).collect::<Vec<_>>();
                let factor = TableFactor::Table {
                    name: ObjectName::from(parts),
                    alias: None,
                    args: None,
                    with_hints: vec![],
                    version: None,
                    with_ordinality: false,
                    partitions: vec![],
                    json_path: None,
                    sample: None,
                    index_hints: vec![],
                };
                *body = select_all(factor);
                Ok(())
            }
            SetExpr::Values(_) if self.values_named => {
                self.values_named = false;
                Ok(())
            }
            SetExpr::Values(values) if !values.rows.is_empty() => {
                self.values_named = true;
                // DataFusion calls the columns column1, …; they have no names.
                let width = values.rows[0].content.len();
                let columns: Vec<TableAliasColumnDef> = (0..width)
                    .map(|_| TableAliasColumnDef { name: Ident::new(self.fresh(ANONYMOUS)), data_type: None })
                    .collect();
                let alias = TableAlias { explicit: true, name: Ident::new(self.fresh(ANONYMOUS)), columns, at: None };
                let values = SetExpr::Values(std::mem::replace(
                    values,
                    Values { explicit_row: false, value_keyword: false, rows: vec![] },
                ));
                let subquery = Box::new(bare_query(values));
                *body = select_all(TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None });
                Ok(())
            }
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => Ok(()),
            _ => refuse("a statement inside a query"),
        }
    }

    fn select(&mut self, select: &mut Select) -> Result<(), Failure> {
        for (present, what) in [
            (select.top.is_some(), "TOP"),
            (select.into.is_some(), "INTO"),
            (select.exclude.is_some(), "EXCLUDE"),
            (!select.lateral_views.is_empty(), "LATERAL VIEW"),
            (select.prewhere.is_some(), "PREWHERE"),
            (!select.connect_by.is_empty(), "CONNECT BY"),
            (!select.cluster_by.is_empty(), "CLUSTER BY"),
            (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
            (!select.sort_by.is_empty(), "SORT BY"),
            (select.qualify.is_some(), "QUALIFY"),
            (select.value_table_mode.is_some(), "SELECT AS"),
            (matches!(select.distinct, Some(Distinct::On(_))), "DISTINCT ON"),
            (!matches!(select.flavor, SelectFlavor::Standard), "FROM before SELECT"),
        ] {
            if present {
                return refuse(what);
            }
        }
        match &mut select.group_by {
            GroupByExpr::All(_) => return refuse("GROUP BY ALL"),
            GroupByExpr::Expressions(_, modifiers) if !modifiers.is_empty() => return refuse("GROUP BY … WITH"),
            GroupByExpr::Expressions(keys, _) => {
                for key in keys {
                    match key {
                        Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
                            sets.iter_mut().flatten().for_each(protect);
                        }
                        key => protect(key),
                    }
                }
            }
        }
        for window in &mut select.named_window {
            fold(&mut window.0);
        }
        for item in &mut select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => fold(alias),
                SelectItem::ExprWithAliases { .. } => return refuse("several names for one expression"),
                SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_)) => {}
                SelectItem::UnnamedExpr(expr) => {
                    let name = self.fresh(ANONYMOUS);
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', name) };
                }
                SelectItem::QualifiedWildcard(kind, _) => {
                    if let SelectItemQualifiedWildcardKind::ObjectName(name) = kind {
                        for part in &mut name.0 {
                            if let ObjectNamePart::Identifier(ident) = part {
                                fold(ident);
                            }
                        }
                    }
                }
                SelectItem::Wildcard(options) if self.hidden && reads_table(&select.from) => {
                    let names = [PATH, FILE_SIZE].map(|name| ObjectName::from(vec![Ident::with_quote('"', name)]));
                    options.opt_exclude = Some(ExcludeSelectItem::Multiple(names.to_vec()));
                }
                SelectItem::Wildcard(_) => {}
            }
        }
        tables::nest_unnests(&mut select.from);
        for table in &mut select.from {
            for join in &mut table.joins {
                fold_join(&mut join.join_operator);
            }
        }
        Ok(())
    }

    fn table_alias(&mut self, alias: &mut TableAlias) {
        fold(&mut alias.name);
        alias.columns.iter_mut().for_each(|column| fold(&mut column.name));
    }

    fn table_factor(&mut self, factor: &mut TableFactor) -> Result<(), Failure> {
        if let Some(sampled) = sampled(factor)? {
            *factor = sampled;
        }
        let alias = match factor {
            TableFactor::Table { alias, args, version, sample, with_ordinality, partitions, with_hints, .. } => {
                for (present, what) in [
                    (args.is_some(), "table functions"),
                    (version.is_some(), "FOR TIMESTAMP AS OF and FOR VERSION AS OF"),
                    (sample.is_some(), "TABLESAMPLE"),
                    (*with_ordinality || !partitions.is_empty() || !with_hints.is_empty(), "this form of a table"),
                ] {
                    if present {
                        return refuse(what);
                    }
                }
                alias
            }
            TableFactor::Derived { alias, sample, subquery, .. } => {
                if sample.is_some() {
                    return refuse("TABLESAMPLE");
                }
                // The alias names the columns anew, so the same name twice inside of it is nobody's concern.
                if alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()) {
                    self.name_output(&mut subquery.body);
                }
                alias
            }
            TableFactor::UNNEST { alias, .. } => alias,
            TableFactor::NestedJoin { alias, table_with_joins } => {
                for join in &mut table_with_joins.joins {
                    fold_join(&mut join.join_operator);
                }
                alias
            }
            other => return refuse(format!("FROM {other}")),
        };
        if let Some(alias) = alias {
            self.table_alias(alias);
        }
        Ok(())
    }

    fn expr(&mut self, expr: &mut Expr) -> Result<(), Failure> {
        match expr {
            Expr::Identifier(ident) => {
                self.column(ident);
                Ok(())
            }
            Expr::CompoundIdentifier(parts) => {
                let place = parts.first().map(|first| position(first.span.start));
                parts.iter_mut().for_each(fold);
                if let (Some(place), Some(last)) = (place, parts.last()) {
                    self.places.columns.entry(last.value.clone()).or_insert(place);
                }
                Ok(())
            }
            Expr::Value(value) => literal(value).map(|rewritten| {
                if let Some(rewritten) = rewritten {
                    *expr = rewritten;
                }
            }),
            Expr::TypedString(typed) => typed_literal(typed).map(|rewritten| *expr = rewritten),
            Expr::Cast { kind, expr: value, data_type, array, format } => {
                if *array || format.is_some() || !matches!(kind, CastKind::Cast | CastKind::TryCast) {
                    return refuse("this form of CAST");
                }
                let name = if *kind == CastKind::Cast { CAST } else { TRY_CAST };
                let target = cast_target(data_type)?;
                *expr = call(name, vec![take(value), string(&target)]);
                Ok(())
            }
            Expr::Like { any: false, pattern, escape_char, .. } => like(pattern, escape_char),
            Expr::Extract { field, expr: value, .. } => {
                let name = field.to_string().to_lowercase();
                let Some(Form::Expression(form)) = functions::find(&name) else {
                    return refuse(format!("EXTRACT({field} FROM …)"));
                };
                *expr = form(vec![take(value)]).map_err(Failure::invalid_query)?;
                Ok(())
            }
            Expr::Ceil { expr: value, .. } => {
                *expr = call("athena_ceil", vec![take(value)]);
                Ok(())
            }
            Expr::Floor { expr: value, .. } => {
                *expr = call("athena_floor", vec![take(value)]);
                Ok(())
            }
            Expr::Position { expr: needle, r#in: text } => {
                *expr = call("athena_strpos", vec![take(text), take(needle)]);
                Ok(())
            }
            Expr::Substring { expr: value, substring_from, substring_for, .. } => {
                let from = substring_from.as_mut().map_or_else(|| number("1"), take);
                let mut args = vec![take(value), from];
                args.extend(substring_for.as_mut().map(take));
                *expr = call("athena_substr", args);
                Ok(())
            }
            Expr::Trim { trim_where, trim_what, expr: value, trim_characters } => {
                if trim_characters.is_some() {
                    return refuse("TRIM with a list of characters");
                }
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    Some(TrimWhereField::Both) | None => "btrim",
                };
                let args = std::iter::once(take(value)).chain(trim_what.as_mut().map(take)).collect();
                *expr = functions::trim(name, args).map_err(Failure::invalid_query)?;
                Ok(())
            }
            Expr::BinaryOp { op, .. } => {
                use BinaryOperator::*;
                match op {
                    Plus | Minus | Multiply | Divide | Modulo | StringConcat | Gt | Lt | GtEq | LtEq | Eq | NotEq
                    | And | Or => Ok(()),
                    other => refuse(format!("the operator {other}")),
                }
            }
            Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus | UnaryOperator::Not, .. } => Ok(()),
            Expr::Function(_) => self.function(expr),
            Expr::Interval(interval) => {
                if interval.last_field.is_some() {
                    *expr = compound_interval(interval)?;
                    return Ok(());
                }
                // Months and seconds are different types in Trino; DataFusion has one for both.
                if matches!(interval.leading_field, Some(DateTimeField::Year | DateTimeField::Month)) {
                    *expr = cast(expr.clone(), "interval year to month");
                }
                Ok(())
            }
            Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::InList { .. }
            | Expr::InSubquery { .. }
            | Expr::Between { .. }
            | Expr::AnyOp { .. }
            | Expr::AllOp { .. }
            | Expr::Nested(_)
            | Expr::Case { .. }
            | Expr::Exists { .. }
            | Expr::Subquery(_)
            | Expr::GroupingSets(_)
            | Expr::Cube(_)
            | Expr::Rollup(_)
            | Expr::Wildcard(_)
            | Expr::QualifiedWildcard(..) => Ok(()),
            Expr::CompoundFieldAccess { root, access_chain } => {
                let mut value = take(root);
                for access in access_chain.drain(..) {
                    value = match access {
                        AccessExpr::Subscript(Subscript::Index { index }) => {
                            let constant = functions::literal_integer(&index).map(|at| string(&at.to_string()));
                            call("athena_subscript", [value, index].into_iter().chain(constant).collect())
                        }
                        AccessExpr::Dot(Expr::Identifier(field)) => {
                            call("athena_field", vec![value, string(&field.value)])
                        }
                        other => return refuse(format!("the access {other}")),
                    };
                }
                *expr = value;
                Ok(())
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                *expr = call("athena_at_timezone", vec![take(timestamp), take(time_zone)]);
                Ok(())
            }
            Expr::Array(array) => {
                *expr = call("athena_array", std::mem::take(&mut array.elem));
                Ok(())
            }
            Expr::Tuple(values) => {
                *expr = call("athena_row", std::mem::take(values));
                Ok(())
            }
            Expr::Lambda(_) => Ok(()),
            other => refuse(format!("the expression {other}")),
        }
    }

    fn column(&mut self, ident: &mut Ident) {
        let place = position(ident.span.start);
        fold(ident);
        self.places.columns.entry(ident.value.clone()).or_insert(place);
    }

    /// CAST and TRY_CAST as the parser is given them: `"cast"(value, 'type')`.
    fn cast(&mut self, function: &Function) -> Result<Option<Expr>, Failure> {
        let name = match function.name.0.as_slice() {
            [ObjectNamePart::Identifier(ident)] if ident.quote_style == Some('"') => ident.value.as_str(),
            _ => return Ok(None),
        };
        let name = match CASTS.iter().position(|known| *known == name) {
            Some(0) => CAST,
            Some(_) => TRY_CAST,
            None => return Ok(None),
        };
        let args = plain_arguments(function).map_err(Failure::invalid_query)?;
        match args.as_slice() {
            [value, Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(target), .. })] => {
                Ok(Some(call(name, vec![value.clone(), string(&cast_target_named(target)?)])))
            }
            _ => Err(Failure::invalid_query("CAST needs a value and a type: CAST(value AS type)")),
        }
    }

    fn function(&mut self, expr: &mut Expr) -> Result<(), Failure> {
        let Expr::Function(function) = expr else { return Ok(()) };
        let place = function.name.0.first().and_then(ObjectNamePart::as_ident).map(|ident| position(ident.span.start));
        let name = function.name.to_string().to_lowercase();
        if let Some(cast) = self.cast(function)? {
            *expr = cast;
            return Ok(());
        }
        let Some(form) = functions::find(&name) else {
            return Err(Failure::function_not_found(place, &name));
        };
        if let Some(WindowType::NamedWindow(window)) = &mut function.over {
            fold(window);
        }
        let complain = |complaint: &str| Failure::invalid_query(format!("function {name} {complaint}"));
        match form {
            Form::Call(target) => function.name = ObjectName::from(vec![Ident::new(target)]),
            Form::Typed(target, result) => {
                function.name = ObjectName::from(vec![Ident::new(target)]);
                *expr = cast(expr.clone(), result);
            }
            Form::Double(target) => {
                let args = plain_arguments(function).map_err(complain)?;
                *expr = call(target, args.into_iter().map(|arg| cast(arg, "double")).collect());
            }
            Form::Expression(form) => {
                let args = plain_arguments(function).map_err(complain)?;
                *expr = form(args).map_err(complain)?;
            }
            Form::Aggregate(form) => *expr = form(function.clone()).map_err(complain)?,
        }
        Ok(())
    }
}

fn plain_arguments(function: &Function) -> Result<Vec<Expr>, &'static str> {
    if function.over.is_some() || function.filter.is_some() {
        return Err("is neither an aggregate nor a window function");
    }
    match &function.args {
        FunctionArguments::None => Ok(vec![]),
        FunctionArguments::Subquery(_) => Err("takes plain arguments"),
        FunctionArguments::List(list) if list.duplicate_treatment.is_some() || !list.clauses.is_empty() => {
            Err("takes plain arguments")
        }
        FunctionArguments::List(list) => list
            .args
            .iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr.clone()),
                _ => Err("takes plain arguments"),
            })
            .collect(),
    }
}

/// Whether a FROM names a table, not only subqueries.
fn reads_table(from: &[TableWithJoins]) -> bool {
    from.iter().any(|item| {
        let mut factors = std::iter::once(&item.relation).chain(item.joins.iter().map(|join| &join.relation));
        factors.any(|factor| matches!(factor, TableFactor::Table { .. }))
    })
}

fn fold_join(operator: &mut JoinOperator) {
    use JoinOperator::*;
    if let Join(constraint)
    | Inner(constraint)
    | Left(constraint)
    | LeftOuter(constraint)
    | Right(constraint)
    | RightOuter(constraint)
    | FullOuter(constraint)
    | CrossJoin(constraint) = operator
        && let JoinConstraint::Using(names) = constraint
    {
        for name in names {
            for part in &mut name.0 {
                if let ObjectNamePart::Identifier(ident) = part {
                    fold(ident);
                }
            }
        }
    }
}

fn take(expr: &mut Box<Expr>) -> Expr {
    std::mem::replace(expr.as_mut(), Expr::Value(Value::Null.with_empty_span()))
}
