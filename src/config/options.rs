//! Every option there is: one table for flags, environment, file, `athena-flight config` and the reference page.

/// What an option's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Several texts: with commas between them, or an array in the file.
    List,
    Switch,
    Number,
    Seconds,
    Size,
    Path,
}

impl Kind {
    /// What stands for a value in help texts.
    pub fn value_name(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::List => "TEXT,…",
            Self::Switch => "true|false",
            Self::Number => "NUMBER",
            Self::Seconds => "SECONDS",
            Self::Size => "SIZE",
            Self::Path => "FILE",
        }
    }
}

/// What options are about; the headings of help texts and of the reference page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Server,
    Statements,
    Aws,
    Tls,
    SignIn,
}

impl Section {
    pub const ALL: [Self; 5] = [Self::Server, Self::Statements, Self::Aws, Self::Tls, Self::SignIn];

    pub fn title(self) -> &'static str {
        match self {
            Self::Server => "Server",
            Self::Statements => "Statements and results",
            Self::Aws => "AWS",
            Self::Tls => "TLS",
            Self::SignIn => "Sign-in",
        }
    }
}

/// One option.
#[derive(Debug)]
pub struct ConfigOption {
    /// The key in the file; `--name` is the flag, `ATHENA_FLIGHT_NAME` the variable.
    pub name: &'static str,
    pub section: Section,
    pub kind: Kind,
    /// A secret has no flag, for the process list is everybody's, and is never shown.
    pub secret: bool,
    /// What is done where nothing is said, for people.
    pub default: &'static str,
    pub what: &'static str,
}

impl ConfigOption {
    pub fn find(name: &str) -> Option<&'static Self> {
        OPTIONS.iter().find(|option| option.name == name)
    }

    /// The environment variable that gives it.
    pub fn variable(&self) -> String {
        format!("ATHENA_FLIGHT_{}", self.name.to_uppercase().replace('-', "_"))
    }
}

/// The known name that is most like another.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LIKE: f64 = 0.75;
    let scored = known.map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(score, _)| *score >= LIKE).map(|(_, candidate)| candidate)
}

const fn option(
    section: Section,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    what: &'static str,
) -> ConfigOption {
    ConfigOption { name, section, kind, secret: false, default, what }
}

const fn secret(section: Section, name: &'static str, what: &'static str) -> ConfigOption {
    ConfigOption { name, section, kind: Kind::Text, secret: true, default: "", what }
}

use Kind::{List, Number, Path, Seconds, Size, Switch, Text};
use Section::{Aws, Server, SignIn, Statements, Tls};

