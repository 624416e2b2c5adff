"""The process itself: kills, signals, wrong usage, one's own files, the query command."""

import csv
import io
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import boto3
import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as parquet
import pytest
from adbc_driver_flightsql import dbapi

from conftest import BINARY, aws
from load import until
from test_aws_clients import run
from wire import statement

LONG = "select count(*) from tpch.lineitem a, tpch.lineitem b where a.l_partkey + b.l_suppkey = 1"


def test_kill_loses_nothing(start, tmp_path):
    data = tmp_path / "data"
    emulator = start("emulator", "--demo", "--data", data, "--listen", "127.0.0.1:0")
    athena, glue = boto3.client("athena", **aws(emulator.endpoint)), boto3.client("glue", **aws(emulator.endpoint))
    glue.create_database(DatabaseInput={"Name": "kept"})
    glue.create_table(DatabaseName="kept", TableInput={"Name": "t"})
    finished = [run(athena, f"select {number} as n, n_name from tpch.nation")["QueryExecutionId"] for number in range(5)]
    before = [athena.get_query_results(QueryExecutionId=query)["ResultSet"] for query in finished]
    running = athena.start_query_execution(QueryString=LONG)["QueryExecutionId"]
    assert emulator.stop(signal.SIGKILL) == -signal.SIGKILL

    emulator = start("emulator", "--data", data, "--listen", "127.0.0.1:0")
    athena, glue = boto3.client("athena", **aws(emulator.endpoint)), boto3.client("glue", **aws(emulator.endpoint))
    assert {table["Name"] for table in glue.get_tables(DatabaseName="tpch")["TableList"]} >= {"lineitem", "nation"}
    assert glue.get_table(DatabaseName="kept", Name="t")["Table"]["Name"] == "t"
    assert [athena.get_query_results(QueryExecutionId=query)["ResultSet"] for query in finished] == before
    assert set(finished) <= set(athena.list_query_executions()["QueryExecutionIds"])
    found = athena.batch_get_query_execution(QueryExecutionIds=[running])["QueryExecutions"]
    assert [execution["Status"]["State"] for execution in found] in ([], ["FAILED"])
    assert emulator.stop() == 0


def test_a_folder_is_used_by_one(start, tmp_path):
    start("emulator", "--data", tmp_path, "--listen", "127.0.0.1:0")
    refused = call("emulator", "--data", tmp_path, "--listen", "127.0.0.1:0")
    assert refused.returncode == 1 and "in use by another athena-flight" in refused.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_long_query_and_the_process(start, tmp_path, number):
    server = start("serve", "--demo", "--listen", "127.0.0.1:0", "--shutdown-grace", "1", home=tmp_path)
    athena = boto3.client("athena", **aws(server.endpoint))
    failures = []

    def query():
        try:
            with dbapi.connect(server.url, autocommit=True) as connection, connection.cursor() as cursor:
                cursor.execute(LONG)
        except Exception as error:  # whatever the driver makes of it
            failures.append(error)

    thread = threading.Thread(target=query)
    thread.start()
    while True:
        ids = athena.list_query_executions()["QueryExecutionIds"]
        executions = athena.batch_get_query_execution(QueryExecutionIds=ids)["QueryExecutions"] if ids else []
        if any(e["Status"]["State"] == "RUNNING" and e["Query"] == LONG for e in executions):
            break
        time.sleep(0.01)
    code = server.stop(number)
    thread.join()
    assert code == 0 and failures
    # The history tells that the query was stopped, not broken off.
    again = start("serve", "--demo", "--listen", "127.0.0.1:0", home=tmp_path)
    athena = boto3.client("athena", **aws(again.endpoint))
    [execution] = [
        execution
        for execution in athena.batch_get_query_execution(QueryExecutionIds=ids)["QueryExecutions"]
        if execution["Query"] == LONG
    ]
    assert execution["Status"]["State"] == "CANCELLED"
    again.stop()


def test_what_is_under_way_has_a_grace_time(start, tmp_path):
    server = start("serve", "--demo", "--listen", "127.0.0.1:0", home=tmp_path)
    document = b'{"latency": {"run": {"fixed": 1500}}}'
    urllib.request.urlopen(urllib.request.Request(f"{server.endpoint}/_athena-flight/behaviour", method="PUT", data=document))
    athena = boto3.client("athena", **aws(server.endpoint))
    direct = fl.FlightCallOptions(headers=[(b"x-athena-result-path", b"direct")])
    client = fl.connect(server.url)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(client.get_flight_info, statement("select n_name from tpch.nation"), direct)
        until(lambda: states(athena) == ["RUNNING"])
        server.process.send_signal(signal.SIGTERM)
        # No new statement begins, and that is told in a way that clients try another gateway.

        def refused():
            try:
                client.get_flight_info(statement("values 1"), direct)
            except fl.FlightUnavailableError as error:
                return "shutting down" in str(error)
        until(refused)
        info = running.result()
    # Its rows can be fetched after the signal too.
    assert client.do_get(info.endpoints[0].ticket).read_all().num_rows == 25
    assert server.process.wait(timeout=30) == 0


