//! The steps, in their order.

use aws_sdk_s3::primitives::ByteStream;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};

use super::{Diagnosis, Found};
use crate::aws::AwsError;
use crate::catalog::{GLUE_CATALOG, TableKind};
use crate::gateway::{GatewayError, Request, Tenant};
use crate::results::object::S3Uri;
use crate::results::unload::{prefix, sweep};
use crate::session::{DEFAULT_WORKGROUP, Session};

/// What the object is called that is written to see whether it can be.
const OBJECT: &str = "athena-flight-check";
/// After how long it is anybody's to remove.
const LIFE_SECONDS: i64 = 60;
/// What to do about an empty list.
const LAKE_FORMATION: &str = "if there should be some: is this the right region and catalog? Where Lake Formation rules, what \
                              the gateway's role is not granted (DESCRIBE) is left out without a word";

pub struct StepPlan {
    pub name: &'static str,
    pub mandatory: bool,
    pub does: &'static str,
    pub run: for<'a> fn(&'a Tenant, &'a mut State) -> BoxFuture<'a, Found>,
}

/// What steps leave for those after them.
#[derive(Default)]
pub struct State {
    /// Where results go, where it is known.
    output: Option<String>,
    is_managed: bool,
    database: Option<String>,
    table: Option<String>,
    views: usize,
    has_tables: bool,
}

pub const STEPS: [StepPlan; 8] = [
    StepPlan {
        name: "CheckAccess",
        mandatory: true,
        does: "credentials, and sts:GetCallerIdentity with them",
        run: |tenant, _| access(tenant).boxed(),
    },
    StepPlan {
        name: "Workgroup",
        mandatory: true,
        does: "athena:GetWorkGroup",
        run: |tenant, state| workgroup(tenant, state).boxed(),
    },
    StepPlan {
        name: "GetSchemas",
        mandatory: true,
        does: "glue:GetDatabases, or athena:ListDatabases for another catalog",
        run: |tenant, state| schemas(tenant, state).boxed(),
    },
    StepPlan {
        name: "GetTables",
        mandatory: true,
        does: "glue:GetTables, or athena:ListTableMetadata, for one database",
        run: |tenant, state| tables(tenant, state).boxed(),
    },
    StepPlan {
        name: "GetViews",
        mandatory: false,
        does: "views among those tables",
        run: |_, state| async { views(state) }.boxed(),
    },
    StepPlan {
        name: "StagingDirectory",
        mandatory: false,
        does: "s3:PutObject, GetObject and DeleteObject of a small object where results go",
        run: |tenant, state| staging(tenant, state).boxed(),
    },
    StepPlan {
        name: "RunQuery",
        mandatory: true,
        does: "SELECT 1: athena:StartQueryExecution, GetQueryExecution, GetQueryResults",
        run: |tenant, _| query(tenant).boxed(),
    },
    StepPlan {
        name: "LakeFormation",
        mandatory: false,
        does: "glue:GetTable: whether the table is governed; if so a query of one row",
        run: |tenant, state| lake_formation(tenant, state).boxed(),
    },
];

fn failed(operation: AwsError) -> Found {
    Found::failed(Diagnosis::of(&operation))
}

async fn access(tenant: &Tenant) -> Found {
    let clients = &tenant.clients;
    let Some(region) = &clients.region else {
        return Found::failed(Diagnosis {
            what: "no region is known".to_owned(),
            advice: "give --region, AWS_REGION or a profile with a region".to_owned(),
        });
    };
    if let Some(what) = crate::config::region_fault(region) {
        return Found::failed(Diagnosis { what, advice: "correct AWS_REGION, or the profile's region".to_owned() });
    }
    match clients.sts.get_caller_identity().send().await {
        Ok(identity) => Found::ok(format!("{} in {region}", identity.arn().unwrap_or("somebody without a name"))),
        Err(error) => failed(AwsError::new("sts:GetCallerIdentity", error)),
    }
}

