"""Appending what does not match the table: ALREADY_EXISTS, as adbc.h has it, with the column's name."""

import adbc_driver_manager
import pyarrow as pa
import pytest
from adbc_driver_flightsql import dbapi
from adbc_driver_manager import AdbcStatusCode


@pytest.fixture(scope="module")
def connection(demo):
    headers = {"adbc.flight.sql.rpc.call_header.x-athena-database": "tpch"}
    with dbapi.connect(demo.url, db_kwargs=headers, autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute("create table append_here as select bigint '1' as n, varchar 'x' as t, date '2024-01-01' as d")
        yield connection


def append(connection, data, mode="append"):
    with connection.cursor() as cursor:
        return cursor.adbc_ingest("append_here", data, mode=mode)


@pytest.mark.parametrize("mode", ["append", "create_append"])
@pytest.mark.parametrize(("data", "text"), [
    ({"n": [2], "nope": [1]}, 'column "nope" does not match table append_here: it has no such column'),
    ({"t": [1]}, 'column "t" does not match table append_here: bigint cannot be put into .* without loss'),
    ({"n": ["text"]}, 'column "n" does not match table append_here: .* without loss'),
    ({"n": [1.5]}, 'column "n" does not match'),
    ({"d": ["2024-01-01"]}, 'column "d" does not match'),
])
def test_what_does_not_match_is_told(connection, mode, data, text):
    with pytest.raises(adbc_driver_manager.Error, match=text) as caught:
        append(connection, pa.table(data), mode)
    assert caught.value.status_code == AdbcStatusCode.ALREADY_EXISTS


def test_what_matches_is_appended(connection):
    assert append(connection, pa.table({"n": pa.array([2], pa.int16())})) == 1
    with connection.cursor() as cursor:
        cursor.execute("select count(*), count(t) from append_here")
        assert cursor.fetchall() == [(2, 1)]


def test_a_table_that_there_is_not_is_not_found(connection):
    with connection.cursor() as cursor, pytest.raises(adbc_driver_manager.Error, match="does not exist") as caught:
        cursor.adbc_ingest("nothing_here", pa.table({"n": [1]}), mode="append")
    assert caught.value.status_code == AdbcStatusCode.NOT_FOUND
