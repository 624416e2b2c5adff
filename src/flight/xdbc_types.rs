//! GetXdbcTypeInfo: Athena's types as ODBC and JDBC know types.

use std::sync::LazyLock;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{CommandGetXdbcTypeInfo, Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};
use tonic::Status;

use super::status;

pub fn schema() -> Result<SchemaRef, Status> {
    Ok(data()?.schema())
}

pub fn rows(command: CommandGetXdbcTypeInfo) -> Result<RecordBatch, Status> {
    command.into_builder(data()?).build().map_err(status::internal)
}

fn data() -> Result<&'static XdbcTypeInfoData, Status> {
    static DATA: LazyLock<Result<XdbcTypeInfoData, String>> = LazyLock::new(|| {
        let mut builder = XdbcTypeInfoDataBuilder::new();
        types().into_iter().for_each(|info| builder.append(info));
        builder.build().map_err(|error| error.to_string())
    });
    DATA.as_ref().map_err(status::internal)
}

/// A type with what most have in common: nullable, searchable, no literal marks.
fn base(name: &str, data_type: XdbcDataType, column_size: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type,
        column_size: Some(column_size),
        literal_prefix: None,
        literal_suffix: None,
        create_params: None,
        nullable: Nullable::NullabilityNullable,
        case_sensitive: false,
        searchable: Searchable::Full,
        unsigned_attribute: None,
        fixed_prec_scale: false,
        auto_increment: None,
        local_type_name: Some(name.to_owned()),
        minimum_scale: None,
        maximum_scale: None,
        sql_data_type: data_type,
        datetime_subcode: None,
        num_prec_radix: None,
        interval_precision: None,
    }
}

/// `digits` are decimal.
fn number(name: &str, data_type: XdbcDataType, digits: i32, scale: Option<(i32, i32)>) -> XdbcTypeInfo {
    XdbcTypeInfo {
        unsigned_attribute: Some(false),
        auto_increment: Some(false),
        num_prec_radix: Some(10),
        minimum_scale: scale.map(|(least, _)| least),
        maximum_scale: scale.map(|(_, most)| most),
        ..base(name, data_type, digits)
    }
}

fn text(name: &str, data_type: XdbcDataType, length: i32, params: Option<&str>) -> XdbcTypeInfo {
    XdbcTypeInfo {
        literal_prefix: Some("'".to_owned()),
        literal_suffix: Some("'".to_owned()),
        create_params: params.map(|params| vec![params.to_owned()]),
        case_sensitive: true,
        ..base(name, data_type, length)
    }
}

fn time(name: &str, data_type: XdbcDataType, length: i32, subcode: XdbcDatetimeSubcode) -> XdbcTypeInfo {
    XdbcTypeInfo {
        literal_prefix: Some(format!("{} '", name.to_uppercase())),
        literal_suffix: Some("'".to_owned()),
        sql_data_type: XdbcDataType::XdbcDatetime,
        datetime_subcode: Some(subcode),
        ..base(name, data_type, length)
    }
}

/// By data type, as the protocol wants them.
fn types() -> Vec<XdbcTypeInfo> {
    use XdbcDataType::*;
    let mut types = vec![
        base("boolean", XdbcBit, 1),
        number("tinyint", XdbcTinyint, 3, Some((0, 0))),
        number("smallint", XdbcSmallint, 5, Some((0, 0))),
        number("integer", XdbcInteger, 10, Some((0, 0))),
        number("bigint", XdbcBigint, 19, Some((0, 0))),
        number("real", XdbcReal, 7, None),
        number("double", XdbcDouble, 15, None),
        XdbcTypeInfo {
            create_params: Some(vec!["precision".to_owned(), "scale".to_owned()]),
            ..number("decimal", XdbcDecimal, 38, Some((0, 38)))
        },
        text("char", XdbcChar, 255, Some("length")),
        text("varchar", XdbcVarchar, i32::MAX, Some("length")),
        text("json", XdbcLongvarchar, i32::MAX, None),
        XdbcTypeInfo {
            literal_prefix: Some("X'".to_owned()),
            literal_suffix: Some("'".to_owned()),
            ..base("varbinary", XdbcVarbinary, i32::MAX)
        },
        // In FlightSql.proto XDBC_SUBCODE_DATE is another name of XDBC_SUBCODE_YEAR.
        time("date", XdbcDate, 10, XdbcDatetimeSubcode::XdbcSubcodeYear),
        time("time", XdbcTime, 15, XdbcDatetimeSubcode::XdbcSubcodeTime),
        time("timestamp", XdbcTimestamp, 26, XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
        time("timestamp with time zone", XdbcTimestamp, 32, XdbcDatetimeSubcode::XdbcSubcodeTimestampWithTimezone),
    ];
    types.sort_by_key(|info| info.data_type as i32);
    types
}
