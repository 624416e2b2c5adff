"""The embedded endpoint with awswrangler: reading three ways, the catalog, writing partitioned tables."""

import boto3
import pandas
import pytest

wrangler = pytest.importorskip("awswrangler")

from conftest import aws

RESULTS = "s3://athena-flight-results/wrangler/"


@pytest.fixture
def session(emulator):
    """A boto3 session for the endpoint, and awswrangler pointed at it."""
    names = ("athena", "glue", "s3", "sts", "lakeformation")
    for name in names:
        setattr(wrangler.config, f"{name}_endpoint_url", emulator.endpoint)
    arguments = aws(emulator.endpoint)
    arguments.pop("endpoint_url")
    yield boto3.Session(**arguments)
    for name in names:
        setattr(wrangler.config, f"{name}_endpoint_url", None)


@pytest.mark.parametrize(
    "how",
    [
        {"ctas_approach": False, "unload_approach": False},
        {"ctas_approach": True, "unload_approach": False},
        {"ctas_approach": False, "unload_approach": True, "s3_output": RESULTS + "unload/"},
    ],
    ids=["plain", "ctas", "unload"],
)
def test_read_sql_query(session, how):
    options = {"database": "tpch", "boto3_session": session, "s3_output": RESULTS} | how
    query = "SELECT l_orderkey, l_quantity, l_shipdate, l_comment FROM lineitem"
    frame = wrangler.athena.read_sql_query(query, **options)
    assert len(frame) == 60175 and int(frame["l_orderkey"].sum()) == 1802759573
    assert {"l_orderkey", "l_quantity", "l_shipdate", "l_comment"} == set(frame.columns)


@pytest.mark.parametrize("ctas", [False, True])
def test_read_in_chunks(session, ctas):
    chunks = wrangler.athena.read_sql_query(
        "SELECT l_orderkey FROM lineitem",
        database="tpch",
        ctas_approach=ctas,
        chunksize=10_000,
        s3_output=RESULTS,
        boto3_session=session,
    )
    sizes = [len(chunk) for chunk in chunks]
    assert sum(sizes) == 60175 and len(sizes) > 1


def test_catalog(session):
    tables = wrangler.catalog.tables(database="tpch", boto3_session=session)
    assert set(tables["Table"]) >= {"lineitem", "nation"}
    columns = wrangler.catalog.table(database="tpch", table="nation", boto3_session=session)
    assert list(columns["Column Name"]) == ["n_nationkey", "n_name", "n_regionkey", "n_comment"]
    assert wrangler.catalog.get_table_types("tpch", "region", boto3_session=session)["r_name"] == "string"


def test_to_parquet_with_partitions(session, emulator):
    boto3.client("s3", **aws(emulator.endpoint)).create_bucket(Bucket="wrangled")
    wrangler.catalog.create_database("wrangled", boto3_session=session, exist_ok=True)
    frame = pandas.DataFrame({"id": [1, 2, 3], "value": ["a", "b", None], "day": ["x", "x", "y"]})
    options = {
        "path": "s3://wrangled/t/",
        "dataset": True,
        "database": "wrangled",
        "table": "t",
        "partition_cols": ["day"],
        "boto3_session": session,
    }
    wrangler.s3.to_parquet(frame, **options)
    wrangler.s3.to_parquet(pandas.DataFrame({"id": [4], "value": ["d"], "day": ["z"]}), mode="append", **options)
    read = wrangler.athena.read_sql_query(
        "SELECT day, count(*) AS n, max(id) AS last FROM t GROUP BY day ORDER BY day",
        database="wrangled",
        ctas_approach=False,
        s3_output=RESULTS,
        boto3_session=session,
    )
    assert read.values.tolist() == [["x", 2, 2], ["y", 1, 3], ["z", 1, 4]]
    partitions = wrangler.catalog.get_parquet_partitions("wrangled", "t", boto3_session=session)
    assert sorted(values[0] for values in partitions.values()) == ["x", "y", "z"]
    wrangler.s3.to_parquet(frame, mode="overwrite", **options)
    assert len(wrangler.s3.read_parquet_table("t", database="wrangled", boto3_session=session)) == 3
    assert wrangler.catalog.delete_table_if_exists("wrangled", "t", boto3_session=session)
