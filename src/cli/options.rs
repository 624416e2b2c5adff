//! Flags for the options of [`crate::config::options`]: the table makes them, so that none is missing and none differs.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::config::options::{ConfigOption, Kind, OPTIONS, Section};
use crate::config::{Config, Given};

/// The flag and the variable of the config file.
const CONFIG: &str = "config";
const CONFIG_VARIABLE: &str = "ATHENA_FLIGHT_CONFIG";

/// The options as flags. `SERVED` for commands that serve others; those that do not have neither TLS nor sign-in.
#[derive(Default)]
pub struct OptionArgs<const SERVED: bool> {
    flags: Vec<(&'static str, String)>,
    config: Option<PathBuf>,
}

/// Those that a command has as flags.
fn flags(served: bool) -> impl Iterator<Item = &'static ConfigOption> {
    let serves =
        |option: &ConfigOption| matches!(option.section, Section::Tls | Section::SignIn) || option.name == "listen";
    OPTIONS.iter().filter(move |option| !option.secret && (served || !serves(option)))
}

fn flag(option: &'static ConfigOption) -> Arg {
    let default = match option.default {
        "" => String::new(),
        default => format!(" [default: {default}]"),
    };
    let arg = Arg::new(option.name)
        .long(option.name)
        .value_name(option.kind.value_name())
        .help(format!("{}{default} [env: {}]", option.what, option.variable()))
        .help_heading(option.section.title());
    match option.kind {
        Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true").hide_default_value(true),
        _ => arg,
    }
}

impl<const SERVED: bool> Args for OptionArgs<SERVED> {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG).long(CONFIG).value_name("FILE").value_parser(clap::value_parser!(PathBuf)).help(
            format!("read options from a TOML file; keys are the names of the long flags [env: {CONFIG_VARIABLE}]"),
        );
        command.arg(config).args(flags(SERVED).map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const SERVED: bool> FromArgMatches for OptionArgs<SERVED> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |option: &ConfigOption| Some((option.name, matches.get_one::<String>(option.name)?.clone()));
        Ok(Self { flags: flags(SERVED).filter_map(given).collect(), config: matches.get_one(CONFIG).cloned() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<const SERVED: bool> OptionArgs<SERVED> {
    /// Whether flags say where statements run.
    pub fn says_where(&self) -> bool {
        const WHERE: [&str; 3] = ["demo", "local", "endpoint-url"];
        self.config.is_some() || self.flags.iter().any(|(name, _)| WHERE.contains(name))
    }

    /// Flags, environment and file together.
    pub fn given(self) -> Given {
        let variable = |name: &str| std::env::var(name).ok();
        let config =
            self.config.or_else(|| variable(CONFIG_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from));
        Given::collect(self.flags, variable, config.as_deref())
    }

    /// The same, checked.
    pub fn config(self) -> anyhow::Result<Config> {
        Ok(Config::check(&self.given())?)
    }
}
