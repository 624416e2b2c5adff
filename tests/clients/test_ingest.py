"""Bulk ingest: every mode and type by ADBC; what breaks leaves the table as it was and nothing behind."""

import datetime
import decimal
import os
import signal
import subprocess
import sys
import time

import adbc_driver_manager
import boto3
import pyarrow as pa
import pyarrow.flight as fl
import pytest
from adbc_driver_flightsql import dbapi

from conftest import aws
from wire import command, field




@pytest.fixture(scope="module")
def server(start, tmp_path_factory):
    server = start("serve", "--demo", "--demo-scale", "0.001", "--listen", "127.0.0.1:0", home=tmp_path_factory.mktemp("ingest"))
    boto3.client("glue", **aws(server.endpoint)).create_database(DatabaseInput={"Name": "ingest"})
    return server


@pytest.fixture
def connection(server):
    headers = {"adbc.flight.sql.rpc.call_header.x-athena-database": "ingest"}
    with dbapi.connect(server.url, db_kwargs=headers, autocommit=True) as connection:
        yield connection
    assert leftovers(server) == []


def leftovers(server):
    """Tables over staged rows, and staged rows: they are removed beside the answer, so some time is given."""
    glue, s3 = (boto3.client(service, **aws(server.endpoint)) for service in ("glue", "s3"))
    for _ in range(100):
        tables = [table["Name"] for table in glue.get_tables(DatabaseName="ingest")["TableList"]]
        found = [name for name in tables if name.startswith("athena_flight_ingest_")]
        for bucket in s3.list_buckets()["Buckets"]:
            objects = s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", [])
            found += [entry["Key"] for entry in objects if entry["Key"].endswith("rows.parquet")]
        if not found:
            return []
        time.sleep(0.05)
    return found


def table(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetch_arrow_table()


def ingest(connection, name, data, mode, **more):
    with connection.cursor() as cursor:
        return cursor.adbc_ingest(name, data, mode=mode, **more)


def test_create_append_replace(connection):
    first, second = pa.table({"n": [1, 2], "t": ["a", None]}), pa.table({"t": ["c"], "n": [3]})
    assert ingest(connection, "modes", first, "create") == 2
    with pytest.raises(adbc_driver_manager.Error, match="ingest.modes exists") as caught:
        ingest(connection, "modes", first, "create")
    assert "ALREADY_EXISTS" in str(caught.value)
    assert ingest(connection, "modes", second, "append") == 1
    rows = table(connection, "select n, t from modes order by n").to_pylist()
    assert rows == [{"n": 1, "t": "a"}, {"n": 2, "t": None}, {"n": 3, "t": "c"}]
    assert ingest(connection, "modes", second, "create_append") == 1
    assert ingest(connection, "modes", first.select(["t"]), "replace") == 2
    assert table(connection, "select * from modes order by t").to_pydict() == {"t": ["a", None]}
    with pytest.raises(adbc_driver_manager.Error, match="ingest.nothing does not exist"):
        ingest(connection, "nothing", first, "append")
    assert ingest(connection, "fresh", first, "create_append") == 2


def test_a_stream_without_rows_makes_an_empty_table(connection, server):
    # ADBC sends nothing at all then, so this is Flight's own client.
    with fl.connect(server.url) as client:
        writer, reader = client.do_put(ingest_descriptor(b"empty", 1, 1), pa.schema([("n", pa.int64()), ("t", pa.string())]))
        writer.done_writing()
        assert reader.read() is not None
        writer.close()
    assert table(connection, "select * from empty").schema.names == ["n", "t"]


def test_all_types_come_back(connection):
    moment = datetime.datetime(2024, 2, 29, 12, 34, 56, 789000)
    data = pa.table(
        {
            "b": pa.array([True, None]),
            "i8": pa.array([-128, None], pa.int8()),
            "i16": pa.array([-32768, None], pa.int16()),
            "i32": pa.array([-(2**31), None], pa.int32()),
            "i64": pa.array([-(2**63), None], pa.int64()),
            "f32": pa.array([1.5, None], pa.float32()),
            "f64": pa.array([float("-inf"), None], pa.float64()),
            "d": pa.array([decimal.Decimal("-0.05"), None], pa.decimal128(38, 2)),
            "t": pa.array(["it's é\n\"", None]),
            "bin": pa.array([b"\x00\xff", None], pa.binary()),
            "date": pa.array([datetime.date(9999, 12, 31), None]),
            "ts": pa.array([moment, None], pa.timestamp("us")),
            "list": pa.array([[1, None], None], pa.list_(pa.int32())),
            "row": pa.array([{"x": 1, "y": [0.5]}, None], pa.struct([("x", pa.int64()), ("y", pa.list_(pa.float64()))])),
            "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32())),
        }
    )
    assert ingest(connection, "all_types", data, "create") == 2
    back = table(connection, "select * from all_types")
    assert sorted(back.to_pylist(), key=lambda row: row["b"] is None) == data.to_pylist()
    for name in ("b", "i8", "i16", "i32", "i64", "f32", "f64", "d", "t", "bin", "date", "ts"):
        assert back.schema.field(name).type == data.schema.field(name).type, name


def test_other_arrow_types_are_stored_as_the_nearest(connection):
    data = pa.table(
        {
            "u64": pa.array([2**64 - 1], pa.uint64()),
            "dict": pa.array(["x"]).dictionary_encode(),
            "large": pa.array(["y"], pa.large_string()),
            "ns": pa.array([1_000_000], pa.timestamp("ns")),
            "null": pa.nulls(1),
        }
    )
    ingest(connection, "nearest", data, "create")
    [row] = table(connection, "select * from nearest").to_pylist()
    assert (row["u64"], row["dict"], row["large"], row["null"]) == (decimal.Decimal(2**64 - 1), "x", "y", None)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"t": pa.array([0], pa.timestamp("us", "UTC"))}, '"t".*no time zones'),
        ({"t": pa.array([1], pa.timestamp("us"))}, '"t".*more digits than milliseconds'),
        ({"a": pa.array([1]), "A": pa.array([1])}, '"a".*twice'),
        ({"d": pa.array([1], pa.duration("s"))}, '"d".*cannot hold'),
    ],
)
def test_what_cannot_be_stored_is_told(connection, data, text):
    with pytest.raises(adbc_driver_manager.Error, match=text):
        ingest(connection, "refused", pa.table(list(data.values()), names=list(data)), "create")
    with pytest.raises(adbc_driver_manager.Error, match="(?i)refused"):
        table(connection, "select * from refused")


