"""Results through ADBC by every path, what a killed endpoint does to them, and the comparison with peers."""

import json
import os
import subprocess
import sys
import urllib.request

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from adbc_driver_flightsql import dbapi

from conftest import BINARY, ROOT

PEERS = ROOT / "benches/peers"
sys.path.insert(0, str(PEERS))

from contender import statement_query  # noqa: E402


@pytest.fixture
def connect(demo):
    """Connects with a result path."""
    connections = []

    def connect(path, **headers):
        headers = {"x-athena-result-path": path} | {name.replace("_", "-"): value for name, value in headers.items()}
        options = {f"adbc.flight.sql.rpc.call_header.{name}": value for name, value in headers.items()}
        connection = dbapi.connect(demo.url, db_kwargs=options, autocommit=True)
        connections.append(connection)
        return connection

    yield connect
    for connection in connections:
        connection.close()


def table(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetch_arrow_table()


TYPES = """
SELECT n_nationkey AS id, CAST(n_nationkey - 128 AS tinyint) AS t, CAST(n_nationkey AS smallint) AS s,
  n_nationkey * 3000000000 AS b, CAST(n_nationkey AS real) / 3 AS r, CAST(n_nationkey AS double) / 7 AS d,
  CAST(n_nationkey AS decimal(38,10)) / 3 AS dec, CAST(n_name AS char(30)) AS c, to_utf8(n_name) AS bin,
  CASE n_nationkey % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE '😀 "x", ''y''' || chr(10) || n_name END AS text,
  date_add('day', CAST(n_nationkey AS bigint) * 100000, DATE '0001-01-01') AS day,
  TIME '12:34:56.789' AS time, TIMESTAMP '9999-12-31 23:59:59.999' AS ts, TIMESTAMP '1969-12-31 23:59:59.000001' AS us,
  TIMESTAMP '2026-07-01 12:00:00 Europe/Berlin' AS tz, INTERVAL '-14' MONTH AS ym, INTERVAL '90061' SECOND AS ds,
  json_parse('{"a": [1, null]}') AS js, CAST('12151fd2-7586-11e9-8f9e-2a86e4085a59' AS uuid) AS id2,
  ARRAY[n_nationkey, NULL] AS a, MAP(ARRAY[n_nationkey], ARRAY[DATE '2026-01-02']) AS m,
  CAST(ROW(n_nationkey, ARRAY[ROW(1.5)]) AS row(x integer, y array(row(z double)))) AS deep
FROM tpch.nation
"""


def test_every_type_is_the_same_by_every_path(connect):
    direct, unloaded = (table(connect(path), TYPES).sort_by("id") for path in ("direct", "unload"))
    compressed = table(connect("unload", x_athena_compression="zstd"), TYPES).sort_by("id")
    assert direct.num_rows == 25
    assert direct.schema == unloaded.schema
    for name in direct.column_names:
        assert direct[name].equals(unloaded[name]), name
        assert direct[name].equals(compressed[name]), name
    assert direct.schema.field("deep").type == pa.struct([("x", pa.int32()), ("y", pa.list_(pa.struct([("z", pa.float64())])))])


def test_texts_inside_of_nested_values_take_the_parquet_path(connect):
    sql = "SELECT ARRAY[n_name, 'a, b', NULL, ''] AS names FROM tpch.nation WHERE n_nationkey = 3"
    names = table(connect("auto"), sql)["names"]
    assert names.type == pa.list_(pa.string()) and names.to_pylist() == [["CANADA", "a, b", None, ""]]
    text = table(connect("direct"), sql)
    assert text["names"].to_pylist() == ["[CANADA, a, b, null, ]"]
    assert text.schema.field("names").metadata[b"ARROW:FLIGHT:SQL:TYPE_NAME"] == b"array(varchar)"


def test_prepared_schemas_are_those_of_the_rows(connect):
    sql = "SELECT ARRAY[n_name] AS names, MAP(ARRAY[1], ARRAY[n_nationkey]) AS m FROM tpch.nation"
    for path in ("auto", "direct", "unload"):
        with connect(path).cursor() as cursor:
            prepared = cursor.adbc_execute_schema(sql)
            cursor.execute(sql)
            assert cursor.fetch_arrow_table().schema == prepared, path


def test_large_results_are_the_same_by_every_path(connect):
    sql = "SELECT * FROM tpch.lineitem"
    keys = [("l_orderkey", "ascending"), ("l_linenumber", "ascending")]
    direct, unloaded = (table(connect(path), sql).sort_by(keys) for path in ("direct", "unload"))
    assert direct.equals(unloaded) and direct.num_rows == 60175


@pytest.mark.parametrize("path", ["direct", "unload"])
def test_an_endpoint_killed_in_the_middle_is_an_error(start, tmp_path, path):
    endpoint = start("emulator", "--demo", "--data", tmp_path, "--listen", "127.0.0.1:0")
    credentials = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    arguments = ("--endpoint-url", endpoint.url, "--region", "us-east-1", "--listen", "127.0.0.1:0")
    gateway = start("serve", *arguments, **credentials)
    sql = "SELECT a.* FROM tpch.lineitem a CROSS JOIN UNNEST(sequence(1, 10)) AS b(x)"
    options = flight.FlightCallOptions(headers=[(b"x-athena-result-path", path.encode())])
    with flight.connect(gateway.url.replace("grpc://", "grpc+tcp://")) as client:
        info = client.get_flight_info(flight.FlightDescriptor.for_command(statement_query(sql)), options)
        assert json.loads(info.app_metadata)["result_path"] == path
        slow = {"faults": [{"service": "s3", "operation": "GetObject", "kind": {"slow_body": 500_000}}]}
        request = urllib.request.Request(f"{endpoint.url}/_athena-flight/behaviour", json.dumps(slow).encode(), method="PUT")
        urllib.request.urlopen(request).close()
        reader = client.do_get(info.endpoints[0].ticket)
        assert reader.read_chunk().data.num_rows > 0
        endpoint.process.kill()
        with pytest.raises(pa.ArrowException, match="result object|cannot be reached"):
            reader.read_all()


def peers(*arguments):
    """The rows of benches/peers/run's table."""
    command = [sys.executable, PEERS / "run", "--scale", "0.001", "--repeat", "1", "--binary", BINARY, *arguments]
    ran = subprocess.run([*map(str, command), "--format", "json"], capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stderr
    return {row["name"]: row for row in json.loads(ran.stdout)["rows"]}


def test_the_comparison_with_peers_runs():
    rows = peers("--only", "pyarrow,athena-flight,pyathena,awswrangler,bare")
    assert len(rows) > 12
    for name, row in rows.items():
        assert "error" not in row, row
        assert row["rows"] == 6005, name
    for name in ("athena-flight-direct", "athena-flight-unload"):
        assert rows[name]["types"] == "int64, decimal128(15, 2), date32[day], string"
        assert rows[name]["cpu_s"].keys() == {"client", "gateway", "endpoint"}


def test_one_core_cannot_be_shared_out():
    command = [sys.executable, PEERS / "run", "--apart", "--binary", BINARY]
    one = {min(os.sched_getaffinity(0))}
    ran = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=60, preexec_fn=lambda: os.sched_setaffinity(0, one)
    )
    assert (ran.returncode, ran.stderr.strip()) == (1, "--apart needs two cores: leave it out here")


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a core for either side")
def test_client_and_servers_are_compared_on_cores_of_their_own():
    rows = peers("--apart", "--only", "pyarrow-csv,athena-flight-direct,bare")
    assert {row["rows"] for row in rows.values()} == {6005}
