"""The embedded endpoint with AWS's own clients: boto3 and PyAthena."""

import time

import boto3
import pyathena
import pytest
from botocore.exceptions import ClientError

from conftest import aws


@pytest.fixture
def athena(emulator):
    return boto3.client("athena", **aws(emulator.endpoint))


def run(athena, sql, **arguments):
    query = athena.start_query_execution(QueryString=sql, **arguments)["QueryExecutionId"]
    while True:
        execution = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]
        if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
            return execution
        time.sleep(0.01)


def test_query_and_result_object(emulator, athena):
    execution = run(athena, "select n_name, n_regionkey from tpch.nation where n_regionkey = 0 order by 1 limit 1")
    assert execution["Status"]["State"] == "SUCCEEDED"
    assert execution["Statistics"]["DataScannedInBytes"] > 0
    results = athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])
    rows = [[datum.get("VarCharValue") for datum in row["Data"]] for row in results["ResultSet"]["Rows"]]
    assert rows == [["n_name", "n_regionkey"], ["ALGERIA", "0"]]
    bucket, key = execution["ResultConfiguration"]["OutputLocation"].removeprefix("s3://").split("/", 1)
    s3 = boto3.client("s3", **aws(emulator.endpoint))
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b'"n_name","n_regionkey"\n"ALGERIA","0"\n'
    assert s3.head_object(Bucket=bucket, Key=key + ".metadata")["ContentLength"] > 0


def test_errors_have_athenas_shape(athena):
    with pytest.raises(ClientError) as caught:
        athena.start_query_execution(QueryString="selec 1")
    error = caught.value.response
    assert error["Error"]["Code"] == "InvalidRequestException"
    assert error["AthenaErrorCode"] == "MALFORMED_QUERY"
    assert error["Error"]["Message"].startswith("line 1:1: mismatched input 'selec'")
    failed = run(athena, "select * from tpch.nope")["Status"]
    assert failed["AthenaError"]["ErrorType"] == 1301
    with pytest.raises(ClientError, match="UnknownOperationException"):
        athena.list_named_queries()


def test_batch_and_list(athena):
    ids = [run(athena, f"select {number}")["QueryExecutionId"] for number in range(3)]
    found = athena.batch_get_query_execution(QueryExecutionIds=[*ids, "00000000-0000-0000-0000-000000000000"])
    assert [execution["QueryExecutionId"] for execution in found["QueryExecutions"]] == ids
    assert found["UnprocessedQueryExecutionIds"][0]["ErrorCode"] == "QUERY_EXECUTION_NOT_FOUND"
    first = athena.list_query_executions(MaxResults=2)
    assert first["QueryExecutionIds"] == ids[:0:-1]
    second = athena.list_query_executions(MaxResults=2, NextToken=first["NextToken"])
    assert second["QueryExecutionIds"][0] == ids[0]


def test_metadata(emulator, athena):
    assert athena.get_work_group(WorkGroup="primary")["WorkGroup"]["State"] == "ENABLED"
    assert athena.list_data_catalogs()["DataCatalogsSummary"] == [{"CatalogName": "AwsDataCatalog", "Type": "GLUE"}]
    tables = athena.list_table_metadata(CatalogName="AwsDataCatalog", DatabaseName="tpch", MaxResults=5)
    rest = athena.list_table_metadata(CatalogName="AwsDataCatalog", DatabaseName="tpch", NextToken=tables["NextToken"])
    assert len(tables["TableMetadataList"]) + len(rest["TableMetadataList"]) == 8
    glue = boto3.client("glue", **aws(emulator.endpoint))
    assert [t["Name"] for t in glue.get_tables(DatabaseName="tpch", Expression="n.*")["TableList"]] == ["nation"]
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_table(DatabaseName="tpch", Name="nope")
    assert boto3.client("sts", **aws(emulator.endpoint)).get_caller_identity()["Account"] == "000000000000"


def test_partitions(emulator, athena):
    glue, s3 = boto3.client("glue", **aws(emulator.endpoint)), boto3.client("s3", **aws(emulator.endpoint))
    s3.create_bucket(Bucket="lake")
    s3.put_object(Bucket="lake", Key="elsewhere/a.json", Body=b'{"id": 1}\n{"id": 2}\n')
    glue.create_database(DatabaseInput={"Name": "lake"})
    serde = {"SerializationLibrary": "org.openx.data.jsonserde.JsonSerDe"}
    storage = {"Columns": [{"Name": "id", "Type": "int"}], "Location": "s3://lake/t/", "SerdeInfo": serde}
    table = {"Name": "t", "StorageDescriptor": storage, "PartitionKeys": [{"Name": "dt", "Type": "date"}]}
    glue.create_table(DatabaseName="lake", TableInput=table)
    partition = {"Values": ["2026-01-01"], "StorageDescriptor": storage | {"Location": "s3://lake/elsewhere/"}}
    glue.batch_create_partition(DatabaseName="lake", TableName="t", PartitionInputList=[partition])
    assert glue.get_partitions(DatabaseName="lake", TableName="t")["Partitions"][0]["Values"] == ["2026-01-01"]
    execution = run(athena, "select sum(id), max(dt) from lake.t where dt = date '2026-01-01'")
    assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
    rows = athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])["ResultSet"]["Rows"]
    assert [datum["VarCharValue"] for datum in rows[1]["Data"]] == ["3", "2026-01-01"]


def test_s3_multipart_and_listing(emulator):
    s3 = boto3.client("s3", **aws(emulator.endpoint))
    s3.create_bucket(Bucket="parts")
    upload = s3.create_multipart_upload(Bucket="parts", Key="a/b")["UploadId"]
    part = s3.upload_part(Bucket="parts", Key="a/b", UploadId=upload, PartNumber=1, Body=b"x" * 5_000_000)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket="parts", Key="a/b", UploadId=upload, MultipartUpload=parts)
    assert s3.list_objects_v2(Bucket="parts", Prefix="a/")["Contents"][0]["Size"] == 5_000_000
    assert s3.get_object(Bucket="parts", Key="a/b", Range="bytes=1-3")["Body"].read() == b"xxx"
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="parts", Key="nope")


def test_pyathena_cursor(emulator):
    arguments = aws(emulator.endpoint) | {"s3_staging_dir": "s3://athena-flight-results/pyathena/", "poll_interval": 0.02}
    with pyathena.connect(schema_name="tpch", **arguments) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT n_name, n_nationkey FROM nation WHERE n_nationkey > %(least)d ORDER BY 2", {"least": 22})
        assert cursor.fetchall() == [("UNITED KINGDOM", 23), ("UNITED STATES", 24)]
        cursor.execute("SELECT count(*) FROM lineitem")
        assert cursor.fetchone() == (60175,)
        with pytest.raises(pyathena.error.OperationalError, match="TABLE_NOT_FOUND"):
            cursor.execute("SELECT * FROM nope")
