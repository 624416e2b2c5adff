"""The two Flight SQL clients for Node: gRPC in JavaScript, and the arrow-flight crate behind a native module."""

import json
import subprocess

import pytest

from conftest import ROOT

FOLDER = ROOT / "tests" / "clients" / "npm"
ROWS = [{"n_name": "ALGERIA", "n_nationkey": 0}, {"n_name": "ARGENTINA", "n_nationkey": 1}]


@pytest.fixture
def ask(demo):
    def ask(script):
        address = demo.url.removeprefix("grpc://")
        done = subprocess.run(["node", script, address], cwd=FOLDER, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask


def test_gizmosql_client(ask):
    said = ask("gizmosql.mjs")
    assert said["rows"] == ROWS
    assert said["empty"] == ["n_name"]
    assert said["info"]["0"] == "athena-flight" and said["all"] > 80
    assert said["catalogs"] == ["AwsDataCatalog"]
    assert {"catalog": "AwsDataCatalog", "schema": "tpch"} in said["schemas"]
    assert [table["tableName"] for table in said["tables"]] == ["nation"]
    assert "VIEW" in said["types"]
    assert "COLUMN_NOT_FOUND" in said["error"]
    assert said["after"] == 1


def test_lakehouse_client(ask):
    """It prepares each query, and says no more of an error than that preparing failed."""
    said = ask("lakehouse.mjs")
    assert said["rows"] == ROWS
    assert said["catalogs"] == [{"catalog_name": "AwsDataCatalog"}]
    assert {"catalog_name": "AwsDataCatalog", "db_schema_name": "tpch"} in said["schemas"]
    assert [table["table_name"] for table in said["tables"]] == ["nation"] and said["tables"][0]["table_schema"]
    assert "prepare" in said["error"]
    assert said["after"] == 1