pub static OPTIONS: &[ConfigOption] = &[
    option(Server, "listen", Text, "127.0.0.1:31337", "address to listen on, HOST:PORT; port 0 takes a free one"),
    option(Server, "demo", Switch, "false", "start the embedded endpoint with TPC-H data (database tpch)"),
    option(Server, "demo-scale", Number, "0.01", "scale factor of the demo data; 1 is 6 million rows of lineitem"),
    option(
        Server,
        "local",
        Path,
        "",
        "start the embedded endpoint over your own files: DIR/DATABASE/TABLE.{parquet,csv,json}",
    ),
    option(
        Server,
        "memory-limit",
        Size,
        "256MiB",
        "memory for results that are read, kept or ingested, for all callers together, for example 512MiB or 1GiB",
    ),
    option(
        Server,
        "stall-timeout",
        Seconds,
        "300",
        "how long a client may leave the rows of a result unread before their stream is ended",
    ),
    option(
        Server,
        "shutdown-grace",
        Seconds,
        "30",
        "how long statements and streams under way may go on after SIGTERM or SIGINT; a second signal ends at once",
    ),
    option(Server, "unload-ttl", Seconds, "86400", "how long the files of an UNLOAD stay"),
    option(
        Server,
        "signing-key-file",
        Path,
        "a key of its own",
        "file with the key that tickets, prepared statements, sessions and bearer tokens are made with, at least 32 bytes: \
         gateways with the same one take each other's",
    ),
    option(
        Server,
        "max-connections",
        Number,
        "10000, or as many as the limit on open files leaves room for",
        "most connections at once; at the limit, the one that has been idle for longest makes room for a new one",
    ),
    option(
        Server,
        "max-connections-per-peer",
        Number,
        "half of max-connections",
        "most connections at once from one address (IPv6: one /64 network); raise it where all clients come through one \
         proxy",
    ),
    option(
        Server,
        "handshake-timeout",
        Seconds,
        "10",
        "how long a new connection may take for its TLS handshake and the beginning of HTTP/2 together",
    ),
    option(
        Server,
        "idle-timeout",
        Seconds,
        "1800",
        "how long a connection may go without a call, and a stream of rows from a client may pause",
    ),
    option(Server, "read-only", Switch, "false", "refuse every statement that may do more than read"),
    option(
        Statements,
        "catalog",
        Text,
        "Athena's, AwsDataCatalog",
        "data catalog that names without one are looked up in",
    ),
    option(Statements, "database", Text, "Athena's, default", "database that names without one are looked up in"),
    option(Statements, "workgroup", Text, "Athena's, primary", "Athena workgroup"),
    option(
        Statements,
        "s3-staging-dir",
        Text,
        "the workgroup's",
        "where Athena leaves results, s3://bucket/prefix/; not needed where the workgroup says it",
    ),
    option(
        Statements,
        "result-path",
        Text,
        "auto",
        "how rows of queries are read: auto, direct (pages and CSV), unload (Parquet by UNLOAD)",
    ),
    option(
        Statements,
        "query-timeout",
        Number,
        "0, Athena's own",
        "seconds after which a statement that has not ended is stopped; sessions may change it (query_timeout_seconds)",
    ),
    option(
        Statements,
        "max-queued",
        Number,
        "5000",
        "statements that may wait in the gateway to be started; beyond, those of the caller with the most are refused",
    ),
    option(Statements, "max-queue-wait", Seconds, "900", "how long a statement may wait in the gateway to be started"),
    option(
        Statements,
        "athena-quota",
        List,
        "AWS's published values",
        "calls a second and burst of the AWS account, for example StartQueryExecution=40/160,GetQueryExecution=200/400; \
         operations: StartQueryExecution, StopQueryExecution, GetQueryExecution, BatchGetQueryExecution, GetQueryResults",
    ),
    option(
        Statements,
        "outage-budget",
        Seconds,
        "300",
        "how long AWS may be out of reach before a statement that runs is given up",
    ),
    option(
        Statements,
        "result-encryption",
        Text,
        "the workgroup's, the bucket's",
        "how result objects are encrypted: SSE_S3, SSE_KMS, CSE_KMS",
    ),
    option(Statements, "result-kms-key", Text, "", "ARN of the key for SSE_KMS and CSE_KMS"),
    option(
        Statements,
        "expected-bucket-owner",
        Text,
        "",
        "account id that the bucket of results has to belong to, else calls fail",
    ),
    option(Statements, "result-acl", Text, "", "canned ACL of result objects: BUCKET_OWNER_FULL_CONTROL"),
    option(Aws, "region", Text, "the SDK's: AWS_REGION, the profile's, the instance's", "AWS region, as us-east-1"),
    option(Aws, "profile", Text, "the SDK's: AWS_PROFILE, default", "profile of ~/.aws/config and ~/.aws/credentials"),
    option(Aws, "access-key-id", Text, "the SDK's default chain", "id of an access key; it needs secret-access-key"),
    secret(Aws, "secret-access-key", "secret of the access key"),
    secret(Aws, "session-token", "session token of temporary credentials"),
    option(
        Aws,
        "role-arn",
        List,
        "",
        "ARN of a role to assume; of several, each is assumed with the credentials of the one before",
    ),
    option(Aws, "role-session-name", Text, "AthenaFlightSession", "session name of assumed roles"),
    option(
        Aws,
        "role-source-identity",
        Text,
        "",
        "source identity of the first assumed role; it stays with those after it, and CloudTrail shows it",
    ),
    secret(Aws, "role-external-id", "external id of the last assumed role"),
    option(Aws, "role-duration", Seconds, "STS's, 3600", "how long credentials of assumed roles live, 900 to 43200"),
    option(Aws, "catalog-id", Text, "the caller's account", "account id of the Glue catalog, for another account's"),
    option(Aws, "endpoint-url", Text, "AWS", "where AWS answers, for all services"),
    option(Aws, "endpoint-url-athena", Text, "endpoint-url", "where Athena answers"),
    option(Aws, "endpoint-url-glue", Text, "endpoint-url", "where Glue answers"),
    option(Aws, "endpoint-url-s3", Text, "endpoint-url", "where S3 answers"),
    option(Aws, "endpoint-url-sts", Text, "endpoint-url", "where STS answers"),
    option(Aws, "use-fips", Switch, "false", "use FIPS endpoints"),
    option(Aws, "use-dual-stack", Switch, "false", "use endpoints that answer over IPv6 too"),
    option(Aws, "connect-timeout", Seconds, "10", "how long a connection to AWS may take"),
    option(Aws, "read-timeout", Seconds, "60", "how long AWS may take to begin an answer"),
    option(Aws, "call-timeout", Seconds, "120", "how long a call to AWS may take with all its attempts"),
    option(Aws, "max-attempts", Number, "5", "how often a call is made at most, 1 to 20"),
    option(
        Aws,
        "retry-mode",
        Text,
        "standard",
        "standard: wait longer each time, with jitter; adaptive: slow down as a whole when AWS throttles",
    ),
    option(Tls, "tls-cert", Path, "", "PEM file with the server's certificate and those that vouch for it"),
    option(Tls, "tls-key", Path, "", "PEM file with the certificate's key"),
    option(
        Tls,
        "tls-client-ca",
        Path,
        "",
        "PEM file with the authorities whose client certificates sign their owner in",
    ),
    option(
        Tls,
        "tls-client-required",
        Switch,
        "false",
        "refuse connections without a client certificate, also where other ways to sign in are open",
    ),
    option(
        Tls,
        "insecure",
        Switch,
        "false",
        "serve other machines without TLS or without sign-in: everybody who reaches the port, or listens on the way, has \
         what the gateway has",
    ),
    option(SignIn, "users-file", Path, "", "users and the hashes of their passwords (athena-flight user add)"),
    option(SignIn, "tokens-file", Path, "", "names and the hashes of their bearer tokens (athena-flight token add)"),
    option(SignIn, "jwt-jwks", Text, "", "keys that JWTs are signed with, a JWKS: path of a file, or https:// URL"),
    option(SignIn, "jwt-issuer", Text, "", "issuer (iss) that JWTs have to have"),
    option(SignIn, "jwt-audience", List, "", "audiences (aud) of which JWTs have to have one"),
    option(
        SignIn,
        "jwt-algorithms",
        List,
        "RS256,ES256",
        "algorithms that JWTs may be signed with; never a symmetric one",
    ),
    option(SignIn, "jwt-principal-claim", Text, "sub", "claim that names the principal"),
    option(SignIn, "jwt-groups-claim", Text, "groups", "claim that lists the principal's groups"),
    option(SignIn, "jwt-leeway", Seconds, "60", "how far the clocks of issuer and gateway may be apart"),
    option(
        SignIn,
        "aws-keys",
        Switch,
        "false",
        "let callers sign in with an AWS access key of their own: id as user name, secret as password, session token in the \
         header x-athena-session-token; statements run with it",
    ),
    option(SignIn, "bearer-ttl", Seconds, "28800", "how long the bearer token that Handshake gives is good for"),
    option(
        SignIn,
        "max-principals",
        Number,
        "1000",
        "principals whose connections to AWS are kept; beyond, the idle go first",
    ),
    option(SignIn, "deny-unlisted", Switch, "false", "refuse principals that no rule is about"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_and_the_nearest_is_found() {
        for (at, option) in OPTIONS.iter().enumerate() {
            assert!(OPTIONS[..at].iter().all(|other| other.name != option.name), "{}", option.name);
            assert!(std::ptr::eq(ConfigOption::find(option.name).expect("known"), option));
            assert!(!option.what.is_empty() && option.what.chars().next().is_some_and(|c| !c.is_ascii_punctuation()));
        }
        let near = |name| nearest(name, OPTIONS.iter().map(|option| option.name));
        assert_eq!((near("workgrup"), near("s3_staging_dir")), (Some("workgroup"), Some("s3-staging-dir")));
        assert_eq!(near("q"), None);
        assert_eq!(ConfigOption::find("role-arn").expect("known").variable(), "ATHENA_FLIGHT_ROLE_ARN");
    }
}
