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
        (pa.array([-128], pa.int8()), "tinyint"),
        (pa.array([5], pa.int16()), "smallint"),
        (pa.array([-(2**31)], pa.int32()), "integer"),
        (pa.array([5], pa.int64()), "bigint"),
        (pa.array([2**63 - 1], pa.int64()), "bigint"),
        (pa.array([-(2**63)], pa.int64()), "bigint"),
        (pa.array([5], pa.uint8()), "smallint"),
        (pa.array([5], pa.uint16()), "integer"),
        (pa.array([5], pa.uint32()), "bigint"),
        (pa.array([5], pa.uint64()), "decimal(20,0)"),
        (pa.array([2**64 - 1], pa.uint64()), "decimal(20,0)"),
        (pa.array([1.5], pa.float16()), "real"),
        (pa.array([1.5], pa.float32()), "real"),
        (pa.array([float("-inf")], pa.float32()), "real"),
        (pa.array([float("inf")], pa.float64()), "double"),
        (pa.array(["x"], pa.large_string()), "varchar"),
        (pa.array(["x"]).dictionary_encode(), "varchar"),
        (pa.array([b"x"], pa.large_binary()), "varbinary"),
        (pa.array([b"xy"], pa.binary(2)), "varbinary"),
        (pa.array([datetime.time(12, 34, 56)], pa.time32("s")), "time(0)"),
        (pa.array([datetime.time(12, 34, 56, 789000)], pa.time64("us")), "time(6)"),
        (pa.array([datetime.datetime(2024, 1, 1, 2, 3, 4, 500000)], pa.timestamp("ms")), "timestamp(3)"),
        (pa.array([datetime.datetime(2024, 1, 1, 2, 3, 4, 500001)], pa.timestamp("us")), "timestamp(6)"),
        (pa.array([datetime.datetime(2024, 1, 1)], pa.timestamp("us", "Asia/Tokyo")), "timestamp(6) with time zone"),
        (pa.array([decimal.Decimal("-0.05")], pa.decimal128(38, 2)), "decimal(38,2)"),
        (pa.array([decimal.Decimal("1.50")], pa.decimal128(10, 2)), "decimal(10,2)"),
        (pa.array([datetime.timedelta(seconds=90)], pa.duration("s")), "interval day to second"),
        (pa.array([datetime.timedelta(milliseconds=-1500)], pa.duration("us")), "interval day to second"),
        (pa.array([[1, None]], pa.list_(pa.int32())), "array(integer)"),
        (pa.array([[1, None]], pa.list_(pa.int64())), "array(bigint)"),
        (pa.array([["a,b", "[c]", ""]], pa.list_(pa.string())), "array(varchar)"),
        (pa.array([[]], pa.list_(pa.string())), "array(varchar)"),
        (pa.array([{"a": 1, "order": "x, y"}]), 'row(a bigint, '),
        (pa.array([[{"a": None, "b": [1.5]}]], pa.list_(pa.struct({"a": pa.date32(), "b": pa.list_(pa.float64())}))), "array(row("),
        (pa.array([[("k=1", 2)]], pa.map_(pa.string(), pa.int16())), "map(varchar, smallint)"),
        (pa.array([None], pa.int16()), "smallint"),
        (pa.array([None], pa.timestamp("us")), "timestamp(6)"),
        (pa.array([None], pa.list_(pa.string())), "array(varchar)"),
        (pa.array([None], pa.decimal128(10, 2)), "decimal(10,2)"),
    ],
    ids=lambda value: f"{value.type}-{value[0]}"[:60] if isinstance(value, pa.Array) else None,
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
    if pa.types.is_float16(array.type):
        sent = float(sent)
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


def bound(connection, sql, batch, execute=lambda statement: statement.execute_query()[0]):
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_sql_query(sql)
        cursor.adbc_statement.prepare()
        cursor.adbc_statement.bind_stream(pa.Table.from_batches([batch]).to_reader())
        result = execute(cursor.adbc_statement)
        return pa.RecordBatchReader.from_stream(result).read_all() if hasattr(result, "__arrow_c_stream__") else result


