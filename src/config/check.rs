//! What was given → a [`Config`] whose parts fit together.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::SecretSlice;

use super::reader::Reader;
use super::{Config, DEFAULT_DEMO_SCALE, DEFAULT_LISTEN, Faults, Given, Source, region};
use crate::access::Rules;
use crate::aws::AwsOptions;
use crate::aws::options::{AccessKeys, Endpoints, RoleOptions, SESSION_NAME, is_role_name, role_fault};
use crate::flight::{ConnectionOptions, TlsOptions};
use crate::gateway::Settings;
use crate::session::{Encryption, Protection, Session};
use crate::signin::SignInOptions;
use crate::signin::jwt::JwtOptions;

/// Fewest bytes of a signing key.
const LEAST_KEY_BYTES: usize = 32;
/// Least memory for results: some streams have to have room.
const LEAST_MEMORY: usize = 16 << 20;
/// Longest time that an option can be, in seconds: a year.
const YEAR: u64 = 366 * 24 * 3600;
/// Most connections that can be asked for.
const MAX_CONNECTIONS: usize = 1_000_000;
/// A working day: few clients sign in again by themselves.
const BEARER_TTL: Duration = Duration::from_secs(8 * 3600);
/// As long as container platforms wait between SIGTERM and SIGKILL.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);
/// What STS gives credentials of a role for, in seconds.
const ROLE_SECONDS: (u64, u64) = (900, 43_200);

pub fn check(given: &Given) -> Result<Config, Faults> {
    let mut reader = Reader::new(given);
    let reader = &mut reader;
    let source = source(reader);
    let aws = aws(reader, &source);
    let settings = settings(reader);
    let session = session(reader);
    let shutdown_grace = reader.seconds("shutdown-grace", 0, 3600).unwrap_or(SHUTDOWN_GRACE);
    let signing_key = signing_key(reader);
    let tls = tls(reader);
    let sign_in = sign_in(reader, tls.as_ref());
    let rules = rules(reader, given, &sign_in);
    let connections = connections(reader);
    let mut warnings = Vec::new();
    let listen = listen(reader, tls.is_some(), &sign_in, &mut warnings);
    if !reader.faults.is_empty() {
        return Err(Faults(std::mem::take(&mut reader.faults)));
    }
    Ok(Config {
        listen,
        source,
        aws,
        session,
        settings,
        shutdown_grace,
        signing_key,
        tls,
        sign_in,
        rules,
        connections,
        warnings,
    })
}

fn source(reader: &mut Reader<'_>) -> Source {
    let (demo, local) = (reader.switch("demo"), reader.path("local"));
    if demo && local.is_some() {
        reader.fault("--demo and --local exclude each other");
    }
    let scale = reader.number("demo-scale", 0.000_001, 100.0).unwrap_or(DEFAULT_DEMO_SCALE);
    if reader.is_given("demo-scale") && !demo {
        reader.fault("--demo-scale needs --demo");
    }
    match local {
        Some(folder) => {
            if !folder.is_dir() {
                reader.fault(format!("--local {}: no such folder", folder.display()));
            }
            Source::Local { folder }
        }
        None if demo => Source::Demo { scale },
        None => Source::Aws,
    }
}

fn aws(reader: &mut Reader<'_>, source: &Source) -> AwsOptions {
    if *source != Source::Aws {
        let of_aws =
            ["region", "profile", "endpoint-url", "endpoint-url-athena", "endpoint-url-glue", "endpoint-url-s3"];
        for name in of_aws.into_iter().chain(["endpoint-url-sts", "use-fips", "use-dual-stack"]) {
            if reader.is_given(name) {
                reader.fault(format!("--{name} is for AWS; --demo and --local bring their own endpoint"));
            }
        }
    }
    let region = reader.text("region");
    if let Some(fault) = region.as_deref().and_then(region::fault) {
        reader.fault(format!("--region: {fault}"));
    }
    let defaults = AwsOptions::default();
    AwsOptions {
        region,
        profile: reader.text("profile"),
        keys: keys(reader),
        roles: roles(reader),
        catalog_id: reader.text("catalog-id"),
        endpoints: Endpoints {
            all: reader.http_url("endpoint-url"),
            athena: reader.http_url("endpoint-url-athena"),
            glue: reader.http_url("endpoint-url-glue"),
            s3: reader.http_url("endpoint-url-s3"),
            sts: reader.http_url("endpoint-url-sts"),
        },
        use_fips: reader.switch("use-fips"),
        use_dual_stack: reader.switch("use-dual-stack"),
        connect_timeout: reader.seconds("connect-timeout", 1, 600).unwrap_or(defaults.connect_timeout),
        read_timeout: reader.seconds("read-timeout", 1, 3600).unwrap_or(defaults.read_timeout),
        call_timeout: reader.seconds("call-timeout", 1, 3600).unwrap_or(defaults.call_timeout),
        max_attempts: reader.number("max-attempts", 1, 20).unwrap_or(defaults.max_attempts),
        adaptive_retries: match reader.text("retry-mode").as_deref() {
            None | Some("standard") => false,
            Some("adaptive") => true,
            Some(other) => {
                reader.fault(format!("--retry-mode {other:?} is none of standard, adaptive"));
                false
            }
        },
        expected_bucket_owner: account(reader, "expected-bucket-owner"),
        embedded: false,
    }
}