def test_a_second_signal_ends_at_once(start, tmp_path):
    server = start("serve", "--demo", "--listen", "127.0.0.1:0", home=tmp_path)
    athena = boto3.client("athena", **aws(server.endpoint))
    client = fl.connect(server.url)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(client.get_flight_info, statement(LONG))
        until(lambda: "RUNNING" in states(athena))
        server.process.send_signal(signal.SIGTERM)
        until(lambda: b"a second signal ends at once" in (tmp_path / "log").read_bytes())
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 130
        assert running.exception()


def states(athena):
    ids = athena.list_query_executions()["QueryExecutionIds"]
    executions = athena.batch_get_query_execution(QueryExecutionIds=ids)["QueryExecutions"] if ids else []
    return [execution["Status"]["State"] for execution in executions]


def test_without_region_or_credentials_it_is_not_ready(tmp_path):
    home = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    for arguments, text in [
        (["serve", "--listen", "127.0.0.1:0"], "no AWS region is known"),
        (["serve", "--listen", "127.0.0.1:0", "--region", "us-east-1"], "no AWS credentials are found"),
        (["query", "select 1", "--region", "us-east-1"], "no AWS credentials are found"),
    ]:
        done = call(*arguments, **home)
        assert done.returncode == 1 and text in done.stderr and "ready" not in done.stdout, done
        # Nobody has to read Rust to know what is missing.
        assert not re.search(r"\w+ \{ |Error\(", done.stderr), done.stderr


def call(*arguments, **env):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ATHENA_FLIGHT_"))}
    return subprocess.run([str(BINARY), *map(str, arguments)], capture_output=True, text=True, env=clean | env, timeout=60)


def test_wrong_usage_is_told_in_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for arguments, code, text in [
            (["serve", "--demo", "--listen", address], 1, f"cannot listen on {address}"),
            (["serve", "--local", tmp_path / "nope"], 1, "no such folder"),
            (["serve", "--demo", "--local", tmp_path], 1, "exclude each other"),
            (["serve", "--listen", "0.0.0.0:0"], 1, "not on this machine"),
            (["serve", "--config", tmp_path / "nope"], 1, "No such file"),
            (["serve", "--nonsense"], 2, "unexpected argument"),
            (["emulator"], 2, "--data"),
            (["emulator", "--data", "/proc/nope"], 1, "data folder /proc/nope"),
            (["query", "--url", "grpc://127.0.0.1:1", "select 1"], 1, "no gateway answers"),
        ]:
            done = call(*arguments, XDG_DATA_HOME=str(tmp_path))
            assert done.returncode == code and text in done.stderr, (arguments, done)
            if code == 1:
                assert len([line for line in done.stderr.splitlines() if not line.startswith("{")]) == 1, done.stderr


def test_config_file(tmp_path):
    config = tmp_path / "athena-flight.toml"
    config.write_text("work-group = 'a'\n")
    done = call("serve", "--config", config)
    assert done.returncode == 1 and "work-group" in done.stderr and "workgroup" in done.stderr


def test_own_files(start, tmp_path):
    folder = tmp_path / "files"
    (folder / "shop" / "sales" / "year=2025").mkdir(parents=True)
    (folder / "shop" / "sales" / "year=2026").mkdir()
    parquet.write_table(pa.table({"Price": [1.5, None], "n": pa.array([1, 2], pa.uint32())}), folder / "shop" / "prices.parquet")
    (folder / "shop" / "people.csv").write_text('id,name,born\n1,"Ada, Countess",1815-12-10\n2,Grace,1906-12-09\n')
    (folder / "shop" / "events.json").write_text('{"id": 1, "tags": ["a"]}\n{"id": 2, "tags": []}\n')
    for year, amount in [(2025, 10), (2026, 20)]:
        parquet.write_table(pa.table({"amount": [amount]}), folder / "shop" / "sales" / f"year={year}" / "a.parquet")
    (folder / "shop" / "notes.txt").write_text("not a table")
    before = sorted(path for path in folder.rglob("*"))
    server = start("serve", "--local", folder, "--listen", "127.0.0.1:0", home=tmp_path)
    with dbapi.connect(server.url, autocommit=True) as connection, connection.cursor() as cursor:

        def rows(sql):
            cursor.execute(sql)
            return cursor.fetchall()

        assert rows("show tables in shop") == [("events",), ("people",), ("prices",), ("sales",)]
        assert rows("select price, n from shop.prices order by n") == [(1.5, 1), (None, 2)]
        assert [row[1] for row in rows("select * from shop.people where born < date '1900-01-01'")] == ["Ada, Countess"]
        assert rows("select id, tags from shop.events order by id") == [(1, "[a]"), (2, "[]")]
        assert rows("select sum(amount) from shop.sales where year = 2026") == [(20,)]
    server.stop()
    assert sorted(path for path in folder.rglob("*")) == before, "one's own folder is only read"


