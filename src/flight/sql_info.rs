//! GetSqlInfo: what the server is and can, by id. Drivers ask for all of it at once and fail on what is missing or of
//! another type, so every id has a value of the type that FlightSql.proto and JDBC expect.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray as _, MapArray, RecordBatch, StructArray, UnionArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, UnionFields, UnionMode};
use arrow::error::ArrowError;
use arrow_flight::sql::metadata::SqlInfoDataBuilder;
use arrow_flight::sql::{
    CommandGetSqlInfo, SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity,
    SqlSupportedGroupBy, SqlSupportedResultSetType, SqlSupportedSubqueries, SqlSupportedTransaction,
    SqlSupportedUnions, SqlSupportsConvert, SqlTransactionIsolationLevel, SupportedSqlGrammar,
};
use tonic::Status;

use super::status;
use crate::statement::submit::MAX_STATEMENT_BYTES;

/// The reference's, which clients compare what they are given with. The arrow-flight crate's lists are nullable in it.
pub fn schema() -> SchemaRef {
    let value = DataType::Union(union_fields(), UnionMode::Dense);
    Arc::new(Schema::new(vec![Field::new("info_name", DataType::UInt32, false), Field::new("value", value, false)]))
}

fn union_fields() -> UnionFields {
    let list = |item| DataType::List(Arc::new(Field::new_list_field(item, true)));
    let fields = [
        ("string_value", DataType::Utf8),
        ("bool_value", DataType::Boolean),
        ("bigint_value", DataType::Int64),
        ("int32_bitmask", DataType::Int32),
        ("string_list", list(DataType::Utf8)),
        ("int32_to_int32_list_map", DataType::Map(map_entries(), false)),
    ];
    UnionFields::from_fields(fields.map(|(name, data_type)| Field::new(name, data_type, false)))
}

fn map_entries() -> FieldRef {
    let list = DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true)));
    let entries = [Field::new("key", DataType::Int32, false), Field::new("value", list, true)];
    Arc::new(Field::new("entries", DataType::Struct(entries.into_iter().collect()), false))
}

/// The crate's batch with the reference's schema.
fn as_reference(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let (_, type_ids, offsets, mut children) = batch.column(1).as_union().clone().into_parts();
    let (_, map_offsets, entries, nulls, ordered) = children[MAP].as_map().clone().into_parts();
    let (_, columns, entry_nulls) = entries.into_parts();
    let DataType::Struct(fields) = map_entries().data_type().clone() else {
        return Err(ArrowError::SchemaError("the entries of a map are a struct".to_owned()));
    };
    let entries = StructArray::try_new(fields, columns, entry_nulls)?;
    children[MAP] = Arc::new(MapArray::try_new(map_entries(), map_offsets, entries, nulls, ordered)?);
    let value = UnionArray::try_new(union_fields(), type_ids, offsets, children)?;
    RecordBatch::try_new(schema(), vec![Arc::clone(batch.column(0)), Arc::new(value)])
}

/// Where the map is among the kinds of values.
const MAP: usize = 5;

pub fn rows(command: CommandGetSqlInfo, read_only: bool) -> Result<RecordBatch, Status> {
    let data = build(read_only).build().map_err(status::internal)?;
    // Ids that are not known have no row.
    let batch = command.into_builder(&data).build().map_err(status::internal)?;
    as_reference(&batch).map_err(status::internal)
}