fn keys(reader: &mut Reader<'_>) -> Option<AccessKeys> {
    let (id, secret) = (reader.text("access-key-id"), reader.secret("secret-access-key"));
    let session_token = reader.secret("session-token");
    match (id, secret) {
        (Some(id), Some(secret)) => return Some(AccessKeys { id, secret, session_token }),
        (Some(_), None) => reader.fault(
            "access-key-id is given without secret-access-key (ATHENA_FLIGHT_SECRET_ACCESS_KEY, or the config file)",
        ),
        (None, Some(_)) => reader.fault("secret-access-key is given without access-key-id"),
        (None, None) if session_token.is_some() => {
            reader.fault("session-token is given without access-key-id and secret-access-key");
        }
        (None, None) => {}
    }
    None
}

fn roles(reader: &mut Reader<'_>) -> Vec<RoleOptions> {
    let arns = reader.list("role-arn");
    let duration = reader.seconds("role-duration", ROLE_SECONDS.0, ROLE_SECONDS.1);
    let session_name = reader.text("role-session-name").unwrap_or_else(|| SESSION_NAME.to_owned());
    for name in ["role-session-name", "role-source-identity", "role-external-id", "role-duration"] {
        if arns.is_empty() && reader.is_given(name) {
            reader.fault(format!("--{name} needs --role-arn"));
        }
    }
    for name in ["role-session-name", "role-source-identity"] {
        if let Some(text) = reader.text(name).filter(|text| !is_role_name(text)) {
            reader.fault(format!("--{name} {text:?} is not 2 to 64 letters, digits and characters of _=,.@-"));
        }
    }
    let last = arns.len().saturating_sub(1);
    let mut roles = Vec::new();
    for (at, arn) in arns.into_iter().enumerate() {
        if let Some(fault) = role_fault(&arn) {
            reader.fault(format!("--role-arn {fault}"));
        }
        roles.push(RoleOptions {
            arn,
            session_name: session_name.clone(),
            source_identity: reader.text("role-source-identity").filter(|_| at == 0),
            external_id: reader.secret("role-external-id").filter(|_| at == last),
            duration,
            session_policy: None,
        });
    }
    roles
}

fn account(reader: &mut Reader<'_>, name: &str) -> Option<String> {
    let text = reader.text(name)?;
    if text.len() != 12 || !text.bytes().all(|b| b.is_ascii_digit()) {
        reader.fault(format!("--{name} {text:?} is not an account id of 12 digits"));
    }
    Some(text)
}

fn settings(reader: &mut Reader<'_>) -> Settings {
    let mut settings = Settings { read_only: reader.switch("read-only"), ..Settings::default() };
    if let Some(bytes) = reader.size("memory-limit") {
        settings.memory_limit = bytes;
        if bytes < LEAST_MEMORY {
            reader.fault(format!("--memory-limit {bytes} is less than {} MiB", LEAST_MEMORY >> 20));
        }
    }
    if let Some(timeout) = reader.seconds("stall-timeout", 1, 24 * 3600) {
        settings.stall_timeout = timeout;
    }
    if reader.text("unload-ttl").as_deref() == Some("0") {
        reader.fault("--unload-ttl 0 would remove results before they are read");
    } else if let Some(ttl) = reader.seconds("unload-ttl", 1, YEAR) {
        settings.unload_ttl = ttl;
    }
    let scheduler = &mut settings.scheduler;
    if let Some(quotas) = reader.parsed("athena-quota") {
        scheduler.quotas = quotas;
    }
    if let Some(count) = reader.number("max-queued", 1, 100_000) {
        scheduler.max_queued = count;
    }
    if let Some(wait) = reader.seconds("max-queue-wait", 1, 24 * 3600) {
        scheduler.max_queue_wait = wait;
    }
    if let Some(budget) = reader.seconds("outage-budget", 1, 24 * 3600) {
        scheduler.outage_budget = budget;
    }
    settings
}

