//! Which statement a text is, with its parts, and what kind of answer Athena gives to it.

use datafusion::sql::sqlparser::ast::Query;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::alter::Change;
use super::cursor::{Cursor, Name};
use super::write::WriteOptions;
use super::{ddl, dialect, parameters, tokens};
use crate::emulator::failure::Position;
use crate::emulator::model::{Failure, Parameters};
use crate::types::AthenaType;

#[derive(Debug, Clone)]
pub enum Statement {
    Query(Box<Query>),
    Explain {
        query: Box<Query>,
        kind: ExplainType,
        format: ExplainFormat,
        /// The table that the rows of the query go into.
        output: Option<Name>,
    },
    CreateTableAs {
        name: Name,
        if_not_exists: bool,
        options: WriteOptions,
        query: Box<Query>,
        with_data: bool,
    },
    Insert {
        name: Name,
        columns: Option<Vec<String>>,
        query: Box<Query>,
    },
    Unload {
        query: Box<Query>,
        location: String,
        options: WriteOptions,
    },
    AlterTable {
        name: Name,
        change: Change,
    },
    AlterDatabase {
        name: Name,
        properties: Parameters,
    },
    Prepare {
        name: String,
        text: String,
    },
    Deallocate {
        name: String,
    },
    CreateDatabase {
        name: Name,
        if_not_exists: bool,
        comment: Option<String>,
        location: Option<String>,
        properties: Parameters,
    },
    DropDatabase {
        name: Name,
        if_exists: bool,
        cascade: bool,
    },
    CreateTable(Box<CreateTable>),
    DropTable {
        name: Name,
        if_exists: bool,
    },
    CreateView {
        name: Name,
        or_replace: bool,
        query: Box<Query>,
        text: String,
    },
    DropView {
        name: Name,
        if_exists: bool,
    },
    ShowDatabases {
        like: Option<String>,
    },
    ShowTables {
        database: Option<Name>,
        like: Option<String>,
    },
    ShowViews {
        database: Option<Name>,
        like: Option<String>,
    },
    ShowColumns(Name),
    ShowPartitions(Name),
    ShowCreateTable(Name),
    ShowCreateView(Name),
    ShowTableProperties {
        name: Name,
        key: Option<String>,
    },
    ShowFunctions {
        like: Option<String>,
    },
    Describe {
        name: Name,
        column: Option<String>,
    },
    MsckRepair(Name),
    /// Athena's grammar has it, the embedded endpoint does not run it.
    Unsupported {
        what: String,
        at: Position,
        substatement: &'static str,
        statement_type: &'static str,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExplainFormat {
    Text,
    Json,
    Graphviz,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExplainType {
    Logical,
    /// Keyed by fragment; what EXPLAIN shows unless told otherwise.
    Distributed,
    Validate,
    Io,
    /// EXPLAIN ANALYZE: the query is run.
    Analyze,
}

#[derive(Debug, Clone)]
pub struct CreateTable {
    pub name: Name,
    pub if_not_exists: bool,
    pub columns: Vec<ColumnDefinition>,
    pub partition_keys: Vec<ColumnDefinition>,
    pub comment: Option<String>,
    pub serde: Option<String>,
    pub serde_properties: Parameters,
    pub stored_as: Option<String>,
    pub input_format: Option<String>,
    pub output_format: Option<String>,
    pub location: String,
    pub properties: Parameters,
}

#[derive(Debug, Clone)]
pub struct ColumnDefinition {
    pub name: String,
    pub data_type: AthenaType,
    pub comment: Option<String>,
}

/// The facts of the table in athena-behaviour, section 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub statement_type: &'static str,
    pub substatement: &'static str,
    pub object: Object,
    /// Whether the first row of `GetQueryResults` and the first line of a `.txt` are column names.
    pub has_header: bool,
    pub update_count: Option<i64>,
}

/// The result object below the output location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// `<id>` with this ending.
    Ending(&'static str),
    /// `tables/<id>`, the folder of a new table.
    Table,
    /// None; what tells of the statement lies beside.
    None,
}

impl Object {
    /// Where a query's object is, or would be, below a folder.
    pub fn location(self, folder: &str, id: &str) -> Option<String> {
        let folder = folder.trim_end_matches('/');
        match self {
            Self::Ending(ending) => Some(format!("{folder}/{id}{ending}")),
            Self::Table => Some(format!("{folder}/tables/{id}")),
            Self::None => None,
        }
    }
}

impl Statement {
    pub fn kind(&self) -> Kind {
        let ddl = |substatement| Kind {
            statement_type: "DDL",
            substatement,
            object: Object::Ending(".txt"),
            has_header: false,
            update_count: None,
        };
        let dml = |substatement| Kind { statement_type: "DML", object: Object::None, ..ddl(substatement) };
        let utility = |substatement| Kind {
            statement_type: "UTILITY",
            substatement,
            object: Object::Ending(".txt"),
            has_header: false,
            update_count: Some(0),
        };
        match self {
            Self::Query(_) => Kind {
                statement_type: "DML",
                substatement: "SELECT",
                object: Object::Ending(".csv"),
                has_header: true,
                update_count: Some(0),
            },
            Self::Explain { .. } => Kind {
                statement_type: "DML",
                substatement: "EXPLAIN",
                object: Object::Ending(".txt"),
                has_header: true,
                update_count: None,
            },
            Self::CreateDatabase { .. } => ddl("CREATE_DATABASE"),
            Self::DropDatabase { .. } => ddl("DROP_DATABASE"),
            Self::CreateTable(_) => ddl("CREATE_TABLE"),
            Self::DropTable { .. } => ddl("DROP_TABLE"),
            Self::CreateView { .. } => ddl("CREATE_VIEW"),
            Self::DropView { .. } => ddl("DROP_VIEW"),
            Self::CreateTableAs { .. } => Kind { object: Object::Table, ..ddl("CREATE_TABLE_AS_SELECT") },
            Self::Insert { .. } => dml("INSERT"),
            Self::Unload { .. } => dml("UNLOAD"),
            Self::AlterTable { change, .. } => ddl(change.substatement()),
            Self::AlterDatabase { .. } => ddl("ALTER_DATABASE_SET_DBPROPERTIES"),
            Self::Prepare { .. } => ddl("PREPARE"),
            Self::Deallocate { .. } => ddl("DEALLOCATE_PREPARE"),
            Self::MsckRepair(_) => ddl("MSCK_REPAIR"),
            Self::ShowDatabases { .. } => utility("SHOW_DATABASES"),
            Self::ShowTables { .. } => utility("SHOW_TABLES"),
            Self::ShowViews { .. } => utility("SHOW_VIEWS"),
            Self::ShowColumns(_) => utility("SHOW_COLUMNS"),
            Self::ShowPartitions(_) => utility("SHOW_PARTITIONS"),
            Self::ShowCreateTable(_) => Kind { update_count: None, ..utility("SHOW_CREATE_TABLE") },
            Self::ShowCreateView(_) => utility("SHOW_CREATE_VIEW"),
            Self::ShowTableProperties { .. } => utility("SHOW_TBLPROPERTIES"),
            Self::ShowFunctions { .. } => Kind { has_header: true, ..utility("SHOW_FUNCTIONS") },
            Self::Describe { .. } => Kind { update_count: None, ..utility("DESCRIBE_TABLE") },
            Self::Unsupported { substatement, statement_type, .. } => {
                Kind { statement_type, substatement, object: Object::None, has_header: false, update_count: None }
            }
        }
    }
}

/// What Athena's grammar has and we do not run: first words, type, substatement.
const UNSUPPORTED: [(&str, &str, &str); 8] = [
    ("UPDATE", "DML", "UPDATE"),
    ("DELETE", "DML", "DELETE"),
    ("MERGE", "DML", "MERGE"),
    ("OPTIMIZE", "DDL", "OPTIMIZE"),
    ("VACUUM", "DDL", "VACUUM"),
    ("GRANT", "DDL", "GRANT"),
    ("REVOKE", "DDL", "REVOKE"),
    ("ANALYZE", "DDL", "ANALYZE"),
];

/// Statements longer than this are read on a stack of their own: their trees may be deep until that is checked.
const SMALL_BYTES: usize = 4096;
const LARGE_STACK_BYTES: usize = 256 << 20;

/// Reads one statement. An error means that the call that brought the text fails; nothing is recorded.
pub fn parse(sql: &str, values: &[String]) -> Result<Statement, Failure> {
    let size = sql.len() + values.iter().map(String::len).sum::<usize>();
    if size <= SMALL_BYTES {
        return parse_on_this_stack(sql, values);
    }
    stacker::grow(LARGE_STACK_BYTES, || parse_on_this_stack(sql, values))
}

fn parse_on_this_stack(sql: &str, values: &[String]) -> Result<Statement, Failure> {
    let mut tokens = tokens::tokens(sql)?;
    while tokens.last().is_some_and(|token| token.token == Token::SemiColon) {
        tokens.pop();
    }
    if tokens.iter().any(|token| token.token == Token::SemiColon) {
        let at = Position { line: 1, column: 1 };
        return Err(Failure::syntax(at, format!("Only one sql statement is allowed. Got: {sql}")));
    }
    // What is prepared keeps its placeholders.
    let prepares = matches!(tokens.first(), Some(first) if first.token.to_string().eq_ignore_ascii_case("prepare"));
    let placeholders = parameters::count(&tokens);
    if placeholders > 0 && !prepares {
        if values.len() != placeholders {
            let at = Position { line: 1, column: 1 };
            let found = values.len();
            return Err(Failure::syntax(
                at,
                format!("Incorrect number of parameters: expected {placeholders} but found {found}"),
            ));
        }
        tokens = parameters::bind(tokens, values);
    }
    dialect::check_operators(&tokens)?;
    statement(&mut Cursor::new(sql, tokens))
}

fn statement(cursor: &mut Cursor<'_>) -> Result<Statement, Failure> {
    let starts_query = ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| cursor.next_is(word));
    if starts_query || cursor.peek().token == Token::LParen {
        return Ok(Statement::Query(query(cursor)?));
    }
    if cursor.accept("EXPLAIN") {
        return explain(cursor);
    }
    for (word, statement_type, substatement) in UNSUPPORTED {
        if cursor.next_is(word) {
            return Ok(Statement::Unsupported {
                what: word.into(),
                at: cursor.position(),
                substatement,
                statement_type,
            });
        }
    }
    ddl::statement(cursor)
}

