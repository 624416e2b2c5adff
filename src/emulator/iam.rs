//! Who may do what: IAM policy documents, and callers they bind.
//!
//! Actions and resources are matched with `*` and `?`, an explicit deny wins, and what nothing allows is denied. A
//! document with a Condition is refused when it is read: passing one over would allow more than it says. What a session of
//! an assumed role may do, both the role's policy and the session's own have to allow.

use std::sync::Arc;

use serde::Deserialize;

use super::model::{ACCOUNT, Failure};

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    #[serde(rename = "Version")]
    _version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<Statement>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    action: Option<OneOrMany<String>>,
    not_action: Option<OneOrMany<String>>,
    resource: Option<OneOrMany<String>>,
    not_resource: Option<OneOrMany<String>>,
}

/// A policy document.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Document")]
pub struct Policy {
    statements: Vec<Statement>,
}

impl TryFrom<Document> for Policy {
    type Error = String;

    fn try_from(document: Document) -> Result<Self, String> {
        let statements = document.statement.as_slice().to_vec();
        for statement in &statements {
            if statement.action.is_some() == statement.not_action.is_some() {
                return Err("a statement needs one of Action and NotAction".to_owned());
            }
            if statement.resource.is_some() == statement.not_resource.is_some() {
                return Err("a statement needs one of Resource and NotResource".to_owned());
            }
        }
        Ok(Self { statements })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Allowed,
    /// A statement says no.
    Forbidden,
    /// No statement says yes.
    NotAllowed,
}

impl Policy {
    pub fn decide(&self, action: &str, resource: &str) -> Decision {
        let applies = |statement: &&Statement| {
            matches(&statement.action, &statement.not_action, action, true)
                && matches(&statement.resource, &statement.not_resource, resource, false)
        };
        let mut decision = Decision::NotAllowed;
        for statement in self.statements.iter().filter(applies) {
            match statement.effect {
                Effect::Deny => return Decision::Forbidden,
                Effect::Allow => decision = Decision::Allowed,
            }
        }
        decision
    }
}

fn matches(patterns: &Option<OneOrMany<String>>, not: &Option<OneOrMany<String>>, text: &str, any_case: bool) -> bool {
    let one = |pattern: &String| {
        if any_case {
            fits(pattern.to_lowercase().as_bytes(), text.to_lowercase().as_bytes())
        } else {
            fits(pattern.as_bytes(), text.as_bytes())
        }
    };
    match (patterns, not) {
        (Some(patterns), _) => patterns.as_slice().iter().any(one),
        (None, Some(not)) => !not.as_slice().iter().any(one),
        (None, None) => false,
    }
}

/// `*` stands for any text, `?` for one byte.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// Whoever signed a request.
#[derive(Debug, Clone)]
pub struct Caller {
    pub arn: String,
    /// The region the request was signed for.
    pub region: String,
    /// What binds them; `None` is bound by nothing.
    pub policy: Option<Arc<Policy>>,
    /// What binds the session that they work in, beside that.
    pub session_policy: Option<Arc<Policy>>,
}

impl Caller {
    /// Checks an action on resources, all of which have to be allowed; says what is not, as AWS words it.
    pub fn check(&self, action: &str, resources: &[String]) -> Result<(), String> {
        let policies = [(&self.policy, "an", "identity-based"), (&self.session_policy, "a", "session")];
        for (policy, article, kind) in policies {
            let Some(policy) = policy else { continue };
            for resource in resources {
                let why = match policy.decide(action, resource) {
                    Decision::Allowed => continue,
                    Decision::Forbidden => format!("with an explicit deny in {article} {kind} policy"),
                    Decision::NotAllowed => format!("because no {kind} policy allows the {action} action"),
                };
                let arn = &self.arn;
                return Err(format!(
                    "User: {arn} is not authorized to perform: {action} on resource: {resource} {why}"
                ));
            }
        }
        Ok(())
    }

    /// Whether anything binds them.
    pub fn is_bound(&self) -> bool {
        self.policy.is_some() || self.session_policy.is_some()
    }

    /// The same for what a query does on behalf of its caller.
    pub fn may(&self, action: &str, resources: &[String]) -> Result<(), Failure> {
        self.check(action, resources).map_err(Failure::permission)
    }