fn session(reader: &mut Reader<'_>) -> Session {
    let s3_staging_dir = reader.text("s3-staging-dir");
    if let Some(folder) = &s3_staging_dir
        && !folder.strip_prefix("s3://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
    {
        reader.fault(format!("--s3-staging-dir {folder:?} is not s3://bucket/prefix/"));
    }
    Session {
        catalog: reader.text("catalog"),
        database: reader.text("database"),
        workgroup: reader.text("workgroup"),
        s3_staging_dir,
        protection: protection(reader),
        result_path: reader.parsed("result-path").unwrap_or_default(),
        query_timeout_seconds: reader.number("query-timeout", 0, u32::MAX).filter(|seconds| *seconds > 0),
        ..Session::default()
    }
}

fn protection(reader: &mut Reader<'_>) -> Protection {
    let (option, key) = (reader.text("result-encryption"), reader.text("result-kms-key"));
    let encryption = match (option.as_deref(), key) {
        (None, None) => None,
        (None, Some(_)) => {
            reader.fault("--result-kms-key needs --result-encryption SSE_KMS or CSE_KMS");
            None
        }
        (Some("SSE_S3"), None) => Some(Encryption::SseS3),
        (Some("SSE_S3"), Some(_)) => {
            reader.fault("--result-encryption SSE_S3 takes no --result-kms-key");
            None
        }
        (Some("SSE_KMS"), Some(key)) => Some(Encryption::SseKms { key }),
        (Some("CSE_KMS"), Some(key)) => Some(Encryption::CseKms { key }),
        (Some(option @ ("SSE_KMS" | "CSE_KMS")), None) => {
            reader.fault(format!("--result-encryption {option} needs --result-kms-key"));
            None
        }
        (Some(other), _) => {
            reader.fault(format!("--result-encryption {other:?} is none of SSE_S3, SSE_KMS, CSE_KMS"));
            None
        }
    };
    let acl = reader.text("result-acl");
    if let Some(other) = acl.as_deref().filter(|acl| *acl != "BUCKET_OWNER_FULL_CONTROL") {
        reader.fault(format!("--result-acl {other:?} is not BUCKET_OWNER_FULL_CONTROL, the only one Athena knows"));
    }
    Protection { encryption, expected_bucket_owner: reader.text("expected-bucket-owner"), acl }
}

/// The bytes of a file, without the line end behind them.
fn signing_key(reader: &mut Reader<'_>) -> Option<SecretSlice<u8>> {
    let path = reader.path("signing-key-file")?;
    let shown = path.display();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            reader.fault(format!("--signing-key-file {shown}: {error}"));
            return None;
        }
    };
    let key = bytes.trim_ascii_end();
    if key.len() < LEAST_KEY_BYTES {
        let has = key.len();
        reader.fault(format!("--signing-key-file {shown} has {has} bytes, a key has at least {LEAST_KEY_BYTES}"));
    }
    Some(SecretSlice::from(key.to_vec()))
}

fn tls(reader: &mut Reader<'_>) -> Option<TlsOptions> {
    let (cert, key, client_ca) = (reader.path("tls-cert"), reader.path("tls-key"), reader.path("tls-client-ca"));
    let client_required = reader.switch("tls-client-required");
    let options = match (cert, key) {
        (Some(cert), Some(key)) => Some(TlsOptions { cert, key, client_ca: client_ca.clone(), client_required }),
        (None, None) => None,
        (Some(_), None) => {
            reader.fault("--tls-cert is given without --tls-key");
            None
        }
        (None, Some(_)) => {
            reader.fault("--tls-key is given without --tls-cert");
            None
        }
    };
    if client_ca.is_some() && options.is_none() {
        reader.fault("--tls-client-ca needs --tls-cert and --tls-key");
    }
    if client_required && client_ca.is_none() {
        reader.fault("--tls-client-required needs --tls-client-ca");
    }
    if let Some(fault) = options.as_ref().and_then(|options| options.check().err()) {
        reader.fault(fault);
    }
    options
}