/// `1 << value` for each: a bit mask.
fn mask(values: &[i32]) -> i32 {
    values.iter().fold(0, |mask, value| mask | 1 << value)
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

fn build(read_only: bool) -> SqlInfoDataBuilder {
    let mut info = SqlInfoDataBuilder::new();
    server(&mut info, read_only);
    syntax(&mut info);
    support(&mut info);
    limits(&mut info);
    transactions(&mut info);
    info
}

fn server(info: &mut SqlInfoDataBuilder, read_only: bool) {
    info.append(SqlInfo::FlightSqlServerName, "athena-flight");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, ARROW_FORMAT_VERSION);
    info.append(SqlInfo::FlightSqlServerReadOnly, read_only);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(SqlInfo::FlightSqlServerSubstraitMinVersion, "");
    info.append(SqlInfo::FlightSqlServerSubstraitMaxVersion, "");
    info.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    info.append(SqlInfo::FlightSqlServerCancel, true);
    info.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    info.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    // Milliseconds; 0 is "no timeout": Athena's own ends a query after 30 minutes.
    info.append(SqlInfo::FlightSqlServerStatementTimeout, 0_i32);
    info.append(SqlInfo::FlightSqlServerTransactionTimeout, 0_i32);
}

/// The version of the Arrow format this server writes.
const ARROW_FORMAT_VERSION: &str = "1.5";

fn syntax(info: &mut SqlInfoDataBuilder) {
    info.append(SqlInfo::SqlDdlCatalog, false);
    info.append(SqlInfo::SqlDdlSchema, true);
    info.append(SqlInfo::SqlDdlTable, true);
    let folded = SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i64;
    info.append(SqlInfo::SqlIdentifierCase, folded);
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    let insensitive = SqlSupportedCaseSensitivity::SqlCaseSensitivityCaseInsensitive as i64;
    info.append(SqlInfo::SqlQuotedIdentifierCase, insensitive);
    info.append(SqlInfo::SqlAllTablesAreSelectable, false);
    info.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedAtEnd as i64);
    info.append(SqlInfo::SqlKeywords, words(KEYWORDS));
    info.append(SqlInfo::SqlNumericFunctions, words(NUMERIC_FUNCTIONS));
    info.append(SqlInfo::SqlStringFunctions, words(STRING_FUNCTIONS));
    info.append(SqlInfo::SqlSystemFunctions, words("if coalesce nullif try typeof"));
    info.append(SqlInfo::SqlDatetimeFunctions, words(DATETIME_FUNCTIONS));
    info.append(SqlInfo::SqlSearchStringEscape, "\\");
    info.append(SqlInfo::SqlExtraNameCharacters, "");
}

/// Reserved words of Athena's SELECT that SQL:2003 does not reserve, as JDBC wants them.
const KEYWORDS: &str = "CURRENT_CATALOG CURRENT_SCHEMA JSON_ARRAY JSON_EXISTS JSON_OBJECT JSON_QUERY JSON_TABLE \
                        JSON_VALUE LISTAGG NORMALIZE SKIP UESCAPE UNNEST";
const NUMERIC_FUNCTIONS: &str = "abs ceiling floor round power sqrt cbrt exp ln log2 log10 mod sin cos tan asin acos \
                                 atan atan2 degrees radians pi random sign truncate greatest least";
const STRING_FUNCTIONS: &str = "concat length lower upper trim ltrim rtrim lpad rpad replace reverse split split_part \
                                strpos substr regexp_extract regexp_like regexp_replace chr codepoint";
const DATETIME_FUNCTIONS: &str = "current_date current_timestamp now date date_add date_diff date_format date_parse \
                                  date_trunc from_unixtime to_unixtime year quarter month week day hour minute second \
                                  day_of_week day_of_year last_day_of_month";

