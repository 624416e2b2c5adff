//! What DataFusion's names stand for: the output's columns as they are shown, and where names stand in the text.

use std::collections::HashMap;

use crate::emulator::failure::Position;

/// Names of expressions that have none; shown as `_col<position>`.
pub const ANONYMOUS: &str = "__anonymous_";
/// Second and later columns of one name.
pub const DUPLICATE: &str = "__duplicate_";

/// Internal column names → the ones shown.
#[derive(Debug, Default)]
pub struct OutputNames(pub(super) HashMap<String, String>);

impl OutputNames {
    /// Whether an output column has no name of its own.
    pub fn is_anonymous(&self, internal: &str) -> bool {
        !self.0.contains_key(internal) && internal.starts_with(ANONYMOUS)
    }

    /// The name of the `index`th output column, which DataFusion calls `internal`.
    pub fn display(&self, index: usize, internal: &str) -> String {
        match self.0.get(internal) {
            Some(name) => name.clone(),
            None if internal.starts_with(ANONYMOUS) => format!("_col{index}"),
            None => internal.to_owned(),
        }
    }
}

/// Where names stand in the text, for error messages.
#[derive(Debug, Default)]
pub struct Places {
    pub(super) relations: HashMap<String, Position>,
    pub(super) columns: HashMap<String, Position>,
}

impl Places {
    pub fn relation(&self, name: &str) -> Option<Position> {
        self.relations.get(name).copied()
    }

    /// The place of the first relation that names this schema or catalog.
    pub fn relation_in(&self, qualifier: &str) -> Option<Position> {
        let within = |name: &str| name.split('.').rev().skip(1).any(|part| part == qualifier);
        self.relations.iter().find(|(name, _)| within(name)).map(|(_, place)| *place)
    }

    pub fn column(&self, name: &str) -> Option<Position> {
        self.columns.get(name).copied()
    }
}
