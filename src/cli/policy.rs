//! `athena-flight policy`: what AWS has to allow, ready to paste.

use std::io::Write as _;

use anyhow::Context as _;
use comfy_table::{Table, presets};

use crate::policy::{self, Feature, Scope, session};

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("what").args(["explain", "trust", "lifecycle_days", "session_policy"])))]
pub struct Args {
    /// Features in use: metadata, query, unload, ddl, ingest, usage, tags, kms, federated, roles
    #[arg(long, value_name = "FEATURE,…", value_delimiter = ',', default_value = "metadata,query,unload")]
    features: Vec<Feature>,
    /// AWS partition: aws, aws-cn, aws-us-gov
    #[arg(long, default_value = "aws")]
    partition: String,
    /// Region of Athena and Glue
    #[arg(long, default_value = "*", env = "ATHENA_FLIGHT_REGION")]
    region: String,
    /// Account id
    #[arg(long, default_value = "*")]
    account: String,
    /// Workgroups [default: all]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    workgroup: Vec<String>,
    /// Databases [default: all]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    database: Vec<String>,
    /// Data catalogs, for --session-policy [default: AwsDataCatalog]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', requires = "session_policy")]
    catalog: Vec<String>,
    /// Where data is, s3://bucket/prefix/ [default: everywhere]
    #[arg(long, value_name = "S3_URI,…", value_delimiter = ',')]
    data: Vec<String>,
    /// Where results go, s3://bucket/prefix/ [default: everywhere]
    #[arg(long, value_name = "S3_URI", env = "ATHENA_FLIGHT_S3_STAGING_DIR")]
    output: Option<String>,
    /// ARNs of KMS keys, for the feature kms
    #[arg(long, value_name = "ARN,…", value_delimiter = ',')]
    kms_key: Vec<String>,
    /// ARNs of Lambda functions, for the feature federated
    #[arg(long, value_name = "ARN,…", value_delimiter = ',')]
    function: Vec<String>,
    /// ARNs of roles, for the feature roles
    #[arg(long, value_name = "ARN,…", value_delimiter = ',')]
    role: Vec<String>,
    /// Print what each action is for, instead of the policy
    #[arg(long)]
    explain: bool,
    /// Print the trust policy of a role that these principals (ARNs) may assume, instead of the policy
    #[arg(long, value_name = "ARN,…", value_delimiter = ',')]
    trust: Vec<String>,
    /// External id that the trust policy asks for
    #[arg(long, value_name = "TEXT", requires = "trust")]
    external_id: Option<String>,
    /// Print the session policy that a rule with these catalogs and databases (schemas) gives its role, instead of the policy
    #[arg(long)]
    session_policy: bool,
    /// Print the lifecycle rule that removes results after so many days, instead of the policy
    #[arg(long, value_name = "DAYS", requires = "output")]
    lifecycle_days: Option<u32>,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    let text = if !args.trust.is_empty() {
        format!("{:#}\n", policy::trust(&args.trust, args.external_id.as_deref()))
    } else if let (Some(days), Some(output)) = (args.lifecycle_days, &args.output) {
        format!("{:#}\n", policy::lifecycle(output, days))
    } else if args.session_policy {
        session_policy(&args)?
    } else if args.explain {
        explained(&args.features)
    } else {
        format!("{:#}\n", policy::document(&args.features, &scope(&args)))
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// As it is sent to STS, which counts its characters.
fn session_policy(args: &Args) -> anyhow::Result<String> {
    let document = session::document(&args.partition, &args.catalog, &args.database);
    let document = document.context("a rule without catalogs and schemas has none: give --database or --catalog")?;
    match session::fault(&document) {
        Some(why) => anyhow::bail!(why),
        None => Ok(format!("{document}\n")),
    }
}

fn scope(args: &Args) -> Scope {
    Scope {
        partition: args.partition.clone(),
        region: args.region.clone(),
        account: args.account.clone(),
        workgroups: args.workgroup.clone(),
        databases: args.database.clone(),
        data: args.data.clone(),
        output: args.output.clone(),
        keys: args.kms_key.clone(),
        functions: args.function.clone(),
        roles: args.role.clone(),
    }
}

fn explained(features: &[Feature]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(["statement", "action", "for"]);
    for (sid, action, why) in policy::explain(features) {
        table.add_row([sid, action, why]);
    }
    format!("{table}\n")
}