def test_rows_go_into_a_partitioned_table_there_is(connection):
    with connection.cursor() as cursor:
        cursor.execute(
            "create table parts with (format = 'PARQUET', partitioned_by = ARRAY['day']) as "
            "select bigint '1' as n, varchar 'x' as t, date '2024-01-01' as day"
        )
    data = pa.table({"day": [datetime.date(2024, 1, 2)] * 2, "n": pa.array([2, 3], pa.int16())})
    assert ingest(connection, "parts", data, "append") == 2
    rows = table(connection, "select n, t, cast(day as varchar) as day from parts order by n").to_pylist()
    assert rows == [
        {"n": 1, "t": "x", "day": "2024-01-01"},
        {"n": 2, "t": None, "day": "2024-01-02"},
        {"n": 3, "t": None, "day": "2024-01-02"},
    ]
    with pytest.raises(adbc_driver_manager.Error, match='"n".*without loss'):
        ingest(connection, "parts", pa.table({"n": ["text"]}), "append")
    with pytest.raises(adbc_driver_manager.Error, match='"nope".*no such column'):
        ingest(connection, "parts", pa.table({"nope": [1]}), "append")


def test_a_large_stream_in_bounded_memory(connection, server):
    # Of bytes that do not compress, so that the file has several parts.
    batch = pa.record_batch({"n": pa.array(range(4_000)), "t": pa.array([os.urandom(1_000) for _ in range(4_000)])})
    reader = pa.RecordBatchReader.from_batches(batch.schema, (batch for _ in range(10)))
    assert ingest(connection, "large", reader, "create") == 40_000
    rows = table(connection, "select count(*) as n, sum(n) as total, sum(length(t)) as bytes from large").to_pylist()
    assert rows == [{"n": 40_000, "total": 10 * sum(range(4_000)), "bytes": 40_000_000}]


