//! What was said: flags over environment over file, each value with where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::options::{ConfigOption, Kind, OPTIONS, nearest};

/// Largest config file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// The one key that is no option: rules for principals and groups.
const RULES: &str = "rules";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Flag,
    Variable(String),
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// All values that were given, and what was wrong with giving them.
#[derive(Default)]
pub struct Given {
    values: BTreeMap<&'static str, (String, Origin)>,
    /// `[[rules]]` of the file, not read yet.
    pub rules: Vec<toml::Table>,
    pub faults: Vec<String>,
}

impl Given {
    /// Puts the sources together. A later one is asked only where those before say nothing.
    pub fn collect(
        flags: impl IntoIterator<Item = (&'static str, String)>,
        variable: impl Fn(&str) -> Option<String>,
        file: Option<&Path>,
    ) -> Self {
        let mut given = Self::default();
        for (name, text) in flags {
            given.values.insert(name, (text, Origin::Flag));
        }
        for option in OPTIONS {
            let name = option.variable();
            // Compose files and the like set what they have no value for to nothing.
            if let Some(text) = variable(&name).filter(|text| !text.is_empty()) {
                given.values.entry(option.name).or_insert((text, Origin::Variable(name)));
            }
        }
        if let Some(path) = file {
            given.read_file(path);
        }
        given
    }

    fn read_file(&mut self, path: &Path) {
        let said = |why: &dyn fmt::Display| format!("config file {}: {why}", path.display());
        let text = match std::fs::metadata(path).and_then(|metadata| match metadata.len() {
            0..=MAX_FILE_BYTES => std::fs::read_to_string(path),
            _ => Err(std::io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes"))),
        }) {
            Ok(text) => text,
            Err(error) => return self.faults.push(said(&error)),
        };
        let table: toml::Table = match toml::from_str(&text) {
            Ok(table) => table,
            // The parser quotes the line, which may have a secret in it: only the place and the reason are told.
            Err(error) => {
                let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].lines().count().max(1));
                return self.faults.push(said(&format!("line {line}: {}", error.message())));
            }
        };
        for (key, value) in table {
            if key == RULES {
                match read_rules(value) {
                    Some(rules) => self.rules = rules,
                    None => self.faults.push(said(&"rules are tables: [[rules]]")),
                }
                continue;
            }
            let Some(option) = ConfigOption::find(&key) else {
                let known = OPTIONS.iter().map(|option| option.name).chain([RULES]);
                let hint = nearest(&key, known).map_or(String::new(), |name| format!(": did you mean {name}?"));
                self.faults.push(said(&format!("there is no option {key:?}{hint}")));
                continue;
            };
            match text_of(option.kind, value) {
                Some(text) => {
                    self.values.entry(option.name).or_insert((text, Origin::File(path.to_owned())));
                }
                None => self.faults.push(said(&format!("{key}: a value is {}", option.kind.value_name()))),
            }
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(text, _)| text.as_str())
    }

    /// The value of an option as it may be shown, and where it came from.
    pub fn shown(&self, option: &ConfigOption) -> Option<(&str, &Origin)> {
        let (text, origin) = self.values.get(option.name)?;
        Some((if option.secret { HIDDEN } else { text }, origin))
    }
}

/// What is shown of a secret.
const HIDDEN: &str = "(hidden)";

fn read_rules(value: toml::Value) -> Option<Vec<toml::Table>> {
    let toml::Value::Array(rules) = value else { return None };
    rules.into_iter().map(|rule| if let toml::Value::Table(rule) = rule { Some(rule) } else { None }).collect()
}

/// A value of the file as a flag would give it.
fn text_of(kind: Kind, value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) if kind != Kind::Switch => Some(number.to_string()),
        toml::Value::Float(number) if kind == Kind::Number => Some(number.to_string()),
        toml::Value::Boolean(value) if kind == Kind::Switch => Some(value.to_string()),
        toml::Value::Array(items) if kind == Kind::List => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            Some(texts?.join(","))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("athena-flight.toml");
        std::fs::write(
            &file,
            "workgroup = \"file\"\ndatabase = \"file\"\ncatalog = \"file\"\nmax-attempts = 3\nread-only = true\n\
             role-arn = [\"a\", \"b\"]\nworkgrup = 1\nregion = [1]\nsecret-access-key = \"canary\"\n[[rules]]\ngroup = \"g\"\n",
        )
        .expect("written");
        let variable = |name: &str| match name {
            "ATHENA_FLIGHT_DATABASE" | "ATHENA_FLIGHT_WORKGROUP" => Some("variable".to_owned()),
            "ATHENA_FLIGHT_CATALOG" => Some(String::new()),
            _ => None,
        };
        let given = Given::collect([("workgroup", "flag".to_owned())], variable, Some(&file));
        let values = ["workgroup", "database", "catalog", "max-attempts", "read-only", "role-arn", "listen"];
        let values: Vec<_> = values.iter().map(|name| given.get(name)).collect();
        let expected = ["flag", "variable", "file", "3", "true", "a,b"].map(Some);
        assert_eq!(values, [&expected[..], &[None]].concat());
        assert_eq!(given.rules.len(), 1);
        assert_eq!(given.faults.len(), 2, "{:?}", given.faults);
        assert!(given.faults.iter().any(|fault| fault.contains("did you mean workgroup?")), "{:?}", given.faults);
        let secret = ConfigOption::find("secret-access-key").expect("known");
        assert_eq!(given.shown(secret), Some((HIDDEN, &Origin::File(file))));
    }

    #[test]
    fn a_broken_file_is_named_without_its_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("broken.toml");
        std::fs::write(&file, "region = \"x\"\nsecret-access-key = canary\n").expect("written");
        let given = Given::collect([], |_| None, Some(&file));
        assert!(given.faults.len() == 1 && given.faults[0].contains("line 2"), "{:?}", given.faults);
        assert!(!given.faults[0].contains("canary"), "{:?}", given.faults);
        let given = Given::collect([], |_| None, Some(&folder.path().join("none.toml")));
        assert!(given.faults[0].contains("none.toml"), "{:?}", given.faults);
    }
}
