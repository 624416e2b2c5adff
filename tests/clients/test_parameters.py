"""Parameters of statements: every Arrow type, several rows, hostile texts; by ADBC, and as older clients send them."""

import datetime
import decimal

import adbc_driver_flightsql
import adbc_driver_manager
import pyarrow as pa
import pytest
from adbc_driver_flightsql import dbapi


@pytest.fixture
def connection(demo):
    with dbapi.connect(demo.url, autocommit=True) as connection:
        yield connection


def rows(connection, sql, parameters):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def test_values_are_typed(connection):
    values = (7, 1.5, True, "é", b"\x00\xff", None, datetime.date(2024, 2, 29), decimal.Decimal("1.50"))
    selected = ", ".join(f"? as c{i}" for i in range(len(values)))
    assert rows(connection, f"select {selected}", values) == [values]


@pytest.mark.parametrize(
    ("array", "athena"),
    [
        (pa.array([-128], pa.int8()), "integer"),
        (pa.array([2**63 - 1], pa.int64()), "bigint"),
        (pa.array([-(2**63)], pa.int64()), "bigint"),
        (pa.array([2**64 - 1], pa.uint64()), "decimal(20,0)"),
        (pa.array([1.5], pa.float32()), "real"),
        (pa.array([float("inf")], pa.float64()), "double"),
        (pa.array(["x"], pa.large_string()), "varchar"),
        (pa.array(["x"]).dictionary_encode(), "varchar"),
        (pa.array([b"x"], pa.large_binary()), "varbinary"),
        (pa.array([datetime.time(12, 34, 56, 789000)], pa.time64("us")), "time(3)"),
        (pa.array([datetime.datetime(2024, 1, 1, 2, 3, 4, 500000)], pa.timestamp("us")), "timestamp(3)"),
        (pa.array([datetime.datetime(2024, 1, 1)], pa.timestamp("ns", "Asia/Tokyo")), "timestamp(0) with time zone"),
        (pa.array([decimal.Decimal("-0.05")], pa.decimal128(38, 2)), "decimal(2,2)"),
        (pa.array([datetime.timedelta(seconds=90)], pa.duration("s")), "interval day to second"),
        (pa.array([[1, None]], pa.list_(pa.int32())), "array(integer)"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_every_arrow_type_is_a_literal(connection, array, athena):
    batch = pa.record_batch([array, array], names=["1", "2"])
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_sql_query("select typeof(?) as type, ? as value")
        cursor.adbc_statement.prepare()
        cursor.adbc_statement.bind(batch)
        stream, _ = cursor.adbc_statement.execute_query()
        [row] = pa.RecordBatchReader.from_stream(stream).read_all().to_pylist()
    assert row["type"].startswith(athena)
    [sent] = array.to_pylist()
    if isinstance(sent, datetime.datetime) and sent.tzinfo:
        sent = sent.to_pydatetime() if hasattr(sent, "to_pydatetime") else sent
        assert row["value"].astimezone(datetime.timezone.utc) == sent.astimezone(datetime.timezone.utc)
    elif isinstance(sent, int) and athena.startswith("decimal"):
        assert int(row["value"]) == sent
    else:
        assert row["value"] == sent


@pytest.mark.parametrize(
    "text",
    ["it's", "'; drop table tpch.nation --", "''", "\\'", "? ? ?", "now()", "1 + 1", "NULL", "a\nb", "\u0001", "🦀" * 400, "x" * 5000],
)
def test_a_hostile_text_stays_a_text(connection, text):
    assert rows(connection, "select ? as t, length(?) as n", (text, text)) == [(text, len(text))]


def test_parameters_are_found_where_they_are_some(connection):
    sql = "select '?' as a, \"n_name\" /* ? */ from tpch.nation where n_nationkey = ? -- ?\n order by 1 limit ?"
    assert rows(connection, sql, (0, 5)) == [("?", "ALGERIA")]


def test_limit_and_offset(connection):
    sql = "select n_nationkey from tpch.nation order by 1 offset ? limit ?"
    assert rows(connection, sql, (3, 2)) == [(3,), (4,)]


def test_a_wrong_number_of_values_is_told(connection):
    with pytest.raises(adbc_driver_manager.Error, match="2 parameters, 1 values"):
        rows(connection, "select ?, ?", (1,))
    with connection.cursor() as cursor, pytest.raises(adbc_driver_manager.Error, match="1 parameters, 0 values"):
        cursor.execute("select ?")


def test_a_query_runs_for_each_row(connection):
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_sql_query("select n_name from tpch.nation where n_nationkey = ?")
        cursor.adbc_statement.prepare()
        cursor.adbc_statement.bind_stream(pa.table({"1": list(range(10))}).to_reader(max_chunksize=3))
        stream, _ = cursor.adbc_statement.execute_query()
        names = pa.RecordBatchReader.from_stream(stream).read_all()["n_name"].to_pylist()
    assert names[:3] == ["ALGERIA", "ARGENTINA", "BRAZIL"] and len(names) == 10


def test_executemany_runs_for_each_row_and_counts(connection):
    with connection.cursor() as cursor:
        cursor.execute("create table tpch.many_rows as select 0 as n, 'zero' as t")
        try:
            cursor.executemany("insert into tpch.many_rows values (?, ?)", [(1, "one"), (2, "it's"), (3, None)])
            assert cursor.rowcount == 3
            cursor.execute("select n, t from tpch.many_rows order by n")
            assert cursor.fetchall() == [(0, "zero"), (1, "one"), (2, "it's"), (3, None)]
        finally:
            cursor.execute("drop table tpch.many_rows")


def test_explain_with_values(connection):
    [plan, *_] = rows(connection, "explain select * from tpch.nation where n_nationkey = ?", (1,))
    assert plan


def test_the_schema_of_parameters(demo):
    with adbc_driver_flightsql.connect(demo.url) as database, adbc_driver_manager.AdbcConnection(database) as connection:
        with adbc_driver_manager.AdbcStatement(connection) as statement:
            statement.set_sql_query("select n_name from tpch.nation where n_name > ? limit ?")
            statement.prepare()
            handle = statement.get_parameter_schema()
            schema = pa.Schema._import_from_c(handle.address)
    assert [(field.name, field.type) for field in schema] == [("1", pa.string()), ("2", pa.int64())]