@pytest.mark.parametrize(
    ("sql", "array", "expected"),
    [
        ("select ? * 2 as v", pa.array([2_000_000_000]), pa.array([4_000_000_000])),
        ("select ? as v", pa.array([1, None]), pa.array([1, None], pa.int64())),
        ("select ? as v", pa.array([1, 3_000_000_000]), pa.array([1, 3_000_000_000])),
        ("select ? as v", pa.array(["a", None, "bcd"]), pa.array(["a", None, "bcd"])),
        ("select coalesce(?, 'long enough') as v", pa.array(["a", None]), pa.array(["a", "long enough"])),
        ("select ? as v", *[pa.array([decimal.Decimal("1.50"), decimal.Decimal("10.25"), None], pa.decimal128(10, 2))] * 2),
        ("select ? as v", *[pa.array([datetime.date(2024, 2, 29), None])] * 2),
        ("select ? as v", *[pa.array([["a,b"], [], None], pa.list_(pa.string()))] * 2),
        ("select ? as v", *[pa.array([{"a": 1}, {"a": None}])] * 2),
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["auto", "unload"])
def test_several_rows_give_one_result(demo, path, sql, array, expected):
    header = {"adbc.flight.sql.rpc.call_header.x-athena-result-path": path}
    with dbapi.connect(demo.url, db_kwargs=header, autocommit=True) as connection:
        table = bound(connection, sql, pa.record_batch([array], names=["1"]))
    found = table["v"].combine_chunks()
    assert found.type.equals(expected.type) or found.cast(expected.type).equals(expected), found.type
    assert found.to_pylist() == expected.to_pylist()


def test_no_rows_give_a_result_without_rows(connection):
    parameters = pa.record_batch([pa.array([], pa.int64()), pa.array([], pa.list_(pa.string()))], names=["1", "2"])
    table = bound(connection, "select ? * 2 as n, ? as l, n_name from tpch.nation limit 3", parameters)
    assert (table.num_rows, table.schema.names) == (0, ["n", "l", "n_name"])
    assert table.schema.field("n").type == pa.int64() and pa.types.is_list(table.schema.field("l").type)
    with pytest.raises(adbc_driver_manager.Error, match="1 parameters, 2 values"):
        bound(connection, "select ?", parameters)
    # Nothing bound is another matter.
    with connection.cursor() as cursor, pytest.raises(adbc_driver_manager.Error, match="1 parameters, 0 values"):
        cursor.execute("select ?")


def test_executemany_of_no_rows_changes_none(connection):
    with connection.cursor() as cursor:
        cursor.execute("create table tpch.no_rows as select 0 as n")
        try:
            # As a stream: of a single batch without rows the driver says nothing to the server.
            empty = pa.table({"1": pa.array([], pa.int64())})
            cursor.executemany("insert into tpch.no_rows values (?)", empty)
            assert cursor.rowcount == 0
            cursor.executemany("insert into tpch.no_rows values (?)", [])
            cursor.execute("select count(*) from tpch.no_rows")
            assert cursor.fetchall() == [(1,)]
        finally:
            cursor.execute("drop table tpch.no_rows")


@pytest.mark.parametrize(
    ("column", "array", "expected"),
    [
        ("integer", pa.array([5, None]), [5, None]),
        ("bigint", pa.array([5, 3_000_000_000, None]), [5, 3_000_000_000, None]),
        ("varchar", pa.array(["x", "it's", None]), ["x", "it's", None]),
        ("varchar", pa.array([None, None], pa.null()), [None, None]),
        ("double", pa.array([1.5, None]), [1.5, None]),
        ("decimal(3,2)", pa.array([decimal.Decimal("1.50")], pa.decimal128(3, 2)), [decimal.Decimal("1.50")]),
        ("date", pa.array([datetime.date(2024, 2, 29), None]), [datetime.date(2024, 2, 29), None]),
        ("timestamp(3)", pa.array([datetime.datetime(2024, 1, 1, 0, 0, 0, 5000)]), [datetime.datetime(2024, 1, 1, 0, 0, 0, 5000)]),
        ("array(bigint)", pa.array([[1, 2], []], pa.list_(pa.int64())), [[1, 2], []]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_go_into_columns_of_narrower_types(connection, column, array, expected):
    """Python sends numbers as int64, times in microseconds and NULLs with the type of their column."""
    with connection.cursor() as cursor:
        cursor.execute(f"create table tpch.narrow as select 0 as i, cast(null as {column}) as v where false")
        try:
            rows = pa.record_batch([pa.array(range(len(array))), array], names=["1", "2"])
            cursor.executemany("insert into tpch.narrow values (?, ?)", rows)
            assert cursor.rowcount == len(array)
            cursor.execute("select v from tpch.narrow order by i")
            assert [row[0] for row in cursor.fetchall()] == expected
        finally:
            cursor.execute("drop table tpch.narrow")


def test_a_table_made_of_values_has_their_types(connection):
    batch = pa.record_batch([pa.array([5]), pa.array([None], pa.float32())], names=["1", "2"])
    with connection.cursor() as cursor:
        cursor.executemany("create table tpch.made_of_values as select ? as n, ? as r", batch)
        try:
            schema = connection.adbc_get_table_schema("made_of_values", db_schema_filter="tpch")
            assert [field.type for field in schema] == [pa.int64(), pa.float32()]
        finally:
            cursor.execute("drop table tpch.made_of_values")


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (pa.array([0, 1500], pa.duration("us")), "1500 µs is finer than Athena's interval day to second, which holds milliseconds"),
        (pa.array([0, 1], pa.duration("ns")), "1 ns is finer"),
        (pa.array([pa.MonthDayNano([0, 0, 1_000_000]), pa.MonthDayNano([0, 0, 1])]), "1 ns is finer"),
        (pa.array([0, 1], pa.int64()).view(pa.date64()), "1 ms since 1970 is finer than Athena's date"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_no_digit_is_cut_off_in_silence(connection, array, what):
    with pytest.raises(adbc_driver_manager.Error, match="parameter 1, row 2: " + what):
        bound(connection, "select ?", pa.record_batch([array], names=["1"]))


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
