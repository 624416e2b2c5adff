"""The endpoint's calls by boto3: workgroups, catalogs, prepared statements, Glue's changes, Lake Formation's tags."""

import boto3
import pytest
from botocore.exceptions import ClientError

from conftest import aws
from test_aws_clients import run


@pytest.fixture
def client(emulator):
    return lambda name: boto3.client(name, **aws(emulator.endpoint))


def test_workgroups(client):
    athena = client("athena")
    configuration = {
        "ResultConfiguration": {"OutputLocation": "s3://athena-flight-results/team/"},
        "BytesScannedCutoffPerQuery": 20_000_000,
    }
    athena.create_work_group(Name="team", Description="ours", Configuration=configuration)
    with pytest.raises(ClientError, match="already created"):
        athena.create_work_group(Name="team")
    found = athena.get_work_group(WorkGroup="team")["WorkGroup"]
    assert found["Description"] == "ours" and found["Configuration"]["EnforceWorkGroupConfiguration"]
    updates = {"ResultConfigurationUpdates": {"OutputLocation": "s3://athena-flight-results/moved/"}}
    updates |= {"RemoveBytesScannedCutoffPerQuery": True}
    athena.update_work_group(WorkGroup="team", ConfigurationUpdates=updates)
    changed = athena.get_work_group(WorkGroup="team")["WorkGroup"]["Configuration"]
    assert "BytesScannedCutoffPerQuery" not in changed
    execution = run(athena, "SELECT 1", WorkGroup="team")
    assert execution["ResultConfiguration"]["OutputLocation"].startswith("s3://athena-flight-results/moved/")
    assert athena.list_query_executions(WorkGroup="team")["QueryExecutionIds"] == [execution["QueryExecutionId"]]
    statistics = athena.get_query_runtime_statistics(QueryExecutionId=execution["QueryExecutionId"])
    assert statistics["QueryRuntimeStatistics"]["Rows"]["OutputRows"] == 1
    names, token = [], None
    while True:
        page = athena.list_work_groups(MaxResults=1, **({"NextToken": token} if token else {}))
        names += [group["Name"] for group in page["WorkGroups"]]
        token = page.get("NextToken")
        if not token:
            break
    assert names == ["primary", "team"]
    athena.delete_work_group(WorkGroup="team", RecursiveDeleteOption=True)
    with pytest.raises(ClientError, match="WorkGroup is not found"):
        athena.get_work_group(WorkGroup="team")


def test_prepared_statements(client):
    athena = client("athena")
    athena.create_prepared_statement(StatementName="p", WorkGroup="primary", QueryStatement="SELECT ? AS x")
    assert athena.get_prepared_statement(StatementName="p", WorkGroup="primary")["PreparedStatement"]["QueryStatement"]
    athena.update_prepared_statement(StatementName="p", WorkGroup="primary", QueryStatement="SELECT ? + 1 AS x")
    execution = run(athena, "EXECUTE p USING 41")
    rows = athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])["ResultSet"]["Rows"]
    assert rows[1]["Data"][0]["VarCharValue"] == "42"
    batch = athena.batch_get_prepared_statement(PreparedStatementNames=["p", "q"], WorkGroup="primary")
    assert len(batch["PreparedStatements"]) == len(batch["UnprocessedPreparedStatementNames"]) == 1
    athena.delete_prepared_statement(StatementName="p", WorkGroup="primary")
    with pytest.raises(athena.exceptions.ResourceNotFoundException):
        athena.get_prepared_statement(StatementName="p", WorkGroup="primary")


def test_data_catalogs(client):
    athena = client("athena")
    function = "arn:aws:lambda:us-east-1:000000000000:function:f"
    athena.create_data_catalog(Name="federated", Type="LAMBDA", Parameters={"function": function})
    athena.create_data_catalog(Name="s3tablescatalog/bucket", Type="GLUE", Parameters={})
    names = [catalog["CatalogName"] for catalog in athena.list_data_catalogs()["DataCatalogsSummary"]]
    assert names == ["AwsDataCatalog", "federated", "s3tablescatalog/bucket"]
    assert athena.get_data_catalog(Name="federated")["DataCatalog"]["Parameters"]["function"] == function
    with pytest.raises(ClientError, match="does not list LAMBDA catalogs"):
        athena.list_databases(CatalogName="federated")
    athena.update_data_catalog(Name="federated", Type="LAMBDA", Description="d")
    for name in names[1:]:
        athena.delete_data_catalog(Name=name)
    with pytest.raises(ClientError, match="is not found"):
        athena.get_data_catalog(Name="federated")