def test_query_command(demo):
    def query(*arguments):
        done = call("query", "--url", demo.url, *arguments)
        assert done.returncode == 0, done.stderr
        return done

    sql = "select n_nationkey as key, n_name as name from tpch.nation order by 1 limit 2"
    assert query(sql).stdout.splitlines()[3] == "| 0   | ALGERIA   |"
    done = query("--format", "csv", sql)
    assert done.stdout == "key,name\n0,ALGERIA\n1,ARGENTINA\n"
    assert "2 rows" in done.stderr and "bytes scanned" in done.stderr and "query id" in done.stderr
    assert query("--format", "json", sql).stdout == '{"key":0,"name":"ALGERIA"}\n{"key":1,"name":"ARGENTINA"}\n'
    arrow = subprocess.run([str(BINARY), "query", "--url", demo.url, "--format", "arrow", sql], capture_output=True)
    assert pa.ipc.open_stream(io.BytesIO(arrow.stdout)).read_all().num_rows == 2
    assert query("--format", "csv", "select 1 as a where false").stdout == "a\n"
    failed = call("query", "--url", demo.url, "select nope")
    assert failed.returncode == 1 and "Column 'nope' cannot be resolved" in failed.stderr and failed.stdout == ""


def test_query_command_takes_options_to_the_gateway_or_refuses_them(demo):
    def query(*arguments, **env):
        return call("query", "--url", demo.url, "--format", "csv", *arguments, **env)

    assert query("--database", "tpch", "select count(*) as n from nation").stdout == "n\n25\n"
    assert query("select count(*) as n from nation", ATHENA_FLIGHT_DATABASE="tpch").stdout == "n\n25\n"
    # Variables of a gateway on this machine are none of this one's.
    assert query("select 1 as n", ATHENA_FLIGHT_DEMO="true", ATHENA_FLIGHT_MEMORY_LIMIT="nonsense").stdout == "n\n1\n"
    for arguments, why in [
        (["--workgroup", "nope"], "WorkGroup is not found"),
        (["--result-path", "fast"], "--result-path: "),
        (["--demo"], "it goes without --demo"),
        (["--s3-staging-dir", "s3://b/", "--profile", "p"], "--s3-staging-dir, --profile"),
    ]:
        done = query(*arguments, "select 1 as n")
        assert done.returncode == 1 and why in done.stderr and done.stdout == "", (arguments, done)
    for read_only in [query("--read-only", "create database x"), query("create database x", ATHENA_FLIGHT_READ_ONLY="true")]:
        assert read_only.returncode == 1 and "was not sent" in read_only.stderr
    assert "x" not in query("show databases").stdout.split()
    assert query("--read-only", "select 1 as n").stdout == "n\n1\n"


def test_query_command_tells_null_from_the_empty_text(demo):
    def query(*arguments):
        done = call("query", "--url", demo.url, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    sql = "select a, n from (values (1, 'x', nan()), (2, '', infinity()), (3, null, null)) as t (i, a, n) order by i"
    assert query("--format", "csv", sql) == 'a,n\nx,NaN\n"",Infinity\n,\n'
    rows = [json.loads(line) for line in query("--format", "json", sql).splitlines()]
    assert rows == [{"a": "x", "n": "NaN"}, {"a": "", "n": "Infinity"}, {"a": None, "n": None}]
    assert [[cell.strip() for cell in line.split("|")[1:3]] for line in query(sql).splitlines()[4:6]] == [
        ["", "inf"], ["NULL", "NULL"]
    ]
    nested = "select array[1, null] as l, map(array[1], array['x,\"y\"']) as m, cast(row(1.5e0) as row(a double)) as r"
    [header, row] = csv.reader(io.StringIO(query("--format", "csv", nested)))
    assert header == ["l", "m", "r"] and list(map(json.loads, row)) == [[1, None], {"1": 'x,"y"'}, {"a": 1.5}]
    # What fails prints nothing.
    failed = call("query", "--url", demo.url, "--format", "csv", "select 1/0 as n")
    assert failed.returncode == 1 and failed.stdout == ""


def test_query_command_with_a_gateway_of_its_own(tmp_path):
    done = call("query", "--demo", "--format", "csv", "select count(*) from tpch.lineitem", XDG_DATA_HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "_col0\n60175\n"), done.stderr
