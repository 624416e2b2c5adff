"""A foreign AWS: moto's server. It has neither BatchGetQueryExecution nor ListTableMetadata."""

import concurrent.futures
import json
import urllib.request

import boto3
import pytest
from adbc_driver_flightsql import dbapi
import pyarrow.flight as flight

from conftest import aws
from test_pyarrow import statement
from test_tpch import with_credentials


@pytest.fixture(scope="module")
def gateway(start, moto, tmp_path_factory):
    s3, glue = boto3.client("s3", **aws(moto)), boto3.client("glue", **aws(moto))
    s3.create_bucket(Bucket="results")
    glue.create_database(DatabaseInput={"Name": "sales"})
    columns = [{"Name": "id", "Type": "int"}, {"Name": "price", "Type": "decimal(10,2)", "Comment": "in euro"}]
    table = {"Name": "orders", "TableType": "EXTERNAL_TABLE", "StorageDescriptor": {"Columns": columns},
             "PartitionKeys": [{"Name": "dt", "Type": "string"}]}
    glue.create_table(DatabaseName="sales", TableInput=table)
    return start("serve", "--listen", "127.0.0.1:0", "--endpoint-url", moto, "--region", "us-east-1",
                 # So few that two statements at once have to be asked about together.
                 "--athena-quota", "GetQueryExecution=1/1",
                 # Without EXPLAIN, which would take the queued answers.
                 "--result-path", "direct",
                 "--s3-staging-dir", "s3://results/", home=with_credentials(tmp_path_factory))


def queue(moto, columns, rows):
    """Queues the result of the next query that is started."""
    info = [{"CatalogName": "hive", "SchemaName": "", "TableName": "", "Name": name, "Label": name, "Type": kind,
             "Precision": 10, "Scale": 2, "Nullable": "UNKNOWN", "CaseSensitive": False} for name, kind in columns]
    data = [{"Data": [{} if value is None else {"VarCharValue": value} for value in row]}
            for row in [[name for name, _ in columns], *rows]]
    body = json.dumps({"results": [{"rows": data, "column_info": info}]}).encode()
    request = urllib.request.Request(f"{moto}/moto-api/static/athena/query-results", body, {"Content-Type": "application/json"})
    assert urllib.request.urlopen(request).status == 201


def test_catalog(gateway):
    with dbapi.connect(gateway.url, autocommit=True) as connection:
        [catalog] = connection.adbc_get_objects(depth="all").read_all().to_pylist()
    assert catalog["catalog_name"] == "AwsDataCatalog"
    [schema] = catalog["catalog_db_schemas"]
    [table] = schema["db_schema_tables"]
    assert (schema["db_schema_name"], table["table_name"]) == ("sales", "orders")
    assert [column["column_name"] for column in table["table_columns"]] == ["id", "price", "dt"]


def test_select(gateway, moto):
    queue(moto, [("id", "integer"), ("price", "decimal"), ("note", "varchar")], [["1", "12.50", ""], ["2", None, None]])
    with flight.connect(gateway.url.replace("grpc://", "grpc+tcp://")) as client:
        info = client.get_flight_info(statement("select * from sales.orders"))
        rows = client.do_get(info.endpoints[0].ticket).read_all()
    assert [str(field.type) for field in rows.schema] == ["int32", "decimal128(10, 2)", "string"]
    assert [tuple(map(str, row.values())) for row in rows.to_pylist()] == [("1", "12.50", ""), ("2", "None", "None")]


def test_many_at_once_without_the_batch_call(gateway, moto):
    """More than a few queries in flight are asked for by BatchGetQueryExecution, which moto cannot answer."""
    count = 8
    for number in range(count):
        queue(moto, [("n", "integer")], [[str(number)]])

    def query(_):
        with flight.connect(gateway.url.replace("grpc://", "grpc+tcp://")) as client:
            info = client.get_flight_info(statement("select n from sales.orders"))
            return client.do_get(info.endpoints[0].ticket).read_all()["n"].to_pylist()

    with concurrent.futures.ThreadPoolExecutor(count) as threads:
        found = list(threads.map(query, range(count)))
    assert sorted(found) == [[number] for number in range(count)]
    log = (gateway.home / "log").read_text()
    assert "queries are asked about one by one" in log
