//! Planning: a query's text in its catalog and database → a DataFusion plan.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::execution::{SessionStateDefaults, config::SessionConfig};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use url::Url;

use super::catalog::{Catalogs, Lookup};
use super::scanned::Counted;
use super::unnest::UnnestPlanner;
use super::view::View;
use super::{aggregates, arithmetic, cast, errors, functions, typecheck, types};
use crate::emulator::iam::Caller;
use crate::emulator::model::{DEFAULT_CATALOG, Failure};
use crate::emulator::sql::rewrite::{self, OutputNames, Places};
use crate::emulator::sql::{self};
use crate::emulator::store::Store;
use crate::types::AthenaType;

/// Database that names without one are looked up in, if the caller gave none.
const DEFAULT_DATABASE: &str = "default";

/// What all queries share.
#[derive(Debug)]
pub struct Sessions {
    pub store: Arc<Store>,
    /// One folder per bucket.
    pub buckets: PathBuf,
    memory: Arc<dyn MemoryPool>,
    parallelism: usize,
}

/// Where a statement's names are looked up.
#[derive(Debug, Clone)]
pub struct Context {
    pub catalog: String,
    pub database: String,
}

impl Context {
    pub fn new(catalog: Option<&str>, database: Option<&str>) -> Self {
        let lower =
            |name: Option<&str>, default: &str| name.filter(|name| !name.is_empty()).unwrap_or(default).to_lowercase();
        Self { catalog: lower(catalog, DEFAULT_CATALOG), database: lower(database, DEFAULT_DATABASE) }
    }
}

/// On whose behalf a query is planned, and what counts what it reads.
#[derive(Debug, Clone)]
pub struct Reading {
    pub caller: Arc<Caller>,
    pub scanned: Arc<AtomicU64>,
}

/// A query ready to run, with its output columns in Athena's names and types.
pub struct Planned {
    pub state: SessionState,
    pub plan: LogicalPlan,
    pub columns: Vec<(String, AthenaType)>,
    /// Places of columns that the query gives no name.
    pub unnamed: BTreeSet<usize>,
    pub places: Places,
}

impl Sessions {
    pub fn new(store: Arc<Store>, buckets: PathBuf, memory_bytes: usize, parallelism: usize) -> Self {
        Self { store, buckets, memory: Arc::new(FairSpillPool::new(memory_bytes)), parallelism }
    }

    /// Plans a query as far as its types; nothing is read yet. Bytes read later are added to `scanned`.
    pub async fn plan(
        self: &Arc<Self>,
        query: ast::Query,
        context: &Context,
        reading: Reading,
    ) -> Result<Planned, Failure> {
        self.plan_nested(query, context, reading, 0).await
    }

    /// Plans the query of a view on behalf of whoever reads the view.
    pub async fn plan_view(
        self: &Arc<Self>,
        view: &View,
        reading: Reading,
        depth: usize,
    ) -> Result<LogicalPlan, Failure> {
        let sql::Statement::Query(query) = sql::parse(&view.original_sql, &[])? else {
            return Err(Failure::invalid_query("a view that is not a query"));
        };
        let context = Context::new(Some(&view.catalog), Some(&view.schema));
        Ok(self.plan_nested(*query, &context, reading, depth).await?.plan)
    }

    async fn plan_nested(
        self: &Arc<Self>,
        query: ast::Query,
        context: &Context,
        reading: Reading,
        view_depth: usize,
    ) -> Result<Planned, Failure> {
        let rewrite::Rewritten { query, hidden, names, places } = rewrite::rewrite(query)?;
        let lookup = Lookup { sessions: Arc::clone(self), reading, view_depth, hidden };
        let state = self.state(context, lookup)?;
        let statement = Statement::Statement(Box::new(ast::Statement::Query(Box::new(query))));
        let located = |error: DataFusionError| locate(errors::failure(&error, &places), &places);
        let plan = state.statement_to_plan(statement).await.map_err(located)?;
        typecheck::check(&plan).map_err(located)?;
        let columns = output(&plan, &names)?;
        let unnamed = plan.schema().fields().iter().enumerate();
        let unnamed = unnamed.filter(|(_, field)| names.is_anonymous(field.name())).map(|(at, _)| at).collect();
        Ok(Planned { state, plan, columns, unnamed, places })
    }

