//! Options from a TOML file, the environment and flags → one checked [`Config`].
//!
//! A flag wins over its environment variable, and that over the file. Every fault is reported, all at once.
//!
//! | module | says |
//! | --- | --- |
//! | [`options`] | every option there is: the one table |
//! | [`given`] | what was said, and where |
//! | [`reader`] | values read by their kinds |
//! | [`check`] | values → a [`Config`] whose parts fit together |
//! | [`rules`] | rules for principals and groups |
//! | [`region`] | what is no region, and which one is meant |
//! | [`show`] | what is in force, for people and programs |

mod check;
pub mod given;
pub mod options;
mod reader;
mod region;
mod rules;
pub mod show;

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretSlice;

use crate::access::Rules;
use crate::aws::AwsOptions;
use crate::aws::options::Endpoints;
use crate::flight::{ConnectionOptions, TlsOptions};
use crate::gateway::Settings;
use crate::session::Session;
use crate::signin::SignInOptions;

pub use given::Given;
pub use region::fault as region_fault;

/// Where the gateway listens unless told otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:31337";
/// Where the embedded endpoint listens unless told otherwise.
pub const DEFAULT_EMULATOR_LISTEN: &str = "127.0.0.1:31338";
/// Scale factor of the demo data: 60,175 rows of lineitem.
pub const DEFAULT_DEMO_SCALE: f64 = 0.01;
/// The embedded endpoint is in no region; signing needs one.
const EMBEDDED_REGION: &str = "us-east-1";

/// Options that fit together. Its secrets are not shown.
#[derive(Debug)]
pub struct Config {
    pub listen: String,
    pub source: Source,
    pub aws: AwsOptions,
    pub session: Session,
    pub settings: Settings,
    /// How long statements and streams under way may go on when the gateway is to stop.
    pub shutdown_grace: Duration,
    /// The key that gateways share to take each other's tickets; without one each has its own.
    pub signing_key: Option<SecretSlice<u8>>,
    pub tls: Option<TlsOptions>,
    pub sign_in: SignInOptions,
    pub rules: Rules,
    pub connections: ConnectionOptions,
    /// What whoever started it has to be told loudly.
    pub warnings: Vec<String>,
}

/// What is behind the gateway.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// AWS itself, or whatever answers where AWS is said to be.
    Aws,
    /// The embedded endpoint with TPC-H data of a scale factor.
    Demo { scale: f64 },
    /// The embedded endpoint over a folder of files.
    Local { folder: PathBuf },
}

/// Everything that is wrong with the options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Faults(pub Vec<String>);

impl Config {
    /// Checks that what was given fits together.
    pub fn check(given: &Given) -> Result<Self, Faults> {
        check::check(given)
    }

    /// The same for a gateway that serves nobody but the process it is in.
    pub fn for_this_process(self) -> Self {
        let (sign_in, rules) = (SignInOptions::default(), Rules::default());
        let listen = "127.0.0.1:0".to_owned();
        Self { listen, tls: None, sign_in, rules, shutdown_grace: Duration::ZERO, ..self }
    }
}

/// How to reach an embedded endpoint.
pub fn embedded(url: String) -> AwsOptions {
    reaching(AwsOptions::default(), url)
}

/// The same for those who said more about AWS: whom to be there, for example.
pub fn reaching(options: AwsOptions, url: String) -> AwsOptions {
    let region = options.region.or_else(|| Some(EMBEDDED_REGION.to_owned()));
    AwsOptions { region, endpoints: Endpoints { all: Some(url), ..Endpoints::default() }, embedded: true, ..options }
}
