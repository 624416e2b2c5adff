"""The endpoint's catalog survives being killed: what was answered is there, what was not is whole or not at all."""

import concurrent.futures
import random
import signal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from conftest import aws

KILLS = 50
ONCE = Config(retries={"max_attempts": 0, "mode": "standard"}, max_pool_connections=8, connect_timeout=5, read_timeout=20)


def test_killed_in_mid_write_fifty_times(start, tmp_path_factory):
    data = tmp_path_factory.mktemp("crash")
    draw = random.Random(7)
    tables, partitions = set(), set()
    process = start("emulator", "--data", data, "--listen", "127.0.0.1:0")
    boto3.client("glue", **aws(process.endpoint)).create_database(DatabaseInput={"Name": "d"})
    for round_ in range(KILLS):
        glue = boto3.client("glue", config=ONCE, **aws(process.endpoint))
        athena = boto3.client("athena", config=ONCE, **aws(process.endpoint))

        def write(n):
            """Makes a table, partitions and a statement, and notes what was answered."""
            name = f"t{round_}_{n}"
            columns = {"Columns": [{"Name": "x", "Type": "int"}], "Location": "s3://athena-flight-results/none/"}
            keys = [{"Name": "k", "Type": "string"}]
            try:
                glue.create_table(
                    DatabaseName="d", TableInput={"Name": name, "StorageDescriptor": columns, "PartitionKeys": keys}
                )
                tables.add(name)
                for batch in range(20):
                    values = [f"{batch}_{i}" for i in range(20)]
                    inputs = [{"Values": [value], "StorageDescriptor": columns} for value in values]
                    glue.batch_create_partition(DatabaseName="d", TableName=name, PartitionInputList=inputs)
                    partitions.add((name, batch))
                    athena.start_query_execution(QueryString=f"CREATE TABLE d.c{round_}_{n}_{batch} AS SELECT 1 AS x")
            except (BotoCoreError, ClientError):
                pass

        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            writes = [threads.submit(write, n) for n in range(4)]
            concurrent.futures.wait(writes, timeout=draw.uniform(0.0, 0.25))
            process.stop(signal.SIGKILL)
        process = start("emulator", "--data", data, "--listen", "127.0.0.1:0")
        glue = boto3.client("glue", **aws(process.endpoint))
        found = {}
        for page in glue.get_paginator("get_tables").paginate(DatabaseName="d"):
            found |= {table["Name"]: table for table in page["TableList"]}
        assert tables <= set(found), "a table that was answered is gone"
        recent = [(name, batch) for name, batch in partitions if name.startswith(f"t{round_}_")]
        for name in {name for name, _ in recent}:
            pages = glue.get_paginator("get_partitions").paginate(DatabaseName="d", TableName=name)
            values = [partition["Values"][0] for page in pages for partition in page["Partitions"]]
            batches = {batch: sum(value.startswith(f"{batch}_") for value in values) for batch in range(20)}
            assert set(batches.values()) <= {0, 20}, "a batch is there in part"
            assert all(batches[batch] == 20 for own, batch in recent if own == name), "an answered batch is gone"
    # Tables that a statement made have their data: a table is in the catalog only when its files are in their places.
    athena = boto3.client("athena", **aws(process.endpoint))
    made = sorted(name for name in found if name.startswith("c"))
    union = " UNION ALL ".join(f"SELECT x FROM d.{name}" for name in made[-40:])
    if made:
        query = athena.start_query_execution(QueryString=f"SELECT sum(x) FROM ({union})")["QueryExecutionId"]
        while (state := athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"])["State"] in (
            "QUEUED",
            "RUNNING",
        ):
            pass
        assert state["State"] == "SUCCEEDED", state
        rows = athena.get_query_results(QueryExecutionId=query)["ResultSet"]["Rows"]
        assert rows[1]["Data"][0]["VarCharValue"] == str(len(made[-40:]))
    assert len(tables) > KILLS, "the kills came before anything was written"
