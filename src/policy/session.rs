//! The session policy of a rule with `catalogs` or `schemas`: what the session of its role may do, of all that the role may.
//!
//! A session policy allows nothing by itself, the role's own policies have to allow it too. So all but Glue is left to them,
//! and of Glue only what a query has to read of the databases that the rule names:
//!
//! | of Glue | on | why |
//! | --- | --- | --- |
//! | `Get*`, `BatchGet*` | the catalog, and the databases of the rule with their tables | planning queries, listing tables |
//! | `GetDatabases` | the catalog, all databases | a list is allowed on all or not at all; names and comments, no tables |
//! | `GetDatabase` | the database `default` | Athena asks for it whatever a statement is about |
//!
//! Athena looks tables up with the session's permissions, so it finds no others, whatever the statement says and whichever way
//! it came. Lambda functions, by which Athena reads federated catalogs, are left out unless the rule names another catalog than
//! Glue's: which function is whose is not to be seen from here.

use serde_json::json;

use crate::catalog::is_glue;

/// Characters that STS takes, at most.
pub const MAX_LENGTH: usize = 2048;

/// The document; `None` where neither catalogs nor databases are named. Without catalogs it is Glue's, without databases it
/// is all of them.
pub fn document(partition: &str, catalogs: &[String], schemas: &[String]) -> Option<String> {
    if catalogs.is_empty() && schemas.is_empty() {
        return None;
    }
    let lower = |names: &[String]| names.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>();
    let schemas = if schemas.is_empty() { vec!["*".to_owned()] } else { lower(schemas) };
    let others: Vec<String> = lower(catalogs).into_iter().filter(|name| !is_glue(name)).collect();
    let arn = |what: &str| format!("arn:{partition}:glue:*:*:{what}");
    let mut resources = vec![arn("catalog")];
    // Those in front of databases and tables: Glue has catalogs in its catalog, with a slash in their names.
    let mut paths: Vec<String> = Vec::new();
    if others.len() < catalogs.len() || others.iter().any(|name| !name.contains('/')) || catalogs.is_empty() {
        paths.push(String::new());
    }
    for name in others.iter().filter(|name| name.contains('/') || *name == "*") {
        let parent = name.split('/').next().unwrap_or(name);
        resources.extend([arn(&format!("catalog/{parent}")), arn(&format!("catalog/{name}"))]);
        paths.push(format!("{name}/"));
    }
    for path in paths {
        for schema in &schemas {
            resources.extend([arn(&format!("database/{path}{schema}")), arn(&format!("table/{path}{schema}/*"))]);
        }
    }
    resources.dedup();
    let mut left = vec!["glue:*"];
    if others.is_empty() {
        left.push("lambda:*");
    }
    let document = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "NotAction": left, "Resource": "*" },
        { "Effect": "Allow", "Action": ["glue:Get*", "glue:BatchGet*"], "Resource": resources },
        { "Effect": "Allow", "Action": "glue:GetDatabases", "Resource": [arn("catalog"), arn("database/*")] },
        { "Effect": "Allow", "Action": "glue:GetDatabase", "Resource": [arn("catalog"), arn("database/default")] },
    ] });
    Some(document.to_string())
}

/// What is wrong with a document, if anything is.
pub fn fault(document: &str) -> Option<String> {
    let length = document.chars().count();
    (length > MAX_LENGTH).then(|| {
        format!(
            "the session policy of its role would have {length} characters, and STS takes at most {MAX_LENGTH}: name fewer \
             catalogs and schemas, or beginnings of names with a *"
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::emulator::iam::{Decision, Policy};

    fn text(catalogs: &[&str], schemas: &[&str]) -> String {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        document("aws", &owned(catalogs), &owned(schemas)).expect("something is named")
    }

    #[test]
    fn databases_are_those_of_the_rule() {
        let glue = "arn:aws:glue:eu-central-1:111122223333:";
        for (catalogs, schemas, action, resource, allowed) in [
            (&[][..], &["Sales", "mart_*"][..], "glue:GetTable", "table/sales/t", true),
            (&[], &["sales", "mart_*"], "glue:GetTables", "table/sales/*", true),
            (&[], &["sales", "mart_*"], "glue:GetPartitions", "table/mart_x/t", true),
            (&[], &["sales", "mart_*"], "glue:GetDatabase", "database/mart_x", true),
            (&[], &["sales", "mart_*"], "glue:GetDatabase", "database/default", true),
            (&[], &["sales", "mart_*"], "glue:GetDatabases", "database/*", true),
            (&[], &["sales", "mart_*"], "glue:GetTable", "catalog", true),
            (&[], &["sales", "mart_*"], "glue:GetTable", "table/sales2/t", false),
            (&[], &["sales", "mart_*"], "glue:GetTable", "table/default/t", false),
            (&[], &["sales", "mart_*"], "glue:GetDatabase", "database/other", false),
            (&[], &["sales", "mart_*"], "glue:UpdateTable", "table/sales/t", false),
            (&["AwsDataCatalog"], &[], "glue:GetTable", "table/any/t", true),
            (&["s3tablescatalog/b"], &["n"], "glue:GetTable", "table/s3tablescatalog/b/n/t", true),
            (&["s3tablescatalog/b"], &["n"], "glue:GetCatalog", "catalog/s3tablescatalog/b", true),
            (&["s3tablescatalog/b"], &["n"], "glue:GetTable", "table/n/t", false),
            (&["s3tablescatalog/b"], &["n"], "glue:GetTable", "table/s3tablescatalog/other/n/t", false),
            (&["awsdatacatalog", "s3tablescatalog/*"], &["n"], "glue:GetTable", "table/n/t", true),
            (&["*"], &["n"], "glue:GetTable", "table/s3tablescatalog/b/n/t", true),
            (&["*"], &["n"], "glue:GetTable", "table/n/t", true),
        ] {
            let policy: Policy = serde_json::from_str(&text(catalogs, schemas)).expect("a policy");
            let found = policy.decide(action, &format!("{glue}{resource}")) == Decision::Allowed;
            assert_eq!(found, allowed, "{catalogs:?} {schemas:?}: {action} on {resource}");
        }
    }

    #[test]
    fn all_but_glue_is_left_to_the_role_and_lambda_to_rules_that_name_it() {
        let allows = |catalogs: &[&str], action: &str| {
            let policy: Policy = serde_json::from_str(&text(catalogs, &["sales"])).expect("a policy");
            policy.decide(action, "arn:aws:x") == Decision::Allowed
        };
        for action in ["athena:StartQueryExecution", "s3:GetObject", "kms:Decrypt", "lakeformation:GetDataAccess"] {
            assert!(allows(&[], action), "{action}");
        }
        assert!(!allows(&[], "lambda:InvokeFunction"));
        assert!(allows(&["awsdatacatalog", "orders"], "lambda:InvokeFunction"));
    }

    #[test]
    fn a_document_that_sts_would_not_take_is_a_fault() {
        assert_eq!(document("aws", &[], &[]), None);
        let many: Vec<String> = (0..20).map(|n| format!("database_{n}")).collect();
        let names: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(fault(&text(&[], &names)), None);
        let more: Vec<&str> = names.iter().chain(&names).copied().collect();
        assert!(fault(&text(&[], &more)).is_some_and(|why| why.contains("at most 2048")));
        assert!(serde_json::from_str::<Value>(&text(&[], &more)).is_ok());
    }
}
