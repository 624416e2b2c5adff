//! Every scalar type of the type table, its extremes and NULL, from SQL to Arrow; and Trino's result types.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use arrow::util::display::array_value_to_string;

use crate::server::Server;

fn cell(batch: &RecordBatch, column: usize) -> String {
    let array = batch.column(column);
    if array.is_null(0) { "NULL".to_owned() } else { array_value_to_string(array, 0).expect("printable") }
}

#[tokio::test]
async fn scalar_types_arrive_typed() {
    let server = Server::empty().await;
    let micros = TimeUnit::Microsecond;
    let utc = DataType::Timestamp(micros, Some("UTC".into()));
    for (expression, data_type, text) in [
        ("true", DataType::Boolean, "true"),
        ("CAST(-128 AS tinyint)", DataType::Int8, "-128"),
        ("CAST(32767 AS smallint)", DataType::Int16, "32767"),
        ("2147483647", DataType::Int32, "2147483647"),
        ("2147483648", DataType::Int64, "2147483648"),
        ("CAST(1.5 AS real)", DataType::Float32, "1.5"),
        ("1.5", DataType::Float64, "1.5"),
        ("infinity()", DataType::Float64, "inf"),
        ("nan()", DataType::Float64, "NaN"),
        ("1e100", DataType::Float64, "1e100"),
        ("DECIMAL '-1.50'", DataType::Decimal128(3, 2), "-1.50"),
        (
            "DECIMAL '99999999999999999999999999999999999999'",
            DataType::Decimal128(38, 0),
            "99999999999999999999999999999999999999",
        ),
        ("''", DataType::Utf8, ""),
        ("'😀 \"quoted\", and ''more''\nlines'", DataType::Utf8, "😀 \"quoted\", and 'more'\nlines"),
        ("CAST('ab' AS char(4))", DataType::Utf8, "ab  "),
        ("X'00ff'", DataType::Binary, "00ff"),
        ("DATE '9999-12-31'", DataType::Date32, "9999-12-31"),
        ("DATE '0001-01-01'", DataType::Date32, "0001-01-01"),
        ("TIME '23:59:59.123456'", DataType::Time64(micros), "23:59:59.123456"),
        ("TIMESTAMP '9999-12-31 23:59:59.999999'", DataType::Timestamp(micros, None), "9999-12-31T23:59:59.999999"),
        ("TIMESTAMP '1969-12-31 23:59:59'", DataType::Timestamp(micros, None), "1969-12-31T23:59:59"),
        ("TIMESTAMP '2026-07-01 12:00:00 Europe/Berlin'", utc.clone(), "2026-07-01T10:00:00Z"),
        ("TIMESTAMP '2026-07-01 12:00:00 UTC'", utc, "2026-07-01T12:00:00Z"),
        ("INTERVAL '14' MONTH", DataType::Interval(IntervalUnit::YearMonth), "1 years 2 mons"),
        ("INTERVAL '2' DAY", DataType::Duration(TimeUnit::Millisecond), "PT172800S"),
        ("JSON '{\"a\":1}'", DataType::Utf8, "{\"a\":1}"),
        (
            "CAST('12151fd2-7586-11e9-8f9e-2a86e4085a59' AS uuid)",
            DataType::Utf8,
            "12151fd2-7586-11e9-8f9e-2a86e4085a59",
        ),
        ("CAST('10.0.0.1' AS ipaddress)", DataType::Utf8, "10.0.0.1"),
    ] {
        let sql = format!("SELECT {expression}, nullif({expression}, {expression})");
        // NaN equals nothing, and is not NULL.
        let null = if expression == "nan()" { "NaN" } else { "NULL" };
        let batches = server.query(&sql).await;
        assert_eq!(batches[0].column(0).data_type(), &data_type, "{expression}");
        assert_eq!((cell(&batches[0], 0).as_str(), cell(&batches[0], 1).as_str()), (text, null), "{expression}");
    }
}

#[tokio::test]
async fn a_timestamp_too_fine_for_arrow_is_an_error() {
    let server = Server::empty().await;
    let mut client = server.client().await;
    let sql = "SELECT TIMESTAMP '2026-01-01 00:00:00.123456789' AS fine";
    let error = client.execute(sql.to_owned(), None).await.expect_err("nanoseconds do not fit").to_string();
    assert!(error.contains("fine") && error.contains("CAST(… AS timestamp(6))"), "{error}");
}

