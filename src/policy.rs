//! The least that AWS has to allow: an IAM policy for the features in use, what each of its actions is for, the trust policy of
//! a role to assume, and the lifecycle rule of the bucket of results.
//!
//! [`NEEDS`] is the one table; a test holds every feature against the policy, and against the policy without each action.

pub mod session;

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    Metadata,
    Query,
    Unload,
    Ddl,
    Ingest,
    Usage,
    Tags,
    Kms,
    Federated,
    Roles,
}

impl Feature {
    pub const ALL: [Self; 10] = [
        Self::Metadata,
        Self::Query,
        Self::Unload,
        Self::Ddl,
        Self::Ingest,
        Self::Usage,
        Self::Tags,
        Self::Kms,
        Self::Federated,
        Self::Roles,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Query => "query",
            Self::Unload => "unload",
            Self::Ddl => "ddl",
            Self::Ingest => "ingest",
            Self::Usage => "usage",
            Self::Tags => "tags",
            Self::Kms => "kms",
            Self::Federated => "federated",
            Self::Roles => "roles",
        }
    }

    pub fn what(self) -> &'static str {
        match self {
            Self::Metadata => "catalogs, databases, tables, columns",
            Self::Query => "SELECT, SHOW, DESCRIBE, EXPLAIN",
            Self::Unload => "large results as Parquet, and their removal",
            Self::Ddl => "CREATE, ALTER, DROP, INSERT, CREATE TABLE AS",
            Self::Ingest => "bulk ingest of Arrow streams",
            Self::Usage => "history of queries",
            Self::Tags => "Lake Formation tags",
            Self::Kms => "data or results encrypted with keys of KMS",
            Self::Federated => "catalogs behind Lambda functions",
            Self::Roles => "roles that the gateway assumes",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Feature {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|feature| feature.name() == text);
        found.ok_or_else(|| format!("{text:?} is none of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// What actions are allowed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Actions that know no resources.
    Everything,
    Workgroups,
    DataCatalogs,
    /// Glue's catalog, databases and tables.
    Glue,
    /// Buckets and objects that tables are made of.
    DataBuckets,
    DataObjects,
    OutputBucket,
    OutputObjects,
    /// Below the output location, what the gateway itself wrote.
    OwnObjects,
    /// Below the output location, the files of tables that Athena made.
    TableObjects,
    Keys,
    Functions,
    Roles,
}

/// Actions that go together.
pub struct Need {
    pub sid: &'static str,
    pub features: &'static [Feature],
    pub on: On,
    /// Each with what makes it necessary.
    pub actions: &'static [(&'static str, &'static str)],
}

use Feature::{Ddl, Federated, Ingest, Kms, Metadata, Query, Roles, Tags, Unload, Usage};

pub const NEEDS: &[Need] = &[
    Need {
        sid: "ListCatalogs",
        features: &[Metadata],
        on: On::Everything,
        actions: &[("athena:ListDataCatalogs", "GetCatalogs, and every listing over all catalogs")],
    },
    Need {
        sid: "OtherCatalogs",
        features: &[Metadata],
        on: On::DataCatalogs,
        actions: &[
            ("athena:GetDataCatalog", "which kind of catalog one is"),
            ("athena:ListDatabases", "databases of catalogs other than Glue's"),
            ("athena:ListTableMetadata", "tables of catalogs other than Glue's"),
        ],
    },
    Need {
        sid: "ReadCatalog",
        features: &[Metadata],
        on: On::Glue,
        actions: &[
            ("glue:GetDatabases", "databases of Glue's catalog"),
            ("glue:GetTables", "tables and columns of Glue's catalog"),
        ],
    },
    Need {
        sid: "RunStatements",
        features: &[Query],
        on: On::Workgroups,
        actions: &[
            ("athena:StartQueryExecution", "every statement"),
            ("athena:GetQueryExecution", "waiting for a statement"),
            ("athena:BatchGetQueryExecution", "waiting for several at once; without it they are asked for one by one"),
            ("athena:GetQueryResults", "columns and small results"),
            ("athena:StopQueryExecution", "a caller who goes away, a timeout, a scan limit"),
            ("athena:GetWorkGroup", "the connection check, and where ingest stages rows"),
        ],
    },
    Need {
        sid: "PlanQueries",
        features: &[Query],
        on: On::Glue,
        actions: &[
            ("glue:GetDatabase", "Athena, planning a query"),
            ("glue:GetDatabases", "Athena, for SHOW DATABASES"),
            ("glue:GetTable", "Athena, planning a query"),
            ("glue:GetTables", "Athena, for SHOW TABLES"),
            ("glue:GetPartition", "Athena, planning a query of a partitioned table"),
            ("glue:GetPartitions", "Athena, planning a query of a partitioned table"),
            ("glue:BatchGetPartition", "Athena, planning a query of a partitioned table"),
        ],
    },
    Need {
        sid: "FindData",
        features: &[Query],
        on: On::DataBuckets,
        actions: &[
            ("s3:GetBucketLocation", "Athena, in which region data is"),
            ("s3:ListBucket", "Athena, which objects a table is made of"),
        ],
    },
    Need {
        sid: "ReadData",
        features: &[Query],
        on: On::DataObjects,
        actions: &[("s3:GetObject", "Athena, reading data")],
    },
    Need {
        sid: "FindResults",
        features: &[Query],
        on: On::OutputBucket,
        actions: &[
            ("s3:GetBucketLocation", "Athena, before it writes results"),
            ("s3:ListBucket", "which files an UNLOAD left, and whether a result object is there"),
            ("s3:ListBucketMultipartUploads", "Athena, writing large results"),
        ],
    },
    Need {
        sid: "Results",
        features: &[Query],
        on: On::OutputObjects,
        actions: &[
            ("s3:GetObject", "reading results"),
            ("s3:PutObject", "Athena, writing results"),
            ("s3:AbortMultipartUpload", "Athena, when a large result breaks off"),
            ("s3:ListMultipartUploadParts", "Athena, writing large results"),
        ],
    },
    Need {
        sid: "LakeFormationData",
        features: &[Query],
        on: On::Everything,
        actions: &[("lakeformation:GetDataAccess", "data that Lake Formation governs")],
    },
    Need {
        sid: "RemoveOwnFiles",
        features: &[Unload, Ingest],
        on: On::OwnObjects,
        actions: &[("s3:DeleteObject", "removing the files of UNLOADs and staged rows when their time is over")],
    },
    Need {
        sid: "ChangeCatalog",
        features: &[Ddl],
        on: On::Glue,
        actions: &[
            ("glue:CreateDatabase", "CREATE DATABASE"),
            ("glue:UpdateDatabase", "ALTER DATABASE"),
            ("glue:DeleteDatabase", "DROP DATABASE"),
            ("glue:UpdateTable", "ALTER TABLE, CREATE OR REPLACE VIEW"),
            ("glue:BatchDeleteTable", "DROP DATABASE CASCADE"),
            ("glue:CreatePartition", "ALTER TABLE ADD PARTITION"),
            ("glue:UpdatePartition", "ALTER TABLE PARTITION"),
            ("glue:DeletePartition", "ALTER TABLE DROP PARTITION"),
            ("glue:BatchDeletePartition", "ALTER TABLE DROP PARTITION"),
        ],
    },
    Need {
        sid: "MakeTables",
        features: &[Ddl, Ingest],
        on: On::Glue,
        actions: &[
            ("glue:CreateTable", "CREATE TABLE, CREATE TABLE AS, CREATE VIEW, and the table over staged rows"),
            ("glue:DeleteTable", "DROP TABLE, DROP VIEW, and the end of the table over staged rows"),
            ("glue:BatchCreatePartition", "INSERT into new partitions, MSCK REPAIR TABLE"),
        ],
    },
    Need {
        sid: "ReplaceTables",
        features: &[Ingest],
        on: On::Glue,
        actions: &[
            ("glue:UpdateTable", "replace: a table gets new columns and files in one step"),
            ("glue:BatchDeletePartition", "replace: the partitions that the table had"),
        ],
    },
    Need {
        sid: "RemoveOwnTables",
        features: &[Ingest],
        on: On::TableObjects,
        actions: &[("s3:DeleteObject", "replace: the files of a table that did not get into its place")],
    },
    Need {
        sid: "WriteData",
        features: &[Ddl, Ingest],
        on: On::DataObjects,
        actions: &[("s3:PutObject", "Athena, INSERT and CREATE TABLE AS")],
    },
    Need {
        sid: "History",
        features: &[Usage],
        on: On::Workgroups,
        actions: &[
            ("athena:ListQueryExecutions", "which queries there were"),
            ("athena:BatchGetQueryExecution", "what they were"),
        ],
    },
    Need {
        sid: "Workgroups",
        features: &[Usage],
        on: On::Everything,
        actions: &[("athena:ListWorkGroups", "which workgroups there are")],
    },
    Need {
        sid: "ReadTags",
        features: &[Tags],
        on: On::Everything,
        actions: &[("lakeformation:GetResourceLFTags", "tags of databases, tables and columns")],
    },
    Need {
        sid: "UseKeys",
        features: &[Kms],
        on: On::Keys,
        actions: &[("kms:Decrypt", "reading what is encrypted"), ("kms:GenerateDataKey", "writing encrypted results")],
    },
    Need {
        sid: "CallFunctions",
        features: &[Federated],
        on: On::Functions,
        actions: &[("lambda:InvokeFunction", "Athena, asking a federated catalog")],
    },
    Need {
        sid: "AssumeRoles",
        features: &[Roles],
        on: On::Roles,
        actions: &[
            ("sts:AssumeRole", "--role-arn, and role-arn of rules"),
            ("sts:SetSourceIdentity", "--role-source-identity, and the names of those whom rules give a role"),
        ],
    },
];

/// Where features are used. What is left open is everything: `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// `aws`, `aws-cn`, `aws-us-gov`
    pub partition: String,
    pub region: String,
    pub account: String,
    pub workgroups: Vec<String>,
    pub databases: Vec<String>,
    /// `s3://bucket/prefix/`
    pub data: Vec<String>,
    pub output: Option<String>,
    pub keys: Vec<String>,
    pub functions: Vec<String>,
    pub roles: Vec<String>,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            partition: "aws".to_owned(),
            region: "*".to_owned(),
            account: "*".to_owned(),
            workgroups: Vec::new(),
            databases: Vec::new(),
            data: Vec::new(),
            output: None,
            keys: Vec::new(),
            functions: Vec::new(),
            roles: Vec::new(),
        }
    }
}

