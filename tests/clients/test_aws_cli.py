"""The embedded endpoint with the AWS CLI."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import aws

CLI = Path(sys.executable).with_name("aws")


@pytest.fixture
def cli(emulator, tmp_path):
    arguments = aws(emulator.endpoint)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": emulator.endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": arguments["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": arguments["aws_secret_access_key"],
        "AWS_PAGER": "",
    }

    def run(*words):
        done = subprocess.run([str(CLI), *words], env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.lstrip().startswith("{") else done.stdout

    return run


def test_a_query_from_start_to_file(cli, tmp_path):
    query = cli("athena", "start-query-execution", "--query-string", "SELECT 1 AS one")["QueryExecutionId"]
    while True:
        execution = cli("athena", "get-query-execution", "--query-execution-id", query)["QueryExecution"]
        if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
            break
    results = cli("athena", "get-query-results", "--query-execution-id", query)
    assert results["ResultSet"]["Rows"][1]["Data"][0]["VarCharValue"] == "1"
    cli("s3", "cp", execution["ResultConfiguration"]["OutputLocation"], str(tmp_path / "result.csv"))
    assert (tmp_path / "result.csv").read_text() == '"one"\n"1"\n'


def test_catalog_and_buckets(cli):
    assert len(cli("glue", "get-tables", "--database-name", "tpch")["TableList"]) == 8
    assert cli("athena", "list-table-metadata", "--catalog-name", "AwsDataCatalog", "--database-name", "tpch")
    assert cli("sts", "get-caller-identity")["Account"] == "000000000000"
    assert "athena-flight-results" in cli("s3", "ls")
