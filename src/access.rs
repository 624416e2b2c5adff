//! Rules: what a principal, or a group, works as and may do. The first rule that fits is the one that counts.

use serde::Deserialize;

use crate::aws::options::{RoleOptions, SESSION_NAME, is_role_name};
use crate::policy::session as session_policy;
use crate::signin::Principal;

/// The rules in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

/// One `[[rules]]` of the config file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Rule {
    /// A principal's name, or `*` for everyone.
    pub principal: Option<String>,
    /// A group that the principal is in.
    pub group: Option<String>,
    /// Whether those it is about are refused.
    pub deny: bool,
    /// A role that is assumed for them, with their name as its source identity.
    pub role_arn: Option<String>,
    /// Whether the role is told who it is for; CloudTrail then names the person.
    pub source_identity: Option<bool>,
    /// The only workgroup they may use.
    pub workgroup: Option<String>,
    pub catalog: Option<String>,
    pub database: Option<String>,
    pub s3_staging_dir: Option<String>,
    /// The only catalogs and databases that they see; with them, only queries are run.
    pub catalogs: Vec<String>,
    pub schemas: Vec<String>,
    pub read_only: bool,
    /// Most bytes that one of their statements may read.
    pub scan_limit_bytes: Option<u64>,
    /// Statements of one of them that run at once.
    pub concurrency: Option<usize>,
}

/// Stands for every principal.
const EVERYONE: &str = "*";

impl Rules {
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// The rule that counts for a principal, and its place.
    pub fn of(&self, principal: &Principal) -> Option<(usize, &Rule)> {
        self.0.iter().enumerate().find(|(_, rule)| rule.is_about(principal))
    }
}

impl Rule {
    fn is_about(&self, principal: &Principal) -> bool {
        let by_name = self.principal.as_deref().is_some_and(|name| name == EVERYONE || name == principal.name);
        by_name || self.group.as_ref().is_some_and(|group| principal.groups.contains(group))
    }

    /// The role to assume for a principal, if there is one.
    pub fn role(&self, principal: &Principal) -> Option<RoleOptions> {
        let arn = self.role_arn.clone()?;
        let name = role_name(&principal.name);
        let tells = self.source_identity.unwrap_or(true);
        Some(RoleOptions {
            arn,
            session_name: if tells { name.clone() } else { SESSION_NAME.to_owned() },
            source_identity: tells.then_some(name),
            external_id: None,
            duration: None,
            session_policy: self.session_policy(),
        })
    }

    /// What the role's session is bound to where the rule names catalogs or schemas: Athena itself then finds no other
    /// tables for it.
    pub fn session_policy(&self) -> Option<String> {
        let partition = self.role_arn.as_deref()?.split(':').nth(1).unwrap_or("aws");
        session_policy::document(partition, &self.catalogs, &self.schemas)
    }
}

/// A principal's name as STS takes names: 2 to 64 characters of its own alphabet. What had to be changed is followed by a
/// check of the whole name, so that two people never share one.
fn role_name(name: &str) -> String {
    use sha2::Digest as _;
    const LONGEST: usize = 64;
    if is_role_name(name) {
        return name.to_owned();
    }
    let digest = sha2::Sha256::digest(name.as_bytes());
    let check: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_=,.@-".contains(c) { c } else { '-' };
    let start: String = name.chars().map(plain).take(LONGEST - check.len() - 1).collect();
    format!("{start}-{check}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(name: &str, groups: &[&str]) -> Principal {
        Principal::new(name, groups.iter().map(|group| (*group).to_owned()).collect())
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rule = |principal: Option<&str>, group: Option<&str>| Rule {
            principal: principal.map(str::to_owned),
            group: group.map(str::to_owned),
            role_arn: group.map(|_| "arn:aws:iam::111122223333:role/analyst".to_owned()),
            ..Rule::default()
        };
        let rules = Rules::new(vec![rule(Some("ann"), None), rule(None, Some("analysts")), rule(Some("*"), None)]);
        let place = |name, groups: &[&str]| rules.of(&principal(name, groups)).map(|(at, _)| at);
        assert_eq!(place("ann", &["analysts"]), Some(0));
        assert_eq!(place("bob", &["x", "analysts"]), Some(1));
        assert_eq!(place("bob", &[]), Some(2));
        let bob = principal("bob", &["analysts"]);
        let role = rules.of(&bob).and_then(|(_, rule)| rule.role(&bob)).expect("a role");
        assert_eq!((role.session_name.as_str(), role.source_identity.as_deref()), ("bob", Some("bob")));
    }

    #[test]
    fn names_that_sts_would_not_take_are_changed_and_stay_apart() {
        assert_eq!(role_name("ann@example.com"), "ann@example.com");
        let (one, other) = (role_name("CN=Ann Ö/Ops"), role_name("CN=Ann Ü/Ops"));
        assert!(one.starts_with("CN=Ann---Ops-") && one != other, "{one} {other}");
        assert!(is_role_name(&role_name(&"x".repeat(300))));
        assert!(is_role_name(&role_name("a")));
    }
}