/// Prefix below the output location of what the gateway itself writes.
const OWN: &str = crate::results::unload::prefix::FOLDER;
/// The same of what Athena writes for a CREATE TABLE AS.
const TABLES: &str = "tables/";

impl Scope {
    fn resources(&self, on: On) -> Vec<String> {
        let Self { partition, region, account, .. } = self;
        let or_all = |names: &[String]| if names.is_empty() { vec!["*".to_owned()] } else { names.to_vec() };
        let of = |service: &str, what: &str| format!("arn:{partition}:{service}:{region}:{account}:{what}");
        let output = self.output.clone().map_or_else(|| vec!["*".to_owned()], |output| vec![output]);
        match on {
            On::Everything => vec!["*".to_owned()],
            On::Workgroups => {
                or_all(&self.workgroups).iter().map(|name| of("athena", &format!("workgroup/{name}"))).collect()
            }
            On::DataCatalogs => vec![of("athena", "datacatalog/*")],
            On::Glue => {
                let mut resources = vec![of("glue", "catalog")];
                for name in or_all(&self.databases) {
                    resources.push(of("glue", &format!("database/{name}")));
                    resources.push(of("glue", &format!("table/{name}/*")));
                }
                resources
            }
            On::DataBuckets => self.buckets(&or_all(&self.data)),
            On::DataObjects => self.objects(&or_all(&self.data), ""),
            On::OutputBucket => self.buckets(&output),
            On::OutputObjects => self.objects(&output, ""),
            On::OwnObjects => self.objects(&output, OWN),
            On::TableObjects => self.objects(&output, TABLES),
            On::Keys => or_all(&self.keys),
            On::Functions => or_all(&self.functions),
            On::Roles => or_all(&self.roles),
        }
    }