def test_glue_changes(client):
    glue = client("glue")
    glue.create_database(DatabaseInput={"Name": "changes", "Description": "a"})
    glue.update_database(Name="changes", DatabaseInput={"Name": "changes", "Description": "b"})
    assert glue.get_database(Name="changes")["Database"]["Description"] == "b"
    serde = {"SerializationLibrary": "org.openx.data.jsonserde.JsonSerDe"}
    storage = {"Columns": [{"Name": "x", "Type": "int"}], "Location": "s3://athena-flight-results/no/", "SerdeInfo": serde}
    keys = [{"Name": "year", "Type": "int"}, {"Name": "region", "Type": "string"}]
    table = {"Name": "t", "StorageDescriptor": storage, "PartitionKeys": keys}
    glue.create_table(DatabaseName="changes", TableInput=table)
    glue.update_table(DatabaseName="changes", TableInput=table | {"Description": "new"})
    found = glue.get_table(DatabaseName="changes", Name="t")["Table"]
    assert (found["Description"], found["VersionId"]) == ("new", "1")
    values = [[str(year), region] for year in range(2000, 2010) for region in ("eu", "us")]
    inputs = [{"Values": value, "StorageDescriptor": storage} for value in values]
    glue.batch_create_partition(DatabaseName="changes", TableName="t", PartitionInputList=inputs)
    listed = glue.get_paginator("get_partitions").paginate(
        DatabaseName="changes",
        TableName="t",
        Expression="year >= 2008 AND region = 'eu'",
        PaginationConfig={"PageSize": 1},
    )
    assert [p["Values"] for page in listed for p in page["Partitions"]] == [["2008", "eu"], ["2009", "eu"]]
    with pytest.raises(glue.exceptions.InvalidInputException):
        glue.get_partitions(DatabaseName="changes", TableName="t", Expression="nope = 1")
    moved = {"Values": ["2010", "eu"], "StorageDescriptor": storage}
    names = {"DatabaseName": "changes", "TableName": "t"}
    glue.update_partition(**names, PartitionValueList=["2009", "eu"], PartitionInput=moved)
    glue.delete_partition(**names, PartitionValues=["2010", "eu"])
    gone = glue.batch_delete_partition(**names, PartitionsToDelete=[{"Values": ["2008", "eu"]}, {"Values": ["1", "x"]}])
    assert len(gone["Errors"]) == 1
    assert len(glue.get_partitions(**names)["Partitions"]) == 18
    assert glue.batch_delete_table(DatabaseName="changes", TablesToDelete=["t", "u"])["Errors"][0]["TableName"] == "u"
    glue.delete_database(Name="changes")
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.delete_table(DatabaseName="changes", Name="t")


def test_lake_formation_tags(client):
    lake = client("lakeformation")
    lake.create_lf_tag(TagKey="level", TagValues=["public", "secret"])
    table = {"Table": {"DatabaseName": "tpch", "Name": "customer"}}
    column = {"TableWithColumns": {"DatabaseName": "tpch", "Name": "customer", "ColumnNames": ["c_phone"]}}
    add = lambda resource, value: lake.add_lf_tags_to_resource(
        Resource=resource, LFTags=[{"TagKey": "level", "TagValues": [value]}]
    )["Failures"]
    assert add({"Database": {"Name": "tpch"}}, "public") == add(table, "public") == add(column, "secret") == []
    assert add(table, "unknown")[0]["Error"]["ErrorCode"] == "EntityNotFoundException"
    tags = lake.get_resource_lf_tags(Resource=table)
    assert tags["LFTagOnDatabase"][0]["TagValues"] == ["public"]
    assert tags["LFTagsOnColumns"] == [
        {"Name": "c_phone", "LFTags": [{"CatalogId": "000000000000", "TagKey": "level", "TagValues": ["secret"]}]}
    ]
    lake.remove_lf_tags_from_resource(Resource=column, LFTags=[{"TagKey": "level", "TagValues": ["secret"]}])
    assert lake.get_resource_lf_tags(Resource=table)["LFTagsOnColumns"] == []
    with pytest.raises(lake.exceptions.EntityNotFoundException):
        lake.get_resource_lf_tags(Resource={"Table": {"DatabaseName": "tpch", "Name": "nope"}})


def test_every_iam_action_is_answered(client):
    """The actions that readers and writers of Athena data need: none of them is unknown to the endpoint."""
    calls = {
        "athena": """start_query_execution stop_query_execution get_query_execution batch_get_query_execution
            get_query_results list_query_executions get_work_group list_work_groups list_engine_versions get_data_catalog
            list_data_catalogs get_database list_databases get_table_metadata list_table_metadata""",
        "glue": """get_database get_databases get_table get_tables get_partition get_partitions batch_get_partition
            create_database delete_database update_database create_table delete_table batch_delete_table update_table
            create_partition batch_create_partition delete_partition batch_delete_partition update_partition""",
        "lakeformation": "get_resource_lf_tags",
        "sts": "assume_role get_caller_identity",
    }
    for service, names in calls.items():
        api = client(service)
        for name in names.split():
            model = api.meta.service_model.operation_model(api.meta.method_to_api_mapping[name])
            arguments = {}
            for member in model.input_shape.required_members if model.input_shape else []:
                arguments[member] = example(model.input_shape.members[member])
            try:
                getattr(api, name)(**arguments)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                assert code not in ("UnknownOperationException", "InvalidAction", "InternalServerException"), (name, error)


def example(shape):
    """The least value that a client sends for a shape."""
    if shape.type_name == "structure":
        return {name: example(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [example(shape.member)]
    return {"integer": 1, "boolean": True, "timestamp": 0}.get(shape.type_name, "x" * max(2, shape.metadata.get("min", 1)))