async fn workgroup(tenant: &Tenant, state: &mut State) -> Found {
    state.output.clone_from(&tenant.session.s3_staging_dir);
    let name = tenant.session.workgroup.as_deref().unwrap_or(DEFAULT_WORKGROUP);
    let answer = match tenant.clients.athena.get_work_group().work_group(name).send().await {
        Ok(answer) => answer,
        Err(error) => return failed(AwsError::new("athena:GetWorkGroup", error)),
    };
    let Some(group) = answer.work_group() else { return Found::ok(format!("{name}, of which nothing is told")) };
    let configuration = group.configuration();
    let results = configuration.and_then(|configuration| configuration.result_configuration());
    let output = results.and_then(|results| results.output_location()).map(str::to_owned);
    let is_enforced = configuration.and_then(|c| c.enforce_work_group_configuration()).unwrap_or(false);
    state.is_managed = configuration
        .and_then(|configuration| configuration.managed_query_results_configuration())
        .is_some_and(|managed| managed.enabled());
    if group.state().is_some_and(|state| state.as_str() == "DISABLED") {
        return Found::failed(Diagnosis {
            what: format!("workgroup {name} is disabled"),
            advice: "enable it, or give another --workgroup".to_owned(),
        });
    }
    if state.is_managed {
        state.output = None;
        return Found::ok(format!("{name}, which keeps results itself (managed query results)"));
    }
    if (is_enforced || state.output.is_none()) && output.is_some() {
        let differs = is_enforced && state.output.is_some() && state.output != output;
        state.output = output;
        let place = state.output.as_deref().unwrap_or_default();
        if differs {
            return Found::warning(
                format!("{name} enforces its own output location {place}"),
                "--s3-staging-dir is passed over: leave it out, or use another workgroup",
            );
        }
        return Found::ok(format!("{name}, results go to {place}"));
    }
    match &state.output {
        Some(place) => Found::ok(format!("{name}, results go to {place}")),
        None => Found::failed(Diagnosis {
            what: format!("workgroup {name} has no output location, and none is given"),
            advice: "give --s3-staging-dir s3://bucket/prefix/, or the workgroup an output location".to_owned(),
        }),
    }
}

/// The catalog that names without one are looked up in.
fn catalog(session: &Session) -> &str {
    session.catalog.as_deref().unwrap_or(GLUE_CATALOG)
}

async fn schemas(tenant: &Tenant, state: &mut State) -> Found {
    tenant.forget_catalog();
    let catalog = catalog(&tenant.session);
    let databases = match tenant.catalog.databases(catalog).await {
        Ok(databases) => databases,
        Err(error) => return Found::failed(Diagnosis::of(&error)),
    };
    let wanted = tenant.session.database.as_deref();
    if databases.is_empty() {
        return Found::warning(format!("{catalog} has no databases that can be seen"), LAKE_FORMATION);
    }
    let found = wanted.and_then(|name| databases.iter().find(|database| database.name.eq_ignore_ascii_case(name)));
    state.database = found.or(databases.first()).map(|database| database.name.clone());
    match wanted {
        Some(name) if found.is_none() => Found::warning(
            format!("{} databases in {catalog}, and none of them is {name}", databases.len()),
            format!("correct --database; {LAKE_FORMATION}"),
        ),
        _ => Found::ok(format!("{} databases in {catalog}", databases.len())),
    }
}

async fn tables(tenant: &Tenant, state: &mut State) -> Found {
    let Some(database) = &state.database else {
        return Found::warning("there is no database to look into", LAKE_FORMATION);
    };
    let tables = match tenant.catalog.tables(catalog(&tenant.session), database).await {
        Ok(tables) => tables,
        Err(error) => return Found::failed(Diagnosis::of(&error)),
    };
    state.views = tables.iter().filter(|table| table.kind == TableKind::View).count();
    state.table = tables.iter().find(|table| table.kind != TableKind::View).map(|table| table.name.clone());
    state.has_tables = !tables.is_empty();
    if tables.is_empty() {
        return Found::warning(format!("database {database} has no tables that can be seen"), LAKE_FORMATION);
    }
    Found::ok(format!("{} tables and views in {database}", tables.len()))
}