    fn buckets(&self, locations: &[String]) -> Vec<String> {
        let mut buckets: Vec<String> = locations
            .iter()
            .map(|location| {
                let bucket = location.trim_start_matches("s3://").split('/').next().unwrap_or("*");
                format!("arn:{}:s3:::{bucket}", self.partition)
            })
            .collect();
        buckets.dedup();
        buckets
    }

    /// Everything below some locations, or below a folder of ours in them.
    fn objects(&self, locations: &[String], folder: &str) -> Vec<String> {
        let below = |location: &String| {
            let path = location.trim_start_matches("s3://").trim_end_matches('/');
            match path {
                "*" if folder.is_empty() => format!("arn:{}:s3:::*", self.partition),
                path => format!("arn:{}:s3:::{path}/{folder}*", self.partition),
            }
        };
        locations.iter().map(below).collect()
    }
}

fn needed(features: &[Feature]) -> impl Iterator<Item = &'static Need> {
    NEEDS.iter().filter(|need| need.features.iter().any(|feature| features.contains(feature)))
}

/// The policy, ready to paste.
pub fn document(features: &[Feature], scope: &Scope) -> Value {
    let statements = needed(features).map(|need| {
        let actions: Vec<&str> = need.actions.iter().map(|(action, _)| *action).collect();
        json!({ "Sid": need.sid, "Effect": "Allow", "Action": actions, "Resource": scope.resources(need.on) })
    });
    json!({ "Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>() })
}

/// What each action of the policy is for: statement, action, reason.
pub fn explain(features: &[Feature]) -> Vec<(&'static str, &'static str, &'static str)> {
    needed(features).flat_map(|need| need.actions.iter().map(|(action, why)| (need.sid, *action, *why))).collect()
}

/// Who may assume a role, and with which external id.
pub fn trust(principals: &[String], external_id: Option<&str>) -> Value {
    let mut statement = json!({
        "Sid": "AthenaFlight",
        "Effect": "Allow",
        "Principal": { "AWS": principals },
        "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
    });
    if let Some(id) = external_id {
        statement["Condition"] = json!({ "StringEquals": { "sts:ExternalId": id } });
    }
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

/// The rule that removes results after some days, for `aws s3api put-bucket-lifecycle-configuration`.
pub fn lifecycle(output: &str, days: u32) -> Value {
    let prefix = output.trim_start_matches("s3://").split_once('/').map_or("", |(_, prefix)| prefix);
    json!({ "Rules": [{
        "ID": "athena-flight-results",
        "Status": "Enabled",
        "Filter": { "Prefix": prefix },
        "Expiration": { "Days": days },
        "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": 1 },
    }] })
}
