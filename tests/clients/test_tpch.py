"""The 22 TPC-H queries through ADBC against DuckDB on the same files."""

import re
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from adbc_driver_flightsql import dbapi

TEXT = (Path(__file__).parent / "tpch.sql").read_text()
PARTS = re.split(r"^-- q(\d+)$", TEXT, flags=re.MULTILINE)
QUERIES = {int(number): sql for number, sql in zip(PARTS[1::2], PARTS[2::2])}


@pytest.fixture(scope="module")
def cursor(start, demo, tmp_path_factory):
    # A second gateway in front of the demo's endpoint, with the database set: the queries name tables without one.
    gateway = start("serve", "--listen", "127.0.0.1:0", "--endpoint-url", demo.endpoint, "--region", "us-east-1",
                    "--database", "tpch", home=with_credentials(tmp_path_factory))
    with dbapi.connect(gateway.url, autocommit=True) as connection, connection.cursor() as cursor:
        yield cursor


def with_credentials(tmp_path_factory):
    """A home folder whose AWS profile has credentials, as a user's has."""
    home = tmp_path_factory.mktemp("with-credentials")
    (home / ".aws").mkdir()
    (home / ".aws" / "credentials").write_text("[default]\naws_access_key_id = any\naws_secret_access_key = any\n")
    return home


@pytest.fixture(scope="module")
def duck(demo_files):
    connection = duckdb.connect()
    for table in demo_files.iterdir():
        connection.execute(f"CREATE VIEW {table.name} AS SELECT * FROM '{table}/*.parquet'")
    return connection


def same(ours, theirs):
    if isinstance(ours, (float, Decimal)) or isinstance(theirs, (float, Decimal)):
        # DuckDB's avg of a decimal is a double, Athena's is rounded to the decimal's two digits.
        return abs(float(ours) - float(theirs)) <= 0.005 + 1e-9 * abs(float(theirs))
    return ours == theirs


def test_there_are_22():
    assert sorted(QUERIES) == list(range(1, 23))


@pytest.mark.parametrize("number", sorted(QUERIES))
def test_agrees_with_duckdb(number, cursor, duck):
    cursor.execute(QUERIES[number])
    ours, theirs = cursor.fetchall(), duck.execute(QUERIES[number]).fetchall()
    assert len(ours) == len(theirs) > 0
    for our_row, their_row in zip(ours, theirs):
        assert all(map(same, our_row, their_row)), (our_row, their_row)