fn support(info: &mut SqlInfoDataBuilder) {
    info.append(SqlInfo::SqlSupportsColumnAliasing, true);
    info.append(SqlInfo::SqlNullPlusNullIsNull, true);
    info.append(SqlInfo::SqlSupportsConvert, conversions());
    info.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    info.append(SqlInfo::SqlSupportsDifferentTableCorrelationNames, false);
    info.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    info.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    let beyond_select = SqlSupportedGroupBy::SqlGroupByBeyondSelect as i32;
    info.append(SqlInfo::SqlSupportedGroupBy, mask(&[SqlSupportedGroupBy::SqlGroupByUnrelated as i32, beyond_select]));
    info.append(SqlInfo::SqlSupportsLikeEscapeClause, true);
    info.append(SqlInfo::SqlSupportsNonNullableColumns, false);
    let grammars = [SupportedSqlGrammar::SqlMinimumGrammar as i32, SupportedSqlGrammar::SqlCoreGrammar as i32];
    info.append(SqlInfo::SqlSupportedGrammar, mask(&grammars));
    // Bit 0: entry level of SQL-92.
    info.append(SqlInfo::SqlAnsi92SupportedLevel, mask(&[0]));
    info.append(SqlInfo::SqlSupportsIntegrityEnhancementFacility, false);
    info.append(SqlInfo::SqlOuterJoinsSupportLevel, mask(&[SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32]));
    info.append(SqlInfo::SqlSchemaTerm, "database");
    info.append(SqlInfo::SqlProcedureTerm, "procedure");
    info.append(SqlInfo::SqlCatalogTerm, "catalog");
    info.append(SqlInfo::SqlCatalogAtStart, true);
    // Catalogs and schemas can be named in data manipulation (bit 2 would be privileges, bit 1 index definitions).
    info.append(SqlInfo::SqlSchemasSupportedActions, mask(&[0]));
    info.append(SqlInfo::SqlCatalogsSupportedActions, mask(&[0]));
    info.append(SqlInfo::SqlSupportedPositionedCommands, mask(&[]));
    info.append(SqlInfo::SqlSelectForUpdateSupported, false);
    info.append(SqlInfo::SqlStoredProceduresSupported, false);
    let subqueries = [
        SqlSupportedSubqueries::SqlSubqueriesInComparisons as i32,
        SqlSupportedSubqueries::SqlSubqueriesInExists as i32,
        SqlSupportedSubqueries::SqlSubqueriesInIns as i32,
        SqlSupportedSubqueries::SqlSubqueriesInQuantifieds as i32,
    ];
    info.append(SqlInfo::SqlSupportedSubqueries, mask(&subqueries));
    info.append(SqlInfo::SqlCorrelatedSubqueriesSupported, true);
    let unions = [SqlSupportedUnions::SqlUnion as i32, SqlSupportedUnions::SqlUnionAll as i32];
    info.append(SqlInfo::SqlSupportedUnions, mask(&unions));
}

/// CAST from and to, by SqlSupportsConvert's numbers: numbers, texts and times convert into each other.
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    use SqlSupportsConvert::*;
    let numbers = [
        SqlConvertBigint,
        SqlConvertDecimal,
        SqlConvertFloat,
        SqlConvertInteger,
        SqlConvertReal,
        SqlConvertSmallint,
        SqlConvertTinyint,
    ];
    let texts = [SqlConvertChar, SqlConvertVarchar];
    let times = [SqlConvertDate, SqlConvertTimestamp];
    let ids = |groups: &[&[SqlSupportsConvert]]| groups.concat().into_iter().map(|id| id as i32).collect::<Vec<i32>>();
    let mut conversions = BTreeMap::new();
    for from in numbers {
        conversions.insert(from as i32, ids(&[&numbers, &texts]));
    }
    for from in texts {
        conversions.insert(from as i32, ids(&[&numbers, &texts, &times]));
    }
    for from in times {
        conversions.insert(from as i32, ids(&[&texts, &times]));
    }
    conversions
}