fn connections(reader: &mut Reader<'_>) -> ConnectionOptions {
    let defaults = ConnectionOptions::default();
    let (max, max_per_peer) = (
        reader.number("max-connections", 1, MAX_CONNECTIONS),
        reader.number("max-connections-per-peer", 1, MAX_CONNECTIONS),
    );
    if let (Some(max), Some(per_peer)) = (max, max_per_peer)
        && per_peer > max
    {
        reader.fault(format!("--max-connections-per-peer {per_peer} is more than --max-connections {max}"));
    }
    ConnectionOptions {
        max,
        max_per_peer,
        handshake_timeout: reader.seconds("handshake-timeout", 1, 600).unwrap_or(defaults.handshake_timeout),
        idle_timeout: reader.seconds("idle-timeout", 1, YEAR).unwrap_or(defaults.idle_timeout),
    }
}

fn sign_in(reader: &mut Reader<'_>, tls: Option<&TlsOptions>) -> SignInOptions {
    let options = SignInOptions {
        users_file: reader.path("users-file"),
        tokens_file: reader.path("tokens-file"),
        jwt: jwt(reader),
        aws_keys: reader.switch("aws-keys"),
        client_certificates: tls.is_some_and(|tls| tls.client_ca.is_some()),
        bearer_ttl: reader.seconds("bearer-ttl", 1, 7 * 24 * 3600).unwrap_or(BEARER_TTL),
        max_principals: reader.number("max-principals", 1, 1_000_000).unwrap_or(1000),
        deny_unlisted: reader.switch("deny-unlisted"),
    };
    for fault in options.check() {
        reader.fault(fault);
    }
    options
}

fn jwt(reader: &mut Reader<'_>) -> Option<JwtOptions> {
    let Some(jwks) = reader.text("jwt-jwks") else {
        for name in
            ["jwt-issuer", "jwt-audience", "jwt-algorithms", "jwt-principal-claim", "jwt-groups-claim", "jwt-leeway"]
        {
            if reader.is_given(name) {
                reader.fault(format!("--{name} needs --jwt-jwks"));
            }
        }
        return None;
    };
    let (issuer, audiences) = (reader.text("jwt-issuer"), reader.list("jwt-audience"));
    if issuer.is_none() || audiences.is_empty() {
        reader.fault("--jwt-jwks needs --jwt-issuer and --jwt-audience: else tokens meant for others would be taken");
    }
    let mut algorithms = Vec::new();
    let named = reader.list("jwt-algorithms");
    for name in if named.is_empty() { vec!["RS256".to_owned(), "ES256".to_owned()] } else { named } {
        match JwtOptions::algorithm(&name) {
            Ok(algorithm) => algorithms.push(algorithm),
            Err(why) => reader.fault(format!("--jwt-algorithms: {why}")),
        }
    }
    Some(JwtOptions {
        jwks,
        issuer: issuer.unwrap_or_default(),
        audiences,
        algorithms,
        principal_claim: reader.text("jwt-principal-claim").unwrap_or_else(|| "sub".to_owned()),
        groups_claim: reader.text("jwt-groups-claim").unwrap_or_else(|| "groups".to_owned()),
        leeway: reader.seconds("jwt-leeway", 0, 600).unwrap_or(Duration::from_secs(60)),
    })
}

fn rules(reader: &mut Reader<'_>, given: &Given, sign_in: &SignInOptions) -> Rules {
    let (rules, faults) = super::rules::read(&given.rules);
    if !given.rules.is_empty() && !sign_in.is_on() {
        reader.fault("[[rules]] are about principals: without a way to sign in there are none");
    }
    for fault in faults {
        reader.fault(fault);
    }
    rules
}