def test_schema_and_catalog_are_taken_and_temporary_is_refused(connection, server):
    data = pa.table({"n": [1]})
    assert ingest(connection, "named", data, "create", catalog_name="AwsDataCatalog", db_schema_name="ingest") == 1
    with pytest.raises(adbc_driver_manager.Error, match="no temporary tables"):
        ingest(connection, "named", data, "replace", temporary=True)
    with pytest.raises(adbc_driver_manager.Error, match="other.*not Glue's"):
        ingest(connection, "named", data, "replace", catalog_name="other")
    with pytest.raises(adbc_driver_manager.Error, match="(?i)nowhere"):
        ingest(connection, "named", data, "create", db_schema_name="nowhere")
    with connection.cursor() as cursor:
        cursor.execute("create view seen as select 1 as n")
    with pytest.raises(adbc_driver_manager.Error, match="is a view"):
        ingest(connection, "seen", data, "append")


def ingest_descriptor(name, if_not_exist, if_exists):
    """CommandStatementIngest in its Any."""
    options = bytes([0x08, if_not_exist, 0x10, if_exists])
    return command(b"CommandStatementIngest", field(1, options) + field(2, name) + field(3, b"ingest"))


# Sends some parts' worth of rows and dies.
BROKEN_OFF = """
import os, signal, sys, pyarrow as pa, pyarrow.flight as fl
batch = pa.record_batch({"n": pa.array([os.urandom(1000) for _ in range(1000)])})
descriptor = fl.FlightDescriptor.for_command(bytes.fromhex(sys.argv[2]))
writer, _ = fl.connect(sys.argv[1]).do_put(descriptor, batch.schema)
for _ in range(20):
    writer.write_batch(batch)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_stream_that_breaks_leaves_the_table_as_it_was(connection, server):
    ingest(connection, "kept", pa.table({"n": [1]}), "create")
    for _ in range(3):
        killed = subprocess.run([sys.executable, "-c", BROKEN_OFF, server.url, ingest_descriptor(b"kept", 1, 3).command.hex()])
        assert killed.returncode == -signal.SIGKILL
    assert table(connection, "select * from kept").to_pydict() == {"n": [1]}


@pytest.mark.parametrize(("if_not_exist", "if_exists"), [(0, 1), (1, 0)])
def test_what_the_command_leaves_open_is_an_error(connection, server, if_not_exist, if_exists):
    with fl.connect(server.url) as client, pytest.raises(pa.ArrowException, match="does not say what to do"):
        writer, _ = client.do_put(ingest_descriptor(b"open", if_not_exist, if_exists), pa.schema([("n", pa.int64())]))
        writer.close()


def test_read_only_refuses_it_and_all_other_writes(start, server):
    credentials = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    arguments = ["--listen", "127.0.0.1:0", "--endpoint-url", server.endpoint, "--region", "us-east-1", "--read-only"]
    reader = start("serve", *arguments, **credentials)
    with dbapi.connect(reader.url, autocommit=True) as connection:
        assert connection.adbc_get_info()["vendor_name"] == "athena-flight"
        assert table(connection, "select count(*) as n from tpch.nation").to_pydict() == {"n": [25]}
        with pytest.raises(adbc_driver_manager.Error, match="only reads"):
            ingest(connection, "x", pa.table({"n": [1]}), "create")
        for sql in ["create database x", "insert into tpch.nation values (1)", "explain analyze insert into tpch.nation values (1)",
                    "-- select\rinsert into tpch.nation values (1)", "select 1; create database x", "\ufeffcreate database x"]:
            with connection.cursor() as cursor, pytest.raises(adbc_driver_manager.Error, match="only reads"):
                cursor.execute(sql)
                cursor.fetchall()


def test_a_long_value_said_once_for_many_rows(start, server, tmp_path):
    """Written out, the column is far larger than what the gateway holds of it at a time."""
    arguments = ["--listen", "127.0.0.1:0", "--endpoint-url", server.endpoint, "--region", "us-east-1", "--s3-staging-dir",
                 "s3://athena-flight-results/staged/"]
    gateway = start("serve", *arguments, home=tmp_path, AWS_ACCESS_KEY_ID="any", AWS_SECRET_ACCESS_KEY="any")
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 300, pa.int32()), pa.array(["x" * (1 << 20)]))
    with dbapi.connect(gateway.url, autocommit=True) as connection:
        assert ingest(connection, "repeats", pa.table({"t": texts}), "create", db_schema_name="ingest") == 300
        rows = table(connection, "select count(*) as n, min(length(t)) as least from ingest.repeats").to_pylist()
    assert rows == [{"n": 300, "least": 1 << 20}]
    status = open(f"/proc/{gateway.process.pid}/status").read()
    peak_mib = int(status.split("VmHWM:")[1].split()[0]) / 1024
    assert peak_mib < 280