#[tokio::test]
async fn expressions_have_trinos_types() {
    let server = Server::empty().await;
    for (expression, expected) in [
        ("typeof(1)", "integer"),
        ("typeof(3000000000)", "bigint"),
        ("typeof(1.5)", "double"),
        ("typeof(DECIMAL '1.5')", "decimal(2,1)"),
        ("typeof(1 + 2)", "integer"),
        ("typeof(7 / 2)", "integer"),
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("7 % -2", "1"),
        ("typeof(DECIMAL '1.5' * DECIMAL '1.25')", "decimal(5,3)"),
        ("typeof(DECIMAL '1.5' + 1)", "decimal(12,1)"),
        ("DECIMAL '10' / DECIMAL '3.00'", "3.33"),
        ("DECIMAL '2' / DECIMAL '3.00'", "0.67"),
        ("CAST(1.5 AS integer)", "2"),
        ("CAST(2.5 AS bigint)", "3"),
        ("CAST(-0.5 AS integer)", "-1"),
        ("CAST(DECIMAL '1.5' AS integer)", "2"),
        ("CAST(1.5 AS varchar)", "1.5E0"),
        ("CAST('abc' AS varchar(2))", "ab"),
        ("TRY_CAST('x' AS integer)", "NULL"),
        ("CAST(true AS integer)", "1"),
        ("CAST('2026-01-02' AS timestamp)", "2026-01-02T00:00:00"),
        ("round(DECIMAL '2.55', 1)", "2.60"),
        ("round(-2.5)", "-3.0"),
        ("greatest(1, NULL)", "NULL"),
        ("concat('a', NULL)", "NULL"),
        ("substr('hello', -3)", "llo"),
        ("substr('hello', 0)", ""),
        ("'a\\b' LIKE 'a\\_'", "true"),
        ("'a_b' LIKE 'a!_b' ESCAPE '!'", "true"),
        ("split_part('a,b', ',', 3)", "NULL"),
        ("date_add('month', 1, DATE '2026-01-31')", "2026-02-28"),
        ("date_diff('month', DATE '2026-01-31', DATE '2026-02-27')", "0"),
        ("date_trunc('week', DATE '2026-11-21')", "2026-11-16"),
        ("day_of_week(DATE '2026-11-21')", "6"),
        ("date_format(TIMESTAMP '2026-01-02 03:04:05', '%Y/%m/%d %H:%i:%s')", "2026/01/02 03:04:05"),
        ("length('😀')", "1"),
        ("length(trim(' \t a b\n'))", "3"),
        ("trim(LEADING 'x' FROM 'xxabx')", "abx"),
        ("second(TIMESTAMP '2026-01-01 00:00:59.999')", "59"),
        ("year_of_week(DATE '2027-01-01')", "2026"),
        ("EXTRACT(QUARTER FROM DATE '2026-11-21')", "4"),
        ("array_join(ARRAY['a', NULL, 'b'], '-')", "a-b"),
        ("cardinality(split('a,b,', ','))", "3"),
        ("cardinality(split('', ','))", "1"),
        ("lpad('abc', 2, 'x')", "ab"),
        ("CAST(DATE '2026-01-02' AS varchar)", "2026-01-02"),
        ("CAST(TIMESTAMP '2026-01-02 03:04:05.678' AS varchar)", "2026-01-02 03:04:05.678"),
        ("0.0 = -0.0", "true"),
        ("nan() = nan()", "false"),
        ("nan() <> nan()", "true"),
        ("1 < nan()", "false"),
    ] {
        let batches = server.query(&format!("SELECT {expression}")).await;
        assert_eq!(cell(&batches[0], 0), expected, "{expression}");
    }
    for (aggregate, expected) in [
        ("typeof(sum(x))", "bigint"),
        ("typeof(avg(x))", "double"),
        ("typeof(sum(d))", "decimal(38,2)"),
        ("typeof(avg(d))", "decimal(4,2)"),
        ("avg(d)", "1.26"),
        ("sum(d)", "2.51"),
        ("typeof(count(*))", "bigint"),
        ("max_by(x, d)", "2"),
        ("count_if(x > 1)", "1"),
        ("stddev(x)", "0.7071067811865476"),
        ("stddev(x) FILTER (WHERE x = 1)", "NULL"),
        ("min(lagged)", "0"),
        ("max(moving)", "3.0"),
    ] {
        let values = "(VALUES (1, CAST('1.25' AS decimal(4,2))), (2, CAST('1.26' AS decimal(4,2)))) AS t(x, d)";
        let windows = "lag(x, 1, 0) OVER (ORDER BY x) AS lagged, \
                       sum(CAST(x AS double)) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS moving";
        let sql = format!("SELECT {aggregate} FROM (SELECT x, d, {windows} FROM {values})");
        let batches = server.query(&sql).await;
        assert_eq!(cell(&batches[0], 0), expected, "{aggregate}");
    }
}

#[tokio::test]
async fn names_and_shapes_of_selects_are_athenas() {
    let server = Server::demo().await;
    let columns = |batches: &[RecordBatch]| -> Vec<String> {
        batches[0].schema().fields().iter().map(|field| field.name().clone()).collect()
    };
    for (sql, expected) in [
        ("SELECT 1, 2 AS Two, 3", vec!["_col0", "Two", "_col2"]),
        ("SELECT n_name, N_NAME, n_name AS n_name FROM nation LIMIT 1", vec!["n_name", "n_name", "n_name"]),
        ("SELECT * FROM (SELECT count(*) FROM nation)", vec!["_col0"]),
        ("VALUES (1, 'a')", vec!["_col0", "_col1"]),
        ("TABLE region", vec!["r_regionkey", "r_name", "r_comment"]),
        ("WITH a AS (SELECT 1 AS x) SELECT * FROM a, a AS b", vec!["x", "x"]),
        ("SELECT x FROM UNNEST(ARRAY[1, 2]) AS t(x)", vec!["x"]),
    ] {
        assert_eq!(columns(&server.query(sql).await), expected, "{sql}");
    }
    let nulls = server.table("SELECT x FROM (VALUES (1), (NULL), (2)) AS t(x) ORDER BY x DESC").await;
    insta::assert_snapshot!(nulls, @r"
    +---+
    | x |
    +---+
    | 2 |
    | 1 |
    |   |
    +---+
    ");
}
