"""`flight_sql_client`, the program of the arrow-flight crate."""

import os
import subprocess

import pytest

from conftest import ROOT

CLIENT = os.environ.get("FLIGHT_SQL_CLIENT", ROOT / "target/tools/bin/flight_sql_client")


@pytest.fixture
def run(demo):
    host, port = demo.url.removeprefix("grpc://").split(":")

    def run(*arguments, code=0):
        command = [CLIENT, "--host", host, "--port", port, "--header", "x-athena-database=tpch", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return run


def test_statement_query(run):
    assert "BRAZIL" in run("statement-query", "select n_name from nation where n_nationkey = 2")


def test_sign_in_is_taken(run):
    assert "25" in run("--username", "any", "--password", "any", "statement-query", "select count(*) from nation")


def test_prepared_statement_query(run):
    """It casts its parameters to what the statement's parameter schema says; their names there are their places."""
    sql = "select n_name from nation where n_name = ? limit ?"
    assert "CHINA" in run("prepared-statement-query", sql, "-p", "1=CHINA", "-p", "2=1")


def test_metadata(run):
    assert "AwsDataCatalog" in run("catalogs")
    assert "tpch" in run("db-schemas", "AwsDataCatalog")
    assert "lineitem" in run("tables", "AwsDataCatalog")
    assert "EXTERNAL_TABLE" in run("table-types")


def test_an_error_is_told(run):
    assert "COLUMN_NOT_FOUND" in run("statement-query", "select nope from nation", code=1)