/// Reads the rest as a query.
pub fn query(cursor: &Cursor<'_>) -> Result<Box<Query>, Failure> {
    dialect::query(cursor.rest(), cursor.end())
}

fn explain(cursor: &mut Cursor<'_>) -> Result<Statement, Failure> {
    let at = cursor.position();
    let analyze = cursor.accept("ANALYZE");
    let _ = analyze && cursor.accept("VERBOSE");
    let (mut kind, mut format) = (None, ExplainFormat::Text);
    // `EXPLAIN (SELECT …)` is a query in brackets, `EXPLAIN (FORMAT JSON) SELECT …` has options.
    if cursor.peek().token == Token::LParen && (cursor.nth_is(1, "TYPE") || cursor.nth_is(1, "FORMAT")) {
        cursor.advance();
        loop {
            let place = cursor.position();
            if cursor.accept("FORMAT") {
                format = match cursor.identifier()?.as_str() {
                    "text" => ExplainFormat::Text,
                    "json" => ExplainFormat::Json,
                    "graphviz" => ExplainFormat::Graphviz,
                    other => {
                        return Err(Failure::syntax(
                            place,
                            format!("mismatched input '{other}'. Expecting: 'GRAPHVIZ', 'JSON', 'TEXT'"),
                        ));
                    }
                };
            } else {
                cursor.expect("TYPE")?;
                kind = Some(match cursor.identifier()?.as_str() {
                    "logical" => ExplainType::Logical,
                    "distributed" => ExplainType::Distributed,
                    "validate" => ExplainType::Validate,
                    "io" => ExplainType::Io,
                    other => {
                        return Err(Failure::syntax(
                            place,
                            format!(
                                "mismatched input '{other}'. Expecting: 'DISTRIBUTED', 'IO', 'LOGICAL', 'VALIDATE'"
                            ),
                        ));
                    }
                });
            }
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
    }
    let kind = match (analyze, kind) {
        (true, None) => ExplainType::Analyze,
        (true, Some(_)) => return Err(Failure::syntax(at, "EXPLAIN ANALYZE has no TYPE")),
        (false, kind) => kind.unwrap_or(ExplainType::Distributed),
    };
    match statement(cursor)? {
        Statement::Query(query) | Statement::Unload { query, .. } => {
            Ok(Statement::Explain { query, kind, format, output: None })
        }
        Statement::CreateTableAs { name, query, .. } | Statement::Insert { name, query, .. } => {
            Ok(Statement::Explain { query, kind, format, output: Some(name) })
        }
        other => {
            let kind = other.kind().substatement;
            Err(Failure::not_supported(Some(at), format!("EXPLAIN of {kind}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(sql: &str) -> String {
        match parse(sql, &[]) {
            Ok(statement) => statement.kind().substatement.to_owned(),
            Err(failure) => failure.message,
        }
    }

    #[test]
    fn statements_are_told_apart() {
        for (sql, expected) in [
            ("select 1", "SELECT"),
            (" -- a comment\n/* another */ SELECT 1;", "SELECT"),
            ("(select 1) union all (select 2)", "SELECT"),
            ("with x as (select 1 as a) select * from x", "SELECT"),
            ("values (1, 'a')", "SELECT"),
            ("table tpch.nation", "SELECT"),
            ("explain select 1", "EXPLAIN"),
            ("EXPLAIN (TYPE LOGICAL, FORMAT JSON) select 1", "EXPLAIN"),
            ("create database if not exists a comment 'x'", "CREATE_DATABASE"),
            ("create external table a.b (x int, s struct<a:int,b:array<string>>) location 's3://b/c/'", "CREATE_TABLE"),
            ("create or replace view v as select 1 as x", "CREATE_VIEW"),
            ("show tables in tpch 'l*'", "SHOW_TABLES"),
            ("show columns in lineitem from tpch", "SHOW_COLUMNS"),
            ("describe tpch.lineitem", "DESCRIBE_TABLE"),
            ("msck repair table a.b", "MSCK_REPAIR"),
            ("insert into a values (1)", "INSERT"),
            ("insert into a (x, y) select 1, 2", "INSERT"),
            ("insert into a (select 1)", "INSERT"),
            (
                "create table t with (format = 'PARQUET', partitioned_by = ARRAY['d']) as select 1 as x, 2 as d",
                "CREATE_TABLE_AS_SELECT",
            ),
            ("create table t as select 1 as x with no data", "CREATE_TABLE_AS_SELECT"),
            ("unload (select 1 as x) to 's3://b/p/' with (format = 'JSON')", "UNLOAD"),
            ("unload (select 1 as x) to 's3://b/p/'", "line 1:38: UNLOAD needs WITH (format = '…')"),
            (
                "alter table t add if not exists partition (d = '1') location 's3://b/p/' partition (d = 2)",
                "ALTER_TABLE_ADD_PARTITION",
            ),
            ("alter table t drop partition (d = '1'), partition (d = '2')", "ALTER_TABLE_DROP_PARTITION"),
            ("alter table t add columns (x int)", "ALTER_TABLE_ADD_COLUMNS"),
            ("alter table t set tblproperties ('a' = 'b')", "ALTER_TABLE_SET_TBLPROPERTIES"),
            ("alter database d set dbproperties ('a' = 'b')", "ALTER_DATABASE_SET_DBPROPERTIES"),
            ("prepare p from select ?", "PREPARE"),
            ("deallocate prepare p", "DEALLOCATE_PREPARE"),
            ("explain analyze verbose select 1", "EXPLAIN"),
            ("explain (type io, format json) insert into a select 1", "EXPLAIN"),
            ("selec 1", "line 1:1: mismatched input 'selec'. Expecting: <statement>"),
            ("", "line 1:1: mismatched input '<EOF>'. Expecting: <statement>"),
            ("select 1 from", "line 1:14: mismatched input '<EOF>'. Expecting: identifier"),
            ("select 1; select 2", "line 1:1: Only one sql statement is allowed. Got: select 1; select 2"),
            ("select /* 1", "line 1:8: mismatched input '/'"),
            ("select ?", "line 1:1: Incorrect number of parameters: expected 1 but found 0"),
        ] {
            assert_eq!(kind(sql), expected, "{sql}");
        }
    }

    #[test]
    fn parameters_are_expressions_or_strings() {
        for (value, expected) in [
            ("1", "SELECT 1"),
            ("1 + 1", "SELECT (1 + 1)"),
            ("'it''s'", "SELECT 'it''s'"),
            ("now()", "SELECT (now())"),
            ("it's", "SELECT 'it''s'"),
            ("abc", "SELECT 'abc'"),
            ("1; drop table x", "SELECT '1; drop table x'"),
            ("NULL", "SELECT NULL"),
        ] {
            let statement = parse("select ?", &[value.to_owned()]).expect("a statement");
            let Statement::Query(query) = statement else { panic!("{statement:?}") };
            assert_eq!(query.to_string(), expected);
        }
    }
}
