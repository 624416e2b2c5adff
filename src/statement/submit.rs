//! Starts a statement: StartQueryExecution.

use aws_config::retry::RetryConfig;
use aws_sdk_athena::types::{
    AclConfiguration, EncryptionConfiguration, EncryptionOption, QueryExecutionContext, ResultConfiguration,
    ResultReuseByAgeConfiguration, ResultReuseConfiguration,
};

use super::QueryId;
use super::bind::Bound;
use crate::aws::{AwsError, Clients};
use crate::session::{Encryption, Protection, Session};

/// Longest statement Athena takes, in bytes of UTF-8 (athena-behaviour, section 1).
pub const MAX_STATEMENT_BYTES: usize = 262_144;

/// Starts a statement, without retries: the scheduler counts calls and makes them again, with the same token, so that none runs
/// twice.
pub async fn start(clients: &Clients, session: &Session, bound: &Bound, token: &str) -> Result<QueryId, AwsError> {
    let context = QueryExecutionContext::builder()
        .set_catalog(session.catalog.clone())
        .set_database(session.database.clone())
        .build();
    let output = output(session);
    let reuse = session.result_reuse_minutes.map(|minutes| {
        let by_age = ResultReuseByAgeConfiguration::builder().enabled(true).max_age_in_minutes(minutes as i32).build();
        ResultReuseConfiguration::builder().result_reuse_by_age_configuration(by_age).build()
    });
    let once = aws_sdk_athena::config::Config::builder().retry_config(RetryConfig::disabled());
    let started = clients
        .athena
        .start_query_execution()
        .query_string(&bound.sql)
        .set_execution_parameters(Some(bound.values.clone()).filter(|values| !values.is_empty()))
        .client_request_token(token)
        .query_execution_context(context)
        .set_result_configuration(output)
        .set_work_group(session.workgroup.clone())
        .set_result_reuse_configuration(reuse)
        .customize()
        .config_override(once)
        .send()
        .await
        .map_err(|error| AwsError::new("athena:StartQueryExecution", error))?;
    Ok(QueryId::new(started.query_execution_id().unwrap_or_default()))
}

/// Where results go and how; `None` where all of it is left to the workgroup.
fn output(session: &Session) -> Option<ResultConfiguration> {
    let Protection { encryption, expected_bucket_owner, acl } = &session.protection;
    if session.s3_staging_dir.is_none() && session.protection == Protection::default() {
        return None;
    }
    let encryption = encryption.as_ref().and_then(|encryption| {
        let (option, key) = match encryption {
            Encryption::SseS3 => (EncryptionOption::SseS3, None),
            Encryption::SseKms { key } => (EncryptionOption::SseKms, Some(key.clone())),
            Encryption::CseKms { key } => (EncryptionOption::CseKms, Some(key.clone())),
        };
        EncryptionConfiguration::builder().encryption_option(option).set_kms_key(key).build().ok()
    });
    let acl = acl.as_deref().and_then(|acl| AclConfiguration::builder().s3_acl_option(acl.into()).build().ok());
    let output = ResultConfiguration::builder()
        .set_output_location(session.s3_staging_dir.clone())
        .set_encryption_configuration(encryption)
        .set_expected_bucket_owner(expected_bucket_owner.clone())
        .set_acl_configuration(acl);
    Some(output.build())
}