    /// Reading the objects below a location.
    pub fn may_read(&self, location: &str) -> Result<(), Failure> {
        let path = location.trim_start_matches("s3://");
        let bucket = path.split('/').next().unwrap_or_default();
        self.may("s3:ListBucket", &[format!("arn:aws:s3:::{bucket}")])?;
        self.may("s3:GetObject", &[format!("arn:aws:s3:::{}/*", path.trim_end_matches('/'))])
    }

    /// Writing objects below a location.
    pub fn may_write(&self, location: &str) -> Result<(), Failure> {
        let path = location.trim_start_matches("s3://");
        let bucket = path.split('/').next().unwrap_or_default();
        self.may("s3:GetBucketLocation", &[format!("arn:aws:s3:::{bucket}")])?;
        self.may("s3:PutObject", &[format!("arn:aws:s3:::{}/*", path.trim_end_matches('/'))])
    }

    /// A table and what it is in, as Glue's actions name them.
    pub fn table(&self, database: &str, table: &str) -> Vec<String> {
        let prefix = format!("arn:aws:glue:{}:{ACCOUNT}", self.region);
        vec![
            format!("{prefix}:catalog"),
            format!("{prefix}:database/{database}"),
            format!("{prefix}:table/{database}/{table}"),
        ]
    }

    pub fn database(&self, database: &str) -> Vec<String> {
        self.table(database, "*").into_iter().take(2).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        serde_json::from_str(text).expect("a policy")
    }

    #[test]
    fn wildcards_fit_whole_texts() {
        for (pattern, text, expected) in [
            ("*", "anything", true),
            ("athena:Get*", "athena:GetQueryResults", true),
            ("athena:Get*", "athena:StartQueryExecution", false),
            ("arn:*:bucket/?/x*", "arn:aws:bucket/a/xyz", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
            ("a", "ab", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn an_explicit_deny_wins_and_silence_denies() {
        let policy = policy(
            r#"{"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "S3:*", "Resource": "arn:aws:s3:::b/*"},
                {"Effect": "Deny", "Action": ["s3:DeleteObject"], "Resource": "*"},
                {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}]}"#,
        );
        assert_eq!(policy.decide("s3:GetObject", "arn:aws:s3:::b/x"), Decision::Allowed);
        assert_eq!(policy.decide("s3:GetObject", "arn:aws:s3:::c/x"), Decision::NotAllowed);
        assert_eq!(policy.decide("s3:DeleteObject", "arn:aws:s3:::b/x"), Decision::Forbidden);
        assert_eq!(policy.decide("glue:GetTable", "arn:aws:glue:x"), Decision::Allowed);
    }

    #[test]
    fn a_session_may_do_what_both_policies_allow() {
        let policy = |text: &str| {
            let statement = format!(r#"{{"Statement": {{"Effect": "Allow", "Action": {text}, "Resource": "*"}}}}"#);
            Some(Arc::new(policy(&statement)))
        };
        let caller = Caller {
            arn: "arn:aws:sts::1:assumed-role/r/s".to_owned(),
            region: "us-east-1".to_owned(),
            policy: policy(r#"["glue:GetTable", "s3:GetObject"]"#),
            session_policy: policy(r#"["glue:*"]"#),
        };
        let check = |action| caller.check(action, &["x".to_owned()]);
        assert_eq!(check("glue:GetTable"), Ok(()));
        let denied = |action| check(action).expect_err("not allowed");
        assert!(denied("s3:GetObject").ends_with("because no session policy allows the s3:GetObject action"));
        assert!(denied("glue:DeleteTable").contains("no identity-based policy allows"));
    }

    #[test]
    fn what_is_not_evaluated_is_refused() {
        for bad in [
            r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}}}"#,
            r#"{"Statement": {"Effect": "Allow", "Resource": "*"}}"#,
            r#"{"Statement": {"Effect": "Maybe", "Action": "*", "Resource": "*"}}"#,
            "{}",
        ] {
            assert!(serde_json::from_str::<Policy>(bad).is_err(), "{bad}");
        }
    }
}
