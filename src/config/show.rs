//! `athena-flight config`: every option with its value, secrets hidden, and where it came from; as TOML, or as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::given::Given;
use super::options::{Kind, OPTIONS, Section};

/// What is in force, as a config file with comments.
pub fn as_toml(given: &Given) -> String {
    let mut text = String::new();
    for section in Section::ALL {
        let _ = writeln!(text, "# {}", section.title());
        for option in OPTIONS.iter().filter(|option| option.section == section) {
            let _ = match given.shown(option) {
                Some((value, origin)) => {
                    writeln!(text, "{} = {}  # from {origin}", option.name, literal(option.kind, value))
                }
                None if option.default.is_empty() => writeln!(text, "# {} is not set", option.name),
                None => writeln!(text, "# {} is not set: {}", option.name, option.default),
            };
        }
        text.push('\n');
    }
    for rule in &given.rules {
        let _ = writeln!(text, "[[rules]]\n{rule}");
    }
    text
}

fn literal(kind: Kind, value: &str) -> String {
    let is_plain = match kind {
        Kind::Switch => matches!(value, "true" | "false"),
        Kind::Number | Kind::Seconds => value.parse::<f64>().is_ok(),
        Kind::Text | Kind::List | Kind::Size | Kind::Path => false,
    };
    if is_plain { value.to_owned() } else { toml::Value::from(value).to_string() }
}

/// The same for programs.
pub fn as_json(given: &Given) -> Value {
    let option = |option: &super::options::ConfigOption| {
        let shown = given.shown(option);
        json!({
            "name": option.name,
            "value": shown.map(|(value, _)| value),
            "from": shown.map(|(_, origin)| origin.to_string()),
            "default": Some(option.default).filter(|default| !default.is_empty()),
        })
    };
    json!({ "options": OPTIONS.iter().map(option).collect::<Vec<_>>(), "rules": given.rules })
}

/// All options as the reference page has them.
pub fn as_markdown() -> String {
    let mut text = String::new();
    for section in Section::ALL {
        let _ = writeln!(
            text,
            "### {}\n\n| option | values | default | what it says |\n| --- | --- | --- | --- |",
            section.title()
        );
        for option in OPTIONS.iter().filter(|option| option.section == section) {
            let values = match option.kind {
                _ if option.secret => "secret: no flag",
                Kind::Text => "text",
                Kind::List => "texts",
                Kind::Switch => "`true`, `false`",
                Kind::Number => "number",
                Kind::Seconds => "seconds",
                Kind::Size => "size",
                Kind::Path => "path",
            };
            let _ = writeln!(text, "| `{}` | {values} | {} | {} |", option.name, option.default, option.what);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_page_has_every_option_as_it_is() {
        let page = include_str!("../../docs/configuration.md");
        assert!(
            page.contains(&as_markdown()),
            "put what `athena-flight config --format markdown` prints into the page"
        );
        for key in crate::config::rules::KEYS {
            assert!(page.contains(&format!("| `{key}` |")), "{key}");
        }
    }
}
