//! `[[rules]]` of the config file.

use super::options::nearest;
use crate::access::{Rule, Rules};
use crate::aws::options::role_fault;
use crate::policy::session;

pub const KEYS: [&str; 14] = [
    "principal",
    "group",
    "deny",
    "role-arn",
    "source-identity",
    "workgroup",
    "catalog",
    "database",
    "s3-staging-dir",
    "catalogs",
    "schemas",
    "read-only",
    "scan-limit-bytes",
    "concurrency",
];

/// Reads rules, and says everything that is wrong with them.
pub fn read(tables: &[toml::Table]) -> (Rules, Vec<String>) {
    let (mut rules, mut faults) = (Vec::new(), Vec::new());
    for (at, table) in tables.iter().enumerate() {
        let mut fault = |why: String| faults.push(format!("rule {}: {why}", at + 1));
        for key in table.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            let hint = nearest(key, KEYS.into_iter()).map_or(String::new(), |name| format!(": did you mean {name}?"));
            fault(format!("there is no key {key:?}{hint}"));
        }
        let rule: Rule = match toml::Value::Table(table.clone()).try_into() {
            Ok(rule) => rule,
            Err(error) => {
                fault(error.message().to_owned());
                continue;
            }
        };
        if rule.principal.is_some() == rule.group.is_some() {
            fault("it needs one of principal and group".to_owned());
        }
        if let Some(why) = rule.role_arn.as_deref().and_then(role_fault) {
            fault(format!("role-arn {why}"));
        }
        if rule.source_identity.is_some() && rule.role_arn.is_none() {
            fault("source-identity needs role-arn".to_owned());
        }
        if let Some(why) = rule.session_policy().as_deref().and_then(session::fault) {
            fault(why);
        }
        for name in rule.catalogs.iter().chain(&rule.schemas) {
            let beginning = name.strip_suffix('*').unwrap_or(name);
            if name.is_empty() || beginning.contains(['*', '?']) || beginning.contains("${") {
                fault(format!("{name:?} is neither a name nor the beginning of one with a * behind it"));
            }
        }
        if rule.concurrency == Some(0) {
            fault("concurrency 0 would refuse every statement: deny = true says so".to_owned());
        }
        rules.push(rule);
    }
    (Rules::new(rules), faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let table: toml::Table = toml::from_str(text).expect("TOML");
        let rules =
            table["rules"].as_array().expect("rules").iter().map(|rule| rule.as_table().expect("a table").clone());
        read(&rules.collect::<Vec<_>>()).1
    }

    #[test]
    fn sound_rules_have_no_faults() {
        let text = "[[rules]]\nprincipal = \"ann\"\nread-only = true\nscan-limit-bytes = 1000\n[[rules]]\ngroup = \"g\"\n\
                    role-arn = \"arn:aws:iam::111122223333:role/analyst\"\nsource-identity = false\nworkgroup = \"w\"\n";
        assert_eq!(faults(text), Vec::<String>::new());
    }

    #[test]
    fn a_session_policy_that_sts_would_not_take_is_a_fault() {
        let names: Vec<String> = (0..40).map(|n| format!("\"database_{n}\"")).collect();
        let rule = format!("[[rules]]\ngroup = \"g\"\nschemas = [{}]\n", names.join(", "));
        assert_eq!(faults(&rule), Vec::<String>::new());
        let with_role = format!("{rule}role-arn = \"arn:aws:iam::111122223333:role/analyst\"\n");
        assert!(faults(&with_role).join("").contains("rule 1: the session policy of its role would have"));
    }

    #[test]
    fn faults_are_all_named() {
        let faults = faults(
            "[[rules]]\nprincipals = \"ann\"\n[[rules]]\nprincipal = \"a\"\ngroup = \"b\"\nrole-arn = \"admin\"\n\
             [[rules]]\ngroup = \"x\"\nconcurrency = 0\nsource-identity = true\n[[rules]]\ngroup = 1\n\
             [[rules]]\ngroup = \"y\"\nschemas = [\"a*b\"]\n",
        );
        let said = faults.join("\n");
        for part in [
            "rule 1: there is no key \"principals\": did you mean principal?",
            "rule 1: it needs one of",
            "rule 2: it needs one of",
            "rule 2: role-arn",
            "rule 3: concurrency 0",
            "rule 3: source-identity needs",
            "rule 4: ",
            "rule 5: \"a*b\" is neither",
        ] {
            assert!(said.contains(part), "{part}\n{said}");
        }
    }
}