/// Beyond this machine TLS and sign-in are needed, unless somebody says loudly that they are not.
fn listen(reader: &mut Reader<'_>, has_tls: bool, sign_in: &SignInOptions, warnings: &mut Vec<String>) -> String {
    let listen = reader.text("listen").unwrap_or_else(|| DEFAULT_LISTEN.to_owned());
    let insecure = reader.switch("insecure");
    let host = listen.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map(|(host, _)| host.to_owned());
    let Some(host) = host else {
        reader.fault(format!("--listen {listen:?} is not HOST:PORT"));
        return listen;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
        return listen;
    }
    let lacks: Vec<&str> = [
        (!has_tls, "TLS (--tls-cert, --tls-key)"),
        (!sign_in.is_on(), "a way to sign in (--users-file, --tokens-file, --jwt-jwks, --tls-client-ca, --aws-keys)"),
    ]
    .into_iter()
    .filter_map(|(lacks, what)| lacks.then_some(what))
    .collect();
    if lacks.is_empty() {
        return listen;
    }
    let lacks = lacks.join(" and ");
    if insecure {
        warnings.push(format!("INSECURE: serving other machines at {listen} without {lacks}"));
    } else {
        reader.fault(format!(
            "--listen {listen:?} is not on this machine: that takes {lacks}; --insecure does without, for all to see and use"
        ));
    }
    listen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(&'static str, &str)]) -> Result<Config, Faults> {
        Config::check(&Given::collect(values.iter().map(|(name, text)| (*name, (*text).to_owned())), |_| None, None))
    }

    #[test]
    fn all_faults_come_at_once() {
        let faults = of(&[
            ("listen", "0.0.0.0:31337"),
            ("demo", "true"),
            ("local", "/no/such/folder"),
            ("region", "us-east-1a"),
            ("s3-staging-dir", "bucket"),
            ("result-path", "fast"),
            ("memory-limit", "12 parsecs"),
            ("unload-ttl", "0"),
            ("signing-key-file", "/no/such/file"),
            ("access-key-id", "AKIA"),
            ("role-duration", "5"),
            ("role-arn", "admin"),
            ("result-encryption", "SSE_KMS"),
            ("tls-cert", "/no/such/cert"),
            ("jwt-issuer", "x"),
            ("expected-bucket-owner", "me"),
            ("retry-mode", "often"),
            ("use-fips", "maybe"),
        ])
        .expect_err("these options do not fit together");
        let said = faults.to_string();
        for part in [
            "--listen",
            "exclude each other",
            "no such folder",
            "its region is us-east-1",
            "--region is for AWS",
            "--s3-staging-dir",
            "--result-path",
            "--memory-limit",
            "--unload-ttl 0",
            "--signing-key-file",
            "access-key-id is given without",
            "--role-duration",
            "--role-arn",
            "needs --result-kms-key",
            "without --tls-key",
            "--jwt-issuer needs",
            "--expected-bucket-owner",
            "--retry-mode",
            "--use-fips",
        ] {
            assert!(said.contains(part), "{part}\n{said}");
        }
    }

    #[test]
    fn beyond_this_machine_it_takes_tls_and_sign_in_or_a_loud_word() {
        for loopback in ["127.0.0.1:0", "localhost:1", "[::1]:1"] {
            assert!(of(&[("listen", loopback)]).is_ok(), "{loopback}");
        }
        assert!(of(&[("listen", "0.0.0.0:1")]).is_err());
        let config = of(&[("listen", "0.0.0.0:1"), ("insecure", "true")]).expect("somebody wants that");
        assert!(config.warnings[0].starts_with("INSECURE"), "{:?}", config.warnings);
    }

    #[test]
    fn roles_are_chained_and_secrets_are_not_shown() {
        let config = of(&[
            ("role-arn", "arn:aws:iam::111122223333:role/hub, arn:aws:iam::444455556666:role/path/spoke"),
            ("role-source-identity", "ann"),
            ("role-external-id", "canary"),
            ("access-key-id", "AKIA"),
            ("secret-access-key", "canary"),
        ])
        .expect("sound");
        let roles: Vec<_> = config.aws.roles.iter().map(|role| (&*role.session_name, &role.source_identity)).collect();
        assert_eq!(roles, [(SESSION_NAME, &Some("ann".to_owned())), (SESSION_NAME, &None)]);
        assert!(config.aws.roles[0].external_id.is_none() && config.aws.roles[1].external_id.is_some());
        assert!(!format!("{config:?}").contains("canary"));
    }
}
