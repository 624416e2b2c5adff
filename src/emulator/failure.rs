//! The failures a statement can end in, with Trino's error names and Athena's error types (athena-behaviour, section 6).

use super::model::Failure;

/// A place in the SQL text, counted from 1 as Trino does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

const USER: i32 = 2;
const SYSTEM: i32 = 1;

fn user(error_type: i32, name: &str, at: Option<Position>, message: String) -> Failure {
    let message = match at {
        Some(Position { line, column }) => format!("{name}: line {line}:{column}: {message}"),
        None => format!("{name}: {message}"),
    };
    Failure { category: USER, error_type, message, retryable: false }
}

impl Failure {
    /// Text that is not a statement. Athena refuses it before an execution exists, without an error name in front.
    pub fn syntax(at: Position, message: impl std::fmt::Display) -> Self {
        Self {
            category: USER,
            error_type: 1006,
            message: format!("line {}:{}: {message}", at.line, at.column),
            retryable: false,
        }
    }

    pub fn table_not_found(at: Option<Position>, name: &str) -> Self {
        user(1301, "TABLE_NOT_FOUND", at, format!("Table '{name}' does not exist"))
    }

    pub fn schema_not_found(at: Option<Position>, name: &str) -> Self {
        user(1301, "SCHEMA_NOT_FOUND", at, format!("Schema '{name}' does not exist"))
    }

    pub fn catalog_not_found(at: Option<Position>, name: &str) -> Self {
        user(1301, "CATALOG_NOT_FOUND", at, format!("Catalog '{name}' does not exist"))
    }

    pub fn column_not_found(at: Option<Position>, name: &str) -> Self {
        user(1006, "COLUMN_NOT_FOUND", at, format!("Column '{name}' cannot be resolved"))
    }

    pub fn function_not_found(at: Option<Position>, name: &str) -> Self {
        user(1303, "FUNCTION_NOT_FOUND", at, format!("Function '{name}' not registered"))
    }

    pub fn type_mismatch(message: impl Into<String>) -> Self {
        user(1002, "TYPE_MISMATCH", None, message.into())
    }

    pub fn invalid_cast(message: impl Into<String>) -> Self {
        user(1100, "INVALID_CAST_ARGUMENT", None, message.into())
    }

    pub fn division_by_zero() -> Self {
        user(1001, "DIVISION_BY_ZERO", None, "Division by zero".into())
    }

    pub fn out_of_range(message: impl Into<String>) -> Self {
        user(1001, "NUMERIC_VALUE_OUT_OF_RANGE", None, message.into())
    }

    pub fn invalid_argument(message: impl Into<String>) -> Self {
        user(1001, "INVALID_FUNCTION_ARGUMENT", None, message.into())
    }

    /// A statement that is well-formed but wrong in a way that has no error name of its own here.
    pub fn invalid_query(message: impl Into<String>) -> Self {
        user(1006, "SYNTAX_ERROR", None, message.into())
    }

    pub fn not_supported(at: Option<Position>, what: impl std::fmt::Display) -> Self {
        user(1200, "NOT_SUPPORTED", at, format!("the embedded endpoint does not support {what}"))
    }

    /// What Athena's own engine refuses, in its words.
    pub fn unsupported(message: impl Into<String>) -> Self {
        user(1200, "NOT_SUPPORTED", None, message.into())
    }

    /// The caller lacks a permission that the query needs.
    pub fn permission(message: impl Into<String>) -> Self {
        user(1500, "PERMISSION_DENIED", None, message.into())
    }

    pub fn already_exists(name: &str, what: impl Into<String>) -> Self {
        user(1001, name, None, what.into())
    }

    /// Data that contradicts its table's definition.
    pub fn bad_data(message: impl Into<String>) -> Self {
        user(1001, "HIVE_BAD_DATA", None, message.into())
    }

    pub fn exceeded_memory(message: impl Into<String>) -> Self {
        let message = format!("EXCEEDED_LOCAL_MEMORY_LIMIT: {}", message.into());
        Self { category: SYSTEM, error_type: 1, message, retryable: true }
    }

    pub fn internal(message: impl std::fmt::Display) -> Self {
        let message = format!("GENERIC_INTERNAL_ERROR: {message}");
        Self { category: SYSTEM, error_type: 0, message, retryable: true }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