fn views(state: &State) -> Found {
    match (state.has_tables, state.views) {
        (false, _) => Found::skipped("there are no tables to look among"),
        (true, views) => Found::ok(format!("{views} views")),
    }
}

async fn staging(tenant: &Tenant, state: &mut State) -> Found {
    if state.is_managed {
        return Found::skipped("the workgroup keeps results itself");
    }
    let Some(output) = &state.output else { return Found::skipped("no output location is known") };
    // Below a prefix of ours: should it stay, any gateway removes it.
    let prefix = prefix::new(output, sweep::now() + LIFE_SECONDS);
    let Some(to) = S3Uri::parse(&format!("{prefix}{OBJECT}")) else {
        return Found::failed(Diagnosis {
            what: format!("{output} is not s3://bucket/prefix/"),
            advice: "correct the output location".to_owned(),
        });
    };
    let s3 = &tenant.clients.s3;
    let put = s3.put_object().bucket(&to.bucket).key(&to.key).body(ByteStream::from_static(OBJECT.as_bytes()));
    if let Err(error) = put.send().await {
        return failed(AwsError::new("s3:PutObject", error));
    }
    let got = s3.get_object().bucket(&to.bucket).key(&to.key).send().await;
    let deleted = s3.delete_object().bucket(&to.bucket).key(&to.key).send().await;
    if let Err(error) = got {
        return failed(AwsError::new("s3:GetObject", error));
    }
    match deleted {
        Ok(_) => Found::ok(format!("{output} can be written and read")),
        Err(error) => {
            let diagnosis = Diagnosis::of(&AwsError::new("s3:DeleteObject", error));
            let text = format!("{output} can be written and read, not cleaned up: {}", diagnosis.what);
            Found::warning(text, format!("{}; without it files of UNLOADs and {to} stay", diagnosis.advice))
        }
    }
}

async fn run(tenant: &Tenant, sql: &str) -> Result<(String, i64), GatewayError> {
    let session = Session { result_path: crate::results::path::ResultPath::Direct, ..tenant.session.clone() };
    let finished = tenant.run(Request { session: &session, sql, rows: &[], phase: None, connection: 0 }).await?;
    for handle in finished.endpoints.iter().flatten() {
        let mut batches = tenant.rows(handle).await?.batches;
        while batches.try_next().await?.is_some() {}
    }
    Ok((finished.outcome.id.as_str().to_owned(), finished.outcome.total_ms))
}

async fn query(tenant: &Tenant) -> Found {
    match run(tenant, "SELECT 1").await {
        Ok((id, total_ms)) => Found::ok(format!("query {id} took Athena {total_ms} ms")),
        Err(error) => Found::failed(Diagnosis::of_gateway(&error)),
    }
}

async fn lake_formation(tenant: &Tenant, state: &mut State) -> Found {
    let (Some(database), Some(table)) = (&state.database, &state.table) else {
        return Found::skipped("there is no table to look at");
    };
    if !crate::catalog::is_glue(catalog(&tenant.session)) {
        return Found::skipped("the catalog is not Glue's");
    }
    let get = tenant.clients.glue.get_table().set_catalog_id(tenant.clients.catalog_id.clone());
    let answer = match get.database_name(database).name(table).send().await {
        Ok(answer) => answer,
        Err(error) => return failed(AwsError::new("glue:GetTable", error)),
    };
    if !answer.table().is_some_and(|table| table.is_registered_with_lake_formation()) {
        return Found::ok(format!("{database}.{table} is not governed by Lake Formation"));
    }
    let quoted = |name: &str| name.replace('"', "\"\"");
    match run(tenant, &format!("SELECT * FROM \"{}\".\"{}\" LIMIT 1", quoted(database), quoted(table))).await {
        Ok(_) => Found::ok(format!("{database}.{table} is governed by Lake Formation, and can be read")),
        Err(error) => Found::failed(Diagnosis::of_gateway(&error)),
    }
}
