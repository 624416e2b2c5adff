"""The embedded endpoint with every cursor of PyAthena, results by CSV and by UNLOAD."""

import datetime
import functools
from decimal import Decimal

import pyarrow.fs
import pyathena
import pytest
from pyathena.arrow.async_cursor import AsyncArrowCursor
from pyathena.arrow.cursor import ArrowCursor
from pyathena.async_cursor import AsyncCursor, AsyncDictCursor
from pyathena.cursor import DictCursor
from pyathena.pandas.async_cursor import AsyncPandasCursor
from pyathena.pandas.cursor import PandasCursor
from pyathena.polars.cursor import PolarsCursor

from conftest import aws

QUERY = "SELECT n_name, n_nationkey FROM nation WHERE n_nationkey > 22 ORDER BY n_nationkey"
ROWS = [("UNITED KINGDOM", 23), ("UNITED STATES", 24)]


@pytest.fixture
def connect(emulator, monkeypatch):
    """PyAthena passes endpoint_url on to Athena alone: its S3 clients take the environment's, and the file system of the
    Arrow cursors takes none, so that it is given one here."""
    arguments = aws(emulator.endpoint)
    options = {"endpoint_override": emulator.endpoint.removeprefix("http://"), "scheme": "http"}
    monkeypatch.setattr(pyarrow.fs, "S3FileSystem", functools.partial(pyarrow.fs.S3FileSystem, **options))
    monkeypatch.setenv("AWS_ENDPOINT_URL", arguments.pop("endpoint_url"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", arguments["aws_access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", arguments["aws_secret_access_key"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", arguments["region_name"])
    arguments |= {"s3_staging_dir": "s3://athena-flight-results/pyathena/", "poll_interval": 0.02}
    return lambda **more: pyathena.connect(schema_name="tpch", **(arguments | more))


def test_rows_have_python_types(connect):
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT true, 1, 1.5, DECIMAL '1.50', 'a', DATE '2024-02-29', TIMESTAMP '2024-02-29 01:02:03.456', X'00ff', "
            "NULL"
        )
        row = cursor.fetchone()
        assert row == (
            True,
            1,
            1.5,
            Decimal("1.50"),
            "a",
            datetime.date(2024, 2, 29),
            datetime.datetime(2024, 2, 29, 1, 2, 3, 456000),
            b"\x00\xff",
            None,
        )


def test_dict_cursor(connect):
    with connect(cursor_class=DictCursor) as connection, connection.cursor() as cursor:
        assert cursor.execute(QUERY).fetchall() == [{"n_name": name, "n_nationkey": key} for name, key in ROWS]


def test_more_rows_than_a_page(connect):
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT l_orderkey FROM lineitem LIMIT 2500")
        assert len(cursor.fetchall()) == 2500


@pytest.mark.parametrize("unload", [False, True])
def test_pandas_cursor(connect, unload):
    with connect(cursor_class=PandasCursor, cursor_kwargs={"unload": unload}) as connection:
        frame = connection.cursor().execute(QUERY).as_pandas()
    assert list(frame.itertuples(index=False, name=None)) == ROWS


@pytest.mark.parametrize("unload", [False, True])
def test_arrow_cursor(connect, unload):
    with connect(cursor_class=ArrowCursor, cursor_kwargs={"unload": unload}) as connection:
        table = connection.cursor().execute(QUERY).as_arrow()
    assert table.to_pylist() == [{"n_name": name, "n_nationkey": key} for name, key in ROWS]


@pytest.mark.parametrize("unload", [False, True])
def test_polars_cursor(connect, unload):
    with connect(cursor_class=PolarsCursor, cursor_kwargs={"unload": unload}) as connection:
        frame = connection.cursor().execute(QUERY).as_polars()
    assert frame.rows() == ROWS


@pytest.mark.parametrize("unload", [False, True])
def test_a_whole_table_is_the_same_by_csv_and_unload(connect, unload):
    with connect(cursor_class=ArrowCursor, cursor_kwargs={"unload": unload}) as connection:
        table = connection.cursor().execute("SELECT l_orderkey, l_comment FROM lineitem").as_arrow()
    assert table.num_rows == 60175
    assert sum(table["l_orderkey"].to_pylist()) == 1802759573


def test_async_cursors(connect):
    for cursor_class in (AsyncCursor, AsyncDictCursor):
        with connect(cursor_class=cursor_class) as connection:
            _, future = connection.cursor().execute(QUERY)
            rows = [tuple(row.values()) if isinstance(row, dict) else row for row in future.result().fetchall()]
            assert rows == ROWS
    with connect(cursor_class=AsyncPandasCursor) as connection:
        _, future = connection.cursor().execute(QUERY)
        assert len(future.result().as_pandas()) == 2
    with connect(cursor_class=AsyncArrowCursor) as connection:
        _, future = connection.cursor().execute(QUERY)
        assert future.result().as_arrow().num_rows == 2


def test_parameters_by_execution(connect):
    with connect(cursor_class=ArrowCursor) as connection:
        cursor = connection.cursor()
        found = cursor.execute(
            "SELECT n_name FROM nation WHERE n_name = ? AND n_nationkey = ?", ["'CANADA'", "3"], paramstyle="qmark"
        )
        assert found.as_arrow().num_rows == 1


def test_cancel(connect):
    with connect(cursor_class=AsyncCursor) as connection:
        cursor = connection.cursor()
        query, future = cursor.execute(
            "SELECT count(*) FROM lineitem a, lineitem b, lineitem c WHERE a.l_partkey + b.l_partkey = c.l_suppkey"
        )
        cursor.cancel(query).result()
        assert future.result().state == "CANCELLED"


def test_result_reuse(connect):
    with connect() as connection, connection.cursor() as cursor:
        arguments = {"result_reuse_enable": True, "result_reuse_minutes": 60}
        first = cursor.execute("SELECT max(n_nationkey) AS reused FROM nation", **arguments)
        assert not first.reused_previous_result
        second = cursor.execute("SELECT max(n_nationkey) AS reused FROM nation", **arguments)
        assert second.reused_previous_result and second.fetchone() == (24,)
