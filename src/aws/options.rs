//! Where AWS is, and who the gateway is there.

use std::time::Duration;

use secrecy::SecretString;

/// Session name of assumed roles unless told otherwise.
pub const SESSION_NAME: &str = "AthenaFlightSession";

/// Each `None` is left to the SDK and its default chain.
#[derive(Debug, Clone)]
pub struct AwsOptions {
    pub region: Option<String>,
    /// Goes before the credentials of the environment when it is named.
    pub profile: Option<String>,
    pub keys: Option<AccessKeys>,
    /// Roles to assume, each with the credentials of the one before.
    pub roles: Vec<RoleOptions>,
    /// Account id of the Glue catalog.
    pub catalog_id: Option<String>,
    pub endpoints: Endpoints,
    pub use_fips: bool,
    pub use_dual_stack: bool,
    pub connect_timeout: Duration,
    pub read_timeout: Duration,
    /// How long a call may take with all its attempts.
    pub call_timeout: Duration,
    pub max_attempts: u32,
    pub adaptive_retries: bool,
    /// Owner that the bucket of results has to have.
    pub expected_bucket_owner: Option<String>,
    /// Behind it is the embedded endpoint, which no proxy leads to.
    pub embedded: bool,
}

/// Where AWS answers, if not at AWS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    pub all: Option<String>,
    pub athena: Option<String>,
    pub glue: Option<String>,
    pub s3: Option<String>,
    pub sts: Option<String>,
}

/// An access key. Its secrets are not shown.
#[derive(Debug, Clone)]
pub struct AccessKeys {
    pub id: String,
    pub secret: SecretString,
    pub session_token: Option<SecretString>,
}

/// A role to assume.
#[derive(Debug, Clone)]
pub struct RoleOptions {
    pub arn: String,
    pub session_name: String,
    pub source_identity: Option<String>,
    pub external_id: Option<SecretString>,
    /// How long its credentials live; STS's own choice unless told otherwise.
    pub duration: Option<Duration>,
    /// What the session may do of all that the role may, as an IAM policy document.
    pub session_policy: Option<String>,
}

impl Default for AwsOptions {
    fn default() -> Self {
        Self {
            region: None,
            profile: None,
            keys: None,
            roles: Vec::new(),
            catalog_id: None,
            endpoints: Endpoints::default(),
            use_fips: false,
            use_dual_stack: false,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(60),
            call_timeout: Duration::from_secs(120),
            max_attempts: 5,
            adaptive_retries: false,
            expected_bucket_owner: None,
            embedded: false,
        }
    }
}

/// What is wrong with a role's ARN, if anything is.
pub fn role_fault(arn: &str) -> Option<String> {
    let is_role = arn.starts_with("arn:aws") && arn.split_once(":role/").is_some_and(|(_, name)| !name.is_empty());
    (!is_role).then(|| format!("{arn:?} is not arn:aws:iam::ACCOUNT:role/NAME"))
}

/// What STS takes as session name and source identity.
pub fn is_role_name(text: &str) -> bool {
    (2..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "_=,.@-".contains(c))
}