/// 0 is "no limit, or not known".
fn limits(info: &mut SqlInfoDataBuilder) {
    for id in [
        SqlInfo::SqlMaxBinaryLiteralLength,
        SqlInfo::SqlMaxCharLiteralLength,
        SqlInfo::SqlMaxColumnsInGroupBy,
        SqlInfo::SqlMaxColumnsInIndex,
        SqlInfo::SqlMaxColumnsInOrderBy,
        SqlInfo::SqlMaxColumnsInSelect,
        SqlInfo::SqlMaxColumnsInTable,
        SqlInfo::SqlMaxConnections,
        SqlInfo::SqlMaxCursorNameLength,
        SqlInfo::SqlMaxIndexLength,
        SqlInfo::SqlMaxProcedureNameLength,
        SqlInfo::SqlMaxRowSize,
        SqlInfo::SqlMaxStatements,
        SqlInfo::SqlMaxTablesInSelect,
        SqlInfo::SqlMaxUsernameLength,
    ] {
        info.append(id, 0_i64);
    }
    // Names in Glue have at most 255 characters.
    for id in [
        SqlInfo::SqlMaxColumnNameLength,
        SqlInfo::SqlDbSchemaNameLength,
        SqlInfo::SqlMaxCatalogNameLength,
        SqlInfo::SqlMaxTableNameLength,
    ] {
        info.append(id, 255_i64);
    }
    info.append(SqlInfo::SqlMaxStatementLength, MAX_STATEMENT_BYTES as i64);
    info.append(SqlInfo::SqlMaxRowSizeIncludesBlobs, true);
}

fn transactions(info: &mut SqlInfoDataBuilder) {
    let none = SqlTransactionIsolationLevel::SqlTransactionNone;
    info.append(SqlInfo::SqlDefaultTransactionIsolation, none as i64);
    info.append(SqlInfo::SqlTransactionsSupported, false);
    info.append(SqlInfo::SqlSupportedTransactionsIsolationLevels, mask(&[none as i32]));
    info.append(SqlInfo::SqlDataDefinitionCausesTransactionCommit, false);
    info.append(SqlInfo::SqlDataDefinitionsInTransactionsIgnored, false);
    let forward_only = SqlSupportedResultSetType::SqlResultSetTypeForwardOnly;
    info.append(SqlInfo::SqlSupportedResultSetTypes, mask(&[forward_only as i32]));
    // Bit 1: read only.
    info.append(SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified, mask(&[]));
    info.append(SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly, mask(&[1]));
    info.append(SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive, mask(&[]));
    info.append(SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive, mask(&[]));
    for id in [
        SqlInfo::SqlBatchUpdatesSupported,
        SqlInfo::SqlSavepointsSupported,
        SqlInfo::SqlNamedParametersSupported,
        SqlInfo::SqlLocatorsUpdateCopy,
        SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported,
    ] {
        info.append(id, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FlightSql.proto, 0–11, 100–101, 500–576.
    #[test]
    fn every_id_has_a_value() {
        let all = rows(CommandGetSqlInfo { info: vec![] }, false).expect("a batch");
        let ids = all.column(0).as_any().downcast_ref::<arrow::array::UInt32Array>().expect("ids");
        let expected: Vec<u32> = (0..=11).chain(100..=101).chain(500..=576).collect();
        assert_eq!(ids.values().to_vec(), expected);
    }

    /// FlightSql.proto, at CommandGetSqlInfo: no kind of value is ever NULL.
    #[test]
    fn the_schema_is_the_references() {
        for info in [vec![], vec![508, 517], vec![0], vec![9999]] {
            let batch = rows(CommandGetSqlInfo { info: info.clone() }, false).expect("a batch");
            assert_eq!(batch.schema(), schema(), "{info:?}");
        }
        let schema = schema();
        let DataType::Union(fields, UnionMode::Dense) = schema.field(1).data_type() else { panic!("{schema}") };
        assert!(fields.iter().all(|(_, field)| !field.is_nullable()), "{fields:?}");
        let shown = |id| {
            let batch = rows(CommandGetSqlInfo { info: vec![id] }, false).expect("a batch");
            let formatter = arrow::util::display::ArrayFormatter::try_new(batch.column(1), &Default::default());
            formatter.expect("printable").value(0).to_string()
        };
        assert!(shown(SqlInfo::SqlKeywords as u32).contains("CURRENT_CATALOG"));
        assert!(shown(SqlInfo::SqlSupportsConvert as u32).contains("int32_to_int32_list_map={"));
    }
}