    fn state(self: &Arc<Self>, context: &Context, lookup: Lookup) -> Result<SessionState, Failure> {
        let mut config = SessionConfig::new()
            .with_target_partitions(self.parallelism)
            .with_default_catalog_and_schema(context.catalog.clone(), context.database.clone())
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(false);
        let options = config.options_mut();
        // Names are folded by the rewriting, NULLs come last in both directions in Trino.
        options.sql_parser.enable_ident_normalization = false;
        options.sql_parser.default_null_ordering = "nulls_last".to_owned();
        options.sql_parser.map_string_types_to_utf8view = false;
        options.execution.parquet.schema_force_view_types = false;
        let scanned = Arc::clone(&lookup.reading.scanned);
        let runtime = self.runtime(scanned).map_err(|error| Failure::internal(error.to_string()))?;
        let mut scalars = SessionStateDefaults::default_scalar_functions();
        scalars.extend(cast::functions().map(Arc::new));
        scalars.extend(arithmetic::functions().into_iter().map(Arc::new));
        scalars.extend(functions::functions().into_iter().map(Arc::new));
        let mut aggregates = SessionStateDefaults::default_aggregate_functions();
        aggregates.extend(aggregates::functions().map(Arc::new));
        let mut planners: Vec<Arc<dyn datafusion::logical_expr::planner::ExprPlanner>> =
            vec![Arc::new(arithmetic::TrinoArithmetic)];
        planners.extend(SessionStateDefaults::default_expr_planners());
        Ok(SessionStateBuilder::new()
            .with_default_features()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_catalog_list(Arc::new(Catalogs(Arc::new(lookup))))
            .with_scalar_functions(scalars)
            .with_higher_order_functions(functions::lambda_functions())
            .with_aggregate_functions(aggregates)
            .with_expr_planners(planners)
            .with_relation_planners(vec![Arc::new(UnnestPlanner)])
            .build())
    }

    fn runtime(&self, scanned: Arc<AtomicU64>) -> Result<Arc<RuntimeEnv>, DataFusionError> {
        RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::clone(&self.memory))
            .with_object_store_registry(Arc::new(Buckets { root: self.buckets.clone(), scanned }))
            .build_arc()
    }
}

/// Adds the place in the text to a failure that only knows the name.
fn locate(failure: Failure, places: &Places) -> Failure {
    let quoted = failure.message.split('\'').nth(1).map(str::to_owned);
    let Some(name) = quoted else { return failure };
    if failure.message.contains(": line ") {
        return failure;
    }
    let place = || {
        // The text may give one, two or all three parts of the name.
        let parts: Vec<&str> = name.split('.').collect();
        (0..parts.len()).find_map(|skip| places.relation(&parts[skip..].join(".")))
    };
    let (kind, rest) = failure.message.split_once(": ").unwrap_or(("", &failure.message));
    let at = match kind {
        "TABLE_NOT_FOUND" => place(),
        "SCHEMA_NOT_FOUND" | "CATALOG_NOT_FOUND" => places.relation_in(&name),
        _ => None,
    };
    match at {
        Some(at) => Failure { message: format!("{kind}: line {}:{}: {rest}", at.line, at.column), ..failure },
        None => failure,
    }
}

fn output(plan: &LogicalPlan, names: &OutputNames) -> Result<Vec<(String, AthenaType)>, Failure> {
    plan.schema()
        .fields()
        .iter()
        .enumerate()
        .map(|(i, field)| Ok((names.display(i, field.name()), types::athena(field)?)))
        .collect()
}

/// `s3://bucket` → the bucket's folder, read through a counter.
#[derive(Debug)]
struct Buckets {
    root: PathBuf,
    scanned: Arc<AtomicU64>,
}

impl ObjectStoreRegistry for Buckets {
    fn register_store(&self, _: &Url, _: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &Url) -> datafusion::common::Result<Arc<dyn ObjectStore>> {
        let bucket = url.host_str().filter(|_| url.scheme() == "s3").unwrap_or_default();
        let folder = self.root.join(bucket);
        if bucket.is_empty() || bucket.starts_with('.') || !folder.is_dir() {
            return Err(cast::external(Failure::bad_data(format!("the bucket of {url} does not exist"))));
        }
        let files = LocalFileSystem::new_with_prefix(folder)?;
        Ok(Arc::new(Counted::new(Arc::new(files), Arc::clone(&self.scanned))))
    }
}
