//! Flags for the options of [`crate::config::options`]: the table makes them, so that none is missing and none differs.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::config::options::{ConfigOption, Kind, OPTIONS, Section};
use crate::config::{Config, Given};
use crate::session::Session;
use crate::session::options::SessionOption;

/// The flag and the variable of the config file.
const CONFIG: &str = "config";
const CONFIG_VARIABLE: &str = "ATHENA_FLIGHT_CONFIG";

/// The options as flags. `SERVED` for commands that serve others; those that do not have neither TLS nor sign-in.
#[derive(Default)]
pub struct OptionArgs<const SERVED: bool> {
    flags: Vec<(&'static str, String)>,
    config: Option<PathBuf>,
}

/// What of the options goes with a statement to a gateway that runs already.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AtGateway {
    /// Headers of every call.
    pub headers: Vec<(&'static str, String)>,
    /// Whether statements that may do more than read are refused here, before they are sent.
    pub read_only: bool,
}

const READ_ONLY: &str = "read-only";

/// The option of sessions that says the same as an option of the gateway.
fn session_option(name: &str) -> Option<&'static SessionOption> {
    match name {
        "database" => SessionOption::find("schema"),
        name => SessionOption::find(&name.replace('-', "_")),
    }
}

fn switch(value: &str) -> Result<bool, String> {
    match value {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        other => Err(format!("{other:?} is neither true nor false")),
    }
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
    /// What of the options goes to a gateway that runs already. Whatever flag cannot go there is refused, for it would be
    /// ignored; variables may be meant for a gateway on this machine, so those are left alone.
    pub fn at_gateway(&self) -> anyhow::Result<AtGateway> {
        self.at_gateway_with(|name| std::env::var(name).ok())
    }

    fn at_gateway_with(&self, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<AtGateway> {
        let goes = |name: &str| name == READ_ONLY || session_option(name).is_some();
        let stay = self.flags.iter().map(|(name, _)| *name).filter(|name| !goes(name));
        let stay = stay.chain(self.config.as_ref().map(|_| CONFIG)).map(|name| format!("--{name}"));
        let stay: Vec<String> = stay.collect();
        if !stay.is_empty() {
            anyhow::bail!(
                "--url names a gateway that runs already, which has settings of its own: it goes without {}",
                stay.join(", ")
            );
        }
        let mut at_gateway = AtGateway::default();
        for option in OPTIONS.iter().filter(|option| goes(option.name)) {
            let flag = self.flags.iter().find(|(name, _)| *name == option.name);
            let flag = flag.map(|(name, value)| (format!("--{name}"), value.clone()));
            let from_variable = || {
                let name = option.variable();
                variable(&name).filter(|value| !value.is_empty()).map(|value| (name, value))
            };
            let Some((origin, value)) = flag.or_else(from_variable) else { continue };
            let refused = |why: String| anyhow::anyhow!("{origin}: {why}");
            match session_option(option.name) {
                Some(session_option) => {
                    session_option.set(&mut Session::default(), &value).map_err(refused)?;
                    at_gateway.headers.push((session_option.header, value));
                }
                None => at_gateway.read_only = switch(&value).map_err(refused)?,
            }
        }
        Ok(at_gateway)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn args(flags: &[(&'static str, &str)]) -> OptionArgs<false> {
        OptionArgs { flags: flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(), config: None }
    }

    #[test]
    fn options_of_statements_go_to_a_gateway_that_runs_already() {
        let variable = |name: &str| match name {
            "ATHENA_FLIGHT_DATABASE" => Some("from_variable".to_owned()),
            "ATHENA_FLIGHT_WORKGROUP" => Some("also".to_owned()),
            "ATHENA_FLIGHT_CATALOG" => Some(String::new()),
            // Of a gateway on this machine.
            "ATHENA_FLIGHT_DEMO" | "ATHENA_FLIGHT_INSECURE" => Some("true".to_owned()),
            _ => None,
        };
        let given = args(&[("database", "flag"), ("result-path", "unload"), ("read-only", "true")]);
        let at_gateway = given.at_gateway_with(variable).expect("all of it goes there");
        let mut headers = at_gateway.headers;
        headers.sort();
        let expected =
            [("x-athena-database", "flag"), ("x-athena-result-path", "unload"), ("x-athena-workgroup", "also")];
        assert_eq!(headers, expected.map(|(name, value)| (name, value.to_owned())));
        assert!(at_gateway.read_only);
        assert_eq!(args(&[]).at_gateway_with(|_| None).expect("nothing"), AtGateway::default());
    }

    #[test]
    fn options_of_gateways_do_not() {
        for (flags, why) in [
            (&[("demo", "true")][..], "it goes without --demo"),
            (
                &[("database", "a"), ("profile", "b"), ("s3-staging-dir", "s3://b/")],
                "without --profile, --s3-staging-dir",
            ),
            (&[("result-path", "fast")], "--result-path: "),
            (&[("database", "")], "--database: it is empty"),
            (&[("read-only", "maybe")], "--read-only: \"maybe\" is neither true nor false"),
        ] {
            let refused = args(flags).at_gateway_with(|_| None).expect_err("refused").to_string();
            assert!(refused.contains(why), "{refused}");
        }
        let with_file = OptionArgs::<false> { flags: Vec::new(), config: Some("a.toml".into()) };
        assert!(with_file.at_gateway_with(|_| None).expect_err("refused").to_string().contains("--config"));
        let variable = |name: &str| (name == "ATHENA_FLIGHT_RESULT_PATH").then(|| "fast".to_owned());
        let refused = args(&[]).at_gateway_with(variable).expect_err("refused").to_string();
        assert!(refused.starts_with("ATHENA_FLIGHT_RESULT_PATH: "), "{refused}");
    }
}
